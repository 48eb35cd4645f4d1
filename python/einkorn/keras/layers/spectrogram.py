"""Sound as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer
from einkorn.keras.ops._signals import stft

__all__ = ["MelSpectrogram"]


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
            least = float(np.asarray(heard._data).max()) - self.top_db
            heard = ops.maximum(heard, least)
        return ops.swapaxes(heard, -2, -1)
