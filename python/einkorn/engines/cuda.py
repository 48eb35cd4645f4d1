"""The CUDA engine: the kernels of ``csrc/kernels/*.cu`` on CuPy arrays.

Work goes to CuPy's current stream and is not waited for. Arrays of a call must live on the current device.
Kernels that have no CUDA body raise :class:`einkorn.errors.EngineError` by name; nothing falls back to
the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn._device import device_of
from einkorn.errors import DeviceError, EngineError

try:
    from einkorn import _cuda
except ImportError as _error:
    raise EngineError(
        f"einkorn has no CUDA engine here ({_error}); reinstall it with nvcc present and EINKORN_CUDA=ON"
    ) from None

__all__ = ["empty", "matmul"]


@functools.cache
def _cupy() -> Any:
    """CuPy, imported on first use: it takes a second."""
    try:
        import cupy
    except ImportError:
        raise EngineError("the CUDA engine needs CuPy; run: pip install 'einkorn[cuda]'") from None
    return cupy


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array on the current device, from CuPy's memory pool, contents undefined."""
    return _cupy().empty(shape, dtype)


def _launcher(name: str) -> Callable[..., Any]:
    kernel = getattr(_cuda, name)
    cupy = _cupy()

    def launch(*args: Any) -> Any:
        device = cupy.cuda.runtime.getDevice()
        for position, a in enumerate(args):
            if not isinstance(a, (cupy.ndarray, np.ndarray)):
                continue
            place = device_of(a)
            if place != f"cuda:{device}":
                raise DeviceError(
                    f"{name}: array number {position} is on {place}, expected cuda:{device}, the current one"
                )
        _cuda.set_stream(cupy.cuda.get_current_stream().ptr)
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


def __getattr__(name: str) -> Any:
    """A kernel by its name, made on first use."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not hasattr(_cuda, name):
        raise EngineError(f"{name}: not on the CUDA engine, see einkorn.show_config() for what is")
    launch = _launcher(name)
    globals()[name] = launch
    return launch
