"""More methods of Tensor that are functions of its elements: counts, draws, covariances, other functions.

Each is the operation of ``einkorn.ops`` of its name, with torch's arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _bfloat16, _versions
from einkorn._device import as_array, beside, is_on_gpu
from einkorn._pinned import is_pinned
from einkorn.errors import ArgumentError
from einkorn.random import drawing_from

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Numbers"]

_Real = float
_Whole = int


class Numbers:
    """Base class of Tensor."""

    __slots__ = ()

    _data: Any
    _node: Any

    def erfinv(self) -> Tensor:
        """The number whose error function is self."""
        return einkorn.ops.erfinv(self)

    def logit(self, eps: _Real | None = None) -> Tensor:
        """``log(self / (1 - self))``; see :func:`einkorn.ops.logit`."""
        return einkorn.ops.logit(self, eps)

    def sinc(self) -> Tensor:
        """``sin(pi self) / (pi self)``."""
        return einkorn.ops.sinc(self)

    def xlogy(self, other: Any) -> Tensor:
        """``self * log(other)``, 0 where self is 0."""
        return einkorn.ops.xlogy(self, other)

    def heaviside(self, values: Any) -> Tensor:
        """0 below 0 (and for NaN, as in torch), 1 above, ``values`` at 0."""
        known: Any = self
        if self._data.dtype.kind == "f":
            known = einkorn.ops.where(einkorn.ops.isnan(self), -1.0, self)
        return einkorn.ops.heaviside(known, values)

    def fmax(self, other: Any) -> Tensor:
        """The larger of both; a number wins over NaN."""
        return einkorn.ops.fmax(self, other)

    def fmin(self, other: Any) -> Tensor:
        """The smaller of both; a number wins over NaN."""
        return einkorn.ops.fmin(self, other)

    def deg2rad(self) -> Tensor:
        """Degrees in radians."""
        return einkorn.ops.deg2rad(self)

    def rad2deg(self) -> Tensor:
        """Radians in degrees."""
        return einkorn.ops.rad2deg(self)

    def clamp_min(self, min: Any) -> Tensor:
        """The larger of self and ``min``."""
        return einkorn.ops.clip(self, min, None)

    def clamp_max(self, max: Any) -> Tensor:
        """The smaller of self and ``max``."""
        return einkorn.ops.clip(self, None, max)

    def positive(self) -> Tensor:
        """The tensor itself."""
        return _self(self)

    def prelu(self, weight: Any) -> Tensor:
        """:func:`einkorn.ops.prelu`."""
        return einkorn.ops.prelu(self, weight)

    def lgamma(self) -> Tensor:
        """The logarithm of the gamma function's absolute value; :mod:`einkorn.special`."""
        return einkorn.special.lgamma(self)

    def digamma(self) -> Tensor:
        """The slope of :meth:`lgamma`."""
        return einkorn.special.digamma(self)

    def polygamma(self, n: _Whole) -> Tensor:
        """The n-th derivative of :meth:`digamma`."""
        return einkorn.special.polygamma(n, self)

    def mvlgamma(self, p: _Whole) -> Tensor:
        """:meth:`lgamma` of ``p`` dimensions."""
        return einkorn.special.mvlgamma(self, p)

    def i0(self) -> Tensor:
        """The modified Bessel function of order 0."""
        return einkorn.special.i0(self)

    def nextafter(self, other: Any) -> Tensor:
        """The next number of the type in the direction of ``other``."""
        return einkorn.nextafter(self, other)

    def hardshrink(self, lambd: _Real = 0.5) -> Tensor:
        """The tensor with 0 where its size is at most ``lambd``."""
        return einkorn.nn.functional.hardshrink(self, lambd)

    def histogram(self, bins: Any, **options: Any) -> Any:
        """Counts of elements in bins, and the bins' edges."""
        return einkorn.histogram(self, bins, **options)

    # --- counts and orders --------------------------------------------------------------------

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: _Whole | None = None,
    ) -> Any:
        """The different elements, or slices along ``dim``, in order; see :func:`einkorn.ops.unique`."""
        return einkorn.ops.unique(self, return_inverse=return_inverse, return_counts=return_counts, dim=dim)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: _Whole | None = None
    ) -> Any:
        """One for each run of equal elements; see :func:`einkorn.ops.unique_consecutive`."""
        return einkorn.ops.unique_consecutive(self, return_inverse, return_counts, dim)

    def mode(self, dim: _Whole = -1, keepdim: bool = False) -> Any:
        """The pair ``values, indices`` of the most frequent element along ``dim``."""
        return einkorn.ops.mode(self, dim, keepdim)

    def bincount(self, weights: Any = None, minlength: _Whole = 0) -> Tensor:
        """How often each whole number is there; see :func:`einkorn.ops.bincount`."""
        return einkorn.ops.bincount(self, weights, minlength)

    def histc(self, bins: _Whole = 100, min: _Real = 0, max: _Real = 0) -> Tensor:
        """Counts of elements in bins of one width; see :func:`einkorn.ops.histc`."""
        return einkorn.ops.histc(self, bins, min, max)

    def msort(self) -> Tensor:
        """Sorted along the first axis."""
        return einkorn.ops.msort(self)

    def aminmax(self, *, dim: _Whole | None = None, keepdim: bool = False) -> Any:
        """The pair ``min, max`` along ``dim``, of all by default."""
        return einkorn.ops.aminmax(self, dim=dim, keepdim=keepdim)

    # --- draws ----------------------------------------------------------------------------------

    def bernoulli(self, p: _Real | None = None, *, generator: Any = None) -> Tensor:
        """1 with the probability that each element says, or ``p``, else 0."""
        with drawing_from("bernoulli", generator):
            return einkorn.ops.bernoulli(self, p)

    def multinomial(self, num_samples: _Whole, replacement: bool = False, *, generator: Any = None) -> Tensor:
        """Indices drawn with chances in proportion to self; see :func:`einkorn.ops.multinomial`."""
        with drawing_from("multinomial", generator):
            return einkorn.ops.multinomial(self, num_samples, replacement)

    # --- along dimensions ---------------------------------------------------------------------

    def diff(self, n: _Whole = 1, dim: _Whole = -1, prepend: Any = None, append: Any = None) -> Tensor:
        """Differences of neighbours along ``dim``."""
        return einkorn.ops.diff(self, n, dim, prepend, append)

    def cov(self, *, correction: _Whole = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
        """Covariances of rows; see :func:`einkorn.ops.cov`."""
        return einkorn.ops.cov(self, correction=correction, fweights=fweights, aweights=aweights)

    def corrcoef(self) -> Tensor:
        """Correlations of rows."""
        return einkorn.ops.corrcoef(self)

    def cross(self, other: Any, dim: _Whole | None = None) -> Tensor:
        """The vector product along ``dim``; by default along the first axis of size 3."""
        if dim is None:
            threes = [d for d, n in enumerate(self._data.shape) if n == 3]
            dim = threes[0] if threes else -1
        return einkorn.ops.cross(self, other, dim)

    def dist(self, other: Any, p: _Real = 2) -> Tensor:
        """The p-norm of the difference."""
        return einkorn.ops.dist(self, other, p)

    def renorm(self, p: _Real, dim: _Whole, maxnorm: _Real) -> Tensor:
        """Scale down the slices along ``dim`` whose p-norm is above ``maxnorm``."""
        return einkorn.ops.renorm(self, p, dim, maxnorm)

    def fliplr(self) -> Tensor:
        """Columns in reverse order."""
        return einkorn.ops.fliplr(self)

    def flipud(self) -> Tensor:
        """Rows in reverse order."""
        return einkorn.ops.flipud(self)

    # --- bits ---------------------------------------------------------------------------------

    def bitwise_and(self, other: Any) -> Tensor:
        """``self & other``."""
        return _self(self) & other

    def bitwise_or(self, other: Any) -> Tensor:
        """``self | other``."""
        return _self(self) | other

    def bitwise_xor(self, other: Any) -> Tensor:
        """``self ^ other``."""
        return _self(self) ^ other

    def bitwise_not(self) -> Tensor:
        """``~self``."""
        return ~_self(self)

    # --- what it is ---------------------------------------------------------------------------

    @property
    def grad_fn(self) -> Any:
        """What the tensor's gradient goes to; None for leaves and for what is not recorded."""
        return self._node

    def stride(self, dim: _Whole | None = None) -> Any:
        """Steps between neighbours along the axes, in elements; or the one along ``dim``."""
        steps = tuple([s // self._data.itemsize for s in self._data.strides])
        if dim is None:
            return steps
        if not -len(steps) <= dim < len(steps):
            raise ArgumentError(f"stride: dim is {dim}, out of range for {len(steps)} dimensions")
        return steps[dim]

    def narrow_copy(self, dim: _Whole, start: _Whole, length: _Whole) -> Tensor:
        """A copy of ``length`` slices of a dimension, from ``start`` on."""
        return einkorn.narrow_copy(self, dim, start, length)

    def as_strided(self, size: Any, stride: Any, storage_offset: _Whole | None = None) -> Tensor:
        """A view of the memory by sizes and steps; see ``einkorn.as_strided``."""
        return einkorn.as_strided(self, size, stride, storage_offset)

    @property
    def real(self) -> Tensor:
        """The tensor itself: numbers are real here."""
        return _self(self)

    def storage_offset(self) -> _Whole:
        """Elements from the memory's begin to the first one."""
        array, base = self._data, _versions.owner(self._data)
        if is_on_gpu(array):
            return (array.data.ptr - base.data.ptr) // array.itemsize
        return (array.ctypes.data - base.ctypes.data) // array.itemsize

    def is_inference(self) -> bool:
        """False: tensors do not remember where they were made."""
        return False

    def is_pinned(self) -> bool:
        """Whether the memory is pinned (``pin_memory``)."""
        return is_pinned(self._data)

    def is_shared(self) -> bool:
        """False: memory is shared with child processes by ``fork`` alone."""
        return False

    def share_memory_(self) -> Tensor:
        """The tensor itself: memory is shared with child processes by ``fork`` alone."""
        return _self(self)

    def to_dense(self) -> Tensor:
        """The tensor itself: it holds all of its elements."""
        return _self(self)

    @property
    def layout(self) -> str:
        """``"strided"``: tensors hold all of their elements."""
        return "strided"

    def new_tensor(self, data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """A Tensor of its own memory, of this one's type unless ``dtype`` says another."""
        values = data._data if isinstance(data, Numbers) else as_array(data)
        kind = self._data.dtype if dtype is None else np.dtype(dtype)
        array = _bfloat16.astype(beside(self, values), kind).copy()
        return einkorn.Tensor(array, requires_grad=requires_grad)


def _self(tensor: Numbers) -> Tensor:
    return tensor  # type: ignore[return-value]
