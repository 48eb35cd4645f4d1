"""What the poolings are made of: operations on planes [N, C, H, W], each with a gradient that has one itself.

max           its gradient puts each g to the place of its maximum:  scatter
scatter       zeros, and g added at places                           gather
gather        what lies at places                                    scatter
average       its gradient is spread evenly over the windows         spread, and back
"""

from __future__ import annotations

from typing import Any

from einkorn import _versions, engines
from einkorn._device import beside
from einkorn._grad_mode import mode
from einkorn._tape import Node
from einkorn._tensor import Tensor
from einkorn.ops._elementwise import _grad
from einkorn.ops._road import broadcast_to, contiguous, needs, result, unwrap
from einkorn.ops.elementwise import divide, multiply, where

__all__ = [
    "Shape",
    "adaptive_average",
    "average",
    "gather",
    "maximum",
    "maximum_of_ranges",
    "root",
    "scatter",
]

Shape = tuple[int, ...]


def _flat(a: Any) -> Any:
    """Planes as rows."""
    rows = a.shape[0] * a.shape[1]
    return a.reshape((rows, a.size // rows if rows else 0))


def maximum(x: Any, window: Shape, shape: Shape, wants_places: bool) -> tuple[Any, Any]:
    """Maxima of windows (kernel, stride, padding, dilation; height and width of each), and their places."""
    a = contiguous(unwrap(x, "max_pool", "x"))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    places = k.empty(shape, "int32") if wants_places or (mode.enabled and needs(x)) else None
    k.max_pool2d_forward(out, places, a, *window)
    planes = a.shape

    def rule(g: Any, _x: Any, _out: Any, places: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            return (scatter(g, places, planes),)
        gx = k.empty(planes, g.dtype)
        k.max_pool2d_backward(gx, contiguous(g), places, *window)
        return (gx,)

    pooled = result(out, (x,), rule, (None, None, places))
    if isinstance(pooled, Tensor) and pooled._node is not None:
        _join_relu(pooled._node, rule, _Kept(out))
    return pooled, places


class _Kept:
    """An array that a gradient can do without: it may be overwritten."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array


def _join_relu(node: Node, rule: Any, maxima: _Kept) -> None:
    """Let the gradient of a maximum over windows, which comes before that of relu, do for both.

    What it gives is zero but where a window has its maximum; there relu's derivative is that of the maximum.
    So the small gradient is cut, and the large one not looked at again.
    """
    origin = node.inputs[0]
    is_rule = node.backward is rule  # and not one that rounds
    if not is_rule or not isinstance(origin, Node) or not hasattr(origin.backward, "past_relu"):
        return
    number = node.number

    def both(g: Any, _x: Any, _out: Any, places: Any) -> tuple[Any]:
        (gx,) = rule(_grad("relu_grad", g, maxima.array), _x, _out, places)
        before: Any = origin.backward
        # Other gradients may be added to this one: then the sum is cut, which changes nothing of this part.
        origin.joint = lambda arrived: before.past_relu if arrived is gx else before
        return (gx,)

    node.joint = lambda _: rule if _versions.last_write(maxima.array) > number else both


def maximum_of_ranges(x: Any, begin: Any, end: Any, shape: Shape, wants_places: bool) -> tuple[Any, Any]:
    """Maxima over boxes of volumes [N, C, D, H, W], whose ranges are given as the kernel takes them."""
    a = contiguous(unwrap(x, "max_pool", "x"))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    places = k.empty(shape, "int32") if wants_places or (mode.enabled and needs(x)) else None
    rows, volume = a.shape[0] * a.shape[1], a.shape
    flat_places = None if places is None else places.reshape((rows, *shape[2:]))
    maxima, planes = out.reshape((rows, *shape[2:])), a.reshape((rows, *volume[2:]))
    k.window_max(maxima, flat_places, planes, beside(a, begin), beside(a, end))

    def rule(g: Any, _x: Any, _out: Any, places: Any) -> tuple[Any]:
        return (scatter(g, places, volume),)

    return result(out, (x,), rule, (None, None, places)), places


def scatter(x: Any, places: Any, shape: Shape, add: bool = True) -> Any:
    """Zeros of the given shape [N, C, ...], and x [N, C, ...] put or added to places of its planes."""
    a = contiguous(unwrap(x, "max_unpool", "x"))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.pool_scatter(_flat(out), _flat(a), contiguous_places(places), add)
    x_shape = a.shape

    def rule(g: Any, _x: Any, _out: Any, places: Any) -> tuple[Any]:
        return (gather(g, places, x_shape),)

    return result(out, (x,), rule, (None, None, places))


def gather(x: Any, places: Any, shape: Shape) -> Any:
    """What lies at places of the planes of x."""
    a = contiguous(unwrap(x, "max_unpool", "x"))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.pool_gather(_flat(out), _flat(a), contiguous_places(places))
    x_shape = a.shape

    def rule(g: Any, _x: Any, _out: Any, places: Any) -> tuple[Any]:
        return (scatter(g, places, x_shape),)

    return result(out, (x,), rule, (None, None, places))


def contiguous_places(places: Any) -> Any:
    """Places as the kernels take them."""
    return places if places.flags.c_contiguous else places.copy()


def average(x: Any, window: Shape, shape: Shape, include: bool) -> Any:
    """Means of windows (kernel, stride, padding)."""
    a = contiguous(unwrap(x, "avg_pool", "x"))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.avg_pool2d_forward(out, a, *window, include)
    planes = a.shape

    def rule(g: Any, _x: Any, _out: Any) -> tuple[Any]:
        return (_spread(g, window, planes, include),)

    return result(out, (x,), rule, (None, None))


def _spread(g: Any, window: Shape, planes: Shape, include: bool) -> Any:
    a = contiguous(unwrap(g, "avg_pool", "g"))
    k = engines.of(a)
    gx = k.empty(planes, a.dtype)
    k.avg_pool2d_backward(gx, a, *window, include)
    shape = a.shape

    def rule(h: Any, _g: Any, _out: Any) -> tuple[Any]:
        return (average(h, window, shape, include),)

    return result(gx, (g,), rule, (None, None))


def adaptive_average(x: Any, height: int, width: int) -> Any:
    """Means over a grid of windows that cover each plane evenly."""
    a = contiguous(unwrap(x, "adaptive_avg_pool", "x"))
    k = engines.of(a)
    out = k.empty((*a.shape[:2], height, width), a.dtype)
    k.adaptive_avg_pool2d_forward(out, a)
    planes = a.shape

    def rule(g: Any, _x: Any, _out: Any) -> tuple[Any]:
        return (_adaptive_spread(g, planes),)

    return result(out, (x,), rule, (None, None))


def _adaptive_spread(g: Any, planes: Shape) -> Any:
    a = contiguous(unwrap(g, "adaptive_avg_pool", "g"))
    k = engines.of(a)
    gx = k.empty(planes, a.dtype)
    k.adaptive_avg_pool2d_backward(gx, a)
    shape = a.shape

    def rule(h: Any, _g: Any, _out: Any) -> tuple[Any]:
        return (adaptive_average(h, *shape[2:]),)

    return result(gx, (g,), rule, (None, None))


def root(x: Any, p: float) -> Any:
    """``x ** (1 / p)``, whose gradient at 0 is 0."""
    a = unwrap(x, "lp_pool", "x")
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    if p == 2.0:
        k.sqrt(out, a)
    else:
        exponent = k.empty((), a.dtype)
        k.fill(exponent, 1.0 / p)
        k.power(out, a, broadcast_to(exponent, a.shape))

    def rule(g: Any, x: Any, out: Any) -> tuple[Any]:
        # d out / d x = out / (p x); where x is 0 the quotient is never formed.
        condition = x.detach() if isinstance(x, Tensor) else x
        whole = where(condition, x, 1.0)
        return (where(condition, multiply(g, divide(out, multiply(whole, p))), 0.0),)

    return result(out, (x,), rule, (a, out))
