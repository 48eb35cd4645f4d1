"""The CUDA engine: the kernels of ``csrc/kernels/*.cu`` on CuPy arrays.

Work goes to CuPy's current stream and is not waited for. Arrays of a call must live on the current device;
for those of another one :func:`on` has the same functions, which go there for the call.
Kernels that have no CUDA body raise :class:`einkorn.errors.EngineError` by name; nothing falls back to
the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import cuda as settings
from einkorn._device import cupy_module, device_of
from einkorn.errors import DeviceError, EngineError

try:
    from einkorn import _cuda
except ImportError as _error:
    raise EngineError(
        f"einkorn has no CUDA engine here ({_error}); reinstall it with nvcc present and EINKORN_CUDA=ON"
    ) from None

if _unfit := settings.misfit(_cuda):
    raise EngineError(f"einkorn's CUDA engine cannot run here: {_unfit}")

__all__ = ["current", "empty", "first_out_of_range", "matmul", "on", "takes_bfloat16"]


@functools.cache
def _cupy() -> Any:
    """CuPy, imported on first use: it takes a second."""
    return cupy_module("the CUDA engine")


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array on the current device, from CuPy's memory pool, contents undefined."""
    return _cupy().empty(shape, dtype)


def _launcher(name: str) -> Callable[..., Any]:
    kernel = getattr(_cuda, name)
    cupy = _cupy()

    def launch(*args: Any) -> Any:
        device = cupy.cuda.runtime.getDevice()
        for position, given in enumerate(args):
            for a in given if isinstance(given, (list, tuple)) else (given,):
                if isinstance(a, (cupy.ndarray, np.ndarray)) and device_of(a) != f"cuda:{device}":
                    which = "array" if a is given else "one of the arrays"
                    raise DeviceError(
                        f"{name}: {which} number {position} is on {device_of(a)}, expected cuda:{device},"
                        " the current one"
                    )
        _cuda.set_stream(cupy.cuda.get_current_stream().ptr, device)
        return kernel(*args)

    launch.__name__ = name
    return launch


#: Multiply-adds from which a plain product goes to cuBLAS: below, its launch is not the quicker one.
_LARGE_PRODUCT = 1 << 24


def matmul(out: Any, a: Any, b: Any, bias: Any, alpha: float, beta: float, activation: int) -> None:
    """The kernel of that name; large plain products go to cuBLAS, in full precision."""
    plain = bias is None and alpha == 1.0 and beta == 0.0 and activation == 0
    if plain and out.size * a.shape[-1] >= _LARGE_PRODUCT:
        _cupy().matmul(a, b, out=out)
    else:
        _own_matmul()(out, a, b, bias, alpha, beta, activation)


@functools.cache
def _own_matmul() -> Callable[..., Any]:
    return _launcher("matmul")


def first_out_of_range(index: Any, low: int, high: int, ignore: int) -> int:
    """The kernel of that name, which waits for the GPU; -1 where ``einkorn.cuda.set_checked`` says so."""
    return int(_own_check()(index, low, high, ignore)) if settings.is_checked() else -1


@functools.cache
def _own_check() -> Callable[..., Any]:
    return _launcher("first_out_of_range")


@functools.cache
def takes_bfloat16() -> frozenset[str]:
    """Kernels that take arrays of bfloat16 as they are, as uint16."""
    return frozenset(name for name, types in _cuda.kernels().items() if "bfloat16" in types)


class _Elsewhere:
    """This module for a device that is not the current one."""

    def __init__(self, number: int) -> None:
        self._device = _cupy().cuda.Device(number)

    def __getattr__(self, name: str) -> Any:
        function = globals()[name] if name in __all__ else __getattr__(name)

        @functools.wraps(function)
        def there(*args: Any) -> Any:
            with self._device:
                return function(*args)

        setattr(self, name, there)
        return there


@functools.cache
def on(number: int) -> Any:
    """The engine whose calls go to the device of that number, whichever is current."""
    return _Elsewhere(number)


def current() -> int | None:
    """The number of the current device where there are several."""
    runtime = _cupy().cuda.runtime
    return runtime.getDevice() if _several() else None


@functools.cache
def _several() -> bool:
    return bool(_cupy().cuda.runtime.getDeviceCount() > 1)


def __getattr__(name: str) -> Any:
    """A kernel by its name, made on first use."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not hasattr(_cuda, name):
        raise EngineError(f"{name}: not on the CUDA engine, see einkorn.show_config() for what is")
    launch = _launcher(name)
    globals()[name] = launch
    return launch
