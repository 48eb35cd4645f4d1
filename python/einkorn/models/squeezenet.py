"""SqueezeNet (Iandola et al. 2016), with torchvision's names."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._blocks import Chain, Network, Weights, initialize, network
from einkorn.nn import AdaptiveAvgPool2d, Conv2d, Dropout, MaxPool2d, Module, ReLU, init
from einkorn.nn._folding import convolve

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(Module):
    """Few channels of 1x1, then many of 1x1 and 3x3 side by side."""

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = Conv2d(in_channels, squeeze, 1)
        self.squeeze_activation = ReLU()
        self.expand1x1 = Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = ReLU()
        self.expand3x3 = Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = ReLU()

    def forward(self, x: Any) -> Any:
        x = convolve(x, self.squeeze, act=self.squeeze_activation)
        small = convolve(x, self.expand1x1, act=self.expand1x1_activation)
        return ops.cat((small, convolve(x, self.expand3x3, act=self.expand3x3_activation)), 1)


class SqueezeNet(Network):
    """One convolution, eight fire modules with pooling between, a convolution for the classes.

    Parameters
    ----------
    version : "1_0" or "1_1"
        The second computes 2.4 times less.
    num_classes : int, default 1000
    dropout : float, default 0.5
    """

    head = "classifier.1"

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in ("1_0", "1_1"):
            raise ArgumentError(f"SqueezeNet: version is {version!r}, expected '1_0' or '1_1'")
        channels, kernel, pools = (96, 7, (2, 6)) if version == "1_0" else (64, 3, (1, 3))
        self.features = Chain(Conv2d(3, channels, kernel, 2), ReLU(), MaxPool2d(3, 2, ceil_mode=True))
        for at in range(8):
            squeeze = 16 * (at // 2 + 1)
            self.features.append(Fire(channels, squeeze, 4 * squeeze))
            channels = 8 * squeeze
            if at in pools:
                self.features.append(MaxPool2d(3, 2, ceil_mode=True))
        last = Conv2d(512, num_classes, 1)
        self.classifier = Chain(Dropout(dropout), last, ReLU(), AdaptiveAvgPool2d(1))
        initialize(self, init.kaiming_uniform_)
        init.normal_(last.weight, 0.0, 0.01)

    def forward(self, x: Any) -> Any:
        return ops.flatten(self.classifier(self.features(x)), 1)


@network()
def squeezenet1_0(weights: Weights = None, num_classes: int = 1000, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.0; arguments as SqueezeNet and :func:`~einkorn.models.get_model` have them."""
    return SqueezeNet("1_0", num_classes, **options)


@network()
def squeezenet1_1(weights: Weights = None, num_classes: int = 1000, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.1; arguments as SqueezeNet and :func:`~einkorn.models.get_model` have them."""
    return SqueezeNet("1_1", num_classes, **options)
