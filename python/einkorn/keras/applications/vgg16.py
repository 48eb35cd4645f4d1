"""VGG-16 (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import begin, finish, pooled
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("caffe")


def vgg(
    name: str, depths: tuple[int, ...], include_top: bool, weights: Any, input_tensor: Any, input_shape: Any,
    pooling: str | None, classes: int, classifier_activation: Any, title: str,
) -> Any:  # fmt: skip
    """Blocks of so many convolutions, each with a pool behind it."""
    inputs = begin(name, weights, input_tensor, input_shape, 224, include_top)
    x = inputs
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        for i in range(1, depth + 1):
            x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=f"block{block}_conv{i}")(x)
        x = layers.MaxPooling2D(2, 2, name=f"block{block}_pool")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for i in (1, 2):
            x = layers.Dense(4096, activation="relu", name=f"fc{i}")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling, name)
    return finish(inputs, x, title, weights)


def VGG16(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "vgg16",
) -> Any:  # fmt: skip
    """VGG-16.

    Parameters
    ----------
    include_top : bool, default True
        Whether the classes are there, or what is before them.
    weights : None or path
        A file of Keras' or of ``save_weights``. Keras' default, "imagenet", is refused: nothing is
        downloaded.
    input_tensor : symbolic tensor, optional
        What the network begins with.
    input_shape : tuple of int, optional
        Height, width and channels.
    pooling : "avg" or "max", optional
        Without classes: means or maxima over the image.
    classes : int, default 1000
    classifier_activation : str or None, default "softmax"
    name : str
    """
    return vgg(
        "VGG16", (2, 2, 3, 3, 3), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip
