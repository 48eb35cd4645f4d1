"""Inception-ResNet v2 (Szegedy et al. 2016), as Keras has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.models._blocks import Network, Weights, network, pooled
from einkorn.models.inception import BasicConv2d
from einkorn.models.preprocessing import TENSORFLOW
from einkorn.nn import Conv2d, Linear, Module, Sequential, init

__all__ = ["InceptionResNetV2", "inception_resnet_v2"]

_Row = Sequence[tuple[Any, ...]]  # channels, kernel and "2" for a stride of 2 without padding


def _convolutions(in_channels: int, row: _Row) -> Sequential:
    layers = Sequential()
    for width, kernel, *halved in row:
        sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = 0 if halved else tuple(side // 2 for side in sides)
        layers.append(BasicConv2d(in_channels, width, kernel, 2 if halved else 1, padding, keras=True))
        in_channels = width
    return layers


class Branches(Module):
    """Rows of convolutions side by side, and a branch that pools: none, "max" or "average" (64 channels)."""

    def __init__(self, in_channels: int, rows: Sequence[_Row], pool: str | None = None) -> None:
        super().__init__()
        self.pool = pool
        self.out_channels = sum(row[-1][0] for row in rows)
        self.rows = Sequential(*[_convolutions(in_channels, row) for row in rows])
        self.average = _convolutions(in_channels, [(64, 1)]) if pool == "average" else None
        self.out_channels += {None: 0, "max": in_channels, "average": 64}[pool]

    def forward(self, x: Any) -> Any:
        parts = [row(x) for row in self.rows]
        if self.average is not None:
            parts.append(self.average(ops.avg_pool2d(x, 3, 1, 1, count_include_pad=False)))
        elif self.pool == "max":
            parts.append(ops.max_pool2d(x, 3, 2))
        return ops.cat(parts, 1)


class Residual(Module):
    """``relu(x + scale * conv(branches(x)))``."""

    def __init__(self, in_channels: int, rows: Sequence[_Row], scale: float, activate: bool = True) -> None:
        super().__init__()
        self.mixed = Branches(in_channels, rows)
        self.conv = Conv2d(self.mixed.out_channels, in_channels, 1)
        self.scale, self.activate = scale, activate

    def forward(self, x: Any) -> Any:
        x = x + self.conv(self.mixed(x)) * self.scale
        return ops.relu(x) if self.activate else x


_BLOCK35: Sequence[_Row] = ([(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)])
_BLOCK17: Sequence[_Row] = ([(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))])
_BLOCK8: Sequence[_Row] = ([(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))])


class InceptionResNetV2(Network):
    """A stem, 10, 20 and 10 residual blocks of three kinds with reductions between, the mean, a linear layer.

    Images of 299x299 (at least 75x75).

    Parameters
    ----------
    num_classes : int, default 1000
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem1 = Sequential(
            BasicConv2d(3, 32, 3, 2, keras=True),
            BasicConv2d(32, 32, 3, keras=True),
            BasicConv2d(32, 64, 3, 1, 1, keras=True),
        )
        self.stem2 = Sequential(BasicConv2d(64, 80, 1, keras=True), BasicConv2d(80, 192, 3, keras=True))
        first: Sequence[_Row] = ([(96, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)])
        self.mixed_5b = Branches(192, first, "average")
        self.block35 = Sequential(*[Residual(320, _BLOCK35, 0.17) for _ in range(10)])
        self.mixed_6a = Branches(320, ([(384, 3, 2)], [(256, 1), (256, 3), (384, 3, 2)]), "max")
        self.block17 = Sequential(*[Residual(1088, _BLOCK17, 0.1) for _ in range(20)])
        last: Sequence[_Row] = (
            [(256, 1), (384, 3, 2)],
            [(256, 1), (288, 3, 2)],
            [(256, 1), (288, 3), (320, 3, 2)],
        )
        self.mixed_7a = Branches(1088, last, "max")
        self.block8 = Sequential(
            *[Residual(2080, _BLOCK8, 0.2 if at < 9 else 1.0, at < 9) for at in range(10)]
        )
        self.conv_7b = BasicConv2d(2080, 1536, 1, keras=True)
        self.fc = Linear(1536, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.xavier_uniform_(module.weight)

    def forward(self, x: Any) -> Any:
        return self.fc(pooled(self.features(x)))

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 1536, 8, 8] of 299x299."""
        x = ops.max_pool2d(self.stem2(ops.max_pool2d(self.stem1(x), 3, 2)), 3, 2)
        x = self.mixed_6a(self.block35(self.mixed_5b(x)))
        x = self.mixed_7a(self.block17(x))
        return self.conv_7b(self.block8(x))

    def keras_name(self, path: str) -> str | None:
        if path == "fc":
            return "predictions"
        parts = path.split(".")
        if parts[0] == "conv_7b":
            return "conv_7b" if parts[1] == "conv" else "conv_7b_bn"
        if parts[0].startswith("block") and parts[-1] == "conv" and len(parts) == 3:
            return f"{parts[0]}_{int(parts[1]) + 1}_conv"
        return None


@network((3, 299, 299), TENSORFLOW)
def inception_resnet_v2(weights: Weights = None, num_classes: int = 1000) -> InceptionResNetV2:
    """Inception-ResNet v2; arguments as :func:`~einkorn.models.get_model` has them."""
    return InceptionResNetV2(num_classes)
