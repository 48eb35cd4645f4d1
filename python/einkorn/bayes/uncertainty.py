"""How sure several predictions are, each alone and together. Entropies are in nats."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.data.arrays import as_numbers
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["expected_entropy", "mean_probability", "mutual_information", "predictive_entropy"]


def _samples(samples: Any, op: str) -> np.ndarray:
    found = as_numbers(samples, f"{op}: samples").astype(np.float64)
    if found.ndim != 3 or not len(found):
        raise ShapeError(f"{op}: samples has shape {found.shape}, expected [samples, rows, classes]")
    if found.size and not ((found >= 0) & (found <= 1 + 1e-5)).all():
        raise ArgumentError(
            f"{op}: samples holds {found.min():g} to {found.max():g}, expected probabilities from 0 to 1"
        )
    if found.shape[2] == 1:  # of the second of two classes
        return np.concatenate([1 - found, found], axis=2)
    off = abs(found.sum(axis=2) - 1) > 1e-3
    if off.any():
        raise ArgumentError(
            f"{op}: samples adds up to {found.sum(axis=2)[off][0]:g} over the classes of a row, expected "
            "probabilities, which add up to 1"
        )
    return found


def _entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log(np.maximum(p, np.finfo(np.float64).tiny)), axis=-1) + 0.0


def mean_probability(samples: Any) -> np.ndarray:
    """The mean of the samples: what they predict together.

    Parameters
    ----------
    samples : array [samples, rows, classes]
        Probabilities; with one class, of the second of two.

    Returns
    -------
    float64 array [rows, classes]
    """
    return np.asarray(_samples(samples, "mean_probability").mean(axis=0))


def predictive_entropy(samples: Any) -> np.ndarray:
    """The entropy of the mean: all that is uncertain, in the data and in the model.

    Parameters as :func:`mean_probability`; float64 [rows], from 0 to ln(classes).
    """
    return _entropy(_samples(samples, "predictive_entropy").mean(axis=0))


def expected_entropy(samples: Any) -> np.ndarray:
    """The mean of the entropies: what is uncertain in the data, however well the model were known.

    Parameters as :func:`mean_probability`; float64 [rows].
    """
    return np.asarray(_entropy(_samples(samples, "expected_entropy")).mean(axis=0))


def mutual_information(samples: Any) -> np.ndarray:
    """Predictive entropy less expected entropy: what is uncertain because the model is (Houlsby et al. 2011).

    It is large where the samples are each sure of something else, as they are far from the training data.

    Parameters as :func:`mean_probability`; float64 [rows], not below 0.
    """
    found = _samples(samples, "mutual_information")
    return np.maximum(_entropy(found.mean(axis=0)) - _entropy(found).mean(axis=0), 0.0)
