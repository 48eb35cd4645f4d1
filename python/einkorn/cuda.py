"""GPUs: whether there is one, and which; devices, streams and events under ``torch.cuda``'s names.

The arrays of a GPU are CuPy's, and its kernels are built where nvcc is found; see ``einkorn.show_config()``.
Work goes to CuPy's current stream of the current device and is not waited for. What computes on arrays of
another device goes there for the call.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from typing import Any

from einkorn._context import Context
from einkorn._device import cupy_module, gpu_count, gpu_name
from einkorn._device import device as _Place  # noqa: N812 - a class of torch's name
from einkorn.errors import ArgumentError, DeviceError
from einkorn.random import manual_seed

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "is_available",
    "is_checked",
    "manual_seed",
    "manual_seed_all",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "set_checked",
    "set_device",
    "stream",
    "synchronize",
]

#: One stream of random numbers serves all devices.
manual_seed_all = manual_seed


def _cupy() -> Any:
    """CuPy, where it finds a GPU."""
    cupy = cupy_module("einkorn.cuda")
    gpu_count("einkorn.cuda:", cupy)
    return cupy


def device_count() -> int:
    """Number of GPUs that can be used; 0 without CuPy or the kernels."""
    if importlib.util.find_spec("einkorn._cuda") is None or importlib.util.find_spec("cupy") is None:
        return 0
    try:
        return int(_cupy().cuda.runtime.getDeviceCount())
    except Exception:  # of a driver that is not there, or too old
        return 0


def is_available() -> bool:
    """Whether tensors can be moved to a GPU and computed with there."""
    return device_count() > 0


def misfit(module: Any) -> str:
    """In what the driver does not fit to the toolkit that built ``einkorn._cuda``; empty where it does.

    A driver runs what is built with any minor version of its own major one.
    """
    built, driver = module.versions()
    if driver == 0 or driver // 1000 >= built // 1000:
        return ""
    return (
        f"it was built with CUDA {version(built)} and the driver takes CUDA {version(driver)} at most; update"
        f" the driver, or reinstall einkorn with nvcc of CUDA {driver // 1000}"
    )


def version(number: int) -> str:
    """CUDA's way to write a version, 13000, as people do: 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"


# --- devices ---------------------------------------------------------------------------------


def _number(name: Any, op: str) -> int:
    """The number of a GPU, by default of the current one."""
    where = gpu_name(op, name)
    number = current_device() if where == "cuda" else int(where[5:])
    count = int(_cupy().cuda.runtime.getDeviceCount())
    if number >= count:
        raise DeviceError(f"{op}: device is {name!r}, but there are {count} GPUs")
    return number


def current_device() -> int:
    """Number of the GPU that ``"cuda"`` means."""
    return int(_cupy().cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    """Let ``"cuda"`` mean this GPU in the running thread; the ``with`` block :class:`device` ends by itself.

    Parameters
    ----------
    device : int or str
        A number, or ``"cuda:N"``.

    Raises
    ------
    ArgumentError, DeviceError, EngineError
        For what is no GPU's name, a GPU that is not there, and without CuPy.
    """
    _cupy().cuda.Device(_number(device, "set_device")).use()


class device(Context[None]):  # noqa: N801 - torch's name
    """:func:`set_device`, with its argument, for a ``with`` block or a function that it decorates."""

    def __init__(self, device: Any) -> None:
        self.idx = _number(device, "device")

    def _enter(self) -> tuple[None, int]:
        before = current_device()
        _cupy().cuda.Device(self.idx).use()
        return None, before

    def _leave(self, before: int) -> None:
        _cupy().cuda.Device(before).use()


def get_device_name(device: Any = None) -> str:
    """Name of a GPU, by default of the current one."""
    number = _number(device, "get_device_name")
    return str(_cupy().cuda.runtime.getDeviceProperties(number)["name"].decode())


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Compute capability of a GPU, by default of the current one: (9, 0) for Hopper."""
    found = _cupy().cuda.runtime.getDeviceProperties(_number(device, "get_device_capability"))
    return int(found["major"]), int(found["minor"])


def synchronize(device: Any = None) -> None:
    """Wait for what was started on a GPU, by default the current one; nothing to wait for without one."""
    gpu_name("synchronize", device)
    if not is_available():
        return
    with _cupy().cuda.Device(_number(device, "synchronize")):
        _cupy().cuda.runtime.deviceSynchronize()


# --- memory ----------------------------------------------------------------------------------


def empty_cache() -> None:
    """Give free memory of the GPU back; without one, nothing happens."""
    if is_available():
        _cupy().get_default_memory_pool().free_all_blocks()


def memory_allocated(device: Any = None) -> int:
    """Bytes of a GPU that arrays have; 0 without one."""
    return _of_pool("used_bytes", device, "memory_allocated")


def memory_reserved(device: Any = None) -> int:
    """Bytes of a GPU that CuPy's pool holds, those of arrays included; 0 without one."""
    return _of_pool("total_bytes", device, "memory_reserved")


def _of_pool(what: str, device: Any, op: str) -> int:
    gpu_name(op, device)
    if not is_available():
        return 0
    with _cupy().cuda.Device(_number(device, op)):
        return int(getattr(_cupy().get_default_memory_pool(), what)())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes of a GPU that are free, and all that it has."""
    with _cupy().cuda.Device(_number(device, "mem_get_info")):
        free, total = _cupy().cuda.runtime.memGetInfo()
    return int(free), int(total)


# --- streams and events ----------------------------------------------------------------------


class Event:
    """A point in a stream's work.

    Parameters
    ----------
    enable_timing : bool, default False
        Whether :meth:`elapsed_time` will be asked.
    blocking : bool, default False
        Whether a thread that waits for it sleeps.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        self._event = _cupy().cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """Put it behind what the stream, by default the current one, was given so far."""
        self._event.record(_stream_of("record", stream))

    def wait(self, stream: Stream | None = None) -> None:
        """Let the stream's further work begin after the event; the caller goes on."""
        _stream_of("wait", stream).wait_event(self._event)

    def query(self) -> bool:
        """Whether all work before it is done."""
        return bool(self._event.done)

    def synchronize(self) -> None:
        """Wait for it."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another; both with ``enable_timing``."""
        _require("elapsed_time", "end_event", end_event, Event)
        return float(_cupy().cuda.get_elapsed_time(self._event, end_event._event))


class Stream:
    """A queue of work of a GPU, beside others.

    Parameters
    ----------
    device : int or str, optional
        By default the current one.
    priority : int, default 0
        Lower numbers go first where the GPU can choose.

    Notes
    -----
    Arrays that one stream makes and another reads need :meth:`wait_stream`. CuPy gives an array's memory
    back to the stream that was current when it was made.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, _of: Any = None) -> None:
        self._number = _number(device, "Stream")
        if _of is None:
            with _cupy().cuda.Device(self._number):
                _of = _cupy().cuda.Stream(non_blocking=True, priority=priority)
        self._stream = _of

    @property
    def device(self) -> _Place:
        """The device whose work it takes."""
        return _Place("cuda", self._number)

    @property
    def cuda_stream(self) -> int:
        """The handle, a ``cudaStream_t``."""
        return int(self._stream.ptr)

    def query(self) -> bool:
        """Whether all its work is done."""
        return bool(self._stream.done)

    def synchronize(self) -> None:
        """Wait for all its work."""
        self._stream.synchronize()

    def record_event(self, event: Event | None = None) -> Event:
        """An event behind what it was given so far: a new one, or this one."""
        made = Event() if event is None else _require("record_event", "event", event, Event)
        made.record(self)
        return made

    def wait_event(self, event: Event) -> None:
        """Let its further work begin after an event; the caller goes on."""
        _require("wait_event", "event", event, Event).wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let its further work begin after what another stream was given so far."""
        self.wait_event(_require("wait_stream", "stream", stream, Stream).record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)


class stream(Context[Stream]):  # noqa: N801 - torch's name
    """Send the work of a ``with`` block to a stream and its device, CuPy's own work included.

    Parameters
    ----------
    stream : Stream
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = _require("stream", "stream", stream, Stream)

    def _enter(self) -> tuple[Stream, Any]:
        cuda, device = _cupy().cuda, current_device()
        cuda.Device(self.stream._number).use()
        before = cuda.get_current_stream()
        self.stream._stream.use()
        return self.stream, (device, before)

    def _leave(self, before: Any) -> None:
        device, stream = before
        stream.use()
        _cupy().cuda.Device(device).use()


def current_stream() -> Stream:
    """The stream that work goes to."""
    return Stream(_of=_cupy().cuda.get_current_stream())


def default_stream() -> Stream:
    """The stream that work goes to unless a program says otherwise."""
    return Stream(_of=_cupy().cuda.Stream.null)


def _stream_of(op: str, given: Stream | None) -> Any:
    stream = current_stream() if given is None else _require(op, "stream", given, Stream)
    return stream._stream


def _require(op: str, name: str, given: Any, kind: type) -> Any:
    if not isinstance(given, kind):
        raise ArgumentError(
            f"{op}: {name} is a {type(given).__name__}, expected einkorn.cuda.{kind.__name__}"
        )
    return given


# --- checks ----------------------------------------------------------------------------------


class _Checked(threading.local):
    on = True


_checked = _Checked()


def set_checked(on: bool) -> None:
    """Whether indices and classes on a GPU are looked at before kernels use them, in the running thread.

    They are unless this says otherwise, in ``fit`` as elsewhere: an index out of range raises
    :class:`einkorn.IndexRangeError` as on the CPU. Each look waits for the GPU, some 10 us and what was
    queued before; ``fit``, ``evaluate`` and ``predict`` wait once for a batch, where its loss is read or its
    outputs are. Without looks an index out of range reads or writes where nothing of the array is.

    Parameters
    ----------
    on : bool
    """
    if not isinstance(on, bool):
        raise ArgumentError(f"set_checked: on is {on!r}, expected True or False")
    _checked.on = on


def is_checked() -> bool:
    """Whether indices on a GPU are looked at before kernels use them (:func:`set_checked`)."""
    return _checked.on
