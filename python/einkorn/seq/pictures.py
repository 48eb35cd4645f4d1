"""Pictures with captions, made by a program: counts, colours, shapes and where they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError

__all__ = ["CAPTION_WORDS", "CaptionedScenes", "captioned_scenes"]

_COLOURS = {"red": (230, 40, 40), "green": (40, 190, 60), "blue": (60, 80, 240), "yellow": (240, 220, 40)}
_SHAPES = ("disc", "square", "triangle", "cross")
_COUNTS = ("one", "two", "three")

#: The words of captions; the first three fill up, begin and end one.
CAPTION_WORDS = (
    *("<pad>", "<start>", "<end>"),
    *_COUNTS,
    *_COLOURS,
    *_SHAPES,
    *(shape + ("es" if shape == "cross" else "s") for shape in _SHAPES),
    *("left", "above", "of"),
)


class CaptionedScenes(NamedTuple):
    """Pictures and their captions.

    Attributes
    ----------
    images : uint8 array [n, size, size, 3]
    tokens : int64 array [n, 10]
        Numbers of ``CAPTION_WORDS``, an end behind them, and what fills up.
    captions : list of str
    """

    images: np.ndarray
    tokens: np.ndarray
    captions: list[str]


def captioned_scenes(count: int, size: int = 48, *, seed: int = 0) -> CaptionedScenes:
    """Pictures of one or two groups of one to three objects, and what there is to say about them.

    A group's objects are alike and side by side: ``two red crosses``. Of two groups the first is left of the
    other or above it, ``one blue disc left of three green squares``: a picture has one caption.

    Parameters
    ----------
    count : int
        Pictures.
    size : int, default 48
        Their height and width; a multiple of 16, at least 32.
    seed : int, keyword-only, default 0

    Returns
    -------
    CaptionedScenes
    """
    whole = all(isinstance(n, (int, np.integer)) for n in (count, size, seed))
    if not whole or count < 0 or size < 32 or size % 16:
        raise ArgumentError(
            f"captioned_scenes: count is {count!r}, expected 0 or more; size is {size!r}, expected 32, 48 ..."
        )
    if seed < 0:
        raise ArgumentError(f"captioned_scenes: seed is {seed!r}, expected 0 or more")
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 70, (count, 1, 1, 3)) + rng.normal(0, 10, (count, size, size, 3))
    images = np.clip(ground, 0, 255).astype(np.uint8)
    tokens, captions = np.zeros((count, 10), np.int64), []
    numbers = {word: i for i, word in enumerate(CAPTION_WORDS)}
    half, cell = size // 2, size // 4
    band = slice(cell, size - cell)  # of the other direction, so that nothing is both left and above
    for image, row in zip(images, tokens, strict=True):
        if rng.random() < 0.25:
            areas, between = [image], ""
        elif rng.random() < 0.5:
            areas, between = [image[band, :half], image[band, half:]], " left of "
        else:
            areas, between = [image[:half, band], image[half:, band]], " above "
        text = between.join(_group(rng, area, cell) for area in areas)
        words = [numbers[word] for word in text.split()]
        row[: len(words) + 1] = [*words, numbers["<end>"]]
        captions.append(text)
    return CaptionedScenes(images, tokens, captions)


def _group(rng: np.random.Generator, area: np.ndarray, cell: int) -> str:
    """Draw one to three like objects into a part of a picture, and name them."""
    many, shape = int(rng.integers(len(_COUNTS))), int(rng.integers(len(_SHAPES)))
    colour = list(_COLOURS)[rng.integers(len(_COLOURS))]
    height, width = area.shape[:2]
    rows, columns = height // cell, width // cell
    cells = [(y, x if y % 2 else columns - 1 - x) for y in range(rows) for x in range(columns)]
    first = int(rng.integers(0, len(cells) - many))
    for place in range(first, first + many + 1):  # neighbours, to and fro
        side = int(rng.integers(cell * 2 // 3, cell + 1))
        top, left = (cell * at + int(rng.integers(0, cell - side + 1)) for at in cells[place])
        inside = _stencil(_SHAPES[shape], side)
        shade = np.array(_COLOURS[colour]) + rng.normal(0, 15, (side, side, 3))
        area[top : top + side, left : left + side][inside] = np.clip(shade, 0, 255).astype(np.uint8)[inside]
    plural = "" if many == 0 else "es" if _SHAPES[shape] == "cross" else "s"
    return f"{_COUNTS[many]} {colour} {_SHAPES[shape]}{plural}"


def _stencil(kind: str, side: int) -> Any:
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    if kind == "disc":
        return x**2 + y**2 <= 0.25
    if kind == "square":
        return np.ones((side, side), bool)
    if kind == "triangle":
        return np.abs(x) <= (y + 0.5) / 2
    return (np.abs(x) < 0.18) | (np.abs(y) < 0.18)
