"""The methods of Tensor that compute: the operations of ``einkorn.ops`` under torch's names and meanings.

Where torch and NumPy call one thing by two names (``dim`` and ``axis``, ``keepdim`` and ``keepdims``) the
torch name is positional and NumPy's is a keyword. Where one name means two things, torch's meaning holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn._device import as_array, beside
from einkorn._inplace import times
from einkorn._tensor_products import Products
from einkorn._tensor_shapes import _dim, _self
from einkorn._tensor_writes import InPlace, in_place
from einkorn.errors import ArgumentError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Extremes", "Methods"]

_MISSING: Any = object()
# Within the class, these names are methods.
_Real = float
_Whole = int
_Truth = bool


class Extremes(NamedTuple):
    """What ``max`` and ``min`` over one dimension return."""

    values: Tensor
    indices: Tensor


class Methods(Products, InPlace):
    """Base class of Tensor."""

    __slots__ = ()

    # --- reductions -------------------------------------------------------------------------

    def sum(
        self,
        dim: Any = None,
        keepdim: _Truth = False,
        *,
        dtype: Any = None,
        axis: Any = _MISSING,
        keepdims: Any = None,
    ) -> Tensor:
        """Sum over dimensions; all by default, and for ``dim=()``."""
        over, keep = _over("sum", dim, keepdim, axis, keepdims)
        return einkorn.ops.sum(_typed(self, dtype), over, keep)

    def mean(
        self,
        dim: Any = None,
        keepdim: _Truth = False,
        *,
        dtype: Any = None,
        axis: Any = _MISSING,
        keepdims: Any = None,
    ) -> Tensor:
        """Mean over dimensions; all by default, and for ``dim=()``. Of integers and booleans, in float32."""
        over, keep = _over("mean", dim, keepdim, axis, keepdims)
        if dtype is None and not self.is_floating_point():
            dtype = np.float32
        return einkorn.ops.mean(_typed(self, dtype), over, keep)

    def var(
        self,
        dim: Any = None,
        unbiased: _Truth = True,
        keepdim: _Truth = False,
        *,
        correction: Any = None,
        axis: Any = _MISSING,
        keepdims: Any = None,
    ) -> Tensor:
        """Variance over dimensions; all by default.

        Parameters
        ----------
        dim : int, tuple of int or None
            A bool in this place is ``unbiased``, as in torch.
        unbiased : bool, default True
            Divide by the count less 1, else by the count.
        correction : number, optional
            Divide by the count less this; takes the place of ``unbiased``.
        """
        if isinstance(dim, _Truth):
            dim, unbiased = None, dim
        if not isinstance(unbiased, _Truth):
            raise ArgumentError(f"var: unbiased is {unbiased!r}, expected True or False")
        over, keep = _over("var", dim, keepdim, axis, keepdims)
        return einkorn.ops.var(
            self, over, keepdims=keep, correction=_Whole(unbiased) if correction is None else correction
        )

    def std(self, *args: Any, **options: Any) -> Tensor:
        """Standard deviation, the root of :meth:`var`, with its arguments."""
        spread = self.var(*args, **options)
        flat = spread._data == 0
        if self._data.dtype == np.float32 and (flat.any() or np.isinf(spread._data).any()):
            # The squares were beyond float32, which the root is not.
            return einkorn.ops.cast(_self(self).double().std(*args, **options), np.float32)
        if not spread._requires_grad or not flat.any():
            return einkorn.ops.sqrt(spread)
        whole = einkorn.ops.where(flat, 1.0, spread)  # whose root has a slope
        return einkorn.ops.where(flat, 0.0, einkorn.ops.sqrt(whole))

    def max(
        self, dim: Any = None, keepdim: _Truth = False, *, axis: Any = _MISSING, keepdims: Any = None
    ) -> Any:
        """Largest element; NaN wins.

        ``max()`` is a tensor; equal largest elements share its gradient. ``max(dim)`` is the pair ``values,
        indices`` (of the first among equals, which gets the gradient); ``max(other)`` of a tensor is
        :meth:`maximum`. With NumPy's ``axis`` the result is a tensor, as :meth:`amax`.
        """
        return _extreme("max", self, dim, keepdim, axis, keepdims)

    def min(
        self, dim: Any = None, keepdim: _Truth = False, *, axis: Any = _MISSING, keepdims: Any = None
    ) -> Any:
        """Smallest element; NaN wins. As :meth:`max`."""
        return _extreme("min", self, dim, keepdim, axis, keepdims)

    def amax(self, dim: Any = (), keepdim: _Truth = False) -> Tensor:
        """Largest element over dimensions, all by default; equal elements share the gradient."""
        over, keep = _over("amax", dim, keepdim, _MISSING, None)
        return einkorn.ops.max(self, axis=over, keepdims=keep)

    def amin(self, dim: Any = (), keepdim: _Truth = False) -> Tensor:
        """Smallest element over dimensions, all by default; equal elements share the gradient."""
        over, keep = _over("amin", dim, keepdim, _MISSING, None)
        return einkorn.ops.min(self, axis=over, keepdims=keep)

    def argmax(
        self,
        dim: _Whole | None = None,
        keepdim: _Truth = False,
        *,
        axis: Any = _MISSING,
        keepdims: Any = None,
    ) -> Any:
        """Index of the largest element along ``dim``, of int64; without ``dim``, of the flat tensor.

        The first of several, and NaN wins.
        """
        over, keep = _over("argmax", dim, keepdim, axis, keepdims)
        if over is None:
            flat = as_array(einkorn.ops.argmax(einkorn.ops.reshape(self._data, (-1,)), 0))
            return _plain(flat.reshape((1,) * self._data.ndim) if keep else flat)
        at = _dim("argmax", over, self._data.ndim)
        return _plain(_indices(self, at, keep))

    # --- arithmetic -------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: _Real = 1) -> Tensor:
        """``self + alpha * other``."""
        return einkorn.ops.add(self, times(self, other, alpha))

    def sub(self, other: Any, *, alpha: _Real = 1) -> Tensor:
        """``self - alpha * other``."""
        return einkorn.ops.subtract(self, times(self, other, alpha))

    subtract = sub

    def mul(self, other: Any) -> Tensor:
        """``self * other``."""
        return einkorn.ops.multiply(self, other)

    multiply = mul

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """``self / other``, rounded down by "floor" and towards 0 by "trunc"."""
        return einkorn.ops.divide(self, other, rounding_mode=rounding_mode)

    divide = true_divide = div

    def pow(self, exponent: Any) -> Tensor:
        """``self ** exponent``."""
        return einkorn.ops.power(self, exponent)

    def neg(self) -> Tensor:
        """``-self``."""
        return einkorn.ops.negative(self)

    negative = neg

    def abs(self) -> Tensor:
        """The absolute value."""
        return einkorn.ops.absolute(self)

    absolute = abs

    def maximum(self, other: Any) -> Tensor:
        """The larger of both, element by element."""
        return einkorn.ops.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        """The smaller of both, element by element."""
        return einkorn.ops.minimum(self, other)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit to ``[min, max]``; None leaves that side open."""
        if min is None and max is None:
            raise ArgumentError("clamp: min and max are both None, expected at least one limit")
        return einkorn.ops.clip(self, min, max)

    clip = clamp

    def where(self, condition: Any, other: Any) -> Tensor:
        """``self`` where the condition holds, else ``other``."""
        return einkorn.ops.where(condition, self, other)

    # --- functions --------------------------------------------------------------------------

    def exp(self) -> Tensor:
        """The exponential function."""
        return einkorn.ops.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return einkorn.ops.log(self)

    def sqrt(self) -> Tensor:
        """The square root."""
        return einkorn.ops.sqrt(self)

    def square(self) -> Tensor:
        """``self * self``."""
        return einkorn.ops.square(self)

    def reciprocal(self) -> Tensor:
        """``1 / self``."""
        return einkorn.ops.reciprocal(self)

    def sin(self) -> Tensor:
        """The sine."""
        return einkorn.ops.sin(self)

    def cos(self) -> Tensor:
        """The cosine."""
        return einkorn.ops.cos(self)

    def erf(self) -> Tensor:
        """The error function."""
        return einkorn.ops.erf(self)

    def relu(self) -> Tensor:
        """``max(x, 0)``."""
        return einkorn.ops.relu(self)

    def sigmoid(self) -> Tensor:
        """``1 / (1 + exp(-x))``."""
        return einkorn.ops.sigmoid(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return einkorn.ops.tanh(self)

    def softmax(self, dim: _Whole, dtype: Any = None) -> Tensor:
        """``exp(x) / sum(exp(x))`` along ``dim``, computed in ``dtype`` where it is given."""
        return einkorn.ops.softmax(_typed(self, dtype), dim)

    def log_softmax(self, dim: _Whole, dtype: Any = None) -> Tensor:
        """The logarithm of :meth:`softmax`."""
        return einkorn.ops.log_softmax(_typed(self, dtype), dim)

    # --- in place -----------------------------------------------------------------------------

    sin_, cos_, erf_, square_ = (
        in_place("sin", sin),
        in_place("cos", cos),
        in_place("erf", erf),
        in_place("square", square),
    )

    if TYPE_CHECKING:

        def detach(self) -> Tensor: ...


def _plain(array: Any) -> Tensor:
    """A Tensor of integers or booleans."""
    return einkorn.Tensor._wrap(array, False, None)


def _over(op: str, dim: Any, keepdim: Any, axis: Any, keepdims: Any) -> tuple[Any, bool]:
    """The reduced dimensions and whether they stay, from either library's spelling."""
    if axis is not _MISSING:
        if dim is not None:
            raise ArgumentError(f"{op}: dim is {dim!r} and axis is {axis!r}, expected one of the two")
        dim = axis
    elif isinstance(dim, (tuple, list)) and not dim:
        dim = None
    keep = keepdim if keepdims is None else keepdims
    if not isinstance(keep, (bool, np.bool_)):
        raise ArgumentError(f"{op}: keepdim is {keep!r}, expected True or False")
    if isinstance(dim, (bool, np.bool_)):
        raise ArgumentError(f"{op}: dim is {dim!r}, expected an int, a tuple of ints or None")
    return dim, bool(keep)


def _typed(tensor: Methods, dtype: Any) -> Any:
    return tensor if dtype is None else tensor.to(dtype)


def _indices(tensor: Methods, dim: int, keepdim: bool) -> Any:
    found = einkorn.ops.argmax(tensor._data.reshape(-1) if not tensor._data.ndim else tensor._data, dim)
    if not tensor._data.ndim:
        return found.reshape(())
    return np.expand_dims(found, dim) if keepdim else found


def _extreme(op: str, tensor: Methods, dim: Any, keepdim: Any, axis: Any, keepdims: Any) -> Any:
    reduce = einkorn.ops.max if op == "max" else einkorn.ops.min
    if isinstance(dim, Methods) or hasattr(dim, "__array__"):
        return (einkorn.ops.maximum if op == "max" else einkorn.ops.minimum)(tensor, dim)
    over, keep = _over(op, dim, keepdim, axis, keepdims)
    if dim is None or isinstance(over, (tuple, list)):
        return reduce(tensor, axis=over, keepdims=keep)
    from einkorn.ops._road import result

    data = tensor._data
    at = _dim(op, over, data.ndim)
    if not data.ndim:
        return Extremes(einkorn.ops.reshape(_self(tensor), ()), _plain(beside(data, np.zeros((), np.int64))))
    negated = np.invert if data.dtype.kind in "iub" else einkorn.ops.negative  # no integer overflows
    best = data if op == "max" else negated(data)
    indices = np.expand_dims(einkorn.ops.argmax(best, at), at)
    shape = indices.shape if keep else indices.shape[:at] + indices.shape[at + 1 :]
    full = data.shape

    def backward(g: Any) -> tuple[Any]:
        if isinstance(g, Methods):
            zeros = einkorn.ops.multiply(einkorn.ops.broadcast_to(g.reshape(indices.shape), full), 0.0)
            return (einkorn.ops.scatter(zeros, at, indices, g.reshape(indices.shape)),)
        gx = np.zeros_like(g, shape=full)
        np.put_along_axis(gx, indices, g.reshape(indices.shape), at)
        return (gx,)

    values = np.take_along_axis(data, indices, at).reshape(shape)
    return Extremes(result(values, (tensor,), backward, ()), _plain(indices.reshape(shape)))
