"""``keras.ops``: functions with Keras' names and arguments, of arrays, Tensors and symbolic tensors.

Those of NumPy's names are ``einkorn.ops``' of the same meaning. A call with a symbolic tensor becomes a part
of the model that is being made.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops as _ops
from einkorn._near import finding
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError
from einkorn.keras import activations as _activations
from einkorn.keras import losses as _losses
from einkorn.keras._symbols import KerasTensor
from einkorn.keras.ops import _arrays, _layers, _matrices, _named, _numpy, _rearrange, _signals
from einkorn.keras.ops._recorded import FUNCTIONS as _FUNCTIONS
from einkorn.keras.ops._recorded import recorded as _recorded


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


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Tensor:
    """x as a Tensor; ``sparse`` and ``ragged`` may be False."""
    if sparse or ragged:
        raise ArgumentError("convert_to_tensor: sparse and ragged are not supported, expected False")
    if isinstance(x, Tensor):
        return x if dtype is None else cast(x, dtype)
    array = np.asarray(x)
    kind = dtype or (
        "float32" if array.dtype == np.float64 and not isinstance(x, np.ndarray) else array.dtype
    )
    return Tensor(array.astype(str(np.dtype(kind))))


def array(x: Any, dtype: Any = None) -> Tensor:
    """As ``convert_to_tensor``."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """x as an array of NumPy's."""
    return as_numpy(x)


def stop_gradient(variable: Any) -> Any:
    """The tensor, which no gradient goes through."""
    return variable.detach() if isinstance(variable, Tensor) else variable


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
    """x with a new axis of length 1, or several of them."""
    if isinstance(axis, int):
        return _ops.expand_dims(x, axis)
    count = len(x.shape) + len(axis)
    for place in sorted(i % count for i in axis):
        x = _ops.expand_dims(x, place)
    return x


@_recorded
def squeeze(x: Any, axis: Any = None) -> Any:
    """x without axes of length 1."""
    return x.squeeze() if axis is None else x.squeeze(axis)


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
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element so often, one behind the other; of several numbers each as its own says."""
    often = repeats if isinstance(repeats, int) else convert_to_numpy(repeats).astype(np.int64)
    if not isinstance(often, int) and often.size == 1:
        often = int(often.reshape(-1)[0])
    return _ops.repeat_interleave(x if axis is not None else x.reshape(-1), often, axis or 0)


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
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2; without them the places where it holds."""
    if x1 is None and x2 is None:
        return _arrays.nonzero(condition)
    return _ops.where(convert_to_numpy(condition).astype(bool), x1, x2)


@_recorded
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """Class numbers as one-hot rows; of zeros for numbers that are no class."""
    if sparse:
        raise ArgumentError("one_hot: sparse is True, which is not supported, expected False")
    numbers = convert_to_numpy(x).astype(np.int64)
    return np.moveaxis(_layers.one_hot_rows(numbers, num_classes, _kind(dtype)), -1, axis)


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
    out = _ops.cumsum(x.reshape(-1), 0) if axis is None else _ops.cumsum(x, axis)
    return out if dtype is None else cast(out, dtype)


@_recorded
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Products so far."""
    out = _ops.cumprod(x.reshape(-1), 0) if axis is None else _ops.cumprod(x, axis)
    return out if dtype is None else cast(out, dtype)


@_recorded
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """The largest; not below ``initial`` where that is given."""
    out = _ops.max(x, axis=_numpy._axes(axis), keepdims=keepdims)
    return out if initial is None else _ops.maximum(out, initial)


@_recorded
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """The least; not above ``initial`` where that is given."""
    out = _ops.min(x, axis=_numpy._axes(axis), keepdims=keepdims)
    return out if initial is None else _ops.minimum(out, initial)


@_recorded
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal of two axes."""
    return _ops.sum(_ops.diagonal(x, offset, axis1, axis2), axis=-1)


@_recorded
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Where values belong in a row of numbers in order."""
    return _ops.searchsorted(sorted_sequence, values, side=side)


@_recorded
def sort(x: Any, axis: int = -1) -> Any:
    """The elements in order."""
    return _ops.sort(x, axis)[0]


@_recorded
def argsort(x: Any, axis: int | None = -1) -> Any:
    """The places of the elements in order."""
    return _ops.argsort(x.reshape(-1) if axis is None else x, -1 if axis is None else axis)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers in a row."""
    args = (start,) if stop is None else (start, stop) if step is None else (start, stop, step)
    kind = np.result_type(*[type(number) for number in args]).kind
    return np.arange(*args, dtype=_kind(dtype, "float32" if kind == "f" else "int32"))


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0,
) -> Any:  # fmt: skip
    """Numbers at equal distances; with ``retstep`` the distance, too."""
    first, last = convert_to_numpy(start), convert_to_numpy(stop)
    numbers, step = np.linspace(first, last, num, endpoint, retstep=True, axis=axis)
    found = numbers.astype(_kind(dtype))
    return (found, step) if retstep else found


def _kind(dtype: Any, default: str = "float32") -> str:
    return default if dtype is None else str(getattr(dtype, "name", dtype)).rpartition(".")[2]


def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros."""
    return np.zeros(shape, _kind(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones."""
    return np.ones(shape, _kind(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere."""
    return np.full(shape, fill_value, _kind(dtype))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """The identity matrix."""
    return np.eye(N, M, k, _kind(dtype))


@_recorded
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros in the shape of x."""
    return np.zeros_like(convert_to_numpy(x), None if dtype is None else _kind(dtype))


@_recorded
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones in the shape of x."""
    return np.ones_like(convert_to_numpy(x), None if dtype is None else _kind(dtype))


_PAIRED = (
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul", "dot", "logical_and",
    "logical_or", "logical_xor", "greater", "greater_equal", "less", "less_equal", "not_equal",
    "floor_divide", "fmax", "fmin", "fmod", "heaviside", "hypot", "inner", "kron", "logaddexp", "vdot",
    "equal", "mod", "arctan2", "true_divide",
)  # fmt: skip


def _plain(name: str, theirs: str | None = None) -> Callable[..., Any]:
    function = getattr(_ops, theirs or name)

    def one(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    def two(x1: Any, x2: Any, *args: Any, **named: Any) -> Any:
        return function(x1, x2, *args, **named)

    call = two if name in _PAIRED else one
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f":func:`einkorn.ops.{theirs or name}`."
    return _recorded(call)


_SAME = (
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul",
    "dot", "exp", "expm1", "log", "log1p",
    "log2", "log10", "sqrt", "rsqrt", "square", "sin", "cos", "tan",
    "sinh", "cosh", "floor", "ceil", "round", "sign", "sum", "mean",
    "isnan", "isinf", "isfinite",
    "moveaxis",
    "logical_and", "logical_or", "logical_not", "greater", "greater_equal", "less",
    "less_equal", "not_equal", "broadcast_to", "erf", "reciprocal",
    "amax", "amin", "count_nonzero", "deg2rad",
    "rad2deg", "dstack", "erfc", "erfinv", "exp2", "fliplr",
    "flipud", "floor_divide", "fmax", "fmin", "fmod", "heaviside", "hypot", "inner",
    "isneginf", "isposinf", "kron", "logaddexp", "logical_xor", "nan_to_num", "nanmean", "nansum",
    "signbit", "sinc", "trunc", "vander", "vdot", "corrcoef",
)  # fmt: skip
for _name in _SAME:
    globals()[_name] = _plain(_name)
for _module in (_named, _numpy, _arrays, _layers, _matrices, _signals, _rearrange):
    for _name in _module.__all__:
        globals()[_name] = _recorded(getattr(_module, _name))
for _name, _theirs in (
    ("abs", "absolute"), ("absolute", "absolute"), ("negative", "negative"), ("equal", "eq"),
    ("mod", "remainder"), ("arctan2", "atan2"), ("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"),
    ("true_divide", "divide"), ("arccosh", "acosh"), ("arcsinh", "asinh"), ("arctanh", "atanh"),
):  # fmt: skip
    globals()[_name] = _plain(_name, _theirs)
for _name in _activations.__all__:
    if _name not in ("get", "serialize", "deserialize", "linear", "exponential", "mish"):
        globals()[_name] = _recorded(getattr(_activations, _name))


@_recorded
def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the share of the normal curve below it; by default nearly."""
    return _activations.gelu(x, approximate)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The loss of each element, of two classes."""
    return _losses.binary_crossentropy(target[..., None], output[..., None], from_logits)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The loss of each row, of shares of classes."""
    return _losses.categorical_crossentropy(target, output, from_logits, axis=axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The loss of each row, of class numbers."""
    return _losses.sparse_categorical_crossentropy(target, output, from_logits, axis=axis)


# What is no function of arrays, and is not written down.
for _name in ("custom_gradient", "vectorize"):
    globals()[_name] = getattr(_signals if _name == "custom_gradient" else _arrays, _name)
    _FUNCTIONS.pop(_name)

_PAIRS = "complex numbers are pairs of real and imaginary parts here, as keras.ops.fft takes them"
_INSTEAD = {
    "eig": "matrices that are not symmetric have complex eigenvalues: numpy.linalg.eig takes x.numpy()",
    **dict.fromkeys(("polar", "view_as_complex", "view_as_real"), _PAIRS),
}
_HELPERS = ("Any", "Callable", "KerasTensor", "Tensor", "ArgumentError", "finding")
__all__ = sorted(
    name
    for name, value in globals().items()
    if callable(value) and not name.startswith("_") and name not in _HELPERS
)
__all__ += ["image", "linalg", "nn", "numpy"]
_missing = finding(__name__, lambda: __all__, _INSTEAD)


def __getattr__(name: str) -> Any:
    if name in ("image", "linalg", "nn", "numpy"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
