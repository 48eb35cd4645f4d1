"""Models of XGBoost and LightGBM read from their files, against the libraries themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from einkorn.boosting import load, save
from einkorn.boosting.explain import shap_values
from einkorn.boosting.readers import PeerModel, read_lightgbm, read_xgboost
from einkorn.errors import ArgumentError, DataError, EinkornError, ShapeError

ROWS, CATEGORIES = 400, 40


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Five features with missing values and zeros, the last two categories; a target of the kind."""
    rng = np.random.default_rng(7)
    X = np.round(rng.normal(size=(ROWS, 5)), 2)
    X[rng.uniform(size=X.shape) < 0.2] = 0
    X[:, 3] = rng.integers(0, CATEGORIES, ROWS)
    X[:, 4] = rng.integers(0, 3, ROWS)
    score = X[:, 0] + X[:, 1] * X[:, 2] + X[:, 3] % 3 + (X[:, 4] == 1) + rng.normal(size=ROWS)
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    y = {
        "regression": score,
        "binary": (score > 1).astype(float),
        "classes": np.digitize(score, [0, 1.5]).astype(float),
        "counts": np.floor(np.abs(score)) + 1,
        "two": np.stack([score, -score], axis=1),
    }[kind]
    return X, y


def fresh_rows() -> np.ndarray:
    """Rows with categories never seen, values on thresholds, far away, and missing."""
    X = data("regression")[0][:200].copy()
    rng = np.random.default_rng(8)
    X[:40, 3] = rng.integers(0, 3 * CATEGORIES, 40)
    X[40:50, 3:] = -3
    X[50:60, :3] = rng.normal(size=(10, 3)) * 1e30
    X[60] = np.nan
    X[61] = 0
    X[62] = -0.0
    X[63, :3] = 1e-40
    return X


XGBOOST: dict[str, tuple[str, dict[str, Any]]] = {
    "squared": ("regression", {"objective": "reg:squarederror", "max_depth": 5}),
    "logistic": ("binary", {"objective": "binary:logistic"}),
    "logitraw": ("binary", {"objective": "binary:logitraw"}),
    "hinge": ("binary", {"objective": "binary:hinge"}),
    "softprob": ("classes", {"objective": "multi:softprob", "num_class": 3}),
    "softmax": ("classes", {"objective": "multi:softmax", "num_class": 3}),
    "poisson": ("counts", {"objective": "count:poisson"}),
    "gamma": ("counts", {"objective": "reg:gamma"}),
    "tweedie": ("counts", {"objective": "reg:tweedie"}),
    "absolute": ("regression", {"objective": "reg:absoluteerror"}),
    "base score": ("binary", {"objective": "binary:logistic", "base_score": 0.3}),
    "dart": ("regression", {"booster": "dart", "rate_drop": 0.5}),
    "one-hot": ("regression", {"max_cat_to_onehot": 100}),
    "pruned": ("regression", {"tree_method": "exact", "gamma": 3.0, "numeric": True}),
    "leafwise": ("regression", {"grow_policy": "lossguide", "max_leaves": 90, "max_depth": 0}),
    "forest": ("regression", {"num_parallel_tree": 4, "subsample": 0.5, "learning_rate": 1.0}),
    "stumps of nothing": ("regression", {"gamma": 1e9}),
    "two targets": ("two", {"objective": "reg:squarederror"}),
}


def train_xgboost(name: str) -> Any:
    xgboost = pytest.importorskip("xgboost")
    kind, options = XGBOOST[name]
    options = {"max_depth": 4, "nthread": 1, **options}
    X, y = data(kind)
    types = None if options.pop("numeric", False) else ["float"] * 3 + ["c"] * 2
    matrix = xgboost.DMatrix(X, y, feature_types=types, enable_categorical=True)
    booster = xgboost.train(options, matrix, 6)
    rows = xgboost.DMatrix(fresh_rows(), feature_types=types, enable_categorical=True)
    return booster, rows


@pytest.mark.parametrize("name", XGBOOST)
def test_xgboost(name: str, tmp_path: Path) -> None:
    booster, rows = train_xgboost(name)
    booster.save_model(tmp_path / "model.json")
    model = read_xgboost(tmp_path / "model.json")
    X = fresh_rows()
    raw = booster.predict(rows, output_margin=True)
    np.testing.assert_allclose(model.predict_raw(X), raw, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(model.predict(X), booster.predict(rows), rtol=2e-5, atol=2e-6)
    leaves = booster.predict(rows, pred_leaf=True).reshape(len(X), -1)
    np.testing.assert_array_equal(model.apply(X), leaves)
    if name != "dart":  # whose contributions leave out the weights of trees
        theirs = booster.predict(rows, pred_contribs=True).reshape(len(X), -1, 6)
        ours = shap_values(model, X)
        np.testing.assert_allclose(ours.transpose(0, 2, 1), theirs, atol=1e-4)
    save(model, tmp_path / "ours")
    again = load(tmp_path / "ours")
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    assert again.get_params() == model.get_params()


LIGHTGBM: dict[str, tuple[str, dict[str, Any]]] = {
    "regression": ("regression", {}),
    "sqrt": ("counts", {"objective": "regression", "reg_sqrt": True}),
    "binary": ("binary", {"objective": "binary", "sigmoid": 1.7}),
    "multiclass": ("classes", {"objective": "multiclass", "num_class": 3}),
    "one against all": ("classes", {"objective": "multiclassova", "num_class": 3}),
    "poisson": ("counts", {"objective": "poisson"}),
    "gamma": ("counts", {"objective": "gamma"}),
    "cross-entropy": ("binary", {"objective": "cross_entropy"}),
    "cross-entropy lambda": ("binary", {"objective": "cross_entropy_lambda"}),
    "huber": ("regression", {"objective": "huber"}),
    "zero is missing": ("regression", {"zero_as_missing": True}),
    "missing is zero": ("regression", {"use_missing": False}),
    "forest": ("regression", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}),
    "dart": ("regression", {"boosting": "dart"}),
    "one-hot": ("regression", {"max_cat_to_onehot": 100}),
    "no splits": ("regression", {"min_data_in_leaf": 5000}),
    "large": ("regression", {"num_leaves": 100, "min_data_in_leaf": 1}),
}


def train_lightgbm(name: str) -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    kind, options = LIGHTGBM[name]
    X, y = data(kind)
    common = {"num_leaves": 20, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1}
    common |= {"max_cat_to_onehot": 2, "verbosity": -1, "num_threads": 1}
    rows = lightgbm.Dataset(X, y, categorical_feature=[3, 4], free_raw_data=False)
    return lightgbm.train({**common, **options}, rows, 6)


@pytest.mark.parametrize("name", LIGHTGBM)
def test_lightgbm(name: str, tmp_path: Path) -> None:
    booster = train_lightgbm(name)
    booster.save_model(tmp_path / "model.txt")
    model = read_lightgbm(tmp_path / "model.txt")
    X = fresh_rows()
    raw = booster.predict(X, raw_score=True)
    np.testing.assert_allclose(model.predict_raw(X), raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), booster.predict(X), rtol=1e-10, atol=1e-12)
    leaves = booster.predict(X, pred_leaf=True).reshape(len(X), -1)
    np.testing.assert_array_equal(model.apply(X), leaves)
    theirs = booster.predict(X, pred_contrib=True).reshape(len(X), -1, 6)
    np.testing.assert_allclose(shap_values(model, X).transpose(0, 2, 1), theirs, atol=1e-9)
    save(model, tmp_path / "ours")
    assert load(tmp_path / "ours").predict(X).tobytes() == model.predict(X).tobytes()


def test_float32_rows(tmp_path: Path) -> None:
    booster = train_lightgbm("regression")
    booster.save_model(tmp_path / "model.txt")
    X = fresh_rows().astype(np.float32)
    model = read_lightgbm(tmp_path / "model.txt")
    np.testing.assert_allclose(model.predict(X), booster.predict(X), rtol=1e-12)


def test_probabilities_names_and_refusals(tmp_path: Path) -> None:
    booster = train_lightgbm("binary")
    booster.save_model(tmp_path / "model.txt")
    model = read_lightgbm(tmp_path / "model.txt")
    X = fresh_rows()
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], booster.predict(X), rtol=1e-10)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert list(model.feature_names_in_) == booster.feature_name()
    assert "lightgbm" in repr(model)
    with pytest.raises(ShapeError, match="X has shape"):
        model.predict(X[:, :3])
    with pytest.raises(ArgumentError, match="dtype object"):
        model.predict(X.astype(object))
    train_lightgbm("huber").save_model(tmp_path / "model.txt")
    with pytest.raises(ArgumentError, match="no probabilities"):
        read_lightgbm(tmp_path / "model.txt").predict_proba(X)


def test_what_is_not_read(tmp_path: Path) -> None:
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    X, y = data("regression")
    path = tmp_path / "model.txt"
    rows = lightgbm.Dataset(X[:, :3], y)
    lightgbm.train({"linear_tree": True, "verbosity": -1}, rows, 1).save_model(path)
    with pytest.raises(DataError, match="linear_tree"):
        read_lightgbm(path)
    path = tmp_path / "model.json"
    xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(X, y), 1).save_model(path)
    with pytest.raises(DataError, match="gblinear"):
        read_xgboost(path)
    vectors = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    xgboost.train(vectors, xgboost.DMatrix(X, np.stack([y, y], axis=1)), 1).save_model(path)
    with pytest.raises(DataError, match="multi_output_tree"):
        read_xgboost(path)
    xgboost.train({}, xgboost.DMatrix(X, y), 1).save_model(tmp_path / "model.ubj")
    with pytest.raises(DataError, match="no JSON"):
        read_xgboost(tmp_path / "model.ubj")
    for read in (read_lightgbm, read_xgboost):
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path / "nothing")
        for content in (b"", b"\xff\x00", b"tree\n", b"{}", b"{" * 9, b'{"learner": 3}', b"\nend of trees"):
            (tmp_path / "bad").write_bytes(content)
            with pytest.raises(DataError, match="bad: "):
                read(tmp_path / "bad")


def _tree(document: Any) -> Any:
    return document["learner"]["gradient_booster"]["model"]["trees"][0]


FORGED: dict[str, Any] = {
    "a cycle": lambda d: _tree(d)["left_children"].__setitem__(0, 0),
    "two parents": lambda d: _tree(d)["left_children"].__setitem__(0, _tree(d)["right_children"][0]),
    "a child far away": lambda d: _tree(d)["right_children"].__setitem__(0, 10**6),
    "a child far below": lambda d: _tree(d)["right_children"].__setitem__(0, -7),
    "a number over 64 bits": lambda d: _tree(d)["right_children"].__setitem__(0, 2**70),
    "a feature too many": lambda d: _tree(d)["split_indices"].__setitem__(0, 5),
    "a negative feature": lambda d: _tree(d)["split_indices"].__setitem__(0, -1),
    "a wrapped feature": lambda d: _tree(d)["split_indices"].__setitem__(0, 2**32),
    "NaN": lambda d: _tree(d).update(split_conditions=[float("nan")] * len(_tree(d)["left_children"])),
    "a short list": lambda d: _tree(d)["split_conditions"].pop(),
    "a word": lambda d: _tree(d)["split_conditions"].__setitem__(0, "x"),
    "no nodes": lambda d: _tree(d).update(left_children=[], right_children=[]),
    "a set too long": lambda d: _tree(d)["categories_sizes"].__setitem__(0, 10**9),
    "a negative set": lambda d: _tree(d)["categories_segments"].__setitem__(0, -1),
    "a huge category": lambda d: _tree(d)["categories"].__setitem__(0, 2**40),
    "a set of another node": lambda d: _tree(d)["categories_nodes"].__setitem__(0, 10**6),
    "an output too many": lambda d: d["learner"]["gradient_booster"]["model"]["tree_info"].__setitem__(0, 1),
    "huge classes": lambda d: d["learner"]["learner_model_param"].update(num_class="1000000000000"),
    "huge features": lambda d: d["learner"]["learner_model_param"].update(num_feature="1000000000000"),
    "a base of 0": lambda d: d["learner"]["learner_model_param"].update(base_score="[0]"),
    "no base": lambda d: d["learner"]["learner_model_param"].update(base_score="x"),
    "many bases": lambda d: d["learner"]["learner_model_param"].update(base_score="[0.5,0.5]"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers")
    train_xgboost("logistic")[0].save_model(folder / "model.json")
    train_lightgbm("binary").save_model(folder / "model.txt")
    return folder


@pytest.mark.parametrize("name", FORGED)
def test_forged_xgboost(name: str, saved: Path, tmp_path: Path) -> None:
    document = json.loads((saved / "model.json").read_text())
    FORGED[name](document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"model\.json: "):
        read_xgboost(tmp_path / "model.json")


_FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FUZZ
@given(choice=st.data())
def test_changed_files(saved: Path, tmp_path: Path, choice: st.DataObject) -> None:
    """A changed file is refused by one exception, or is some model that predicts without harm."""
    name, read = choice.draw(st.sampled_from([("model.json", read_xgboost), ("model.txt", read_lightgbm)]))
    content = bytearray((saved / name).read_bytes())
    if choice.draw(st.booleans()):
        content = content[: choice.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(choice.draw(st.integers(1, 4))):
            at = choice.draw(st.integers(0, min(len(content), 8000) - 1))
            content[at] = choice.draw(st.sampled_from(b"0123456789-.,=e []{}\n\"'x\xff"))
    (tmp_path / name).write_bytes(bytes(content))
    try:
        model = read(tmp_path / name)
    except DataError as error:
        assert name in str(error)  # noqa: PT017 (most changes are refused, some are not)
        return
    assert isinstance(model, PeerModel)
    try:
        model.predict(fresh_rows())
    except EinkornError:
        assert model.n_features_in_ != 5
