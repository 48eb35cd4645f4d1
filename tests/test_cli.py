"""The command line."""

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from test_data import write_mnist

import einkorn
from einkorn import config, data, models
from einkorn.cli import main
from einkorn.training.progress import Progress


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
    options = ("--threads", "2", "--quick", "--json", "f", "--markdown")
    options += ("--rows", "3x3", "--alone", "--patience", "5")
    assert run("bench", "conv", "pool", *options) == 0
    defaults = {"threads": None, "quick": False, "json": None, "as_markdown": False}
    defaults |= {"rows": None, "alone": False, "patience": 120.0}
    given = {"threads": 2, "quick": True, "json": "f", "as_markdown": True}
    given |= {"rows": "3x3", "alone": True, "patience": 5.0}
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
        (["train", "mlp", "--data", "digits", "--batch-size", "0"], "--batch-size is 0"),
        (["train", "mlp", "--data", "digits", "--lr", "-1"], "--lr is -1"),
        (["train", "mlp", "--data", "digits", "--threads", "0"], "0"),
        (["train", "mlp", "--data", "mnist"], "set EINKORN_DATA"),
        (["train", "mlp", "--data", "mnist", "--data-dir", "none"], "looked in none"),
        (
            ["train", "mlp", "--data", "digits", "--data-dir", "."],
            "--data-dir does not apply to --data digits",
        ),
        (["train", "mlp", "--data", "digits", "--resume", "none"], "--resume: none is no folder"),
        (["train", "mlp", "--data", "digits", "--resume", "."], "history.csv: is no history"),
        (
            ["train", "mlp", "--data", "digits", "--resume", ".", "--out", "x"],
            "a run goes on in its own folder",
        ),
        (["predict", "none", "a.png"], "none: there is no such file"),
        (["predict", ".", "a.png"], "model.safetensors: there is no such file"),
        (["predict", ".", "a.png", "--top", "0"], "--top is 0"),
        (["bench", "--json", "none/figures.json"], "there is no folder none"),
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
        "report.html",
        "run.json",
    ]
    assert isinstance(einkorn.load(folder / "model.safetensors"), models.SoftmaxRegression)
    lines = list(csv.DictReader((folder / "history.csv").open()))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert float(lines[-1]["val_accuracy"]) > 0.5


def bare(text):
    """What is printed under "use it from Python", as a program."""
    block = text.partition("use it from Python")[2].partition("\n")[2].partition("or from")[0]
    return textwrap.dedent(block)


@pytest.mark.parametrize("model", ["softmax_regression", "mlp", "lenet5"])
def test_the_lines_that_use_a_model_work(model, tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    assert run("train", model, "--data", "digits", "--epochs", "6") == 0
    program = bare(capsys.readouterr().out)
    assert len(program.splitlines()) == 3  # an import, and the two
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"'(\d)'", done.stdout)
    assert sum(a == str(b) for a, b in zip(said, data.load_digits()[1][1][:5], strict=True)) >= 4


def write_digits(folder, size=(8, 8), ink=False):
    """The first test images as files, and their digits."""
    image = pytest.importorskip("PIL.Image")
    x, y = data.load_digits()[1]
    names = []
    for i in range(12):
        pixels = np.rint(x[i, 0] * 255).astype(np.uint8)
        picture = image.fromarray(255 - pixels if ink else pixels)
        names.append(str(folder / f"{i}.png"))
        picture.resize(size, image.Resampling.BICUBIC).save(names[-1])
    return names, [str(digit) for digit in y[:12]]


@pytest.mark.parametrize("size", [(8, 8), (64, 64)])
def test_predict(size, tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = str(tmp_path / "run")
    assert run("train", "lenet5", "--data", "digits", "--epochs", "6", "--out", out) == 0
    names, digits = write_digits(tmp_path, size)
    capsys.readouterr()
    assert run("predict", out, *names) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == names
    assert sum(line.split("  ")[1].split()[0] == digit for line, digit in zip(lines, digits, strict=True)) > 9
    assert run("predict", out + "/model.safetensors", *names, "--json", "--top", "10") == 0
    told = json.loads(capsys.readouterr().out)
    for image, line in zip(told, lines, strict=True):
        probabilities = [each["probability"] for each in image["classes"]]
        assert sorted(probabilities, reverse=True) == probabilities
        assert sum(probabilities) == pytest.approx(1)
        first = image["classes"][0]
        assert line.split("  ")[:2] == [image["image"], f"{first['class']} {first['probability']:.2%}"]
    names, digits = write_digits(tmp_path, size, ink=True)
    assert run("predict", out, names[0]) == 0
    assert "try it with --invert" in capsys.readouterr().err
    assert run("predict", out, *names, "--invert", "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    inverted = [image["classes"][0] for image in json.loads(captured.out)]
    for first, image in zip(inverted, told, strict=True):  # but for how resizing rounds
        assert first["class"] == image["classes"][0]["class"]
        assert first["probability"] == pytest.approx(image["classes"][0]["probability"], abs=0.02)


def test_predict_names_what_else_a_file_may_be(tmp_path, capsys):
    model = models.MLP([4, 2])
    einkorn.save(model, tmp_path / "model.safetensors")
    assert run("predict", str(tmp_path), "a.png") == 2
    assert "does not say what images it takes" in capsys.readouterr().err
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "columns.json").write_text("{}")
    assert run("predict", str(tmp_path / "table"), "a.png") == 2
    assert "einkorn boost TABLE --predict" in capsys.readouterr().err


def test_data_dir(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("EINKORN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "mnist", "")
    for kind in ("images-idx3", "labels-idx1"):  # test images that were trained on
        shutil.copy(tmp_path / "mnist" / f"train-{kind}-ubyte", tmp_path / "mnist" / f"t10k-{kind}-ubyte")
    for folder in (tmp_path, tmp_path / "mnist"):
        options = ["--data", "mnist", "--data-dir", str(folder), "--epochs", "30", "--batch-size", "4"]
        assert run("train", "softmax_regression", *options, "--out", "out", "--overwrite") == 0
        out = capsys.readouterr().out
        assert "accuracy on the 7 test images" in out
        done = subprocess.run([sys.executable, "-c", bare(out)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


# --- earlier runs, and what ends a run ----------------------------------------------------------


def test_a_run_replaces_no_other(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    command = ["train", "softmax_regression", "--data", "digits", "--epochs", "1"]
    for name in ("", "-2", "-3"):
        assert run(*command) == 0
        assert f"to runs/softmax_regression-digits{name}\n" in capsys.readouterr().out
    first = tmp_path / "runs" / "softmax_regression-digits"
    before = (first / "model.safetensors").read_bytes()
    assert run(*command, "--out", str(first), "--seed", "1") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (first / "model.safetensors").read_bytes() == before
    (first / "best.safetensors").write_bytes(b"of an earlier run")
    (first / "notes.txt").write_text("mine")
    assert run(*command, "--out", str(first), "--seed", "1", "--overwrite") == 0
    assert (first / "model.safetensors").read_bytes() != before
    assert not (first / "best.safetensors").exists()
    assert (first / "notes.txt").exists()
    assert run(*command, "--overwrite") == 0
    assert len(list((tmp_path / "runs").iterdir())) == 3
    assert run(*command, "--out", str(tmp_path)) == 0  # a folder with other things in it


def test_a_failed_run_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("EINKORN_DATA", raising=False)
    assert run("train", "mlp", "--data", "mnist", "--out", str(tmp_path / "a" / "b")) == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_found_before_the_work(out, capsys, monkeypatch):
    monkeypatch.setattr(data, "load_digits", lambda: pytest.fail("the work has begun"))
    assert run("train", "mlp", "--data", "digits", "--out", out) == 2
    assert "can be made" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["1e9", "1e30"])
def test_a_rate_far_too_high_leaves_a_good_model_alone(rate, tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    command = ["train", "mlp", "--data", "digits", "--epochs", "2", "--out", str(out)]
    assert run(*command) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(*command, "--lr", rate, "--overwrite") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("einkorn train: error: ")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run(*command[:-1], str(tmp_path / "other"), "--lr", rate) == 2
    assert not (tmp_path / "other" / "model.safetensors").exists()


def test_ctrl_c_keeps_what_there_is_and_resume_goes_on(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    command = ["train", "mlp", "--data", "digits", "--epochs", "8", "--optimizer", "adamw"]
    begin = Progress.begin

    def interrupted(self, epoch, steps):
        if epoch == 3:
            raise KeyboardInterrupt
        begin(self, epoch, steps)

    monkeypatch.setattr(Progress, "begin", interrupted)
    assert run(*command) == 130
    out = capsys.readouterr().out
    assert "interrupted after 3 of 8 epochs" in out
    go_on = re.search(r"go on with: einkorn (.*)", out)[1]
    assert go_on == " ".join([*command, "--resume runs/mlp-digits"])
    folder = tmp_path / "runs" / "mlp-digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "history.csv",
        "learning-curve.png",
        "model.safetensors",
        "report.html",
        "resume.safetensors",
        "run.json",
    ]
    accuracies = [float(line["val_accuracy"]) for line in csv.DictReader((folder / "history.csv").open())]
    assert len(accuracies) == 3
    x, y = data.load_digits()[1]
    best = models.ImageClassifier.load(folder / "best.safetensors").predict(x)
    assert np.mean(best == y.astype(str)) == pytest.approx(max(accuracies))

    monkeypatch.setattr(Progress, "begin", begin)
    assert run(*command, "--resume", "runs/mlp-digits", "--lr", "1") == 2
    assert "--lr None, and now has 1.0" in capsys.readouterr().err
    assert run(*go_on.split()) == 0
    assert re.findall(r"Epoch (\d+/\d+)", "".join(capsys.readouterr())) == [f"{i}/8" for i in range(4, 9)]
    lines = list(csv.DictReader((folder / "history.csv").open()))
    assert [line["epoch"] for line in lines] == [str(i) for i in range(1, 9)]
    rates = [float(line["learning_rate"]) for line in lines]
    assert rates == pytest.approx([3e-3 * (1 - i / 8) for i in range(8)])
    assert float(lines[3]["loss"]) < float(lines[2]["loss"]) * 1.2  # no step back
    assert not (folder / "resume.safetensors").exists()
    assert run(*go_on.split()) == 2
    assert "has 8 epochs of 8 already" in capsys.readouterr().err


def train_until(epoch, *arguments, before="pass"):
    """A process that trains, once it has come to an epoch."""
    program = (
        f"import sys; from einkorn.cli import main, train; {before}; sys.exit(main({list(arguments)!r}))"
    )

    def heed() -> (
        None
    ):  # tests in the background of a shell were started with signals ignored, and hand that down
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,
    )
    for line in process.stderr:
        if line.startswith(f"Epoch {epoch}/"):
            return process
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_real_interrupt(tmp_path, number):
    pytest.importorskip("sklearn")
    out = tmp_path / "run"
    with train_until(
        2, "train", "mlp", "--data", "digits", "--epochs", "100000", "--out", str(out)
    ) as process:
        process.send_signal(number)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "go on with: einkorn train mlp" in text
    assert (out / "model.safetensors").exists()
    assert len((out / "history.csv").read_text().splitlines()) >= 2


def test_what_a_killed_run_kept(tmp_path, capsys):
    """Nothing can be done when SIGKILL comes, so it was done before."""
    pytest.importorskip("sklearn")
    out, words = tmp_path / "run", ("train", "mlp", "--data", "digits", "--epochs", "100000")
    with train_until(4, *words, "--out", str(out), before="train._KEEP_AFTER = 0") as process:
        process.kill()
    done = len((out / "history.csv").read_text().splitlines()) - 1
    assert done >= 2
    assert (out / "best.safetensors").exists()
    words = (*words[:-1], str(done + 2))
    assert run(*words, "--resume", str(out)) == 0
    assert f"{done} of {done + 2} epochs are done" in capsys.readouterr().out
    assert len((out / "history.csv").read_text().splitlines()) == done + 3
    assert not (out / "resume.safetensors").exists()


def test_bench_refuses_to_replace_a_file(tmp_path, monkeypatch, capsys):
    from einkorn import bench

    monkeypatch.setattr(bench, "main", lambda *_, **options: calls.append(options["json"]))
    calls = []
    file = tmp_path / "figures.json"
    file.write_text("[]")
    assert run("bench", "--json", str(file)) == 2
    assert "is there already" in capsys.readouterr().err
    assert run("bench", "--json", str(file), "--overwrite") == 0
    assert run("bench", "--json", os.devnull) == 0
    assert calls == [str(file), os.devnull]


# --- einkorn info -------------------------------------------------------------------------------


class Driver:
    """A stand-in for NVIDIA's management library with one card."""

    def __init__(self, _name):
        self.nvmlInit_v2 = self.nvmlShutdown = lambda: 0

    def nvmlDeviceGetCount_v2(self, count):
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, card):
        card._obj.value = 4711 + index
        return 0

    def nvmlDeviceGetName(self, card, name, _length):
        assert card.value == 4711
        name.value = b"Card 9000"
        return 0


@pytest.mark.parametrize(
    ("is_built", "has_card", "words"),
    [
        (True, False, "built with CUDA 13.0 for 80, 90a; no card"),
        (
            False,
            True,
            "not built (einkorn was installed without nvcc or without a card); there is a card: Card 9000",
        ),
        (
            False,
            False,
            "not built (einkorn was installed without nvcc or without a card); no card",
        ),
        (
            True,
            True,
            "built with CUDA 13.0 for 80, 90a; Card 9000, whose driver takes CUDA 13.1; CuPy is not"
            " installed: pip install 'einkorn[cuda]'",
        ),
    ],
)
def test_info_says_whether_there_is_a_card(is_built, has_card, words, monkeypatch, capsys):
    def no_driver(_name):
        raise OSError

    find = importlib.util.find_spec
    specs = {"einkorn._cuda": object() if is_built else None, "cupy": None}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: specs[name] if name in specs else find(name)
    )
    monkeypatch.setattr(config.ctypes, "CDLL", Driver if has_card else no_driver)
    kernels = {"relu": ("native", "numba", "cuda") if is_built else ("native", "numba")}
    monkeypatch.setattr(config, "support_matrix", lambda: kernels)
    built = types.SimpleNamespace(versions=lambda: (13000, 13010), architectures="80, 90a")
    monkeypatch.setitem(sys.modules, "einkorn._cuda", built)
    monkeypatch.setattr(einkorn, "_cuda", built, raising=False)
    assert run("info") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{'cuda':12}{words}" in lines
    assert ["relu", "yes", "yes", "built" if is_built else "-"] in [line.split() for line in lines]


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
