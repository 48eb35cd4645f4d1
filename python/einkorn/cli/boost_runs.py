"""What ``einkorn boost`` does once its arguments are read: training and prediction."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from einkorn._extras import need
from einkorn._files import save_figure, write_text
from einkorn.cli.outputs import RunFolder, new_file, uninterrupted
from einkorn.cli.schema import Schema
from einkorn.cli.settings import go_on_command
from einkorn.data import Table, read_csv
from einkorn.errors import ArgumentError, DataError, MissingFileError, MissingPackageError

__all__ = ["predict", "train"]


FILES = (
    "model.json",
    "model-*.safetensors",
    "columns.json",
    "metrics.json",
    "importance.png",
    "staged-error.png",
)
_NOTHING = object()


class _Kind(NamedTuple):
    """A model of the command line: its class's name before ``Classifier`` and its options' names."""

    name: str
    options: dict[str, str]
    unit: str = "rounds"


_KINDS = {
    "gradient": _Kind(
        "GradientBoosting",
        {
            "n_estimators": "n_estimators",
            "learning_rate": "learning_rate",
            "max_leaves": "max_leaf_nodes",
            "max_depth": "max_depth",
            "early_stopping": "n_iter_no_change",
        },
    ),
    "adaboost": _Kind("AdaBoost", {"n_estimators": "n_estimators", "learning_rate": "learning_rate"}),
    "forest": _Kind(
        "RandomForest",
        {"n_estimators": "n_estimators", "max_leaves": "max_leaf_nodes", "max_depth": "max_depth"},
        "trees",
    ),
    "extra-trees": _Kind(
        "ExtraTrees",
        {"n_estimators": "n_estimators", "max_leaves": "max_leaf_nodes", "max_depth": "max_depth"},
        "trees",
    ),
}


# --- training -------------------------------------------------------------------------------------


def train(arguments: argparse.Namespace) -> int:
    """Fit a model to a table, measure it and write it down; the exit status."""
    share = arguments.validation_fraction
    if not 0 < share < 1:
        raise ArgumentError(f"--validation-fraction is {share}, expected between 0 and 1")
    model = _model_kind(arguments)  # refuses options before a large file is read
    default = f"runs/boost-{arguments.model}-{Path(arguments.data).name.split('.')[0]}"
    with RunFolder(arguments.out, default, FILES, arguments.overwrite, arguments.resume) as out:
        return _train(arguments, model, out)


def _train(arguments: argparse.Namespace, model: Callable[[Schema], Any], out: RunFolder) -> int:
    table = read_csv(arguments.data, header=not arguments.no_header, delimiter=arguments.delimiter)
    schema = Schema.of(table, arguments.target, arguments.task, tuple(arguments.ignore))
    schema.header, schema.delimiter = not arguments.no_header, arguments.delimiter
    X, y = schema.matrix(table), schema.goal(table)
    if arguments.test is not None:
        test_table = _read(arguments.test, schema)
        test = schema.matrix(test_table), schema.goal(test_table)
        train = X, y
    else:
        share, seed = arguments.validation_fraction, arguments.seed
        held_out = _held_out(y if schema.task == "classification" else None, len(y), share, seed)
        train, test = (X[~held_out], y[~held_out]), (X[held_out], y[held_out])
    _describe(arguments.target, schema, train, test)
    estimator = model(schema) if arguments.resume is None else _resumed(model(schema), schema, out.path)

    interrupted = False
    start = time.perf_counter()
    try:
        estimator.fit(*train)
    except KeyboardInterrupt:
        if not _rounds(estimator):
            raise
        interrupted = True
    seconds = time.perf_counter() - start
    with uninterrupted() if interrupted else nullcontext():
        n = f"{_rounds(estimator)} of {estimator.n_estimators} {_KINDS[arguments.model].unit}"
        print(f"\ninterrupted after {n}" if interrupted else f"fitted in {seconds:.2f} s")
        if getattr(estimator, "early_stopping", False) and not interrupted:
            print(_early_stopping(estimator))
        measured = {"train": _measure(estimator, schema, *train), "test": _measure(estimator, schema, *test)}
        for name, figures in measured.items():
            print(f"{name:>5}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
        written = _write(out.path, estimator, schema, {**measured, "seconds": seconds}, train, test)
        out.finish(written)
        print(f"wrote {', '.join(name for name in written if not name.startswith('model-'))} to {out.path}")
    if interrupted and hasattr(estimator, "warm_start"):
        print(f"go on with: {go_on_command(arguments, out.path)}")
        return 130
    if interrupted:
        print(f"{arguments.model} cannot go on where it was interrupted, but predicts with what there is")
    print(f"predict with it: einkorn boost TABLE --predict {shlex.quote(str(out.path))}")
    return 130 if interrupted else 0


def _rounds(estimator: Any) -> int:
    """The rounds, or trees, that a model has."""
    if hasattr(estimator, "n_iter_"):
        return int(estimator.n_iter_)
    if hasattr(estimator, "estimator_weights_"):
        return len(estimator.estimator_weights_)
    return int(estimator.trees_.n_trees) if hasattr(estimator, "trees_") else 0


def _resumed(wanted: Any, schema: Schema, folder: Path) -> Any:
    """The interrupted model of a folder, told to go on to what is wanted now."""
    from einkorn import boosting

    if not hasattr(wanted, "warm_start"):
        raise ArgumentError(f"--resume does not apply to {type(wanted).__name__}, which cannot go on")
    before = Schema.load(folder / "columns.json")
    estimator = boosting.load(folder / "model")
    if before != schema:
        raise ArgumentError(
            f"--resume: the model in {folder} was trained on other columns, or another target"
        )
    options = {name: value for name, value in wanted.get_params(deep=False).items() if name != "warm_start"}
    found = estimator.get_params(deep=False) if type(estimator) is type(wanted) else {}
    for name, value in options.items():
        if name not in ("n_estimators", "verbose") and found.get(name, _NOTHING) != value:
            raise ArgumentError(f"--resume: the model in {folder} has {name} {found.get(name)}, not {value}")
    done = _rounds(estimator)
    if done >= wanted.n_estimators:
        raise ArgumentError(
            f"--resume: the model in {folder} has {done} already: --n-estimators asks for more"
        )
    print(f"{done} of {wanted.n_estimators} are done")
    return estimator.set_params(**options, warm_start=True)


def _early_stopping(estimator: Any) -> str:
    """When and why the rounds ended."""
    held = estimator.validation_score_
    losses = held if len(held) else estimator.train_score_
    best, rounds = estimator.best_iteration_, len(losses)
    least = f"the least loss of the rows held out, {losses[best - 1]:.4g}, was in round {best}"
    if rounds - best < estimator.n_iter_no_change:
        return f"not stopped early: {least}"
    stopped = f"stopped early after round {rounds} of at most {estimator.n_estimators}"
    return f"{stopped}: {least}; {best} rounds are kept"


def _model_kind(arguments: argparse.Namespace) -> Callable[[Schema], Any]:
    """What makes the estimator for the schema's task.

    Raises
    ------
    ArgumentError
        An option that the model does not have.
    """
    kind = _KINDS[arguments.model]
    options = {}
    for name in ("n_estimators", "learning_rate", "max_leaves", "max_depth", "early_stopping"):
        value = getattr(arguments, name)
        if value is None:
            continue
        flag = "--" + name.replace("_", "-")
        if name not in kind.options:
            raise ArgumentError(f"{flag} does not apply to --model {arguments.model}")
        if value <= 0:
            raise ArgumentError(f"{flag} is {value}, expected more than 0")
        options[kind.options[name]] = value

    def make(schema: Schema) -> Any:
        from einkorn import boosting

        ending = "Classifier" if schema.task == "classification" else "Regressor"
        more: dict[str, Any] = {}
        if arguments.model == "gradient":
            more = {"categorical_features": schema.categorical, "verbose": 1}
            more["early_stopping"] = arguments.early_stopping is not None
        return getattr(boosting, kind.name + ending)(random_state=arguments.seed, **options, **more)

    return make


def _held_out(classes: np.ndarray | None, n: int, share: float, seed: int) -> np.ndarray:
    """Which rows to measure on: a share of each class, of all rows without classes."""
    order = np.random.default_rng(seed).permutation(n)
    chosen = np.zeros(n, bool)
    groups = [order] if classes is None else [order[classes[order] == c] for c in np.unique(classes)]
    for group in groups:
        chosen[group[: round(share * len(group))]] = True
    if chosen.all() or not chosen.any():
        raise DataError(f"{n} rows are too few to hold out a share of {share} of them")
    return chosen


def _describe(target: str, schema: Schema, train: Any, test: Any) -> None:
    n_words = len(schema.categorical)
    n_numbers = len(schema.features) - n_words
    goal = f"classification, {len(schema.classes)} classes" if schema.classes else "regression"
    print(f"target {target}: {goal}; {n_numbers} columns of numbers, {n_words} of categories")
    print(f"{len(train[1]):,} rows to train on, {len(test[1]):,} rows to test on")


def _measure(estimator: Any, schema: Schema, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy, log-loss and the area under the ROC curve; or RMSE, MAE and R2."""
    from sklearn import metrics

    if schema.task == "regression":
        predicted = estimator.predict(X)
        return {
            "RMSE": float(np.sqrt(np.mean((predicted - y) ** 2))),
            "MAE": float(np.mean(np.abs(predicted - y))),
            "R2": float(metrics.r2_score(y, predicted)),
        }
    probability = estimator.predict_proba(X)
    chosen = estimator.classes_[probability.argmax(axis=1)]
    figures = {"accuracy": float(np.mean(chosen == y))}
    figures["log-loss"] = float(metrics.log_loss(y, probability, labels=estimator.classes_))
    present = len(np.unique(y))
    if present == 2 and probability.shape[1] == 2:
        figures["AUC"] = float(metrics.roc_auc_score(y, probability[:, 1]))
    elif present == probability.shape[1]:
        figures["AUC"] = float(metrics.roc_auc_score(y, probability, multi_class="ovr"))
    return figures


def _write(
    out: Path, estimator: Any, schema: Schema, measured: dict[str, Any], train: Any, test: Any
) -> list[str]:
    """The model, the columns, the figures, and the pictures where matplotlib is there to draw them."""
    from einkorn import boosting

    if hasattr(estimator, "warm_start"):
        estimator.set_params(warm_start=False)
    boosting.save(estimator, out / "model")
    schema.save(out / "columns.json")
    write_text(out / "metrics.json", json.dumps(measured, indent=1) + "\n")
    arrays = json.loads((out / "model.json").read_bytes())["arrays"]["file"]
    written = ["model.json", "columns.json", "metrics.json", arrays]
    try:
        figures = need("matplotlib.figure", "drawing")
    except MissingPackageError as error:
        print(f"no pictures: {error}")
    else:
        pictures: dict[str, Callable[[Any], Any]] = {
            "importance.png": lambda ax: boosting.plot_importance(
                estimator, feature_names=schema.feature_names, ax=ax
            )
        }
        if hasattr(estimator, "staged_predict"):
            pictures["staged-error.png"] = lambda ax: boosting.plot_staged_error(
                estimator, *train, X_val=test[0], y_val=test[1], ax=ax
            )
        for name, draw in pictures.items():
            height = 1 + 0.26 * min(20, len(schema.features)) if name == "importance.png" else 4.0
            figure = figures.Figure(figsize=(6.4, max(height, 2.5)), layout="constrained")
            try:
                draw(figure.subplots())
                save_figure(figure, out / name, dpi=120)
                written.append(name)
            except Exception as error:  # whatever it is, a picture is not worth the model
                print(f"no {name}: {error}")
    return written


# --- prediction -----------------------------------------------------------------------------------


def predict(arguments: argparse.Namespace) -> None:
    """Write a model's answers to the rows of a table."""
    from einkorn import boosting

    out = None if arguments.out is None else new_file(arguments.out, "--out", arguments.overwrite)
    if arguments.resume is not None:
        raise ArgumentError("--resume does not apply to --predict")
    folder = Path(arguments.predict)
    if not (folder / "columns.json").is_file():
        raise MissingFileError(
            f"--predict {folder}: "
            + ("there is no columns.json in it" if folder.is_dir() else "no such folder")
            + ", expected the folder that einkorn boost --out wrote"
        )
    schema = Schema.load(folder / "columns.json")
    estimator = boosting.load(folder / "model")
    if out is None:
        _refuse_letters([schema.target, *schema.classes])
    table = _read(arguments.data, schema)
    X = schema.matrix(table)
    if len(schema.features) != estimator.n_features_in_:
        raise DataError(f"{folder}: columns.json and model.json do not belong together")
    if schema.task == "regression":
        header, columns = [schema.target], [np.asarray(estimator.predict(X))]
    else:
        probability = estimator.predict_proba(X)
        classes = [schema.classes[int(code)] for code in estimator.classes_]
        header = [schema.target, *(f"p({name})" for name in classes)]
        columns = [np.array(classes)[probability.argmax(axis=1)], *probability.T]
    if out is None:
        _write_columns(sys.stdout, header, columns)
        return
    file = io.StringIO(newline="")
    _write_columns(file, header, columns)
    write_text(out, file.getvalue())
    print(f"wrote {len(table):,} predictions to {out}")
    if schema.target in table.names:
        figures = _measure(estimator, schema, X, schema.goal(table))
        print(", ".join(f"{key} {value:.4g}" for key, value in figures.items()))


def _refuse_letters(words: list[str]) -> None:
    """Data are not escaped as messages are: a stream must be able to take them."""
    encoding = sys.stdout.encoding or "utf-8"
    for word in words:
        try:
            word.encode(encoding)
        except UnicodeEncodeError as error:
            raise DataError(
                f"standard output is {encoding}, which cannot hold {word!r}: give --out FILE, which is "
                "written in UTF-8, or set PYTHONIOENCODING=utf-8"
            ) from error


def _write_columns(file: Any, header: list[str], columns: list[np.ndarray]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


def _read(path: str, schema: Schema) -> Table:
    return read_csv(path, header=schema.header, delimiter=schema.delimiter)
