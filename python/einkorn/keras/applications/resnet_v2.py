"""ResNet-50, 101 and 152 with activations before convolutions (He et al. 2016)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing
from einkorn.keras.applications.resnet import EPSILON, first_pool, stem

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("tf")


def _active(x: Any, name: str, norm: str, relu: str) -> Any:
    x = layers.BatchNormalization(axis=axis(), epsilon=EPSILON, name=f"{name}_{norm}")(x)
    return layers.Activation("relu", name=f"{name}_{relu}")(x)


def _block(x: Any, filters: int, stride: int, shortcut: bool, name: str) -> Any:
    before = _active(x, name, "preact_bn", "preact_relu")
    if shortcut:
        past = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    else:
        past = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, strides=1, use_bias=False, name=f"{name}_1_conv")(before)
    x = _active(x, name, "1_bn", "1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = _active(x, name, "2_bn", "2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([past, x])


def _resnet(
    owner: str, depths: tuple[int, ...], include_top: bool, weights: Any, input_tensor: Any, input_shape: Any,
    pooling: str | None, classes: int, classifier_activation: Any, title: str,
) -> Any:  # fmt: skip
    inputs = begin(owner, weights, input_tensor, input_shape, 224, include_top)
    x = first_pool(stem(inputs))
    for stage, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), 2):
        for i in range(1, depth + 1):
            stride = 2 if stage < 5 and i == depth else 1
            x = _block(x, filters, stride, i == 1, f"conv{stage}_block{i}")
    x = _active(x, "post", "bn", "relu")
    x = headed(x, include_top, pooling, classes, classifier_activation, owner)
    return finish(inputs, x, title, weights)


def ResNet50V2(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet50v2",
) -> Any:  # fmt: skip
    """ResNet-50 V2; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet50V2", (3, 4, 6, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def ResNet101V2(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet101v2",
) -> Any:  # fmt: skip
    """ResNet-101 V2; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet101V2", (3, 4, 23, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def ResNet152V2(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet152v2",
) -> Any:  # fmt: skip
    """ResNet-152 V2; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet152V2", (3, 8, 36, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip
