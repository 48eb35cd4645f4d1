"""CIFAR-10 and CIFAR-100 in their binary forms."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path

import numpy as np

from einkorn.data.folders import files_of, find_folder, read_bytes
from einkorn.data.images import Split, scaled
from einkorn.errors import DataError

__all__ = ["CIFAR10_CLASSES", "load_cifar10", "load_cifar100", "read_cifar10", "read_cifar100"]

#: What the labels 0 to 9 mean.
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_RECORD = 1 + 3 * 32 * 32  # label, then the red, green and blue planes


def read_cifar10(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR-10 records, packed (gzip, xz, bzip2) or not, whatever its name says.

    Returns
    -------
    images : uint8 [n, 3, 32, 32]
    labels : int64 [n]

    Raises
    ------
    DataError
        The file is missing, is no whole number of records, or has a label above 9.
    """
    content = read_bytes(path)
    if not content or len(content) % _RECORD:
        raise DataError(f"{path}: has {len(content)} bytes, expected records of {_RECORD} bytes each")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        row = int(labels.argmax())
        raise DataError(f"{path}: record {row} has label {labels[row]}, expected 0 to 9")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), labels


def load_cifar10(folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """CIFAR-10: color images of ten classes of things (Krizhevsky 2009).

    Parameters
    ----------
    folder : str or path, optional
        Holds data_batch_*.bin and test_batch*.bin, each packed or not; as many
        as there are, with a warning where it is not all 50,000 and 10,000 images.
        Default: ``$EINKORN_DATA/cifar10``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 3, 32, 32] from 0 to 1, y int64 [n] from 0 to 9.

    Raises
    ------
    DataError
        Files are missing (the message says where it looked) or are no CIFAR-10 records.
    """
    wanted = "data_batch_*.bin and test_batch*.bin (each may end in .xz or .gz)"
    patterns = ("data_batch_*.bin*", "test_batch*.bin*")
    place = find_folder("cifar10", wanted, patterns, folder)
    train, test = (_read_all(place, pattern) for pattern in patterns)
    found = len(train[1]), len(test[1])
    if found != (50_000, 10_000):
        warnings.warn(
            f"load_cifar10: {place} holds {found[0]:,} of 50,000 training and {found[1]:,} of 10,000 test"
            " images",
            stacklevel=2,
        )
    return train, test


def _read_all(place: Path, pattern: str) -> Split:
    """All files of a pattern in order; of a file both packed and unpacked, one."""
    files = {path.name.split(".bin")[0]: path for path in reversed(files_of(place, pattern))}
    parts = [read_cifar10(files[stem]) for stem in sorted(files)]
    images = np.concatenate([images for images, _ in parts])
    return scaled(images), np.concatenate([labels for _, labels in parts])


def read_cifar100(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a file of CIFAR-100 records, packed (gzip, xz, bzip2) or not, whatever its name says.

    Returns
    -------
    images : uint8 [n, 3, 32, 32]
    fine : int64 [n]
        From 0 to 99.
    coarse : int64 [n]
        From 0 to 19.

    Raises
    ------
    DataError
        The file is missing, is no whole number of records, or has a label beyond these.
    """
    content = read_bytes(path)
    size = _RECORD + 1
    if not content or len(content) % size:
        raise DataError(f"{path}: has {len(content)} bytes, expected records of {size} bytes each")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    coarse, fine = (records[:, i].astype(np.int64) for i in (0, 1))
    for labels, most, what in ((coarse, 19, "coarse label"), (fine, 99, "label")):
        if labels.max() > most:
            row = int(labels.argmax())
            raise DataError(f"{path}: record {row} has {what} {labels[row]}, expected 0 to {most}")
    return records[:, 2:].reshape(-1, 3, 32, 32).copy(), fine, coarse


def load_cifar100(folder: str | PathLike[str] | None = None, *, coarse: bool = False) -> tuple[Split, Split]:
    """CIFAR-100: 50,000 training and 10,000 test images of a hundred classes (Krizhevsky 2009).

    Parameters
    ----------
    folder : str or path, optional
        Holds train.bin and test.bin, each packed or not. Default: ``$EINKORN_DATA/cifar100``.
    coarse : bool, keyword-only, default False
        Whether labels are the 20 kinds of classes instead of the 100 classes.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 3, 32, 32] from 0 to 1, y int64 [n].

    Raises
    ------
    DataError
        Files are missing (the message says where it looked) or are no CIFAR-100 records.
    """
    patterns = ("train.bin*", "test.bin*")
    place = find_folder("cifar100", "train.bin and test.bin (each may end in .gz)", patterns, folder)
    splits = []
    for pattern in patterns:
        images, fine, kinds = read_cifar100(files_of(place, pattern)[0])
        splits.append((scaled(images), kinds if coarse else fine))
    return splits[0], splits[1]
