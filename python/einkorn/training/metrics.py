"""Metrics as ``compile`` takes them, and the figures of an epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._masked import refuse_masked
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.training.figures import plain, single
from einkorn.training.losses import Loss, in_our_order

__all__ = ["Figures", "Metric", "accuracy", "find_metrics", "flat"]

_MOST = 1 << 14  # numbers of outputs that wait to be counted
Parts = tuple[float, float]  # a sum, and the weight it is divided by


class Metric(NamedTuple):
    """A figure that is summed up batch by batch, or computed once over all rows."""

    name: str
    parts: Callable[..., Parts] | None  # (output, target, weight or None) -> sum and weight
    whole: Callable[..., Any] | None = None  # (output, target) of all rows -> a number, or one a row
    weighted: bool = False
    stream: Any = None  # an ``einkorn.metrics.Metric``, which keeps its own account
    keeps: bool = False  # a result of several numbers stays an array, as in Keras
    counts: bool = False  # without weights its sums are whole numbers, the same in any order


def accuracy(
    output: np.ndarray, target: np.ndarray, threshold: float = 0.5, *, ignore_index: int = -100
) -> float:
    """Share of correct predictions.

    Parameters
    ----------
    output : array
        [n, classes, ...] scores of classes, or [n] or [n, 1] with a score of the second class.
    target : array
        Class numbers [n, ...] or [n, 1, ...], or one-hot rows shaped like the scores, or [n] or [n, 1] of 0
        and 1.
    threshold : float, default 0.5
        From where on a single score means the second class: 0.5 for probabilities, 0 for logits.
    ignore_index : int, keyword-only, default -100
        Rows with this class number are left out, as in the loss. NaN if none is left.

    Raises
    ------
    ShapeError
        The shapes fit none of these.
    """
    refuse_masked(output, "accuracy: output")
    refuse_masked(target, "accuracy: target")
    total, count = _accuracy_parts(output, target, None, threshold, ignore_index)
    return total / count if count else float("nan")


def _accuracy_parts(
    output: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    threshold: float = 0.5,
    ignore_index: int = -100,
) -> Parts:
    shape = output.shape
    if len(shape) > 1 and shape[1] > 1:
        predicted = ops.argmax(output, 1)
        if target.shape == shape:
            target = ops.argmax(target, 1) if target.dtype.kind == "f" else target.argmax(1)
        elif target.shape == (shape[0], 1, *shape[2:]):
            target = target.reshape(predicted.shape)
        if target.shape == predicted.shape:
            return _hits(predicted == target, target != ignore_index, weight)
    elif shape and shape[0] == output.size == target.size and target.shape[:1] == shape[:1]:
        target = target.reshape(-1)
        return _hits((output.reshape(-1) >= threshold) == (target >= 0.5), target != ignore_index, weight)
    raise ShapeError(
        f"accuracy: output has shape {shape}, so target must hold class numbers, one-hot rows "
        f"or a single column, got shape {target.shape}"
    )


def _hits(hits: np.ndarray, counted: np.ndarray, weight: np.ndarray | None) -> Parts:
    if weight is None:
        count = np.count_nonzero(counted)
        return float(np.count_nonzero(hits if count == hits.size else hits & counted)), float(count)
    weights = _spread(weight, counted.ndim) * counted
    return float((weights * hits).sum(dtype=np.float64)), float(weights.sum(dtype=np.float64))


def _spread(weight: np.ndarray, ndim: int) -> np.ndarray:
    return weight.reshape(-1, *[1] * (ndim - 1))


def _error_parts(
    output: np.ndarray, target: np.ndarray, weight: np.ndarray | None, op: Callable[..., Any]
) -> Parts:
    if weight is None:
        return float(op(output, target, reduction="sum")), float(output.size)
    weights = np.broadcast_to(_spread(weight, output.ndim), output.shape)
    errors = op(output, target, reduction="none")
    return float((weights * errors).sum(dtype=np.float64)), float(weights.sum(dtype=np.float64))


_SQUARED = functools.partial(_error_parts, op=ops.mse_loss)
_ABSOLUTE = functools.partial(_error_parts, op=ops.l1_loss)
METRICS: dict[str, Callable[..., Parts]] = {
    "accuracy": _accuracy_parts,
    "acc": _accuracy_parts,
    "mse": _SQUARED,
    "mean_squared_error": _SQUARED,
    "mae": _ABSOLUTE,
    "mean_absolute_error": _ABSOLUTE,
}


def find_metrics(metrics: Any, loss: Loss, weighted: bool = False) -> list[Metric]:
    """The metrics that ``compile`` was given."""
    argument = "weighted_metrics" if weighted else "metrics"
    if metrics is None:
        return []
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise ArgumentError(f"compile: {argument} is {metrics!r}, expected a list")
    found: list[Metric] = []
    for metric in metrics:
        one = _find_metric(metric, loss)._replace(weighted=weighted)
        if one.name == "loss" or one.name in [other.name for other in found]:
            raise ArgumentError(f"compile: metric {one.name!r} is given twice or named as the loss")
        found.append(one)
    return found


def all_metrics(metrics: Any, weighted: Any, loss: Loss) -> list[Metric]:
    """The metrics, and those with the rows' weights: "weighted_NAME" where both have one, as in Keras."""
    plain = find_metrics(metrics, loss)
    taken = {metric.name for metric in plain}
    heavy = [
        metric._replace(name=f"weighted_{metric.name}") if metric.name in taken else metric
        for metric in find_metrics(weighted, loss, weighted=True)
    ]
    shared = taken & {metric.name for metric in heavy}
    if shared:
        raise ArgumentError(
            f"compile: metrics and weighted_metrics share a name, {', '.join(sorted(shared))}"
        )
    return [*plain, *heavy]


def _find_metric(metric: Any, loss: Loss) -> Metric:
    if metric is accuracy:
        metric = "accuracy"
    short = metric.lower() if isinstance(metric, str) and metric.isupper() else metric  # "MSE" is Keras' name
    if isinstance(short, str) and short in METRICS:
        parts = METRICS[short]
        if parts is _accuracy_parts:
            ignored = loss.option("ignore_index", -100)
            parts = functools.partial(parts, threshold=loss.threshold, ignore_index=ignored)
            return Metric(metric, parts, counts=True)
        return Metric(metric, parts)
    from einkorn.metrics import Metric as Stream
    from einkorn.metrics import find, names

    if isinstance(metric, str):
        metric = find(metric, threshold=loss.threshold) or metric
    if isinstance(metric, Stream):
        return Metric(metric.name, None, stream=metric)
    if callable(metric) and not isinstance(metric, type):
        return Metric(getattr(metric, "__name__", type(metric).__name__), None, in_our_order(metric))
    what = repr(metric) if isinstance(metric, str) else type(metric).__name__
    if isinstance(metric, type):
        what = f"the class {metric.__name__}"
    raise ArgumentError(
        f"compile: metric is {what}, expected a function or one of {', '.join([*METRICS, *names()])}"
    )


class Figures:
    """Loss and metrics over the rows seen so far.

    Sums are plain floats. A function of the user's may be no mean at all (a root, an F score), so for such a
    one outputs and targets are kept, and it is called once, on all rows.
    """

    def __init__(self, loss: Loss, metrics: list[Metric]) -> None:
        self._summed = loss.summed
        self._metrics = metrics
        self._sums = [0.0] * (1 + len(metrics))
        self._totals = [0.0] * (1 + len(metrics))
        by_parts = [(i, m, m.parts) for i, m in enumerate(metrics, 1) if m.parts is not None]
        self._counted = [(i, parts) for i, m, parts in by_parts if m.counts and not m.weighted]
        self._by_parts = [(i, parts, m.weighted) for i, m, parts in by_parts if m.weighted or not m.counts]
        self._batches: list[tuple[np.ndarray, np.ndarray]] = []  # that are yet to be counted
        self._size = 0  # of their outputs
        self._most = self._limit = 0
        self._whole = [m for m in metrics if m.whole is not None]
        self._streams = [m for m in metrics if m.stream is not None]
        for metric in self._streams:
            metric.stream.reset_state()
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
        self._others = bool(self._by_parts or self._streams or self._whole)

    def gather(self) -> None:
        """Count hits of many batches at a time: outputs and targets will be what they are when it is done.

        On a small model a call of NumPy costs more after every batch, whose numbers have driven it out of the
        caches, than what it computes.
        """
        self._limit = _MOST  # from the second batch on: what does not fit is told by the first

    def _count(self) -> None:
        batches, self._batches, self._size = self._batches, [], 0
        self._most = self._limit
        if len({(output.shape[1:], target.shape[1:]) for output, target in batches}) == 1:
            outputs, targets = zip(*batches, strict=True)
            batches = [(np.concatenate(outputs), np.concatenate(targets))] if len(batches) > 1 else batches
        for output, target in batches:
            for i, parts in self._counted:
                value, count = parts(output, target, None)
                self._sums[i] += value
                self._totals[i] += count

    def add(
        self, loss: float, total: float, output: np.ndarray, target: np.ndarray, weight: np.ndarray | None
    ) -> None:
        """A batch: its loss, what that counts, and what metrics are computed from."""
        if total:
            self._sums[0] += loss if self._summed else loss * total
            self._totals[0] += total
        if self._counted:
            self._batches.append((output, target))
            self._size += output.size
            if self._size > self._most:
                self._count()
        if self._others:
            self._add_others(output, target, weight)

    def _add_others(self, output: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        """Metrics that are not counted many batches at a time."""
        for i, parts, weighted in self._by_parts:
            value, count = parts(output, target, weight if weighted else None)
            self._sums[i] += value
            self._totals[i] += count
        for metric in self._streams:
            metric.stream.update_state(target, output, weight if metric.weighted else None)
        if self._whole:
            self._kept.append((output.copy(), target.copy(), weight))

    def running(self) -> dict[str, float]:
        """The figures so far, without those that are computed at the end."""
        self._count()
        logs = {"loss": self._mean(0)}
        for i, metric in enumerate(self._metrics, 1):
            if metric.parts is not None:
                logs[metric.name] = self._mean(i)
            elif metric.stream is not None and not metric.stream.costly:
                logs.update(flat(metric.name, metric.stream.result(), metric.keeps))
        return logs

    def final(self) -> dict[str, float]:
        """The figures over all rows."""
        self._count()
        logs = {"loss": self._mean(0)}
        output = target = weight = None
        if self._whole and self._kept:
            output = np.concatenate([kept[0] for kept in self._kept])
            target = np.concatenate([kept[1] for kept in self._kept])
            if self._kept[0][2] is not None:
                weight = np.concatenate([kept[2] for kept in self._kept])
        for i, metric in enumerate(self._metrics, 1):
            if metric.stream is not None:
                logs.update(flat(metric.name, metric.stream.result(), metric.keeps))
            elif metric.whole is None:
                logs[metric.name] = self._mean(i)
            else:
                logs[metric.name] = _one_number(metric, metric.whole(output, target), weight)
        return logs

    def state_dict(self) -> dict[str, Any]:
        """What the figures so far are computed from."""
        self._count()
        kept = [list(batch) for batch in self._kept]
        streams = [metric.stream.state_dict() for metric in self._streams]
        return {"sums": list(self._sums), "totals": list(self._totals), "kept": kept, "streams": streams}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._sums, self._totals = list(state["sums"]), list(state["totals"])
        self._kept = [(batch[0], batch[1], batch[2]) for batch in state["kept"]]
        for metric, own in zip(self._streams, state["streams"], strict=True):
            metric.stream.load_state_dict(own)

    def _mean(self, i: int) -> float:
        if i == 0 and self._summed:
            return self._sums[0]
        return self._sums[i] / self._totals[i] if self._totals[i] else float("nan")


def flat(name: str, value: Any, keeps: bool = False) -> dict[str, Any]:
    """A figure, or one for each class where a metric gives several; ``keeps`` leaves them an array."""
    return {name: plain(value)} if keeps else single({name: value})


def _one_number(metric: Metric, value: Any, weight: np.ndarray | None) -> float:
    values = as_numpy(value)
    if values.dtype.kind not in "fiub":
        raise ArgumentError(
            f"metrics: {metric.name} gave {type(value).__name__}, expected a number or one for each row"
        )
    if not metric.weighted or weight is None:
        return float(values.mean())
    if values.shape[:1] != weight.shape:
        raise ArgumentError(
            f"weighted_metrics: {metric.name} gives shape {values.shape}, expected one value for each of the "
            f"{len(weight)} rows, so that they can be weighted"
        )
    values = values.reshape(len(weight), -1).mean(1)
    return float((values * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
