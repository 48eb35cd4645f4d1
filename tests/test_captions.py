"""Captions of pictures: what scenes say, and a model that learns to say it."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, optim, seq
from einkorn.errors import ArgumentError, ShapeError

WORDS = seq.CAPTION_WORDS


def test_scenes_say_what_is_on_them() -> None:
    scenes = seq.captioned_scenes(40, seed=3)
    again = seq.captioned_scenes(40, seed=3)
    np.testing.assert_array_equal(scenes.images, again.images)
    assert scenes.captions == again.captions
    assert scenes.images.shape == (40, 48, 48, 3)
    assert {"above", "left", "two", "crosses"} <= set(" ".join(scenes.captions).split())
    for row, caption in zip(scenes.tokens, scenes.captions, strict=True):
        assert [WORDS[i] for i in row if i] == [*caption.split(), "<end>"]
    red = seq.captioned_scenes(400, seed=5)
    for image, caption in zip(red.images, red.captions, strict=True):
        pixels = image.reshape(-1, 3).astype(int)
        is_red = (pixels[:, 0] > 150) & (pixels[:, 1] < 110) & (pixels[:, 2] < 110)
        assert (is_red.sum() > 10) == ("red" in caption)
    with pytest.raises(ArgumentError, match="captioned_scenes: count is 1"):
        seq.captioned_scenes(1, 40)


@pytest.mark.parametrize("attention", [False, True])
def test_captioner_learns_to_name_a_colour(attention: bool) -> None:
    """One word of four, by the colour of a square somewhere on the picture."""
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.Captioner(7, 16, 8, 32, 16, attention=attention)
    colours = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], np.float32)

    def batch(count: int) -> tuple[np.ndarray, np.ndarray]:
        images, which = np.zeros((count, 3, 16, 16), np.float32), rng.integers(0, 4, count)
        for image, colour in zip(images, colours[which], strict=True):
            top, left = 8 * rng.integers(0, 2, 2)
            image[:, top : top + 8, left : left + 8] = colour[:, None, None]
        return images, np.stack([which + 3, np.full(count, 2)], 1)

    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        images, labels = batch(16)
        loss = model.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, labels = batch(32)
    written = model.generate(images, 3, eos_token_id=2)
    assert (written[:, 1:3] == labels).mean() > 0.9
    beams = model.generate(images[:1], 3, eos_token_id=2, num_beams=3)
    assert beams[0, 1:3].tolist() == labels[0].tolist()
    if attention:
        weights = model.align(images, written[:, :2])
        assert weights.shape == (32, 2, 2, 2)
        np.testing.assert_allclose(weights.sum((2, 3)), 1, rtol=1e-5)
    else:
        with pytest.raises(ArgumentError, match="attention is False"):
            model.align(images, written[:, :2])


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="image_size is 20"):
        models.Captioner(9, 20)
    with pytest.raises(ArgumentError, match="width is 6"):
        models.Captioner(9, width=6)
    model = models.Captioner(9, 16)
    with pytest.raises(ShapeError, match="images have shape"):
        model.generate(np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(ArgumentError, match="attention_mask"):
        model.encode(np.zeros((2, 3, 16, 16), np.float32), np.ones((2, 4)))
