"""Pictures of how well a model knows what it knows. Each returns matplotlib axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import axes_for
from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError
from einkorn.metrics import AUC, ExpectedCalibrationError

__all__ = ["plot_calibration", "plot_out_of_distribution"]


def plot_calibration(y_true: Any, y_prob: Any, num_bins: int = 10, ax: Any = None) -> Any:
    """How often predictions are right over how sure they are; the diagonal is a model that is never too sure.

    The expected calibration error stands in the title (Guo et al. 2017).

    Parameters
    ----------
    y_true : array [rows]
        Class numbers.
    y_prob : array [rows, classes], or [rows] for the second of two classes
        Probabilities.
    num_bins : int, default 10
    ax : matplotlib axes, optional
    """
    metric = ExpectedCalibrationError(num_bins)
    metric.update_state(y_true, y_prob)
    axes = axes_for(ax, "plot_calibration")
    filled = metric.rows > 0
    width = 1 / num_bins
    middles = (np.arange(num_bins) + 0.5) * width
    right = np.divide(metric.right, metric.rows, out=np.zeros(num_bins), where=filled)
    sure = np.divide(metric.confidence, metric.rows, out=np.zeros(num_bins), where=filled)
    axes.bar(middles[filled], right[filled], width * 0.92, color="tab:blue", label="accuracy")
    axes.plot(sure[filled], right[filled], "o", color="tab:orange", label="at the mean confidence")
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title(f"calibration error {metric.result():.3f}")
    axes.legend(loc="upper left")
    return axes


def plot_out_of_distribution(
    inside: Any,
    outside: Any,
    *,
    score: str = "predictive entropy",
    labels: tuple[str, str] = ("as in training", "something else"),
    bins: int = 30,
    ax: Any = None,
) -> Any:
    """How uncertain a model is of rows like those it learned from, and of others, side by side.

    The area under the ROC curve, in the title, is the chance that one of the others is the more uncertain.

    Parameters
    ----------
    inside, outside : array [rows]
        What tells how uncertain: entropies, mutual information.
    score : str, keyword-only, default "predictive entropy"
        What it is, for the axis.
    labels : (str, str), keyword-only
    bins : int, keyword-only, default 30
    ax : matplotlib axes, optional
    """
    parts = [
        as_array(values, f"plot_out_of_distribution: {name}").reshape(-1).astype(np.float64)
        for name, values in (("inside", inside), ("outside", outside))
    ]
    for name, values in zip(("inside", "outside"), parts, strict=True):
        if not values.size or not np.isfinite(values).all():
            raise ArgumentError(f"plot_out_of_distribution: {name} is empty or not finite")
    axes = axes_for(ax, "plot_out_of_distribution")
    both = np.concatenate(parts)
    edges = np.histogram_bin_edges(both, bins)
    for values, label in zip(parts, labels, strict=True):
        heights, _ = np.histogram(values, edges)
        axes.stairs(heights / len(values), edges, fill=True, alpha=0.5, label=label)
    area = AUC()(np.repeat([0, 1], [len(parts[0]), len(parts[1])]), both)
    axes.set_xlabel(score)
    axes.set_ylabel("share of the rows")
    axes.set_title(f"area under the curve {area:.3f}")
    axes.legend()
    return axes
