"""Tensor: an array with a gradient."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np

from einkorn.autograd import Node, backward
from einkorn.errors import DTypeError, GradientError, ShapeError

__all__ = ["Tensor"]


class Tensor:
    """An array that operations can record gradients for.

    Parameters
    ----------
    data : array_like
        A float32 or float64 array is wrapped without a copy; lists and numbers become float32.
    requires_grad : bool, default False
        Whether operations on this tensor are recorded, so that :meth:`backward` reaches it.

    Attributes
    ----------
    data : array
        The values.
    grad : Tensor or None
        Sum of the gradients of all backward passes since the last :meth:`zero_grad`; leaves only.
    requires_grad : bool

    Raises
    ------
    DTypeError
        For arrays of another type than float32 and float64.

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad.numpy()
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node", "data", "grad", "requires_grad")
    __array_priority__ = 1000  # numpy_array * tensor is ours to compute

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data.data
        if not hasattr(data, "dtype"):
            data = np.array(data, dtype=np.float32)
        elif not isinstance(data, np.ndarray) and type(data).__module__.partition(".")[0] != "cupy":
            data = np.asarray(data)
        if data.dtype not in (np.float32, np.float64):
            raise DTypeError(f"Tensor: data has dtype {data.dtype}, expected float32 or float64")
        if isinstance(data, np.ndarray) and not (data.dtype.isnative and data.flags.aligned):
            data = np.array(data, dtype=data.dtype.newbyteorder("="))
        self.data: Any = data
        self.grad: Tensor | None = None
        self.requires_grad = requires_grad
        self._node: Node | None = None

    @classmethod
    def _wrap(cls, data: Any, requires_grad: bool, node: Node | None) -> Tensor:
        """Make a tensor from what a kernel computed, unchecked."""
        self = object.__new__(Tensor)
        self.data = data
        self.grad = None
        self.requires_grad = requires_grad
        self._node = node
        return self

    def _accumulate(self, gradient: Any) -> None:
        if self.grad is None:
            self.grad = Tensor._wrap(gradient, False, None)
        else:
            from einkorn import engines

            engines.of(gradient).add(self.grad.data, self.grad.data, gradient)

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this tensor to the ``grad`` of every leaf it was computed from.

        See :func:`einkorn.autograd.backward`.
        """
        if isinstance(gradient, Tensor):
            gradient = gradient.data
        backward(self, gradient)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> Tensor:
        """The same values, cut from the graph."""
        return Tensor._wrap(self.data, False, None)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of a leaf and return it."""
        if self._node is not None and not requires_grad:
            raise GradientError("requires_grad_: only leaves can be changed; use detach()")
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user and not by a recorded operation."""
        return self._node is None

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array: the same memory on the CPU, a copy from a GPU."""
        return self.data if isinstance(self.data, np.ndarray) else self.data.get()

    def item(self) -> float:
        """The value of a tensor with one element."""
        if self.data.size != 1:
            raise ShapeError(f"item: the tensor has shape {self.shape}, expected a single element")
        return float(self.data.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type: float32 or float64."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    def __len__(self) -> int:
        return len(self.data)

    def __float__(self) -> float:
        return self.item()

    def __bool__(self) -> bool:
        return bool(self.data)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=20)
        kind = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}{kind}{grad})"

    # Operators and methods are the operations of einkorn.ops under their usual names.

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.absolute(self)

    def __getitem__(self, key: Any) -> Tensor:
        return ops.getitem(self, key)

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape; one size may be -1."""
        return ops.reshape(self, _sizes(shape))

    view = reshape

    def transpose(self, first: int, second: int) -> Tensor:
        """Swap two dimensions (as torch)."""
        return ops.transpose(self, first, second)

    def permute(self, *axes: Any) -> Tensor:
        """Put the dimensions into another order."""
        return ops.permute(self, _sizes(axes))

    @property
    def T(self) -> Tensor:  # noqa: N802 - the usual name
        """All dimensions in reverse order."""
        return ops.permute(self, tuple(reversed(range(self.ndim))))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge the dimensions from ``start_dim`` to ``end_dim``."""
        return ops.flatten(self, start_dim, end_dim)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over axes; all by default."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Mean over axes; all by default."""
        return ops.mean(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Maximum over axes; all by default."""
        return ops.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Minimum over axes; all by default."""
        return ops.min(self, axis, keepdims)

    def exp(self) -> Tensor:
        """The exponential function."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """The square root."""
        return ops.sqrt(self)

    def relu(self) -> Tensor:
        """``max(x, 0)``."""
        return ops.relu(self)

    def sigmoid(self) -> Tensor:
        """``1 / (1 + exp(-x))``."""
        return ops.sigmoid(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return ops.tanh(self)


def _sizes(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``reshape(2, 3)`` and ``reshape((2, 3))`` mean the same."""
    if len(arguments) == 1 and not isinstance(arguments[0], (int, np.integer, EllipsisType)):
        return tuple(arguments[0])
    return arguments


# At the end: the operations are built on Tensor.
from einkorn import ops  # noqa: E402
