"""Cases of the two-dimensional convolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Input, Op, integers, normal, sprinkled
from .matmul import _activate, torch_activation

Array = np.ndarray
Pair = int | tuple[int, int]


def _pair(value: Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _same_padding(kernel: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after, so that stride 1 keeps the size; an odd one goes after."""
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def _conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Array:
    """Sum over the taps of the kernel, each one product of a shifted image with its weights."""
    if x.ndim == 3:
        return _conv2d(x[None], weight, bias, stride, padding, dilation, groups, activation=activation)[0]
    n, _, h, w = x.shape
    k, c, r, s = weight.shape
    (stride_h, stride_w), (dil_h, dil_w) = _pair(stride), _pair(dilation)
    if padding == "same":
        margins = _same_padding(r, dil_h), _same_padding(s, dil_w)
    else:
        ph, pw = (0, 0) if isinstance(padding, str) else _pair(padding)
        margins = (ph, ph), (pw, pw)
    padded = np.pad(x, ((0, 0), (0, 0), *margins))
    out_h = (h + sum(margins[0]) - dil_h * (r - 1) - 1) // stride_h + 1
    out_w = (w + sum(margins[1]) - dil_w * (s - 1) - 1) // stride_w + 1
    y = np.zeros((n, k, out_h, out_w), x.dtype)
    for i in range(r):
        for j in range(s):
            rows = slice(i * dil_h, i * dil_h + stride_h * (out_h - 1) + 1, stride_h)
            columns = slice(j * dil_w, j * dil_w + stride_w * (out_w - 1) + 1, stride_w)
            for g in range(groups):
                images = padded[:, g * c : (g + 1) * c, rows, columns]
                kernels = slice(g * (k // groups), (g + 1) * (k // groups))
                y[:, kernels] += np.einsum("nchw,kc->nkhw", images, weight[kernels, :, i, j])
    return _activate(y if bias is None else y + bias[:, None, None], activation)


def _scale(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    unit = 0 if activation in (None, "relu", "leaky_relu") else 1
    size = None if bias is None else np.abs(bias)
    return _conv2d(np.abs(x), np.abs(weight), size, stride, padding, dilation, groups) + unit


def _torch(torch: Any, *tensors: Any, activation: str | None = None, **options: Any) -> Any:
    return torch_activation(torch, torch.nn.functional.conv2d(*tensors, **options), activation)


def _flops(shapes: list[tuple[int, ...]], out: tuple[int, ...], options: dict[str, Any]) -> float:
    return 2.0 * math.prod(out) * math.prod(shapes[1][1:])


def _one_dimensional(reference: Any) -> Any:
    """conv1d is conv2d with height 1: options that are numbers count along the width."""

    def call(x: Array, weight: Array, bias: Array | None = None, **options: Any) -> Array:
        for name, neutral in (("stride", 1), ("padding", 0), ("dilation", 1)):
            if isinstance(options.get(name), int):
                options[name] = (neutral, options[name])
        y: Array = reference(x[:, :, None], weight[:, :, None], bias, **options)
        return y[:, :, 0]

    return call


def _torch_conv1d(torch: Any, *tensors: Any, activation: str | None = None, **options: Any) -> Any:
    return torch_activation(torch, torch.nn.functional.conv1d(*tensors, **options), activation)


conv2d = Op("conv2d", _conv2d, _torch, flops=_flops, scale=_scale)
conv1d = Op(
    "conv1d",
    _one_dimensional(_conv2d),
    _torch_conv1d,
    flops=_flops,
    scale=_one_dimensional(_scale),
)


def _case(
    n: int, c: int, h: int, w: int, k: int, r: int, s: int, *, make: Any = normal, **options: Any
) -> Case:
    """Input [n, c, h, w], k kernels of r x s, a bias."""
    weight: Input = make(k, c // options.get("groups", 1), r, s)
    return conv2d(make(n, c, h, w), weight, make(k), **options)


#: Shapes and options, small enough for numerical gradients.
_SMALL: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1, 1, 1, 1, 1), {}),
    ((2, 3, 5, 5, 4, 3, 3), {}),
    ((2, 3, 5, 6, 4, 3, 3), {"padding": 1}),
    ((1, 2, 7, 7, 3, 3, 3), {"stride": 2}),
    ((1, 2, 8, 7, 3, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 2, 7, 9, 2, 3, 3), {"stride": (1, 2), "padding": (2, 0)}),
    ((1, 2, 9, 8, 2, 3, 3), {"dilation": 2}),
    ((1, 2, 9, 10, 2, 2, 3), {"dilation": (3, 2), "padding": (1, 2), "stride": (2, 1)}),
    ((2, 4, 5, 5, 6, 3, 3), {"groups": 2, "padding": 1}),
    ((1, 4, 6, 5, 4, 3, 3), {"groups": 4, "padding": 1}),
    ((1, 3, 6, 5, 6, 3, 3), {"groups": 3, "stride": 2}),
    ((2, 3, 4, 5, 5, 1, 1), {}),
    ((2, 3, 5, 5, 4, 1, 1), {"stride": 2}),
    ((1, 3, 4, 4, 2, 1, 1), {"padding": 1}),
    ((1, 2, 5, 8, 3, 1, 3), {"padding": "same"}),
    ((1, 2, 8, 5, 3, 3, 1), {"padding": "same"}),
    ((1, 2, 6, 6, 3, 2, 4), {"padding": "same"}),
    ((1, 2, 6, 6, 3, 3, 3), {"padding": "valid"}),
    ((1, 2, 9, 9, 3, 3, 3), {"padding": "same", "dilation": 2}),
    ((1, 1, 6, 6, 2, 5, 5), {"padding": 2}),
    ((1, 1, 11, 11, 2, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 1, 2, 6, 1, 3, 2), {"padding": (2, 0), "stride": (1, 2)}),
    ((1, 1, 3, 3, 2, 3, 3), {}),
    ((1, 2, 3, 3, 2, 5, 5), {"padding": 1}),
    ((1, 2, 2, 2, 2, 3, 3), {"padding": 4, "stride": 3}),
]

#: Larger ones: tiles of the fast paths and what is left over beside them.
_TILES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 16, 16, 16, 16, 3, 3), {"padding": 1}),
    ((2, 17, 15, 17, 19, 3, 3), {"padding": 1}),
    ((1, 32, 14, 14, 33, 3, 3), {"padding": 1}),
    ((1, 33, 13, 18, 32, 3, 3), {}),
    ((2, 16, 9, 31, 40, 3, 3), {"padding": (0, 2)}),
    ((1, 64, 8, 8, 64, 3, 3), {"padding": 1}),
    ((1, 32, 16, 16, 32, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 33, 9, 10, 47, 1, 1), {}),
    ((1, 64, 14, 14, 65, 1, 1), {"stride": 2}),
    ((4, 1, 28, 28, 6, 5, 5), {"padding": 2}),
    ((4, 6, 14, 14, 16, 5, 5), {}),
    ((2, 3, 33, 31, 17, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 3, 35, 35, 24, 11, 11), {"stride": 4, "padding": 2}),
    ((1, 20, 15, 17, 20, 3, 3), {"groups": 20, "padding": 1}),
    ((2, 17, 16, 16, 34, 3, 3), {"groups": 17, "stride": 2, "padding": 1}),
    ((1, 16, 12, 12, 16, 5, 5), {"groups": 16, "padding": 2}),
    ((1, 24, 12, 13, 36, 3, 3), {"groups": 3, "padding": 1}),
    ((1, 16, 20, 20, 16, 3, 3), {"dilation": 2, "padding": 2}),
    ((1, 16, 5, 70, 8, 1, 7), {"padding": (0, 3)}),
]


def _cases() -> list[Case]:
    cases = []
    for shape, options in _SMALL:
        cases.append(_case(*shape, **options).grad())
    for shape, options in _SMALL[1:] + _TILES:
        cases.append(_case(*shape, **options, make=integers).exact())
    for shape, options in _TILES:
        cases.append(_case(*shape, **options))
    for activation in ("relu", "leaky_relu", "sigmoid", "tanh"):
        cases.append(_case(2, 3, 5, 5, 4, 3, 3, padding=1, activation=activation).grad())
        cases.append(_case(1, 17, 9, 9, 18, 3, 3, padding=1, activation=activation))
        cases.append(_case(2, 3, 5, 5, 4, 1, 1, activation=activation).grad())
    cases += [
        conv2d(normal(3, 6, 5), normal(4, 3, 3, 3), normal(4)).grad().called("no batch"),
        conv2d(normal(3, 6, 5), normal(4, 3, 1, 1), activation="relu").grad().called("no batch"),
    ]
    x, w, b = integers(2, 4, 9, 10), integers(5, 4, 3, 3), integers(5)
    cases += [
        conv2d(normal(2, 3, 5, 5), normal(4, 3, 3, 3)).grad(),
        conv2d(normal(2, 3, 5, 5), normal(4, 3, 3, 3), None, activation="tanh").grad(),
        conv2d(normal(2, 3, 5, 5), normal(4, 3, 3, 3), normal(4)).grad(1, 2).called("first layer"),
        conv2d(normal(2, 3, 5, 5), normal(4, 3, 3, 3), normal(4)).grad(0).called("frozen"),
        # memory layouts: channels last, mirrored, with gaps, ...
        conv2d(x.laid_out("F"), w, b, padding=1).exact(),
        conv2d(x.laid_out("reversed"), w.laid_out("F"), b, padding=1).exact(),
        conv2d(x.laid_out("gaps"), w.laid_out("reversed"), b.laid_out("gaps"), stride=2).exact(),
        conv2d(x.laid_out("offset"), w.laid_out("offset"), b.laid_out("offset")).exact(),
        conv2d(x.laid_out("misaligned"), w.laid_out("read-only"), b.laid_out("misaligned")).exact(),
        conv2d(x.laid_out("broadcast"), w.laid_out("broadcast"), b).exact(),
        # nothing in, nothing out
        conv2d(normal(0, 3, 5, 5), normal(4, 3, 3, 3), normal(4), padding=1).grad(),
        conv2d(normal(0, 16, 8, 8), normal(16, 16, 3, 3), normal(16), padding=1).grad(),
        conv2d(normal(2, 3, 5, 5), normal(0, 3, 3, 3), normal(0)).unlike_torch("refuses it"),
        conv2d(sprinkled(1, 2, 6, 6), normal(3, 2, 3, 3), normal(3)),
        # three-by-three at stride 1 with many channels, where fewer multiplications pay
        _case(8, 64, 14, 14, 64, 3, 3, padding=1).grad().called("two threads"),
        _case(4, 128, 7, 7, 128, 3, 3, padding=1).grad().called("two threads"),
        _case(9, 8, 30, 30, 32, 5, 5, stride=2).grad().called("two threads"),
        _case(9, 32, 28, 28, 64, 1, 1).grad().called("two threads"),
        _case(9, 32, 28, 28, 32, 3, 3, groups=32, padding=1).grad().called("two threads"),
    ]
    return cases + _depthwise_cases() + _conv1d_cases() + _bench_cases()


def _depthwise_cases() -> list[Case]:
    """One channel a group: every height of kernel that has rows of its own, and those that go tap by tap."""
    kernels = [(1, 1), (1, 3), (2, 2), (3, 3), (3, 1), (4, 4), (5, 5), (7, 7)]
    cases = [
        _case(2, 3, 13, 19, 3, r, s, groups=3, padding=(r // 2, s // 2), stride=stride, make=integers).exact()
        for r, s in kernels
        for stride in (1, 2, 3)
    ]
    cases += [
        _case(2, 3, 9, 17, 3, 3, 3, groups=3, padding=2, dilation=2).grad(),
        _case(2, 3, 9, 17, 3, 3, 3, groups=3, padding=1, dilation=2, stride=2).grad(),
        _case(2, 3, 9, 10, 3, 2, 2, groups=3, stride=3).grad(),
        _case(1, 2, 21, 34, 2, 5, 5, groups=2, padding=2, activation="sigmoid").grad(),
        _case(3, 5, 40, 7, 5, 3, 3, groups=5, padding=1, activation="relu").grad(),
        conv2d(sprinkled(1, 2, 9, 18), normal(2, 1, 3, 3), normal(2), groups=2),
    ]
    return cases


def _conv1d_cases() -> list[Case]:
    x, w, b = normal(2, 3, 9), normal(4, 3, 3), normal(4)
    return [
        conv1d(x, w).grad(),
        conv1d(x, w, b, stride=2, padding=1).grad(),
        conv1d(x, w, b, padding="same", dilation=2).grad(),
        conv1d(x, normal(6, 1, 3), normal(6), groups=3, padding=2).grad(),
        conv1d(x, w, b, padding=1, activation="tanh").grad(),
        conv1d(normal(0, 3, 9), w, b).grad(),
        conv1d(integers(2, 17, 70), integers(33, 17, 5), integers(33), padding=2).exact(),
        conv1d(integers(2, 3, 9).laid_out("reversed"), integers(4, 3, 3).laid_out("F")).exact(),
    ]


def _bench_cases() -> list[Case]:
    return [
        _case(32, 64, 32, 32, 64, 3, 3, padding=1).bench(),
        _case(32, 64, 32, 32, 64, 3, 3, padding=1).grad().bench(quick=True),
        _case(8, 256, 14, 14, 256, 3, 3, padding=1).bench(),
        _case(8, 256, 14, 14, 256, 3, 3, padding=1).grad().bench(),
        _case(64, 1, 28, 28, 6, 5, 5, padding=2).bench(),
        _case(64, 1, 28, 28, 6, 5, 5, padding=2).grad(1, 2).bench(quick=True),
        _case(64, 6, 14, 14, 16, 5, 5).bench(),
        _case(64, 6, 14, 14, 16, 5, 5).grad().bench(),
        _case(8, 64, 56, 56, 256, 1, 1).bench(),
        _case(8, 64, 56, 56, 256, 1, 1).grad().bench(),
        _case(8, 3, 224, 224, 64, 7, 7, stride=2, padding=3).bench(),
        _case(8, 64, 56, 56, 64, 3, 3, padding=1, groups=64).bench(),
    ]


CASES: list[Case] = _cases()
