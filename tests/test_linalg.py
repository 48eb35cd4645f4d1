"""einkorn.linalg beyond torch's samples: gradients of gradients, edges, refusals."""

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, linalg
from einkorn.errors import ArgumentError, GradientError, ShapeError

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 3, 3))
SPD = A @ A.swapaxes(-2, -1) + 3 * np.eye(3)
FUNCTIONS = {
    "inv": (A, lambda m, x: m.inv(x)),
    "solve": (A, lambda m, x: m.solve(x, x @ x)),
    "det": (A, lambda m, x: m.det(x)),
    "slogdet": (SPD, lambda m, x: m.slogdet(x)[1]),
    "cholesky": (SPD, lambda m, x: m.cholesky(x)),
    "pinv": (A[..., :2], lambda m, x: m.pinv(x)),
    "matrix_exp": (A, lambda m, x: m.matrix_exp(x)),
    "matrix_power": (A, lambda m, x: m.matrix_power(x, -3)),
    "matrix_norm": (A, lambda m, x: m.matrix_norm(x)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_gradients(name):
    data, function = FUNCTIONS[name]
    mine, theirs = Tensor(data.copy(), requires_grad=True), torch.tensor(data, requires_grad=True)
    out = [function(linalg, mine), function(torch.linalg, theirs)]
    np.testing.assert_allclose(out[0].detach().numpy(), out[1].detach().numpy())
    (g,) = einkorn.grad((out[0] ** 2).sum(), [mine], create_graph=True)
    (h,) = torch.autograd.grad((out[1] ** 2).sum(), [theirs], create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-6, atol=1e-9)
    (g,), (h,) = einkorn.grad((g**2).sum(), [mine]), torch.autograd.grad((h**2).sum(), [theirs])
    np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: abs(m.eigh(x)[1]),
        lambda m, x: abs(m.svd(x)[0]),
        lambda m, x: abs(m.svd(x, full_matrices=False)[2]),
        lambda m, x: abs(m.qr(x)[0]),
    ],
    ids=["eigh", "svd", "svd-thin", "qr"],
)
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_gradients_through_vectors(function, columns):
    if columns == 3:
        data = SPD
    else:
        data = RNG.normal(size=(2, 3, columns))
        if "eigh" in function.__code__.co_names or ("qr" in function.__code__.co_names and columns > 3):
            return  # of square matrices, and of tall ones
    weight = RNG.normal(size=(2, 4, 4))
    grads = []
    for m, x in (
        (linalg, Tensor(data.copy(), requires_grad=True)),
        (torch.linalg, torch.tensor(data, requires_grad=True)),
    ):
        out = function(m, x)
        w = weight[:, : out.shape[-2], : out.shape[-1]].copy()
        if columns != 3 and out.shape[-1] == out.shape[-2]:  # vectors that belong to no singular value
            w[:, :, min(3, columns) :] = 0
            w[:, min(3, columns) :] = 0
        (out * (Tensor(w) if m is linalg else torch.from_numpy(w))).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-6, atol=1e-9)


def test_the_slope_of_a_singular_determinant():
    """Its cofactors, which are not all 0 where only one direction is lost."""
    for rank, wanted in ((0, 0), (1, 0), (2, 1)):
        x = Tensor(np.diag([1.0] * rank + [0.0] * (3 - rank)), requires_grad=True)
        linalg.det(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), np.diag([0.0, 0.0, wanted]), atol=1e-12)


def test_arrays_give_arrays_and_float32_stays():
    a = A.astype(np.float32)
    for out in (
        linalg.inv(a),
        linalg.svd(a).S,
        linalg.slogdet(a).sign,
        linalg.matrix_rank(a),
        linalg.pinv(a),
    ):
        assert isinstance(out, np.ndarray)
    assert linalg.solve(a, a).dtype == linalg.eigh(a).eigenvalues.dtype == linalg.det(a).dtype == np.float32
    assert isinstance(linalg.qr(Tensor(a)).R, Tensor)
    assert linalg.inv(np.empty((0, 3, 3))).shape == (0, 3, 3)
    assert linalg.det(np.empty((2, 0, 0))).tolist() == [1, 1]


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(ArgumentError, match="inv: singular"):
        linalg.inv(np.zeros((2, 2)))
    with pytest.raises(linalg.LinAlgError, match="cholesky"):
        linalg.cholesky(-np.eye(2))
    with pytest.raises(ShapeError, match=r"det: A has shape \(2, 3\), expected square"):
        linalg.det(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="solve: B"):
        linalg.solve(np.eye(3), np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="multi_dot"):
        linalg.multi_dot([np.eye(2), np.eye(3)])
    with pytest.raises(GradientError, match="qr: its gradient"):
        linalg.qr(Tensor(np.zeros((2, 3)), requires_grad=True))
    with pytest.raises(ArgumentError, match="matrix_norm: ord"):
        linalg.matrix_norm(np.eye(2), 3)
