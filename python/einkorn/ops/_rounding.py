"""Operations that several others make up, for bfloat16: computed in float32 and rounded once, at the end.

Where one kernel computes an operation its arguments are widened and its result is rounded on the road
(``einkorn.ops._road``). An operation made of others would round between them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np

from einkorn import _autocast
from einkorn._device import is_on_gpu
from einkorn._tensor import Tensor
from einkorn.ops import _road

__all__ = ["in_float32", "rounded_once"]

Function = TypeVar("Function", bound=Callable[..., Any])

_loaded = sys.modules


def rounded_once(function: Function) -> Function:
    """Compute the operation in float32 where it is given bfloat16; results are of the inputs' common type."""

    name = function.__name__.lstrip("_")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        lowers = _autocast.active and _autocast.state.enabled and name in _autocast.PRODUCTS
        if lowers:
            args, kwargs = _each(_autocast.lowered, args), _each(_autocast.lowered, kwargs)
        # An array of bfloat16 comes with one of these two.
        if ("ml_dtypes" not in _loaded and "torch" not in _loaded) or _are_plain(args, kwargs):
            return function(*args, **kwargs)
        inputs = tuple(_arrays((args, kwargs)))
        if not any(map(_road.is_kept, inputs)):
            return function(*args, **kwargs)
        with _autocast.autocast(enabled=False) if lowers else nullcontext():
            wide = function(*_each(_road.widened, args), **_each(_road.widened, kwargs))
        if name in _autocast.FLOAT32 and any(map(_autocast.state.holds_for, inputs)):
            return wide
        return _each(lambda out: _road.lowered(out, inputs), wide)

    return run  # type: ignore[return-value]


_NUMBERS = (int, float, str, type(None))


def _are_plain(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it is seen at once that nothing is bfloat16."""
    for values in (args, kwargs.values()):
        for value in values:
            if isinstance(value, Tensor):
                value = value._data
            if isinstance(value, np.ndarray) or is_on_gpu(value):
                if value.dtype.kind not in "fiub":
                    return False
            elif not isinstance(value, _NUMBERS):
                return False
    return True


def in_float32(value: Any) -> Any:
    """The same with bfloat16 arrays as float32, recorded; in lists, tuples and dicts too."""
    return _each(_road.widened, value)


def _arrays(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(tuple(value.values()))
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        yield value


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """The same with every array changed, in tuples, lists and dicts too."""
    if isinstance(value, dict):
        return {key: _each(change, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_each(change, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    is_array = isinstance(value, (np.ndarray, Tensor)) or is_on_gpu(value) or _is_torch(value)
    return change(value) if is_array else value


def _is_torch(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "is_floating_point")
