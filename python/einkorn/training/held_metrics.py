"""Metrics that a model or its layers keep as attributes: found, reset, told beside those of ``compile``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from einkorn.metrics import Metric as Stream
from einkorn.training.figures import plain
from einkorn.training.metrics import flat
from einkorn.training.state import state_of

__all__ = ["Held", "held_by", "listed"]

# Attributes that hold what a model was made or compiled with, and nothing of its own.
_NOT_ITS_OWN = frozenset(("_compiled_with", "_made_with", "_training_state", "_waiting"))


def _within(value: Any) -> Iterator[Stream]:
    """The metrics in an attribute: itself, or those of a list or dict."""
    if isinstance(value, Stream):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, (Stream, list, tuple, dict)):
                yield from _within(part)


def held_by(model: Any) -> list[Stream]:
    """The metrics among the attributes of a model and its layers, each once, without those of ``compile``.

    As in Keras those of a model of Keras' kind within the model are left out: they are for its own ``fit``.
    """
    compiled = state_of(model).compiled
    seen = {id(metric.stream) for metric in compiled.all_metrics()} if compiled is not None else set()
    found: list[Stream] = []
    for module in model.modules():
        if module is not model and getattr(module, "_keeps_its_metrics", False):
            continue
        for name, value in module.__dict__.items():
            if isinstance(value, (Stream, list, tuple, dict)) and name not in _NOT_ITS_OWN:
                for metric in _within(value):
                    if id(metric) not in seen:
                        seen.add(id(metric))
                        found.append(metric)
    return found


def listed(model: Any) -> list[Any]:
    """What ``model.metrics`` has of metrics, where that name is not used for something else."""
    value = model.metrics
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return held_by(model)
    return [metric for metric in value if hasattr(metric, "reset_state")]


class Held:
    """The metrics of a model beside those of ``compile``, looked for once so that batches need not."""

    def __init__(self, model: Any) -> None:
        from einkorn.training.stepping import Stepping

        kind = type(model)
        self._model = model
        self._keeps = getattr(model, "_keeps_its_metrics", False)  # as Keras' models do
        self._state = state_of(model)
        # Whether the model says itself which metrics there are, or how they are reset.
        self._lists = kind.metrics is not Stepping.metrics
        self._resets = self._lists or kind.reset_metrics is not Stepping.reset_metrics
        self.found: list[Any] = []
        self._made = 0
        self.look()

    def __bool__(self) -> bool:
        return bool(self.found)

    def look(self) -> None:
        """Find them, those too that the first batch may have brought."""
        if self._made == Stream._made and not self._lists:
            return
        self._made = Stream._made
        if not self._lists:
            self.found = held_by(self._model)
            return
        compiled = self._state.compiled
        known = {id(tracker) for tracker in self._state.trackers or ()}
        known |= {id(metric.stream) for metric in compiled.all_metrics()} if compiled is not None else set()
        self.found = [metric for metric in listed(self._model) if id(metric) not in known]

    def reset(self) -> None:
        """Forget the rows of the epoch before."""
        for tracker in self._state.trackers or ():
            tracker.reset_state()
        if self._resets:
            self._model.reset_metrics()
        else:
            for metric in self.found:
                metric.reset_state()

    def names(self) -> list[str]:
        """What their figures will be called."""
        return [metric.name for metric in self.found]

    def beside(self, figures: dict[str, float], within: bool = False) -> dict[str, float]:
        """The figures of ``compile``, and these that have other names; ``within`` an epoch the quick ones."""
        if not self.found:
            return figures
        logs = dict(figures)
        for metric in self.found:
            if within and getattr(metric, "costly", False):
                continue
            result = metric.result()
            if isinstance(result, Mapping):
                parts = {str(name): plain(value) for name, value in result.items()}
            else:
                parts = flat(metric.name, result, self._keeps)
            for name, value in parts.items():
                if name not in figures:
                    logs[name] = value
        return logs
