"""The settings of ``einkorn train``: one table, from which options, TOML keys and their checks are made."""

# ruff: noqa: RUF009 - a row is made by dataclasses.field, by way of _setting

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from einkorn.errors import ArgumentError, DataError, EinkornError, MissingPackageError

__all__ = [
    "DATA",
    "MODELS",
    "Origins",
    "Settings",
    "add_options",
    "check_resumed",
    "gather",
    "nearest",
    "read_kept",
    "with_options",
]

MODELS = ("softmax_regression", "mlp", "lenet5")
DATA = ("digits", "mnist", "cifar10")
OPTIMIZERS = (
    "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "lamb", "lion", "nadam", "radam",
    "rmsprop", "rprop", "sgd",
)  # fmt: skip
SCHEDULES = (
    "linear", "constant", "cosine", "cosine-restarts", "cyclic", "exponential", "multi-step", "one-cycle",
    "plateau", "polynomial", "step", "time-based",
)  # fmt: skip
#: What may be another when a run goes on.
RESUMABLE = (
    "epochs", "out", "engine", "threads", "device", "checkpoints", "keep_every", "tensorboard", "csv",
    "data_dir",
)  # fmt: skip


def _setting(kind: Any, text: str, default: Any = None, *, choices: Any = None, least: Any = None) -> Any:
    """One row: its type, its help, its default, and what it may be. ``dict`` is NAME=VALUE pairs."""
    return field(default=default, metadata={"kind": kind, "help": text, "choices": choices, "least": least})


@dataclass
class Settings:
    """What a run is told. A setting that is None is chosen to suit the model and the data."""

    model: str | None = _setting(str, ", ".join(MODELS), choices=MODELS)
    data: str | None = _setting(
        str,
        "digits comes with scikit-learn; mnist and cifar10 are read from --data-dir",
        choices=DATA,
    )
    data_dir: str | None = _setting(
        str, "holds the files of mnist or cifar10, or a folder of that name (default: $EINKORN_DATA)"
    )
    epochs: int | None = _setting(int, "passes over the training set", least=1)
    batch_size: int | None = _setting(int, "rows per batch", least=1)
    steps_per_epoch: int | None = _setting(int, "batches of an epoch (default: all)", least=1)
    validation_split: float | None = _setting(
        float,
        "validate on this share of the training set, of each class alike, instead of on the test set",
    )
    validation_freq: int = _setting(int, "validate every N epochs (default: 1)", 1, least=1)
    optimizer: str = _setting(str, "default: adam", "adam", choices=OPTIMIZERS)
    lr: float | None = _setting(float, "first learning rate", least=0.0)
    optimizer_options: dict[str, Any] = _setting(dict, "others of the optimizer's, as in weight_decay=0.01")
    schedule: str = _setting(
        str, "how the rate falls (default: linear, to the rate over the epochs)", "linear", choices=SCHEDULES
    )
    schedule_options: dict[str, Any] = _setting(dict, "the schedule's, as in gamma=0.5")
    schedule_by: str = _setting(
        str, "when the schedule is stepped (default: epoch)", "epoch", choices=("epoch", "batch")
    )
    warmup_epochs: int = _setting(int, "epochs in which the rate rises to its first value (default: 0)", 0)
    loss: str = _setting(
        str, "default: cross-entropy", "cross-entropy", choices=("cross-entropy", "multi-margin")
    )
    loss_options: dict[str, Any] = _setting(dict, "the loss's, as in margin=0.5")
    label_smoothing: float = _setting(float, "share of a target that goes to all classes (default: 0)", 0.0)
    class_weight: Any = _setting(
        dict, "'balanced', or factors of the losses by class number, as in 0=1.0 3=2.5"
    )
    metrics: list[str] = _setting(list, "more metrics, by their names in einkorn.metrics")
    gradient_accumulation_steps: int = _setting(int, "batches of an update (default: 1)", 1, least=1)
    clipnorm: float | None = _setting(float, "limit of the norm of each gradient", least=0.0)
    clipvalue: float | None = _setting(float, "limit of the elements of the gradients", least=0.0)
    global_clipnorm: float | None = _setting(float, "limit of the norm of all gradients together", least=0.0)
    autocast: bool = _setting(bool, "compute in bfloat16 where that is safe", False)
    average: str = _setting(
        str,
        "train to an average of the weights: exponential (ema) or equal (swa) (default: none)",
        "none",
        choices=("none", "ema", "swa"),
    )
    average_decay: float = _setting(float, "what ema keeps at each update (default: 0.999)", 0.999)
    average_from: int | None = _setting(
        int, "epoch from which is averaged, counted from 1 (default: 1; swa: three quarters)", least=1
    )
    early_stopping: int | None = _setting(int, "end after N epochs without improvement", least=1)
    monitor: str = _setting(str, "what --early-stopping looks at (default: val_loss)", "val_loss")
    min_delta: float = _setting(float, "a smaller change is no improvement (default: 0)", 0.0)
    restore_best_weights: bool = _setting(bool, "end with the weights of the best epoch", False)
    checkpoints: int = _setting(int, "keep a model of each of the last N epochs (default: 0)", 0)
    keep_every: int | None = _setting(int, "keep the training after every N batches, too", least=1)
    augment: dict[str, Any] = _setting(
        dict,
        "random changes of the training images: transforms of einkorn.data.augment, each with true, its first"
        """ argument, or a table of arguments, as in RandomRotation=10 RandomCrop='{"size":8,"padding":1}'""",
    )
    mix: str = _setting(
        str, "blend pairs of images and targets (default: none)", "none", choices=("none", "mixup", "cutmix")
    )
    mix_alpha: float = _setting(float, "of the beta distribution that blends (default: 0.2)", 0.2)
    on_nan: str = _setting(
        str, "at a loss that is not finite (default: raise)", "raise", choices=("raise", "ignore", "stop")
    )
    csv: bool = _setting(bool, "write log.csv line by line while it trains", False)
    tensorboard: bool = _setting(bool, "write event files into the folder tensorboard", False)
    seed: int = _setting(int, "default: 0", 0)
    engine: str | None = _setting(str, "default: native if built", choices=("native", "numba"))
    threads: int | None = _setting(int, "default: all cores", least=1)
    device: str | None = _setting(str, "where to train: cpu, cuda or cuda:N (default: cpu)")
    out: str | None = _setting(str, "default: runs/MODEL-DATA, with a number where that is there already")


_METAVARS = {int: "N", float: "X", str: "NAME", dict: "NAME=VALUE", list: "NAME"}
_PLACES = {"data_dir": "DIR", "out": "DIR", "lr": "RATE", "validation_split": "SHARE"}
_WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false", list: "a list of texts"}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_options(command: Any) -> None:
    """Give the command an argument for each row; those that are not given stay None."""
    for row in fields(Settings):
        kind, text, choices = (row.metadata[key] for key in ("kind", "help", "choices"))
        metavar = None if choices else _PLACES.get(row.name, _METAVARS.get(kind))
        if row.name == "model":
            command.add_argument("model", nargs="?", metavar="MODEL", choices=choices, help=text)
        elif kind is bool:
            command.add_argument(
                _flag(row.name), action=argparse.BooleanOptionalAction, default=None, help=text
            )
        elif kind in (dict, list):
            command.add_argument(_flag(row.name), nargs="+", metavar=metavar, help=text)
        else:
            command.add_argument(_flag(row.name), type=kind, metavar=metavar, choices=choices, help=text)


class Origins(dict[str, str]):
    """How each setting was called where it was given, for errors: "--lr", or "run.toml: lr"."""

    def __missing__(self, name: str) -> str:
        return _flag(name)


def nearest(name: str, known: Any) -> str:
    """ "; did you mean X?", or nothing where no name is like it."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""


def gather(arguments: argparse.Namespace, kept: Mapping[str, Any] | None) -> tuple[Settings, Origins]:
    """All settings: of the command line, before those of ``--config``, before those of the run that goes on.

    Raises
    ------
    ArgumentError
        A key is unknown, or a value is none that the setting may have.
    DataError
        The file cannot be read.
    """
    found: dict[str, Any] = dict(kept or {})
    origins = Origins()
    if arguments.config is not None:
        name = Path(arguments.config).name
        for key, value in _read_toml(arguments.config).items():
            found[key] = value
            origins[key] = f"{name}: {key}"
    known = {row.name: row for row in fields(Settings)}
    for key in found:
        if key not in known:
            raise ArgumentError(f"{origins[key]} is no setting{nearest(key, known)}")
    for key in known:
        value = getattr(arguments, key)
        if value is not None:
            found[key] = _pairs(value, key) if known[key].metadata["kind"] is dict else value
            origins.pop(key, None)
    for key, value in found.items():
        found[key] = _checked(value, known[key], origins[key])
    settings = Settings(**found)
    for row in fields(Settings):
        if getattr(settings, row.name) is None and row.metadata["kind"] in (dict, list):
            setattr(settings, row.name, row.metadata["kind"]())
    for key, label in (("model", "MODEL"), ("data", "--data")):
        if getattr(settings, key) is None:
            raise ArgumentError(f"the following arguments are required: {label} (or in the file of --config)")
    return settings, origins


def _read_toml(path: str) -> dict[str, Any]:
    from importlib import import_module, util

    name = next((name for name in ("tomllib", "tomli") if util.find_spec(name)), None)
    if name is None:
        raise MissingPackageError("--config needs Python 3.11, or tomli: pip install tomli")
    try:
        with open(path, "rb") as file:
            return dict(import_module(name).load(file))
    except OSError as error:
        raise DataError(f"--config: {path}: {error.strerror or error}") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise DataError(f"--config: {path}: is no TOML: {error}") from error


def with_options(
    make: Callable[..., Any], first: tuple[Any, ...], options: Mapping[str, Any], where: str
) -> Any:
    """``make(*first, **options)``, where a wrong name or value is an error of the setting at ``where``."""
    import inspect

    fixed = getattr(make, "keywords", {})
    known = [name for name in list(inspect.signature(make).parameters)[len(first) :] if name not in fixed]
    for name in options:
        if name not in known:
            expected = ", ".join(known) or "none"
            raise ArgumentError(f"{where}: got {name}, expected some of {expected}{nearest(name, known)}")
    try:
        return make(*first, **options)
    except (EinkornError, TypeError, ValueError) as error:
        raise ArgumentError(f"{where}: {error}") from error


def _pairs(words: list[str], key: str) -> Any:
    """What ``NAME=VALUE`` words mean; numbers, true, false and lists as in JSON, and else a text."""
    if words == ["balanced"] and key == "class_weight":
        return "balanced"
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ArgumentError(f"{_flag(key)}: got {word!r}, expected NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _check_metrics(named: list[str], origin: str) -> None:
    """Refuse a name before the data are read and the model is made."""
    from einkorn import metrics
    from einkorn.training.metrics import METRICS

    known = [*METRICS, *metrics.names()]
    for name in named:
        if name not in known and metrics.find(name) is None:
            raise ArgumentError(
                f"{origin} is {name!r}, expected some of {', '.join(known)}{nearest(name, known)}"
            )


def _checked(value: Any, row: Any, origin: str) -> Any:
    """The value in its type, if it is one that the setting may have."""
    kind, choices, least = (row.metadata[key] for key in ("kind", "choices", "least"))
    if value is None:
        return None
    if kind is dict:
        if isinstance(value, Mapping):
            return dict(value)
        if row.name == "class_weight" and value == "balanced":
            return value
        raise ArgumentError(f"{origin} is {value!r}, expected a table of names and values")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    good = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is list and good:
        good = all(isinstance(each, str) for each in value)
    if not good:
        raise ArgumentError(f"{origin} is {value!r}, expected {_WORDS[kind]}")
    if row.name == "metrics":
        _check_metrics(value, origin)
    if choices is not None and value not in choices:
        raise ArgumentError(
            f"{origin} is {value!r}, expected one of {', '.join(choices)}{nearest(value, choices)}"
        )
    if kind is float and not math.isfinite(value):
        raise ArgumentError(f"{origin} is {value}, expected a finite number")
    if least == 0.0 and not value > 0:
        raise ArgumentError(f"{origin} is {value:g}, expected more than 0")
    if kind is int and value < (least or 0):
        raise ArgumentError(f"{origin} is {value}, expected at least {least or 0}")
    limits = {"validation_split": (0, 1), "label_smoothing": (0, 1), "average_decay": (0, 1)}.get(row.name)
    if limits is not None and not limits[0] <= value < limits[1]:
        raise ArgumentError(f"{origin} is {value:g}, expected at least 0 and less than 1")
    if row.name in ("min_delta", "mix_alpha") and value < 0:
        raise ArgumentError(f"{origin} is {value:g}, expected at least 0")
    return value


def check_resumed(settings: Settings, kept: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under other settings than it had."""
    for row in fields(Settings):
        before, now = kept.get(row.name, row.default), getattr(settings, row.name)
        if row.metadata["kind"] in (dict, list) and not before:
            before = row.metadata["kind"]()
        if row.name not in RESUMABLE and before != now:
            label = "MODEL" if row.name == "model" else _flag(row.name)
            raise ArgumentError(f"--resume: the run had {label} {before}, and now has {now}")


def read_kept(folder: Path) -> dict[str, Any]:
    """What a run in this folder wrote about itself: nothing for a folder without one.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["settings"], dict):
            raise TypeError("settings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: does not describe a run: {error!r}") from error
    return dict(found)
