"""Fully convolutional networks (Long et al. 2015) on a residual backbone, with torchvision's names."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, network
from einkorn.models.resnet import ResNet, resnet50, resnet101
from einkorn.nn import BatchNorm2d, Conv2d, Dropout, ReLU

__all__ = ["FCN", "fcn_resnet50", "fcn_resnet101"]


class FCNHead(Chain):
    """A 3x3 convolution to a quarter of the channels, then one score map for each class."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            Conv2d(in_channels, inner, 3, padding=1, bias=False),
            BatchNorm2d(inner),
            ReLU(),
            Dropout(0.1),
            Conv2d(inner, channels, 1),
        )


class FCN(Network):
    """Scores for every pixel: a dilated ResNet, a head on its last map, brought to the image's size.

    Parameters
    ----------
    backbone : ResNet
    num_classes : int, default 21
    aux_loss : bool, default False
        A second head on the third stage, which helps it learn.

    Notes
    -----
    As torchvision's it gives a dict: ``"out"`` and, with ``aux_loss``, ``"aux"``, [N, num_classes, H, W]
    each.
    """

    head = "classifier.4"

    def __init__(self, backbone: ResNet, num_classes: int = 21, aux_loss: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        del backbone.fc, backbone.avgpool
        self.classifier = FCNHead(2048, num_classes)
        self.aux_classifier = FCNHead(1024, num_classes) if aux_loss else None

    def forward(self, x: Any) -> dict[str, Any]:
        size, body = tuple(x.shape[-2:]), self.backbone
        third = body.layer3(body.layer2(body.layer1(body.stem(x))))
        found = {"out": self._scores(self.classifier, body.layer4(third), size)}
        if self.aux_classifier is not None:
            found["aux"] = self._scores(self.aux_classifier, third, size)
        return found

    @staticmethod
    def _scores(head: FCNHead, x: Any, size: tuple[int, ...]) -> Any:
        return ops.interpolate(head(x), size, mode="bilinear", align_corners=False)


@network()
def fcn_resnet50(weights: Weights = None, num_classes: int = 21, **options: Any) -> FCN:
    """FCN on ResNet-50; arguments as FCN and :func:`~einkorn.models.get_model` have them."""
    return FCN(resnet50(replace_stride_with_dilation=[False, True, True]), num_classes, **options)


@network()
def fcn_resnet101(weights: Weights = None, num_classes: int = 21, **options: Any) -> FCN:
    """FCN on ResNet-101; arguments as FCN and :func:`~einkorn.models.get_model` have them."""
    return FCN(resnet101(replace_stride_with_dilation=[False, True, True]), num_classes, **options)
