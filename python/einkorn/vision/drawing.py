"""Boxes and classes of pixels drawn into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn._extras import axes_for, need
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["COLORS", "draw_boxes", "draw_segmentation", "plot_precision_recall"]

#: Colors of classes, red, green, blue; class i has number i modulo their count.
COLORS = (
    (230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180),
    (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (170, 110, 40),
)  # fmt: skip


def _pixels(image: Any, op: str) -> np.ndarray:
    from einkorn.models.preprocessing import picture_of

    try:
        return picture_of(image).copy()
    except ShapeError as error:
        raise ShapeError(f"{op}: {str(error).partition(': ')[2]}") from error


def draw_boxes(
    image: Any,
    boxes: Any,
    labels: Any = None,
    scores: Any = None,
    *,
    names: Sequence[str] | None = None,
    width: int = 2,
) -> np.ndarray:
    """A copy of a picture with boxes, and over each what it is and how sure that is.

    Parameters
    ----------
    image : path, uint8 array [H, W, 3] or [H, W], or Pillow image
    boxes : array [n, 4]
        Left, top, right, bottom in pixels; what lies outside is not drawn.
    labels : int array [n], optional
        Classes: they choose the colors.
    scores : array [n], optional
    names : sequence of str, keyword-only, optional
        Of the classes; without them numbers are written.
    width : int, keyword-only, default 2
        Of the lines, in pixels.

    Returns
    -------
    uint8 array [H, W, 3]

    Raises
    ------
    ShapeError, ArgumentError
        What was given does not fit together.
    MissingPackageError
        There is something to write, and Pillow is not installed.
    """
    op = "draw_boxes"
    pixels, corners = _pixels(image, op), np.asarray(boxes, np.float64)
    corners = corners.reshape(0, 4) if not corners.size else corners
    kinds = None if labels is None else np.asarray(labels, None if np.size(labels) else np.int64)
    sure = None if scores is None else np.asarray(scores, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ShapeError(f"{op}: boxes has shape {corners.shape}, expected [n, 4]")
    for name, each in (("labels", kinds), ("scores", sure)):
        if each is not None and each.shape != corners.shape[:1]:
            raise ShapeError(f"{op}: {name} has shape {each.shape}, expected {corners.shape[:1]}")
    if width < 1 or (kinds is not None and kinds.dtype.kind not in "iu"):
        raise ArgumentError(
            f"{op}: width is {width!r} and labels {labels!r}, expected 1 or more and integers"
        )
    if np.isnan(corners).any():
        raise ArgumentError(f"{op}: boxes has NaN, expected numbers of pixels")
    if (
        names is not None
        and kinds is not None
        and kinds.size
        and not 0 <= kinds.min() <= kinds.max() < len(names)
    ):
        raise ArgumentError(
            f"{op}: labels has {kinds.min()} to {kinds.max()}, expected 0 to {len(names) - 1} by names"
        )
    high, wide = pixels.shape[:2]
    for i, box in enumerate(np.rint(np.clip(corners, -1e6, 1e6)).astype(int).tolist()):
        label = 0 if kinds is None else int(kinds[i])
        colour = COLORS[label % len(COLORS)]
        left, top, right, bottom = box
        for y0, y1, x0, x1 in (
            (top, top + width, left, right),
            (bottom - width, bottom, left, right),
            (top, bottom, left, left + width),
            (top, bottom, right - width, right),
        ):
            pixels[max(y0, 0) : max(min(y1, high), 0), max(x0, 0) : max(min(x1, wide), 0)] = colour
        words = [] if kinds is None else [str(label) if names is None else names[label]]
        words += [] if sure is None else [f"{sure[i]:.2f}"]
        if words:
            pixels = _written(pixels, " ".join(words), left, top, colour)
    return pixels


def _written(pixels: np.ndarray, text: str, left: int, top: int, colour: tuple[int, ...]) -> np.ndarray:
    image, draw = (need(f"PIL.{name}", "draw_boxes with words") for name in ("Image", "ImageDraw"))
    picture = image.fromarray(pixels)
    pen = draw.Draw(picture)
    x0, _, x1, y1 = pen.textbbox((0, 0), text)
    y = top - y1 - 2 if top > y1 + 2 else top
    x = max(min(left, pixels.shape[1] - x1 - 2), 0)
    pen.rectangle((x + x0, y, x + x1 + 2, y + y1 + 2), fill=colour)
    pen.text((x + 1, y), text, fill=(0, 0, 0) if sum(colour) > 380 else (255, 255, 255))
    return np.array(picture)


def draw_segmentation(image: Any, classes: Any, *, alpha: float = 0.5, ground: int | None = 0) -> np.ndarray:
    """A copy of a picture, each pixel tinted with the color of its class.

    Parameters
    ----------
    image : path, uint8 array [H, W, 3] or [H, W], or Pillow image
    classes : int array [H, W]
    alpha : float, keyword-only, default 0.5
        How much of the color there is.
    ground : int or None, keyword-only, default 0
        A class that keeps the picture's colors.

    Returns
    -------
    uint8 array [H, W, 3]
    """
    op = "draw_segmentation"
    pixels, found = _pixels(image, op), np.asarray(classes)
    if found.shape != pixels.shape[:2] or found.dtype.kind not in "iu" or not 0 <= alpha <= 1:
        raise ShapeError(
            f"{op}: classes is {found.dtype} {found.shape} and alpha {alpha!r}, expected integers "
            f"{pixels.shape[:2]} and 0 to 1"
        )
    tint = np.array(COLORS)[found % len(COLORS)]
    mixed = np.rint(pixels * (1 - alpha) + tint * alpha).astype(np.uint8)
    return mixed if ground is None else np.where((found == ground)[..., None], pixels, mixed)


def plot_precision_recall(curves: Any, ax: Any = None) -> Any:
    """Precision over recall.

    Parameters
    ----------
    curves : PrecisionRecall, or dict of them by name
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes
    """
    axes = axes_for(ax, "plot_precision_recall")
    several = curves if isinstance(curves, dict) else {"": curves}
    for name, curve in several.items():
        axes.step(curve.recall, curve.precision, where="post", label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
    if any(several):
        axes.legend()
    return axes
