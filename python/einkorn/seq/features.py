"""What speech models see of a sound: its log-mel spectrogram, and the cepstrum of that (MFCC)."""

from __future__ import annotations

import math
from functools import lru_cache
from os import PathLike
from typing import Any

import numpy as np

from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DataError, MissingFileError, ShapeError

__all__ = ["log_mel_spectrogram", "mel_filters", "mfcc", "power_spectrogram", "read_wav"]


def read_wav(path: str | PathLike[str]) -> tuple[Any, int]:
    """The samples of a WAV file of 8, 16, 24 or 32 bit integers.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    samples : float32 array [samples]
        From -1 to 1; the mean of several channels.
    rate : int
        Samples a second.

    Raises
    ------
    DataError, MissingFileError
        The file is no such file, or damaged.
    """
    import wave

    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except (wave.Error, EOFError, OSError) as error:
        raise DataError(f"{path}: is no readable WAV file: {error}") from error
    raw = raw[: len(raw) // (width * channels) * (width * channels)]
    if width == 1:  # the only ones without a sign
        values = np.frombuffer(raw, np.uint8).astype(np.float32) - 128
    elif width == 3:
        bytes_ = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        padded = np.concatenate([np.zeros((len(bytes_), 1), np.uint8), bytes_], 1)
        values = (padded.view("<i4").ravel() >> 8).astype(np.float32)
    else:
        values = np.frombuffer(raw, f"<i{width}").astype(np.float32)
    samples = values / np.float32(2 ** (8 * width - 1))
    return samples.reshape(-1, channels).mean(1, dtype=np.float32), rate


@lru_cache(maxsize=16)
def _filters(rate: int, n_fft: int, n_mels: int, low: float, high: float) -> Any:
    frequencies = np.linspace(0, rate / 2, n_fft // 2 + 1)
    edges = _hertz(np.linspace(_mel(low), _mel(high), n_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - frequencies
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    # Of equal area, so that a channel's number does not grow with its width.
    weights *= (2 / (edges[2:] - edges[:-2]))[:, None]
    out = weights.astype(np.float32)
    out.setflags(write=False)
    return out


_BREAK, _STEP = 15.0, math.log(6.4) / 27  # Slaney's scale: linear below 1000 Hz, then logarithmic


def _mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else _BREAK + math.log(hertz / 1000) / _STEP


def _hertz(mel: Any) -> Any:
    return np.where(mel < _BREAK, mel * 200 / 3, 1000 * np.exp(_STEP * (mel - _BREAK)))


def mel_filters(
    sample_rate: int = 16000,
    n_fft: int = 400,
    n_mels: int = 80,
    *,
    f_min: float = 0.0,
    f_max: float | None = None,
) -> Any:
    """Triangles that make mel channels of frequencies (Slaney 1998: equal areas).

    Parameters
    ----------
    sample_rate, n_fft, n_mels : int, default 16000, 400, 80
    f_min, f_max : float, keyword-only, default 0 and half the rate
        In Hz.

    Returns
    -------
    float32 array [n_mels, n_fft // 2 + 1]
        Not to be written to.
    """
    op = "mel_filters"
    _positive(op, sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels)
    high = sample_rate / 2 if f_max is None else float(f_max)
    if not 0 <= f_min < high <= sample_rate / 2:
        raise ArgumentError(
            f"{op}: f_min is {f_min!r} and f_max {f_max!r}, expected 0 <= f_min < f_max <= {sample_rate / 2}"
        )
    return _filters(int(sample_rate), int(n_fft), int(n_mels), float(f_min), high)


def power_spectrogram(audio: Any, n_fft: int = 400, hop_length: int = 160) -> Any:
    """Squares of the short-time Fourier transform's magnitudes, with a periodic Hann window.

    Parameters
    ----------
    audio : array [..., samples]
        Frames are centred; beyond its ends it goes on mirrored.
    n_fft, hop_length : int, default 400, 160
        Samples of a frame, and from one to the next.

    Returns
    -------
    float32 array [..., n_fft // 2 + 1, 1 + samples // hop_length]

    Raises
    ------
    ShapeError
        There are not more samples than half a frame.
    """
    op = "power_spectrogram"
    _positive(op, n_fft=n_fft, hop_length=hop_length)
    samples = _samples(op, audio)
    half = n_fft // 2
    if samples.shape[-1] <= half:
        raise ShapeError(f"{op}: audio has {samples.shape[-1]} samples, expected more than {half}")
    around = [(0, 0)] * (samples.ndim - 1) + [(half, half)]
    padded = np.pad(samples, around, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)[..., ::hop_length, :]
    window = (0.5 - 0.5 * np.cos(2 * math.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite samples make NaN, as NaN does
        spectrum = np.fft.rfft(frames * window, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.ascontiguousarray(np.swapaxes(power, -1, -2))


def log_mel_spectrogram(
    audio: Any,
    n_mels: int = 80,
    *,
    padding: int = 0,
    sample_rate: int = 16000,
    n_fft: int = 400,
    hop_length: int = 160,
) -> Any:
    """The features of Whisper (Radford et al. 2022): logarithms of mel channels, the loudest 80 dB of them.

    Parameters
    ----------
    audio : array [..., samples]
        From -1 to 1.
    n_mels : int, default 80
        128 for Whisper's third large model.
    padding : int, keyword-only, default 0
        Samples of silence behind.
    sample_rate, n_fft, hop_length : int, keyword-only, default 16000, 400, 160

    Returns
    -------
    float32 array [..., n_mels, (samples + padding) // hop_length]
        ``log10`` of the power, not more than 8 below the loudest of a sound, plus 4, over 4.
    """
    op = "log_mel_spectrogram"
    if isinstance(padding, bool) or not isinstance(padding, (int, np.integer)) or padding < 0:
        raise ArgumentError(f"{op}: padding is {padding!r}, expected an int from 0")
    samples = _samples(op, audio)
    if padding:
        samples = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, padding)])
    filters = mel_filters(sample_rate, n_fft, n_mels)
    power = power_spectrogram(samples, n_fft, hop_length)[..., :-1]
    log = np.log10(np.maximum(np.matmul(filters, power), np.float32(1e-10)))
    loudest = log.max((-1, -2), keepdims=True)
    return (np.maximum(log, loudest - 8) + 4) / 4


def mfcc(
    audio: Any,
    n_mfcc: int = 13,
    *,
    sample_rate: int = 16000,
    n_fft: int = 400,
    hop_length: int = 160,
    n_mels: int = 40,
) -> Any:
    """Mel-frequency cepstral coefficients (Davis and Mermelstein 1980).

    The cosine transform (type II, orthonormal) of the mel channels in dB.

    Parameters
    ----------
    audio : array [..., samples]
    n_mfcc : int, default 13
        Coefficients that are kept, the slowest first.
    sample_rate, n_fft, hop_length, n_mels : int, keyword-only, default 16000, 400, 160, 40

    Returns
    -------
    float32 array [..., n_mfcc, 1 + samples // hop_length]

    Raises
    ------
    ArgumentError
        There are fewer channels than coefficients.
    """
    op = "mfcc"
    _positive(op, n_mfcc=n_mfcc)
    if n_mfcc > n_mels:
        raise ArgumentError(f"{op}: n_mfcc is {n_mfcc}, expected at most n_mels {n_mels}")
    filters = mel_filters(sample_rate, n_fft, n_mels)
    mel = np.matmul(filters, power_spectrogram(audio, n_fft, hop_length))
    decibels = 10 * np.log10(np.maximum(mel, np.float32(1e-10)))
    waves = np.cos(math.pi / n_mels * (np.arange(n_mels) + 0.5) * np.arange(n_mfcc)[:, None])
    waves *= math.sqrt(2 / n_mels)
    waves[0] *= math.sqrt(0.5)
    return np.matmul(waves.astype(np.float32), decibels)


def _samples(op: str, audio: Any) -> Any:
    samples = audio.numpy() if isinstance(audio, Tensor) else np.asarray(audio)
    if samples.ndim < 1 or samples.dtype.kind != "f":
        raise ShapeError(
            f"{op}: audio has shape {samples.shape} and dtype {samples.dtype}, expected floats [..., samples]"
        )
    return samples.astype(np.float32, copy=False)


def _positive(op: str, **values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgumentError(f"{op}: {name} is {value!r}, expected a positive int")
