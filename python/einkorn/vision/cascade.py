"""CascadeDetector: finds objects at all places and sizes, by a cascade of boosted Haar features."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops.haar import HaarCascade, cascade_scan, group_rectangles
from einkorn.vision.cascade_xml import read_cascade, write_cascade
from einkorn.vision.images import to_gray

__all__ = ["CascadeDetector"]

_MAX_LEVELS = 2000
_GROUP_EPS = 0.2


def _size(op: str, name: str, value: Any) -> tuple[int, int] | None:
    """A (width, height) pair, or one number for both."""
    if value is None:
        return None
    try:
        width, height = (value, value) if np.ndim(value) == 0 else value
        found = operator.index(width), operator.index(height)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an int or a pair (width, height)") from None
    if min(found) < 0:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at least 0")
    return found


def _all_scales(op: str, height: int, width: int, window: tuple[int, int], factor: float) -> np.ndarray:
    """Scales at which the window still fits into the image, float32."""
    scales: list[float] = []
    scale = 1.0
    while round(window[0] * scale) <= height and round(window[1] * scale) <= width:
        scales.append(scale)
        scale *= factor
        if len(scales) > _MAX_LEVELS:
            raise ArgumentError(f"{op}: scale_factor is {factor}: more than {_MAX_LEVELS} sizes to look at")
    return np.array(scales, np.float32)


def _levels(height: int, width: int, window: tuple[int, int], scales: np.ndarray) -> np.ndarray:
    """(height, width, step, rows) of each scale's image.

    Below a scale of 2, windows are two pixels apart. Rows end where OpenCV's do: it gives every level the
    same number of stripes of whole rows, rounded so that an odd last row may be left out.
    """
    heights, widths = (np.rint(np.float32(n) / scales).astype(np.int64) for n in (height, width))
    steps = np.where(scales >= 2, 1, 2)
    rows = np.maximum(heights + 1 - window[0], 0)
    stripes = max(-(-max(widths[0] + 1 - window[1], 0) // 32), 1)
    limits = np.maximum((rows // steps + stripes - 1) // stripes, 1) * steps * stripes
    return np.stack([heights, widths, steps, limits], 1).astype(np.int32)


class CascadeDetector:
    """Detector of one kind of object: a cascade of stages that reject most windows early.

    Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001. Cascades come
    from OpenCV's XML files (:meth:`load`) or from training (:meth:`fit`), and detections are those of
    OpenCV's ``CascadeClassifier.detectMultiScale``, box by box.

    Parameters
    ----------
    cascade : HaarCascade, optional
        What :meth:`load` and :meth:`fit` set.

    Attributes
    ----------
    cascade : HaarCascade or None
    window : tuple of int
        (height, width) of the smallest object it finds.
    n_stages : int
    history : list of dict
        Figures of each stage that :meth:`fit` trained: ``stage``, ``stumps``, how many ``faces`` and
        ``backgrounds`` it learned from, the shares that pass it (``hit_rate``, ``false_alarm``), and the
        share of held-out faces that pass all stages (``val_hit_rate``). Stage thresholds are lowered until
        these pass too, so judge a cascade by faces that ``fit`` has not seen.
    """

    def __init__(self, cascade: HaarCascade | None = None) -> None:
        if cascade is not None and not isinstance(cascade, HaarCascade):
            raise ArgumentError(
                f"CascadeDetector: cascade is a {type(cascade).__name__}, expected a HaarCascade"
            )
        self.cascade = cascade
        self.history: list[dict[str, float]] = []

    def __repr__(self) -> str:
        c = self.cascade
        if c is None:
            return "CascadeDetector()"
        return f"CascadeDetector({c.height} x {c.width}, {c.n_stages} stages, {len(c.tree_nodes) - 1} trees)"

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the smallest object."""
        c = self._trained("window")
        return c.height, c.width

    @property
    def n_stages(self) -> int:
        """Number of stages; 0 without a cascade."""
        return 0 if self.cascade is None else self.cascade.n_stages

    def _trained(self, op: str) -> HaarCascade:
        if self.cascade is None:
            raise ArgumentError(f"CascadeDetector.{op}: there is no cascade yet; use load() or fit()")
        return self.cascade

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CascadeDetector:
        """Read a cascade from OpenCV's XML, of the newer or the older format.

        Stumps and trees, upright and tilted features. Files are not trusted: see
        ``einkorn.vision.cascade_xml.read_cascade``.

        Raises
        ------
        DataError
            When the file is missing or holds no such cascade.
        """
        return cls(read_cascade(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cascade as OpenCV's XML, which OpenCV's ``CascadeClassifier`` loads, too.

        Raises
        ------
        CheckpointError
            When the file cannot be written; what was there before is there still.
        """
        write_cascade(self._trained("save"), path)

    def fit(
        self,
        faces: Any,
        backgrounds: Any,
        *,
        stages: int = 10,
        min_hit_rate: float = 0.995,
        max_false_alarm: float = 0.5,
        max_stumps: int = 100,
        n_features: int | None = 10_000,
        n_backgrounds: int | None = None,
        validation_fraction: float = 0.1,
        random_state: int = 0,
        progress: bool = True,
    ) -> CascadeDetector:
        """Train a cascade with discrete AdaBoost.

        After each stage ``cascade`` and ``history`` are up to date: what an interruption (Ctrl-C)
        leaves is a usable detector of the stages so far.

        Parameters
        ----------
        faces : uint8 array [n, height, width]
            The objects, cut out alike; their size is the window. Those without contrast are left out.
        backgrounds : uint8 array [n, height, width], or list of images
            Without the object. What has the window's size is a patch; larger images are scanned for windows
            that the stages so far take for objects.
        stages : int, default 10
            At most; training ends early when fewer than 10 backgrounds still pass.
        min_hit_rate : float, default 0.995
            Share of faces that each stage lets pass, of those trained on and of those held out.
        max_false_alarm : float, default 0.5
            Share of backgrounds that each stage may let pass; it grows until then.
        max_stumps : int, default 100
            Of a stage.
        n_features : int or None, default 10_000
            Features to choose from, drawn anew for each stage; None: all.
        n_backgrounds : int, optional
            Backgrounds of a stage, at most; default: twice the faces.
        validation_fraction : float, default 0.1
            Faces held out, for ``val_hit_rate`` of ``history`` and for the stages' thresholds.
        random_state : int, default 0
            The same number gives the same cascade, with any number of threads.
        progress : bool, default True
            Show a progress bar.

        Returns
        -------
        CascadeDetector
            Itself.

        Raises
        ------
        DTypeError, ShapeError, ArgumentError
            For patches of other types and sizes, options out of range, and too few patches.
        """
        from einkorn._console import Bar
        from einkorn.vision.cascade_train import Recipe, train_stages

        op = "CascadeDetector.fit"
        if (
            isinstance(random_state, bool)
            or not isinstance(random_state, (int, np.integer))
            or random_state < 0
        ):
            raise ArgumentError(
                f"{op}: random_state is {random_state!r}, expected a whole number of at least 0"
            )
        recipe = Recipe(
            stages,
            min_hit_rate,
            max_false_alarm,
            max_stumps,
            n_features,
            n_backgrounds,
            validation_fraction,
            int(random_state),
        )
        history: list[dict[str, float]] = []
        bar = Bar(progress, stages, "stage")
        try:
            for cascade, figures in train_stages(op, recipe, faces, backgrounds, bar.note):
                history.append(figures)
                self.cascade, self.history = cascade, history
                bar.show(len(history), " ".join(f"{name}={value:.4g}" for name, value in figures.items()))
        finally:
            bar.close()
        return self

    def predict(self, patches: Any) -> np.ndarray:
        """Whether patches of the window's size pass all stages.

        Parameters
        ----------
        patches : uint8 array [n, height, width]

        Returns
        -------
        bool array [n]

        Raises
        ------
        DTypeError, ShapeError, ArgumentError
            For patches of another type or size, and when there is no cascade.
        """
        from einkorn.vision.cascade_train import passing

        op = "CascadeDetector.predict"
        cascade = self._trained("predict")
        refuse_masked(patches, f"{op}: patches")
        a = np.asarray(patches)
        if a.dtype != np.uint8:
            raise DTypeError(f"{op}: patches has dtype {a.dtype}, expected uint8")
        if a.ndim != 3 or a.shape[1:] != (cascade.height, cascade.width):
            raise ShapeError(
                f"{op}: patches has shape {a.shape}, expected (n, {cascade.height}, {cascade.width})"
            )
        return passing(cascade, a)

    def detect(
        self,
        image: Any,
        scale_factor: float = 1.1,
        min_neighbors: int = 3,
        min_size: Any = None,
        max_size: Any = None,
        return_scores: bool = False,
    ) -> Any:
        """Find objects.

        Parameters
        ----------
        image : uint8 array [height, width] or [height, width, 3], Pillow image, or path
            Color is red, green, blue.
        scale_factor : float, default 1.1
            Ratio of one size of object looked for to the next; above 1.
        min_neighbors : int, default 3
            Windows that overlap and pass are merged; of more than so many, they are a detection. 0: every
            window that passes, unmerged.
        min_size, max_size : int or (width, height), optional
            Bounds of the objects' size in pixels. Bounds that allow no size give the size nearest to
            ``min_size``.
        return_scores : bool, default False
            Also how many windows were merged into each box.

        Returns
        -------
        boxes : int32 array [n, 4]
            (x, y, width, height), within the image.
        scores : int32 array [n]
            With ``return_scores``.

        Raises
        ------
        DTypeError, ShapeError, DataError, ArgumentError
            For an image or option that is not as above, and when there is no cascade.
        """
        op = "CascadeDetector.detect"
        cascade = self._trained("detect")
        if not (isinstance(scale_factor, (int, float, np.number)) and 1 < scale_factor < math.inf):
            raise ArgumentError(f"{op}: scale_factor is {scale_factor!r}, expected a number above 1")
        smallest, largest = _size(op, "min_size", min_size), _size(op, "max_size", max_size)
        gray = to_gray(image, op)
        height, width = gray.shape
        window = (cascade.height, cascade.width)
        scales = _all_scales(op, height, width, window, float(scale_factor))
        scales = _wanted_scales(scales, window, smallest or (0, 0), largest or (width, height))
        if len(scales) == 0:
            boxes, scores = np.zeros((0, 4), np.int32), np.zeros(0, np.int32)
        else:
            found = cascade_scan(gray, cascade, _levels(height, width, window, scales), scales)
            boxes, scores = group_rectangles(found, min_neighbors, _GROUP_EPS)
            boxes, scores = _clip(boxes, scores, height, width)
        return (boxes, scores) if return_scores else boxes

    def detect_batch(self, images: Iterable[Any], **options: Any) -> list[Any]:
        """:meth:`detect` for each image; the options are the same for all.

        Returns
        -------
        list
            What :meth:`detect` returns, image by image.
        """
        return [self.detect(image, **options) for image in images]


def _wanted_scales(
    scales: np.ndarray, window: tuple[int, int], smallest: tuple[int, int], largest: tuple[int, int]
) -> np.ndarray:
    """Scales whose windows are within bounds; if there is none, the one nearest to the smallest."""
    if len(scales) == 0:
        return scales
    if 0 in largest:
        raise ArgumentError("CascadeDetector.detect: max_size is 0, expected at least 1")
    heights, widths = (np.rint(np.float32(n) * scales).astype(np.int64) for n in window)
    fits = (
        (widths >= smallest[0]) & (heights >= smallest[1]) & (widths <= largest[0]) & (heights <= largest[1])
    )
    if fits.any():
        return scales[fits]
    distance = (widths - smallest[0]) ** 2 + (heights - smallest[1]) ** 2
    return scales[[int(np.argmin(distance))]]


def _clip(boxes: np.ndarray, scores: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut boxes to the image: rounding may let them stick out by a pixel or two."""
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], (width, height))
    inside = (high > low).all(axis=1)
    clipped = np.concatenate([low, high - low], axis=1)[inside].astype(np.int32)
    return clipped, scores[inside]
