"""Models of XGBoost and LightGBM on data frames and sparse matrices, against the libraries themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from einkorn.boosting import load, save
from einkorn.boosting.readers import PeerModel, read_lightgbm, read_xgboost
from einkorn.errors import EinkornError

ROWS = 400


def table() -> tuple[Any, np.ndarray]:
    """A number, a category of numbers and one of text, the last two with much to say; and a target."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "a": rng.normal(size=ROWS),
            "number": pandas.Categorical(rng.choice([10, 20, 30, 40], ROWS)),
            "word": pandas.Categorical(rng.choice(["x", "yy", "z\u00fc"], ROWS)),
        }
    )
    frame.loc[:9, "a"] = np.nan
    y = frame["number"].astype(int) + 5.0 * (frame["word"] == "x") + frame["a"].fillna(0)
    return frame, y.to_numpy()


class Peer:
    """A library's model, and the same read from its file."""

    def __init__(self, source: str, X: Any, y: np.ndarray, path: Path) -> None:
        self.source = source
        self.library = pytest.importorskip(source)
        if source == "xgboost":
            data = self.library.DMatrix(X, y, enable_categorical=True)
            self.model = self.library.train({"max_depth": 4, "nthread": 1}, data, 8)
            self.model.save_model(path / "model.json")
            self.read: PeerModel = read_xgboost(path / "model.json")
        else:
            options = {"verbose": -1, "min_data_in_leaf": 5, "num_threads": 1, "min_data_per_group": 5}
            self.model = self.library.train(options, self.library.Dataset(X, y), 8)
            self.model.save_model(path / "model.txt")
            self.read = read_lightgbm(path / "model.txt")

    def predict(self, X: Any) -> np.ndarray:
        if self.source == "xgboost":
            X = self.library.DMatrix(X, enable_categorical=True)
        return self.model.predict(X)


@pytest.fixture(params=["xgboost", "lightgbm"])
def source(request: pytest.FixtureRequest) -> str:
    return request.param


def test_categories_of_a_data_frame_are_those_of_training(source: str, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer(source, frame, y, tmp_path)
    np.testing.assert_allclose(peer.read.predict(frame), peer.predict(frame), rtol=1e-6)
    assert np.abs(peer.read.predict(frame) - y).mean() < 5
    if source == "xgboost":  # its places of text beyond ASCII depend on all categories and their order
        frame["word"] = frame["word"].cat.rename_categories({"z\u00fc": "zz"})
        peer = Peer(source, frame, y, tmp_path)
    last = frame["word"].cat.categories[-1]
    other = frame.copy()
    other["number"] = frame["number"].cat.set_categories([40, 10, 30, 20])
    other["word"] = frame["word"].cat.set_categories([last, "x", "yy"])
    np.testing.assert_array_equal(peer.read.predict(other), peer.read.predict(frame))
    few = other.iloc[:7].copy()
    few["word"] = few["word"].cat.remove_unused_categories()
    np.testing.assert_allclose(peer.read.predict(few), peer.predict(few), rtol=1e-6)
    np.testing.assert_array_equal(peer.read.apply(few), peer.read.apply(frame)[:7])


def test_categories_survive_saving(source: str, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer(source, frame, y, tmp_path)
    save(peer.read, tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict(frame), peer.read.predict(frame))


def test_missing_and_new_categories_follow_the_library(source: str, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer(source, frame, y, tmp_path)
    frame.loc[20:40, "word"] = None
    np.testing.assert_allclose(peer.read.predict(frame), peer.predict(frame), rtol=1e-6)
    frame["number"] = frame["number"].cat.add_categories([50])
    frame.loc[:5, "number"] = 50
    if source == "xgboost":
        with pytest.raises(peer.library.core.XGBoostError, match="not in the training set"):
            peer.predict(frame)
        with pytest.raises(EinkornError, match=r"'number' has the category 50"):
            peer.read.predict(frame)
    else:
        np.testing.assert_allclose(peer.read.predict(frame), peer.predict(frame), rtol=1e-6)


def test_columns_in_another_order_are_refused(source: str, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer(source, frame, y, tmp_path)
    for names in (["word", "number", "a"], ["a", "word", "number"]):
        with pytest.raises(EinkornError, match="feature_names mismatch: column"):
            peer.read.predict(frame[names])
    plain = frame.copy()
    plain["number"] = plain["number"].astype(float)
    with pytest.raises(EinkornError, match="categorical"):
        peer.read.predict(plain)
    plain["word"] = plain["word"].astype(str)
    with pytest.raises(EinkornError, match=r"'word' holds text such as 'yy|'word' holds text such as"):
        peer.read.predict(plain)


def test_names_that_the_model_does_not_have(source: str, tmp_path: Path) -> None:
    frame, y = table()
    frame = frame[["a"]].assign(b=frame["number"].astype(float))
    peer = Peer(source, frame, y, tmp_path)
    renamed = frame.rename(columns={"a": "c", "b": "d"})
    if source == "xgboost":
        with pytest.raises(EinkornError, match="column 0 of X is 'c', expected 'a'"):
            peer.read.predict(renamed)
    else:
        np.testing.assert_array_equal(peer.read.predict(renamed), peer.predict(renamed))
    with pytest.raises(EinkornError, match="feature_names mismatch"):
        peer.read.predict(frame.rename(columns={"a": "c"}))
    by_place = Peer(source, frame.to_numpy(), y, tmp_path)
    np.testing.assert_array_equal(by_place.read.predict(frame), peer.read.predict(frame))


def test_integers_with_missing_values(source: str, tmp_path: Path) -> None:
    frame, y = table()
    frame = frame[["a"]].assign(b=frame["number"].astype(int).astype("Int64"), c=frame["a"] > 0)
    frame.loc[::7, "b"] = None
    peer = Peer(source, frame, y, tmp_path)
    np.testing.assert_allclose(peer.read.predict(frame), peer.predict(frame), rtol=1e-6)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "coo_matrix", "csr_array"])
def test_sparse_rows_follow_the_library(source: str, kind: str, tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(3)
    X = np.round(rng.normal(size=(ROWS, 4)), 1)
    X[rng.uniform(size=X.shape) < 0.5] = 0
    y = X[:, 0] + (X[:, 1] == 0) - 2 * (X[:, 2] > 0)
    rows = getattr(sparse, kind)(X)
    peer = Peer(source, sparse.csr_matrix(X), y, tmp_path)
    np.testing.assert_allclose(peer.read.predict(rows), peer.predict(sparse.csr_matrix(X)), rtol=1e-6)
    explicit = sparse.csr_matrix(X)
    explicit.data[::3] = 0.0  # entries that are there, and 0
    np.testing.assert_allclose(peer.read.predict(explicit), peer.predict(explicit), rtol=1e-6)


@pytest.mark.parametrize(
    ("before", "start"),
    [(b"", b'{ "'), (b"\xef\xbb\xbf", b'{"'), (b" \n", b'{\n\t "'), (b"", b'{      "'), (b"\n\n", b'{\r\n"')],
)
def test_json_with_spaces_or_a_byte_order_mark(before: bytes, start: bytes, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer("xgboost", frame[["a"]], y, tmp_path)
    written = (tmp_path / "model.json").read_bytes()
    assert written.startswith(b'{"')
    (tmp_path / "other.json").write_bytes(before + start + written[2:])
    other = read_xgboost(tmp_path / "other.json")
    np.testing.assert_array_equal(other.predict(frame[["a"]]), peer.read.predict(frame[["a"]]))
    (tmp_path / "wide.json").write_bytes(written.decode().encode("utf-16"))
    other = read_xgboost(tmp_path / "wide.json")
    np.testing.assert_array_equal(other.predict(frame[["a"]]), peer.read.predict(frame[["a"]]))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lightgbm_text_with_a_byte_order_mark_or_other_line_ends(mark: bytes, tmp_path: Path) -> None:
    frame, y = table()
    peer = Peer("lightgbm", frame, y, tmp_path)
    written = (tmp_path / "model.txt").read_bytes()
    (tmp_path / "other.txt").write_bytes(mark + written.replace(b"\n", b"\r\n"))
    other = read_lightgbm(tmp_path / "other.txt")
    np.testing.assert_array_equal(other.predict(frame), peer.read.predict(frame))
