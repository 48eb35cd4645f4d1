"""``einkorn detect``: boxes of what a cascade finds in images."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from einkorn._extras import need
from einkorn._files import save_figure
from einkorn.cli.outputs import RunFolder, new_file
from einkorn.cli.settings import add_settings, apply_settings
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
    command.add_argument("--overwrite", action="store_true", help="replace pictures that are there")
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")
    command.add_argument("--scale-factor", type=float, default=1.1, metavar="X", help="default: 1.1")
    command.add_argument("--min-neighbors", type=int, default=3, metavar="N", help="default: 3")
    command.add_argument("--min-size", type=int, metavar="PIXELS", help="of the objects")
    command.add_argument("--max-size", type=int, metavar="PIXELS", help="of the objects")
    add_settings(command)


def _pictures(out: str, images: list[str], overwrite: bool, held: ExitStack) -> list[Path]:
    """Where the pictures go, each found to be possible. A folder made for nothing goes with ``held``."""
    formats = need("matplotlib.backends.backend_agg", "--out").FigureCanvasAgg.get_supported_filetypes()
    if len(images) == 1:
        ending = Path(out).suffix[1:].lower()
        if ending not in formats:
            raise ArgumentError(
                f"--out: {out} has the ending {ending!r}, expected one of {', '.join(formats)}"
            )
        return [new_file(out, "--out", overwrite)]
    stems = [Path(image).stem for image in images]
    if len(set(stems)) < len(stems):
        raise ArgumentError("--out: two images have the same name and would overwrite each other's picture")
    folder = held.enter_context(RunFolder(out, out, [f"{stem}.png" for stem in stems], overwrite))
    return [folder.path / f"{stem}.png" for stem in stems]


def detect(arguments: argparse.Namespace) -> None:
    """Detect as the command line says, print the boxes and draw them."""
    apply_settings(arguments)
    pictures: list[Path] = []
    held = ExitStack()
    if arguments.out is not None:
        pictures = _pictures(arguments.out, arguments.images, arguments.overwrite, held)
    with held:
        _detect(arguments, pictures)


def _detect(arguments: argparse.Namespace, pictures: list[Path]) -> None:
    from einkorn.vision import CascadeDetector, plot_detections
    from einkorn.vision.images import load_image

    detector = CascadeDetector.load(arguments.cascade)
    results = []
    for i, name in enumerate(arguments.images):
        image = load_image(name)
        boxes, scores = detector.detect(
            image,
            arguments.scale_factor,
            arguments.min_neighbors,
            arguments.min_size,
            arguments.max_size,
            return_scores=True,
        )
        if pictures:
            save_figure(plot_detections(image, boxes).figure, pictures[i])
        found = [{"box": box, "neighbors": n} for box, n in zip(boxes.tolist(), scores.tolist(), strict=True)]
        results.append({"image": name, "detections": found})
        if not arguments.json:
            for row in found:
                print(name, *row["box"], row["neighbors"])
            if not found:
                print(f"{name}: nothing found")
    if arguments.json:
        print(json.dumps(results, indent=2))
