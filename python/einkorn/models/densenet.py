"""Densely connected networks (Huang et al. 2017), with torchvision's names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, initialize, network, pooled
from einkorn.models.preprocessing import KERAS
from einkorn.nn import AvgPool2d, BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Sequential, init

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]


class DenseLayer(Chain):
    """Norm, ReLU, 1x1 convolution, norm, ReLU, 3x3 convolution; the result stands beside the input."""

    def __init__(
        self, in_channels: int, growth: int, width: int, drop_rate: float, norm: Callable[..., Any]
    ) -> None:
        super().__init__(
            {
                "norm1": norm(in_channels),
                "relu1": ReLU(),
                "conv1": Conv2d(in_channels, width * growth, 1, bias=False),
                "norm2": norm(width * growth),
                "relu2": ReLU(),
                "conv2": Conv2d(width * growth, growth, 3, padding=1, bias=False),
            }
        )
        self.drop_rate = drop_rate

    def forward(self, input: Any) -> Any:
        new = super().forward(input)
        if self.drop_rate > 0:
            new = ops.dropout(new, self.drop_rate, self.training)
        return ops.cat((input, new), 1)


class DenseNet(Network):
    """A 7x7 convolution and pooling, four dense blocks with transitions between, the mean, a linear layer.

    Parameters
    ----------
    growth_rate : int, default 32
        Channels that each layer adds.
    block_config : four ints
        Layers of each block.
    num_init_features : int, default 64
    bn_size : int, default 4
        Times growth_rate: the channels between a layer's convolutions.
    drop_rate : float, default 0
    num_classes : int, default 1000
    keras : bool, keyword-only, default False
        Keras' ``eps`` and momentum of batch norm, and its preprocessing.
    """

    head = "classifier"
    keras_preprocessing: ClassVar = KERAS

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        *,
        keras: bool = False,
    ) -> None:
        super().__init__()
        norm = partial(BatchNorm2d, eps=1.001e-5, momentum=0.01) if keras else BatchNorm2d
        channels = num_init_features
        self.features = Chain(
            {
                "conv0": Conv2d(3, channels, 7, 2, 3, bias=False),
                "norm0": norm(channels),
                "relu0": ReLU(),
                "pool0": MaxPool2d(3, 2, 1),
            }
        )
        for at, count in enumerate(block_config, 1):
            block = Sequential()
            for layer in range(1, count + 1):
                block.add_module(
                    f"denselayer{layer}", DenseLayer(channels, growth_rate, bn_size, drop_rate, norm)
                )
                channels += growth_rate
            self.features.add_module(f"denseblock{at}", block)
            if at < len(block_config):
                transition = {
                    "norm": norm(channels),
                    "relu": ReLU(),
                    "conv": Conv2d(channels, channels // 2, 1, bias=False),
                    "pool": AvgPool2d(2, 2),
                }
                self.features.add_module(f"transition{at}", Chain(transition))
                channels //= 2
        self.features.add_module("norm5", norm(channels))
        self.classifier = Linear(channels, num_classes)
        initialize(self, init.kaiming_normal_)
        assert self.classifier.bias is not None
        init.zeros_(self.classifier.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(pooled(ops.relu(self.features(x))))

    def keras_name(self, path: str) -> str | None:
        if path in _KERAS_NAMES:
            return _KERAS_NAMES[path]
        found = re.match(
            r"features\.(denseblock|transition)(\d)\.(?:denselayer(\d+)\.)?(norm|conv)(\d?)$", path
        )
        if found is None:
            return None
        _, at, layer, kind, number = found.groups()
        kind = "bn" if kind == "norm" else "conv"
        if layer is None:
            return f"pool{int(at) + 1}_{kind}"
        place = int(number) - (kind == "bn")  # 0_bn, 1_conv, 1_bn, 2_conv
        return f"conv{int(at) + 1}_block{layer}_{place}_{kind}"


_KERAS_NAMES = {
    "features.conv0": "conv1_conv",
    "features.norm0": "conv1_bn",
    "features.norm5": "bn",
    "classifier": "predictions",
}


@network()
def densenet121(weights: Weights = None, num_classes: int = 1000, **options: Any) -> DenseNet:
    """DenseNet-121; arguments as DenseNet and :func:`~einkorn.models.get_model` have them."""
    return DenseNet(32, (6, 12, 24, 16), 64, num_classes=num_classes, **options)


@network()
def densenet161(weights: Weights = None, num_classes: int = 1000, **options: Any) -> DenseNet:
    """DenseNet-161; arguments as DenseNet and :func:`~einkorn.models.get_model` have them."""
    return DenseNet(48, (6, 12, 36, 24), 96, num_classes=num_classes, **options)


@network()
def densenet169(weights: Weights = None, num_classes: int = 1000, **options: Any) -> DenseNet:
    """DenseNet-169; arguments as DenseNet and :func:`~einkorn.models.get_model` have them."""
    return DenseNet(32, (6, 12, 32, 32), 64, num_classes=num_classes, **options)


@network()
def densenet201(weights: Weights = None, num_classes: int = 1000, **options: Any) -> DenseNet:
    """DenseNet-201; arguments as DenseNet and :func:`~einkorn.models.get_model` have them."""
    return DenseNet(32, (6, 12, 48, 32), 64, num_classes=num_classes, **options)
