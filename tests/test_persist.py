"""Model files: what is saved comes back bit for bit, and nothing else is let in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tree_examples import random_tree

from einkorn import checkpoint
from einkorn.boosting import persist
from einkorn.boosting.trees import ARRAYS, Trees
from einkorn.errors import CheckpointError

sklearn_base = pytest.importorskip("sklearn.base")


class Toy(sklearn_base.BaseEstimator):
    """An estimator with every kind of state that files hold."""

    __module__ = "einkorn.boosting.toy"

    def __init__(self, rate: Any = 0.1, shape: Any = (1, 2), mask: Any = None, inner: Any = None) -> None:
        self.rate = rate
        self.shape = shape
        self.mask = mask
        self.inner = inner

    def fit(self, seed: int = 0) -> Toy:
        rng = np.random.default_rng(seed)
        self.n_features_in_ = 4
        self.feature_names_in_ = np.array(["a", "ü", "", "d"], object)
        self.classes_ = np.array(["no", "yes"])
        self.trees = Trees.concatenate(
            [random_tree(rng, n, 4, categorical=(1,)) for n in (1, 5, 30)], base=[0.1 + 0.2]
        )
        self.codes = rng.integers(0, 9, 5).astype(np.uint16)
        self.parts: list[Any] = []
        self.info = {"nan": np.nan, "inf": -np.inf, "text": "x", "n": 2**70, (1, 2): [None, True]}
        return self

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"info": self.info}, {
            "trees": self.trees,
            "codes": self.codes,
            "parts": self.parts,
            "no": None,
        }

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        self.info = metadata["info"]
        self.trees, self.codes, self.parts = values["trees"], values["codes"], values["parts"]
        if values["no"] is not None:
            raise ValueError("no is something")


@pytest.fixture(autouse=True)
def toy_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files name Toy, as if it lived in the package."""
    known = persist._class_of
    monkeypatch.setitem(persist._REGISTRY, "Toy", "toy")
    monkeypatch.setattr(persist, "_class_of", lambda name: Toy if name == "Toy" else known(name))


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def same_trees(a: Trees, b: Trees) -> bool:
    arrays = all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ARRAYS)
    return arrays and (a.n_features, a.n_outputs) == (b.n_features, b.n_outputs)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Trees):
        return isinstance(b, Trees) and same_trees(a, b)
    if not isinstance(b, Toy) or repr(a.get_params(deep=False)) != repr(b.get_params(deep=False)):
        return False
    arrays = all(
        getattr(a, name).dtype == getattr(b, name).dtype and (getattr(a, name) == getattr(b, name)).all()
        for name in ("codes", "classes_", "feature_names_in_")
    )
    return arrays and same_trees(a.trees, b.trees) and repr(a.info) == repr(b.info)


def sign(path: Path, change: Any) -> None:
    """Change the description and give it the digest that fits: what a forger would do."""
    document = json.loads(path.read_text())
    document.pop("sha256")
    document = change(document) or document
    document["sha256"] = persist._digest_of(document)
    path.write_text(json.dumps(document))


def test_round_trip(tmp_path: Path) -> None:
    model = Toy(
        rate=np.float32(0.3), shape=(1, [2, None]), mask=np.array([True, False]), inner=Toy(rate=np.inf)
    )
    model.fit()
    model.parts = [Toy().fit(1), [Toy(inner=Toy()).fit(2)], model.codes, None]
    persist.save(model, tmp_path / "model")
    loaded = persist.load(tmp_path / "model.json")
    assert type(loaded) is Toy
    assert loaded.rate == np.float32(0.3)
    assert loaded.shape == (1, [2, None])
    np.testing.assert_array_equal(loaded.mask, [True, False])
    assert loaded.inner.rate == np.inf
    assert repr(loaded.info) == repr(model.info)
    assert loaded.n_features_in_ == 4
    assert list(loaded.classes_) == ["no", "yes"]
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.feature_names_in_.dtype == object
    assert loaded.codes.dtype == np.uint16
    assert same_trees(loaded.trees, model.trees)
    assert same_trees(loaded.parts[1][0].trees, model.parts[1][0].trees)
    assert loaded.parts[3] is None
    assert sorted(name.rpartition(".")[2] for name in files(tmp_path)) == ["json", "safetensors"]


def test_trees_alone_and_equal_files(tmp_path: Path) -> None:
    trees = Toy().fit().trees
    persist.save(trees, tmp_path / "a.json")
    first = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    persist.save(persist.load(tmp_path / "a.json"), tmp_path / "a.json")
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == first
    persist.save(Trees.empty(3, 2), tmp_path / "none")
    assert len(persist.load(tmp_path / "none")) == 0


def test_a_failed_save_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.json"
    persist.save(Toy().fit(1), path)
    before = files(tmp_path)
    replace = os.replace
    for failing in (1, 2):  # the arrays, then the description
        calls = iter(range(1, 9))

        def broken(a: Any, b: Any, calls: Any = calls, failing: int = failing) -> None:
            if next(calls) == failing:
                raise OSError("disk full")
            replace(a, b)

        monkeypatch.setattr(checkpoint.os, "replace", broken)
        with pytest.raises(CheckpointError, match="disk full"):
            persist.save(Toy().fit(2), path)
        assert files(tmp_path) == before
        assert same(persist.load(path), Toy().fit(1))
    monkeypatch.setattr(checkpoint.os, "replace", replace)
    persist.save(Toy().fit(2), path)
    assert same(persist.load(path), Toy().fit(2))
    assert len(files(tmp_path)) == 2  # the old arrays are gone


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    cases = {
        "rate is a RandomState, whose state": Toy(rate=np.random.RandomState(0)),
        "rate is a Generator": Toy(rate=np.random.default_rng(0)),
        "rate is a function, and files hold no code": Toy(rate=same),
        r"mask\[0\] is a \w*Path": Toy(mask=[Path("x")]),
        "mask holds objects": Toy(mask=np.array([1, None], object)),
        "mask is complex128": Toy(mask=np.zeros(2, complex)),
        "rate is a object": Toy(rate=object()),
    }
    for message, model in cases.items():
        with pytest.raises(CheckpointError, match=message):
            persist.save(model.fit(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="not fitted"):
        persist.save(Toy(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="model is a BaseEstimator"):
        persist.save(sklearn_base.BaseEstimator(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="cannot be written"):
        persist.save(Toy().fit(), tmp_path / "no" / "folder")
    assert files(tmp_path) == []


def _put(*keys: Any, value: Any) -> Any:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


FORGED: dict[str, Any] = {
    "another format": (_put("format", value="other"), "format is 'other'"),
    "a later version": (_put("version", value=2), "version is 2"),
    "a version true": (_put("version", value=True), "version is True"),
    "an unknown class": (_put("model", "class", value="os.system"), "class 'os.system' is unknown"),
    "an import path": (_put("model", "class", value="sklearn.svm.SVC"), "unknown"),
    "a class of another kind": (_put("model", "class", value=["Toy"]), "unknown"),
    "an unknown parameter": (_put("model", "params", "extra", value=1), "rebuilt"),
    "parameters of none": (_put("model", "params", value={}), "other parameters"),
    "another number of features": (_put("model", "fitted", "n_features_in_", value=5), "feature names"),
    "a huge number of features": (_put("model", "fitted", "n_features_in_", value=2**62), "feature names"),
    "a negative number": (_put("model", "fitted", "n_features_in_", value=-1), "n_features_in_ is -1"),
    "trees of many features": (_put("model", "values", "trees", "n_features", value=9), "has 9 features"),
    "trees of huge outputs": (_put("model", "values", "trees", "n_outputs", value=10**15), "n_outputs"),
    "trees of a float": (_put("model", "values", "trees", "n_outputs", value=1.0), "n_outputs is no int"),
    "trees of no arrays": (_put("model", "values", "trees", "trees", value="x"), "rebuilt"),
    "a value it does not take": (_put("model", "values", "no", value=[]), "no is something"),
    "metadata gone": (_put("model", "metadata", value={"dict": []}), "rebuilt"),
    "an odd float": (_put("model", "params", "rate", value={"float": "1e999"}), "is no number"),
    "an arrays file elsewhere": (_put("arrays", "file", value="../x.safetensors"), "no name"),
    "an absolute arrays file": (_put("arrays", "file", value="/etc/passwd"), "no name"),
    "an arrays file of another name": (_put("arrays", "file", value="x.safetensors"), "cannot be read"),
    "another digest": (_put("arrays", "sha256", value="0" * 64), "is not the file that belongs"),
    "no model": (lambda d: d.pop("model") and None, "does not name"),
    "a list as model": (_put("model", value=[]), "rebuilt"),
    "deep nesting": (
        _put("model", "params", "rate", value=json.loads("[" * 900 + "]" * 900)),
        "rebuilt|deep",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_descriptions(tmp_path: Path, name: str) -> None:
    change, message = FORGED[name]
    persist.save(Toy().fit(), tmp_path / "model")
    sign(tmp_path / "model.json", change)
    with pytest.raises(CheckpointError, match=message):
        persist.load(tmp_path / "model")


def test_long_strings_are_not_multiplied(tmp_path: Path) -> None:
    """One long string among many would make NumPy reserve the long one's room for each."""
    persist.save(Toy().fit(), tmp_path / "model")
    strings = ["x" * 100_000, *[""] * 100_000]
    sign(tmp_path / "model.json", _put("model", "fitted", "classes_", value={"strings": strings}))
    with pytest.raises(CheckpointError, match="differ too much in length"):
        persist.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "index", "value"),
    [("left", 0, 0), ("right", 1, 0), ("feature", 0, 77), ("offsets", 1, 9), ("value", 0, np.nan)],
)
def test_forged_trees(tmp_path: Path, name: str, index: int, value: float) -> None:
    """Cycles and numbers out of range, with digests that fit."""
    trees = Toy().fit().trees
    persist.save(trees[2:], tmp_path / "model")
    writer = persist._Writer()
    writer.value("model", trees[2:])
    writer.arrays[f"model.{name}"] = writer.arrays[f"model.{name}"].copy()
    writer.arrays[f"model.{name}"][index] = value
    data = b"".join(checkpoint.chunks_of(writer.arrays, {}))
    (tmp_path / "forged.safetensors").write_bytes(data)
    arrays = {"file": "forged.safetensors", "sha256": persist._digest([data])}
    sign(tmp_path / "model.json", _put("arrays", value=arrays))
    with pytest.raises(CheckpointError, match="Trees"):
        persist.load(tmp_path / "model")


def test_forged_safetensors(tmp_path: Path) -> None:
    """Huge shapes, offsets past the end and no header at all, with digests that fit."""
    persist.save(Toy().fit().trees, tmp_path / "model")
    huge = json.dumps({"x": {"dtype": "F64", "shape": [2**60], "data_offsets": [0, 2**63]}}).encode()
    for data in (b"", b"\xff" * 8, len(huge).to_bytes(8, "little") + huge, (2**62).to_bytes(8, "little")):
        (tmp_path / "forged.safetensors").write_bytes(data)
        arrays = {"file": "forged.safetensors", "sha256": persist._digest([data])}
        sign(tmp_path / "model.json", _put("arrays", value=arrays))
        with pytest.raises(CheckpointError, match="safetensors"):
            persist.load(tmp_path / "model")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        persist.load(tmp_path / "nothing")
    for text in ("", "{", "[]", "null", "[" * 100_000, '{"format": "einkorn-boosting"}', "\x00", "9" * 9999):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(CheckpointError):
            persist.load(tmp_path / "model")
    (tmp_path / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError):
        persist.load(tmp_path / "model")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    trees = Toy().fit().trees
    persist.save(trees, folder / "model")
    return folder


_FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FUZZ
@given(data=st.data())
def test_changed_bytes_are_refused_or_change_nothing(saved: Path, data: st.DataObject) -> None:
    names = files(saved)
    path = saved / data.draw(st.sampled_from(names))
    before = path.read_bytes()
    changed = bytearray(before)
    if data.draw(st.booleans()):
        changed = changed[: data.draw(st.integers(0, len(before) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(before) - 1))] = data.draw(st.integers(0, 255))
    try:
        path.write_bytes(bytes(changed))
        try:
            loaded = persist.load(saved / "model")
        except CheckpointError:
            return
        assert same(loaded, Toy().fit().trees)
    finally:
        path.write_bytes(before)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@_FUZZ
@given(data=st.data())
def test_edited_fields_raise_nothing_else(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Any value in any field, with digests that fit: refused by one exception, or a model of its own."""
    folder = tmp_path_factory.mktemp("edited")
    persist.save(Toy().fit(), folder / "model")

    def change(document: Any) -> None:
        while True:
            keys = list(document) if isinstance(document, dict) else list(range(len(document)))
            key = data.draw(st.sampled_from(keys))
            inner = document[key]
            if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
                document[key] = data.draw(_JSON)
                return
            document = inner

    sign(folder / "model.json", change)
    try:
        loaded = persist.load(folder / "model")
    except CheckpointError:
        return
    assert isinstance(loaded, Toy)
