"""Tensor: an array with a gradient, or one of integers or booleans, which have none."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions
from einkorn._device import as_array, is_aligned, is_whole, near
from einkorn._spelling import respell
from einkorn._tape import LAST, Hook, Node, after_hooks, fitting, hooks
from einkorn._tensor_methods import Methods
from einkorn.autograd import backward
from einkorn.errors import ArgumentError, DTypeError, GradientError, ShapeError

__all__ = ["Tensor", "as_numpy", "shown"]

#: How ``repr`` writes elements: options of ``numpy.array2string``, which ``einkorn.set_printoptions`` sets.
shown: dict[str, Any] = {"threshold": 20}


class Tensor(Methods):
    """An array that operations can record gradients for.

    Methods have torch's names and meanings, ``dim`` and ``keepdim`` included; NumPy's ``axis`` and
    ``keepdims`` are understood as keywords. Comparisons are elementwise and give Tensors of booleans, while
    hash and ``is`` go by identity. Tensors of integers and booleans hold indices, labels and masks: they
    index, count and combine as NumPy's arrays do and are refused where a gradient is wanted.

    Parameters
    ----------
    data : array_like
        An array of float32, float64, bfloat16, integers or booleans and of at most 8 dimensions is wrapped
        without a copy (one that is misaligned or of foreign byte order is converted); lists and numbers
        become float32. Two or more sizes, as in ``Tensor(2, 3)``, make one without values, as in torch.
    requires_grad : bool, default False
        Whether operations on this tensor are recorded, so that :meth:`backward` reaches it.

    Attributes
    ----------
    data : Tensor
        The same memory, cut from the graph: what is written through it goes past the tape and its checks. A
        Tensor or an array may be assigned; its memory takes the place of the tensor's.
    grad : Tensor or None
        Sum of the gradients of all backward passes since the last :meth:`zero_grad`; leaves only. What is
        assigned must have the shape and type of the values.
    requires_grad : bool

    Raises
    ------
    DTypeError
        For arrays of another type than float32, float64, bfloat16, integers and booleans, and for a gradient
        that integers or booleans should require.
    ShapeError
        For more than 8 dimensions.

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad.numpy()
    array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_node", "_requires_grad")

    _data: Any
    _grad: Tensor | None
    _node: Node | None
    _requires_grad: bool

    def __init__(self, data: Any, requires_grad: bool = False, *sizes: int) -> None:
        if type(requires_grad) is int and type(data) is int:  # Tensor(2, 3), torch's old empty((2, 3))
            data, requires_grad = np.empty((data, requires_grad, *sizes), np.float32), False
        elif sizes:
            raise ArgumentError(f"Tensor: got {2 + len(sizes)} arguments, expected data and requires_grad")
        self._data = self._accepted(_array(data, "Tensor"))
        self._grad = None
        self._node = None
        self._requires_grad = self._grad_flag("Tensor", requires_grad)

    def _grad_flag(self, op: str, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise ArgumentError(f"{op}: requires_grad is {value!r}, expected True or False")
        if value and not _bfloat16.is_floating(self._data.dtype):
            raise DTypeError(
                f"{op}: requires_grad is True for a tensor of {self._data.dtype}, expected float32, float64"
                " or bfloat16"
            )
        return bool(value)

    @classmethod
    def _wrap(cls, data: Any, requires_grad: bool, node: Node | None) -> Tensor:
        """Make a tensor from what a kernel computed, unchecked."""
        self = object.__new__(Tensor)
        self._data = data
        self._grad = None
        self._node = node
        self._requires_grad = requires_grad
        return self

    @classmethod
    def _accepted(cls, data: Any) -> Any:
        """The array itself, or what this class keeps in its place."""
        return data

    # --- state ------------------------------------------------------------------------------

    @property
    def data(self) -> Tensor:
        """The same memory, cut from the graph; writes through it go past the tape and its checks."""
        return Tensor._wrap(_versions.uncounted(self._data), False, None)

    @data.setter
    def data(self, value: Any) -> None:
        array = value._data if isinstance(value, Tensor) else _array(value, "data")
        if _versions.is_same(array, self._data):  # t.data -= ... wrote into the memory and hands it back
            return
        data = self._accepted(array)
        if self._node is not None and (data.shape != self._data.shape or data.dtype != self._data.dtype):
            raise GradientError(
                f"data: {data.dtype} of shape {data.shape} is assigned to the result of a recorded operation,"
                f" expected {self._data.dtype} of shape {self._data.shape}"
            )
        if self._requires_grad and not _bfloat16.is_floating(data.dtype):
            raise DTypeError(
                f"data: got {data.dtype}, expected float32, float64 or bfloat16: a gradient is required"
            )
        self._data = data

    @property
    def grad(self) -> Tensor | None:
        """The gradient, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None:
            self._grad = None
            return
        if value is self:
            raise GradientError("grad: the tensor itself is assigned as its gradient")
        array = fitting("grad", "the gradient", value, self._data)
        if not is_whole(array):
            array = array.copy(order="C")
        whole = isinstance(value, Tensor) and array is value._data
        self._grad = value if whole else Tensor._wrap(array, False, None)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        if self._node is not None and not value:
            raise GradientError("requires_grad: only leaves can be changed; use detach()")
        self._requires_grad = self._grad_flag("requires_grad", value)

    def __getstate__(self) -> tuple[Any, Tensor | None, bool]:
        if self._node is not None:
            raise GradientError(
                "only leaf tensors can be copied or pickled: detach() what a recorded operation computed"
            )
        return self._data, self._grad, self._requires_grad

    def __setstate__(self, state: tuple[Any, Tensor | None, bool]) -> None:
        self._data, self._grad, self._requires_grad = state
        self._node = None

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to the ``grad`` of every leaf it was computed from.

        See :func:`einkorn.autograd.backward`.
        """
        backward(self, gradient, retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> Hook:
        """Call ``hook(gradient)`` in each backward pass, with this tensor's gradient as a Tensor.

        A Tensor that the hook returns takes the gradient's place. The result has ``remove()``.

        Raises
        ------
        GradientError
            If the tensor does not require a gradient.
        """
        self._check_requires("register_hook")
        return Hook(hooks, self if self._node is None else self._node, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], Any]) -> Hook:
        """Call ``hook(tensor)`` when a backward pass has added to the ``grad`` of this leaf."""
        self._check_requires("register_post_accumulate_grad_hook")
        if self._node is not None:
            raise GradientError("register_post_accumulate_grad_hook: the tensor is no leaf")
        return Hook(after_hooks, self, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a computed tensor in its ``grad`` as backward passes go by."""
        self._check_requires("retain_grad")
        if self._node is None or any(number > LAST for number in hooks.get(id(self._node), ())):
            return  # kept anyway
        me = weakref.ref(self)

        def keep(gradient: Tensor) -> None:
            tensor = me()
            if tensor is not None:
                before = tensor._grad
                tensor._grad = gradient.clone() if before is None else before + gradient

        Hook(hooks, self._node, keep, last=True)

    def _check_requires(self, op: str) -> None:
        if not self._requires_grad:
            raise GradientError(f"{op}: the tensor does not require a gradient")

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def detach(self) -> Tensor:
        """The same memory, cut from the graph."""
        return Tensor._wrap(self._data, False, None)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of a leaf and return it."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user and not by a recorded operation."""
        return self._node is None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from einkorn import _numpy_calls

        return _numpy_calls.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from einkorn import _numpy_calls

        return _numpy_calls.function(func, args, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise GradientError("__dlpack__: the tensor requires a gradient, pass it detached: detach()")
        if self._data.dtype.kind == "V":
            return _bfloat16.dlpack(self._data, **options)
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type: float32, float64, bfloat16, or one of integers or booleans."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self._data.ndim

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self._data))])

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iub" or self._data.size != 1:
            raise TypeError(
                f"a tensor of {self.dtype} and shape {self.shape} is no index, expected one integer"
            )
        return operator.index(self._data.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(f"bool: the tensor has shape {self.shape}; only one element is true or false")
        return bool(self._data)

    def __format__(self, spec: str) -> str:
        if self.ndim == 0 or (spec and self._data.size == 1):
            return format(self.item(), spec)
        if spec:
            raise ShapeError(f"format: {spec!r} formats one number, and the tensor has shape {self.shape}")
        return str(self)

    def __repr__(self) -> str:
        array = self.numpy()
        if array.dtype.kind == "V":
            array = _bfloat16.widen(
                array
            )  # NumPy lays the digits of a type that it does not know out by itself
        values = np.array2string(array, separator=", ", prefix="Tensor(", **shown)
        kind = "" if self.dtype in (np.float32, np.bool_) else f", dtype={self.dtype}"
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}{kind}{grad})"

    # --- comparisons ------------------------------------------------------------------------

    __hash__ = object.__hash__

    def __eq__(self, other: Any) -> Any:
        return _compared("==", operator.eq, self, other)

    def __ne__(self, other: Any) -> Any:
        return _compared("!=", operator.ne, self, other)

    def __lt__(self, other: Any) -> Any:
        return _compared("<", operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return _compared("<=", operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return _compared(">", operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return _compared(">=", operator.ge, self, other)

    def __contains__(self, value: Any) -> bool:
        found = self == value
        return bool(found.any()) if isinstance(found, Tensor) else bool(found)

    # --- operators: the operations of einkorn.ops ---------------------------------------------

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

    def __floordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __lshift__(self, other: Any) -> Tensor:
        return _bitwise("left_shift", self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return Tensor(np.asarray(other, self._data.dtype)) << self

    def __rshift__(self, other: Any) -> Tensor:
        return _bitwise("right_shift", self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return Tensor(np.asarray(other, self._data.dtype)) >> self

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        if self._data.dtype.kind != "f":
            return self.matmul(other)
        if type(other) is np.ndarray and other.dtype != self._data.dtype:
            return ops.matmul(*_of_one_type(self, other))
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        if self._data.dtype.kind != "f":
            return Tensor._wrap(np.asarray(other), False, None).matmul(self)
        if type(other) is np.ndarray and other.dtype != self._data.dtype:
            return ops.matmul(*reversed(_of_one_type(self, other)))
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.absolute(self)

    def __and__(self, other: Any) -> Tensor:
        return _bitwise("bitwise_and", self, other)

    def __or__(self, other: Any) -> Tensor:
        return _bitwise("bitwise_or", self, other)

    def __xor__(self, other: Any) -> Tensor:
        return _bitwise("bitwise_xor", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Tensor:
        if self._data.dtype.kind == "u":
            return Tensor._wrap(~self._data, False, None)
        return _bitwise("bitwise_xor", self, True if self._data.dtype.kind == "b" else -1)

    def __getitem__(self, key: Any) -> Tensor:
        return ops.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        assign(self, "setitem", key, value)

    def __iadd__(self, other: Any) -> Tensor:
        return update(self, "add", other)

    def __isub__(self, other: Any) -> Tensor:
        return update(self, "subtract", other)

    def __imul__(self, other: Any) -> Tensor:
        return update(self, "multiply", other)

    def __itruediv__(self, other: Any) -> Tensor:
        return update(self, "divide", other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return update(self, "floor_divide", other)

    def __imod__(self, other: Any) -> Tensor:
        return update(self, "remainder", other)

    def __ipow__(self, other: Any) -> Tensor:
        return update(self, "power", other)


def as_numpy(value: Any, dtype: Any = None) -> np.ndarray:
    """Numbers, an array or a Tensor of any device for what NumPy alone computes: no copy from the CPU."""
    return np.asarray(near(value._data if isinstance(value, Tensor) else value), dtype)


def _array(data: Any, op: str) -> Any:
    """The array behind what a user calls a tensor's values."""
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, np.generic):
        data = np.asarray(data)
    elif not hasattr(data, "dtype"):
        if data is None:
            raise DTypeError(f"{op}: data is a NoneType, expected numbers")
        try:
            data = np.array(data, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise DTypeError(f"{op}: data is a {type(data).__name__}, expected numbers: {error}") from None
    whole = movable(data, op, "data")
    return whole if is_aligned(whole) else whole.copy()


def _of_one_type(tensor: Tensor, array: np.ndarray) -> tuple[Any, Any]:
    """A Tensor and an array of NumPy, in the type that NumPy would compute their product with."""
    wanted = np.promote_types(tensor._data.dtype, array.dtype.newbyteorder("="))
    return ops.cast(tensor, wanted), array.astype(wanted, copy=False)


def _bitwise(op: str, tensor: Tensor, other: Any) -> Any:
    left, right = _promotion.pair(tensor, other) or (tensor, other)
    out = _integers.binary(op, left, right)
    if out is None:
        kinds = f"{tensor.dtype} and {getattr(other, 'dtype', type(other).__name__)}"
        raise DTypeError(f"{op}: got {kinds}, expected integers or booleans")
    return out


def _compared(symbol: str, compare: Callable[[Any, Any], Any], tensor: Tensor, other: Any) -> Any:
    """A Tensor of booleans, or NotImplemented where the other side is nothing that numbers compare with."""
    if isinstance(other, Tensor):
        other = other._data
    elif not (hasattr(other, "dtype") and hasattr(other, "shape")):
        if other is None or isinstance(other, (str, bytes)):
            return NotImplemented
        if not isinstance(other, (int, float)):
            try:
                other = np.asarray(other)
            except (TypeError, ValueError):
                return NotImplemented
    elif type(other).__module__.partition(".")[0] == "torch":
        other = np.asarray(other.detach())
    mine, kind = tensor._data, getattr(other, "dtype", None)
    if type(other) is int:
        other = _integers.fitted(symbol, other, mine)
    if mine.dtype.kind == "V":
        mine, other = _bfloat16.comparable(mine, other)
    elif kind is not None and kind.kind == "V":
        other, mine = _bfloat16.comparable(other, mine)
    if getattr(getattr(other, "dtype", None), "kind", "f") not in "fiub":
        return NotImplemented
    if kind is not None and kind != mine.dtype:
        wanted = _promotion.common_type(mine, other)
        mine, other = mine.astype(wanted, copy=False), other.astype(wanted, copy=False)
    try:
        return Tensor._wrap(as_array(compare(mine, other)), False, None)
    except ValueError:
        raise ShapeError(
            f"{symbol}: shapes {tensor.shape} and {np.shape(other)} do not broadcast together"
        ) from None


# At the end: the operations are built on Tensor.
from einkorn import ops  # noqa: E402
from einkorn._inplace import assign, update  # noqa: E402
from einkorn.ops import _integers, _promotion  # noqa: E402
from einkorn.ops._moves import movable  # noqa: E402

respell(Tensor)
