"""Layers of several inputs: sums, products, means, and one behind the other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.nn import functional

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average",
    "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip


class _Merge(Layer):
    supports_masking = True

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ArgumentError(f"{type(self).__name__}: expected a list of two tensors or more")
        most = max(len(x.shape) for x in inputs)
        return self._merged([_raised(x, most) for x in inputs])

    def _merged(self, inputs: list[Any]) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _merged()")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Steps that count in all inputs."""
        given = [mask for mask in previous_mask or () if mask is not None]
        return functools.reduce(np.logical_and, given) if given else None


def _raised(x: Any, axes: int) -> Any:
    missing = axes - len(x.shape)
    return x.reshape(x.shape[0], *[1] * missing, *x.shape[1:]) if missing else x


class Add(_Merge):
    """The sum of a list of tensors."""

    def _merged(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.add, inputs)


class Subtract(_Merge):
    """The first of two tensors less the second."""

    def _merged(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ArgumentError(f"Subtract: got {len(inputs)} tensors, expected 2")
        return ops.subtract(*inputs)


class Multiply(_Merge):
    """The product of a list of tensors."""

    def _merged(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.multiply, inputs)


class Average(_Merge):
    """The mean of a list of tensors."""

    def _merged(self, inputs: list[Any]) -> Any:
        return ops.multiply(functools.reduce(ops.add, inputs), 1.0 / len(inputs))


class Maximum(_Merge):
    """The largest of a list of tensors, element by element."""

    def _merged(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.maximum, inputs)


class Minimum(_Merge):
    """The least of a list of tensors, element by element."""

    def _merged(self, inputs: list[Any]) -> Any:
        return functools.reduce(ops.minimum, inputs)


class Concatenate(_Merge):
    """Tensors one behind the other.

    Parameters
    ----------
    axis : int, default -1
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ArgumentError("Concatenate: expected a list of tensors")
        return ops.concatenate(tuple(inputs), self.axis)


class Dot(_Merge):
    """Sums of products of two tensors along an axis of each, row by row.

    Parameters
    ----------
    axes : int or two
    normalize : bool, default False
        Whether vectors are brought to length 1 first, so that the results are cosines.
    """

    def __init__(self, axes: Any, normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.axes = (axes, axes) if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ArgumentError("Dot: expected a list of two tensors")
        x, y = inputs
        left, right = self.axes[0] % len(x.shape), self.axes[1] % len(y.shape)
        if x.shape[left] != y.shape[right] or 0 in (left, right):
            raise ShapeError(
                f"Dot: inputs have shapes {tuple(x.shape)} and {tuple(y.shape)}, and axes are {self.axes}: "
                "expected axes of one length, which are not the rows'"
            )
        if self.normalize:
            x, y = functional.normalize(x, dim=left), functional.normalize(y, dim=right)
        x, y = ops.moveaxis(x, left, -1), ops.moveaxis(y, right, 1)
        rest = (*x.shape[1:-1], *y.shape[2:])
        rows, inner = x.shape[0], x.shape[-1]
        out = ops.matmul(x.reshape(rows, -1, inner), y.reshape(rows, inner, -1))
        return out.reshape(rows, *(rest or (1,)))


def _function(kind: type[Layer]) -> Callable[..., Any]:
    def merged(inputs: Any, **options: Any) -> Any:
        return kind(**options)(inputs)

    merged.__name__ = merged.__qualname__ = kind.__name__.lower()
    merged.__doc__ = f"What ``{kind.__name__}`` with these options gives for a list of tensors."
    return merged


add = _function(Add)
subtract = _function(Subtract)
multiply = _function(Multiply)
average = _function(Average)
maximum = _function(Maximum)
minimum = _function(Minimum)


def concatenate(inputs: Any, axis: int = -1, **options: Any) -> Any:
    """What ``Concatenate`` gives for a list of tensors."""
    return Concatenate(axis, **options)(inputs)


def dot(inputs: Any, axes: Any = -1, **options: Any) -> Any:
    """What ``Dot`` gives for a list of two tensors."""
    return Dot(axes, **options)(inputs)
