"""The course's Keras network for two classes of photographs."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, Sequential

__all__ = ["KerasCNN"]


class KerasCNN(Module):
    """Four 3x3 convolutions, each with relu and 2x2 max-pooling, a hidden layer, one output.

    Convolutions of 32, 64, 128 and 128 channels without padding, 512 hidden features: 3,453,121
    parameters for 150x150x3 (images are [n, 3, 150, 150] here). The output [n, 1] is a
    probability, for the loss "binary_crossentropy", as in Keras.

    Parameters
    ----------
    in_channels : int, default 3
    image_size : int, default 150
        Height and width, at least 46.
    logits : bool, keyword-only, default False
        Whether the output is the raw score instead, for the loss "bce_with_logits", which stays
        exact where the sigmoid rounds to 0 or 1.
    """

    def __init__(self, in_channels: int = 3, image_size: int = 150, *, logits: bool = False) -> None:
        super().__init__()
        side = image_size
        self.features = Sequential()
        channels = in_channels
        for width in (32, 64, 128, 128):
            self.features.append(Conv2d(channels, width, 3, activation="relu"))
            self.features.append(MaxPool2d(2))
            channels = width
            side = (side - 2) // 2
        if side < 1:
            raise ArgumentError(f"KerasCNN: image_size is {image_size!r}, expected at least 46")
        self.flatten = Flatten()
        self.hidden = Linear(channels * side * side, 512, activation="relu")
        self.output = Linear(512, 1, activation=None if logits else "sigmoid")
        self.input_shape = (int(in_channels), int(image_size), int(image_size))
        self.config = {
            "in_channels": int(in_channels),
            "image_size": int(image_size),
            "logits": bool(logits),
        }

    def forward(self, x: Any) -> Any:
        return self.output(self.hidden(self.flatten(self.features(x))))
