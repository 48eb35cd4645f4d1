"""Weights in ncnn's two files: a text that names the layers, and their numbers one after the other."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np

from einkorn.errors import ArgumentError, CheckpointError
from einkorn.models._blocks import Network
from einkorn.models.preprocessing import CAFFE
from einkorn.nn import Conv2d, Module

__all__ = ["load_ncnn", "read_ncnn"]

_HALVES = 0x01306B47  # the tag of weights in float16


def read_ncnn(
    param: str | PathLike[str], weights: str | PathLike[str]
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Weight and bias of each convolution, by the layers' names, in the file's order.

    Parameters
    ----------
    param : path
        The text, ``.param``.
    weights : path
        The numbers, ``.bin``: float32, or float16 behind a tag.

    Returns
    -------
    dict of str to (weight [out, in * kernel * kernel], bias [out] or None)
        float32. A weight's shape is [out, rest]: the text does not tell the channels that come in.

    Raises
    ------
    CheckpointError
        A file cannot be read, is of another kind, or has a layer with weights other than convolutions.
    """
    for name, each in (("param", param), ("weights", weights)):
        if not isinstance(each, (str, os.PathLike)):
            raise ArgumentError(f"read_ncnn: {name} is {each!r}, expected a text or a path")
    try:
        lines = Path(param).read_text(encoding="utf-8").split("\n")
        data = Path(weights).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{param}, {weights}: cannot be read: {error}") from error
    if lines[0].strip() != "7767517":
        raise CheckpointError(f"{param}: begins with {lines[0][:20]!r}, expected ncnn's 7767517")
    found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    at = 0
    for line in lines[2:]:
        words = line.split()
        if not words or not words[0].startswith("Convolution"):
            if words and words[0] in ("InnerProduct", "BatchNorm", "Scale", "Deconvolution", "PReLU"):
                raise CheckpointError(f"{param}: {words[1]} is a layer of kind {words[0]}, which is not read")
            continue
        try:
            options = dict(word.split("=", 1) for word in words if "=" in word)
            out, count, has_bias = int(options["0"]), int(options["6"]), int(options.get("5", 0))
            (tag,) = np.frombuffer(data, "<u4", 1, at)
            size = 2 if tag == _HALVES else 4
            if tag not in (0, _HALVES):
                raise ValueError(f"weights have the tag {tag:#x}, expected float32 or float16")
            weight = np.frombuffer(data, f"<f{size}", count, at + 4).astype(np.float32)
            at += 4 + (count * size + 3) // 4 * 4
            bias = np.frombuffer(data, "<f4", out, at).astype(np.float32) if has_bias else None
            at += 4 * out if has_bias else 0
            found[words[1]] = (weight.reshape(out, -1), bias)
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(f"{param}, {weights}: layer {words[1:2]}: {error}") from error
    if at != len(data):
        raise CheckpointError(f"{weights}: has {len(data)} bytes, {param} describes {at}")
    return found


def load_ncnn(model: Module, param: str | PathLike[str], weights: str | PathLike[str]) -> None:
    """Read ncnn's files into a network whose convolutions come in the same order.

    A network of ``einkorn.models`` gets Caffe's preprocessing, where such files come from: blue first, from
    0 to 255 less the mean.

    Parameters
    ----------
    model : Module
        For example :func:`~einkorn.models.squeezenet1_1`.
    param, weights : path
        As :func:`read_ncnn` has them.

    Raises
    ------
    CheckpointError
        The files cannot be read or do not fit; nothing was written then.
    """
    found = read_ncnn(param, weights)
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, Conv2d)]
    state: dict[str, np.ndarray] = {}
    if len(found) == len(layers):
        for (name, layer), (weight, bias) in zip(layers, found.values(), strict=True):
            shape = layer.weight.shape
            if weight.shape != (shape[0], int(np.prod(shape[1:]))) or (bias is None) != (layer.bias is None):
                break
            state[f"{name}.weight"] = weight.reshape(shape)
            if bias is not None:
                state[f"{name}.bias"] = bias
    if len(found) != len(layers) or len(state) < len(layers):
        raise CheckpointError(
            f"{param}: its {len(found)} convolutions do not fit the model's {len(layers)}, one by one"
        )
    model.load_state_dict(state, strict=False)
    if isinstance(model, Network):
        model.preprocessing = CAFFE.sized(model.input_shape[1])
