"""``WeightAveraging``: a training whose result is an average of the weights on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn._device import beside
from einkorn.errors import ArgumentError
from einkorn.training.callbacks import Callback, Logs

__all__ = ["WeightAveraging"]


class WeightAveraging(Callback):
    """Validate, save and end with averages of the weights, while the training goes on with the weights.

    Buffers, such as the moving statistics of a batch normalization, are averaged with the weights. From the
    validation of an epoch to the beginning of the next the model has the averages; so callbacks that save or
    compare models should come after this one in the list, and see what the figures are of.

    Parameters
    ----------
    kind : "ema" or "swa", default "ema"
        An exponential moving average over all updates, or the mean of the weights at the ends of epochs
        (Izmailov et al. 2018), for which the rate should not fall to nothing.
    decay : float, keyword-only, default 0.999
        What "ema" keeps of the average at an update. At the first updates it is less, (1 + n) / (10 + n)
        after n of them, so that the first weights do not linger.
    start_from_epoch : int, keyword-only, default 0
        The first epoch, counted from 0, whose weights are taken.

    Attributes
    ----------
    n_averaged : int
        How many weights the averages are made of.
    """

    def __init__(self, kind: str = "ema", *, decay: float = 0.999, start_from_epoch: int = 0) -> None:
        if kind not in ("ema", "swa"):
            raise ArgumentError(f"WeightAveraging: kind is {kind!r}, expected 'ema' or 'swa'")
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay < 1:
            raise ArgumentError(f"WeightAveraging: decay is {decay!r}, expected a number from 0 to 1")
        if (
            isinstance(start_from_epoch, bool)
            or not isinstance(start_from_epoch, int)
            or start_from_epoch < 0
        ):
            raise ArgumentError(
                f"WeightAveraging: start_from_epoch is {start_from_epoch!r}, expected an integer >= 0"
            )
        self.kind = kind
        self.decay = float(decay)
        self.start_from_epoch = start_from_epoch
        if kind == "swa":  # nobody has to be called for every batch
            self.on_train_batch_end = super().on_train_batch_end  # type: ignore[method-assign]
        self._forget()

    def _forget(self) -> None:
        self.n_averaged = 0
        self._averages: dict[str, np.ndarray] = {}
        self._own: dict[str, np.ndarray] | None = None  # the weights, while the model has the averages
        self._epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {"n": self.n_averaged, "averages": self._averages, "own": self._own, "epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.n_averaged, self._epoch = int(state["n"]), int(state["epoch"])
        self._averages, self._own = dict(state["averages"]), state["own"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._put_back()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._epoch >= self.start_from_epoch:
            n = self.n_averaged
            self._take(1 - min(self.decay, (1 + n) / (10 + n)) if n else 1.0)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._put_in()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._put_in()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._put_in(ended=True)
        self._own = None

    def _take(self, share: float) -> None:
        """Let the model's weights into the averages, as this share of them, in one launch for each type."""
        from einkorn.optim.swa_utils import _alike, _lerp

        state = self.model.state_dict()
        if not self._averages:
            self._averages = {name: array.copy() for name, array in state.items()}
        else:
            # on the CPU after a resume
            self._averages = {name: beside(array, self._averages[name]) for name, array in state.items()}
            for averages, weights in _alike(list(self._averages.values()), list(state.values())):
                if averages[0].dtype.kind in "fV":
                    _lerp(averages, weights, share)
                else:  # a count is no average
                    for average, count in zip(averages, weights, strict=True):
                        average[...] = count
        self.n_averaged += 1

    def _put_in(self, ended: bool = False) -> None:
        """The averages for the weights."""
        if self._own is not None or self._epoch < self.start_from_epoch:
            return
        if self.kind == "swa" and not ended:
            self._take(1 / (self.n_averaged + 1))
        if self.n_averaged:
            self._own = {name: array.copy() for name, array in self.model.state_dict().items()}
            self.model.load_state_dict(self._averages)

    def _put_back(self) -> None:
        if self._own is not None:
            self.model.load_state_dict(self._own)
            self._own = None
