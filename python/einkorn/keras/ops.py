"""``keras.ops``: functions with Keras' names and arguments, of arrays, Tensors and symbolic tensors.

Those of NumPy's names are ``einkorn.ops``' of the same meaning. A call with a symbolic tensor becomes a part
of the model that is being made.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops as _ops
from einkorn._tensor import Tensor
from einkorn.keras import _numpy_ops
from einkorn.keras import activations as _activations
from einkorn.keras import losses as _losses
from einkorn.keras._symbols import KerasTensor, has_symbols, record

_recorded_functions: dict[str, Callable[..., Any]] = {}  # by the names that files have for them


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which is written down when it is given symbolic tensors."""
    _recorded_functions[function.__name__] = function

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if has_symbols(args, named):
            return record(function, args, named, function.__name__)
        return function(*args, **named)

    return call


def shape(x: Any) -> tuple[Any, ...]:
    """The shape; None for axes that are not known yet."""
    return tuple(x.shape)


def ndim(x: Any) -> int:
    """How many axes there are."""
    return len(x.shape)


def size(x: Any) -> int:
    """How many elements there are."""
    return int(np.prod(x.shape))


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor or a symbolic one."""
    return isinstance(x, (Tensor, KerasTensor))


def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """x as a Tensor."""
    if isinstance(x, Tensor):
        return x if dtype is None else cast(x, dtype)
    array = np.asarray(x)
    kind = dtype or (
        "float32" if array.dtype == np.float64 and not isinstance(x, np.ndarray) else array.dtype
    )
    return Tensor(array.astype(str(np.dtype(kind))))


def convert_to_numpy(x: Any) -> np.ndarray:
    """x as an array of NumPy's."""
    return np.asarray(x._data if isinstance(x, Tensor) else x)


def stop_gradient(x: Any) -> Any:
    """x, which no gradient goes through."""
    return x.detach() if isinstance(x, Tensor) else x


@_recorded
def cast(x: Any, dtype: Any) -> Any:
    """x as another type."""
    kind = np.dtype(str(getattr(dtype, "name", dtype)))
    if isinstance(x, Tensor) and kind.kind == "f" and x._data.dtype.kind == "f":
        return x.to(str(kind))
    if isinstance(x, Tensor):
        return Tensor(x._data.astype(kind))
    return np.asarray(x).astype(kind)


@_recorded
def reshape(x: Any, newshape: Any) -> Any:
    """x in another shape."""
    return x.reshape(*((newshape,) if isinstance(newshape, int) else tuple(newshape)))


@_recorded
def transpose(x: Any, axes: Any = None) -> Any:
    """x with its axes in another order, backwards by default."""
    return _ops.permute(x, tuple(range(len(x.shape)))[::-1] if axes is None else tuple(axes))


@_recorded
def expand_dims(x: Any, axis: Any) -> Any:
    """x with a new axis of length 1."""
    return _ops.expand_dims(x, axis)


@_recorded
def squeeze(x: Any, axis: Any = None) -> Any:
    """x without axes of length 1."""
    return x.squeeze() if axis is None else x.squeeze(axis)


@_recorded
def concatenate(xs: Any, axis: int = -1) -> Any:
    """Tensors one behind the other."""
    return _ops.concatenate(tuple(xs), axis)


@_recorded
def stack(x: Any, axis: int = 0) -> Any:
    """Tensors along a new axis."""
    return _ops.stack(list(x), axis)


@_recorded
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """x in so many equal parts, or cut at these places."""
    return list(_ops.tensor_split(x, indices_or_sections, axis))


@_recorded
def tile(x: Any, repeats: Any) -> Any:
    """x so often along each axis."""
    return _ops.tile(x, (repeats,) if isinstance(repeats, int) else tuple(repeats))


@_recorded
def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Each element so often, one behind the other."""
    return _ops.repeat_interleave(x if axis is not None else x.reshape(-1), repeats, axis or 0)


@_recorded
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """x with edges, a pair for each axis."""
    pairs = [(pad_width,) * 2 if isinstance(pad_width, int) else pad_width] * len(x.shape)
    if not isinstance(pad_width, int) and not isinstance(pad_width[0], int):
        pairs = list(pad_width)
    flat = [n for pair in pairs[::-1] for n in pair]
    return _ops.pad(x, flat, mode, constant_values)


@_recorded
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements, or slices along an axis, by their numbers."""
    numbers = convert_to_numpy(indices).astype(np.int64)
    if axis is None:
        return x.reshape(-1)[numbers]
    return x[(builtins.slice(None),) * (axis % len(x.shape)) + (numbers,)]


@_recorded
def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition holds, else x2."""
    return _ops.where(convert_to_numpy(condition), x1, x2)


@_recorded
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """Class numbers as one-hot rows."""
    rows = np.eye(num_classes, dtype=str(dtype or "float32"))[convert_to_numpy(x).astype(np.int64)]
    return np.moveaxis(rows, -1, axis)


@_recorded
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x between two limits."""
    return _ops.clip(x, x_min, x_max)


@_recorded
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of squared distances from the mean."""
    return _ops.mean(_ops.square(x - _ops.mean(x, axis=axis, keepdims=True)), axis=axis, keepdims=keepdims)


@_recorded
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The root of the variance."""
    return _ops.sqrt(var(x, axis, keepdims))


@_recorded
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length of vectors."""
    if ord not in (None, 2, "fro"):
        return _ops.norm(x, ord, axis, keepdims)
    return _ops.sqrt(_ops.sum(_ops.square(x), axis=axis, keepdims=keepdims))


@_recorded
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x)))."""
    axes = tuple(range(len(x.shape))) if axis is None else axis
    return _ops.logsumexp(x, axes, keepdims)


@_recorded
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest is."""
    return np.argmax(convert_to_numpy(x), axis, keepdims=keepdims)


@_recorded
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the least is."""
    return np.argmin(convert_to_numpy(x), axis, keepdims=keepdims)


@_recorded
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The k largest along the last axis, and where they are."""
    return tuple(_ops.topk(x, k))


@_recorded
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Sums so far."""
    return _ops.cumsum(x.reshape(-1), 0) if axis is None else _ops.cumsum(x, axis)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers in a row."""
    args = (start,) if stop is None else (start, stop) if step is None else (start, stop, step)
    kind = np.result_type(*[type(number) for number in args]).kind
    return np.arange(*args, dtype=str(dtype or ("float32" if kind == "f" else "int32")))


def linspace(start: Any, stop: Any, num: int = 50) -> Any:
    """Numbers at equal distances."""
    return np.linspace(start, stop, num, dtype=np.float32)


def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros."""
    return np.zeros(shape, str(dtype or "float32"))


def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones."""
    return np.ones(shape, str(dtype or "float32"))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere."""
    return np.full(shape, fill_value, str(dtype or "float32"))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """The identity matrix."""
    return np.eye(N, M, k, str(dtype or "float32"))


@_recorded
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros in the shape of x."""
    return np.zeros_like(convert_to_numpy(x), dtype)


@_recorded
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones in the shape of x."""
    return np.ones_like(convert_to_numpy(x), dtype)


def _plain(name: str, theirs: str | None = None) -> Callable[..., Any]:
    function = getattr(_ops, theirs or name)

    def call(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f":func:`einkorn.ops.{theirs or name}`."
    return _recorded(call)


_SAME = (
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul",
    "einsum", "tensordot", "dot", "outer", "exp", "expm1", "log", "log1p",
    "log2", "log10", "sqrt", "rsqrt", "square", "sin", "cos", "tan",
    "sinh", "cosh", "floor", "ceil", "round", "sign", "sum", "mean",
    "max", "min", "prod", "any", "all", "isnan", "isinf", "isfinite",
    "flip", "roll", "moveaxis", "swapaxes", "meshgrid", "diag", "tril", "triu",
    "sort", "argsort", "logical_and", "logical_or", "logical_not", "greater", "greater_equal", "less",
    "less_equal", "not_equal", "broadcast_to", "take_along_axis", "searchsorted", "erf", "reciprocal",
    "trace", "allclose", "amax", "amin", "isclose", "count_nonzero", "cumprod", "deg2rad",
    "rad2deg", "dstack", "hstack", "vstack", "erfc", "erfinv", "exp2", "fliplr",
    "flipud", "floor_divide", "fmax", "fmin", "fmod", "heaviside", "hypot", "inner",
    "isneginf", "isposinf", "kron", "logaddexp", "logical_xor", "nan_to_num", "nanmean", "nansum",
    "signbit", "sinc", "trunc", "vander", "vdot", "corrcoef",
)  # fmt: skip
for _name in _SAME:
    globals()[_name] = _plain(_name)
for _name in _numpy_ops.__all__:
    globals()[_name] = _recorded(getattr(_numpy_ops, _name))
for _name, _theirs in (
    ("abs", "absolute"), ("absolute", "absolute"), ("negative", "negative"), ("equal", "eq"),
    ("mod", "remainder"), ("arctan2", "atan2"), ("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"),
    ("true_divide", "divide"), ("arccosh", "acosh"), ("arcsinh", "asinh"), ("arctanh", "atanh"),
):  # fmt: skip
    globals()[_name] = _plain(_name, _theirs)
for _name in _activations.__all__:
    if _name not in ("get", "serialize", "deserialize", "linear", "exponential", "mish"):
        globals()[_name] = _recorded(getattr(_activations, _name))


def _cross_entropy(name: str) -> Callable[..., Any]:
    function = getattr(_losses, name)

    @functools.wraps(function)
    def call(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
        if name == "binary_crossentropy":
            return function(target[..., None], output[..., None], from_logits)
        return function(target, output, from_logits, axis=axis)

    return call


for _name in ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"):
    globals()[_name] = _cross_entropy(_name)

__all__ = sorted(
    name
    for name, value in globals().items()
    if callable(value)
    and not name.startswith("_")
    and name not in ("Any", "Callable", "KerasTensor", "Tensor", "has_symbols", "record")
)
