"""What layers look for: their filters, their maps, and the patches of pictures that move them most."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.explain._calls import frozen, input_of, layer_of, layers_of, looked
from einkorn.nn import AvgPool2d, Conv2d, MaxPool2d, Module

__all__ = ["MaximalPatches", "filters", "layer_activations", "maximal_patches", "receptive_field"]


def filters(model: Module, layer: Any = None) -> np.ndarray:
    """The weights of a convolution as pictures.

    Parameters
    ----------
    model : Module
    layer : str or Module, optional
        A convolution; None: the first one.

    Returns
    -------
    array [out_channels, in_channels, kernel_height, kernel_width]
        Each filter stretched to 0 to 1. :func:`~einkorn.explain.plot_filters` draws those of three channels
        in color.

    Raises
    ------
    ArgumentError
        The layer is no convolution.
    """
    if layer is None:
        found: Any = next((m for m in model.modules() if isinstance(m, Conv2d)), None)
    else:
        found = layer_of(model, layer, "filters")
    if not isinstance(found, Conv2d):
        raise ArgumentError(f"filters: layer is {layer!r}, expected a convolution of the model")
    weight = found.weight.numpy()
    low, high = (getattr(weight, f)((1, 2, 3), keepdims=True) for f in ("min", "max"))
    return (weight - low) / np.where(high > low, high - low, 1)


def layer_activations(model: Module, x: Any, layer: Any = None) -> np.ndarray:
    """What a layer gives for images.

    Parameters
    ----------
    model : Module
    x : array or Tensor [n, channels, height, width]
    layer : str or Module, optional
        None: the stage with the last convolution.

    Returns
    -------
    array [n, K, h, w]
    """
    op = "layer_activations"
    images = input_of(model, x, op)
    with frozen(model), no_grad():
        (maps,) = looked(model, Tensor(images), layers_of(model, layer_of(model, layer, op), op))
    if maps.ndim != 4:
        raise ShapeError(f"{op}: the layer gave {tuple(maps.shape)}, expected maps [n, K, h, w]")
    return maps.numpy().copy()


def receptive_field(
    model: Module, layer: Any, positions: Any, shape: tuple[int, int, int] | None = None
) -> np.ndarray:
    """The pixels that places of a layer's map depend on, exactly, cut at the image's edge.

    A copy of the network with all weights positive, means for maxima and no shifts is run on ones: there the
    gradient of a place is positive at the pixels that it sees, and zero elsewhere.

    Parameters
    ----------
    model : Module
        Convolutions, norms, poolings, sums and joints; global means make every pixel seen.
    layer : str or Module
    positions : int array [n, 2]
        Row and column in the layer's map.
    shape : (channels, height, width), optional
        Of the images; default: the model's ``input_shape``.

    Returns
    -------
    int64 array [n, 4]
        Left, top, right, bottom: the smallest rectangle around those pixels.

    Raises
    ------
    ArgumentError
        A position is not on the map, or the layer is not known.
    """
    op = "receptive_field"
    size = shape if shape is not None else getattr(model, "input_shape", None)
    at = np.asarray(positions)
    if size is None or at.ndim != 2 or at.shape[1] != 2 or at.dtype.kind not in "iu":
        raise ArgumentError(
            f"{op}: shape is {size!r} and positions {positions!r}, expected (channels, height, width) and "
            "rows of two integers"
        )
    names = {id(module): name for name, module in model.named_modules()}
    name = names.get(id(layer_of(model, layer, op)))
    if name is None:
        raise ArgumentError(f"{op}: layer is no part of the model")
    twin = _spread(model)
    watched = dict(twin.named_modules())[name]
    with ExitStack() as held, frozen(twin):
        for module in twin.modules():
            if isinstance(module, MaxPool2d):
                held.callback(module.register_forward_hook(_averaged).remove)
        pixels = Tensor(np.ones((len(at), *size)), requires_grad=True)
        (maps,) = looked(twin, pixels, [watched])
        if maps.ndim != 4 or (len(at) and not (at >= 0).all()) or (at >= maps.shape[2:]).any():
            raise ArgumentError(f"{op}: positions do not lie on the layer's output {tuple(maps.shape)}")
        pick = np.zeros(maps.shape)
        pick[np.arange(len(at)), :, at[:, 0], at[:, 1]] = 1
        ops.sum(ops.multiply(maps, pick)).backward()
    assert pixels.grad is not None
    seen = pixels.grad.numpy().max(1) > 0
    boxes = np.zeros((len(at), 4), np.int64)
    for box, each in zip(boxes, seen, strict=True):
        rows, columns = np.flatnonzero(each.any(1)), np.flatnonzero(each.any(0))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def _spread(model: Module) -> Module:
    """A copy in float64 whose outputs grow with every pixel they depend on."""
    twin = copy.deepcopy(model).double()
    for name, array in twin.state_dict().items():
        last = name.rpartition(".")[2]
        if array.dtype.kind != "f":
            continue
        if last == "weight" and array.ndim > 1:
            array[...] = 1 / max(array[0].size, 1)
        else:
            array[...] = 1 if last in ("weight", "running_var") else 0
    return twin


def _averaged(module: Any, args: Any, out: Any) -> Any:
    """The mean of the windows that the module takes maxima of."""
    mean = AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
    if module.dilation not in (1, (1, 1)):
        raise ArgumentError("receptive_field: a max-pooling is dilated, expected none")
    return mean(args[0])


class MaximalPatches(NamedTuple):
    """Where units of a layer answered most.

    Attributes
    ----------
    units : int64 array [units]
    images : int64 array [units, top]
        The image of each patch, from the strongest answer on.
    values : array [units, top]
    boxes : int64 array [units, top, 4]
        What of the image the unit sees: left, top, right, bottom.
    patches : list of lists of arrays [channels, h, w]
        Those parts of the images.
    """

    units: np.ndarray
    images: np.ndarray
    values: np.ndarray
    boxes: np.ndarray
    patches: list[list[np.ndarray]]


def maximal_patches(
    model: Module, x: Any, layer: Any = None, units: Any = None, *, top: int = 9, batch_size: int = 64
) -> MaximalPatches:
    """For units of a layer, the patches of many images that move them most (Zeiler and Fergus 2014).

    Each image gives one patch, at the place where the unit's map is highest.

    Parameters
    ----------
    model : Module
    x : array [n, channels, height, width]
    layer : str or Module, optional
        None: the stage with the last convolution.
    units : ints, optional
        Channels of the layer; None: all.
    top : int, keyword-only, default 9
        Patches of a unit; at most n.
    batch_size : int, keyword-only, default 64

    Returns
    -------
    MaximalPatches
    """
    op = "maximal_patches"
    images = input_of(model, x, op)
    chosen = layer_of(model, layer, op)
    if not 1 <= top <= len(images):
        raise ArgumentError(f"{op}: top is {top!r}, expected 1 to {len(images)}")
    values, places = [], []
    wide = 1
    for start in range(0, len(images), batch_size):
        maps = layer_activations(model, images[start : start + batch_size], chosen)
        wide = maps.shape[3]
        flat = maps.reshape(*maps.shape[:2], -1)
        values.append(flat.max(2))
        places.append(flat.argmax(2))
    strongest, where = np.concatenate(values), np.concatenate(places)
    count = strongest.shape[1]
    wanted = np.arange(count) if units is None else np.atleast_1d(np.asarray(units))
    if wanted.dtype.kind not in "iu" or (wanted.size and not 0 <= wanted.min() <= wanted.max() < count):
        raise ArgumentError(f"{op}: units is {units!r}, expected integers from 0 to {count - 1}")
    order = np.argsort(-strongest[:, wanted], axis=0, kind="stable")[:top].T
    rows = np.take_along_axis(strongest[:, wanted].T, order, 1)
    at = np.take_along_axis(where[:, wanted].T, order, 1)
    spots, back = np.unique(at, return_inverse=True)  # places that several patches share are looked up once
    fields = receptive_field(model, chosen, np.stack(np.divmod(spots, wide), 1), images.shape[1:])
    boxes = fields[back.reshape(at.shape)]
    patches = [
        [images[i, :, b[1] : b[3], b[0] : b[2]] for i, b in zip(line, field, strict=True)]
        for line, field in zip(order, boxes, strict=True)
    ]
    return MaximalPatches(wanted.astype(np.int64), order, rows, boxes, patches)
