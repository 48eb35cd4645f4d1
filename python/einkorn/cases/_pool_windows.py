"""Cases of poolings over lines and volumes, over windows told one by one, and of the maximum undone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ._case import Case, Op, given, indices, integers, normal, positive, sprinkled

Array = np.ndarray
_F = "nn.functional."


def _sizes(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


def _ranges(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil: bool) -> list[range]:
    """The pixels of each window along one axis."""
    span = size + 2 * pad - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (count - 1) * stride >= size + pad:
        count -= 1
    starts = [i * stride - pad for i in range(count)]
    return [
        range(s + max(0, -(s // dilation)) * dilation, min(s + kernel * dilation, size), dilation)
        for s in starts
    ]


def _adaptive_ranges(size: int, count: int) -> list[range]:
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _reduced(x: Array, ranges: list[list[range]], reduce: Callable[[Array, Array], Any]) -> Any:
    """reduce(pixels [N, C, window], their places) for each window."""
    count, extent = len(ranges), x.shape[2:]
    flat = x.reshape(*x.shape[:2], math.prod(extent))
    results = []
    for window in np.ndindex(*(len(r) for r in ranges)):
        axes = [np.array(r[i], np.int64) for r, i in zip(ranges, window, strict=True)]
        places = np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), extent).reshape(-1)
        results.append(reduce(flat[:, :, places], places))
    shape = (*x.shape[:2], *(len(r) for r in ranges))
    assert count == len(shape) - 2
    if results and isinstance(results[0], tuple):
        return tuple(np.stack(part, -1).reshape(shape) for part in zip(*results, strict=True))
    return np.stack(results, -1).reshape(shape)


def _first_maximum(window: Array, places: Array) -> tuple[Array, Array]:
    first = window.argmax(-1)
    return np.take_along_axis(window, first[..., None], -1)[..., 0], places[first]


def _max(x: Array, ranges: list[list[range]], return_indices: bool) -> Any:
    y, where = _reduced(x, ranges, _first_maximum)
    return (y, where) if return_indices else y


def _window_ranges(x: Array, options: dict[str, Any]) -> list[list[range]]:
    count = x.ndim - 2
    kernel = _sizes(options["kernel_size"], count)
    stride = _sizes(options.get("stride") or kernel, count)
    pad, dilation = _sizes(options.get("padding", 0), count), _sizes(options.get("dilation", 1), count)
    ceil = options.get("ceil_mode", False)
    every = zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    return [_ranges(*one, ceil) for one in every]


def _max_pool(x: Array, return_indices: bool = False, **options: Any) -> Any:
    return _max(x, _window_ranges(x, options), return_indices)


def _sum_pool(x: Array, **options: Any) -> Array:
    y: Array = _reduced(x, _window_ranges(x, options), lambda window, _: window.sum(-1))
    return y


def _avg_pool(
    x: Array, count_include_pad: bool = True, divisor_override: int | None = None, **options: Any
) -> Array:
    sums = _sum_pool(x, **options)
    if divisor_override is not None:
        return sums / x.dtype.type(divisor_override)
    if count_include_pad:  # what the padded edge holds counts, what hangs over it does not
        pads = _sizes(options.get("padding", 0), x.ndim - 2)
        counted = np.pad(
            np.ones((1, 1, *x.shape[2:])), ((0, 0), (0, 0), *((p, p) for p in pads)), constant_values=1
        )
        kernel = _sizes(options["kernel_size"], x.ndim - 2)
        stride = _sizes(options.get("stride") or kernel, x.ndim - 2)
        sides = [
            [range(i * s, min(i * s + k, n)) for i in range(out)]
            for n, k, s, out in zip(counted.shape[2:], kernel, stride, sums.shape[2:], strict=True)
        ]
    else:
        counted, sides = np.ones((1, 1, *x.shape[2:])), _window_ranges(x, options)
    counts = _reduced(counted, sides, lambda window, _: window.sum(-1))
    return (sums / counts).astype(x.dtype)


def _adaptive(x: Array, output_size: Any) -> list[list[range]]:
    wanted = _sizes(output_size, x.ndim - 2)
    return [
        _adaptive_ranges(n, n if count is None else count)
        for n, count in zip(x.shape[2:], wanted, strict=True)
    ]


def _adaptive_max(x: Array, output_size: Any, return_indices: bool = False) -> Any:
    return _max(x, _adaptive(x, output_size), return_indices)


def _adaptive_avg(x: Array, output_size: Any) -> Array:
    y: Array = _reduced(x, _adaptive(x, output_size), lambda window, _: window.mean(-1))
    return y


def _lp_pool(x: Array, norm_type: float, **options: Any) -> Array:
    return _sum_pool(x**norm_type, **options) ** (1 / norm_type)


def _fractional(
    x: Array, samples: Array, kernel_size: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """Plane by plane: each has samples of its own."""
    count = x.ndim - 2
    kernel, wanted = _sizes(kernel_size, count), _sizes(output_size, count)
    results = []
    for plane, drawn in zip(x.reshape(-1, *x.shape[2:]), samples.reshape(-1, count), strict=True):
        us = drawn[::-1] if count == 2 else drawn
        ranges = []
        for n, k, m, u in zip(plane.shape, kernel, wanted, us, strict=True):
            alpha = x.dtype.type((n - k) / max(m - 1, 1))
            starts = [int((x.dtype.type(i) + u) * alpha) - int(u * alpha) for i in range(m - 1)] + [n - k]
            ranges.append([range(s, s + k) for s in starts])
        results.append(_max(plane[None, None], ranges, True))
    y, where = (np.concatenate(part).reshape(*x.shape[:2], *wanted) for part in zip(*results, strict=True))
    return (y, where) if return_indices else y


def _call_fractional(name: str) -> Callable[..., Any]:
    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        return getattr(einkorn.ops, name)(arrays[0], _random_samples=arrays[1], **options)

    return call


def _torch_fractional(name: str) -> Callable[..., Any]:
    def call(torch: Any, x: Any, samples: Any, **options: Any) -> Any:
        return getattr(torch.nn.functional, name)(x, _random_samples=samples.detach(), **options)

    return call


def _max_unpool(x: Array, places: Array, kernel_size: Any, output_size: Any = None, **options: Any) -> Array:
    count = x.ndim - 2
    kernel = _sizes(kernel_size, count)
    stride = _sizes(options.get("stride") or kernel, count)
    pad = _sizes(options.get("padding", 0), count)
    out = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], stride, pad, kernel, strict=True))
    out = out if output_size is None else tuple(output_size)[-count:]
    y = np.zeros((*x.shape[:2], math.prod(out)), x.dtype)
    flat = (*x.shape[:2], math.prod(x.shape[2:]))
    np.put_along_axis(y, places.reshape(flat), x.reshape(flat), -1)
    return y.reshape(*x.shape[:2], *out)


def _abs(reference: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *a, **options: reference(np.abs(x), *a, **options)


def _ops(stem: str, reference: Callable[..., Any], sides: Iterable[int], **more: Any) -> list[Op]:
    return [Op(f"{stem}{n}d", reference, f"{_F}{stem}{n}d", **more) for n in sides]


max_pool1d, max_pool3d = _ops("max_pool", _max_pool, (1, 3))
avg_pool1d, avg_pool3d = _ops("avg_pool", _avg_pool, (1, 3), scale=_abs(_avg_pool))
lp_pool1d, lp_pool3d = _ops("lp_pool", _lp_pool, (1, 3))
adaptive_avg_pool1d, adaptive_avg_pool3d = _ops(
    "adaptive_avg_pool", _adaptive_avg, (1, 3), scale=_abs(_adaptive_avg)
)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = _ops(
    "adaptive_max_pool", _adaptive_max, (1, 2, 3)
)
max_unpool1d, max_unpool2d, max_unpool3d = _ops("max_unpool", _max_unpool, (1, 2, 3))
sum_pool1d, sum_pool3d = (
    Op(
        f"sum_pool{n}d",
        _sum_pool,
        lambda torch, x, kernel_size, n=n, **o: (
            getattr(torch.nn.functional, f"avg_pool{n}d")(x, kernel_size, **o) * kernel_size**n
        ),
        scale=_abs(_sum_pool),
    )
    for n in (1, 3)
)
fractional_max_pool2d, fractional_max_pool3d = (
    Op(name, _fractional, _torch_fractional(name), call=_call_fractional(name))
    for name in ("fractional_max_pool2d", "fractional_max_pool3d")
)


def _samples(*values: float, planes: int) -> Any:
    return given(*values, shape=(1, planes, len(values) // planes))


CASES: list[Case] = [
    max_pool1d(normal(2, 3, 9), kernel_size=3, stride=2, padding=1).grad(),
    max_pool1d(integers(2, 3, 9), kernel_size=2, dilation=3, ceil_mode=True, return_indices=True).exact(),
    max_pool3d(normal(2, 2, 4, 5, 6), kernel_size=(2, 3, 2), stride=(1, 2, 2), padding=1).grad(),
    max_pool3d(integers(1, 2, 5, 6, 5), kernel_size=2, dilation=(1, 3, 2), return_indices=True).exact(),
    max_pool3d(sprinkled(1, 2, 4, 4, 6), kernel_size=2, ceil_mode=True),
    max_pool3d(normal(0, 2, 4, 4, 4), kernel_size=2),
    avg_pool1d(normal(2, 3, 9), kernel_size=3, stride=2, padding=1, ceil_mode=True).grad(),
    avg_pool3d(normal(2, 2, 4, 5, 6), kernel_size=(2, 3, 2), padding=1, count_include_pad=False).grad(),
    avg_pool3d(normal(1, 2, 5, 4, 4), kernel_size=3, stride=2, padding=1, ceil_mode=True).grad(),
    avg_pool3d(normal(1, 2, 4, 4, 4), kernel_size=2, padding=1, divisor_override=3).grad(),
    lp_pool1d(positive(2, 3, 9), norm_type=3, kernel_size=2).grad(),
    lp_pool3d(normal(1, 2, 4, 3, 4), norm_type=2, kernel_size=2).grad(),
    sum_pool1d(integers(2, 3, 9), kernel_size=3).grad().exact(),
    sum_pool3d(integers(1, 2, 4, 5, 4), kernel_size=2).grad().exact(),
    adaptive_avg_pool1d(normal(2, 3, 9), output_size=4).grad(),
    adaptive_avg_pool3d(normal(1, 2, 4, 5, 3), output_size=(3, None, 5)).grad(),
    adaptive_max_pool1d(normal(2, 3, 9), output_size=4).grad(),
    adaptive_max_pool2d(normal(2, 3, 7, 5), output_size=(3, 8)).grad(),
    adaptive_max_pool2d(integers(2, 3, 7, 5), output_size=(None, 2), return_indices=True).exact(),
    adaptive_max_pool2d(normal(0, 3, 7, 5), output_size=2),
    adaptive_max_pool3d(normal(1, 2, 4, 5, 3), output_size=(3, 2, 2)).grad(),
    fractional_max_pool2d(
        normal(1, 2, 7, 8), _samples(0.1, 0.6, 0.9, 0.3, planes=2), kernel_size=2, output_size=(4, 5)
    ).grad(0),
    fractional_max_pool2d(
        integers(1, 2, 7, 8),
        _samples(0.1, 0.6, 0.9, 0.3, planes=2),
        kernel_size=(3, 2),
        output_size=3,
        return_indices=True,
    ).exact(),
    fractional_max_pool3d(
        normal(1, 2, 5, 6, 7),
        _samples(0.1, 0.6, 0.9, 0.3, 0.7, 0.2, planes=2),
        kernel_size=2,
        output_size=(3, 3, 4),
    ).grad(0),
    max_unpool1d(normal(2, 3, 1), indices(2, 3, 1, below=3), kernel_size=3).grad(),
    max_unpool2d(normal(2, 2, 1, 1), indices(2, 2, 1, 1, below=6), kernel_size=2, output_size=(3, 2)).grad(),
    max_unpool3d(normal(2, 3, 1, 1, 1), indices(2, 3, 1, 1, 1, below=8), kernel_size=2).grad(),
    max_unpool2d(normal(0, 3, 2, 2), indices(0, 3, 2, 2, below=4), kernel_size=2),
]
