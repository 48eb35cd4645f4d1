"""A GPU that is not there: arrays that NumPy cannot read, as CuPy's, and an engine that runs them."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from typing import Any

import numpy as np

import einkorn


def near(value: Any) -> Any:
    """The NumPy arrays of stand-ins, however deep."""
    if isinstance(value, GpuArray):
        return value.near
    if isinstance(value, (tuple, list)):
        return type(value)(near(v) for v in value)
    return {k: near(v) for k, v in value.items()} if isinstance(value, dict) else value


def far(value: Any, of: GpuArray | None = None) -> Any:
    """Stand-ins of NumPy's arrays; as in CuPy, numbers of a device stay there too.

    A view of an array is where that is, what was computed on the current card.
    """
    if isinstance(value, tuple):
        parts = [far(v, of) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    array = np.asarray(value)
    is_view = of is not None and np.may_share_memory(array, of.near)
    if of is None or not is_view:
        return GpuArray(array, Device.current)
    return of if array is of.near else GpuArray(array, of.device.id, base=of if of.base is None else of.base)


def _check_same_card(values: Any) -> None:
    """Kernels of CuPy read arrays of the current card alone."""
    for value in values:
        if isinstance(value, GpuArray) and value.size and value.device.id != Device.current:
            raise ValueError(f"Array device must be same as the current device: {value.device.id}")


def _check_reduction(options: dict[str, Any]) -> None:
    if "initial" in options:
        raise TypeError("got an unexpected keyword argument 'initial'")


#: What NumPy's arrays and NumPy have, and CuPy's and CuPy (14.2) have not.
_NUMPYS = frozenset(("ctypes", "getfield", "resize", "setfield", "setflags", "to_device"))
_NOT_IN_CUPY = frozenset(
    (
        "block",
        "einsum_path",
        "histogram_bin_edges",
        "insert",
        "matvec",
        "nanpercentile",
        "nanquantile",
        "polyder",
    )
)


class GpuArray:
    """Does what an array does, and gives its numbers away by ``get`` alone."""

    def __init__(
        self, array: Any, number: Any = 0, data: Any = None, strides: Any = None, base: Any = None
    ) -> None:
        if data is not None:  # CuPy's way to show memory again: shape, type, place, strides
            array, number = data.array.view(), data.device_id
        self.near = array
        self.base = base  # the array whose memory this is a view of, the same one each time
        self.device = types.SimpleNamespace(id=number)
        self.data = types.SimpleNamespace(ptr=array.ctypes.data, array=array, device_id=number)

    def get(self, stream: Any = None) -> np.ndarray:
        return self.near.copy()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        for value in inputs:
            if isinstance(value, np.ndarray) and value.ndim:
                return NotImplemented
        _check_same_card((self, *inputs))
        return far(getattr(ufunc, method)(*near(inputs), **near(kwargs)))

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in _NOT_IN_CUPY:
            return NotImplemented
        _check_reduction(kwargs)
        return far(function(*near(args), **near(kwargs)))

    @property
    def flags(self) -> Any:
        """CuPy's flags do not speak of writing, nor of alignment."""
        flags = self.near.flags
        return types.SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata
        )

    def set(self, array: np.ndarray, stream: Any = None) -> None:
        """CuPy's copy from the CPU, in the order of a stream."""
        assert (self.shape, self.dtype, True) == (array.shape, array.dtype, array.flags.c_contiguous)
        self.near[...] = array
        (stream or Stream.current).work += 1

    def __dlpack__(self, **options: Any) -> Any:
        return self.near.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in _NUMPYS:
            raise AttributeError(name)
        value = getattr(self.near, name)
        if not callable(value):
            return far(value, self) if isinstance(value, np.ndarray) else value

        def method(*args: Any, **kwargs: Any) -> Any:
            _check_reduction(kwargs)
            return far(value(*near(args), **near(kwargs)), self)

        return method

    def diagonal(self, *args: Any) -> Any:
        view = self.near.diagonal(*args)
        view.flags.writeable = True  # as CuPy's is
        return GpuArray(view, self.device.id, base=self if self.base is None else self.base)

    def __getitem__(self, key: Any) -> Any:
        return far(self.near[near(key)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type numpy.ndarray")
        self.near[near(key)] = near(value)

    def __len__(self) -> int:
        return len(self.near)

    def __float__(self) -> float:
        return float(self.near)

    def __int__(self) -> int:
        return int(self.near)

    def __bool__(self) -> bool:
        return bool(self.near)


def _operator(name: str) -> Any:
    def method(self: GpuArray, *others: Any) -> Any:
        for other in others:
            if isinstance(other, np.ndarray):
                raise TypeError(f"Unsupported type {type(other)}")
        _check_same_card((self, *others))
        return far(getattr(self.near, name)(*near(others)))

    return method


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "matmul",
    "neg",
    "abs",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "invert",
    "and",
    "or",
):
    _method = f"__{_name}__"
    setattr(GpuArray, _method, _operator(_method))
    if _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        _right = f"__r{_name}__"
        setattr(GpuArray, _right, _operator(_right))
GpuArray.__hash__ = object.__hash__  # type: ignore[method-assign]
GpuArray.__module__ = "cupy"


class Device:
    """A card; ``current`` is the number of the one that new arrays lie on."""

    current = 0

    def __init__(self, number: int) -> None:
        self.id = number
        self._outer: list[int] = []

    def use(self) -> None:
        Device.current = self.id

    def __enter__(self) -> None:
        self._outer.append(Device.current)
        Device.current = self.id

    def __exit__(self, *error: object) -> None:
        Device.current = self._outer.pop()


class Event:
    """Done as soon as somebody asks; counts who waits."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.timed, self.stream, self.waited, self.done = not disable_timing, None, 0, True

    def record(self, stream: Any = None) -> None:
        self.stream, self.at = stream or Stream.current, (stream or Stream.current).work

    def synchronize(self) -> None:
        self.waited += 1


class Stream:
    """Counts the copies it was given, and keeps the events it waits for."""

    current: Stream
    null: Stream
    made = 0

    def __init__(self, non_blocking: bool = False, priority: int = 0) -> None:
        Stream.made += 1
        self.ptr, self.work, self.waits, self.done = Stream.made, 0, [], True

    def use(self) -> None:
        Stream.current = self

    def wait_event(self, event: Event) -> None:
        self.waits.append(event)

    def synchronize(self) -> None: ...


class PinnedMemoryPointer(bytearray):
    """Memory as CuPy's pool of pinned memory gives it."""


class Engine(types.ModuleType):
    """Kernels of the CPU's engine, on stand-ins alone; counts their launches."""

    def __init__(self) -> None:
        super().__init__("einkorn.engines.cuda")
        self.launches = 0
        self.takes_bfloat16 = einkorn.engines.takes_bfloat16
        self.current = lambda: Device.current
        self.on = lambda number: _On(self, number)
        self.quick = lambda kernel, *operands: None

    @staticmethod
    def empty(shape: Any, dtype: Any) -> GpuArray:
        return GpuArray(np.empty(shape, dtype), Device.current)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kernel = getattr(einkorn.engines.cpu(), name)

        def launch(*args: Any) -> Any:
            for value in args:
                for a in value if isinstance(value, (tuple, list)) else [value]:
                    assert not isinstance(a, np.ndarray), f"{name}: an array of the CPU"
            self.launches += 1
            return kernel(*near(args))

        return launch


class _On:
    """The engine within the block of another card."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.engine, self.device = engine, Device(number)

    def __getattr__(self, name: str) -> Any:
        def there(*args: Any) -> Any:
            with self.device:
                return getattr(self.engine, name)(*args)

        return there


def install(monkeypatch: Any, *, engine: bool = True, cards: int = 1) -> Engine:
    """Cards, CuPy's stand-in, and (if wanted) the engine."""
    module: Any = types.ModuleType("cupy")
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    module.ndarray = GpuArray

    def there(array: Any) -> GpuArray:
        return GpuArray(array, Device.current)

    module.empty = lambda shape, dtype: there(np.empty(shape, dtype))

    def asarray(a: Any, order: str = "K") -> GpuArray:
        if isinstance(a, GpuArray) and a.device.id == Device.current:
            return a
        return there(np.array(near(a), order=order))  # from another card, as CuPy's, a copy

    module.asarray = asarray
    module.zeros_like = lambda a: there(np.zeros_like(a.near))
    module.array = lambda a, dtype=None, order="K": there(np.array(near(a), dtype, order=order))
    module.add = types.SimpleNamespace(at=lambda *args: np.add.at(*near(args)))
    module.broadcast_to = lambda a, shape: GpuArray(
        np.broadcast_to(a.near, shape), a.device.id, base=a if a.base is None else a.base
    )

    def as_strided(a: GpuArray, shape: Any, strides: Any) -> GpuArray:
        view = np.lib.stride_tricks.as_strided(a.near, shape, strides)
        return GpuArray(view, a.device.id, base=a if a.base is None else a.base)

    module.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=as_strided))
    module.from_dlpack = lambda x: GpuArray(x.shared, x.device.index)
    runtime = types.SimpleNamespace(CUDARuntimeError=RuntimeError)
    runtime.getDevice, runtime.getDeviceCount = lambda: Device.current, lambda: cards
    runtime.deviceSynchronize = lambda: None
    runtime.getDeviceProperties = lambda n: {"name": b"Card %d" % n, "major": 9, "minor": 0}
    runtime.memGetInfo = lambda: (1 << 30, 1 << 32)
    Device.current = 0
    Stream.null = Stream.current = Stream()
    module.cuda = types.SimpleNamespace(
        runtime=runtime,
        Device=Device,
        Event=Event,
        Stream=Stream,
        get_current_stream=lambda: Stream.current,
        get_elapsed_time=lambda begin, end: float(end.at - begin.at),
        alloc_pinned_memory=PinnedMemoryPointer,
    )
    pool = types.SimpleNamespace(
        used_bytes=lambda: 512, total_bytes=lambda: 1024, free_all_blocks=lambda: None
    )
    module.get_default_memory_pool = lambda: pool
    monkeypatch.setitem(sys.modules, "cupy", module)
    made = Engine()
    if engine:
        engines = importlib.import_module("einkorn.engines")
        monkeypatch.setitem(sys.modules, "einkorn.engines.cuda", made)
        monkeypatch.setattr(engines, "cuda", made, raising=False)
        built: Any = types.ModuleType("einkorn._cuda")
        built.__spec__ = importlib.machinery.ModuleSpec("einkorn._cuda", None)
        monkeypatch.setitem(sys.modules, "einkorn._cuda", built)
    return made
