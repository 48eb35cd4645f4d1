"""What shapes that do not fit usually mean: a missing axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.training.batches import Named, call_model

__all__ = ["call", "check_rows", "ends_in"]


def call(model: Any, inputs: tuple[np.ndarray, ...], op: str) -> Any:
    """Call a model for the first time, and say what is missing when its input does not fit."""
    try:
        return call_model(model, inputs)
    except DTypeError as error:
        if type(inputs) is not Named:
            raise
        raise ArgumentError(
            f"{op}: x is a dict of {', '.join(inputs.names)}, and the model cannot take it: its forward "
            f"lacks parameters of these names ({error})"
        ) from error
    except ShapeError as error:
        hint = _hint(model, inputs[0])
        if not hint:
            raise
        raise ShapeError(f"{op}: x has shape {inputs[0].shape}: {hint} ({error})") from error


def check_rows(model: Any, inputs: tuple[np.ndarray, ...], op: str) -> None:
    """Refuse rows with fewer axes than a model says that its rows have."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple) and (None in shape or "_inputs" in model.__dict__):
        return  # of Keras' form, with the rows: such a model looks at its inputs itself
    if isinstance(shape, tuple) and len(inputs) == 1 and inputs[0].ndim <= len(shape):
        x = inputs[0]
        hint = _hint(model, x)
        if not hint and x.shape == shape:
            hint = "one row without the axis of rows: x[None] has it"
        sizes = ", ".join(map(str, shape))
        raise ShapeError(
            f"{op}: x has shape {x.shape}, expected (rows, {sizes})" + (f": {hint}" if hint else "")
        )


def _leaves(model: Any) -> list[Any]:
    return [module for module in model.modules() if not any(True for _ in module.children())]


def _hint(model: Any, x: np.ndarray) -> str:
    for layer in _leaves(model):
        channels = getattr(layer, "in_channels", None)
        features = getattr(layer, "in_features", None)
        if channels is not None:
            return _image_hint(channels, x)
        if features is not None:
            if x.shape == (features,):
                return "one row without the axis of rows: x[None] has it"
            if x.ndim > 2 and int(np.prod(x.shape[1:])) == features:
                return f"rows of {features} numbers are expected: x.reshape(len(x), -1), or Flatten at first"
            return ""
    return ""


def _image_hint(channels: int, x: np.ndarray) -> str:
    if x.ndim == 4 and x.shape[1] != channels and x.shape[3] == channels:
        return (
            "images are (rows, channels, height, width): x.transpose(0, 3, 1, 2) brings the channels forward"
        )
    if x.ndim == 3 and x.shape[0] == channels:
        return "one image without the axis of rows: x[None] has it"
    if x.ndim == 3 and channels == 1:
        return "images without the axis of channels: x[:, None] has it"
    if x.ndim == 2 and channels == 1:
        return "one image without the axes of rows and channels: x[None, None] has them"
    if x.ndim < 4:
        return f"images are (rows, channels, height, width), here with {channels} channels"
    return ""


def ends_in(model: Any) -> str:
    """ "softmax" or "sigmoid" if that is a model's last layer, as far as its parts tell; else ""."""
    leaves = _leaves(model)
    if not leaves:
        return ""
    name = str(getattr(leaves[-1], "activation", None) or type(leaves[-1]).__name__).lower()
    return name if name in ("softmax", "sigmoid") else ""
