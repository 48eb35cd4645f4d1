"""Where a token stands: sinusoids to add, and rotations of queries and keys."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from einkorn import _bfloat16, engines
from einkorn._device import beside
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import as_index, broadcast_to, result, unwrap

__all__ = ["rotary_embedding", "sinusoidal_positions"]


def _size(op: str, name: str, value: Any, low: int) -> int:
    try:
        n = operator.index(value)
    except TypeError:
        n = low - 1
    if n < low:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an int of at least {low}")
    return n


def _base(op: str, base: Any) -> float:
    if not isinstance(base, (int, float)) or not (base > 0 and math.isfinite(base)):
        raise ArgumentError(f"{op}: base is {base!r}, expected a positive number")
    return float(base)


def _waves(angles: Any, dtype: Any) -> tuple[Any, Any]:
    """Sines and cosines of float64 angles, in ``dtype``."""
    k = engines.of(angles)
    waves = []
    for kernel in (k.sin, k.cos):
        exact, rounded = k.empty(angles.shape, "float64"), k.empty(angles.shape, dtype)
        kernel(exact, angles)
        k.copy(rounded, exact)
        waves.append(rounded)
    return waves[0], waves[1]


def sinusoidal_positions(
    length: int, width: int, *, base: float = 10_000.0, start: int = 0, dtype: Any = "float32"
) -> Any:
    """The fixed positional encoding of the transformer (Vaswani et al. 2017, section 3.5).

    Element ``[p, 2 i]`` is ``sin((start + p) / base**(2 i / width))``, element ``[p, 2 i + 1]`` its cosine.

    Parameters
    ----------
    length : int
        Number of positions.
    width : int
        Numbers a position.
    base : float, keyword-only, default 10000.0
    start : int, keyword-only, default 0
        The first position.
    dtype : "float32", "float64" or "bfloat16", keyword-only, default "float32"

    Returns
    -------
    array [length, width]
        A constant to add to embeddings.

    Raises
    ------
    ArgumentError
        If length or start is negative, width not positive, or base no positive number.
    DTypeError
        For other types.
    """
    op = "sinusoidal_positions"
    n, d = _size(op, "length", length, 0), _size(op, "width", width, 1)
    first = _size(op, "start", start, 0)
    scale = _base(op, base)
    kind = _bfloat16.dtype_of(dtype)
    if _bfloat16.is_bfloat16(kind):
        return _bfloat16.narrow(sinusoidal_positions(length, width, base=base, start=start, dtype="float64"))
    if dtype is None or kind not in (np.dtype("float32"), np.dtype("float64")):
        raise DTypeError(f"{op}: dtype is {dtype!r}, expected float32, float64 or bfloat16")
    periods = scale ** (np.arange(0, d, 2) / d)
    sines, cosines = _waves(np.arange(first, first + n)[:, None] / periods, dtype)
    k = engines.of(sines)
    out = k.empty((n, d), dtype)
    k.copy(out[:, 0::2], sines)
    if d > 1:
        k.copy(out[:, 1::2], cosines[:, : d // 2])
    return out


def rotary_embedding(
    x: Any,
    positions: Any = None,
    *,
    base: float = 10_000.0,
    frequencies: Any = None,
    interleaved: bool = True,
) -> Any:
    """Turn pairs of numbers by angles that grow with the position (Su et al. 2021, equation 34).

    The pair i of D / 2 at position p turns by ``p / base**(2 i / D)``: products of queries and keys then
    depend on the distance of their positions alone.

    Parameters
    ----------
    x : array or Tensor [..., L, D]
        Queries or keys; D is even.
    positions : integer array [L] or broadcasting to x's [..., L], optional
        Default 0 to L - 1.
    base : float, keyword-only, default 10000.0
    frequencies : array [D / 2], keyword-only, optional
        By how much the pairs turn from one position to the next, in the place of ``base**(-2 i / D)``: for
        models that stretch them.
    interleaved : bool, keyword-only, default True
        Whether pairs are neighbours, (0, 1), (2, 3), ..., as in the paper; False: (0, D/2), (1, D/2 + 1), ...

    Returns
    -------
    array or Tensor of x's shape

    Raises
    ------
    ShapeError
        If x has fewer than 2 dimensions or an odd width, or positions or frequencies do not fit.
    ArgumentError
        If base is no positive number.
    """
    op = "rotary_embedding"
    a = unwrap(x, op, "x")
    if a.ndim < 2 or a.shape[-1] % 2:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [..., L, D] with an even D")
    scale = _base(op, base)
    length, d = a.shape[-2:]
    where = np.arange(length) if positions is None else as_index(positions, op, "positions")
    try:
        fits = np.broadcast_shapes(where.shape, a.shape[:-1]) == a.shape[:-1]
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{op}: positions have shape {where.shape}, expected {(length,)} or {a.shape[:-1]}")
    where = beside(a, where)
    if frequencies is None:
        periods = scale ** (np.arange(0, d, 2) / d) if d else np.empty(0)
        angles = where[..., None] / beside(a, periods)
    else:
        turns = as_numpy(frequencies, np.float64)
        if turns.shape != (d // 2,):
            raise ShapeError(f"{op}: frequencies have shape {turns.shape}, expected {(d // 2,)}")
        angles = where[..., None] * beside(a, turns)
    sines, cosines = _waves(angles, a.dtype)

    def turned(x: Any, sign: int) -> Any:
        out = _turn(unwrap(x, op, "x"), sines, cosines, interleaved, sign)
        return result(out, (x,), lambda g: (turned(g, -sign),), ())

    return turned(x, 1)


def _turn(a: Any, sines: Any, cosines: Any, interleaved: bool, sign: int) -> Any:
    """``(u c - v s, v c + u s)`` for the pairs (u, v) of ``a``; with the sign -1 the other way round."""
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    half = a.shape[-1] // 2
    if interleaved:
        first, second = (..., slice(0, None, 2)), (..., slice(1, None, 2))
    else:
        first, second = (..., slice(0, half)), (..., slice(half, None))
    u, v = a[first], a[second]
    s, c = broadcast_to(sines, u.shape), broadcast_to(cosines, u.shape)
    one, two = k.empty(u.shape, a.dtype), k.empty(u.shape, a.dtype)
    minus, plus = (k.subtract, k.add) if sign > 0 else (k.add, k.subtract)
    k.multiply(one, u, c)
    k.multiply(two, v, s)
    minus(out[first], one, two)
    k.multiply(one, v, c)
    k.multiply(two, u, s)
    plus(out[second], one, two)
    return out
