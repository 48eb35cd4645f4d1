"""VGG (Simonyan and Zisserman 2014), with torchvision's names."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, he_fan_out, initialize, network
from einkorn.models.preprocessing import CAFFE
from einkorn.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, ReLU

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(Network):
    """Five groups of 3x3 convolutions with pooling between, three fully connected layers.

    Parameters
    ----------
    depth : 11, 13, 16 or 19
        Layers with weights.
    num_classes : int, default 1000
    batch_norm : bool, default False
        Behind each convolution.
    dropout : float, default 0.5
        Behind the first two fully connected layers; Keras' VGG has none.
    keras : bool, keyword-only, default False
        Preprocessing and names are those of Keras' weights; the network is the same.
    """

    head = "classifier.6"
    keras_preprocessing: ClassVar = CAFFE
    #: What a fully connected layer is given was, before it was flattened, of this shape.
    flattened: ClassVar = {"classifier.0": (512, 7, 7)}

    def __init__(
        self,
        depth: int,
        num_classes: int = 1000,
        batch_norm: bool = False,
        dropout: float = 0.5,
        *,
        keras: bool = False,
    ) -> None:
        super().__init__()
        self.features = Chain()
        self._convolutions: dict[str, str] = {}
        channels = 3
        for group, count in enumerate(_COUNTS[depth]):
            width = min(64 << group, 512)
            for at in range(count):
                self._convolutions[f"features.{len(self.features)}"] = f"block{group + 1}_conv{at + 1}"
                self.features.append(Conv2d(channels, width, 3, padding=1))
                if batch_norm:
                    self.features.append(BatchNorm2d(width))
                self.features.append(ReLU())
                channels = width
            self.features.append(MaxPool2d(2, 2))
        self.avgpool = AdaptiveAvgPool2d(7)
        self.classifier = Chain(
            Linear(512 * 49, 4096),
            ReLU(),
            Dropout(dropout),
            Linear(4096, 4096),
            ReLU(),
            Dropout(dropout),
            Linear(4096, num_classes),
        )
        initialize(self, he_fan_out, 0.01)

    def forward(self, x: Any) -> Any:
        return self.classifier(ops.flatten(self.avgpool(self.features(x)), 1))

    def keras_name(self, path: str) -> str | None:
        named = {"classifier.0": "fc1", "classifier.3": "fc2", "classifier.6": "predictions"}
        return named.get(path) or self._convolutions.get(path)


@network()
def vgg11(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-11; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(11, num_classes, False, **options)


@network()
def vgg11_bn(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-11 with batch norm; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(11, num_classes, True, **options)


@network()
def vgg13(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-13; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(13, num_classes, False, **options)


@network()
def vgg13_bn(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-13 with batch norm; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(13, num_classes, True, **options)


@network()
def vgg16(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-16; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(16, num_classes, False, **options)


@network()
def vgg16_bn(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-16 with batch norm; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(16, num_classes, True, **options)


@network()
def vgg19(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-19; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(19, num_classes, False, **options)


@network()
def vgg19_bn(weights: Weights = None, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG-19 with batch norm; arguments as VGG and :func:`~einkorn.models.get_model` have them."""
    return VGG(19, num_classes, True, **options)
