"""``einkorn predict``: what a trained network sees in images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.cli.networks import Named, add_network
from einkorn.cli.settings import add_settings, apply_settings
from einkorn.errors import ArgumentError, CheckpointError

__all__ = ["add_predict", "predict"]


def add_predict(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "predict",
        help="tell the classes of images with a trained network",
        description="Print a line for each image: its name, and the most probable classes with their "
        "probabilities. Images of any size are brought to the network's.",
    )
    command.add_argument(
        "images",
        nargs="+",
        metavar="MODEL IMAGE",
        help="what `einkorn train` wrote, its folder or the checkpoint; then image files. With --model "
        "images alone",
    )
    add_network(command, "a name of einkorn.models with --weights, or a checkpoint, for all IMAGEs")
    command.add_argument("--top", type=int, default=3, metavar="N", help="classes to name (default: 3)")
    command.add_argument(
        "--invert",
        action="store_true",
        help="swap light and dark: for ink on paper, with a network that learned light digits on black",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")
    add_settings(command)


def predict(arguments: argparse.Namespace) -> None:
    """Predict as the command line says, and print it."""
    from einkorn.models import ImageClassifier
    from einkorn.vision.images import load_image

    apply_settings(arguments)
    if arguments.top < 1:
        raise ArgumentError(f"--top is {arguments.top}, expected at least 1")
    if arguments.model is not None:
        _by_name(arguments)
        return
    if len(arguments.images) < 2:
        raise ArgumentError("a model and at least one image are expected, or --model and images")
    model, *images = arguments.images
    folder = Path(model)
    if (folder / "columns.json").is_file() and not (folder / "model.safetensors").is_file():
        raise CheckpointError(f"{folder} holds a model of a table: einkorn boost TABLE --predict {folder}")
    classifier = ImageClassifier.load(folder)
    results = []
    for name in images:
        image = load_image(name)
        if classifier.light_on_dark and classifier.prepare(image, invert=arguments.invert).mean() > 0.5:
            other = "without --invert" if arguments.invert else "with --invert"
            hint = f"{name} is mostly light, and the network learned light on dark: try it {other}"
            print(f"einkorn predict: {hint}", file=sys.stderr)
        (probability,) = classifier.predict_proba(image, invert=arguments.invert)
        order = (-probability).argsort(kind="stable")[: arguments.top]
        found = [{"class": classifier.classes[i], "probability": float(probability[i])} for i in order]
        results.append({"image": name, "classes": found})
        _tell(arguments, name, found)
    if arguments.json:
        print(json.dumps(results, indent=2))


def _by_name(arguments: argparse.Namespace) -> None:
    """The same with a network of the registry, or a checkpoint that --model names."""
    from einkorn import ops
    from einkorn.vision.images import load_image

    if arguments.invert:
        raise ArgumentError("--invert goes with a model given before the images, not with --model")
    network = Named(arguments, "einkorn predict IMAGE --model ...")
    results = []
    for name in arguments.images:
        scores = network.model.predict(network.prepare(load_image(name)))
        (probability,) = np.asarray(ops.softmax(scores, -1))
        order = (-probability).argsort(kind="stable")[: arguments.top]
        found = [{"class": network.called(int(i)), "probability": float(probability[i])} for i in order]
        results.append({"image": name, "classes": found})
        _tell(arguments, name, found)
    if arguments.json:
        print(json.dumps(results, indent=2))


def _tell(arguments: argparse.Namespace, name: str, found: list[dict[str, Any]]) -> None:
    if not arguments.json:
        words = "  ".join(f"{each['class']} {each['probability']:.2%}" for each in found)
        print(f"{name}  {words}")
