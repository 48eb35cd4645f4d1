"""Xception (Chollet 2017), as Keras has it."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.models._blocks import Network, Weights, network, pooled
from einkorn.models.preprocessing import TENSORFLOW
from einkorn.nn import BatchNorm2d, Conv2d, Linear, Module, ReLU, SeparableConv2d, init
from einkorn.nn._folding import convolve, same

__all__ = ["Xception", "xception"]


def _norm(channels: int) -> BatchNorm2d:
    return BatchNorm2d(channels, 0.001, 0.01)


class XceptionBlock(Module):
    """Separable convolutions with a norm behind each, ReLU before or behind; then pooling, or nothing."""

    def __init__(
        self, in_channels: int, widths: tuple[int, ...], *, halve: bool = False, first_relu: bool = True
    ) -> None:
        super().__init__()
        self.relu = ReLU()
        self.halve, self.first_relu = halve, first_relu
        self.shortcut = Conv2d(in_channels, widths[-1], 1, 2, bias=False) if halve else None
        self.shortcut_bn = _norm(widths[-1]) if halve else None
        self.depth = len(widths)
        for at, width in enumerate(widths, 1):
            self.add_module(f"sepconv{at}", SeparableConv2d(in_channels, width, 3, padding=1, bias=False))
            self.add_module(f"sepconv{at}_bn", _norm(width))
            in_channels = width

    def forward(self, x: Any) -> Any:
        shortcut = x if self.shortcut is None else convolve(x, self.shortcut, self.shortcut_bn)
        x = self.relu(x) if self.first_relu else x
        for at in range(1, self.depth + 1):
            layer, norm = getattr(self, f"sepconv{at}"), getattr(self, f"sepconv{at}_bn")
            act = self.relu if at < self.depth else None
            last = shortcut if at == self.depth and not self.halve else None
            x = convolve(layer.depthwise(x), layer.pointwise, norm, act, last)
        if self.halve:  # "same": what is added counts as nothing, not as zero
            x = ops.max_pool2d(ops.pad(x, same(x.shape[-2:], (3, 3), (2, 2)), value=float("-inf")), 3, 2)
            x = x + shortcut
        return x


class Exit(Module):
    """Two separable convolutions, each with norm and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = ReLU()
        self.sepconv1 = SeparableConv2d(1024, 1536, 3, padding=1, bias=False)
        self.sepconv1_bn = _norm(1536)
        self.sepconv2 = SeparableConv2d(1536, 2048, 3, padding=1, bias=False)
        self.sepconv2_bn = _norm(2048)

    def forward(self, x: Any) -> Any:
        x = convolve(self.sepconv1.depthwise(x), self.sepconv1.pointwise, self.sepconv1_bn, self.relu)
        return convolve(self.sepconv2.depthwise(x), self.sepconv2.pointwise, self.sepconv2_bn, self.relu)


class Xception(Network):
    """Two convolutions, twelve residual blocks of separable convolutions, two more, the mean, a linear layer.

    Images of 299x299 (at least 71x71).

    Parameters
    ----------
    num_classes : int, default 1000
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.relu = ReLU()
        self.block1_conv1 = Conv2d(3, 32, 3, 2, bias=False)
        self.block1_conv1_bn = _norm(32)
        self.block1_conv2 = Conv2d(32, 64, 3, bias=False)
        self.block1_conv2_bn = _norm(64)
        self.block2 = XceptionBlock(64, (128, 128), halve=True, first_relu=False)
        self.block3 = XceptionBlock(128, (256, 256), halve=True)
        self.block4 = XceptionBlock(256, (728, 728), halve=True)
        for at in range(5, 13):
            self.add_module(f"block{at}", XceptionBlock(728, (728, 728, 728)))
        self.block13 = XceptionBlock(728, (728, 1024), halve=True)
        self.block14 = Exit()
        self.fc = Linear(2048, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.xavier_uniform_(module.weight)

    def forward(self, x: Any) -> Any:
        return self.fc(pooled(self.features(x)))

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 2048, 10, 10] of 299x299."""
        x = convolve(x, self.block1_conv1, self.block1_conv1_bn, self.relu)
        x = convolve(x, self.block1_conv2, self.block1_conv2_bn, self.relu)
        for at in range(2, 15):
            x = getattr(self, f"block{at}")(x)
        return x

    def keras_name(self, path: str) -> str | None:
        if path == "fc":
            return "predictions"
        return None if ".shortcut" in path else path.replace(".", "_")


@network((3, 299, 299), TENSORFLOW)
def xception(weights: Weights = None, num_classes: int = 1000) -> Xception:
    """Xception; arguments as :func:`~einkorn.models.get_model` has them."""
    return Xception(num_classes)
