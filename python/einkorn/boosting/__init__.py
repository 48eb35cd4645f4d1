"""Boosting, forests and trees on compiled kernels, as scikit-learn estimators.

Needs scikit-learn (``pip install "einkorn[boosting]"``). Classes are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.boosting.NAME, and the module it lives in.
_HOMES = {
    "AdaBoostClassifier": "adaboost",
    "AdaBoostRegressor": "adaboost",
    "DecisionStumpClassifier": "stump",
    "TrAdaBoostClassifier": "transfer",
    "TrAdaBoostRegressor": "transfer",
    "GradientBoostingClassifier": "gradient",
    "GradientBoostingRegressor": "gradient",
    "DecisionTreeClassifier": "forest",
    "DecisionTreeRegressor": "forest",
    "RandomForestClassifier": "forest",
    "RandomForestRegressor": "forest",
    "ExtraTreesClassifier": "forest",
    "ExtraTreesRegressor": "forest",
    "Binner": "binning",
    "Trees": "trees",
    "load": "persist",
    "save": "persist",
    "read_lightgbm": "readers",
    "read_xgboost": "readers",
    "shap_values": "explain",
    "plot_decision_surface": "plot",
    "plot_importance": "plot",
    "plot_staged_error": "plot",
    "plot_tree": "plot",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.boosting.adaboost import AdaBoostClassifier, AdaBoostRegressor
    from einkorn.boosting.binning import Binner
    from einkorn.boosting.explain import shap_values
    from einkorn.boosting.forest import (
        DecisionTreeClassifier,
        DecisionTreeRegressor,
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from einkorn.boosting.gradient import GradientBoostingClassifier, GradientBoostingRegressor
    from einkorn.boosting.persist import load, save
    from einkorn.boosting.plot import (
        plot_decision_surface,
        plot_importance,
        plot_staged_error,
        plot_tree,
    )
    from einkorn.boosting.readers import read_lightgbm, read_xgboost
    from einkorn.boosting.stump import DecisionStumpClassifier
    from einkorn.boosting.transfer import TrAdaBoostClassifier, TrAdaBoostRegressor
    from einkorn.boosting.trees import Trees

__getattr__, __dir__ = later(__name__, _HOMES)
