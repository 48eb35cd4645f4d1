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
        images : path, uint8 array [H, W, 3] or [H, W], Pillow image, or a list of them, or [n, H, W, 3]
            Of a fourth channel, alpha, nothing is seen; pictures of 16 bits are brought to 8.

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
        several = images if isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4 else [images]
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
            if max(high, wide) > 16 * self.size:  # of a long strip only what is taken of it is enlarged
                ratio = width / wide, height / high
                begin = [round((side - self.size) / 2) for side in (wide, high)]
                ends = [*begin, *(b + self.size for b in begin)]
                box = [end * r for end, r in zip(ends, ratio * 2, strict=True)]
                middle = Image.fromarray(pixels).resize((self.size,) * 2, Image.Resampling.BILINEAR, box)
                return np.asarray(middle)
            pixels = np.asarray(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BILINEAR))
        top, left = (round((side - self.size) / 2) for side in (high, wide))
        return pixels[top : top + self.size, left : left + self.size]


def picture_of(image: Any) -> np.ndarray:
    """A path, Pillow image or array of bytes, [H, W] or with one, three or four channels, as uint8 [H, W, 3].

    Raises
    ------
    ShapeError
        An array is no picture of bytes.
    """
    from einkorn.vision.images import load_image, rgb_of

    if isinstance(image, (str, os.PathLike)):
        image = load_image(image)
    pixels = rgb_of(image, "Preprocessing") if hasattr(image, "convert") else np.asarray(image)
    channels = {2: 1, 3: pixels.shape[-1]}.get(pixels.ndim) if pixels.ndim else None
    if pixels.dtype != np.uint8 or channels not in (1, 3, 4) or not pixels.size:
        raise ShapeError(
            f"Preprocessing: an image is {pixels.dtype} {pixels.shape}, expected uint8 (H, W, 3)"
        )
    if channels == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return pixels[:, :, :3]  # without an alpha channel, as of files


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
