"""Sound as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.config import epsilon
from einkorn.keras.initializers import STFT
from einkorn.keras.layers._sides import is_first, padding_of, same
from einkorn.keras.ops._signals import stft

__all__ = ["MelSpectrogram", "STFTSpectrogram"]


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + np.asarray(hertz, np.float64) / 700.0)


class MelSpectrogram(Layer):
    """The loudness of pitches over time, [..., mel bins, steps], of samples [..., samples].

    Parameters
    ----------
    fft_length : int, default 2048
    sequence_stride : int, default 512
        From how many samples to how many a window begins.
    sequence_length : int, default fft_length
        How long a window is.
    window : "hann", "hamming", array or None, default "hann"
    sampling_rate : int, default 16000
    num_mel_bins : int, default 128
    min_freq, max_freq : float, default 20 and half the sampling rate
    power_to_db : bool, default True
        Whether decibels are given, those more than ``top_db`` below the loudest raised to that.
    top_db : float, default 80
    mag_exp : float, default 2
        The power that magnitudes are raised to.
    min_power, ref_power : float, default 1e-10 and 1
        The least power, and that of 0 decibels.
    """

    _integers = False

    def __init__(
        self, fft_length: int = 2048, sequence_stride: int = 512, sequence_length: int | None = None,
        window: Any = "hann", sampling_rate: int = 16000, num_mel_bins: int = 128, min_freq: float = 20.0,
        max_freq: float | None = None, power_to_db: bool = True, top_db: float = 80.0, mag_exp: float = 2.0,
        min_power: float = 1e-10, ref_power: float = 1.0, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.fft_length, self.sequence_stride = fft_length, sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ArgumentError(
                f"MelSpectrogram: fft_length is {fft_length}, expected {sequence_length} or more"
            )
        self.window, self.sampling_rate, self.num_mel_bins = window, sampling_rate, num_mel_bins
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def _filters(self) -> np.ndarray:
        """Triangles over the frequencies, [frequencies, mel bins]; none sees the constant part."""
        pitch = _mel(np.linspace(0.0, self.sampling_rate / 2, self.fft_length // 2 + 1)[1:])[:, None]
        edges = np.linspace(_mel(self.min_freq), _mel(self.max_freq), self.num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        slopes = np.minimum((pitch - low) / (middle - low), (high - pitch) / (high - middle))
        return np.pad(np.maximum(slopes, 0.0), ((1, 0), (0, 0))).astype(np.float32)

    def call(self, x: Any) -> Any:
        real, imag = stft(x, self.sequence_length, self.sequence_stride, self.fft_length, self.window, True)
        power = ops.power(ops.sqrt(ops.add(ops.square(real), ops.square(imag))), self.mag_exp)
        heard = ops.matmul(power, self._filters())
        if self.power_to_db:
            level = 10.0 * np.log10(max(abs(self.ref_power), self.min_power))
            heard = ops.subtract(ops.multiply(ops.log10(ops.maximum(heard, self.min_power)), 10.0), level)
            least = float(as_numpy(heard).max()) - self.top_db
            heard = ops.maximum(heard, least)
        return ops.swapaxes(heard, -2, -1)


class STFTSpectrogram(Layer):
    """Fourier transforms of frames, by kernels that can be trained.

    Parameters
    ----------
    mode : str, default "log"
        "log", "magnitude", "psd", "real", "imag", "angle", or "stft", which is the real parts and then the
        imaginary ones.
    frame_length : int, default 256
    frame_step : int, default frame_length // 2
        From how many samples to how many a frame begins.
    fft_length : int, optional
        At least ``frame_length``. Default: the power of two from there on.
    window, periodic, scaling : as those of ``initializers.STFT``
    padding : "valid" or "same", default "valid"
    expand_dims : bool, default False
        Whether frequencies and channels are axes of their own.
    data_format : "channels_last" or "channels_first", optional

    Notes
    -----
    Samples are [rows, steps, channels]; results [rows, steps, channels * frequencies], those of one channel
    beside each other, or [rows, steps, frequencies, channels] of ``expand_dims``. With the channels first:
    [rows, channels, steps], [rows, channels * frequencies, steps] and [rows, channels, steps, frequencies].
    """

    _integers = False

    def __init__(
        self, mode: str = "log", frame_length: int = 256, frame_step: int | None = None,
        fft_length: int | None = None, window: Any = "hann", periodic: bool = False,
        scaling: str | None = "density", padding: str = "valid", expand_dims: bool = False,
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        owner = type(self).__name__
        modes = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
        if mode not in modes:
            raise ArgumentError(f"{owner}: mode is {mode!r}, expected one of {', '.join(modes)}")
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise ArgumentError(f"{owner}: frame_step is {frame_step!r}, expected 1 to {frame_length}")
        if fft_length is not None and fft_length < frame_length:
            raise ArgumentError(f"{owner}: fft_length is {fft_length!r}, expected {frame_length} or more")
        self.kernels = {
            side: STFT(side, window, scaling, periodic)
            for side in ("real", "imag")
            if {"real": "imag", "imag": "real"}[side] != mode
        }
        self.mode, self.frame_length, self.frame_step, self.fft_length = (
            mode,
            frame_length,
            frame_step,
            fft_length,
        )
        self.window, self.periodic, self.scaling = window, periodic, scaling
        self.padding, self.expand_dims = padding_of(padding, owner), expand_dims
        self.first = is_first(data_format, owner)

    def build(self, input_shape: Any) -> None:
        """Make the kernels."""
        length = self.fft_length or 1 << (self.frame_length - 1).bit_length()
        for side, kernel in self.kernels.items():
            weight = self.add_weight((self.frame_length, 1, length // 2 + 1), kernel, name=f"{side}_kernel")
            setattr(self, f"{side}_kernel", weight)

    def _parts(self, x: Any) -> dict[str, Any]:
        """Real and imaginary parts, [rows, channels, frequencies, steps]."""
        step, (rows, channels, size) = self.frame_step or max(1, self.frame_length // 2), x.shape
        x = ops.reshape(x, (rows * channels, 1, size))
        if self.padding == "same":
            x = same(x, (self.frame_length,), (step,), (1,), 0.0)
        out = {}
        for side in self.kernels:
            kernel = ops.permute(getattr(self, f"{side}_kernel"), (2, 1, 0))
            found = ops.conv1d(x, kernel, stride=step)
            out[side] = ops.reshape(found, (rows, channels, *found.shape[1:]))
        return out

    def call(self, x: Any) -> Any:
        if len(x.shape) != 3:
            raise ShapeError(f"{type(self).__name__}: x has shape {tuple(x.shape)}, expected three axes")
        parts = self._parts(x if self.first else ops.permute(x, (0, 2, 1)))
        if self.mode in parts:
            return self._shaped(parts[self.mode])
        real, imag = parts["real"], parts["imag"]
        if self.mode == "angle":
            return self._shaped(ops.atan2(imag, real))
        if self.mode == "stft":
            return self._shaped(ops.concatenate([real, imag], 2))
        power = ops.add(ops.square(real), ops.square(imag))
        if self.mode == "psd":  # frequencies that stand for two count twice
            twice = np.full((power.shape[2], 1), 2, np.float32)
            twice[[0, -1]] = 1
            return self._shaped(ops.multiply(power, twice))
        least = epsilon()
        size = ops.sqrt(ops.maximum(power, least))
        return self._shaped(size if self.mode == "magnitude" else ops.log(ops.maximum(size, least)))

    def _shaped(self, x: Any) -> Any:
        rows, channels, bands, steps = x.shape
        if self.expand_dims:
            return ops.permute(x, (0, 1, 3, 2) if self.first else (0, 3, 2, 1))
        flat = ops.reshape(x, (rows, channels * bands, steps))
        return flat if self.first else ops.permute(flat, (0, 2, 1))
