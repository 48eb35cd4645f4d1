"""MobileNet (Howard et al. 2017)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, pooled
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("tf")

# Filters of the pointwise convolutions, and strides of the depthwise ones before them.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip


def _active(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(axis=axis(), name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def MobileNet(  # noqa: N802 - Keras' name
    input_shape: Any = None, alpha: float = 1.0, depth_multiplier: int = 1, dropout: float = 1e-3,
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax", name: str | None = None,
) -> Any:  # fmt: skip
    """MobileNet.

    Parameters
    ----------
    input_shape : tuple of int, optional
    alpha : float, default 1
        How wide the layers are.
    depth_multiplier : int, default 1
        Channels that a depthwise convolution makes of each.
    dropout : float, default 0.001
    include_top, weights, input_tensor, pooling, classes, classifier_activation, name : as those of ``VGG16``
    """
    inputs = begin("MobileNet", weights, input_tensor, input_shape, 224, include_top)
    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(inputs)
    x = _active(x, "conv1")
    for i, (filters, stride) in enumerate(_BLOCKS, 1):
        if stride > 1:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same" if stride == 1 else "valid", depth_multiplier=depth_multiplier,
            use_bias=False, name=f"conv_dw_{i}",
        )(x)  # fmt: skip
        x = _active(x, f"conv_dw_{i}")
        x = layers.Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
        x = _active(x, f"conv_pw_{i}")
    if include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        x = layers.Activation(classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling, "MobileNet")
    rows = inputs.shape[2 if axis() == 1 else 1] or 224
    return finish(inputs, x, name or f"mobilenet_{alpha:0.2f}_{rows}", weights)
