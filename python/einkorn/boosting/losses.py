"""The losses that gradient boosting minimises: where scores start, gradients, leaves fitted anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from einkorn._device import move
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import leaf_quantile, sigmoid, softmax
from einkorn.ops.boost_loss import launch

__all__ = ["CustomObjective", "Objective", "Part", "objective_for", "unit_of"]

_MOST_EXPONENT = 40  # of targets that are taken as they are
_LEAST_SHARE = 1e-15  # of a class: keeps the logarithm of its odds finite
_CURVED = ("logistic", "multinomial", "poisson")
_REFITTED = ("absolute", "huber", "quantile")

#: What users call the losses, and the kernel's names.
REGRESSION = {
    "squared_error": "squared",
    "absolute_error": "absolute",
    "huber": "huber",
    "quantile": "quantile",
    "poisson": "poisson",
}


@dataclass
class Part:
    """Rows that scores are kept for: those trained on, or those held out.

    ``raw`` is float64 [outputs, rows], ``target`` float64 (int32 class numbers with several outputs),
    ``weight`` float32 or None.
    """

    raw: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None

    def __post_init__(self) -> None:
        rows = self.target.shape[0]
        self.total = float(rows if self.weight is None else self.weight.sum(dtype=np.float64))

    def to(self, device: str) -> Part:
        """The rows on a device."""
        weight = None if self.weight is None else move(self.weight, device)
        return Part(move(self.raw, device), move(self.target, device), weight)


class Objective:
    """A built-in loss.

    Parameters
    ----------
    kind : str
        One of ``einkorn.ops.BOOST_LOSSES``.
    outputs : int, default 1
        Scores a row: the number of classes for ``"multinomial"``.
    alpha : float, default 0.9
        The level of ``"quantile"``; for ``"huber"`` the share of the rows that are no outliers: delta is that
        quantile of the residuals' sizes, anew in each round [1]_.

    References
    ----------
    .. [1] Friedman, "Greedy function approximation: a gradient boosting machine", 2001, algorithms 1 to 6.
    """

    def __init__(self, kind: str, outputs: int = 1, alpha: float = 0.9) -> None:
        self.kind = kind
        self.outputs = outputs
        self.alpha = alpha
        self._parameter = alpha if kind == "quantile" else 0.0

    @property
    def is_curved(self) -> bool:
        """Whether rows have hessians of their own. Else they are 1, or the weight."""
        return self.kind in _CURVED

    @property
    def refits(self) -> bool:
        """Whether leaves get the best constant of their rows, not a Newton step."""
        return self.kind in _REFITTED

    @property
    def has_loss(self) -> bool:
        """Whether the loss itself is known, not only its gradients."""
        return True

    def loss_unit(self, unit: float) -> float:
        """What the loss is multiplied by when targets are multiplied by ``unit``."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.square(unit)) if self.kind in ("squared", "huber") else unit

    def base(self, part: Part) -> np.ndarray:
        """The constant scores with the lowest loss, float64 [outputs]."""
        y, w = part.target, part.weight
        if self.kind in ("absolute", "huber", "quantile"):
            return leaf_quantile(y, self.alpha if self.kind == "quantile" else 0.5, weight=w)
        if self.kind == "multinomial":
            share = np.bincount(y, w, minlength=self.outputs) / part.total
            return np.log(np.maximum(share, _LEAST_SHARE))
        mean = float(y.mean() if w is None else (y * w).sum() / part.total)
        if self.kind == "logistic":
            mean = min(max(mean, _LEAST_SHARE), 1 - _LEAST_SHARE)
            return np.array([np.log(mean / (1 - mean))])
        return np.array([np.log(mean) if self.kind == "poisson" else mean])

    def gradients(self, part: Part, gradient: np.ndarray, hessian: np.ndarray | None) -> float:
        """Fill gradient and hessian, float32 [outputs, rows]; the mean loss of the scores as they are."""
        if self.kind == "huber":
            size = leaf_quantile(part.target, self.alpha, raw=part.raw[0], weight=part.weight, absolute=True)
            self._parameter = float(size[0])
        return self._launch(part, gradient, hessian)

    def loss(self, part: Part) -> float:
        """The mean loss of a part's scores."""
        return self._launch(part, None, None)

    def _launch(self, part: Part, gradient: np.ndarray | None, hessian: np.ndarray | None) -> float:
        mean = launch(
            part.raw, part.target, self.kind, part.weight, self._parameter, gradient, hessian, part.total
        )
        return float(mean) if mean is not None else np.nan

    def leaf_values(self, part: Part, leaf: np.ndarray, leaves: int) -> np.ndarray:
        """The best constant for the residuals of each leaf's rows, float64 [leaves]."""
        return leaf_quantile(
            part.target,
            self.alpha if self.kind == "quantile" else 0.5,
            raw=part.raw[0],
            leaf=leaf,
            leaves=leaves,
            weight=part.weight,
            delta=self._parameter if self.kind == "huber" else 0.0,
        )

    def predictions(self, raw: np.ndarray) -> np.ndarray:
        """What scores [rows, outputs] mean: probabilities [rows, classes], or predicted numbers [rows]."""
        if self.kind == "multinomial":
            return np.asarray(softmax(raw, -1))
        if self.kind == "logistic":
            out = np.empty((raw.shape[0], 2))
            out[:, 1] = sigmoid(np.ascontiguousarray(raw[:, 0]))
            out[:, 0] = 1 - out[:, 1]
            return out
        return np.exp(raw[:, 0]) if self.kind == "poisson" else raw[:, 0]


class CustomObjective(Objective):
    """A loss of the user's: ``function(y, raw)`` returns gradients and hessians of each row.

    y is float64 [rows] (class numbers for a classifier), raw float64 [rows], or [rows, classes] with more
    than two. Both results have raw's shape. Sample weights are applied afterwards. Scores start at 0.
    """

    def __init__(self, function: Callable[[Any, Any], Any], kind: str, outputs: int) -> None:
        super().__init__(kind, outputs)
        self.function = function

    is_curved = True
    refits = False
    has_loss = False

    def base(self, part: Part) -> np.ndarray:
        return np.zeros(self.outputs)

    def loss(self, part: Part) -> float:
        return np.nan

    def gradients(self, part: Part, gradient: np.ndarray, hessian: np.ndarray | None) -> float:
        raw = part.raw[0] if self.outputs == 1 else part.raw.T
        seen = raw.view()
        seen.flags.writeable = False
        returned = self.function(part.target, seen)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise ArgumentError("fit: the loss function must return two arrays, gradients and hessians")
        for name, values, out in zip(("gradients", "hessians"), returned, (gradient, hessian), strict=True):
            a = np.asarray(values)
            if a.shape != raw.shape:
                raise ShapeError(
                    f"fit: the loss function's {name} have shape {a.shape}, expected {raw.shape}"
                )
            if out is not None:
                np.copyto(out, a.T if a.ndim == 2 else a[None], casting="same_kind")
                if part.weight is not None:
                    out *= part.weight
        return np.nan


def objective_for(loss: Any, classes: int, alpha: float, where: str) -> Objective:
    """The objective that ``loss`` names; ``classes`` is 0 for a regressor."""
    kind = "multinomial" if classes > 2 else "logistic" if classes else "squared"
    outputs = classes if classes > 2 else 1
    if callable(loss):
        return CustomObjective(loss, kind, outputs)
    known = {"log_loss": kind} if classes else REGRESSION
    if not isinstance(loss, str) or loss not in known:
        names = ", ".join(map(repr, known))
        raise ArgumentError(f"{where}: loss is {loss!r}, expected one of {names}, or a function")
    return Objective(known[loss], outputs, alpha)


def unit_of(objective: Objective, target: np.ndarray) -> float:
    """A power of two that targets are divided by, so that their squares fit float32; 1 where they do.

    1, too, for losses that do not scale with their targets.
    """
    if not objective.has_loss or objective.kind not in ("squared", *_REFITTED):
        return 1.0
    exponent = int(np.frexp(np.abs(target).max(initial=0.0))[1])
    return 1.0 if abs(exponent) <= _MOST_EXPONENT else 2.0 ** min(max(exponent, -1000), 1000)


def check_range(kind: str, target: np.ndarray, where: str, name: str = "y") -> None:
    """Refuse targets that a loss is not defined for."""
    if kind == "poisson":
        if target.min() < 0:
            row = int(np.argmin(target))
            raise ArgumentError(
                f"{where}: {name} is {target[row]} in row {row}: loss 'poisson' needs {name} of at least 0"
            )
        if not target.max() > 0:
            raise ArgumentError(f"{where}: {name} is 0 throughout: loss 'poisson' needs a positive mean")
