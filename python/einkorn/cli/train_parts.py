"""What the settings of ``einkorn train`` mean: optimizer, schedule, loss, batches, callbacks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from einkorn import data, models, nn, optim
from einkorn.cli.train_options import Origins, Settings, nearest, with_options
from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim import lr_scheduler
from einkorn.training import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
    WeightAveraging,
)

__all__ = [
    "RECIPES",
    "Recipe",
    "batches",
    "build",
    "class_weights",
    "loss",
    "make_callbacks",
    "make_optimizer",
]


class Recipe(NamedTuple):
    """Settings that work. The rate falls linearly, in epochs, from ``lr`` to ``lr / epochs``."""

    epochs: int
    batch_size: int
    lr: float  # for adam and adamw


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
_OPTIMIZERS = {
    name.lower(): getattr(optim, name)
    for name in (
        "Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "LAMB", "Lion", "NAdam", "RAdam",
        "RMSprop", "Rprop", "SGD",
    )
}  # fmt: skip


def build(name: str, x: np.ndarray, classes: int) -> Any:
    """The model for images like x."""
    features = int(np.prod(x.shape[1:]))
    if name == "softmax_regression":
        return models.build(name, in_features=features, num_classes=classes)
    if name == "mlp":
        return models.build(name, sizes=[features, 300 if features > 64 else 128, classes])
    return models.build(name, num_classes=classes, in_channels=x.shape[1], image_size=x.shape[2])


def make_optimizer(settings: Settings, origins: Origins, model: Any, recipe: Recipe) -> optim.Optimizer:
    """The optimizer asked for, at the rate asked for, or the recipe's, or the optimizer's own."""
    name = settings.optimizer
    options = dict(settings.optimizer_options)
    if "lr" in options:
        raise ArgumentError(f"{origins['optimizer_options']}: the rate is given by {origins['lr']}")
    usual = {"sgd": SGD_RATE, "adam": recipe.lr, "adamw": recipe.lr}.get(name)
    rate = usual if settings.lr is None else settings.lr
    if name == "sgd":
        options.setdefault("momentum", SGD_MOMENTUM)
    make = _OPTIMIZERS[name] if rate is None else partial(_OPTIMIZERS[name], lr=rate)
    return with_options(make, (list(model.parameters()),), options, origins["optimizer_options"])


def loss(settings: Settings, origins: Origins) -> Any:
    """The loss of scores and class numbers."""
    options = dict(settings.loss_options)
    make: Any = nn.MultiMarginLoss
    if settings.loss == "cross-entropy":
        make = nn.CrossEntropyLoss
        if settings.label_smoothing:
            options.setdefault("label_smoothing", settings.label_smoothing)
        if not options:
            return "cross_entropy"
    elif settings.label_smoothing:
        raise ArgumentError(f"{origins['label_smoothing']} does not apply to --loss {settings.loss}")
    elif settings.mix != "none":
        raise ArgumentError(f"{origins['mix']} does not apply to --loss {settings.loss}")
    return with_options(make, (), options, origins["loss_options"])


def class_weights(
    settings: Settings, origins: Origins, y: np.ndarray, classes: int
) -> dict[int, float] | None:
    """Factors of the losses: those given, or, balanced, such that all classes count alike."""
    given = settings.class_weight
    if not given:
        return None
    if settings.mix != "none":
        raise ArgumentError(
            f"{origins['class_weight']} does not apply to --mix {settings.mix}, as rows have shares"
        )
    if given == "balanced":
        counts = np.bincount(y, minlength=classes)
        return {i: len(y) / (np.count_nonzero(counts) * int(n)) for i, n in enumerate(counts) if n}
    found = {}
    for name, value in given.items():
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
        if not str(name).isdigit() or int(name) >= classes or not good:
            raise ArgumentError(
                f"{origins['class_weight']} has {name}={value}, expected a class from 0 to {classes - 1} and "
                "a number that is not negative"
            )
        found[int(name)] = float(value)
    return found


# --- batches --------------------------------------------------------------------------------------


class _Changed:
    """Batches whose images, and targets, are changed as they pass."""

    def __init__(self, loader: data.DataLoader, changes: list[Any]) -> None:
        self.loader = loader
        self.changes = changes

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for x, y in self.loader:
            for change in self.changes:
                x, y = change(x, y)
            yield x, y


def batches(
    settings: Settings, origins: Origins, x: np.ndarray, y: np.ndarray, batch_size: int, classes: int
) -> Any:
    """What ``fit`` is given for x where images are changed on their way; None where they are not."""
    changes: list[Any] = []
    if settings.mix != "none":
        kind = data.MixUp if settings.mix == "mixup" else data.CutMix
        if settings.mix_alpha == 0:
            raise ArgumentError(f"{origins['mix_alpha']} is 0, expected more than 0")
        changes.append(kind(settings.mix_alpha, num_classes=classes))
    if not changes and not settings.augment:
        return None
    transform = _augmentation(settings.augment, origins["augment"], x) if settings.augment else None
    loader = data.DataLoader((x, y), batch_size=batch_size, shuffle=True, transform=transform)
    return _Changed(loader, changes) if changes else loader


def _augmentation(wanted: dict[str, Any], where: str, x: np.ndarray) -> Any:
    """The transforms of a table, one after the other. Numbers come from einkorn's generator, so that a run
    that goes on draws what it would have drawn."""
    from einkorn.data import augment

    steps = []
    for name, value in wanted.items():
        kind = getattr(augment, name, None) if name in augment.__all__ else None
        if not isinstance(kind, type) or name in ("Compose", "ImageDataGenerator"):
            raise ArgumentError(f"{where}: there is no {name}{nearest(name, augment.__all__)}")
        if value is False or value is None:
            continue
        options = value if isinstance(value, dict) else {}
        first = () if isinstance(value, dict) or value is True else (value,)
        steps.append(with_options(kind, first, options, f"{where}: {name}"))
    transform = augment.Compose(steps)
    try:
        changed = transform(x[:1])
    except EinkornError as error:
        raise ArgumentError(f"{where}: {error}") from error
    if np.shape(changed) != x[:1].shape:
        raise ArgumentError(
            f"{where}: images of shape {x.shape[1:]} become {np.shape(changed)[1:]}, expected the same"
        )
    return transform


# --- callbacks ------------------------------------------------------------------------------------


class _Warmup(Callback):
    """Raises the rate along a line, epoch by epoch, and leaves it to the schedule then."""

    def __init__(self, epochs: int, rate: float) -> None:
        self.epochs = epochs
        self.rate = rate

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch < self.epochs:
            for group in self.model.optimizer.param_groups:
                group["lr"] = self.rate * (epoch + 1) / (self.epochs + 1)
        elif epoch == self.epochs:
            for group in self.model.optimizer.param_groups:
                group["lr"] = self.rate


def _schedule(
    settings: Settings, origins: Origins, optimizer: optim.Optimizer, epochs: int, steps: int
) -> list[Callback]:
    """The callbacks that set the rate: of each epoch, or of each batch."""
    name, options, where = settings.schedule, dict(settings.schedule_options), origins["schedule_options"]
    rate, warm = optimizer.param_groups[0]["lr"], settings.warmup_epochs
    by_batch = settings.schedule_by == "batch"
    if warm >= epochs and warm:
        raise ArgumentError(f"{origins['warmup_epochs']} is {warm}, expected less than the {epochs} epochs")
    if name in ("linear", "constant", "plateau"):
        if by_batch:
            raise ArgumentError(f"{origins['schedule_by']} does not apply to --schedule {name}")
        if name == "plateau":
            options = {"monitor": settings.monitor, **options}
            found = [with_options(ReduceLROnPlateau, (), options, where)]
            return [*found, _Warmup(warm, rate)] if warm else found
        if options:
            raise ArgumentError(f"{where}: --schedule {name} has no options")
        falls = name == "linear"

        def line(epoch: int) -> float:
            if epoch < warm:
                return rate * (epoch + 1) / (warm + 1)
            return rate * (1 - (epoch - warm) / (epochs - warm)) if falls else rate

        return [LearningRateScheduler(lambda epoch, _: line(epoch))]
    total = epochs * steps if by_batch else epochs
    warm *= steps if by_batch else 1
    left = total - warm
    kind, usual = {
        "cosine": (lr_scheduler.CosineAnnealingLR, {"T_max": left}),
        "cosine-restarts": (lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": max(1, left // 3)}),
        "cyclic": (
            lr_scheduler.CyclicLR,
            {
                "base_lr": rate / 10, "max_lr": rate, "step_size_up": max(1, left // 6),
                "cycle_momentum": False,
            },
        ),
        "exponential": (lr_scheduler.ExponentialLR, {"gamma": 0.01 ** (1 / max(1, left))}),
        "multi-step": (lr_scheduler.MultiStepLR, {"milestones": [left // 2, left * 3 // 4]}),
        "one-cycle": (
            lr_scheduler.OneCycleLR,
            {"max_lr": rate, "total_steps": left + 1, "cycle_momentum": False},
        ),
        "polynomial": (lr_scheduler.PolynomialLR, {"total_iters": left}),
        "step": (lr_scheduler.StepLR, {"step_size": max(1, left // 3)}),
        "time-based": (lr_scheduler.TimeBasedLR, {"decay": 10 / max(1, left)}),
    }[name]  # fmt: skip
    schedule = with_options(kind, (optimizer,), {**usual, **options}, where)
    if warm:
        rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warm + 1), total_iters=warm)
        schedule = lr_scheduler.SequentialLR(optimizer, [rise, schedule], [warm])
    return [LearningRateScheduler(schedule, by=settings.schedule_by)]


def make_callbacks(
    settings: Settings, origins: Origins, optimizer: optim.Optimizer, folder: Path, epochs: int, steps: int
) -> list[Callback]:
    """All that watches the run, but for what keeps it. What averages weights comes first: others see its."""
    found: list[Callback] = []
    if settings.average != "none":
        first = settings.average_from
        if first is None:
            first = 1 if settings.average == "ema" else epochs * 3 // 4 + 1
        if first > epochs:
            raise ArgumentError(f"{origins['average_from']} is {first}, expected at most the {epochs} epochs")
        found.append(
            WeightAveraging(settings.average, decay=settings.average_decay, start_from_epoch=first - 1)
        )
    found += _schedule(settings, origins, optimizer, epochs, steps)
    if settings.early_stopping is not None:
        try:
            found.append(
                EarlyStopping(
                    settings.monitor,
                    min_delta=settings.min_delta,
                    patience=settings.early_stopping,
                    restore_best_weights=settings.restore_best_weights,
                )
            )
        except ArgumentError as error:
            raise ArgumentError(f"{origins['monitor']}: {error}") from error
    elif settings.restore_best_weights:
        raise ArgumentError(f"{origins['restore_best_weights']} needs --early-stopping")
    if settings.checkpoints:
        found.append(
            ModelCheckpoint(folder / "checkpoint-{epoch:04d}.safetensors", keep=settings.checkpoints)
        )
    if settings.on_nan == "stop":
        found.append(TerminateOnNaN())
    if settings.csv:
        found.append(CSVLogger(folder / "log.csv"))
    if settings.tensorboard:
        found.append(TensorBoard(folder / "tensorboard", histogram_freq=1))
    return found
