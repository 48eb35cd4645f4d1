"""Keras' initial values: those of ``einkorn.nn.initializers``, which can be called with a shape too."""

from __future__ import annotations

from typing import Any

from einkorn._near import finding
from einkorn._tensor import Tensor
from einkorn.keras._base import initial
from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn import initializers as _own
from einkorn.nn.initializers import Initializer

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]


class _ByShape(_own.Initializer):
    """Called with a shape, it gives values; with a parameter, it fills it."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        if hasattr(shape, "dtype"):
            return super().__call__(shape)
        return Tensor(initial(self, tuple(shape)).astype(str(dtype or "float32")))


class Zeros(_ByShape, _own.Zeros):
    """Every element is 0; arguments as :class:`einkorn.nn.initializers.Zeros`."""


class Ones(_ByShape, _own.Ones):
    """Every element is 1; arguments as :class:`einkorn.nn.initializers.Ones`."""


class Constant(_ByShape, _own.Constant):
    """Every element is one value; arguments as :class:`einkorn.nn.initializers.Constant`."""


class RandomNormal(_ByShape, _own.RandomNormal):
    """The normal distribution; arguments as :class:`einkorn.nn.initializers.RandomNormal`."""


class RandomUniform(_ByShape, _own.RandomUniform):
    """A uniform distribution; arguments as :class:`einkorn.nn.initializers.RandomUniform`."""


class TruncatedNormal(_ByShape, _own.TruncatedNormal):
    """The normal distribution within two deviations; arguments as :class:`RandomNormal`."""


class VarianceScaling(_ByShape, _own.VarianceScaling):
    """A variance that depends on the fans; arguments as :class:`einkorn.nn.initializers.VarianceScaling`."""


class GlorotUniform(_ByShape, _own.GlorotUniform):
    """Uniform, by both fans; arguments as :class:`einkorn.nn.initializers.GlorotUniform`."""


class GlorotNormal(_ByShape, _own.GlorotNormal):
    """Truncated normal, by both fans; arguments as :class:`einkorn.nn.initializers.GlorotNormal`."""


class HeUniform(_ByShape, _own.HeUniform):
    """Uniform, by twice the inputs; arguments as :class:`einkorn.nn.initializers.HeUniform`."""


class HeNormal(_ByShape, _own.HeNormal):
    """Truncated normal, by twice the inputs; arguments as :class:`einkorn.nn.initializers.HeNormal`."""


class LecunUniform(_ByShape, _own.LecunUniform):
    """Uniform, by the inputs; arguments as :class:`einkorn.nn.initializers.LecunUniform`."""


class LecunNormal(_ByShape, _own.LecunNormal):
    """Truncated normal, by the inputs; arguments as :class:`einkorn.nn.initializers.LecunNormal`."""


class Orthogonal(_ByShape, _own.Orthogonal):
    """Orthogonal rows or columns; arguments as :class:`einkorn.nn.initializers.Orthogonal`."""


class Identity(_ByShape, _own.Identity):
    """The identity matrix; arguments as :class:`einkorn.nn.initializers.Identity`."""


def get(identifier: Any) -> Any:
    """An initializer from its name, such as "he_normal", which takes a shape; or itself."""
    found = _own.get(identifier)
    twin = globals().get(type(found).__name__)
    if type(found).__module__ == _own.__name__ and twin is not None:
        return twin(**found.get_config())
    return found


OrthogonalInitializer = Orthogonal
IdentityInitializer = Identity
constant, zeros, ones, identity, orthogonal = Constant, Zeros, Ones, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform

__getattr__ = finding(
    __name__,
    lambda: __all__,
    dict.fromkeys(("STFT", "STFTInitializer", "stft"), "there are no complex numbers here"),
)
