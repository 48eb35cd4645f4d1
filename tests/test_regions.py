"""RoI align and RoI pool by their definitions, by torchvision's numbers, and of no regions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from einkorn import Tensor, ops

IMAGE = (np.arange(84) % 11 * 0.5 + np.arange(84) * 0.125).reshape(1, 2, 7, 6)
BOXES = np.array([[0, 0.5, 0.25, 5.0, 6.0], [0, 1.0, 2.0, 5.5, 6.5]])

#: What torchvision 0.28 computes for these, rounded to 6 digits: cells of 2 x 2.
ALIGNED = {
    (1.0, 2, False): [
        *(4.59375, 4.684082, 6.595947, 5.928955, 8.884033, 10.25, 11.03125, 12.005127),
        *(5.65625, 4.881836, 7.079102, 6.90625, 9.90625, 11.3125, 12.15625, 12.43457),
    ],
    (1.0, 2, True): [
        *(2.664062, 4.070312, 6.742188, 5.355469, 8.417969, 8.320312, 10.992188, 12.398438),
        *(4.84375, 4.670898, 6.868164, 6.09375, 9.09375, 10.5, 11.34375, 12.223633),
    ],
    (0.5, -1, False): [
        *(3.113281, 3.816406, 3.777344, 4.480469, 8.845703, 8.31012, 8.853149, 8.730469),
        *(3.429688, 4.132812, 5.242188, 5.945312, 8.018066, 8.382812, 9.680176, 10.195312),
    ],
}


@pytest.mark.parametrize("options", ALIGNED)
def test_align_as_torchvision(options: tuple[float, int, bool], backend: str) -> None:
    scale, ratio, aligned = options
    found = ops.roi_align(IMAGE, BOXES, 2, scale, ratio, aligned)
    np.testing.assert_allclose(found.reshape(-1), ALIGNED[options], rtol=0, atol=6e-7)


def _pixel(plane: np.ndarray, y: float, x: float) -> float:
    """Between four pixels; 0 more than one pixel outside."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = math.floor(y), math.floor(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    upper = (1 - u) * plane[top, left] + u * plane[top, right]
    return (1 - v) * upper + v * ((1 - u) * plane[below, left] + u * plane[below, right])


def test_align_is_the_mean_of_points_of_a_cell(backend: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 2, 5, 6))
    for _ in range(8):
        box = [rng.integers(2), *np.sort(rng.uniform(-2, 7, 2)), *np.sort(rng.uniform(-2, 7, 2))]
        n, x1, x2, y1, y2 = box
        for aligned in (False, True):
            shift = 0.5 if aligned else 0.0
            high, wide = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1.0), max(x2 - x1, 1.0))
            found = ops.roi_align(x, np.array([[n, x1, y1, x2, y2]]), (2, 3), 1.0, 2, aligned)
            for c, i, j in np.ndindex(2, 2, 3):
                points = [
                    _pixel(
                        x[int(n), c],
                        y1 - shift + (i + (a + 0.5) / 2) * high / 2,
                        x1 - shift + (j + (b + 0.5) / 2) * wide / 3,
                    )
                    for a in range(2)
                    for b in range(2)
                ]
                assert found[0, c, i, j] == pytest.approx(np.mean(points), abs=1e-12)


def test_pool_is_the_largest_pixel_of_a_cell(backend: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 1, 6, 7))
    for _ in range(12):
        n, (x1, x2), (y1, y2) = (
            rng.integers(2),
            np.sort(rng.integers(-2, 9, 2)),
            np.sort(rng.integers(-2, 8, 2)),
        )
        found = ops.roi_pool(x, np.array([[n, x1, y1, x2, y2]], float), (3, 2))
        for i, j in np.ndindex(3, 2):
            rows = [
                y
                for y in range(6)
                if math.floor(i * (y2 - y1 + 1) / 3) <= y - y1 < math.ceil((i + 1) * (y2 - y1 + 1) / 3)
            ]
            columns = [
                u
                for u in range(7)
                if math.floor(j * (x2 - x1 + 1) / 2) <= u - x1 < math.ceil((j + 1) * (x2 - x1 + 1) / 2)
            ]
            pixels = [x[n, 0, y, u] for y in rows for u in columns]
            assert found[0, 0, i, j] == max(pixels, default=0.0)


@pytest.mark.parametrize("operation", [ops.roi_align, ops.roi_pool])
def test_no_regions_are_a_tensor_for_a_tensor(operation: object) -> None:
    x = Tensor(IMAGE, requires_grad=True)
    out = operation(x, np.zeros((0, 5)), (2, 3))  # type: ignore[operator]
    assert isinstance(out, Tensor)
    assert out.shape == (0, 2, 2, 3)
    out.sum().backward()
    np.testing.assert_array_equal(np.asarray(x.grad), np.zeros(IMAGE.shape))
    assert isinstance(operation(IMAGE, np.zeros((0, 5)), 2), np.ndarray)  # type: ignore[operator]
