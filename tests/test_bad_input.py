"""Bad input is refused by name, the same on every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import ops
from einkorn.errors import (
    ArgumentError,
    DTypeError,
    EinkornError,
    GradientError,
    IndexRangeError,
    ShapeError,
)


def f(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Numbers that are all different."""
    return (np.arange(np.prod(shape, dtype=int), dtype=dtype) + 1).reshape(shape) / 8


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def wide(*shape: int) -> np.ndarray:
    """One number in a shape that no memory would hold."""
    return np.broadcast_to(np.float32(1), shape)


HUGE = 1 << 62

# What is called, the error, and words that its message must have, in this order; the first is the operation.
BAD: dict[str, tuple[Callable[[], Any], type[EinkornError], tuple[str, ...]]] = {
    # --- element types
    "divide ints": (
        lambda: ops.divide(labels(1), labels(2)),
        DTypeError,
        ("divide", "a", "int64", "float32"),
    ),
    "add int and half": (lambda: ops.add(labels(1), 0.5), DTypeError, ("add", "a", "int64", "float32")),
    "add mixed": (
        lambda: ops.add(f(3), f(3, dtype=np.float64)),
        DTypeError,
        ("add", "b", "float64", "float32"),
    ),
    "relu object": (lambda: ops.relu(np.array([1.0, "x"], object)), DTypeError, ("relu", "x", "object")),
    "relu float16": (lambda: ops.relu(f(3).astype(np.float16)), DTypeError, ("relu", "x", "float16")),
    "relu complex": (lambda: ops.relu(f(3).astype(np.complex64)), DTypeError, ("relu", "x", "complex64")),
    "relu bool": (lambda: ops.relu(np.array([True])), DTypeError, ("relu", "x", "bool")),
    "relu list": (lambda: ops.relu([1.0, 2.0]), DTypeError, ("relu", "x", "list")),
    "relu None": (lambda: ops.relu(None), DTypeError, ("relu", "x", "None")),
    "relu string": (lambda: ops.relu("abc"), DTypeError, ("relu", "x", "str")),
    "matmul mixed": (
        lambda: ops.matmul(f(2, 3), f(3, 2, dtype=np.float64)),
        DTypeError,
        ("matmul", "b", "float64", "float32"),
    ),
    "linear mixed bias": (
        lambda: ops.linear(f(2, 3), f(4, 3), f(4, dtype=np.float64)),
        DTypeError,
        ("linear", "bias", "float64", "float32"),
    ),
    "conv2d mixed": (
        lambda: ops.conv2d(f(1, 2, 5, 5), f(3, 2, 3, 3, dtype=np.float64)),
        DTypeError,
        ("conv2d", "weight", "float64", "float32"),
    ),
    "avg_pool2d ints": (
        lambda: ops.avg_pool2d(np.ones((1, 1, 4, 4), int), 2),
        DTypeError,
        ("avg_pool2d", "x", "int64"),
    ),
    "softmax ints": (lambda: ops.softmax(labels(1, 2)), DTypeError, ("softmax", "x", "int64")),
    "mean ints": (lambda: ops.mean(labels(1, 2)), DTypeError, ("mean", "x", "int64")),
    "where words": (
        lambda: ops.where(np.array(["a", "b"]), f(2), f(2)),
        DTypeError,
        ("where", "condition", "<U1"),
    ),
    "cross_entropy float target": (
        lambda: ops.cross_entropy(f(3, 4), f(3)),
        EinkornError,
        ("cross_entropy", "target"),
    ),
    "mse_loss mixed": (
        lambda: ops.mse_loss(f(3), f(3, dtype=np.float64)),
        DTypeError,
        ("mse_loss", "target", "float64", "float32"),
    ),
    "cast to half": (lambda: ops.cast(f(3), "float16"), DTypeError, ("cast", "dtype", "float16")),
    "uniform int": (lambda: ops.uniform((3,), dtype="int32"), DTypeError, ("uniform", "dtype", "int32")),
    # --- shapes
    "add shapes": (lambda: ops.add(f(3), f(4)), ShapeError, ("add", "a", r"\(3,\)", "b", r"\(4,\)")),
    "where shapes": (lambda: ops.where(f(2) > 0, f(3), f(3)), ShapeError, ("where", "condition")),
    "matmul inner": (
        lambda: ops.matmul(f(2, 3), f(4, 5)),
        ShapeError,
        ("matmul", "b", r"\(4, 5\)", r"\(2, 3\)"),
    ),
    "matmul scalar": (lambda: ops.matmul(f(), f(2, 2)), ShapeError, ("matmul", "a", r"\(\)")),
    "matmul batches": (
        lambda: ops.matmul(f(2, 3, 4), f(3, 4, 5)),
        ShapeError,
        ("matmul", "batch", r"\(2, 3, 4\)", r"\(3, 4, 5\)"),
    ),
    "bmm matrix": (lambda: ops.bmm(f(2, 3), f(3, 4)), ShapeError, ("bmm", "a", r"\(2, 3\)")),
    "bmm inner": (lambda: ops.bmm(f(2, 3, 4), f(2, 5, 6)), ShapeError, ("(bmm|matmul)", "b")),
    "addmm c": (lambda: ops.addmm(f(3), f(2, 3), f(3, 4)), ShapeError, ("addmm", "c", r"\(3,\)")),
    "addmm inner": (lambda: ops.addmm(f(4), f(2, 3), f(5, 4)), ShapeError, ("addmm", "a", "b")),
    "linear weight": (
        lambda: ops.linear(f(2, 3), f(4, 5)),
        ShapeError,
        ("linear", "weight", r"\(4, 5\)", r"\(2, 3\)"),
    ),
    "linear bias": (
        lambda: ops.linear(f(2, 3), f(4, 3), f(5)),
        ShapeError,
        ("linear", "bias", r"\(5,\)", r"\(4,\)"),
    ),
    "conv2d channels": (
        lambda: ops.conv2d(f(1, 3, 8, 8), f(8, 4, 3, 3)),
        ShapeError,
        ("conv2d", "weight", r"\(8, 4, 3, 3\)", "3 channels"),
    ),
    "conv2d weight ndim": (lambda: ops.conv2d(f(1, 3, 8, 8), f(8, 3, 3)), ShapeError, ("conv2d", "weight")),
    "conv2d x ndim": (lambda: ops.conv2d(f(8, 8), f(8, 3, 3, 3)), ShapeError, ("conv2d", "x", r"\(8, 8\)")),
    "conv2d bias": (
        lambda: ops.conv2d(f(1, 3, 8, 8), f(8, 3, 3, 3), f(7)),
        ShapeError,
        ("conv2d", "bias", r"\(7,\)", r"\(8,\)"),
    ),
    "conv2d groups": (
        lambda: ops.conv2d(f(1, 3, 8, 8), f(8, 3, 3, 3), groups=2),
        EinkornError,
        ("conv2d", "groups"),
    ),
    "conv2d large kernel": (
        lambda: ops.conv2d(f(1, 1, 2, 5), f(1, 1, 3, 3)),
        ShapeError,
        ("conv2d", "weight", "padded"),
    ),
    "conv2d large dilation": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), dilation=3),
        ShapeError,
        ("conv2d", "weight", "padded"),
    ),
    "conv2d empty kernel": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 0, 3)),
        ShapeError,
        ("conv2d", "weight"),
    ),
    "conv2d empty image": (
        lambda: ops.conv2d(f(1, 1, 0, 5), f(1, 1, 3, 3)),
        ShapeError,
        ("conv2d", "weight", "padded"),
    ),
    "conv1d channels": (
        lambda: ops.conv1d(f(1, 3, 8), f(8, 4, 3)),
        ShapeError,
        ("conv1d", "weight", r"\(8, 4, 3\)"),
    ),
    "max_pool2d ndim": (lambda: ops.max_pool2d(f(4), 2), ShapeError, ("max_pool2d", "x", r"\(4,\)")),
    "max_pool2d large kernel": (
        lambda: ops.max_pool2d(f(1, 1, 2, 2), 3),
        EinkornError,
        ("max_pool2d", "(kernel|window)"),
    ),
    "avg_pool2d large kernel": (
        lambda: ops.avg_pool2d(f(1, 1, 2, 2), 3),
        EinkornError,
        ("avg_pool2d", "(kernel|window)"),
    ),
    "global_max_pool2d empty": (
        lambda: ops.global_max_pool2d(f(1, 1, 0, 3)),
        ShapeError,
        ("global_max_pool2d", "x"),
    ),
    "global_avg_pool2d empty": (
        lambda: ops.global_avg_pool2d(f(1, 1, 0, 3)),
        ShapeError,
        ("global_avg_pool2d", "x"),
    ),
    "prelu weight": (lambda: ops.prelu(f(2, 3), f(4)), ShapeError, ("prelu", "weight", r"\(4,\)")),
    "reshape": (lambda: ops.reshape(f(6), (4, 2)), ShapeError, ("reshape", r"\(4, 2\)")),
    "reshape two unknown": (lambda: ops.reshape(f(6), (-1, -1)), EinkornError, ("reshape", "shape")),
    "concatenate shapes": (
        lambda: ops.concatenate([f(2, 3), f(2, 4)]),
        ShapeError,
        ("concatenate", r"\(2, 4\)"),
    ),
    "concatenate nothing": (lambda: ops.concatenate([]), EinkornError, ("concatenate", "arrays")),
    "stack shapes": (lambda: ops.stack([f(2), f(3)]), ShapeError, ("stack", r"\(3,\)")),
    "broadcast_to": (
        lambda: ops.broadcast_to(f(3), (4,)),
        ShapeError,
        ("broadcast_to", r"\(3,\)", r"\(4,\)"),
    ),
    "nine dimensions": (lambda: ops.relu(f(*[1] * 9)), ShapeError, ("relu", "x", "9 dimensions")),
    "nine dimensions, wide": (lambda: ops.add(f(*[1] * 9), f(1)), ShapeError, ("add", "9")),
    "broadcast_to nine dimensions": (
        lambda: ops.broadcast_to(f(3), (1,) * 8 + (3,)),
        ShapeError,
        ("broadcast_to", "shape", "8 dimensions"),
    ),
    # --- the trap of broadcasting targets
    "mse_loss (n,1)": (
        lambda: ops.mse_loss(f(4, 1), f(4)),
        ShapeError,
        ("mse_loss", "target", r"\(4,\)", r"\(4, 1\)"),
    ),
    "l1_loss (n,1)": (
        lambda: ops.l1_loss(f(4), f(4, 1)),
        ShapeError,
        ("l1_loss", "target", r"\(4, 1\)", r"\(4,\)"),
    ),
    "bce (n,1)": (
        lambda: ops.binary_cross_entropy(f(4) / 8, f(4, 1) / 8),
        ShapeError,
        ("binary_cross_entropy", "target", r"\(4, 1\)", r"\(4,\)"),
    ),
    "bce logits (n,1)": (
        lambda: ops.binary_cross_entropy_with_logits(f(4), f(4, 1)),
        ShapeError,
        ("binary_cross_entropy_with_logits", "target", r"\(4, 1\)", r"\(4,\)"),
    ),
    "cross_entropy (n,1)": (
        lambda: ops.cross_entropy(f(3, 4), labels(0, 1, 2).reshape(3, 1)),
        ShapeError,
        ("cross_entropy", "target", r"\(3, 1\)", r"\(3,\)"),
    ),
    "cross_entropy rows": (
        lambda: ops.cross_entropy(f(3, 4), labels(0, 1)),
        ShapeError,
        ("cross_entropy", "target", r"\(2,\)", r"\(3,\)"),
    ),
    "cross_entropy vector": (
        lambda: ops.cross_entropy(f(4), labels(0)),
        ShapeError,
        ("cross_entropy", "input", r"\(4,\)"),
    ),
    "cross_entropy weight": (
        lambda: ops.cross_entropy(f(3, 4), labels(0, 1, 2), f(3)),
        ShapeError,
        ("cross_entropy", "weight", r"\(3,\)", r"\(4,\)"),
    ),
    # --- indices
    "cross_entropy class": (
        lambda: ops.cross_entropy(f(3, 4), labels(0, 4, 1)),
        IndexRangeError,
        ("cross_entropy", "target", "4", "(row|position|index) .*1"),
    ),
    "cross_entropy negative class": (
        lambda: ops.cross_entropy(f(3, 4), labels(0, 1, -7)),
        IndexRangeError,
        ("cross_entropy", "target", "-7"),
    ),
    "getitem": (lambda: ops.getitem(f(3, 4), 3), EinkornError, ("getitem", "3")),
    "getitem array": (
        lambda: ops.getitem(f(3, 4), labels(0, 5)),
        IndexRangeError,
        ("getitem", "5"),
    ),
    "getitem too many": (lambda: ops.getitem(f(3), (0, 0)), EinkornError, ("getitem",)),
    # --- options
    "conv2d stride 0": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), stride=0),
        ArgumentError,
        ("conv2d", "stride", "0", "1"),
    ),
    "conv2d dilation 0": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), dilation=(1, 0)),
        ArgumentError,
        ("conv2d", "dilation", "0"),
    ),
    "conv2d negative padding": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), padding=-1),
        ArgumentError,
        ("conv2d", "padding", "-1"),
    ),
    "conv2d fractional stride": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), stride=1.5),
        ArgumentError,
        ("conv2d", "stride", "1.5"),
    ),
    "conv2d three strides": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), stride=(1, 1, 1)),
        ArgumentError,
        ("conv2d", "stride"),
    ),
    "conv2d groups 0": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), groups=0),
        ArgumentError,
        ("conv2d", "groups", "0"),
    ),
    "conv2d padding word": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), padding="full"),
        ArgumentError,
        ("conv2d", "padding", "full"),
    ),
    "conv2d same with stride": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), stride=2, padding="same"),
        ArgumentError,
        ("conv2d", "padding", "stride"),
    ),
    "conv2d activation": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), activation="gelu"),
        ArgumentError,
        ("conv2d", "activation", "gelu", "relu"),
    ),
    "linear activation": (
        lambda: ops.linear(f(2, 3), f(4, 3), activation=["relu"]),
        ArgumentError,
        ("linear", "activation"),
    ),
    "max_pool2d kernel 0": (
        lambda: ops.max_pool2d(f(1, 1, 4, 4), 0),
        ArgumentError,
        ("max_pool2d", "kernel_size", "0"),
    ),
    "max_pool2d stride 0": (
        lambda: ops.max_pool2d(f(1, 1, 4, 4), 2, stride=0),
        ArgumentError,
        ("max_pool2d", "stride", "0"),
    ),
    "max_pool2d dilation 0": (
        lambda: ops.max_pool2d(f(1, 1, 4, 4), 2, dilation=0),
        ArgumentError,
        ("max_pool2d", "dilation", "0"),
    ),
    "max_pool2d wide padding": (
        lambda: ops.max_pool2d(f(1, 1, 4, 4), 2, padding=2),
        ArgumentError,
        ("max_pool2d", "padding", "2", "half"),
    ),
    "avg_pool2d stride 0": (
        lambda: ops.avg_pool2d(f(1, 1, 4, 4), 2, stride=0),
        ArgumentError,
        ("avg_pool2d", "stride", "0"),
    ),
    "avg_pool2d wide padding": (
        lambda: ops.avg_pool2d(f(1, 1, 4, 4), 2, padding=2),
        ArgumentError,
        ("avg_pool2d", "padding", "2", "half"),
    ),
    "adaptive_avg_pool2d 0": (
        lambda: ops.adaptive_avg_pool2d(f(1, 1, 4, 4), (0, -1)),
        ArgumentError,
        ("adaptive_avg_pool2d", "output_size"),
    ),
    "lp_pool2d norm 0": (
        lambda: ops.lp_pool2d(f(1, 1, 4, 4), 0, 2),
        ArgumentError,
        ("lp_pool2d", "norm_type", "0"),
    ),
    "gelu approximate": (
        lambda: ops.gelu(f(3), approximate="sigmoid"),
        ArgumentError,
        ("gelu", "approximate", "sigmoid"),
    ),
    "clip word": (lambda: ops.clip(f(3), "0", 1), EinkornError, ("clip", "min")),
    "clip shape": (lambda: ops.clip(f(3), f(2)), ShapeError, ("clip", "min", r"\(2,\)")),
    "leaky_relu slope": (
        lambda: ops.leaky_relu(f(3), None),
        ArgumentError,
        ("leaky_relu", "negative_slope", "None"),
    ),
    "elu alpha": (lambda: ops.elu(f(3), "1"), ArgumentError, ("elu", "alpha", "'1'")),
    "dropout p": (lambda: ops.dropout(f(3), 1.5), ArgumentError, ("dropout", "p", "1.5")),
    "dropout NaN": (lambda: ops.dropout(f(3), float("nan")), ArgumentError, ("dropout", "p", "nan")),
    "uniform bounds": (
        lambda: ops.uniform((3,), low=1.0, high=0.0),
        ArgumentError,
        ("uniform", "low", "high"),
    ),
    "normal std": (lambda: ops.normal((3,), std=-1.0), ArgumentError, ("normal", "std", "-1")),
    "permutation": (lambda: ops.permutation(-1), EinkornError, ("permutation", "n", "-1")),
    "label_smoothing": (
        lambda: ops.cross_entropy(f(2, 3), labels(0, 1), label_smoothing=1.5),
        ArgumentError,
        ("cross_entropy", "label_smoothing", "1.5"),
    ),
    "cross_entropy reduction": (
        lambda: ops.cross_entropy(f(2, 3), labels(0, 1), reduction="max"),
        ArgumentError,
        ("cross_entropy", "reduction", "max"),
    ),
    "mse_loss reduction": (
        lambda: ops.mse_loss(f(3), f(3), reduction="average"),
        ArgumentError,
        ("mse_loss", "reduction", "average"),
    ),
    # --- axes
    "sum axis": (lambda: ops.sum(f(2, 3), 2), EinkornError, ("sum", "axis", "2")),
    "sum axis twice": (lambda: ops.sum(f(2, 3), (0, -2)), EinkornError, ("sum", "axis")),
    "argmax axis": (lambda: ops.argmax(f(2, 3), -3), EinkornError, ("argmax", "axis", "-3")),
    "argmax two axes": (lambda: ops.argmax(f(2, 3), (0, 1)), ArgumentError, ("argmax", "axis", "0, 1")),
    "argmax scalar": (lambda: ops.argmax(f(), 1), ArgumentError, ("argmax", "axis", "1")),
    "sum axis word": (lambda: ops.sum(f(2, 3), "0"), ArgumentError, ("sum", "axis", "'0'")),
    "sum axis fraction": (lambda: ops.sum(f(2, 3), 0.5), ArgumentError, ("sum", "axis", "0.5")),
    "softmax axis": (lambda: ops.softmax(f(2, 3), 2), EinkornError, ("softmax", "axis", "2")),
    "transpose axis": (lambda: ops.transpose(f(2, 3), 0, 2), EinkornError, ("transpose", "2")),
    "permute": (lambda: ops.permute(f(2, 3), (0, 0)), EinkornError, ("permute", r"\(0, 0\)")),
    "concatenate axis": (
        lambda: ops.concatenate([f(2), f(2)], 1),
        EinkornError,
        ("concatenate", "axis", "1"),
    ),
    "flatten": (lambda: ops.flatten(f(2, 3, 4), 2, 1), EinkornError, ("flatten", "start_dim")),
    # --- nothing to choose from
    "max of nothing": (lambda: ops.max(f(0)), EinkornError, ("max", "x", "0")),
    "min of nothing": (lambda: ops.min(f(3, 0), axis=1), EinkornError, ("min", "x", "0")),
    "argmax of nothing": (lambda: ops.argmax(f(3, 0), 1), EinkornError, ("argmax", "x", "0")),
    # --- sizes below zero and beyond the address space
    "uniform negative": (lambda: ops.uniform((-1, 2)), EinkornError, ("uniform", "shape", "-1")),
    "normal overflow": (lambda: ops.normal((HUGE, HUGE)), EinkornError, ("normal", "shape")),
    "broadcast overflow": (
        lambda: ops.add(wide(1 << 40, 1), wide(1, 1 << 40)),
        ShapeError,
        ("add", "shapes", "a", "b"),
    ),
    "matmul overflow": (
        lambda: ops.matmul(f(1 << 40, 0), f(0, 1 << 40)),
        ShapeError,
        ("matmul", "shape", "larger"),
    ),
    "pad overflow": (lambda: ops.pad(f(3), (HUGE, HUGE)), EinkornError, ("pad", "pad")),
    "pad below nothing": (lambda: ops.pad(f(3), (-2, -2)), EinkornError, ("pad", "pad")),
    "conv2d padding overflow": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), padding=HUGE),
        EinkornError,
        ("conv2d", "padding"),
    ),
    "conv2d dilation overflow": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), dilation=HUGE),
        EinkornError,
        ("conv2d", "dilation"),
    ),
    "conv2d stride overflow": (
        lambda: ops.conv2d(f(1, 1, 5, 5), f(1, 1, 3, 3), stride=1 << 70),
        EinkornError,
        ("conv2d", "stride"),
    ),
    "max_pool2d kernel overflow": (
        lambda: ops.max_pool2d(f(1, 1, 5, 5), HUGE),
        EinkornError,
        ("max_pool2d", "kernel"),
    ),
    "max_pool2d stride overflow": (
        lambda: ops.max_pool2d(f(1, 1, 5, 5), 2, stride=1 << 70),
        EinkornError,
        ("max_pool2d", "stride"),
    ),
    "adaptive_avg_pool2d overflow": (
        lambda: ops.adaptive_avg_pool2d(f(1, 1, 5, 5), HUGE),
        EinkornError,
        ("adaptive_avg_pool2d", "output_size"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, engine: str) -> None:
    call, error, words = BAD[name]
    with pytest.raises(error, match=f"(?s)^{words[0]}: " + "".join(f".*?{w}" for w in words[1:])) as caught:
        call()
    assert isinstance(caught.value, (ValueError, TypeError))


# --- engines guard memory even where an operation did not ------------------------------------------


def test_kernels_refuse_read_only_outputs(engine: str) -> None:
    k = einkorn.engines.cpu()
    out = np.zeros(4, np.float32)
    out.flags.writeable = False
    with pytest.raises((ValueError, TypeError)):
        k.relu(out, f(4))
    np.testing.assert_array_equal(out, 0)


# --- backward -----------------------------------------------------------------------------------


def test_backward_refusals(engine: str) -> None:
    x = einkorn.Tensor(f(3), requires_grad=True)
    y = ops.square(x)
    with pytest.raises(GradientError, match=r"^backward: .*scalar"):
        y.backward()
    with pytest.raises(ShapeError, match=r"^backward: .*\(2,\).*\(3,\)"):
        y.backward(f(2))
    with pytest.raises(EinkornError, match=r"^backward: .*gradient"):
        y.backward(f(3, dtype=np.float64))
    y.backward(f(3))
    with pytest.raises(GradientError, match=r"^backward: .*used"):
        y.backward(f(3))
    with pytest.raises(GradientError, match=r"^backward: .*require"):
        einkorn.Tensor(f(3)).backward(f(3))


def test_engine_and_isa_names() -> None:
    with pytest.raises(ArgumentError, match=r"^set_engine: engine .*'gpu'.*native.*numba"):
        einkorn.set_engine("gpu")
    if einkorn.get_engine() == "native":
        with pytest.raises(ArgumentError, match=r"^set_isa: .*'sse9'"):
            einkorn.set_isa("sse9")
