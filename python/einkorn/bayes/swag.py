"""SWAG: a normal distribution fitted to the weights on a training's way (Maddox et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import as_numpy
from einkorn.bayes.stochastic import batch_outputs, probabilities
from einkorn.errors import ArgumentError, EinkornError
from einkorn.nn.norm import _BatchNorm
from einkorn.optim.swa_utils import update_bn
from einkorn.training.callbacks import Callback, Logs
from einkorn.training.modes import evaluating

__all__ = ["SWAG"]


class SWAG(Callback):
    """Watch a training, and draw models from the distribution of its weights.

    The weights at the ends of epochs have a mean, variances, and deviations from the mean of the last
    ``max_rank`` of them. Models are drawn from the normal distribution with half the covariance of each
    (equation 1 of the paper). Let the rate stay high, as SWA does.

    Parameters
    ----------
    max_rank : int, default 20
        How many deviations are kept; 0 for variances alone.
    start_from_epoch : int, default 0
        The first epoch, counted from 0, whose weights are taken.

    Attributes
    ----------
    n_collected : int
        How many weights the distribution is made of.
    """

    def __init__(self, max_rank: int = 20, start_from_epoch: int = 0) -> None:
        for name, value in (("max_rank", max_rank), ("start_from_epoch", start_from_epoch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ArgumentError(f"SWAG: {name} is {value!r}, expected an integer >= 0")
        self.max_rank = max_rank
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.n_collected = 0
        self._mean = self._squares = np.zeros(0)
        self._deviations: list[np.ndarray] = []

    def state_dict(self) -> dict[str, Any]:
        return {
            "n": self.n_collected,
            "mean": self._mean,
            "squares": self._squares,
            "deviations": list(self._deviations),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.n_collected = int(state["n"])
        self._mean, self._squares = np.array(state["mean"]), np.array(state["squares"])
        self._deviations = [np.array(each) for each in state["deviations"]]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch >= self.start_from_epoch:
            self.collect(self.model)

    # --- the distribution -----------------------------------------------------------------------

    def collect(self, model: Any) -> None:
        """Take the weights of the model as they are now, in a loop of your own."""
        weights = _flat(model)
        if self.n_collected == 0:
            self._mean, self._squares = np.zeros(len(weights)), np.zeros(len(weights))
        n = self.n_collected
        self._mean = (n * self._mean + weights) / (n + 1)
        self._squares = (n * self._squares + weights**2) / (n + 1)
        self.n_collected = n + 1
        if self.max_rank:
            self._deviations = [*self._deviations, weights - self._mean][-self.max_rank :]

    def draw(self, model: Any, scale: float = 1.0) -> None:
        """Put weights drawn from the distribution into the model.

        Parameters
        ----------
        model : Module
            Of the kind that was watched.
        scale : float, default 1
            Factor of the covariance; 0 gives the mean, the weights of SWA.

        Raises
        ------
        EinkornError
            Fewer than two weights were collected.
        """
        if self.n_collected < 2:
            raise EinkornError(f"SWAG: has collected {self.n_collected} weights, expected two or more")
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 <= scale < math.inf:
            raise ArgumentError(f"SWAG: scale is {scale!r}, expected a number >= 0")
        weights = self._mean.copy()
        if scale:
            rank = len(self._deviations)
            half = 2.0 if rank > 1 else 1.0  # without deviations all of it is in the variances
            variance = np.maximum(self._squares - self._mean**2, 0.0)
            noise = np.asarray(ops.normal((len(weights),), dtype=np.float64))
            weights += math.sqrt(scale / half) * np.sqrt(variance) * noise
            if rank > 1:
                shares = np.asarray(ops.normal((rank,), dtype=np.float64))
                weights += math.sqrt(scale / (2 * (rank - 1))) * (shares @ np.stack(self._deviations))
        _put(model, weights)

    def sample_outputs(
        self,
        x: Any,
        samples: int = 30,
        *,
        scale: float = 1.0,
        batches: Iterable[Any] | None = None,
        batch_size: int = 256,
        model: Any = None,
    ) -> np.ndarray:
        """What models drawn from the distribution give, [samples, rows, ...]; the model stays as it was.

        Parameters
        ----------
        x : array [rows, ...]
        samples : int, default 30
        scale : float, keyword-only, default 1
            Factor of the covariance.
        batches : iterable, keyword-only, optional
            Training batches, inputs or tuples that begin with them, gone through for each model to give a
            batch normalization its statistics anew. Needed by models that have one.
        batch_size : int, keyword-only, default 256
        model : Module, keyword-only, optional
            By default the one that was watched.

        Raises
        ------
        EinkornError, ArgumentError
            There is nothing to draw from; an argument is bad; ``batches`` is needed.
        """
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ArgumentError(f"SWAG: samples is {samples!r}, expected an integer of at least 1")
        network = self._network(model)
        normed = any(isinstance(module, _BatchNorm) for module in network.modules())
        if normed and batches is None:
            raise ArgumentError("SWAG: the model has a batch normalization, so batches are needed")
        passes = list(batches) if batches is not None else []
        before = {name: array.copy() for name, array in network.state_dict().items()}
        found = []
        try:
            for _ in range(samples):
                self.draw(network, scale)
                if normed:
                    update_bn(passes, network)
                with evaluating(network):
                    found.append(batch_outputs(network, x, batch_size, "SWAG.sample_outputs"))
        finally:
            network.load_state_dict(before)
        return np.stack(found)

    def sample_probabilities(self, x: Any, samples: int = 30, **options: Any) -> np.ndarray:
        """Probabilities of classes of models drawn from the distribution, [samples, rows, classes].

        Arguments and errors as :meth:`sample_outputs`.
        """
        outputs = self.sample_outputs(x, samples, **options)
        return probabilities(self._network(options.get("model")), outputs)

    def _network(self, model: Any) -> Any:
        found = self.model if model is None else model
        if found is None:
            raise EinkornError("SWAG: has watched no training yet, and no model is given")
        return found


def _flat(model: Any) -> np.ndarray:
    parts = [as_numpy(parameter, np.float64).reshape(-1) for parameter in model.parameters()]
    return np.concatenate(parts) if parts else np.zeros(0)


def _put(model: Any, weights: np.ndarray) -> None:
    """Weights in the order of ``_flat`` into the model's own arrays."""
    own = model.state_dict()
    start = 0
    values = {}
    for name, parameter in model.named_parameters():
        size = parameter._data.size
        values[name] = weights[start : start + size].reshape(parameter.shape).astype(own[name].dtype)
        start += size
    if start != len(weights):
        raise ArgumentError(f"SWAG: the model has {start} weights, expected {len(weights)}")
    model.load_state_dict({**own, **values})
