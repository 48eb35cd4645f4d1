"""Writing into a Tensor that exists: in-place operators and item assignment, with torch's rules.

A write under ``no_grad``, or between tensors that record nothing, is a plain write. A recorded one gives the
tensor a new node: what was recorded with it before keeps the old one, and what reads its memory later gets
the new values with their gradient. Refused are leaves that require a gradient (nothing could compute their
old values' gradient any more) and their views; ``einkorn._versions`` notices saved values that are gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _bfloat16, _versions
from einkorn._device import device_of, is_writeable, move
from einkorn._grad_mode import mode, no_grad
from einkorn._tape import Node, source
from einkorn.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Writes", "assign", "renew", "rewrite", "times", "update"]

#: Operations whose gradient needs neither operand, so that writing over the first one loses nothing.
_SAVE_NOTHING = ("add", "subtract")
#: Operations that are no kernel of their own.
_COMPOSED = ("floor_divide", "remainder")


def update(tensor: Tensor, op: str, other: Any) -> Tensor:
    """``tensor = op(tensor, other)`` in the tensor's own memory; returns the tensor.

    Parameters
    ----------
    op : {"add", "subtract", "multiply", "divide", "power", "floor_divide", "remainder"}
    other : number, array or Tensor that broadcasts to the tensor's shape
    """
    from einkorn.ops._elementwise import _float_operands
    from einkorn.ops._road import broadcast_to

    data = tensor._data
    _check_writeable(tensor, op)
    if data.dtype.kind != "f":
        return _update_other(tensor, op, other)
    if op in _COMPOSED:
        return rewrite(tensor, op, lambda before: getattr(einkorn.ops, op)(before, other))
    if not _records(tensor, other):
        try:
            _, right = _float_operands(op, data, other)
        except DTypeError:
            return _update_other(tensor, op, other)
        _check_broadcast(op, right.shape, data.shape)
        if _overlap(data, right) and right is not data:
            right = right.copy()
        getattr(_bfloat16.of(data), op)(data, data, broadcast_to(right, data.shape))
        _versions.wrote(data)
        return tensor
    return _update_recorded(tensor, op, other)


def _update_recorded(tensor: Tensor, op: str, other: Any) -> Tensor:
    data = tensor._data
    _refuse_leaf(tensor, op)
    source(tensor)
    before = _version(tensor, data if op in _SAVE_NOTHING else data.copy())
    if other is tensor:
        other = before
    elif _is_tensor(other) and _overlap(data, other._data):
        other = _version(other, other._data.copy())
    elif isinstance(other, np.ndarray) and _overlap(data, other):
        other = other.copy()
    new = getattr(einkorn.ops, op)(before, other)
    if new.dtype != data.dtype:  # bfloat16 and something wider
        new = new.to(data.dtype)
    _check_broadcast(op, new.shape, data.shape)
    _bfloat16.of(data).copy(data, new._data)
    _adopt(tensor, new._node)
    return tensor


def _update_other(tensor: Tensor, op: str, other: Any) -> Tensor:
    """The same for bfloat16, integers and booleans: the result must be of their kind."""
    data = tensor._data
    if _bfloat16.is_floating(data.dtype):
        if _records(tensor, other):
            return _update_recorded(tensor, op, other)
        with no_grad():
            new = getattr(einkorn.ops, op)(tensor, other)._data
        _check_broadcast(op, new.shape, data.shape)
        _bfloat16.of(data).copy(data, new)
        _versions.wrote(data)
        return tensor
    new = getattr(einkorn.ops, op)(tensor, other)._data
    _check_kind(op, new.dtype, data.dtype)
    _check_broadcast(op, new.shape, data.shape)
    np.copyto(data, new, casting="unsafe")  # integers lose their high bits
    _versions.wrote(data)
    return tensor


def renew(x: Any, op: str, function: Any) -> Any:
    """``x[...] = function(x)`` for a function that keeps shape and type; returns x, a Tensor or an array."""
    if _is_tensor(x):
        return rewrite(x, op, function)
    x[...] = function(x)
    return x


def assign(tensor: Tensor, op: str, key: Any, value: Any) -> None:
    """``tensor[key] = value``: value is a number, an array or a Tensor that broadcasts to ``tensor[key]``."""
    from einkorn.ops._indexing import steps
    from einkorn.ops._road import needs, sum_to
    from einkorn.ops.copy import as_place, plain_key, refused_key

    *first, key = steps(as_place(plain_key(key)))
    data = tensor._data
    _check_writeable(tensor, op)
    new = _values(op, value, data)
    floating = _bfloat16.is_floating(data.dtype)
    recorded = floating and _records(tensor, value)
    if not floating and _bfloat16.is_floating(new.dtype) and needs(value):
        raise DTypeError(f"{op}: value requires a gradient, which a tensor of {data.dtype} does not have")
    if recorded:
        _refuse_leaf(tensor, op)
        # In t[key] += x the view t[key] has been written, and now tells the tensor whose view it is.
        told = needs(value) and getattr(value._node, "number", -2) == _versions.last_recorded(data)
        origins = [tensor._node if told else source(tensor), source(value) if needs(value) else None]
    if new.dtype != data.dtype and not floating and _bfloat16.is_bfloat16(new.dtype):
        new = _bfloat16.widen(new)
    elif new.dtype != data.dtype and data.dtype.kind == "V":
        new = einkorn.ops.cast(new, data.dtype)  # rounded once
    try:
        there = data[first[0]] if first else data
        if np.ndim(new) > 1:
            new = _without_leading_ones(new, there, key)
        there[key] = new
    except (IndexError, TypeError) as error:
        raise refused_key(op, error, "the tensor", data.shape) from None
    except ValueError as error:
        raise ShapeError(f"{op}: {error}") from None
    if not recorded:
        _versions.wrote(data)
        return
    keeps, gives, shape = tensor._requires_grad, origins[1] is not None, np.shape(value)
    kind = value.dtype if gives else None

    def back(there: Any) -> Any:
        """The gradient of the value, which was broadcast, and may have had axes of one more."""
        more = max(len(shape) - there.ndim, 0)
        summed = sum_to(there, shape[more:])
        return summed.reshape(shape) if more else summed

    def set_item(g: Any) -> tuple[Any, Any]:
        rest = None
        if _is_tensor(g):
            k = _bfloat16.of(g._data)
            kept = k.empty(g.shape, g.dtype)
            k.fill(kept, 1.0)
            (kept[first[0]] if first else kept)[key] = 0
            there = g[first[0]][key] if first else g[key]
            return g * kept if keeps else None, back(there).to(kind) if gives else None
        if keeps:
            k = _bfloat16.of(g)
            rest = k.empty(g.shape, g.dtype)
            k.copy(rest, g)
            (rest[first[0]] if first else rest)[key] = 0
        there = (g[first[0]] if first else g)[key]
        return rest, einkorn.ops.cast(back(there), kind) if gives else None

    _adopt(tensor, Node(origins, set_item, ()))


def rewrite(tensor: Tensor, op: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    """``tensor = function(tensor)`` in the tensor's own memory; returns the tensor."""
    from einkorn.ops._moves import mover

    data = tensor._data
    _check_writeable(tensor, op)
    if mode.enabled and tensor._requires_grad:
        _refuse_leaf(tensor, op)
        source(tensor)
    new = function(_version(tensor, data.copy()))
    _check_broadcast(op, new.shape, data.shape)
    if new.dtype != data.dtype:
        _check_kind(op, new.dtype, data.dtype)
        new = einkorn.ops.cast(new, data.dtype)
    if new._requires_grad:
        _refuse_leaf(tensor, op)
    mover(data).copy(data, new._data)
    if new._requires_grad:
        _adopt(tensor, new._node)
    else:
        _versions.wrote(data)
    return tensor


def times(mine: Any, other: Any, alpha: Any) -> Any:
    """``alpha * other``, what ``add`` and ``sub`` take with torch's option, in the type of their result."""
    if alpha == 1:
        return other
    if getattr(getattr(other, "dtype", None), "kind", "f") in "iub" and other.dtype != mine.dtype:
        from einkorn.ops._promotion import common_type

        other = einkorn.ops.cast(other, common_type(mine, other))
    return other * alpha if isinstance(other, (int, float)) else einkorn.ops.multiply(other, alpha)


class Writes:
    """The methods of Tensor that write into it, with torch's names."""

    __slots__ = ()

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """``self += alpha * other``."""
        return update(_self(self), "add", times(_self(self), other, alpha))

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """``self -= alpha * other``."""
        return update(_self(self), "subtract", times(_self(self), other, alpha))

    def mul_(self, other: Any) -> Tensor:
        """``self *= other``."""
        return update(_self(self), "multiply", other)

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """``self /= other``, rounded down by "floor" and towards 0 by "trunc"."""
        if rounding_mode is None:
            return update(_self(self), "divide", other)
        return rewrite(
            _self(self), "div_", lambda x: einkorn.ops.divide(x, other, rounding_mode=rounding_mode)
        )

    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_

    def pow_(self, exponent: Any) -> Tensor:
        """``self **= exponent``."""
        return update(_self(self), "power", exponent)

    def copy_(self, src: Any) -> Tensor:
        """Take over the values of ``src``, which may broadcast, be of another type and on another device."""
        tensor = _self(self)
        if _is_tensor(src) and device_of(src._data) != device_of(tensor._data):
            src = src.to(device_of(tensor._data))
        assign(tensor, "copy_", ..., src)
        return tensor

    def fill_(self, value: float) -> Tensor:
        """Every element becomes ``value``."""
        assign(_self(self), "fill_", ..., value)
        return _self(self)

    def zero_(self) -> Tensor:
        """Every element becomes 0."""
        return self.fill_(0.0)


def _self(tensor: Writes) -> Tensor:
    return tensor  # type: ignore[return-value]


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_requires_grad")  # Tensor is defined on this module


def _records(tensor: Tensor, other: Any) -> bool:
    return mode.enabled and (tensor._requires_grad or getattr(other, "_requires_grad", False))


def _version(tensor: Tensor, data: Any) -> Tensor:
    """The tensor as it is now: what is recorded next knows it by this one."""
    return tensor._wrap(data, tensor._requires_grad, tensor._node)


def _adopt(tensor: Tensor, node: Node | None) -> None:
    """Give the tensor the node of what was just written into its memory."""
    assert node is not None
    data = tensor._data
    if _versions.owner(data) is data:
        _versions.link(data)
    elif not tensor._requires_grad:
        _versions.unlink(data)
    node.number = _versions.wrote_recorded(data)  # the node is as old as the values that it stands for
    tensor._node = node
    tensor._requires_grad = True


def _refuse_leaf(tensor: Tensor, op: str) -> None:
    node: Any = tensor._node
    if node is None:
        if tensor._requires_grad:
            raise GradientError(
                f"{op}: a leaf tensor that requires a gradient cannot be changed in place while operations"
                " are recorded: do it under no_grad()"
            )
        return
    if _versions.owner(tensor._data) is tensor._data:
        return
    while isinstance(node, Node) and len(node.inputs) == 1:  # views have one input
        node = node.inputs[0]
    leaf = None if node is None or isinstance(node, Node) else node
    if leaf is not None and _versions.owner(leaf._data) is _versions.owner(tensor._data):
        raise GradientError(
            f"{op}: a view of a leaf tensor that requires a gradient cannot be changed in place while"
            " operations are recorded: do it under no_grad()"
        )


def _check_writeable(tensor: Tensor, op: str) -> None:
    if not is_writeable(tensor._data):
        raise GradientError(f"{op}: the tensor of shape {tensor.shape} is read-only, so it cannot be changed")


def _check_kind(op: str, new: Any, kind: Any) -> None:
    from einkorn.ops._promotion import category

    if category(new) > category(kind):
        raise DTypeError(f"{op}: the result is of {new}, which a tensor of {kind} does not hold")


def _check_broadcast(op: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape == expected:
        return
    try:
        fits = np.broadcast_shapes(shape, expected) == expected
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{op}: other has shape {shape}, which does not broadcast in place to {expected}")


def _overlap(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return np.may_share_memory(a, b)
    return _versions.owner(a) is _versions.owner(b)


def _without_leading_ones(new: Any, there: Any, key: Any) -> Any:
    """``new`` with no more axes than the place has; NumPy drops them by itself, but not for masks."""
    parts = key if isinstance(key, tuple) else (key,)
    masks = [part for part in parts if getattr(part, "dtype", None) == np.bool_ and np.ndim(part)]
    if len(masks) != 1 or any(part is not Ellipsis for part in parts if part is not masks[0]):
        return new
    rank = there.ndim - masks[0].ndim + 1
    while new.ndim > max(rank, 1) and new.shape[0] == 1:
        new = new[0]
    return new


def _values(op: str, value: Any, data: Any) -> Any:
    """The number or array to write, of a type that converts to the tensor's."""
    if _is_tensor(value):
        new = value._data
    elif hasattr(value, "dtype") and type(value).__module__.partition(".")[0] in ("numpy", "cupy"):
        new = value
    else:
        try:
            new = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DTypeError(f"{op}: value is a {type(value).__name__}, expected numbers: {error}") from None
    if type(value) is int and data.dtype.kind in "iu":
        limits = np.iinfo(data.dtype)
        if not limits.min <= value <= limits.max:
            raise ArgumentError(f"{op}: value is {value}, beyond the numbers of {data.dtype}")
    if type(value) is float and not math.isfinite(value) and data.dtype.kind in "iu":
        raise ArgumentError(f"{op}: value is {value}, which no {data.dtype} is")
    if isinstance(new, np.ma.MaskedArray) and np.ma.is_masked(new):
        raise ArgumentError(f"{op}: value is an array with masked elements, expected one without: fill them")
    if new.dtype.kind not in "fiub" and not _bfloat16.is_bfloat16(new.dtype):
        raise DTypeError(f"{op}: value has dtype {new.dtype}, expected real numbers")
    if isinstance(new, np.ndarray) and new.ndim and not isinstance(data, np.ndarray):
        return move(new, device_of(data))
    if isinstance(data, np.ndarray) and not isinstance(new, (np.ndarray, np.generic)):
        raise DeviceError(f"{op}: value is a {type(new).__name__}, expected a {type(data).__name__}")
    return new
