"""More of torch's functions under ``einkorn`` itself: ranges, windows, views by strides."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions
from einkorn._device import as_array, beside, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.creation import _finished, _float_type, as_tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._options import integer

__all__ = [
    "as_strided",
    "bartlett_window",
    "batch_norm",
    "blackman_window",
    "embedding_bag",
    "hamming_window",
    "hann_window",
    "histogram",
    "instance_norm",
    "is_inference",
    "narrow_copy",
    "nextafter",
    "poisson",
    "range",
    "real",
    "svd",
]

_range = range


def range(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers from ``start`` to ``end``, the end included; see :func:`~einkorn.creation.arange`."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"range: start is {start}, end {end} and step {step}, which leads nowhere")
    count = math.floor((end - start) / step + 1e-9) + 1
    values = start + np.arange(count) * step
    return Tensor(values.astype(np.float32 if dtype is None else dtype), requires_grad)


def _window(
    op: str, length: Any, periodic: bool, dtype: Any, shape: Any, *, device: Any = None, layout: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    n, kind = integer(op, "window_length", length, 0), _float_type(op, dtype)
    values = np.ones(n) if n <= 1 else shape(n + 1)[:-1] if periodic else shape(n)
    return _finished(op, _bfloat16.astype(np.asarray(values, np.float64), kind), device, requires_grad)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, **options: Any) -> Tensor:
    """The raised cosine from 0 to 1 and back: of a period, or symmetric."""
    return _window("hann_window", window_length, periodic, dtype, np.hanning, **options)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    **options: Any,
) -> Tensor:  # fmt: skip
    """``alpha - beta * cos(2 pi n / N)``: of a period, or symmetric."""

    def shape(n: int) -> np.ndarray:
        return np.asarray(alpha - beta * np.cos(2 * np.pi * np.arange(n) / (n - 1)))

    return _window("hamming_window", window_length, periodic, dtype, shape, **options)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, **options: Any
) -> Tensor:
    """Blackman's window: of a period, or symmetric."""
    return _window("blackman_window", window_length, periodic, dtype, np.blackman, **options)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, **options: Any
) -> Tensor:
    """A triangle: of a period, or symmetric."""
    return _window("bartlett_window", window_length, periodic, dtype, np.bartlett, **options)


def nextafter(input: Any, other: Any) -> Tensor:
    """The next number of the type after ``input`` in the direction of ``other``."""
    from einkorn.ops._promotion import alike

    first, second = as_tensor(input), as_tensor(other)
    a, b = alike(first, second if hasattr(other, "dtype") else second.to(first.device))
    if a.dtype.kind != "f":
        raise DTypeError(f"nextafter: input holds {a.dtype}, expected float32 or float64")
    return Tensor(as_array(np.nextafter(a._data, b._data)))


def real(input: Any) -> Any:
    """The tensor itself: numbers are real here."""
    return input


def is_inference(input: Any) -> bool:
    """False: tensors do not remember where they were made."""
    return False


def narrow_copy(input: Any, dim: int, start: int, length: int) -> Tensor:
    """A copy of ``length`` slices of a dimension, from ``start`` on."""
    return as_tensor(input).narrow(dim, start, length).clone()


def histogram(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> tuple[Tensor, Tensor]:
    """Counts of elements in bins, and the bins' edges.

    Parameters
    ----------
    input : Tensor
    bins : int or Tensor
        Their number, or their edges in rising order.
    range : pair of numbers, keyword-only, optional
        From the smallest to the largest element by default.
    weight : Tensor, keyword-only, optional
        What each element counts.
    density : bool, keyword-only, default False
        Divide so that the integral is 1.
    """
    x = as_tensor(input).detach()
    if x.dtype.kind != "f":
        raise DTypeError(f"histogram: input holds {x.dtype}, expected float32 or float64")
    edges = bins if isinstance(bins, int) else np.asarray(bins)
    weights = None if weight is None else np.asarray(weight).reshape(-1)
    counts, found = np.histogram(x.numpy().reshape(-1), edges, range, density, weights)
    return Tensor(beside(x, counts.astype(x.dtype))), Tensor(beside(x, found.astype(x.dtype)))


def poisson(input: Any, generator: Any = None) -> Tensor:
    """Whole numbers drawn with the rates of ``input``; of its type."""
    from einkorn import random
    from einkorn.random import drawing_from

    rates = as_tensor(input)
    with drawing_from("poisson", generator):
        source = np.random.default_rng(random.take(1))
    return Tensor(source.poisson(rates.detach().numpy()).astype(rates.dtype))


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """``U, S, V`` of ``linalg.svd``, of which V is not transposed."""
    from einkorn import linalg

    found = linalg.svd(as_tensor(input), full_matrices=not some)
    return found[0], found[1], found[2].mT


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory by sizes and steps, in elements; one that shows memory outside is refused.

    No gradient flows through it: of a Tensor that requires one it is refused.
    """
    t = as_tensor(input)
    if t.requires_grad:
        raise ArgumentError(
            "as_strided: the tensor requires a gradient, which does not flow through: use indices"
        )
    whole = t._data
    shape, steps = tuple(map(int, size)), tuple(map(int, stride))
    if len(shape) != len(steps) or any(n < 0 for n in (*shape, *steps)):
        raise ShapeError(f"as_strided: size is {shape} and stride {steps}, expected as many, none negative")
    base = _versions.owner(whole)
    at = t.storage_offset() if storage_offset is None else int(storage_offset)
    last = at + sum((n - 1) * s for n, s in zip(shape, steps, strict=True)) if all(shape) else at
    if not base.flags.c_contiguous or base.dtype != whole.dtype or at < 0 or last >= max(base.size, 1):
        raise ShapeError(
            f"as_strided: size {shape} and stride {steps} from {at} leave the {base.size} elements there"
        )
    flat = base.reshape(-1)[at:]
    home = sys.modules["cupy"] if is_on_gpu(whole) else np
    view = home.lib.stride_tricks.as_strided(flat, shape, [s * whole.itemsize for s in steps])
    return Tensor._wrap(view, False, None)


def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float,
    eps: float, cudnn_enabled: bool = False,
) -> Any:  # fmt: skip
    """``nn.functional.batch_norm`` with torch's order of arguments under ``torch`` itself."""
    from einkorn.nn import functional

    return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Any:  # fmt: skip
    """``nn.functional.instance_norm`` with torch's order of arguments under ``torch`` itself."""
    from einkorn.nn import functional

    return functional.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def embedding_bag(
    weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool = False, mode: int = 0,
    sparse: bool = False, per_sample_weights: Any = None, include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """``nn.functional.embedding_bag`` with torch's order here; mode 0 sum, 1 mean, 2 max."""
    from einkorn.nn import functional

    if mode not in (0, 1, 2):
        raise ArgumentError(f"embedding_bag: mode is {mode!r}, expected 0 (sum), 1 (mean) or 2 (max)")
    return functional.embedding_bag(
        indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=("sum", "mean", "max")[mode],
        sparse=sparse, per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )  # fmt: skip
