"""Pictures of files and arrays, with Keras's names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import config

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _order(name: str, data_format: str | None) -> str:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ArgumentError(
            f"{name}: data_format is {data_format!r}, expected 'channels_last' or 'channels_first'"
        )
    return data_format or config.image_data_format()


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A picture as an array [height, width, channels] of float32, with the values that it has.

    Parameters
    ----------
    img : PIL.Image.Image, or array
    data_format : "channels_last" or "channels_first", default "channels_last"
    dtype : default float32
    """
    x = np.asarray(img, dtype=dtype or np.float32)
    first = _order("img_to_array", data_format) == "channels_first"
    if x.ndim == 2:
        return x[None] if first else x[..., None]
    if x.ndim != 3:
        raise ShapeError(f"img_to_array: img has shape {x.shape}, expected two or three axes")
    return x.transpose(2, 0, 1) if first else x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array as a picture of PIL's.

    Parameters
    ----------
    x : array [height, width, channels]
        Of 1, 3 or 4 channels.
    data_format : "channels_last" or "channels_first", default "channels_last"
    scale : bool, default True
        Whether the least value becomes 0 and the largest 255.
    dtype : default float32
        That is computed with.
    """
    from PIL import Image

    pixels = np.asarray(x, dtype=dtype or np.float32)
    if pixels.ndim != 3:
        raise ShapeError(f"array_to_img: x has shape {pixels.shape}, expected [height, width, channels]")
    if _order("array_to_img", data_format) == "channels_first":
        pixels = pixels.transpose(1, 2, 0)
    if scale:
        pixels = pixels - pixels.min()
        most = pixels.max()
        pixels = pixels / (most or 1) * 255
    if pixels.shape[2] not in (1, 3, 4):
        raise ShapeError(f"array_to_img: x has {pixels.shape[2]} channels, expected 1, 3 or 4")
    whole = pixels.astype(np.uint8)
    return Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole)


def load_img(
    path: str | os.PathLike[str], color_mode: str = "rgb", target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
) -> Any:  # fmt: skip
    """The picture of a file, of PIL's.

    Parameters
    ----------
    path : path
    color_mode : "rgb", "rgba" or "grayscale", default "rgb"
    target_size : (int, int), optional
        Height and width that it is brought to.
    interpolation : "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming", default "nearest"
    """
    from PIL import Image

    if color_mode not in _MODES:
        raise ArgumentError(f"load_img: color_mode is {color_mode!r}, expected one of {', '.join(_MODES)}")
    if interpolation not in _FILTERS:
        raise ArgumentError(
            f"load_img: interpolation is {interpolation!r}, expected one of {', '.join(_FILTERS)}"
        )
    with Image.open(path) as image:
        found = image.convert(_MODES[color_mode])
    if target_size is not None and found.size != (target_size[1], target_size[0]):
        found = found.resize((target_size[1], target_size[0]), Image.Resampling[interpolation.upper()])
    return found


def save_img(
    path: str | os.PathLike[str], x: Any, data_format: str | None = None, file_format: str | None = None,
    scale: bool = True, **kwargs: Any,
) -> None:  # fmt: skip
    """Write an array as a picture; arguments as ``array_to_img``, the format by the path's ending.

    Four channels become three in JPEG, which has no transparency. Further arguments are for PIL's ``save``.
    """
    picture = array_to_img(x, data_format, scale)
    kind = (file_format or os.fspath(path).rpartition(".")[2]).lower()
    if picture.mode == "RGBA" and kind in ("jpg", "jpeg"):
        picture = picture.convert("RGB")
    picture.save(path, format=None if file_format is None else kind.replace("jpg", "jpeg"), **kwargs)
