"""What steps of the user's work with: data as Keras gives it, and metrics as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn._device import as_array
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError
from einkorn.metrics import Metric as Stream
from einkorn.training.batches import Named
from einkorn.training.devices import on_device
from einkorn.training.figures import plain
from einkorn.training.losses import Loss
from einkorn.training.metrics import Metric

__all__ = ["batched", "numbers_of", "overrides", "there", "trackers_of", "unbatched"]


def overrides(model: Any, name: str) -> bool:
    """Whether a model has a train_step or test_step of its own."""
    from einkorn.training.trainable import Trainable

    return getattr(type(model), name) is not getattr(Trainable, name)


def there(state: Any, inputs: Any, target: Any, weight: Any) -> tuple[Any, Any, Any]:
    """A batch where the model is, for a step of the user's."""
    if state.device == "cpu":
        return inputs, target, weight
    inputs, target, weight = (on_device(part, state.device) for part in (inputs, target, weight))
    return inputs, target, weight


def unbatched(inputs: Any, target: Any, weight: Any) -> tuple[Any, ...]:
    """A batch as Keras gives it: (x, y) or (x, y, sample_weight)."""
    if type(inputs) is Named:
        x: Any = dict(zip(inputs.names, inputs, strict=True))
    else:
        x = inputs[0] if len(inputs) == 1 else inputs
    return (x, target) if weight is None else (x, target, weight)


def batched(data: Any, op: str) -> tuple[Any, Any, Any]:
    """What ``unbatched`` made, as the library passes it on."""
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ArgumentError(f"{op}: data is {type(data).__name__}, expected (x, y) or (x, y, sample_weight)")
    x, target, weight = (*data, None) if len(data) == 2 else data
    if isinstance(x, Mapping):
        return Named.of(tuple(x), x.values()), target, weight
    return (tuple(x) if isinstance(x, (tuple, list)) else (x,)), target, weight


def numbers_of(logs: Any, op: str, model: Any) -> dict[str, Any]:
    """What a step of the user's returned, as plain numbers; in Keras' models arrays too."""
    keeps = getattr(model, "_keeps_its_metrics", False)
    if not isinstance(logs, Mapping):
        raise ArgumentError(f"{op}: gave {type(logs).__name__}, expected a dict of figures")
    found: dict[str, Any] = {}
    for name, value in logs.items():
        array = as_array(value._data if isinstance(value, Tensor) else value)
        if array.dtype.kind not in "fiub":
            raise ArgumentError(f"{op}: {name} is {value!r}, expected a number")
        if array.size != 1 and (name == "loss" or not keeps):
            raise ArgumentError(f"{op}: {name} has shape {array.shape}, expected a number")
        found[str(name)] = plain(array)
    return found


class _Mean(Stream):
    """The mean of numbers that are entered: the loss tracker."""

    total: float
    count: float

    def _begin(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0.0}

    def update_state(  # type: ignore[override]
        self, values: Any, sample_weight: Any = None
    ) -> None:
        array = as_numpy(values, np.float64)
        weight = 1.0 if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.total += float(np.sum(array * weight))
        self.count += float(np.sum(np.broadcast_to(weight, array.shape)))

    def result(self) -> float:
        return self.total / self.count if self.count else float("nan")


class _Tracked(Stream):
    """A metric of ``compile`` that is summed up batch by batch, or computed over all rows."""

    total: float
    count: float
    kept: list[Any]

    def __init__(self, metric: Metric, loss: Any) -> None:
        self._metric = metric
        self._loss = loss
        super().__init__(metric.name)

    def _begin(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0.0, "kept": []}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        output = y_pred._data if isinstance(y_pred, Tensor) else np.asarray(y_pred)
        target = y_true._data if isinstance(y_true, Tensor) else np.asarray(y_true)
        if isinstance(self._loss, Loss):
            target = self._loss.prepare(output, target)
        if self._metric.parts is None:
            self.kept.append([output.copy(), target.copy()])
            return
        total, count = self._metric.parts(output, target, sample_weight if self._metric.weighted else None)
        self.total += total
        self.count += count

    def result(self) -> float:
        if self._metric.whole is not None and self.kept:
            output, target = (np.concatenate([batch[i] for batch in self.kept]) for i in (0, 1))
            return float(np.mean(self._metric.whole(output, target)))
        return self.total / self.count if self.count else float("nan")


def trackers_of(state: Any) -> list[Any]:
    """The loss and the metrics of ``compile`` as objects with update_state, result and reset_state."""
    if state.compiled is None:
        return []
    if state.trackers is None:
        found: list[Any] = [_Mean("loss")]
        for metric in state.compiled.all_metrics():
            found.append(
                metric.stream if metric.stream is not None else _Tracked(metric, state.compiled.loss)
            )
        state.trackers = found
    return state.trackers
