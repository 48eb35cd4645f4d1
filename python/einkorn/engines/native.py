"""The native engine: C++ kernels compiled once per instruction set (``csrc/kernels``)."""

from einkorn import _native
from einkorn._native import *  # noqa: F403
from einkorn._native import _quick as quick  # noqa: F401
from einkorn.errors import ArgumentError

_taken: dict[str, frozenset[str]] = {}


def takes_bfloat16() -> frozenset[str]:
    """Kernels of the active instruction set that take arrays of bfloat16 as they are, as uint16."""
    isa = _native.get_isa()
    if isa not in _taken:
        _taken[isa] = frozenset(name for name, types in _native.kernels().items() if "bfloat16" in types)
    return _taken[isa]


# Bad values of EINKORN_NUM_THREADS and EINKORN_ISA are refused here, not by whichever kernel comes first.
try:
    _native.get_num_threads()
    _native.get_isa()
except ValueError as _error:
    raise ArgumentError(str(_error)) from None
