"""The training loop.

One batch is five steps: forget the gradients, forward, loss, backward, update. Everything else in
``_train_epoch`` is bookkeeping that must cost nothing beside a step of a tenth of a millisecond:
sums are plain floats, the bar is drawn ten times a second, and the batch callbacks are called
only when somebody overrides them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._console import open_bar
from einkorn.data.arrays import is_map_dataset
from einkorn.data.loader import DataLoader
from einkorn.errors import ArgumentError, EinkornError, NonFiniteError, ShapeError
from einkorn.optim import Optimizer
from einkorn.tensor import Tensor
from einkorn.training import hints
from einkorn.training.batches import (
    Loaded,
    Steps,
    Types,
    class_weights,
    float_type,
    integer,
    is_batches,
    length,
    output_of,
    split,
)
from einkorn.training.events import Events
from einkorn.training.history import History
from einkorn.training.losses import Loss, find_loss
from einkorn.training.metrics import Figures, Metric, find_metrics
from einkorn.training.modes import evaluating, training
from einkorn.training.nonfinite import Guard
from einkorn.training.optimizers import find_optimizer
from einkorn.training.progress import Progress
from einkorn.training.state import State, state_of

__all__ = ["Compiled", "compile_model", "evaluate", "fit", "predict"]


class Compiled(NamedTuple):
    """What ``compile`` chose, beside the optimizer."""

    loss: Loss
    metrics: list[Metric]
    loss_weight: float
    made_here: bool  # the optimizer was made from the model's parameters


def compile_model(
    model: Any,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    from_logits: bool | None,
) -> None:
    """``Trainable.compile``."""
    found = find_loss(loss, from_logits)
    both = [*find_metrics(metrics, found), *find_metrics(weighted_metrics, found, weighted=True)]
    names = [metric.name for metric in both]
    if len(set(names)) < len(names):
        raise ArgumentError(f"compile: metrics and weighted_metrics share a name, of {', '.join(names)}")
    made = find_optimizer(optimizer, list(model.parameters()))
    state = state_of(model)
    state.compiled = Compiled(found, both, _loss_weight(loss_weights), made is not optimizer)
    state.optimizer = made


def _loss_weight(value: Any) -> float:
    if value is None:
        return 1.0
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if len(numbers) == 1 and isinstance(numbers[0], (int, float)) and not isinstance(numbers[0], bool):
        return float(numbers[0])
    raise ArgumentError(
        f"compile: loss_weights is {value!r}, expected a number; metrics, which come fourth as in Keras, are "
        "best given by name"
    )


def _compiled(model: Any, op: str) -> tuple[State, Compiled, Optimizer]:
    state = state_of(model)
    if state.compiled is None or state.optimizer is None:
        raise EinkornError(f"{op}: the model has no loss and optimizer yet: call compile() first")
    return state, state.compiled, state.optimizer


def _types(model: Any, compiled: Compiled) -> Types:
    return Types(float_type(model), compiled.loss.real_target)


def _verbose(value: Any, op: str) -> int:
    if isinstance(value, str) and value == "auto":
        return 1 if op == "fit" else 0
    if isinstance(value, (int, np.integer)) and value in (0, 1, 2):
        return int(value)
    raise ArgumentError(f"{op}: verbose is {value!r}, expected 0, 1, 2 or 'auto'")


# --- fit ------------------------------------------------------------------------------------


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
    state, compiled, optimizer = _compiled(model, "fit")
    _check_optimizer(model, compiled, optimizer)
    epochs = integer(epochs, "fit", "epochs", 0)
    initial_epoch = integer(initial_epoch, "fit", "initial_epoch", 0)
    verbose = _verbose(verbose, "fit")
    if on_nan not in ("raise", "ignore"):
        raise ArgumentError(f"fit: on_nan is {on_nan!r}, expected 'raise' or 'ignore'")
    if not isinstance(shuffle, (bool, np.bool_)):
        raise ArgumentError(f"fit: shuffle is {shuffle!r}, expected True or False")
    train, validation = _data(
        model,
        _types(model, compiled),
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
                    found = _evaluate(model, compiled, batches, "fit: validation_data", events)
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


# --- evaluate, predict ----------------------------------------------------------------------


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: Any,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
) -> dict[str, float]:
    """``Trainable.evaluate``, as a dict."""
    _, compiled, _ = _compiled(model, "evaluate")
    size = 256 if batch_size is None else integer(batch_size, "evaluate", "batch_size", 1)
    types = _types(model, compiled)
    batches = types.batches(x, y, size, "evaluate", model, sample_weight=sample_weight)
    count = _steps(batches, steps, "evaluate")
    shown = _verbose(verbose, "evaluate")
    events = Events(callbacks, model, {"epochs": 1, "steps": count, "verbose": shown}, "evaluate")
    wanted = _shown(islice(batches, steps), count, shown, "evaluate")
    return _evaluate(model, compiled, wanted, "evaluate", events)


def _evaluate(model: Any, compiled: Compiled, batches: Any, op: str, events: Events) -> dict[str, float]:
    loss = compiled.loss
    figures = Figures(loss, compiled.metrics)
    step = 0
    events.call("on_test_begin", {})
    with evaluating(model):
        for inputs, target, weight in batches:
            events.call("on_test_batch_begin", step, {})
            if step == 0:
                hints.check_rows(model, inputs, op)
                output = hints.call(model, inputs, op)
                values = output_of(output, op)
                loss = loss.settle(values, hints.ends_in(model))
            else:
                output = model(*inputs)
                values = output_of(output, op)
            wanted = loss.prepare(values, target)
            value = loss.mean(output, wanted) if weight is None else loss.weighted(output, wanted, weight)
            number = float(output_of(value, op)) * compiled.loss_weight
            figures.add(number, loss.total(values, wanted), values, wanted, weight)
            if events["on_test_batch_end"]:
                events.call("on_test_batch_end", step, figures.running())
            step += 1
    if step == 0:
        raise ArgumentError(f"{op}: the loader gave no rows, expected at least one")
    logs = figures.final()
    events.call("on_test_end", logs)
    return logs


def predict(
    model: Any, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any
) -> np.ndarray:
    """``Trainable.predict``."""
    size = 256 if batch_size is None else integer(batch_size, "predict", "batch_size", 1)
    types = Types(float_type(model), False)
    if is_map_dataset(x) and not is_batches(x):
        x = DataLoader(x, size)
    rows = None
    if is_batches(x):
        loaded = Loaded(x, types, "predict", model)
        batches: Any = loaded.each_input()
        count = _steps(loaded, steps, "predict")
    else:
        arrays = types.inputs(x, "predict")
        hints.check_rows(model, arrays, "predict")
        rows = len(arrays[0])
        count = _steps(range(0, max(rows, 1), size), steps, "predict")
        batches = _slices(arrays, size)
        if steps is not None:
            rows = min(rows, steps * size)
    shown = _verbose(verbose, "predict")
    events = Events(callbacks, model, {"steps": count, "verbose": shown}, "predict")
    batches = _shown(islice(batches, steps), count, shown, "predict")
    events.call("on_predict_begin", {})
    with evaluating(model):
        result = _outputs(model, batches, rows, events)
    events.call("on_predict_end", {})
    return result


def _slices(arrays: tuple[np.ndarray, ...], size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """The rows, so many at a time, so that nothing can write into them; one batch if there are none."""
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    for start in range(0, max(len(views[0]), 1), size):
        yield tuple(view[start : start + size] for view in views)


def _outputs(model: Any, batches: Iterable[Any], rows: int | None, events: Events) -> np.ndarray:
    """Outputs of all batches, in memory of their own: a layer that changes nothing returns its input."""
    parts: list[np.ndarray] = []
    out: np.ndarray | None = None
    done = 0
    for step, inputs in enumerate(batches):
        events.call("on_predict_batch_begin", step, {})
        output = output_of(hints.call(model, inputs, "predict") if step == 0 else model(*inputs), "predict")
        if output.ndim == 0 or len(output) != len(inputs[0]):
            raise ShapeError(
                f"predict: the model gives shape {output.shape} for {len(inputs[0])} rows, expected a row "
                f"for each; x has shape {inputs[0].shape}: does it lack an axis?"
            )
        if rows is None:
            parts.append(np.array(output))
        else:
            if out is None:
                out = np.empty((rows, *output.shape[1:]), output.dtype)
            out[done : done + len(output)] = output
        done += len(output)
        if events["on_predict_batch_end"]:
            events.call("on_predict_batch_end", step, {"outputs": output})
    if out is not None:
        return out
    if not parts:
        raise ArgumentError("predict: the loader gave no batches, expected at least one")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _steps(batches: Any, steps: Any, op: str) -> int | None:
    """How many batches there will be, where that is known."""
    count = length(batches)
    if steps is None:
        return count
    steps = integer(steps, op, "steps", 1)
    return steps if count is None else min(count, steps)


def _shown(batches: Iterable[Any], count: int | None, verbose: int, label: str) -> Iterable[Any]:
    """The batches, with a bar on the terminal if it is asked for."""
    bar = open_bar(count, label, "batch") if verbose else None
    return batches if bar is None else _counted(batches, bar)


def _counted(batches: Iterable[Any], bar: Any) -> Iterator[Any]:
    try:
        for batch in batches:
            yield batch
            bar.update()
    finally:
        bar.close()
