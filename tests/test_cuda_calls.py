"""CUDA kernels of families without shared cases: calls of estimators, cascades and augmentation.

Each is made on the native engine and, with the same arguments, on the host device.
"""

from __future__ import annotations

import collections
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.ops import stump

if importlib.util.find_spec("einkorn._cuda_host") is None:
    pytest.skip("host device: not built (EINKORN_CUDA_HOST=ON)", allow_module_level=True)

import cuda_host

from einkorn import _cuda_host, boosting, vision

CALLS = 4  # of a kernel, for each set of types of its arrays
SUMS_OF_FLOATS = ("boost_loss", "word2vec_train", "glove_train")  # kept as doubles


class Both:
    """The native engine, each of whose calls is made on the host device too, with the same arguments."""

    def __init__(self, native: Any) -> None:
        self.native = native
        self.device = cuda_host.Engine(native)
        self.compared: collections.Counter[tuple[str, ...]] = collections.Counter()

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(self.native, name)
        if name not in _cuda_host.kernels():
            return kernel

        def call(*args: Any) -> Any:
            key = (name, *(a.dtype.name for a in args if isinstance(a, np.ndarray)))
            if self.compared[key] >= CALLS:
                return kernel(*args)
            self.compared[key] += 1
            others = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            result = kernel(*args)
            assert getattr(self.device, name)(*others) == result, name
            for i, (a, b) in enumerate(zip(args, others, strict=True)):
                if isinstance(a, np.ndarray):
                    _assert_close(name, i, a, b)
            return result

        return call


def _assert_close(name: str, argument: int, a: np.ndarray, b: np.ndarray) -> None:
    where = f"{name}, argument {argument}"
    if a.dtype.kind == "f":
        kept_as = np.float32 if name in SUMS_OF_FLOATS else a.dtype
        tolerance = 64 * np.finfo(kept_as).eps
        size = np.abs(a[np.isfinite(a)]).max(initial=0)
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * size, err_msg=where)
    elif name.startswith("augment_"):  # floats that were rounded to bytes, a few of them the other way
        apart = np.abs(a.astype(int) - b.astype(int))
        assert apart.max(initial=0) <= 1, where
        assert np.count_nonzero(apart) <= apart.size / 100, where
    else:
        np.testing.assert_array_equal(b, a, err_msg=where)


def _boost() -> None:
    rng = np.random.default_rng(0)
    x = np.round(rng.standard_normal((300, 4)), 1)
    x[::7, 1] = np.nan
    x[:, 2] = rng.integers(0, 6, 300)
    y = np.abs(x[:, 0] + (x[:, 2] == 3)) + 0.1
    weight = rng.uniform(0.5, 2, 300)
    for loss in ("squared_error", "absolute_error", "huber", "quantile", "poisson"):
        model = boosting.GradientBoostingRegressor(
            loss=loss, n_estimators=2, max_leaf_nodes=5, categorical_features=[2], max_bins=20
        )
        model.fit(x, y, sample_weight=weight)
        model.predict(x[:90])
        boosting.explain.shap_values(model, x[:70])
    # By depth with signs and groups; drawn features and rows, hessians far apart; 16-bit codes.
    fewer: dict[str, Any] = {"n_estimators": 1, "max_leaf_nodes": 6, "random_state": 0}
    for options in (
        {"growth": "depth", "monotonic_cst": [1, 0, 0, -1], "interaction_cst": [[0, 1], [2, 3]]},
        {"max_features": 2, "colsample_bytree": 0.8, "subsample": 0.6},
        {"max_bins": 1000, "categorical_features": [2]},
    ):
        spread = weight * np.where(np.arange(300) % 9, 1, 1e-9)
        boosting.GradientBoostingRegressor(**fewer, **options).fit(x, y, sample_weight=spread)
    for classes in (2, 3):
        model = boosting.GradientBoostingClassifier(n_estimators=2, max_leaf_nodes=70, min_samples_leaf=2)
        model.fit(x.astype(np.float32), np.digitize(y, np.linspace(0, 2, classes + 1)[1:-1]))
        model.predict_proba(x[:70].astype(np.float32))


def _index_ranges() -> None:
    k = einkorn.engines.cpu()
    rng = np.random.default_rng(4)
    for size, low, high, ignore in ((1, 0, 4, -100), (700, 0, 9, 9), (5000, -9, 9, 0), (3000, 0, 12, 0)):
        index = rng.integers(low, 12, size)
        index[size // 2 :: 7] = -100
        out, position = np.empty(size, np.int64), np.full(1, -1)
        k.clamp_indices(out, position, index, low, high, ignore)
        bad = ((index < low) | (index >= high)) & (index != ignore)
        np.testing.assert_array_equal(out, np.where(bad, np.clip(index, low, high - 1), index))
        assert position[0] == (np.flatnonzero(bad)[0] if bad.any() else -1)
        assert position[0] == k.first_out_of_range(index, low, high, ignore)


def _histograms() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 300, (2, 70_000)).astype(np.uint16)
    gradients, hessians = rng.standard_normal((2, 70_000))
    rows = np.sort(rng.choice(70_000, 500, replace=False))
    whole = einkorn.ops.histogram(codes[:, :66_000].copy(), gradients[:66_000], bins=299)
    part = einkorn.ops.histogram((codes % 7).astype(np.uint8), gradients, hessians, rows=rows, bins=8)
    einkorn.ops.histogram_subtract(whole, whole)
    assert part.shape == (2, 8, 3)


def _stumps() -> None:
    """Many ties, missing values, a column of them alone, more pieces than one, and two classes or more."""
    rng = np.random.default_rng(4)
    x = np.round(4 * rng.standard_normal((300, 4))) / 4
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = np.nan
    weights = (rng.integers(1, 200, 300) / 256).astype(np.float32)
    ops = einkorn.ops
    sorted_rows = ops.presort(x), ops.presort(x.astype(np.float32)[:, ::-1]), ops.presort(x[:0])
    codes = rng.integers(0, 9, (3, 300))
    codes[0, ::9] = 255
    edges = [np.arange(8.0)] * 3
    binned = [stump.BinnedRows(codes.astype(kind), edges, 255) for kind in (np.uint8, np.uint16)]
    for classes in (2, 3):
        y = rng.integers(0, classes, 300).astype(np.int32)
        signed = np.where(y == 0, -weights, weights) if classes == 2 else weights
        for criterion in stump.STUMP_CRITERIA:
            for rows in (sorted_rows[0], *binned):
                ops.stump_search(
                    rows, signed, None if classes == 2 else y, classes=classes, criterion=criterion
                )
        split = ops.stump_search(sorted_rows[1], signed, None if classes == 2 else y, classes=classes)
        column = {
            "x": x[:, ::-1][:, split.feature],
            "threshold": split.threshold,
            "missing_left": split.missing_left,
        }
        for options in ({}, {"source": 40, "source_factor": 0.5}, {"error_floor": 0.01}):
            kept, given = weights.astype(np.float64), signed.copy()
            ops.adaboost_update(kept, given, y, **column, right=1, classes=classes, **options)
        ops.adaboost_update(weights.astype(np.float64), signed.copy(), y, predicted=y, classes=classes)


def _forests() -> None:
    """Every criterion, depth first and best first, drawn thresholds, few rows and many, wide codes."""
    rng = np.random.default_rng(5)
    x = np.round(3 * rng.standard_normal((270, 4))) / 3
    x[rng.random(x.shape) < 0.05] = np.nan
    x[:, 3] = rng.integers(0, 2, 270)
    y = np.nan_to_num(x[:, 0]) + (np.nan_to_num(x[:, 1]) > 0) + rng.random(270)
    labels = np.digitize(y, [0.3, 1.2])
    weight = rng.uniform(0.5, 2, 270)
    few = {"n_estimators": 1, "random_state": 0, "max_depth": 3}
    for model, target, weights in (
        (boosting.RandomForestClassifier(**few), labels, None),
        (boosting.RandomForestClassifier(criterion="entropy", max_leaf_nodes=6, **few), labels > 0, weight),
        (boosting.ExtraTreesClassifier(class_weight="balanced", **few), labels, None),
        (boosting.RandomForestRegressor(max_features=2, min_samples_leaf=3, **few), y, weight),
        (boosting.RandomForestRegressor(criterion="poisson", **few), np.abs(y), None),
        (boosting.ExtraTreesRegressor(max_leaf_nodes=5, **few), y, None),
        (boosting.RandomForestRegressor(max_bins=1000, n_estimators=2, max_depth=1), y, None),
    ):
        model.fit(x, target, sample_weight=weights)


def _see() -> None:
    rng = np.random.default_rng(2)
    colors = rng.integers(0, 256, (60, 71, 3), np.uint8)
    image = vision.images.to_gray(colors)
    einkorn.ops.integral_image(image, squared=True, tilted=True)
    einkorn.ops.integral_image(image[:3, :1].copy(), tilted=True)
    einkorn.ops.resize_exact(image, 33, 95)
    patches = rng.integers(0, 256, (70, 9, 8), np.uint8)
    patches[3] = 7  # flat
    sums, scale = einkorn.ops.haar_patch_sums(patches)
    rects = np.array([[[0, 0, 8, 4], [0, 0, 4, 4], [0, 0, 0, 0]], [[0, 0, 8, 9], [2, 0, 2, 9], [4, 4, 2, 2]]])
    weights = np.array([[-1.0, 2.0, 0.0], [-1.0, 3.0, 0.5]])
    einkorn.ops.haar_features(sums, scale, rects, weights, 9, 8)
    cascade = einkorn.ops.HaarCascade(
        height=9,
        width=8,
        rects=[*rects, [[4, 1, 3, 3], [4, 1, 1, 3], [0, 0, 0, 0]]],
        weights=[*weights, [-1.0, 3.0, 0.0]],
        tilted=[0, 0, 1],
        feature=[0, 2, 1, 2],
        threshold=[0.0, 0.01, 0.0, -0.01],
        left=[1, 0, 0, 0],
        right=[0, 0, 0, 0],
        left_value=[0.0, 0.4, 0.3, 0.0],
        right_value=[0.5, 0.2, 0.6, 0.9],
        tree_nodes=[0, 2, 3, 4],
        stage_trees=[0, 2, 3],
        stage_threshold=[0.6, 0.3],
    )
    detector = vision.CascadeDetector(cascade)
    boxes = detector.detect(colors, min_neighbors=0, scale_factor=1.4)
    assert len(boxes) > 20
    einkorn.ops.group_rectangles(boxes, min_neighbors=1)


def _augment() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (3, 3, 17, 19), np.uint8)
    floats = rng.random((2, 4, 9, 11), np.float32)
    shift = np.array([[1.0, 0, 3], [0, 1, -2], [0, 0, 1]])
    zoom = np.array([[1.7, 0, 0.2], [0, -0.6, 12.3], [0, 0, 1]])
    turn = np.array([[0.8, 0.5, -1], [-0.4, 0.9, 2], [0.002, 0.01, 1]])
    ops = einkorn.ops
    for border in ("constant", "reflect"):
        for matrix, mode in ((shift, "bilinear"), (zoom, "bilinear"), (turn, "bilinear"), (turn, "nearest")):
            ops.augment_warp(x, matrix, size=(12, 14), mode=mode, border=border, fill=[3.0, 7.0, 250.0])
            ops.augment_warp(floats, matrix, mode=mode, border=border, fill=0.5, scale=2.0, shift=-1.0)
    ops.augment_warp(x, zoom, border="nearest", antialias=True, window=[2, 1, 15, 16])
    ops.augment_warp(floats, shift, field=rng.standard_normal((2, 2, 9, 11)), border="wrap")
    # brightness, contrast, saturation, hue, posterize, solarize, invert, autocontrast, equalize, grayscale
    kinds = range(1, 11)
    values = [1.3, 0.6, 1.8, 0.2, 3, 128, 0, 0, 0, 0]
    for image, limit in ((x, 255.0), (floats, 1.0)):
        of_type = [v if limit > 1 or v < 100 else 0.5 for v in values]
        for kind, value in zip(kinds, of_type, strict=True):
            ops.augment_color(image, [[kind]] * len(image), [[value]] * len(image))
    last, some = np.ascontiguousarray(floats.transpose(0, 2, 3, 1)), np.array([True, False])
    ops.augment_color(last, [[12, 13]] * 2, [[0.2, 0.5]] * 2, channels_last=True)
    ops.augment_color(x, [[14, 12]] * len(x), [[3, 0.5]] * len(x))
    ops.augment_mirror(last, some, ~some, channels_last=True)
    ops.augment_mirror(x, True, np.arange(len(x)) % 2 == 0)
    ops.augment_erase(floats, [[1, 2, 5, 4], [0, 0, 0, 0]], [0.5] * floats.shape[1])
    ops.augment_erase(x, [1, 2, 5, 4], filler=x[::-1].copy())
    ops.augment_color(floats, [[11, 2]] * 2, [[0.2, 0.5]] * 2, scale=3.0, shift=1.0)
    taps = np.array([[0.2, 0.5, 0.3]] * 3)
    ops.augment_filter(x, taps, taps[:, ::-1].copy(), keep=0.5, gain=0.4)
    ops.augment_filter(floats, taps[:2], np.array([[0.1, 0.2, 0.4, 0.2, 0.1]] * 2), edges=True)
    for kind in ("normal", "uniform", "salt_and_pepper"):
        ops.augment_noise(x, [5, 2, 9], [20.0, 3.0, 0.5], kind=kind, seed=3)
        ops.augment_noise(floats, [5, 2], [0.3, 0.2], kind=kind, seed=3, limit=1.0)


def _embed() -> None:
    """Every kind of target and input, words left out, long rows, stretches that share nothing."""
    rng = np.random.default_rng(6)
    words, ops = 9, einkorn.ops
    starts = np.array([0, 25, 26, 26, 61], np.int64)
    tokens = rng.integers(0, words, 61).astype(np.int32)
    sampler, paths = ops.alias_table(np.arange(1, words + 1)), ops.huffman_paths(np.arange(1, words + 1))
    beside = paths[0], paths[1] + np.int32(words), paths[2]
    counts = rng.integers(1, 4, words)
    part_starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    parts = part_starts, rng.integers(0, 12, part_starts[-1]).astype(np.int32)
    keep = np.linspace(0.5, 1, words, dtype=np.float32)
    own = np.arange(words + 1), np.arange(words, dtype=np.int32), np.zeros(words, np.uint8)
    apart = np.concatenate((rng.integers(0, 4, 26), rng.integers(4, words, 35))).astype(np.int32)
    for width, options in (
        (19, {"sampler": sampler, "keep": keep, "rate": (0.1, 0.02), "first": 77, "seed": 5}),
        (140, {"sampler": sampler, "cbow": True, "negatives": 40, "window": 2}),
        (33, {"sampler": sampler, "paths": beside, "parts": parts, "cbow": True, "mean": False}),
        (8, {"paths": paths, "parts": parts}),
        (5, {}),
        (7, {"cbow": True, "parts": parts, "keep": keep}),
        (1, {"sampler": sampler, "negatives": 0}),
        (12, {"paths": own, "stretches": 2, "tokens": apart}),
    ):
        given = {"tokens": tokens} | options
        vectors, outputs = (rng.standard_normal((rows, width)).astype(np.float32) for rows in (12, 20))
        ops.word2vec_train(vectors, outputs, starts=starts, words=words, **given)
    for width, stretches in ((150, 1), (19, 1), (0, 1), (40, 6)):
        row, column = (
            rng.integers(0, words, (2, 41)) if stretches == 1 else np.arange(12).reshape(2, 6)
        ).astype(np.int32)
        table = rng.standard_normal((2, 12, width + 1)).astype(np.float32) / 4
        count = rng.uniform(0.5, 200, len(row)).astype(np.float32)
        order = rng.permutation(len(row))
        ops.glove_train(table, np.ones_like(table), row, column, count, order, stretches=stretches)


def _search_prefixes() -> None:
    """More candidates than threads, fewer than beams, equal ones, infinities, no frames, a model of pairs."""
    rng = np.random.default_rng(7)
    ops = einkorn.ops
    for dtype in (np.float32, np.float64):
        scores = ops.log_softmax(2 * rng.standard_normal((9, 3, 30)).astype(dtype), 2)
        ops.ctc_beam_search_decode(scores, (9, 0, 4), beam_width=40, top_paths=5, blank=7)
        few = np.asarray(ops.log_softmax(rng.standard_normal((6, 2, 3)).astype(dtype), 2))
        few[2, 0, 1], few[3, 1] = -np.inf, np.nan
        pairs = rng.standard_normal((3, 3)).astype(dtype)
        ops.ctc_beam_search_decode(few, beam_width=300, top_paths=300, language=pairs)
        ops.ctc_beam_search_decode(np.zeros((4, 5), dtype), beam_width=6, top_paths=6, blank=2)


RUNS: dict[str, tuple[Callable[[], None], set[str]]] = {
    "boosting": (
        _boost,
        {
            "boost_loss",
            "leaf_quantile",
            "bin_edges",
            "bin_columns",
            "code_rows",
            "tree_grow",
            "tree_predict",
            "tree_shap",
        },
    ),
    "augmentation": (
        _augment,
        {
            "augment_warp",
            "augment_color",
            "augment_filter",
            "augment_noise",
            "augment_mirror",
            "augment_erase",
        },
    ),
    "index ranges": (_index_ranges, {"clamp_indices", "first_out_of_range"}),
    "embeddings": (_embed, {"word2vec_train", "glove_train"}),
    "prefixes": (_search_prefixes, {"ctc_beam"}),
    "stumps": (_stumps, {"presort", "stump_search", "stump_search_binned", "adaboost_update"}),
    "forests": (_forests, {"bootstrap_counts", "grow_forest"}),
    "histograms": (_histograms, {"histogram", "histogram_subtract"}),
    "vision": (
        _see,
        {
            "rgb_to_gray",
            "integral_image",
            "resize_exact",
            "haar_patch_sums",
            "haar_features",
            "cascade_scan",
            "group_rectangles",
        },
    ),
}


@pytest.mark.parametrize(("run", "expected"), RUNS.values(), ids=RUNS.keys())
def test_calls_give_what_the_cpu_gives(
    run: Callable[[], None], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = importlib.import_module("einkorn.engines")
    both = Both(engines.cpu())
    monkeypatch.setattr(engines, "_cpu", both)
    run()
    assert expected <= {key[0] for key in both.compared}
