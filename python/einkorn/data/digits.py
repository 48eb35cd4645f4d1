"""scikit-learn's digits."""

from __future__ import annotations

import numpy as np

from einkorn import engines
from einkorn._extras import need
from einkorn.data.images import Split
from einkorn.errors import ArgumentError

__all__ = ["load_digits"]


def load_digits(test_size: float = 0.2, seed: int = 0) -> tuple[Split, Split]:
    """1,797 handwritten digits of 8x8 pixels, which scikit-learn brings along.

    Parameters
    ----------
    test_size : float, default 0.2
        Share of each digit's images that goes into the test set (a stratified split).
    seed : int, default 0
        Of the split, which does not touch einkorn's generator.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x float32 [n, 1, 8, 8] from 0 to 1, y int64 [n] from 0 to 9.

    Raises
    ------
    MissingPackageError
        scikit-learn is not installed.
    """
    if not 0 < test_size < 1:
        raise ArgumentError(f"load_digits: test_size is {test_size!r}, expected between 0 and 1")
    pixels, labels = need("sklearn.datasets", "load_digits", "train").load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    order = np.empty(len(labels), np.int64)
    engines.of(order).permutation(order, seed, 0)
    # in the random order, the first rows of each digit are its test images
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        rows = order[labels[order] == digit]
        test[rows[: round(test_size * len(rows))]] = True
    train_rows, test_rows = order[~test[order]], order[test[order]]
    return (images[train_rows], labels[train_rows]), (images[test_rows], labels[test_rows])
