"""MNIST, its relatives, and their file format, idx."""

from __future__ import annotations

import math
import struct
from os import PathLike
from pathlib import Path

import numpy as np

from einkorn.data.folders import files_of, find_folder, read_bytes
from einkorn.data.images import Split, scaled
from einkorn.errors import ArgumentError, DataError

__all__ = ["FASHION_MNIST_CLASSES", "load_emnist", "load_fashion_mnist", "load_mnist", "read_idx"]

#: What the labels 0 to 9 of Fashion-MNIST mean.
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_EMNIST = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}

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
    return _load("mnist", folder, ("train", "t10k"), 10)


def load_fashion_mnist(folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """Fashion-MNIST: 60,000 training and 10,000 test images of ten kinds of clothes (Xiao et al. 2017).

    Parameters
    ----------
    folder : str or path, optional
        Holds four files named like those of MNIST. Default: ``$EINKORN_DATA/fashion_mnist``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 1, 28, 28] from 0 to 1, y int64 [n]: :data:`FASHION_MNIST_CLASSES`.

    Raises
    ------
    DataError
        As :func:`load_mnist`.
    """
    return _load("fashion_mnist", folder, ("train", "t10k"), 10)


def load_emnist(split: str = "balanced", folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """EMNIST: handwritten letters and digits (Cohen et al. 2017).

    The files hold the images on their sides; here they stand upright, as those of MNIST.

    Parameters
    ----------
    split : str, default "balanced"
        "byclass" (62 classes), "bymerge" (47), "balanced" (47), "letters" (26), "digits" (10) or "mnist"
        (10).
    folder : str or path, optional
        Holds four files named like ``emnist-letters-train-images-idx3-ubyte``, packed or not. Default:
        ``$EINKORN_DATA/emnist``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 1, 28, 28] from 0 to 1, y int64 [n] from 0; of the letters, which the files number from
        1, too.

    Raises
    ------
    ArgumentError
        There is no such split.
    DataError
        As :func:`load_mnist`.
    """
    if split not in _EMNIST:
        raise ArgumentError(f"load_emnist: split is {split!r}, expected one of {', '.join(_EMNIST)}")
    parts = (f"emnist-{split}-train", f"emnist-{split}-test")
    first = int(split == "letters")
    splits = _load("emnist", folder, parts, _EMNIST[split], first)
    return tuple((np.ascontiguousarray(x.swapaxes(2, 3)), y) for x, y in splits)  # type: ignore[return-value]


def _load(
    name: str, folder: str | PathLike[str] | None, parts: tuple[str, str], classes: int, first: int = 0
) -> tuple[Split, Split]:
    """The images and labels of a set in idx files, whose labels begin with ``first``."""
    stems = [f"{part}-{kind}-ubyte" for part in parts for kind in ("images-idx3", "labels-idx1")]
    wanted = f"{', '.join(stems)} (each may end in .gz, and have a dot before idx)"
    place = find_folder(name, wanted, tuple(map(_pattern, stems)), folder)
    splits = []
    for images_stem, labels_stem in (stems[:2], stems[2:]):
        images, labels = (_read(place, stem) for stem in (images_stem, labels_stem))
        if images.ndim != 3 or images.dtype != np.uint8:
            raise DataError(f"{place}/{images_stem}: holds no images of bytes")
        good = labels.shape == images.shape[:1] and labels.dtype.kind == "u"
        if not good or (labels.size and not first <= labels.min() <= labels.max() < first + classes):
            what = "digit" if name == "mnist" else f"class from {first} to {first + classes - 1}"
            raise DataError(f"{place}/{labels_stem}: holds no {what} for each of the images")
        splits.append((scaled(images[:, None]), labels.astype(np.int64) - first))
    return splits[0], splits[1]


def _read(place: Path, stem: str) -> np.ndarray:
    return read_idx(files_of(place, _pattern(stem))[0])


def _pattern(stem: str) -> str:
    """What matches ``train-images-idx3-ubyte``, ``train-images.idx3-ubyte``, and both with an ending."""
    return stem.replace("-idx", "[-.]idx") + "*"
