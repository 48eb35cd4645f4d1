"""MobileNet (Howard et al. 2017) as Keras has it, its second (Sandler et al. 2018) as torchvision has it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from einkorn.models._blocks import (
    Chain,
    ConvNorm,
    Network,
    Weights,
    divisible,
    he_fan_out,
    initialize,
    network,
    pooled,
)
from einkorn.models.preprocessing import TENSORFLOW
from einkorn.nn import BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU6, Sequential, init
from einkorn.nn._folding import PaddedConv2d, convolve

__all__ = ["MobileNet", "MobileNetV2", "mobilenet", "mobilenet_v2"]

_WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_HALVED = (2, 4, 6, 12)


class MobileNet(Network):
    """A 3x3 convolution and thirteen pairs of a depthwise and a pointwise one, each with norm and ReLU6.

    Parameters
    ----------
    num_classes : int, default 1000
    alpha : float, default 1.0
        Times the channels of every layer.
    dropout : float, default 0.001
        Before the linear layer.
    """

    def __init__(self, num_classes: int = 1000, alpha: float = 1.0, dropout: float = 1e-3) -> None:
        super().__init__()
        channels = int(32 * alpha)
        self.conv1 = PaddedConv2d(3, channels, 3, 2, bias=False)
        self.conv1_bn = _norm(channels)
        self.act = ReLU6()
        for at, base in enumerate(_WIDTHS, 1):
            width = int(base * alpha)
            if at in _HALVED:
                depthwise: Conv2d = PaddedConv2d(
                    channels, channels, 3, 2, groups=channels, bias=False, margins=(0, 1)
                )
            else:
                depthwise = Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
            self.add_module(f"conv_dw_{at}", depthwise)
            self.add_module(f"conv_dw_{at}_bn", _norm(channels))
            self.add_module(f"conv_pw_{at}", Conv2d(channels, width, 1, bias=False))
            self.add_module(f"conv_pw_{at}_bn", _norm(width))
            channels = width
        self.dropout = Dropout(dropout)
        self.fc = Linear(channels, num_classes)
        initialize(self, init.xavier_uniform_)

    def forward(self, x: Any) -> Any:
        return self.fc(self.dropout(pooled(self.features(x))))

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 1024 alpha, H / 32, W / 32]."""
        x = convolve(x, self.conv1, self.conv1_bn, self.act)
        for at in range(1, len(_WIDTHS) + 1):
            for kind in ("dw", "pw"):
                name = f"conv_{kind}_{at}"
                x = convolve(x, getattr(self, name), getattr(self, f"{name}_bn"), self.act)
        return x

    def keras_name(self, path: str) -> str | None:
        return "conv_preds" if path == "fc" else path


def _norm(channels: int) -> BatchNorm2d:
    return BatchNorm2d(channels, 0.001, 0.01)


class InvertedResidual(Module):
    """A 1x1 convolution to many channels, a depthwise one, and a 1x1 convolution back to few."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expand: int, options: dict[str, Any]
    ) -> None:
        super().__init__()
        inner = in_channels * expand
        padding = "same" if options["keras"] and stride == 2 else None
        norm: dict[str, Any] = {"eps": options["eps"], "momentum": options["momentum"], "act": ReLU6}
        first = [] if expand == 1 else [ConvNorm(in_channels, inner, 1, **norm)]
        self.conv = Chain(
            *first,
            ConvNorm(inner, inner, 3, stride, padding=padding, groups=inner, **norm),
            Conv2d(inner, out_channels, 1, bias=False),
            BatchNorm2d(out_channels, options["eps"], options["momentum"]),
        )
        self.use_res_connect = stride == 1 and in_channels == out_channels

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


# times the channels, channels, blocks, stride of the first
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(Network):
    """A 3x3 convolution, seventeen inverted residuals, a 1x1 convolution, the mean, a linear layer.

    Parameters
    ----------
    num_classes : int, default 1000
    width_mult : float, default 1.0
        Times the channels of every layer.
    dropout : float, default 0.2
        Before the linear layer; Keras' has none.
    keras : bool, keyword-only, default False
        Keras' ``eps`` and its padding where the stride is 2.
    """

    head = "classifier.1"
    keras_preprocessing: ClassVar = TENSORFLOW

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, *, keras: bool = False
    ) -> None:
        super().__init__()
        norm: dict[str, Any] = {"eps": 1e-3 if keras else 1e-5, "momentum": 1e-3 if keras else 0.1}
        options = {"keras": keras, **norm}
        channels = divisible(32 * width_mult)
        last = divisible(1280 * max(1.0, width_mult))
        padding = "same" if keras else None
        self.features = Sequential(ConvNorm(3, channels, 3, 2, padding=padding, act=ReLU6, **norm))
        for expand, base, count, stride in _STAGES:
            width = divisible(base * width_mult)
            for at in range(count):
                self.features.append(InvertedResidual(channels, width, 1 if at else stride, expand, options))
                channels = width
        self.features.append(ConvNorm(channels, last, 1, act=ReLU6, **norm))
        self.classifier = Sequential(Dropout(0.0 if keras else dropout), Linear(last, num_classes))
        initialize(self, he_fan_out, 0.01)

    def forward(self, x: Any) -> Any:
        return self.classifier(pooled(self.features(x)))

    def keras_name(self, path: str) -> str | None:
        if path in _KERAS_NAMES:
            return _KERAS_NAMES[path]
        found = re.match(r"features\.(\d+)\.conv\.(\d)(?:\.(\d))?$", path)
        if found is None:
            return None
        block, place, part = int(found[1]) - 1, int(found[2]), found[3]
        first = 0 if block else 1  # the first block widens nothing
        if part is None:
            kind, norm = "project", place + first == 3
        else:
            kind, norm = ("expand", "depthwise")[place + first], part == "1"
        return ("expanded_conv_" if block == 0 else f"block_{block}_") + kind + ("_BN" if norm else "")


_KERAS_NAMES = {
    "features.0.0": "Conv1",
    "features.0.1": "bn_Conv1",
    "features.18.0": "Conv_1",
    "features.18.1": "Conv_1_bn",
    "classifier.1": "predictions",
}


@network(preprocessing=TENSORFLOW)
def mobilenet(weights: Weights = None, num_classes: int = 1000, **options: Any) -> MobileNet:
    """MobileNet; arguments as MobileNet and :func:`~einkorn.models.get_model` have them."""
    return MobileNet(num_classes, **options)


@network()
def mobilenet_v2(weights: Weights = None, num_classes: int = 1000, **options: Any) -> MobileNetV2:
    """MobileNet v2; arguments as MobileNetV2 and :func:`~einkorn.models.get_model` have them."""
    return MobileNetV2(num_classes, **options)
