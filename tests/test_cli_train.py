"""``einkorn train``'s settings, what it keeps, and ``einkorn report`` and ``compare``."""

import csv
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_cli import run, train_until

import einkorn
from einkorn import data, models
from einkorn.cli import svg, train_options
from einkorn.cli.records import png
from einkorn.training.progress import Progress

pytest.importorskip("sklearn")
DIGITS = ("train", "mlp", "--data", "digits")
EVERYTHING = {
    "model": "mlp",
    "data": "digits",
    "epochs": 4,
    "batch_size": 100,
    "optimizer": "sgd",
    "lr": 0.2,
    "optimizer_options": {"momentum": 0.8, "nesterov": True},
    "schedule": "cosine",
    "schedule_by": "batch",
    "warmup_epochs": 1,
    "label_smoothing": 0.1,
    "metrics": ["top_k"],
    "gradient_accumulation_steps": 2,
    "global_clipnorm": 1.0,
    "autocast": True,
    "average": "ema",
    "average_decay": 0.5,
    "early_stopping": 3,
    "restore_best_weights": True,
    "checkpoints": 2,
    "keep_every": 3,
    "augment": {"RandomRotation": 10, "RandomAffine": {"degrees": 0, "translate": [0.1, 0.1]}},
    "mix": "cutmix",
    "mix_alpha": 1,
    "validation_split": 0.1,
    "csv": True,
    "seed": 3,
}


def written(value):
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {written(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def toml(values):
    """Settings as a file has them."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {written(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def words(values):
    """The same settings as options."""
    found = [values["model"]]
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, dict):
            found += [flag, *(f"{key}={json.dumps(each)}" for key, each in value.items())]
        elif isinstance(value, list):
            found += [flag, *value]
        elif isinstance(value, bool):
            found += [flag if value else flag.replace("--", "--no-", 1)]
        elif name != "model":
            found += [flag, str(value)]
    return found


def lines_of(folder):
    return list(csv.DictReader((folder / "history.csv").open()))


def weights(folder):
    return einkorn.load(folder / "model.safetensors").state_dict()


def test_a_file_and_options_mean_the_same(tmp_path, capsys):
    pytest.importorskip("tomllib")
    (tmp_path / "run.toml").write_text(toml(EVERYTHING))
    assert run("train", "--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "a")) == 0
    assert run("train", *words(EVERYTHING), "--out", str(tmp_path / "b")) == 0
    a, b = (json.loads((tmp_path / name / "run.json").read_text()) for name in "ab")
    for record in (a, b):
        del record["settings"]["out"]
    assert a["settings"] == b["settings"]
    told = {name: value for name, value in a["settings"].items() if name in EVERYTHING}
    assert told == EVERYTHING
    assert_array_equal(weights(tmp_path / "a")["layers.0.weight"], weights(tmp_path / "b")["layers.0.weight"])
    assert len(lines_of(tmp_path / "a")) == len((tmp_path / "a" / "log.csv").read_text().splitlines()) - 1
    assert len(list((tmp_path / "a").glob("checkpoint-*.safetensors"))) == 2
    assert a["test"]["rows"] == 359
    assert a["rows"][0] + a["rows"][1] == 1438
    # the command line goes before the file
    options = ("--epochs", "2", "--no-autocast", "--average", "none", "--out", str(tmp_path / "c"))
    assert run("train", "--config", str(tmp_path / "run.toml"), *options) == 0
    settings = json.loads((tmp_path / "c" / "run.json").read_text())["settings"]
    assert (settings["epochs"], settings["autocast"], settings["lr"]) == (2, False, 0.2)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "run.toml: epoch is no setting; did you mean epochs?"),
        ("epochs = 'three'", "run.toml: epochs is 'three', expected an integer"),
        ("epochs = 0", "run.toml: epochs is 0, expected at least 1"),
        ("lr = nan", "run.toml: lr is nan, expected a finite number"),
        ("autocast = 1", "run.toml: autocast is 1, expected true or false"),
        ("optimizer = 'adma'", "run.toml: optimizer is 'adma', expected one of"),
        ("optimizer_options = 3", "run.toml: optimizer_options is 3, expected a table"),
        ("metrics = [1]", "run.toml: metrics is [1], expected a list of texts"),
        ("validation_split = 1", "run.toml: validation_split is 1, expected"),
        ("[optimizer_options]\nbeta = 3", "run.toml: optimizer_options: got beta, expected some of"),
        ("[class_weight]\n10 = 1", "run.toml: class_weight has 10=1, expected a class from 0 to 9"),
        ("epochs = ", "--config: run.toml: is no TOML"),
    ],
)
def test_errors_of_a_file_name_its_key(text, message, tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(text)
    assert run(*DIGITS, "--config", "run.toml") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--learning-rat", "1"), "unrecognized arguments: --learning-rat 1"),
        (("--batchsize", "1"), "did you mean --batch-size?"),
        (("--optimizer-options", "momentum=0.9"), "--optimizer-options: got momentum, expected some of"),
        (("--optimizer-options", "weight_decay"), "got 'weight_decay', expected NAME=VALUE"),
        (("--optimizer-options", "weight_decay=-1"), "--optimizer-options: "),
        (("--optimizer-options", "lr=1"), "the rate is given by --lr"),
        (("--schedule", "step", "--schedule-options", "gama=0.5"), "did you mean gamma?"),
        (("--schedule", "linear", "--schedule-by", "batch"), "--schedule-by does not apply"),
        (("--warmup-epochs", "30"), "--warmup-epochs is 30, expected less than the 30 epochs"),
        (("--class-weight", "0=-1"), "--class-weight has 0=-1"),
        (("--class-weight", "0=1", "--mix", "mixup"), "--class-weight does not apply to --mix mixup"),
        (("--label-smoothing", "0.1", "--loss", "multi-margin"), "--label-smoothing does not apply"),
        (("--clipnorm", "1", "--clipvalue", "1"), "clipnorm and clipvalue are given"),
        (
            ("--augment", "RandomRotate=10"),
            "--augment: there is no RandomRotate; did you mean RandomRotation?",
        ),
        (
            ("--augment", 'RandomRotation={"degree":10}'),
            "--augment: RandomRotation: got degree, expected some",
        ),
        (
            ("--augment", "Resize=4"),
            "--augment: images of shape (1, 8, 8) become (1, 4, 4), expected the same",
        ),
        (("--metrics", "accuarcy"), "accuarcy"),
        (("--early-stopping", "2", "--monitor", "val_los"), "monitor is 'val_los'"),
        (("--restore-best-weights",), "--restore-best-weights needs --early-stopping"),
        (("--average", "swa", "--average-from", "31"), "--average-from is 31"),
        (("--config", "none.toml"), "--config: none.toml: No such file"),
    ],
)
def test_errors_of_options_name_them_as_typed(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*DIGITS, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_every_setting_is_an_option_with_a_help(capsys):
    assert run("train", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in train_options.Settings.__dataclass_fields__:
        assert ("MODEL" if name == "model" else "--" + name.replace("_", "-")) in text


# --- what settings do ---------------------------------------------------------------------------


def rates(folder):
    return [float(line["learning_rate"]) for line in lines_of(folder)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--schedule", "constant"), [0.003] * 4),
        (("--schedule", "linear", "--warmup-epochs", "1"), [0.0015, 0.003, 0.002, 0.001]),
        (
            ("--schedule", "step", "--schedule-options", "step_size=2", "gamma=0.5"),
            [0.003] * 2 + [0.0015] * 2,
        ),
        (("--schedule", "exponential", "--schedule-options", "gamma=0.1"), [0.003, 3e-4, 3e-5, 3e-6]),
        (("--schedule", "cosine", "--lr", "1e-3"), [1e-3, 8.535534e-4, 5e-4, 1.464466e-4]),
    ],
)
def test_schedules(options, expected, tmp_path):
    assert run(*DIGITS, "--epochs", "4", *options, "--out", str(tmp_path)) == 0
    assert rates(tmp_path) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("schedule", [s for s in train_options.SCHEDULES if s not in ("linear", "constant")])
def test_every_schedule_trains_with_its_defaults(schedule, tmp_path):
    assert run(*DIGITS, "--epochs", "6", "--schedule", schedule, "--out", str(tmp_path)) == 0
    assert float(lines_of(tmp_path)[-1]["val_accuracy"]) > 0.5


@pytest.mark.parametrize("optimizer", train_options.OPTIMIZERS)
def test_every_optimizer_trains(optimizer, tmp_path):
    assert run(*DIGITS, "--epochs", "1", "--optimizer", optimizer, "--out", str(tmp_path / "run")) in (0, 2)
    assert np.isfinite(float(lines_of(tmp_path / "run")[0]["loss"]))


def test_accumulation_is_the_large_batch(tmp_path):
    common = (*DIGITS, "--epochs", "2", "--optimizer", "sgd")
    assert run(*common, "--batch-size", "64", "--out", str(tmp_path / "a")) == 0
    options = ("--batch-size", "16", "--gradient-accumulation-steps", "4")
    assert run(*common, *options, "--out", str(tmp_path / "b")) == 0
    a, b = (lines_of(tmp_path / name)[-1] for name in "ab")
    assert float(a["val_loss"]) == pytest.approx(float(b["val_loss"]), rel=1e-3)


def test_balanced_classes_are_those_of_alike_many_rows():
    from einkorn.cli.train_parts import class_weights

    settings = train_options.Settings(class_weight="balanced")
    found = class_weights(settings, train_options.Origins(), np.repeat([0, 1, 2], [10, 30, 60]), 4)
    assert found == pytest.approx({0: 10 / 3, 1: 10 / 9, 2: 5 / 9})


# --- going on -----------------------------------------------------------------------------------


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, capsys, monkeypatch):
    """Bit for bit, with all that a run can have to remember, and with no setting told again."""
    options = {**EVERYTHING, "epochs": 5, "schedule": "one-cycle", "average": "swa", "average_from": 2}
    for name in ("keep_every", "autocast", "average_decay", "gradient_accumulation_steps"):
        del options[name]
    assert run("train", *words(options), "--out", str(tmp_path / "whole")) == 0
    begin = Progress.begin

    def interrupted(self, epoch, steps):
        if epoch == 3:
            raise KeyboardInterrupt
        begin(self, epoch, steps)

    monkeypatch.setattr(Progress, "begin", interrupted)
    assert run("train", *words(options), "--out", str(tmp_path / "cut")) == 130
    monkeypatch.setattr(Progress, "begin", begin)
    record = json.loads((tmp_path / "cut" / "run.json").read_text())
    assert (record["status"], record["epochs_done"]) == ("interrupted", 3)
    assert run("train", "--resume", str(tmp_path / "cut"), "--label-smoothing", "0.2") == 2
    assert "the run had --label-smoothing 0.1, and now has 0.2" in capsys.readouterr().err
    einkorn.manual_seed(99)
    np.random.default_rng()
    assert run("train", "--resume", str(tmp_path / "cut")) == 0
    assert (tmp_path / "cut" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()
    assert (tmp_path / "cut" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()
    for name, array in weights(tmp_path / "whole").items():
        assert_array_equal(array, weights(tmp_path / "cut")[name], err_msg=name)
    for a, b in zip(*((tmp_path / name).glob("checkpoint-*") for name in ("whole", "cut")), strict=True):
        assert a.name == b.name
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["status"] == "finished"


def test_a_run_killed_within_an_epoch_goes_on(tmp_path):
    common = (*DIGITS, "--epochs", "6", "--batch-size", "8", "--keep-every", "50")
    assert run(*common, "--out", str(tmp_path / "whole")) == 0
    slow = "from einkorn.training.callbacks import Callback; import time; "
    slow += "train._Best.on_train_batch_end = lambda *_: time.sleep(0.002)"
    with train_until(3, *common, "--out", str(tmp_path / "cut"), before=slow) as process:
        process.kill()
    assert run("train", "--resume", str(tmp_path / "cut")) == 0
    for name, array in weights(tmp_path / "whole").items():
        assert_array_equal(array, weights(tmp_path / "cut")[name], err_msg=name)


# --- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Headings, tables and all that a page refers to; every tag is closed."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.refers, self.images, self.headings, self.text = [], [], [], [], text
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID and tag not in ("line", "rect", "circle", "polyline"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href"):
                (self.images if value.startswith("data:image/png;base64,") else self.refers).append(value)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(text)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert run(*DIGITS, "--epochs", "3", "--out", str(folder / "a")) == 0
    assert run(*DIGITS, "--epochs", "4", "--lr", "0.01", "--out", str(folder / "b")) == 0
    return folder


def test_the_page_stands_alone_and_tells_all(two_runs, tmp_path, capsys):
    folder = shutil.copytree(two_runs / "a", tmp_path / "a")
    page = Page((folder / "report.html").read_text())
    assert page.refers == []
    assert not re.search(r"https?://|url\(|<script|@import", page.text)
    assert page.headings == [
        "mlp on digits",
        "Curves",
        "Which class was taken for which",
        "Wrong on the test images",
        "Gradients and activations by layer",
        "Time by part",
        "Settings",
        "Machine",
    ]
    record = json.loads((folder / "run.json").read_text())
    model = models.ImageClassifier.load(folder)
    x, y = data.load_digits()[1]
    right = int((model.predict(x) == y.astype(str)).sum())
    assert np.trace(record["confusion"]) == right
    assert np.sum(record["confusion"]) == 359
    assert record["test"]["wrong"] == 359 - right
    assert len(page.images) == min(24, 359 - right)
    assert f"{right / 359:.2%}" in page.text
    parts = ["data", "forward", "backward", "optimizer", "callbacks", "validation", "other"]
    assert list(record["seconds"]) == ["loading", *parts, "measuring"]
    assert all(record["seconds"][part] > 0 for part in parts)
    assert all(f">{part}</text>" in page.text for part in parts)
    for svg_text in re.findall(r"<svg.*?</svg>", page.text, re.S):
        ElementTree.fromstring(svg_text)
    (folder / "report.html").unlink()
    assert run("report", str(folder)) == 0
    assert capsys.readouterr().out == f"wrote {folder / 'report.html'}\n"
    assert (folder / "report.html").read_text() == page.text


def test_report_names_what_is_wrong(tmp_path, two_runs, capsys):
    assert run("report", str(tmp_path)) == 2
    assert "has no run.json" in capsys.readouterr().err
    folder = shutil.copytree(two_runs / "a", tmp_path / "a")
    record = json.loads((folder / "run.json").read_text())
    for content in ("", "[]", "{}", json.dumps({"settings": {}}), json.dumps({**record, "rows": 3})):
        (folder / "run.json").write_text(content)
        assert run("report", str(folder)) == 2
        assert "does not describe a run" in capsys.readouterr().err
    damaged = [{k: v for k, v in record.items() if k != key} for key in record]
    damaged += [{**record, key: wrong} for key in record for wrong in (3, "text", None, [[]], {"a": "b"})]
    (folder / "report.html").unlink()
    for content in damaged:
        (folder / "run.json").write_text(json.dumps(content))
        told = [run("report", str(folder)), run("compare", str(two_runs / "b"), str(folder))]
        errors = capsys.readouterr().err
        assert told in ([2, 2], [0, 2], [0, 0], [0, 1]), content
        assert errors.count("does not describe a run") == told.count(2)
        assert (folder / "report.html").exists() == (told[0] == 0)
        (folder / "report.html").unlink(missing_ok=True)
    (folder / "run.json").write_text(json.dumps(record))
    for content in ("", "epoch\n", "epoch,loss\nfirst,1\n", "epoch,loss\n1,\x00\n", "\xff"):
        (folder / "history.csv").write_bytes(content.encode("latin-1"))
        told = run("report", str(folder)), run("compare", str(two_runs / "b"), str(folder))
        errors = capsys.readouterr().err
        assert told in ((2, 2), (0, 0)), content
        assert errors.count("history.csv") == told.count(2)


def test_metrics_are_told_of_before_anything_else(tmp_path, capsys):
    assert (
        run("train", "mlp", "--data", "digits", "--out", str(tmp_path / "run"), "--metrics", "f1_scor") == 2
    )
    captured = capsys.readouterr()
    assert "--metrics" in captured.err
    assert "f1_score" in captured.err.rpartition("did you mean")[2]
    assert captured.out == ""
    assert not (tmp_path / "run").exists()


def test_names_in_the_page_are_no_markup(two_runs, tmp_path):
    folder = shutil.copytree(two_runs / "a", tmp_path / "a")
    record = json.loads((folder / "run.json").read_text())
    record["classes"][3] = record["wrong"][0]["true"] = "<b>&"
    (folder / "run.json").write_text(json.dumps(record))
    assert run("report", str(folder)) == 0
    Page((folder / "report.html").read_text())
    assert "&lt;b&gt;&amp;" in (folder / "report.html").read_text()
    assert "<b>&" not in (folder / "report.html").read_text()


def test_a_png_is_read_back():
    image = pytest.importorskip("PIL.Image")
    import io

    for channels in (1, 3):
        pixels = np.random.default_rng(0).integers(0, 256, (channels, 5, 7))
        found = np.asarray(image.open(io.BytesIO(png(pixels / 255))))
        assert_array_equal(found.reshape(5, 7, channels), pixels.transpose(1, 2, 0))


def test_curves_of_odd_numbers_are_drawn():
    inf, nan = float("inf"), float("nan")
    for points in ([], [(1, 0.0)], [(1, nan), (2, 3.0)], [(1, -1e30), (2, 1e30)], [(1, inf), (2, -inf)]):
        for log in (False, True):
            text = svg.curves("a < b", {"x & y": points}, log=log)
            assert "nan" not in text
            assert "inf" not in text
            ElementTree.fromstring(text)
    for low, high in ((0.86, 0.99), (0.0, 1.1), (0.0, 0.003), (-3.0, -1.0)):
        shown = svg.curves("", {"": [(1, low), (2, high)]})
        assert 3 <= shown.count('class="grid"') <= 8
        assert "<span>" not in shown  # a line without a name has no key


# --- runs beside each other ---------------------------------------------------------------------


def test_compare_tells_what_differs(two_runs, tmp_path, capsys):
    a, b = str(two_runs / "a"), str(two_runs / "b")
    page = tmp_path / "both.html"
    assert run("compare", a, b, "--html", str(page)) == 0
    out = capsys.readouterr().out
    first, second = out.split("\n\n")[:2]
    rows = [line.split() for line in first.splitlines()]
    assert rows == [["a", "b"], ["epochs", "3", "4"], ["lr", "0.003", "0.01"]]
    figures = {line.split("  ")[0]: line.split()[-2:] for line in second.splitlines()[1:]}
    assert figures["status"] == ["finished", "finished"]
    last = [float(lines_of(two_runs / name)[-1]["loss"]) for name in "ab"]
    assert [float(value) for value in figures["loss"]] == pytest.approx(last, rel=1e-3)
    found = Page(page.read_text())
    assert found.headings == ["2 runs", "What came of them", "In what they differ", "Curves"]
    assert run("compare", a, b, "--html", str(page)) == 2
    assert "is there already" in capsys.readouterr().err


def test_compare_s_status(two_runs, tmp_path, capsys):
    assert run("compare", str(two_runs / "a")) == 2
    assert "expected two folders or more" in capsys.readouterr().err
    assert run("compare", str(two_runs / "a"), str(tmp_path)) == 2
    assert "has no run.json" in capsys.readouterr().err
    folder = shutil.copytree(two_runs / "a", tmp_path / "a")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    assert run("compare", str(two_runs / "a"), str(folder)) == 1
    assert "the settings are the same" in capsys.readouterr().out


def test_a_folder_without_a_run_is_no_run_to_resume(tmp_path, capsys):
    assert run("train", "--resume", str(tmp_path / "nix")) == 2
    assert f"--resume: {tmp_path / 'nix'} holds no run" in capsys.readouterr().err
