"""MobileNet V2 (Sandler et al. 2018)."""

from __future__ import annotations

from typing import Any

from einkorn.keras import layers
from einkorn.keras.applications._network import axis, begin, finish, headed
from einkorn.keras.applications.imagenet_utils import decode_predictions, preprocessing

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessing("tf")

# Filters and strides of the blocks.
_BLOCKS = (
    (16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (96, 1),
    (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1),
)  # fmt: skip


def _eights(filters: float) -> int:
    """The nearest multiple of eight that is not below nine tenths."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


def _norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(axis=axis(), epsilon=1e-3, momentum=0.999, name=name)(x)


def _edges(x: Any) -> Any:
    """Zeros that make a window of 3 with stride 2 see the last pixels."""
    sides = x.shape[2:4] if axis() == 1 else x.shape[1:3]
    return tuple((1 if side is not None and side % 2 else 0, 1) for side in sides)


def _block(x: Any, filters: int, stride: int, number: int) -> Any:
    prefix = f"block_{number}_" if number else "expanded_conv_"
    before, channels = x, x.shape[axis()]
    if number:
        x = layers.Conv2D(6 * channels, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(_norm(x, f"{prefix}expand_BN"))
    if stride == 2:
        x = layers.ZeroPadding2D(_edges(x), name=f"{prefix}pad")(x)
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        use_bias=False,
        padding="same" if stride == 1 else "valid",
        name=f"{prefix}depthwise",
    )(x)
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(_norm(x, f"{prefix}depthwise_BN"))
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = _norm(x, f"{prefix}project_BN")
    if channels == filters and stride == 1:
        return layers.Add(name=f"{prefix}add")([before, x])
    return x


def MobileNetV2(  # noqa: N802 - Keras' name
    input_shape: Any = None, alpha: float = 1.0, include_top: bool = True, weights: Any = "imagenet",
    input_tensor: Any = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: Any = "softmax", name: str | None = None,
) -> Any:  # fmt: skip
    """MobileNet V2.

    Parameters
    ----------
    input_shape : tuple of int, optional
    alpha : float, default 1
        How wide the layers are.
    include_top, weights, input_tensor, pooling, classes, classifier_activation, name : as those of ``VGG16``
    """
    inputs = begin("MobileNetV2", weights, input_tensor, input_shape, 224, include_top)
    x = layers.Conv2D(_eights(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
    x = layers.ReLU(6.0, name="Conv1_relu")(_norm(x, "bn_Conv1"))
    for i, (filters, stride) in enumerate(_BLOCKS):
        x = _block(x, _eights(filters * alpha), stride, i)
    last = _eights(1280 * alpha) if alpha > 1 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    x = layers.ReLU(6.0, name="out_relu")(_norm(x, "Conv_1_bn"))
    x = headed(x, include_top, pooling, classes, classifier_activation, "MobileNetV2", None)
    rows = inputs.shape[2 if axis() == 1 else 1] or 224
    return finish(inputs, x, name or f"mobilenetv2_{alpha:0.2f}_{rows}", weights)
