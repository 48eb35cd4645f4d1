"""``train_on_batch``, ``test_on_batch`` and ``predict_on_batch``."""

from __future__ import annotations

from typing import Any

from einkorn.data.arrays import as_rows
from einkorn.errors import ArgumentError
from einkorn.training.batches import class_weights
from einkorn.training.compiled import compiled_of, types_of
from einkorn.training.devices import follow
from einkorn.training.evaluation import predict, run_evaluation
from einkorn.training.events import Events
from einkorn.training.held_metrics import Held
from einkorn.training.modes import training
from einkorn.training.own_steps import numbers_of, overrides, there, unbatched
from einkorn.training.step import Stepper

__all__ = ["predict_on_batch", "test_on_batch", "train_on_batch"]


def _rows(x: Any, op: str) -> int:
    """How many rows a batch has."""
    part: Any = x
    if isinstance(x, dict):
        part = next(iter(x.values()), None)
    elif isinstance(x, (tuple, list)) and x and getattr(x[0], "ndim", None):
        part = x[0]
    array = as_rows(part, f"{op}: x")
    if array.ndim == 0 or len(array) == 0:
        raise ArgumentError(f"{op}: x has no rows, expected at least one")
    return max(len(array), len(x) if isinstance(x, list) else 0)


def train_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> dict[str, float]:
    """``Stepping.train_on_batch``, as a dict."""
    op = "train_on_batch"
    state, compiled, optimizer = compiled_of(model, op)
    follow(model, moved=True)
    batches = types_of(model, compiled).batches(
        x, y, _rows(x, op), op, model,
        sample_weight=sample_weight, class_weight=class_weights(class_weight),
    )  # fmt: skip
    own = overrides(model, "train_step")
    outer = state.stepper, state.figures, state.held
    if state.stepper is None:
        kept = state.gathering
        if kept is None or kept.compiled is not compiled or kept.optimizer is not optimizer:
            kept = state.gathering = Stepper(model, compiled, optimizer, op)
        kept.fresh = True
        state.stepper = kept
    state.figures = compiled.figures()
    state.held = Held(model)
    state.held.reset()
    try:
        with training(model):
            for batch in batches:
                data = unbatched(*(there(state, *batch) if own else batch))
                logs = numbers_of(model.train_step(data), "train_step", model)
    finally:
        state.stepper, state.figures, state.held = outer
    return logs


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    """``Stepping.test_on_batch``, as a dict."""
    op = "test_on_batch"
    _, compiled, _ = compiled_of(model, op)
    follow(model, moved=True)
    batches = types_of(model, compiled).batches(x, y, _rows(x, op), op, model, sample_weight=sample_weight)
    return run_evaluation(model, compiled, batches, op, Events(None, model, {}, op))


def predict_on_batch(model: Any, x: Any) -> Any:
    """``Stepping.predict_on_batch``."""
    return predict(model, x, _rows(x, "predict_on_batch"), 0, None, None)
