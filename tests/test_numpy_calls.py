"""NumPy's functions on Tensors: the same numbers, and no gradient that goes lost in silence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import Tensor, _numpy_calls
from einkorn.errors import ArgumentError, EinkornError, GradientError

A = np.array([[0.15, 0.5, 0.75], [0.3, 0.9, 0.6]])
UFUNCS = {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc)}
del UFUNCS["isnat"]  # of dates, which no Tensor holds
#: What einkorn has no operation for that could carry the gradient.
WITHOUT_OPERATION = {"cbrt", "conjugate", "divmod", "float_power", "frexp", "ldexp", "logaddexp2", "matvec"}
WITHOUT_OPERATION |= {"modf", "nextafter", "positive", "spacing", "vecdot", "vecmat"}


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_a_ufunc_gives_numpys_numbers(name):
    """Recorded or not; or it is refused while it would lose a gradient."""
    ufunc = UFUNCS[name]
    inputs = [A, A[::-1] + 0.25][: ufunc.nin]
    if name == "arccosh":
        inputs = [A + 1]
    if ufunc.signature is not None and name != "matmul":
        inputs = (
            [A[0], A[0]] if name == "vecdot" else [A[:, :2], A[0, :2]] if name == "matvec" else [A[:, 0], A]
        )
    elif name == "matmul":
        inputs[1] = inputs[1].T
    if "dd->d" not in ufunc.types and "d->d" not in ufunc.types and "d->?" not in ufunc.types:
        inputs = [np.array([[5, 2, 3], [7, 1, 4]])] * ufunc.nin
    expected = ufunc(*inputs)
    got = ufunc(*map(Tensor, inputs))
    assert_allclose(np.asarray(got), expected, rtol=1e-12)
    if inputs[0].dtype != np.float64:
        return
    recorded = [Tensor(x.copy(), requires_grad=True) for x in inputs]
    if name in WITHOUT_OPERATION:
        with pytest.raises(GradientError, match=f"numpy.{name} got a tensor that requires gradients"):
            ufunc(*recorded)
        return
    got = ufunc(*recorded)
    results = got if isinstance(got, tuple) else (got,)
    assert_allclose(np.asarray([np.asarray(x) for x in results]), np.asarray(expected)[None], rtol=1e-12)
    floating = [x for x in results if x.dtype.kind == "f"]
    assert all(isinstance(x, Tensor) and x.requires_grad for x in floating)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.concatenate([x, x], 1),
        lambda x: np.stack([x, x], axis=-1),
        lambda x: np.vstack((x, x)),
        lambda x: np.where(np.asarray(x) > 0.4, x, 0.0),
        lambda x: np.clip(x, 0.2, 0.7),
        lambda x: np.sum(x, axis=1, keepdims=True),
        lambda x: np.mean(x, axis=0),
        lambda x: np.std(x, axis=1),
        lambda x: np.var(x),
        lambda x: np.max(x, axis=1),
        lambda x: np.prod(x),
        lambda x: np.einsum("ij,kj", x, x),
        lambda x: np.tensordot(x, x, axes=((1,), (1,))),
        lambda x: np.outer(x[0], x[1]),
        lambda x: np.cumsum(x, axis=1),
        lambda x: np.reshape(x, (3, 2)),
        lambda x: np.moveaxis(x, 0, 1),
        lambda x: np.roll(x, 1, axis=1),
        lambda x: np.transpose(x),
        lambda x: np.ravel(x),
        lambda x: np.dot(x, A.T),
        lambda x: np.arctan2(x, A[::-1]) * np.ones(3),
        lambda x: A + x * A - A / x,
        lambda x: A.T @ x,
        lambda x: np.float64(2) ** x,
    ],
)
def test_a_function_keeps_the_gradient(call):
    x = Tensor(A.copy(), requires_grad=True)
    y = call(x)
    expected = call(A)
    assert_allclose(y.numpy(), expected, rtol=1e-12)
    slopes = np.linspace(1, 2, expected.size).reshape(expected.shape)
    y.backward(slopes)
    step = 1e-6
    for place in np.ndindex(A.shape):
        moved = [A.copy(), A.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        numeric = ((call(moved[0]) - call(moved[1])) * slopes).sum() / (2 * step)
        assert_allclose(x.grad.numpy()[place], numeric, rtol=1e-6, atol=1e-9)
    with einkorn.no_grad():
        assert_allclose(np.asarray(call(x)), expected, rtol=1e-12)


def test_what_would_lose_a_gradient_is_refused_by_name():
    x = Tensor(A.copy(), requires_grad=True)
    for name, call in {
        "median": np.median,
        "norm": np.linalg.norm,
        "sort": np.sort,
        "diff": np.diff,
        "add.reduce": np.add.reduce,
        "multiply.outer": lambda t: np.multiply.outer(t, A),
        "add": lambda t: np.add(t, A, dtype=np.float32, casting="same_kind"),
        "cbrt": np.cbrt,
    }.items():
        with pytest.raises(GradientError, match=f"numpy.{name} got a tensor that requires gradients"):
            call(x)
        assert_allclose(call(x.detach()), call(A), rtol=1e-6)
        with einkorn.no_grad():
            assert_allclose(call(x), call(A), rtol=1e-6)


def test_another_librarys_function_is_not_ours_by_its_name():
    special = pytest.importorskip("scipy.special", reason="comes with scikit-learn, of the extra boosting")
    x = Tensor(A.copy(), requires_grad=True)
    with pytest.raises(GradientError, match="kl_div got a tensor that requires gradients"):
        special.kl_div(x, A)
    assert_allclose(special.kl_div(x.detach(), A), special.kl_div(A, A))


def test_places_and_truths_are_arrays():
    x = Tensor(A.copy(), requires_grad=True)
    assert np.argmax(x, axis=1).tolist() == [2, 1]
    assert np.allclose(x, A)
    assert np.shape(x) == (2, 3)
    assert np.isfinite(x).all()
    assert type(np.exp(x.detach())) is np.ndarray
    assert type(np.atleast_3d(x)) is np.ndarray
    assert np.round(x, 1).tolist() == np.round(A, 1).tolist()


def test_an_array_that_the_caller_names_takes_the_numbers():
    x = Tensor(A.copy(), requires_grad=True)
    total = A.copy()
    total += x
    assert_allclose(total, 2 * A)
    out = np.empty_like(A)
    assert np.multiply(x, 3.0, out=out) is out
    assert_allclose(out, 3 * A)
    assert_allclose(np.sum(x, axis=0, out=np.empty(3)), A.sum(0))


def test_no_function_writes_into_a_tensor_unseen():
    """What a tape has saved must not change without its notice."""
    x = Tensor(A.copy())
    for name, call in {
        "multiply": lambda: np.multiply(A, 2.0, out=x),
        "add.at": lambda: np.add.at(x, 0, 1.0),
        "sum": lambda: np.sum(A, axis=0, out=x[0]),
        "copyto": lambda: np.copyto(x, A + 1),
        "put": lambda: np.put(x, [0], 9.0),
        "putmask": lambda: np.putmask(x, A > 0.4, 0.0),
        "fill_diagonal": lambda: np.fill_diagonal(x, 0.0),
    }.items():
        with pytest.raises(ArgumentError, match=f"numpy.{name.partition('.')[0]} would write into a Tensor"):
            call()
    assert x.tolist() == A.tolist()
    copied = A.copy()
    np.copyto(copied, x * 2)
    assert_allclose(copied, 2 * A)


def test_operators_of_arrays_give_tensors():
    x = Tensor(A.copy())
    assert isinstance(A * x, Tensor)
    assert isinstance(x > A, Tensor)
    for operation, (left, right) in _numpy_calls._OPERATORS.items():
        assert hasattr(x, left), operation
        assert hasattr(x, right), operation
    with pytest.raises((EinkornError, TypeError)):
        A @ Tensor(A)
