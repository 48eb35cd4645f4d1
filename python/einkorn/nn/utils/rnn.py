"""Sequences of different lengths: padded to one array, or packed without padding, with torch's names.

A packed sequence holds the rows of all steps one step after the other; each step has the sequences that are
so long, the longest first::

    a a a        batch_sizes 3 2 1        data  a0 b0 c0  a1 b1  a2
    b b .
    c . .
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import engines, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._moves import movable, mover
from einkorn.ops._road import moved, result, same_dtype, unwrap

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding. :func:`pack_padded_sequence` makes them.

    Attributes
    ----------
    data : array or Tensor, shape (rows, ...)
        All sequences, one step after the other.
    batch_sizes : int64 array, shape (steps,)
        How many sequences have each step; they do not grow.
    sorted_indices : int64 array or None
        Where the sequences, sorted by length, stood before; None: they came sorted.
    unsorted_indices : int64 array or None
        The way back.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes one; None stays None."""
    if permutation is None:
        return None
    out = np.empty(len(permutation), np.int64)
    out[permutation] = np.arange(len(permutation))
    return out


def permuted(x: Any, order: Any, axis: int) -> Any:
    """``x`` with the entries along an axis in another order, with gradient."""
    if order is None:
        return x
    a = unwrap(x, "permuted", "x")
    k = engines.of(a)

    def gathered(source: Any, order: Any) -> Any:
        out = k.empty(source.shape, source.dtype)
        entries, sources = out.swapaxes(0, axis), source.swapaxes(0, axis)
        for i, j in enumerate(order.tolist()):
            k.copy(entries[i : i + 1], sources[j : j + 1])
        return out

    return result(gathered(a, order), (x,), lambda g: (gathered(g, invert_permutation(order)),))


def _lengths(op: str, lengths: Any, batch: int, steps: int) -> Any:
    if isinstance(lengths, Tensor) or (
        not isinstance(lengths, np.ndarray) and hasattr(lengths, "is_floating_point")
    ):
        lengths = lengths.numpy()
    try:
        array = np.asarray(lengths)
    except ValueError:
        array = np.empty(0)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise DTypeError(f"{op}: lengths is {lengths!r}, expected one whole number for each sequence")
    array = array.astype(np.int64)
    if len(array) != batch:
        raise ShapeError(f"{op}: lengths has {len(array)} entries, expected {batch}, one for each sequence")
    if batch == 0:
        raise ShapeError(f"{op}: there are no sequences, expected at least one")
    wrong = np.flatnonzero((array < 1) | (array > steps))
    if len(wrong):
        raise ArgumentError(
            f"{op}: lengths[{wrong[0]}] is {array[wrong[0]]}, expected 1 to {steps}, the steps of the input"
        )
    return array


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences, so that recurrent layers leave the padding out.

    Parameters
    ----------
    input : array or Tensor, shape (steps, batch, ...)
        (batch, steps, ...) with ``batch_first``.
    lengths : sequence of int, shape (batch,)
        How much of each sequence counts, from 1 to the steps.
    batch_first : bool, default False
    enforce_sorted : bool, default True
        Whether the sequences must come longest first. With False they are sorted, and put back by
        :func:`pad_packed_sequence` and in the states of recurrent layers.

    Returns
    -------
    PackedSequence

    Raises
    ------
    ShapeError
        If input has fewer than two dimensions, or another number of sequences than lengths.
    ArgumentError
        If a length is below 1 or above the steps, or lengths grow while they must not.
    """
    op = "pack_padded_sequence"
    a = unwrap(input, op, "input")
    if a.ndim < 2:
        raise ShapeError(f"{op}: input has shape {a.shape}, expected at least (steps, batch)")
    steps, batch = (a.shape[1], a.shape[0]) if batch_first else a.shape[:2]
    sizes = _lengths(op, lengths, batch, steps)
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise ArgumentError(
                f"{op}: lengths is {sizes.tolist()}, expected the longest sequence first; with"
                " enforce_sorted=False any order will do"
            )
    else:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    batch_sizes = (sizes[None, :] > np.arange(sizes[0])[:, None]).sum(axis=1)
    data = _packed(permuted(input, order, 0 if batch_first else 1), batch_sizes, batch_first)
    return PackedSequence(data, batch_sizes, order, invert_permutation(order))


def _packed(x: Any, batch_sizes: Any, batch_first: bool) -> Any:
    a = unwrap(x, "pack_padded_sequence", "input")
    k, shape = engines.of(a), a.shape
    moved = a.swapaxes(0, 1) if batch_first else a
    out = k.empty((int(batch_sizes.sum()), *shape[2:]), a.dtype)
    _copy_steps(k, moved, out, batch_sizes, to_rows=True)

    def backward(g: Any) -> tuple[Any]:
        return (_padded(k, g, batch_sizes, shape, batch_first, 0.0),)

    return result(out, (x,), backward)


def _copy_steps(k: Any, steps: Any, rows: Any, batch_sizes: Any, to_rows: bool) -> None:
    """Between [steps, batch, ...] and the rows of all steps."""
    row = 0
    for t, count in enumerate(batch_sizes.tolist()):
        step, part = steps[t, :count], rows[row : row + count]
        k.copy(part, step) if to_rows else k.copy(step, part)
        row += count


def _padded(k: Any, rows: Any, batch_sizes: Any, shape: Any, batch_first: bool, value: float) -> Any:
    out = k.empty(shape, rows.dtype)
    k.fill(out, value)
    _copy_steps(k, out.swapaxes(0, 1) if batch_first else out, rows, batch_sizes, to_rows=False)
    return out


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Undo :func:`pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool, default False
    padding_value : float, default 0.0
        What stands behind the end of each sequence.
    total_length : int, optional
        Pad to this many steps; default those of the longest sequence.

    Returns
    -------
    padded : array or Tensor, shape (steps, batch, ...) or (batch, steps, ...)
    lengths : int64 array, shape (batch,)

    Raises
    ------
    ArgumentError
        If total_length is less than the longest sequence.
    DTypeError
        If sequence is no PackedSequence.
    """
    op = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(f"{op}: sequence is a {type(sequence).__name__}, expected a PackedSequence")
    data, batch_sizes, _, unsorted = sequence
    a = unwrap(data, op, "sequence.data")
    steps = len(batch_sizes)
    if total_length is not None:
        if total_length < steps:
            raise ArgumentError(
                f"{op}: total_length is {total_length}, expected at least {steps}, the longest sequence"
            )
        steps = total_length
    batch = int(batch_sizes[0])
    shape = ((batch, steps) if batch_first else (steps, batch)) + a.shape[1:]
    k, rows_shape = engines.of(a), a.shape

    def backward(g: Any) -> tuple[Any]:
        rows = k.empty(rows_shape, g.dtype)
        _copy_steps(k, g.swapaxes(0, 1) if batch_first else g, rows, batch_sizes, to_rows=True)
        return (rows,)

    padded = result(_padded(k, a, batch_sizes, shape, batch_first, padding_value), (data,), backward)
    lengths = (np.arange(batch)[:, None] < np.asarray(batch_sizes)[None, :]).sum(axis=1)
    if unsorted is not None:
        lengths = lengths[unsorted]
    return permuted(padded, unsorted, 0 if batch_first else 1), lengths


def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Put sequences of different lengths side by side in one array.

    Parameters
    ----------
    sequences : sequence of array or Tensor, shapes (length, ...)
        Alike but for the length.
    batch_first : bool, default False
    padding_value : float, default 0.0
    padding_side : {"right", "left"}
        Behind the end of a sequence, or before its beginning.

    Returns
    -------
    array or Tensor, shape (longest, batch, ...) or (batch, longest, ...)

    Raises
    ------
    ShapeError
        If there are none, or their shapes differ in more than the length.
    ArgumentError
        For another padding_side.
    """
    op = "pad_sequence"
    if padding_side not in ("right", "left"):
        raise ArgumentError(f"{op}: padding_side is {padding_side!r}, expected 'right' or 'left'")
    given = tuple(sequences)
    arrays = [movable(x, op, f"sequences[{i}]") for i, x in enumerate(given)]
    if not arrays:
        raise ShapeError(f"{op}: sequences is empty, expected at least one")
    same_dtype(op, **{f"sequences[{i}]": a for i, a in enumerate(arrays)})
    for i, a in enumerate(arrays):
        if a.ndim == 0 or a.shape[1:] != arrays[0].shape[1:]:
            raise ShapeError(
                f"{op}: sequences[{i}] has shape {a.shape}, expected (length, "
                f"{', '.join(map(str, arrays[0].shape[1:]))})"
            )
    lengths = [len(a) for a in arrays]
    longest = max(lengths)
    k = mover(arrays[0])
    out = k.empty((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    k.fill(out, padding_value)
    places = [slice(0, n) if padding_side == "right" else slice(longest - n, longest) for n in lengths]
    for entry, place, a in zip(out, places, arrays, strict=True):
        k.copy(entry[place], a)

    def backward(g: Any) -> tuple[Any, ...]:
        g = g if batch_first else g.swapaxes(0, 1)
        return tuple(entry[place] for entry, place in zip(g, places, strict=True))

    return moved(out if batch_first else ops.contiguous(out.swapaxes(0, 1)), given, backward, None)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths; arguments as :func:`pack_padded_sequence`."""
    padded = pad_sequence(sequences)
    return pack_padded_sequence(padded, [len(x) for x in sequences], enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences that :func:`pad_sequence` put side by side, as a list."""
    from einkorn import ops

    a = unwrap(padded_sequences, "unpad_sequence", "padded_sequences")
    batch, steps = (0, 1) if batch_first else (1, 0)
    counts = _lengths("unpad_sequence", lengths, a.shape[batch], a.shape[steps]).tolist()
    if batch_first:
        return [ops.getitem(padded_sequences, (b, slice(0, n))) for b, n in enumerate(counts)]
    return [ops.getitem(padded_sequences, (slice(0, n), b)) for b, n in enumerate(counts)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that :func:`pack_sequence` packed, as a list."""
    padded, lengths = pad_packed_sequence(packed_sequences)
    return unpad_sequence(padded, lengths)
