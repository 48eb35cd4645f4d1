"""Data and comparisons that the tests of gradient boosting share."""

from __future__ import annotations

import numpy as np

from einkorn.boosting import GradientBoostingClassifier, GradientBoostingRegressor

Model = GradientBoostingClassifier | GradientBoostingRegressor
REGRESSION = ("squared_error", "absolute_error", "huber", "quantile", "poisson")


def numbers(n: int = 600, features: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features)).astype(np.float32)
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=n)
    return X, y


def classes(k: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    X, y = numbers(n)
    return X, np.searchsorted(np.quantile(y, np.arange(1, k) / k), y)


def same(a: Model, b: Model) -> bool:
    """Whether two models are the same, bit for bit."""
    return all(
        getattr(a.trees_, name).tobytes() == getattr(b.trees_, name).tobytes()
        for name in ("offsets", "feature", "threshold", "left", "value", "gain", "cover", "count", "base")
    )
