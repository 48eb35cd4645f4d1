"""Index expressions with arrays in them, by NumPy's rules, as a row of operations that have gradients.

::

    x[1:, rows, :, mask]        slices and None     a view, one axis for each array
                                permute             those axes side by side (in front, if a slice parts them)
                                reshape             one axis of them, in which the arrays are one flat index
                                take                the rows that it names
                                reshape             the arrays' common shape in the place of that axis

Steps that would change nothing are left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import device_of, is_on_gpu, move
from einkorn._tensor import Tensor
from einkorn.errors import IndexRangeError
from einkorn.ops._options import check_rank
from einkorn.ops._places import check_range, rows, take
from einkorn.ops._road import broadcast_to

__all__ = ["advanced", "is_advanced", "steps"]

_ALL = slice(None)


def is_advanced(parts: tuple[Any, ...]) -> bool:
    """Whether there is an array, a list or a truth value among the parts of an index expression."""
    return any(
        isinstance(part, (list, bool, np.bool_))
        or (hasattr(part, "__array__") and not isinstance(part, np.integer))
        for part in parts
    )


def steps(key: Any) -> tuple[Any, ...]:
    """torch's meaning of a plain index expression, as expressions in NumPy's meaning, one after the other.

    In torch a number selects a slice before arrays are looked at. In NumPy it is an array like the others,
    and where a slice parts the two (``x[0, :, index]``) their axis comes first. An array of bytes is a mask.
    """
    parts = tuple(
        _array(part) != 0 if getattr(part, "dtype", None) == np.uint8 and np.ndim(part) else part
        for part in (key if isinstance(key, tuple) else (key,))
    )
    key = parts if isinstance(key, tuple) else parts[0]
    if not any(type(part) is int for part in parts) or not is_advanced(parts):
        return (key,)
    places = [
        i for i, part in enumerate(parts) if not (part is None or part is Ellipsis or type(part) is slice)
    ]
    if places[-1] - places[0] == len(places) - 1:
        return (key,)
    first: list[Any] = []
    for part in parts:
        if type(part) is int or part is Ellipsis:
            first.append(part)
        elif type(part) is slice:
            first.append(_ALL)
        elif part is not None:
            array = part if hasattr(part, "dtype") else np.asarray(part)
            first.extend([_ALL] * (array.ndim if array.dtype.kind == "b" else 1))
    return tuple(first), tuple([part for part in parts if type(part) is not int])


def _axes(part: Any) -> int:
    """How many axes a part of an index expression stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


def _array(part: Any) -> Any:
    return part if is_on_gpu(part) else np.asarray(part)


def _arrays(parts: tuple[Any, ...]) -> list[Any]:
    """The parts, with arrays for lists and numbers."""
    out: list[Any] = []
    for part in parts:
        if part is None or part is Ellipsis or isinstance(part, slice):
            out.append(part)
            continue
        array = _array(part)
        if array.size == 0 and isinstance(part, list):
            array = array.astype(np.int64)
        if array.dtype.kind not in "iub":
            raise IndexRangeError(
                f"getitem: the key holds {array.dtype}, expected integers, booleans, slices, None or Ellipsis"
            )
        out.append(array)
    return out


def _whole(index: Any) -> Any:
    """The same as int64, without gaps."""
    return index.astype(np.int64, order="C", copy=not index.flags.c_contiguous)


def advanced(x: Any, shape: tuple[int, ...], parts: tuple[Any, ...]) -> Any:
    """``x[parts]`` of an array of that shape; a copy."""
    known = _arrays(parts)
    place = device_of(x._data if isinstance(x, Tensor) else x)
    used = sum(map(_axes, known))
    if used > len(shape):
        raise IndexRangeError(f"getitem: the key has {used} indices (x has shape {shape})")
    rest = [_ALL] * (len(shape) - used)
    at = next((i for i, part in enumerate(known) if part is Ellipsis), len(known))
    known[at : at + 1] = rest
    if any(part is Ellipsis for part in known):
        raise IndexRangeError("getitem: the key has more than one Ellipsis")

    view: list[Any] = []  # of slices and None
    axes: list[int] = []  # of the view, for each index
    indices: list[Any] = []
    places: list[int] = []  # in the key, of what holds indices
    axis = 0
    for i, part in enumerate(known):
        if part is None or isinstance(part, slice):
            view.append(part)
            axis += part is not None
            continue
        places.append(i)
        if part.dtype == np.bool_ and part.ndim == 0:  # an axis of its own, of one element or none
            axes.append(len(view))
            indices.append(move(np.zeros(int(part), np.int64), place))
            view.append(None)
            continue
        found = (part,)
        if part.dtype == np.bool_:
            if part.shape != shape[axis : axis + part.ndim]:
                raise IndexRangeError(
                    f"getitem: the key has booleans of shape {part.shape} for axes of shape"
                    f" {shape[axis : axis + part.ndim]} (x has shape {shape})"
                )
            found = part.nonzero()
        for index in found:
            if index is part:
                index = check_range("getitem", "index", _whole(index), shape[axis], axis)
            axes.append(len(view))
            indices.append(move(index, place))
            view.append(_ALL)
            axis += 1

    try:
        common = np.broadcast_shapes(*(index.shape for index in indices))
    except ValueError:
        shapes = ", ".join(str(index.shape) for index in indices)
        raise IndexRangeError(f"getitem: indices of shapes {shapes} do not broadcast together") from None
    check_rank("getitem", "key", len(view) - len(axes) + len(common))
    if any(part is None or part != _ALL for part in view):
        x = x[tuple(view)]
    together = places[-1] - places[0] == len(places) - 1
    if not together:
        x = ops.permute(x, (*axes, *(d for d in range(len(view)) if d not in axes)))
    first = axes[0] if together else 0
    sizes = x.shape[first : first + len(axes)]
    flat: Any = indices[0]
    if len(indices) > 1:
        flat = 0
        for index, n in zip(indices, sizes, strict=True):
            flat = flat * n + np.where(index < 0, index + n, index)
        before, after = x.shape[:first], x.shape[first + len(axes) :]
        x = ops.reshape(x, (*before, math.prod(sizes), *after))
    flat = _whole(broadcast_to(flat, common)).reshape(-1)
    whole = tuple(x.shape)
    out = take("getitem", x, first, rows(flat, whole, first))
    if len(common) == 1:
        return out
    return ops.reshape(out, (*whole[:first], *common, *whole[first + 1 :]))
