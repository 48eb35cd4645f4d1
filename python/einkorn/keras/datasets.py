"""Data sets as ``keras.datasets`` gives them, from files on this machine: nothing is downloaded.

``datasets.mnist.load_data()``; the folder is looked for as by ``einkorn.data.load_mnist``.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from einkorn import data

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist"]

Split = tuple[np.ndarray, np.ndarray]


class _Set:
    """One data set: images of bytes with channels last, or without an axis for a single one."""

    def __init__(self, load: Callable[..., Any], gray: bool) -> None:
        self._load = load
        self._gray = gray

    def load_data(self, path: str | PathLike[str] | None = None) -> tuple[Split, Split]:
        """(x_train, y_train), (x_test, y_test) as uint8.

        Parameters
        ----------
        path : str or path, optional
            The folder with the files.

        Returns
        -------
        pair of pairs
            x [n, height, width] and y [n] of gray images, x [n, height, width, 3] and y [n, 1] of others.

        Raises
        ------
        DataError
            Files are missing or damaged.
        """
        train, test = self._load(path)
        return self._as_bytes(train), self._as_bytes(test)

    def _as_bytes(self, split: Split) -> Split:
        images = np.rint(split[0] * 255).astype(np.uint8)
        labels = split[1].astype(np.uint8)
        if self._gray:
            return images[:, 0], labels
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels[:, None]


mnist = _Set(data.load_mnist, True)
fashion_mnist = _Set(data.load_fashion_mnist, True)
cifar10 = _Set(data.load_cifar10, False)
cifar100 = _Set(data.load_cifar100, False)
