"""Where arrays live: on the CPU (NumPy) or on a GPU (CuPy)."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import numpy as np

from einkorn._pinned import is_pinned, send
from einkorn.errors import ArgumentError, DeviceError, EngineError

__all__ = [
    "as_array",
    "beside",
    "check_bfloat16",
    "cupy_module",
    "device",
    "device_name",
    "device_of",
    "gpu_count",
    "gpu_name",
    "is_aligned",
    "is_device",
    "is_on_gpu",
    "is_whole",
    "is_writeable",
    "move",
    "near",
    "refuse_apart",
]

_OLDEST_CUPY, _FIRST_WITH_BFLOAT16 = 13, 14
_DEVICE = re.compile(r"cpu|cuda(?::(0|[1-9][0-9]*))?")


class device(str):  # noqa: N801 - torch's name
    """The name of a place for tensors, ``"cpu"`` or ``"cuda:N"``, as ``torch.device``.

    It is a text that equals its name, and serves wherever the name of a device does.

    Parameters
    ----------
    type : str, int or torch.device
        ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:N"``, or the number N of a GPU.
    index : int, optional
        The number of the GPU, beside ``"cuda"``.

    Raises
    ------
    ArgumentError
        For another name or number.
    """

    __slots__ = ()

    def __new__(cls, type: Any, index: Any = None) -> device:
        name = _name_of(type)
        if name is None or (index is not None and name not in ("cpu", "cuda")):
            what = "'cpu' or 'cuda' beside an index" if name else "'cpu', 'cuda' or 'cuda:N'"
            raise ArgumentError(f"device: type is {type!r}, expected {what}")
        if index is None:
            return super().__new__(cls, name)
        if not isinstance(index, (int, np.integer)) or isinstance(index, bool) or index < 0:
            raise ArgumentError(f"device: index is {index!r}, expected a number from 0")
        if name == "cpu" and index != 0:
            raise ArgumentError(f"device: index is {index}, expected 0 beside 'cpu', of which there is one")
        return super().__new__(cls, name if name == "cpu" else f"cuda:{index}")

    @property
    def type(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> Any:
        """The number of the GPU; None where it is not said."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


def _name_of(given: Any) -> str | None:
    """What a device is called here; None for what names no device.

    A text, an :class:`device`, the number of a GPU, or torch's device: by its type and its index.
    """
    if isinstance(given, str):
        name = str(given)
    elif isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        name = f"cuda:{given}"
    elif type(given).__module__ == "torch" and type(given).__name__ == "device":
        name = given.type if given.index is None else f"{given.type}:{given.index}"
    else:
        return None
    name = "cpu" if name == "cpu:0" else name
    return name if _DEVICE.fullmatch(name) else None


def device_name(op: str, given: Any, argument: str = "device") -> str:
    """What ``device=`` of ``op``, or another argument, means: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    ArgumentError
        For what is no device.
    """
    name = _name_of(given)
    if name is None:
        said = f"{op}: {argument}" if op else argument
        raise ArgumentError(f"{said} is {given!r}, expected 'cpu', 'cuda' or 'cuda:N'")
    return name


def gpu_name(op: str, given: Any) -> str:
    """:func:`device_name` of what takes GPUs alone; None is the current one.

    Raises
    ------
    ArgumentError
        For what is no GPU.
    """
    name = "cuda" if given is None else _name_of(given)
    if name is None or name == "cpu":
        raise ArgumentError(f"{op}: device is {given!r}, expected the number of a GPU, 'cuda' or 'cuda:N'")
    return name


def cupy_module(what: str) -> Any:
    """CuPy, imported now; ``what`` needs it, says the message where it is not there or cannot be used.

    Raises
    ------
    EngineError
        Without CuPy, with one before version 13, and where it does not fit to what else is installed.
    """
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # whatever a CuPy raises that does not fit to its libraries
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise EngineError(f"{what} needs CuPy; run: pip install 'einkorn[cuda]'") from None
        cause = error.__cause__ or error  # CuPy's own message is a page around it
        reason = str(cause) if isinstance(cause, ImportError) else f"{type(cause).__name__}: {cause}"
        raise EngineError(f"{what} needs CuPy, which is installed and does not load: {reason}") from None
    version = str(getattr(cupy, "__version__", ""))
    first = version.partition(".")[0]
    if first.isdigit() and int(first) < _OLDEST_CUPY:
        raise EngineError(
            f"{what} needs CuPy {_OLDEST_CUPY} or later, and {version} is installed; run: pip install"
            " 'einkorn[cuda]'"
        )
    if not hasattr(cupy, "cuda"):  # what is left of one, or a file of that name
        where = getattr(cupy, "__file__", None) or next(iter(getattr(cupy, "__path__", ["?"])))
        raise EngineError(f"{what} needs CuPy, and the module of that name is not it: {where}")
    return cupy


def check_bfloat16(what: str) -> None:
    """Refuse a CuPy without the type; ``what`` needs it.

    Raises
    ------
    EngineError
        With one before version 14.
    """
    version = str(getattr(sys.modules["cupy"], "__version__", ""))
    first = version.partition(".")[0]
    if first.isdigit() and int(first) < _FIRST_WITH_BFLOAT16:
        raise EngineError(
            f"{what} needs CuPy {_FIRST_WITH_BFLOAT16} or later, and {version} is installed; run: pip install"
            " -U 'einkorn[cuda]'"
        )


def gpu_count(what: str, cupy: Any) -> int:
    """The number of GPUs, at least one.

    Raises
    ------
    DeviceError
        Without one that can be used.
    """
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # of a driver that is not there, or too old
        raise DeviceError(f"{what} no GPU can be used here: {error}") from None
    if count == 0:
        raise DeviceError(f"{what} there are 0 GPUs")
    return count


def beside(x: Any, array: Any) -> Any:
    """An array on the device of another array, or of a Tensor's."""
    return move(array, device_of(getattr(x, "_data", x)))


def is_device(given: Any) -> bool:
    """Whether this is a device or the name or number of one, and not a type of elements."""
    return _name_of(given) is not None


def device_of(array: Any) -> str:
    """Name of the device that an array lives on, with its number."""
    return "cpu" if isinstance(array, np.ndarray) else f"cuda:{array.device.id}"


def refuse_apart(what: str, array: Any, name: str, state: Any) -> None:
    """Say that a parameter has left the state that an optimizer keeps of it.

    Raises
    ------
    DeviceError
        Always.
    """
    raise DeviceError(
        f"{what} is on {device_of(array)} now and its {name} on {device_of(state)}: make a new optimizer"
        " after Module.to"
    )


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


def move(array: Any, device: Any, *, waits: bool = True) -> Any:
    """The array on a device: itself where it is there already, else a copy.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
    device : str, int or torch.device
        ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:N"`` or N.
    waits : bool, default True
        False: what is copied from pinned memory to a GPU may go on after the call.

    Raises
    ------
    ArgumentError
        For another name.
    EngineError
        When CuPy is not installed, or cannot be used; bfloat16 with one before version 14.
    DeviceError
        When there is no such GPU.
    """
    name = device_name("", device)
    if name == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    cupy = cupy_module("device 'cuda'")
    count = gpu_count(f"device is {name!r}, but", cupy)
    number = cupy.cuda.runtime.getDevice() if name == "cuda" else int(name[5:])
    if number >= count:
        raise DeviceError(f"device is {name!r}, but there are {count} GPUs")
    if not isinstance(array, np.ndarray) and array.device.id == number:
        return array
    if array.dtype.kind == "V":
        check_bfloat16(f"bfloat16: an array of it on {name}")
    with cupy.cuda.Device(number):
        if is_pinned(array) and array.flags.c_contiguous:
            return send(array, waits)
        return cupy.asarray(array)
