"""How pictures become the input of a network, as those who published its weights had it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.errors import ShapeError

__all__ = ["CAFFE", "CIFAR", "KERAS", "TENSORFLOW", "TORCHVISION", "Preprocessing"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels from 0 to 1


@dataclass(frozen=True)
class Preprocessing:
    """``(pixels / unit - mean) / std`` of a picture brought to the network's size.

    Parameters
    ----------
    size : int
        Height and width of the result.
    resize : int or None
        The shorter side before ``size`` is cut out of the middle, proportions kept; None: the whole picture
        becomes the square.
    unit : float
        What the bytes are divided by.
    mean, std : three floats
        Of each channel, in the order of the result.
    bgr : bool
        Whether blue comes first.
    """

    size: int = 224
    resize: int | None = 256
    unit: float = 255.0
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    bgr: bool = False

    def sized(self, size: int) -> Preprocessing:
        """The same for another size, with as much margin in proportion."""
        margin = None if self.resize is None else round(self.resize * size / self.size)
        return replace(self, size=size, resize=margin)

    def __call__(self, images: Any) -> np.ndarray:
        """The batch for the network.

        Parameters
        ----------
        images : path, uint8 array [H, W, 3] or [H, W], Pillow image, or a list of them

        Returns
        -------
        float32 [n, 3, size, size]

        Raises
        ------
        ShapeError
            An array is no picture of bytes.
        DataError
            A file cannot be read.
        MissingPackageError
            Pillow is not installed, and a picture is a file or has another size.
        """
        several = images if isinstance(images, (list, tuple)) else [images]
        batch = np.empty((len(several), 3, self.size, self.size), np.float32)
        for row, image in zip(batch, several, strict=True):
            pixels = self._resized(image)
            row[...] = (pixels[..., ::-1] if self.bgr else pixels).transpose(2, 0, 1)
        return self.normalize(batch)

    def normalize(self, pixels: Any) -> np.ndarray:
        """Values from 0 to 255, [n, 3, H, W] in the channels' final order, as the network takes them."""
        mean, std = (np.array(a, np.float32).reshape(-1, 1, 1) for a in (self.mean, self.std))
        return (np.asarray(pixels, np.float32) / np.float32(self.unit) - mean) / std

    def restore(self, batch: Any) -> np.ndarray:
        """The pictures behind a batch: uint8 [n, H, W, 3], red first; values beyond 0 to 255 are cut."""
        mean, std = (np.array(a, np.float32).reshape(-1, 1, 1) for a in (self.mean, self.std))
        pixels = (np.asarray(batch) * std + mean) * self.unit
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(pixels[..., ::-1] if self.bgr else pixels)

    def _resized(self, image: Any) -> np.ndarray:
        pixels = picture_of(image)
        height, width = pixels.shape[:2]
        if self.resize is None:
            high = wide = self.size
        else:  # the longer side is cut off to a whole number, the crop begins at the rounded middle
            short = min(height, width)
            high, wide = (int(self.resize * side / short) for side in (height, width))
        if (high, wide) != (height, width):
            Image = need("PIL.Image", "resizing images")
            pixels = np.asarray(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BILINEAR))
        top, left = (round((side - self.size) / 2) for side in (high, wide))
        return pixels[top : top + self.size, left : left + self.size]


def picture_of(image: Any) -> np.ndarray:
    """A path, Pillow image or array of bytes as uint8 [H, W, 3].

    Raises
    ------
    ShapeError
        An array is no picture of bytes.
    """
    from einkorn.vision.images import load_image

    if isinstance(image, (str, os.PathLike)):
        image = load_image(image)
    pixels = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ShapeError(
            f"Preprocessing: an image is {pixels.dtype} {pixels.shape}, expected uint8 (H, W, 3)"
        )
    return pixels


#: The shorter side 256, the middle 224, ImageNet's mean and deviation.
TORCHVISION = Preprocessing()
#: The same scale of the whole picture: Keras' DenseNets.
KERAS = Preprocessing(resize=None)
#: From -1 to 1: Keras' Inception, Xception, MobileNet and second ResNets.
TENSORFLOW = Preprocessing(resize=None, unit=127.5, mean=(1.0,) * 3, std=(1.0,) * 3)
#: Blue first, from 0 to 255 less the mean: Keras' VGG and ResNet, whose weights came from Caffe.
CAFFE = Preprocessing(resize=None, unit=1.0, mean=(103.939, 116.779, 123.68), std=(1.0,) * 3, bgr=True)
#: Pictures of 32x32.
CIFAR = Preprocessing(size=32, resize=None)
