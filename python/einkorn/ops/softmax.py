"""softmax and its logarithm along one axis."""

from __future__ import annotations

from math import prod
from typing import Any

from einkorn import engines
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.ops._options import ABSENT, axis_of
from einkorn.ops._road import contiguous, record, result, unwrap
from einkorn.ops.copy import cast
from einkorn.ops.elementwise import exp
from einkorn.ops.reduce import sum as sum_over

__all__ = ["log_softmax", "softmax"]


def _along(op: str, x: Any, axis: Any, dim: Any, dtype: Any) -> Any:
    if dtype is None and (axis is ABSENT or dim is ABSENT):
        last = dim if axis is ABSENT else axis
        if last is ABSENT or (type(last) is int and last == -1):
            a = x._data if isinstance(x, Tensor) else x
            out = engines.cpu().quick(op + "_forward", a)
            if out is not None:
                if a is x:
                    return out
                if not (x._requires_grad and mode.enabled):
                    return Tensor._wrap(out, False, None)
                return record(out, (x,), _OF_LAST[op], (None, out))
    if dim is not ABSENT:
        if axis is not ABSENT:
            raise ArgumentError(f"{op}: axis is {axis!r} and dim is {dim!r}, expected one of them")
        axis = dim
    if dtype is not None:
        x = cast(x, dtype)
    a = contiguous(unwrap(x, op, "x"))
    shape = a.shape
    d = axis_of(op, -1 if axis is ABSENT else axis, len(shape))
    n = shape[d] if shape else 1
    inner = prod(shape[d + 1 :])
    blocks = (prod(shape[:d]), n, inner)  # [outer, n, inner]

    k = engines.of(a)
    out = k.empty(blocks, a.dtype)
    getattr(k, op + "_forward")(out, a.reshape(blocks))
    out = out.reshape(shape)
    return result(out, (x,), _gradient(op, d, shape, n, inner), (None, out))


def _gradient(op: str, d: int, shape: tuple[int, ...], n: int, inner: int) -> Any:
    def backward(g: Any, _: Any, out: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            if op == "softmax":
                weighted = g * out
                return (weighted - out * sum_over(weighted, d, True) if shape else g * 0.0,)
            return (g - exp(out) * sum_over(g, d, True) if shape else g * 0.0,)
        k = engines.of(out)
        blocks = (prod(shape[:d]), n, inner)
        gx = k.empty(shape, g.dtype)
        getattr(k, op + "_backward")(gx.reshape(blocks), contiguous(g).reshape(blocks), out.reshape(blocks))
        return (gx,)

    return backward


def _of_last(op: str) -> Any:
    def rule(g: Any, _: Any, out: Any) -> tuple[Any]:
        shape = out.shape
        found: tuple[Any] = _gradient(op, len(shape) - 1, shape, shape[-1], 1)(g, _, out)
        return found

    return rule


_OF_LAST = {"softmax": _of_last("softmax"), "log_softmax": _of_last("log_softmax")}


def softmax(x: Any, axis: int = ABSENT, *, dim: Any = ABSENT, dtype: Any = None) -> Any:
    """``exp(x) / sum(exp(x))`` along an axis, without overflow.

    Parameters
    ----------
    x : array or Tensor
    axis : int, default -1
        The axis whose elements sum to 1.
    dim : int, keyword-only
        torch's name for the same. Without either, torch takes another axis for some ranks.
    dtype : float32 or float64, keyword-only, optional
        x is converted first.

    Returns
    -------
    array or Tensor of x's shape
        A row with a NaN, a +inf or nothing but -inf is NaN throughout. A scalar gives 1.

    Raises
    ------
    ArgumentError
        If x has no such axis.
    DTypeError
        Unless x is float32 or float64, or dtype is given.
    """
    return _along("softmax", x, axis, dim, dtype)


def log_softmax(x: Any, axis: int = ABSENT, *, dim: Any = ABSENT, dtype: Any = None) -> Any:
    """``log(softmax(x))`` along an axis, in one stable formula; arguments and errors as :func:`softmax`."""
    return _along("log_softmax", x, axis, dim, dtype)
