"""Residual networks (He et al. 2015), as torchvision and as Keras have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.models._blocks import Chain, Network, Weights, he_fan_out, initialize, network, pooled
from einkorn.models.preprocessing import CAFFE
from einkorn.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    init,
)
from einkorn.nn._folding import convolve

__all__ = [
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]


class BasicBlock(Module):
    """Two 3x3 convolutions beside the shortcut."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: Module | None = None,
        *,
        dilation: int = 1,
        width: int = 0,
        groups: int = 1,
        keras: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)
        self.relu = ReLU()
        self.conv2 = Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = convolve(x, self.conv1, self.bn1, self.relu)
        return convolve(x, self.conv2, self.bn2, self.relu, shortcut)


class Bottleneck(Module):
    """1x1, 3x3 and 1x1 convolutions beside the shortcut; the second has the stride, or in Keras the first."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: Module | None = None,
        *,
        dilation: int = 1,
        width: int = 64,
        groups: int = 1,
        keras: bool = False,
    ) -> None:
        super().__init__()
        inner, outer = int(channels * width / 64) * groups, channels * self.expansion
        first, second = (stride, 1) if keras else (1, stride)
        self.conv1 = Conv2d(in_channels, inner, 1, first, bias=keras)
        self.bn1 = _norm(inner, keras)
        self.conv2 = Conv2d(inner, inner, 3, second, dilation, dilation, groups, bias=keras)
        self.bn2 = _norm(inner, keras)
        self.conv3 = Conv2d(inner, outer, 1, bias=keras)
        self.bn3 = _norm(outer, keras)
        self.relu = ReLU()
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = convolve(x, self.conv1, self.bn1, self.relu)
        x = convolve(x, self.conv2, self.bn2, self.relu)
        return convolve(x, self.conv3, self.bn3, self.relu, shortcut)


def _norm(channels: int, keras: bool) -> BatchNorm2d:
    return BatchNorm2d(channels, 1.001e-5, 0.01) if keras else BatchNorm2d(channels)


class ResNet(Network):
    """A 7x7 convolution and pooling, four stages of residual blocks, the mean, a linear layer.

    Layers have torchvision's names, so that its checkpoints fit; ``keras=True`` builds Keras' variant of
    them: convolutions with biases, the stride in a block's first convolution, another ``eps``. With biases
    and running statistics that is 25,636,712 numbers for ResNet-50, where torchvision's has 25,557,032
    parameters.

    Parameters
    ----------
    block : BasicBlock or Bottleneck
    layers : four ints
        Blocks of each stage.
    num_classes : int, default 1000
    groups, width_per_group : int, default 1, 64
        Of the 3x3 convolutions of bottlenecks (Xie et al. 2017).
    zero_init_residual : bool, default False
        Begin with blocks that do nothing (Goyal et al. 2017).
    replace_stride_with_dilation : three bools, optional
        Which of the last three stages widen their kernels instead of shrinking the image.
    keras : bool, keyword-only, default False
    """

    keras_preprocessing: ClassVar = CAFFE

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        *,
        keras: bool = False,
    ) -> None:
        super().__init__()
        dilate = (False,) * 3 if replace_stride_with_dilation is None else tuple(replace_stride_with_dilation)
        if keras and block is not Bottleneck:
            raise ArgumentError(
                "ResNet: keras is True, expected False: Keras has ResNets of bottlenecks alone"
            )
        if len(dilate) != 3:
            raise ArgumentError(
                f"ResNet: replace_stride_with_dilation is {replace_stride_with_dilation!r}, "
                "expected three bools"
            )
        self._channels, self._dilation = 64, 1
        self._options = {"groups": groups, "width": width_per_group, "keras": keras}
        self.conv1 = Conv2d(3, 64, 7, 2, 3, bias=keras)
        self.bn1 = _norm(64, keras)
        self.relu = ReLU()
        self.maxpool = MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(block, 64, layers[0])
        self.layer2 = self._stage(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._stage(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._stage(block, 512, layers[3], 2, dilate[2])
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc = Linear(512 * block.expansion, num_classes)
        initialize(self, he_fan_out)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, (BasicBlock, Bottleneck)):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    assert last.weight is not None
                    init.zeros_(last.weight)

    def _stage(
        self, block: Any, channels: int, count: int, stride: int = 1, dilate: bool = False
    ) -> Sequential:
        before = self._dilation
        if dilate:
            self._dilation, stride = before * stride, 1
        outer, keras = channels * block.expansion, bool(self._options["keras"])
        downsample = None
        if stride != 1 or self._channels != outer:
            conv = Conv2d(self._channels, outer, 1, stride, bias=keras)
            downsample = Chain(conv, _norm(outer, keras))
        blocks = [block(self._channels, channels, stride, downsample, dilation=before, **self._options)]
        self._channels = outer
        for _ in range(1, count):
            blocks.append(block(outer, channels, dilation=self._dilation, **self._options))
        return Sequential(*blocks)

    def forward(self, x: Any) -> Any:
        return self.fc(pooled_by(self.avgpool, self.features(x)))

    def keras_name(self, path: str) -> str | None:
        if path in _KERAS_NAMES:
            return _KERAS_NAMES[path]
        found = re.match(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))$", path)
        if found is None:
            return None
        stage, block, kind, number, shortcut = found.groups()
        last = f"{number}_{kind}" if kind else ("0_conv", "0_bn")[int(shortcut)]
        return f"conv{int(stage) + 1}_block{int(block) + 1}_{last}"

    def features(self, x: Any) -> Any:
        """The last feature map, [N, C, H / 32, W / 32]."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))

    def stem(self, x: Any) -> Any:
        """What comes before the first stage, [N, 64, H / 4, W / 4]."""
        return self.maxpool(convolve(x, self.conv1, self.bn1, self.relu))


def pooled_by(avgpool: Module, x: Any) -> Any:
    """[N, C] by a network's own pooling layer, which may have been replaced or have hooks."""
    if type(avgpool) is AdaptiveAvgPool2d and avgpool.output_size == (1, 1) and not avgpool._hooked:
        return pooled(x)
    x = avgpool(x)
    return x.reshape(x.shape[0], -1)


_KERAS_NAMES = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "predictions"}


@network()
def resnet18(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-18; arguments as ResNet and :func:`~einkorn.models.get_model` have them."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


@network()
def resnet34(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-34; arguments as ResNet and :func:`~einkorn.models.get_model` have them."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


@network()
def resnet50(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-50; arguments as ResNet and :func:`~einkorn.models.get_model` have them."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)


@network()
def resnet101(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-101; arguments as ResNet and :func:`~einkorn.models.get_model` have them."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **options)


@network()
def resnet152(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-152; arguments as ResNet and :func:`~einkorn.models.get_model` have them."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **options)


@network()
def resnext50_32x4d(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNeXt-50 with 32 groups of 4 channels (Xie et al. 2017).

    Arguments as ResNet and :func:`~einkorn.models.get_model` have them.
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, groups=32, width_per_group=4, **options)


@network()
def resnext101_32x8d(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNeXt-101 with 32 groups of 8 channels (Xie et al. 2017).

    Arguments as ResNet and :func:`~einkorn.models.get_model` have them.
    """
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, groups=32, width_per_group=8, **options)


@network()
def resnext101_64x4d(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNeXt-101 with 64 groups of 4 channels (Xie et al. 2017).

    Arguments as ResNet and :func:`~einkorn.models.get_model` have them.
    """
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, groups=64, width_per_group=4, **options)


@network()
def wide_resnet50_2(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-50, its 3x3 convolutions twice as wide (Zagoruyko and Komodakis 2016).

    Arguments as ResNet and :func:`~einkorn.models.get_model` have them.
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, width_per_group=128, **options)


@network()
def wide_resnet101_2(weights: Weights = None, num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-101, its 3x3 convolutions twice as wide (Zagoruyko and Komodakis 2016).

    Arguments as ResNet and :func:`~einkorn.models.get_model` have them.
    """
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, width_per_group=128, **options)
