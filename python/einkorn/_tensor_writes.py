"""Methods of Tensor that compute a function of it in its own memory: torch's names that end in ``_``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _versions
from einkorn._grad_mode import mode
from einkorn._inplace import _refuse_leaf, _version, assign, renew
from einkorn._tensor_functions import Functions
from einkorn._tensor_numbers import Numbers
from einkorn._tensor_shapes import Shapes
from einkorn.errors import ArgumentError

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
    method.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return method


class InPlace(Numbers, Functions, Shapes):
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
        _no_generator("uniform_", generator)
        kind = _float_type(self, "uniform_")
        drawn = einkorn.ops.uniform(self._data.shape, low=float(low), high=float(high), dtype=kind)
        return _filled(self, "uniform_", drawn)

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
        """Every element becomes a number of the normal distribution."""
        _no_generator("normal_", generator)
        kind = _float_type(self, "normal_")
        drawn = einkorn.ops.normal(self._data.shape, mean=float(mean), std=float(std), dtype=kind)
        return _filled(self, "normal_", drawn)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """Every element becomes 1 with the probability ``p``, a number or an array of this shape, else 0."""
        _no_generator("bernoulli_", generator)
        chance = np.broadcast_to(np.asarray(p, np.float32), self._data.shape)
        return _filled(self, "bernoulli_", einkorn.ops.bernoulli(chance).astype(self._data.dtype))

    def random_(self, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
        """Every element becomes a whole number drawn from low to high - 1; one argument is high.

        Without limits, up to what the type holds exactly.
        """
        _no_generator("random_", generator)
        if high is None:
            dtype = self._data.dtype
            exact = {"f": 1 << 24 if dtype.itemsize == 4 else 1 << 53, "b": 2}
            whole = exact.get(dtype.kind) or int(np.iinfo(dtype).max)
            low, high = (0, low) if low else (0, whole)
        drawn = einkorn.randint(low, high, self._data.shape)
        return _filled(self, "random_", drawn._data.astype(self._data.dtype))

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
        return self.masked_fill_(on, fill_value)


def _self(tensor: InPlace) -> Tensor:
    return tensor  # type: ignore[return-value]


def _filled(tensor: InPlace, op: str, values: Any) -> Tensor:
    assign(_self(tensor), op, ..., values)
    return _self(tensor)


def _float_type(tensor: InPlace, op: str) -> Any:
    if tensor._data.dtype.kind != "f":
        raise ArgumentError(f"{op}: the tensor holds {tensor._data.dtype}, expected floats")
    return tensor._data.dtype


def _no_generator(op: str, generator: Any) -> None:
    if generator is not None:
        raise ArgumentError(f"{op}: generator is {generator!r}, expected None: all draws share one stream")


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
