"""Functions of ``keras.ops`` that have NumPy's names and meaning, and those that index and walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import einkorn
from einkorn import ops
from einkorn._device import beside
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError

__all__ = [
    "average", "cond", "cross", "diagonal", "diff", "divide_no_nan", "dtype", "empty", "empty_like", "fabs",
    "fori_loop", "full_like", "identity", "in_top_k", "isin", "map", "median", "moments", "nanmax", "nanmin",
    "normalize", "ptp", "quantile", "rot90", "scatter", "scatter_update", "segment_max", "segment_sum",
    "select", "slice", "slice_update", "switch", "trapezoid", "unstack", "vectorized_map", "while_loop",
]  # fmt: skip

_slice = slice  # Keras has a function of this name


def _data(x: Any) -> np.ndarray:
    return as_numpy(x)


def _like(x: Any, value: np.ndarray) -> Any:
    return Tensor(beside(x, value)) if isinstance(x, Tensor) else value


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, of elements as heavy as their weights."""
    if weights is None:
        return ops.mean(x, axis=_axes(axis))
    heavy = weights
    if len(weights.shape) == 1 and len(x.shape) > 1:
        sides = [1] * len(x.shape)
        sides[axis] = -1
        heavy = weights.reshape(*sides)
    total = ops.sum(ops.multiply(heavy, ops.add(ops.multiply(x, 0), 1)), axis=_axes(axis))
    return ops.divide(ops.sum(ops.multiply(x, heavy), axis=_axes(axis)), total)


def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The product of vectors of three numbers that is upright on both."""
    if axis is not None:
        axisa = axisb = axisc = axis
    found = einkorn.cross(ops.moveaxis(x1, axisa, -1), ops.moveaxis(x2, axisb, -1), -1)
    return ops.moveaxis(found, -1, axisc)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of two axes, as the last one."""
    return ops.diagonal(x, offset, axis1, axis2)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Each element less the one before it, n times."""
    return ops.diff(a, n, axis)


def divide_no_nan(x1: Any, x2: Any) -> Any:
    """The quotient, 0 where it would be one by 0."""
    none = ops.eq(x2, 0)
    return ops.where(none, ops.multiply(x1, 0), ops.divide(x1, ops.where(none, ops.add(x2, 1), x2)))


def dtype(x: Any) -> str:
    """The name of the type."""
    return str(getattr(x.dtype, "name", x.dtype)).rpartition(".")[2]


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A Tensor of this shape; here, of zeros."""
    return Tensor(np.zeros(shape, str(dtype or "float32")))


def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """A Tensor as large as x; here, of zeros."""
    return Tensor(np.zeros_like(_data(x), None if dtype is None else str(dtype)))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """The value, as often as x has elements."""
    return _like(x, np.full_like(_data(x), _data(fill_value), None if dtype is None else str(dtype)))


def identity(n: int, dtype: Any = None) -> Tensor:
    """Ones on the diagonal of a square."""
    return Tensor(np.eye(n, dtype=str(dtype or "float32")))


def fabs(x: Any) -> Any:
    """The absolute value."""
    return ops.absolute(x)


def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the score of each row's class is among its k largest."""
    scores, rows = _data(predictions), _data(targets)
    own = np.take_along_axis(scores, rows[:, None].astype(np.int64), 1)
    return _like(predictions, (scores > own).sum(1) < k)


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element of x1 is one of x2."""
    return _like(x1, np.isin(_data(x1), _data(x2), assume_unique=assume_unique, invert=invert))


def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The value that the share q of all lies below."""
    return ops.quantile(x, q, axis=_axes(axis), keepdims=keepdims, interpolation=method)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The value in the middle; the mean of two where there are two."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Any, Any]:
    """The mean and the variance."""
    mean = ops.mean(x, axis=_axes(axes), keepdims=True)
    square = ops.square(ops.subtract(x, mean))
    variance = ops.mean(square, axis=_axes(axes), keepdims=keepdims)
    return (mean if keepdims else ops.mean(x, axis=_axes(axes))), variance


def _without_nan(x: Any, axis: Any, keepdims: bool, least: bool) -> Any:
    end = np.inf if least else -np.inf
    found = (ops.amin if least else ops.amax)(
        ops.where(ops.isnan(x), end, x), axis=_axes(axis), keepdims=keepdims
    )
    nothing = ops.all(ops.isnan(x), axis=_axes(axis), keepdims=keepdims)
    return ops.where(nothing, np.nan, found)


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest of what is no NaN."""
    return _without_nan(x, axis, keepdims, False)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The least of what is no NaN."""
    return _without_nan(x, axis, keepdims, True)


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """Vectors of length 1 along an axis; those shorter than epsilon are divided by it."""
    least = 1e-7 if epsilon is None else epsilon
    if order == 2:
        squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.maximum(squares, least**2)))
    length = einkorn.linalg.vector_norm(x, order, axis, True)
    return ops.divide(x, ops.maximum(length, least))


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest less the least."""
    return ops.subtract(
        ops.amax(x, axis=_axes(axis), keepdims=keepdims), ops.amin(x, axis=_axes(axis), keepdims=keepdims)
    )


def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Turned by k right angles, from the first of the axes to the second."""
    return ops.rot90(array, k, axes)


def _places(indices: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.moveaxis(_data(indices).astype(np.int64), -1, 0))


def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Zeros with the values added at their places."""
    return ops.index_put(np.zeros(tuple(shape), _data(values).dtype), _places(indices), values, True)


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """A copy of inputs in which the updates stand at their places.

    ``reduction`` "add" adds them to what is there, "max", "min" and "mul" combine them with it.
    """
    if reduction not in (None, "add", "max", "min", "mul"):
        raise ArgumentError(
            f"scatter_update: reduction is {reduction!r}, expected add, max, min, mul or None"
        )
    places, new = _places(indices), updates if hasattr(updates, "shape") else np.asarray(updates)
    kind = _data(inputs).dtype
    if _data(new).dtype != kind:
        new = _like(new, _data(new).astype(kind))
    if reduction in (None, "add"):
        return ops.index_put(inputs, places, new, reduction == "add")
    rest = inputs.shape[len(places) :]
    numbers = np.ravel_multi_index(places, inputs.shape[: len(places)])
    table = inputs.reshape(-1, *rest)
    rows = new.reshape(-1, *rest)
    at = np.broadcast_to(numbers.reshape(-1, *[1] * len(rest)), rows.shape)
    how = {"max": "amax", "min": "amin", "mul": "prod"}[reduction]
    return ops.scatter_reduce(table, 0, np.ascontiguousarray(at), rows, how).reshape(*inputs.shape)


def segmented(name: str, how: str, data: Any, segment_ids: Any, num_segments: int | None, start: Any) -> Any:
    """Rows with the same number, combined; what is said for numbers that none has."""
    numbers, values = _data(segment_ids).astype(np.int64), _data(data)
    count = int(numbers.max(initial=-1)) + 1 if num_segments is None else int(num_segments)
    if numbers.shape != values.shape[:1]:
        raise ArgumentError(f"{name}: segment_ids has shape {numbers.shape}, expected ({len(values)},)")
    inside = (numbers >= 0) & (numbers < count)
    rows = data if inside.all() else data[inside]
    beginning = np.full((count, *values.shape[1:]), start(values.dtype), values.dtype)
    at = np.broadcast_to(numbers[inside].reshape(-1, *[1] * (values.ndim - 1)), rows.shape)
    return ops.scatter_reduce(beginning, 0, np.ascontiguousarray(at), rows, how)


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Sums of the rows with the same number."""
    return segmented("segment_sum", "sum", data, segment_ids, num_segments, lambda kind: 0)


def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The largest of the rows with the same number; -inf where there is none."""
    return segmented(
        "segment_max", "amax", data, segment_ids, num_segments,
        lambda kind: -np.inf if kind.kind == "f" else np.iinfo(kind).min,
    )  # fmt: skip


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Of each element the choice whose condition holds first."""
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = ops.where(condition, choice, found)
    return found


def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """So many elements along each axis, from a place on."""
    begins = [int(i) for i in _data(start_indices)]
    sizes = [int(n) for n in shape]
    for begin, size, side in zip(begins, sizes, inputs.shape, strict=True):
        if begin < 0 or size < 0 or begin + size > side:
            raise ArgumentError(f"slice: {size} elements from {begin} on are not within {side}")
    return inputs[tuple(_slice(i, i + n) for i, n in zip(begins, sizes, strict=True))]


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """A copy of inputs in which the updates stand from a place on."""
    begins = [int(i) for i in _data(start_indices)]
    slice(inputs, begins, updates.shape)
    sides = [np.arange(i, i + n) for i, n in zip(begins, updates.shape, strict=True)]
    return ops.index_put(inputs, np.ix_(*sides), updates)


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """The area under a line through points."""
    return ops.trapezoid(y, x, dx=dx, dim=axis)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """The parts along an axis, without it."""
    count = x.shape[axis]
    if num not in (None, count):
        raise ArgumentError(f"unstack: num is {num}, expected {count}")
    moved = ops.moveaxis(x, axis, 0)
    return [moved[i] for i in range(count)]


# --- walks: steps are made when they are called, one after the other --------------------------------------


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What one of two functions gives."""
    return true_fn() if bool(_data(pred)) else false_fn()


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """What the function of this number gives; the first or the last for numbers beyond them."""
    return branches[min(max(int(_data(index)), 0), len(branches) - 1)](*operands)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Go on with what the body makes of the variables as long as the condition holds."""
    is_tuple = isinstance(loop_vars, (tuple, list))
    state = tuple(loop_vars) if is_tuple else (loop_vars,)
    count = 0
    while bool(_data(cond(*state))) and (maximum_iterations is None or count < maximum_iterations):
        made = body(*state)
        state = tuple(made) if isinstance(made, (tuple, list)) else (made,)
        count += 1
    return state if is_tuple else state[0]


def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """What the body makes of its own result, for one number after the other."""
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """What a function makes of each part along the first axis, stacked."""
    return ops.stack([f(one) for one in unstack(xs)], 0)


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """As ``map``."""
    return map(function, elements)
