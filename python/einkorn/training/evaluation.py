"""``evaluate`` and ``predict``: a model in evaluation mode, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from einkorn._console import open_bar
from einkorn.data.arrays import is_map_dataset
from einkorn.data.loader import DataLoader
from einkorn.errors import ArgumentError, ShapeError
from einkorn.training import hints
from einkorn.training.batches import Loaded, Types, float_type, integer, is_batches, length, output_of
from einkorn.training.compiled import Compiled, compiled_of, types_of, verbosity
from einkorn.training.events import Events
from einkorn.training.metrics import Figures
from einkorn.training.modes import evaluating

__all__ = ["evaluate", "predict", "run_evaluation"]


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
    wanted = _shown(islice(batches, steps), count, shown, "evaluate")
    return run_evaluation(model, compiled, wanted, "evaluate", events)


def run_evaluation(model: Any, compiled: Compiled, batches: Any, op: str, events: Events) -> dict[str, float]:
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
    shown = verbosity(verbose, "predict")
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
