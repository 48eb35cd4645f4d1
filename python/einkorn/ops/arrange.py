"""Elements in another order or number: flipped, rolled, repeated, cut to triangles, split and joined.

Views where strides allow one; what copies goes through the copy and gather kernels. Names are torch's; what
NumPy calls otherwise is a second name of the same (``hstack``, ``moveaxis``, ``expand_dims``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import engines, ops
from einkorn._device import beside, move
from einkorn._spelling import either_spelling
from einkorn._torch_names import written
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops._moves import movable, mover
from einkorn.ops._options import ABSENT, axes_of, axis_of, check_rank, integer
from einkorn.ops._places import index_array, rows, take
from einkorn.ops._road import check_size, result
from einkorn.ops._rounding import rounded_once

__all__ = [
    "cat",
    "channel_shuffle",
    "chunk",
    "diag",
    "diag_embed",
    "diagonal",
    "dstack",
    "expand_dims",
    "flip",
    "hstack",
    "meshgrid",
    "moveaxis",
    "movedim",
    "narrow",
    "one_hot",
    "repeat_interleave",
    "roll",
    "rot90",
    "split",
    "squeeze",
    "swapaxes",
    "tensor_split",
    "tile",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
    "vstack",
]

_ALL = slice(None)


def _shape(op: str, x: Any) -> tuple[int, ...]:
    return movable(x, op).shape


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    return ops.getitem(x, (*(_ALL,) * axis, slice(start, stop)))


# --- the same elements in another order ---------------------------------------------------------


@either_spelling
def flip(x: Any, dims: Any = None) -> Any:
    """The elements in reverse order along axes, all where none is given as in NumPy; a copy, as in torch."""
    a = movable(x, "flip")
    axes = axes_of("flip", dims, a.ndim)
    k = mover(a)
    out = k.empty(a.shape, a.dtype)
    turned = [slice(None, None, -1) if d in axes else _ALL for d in range(a.ndim)]
    k.copy(out, a[tuple(turned)] if turned else a)
    return result(out, (x,), lambda g: (flip(g, axes),), ())


def roll(x: Any, shifts: Any, dims: Any = None, *, axis: Any = ABSENT) -> Any:
    """The elements moved on along axes; those that leave at the end come back at the front.

    Parameters
    ----------
    x : array or Tensor
    shifts : int or sequence of int
    dims : int, sequence of int or None
        As many as shifts. None: along the flattened x.
    axis : keyword-only
        NumPy's name for the same.
    """
    dims = dims if axis is ABSENT else axis
    shape = _shape("roll", x)
    if dims is None:
        flat = roll(ops.reshape(x, (-1,)), shifts, 0)
        return ops.reshape(flat, shape)
    steps = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    places = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(steps) != len(places):
        raise ArgumentError(f"roll: shifts is {shifts!r} and dims {dims!r}, expected as many of each")
    out = x
    for step, place in zip(steps, places, strict=True):
        d = axis_of("roll", place, len(shape), "dims")
        if not shape or not shape[d]:
            continue
        at = -integer("roll", "shifts", step) % shape[d]
        if at:
            out = ops.concatenate([_cut(out, d, at, shape[d]), _cut(out, d, 0, at)], d)
    return flip(x, ()) if out is x else out


@either_spelling
def rot90(x: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turn by ``k`` quarters in the plane of two axes, from the first towards the second."""
    shape = _shape("rot90", x)
    if not isinstance(dims, (tuple, list)) or len(dims) != 2:
        raise ArgumentError(f"rot90: dims is {dims!r}, expected two axes")
    i, j = (axis_of("rot90", d, len(shape), "dims") for d in dims)
    if i == j or len(shape) < 2:
        raise ArgumentError(
            f"rot90: dims is {tuple(dims)} of {len(shape)} dimensions, expected two different axes"
        )
    turns = integer("rot90", "k", k) % 4
    if turns == 0:
        return flip(x, ())
    if turns == 2:
        return flip(x, (i, j))
    return ops.transpose(flip(x, (j,)), i, j) if turns == 1 else flip(ops.transpose(x, i, j), (j,))


def channel_shuffle(x: Any, groups: int) -> Any:
    """The channels of groups dealt out in turn (ShuffleNet; Zhang et al. 2017).

    Parameters
    ----------
    x : array or Tensor [N, C, ...]
    groups : int
        Divides C.
    """
    shape = _shape("channel_shuffle", x)
    count = integer("channel_shuffle", "groups", groups, 1)
    if len(shape) < 3 or shape[1] % count:
        raise ShapeError(
            f"channel_shuffle: x has shape {shape}, expected [N, C, ...], C a multiple of {count}"
        )
    rest = math.prod(shape[2:])
    groups_apart = ops.reshape(x, (shape[0], count, shape[1] // count, rest))
    return ops.reshape(ops.transpose(groups_apart, 1, 2), shape)


@either_spelling
def swapaxes(x: Any, axis0: int, axis1: int) -> Any:
    """:func:`transpose` under NumPy's name."""
    return ops.transpose(x, axis0, axis1)


def movedim(x: Any, source: Any, destination: Any) -> Any:
    """A view with axes moved to other places; those that are not named keep their order."""
    rank = len(_shape("movedim", x))
    starts = tuple(source) if isinstance(source, (tuple, list)) else (source,)
    ends = tuple(destination) if isinstance(destination, (tuple, list)) else (destination,)
    moved = [axis_of("movedim", d, rank, "source") for d in starts]
    places = [axis_of("movedim", d, rank, "destination") for d in ends]
    if len(moved) != len(places) or len({*moved}) != len(moved) or len({*places}) != len(places):
        raise ArgumentError(
            f"movedim: source is {source!r} and destination {destination!r}, expected as many axes, each once"
        )
    if not rank:
        return ops.permute(x, ())
    order: list[int] = [-1] * rank
    for start, end in zip(moved, places, strict=True):
        order[end] = start
    rest = iter(d for d in range(rank) if d not in moved)
    return ops.permute(x, [d if d >= 0 else next(rest) for d in order])


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """:func:`movedim` under NumPy's name."""
    return movedim(x, source, destination)


# --- axes of size 1, axes taken apart -----------------------------------------------------------


@either_spelling
def unsqueeze(x: Any, dim: int) -> Any:
    """A view with an axis of size 1 at ``dim``."""
    shape = _shape("unsqueeze", x)
    check_rank("unsqueeze", "the new axis", len(shape) + 1)
    d = axis_of("unsqueeze", dim, len(shape) + 1, "dim")
    return ops.reshape(x, (*shape[:d], 1, *shape[d:]))


@either_spelling
def expand_dims(x: Any, axis: int) -> Any:
    """:func:`unsqueeze` under NumPy's name."""
    return unsqueeze(x, axis)


def squeeze(x: Any, dim: Any = None, *, axis: Any = ABSENT) -> Any:
    """A view without axes of size 1: all of them, or those of the named ones that are (as in torch).

    Parameters
    ----------
    x : array or Tensor
    dim : int, tuple of int or None
    axis : keyword-only
        NumPy's name for the same.
    """
    dim = dim if axis is ABSENT else axis
    shape = _shape("squeeze", x)
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    named = range(len(shape)) if dim is None else [axis_of("squeeze", d, len(shape), "dim") for d in given]
    if len(set(named)) != len(named):
        raise ArgumentError(f"squeeze: dim is {dim!r}, which names a dimension twice")
    return ops.reshape(x, tuple([n for d, n in enumerate(shape) if n != 1 or d not in named]))


@either_spelling
def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    """A view with an axis taken apart into several; one of their sizes may be -1."""
    shape = _shape("unflatten", x)
    d = axis_of("unflatten", dim, len(shape), "dim")
    parts = [integer("unflatten", "sizes", n, -1) for n in sizes]
    known = math.prod(n for n in parts if n >= 0)
    if parts.count(-1) == 1 and known and shape and shape[d] % known == 0:
        parts[parts.index(-1)] = shape[d] // known
    if not shape or not parts or -1 in parts or math.prod(parts) != shape[d]:
        raise ShapeError(f"unflatten: sizes is {tuple(sizes)}, which does not fit axis {dim} of {shape}")
    return ops.reshape(x, (*shape[:d], *parts, *shape[d + 1 :]))


@either_spelling
def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """A view of ``length`` slices of an axis, from ``start`` on."""
    shape = _shape("narrow", x)
    d = axis_of("narrow", dim, len(shape), "dim")
    n = shape[d] if shape else 0
    begin = integer("narrow", "start", start, -n, n)
    begin += n if begin < 0 else 0
    return _cut(x, d, begin, begin + integer("narrow", "length", length, 0, n - begin))


def windows(x: Any, dim: int, size: int, step: int) -> Any:
    """All windows of ``size`` slices along an axis, every ``step``, with the window as a new last axis.

    What ``torch.Tensor.unfold`` gives; here a copy.
    """
    shape = _shape("unfold", x)
    d = axis_of("unfold", dim, len(shape), "dimension")
    n = shape[d] if shape else 1
    size, step = integer("unfold", "size", size, 0, n), integer("unfold", "step", step, 1)
    check_rank("unfold", "the windows' axis", len(shape) + 1)
    line = x if shape else ops.reshape(x, (1,))
    count = (n - size) // step + 1
    index = (np.arange(count)[:, None] * step + np.arange(size)).reshape(-1)
    whole = shape or (1,)
    out = take("unfold", line, d, rows(index, whole, d))
    out = ops.reshape(out, (*whole[:d], count, size, *whole[d + 1 :]))
    out = movedim(out, d + 1, len(whole))
    return out if shape else ops.reshape(out, (size,))


# --- more of the same ---------------------------------------------------------------------------


@rounded_once
def tile(x: Any, dims: Any) -> Any:
    """The whole of x several times along axes, as in torch and NumPy; new axes come in front."""
    shape = _shape("tile", x)
    given = dims if isinstance(dims, (tuple, list)) else (dims,)
    times = [integer("tile", "dims", n, 0) for n in given]
    rank = max(len(shape), len(times))
    check_rank("tile", "dims", rank)
    times = [1] * (rank - len(times)) + times
    whole = (1,) * (rank - len(shape)) + shape
    check_size("tile", tuple([n * m for n, m in zip(whole, times, strict=True)]), "dims")
    out = ops.reshape(x, whole)
    for d, n in enumerate(times):
        if n != 1:
            before, after = whole[:d], math.prod(whole[d:])
            lead = math.prod(before)
            many = ops.broadcast_to(ops.reshape(out, (lead, 1, after)), (lead, n, after))
            whole = (*before, n * whole[d], *whole[d + 1 :])
            out = ops.reshape(many, whole)
    return out


@either_spelling
def repeat_interleave(x: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Every slice of an axis several times, one after the other, as ``numpy.repeat``.

    Parameters
    ----------
    x : array or Tensor
    repeats : int, or integer array or Tensor of one dimension
        How often, for all slices or for each.
    dim : int or None
        None: of the flattened x.
    output_size : int, keyword-only, optional
        What the sizes add up to, where that is known.
    """
    op = "repeat_interleave"
    if dim is None:
        x, dim = ops.reshape(x, (-1,)), 0
    shape = _shape(op, x)
    d = axis_of(op, dim, len(shape), "dim")
    if not shape:
        x, shape = ops.reshape(x, (1,)), (1,)
    counts = move(index_array(op, "repeats", repeats), "cpu")
    if counts.ndim > 1 or counts.size not in (1, shape[d]):
        raise ShapeError(f"{op}: repeats has shape {counts.shape}, expected a number or {shape[d]} of them")
    if counts.size and counts.min() < 0:
        raise ArgumentError(f"{op}: repeats has the number {int(counts.min())}, expected at least 0")
    if counts.size == 1 and shape[d] != 1:
        n = int(counts.reshape(()))
        lead, after = math.prod(shape[: d + 1]), math.prod(shape[d + 1 :])
        many = ops.broadcast_to(ops.reshape(x, (lead, 1, after)), (lead, n, after))
        out = ops.reshape(many, (*shape[:d], shape[d] * n, *shape[d + 1 :]))
        total = shape[d] * n
    else:
        index = np.repeat(np.arange(shape[d]), counts)
        total = index.size
        out = take(op, x, d, rows(beside(movable(x, op), index), shape, d))
    if output_size is not None and output_size != total:
        raise ArgumentError(f"{op}: output_size is {output_size}, but repeats make {total}")
    return out


# --- triangles and diagonals --------------------------------------------------------------------


def _triangle(op: str, x: Any, diagonal: Any, lower: bool) -> Any:
    a = movable(x, op)
    if a.ndim < 2:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected at least 2 dimensions")
    at = integer(op, "diagonal", diagonal)
    n, m = a.shape[-2:]
    kept = beside(a, np.tri(n, m, max(min(at if lower else at - 1, m), -n), bool))
    if a.dtype.kind == "b":
        out = a & (kept if lower else ~kept)
        return result(out, (x,), lambda g: (None,))
    return ops.where(kept if lower else ~kept, x, 0)


def tril(x: Any, diagonal: int = 0) -> Any:
    """The lower triangle of matrices, with 0 above the diagonal of that number."""
    return _triangle("tril", x, diagonal, True)


def triu(x: Any, diagonal: int = 0) -> Any:
    """The upper triangle of matrices, with 0 below the diagonal of that number."""
    return _triangle("triu", x, diagonal, False)


def _plane(op: str, rank: int, dim1: Any, dim2: Any) -> tuple[int, int]:
    i, j = axis_of(op, dim1, rank, "dim1"), axis_of(op, dim2, rank, "dim2")
    if i == j or rank < 2:
        raise ArgumentError(f"{op}: dim1 is {dim1} and dim2 {dim2} of {rank} dimensions, expected two axes")
    return i, j


def _diagonal_of(a: Any, offset: int, i: int, j: int) -> Any:
    """A view of the diagonal that can be written to."""
    if isinstance(a, np.ndarray):
        view = a.diagonal(offset, i, j)
        if a.flags.writeable:
            view.flags.writeable = True
        return view
    return a.diagonal(offset, i, j)


@either_spelling
def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A view of the diagonal of two axes, as a new last axis."""
    a = movable(x, "diagonal")
    i, j = _plane("diagonal", a.ndim, dim1, dim2)
    at, shape = integer("diagonal", "offset", offset, -(1 << 62), 1 << 62), a.shape
    return result(_diagonal_of(a, at, i, j), (x,), lambda g: (_on_diagonal(g, shape, at, i, j),), ())


def _on_diagonal(g: Any, shape: tuple[int, ...], offset: int, i: int, j: int) -> Any:
    """Zeros of a shape with ``g`` on the diagonal of two axes."""
    a = movable(g, "diagonal", "gradient")
    k = mover(a)
    out = k.empty(shape, a.dtype)
    k.fill(out, 0.0)
    k.copy(_diagonal_of(out, offset, i, j), a)
    return result(out, (g,), lambda h: (diagonal(h, offset, i, j),), ())


@either_spelling
def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices of 0 with the last axis of x on their diagonal."""
    shape = _shape("diag_embed", x)
    if not shape:
        raise ShapeError("diag_embed: x is a scalar, expected at least 1 dimension")
    check_rank("diag_embed", "the new axis", len(shape) + 1)
    i, j = _plane("diag_embed", len(shape) + 1, dim1, dim2)
    at = integer("diag_embed", "offset", offset)
    n = shape[-1] + abs(at)
    check_size("diag_embed", (*shape[:-1], n, n), "offset")
    rest = iter(shape[:-1])
    wide = tuple([n if d in (i, j) else next(rest) for d in range(len(shape) + 1)])
    return _on_diagonal(x, wide, at, i, j)


def diag(x: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix that has a vector on its diagonal."""
    shape = _shape("diag", x)
    if len(shape) not in (1, 2):
        raise ShapeError(f"diag: x has shape {shape}, expected 1 or 2 dimensions")
    return diag_embed(x, diagonal) if len(shape) == 1 else ops.contiguous(ops.diagonal(x, diagonal))


# --- split and joined ---------------------------------------------------------------------------


@either_spelling
def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """:func:`concatenate` under torch's short name; as there, flat tensors without elements are left out.

    ``out``, where it is given, is written, and given back.
    """
    if isinstance(tensors, (list, tuple)):
        filled = [x for x in tensors if getattr(x, "shape", None) != (0,)]
        tensors = filled or tensors
    joined = ops.concatenate(tensors, dim)
    return joined if out is None else written("cat", out, joined)


def _raised(op: str, arrays: Any, rank: int) -> list[Any]:
    if not isinstance(arrays, (list, tuple)) or not arrays:
        raise ArgumentError(f"{op}: arrays is {arrays!r}, expected a list of arrays")
    out = []
    for x in arrays:
        shape = _shape(op, x)
        if len(shape) < rank:
            before = (rank, 1, 0)[len(shape)]
            x = ops.reshape(x, ((1,) * before + shape + (1,))[:rank])
        out.append(x)
    return out


def hstack(arrays: Any) -> Any:
    """Join along the second axis, vectors along their only one."""
    parts = _raised("hstack", arrays, 1)
    return ops.concatenate(parts, 0 if len(_shape("hstack", parts[0])) == 1 else 1)


def vstack(arrays: Any) -> Any:
    """Join along the first axis; vectors are rows."""
    return ops.concatenate(_raised("vstack", arrays, 2), 0)


def dstack(arrays: Any) -> Any:
    """Join along the third axis; a vector [n] counts as [1, n, 1], a matrix [n, m] as [n, m, 1]."""
    return ops.concatenate(_raised("dstack", arrays, 3), 2)


def _pieces(op: str, x: Any, dim: Any) -> tuple[int, int]:
    shape = _shape(op, x)
    if not shape:
        raise ShapeError(f"{op}: x is a scalar, expected at least 1 dimension")
    d = axis_of(op, dim, len(shape), "dim")
    return d, shape[d]


@either_spelling
def split(x: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of pieces of an axis, as ``torch.split``; NumPy's number of pieces is :func:`chunk`.

    Parameters
    ----------
    x : array or Tensor
    split_size_or_sections : int or sequence of int
        The size of a piece (the last one may be smaller), or of each.
    dim : int, default 0
    """
    d, n = _pieces("split", x, dim)
    given = split_size_or_sections
    if isinstance(given, (tuple, list)):
        sizes = [integer("split", "split_size_or_sections", m, 0) for m in given]
        if sum(sizes) != n:
            raise ShapeError(f"split: sections {tuple(given)} add up to {sum(sizes)}, expected {n}")
    else:
        size = integer("split", "split_size_or_sections", given, 1 if n else 0)
        sizes = [min(size, n - at) for at in range(0, n, size)] if n else [0]
    ends = np.cumsum(sizes).tolist()
    return tuple([_cut(x, d, end - m, end) for end, m in zip(ends, sizes, strict=True)])


@either_spelling
def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Views of at most ``chunks`` pieces of one size; the last one may be smaller, as in torch."""
    _, n = _pieces("chunk", x, dim)
    count = integer("chunk", "chunks", chunks, 1)
    return split(x, max(-(-n // count), 1), dim) if n else split(x, [0] * count, dim)


@either_spelling
def tensor_split(x: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of so many pieces, the first ones larger by 1 where they must, or cut at indices."""
    d, n = _pieces("tensor_split", x, dim)
    given = indices_or_sections
    if isinstance(given, (tuple, list)) or getattr(given, "ndim", 0) == 1:
        cuts = [integer("tensor_split", "indices", at) for at in given]
    else:
        count = integer("tensor_split", "sections", given, 1)
        cuts = [i * (n // count) + min(i, n % count) for i in range(1, count)]
    return tuple([_cut(x, d, start, stop) for start, stop in zip([0, *cuts], [*cuts, n], strict=True)])


@either_spelling
def unbind(x: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of all slices of an axis, without it."""
    d, n = _pieces("unbind", x, dim)
    return tuple([ops.getitem(x, (*(_ALL,) * d, i)) for i in range(n)])


def meshgrid(*arrays: Any, indexing: str = "") -> tuple[Any, ...]:
    """Vectors as views of one grid's shape.

    Parameters
    ----------
    *arrays : array or Tensor of one dimension or none
    indexing : {"ij", "xy"}, keyword-only, required
        ``"ij"``: the first vector runs along the first axis (torch's default). ``"xy"``: along the second
        (NumPy's).
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(
            f"meshgrid: indexing is {indexing!r}, expected 'ij' (torch's default) or 'xy' (NumPy's)"
        )
    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)):
        arrays = tuple(arrays[0])
    sizes = []
    for x in arrays:
        shape = _shape("meshgrid", x)
        if len(shape) > 1:
            raise ShapeError(f"meshgrid: got an array of shape {shape}, expected vectors")
        sizes.append(math.prod(shape))
    check_rank("meshgrid", "the grid", len(sizes))
    axes = list(range(len(sizes)))
    if indexing == "xy" and len(axes) > 1:
        axes[0], axes[1] = 1, 0
    whole = tuple([sizes[axes.index(d)] for d in range(len(sizes))])
    grid = []
    for x, axis, n in zip(arrays, axes, sizes, strict=True):
        thin = tuple([n if d == axis else 1 for d in range(len(sizes))])
        grid.append(ops.broadcast_to(ops.reshape(x, thin), whole))
    return tuple(grid)


def one_hot(x: Any, num_classes: int = -1) -> Any:
    """Rows of 0 with a 1 at the class, as ``torch.nn.functional.one_hot``.

    Parameters
    ----------
    x : integer array or Tensor
        Classes from 0.
    num_classes : int, default -1
        Length of a row; -1: one more than the largest class.

    Returns
    -------
    int64 array or Tensor, of x's shape and one axis more
    """
    labels = index_array("one_hot", "x", x)
    check_rank("one_hot", "the classes' axis", labels.ndim + 1)
    count = integer("one_hot", "num_classes", num_classes, -1)
    if count == -1:
        if not labels.size:
            raise ShapeError(f"one_hot: x has shape {labels.shape}: without num_classes, expected a class")
        count = int(labels.max()) + 1
    bad = engines.of(labels).first_out_of_range(labels, 0, count, 0) if count else labels.size - 1
    if bad >= 0:
        at = tuple(map(int, np.unravel_index(bad, labels.shape)))
        raise IndexRangeError(f"one_hot: x{list(at)} is {int(labels[at])}, expected 0 to {count - 1}")
    out = (labels[..., None] == beside(labels, np.arange(count))).astype(np.int64)
    return result(out, (x,), lambda g: (None,))
