"""Keras' initial values: those of ``einkorn.nn.initializers``, which can be called with a shape too."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._near import finding
from einkorn._objects import Configured
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import initial
from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn import initializers as _own
from einkorn.nn.initializers import Initializer

__all__ = [
    "STFT",
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
    "STFTInitializer",
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
    "stft",
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


_WINDOWS: dict[str, Any] = {
    "hann": np.hanning, "hanning": np.hanning, "hamming": np.hamming, "blackman": np.blackman,
    "bartlett": np.bartlett, "boxcar": np.ones,
}  # fmt: skip


class STFT(Configured):
    """Kernels of a short-time Fourier transform, [frame, 1, frequencies].

    Parameters
    ----------
    side : "real" or "imag", default "real"
    window : "hann", "hamming", "blackman", "bartlett", "boxcar", array [frame] or None, default "hann"
    scaling : "density", "spectrum" or None, default "density"
        Whether the window is divided by the root of its squares' sum, or by its sum.
    periodic : bool, default False
        Whether the window goes on with its first value after the last, instead of ending with it.
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ArgumentError(f"STFT: side is {side!r}, expected real or imag")
        if isinstance(window, str) and window not in _WINDOWS:
            raise ArgumentError(
                f"STFT: window is {window!r}, expected one of {', '.join(_WINDOWS)}, or an array"
            )
        if scaling not in (None, "density", "spectrum"):
            raise ArgumentError(f"STFT: scaling is {scaling!r}, expected density, spectrum or None")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, bool(periodic)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Values of this shape."""
        frame, one, bands = shape
        if one != 1:
            raise ShapeError(f"STFT: shape is {tuple(shape)}, expected (frame, 1, frequencies)")
        turns = np.arange(frame)[:, None, None] * np.arange(bands) / max(1, 2 * (bands - 1))
        kernel = np.cos(2 * np.pi * turns) if self.side == "real" else -np.sin(2 * np.pi * turns)
        if self.window is not None:
            if isinstance(self.window, str):
                window = (
                    _WINDOWS[self.window](frame + 1)[:-1] if self.periodic else _WINDOWS[self.window](frame)
                )
            else:
                window = np.asarray(self.window, np.float64)
            if window.shape != (frame,):
                raise ShapeError(f"STFT: window has shape {window.shape}, expected ({frame},)")
            parts = {"density": np.sqrt((window**2).sum()), "spectrum": np.abs(window).sum()}
            kernel *= (window / parts.get(self.scaling or "", 1.0))[:, None, None]
        return Tensor(kernel.astype(str(dtype or "float32")))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = self.window if self.window is None or isinstance(self.window, str) else list(self.window)
        return {"side": self.side, "window": own, "scaling": self.scaling, "periodic": self.periodic}


def get(identifier: Any) -> Any:
    """An initializer from its name, such as "he_normal", which takes a shape; or itself."""
    found = _own.get(identifier)
    twin = globals().get(type(found).__name__)
    if type(found).__module__ == _own.__name__ and twin is not None:
        return twin(**found.get_config())
    return found


OrthogonalInitializer = Orthogonal
IdentityInitializer = Identity
STFTInitializer = stft = STFT
constant, zeros, ones, identity, orthogonal = Constant, Zeros, Ones, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform

__getattr__ = finding(__name__, lambda: __all__, {})
