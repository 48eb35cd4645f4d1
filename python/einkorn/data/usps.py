"""USPS: digits from envelopes, in the text files of *The Elements of Statistical Learning*."""

from __future__ import annotations

from os import PathLike

import numpy as np

from einkorn.data.folders import files_of, find_folder, read_bytes
from einkorn.data.images import Split
from einkorn.errors import DataError

__all__ = ["load_usps", "read_usps"]


def read_usps(path: str | PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a file such as zip.train: on each line a digit and 256 numbers from -1 to 1; packed or not.

    Returns
    -------
    images : float32 [n, 1, 16, 16]
        From 0 to 1.
    labels : int64 [n]

    Raises
    ------
    DataError
        The file is missing, or a line, which is named, is something else.
    """
    lines = read_bytes(path).decode("ascii", "replace").splitlines()
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{path}: is empty")
    for number, fields in rows:
        if len(fields) != 257:
            raise DataError(
                f"{path}: line {number} has {len(fields)} fields, expected a digit and 256 numbers"
            )
    try:
        table = np.array([fields for _, fields in rows], np.float32)
    except ValueError as error:
        raise DataError(f"{path}: holds something else than numbers: {error}") from error
    labels, pixels = table[:, 0], table[:, 1:]
    bad = ~(np.isin(labels, np.arange(10)) & (abs(pixels) <= 1).all(1))
    if bad.any():
        raise DataError(f"{path}: line {rows[int(bad.argmax())][0]} is no digit with pixels from -1 to 1")
    return ((pixels + 1) / 2).reshape(-1, 1, 16, 16), labels.astype(np.int64)


def load_usps(folder: str | PathLike[str] | None = None) -> tuple[Split, Split]:
    """USPS: 7,291 training and 2,007 test images of digits from envelopes (Hull 1994).

    Parameters
    ----------
    folder : str or path, optional
        Holds zip.train and zip.test, each packed or not. Default: ``$EINKORN_DATA/usps``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 1, 16, 16] from 0 to 1, y int64 [n] from 0 to 9.

    Raises
    ------
    DataError
        Files are missing (the message says where it looked) or are something else.
    """
    patterns = ("zip.train*", "zip.test*")
    place = find_folder("usps", "zip.train and zip.test (each may end in .gz)", patterns, folder)
    train, test = (read_usps(files_of(place, pattern)[0]) for pattern in patterns)
    return train, test
