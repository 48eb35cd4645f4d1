"""What boosting does with base learners of any kind: new ones for each round, their losses, their median."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.boosting._sklearn import clone, get_tags, has_fit_parameter
from einkorn.errors import ArgumentError

__all__ = [
    "LOSSES",
    "check_learner",
    "losses_of",
    "mean_importances",
    "new_learner",
    "tree_of_depth",
    "weighted_median",
]

LOSSES = ("linear", "square", "exponential")

_MOST_SEED = np.iinfo(np.int32).max
_MEDIAN_ROWS = 16384


def check_learner(where: str, learner: Any, wanted: str, weighted: bool = True) -> None:
    """Refuse what is no estimator, is of the other kind, or takes no weights where it must.

    ``wanted`` is "classifier" or "regressor".
    """
    if isinstance(learner, type):
        raise ArgumentError(
            f"{where}: estimator is the class {learner.__name__}, expected an instance: {learner.__name__}()"
        )
    kind = type(learner).__name__
    if not (hasattr(learner, "fit") and hasattr(learner, "get_params")):
        raise ArgumentError(f"{where}: estimator is a {kind}, expected an estimator or None")
    try:
        found = get_tags(learner).estimator_type
    except (AttributeError, TypeError, ValueError):  # no estimator of scikit-learn's making
        found = None
    if found in ("classifier", "regressor") and found != wanted:
        raise ArgumentError(f"{where}: estimator is a {kind}, a {found}; expected a {wanted} or None")
    if weighted and not has_fit_parameter(learner, "sample_weight"):
        raise ArgumentError(f"{where}: estimator is a {kind}, whose fit doesn't support sample_weight")


def new_learner(learner: Any, random: np.random.RandomState) -> Any:
    """A clone, with random states of its own: drawn as scikit-learn's ensembles draw them."""
    made = clone(learner)
    states = {
        name: random.randint(_MOST_SEED)
        for name in sorted(made.get_params(deep=True))
        if name == "random_state" or name.endswith("__random_state")
    }
    if states:
        made.set_params(**states)
    return made


def tree_of_depth(depth: int) -> Any:
    """The default learner of the regressors."""
    from einkorn.boosting.forest import DecisionTreeRegressor

    return DecisionTreeRegressor(max_depth=depth)


def mean_importances(learners: list[Any], weights: np.ndarray) -> np.ndarray:
    """Mean of ``feature_importances_``, by the learners' weights."""
    for learner in learners:
        if not hasattr(learner, "feature_importances_"):
            raise AttributeError(f"feature_importances_ is not there: {type(learner).__name__} has none")
    shares = np.array([learner.feature_importances_ for learner in learners])
    return (np.asarray(weights)[:, None] * shares).sum(axis=0) / np.sum(weights)


def losses_of(y: np.ndarray, predicted: np.ndarray, loss: str) -> np.ndarray:
    """Losses within [0, 1]: absolute errors over the largest of them, squared or as ``1 - exp(-e)``."""
    errors = np.abs(predicted - y)
    most = errors.max(initial=0.0)
    if most > 0:
        errors /= most
    if loss == "square":
        return errors**2
    return errors if loss == "linear" else 1.0 - np.exp(-errors)


def weighted_median(predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The least prediction of each row [rows, learners] that half of the weight does not exceed."""
    out = np.empty(predictions.shape[0])
    for first in range(0, len(out), _MEDIAN_ROWS):
        part = predictions[first : first + _MEDIAN_ROWS]
        order = part.argsort(axis=1)
        below = weights[order].cumsum(axis=1)
        middle = (below >= 0.5 * below[:, -1:]).argmax(axis=1)
        rows = np.arange(len(part))
        out[first : first + len(part)] = part[rows, order[rows, middle]]
    return out
