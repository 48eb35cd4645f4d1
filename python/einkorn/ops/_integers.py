"""Integers and booleans: where operations take them, and what becomes of them beside floats.

Kernels compute in float32 and float64. Counts, labels and masks are integers and booleans all the same,
and a few operations have a meaning for them that needs no float: these are NumPy's here, exact and without
gradients, and what they return is an array of integers or booleans (a Tensor where one came), by the
promotion that NumPy and torch share. Beside an array of floats an array of integers takes its type, as in
torch. What would turn an array of integers into floats of a size of its own choosing (``exp`` of integers:
float64 in NumPy, float32 in torch) is left to the caller's :func:`einkorn.ops.cast`; a Tensor of them
becomes float32, as in torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import cupy_module, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "as_float",
    "binary",
    "clip",
    "fitted",
    "integral",
    "reduce",
    "refuse_zeros",
    "unary",
    "where",
    "wrapped",
]


def _toward_zero(a: Any, b: Any) -> Any:
    quotient = np.floor_divide(a, b)
    return quotient + ((quotient < 0) & (quotient * b != a))


_BINARY: dict[str, Any] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide_floor": np.floor_divide,
    "divide_trunc": _toward_zero,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
}
_UNARY: dict[str, Callable[[Any], Any]] = {
    "absolute": np.absolute,
    "negative": np.negative,
    "square": lambda x: x.astype(np.int64) if x.dtype.kind == "b" else np.square(x),
}
#: What makes floats of integers.
_FLOATING = (
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "copysign", "cos", "cosh", "divide"),
    *("erf", "erfc", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt"),
    *("sigmoid", "sin", "sinh", "sqrt", "tan", "tanh"),
)


def integral(x: Any) -> Any:
    """The array of integers or booleans behind ``x``; None when it is anything else.

    An array with masked elements is: what takes floats refuses it by name.
    """
    if isinstance(x, Tensor):
        x = x._data
    elif type(x).__module__.partition(".")[0] == "torch":
        if x.dtype.is_floating_point or x.dtype.is_complex or x.device.type not in ("cpu", "cuda"):
            return None
        if x.device.type == "cuda":
            x = cupy_module(f"a torch tensor on {x.device}").from_dlpack(x.detach())
        else:
            x = x.detach().numpy()
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        return None
    if isinstance(x, (np.ndarray, np.integer, np.bool_)) and x.dtype.kind in "iub":
        return np.asarray(x, x.dtype.newbyteorder("="))
    if is_on_gpu(x) and x.dtype.kind in "iub":
        return x
    return None


def as_float(x: Any, dtype: Any) -> Any:
    """``x``, or where it holds integers an array of them as floats of that type."""
    whole = integral(x)
    return x if whole is None else whole.astype(dtype)


def _as_float32(x: Any) -> Any:
    return Tensor(x._data.astype(np.float32)) if isinstance(x, Tensor) else x


def wrapped(out: Any, *inputs: Any) -> Any:
    """An array; a Tensor, or a tensor of torch, where one of the arrays was one."""
    out = out if is_on_gpu(out) else np.asarray(out)
    if any(isinstance(x, Tensor) for x in inputs):
        return Tensor._wrap(out, False, None)
    if any(type(x).__module__.partition(".")[0] == "torch" for x in inputs):
        torch = sys.modules["torch"]
        return torch.from_dlpack(out) if is_on_gpu(out) else torch.from_numpy(out)
    return out


def _pair(a: Any, b: Any) -> tuple[Any, Any] | None:
    """Both as integers, plain ones as they are; None when one holds something else."""
    left = a if type(a) is int or type(a) is bool else integral(a)
    right = b if type(b) is int or type(b) is bool else integral(b)
    return None if left is None or right is None else (left, right)


def binary(op: str, a: Any, b: Any) -> Any:
    """What ``op`` gives for integers or booleans on both sides; None where one side holds floats."""
    both = _pair(a, b)
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        lone = isinstance(b, (float, np.floating)) if both is None else op in _FLOATING
        if lone or isinstance(a, (float, np.floating)):
            name, _, rounding = op.partition("_") if op.startswith("divide_") else (op, "", "")
            options = {"rounding_mode": rounding} if rounding else {}
            return getattr(ops, name)(_as_float32(a), _as_float32(b), **options)
    if both is None or op not in _BINARY:
        return None
    left, right = both
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        left, right = fitted(op, left, right), fitted(op, right, left)
    if op in ("divide_floor", "divide_trunc"):
        refuse_zeros("divide", right)
    if op == "power" and np.size(right) and np.min(right) < 0:
        raise ArgumentError("power: b has negative numbers and both are integers, expected floats")
    _check_shapes(op, a=left, b=right)
    try:
        return wrapped(_BINARY[op](left, right), a, b)
    except (TypeError, OverflowError) as error:
        raise DTypeError(f"{op}: a and b hold integers that it does not take: {error}") from None


def fitted(op: str, value: Any, other: Any) -> Any:
    """A plain number beside a Tensor of integers; beyond their type, what torch makes of it: its low bits."""
    kind = getattr(other, "dtype", None)
    if type(value) is not int or kind is None or kind.kind not in "iu":
        return value
    limits = np.iinfo(kind)
    if limits.min <= value <= limits.max:
        return value
    if op == "power" or not -(1 << 63) <= value < 1 << 63:
        raise ArgumentError(f"{op}: got {value}, beyond the numbers of {kind if op == 'power' else 'int64'}")
    return np.array(value, np.int64).astype(kind)


def refuse_beyond(what: str, value: Any, kind: Any) -> None:
    """A plain whole number that a type of integers does not hold."""
    if type(value) is int and kind is not None and kind.kind in "iu":
        limits = np.iinfo(kind)
        if not limits.min <= value <= limits.max:
            raise ArgumentError(f"{what} is {value}, beyond the numbers of {kind}")


def refuse_zeros(op: str, b: Any) -> None:
    """Integers have no quotient by 0; NumPy's would be 0."""
    if np.size(b) and not np.all(b):
        raise ArgumentError(f"{op}: b has zeros and both are integers, which have no infinity: expected none")


def unary(op: str, x: Any) -> Any:
    """What ``op`` gives for integers; None where x holds something else, or op makes floats of integers."""
    whole = integral(x)
    if whole is not None and op in _FLOATING and isinstance(x, Tensor):
        return getattr(ops, op)(_as_float32(x))
    if whole is None or op not in _UNARY or (whole.dtype.kind == "b" and op != "square"):
        return None
    return wrapped(_UNARY[op](whole), x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """``numpy.where`` of integers or booleans; None where a or b holds floats."""
    both = _pair(a, b)
    if both is None:
        return None
    _check_shapes("where", condition=condition, a=both[0], b=both[1])
    for name, value, other in (("a", both[0], both[1]), ("b", both[1], both[0])):
        refuse_beyond(f"where: {name}", value, getattr(other, "dtype", None))
    return wrapped(np.where(condition != 0, *both), a, b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """Limits for integers, themselves integers; None where something holds floats."""
    whole = integral(x)
    for name, limit in (("min", low), ("max", high)):
        refuse_beyond(f"clip: {name}", limit, None if whole is None else whole.dtype)
    bounds = [low if low is None or type(low) is int else integral(low) for low in (low, high)]
    if whole is None or any(
        b is None and given is not None for b, given in zip(bounds, (low, high), strict=True)
    ):
        return None
    _check_shapes(
        "clip", x=whole, **{n: b for n, b in zip(("min", "max"), bounds, strict=True) if b is not None}
    )
    out = whole
    if bounds[0] is not None:
        out = np.maximum(out, bounds[0])
    if bounds[1] is not None:
        out = np.minimum(out, bounds[1])
    return wrapped(out.copy() if out is whole else out, x)


def reduce(op: str, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Sum (of int64), max or min of an array of integers or booleans."""
    whole = integral(x)
    if op == "sum":
        kind = whole.dtype if whole.dtype == np.uint64 else np.dtype(np.int64)
        return wrapped(whole.sum(axes, dtype=kind, keepdims=keepdims), x)
    return wrapped((whole.max if op == "max" else whole.min)(axes, keepdims=keepdims), x)


def _check_shapes(op: str, **arrays: Any) -> None:
    try:
        np.broadcast_shapes(*(np.shape(a) for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items())
        raise ShapeError(f"{op}: shapes do not broadcast together: {shapes}") from None
