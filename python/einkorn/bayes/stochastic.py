"""Predictions with what is random left on: dropout (Gal and Ghahramani 2016), weights with distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import as_numpy
from einkorn.bayes.layers import _Bayes
from einkorn.errors import ArgumentError
from einkorn.nn.attention import MultiheadAttention
from einkorn.nn.dropout import _Dropout
from einkorn.nn.module import Module
from einkorn.nn.noise import GaussianDropout, StochasticDepth, Zoneout
from einkorn.nn.rnn import RNNBase
from einkorn.training.batches import Types, float_type
from einkorn.training.hints import ends_in
from einkorn.training.modes import evaluating

__all__ = ["batch_outputs", "probabilities", "sample_outputs", "sample_probabilities", "sampling"]

_RANDOM = (_Dropout, GaussianDropout, StochasticDepth, Zoneout, _Bayes)


def _random(module: Any) -> bool:
    if isinstance(module, (RNNBase, MultiheadAttention)):
        return bool(module.dropout)
    return isinstance(module, _RANDOM)


class sampling(evaluating):  # noqa: N801 - reads as a function
    """Within, a model predicts at random: dropout drops, Bayesian layers draw their weights.

    All other layers are in evaluation mode (a batch normalization has its moving statistics), and no
    gradients are recorded. Afterwards every layer is in the mode that it was in.

    Parameters
    ----------
    model : Module

    Raises
    ------
    ArgumentError
        Nothing in the model is random, so all samples would be the same.
    """

    def __init__(self, model: Any) -> None:
        if not isinstance(model, Module):
            raise ArgumentError(f"sampling: model is {type(model).__name__}, expected a Module")
        super().__init__(model)
        self._found = [module for module in model.modules() if _random(module)]
        if not self._found:
            raise ArgumentError("sampling: the model has no dropout and no Bayesian layer: nothing is random")

    def _enter(self) -> tuple[None, Any]:
        entered = super()._enter()
        for module in self._found:
            module.__dict__["training"] = True
        return entered


def sample_outputs(model: Any, x: Any, samples: int = 30, *, batch_size: int = 256) -> np.ndarray:
    """What the model gives, so many times, with what is random left on.

    Parameters
    ----------
    model : Module
        With dropout of any kind, or layers of ``einkorn.bayes``.
    x : array [rows, ...]
    samples : int, default 30
    batch_size : int, keyword-only, default 256

    Returns
    -------
    array [samples, rows, ...]
        Repeatable by ``einkorn.manual_seed``.

    Raises
    ------
    ArgumentError
        Nothing in the model is random.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ArgumentError(f"sample_outputs: samples is {samples!r}, expected an integer of at least 1")
    with sampling(model):
        return np.stack([batch_outputs(model, x, batch_size, "sample_outputs") for _ in range(samples)])


def sample_probabilities(model: Any, x: Any, samples: int = 30, *, batch_size: int = 256) -> np.ndarray:
    """Probabilities of classes, so many times, with what is random left on: Monte Carlo dropout.

    Arguments and errors as :func:`sample_outputs`. Where the model gives raw scores they become
    probabilities: by softmax, or by the logistic function where there is one score for a row.

    Returns
    -------
    array [samples, rows, classes]
    """
    return probabilities(model, sample_outputs(model, x, samples, batch_size=batch_size))


def batch_outputs(model: Any, x: Any, batch_size: int, op: str) -> np.ndarray:
    """What a model gives for rows, in the mode that it is in."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"{op}: batch_size is {batch_size!r}, expected an integer of at least 1")
    rows = Types(float_type(model)).input(x, f"{op}: x")
    if rows.ndim == 0 or not len(rows):
        raise ArgumentError(f"{op}: x has shape {rows.shape}, expected at least one row")
    parts = []
    for start in range(0, len(rows), batch_size):
        out = model(rows[start : start + batch_size])
        parts.append(np.array(as_numpy(out)))
    return np.concatenate(parts)


def probabilities(model: Any, outputs: np.ndarray) -> np.ndarray:
    """Probabilities from what a model gave, [..., classes]."""
    if ends_in(model):
        return outputs
    if outputs.shape[-1] == 1:
        return np.asarray(ops.sigmoid(outputs))
    return np.asarray(ops.softmax(outputs, -1))
