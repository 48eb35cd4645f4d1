"""Cases of the poolings: maximum, average, adaptive, global, sum and L-p norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _pool_windows
from ._case import LAYOUTS, Case, Op, given, integers, normal, positive, sprinkled

Array = np.ndarray
Pair = int | tuple[int, int]


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _out_size(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil: bool) -> int:
    span = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-span // stride) + 1 if ceil else span // stride + 1
    if ceil and (out - 1) * stride >= size + pad:
        out -= 1  # the last window must begin inside the image or its left padding
    return out


def _max_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    (kh, kw), (dh, dw), (ph, pw) = _pair(kernel_size), _pair(dilation), _pair(padding)
    sh, sw = _pair(kernel_size if stride is None else stride)
    n, c, h, w = x.shape
    out_h = _out_size(h, kh, sh, ph, dh, ceil_mode)
    out_w = _out_size(w, kw, sw, pw, dw, ceil_mode)
    y = np.empty((n, c, out_h, out_w), x.dtype)
    where = np.empty((n, c, out_h, out_w), np.int64)
    for i in range(out_h):
        rows = [r for r in range(i * sh - ph, i * sh - ph + kh * dh, dh) if 0 <= r < h]
        for j in range(out_w):
            columns = [q for q in range(j * sw - pw, j * sw - pw + kw * dw, dw) if 0 <= q < w]
            places = np.array([r * w + q for r in rows for q in columns])
            window = x.reshape(n, c, h * w)[:, :, places]
            nan = np.isnan(window)
            last = window.shape[-1] - 1 - nan[..., ::-1].argmax(axis=-1)
            best = np.where(nan.any(-1), last, window.argmax(axis=-1))  # the first maximum, the last NaN
            y[:, :, i, j] = np.take_along_axis(window, best[..., None], -1)[..., 0]
            where[:, :, i, j] = places[best]
    return (y, where) if return_indices else y


def _avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    (kh, kw), (ph, pw) = _pair(kernel_size), _pair(padding)
    sh, sw = _pair(kernel_size if stride is None else stride)
    n, c, h, w = x.shape
    out_h = _out_size(h, kh, sh, ph, 1, ceil_mode)
    out_w = _out_size(w, kw, sw, pw, 1, ceil_mode)
    y = np.empty((n, c, out_h, out_w), x.dtype)
    for i in range(out_h):
        top, bottom = i * sh - ph, min(i * sh - ph + kh, h + ph)
        for j in range(out_w):
            left, right = j * sw - pw, min(j * sw - pw + kw, w + pw)
            window = x[:, :, max(top, 0) : min(bottom, h), max(left, 0) : min(right, w)]
            count = (bottom - top) * (right - left)  # padding counted, overhang not
            if not count_include_pad:
                count = window.shape[2] * window.shape[3]
            if divisor_override is not None:
                count = divisor_override
            y[:, :, i, j] = window.sum(axis=(2, 3)) / x.dtype.type(count)
    return y


def _adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    n, c, h, w = x.shape
    out_h, out_w = _pair(output_size)
    y = np.empty((n, c, out_h, out_w), x.dtype)
    for i in range(out_h):
        rows = slice(i * h // out_h, -(-(i + 1) * h // out_h))
        for j in range(out_w):
            columns = slice(j * w // out_w, -(-(j + 1) * w // out_w))
            y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


def _sum_pool2d(x: Array, kernel_size: Pair, stride: Pair | None = None) -> Array:
    return _avg_pool2d(x, kernel_size, stride) * x.dtype.type(math.prod(_pair(kernel_size)))


def _lp_pool2d(x: Array, norm_type: float, kernel_size: Pair, stride: Pair | None = None) -> Array:
    return _sum_pool2d(x**norm_type, kernel_size, stride) ** (1 / norm_type)


def _abs_scale(reference: Any) -> Any:
    return lambda x, *a, **options: reference(np.abs(x), *a, **options)


def _torch_sum_pool2d(torch: Any, x: Any, kernel_size: Pair, stride: Pair | None = None) -> Any:
    pool = torch.nn.functional.avg_pool2d
    return pool(x, kernel_size, stride, divisor_override=1)


def _window_flops(shapes: Any, out: tuple[int, ...], options: dict[str, Any]) -> float:
    return math.prod(out) * math.prod(_pair(options["kernel_size"]))


def _one_flop(shapes: list[tuple[int, ...]], out: Any, options: Any) -> float:
    return math.prod(shapes[0])


_F = "nn.functional."
max_pool2d = Op("max_pool2d", _max_pool2d, _F + "max_pool2d", flops=_window_flops)
avg_pool2d = Op(
    "avg_pool2d",
    _avg_pool2d,
    _F + "avg_pool2d",
    flops=_window_flops,
    scale=_abs_scale(_avg_pool2d),
)
adaptive_avg_pool2d = Op(
    "adaptive_avg_pool2d",
    _adaptive_avg_pool2d,
    _F + "adaptive_avg_pool2d",
    flops=_one_flop,
    scale=_abs_scale(_adaptive_avg_pool2d),
)
global_avg_pool2d = Op(
    "global_avg_pool2d",
    lambda x: x.mean(axis=(2, 3), keepdims=True),
    lambda torch, x: x.mean((2, 3), keepdim=True),
    flops=_one_flop,
    scale=_abs_scale(lambda x: x.mean(axis=(2, 3), keepdims=True)),
)
global_max_pool2d = Op(
    "global_max_pool2d",
    lambda x: x.max(axis=(2, 3), keepdims=True),
    lambda torch, x: torch.nn.functional.max_pool2d(x, x.shape[2:]),
    flops=_one_flop,
)
sum_pool2d = Op(
    "sum_pool2d",
    _sum_pool2d,
    _torch_sum_pool2d,
    flops=_window_flops,
    scale=_abs_scale(_sum_pool2d),
)
lp_pool2d = Op("lp_pool2d", _lp_pool2d, _F + "lp_pool2d", flops=_window_flops)

#: Options that maximum and average pooling share.
_WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 6, 8), {"kernel_size": 2}),
    ((1, 2, 7, 7), {"kernel_size": 2}),
    ((1, 2, 7, 7), {"kernel_size": 2, "ceil_mode": True}),
    ((1, 2, 8, 7), {"kernel_size": 3, "stride": 2}),
    ((1, 2, 8, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 2, 8, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 7, 9), {"kernel_size": 3, "stride": 1}),
    ((1, 2, 5, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 2, 7, 9), {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0)}),
    ((1, 2, 9, 9), {"kernel_size": 2, "stride": 4, "ceil_mode": True}),
    ((1, 1, 5, 6), {"kernel_size": (5, 6)}),
    ((1, 1, 4, 4), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
    ((1, 2, 2, 2), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 1, 3, 2), {"kernel_size": (5, 3), "stride": 4, "padding": 1, "ceil_mode": True}),
    ((2, 3, 1, 33), {"kernel_size": (3, 2), "stride": 3, "ceil_mode": True}),
    ((3, 1, 1, 1), {"kernel_size": 1}),
    ((0, 3, 6, 6), {"kernel_size": 2}),
]


# Windows of these have no NaN, one, and several.
_NANS = [math.nan if i * i % 7 in (1, 2) or i % 40 > 33 else float(i * 37 % 50) for i in range(240)]


def _max_cases() -> list[Case]:
    cases = [max_pool2d(normal(*shape), **options).grad() for shape, options in _WINDOWS]
    for shape, options in _WINDOWS[:-1]:
        cases.append(max_pool2d(integers(*shape), return_indices=True, **options).exact())
    course = (12, 20, 30, 0, 8, 12, 2, 0, 34, 70, 37, 4, 112, 100, 25, 12)
    lowest = given(*[-math.inf] * 16, shape=(1, 1, 4, 4))
    cases += [
        max_pool2d(given(*course, shape=(1, 1, 4, 4)), kernel_size=2, stride=2).exact(),
        max_pool2d(normal(1, 2, 9, 8), kernel_size=2, dilation=2).grad(),
        max_pool2d(normal(1, 2, 9, 9), kernel_size=3, stride=2, padding=1, dilation=2).grad(),
        max_pool2d(normal(1, 2, 9, 9), kernel_size=3, dilation=(1, 3), ceil_mode=True).grad(),
        max_pool2d(normal(2, 0, 6, 6), kernel_size=2).unlike_torch("refuses it"),
        max_pool2d(sprinkled(2, 2, 6, 6), kernel_size=3, stride=1),
        # of several NaN the last: by every way through the rows
        *(
            max_pool2d(given(*_NANS, shape=(1, 1, 6, 40)), return_indices=True, **options)
            for options in (
                {"kernel_size": 2},
                {"kernel_size": 3, "stride": 1},
                {"kernel_size": 3, "stride": 2, "padding": 1},
                {"kernel_size": (2, 3), "stride": 3, "dilation": 2},
                {"kernel_size": (6, 40)},
            )
        ),
        max_pool2d(given(*_NANS, shape=(1, 6, 4, 10)), kernel_size=2, return_indices=True),
        max_pool2d(lowest, kernel_size=2, padding=1, return_indices=True),
        max_pool2d(normal(2, 3, 17, 70), kernel_size=3, stride=2, padding=1),
        max_pool2d(normal(20, 16, 32, 31), kernel_size=2).grad().called("two threads"),
        max_pool2d(normal(10, 16, 32, 31), kernel_size=3, stride=1).grad().called("two threads"),
    ]
    for width in (30, 31, 32, 33, 34, 63, 64, 66):  # 2 x 2 by vectors, and the tail
        cases.append(max_pool2d(integers(1, 2, 4, width), kernel_size=2).exact())
    for layout in LAYOUTS:
        if layout != "C":
            x = integers(2, 3, 6, 34).laid_out(layout)
            cases.append(max_pool2d(x, kernel_size=2, return_indices=True).exact())
    return cases


def _avg_cases() -> list[Case]:
    cases = [avg_pool2d(normal(*shape), **options).grad() for shape, options in _WINDOWS]
    for shape, options in _WINDOWS:
        if "padding" in options:
            cases.append(avg_pool2d(normal(*shape), count_include_pad=False, **options).grad())
        if shape[0]:
            cases.append(avg_pool2d(normal(*shape), divisor_override=3, **options).grad())
    for width in (30, 32, 33, 34, 66):
        cases.append(avg_pool2d(integers(1, 2, 4, width), kernel_size=2).exact())
    for layout in LAYOUTS:
        if layout != "C":
            x = integers(2, 3, 6, 34).laid_out(layout)
            cases.append(avg_pool2d(x, kernel_size=2, stride=(2, 1)).exact())
    cases += [
        avg_pool2d(normal(2, 0, 6, 6), kernel_size=2).unlike_torch("refuses it"),
        avg_pool2d(sprinkled(1, 2, 6, 6), kernel_size=3, stride=1, padding=1),
        avg_pool2d(normal(20, 16, 32, 31), kernel_size=2).grad().called("two threads"),
    ]
    return cases


def _other_cases() -> list[Case]:
    x = normal(2, 3, 7, 5)
    cases = [
        adaptive_avg_pool2d(x, output_size=1).grad(),
        adaptive_avg_pool2d(x, output_size=(7, 5)).grad(),
        adaptive_avg_pool2d(x, output_size=(3, 2)).grad(),
        adaptive_avg_pool2d(x, output_size=(2, 5)).grad(),
        adaptive_avg_pool2d(x, output_size=(9, 8)).grad(),
        adaptive_avg_pool2d(integers(2, 3, 8, 32).laid_out("reversed"), output_size=4).exact(),
        adaptive_avg_pool2d(normal(0, 3, 8, 8), output_size=2),
        adaptive_avg_pool2d(normal(16, 40, 14, 13), output_size=7).grad().called("two threads"),
        global_avg_pool2d(x).grad(),
        global_avg_pool2d(normal(2, 3, 17, 33)),
        global_avg_pool2d(normal(2, 3, 7, 5).laid_out("F")),
        global_avg_pool2d(normal(0, 3, 7, 7)),
        global_max_pool2d(x).grad(),
        global_max_pool2d(integers(2, 3, 8, 16)).exact(),
        global_max_pool2d(sprinkled(2, 3, 4, 4)),
        sum_pool2d(x, kernel_size=2).grad(),
        sum_pool2d(x, kernel_size=(3, 2), stride=1).grad(),
        sum_pool2d(integers(2, 3, 8, 8), kernel_size=4).exact(),
        lp_pool2d(normal(2, 3, 6, 4), norm_type=2, kernel_size=2).grad(),
        lp_pool2d(positive(2, 3, 6, 5), norm_type=3, kernel_size=(3, 2), stride=(1, 2)).grad(),
        lp_pool2d(positive(2, 3, 6, 4), norm_type=1, kernel_size=2).grad(),
    ]
    return cases


def _bench_cases() -> list[Case]:
    large = normal(32, 64, 32, 32)  # 8 MB
    return [
        max_pool2d(large, kernel_size=2).bench(quick=True),
        max_pool2d(large, kernel_size=2).grad().bench(),
        max_pool2d(large, kernel_size=3, stride=2, padding=1).bench(),
        avg_pool2d(large, kernel_size=2).bench(),
        adaptive_avg_pool2d(large, output_size=1).bench(),
        _pool_windows.max_pool3d(normal(4, 32, 16, 32, 32), kernel_size=2).grad().bench(),
        _pool_windows.adaptive_max_pool2d(large, output_size=7).bench(),
    ]


CASES: list[Case] = [*_max_cases(), *_avg_cases(), *_other_cases(), *_pool_windows.CASES, *_bench_cases()]
