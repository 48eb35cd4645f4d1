"""Operations on integers and booleans: NumPy's results; beside floats, the floats' type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, ops
from einkorn.errors import ShapeError

KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64")
NUMPY: dict[str, Any] = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
}


def _array(kind: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(kind)).integers(0, 5, shape).astype(kind)


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_two_arrays(name: str, first: str, second: str, torch: Any) -> None:
    a, b = _array(first, 3, 4), _array(second, 4)
    got, wanted = getattr(ops, name)(a, b), NUMPY[name](a, b)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
    if (first, second) != ("bool", "bool") or name != "power":
        theirs = getattr(torch, {"power": "pow"}.get(name, name))(torch.from_numpy(a), torch.from_numpy(b))
        assert str(theirs.dtype) == f"torch.{got.dtype}"
        np.testing.assert_array_equal(got, theirs.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_array_and_number(kind: str) -> None:
    a = _array(kind, 5)
    for name, function in NUMPY.items():
        got, wanted = getattr(ops, name)(a, 2), function(a, 2)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(ops.subtract(7, a.astype(np.int64)), 7 - a.astype(np.int64))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_floats(kind: str, dtype: str, engine: str, torch: Any) -> None:
    """float32 stays float32, as in torch; what is an array of floats keeps its gradient."""
    whole, x = _array(kind, 3, 4), np.linspace(0.1, 2, 4).astype(dtype)
    for name in (*NUMPY, "subtract", "divide"):
        if name == "subtract" and kind == "bool":
            continue  # torch wants another operator for masks
        for left, right in ((whole, x), (x, whole)):
            got = getattr(ops, name)(left, right)
            theirs = getattr(torch, {"power": "pow"}.get(name, name))(
                torch.from_numpy(left), torch.from_numpy(right)
            )
            assert got.dtype == dtype
            np.testing.assert_allclose(got, theirs.numpy(), rtol=1e-6)
    t = Tensor(x, requires_grad=True)
    ops.sum(ops.multiply(whole, t)).backward()
    np.testing.assert_array_equal(t.grad.numpy(), whole.sum(0, dtype=dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_reductions(kind: str, torch: Any) -> None:
    a = _array(kind, 3, 4)
    for axis in (None, 0, -1, (0, 1)):
        for keepdims in (False, True):
            for name in ("max", "min"):
                got = getattr(ops, name)(a, axis=axis, keepdims=keepdims)
                wanted = np.asarray(getattr(a, name)(axis=axis, keepdims=keepdims))
                assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
                np.testing.assert_array_equal(got, wanted)
            total = ops.sum(a, axis, keepdims)
            assert total.dtype == np.int64
            np.testing.assert_array_equal(total, a.sum(axis=axis, keepdims=keepdims))
    np.testing.assert_array_equal(ops.argmax(a, 1), a.argmax(1))
    assert ops.argmax(a) == a.argmax()
    with pytest.raises(ShapeError, match=r"^max: x"):
        ops.max(a[:0])


def test_large_numbers_stay_exact() -> None:
    a = np.array([2**53 + 1, 2**62, -(2**62)])
    assert ops.max(a - 0) == 2**62
    np.testing.assert_array_equal(ops.maximum(a, 2**53 + 1), [2**53 + 1, 2**62, 2**53 + 1])
    assert ops.sum(a) == 2**53 + 1


@pytest.mark.parametrize("kind", KINDS)
def test_where_and_clip(kind: str) -> None:
    a, b = _array(kind, 3, 4), _array("int64", 4)
    for condition in (a > 1, a, (a > 1).astype(np.float32)):
        got, wanted = ops.where(condition, a, b), np.where(condition != 0, a, b)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    x = np.ones(4, np.float32)
    assert ops.where(a > 1, a, x).dtype == np.float32
    np.testing.assert_array_equal(ops.where(a > 1, 1, 2), np.where(a > 1, 1, 2))
    if kind != "bool":
        np.testing.assert_array_equal(ops.clip(a, 1, 3), np.clip(a, 1, 3))
        np.testing.assert_array_equal(ops.clip(a, None, a[0]), np.minimum(a, a[0]))


def test_torch_in_torch_out(torch: Any) -> None:
    a = torch.arange(6).reshape(2, 3)
    for got, wanted in (
        (ops.maximum(a, 2), torch.clamp(a, min=2)),
        (ops.max(a, axis=1), torch.amax(a, 1)),
        (ops.where(a > 1, a, -a), torch.where(a > 1, a, -a)),
        (ops.power(a, 2), a**2),
    ):
        assert type(got) is torch.Tensor
        assert torch.equal(got, wanted)
    assert ops.add(a, torch.ones(3)).dtype == torch.float32
