"""Fourier transforms of ``keras.ops``: complex numbers are pairs of real and imaginary parts, as in Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.function import Function
from einkorn.keras.ops._numpy import _data

__all__ = ["custom_gradient", "extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]


def _parts(found: np.ndarray, kind: Any) -> tuple[Tensor, Tensor]:
    return Tensor(np.ascontiguousarray(found.real, kind)), Tensor(np.ascontiguousarray(found.imag, kind))


class _Turned(Function):
    """A linear transform of pairs along axes, and the transform that carries gradients back."""

    @staticmethod
    def forward(ctx: Any, real: Any, imag: Any, there: Any, back: Any) -> Any:
        ctx.back = back
        return _parts(there(_data(real) + 1j * _data(imag)), _data(real).dtype)

    @staticmethod
    def backward(ctx: Any, real: Any, imag: Any) -> Any:
        return (*_parts(ctx.back(_data(real) + 1j * _data(imag)), _data(real).dtype), None, None)


class _OfReal(Function):
    """Real numbers as their positive frequencies."""

    @staticmethod
    def forward(ctx: Any, x: Any, length: int) -> Any:
        ctx.sizes = x.shape[-1], length
        return _parts(np.fft.rfft(_data(x), length), _data(x).dtype)

    @staticmethod
    def backward(ctx: Any, real: Any, imag: Any) -> Any:
        size, length = ctx.sizes
        values = _data(real) + 1j * _data(imag)
        whole = np.zeros((*values.shape[:-1], length), values.dtype)
        whole[..., : values.shape[-1]] = values
        found = (np.fft.ifft(whole).real * length)[..., :size]
        out = np.zeros((*values.shape[:-1], size), _data(real).dtype)
        out[..., : found.shape[-1]] = found
        return Tensor(out), None


class _ToReal(Function):
    """Positive frequencies as real numbers."""

    @staticmethod
    def forward(ctx: Any, real: Any, imag: Any, length: int) -> Any:
        ctx.sizes = real.shape[-1], length
        found = np.fft.irfft(_data(real) + 1j * _data(imag), length)
        return Tensor(found.astype(_data(real).dtype))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        size, length = ctx.sizes
        found = np.fft.rfft(_data(g))
        twice = np.full(found.shape[-1], 2.0)  # but for the first, and the middle one, which stand once
        twice[0] = 1.0
        if length % 2 == 0:
            twice[-1] = 1.0
        found = found * twice / length
        out = np.zeros((*found.shape[:-1], size), found.dtype)
        count = min(size, found.shape[-1])
        out[..., :count] = found[..., :count]
        return (*_parts(out, _data(g).dtype), None)


def _pair(name: str, x: Any) -> tuple[Any, Any]:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ArgumentError(f"{name}: x is a {type(x).__name__}, expected a pair of real and imaginary parts")
    if tuple(x[0].shape) != tuple(x[1].shape):
        raise ShapeError(
            f"{name}: parts have shapes {tuple(x[0].shape)} and {tuple(x[1].shape)}, expected one shape"
        )
    return _float(x[0]), _float(x[1])


def _float(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    values = np.asarray(x)
    return Tensor(values if values.dtype.kind == "f" else values.astype(np.float32))


def fft(x: Any) -> tuple[Any, Any]:
    """The Fourier transform along the last axis, of real and imaginary parts."""
    real, imag = _pair("fft", x)
    size = real.shape[-1]
    return _Turned.apply(real, imag, np.fft.fft, lambda g: np.fft.ifft(g) * size)


def fft2(x: Any) -> tuple[Any, Any]:
    """The Fourier transform along the last two axes."""
    real, imag = _pair("fft2", x)
    size = real.shape[-1] * real.shape[-2]
    return _Turned.apply(real, imag, np.fft.fft2, lambda g: np.fft.ifft2(g) * size)


def ifft2(x: Any) -> tuple[Any, Any]:
    """The way back from ``fft2``."""
    real, imag = _pair("ifft2", x)
    size = real.shape[-1] * real.shape[-2]
    return _Turned.apply(real, imag, np.fft.ifft2, lambda g: np.fft.fft2(g) / size)


def rfft(x: Any, fft_length: int | None = None) -> tuple[Any, Any]:
    """The Fourier transform of real numbers along the last axis: as many frequencies as there are of them."""
    values = _float(x)
    return _OfReal.apply(values, values.shape[-1] if fft_length is None else int(fft_length))


def irfft(x: Any, fft_length: int | None = None) -> Any:
    """The way back from ``rfft``."""
    real, imag = _pair("irfft", x)
    return _ToReal.apply(real, imag, 2 * (real.shape[-1] - 1) if fft_length is None else int(fft_length))


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Windows of the last axis, [..., windows, sequence_length]."""
    size = x.shape[-1]
    if not 1 <= sequence_length <= size or sequence_stride < 1:
        raise ArgumentError(
            f"extract_sequences: windows of {sequence_length} every {sequence_stride} do not fit into {size}"
        )
    starts = np.arange(0, size - sequence_length + 1, sequence_stride)
    return x[..., starts[:, None] + np.arange(sequence_length)]


def _window_of(name: str, window: Any, length: int, kind: Any) -> np.ndarray:
    if window is None:
        return np.ones(length, kind)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ArgumentError(f"{name}: window is {window!r}, expected hann, hamming, None or an array")
        turns = np.cos(2 * np.pi * np.arange(length) / length)
        return (0.5 - 0.5 * turns if window == "hann" else 0.54 - 0.46 * turns).astype(kind)
    values = _data(window).astype(kind)
    if values.shape != (length,):
        raise ShapeError(f"{name}: window has shape {values.shape}, expected ({length},)")
    return values


def _wide(window: np.ndarray, fft_length: int) -> np.ndarray:
    before = (fft_length - len(window)) // 2
    return np.pad(window, (before, fft_length - len(window) - before))


def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann",
    center: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """Fourier transforms of windows: real and imaginary parts [..., windows, frequencies].

    Parameters
    ----------
    x : array or Tensor [..., samples]
    sequence_length, sequence_stride : int
        How long a window is, and from how many samples to how many one begins.
    fft_length : int
        The transform's length, at least ``sequence_length``.
    window : "hann", "hamming", array or None, default "hann"
    center : bool, default True
        Whether the samples are mirrored at both ends, so that windows have their middles at
        ``k * sequence_stride``.
    """
    if fft_length < sequence_length:
        raise ArgumentError(f"stft: fft_length is {fft_length}, expected {sequence_length} or more")
    values = _float(x)
    weights = _wide(_window_of("stft", window, sequence_length, _data(values).dtype), fft_length)
    if center:
        half, shape = fft_length // 2, tuple(values.shape)
        rows = values.reshape(-1, 1, shape[-1])
        padded = ops.pad(rows, [half, half], "reflect")
        values = padded.reshape(*shape[:-1], padded.shape[-1])
    return rfft(ops.multiply(extract_sequences(values, fft_length, sequence_stride), weights), fft_length)


def istft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, length: int | None = None,
    window: Any = "hann", center: bool = True,
) -> Any:  # fmt: skip
    """The way back from ``stft``; arguments as there.

    Parameters
    ----------
    length : int, optional
        How many samples to give.
    """
    frames = irfft(x, fft_length)
    kind = _data(frames).dtype
    weights = _wide(_window_of("istft", window, sequence_length, kind), fft_length)
    count, shape = frames.shape[-2], tuple(frames.shape)
    whole = fft_length + sequence_stride * (count - 1)

    def added(parts: Any) -> Any:
        """Windows, [rows, windows, fft_length], where they belong."""
        columns = ops.swapaxes(parts, -2, -1)
        out = ops.fold(columns, (1, whole), (1, fft_length), 1, 0, (1, sequence_stride))
        return out.reshape(out.shape[0], whole)

    if window is None or (center and sequence_length == fft_length):
        rows = added(ops.multiply(frames, weights).reshape(-1, count, fft_length))
        if window is not None:  # over the squares of the windows that a sample lies in
            spread = _data(added(np.broadcast_to(weights**2, (1, count, fft_length)).copy()))
            rows = ops.divide(rows, np.where(spread > 1e-11, spread, 1).astype(kind))
    else:  # as if each sample lay in as many windows as one in the middle
        cycles = -(-fft_length // sequence_stride)
        squares = np.pad(weights**2, (0, cycles * sequence_stride - fft_length)).reshape(cycles, -1).sum(0)
        share = np.tile(squares, cycles)[:fft_length]
        weights = weights / np.where(share > 0, share, 1).astype(kind)
        rows = added(ops.multiply(frames, weights).reshape(-1, count, fft_length))
    begin = fft_length // 2 if center else 0
    end = begin + length if length is not None else whole - (fft_length // 2 if center else 0)
    rows = rows[:, begin : min(end, whole)]
    if end > whole:
        rows = ops.pad(rows, [0, end - whole])
    return rows.reshape(*shape[:-2], rows.shape[-1])


# --- gradients of one's own ---------------------------------------------------------------------------------


class _Own(Function):
    @staticmethod
    def forward(ctx: Any, function: Any, *args: Any) -> Any:
        out, ctx.gradient = function(*args)
        ctx.save_for_backward(*[a if isinstance(a, Tensor) else None for a in args])
        ctx.plain = [None if isinstance(a, Tensor) else a for a in args]
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        given = upstream[0] if len(upstream) == 1 else upstream
        pairs = zip(ctx.saved_tensors, ctx.plain, strict=True)
        found = ctx.gradient(*[plain if saved is None else saved for saved, plain in pairs], upstream=given)
        grads = list(found) if isinstance(found, (tuple, list)) else [found]
        return (None, *grads, *[None] * (len(ctx.plain) - len(grads)))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives its result and a function for its gradient, as one that can be trained through.

    The function for the gradient is called with the arguments, and with ``upstream``, the gradient of the
    result; it gives a gradient for each argument.
    """

    def call(*args: Any) -> Any:
        return _Own.apply(
            f, *[_float(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
        )

    return call
