"""Training cascades: a pattern that is easy to see, interruptions, faces where data are present."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_haar import FACES, image_of

import einkorn
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.vision import CascadeDetector
from einkorn.vision.cascade_train import feature_pool


def patterns(n: int, seed: int) -> np.ndarray:
    """A dark band over a bright one, with noise and changing contrast."""
    rng = np.random.default_rng(seed)
    patches = rng.normal(0, 18, (n, 12, 12)) + rng.uniform(90, 160, (n, 1, 1))
    contrast = rng.uniform(25, 60, (n, 1, 1))
    patches[:, 3:6, 2:10] -= contrast
    patches[:, 6:9, 2:10] += contrast
    return np.clip(patches, 0, 255).astype(np.uint8)


def clutter(n: int, seed: int) -> np.ndarray:
    """Noise, bands upside down and edges."""
    rng = np.random.default_rng(seed)
    upside_down = patterns(n // 3, seed + 100)[:, ::-1]
    noise = rng.integers(0, 256, (n - 2 * len(upside_down), 12, 12)).astype(np.uint8)
    turned = patterns(len(upside_down), seed + 200).transpose(0, 2, 1)
    return np.concatenate([upside_down, noise, turned])


def scene(seed: int, places: list[tuple[int, int, int]]) -> np.ndarray:
    """Waves and noise with enlarged patterns at (x, y, factor)."""
    image = image_of(150, 170, seed)
    for i, (x, y, factor) in enumerate(places):
        patch = patterns(1, 500 + i)[0].repeat(factor, 0).repeat(factor, 1)
        image[y : y + len(patch), x : x + len(patch)] = patch
    return image


OPTIONS = {"stages": 4, "n_features": 1500, "progress": False, "max_stumps": 20}


def test_pool() -> None:
    """162,336 upright features fit into 24 x 24; each cancels out over an even area."""
    rects, weights = feature_pool(24, 24)
    assert len(rects) == 162336
    areas = rects[:, :, 2].astype(int) * rects[:, :, 3]
    assert (areas * weights).sum(axis=1).any() == 0
    assert len(np.unique(np.concatenate([rects.reshape(len(rects), 12), weights], axis=1), axis=0)) == len(
        rects
    )
    assert (rects[:, :, :2] + rects[:, :, 2:]).max() == 24


def test_a_pattern_is_learned_and_found(tmp_path: Path) -> None:
    detector = CascadeDetector()
    backgrounds = [*clutter(240, 0), *(image_of(90, 100, seed) for seed in range(4))]
    assert detector.fit(patterns(150, 0), backgrounds, **OPTIONS) is detector
    assert 1 <= detector.n_stages <= 4
    assert len(detector.history) == detector.n_stages
    for figures in detector.history:
        assert figures["hit_rate"] >= 0.995
        assert figures["val_hit_rate"] >= 0.95
    assert detector.predict(patterns(200, 7)).mean() > 0.95
    assert detector.predict(clutter(200, 9)).mean() < 0.1

    places = [(20, 30, 2), (90, 70, 4)]
    boxes = detector.detect(scene(3, places), min_neighbors=2)
    for x, y, factor in places:
        centers = boxes[:, :2] + boxes[:, 2:] / 2
        assert (np.abs(centers - (x + 6 * factor, y + 6 * factor)).max(axis=1) < 2 * factor).any()

    cv2 = pytest.importorskip("cv2")
    detector.save(tmp_path / "pattern.xml")
    theirs = cv2.CascadeClassifier(str(tmp_path / "pattern.xml")).detectMultiScale(
        scene(3, places), minNeighbors=2
    )
    assert sorted(map(tuple, boxes.tolist())) == sorted(map(tuple, np.array(theirs).tolist()))


def test_the_same_number_gives_the_same_cascade() -> None:
    found = []
    for threads in (1, 2, 2):
        einkorn.set_num_threads(threads)
        detector = CascadeDetector().fit(
            patterns(60, 0), clutter(90, 0), random_state=3 + (len(found) == 2), **OPTIONS
        )
        found.append(detector.cascade)
    np.testing.assert_array_equal(found[0].threshold, found[1].threshold)
    np.testing.assert_array_equal(found[0].rects, found[1].rects)
    assert found[0].rects.shape != found[2].rects.shape or (found[0].rects != found[2].rects).any()


def test_an_interruption_leaves_the_stages_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    from einkorn.vision import cascade_train

    original = cascade_train._StageTrainer.train
    calls = []

    def interrupted(self: object, tick: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, tick)

    monkeypatch.setattr(cascade_train._StageTrainer, "train", interrupted)
    detector = CascadeDetector()
    backgrounds = np.concatenate([clutter(200, 0), patterns(100, 50)])  # some can never be told from faces
    with pytest.raises(KeyboardInterrupt):
        detector.fit(patterns(80, 0), backgrounds, **OPTIONS)
    assert detector.n_stages == 1
    assert detector.predict(patterns(50, 1)).mean() > 0.9
    assert len(detector.history) == 1


@pytest.mark.parametrize(
    ("faces", "backgrounds", "options", "error", "message"),
    [
        (patterns(9, 0).astype(float), clutter(30, 0), {}, DTypeError, "faces has dtype float64"),
        (patterns(9, 0)[0], clutter(30, 0), {}, ShapeError, "faces has shape"),
        (patterns(9, 0), [], {}, ShapeError, "backgrounds is empty"),
        (patterns(9, 0), 3, {}, DTypeError, "backgrounds is a int"),
        (patterns(9, 0), [image_of(5, 50)], {}, ShapeError, r"backgrounds\[0\] has shape \(5, 50\)"),
        (patterns(9, 0), clutter(30, 0).astype(np.float32), {}, DTypeError, r"backgrounds\[0\]"),
        (patterns(9, 0), np.full((30, 12, 12), 9, np.uint8), {}, ArgumentError, "too few"),
        (np.full((9, 12, 12), 9, np.uint8), clutter(30, 0), {}, ArgumentError, "too few"),
        (patterns(9, 0), clutter(30, 0), {"min_hit_rate": 1.5}, ArgumentError, "min_hit_rate"),
        (patterns(9, 0), clutter(30, 0), {"stages": 0}, ArgumentError, "stages is 0"),
        (patterns(9, 0), clutter(30, 0), {"random_state": -1}, ArgumentError, "random_state"),
    ],
)
def test_refused(
    faces: object, backgrounds: object, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CascadeDetector().fit(faces, backgrounds, **{**OPTIONS, **options})


def test_predict_is_refused_other_sizes() -> None:
    detector = CascadeDetector().fit(patterns(40, 0), clutter(60, 0), **OPTIONS)
    with pytest.raises(ShapeError, match="expected"):
        detector.predict(np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(DTypeError, match="float64"):
        detector.predict(np.zeros((3, 12, 12)))
    assert detector.predict(patterns(40, 0)[:0]).shape == (0,)


def test_faces() -> None:
    """CBCL's patches, a fifth held out."""
    path = FACES / "cbcl_train_19x19.npz"
    if not path.exists():
        pytest.skip(f"no patches at {path}")
    with np.load(path) as data:
        x, y = data["x"], data["y"] == 1
    order = np.random.default_rng(0).permutation(len(x))
    held, rest = order[:1400], order[1400:]
    detector = CascadeDetector().fit(
        x[rest][y[rest]], x[rest][~y[rest]], stages=4, n_features=2000, progress=False
    )
    passed = detector.predict(x[held])
    assert passed[y[held]].mean() > 0.95
    assert passed[~y[held]].mean() < 0.1
