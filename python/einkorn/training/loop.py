"""The training loop.

One batch is five steps: forget the gradients, forward, loss, backward, update. Everything else in
``_Trainer.epoch`` is bookkeeping that must cost nothing beside a step of a tenth of a millisecond:
sums are plain floats, the bar is drawn ten times a second, and the batch callbacks are called
only when somebody overrides them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from einkorn._tensor import Tensor, as_numpy
from einkorn.data.arrays import is_map_dataset
from einkorn.errors import ArgumentError, CheckpointError, EinkornError, NonFiniteError
from einkorn.optim import Optimizer
from einkorn.training import hints
from einkorn.training.batches import (
    Gathered,
    Types,
    class_weights,
    in_order,
    integer,
    is_batches,
    length,
    no_rows,
    split,
)
from einkorn.training.compiled import Compiled, compiled_of, types_of, verbosity
from einkorn.training.devices import follow, placed
from einkorn.training.evaluation import run_evaluation
from einkorn.training.events import Events
from einkorn.training.feed import Feed
from einkorn.training.held_metrics import Held
from einkorn.training.history import History
from einkorn.training.modes import training
from einkorn.training.nonfinite import Guard
from einkorn.training.own_steps import numbers_of, overrides, there, trackers_of, unbatched
from einkorn.training.part_times import TimedStepper
from einkorn.training.progress import Progress
from einkorn.training.several import Several
from einkorn.training.snapshot import random_state, set_random_state
from einkorn.training.state import State
from einkorn.training.step import Stepper

__all__ = ["Run", "fit"]


@placed("fit")
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
    transform: Any = None,
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
        transform,
    )
    if steps_per_epoch is not None:
        steps_per_epoch = integer(steps_per_epoch, "fit", "steps_per_epoch", 1)
    if validation_steps is not None:
        validation_steps = integer(validation_steps, "fit", "validation_steps", 1)
    validates = _validation_epochs(validation_freq)
    params: dict[str, Any] = {"epochs": epochs, "steps": steps_per_epoch or length(train), "verbose": verbose}
    events = Events(callbacks, model, params, "fit")
    feed = Feed(train, steps_per_epoch, kept=bool(events.keepers))
    held = Held(model)
    names = compiled.names() + held.names()
    figures = names + [f"val_{name}" for name in names if validation is not None]
    events.prepare(figures, overrides(model, "train_step") or overrides(model, "test_step") or bool(held))

    history = state.history = History()
    history.params = params
    state.stop_training, state.held = False, held
    progress = Progress(verbose, epochs)
    guard = Guard(model, optimizer) if on_nan == "raise" else None
    stepper = state.stepper = (
        Stepper(model, compiled, optimizer, "fit")
        if events.times is None
        else TimedStepper(model, compiled, optimizer, "fit", times=events.times)
    )
    run = state.run = Run(model, state, stepper, events, progress, guard, feed, history)
    run.epoch_number = initial_epoch
    logs: dict[str, float] = {}
    with training(model):
        try:
            events.look_for_backup()
            events.call("on_train_begin", {})
            first = run.restore()
            if callbacks:  # which may have brought weights from elsewhere
                follow(model)
            feed.device = state.device
            for epoch in range(first, first if state.stop_training else epochs):
                if run.done == 0:
                    held.reset()
                    events.call("on_epoch_begin", epoch, {})
                progress.begin(epoch, length(feed))
                logs, steps = run.epoch(epoch)
                if steps == 0:  # nothing is left of data that can be read once
                    break
                if validation is not None and validates(epoch + 1):
                    batches = islice(validation, validation_steps)
                    found = run_evaluation(
                        model, compiled, batches, "fit: validation_data", events, validation
                    )
                    logs.update({f"val_{name}": value for name, value in found.items()})
                run.done = 0
                events.call("on_epoch_end", epoch, logs)
                logs = numbers_of(
                    logs, "on_epoch_end: the logs", model
                )  # callbacks may have put something in
                progress.end(steps, logs)
                history.append(epoch, logs)
                run.epoch_number = epoch + 1
                events.after_epoch(epoch)
                if state.stop_training:
                    break
        except (KeyboardInterrupt, NonFiniteError):
            progress.close()
            history.align()
            events.call("on_train_end", logs)
            raise
        finally:
            progress.close()
            state.run = state.stepper = state.figures = state.held = None
        finalize = getattr(
            optimizer, "finalize", None
        )  # an optimizer of einkorn.keras with averages of weights
        if finalize is not None:
            finalize()
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
    transform: Any,
) -> tuple[Any, Any]:
    """The batches ``fit`` trains with, and those it validates with or None."""
    size = max(batch_size, 256)
    if validation_batch_size is not None:
        size = integer(validation_batch_size, "fit", "validation_batch_size", 1)
    held_out = None
    if transform is not None and not callable(transform):
        raise ArgumentError(f"fit: transform is {transform!r}, expected a function of an array")
    if is_batches(x) or is_map_dataset(x):
        if transform is not None:
            raise ArgumentError(
                "fit: transform needs arrays; give it to the DataLoader, DataLoader(transform=)"
            )
        if share:
            raise ArgumentError("fit: validation_split needs arrays; with a loader give validation_data")
        train = types.batches(
            x, y, batch_size, "fit", model,
            shuffle=shuffle, sample_weight=sample_weight, class_weight=class_weight,
        )  # fmt: skip
    else:
        names = None
        if isinstance(x, Mapping):
            x, names = in_order(x, model)
        arrays = types.arrays(x, y, sample_weight, "fit")
        weighted = sample_weight is not None
        if weighted and class_weight is not None:
            raise ArgumentError("fit: class_weight and sample_weight are both given, expected one of them")
        outputs = len(types.loss.names) if isinstance(types.loss, Several) else 1
        hints.check_rows(model, arrays[: -outputs - weighted], "fit")
        if share and validation is None:
            arrays, last = split(arrays, share)
            held_out = types.gathered(last, weighted, None, size, names=names)
        train = types.gathered(arrays, weighted, class_weight, batch_size, shuffle, names, transform)
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


class Run:
    """One ``fit`` that is going on, which can be written down and gone on with after any batch."""

    def __init__(
        self,
        model: Any,
        state: State,
        stepper: Stepper,
        events: Events,
        progress: Progress,
        guard: Guard | None,
        feed: Feed,
        history: History,
    ) -> None:
        self.model = model
        self.state = state
        self.stepper = stepper
        self.events = events
        self.progress = progress
        self.guard = guard
        self.feed = feed
        self.history = history
        self.own_step = overrides(model, "train_step")
        self.epoch_number = 0
        self.done = 0  # batches of the epoch that are behind us; 0 between epochs
        self.taught = False  # whether there was an epoch with batches
        self.figures: Any = None
        self.pending: Mapping[str, Any] | None = None  # where to go on from

    # --- going on -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a ``fit`` with the same arguments needs to go on as if it had never ended."""
        optimizer = self.stepper.optimizer
        between = self.done == 0
        gradients: list[Any] = []
        if self.stepper.gathered:
            gradients = [None if g is None else np.array(as_numpy(g)) for g in self._gradients()]
        return {
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "trained": [type(self.model).__name__, type(optimizer).__name__],
            "callbacks": self.events.state_dict(),
            "epoch": self.epoch_number,
            "stopped": self.state.stop_training,
            "done": self.done,
            "figures": None if between else self.figures.state_dict(),
            "held": [metric.state_dict() for metric in self._held()],
            "trackers": [tracker.state_dict() for tracker in self.state.trackers or ()],
            "history": [
                [epoch, row] for epoch, row in zip(self.history.epoch, self.history.rows(), strict=True)
            ],
            "feed": self.feed.state_dict(),
            "data": self.feed.measures(),
            "mark": self.feed.mark(),
            "gathered": [self.stepper.gathered, self.stepper.weight, gradients],
            "random": random_state(self.feed.generators()),
        }

    def _check_data(self, before: Mapping[str, Any], mark: int | None) -> None:
        """Refuse to go on with other data than those of what was kept."""
        now = self.feed.measures()
        for what, count in before.items():
            if count is not None and now.get(what) is not None and now[what] != count:
                raise CheckpointError(
                    f"fit: what was kept is a training with {count} {what}, and this one has {now[what]}: "
                    "give it another folder, or the arguments of the one that was kept"
                )
        if mark is not None and self.feed.mark() not in (mark, None):
            raise CheckpointError(
                "fit: what was kept is a training with as many rows, and this one's hold other numbers: give "
                "it another folder, or the data of the one that was kept"
            )

    def _held(self) -> list[Any]:
        """The metrics that the model keeps itself, as far as they can be written down."""
        return [metric for metric in self.state.held.found if hasattr(metric, "load_state_dict")]

    def _gradients(self) -> list[Any]:
        groups = self.stepper.optimizer.param_groups
        return [param.grad for group in groups for param in group["params"]]

    def restore(self) -> int:
        """Go to the place in ``pending``, if there is one; the epoch to go on in."""
        if self.pending is None:
            return self.epoch_number
        kept, self.pending = self.pending, None
        now = [type(self.model).__name__, type(self.stepper.optimizer).__name__]
        before = list(kept.get("trained", now))
        if before != now:
            raise CheckpointError(
                f"fit: what was kept is a training of {before[0]} by {before[1]}, and this one is of {now[0]}"
                f" by {now[1]}: give it another folder, or the arguments of the one that was kept"
            )
        self._check_data(kept.get("data", {}), kept.get("mark"))
        self.model.load_state_dict(kept["model"])
        self.stepper.optimizer.load_state_dict(kept["optimizer"])
        self.events.load_state_dict(kept["callbacks"])
        for epoch, row in kept["history"]:
            self.history.append(epoch, row)
        self.state.stop_training = bool(kept["stopped"])
        self.epoch_number, self.done = int(kept["epoch"]), int(kept["done"])
        if self.done:
            self.figures = self.stepper.compiled.figures()
            self.figures.load_state_dict(kept["figures"])
        if kept["trackers"]:
            for tracker, own in zip(trackers_of(self.state), kept["trackers"], strict=True):
                tracker.load_state_dict(own)
        for metric, own in zip(self._held(), kept.get("held", ()), strict=False):
            metric.load_state_dict(own)
        self.feed.load_state_dict(kept["feed"], bool(self.done) or self.feed.steps is not None)
        gathered, weight, gradients = kept["gathered"]
        if gathered:
            self.stepper.gathered, self.stepper.weight = int(gathered), float(weight)
            params = [p for group in self.stepper.optimizer.param_groups for p in group["params"]]
            for param, gradient in zip(params, gradients, strict=True):
                param.grad = None if gradient is None else Tensor(np.array(gradient))
        set_random_state(kept["random"], self.feed.generators())
        return self.epoch_number

    # --- the work -------------------------------------------------------------------------------

    def epoch(self, epoch: int) -> tuple[dict[str, float], int]:
        """One pass over the data, or what is left of it; the figures and the number of batches."""
        state, stepper, guard, progress = self.state, self.stepper, self.guard, self.progress
        self.epoch_number = epoch
        if self.done == 0:
            self.figures = stepper.compiled.figures()
        state.figures = figures = self.figures
        if isinstance(self.feed.source, Gathered):  # whose arrays nobody writes to
            figures.gather()
        targets = getattr(self.feed.source, "targets", None)
        if targets is not None:
            stepper.loss = stepper.loss.knowing(targets)
        begins, ends = self.events["on_train_batch_begin"], self.events["on_train_batch_end"]
        keeps, times = self.events.keeps, self.events.times
        logs: dict[str, float] = {}
        stepper.fresh = True
        step = self.done
        if guard is not None:
            guard.begin()
        batches = self.feed.epoch(step)
        drawn, first, whole = progress.is_drawn, step, False
        for inputs, target, weight in batches if times is None else times.batches(batches):
            for watcher in begins:
                watcher(step, {})
            if stepper.fresh:
                state.input_shape = _row_shape(inputs)
            if whole and weight is None and type(inputs) is tuple:
                number, total, values, wanted = stepper.whole(inputs, target, guard is None)
                finite = math.isfinite(number)
                if not finite and guard is not None and total:
                    self._stop(number, epoch, step, inputs, target)
                else:
                    if finite and guard is not None:
                        guard.last = number
                    figures.add(number, total, values, wanted, None)
            elif self.own_step:
                data = unbatched(*there(state, inputs, target, weight))
                logs = numbers_of(self.model.train_step(data), "train_step", self.model)
                stepper.fresh = False
                self._check_own(logs, epoch, step, inputs, target)
            else:
                batch = stepper.forward(inputs, target, weight)
                finite = math.isfinite(batch.number)
                if not finite and guard is not None and batch.total:
                    self._stop(batch.number, epoch, step, inputs, target)
                else:
                    if (finite and weight is None and stepper.counts_all) or stepper.teaches(batch):
                        stepper.learn(batch)
                    if finite and guard is not None:
                        guard.last = batch.number
                    figures.add(batch.parts, batch.total, batch.values, batch.wanted, weight)
                if step == first:
                    whole = stepper.is_whole()
            step += 1
            self.done = step
            if ends or (drawn and progress.due()):
                if not self.own_step:
                    logs = state.held.beside(figures.running(), within=True)
                for watcher in ends:
                    watcher(step - 1, logs)
                if progress.due():
                    progress.draw(step, logs)
            for keep in keeps:
                keep()
            if state.stop_training:
                break
        if step == 0 and not self.taught:
            raise no_rows("fit", self.feed.source)
        if step == 0 or self.feed.ran_out:
            after = f"after {step} of {self.feed.steps} batches" if step else "before it began"
            warnings.warn(
                f"fit: the data ran out in epoch {epoch + 1}, {after}, and the training ends: what gives the "
                "batches must give them for all epochs, or be an object that can be iterated anew",
                UserWarning,
                stacklevel=4,
            )
            state.stop_training = True
        if step == 0:
            return {}, 0
        if not self.taught:
            state.held.look()
        self.taught = True
        stepper.update()
        if guard is not None:
            guard.check_weights(epoch)
        return (logs if self.own_step else state.held.beside(figures.final())), step

    def _stop(self, number: float, epoch: int, step: int, inputs: Any, target: Any) -> None:
        """What is done at a loss that is not finite."""
        assert self.guard is not None
        error = self.guard.stop(number, epoch, step, inputs, target)
        self.stepper.gathered, self.stepper.weight = 0, 0.0
        if not self.events.ends_at_nan:
            raise error
        self.state.stop_training = True
        self.history.stop_reason = str(error)

    def _check_own(self, logs: dict[str, float], epoch: int, step: int, inputs: Any, target: Any) -> None:
        """A train_step of the user's has updated already: only its loss tells."""
        number = logs.get("loss", 0.0)
        if self.guard is None:
            return
        if math.isfinite(number):
            self.guard.last = number
        else:
            self._stop(number, epoch, step, inputs, target)


def _row_shape(inputs: tuple[np.ndarray, ...]) -> tuple[int, ...] | None:
    """The shape of a row, where an example can be made from it."""
    if len(inputs) == 1 and inputs[0].dtype.kind == "f":
        return inputs[0].shape[1:]
    return None
