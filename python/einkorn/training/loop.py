"""The training loop.

One batch is five steps: forget the gradients, forward, loss, backward, update. Everything else in
``_Trainer.epoch`` is bookkeeping that must cost nothing beside a step of a tenth of a millisecond:
sums are plain floats, the bar is drawn ten times a second, and the batch callbacks are called
only when somebody overrides them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn.data.arrays import is_map_dataset
from einkorn.errors import ArgumentError, EinkornError, NonFiniteError
from einkorn.optim import Optimizer
from einkorn.tensor import Tensor
from einkorn.training import hints
from einkorn.training.batches import (
    Steps,
    Types,
    class_weights,
    integer,
    is_batches,
    length,
    output_of,
    split,
)
from einkorn.training.compiled import Compiled, compiled_of, types_of, verbosity
from einkorn.training.evaluation import run_evaluation
from einkorn.training.events import Events
from einkorn.training.history import History
from einkorn.training.metrics import Figures
from einkorn.training.modes import training
from einkorn.training.nonfinite import Guard
from einkorn.training.progress import Progress
from einkorn.training.state import State

__all__ = ["fit"]


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: Any,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
    on_nan: str,
) -> History:
    """``Trainable.fit``."""
    state, compiled, optimizer = compiled_of(model, "fit")
    _check_optimizer(model, compiled, optimizer)
    epochs = integer(epochs, "fit", "epochs", 0)
    initial_epoch = integer(initial_epoch, "fit", "initial_epoch", 0)
    verbose = verbosity(verbose, "fit")
    if on_nan not in ("raise", "ignore"):
        raise ArgumentError(f"fit: on_nan is {on_nan!r}, expected 'raise' or 'ignore'")
    if not isinstance(shuffle, (bool, np.bool_)):
        raise ArgumentError(f"fit: shuffle is {shuffle!r}, expected True or False")
    train, validation = _data(
        model,
        types_of(model, compiled),
        x,
        y,
        sample_weight,
        class_weights(class_weight),
        32 if batch_size is None else integer(batch_size, "fit", "batch_size", 1),
        validation_split,
        validation_data,
        validation_batch_size,
        shuffle,
    )
    if steps_per_epoch is not None:
        train = Steps(train, integer(steps_per_epoch, "fit", "steps_per_epoch", 1))
    if validation_steps is not None:
        validation_steps = integer(validation_steps, "fit", "validation_steps", 1)
    validates = _validation_epochs(validation_freq)
    params = {"epochs": epochs, "steps": length(train), "verbose": verbose}
    events = Events(callbacks, model, params, "fit")
    names = ["loss", *(metric.name for metric in compiled.metrics)]
    events.prepare(names + [f"val_{name}" for name in names if validation is not None])

    history = state.history = History()
    state.stop_training = False
    progress = Progress(verbose, epochs)
    guard = Guard(model, optimizer) if on_nan == "raise" else None
    trainer = _Trainer(model, state, compiled, optimizer, events, progress, guard)
    logs: dict[str, float] = {}
    with training(model):
        events.call("on_train_begin", {})
        try:
            for epoch in range(initial_epoch, epochs):
                events.call("on_epoch_begin", epoch, {})
                progress.begin(epoch, length(train))
                logs, steps = trainer.epoch(train, epoch)
                if validation is not None and validates(epoch + 1):
                    batches = islice(validation, validation_steps)
                    found = run_evaluation(model, compiled, batches, "fit: validation_data", events)
                    logs.update({f"val_{name}": value for name, value in found.items()})
                events.call("on_epoch_end", epoch, logs)
                progress.end(steps, logs)
                history.append(epoch, logs)
                if state.stop_training:
                    break
        except (KeyboardInterrupt, NonFiniteError):
            progress.close()
            history.align()
            events.call("on_train_end", logs)
            raise
        finally:
            progress.close()
        events.call("on_train_end", logs)
    return history


def _check_optimizer(model: Any, compiled: Compiled, optimizer: Optimizer) -> None:
    """An optimizer of other parameters would train nothing, without a word."""
    mine = {id(parameter) for parameter in model.parameters()}
    theirs = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not mine & theirs:
        raise EinkornError("fit: the optimizer has none of the model's parameters: compile again")
    if compiled.made_here and mine != theirs:
        raise EinkornError("fit: the model has other parameters than when it was compiled: compile again")


def _data(
    model: Any,
    types: Types,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: dict[int, float] | None,
    batch_size: int,
    share: float,
    validation: Any,
    validation_batch_size: int | None,
    shuffle: bool,
) -> tuple[Any, Any]:
    """The batches ``fit`` trains with, and those it validates with or None."""
    size = max(batch_size, 256)
    if validation_batch_size is not None:
        size = integer(validation_batch_size, "fit", "validation_batch_size", 1)
    held_out = None
    if is_batches(x) or is_map_dataset(x):
        if share:
            raise ArgumentError("fit: validation_split needs arrays; with a loader give validation_data")
        train = types.batches(
            x, y, batch_size, "fit", model,
            shuffle=shuffle, sample_weight=sample_weight, class_weight=class_weight,
        )  # fmt: skip
    else:
        arrays = types.arrays(x, y, sample_weight, "fit")
        weighted = sample_weight is not None
        if weighted and class_weight is not None:
            raise ArgumentError("fit: class_weight and sample_weight are both given, expected one of them")
        hints.check_rows(model, arrays[: -2 if weighted else -1], "fit")
        if share and validation is None:
            arrays, last = split(arrays, share)
            held_out = types.gathered(last, weighted, None, size)
        train = types.gathered(arrays, weighted, class_weight, batch_size, shuffle)
    if held_out is not None or validation is None:
        return train, held_out
    op = "fit: validation_data"
    if is_batches(validation) or is_map_dataset(validation):
        return train, types.batches(validation, None, size, op, model)
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        raise ArgumentError(f"{op} must be (x, y), (x, y, sample_weight) or a DataLoader")
    weight = validation[2] if len(validation) == 3 else None
    return train, types.batches(validation[0], validation[1], size, op, model, sample_weight=weight)


def _validation_epochs(frequency: Any) -> Callable[[int], bool]:
    """In which epochs, counted from 1, to validate."""
    if isinstance(frequency, Iterable) and not isinstance(frequency, str):
        wanted = {integer(epoch, "fit", "validation_freq", 1) for epoch in frequency}
        return wanted.__contains__
    every = integer(frequency, "fit", "validation_freq", 1)
    return lambda epoch: epoch % every == 0


class _Trainer(NamedTuple):
    """What one ``fit`` works with."""

    model: Any
    state: State
    compiled: Compiled
    optimizer: Optimizer
    events: Events
    progress: Progress
    guard: Guard | None

    def epoch(self, batches: Any, epoch: int) -> tuple[dict[str, float], int]:
        """One pass over the data; the figures and the number of batches."""
        model, state, optimizer, guard = self.model, self.state, self.optimizer, self.guard
        loss, scale = self.compiled.loss, self.compiled.loss_weight
        figures = Figures(loss, self.compiled.metrics)
        progress = self.progress
        begins, ends = self.events["on_train_batch_begin"], self.events["on_train_batch_end"]
        step = 0
        if guard is not None:
            guard.begin()
        for inputs, target, weight in batches:
            for watcher in begins:
                watcher(step, {})
            optimizer.zero_grad()
            if step == 0:
                output = hints.call(model, inputs, "fit")
                values = output_of(output, "fit")
                loss = loss.settle(values, hints.ends_in(model))
                state.input_shape = _row_shape(inputs)
            else:
                output = model(*inputs)
                values = output_of(output, "fit")
            wanted = loss.prepare(values, target)
            value = loss.mean(output, wanted) if weight is None else loss.weighted(output, wanted, weight)
            if scale != 1.0:
                value = ops.multiply(value, scale)
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise EinkornError("fit: the loss does not depend on any parameter that requires a gradient")
            number = value.item()
            total = loss.total(values, wanted)
            if not math.isfinite(number) and total and guard is not None:
                error = guard.stop(number, epoch, step, inputs, target)
                if not self.events.ends_at_nan:
                    raise error
                state.stop_training = True
                if state.history is not None:
                    state.history.stop_reason = str(error)
            else:
                if total:  # else every row is ignored: there is nothing to learn
                    if guard is not None:
                        guard.passed(number)
                    value.backward()
                    optimizer.step()
                figures.add(number, total, values, wanted, weight)
            step += 1
            if ends or progress.due():
                logs = figures.running()
                for watcher in ends:
                    watcher(step - 1, logs)
                if progress.due():
                    progress.draw(step, logs)
            if state.stop_training:
                break
        if step == 0:
            raise ArgumentError("fit: the loader gave no rows in this epoch, expected at least one")
        if guard is not None:
            guard.check_weights(epoch)
        return figures.final(), step


def _row_shape(inputs: tuple[np.ndarray, ...]) -> tuple[int, ...] | None:
    """The shape of a row, where an example can be made from it."""
    if len(inputs) == 1 and inputs[0].dtype.kind == "f":
        return inputs[0].shape[1:]
    return None
