"""``einkorn train``: a model, a data set, and settings that suit the two."""

from __future__ import annotations

import argparse
import math
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import einkorn
from einkorn import data
from einkorn.cli import records
from einkorn.cli.outputs import RunFolder, uninterrupted
from einkorn.cli.report import write_report
from einkorn.cli.settings import apply_settings, go_on_command
from einkorn.cli.train_options import Origins, Settings, check_resumed, gather, read_kept
from einkorn.cli.train_parts import (
    RECIPES,
    batches,
    build,
    class_weights,
    loss,
    make_callbacks,
    make_optimizer,
)
from einkorn.errors import ArgumentError, CheckpointError, EinkornError, MissingFileError
from einkorn.models import ImageClassifier
from einkorn.training import BackupAndRestore, Callback, History
from einkorn.training.part_times import PartTimes

__all__ = ["train"]


class Images(NamedTuple):
    """A data set: how it is loaded, what its classes are called, what its pictures look like."""

    loader: Any
    has_files: bool
    classes: tuple[str, ...]
    light_on_dark: bool


_DIGITS = tuple("0123456789")
SETS = {
    "digits": Images(data.load_digits, False, _DIGITS, True),
    "mnist": Images(data.load_mnist, True, _DIGITS, True),
    "cifar10": Images(data.load_cifar10, True, data.CIFAR10_CLASSES, False),
}
FILES = (
    "model.safetensors",
    "history.csv",
    "learning-curve.png",
    "best.safetensors",
    "resume.safetensors",
    "run.json",
    "report.html",
    "log.csv",
    "checkpoint-*.safetensors",
)
_KEEP_AFTER = 30.0  # seconds


class _Best(Callback):
    """Remembers the model of the epoch that was best on the validation images."""

    def __init__(self) -> None:
        self.value = -1.0
        self.epoch: int | None = None
        self.state: dict[str, np.ndarray] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs.get("val_accuracy", -1.0) > self.value and math.isfinite(logs["val_loss"]):
            self.value, self.epoch = logs["val_accuracy"], epoch
            self.state = {name: array.copy() for name, array in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "epoch": self.epoch, "state": self.state}

    def load_state_dict(self, state: Any) -> None:
        self.value, self.epoch, self.state = state["value"], state["epoch"], dict(state["state"])


class _Keeper(BackupAndRestore):
    """Remembers the training after each epoch, and writes it down now and then, or when it is interrupted.

    Half a minute of work is what a killed process loses at most.
    """

    def __init__(self, run: _Run, keep_every: int | None) -> None:
        super().__init__(run.folder, "epoch" if keep_every is None else keep_every, delete_checkpoint=False)
        self.run = run
        self.kept: dict[str, Any] | None = None
        self.written, self.written_at = False, time.monotonic()

    @property
    def path(self) -> Path:
        return self.run.folder / "resume.safetensors"

    def look(self) -> None:
        if self.run.goes_on:
            super().look()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.kept is None:
            self.remember()
        if time.monotonic() - self.written_at >= _KEEP_AFTER and (self.run.model.history or History()).epoch:
            with uninterrupted():
                self.write()

    def after_epoch(self, epoch: int) -> None:
        self.remember()

    def _keep(self) -> None:  # within an epoch
        self.remember()
        with uninterrupted():
            self.write()

    def remember(self) -> None:
        """A copy of all that the training is: it can be interrupted in the midst of a step."""
        from copy import deepcopy

        from einkorn.training.state import state_of

        found = state_of(self.model).run
        assert found is not None  # within fit
        self.kept = deepcopy(found.state_dict())

    def write(self) -> None:
        """What was remembered last, beside what can be used."""
        from einkorn.training.snapshot import write_snapshot

        if self.kept is not None:
            self.run.write(with_pictures=False)
            self.run.write_best(tell=False)
            self.run.describe("running")
            write_snapshot(self.path, self.kept)
        self.written, self.written_at = True, time.monotonic()


class _Run:
    """One training, from its start or from where an earlier one was interrupted."""

    def __init__(
        self, arguments: argparse.Namespace, settings: Settings, origins: Origins, folder: Path
    ) -> None:
        started = time.perf_counter()
        self.arguments = arguments
        self.settings = settings
        self.folder = folder
        self.goes_on = arguments.resume is not None
        assert settings.model is not None
        assert settings.data is not None
        recipe = RECIPES[settings.model, settings.data]
        self.epochs = recipe.epochs if settings.epochs is None else settings.epochs
        self.batch_size = recipe.batch_size if settings.batch_size is None else settings.batch_size
        self.done = len(History.from_csv(folder / "history.csv").epoch) if self.goes_on else 0
        if self.done >= self.epochs and self.goes_on:
            raise ArgumentError(
                f"--resume: {folder} has {self.done} epochs of {self.epochs} already: --epochs asks for more"
            )
        source = SETS[settings.data]
        (self.x, self.y), self.test = self._load(source)
        shape = self.x.shape[1:]
        self.images = self.test[0]
        factor = 4 if (settings.model, settings.data) == ("lenet5", "digits") else 1
        if factor > 1:
            self.x = data.enlarge(self.x, factor)
            self.test = (data.enlarge(self.test[0], factor), self.test[1])
        self.validation = self.test
        if settings.validation_split:
            self._hold_out(settings.validation_split, origins)
        self.model = build(settings.model, self.x, len(source.classes))
        self.classifier = ImageClassifier(
            self.model, source.classes, shape, enlarge=factor, light_on_dark=source.light_on_dark
        )
        self.optimizer = make_optimizer(settings, origins, self.model, recipe)
        self.first_rate = self.optimizer.param_groups[0]["lr"]
        self.loss = loss(settings, origins)
        classes = len(source.classes)
        self.class_weight = class_weights(settings, origins, self.y, classes)
        self.batches = batches(settings, origins, self.x, self.y, self.batch_size, classes)
        steps = settings.steps_per_epoch or -(-len(self.x) // self.batch_size)
        self.best = _Best()
        self.keeper = _Keeper(self, settings.keep_every)
        self.times = PartTimes()
        self.callbacks: list[Callback] = [
            *make_callbacks(settings, origins, self.optimizer, folder, self.epochs, steps),
            self.best,
            self.times,
            self.keeper,
        ]
        self.record: dict[str, Any] = {}
        self.loading = time.perf_counter() - started
        if self.goes_on and not self.keeper.path.is_file():
            raise CheckpointError(f"--resume: {folder} has no resume.safetensors, as interrupted runs have")

    def _load(self, source: Images) -> Any:
        folder = self.settings.data_dir
        name = self.settings.data
        self.load_call = f"data.load_{name}()"  # for whoever uses the model in Python
        if folder is None:
            return source.loader()
        if not source.has_files:
            raise ArgumentError(f"--data-dir does not apply to --data {name}")
        inner = Path(folder) / str(name)
        found = inner if inner.is_dir() else Path(folder)
        self.load_call = f"data.load_{name}({str(found)!r})"
        return source.loader(found)

    def _hold_out(self, share: float, origins: Origins) -> None:
        """Take the validation's images out of the training set: of each class the same share."""
        held = np.zeros(len(self.y), bool)
        order = np.random.default_rng(self.settings.seed).permutation(len(self.y))
        for label in np.unique(self.y):
            rows = order[self.y[order] == label]
            held[rows[: round(share * len(rows))]] = True
        if held.all() or not held.any():
            raise ArgumentError(
                f"{origins['validation_split']} is {share:g}, which leaves {(~held).sum()} images to train "
                f"on and {held.sum()} to validate on"
            )
        self.validation = (self.x[held], self.y[held])
        self.x, self.y = self.x[~held], self.y[~held]

    # --- the work -------------------------------------------------------------------------------

    def fit(self) -> History:
        settings = self.settings
        self.model.compile(
            self.optimizer,
            self.loss,
            metrics=list(dict.fromkeys(["accuracy", *settings.metrics])),
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            clipnorm=settings.clipnorm,
            clipvalue=settings.clipvalue,
            global_clipnorm=settings.global_clipnorm,
            autocast=settings.autocast,
        )
        changed = self.batches is not None
        return self.model.fit(
            self.batches if changed else self.x,
            None if changed else self.y,
            epochs=self.epochs,
            batch_size=None if changed else self.batch_size,
            validation_data=self.validation,
            validation_freq=settings.validation_freq,
            class_weight=self.class_weight,
            steps_per_epoch=settings.steps_per_epoch,
            on_nan="ignore" if settings.on_nan == "ignore" else "raise",
            callbacks=self.callbacks,
            device=settings.device,
        )

    @property
    def history(self) -> History:
        """All epochs so far."""
        return self.model.history or History()

    # --- files ----------------------------------------------------------------------------------

    def write(self, with_model: bool = True, with_pictures: bool = True) -> list[str]:
        """The checkpoint, the figures, and the picture where matplotlib is there to draw it."""
        written = []
        if with_model:
            self.classifier.save(self.folder / "model.safetensors")
            written.append("model.safetensors")
        self.history.to_csv(self.folder / "history.csv")
        written.append("history.csv")
        if self.history.epoch and with_pictures:
            try:
                self.history.plot(self.folder / "learning-curve.png")
                written.append("learning-curve.png")
            except EinkornError as error:
                print(f"no learning-curve.png: {error}")
        return written

    def write_best(self, tell: bool = True) -> list[str]:
        """The model of the best epoch, where there was one."""
        if self.best.epoch is None:
            return []
        now = {name: array.copy() for name, array in self.model.state_dict().items()}
        self.model.load_state_dict(self.best.state)
        self.classifier.save(self.folder / "best.safetensors")
        self.model.load_state_dict(now)
        if tell:
            at, value = self.best.epoch + 1, self.best.value
            print(f"best so far: epoch {at}, accuracy {value:.2%}: best.safetensors")
        return ["best.safetensors"]

    def describe(self, status: str, scores: np.ndarray | None = None) -> list[str]:
        """Write down what the run is and was told; with the test images' scores, how well it did."""
        self.record.update(records.of_settings(self, status))
        names = ["run.json"]
        if scores is not None:
            self.record.update(records.of_results(self, scores))
        records.write(self.folder, self.record)
        if status != "running":
            write_report(self.folder)
            names.append("report.html")
        return names

    def kept_files(self) -> list[str]:
        """What callbacks wrote."""
        patterns = ("checkpoint-*.safetensors", "log.csv")
        return [path.name for pattern in patterns for path in sorted(self.folder.glob(pattern))]


def train(arguments: argparse.Namespace) -> int:
    """Train as the command line says, tell the accuracy and write the results; the exit status."""
    kept = read_kept(Path(arguments.resume)) if arguments.resume is not None else {}
    if arguments.resume is not None and not kept and arguments.model is None and arguments.config is None:
        raise MissingFileError(f"--resume: {arguments.resume} holds no run: it has no run.json")
    settings, origins = gather(arguments, kept.get("settings"))
    apply_settings(settings)
    if kept:
        check_resumed(settings, kept["settings"])
    out_was = None if arguments.resume is not None and arguments.out is None else settings.out
    default = f"runs/{settings.model}-{settings.data}"
    with RunFolder(out_was, default, FILES, arguments.overwrite, arguments.resume) as out:
        einkorn.manual_seed(settings.seed)
        run = _Run(arguments, settings, origins, out.path)
        run.model.summary()
        if run.done:
            print(f"{run.done} of {run.epochs} epochs are done, {run.epochs - run.done} to go")
        try:
            run.fit()
        except KeyboardInterrupt:
            with uninterrupted():
                return _interrupted(run, out)
        except EinkornError:
            with uninterrupted():
                _failed(run, out)
            raise
        with uninterrupted():
            return _finished(run, out)


def _finished(run: _Run, out: RunFolder) -> int:
    scores = run.model.predict(run.test[0], batch_size=256)
    accuracy, value = records.measured(scores, run.test[1])
    print(f"accuracy on the {len(run.test[1]):,} test images: {accuracy:.2%}")
    classes = len(run.classifier.classes)
    guess = math.log(classes)
    if not math.isfinite(value) or not (value < guess or accuracy > 2 / classes):
        _failed(run, out)
        raise EinkornError(
            f"the model is no better than guessing (loss {value:.4g}, guessing gives {guess:.4g}), "
            f"so no model.safetensors was written: is the learning rate, {run.first_rate:g}, too high?"
        )
    names = [*run.write(), *run.describe("finished", scores)]
    (out.path / "resume.safetensors").unlink(missing_ok=True)
    if run.keeper.written and (out.path / "best.safetensors").exists():
        names.append("best.safetensors")
    out.finish([*names, *run.kept_files()])
    print(f"wrote {', '.join(names)} to {out.path}")
    print("\nuse it from Python, on test images or the paths of others:")
    print("  from einkorn import data, models")
    print(f"  classifier = models.ImageClassifier.load({str(out.path / 'model.safetensors')!r})")
    print(f"  print(classifier.predict({run.load_call}[1][0][:5]))")
    print("or from the shell:")
    print(f"  einkorn predict {shlex.quote(str(out.path))} IMAGE ...")
    return 0


def _failed(run: _Run, out: RunFolder) -> None:
    """Write down how it went and the best epoch before, unless an earlier run's model is there."""
    if run.history.epoch and (run.keeper.written or not (out.path / "model.safetensors").exists()):
        names = [*run.write(with_model=False), *run.write_best(), *run.describe("failed")]
        print(f"wrote {', '.join(names)} to {out.path}")


def _interrupted(run: _Run, out: RunFolder) -> int:
    """Ctrl-C: keep the model, the figures, the best so far, and what it takes to go on."""
    print(f"\ninterrupted after {len(run.history.epoch)} of {run.epochs} epochs")
    scores = run.model.predict(run.test[0], batch_size=256)
    run.keeper.write()
    names = [*run.write(), *run.write_best(), *run.describe("interrupted", scores), "resume.safetensors"]
    out.finish([*names, *run.kept_files()])
    print(f"wrote {', '.join(names)} to {out.path}")
    print(f"go on with: {go_on_command(run.arguments, out.path)}")
    return 130
