"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Module

__all__ = ["LeNet5"]


class LeNet5(Module):
    """Two convolutions with pooling, three fully connected layers; raw scores of classes.

    ======================  ==============  ==========
    layer                   output          parameters
    ======================  ==============  ==========
    convolution 5x5         6 x 28 x 28     156
    pooling 2x2             6 x 14 x 14
    convolution 5x5         16 x 10 x 10    2,416
    pooling 2x2             16 x 5 x 5
    fully connected         120             48,120
    fully connected         84              10,164
    fully connected         10              850
    ======================  ==============  ==========

    Parameters
    ----------
    num_classes : int, default 10
    in_channels : int, default 1
    image_size : 28 or 32, default 28
        The network was made for 32x32; images of 28x28 get a border of two zeros.
    classic : bool, keyword-only, default False
        tanh and average pooling, near to the paper, instead of relu and max-pooling.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
        *,
        classic: bool = False,
    ) -> None:
        super().__init__()
        if image_size not in (28, 32):
            raise ArgumentError(f"LeNet5: image_size is {image_size!r}, expected 28 or 32")
        activation = "tanh" if classic else "relu"
        pool = AvgPool2d if classic else MaxPool2d
        padding = (32 - image_size) // 2
        self.conv1 = Conv2d(in_channels, 6, 5, padding=padding, activation=activation)
        self.pool1 = pool(2)
        self.conv2 = Conv2d(6, 16, 5, activation=activation)
        self.pool2 = pool(2)
        self.flatten = Flatten()
        self.fc1 = Linear(400, 120, activation=activation)
        self.fc2 = Linear(120, 84, activation=activation)
        self.fc3 = Linear(84, num_classes)
        self.input_shape = (self.conv1.in_channels, image_size, image_size)
        self.config = {
            "num_classes": self.fc3.out_features,
            "in_channels": self.conv1.in_channels,
            "image_size": int(image_size),
            "classic": bool(classic),
        }

    def forward(self, x: Any) -> Any:
        x = self.pool1(self.conv1(x))
        x = self.pool2(self.conv2(x))
        return self.fc3(self.fc2(self.fc1(self.flatten(x))))
