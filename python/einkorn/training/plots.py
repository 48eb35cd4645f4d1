"""Pictures of a training. Each returns matplotlib axes: those it is given, or those of a new figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import axes_for
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError, ShapeError
from einkorn.metrics import AUC, ConfusionMatrix, roc_curve
from einkorn.training.modes import evaluating

__all__ = [
    "plot_activations",
    "plot_confusion_matrix",
    "plot_gradient_flow",
    "plot_history",
    "plot_lr_range_test",
    "plot_roc",
    "plot_weights",
]


def plot_history(history: Any, figure: str = "loss", ax: Any = None) -> Any:
    """A figure of the training, and of the validation if there was one, over the epochs.

    Parameters
    ----------
    history : History
        What ``fit`` returned.
    figure : str, default "loss"
    ax : matplotlib axes, optional
    """
    if figure not in history.history:
        raise ArgumentError(
            f"plot_history: figure is {figure!r}, expected one of {', '.join(history.history) or 'none'}"
        )
    axes = axes_for(ax, "plot_history")
    for key, label in ((figure, "training"), (f"val_{figure}", "validation")):
        points = [
            (e + 1, row[key]) for e, row in zip(history.epoch, history.rows(), strict=True) if key in row
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(figure, parse_math=False)
    axes.grid(alpha=0.3)
    axes.legend()
    return axes


def plot_lr_range_test(result: Any, ax: Any = None) -> Any:
    """The loss over the rate; ``result`` is what ``lr_range_test`` returned."""
    return result.plot(axes_for(ax, "plot_lr_range_test"))


def plot_gradient_flow(flow: Any, ax: Any = None) -> Any:
    """Gradients layer by layer; ``flow`` is what ``gradient_flow`` returned."""
    return flow.plot(axes_for(ax, "plot_gradient_flow"))


def plot_confusion_matrix(
    y_true: Any, y_pred: Any, class_names: Any = None, normalize: bool = False, ax: Any = None
) -> Any:
    """Which class was taken for which.

    Parameters
    ----------
    y_true : array [rows]
        Class numbers.
    y_pred : array [rows] or [rows, classes]
        Class numbers, or scores.
    class_names : sequence of str, optional
    normalize : bool, default False
        Whether shares of each class are shown instead of numbers of rows.
    ax : matplotlib axes, optional
    """
    target = as_array(y_true, "plot_confusion_matrix: y_true").reshape(-1)
    output = as_array(y_pred, "plot_confusion_matrix: y_pred")
    if output.ndim == 2 and output.shape[1] > 1:
        classes = output.shape[1]
    else:
        output = output.reshape(-1)
        classes = int(max(target.max(initial=0), output.max(initial=0))) + 1
    names = [str(i) for i in range(classes)] if class_names is None else list(map(str, class_names))
    if len(names) < classes:
        raise ArgumentError(
            f"plot_confusion_matrix: class_names has {len(names)} entries, expected {classes}"
        )
    metric = ConfusionMatrix(len(names) if output.ndim == 1 else classes)
    matrix = metric(target, output)
    if normalize:
        rows = matrix.sum(1, keepdims=True)
        matrix = np.divide(matrix, rows, out=np.zeros_like(matrix), where=rows > 0)
    axes = axes_for(ax, "plot_confusion_matrix")
    axes.imshow(matrix, cmap="Blues")
    places = np.arange(len(matrix))
    axes.set_xticks(places, names[: len(matrix)], rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(places, names[: len(matrix)])
    if len(matrix) <= 30:
        middle = matrix.max() / 2
        for (i, j), value in np.ndenumerate(matrix):
            text = f"{value:.2f}" if normalize else f"{value:g}"
            axes.text(j, i, text, ha="center", va="center", color="white" if value > middle else "black")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return axes


def plot_roc(y_true: Any, y_score: Any, label: str | None = None, ax: Any = None) -> Any:
    """True over false alarms, with the area in the legend.

    Parameters
    ----------
    y_true : array [rows]
        0 and 1, or class numbers for scores of several classes: then a curve for each class against the rest.
    y_score : array [rows] or [rows, classes]
    label : str, optional
    ax : matplotlib axes, optional
    """
    target = as_array(y_true, "plot_roc: y_true").reshape(-1)
    score = as_array(y_score, "plot_roc: y_score")
    if score.shape[:1] != target.shape:
        raise ShapeError(f"plot_roc: y_score has shape {score.shape}, expected {len(target)} rows")
    axes = axes_for(ax, "plot_roc")
    curves = [(label or "", target, score.reshape(len(score), -1)[:, -1])]
    if score.ndim == 2 and score.shape[1] > 2:
        curves = [(f"{label or 'class'} {i}", target == i, score[:, i]) for i in range(score.shape[1])]
    for name, wanted, values in curves:
        false, true, _ = roc_curve(wanted, values)
        axes.plot(false, true, label=f"{name} area {AUC()(wanted, values):.3f}".strip())
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    axes.set_xlabel("share of false alarms")
    axes.set_ylabel("share of true alarms")
    axes.legend()
    return axes


def _histograms(arrays: dict[str, np.ndarray], what: str, bins: int, ax: Any, op: str) -> Any:
    axes = axes_for(ax, op)
    for name, array in arrays.items():
        values = array[np.isfinite(array)]
        if values.size:
            heights, edges = np.histogram(values, bins)
            axes.stairs(heights / heights.sum(), edges, label=name)
    axes.set_xlabel(what)
    axes.set_ylabel("share")
    if arrays:
        axes.legend(fontsize="small")
    return axes


def plot_weights(model: Any, bins: int = 50, ax: Any = None) -> Any:
    """Histograms of the parameters, biases left out.

    Parameters
    ----------
    model : Module
    bins : int, default 50
    ax : matplotlib axes, optional
    """
    arrays = {name: p.numpy() for name, p in model.named_parameters() if p._data.ndim > 1}
    return _histograms(arrays, "weight", bins, ax, "plot_weights")


def plot_activations(model: Any, x: Any, bins: int = 50, ax: Any = None) -> Any:
    """Histograms of what the layers give for a batch, in evaluation mode.

    Parameters
    ----------
    model : Module
    x : array
        The batch.
    bins : int, default 50
    ax : matplotlib axes, optional
    """
    found: dict[str, np.ndarray] = {}
    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]

    def note_as(name: str) -> Any:
        def note(module: Any, args: Any, output: Any) -> None:
            data = output._data if isinstance(output, Tensor) else output
            if isinstance(data, np.ndarray):
                found[name] = data.copy()

        return note

    handles = [
        module.register_forward_hook(note_as(f"{name} ({type(module).__name__})")) for name, module in leaves
    ]
    try:
        with evaluating(model):
            model(as_array(x, "plot_activations: x"))
    finally:
        for handle in handles:
            handle.remove()
    return _histograms(found, "activation", bins, ax, "plot_activations")
