"""New Tensors: of one number, of a row of numbers, drawn at random, or over an array that exists.

Names, arguments and types are torch's: whole numbers give int64, others float32. ``dtype`` is a NumPy type or
its name, ``device`` the name of a device, ``requires_grad`` whether operations on the result are recorded.
Random numbers come from the stream that :func:`einkorn.random.manual_seed` starts, or from a ``generator``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import _bfloat16, engines, ops
from einkorn._device import cupy_module, device_name
from einkorn._layout import check_layout
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import check_rank, flag, integer, number
from einkorn.ops._road import check_size
from einkorn.random import drawing_from

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "is_tensor",
    "linspace",
    "logspace",
    "normal",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


#: Of a GPU's memory, in DLPack's numbers of devices.
_CUDA = 2


def _shape(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """``zeros(2, 3)`` and ``zeros((2, 3))`` mean the same."""
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        if not isinstance(size[0], (tuple, list)) and np.ndim(size[0]) != 1:
            raise ArgumentError(f"{op}: size is {size[0]!r}, expected ints or a tuple of ints")
        size = tuple(size[0])
    shape = tuple([integer(op, "size", n, 0) for n in size])
    check_rank(op, "size", len(shape))
    check_size(op, shape, "size")
    return shape


def _type(op: str, dtype: Any, default: Any) -> np.dtype[Any]:
    if dtype is None:
        return np.dtype(default)
    wanted = _bfloat16.dtype_of(dtype)
    if wanted not in (np.float32, np.float64) and wanted.kind not in "iub":
        if _bfloat16.is_bfloat16(wanted):
            return wanted
        raise DTypeError(
            f"{op}: dtype is {dtype!r}, expected float32, float64, bfloat16, bool or a type of integers"
        )
    return wanted


def _blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return engines.cpu().empty(shape, dtype) if _bfloat16.is_floating(dtype) else np.empty(shape, dtype)


def _finished(op: str, array: Any, device: Any, requires_grad: Any) -> Tensor:
    tensor = Tensor(array)
    if device is not None:
        tensor = tensor.to(device_name(op, device))
    return tensor.requires_grad_(requires_grad) if requires_grad is not False else tensor


def _filled(
    op: str, shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: Any
) -> Tensor:
    out = _blank(shape, dtype)
    _integers.refuse_beyond(f"{op}: fill_value", value, dtype)
    if dtype.kind == "f":
        engines.cpu().fill(out, number(op, "fill_value", value))
    else:
        out[...] = value
    return _finished(op, out, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of a shape whose values are yet to be written."""
    return _finished(
        "empty", _blank(_shape("empty", size), _type("empty", dtype, np.float32)), device, requires_grad
    )


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    kind = _type("zeros", dtype, np.float32)
    return _filled("zeros", _shape("zeros", size), 0, kind, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    kind = _type("ones", dtype, np.float32)
    return _filled("ones", _shape("ones", size), 1, kind, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one number, whose type decides where none is given: bool, int64 or float32."""
    value = fill_value.item() if isinstance(fill_value, (Tensor, np.ndarray, np.generic)) else fill_value
    if not isinstance(value, (bool, int, float)):
        raise ArgumentError(f"full: fill_value is {fill_value!r}, expected a number")
    natural = np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float32
    kind = _type("full", dtype, natural)
    if kind.kind in "iu" and not math.isfinite(value):
        raise ArgumentError(f"full: fill_value is {value}, which no {kind} is")
    if _bfloat16.is_floating(kind):
        value = float(value)
    return _filled("full", _shape("full", (size,)), value, kind, device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A matrix [n, m] (default: [n, n]) with ones on its diagonal and zeros beside it."""
    rows = integer("eye", "n", n, 0)
    columns = rows if m is None else integer("eye", "m", m, 0)
    check_size("eye", (rows, columns), "n")
    kind = _type("eye", dtype, np.float32)
    return _finished("eye", np.eye(rows, columns, dtype=kind), device, requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from ``start`` (0 where only an end is given) up to but without ``end``, by ``step``.

    int64 where all three are whole numbers, else float32; element i is ``start + i * step``. With a ``dtype``
    of integers the three lose their fractions first.
    """
    if end is None:
        start, end = 0, start
    parts = [x.item() if isinstance(x, (Tensor, np.ndarray, np.generic)) else x for x in (start, end, step)]
    parts = [int(x) if isinstance(x, bool) else x for x in parts]
    for name, x in zip(("start", "end", "step"), parts, strict=True):
        number("arange", name, x)
    if dtype is not None and _type("arange", dtype, np.int64).kind in "iu":
        parts = [int(x) for x in parts]
    first, last, by = parts
    if by == 0 or (last - first) * by < 0 or not math.isfinite((last - first) / by):
        raise ArgumentError(f"arange: start is {first}, end {last} and step {by}, which never arrives")
    count = max(math.ceil((last - first) / by), 0)
    check_size("arange", (count,), "end")
    whole = all(isinstance(x, int) for x in parts)
    kind = _type("arange", dtype, np.int64 if whole else np.float32)
    index = np.arange(count, dtype=np.int64)
    values = first + index * by if whole else first + index * float(by)
    return _finished("arange", _bfloat16.astype(values, kind), device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both among them, in equal distances."""
    first, last = number("linspace", "start", start), number("linspace", "end", end)
    count = integer("linspace", "steps", steps, 0)
    check_size("linspace", (count,), "steps")
    kind = _type("linspace", dtype, np.float32)
    if kind.kind in "iu":
        first, last = int(first), int(last)
    return _finished(
        "linspace", _bfloat16.astype(np.linspace(first, last, count), kind), device, requires_grad
    )


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``base`` to the power of the numbers of :func:`linspace`."""
    first, last = number("logspace", "start", start), number("logspace", "end", end)
    count = integer("logspace", "steps", steps, 0)
    check_size("logspace", (count,), "steps")
    kind = _type("logspace", dtype, np.float32)
    values = np.power(number("logspace", "base", base), np.linspace(first, last, count))
    return _finished("logspace", _bfloat16.astype(values, kind), device, requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one number without dimensions, float32 by default."""
    return full((), float(s) if dtype is None else s, dtype=dtype, device=device, requires_grad=requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns [2, n] of the lower triangle of a matrix, int64 by default."""
    return _places("tril_indices", ops.tril_indices, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns [2, n] of the upper triangle of a matrix, int64 by default."""
    return _places("triu_indices", ops.triu_indices, row, col, offset, dtype, device)


def _places(op: str, function: Any, row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    found = np.asarray(function(row, col, offset)).reshape(2, -1)
    return _finished(op, found.astype(_type(op, dtype, np.int64)), device, False)


def _float_type(op: str, dtype: Any) -> np.dtype[Any]:
    kind = _type(op, dtype, np.float32)
    if not _bfloat16.is_floating(kind):
        raise DTypeError(f"{op}: dtype is {kind}, expected float32, float64 or bfloat16")
    return kind


def rand(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn evenly from [0, 1)."""
    with drawing_from("rand", generator):
        values = ops.uniform(_shape("rand", size), dtype=_float_type("rand", dtype))
    return _finished("rand", values, device, requires_grad)


def randn(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn from the standard normal distribution."""
    with drawing_from("randn", generator):
        values = ops.normal(_shape("randn", size), dtype=_float_type("randn", dtype))
    return _finished("randn", values, device, requires_grad)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole numbers drawn evenly from [low, high), int64 by default: ``randint(high, size)`` begins at 0.

    At most 2**32 different ones, each as likely as the next within 2**-20.
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    least, limit = integer("randint", "low", low), integer("randint", "high", high)
    if not 0 < limit - least <= 1 << 32:
        raise ArgumentError(f"randint: low is {least} and high {limit}, expected 1 to 2**32 numbers between")
    shape = _shape("randint", (size,))
    kind = _type("randint", dtype, np.int64)
    with drawing_from("randint", generator):
        fractions = ops.uniform(shape, dtype=np.float64)
    values = np.minimum((fractions * (limit - least)).astype(np.int64), limit - least - 1) + least
    return _finished("randint", _bfloat16.astype(values, kind), device, requires_grad)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64 by default."""
    with drawing_from("randperm", generator):
        values = ops.permutation(integer("randperm", "n", n, 0))
    values = _bfloat16.astype(values, _type("randperm", dtype, np.int64))
    return _finished("randperm", values, device, False)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers drawn from normal distributions.

    Parameters
    ----------
    mean, std : number or Tensor
        Tensors have one number for each to draw and broadcast together. std is at least 0.
    size : tuple of int, optional
        How many to draw from one distribution of numbers ``mean`` and ``std``.
    """
    with drawing_from("normal", generator):
        if size is not None:
            shape, kind = _shape("normal", (size,)), _float_type("normal", dtype)
            first, spread = number("normal", "mean", mean), number("normal", "std", std)
            return _finished(
                "normal", ops.normal(shape, mean=first, std=spread, dtype=kind), device, requires_grad
            )
        given = [x for x in (mean, std) if isinstance(x, Tensor)]
        if not given:
            raise ArgumentError("normal: size is None and neither mean nor std is a Tensor, expected one")
        try:
            shape = np.broadcast_shapes(*(x.shape for x in given))
        except ValueError:
            raise ShapeError(
                f"normal: mean {given[0].shape} and std {given[1].shape} do not broadcast together"
            ) from None
        if isinstance(std, Tensor) and bool((std < 0).any()):
            raise ArgumentError("normal: std has elements below 0, expected none")
        drawn = Tensor(ops.normal(shape, dtype=_float_type("normal", given[0].dtype)))
        return (drawn * std + mean).detach()


def randint_like(
    input: Any,
    low: int,
    high: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """:func:`randint` in the shape, type and place of another tensor."""
    shape, kind, where = _like("randint_like", input, dtype, device)
    if high is None:
        low, high = 0, low
    return randint(
        low, high, shape, generator=generator, dtype=kind, device=where, requires_grad=requires_grad
    )


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """:func:`as_tensor`; with ``copy=True`` in memory of its own, with ``copy=False`` never in a copy."""
    made = as_tensor(obj, dtype, device)
    shared = made._data is getattr(obj, "_data", obj) or np.may_share_memory(made._data, np.asarray(obj))
    if copy is False and not shared:
        raise ArgumentError("asarray: copy is False, but the numbers have to be converted")
    if copy and shared:
        made = made.clone()
    return made.requires_grad_() if requires_grad else made


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of another library's array; of a GPU's by way of CuPy, whose stream waits.

    Raises
    ------
    EngineError
        For an array on a GPU, without CuPy.
    """
    place: Any = getattr(ext_tensor, "__dlpack_device__", tuple)()
    if place and place[0] == _CUDA:
        return Tensor(cupy_module("from_dlpack: an array on a GPU").from_dlpack(ext_tensor))
    return from_numpy(np.from_dlpack(ext_tensor))


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor over the memory of a buffer of bytes, which must be one that can be written."""
    kind = _type("frombuffer", dtype, np.float32)
    try:
        array = np.frombuffer(buffer, kind, count, offset)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"frombuffer: {error}") from None
    return _finished("frombuffer", array, None, requires_grad)


def is_tensor(obj: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def _first(data: Any) -> Any:
    """The first number of nested lists."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of numbers, sharing their memory where they are an array or a tensor of that type already.

    Parameters
    ----------
    data : Tensor, array, or nested lists of numbers
        Lists of whole numbers give int64, of truths bool, of others float32; of NumPy's float64 that.
    dtype : NumPy type or its name, optional
    device : name of a device, optional

    Raises
    ------
    DTypeError
        For what holds no numbers, and for types that tensors do not have.
    """
    if not isinstance(data, Tensor):
        if not hasattr(data, "dtype"):
            try:
                listed = np.array(data)
            except ValueError as error:
                raise DTypeError(
                    f"as_tensor: data is a {type(data).__name__}, expected numbers: {error}"
                ) from None
            wanted = None if dtype is None else _bfloat16.dtype_of(dtype)
            if wanted is not None and listed.size and listed.dtype.kind in "iu":
                for value in (int(listed.min()), int(listed.max())):
                    _integers.refuse_beyond("as_tensor: an element of data", value, wanted)
            if wanted is not None and wanted.kind in "iu" and not np.isfinite(listed).all():
                raise ArgumentError(f"as_tensor: data holds NaN or infinity, which no {wanted} is")
            if listed.dtype == np.float64 and wanted is None and not isinstance(_first(data), np.float64):
                listed = listed.astype(np.float32)
            data = listed
            if data.dtype.kind not in "fiub":
                raise DTypeError(f"as_tensor: data holds {data.dtype}, expected numbers")
        data = Tensor(data)
    if dtype is not None:
        data = data.to(_type("as_tensor", dtype, np.float32))
    return data if device is None else data.to(device_name("as_tensor", device))


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of numbers; arguments and errors as :func:`as_tensor`.

    Parameters
    ----------
    data : Tensor, array, number, or nested lists of numbers
        Lists of whole numbers give int64, of truths bool, of others float32. Nothing of it is recorded.
    dtype : NumPy type or its name, keyword-only, optional
    device : name of a device, keyword-only, optional
    requires_grad : bool, keyword-only, default False
    """
    made = as_tensor(data.detach() if isinstance(data, Tensor) else data, dtype, device)
    if made._data is (data._data if isinstance(data, Tensor) else data) or made._data.base is not None:
        made = made.clone()
    made.requires_grad = flag("tensor", "requires_grad", requires_grad)
    return made


def from_numpy(array: Any) -> Tensor:
    """A tensor over the memory of a NumPy array: what is written into one is in the other.

    Raises
    ------
    DTypeError
        For another type than float32, float64, booleans and integers, and for what is no array.
    ShapeError
        For an array whose memory cannot be shared: misaligned, or of foreign byte order.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: got a {type(array).__name__}, expected a NumPy array")
    tensor = Tensor(array)
    if array.size and not np.shares_memory(tensor.numpy(), array):
        raise ShapeError(
            "from_numpy: the array is misaligned or of foreign byte order, expected one that is not"
        )
    return tensor


def _like(
    op: str, x: Any, dtype: Any, device: Any, memory_format: Any = None
) -> tuple[tuple[int, ...], Any, Any]:
    check_layout(op, memory_format)
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise DTypeError(f"{op}: input is a {type(x).__name__}, expected a Tensor or an array")
    kind = _type(op, x.dtype if dtype is None else dtype, np.float32)
    where = getattr(x, "device", None) if device is None and isinstance(x, Tensor) else device
    return tuple(x.shape), kind, where


def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of the shape, type and device of another, whose values are yet to be written."""
    shape, kind, where = _like("empty_like", input, dtype, device, memory_format)
    return _finished("empty_like", _blank(shape, kind), where, requires_grad)


def zeros_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros in the shape, type and place of another tensor."""
    shape, kind, where = _like("zeros_like", input, dtype, device, memory_format)
    return _filled("zeros_like", shape, 0, kind, where, requires_grad)


def ones_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones in the shape, type and place of another tensor."""
    shape, kind, where = _like("ones_like", input, dtype, device, memory_format)
    return _filled("ones_like", shape, 1, kind, where, requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """One number in the shape, type and place of another tensor."""
    shape, kind, where = _like("full_like", input, dtype, device, memory_format)
    return full(shape, fill_value, dtype=kind, device=where, requires_grad=requires_grad)


def rand_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """:func:`rand` in the shape, type and place of another tensor."""
    shape, kind, where = _like("rand_like", input, dtype, device, memory_format)
    return rand(shape, dtype=kind, device=where, requires_grad=requires_grad)


def randn_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """:func:`randn` in the shape, type and place of another tensor."""
    shape, kind, where = _like("randn_like", input, dtype, device, memory_format)
    return randn(shape, dtype=kind, device=where, requires_grad=requires_grad)
