"""The methods of Tensor that say what it is, convert it and give its elements another shape or place."""

from __future__ import annotations

import operator
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _bfloat16, _versions
from einkorn._device import device, device_of, move
from einkorn._layout import check_layout
from einkorn._targets import flags_of, targets_of
from einkorn._tensor_places import Places
from einkorn.errors import ArgumentError, DTypeError, ShapeError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Shapes"]

# Within the class, these names are methods.
_Real = float
_Whole = int
_Truth = bool
_Place = device


class Shapes(Places):
    """Base class of Tensor."""

    __slots__ = ()

    _data: Any
    _node: Any
    _requires_grad: bool

    # --- what it is -------------------------------------------------------------------------

    def size(self, dim: _Whole | None = None) -> Any:
        """The shape, or its entry ``dim``. (NumPy's ``size``, the number of elements, is :meth:`numel`.)"""
        shape = self._data.shape
        return shape if dim is None else shape[_dim("size", dim, len(shape))]

    def dim(self) -> _Whole:
        """Number of dimensions."""
        return self._data.ndim

    ndimension = dim

    def numel(self) -> _Whole:
        """Number of elements."""
        return self._data.size

    nelement = numel

    def element_size(self) -> _Whole:
        """Bytes of one element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> _Whole:
        """Bytes of all elements."""
        return self._data.nbytes

    @property
    def itemsize(self) -> _Whole:
        """Bytes of one element."""
        return self._data.itemsize

    def is_floating_point(self) -> _Truth:
        """Whether the elements are float32, float64 or bfloat16, and not integers or booleans."""
        return _bfloat16.is_floating(self._data.dtype)

    def is_contiguous(self, memory_format: Any = "contiguous_format") -> _Truth:
        """Whether the elements lie in memory in row-major order without gaps; never in another one."""
        check_layout("is_contiguous", memory_format)
        return _Truth(self._data.flags.c_contiguous and memory_format == "contiguous_format")

    # --- conversion -------------------------------------------------------------------------

    def item(self) -> Any:
        """The value of a tensor with one element: a float, an int or a bool."""
        if self._data.size != 1:
            raise ShapeError(f"item: the tensor has shape {self._data.shape}, expected a single element")
        return self._data.item() if self._data.dtype.kind != "V" else float(self._data.reshape(())[()])

    def tolist(self) -> Any:
        """The values as a number or nested lists of numbers."""
        return (self._data if self._data.dtype.kind != "V" else _bfloat16.widen(self._data)).tolist()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array: the same memory on the CPU, a copy from a GPU."""
        return self._data if isinstance(self._data, np.ndarray) else self._data.get()

    @property
    def device(self) -> _Place:
        """Where the values are: ``"cpu"`` or ``"cuda:N"``, with torch's ``type`` and ``index``."""
        return _Place(device_of(self._data))

    def to(
        self,
        *targets: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: _Truth = False,
        copy: _Truth = False,
        memory_format: Any = None,
    ) -> Tensor:
        """Convert to a device, an element type, or those of another tensor.

        The gradient flows through from floats to floats. The tensor itself where there is nothing to do.

        Parameters
        ----------
        *targets : str, int, torch.device, dtype or Tensor
            ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or N; a type of floats, integers or booleans; one of each;
            or a tensor that has both. After them may stand torch's ``non_blocking`` and ``copy``.
        dtype, device : keyword-only, optional
            The same by name.
        non_blocking : bool
            Whether a copy from pinned memory (``pin_memory``) to a GPU may go on after the call.
        copy : bool, default False
            New memory in any case.
        memory_format : optional
            Taken, and of no effect: the channels of images stay where they are.

        Raises
        ------
        ArgumentError
            For what is no device, and for two devices or two types.
        DTypeError
            For another type.
        DeviceError, EngineError
            When there is no such device, or nothing to reach it with.
        """
        check_layout("to", memory_format)
        targets, (non_blocking, copy) = flags_of("to", targets, non_blocking=non_blocking, copy=copy)
        place, kind = targets_of("to", targets, device, dtype)
        out = self
        if place is not None and (place == "cpu" or kind is None):  # what a GPU cannot hold is cast here
            out = _moved(out, place, non_blocking)
        if kind is not None:
            out = _cast(out, kind)
        if place is not None and place != "cpu" and kind is not None:
            out = _moved(out, place, non_blocking)
        return out.clone() if copy and out is self else _self(out)

    def cpu(self) -> Tensor:
        """``to("cpu")``."""
        return self.to("cpu")

    def float(self) -> Tensor:
        """``to(float32)``."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """``to(float64)``."""
        return self.to(np.float64)

    def bfloat16(self) -> Tensor:
        """``to(bfloat16)``: rounded to the nearest, ties to even."""
        return self.to("bfloat16")

    def long(self) -> Tensor:
        """``to(int64)``: fractions are cut off."""
        return self.to(np.int64)

    def int(self) -> Tensor:
        """``to(int32)``: fractions are cut off."""
        return self.to(np.int32)

    def bool(self) -> Tensor:
        """``to(bool)``: True where an element is not 0."""
        return self.to(np.bool_)

    def astype(self, dtype: Any) -> Tensor:
        """NumPy's name for :meth:`to`."""
        return self.to(dtype)

    def type_as(self, other: Any) -> Tensor:
        """``to(other.dtype)``."""
        return self.to(other.dtype)

    def clone(self, *, memory_format: Any = None) -> Tensor:
        """The same values in memory of their own; the gradient flows through."""
        check_layout("clone", memory_format)
        from einkorn.ops._moves import mover
        from einkorn.ops._road import moved

        k = mover(self._data)
        out = k.empty(self._data.shape, self._data.dtype)
        k.copy(out, self._data)
        return moved(out, (self,), lambda g, *_: (g,), (None, None))

    def contiguous(self, memory_format: Any = "contiguous_format") -> Tensor:
        """The tensor itself if it lies in row-major order, else a copy that does, whatever order is named."""
        check_layout("contiguous", memory_format)
        return _self(self) if self._data.flags.c_contiguous else einkorn.ops.contiguous(self)

    def new_empty(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: _Truth = False, **options: Any
    ) -> Tensor:
        """A tensor of a shape without values, of this type and on this device where none is given."""
        return self._new("empty", _named("new_empty", "size", size, options), dtype, device, requires_grad)

    def new_zeros(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: _Truth = False, **options: Any
    ) -> Tensor:
        """A tensor of zeros, of this type and on this device where none is given."""
        return self._new("zeros", _named("new_zeros", "size", size, options), dtype, device, requires_grad)

    def new_ones(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: _Truth = False, **options: Any
    ) -> Tensor:
        """A tensor of ones, of this type and on this device where none is given."""
        return self._new("ones", _named("new_ones", "size", size, options), dtype, device, requires_grad)

    def new_full(
        self,
        size: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: _Truth = False,
    ) -> Tensor:
        """A tensor of one number, of this type and on this device where none is given."""
        return self._new("full", size, dtype, device, requires_grad, fill_value)

    def _new(self, kind: str, size: Any, dtype: Any, device: Any, requires_grad: Any, *value: Any) -> Tensor:
        return getattr(einkorn.creation, kind)(
            size,
            *value,
            dtype=self._data.dtype if dtype is None else dtype,
            device=device_of(self._data) if device is None else device,
            requires_grad=requires_grad,
        )

    # --- shape ------------------------------------------------------------------------------

    def reshape(self, *shape: Any, **options: Any) -> Tensor:
        """The same values in another shape; one size may be -1. A view where strides allow, else a copy."""
        return einkorn.ops.reshape(self, _named("reshape", "shape", shape, options))

    def reshape_as(self, other: Any) -> Tensor:
        """``reshape(other.shape)``."""
        return einkorn.ops.reshape(self, other.shape)

    def hsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """:meth:`tensor_split` along columns, of a vector along its one dimension, in equal pieces."""
        if not self._data.ndim:
            raise ShapeError("hsplit: the tensor has shape (), expected at least 1 axis")
        return _even(self, "hsplit", indices_or_sections, 1 if self._data.ndim > 1 else 0)

    def vsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """:meth:`tensor_split` along rows, in equal pieces."""
        if self._data.ndim < 2:
            raise ShapeError(f"vsplit: the tensor has shape {self._data.shape}, expected at least 2 axes")
        return _even(self, "vsplit", indices_or_sections, 0)

    def dsplit(self, indices_or_sections: Any) -> tuple[Tensor, ...]:
        """:meth:`tensor_split` along the third dimension, in equal pieces."""
        if self._data.ndim < 3:
            raise ShapeError(f"dsplit: the tensor has shape {self._data.shape}, expected at least 3 axes")
        return _even(self, "dsplit", indices_or_sections, 2)

    def view(self, *shape: Any, **options: Any) -> Tensor:
        """:meth:`reshape` that never copies; bits are not read as another type: see :meth:`to`.

        Raises
        ------
        ShapeError
            Where the strides do not allow a view.
        """
        if len(shape) == 1 and isinstance(shape[0], (type, str, np.dtype)):
            raise ArgumentError(f"view: shape is {shape[0]!r}, expected ints; another type is to()'s")
        out = einkorn.ops.reshape(self, _named("view", "size", shape, options))
        if self._data.size and _versions.owner(self._data) is not _versions.owner(out._data):
            raise ShapeError(
                f"view: the tensor has shape {self._data.shape} and does not lie in row-major order, so"
                f" {out.shape} needs a copy: use reshape"
            )
        return out

    def view_as(self, other: Any) -> Tensor:
        """``view(other.shape)``."""
        return self.view(other.shape)

    def flatten(self, start_dim: _Whole = 0, end_dim: _Whole = -1) -> Tensor:
        """Merge the dimensions from ``start_dim`` to ``end_dim``."""
        return einkorn.ops.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        """``flatten()``."""
        return einkorn.ops.flatten(self)

    def transpose(self, dim0: _Whole, dim1: _Whole) -> Tensor:
        """Swap two dimensions."""
        return einkorn.ops.transpose(self, dim0, dim1)

    swapaxes = swapdims = transpose

    def permute(self, *dims: Any, **options: Any) -> Tensor:
        """Put the dimensions into another order."""
        return einkorn.ops.permute(self, _named("permute", "dims", dims, options))

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

    def unsqueeze(self, dim: _Whole) -> Tensor:
        """Add a dimension of size 1 at ``dim``."""
        return einkorn.ops.unsqueeze(self, dim)

    def squeeze(self, dim: Any = None) -> Tensor:
        """Drop dimensions of size 1: all of them, or those that ``dim`` names (others are kept)."""
        return einkorn.ops.squeeze(self, dim)

    def movedim(self, source: Any, destination: Any) -> Tensor:
        """Move dimensions to other places; the others keep their order."""
        return einkorn.ops.movedim(self, source, destination)

    moveaxis = movedim

    def unflatten(self, dim: _Whole, sizes: Any) -> Tensor:
        """Take a dimension apart into several; one of their sizes may be -1."""
        return einkorn.ops.unflatten(self, dim, sizes)

    def narrow(self, dim: _Whole, start: _Whole, length: _Whole) -> Tensor:
        """View of ``length`` slices of a dimension, from ``start`` on."""
        return einkorn.ops.narrow(self, dim, start, length)

    def select(self, dim: _Whole, index: _Whole) -> Tensor:
        """View of one slice of a dimension, without it."""
        at = _dim("select", dim, self._data.ndim)
        return einkorn.ops.getitem(
            self, (*(slice(None),) * at, einkorn.ops._options.integer("select", "index", index))
        )

    def unfold(self, dimension: _Whole, size: _Whole, step: _Whole) -> Tensor:
        """All windows along a dimension, every ``step``, the window as a new last dimension; a copy here."""
        return einkorn.ops.arrange.windows(self, dimension, size, step)

    def split(self, split_size: Any, dim: _Whole = 0) -> tuple[Tensor, ...]:
        """Views of pieces of a dimension: of one size, or of these sizes."""
        return einkorn.ops.split(self, split_size, dim)

    def chunk(self, chunks: _Whole, dim: _Whole = 0) -> tuple[Tensor, ...]:
        """Views of at most so many pieces of one size; the last one may be smaller."""
        return einkorn.ops.chunk(self, chunks, dim)

    def tensor_split(self, indices_or_sections: Any, dim: _Whole = 0) -> tuple[Tensor, ...]:
        """Views of so many pieces of nearly one size, or cut at indices."""
        return einkorn.ops.tensor_split(self, indices_or_sections, dim)

    def unbind(self, dim: _Whole = 0) -> tuple[Tensor, ...]:
        """Views of all slices of a dimension, without it."""
        return einkorn.ops.unbind(self, dim)

    def flip(self, *dims: Any, **options: Any) -> Tensor:
        """The elements in reverse order along dimensions: ``flip(0, 1)`` or ``flip([0, 1])``."""
        return einkorn.ops.flip(self, _named("flip", "dims", dims, options))

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        """The elements moved on along dimensions; those that leave at the end come back at the front."""
        return einkorn.ops.roll(self, shifts, dims)

    def rot90(self, k: _Whole = 1, dims: Any = (0, 1)) -> Tensor:
        """Turn by quarters in the plane of two dimensions."""
        return einkorn.ops.rot90(self, k, dims)

    def tile(self, *dims: Any, **options: Any) -> Tensor:
        """The whole several times along dimensions."""
        return einkorn.ops.tile(self, _named("tile", "dims", dims, options))

    def repeat(self, *sizes: Any, **options: Any) -> Tensor:
        """The whole several times along each dimension; NumPy's ``repeat`` is :meth:`repeat_interleave`."""
        times = _named("repeat", "repeats", sizes, options)
        if len(times) < self._data.ndim:
            raise ShapeError(
                f"repeat: got {len(times)} sizes, expected at least one for each of {self._data.ndim}"
                " dimensions"
            )
        return einkorn.ops.tile(self, times)

    def repeat_interleave(
        self, repeats: Any, dim: _Whole | None = None, *, output_size: _Whole | None = None
    ) -> Tensor:
        """Every slice of a dimension several times, one after the other."""
        return einkorn.ops.repeat_interleave(self, repeats, dim, output_size=output_size)

    def tril(self, diagonal: _Whole = 0) -> Tensor:
        """The lower triangle of matrices."""
        return einkorn.ops.tril(self, diagonal)

    def triu(self, diagonal: _Whole = 0) -> Tensor:
        """The upper triangle of matrices."""
        return einkorn.ops.triu(self, diagonal)

    def diagonal(self, offset: _Whole = 0, dim1: _Whole = 0, dim2: _Whole = 1) -> Tensor:
        """View of the diagonal of two dimensions, as a new last dimension."""
        return einkorn.ops.diagonal(self, offset, dim1, dim2)

    def diag(self, diagonal: _Whole = 0) -> Tensor:
        """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
        return einkorn.ops.diag(self, diagonal)

    def diag_embed(self, offset: _Whole = 0, dim1: _Whole = -2, dim2: _Whole = -1) -> Tensor:
        """Matrices with the last dimension on their diagonal."""
        return einkorn.ops.diag_embed(self, offset, dim1, dim2)

    def expand(self, *sizes: Any, **options: Any) -> Tensor:
        """View with a larger shape, by broadcasting; -1 keeps a size."""
        wanted, shape = _named("expand", "size", sizes, options), self._data.shape
        new = len(wanted) - len(shape)
        full = tuple([shape[d - new] if n == -1 and d >= new else n for d, n in enumerate(wanted)])
        return einkorn.ops.broadcast_to(self, full)

    def expand_as(self, other: Any) -> Tensor:
        """``expand(other.shape)``."""
        return einkorn.ops.broadcast_to(self, other.shape)

    def broadcast_to(self, size: Any) -> Tensor:
        """``expand(size)``."""
        return self.expand(size)


def _self(tensor: Shapes) -> Tensor:
    return tensor  # type: ignore[return-value]


def _cast(tensor: Shapes, dtype: Any) -> Shapes:
    wanted = _bfloat16.dtype_of(dtype)
    if dtype is None or not (
        wanted in (np.float32, np.float64) or wanted.kind in "iub" or _bfloat16.is_bfloat16(wanted)
    ):
        raise DTypeError(
            f"to: got {dtype!r}, expected float32, float64, bfloat16, a type of integers, bool, a tensor or"
            " the name of a device"
        )
    return tensor if tensor._data.dtype == wanted else einkorn.ops.cast(tensor, wanted)


def _moved(tensor: Shapes, device: str, non_blocking: _Truth = False) -> Shapes:
    from einkorn.ops._road import moved

    before = tensor._data
    out = move(before, device, waits=not non_blocking)
    if out is before:
        return tensor
    home = device_of(before)
    return moved(out, (tensor,), lambda g: (move(g, home),), None)


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


def _named(op: str, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """Sizes or dimensions, side by side, as one sequence, or by their name."""
    if not options:
        return _sizes(arguments)
    if arguments or options.keys() != {name}:
        unknown = sorted(options.keys() - {name})
        raise TypeError(
            f"{op}() got an unexpected keyword argument {unknown[0]!r}"
            if unknown
            else f"{op}() got {name} twice"
        )
    return _sizes((options[name],))


def _sizes(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """``reshape(2, 3)`` and ``reshape((2, 3))`` mean the same."""
    if len(arguments) == 1 and not isinstance(arguments[0], (int, np.integer, EllipsisType)):
        return tuple(arguments[0])
    return arguments


def _even(x: Any, op: str, pieces: Any, d: int) -> tuple[Tensor, ...]:
    """Pieces between indices, or a number of equal ones, which must go into the dimension."""
    n = x._data.shape[d]
    if not isinstance(pieces, (tuple, list)) and not np.ndim(pieces):
        count = einkorn.ops._options.integer(op, "sections", pieces, 1)
        if n % count:
            raise ShapeError(
                f"{op}: the tensor has shape {x._data.shape}, expected dim {d} to be a multiple of {count}"
            )
    return einkorn.ops.tensor_split(x, pieces, d)
