"""The command line."""

import csv
import os
import subprocess
import sys

import pytest

import einkorn
from einkorn import models
from einkorn.cli import main


def run(*arguments):
    """Exit status of a command, however it ends."""
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"einkorn {einkorn.__version__}\n"


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "einkorn", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout == f"einkorn {einkorn.__version__}\n"


def test_info(capsys):
    assert run("info") == 0
    assert einkorn.__version__ in capsys.readouterr().out


def test_bench_passes_its_arguments(monkeypatch):
    from einkorn import bench

    calls = []
    monkeypatch.setattr(bench, "main", lambda families, **options: calls.append((families, options)))
    assert run("bench") == 0
    assert run("bench", "conv", "pool", "--threads", "2", "--quick", "--json", "f", "--markdown") == 0
    defaults = {"threads": None, "quick": False, "json": None, "as_markdown": False}
    given = {"threads": 2, "quick": True, "json": "f", "as_markdown": True}
    assert calls == [([], defaults), (["conv", "pool"], given)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "required: MODEL"),
        (["train", "lenet5"], "required: --data"),
        (["train", "vgg", "--data", "digits"], "invalid choice: 'vgg'"),
        (["train", "mlp", "--data", "imagenet"], "invalid choice: 'imagenet'"),
        (["train", "mlp", "--data", "digits", "--epochs", "many"], "invalid int value"),
        (["train", "mlp", "--data", "digits", "--epochs", "0"], "--epochs is 0"),
        (["train", "mlp", "--data", "digits", "--batch-size", "0"], "batch_size is 0"),
        (["train", "mlp", "--data", "digits", "--lr", "-1"], "lr is -1"),
        (["train", "mlp", "--data", "digits", "--threads", "0"], "0"),
        (["train", "mlp", "--data", "mnist"], "set EINKORN_DATA"),
    ],
)
def test_errors_are_one_line_and_status_2(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("EINKORN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "error:" in error


def test_an_unwritable_place_is_an_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("train", "mlp", "--data", "digits", "--out", str(tmp_path / "file")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(einkorn, "show_config", interrupt)
    assert run("info") == 130
    assert capsys.readouterr().err == "einkorn info: interrupted\n"


def test_a_reader_that_leaves_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "einkorn", "info"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_train_writes_its_results(tmp_path, capsys, optimizer):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    arguments = ["--data", "digits", "--epochs", "2", "--optimizer", optimizer]
    assert run("train", "softmax_regression", *arguments, "--out", str(tmp_path / "a" / "b")) == 0
    captured = capsys.readouterr()
    assert "accuracy on the 359 test images: " in captured.out
    assert "Total params: 650" in captured.out
    assert "Epoch 2/2" in captured.err
    folder = tmp_path / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "learning-curve.png",
        "model.safetensors",
    ]
    assert isinstance(einkorn.load(folder / "model.safetensors"), models.SoftmaxRegression)
    lines = list(csv.DictReader((folder / "history.csv").open()))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert float(lines[-1]["val_accuracy"]) > 0.5


def test_without_matplotlib_there_is_a_note(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    arguments = ["--data", "digits", "--epochs", "1", "--out", str(tmp_path)]
    assert run("train", "mlp", *arguments) == 0
    assert "no learning-curve.png: History.plot needs matplotlib" in capsys.readouterr().out
    assert (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "learning-curve.png").exists()


def test_the_seed_makes_a_run_repeatable(tmp_path):
    pytest.importorskip("sklearn")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ["--data", "digits", "--epochs", "1", "--seed", seed]
        assert run("train", "mlp", *arguments, "--out", str(tmp_path / name)) == 0
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_lenet_reaches_97_percent_on_the_digits(tmp_path):
    pytest.importorskip("sklearn")
    assert run("train", "lenet5", "--data", "digits", "--out", str(tmp_path)) == 0
    lines = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert float(lines[-1]["val_accuracy"]) >= 0.97
