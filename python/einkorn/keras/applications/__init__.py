"""Networks for images with Keras' names of layers, arguments and order of weights, made of Keras' layers.

``weights=None`` gives them as they are initialised, a path reads a file of weights that Keras or this library
wrote. Nothing is downloaded: "imagenet" is refused. :mod:`einkorn.models` has the same networks, and more,
with channels first and torch's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.keras.applications.NAME, and the module it lives in ("": it is that module).
_HOMES = {
    "DenseNet121": "densenet",
    "DenseNet169": "densenet",
    "DenseNet201": "densenet",
    "InceptionV3": "inception_v3",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "ResNet101": "resnet",
    "ResNet101V2": "resnet_v2",
    "ResNet152": "resnet",
    "ResNet152V2": "resnet_v2",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "Xception": "xception",
    "densenet": "",
    "imagenet_utils": "",
    "inception_v3": "",
    "mobilenet": "",
    "mobilenet_v2": "",
    "resnet": "",
    "resnet50": "",
    "resnet_v2": "",
    "vgg16": "",
    "vgg19": "",
    "xception": "",
}

_NEAR = "{} has about its size and place"
_INSTEAD = {
    **dict.fromkeys(("InceptionResNetV2", "inception_resnet_v2"), "einkorn.models.inception_resnet_v2 is it"),
    **dict.fromkeys(
        ("MobileNetV3Large", "MobileNetV3Small", "mobilenet_v3", "NASNetMobile", "nasnet"),
        _NEAR.format("MobileNetV2"),
    ),
    **dict.fromkeys(
        (
            *(f"EfficientNetB{i}" for i in range(8)), *(f"EfficientNetV2B{i}" for i in range(4)),
            "efficientnet", "EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L", "efficientnet_v2",
        ),
        _NEAR.format("MobileNetV2 or ResNet50V2"),
    ),
    **dict.fromkeys(
        (
            *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")), "convnext",
            "NASNetLarge",
        ),
        _NEAR.format("ResNet101V2"),
    ),
}  # fmt: skip

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.keras.applications import (
        densenet,
        imagenet_utils,
        inception_v3,
        mobilenet,
        mobilenet_v2,
        resnet,
        resnet50,
        resnet_v2,
        vgg16,
        vgg19,
        xception,
    )
    from einkorn.keras.applications.densenet import DenseNet121, DenseNet169, DenseNet201
    from einkorn.keras.applications.inception_v3 import InceptionV3
    from einkorn.keras.applications.mobilenet import MobileNet
    from einkorn.keras.applications.mobilenet_v2 import MobileNetV2
    from einkorn.keras.applications.resnet import ResNet50, ResNet101, ResNet152
    from einkorn.keras.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
    from einkorn.keras.applications.vgg16 import VGG16
    from einkorn.keras.applications.vgg19 import VGG19
    from einkorn.keras.applications.xception import Xception

__getattr__, __dir__ = later(__name__, _HOMES, _INSTEAD)
