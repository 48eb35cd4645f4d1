"""Boosting, forests and their kernels: whole fits and batched predictions, against other libraries.

A fit starts from a float32 array and includes the binning of its columns. Every library gets the same rows,
the same number of trees, leaves and bins, the same learning rate, least leaf and regularisation, as far as
its parameters allow, and as many threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call

__all__ = ["GRADIENT_PEERS", "boosting_rows", "gradient_boosting", "noisy_signal"]

TREES, LEAVES, RATE, LEAST, LAMBDA = 100, 31, 0.1, 20, 1.0
STUMPS = 50
#: Makes a model of a peer from its module and the number of threads.
Maker = Callable[[Any, int], Any]


def noisy_signal(rows: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows as physicists' event records have them: a weak signal of products and thresholds under noise.

    Parameters
    ----------
    rows, features : int
        At least 5 features; half of them say something.
    seed : int, default 0

    Returns
    -------
    X : float32 [rows, features]
        Normal, exponential and uniform columns by turns.
    y : int64 [rows]
        0 or 1; about a quarter cannot be told by anyone.
    """
    rng = np.random.default_rng(seed)
    X = np.empty((rows, features), np.float32)
    for f in range(features):
        draw = (rng.standard_normal, rng.standard_exponential, rng.random)[f % 3]
        X[:, f] = draw(rows, dtype=np.float32)
    score = X[:, 0] * X[:, 3] + np.sin(3 * X[:, 2]) * X[:, 1] + (X[:, 4] > 1) - 1
    for f in range(5, (features + 1) // 2):
        score += rng.standard_normal(dtype=np.float32) * np.abs(X[:, f] - X[:, f - 1]) / features**0.5
    score -= np.median(score)
    y = score + rng.logistic(scale=0.6, size=rows) > 0
    return X, y.astype(np.int64)


# --- the same model in every library --------------------------------------------------------------


def gradient_boosting() -> Any:
    """Our model of the benchmark, not fitted."""
    from einkorn.boosting import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        max_bins=255,
        min_samples_leaf=LEAST,
        min_child_weight=1e-3,
        l2_regularization=LAMBDA,
    )


def _lightgbm(module: Any, threads: int) -> Any:
    return module.LGBMClassifier(
        n_estimators=TREES,
        num_leaves=LEAVES,
        learning_rate=RATE,
        max_bin=255,
        min_child_samples=LEAST,
        min_child_weight=1e-3,
        reg_lambda=LAMBDA,
        n_jobs=threads,
        verbose=-1,
    )


def _xgboost(module: Any, threads: int) -> Any:
    # It has no least number of rows in a leaf; 20 rows have a sum of hessians of at most 5.
    return module.XGBClassifier(
        n_estimators=TREES,
        tree_method="hist",
        grow_policy="lossguide",
        max_leaves=LEAVES,
        max_depth=0,
        learning_rate=RATE,
        max_bin=256,
        min_child_weight=1.0,
        reg_lambda=LAMBDA,
        n_jobs=threads,
    )


#: Peers of :func:`gradient_boosting`: makers of the same model.
GRADIENT_PEERS: dict[str, Maker] = {"lightgbm": _lightgbm, "xgboost": _xgboost}


def _adaboost() -> Any:
    from einkorn.boosting import AdaBoostClassifier

    return AdaBoostClassifier(n_estimators=STUMPS)


def _sklearn_adaboost(module: Any, threads: int) -> Any:
    from sklearn.ensemble import AdaBoostClassifier

    return AdaBoostClassifier(n_estimators=STUMPS)  # depth 1 is its default; it has no threads


def _forest() -> Any:
    from einkorn.boosting import RandomForestClassifier

    return RandomForestClassifier(n_estimators=TREES, random_state=0)


def _sklearn_forest(module: Any, threads: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=TREES, random_state=0, n_jobs=threads)


# --- rows -----------------------------------------------------------------------------------------


def boosting_rows() -> list[Row]:
    """Give the rows of the family ``boosting``: fits, predictions, kernels."""
    stumps: dict[str, Maker] = {"sklearn": _sklearn_adaboost}
    forest: dict[str, Maker] = {"sklearn": _sklearn_forest}
    rows = [
        _fit_row(f"AdaBoost fit, {STUMPS} stumps", 10_000, 20, _adaboost, stumps, STUMPS, in_quick=True),
        _fit_row(f"AdaBoost fit, {STUMPS} stumps", 100_000, 28, _adaboost, stumps, STUMPS),
    ]
    name = f"boosting fit, {TREES} trees"
    sizes = ((1_000, 10), (10_000, 20), (100_000, 28), (1_000_000, 28))
    rows += [
        _fit_row(name, n, f, gradient_boosting, GRADIENT_PEERS, TREES, in_quick=n < 10_000) for n, f in sizes
    ]
    rows.append(_fit_row(f"forest fit, {TREES} trees", 100_000, 28, _forest, forest, TREES))
    rows += [_predict_row(100_000, 28), _predict_row(1_000_000, 28)]
    return rows + _kernel_rows()


def _fit_row(
    name: str,
    n: int,
    features: int,
    ours: Callable[[], Any],
    makers: dict[str, Maker],
    rounds: int,
    in_quick: bool = False,
) -> Row:
    def prepare(peers: Peers) -> Prepared:
        X, y = _data(n, features)

        def call(make: Callable[[], Any]) -> Call:
            return lambda: make().fit(X, y)

        calls: dict[str, Call] = {}
        for name, make in makers.items():
            module = peers.get(name)
            if module is not None:
                calls[name] = call(functools.partial(make, module, peers.threads))
        # At the least each tree reads a byte per cell and two numbers per row once, and adds them up.
        cells = float(n) * features
        return Prepared(call(ours), calls, rounds * 2 * cells, rounds * (cells + 8.0 * n))

    return Row("boosting", name, f"{n:,}x{features}", prepare, tuple(makers), in_quick)


def _predict_row(n: int, features: int) -> Row:
    def prepare(peers: Peers) -> Prepared:
        X, y = _data(n, features)
        few = min(n, 20_000)
        model = gradient_boosting().fit(X[:few], y[:few])
        calls: dict[str, Call] = {}
        for name, make in GRADIENT_PEERS.items():
            module = peers.get(name)
            if module is not None:
                calls[name] = functools.partial(
                    make(module, peers.threads).fit(X[:few], y[:few]).predict_proba, X
                )
        # A comparison per level of a balanced tree; the rows are read and two probabilities written.
        flops = n * TREES * np.log2(LEAVES)
        return Prepared(functools.partial(model.predict_proba, X), calls, flops, X.nbytes + 16.0 * n)

    return Row("boosting", f"predict, {TREES} trees", f"{n:,}x{features}", prepare, tuple(GRADIENT_PEERS))


@functools.lru_cache(maxsize=1)  # rows of one size follow each other
def _data(n: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_signal(n, features)


# --- kernels --------------------------------------------------------------------------------------


def _kernel_rows() -> list[Row]:
    n, features = 1_000_000, 28
    shape = f"{n:,}x{features}"
    return [
        Row("boosting", "bin columns", f"{shape} 255 bins", _bin_columns, ()),
        Row("boosting", "histogram", f"{shape} uint8", _histogram, ()),
        Row("boosting", "presort", "100,000x28", _presort, ()),
        Row("boosting", "stump search", "100,000x28 presorted", _stump, (), in_quick=True),
        Row("boosting", "TreeSHAP", f"1,000x28 {TREES} trees", _shap, tuple(GRADIENT_PEERS)),
    ]


def _bin_columns(peers: Peers) -> Prepared:
    from einkorn.ops.histogram import bin_columns, bin_edges

    X, _ = noisy_signal(1_000_000, 28)
    edges = bin_edges(X[:100_000])
    # Finding one of 255 bins takes eight comparisons.
    return Prepared(functools.partial(bin_columns, X, edges), {}, 8.0 * X.size, X.nbytes + 1.0 * X.size)


def _histogram(peers: Peers) -> Prepared:
    from einkorn.ops.histogram import histogram

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 255, (28, 1_000_000), np.uint8)
    gradients = rng.standard_normal(codes.shape[1])
    call = functools.partial(histogram, codes, gradients, gradients**2)
    return Prepared(call, {}, 3.0 * codes.size, codes.nbytes + 16.0 * codes.shape[1])


def _presort(peers: Peers) -> Prepared:
    from einkorn.ops.stump import presort

    X, _ = noisy_signal(100_000, 28)
    # A comparison per level of a merge; the matrix is read, its copy and the order are written.
    return Prepared(functools.partial(presort, X), {}, X.size * np.log2(len(X)), 3.0 * X.nbytes)


def _stump(peers: Peers) -> Prepared:
    from einkorn.ops.stump import presort, stump_search

    X, y = noisy_signal(100_000, 28)
    weights = np.where(y == 1, 1, -1).astype(np.float32) / len(y)
    # A place in the order and a weight for each cell; the sum, its impurity and a comparison.
    return Prepared(functools.partial(stump_search, presort(X), weights), {}, 8.0 * X.size, 8.0 * X.size)


def _shap(peers: Peers) -> Prepared:
    from einkorn.boosting import shap_values

    X, y = noisy_signal(20_000, 28)
    model = gradient_boosting().fit(X, y)
    rows = X[:1_000]
    calls: dict[str, Call] = {}
    lightgbm, xgboost = (peers.get(name) for name in GRADIENT_PEERS)
    if lightgbm is not None:
        fitted = _lightgbm(lightgbm, peers.threads).fit(X, y)
        calls["lightgbm"] = functools.partial(fitted.predict, rows, pred_contrib=True)
    if xgboost is not None:
        booster = _xgboost(xgboost, peers.threads).fit(X, y).get_booster()
        calls["xgboost"] = lambda: booster.predict(xgboost.DMatrix(rows), pred_contribs=True)
    # For each leaf, about the square of the number of splits above it.
    flops = 2.0 * len(rows) * TREES * LEAVES * np.log2(LEAVES) ** 2
    return Prepared(functools.partial(shap_values, model, rows), calls, flops, 3.0 * rows.nbytes)
