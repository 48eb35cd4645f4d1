"""Layers that only rearrange: no number changes."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.ops._options import integer
from einkorn.ops.arrange import channel_shuffle
from einkorn.ops.copy import flatten, reshape

__all__ = ["ChannelShuffle", "Flatten", "Unflatten"]


class Flatten(Module):
    """Merges the axes from ``start_dim`` to ``end_dim`` into one.

    Parameters
    ----------
    start_dim : int, default 1
        The batch axis stays.
    end_dim : int, default -1
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis ``dim`` into several.

    Parameters
    ----------
    dim : int
    unflattened_size : tuple of int
        Sizes whose product is the axis's size; one may be -1.
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise ArgumentError(
                f"Unflatten: unflattened_size is {unflattened_size!r}, expected a tuple of integers"
            )
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        shape = tuple(input.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise ShapeError(f"Unflatten: dim is {self.dim}, but input has shape {shape}")
        axis = self.dim % len(shape)
        return reshape(input, shape[:axis] + self.unflattened_size + shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class ChannelShuffle(Module):
    """Deals the channels of groups out in turn; see :func:`einkorn.ops.channel_shuffle`.

    Parameters
    ----------
    groups : int
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = integer("ChannelShuffle", "groups", groups, 1)

    def forward(self, input: Any) -> Any:
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
