"""The Numba engine: every kernel as compiled Python loops, for where nothing else was compiled.

The names and argument names are those of `einkorn._native`; csrc/kernels holds the contracts. One
file for each family says its idea; _compile.py says how loops are compiled, _threads.py how they
share the cores, _views.py how strides are dealt with.

The first call of a kernel compiles it for the dtype at hand, which takes some tenths of a second.
Compiled loops are kept in __pycache__, or where that is not writable in the user's cache directory
or the one that NUMBA_CACHE_DIR names.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

import numpy as np

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    from ...errors import EngineError

    raise EngineError(
        f"the numba engine needs the package numba, which cannot be imported ({error}); "
        "install it with: pip install 'einkorn[numba]'"
    ) from error

from ._compile import Array
from ._kernels import KERNELS
from ._threads import get_num_threads, set_num_threads

# The families beside this file add their kernels to the list, which are then reached as attributes of this
# module. Where a family and a kernel share a name, it is the kernel's.
for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
globals().update(KERNELS)

__all__ = ["empty", "get_num_threads", "kernels", "set_num_threads", *KERNELS]


def empty(shape: int | tuple[int, ...], dtype: Any) -> Array:
    """A new array with undefined contents."""
    return np.empty(shape, dtype)


def quick(kernel: str, *operands: Any) -> None:
    """No short cut of elementwise operations here (csrc/bind/quick.h): each goes the long way."""


def kernels() -> Iterable[str]:
    """Names of the kernels that this engine has."""
    return KERNELS.keys()
