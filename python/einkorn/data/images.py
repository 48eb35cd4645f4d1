"""What the image sets share: float32 [n, channels, height, width] from 0 to 1."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["Split", "enlarge", "scaled"]

Split = tuple[np.ndarray, np.ndarray]


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Bytes 0..255 as float32 0..1."""
    return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)


def enlarge(images: Any, factor: int) -> np.ndarray:
    """Repeat each pixel ``factor`` times in both directions (nearest neighbor).

    LeNet-5 looks for strokes with 5x5 windows on 28x28 or 32x32 pixels; the 8x8 digits shrink to
    nothing before its second convolution. Enlarged by 4 they are 32x32, the size the network was
    made for, and keep exactly the information they had.

    Parameters
    ----------
    images : array [..., height, width]
    factor : int

    Returns
    -------
    array [..., factor * height, factor * width]
    """
    refuse_masked(images, "enlarge: images")
    images = np.asarray(images)
    if images.ndim < 2:
        raise ShapeError(f"enlarge: images has shape {images.shape}, expected [..., height, width]")
    try:
        factor = operator.index(factor)
    except TypeError:
        factor = 0
    if factor < 1:
        raise ArgumentError("enlarge: factor must be an integer of at least 1")
    if images.size * factor * factor * images.itemsize >= 1 << 62:
        raise ArgumentError(
            f"enlarge: factor is {factor}, and images of shape {images.shape} would be larger than any memory"
        )
    return images.repeat(factor, axis=-2).repeat(factor, axis=-1)
