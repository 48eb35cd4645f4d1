"""Files that commands and objects write are whole or not there, and errors name them."""

import gzip
import json

import pytest
from small_cascade import small_cascade

from einkorn import checkpoint
from einkorn.cli import main
from einkorn.data import read_csv
from einkorn.errors import CheckpointError, DataError, MissingFileError
from einkorn.training import History
from einkorn.vision import CascadeDetector


def _fail(number):
    raise OSError(28, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    """Syncing fails, as on a disk that is full."""

    monkeypatch.setattr(checkpoint.os, "fsync", _fail)


def _history():
    history = History()
    history.append(0, {"loss": 1.0})
    return history


@pytest.mark.parametrize(
    "write",
    [
        lambda path: CascadeDetector(small_cascade()).save(path),
        lambda path: _history().to_csv(path),
        lambda path: _history().plot(path),
    ],
    ids=["cascade", "history", "plot"],
)
def test_a_full_disk_leaves_the_old_file(write, tmp_path, full_disk):
    path = tmp_path / "file.png"
    path.write_text("old")
    with pytest.raises(CheckpointError, match=r"file\.png: cannot be written: .*No space"):
        write(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.png"]


def test_predictions_are_written_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{i},{i % 7},{i % 2}" for i in range(60))
    (tmp_path / "data.csv").write_text(f"a,b,y\n{rows}\n")
    assert main(["boost", "data.csv", "--target", "y", "--out", "run", "--n-estimators", "3"]) == 0
    out = tmp_path / "p.csv"
    out.write_text("old\n")
    command = ["boost", "data.csv", "--predict", "run", "--out", "p.csv", "--overwrite"]
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpoint.os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        assert main(command) == 2
    assert "p.csv: cannot be written" in capsys.readouterr().err
    assert out.read_text() == "old\n"
    assert main(command) == 0
    assert len(out.read_text().splitlines()) == 61


def test_a_figure_without_a_suffix_is_png(tmp_path):
    _history().plot(tmp_path / "curves")
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"


def test_a_missing_table_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match=r"^.*nofile: there is no such file$") as caught:
        read_csv(tmp_path / "nofile")
    assert isinstance(caught.value, DataError)
    assert isinstance(caught.value, FileNotFoundError)
    assert main(["boost", str(tmp_path / "nofile"), "--target", "y"]) == 2
    assert "nofile: there is no such file" in capsys.readouterr().err
    with pytest.raises(DataError, match="cannot be read"):
        read_csv(tmp_path)


def test_a_truncated_table_is_called_so(tmp_path):
    packed = gzip.compress(json.dumps(list(range(5000))).encode())
    (tmp_path / "t.csv.gz").write_bytes(packed[:-20])
    with pytest.raises(DataError, match=r"t\.csv\.gz is truncated"):
        read_csv(tmp_path / "t.csv.gz")
