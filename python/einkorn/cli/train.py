"""``einkorn train``: a model, a data set, and settings that suit the two."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

import einkorn
from einkorn import checkpoint, data, models, optim
from einkorn.cli.outputs import RunFolder, uninterrupted
from einkorn.cli.settings import apply_settings, go_on_command
from einkorn.errors import ArgumentError, CheckpointError, EinkornError
from einkorn.models import ImageClassifier
from einkorn.training import Callback, History, LambdaCallback, LearningRateScheduler

__all__ = ["train"]


class Recipe(NamedTuple):
    """Settings that work. The rate falls linearly, in epochs, from ``lr`` to ``lr / epochs``."""

    epochs: int
    batch_size: int
    lr: float  # for adam and adamw


class Images(NamedTuple):
    """A data set: how it is loaded, what its classes are called, what its pictures look like."""

    loader: Any
    has_files: bool
    classes: tuple[str, ...]
    light_on_dark: bool


RECIPES = {
    ("softmax_regression", "digits"): Recipe(30, 32, 1e-2),
    ("softmax_regression", "mnist"): Recipe(8, 128, 1e-3),
    ("softmax_regression", "cifar10"): Recipe(8, 128, 3e-4),
    ("mlp", "digits"): Recipe(30, 32, 3e-3),
    ("mlp", "mnist"): Recipe(10, 128, 3e-3),
    ("mlp", "cifar10"): Recipe(15, 128, 5e-4),
    ("lenet5", "digits"): Recipe(15, 32, 3e-3),
    ("lenet5", "mnist"): Recipe(5, 64, 2e-3),
    ("lenet5", "cifar10"): Recipe(15, 64, 2e-3),
}
SGD_RATE = 0.05
SGD_MOMENTUM = 0.9
_DIGITS = tuple("0123456789")
SETS = {
    "digits": Images(data.load_digits, False, _DIGITS, True),
    "mnist": Images(data.load_mnist, True, _DIGITS, True),
    "cifar10": Images(data.load_cifar10, True, data.CIFAR10_CLASSES, False),
}
FILES = ("model.safetensors", "history.csv", "learning-curve.png", "best.safetensors", "resume.safetensors")
_SETTINGS = "training"  # in the metadata of resume.safetensors
_KEEP_AFTER = 30.0  # seconds


class _Best(Callback):
    """Remembers the model of the epoch that was best on the test images."""

    def __init__(self, least: float) -> None:
        self.value = least
        self.epoch: int | None = None
        self.state: dict[str, np.ndarray] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs["val_accuracy"] > self.value and math.isfinite(logs["val_loss"]):
            self.value, self.epoch = logs["val_accuracy"], epoch
            self.state = {name: array.copy() for name, array in self.model.state_dict().items()}


class _Run:
    """One training, from its start or from where an earlier one was interrupted."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        recipe = RECIPES[arguments.model, arguments.data]
        self.epochs = recipe.epochs if arguments.epochs is None else arguments.epochs
        self.batch_size = recipe.batch_size if arguments.batch_size is None else arguments.batch_size
        self.before = History() if arguments.resume is None else History.from_csv(folder / "history.csv")
        self.done = len(self.before.epoch)
        if self.done >= self.epochs and arguments.resume is not None:
            raise ArgumentError(
                f"--resume: {folder} has {self.done} epochs of {self.epochs} already: --epochs asks for more"
            )
        self.best = _Best(max(self.before.history.get("val_accuracy", [-1.0])))
        source = SETS[arguments.data]
        (self.x, self.y), self.test = self._load(source)
        shape = self.x.shape[1:]
        factor = 4 if (arguments.model, arguments.data) == ("lenet5", "digits") else 1
        if factor > 1:
            self.x, self.test = (
                data.enlarge(self.x, factor),
                (data.enlarge(self.test[0], factor), self.test[1]),
            )
        self.model = build(arguments.model, self.x, len(source.classes))
        self.classifier = ImageClassifier(
            self.model, source.classes, shape, enlarge=factor, light_on_dark=source.light_on_dark
        )
        self.optimizer = make_optimizer(arguments, self.model, recipe)
        self.first_rate = self.optimizer.param_groups[0]["lr"]
        self.kept, self.kept_at = False, time.monotonic()

    def _load(self, source: Images) -> Any:
        folder = self.arguments.data_dir
        self.load_call = f"data.load_{self.arguments.data}()"  # for whoever uses the model in Python
        if folder is None:
            return source.loader()
        if not source.has_files:
            raise ArgumentError(f"--data-dir does not apply to --data {self.arguments.data}")
        inner = Path(folder) / self.arguments.data
        found = inner if inner.is_dir() else Path(folder)
        self.load_call = f"data.load_{self.arguments.data}({str(found)!r})"
        return source.loader(found)

    # --- going on -------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """What has to be the same when a run goes on."""
        names = ("model", "data", "seed", "optimizer", "lr")
        return {**{name: getattr(self.arguments, name) for name in names}, "batch_size": self.batch_size}

    def restore(self) -> None:
        """Take over weights and the optimizer's state of the interrupted run."""
        path = self.folder / "resume.safetensors"
        if not path.is_file():
            raise CheckpointError(
                f"--resume: {self.folder} has no resume.safetensors, as interrupted runs have"
            )
        settings = json.loads(checkpoint.read_metadata(path).get(_SETTINGS, "{}"))
        for name, value in self.settings.items():
            if settings.get(name) != value:
                flag = "--" + name.replace("_", "-")
                raise ArgumentError(f"--resume: the run had {flag} {settings.get(name)}, and now has {value}")
        checkpoint.load_weights(self.model, self.folder / "model.safetensors")
        state: dict[int, dict[str, Any]] = {}
        for key, array in load_file(path).items():
            number, name = key.split(".")
            state.setdefault(int(number), {})[name] = array if array.ndim else int(array)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def keep(self) -> None:
        """Write what ``restore`` reads beside the model."""
        entries = self.optimizer.state_dict()["state"].items()
        state = {f"{i}.{name}": np.asarray(value) for i, entry in entries for name, value in entry.items()}
        chunks = checkpoint.chunks_of(state, {_SETTINGS: json.dumps(self.settings)})
        checkpoint.write_whole(self.folder / "resume.safetensors", chunks)

    # --- the work -------------------------------------------------------------------------------

    def fit(self) -> History:
        self.model.compile(self.optimizer, "cross_entropy", metrics=["accuracy"])
        epochs, first, done = self.epochs, self.first_rate, self.done
        return self.model.fit(
            self.x,
            self.y,
            initial_epoch=done,
            epochs=epochs,
            batch_size=self.batch_size,
            validation_data=self.test,
            callbacks=[
                LearningRateScheduler(lambda epoch, rate: first * (1 - epoch / epochs)),
                self.best,
                LambdaCallback(on_epoch_begin=self._keep_now_and_then),
            ],
        )

    def _keep_now_and_then(self, *_: object) -> None:
        """Half a minute of work is what a killed process loses at most: a run of minutes can be resumed."""
        history = self.history(self.model.history or History())
        if time.monotonic() - self.kept_at < _KEEP_AFTER or not history.epoch:
            return
        with uninterrupted():
            self.write(history, with_picture=False)
            self.write_best(tell=False)
            self.keep()
        self.kept, self.kept_at = True, time.monotonic()

    def history(self, fitted: History) -> History:
        """All epochs, those of the earlier run first."""
        found = History()
        for part in (self.before, fitted):
            for epoch, figures in zip(part.epoch, part.rows(), strict=True):
                found.append(epoch, figures)
        return found

    def write(self, history: History, with_model: bool = True, with_picture: bool = True) -> list[str]:
        """The checkpoint, the figures, and the picture where matplotlib is there to draw it."""
        written = []
        if with_model:
            self.classifier.save(self.folder / "model.safetensors")
            written.append("model.safetensors")
        history.to_csv(self.folder / "history.csv")
        written.append("history.csv")
        if history.epoch and with_picture:
            try:
                history.plot(self.folder / "learning-curve.png")
                written.append("learning-curve.png")
            except EinkornError as error:
                print(f"no learning-curve.png: {error}")
        return written

    def write_best(self, tell: bool = True) -> list[str]:
        """The model of the best epoch, where there was one."""
        if self.best.epoch is None:
            return ["best.safetensors"] if (self.folder / "best.safetensors").exists() and self.done else []
        now = {name: array.copy() for name, array in self.model.state_dict().items()}
        self.model.load_state_dict(self.best.state)
        self.classifier.save(self.folder / "best.safetensors")
        self.model.load_state_dict(now)
        if tell:
            at, value = self.best.epoch + 1, self.best.value
            print(f"best so far: epoch {at}, accuracy {value:.2%}: best.safetensors")
        return ["best.safetensors"]


def train(arguments: argparse.Namespace) -> int:
    """Train as the command line says, tell the accuracy and write the results; the exit status."""
    apply_settings(arguments)
    if arguments.epochs is not None and arguments.epochs < 1:
        raise ArgumentError(f"--epochs is {arguments.epochs}, expected at least 1")
    default = f"runs/{arguments.model}-{arguments.data}"
    with RunFolder(arguments.out, default, FILES, arguments.overwrite, arguments.resume) as out:
        einkorn.manual_seed(arguments.seed)
        run = _Run(arguments, out.path)
        if arguments.resume is not None:
            run.restore()
            einkorn.manual_seed(arguments.seed + run.done)  # other orders of the rows than before
        run.model.summary()
        if run.done:
            print(f"{run.done} of {run.epochs} epochs are done, {run.epochs - run.done} to go")
        try:
            history = run.history(run.fit())
        except KeyboardInterrupt:
            with uninterrupted():
                return _interrupted(run, out)
        except EinkornError:
            with uninterrupted():
                _failed(run, out, run.history(run.model.history or History()))
            raise
        with uninterrupted():
            return _finished(run, out, history)


def _finished(run: _Run, out: RunFolder, history: History) -> int:
    accuracy, loss = (history.history[name][-1] for name in ("val_accuracy", "val_loss"))
    print(f"accuracy on the {len(run.test[1]):,} test images: {accuracy:.2%}")
    classes = len(run.classifier.classes)
    guess = math.log(classes)
    if not math.isfinite(loss) or not (loss < guess or accuracy > 2 / classes):
        _failed(run, out, history)
        raise EinkornError(
            f"the model is no better than guessing (loss {loss:.4g}, guessing gives {guess:.4g}), "
            f"so no model.safetensors was written: is the learning rate, {run.first_rate:g}, too high?"
        )
    names = run.write(history)
    (out.path / "resume.safetensors").unlink(missing_ok=True)
    out.finish(names)
    print(f"wrote {', '.join(names)} to {out.path}")
    print("\nuse it from Python, on test images or the paths of others:")
    print("  from einkorn import data, models")
    print(f"  classifier = models.ImageClassifier.load({str(out.path / 'model.safetensors')!r})")
    print(f"  print(classifier.predict({run.load_call}[1][0][:5]))")
    print("or from the shell:")
    print(f"  einkorn predict {shlex.quote(str(out.path))} IMAGE ...")
    return 0


def _failed(run: _Run, out: RunFolder, history: History) -> None:
    """Write down how it went and the best epoch before, unless an earlier run's model is there."""
    if history.epoch and (run.kept or not (out.path / "model.safetensors").exists()):
        names = [*run.write(history, with_model=False), *run.write_best()]
        print(f"wrote {', '.join(names)} to {out.path}")


def _interrupted(run: _Run, out: RunFolder) -> int:
    """Ctrl-C: keep the model, the figures, the best so far, and what it takes to go on."""
    history = run.history(run.model.history or History())
    print(f"\ninterrupted after {len(history.epoch)} of {run.epochs} epochs")
    names = [*run.write(history), *run.write_best()]
    run.keep()
    names.append("resume.safetensors")
    out.finish(names)
    print(f"wrote {', '.join(names)} to {out.path}")
    print(f"go on with: {go_on_command(run.arguments, out.path)}")
    return 130


def build(name: str, x: np.ndarray, classes: int) -> Any:
    """The model for images like x."""
    features = int(np.prod(x.shape[1:]))
    if name == "softmax_regression":
        return models.build(name, in_features=features, num_classes=classes)
    if name == "mlp":
        return models.build(name, sizes=[features, 300 if features > 64 else 128, classes])
    return models.build(name, num_classes=classes, in_channels=x.shape[1], image_size=x.shape[2])


def make_optimizer(arguments: argparse.Namespace, model: Any, recipe: Recipe) -> optim.Optimizer:
    """The optimizer asked for, at the rate asked for or the recipe's."""
    parameters = model.parameters()
    if arguments.optimizer == "sgd":
        rate = SGD_RATE if arguments.lr is None else arguments.lr
        return optim.SGD(parameters, rate, momentum=SGD_MOMENTUM)
    rate = recipe.lr if arguments.lr is None else arguments.lr
    return (optim.AdamW if arguments.optimizer == "adamw" else optim.Adam)(parameters, rate)
