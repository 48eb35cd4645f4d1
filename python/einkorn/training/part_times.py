"""Where the time of a ``fit`` goes: what it does is timed part by part when a callback asks for it.

Nothing is asked on the way of a batch: parts that are timed are put in the place of those that are not when
``fit`` begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

from einkorn.training.callbacks import Callback
from einkorn.training.step import Batched, Stepper

__all__ = ["PARTS", "PartTimes", "TimedStepper"]

PARTS = ("data", "forward", "backward", "optimizer", "callbacks", "validation", "other")


class PartTimes(Callback):
    """How long each part of the training takes, over all parts of a training that was resumed.

    "data" is waiting for batches; "forward" the model and its loss; "backward" the gradients; "optimizer"
    clipping, the update and constraints; "callbacks" the other callbacks, and what they write; "other" all
    else: metrics, bars, and steps of the user's own where they do not call the library's. On a GPU a part
    lasts until its work is handed over, and the loss is waited for in "forward".

    Attributes
    ----------
    seconds : dict of str to float
        For each of ``PARTS``; together what ``fit`` took.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._began = self._test_began = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        self._mark()
        return dict(self.seconds)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seconds = {name: float(state[name]) for name in PARTS}
        self._began = perf_counter()

    def on_train_begin(self, logs: Any = None) -> None:
        self._began = perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self._test_began = perf_counter()

    def on_test_end(self, logs: Any = None) -> None:
        self.add("validation", perf_counter() - self._test_began)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._mark()

    def on_train_end(self, logs: Any = None) -> None:
        self._mark()

    def _mark(self) -> None:
        """What went by since the last mark is "other", as far as it was not another part's."""
        now = perf_counter()
        self.seconds["other"] += now - self._began
        self._began = now

    def add(self, part: str, seconds: float) -> None:
        """So much of the time that goes by is that part's."""
        self.seconds[part] += seconds
        self.seconds["other"] -= seconds

    def batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches, and the waiting for them counted."""
        source = iter(batches)
        while True:
            began = perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            finally:
                self.add("data", perf_counter() - began)
            yield batch

    def listener(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, counted to the callbacks."""

        def timed(*arguments: Any) -> Any:
            began = perf_counter()
            try:
                return call(*arguments)
            finally:
                self.add("callbacks", perf_counter() - began)

        return timed


class TimedStepper(Stepper):
    """A ``Stepper`` that tells how long its passes take."""

    def __init__(self, *arguments: Any, times: PartTimes) -> None:
        super().__init__(*arguments)
        self.times = times

    def is_whole(self) -> bool:
        """Never: parts are told apart."""
        return False

    def forward(self, inputs: Any, target: Any, weight: Any) -> Batched:
        began = perf_counter()
        batch = super().forward(inputs, target, weight)
        self.times.add("forward", perf_counter() - began)
        return batch

    def learn(self, batch: Batched) -> None:
        seconds = self.times.seconds
        updates, began = seconds["optimizer"], perf_counter()
        super().learn(batch)
        self.times.add("backward", perf_counter() - began - (seconds["optimizer"] - updates))

    def _apply(self) -> None:
        began = perf_counter()
        super()._apply()
        self.times.add("optimizer", perf_counter() - began)
