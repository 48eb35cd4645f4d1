"""Several outputs, with a loss and metrics each, behind the same face as one loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError
from einkorn.training.losses import Loss, find_loss
from einkorn.training.metrics import Figures, Metric, all_metrics

__all__ = ["Several", "SeveralFigures", "by_output", "column", "find_losses"]


class Several(NamedTuple):
    """The losses of the outputs in their order, and what each counts in the sum."""

    losses: tuple[Loss, ...]
    weights: tuple[float, ...]
    names: tuple[str, ...]
    keyed: bool  # outputs and targets are dicts
    places: tuple[int, ...] = ()  # which parts of a tuple have a loss; () all of them

    def widening(self) -> Several:
        """See ``Loss.widening``."""
        return self._replace(losses=tuple(loss.widening() for loss in self.losses))

    def knowing(self, targets: tuple[np.ndarray, ...]) -> Several:
        """See ``Loss.knowing``."""
        each = zip(self.losses, targets, strict=True)
        return self._replace(losses=tuple(loss.knowing(part) for loss, part in each))

    @property
    def summed(self) -> bool:
        """Whether a batch's loss is a sum over its rows and no mean."""
        return all(loss.summed for loss in self.losses)

    @property
    def is_mean(self) -> bool:
        """Not as ``Loss.is_mean``: an output may count nothing beside others that do."""
        return False

    def outputs(self, output: Any, op: str) -> tuple[np.ndarray, ...]:
        """The arrays of what the model gave, in the order of the losses."""
        return tuple(
            part._data if isinstance(part, Tensor) else as_array(part, f"{op}: the model's output")
            for part in self.parts(output, op)
        )

    def parts(self, output: Any, op: str) -> tuple[Any, ...]:
        """What the model gave, or targets, in the order of the losses."""
        if isinstance(output, Mapping):
            missing = [name for name in self.names if name not in output]
            if missing or not self.keyed:
                raise ArgumentError(
                    f"{op}: got a dict of {', '.join(map(str, output))}, expected "
                    + (", ".join(self.names) if self.keyed else f"a tuple of {len(self.names)} arrays")
                )
            return tuple(output[name] for name in self.names)
        if self.places and isinstance(output, (tuple, list)) and len(output) > self.places[-1]:
            return tuple(output[place] for place in self.places)
        if not isinstance(output, (tuple, list)) or len(output) != len(self.names):
            found = f"{len(output)} parts" if isinstance(output, (tuple, list)) else type(output).__name__
            raise ArgumentError(
                f"{op}: got {found}, expected {len(self.names)} parts, one for each of the losses of "
                f"{', '.join(self.names)}"
            )
        return tuple(output)

    def settle(self, output: tuple[np.ndarray, ...], last: Callable[[], str] = str) -> Several:
        """See ``Loss.settle``; which layer is the last of which output is not known."""
        return self._replace(
            losses=tuple(loss.settle(part) for loss, part in zip(self.losses, output, strict=True))
        )

    def prepare(self, output: Any, target: Any) -> tuple[np.ndarray, ...]:
        """The targets in the shapes and types that the losses take."""
        return tuple(
            loss.prepare(part, wanted) for loss, part, wanted in zip(self.losses, output, target, strict=True)
        )

    def total(self, output: Any, target: Any) -> float:
        """The rows of a batch; 0 if no output has anything to learn from."""
        each = self._totals(output, target)
        return float(len(target[0])) if any(each) else 0.0

    def _totals(self, output: Any, target: Any) -> list[float]:
        return [
            loss.total(part, wanted) for loss, part, wanted in zip(self.losses, output, target, strict=True)
        ]

    def batch(self, output: Any, target: Any, weight: np.ndarray | None) -> tuple[Any, list[float]]:
        """The sum of the losses times their weights, and each loss without its weight."""
        value: Any = None
        numbers = []
        each = zip(self.losses, self.weights, self.parts(output, "fit"), target, strict=True)
        for i, (loss, factor, part, wanted) in enumerate(each):
            own = column(weight, i)
            one = loss.mean(part, wanted) if own is None else loss.weighted(part, wanted, own)
            numbers.append(one.item() if isinstance(one, Tensor) else float(one))
            if factor != 1.0:
                one = ops.multiply(one, factor)
            value = one if value is None else ops.add(value, one)
        return value, numbers


def column(weight: np.ndarray | None, i: int) -> np.ndarray | None:
    """The weights of the rows for one output: [rows] are those of all, [rows, outputs] each has its own."""
    return np.ascontiguousarray(weight[:, i]) if weight is not None and weight.ndim == 2 else weight


class SeveralFigures:
    """The figures of each output, under its name, and the sum of the losses."""

    def __init__(self, loss: Several, metrics: tuple[list[Metric], ...]) -> None:
        self._loss = loss
        self._figures = [Figures(one, list(some)) for one, some in zip(loss.losses, metrics, strict=True)]
        self._penalty = 0.0
        self._rows = 0.0

    def gather(self) -> None:
        """See ``Figures.gather``."""
        for figures in self._figures:
            figures.gather()

    def add(
        self,
        numbers: Any,
        total: float,
        output: Any,
        target: Any,
        weight: np.ndarray | None,
    ) -> None:
        """A batch: see ``Figures.add``."""
        totals = self._loss._totals(output, target)
        for i, figures in enumerate(self._figures):
            figures.add(numbers[i], totals[i], output[i], target[i], column(weight, i))
        if len(numbers) > len(self._figures):  # the regularizers' share comes last
            self._penalty += numbers[-1] * total
            self._rows += total

    def _joined(self, each: list[dict[str, float]]) -> dict[str, float]:
        # an output without anything to learn from adds nothing to the sum
        terms = [
            factor * logs["loss"]
            for factor, logs in zip(self._loss.weights, each, strict=True)
            if logs["loss"] == logs["loss"]
        ]
        penalty = self._penalty / self._rows if self._rows else 0.0
        joined = {"loss": sum(terms) + penalty if terms else float("nan")}
        for name, logs in zip(self._loss.names, each, strict=True):
            joined.update({f"{name}_{key}": value for key, value in logs.items()})
        return joined

    def running(self) -> dict[str, float]:
        """The figures so far."""
        return self._joined([figures.running() for figures in self._figures])

    def final(self) -> dict[str, float]:
        """The figures over all rows."""
        return self._joined([figures.final() for figures in self._figures])

    def state_dict(self) -> dict[str, Any]:
        """What the figures so far are computed from."""
        own = [figures.state_dict() for figures in self._figures]
        return {"outputs": own, "penalty": self._penalty, "rows": self._rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        for figures, own in zip(self._figures, state["outputs"], strict=True):
            figures.load_state_dict(own)
        self._penalty, self._rows = float(state["penalty"]), float(state["rows"])


def by_output(value: Any, names: Sequence[str], keyed: bool, argument: str) -> list[Any]:
    """What ``compile`` was given for each output; None where nothing was."""
    if value is None:
        return [None] * len(names)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in names]
        if unknown:
            raise ArgumentError(
                f"compile: {argument} names {', '.join(map(str, unknown))}, expected some of "
                f"{', '.join(names)}"
            )
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)) and len(value) == len(names):
        if argument == "loss_weights" or all(one is None or isinstance(one, (list, tuple)) for one in value):
            return list(value)
        return [[one] if one is not None and not isinstance(one, (list, tuple)) else one for one in value]
    raise ArgumentError(
        f"compile: {argument} is {value!r}, expected a dict by output or a list of {len(names)}, one for each"
    )


def find_losses(
    loss: Any, loss_weights: Any, metrics: Any, weighted: Any, from_logits: bool | None
) -> tuple[Several, tuple[list[Metric], ...]]:
    """The losses and metrics of a dict or list of losses."""
    keyed = isinstance(loss, Mapping)
    named = loss.items() if keyed else ((f"output_{i}", one) for i, one in enumerate(loss, 1))
    with_loss = [(i, str(name), one) for i, (name, one) in enumerate(named) if one is not None]
    if not with_loss:
        raise ArgumentError("compile: loss has no entries, expected one for an output at least")
    places = tuple(i for i, _, _ in with_loss) if len(with_loss) < len(loss) else ()
    names = [name for _, name, _ in with_loss]
    losses = [find_loss(one, from_logits) for _, _, one in with_loss]
    if places and not keyed:  # lists have an entry for each output, whether it has a loss or not
        loss_weights, metrics, weighted = (
            [value[i] for i in places]
            if isinstance(value, (list, tuple)) and len(value) == len(loss)
            else value
            for value in (loss_weights, metrics, weighted)
        )
    if len({one.summed for one in losses}) > 1:
        raise ArgumentError(
            "compile: some losses are sums and others means, expected losses of one reduction"
        )
    weights = []
    for name, one in zip(names, by_output(loss_weights, names, keyed, "loss_weights"), strict=True):
        if one is not None and (isinstance(one, bool) or not isinstance(one, (int, float, np.floating))):
            raise ArgumentError(f"compile: the loss weight of {name} is {one!r}, expected a number")
        weights.append(1.0 if one is None else float(one))
    found = []
    plain = by_output(metrics, names, keyed, "metrics")
    heavy = by_output(weighted, names, keyed, "weighted_metrics")
    for one, some, others in zip(losses, plain, heavy, strict=True):
        listed = [[each] if isinstance(each, str) or callable(each) else each for each in (some, others)]
        found.append(all_metrics(listed[0], listed[1], one))
    return Several(tuple(losses), tuple(weights), tuple(names), keyed, places), tuple(found)
