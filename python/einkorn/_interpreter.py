"""Which interpreter imports this: only the process's first one can.

NumPy and the engines have state that belongs to the process, and locks that they take from the first
interpreter: imported from another one they hang.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require_main"]


def _number(interpreter: Any) -> int:
    """Number of an interpreter, which Python 3.13 returns along with where it is from."""
    return int(interpreter[0] if isinstance(interpreter, tuple) else interpreter)


def require_main() -> None:
    """Raise ImportError in a sub-interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # the second before Python 3.13
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        if _number(interpreters.get_current()) != _number(interpreters.get_main()):
            raise ImportError(
                "einkorn cannot be imported in a sub-interpreter: NumPy and the kernels belong to the"
                " process's main interpreter; use processes (multiprocessing) or threads instead"
            )
        return
