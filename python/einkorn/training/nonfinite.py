"""What ``fit`` does when a loss is NaN or infinite: find the likely cause and keep the model usable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._bfloat16 import is_floating
from einkorn.errors import NonFiniteError

__all__ = ["Guard"]


class Guard:
    """Keeps the state a model had at the beginning of the epoch.

    A loss that is not finite comes from the batch itself, and then the model is sound and stays as it is, or
    from an update before it that went too far, and then the model goes back to the beginning of the epoch and
    the optimizer forgets its averages.
    """

    def __init__(self, model: Any, optimizer: Any) -> None:
        self._model = model
        self._optimizer = optimizer
        self._kept: dict[str, np.ndarray] = {}
        self.last = math.nan  # the loss of the last batch whose loss is finite

    def begin(self) -> None:
        """An epoch begins."""
        state = self._model.state_dict()
        if self._kept.keys() != state.keys():
            # of the cached memory: the pages of a fit that went before
            self._kept = {
                name: engines.of(array).empty(array.shape, array.dtype)
                if is_floating(array.dtype)
                else np.empty_like(array)
                for name, array in state.items()
            }
        for name, array in state.items():
            np.copyto(self._kept[name], array)

    def stop(self, loss: float, epoch: int, batch: int, inputs: Any, target: Any) -> NonFiniteError:
        """The error for a batch whose loss is not finite, once the model is usable."""
        found = [_bad_rows(f"x{'' if len(inputs) == 1 else i + 1}", part) for i, part in enumerate(inputs)]
        targets = target if isinstance(target, tuple) else (target,)
        found += [_bad_rows("y" if len(targets) == 1 else f"y{i + 1}", y) for i, y in enumerate(targets)]
        causes = [cause for cause in found if cause]
        head = f"fit: the loss is {loss} in epoch {epoch + 1}, batch {batch + 1}"
        if causes:
            text = f"{head}, because {' and '.join(causes)}"
        else:
            rates = ", ".join(f"{group['lr']:g}" for group in self._optimizer.param_groups)
            text = f"{head}. It was {self.last:.4g} in the batch before" if math.isfinite(self.last) else head
            text += (
                f". Likely causes: the learning rate, {rates}, is too high; inputs or targets that are very "
                "large (scale them); a loss that takes the logarithm of 0 or divides by 0"
            )
        return NonFiniteError(f"{text}. {self._rescue(sound=bool(causes))} on_nan='ignore' goes on instead")

    def check_weights(self, epoch: int) -> None:
        """At the end of an epoch: the last update may have been the one too many."""
        for name, array in self._model.state_dict().items():
            if is_floating(array.dtype) and not _is_finite(array):
                raise NonFiniteError(
                    f"fit: {name} holds NaN or infinity at the end of epoch {epoch + 1}. Likely causes: the "
                    f"learning rate is too high, or a gradient is infinite. {self._rescue(sound=False)} "
                    "on_nan='ignore' goes on instead"
                )

    def _rescue(self, sound: bool) -> str:
        state = self._model.state_dict()
        if sound and all(np.isfinite(a).all() for a in state.values() if is_floating(a.dtype)):
            return "The model has the weights from before this batch."
        self._model.load_state_dict(self._kept)
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": {}})
        return "The model has the weights from before this epoch, and the optimizer begins anew."


def _is_finite(array: Any) -> bool:
    """Whether all numbers are finite: a finite sum, which is read from them once, says so."""
    if type(array) is np.ndarray and array.dtype == np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(array.sum()):
                return True
    return bool(np.isfinite(array).all())


def _bad_rows(name: str, array: np.ndarray) -> str:
    if not is_floating(array.dtype) or np.isfinite(array).all():
        return ""
    bad = ~np.isfinite(array.reshape(len(array), -1)).all(1)
    return (
        f"{name} holds NaN or infinity in {np.count_nonzero(bad)} of {len(bad)} rows of the batch, first in "
        f"row {int(bad.argmax())}"
    )
