"""Transforms: what they do to pictures and what goes along, seeds, loaders, torchvision."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from smooth_pictures import pictures

import einkorn
from einkorn.data import ArrayDataset, DataLoader, augment
from einkorn.data.augment import ImageDataGenerator, geometry
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import augment_color, augment_filter, augment_warp

RNG = np.random.default_rng(1)


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
