"""The arrays of ONNX files: weights by their names. The graph itself is not read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.errors import CheckpointError

__all__ = ["read_onnx_arrays"]

# Numbers of the fields that are read, in the messages of onnx.proto.
_GRAPH = 7  # of a model
_INITIALIZER = 5  # of a graph
_DIMS, _TYPE, _FLOATS, _NAME, _RAW, _LOCATION = 1, 2, 4, 8, 9, 14  # of a tensor
_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}


def read_onnx_arrays(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The initial values of an ONNX file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to array
        float32, float64, float16, int32 or int64; arrays of other types are left out.

    Raises
    ------
    CheckpointError
        The file cannot be read, is cut short, or keeps its arrays in another file.
    """
    try:
        data = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    found: dict[str, np.ndarray] = {}
    try:
        graphs = [value for field, value in _fields(data) if field == _GRAPH]
        for graph in graphs:
            for field, value in _fields(graph):
                if field == _INITIALIZER:
                    name, array = _tensor(value)
                    if array is not None:
                        found[name] = array
    except (ValueError, IndexError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: is no readable ONNX file: {error}") from error
    if not graphs:
        raise CheckpointError(f"{path}: is no ONNX file: it has no graph")
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message's fields (protocol buffers, version 3)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value: Any
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, at = _varint(data, at)
            if size is None or at + size > len(data):
                raise ValueError("a field ends beyond the file" if size is not None else f"wire type {kind}")
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def _tensor(data: memoryview) -> tuple[str, np.ndarray | None]:
    dims: list[int] = []
    kind, name, raw = 0, "", None
    floats: list[bytes] = []
    for field, value in _fields(data):
        if field == _DIMS:
            if isinstance(value, int):
                dims.append(value)
            else:  # packed
                at = 0
                while at < len(value):
                    size, at = _varint(value, at)
                    dims.append(size)
        elif field == _TYPE:
            kind = value
        elif field == _FLOATS:
            floats.append(bytes(value))
        elif field == _NAME:
            name = bytes(value).decode()
        elif field == _RAW:
            raw = value
        elif field == _LOCATION and value:
            raise ValueError(f"{name or 'an array'} lies in another file")
    if kind not in _TYPES or (raw is None and kind != 1):
        return name, None
    array = np.frombuffer(b"".join(floats) if raw is None else raw, _TYPES[kind])
    if array.size != int(np.prod(dims, dtype=np.float64)):
        raise ValueError(f"{name} has {array.size} numbers for shape {tuple(dims)}")
    return name, array.reshape(dims).astype(np.dtype(_TYPES[kind]).newbyteorder("="))
