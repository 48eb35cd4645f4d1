"""``ImageClassifier``: images of every kind become what the network was trained on."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import models
from einkorn.errors import ArgumentError, CheckpointError, DataError, DTypeError, ShapeError


def classifier(channels=1, enlarge=2, classes=("cat", "dog", "größe")):
    einkorn.manual_seed(0)
    size = channels * 4 * 5 * enlarge**2
    model = models.SoftmaxRegression(size, len(classes))
    return models.ImageClassifier(model, classes, (channels, 4, 5), enlarge=enlarge, light_on_dark=True)


def pixels(channels=1, n=3):
    shape = (n, 4, 5) if channels == 1 else (n, 4, 5, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_kinds_of_images_are_the_same(channels, tmp_path):
    image = pytest.importorskip("PIL.Image")
    found = classifier(channels)
    many = pixels(channels)
    floats = many[:, None] if channels == 1 else many.transpose(0, 3, 1, 2)
    expected = found.prepare(np.float32(floats / 255))
    assert expected.shape == (3, channels, 8, 10)
    assert expected.dtype == np.float32
    assert_allclose(expected[:, :, ::2, 1::2], floats / 255, rtol=1e-6)
    for i, each in enumerate(many):
        image.fromarray(each).save(tmp_path / f"{i}.png")
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for images in (list(many), paths, [str(path) for path in paths], [image.open(p) for p in paths]):
        assert_allclose(found.prepare(images), expected, atol=1e-6)
    assert_allclose(found.prepare(paths[1]), expected[1:2], atol=1e-6)
    assert_allclose(found.prepare(np.float64(floats[1] / 255)), expected[1:2], atol=1e-6)
    assert_allclose(found.prepare(list(many), invert=True), 1 - expected, atol=1e-6)
    assert found.prepare([]).shape == (0, channels, 8, 10)


def test_other_sizes_are_resized():
    pytest.importorskip("PIL")
    found = classifier()
    large = np.repeat(np.repeat(pixels(n=1)[0], 6, axis=0), 6, axis=1)
    smooth = found.prepare(large)[0, 0, ::2, ::2]
    assert np.corrcoef(smooth.ravel(), pixels(n=1)[0].ravel())[0, 1] > 0.9
    assert_array_equal(found.prepare(np.full((90, 7, 3), 255, np.uint8)), np.ones((1, 1, 8, 10), np.float32))


def test_predictions():
    found = classifier()
    x = np.float32(pixels(n=300)[:, None] / 255)
    probability = found.predict_proba(x)
    scores = found.model.predict(x.repeat(2, 2).repeat(2, 3))
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert_allclose(probability, expected, rtol=1e-5)
    assert_array_equal(found.predict(x), np.array(found.classes)[scores.argmax(1)])
    assert found.predict(np.empty((0, 1, 4, 5), np.float32)).shape == (0,)


def test_refusals(tmp_path):
    found = classifier()
    (tmp_path / "text.png").write_text("text")
    for images, error, message in [
        (
            np.zeros((2, 1, 8, 10), np.float32),
            ShapeError,
            r"images have shape \(2, 1, 8, 10\), expected \(n, 1, 4",
        ),
        (np.zeros((4, 5), np.float32), ShapeError, "images have shape"),
        (np.zeros((4, 5), np.int64), DTypeError, "int64"),
        (np.zeros((4, 5, 4), np.uint8), ShapeError, r"\(4, 5, 4\)"),
        (tmp_path / "none.png", DataError, "none.png: cannot be read"),
        (str(tmp_path / "text.png"), DataError, "text.png: cannot be read"),
        (3, DTypeError, "image is a int"),
    ]:
        with pytest.raises(error, match=message):
            found.predict(images)
    with pytest.raises(ShapeError, match="expected uint8"):
        classifier(3).predict(np.zeros((4, 5, 2), np.uint8))
    for options, message in [
        ({"classes": []}, "classes is empty"),
        ({"input_shape": (2, 4, 5)}, "input_shape is"),
        ({"input_shape": (1, 4)}, "input_shape is"),
        ({"enlarge": 0}, "enlarge is 0"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            models.ImageClassifier(**{"model": None, "classes": "ab", "input_shape": (1, 4, 5), **options})
    found.classes = ["one"]
    with pytest.raises(ShapeError, match="1 classes"):
        found.predict(pixels(n=1)[0])


def test_save_and_load(tmp_path):
    found = classifier()
    found.save(tmp_path / "model.safetensors", metadata={"note": "mine"})
    assert einkorn.checkpoint.read_metadata(tmp_path / "model.safetensors")["note"] == "mine"
    x = np.float32(pixels()[:, None] / 255)
    for place in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        again = models.ImageClassifier.load(place)
        assert repr(again) == repr(found)
        assert (again.classes, again.enlarge, again.light_on_dark) == (found.classes, 2, True)
        assert_array_equal(again.predict_proba(x), found.predict_proba(x))
    assert type(einkorn.load(tmp_path / "model.safetensors")) is models.SoftmaxRegression


@pytest.mark.parametrize(
    "change",
    [
        None,
        "[]",
        "{",
        "[" * 100_000,
        {"classes": []},
        {"classes": [1, 2]},
        {"input_shape": [1, 4]},
        {"input_shape": [1, 4, 6]},
        {"input_shape": "no"},
        {"range": [0, 255]},
        {"enlarge": 0},
        {"enlarge": "x"},
    ],
)
def test_spoilt_files_are_refused_by_name(change, tmp_path):
    found = classifier()
    path = tmp_path / "spoilt.safetensors"
    found.save(path)
    described = json.loads(einkorn.checkpoint.read_metadata(path)["images"])
    text = change if isinstance(change, str) else json.dumps({**described, **(change or {})})
    einkorn.save(found.model, path, metadata=None if change is None else {"images": text})
    with pytest.raises(CheckpointError, match=r"spoilt\.safetensors: (does not|its images)"):
        models.ImageClassifier.load(path)
