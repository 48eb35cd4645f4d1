"""``PeerModel``: what the readers of other libraries' models give, predicting as those do."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.boosting._peer_rows import Categories, rows_for
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError
from einkorn.ops.tree_predict import apply_trees, predict_trees

__all__ = ["LINKS", "PeerModel"]

#: From raw scores to predictions, by the name of the objective.
LINKS = {
    "xgboost": {
        **dict.fromkeys(["binary:logistic", "reg:logistic"], "sigmoid"),
        **dict.fromkeys(["count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"], "exp"),
        "binary:hinge": "step",
        "multi:softmax": "argmax",
        "multi:softprob": "softmax",
    },
    "lightgbm": {
        **dict.fromkeys(["binary", "multiclassova", "cross_entropy"], "sigmoid"),
        **dict.fromkeys(["poisson", "gamma", "tweedie"], "exp"),
        "cross_entropy_lambda": "softplus",
        "multiclass": "softmax",
    },
}
_KNOWN_LINKS = ("identity", "sigmoid", "softmax", "argmax", "step", "exp", "softplus", "signed square")


class PeerModel:
    """A model that another library trained, predicting as it does.

    Parameters
    ----------
    source : {"xgboost", "lightgbm"}
    objective : str
        As the file names it.
    link : str
        What makes predictions of raw scores: "identity", "sigmoid", "softmax", "argmax", "step", "exp",
        "softplus" or "signed square".
    scale : float, default 1.0
        What raw scores are multiplied by before the link: LightGBM's ``sigmoid``, or for its forests one over
        the number of trees.

    Attributes
    ----------
    trees_ : Trees
    n_features_in_ : int
    feature_names_in_ : object array, where the file has names
    """

    trees_: Trees
    n_features_in_: int
    _numbers: np.ndarray  # the peer's number of each node
    _zero_is_missing: np.ndarray  # int32, the features whose zeros are missing values
    _categories: Categories = None

    def __init__(self, source: str, objective: str, link: str = "identity", scale: float = 1.0) -> None:
        self.source = source
        self.objective = objective
        self.link = link
        self.scale = scale

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments the model was made with."""
        return {"source": self.source, "objective": self.objective, "link": self.link, "scale": self.scale}

    def __repr__(self) -> str:
        return f"PeerModel({self.source}, {self.objective}, {self.trees_.n_trees} trees)"

    def _prepare_rows(self, X: Any) -> np.ndarray:
        """Rows as the trees take them."""
        return rows_for(self, X)

    def predict_raw(self, X: Any) -> np.ndarray:
        """Raw scores: sums over the trees.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, n_features]
            Numbers; NaN is missing, categorical features hold their codes. A data frame's columns must be in
            the model's order; those of categorical type become the codes that training gave them. What a
            sparse matrix does not hold is missing for XGBoost and 0 for LightGBM.

        Returns
        -------
        float64 array [rows], or [rows, n_outputs] where there is more than one output

        Raises
        ------
        ShapeError
            If X has another number of columns.
        ArgumentError, DTypeError
            If X does not hold numbers, or a data frame has the columns in another order, or categories that
            XGBoost would refuse.
        """
        scores = predict_trees(self.trees_, self._prepare_rows(X))
        return scores if self.trees_.n_outputs > 1 else scores[:, 0]

    def predict(self, X: Any) -> np.ndarray:
        """What the peer's booster predicts: means, probabilities or (XGBoost's multi:softmax) classes.

        Arguments, shapes and errors as :meth:`predict_raw`; classes come as [rows].
        """
        raw = self.scale * self.predict_raw(X)
        if self.link == "sigmoid":
            return _sigmoid(raw)
        if self.link == "softmax":
            return _softmax(raw)
        if self.link == "argmax":
            return raw.argmax(axis=1).astype(np.float64)
        if self.link == "step":
            return (raw > 0).astype(np.float64)
        if self.link == "exp":
            return np.exp(raw)
        if self.link == "softplus":
            return np.logaddexp(0, raw)
        if self.link == "signed square":
            return np.sign(raw) * raw * raw
        return raw

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, float64 [rows, classes].

        Raises
        ------
        ArgumentError
            If the objective is none of classification.
        """
        if self.link in ("softmax", "argmax"):
            return _softmax(self.scale * self.predict_raw(X))
        if self.link == "sigmoid":
            p = self.predict(X)
            return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
        raise ArgumentError(f"predict_proba: the objective {self.objective!r} has no probabilities")

    def apply(self, X: Any) -> np.ndarray:
        """The leaf each row reaches in each tree, int32 [rows, trees], by the peer's own numbers."""
        leaves = apply_trees(self.trees_, self._prepare_rows(X))
        return self._numbers[self.trees_.offsets[:-1] + leaves]

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        values = {"trees": self.trees_, "numbers": self._numbers, "zero_is_missing": self._zero_is_missing}
        return {}, {**values, "categories": self._categories}

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        trees, numbers, zero = values["trees"], values["numbers"], values["zero_is_missing"]
        if self.source not in LINKS or self.link not in _KNOWN_LINKS or type(self.scale) is not float:
            raise ValueError(f"source {self.source!r}, link {self.link!r} or scale {self.scale!r} is unknown")
        if numbers.dtype != np.int32 or numbers.shape != (trees.n_nodes,):
            raise ValueError("numbers do not fit the trees")
        if zero.dtype != np.int32 or zero.ndim != 1 or ((zero < 0) | (zero >= trees.n_features)).any():
            raise ValueError("zero_is_missing does not fit the features")
        if self.link in ("softmax", "argmax") and trees.n_outputs < 2:
            raise ValueError("classes need more than one output")
        categories = values.get("categories")
        if categories is not None:
            fits = all(c is None or (isinstance(c, np.ndarray) and c.ndim == 1) for c in categories)
            if not fits or (self.source == "xgboost" and len(categories) != trees.n_features):
                raise ValueError("categories do not fit the features")
        self.trees_, self._numbers, self._zero_is_missing = trees, numbers, zero
        self._categories = categories


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
