"""Pictures of detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.errors import DTypeError, ShapeError

__all__ = ["plot_detections"]


def plot_detections(
    image: Any,
    boxes: Any,
    ax: Any = None,
    *,
    scores: Sequence[Any] | None = None,
    color: str = "lime",
    linewidth: float = 2.0,
) -> Any:
    """Draw boxes over an image.

    Parameters
    ----------
    image : uint8 array [height, width] or [height, width, 3], Pillow image, or path
    boxes : array [n, 4]
        (x, y, width, height) in pixels.
    ax : matplotlib Axes, optional
        Where to draw; a figure of its own, of the image's size, when not given.
    scores : sequence, optional
        One for each box, written above it.
    color : str, default "lime"
    linewidth : float, default 2.0
        In points.

    Returns
    -------
    matplotlib Axes
        Its ``figure`` can be saved.

    Raises
    ------
    MissingPackageError
        When matplotlib is not installed.
    ShapeError, DTypeError, DataError
        For what is no image, boxes of another shape, scores that are not one for each box.
    """
    figures, patches = (need(f"matplotlib.{name}", "plot_detections") for name in ("figure", "patches"))
    from einkorn.vision.images import load_image

    pixels = load_image(image) if isinstance(image, (str, bytes)) or hasattr(image, "__fspath__") else image
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8:
        raise DTypeError(f"plot_detections: image has dtype {pixels.dtype}, expected uint8")
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ShapeError(f"plot_detections: image has shape {pixels.shape}, expected (height, width[, 3])")
    found = np.asarray(boxes)
    if found.size == 0:
        found = np.zeros((0, 4))
    if found.ndim != 2 or found.shape[1] != 4:
        raise ShapeError(f"plot_detections: boxes has shape {found.shape}, expected (n, 4)")
    if scores is not None and len(scores) != len(found):
        raise ShapeError(
            f"plot_detections: {len(scores)} scores, expected one for each of {len(found)} boxes"
        )
    if ax is None:
        height, width = pixels.shape[:2]
        figure = figures.Figure(figsize=(max(width, 100) / 100, max(height, 100) / 100), dpi=100)
        ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    for i, (x, y, w, h) in enumerate(found.tolist()):
        corner = (x - 0.5, y - 0.5)
        ax.add_patch(patches.Rectangle(corner, w, h, fill=False, edgecolor=color, linewidth=linewidth))
        if scores is not None:
            # a score is written as it is, dollar signs (mathematics to matplotlib) and all
            words = {"fontsize": 8, "verticalalignment": "bottom", "parse_math": False}
            ax.text(x, y - 2, f"{scores[i]}", color=color, **words)
    ax.set_axis_off()
    return ax
