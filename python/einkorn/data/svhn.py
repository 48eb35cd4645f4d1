"""SVHN: house numbers, in files of MATLAB."""

from __future__ import annotations

import io
from os import PathLike

import numpy as np

from einkorn._extras import need
from einkorn.data.folders import files_of, find_folder, read_bytes
from einkorn.data.images import Split, scaled
from einkorn.errors import DataError

__all__ = ["load_svhn", "read_svhn"]


def read_svhn(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a file such as train_32x32.mat.

    Returns
    -------
    images : uint8 [n, 3, 32, 32]
    labels : int64 [n]
        From 0 to 9; the file has 10 for 0.

    Raises
    ------
    DataError
        The file is missing, truncated, no file of MATLAB, or lacks X [32, 32, 3, n] and y [n, 1].
    MissingPackageError
        SciPy is not installed.
    """
    matlab = need("scipy.io", "read_svhn")
    content = read_bytes(path)
    try:
        found = matlab.loadmat(io.BytesIO(content), variable_names=("X", "y"))
    except Exception as error:  # what a damaged file raises is any of many
        raise DataError(f"{path}: is no whole file of MATLAB: {error}") from error
    images, labels = found.get("X"), found.get("y")
    if images is None or labels is None or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        shape = None if images is None else images.shape
        raise DataError(f"{path}: X has shape {shape}, expected (32, 32, 3, n), and there has to be y")
    labels = np.asarray(labels).reshape(-1)
    if images.dtype != np.uint8 or labels.shape != images.shape[3:] or not np.isin(labels, range(11)).all():
        raise DataError(f"{path}: holds no images of bytes with a digit, 1 to 10, for each")
    upright = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    return upright, labels.astype(np.int64) % 10


def load_svhn(folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """SVHN: 73,257 training and 26,032 test images of digits from house numbers (Netzer et al. 2011).

    Parameters
    ----------
    folder : str or path, optional
        Holds train_32x32.mat and test_32x32.mat. Default: ``$EINKORN_DATA/svhn``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 3, 32, 32] from 0 to 1, y int64 [n] from 0 to 9.

    Raises
    ------
    DataError
        Files are missing (the message says where it looked) or are something else.
    MissingPackageError
        SciPy is not installed.
    """
    patterns = ("train_32x32.mat*", "test_32x32.mat*")
    place = find_folder("svhn", "train_32x32.mat and test_32x32.mat", patterns, folder)
    splits = []
    for pattern in patterns:
        images, labels = read_svhn(files_of(place, pattern)[0])
        splits.append((scaled(images), labels))
    return splits[0], splits[1]
