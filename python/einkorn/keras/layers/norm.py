"""Normalization of batches, rows and groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer, refuse

__all__ = [
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization",
]  # fmt: skip


def _forward(axes: int, axis: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Orders of axes that bring one to the second place, and back."""
    there = (0, axis, *(i for i in range(1, axes) if i != axis))
    return there, tuple(there.index(i) for i in range(axes))


class BatchNormalization(Layer):
    """Each channel normalized over the batch while training, by moving statistics otherwise.

    Parameters
    ----------
    axis : int, default -1
        The channels.
    momentum : float, default 0.99
        The share of the past in the moving statistics.
    epsilon : float, default 0.001
    center, scale : bool, default True
        Whether a shift beta is added, and what is multiplied by gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : optional
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint : optional

    Notes
    -----
    As in Keras the moving variance is of the variance over n, and a frozen layer uses the moving statistics.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
        scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
        renorm_momentum: float = 0.99, synchronized: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        refuse("BatchNormalization", renorm=renorm, renorm_clipping=renorm_clipping)
        if isinstance(axis, (list, tuple)):
            raise ArgumentError(f"BatchNormalization: axis is {axis!r}, expected one integer")
        self.axis, self.momentum, self.epsilon = axis, float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        self.starts = (
            gamma_initializer,
            beta_initializer,
            moving_mean_initializer,
            moving_variance_initializer,
        )
        self.rules = (gamma_regularizer, gamma_constraint), (beta_regularizer, beta_constraint)

    def build(self, input_shape: tuple[int, ...]) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape) or self.axis % len(input_shape) == 0:
            raise ArgumentError(
                f"{self.name}: axis is {self.axis}, expected one of x, which has shape {tuple(input_shape)}, "
                "but for the rows"
            )
        size = (input_shape[self.axis],)
        gamma, beta, mean, variance = self.starts
        (gamma_penalty, gamma_limit), (beta_penalty, beta_limit) = self.rules
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                size, gamma, regularizer=gamma_penalty, constraint=gamma_limit, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(
                size, beta, regularizer=beta_penalty, constraint=beta_limit, name="beta"
            )
        self.moving_mean = self.add_weight(size, mean, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(size, variance, trainable=False, name="moving_variance")

    def call(self, x: Any, training: bool = False) -> Any:
        axes = len(x.shape)
        axis = self.axis % axes
        there, back = _forward(axes, axis)
        moved = x if axis == 1 else ops.permute(x, there)
        mean, variance = self.moving_mean._data, self.moving_variance._data
        if not training or not self.trainable:
            out = ops.batch_norm(moved, mean, variance, self.gamma, self.beta, False, 0.0, self.epsilon)
        else:
            now, spread = np.zeros_like(mean), np.ones_like(variance)
            out = ops.batch_norm(moved, now, spread, self.gamma, self.beta, True, 1.0, self.epsilon)
            count = math.prod(moved.shape) // max(1, len(mean))
            fresh = 1 - self.momentum
            self.moving_mean.assign(self.momentum * mean + fresh * now)
            self.moving_variance.assign(
                self.momentum * variance + fresh * spread * ((count - 1) / max(1, count))
            )
        return out if axis == 1 else ops.permute(out, back)


class LayerNormalization(Layer):
    """Each row normalized along its last axis, or several.

    Parameters
    ----------
    axis : int or list of int, default -1
        The axes to normalize along, which are the last ones.
    epsilon : float, default 0.001
    center, scale : bool, default True
    beta_initializer, gamma_initializer : default "zeros" and "ones"
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint : optional
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
        gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = float(epsilon), center, scale
        self.rules = (
            (gamma_initializer, gamma_regularizer, gamma_constraint),
            (beta_initializer, beta_regularizer, beta_constraint),
        )

    def build(self, input_shape: tuple[int, ...]) -> None:
        axes = sorted(axis % len(input_shape) for axis in self.axis)
        if axes != list(range(len(input_shape) - len(axes), len(input_shape))):
            raise ArgumentError(f"{type(self).__name__}: axis is {self.axis}, expected the last axes")
        self.shape = tuple(input_shape[axis] for axis in axes)
        self.gamma = self.beta = None
        for name, wanted, (start, penalty, limit) in zip(
            ("gamma", "beta"), (self.scale, self.center), self.rules, strict=True
        ):
            if wanted:
                weight = self.add_weight(self.shape, start, regularizer=penalty, constraint=limit, name=name)
                setattr(self, name, weight)

    def call(self, x: Any) -> Any:
        return ops.layer_norm(x, self.shape, self.gamma, self.beta, self.epsilon)


class RMSNormalization(Layer):
    """x over the root of the mean of its squares along the last axis, times a scale.

    Parameters
    ----------
    axis : int, default -1
    epsilon : float, default 1e-6
    """

    supports_masking = True
    _integers = False

    def __init__(self, axis: int = -1, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        if axis != -1:
            raise ArgumentError(f"RMSNormalization: axis is {axis!r}, expected -1")
        self.epsilon = float(epsilon)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(input_shape[-1:], "ones", name="scale")

    def call(self, x: Any) -> Any:
        return ops.rms_norm(x, self.scale.shape, self.scale, self.epsilon)


class GroupNormalization(Layer):
    """Each row's channels normalized in groups.

    Parameters
    ----------
    groups : int, default 32
        -1 for as many as there are channels.
    axis : int, default -1
        The channels.
    epsilon : float, default 0.001
    center, scale : bool, default True
    beta_initializer, gamma_initializer : default "zeros" and "ones"
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint : optional
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True,
        scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.groups, self.axis, self.epsilon = groups, axis, float(epsilon)
        self.center, self.scale = center, scale
        self.starts = gamma_initializer, beta_initializer
        self.rules = (gamma_regularizer, gamma_constraint), (beta_regularizer, beta_constraint)

    def build(self, input_shape: tuple[int, ...]) -> None:
        size = input_shape[self.axis]
        if self.groups == -1:
            self.groups = size
        if self.groups < 1:
            raise ArgumentError(f"GroupNormalization: groups is {self.groups}, expected an integer >= 1")
        if size % self.groups:
            raise ArgumentError(f"GroupNormalization: groups is {self.groups}, expected a divisor of {size}")
        self.gamma = self.beta = None
        (gamma_penalty, gamma_limit), (beta_penalty, beta_limit) = self.rules
        if self.scale:
            self.gamma = self.add_weight(
                (size,), self.starts[0], regularizer=gamma_penalty, constraint=gamma_limit, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(
                (size,), self.starts[1], regularizer=beta_penalty, constraint=beta_limit, name="beta"
            )

    def call(self, x: Any) -> Any:
        axis = self.axis % len(x.shape)
        there, back = _forward(len(x.shape), axis)
        moved = x if axis == 1 else ops.permute(x, there)
        out = ops.group_norm(moved, self.groups, self.gamma, self.beta, self.epsilon)
        return out if axis == 1 else ops.permute(out, back)


class UnitNormalization(Layer):
    """Vectors of length 1 along an axis.

    Parameters
    ----------
    axis : int, default -1
    """

    supports_masking = True
    _integers = False

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Any) -> Any:
        squares = ops.sum(ops.multiply(x, x), axis=self.axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.clip(squares, 1e-12)))
