"""Pictures of models: a tree, the importance of features, the error by round, the decision surface.

Names of features, classes and metrics are drawn as they are: ``$`` begins no formula (``parse_math=False``).

Needs matplotlib (``pip install "einkorn[plot]"``). Every function draws on the axes it is given, or on a new
figure of pyplot, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.boosting import _draw_tree
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError

__all__ = ["plot_decision_surface", "plot_importance", "plot_staged_error", "plot_tree"]

_COLUMN, _ROW = 3.0, 0.56  # inches of a drawn tree's columns and leaves
_LARGEST = 200.0, 2000.0  # inches of a side and square inches: what matplotlib can still make an image of
_HALF_BOX = 0.35  # of a column
_INK, _GREY = "#222222", "#888888"


def plot_tree(
    model: Any,
    index: int = 0,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[Any] | None = None,
    max_depth: int | None = None,
    fontsize: float = 8.0,
    ax: Any = None,
) -> Any:
    """Draw one tree from left (the root) to right; the upper branch is the one where the answer is yes.

    A tree too large for one picture is drawn smaller, letters and all: give ``max_depth``, or write it as PDF
    or SVG, where it can be enlarged. Missing values follow the lower branch unless the upper one says
    otherwise. ``n`` counts training rows, ``cover`` sums their weights or hessians where that is another
    number. Leaves are red for values below 0 and blue above (below and above the median where all have one
    sign), or have the colour of their class.

    Parameters
    ----------
    model : estimator or Trees
        A fitted estimator of this package.
    index : int, default 0
        Which of its trees; negative numbers count from the last.
    feature_names : sequence of str, optional
        Those seen in ``fit``, else ``x0``, ``x1``, ...
    class_names : sequence, optional
        For trees whose leaves hold one number a class. Those seen in ``fit``.
    max_depth : int, optional
        Draw no deeper than this; the root has depth 0.
    fontsize : float, default 8
    ax : matplotlib Axes, optional
        A new figure, large enough for the tree, when not given.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        The model has no such tree, no trees at all, or the names are too few.
    MissingPackageError
        matplotlib is not installed.
    """
    trees = _trees_of(model, "plot_tree")
    n_trees = len(trees.offsets) - 1
    if not -n_trees <= index < n_trees:
        raise ArgumentError(f"plot_tree: index is {index}, expected from {-n_trees} to {n_trees - 1}")
    if max_depth is not None and max_depth < 0:
        raise ArgumentError(f"plot_tree: max_depth is {max_depth}, expected at least 0")
    names = _names_of(model, trees.n_features, feature_names, "plot_tree")
    classes = getattr(model, "classes_", None) if class_names is None else class_names
    if classes is not None and trees.value.shape[1] > 1 and len(classes) != trees.value.shape[1]:
        raise ArgumentError(f"plot_tree: class_names has {len(classes)}, expected {trees.value.shape[1]}")

    root = _draw_tree.lay_out(trees, index % n_trees, max_depth)
    boxes = list(root.walk())
    depth, height = max(box.depth for box in boxes), max(box.y for box in boxes)
    if ax is None:
        size, shrunk = _fitting(_COLUMN * (depth + 1), max(_ROW * (height + 1), 1.2))
        ax = _new_axes("plot_tree", size)
        fontsize *= shrunk
    colours = _draw_tree.shades(trees, boxes, _palette("plot_tree"))
    for box, colour in zip(boxes, colours, strict=True):
        for child in box.children:
            _edge(ax, box, child, trees, fontsize)
        is_leaf = not box.children
        ax.text(
            box.depth,
            box.y,
            _draw_tree.box_words(trees, box, names, classes),
            fontsize=fontsize,
            ha="center",
            va="center",
            color=_INK,
            parse_math=False,
            bbox={
                "boxstyle": f"round,pad=0.35,rounding_size={0.6 if is_leaf else 0.2}",
                "facecolor": colour if is_leaf else "white",
                "edgecolor": _GREY,
                "linewidth": 0.8,
            },
            zorder=3,
        )
    ax.set_xlim(-0.5, depth + 0.5)
    ax.set_ylim(height + 0.5, -0.5)  # the yes branch above
    ax.axis("off")
    return ax


def _fitting(width: float, height: float) -> tuple[tuple[float, float], float]:
    """A figure's size within what can be drawn, and by how much letters have to be smaller for it."""
    side, area = _LARGEST
    shrunk = min(1.0, side / width, side / height, (area / (width * height)) ** 0.5)
    # a side of a long, thin tree would shrink to nothing with the other
    return (max(width * shrunk, min(width, 4.0)), max(height * shrunk, min(height, 4.0))), max(shrunk, 0.05)


def _edge(ax: Any, parent: _draw_tree.Box, child: _draw_tree.Box, trees: Trees, fontsize: float) -> None:
    """From the right side of the parent's box to the left side of the child's."""
    is_left = child is parent.children[0]
    start, end = parent.depth + _HALF_BOX, child.depth - _HALF_BOX
    x = [parent.depth, start, end, child.depth]
    ax.plot(x, [parent.y, parent.y, child.y, child.y], color=_GREY, linewidth=0.8, zorder=1)
    word = "no"
    if is_left:
        word = "yes, missing" if trees.missing_left[parent.node] else "yes"
    ax.text(
        (start + end) / 2,
        (parent.y + child.y) / 2,
        word,
        fontsize=0.8 * fontsize,
        color=_GREY,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        zorder=2,
    )


def plot_importance(
    model: Any,
    kind: str = "gain",
    *,
    top: int = 20,
    X: Any = None,
    y: Any = None,
    n_repeats: int = 5,
    scoring: Any = None,
    random_state: int | None = 0,
    feature_names: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the importance of features as bars, the most important on top.

    Parameters
    ----------
    model : estimator or Trees
    kind : {"gain", "split", "permutation"}, default "gain"
        The share of the improvement by the splits on a feature (``feature_importances_``); the number of
        splits on it; or how much the score on ``X`` and ``y`` falls when its column is shuffled, with the
        standard deviation over repetitions (Breiman 2001).
    top : int, default 20
        How many features.
    X, y : arrays
        For ``permutation`` only: rows that the model was not fitted on.
    n_repeats, scoring, random_state
        For ``permutation`` only, see ``sklearn.inspection.permutation_importance``.
    feature_names : sequence of str, optional
        Those seen in ``fit``, else ``x0``, ``x1``, ...
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        For another ``kind``, no ``X`` and ``y`` for permutation, or names that do not fit.
    MissingPackageError
        matplotlib is not installed.
    """
    spread = None
    if kind == "permutation":
        if X is None or y is None:
            raise ArgumentError("plot_importance: kind is 'permutation', which needs X and y")
        found = need("sklearn.inspection", "plot_importance").permutation_importance(
            model, X, y, n_repeats=n_repeats, scoring=scoring, random_state=random_state
        )
        values, spread, label = found.importances_mean, found.importances_std, "decrease of the score"
    elif kind == "gain":
        values, label = _gains(model), "share of the gain"
    elif kind == "split":
        trees = _trees_of(model, "plot_importance")
        inner = trees.feature[trees.feature >= 0]
        values, label = np.bincount(inner, minlength=trees.n_features), "splits"
    else:
        raise ArgumentError(f"plot_importance: kind is {kind!r}, expected 'gain', 'split' or 'permutation'")
    if top < 1:
        raise ArgumentError(f"plot_importance: top is {top}, expected at least 1")
    names = _names_of(model, len(values), feature_names, "plot_importance")
    order = np.argsort(-values, kind="stable")[:top][::-1]

    if ax is None:
        ax = _new_axes("plot_importance", (6.4, 1.0 + 0.26 * len(order)))
    rows = np.arange(len(order))  # not the names themselves: two features of one name have a bar each
    bars = ax.barh(
        rows,
        values[order],
        xerr=None if spread is None else spread[order],
        color="#3b75af",
        error_kw={"ecolor": _GREY, "elinewidth": 1},
        height=0.7,
    )
    digits = "{:,.0f}" if kind == "split" else "{:.3g}"
    ax.bar_label(bars, [digits.format(values[i]) for i in order], padding=3, fontsize=8, color=_INK)
    ax.set_yticks(rows, [names[i] for i in order], parse_math=False)
    ax.margins(x=0.12, y=0.6 / len(order))
    ax.set_xlabel(label)
    _tidy(ax)
    return ax


def plot_staged_error(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    metric: Callable[[Any, Any], float] | None = None,
    metric_name: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the error by boosting round, on training and on validation rows.

    Parameters
    ----------
    model : estimator
        With ``staged_predict``, or with the losses that early stopping left (``train_score_`` and
        ``validation_score_``).
    X, y : arrays, optional
        Rows fitted on. Without them and without validation rows the recorded losses are drawn.
    X_val, y_val : arrays, optional
        Rows held out.
    metric : callable, optional
        ``metric(y_true, y_predicted)``; the share of wrong rows for classifiers and the root mean squared
        error for regressors when not given.
    metric_name : str, optional
        For the axis.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        The model knows no rounds, or X comes without y.
    MissingPackageError
        matplotlib is not installed.
    """
    curves: dict[str, np.ndarray] = {}
    for label, rows, targets in (("training", X, y), ("validation", X_val, y_val)):
        if (rows is None) != (targets is None):
            raise ArgumentError(f"plot_staged_error: {label} rows need both X and y")
        if rows is not None:
            curves[label] = _staged_error(model, rows, targets, metric)
    if curves:
        is_classifier = hasattr(model, "classes_")
        name = metric_name or getattr(metric, "__name__", None)
        name = name or ("share of wrong rows" if is_classifier else "root mean squared error")
    else:
        recorded = (("training", "train_score_"), ("validation", "validation_score_"))
        for label, attribute in recorded:
            values = np.asarray(getattr(model, attribute, ()), np.float64)
            if values.size:
                curves[label] = values
        name = metric_name or "loss"
    if not curves:
        raise ArgumentError("plot_staged_error: the model kept no losses, give X and y or X_val and y_val")

    if ax is None:
        ax = _new_axes("plot_staged_error", (6.4, 4.0))
    for (label, values), colour in zip(curves.items(), ("#3b75af", "#d1603d"), strict=False):
        rounds = np.arange(1, len(values) + 1)
        marker = "o" if len(values) == 1 else None
        ax.plot(rounds, values, label=label, color=colour, linewidth=1.6, marker=marker)
    if "validation" in curves and not np.isnan(curves["validation"]).all():
        best = int(np.nanargmin(curves["validation"]))
        lowest = float(curves["validation"][best])
        ax.axvline(best + 1, color=_GREY, linewidth=0.8, linestyle=":")
        ax.plot(best + 1, lowest, "o", color="#d1603d", label=f"lowest: {lowest:.4g} in round {best + 1}")
    ax.set_xlabel("round")
    ax.set_ylabel(name, parse_math=False)
    ax.legend(frameon=False)
    ax.grid(alpha=0.3)
    _tidy(ax)
    return ax


def _staged_error(model: Any, X: Any, y: Any, metric: Callable[[Any, Any], float] | None) -> np.ndarray:
    if not hasattr(model, "staged_predict"):
        raise ArgumentError(f"plot_staged_error: {type(model).__name__} has no rounds (no staged_predict)")
    y = np.asarray(y)
    if metric is None:
        metric = _wrong if hasattr(model, "classes_") else _rmse
    return np.array([metric(y, predicted) for predicted in model.staged_predict(X)], np.float64)


def _wrong(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(y != predicted))


def _rmse(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.asarray(y, np.float64) - predicted) ** 2)))


def plot_decision_surface(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    features: tuple[int, int] = (0, 1),
    resolution: int = 200,
    feature_names: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw what a model answers over the plane of two features; all others stay at their medians.

    Parameters
    ----------
    model : estimator
        Any fitted classifier or regressor. Classifiers are drawn by ``predict_proba`` where they have it: the
        darker, the surer.
    X : array [rows, features]
        Gives the ranges and the medians.
    y : array [rows], optional
        Colours the rows, which are drawn as dots.
    features : pair of int, default (0, 1)
        Columns of X: across and up.
    resolution : int, default 200
        Steps of the grid in each direction.
    feature_names : sequence of str, optional
        Those seen in ``fit``, else ``x0``, ``x1``, ...
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        The two features are the same or X lacks them.
    MissingPackageError
        matplotlib is not installed.
    """
    columns = getattr(X, "columns", None)
    table = np.asarray(X, np.float64)
    across, up = features
    if table.ndim != 2 or across == up or not all(0 <= f < table.shape[1] for f in features):
        raise ArgumentError(f"plot_decision_surface: features is {features}, X has shape {table.shape}")
    if resolution < 2:
        raise ArgumentError(f"plot_decision_surface: resolution is {resolution}, expected at least 2")
    names = _names_of(model, table.shape[1], feature_names, "plot_decision_surface")
    ranges = [_range(table[:, f]) for f in features]
    first, second = (np.linspace(*each, resolution) for each in ranges)
    grid = np.tile(np.nanmedian(table, axis=0), (resolution**2, 1))
    grid[:, across], grid[:, up] = (each.ravel() for each in np.meshgrid(first, second))
    rows: Any = grid
    if columns is not None:  # estimators fitted on named columns ask for them again
        rows = type(X)(grid, columns=columns)

    if ax is None:
        ax = _new_axes("plot_decision_surface", (5.6, 4.4))
    classes = getattr(model, "classes_", None)
    extent = (*ranges[0], *ranges[1])
    dots = {"s": 20, "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
    if classes is None:
        surface = np.reshape(model.predict(rows), (resolution, resolution))
        targets = None if y is None else np.asarray(y, np.float64)
        low, high = _range(surface if targets is None else np.append(surface, targets), margin=0.0)
        shown = {"vmin": low, "vmax": high, "cmap": "viridis"}
        image = ax.imshow(surface, extent=extent, origin="lower", aspect="auto", **shown)
        ax.figure.colorbar(image, ax=ax, label="predicted")
        if targets is not None:
            ax.scatter(table[:, across], table[:, up], c=targets, **shown, **dots)
    else:
        palette = _palette("plot_decision_surface")
        hues = palette[np.arange(len(classes)) % len(palette)]
        image = _class_colours(model, rows, classes, hues).reshape(resolution, resolution, 3)
        ax.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
        for hue, name in zip(hues, classes, strict=True) if y is not None else ():
            of_class = np.asarray(y) == name
            x0, x1 = table[of_class, across], table[of_class, up]
            ax.scatter(x0, x1, color=[tuple(hue)], label=str(name), **dots)
        if y is not None:
            for text in ax.legend(framealpha=0.9).get_texts():
                text.set_parse_math(False)
    ax.set_xlim(*ranges[0])
    ax.set_ylim(*ranges[1])
    ax.set_xlabel(names[across], parse_math=False)
    ax.set_ylabel(names[up], parse_math=False)
    return ax


def _class_colours(model: Any, rows: Any, classes: Any, hues: np.ndarray) -> np.ndarray:
    """The likeliest class's colour for each row, paler where it leads by less."""
    if hasattr(model, "predict_proba"):
        probability = model.predict_proba(rows)
        even = 1 / len(classes)
        strength = 0.06 + 0.5 * (probability.max(1) - even) / (1 - even)
        chosen = probability.argmax(1)
    else:
        chosen = np.searchsorted(classes, model.predict(rows))
        strength = np.full(len(chosen), 0.4)
    colours: np.ndarray = 1 - strength[:, None] * (1 - hues[chosen])
    return colours


def _range(values: np.ndarray, margin: float = 0.05) -> tuple[float, float]:
    """Least and greatest value with room around; never empty."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = margin * (high - low) if high > low else 0.5
    return low - room, high + room


def _gains(model: Any) -> np.ndarray:
    """Shares of the gain, which sum to 1."""
    if not isinstance(model, Trees) and hasattr(model, "feature_importances_"):
        return np.asarray(model.feature_importances_, np.float64)
    trees = _trees_of(model, "plot_importance")
    inner = trees.feature >= 0
    sums = np.bincount(trees.feature[inner], trees.gain[inner], minlength=trees.n_features)
    return sums / sums.sum() if sums.sum() > 0 else sums


def _trees_of(model: Any, caller: str) -> Trees:
    """The trees of an estimator, or of its members one after another."""
    if isinstance(model, Trees):
        return model
    trees = getattr(model, "trees_", None)
    members = getattr(model, "estimators_", None)
    if trees is None and members is not None and len(members):
        trees = Trees.concatenate([_trees_of(member, caller) for member in members])
    if not isinstance(trees, Trees):
        raise ArgumentError(
            f"{caller}: model is {type(model).__name__}, expected a fitted estimator of trees"
        )
    return trees


def _names_of(model: Any, n_features: int, given: Sequence[str] | None, caller: str) -> list[str]:
    """The features' names: those given, those seen in fit, or their numbers."""
    if given is not None and len(given) != n_features:
        raise ArgumentError(f"{caller}: feature_names has {len(given)}, expected {n_features}")
    names = getattr(model, "feature_names_in_", None) if given is None else given
    return [f"x{i}" for i in range(n_features)] if names is None else [str(name) for name in names]


def _new_axes(caller: str, size: tuple[float, float]) -> Any:
    axes = _matplotlib("pyplot", caller).subplots(figsize=size, layout="constrained")[1]
    return axes


def _palette(caller: str) -> np.ndarray:
    """Ten colours that are told apart."""
    colours: np.ndarray = np.array(_matplotlib("", caller).colormaps["tab10"].colors)
    return colours


def _matplotlib(module: str, caller: str) -> Any:
    return need(f"matplotlib.{module}" if module else "matplotlib", caller)


def _tidy(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)
