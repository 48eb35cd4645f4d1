"""Transforms: what they do to pictures and what goes along, seeds, torchvision, Keras' generator."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.data import ArrayDataset, DataLoader, augment
from einkorn.data.augment import ImageDataGenerator, geometry
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import augment_color, augment_filter, augment_warp

RNG = np.random.default_rng(1)


def pictures(images: int, channels: int = 3, height: int = 32, width: int = 24) -> np.ndarray:
    """Smooth ones: what differs by a hair's breadth in place differs little in value."""
    coarse = RNG.random((images, channels, 6, 5))
    rows, columns = np.linspace(0, 4.99, height), np.linspace(0, 3.99, width)
    i, j = rows.astype(int), columns.astype(int)
    s, t = (rows - i)[:, None], columns - j
    upper = coarse[:, :, i][..., j] * (1 - t) + coarse[:, :, i][..., j + 1] * t
    lower = coarse[:, :, i + 1][..., j] * (1 - t) + coarse[:, :, i + 1][..., j + 1] * t
    return (upper * (1 - s) + lower * s).astype(np.float32)


EVERYTHING = [
    augment.RandomCrop(20, padding=4, padding_mode="reflect"),
    augment.RandomHorizontalFlip(),
    augment.RandomVerticalFlip(),
    augment.RandomResizedCrop((30, 18)),
    augment.RandomRotation(30, "bilinear", border="wrap"),
    augment.RandomAffine(10, (0.1, 0.2), (0.8, 1.2), (-5, 5, -3, 3)),
    augment.RandomPerspective(0.3),
    augment.ElasticTransform(20.0, 2.0),
    augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    augment.RandomGrayscale(0.3),
    augment.RandomInvert(),
    augment.RandomPosterize(3),
    augment.RandomSolarize(0.6),
    augment.RandomAutocontrast(),
    augment.RandomEqualize(),
    augment.RandomAdjustSharpness(1.7),
    augment.GaussianBlur((3, 5)),
    augment.GaussianNoise(),
    augment.SaltAndPepperNoise(),
    augment.RandomErasing(value="random"),
    augment.RandAugment(3),
    augment.TrivialAugmentWide(),
    augment.RandomApply([augment.RandomRotation(40), augment.GaussianBlur(3)], 0.5),
    augment.RandomChoice([augment.RandomInvert(1.0), augment.RandomRotation(90)], [1, 3]),
    augment.Pad(2),
    augment.CenterCrop(16),
    augment.Resize(12),
]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("member", EVERYTHING, ids=lambda member: type(member).__name__)
def test_a_row_has_its_picture_whatever_is_around_it(member: augment.Transform, dtype: str) -> None:
    x = pictures(9) if dtype == "float32" else (pictures(9) * 255).astype(np.uint8)
    transform = augment.Compose([member], seed=3)
    with einkorn.num_threads(2):
        whole = transform(x)
    rows = np.array([7, 2, 2])
    with einkorn.num_threads(1):
        some = transform(x[rows], rows=rows)
    assert whole.dtype == x.dtype
    np.testing.assert_array_equal(some, whole[rows])
    np.testing.assert_array_equal(transform(x[4], rows=[4]), whole[4])
    if member._draws:
        assert not np.array_equal(transform(x, epoch=1), whole)
        assert not np.array_equal(augment.Compose([member], seed=4)(x), whole)


def test_the_seed_of_the_library_serves_without_one() -> None:
    transform, x = augment.RandomRotation(30), pictures(5)
    einkorn.manual_seed(5)
    first, second = transform(x), transform(x)
    einkorn.manual_seed(5)
    np.testing.assert_array_equal(transform(x), first)
    assert not np.array_equal(first, second)


def test_channels_last_and_tensors_come_back_as_they_came() -> None:
    x = pictures(4)
    first = augment.RandomAffine(20, seed=1)(x)
    last = augment.RandomAffine(20, seed=1, channels_last=True)(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), first)
    tensor = augment.RandomAffine(20, seed=1)(einkorn.Tensor(x))
    assert isinstance(tensor, einkorn.Tensor)
    np.testing.assert_array_equal(tensor.data, first)


def test_fused_steps_are_the_steps_one_by_one() -> None:
    x = (pictures(6) * 255).astype(np.uint8)
    flips = [augment.RandomHorizontalFlip(1.0), augment.RandomVerticalFlip(1.0)]
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    ends = [augment.ToDtype(scale=True), augment.Normalize(mean, std)]
    turn = augment.RandomRotation((30, 30), "bilinear")
    found = augment.Compose([*flips, turn, *flips, *ends])(x)
    alone = x[..., ::-1, ::-1]
    alone = turn(np.ascontiguousarray(alone))[..., ::-1, ::-1]
    wanted = (alone / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.abs(found - wanted).max() < 0.5 / 255 / 0.2 + 1e-4  # a byte's rounding
    jitter = augment.ColorJitter((1.3, 1.3))
    found = augment.Compose([augment.RandomCrop(16), jitter, *ends], seed=2)(x)
    crop = augment.Compose([augment.RandomCrop(16)], seed=2)(x)
    bright = np.minimum(np.floor(crop * np.float32(1.3)), 255)
    np.testing.assert_allclose(
        found, (bright / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)), atol=1e-5
    )


def test_random_crop_of_a_padded_picture_is_one_of_its_windows() -> None:
    x = np.arange(1, 3 * 8 * 8 + 1, dtype=np.float32).reshape(1, 3, 8, 8)
    out = augment.RandomCrop(8, padding=4, seed=0)(np.repeat(x, 200, 0))
    padded = np.pad(x[0], ((0, 0), (4, 4), (4, 4)))
    windows = {padded[:, i : i + 8, j : j + 8].tobytes() for i in range(9) for j in range(9)}
    found = {image.tobytes() for image in out}
    assert found <= windows
    assert len(found) > 60


def test_resized_crops_have_areas_and_ratios_of_their_span() -> None:
    ramp = np.stack(np.meshgrid(np.arange(90.0), np.arange(60.0)))[None].astype(np.float32)
    out = augment.RandomResizedCrop(20, (0.2, 0.5), (0.5, 2.0), seed=0)(np.repeat(ramp, 300, 0))
    width = (out[:, 0, 5, -2] - out[:, 0, 5, 1]) / 17 * 20
    height = (out[:, 1, -2, 5] - out[:, 1, 1, 5]) / 17 * 20
    area, ratio = width * height / (60 * 90), width / height
    assert 0.19 < area.min() < 0.24
    assert 0.45 < area.max() < 0.51
    assert 0.48 < ratio.min() < 0.6
    assert 1.6 < ratio.max() < 2.1


def test_shares_of_the_images() -> None:
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4).repeat(8000, 0)
    flipped = (augment.RandomHorizontalFlip(0.3, seed=2)(x) != x).any((1, 2, 3))
    assert abs(flipped.mean() - 0.3) < 0.03
    chosen = augment.RandomChoice([augment.RandomInvert(1.0), augment.Pad(0)], [1, 3], seed=3)(x)
    assert abs((chosen != x).any((1, 2, 3)).mean() - 0.25) < 0.03
    with pytest.raises(ShapeError, match="must not change their size"):
        augment.RandomApply([augment.CenterCrop(1)])(x)


@pytest.mark.parametrize(
    "member",
    [
        augment.RandomHorizontalFlip(1.0),
        augment.RandomRotation((90, 90)),
        augment.RandomAffine((20, 20), scale=(1.3, 1.3)),
        augment.RandomPerspective(0.4, 1.0),
        augment.RandomResizedCrop(48, (0.6, 0.9)),
        augment.ElasticTransform(60.0, 6.0),
        augment.Compose([augment.RandomHorizontalFlip(), augment.RandomCrop(36), augment.RandomRotation(20)]),
    ],
    ids=lambda member: type(member).__name__,
)
def test_boxes_masks_and_points_go_along(member: augment.Transform) -> None:
    """A bright spot stays under its point, within its box, and on its mask."""
    transform = augment.Compose([member], seed=5)
    n, side = 12, 40
    at = RNG.uniform(14, 26, (n, 2))
    i, j = np.mgrid[:side, :side]
    distance = np.hypot(j - at[:, 0, None, None], i - at[:, 1, None, None])
    x = np.exp(-((distance / 2) ** 2)).astype(np.float32)[:, None]
    masks = (distance < 3).astype(np.int64) * 7
    boxes = np.stack([at[:, 0] - 3, at[:, 1] - 3, at[:, 0] + 4, at[:, 1] + 4], 1)[:, None]
    out, moved, flat, points = transform(x, boxes=boxes, masks=masks, points=at[:, None])
    for k in range(n):
        if x[k].max() == 0 or out[k].max() < 0.6:
            continue  # turned out of the picture
        row, column = np.unravel_index(out[k, 0].argmax(), out.shape[2:])
        assert math.hypot(points[k, 0, 0] - column, points[k, 0, 1] - row) < 1.6
        left, top, right, bottom = moved[k, 0]
        assert left <= column + 0.5 <= right
        assert top <= row + 0.5 <= bottom
        assert flat[k, row, column] == 7
        assert set(np.unique(flat[k])) <= {0, 7}
    assert flat.dtype == np.int64
    as_lists = transform(x, boxes=list(boxes))[1]
    np.testing.assert_allclose(np.stack(as_lists), moved)


def test_a_box_is_cut_off_at_the_edges() -> None:
    x = np.zeros((1, 1, 10, 20), np.float32)
    _, boxes = augment.Pad((3, 2, 0, 0))(x, boxes=np.array([[[0, 0, 20, 10], [5, 5, 6, 7]]], np.float32))
    np.testing.assert_allclose(boxes, [[[3, 2, 23, 12], [8, 7, 9, 9]]])
    _, boxes = augment.CenterCrop(10)(x, boxes=np.array([[[0, 0, 20, 10]]], np.float32))
    np.testing.assert_allclose(boxes, [[[0, 0, 10, 10]]])


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda x: augment.RandomCrop(64)(x), ShapeError, "size is \\(64, 64\\), expected at most"),
    (lambda x: augment.RandomCrop(0), ArgumentError, "size is 0"),
    (lambda x: augment.RandomHorizontalFlip(1.5), ArgumentError, "p is 1.5"),
    (lambda x: augment.RandomRotation(-3), ArgumentError, "degrees is -3"),
    (lambda x: augment.RandomRotation(3, expand=True), ArgumentError, "expand is True"),
    (lambda x: augment.RandomRotation(3, "bicubic"), ArgumentError, "interpolation is 'bicubic'"),
    (lambda x: augment.RandomAffine(0, (0.1, 2)), ArgumentError, "translate is"),
    (lambda x: augment.ColorJitter(hue=0.6), ArgumentError, "hue is"),
    (lambda x: augment.GaussianBlur(4), ArgumentError, "kernel_size is 4"),
    (lambda x: augment.RandAugment(magnitude=31), ArgumentError, "magnitude is 31"),
    (lambda x: augment.Compose([abs]), ArgumentError, "transforms has"),
    (lambda x: augment.RandomInvert(seed=-1), ArgumentError, "seed is -1"),
    (lambda x: augment.RandomInvert()(x.astype(np.float64)), DTypeError, "x has dtype float64"),
    (lambda x: augment.RandomInvert()(x[0, 0]), ShapeError, "x has shape"),
    (lambda x: augment.RandomInvert()(x, rows=[1]), ShapeError, "rows has 1"),
    (lambda x: augment.RandomInvert()(x, masks=x[:1]), ShapeError, "masks has shape"),
    (lambda x: augment.RandomInvert()(x, boxes=np.zeros((2, 4, 5))), ShapeError, "boxes has not 4"),
    (lambda x: augment.Normalize(0.5, 0.5)((x * 255).astype(np.uint8)), DTypeError, "ToDtype"),
    (lambda x: augment.Normalize(0.5, 0.0), ArgumentError, "std above 0"),
    (lambda x: ImageDataGenerator(fill_mode="mirror"), ArgumentError, "fill_mode is 'mirror'"),
    (lambda x: ImageDataGenerator().flow(x, subset="test"), ArgumentError, "subset is 'test'"),
    (lambda x: ImageDataGenerator().flow(x, [1]), ShapeError, "y has shape"),
    (lambda x: ImageDataGenerator().apply_transform(x[0], {"angle": 3}), ArgumentError, "angle"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(pictures(2))


# --- loaders ---------------------------------------------------------------------------------------------


class Rows:
    """A dataset of rows, by number."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.x[index], index


@pytest.mark.parametrize("kind", ["arrays", "rows", "workers", "sampler"])
def test_a_loader_gives_a_row_the_same_picture_in_any_batch(kind: str) -> None:
    x = pictures(20)
    data: Any = ArrayDataset(x, np.arange(20)) if kind == "arrays" else Rows(x)
    found = []
    for size in (3, 8):
        options: dict[str, Any] = {"num_workers": 2, "threads": True} if kind == "workers" else {}
        if kind == "sampler":
            options["sampler"] = [5, 3, 19, 0, 7, 7]
        else:
            options["shuffle"] = True
        loader = DataLoader(data, size, transform=augment.RandomRotation(40, seed=1), seed=size, **options)
        passes = []
        for _ in range(2):
            seen = {int(i): image for images, rows in loader for image, i in zip(images, rows, strict=True)}
            passes.append(seen)
        assert not np.array_equal(passes[0][7], passes[1][7])
        found.append(passes)
    for first, second in zip(*found, strict=True):
        assert first.keys() == second.keys()
        for i in first:
            np.testing.assert_array_equal(first[i], second[i])


def test_fit_learns_from_a_loader_with_a_transform() -> None:
    x = np.zeros((64, 1, 8, 8), np.float32)
    y = np.arange(64) % 2
    x[y == 1, :, 2:6, 3:5] = 1
    x[y == 0, :, 3:5, 2:6] = 1
    einkorn.manual_seed(0)
    model = einkorn.nn.Sequential(
        einkorn.nn.Flatten(), einkorn.nn.Linear(64, 16), einkorn.nn.ReLU(), einkorn.nn.Linear(16, 2)
    )
    model.compile(einkorn.optim.Adam(model.parameters(), 0.01), "cross_entropy", metrics=["accuracy"])
    loader = DataLoader((x, y), 16, shuffle=True, transform=augment.RandomCrop(8, padding=1, seed=0))
    history = model.fit(loader, epochs=30, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert loader.epoch == 30
    doubled = DataLoader(x, 16, transform=lambda batch: batch * 2)
    np.testing.assert_array_equal(np.concatenate(list(doubled)), 2 * x)


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


def test_plot_augmented() -> None:
    pytest.importorskip("matplotlib")
    axes = augment.plot_augmented(augment.RandomRotation(30, seed=0), pictures(2, 1), 3)
    assert axes.shape == (2, 4)
    assert axes[0, 0].images[0].get_array().shape == (32, 24)
    assert not np.array_equal(axes[1, 1].images[0].get_array(), axes[1, 2].images[0].get_array())
    last = pictures(2).transpose(0, 2, 3, 1)
    again = augment.plot_augmented(ImageDataGenerator(rotation_range=9), last, 3, axes)
    assert again[1, 3].images[-1].get_array().shape == (32, 24, 3)


def test_flips_of_one_launch_are_those_of_matrices() -> None:
    """Alone, twice, before and after crops, of some pictures, with targets and with a scale."""
    x = pictures(24, 3, 9, 14)
    flips = [augment.RandomHorizontalFlip(0.5), augment.RandomVerticalFlip(0.5)]
    some = augment.RandomApply(flips, 0.5, seed=4)(x)
    for members in (flips, [*flips, *flips], [some_of(flips)], [*flips, augment.Rescale(2.0, 1.0)]):
        once = augment.Compose(members, seed=3)
        out, boxes, points = once(
            x, boxes=np.tile([[1.0, 2, 6, 8]], (24, 1, 1)), points=np.tile([[3.0, 3.0]], (24, 1, 1))
        )
        np.testing.assert_array_equal(out, once(x))
        turned = 0
        for n in range(24):
            column, row = points[n, 0].astype(int)
            scale, shift = (2, 1) if isinstance(members[-1], augment.Rescale) else (1, 0)
            np.testing.assert_allclose(out[n, :, row, column], x[n, :, 3, 3] * scale + shift, rtol=1e-6)
            across, down = column != 3, row != 3
            left, top = (8 if across else 1), (1 if down else 2)
            np.testing.assert_array_equal(boxes[n, 0], [left, top, left + 5, top + 6])
            turned += across + down
        assert 5 < turned < 43
    assert 0 < (some != x).any((1, 2, 3)).sum() < 24
    crop = augment.Compose([flips[0], augment.RandomCrop(9, 2), flips[1]], seed=8)(x)
    assert crop.shape == (24, 3, 9, 9)


def some_of(members: list[Any]) -> Any:
    return augment.RandomApply(members, 0.7)


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


# --- torchvision ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def functional() -> Any:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    return importlib.import_module("torchvision.transforms.v2.functional")


def same(found: np.ndarray, theirs: Any, within: float = 1.01) -> None:
    """Bytes may differ by one, which is how they are rounded."""
    tolerance = within if found.dtype == np.uint8 else 2e-5
    assert np.abs(found.astype(np.float64) - theirs.numpy().astype(np.float64)).max() <= tolerance


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_functions_are_torchvisions(functional: Any, dtype: str) -> None:
    torch = importlib.import_module("torch")
    modes = importlib.import_module("torchvision.transforms.v2").InterpolationMode
    x = pictures(3) if dtype == "float32" else (pictures(3) * 255).astype(np.uint8)
    t, one, zero, size = torch.from_numpy(x), np.ones(3), np.zeros((3, 2)), (32, 24)
    for mode in ("bilinear", "nearest"):
        theirs = {"interpolation": modes(mode)}
        same(
            augment_warp(x, geometry.affine(size, -30 * one, zero, one, zero), mode=mode),
            functional.rotate(t, 30, **theirs),
        )
        found = augment_warp(
            x,
            geometry.affine(size, 20 * one, np.add(zero, [3, -5]), 1.2 * one, np.add(zero, [10, 5])),
            mode=mode,
        )
        same(found, functional.affine(t, 20, [3, -5], 1.2, [10, 5], **theirs))
        starts = np.array([[0, 0], [23, 0], [23, 31], [0, 31]])
        ends = np.array([[2, 4], [20, 1], [19, 29], [4, 27]])
        half = geometry.moves(0.5, 0.5, 1)[0]
        m = np.linalg.inv(half) @ geometry.perspective(starts.astype(float), np.stack([ends] * 3)) @ half
        same(
            augment_warp(x, m, mode=mode), functional.perspective(t, starts.tolist(), ends.tolist(), **theirs)
        )
    for new, (left, top, right, bottom) in (((12, 9), (2, 3, 22, 30)), ((40, 50), (5, 5, 20, 15))):
        m = np.diag([(right - left) / new[1], (bottom - top) / new[0], 1])
        m[:2, 2] = m[[0, 1], [0, 1]] / 2 - 0.5
        found = augment_warp(
            x, m, size=new, window=[left, top, right, bottom], border="nearest", antialias=True
        )
        same(
            found,
            functional.resized_crop(t, top, left, bottom - top, right - left, list(new), antialias=True),
        )
    white = 255 if dtype == "uint8" else 1
    for name, v, function in (
        ("brightness", 1.3, functional.adjust_brightness), ("contrast", 0.6, functional.adjust_contrast),
        ("saturation", 1.7, functional.adjust_saturation), ("hue", -0.4, functional.adjust_hue),
        ("posterize", 3, functional.posterize), ("solarize", 0.5 * white, functional.solarize),
        ("autocontrast", None, functional.autocontrast), ("equalize", None, functional.equalize),
    ):  # fmt: skip
        theirs = function(t) if v is None else function(t, v)
        same(augment_color(x, [name], v or 0), theirs)
    w = geometry.gaussian(5, 1.3)[0]
    same(augment_filter(x, w, w), functional.gaussian_blur(t, [5, 5], [1.3, 1.3]))
