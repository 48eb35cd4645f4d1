"""The methods of Tensor that compute: the operations of ``einkorn.ops`` under torch's names and meanings.

Where torch and NumPy call one thing by two names (``dim`` and ``axis``, ``keepdim`` and ``keepdims``) the
torch name is positional and NumPy's is a keyword. Where one name means two things, torch's meaning holds.
"""

from __future__ import annotations

import operator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _versions, engines
from einkorn._inplace import Writes, times
from einkorn.device import device_of, is_device, move
from einkorn.errors import ArgumentError, DTypeError, ShapeError

if TYPE_CHECKING:
    from einkorn.tensor import Tensor

__all__ = ["Extremes", "Methods"]

_MISSING: Any = object()
_Real = float  # within the class, float is a method


class Extremes(NamedTuple):
    """What ``max`` and ``min`` over one dimension return."""

    values: Tensor
    indices: np.ndarray[Any, Any]


class Methods(Writes):
    """Base class of Tensor."""

    __slots__ = ()

    _data: Any
    _node: Any
    _requires_grad: bool

    # --- what it is -------------------------------------------------------------------------

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry ``dim``. (NumPy's ``size``, the number of elements, is :meth:`numel`.)"""
        shape = self._data.shape
        return shape if dim is None else shape[_dim("size", dim, len(shape))]

    def dim(self) -> int:
        """Number of dimensions."""
        return self._data.ndim

    ndimension = dim

    def numel(self) -> int:
        """Number of elements."""
        return self._data.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._data.nbytes

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._data.itemsize

    def is_floating_point(self) -> bool:
        """True: tensors are float32 or float64."""
        return True

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order without gaps."""
        return bool(self._data.flags.c_contiguous)

    # --- conversion -------------------------------------------------------------------------

    def item(self) -> _Real:
        """The value of a tensor with one element."""
        if self._data.size != 1:
            raise ShapeError(f"item: the tensor has shape {self._data.shape}, expected a single element")
        return float(self._data.item())

    def tolist(self) -> Any:
        """The values as a number or nested lists of numbers."""
        return self._data.tolist()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array: the same memory on the CPU, a copy from a GPU."""
        return self._data if isinstance(self._data, np.ndarray) else self._data.get()

    @property
    def device(self) -> str:
        """Where the values are: ``"cpu"`` or ``"cuda:N"``."""
        return device_of(self._data)

    def to(self, *targets: Any) -> Tensor:
        """Convert to a device, an element type, or those of another tensor; the gradient flows through.

        The tensor itself where there is nothing to do.

        Parameters
        ----------
        *targets : str, dtype or Tensor
            ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; float32 or float64; or a tensor that has both.

        Raises
        ------
        DTypeError
            For another type.
        DeviceError, EngineError
            When there is no such device, or nothing to reach it with.
        """
        out = self
        for target in targets:
            if isinstance(target, Methods):
                out = _moved(_cast(out, target._data.dtype), target.device)
            else:
                out = _moved(out, target) if is_device(target) else _cast(out, target)
        return _self(out)

    def cpu(self) -> Tensor:
        """``to("cpu")``."""
        return self.to("cpu")

    def float(self) -> Tensor:
        """``to(float32)``."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """``to(float64)``."""
        return self.to(np.float64)

    def clone(self) -> Tensor:
        """The same values in memory of their own; the gradient flows through."""
        from einkorn.ops._road import result

        k = engines.of(self._data)
        out = k.empty(self._data.shape, self._data.dtype)
        k.copy(out, self._data)
        return result(out, (self,), lambda g: (g,))

    def contiguous(self) -> Tensor:
        """The tensor itself if it lies in row-major order, else a copy that does."""
        return _self(self) if self._data.flags.c_contiguous else einkorn.ops.contiguous(self)

    # --- shape ------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape; one size may be -1. A view where strides allow, else a copy."""
        return einkorn.ops.reshape(self, _sizes(shape))

    def reshape_as(self, other: Any) -> Tensor:
        """``reshape(other.shape)``."""
        return einkorn.ops.reshape(self, other.shape)

    def view(self, *shape: Any) -> Tensor:
        """:meth:`reshape` that never copies.

        Raises
        ------
        ShapeError
            Where the strides do not allow a view.
        """
        out = einkorn.ops.reshape(self, _sizes(shape))
        if self._data.size and _versions.owner(self._data) is not _versions.owner(out._data):
            raise ShapeError(
                f"view: the tensor has shape {self._data.shape} and does not lie in row-major order, so"
                f" {out.shape} needs a copy: use reshape"
            )
        return out

    def view_as(self, other: Any) -> Tensor:
        """``view(other.shape)``."""
        return self.view(other.shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge the dimensions from ``start_dim`` to ``end_dim``."""
        return einkorn.ops.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        """``flatten()``."""
        return einkorn.ops.flatten(self)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two dimensions."""
        return einkorn.ops.transpose(self, dim0, dim1)

    swapaxes = swapdims = transpose

    def permute(self, *dims: Any) -> Tensor:
        """Put the dimensions into another order."""
        return einkorn.ops.permute(self, _sizes(dims))

    def t(self) -> Tensor:
        """The transpose of a matrix; vectors and scalars are returned as they are."""
        if self._data.ndim > 2:
            raise ShapeError(f"t: the tensor has shape {self._data.shape}, expected at most 2 dimensions")
        return einkorn.ops.transpose(self, 0, 1) if self._data.ndim == 2 else _self(self)

    @property
    def T(self) -> Tensor:  # noqa: N802 - the usual name
        """All dimensions in reverse order."""
        return einkorn.ops.permute(self, tuple(reversed(range(self._data.ndim))))

    @property
    def mT(self) -> Tensor:  # noqa: N802 - the usual name
        """The last two dimensions swapped."""
        if self._data.ndim < 2:
            raise ShapeError(f"mT: the tensor has shape {self._data.shape}, expected at least 2 dimensions")
        return einkorn.ops.transpose(self, -2, -1)

    def unsqueeze(self, dim: int) -> Tensor:
        """Add a dimension of size 1 at ``dim``."""
        shape = self._data.shape
        at = _dim("unsqueeze", dim, len(shape) + 1)
        return einkorn.ops.reshape(self, (*shape[:at], 1, *shape[at:]))

    def squeeze(self, dim: Any = None) -> Tensor:
        """Drop dimensions of size 1: all of them, or those that ``dim`` names (others are kept)."""
        shape = self._data.shape
        named = list(range(len(shape)))
        if dim is not None:
            named = [
                _dim("squeeze", d, len(shape)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))
            ]
        return einkorn.ops.reshape(self, tuple([n for d, n in enumerate(shape) if n != 1 or d not in named]))

    def expand(self, *sizes: Any) -> Tensor:
        """View with a larger shape, by broadcasting; -1 keeps a size."""
        wanted, shape = _sizes(sizes), self._data.shape
        new = len(wanted) - len(shape)
        full = tuple([shape[d - new] if n == -1 and d >= new else n for d, n in enumerate(wanted)])
        return einkorn.ops.broadcast_to(self, full)

    def expand_as(self, other: Any) -> Tensor:
        """``expand(other.shape)``."""
        return einkorn.ops.broadcast_to(self, other.shape)

    def broadcast_to(self, size: Any) -> Tensor:
        """``expand(size)``."""
        return self.expand(size)

    # --- reductions -------------------------------------------------------------------------

    def sum(
        self,
        dim: Any = None,
        keepdim: bool = False,
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
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Any = _MISSING,
        keepdims: Any = None,
    ) -> Tensor:
        """Mean over dimensions; all by default, and for ``dim=()``."""
        over, keep = _over("mean", dim, keepdim, axis, keepdims)
        return einkorn.ops.mean(_typed(self, dtype), over, keep)

    def var(
        self,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
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
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if not isinstance(unbiased, bool):
            raise ArgumentError(f"var: unbiased is {unbiased!r}, expected True or False")
        over, keep = _over("var", dim, keepdim, axis, keepdims)
        return einkorn.ops.var(
            self, over, keepdims=keep, correction=int(unbiased) if correction is None else correction
        )

    def std(self, *args: Any, **options: Any) -> Tensor:
        """Standard deviation, the root of :meth:`var`, with its arguments."""
        return einkorn.ops.sqrt(self.var(*args, **options))

    def max(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = None
    ) -> Any:
        """Largest element; NaN wins.

        ``max()`` is a tensor; equal largest elements share its gradient. ``max(dim)`` is the pair ``values,
        indices`` (of the first among equals, which gets the gradient); ``max(other)`` of a tensor is
        :meth:`maximum`. With NumPy's ``axis`` the result is a tensor, as :meth:`amax`.
        """
        return _extreme("max", self, dim, keepdim, axis, keepdims)

    def min(
        self, dim: Any = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = None
    ) -> Any:
        """Smallest element; NaN wins. As :meth:`max`."""
        return _extreme("min", self, dim, keepdim, axis, keepdims)

    def amax(self, dim: Any = (), keepdim: bool = False) -> Tensor:
        """Largest element over dimensions, all by default; equal elements share the gradient."""
        over, keep = _over("amax", dim, keepdim, _MISSING, None)
        return einkorn.ops.max(self, axis=over, keepdims=keep)

    def amin(self, dim: Any = (), keepdim: bool = False) -> Tensor:
        """Smallest element over dimensions, all by default; equal elements share the gradient."""
        over, keep = _over("amin", dim, keepdim, _MISSING, None)
        return einkorn.ops.min(self, axis=over, keepdims=keep)

    def argmax(
        self, dim: int | None = None, keepdim: bool = False, *, axis: Any = _MISSING, keepdims: Any = None
    ) -> Any:
        """Index of the largest element along ``dim`` as an int64 array; without ``dim``, of the flat tensor.

        The first of several, and NaN wins.
        """
        over, keep = _over("argmax", dim, keepdim, axis, keepdims)
        if over is None:
            flat = einkorn.ops.argmax(einkorn.ops.reshape(self.detach(), (-1,)), 0)
            return flat.reshape((1,) * self._data.ndim) if keep else flat
        at = _dim("argmax", over, self._data.ndim)
        return _indices(self, at, keep)

    # --- arithmetic -------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: _Real = 1) -> Tensor:
        """``self + alpha * other``."""
        return einkorn.ops.add(self, times(other, alpha))

    def sub(self, other: Any, *, alpha: _Real = 1) -> Tensor:
        """``self - alpha * other``."""
        return einkorn.ops.subtract(self, times(other, alpha))

    subtract = sub

    def mul(self, other: Any) -> Tensor:
        """``self * other``."""
        return einkorn.ops.multiply(self, other)

    multiply = mul

    def div(self, other: Any) -> Tensor:
        """``self / other``."""
        return einkorn.ops.divide(self, other)

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

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        """``value`` where the boolean mask holds, else ``self``."""
        return einkorn.ops.where(mask, value, self)

    def matmul(self, other: Any) -> Tensor:
        """``self @ other``."""
        return einkorn.ops.matmul(self, other)

    def bmm(self, mat2: Any) -> Tensor:
        """Product of two stacks of matrices."""
        return einkorn.ops.bmm(self, mat2)

    def addmm(self, mat1: Any, mat2: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self + alpha * (mat1 @ mat2)``."""
        return einkorn.ops.addmm(self, mat1, mat2, beta=beta, alpha=alpha)

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

    def softmax(self, dim: int) -> Tensor:
        """``exp(x) / sum(exp(x))`` along ``dim``."""
        return einkorn.ops.softmax(self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        """The logarithm of :meth:`softmax`."""
        return einkorn.ops.log_softmax(self, dim)

    if TYPE_CHECKING:

        def detach(self) -> Tensor: ...


def _self(tensor: Methods) -> Tensor:
    return tensor  # type: ignore[return-value]


def _cast(tensor: Methods, dtype: Any) -> Methods:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(np.void)
    if dtype is None or wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(f"to: got {dtype!r}, expected float32, float64, a tensor or the name of a device")
    return tensor if tensor._data.dtype == wanted else einkorn.ops.cast(tensor, wanted)


def _moved(tensor: Methods, device: str) -> Methods:
    from einkorn.ops._road import result

    before = tensor._data
    out = move(before, device)
    if out is before:
        return tensor
    home = device_of(before)
    return result(out, (tensor,), lambda g: (move(g, home),))


def _dim(op: str, dim: Any, ndim: int) -> int:
    """A dimension as a number from 0; a scalar has a dimension 0 and -1, as in torch."""
    try:
        index = operator.index(dim)
    except TypeError:
        raise ArgumentError(f"{op}: dim is {dim!r}, expected an int") from None
    room = ndim or 1
    if not -room <= index < room:
        raise ArgumentError(f"{op}: dim is {dim}, out of range for {ndim} dimensions")
    return index % room


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
        return Extremes(einkorn.ops.reshape(_self(tensor), ()), np.zeros((), np.int64))
    best = data if op == "max" else einkorn.ops.negative(data)
    indices = np.expand_dims(einkorn.ops.argmax(best, at), at)
    shape = indices.shape if keep else indices.shape[:at] + indices.shape[at + 1 :]
    full = data.shape

    def backward(g: Any) -> tuple[Any]:
        gx = np.zeros(full, g.dtype)
        np.put_along_axis(gx, indices, g.reshape(indices.shape), at)
        return (gx,)

    values = np.take_along_axis(data, indices, at).reshape(shape)
    return Extremes(result(values, (tensor,), backward), indices.reshape(shape))


def _sizes(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``reshape(2, 3)`` and ``reshape((2, 3))`` mean the same."""
    if len(arguments) == 1 and not isinstance(arguments[0], (int, np.integer, EllipsisType)):
        return tuple(arguments[0])
    return arguments
