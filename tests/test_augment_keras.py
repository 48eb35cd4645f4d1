"""The generator and the layers of Keras that augment pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from smooth_pictures import pictures

import einkorn
from einkorn.data.augment import ImageDataGenerator
from einkorn.errors import ArgumentError

RNG = np.random.default_rng(2)


# --- Keras' generator ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "reflect", "constant", "wrap"])
def test_apply_transform_is_scipys_affine_transform(mode: str) -> None:
    """In float64, of channel after channel, with the matrices that Keras documents."""
    scipy = pytest.importorskip("scipy.ndimage")
    x = (pictures(1, 3, 31, 31)[0] * 255).transpose(1, 2, 0)
    p = {"theta": 25.0, "tx": 3.0, "ty": -4.5, "shear": 12.0, "zx": 0.8, "zy": 1.2, "flip_horizontal": True}
    t, s = np.radians(p["theta"]), np.radians(p["shear"])
    m = (
        np.array([[math.cos(t), -math.sin(t), 0], [math.sin(t), math.cos(t), 0], [0, 0, 1]])
        @ np.array([[1, 0, p["tx"]], [0, 1, p["ty"]], [0, 0, 1]])
        @ np.array([[1, -math.sin(s), 0], [0, math.cos(s), 0], [0, 0, 1]])
        @ np.diag([p["zx"], p["zy"], 1])
    )
    middle = np.array([[1, 0, 15], [0, 1, 15], [0, 0, 1]])
    swap = np.eye(3)[[1, 0, 2]]
    m = swap @ middle @ m @ np.linalg.inv(middle) @ swap
    name = {"constant": "grid-constant", "wrap": "grid-wrap"}.get(mode, mode)
    wanted = [
        scipy.affine_transform(x[..., c].astype(np.float64), m[:2, :2], m[:2, 2], order=1, mode=name, cval=9)
        for c in range(3)
    ]
    found = ImageDataGenerator(fill_mode=mode, cval=9).apply_transform(x, p)
    np.testing.assert_allclose(found, np.stack(wanted, -1)[:, ::-1], atol=0.01)


def test_channel_shift_and_brightness() -> None:
    x = (pictures(1, 3, 9, 7)[0] * 200).transpose(1, 2, 0)
    found = ImageDataGenerator().apply_transform(x, {"channel_shift_intensity": 30.0})
    np.testing.assert_allclose(found, np.clip(x + 30, x.min(), x.max()), atol=1e-3)
    found = ImageDataGenerator().apply_transform(x, {"brightness": 1.6})
    np.testing.assert_allclose(found, np.clip(x * 1.6, 0, 255), atol=1e-3)


def test_flow_gives_every_row_once_a_pass_and_goes_on_without_end() -> None:
    x = np.arange(10 * 6 * 6, dtype=np.float32).reshape(10, 6, 6, 1)
    generator = ImageDataGenerator(horizontal_flip=True, validation_split=0.3, rescale=0.5)
    flow = generator.flow(x, np.arange(10), 4, sample_weight=np.arange(10) / 2, seed=1)
    assert len(flow) == 3
    first, second = (list(flow) for _ in range(2))
    for batches in (first, second):
        assert sorted(np.concatenate([y for _, y, _ in batches])) == list(range(10))
        for images, y, w in batches:
            np.testing.assert_array_equal(w, y / 2)
            for image, i in zip(images, y, strict=True):
                assert np.array_equal(image, x[i] / 2) or np.array_equal(image, x[i, :, ::-1] / 2)
    assert [y.tolist() for _, y, _ in first] != [y.tolist() for _, y, _ in second]
    again = generator.flow(x, np.arange(10), 4, seed=1)
    np.testing.assert_array_equal(
        np.concatenate([b[0] for b in again]), np.concatenate([b[0] for b in first])
    )
    assert len([next(flow) for _ in range(8)]) == 8
    assert generator.flow(x, subset="validation", shuffle=False).next().shape == (3, 6, 6, 1)
    assert len(generator.flow(x, batch_size=7, subset="training").next()) == 7


def test_random_transforms_stay_within_their_ranges() -> None:
    generator = ImageDataGenerator(
        rotation_range=20, width_shift_range=0.2, height_shift_range=[1, 3], shear_range=5,
        zoom_range=(0.7, 1.1), channel_shift_range=10, brightness_range=(0.5, 1.5), vertical_flip=True,
    )  # fmt: skip
    drawn = [generator.get_random_transform((50, 40, 3), seed) for seed in range(300)]
    column = {name: np.array([d[name] for d in drawn], float) for name in drawn[0]}
    for name, low, high in (
        ("theta", -20, 20), ("tx", -8, 8), ("shear", -5, 5), ("zx", 0.7, 1.1), ("zy", 0.7, 1.1),
        ("channel_shift_intensity", -10, 10), ("brightness", 0.5, 1.5),
    ):  # fmt: skip
        assert low <= column[name].min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < column[name].max() <= high
    assert set(column["ty"]) == {-3, -1, 1, 3}
    assert not column["flip_horizontal"].any()
    assert 0.4 < column["flip_vertical"].mean() < 0.6
    x = pictures(1)[0].transpose(1, 2, 0) * 255
    np.testing.assert_array_equal(generator.random_transform(x, 3), generator.random_transform(x, 3))


def test_standardization() -> None:
    x = (pictures(30, 2, 5, 4) * 255).transpose(0, 2, 3, 1)
    center = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True, rescale=1 / 255)
    with pytest.warns(UserWarning, match="before fit"):
        center.standardize(x)
    center.fit(x)
    out = center.standardize(x)
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-4)
    each = ImageDataGenerator(samplewise_std_normalization=True).standardize(x)
    np.testing.assert_allclose(each.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(each.std((1, 2, 3)), 1, atol=1e-4)
    few = x[:, :2, :2, :1]
    white = ImageDataGenerator(zca_whitening=True, rescale=1 / 255)
    white.fit(few)
    flat = white.standardize(few).reshape(30, -1)
    np.testing.assert_allclose(flat.T @ flat / 30, np.eye(4), atol=0.02)
    shown = ImageDataGenerator(preprocessing_function=lambda image: image * 0 + 3).standardize(x)
    assert (shown == 3).all()


def test_flow_from_directory(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, red in (("cats", 200), ("dogs", 40)):
        (tmp_path / name).mkdir()
        for number in range(5):
            pixels = np.full((10, 8, 3), (red, number, 0), np.uint8)
            image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    generator = ImageDataGenerator(validation_split=0.2)
    flow = generator.flow_from_directory(tmp_path, (6, 7), batch_size=4, class_mode="sparse", shuffle=False)
    assert flow.class_indices == {"cats": 0, "dogs": 1}
    x, y = next(flow)
    assert x.shape == (4, 6, 7, 3)
    np.testing.assert_array_equal(x[:, 2, 3, :2], [[200, 0], [200, 1], [200, 2], [200, 3]])
    np.testing.assert_array_equal(y, 0)
    x, y = generator.flow_from_directory(
        tmp_path, (6, 7), "grayscale", subset="validation", shuffle=False
    ).next()
    assert x.shape == (2, 6, 7, 1)
    np.testing.assert_array_equal(y, np.eye(2))
    with pytest.raises(einkorn.errors.DataError, match="no folder"):
        generator.flow_from_directory(tmp_path / "none")


def test_flow_from_dataframe(tmp_path: Path) -> None:
    image, pandas = pytest.importorskip("PIL.Image"), pytest.importorskip("pandas")
    names = [f"{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        image.fromarray(np.full((10, 8, 3), (number, 0, 0), np.uint8)).save(tmp_path / name)
    table = pandas.DataFrame(
        {
            "filename": [*names, "gone.png"],
            "class": ["b", "a", "b", "c", "a", "b", "a"],
            "many": [["x"], ["y", "x"], ["z"], ["y"], ["x"], ["x"], ["y"]],
            "size": np.arange(7) * 0.5,
            "weight": np.arange(7.0),
        }
    )
    flow = ImageDataGenerator(validation_split=0.34).flow_from_dataframe
    options = {"target_size": (5, 4), "shuffle": False, "batch_size": 4}
    with pytest.warns(UserWarning, match="1 of 7 names"):
        batches = flow(table, tmp_path, weight_col="weight", **options)
    assert batches.class_indices == {"a": 0, "b": 1, "c": 2}
    assert batches.filepaths[0] == str(tmp_path / "0.png")
    (x, y, weight), rest = batches[0], batches[1]
    assert x.shape == (4, 5, 4, 3)
    np.testing.assert_array_equal(x[:, 2, 2, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(y, np.eye(3)[[1, 0, 1, 2]])
    np.testing.assert_array_equal(weight, [0, 1, 2, 3])
    assert len(rest[0]) == 2
    table = table[:6]
    np.testing.assert_array_equal(
        flow(table, tmp_path, y_col="many", **options)[0][1], [[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0]]
    )
    np.testing.assert_array_equal(
        flow(table, tmp_path, y_col="size", class_mode="raw", **options)[0][1], [0, 0.5, 1, 1.5]
    )
    both = flow(table, tmp_path, y_col=["size", "class"], class_mode="multi_output", **options)[0][1]
    assert both[1].tolist() == ["b", "a", "b", "c"]
    np.testing.assert_array_equal(
        flow(table, tmp_path, classes=["c", "b"], class_mode="sparse", **options)[0][1], [1, 1, 0, 1]
    )
    part = flow(table, tmp_path, subset="validation", class_mode="input", **options)
    assert part.n == 2
    x, y = part[0]
    np.testing.assert_array_equal(x, y)
    assert flow(table, tmp_path, class_mode=None, **options)[0].shape == (4, 5, 4, 3)
    for wrong, message in (
        ({"y_col": "none"}, "no column 'none'"),
        ({"y_col": "size"}, "numbers are for 'raw'"),
        ({"class_mode": "binary"}, "with 3 classes"),
        ({"class_mode": "multi_output"}, "list of columns"),
        ({"x_col": "size"}, "no names of files"),
        ({"weight_col": "class"}, "has no numbers"),
        ({"class_mode": "other"}, "class_mode is 'other'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            flow(table, tmp_path, **{**options, **wrong})


# --- Keras' layers -------------------------------------------------------------------------------------


def test_layers_of_keras_change_images_while_training_and_by_hand() -> None:
    layers = einkorn.keras.layers
    x = (pictures(40, 3, 20, 30) * 255).transpose(0, 2, 3, 1)
    ramp = np.stack(np.meshgrid(np.arange(30.0), np.arange(20.0)), -1)[None].repeat(40, 0).astype(np.float32)
    for layer in (
        layers.RandomRotation(0.1, seed=1), layers.RandomTranslation(0.2, (0.1, 0.3)), layers.RandomZoom(0.2),
        layers.RandomContrast(0.5), layers.RandomBrightness(0.2),
    ):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(layer(x, training=False)), x)
        for changed in (np.asarray(layer(x, training=True)), np.asarray(layer(x))):  # by hand, as Keras
            assert changed.shape == x.shape
            assert (np.abs(changed - x).max((1, 2, 3)) > 0.5).mean() > 0.8
    moved = layers.RandomTranslation((0.2, 0.2), (-0.1, -0.1), "nearest")(ramp, training=True).data
    np.testing.assert_allclose(moved[:, 8, 10], np.broadcast_to([13, 4], (40, 2)), atol=1e-4)
    zoomed = layers.RandomZoom((0.5, 0.5), (-0.5, -0.5), "nearest")(ramp, training=True).data
    np.testing.assert_allclose(zoomed[0, 10, 20], [14.5 + 5.5 * 0.5, 9.5 + 0.5 * 1.5], atol=1e-4)
    turned = layers.RandomRotation((0.25, 0.25), "constant")(ramp, training=True).data
    np.testing.assert_allclose(turned[0, 9, 14], [14.5 + 0.5, 9.5 - 0.5], atol=1e-4)
    turned = layers.RandomRotation((0.25, 0.25), "constant")(ramp, training=True).data
    np.testing.assert_allclose(turned[0, 9, 20], [15.0, 15.0], atol=1e-4)
    sharp = layers.RandomContrast((0.0, 0.9), seed=3)(x, training=True).data
    mean = x.mean((1, 2), keepdims=True)
    factor = ((sharp - mean) / (x - mean))[np.arange(40), 5, 5]
    inside = (sharp[:, 5, 5] > 0) & (sharp[:, 5, 5] < 255) & (np.abs((x - mean)[:, 5, 5]) > 5)
    assert factor[inside].min() + 0.01 >= 1
    assert factor[inside].max() < 1.91
    for bad in (lambda: layers.RandomZoom((0.3, 0.1)), lambda: layers.RandomRotation(0.1, "mirror")):
        with pytest.raises(ArgumentError, match="expected"):
            bad()
