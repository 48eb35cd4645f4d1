"""Methods of Tensor that say what it is made of, torch's other names of methods, bits and whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn import _bfloat16
from einkorn._device import as_array, beside, gpu_name
from einkorn._pinned import pinned
from einkorn._tensor_functions import Functions
from einkorn._tensor_shapes import Shapes
from einkorn.errors import ArgumentError, DTypeError, ShapeError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Kinds"]

_Real = float
_Whole = int
_Truth = bool

#: torch's names of types of tensors.
_TYPES = {
    "Float": "float32",
    "Double": "float64",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}


class Kinds(Functions, Shapes):
    """Base class of Tensor."""

    __slots__ = ()

    _data: Any
    _node: Any
    _requires_grad: _Truth

    # --- types ------------------------------------------------------------------------------

    def type(self, dtype: Any = None, non_blocking: _Truth = False) -> Any:
        """``to(dtype)``; without one, torch's name: ``"torch.FloatTensor"``, ``"torch.cuda.FloatTensor"``.

        Parameters
        ----------
        dtype : dtype, its name, or such a name of torch's, optional
        non_blocking : bool
            As in torch, without effect on the CPU.
        """
        if dtype is None:
            name = next((long for long, short in _TYPES.items() if short == str(self._data.dtype)), "")
            name = name or str(self._data.dtype).title().replace("Ui", "UI")
            return f"torch.{'' if self.is_cpu else 'cuda.'}{name}Tensor"
        if isinstance(dtype, str) and dtype.endswith("Tensor"):
            dtype = _TYPES.get(dtype.removeprefix("torch.").removesuffix("Tensor"), dtype)
        return self.to(dtype)

    def half(self) -> Tensor:
        """Refused: there are no kernels of float16 here.

        Raises
        ------
        DTypeError
            Always; :meth:`bfloat16` is the type of 16 bits.
        """
        raise DTypeError(
            "half: float16 is no type of tensors here, expected bfloat16 (16 bits with the range of float32),"
            " float32 or float64"
        )

    def short(self) -> Tensor:
        """``to(int16)``: fractions are cut off."""
        return self.to(np.int16)

    def char(self) -> Tensor:
        """``to(int8)``: fractions are cut off."""
        return self.to(np.int8)

    def byte(self) -> Tensor:
        """``to(uint8)``: fractions are cut off."""
        return self.to(np.uint8)

    def cuda(self, device: Any = None, non_blocking: _Truth = False) -> Tensor:
        """``to("cuda")``, or to the GPU of a number or name."""
        return self.to(gpu_name("cuda", device), non_blocking=non_blocking)

    def is_complex(self) -> _Truth:
        """False: there are no complex numbers here."""
        return False

    def is_signed(self) -> _Truth:
        """Whether the type has negative numbers."""
        return _Truth(self._data.dtype.kind not in "bu")

    def is_nonzero(self) -> _Truth:
        """Whether the one element is not 0."""
        return _Truth(_self(self))

    def is_same_size(self, other: Any) -> _Truth:
        """Whether both have one shape."""
        return self._data.shape == tuple(other.shape)

    @property
    def is_cpu(self) -> _Truth:
        """Whether the values are in the memory of the CPU."""
        return isinstance(self._data, np.ndarray)

    @property
    def is_cuda(self) -> _Truth:
        """Whether the values are in the memory of a GPU."""
        return not self.is_cpu

    @property
    def is_sparse(self) -> _Truth:
        """False: tensors hold all of their elements."""
        return False

    @property
    def is_quantized(self) -> _Truth:
        """False: quantized layers hold their numbers in plain arrays."""
        return False

    def get_device(self) -> _Whole:
        """Number of the GPU; -1 on the CPU."""
        return -1 if self.is_cpu else _Whole(self._data.device.id)

    def data_ptr(self) -> _Whole:
        """Address of the first element."""
        return self._data.ctypes.data if self.is_cpu else self._data.data.ptr

    def pin_memory(self, device: Any = None) -> Tensor:
        """A copy in pinned memory, from which ``to("cuda", non_blocking=True)`` copies beside other work.

        The tensor itself where it is pinned, on a GPU, and where there is no GPU.
        """
        from einkorn.ops._road import moved

        array = pinned(self._data)
        return _self(self) if array is self._data else moved(array, (self,), lambda g: (g,), None)

    # --- other names ------------------------------------------------------------------------

    arccos, arcsin, arctan, arctan2 = Functions.acos, Functions.asin, Functions.atan, Functions.atan2
    arccosh, arcsinh, arctanh = Functions.acosh, Functions.asinh, Functions.atanh
    fix = Functions.trunc

    def adjoint(self) -> Tensor:
        """The last two dimensions swapped."""
        return self.mT

    @property
    def H(self) -> Tensor:  # noqa: N802 - the usual name
        """The transpose of a matrix."""
        if self._data.ndim != 2:
            raise ShapeError(f"H: the tensor has shape {self._data.shape}, expected a matrix")
        return self.mT

    @property
    def mH(self) -> Tensor:  # noqa: N802 - the usual name
        """The last two dimensions swapped."""
        return self.mT

    def sgn(self) -> Tensor:
        """:meth:`sign`."""
        return self.sign()

    def isreal(self) -> Tensor:
        """True everywhere: there are no complex numbers here."""
        return einkorn.Tensor._wrap(beside(self, np.ones(self._data.shape, np.bool_)), False, None)

    # --- functions --------------------------------------------------------------------------

    def float_power(self, exponent: Any) -> Tensor:
        """``self ** exponent``, computed in float64."""
        other = exponent.double() if isinstance(exponent, Kinds) else float(exponent)
        return einkorn.ops.power(self.double(), other)

    def ldexp(self, other: Any) -> Tensor:
        """``self * 2 ** other``."""
        from einkorn.ops._promotion import common_type

        power = other
        if isinstance(other, Kinds) and not other.is_floating_point():
            power = other.to(common_type(self, other, 1.0))
        return einkorn.ops.multiply(self, einkorn.ops.exp2(power))

    def logaddexp2(self, other: Any) -> Tensor:
        """``log2(2**self + 2**other)`` without overflow."""
        from einkorn.ops._promotion import alike

        two = float(np.log(2.0))
        left, right = alike(self, other)
        total = einkorn.ops.logaddexp(einkorn.ops.multiply(left, two), einkorn.ops.multiply(right, two))
        return einkorn.ops.divide(total, two)

    def addr(self, vec1: Any, vec2: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self + alpha * outer(vec1, vec2)``."""
        product = einkorn.outer(vec1, vec2)
        if np.broadcast_shapes(self._data.shape, product.shape) != product.shape:
            raise ShapeError(
                f"addr: the tensor has shape {self._data.shape}, which does not broadcast to {product.shape}"
            )
        if self._data.dtype.kind == product.dtype.kind == "b":
            scaled = product & _Truth(alpha)
            return (_self(self) & _Truth(beta)) | scaled
        scaled = product if alpha == 1 else einkorn.ops.multiply(product, alpha)
        if beta == 0:
            return einkorn.ops.broadcast_to(scaled, np.broadcast_shapes(self._data.shape, scaled.shape))
        return einkorn.ops.add(self if beta == 1 else einkorn.ops.multiply(self, beta), scaled)

    def diagflat(self, offset: _Whole = 0) -> Tensor:
        """The matrix with all elements on its diagonal."""
        return einkorn.ops.diag(self.reshape(-1), offset)

    def argwhere(self) -> Tensor:
        """Where elements are not 0: a row of indices each."""
        return self.nonzero()

    def split_with_sizes(self, split_sizes: Any, dim: _Whole = 0) -> tuple[Tensor, ...]:
        """Views of pieces of these sizes."""
        return einkorn.ops.split(self, list(split_sizes), dim)

    def sum_to_size(self, *size: Any) -> Tensor:
        """Summed over the dimensions that broadcasting to this shape's would have made."""
        shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        shape = tuple([einkorn.ops._options.integer("sum_to_size", "size", n) for n in shape])
        mine = self._data.shape
        new = len(mine) - len(shape)
        if new < 0 or any(n not in (1, m) for n, m in zip(shape, mine[new:], strict=True)):
            raise ShapeError(f"sum_to_size: the tensor has shape {mine}, which {shape} does not broadcast to")
        axes = tuple(d for d, m in enumerate(mine) if d < new or (shape[d - new] == 1 and m != 1))
        if not axes:
            return _self(self) if mine else einkorn.ops.sum(self)
        return einkorn.ops.sum(self, axes, True).reshape(shape)

    # --- bits and whole numbers -------------------------------------------------------------

    def bitwise_left_shift(self, other: Any) -> Tensor:
        """``self << other``."""
        return _self(self) << other

    def bitwise_right_shift(self, other: Any) -> Tensor:
        """``self >> other``."""
        return _self(self) >> other

    def gcd(self, other: Any) -> Tensor:
        """The largest whole number that divides both."""
        return _whole("gcd", np.gcd, self, other)

    def lcm(self, other: Any) -> Tensor:
        """The smallest whole number that both divide."""
        return _whole("lcm", np.lcm, self, other)

    # --- slices that are written --------------------------------------------------------------

    def select_scatter(self, src: Any, dim: _Whole, index: _Whole) -> Tensor:
        """A copy with ``src`` in the place of one slice."""
        return _copied(self, src, lambda x: x.select(dim, index), "select_scatter")

    def slice_scatter(
        self,
        src: Any,
        dim: _Whole = 0,
        start: _Whole | None = None,
        end: _Whole | None = None,
        step: _Whole = 1,
    ) -> Tensor:
        """A copy with ``src`` in the place of ``start:end:step`` along ``dim``."""
        at = einkorn.ops._options.axis_of("slice_scatter", dim, self._data.ndim)

        def part(x: Tensor) -> Tensor:
            key: Any = (*[slice(None)] * at, slice(start, end, step))
            return x[key]

        return _copied(self, src, part, "slice_scatter")

    def diagonal_scatter(self, src: Any, offset: _Whole = 0, dim1: _Whole = 0, dim2: _Whole = 1) -> Tensor:
        """A copy with ``src`` on the diagonal of two dimensions."""
        return _copied(self, src, lambda x: x.diagonal(offset, dim1, dim2), "diagonal_scatter")

    def index_put(self, indices: Any, values: Any, accumulate: _Truth = False) -> Tensor:
        """A copy in which ``copy[indices] = values``; with ``accumulate``, values of one place are added.

        Parameters
        ----------
        indices : tuple of tensors
            One for each of the first dimensions; None stands for all of one.
        values : Tensor
            Broadcasts to the shape of ``self[indices]``.
        accumulate : bool, default False
            Add to what is there, as often as a place is named.
        """
        return einkorn.ops.index_put(self, indices, values, accumulate)

    def put(self, index: Any, source: Any, accumulate: _Truth = False) -> Tensor:
        """:meth:`index_put` into the flat tensor."""
        flat, values = (
            t if isinstance(t, Kinds) else einkorn.as_tensor(t).to(self.device) for t in (index, source)
        )
        if flat.numel() != values.numel():
            raise ShapeError(
                f"put: source has {values.numel()} elements, expected {flat.numel()} as index has"
            )
        out = self.reshape(-1).index_put((flat.reshape(-1),), values.reshape(-1), accumulate)
        return out.reshape(self._data.shape)

    # --- functions of Python ------------------------------------------------------------------

    def apply_(self, callable: Any) -> Tensor:
        """Every element becomes what a function of Python gives for it; slow."""
        new = np.array([callable(x) for x in self.reshape(-1).tolist()]).reshape(self._data.shape)
        return self.copy_(new.astype(self._data.dtype) if self._data.dtype.kind != "V" else new)

    def map_(self, tensor: Any, callable: Any) -> Tensor:
        """Every element becomes what a function of Python gives for it and that of the other; slow."""
        both = zip(
            self.reshape(-1).tolist(), tensor.expand(self._data.shape).reshape(-1).tolist(), strict=True
        )
        new = np.array([callable(a, b) for a, b in both]).reshape(self._data.shape)
        return self.copy_(new.astype(self._data.dtype) if self._data.dtype.kind != "V" else new)


def _self(tensor: Kinds) -> Tensor:
    return tensor  # type: ignore[return-value]


def _whole(op: str, function: Any, a: Kinds, b: Any) -> Tensor:
    right = b._data if isinstance(b, Kinds) else as_array(b)
    if a._data.dtype.kind not in "iu" or right.dtype.kind not in "iu":
        raise DTypeError(f"{op}: got {a._data.dtype} and {right.dtype}, expected integers")
    try:
        out = function(a._data, right if right.ndim else right.astype(a._data.dtype))
    except ValueError:
        raise ShapeError(f"{op}: {a._data.shape} and {right.shape} do not broadcast together") from None
    return einkorn.Tensor._wrap(as_array(out), False, None)


def _copied(tensor: Kinds, src: Any, part: Any, op: str) -> Tensor:
    """A copy, a view of which was written."""
    place = part(einkorn.Tensor._wrap(np.arange(tensor._data.size).reshape(tensor._data.shape), False, None))
    shape = tuple(src.shape)
    if shape != place.shape:
        raise ShapeError(f"{op}: src has shape {shape}, expected {place.shape}")
    kind = tensor._data.dtype
    if isinstance(src, Kinds) and src._data.dtype != kind:
        if _bfloat16.is_floating(src._data.dtype) and not _bfloat16.is_floating(kind):
            raise ArgumentError(f"{op}: src holds {src._data.dtype}, expected {kind}")
        src = src.to(kind)
    flat = tensor.reshape(-1).index_put((place.reshape(-1),), src.reshape(-1))
    return flat.reshape(tensor._data.shape)
