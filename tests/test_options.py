"""Options and spellings of the operations: what counts as which, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, ops
from einkorn.errors import ArgumentError, DTypeError, EinkornError, IndexRangeError, ShapeError

X = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
IMAGE = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
KERNEL = np.ones((1, 1, 2, 2), np.float32)
LABELS = np.array([0, 2, 1])

# A call, and the words its message must have; the first is the operation.
LOOSE: dict[str, tuple[Callable[[], Any], str]] = {
    "ceil_mode word": (lambda: ops.max_pool2d(IMAGE, 2, ceil_mode="no"), "max_pool2d: ceil_mode is 'no'"),
    "ceil_mode number": (lambda: ops.avg_pool2d(IMAGE, 2, ceil_mode=1), "avg_pool2d: ceil_mode is 1"),
    "count_include_pad": (
        lambda: ops.avg_pool2d(IMAGE, 2, count_include_pad="yes"),
        "avg_pool2d: count_include_pad is 'yes'",
    ),
    "return_indices": (
        lambda: ops.max_pool2d(IMAGE, 2, return_indices=None),
        "max_pool2d: return_indices is None",
    ),
    "divisor_override 0": (
        lambda: ops.avg_pool2d(IMAGE, 2, divisor_override=0),
        "avg_pool2d: divisor_override is 0",
    ),
    "kernel_size True": (lambda: ops.max_pool2d(IMAGE, True), "max_pool2d: kernel_size is True"),
    "kernel_size three": (
        lambda: ops.max_pool2d(IMAGE, (1, 2, 3)),
        r"max_pool2d: kernel_size is \(1, 2, 3\)",
    ),
    "stride float": (lambda: ops.conv2d(IMAGE, KERNEL, stride=1.0), "conv2d: stride is 1.0"),
    "stride True": (lambda: ops.conv2d(IMAGE, KERNEL, stride=True), "conv2d: stride is True"),
    "groups True": (lambda: ops.conv2d(IMAGE, KERNEL, groups=True), "conv2d: groups is True"),
    "dilation 2**64": (lambda: ops.conv2d(IMAGE, KERNEL, dilation=2**64), "conv2d: .*dilation"),
    "dilation of one tap": (
        lambda: ops.conv2d(IMAGE, KERNEL[..., :1, :1], dilation=2**64),
        "conv2d: .*dilation",
    ),
    "padding 2**64": (lambda: ops.conv2d(IMAGE, KERNEL, padding=2**64), "conv2d: .*padding"),
    "pool dilation 2**64": (lambda: ops.max_pool2d(IMAGE, 2, dilation=2**64), "max_pool2d: dilation"),
    "axis True": (lambda: ops.sum(X, True), "sum: axis is True"),
    "keepdims dtype": (lambda: ops.sum(X, 0, np.float64), "sum: keepdims is .*float64"),
    "axis and dim": (lambda: ops.sum(X, 0, dim=1), "sum: axis is 0 and dim is 1"),
    "softmax axis and dim": (lambda: ops.softmax(X, 0, dim=1), "softmax: axis is 0 and dim is 1"),
    "label_smoothing None": (
        lambda: ops.cross_entropy(X, LABELS, label_smoothing=None),
        "cross_entropy: label_smoothing is None",
    ),
    "ignore_index 2**64": (
        lambda: ops.cross_entropy(X, LABELS, ignore_index=2**64),
        "cross_entropy: ignore_index is",
    ),
    "training word": (lambda: ops.dropout(X, 0.5, "no"), "dropout: training is 'no'"),
    "p word": (lambda: ops.dropout(X, "0.5"), "dropout: p is '0.5'"),
    "alpha array": (lambda: ops.add(X, X, alpha=X), "add: alpha is"),
    "rounding_mode": (lambda: ops.divide(X, X, rounding_mode="up"), "divide: rounding_mode is 'up'"),
    "reshape True": (lambda: ops.reshape(X, (True, 12)), "reshape: shape is"),
    "pad pairs": (lambda: ops.pad(X, ((1, 1), (2, 2, 2))), "pad: pad is"),
    "pad mode": (lambda: ops.pad(X, (1, 1), "mirror"), "pad: mode is 'mirror'"),
    "addmm beta": (lambda: ops.addmm(X[:, :3], X, X.T, beta=None), "addmm: beta is None"),
}

# Names that NumPy and torch both have and mean otherwise, or give in another order.
DISPUTED: dict[str, tuple[Callable[[], Any], str]] = {
    "max by position": (lambda: ops.max(X, 1), "max: got 1 by position.*axis="),
    "min by position": (lambda: ops.min(X, 1), "min: got 1 by position.*axis="),
    "max by dim": (lambda: ops.max(X, dim=1), "max: dim is 1.*axis"),
    "max of two": (lambda: ops.max(X, X), "max: got"),
    "var unbiased": (lambda: ops.var(X, 0, False), "var: got False by position.*correction="),
    "var of a bool": (lambda: ops.var(X, True), "var: axis is True"),
    "pad value": (lambda: ops.pad(X, (1, 1), 2.0), "pad: mode is 2.0"),
    "mse_loss third": (lambda: ops.mse_loss(X, X, "sum"), "mse_loss: got 'sum' by position.*reduction="),
    "l1_loss third": (lambda: ops.l1_loss(X, X, None), "l1_loss: got None by position.*reduction="),
    "bce third": (
        lambda: ops.binary_cross_entropy(X / 2, X / 2, "sum"),
        "binary_cross_entropy: weight is a str",
    ),
    "bce fourth": (
        lambda: ops.binary_cross_entropy(X / 2, X / 2, None, "sum"),
        "binary_cross_entropy: got 'sum'",
    ),
    "bce with logits": (
        lambda: ops.binary_cross_entropy_with_logits(X, X / 2, "sum"),
        "binary_cross_entropy_with_logits: weight is a str",
    ),
    "cross_entropy fourth": (
        lambda: ops.cross_entropy(X, LABELS, None, 1),
        "cross_entropy: got 1 by position",
    ),
    "uniform size last": (lambda: ops.uniform(0, 1, 5), "uniform: got 1 by position.*low"),
    "normal size last": (lambda: ops.normal(0, 1, (3,)), "normal: got 1 by position.*mean"),
    "transpose axes": (lambda: ops.transpose(X, (1, 0)), "transpose: expected two dimensions.*permute"),
    "transpose all": (lambda: ops.transpose(X), "transpose: expected two dimensions"),
}


@pytest.mark.parametrize("name", [*LOOSE, *DISPUTED])
def test_refused_by_name(name: str) -> None:
    call, words = (LOOSE | DISPUTED)[name]
    with pytest.raises(EinkornError, match="^" + words):
        call()


@pytest.mark.parametrize("op", ["relu", "sum", "softmax", "matmul", "contiguous", "square", "getitem"])
def test_nine_dimensions_are_refused(op: str) -> None:
    x = np.zeros((1,) * 9, np.float32)
    rest = {"matmul": (x,), "getitem": (0,)}.get(op, ())
    with pytest.raises(ShapeError, match=f"^{op}: .*9 dimensions"):
        getattr(ops, op)(x, *rest)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.reshape(x, (1,) * 8 + (2,)),
        lambda x: ops.getitem(x, (None,) * 8),
        lambda x: ops.stack([ops.reshape(x, (1,) * 7 + (2,))] * 2),
        lambda x: ops.broadcast_to(x, (1,) * 8 + (2,)),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, Tensor])
def test_nothing_makes_nine_dimensions(call: Any, kind: Any) -> None:
    with pytest.raises(ShapeError, match=r"9 dimensions|at most 8"):
        call(kind(np.ones(2, np.float32)))


def _misaligned(a: np.ndarray) -> np.ndarray:
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    out: np.ndarray = np.ndarray(a.shape, a.dtype, buffer, 1)
    out[...] = a
    return out


@pytest.mark.parametrize("dtype", ["<i8", ">i8", "<i4", ">i2", "u1", "<u8"])
@pytest.mark.parametrize(
    "lay", [np.asarray, _misaligned, lambda a: a[::-1][::-1]], ids=["plain", "off", "view"]
)
def test_class_numbers_of_any_kind(dtype: str, lay: Any, engine: str) -> None:
    target = lay(LABELS.astype(dtype))
    assert ops.cross_entropy(X, target) == ops.cross_entropy(X, LABELS)


def test_class_numbers_beyond_int64() -> None:
    with pytest.raises(IndexRangeError, match=r"^cross_entropy: target"):
        ops.cross_entropy(X, np.array([0, 1, 2**64 - 1], np.uint64))


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_big_endian_floats(dtype: str, engine: str) -> None:
    x = X.astype(dtype)
    for got in (ops.add(x, x), ops.clip(x, x, 1), ops.where(x, x, 0.5), Tensor(x).data):
        assert got.dtype.isnative
    np.testing.assert_array_equal(
        ops.matmul(x, x.T), ops.matmul(*(a.astype(a.dtype.newbyteorder("=")) for a in (x, x.T)))
    )


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("bad", [-0.01, 1.5, np.inf])
def test_targets_are_probabilities(name: str, bad: float, engine: str) -> None:
    target = np.array([0.0, bad, 1.0])
    with pytest.raises(ArgumentError, match=f"^{name}: target has the number {bad:g}"):
        getattr(ops, name)(np.array([0.2, 0.3, 0.4]), target)


def test_targets_of_other_kinds(engine: str) -> None:
    """One-hot rows and labels of integers and booleans count as numbers."""
    one_hot = np.eye(4, dtype=np.int64)[LABELS]
    wanted = ops.cross_entropy(X, one_hot.astype(np.float32))
    assert ops.cross_entropy(X, one_hot) == ops.cross_entropy(X, one_hot.astype(bool)) == wanted
    chance = np.clip(X, 0.1, 0.9)
    for name in ("mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        loss = getattr(ops, name)
        assert (
            loss(chance, one_hot.astype(bool))
            == loss(chance, one_hot)
            == loss(chance, one_hot.astype(np.float32))
        )


def test_torch_tensors_that_require_a_gradient(torch: Any) -> None:
    t = torch.ones(3, requires_grad=True)
    calls = {
        "add": lambda: ops.add(X[0, :3], t),
        "where": lambda: ops.where(t, X[0, :3], 0.0),
        "clip": lambda: ops.clip(X[0, :3], t),
        "mse_loss": lambda: ops.mse_loss(X[0, :3], t),
        "cross_entropy": lambda: ops.cross_entropy(X[0, :3], t),
        "matmul": lambda: ops.matmul(X[0, :3], t),
    }
    for name, call in calls.items():
        with pytest.raises(ArgumentError, match=f"^{name}: .*requires grad"):
            call()


def test_numbers_of_numpy_are_options(engine: str) -> None:
    two, one = np.int64(2), np.array(1)
    np.testing.assert_array_equal(
        ops.max_pool2d(IMAGE, two, np.uint8(1), ceil_mode=np.False_), ops.max_pool2d(IMAGE, 2, 1)
    )
    np.testing.assert_array_equal(
        ops.conv2d(IMAGE, KERNEL, stride=(two,)), ops.conv2d(IMAGE, KERNEL, stride=2)
    )
    np.testing.assert_array_equal(ops.sum(X, one), X.sum(1))
    np.testing.assert_array_equal(ops.leaky_relu(-X, np.float32(0.5)), -X / 2)
    np.testing.assert_array_equal(ops.reshape(X, (two, np.int8(6))), X.reshape(2, 6))


def test_spellings_of_torch(engine: str) -> None:
    """dim and keepdim beside axis and keepdims; all for dim=(), none for axis=()."""
    for op in (ops.sum, ops.mean):
        np.testing.assert_array_equal(op(X, dim=1, keepdim=True), op(X, 1, True))
        assert op(X, dim=()) == op(X)
        np.testing.assert_array_equal(op(X, ()), X)
    np.testing.assert_array_equal(ops.var(X, dim=(0, 1), keepdim=True), ops.var(X, keepdims=True))
    np.testing.assert_array_equal(ops.var(X, dim=0, unbiased=False), X.var(0))
    np.testing.assert_array_equal(ops.argmax(X, dim=0, keepdim=True), X.argmax(0, keepdims=True))
    assert ops.argmax(X) == X.argmax() == 11
    for op in (ops.softmax, ops.log_softmax):
        np.testing.assert_array_equal(op(X, dim=0), op(X, 0))
        assert op(LABELS, dim=0, dtype="float64").dtype == np.float64
    np.testing.assert_array_equal(ops.concatenate([X, X], dim=1), np.concatenate([X, X], 1))
    np.testing.assert_array_equal(ops.stack([X, X], dim=1), np.stack([X, X], 1))
    assert ops.sum(X, dtype=np.float64).dtype == ops.mean(LABELS, dtype="float64").dtype == np.float64


def test_limits_as_numpy(engine: str) -> None:
    low, high = np.array([[0.2], [0.5], [np.nan]], np.float32), np.array([0.3, 1, 0.1, 9], np.float32)
    for bounds in (
        (0.2, 1),
        (None, 0.5),
        (0.5, None),
        (2, 1),
        (np.nan, 1),
        (low, high),
        (low, 0.7),
        (None, high),
    ):
        np.testing.assert_array_equal(ops.clip(X, *bounds), np.clip(X, *bounds), err_msg=str(bounds))
    assert ops.clip(X, None, None) is not X


def test_integers_without_a_meaning() -> None:
    for call in (lambda: ops.exp(LABELS), lambda: ops.divide(LABELS, 2), lambda: ops.power(LABELS, 0.5)):
        with pytest.raises(DTypeError, match="int64"):
            call()
    with pytest.raises(ArgumentError, match=r"^power: b has negative"):
        ops.power(LABELS, -1)
    with pytest.raises(DTypeError, match=r"^subtract: a and b"):
        ops.subtract(LABELS > 0, LABELS > 1)
