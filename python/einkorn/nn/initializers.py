"""Initial values with Keras' names: objects that are made once and called with a parameter.

Weights are [units, inputs, kernel...] here, and fans are counted so. The numbers come from einkorn's
generator, or with ``seed`` from one of the initializer's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from einkorn import random
from einkorn._objects import Plain, made
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import init

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]


class Initializer(Plain):
    """Base class: called with a parameter, it fills it in place and returns it."""

    def __call__(self, tensor: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no __call__()")

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({shown})"


class _Random(Initializer):
    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._generator = None if seed is None else random.Generator(seed)


class Zeros(Initializer):
    """Every element is 0."""

    def __call__(self, tensor: Any) -> Any:
        return init.zeros_(tensor)


class Ones(Initializer):
    """Every element is 1."""

    def __call__(self, tensor: Any) -> Any:
        return init.ones_(tensor)


class Constant(Initializer):
    """Every element is ``value``.

    Parameters
    ----------
    value : float, default 0
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, tensor: Any) -> Any:
        return init.constant_(tensor, self.value)


class RandomNormal(_Random):
    """The normal distribution.

    Parameters
    ----------
    mean : float, default 0
    stddev : float, default 0.05
    seed : int, optional
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, tensor: Any) -> Any:
        return init.normal_(tensor, self.mean, self.stddev, self._generator)


class RandomUniform(_Random):
    """The uniform distribution on [minval, maxval).

    Parameters
    ----------
    minval, maxval : float, default -0.05 and 0.05
    seed : int, optional
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, tensor: Any) -> Any:
        return init.uniform_(tensor, self.minval, self.maxval, self._generator)


class TruncatedNormal(_Random):
    """The normal distribution, drawn anew beyond two standard deviations.

    Parameters
    ----------
    mean : float, default 0
    stddev : float, default 0.05
        Before values beyond are drawn anew.
    seed : int, optional
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, tensor: Any) -> Any:
        mean, std = self.mean, self.stddev
        return init.trunc_normal_(tensor, mean, std, mean - 2 * std, mean + 2 * std, self._generator)


# The standard deviation of a normal distribution that is cut off at two standard deviations.
_TRUNCATED = 0.87962566103423978


class VarianceScaling(_Random):
    """A variance of ``scale`` over the fan.

    Parameters
    ----------
    scale : float, default 1
    mode : "fan_in", "fan_out" or "fan_avg", default "fan_in"
    distribution : "truncated_normal", "untruncated_normal" or "uniform", default "truncated_normal"
    seed : int, optional
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not scale > 0:
            raise ArgumentError(f"VarianceScaling: scale is {scale!r}, expected a number above 0")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(f"VarianceScaling: mode is {mode!r}, expected fan_in, fan_out or fan_avg")
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ArgumentError(
                f"VarianceScaling: distribution is {distribution!r}, expected truncated_normal, "
                "untruncated_normal or uniform"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, tensor: Any) -> Any:
        shape = tuple(tensor.shape)
        inputs, outputs = init.fans(shape, type(self).__name__) if len(shape) > 1 else (shape or (1,)) * 2
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return init.uniform_(tensor, -limit, limit, self._generator)
        std = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return init.normal_(tensor, 0.0, std, self._generator)
        std /= _TRUNCATED
        return init.trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std, self._generator)


class GlorotUniform(VarianceScaling):
    """Uniform on +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform on +-sqrt(6 / fan_in) (He et al. 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in (He et al. 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform on +-sqrt(3 / fan_in) (LeCun et al. 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in (LeCun et al. 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(_Random):
    """Orthogonal rows or columns of length ``gain`` (Saxe et al. 2013).

    Parameters
    ----------
    gain : float, default 1
    seed : int, optional
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, tensor: Any) -> Any:
        return init.orthogonal_(tensor, self.gain, self._generator)


class Identity(Initializer):
    """``gain`` times the identity, of a matrix.

    Parameters
    ----------
    gain : float, default 1
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, tensor: Any) -> Any:
        if len(tensor.shape) != 2:
            raise ShapeError(f"Identity: tensor has shape {tuple(tensor.shape)}, expected two axes")
        init.eye_(tensor)
        array = getattr(tensor, "data", tensor) if hasattr(tensor, "backward") else tensor
        array *= self.gain
        return tensor


_NAMES: dict[str, Any] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
    "identity": Identity,
}
_NAMES.update({kind.__name__: kind for kind in list(_NAMES.values())})


def get(identifier: Any) -> Any:
    """An initializer from its name, such as "he_normal", or a function that fills a parameter."""
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ArgumentError(
                f"initializer is {identifier!r}, expected a function or one of "
                f"{', '.join(name for name in _NAMES if name.islower())}"
            )
        return _NAMES[identifier]()
    if isinstance(identifier, type) or not callable(identifier):
        raise ArgumentError(f"initializer is {identifier!r}, expected an instance, a function or a name")
    return identifier
