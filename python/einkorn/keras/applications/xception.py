"""Xception (Chollet 2016)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("tf")


def _norm(x: Any, name: str | None = None) -> Any:
    return layers.BatchNormalization(axis=axis(), name=name)(x)


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return _norm(x, f"{name}_bn")


def _smaller(x: Any, block: int, widths: tuple[int, int], first_act: bool) -> Any:
    """Two separable convolutions and a pool, beside a convolution with stride 2."""
    past = layers.Conv2D(widths[1], 1, strides=2, padding="same", use_bias=False)(x)
    past = _norm(past)
    for i, filters in enumerate(widths, 1):
        if i > 1 or first_act:
            x = layers.Activation("relu", name=f"block{block}_sepconv{i}_act")(x)
        x = _separable(x, filters, f"block{block}_sepconv{i}")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.add([x, past])


def Xception(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "xception",
) -> Any:  # fmt: skip
    """Xception, of images of 299x299; arguments as those of ``VGG16``."""
    inputs = begin("Xception", weights, input_tensor, input_shape, 299, include_top)
    x = inputs
    for i, (filters, stride) in enumerate(((32, 2), (64, 1)), 1):
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"block1_conv{i}")(x)
        x = layers.Activation("relu", name=f"block1_conv{i}_act")(_norm(x, f"block1_conv{i}_bn"))
    x = _smaller(x, 2, (128, 128), False)
    x = _smaller(x, 3, (256, 256), True)
    x = _smaller(x, 4, (728, 728), True)
    for block in range(5, 13):
        past = x
        for i in (1, 2, 3):
            x = layers.Activation("relu", name=f"block{block}_sepconv{i}_act")(x)
            x = _separable(x, 728, f"block{block}_sepconv{i}")
        x = layers.add([x, past])
    x = _smaller(x, 13, (728, 1024), True)
    for i, filters in enumerate((1536, 2048), 1):
        x = _separable(x, filters, f"block14_sepconv{i}")
        x = layers.Activation("relu", name=f"block14_sepconv{i}_act")(x)
    if include_top:
        x = headed(x, True, None, classes, classifier_activation, "Xception")
    else:
        x = headed(x, False, pooling, classes, classifier_activation, "Xception", None)
    return finish(inputs, x, name, weights)
