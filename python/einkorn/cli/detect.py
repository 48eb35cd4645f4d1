"""``einkorn detect``: boxes of what a cascade finds in images."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn._files import save_figure
from einkorn.cli.outputs import RunFolder, picture_file
from einkorn.cli.settings import add_settings, apply_settings
from einkorn.errors import ArgumentError

__all__ = ["add_detect", "detect"]


def add_detect(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser(
        "detect",
        help="find objects in images with a cascade, with YOLO or with UltraFace",
        description="Print a line for each object: image, x, y, width, height, and how many windows agreed; "
        "with a network what it is and how sure that is.",
    )
    command.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    how = command.add_mutually_exclusive_group(required=True)
    how.add_argument("--cascade", metavar="FILE", help="a cascade in OpenCV's XML")
    how.add_argument("--yolo", metavar="CFG", help="a network in darknet's .cfg")
    how.add_argument("--faces", metavar="FILE", help="UltraFace's weights, .onnx")
    command.add_argument("--weights", metavar="FILE", help="of --yolo (default: beside CFG, .weights)")
    command.add_argument("--names", metavar="FILE", help="of --yolo's classes, one a line")
    command.add_argument(
        "--threshold", type=float, metavar="X", help="least score (default: --yolo 0.25, --faces 0.7)"
    )
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
        return [picture_file(out, overwrite, formats)]
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
        if arguments.cascade is None:
            _detect_classes(arguments, pictures)
        else:
            _detect(arguments, pictures)


def _detector(arguments: argparse.Namespace) -> tuple[Any, list[str] | None]:
    """What gives boxes, scores and labels of a picture, and the labels' names."""
    from einkorn.models import Darknet, UltraFace, read_class_names

    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise ArgumentError(f"--threshold is {arguments.threshold}, expected 0 to 1")
    least = {} if arguments.threshold is None else {"threshold": arguments.threshold}
    if arguments.faces is not None:
        faces = UltraFace(arguments.faces)

        def find(image: Any) -> tuple[Any, Any, Any]:
            ((boxes, scores),) = faces.detect(image, **least)
            return boxes, scores, np.zeros(len(boxes), np.int64)

        return find, ["face"]
    weights = arguments.weights or Path(arguments.yolo).with_suffix(".weights")
    yolo = Darknet(arguments.yolo, weights)
    names = None if arguments.names is None else read_class_names(arguments.names)
    return lambda image: yolo.detect(image, **least)[0], names


def _detect_classes(arguments: argparse.Namespace, pictures: list[Path]) -> None:
    """With a network."""
    from einkorn.vision import draw_boxes
    from einkorn.vision.images import load_image

    find, names = _detector(arguments)
    results = []
    for i, name in enumerate(arguments.images):
        image = load_image(name)
        boxes, scores, labels = find(image)
        words = [str(k) if names is None or k >= len(names) else names[k] for k in labels.tolist()]
        if pictures:
            drawn = draw_boxes(image, boxes, labels, scores, names=names)
            save_figure(plain_figure(drawn), pictures[i])
        found = []
        for corners, score, word in zip(boxes.tolist(), scores.tolist(), words, strict=True):
            left, top, right, bottom = corners
            box = [round(v) for v in (left, top, right - left, bottom - top)]
            found.append({"box": box, "class": word, "score": score})
            if not arguments.json:
                print(name, *box, word, f"{score:.3f}")
        results.append({"image": name, "detections": found})
        if not arguments.json and not found:
            print(f"{name}: nothing found")
    if arguments.json:
        print(json.dumps(results, indent=2))


def plain_figure(pixels: Any) -> Any:
    """A figure that is the picture and nothing else."""
    high, wide = pixels.shape[:2]
    figure = need("matplotlib.figure", "--out").Figure((wide / 100, high / 100), dpi=100)
    figure.add_axes((0, 0, 1, 1)).imshow(pixels)
    figure.axes[0].set_axis_off()
    return figure


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
