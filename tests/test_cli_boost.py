"""``einkorn boost``: what it trains on, what it writes, and what it refuses in one line."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from einkorn import boosting
from einkorn.cli import main


def run(*arguments: Any) -> int:
    try:
        return main(["boost", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


def write(path: Path, header: list[str], rows: Any) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


HEADER = ["size", "colour", "weight", "kind"]


def animals(n: int = 300, seed: int = 0, classes: int = 2) -> list[list[Any]]:
    """Kinds that follow from size and colour; weight says nothing. Some sizes and colours are missing."""
    rng = np.random.default_rng(seed)
    size, weight = rng.normal(size=(2, n)).round(3)
    colour = rng.integers(0, 4, n)
    kind = (size > 0) ^ (colour == 2) if classes == 2 else (size > -0.4) + (size > 0.6).astype(int)
    words = np.array(["red", "green", "blue", "grey"])[colour].tolist()
    sizes = [None if rng.random() < 0.02 else s for s in size.tolist()]
    words = ["?" if rng.random() < 0.02 else word for word in words]
    names = np.array(["cat", "dog", "emu"])[kind.astype(int)].tolist()
    return list(map(list, zip(sizes, words, weight.tolist(), names, strict=True)))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "animals.csv", HEADER, animals())


def test_classification_writes_its_results(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "deep" / "out"
    assert run(table, "--target", "kind", "--out", out, "--n-estimators", 30) == 0
    shown = capsys.readouterr().out
    assert "target kind: classification, 2 classes; 2 columns of numbers, 1 of categories" in shown
    assert "240 rows to train on, 60 rows to test on" in shown
    names = {path.name for path in out.iterdir() if path.suffix != ".safetensors"}
    assert names == {"model.json", "columns.json", "metrics.json", "importance.png", "staged-error.png"}
    figures = json.loads((out / "metrics.json").read_text())
    assert set(figures["test"]) == {"accuracy", "log-loss", "AUC"}
    assert figures["test"]["accuracy"] > 0.85
    assert (out / "importance.png").read_bytes().startswith(b"\x89PNG")
    model = boosting.load(out / "model")
    assert type(model).__name__ == "GradientBoostingClassifier"
    assert model.n_features_in_ == 3


def test_regression_with_a_test_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).round(4)
    rows = np.column_stack([X, X[:, 0] * 2 + np.abs(X[:, 1])])
    train = write(tmp_path / "train.csv", ["a", "b", "c", "y"], rows[:300])
    test = write(tmp_path / "test.csv", ["c", "y", "b", "a"], rows[300:, [2, 3, 1, 0]])  # another order
    assert run(train, "--target", "y", "--test", test, "--out", tmp_path / "out") == 0
    assert "300 rows to train on, 100 rows to test on" in capsys.readouterr().out
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(figures["test"]) == {"RMSE", "MAE", "R2"}
    assert figures["test"]["R2"] > 0.8


@pytest.mark.parametrize("model", ["adaboost", "forest", "extra-trees"])
def test_other_models(model: str, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", HEADER, animals(classes=3))
    options = ["--model", model, "--n-estimators", 20, "--out", tmp_path / "out"]
    assert run(table, "--target", "kind", *options) == 0
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["test"]["accuracy"] > 0.6
    assert run(table, "--predict", tmp_path / "out", "--out", tmp_path / "p.csv") == 0


def test_predictions(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(table, "--target", "kind", "--out", tmp_path / "out", "--n-estimators", 20) == 0
    capsys.readouterr()
    new = write(
        tmp_path / "new.csv", ["colour", "size", "weight"], [["red", 2, 0], ["pink", "", 0], ["", -2, 0]]
    )
    assert run(new, "--predict", tmp_path / "out") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [set(row) for row in rows] == [{"kind", "p(cat)", "p(dog)"}] * 3
    assert rows[0]["kind"] == "dog"
    assert float(rows[0]["p(cat)"]) + float(rows[0]["p(dog)"]) == pytest.approx(1)
    assert run(table, "--predict", tmp_path / "out", "--out", tmp_path / "p.csv") == 0
    assert "wrote 300 predictions" in capsys.readouterr().out
    with (tmp_path / "p.csv").open() as file:
        predicted = [row["kind"] for row in csv.DictReader(file)]
    assert np.mean([a == b[3] for a, b in zip(predicted, animals(), strict=True)]) > 0.9


def test_tasks_are_told_by_the_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[i, i % 3, i % 30] for i in range(120)]
    table = write(tmp_path / "t.csv", ["a", "few", "many"], rows)
    options = ["--n-estimators", 2, "--out", tmp_path / "out", "--overwrite"]
    assert run(table, "--target", "few", *options) == 0
    assert "classification, 3 classes" in capsys.readouterr().out
    assert run(table, "--target", "few", "--task", "regression", *options) == 0
    assert "few: regression" in capsys.readouterr().out
    assert run(table, "--target", "many", *options) == 0
    assert "many: regression" in capsys.readouterr().out


def test_columns_without_names_and_ignored_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("".join(f"{i}\t{i % 7}\t{'ab'[i % 2]}\n" for i in range(100)))
    options = ["--no-header", "--n-estimators", 2, "--out", tmp_path / "out"]
    assert run(file, "--target", "c3", "--ignore", "c1", *options) == 0
    assert "1 columns of numbers, 0 of categories" in capsys.readouterr().out
    assert run(file, "--predict", tmp_path / "out") == 0
    assert capsys.readouterr().out.startswith("c3,p(a),p(b)\n")


def test_the_seed_makes_a_run_repeatable(table: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--n-estimators", 5, "--seed", seed, "--out", tmp_path / name]
        assert run(table, "--target", "kind", *options) == 0
    a, b, c = (json.loads((tmp_path / name / "model.json").read_text()) for name in "abc")
    assert a["arrays"] == b["arrays"]
    assert a["arrays"] != c["arrays"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: DATA"),
        (["{table}"], "one of the arguments --target --predict is required"),
        (["{table}", "--target", "kind", "--predict", "x"], "not allowed with"),
        (
            ["{table}", "--target", "species"],
            "animals.csv has no column 'species', it has size, colour, weight",
        ),
        (["{table}", "--target", "Kind"], "did you mean 'kind'?"),
        (["{table}", "--target", "kind", "--ignore", "wieght"], "did you mean 'weight'?"),
        (["{table}", "--target", "kind", "--resume", "{folder}/none"], "none is no folder"),
        (["{table}", "--target", "kind", "--resume", "{folder}"], "columns.json"),
        (["{table}", "--predict", "{folder}", "--out", "{folder}/none/p.csv"], "there is no folder"),
        (["{table}", "--predict", "{folder}", "--out", "{table}"], "is there already"),
        (["{table}", "--predict", "{folder}", "--out", "{folder}"], "is a folder, expected a file"),
        (
            ["{table}", "--predict", "{folder}", "--resume", "{folder}"],
            "--resume does not apply to --predict",
        ),
        (["{table}", "--target", "kind", "--ignore", "age"], "no column 'age'"),
        (["{table}", "--target", "kind", "--ignore", "size", "colour", "weight"], "no column is left"),
        (["{table}", "--target", "kind", "--task", "regression"], "column 'kind': 'dog' is not a number"),
        (["{table}", "--target", "colour"], "target 'colour' is missing"),
        (["{table}", "--target", "kind", "--validation-fraction", "1"], "--validation-fraction is 1"),
        (["{table}", "--target", "kind", "--validation-fraction", "0.0001"], "too few to hold out"),
        (["{table}", "--target", "kind", "--n-estimators", "0"], "--n-estimators is 0"),
        (
            ["{table}", "--target", "kind", "--model", "adaboost", "--max-leaves", "4"],
            "--max-leaves does not apply",
        ),
        (["{table}", "--target", "kind", "--model", "svm"], "invalid choice: 'svm'"),
        (["{table}", "--target", "kind", "--delimiter", "ab"], "delimiter is 'ab'"),
        (["{table}", "--target", "kind", "--test", "{folder}/none.csv"], "none.csv"),
        (["{folder}/none.csv", "--target", "kind"], "none.csv"),
        (["{table}", "--predict", "{folder}"], "columns.json"),
    ],
)
def test_errors_are_one_line_and_status_2(
    arguments: list[str], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(each.format(table=table, folder=table.parent) for each in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "error:" in error


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["size", "colour", "kind"], [1, "red", "cat"], "has no column 'weight'"),
        (HEADER, [1, "red", "heavy", "cat"], "line 3, column 'weight': 'heavy' is not a number"),
        (HEADER, [1, "red", "inf", "cat"], "line 3: column 'weight' is infinite"),
        (HEADER, [1, "red", 3, "yak"], "line 3: target 'kind' is 'yak', which the model does not know"),
        (HEADER, [1, "red", 3, ""], "line 3: target 'kind' is missing"),
        (HEADER, [1, "red", 3], "line 3 has 3 fields, expected 4"),
    ],
)
def test_wrong_test_tables(
    header: list[str],
    row: list[Any],
    message: str,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = [1, "red", 3, "cat"] if header == HEADER else row
    test = write(tmp_path / "test.csv", header, [good, row])
    assert run(table, "--target", "kind", "--test", test, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"test.csv {message}" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_spoilt_model_folder(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(table, "--target", "kind", "--out", out, "--n-estimators", 2) == 0
    columns = json.loads((out / "columns.json").read_text())
    for wrong in ("{", "[]", "{}", json.dumps({**columns, "features": [{"name": 3}]})):
        (out / "columns.json").write_text(wrong)
        assert run(table, "--predict", out) == 2
        assert "does not describe columns" in capsys.readouterr().err
    (out / "columns.json").write_text(json.dumps({**columns, "features": columns["features"][:1]}))
    assert run(table, "--predict", out) == 2
    assert "do not belong together" in capsys.readouterr().err


def test_many_words_keep_the_most_frequent() -> None:
    from einkorn.cli.schema import Schema
    from einkorn.data import Table

    words = [f"w{i}" for i in range(300)] + [f"w{i}" for i in range(254)]
    columns = [np.array(words), np.arange(len(words), dtype=float)]
    table = Table("t.csv", ["word", "y"], columns, np.arange(len(words)) + 2)
    schema = Schema.of(table, "y")
    codes = schema.matrix(table)[:, 0]
    assert sorted(schema.features[0].categories or []) == sorted(f"w{i}" for i in range(254))
    assert np.isnan(codes[254:300]).all()
    assert len(np.unique(codes[:254])) == 254


def test_without_matplotlib_there_is_a_note(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(table, "--target", "kind", "--out", tmp_path / "out", "--n-estimators", 2) == 0
    assert "no pictures: drawing needs matplotlib: pip install 'einkorn[plot]'" in capsys.readouterr().out
    assert not (tmp_path / "out" / "importance.png").exists()


def test_other_commands_do_not_load_scikit_learn() -> None:
    code = "import sys; from einkorn.cli import main; main(['info']); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("target", ["kind", "size"])
@pytest.mark.parametrize("line", [0, 150, 299])
def test_a_stray_word_among_numbers_is_named(
    target: str, line: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = animals()
    rows[line][0] = "tall"
    path = write(tmp_path / "animals.csv", HEADER, rows)
    assert run(path, "--target", target, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"line {line + 2}, column 'size': 'tall' is not a number" in said
    assert not (tmp_path / "out").exists()
    assert run(path, "--target", "kind", "--ignore", "size", "--out", tmp_path / "out") == 0


def test_names_that_look_like_numbers_are_still_categories(tmp_path: Path) -> None:
    rows = [[i % 9 if i % 40 else "B", None, w, k] for i, (_, _, w, k) in enumerate(animals())]
    path = write(tmp_path / "floors.csv", HEADER, rows)
    assert run(path, "--target", "kind", "--out", tmp_path / "out") == 0
    columns = json.loads((tmp_path / "out" / "columns.json").read_text())["features"]
    assert columns[0]["categories"] == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "B"]


def folder_of(out: str) -> Path:
    """Where the run says that it wrote."""
    found = re.search(r"^wrote .* to (.*)$", out, re.MULTILINE)
    assert found is not None
    return Path(found[1])


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let Ctrl-C come when so many rounds, or batches of trees, are done."""

    def arrange(rounds: int) -> None:
        from einkorn.boosting import _forest, _rounds, _votes

        def after(function: Any) -> Any:
            calls = iter(range(1 << 30))

            def counted(*args: Any, **options: Any) -> Any:
                if next(calls) == rounds:
                    raise KeyboardInterrupt
                return function(*args, **options)

            return counted

        monkeypatch.setattr(_rounds, "grow_tree", after(_rounds.grow_tree))
        monkeypatch.setattr(_votes.StumpRounds, "search", after(_votes.StumpRounds.search))
        monkeypatch.setattr(_forest, "grow_forest", after(_forest.grow_forest))

    return arrange


@pytest.mark.parametrize("model", ["gradient", "forest", "extra-trees"])
def test_ctrl_c_keeps_the_trees_and_resume_goes_on(
    model: str,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    interrupted_after: Callable[[int], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [table, "--target", "kind", "--model", model, "--n-estimators", 40]
    assert run(*command, "--out", "whole") == 0
    capsys.readouterr()
    interrupted_after(1)
    assert run(*command) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    out = capsys.readouterr().out
    assert re.search(r"interrupted after \d+ of 40 (rounds|trees)", out)
    folder = folder_of(out)
    assert boosting.load(folder / "model").n_estimators == 40
    assert json.loads((folder / "metrics.json").read_text())["test"]["accuracy"] > 0.4
    found = re.search("go on with: einkorn boost (.*)", out)
    assert found is not None
    again = shlex.split(found[1])
    assert again == [*map(str, command), "--resume", str(folder)]
    assert run(*again, "--seed", "1") == 2
    assert "has random_state 0, not 1" in capsys.readouterr().err
    assert run(*again) == 0
    assert "are done" in capsys.readouterr().out
    one, other = (json.loads((path / "model.json").read_text()) for path in (tmp_path / "whole", folder))
    assert one["arrays"] == other["arrays"]  # as if nothing had come between
    assert run(*again) == 2
    assert "--n-estimators asks for more" in capsys.readouterr().err


def test_ctrl_c_keeps_adaboost(
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interrupted_after: Callable[[int], None],
) -> None:
    interrupted_after(5)
    command = [table, "--target", "kind", "--model", "adaboost", "--out", tmp_path / "out"]
    assert run(*command) == 130
    out = capsys.readouterr().out
    assert "interrupted after 5 of 50 rounds" in out
    assert len(boosting.load(tmp_path / "out" / "model").estimators_) == 5
    assert run(*command, "--resume", tmp_path / "out") == 2
    assert "--resume does not apply" in capsys.readouterr().err


def test_ctrl_c_keeps_adaboost_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).normal(size=(100, 2))
    whole = boosting.AdaBoostRegressor(n_estimators=6, random_state=0).fit(X, X[:, 0])
    from einkorn.boosting import adaboost

    calls = iter(range(100))

    def interrupted(*arguments: Any) -> Any:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return losses_of(*arguments)

    losses_of = adaboost.losses_of
    monkeypatch.setattr(adaboost, "losses_of", interrupted)
    model = boosting.AdaBoostRegressor(n_estimators=6, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, X[:, 0])
    assert len(model.estimators_) == len(model.estimator_errors_) == 4
    np.testing.assert_array_equal(model.estimator_weights_, whole.estimator_weights_[:4])
    assert np.isfinite(model.predict(X)).all()


def test_ctrl_c_before_the_first_round_leaves_nothing(
    table: Path, tmp_path: Path, interrupted_after: Callable[[int], None]
) -> None:
    for model in ("gradient", "adaboost", "forest"):
        interrupted_after(0)
        assert run(table, "--target", "kind", "--model", model, "--out", tmp_path / "out") == 130
        assert not (tmp_path / "out").exists()


def test_early_stopping_says_when_it_stopped(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [table, "--target", "kind", "--early-stopping", 5, "--overwrite", "--out", tmp_path / "out"]
    assert run(*command, "--n-estimators", 500) == 0
    out = capsys.readouterr().out
    found = re.search(r"stopped early after round (\d+) of at most 500: .*?, was in round (\d+)", out)
    assert found is not None
    model = boosting.load(tmp_path / "out" / "model")
    assert int(found[2]) == model.n_iter_ == int(found[1]) - 5
    assert run(*command, "--n-estimators", 3) == 0
    assert "not stopped early: the least loss" in capsys.readouterr().out


def test_a_run_replaces_no_other(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [table, "--target", "kind", "--n-estimators", 2]
    folders = []
    for _ in range(2):
        assert run(*command) == 0
        folders.append(folder_of(capsys.readouterr().out))
    assert [folder.name for folder in folders] == ["boost-gradient-animals", "boost-gradient-animals-2"]
    assert run(*command, "--out", folders[0]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*command, "--out", folders[0], "--overwrite", "--seed", 3) == 0
    assert len(list(folders[0].glob("model-*.safetensors"))) == 1
    assert run(table, "--predict", folders[0], "--out", "p.csv") == 0
    assert run(table, "--predict", folders[0], "--out", "p.csv") == 2
    assert run(table, "--predict", folders[0], "--out", "p.csv", "--overwrite") == 0


def test_names_that_matplotlib_takes_for_formulas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    table = write(tmp_path / "t.csv", ["net $$", "b_{$", "kind $"], [[i, -i, "ab"[i % 2]] for i in range(60)])
    assert run(table, "--target", "kind $", "--n-estimators", 2, "--out", tmp_path / "out") == 0
    assert "importance.png, staged-error.png" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn_costs_no_model(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(boosting, "plot_importance", broken)
    assert run(table, "--target", "kind", "--n-estimators", 2, "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "no importance.png: no font" in out
    assert (tmp_path / "out" / "model.json").exists()


def test_words_that_a_stream_cannot_hold(tmp_path: Path) -> None:
    """Messages are escaped; data are refused rather than changed, and files are in UTF-8 anywhere."""
    rows = [[i % 7, "groß" if i % 7 > 3 else "klein"] for i in range(80)]
    table = tmp_path / "t.csv"
    table.write_text("a,größe\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    environment["PYTHONCOERCECLOCALE"] = "0"

    def shell(*arguments: Any) -> Any:
        words = [sys.executable, "-m", "einkorn", "boost", str(table), *map(str, arguments)]
        return subprocess.run(words, capture_output=True, env=environment, check=False)

    trained = shell("--target", "größe", "--n-estimators", "3", "--out", tmp_path / "out")
    assert trained.returncode == 0, trained.stderr
    assert rb"target gr\xf6\xdfe: classification" in trained.stdout
    told = shell("--predict", tmp_path / "out")
    assert told.returncode == 2
    assert b"give --out FILE" in told.stderr
    assert told.stdout == b""
    assert shell("--predict", tmp_path / "out", "--out", tmp_path / "p.csv").returncode == 0
    assert "groß" in (tmp_path / "p.csv").read_text(encoding="utf-8")
