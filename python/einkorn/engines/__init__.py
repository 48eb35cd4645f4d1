"""Which engine runs the kernels: native (C++), numba, or cuda for CuPy arrays.

An engine is a module that has the kernels under the names that the contracts in ``csrc/kernels`` list,
with outputs first, and ``empty(shape, dtype)``; those of the CPU have ``quick(kernel, *operands)`` too, the
short cut of elementwise operations (csrc/bind/quick.h), which may always decline. The array decides between
CPU and GPU; between the two CPU engines the native one is taken when it was built, unless
``EINKORN_ENGINE`` or :func:`set_engine` says otherwise.
Nothing falls back silently: what an engine lacks raises :class:`einkorn.errors.EngineError`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DeviceError, EngineError

__all__ = [
    "ACTIVATIONS",
    "activation_code",
    "available",
    "cpu",
    "get_engine",
    "makes_gate_inputs",
    "of",
    "set_engine",
    "takes_bfloat16",
]

_MODULES = {"native": "einkorn.engines.native", "numba": "einkorn.engines.numba"}

#: Activations that matmul and convolution kernels apply before they store: those whose derivative
#: follows from their output. The codes are those of ``csrc/kernels/activation.h``.
ACTIVATIONS: dict[str | None, int] = {
    None: 0,
    "relu": 1,
    "leaky_relu": 2,
    "sigmoid": 3,
    "tanh": 4,
}

_cpu: ModuleType | None = None
_cpu_name = ""


def activation_code(name: str | None, op: str) -> int:
    """Return the kernels' code of a fused activation; unknown names are refused by name."""
    try:
        return ACTIVATIONS[name]
    except (KeyError, TypeError):
        known = ", ".join(repr(key) for key in ACTIVATIONS)
        raise ArgumentError(f"{op}: activation is {name!r}, expected one of {known}") from None


def available() -> tuple[str, ...]:
    """CPU engines that can run here, the preferred one first."""
    found = []
    if importlib.util.find_spec("einkorn._native") is not None:
        found.append("native")
    if importlib.util.find_spec("numba") is not None:
        found.append("numba")
    return tuple(found)


def get_engine() -> str:
    """Name of the engine that runs NumPy arrays: ``"native"`` or ``"numba"``."""
    cpu()
    return _cpu_name


def set_engine(name: str) -> None:
    """Choose the engine for NumPy arrays.

    Parameters
    ----------
    name : {"native", "numba"}

    Raises
    ------
    ArgumentError
        For another name.
    EngineError
        When that engine was not built or is not installed.
    """
    global _cpu, _cpu_name
    if name not in _MODULES:
        raise ArgumentError(f"set_engine: engine is {name!r}, expected 'native' or 'numba'")
    if name not in available():
        remedy = (
            "reinstall einkorn with a C++ compiler present"
            if name == "native"
            else "install it with: pip install 'einkorn[numba]'"
        )
        raise EngineError(f"set_engine: the {name} engine is not available; {remedy}")
    threads = _cpu.get_num_threads() if _cpu is not None else None
    _cpu = importlib.import_module(_MODULES[name])
    _cpu_name = name
    if threads is not None:
        _cpu.set_num_threads(threads)


def cpu() -> Any:
    """Return the engine module that runs NumPy arrays."""
    if _cpu is None:
        wanted = os.environ.get("EINKORN_ENGINE")
        found = available()
        if wanted:
            set_engine(wanted)
        elif found:
            set_engine(found[0])
        else:
            raise EngineError(
                "einkorn was installed without its native engine (no C++ compiler was found then) and"
                " numba is not installed; run: pip install 'einkorn[numba]'"
            )
    return _cpu


def takes_bfloat16(array: Any = None) -> frozenset[str]:
    """The kernels that take bfloat16 as it is, of the engine of an array; by default of the CPU's."""
    return getattr(cpu() if array is None else of(array), "takes_bfloat16", frozenset)()


def makes_gate_inputs(engine: Any) -> bool:
    """Whether recurrent kernels make what x gives to the gates; elsewhere a product makes it before."""
    return type(engine) is ModuleType and engine.__name__ in _MODULES.values()


def of(array: Any) -> Any:
    """Return the engine module that runs ``array``'s device."""
    if isinstance(array, np.ndarray):
        return _cpu if _cpu is not None else cpu()
    if type(array).__module__.partition(".")[0] == "cupy":
        engine = importlib.import_module("einkorn.engines.cuda")
        number = engine.current()
        return engine if number is None or array.device.id == number else engine.on(array.device.id)
    raise DeviceError(f"no engine runs arrays of type {type(array).__name__}")
