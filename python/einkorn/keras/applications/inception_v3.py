"""Inception V3 (Szegedy et al. 2015)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("tf")


def _conv(x: Any, filters: int, rows: int, columns: int, padding: str = "same", stride: int = 1) -> Any:
    x = layers.Conv2D(filters, (rows, columns), strides=stride, padding=padding, use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(axis=axis(), scale=False)(x))


def _joined(parts: list[Any], name: str | None) -> Any:
    return layers.concatenate(parts, axis=axis(), name=name)


def _means(x: Any, filters: int) -> Any:
    return _conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1, 1)


def _fives(x: Any, pooled: int, name: str) -> Any:
    """Windows of 1, 5 and twice 3, and means."""
    one = _conv(x, 64, 1, 1)
    five = _conv(_conv(x, 48, 1, 1), 64, 5, 5)
    three = _conv(_conv(_conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3)
    return _joined([one, five, three, _means(x, pooled)], name)


def _sevens(x: Any, width: int, name: str) -> Any:
    """Windows of 7 as rows and columns, once and twice."""
    one = _conv(x, 192, 1, 1)
    seven = _conv(_conv(_conv(x, width, 1, 1), width, 1, 7), 192, 7, 1)
    twice = _conv(_conv(_conv(x, width, 1, 1), width, 7, 1), width, 1, 7)
    twice = _conv(_conv(twice, width, 7, 1), 192, 1, 7)
    return _joined([one, seven, twice, _means(x, 192)], name)


def _spread(x: Any, number: int) -> Any:
    """Windows of 3 whose rows and columns stand beside each other."""
    one = _conv(x, 320, 1, 1)
    three = _conv(x, 384, 1, 1)
    first, second = _conv(three, 384, 1, 3), _conv(three, 384, 3, 1)
    three = _joined([first, second], f"mixed9_{number}")
    twice = _conv(_conv(x, 448, 1, 1), 384, 3, 3)
    first, second = _conv(twice, 384, 1, 3), _conv(twice, 384, 3, 1)
    twice = _joined([first, second], None)
    return _joined([one, three, twice, _means(x, 192)], f"mixed{9 + number}")


def InceptionV3(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "inception_v3",
) -> Any:  # fmt: skip
    """Inception V3, of images of 299x299; arguments as those of ``VGG16``."""
    inputs = begin("InceptionV3", weights, input_tensor, input_shape, 299, include_top)
    x = _conv(inputs, 32, 3, 3, "valid", 2)
    x = _conv(_conv(x, 32, 3, 3, "valid"), 64, 3, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _conv(_conv(x, 80, 1, 1, "valid"), 192, 3, 3, "valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    for i, pooled in enumerate((32, 64, 64)):
        x = _fives(x, pooled, f"mixed{i}")
    three = _conv(x, 384, 3, 3, "valid", 2)
    twice = _conv(_conv(_conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3, "valid", 2)
    x = _joined([three, twice, layers.MaxPooling2D(3, strides=2)(x)], "mixed3")
    for i, width in enumerate((128, 160, 160, 192), 4):
        x = _sevens(x, width, f"mixed{i}")
    three = _conv(_conv(x, 192, 1, 1), 320, 3, 3, "valid", 2)
    seven = _conv(_conv(_conv(x, 192, 1, 1), 192, 1, 7), 192, 7, 1)
    seven = _conv(seven, 192, 3, 3, "valid", 2)
    x = _joined([three, seven, layers.MaxPooling2D(3, strides=2)(x)], "mixed8")
    for i in (0, 1):
        x = _spread(x, i)
    if include_top:
        x = headed(x, True, None, classes, classifier_activation, "InceptionV3")
    else:
        x = headed(x, False, pooling, classes, classifier_activation, "InceptionV3", None)
    return finish(inputs, x, name, weights)
