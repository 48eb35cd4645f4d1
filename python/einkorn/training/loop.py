"""The training loop.

One batch is five steps: forget the gradients, forward, loss, backward, update. Everything else in
``_train_epoch`` is bookkeeping that must cost nothing beside a step of a tenth of a millisecond:
averages are plain floats, the bar is drawn ten times a second, and the batch callbacks are called
only when somebody overrides them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim import Optimizer
from einkorn.tensor import Tensor
from einkorn.training.batches import Types, array_of, float_type, integer, is_batches, length
from einkorn.training.callbacks import Callback
from einkorn.training.history import History
from einkorn.training.modes import evaluating, training
from einkorn.training.names import Loss, Metric, find_loss, find_metrics, find_optimizer
from einkorn.training.progress import Progress

__all__ = ["compile_model", "evaluate", "fit", "predict"]


class Compiled(NamedTuple):
    """What ``compile`` chose, beside the optimizer."""

    loss: Loss
    metrics: list[tuple[str, Metric]]


def compile_model(model: Any, optimizer: Any, loss: Any, metrics: Any) -> None:
    """``Trainable.compile``."""
    found = find_loss(loss)
    model._compiled = Compiled(found, find_metrics(metrics, found))
    model.optimizer = find_optimizer(optimizer, list(model.parameters()))


def _compiled(model: Any, op: str) -> Compiled:
    if model._compiled is None:
        raise EinkornError(f"{op}: the model has no loss and optimizer yet: call compile() first")
    return model._compiled


def _types(model: Any, compiled: Compiled) -> Types:
    return Types(float_type(model), compiled.loss.real_target)


# --- fit ------------------------------------------------------------------------------------


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    epochs: int,
    batch_size: int,
    validation_split: float,
    validation_data: Any,
    callbacks: Iterable[Callback],
    shuffle: bool,
    verbose: int,
) -> History:
    """``Trainable.fit``."""
    compiled = _compiled(model, "fit")
    epochs = integer(epochs, "fit", "epochs", 0)
    batch_size = integer(batch_size, "fit", "batch_size", 1)
    if verbose not in (0, 1, 2):
        raise ArgumentError(f"fit: verbose is {verbose!r}, expected 0, 1 or 2")
    watchers: list[Callback] = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    for watcher in watchers:
        if not isinstance(watcher, Callback):
            raise ArgumentError(f"fit: a callback is {watcher!r}, expected an einkorn Callback")
    train, validation = _types(model, compiled).training_and_validation(
        x, y, batch_size, validation_split, validation_data, shuffle
    )
    for watcher in watchers:
        watcher.model = model
        watcher.params = {"epochs": epochs, "steps": length(train), "verbose": verbose}

    history = model.history = History()
    model.stop_training = False
    progress = Progress(verbose, epochs)
    interrupt: KeyboardInterrupt | None = None
    with training(model):
        for watcher in watchers:
            watcher.on_train_begin()
        try:
            for epoch in range(epochs):
                for watcher in watchers:
                    watcher.on_epoch_begin(epoch)
                progress.begin(epoch, length(train))
                logs, steps = _train_epoch(model, compiled, train, watchers, progress)
                if validation is not None:
                    for name, value in _evaluate(model, compiled, validation, "fit").items():
                        logs[f"val_{name}"] = value
                for watcher in watchers:
                    watcher.on_epoch_end(epoch, logs)
                progress.end(steps, logs)
                history.append(epoch, logs)
                if model.stop_training:
                    break
        except KeyboardInterrupt as error:
            interrupt = error
        finally:
            progress.close()
        for watcher in watchers:
            watcher.on_train_end()
    if interrupt is not None:
        raise interrupt
    return history


def _train_epoch(
    model: Any, compiled: Compiled, batches: Any, watchers: list[Callback], progress: Progress
) -> tuple[dict[str, float], int]:
    """One pass over the data; the averages and the number of batches."""
    optimizer: Optimizer = model.optimizer
    loss_function = compiled.loss.function
    metrics = compiled.metrics
    begins = _overriding(watchers, "on_batch_begin")
    ends = _overriding(watchers, "on_batch_end")
    names = ["loss", *(name for name, _ in metrics)]
    sums = [0.0] * len(names)
    rows = step = 0
    for batch in batches:
        target = batch[-1]
        for watcher in begins:
            watcher.on_batch_begin(step)
        optimizer.zero_grad()
        output = model(*batch[:-1])
        loss = loss_function(output, target)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            raise EinkornError("fit: the loss does not depend on any parameter that requires a gradient")
        loss.backward()
        optimizer.step()
        count = len(target)
        rows += count
        step += 1
        sums[0] += loss.item() * count
        for i, (_, metric) in enumerate(metrics, 1):
            sums[i] += float(metric(output.data, target)) * count
        if ends or progress.due():
            logs = {name: total / rows for name, total in zip(names, sums, strict=True)}
            for watcher in ends:
                watcher.on_batch_end(step - 1, logs)
            if progress.due():
                progress.draw(step, logs)
    if rows == 0:
        raise ArgumentError("fit: the loader gave no rows in this epoch, expected at least one")
    return {name: total / rows for name, total in zip(names, sums, strict=True)}, step


def _overriding(watchers: list[Callback], method: str) -> list[Callback]:
    """The callbacks that do something there."""
    base = getattr(Callback, method)
    return [w for w in watchers if getattr(getattr(w, method), "__func__", None) is not base]


# --- evaluate, predict ----------------------------------------------------------------------


def evaluate(model: Any, x: Any, y: Any, batch_size: int) -> dict[str, float]:
    """``Trainable.evaluate``, as a dict."""
    compiled = _compiled(model, "evaluate")
    batch_size = integer(batch_size, "evaluate", "batch_size", 1)
    batches = _types(model, compiled).batches(x, y, batch_size, "evaluate")
    return _evaluate(model, compiled, batches, "evaluate")


def _evaluate(model: Any, compiled: Compiled, batches: Any, op: str) -> dict[str, float]:
    names = ["loss", *(name for name, _ in compiled.metrics)]
    sums = [0.0] * len(names)
    rows = 0
    with evaluating(model):
        for batch in batches:
            target = batch[-1]
            output = array_of(model(*batch[:-1]))
            count = len(target)
            rows += count
            sums[0] += float(array_of(compiled.loss.function(output, target))) * count
            for i, (_, metric) in enumerate(compiled.metrics, 1):
                sums[i] += float(metric(output, target)) * count
    if rows == 0:
        raise ArgumentError(f"{op}: the loader gave no rows, expected at least one")
    return {name: total / rows for name, total in zip(names, sums, strict=True)}


def predict(model: Any, x: Any, batch_size: int) -> np.ndarray:
    """``Trainable.predict``."""
    batch_size = integer(batch_size, "predict", "batch_size", 1)
    types = Types(float_type(model), False)
    with evaluating(model):
        if is_batches(x):
            return _predict_batches(model, x, types)
        arrays = types.inputs(x, "predict")
        rows = len(arrays[0])
        first = array_of(model(*(array[:batch_size] for array in arrays)))
        if rows <= batch_size:
            return first
        out = np.empty((rows, *first.shape[1:]), first.dtype)
        out[:batch_size] = first
        for start in range(batch_size, rows, batch_size):
            stop = start + batch_size
            out[start:stop] = array_of(model(*(array[start:stop] for array in arrays)))
        return out


def _predict_batches(model: Any, batches: Any, types: Types) -> np.ndarray:
    outputs = []
    for batch in batches:
        parts = batch if isinstance(batch, (tuple, list)) else (batch,)
        inputs = parts if len(parts) == 1 else parts[:-1]
        outputs.append(array_of(model(*map(types.input, inputs))))
    if not outputs:
        raise ArgumentError("predict: the loader gave no batches, expected at least one")
    return np.concatenate(outputs)
