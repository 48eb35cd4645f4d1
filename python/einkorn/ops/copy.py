"""Shapes and copies: views where a view will do, one copy kernel where not."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import _autocast, _bfloat16, engines
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn._torch_names import written
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops import _promotion, _road
from einkorn.ops._indexing import advanced, is_advanced, steps
from einkorn.ops._moves import movable, mover
from einkorn.ops._options import ABSENT, axis_of, check_rank, integer, number
from einkorn.ops._road import check_size, moved, result, same_dtype, sum_to

__all__ = [
    "broadcast_to",
    "cast",
    "concatenate",
    "contiguous",
    "flatten",
    "getitem",
    "pad",
    "permute",
    "reshape",
    "stack",
    "transpose",
]


_BOTH = {np.dtype(np.float32), np.dtype(np.float64)}


def _dense(a: Any) -> Any:
    return _road.contiguous(a) if a.dtype.kind == "f" else a if a.flags.c_contiguous else a.copy()


def contiguous(x: Any) -> Any:
    """Return ``x`` in row-major order: itself when it is so already, else a copy."""
    a = movable(x, "contiguous")
    return moved(_dense(a), (x,), lambda g: (g,))


def cast(x: Any, dtype: Any) -> Any:
    """Convert to another element type: float32, float64, bfloat16, booleans or a type of integers.

    From floats to floats the gradient flows through. What becomes bfloat16 is rounded once, to the nearest
    and in a tie to the even neighbour. Towards integers fractions are cut off; True is what is not 0.

    Parameters
    ----------
    x : array or Tensor
    dtype : NumPy type or its name

    Raises
    ------
    DTypeError
        For another type.
    """
    wanted = _bfloat16.dtype_of(dtype).newbyteorder("=")
    low = _bfloat16.is_bfloat16(wanted)
    if wanted not in (np.float32, np.float64) and wanted.kind not in "iub" and not low:
        raise DTypeError(
            f"cast: dtype is {dtype!r}, expected float32, float64, bfloat16, bool or a type of integers"
        )
    a = movable(x, "cast", "x")
    before = a.dtype

    def converted(source: Any, to: Any) -> Any:
        if isinstance(source, Tensor):
            return cast(source, to)
        k = _bfloat16.Stored(engines.of(source)) if low or _bfloat16.is_bfloat16(before) else mover(source)
        out = k.empty(source.shape, to)
        k.copy(out, source)
        return out

    if not _bfloat16.is_floating(wanted) or not _bfloat16.is_floating(before):
        out = converted(a, wanted) if low else a.astype(wanted)
        return moved(out, (x.detach() if isinstance(x, Tensor) else x,), lambda g: (None,))
    return moved(converted(a, wanted), (x,), lambda g: (converted(g, before),))


def _view(a: Any, shape: tuple[int, ...]) -> Any:
    """``a`` in another shape: a view where strides allow it, else copied by our kernel."""
    if isinstance(a, Tensor):
        return reshape(a, shape)
    if a.flags.c_contiguous:
        return a.reshape(shape)
    try:
        return a.reshape(shape, copy=False)
    except (TypeError, ValueError):  # TypeError: NumPy 2.0 and CuPy cannot be asked
        return _dense(a).reshape(shape)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape.

    Parameters
    ----------
    x : array or Tensor
    shape : int or tuple of int
        One entry may be -1 and follows from the others.

    Raises
    ------
    ShapeError
        If the number of elements does not fit.
    """
    a = movable(x, "reshape")
    sizes = _sizes("reshape", shape)
    check_rank("reshape", f"shape {sizes}", len(sizes))
    if math.prod(sizes) != a.size or min(sizes, default=0) < 0:
        known = math.prod(sizes) * -1 if sizes.count(-1) == 1 else 0
        if known <= 0 or a.size % known or min(sizes) < -1:
            raise ShapeError(f"reshape: x has shape {a.shape}, which does not fit into {sizes}")
    before = a.shape
    return moved(_view(a, sizes), (x,), lambda g: (_view(g, before),))


def _sizes(op: str, shape: Any) -> tuple[int, ...]:
    if type(shape) is tuple and {int}.issuperset(map(type, shape)):
        return shape
    try:
        return tuple(integer(op, "shape", n) for n in (shape if np.ndim(shape) else (shape,)))
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: shape is {shape!r}, expected an int or a tuple of ints") from None


def transpose(x: Any, first: int = ABSENT, second: int = ABSENT) -> Any:
    """Swap two dimensions (a view), as ``torch.transpose``.

    NumPy's ``transpose(x)`` and ``transpose(x, axes)`` are refused: :func:`permute` does that.
    """
    a = movable(x, "transpose")
    if second is ABSENT:
        raise ArgumentError(
            "transpose: expected two dimensions to swap, as torch has it; NumPy's transpose(x, axes) is"
            " permute(x, axes) here"
        )
    i = axis_of("transpose", first, a.ndim, "first")
    j = axis_of("transpose", second, a.ndim, "second")
    if not a.ndim:
        return moved(a[...], (x,), lambda g: (g,))
    return moved(a.swapaxes(i, j), (x,), lambda g: (_swapped(g, i, j),))


def _swapped(a: Any, i: int, j: int) -> Any:
    return transpose(a, i, j) if isinstance(a, Tensor) else a.swapaxes(i, j)


@either_spelling
def permute(x: Any, axes: Sequence[int]) -> Any:
    """Put the dimensions into another order (a view).

    Parameters
    ----------
    x : array or Tensor
    axes : sequence of int
        Dimension i of the result is dimension ``axes[i]`` of x.
    """
    a = movable(x, "permute")
    if not isinstance(axes, (tuple, list)) and np.ndim(axes) != 1:
        raise ArgumentError(f"permute: axes is {axes!r}, expected a sequence of ints")
    order = tuple([axis_of("permute", axis, a.ndim, "axes") for axis in axes])
    if len(order) != a.ndim or len(set(order)) != a.ndim:
        raise ArgumentError(f"permute: axes is {tuple(axes)}, expected each of {a.ndim} dimensions once")

    def backward(g: Any) -> tuple[Any]:
        back = [order.index(d) for d in range(len(order))]
        return (permute(g, back) if isinstance(g, Tensor) else g.transpose(back),)

    return moved(a.transpose(order), (x,), backward)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Merge the dimensions from ``start_dim`` to ``end_dim`` into one."""
    a = movable(x, "flatten")
    start = axis_of("flatten", start_dim, a.ndim, "start_dim")
    end = axis_of("flatten", end_dim, a.ndim, "end_dim")
    if a.ndim == 0:
        return moved(a.reshape(1), (x,), lambda g: (g.reshape(()),))
    if start > end:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    merged = 1
    for n in a.shape[start : end + 1]:
        merged *= n
    before = a.shape
    shape = (*before[:start], merged, *before[end + 1 :])
    return moved(_view(a, shape), (x,), lambda g: (_view(g, before),))


def broadcast_to(x: Any, shape: Any) -> Any:
    """View with a larger shape, by NumPy's broadcasting rules."""
    a = movable(x, "broadcast_to")
    sizes = _sizes("broadcast_to", shape)
    if len(sizes) > 8:
        raise ShapeError(f"broadcast_to: shape is {sizes}, at most 8 dimensions are supported")
    try:
        if min(sizes, default=0) < 0:
            raise ValueError
        out = _road.broadcast_to(a, sizes)
    except ValueError:
        raise ShapeError(
            f"broadcast_to: x has shape {a.shape}, which does not broadcast to {sizes}"
        ) from None
    before = a.shape
    return result(out, (x,), lambda g: (sum_to(g, before),), ())


def _joined(op: str, arrays: Any) -> tuple[tuple[Any, ...], list[Any]]:
    if isinstance(arrays, Tensor) or not isinstance(arrays, (list, tuple)):
        raise DTypeError(f"{op}: arrays is a {type(arrays).__name__}, expected a list of arrays")
    if not arrays:
        raise ShapeError(f"{op}: arrays is empty, expected at least one array")
    given = tuple(arrays)
    unwrapped = [movable(x, op, "arrays") for x in given]
    first = unwrapped[0]
    for a in unwrapped:
        if a.dtype is not first.dtype or type(a) is not type(first):
            floats = {a.dtype for a in unwrapped if _bfloat16.is_floating(a.dtype)}
            if any(isinstance(x, Tensor) for x in given) or not floats >= _BOTH:
                wanted = _promotion.common_type(*unwrapped)
                given = tuple([cast(x, wanted) for x in given])
                unwrapped = [movable(x, op, "arrays") for x in given]
            same_dtype(op, **{f"arrays[{i}]": a for i, a in enumerate(unwrapped)})
            break
    return given, unwrapped


def _joined_at_once(op: str, arrays: Any, axis: Any) -> tuple[Any, list[Any]]:
    """What one call makes of Tensors of plain arrays, or None where they need a closer look."""
    if type(arrays) is not list and type(arrays) is not tuple:
        return None, []
    parts = [x._data if isinstance(x, Tensor) else x for x in arrays]
    return engines.cpu().quick(op, parts, axis), parts


def _along(op: str, axis: Any, dim: Any) -> Any:
    if dim is ABSENT:
        return 0 if axis is ABSENT else axis
    if axis is not ABSENT:
        raise ArgumentError(f"{op}: axis is {axis!r} and dim is {dim!r}, expected one of them")
    return dim


def concatenate(arrays: Any, axis: int = ABSENT, *, dim: int = ABSENT) -> Any:
    """Join arrays along an axis they have.

    Parameters
    ----------
    arrays : list of array or Tensor
        Alike in shape but for ``axis``.
    axis : int, default 0
    dim : int, keyword-only
        torch's name for the same.

    Raises
    ------
    ShapeError
        If the list is empty or shapes differ elsewhere.
    """
    if dim is ABSENT:
        at = 0 if axis is ABSENT else axis
        out = engines.cpu().quick("concatenate", arrays, at)
        if out is not None:
            return out
        out, parts = _joined_at_once("concatenate", arrays, at)
        if out is not None:
            d = at % out.ndim
            sizes = [a.shape[d] for a in parts]
            return moved(out, tuple(arrays), lambda g: _split_along(g, d, sizes))
    given, parts = _joined("concatenate", arrays)
    first = parts[0]
    if first.ndim == 0:
        raise ShapeError("concatenate: arrays[0] is a scalar, expected at least 1 dimension")
    axis = _along("concatenate", axis, dim)
    d = axis_of("concatenate", axis, first.ndim)
    before, after = first.shape[:d], first.shape[d + 1 :]
    sizes = []
    for i, a in enumerate(parts):
        shape = a.shape
        if len(shape) != first.ndim or shape[:d] != before or shape[d + 1 :] != after:
            raise ShapeError(
                f"concatenate: arrays[{i}] has shape {a.shape}, expected {first.shape} but for axis {axis}"
            )
        sizes.append(shape[d])
    k = mover(first)
    out = k.empty((*before, sum(sizes), *after), first.dtype)
    for a, place in zip(parts, _split_along(out, d, sizes), strict=True):
        k.copy(place, a)
    return moved(out, given, lambda g: _split_along(g, d, sizes))


def _split_along(g: Any, d: int, sizes: Sequence[int]) -> tuple[Any, ...]:
    """Views of a joined array's parts."""
    whole, end, parts = (slice(None),) * d, 0, []
    for size in sizes:
        place = (*whole, slice(end, end + size))
        parts.append(g[place])
        end += size
    return tuple(parts)


def stack(arrays: Any, axis: int = ABSENT, *, dim: int = ABSENT, out: Any = None) -> Any:
    """Join arrays of one shape along a new axis.

    Parameters
    ----------
    arrays : list of array or Tensor
    axis : int, default 0
        Position of the new axis in the result.
    dim : int, keyword-only
        torch's name for the same.
    out : array or Tensor, keyword-only, optional
        Where the result is written; it is given back.
    """
    if out is not None:
        return written("stack", out, stack(arrays, axis, dim=dim))
    if dim is ABSENT:
        out = engines.cpu().quick("stack", arrays, 0 if axis is ABSENT else axis)
        if out is not None:
            return out
    given, parts = _joined("stack", arrays)
    first = parts[0]
    check_rank("stack", "the new axis", first.ndim + 1)
    d = axis_of("stack", _along("stack", axis, dim), first.ndim + 1)
    for i, a in enumerate(parts):
        if a.shape != first.shape:
            raise ShapeError(f"stack: arrays[{i}] has shape {a.shape}, expected {first.shape}")
    k = mover(first)
    out = k.empty((*first.shape[:d], len(parts), *first.shape[d:]), first.dtype)
    places: list[Any] = [(*(slice(None),) * d, i, ...) for i in range(len(parts))]
    for a, place in zip(parts, places, strict=True):
        k.copy(out[place], a)
    return moved(out, given, lambda g: tuple([g[place] for place in places]))


def plain_key(key: Any) -> Any:
    """An index expression with arrays in the place of Tensors, and ints in that of single integers."""
    if type(key) is int or type(key) is slice:
        return key
    if isinstance(key, tuple):
        return tuple([list(part) if isinstance(part, (tuple, range)) else plain_key(part) for part in key])
    if isinstance(key, range):
        return list(key)
    if isinstance(key, Tensor):
        key = key._data
    elif type(key).__module__.partition(".")[0] == "torch":
        key = key.numpy()
    dtype = getattr(key, "dtype", None)
    if dtype is not None and dtype.kind in "iu" and key.ndim == 0:
        return int(key)
    return key


def as_place(key: Any) -> Any:
    """A plain index expression, with an ellipsis where it has none: one element is then a 0-d array."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(part is Ellipsis or isinstance(part, list) or hasattr(part, "__array__") for part in parts):
        return key
    return (*parts, ...)


def refused_key(op: str, error: Exception, name: str, shape: tuple[int, ...]) -> Exception:
    """NumPy's error of an index expression as one of ours."""
    kind: Any = IndexRangeError
    if isinstance(error, TypeError):
        kind = DTypeError
    elif isinstance(error, ValueError):
        kind = ArgumentError
    return kind(f"{op}: {error} ({name} has shape {shape})")


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` with NumPy's rules for numbers, slices, None, Ellipsis and integer or boolean arrays.

    Of a Tensor with torch's rules: a number beside arrays selects a slice before they are looked at.

    Parameters
    ----------
    x : array or Tensor
    key : index expression
        Numbers and slices give a view, arrays a copy.

    Raises
    ------
    IndexRangeError
        If an index lies outside its axis.
    """
    a = movable(x, "getitem")
    key = plain_key(key)
    parts = key if isinstance(key, tuple) else (key,)
    fancy = is_advanced(parts)
    if fancy and isinstance(x, Tensor):
        *first, key = steps(key)
        if first:
            return getitem(getitem(x, first[0]), key)
        parts = key if isinstance(key, tuple) else (key,)
    if fancy and _bfloat16.is_floating(a.dtype):
        return advanced(x if isinstance(x, Tensor) else a, a.shape, parts)
    try:
        out = a[key]
    except (IndexError, TypeError, ValueError) as error:
        raise refused_key("getitem", error, "x", a.shape) from None
    view: Any = parts if any(part is Ellipsis for part in parts) else (*parts, ...)
    if not fancy:
        out = a[view]  # with an ellipsis, a single element is a 0-d view and not a NumPy scalar
    check_rank("getitem", "key", out.ndim)
    if fancy and isinstance(out, np.generic):
        out = np.asarray(out)

    shape = a.shape

    def backward(g: Any) -> tuple[Any]:
        return (_placed(g, key if fancy else view, fancy, shape),)

    return moved(out, (x,), backward)


def _placed(g: Any, key: Any, fancy: bool, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape with ``g`` at ``key``: what carries gradients back through indexing."""
    a = movable(g, "getitem", "gradient")
    k = mover(a)
    out = k.empty(shape, a.dtype)
    k.fill(out, 0.0)
    if fancy:
        xp = np if isinstance(out, np.ndarray) else sys.modules["cupy"]
        xp.add.at(out, key, a)  # an element that was taken twice gets both gradients
    else:
        k.copy(out[key], a)
    return moved(out, (g,), lambda g: (g[key],))


def pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Surround with a constant or with x itself, as ``torch.nn.functional.pad``.

    Parameters
    ----------
    x : array or Tensor
    pad : sequence of int, or of pairs of int
        Pairs (before, after) in a row, the last axis first, as in torch; negative numbers crop. Or, as in
        NumPy, a pair for each axis, the first one first, or one pair for all; from 0 up.
    mode : {"constant", "reflect", "replicate", "circular"}
        ``"reflect"``: mirrored at the edge, which is not repeated; ``"replicate"``: the edge;
        ``"circular"``: from the other end. With NumPy's pairs also by NumPy's names, "edge" and "wrap".
    value : float, optional
        Of the constant; default 0.

    Raises
    ------
    ShapeError
        If there are more pairs than axes, an axis would get a negative size, or more is asked for than
        there is to reflect (less than the axis) or to go around (the axis).
    """
    a = movable(x, "pad")
    if isinstance(pad, (tuple, list, np.ndarray)) and len(pad) and np.ndim(pad[0]):
        pad, mode = _row_of_pairs(pad, a.ndim), {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ArgumentError(
            f"pad: mode is {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'"
        )
    if mode != "constant" and value:
        raise ArgumentError(f"pad: value is {value!r}, expected none for mode {mode!r}")
    if _autocast.active and mode in ("reflect", "replicate") and _autocast.state.holds_for(x):
        x = _road.widened(x)  # as torch.autocast has it
        a = movable(x, "pad")
    fill = 0.0 if value is None else number("pad", "value", value)
    try:
        amounts = tuple([integer("pad", "pad", n) for n in pad])
    except (TypeError, ValueError):
        raise ArgumentError(
            f"pad: pad is {pad!r}, expected ints: before and after of the last axis, then of the next"
        ) from None
    if len(amounts) % 2 or len(amounts) // 2 > a.ndim:
        raise ShapeError(
            f"pad: pad is {tuple(pad)}, expected at most {a.ndim} pairs because x has {a.ndim} axes"
        )
    shape = list(a.shape)
    kept, place = [slice(None)] * a.ndim, [slice(None)] * a.ndim  # the same elements, in x and in the result
    for i in range(len(amounts) // 2):
        before, after = amounts[2 * i], amounts[2 * i + 1]
        d = a.ndim - 1 - i
        n = shape[d]
        shape[d] = wide = n + before + after
        if wide < 0:
            raise ShapeError(
                f"pad: x has shape {a.shape} and pad is {tuple(pad)}, which leaves {wide} of {n}"
            )
        kept[d] = slice(max(-before, 0), max(n - max(-after, 0), 0))
        place[d] = slice(max(before, 0), max(wide - max(after, 0), 0))
    check_size("pad", tuple(shape), "pad")
    if mode != "constant":
        return _beyond(x, a.shape, amounts, mode)
    inside, outside = tuple(kept), tuple(place)
    k = mover(a)
    out = k.empty(tuple(shape), a.dtype)
    k.fill(out, fill)
    k.copy(out[outside], a[inside])

    before_shape = a.shape

    def backward(g: Any) -> tuple[Any]:
        if min(amounts, default=0) >= 0:  # nothing was cropped
            return (g[outside],)
        if isinstance(g, Tensor):
            return (_padded(g, [-n for n in amounts]),)
        gx = k.empty(before_shape, g.dtype)
        k.fill(gx, 0.0)
        k.copy(gx[inside], g[outside])
        return (gx,)

    return result(out, (x,), backward, ())


def _row_of_pairs(pairs: Any, ndim: int) -> tuple[int, ...]:
    """NumPy's pairs as torch has them: in a row, the last axis first."""
    if any(np.ndim(p) != 1 or len(p) != 2 for p in pairs) or len(pairs) not in (1, ndim):
        raise ShapeError(f"pad: pad is {pairs!r}, expected a pair for each of {ndim} axes, or one for all")
    amounts = [[integer("pad", "pad", n, 0) for n in pair] for pair in pairs]
    return tuple([n for pair in (amounts if len(amounts) == ndim else amounts * ndim)[::-1] for n in pair])


def _beyond(x: Any, shape: tuple[int, ...], amounts: tuple[int, ...], mode: str) -> Any:
    """Padded with slices of x itself, along one axis after the other."""
    for i in range(len(amounts) // 2):
        before, after = amounts[2 * i], amounts[2 * i + 1]
        if before == after == 0:
            continue
        d = len(shape) - 1 - i
        n = shape[d]
        rest = n + min(before, 0) + min(after, 0)
        most = {"reflect": n - 1, "circular": rest, "replicate": max(before, after) if n else 0}[mode]
        if max(before, after) > most:
            raise ShapeError(
                f"pad: pad is {amounts} and x has shape {shape}: {mode} has at most {max(most, 0)} beyond"
                f" axis {d}"
            )
        first, last = max(before, 0), max(after, 0)
        if mode == "circular":  # around what they leave
            x = _cut(x, d, max(-before, 0), n - max(-after, 0))
            ends = _cut(x, d, rest - first, rest), _cut(x, d, 0, last)
        elif mode == "reflect":
            ends = _cut(x, d, first, 0, -1), _cut(x, d, -2, -2 - last, -1)
        else:
            ends = _edge(x, shape, d, 0, first), _edge(x, shape, d, n - 1, last)
        x = concatenate([ends[0], x, ends[1]], d)
        if mode != "circular" and min(before, after) < 0:
            x = _cut(x, d, max(-before, 0), n + first + last - max(-after, 0))
        shape = (*shape[:d], n + before + after, *shape[d + 1 :])
    return x


def _cut(x: Any, axis: int, *where: int) -> Any:
    return getitem(x, (*(slice(None),) * axis, slice(*where)))


def _edge(x: Any, shape: tuple[int, ...], axis: int, at: int, count: int) -> Any:
    return broadcast_to(_cut(x, axis, at, at + 1), (*shape[:axis], count, *shape[axis + 1 :]))


def _padded(g: Any, amounts: Sequence[int]) -> Any:
    return pad(g, amounts)
