"""``einkorn predict``: what a trained network sees in images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

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
        "model", metavar="MODEL", help="what `einkorn train` wrote: its folder, or the checkpoint"
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
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
    folder = Path(arguments.model)
    if (folder / "columns.json").is_file() and not (folder / "model.safetensors").is_file():
        raise CheckpointError(f"{folder} holds a model of a table: einkorn boost TABLE --predict {folder}")
    classifier = ImageClassifier.load(folder)
    results = []
    for name in arguments.images:
        image = load_image(name)
        if classifier.light_on_dark and classifier.prepare(image, invert=arguments.invert).mean() > 0.5:
            other = "without --invert" if arguments.invert else "with --invert"
            hint = f"{name} is mostly light, and the network learned light on dark: try it {other}"
            print(f"einkorn predict: {hint}", file=sys.stderr)
        (probability,) = classifier.predict_proba(image, invert=arguments.invert)
        order = (-probability).argsort(kind="stable")[: arguments.top]
        found = [{"class": classifier.classes[i], "probability": float(probability[i])} for i in order]
        results.append({"image": name, "classes": found})
        if not arguments.json:
            words = "  ".join(f"{each['class']} {each['probability']:.2%}" for each in found)
            print(f"{name}  {words}")
    if arguments.json:
        print(json.dumps(results, indent=2))
