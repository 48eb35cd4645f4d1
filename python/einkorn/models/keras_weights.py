"""Keras' weight files, in both of its HDF5 layouts, as arrays with our names and layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.errors import CheckpointError
from einkorn.models._blocks import Network
from einkorn.nn import BatchNorm2d, Conv2d, Linear, SeparableConv2d

__all__ = ["named_layers", "read_keras"]

_KINDS = {
    "conv2d": Conv2d,
    "separable_conv2d": SeparableConv2d,
    "batch_normalization": BatchNorm2d,
    "dense": Linear,
}


def read_keras(model: Network, file: Path) -> dict[str, np.ndarray]:
    """The arrays of a Keras weight file by the names of ``model``'s own.

    Layers with names of their own are found by these; those that Keras numbers (``conv2d_7``) by their
    order, which is the order in which they were made. Kernels go from [height, width, in, out] to [out, in,
    height, width], matrices are transposed, and those behind a flattened image have their rows in our order.

    Raises
    ------
    CheckpointError
        The file is corrupt or no weight file.
    """
    layers = named_layers(file)
    numbered = _numbered(layers)
    found: dict[str, np.ndarray] = {}
    for path, module in _units(model):
        name = model.keras_name(path)
        if name is None:
            kind = next(kind for kind, of in _KINDS.items() if isinstance(module, of))
            name = next(numbered[kind], None)
        arrays = layers.pop(name, None) if name is not None else None
        if arrays is not None:
            try:
                found.update(_converted(model, path, module, arrays))
            except (ValueError, IndexError) as error:
                raise CheckpointError(f"{file}: the layer {name} does not fit {path}: {error}") from error
    for name, arrays in layers.items():
        found.update({f"{name}/{at}": array for at, array in enumerate(arrays)})
    return found


def named_layers(file: Path) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer of a Keras weight file, by its name.

    Raises
    ------
    CheckpointError
        The file is corrupt or no weight file.
    """
    h5py = need("h5py", "reading Keras' weights")
    try:
        with h5py.File(file, "r") as opened:
            layers = dict(_layers(opened.get("model_weights", opened)))
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: is no readable HDF5 file of Keras' weights: {error}") from error
    if not layers:
        raise CheckpointError(f"{file}: holds no layers as Keras writes them")
    return layers


def _numbered(layers: dict[str, Any]) -> dict[str, Iterator[str]]:
    """The layers that Keras gave a number, by kind and in the order they were made in."""
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in _KINDS}
    for name in layers:
        match = re.fullmatch(r"(.+?)(?:_(\d+))?", name)
        if match is not None and match[1] in found:
            found[match[1]].append((int(match[2] or 0), name))
    return {kind: iter([name for _, name in sorted(each)]) for kind, each in found.items()}


def _layers(group: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Every layer's name and arrays, in Keras' order of a layer's weights."""
    if "layer_names" in group.attrs:  # the older layout: lists of names as attributes
        for name in map(_text, group.attrs["layer_names"]):
            weights = [np.asarray(group[name][_text(each)]) for each in group[name].attrs["weight_names"]]
            if weights:
                yield name, weights
        return
    # the newer one: a folder for each layer with its real name, and in it "vars/0", "vars/1", ...
    for name, layer in group["layers"].items():
        if "vars" in layer and len(layer["vars"]):
            each = layer["vars"]
            yield _text(each.attrs.get("name", name)), [np.asarray(each[str(at)]) for at in range(len(each))]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _units(model: Network) -> Iterator[tuple[str, Any]]:
    """The layers that Keras has as one each, in the order they were made in."""
    inside: set[int] = set()
    for path, module in model.named_modules():
        if id(module) in inside:
            continue
        if isinstance(module, SeparableConv2d):
            inside.update((id(module.depthwise), id(module.pointwise)))
        if isinstance(module, (SeparableConv2d, Conv2d, BatchNorm2d, Linear)):
            yield path, module


def _converted(model: Network, path: str, module: Any, arrays: list[np.ndarray]) -> Iterator[tuple[str, Any]]:
    if isinstance(module, BatchNorm2d):
        names = ["bias", "running_mean", "running_var"]
        if module.weight is not None:
            names.insert(0, "weight")
        if len(arrays) != len(names):
            raise ValueError(f"{len(arrays)} arrays, expected {len(names)}")
        yield from ((f"{path}.{name}", array) for name, array in zip(names, arrays, strict=True))
        return
    if isinstance(module, SeparableConv2d):
        depthwise, pointwise, *bias = arrays
        yield f"{path}.depthwise.weight", _kernel(module.depthwise, depthwise)
        yield f"{path}.pointwise.weight", _kernel(module.pointwise, pointwise)
        path = f"{path}.pointwise"
    else:
        weight, *bias = arrays
        if isinstance(module, Linear):
            yield f"{path}.weight", _matrix(weight, getattr(model, "flattened", {}).get(path))
        else:
            yield f"{path}.weight", _kernel(module, weight)
    yield from ((f"{path}.bias", array) for array in bias)


def _kernel(conv: Conv2d, weight: np.ndarray) -> np.ndarray:
    """[height, width, in, out], or [height, width, channels, times] of a depthwise one, as torch has it."""
    if conv.groups > 1:
        return weight.transpose(2, 3, 0, 1).reshape(-1, 1, *weight.shape[:2])
    return weight.transpose(3, 2, 0, 1)


def _matrix(weight: np.ndarray, flattened: tuple[int, int, int] | None) -> np.ndarray:
    """[in, out], or a 1x1 kernel, as [out, in]; rows of a flattened image go from H, W, C to C, H, W."""
    weight = weight.reshape(-1, weight.shape[-1])
    if flattened is not None:
        channels, height, width = flattened
        weight = weight.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    return weight.T
