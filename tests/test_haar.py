"""Kernels of Haar cascades against plain NumPy, on every engine and instruction set; and against OpenCV."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import pytest

import einkorn
from einkorn import engines
from einkorn.errors import ArgumentError, DTypeError, EinkornError, ShapeError
from einkorn.ops import haar

FACES = Path(os.environ.get("EINKORN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")) / "faces"

SIZES = [(1, 1), (1, 7), (5, 1), (2, 2), (15, 16), (17, 33), (66, 31), (130, 65)]


def image_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs and noise, so that windows have features of all strengths."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = sum(rng.normal() * np.sin(x * rng.normal() / 4 + y * rng.normal() / 4) for _ in range(6))
    return np.clip(128 + 30 * waves + rng.normal(0, 8, (height, width)), 0, 255).astype(np.uint8)


def random_cascade(seed: int = 0, trees: bool = False, tilted: bool = False) -> haar.HaarCascade:
    """Stages of random features whose thresholds let about half of the windows pass."""
    rng = np.random.default_rng(seed)
    height, width, n_features = 12, 10, 24
    rects = np.zeros((n_features, 3, 4), np.int32)
    weights = np.zeros((n_features, 3), np.float32)
    turned = np.zeros(n_features, np.uint8)
    for f in range(n_features):
        w, h = rng.integers(1, 4), rng.integers(1, 4)
        if tilted and f % 2:
            turned[f] = 1
            w, h = rng.integers(1, 3, 2)
            x, y = rng.integers(2 * h, width - 2 * w + 1), rng.integers(0, height - 2 * (w + h) + 1)
            rects[f, :2] = (x, y, w, 2 * h), (x, y, w, h)
        else:
            x, y = rng.integers(0, width - 3 * w + 1), rng.integers(0, height - 3 * h + 1)
            rects[f, :2] = (x, y, 3 * w, 3 * h), (x, y, w, 3 * h)
            if f % 3 == 0:
                rects[f, 2] = (x + w, y + h, w, h)
        weights[f] = (-1, 3, 0.7 if rects[f, 2].any() else 0)
    shapes = [(1, 2, 2), (1, 0, 0)] if trees else [(0, 0, 0)]
    stages = [2, 3, 7, 5]
    n_trees = sum(stages)
    left, right = [], []
    for _ in range(n_trees):
        left += [s[0] for s in shapes] if not trees else [1, 0, 0]
        right += [s[1] for s in shapes] if not trees else [2, 0, 0]
    nodes = len(left)
    leaves = (rng.choice([-1, 1], nodes) * rng.uniform(0.3, 1, nodes)).astype(np.float32)
    return haar.HaarCascade(
        height=height,
        width=width,
        rects=rects,
        weights=weights,
        tilted=turned,
        feature=rng.integers(0, n_features, nodes),
        threshold=rng.normal(0, 0.02, nodes).astype(np.float32),
        left=np.array(left),
        right=np.array(right),
        left_value=np.where(np.array(left) == 0, leaves, 0),
        right_value=np.where(np.array(right) == 0, -leaves, 0),
        tree_nodes=np.arange(n_trees + 1) * (nodes // n_trees),
        stage_trees=np.cumsum([0, *stages]),
        stage_threshold=np.array([-0.9, -1.2, -2.0, -1.5], np.float32),
    )


def sum_of(pixels: np.ndarray, rect: np.ndarray, tilted: bool) -> int:
    """Pixels under a rectangle, one by one."""
    x, y, w, h = map(int, rect)
    if not tilted:
        return int(pixels[y : y + h, x : x + w].sum())
    v, u = np.mgrid[: pixels.shape[0], : pixels.shape[1]]

    def cone(x: int, y: int) -> np.ndarray:
        return (np.abs(u - x + 1) < y - v).astype(int)

    covered = cone(x, y) - cone(x - h, y + h) - cone(x + w, y + w) + cone(x + w - h, y + w + h)
    assert set(np.unique(covered)) <= {0, 1}
    assert covered.sum() == 2 * w * h
    return int((covered * pixels).sum())


def scan_slowly(image: np.ndarray, cascade: haar.HaarCascade, levels: list, scales: list) -> list:
    """The contract of cascade_scan, word by word."""
    boxes = []
    area = (cascade.height - 2) * (cascade.width - 2)
    for (height, width, step, limit), scale in zip(levels, scales, strict=True):
        resized = haar.resize_exact(image, height, width).astype(np.int64)
        for y in range(0, min(height - cascade.height + 1, limit), step):
            skip = False
            for x in range(0, width - cascade.width + 1, step):
                if skip:
                    skip = False
                    continue
                window = resized[y : y + cascade.height, x : x + cascade.width]
                inner = window[1:-1, 1:-1]
                variance = float(area * (inner**2).sum() - inner.sum() ** 2)
                norm = np.float32(1 / np.sqrt(variance)) if variance > 0 else np.float32(0)
                if norm == 0 or area * float(norm) >= 0.1:
                    continue
                passed = 0
                for s in range(cascade.n_stages):
                    total = 0.0
                    for t in range(cascade.stage_trees[s], cascade.stage_trees[s + 1]):
                        at = 0
                        while True:
                            n = cascade.tree_nodes[t] + at
                            f = cascade.feature[n]
                            value = np.float32(0)
                            for r in range(3):
                                part = np.float32(
                                    sum_of(window, cascade.rects[f, r], bool(cascade.tilted[f]))
                                )
                                value = value + cascade.weights[f, r] * part
                            below = value * norm < cascade.threshold[n]
                            leaf = cascade.left_value[n] if below else cascade.right_value[n]
                            at = cascade.left[n] if below else cascade.right[n]
                            if at == 0:
                                break
                        total += float(leaf)
                    if total < cascade.stage_threshold[s] - np.float32(1e-5):
                        break
                    passed += 1
                skip = passed == 0
                if passed == cascade.n_stages:
                    box = np.array([x, y, cascade.width, cascade.height], np.float32) * np.float32(scale)
                    boxes.append(np.rint(box).astype(int).tolist())
    return boxes


@pytest.mark.parametrize("shape", SIZES)
def test_integral_images(backend: str, shape: tuple[int, int]) -> None:
    image = image_of(*shape)
    sums, squares, tilted = haar.integral_image(image, squared=True, tilted=True)
    padded = np.pad(image.astype(np.int64), ((1, 0), (1, 0)))
    np.testing.assert_array_equal(sums, padded.cumsum(0).cumsum(1))
    np.testing.assert_array_equal(squares, (padded**2).cumsum(0).cumsum(1))
    v, u = np.mgrid[: shape[0], : shape[1]]
    for y in range(0, shape[0] + 1, max(shape[0] // 5, 1)):
        for x in range(0, shape[1] + 1, max(shape[1] // 5, 1)):
            cone = (v < y) & (np.abs(u - x + 1) < y - v)
            assert tilted[y, x] == image[cone].sum()
    np.testing.assert_array_equal(haar.integral_image(image), sums)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_integral_image_of_nothing(backend: str, shape: tuple[int, int]) -> None:
    for table in haar.integral_image(np.zeros(shape, np.uint8), squared=True, tilted=True):
        assert table.shape == (shape[0] + 1, shape[1] + 1)
        assert not table.any()


def test_integral_image_of_views(backend: str) -> None:
    image = image_of(40, 30)
    for view in (image[::2, ::3], image[::-1], image.T):
        np.testing.assert_array_equal(haar.integral_image(view), haar.integral_image(view.copy()))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.1, 1.93, 2.0, 3.3, 9.0])
def test_resize(backend: str, shape: tuple[int, int], factor: float) -> None:
    image = image_of(*shape)
    size = [max(1, round(n / factor)) for n in shape]
    rows, columns = (
        np.array([_taps(i, n, m) for i in range(m)]) for n, m in zip(shape, size, strict=True)
    )  # [out, in]
    exact = rows @ image.astype(np.int64) @ columns.T
    np.testing.assert_array_equal(haar.resize_exact(image, *size), (exact + 0x8000) >> 16)


def _taps(i: int, n: int, m: int) -> np.ndarray:
    """Weights, in 256ths, of n pixels for output i of m."""
    row = np.zeros(n, np.int64)
    at = 1.0 / (m / n) * (i + 0.5) - 0.5
    low = int(np.floor(at))
    weight = int(np.rint((at - low) * 256)) if 0 <= low < n - 1 else 0
    low = min(max(low, 0), n - 1)
    row[low] = 256 - weight
    if weight:
        row[low + 1] = weight
    return row


SLOWLY: dict[str, list] = {}


@pytest.mark.parametrize("kind", ["stumps", "trees", "tilted"])
def test_scan(backend: str, kind: str) -> None:
    """Two and one pixels apart, several stripes, a level smaller than the window."""
    cascade = random_cascade(3, trees=kind == "trees", tilted=kind == "tilted")
    image = image_of(60, 47)
    levels = [(60, 47, 2, 60), (41, 32, 2, 29), (28, 23, 1, 60), (12, 10, 1, 60), (9, 8, 1, 9), (12, 4, 1, 9)]
    scales = [1.0, 1.4641, 2.1436, 5.0, 6.0, 7.0]
    if kind not in SLOWLY:
        SLOWLY[kind] = scan_slowly(image, cascade, levels, scales)
    expected = SLOWLY[kind]
    assert len(expected) > 20
    einkorn.set_num_threads(1)
    found = haar.cascade_scan(image, cascade, levels, scales)
    assert found.tolist() == expected
    einkorn.set_num_threads(2)
    np.testing.assert_array_equal(haar.cascade_scan(np.asfortranarray(image), cascade, levels, scales), found)


def test_scan_of_a_large_image(engine: str) -> None:
    """Many stripes; and more windows than there is room for at first."""
    cascade = random_cascade(5)
    image = image_of(700, 900)
    levels, scales = [(700, 900, 2, 700), (350, 450, 1, 350)], [1.0, 2.0]
    if engine == "native":
        found = []
        for isa in importlib.import_module("einkorn.engines.native").isas():
            einkorn.set_isa(isa)
            found.append(haar.cascade_scan(image, cascade, levels, scales))
            np.testing.assert_array_equal(found[-1], found[0])
        assert len(found[0]) > 4096
        part = haar.cascade_scan(image, cascade, [(700, 900, 2, 500)], [1.0])
        whole = found[0]
        below = whole[(whole[:, 2] == cascade.width) & (whole[:, 1] < 500)]
        np.testing.assert_array_equal(part, below)
    else:
        found = haar.cascade_scan(image, cascade, levels, scales)
        assert len(found) > 4096
        if "native" in engines.available():
            einkorn.set_engine("native")
            np.testing.assert_array_equal(haar.cascade_scan(image, cascade, levels, scales), found)


def test_scan_of_nothing(backend: str) -> None:
    cascade = random_cascade()
    none = haar.cascade_scan(image_of(5, 5), cascade, np.zeros((0, 4), int), [])
    assert none.shape == (0, 4)
    assert haar.cascade_scan(image_of(5, 5), cascade, [(5, 5, 1, 5)], [1.0]).shape == (0, 4)
    assert haar.cascade_scan(np.full((50, 50), 77, np.uint8), cascade, [(50, 50, 1, 50)], [1.0]).size == 0


def test_features(backend: str) -> None:
    """Every value of several features and patches, flat ones included."""
    cascade = random_cascade(1)
    for n in (0, 1, 15, 16, 17, 70):
        patches = np.array([image_of(12, 10, seed) for seed in range(n)], np.uint8).reshape(n, 12, 10)
        if n > 3:
            patches[3] = 200
        sums, scale = haar.haar_patch_sums(patches)
        values = haar.haar_features(sums, scale, cascade.rects, cascade.weights, 12, 10)
        assert values.shape == (len(cascade.rects), n)
        for i in range(n):
            np.testing.assert_array_equal(sums[:, i].reshape(13, 11), haar.integral_image(patches[i]))
            inner = patches[i, 1:-1, 1:-1].astype(np.int64)
            deviation = inner.std()
            expected = 1 / (inner.size * deviation) if deviation > 10 else 0
            np.testing.assert_allclose(scale[i], expected, rtol=1e-6)
            for f in range(len(cascade.rects)):
                parts = [np.float32(sum_of(patches[i], r, False)) for r in cascade.rects[f]]
                value = np.float32(cascade.weights[f, 0] * parts[0] + cascade.weights[f, 1] * parts[1])
                value = np.float32(value + cascade.weights[f, 2] * parts[2])
                assert values[f, i] == np.float32(value * scale[i])


def boxes_of(n: int, seed: int, spread: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = rng.integers(0, spread, (max(n // 8, 1), 2))
    at = centers[rng.integers(0, len(centers), n)] + rng.integers(-6, 7, (n, 2))
    size = rng.integers(20, 60, (n, 1))
    return np.concatenate([at, size, size + rng.integers(-3, 4, (n, 1))], axis=1).astype(np.int32)


@pytest.mark.parametrize("n", [1, 2, 9, 60, 400])
@pytest.mark.parametrize(("least", "eps"), [(1, 0.2), (3, 0.2), (2, 0.0), (1, 1.5)])
def test_grouping_is_that_of_opencv(backend: str, n: int, least: int, eps: float) -> None:
    cv2 = pytest.importorskip("cv2")
    for seed in range(4):
        boxes = boxes_of(n, seed)
        found, neighbors = haar.group_rectangles(boxes, least, eps)
        expected, weights = cv2.groupRectangles(boxes.tolist(), least, eps)
        np.testing.assert_array_equal(found, np.array(expected, int).reshape(-1, 4))
        np.testing.assert_array_equal(neighbors, np.array(weights, int).reshape(-1))


def test_grouping_by_hand(backend: str) -> None:
    boxes = [[10, 10, 20, 20], [12, 10, 20, 20], [11, 12, 20, 22], [90, 90, 20, 20]]
    found, neighbors = haar.group_rectangles(boxes, 2)
    assert found.tolist() == [[11, 11, 20, 21]]
    assert neighbors.tolist() == [3]
    everything, ones = haar.group_rectangles(boxes, 0)
    assert everything.tolist() == boxes
    assert ones.tolist() == [1] * 4
    for nothing in ([], np.zeros((0, 4), int)):
        assert haar.group_rectangles(nothing)[0].shape == (0, 4)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (37, 41), (480, 640)])
def test_integral_and_resize_are_those_of_opencv(backend: str, shape: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    if 0 in shape:
        return
    image = image_of(*shape)
    for ours, theirs in zip(haar.integral_image(image, True, True), cv2.integral3(image), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for factor in (1.1, 1.7, 2.5):
        height, width = (max(1, round(n / factor)) for n in shape)
        theirs = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        np.testing.assert_array_equal(haar.resize_exact(image, height, width), theirs)


IMAGE = np.zeros((20, 20), np.uint8)
REFUSED = [
    (lambda: haar.integral_image(IMAGE.astype(np.float32)), DTypeError, "image has dtype float32"),
    (lambda: haar.integral_image([[1, 2]]), DTypeError, "image is a list"),
    (lambda: haar.integral_image(IMAGE[0]), ShapeError, "image has shape"),
    (lambda: haar.integral_image(np.broadcast_to(IMAGE[:1, :1], (3000, 3000))), ShapeError, "31 bits"),
    (lambda: haar.resize_exact(IMAGE, -1, 5), ArgumentError, "height is -1"),
    (lambda: haar.resize_exact(IMAGE, 2.5, 5), ArgumentError, "height is 2.5"),
    (lambda: haar.resize_exact(IMAGE[:0], 5, 5), ShapeError, "at least one pixel"),
    (lambda: haar.cascade_scan(IMAGE, None, [], []), ArgumentError, "cascade is a NoneType"),
    (lambda: haar.cascade_scan(IMAGE, random_cascade(), [(21, 20, 1, 9)], [1]), ArgumentError, "at most"),
    (lambda: haar.cascade_scan(IMAGE, random_cascade(), [(20, 20, 3, 9)], [1]), ArgumentError, "steps"),
    (lambda: haar.cascade_scan(IMAGE, random_cascade(), [(20, 20, 1, 9)], [np.nan]), ArgumentError, "scales"),
    (lambda: haar.cascade_scan(IMAGE, random_cascade(), [(20, 20, 1)], [1]), ShapeError, "levels has shape"),
    (lambda: haar.haar_patch_sums(np.zeros((4, 2, 9), np.uint8)), ShapeError, "at least 3 x 3"),
    (lambda: haar.group_rectangles([[1, 2, 3]]), ShapeError, "boxes has shape"),
    (lambda: haar.group_rectangles([[1.5, 2, 3, 4]]), DTypeError, "whole numbers"),
    (lambda: haar.group_rectangles([[1, 2, 3, 4]], -1), ArgumentError, "min_neighbors is -1"),
    (lambda: haar.group_rectangles([[1, 2, 3, 4]], 1, np.inf), ArgumentError, "eps"),
    (lambda: haar.group_rectangles([[1 << 40, 2, 3, 4]], 1), ArgumentError, "outside"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refused(call: object, error: type[EinkornError], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": 99}, "feature has numbers outside"),
        ({"feature": -1}, "feature has numbers outside"),
        ({"left": 1}, "left has children"),
        ({"right": -3}, "right has children"),
        ({"threshold": np.nan}, "not finite"),
        ({"stage_trees": 0}, "stage_trees must grow"),
        ({"tree_nodes": 7}, "tree_nodes must grow"),
        ({"rects": 13}, "outside of the window"),
        ({"rects": -1}, "outside of the window"),
    ],
)
def test_bad_cascades_are_refused(changes: dict[str, float], message: str) -> None:
    """Also by the native kernel itself, which must not trust whoever calls it."""
    cascade = random_cascade()
    (name, value), *_ = changes.items()
    bad = np.array(getattr(cascade, name))
    bad.reshape(-1)[-1 if name == "tree_nodes" else 3] = value
    fields = {field: getattr(cascade, field) for field in cascade.__dataclass_fields__}
    with pytest.raises(ArgumentError, match=message):
        haar.HaarCascade(**{**fields, name: bad})
    if "native" not in engines.available() or name == "threshold":
        return
    arrays = [bad if getattr(cascade, name) is a else a for a in cascade.arrays()]
    native = importlib.import_module("einkorn.engines.native")
    levels, scales = np.array([(20, 20, 1, 20)], np.int32), np.ones(1, np.float32)
    with pytest.raises(ValueError, match=r"out of range|window|grow|cover|parent"):
        native.cascade_scan(
            np.empty((9, 4), np.int32), np.zeros(1, np.int64), IMAGE, levels, scales, *arrays, 12, 10
        )
