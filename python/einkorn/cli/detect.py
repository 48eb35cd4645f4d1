"""``einkorn detect``: boxes of what a cascade finds in images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import einkorn
from einkorn.errors import ArgumentError

__all__ = ["add_detect", "detect"]


def add_detect(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser(
        "detect",
        help="find objects in images with a cascade",
        description="Print a line for each object: image, x, y, width, height, and how many windows agreed.",
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    command.add_argument("--cascade", required=True, metavar="FILE", help="a cascade in OpenCV's XML")
    command.add_argument(
        "--out", metavar="FILE", help="write the picture with boxes there; with several images a folder"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")
    command.add_argument("--scale-factor", type=float, default=1.1, metavar="X", help="default: 1.1")
    command.add_argument("--min-neighbors", type=int, default=3, metavar="N", help="default: 3")
    command.add_argument("--min-size", type=int, metavar="PIXELS", help="of the objects")
    command.add_argument("--max-size", type=int, metavar="PIXELS", help="of the objects")
    command.add_argument("--engine", choices=("native", "numba"), help="default: native if built")
    command.add_argument("--threads", type=int, metavar="N", help="default: all cores")


def _picture_path(out: str, image: str, several: bool) -> Path:
    if not several:
        return Path(out)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{Path(image).stem}.png"


def detect(arguments: argparse.Namespace) -> None:
    """Detect as the command line says, print the boxes and draw them."""
    from einkorn.vision import CascadeDetector, plot_detections
    from einkorn.vision.images import load_image

    if arguments.engine is not None:
        einkorn.set_engine(arguments.engine)
    if arguments.threads is not None:
        einkorn.set_num_threads(arguments.threads)
    several = len(arguments.images) > 1
    stems = [Path(image).stem for image in arguments.images]
    if arguments.out is not None and len(set(stems)) < len(stems):
        raise ArgumentError("--out: two images have the same name and would overwrite each other's picture")
    detector = CascadeDetector.load(arguments.cascade)
    results = []
    for name in arguments.images:
        image = load_image(name)
        boxes, scores = detector.detect(
            image,
            arguments.scale_factor,
            arguments.min_neighbors,
            arguments.min_size,
            arguments.max_size,
            return_scores=True,
        )
        if arguments.out is not None:
            axes = plot_detections(image, boxes)
            axes.figure.savefig(_picture_path(arguments.out, name, several))
        found = [{"box": box, "neighbors": n} for box, n in zip(boxes.tolist(), scores.tolist(), strict=True)]
        results.append({"image": name, "detections": found})
        if not arguments.json:
            for row in found:
                print(name, *row["box"], row["neighbors"])
    if arguments.json:
        print(json.dumps(results, indent=2))
