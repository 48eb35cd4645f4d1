"""Methods of Tensor that compute a function of it in its own memory: torch's names that end in ``_``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _versions
from einkorn._device import beside, near
from einkorn._grad_mode import mode
from einkorn._inplace import _refuse_leaf, _version, assign, renew
from einkorn._tensor_functions import Functions
from einkorn._tensor_kinds import Kinds
from einkorn._tensor_numbers import Numbers
from einkorn._tensor_shapes import Shapes
from einkorn.errors import ArgumentError
from einkorn.random import drawing_from

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["InPlace", "in_place"]


def in_place(name: str, home: Any, keeps_type: bool = True) -> Callable[..., Tensor]:
    """The method ``name_``: what the method ``name`` gives, written where the tensor is."""
    function = home if callable(home) and not isinstance(home, type) else getattr(home, name)

    def method(self: Any, *args: Any, **options: Any) -> Tensor:
        def compute(x: Tensor) -> Tensor:
            new = function(x, *args, **options)
            return new if keeps_type else new.to(x.dtype)

        return renew(self, f"{name}_", compute)

    method.__name__ = f"{name}_"
    method.__qualname__ = f"Tensor.{name}_"
    method.__doc__ = f":meth:`{name}`, in place."
    method.__wrapped__ = function  # type: ignore[attr-defined]
    method.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return method


class InPlace(Numbers, Kinds):
    """Base class of Tensor."""

    __slots__ = ()

    _data: Any
    _node: Any
    _requires_grad: bool

    clip_ = Functions.clamp_
    absolute_, negative_ = Functions.abs_, Functions.neg_

    acos_, asin_, atan_ = (in_place(n, Functions) for n in ("acos", "asin", "atan"))
    acosh_, asinh_, atanh_ = (in_place(n, Functions) for n in ("acosh", "asinh", "atanh"))
    cosh_, sinh_, tan_ = (in_place(n, Functions) for n in ("cosh", "sinh", "tan"))
    exp2_, expm1_, erfc_ = (in_place(n, Functions) for n in ("exp2", "expm1", "erfc"))
    log1p_, log2_, log10_ = (in_place(n, Functions) for n in ("log1p", "log2", "log10"))
    frac_, sign_, nan_to_num_ = (in_place(n, Functions) for n in ("frac", "sign", "nan_to_num"))
    atan2_, hypot_, copysign_ = (in_place(n, Functions) for n in ("atan2", "hypot", "copysign"))
    fmod_, remainder_, floor_divide_ = (in_place(n, Functions) for n in ("fmod", "remainder", "floor_divide"))
    lerp_, addcmul_, addcdiv_ = (in_place(n, Functions) for n in ("lerp", "addcmul", "addcdiv"))
    cumsum_, cumprod_ = (in_place(n, Functions) for n in ("cumsum", "cumprod"))
    eq_, ne_, lt_, le_ = (in_place(n, Functions, False) for n in ("eq", "ne", "lt", "le"))
    gt_, ge_, logical_not_ = (in_place(n, Functions, False) for n in ("gt", "ge", "logical_not"))
    logical_and_, logical_or_ = (in_place(n, Functions, False) for n in ("logical_and", "logical_or"))
    logical_xor_ = in_place("logical_xor", Functions, False)
    erfinv_, logit_, sinc_ = (in_place(n, Numbers) for n in ("erfinv", "logit", "sinc"))
    deg2rad_, rad2deg_, renorm_ = (in_place(n, Numbers) for n in ("deg2rad", "rad2deg", "renorm"))
    xlogy_ = in_place("xlogy", Numbers)
    tril_, triu_ = (in_place(n, Shapes) for n in ("tril", "triu"))
    arccos_, arcsin_, arctan_ = acos_, asin_, atan_
    arccosh_, arcsinh_, arctanh_ = acosh_, asinh_, atanh_
    arctan2_, fix_ = atan2_, Functions.trunc_
    clamp_max_, clamp_min_ = (in_place(n, Numbers) for n in ("clamp_max", "clamp_min"))
    heaviside_ = in_place("heaviside", Numbers)
    bitwise_and_, bitwise_or_ = (in_place(n, Numbers) for n in ("bitwise_and", "bitwise_or"))
    bitwise_xor_, bitwise_not_ = (in_place(n, Numbers) for n in ("bitwise_xor", "bitwise_not"))
    bitwise_left_shift_ = in_place("bitwise_left_shift", Kinds)
    bitwise_right_shift_ = in_place("bitwise_right_shift", Kinds)
    addr_, gcd_, lcm_, ldexp_ = (in_place(n, Kinds) for n in ("addr", "gcd", "lcm", "ldexp"))
    sgn_, float_power_ = (in_place(n, Kinds) for n in ("sgn", "float_power"))
    index_put_, put_ = in_place("index_put", Kinds), in_place("put", Kinds)
    greater_, greater_equal_, less_, less_equal_, not_equal_ = gt_, ge_, lt_, le_, ne_

    # --- another shape of the same memory -------------------------------------------------------

    def squeeze_(self, dim: Any = None) -> Tensor:
        """:meth:`squeeze`, in place: the tensor itself gets the shape."""
        return _reshaped(self, "squeeze_", lambda x: x.squeeze() if dim is None else x.squeeze(dim))

    def unsqueeze_(self, dim: int) -> Tensor:
        """:meth:`unsqueeze`, in place: the tensor itself gets the shape."""
        return _reshaped(self, "unsqueeze_", lambda x: x.unsqueeze(dim))

    def transpose_(self, dim0: int, dim1: int) -> Tensor:
        """:meth:`transpose`, in place: the tensor itself gets the shape."""
        return _reshaped(self, "transpose_", lambda x: x.transpose(dim0, dim1))

    swapaxes_ = swapdims_ = transpose_

    def t_(self) -> Tensor:
        """:meth:`t`, in place: the tensor itself gets the shape."""
        return _reshaped(self, "t_", lambda x: x.t())

    def detach_(self) -> Tensor:
        """Forget how the tensor was computed: it becomes a leaf that requires no gradient."""
        tensor = _self(self)
        tensor._node, tensor._requires_grad = None, False
        return tensor

    # --- drawn numbers and diagonals --------------------------------------------------------------

    def uniform_(self, low: float = 0, high: float = 1, *, generator: Any = None) -> Tensor:
        """Every element becomes a number drawn evenly from ``[low, high)``."""
        kind = _float_type(self, "uniform_")
        with drawing_from("uniform_", generator):
            drawn = einkorn.ops.uniform(self._data.shape, low=float(low), high=float(high), dtype=kind)
        return _filled(self, "uniform_", drawn)

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
        """Every element becomes a number of the normal distribution."""
        kind = _float_type(self, "normal_")
        with drawing_from("normal_", generator):
            drawn = einkorn.ops.normal(self._data.shape, mean=float(mean), std=float(std), dtype=kind)
        return _filled(self, "normal_", drawn)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """Every element becomes 1 with the probability ``p``, a number or an array of this shape, else 0."""
        chance = np.broadcast_to(_numbers(p, np.float32), self._data.shape)
        with drawing_from("bernoulli_", generator):
            drawn = einkorn.ops.bernoulli(chance)
        return _filled(self, "bernoulli_", drawn.astype(self._data.dtype))

    def random_(self, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
        """Every element becomes a whole number drawn from low to high - 1; one argument is high.

        Without limits, up to what the type holds exactly.
        """
        if high is None:
            dtype = self._data.dtype
            exact = {"f": 1 << 24 if dtype.itemsize == 4 else 1 << 53, "b": 2}
            whole = exact.get(dtype.kind) or int(np.iinfo(dtype).max)
            low, high = (0, low) if low else (0, whole)
        drawn = einkorn.randint(low, high, self._data.shape, generator=generator)
        return _filled(self, "random_", drawn._data.astype(self._data.dtype))

    def exponential_(self, lambd: float = 1, *, generator: Any = None) -> Tensor:
        """Every element becomes a number of the exponential distribution of that rate."""
        rate = _numbers(lambd)
        return self._from_even("exponential_", generator, lambda u: -np.log1p(-u) / rate)

    def geometric_(self, p: float, *, generator: Any = None) -> Tensor:
        """Every element becomes a number of tries up to the first success, whose probability is ``p``."""
        failure = np.log1p(-_numbers(p))
        return self._from_even("geometric_", generator, lambda u: np.ceil(np.log1p(-u) / failure).clip(1))

    def cauchy_(self, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
        """Every element becomes a number of the Cauchy distribution."""
        middle, width = _numbers(median), _numbers(sigma)
        return self._from_even("cauchy_", generator, lambda u: middle + width * np.tan(np.pi * (u - 0.5)))

    def log_normal_(self, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
        """Every element becomes the exponential of a number of the normal distribution."""
        with drawing_from("log_normal_", generator):
            kind = _float_type(self, "log_normal_")
            drawn = einkorn.ops.normal(self._data.shape, mean=float(mean), std=float(std), dtype=kind)
        return _filled(self, "log_normal_", np.exp(drawn))

    def _from_even(self, op: str, generator: Any, function: Callable[[Any], Any]) -> Tensor:
        """What a function makes of numbers that are drawn evenly from [0, 1)."""
        with drawing_from(op, generator):
            drawn = einkorn.ops.uniform(self._data.shape, dtype=np.float64)
        return _filled(self, op, function(drawn).astype(self._data.dtype))

    def fill_diagonal_(self, fill_value: float, wrap: bool = False) -> Tensor:
        """The elements whose indices are all equal become a number; ``wrap``: a tall matrix goes on below."""
        shape = self._data.shape
        if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) != 1):
            raise ArgumentError(
                f"fill_diagonal_: the tensor has shape {shape}, expected a matrix, or equal sizes of all axes"
            )
        if not isinstance(wrap, bool):
            raise ArgumentError(f"fill_diagonal_: wrap is {wrap!r}, expected True or False")
        on = np.zeros(shape, np.bool_)
        np.fill_diagonal(on, True, wrap)
        return self.masked_fill_(beside(self, on), fill_value)


def _self(tensor: InPlace) -> Tensor:
    return tensor  # type: ignore[return-value]


def _numbers(value: Any, dtype: Any = None) -> np.ndarray:
    """Parameters of what is drawn on the CPU: numbers, arrays or Tensors of any device."""
    return np.asarray(near(getattr(value, "_data", value)), dtype)


def _filled(tensor: InPlace, op: str, values: Any) -> Tensor:
    assign(_self(tensor), op, ..., values)
    return _self(tensor)


def _float_type(tensor: InPlace, op: str) -> Any:
    if tensor._data.dtype.kind != "f":
        raise ArgumentError(f"{op}: the tensor holds {tensor._data.dtype}, expected floats")
    return tensor._data.dtype


def _reshaped(tensor: InPlace, op: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Let the tensor be what ``function`` makes of it, a view of its memory."""
    recorded = mode.enabled and tensor._requires_grad
    if recorded:
        _refuse_leaf(_self(tensor), op)
    new = function(_version(_self(tensor), tensor._data))
    tensor._data = new._data
    if recorded:
        tensor._node = new._node
    _versions.wrote(tensor._data)
    return _self(tensor)
