"""Tensors of integers and booleans: indices, labels and masks under torch's methods, without gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn
from einkorn.errors import DTypeError, EinkornError, GradientError

KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64")
LABELS = np.array([[2, 0, 1], [1, 2, 2]])

#: What is asked of an integer tensor, in words that torch understands too.
CALLS: dict[str, Callable[[Any], Any]] = {
    "plus number": lambda t: t + 2,
    "number minus": lambda t: 5 - t,
    "times itself": lambda t: t * t,
    "plus half": lambda t: t + 0.5,
    "half times": lambda t: 0.5 * t,
    "over number": lambda t: t / 2,
    "over itself": lambda t: t / (t + 1),
    "exp": lambda t: t.exp(),
    "sqrt": lambda t: t.sqrt(),
    "negative": lambda t: -t,
    "power": lambda t: t**2,
    "equal": lambda t: t == 2,
    "less": lambda t: t < t.T[:2, :1],
    "not": lambda t: ~(t > 0),
    "inverted": lambda t: ~t,
    "and or xor": lambda t: ((t > 0) & (t < 2)) | ((t == 2) ^ (t != 2)),
    "bits": lambda t: (t & 1) | 4,
    "sum": lambda t: t.sum(),
    "sum dim": lambda t: (t > 0).sum(1),
    "max dim": lambda t: t.max(1).values,
    "max indices": lambda t: t.max(1)[1],
    "min dim": lambda t: t.min(0).values,
    "argmax": lambda t: t.argmax(0),
    "any": lambda t: (t > 1).any(),
    "all dim": lambda t: (t > 0).all(1),
    "mean": lambda t: t.float().mean(),
    "long": lambda t: (t.float() * 1.7).long(),
    "int": lambda t: t.int(),
    "bool": lambda t: t.bool(),
    "reshape": lambda t: t.reshape(3, 2),
    "transpose": lambda t: t.T.contiguous(),
    "getitem": lambda t: t[:, 1:],
    "rows": lambda t: t[t[0, 1:]],
    "mask": lambda t: t[t > 0],
    "mask of floats": lambda t: t.float()[t == 2],
    "unsqueeze": lambda t: t.unsqueeze(1).expand(2, 4, 3),
    "clamp": lambda t: t.clamp(1, 2),
    "where": lambda t: t.where(t > 0, t * 0 - 1),
    "masked_fill": lambda t: t.masked_fill(t > 1, 0),
    "clone": lambda t: t.clone().zero_(),
    "in place": lambda t: t.clone().add_(3).mul_(2),
    "item": lambda t: t[0, 0].item(),
    "tolist": lambda t: (t > 0).tolist(),
    "size": lambda t: (tuple(t.shape), t.numel(), t.dim(), t.is_floating_point()),
}


@pytest.mark.parametrize("name", CALLS)
def test_methods_mean_what_torch_means(name: str, torch: Any) -> None:
    ours, theirs = CALLS[name](Tensor(LABELS.copy())), CALLS[name](torch.from_numpy(LABELS.copy()))
    if not isinstance(ours, Tensor):
        assert (ours, type(ours)) == (theirs, type(theirs))
        return
    assert str(theirs.dtype) == f"torch.{ours.dtype}"
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert not ours.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_held_as_it_is(kind: str, torch: Any) -> None:
    array = np.arange(3).astype(kind)
    t = Tensor(array)
    assert t.dtype == array.dtype
    assert np.shares_memory(t.numpy(), array)
    assert Tensor(torch.from_numpy(array)).dtype == array.dtype
    assert Tensor(array.astype(array.dtype.newbyteorder(">"))).tolist() == array.tolist()
    for other in KINDS:
        assert t.to(other).dtype == other
    assert t.to(kind) is t
    assert t.to(torch.float64).dtype == np.float64
    np.testing.assert_array_equal(t.detach().clone().reshape(3, 1).T, array.reshape(3, 1).T)
    assert Tensor(np.zeros(3, np.float32)).to(t).dtype == kind


def test_beside_floats_the_gradient_flows() -> None:
    t, x = Tensor(LABELS), Tensor(np.ones((2, 3)), requires_grad=True)
    (t * x + x / (t + 1)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), LABELS + 1 / (LABELS + 1))
    (x + x.long()).sum().backward()


def test_gradients_are_refused() -> None:
    t = Tensor(LABELS)
    for call in (
        lambda: Tensor(LABELS, requires_grad=True),
        lambda: t.requires_grad_(),
        lambda: nn.Parameter(LABELS),
        lambda: setattr(Tensor(np.ones(2), requires_grad=True), "data", LABELS),
        lambda: t.clone().copy_(Tensor(np.ones((2, 3)), requires_grad=True)),
    ):
        with pytest.raises(DTypeError, match="int64"):
            call()
    with pytest.raises(GradientError, match="does not require a gradient"):
        t.sum().backward()


@pytest.mark.parametrize("op", ["softmax", "layer_norm", "gelu", "dropout", "matmul"])
def test_float_operations_refuse_by_name(op: str) -> None:
    t = Tensor(LABELS)
    rest: dict[str, tuple[Any, ...]] = {"layer_norm": ((3,),), "matmul": (t,)}
    with pytest.raises(EinkornError, match=rf"^{op}: .*int64"):
        getattr(einkorn.ops, op)(t, *rest.get(op, ()))


def test_in_place_results_must_be_of_the_kind() -> None:
    t = Tensor(LABELS.copy())
    for change in (lambda: t.add_(0.5), lambda: t.div_(2), lambda: (t > 0).add_(1)):
        with pytest.raises(DTypeError, match="does not hold"):
            change()
    t += 1
    t[t == 3] = 0
    t[0, 1] += 5
    np.testing.assert_array_equal(t, [[0, 6, 2], [2, 0, 0]])


def test_assignment_by_mask_and_index() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = Tensor(np.ones(2), requires_grad=True)
    z = x * 1.0
    z[z > 3.5] = 0
    z[Tensor(np.array([0, 1])), Tensor(np.array([1, 2]))] += y
    (z * z).sum().backward()
    assert z.tolist() == [[0, 2, 2], [3, 0, 1]]
    assert x.grad.tolist() == [[0, 4, 4], [6, 0, 0]]
    assert y.grad.tolist() == [4, 2]


def test_as_an_index_of_other_things() -> None:
    two, many = Tensor(np.array(2)), Tensor(np.array([0, 2]))
    assert "abc"[two] == "c"
    assert list(range(5))[two:] == [2, 3, 4]
    np.testing.assert_array_equal(np.arange(5)[many], [0, 2])
    for none in (Tensor(np.array(2.0)), many):
        with pytest.raises(TypeError):
            "abc"[none]
    assert f"{two}|{two:3d}|{two == 2}" == "2|  2|True"
    assert repr(many > 0) == "Tensor([False,  True])"
    assert repr(many) == "Tensor([0, 2], dtype=int64)"


def test_numbers_beyond_a_type_are_not_written() -> None:
    for write in (lambda x: x.__setitem__(0, 300), lambda x: x.fill_(-1), lambda x: x.__setitem__((), 2**70)):
        x = einkorn.tensor([1, 2], dtype="uint8")
        with pytest.raises(EinkornError, match="beyond the numbers of uint8"):
            write(x)
        assert x.tolist() == [1, 2]
