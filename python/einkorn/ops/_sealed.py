"""Containers that kernels trust: checked when they are made, and not to be changed afterwards.

A kernel does not look at every index again. What it is handed was checked once, so the check must go on
holding: the arrays are read-only, nobody else can write to their memory, attributes cannot be assigned, and
a copy or an unpickled object is made by the constructor, which checks.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from einkorn._masked import refuse_masked

__all__ = ["Sealed", "own", "sealed"]


def own(*arrays: np.ndarray) -> None:
    """Make arrays that were just made, and are known to nobody else, read-only down to their memory."""
    for array in arrays:
        part: Any = array
        while isinstance(part, np.ndarray):
            part.flags.writeable = False
            part = part.base


def sealed(array: np.ndarray) -> np.ndarray:
    """A read-only, contiguous, aligned array that nobody else can write to: itself where it is, or a copy."""
    refuse_masked(array, "an array of a container")
    part: Any = array
    while isinstance(part, np.ndarray) and not part.flags.writeable:
        part = part.base
    # The library's own memory hangs on a block of its allocator; other owners, a bytearray say, may write.
    is_private = part is None or type(part).__module__ == "einkorn._native"
    flags = array.flags
    if not (is_private and type(array) is np.ndarray and flags.c_contiguous and flags.aligned):
        array = np.array(array, order="C", subok=False)
        array.flags.writeable = False
    return array


class Sealed:
    """A base of classes whose attributes are set once, by ``_seal`` in the constructor."""

    __slots__ = ()

    def _seal(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be assigned: make a new object")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be deleted")
