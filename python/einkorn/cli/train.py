"""``einkorn train``: a model, a data set, and settings that suit the two."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import einkorn
from einkorn import data, models, optim
from einkorn.errors import ArgumentError, EinkornError
from einkorn.training import LearningRateScheduler

__all__ = ["train"]


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
LOADERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "digits": data.load_digits,
    "mnist": data.load_mnist,
    "cifar10": data.load_cifar10,
}


def train(arguments: argparse.Namespace) -> None:
    """Train as the command line says, tell the accuracy and write the results."""
    if arguments.engine is not None:
        einkorn.set_engine(arguments.engine)
    if arguments.threads is not None:
        einkorn.set_num_threads(arguments.threads)
    einkorn.manual_seed(arguments.seed)
    recipe = RECIPES[arguments.model, arguments.data]
    epochs = recipe.epochs if arguments.epochs is None else arguments.epochs
    batch_size = recipe.batch_size if arguments.batch_size is None else arguments.batch_size
    if epochs < 1:
        raise ArgumentError(f"--epochs is {epochs}, expected at least 1")

    (x, y), test = LOADERS[arguments.data]()
    if (arguments.model, arguments.data) == ("lenet5", "digits"):
        x, test = data.enlarge(x, 4), (data.enlarge(test[0], 4), test[1])
    model = build(arguments.model, x)
    optimizer = make_optimizer(arguments, model, recipe)
    first = optimizer.param_groups[0]["lr"]
    model.compile(optimizer, "cross_entropy", ["accuracy"])
    model.summary()
    out = Path(arguments.out or f"runs/{arguments.model}-{arguments.data}")
    out.mkdir(parents=True, exist_ok=True)
    history = model.fit(
        x,
        y,
        epochs,
        batch_size,
        validation_data=test,
        callbacks=[LearningRateScheduler(lambda epoch, rate: first * (1 - epoch / epochs))],
    )
    accuracy = history.history["val_accuracy"][-1]
    print(f"accuracy on the {len(test[1]):,} test images: {accuracy:.2%}")
    write(model, history, out)


def build(name: str, x: np.ndarray) -> Any:
    """The model for images like x of ten classes."""
    features = int(np.prod(x.shape[1:]))
    if name == "softmax_regression":
        return models.build(name, in_features=features, num_classes=10)
    if name == "mlp":
        return models.build(name, sizes=[features, 300 if features > 64 else 128, 10])
    return models.build(name, in_channels=x.shape[1], image_size=x.shape[2])


def make_optimizer(arguments: argparse.Namespace, model: Any, recipe: Recipe) -> optim.Optimizer:
    """The optimizer asked for, at the rate asked for or the recipe's."""
    parameters = model.parameters()
    if arguments.optimizer == "sgd":
        rate = SGD_RATE if arguments.lr is None else arguments.lr
        return optim.SGD(parameters, rate, momentum=SGD_MOMENTUM)
    rate = recipe.lr if arguments.lr is None else arguments.lr
    return (optim.AdamW if arguments.optimizer == "adamw" else optim.Adam)(parameters, rate)


def write(model: Any, history: einkorn.training.History, out: Path) -> None:
    """The checkpoint, the figures, and the picture where matplotlib is there to draw it."""
    einkorn.save(model, out / "model.safetensors")
    history.to_csv(out / "history.csv")
    written = ["model.safetensors", "history.csv"]
    try:
        history.plot(out / "learning-curve.png")
        written.append("learning-curve.png")
    except EinkornError as error:
        print(f"no learning-curve.png: {error}")
    print(f"wrote {', '.join(written)} to {out}")
