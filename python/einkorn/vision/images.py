"""Images as detectors read them: uint8 gray, from arrays, Pillow images and files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import is_on_gpu
from einkorn._extras import need
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DataError, DTypeError, ShapeError

__all__ = ["load_image", "rgb_of", "to_gray"]


def load_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file as uint8 [height, width, 3], turned as its EXIF data say.

    Parameters
    ----------
    path : path
        Anything Pillow reads.

    Raises
    ------
    DataError
        When there is no such file or it is no image, or one so large that Pillow takes it for an attack, or
        one of 32-bit numbers.
    MissingPackageError
        When Pillow is not installed.
    """
    Image, ImageOps = (need(f"PIL.{name}", "reading image files") for name in ("Image", "ImageOps"))
    name = os.fspath(path)
    try:
        with Image.open(name) as image:
            return rgb_of(ImageOps.exif_transpose(image), name)
    except OSError as error:
        raise DataError(f"{name}: cannot be read as an image ({error.strerror or error})") from None
    except (Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise DataError(f"{name}: cannot be read as an image ({error})") from None


def rgb_of(image: Any, op: str) -> np.ndarray:
    """A Pillow image as uint8 [height, width, 3]; an alpha channel goes, 16 bits are brought to 8.

    Raises
    ------
    DataError
        Its numbers have 32 bits: what they mean is not known.
    """
    if image.mode.startswith("I;16"):
        bytes_ = np.rint(np.asarray(image, np.float64) / 257).astype(np.uint8)
        return np.stack([bytes_] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise DataError(f"{op}: an image has the mode {image.mode!r}, numbers of 32 bits, expected bytes")
    return np.asarray(image.convert("RGB"))


def to_gray(image: Any, op: str = "to_gray") -> Any:
    """An image as a contiguous uint8 array [height, width]; one on a GPU stays there.

    Parameters
    ----------
    image : uint8 array [height, width], [height, width, 1] or [height, width, 3], Pillow image, or path
        Three channels are red, green, blue. Gray is 0.299 R + 0.587 G + 0.114 B with weights in 1/32768, as
        OpenCV has it.
    op : str
        Named in errors.

    Raises
    ------
    DTypeError
        For other element types: numbers from 0 to 1 would be as good as black.
    ShapeError
        For other shapes; an alpha channel is not guessed about.
    DataError
        For a file that cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        image = load_image(image)
    elif type(image).__module__.partition(".")[0] == "PIL":
        image = np.asarray(image) if image.mode == "L" else rgb_of(image, op)
    elif not hasattr(image, "__array__"):
        raise DTypeError(
            f"{op}: image is a {type(image).__name__}, expected a uint8 array, an image or a path"
        )
    refuse_masked(image, f"{op}: image")
    a = image if is_on_gpu(image) else np.asarray(image)
    if a.dtype != np.uint8:
        raise DTypeError(f"{op}: image has dtype {a.dtype}, expected uint8 (0 to 255)")
    if a.ndim == 3 and a.shape[2] == 1:
        a = a[:, :, 0]
    if a.ndim == 3 and a.shape[2] == 3:
        a = a if a.flags.c_contiguous else a.copy()
        k = engines.of(a)
        out = k.empty(a.shape[:2], np.uint8)
        k.rgb_to_gray(out, a)
        return out
    if a.ndim != 2:
        raise ShapeError(f"{op}: image has shape {a.shape}, expected (height, width) or (height, width, 3)")
    if max(a.shape) >= 1 << 24:
        raise ArgumentError(f"{op}: image has shape {a.shape}, expected sides below {1 << 24}")
    return a if a.flags.c_contiguous else a.copy()
