"""Steps of a model of the user's: data without targets as Keras gives them, and losses of the model's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from einkorn._grad_mode import no_grad
from einkorn.keras._base import parameters_of

__all__ = ["as_keras_gives", "test_by_loss", "train_by_loss"]


def as_keras_gives(step: Callable[..., Any]) -> Callable[..., Any]:
    """A ``train_step`` or ``test_step`` that gets the inputs alone where there are no targets."""

    @functools.wraps(step)
    def call(self: Any, data: Any) -> Any:
        if self.__dict__.get("_without_targets") and isinstance(data, tuple) and len(data) in (2, 3):
            x = data[0]
            data = (list(x),) if isinstance(x, tuple) else x
        return step(self, data)

    return call


def _parts(self: Any, data: Any) -> tuple[Any, Any, Any]:
    from einkorn.keras.utils import unpack_x_y_sample_weight

    return unpack_x_y_sample_weight(data)


def _loss(self: Any, x: Any, y: Any, y_pred: Any, weight: Any, training: bool) -> Any:
    function = type(self).compute_loss
    known = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": weight, "training": training}
    takes_all = bool(getattr(function, "__wrapped__", function).__code__.co_flags & 8)
    names = parameters_of(function)
    return self.compute_loss(**{name: value for name, value in known.items() if takes_all or name in names})


def _figures(self: Any, loss: Any, x: Any, y: Any, y_pred: Any, weight: Any) -> Any:
    from einkorn.training.own_steps import trackers_of
    from einkorn.training.state import state_of

    trackers_of(state_of(self))[0].update_state(loss.detach() if hasattr(loss, "detach") else loss)
    return self.compute_metrics(x, y, y_pred, weight)


def train_by_loss(self: Any, data: Any) -> Any:
    """The usual step, with the model's own ``compute_loss`` and ``compute_metrics``."""
    x, y, weight = _parts(self, data)
    self.zero_grad()
    y_pred = self(x, training=True)
    loss = _loss(self, x, y, y_pred, weight, True)
    self.optimizer.scale_loss(loss).backward()
    weights = self.trainable_weights
    with no_grad():
        self.optimizer.apply([variable.value.grad for variable in weights], weights)
    return _figures(self, loss, x, y, y_pred, weight)


def test_by_loss(self: Any, data: Any) -> Any:
    """The usual step of ``evaluate``, likewise."""
    x, y, weight = _parts(self, data)
    y_pred = self(x, training=False)
    return _figures(self, _loss(self, x, y, y_pred, weight, False), x, y, y_pred, weight)
