"""Convolution, its transpose and its weight gradient: three operations, each of which is linear in both its
arrays and whose gradients are the other two.

    forward(x, w)     -> y        gradients  transpose(gy, w),  correlate(x, gy)
    transpose(y, w)   -> x        gradients  forward(gx, w),    correlate(gx, y)
    correlate(x, y)   -> w        gradients  transpose(y, gw),  forward(x, gw)

So gradients of gradients exist to any order. One-dimensional convolution is two-dimensional with height 1.
Three-dimensional convolution unfolds depth: the taps along it become further channels of the two-dimensional
kernels, and the planes of the output further images.

Arrays of bfloat16 come as they are where kernels multiply them so (:func:`kept`), and widened elsewhere.

    x [N, C, D, H, W]  ->  [N OD, C T, H, W]   *   w [K, C T, R, S]   ->  [N OD, K, OH, OW]  ->  out
"""

from __future__ import annotations

from typing import Any, NamedTuple

from einkorn import _bfloat16, engines
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.ops._elementwise import activation_gradient
from einkorn.ops._road import (
    as_kept,
    bits,
    broadcast_to,
    contiguous,
    kept_result,
    needs,
    number_type,
    result,
    unwrap,
)
from einkorn.ops.copy import reshape
from einkorn.ops.reduce import sum as sum_over

__all__ = ["Geometry", "Shape", "correlate", "forward", "kept", "transpose"]

Shape = tuple[int, ...]


class Geometry(NamedTuple):
    """What a convolution is besides its arrays. Options are for depth (of volumes), height and width."""

    spatial: int
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int

    @property
    def plane(self) -> tuple[int, ...]:
        """The options as the two-dimensional kernels take them."""
        if self.spatial == 2:
            return (*self.stride, *self.padding, *self.dilation, self.groups)
        stride, padding, dilation = self.stride[-2:], self.padding[-2:], self.dilation[-2:]
        if self.spatial == 1:
            return (1, *stride, 0, *padding, 1, *dilation, self.groups)
        return (*stride, *padding, *dilation, self.groups)

    @property
    def depth(self) -> tuple[int, ...]:
        """The options of unfolding depth alone."""
        return (self.stride[0], 1, 1, self.padding[0], 0, 0, self.dilation[0], 1, 1)


def kept(op: str, spatial: int, **arrays: Any) -> tuple[Any, ...]:
    """The arrays, bfloat16 as it is if all of them are that and there are kernels for it, else widened."""
    if _bfloat16.met and spatial < 3:
        found = tuple(as_kept(a, op, name, "conv2d_forward") for name, a in arrays.items())
        if all(a.dtype.kind == "V" for a in found):
            return found
    return tuple(unwrap(a, op, name) for name, a in arrays.items())


# --- arrays in, arrays out ------------------------------------------------------------------------


def _images(a: Any, spatial: int) -> Any:
    """An array of images, lines or volumes, one of them perhaps without N, as the kernels take it."""
    shape = a.shape
    if spatial == 2 and len(shape) == 4:
        return a
    if len(shape) == spatial + 1:
        shape = (1, *shape)
    if spatial == 1:
        shape = (*shape[:2], 1, shape[2])
    return a if shape == a.shape else a.reshape(shape)


def _weights(w: Any, spatial: int) -> Any:
    """[K, C / groups, R, S]; the taps along depth are channels."""
    if spatial == 2:
        return w
    k, c, *taps = w.shape
    if spatial == 1:
        return w.reshape((k, c, 1, *taps))
    return w.reshape((k, c * taps[0], *taps[1:]))


def _depth_columns(volume: Any, columns: Any) -> tuple[Any, Any]:
    """Views for unfolding: columns [N OD, C T, H, W] as [N, C, T, 1, 1, OD, H, W]."""
    n, c, _, h, w = volume.shape
    out_d = columns.shape[0] // n if n else 0
    seen = columns.reshape((n, out_d, c, columns.shape[1] // c if c else 0, 1, 1, h, w))
    return volume, seen.transpose(0, 2, 3, 4, 5, 1, 6, 7)


def _unfolded(x: Any, geometry: Geometry, taps: int, out_d: int) -> Any:
    k = engines.of(x)
    n, c, _, h, w = x.shape
    columns = k.empty((n * out_d, c * taps, h, w), x.dtype)
    if columns.size:
        volume, seen = _depth_columns(x, columns)
        k.unfold(seen, volume, *geometry.depth)
    return columns


def _by_image(y: Any, n: int) -> Any:
    """[N OD, K, OH, OW] as [N, K, OD, OH, OW], a view."""
    planes, k, oh, ow = y.shape
    return y.reshape((n, planes // n if n else 0, k, oh, ow)).transpose(0, 2, 1, 3, 4)


def _by_plane(y: Any) -> Any:
    """[N, K, OD, OH, OW] as [N OD, K, OH, OW]."""
    n, k, out_d, oh, ow = y.shape
    if n * out_d == 0:
        return y.reshape((0, k, oh, ow))
    return contiguous(y.transpose(0, 2, 1, 3, 4)).reshape((n * out_d, k, oh, ow))


def _is_product(images: Any, pixels: Any, weights: Any, geometry: Geometry) -> bool:
    """Whether one position sees all of each image: then rows of pixels and of weights are multiplied."""
    return bool(
        pixels.shape[2:] == (1, 1)
        and images.shape[2:] == weights.shape[2:]
        and geometry.groups == 1
        and not any(geometry.padding)
        and images.size > 0
        and images.dtype.kind != "V"
    )


def _as_rows(a: Any) -> Any:
    return a.reshape((a.shape[0], a.size // a.shape[0]))


def _run_forward(x: Any, w: Any, b: Any, geometry: Geometry, shape: Shape, code: int) -> Any:
    k = engines.of(x)
    out = k.empty(shape, x.dtype)
    spatial, options = geometry.spatial, geometry.plane
    images, seen, weights = _images(x, spatial), _images(out, spatial), _weights(w, spatial)
    if spatial < 3:
        if shape[-1] == 1 and _is_product(images, seen, weights, geometry) and seen.size:
            k.matmul(_as_rows(seen), _as_rows(images), _as_rows(weights).T, b, 1.0, 0.0, code)
        else:
            k.conv2d_forward(bits(seen), bits(images), bits(weights), b, *options, code)
    elif seen.size:
        columns = _unfolded(images, geometry, w.shape[2], seen.shape[2])
        planes = k.empty((columns.shape[0], weights.shape[0], *seen.shape[3:]), x.dtype)
        k.conv2d_forward(planes, columns, weights, b, *options, code)
        k.copy(seen, _by_image(planes, seen.shape[0]))
    return out


def _run_transpose(y: Any, w: Any, b: Any, geometry: Geometry, shape: Shape, code: int) -> Any:
    k = engines.of(y)
    out = k.empty(shape, y.dtype)
    spatial, options = geometry.spatial, geometry.plane
    images, seen, weights = _images(y, spatial), _images(out, spatial), _weights(w, spatial)
    if spatial < 3:
        if b is None and code == 0:
            if _is_product(seen, images, weights, geometry) and images.size:
                k.matmul(_as_rows(seen), _as_rows(images), _as_rows(weights), None, 1.0, 0.0, 0)
            else:
                k.conv2d_input_grad(bits(seen), bits(images), bits(weights), *options)
        else:
            k.conv2d_transpose(bits(seen), bits(images), bits(weights), b, *options, code)
        return out
    n, c, _, h, wide = seen.shape
    back = _turned_back(geometry, w, images.shape[2], seen.shape[2])
    columns = k.empty((n * images.shape[2], c * w.shape[2], h, wide), y.dtype) if back is None else None
    if back is not None and seen.size and images.size:
        planes = k.empty((n * seen.shape[2], c, h, wide), y.dtype)
        k.conv2d_input_grad(planes, _unfolded(images, back, w.shape[2], seen.shape[2]), _turned(w), *options)
        k.copy(seen, _by_image(planes, n))
    elif columns is not None and columns.size:
        k.conv2d_input_grad(columns, _by_plane(images), weights, *options)
        volume, spread = _depth_columns(seen, columns)
        k.fold(volume, spread, *geometry.depth)
    else:
        k.fill(out, 0.0)
    if b is not None:
        k.add(seen, seen, _over_channels(b, seen.shape))
    if code:
        _activate(k, out, code)
    return out


def _turned_back(geometry: Geometry, w: Any, out_d: int, depth: int) -> Geometry | None:
    """The input gradient along depth as a convolution of the output's, with the taps turned round, or None.

    Its columns are unfolded, those of the input would be added up (versions: conv_unfold.cpp).
    It has as many for each output channel as those have for each input channel.
    """
    taps, dilation = w.shape[2], geometry.dilation[0]
    padding = dilation * (taps - 1) - geometry.padding[0]
    fits = out_d + 2 * padding - dilation * (taps - 1) == depth
    if taps == 1 or geometry.stride[0] != 1 or geometry.groups != 1 or padding < 0 or not fits:
        return None
    return geometry._replace(padding=(padding, *geometry.padding[1:])) if w.shape[0] <= w.shape[1] else None


def _turned(w: Any) -> Any:
    """[K, C, T, R, S] as [K T, C, R, S], the last tap along depth first."""
    k, c, taps, *kernel = w.shape
    return contiguous(w[:, :, ::-1].transpose(0, 2, 1, 3, 4)).reshape((k * taps, c, *kernel))


def _over_channels(b: Any, shape: Shape) -> Any:
    return broadcast_to(b.reshape((1, -1, *(1,) * (len(shape) - 2))), shape)


def _activate(k: Any, out: Any, code: int) -> None:
    name = next(name for name, known in engines.ACTIVATIONS.items() if known == code)
    assert name is not None
    getattr(k, name)(out, out, *((0.01,) if name == "leaky_relu" else ()))


def _run_correlate(x: Any, y: Any, geometry: Geometry, shape: Shape, want_bias: bool) -> tuple[Any, Any]:
    """The weights' gradient, and the sums of y over everything but channels."""
    k = engines.of(x)
    gw = k.empty(shape, x.dtype)
    spatial, options = geometry.spatial, geometry.plane
    images, seen, weights = _images(x, spatial), _images(y, spatial), _weights(gw, spatial)
    gb = k.empty((weights.shape[0],), number_type(x)) if want_bias else None
    if spatial == 3:
        images, seen = _unfolded(images, geometry, shape[2], seen.shape[2]), _by_plane(seen)
    if gb is None and _is_product(images, seen, weights, geometry) and seen.size:
        k.matmul(_as_rows(weights), _as_rows(seen).T, _as_rows(images), None, 1.0, 0.0, 0)
    else:
        k.conv2d_weight_grad(bits(weights), gb, bits(images), bits(seen), *options)
    return gw, gb


# --- differentiable -------------------------------------------------------------------------------


def forward(
    x: Any,
    w: Any,
    geometry: Geometry,
    shape: Shape,
    bias: Any = None,
    activation: str | None = None,
    arrays: tuple[Any, Any, Any] | None = None,
) -> Any:
    """``act(x * w + bias)`` of the given shape."""
    a, weights, b = _contiguous(arrays) if arrays else _arrays("conv", geometry, x, w, bias)
    out = _run_forward(a, weights, b, geometry, shape, engines.ACTIVATIONS[activation])
    need_x, need_w, need_b = needs(x), needs(w), needs(bias)
    if not ((need_x or need_w or need_b) and mode.enabled):
        return result(out, (x, w, bias), _unused)
    x_shape, w_shape = a.shape, weights.shape

    def rule(g: Any, x: Any, w: Any, bias: Any, out: Any) -> tuple[Any, Any, Any]:
        return after_activation(_before(activation, g, out), x, w, bias, out)

    def after_activation(g: Any, x: Any, w: Any, bias: Any, out: Any) -> tuple[Any, Any, Any]:
        if not isinstance(g, Tensor):
            g = contiguous(g)
            gx = _run_transpose(g, w, None, geometry, x_shape, 0) if need_x else None
            gw, gb = _run_correlate(x, g, geometry, w_shape, need_b) if need_w or need_b else (None, None)
            return gx, gw, gb
        return (
            transpose(g, w, geometry, x_shape) if need_x else None,
            correlate(x, g, geometry, w_shape) if need_w else None,
            _channel_sums(g, geometry) if need_b else None,
        )

    saved = (
        a if need_w or need_b else None,
        weights if need_x else None,
        None,
        None if activation is None else out,
    )
    if activation == "relu":
        rule.past_relu = after_activation  # type: ignore[attr-defined]
    return (result if a.dtype.kind == "f" else kept_result)(out, (x, w, bias), rule, saved)


def transpose(
    y: Any,
    w: Any,
    geometry: Geometry,
    shape: Shape,
    bias: Any = None,
    activation: str | None = None,
    arrays: tuple[Any, Any, Any] | None = None,
) -> Any:
    """What the input gradient of :func:`forward` is, plus bias, then the activation."""
    a, weights, b = _contiguous(arrays) if arrays else _arrays("conv_transpose", geometry, y, w, bias)
    out = _run_transpose(a, weights, b, geometry, shape, engines.ACTIVATIONS[activation])
    need_y, need_w, need_b = needs(y), needs(w), needs(bias)
    if not ((need_y or need_w or need_b) and mode.enabled):
        return result(out, (y, w, bias), _unused)
    y_shape, w_shape = a.shape, weights.shape

    def rule(g: Any, y: Any, w: Any, bias: Any, out: Any) -> tuple[Any, Any, Any]:
        g = _before(activation, g, out)
        if not isinstance(g, Tensor):
            g = contiguous(g)
        return (
            forward(g, w, geometry, y_shape) if need_y else None,
            correlate(g, y, geometry, w_shape) if need_w else None,
            _channel_sums(g, geometry) if need_b else None,
        )

    saved = (
        a if need_w else None,
        weights if need_y else None,
        None,
        None if activation is None else out,
    )
    return (result if a.dtype.kind == "f" else kept_result)(out, (y, w, bias), rule, saved)


def correlate(x: Any, y: Any, geometry: Geometry, shape: Shape) -> Any:
    """What the weight gradient of :func:`forward` is, for weights of the given shape."""
    a, b, _ = _arrays("conv", geometry, x, y, None)
    out, _ = _run_correlate(a, b, geometry, shape, False)
    if not (mode.enabled and (needs(x) or needs(y))):
        return result(out, (x, y), _unused)
    need_x, need_y = needs(x), needs(y)
    x_shape, y_shape = a.shape, b.shape

    def rule(g: Any, x: Any, y: Any, out: Any) -> tuple[Any, Any]:
        if not isinstance(g, Tensor):
            g = contiguous(g)
        return (
            transpose(y, g, geometry, x_shape) if need_x else None,
            forward(x, g, geometry, y_shape) if need_y else None,
        )

    return result(out, (x, y), rule, (a if need_y else None, b if need_x else None, None))


def _contiguous(arrays: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    a, w, b = arrays
    return contiguous(a), contiguous(w), None if b is None else contiguous(b)


def _arrays(op: str, geometry: Geometry, x: Any, w: Any, bias: Any) -> tuple[Any, Any, Any]:
    a, weights = kept(op, geometry.spatial, x=x, weight=w)
    return _contiguous((a, weights, None if bias is None else unwrap(bias, op, "bias")))


def _before(activation: str | None, g: Any, out: Any) -> Any:
    """The gradient before an activation from the one after it."""
    if activation is None or isinstance(g, Tensor) or g.dtype.kind == "f":
        return activation_gradient(activation, g, out)
    return _bfloat16.narrow(activation_gradient(activation, _bfloat16.widen(g), _bfloat16.widen(out)))


def _unused(g: Any) -> tuple[Any, ...]:
    raise AssertionError("nothing was recorded")


def _channel_sums(g: Any, geometry: Geometry) -> Any:
    """The bias's gradient: g summed over everything but channels."""
    if len(g.shape) == geometry.spatial + 1:
        g = reshape(g, (1, *g.shape))
    return sum_over(g, (0, *range(2, len(g.shape))))
