"""Training a cascade: discrete AdaBoost picks features, stages reject what the ones before let pass.

Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001, section 2 to 4.

A stage is a sum of stumps, each a feature with a threshold, weighted by AdaBoost. It grows until, with its
threshold lowered so far that the wanted share of faces passes, few enough backgrounds do. The next stage
learns from backgrounds that all stages so far take for faces: patches given as such, and windows found by
scanning larger images, as the detector will.

Features are searched by histograms: values of all features over all patches become codes of one byte, once
for a stage, and every round adds up weights by code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._sealed import own
from einkorn.ops.haar import HaarCascade, cascade_scan, haar_features, haar_patch_sums, resize_exact
from einkorn.ops.stump import BinnedRows, adaboost_update, stump_search
from einkorn.vision.images import to_gray

__all__ = ["Recipe", "feature_pool", "passing", "train_stages"]

_BLOCK = 2000  # features whose values are in memory at a time
_BINS = 255
_SCAN_FACTOR = 1.25
_PATCH_ROWS = 1 << 22
_FEWEST = 10  # backgrounds that a stage can be learned from


def feature_pool(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """All upright features of two, three and four rectangles in a window.

    Returns
    -------
    rects : int32 [features, 3, 4]
    weights : float32 [features, 3]
        As :func:`einkorn.ops.haar_features` takes them: 162,336 features for 24 x 24.
    """
    rects, weights = [], []
    for across, down in ((2, 1), (1, 2), (3, 1), (1, 3), (2, 2)):
        y, x, h, w = np.indices((height, width, height // down + 1, width // across + 1)).reshape(4, -1)
        fits = (h > 0) & (w > 0) & (x + across * w <= width) & (y + down * h <= height)
        x, y, w, h = x[fits], y[fits], w[fits], h[fits]
        nothing = np.zeros_like(x)
        inner_x, inner_y = (x + w if across == 3 else x), (y + h if down == 3 else y)
        kind = np.zeros((len(x), 3, 4), np.int32)
        kind[:, 0] = np.stack([x, y, across * w, down * h], 1)
        kind[:, 1] = np.stack([inner_x, inner_y, w, h], 1)
        four = across == down == 2
        kind[:, 2] = np.stack([x + w, y + h, w, h] if four else [nothing] * 4, 1)
        rects.append(kind)
        share = 3 if 3 in (across, down) else 2
        weights.append(np.tile(np.array([-1, share, 2 if four else 0], np.float32), (len(x), 1)))
    return np.concatenate(rects), np.concatenate(weights)


def passing(cascade: HaarCascade, patches: np.ndarray) -> np.ndarray:
    """Which patches of the window's size pass all stages.

    Patches are scanned as one tall image, so that the arithmetic is the detector's.
    """
    n, height, width = patches.shape
    passed = np.zeros(n, bool)
    step = max(_PATCH_ROWS // height, 1)
    for start in range(0, n, step):
        part = np.ascontiguousarray(patches[start : start + step])
        rows = len(part) * height
        boxes = cascade_scan(part.reshape(rows, width), cascade, [(rows, width, 1, rows)], [1.0])
        y = boxes[:, 1]
        passed[start + y[y % height == 0] // height] = True
    return passed


@dataclass
class _Stage:
    """Stumps: feature numbers in the pool, thresholds, and what each side adds."""

    threshold: float = 0.0
    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Recipe:
    """Options of training; :meth:`einkorn.vision.CascadeDetector.fit` says what they mean."""

    stages: int
    min_hit_rate: float
    max_false_alarm: float
    max_stumps: int
    n_features: int | None
    n_backgrounds: int | None
    validation_fraction: float
    seed: int

    def check(self, op: str) -> None:
        """Refuse what cannot be."""
        for name, low, high in (
            ("min_hit_rate", 0.0, 1.0),
            ("max_false_alarm", 0.0, 1.0),
            ("validation_fraction", 0.0, 0.9),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float, np.number)) or not low <= value <= high:
                raise ArgumentError(f"{op}: {name} is {value!r}, expected a number from {low} to {high}")
        for name in ("stages", "max_stumps", "n_features", "n_backgrounds"):
            value = getattr(self, name)
            if value is None and name in ("n_features", "n_backgrounds"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"{op}: {name} is {value!r}, expected a whole number of at least 1")


def _assemble(
    stages: list[_Stage], pool: tuple[np.ndarray, np.ndarray], window: tuple[int, int]
) -> HaarCascade:
    """Stages as a cascade; features used twice are kept once."""
    used, feature = np.unique(
        np.array([f for s in stages for f in s.features], np.int64), return_inverse=True
    )
    sizes = [len(s.features) for s in stages]
    nodes = sum(sizes)
    return HaarCascade(
        height=window[0],
        width=window[1],
        rects=pool[0][used],
        weights=pool[1][used],
        tilted=np.zeros(len(used), np.uint8),
        feature=feature.astype(np.int32),
        threshold=np.array([v for s in stages for v in s.splits], np.float32),
        left=np.zeros(nodes, np.int32),
        right=np.zeros(nodes, np.int32),
        left_value=np.array([v for s in stages for v in s.left], np.float32),
        right_value=np.array([v for s in stages for v in s.right], np.float32),
        tree_nodes=np.arange(nodes + 1, dtype=np.int32),
        stage_trees=np.cumsum([0, *sizes]).astype(np.int32),
        stage_threshold=np.array([s.threshold for s in stages], np.float32),
    )


class _Backgrounds:
    """Patches and images without the object; gives patches that the cascade still takes for it."""

    def __init__(self, op: str, backgrounds: Any, window: tuple[int, int], rng: np.random.Generator) -> None:
        self.window = window
        self.rng = rng
        items = list(backgrounds) if isinstance(backgrounds, (np.ndarray, Iterable)) else None
        if items is None or isinstance(backgrounds, (str, bytes)):
            raise DTypeError(
                f"{op}: backgrounds is a {type(backgrounds).__name__}, expected patches or images"
            )
        patches, self.images = [], []
        for i, item in enumerate(items):
            gray = to_gray(item, f"{op}: backgrounds[{i}]")
            if gray.shape == window:
                patches.append(gray)
            elif gray.shape[0] >= window[0] and gray.shape[1] >= window[1]:
                self.images.append(gray)
            else:
                raise ShapeError(
                    f"{op}: backgrounds[{i}] has shape {gray.shape}, smaller than the faces {window}"
                )
        self.patches = np.stack(patches) if patches else np.zeros((0, *window), np.uint8)
        if not items:
            raise ShapeError(f"{op}: backgrounds is empty")

    def collect(self, cascade: HaarCascade | None, wanted: int) -> np.ndarray:
        """Up to ``wanted`` patches that pass: given ones first, then windows of images in random order."""
        found = [self._filtered(cascade, self.patches[self.rng.permutation(len(self.patches))])[:wanted]]
        missing = wanted - len(found[0])
        for number, i in enumerate(self.rng.permutation(len(self.images))):
            if missing <= 0:
                break
            # a share for each image still to come, twice over, because many will not fill theirs
            share = min(missing, 2 * missing // (len(self.images) - number) + 1)
            crops = self._filtered(cascade, self._crops(self.images[i], cascade, share))
            found.append(crops[:missing])
            missing -= len(found[-1])
        return np.concatenate(found)

    def _filtered(self, cascade: HaarCascade | None, patches: np.ndarray) -> np.ndarray:
        if len(patches) == 0:
            return patches
        return patches[passing(cascade, patches) if cascade else haar_patch_sums(patches)[1] > 0]

    def _crops(self, image: np.ndarray, cascade: HaarCascade | None, count: int) -> np.ndarray:
        """Windows of an image that the cascade lets pass, or random ones, brought to the window's size."""
        height, width = self.window
        largest = min(image.shape[0] / height, image.shape[1] / width)
        if cascade is None:
            scales = largest ** self.rng.random(2 * count)
            sizes = np.floor(np.stack([scales * width, scales * height], 1)).astype(np.int64)
            room = np.array(image.shape[::-1]) - sizes
            boxes = np.concatenate(
                [np.floor(self.rng.random(room.shape) * (room + 1)).astype(np.int64), sizes], 1
            )
        else:
            steps = np.arange(int(np.log(largest) / np.log(_SCAN_FACTOR)) + 1)
            factors = (_SCAN_FACTOR**steps).astype(np.float32)
            levels = [
                (max(h, height), max(w, width), 1, max(h, height))
                for h, w in np.floor(np.array(image.shape) / factors[:, None]).astype(int).tolist()
            ]
            boxes = cascade_scan(image, cascade, levels, factors)
            boxes = boxes[self.rng.permutation(len(boxes))[: 3 * count]]
        crops = np.empty((len(boxes), height, width), np.uint8)
        for crop, (x, y, w, h) in zip(crops, boxes.tolist(), strict=True):
            crop[...] = resize_exact(image[y : y + h, x : x + w], height, width)
        return crops


def _coded(
    sums: np.ndarray, scale: np.ndarray, rects: np.ndarray, weights: np.ndarray, window: tuple[int, int]
) -> Any:
    """Values of features over patches as codes of one byte, block by block."""
    from einkorn.boosting.binning import Binner

    codes = np.empty((len(rects), len(scale)), np.uint8)
    edges: list[np.ndarray] = []
    for start in range(0, len(rects), _BLOCK):
        part = slice(start, start + _BLOCK)
        values = haar_features(sums, scale, rects[part], weights[part], *window).T
        binner = Binner(_BINS, subsample=None).fit(values)
        codes[part] = binner.transform(values)
        edges += list(binner.edges_)
    own(codes)
    return BinnedRows(codes, edges, _BINS)


class _StageTrainer:
    """One stage: rounds of AdaBoost over faces, held-out faces and backgrounds."""

    def __init__(
        self,
        recipe: Recipe,
        pool: tuple[np.ndarray, np.ndarray],
        chosen: np.ndarray,
        faces: np.ndarray,
        held_out: np.ndarray,
        backgrounds: np.ndarray,
    ) -> None:
        self.recipe, self.pool, self.chosen = recipe, pool, chosen
        self.window = faces.shape[1:]
        patches = np.concatenate([faces, backgrounds])
        self.is_face = np.arange(len(patches)) < len(faces)
        self.sums, self.scale = haar_patch_sums(patches)
        self.held_sums, self.held_scale = haar_patch_sums(held_out)
        self.rows = _coded(self.sums, self.scale, pool[0][chosen], pool[1][chosen], self.window)

    def _value(self, feature: int, sums: np.ndarray, scale: np.ndarray) -> np.ndarray:
        rects, weights = (a[feature : feature + 1] for a in self.pool)
        return haar_features(sums, scale, rects, weights, *self.window)[0]

    def _threshold(self, scores: np.ndarray) -> float:
        """The highest that the wanted share of faces reaches."""
        if len(scores) == 0:
            return float("inf")
        lost = int((1 - self.recipe.min_hit_rate) * len(scores) + 1e-9)
        return float(np.partition(scores, min(lost, len(scores) - 1))[min(lost, len(scores) - 1)])

    def train(self, tick: Callable[[int, float, float], None]) -> tuple[_Stage, float, float]:
        """The stage, and the shares of faces and backgrounds that pass it."""
        stage = _Stage()
        n_faces = int(self.is_face.sum())
        weights = np.where(self.is_face, 0.5 / n_faces, 0.5 / (len(self.is_face) - n_faces))
        target = self.is_face.astype(np.int32)
        signed = np.where(self.is_face, weights, -weights).astype(np.float32)
        scores, held_scores = np.zeros(len(weights)), np.zeros(len(self.held_scale))
        hits = alarms = 1.0
        for _ in range(self.recipe.max_stumps):
            split = stump_search(self.rows, signed, criterion="error")
            sides = split.sums.argmax(axis=1) if split.feature >= 0 else np.zeros(2, int)
            if sides[0] == sides[1]:  # no feature tells faces from backgrounds any more
                break
            feature, at = int(self.chosen[split.feature]), np.float32(split.threshold)
            below = self._value(feature, self.sums, self.scale) < at
            stats = adaboost_update(
                weights,
                signed,
                target,
                predicted=np.where(below, sides[0], sides[1]).astype(np.int32),
            )
            error, weight = float(stats[0]), float(np.float32(stats[1]))
            if weight <= 0:
                break
            left, right = (weight if side else -weight for side in sides)
            stage.features.append(feature)
            stage.splits.append(float(at))
            stage.left.append(left)
            stage.right.append(right)
            scores += np.where(below, left, right)
            held_scores += np.where(self._value(feature, self.held_sums, self.held_scale) < at, left, right)
            threshold = min(self._threshold(scores[self.is_face]), self._threshold(held_scores))
            stage.threshold = float(np.float32(threshold))
            hits = float((scores[self.is_face] >= threshold).mean())
            alarms = float((scores[~self.is_face] >= threshold).mean())
            tick(len(stage.features), hits, alarms)
            if alarms <= self.recipe.max_false_alarm or error <= 0:
                break
        return stage, hits, alarms


def train_stages(
    op: str, recipe: Recipe, faces: Any, backgrounds: Any, tick: Callable[[str], None]
) -> Iterator[tuple[HaarCascade, dict[str, float]]]:
    """Yield the cascade after each stage, with figures of the stage.

    Ends after ``recipe.stages``, or when backgrounds run out, or when a stage learns nothing.
    """
    recipe.check(op)
    patches = _faces(op, faces)
    rng = np.random.default_rng(recipe.seed)
    window = (patches.shape[1], patches.shape[2])
    source = _Backgrounds(op, backgrounds, window, rng)
    pool = feature_pool(*window)
    patches = patches[rng.permutation(len(patches))]
    n_held = int(recipe.validation_fraction * len(patches))
    held_out, faces = patches[:n_held], patches[n_held:]
    wanted = recipe.n_backgrounds or 2 * len(faces)
    stages: list[_Stage] = []
    cascade: HaarCascade | None = None
    while len(stages) < recipe.stages:
        tick("looking for backgrounds")
        negatives = source.collect(cascade, wanted)
        if cascade is not None:
            faces, held_out = (a[passing(cascade, a)] for a in (faces, held_out))
        if len(negatives) < _FEWEST or len(faces) < 2:
            if not stages:
                raise ArgumentError(
                    f"{op}: {len(faces)} faces and {len(negatives)} backgrounds with any contrast are too few"
                )
            return
        size = min(recipe.n_features or len(pool[0]), len(pool[0]))
        chosen = np.sort(rng.choice(len(pool[0]), size, replace=False))
        tick("computing features")
        trainer = _StageTrainer(recipe, pool, chosen, faces, held_out, negatives)
        stage, hits, alarms = trainer.train(
            lambda n, hits, alarms: tick(f"{n} stumps, {hits:.3f} of faces, {alarms:.3f} of backgrounds pass")
        )
        if not stage.features:
            return
        stages.append(stage)
        cascade = _assemble(stages, pool, window)
        yield (
            cascade,
            {
                "stage": len(stages),
                "stumps": len(stage.features),
                "faces": len(faces),
                "backgrounds": len(negatives),
                "hit_rate": hits,
                "false_alarm": alarms,
                "val_hit_rate": float(passing(cascade, patches[:n_held]).mean()) if n_held else float("nan"),
            },
        )


def _faces(op: str, faces: Any) -> np.ndarray:
    """Faces as one uint8 array [n, height, width]."""
    refuse_masked(faces, f"{op}: faces")
    try:
        a = np.asarray(faces)
    except ValueError:
        raise ShapeError(f"{op}: faces must have one size") from None
    if a.dtype != np.uint8:
        raise DTypeError(f"{op}: faces has dtype {a.dtype}, expected uint8")
    if a.ndim != 3 or len(a) < 2 or min(a.shape[1:]) < 3 or a.shape[1] * a.shape[2] > 4096:
        raise ShapeError(
            f"{op}: faces has shape {a.shape}, expected (n, height, width) with n at least 2 and windows from"
            " 3 x 3 to 4096 pixels"
        )
    a = np.ascontiguousarray(a)
    return a[haar_patch_sums(a)[1] > 0]
