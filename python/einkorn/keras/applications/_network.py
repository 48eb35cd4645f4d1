"""How networks begin and end, and where their weights come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from einkorn.errors import ArgumentError, CheckpointError
from einkorn.keras import config, layers
from einkorn.keras._symbols import KerasTensor
from einkorn.keras.models import Model

__all__ = ["axis", "begin", "finish", "headed"]


def axis() -> int:
    """The axis of channels."""
    return 1 if config.image_data_format() == "channels_first" else -1


def begin(owner: str, weights: Any, input_tensor: Any, input_shape: Any, size: int, include_top: bool) -> Any:
    """The symbolic tensor that a network begins with."""
    if weights == "imagenet":
        raise ArgumentError(
            f"{owner}: weights is 'imagenet', which would have to be downloaded, expected None, or the path "
            "of a file that Keras wrote"
        )
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise ArgumentError(f"{owner}: weights is {weights!r}, expected None or a path")
    if input_tensor is not None:
        if not isinstance(input_tensor, KerasTensor):
            raise ArgumentError(
                f"{owner}: input_tensor is {type(input_tensor).__name__}, expected what Input gave"
            )
        return input_tensor
    side = size if include_top else None
    if input_shape is None:
        input_shape = (3, side, side) if axis() == 1 else (side, side, 3)
    if len(input_shape) != 3:
        raise ArgumentError(f"{owner}: input_shape is {input_shape!r}, expected height, width and channels")
    if include_top and None in tuple(input_shape):
        raise ArgumentError(
            f"{owner}: input_shape is {input_shape!r}, expected sizes where include_top is True"
        )
    return layers.Input(tuple(input_shape))


def headed(
    x: Any, include_top: bool, pooling: str | None, classes: int, classifier_activation: Any, owner: str,
    pool_name: str | None = "avg_pool",
) -> Any:  # fmt: skip
    """The network with its classes, or with means or maxima over the image."""
    if include_top:
        x = layers.GlobalAveragePooling2D(name=pool_name)(x)
        return layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return pooled(x, pooling, owner, pool_name)


def pooled(x: Any, pooling: str | None, owner: str, pool_name: str | None = None) -> Any:
    """Means or maxima over the image, or the image."""
    if pooling not in (None, "avg", "max"):
        raise ArgumentError(f"{owner}: pooling is {pooling!r}, expected None, 'avg' or 'max'")
    if pooling is None:
        return x
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name=pool_name)(x)
    return layers.GlobalMaxPooling2D(name=None if pool_name is None else "max_pool")(x)


def finish(inputs: Any, outputs: Any, name: str, weights: Any) -> Model:
    """The model, with the weights of a file."""
    model = Model(inputs, outputs, name=name)
    if weights is not None:
        file = Path(weights)
        if file.name.endswith((".h5", ".hdf5")):
            _read_keras(model, file)
        else:
            model.load_weights(file)
    return model


def _read_keras(model: Model, file: Path) -> None:
    """Weights that Keras wrote, by the names of the layers, those that it numbers in their order."""
    from einkorn.models.keras_weights import named_layers

    known = {layer.name: layer for layer in model.layers if layer.weights}
    arrays = named_layers(file)
    ours = _by_kind(known)
    theirs = _by_kind(arrays)
    for kind, names in ours.items():
        if len(names) != len(theirs.get(kind, ())):
            raise CheckpointError(
                f"{file}: has {len(theirs.get(kind, ()))} layers of the name {kind}, expected {len(names)}"
            )
        for name, other in zip(names, theirs[kind], strict=True):
            known[name].set_weights(arrays[other])


def _by_kind(names: Any) -> dict[str, list[str]]:
    """Numbered names by what stands before their number, in its order; others each by itself."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        for kind in ("conv2d", "separable_conv2d", "batch_normalization", "dense"):
            number = name.removeprefix(kind + "_")
            if name == kind or (number != name and number.isdigit()):
                found.setdefault(kind, []).append((0 if name == kind else int(number), name))
                break
        else:
            found[name] = [(0, name)]
    return {kind: [name for _, name in sorted(each)] for kind, each in found.items()}
