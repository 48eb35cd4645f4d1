"""``keras.utils``' data sets and pictures, beside Keras's own where it is installed."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from einkorn.errors import ArgumentError, DataError, ShapeError
from einkorn.keras import utils

SERIES = np.arange(40, dtype=np.float32).reshape(20, 2)


def theirs():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_stride": 3, "sampling_rate": 2},
        {"batch_size": 4, "start_index": 2, "end_index": 15},
        {"shuffle": True, "seed": 5, "batch_size": 3},
    ],
)
def test_windows_of_series(options):
    targets = np.arange(20) * 10
    found = [(x, y) for x, y in utils.timeseries_dataset_from_array(SERIES, targets, 5, **options)]
    first, stop = options.get("start_index", 0), options.get("end_index", 20)
    rate = options.get("sampling_rate", 1)
    begins = range(first, stop - 4 * rate, options.get("sequence_stride", 1))
    x, y = (np.concatenate([batch[part] for batch in found]) for part in (0, 1))
    order = np.argsort(y)
    assert options.get("shuffle", False) != (order == np.arange(len(y))).all()
    assert_array_equal(y[order], [10 * begin for begin in begins])
    assert_array_equal(x[order], np.stack([SERIES[begin : begin + 4 * rate + 1 : rate] for begin in begins]))
    assert len(found[0][1]) == min(options.get("batch_size", 128), len(begins))
    alone = list(utils.timeseries_dataset_from_array(SERIES, None, 5, **{**options, "shuffle": False}))
    assert_array_equal(np.concatenate(alone), x[order])


def test_windows_refuse_what_does_not_fit():
    for options, words in (
        ({"sequence_length": 21}, "no window of 21 steps fits into 20"),
        ({"sequence_length": 0}, "sequence_length is 0"),
        ({"sequence_length": 3, "end_index": 21}, "start_index and end_index are 0 and 21, of 20 steps"),
        ({"sequence_length": 3, "sampling_rate": 0}, "sampling_rate is 0"),
    ):
        with pytest.raises(ArgumentError, match=words):
            utils.timeseries_dataset_from_array(SERIES, None, **options)


@pytest.fixture
def folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for name, count in (("cats", 4), ("dogs", 6)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 256, (8 + i, 12, 3), np.uint8)
            image.fromarray(pixels).save(tmp_path / name / ("more" if i % 2 else ".") / f"{i}.png")
            (tmp_path / name / f"{i}.txt").write_text(f"{name} {i} ß", encoding="utf-8")
    return tmp_path


def test_pictures_of_folders(folder):
    loader = utils.image_dataset_from_directory(folder, image_size=(6, 5), batch_size=4, shuffle=False)
    assert loader.class_names == ["cats", "dogs"]
    batches = list(loader)
    assert [x.shape for x, _ in batches] == [(4, 6, 5, 3), (4, 6, 5, 3), (2, 6, 5, 3)]
    assert np.concatenate([y for _, y in batches]).tolist() == [0] * 4 + [1] * 6
    assert batches[0][0].dtype == np.float32
    assert batches[0][0].max() > 100
    whole = utils.image_dataset_from_directory(folder, image_size=(8, 12), shuffle=False, label_mode=None)
    (pictures,) = list(whole)
    stored = utils.img_to_array(utils.load_img(whole.file_paths[0]))
    assert_array_equal(pictures[0], stored)
    first = utils.image_dataset_from_directory(
        folder, image_size=(6, 5), data_format="channels_first", color_mode="grayscale"
    )
    assert next(iter(first))[0].shape == (10, 1, 6, 5)
    one_hot = utils.image_dataset_from_directory(
        folder, label_mode="categorical", class_names=["dogs", "cats"]
    )
    assert next(iter(one_hot))[1].sum(0).tolist() == [6, 4]
    binary = utils.image_dataset_from_directory(folder, label_mode="binary")
    assert next(iter(binary))[1].shape == (10, 1)


def test_parts_of_folders_have_no_file_in_common(folder):
    options = {"validation_split": 0.3, "seed": 3, "image_size": (4, 4)}
    train, test = utils.image_dataset_from_directory(folder, subset="both", **options)
    assert (len(train.file_paths), len(test.file_paths)) == (7, 3)
    assert not set(train.file_paths) & set(test.file_paths)
    again = utils.image_dataset_from_directory(folder, subset="validation", **options)
    assert again.file_paths == test.file_paths
    for more, words in (
        ({"validation_split": 0.3}, "expected both"),
        ({"validation_split": 0.3, "subset": "training"}, "seed is None"),
        ({"validation_split": 1.5, "subset": "both"}, "expected between 0 and 1"),
        ({"label_mode": "one"}, "label_mode is 'one'"),
        ({"class_names": ["cats"]}, "class_names is"),
        ({"color_mode": "bgr"}, "color_mode is 'bgr'"),
    ):
        with pytest.raises(ArgumentError, match=words):
            utils.image_dataset_from_directory(folder, **more)
    with pytest.raises(ShapeError, match="labels has 2 numbers, of 10 files"):
        utils.image_dataset_from_directory(folder, labels=[0, 1])
    with pytest.raises(DataError, match="is no folder"):
        utils.image_dataset_from_directory(folder / "birds")
    (folder / "cats" / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"0\.png is no picture"):
        list(utils.image_dataset_from_directory(folder))


def test_texts_of_folders(folder):
    loader = utils.text_dataset_from_directory(folder, shuffle=False, batch_size=7)
    (texts, labels), (rest, others) = list(loader)
    assert texts[0] == "cats 0 ß"
    assert [*labels, *others] == [0] * 4 + [1] * 6
    assert len(rest) == 3
    short = utils.text_dataset_from_directory(folder, max_length=4, label_mode=None, seed=1)
    assert sorted(next(iter(short))) == ["cats"] * 4 + ["dogs"] * 6
    assert [text for batch in short for text in batch] != sorted(text for batch in short for text in batch)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pictures_and_arrays(tmp_path, data_format):
    keras = theirs()
    pytest.importorskip("PIL")
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    x = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    picture = utils.array_to_img(x, data_format)
    assert_array_equal(np.asarray(picture), np.asarray(keras.utils.array_to_img(x, data_format)))
    array = utils.img_to_array(picture, data_format)
    assert_array_equal(array, keras.utils.img_to_array(picture, data_format), strict=True)
    utils.save_img(tmp_path / "a.png", array, data_format, scale=False)
    assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png"), data_format), array)
    for mode in ("rgb", "rgba", "grayscale"):
        ours = utils.load_img(tmp_path / "a.png", mode, (7, 3), "bilinear")
        assert_array_equal(
            np.asarray(ours), np.asarray(keras.utils.load_img(tmp_path / "a.png", mode, (7, 3), "bilinear"))
        )


def test_parts_of_a_batch():
    keras = theirs()
    for given in ((1,), (1, 2), (1, 2, 3), ((1, 2),), ([1], None, 3)):
        assert utils.pack_x_y_sample_weight(*given) == keras.utils.pack_x_y_sample_weight(*given)
    for data in (5, (1,), (1, 2), [1, 2, 3]):
        assert utils.unpack_x_y_sample_weight(data) == keras.utils.unpack_x_y_sample_weight(data)
    with pytest.raises(ArgumentError, match="data has 4 parts"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))
    for refused in (utils.get_file, utils.model_to_dot):
        with pytest.raises(ArgumentError):
            refused("name")
