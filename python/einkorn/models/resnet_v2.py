"""Residual networks with the activation before the convolution (He et al. 2016), as Keras has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, he_fan_out, initialize, network, pooled
from einkorn.models.preprocessing import TENSORFLOW
from einkorn.nn import BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential
from einkorn.nn._folding import convolve

__all__ = ["ResNetV2", "resnet50_v2", "resnet101_v2", "resnet152_v2"]


def _norm(channels: int) -> BatchNorm2d:
    return BatchNorm2d(channels, 1.001e-5, 0.01)


class PreactBottleneck(Module):
    """Norm and ReLU, then 1x1, 3x3 and 1x1 convolutions, added to the shortcut as it is."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, widen: bool = False) -> None:
        super().__init__()
        outer = 4 * channels
        self.preact_bn = _norm(in_channels)
        self.relu = ReLU()
        self.shortcut = Conv2d(in_channels, outer, 1, stride) if widen else None
        self.conv1 = Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = _norm(channels)
        self.conv2 = Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = _norm(channels)
        self.conv3 = Conv2d(channels, outer, 1)
        self.stride = stride

    def forward(self, x: Any) -> Any:
        first = self.preact_bn.forward(x, activation="relu")
        if self.shortcut is not None:
            x = self.shortcut(first)
        elif self.stride > 1:
            x = ops.max_pool2d(x, 1, self.stride)
        inner = convolve(first, self.conv1, self.bn1, self.relu)
        inner = convolve(inner, self.conv2, self.bn2, self.relu)
        return convolve(inner, self.conv3, residual=x)


class ResNetV2(Network):
    """A 7x7 convolution and pooling, four stages of blocks, a last norm, the mean, a linear layer.

    Parameters
    ----------
    layers : four ints
        Blocks of each stage; the last one of the first three has the stride.
    num_classes : int, default 1000
    """

    def __init__(self, layers: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 64, 7, 2, 3)
        self.maxpool = MaxPool2d(3, 2)
        channels = 64
        for stage, (count, width) in enumerate(zip(layers, (64, 128, 256, 512), strict=True)):
            blocks = Sequential()
            for at in range(count):
                last = at == count - 1 and stage < 3
                blocks.append(PreactBottleneck(channels, width, 2 if last else 1, widen=at == 0))
                channels = 4 * width
            self.add_module(f"layer{stage + 1}", blocks)
        self.post = Chain({"bn": _norm(channels), "relu": ReLU()})
        self.fc = Linear(channels, num_classes)
        initialize(self, he_fan_out)

    def forward(self, x: Any) -> Any:
        return self.fc(pooled(self.features(x)))

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 2048, H / 32, W / 32]."""
        x = self.maxpool(ops.pad(self.conv1(x), (1, 1, 1, 1)))  # zeros, which negative values lie below
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.post(x)

    def keras_name(self, path: str) -> str | None:
        if path in _KERAS_NAMES:
            return _KERAS_NAMES[path]
        found = re.match(r"layer(\d)\.(\d+)\.(?:(preact_bn)|(shortcut)|(conv|bn)(\d))$", path)
        if found is None:
            return None
        stage, block, preact, shortcut, kind, number = found.groups()
        last = preact or (shortcut and "0_conv") or f"{number}_{kind}"
        return f"conv{int(stage) + 1}_block{int(block) + 1}_{last}"


_KERAS_NAMES = {"conv1": "conv1_conv", "post.bn": "post_bn", "fc": "predictions"}


@network(preprocessing=TENSORFLOW)
def resnet50_v2(weights: Weights = None, num_classes: int = 1000) -> ResNetV2:
    """The second ResNet-50; arguments as :func:`~einkorn.models.get_model` has them."""
    return ResNetV2((3, 4, 6, 3), num_classes)


@network(preprocessing=TENSORFLOW)
def resnet101_v2(weights: Weights = None, num_classes: int = 1000) -> ResNetV2:
    """The second ResNet-101; arguments as :func:`~einkorn.models.get_model` has them."""
    return ResNetV2((3, 4, 23, 3), num_classes)


@network(preprocessing=TENSORFLOW)
def resnet152_v2(weights: Weights = None, num_classes: int = 1000) -> ResNetV2:
    """The second ResNet-152; arguments as :func:`~einkorn.models.get_model` has them."""
    return ResNetV2((3, 8, 36, 3), num_classes)
