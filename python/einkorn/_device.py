"""Where arrays live: on the CPU (NumPy) or on a GPU (CuPy)."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np

from einkorn._pinned import is_pinned, send
from einkorn.errors import ArgumentError, DeviceError, EngineError

__all__ = [
    "as_array",
    "beside",
    "cupy_module",
    "device",
    "device_of",
    "is_aligned",
    "is_device",
    "is_on_gpu",
    "is_whole",
    "is_writeable",
    "move",
    "near",
]

_OLDEST_CUPY = 13
_DEVICE = re.compile(r"cpu|cuda(?::(\d+))?")


class device(str):  # noqa: N801 - torch's name
    """The name of a place for tensors, ``"cpu"`` or ``"cuda:N"``, as ``torch.device``.

    It is a text that equals its name, and serves wherever the name of a device does.

    Parameters
    ----------
    name : str or int
        ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:N"``, or the number N of a GPU.
    index : int, optional
        The number of the GPU, beside ``"cuda"``.

    Raises
    ------
    ArgumentError
        For another name.
    """

    __slots__ = ()

    def __new__(cls, name: Any, index: int | None = None) -> device:
        full = f"cuda:{name}" if isinstance(name, int) else str(name)
        if index is not None and full != "cpu":
            full = f"{full}:{index}"
        if _DEVICE.fullmatch("cpu" if full == "cpu:0" else full) is None:
            raise ArgumentError(f"device: name is {name!r}, expected 'cpu', 'cuda' or 'cuda:N'")
        return super().__new__(cls, "cpu" if full == "cpu:0" else full)

    @property
    def type(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return self.partition(":")[0]

    @property
    def index(self) -> Any:
        """The number of the GPU; None where it is not said."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


def cupy_module(what: str) -> Any:
    """CuPy, imported now; ``what`` needs it, says the message where it is not there or cannot be used.

    Raises
    ------
    EngineError
        Without CuPy, with one before version 13, and where it does not fit to what else is installed.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError:
        raise EngineError(f"{what} needs CuPy; run: pip install 'einkorn[cuda]'") from None
    except ImportError as error:
        raise EngineError(f"{what} needs CuPy, which is installed and does not load: {error}") from None
    version = getattr(cupy, "__version__", "")
    first = version.partition(".")[0]
    if first.isdigit() and int(first) < _OLDEST_CUPY:
        raise EngineError(
            f"{what} needs CuPy {_OLDEST_CUPY} or later, and {version} is installed; run: pip install"
            " 'einkorn[cuda]'"
        )
    return cupy


def beside(x: Any, array: Any) -> Any:
    """An array on the device of another array, or of a Tensor's."""
    return move(array, device_of(getattr(x, "_data", x)))


def is_device(name: Any) -> bool:
    """Whether this is the name of a device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``."""
    return isinstance(name, str) and _DEVICE.fullmatch(name) is not None


def device_of(array: Any) -> str:
    """Name of the device that an array lives on, with its number."""
    return "cpu" if isinstance(array, np.ndarray) else f"cuda:{array.device.id}"


def is_on_gpu(array: Any) -> bool:
    """Whether this is an array of a GPU."""
    return type(array).__module__.partition(".")[0] == "cupy"


def is_aligned(array: Any) -> bool:
    """Whether elements lie at multiples of their size: a CuPy array's always, its flags do not say."""
    return bool(getattr(array.flags, "aligned", True))


def is_writeable(array: Any) -> bool:
    """Whether an array may be written: a CuPy array always, its flags do not say."""
    return bool(getattr(array.flags, "writeable", True))


def is_whole(array: Any) -> bool:
    """Whether kernels can update an array in place: C-contiguous and writeable."""
    return bool(array.flags.c_contiguous) and is_writeable(array)


def as_array(x: Any, dtype: Any = None) -> Any:
    """``np.asarray`` of what a function of NumPy gave, which of an array of a GPU is one."""
    if is_on_gpu(x):
        return x if dtype is None else x.astype(dtype, copy=False)
    return np.asarray(x, dtype)


def near(array: Any) -> Any:
    """An array of a GPU on the CPU; all else as it is."""
    return array.get() if is_on_gpu(array) else array


def move(array: Any, device: str, *, waits: bool = True) -> Any:
    """The array on a device: itself where it is there already, else a copy.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
    device : str
        ``"cpu"``, ``"cuda"`` (the current GPU) or ``"cuda:N"``.
    waits : bool, default True
        False: what is copied from pinned memory to a GPU may go on after the call.

    Raises
    ------
    ArgumentError
        For another name.
    EngineError
        When CuPy is not installed.
    DeviceError
        When there is no such GPU.
    """
    match = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if match is None:
        raise ArgumentError(f"device is {device!r}, expected 'cpu', 'cuda' or 'cuda:N'")
    if device == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    cupy = cupy_module("device 'cuda'")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(f"device is {device!r}, but no GPU can be used here: {error}") from None
    number = cupy.cuda.runtime.getDevice() if match[1] is None else int(match[1])
    if number >= count:
        raise DeviceError(f"device is {device!r}, but there are {count} GPUs")
    if not isinstance(array, np.ndarray) and array.device.id == number:
        return array
    with cupy.cuda.Device(number):
        if is_pinned(array) and array.flags.c_contiguous:
            return send(array, waits)
        return cupy.asarray(array)
