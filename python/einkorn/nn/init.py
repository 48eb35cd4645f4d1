"""Initial values of parameters, with torch's names and formulas.

Every function fills its argument in place with the random kernels, so that the values depend only
on ``einkorn.manual_seed`` and are the same on every engine, and returns it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from einkorn import _bfloat16, _versions, engines, random
from einkorn._device import device_of, is_whole, move
from einkorn._near import finding
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.parameter import is_deferred

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

T = TypeVar("T", Tensor, np.ndarray)

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def _array(tensor: Any, op: str) -> Any:
    data = tensor._data if isinstance(tensor, Tensor) else tensor
    kind = getattr(data, "dtype", None)
    known = kind in (np.dtype(np.float32), np.dtype(np.float64))
    if not known and not (isinstance(kind, np.dtype) and _bfloat16.is_bfloat16(kind)):
        raise ArgumentError(f"{op}: tensor is no float32, float64 or bfloat16 array")
    if not is_whole(data):
        raise ArgumentError(f"{op}: tensor must be C-contiguous and writeable to be filled")
    return data


def _draw(kernel: str, data: Any, first: float, second: float, generator: Any = None) -> None:
    """Fill ``data`` with one of the random kernels and advance the generator by what it used."""
    if is_deferred() or data.size == 0:
        return
    if generator is not None and not isinstance(generator, random.Generator):
        raise ArgumentError(f"generator is {type(generator).__name__}, expected einkorn.random.Generator")
    source = random.default_generator if generator is None else generator
    seed, offset = source.take(-(-data.size // (2 if data.dtype.itemsize == 8 else 4)))
    k = engines.of(data)
    drawn = data if data.dtype.kind == "f" else k.empty(data.shape, np.float32)
    getattr(k, kernel)(drawn, seed, offset, first, second)
    if drawn is not data:
        _bfloat16.copy(data, drawn)
    _versions.wrote(data)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: random.Generator | None = None) -> T:
    """Values of the uniform distribution on [a, b)."""
    if not a <= b:
        raise ArgumentError(f"uniform_: a is {a} and b is {b}, expected a <= b")
    _draw("uniform", _array(tensor, "uniform_"), a, b, generator)
    return tensor


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: random.Generator | None = None) -> T:
    """Values of the normal distribution with the given mean and standard deviation."""
    if not std >= 0:
        raise ArgumentError(f"normal_: std is {std}, expected a number >= 0")
    _draw("normal", _array(tensor, "normal_"), mean, std, generator)
    return tensor


def constant_(tensor: T, val: float) -> T:
    """Every element is ``val``."""
    data = _array(tensor, "constant_")
    if not is_deferred():
        _bfloat16.of(data).fill(data, val)
        _versions.wrote(data)
    return tensor


def zeros_(tensor: T) -> T:
    """Every element is 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Every element is 1."""
    return constant_(tensor, 1.0)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which an activation shrinks a signal's standard deviation, inverted.

    Parameters
    ----------
    nonlinearity : str
        linear, sigmoid (and the names of convolutions) 1; tanh 5/3; relu sqrt(2); selu 3/4;
        leaky_relu sqrt(2 / (1 + param**2)).
    param : float, optional
        The negative slope of leaky_relu, 0.01 when not given.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"calculate_gain: param is {param!r}, expected a negative slope")
        return math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: nonlinearity is {nonlinearity!r}, expected one of "
            f"{', '.join([*_GAINS, 'leaky_relu'])}"
        )
    return _GAINS[nonlinearity]


def fans(shape: Sequence[int], op: str) -> tuple[int, int]:
    """Inputs into and outputs from one unit of a weight [outputs, inputs, *kernel]."""
    if len(shape) < 2:
        raise ShapeError(f"{op}: tensor has shape {tuple(shape)}, expected two axes or more")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _fan(shape: Sequence[int], mode: str, op: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{op}: mode is {mode!r}, expected fan_in or fan_out")
    return max(1, fans(shape, op)[mode == "fan_out"])


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: random.Generator | None = None) -> T:
    """Glorot and Bengio 2010: uniform on +-gain sqrt(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6.0 / max(1, sum(fans(tensor.shape, "xavier_uniform_"))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: random.Generator | None = None) -> T:
    """Glorot and Bengio 2010: normal with deviation gain sqrt(2 / (fan_in + fan_out))."""
    std = gain * math.sqrt(2.0 / max(1, sum(fans(tensor.shape, "xavier_normal_"))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> T:
    """He et al. 2015: uniform on +-gain sqrt(3 / fan); ``a`` is the slope of leaky_relu."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor.shape, mode, "kaiming_uniform_"))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> T:
    """He et al. 2015: normal with deviation gain / sqrt(fan); ``a`` is the slope of leaky_relu."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor.shape, mode, "kaiming_normal_"))
    return normal_(tensor, 0.0, std, generator)


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: random.Generator | None = None,
) -> T:
    """Values of the normal distribution, drawn anew until they lie in [a, b]."""
    data = _array(tensor, "trunc_normal_")
    if not std >= 0 or not a <= b:
        raise ArgumentError(f"trunc_normal_: std is {std}, a is {a}, b is {b}, expected std >= 0 and a <= b")
    if is_deferred():
        return tensor
    values = np.empty(data.size, data.dtype)
    low, high = ((a - mean) / std, (b - mean) / std) if std else (-math.inf, math.inf)
    share = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    waiting = np.arange(data.size)
    while waiting.size:
        drawn = np.empty(waiting.size, data.dtype)
        if share > 0.2 or not math.isfinite(high - low):
            _draw("normal", drawn, mean, std, generator)
            good = (drawn >= a) & (drawn <= b)
        else:  # normal numbers seldom fall in there: uniform ones, kept as often as the density says
            chance = np.empty(waiting.size, np.float64)
            _draw("uniform", drawn, a, b, generator)
            _draw("uniform", chance, 0.0, 1.0, generator)
            nearest = min(max(0.0, low), high)
            scaled = (drawn.astype(np.float64) - mean) / std
            good = chance <= np.exp((nearest * nearest - scaled * scaled) / 2)
        values[waiting[good]] = drawn[good]
        waiting = waiting[~good]
    return _put(tensor, data, values.reshape(data.shape))


def _put(tensor: T, data: Any, values: np.ndarray) -> T:
    """Write computed values."""
    data[...] = move(values, device_of(data))
    _versions.wrote(data)
    return tensor


def eye_(tensor: T) -> T:
    """The identity, of a matrix that need not be square."""
    data = _array(tensor, "eye_")
    if data.ndim != 2:
        raise ShapeError(f"eye_: tensor has shape {data.shape}, expected two axes")
    return tensor if is_deferred() else _put(tensor, data, np.eye(*data.shape, dtype=data.dtype))


def dirac_(tensor: T, groups: int = 1) -> T:
    """A convolution that hands its input on, as many channels as there are.

    Parameters
    ----------
    tensor : Tensor or array [outputs, inputs / groups, kernel...]
    groups : int, default 1
    """
    data = _array(tensor, "dirac_")
    if data.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: tensor has shape {data.shape}, expected three to five axes")
    if groups < 1 or data.shape[0] % groups:
        raise ArgumentError(f"dirac_: groups is {groups}, expected a divisor of {data.shape[0]} outputs")
    if is_deferred():
        return tensor
    values = np.zeros(data.shape, data.dtype)
    outputs = data.shape[0] // groups
    middle: tuple[int, ...] = tuple(size // 2 for size in data.shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, data.shape[1])):
            place = (group * outputs + channel, channel, *middle)
            values[place] = 1
    return _put(tensor, data, values)


def orthogonal_(tensor: T, gain: float = 1.0, generator: random.Generator | None = None) -> T:
    """Orthogonal rows, or columns if those are fewer, of length ``gain`` (Saxe et al. 2013).

    Axes after the first are taken as one.
    """
    data = _array(tensor, "orthogonal_")
    if data.ndim < 2:
        raise ShapeError(f"orthogonal_: tensor has shape {data.shape}, expected two axes or more")
    if is_deferred() or data.size == 0:
        return tensor
    rows, columns = data.shape[0], data.size // data.shape[0]
    drawn = np.empty((rows, columns), np.float64)
    _draw("normal", drawn, 0.0, 1.0, generator)
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q *= np.sign(np.diagonal(r))  # else the distribution is not uniform
    return _put(tensor, data, (gain * (q.T if rows < columns else q)).reshape(data.shape).astype(data.dtype))


def sparse_(tensor: T, sparsity: float, std: float = 0.01, generator: random.Generator | None = None) -> T:
    """Normal values, of which in each column this share, rounded up, are 0 (Martens 2010)."""
    data = _array(tensor, "sparse_")
    if data.ndim != 2:
        raise ShapeError(f"sparse_: tensor has shape {data.shape}, expected two axes")
    if not 0 <= sparsity <= 1:
        raise ArgumentError(f"sparse_: sparsity is {sparsity}, expected a share from 0 to 1")
    if is_deferred():
        return tensor
    normal_(tensor, 0.0, std, generator)
    keys = np.empty(data.shape, np.float64)
    _draw("uniform", keys, 0.0, 1.0, generator)
    zeros = math.ceil(sparsity * data.shape[0])
    values = np.array(data)
    np.put_along_axis(values, keys.argsort(0)[:zeros], 0, 0)
    return _put(tensor, data, values)


__getattr__ = finding(__name__, lambda: __all__, {})
