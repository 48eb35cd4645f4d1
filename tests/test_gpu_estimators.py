"""Trees, forests, stumps and detectors on arrays of a GPU that is not there give what the CPU gives."""

from __future__ import annotations

from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from small_cascade import small_cascade

import einkorn

boosting = pytest.importorskip("einkorn.boosting")

RNG = np.random.default_rng(5)
X = np.round(RNG.standard_normal((300, 4)), 1).astype(np.float32)
X[::7, 2] = np.nan
NUMBERS = np.nan_to_num(X[:, 0] * 2 + (X[:, 2] > 0)) + RNG.random(300) / 8
CLASSES = np.digitize(NUMBERS, [-1, 1])
WEIGHT = RNG.uniform(0.5, 2, 300)

MODELS: dict[str, tuple[Any, Any]] = {
    "decision tree, classes": (lambda: boosting.DecisionTreeClassifier(random_state=0), CLASSES),
    "decision tree, numbers": (lambda: boosting.DecisionTreeRegressor(max_depth=4, random_state=0), NUMBERS),
    "forest, classes": (
        lambda: boosting.RandomForestClassifier(
            20,
            random_state=0,
            class_weight="balanced_subsample",
            oob_score=True,
        ),
        CLASSES,
    ),
    "forest, numbers": (lambda: boosting.RandomForestRegressor(5, random_state=0, max_bins=300), NUMBERS),
    "extra trees": (lambda: boosting.ExtraTreesClassifier(4, random_state=0, max_leaf_nodes=9), CLASSES),
    "stump": (lambda: boosting.DecisionStumpClassifier(), CLASSES),
    "AdaBoost": (lambda: boosting.AdaBoostClassifier(n_estimators=5), CLASSES),
    "AdaBoost, two classes of bins": (
        lambda: boosting.AdaBoostClassifier(n_estimators=5, max_bins=16, criterion="error"),
        CLASSES > 0,
    ),
    "AdaBoost, numbers": (lambda: boosting.AdaBoostRegressor(n_estimators=3, random_state=0), NUMBERS),
}


def _same(there: Any, here: Any) -> None:
    for name, value in vars(here).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(there, name), value, err_msg=name)


@pytest.mark.parametrize(("make", "y"), MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_estimators_on_a_gpu_are_those_of_the_cpu(
    make: Any, y: Any, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same trees, scores and explanations, with every array of a launch on the device."""
    data = np.nan_to_num(X) if "Regressor" in type(make()).__name__ and hasattr(make(), "loss") else X
    weight = WEIGHT if weighted else None
    here = make().fit(data, y, sample_weight=weight)
    engine = gpu_stand_in.install(monkeypatch)
    far = [None if a is None else gpu_stand_in.GpuArray(a) for a in (data, np.asarray(y), weight)]
    there = make().fit(far[0], far[1], sample_weight=far[2])
    assert engine.launches > 0
    _same(there, here)
    if hasattr(here, "trees_"):
        _same(there.trees_, here.trees_)
        np.testing.assert_array_equal(boosting.shap_values(there, far[0]), boosting.shap_values(here, data))
    for name in ("predict", "predict_proba", "decision_function", "apply"):
        if hasattr(here, name):
            launches = engine.launches
            np.testing.assert_array_equal(getattr(there, name)(far[0]), getattr(here, name)(data))
            assert engine.launches > launches, name
    for name in ("staged_predict", "staged_decision_function"):
        if hasattr(here, name):
            got, wanted = (list(getattr(m, name)(a)) for m, a in ((there, far[0]), (here, data)))
            np.testing.assert_array_equal(got, wanted)


def test_what_is_refused_is_refused_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = boosting.RandomForestClassifier(2, random_state=0).fit(X, CLASSES)
    gpu_stand_in.install(monkeypatch)
    bad = X.copy()
    bad[5, 1] = np.inf
    with pytest.raises(einkorn.ArgumentError, match="infinity"):
        tree.predict(gpu_stand_in.GpuArray(bad))
    with pytest.raises(einkorn.ShapeError, match="3 features"):
        tree.predict(gpu_stand_in.GpuArray(X[:, :3]))
    with pytest.raises(einkorn.DeviceError, match=r"fit: y is on cuda:0; .* its get\(\)"):
        tree.fit(X, gpu_stand_in.GpuArray(CLASSES))
    other = boosting.AdaBoostClassifier(boosting.DecisionStumpClassifier(), n_estimators=2)
    with pytest.raises(einkorn.DeviceError, match=r"fit: X is on cuda:0; .* its get\(\)"):
        other.fit(gpu_stand_in.GpuArray(X), CLASSES)
    rows = einkorn.ops.presort(gpu_stand_in.GpuArray(X))
    with pytest.raises(einkorn.DeviceError, match="stump_search: weights is on cpu, expected cuda:0"):
        einkorn.ops.stump_search(rows, np.ones(300, np.float32))


def _launched(engine: Any, run: Any, *arrays: Any) -> None:
    """Equal results of arrays here and there, and a launch."""
    launches = engine.launches
    wanted = run(*arrays)
    assert engine.launches == launches
    got = run(*(gpu_stand_in.GpuArray(a) for a in arrays))
    assert engine.launches > launches
    for a, b in zip(*(v if isinstance(v, (tuple, list)) else (v,) for v in (got, wanted)), strict=True):
        np.testing.assert_array_equal(gpu_stand_in.near(a), b)


def test_histograms_and_bins_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = gpu_stand_in.install(monkeypatch)
    ops = einkorn.ops
    _launched(engine, lambda x: ops.bin_edges(x, 9, rows=np.arange(0, 300, 2)), X)
    edges = ops.bin_edges(X, 9)
    _launched(engine, lambda x: ops.bin_columns(x, edges), X)
    codes = ops.bin_columns(X, edges)
    _launched(engine, lambda c: ops.histogram(c, NUMBERS, WEIGHT, rows=np.arange(9)), codes)
    with pytest.raises(einkorn.DeviceError, match="CodeTable: codes is on cuda:0"):
        ops.CodeTable(gpu_stand_in.GpuArray(codes), np.full(4, 9))


def test_detectors_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integral images, features, and a scan, whose boxes come back."""
    vision, ops = einkorn.vision, einkorn.ops
    image = RNG.integers(0, 256, (60, 80, 3), np.uint8)
    engine = gpu_stand_in.install(monkeypatch)
    _launched(engine, vision.images.to_gray, image)
    gray = vision.images.to_gray(image)
    _launched(engine, lambda a: ops.integral_image(a, squared=True, tilted=True), gray)
    _launched(engine, lambda a: ops.resize_exact(a, 20, 33), gray)
    patches = RNG.integers(0, 256, (6, 8, 8), np.uint8)
    _launched(engine, ops.haar_patch_sums, patches)
    sums, scale = ops.haar_patch_sums(patches)
    rects = np.array([[[1, 1, 4, 4], [1, 1, 2, 4], [0, 0, 0, 0]]])
    _launched(
        engine, lambda s, c: ops.haar_features(s, c, rects, np.array([[-1.0, 2.0, 0.0]]), 8, 8), sums, scale
    )
    detector = vision.CascadeDetector(small_cascade(8))
    _launched(engine, lambda a: detector.detect(a, min_neighbors=0), image)
    assert len(detector.detect(image, min_neighbors=0)) > 5


PICTURES = RNG.integers(0, 256, (3, 3, 9, 11), np.uint8)
STEPS: dict[str, Any] = {
    "warp": lambda x: einkorn.ops.augment_warp(
        x, [[0.9, 0.1, 1], [0, 1.1, -2], [0, 0, 1]], window=[1, 1, 9, 8], scale=2.0, shift=[1.0, 2.0, 3.0]
    ),
    "color": lambda x: einkorn.ops.augment_color(x, ["brightness", "hue"], [0.7, 0.1]),
    "filter": lambda x: einkorn.ops.augment_filter(x, [0.25, 0.5, 0.25], [1.0], keep=0.5, gain=0.5),
    "noise": lambda x: einkorn.ops.augment_noise(x, np.arange(3), 9.0, seed=4),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_pictures_on_a_gpu(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _launched(gpu_stand_in.install(monkeypatch), step, PICTURES)
    _launched(gpu_stand_in.install(monkeypatch), step, PICTURES.astype(np.float32))


SCORED = {
    "gradient boosting, classes": (lambda: boosting.GradientBoostingClassifier(n_estimators=3), CLASSES),
    "gradient boosting, numbers": (lambda: boosting.GradientBoostingRegressor(n_estimators=3), NUMBERS),
    "forest, classes": (lambda: boosting.RandomForestClassifier(3, random_state=0), CLASSES),
    "decision tree, numbers": (lambda: boosting.DecisionTreeRegressor(max_depth=3), NUMBERS),
}


@pytest.mark.parametrize(("make", "y"), SCORED.values(), ids=SCORED)
def test_scores_are_of_labels_on_either_side(make: Any, y: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``fit`` takes, ``score`` takes."""
    data = np.nan_to_num(X)
    here = make().fit(data, y)
    expected = here.score(data, y, WEIGHT)
    gpu_stand_in.install(monkeypatch)
    far = gpu_stand_in.far
    there = make().fit(far(data), y)
    for target in (y, far(y)):
        for weight in (WEIGHT, far(WEIGHT)):
            assert there.score(far(data), target, weight) == expected
            assert there.score(data, target, weight) == expected
