"""Encoders of images by patches, and the blocks that ViT and CLIP share."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._stacks import Attention, activation_of, width_of_head
from einkorn.nn import Conv2d, Dropout, LayerNorm, Linear, Module, ModuleList

__all__ = ["Blocks", "Patches", "resized_positions"]


class _MLP(Module):
    def __init__(self, op: str, width: int, inner: int, activation: str) -> None:
        super().__init__()
        self._activate = activation_of(op, activation)
        self.fc1, self.fc2 = Linear(width, inner), Linear(inner, width)

    def forward(self, x: Any) -> Any:
        return self.fc2(self._activate(self.fc1(x)))


class _Block(Module):
    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.self_attn = Attention(width, config["num_attention_heads"], config["attention_dropout"])
        self.layer_norm1 = LayerNorm(width, eps)
        self.mlp = _MLP(op, width, config["intermediate_size"], config["hidden_act"])
        self.layer_norm2 = LayerNorm(width, eps)
        self.drop = Dropout(config.get("dropout", 0.0))

    def forward(self, x: Any, mask: Any, causal: bool) -> Any:
        norm = self.layer_norm2
        h = self.drop(self.self_attn(self.layer_norm1(x), mask, causal))
        x, h = ops.add_layer_norm(x, h, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return x + self.drop(self.mlp(h))


class Blocks(Module):
    """Blocks of attention and two linear layers, norms before them."""

    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        width_of_head(
            op, config["hidden_size"], config["num_attention_heads"], ("hidden_size", "num_attention_heads")
        )
        self.layers = ModuleList(_Block(op, config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x: Any, mask: Any = None, causal: bool = False) -> Any:
        for layer in self.layers:
            x = layer(x, mask, causal)
        return x


class Patches(Conv2d):
    """Squares of an image as vectors [batch, squares, width]."""

    def __init__(self, op: str, channels: int, width: int, image: int, patch: int, bias: bool) -> None:
        if patch < 1 or image < patch or image % patch:
            raise ArgumentError(f"{op}: image_size is {image}, expected a multiple of patch_size {patch}")
        super().__init__(channels, width, patch, patch, bias=bias)
        self._op_name, self._image, self._patch = op, image, patch

    def squares(self, images: Any, any_size: bool) -> Any:
        shape = tuple(images.shape) if hasattr(images, "shape") else np.shape(images)
        channels, image, patch = self.in_channels, self._image, self._patch
        if len(shape) != 4 or shape[1] != channels:
            raise ShapeError(
                f"{self._op_name}: pixel_values have shape {shape},"
                f" expected [batch, {channels}, height, width]"
            )
        fits = not any(size % patch or size < patch for size in shape[2:])
        if not (fits if any_size else shape[2:] == (image, image)):
            wanted = f"multiples of {patch}" if any_size else f"{image} x {image}"
            raise ShapeError(f"{self._op_name}: images are {shape[2]} x {shape[3]}, expected {wanted}")
        x = self(images)
        batch, width = x.shape[:2]
        return ops.permute(ops.reshape(x, (batch, width, -1)), (0, 2, 1))


def resized_positions(positions: Any, old: int, new: tuple[int, int]) -> Any:
    """Rows for the class and ``old * old`` squares, [1 + squares, width], for a picture of other size."""
    if new == (old, old):
        return positions
    width = positions.shape[-1]
    first = ops.getitem(positions, slice(0, 1))
    rest = ops.reshape(ops.getitem(positions, slice(1, None)), (1, old, old, width))
    rest = ops.interpolate(ops.permute(rest, (0, 3, 1, 2)), size=new, mode="bicubic", align_corners=False)
    rest = ops.reshape(ops.permute(rest, (0, 2, 3, 1)), (-1, width))
    return ops.cat([first, rest], 0)
