"""NumPy's own functions called on Tensors: ``np.exp(t)``, ``array * t``, ``np.concatenate([t, u])``.

Operators give Tensors, whichever side the array stands on. Other functions of NumPy give arrays, as they do
for every array-like, unless a gradient would be lost on the way: then the operation of the same name is
recorded in NumPy's place and its result is a Tensor, and what has no such operation is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._grad_mode import is_grad_enabled
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, GradientError

__all__ = ["function", "ufunc"]

#: What Python's operators call when an array stands on their left: the method of a Tensor on the left, and
#: that of one on the right.
_OPERATORS = {
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "floor_divide": ("__floordiv__", "__rfloordiv__"),
    "remainder": ("__mod__", "__rmod__"),
    "power": ("__pow__", "__rpow__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "bitwise_and": ("__and__", "__rand__"),
    "bitwise_or": ("__or__", "__ror__"),
    "bitwise_xor": ("__xor__", "__rxor__"),
    "left_shift": ("__lshift__", "__rlshift__"),
    "right_shift": ("__rshift__", "__rrshift__"),
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
}

#: NumPy's names of operations that go by another name here.
_RENAMED = {
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "degrees": "rad2deg",
    "fabs": "absolute",
    "radians": "deg2rad",
    "rint": "round",
}

#: Slopes that are zero or absent everywhere: nothing is lost in an array.
_FLAT = frozenset(["isfinite", "isinf", "isnan", "signbit", "logical_and", "logical_or"])
_FLAT |= {"logical_not", "logical_xor"}

#: Functions whose positional arguments mean here what they mean in NumPy.
_ALIKE = frozenset(["concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "where", "clip"])
_ALIKE |= {"outer", "inner", "kron", "tensordot", "einsum", "cumsum", "cumprod", "broadcast_to"}
_ALIKE |= {"take", "sinc", "nan_to_num", "reshape", "squeeze", "expand_dims", "swapaxes"}
_ALIKE |= {"moveaxis", "flip", "fliplr", "flipud", "roll", "tile"}

#: Functions that write into their first argument.
_WRITERS = frozenset(["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"])

#: Functions whose results are places, truths, types, text, files or steps, which have no gradient to lose,
#: and those that ask for an array, as libraries of plots do.
_WITHOUT_GRADIENT = frozenset(["shape", "ndim", "size", "any", "all", "nonzero", "flatnonzero", "argwhere"])
_WITHOUT_GRADIENT |= {"count_nonzero", "argmax", "argmin", "nanargmax", "nanargmin", "argsort"}
_WITHOUT_GRADIENT |= {"argpartition", "lexsort", "searchsorted", "digitize", "bincount", "histogram"}
_WITHOUT_GRADIENT |= {"histogram_bin_edges", "isin", "allclose", "isclose", "array_equal", "array_equiv"}
_WITHOUT_GRADIENT |= {"may_share_memory", "shares_memory", "result_type", "can_cast", "min_scalar_type"}
_WITHOUT_GRADIENT |= {"common_type", "iscomplex", "isreal", "iscomplexobj", "isrealobj", "isposinf"}
_WITHOUT_GRADIENT |= {"isneginf", "zeros_like", "ones_like", "empty_like", "full_like", "array_repr"}
_WITHOUT_GRADIENT |= {"array_str", "array2string", "save", "savez", "savez_compressed", "savetxt", "copy"}
_WITHOUT_GRADIENT |= _WRITERS | {"round", "around"}
_WITHOUT_GRADIENT |= {"atleast_1d", "atleast_2d", "atleast_3d", "asarray_chkfinite"}


def _transpose(a: Tensor, axes: Any = None) -> Any:
    return ops.permute(a, tuple(range(a.ndim))[::-1] if axes is None else axes)


#: Functions that are an operation once their arguments are put in order.
_METHODS: dict[str, Callable[..., Any]] = {
    "transpose": _transpose,
    "ravel": lambda a: ops.reshape(a, (-1,)),
    "dot": lambda a, b: ops.dot(a, b) if np.ndim(a) == 1 == np.ndim(b) else ops.matmul(a, b),
}

#: Reductions, of which NumPy's third positional argument is a type.
_REDUCTIONS = frozenset(["sum", "mean", "prod", "max", "min", "amax", "amin", "std", "var", "nansum"])
_REDUCTIONS |= {"nanmean"}


def _is_recorded(values: Any) -> bool:
    if isinstance(values, Tensor):
        return values.requires_grad
    return isinstance(values, (list, tuple)) and any(map(_is_recorded, values))


def _array(value: Any) -> Any:
    """``value`` with the memory of its Tensors in their places."""
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, (list, tuple)):
        arrays = [_array(x) for x in value]
        return arrays if isinstance(value, list) else tuple(arrays)
    return value


def _check_target(name: str, target: Any) -> None:
    """Refuse to write into a Tensor where the tape would not hear of it."""
    targets = target if isinstance(target, (list, tuple)) else (target,)
    if any(isinstance(x, Tensor) for x in targets):
        raise ArgumentError(
            f"{name} would write into a Tensor unseen by the tape: write by t[...] = or t.copy_(),"
            " or into the array t.numpy()"
        )


def _name_of(function: np.ufunc) -> str:
    return ("numpy." if getattr(np, function.__name__, None) is function else "") + function.__name__


def _lost(name: str) -> GradientError:
    return GradientError(
        f"{name} got a tensor that requires gradients, and its result would have none: give it"
        " t.detach(), or use an operation of einkorn"
    )


def ufunc(function: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What ``Tensor.__array_ufunc__`` answers."""
    name = function.__name__
    # Another library's function of a name, scipy.special.kl_div, may mean something else.
    plain = method == "__call__" and not options and getattr(np, name, None) is function
    if plain and name in _OPERATORS:
        left, right = inputs
        if isinstance(left, Tensor):
            return getattr(left, _OPERATORS[name][0])(right)
        return getattr(right, _OPERATORS[name][1])(left)
    _check_target(_name_of(function), inputs[0] if method == "at" else options.get("out"))
    kept = options.get("out")  # the caller has said where the numbers go: an array has no gradient
    if kept is None and name not in _FLAT and is_grad_enabled() and _is_recorded(tuple(inputs)):
        operation = getattr(ops, _RENAMED.get(name, name), None)
        if not plain or operation is None:
            raise _lost(_name_of(function) if method == "__call__" else f"{_name_of(function)}.{method}")
        return operation(*inputs)
    return getattr(function, method)(*map(_array, inputs), **{k: _array(v) for k, v in options.items()})


def function(function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
    """What ``Tensor.__array_function__`` answers."""
    name = function.__name__
    given = (*args, *options.values())
    _check_target(f"numpy.{name}", args[0] if name in _WRITERS and args else options.get("out"))
    lossless = name in _WITHOUT_GRADIENT or options.get("out") is not None
    if not lossless and is_grad_enabled() and any(map(_is_recorded, given)):
        if name in ("std", "var"):
            options = {"ddof": 0, **options}
        if name in _METHODS:
            return _METHODS[name](*args, **options)
        if name in _ALIKE or (name in _REDUCTIONS and len(args) <= 2):
            return getattr(ops, name)(*args, **options)
        raise _lost(f"numpy.{name}")
    # Of the arrays, and not of the Tensors, whose methods of NumPy's names mean what they mean in torch.
    return function(*map(_array, args), **{k: _array(v) for k, v in options.items()})
