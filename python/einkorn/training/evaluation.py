"""``evaluate`` and ``predict``: a model in evaluation mode, batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any

import numpy as np

from einkorn._console import open_bar
from einkorn._range_checks import later
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array, is_map_dataset
from einkorn.data.loader import DataLoader
from einkorn.data.rows import lent
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn._folding import folding
from einkorn.nn.regularizers import penalty_of
from einkorn.training import hints
from einkorn.training.batches import (
    Loaded,
    Named,
    Types,
    call_model,
    float_type,
    in_order,
    integer,
    is_batches,
    length,
    no_rows,
)
from einkorn.training.compiled import Compiled, compiled_of, types_of, verbosity
from einkorn.training.devices import on_device, placed
from einkorn.training.events import Events
from einkorn.training.forward import Forward
from einkorn.training.held_metrics import Held
from einkorn.training.modes import evaluating
from einkorn.training.own_steps import numbers_of, overrides, there, unbatched
from einkorn.training.state import state_of

__all__ = ["Tester", "evaluate", "predict", "run_evaluation"]

_WORTH_FOLDING = 8  # rows: multiplying the weights costs what a few rows save


@placed("evaluate")
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
    _, compiled, _ = compiled_of(model, "evaluate")
    size = 256 if batch_size is None else integer(batch_size, "evaluate", "batch_size", 1)
    types = types_of(model, compiled)
    batches = types.batches(x, y, size, "evaluate", model, sample_weight=sample_weight)
    count = _steps(batches, steps, "evaluate")
    shown = verbosity(verbose, "evaluate")
    events = Events(callbacks, model, {"epochs": 1, "steps": count, "verbose": shown}, "evaluate")
    wanted = _shown(_whole(islice(batches, steps), steps), count, shown, "evaluate")
    return run_evaluation(model, compiled, wanted, "evaluate", events, batches)


def _whole(batches: Iterable[Any], steps: int | None) -> Iterator[Any]:
    """The batches, and a warning if they are fewer than were asked for."""
    step = 0
    for step, batch in enumerate(batches, 1):  # noqa: B007 - counted
        yield batch
    if steps is not None and 0 < step < steps:
        warnings.warn(
            f"evaluate: the data ran out after {step} of {steps} batches, whose figures these are",
            UserWarning,
            stacklevel=5,
        )


def run_evaluation(
    model: Any, compiled: Compiled, batches: Any, op: str, events: Events, source: Any = None
) -> dict[str, float]:
    """The figures of some batches; ``source`` is what they are taken from."""
    state = state_of(model)
    outer = state.figures, state.tester, state.held
    state.tester = tester = Tester(model, compiled, op)
    state.figures = figures = compiled.figures()
    state.held = held = Held(model)
    held.reset()
    own = overrides(model, "test_step")
    logs: dict[str, float] = {}
    step = 0
    try:
        events.call("on_test_begin", {})
        with evaluating(model):
            for inputs, target, weight in batches:
                events.call("on_test_batch_begin", step, {})
                if step == 0:
                    hints.check_rows(model, inputs, op)
                if own:
                    data = unbatched(*there(state, inputs, target, weight))
                    logs = numbers_of(model.test_step(data), "test_step", model)
                else:
                    tester.add(figures, inputs, target, weight)
                if events["on_test_batch_end"]:
                    events.call(
                        "on_test_batch_end",
                        step,
                        logs if own else held.beside(figures.running(), within=True),
                    )
                step += 1
    finally:
        state.figures, state.tester, state.held = outer
    if step == 0:
        raise no_rows(op, source)
    if not own:
        held.look()
        logs = held.beside(figures.final())
    events.call("on_test_end", logs)
    return logs


class Tester(Forward):
    """The loss of one batch after the other, without gradients."""

    def add(self, figures: Any, inputs: Any, target: Any, weight: Any) -> None:
        """Enter a batch into the figures."""
        with later(self.state.device) as look:
            output, values = self.run(inputs)
            loss = self.loss
            wanted = loss.prepare(values, target)
            value, parts = self.loss_of(output, wanted, weight)
            look()
            values = values if self.state.device == "cpu" else on_device(values, "cpu")
        number = parts
        penalty = penalty_of(self.penalized)
        extra = 0.0 if penalty is None else penalty.item()
        if parts is None:
            number = float(value.item() if isinstance(value, Tensor) else value) * self.compiled.loss_weight
            number += extra
        elif penalty is not None:
            number.append(extra)
        figures.add(number, loss.total(values, wanted), values, wanted, weight)


@placed("predict", compiled=False)
def predict(
    model: Any,
    x: Any,
    batch_size: int | None,
    verbose: Any,
    steps: int | None,
    callbacks: Any,
) -> Any:
    """``Trainable.predict``."""
    size = 256 if batch_size is None else integer(batch_size, "predict", "batch_size", 1)
    types = Types(float_type(model), device=state_of(model).device)
    if is_map_dataset(x) and not is_batches(x):
        x = DataLoader(x, size)
    rows = None
    if is_batches(x):
        loaded = Loaded(x, types, "predict", model)
        batches: Any = loaded.each_input()
        count = _steps(loaded, steps, "predict")
    else:
        names = None
        if isinstance(x, Mapping):
            x, names = in_order(x, model)
        arrays = types.inputs(x, "predict")
        hints.check_rows(model, arrays, "predict")
        rows = len(arrays[0])
        count = _steps(range(0, max(rows, 1), size), steps, "predict")
        batches = _slices(arrays, size, names)
        if steps is not None:
            rows = min(rows, steps * size)
    shown = verbosity(verbose, "predict")
    events = Events(callbacks, model, {"steps": count, "verbose": shown}, "predict")
    batches = _shown(islice(batches, steps), count, shown, "predict")
    events.call("on_predict_begin", {})
    few = rows is not None and rows < _WORTH_FOLDING
    with evaluating(model), nullcontext() if few else folding():
        result = _outputs(model, batches, rows, events)
    events.call("on_predict_end", {})
    return result


def _slices(
    arrays: tuple[np.ndarray, ...], size: int, names: tuple[str, ...] | None
) -> Iterator[tuple[np.ndarray, ...]]:
    """The rows, so many at a time, so that nothing can write into them; one batch if there are none."""
    views = [lent(array) for array in arrays]
    for start in range(0, max(len(views[0]), 1), size):
        parts = tuple(view[start : start + size] for view in views)
        yield parts if names is None else Named.of(names, parts)


def _outputs(model: Any, batches: Iterable[Any], rows: int | None, events: Events) -> Any:
    """Outputs of all batches, in memory of their own: a layer that changes nothing returns its input."""
    joined: list[_Joined] = []
    shape: Any = None
    done = 0
    own = overrides(model, "predict_step")
    for step, inputs in enumerate(batches):
        events.call("on_predict_batch_begin", step, {})
        if own:
            output = model.predict_step(unbatched(*there(state_of(model), inputs, None, None))[0])
        else:
            with later(state_of(model).device) as look:
                output = hints.call(model, inputs, "predict") if step == 0 else call_model(model, inputs)
                look()
        several = isinstance(output, (tuple, list, Mapping))
        parts = list(output.values() if isinstance(output, Mapping) else output) if several else [output]
        if step == 0:
            shape = _shape_of(output)
            joined = [_Joined(rows) for _ in parts]
        for one, part in zip(joined, parts, strict=True):
            one.add(_rows(part, inputs), done)
        done += len(inputs[0])
        if events["on_predict_batch_end"]:
            events.call("on_predict_batch_end", step, {"outputs": _arrays(output)})
    if not joined:
        raise ArgumentError("predict: the loader gave no batches, expected at least one")
    return shape([one.all() for one in joined])


def _arrays(output: Any) -> Any:
    if isinstance(output, Mapping):
        return {name: part._data if isinstance(part, Tensor) else part for name, part in output.items()}
    if isinstance(output, (tuple, list)):
        return [part._data if isinstance(part, Tensor) else part for part in output]
    return output._data if isinstance(output, Tensor) else output


def _shape_of(output: Any) -> Any:
    """What puts arrays together again as the model gives them: alone, in a list, or in a dict."""
    if isinstance(output, Mapping):
        names = list(output)
        return lambda arrays: dict(zip(names, arrays, strict=True))
    return (lambda arrays: arrays) if isinstance(output, (tuple, list)) else (lambda arrays: arrays[0])


def _rows(output: Any, inputs: Any) -> np.ndarray:
    """An output's array, which has a row for each of the input."""
    array = output._data if isinstance(output, Tensor) else as_array(output, "predict: the model's output")
    array = on_device(array, "cpu")
    if array.ndim == 0 or len(array) != len(inputs[0]):
        raise ShapeError(
            f"predict: the model gives shape {array.shape} for {len(inputs[0])} rows, expected a row "
            f"for each; x has shape {inputs[0].shape}: does it lack an axis?"
        )
    return array


class _Joined:
    """Rows of one output, put one below the other."""

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._out: np.ndarray | None = None
        self._parts: list[np.ndarray] = []

    def add(self, output: np.ndarray, done: int) -> None:
        if self._rows is None:
            self._parts.append(np.array(output))
            return
        if self._out is None:
            self._out = np.empty((self._rows, *output.shape[1:]), output.dtype)
        self._out[done : done + len(output)] = output

    def all(self) -> np.ndarray:
        if self._out is not None:
            return self._out
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)


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
