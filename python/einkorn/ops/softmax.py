"""softmax and its logarithm along one axis."""

from __future__ import annotations

from math import prod
from typing import Any

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import contiguous, result, unwrap

__all__ = ["log_softmax", "softmax"]


def _along(op: str, x: Any, axis: int) -> Any:
    a = contiguous(unwrap(x, op, "x"))
    shape = a.shape
    ndim = len(shape)
    if ndim == 0:
        raise ShapeError(f"{op}: x is a scalar, expected at least 1 dimension")
    if type(axis) is not int:
        try:
            axis = axis.__index__()
        except AttributeError:
            raise ArgumentError(f"{op}: axis is {axis!r}, expected an int") from None
    if not -ndim <= axis < ndim:
        raise ArgumentError(
            f"{op}: axis is {axis}, expected {-ndim} to {ndim - 1} because x has shape {shape}"
        )
    if axis < 0:
        axis += ndim
    blocks = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))  # [outer, n, inner]

    k = engines.of(a)
    out = k.empty(blocks, a.dtype)
    getattr(k, op + "_forward")(out, a.reshape(blocks))

    def backward(g: Any) -> tuple[Any]:
        gx = k.empty(shape, out.dtype)
        getattr(k, op + "_backward")(gx.reshape(blocks), contiguous(g).reshape(blocks), out)
        return (gx,)

    return result(out.reshape(shape), (x,), backward)


def softmax(x: Any, axis: int = -1) -> Any:
    """``exp(x) / sum(exp(x))`` along an axis, without overflow.

    Parameters
    ----------
    x : array or Tensor
        At least one dimension.
    axis : int, default -1
        The axis whose elements sum to 1.

    Returns
    -------
    array or Tensor of x's shape
        A row with a NaN, a +inf or nothing but -inf is NaN throughout.

    Raises
    ------
    ShapeError
        If x is a scalar.
    ArgumentError
        If x has no such axis.
    DTypeError
        Unless x is float32 or float64.
    """
    return _along("softmax", x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """``log(softmax(x))`` along an axis, in one stable formula; arguments and errors as :func:`softmax`."""
    return _along("log_softmax", x, axis)
