"""Pixels as networks were trained on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras.layers._sides import is_first
from einkorn.keras.ops._recorded import recorded

__all__ = ["decode_predictions", "preprocess_input"]

_MEANS = {"caffe": (103.939, 116.779, 123.68), "torch": (0.485, 0.456, 0.406)}
_DEVIATIONS = (0.229, 0.224, 0.225)


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Pixels from 0 to 255 as a network wants them.

    Parameters
    ----------
    x : array, Tensor or symbolic tensor
        Images of red, green and blue; arrays stay as they were.
    data_format : "channels_last" or "channels_first", optional
    mode : "caffe", "tf" or "torch", default "caffe"
        Blue, green and red less their means; from -1 to 1; or from 0 to 1, less the mean, over the deviation.
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ArgumentError(f"preprocess_input: mode is {mode!r}, expected caffe, tf or torch")
    return _prepared(x, is_first(data_format, "preprocess_input"), mode)


@recorded
def _prepared(x: Any, first: bool, mode: str) -> Any:
    if not isinstance(x, Tensor):
        x = np.asarray(x)
        x = x if x.dtype.kind == "f" else x.astype(np.float32)
    if mode == "tf":
        return ops.subtract(ops.divide(x, 127.5), 1.0)
    shape = (3, 1, 1) if first else (3,)
    kind = (x._data if isinstance(x, Tensor) else x).dtype
    mean = np.array(_MEANS[mode], kind).reshape(shape)
    if mode == "caffe":
        turned = ops.flip(x, (len(x.shape) - (3 if first else 1),))
        return ops.subtract(turned, mean)
    scaled = ops.subtract(ops.divide(x, 255.0), mean)
    return ops.divide(scaled, np.array(_DEVIATIONS, kind).reshape(shape))


def decode_predictions(preds: Any, top: int = 5) -> NoReturn:
    """Refused: the names of ImageNet's classes are a file that is not here."""
    raise ArgumentError(
        "decode_predictions: the names of the classes would have to be downloaded; "
        "einkorn.models.read_class_names reads a file of them"
    )


def preprocessing(mode: str) -> Callable[..., Any]:
    """``preprocess_input`` of one network."""

    def preprocess_input(x: Any, data_format: str | None = None) -> Any:
        return globals()["preprocess_input"](x, data_format, mode)

    preprocess_input.__doc__ = f"Pixels from 0 to 255 as the network wants them: mode {mode!r}."
    return preprocess_input
