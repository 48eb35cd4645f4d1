"""Model files with one entry damaged: refused by the entry's name, or what they decide is unchanged."""

from __future__ import annotations

import copy
import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_readers import fresh_rows, train_lightgbm, train_xgboost

from einkorn.boosting import GradientBoostingRegressor, load, save
from einkorn.boosting.persist import _digest_of
from einkorn.boosting.readers import read_lightgbm, read_xgboost
from einkorn.errors import CheckpointError, DataError

EDITS = 200
ODD: list[Any] = [1.5, -7, 10**9, 10**30, 1e39, -1e300, None, "x", "", "1.5", "nan", "1_0", [], [1], {}, True]
ODD += [float("nan"), float("inf")]
#: Lists whose entries may be any number, and texts that may be any text.
FREE = {
    "split_conditions",
    "base_weights",
    "loss_changes",
    "sum_hessian",
    "weight_drop",
    "base_score",
    "name",
}
FREE |= {"feature_names", "num_class", "num_target", "size_leaf_vector"}
RAW = ("object is not", "could not be broadcast", "Expecting value", "has no attribute", "invalid literal")
RAW += (
    "unhashable",
    "not supported between",
    "could not convert",
    "Error(",
    "out of bounds",
    "argument must",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every entry of a JSON document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [path, *(deep for key in keys for deep in places(value[key], (*path, key)))]


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    edited = copy.deepcopy(document)
    inner = edited
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return edited


def told(error: Exception, path: tuple[Any, ...], value: Any) -> None:
    """The message names an entry on the way, in words of our own."""
    said = str(error).partition("json: ")[2] or str(error)
    assert any(key in said for key in path if isinstance(key, str)), (path, value, error)
    assert not any(word in said for word in RAW), (path, value, error)


def name_of(path: tuple[Any, ...]) -> str:
    return str(next(key for key in reversed(path) if isinstance(key, str)))


@pytest.mark.parametrize("name", ["softprob", "dart", "one-hot"])
def test_xgboost(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    train_xgboost(name)[0].save_model(file)
    document = json.loads(file.read_bytes())
    rows = fresh_rows()
    whole = read_xgboost(file).predict(rows)
    paths = [path for path in places(document) if path]
    rng = random.Random(name)
    refused = 0
    for _ in range(EDITS):
        path, value = rng.choice(paths), rng.choice(ODD)
        file.write_text(json.dumps(put(document, path, value)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = read_xgboost(file).predict(rows)
            except DataError as error:
                refused += 1
                told(error, path, value)
                continue
        assert np.isfinite(found).all()
        if name_of(path) not in FREE:
            np.testing.assert_array_equal(found, whole, err_msg=f"{path} as {value!r}")
    assert refused > EDITS / 3


XGBOOST_EDITS: list[tuple[str, Any, str]] = [
    ("left_children", 1.5, r"trees\[0\]: left_children\[0\] is 1.5, expected an int from -1 to"),
    ("right_children", True, r"right_children\[0\] is True, expected an int"),
    ("split_conditions", 1e39, r"split_conditions\[0\] is 1e\+39, expected a number"),
    ("split_indices", 5, r"split_indices\[0\] is 5, expected an int from 0 to 4"),
    ("sum_hessian", -1.0, r"sum_hessian\[0\] is -1.0, expected a number from 0 to"),
    ("base_weights", None, r"base_weights\[0\] is None, expected a number"),
    ("default_left", 2, r"default_left\[0\] is 2, expected an int from 0 to 1"),
    ("split_type", "0", r"split_type\[0\] is '0', expected an int"),
]


@pytest.mark.parametrize(("field", "value", "message"), XGBOOST_EDITS)
def test_an_entry_of_a_tree(field: str, value: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    train_xgboost("squared")[0].save_model(file)
    tree = ("learner", "gradient_booster", "model", "trees", 0, field)
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps(put(document, (*tree, 0), value)))
    with pytest.raises(DataError, match=message):
        read_xgboost(file)
    file.write_text(json.dumps(put(document, tree, [0])))
    with pytest.raises(DataError, match=rf"trees\[0\]: .*{field} has 1 entries"):
        read_xgboost(file)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_feature", "1000000000", "num_feature is 5, and that of the model 1000000000"),
        ("num_feature", "5.0", "num_feature is '5.0', expected an int"),
        ("base_score", "nan", r"base_score\[0\] is nan, expected a number"),
        ("base_score", "", r"base_score\[0\] is '', expected a number"),
        ("num_class", -1, "num_class is -1, expected an int from 0"),
    ],
)
def test_an_entry_of_the_learner(field: str, value: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    train_xgboost("squared")[0].save_model(file)
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps(put(document, ("learner", "learner_model_param", field), value)))
    with pytest.raises(DataError, match=message):
        read_xgboost(file)


WORDS = ["1.5", "-7", "1000000000", "1" + "0" * 30, "1e400", "", "x", "nan", "inf", "1_0", "[]", "0x1"]


@pytest.mark.parametrize("name", ["multiclass", "regression"])
def test_lightgbm(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.txt"
    train_lightgbm(name).save_model(file)
    lines = file.read_text().split("\n")
    rows = fresh_rows()
    whole = read_lightgbm(file).predict(rows)
    ends = lines.index("end of trees")
    given = [i for i, line in enumerate(lines[:ends]) if "=" in line]
    free = {"threshold", "leaf_value", "internal_value", "split_gain", "objective", "feature_names"}
    free |= {"leaf_count", "internal_count"}
    rng = random.Random(name)
    refused = 0
    for _ in range(EDITS):
        at = rng.choice(given)
        key, _, value = lines[at].partition("=")
        words = value.split(" ")
        words[rng.randrange(len(words))] = new = rng.choice(WORDS)
        edited = [*lines[:at], f"{key}={' '.join(words)}", *lines[at + 1 :]]
        file.write_text("\n".join(edited))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = read_lightgbm(file).predict(rows)
            except DataError as error:
                refused += 1
                told(error, (key, "child"), new)
                continue
        assert np.isfinite(found).all()
        if key not in free:
            np.testing.assert_array_equal(found, whole, err_msg=f"{key}: {new!r}")
    assert refused > EDITS / 3


def test_our_own_files(tmp_path: Path) -> None:
    """With a digest that fits, as an editor that knows the format would write it."""
    rows = np.nan_to_num(fresh_rows())
    save(GradientBoostingRegressor(n_estimators=3).fit(rows, rows[:, 0]), tmp_path / "model.json")
    file = tmp_path / "model.json"
    document = json.loads(file.read_bytes())
    del document["sha256"]
    whole = load(file).predict(rows)
    paths = [path for path in places(document) if path and path[0] == "model"]
    rng = random.Random(0)
    refused = 0
    for _ in range(EDITS):
        path, value = rng.choice(paths), rng.choice(ODD)
        edited = put(document, path, value)
        edited["sha256"] = _digest_of(edited)
        file.write_text(json.dumps(edited))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = load(file).predict(rows)
            except CheckpointError as error:
                refused += 1
                told(error, path[1:2] or path, value)
                continue
        if "params" not in path:
            np.testing.assert_array_equal(found, whole, err_msg=f"{path} as {value!r}")
    assert refused > EDITS / 4
