"""Cases of the convolutions, plain and transposed, and of unfolding."""

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


def _sizes(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * count


def _taps(kernel: tuple[int, ...], options: dict[str, Any], out: tuple[int, ...]) -> Any:
    """For each tap, its place in the kernel and the slices of the padded input that the outputs see."""
    strides, dilations = (_sizes(options.get(k, 1), len(kernel)) for k in ("stride", "dilation"))
    for place in np.ndindex(*kernel):
        yield (
            place,
            tuple(
                slice(p * d, p * d + (n - 1) * s + 1, s)
                for p, d, n, s in zip(place, dilations, out, strides, strict=True)
            ),
        )


def _last(seen: Any) -> Any:
    return (..., *seen)


def _inside(pads: Any, extent: Any) -> Any:
    return _last(slice(p, n - p) for p, n in zip(pads, extent, strict=True))


def _conv3d(x: Array, weight: Array, bias: Array | None = None, **options: Any) -> Array:
    pads = _sizes(options.get("padding", 0), 3)
    groups, n, k, c = options.get("groups", 1), len(x), *weight.shape[:2]
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pads)))
    strides, dilations = (_sizes(options.get(name, 1), 3) for name in ("stride", "dilation"))
    out = tuple(
        (size - d * (t - 1) - 1) // s + 1
        for size, t, s, d in zip(padded.shape[2:], weight.shape[2:], strides, dilations, strict=True)
    )
    y = np.zeros((n, k, *out), x.dtype)
    for place, seen in _taps(weight.shape[2:], options, out):
        for g in range(groups):
            rows = slice(g * (k // groups), (g + 1) * (k // groups))
            part: Any = (slice(None), slice(g * c, (g + 1) * c), *seen)
            tap: Any = (rows, slice(None), *place)
            y[:, rows] += np.einsum("nc...,kc->nk...", padded[part], weight[tap])
    return _activate(y if bias is None else y + bias.reshape(-1, 1, 1, 1), options.get("activation"))


def _conv_transpose(x: Array, weight: Array, bias: Array | None = None, **options: Any) -> Array:
    """Every pixel adds its product with the kernel to the padded output, which is then cut."""
    count, groups = weight.ndim - 2, options.get("groups", 1)
    if x.ndim == count + 1:
        return _conv_transpose(x[None], weight, bias, **options)[0]
    c, k, *kernel = weight.shape
    strides, dilations, pads, extra = (
        _sizes(options.get(name, neutral), count)
        for name, neutral in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0))
    )
    spans = [
        (n - 1) * s + d * (t - 1) + 1 + e
        for n, s, d, t, e in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)
    ]
    y = np.zeros((len(x), k * groups, *spans), x.dtype)
    for place, seen in _taps(tuple(kernel), options, x.shape[2:]):
        for g in range(groups):
            channels = slice(g * (c // groups), (g + 1) * (c // groups))
            part: Any = (slice(None), slice(g * k, (g + 1) * k), *seen)
            tap: Any = (channels, slice(None), *place)
            y[part] += np.einsum("nc...,ck->nk...", x[:, channels], weight[tap])
    y = y[_inside(pads, spans)]
    shape = (-1, *(1,) * count)
    return _activate(y if bias is None else y + bias.reshape(shape), options.get("activation"))


def _magnitude(reference: Any) -> Any:
    """The size of a sum: that of magnitudes; saturating activations have size 1."""

    def scale(x: Array, weight: Array, bias: Array | None = None, **options: Any) -> Array:
        unit = 0 if options.pop("activation", None) in (None, "relu", "leaky_relu") else 1
        size = None if bias is None else np.abs(bias)
        y: Array = reference(np.abs(x), np.abs(weight), size, **options)
        return y + unit

    return scale


def _torch_named(name: str) -> Any:
    def call(torch: Any, *tensors: Any, activation: str | None = None, **options: Any) -> Any:
        return torch_activation(torch, getattr(torch.nn.functional, name)(*tensors, **options), activation)

    return call


def _back_flops(shapes: list[tuple[int, ...]], out: tuple[int, ...], options: dict[str, Any]) -> float:
    return 2.0 * math.prod(shapes[0]) * math.prod(shapes[1][1:])


def _unfold(x: Array, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Array:
    kernel, pads = _pair(kernel_size), _pair(padding)
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pads)))
    options = {"stride": stride, "dilation": dilation}
    out = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(padded.shape[2:], _pair(dilation), kernel, _pair(stride), strict=True)
    )
    columns = [padded[_last(seen)] for _, seen in _taps(kernel, options, out)]
    return np.stack(columns, 2).reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(out))


def _fold(
    x: Array,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = 1,
    padding: Pair = 0,
    stride: Pair = 1,
) -> Array:
    kernel, pads, extent = _pair(kernel_size), _pair(padding), _pair(output_size)
    padded = [n + 2 * p for n, p in zip(extent, pads, strict=True)]
    out = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(padded, _pair(dilation), kernel, _pair(stride), strict=True)
    )
    columns = x.reshape(len(x), x.shape[1] // math.prod(kernel), math.prod(kernel), *out)
    y = np.zeros((*columns.shape[:2], *padded), x.dtype)
    for i, (_, seen) in enumerate(_taps(kernel, {"stride": stride, "dilation": dilation}, out)):
        y[_last(seen)] += columns[:, :, i]
    return y[_inside(pads, padded)]


conv3d = Op("conv3d", _conv3d, _torch_named("conv3d"), flops=_flops, scale=_magnitude(_conv3d))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    Op(
        name,
        _conv_transpose,
        _torch_named(name),
        flops=_back_flops,
        scale=_magnitude(_conv_transpose),
    )
    for name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
)
unfold = Op("unfold", _unfold, "nn.functional.unfold")
fold = Op("fold", _fold, "nn.functional.fold", scale=lambda x, *a, **o: _fold(np.abs(x), *a, **o))


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
        # outer products: parts of rows, odd numbers of vectors, several images, cut channels
        _case(2, 3, 9, 150, 48, 5, 5, padding=2).grad(),
        _case(2, 40, 9, 10, 80, 3, 3, padding=2, dilation=2).grad(),
        _case(2, 72, 9, 11, 72, 3, 3, padding=1, groups=2).grad(),
        _case(5, 70, 7, 7, 300, 1, 1).grad(),
        _case(2, 34, 17, 19, 40, 1, 1).grad(),
        _case(2, 48, 15, 15, 96, 1, 1, stride=2).grad(),
        # straight from the image, more channels than a tile has rows
        _case(2, 3, 96, 192, 34, 7, 7, stride=2, padding=3).grad(1, 2),
        _case(1, 34, 96, 96, 36, 5, 5, padding=2).grad(0),
    ]
    cases += _depthwise_cases() + _conv1d_cases() + _volume_cases() + _transposed_cases()
    return cases + _strided_cases() + _unfold_cases() + _bench_cases()


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


def _volume_cases() -> list[Case]:
    return [
        conv3d(normal(2, 2, 4, 3, 5), normal(3, 2, 2, 3, 3), normal(3), stride=(2, 1, 2), padding=1).grad(),
        conv3d(normal(1, 4, 5, 4, 3), normal(4, 2, 2, 1, 2), groups=2, dilation=(3, 1, 2)).grad(),
        conv3d(normal(1, 2, 3, 4, 3), normal(2, 2, 3, 1, 1), normal(2), activation="tanh").grad(),
        conv3d(integers(2, 17, 4, 9, 8), integers(18, 17, 3, 3, 3), integers(18), padding=1).exact(),
        conv3d(normal(0, 2, 4, 4, 4), normal(3, 2, 2, 2, 2), normal(3)).grad(),
    ]


def _transposed_cases() -> list[Case]:
    x, w, b = normal(2, 4, 4, 3), normal(4, 3, 3, 3), normal(3)
    return [
        conv_transpose2d(x, w, b).grad(),
        conv_transpose2d(x, w, None, stride=2, padding=1, output_padding=1).grad(),
        conv_transpose2d(x, normal(4, 1, 2, 3), normal(2), stride=(3, 2), groups=2, dilation=(2, 1)).grad(),
        conv_transpose2d(x, normal(4, 3, 1, 1), b, stride=2, activation="sigmoid").grad(),
        conv_transpose2d(x, w, b, padding=1, activation="leaky_relu").grad(),
        conv_transpose2d(normal(4, 4, 3), w, b, output_padding=1, dilation=2).grad().called("no batch"),
        conv_transpose2d(normal(2, 4, 1, 1), normal(4, 3, 3, 2)).grad().called("one pixel"),
        conv_transpose2d(normal(0, 4, 4, 3), w, b).grad(),
        conv_transpose2d(integers(2, 20, 8, 7), integers(20, 18, 3, 3), integers(18), padding=1).exact(),
        conv_transpose2d(
            integers(2, 40, 5, 6), integers(40, 48, 4, 4), integers(48), stride=2, padding=1
        ).exact(),
        conv_transpose2d(
            integers(17, 33, 3, 3), integers(33, 3, 4, 4), integers(3), activation="relu"
        ).exact(),
        conv_transpose2d(
            integers(1, 6, 9, 17), integers(6, 1, 3, 3), integers(6), stride=2, groups=6
        ).exact(),
        conv_transpose1d(normal(2, 4, 5), normal(4, 3, 3), normal(3), stride=2, output_padding=1).grad(),
        conv_transpose3d(normal(1, 4, 3, 2, 3), normal(4, 2, 2, 3, 2), normal(4), stride=2, groups=2).grad(),
        conv_transpose3d(normal(1, 2, 3, 2, 2), normal(2, 2, 2, 1, 2), normal(2), activation="relu").grad(),
        conv_transpose3d(normal(0, 2, 3, 2, 2), normal(2, 2, 2, 1, 2), normal(2)).grad(),
    ]


def _strided_cases() -> list[Case]:
    """4x4 and 3x3 at stride 2 over many channels: odd sizes; few tiles and many."""
    options = {"stride": 2, "padding": 1}
    return [
        conv2d(normal(2, 33, 9, 7), normal(40, 33, 4, 4), normal(40), **options, activation="relu").grad(),
        conv2d(integers(3, 32, 33, 70), integers(37, 32, 4, 4), integers(37), **options).grad().exact(),
        conv2d(normal(2, 33, 9, 8), normal(40, 33, 3, 3), normal(40), **options, activation="relu").grad(),
        conv2d(integers(3, 35, 38, 70), integers(32, 35, 3, 3), integers(32), **options).grad().exact(),
        conv_transpose2d(
            integers(2, 33, 5, 19), integers(33, 40, 3, 3), integers(40), **options, activation="relu"
        ).exact(),
        conv_transpose2d(integers(1, 35, 3, 18), integers(35, 32, 4, 4), integers(32), **options).exact(),
        conv_transpose2d(
            normal(2, 32, 5, 4),
            normal(32, 33, 4, 4),
            normal(33),
            **options,
            output_padding=1,
            activation="tanh",
        ).grad(),
    ]


def _unfold_cases() -> list[Case]:
    return [
        unfold(normal(2, 3, 5, 6), kernel_size=(2, 3)).grad().exact(),
        unfold(normal(1, 2, 7, 19), kernel_size=2, dilation=(3, 2), padding=(1, 2), stride=(2, 3))
        .grad()
        .exact(),
        unfold(normal(0, 3, 5, 6), kernel_size=2).grad(),
        fold(normal(2, 12, 6), output_size=(3, 4), kernel_size=2).grad(),
        fold(
            integers(1, 8, 9),
            output_size=(7, 10),
            kernel_size=2,
            dilation=(3, 2),
            padding=(1, 2),
            stride=(2, 4),
        ).exact(),
        fold(normal(0, 12, 6), output_size=(3, 4), kernel_size=2).grad(),
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
        _case(8, 256, 14, 14, 1024, 1, 1).bench(),
        _case(8, 256, 14, 14, 1024, 1, 1).grad().bench(),
        _case(8, 128, 28, 28, 256, 3, 3, stride=2, padding=1).bench(),
        _case(8, 128, 28, 28, 256, 3, 3, stride=2, padding=1).grad().bench(),
        _case(8, 3, 224, 224, 64, 7, 7, stride=2, padding=3).grad(1, 2).bench(),
        *(
            case
            for size in (7, 14, 28, 56, 112)
            for taps in (3, 5)
            for case in _depthwise_rows(size, taps)
            if (size, taps) != (56, 3) or case.wanted
        ),
        *(
            case
            for c, size, k in ((100, 1, 512), (512, 4, 256), (256, 8, 128), (128, 16, 64), (64, 32, 3))
            for case in _dcgan_rows(c, size, k)
        ),
        conv3d(normal(2, 32, 16, 32, 32), normal(32, 32, 3, 3, 3), normal(32), padding=1).bench(),
        conv3d(normal(2, 32, 16, 32, 32), normal(32, 32, 3, 3, 3), normal(32), padding=1).grad().bench(),
    ]


def _depthwise_rows(size: int, taps: int) -> list[Case]:
    case = _case(8, 64, size, size, 64, taps, taps, padding=taps // 2, groups=64)
    return [case.bench(), case.grad().bench(quick=(size, taps) == (14, 3))]


def _dcgan_rows(c: int, size: int, k: int) -> list[Case]:
    """The generator's layers: 4 x 4 at stride 2, the first one at stride 1 from a single pixel."""
    options = {} if size == 1 else {"stride": 2, "padding": 1}
    case = conv_transpose2d(normal(16, c, size, size), normal(c, k, 4, 4), **options)
    return [case.bench(), case.grad().bench(quick=size == 16)]


CASES: list[Case] = _cases()
