"""Inception v3 (Szegedy et al. 2015), with torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from einkorn import ops
from einkorn.models._blocks import Network, Weights, network, pooled
from einkorn.models.preprocessing import TENSORFLOW, TORCHVISION
from einkorn.nn import BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU, init
from einkorn.nn._folding import convolve

__all__ = ["InceptionOutputs", "InceptionV3", "inception_v3"]


class InceptionOutputs(NamedTuple):
    """What the network gives while it trains with its auxiliary classifier."""

    logits: Any
    aux_logits: Any


class BasicConv2d(Module):
    """Convolution without bias, batch norm, ReLU. Keras' norm has no scale: the next layer has one."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: int = 1,
        padding: Any = 0,
        *,
        keras: bool,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = BatchNorm2d(out_channels, 0.001, 0.01 if keras else 0.1)
        if keras:
            self.bn.weight = None
        self.relu = ReLU()

    def forward(self, x: Any) -> Any:
        return convolve(x, self.conv, self.bn, self.relu)


# A branch: its name, and for each convolution the channels, the kernel and "/2" for a stride of 2 without
# padding.
_Branch = tuple[str, Sequence[tuple[Any, ...]]]


class Mixed(Module):
    """Branches side by side: convolutions in a row, and one that pools first (or only pools)."""

    def __init__(
        self, in_channels: int, branches: Sequence[_Branch], pool: int | None, *, keras: bool
    ) -> None:
        super().__init__()
        self._rows: list[list[str]] = []
        self._average_padded = not keras
        self.out_channels = 0
        for name, layers in branches:
            channels, row = in_channels, []
            for at, (width, kernel, *halved) in enumerate(layers, 1):
                sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
                padding = 0 if halved else tuple(side // 2 for side in sides)
                each = name if len(layers) == 1 else f"{name}_{at}"
                conv = BasicConv2d(channels, width, kernel, 2 if halved else 1, padding, keras=keras)
                self.add_module(each, conv)
                row.append(each)
                channels = width
            self._rows.append(row)
            self.out_channels += channels
        self.branch_pool = BasicConv2d(in_channels, pool, 1, keras=keras) if pool else None
        self.out_channels += pool or in_channels

    def forward(self, x: Any) -> Any:
        parts = []
        for row in self._rows:
            part = x
            for name in row:
                part = getattr(self, name)(part)
            parts.append(part)
        return ops.cat((*parts, self._pooled(x)), 1)

    def _pooled(self, x: Any) -> Any:
        if self.branch_pool is None:
            return ops.max_pool2d(x, 3, 2)
        return self.branch_pool(ops.avg_pool2d(x, 3, 1, 1, count_include_pad=self._average_padded))


class Expanded(Mixed):
    """The last kind of mixture: two branches end in a 1x3 and a 3x1 convolution side by side."""

    def __init__(self, in_channels: int, *, keras: bool) -> None:
        super().__init__(in_channels, [], None, keras=keras)
        wide: dict[str, Any] = {"kernel_size": (1, 3), "padding": (0, 1)}
        high: dict[str, Any] = {"kernel_size": (3, 1), "padding": (1, 0)}
        self.branch1x1 = BasicConv2d(in_channels, 320, 1, keras=keras)
        self.branch3x3_1 = BasicConv2d(in_channels, 384, 1, keras=keras)
        self.branch3x3_2a = BasicConv2d(384, 384, **wide, keras=keras)
        self.branch3x3_2b = BasicConv2d(384, 384, **high, keras=keras)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, 1, keras=keras)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, 1, 1, keras=keras)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, **wide, keras=keras)
        self.branch3x3dbl_3b = BasicConv2d(384, 384, **high, keras=keras)
        del self.branch_pool  # the last in order, as in torchvision
        self.branch_pool = BasicConv2d(in_channels, 192, 1, keras=keras)
        self.out_channels = 2048

    def forward(self, x: Any) -> Any:
        two = self.branch3x3_1(x)
        three = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(two), self.branch3x3_2b(two)]
        parts += [self.branch3x3dbl_3a(three), self.branch3x3dbl_3b(three), self._pooled(x)]
        return ops.cat(parts, 1)


def _first(pool: int) -> dict[str, Any]:
    branches = [
        ("branch1x1", [(64, 1)]),
        ("branch5x5", [(48, 1), (64, 5)]),
        ("branch3x3dbl", [(64, 1), (96, 3), (96, 3)]),
    ]
    return {"branches": branches, "pool": pool}


def _seven(width: int) -> dict[str, Any]:
    wide, high = (1, 7), (7, 1)
    double = [(width, 1), (width, high), (width, wide), (width, high), (192, wide)]
    branches = [
        ("branch1x1", [(192, 1)]),
        ("branch7x7", [(width, 1), (width, wide), (192, high)]),
        ("branch7x7dbl", double),
    ]
    return {"branches": branches, "pool": 192}


_MIXED: dict[str, dict[str, Any]] = {
    "Mixed_5b": _first(32),
    "Mixed_5c": _first(64),
    "Mixed_5d": _first(64),
    "Mixed_6a": {
        "branches": [("branch3x3", [(384, 3, 2)]), ("branch3x3dbl", [(64, 1), (96, 3), (96, 3, 2)])],
        "pool": None,
    },
    "Mixed_6b": _seven(128),
    "Mixed_6c": _seven(160),
    "Mixed_6d": _seven(160),
    "Mixed_6e": _seven(192),
    "Mixed_7a": {
        "branches": [
            ("branch3x3", [(192, 1), (320, 3, 2)]),
            ("branch7x7x3", [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)]),
        ],
        "pool": None,
    },
}


class InceptionAux(Module):
    """A classifier in the middle of the network, whose loss helps the first half to learn."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, 1, keras=False)
        self.conv1 = BasicConv2d(128, 768, 5, keras=False)
        self.fc = Linear(768, num_classes)

    def forward(self, x: Any) -> Any:
        return self.fc(pooled(self.conv1(self.conv0(ops.avg_pool2d(x, 5, 3)))))


class InceptionV3(Network):
    """Five convolutions, eleven mixtures of convolutions side by side, the mean, a linear layer.

    Images of 299x299 (at least 75x75). While it trains with its auxiliary classifier it gives
    :class:`InceptionOutputs`.

    Parameters
    ----------
    num_classes : int, default 1000
    aux_logits : bool, default True
        Whether it has the auxiliary classifier; Keras' has none.
    transform_input : bool, default False
        Bring images of ImageNet's mean and deviation to -1..1, for weights that came from TensorFlow.
    dropout : float, default 0.5
        Before the linear layer; Keras' has none.
    keras : bool, keyword-only, default False
        Keras' variant: norms without scale, means that leave out the padding.
    """

    keras_preprocessing: ClassVar = TENSORFLOW

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.5,
        *,
        keras: bool = False,
    ) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, 2, keras=keras)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3, keras=keras)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, 1, 1, keras=keras)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1, keras=keras)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3, keras=keras)
        channels = 192
        self.AuxLogits: InceptionAux | None = None
        for name, parts in _MIXED.items():
            mixed = Mixed(channels, **parts, keras=keras)
            self.add_module(name, mixed)
            channels = mixed.out_channels
            if name == "Mixed_6e" and aux_logits and not keras:
                self.AuxLogits = InceptionAux(channels, num_classes)
        self.Mixed_7b = Expanded(channels, keras=keras)
        self.Mixed_7c = Expanded(2048, keras=keras)
        self.dropout = Dropout(0.0 if keras else dropout)
        self.fc = Linear(2048, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.trunc_normal_(module.weight, 0.0, 0.1, -2.0, 2.0)
        if self.AuxLogits is not None:
            init.trunc_normal_(self.AuxLogits.conv1.conv.weight, 0.0, 0.01, -2.0, 2.0)
            init.trunc_normal_(self.AuxLogits.fc.weight, 0.0, 0.001, -2.0, 2.0)

    def forward(self, x: Any) -> Any:
        middle = self._middle(x)
        logits = self.fc(self.dropout(pooled(self._end(middle))))
        if self.training and self.AuxLogits is not None:
            return InceptionOutputs(logits, self.AuxLogits(middle))
        return logits

    def features(self, x: Any) -> Any:
        """The last feature map, [N, 2048, 8, 8] of 299x299."""
        return self._end(self._middle(x))

    def _middle(self, x: Any) -> Any:
        if self.transform_input:
            shifts = zip(TORCHVISION.mean, TORCHVISION.std, strict=True)
            parts = [x[:, i : i + 1] * (s / 0.5) + (m - 0.5) / 0.5 for i, (m, s) in enumerate(shifts)]
            x = ops.cat(parts, 1)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = ops.max_pool2d(x, 3, 2)
        x = ops.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in list(_MIXED)[:-1]:
            x = getattr(self, name)(x)
        return x

    def _end(self, x: Any) -> Any:
        return self.Mixed_7c(self.Mixed_7b(getattr(self, list(_MIXED)[-1])(x)))

    def keras_name(self, path: str) -> str | None:
        return "predictions" if path == "fc" else None


@network((3, 299, 299))
def inception_v3(weights: Weights = None, num_classes: int = 1000, **options: Any) -> InceptionV3:
    """Inception v3; arguments as InceptionV3 and :func:`~einkorn.models.get_model` have them."""
    return InceptionV3(num_classes, **options)
