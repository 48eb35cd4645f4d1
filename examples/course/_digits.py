"""Handwritten digits: MNIST from ``EINKORN_DATA``, or those that scikit-learn brings along."""

import numpy as np

from einkorn import data
from einkorn.errors import DataError

Split = tuple[np.ndarray, np.ndarray]


def digits(rows: int) -> tuple[Split, Split]:
    """So many training and a sixth as many test images of [28, 28, 1], from 0 to 1, and their classes."""
    try:
        (x, y), (x_test, y_test) = data.load_mnist()
    except DataError:
        (x, y), (x_test, y_test) = data.load_digits()
        x, x_test = (
            np.pad(np.kron(part, np.ones((1, 1, 3, 3), np.float32)), ((0, 0), (0, 0), (2, 2), (2, 2)))
            for part in (x, x_test)
        )
    order = np.random.default_rng(0).permutation(len(x))[:rows]
    few = slice(None, rows // 6)
    return (
        (x[order].transpose(0, 2, 3, 1).astype(np.float32), y[order]),
        (x_test[few].transpose(0, 2, 3, 1).astype(np.float32), y_test[few]),
    )
