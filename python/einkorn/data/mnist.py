"""MNIST and its file format, idx."""

from __future__ import annotations

import math
import struct
from os import PathLike
from pathlib import Path

import numpy as np

from einkorn.data.folders import files_of, find_folder, read_bytes
from einkorn.data.images import Split, scaled
from einkorn.errors import DataError

__all__ = ["load_mnist", "read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | PathLike[str]) -> np.ndarray:
    """Read an array from an idx file, packed (gzip, xz, bzip2) or not, whatever its name says.

    The format: two zero bytes, a byte for the type, a byte for the number of axes, the sizes as
    big-endian 32-bit integers, the numbers in row-major order (big-endian).

    Raises
    ------
    DataError
        The file is missing, is no idx file, or its length is not what its sizes say.
    """
    content = read_bytes(path)
    if len(content) < 4 or content[0] or content[1] or content[2] not in _TYPES:
        raise DataError(f"{path}: starts with {content[:4].hex()!r}, which is no idx magic number")
    dtype, ndim = np.dtype(_TYPES[content[2]]), content[3]
    begin = 4 + 4 * ndim
    if len(content) < begin:
        raise DataError(f"{path}: ends within the sizes of its {ndim} axes")
    shape = struct.unpack(f">{ndim}I", content[4:begin])
    expected = begin + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(f"{path}: has {len(content)} bytes, expected {expected} for shape {shape} of {dtype}")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape).astype(dtype.newbyteorder("="))


def load_mnist(folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """MNIST: 60,000 training and 10,000 test images of handwritten digits (LeCun et al. 1998).

    Parameters
    ----------
    folder : str or path, optional
        Holds the four idx files, packed or not, named like ``train-images-idx3-ubyte`` or, as some archives
        have them, ``train-images.idx3-ubyte``. Default: ``$EINKORN_DATA/mnist``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 1, 28, 28] from 0 to 1, y int64 [n] from 0 to 9.

    Raises
    ------
    DataError
        Files are missing (the message says which and where it looked) or are not MNIST.
    """
    stems = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    wanted = f"{', '.join(stems)} (each may end in .gz, and have a dot before idx)"
    place = find_folder("mnist", wanted, tuple(map(_pattern, stems)), folder)
    splits = []
    for images_stem, labels_stem in (stems[:2], stems[2:]):
        images, labels = (_read(place, stem) for stem in (images_stem, labels_stem))
        if images.ndim != 3 or images.dtype != np.uint8:
            raise DataError(f"{place}/{images_stem}: holds no images of bytes")
        if labels.shape != images.shape[:1] or (labels.size and labels.max() > 9):
            raise DataError(f"{place}/{labels_stem}: holds no digit for each of the images")
        splits.append((scaled(images[:, None]), labels.astype(np.int64)))
    return splits[0], splits[1]


def _read(place: Path, stem: str) -> np.ndarray:
    return read_idx(files_of(place, _pattern(stem))[0])


def _pattern(stem: str) -> str:
    """What matches ``train-images-idx3-ubyte``, ``train-images.idx3-ubyte``, and both with an ending."""
    return stem.replace("-idx", "[-.]idx") + "*"
