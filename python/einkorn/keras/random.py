"""Random arrays by shape; ``keras.utils.set_random_seed`` makes them repeatable.

A ``seed`` of a call's own is an integer, which gives the same array each time, or a ``SeedGenerator``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]


class SeedGenerator:
    """Draws another array each time it is given as a seed.

    Parameters
    ----------
    seed : int, optional
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **_: Any) -> None:
        self.generator = np.random.default_rng(_fresh() if seed is None else seed)

    def next(self) -> int:
        """A number to seed with."""
        return int(self.generator.integers(0, 2**31))


def _fresh() -> int:
    from einkorn import ops

    return int(float(np.asarray(ops.uniform((1,)))[0]) * 2**24)


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, SeedGenerator):
        return seed.generator
    return np.random.default_rng(_fresh() if seed is None else seed)


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Normal numbers."""
    return Tensor(_generator(seed).normal(mean, stddev, tuple(shape)).astype(dtype or "float32"))


def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers from ``minval`` to below ``maxval``."""
    return Tensor(_generator(seed).uniform(minval, maxval, tuple(shape)).astype(dtype or "float32"))


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Normal numbers, drawn anew where they lie beyond two deviations."""
    generator = _generator(seed)
    values = generator.normal(size=tuple(shape))
    while (far := abs(values) > 2).any():
        values[far] = generator.normal(size=int(far.sum()))
    return Tensor((mean + stddev * values).astype(dtype or "float32"))


def randint(shape: Any, minval: int, maxval: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Integers from ``minval`` to below ``maxval``."""
    return Tensor(_generator(seed).integers(minval, maxval, tuple(shape)).astype(dtype))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """x in another order along an axis."""
    return Tensor(_generator(seed).permutation(np.asarray(getattr(x, "data", x)), axis))


def categorical(logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Tensor:
    """Class numbers, drawn for each row of scores."""
    scores = np.asarray(getattr(logits, "data", logits), np.float64)
    if scores.ndim != 2:
        raise ArgumentError(f"categorical: logits has shape {scores.shape}, expected [rows, classes]")
    noise = _generator(seed).gumbel(size=(num_samples, *scores.shape))
    return Tensor((scores + noise).argmax(-1).T.astype(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Zeroes elements with a probability, and scales the others."""
    from einkorn.keras.layers import Dropout

    return Dropout(rate, noise_shape)(inputs, training=True)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of the beta distribution."""
    values = _generator(seed).beta(_plain(alpha), _plain(beta), tuple(shape))
    return Tensor(np.asarray(values).astype(dtype or "float32"))


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of the gamma distribution of this shape, and of scale 1."""
    return Tensor(
        np.asarray(_generator(seed).gamma(_plain(alpha), size=tuple(shape))).astype(dtype or "float32")
    )


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """How often something of these probabilities happens in so many trials."""
    drawn = _generator(seed).binomial(_plain(counts).astype(np.int64), _plain(probabilities), tuple(shape))
    return Tensor(np.asarray(drawn).astype(dtype or "float32"))


def _plain(value: Any) -> np.ndarray:
    return as_numpy(value)
