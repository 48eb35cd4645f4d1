"""Whatever holds numbers, as a NumPy array; what only looks like an array is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError

__all__ = ["as_array", "is_map_dataset"]

# What NumPy converts without walking through an object by number, which need never end.
_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__")


def as_array(value: Any, name: str) -> np.ndarray:
    """The array behind an array, Tensor, list, number, data frame or torch CPU tensor; not a copy.

    Parameters
    ----------
    value : object
    name : str
        Begins the message of an error, such as "fit: x".

    Raises
    ------
    ArgumentError
        The value is no such thing, or a masked array with masked entries.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.count_nonzero(np.ma.getmaskarray(value)))
        if masked:
            raise ArgumentError(
                f"{name} is a masked array with {masked} masked values, which would be used as if they were "
                "not masked: fill them in, or leave their rows out"
            )
        return np.asarray(value)
    if isinstance(value, (list, tuple, int, float, complex, str, bytes, np.generic, range)) or any(
        hasattr(value, protocol) for protocol in _PROTOCOLS
    ):
        if hasattr(value, "detach"):  # torch: what requires a gradient refuses __array__
            value = value.detach()
        try:
            return np.asarray(value)
        except ValueError as error:
            raise ArgumentError(f"{name} is no array: {error}") from error
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError):
        hint = ": call its toarray()" if hasattr(value, "toarray") else ""
        raise ArgumentError(f"{name} is {type(value).__name__}, expected an array{hint}") from None


def is_map_dataset(value: Any) -> bool:
    """Whether rows are to be had by number: ``len()`` and ``[]``, but no array, sequence or mapping."""
    return (
        hasattr(value, "__len__")
        and hasattr(value, "__getitem__")
        and not isinstance(
            value, (np.ndarray, Tensor, list, tuple, str, bytes, dict, memoryview, bytearray, range)
        )
        and not any(hasattr(value, name) for name in (*_PROTOCOLS, "keys", "toarray"))
    )
