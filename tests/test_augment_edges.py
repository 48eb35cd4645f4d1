"""Transforms of pictures of no size, and of options at their ends."""

import numpy as np
import pytest

from einkorn.data import augment
from einkorn.errors import ShapeError


def test_pictures_without_rows_or_sides_are_defined_or_refused():
    none, flat = np.zeros((0, 3, 8, 8), np.float32), np.zeros((2, 3, 0, 8), np.float32)
    for transform in (
        augment.ColorJitter(0.3, 0.3, 0.3, 0.1),
        augment.ElasticTransform(),
        augment.RandAugment(),
    ):
        assert transform(none).shape == none.shape
        assert transform(flat).shape == flat.shape
    with pytest.raises(ShapeError, match="RandomResizedCrop: pictures are 0x8"):
        augment.RandomResizedCrop(4)(flat)


def test_a_perspective_whose_corners_fall_onto_a_line_is_finite():
    pictures = np.random.default_rng(0).random((4, 1, 2, 2), np.float32)
    for seed in range(40):
        assert np.isfinite(augment.RandomPerspective(1.0, p=1.0, seed=seed)(pictures)).all()


def test_erasing_wants_a_value_for_each_channel():
    pictures = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(ShapeError, match="value has 2 numbers, expected 1, or 3"):
        augment.RandomErasing(p=1, value=[1, 2])(pictures)
    assert augment.RandomErasing(p=1, value=[1, 2, 3], seed=0)(pictures).max() == 3
