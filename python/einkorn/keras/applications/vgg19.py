"""VGG-19 (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from typing import Any

from einkorn.keras.applications.imagenet_utils import decode_predictions
from einkorn.keras.applications.vgg16 import preprocess_input, vgg

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def VGG19(  # noqa: N802 - Keras' name
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
    name: str = "vgg19",
) -> Any:  # fmt: skip
    """VGG-19; arguments as those of ``VGG16``."""
    return vgg(
        "VGG19", (2, 2, 4, 4, 4), include_top, weights, input_tensor, input_shape, pooling, classes,
        classifier_activation, name,
    )  # fmt: skip
