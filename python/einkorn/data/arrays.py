"""Whatever holds numbers, as an array; what only looks like one is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._device import cupy_module, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError

__all__ = ["as_array", "as_numbers", "as_rows", "columns_without_numbers", "is_map_dataset"]

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
        value = value._data
    if is_on_gpu(value):
        return value.get()
    if type(value) is np.ndarray:
        return value
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
            array = np.asarray(value)
            return _of_frame(value, array) if array.dtype == object and hasattr(value, "to_numpy") else array
        except ValueError as error:
            raise ArgumentError(f"{name} is no array: {error}") from error
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError):
        hint = ": call its toarray()" if hasattr(value, "toarray") else ""
        raise ArgumentError(f"{name} is {type(value).__name__}, expected an array{hint}") from None


def as_rows(value: Any, name: str) -> Any:
    """As :func:`as_array`, but an array of a GPU stays there: batches are gathered where their rows are."""
    if type(value) is np.ndarray:
        return value
    array = value._data if isinstance(value, Tensor) else value
    if is_on_gpu(array):
        return array
    if type(array).__module__.partition(".")[0] == "torch" and str(array.device).startswith("cuda"):
        return cupy_module(f"{name} is a torch tensor on {array.device}, which").from_dlpack(array.detach())
    return as_array(array, name)


def as_numbers(value: Any, name: str) -> np.ndarray:
    """As :func:`as_array`, of real numbers: texts, dates and complex numbers are refused by name."""
    array = as_array(value, name)
    if array.dtype.kind == "O":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(f"{name} holds objects, expected numbers") from None
    if array.dtype.kind in "USMmc":
        raise ArgumentError(f"{name} has the type {array.dtype}, expected real numbers")
    return array


def _types(frame: Any) -> list[tuple[str, Any]]:
    """The columns of a data frame, or a series, and their types."""
    if hasattr(frame, "columns"):
        return [(str(name), kind) for name, kind in frame.dtypes.items()]
    return [(str(getattr(frame, "name", None)), getattr(frame, "dtype", None))]


def columns_without_numbers(frame: Any) -> list[str]:
    """The columns of a data frame that hold texts, objects or times; none of what is no frame."""
    if not hasattr(frame, "to_numpy"):
        return []
    return [f"{name} ({kind})" for name, kind in _types(frame) if getattr(kind, "kind", "O") not in "fiub"]


def _of_frame(frame: Any, array: np.ndarray) -> np.ndarray:
    """A frame of numbers of several types, or of types that may lack values, which become NaN."""
    if columns_without_numbers(frame):
        return array
    kinds = [np.dtype(getattr(kind, "numpy_dtype", kind)) for _, kind in _types(frame)]
    common = np.result_type(*kinds) if kinds else np.dtype(np.float64)
    if bool(np.asarray(frame.isna()).any()):
        common = np.result_type(common, np.float32)
        return np.asarray(frame.to_numpy(dtype=common, na_value=np.nan))
    return np.asarray(frame.to_numpy(dtype=common))


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
