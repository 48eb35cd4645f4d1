"""ResNet-50, 101 and 152 (He et al. 2015), strides in the first convolution of a block."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("caffe")
EPSILON = 1.001e-5


def stem(inputs: Any) -> Any:
    """A convolution of 7x7 with stride 2."""
    x = layers.ZeroPadding2D(((3, 3), (3, 3)), name="conv1_pad")(inputs)
    return layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)


def first_pool(x: Any) -> Any:
    """The pool behind it."""
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _block(x: Any, filters: int, stride: int, shortcut: bool, name: str) -> Any:
    def conv(x: Any, number: int, filters: int, size: int, stride: int = 1) -> Any:
        x = layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same" if size > 1 else "valid",
            name=f"{name}_{number}_conv",
        )(x)
        return layers.BatchNormalization(axis=axis(), epsilon=EPSILON, name=f"{name}_{number}_bn")(x)

    past = conv(x, 0, 4 * filters, 1, stride) if shortcut else x
    x = layers.Activation("relu", name=f"{name}_1_relu")(conv(x, 1, filters, 1, stride))
    x = layers.Activation("relu", name=f"{name}_2_relu")(conv(x, 2, filters, 3))
    x = layers.Add(name=f"{name}_add")([past, conv(x, 3, 4 * filters, 1)])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _resnet(
    owner: str, depths: tuple[int, ...], include_top: bool, weights: Any, input_tensor: Any, input_shape: Any,
    pooling: str | None, classes: int, classifier_activation: Any, title: str,
) -> Any:  # fmt: skip
    inputs = begin(owner, weights, input_tensor, input_shape, 224, include_top)
    x = layers.BatchNormalization(axis=axis(), epsilon=EPSILON, name="conv1_bn")(stem(inputs))
    x = first_pool(layers.Activation("relu", name="conv1_relu")(x))
    for stage, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), 2):
        for i in range(1, depth + 1):
            stride = 2 if stage > 2 and i == 1 else 1
            x = _block(x, filters, stride, i == 1, f"conv{stage}_block{i}")
    x = headed(x, include_top, pooling, classes, classifier_activation, owner)
    return finish(inputs, x, title, weights)


def ResNet50(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet50",
) -> Any:  # fmt: skip
    """ResNet-50; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet50", (3, 4, 6, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def ResNet101(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet101",
) -> Any:  # fmt: skip
    """ResNet-101; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet101", (3, 4, 23, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def ResNet152(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "resnet152",
) -> Any:  # fmt: skip
    """ResNet-152; arguments as those of ``VGG16``."""
    return _resnet(
        "ResNet152", (3, 8, 36, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip
