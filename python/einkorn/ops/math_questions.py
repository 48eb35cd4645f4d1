"""Questions about elements, whose answers are booleans. Names are torch's.

Integers and booleans are taken too. The answer is an array of booleans, a Tensor of them where one came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.ops import _integers, _promotion
from einkorn.ops._elementwise import (
    _binary_kernel,
    _operands,
    _plain,
    _scalar_like,
    _scaled,
)
from einkorn.ops._options import flag, number
from einkorn.ops._road import broadcast_shape, broadcast_to, unwrap
from einkorn.ops.elementwise import absolute, subtract

__all__ = [
    "allclose",
    "array_equal",
    "eq",
    "greater",
    "greater_equal",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
    "signbit",
]


_KINDS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
_LOGIC = ("logical_and", "logical_or", "logical_xor")


def _array(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _bytes(a: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """An array of booleans, and the same memory as the kernels see it."""
    k = engines.of(a)
    if not isinstance(a, np.ndarray):
        out = k.empty(shape, "bool")
        return out, out.view("uint8")
    out = np.empty(shape, np.bool_)
    return out, out.view(np.uint8)


def _integers_pair(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """A function of NumPy where both sides are integers or booleans, else None."""
    a, b = _promotion.pair(a, b) or (a, b)
    both = _integers._pair(a, b)
    if both is None:
        return None
    _integers._check_shapes(function.__name__, a=both[0], b=both[1])
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        name = function.__name__
        both = _integers.fitted(name, both[0], both[1]), _integers.fitted(name, both[1], both[0])
    if function in (np.fmod, np.remainder):
        _integers.refuse_zeros(function.__name__, both[1])
    return _integers.wrapped(function(*both), a, b)


def _asked(op: str, a: Any, b: Any) -> Any:
    whole = _integers_pair(getattr(np, op), a, b)
    if whole is not None:
        return whole
    left, right = _operands(op, a, b)
    shape = broadcast_shape(op, a=left, b=right)
    out, data = _bytes(left, shape)
    kind = (*_KINDS, *_LOGIC).index(op)
    engines.of(left).compare(data, broadcast_to(left, shape), broadcast_to(right, shape), kind)
    return _integers.wrapped(out, a, b)


def _classified(kind: int, a: Any) -> Any:
    out, data = _bytes(a, a.shape)
    engines.of(a).classify(data, a, kind)
    return out


def _classify(op: str, kind: int, x: Any, of_whole: Callable[[Any], Any]) -> Any:
    whole = _integers.integral(x)
    out = _classified(kind, unwrap(x, op, "x")) if whole is None else of_whole(whole)
    return _integers.wrapped(out, x)


def eq(a: Any, b: Any) -> Any:
    """``a == b`` element by element; NaN equals nothing.

    ``equal`` is not a name here: in NumPy it means this, and in torch :func:`array_equal`.

    Parameters
    ----------
    a, b : array, Tensor or number
        As in :func:`add`; integers and booleans too.

    Returns
    -------
    array of booleans, or a Tensor of them, of the broadcast shape.
    """
    return _asked("equal", a, b)


def array_equal(a: Any, b: Any) -> bool:
    """Whether shapes and all elements are the same."""
    if tuple(np.shape(_array(a))) != tuple(np.shape(_array(b))):
        return False
    return bool(_array(eq(a, b)).all())


def not_equal(a: Any, b: Any) -> Any:
    """``a != b`` element by element; arguments as :func:`eq`."""
    return _asked("not_equal", a, b)


def less(a: Any, b: Any) -> Any:
    """``a < b`` element by element; arguments as :func:`eq`."""
    return _asked("less", a, b)


def less_equal(a: Any, b: Any) -> Any:
    """``a <= b`` element by element; arguments as :func:`eq`."""
    return _asked("less_equal", a, b)


def greater(a: Any, b: Any) -> Any:
    """``a > b`` element by element; arguments as :func:`eq`."""
    return _asked("greater", a, b)


def greater_equal(a: Any, b: Any) -> Any:
    """``a >= b`` element by element; arguments as :func:`eq`."""
    return _asked("greater_equal", a, b)


def logical_and(a: Any, b: Any) -> Any:
    """Whether both are not 0 (NaN is not); arguments as :func:`eq`."""
    return _asked("logical_and", a, b)


def logical_or(a: Any, b: Any) -> Any:
    """Whether at least one is not 0; arguments as :func:`eq`."""
    return _asked("logical_or", a, b)


def logical_xor(a: Any, b: Any) -> Any:
    """Whether exactly one is not 0; arguments as :func:`eq`."""
    return _asked("logical_xor", a, b)


def logical_not(x: Any) -> Any:
    """Whether x is 0."""
    whole = _integers.integral(x)
    if whole is not None:
        return _integers.wrapped(np.logical_not(whole), x)
    return _asked("equal", x, 0.0)


def isnan(x: Any) -> Any:
    """Whether x is NaN."""
    return _classify("isnan", 0, x, np.isnan)


def isinf(x: Any) -> Any:
    """Whether x is infinite."""
    return _classify("isinf", 1, x, np.isinf)


def isfinite(x: Any) -> Any:
    """Whether x is neither infinite nor NaN."""
    return _classify("isfinite", 2, x, np.isfinite)


def isposinf(x: Any) -> Any:
    """Whether x is positive infinity."""
    return _classify("isposinf", 4, x, np.isinf)


def isneginf(x: Any) -> Any:
    """Whether x is negative infinity."""
    return _classify("isneginf", 5, x, np.isinf)


def signbit(x: Any) -> Any:
    """Whether the sign of x is set, of -0 too."""
    return _classify("signbit", 6, x, lambda whole: whole < 0)


def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether ``|a - b| <= atol + rtol * |b|``, or both are the same infinity.

    Parameters
    ----------
    a, b : array, Tensor or number
        As in :func:`eq`.
    rtol, atol : float, default 1e-5 and 1e-8
        At least 0.
    equal_nan : bool, default False
        Count NaN as close to NaN.
    """
    rtol, atol = number("isclose", "rtol", rtol), number("isclose", "atol", atol)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise ArgumentError(f"isclose: {name} is {value}, expected at least 0")
    flag("isclose", "equal_nan", equal_nan)
    pair = _integers._pair(a, b)
    if pair is not None:
        return _integers.wrapped(np.isclose(*pair, rtol=rtol, atol=atol), a, b)
    left, right = _operands("isclose", a, b)
    margin = _binary_kernel("add", _scaled(_plain("absolute", right), rtol), _scalar_like(atol, right))
    near = less_equal(absolute(subtract(left, right)), margin)
    near = (near & _classified(2, right)) | eq(left, right)
    if equal_nan:
        near = near | (isnan(left) & isnan(right))
    return _integers.wrapped(near, a, b)


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether :func:`isclose` holds everywhere."""
    close = isclose(a, b, rtol, atol, equal_nan)
    return bool(_array(close).all())
