"""Explaining predictions: Shapley values of a fitted model's features.

Permutation importance and partial dependence need nothing of a model but predictions: use
``sklearn.inspection.permutation_importance`` and ``sklearn.inspection.partial_dependence``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._device import near
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError
from einkorn.ops.tree_shap import tree_shap

__all__ = ["shap_values"]


def shap_values(model: Any, X: Any) -> np.ndarray:
    """Shapley values of what a model's trees say, by exact path-dependent TreeSHAP.

    Parameters
    ----------
    model : estimator or Trees
        A fitted estimator of ``einkorn.boosting`` that predicts by trees, what ``read_xgboost`` or
        ``read_lightgbm`` gave, or Trees.
    X : array [rows, n_features]
        Rows as the model takes them; those on a GPU are explained there, and the values given on the CPU.

    Returns
    -------
    float64 array [rows, n_features + 1, n_outputs]
        In the units of raw scores: log-odds for classification by gradient boosting, sums of weighted votes
        for AdaBoost on stumps; for forests of predictions and probabilities. The last column is the expected
        score. Rows sum to the scores.

    Raises
    ------
    ArgumentError
        The model does not predict by trees, or is not fitted.
    ShapeError, DTypeError
        As :func:`einkorn.ops.tree_shap`.
    """
    if isinstance(model, Trees):
        return near(tree_shap(model, X))
    trees = getattr(model, "trees_", None)
    if not isinstance(trees, Trees):
        raise ArgumentError(
            f"shap_values: model is a {type(model).__name__} without trees_, expected a fitted model of trees"
        )
    prepare = getattr(model, "_prepare_rows", None)
    if prepare is not None:  # a model of another library
        return tree_shap(trees, prepare(near(X)))
    from einkorn.boosting._base import check_rows
    from einkorn.boosting._forest import TreeEnsemble

    codes = getattr(model, "categorical_features", None) is not None
    values = near(tree_shap(trees, check_rows(model, X, op="shap_values", categories=codes)))
    if isinstance(model, TreeEnsemble):  # a forest says the mean of its trees
        values /= trees.n_trees
    return values
