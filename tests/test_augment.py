"""Kernels of augmentation on every engine, against references in NumPy that say what they mean."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import ops
from einkorn.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (3, 3, 21, 19), dtype=np.uint8)
FLOATS = RNG.random((3, 2, 21, 19), dtype=np.float32)
PICTURES = [pytest.param(BYTES, id="uint8"), pytest.param(FLOATS, id="float32")]

pytestmark = pytest.mark.usefixtures("backend")


def assert_same_picture(found: np.ndarray, expected: np.ndarray, within: float = 2e-4) -> None:
    """Bytes: the nearest whole number, or its neighbour where the exact value is halfway."""
    assert found.shape == expected.shape
    if found.dtype == np.uint8:
        assert np.abs(found - expected).max(initial=0) <= 0.5 + 255 * within
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=within * max(1.0, np.abs(expected).max()))


@functools.cache
def place(at: int, n: int, border: str) -> int:
    """NumPy's own padding says where a pixel beyond the border is; -1 is none."""
    if border == "constant":
        return at if 0 <= at < n else -1
    mode: Any = {"nearest": "edge"}.get(border, border)
    far = 4 * n + 64
    return int(np.pad(np.arange(n), far, mode)[at + far])


def warp(
    x: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: str, fill: Any, mode: str = "bilinear",
    field: np.ndarray | None = None, window: Any = None,
) -> np.ndarray:  # fmt: skip
    """A pixel at a time, in float64."""
    images, channels = x.shape[:2]
    out = np.zeros((images, channels, *size))
    fills = np.broadcast_to(np.asarray(fill, np.float64), (channels,))
    for n in range(images):
        left, top, right, bottom = (0, 0, x.shape[3], x.shape[2]) if window is None else window[n]
        image = x[n, :, top:bottom, left:right].astype(np.float64)
        for i, j in np.ndindex(*size):
            a, b, d = matrix[n] @ (j, i, 1)
            a, b = a / d, b / d
            if field is not None:
                a, b = a + field[n, 0, i, j], b + field[n, 1, i, j]
            if mode == "nearest":
                taps = [(np.rint(b), np.rint(a), 1.0)]
            else:
                p, q = math.floor(a), math.floor(b)
                taps = [
                    (q + s, p + t, abs(1 - s - b + q) * abs(1 - t - a + p)) for s in (0, 1) for t in (0, 1)
                ]
            for row, column, weight in taps:
                r, c = place(int(row), image.shape[1], border), place(int(column), image.shape[2], border)
                out[n, :, i, j] += weight * (fills if min(r, c) < 0 else image[:, r, c])
    return out


def turned(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    return np.array([[c, -s, x], [s, c, y], [0, 0, 1]])


ANYWHERE = np.stack(
    [turned(0.4, 1.1, 1.3, -4.2), turned(2.9, 0.8, 17.0, 16.0), turned(-1.2, 2.3, -20.0, 9.5)]
)
AXES = np.stack([np.array([[a, 0, x], [0, b, y], [0, 0, 1.0]]) for a, b, x, y in
                 [(0.37, 0.61, 2.2, 3.7), (-1.3, 0.9, 25.4, -2.0), (2.6, -1.7, -9.0, 30.0)]])  # fmt: skip
WHOLE = np.stack([np.array([[a, 0, x], [0, b, y], [0, 0, 1.0]]) for a, b, x, y in
                  [(1, 1, -4, 3), (-1, 1, 18, 0), (-1, -1, 30, 11)]])  # fmt: skip
BENT = np.stack(
    [turned(0.2, 1.0, 1.0, 2.0) + np.array([[0] * 3, [0] * 3, [0.004, -0.003, k]]) for k in (0, 1, -0.4)]
)


@pytest.mark.parametrize("x", PICTURES)
@pytest.mark.parametrize("border", ["constant", "nearest", "symmetric", "reflect", "wrap"])
@pytest.mark.parametrize("matrix", [ANYWHERE, AXES, WHOLE], ids=["anywhere", "axes", "whole"])
def test_warp(x: np.ndarray, matrix: np.ndarray, border: str) -> None:
    fill = 200.0 if x.dtype == np.uint8 else [0.25, 0.75]
    found = ops.augment_warp(x, matrix, size=(17, 35), border=border, fill=fill)
    assert found.dtype == x.dtype
    assert_same_picture(found, warp(x, matrix, (17, 35), border, fill))


@pytest.mark.parametrize("x", PICTURES)
@pytest.mark.parametrize("border", ["constant", "reflect"])
def test_warp_takes_the_nearest_pixel_and_sees_in_perspective(x: np.ndarray, border: str) -> None:
    for matrix in (ANYWHERE + 1e-3, AXES + 1e-3 * np.eye(3), BENT):
        found = ops.augment_warp(x, matrix, mode="nearest", border=border)
        wanted = warp(x, matrix / matrix[:, 2:, 2:], (21, 19), border, 0, "nearest")
        assert (np.abs(found - wanted).max(1) > 1e-6).mean() < 0.005  # places halfway fall to either side
    assert_same_picture(ops.augment_warp(x, BENT, border=border), warp(x, BENT, (21, 19), border, 0), 1e-3)


@pytest.mark.parametrize("x", PICTURES)
def test_warp_adds_a_field_and_looks_through_windows(x: np.ndarray) -> None:
    field = RNG.normal(0, 2, (3, 2, 21, 19)).astype(np.float32)
    window = np.array([[0, 0, 19, 21], [3, 5, 17, 9], [18, 20, 19, 21]])
    found = ops.augment_warp(x, np.eye(3), field=field, border="symmetric")
    assert_same_picture(found, warp(x, np.stack([np.eye(3)] * 3), (21, 19), "symmetric", 0, field=field))
    for matrix in (ANYWHERE, AXES, WHOLE):
        found = ops.augment_warp(x, matrix, window=window, border="nearest")
        assert_same_picture(found, warp(x, matrix, (21, 19), "nearest", 0, window=window))


@pytest.mark.parametrize("x", PICTURES)
def test_warp_scales_into_floats(x: np.ndarray) -> None:
    scale, shift = RNG.random((2, x.shape[1])).astype(np.float32)
    for matrix in (ANYWHERE, AXES, WHOLE):
        found = ops.augment_warp(x, matrix, scale=scale, shift=shift)
        wanted = warp(x, matrix, (21, 19), "constant", 0) * scale[:, None, None] + shift[:, None, None]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("x", PICTURES)
def test_warp_smooths_what_shrinks(x: np.ndarray) -> None:
    """Each output is the mean of its neighbourhood under a triangle, of what lies inside."""
    found = ops.augment_warp(x, AXES, border="nearest", antialias=True)
    wanted = np.zeros(x.shape)
    for n, m in enumerate(AXES):
        tables = []
        for scale, offset, size in ((m[1, 1], m[1, 2], 21), (m[0, 0], m[0, 2], 19)):
            reach = max(1.0, abs(scale))
            at = scale * np.arange(size)[:, None] + offset
            table = np.maximum(0, 1 - np.abs(np.arange(size) - at) / reach)
            empty = table.sum(1) == 0
            table[empty, np.clip(at[empty, 0], 0, size - 1).astype(int)] = 1
            tables.append(table / table.sum(1, keepdims=True))
        wanted[n] = np.einsum("ih,chw,jw->cij", tables[0], x[n], tables[1])
    assert_same_picture(found, wanted)


def test_places_that_are_no_places_lie_outside() -> None:
    matrix = np.eye(3) * np.ones((4, 1, 1))
    matrix[0, 0, 0], matrix[1, 0, 2], matrix[2, 2] = np.nan, np.inf, (0, 0, 0)
    matrix[3, 1, 2] = -1e300
    for border in ("constant", "nearest", "symmetric", "reflect", "wrap"):
        for x in (np.ones((4, 1, 5, 5), np.float32), np.ones((4, 1, 1, 1), np.uint8)):
            found = ops.augment_warp(x, matrix, size=(6, 6), border=border, fill=7)
            assert (found[:, :, 2:, 2:] == (7 if border == "constant" else 1)).all()


def grey_of(x: np.ndarray) -> np.ndarray:
    g = 0.2989 * x[0] + 0.587 * x[1] + 0.114 * x[2] if len(x) == 3 else x.mean(0)
    return g


def step(x: np.ndarray, kind: str, v: float, limit: float) -> np.ndarray:
    """One image, float64, without the rounding of bytes."""
    import colorsys

    if kind == "brightness":
        return np.clip(v * x, 0, limit)
    if kind == "contrast":
        return np.clip(v * x + (1 - v) * grey_of(x).mean(), 0, limit)
    if kind == "saturation":
        return np.clip(v * x + (1 - v) * grey_of(x), 0, limit)
    if kind == "hue":
        flat = (x / limit).reshape(3, -1).T
        changed = [
            colorsys.hsv_to_rgb((h + v) % 1, s, w) for h, s, w in (colorsys.rgb_to_hsv(*p) for p in flat)
        ]
        return np.array(changed).T.reshape(x.shape) * limit
    if kind == "posterize":
        return np.floor(x / limit * 2**v).clip(0, 2**v - 1) / 2**v * limit
    if kind == "solarize":
        return np.where(x >= v, limit - x, x)
    if kind == "invert":
        return limit - x
    if kind == "autocontrast":
        low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
        return np.where(high > low, (x - low) / np.where(high > low, high - low, 1) * limit, x)
    if kind == "grayscale":
        return np.broadcast_to(grey_of(x), x.shape)
    if kind == "offset":
        return np.clip(x + v, x.min(), x.max())
    if kind == "channel_contrast":
        return np.clip(v * x + (1 - v) * x.mean((1, 2), keepdims=True), 0, limit)
    if kind == "add":
        return np.clip(x + v, 0, limit)
    if kind == "bits":
        return np.floor(x) // 2 ** (8 - v) * 2 ** (8 - v)
    return x


STEPS = {
    "none": 1, "brightness": 1.4, "contrast": 0.6, "saturation": 1.7, "hue": -0.3, "posterize": 3,
    "solarize": 0.4, "invert": 0, "autocontrast": 0, "grayscale": 0, "offset": 0.2,
    "channel_contrast": 0.6, "add": 0.2, "bits": 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_of_color(kind: str) -> None:
    v = STEPS[kind]
    x = RNG.random((2, 3, 33, 40), dtype=np.float32) * 0.8
    found = ops.augment_color(x, [kind], v)
    np.testing.assert_allclose(found, [step(i, kind, v, 1.0) for i in x.astype(np.float64)], atol=1e-5)
    v = v * 255 if kind in ("solarize", "offset", "add") else v
    pixels = (x * 255).astype(np.uint8)
    wanted = np.stack([step(i, kind, v, 255.0) for i in pixels.astype(np.float64)])
    if kind == "posterize":
        wanted = pixels & 0b11100000
    # Rounded down, and so is grey before it is weighted.
    more = abs(1 - v) if kind in ("contrast", "saturation") else 1.0 if kind == "hue" else 0.0
    difference = ops.augment_color(pixels, [kind], v) - wanted
    assert -1.01 - more < difference.min()
    assert difference.max() < more + 0.01


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [*STEPS, "equalize"])
def test_a_step_of_color_where_channels_are_last(kind: str, channels: int) -> None:
    for shape in ((2, channels, 33, 40), (1, channels, 1, 1), (3, channels, 5, 3), (1, channels, 40, 52)):
        x = RNG.integers(0, 256, shape, dtype=np.uint8)
        v = 60.0 if kind in ("solarize", "offset", "add") else STEPS.get(kind, 0)
        for pixels in (x, x.astype(np.float32) / 255):
            value = v / 255 if v == 60 and pixels.dtype == np.float32 else v
            more = {"scale": np.arange(1.0, channels + 1), "shift": np.arange(channels) * 0.5}
            for options in ({}, more):
                wanted = ops.augment_color(pixels, [kind], value, **options)
                last = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
                found = ops.augment_color(last, [kind], value, channels_last=True, **options)
                np.testing.assert_allclose(found.transpose(0, 3, 1, 2), wanted, rtol=1e-6, atol=1e-6)


def test_bits_are_those_of_whole_numbers() -> None:
    x = (RNG.random((2, 3, 33, 40), dtype=np.float32) * 300 - 20).astype(np.float32)
    for bits in range(1, 9):
        found = ops.augment_color(x, ["bits"], bits, limit=255.0)
        whole = np.clip(x, 0, 255).astype(np.uint8) >> (8 - bits) << (8 - bits)
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 17, 70])
@pytest.mark.parametrize("last", [False, True])
def test_mirror(dtype: Any, channels: int, last: bool) -> None:
    across, down = np.array([0, 1, 0, 1], bool), np.array([0, 0, 1, 1], bool)
    for height, width in ((1, 1), (3, 2), (5, 16), (4, 31), (2, 33), (3, 64), (7, 5)):
        shape = (4, height, width, channels) if last else (4, channels, height, width)
        x = RNG.integers(0, 256, shape).astype(dtype)
        wanted = x.copy()
        rows, columns = (1, 2) if last else (2, 3)
        for n in range(4):
            axes = [axis - 1 for axis, chosen in ((rows, down[n]), (columns, across[n])) if chosen]
            wanted[n] = np.flip(x[n], axes)
        np.testing.assert_array_equal(ops.augment_mirror(x, across, down, channels_last=last), wanted)
    np.testing.assert_array_equal(ops.augment_mirror(x, False, channels_last=last), x)
    with pytest.raises(DTypeError, match="across"):
        ops.augment_mirror(x, [0, 1, 0, 1])
    with pytest.raises(ShapeError, match="down"):
        ops.augment_mirror(x, True, np.zeros(3, bool))


@pytest.mark.parametrize("x", PICTURES)
def test_erase(x: np.ndarray) -> None:
    boxes = np.array([[0, 0, 19, 21], [3, 5, 4, 20], [7, 7, 7, 9]])
    values = np.arange(x.shape[1]) + 0.25
    filler = RNG.permutation(x.ravel()).reshape(x.shape)
    given = x.copy()
    for options in ({"value": values}, {"filler": filler}):
        found = ops.augment_erase(x, boxes, **options)
        wanted = x.copy()
        for n, (left, top, right, bottom) in enumerate(boxes):
            part = n, slice(None), slice(top, bottom), slice(left, right)
            wanted[part] = filler[part] if "filler" in options else np.floor(values)[:, None, None]
            if x.dtype == np.float32 and "value" in options:
                wanted[part] = values[:, None, None]
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(x, given)
    for box in ([-1, 0, 2, 2], [0, 0, 20, 2], [0, 0, 2, 22], [3, 0, 2, 2]):
        with pytest.raises(ArgumentError, match="box"):
            ops.augment_erase(x, box)
    with pytest.raises(ShapeError, match="filler"):
        ops.augment_erase(x, [0, 0, 1, 1], filler=x[:1])


def test_equalize_spreads_the_histogram() -> None:
    x = np.clip(RNG.normal(90, 20, (2, 3, 40, 37)), 0, 255).astype(np.uint8)
    x[0, 0] = 13  # of one value: stays
    found = ops.augment_color(x, ["equalize"], 0)
    for image, out in zip(x.reshape(6, -1), found.reshape(6, -1), strict=True):
        counts = np.bincount(image, minlength=256)
        unit = (counts.sum() - counts[image.max()]) // 255
        lut = np.minimum((np.cumsum(counts) - counts + unit // 2) // max(unit, 1), 255)
        np.testing.assert_array_equal(out, lut[image] if unit else image)
    floats = ops.augment_color(x.astype(np.float32) / 255, ["equalize"], 0)
    np.testing.assert_allclose(floats * 255, found, atol=1e-3)


def test_steps_follow_each_other_and_are_each_images_own() -> None:
    names = ["none", "brightness", "contrast", "saturation", "hue"]
    kinds = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 0]])
    values = np.array([[0.8, 1.5, 0.5, 0.1], [0.2, 1.3, 0.7, 1.2], [1, 1, 1, 1]])
    x = RNG.random((3, 3, 40, 61), dtype=np.float32)
    found = ops.augment_color(x, kinds, values, scale=[2, 3, 4], shift=[-1, 0, 1])
    for n in range(3):
        image = x[n].astype(np.float64)
        for kind, v in zip(kinds[n], values[n], strict=True):
            image = step(image, names[kind], v, 1.0)
        np.testing.assert_allclose(
            found[n], image * np.c_[2, 3, 4].T[:, None] + np.c_[-1, 0, 1].T[:, None], atol=3e-5
        )
    np.testing.assert_array_equal(ops.augment_color(x, np.zeros((3, 0), int), np.zeros((3, 0))), x)


@pytest.mark.parametrize("x", PICTURES)
def test_filter(x: np.ndarray) -> None:
    rows, columns = RNG.random((3, 5)), RNG.random((3, 7))
    rows, columns = rows / rows.sum(1, keepdims=True), columns / columns.sum(1, keepdims=True)
    keep, gain = np.array([0, 0.5, -0.5]), np.array([1, 0.5, 1.5])
    wanted = np.zeros(x.shape)
    for n in range(3):
        wide = np.pad(x[n].astype(np.float64), ((0, 0), (2, 2), (3, 3)), "reflect")
        for i, j in np.ndindex(5, 7):
            wanted[n] += rows[n, i] * columns[n, j] * wide[:, i : i + 21, j : j + 19]
        wanted[n] = keep[n] * x[n] + gain[n] * wanted[n]
    if x.dtype == np.uint8:
        wanted = wanted.clip(0, 255)
    assert_same_picture(ops.augment_filter(x, rows, columns, keep=keep, gain=gain), wanted)
    inner = ops.augment_filter(x, rows, columns, keep=keep, gain=gain, edges=True)
    assert_same_picture(inner[:, :, 2:-2, 3:-3], wanted[:, :, 2:-2, 3:-3])
    np.testing.assert_array_equal(inner[:, :, :2], x[:, :, :2])
    np.testing.assert_array_equal(inner[..., -3:], x[..., -3:])
    np.testing.assert_array_equal(ops.augment_filter(x, rows, columns, keep=1, gain=0), x)


def test_filter_mirrors_small_images_as_often_as_it_takes() -> None:
    x = RNG.random((1, 1, 2, 3), dtype=np.float32)
    weights = np.full(9, 1 / 9)
    wide = np.pad(x[0, 0], ((4, 4), (4, 4)), "reflect").astype(np.float64)
    wanted = [[wide[i : i + 9, j : j + 9].mean() for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(ops.augment_filter(x, weights, weights)[0, 0], wanted, atol=1e-6)


def test_noise_has_its_moments_and_belongs_to_the_row() -> None:
    x = np.full((3, 2, 64, 65), 0.5, np.float32)
    rows = np.array([5, 2**32 - 1, 5])
    z = ops.augment_noise(x, rows, [0.1, 0.1, 0.2], seed=3) - 0.5
    assert abs(z[0].mean()) < 0.005
    assert abs(z[0].std() - 0.1) < 0.003
    assert abs(np.corrcoef(z[0].ravel(), z[1].ravel())[0, 1]) < 0.05
    np.testing.assert_allclose(z[2], 2 * z[0], atol=1e-6)
    u = ops.augment_noise(x, rows, 1.0, kind="uniform", seed=3) - 0.5
    assert -1 <= u.min() < -0.99
    assert 0.99 < u.max() < 1
    alone = ops.augment_noise(x[1:2], rows[1:2], 0.1, seed=3) - 0.5
    np.testing.assert_array_equal(alone[0], z[1])
    assert not np.array_equal(ops.augment_noise(x, rows, 0.1, seed=4) - 0.5, z)
    with pytest.raises(ArgumentError, match="rows has numbers -1"):
        ops.augment_noise(x, [-1, 0, 1], 0.1)


def test_salt_and_pepper_change_their_shares() -> None:
    x = np.full((2, 1, 100, 100), 128, np.uint8)
    out = ops.augment_noise(x, [0, 1], [0.1, 0.4], kind="salt_and_pepper", salt=0.25)
    assert set(np.unique(out)) == {0, 128, 255}
    for share, image in zip((0.1, 0.4), out, strict=True):
        assert abs((image != 128).mean() - share) < 0.015
        assert abs((image == 255).mean() - share / 4) < 0.015


@pytest.mark.parametrize("x", PICTURES)
def test_same_bits_for_any_number_of_threads_and_any_batch(x: np.ndarray) -> None:
    many = np.concatenate([x] * 3)
    colors = np.tile([[1, 2, 9, 8]], (9, 1)), np.full((9, 4), 0.7)
    calls = [
        lambda a, s: ops.augment_warp(a, np.concatenate([ANYWHERE, AXES, WHOLE])[s], size=(90, 400)),
        lambda a, s: ops.augment_color(a, colors[0][s], colors[1][s]),
        lambda a, s: ops.augment_filter(a, np.ones(3) / 3, np.ones(5) / 5),
        lambda a, s: ops.augment_noise(a, np.arange(9)[s], 0.1),
        lambda a, s: ops.augment_mirror(a, (np.arange(9) % 2 == 0)[s], (np.arange(9) % 3 == 0)[s]),
        lambda a, s: ops.augment_erase(a, np.tile([2, 3, 9, 8], (9, 1))[s], 0.5),
    ]
    for call in calls:
        with einkorn.num_threads(1):
            whole = call(many, slice(None))
        with einkorn.num_threads(2):
            np.testing.assert_array_equal(call(many, slice(None)), whole)
        np.testing.assert_array_equal(call(many[4:7], slice(4, 7)), whole[4:7])
        strided = np.asfortranarray(many)
        np.testing.assert_array_equal(call(strided, slice(None)), whole)


def test_no_images_and_no_pixels_are_defined() -> None:
    for x in (np.zeros((0, 3, 4, 5), np.uint8), np.zeros((2, 0, 4, 5), np.float32)):
        n = len(x)
        assert ops.augment_warp(x, np.eye(3), size=(6, 7)).shape == (n, x.shape[1], 6, 7)
        assert ops.augment_color(x, ["equalize", "contrast"], 1).shape == x.shape
        assert ops.augment_filter(x, [1.0], [1.0]).shape == x.shape
        assert ops.augment_noise(x, np.zeros(n, int), 1.0).shape == x.shape
        assert ops.augment_mirror(x, True, channels_last=True).shape == x.shape
        assert ops.augment_erase(x, np.zeros((n, 4), int)).shape == x.shape
    assert ops.augment_color(np.zeros((2, 3, 0, 5), np.uint8), ["contrast"], 1).shape == (2, 3, 0, 5)
    assert ops.augment_warp(BYTES, np.eye(3), size=(0, 7)).shape == (3, 3, 0, 7)
    with pytest.raises(ShapeError, match="at least one pixel"):
        ops.augment_warp(np.zeros((2, 3, 0, 5), np.uint8), np.eye(3), size=(6, 7))


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: ops.augment_warp(BYTES.astype(int), np.eye(3)), DTypeError, "x has dtype int64"),
    (lambda: ops.augment_warp([[1]], np.eye(3)), DTypeError, "x is a list"),
    (lambda: ops.augment_warp(BYTES[0], np.eye(3)), ShapeError, "x has shape"),
    (lambda: ops.augment_warp(BYTES, np.eye(4)), ShapeError, "matrix has shape"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), border="edge"), ArgumentError, "border is 'edge'"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), mode=1), ArgumentError, "mode is 1"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), size=-1), ArgumentError, "size is -1"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), size=1 << 15), ShapeError, "2\\*\\*30 pixels"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), window=[0, 0, 20, 21]), ArgumentError, "window leaves"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), window=[3, 0, 3, 21]), ArgumentError, "or is empty"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), field=BYTES), ShapeError, "field has shape"),
    (lambda: ops.augment_warp(BYTES, np.eye(3), antialias=True), ArgumentError, "border 'nearest'"),
    (lambda: ops.augment_warp(BYTES, ANYWHERE, antialias=True, border="nearest"), ArgumentError, "axes axes"),
    (lambda: ops.augment_warp(FLOATS, np.eye(3), dtype=np.uint8), DTypeError, "dtype is uint8"),
    (lambda: ops.augment_color(BYTES, ["blue"], 1), ArgumentError, "kinds is 'blue'"),
    (lambda: ops.augment_color(BYTES, [15], 1), ArgumentError, "kinds has numbers 15"),
    (lambda: ops.augment_color(BYTES, ["hue"], 0.6), ArgumentError, "half a circle"),
    (lambda: ops.augment_color(BYTES, ["hue"], np.nan), ArgumentError, "half a circle"),
    (lambda: ops.augment_color(BYTES, ["posterize"], 9), ArgumentError, "number of bits"),
    (lambda: ops.augment_color(BYTES, ["invert"], 1, limit=1), ArgumentError, "limit is 1"),
    (lambda: ops.augment_filter(BYTES, [1, 1], [1]), ShapeError, "rows has 2 taps"),
    (lambda: ops.augment_filter(BYTES, [1], [1], keep=[1, 2]), ShapeError, "keep has shape"),
    (lambda: ops.augment_noise(BYTES, [0, 1, 2], 1, kind="pink"), ArgumentError, "kind is 'pink'"),
    (lambda: ops.augment_noise(BYTES, [0.5, 1, 2], 1), DTypeError, "rows has dtype float64"),
    (lambda: ops.augment_noise(BYTES, [0, 1, 2], 1, seed=-1), ArgumentError, "seed is -1"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("border", ["constant", "nearest", "symmetric", "reflect", "wrap"])
def test_whole_shifts_of_every_reach(dtype: type, border: str) -> None:
    """Those that keep the width are copied plane by plane; the reference goes pixel by pixel."""
    generator = np.random.default_rng(0)
    modes = {
        "constant": "constant",
        "nearest": "edge",
        "symmetric": "symmetric",
        "reflect": "reflect",
        "wrap": "wrap",
    }
    for height, width, out_height in ((5, 7, 5), (1, 1, 1), (9, 70, 12), (40, 33, 40), (3, 2, 2)):
        shifts = [
            (0, 0),
            (1, 0),
            (0, -1),
            (-2, 3),
            (width, 0),
            (0, -height),
            (-width - 2, height + 1),
            (width - 1, 1 - height),
        ]
        x = generator.integers(0, 256, (len(shifts), 3, height, width)).astype(dtype)
        matrix = np.tile(np.eye(3), (len(shifts), 1, 1))
        matrix[:, :2, 2] = shifts
        options = {"fill": np.array([7.0, 0.0, 200.0])} if border == "constant" else {}
        found = ops.augment_warp(x, matrix, size=(out_height, width), border=border, **options)
        scaled = ops.augment_warp(
            x, matrix, size=(out_height, width), border=border, scale=2.0, shift=1.0, **options
        )
        reach = height + width + out_height + 3
        for n, (across, down) in enumerate(shifts):
            for c in range(3):
                more = {"constant_values": options["fill"][c]} if options else {}
                wide = np.pad(x[n, c], reach, mode=modes[border], **more)
                wanted = wide[reach + down :, reach + across :][:out_height, :width]
                np.testing.assert_array_equal(found[n, c], wanted)
                np.testing.assert_array_equal(scaled[n, c], wanted.astype(np.float32) * 2 + 1)
