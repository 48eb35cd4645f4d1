"""Methods of Tensor that are functions of its elements: mathematics, questions, scans, sorts and norms.

Each is the operation of ``einkorn.ops`` of its name, with torch's arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn._inplace import renew
from einkorn.errors import ArgumentError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Functions"]

_Real = float
_MISSING: Any = object()


class Functions:
    """Base class of Tensor's methods."""

    __slots__ = ()

    _data: Any

    def exp2(self) -> Tensor:
        """``2 ** self``."""
        return einkorn.ops.exp2(self)

    def expm1(self) -> Tensor:
        """``exp(self) - 1``."""
        return einkorn.ops.expm1(self)

    def log2(self) -> Tensor:
        """The logarithm to base 2."""
        return einkorn.ops.log2(self)

    def log10(self) -> Tensor:
        """The logarithm to base 10."""
        return einkorn.ops.log10(self)

    def log1p(self) -> Tensor:
        """``log(1 + self)``."""
        return einkorn.ops.log1p(self)

    def rsqrt(self) -> Tensor:
        """``1 / sqrt(self)``."""
        return einkorn.ops.rsqrt(self)

    def sign(self) -> Tensor:
        """-1, 0 or 1; 0 for NaN, as in torch (:func:`einkorn.ops.sign` keeps NaN, as NumPy does)."""
        known = (
            einkorn.ops.where(einkorn.ops.isnan(self), 0.0, self) if self._data.dtype.kind == "f" else self
        )
        return einkorn.ops.sign(known)

    def floor(self) -> Tensor:
        """The largest whole number not above."""
        return einkorn.ops.floor(self)

    def ceil(self) -> Tensor:
        """The smallest whole number not below."""
        return einkorn.ops.ceil(self)

    def trunc(self) -> Tensor:
        """Without the fraction."""
        return einkorn.ops.trunc(self)

    def frac(self) -> Tensor:
        """The fraction."""
        return einkorn.ops.frac(self)

    def tan(self) -> Tensor:
        """The tangent."""
        return einkorn.ops.tan(self)

    def asin(self) -> Tensor:
        """The inverse sine."""
        return einkorn.ops.asin(self)

    def acos(self) -> Tensor:
        """The inverse cosine."""
        return einkorn.ops.acos(self)

    def atan(self) -> Tensor:
        """The inverse tangent."""
        return einkorn.ops.atan(self)

    def sinh(self) -> Tensor:
        """The hyperbolic sine."""
        return einkorn.ops.sinh(self)

    def cosh(self) -> Tensor:
        """The hyperbolic cosine."""
        return einkorn.ops.cosh(self)

    def asinh(self) -> Tensor:
        """The inverse hyperbolic sine."""
        return einkorn.ops.asinh(self)

    def acosh(self) -> Tensor:
        """The inverse hyperbolic cosine."""
        return einkorn.ops.acosh(self)

    def atanh(self) -> Tensor:
        """The inverse hyperbolic tangent."""
        return einkorn.ops.atanh(self)

    def erfc(self) -> Tensor:
        """``1 - erf(self)``."""
        return einkorn.ops.erfc(self)

    def isnan(self) -> Tensor:
        """Whether elements are NaN."""
        return einkorn.ops.isnan(self)

    def isinf(self) -> Tensor:
        """Whether elements are infinite."""
        return einkorn.ops.isinf(self)

    def isfinite(self) -> Tensor:
        """Whether elements are neither infinite nor NaN."""
        return einkorn.ops.isfinite(self)

    def isposinf(self) -> Tensor:
        """Whether elements are positive infinity."""
        return einkorn.ops.isposinf(self)

    def isneginf(self) -> Tensor:
        """Whether elements are negative infinity."""
        return einkorn.ops.isneginf(self)

    def signbit(self) -> Tensor:
        """Whether the sign is set."""
        return einkorn.ops.signbit(self)

    def logical_not(self) -> Tensor:
        """Whether elements are 0."""
        return einkorn.ops.logical_not(self)

    def atan2(self, other: Any) -> Tensor:
        """The angle of the point (other, self)."""
        return einkorn.ops.atan2(self, other)

    def hypot(self, other: Any) -> Tensor:
        """``sqrt(self**2 + other**2)``."""
        return einkorn.ops.hypot(self, other)

    def logaddexp(self, other: Any) -> Tensor:
        """``log(exp(self) + exp(other))``."""
        return einkorn.ops.logaddexp(self, other)

    def fmod(self, other: Any) -> Tensor:
        """What is left of the division rounded towards 0."""
        return einkorn.ops.fmod(self, other)

    def remainder(self, other: Any) -> Tensor:
        """What is left of the division rounded down."""
        return einkorn.ops.remainder(self, other)

    def copysign(self, other: Any) -> Tensor:
        """The size of self with the sign of other."""
        return einkorn.ops.copysign(self, other)

    def floor_divide(self, other: Any) -> Tensor:
        """The quotient rounded down."""
        return einkorn.ops.floor_divide(self, other)

    def eq(self, other: Any) -> Tensor:
        """Where both are equal."""
        return einkorn.ops.eq(self, other)

    def not_equal(self, other: Any) -> Tensor:
        """Where they differ."""
        return einkorn.ops.not_equal(self, other)

    def less(self, other: Any) -> Tensor:
        """Where self is smaller."""
        return einkorn.ops.less(self, other)

    def less_equal(self, other: Any) -> Tensor:
        """Where self is not larger."""
        return einkorn.ops.less_equal(self, other)

    def greater(self, other: Any) -> Tensor:
        """Where self is larger."""
        return einkorn.ops.greater(self, other)

    def greater_equal(self, other: Any) -> Tensor:
        """Where self is not smaller."""
        return einkorn.ops.greater_equal(self, other)

    def logical_and(self, other: Any) -> Tensor:
        """Whether both are not 0."""
        return einkorn.ops.logical_and(self, other)

    def logical_or(self, other: Any) -> Tensor:
        """Whether one is not 0."""
        return einkorn.ops.logical_or(self, other)

    def logical_xor(self, other: Any) -> Tensor:
        """Whether exactly one is not 0."""
        return einkorn.ops.logical_xor(self, other)

    ne, lt, le, gt, ge = not_equal, less, less_equal, greater, greater_equal

    def equal(self, other: Any) -> bool:
        """Whether shapes and all elements are the same."""
        return einkorn.ops.array_equal(self, other)

    def isclose(
        self, other: Any, rtol: _Real = 1e-05, atol: _Real = 1e-08, equal_nan: bool = False
    ) -> Tensor:
        """Where both are close; see :func:`einkorn.ops.isclose`."""
        return einkorn.ops.isclose(self, other, rtol, atol, equal_nan)

    def allclose(self, other: Any, rtol: _Real = 1e-05, atol: _Real = 1e-08, equal_nan: bool = False) -> bool:
        """Whether all elements are close."""
        return einkorn.ops.allclose(self, other, rtol, atol, equal_nan)

    def round(self, *, decimals: int = 0) -> Tensor:
        """The nearest whole number, halves to the even one; ``decimals`` digits stay."""
        return einkorn.ops.round(self, decimals)

    def nan_to_num(
        self, nan: _Real = 0.0, posinf: _Real | None = None, neginf: _Real | None = None
    ) -> Tensor:
        """Numbers in the place of NaN and infinities."""
        return einkorn.ops.nan_to_num(self, nan, posinf, neginf)

    def lerp(self, end: Any, weight: Any) -> Tensor:
        """``self + weight * (end - self)``."""
        return einkorn.ops.lerp(self, end, weight)

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: _Real = 1) -> Tensor:
        """``self + value * tensor1 * tensor2``."""
        return einkorn.ops.addcmul(self, tensor1, tensor2, value=value)

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: _Real = 1) -> Tensor:
        """``self + value * tensor1 / tensor2``."""
        return einkorn.ops.addcdiv(self, tensor1, tensor2, value=value)

    # --- along dimensions -------------------------------------------------------------------

    def prod(
        self,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Any = _MISSING,
        keepdims: Any = _MISSING,
    ) -> Tensor:
        """Product over dimensions; all by default."""
        over, keep = _over("prod", dim, keepdim, axis, keepdims)
        return einkorn.ops.prod(self, over, keep, dtype=dtype)

    def norm(
        self,
        p: Any = "fro",
        dim: Any = None,
        keepdim: bool = False,
        dtype: Any = None,
        *,
        axis: Any = _MISSING,
        keepdims: Any = _MISSING,
    ) -> Tensor:
        """The p-norm over dimensions; all by default. See :func:`einkorn.ops.norm`."""
        over, keep = _over("norm", dim, keepdim, axis, keepdims)
        return einkorn.ops.norm(self, p, over, keep, dtype)

    def logsumexp(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """``log(sum(exp(self)))`` over dimensions, without overflow."""
        over, keep = _over("logsumexp", dim, keepdim, axis, keepdims)
        return einkorn.ops.logsumexp(self, over, keep)

    def nansum(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """Sum of the elements that are not NaN."""
        over, keep = _over("nansum", dim, keepdim, axis, keepdims)
        return einkorn.ops.nansum(self, over, keep)

    def nanmean(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """Mean of the elements that are not NaN."""
        over, keep = _over("nanmean", dim, keepdim, axis, keepdims)
        return einkorn.ops.nanmean(self, over, keep)

    def argmin(
        self, dim: int | None = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """Index of the smallest element along ``dim``; without it, of the flat tensor."""
        over, keep = _over("argmin", dim, keepdim, axis, keepdims)
        return einkorn.ops.argmin(self, over, keepdims=keep)

    def any(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """Whether some element is not 0."""
        over, keep = _over("any", dim, keepdim, axis, keepdims)
        found = einkorn.ops.any(self, over, keepdims=keep)
        return found.to(np.uint8) if self._data.dtype == np.uint8 else found  # as in torch

    def all(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = _MISSING
    ) -> Tensor:
        """Whether no element is 0."""
        over, keep = _over("all", dim, keepdim, axis, keepdims)
        found = einkorn.ops.all(self, over, keepdims=keep)
        return found.to(np.uint8) if self._data.dtype == np.uint8 else found  # as in torch

    def count_nonzero(self, dim: Any = None, *, axis: Any = _MISSING, keepdims: bool = False) -> Tensor:
        """How many elements are not 0."""
        over, keep = _over("count_nonzero", dim, keepdims, axis, _MISSING)
        return einkorn.ops.count_nonzero(self, over, keepdims=keep)

    def cumsum(self, dim: int | None = None, *, dtype: Any = None, axis: Any = _MISSING) -> Tensor:
        """Running sums along ``dim``."""
        return einkorn.ops.cumsum(self, _line("cumsum", dim, axis), dtype=dtype)

    def cumprod(self, dim: int | None = None, *, dtype: Any = None, axis: Any = _MISSING) -> Tensor:
        """Running products along ``dim``."""
        return einkorn.ops.cumprod(self, _line("cumprod", dim, axis), dtype=dtype)

    def logcumsumexp(self, dim: int) -> Tensor:
        """Logarithms of the running sums of exponentials along ``dim``."""
        return einkorn.ops.logcumsumexp(self, dim)

    def cummax(self, dim: int) -> Any:
        """The pair ``values, indices`` of the largest elements so far along ``dim``."""
        return einkorn.ops.cummax(self, dim)

    def cummin(self, dim: int) -> Any:
        """The pair ``values, indices`` of the smallest elements so far along ``dim``."""
        return einkorn.ops.cummin(self, dim)

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
        """The pair ``values, indices``, sorted along ``dim``."""
        return einkorn.ops.sort(self, dim, descending, stable)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The places that :meth:`sort` takes its values from."""
        return einkorn.ops.argsort(self, dim, descending, stable)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        """The pair ``values, indices`` of the k largest (or smallest) elements along ``dim``, in order."""
        return einkorn.ops.topk(self, k, dim, largest, sorted)

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Any:
        """The pair ``values, indices`` of the k-th smallest element along ``dim``, counted from 1."""
        return einkorn.ops.kthvalue(self, k, dim, keepdim)

    def median(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The median, the lower of two; with ``dim`` the pair ``values, indices``."""
        return einkorn.ops.median(self, dim=dim, keepdim=keepdim)

    def nanmedian(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """:meth:`median` of the elements that are not NaN."""
        return einkorn.ops.nanmedian(self, dim=dim, keepdim=keepdim)

    def quantile(
        self, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Tensor:
        """Quantiles over ``dim``; all by default. See :func:`einkorn.ops.quantile`."""
        return einkorn.ops.quantile(self, q, dim, keepdim, interpolation=interpolation)

    def nanquantile(
        self, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Tensor:
        """:meth:`quantile` of the elements that are not NaN."""
        return einkorn.ops.nanquantile(self, q, dim, keepdim, interpolation=interpolation)

    # --- in place -----------------------------------------------------------------------------

    def abs_(self) -> Tensor:
        """The absolute value, in place."""
        return renew(self, "abs_", einkorn.ops.absolute)

    def neg_(self) -> Tensor:
        """``-self``, in place."""
        return renew(self, "neg_", einkorn.ops.negative)

    def exp_(self) -> Tensor:
        """The exponential function, in place."""
        return renew(self, "exp_", einkorn.ops.exp)

    def log_(self) -> Tensor:
        """The natural logarithm, in place."""
        return renew(self, "log_", einkorn.ops.log)

    def sqrt_(self) -> Tensor:
        """The square root, in place."""
        return renew(self, "sqrt_", einkorn.ops.sqrt)

    def rsqrt_(self) -> Tensor:
        """``1 / sqrt(self)``, in place."""
        return renew(self, "rsqrt_", einkorn.ops.rsqrt)

    def reciprocal_(self) -> Tensor:
        """``1 / self``, in place."""
        return renew(self, "reciprocal_", einkorn.ops.reciprocal)

    def sigmoid_(self) -> Tensor:
        """``1 / (1 + exp(-self))``, in place."""
        return renew(self, "sigmoid_", einkorn.ops.sigmoid)

    def tanh_(self) -> Tensor:
        """The hyperbolic tangent, in place."""
        return renew(self, "tanh_", einkorn.ops.tanh)

    def relu_(self) -> Tensor:
        """``max(self, 0)``, in place."""
        return renew(self, "relu_", einkorn.ops.relu)

    def floor_(self) -> Tensor:
        """The largest whole number not above, in place."""
        return renew(self, "floor_", einkorn.ops.floor)

    def ceil_(self) -> Tensor:
        """The smallest whole number not below, in place."""
        return renew(self, "ceil_", einkorn.ops.ceil)

    def round_(self, *, decimals: int = 0) -> Tensor:
        """The nearest whole number, in place; ``decimals`` digits stay."""
        return renew(self, "round_", lambda x: einkorn.ops.round(x, decimals))

    def trunc_(self) -> Tensor:
        """Without the fraction, in place."""
        return renew(self, "trunc_", einkorn.ops.trunc)

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit to ``[min, max]``, in place."""
        return renew(self, "clamp_", lambda x: einkorn.ops.clamp(x, min, max))


def _over(op: str, dim: Any, keepdim: Any, axis: Any, keepdims: Any) -> tuple[Any, bool]:
    """The reduced dimensions and whether they stay, from either library's spelling."""
    if axis is not _MISSING:
        if dim is not None:
            raise ArgumentError(f"{op}: dim is {dim!r} and axis is {axis!r}, expected one of the two")
        dim = axis
    elif isinstance(dim, (tuple, list)) and not dim:
        dim = None
    if isinstance(dim, bool):
        raise ArgumentError(f"{op}: dim is {dim!r}, expected an int, a tuple of ints or None")
    from einkorn.ops._options import flag

    return dim, flag(op, "keepdim", keepdim if keepdims is _MISSING else keepdims)


def _line(op: str, dim: Any, axis: Any) -> Any:
    if axis is not _MISSING:
        if dim is not None:
            raise ArgumentError(f"{op}: dim is {dim!r} and axis is {axis!r}, expected one of the two")
        return axis
    if dim is None:
        raise ArgumentError(
            f"{op}: dim is None, expected an int (axis=None is NumPy's way to say the flat tensor)"
        )
    return dim
