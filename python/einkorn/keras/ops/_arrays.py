"""Further functions of ``keras.ops`` with NumPy's names: of bits, of places, of what is no NaN."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import einkorn
from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras._symbols import flat, mapped
from einkorn.keras.ops._numpy import _axes, _data, _like, segmented, unstack

__all__ = [
    "angle", "append", "argpartition", "array_split", "associative_scan", "bartlett", "bincount",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "blackman", "cbrt", "conj", "conjugate", "copy", "correlate", "diagflat", "digitize",
    "dsplit", "gcd", "geomspace", "get_item", "hamming", "hanning", "histogram", "hsplit", "i0", "imag",
    "isreal", "kaiser", "lcm", "ldexp", "left_shift", "logaddexp2", "logspace", "nanargmax", "nanargmin",
    "nancumprod", "nancumsum", "nanmedian", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nanvar",
    "nextafter", "nonzero", "percentile", "ravel", "real", "right_shift", "saturate_cast", "scan",
    "segment_min", "segment_prod", "tri", "unique", "unravel_index", "vectorize", "view", "vsplit",
]  # fmt: skip


def _name(dtype: Any, default: str = "float32") -> str:
    return default if dtype is None else str(getattr(dtype, "name", dtype)).rpartition(".")[2]


# --- numbers of bits, and of real and imaginary parts -------------------------------------------------------


def _whole(function: Callable[..., Any], x: Any, y: Any) -> Any:
    like = x if isinstance(x, Tensor) else y
    return _like(like, function(_data(x), _data(y)))


def _of_bits(name: str, numpy_name: str | None = None) -> Callable[[Any, Any], Any]:
    function = getattr(np, numpy_name or name)

    def call(x: Any, y: Any) -> Any:
        return _whole(function, x, y)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``numpy.{numpy_name or name}`` of integers or booleans."
    return call


bitwise_and, bitwise_or, bitwise_xor = (
    _of_bits(name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
)
bitwise_left_shift = _of_bits("bitwise_left_shift", "left_shift")
bitwise_right_shift = _of_bits("bitwise_right_shift", "right_shift")
left_shift, right_shift = _of_bits("left_shift"), _of_bits("right_shift")


def gcd(x1: Any, x2: Any) -> Any:
    """The greatest common divisor of integers."""
    return _whole(np.gcd, x1, x2)


def lcm(x1: Any, x2: Any) -> Any:
    """The least common multiple of integers."""
    return _whole(np.lcm, x1, x2)


def bitwise_not(x: Any) -> Any:
    """Each bit turned over."""
    return _like(x, np.invert(_data(x)))


def bitwise_invert(x: Any) -> Any:
    """As ``bitwise_not``."""
    return bitwise_not(x)


def _is_complex(x: Any) -> bool:
    return _data(x).dtype.kind == "c"


def real(x: Any) -> Any:
    """The real part, which of real numbers is themselves."""
    return np.real(x) if _is_complex(x) else x


def imag(x: Any) -> Any:
    """The imaginary part, which of real numbers is 0."""
    return np.imag(x) if _is_complex(x) else _like(x, np.zeros_like(_data(x)))


def conjugate(x: Any) -> Any:
    """The conjugate, which of real numbers is themselves."""
    return np.conjugate(x) if _is_complex(x) else x


def conj(x: Any) -> Any:
    """As ``conjugate``."""
    return conjugate(x)


def angle(x: Any) -> Any:
    """The angle of complex numbers: of real ones 0, or pi below 0."""
    values = _data(x)
    found = np.angle(values)
    if values.dtype.kind == "f":
        found = np.where(np.isnan(values), values, found).astype(values.dtype)
    return _like(x, found)


def isreal(x: Any) -> Any:
    """Whether numbers have no imaginary part."""
    return _like(x, np.isreal(_data(x)))


# --- elements -----------------------------------------------------------------------------------------------


def cbrt(x: Any) -> Any:
    """The cube root."""
    return ops.multiply(ops.sign(x), ops.power(ops.absolute(x), 1 / 3))


def i0(x: Any) -> Any:
    """The modified Bessel function of order 0."""
    return einkorn.i0(x)


def ldexp(x1: Any, x2: Any) -> Any:
    """``x1 * 2**x2``."""
    values = _data(x1)
    if isinstance(x1, Tensor) and x1.requires_grad:
        return ops.multiply(x1, np.exp2(_data(x2).astype(values.dtype)))
    return _like(x1, np.ldexp(values, _data(x2).astype(np.int32)))


def logaddexp2(x1: Any, x2: Any) -> Any:
    """``log2(2**x1 + 2**x2)``."""
    two = math.log(2)
    return ops.divide(ops.logaddexp(ops.multiply(x1, two), ops.multiply(x2, two)), two)


def nextafter(x1: Any, x2: Any) -> Any:
    """The number beside x1 on the way to x2."""
    return _like(x1, np.nextafter(_data(x1), _data(x2)))


def saturate_cast(x: Any, dtype: Any) -> Any:
    """x as another type, what that cannot hold as its nearest number."""
    from einkorn.keras.ops import cast

    kind = np.dtype(_name(dtype))
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = _data(x)
        if values.dtype.kind == "f":  # the largest float below a limit of more digits than it has
            low, high = float(limits.min), float(limits.max)
            inside = np.clip(values, low, high)
            found = np.where(inside >= high, limits.max, np.where(inside < high, inside, 0).astype(kind))
            return _like(x, found.astype(kind))
        return _like(
            x, np.clip(values, max(limits.min, _least(values)), min(limits.max, _most(values))).astype(kind)
        )
    return cast(x, str(kind))


def _least(values: np.ndarray) -> int:
    return 0 if values.dtype.kind == "b" else int(np.iinfo(values.dtype).min)


def _most(values: np.ndarray) -> int:
    return 1 if values.dtype.kind == "b" else int(np.iinfo(values.dtype).max)


def view(x: Any, dtype: Any = None) -> Any:
    """The same bytes as another type."""
    return x if dtype is None else _like(x, _data(x).view(np.dtype(_name(dtype))))


def copy(x: Any) -> Any:
    """x in memory of its own."""
    return x.clone() if isinstance(x, Tensor) else np.array(x)


def get_item(x: Any, key: Any) -> Any:
    """``x[key]``."""
    return x[key]


def ravel(x: Any) -> Any:
    """All elements in a row."""
    return x.reshape(-1)


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """x2 behind x1, along an axis or all in a row."""
    if axis is None:
        return ops.concatenate((x1.reshape(-1), x2.reshape(-1)), 0)
    return ops.concatenate((x1, x2), axis)


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """x in so many parts that differ by one at most, or cut at these places."""
    return list(ops.tensor_split(x, indices_or_sections, axis))


def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """As ``split`` along the second axis, of a line along its only one."""
    return _equal_parts("hsplit", x, indices_or_sections, 1 if len(x.shape) > 1 else 0)


def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """As ``split`` along the first axis."""
    return _equal_parts("vsplit", x, indices_or_sections, 0)


def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """As ``split`` along the third axis."""
    return _equal_parts("dsplit", x, indices_or_sections, 2)


def _equal_parts(name: str, x: Any, parts: Any, axis: int) -> list[Any]:
    if isinstance(parts, int) and x.shape[axis] % parts:
        raise ArgumentError(f"{name}: {x.shape[axis]} elements are no {parts} equal parts")
    return list(ops.tensor_split(x, parts, axis))


# --- places -------------------------------------------------------------------------------------------------


def argpartition(x: Any, kth: int, axis: int = -1) -> Any:
    """Places that bring the element of this rank to its place, smaller ones before it."""
    return _like(x, np.argpartition(_data(x), kth, axis).astype(np.int32))


def nonzero(x: Any) -> tuple[Any, ...]:
    """Where elements are not 0, an array for each axis."""
    return tuple(_like(x, part) for part in np.nonzero(_data(x)))


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Places along each axis, of numbers of elements."""
    return tuple(_like(indices, part) for part in np.unravel_index(_data(indices), tuple(shape)))


def digitize(x: Any, bins: Any) -> Any:
    """The numbers of the bins that elements lie in."""
    return _like(x, np.digitize(_data(x), _data(bins)).astype(np.int32))


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each number occurs, or the sum of its weights; of rows, for each row."""
    if sparse:
        raise ArgumentError("bincount: sparse is True, which is not supported, expected False")
    numbers = _data(x)
    heavy = None if weights is None else _data(weights)
    if numbers.ndim == 1:
        found = np.bincount(numbers, heavy, minlength)
    else:
        length = max(int(numbers.max(initial=-1)) + 1, minlength)
        found = np.array(
            [np.bincount(row, None if heavy is None else heavy[i], length) for i, row in enumerate(numbers)]
        ).reshape(len(numbers), length)
    return _like(x, found.astype(np.int32 if heavy is None else heavy.dtype))


def histogram(x: Any, bins: int = 10, range: Any = None) -> tuple[Any, Any]:
    """How many elements lie in each of so many equal bins, and the bins' edges."""
    values = _data(x)
    counts, edges = np.histogram(values, bins, range)
    kind = values.dtype if values.dtype.kind == "f" else np.float32
    return _like(x, counts.astype(kind)), _like(x, edges.astype(kind))


def unique(
    x: Any, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None, fill_value: Any = None,
) -> Any:  # fmt: skip
    """Each value once, in order; where the first stands, which each element is, how often each occurs.

    ``size`` makes the result this long: what is over is left out, what is missing is ``fill_value``, by
    default the least value.
    """
    values = _data(x)
    found, first, inverse, counts = np.unique(values, True, True, True, axis)
    at = 0 if axis is None else axis
    if size is not None:
        over = size - found.shape[at]
        if over > 0:
            rest = list(found.shape)
            rest[at] = over
            filler = found.take([0], at) if fill_value is None else fill_value
            found = np.concatenate([found, np.broadcast_to(filler, rest).astype(found.dtype)], at)
            first = np.concatenate([first, np.zeros(over, first.dtype)])
            counts = np.concatenate([counts, np.zeros(over, counts.dtype)])
        else:
            found = found.take(np.arange(size), at)
            first, counts = first[:size], counts[:size]
    wanted = ((True, found), (return_index, first), (return_inverse, inverse), (return_counts, counts))
    parts = tuple(
        _like(x, part if part is found else part.astype(np.int32)) for asked, part in wanted if asked
    )
    return parts if len(parts) > 1 else parts[0]


# --- windows and rows ---------------------------------------------------------------------------------------


def _window(name: str) -> Callable[[Any], Any]:
    function = getattr(np, name)

    def call(x: Any) -> Tensor:
        return Tensor(function(int(_data(x))).astype(np.float32))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``numpy.{name}``: a window of so many elements."
    return call


bartlett, blackman, hamming, hanning = (
    _window(name) for name in ("bartlett", "blackman", "hamming", "hanning")
)


def kaiser(x: Any, beta: float) -> Tensor:
    """Kaiser's window of so many elements."""
    return Tensor(np.kaiser(int(_data(x)), float(_data(beta))).astype(np.float32))


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """Numbers whose quotients are equal."""
    return Tensor(np.geomspace(_data(start), _data(stop), num, endpoint, axis=axis).astype(_name(dtype)))


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None,
    axis: int = 0,
) -> Tensor:  # fmt: skip
    """Powers of the base, whose exponents are at equal distances."""
    found = np.logspace(_data(start), _data(stop), num, endpoint, _data(base), axis=axis)
    return Tensor(found.astype(_name(dtype)))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones at and below a diagonal."""
    return Tensor(np.tri(N, M, k, _name(dtype)))


def diagflat(x: Any, k: int = 0) -> Any:
    """The elements on a diagonal of a square."""
    return ops.diag(x.reshape(-1), k)


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """Sums of products of two lines, for all places of one beside the other."""
    if mode not in ("valid", "same", "full"):
        raise ArgumentError(f"correlate: mode is {mode!r}, expected valid, same or full")
    swapped = x1.shape[0] < x2.shape[0]
    line, window = (x2, x1) if swapped else (x1, x2)
    size = window.shape[0]
    before = {"valid": 0, "same": size // 2, "full": size - 1}[mode]
    after = {"valid": 0, "same": size - 1 - size // 2, "full": size - 1}[mode]
    padded = ops.pad(line, [before, after]) if before or after else line
    out = ops.conv1d(padded.reshape(1, 1, -1), window.reshape(1, 1, -1)).reshape(-1)
    return ops.flip(out, 0) if swapped else out


# --- without NaN --------------------------------------------------------------------------------------------


def _filled(x: Any, value: float) -> Any:
    return ops.where(ops.isnan(x), value, x)


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Sums so far, NaN counted as 0."""
    return _so_far(ops.cumsum, _filled(x, 0.0), axis, dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Products so far, NaN counted as 1."""
    return _so_far(ops.cumprod, _filled(x, 1.0), axis, dtype)


def _so_far(function: Callable[..., Any], x: Any, axis: int | None, dtype: Any) -> Any:
    from einkorn.keras.ops import cast

    found = function(x.reshape(-1), 0) if axis is None else function(x, axis)
    return found if dtype is None else cast(found, dtype)


def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of what is no NaN."""
    return ops.prod(_filled(x, 1.0), axis=_axes(axis), keepdims=keepdims)


def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of squared distances from the mean, of what is no NaN."""
    there = (~np.isnan(_data(x))).astype(_data(x).dtype)
    counts = there.sum(axis=_axes(axis), keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(counts == 0, np.nan, 1 / counts).astype(there.dtype)
    mean = ops.multiply(ops.sum(_filled(x, 0.0), axis=_axes(axis), keepdims=True), one)
    far = ops.multiply(ops.subtract(_filled(x, 0.0), mean), there)
    total = ops.sum(ops.multiply(far, far), axis=_axes(axis), keepdims=True)
    found = ops.multiply(total, one)
    return found if keepdims else found.reshape(np.sum(there, axis=_axes(axis)).shape)


def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The root of ``nanvar``."""
    return ops.sqrt(nanvar(x, axis, keepdims))


def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The value that the share q of all lies below, of what is no NaN."""
    return ops.nanquantile(x, q, axis=_axes(axis), keepdims=keepdims, interpolation=method)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The value in the middle of what is no NaN; the mean of two where there are two."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``nanquantile`` of hundredths."""
    return nanquantile(x, _share(q), axis, method, keepdims)


def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``quantile`` of hundredths."""
    return ops.quantile(x, _share(q), axis=_axes(axis), keepdims=keepdims, interpolation=method)


def _share(q: Any) -> Any:
    values = _data(q)
    return values / 100.0 if values.ndim == 0 else (values / 100.0).astype(np.float32)


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest of what is no NaN is; -1 where there is none."""
    return _nan_place(x, axis, keepdims, np.argmax, -np.inf)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the least of what is no NaN is; -1 where there is none."""
    return _nan_place(x, axis, keepdims, np.argmin, np.inf)


def _nan_place(x: Any, axis: int | None, keepdims: bool, find: Any, end: float) -> Any:
    values = _data(x)
    holes = np.isnan(values)
    found = find(np.where(holes, end, values), axis, keepdims=keepdims)
    return _like(x, np.where(holes.all(axis, keepdims=keepdims), -1, found).astype(np.int32))


# --- parts with the same number -----------------------------------------------------------------------------


def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The least of the rows with the same number; inf where there is none."""
    return segmented(
        "segment_min", "amin", data, segment_ids, num_segments,
        lambda kind: np.inf if kind.kind == "f" else np.iinfo(kind).max,
    )  # fmt: skip


def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    """Products of the rows with the same number; 1 where there is none."""
    return segmented("segment_prod", "prod", data, segment_ids, num_segments, lambda kind: 1)


# --- walks --------------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None,
    reverse: bool = False, unroll: Any = 1,
) -> tuple[Any, Any]:  # fmt: skip
    """Walk along the first axis: f gets what was carried and a part, and gives what to carry and a result.

    Returns
    -------
    carry, results
        What was carried last, and the results stacked; zeros like what is carried where f gives None.
    """
    if xs is None and length is None:
        raise ArgumentError("scan: xs and length are None, expected one of them")
    count = int(length) if length is not None else flat(xs)[0].shape[0]
    carry, results = init, []
    for i in reversed(range(count)) if reverse else range(count):
        part = None if xs is None else mapped(operator.itemgetter(i), xs)
        carry, result = f(carry, part)
        results.append(mapped(lambda x: np.zeros_like(_data(x)), init) if result is None else result)
    if reverse:
        results.reverse()
    if not results:
        raise ArgumentError("scan: there is nothing to walk along, expected a length of 1 or more")
    leaves = [flat(result) for result in results]
    stacked = iter([_stacked([row[k] for row in leaves]) for k in range(len(leaves[0]))])
    return carry, mapped(lambda _: next(stacked), results[0])


def _stacked(parts: list[Any]) -> Any:
    return ops.stack([part if isinstance(part, Tensor) else np.asarray(part) for part in parts], 0)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """What f makes of all parts up to each one along an axis; f(a, b) must be associative."""
    leaves = flat(elems)
    at = axis if axis >= 0 else axis + len(leaves[0].shape)
    count = leaves[0].shape[at]

    def part(i: int) -> Any:
        return mapped(lambda x: x[(slice(None),) * at + (slice(i, i + 1),)], elems)

    order = range(count - 1, -1, -1) if reverse else range(count)
    found: list[Any] = []
    for i in order:
        found.append(f(found[-1], part(i)) if found else part(i))
    if reverse:
        found.reverse()
    rows = [flat(one) for one in found]
    whole = iter([ops.concatenate([row[k] for row in rows], at) for k in range(len(leaves))])
    return mapped(lambda _: next(whole), elems)


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of single elements as one of arrays, which are broadcast to each other.

    Parameters
    ----------
    pyfunc : callable
    excluded : set of int, optional
        Arguments, by their places, that are given as they are.
    signature : not supported
    """
    if signature is not None:
        raise ArgumentError(f"vectorize: signature is {signature!r}, which is not supported, expected None")
    whole = set(excluded or ())

    def call(*args: Any) -> Any:
        shape = np.broadcast_shapes(
            *[a.shape for i, a in enumerate(args) if i not in whole and hasattr(a, "shape")]
        )
        spread = [
            a if i in whole or not hasattr(a, "shape") else unstack(ops.broadcast_to(a, shape).reshape(-1))
            for i, a in enumerate(args)
        ]
        size = math.prod(shape)
        columns = [
            a if isinstance(a, list) and i not in whole else itertools.repeat(a, size)
            for i, a in enumerate(spread)
        ]
        results = [pyfunc(*row) for row in zip(*columns, strict=True)]
        if not results:
            return np.zeros(shape, np.float32)
        out = _stacked(results)
        return out.reshape(*shape, *out.shape[1:])

    return call
