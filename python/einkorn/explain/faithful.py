"""How faithful a map is: what becomes of the score when pixels go, or come, in the map's order."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.explain._arguments import filled, integer
from einkorn.explain._calls import frozen, input_of, scores_of, targets_of
from einkorn.nn import Module

__all__ = ["deletion_curve", "insertion_curve"]


def _curve(
    model: Module, x: Any, maps: Any, target: Any, steps: int, baseline: Any, insert: bool, op: str
) -> np.ndarray:
    images, order = input_of(model, x, op), np.asarray(maps)
    n, _, height, width = images.shape
    if order.shape != (n, height, width):
        raise ShapeError(f"{op}: maps has shape {order.shape}, expected {(n, height, width)}")
    if np.isnan(order).any():
        raise ArgumentError(f"{op}: maps has NaN, which has no place in an order")
    steps = integer(op, "steps", steps, 1)
    empty = filled(op, "baseline", baseline, images, images.shape)
    rank = np.argsort(np.argsort(-order.reshape(n, -1), axis=1, kind="stable"), axis=1)
    curve = []
    with frozen(model):
        chosen = targets_of(target, scores_of(model, Tensor(images), op), op)
        for step in range(steps + 1):
            among = (rank < round(height * width * step / steps)).reshape(n, 1, height, width)
            shown = np.where(among == insert, images, empty)
            chances = np.asarray(ops.softmax(scores_of(model, Tensor(shown), op).numpy(), -1))
            curve.append(chances[np.arange(n), chosen])
    return np.stack(curve, 1)


def deletion_curve(
    model: Module, x: Any, maps: Any, target: Any = None, *, steps: int = 20, baseline: Any = 0.0
) -> np.ndarray:
    """The class's probability while the pixels a map ranks highest go first (Petsiuk et al.
    2018).

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    x : array or Tensor [n, channels, height, width]
    maps : array [n, height, width]
        Of any method here; of gradients, their absolute sum over channels.
    target : int or n ints, optional
        The class; None: that of the highest score.
    steps : int, keyword-only, default 20
    baseline : float or array, keyword-only, default 0
        What stands in the place of a pixel.

    Returns
    -------
    array [n, steps + 1]
        A faithful map makes it fall early: the smaller the mean, the better.
    """
    return _curve(model, x, maps, target, steps, baseline, False, "deletion_curve")


def insertion_curve(
    model: Module, x: Any, maps: Any, target: Any = None, *, steps: int = 20, baseline: Any = 0.0
) -> np.ndarray:
    """The class's probability while the pixels a map ranks highest are put in first: the greater, the better.

    Arguments and result as :func:`deletion_curve`.
    """
    return _curve(model, x, maps, target, steps, baseline, True, "insertion_curve")
