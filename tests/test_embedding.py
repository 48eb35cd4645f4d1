"""Single kernels inside other programs: plain arrays in and out, and nothing recorded for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, ops
from einkorn.errors import ArgumentError, DeviceError, DTypeError

Call = Callable[[Any], Any]

X = np.arange(-18, 18, dtype=np.float32).reshape(1, 4, 3, 3) / 8
W = np.ones((2, 4, 2, 2), np.float32) / 16

# One operation of each family, as a function of an array of X's shape.
CALLS: dict[str, Call] = {
    "copy": lambda x: ops.pad(x, (1, 1)),
    "elementwise": lambda x: ops.relu(x),
    "binary": lambda x: ops.multiply(x, x),
    "scalar": lambda x: ops.add(x, 2.0),
    "reduce": lambda x: ops.sum(x, axis=(0, 2, 3)),
    "matmul": lambda x: ops.matmul(x, x),
    "conv": lambda x: ops.conv2d(x, x, padding=1),
    "pool": lambda x: ops.max_pool2d(x, 2),
    "softmax": lambda x: ops.softmax(x, axis=1),
    "loss": lambda x: ops.mse_loss(x, x, reduction="none"),
    "dropout": lambda x: _dropout(x),
}


def _dropout(x: Any) -> Any:
    einkorn.manual_seed(3)
    return ops.dropout(x, 0.5)


class Foreign:
    """Another library's array, known by its ``__array__`` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)


class Exported:
    """Another library's array, known by its DLPack interface alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


@pytest.mark.parametrize("name", CALLS)
def test_numpy_in_numpy_out(name: str, engine: str) -> None:
    result = CALLS[name](X)
    assert type(result) is np.ndarray
    assert result.dtype == np.float32
    assert not hasattr(result, "requires_grad")


@pytest.mark.parametrize("name", CALLS)
def test_tensor_in_tensor_out(name: str, engine: str) -> None:
    """The same numbers; recorded only when a gradient is required."""
    plain = CALLS[name](X)
    silent, recorded = CALLS[name](Tensor(X)), CALLS[name](Tensor(X, requires_grad=True))
    for result in (silent, recorded):
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.numpy(), plain)
    assert not silent.requires_grad
    assert recorded.requires_grad
    with einkorn.no_grad():
        assert not CALLS[name](Tensor(X, requires_grad=True)).requires_grad


@pytest.mark.parametrize("wrap", [Foreign, Exported])
@pytest.mark.parametrize("name", CALLS)
def test_other_arrays(name: str, wrap: Any, engine: str) -> None:
    np.testing.assert_array_equal(np.asarray(CALLS[name](wrap(X))), CALLS[name](X))


@pytest.mark.parametrize("name", CALLS)
def test_torch_in_torch_out(name: str, engine: str, torch: Any) -> None:
    result = CALLS[name](torch.from_numpy(X))
    assert type(result) is torch.Tensor
    assert result.dtype == torch.float32
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), CALLS[name](X))


def test_torch_is_not_copied(engine: str, torch: Any) -> None:
    """A view of torch's memory is what kernels see."""
    t = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    view = ops.reshape(t, (3, 2))
    t[0, 0] = 42
    assert view[0, 0] == 42
    wrapped = Tensor(t)
    t[0, 0] = 43
    assert wrapped.numpy()[0, 0] == 43


def test_torch_layouts(engine: str, torch: Any) -> None:
    t = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    for view in (t.permute(2, 0, 1), t[:, ::2], t[..., 1:3], t.expand(2, 3, 4)[0]):
        np.testing.assert_array_equal(ops.square(view).numpy(), (view * view).numpy())


def test_torch_refusals(engine: str, torch: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^relu: x .*requires grad.*detach"):
        ops.relu(torch.ones(3, requires_grad=True))
    with pytest.raises(DTypeError, match=r"^relu: x .*(float16|float32)"):
        ops.relu(torch.ones(3, dtype=torch.float16))
    with pytest.raises(DTypeError, match=r"^relu: x .*int64"):
        ops.relu(torch.ones(3, dtype=torch.int64))
    with pytest.raises(DeviceError, match=r"^relu: x .*meta"):
        ops.relu(torch.ones(3, device="meta"))


def test_torch_targets(engine: str, torch: Any) -> None:
    logits, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    ours = ops.cross_entropy(logits, target)
    assert type(ours) is torch.Tensor
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, target))


def test_kinds_mix(engine: str, torch: Any) -> None:
    """An array beside a Tensor gives a Tensor; NumPy and torch may meet."""
    mixed = ops.add(Tensor(X), X)
    assert type(mixed) is Tensor
    np.testing.assert_array_equal(mixed.numpy(), X + X)
    np.testing.assert_array_equal(np.asarray(ops.add(torch.from_numpy(X), X)), X + X)


def test_outputs_are_ordinary_arrays(engine: str) -> None:
    """Owned, writable, aligned, contiguous; alive when everything else is gone."""
    out = ops.conv2d(X, W)
    assert out.flags.c_contiguous
    assert out.flags.writeable
    assert out.ctypes.data % 16 == 0
    kept = out[0, 1]
    expected = kept.copy()
    del out
    for _ in range(10):
        ops.conv2d(X, W)
    np.testing.assert_array_equal(kept, expected)


def test_results_do_not_alias_inputs(engine: str) -> None:
    x = X.copy()
    for name in ("elementwise", "binary", "scalar", "softmax", "dropout", "loss"):
        assert not np.shares_memory(CALLS[name](x), x)
    assert ops.dropout(x, 0.5, training=False) is x  # as torch does
    np.testing.assert_array_equal(x, X)


def test_tensor_shares_its_array(engine: str) -> None:
    x = X.copy()
    t = Tensor(x)
    x[0, 0, 0, 0] = 7
    assert t.numpy()[0, 0, 0, 0] == 7
    assert np.shares_memory(np.from_dlpack(t), x)


def test_leaf_gradients_are_their_own_memory(engine: str) -> None:
    """A gradient that an operation hands on must not tie leaves, or the caller's array, together."""
    a, b = Tensor(X.copy(), requires_grad=True), Tensor(X.copy(), requires_grad=True)
    upstream = np.ones_like(X)
    ops.add(a, b).backward(upstream)
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
    assert not np.shares_memory(a.grad.numpy(), upstream)
    a.grad.numpy()[...] = 5
    np.testing.assert_array_equal(b.grad.numpy(), 1)
    np.testing.assert_array_equal(upstream, 1)


def test_gradients_add_up(engine: str) -> None:
    x = Tensor(X.copy(), requires_grad=True)
    for _ in range(3):
        ops.sum(ops.square(x)).backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * X, rtol=1e-6)
    x.zero_grad()
    assert x.grad is None


def test_a_tensor_used_twice(engine: str) -> None:
    x = Tensor(X.copy(), requires_grad=True)
    y = ops.exp(x)
    ops.sum(ops.add(ops.multiply(y, x), y)).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(X) * (X + 2), rtol=1e-5)


def test_operators(engine: str) -> None:
    a, b = Tensor(X, requires_grad=True), Tensor(X + 10, requires_grad=True)
    y = (2.0 * a + b / 4.0 - 1.0) * -b + abs(a) ** 2.0
    y.sum().backward()
    np.testing.assert_allclose(y.numpy(), (2 * X + (X + 10) / 4 - 1) * -(X + 10) + X**2, rtol=1e-5)
    np.testing.assert_allclose(a.grad.numpy(), -2 * (X + 10) + 2 * X, rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), -(2 * X + (X + 10) / 2 - 1), rtol=1e-5, atol=1e-5)
    left = X @ Tensor(X)  # NumPy's array leaves the product to the Tensor
    assert type(left) is Tensor
