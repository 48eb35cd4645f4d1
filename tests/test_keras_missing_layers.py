"""Layers, metrics and options of optimizers beside Keras' own: hashes, sound, areas, averages of weights."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import pytest

from einkorn import keras
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras.layers._hashes import fingerprint

RNG = np.random.default_rng(0)


def theirs() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras", reason="Keras: not installed")


# --- hashing -----------------------------------------------------------------------------------------------


def test_hashing_gives_the_published_numbers() -> None:
    letters = [["A"], ["B"], ["C"], ["D"], ["E"]]
    hashing = keras.layers.Hashing
    assert hashing(3)(letters).ravel().tolist() == [1, 0, 1, 1, 2]
    masked = hashing(3, mask_value="")([["A"], ["B"], [""], ["C"], ["D"]])
    assert masked.ravel().tolist() == [1, 1, 0, 2, 2]
    assert hashing(3, salt=[133, 137])(letters).ravel().tolist() == [1, 2, 1, 0, 2]
    assert hashing(3, salt=133)(letters).ravel().tolist() == [0, 0, 2, 1, 0]
    columns = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])
    crossing = keras.layers.HashedCrossing
    assert crossing(5)(columns).tolist() == [1, 4, 1, 1, 3]
    np.testing.assert_array_equal(crossing(5, "one_hot")(columns), np.eye(5)[[1, 4, 1, 1, 3]])


#: FarmHash's own, of bytes (37 i + 11 n) % 256 for i below n.
FINGERPRINTS = {
    0: 0x9AE16A3B2F90404F,
    1: 0x4271B80E2915C76A,
    3: 0x134FEC9AFFCA92E5,
    4: 0xBF4D844ED3CA6595,
    7: 0x18B26145D920F86C,
    8: 0x257976BB098B63C2,
    15: 0xE4E1119FDB653180,
    16: 0x554E6F57A0C201CC,
    17: 0x11E03DC7CDF4CEC7,
    31: 0xFA7D6B1708DD0A72,
    32: 0x1D08A91B3D72AC5D,
    33: 0xC9D01B15D240DC52,
    63: 0x5692809157BCD70F,
    64: 0x6C330B73DF7045EE,
    65: 0x72B7BBF25CAD3EE5,
    127: 0x45523DD1EEFBFA78,
    128: 0xF795D5F230985ECE,
    129: 0xD0641FD7A406147A,
    200: 0x124B865662394953,
    1000: 0x2B6D47E69F4A84E5,
}


@pytest.mark.parametrize("size", FINGERPRINTS)
def test_fingerprints_are_those_of_farmhash(size: int) -> None:
    text = bytes((37 * i + 11 * size) % 256 for i in range(size))
    assert fingerprint(text) == FINGERPRINTS[size]


def test_hashing_takes_numbers_and_encodes() -> None:
    layer = keras.layers.Hashing(7)
    numbers = np.array([[3, -5], [12345678901, 0]])
    texts = [[str(v) for v in row] for row in numbers.tolist()]
    np.testing.assert_array_equal(layer(numbers), layer(texts))
    np.testing.assert_array_equal(layer(numbers.astype(np.float64)), layer(texts))
    found = layer(texts)
    np.testing.assert_array_equal(keras.layers.Hashing(7, output_mode="one_hot")(texts), np.eye(7)[found])
    counted = keras.layers.Hashing(7, output_mode="count")(texts)
    assert counted.shape == (2, 7)
    assert counted.sum() == 4
    assert layer(np.zeros((0, 2), np.int64)).shape == (0, 2)
    again = keras.layers.Hashing.from_config(keras.layers.Hashing(7, salt=(3, 4)).get_config())
    np.testing.assert_array_equal(again(texts), keras.layers.Hashing(7, salt=(3, 4))(texts))


@pytest.mark.parametrize("make", [
    lambda: keras.layers.Hashing(0),
    lambda: keras.layers.Hashing(3, salt=(1, 2, 3)),
    lambda: keras.layers.Hashing(3, sparse=True),
    lambda: keras.layers.Hashing(3, output_mode="binary"),
    lambda: keras.layers.HashedCrossing(3)([np.arange(3)]),
    lambda: keras.layers.HashedCrossing(3)([np.arange(3), np.arange(4)]),
])  # fmt: skip
def test_hashing_refuses(make: Any) -> None:
    with pytest.raises((ArgumentError, ShapeError)):
        make()


# --- sound -------------------------------------------------------------------------------------------------

SPECTROGRAMS = [
    {"mode": "log"}, {"mode": "magnitude", "padding": "same", "frame_step": 3}, {"mode": "psd"},
    {"mode": "real", "window": "hamming"}, {"mode": "imag", "periodic": True},
    {"mode": "stft", "expand_dims": True, "scaling": "spectrum"},
    {"mode": "stft", "data_format": "channels_first", "fft_length": 40},
    {"mode": "magnitude", "data_format": "channels_first", "expand_dims": True, "scaling": None},
    {"mode": "angle", "window": None},
]  # fmt: skip


@pytest.mark.parametrize("options", SPECTROGRAMS)
def test_stft_spectrogram(options: dict[str, Any]) -> None:
    pytest.importorskip("scipy", reason="SciPy: not installed")
    x = RNG.standard_normal((2, 100, 3)).astype(np.float32)
    if options.get("data_format") == "channels_first":
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
    options = {"frame_length": 24, **options}
    other = np.asarray(theirs().layers.STFTSpectrogram(**options)(x).detach())
    layer = keras.layers.STFTSpectrogram(**options)
    found = np.asarray(layer(x).numpy())
    assert found.shape == other.shape
    if options["mode"] == "angle":  # half a circle has two signs
        other, found = np.exp(1j * other), np.exp(1j * found)
        weight = np.abs(other - found) < 1e-3
        assert weight.mean() > 0.98
    else:
        np.testing.assert_allclose(found, other, atol=2e-4)
    assert len(layer.trainable_weights) == (1 if options["mode"] in ("real", "imag") else 2)


# --- pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 63, 64, 3), {"tile_grid_size": (4, 4)}),
        ((64, 64, 3), {"tile_grid_size": (4, 4), "value_range": (-1, 1), "clip_limit": 2.0}),
        ((1, 32, 127, 1), {"tile_grid_size": (2, 8), "clip_limit": 1.0}),
        ((2, 48, 63, 2), {"tile_grid_size": (3, 4), "data_format": "channels_first"}),
        ((2, 40, 47, 3), {"clip_limit": 0.0}),
        ((1, 9, 9, 1), {"clip_limit": 0.0, "tile_grid_size": (3, 5)}),
    ],
)
def test_clahe(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    """Limits are whole numbers of pixels, edges one wide: others Keras on PyTorch cuts and repeats."""
    low, high = options.get("value_range", (0, 255))
    x = (RNG.beta(2, 5, shape) * (high - low) + low).astype(np.float32)
    if options.get("data_format") == "channels_first":
        x = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    name = "ContrastLimitedAdaptiveHistogramEqualization"
    other = np.asarray(getattr(theirs().layers, name)(**options)(x))
    found = getattr(keras.layers, name)(**options)(x)
    np.testing.assert_allclose(np.asarray(found.numpy()), other, atol=2e-3 * (high - low) / 255)


def _batch(rows: int = 6) -> dict[str, np.ndarray]:
    images = np.arange(rows, dtype=np.float32)[:, None, None, None] * np.ones((1, 20, 16, 3), np.float32)
    return {"images": images, "labels": np.eye(rows, dtype=np.float32)}


def test_mix_up_blends_pictures_and_labels_alike() -> None:
    given = _batch()
    out = keras.layers.MixUp(0.4, seed=3)(given)
    images, labels = out["images"].numpy(), out["labels"].numpy()
    assert np.abs(labels.sum(1) - 1).max() < 1e-6
    np.testing.assert_allclose(images[:, 3, 4, 1], labels @ np.arange(6), atol=1e-5)
    assert np.ptp(images, (1, 2, 3)).max() < 1e-5
    again = keras.layers.MixUp(0.4, seed=3)(given["images"])
    np.testing.assert_array_equal(again.numpy(), images)
    still = keras.layers.MixUp(seed=3)(given["images"], training=False)
    np.testing.assert_array_equal(np.asarray(still), given["images"])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cut_mix_takes_rectangles_and_labels_by_area(data_format: str) -> None:
    given = _batch(40)
    if data_format == "channels_first":
        given["images"] = np.ascontiguousarray(given["images"].transpose(0, 3, 1, 2))
    given["segmentation_masks"] = given["images"] * 2
    out = keras.layers.CutMix(seed=5, data_format=data_format)(given)
    images, labels = out["images"].numpy(), out["labels"].numpy()
    np.testing.assert_array_equal(out["segmentation_masks"].numpy(), images * 2)
    if data_format == "channels_first":
        images = images.transpose(0, 2, 3, 1)
    changed = 0
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        inside = image[..., 0] != n
        assert (image == image[..., :1]).all()
        if inside.any():
            changed += 1
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            other = int(image[rows[0], columns[0], 0])
            assert abs(inside.mean() - label[other]) < 0.15  # edges lie between pixels
    assert changed > 20
    assert np.abs(labels.sum(1) - 1).max() < 1e-5


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["RandAugment", "AugMix"])
def test_policies_change_pictures_within_their_range(name: str, data_format: str) -> None:
    x = RNG.random((3, 18, 20, 3)).astype(np.float32)
    x = x if data_format == "channels_last" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    make = getattr(keras.layers, name)
    changed = 0
    for seed in range(8):
        out = make((0, 1), seed=seed, data_format=data_format)(x).numpy()
        assert out.shape == x.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert -1e-5 <= out.min() <= out.max() <= 1 + 1e-5
        changed += not np.array_equal(out, x)
        np.testing.assert_array_equal(make((0, 1), seed=seed, data_format=data_format)(x).numpy(), out)
    assert changed >= 6
    assert make((0, 1), data_format=data_format)(x[0]).shape == x[0].shape
    np.testing.assert_array_equal(np.asarray(make((0, 1))(x, training=False)), x)
    assert keras.layers.deserialize(keras.layers.serialize(make((0, 1)))).value_range == (0, 1)


def test_boxes_are_as_many() -> None:
    boxes, labels = RNG.random((2, 3, 4)), np.array([[1, 2, 3], [4, 5, 6]])
    given = {
        "images": np.zeros((2, 4, 4, 3), np.float32),
        "bounding_boxes": {"boxes": boxes, "labels": labels},
    }
    assert keras.layers.MaxNumBoundingBoxes(0)(given)["bounding_boxes"]["boxes"].shape == (2, 0, 4)
    for number in (2, 5):
        out = keras.layers.MaxNumBoundingBoxes(number)(given)["bounding_boxes"]
        other = theirs().layers.MaxNumBoundingBoxes(number, bounding_box_format="xyxy")(copy.deepcopy(given))[
            "bounding_boxes"
        ]
        for name in ("boxes", "labels"):
            np.testing.assert_allclose(np.asarray(out[name]), np.asarray(other[name]), rtol=1e-6)


# --- areas -------------------------------------------------------------------------------------------------

AREAS = [
    {}, {"num_thresholds": 5}, {"curve": "PR"}, {"curve": "PR", "summation_method": "minoring"},
    {"summation_method": "majoring", "num_thresholds": 3}, {"thresholds": [0.2, 0.21, 0.7]},
    {"curve": "PRGAIN"}, {"from_logits": True}, {"label_weights": [1.0, 3.0, 0.5]},
    {"multi_label": True}, {"multi_label": True, "num_labels": 3, "label_weights": [1.0, 3.0, 0.5]},
    {"multi_label": True, "curve": "PR"},
]  # fmt: skip


@pytest.mark.parametrize("options", AREAS)
@pytest.mark.parametrize("weighted", [False, True])
def test_auc(options: dict[str, Any], weighted: bool) -> None:
    other, mine = theirs().metrics.AUC(**options), keras.metrics.AUC(**options)
    for rows in (30, 1, 17):
        target = RNG.integers(0, 2, (rows, 3)).astype(np.float32)
        score = np.clip(0.3 * target + RNG.random((rows, 3)) * 0.7, 0, 1).astype(np.float32)
        score = score * 8 - 4 if options.get("from_logits") else np.round(score, 2)
        weight = RNG.random((rows, 1)).astype(np.float32) if weighted else None
        other.update_state(target, score, weight)
        mine.update_state(target, score, weight)
        assert mine.result() == pytest.approx(float(other.result()), abs=2e-5)
    assert mine.name.startswith("auc")
    again = keras.metrics.deserialize(keras.metrics.serialize(mine))
    assert again.num_thresholds == mine.num_thresholds
    mine.reset_state()
    other.reset_state()
    assert mine.result() == pytest.approx(float(other.result()), abs=1e-6)


def test_auc_refuses() -> None:
    for options in ({"num_thresholds": 1}, {"curve": "X"}, {"num_labels": 3}, {"thresholds": [2.0]}):
        with pytest.raises(ArgumentError):
            keras.metrics.AUC(**options)
    with pytest.raises(ShapeError):
        keras.metrics.AUC().update_state(np.zeros((4, 2)), np.zeros((4, 3)))


# --- averages of weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ema_overwrite_frequency": 3},
        {"ema_overwrite_frequency": 0},
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 4, "ema_overwrite_frequency": 2},
    ],
)
def test_averages_of_weights_are_those_of_keras(more: dict[str, int]) -> None:
    x, y = RNG.standard_normal((40, 3)).astype(np.float32), RNG.standard_normal((40, 1)).astype(np.float32)
    first = [RNG.standard_normal((3, 1)).astype(np.float32), np.zeros(1, np.float32)]
    found = []
    for library in (theirs(), keras):
        model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
        model.set_weights(first)
        options = {"use_ema": True, "ema_momentum": 0.8, **more}
        model.compile(library.optimizers.SGD(0.05, 0.9, **options), "mse")
        history = model.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0)
        found.append([*model.get_weights(), np.array(history.history["loss"])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("more", [{"clipnorm": 0.5}, {"use_ema": True, "ema_momentum": 0.5}])
def test_applied_gradients_are_gathered_as_in_keras(more: dict[str, Any]) -> None:
    found = []
    for library in (theirs(), keras):
        model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
        model.set_weights([np.ones((3, 1), np.float32), np.zeros(1, np.float32)])
        optimizer = library.optimizers.SGD(0.1, 0.9, gradient_accumulation_steps=2, **more)
        optimizer.build(model.trainable_variables)
        for i in range(5):
            grads = [np.full((3, 1), i + 1.0, np.float32), np.full(1, i - 1.0, np.float32)]
            optimizer.apply(
                [library.ops.convert_to_tensor(grad) for grad in grads], model.trainable_variables
            )
        if more.get("use_ema"):
            optimizer.finalize_variable_values(model.trainable_variables)
        found.append([*model.get_weights(), np.array(int(optimizer.iterations))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


def _averaging(**options: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9, **options), "mse")
    return model


def test_swapped_averages_are_seen_by_evaluation_alone() -> None:
    x = RNG.standard_normal((32, 3)).astype(np.float32)
    y = x.sum(1, keepdims=True)
    plain, swapped = _averaging(), _averaging()
    ones = plain.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(x, y))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    others = swapped.fit(
        x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(x, y), callbacks=[swap]
    )
    np.testing.assert_allclose(ones.history["loss"], others.history["loss"], rtol=1e-6)
    assert not np.allclose(ones.history["val_loss"][0], others.history["val_loss"][0])
    for one, other in zip(plain.get_weights(), swapped.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert swapped.evaluate(x, y, verbose=0) == pytest.approx(others.history["val_loss"][-1], rel=1e-5)


def test_averages_go_on_after_an_interruption(tmp_path: Any) -> None:
    x, y = RNG.standard_normal((32, 3)).astype(np.float32), RNG.standard_normal((32, 1)).astype(np.float32)
    whole, cut = _averaging(), _averaging()
    whole.fit(x, y, batch_size=8, epochs=4, verbose=0, shuffle=False)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "kept"), save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(x, y, batch_size=8, epochs=4, verbose=0, shuffle=False, callbacks=[backup, Stop()])
    again = _averaging()
    again.fit(x, y, batch_size=8, epochs=4, verbose=0, shuffle=False,
              callbacks=[keras.callbacks.BackupAndRestore(str(tmp_path / "kept"), save_freq=1)])  # fmt: skip
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_averages_refuse() -> None:
    with pytest.raises(ArgumentError, match="ema_momentum"):
        keras.optimizers.SGD(use_ema=True, ema_momentum=2)
    with pytest.raises(ArgumentError, match="ema_overwrite_frequency"):
        keras.optimizers.SGD(use_ema=True, ema_overwrite_frequency=-1)
    config = keras.optimizers.SGD(use_ema=True, ema_momentum=0.5).get_config()
    assert keras.optimizers.SGD.from_config(config).ema_momentum == 0.5
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="use_ema"):
        model.evaluate(
            np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()]
        )


# --- what users try --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "AugMix", "CutMix", "MixUp", "RandAugment", "RandomFlip", "RandomBrightness", "RandomContrast",
        "RandomPosterization", "ContrastLimitedAdaptiveHistogramEqualization", "RandomColorDegeneration",
        "RandomGrayscale", "Equalization",
    ],
)  # fmt: skip
def test_pictures_without_rows_of_one_channel_and_nan(name: str) -> None:
    needed = {"RandomBrightness": 0.2, "RandomContrast": 0.2, "RandomPosterization": 4}
    arguments = [needed[name]] if name in needed else [0.5] if name == "RandomColorDegeneration" else []
    layer = getattr(keras.layers, name)(*arguments)
    for _ in range(6):
        for shape in ((0, 8, 8, 3), (2, 8, 7, 1), (1, 1, 1, 3)):
            x = RNG.random(shape).astype(np.float32) * 255
            out = np.asarray(layer(x))
            assert out.shape == shape
            assert np.isfinite(out).all()
        x = RNG.random((2, 16, 16, 3)).astype(np.float32) * 255
        x[1] = np.nan
        out = np.asarray(layer(x))
        assert out.shape == x.shape
        if name not in ("MixUp", "CutMix", "Equalization"):  # which count or mix pictures together
            assert np.isfinite(out[0]).all()
            assert np.isnan(out[1]).any()
