"""AlexNet in one stream (Krizhevsky 2014), with torchvision's names."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, network
from einkorn.nn import AdaptiveAvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, ReLU

__all__ = ["AlexNet", "alexnet"]


class AlexNet(Network):
    """Five convolutions, three fully connected layers; images of 63x63 or more.

    Parameters
    ----------
    num_classes : int, default 1000
    dropout : float, default 0.5
    """

    head = "classifier.6"

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = Chain(
            Conv2d(3, 64, 11, 4, 2),
            ReLU(),
            MaxPool2d(3, 2),
            Conv2d(64, 192, 5, padding=2),
            ReLU(),
            MaxPool2d(3, 2),
            Conv2d(192, 384, 3, padding=1),
            ReLU(),
            Conv2d(384, 256, 3, padding=1),
            ReLU(),
            Conv2d(256, 256, 3, padding=1),
            ReLU(),
            MaxPool2d(3, 2),
        )
        self.avgpool = AdaptiveAvgPool2d(6)
        self.classifier = Chain(
            Dropout(dropout),
            Linear(256 * 36, 4096),
            ReLU(),
            Dropout(dropout),
            Linear(4096, 4096),
            ReLU(),
            Linear(4096, num_classes),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(ops.flatten(self.avgpool(self.features(x)), 1))


@network()
def alexnet(weights: Weights = None, num_classes: int = 1000, **options: Any) -> AlexNet:
    """AlexNet; arguments as AlexNet and :func:`~einkorn.models.get_model` have them."""
    return AlexNet(num_classes, **options)
