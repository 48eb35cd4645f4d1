"""DenseNet-121, 169 and 201 (Huang et al. 2016)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing
from einkorn.keras.applications.resnet import EPSILON

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("torch")


def _active(x: Any, norm: str, relu: str) -> Any:
    x = layers.BatchNormalization(axis=axis(), epsilon=EPSILON, name=norm)(x)
    return layers.Activation("relu", name=relu)(x)


def _dense(x: Any, name: str) -> Any:
    """A bottleneck and 32 new channels beside those that are there."""
    new = _active(x, f"{name}_0_bn", f"{name}_0_relu")
    new = layers.Conv2D(128, 1, use_bias=False, name=f"{name}_1_conv")(new)
    new = _active(new, f"{name}_1_bn", f"{name}_1_relu")
    new = layers.Conv2D(32, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(new)
    return layers.Concatenate(axis=axis(), name=f"{name}_concat")([x, new])


def _densenet(
    owner: str, depths: tuple[int, ...], include_top: bool, weights: Any, input_tensor: Any, input_shape: Any,
    pooling: str | None, classes: int, classifier_activation: Any, title: str,
) -> Any:  # fmt: skip
    inputs = begin(owner, weights, input_tensor, input_shape, 224, include_top)
    x = layers.ZeroPadding2D(((3, 3), (3, 3)))(inputs)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(_active(x, "conv1_bn", "conv1_relu"))
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        for i in range(1, depth + 1):
            x = _dense(x, f"conv{stage}_block{i}")
        if stage < 5:
            x = _active(x, f"pool{stage}_bn", f"pool{stage}_relu")
            x = layers.Conv2D(x.shape[axis()] // 2, 1, use_bias=False, name=f"pool{stage}_conv")(x)
            x = layers.AveragePooling2D(2, strides=2, name=f"pool{stage}_pool")(x)
    x = headed(_active(x, "bn", "relu"), include_top, pooling, classes, classifier_activation, owner)
    return finish(inputs, x, title, weights)


def DenseNet121(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "densenet121",
) -> Any:  # fmt: skip
    """DenseNet-121; arguments as those of ``VGG16``."""
    return _densenet(
        "DenseNet121", (6, 12, 24, 16), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def DenseNet169(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "densenet169",
) -> Any:  # fmt: skip
    """DenseNet-169; arguments as those of ``VGG16``."""
    return _densenet(
        "DenseNet169", (6, 12, 32, 32), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip


def DenseNet201(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "densenet201",
) -> Any:  # fmt: skip
    """DenseNet-201; arguments as those of ``VGG16``."""
    return _densenet(
        "DenseNet201", (6, 12, 48, 32), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip
