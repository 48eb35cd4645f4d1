"""The road every operation takes from its arguments to the engine and back.

``unwrap`` turns an argument into an array that kernels take, ``result`` wraps what they computed into the
kind of thing that came in, and records the gradient when one is wanted. Both are on the path of every
call: a few hundred nanoseconds, no more.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, engines
from einkorn._device import check_bfloat16, cupy_module, device_of, is_aligned, is_on_gpu
from einkorn._grad_mode import mode
from einkorn._masked import refuse_masked
from einkorn._tape import Node, source
from einkorn._tensor import Tensor
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError
from einkorn.sparse import SparseRows

__all__ = [
    "as_index",
    "as_kept",
    "bfloat16_array",
    "bits",
    "broadcast_shape",
    "broadcast_to",
    "by_formula",
    "check_size",
    "contiguous",
    "is_kept",
    "kept_as",
    "kept_result",
    "lowered",
    "moved",
    "needs",
    "number_type",
    "of_numbers",
    "record",
    "result",
    "same_dtype",
    "same_kept",
    "sum_to",
    "unwrap",
    "widened",
]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_INT64 = np.dtype(np.int64)
_ndarray = np.ndarray


def unwrap(x: Any, op: str, name: str) -> Any:
    """Return the float32 or float64 array behind an argument: of bfloat16 a wider copy.

    Tensors of floats give their array; NumPy and CuPy arrays pass; torch tensors, those of a GPU by way of
    CuPy, and anything else with DLPack or ``__array__`` give a view where they can. Misaligned and
    foreign-endian arrays are copied.

    Raises
    ------
    DTypeError
        For element types other than float32, float64 and bfloat16, and for what is no array at all.
    """
    if isinstance(x, Tensor):
        x = x._data
        if x.dtype.kind != "f":
            if not _bfloat16.is_bfloat16(x.dtype):
                raise _dtype_error(x.dtype, op, name)
            return _widened(x)
        return x
    if type(x) is _ndarray:
        dtype = x.dtype
        if (dtype is _FLOAT32 or dtype is _FLOAT64) and x.flags.aligned and x.ndim <= 8:
            return x
    return _foreign(x, op, name)


def _foreign(x: Any, op: str, name: str) -> Any:
    if type(x).__module__.partition(".")[0] == "torch":
        x = _from_torch(x, op, name)
    if is_on_gpu(x):
        if _bfloat16.is_bfloat16(x.dtype):
            return _widened(x)
        if x.dtype not in (_FLOAT32, _FLOAT64):
            raise _dtype_error(x.dtype, op, name)
        return x
    if isinstance(x, np.generic):
        x = np.asarray(x)  # np.float64 is a float of Python's too
    elif isinstance(x, (list, tuple, int, float, complex, str, bytes)) or x is None:
        raise DTypeError(f"{op}: {name} is a {type(x).__name__}, expected an array or a Tensor")
    elif not isinstance(x, _ndarray):
        if hasattr(x, "__dlpack__") and not is_kept(x):
            x = np.from_dlpack(x)
        elif hasattr(x, "__array__"):
            x = np.asarray(x)
        else:
            raise DTypeError(f"{op}: {name} is a {type(x).__name__}, expected an array or a Tensor")
    refuse_masked(x, f"{op}: {name}")
    x = np.asarray(x)  # subclasses lose their class, not their memory
    native = x.dtype.newbyteorder("=")
    if _bfloat16.is_bfloat16(native):
        x = _widened(x)
        native = x.dtype
    if native != _FLOAT32 and native != _FLOAT64:
        raise _dtype_error(x.dtype, op, name)
    if x.dtype != native or not x.flags.aligned or x.dtype not in (_FLOAT32, _FLOAT64):
        x = np.array(x, dtype=native, order="C")
    if x.ndim > 8:
        raise ShapeError(f"{op}: {name} has {x.ndim} dimensions, at most 8 are supported")
    return x


def bfloat16_array(x: Any, op: str, name: str) -> Any:
    """The array of bfloat16 behind an array or a tensor of torch; None where it is none of bfloat16."""
    if not is_kept(x):
        return None
    _bfloat16.met = True
    if type(x).__module__.partition(".")[0] == "torch":
        return _from_torch(x, op, name)
    if isinstance(x, Tensor):
        return x._data
    if is_on_gpu(x):
        return x
    refuse_masked(x, f"{op}: {name}")
    return np.asarray(x)


def as_kept(x: Any, op: str, name: str, kernel: str) -> Any:
    """:func:`unwrap`, but bfloat16 as it is where the engine has a kernel that takes it so."""
    a = bfloat16_array(x, op, name)
    if a is None or kernel not in engines.takes_bfloat16(a):
        return unwrap(x, op, name)
    if a.size and a.ndim <= 8 and a.dtype.isnative:
        return a if is_aligned(a) else a.copy()
    return unwrap(x, op, name)


def bits(a: Any) -> Any:
    """An array as kernels take it: bfloat16 as its bits. None stays None."""
    return a if a is None or a.dtype.kind != "V" else a.view(np.uint16)


def number_type(a: Any) -> Any:
    """The type that an array is computed with."""
    return _FLOAT32 if a.dtype.kind == "V" else a.dtype


def of_numbers(a: Any) -> Any:
    """An array beside ``a`` of the type that it is computed with: itself, or of bfloat16 an empty one."""
    return a if a.dtype.kind == "f" else engines.of(a).empty((0,), number_type(a))


def _widened(x: Any) -> Any:
    _bfloat16.met = True
    return _bfloat16.widen(x if is_aligned(x) else x.copy())


def _from_torch(x: Any, op: str, name: str) -> Any:
    if x.requires_grad:
        raise ArgumentError(
            f"{op}: {name} is a torch tensor that requires grad; einkorn does not record torch's"
            " gradients, so pass it detached"
        )
    if x.device.type == "cuda":
        return _from_torch_on_gpu(x, op, name)
    if x.device.type != "cpu":
        raise DeviceError(f"{op}: {name} is a torch tensor on {x.device}, expected one on the CPU or a GPU")
    try:
        if x.element_size() == 2 and x.is_floating_point() and str(x.dtype) == "torch.bfloat16":
            return x.view(sys.modules["torch"].int16).numpy().view(_bfloat16.bfloat16())
        return x.numpy()
    except TypeError:
        raise DTypeError(f"{op}: {name} has dtype {x.dtype}, expected float32, float64 or bfloat16") from None


def _from_torch_on_gpu(x: Any, op: str, name: str) -> Any:
    """CuPy's array over the memory of a tensor; CuPy's stream waits for torch's."""
    cupy = cupy_module(f"{op}: {name} is a torch tensor on {x.device}, which")
    if str(x.dtype) == "torch.bfloat16":
        check_bfloat16(f"{op}: {name} has dtype {x.dtype} on {x.device}, which")
        return cupy.from_dlpack(x.view(sys.modules["torch"].int16)).view(_bfloat16.bfloat16())
    return cupy.from_dlpack(x)


def _dtype_error(dtype: Any, op: str, name: str) -> DTypeError:
    return DTypeError(f"{op}: {name} has dtype {dtype}, expected float32, float64 or bfloat16")


def same_dtype(op: str, **arrays: Any) -> None:
    """Refuse arrays of different element types, naming both. None is skipped."""
    first_name = first = None
    for name, a in arrays.items():
        if a is None:
            continue
        if first is None:
            first_name, first = name, a
        elif a.dtype != first.dtype:
            raise DTypeError(f"{op}: {name} has dtype {a.dtype}, expected {first.dtype} as {first_name} has")
        elif (type(a) is not _ndarray or type(first) is not _ndarray) and device_of(a) != device_of(first):
            _refuse_places(op, name, a, first_name, first)


def same_place(op: str, name: str, a: Any, of: str, other: Any) -> None:
    """Refuse an array, of indices say, that is on another device than ``of`` is, naming both."""
    if (type(a) is not _ndarray or type(other) is not _ndarray) and device_of(a) != device_of(other):
        _refuse_places(op, name, a, of, other)


def _refuse_places(op: str, name: str, a: Any, of: str | None, other: Any) -> None:
    raise DeviceError(
        f"{op}: {name} is on {device_of(a)} and {of} on {device_of(other)}; all arrays of a call must live"
        " on one device"
    )


def same_kept(op: str, **given: Any) -> None:
    """Refuse bfloat16 beside a wider type, which :func:`same_dtype` sees widened. None is skipped."""
    kinds = {name: "bfloat16" if is_kept(x) else "float32" for name, x in given.items() if x is not None}
    first = next(iter(kinds))
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise DTypeError(f"{op}: {name} has dtype {kind}, expected {kinds[first]} as {first} has")


def as_index(x: Any, op: str, name: str) -> Any:
    """Return an integer array as contiguous int64; other element types are refused."""
    if isinstance(x, Tensor):
        x = x._data
    if type(x) is _ndarray and x.dtype is _INT64:  # as nearly always
        flags = x.flags
        if flags.c_contiguous and flags.aligned:
            return x
    if type(x).__module__.partition(".")[0] == "torch":
        x = _from_torch(x, op, name)
    if not isinstance(x, _ndarray):
        if type(x).__module__.partition(".")[0] == "cupy" or not hasattr(x, "__array__"):
            if not hasattr(x, "dtype"):
                raise DTypeError(f"{op}: {name} is a {type(x).__name__}, expected an integer array")
            if x.dtype.kind not in "iu":
                raise DTypeError(f"{op}: {name} has dtype {x.dtype}, expected an integer type")
            return x.astype("int64", order="C", copy=False)
        x = np.asarray(x)
    elif type(x) is not _ndarray:
        refuse_masked(x, f"{op}: {name}")
        x = np.asarray(x)
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{op}: {name} has dtype {x.dtype}, expected an integer type")
    if x.dtype == np.int64 and x.dtype.isnative and x.flags.aligned and x.flags.c_contiguous:
        return x
    if x.dtype == np.uint64 and x.size and x.max() > np.iinfo(np.int64).max:
        raise IndexRangeError(f"{op}: {name} has the number {x.max()}, beyond any index")
    return np.array(x, dtype=np.int64, order="C")


def contiguous(a: Any) -> Any:
    """Return ``a``, or a copy in row-major order when it is not; a Tensor stays one."""
    if isinstance(a, Tensor):
        return ops.contiguous(a)
    if a.flags.c_contiguous:
        return a
    k = _bfloat16.of(a)
    out = k.empty(a.shape, a.dtype)
    k.copy(out, a)
    return out


def needs(x: Any) -> bool:
    """Whether a gradient with respect to this argument is wanted."""
    return isinstance(x, Tensor) and x._requires_grad


def result(
    out: Any,
    inputs: tuple[Any, ...],
    backward: Callable[..., Sequence[Any]],
    saved: tuple[Any, ...] | None = None,
    moves: bool = False,
) -> Any:
    """Wrap an output array as the inputs came: Tensor, torch tensor or array; record the gradient.

    Parameters
    ----------
    out : array
        What the kernels computed.
    inputs : tuple
        The operation's differentiable arguments as the caller gave them; None where absent.
    backward : callable
        From the gradient of ``out`` (an array, possibly not contiguous) and what is in ``saved`` to one
        gradient or None for each input, each of that input's shape.
    saved : tuple, optional
        The arrays that the gradient reads and no others: for each input its array, of the input's own shape,
        or None; then the output or None; then constants. Where the gradient is itself differentiated, the
        gradient of ``out`` comes as a Tensor, and so do the entries of inputs and output, so ``backward`` is
        written with operations, or has a branch that is. Without ``saved`` the function closes over its
        arrays, and has no gradient of its own.
    moves : bool, default False
        Of :func:`moved`: bfloat16 comes and goes as it is.
    """
    tensor = recorded = False
    foreign = None
    for x in inputs:
        if isinstance(x, Tensor):
            tensor = True
            if x._requires_grad:
                recorded = True
        elif type(x) is not _ndarray and x is not None:
            foreign = x
    if recorded and mode.enabled:
        return record(out, inputs, backward, saved, moves)
    if _bfloat16.met and not moves:
        out = _stored(out, inputs)
    if tensor:
        return Tensor._wrap(out, False, None)
    if foreign is not None and type(foreign).__module__.partition(".")[0] == "torch":
        return _to_torch(out)
    return out


def record(
    out: Any,
    inputs: tuple[Any, ...],
    backward: Callable[..., Sequence[Any]],
    saved: tuple[Any, ...] | None = None,
    moves: bool = False,
) -> Tensor:
    """What :func:`result` does when a gradient is wanted, or with ``moves`` :func:`moved`."""
    if _bfloat16.met and not moves:
        out, backward, saved = _lowered(out, inputs, backward, saved)
    origins: list[Any] = []
    for x in inputs:
        if isinstance(x, Tensor):
            origin: Any = x._node
            if origin is None:
                if x._requires_grad:
                    origin = x
                elif _versions.any_unlinked():
                    origin = source(x)
            elif origin.number < _versions.latest_recorded:
                origin = source(x)
            origins.append(origin)
        else:
            origins.append(None)
    return Tensor._wrap(out, True, Node(origins, backward, saved))


def moved(
    out: Any,
    inputs: tuple[Any, ...],
    backward: Callable[..., Sequence[Any]],
    saved: tuple[Any, ...] | None = (),
) -> Any:
    """:func:`result` of an operation that moves bfloat16 as it is, and whose gradient does."""
    return result(out, inputs, backward, saved, True)


def kept_result(
    out: Any, inputs: tuple[Any, ...], backward: Callable[..., Sequence[Any]], saved: tuple[Any, ...]
) -> Any:
    """:func:`result` of kernels that may have taken bfloat16 as it is, as the first array that is saved says.

    Then ``backward`` gets the gradient of ``out`` and what was saved as bfloat16 as they are, and all of them
    widened where it is itself differentiated. Inputs whose widened array is saved are kept as they came.
    """
    if saved[0] is not None and saved[0].dtype.kind == "f":
        return result(out, inputs, backward, saved)
    low = [is_kept(x) for x in inputs]
    kept, widens = list(saved), set()
    for i, x in enumerate(inputs):
        if low[i] and kept[i] is not None and kept[i].dtype == _FLOAT32:
            widens.add(i)
            if isinstance(x, Tensor):
                kept[i] = x._data

    def rule(g: Any, *kept: Any) -> list[Any]:
        if isinstance(g, Tensor):
            gradients = backward(widened(g), *[widened(x) for x in kept])
        else:
            arrays = [widened(x) if i in widens else x for i, x in enumerate(kept)]
            gradients = backward(_bfloat16.astype(g, out.dtype), *arrays)
        return [_narrow(gx) if of_low else gx for of_low, gx in zip(low, gradients, strict=True)]

    return result(out, inputs, rule, tuple(kept), True)


def _to_torch(out: Any) -> Any:
    torch = sys.modules["torch"]
    shared = torch.from_dlpack if is_on_gpu(out) else torch.from_numpy  # torch's stream waits for CuPy's
    if out.dtype.kind == "V":
        return shared(out.view(np.int16)).view(torch.bfloat16)
    return shared(out)


def is_kept(x: Any) -> bool:
    """Whether an argument is kept as bfloat16."""
    if isinstance(x, Tensor):
        return _bfloat16.is_bfloat16(x._data.dtype)
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, np.dtype):
        return _bfloat16.is_bfloat16(dtype)
    return dtype is not None and str(dtype) == "torch.bfloat16"


def _stored(out: Any, inputs: tuple[Any, ...]) -> Any:
    """``out`` in the type that the inputs have together: bfloat16 unless one is wider.

    As in torch an array beside which there are larger ones does not count when it is a scalar, and a NumPy
    number never does.
    """
    return out if out.dtype != _FLOAT32 or not _all_low(inputs) else _bfloat16.narrow(out)


def kept_as(x: Any, out: Any) -> Any:
    """``out`` in the type of the input ``x`` alone, which the other inputs only shift and scale."""
    return _bfloat16.narrow(out) if out.dtype == _FLOAT32 and is_kept(x) else out


def lowered(out: Any, inputs: tuple[Any, ...]) -> Any:
    """The same of an array, a Tensor or a torch tensor, recorded."""
    wide = getattr(out.dtype, "name", str(out.dtype)) in ("float32", "torch.float32")
    return ops.cast(out, _bfloat16.bfloat16()) if wide and _all_low(inputs) else out


def _all_low(inputs: tuple[Any, ...]) -> bool:
    low, wide = [], []
    for x in inputs:
        if is_kept(x):
            low.append(len(x.shape) > 0)
        elif hasattr(x, "dtype") and not isinstance(x, np.generic):
            kind = getattr(x.dtype, "kind", None) or ("f" if x.is_floating_point() else "i")
            if kind == "f":
                wide.append(len(x.shape) > 0)
    return bool(low) and not (wide and max(wide) >= max(low))


def _lowered(
    out: Any, inputs: tuple[Any, ...], backward: Callable[..., Sequence[Any]], saved: tuple[Any, ...] | None
) -> tuple[Any, Callable[..., Sequence[Any]], tuple[Any, ...] | None]:
    """What a float32 operation computed and saves, for inputs some of which are bfloat16.

    Inputs and output are kept as what they are instead of as what was computed with, and are widened once
    more for the gradient, which every input gets in its own type.
    """
    low = [is_kept(x) for x in inputs]
    if True not in low:
        return out, backward, saved
    stored = _stored(out, inputs)
    if saved is not None:
        kept = list(saved)
        for i, x in enumerate(inputs[: len(kept)]):
            if low[i] and kept[i] is not None and isinstance(x, Tensor):
                kept[i] = x._data
        if stored is not out and len(kept) > len(inputs) and kept[len(inputs)] is out:
            kept[len(inputs)] = stored
        saved = tuple(kept)

    def rule(g: Any, *kept: Any) -> list[Any]:
        gradients = backward(widened(g), *[widened(x) for x in kept])
        return [_narrow(gx) if of_low else gx for of_low, gx in zip(low, gradients, strict=True)]

    return stored, rule, saved


def widened(x: Any) -> Any:
    """Float32 of bfloat16, recorded where it is a Tensor; all else as it is."""
    if isinstance(x, _ndarray) or is_on_gpu(x):
        return _bfloat16.widen(x) if _bfloat16.is_bfloat16(x.dtype) else x
    return ops.cast(x, _FLOAT32) if is_kept(x) else x


def _narrow(g: Any) -> Any:
    if g is None or _bfloat16.is_bfloat16(g.dtype):
        return g
    if isinstance(g, Tensor):
        return ops.cast(g, _bfloat16.bfloat16())
    if type(g) is SparseRows:
        return SparseRows(g.rows, _bfloat16.narrow(g.values), g.shape)
    return _bfloat16.narrow(g)


def by_formula(formula: Callable[..., Any], g: Any, *inputs: Any) -> list[Any]:
    """The gradients of ``formula(*inputs)``, recorded: for gradients that are differentiated again.

    ``formula`` computes with operations what an op's kernel computes. ``inputs`` are Tensors or None, as the
    op saved them; those that need no gradient get None.
    """
    ends = [
        x if x is None or not x._requires_grad
        # A node of its own, at which the search for gradients ends.
        else Tensor._wrap(x._data, True, Node((x if x._node is None else x._node,), _same, ()))
        for x in inputs
    ]  # fmt: skip
    wanted = [x for x in ends if x is not None and x._requires_grad]
    found = iter(grad(formula(*ends), wanted, g, create_graph=True, allow_unused=True))
    return [next(found) if x is not None and x._requires_grad else None for x in ends]


def _same(g: Any) -> tuple[Any]:
    return (g,)


def broadcast_shape(op: str, **arrays: Any) -> tuple[int, ...]:
    """Shape that arrays broadcast to, by NumPy's rules; refused by name where they do not."""
    try:
        return np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ShapeError(f"{op}: shapes do not broadcast together: {shapes}") from None


def check_size(op: str, shape: tuple[int, ...], name: str = "") -> None:
    """Refuse a result that no address space holds; ``name`` is the argument that asked for it."""
    if math.prod(n for n in shape if n) >= 1 << 60:
        asked = f" because of {name}" if name else ""
        raise ShapeError(f"{op}: the result would have shape {shape}{asked}, larger than any memory")


def broadcast_to(a: Any, shape: tuple[int, ...]) -> Any:
    """View of ``a`` with a broadcast shape (zero strides); a Tensor stays one."""
    if a.shape == shape:
        return a
    if isinstance(a, Tensor):
        return ops.broadcast_to(a, shape)
    if not isinstance(a, _ndarray):
        return sys.modules["cupy"].broadcast_to(a, shape)
    missing = len(shape) - a.ndim
    if missing >= 0 and a.flags.c_contiguous:  # np.broadcast_to does the same in three times the time
        strides = [0] * missing
        for n, wanted, stride in zip(a.shape, shape[missing:], a.strides, strict=True):
            if n != wanted and n != 1:
                break
            strides.append(stride if n == wanted else 0)
        else:
            out = np.ndarray(shape, a.dtype, a, 0, strides)
            out.flags.writeable = False
            return out
    return np.broadcast_to(a, shape)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its input was broadcast from ``shape``."""
    if g.shape == shape:
        return g
    if isinstance(g, Tensor):
        return ops.reshape(ops.sum(g, _broadcast_axes(g.shape, shape)), shape)
    if g.dtype.kind == "V":
        return _bfloat16.narrow(sum_to(_bfloat16.widen(g), shape))
    k = engines.of(g)
    padded = (1,) * (g.ndim - len(shape)) + shape
    out = k.empty(padded, g.dtype)
    k.reduce_sum(out, g, 1.0)
    return out.reshape(shape)


def _broadcast_axes(wide: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    padded = (1,) * (len(wide) - len(shape)) + shape
    return tuple([d for d, (n, m) in enumerate(zip(wide, padded, strict=True)) if n != m])


# At the end: operations are built on this module; it needs them for gradients that are Tensors.
from einkorn import ops  # noqa: E402
