"""The residual networks for 32x32 images of He et al. 2015, section 4.2, and their plain twins."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.models._blocks import Network, Weights, initialize, network, pooled
from einkorn.models.preprocessing import CIFAR
from einkorn.nn import BatchNorm2d, Conv2d, Linear, Module, ReLU, Sequential, init
from einkorn.nn._folding import convolve

__all__ = [
    "CIFARResNet",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
]


class CIFARBlock(Module):
    """Two 3x3 convolutions; the shortcut has no parameters: it skips pixels and adds channels of zeros."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, plain: bool = False) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.relu = ReLU()
        self.conv2 = Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.stride, self.more, self.plain = stride, channels - in_channels, plain

    def forward(self, x: Any) -> Any:
        inner = convolve(x, self.conv1, self.bn1, self.relu)
        return convolve(inner, self.conv2, self.bn2, self.relu, None if self.plain else self._shortcut(x))

    def _shortcut(self, x: Any) -> Any:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.more:
            x = ops.pad(x, (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return x


class CIFARResNet(Network):
    """Three stages of 16, 32 and 64 channels with ``n`` blocks each: 6 n + 2 layers with weights.

    Parameters
    ----------
    depth : int
        6 n + 2: 20, 32, 44, 56 or 110.
    num_classes : int, default 10
    plain : bool, keyword-only, default False
        Without shortcuts, to see what these are for.
    """

    head = "linear"

    def __init__(self, depth: int, num_classes: int = 10, *, plain: bool = False) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = BatchNorm2d(16)
        self.relu = ReLU()
        channels = 16
        for stage, width in enumerate((16, 32, 64)):
            blocks = Sequential()
            for at in range((depth - 2) // 6):
                blocks.append(CIFARBlock(channels, width, 2 if stage and not at else 1, plain))
                channels = width
            self.add_module(f"layer{stage + 1}", blocks)
        self.linear = Linear(64, num_classes)
        initialize(self, init.kaiming_normal_)
        init.kaiming_normal_(self.linear.weight)

    def forward(self, x: Any) -> Any:
        return self.linear(pooled(self.features(x)))

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 64, H / 4, W / 4]."""
        x = convolve(x, self.conv1, self.bn1, self.relu)
        for stage in range(1, 4):
            x = getattr(self, f"layer{stage}")(x)
        return x


@network((3, 32, 32), CIFAR)
def resnet20(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-20 for CIFAR-10; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(20, num_classes)


@network((3, 32, 32), CIFAR)
def plain20(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-20 for CIFAR-10 without shortcuts; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(20, num_classes, plain=True)


@network((3, 32, 32), CIFAR)
def resnet32(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-32 for CIFAR-10; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(32, num_classes)


@network((3, 32, 32), CIFAR)
def plain32(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-32 for CIFAR-10 without shortcuts; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(32, num_classes, plain=True)


@network((3, 32, 32), CIFAR)
def resnet44(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-44 for CIFAR-10; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(44, num_classes)


@network((3, 32, 32), CIFAR)
def plain44(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-44 for CIFAR-10 without shortcuts; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(44, num_classes, plain=True)


@network((3, 32, 32), CIFAR)
def resnet56(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-56 for CIFAR-10; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(56, num_classes)


@network((3, 32, 32), CIFAR)
def plain56(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-56 for CIFAR-10 without shortcuts; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(56, num_classes, plain=True)


@network((3, 32, 32), CIFAR)
def resnet110(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-110 for CIFAR-10; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(110, num_classes)


@network((3, 32, 32), CIFAR)
def plain110(weights: Weights = None, num_classes: int = 10) -> CIFARResNet:
    """ResNet-110 for CIFAR-10 without shortcuts; arguments as :func:`~einkorn.models.get_model` has them."""
    return CIFARResNet(110, num_classes, plain=True)
