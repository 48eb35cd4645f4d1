"""Networks that commands on images take: of the registry with a file of weights, or a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError

__all__ = ["Named", "add_network"]


def add_network(command: Any, help: str) -> None:
    """The options that name a network."""
    command.add_argument("--model", metavar="MODEL", help=help)
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="of a network given by its name: safetensors, npz, Keras' h5, or ncnn's .bin beside its .param",
    )
    command.add_argument("--names", metavar="FILE", help="names of the classes, one a line")
    command.add_argument("--num-classes", type=int, metavar="N", help="of a network given by its name")


class Named:
    """A network, what becomes of pictures before it, and its classes' names.

    Raises
    ------
    ArgumentError
        There is no such network, or an option does not go with it.
    """

    def __init__(self, arguments: argparse.Namespace, what: str) -> None:
        from einkorn import models

        name = arguments.model
        if name is None:
            raise ArgumentError(f"--model is not given: a name of einkorn.models, or a file; {what}")
        if name not in models.list_models():
            if arguments.weights is not None or arguments.num_classes is not None:
                raise ArgumentError(
                    f"--model: {name} is no network of einkorn.models, and a file has its weights with it"
                )
            classifier = models.ImageClassifier.load(name)
            self.model, self.prepare = classifier.model, classifier.prepare
            self.names = list(classifier.classes)
        else:
            if arguments.weights is None:
                raise ArgumentError(f"--weights is not given: {name} without them knows nothing")
            options = {} if arguments.num_classes is None else {"num_classes": arguments.num_classes}
            if str(arguments.weights).endswith(".bin"):
                self.model = models.get_model(name, **options)
                param = str(Path(arguments.weights).with_suffix(".param"))
                models.load_ncnn(self.model, param, arguments.weights)
            else:
                self.model = models.get_model(name, weights=arguments.weights, **options)
                unread = self.model.weights_report.mismatched + self.model.weights_report.missing
                if unread:
                    raise ArgumentError(
                        f"--num-classes: {arguments.weights} has the last layer for another number of "
                        f"classes than {self.model.config['num_classes']}, or none: {', '.join(unread)}"
                    )
            self.prepare, self.names = self.model.preprocessing, []
        if arguments.names is not None:
            self.names = models.read_class_names(arguments.names)
            classes = getattr(self.model, "config", {}).get("num_classes", len(self.names))
            if len(self.names) != classes:
                raise ArgumentError(
                    f"--names: {arguments.names} has {len(self.names)} names, the network {classes} classes"
                )

    def called(self, label: int) -> str:
        """The name of a class, or its number."""
        return self.names[label] if label < len(self.names) else str(label)

    def number(self, word: str | None, scores: np.ndarray) -> int:
        """The class that a word names, or a number does; None: that of the highest score."""
        if word is None:
            return int(scores.argmax())
        if word in self.names:
            return self.names.index(word)
        if word.isdecimal() and int(word) < len(scores):
            return int(word)
        raise ArgumentError(f"--target is {word!r}, expected a class's name or a number below {len(scores)}")

    def shown(self, x: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The picture that the network is given, uint8 [height, width, 3]."""
        restore = getattr(self.prepare, "restore", None)
        if restore is not None:
            return restore(x)[0]
        pixels = np.clip(np.rint(x[0] * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
