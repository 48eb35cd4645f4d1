"""Arithmetic and activations, element by element, with NumPy's broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import _integers, _promotion
from einkorn.ops._elementwise import (
    Gradients,
    _binary,
    _binary_kernel,
    _chosen,
    _float_operands,
    _grad,
    _is_scalar,
    _negated,
    _operands,
    _plain,
    _scalar_like,
    _scaled,
    _unary,
    memory_order,
)
from einkorn.ops._options import ABSENT, number
from einkorn.ops._road import (
    broadcast_shape,
    broadcast_to,
    needs,
    result,
    same_dtype,
    same_place,
    sum_to,
    unwrap,
)
from einkorn.ops._rounding import rounded_once

__all__ = [
    "absolute",
    "add",
    "clip",
    "cos",
    "divide",
    "elu",
    "erf",
    "exp",
    "gelu",
    "leaky_relu",
    "log",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "prelu",
    "reciprocal",
    "relu",
    "sigmoid",
    "silu",
    "sin",
    "softplus",
    "sqrt",
    "square",
    "step",
    "subtract",
    "tanh",
    "where",
]


def add(a: Any, b: Any, *, alpha: float = 1) -> Any:
    """``a + alpha * b``, with broadcasting.

    Parameters
    ----------
    a, b : array, Tensor or number
        At least one is no plain number. An array of integers or booleans takes the type of floats beside it,
        as in torch; integers on both sides give integers. Where a Tensor is among them, float32 beside
        float64 (and bfloat16 beside either) becomes the wider one, by torch's rules.
    alpha : number, keyword-only, default 1

    Returns
    -------
    array or Tensor of the broadcast shape.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.
    DTypeError
        If float32 and float64 meet in plain arrays, or there is no array.
    """
    if type(alpha) is not int or alpha != 1:
        return _with_factor("add", a, b, alpha)
    return _binary("add", a, b, _of_sum)


def _of_sum(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
    return _both, ()


def _both(g: Any) -> tuple[Any, Any]:
    return g, g


@rounded_once
def _with_factor(op: str, a: Any, b: Any, alpha: Any) -> Any:
    factor = number(op, "alpha", alpha)
    if factor != 1:
        b = b * factor if _is_scalar(b) else multiply(b, factor)
    return (add if op == "add" else subtract)(a, b)


def subtract(a: Any, b: Any, *, alpha: float = 1) -> Any:
    """``a - alpha * b``, with broadcasting; arguments and errors as :func:`add`."""
    if type(alpha) is not int or alpha != 1:
        return _with_factor("subtract", a, b, alpha)

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        return lambda g: (g, _negated(g) if need_b else None), ()

    return _binary("subtract", a, b, gradients_of)


def multiply(a: Any, b: Any) -> Any:
    """``a * b``, with broadcasting; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        return _of_product, (left if need_b else None, right if need_a else None)

    return _binary("multiply", a, b, gradients_of, reads_numbers=True)


def _of_product(g: Any, left: Any, right: Any) -> tuple[Any, Any]:
    return (
        None if right is None else _binary_kernel("multiply", g, right),
        None if left is None else _binary_kernel("multiply", g, left),
    )


def divide(a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    """``a / b``, with broadcasting; arguments and errors as :func:`add`. Division by zero as IEEE 754.

    Parameters
    ----------
    a, b : array, Tensor or number
        At least one holds floats.
    rounding_mode : {None, "floor", "trunc"}, keyword-only
        Round the quotient down, or towards 0; its gradient is then 0.
    """
    if rounding_mode is not None:
        if rounding_mode not in ("floor", "trunc"):
            raise ArgumentError(
                f"divide: rounding_mode is {rounding_mode!r}, expected None, 'floor' or 'trunc'"
            )
        return _binary(
            "divide_" + rounding_mode, a, b, lambda left, right, out, need_a, need_b: (_neither, ())
        )

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def gradients(g: Any, _: Any, right: Any, quotient: Any) -> tuple[Any, Any]:
            ga = _binary_kernel("divide", g, right) if need_a else None
            if quotient is None:
                return ga, None
            # The quotient is divided first: g / b may overflow where a is 0.
            return ga, _negated(_binary_kernel("multiply", g, _binary_kernel("divide", quotient, right)))

        return gradients, (None, right, out if need_b else None)

    return _binary("divide", a, b, gradients_of)


def _neither(g: Any) -> tuple[Any, Any]:
    zero = _scaled(g, 0.0)
    return zero, zero


def _extreme(op: str, a: Any, b: Any, first_wins: str) -> Any:
    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def gradients(g: Any, left: Any, right: Any) -> tuple[Any, Any]:
            # As torch: nothing where the other wins, half where both are equal, all elsewhere, with NaN too.
            x, y = (left, right) if first_wins == "greater" else (right, left)
            shared = _chosen(_binary_kernel("equal", left, right), _scaled(g, 0.5), g)
            return (
                _chosen(_binary_kernel("greater", y, x), 0.0, shared) if need_a else None,
                _chosen(_binary_kernel("greater", x, y), 0.0, shared) if need_b else None,
            )

        return gradients, (left, right)

    return _binary(op, a, b, gradients_of)


def maximum(a: Any, b: Any) -> Any:
    """The larger of ``a`` and ``b``; NaN wins. Ties share the gradient. Arguments as :func:`add`."""
    return _extreme("maximum", a, b, "greater")


def minimum(a: Any, b: Any) -> Any:
    """The smaller of ``a`` and ``b``; NaN wins. Ties share the gradient. Arguments as :func:`add`."""
    return _extreme("minimum", a, b, "less")


def power(a: Any, b: Any) -> Any:
    """``a ** b``, with broadcasting; arguments and errors as :func:`add`.

    Values are those of C's ``pow``. The gradient with respect to ``a`` is 0 where b is 0; that with respect
    to ``b`` is ``a ** b * log(a)``, and 0 where a is 0 and b is not negative.
    """

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def gradients(g: Any, left: Any, right: Any, power: Any) -> tuple[Any, Any]:
            ga = gb = None
            if need_a:
                less = _binary_kernel("subtract", right, _scalar_like(1.0, right))
                slope = _binary_kernel("multiply", right, _binary_kernel("power", left, less))
                ga = _chosen(right, _binary_kernel("multiply", g, slope), 0.0)
            if power is not None:
                slope = _binary_kernel("multiply", power, _plain("log", left))
                nothing = _binary_kernel("greater_equal", right, _scalar_like(0.0, right))
                flat = _binary_kernel(
                    "multiply", _binary_kernel("equal", left, _scalar_like(0.0, left)), nothing
                )
                gb = _chosen(flat, 0.0, _binary_kernel("multiply", g, slope))
            return ga, gb

        return gradients, (left, right, out if need_b else None)

    return _binary("power", a, b, gradients_of)


def negative(x: Any) -> Any:
    """``-x``."""
    return _unary("negative", x, lambda g, _: _negated(g))


def absolute(x: Any) -> Any:
    """``|x|``; the gradient at 0 is 0."""
    return _unary("absolute", x, lambda g, a: _grad("absolute_grad", g, a), saves="x")


def exp(x: Any) -> Any:
    """The exponential function."""
    return _unary("exp", x, lambda g, out: _binary_kernel("multiply", g, out), saves="out")


def log(x: Any) -> Any:
    """The natural logarithm; -inf at 0, NaN below."""
    return _unary("log", x, lambda g, a: _binary_kernel("divide", g, a), saves="x")


def sqrt(x: Any) -> Any:
    """The square root; NaN below 0."""
    return _unary("sqrt", x, lambda g, out: _scaled(_binary_kernel("divide", g, out), 0.5), saves="out")


def square(x: Any) -> Any:
    """``x * x``."""
    return _unary("square", x, lambda g, a: _scaled(_binary_kernel("multiply", g, a), 2.0), saves="x")


def reciprocal(x: Any) -> Any:
    """``1 / x``."""

    def backward(g: Any, out: Any) -> Any:
        return _negated(_binary_kernel("multiply", g, _binary_kernel("multiply", out, out)))

    return _unary("reciprocal", x, backward, saves="out")


def sin(x: Any) -> Any:
    """The sine of x in radians."""
    return _unary("sin", x, lambda g, a: _binary_kernel("multiply", g, _plain("cos", a)), saves="x")


def cos(x: Any) -> Any:
    """The cosine of x in radians."""
    return _unary("cos", x, lambda g, a: _negated(_binary_kernel("multiply", g, _plain("sin", a))), saves="x")


def erf(x: Any) -> Any:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to x."""

    def backward(g: Any, a: Any) -> Any:
        bell = _plain("exp", _negated(_plain("square", a)))
        return _scaled(_binary_kernel("multiply", g, bell), 1.1283791670955126)

    return _unary("erf", x, backward, saves="x")


def step(x: Any) -> Any:
    """The Heaviside step: 1 where x >= 0, else 0 (the perceptron's activation). Its gradient is 0."""
    return _unary("step", x, lambda g, _: _scaled(g, 0.0))


def relu(x: Any) -> Any:
    """``max(x, 0)``; the gradient at 0 is 0. NaN stays NaN."""
    return _unary("relu", x, _relu_gradient, saves="out", rule=_relu_rule)


def _relu_gradient(g: Any, out: Any) -> Any:
    return _grad("relu_grad", g, out)


def _relu_rule(g: Any, _x: Any, out: Any) -> tuple[Any]:
    return (_relu_gradient(g, out),)


_relu_rule.__qualname__ = "relu"  # as errors name it
_relu_rule.past_relu = lambda g, _x, _out: (g,)  # type: ignore[attr-defined]  # ops/_pool.py


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """``x`` where x > 0, else ``negative_slope * x``.

    Parameters
    ----------
    x : array or Tensor
    negative_slope : float, default 0.01
    """
    slope = number("leaky_relu", "negative_slope", negative_slope)
    # The output has the sign of x unless the slope is negative; one of 0 loses it, but then both agree.
    return _unary(
        "leaky_relu",
        x,
        lambda g, saved: _grad("leaky_relu_grad", g, saved, slope),
        slope,
        saves="out" if slope >= 0 else "x",
    )


@rounded_once
def prelu(x: Any, weight: Any) -> Any:
    """``x`` where x > 0, else ``weight * x``, with a learned slope (He et al. 2015).

    Parameters
    ----------
    x : array or Tensor, shape (N, C, ...) or any when weight has one element
    weight : array or Tensor, shape (1,), () or (C,)
    """
    a, w = unwrap(x, "prelu", "x"), unwrap(weight, "prelu", "weight")
    same_dtype("prelu", x=a, weight=w)
    channels = a.shape[1] if a.ndim > 1 else 1
    if w.ndim > 1 or w.size not in (1, channels):
        raise ShapeError(f"prelu: weight has shape {w.shape}, expected (1,) or ({channels},)")
    shape = (w.size,) + (1,) * (a.ndim - 2) if w.size != 1 else ()
    slope = w.reshape(shape)
    positive = _binary_kernel("greater", a, _scalar_like(0.0, a))
    out = _chosen(positive, a, _binary_kernel("multiply", a, slope))
    weight_shape = w.shape

    def backward(g: Any, a: Any, w: Any) -> tuple[Any, Any]:
        gx = gw = None
        if w is not None:
            gx = _chosen(positive, g, _binary_kernel("multiply", g, w.reshape(shape)))
        if a is not None:
            gw = sum_to(_chosen(positive, 0.0, _binary_kernel("multiply", g, a)), shape).reshape(weight_shape)
        return gx, gw

    return result(out, (x, weight), backward, (a if needs(weight) else None, w if needs(x) else None))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015).

    Parameters
    ----------
    x : array or Tensor
    alpha : float, default 1.0
    """
    scale = number("elu", "alpha", alpha)
    return _unary("elu", x, lambda g, a: _grad("elu_grad", g, a, scale), scale, saves="x")


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``."""
    return _unary("sigmoid", x, lambda g, out: _grad("sigmoid_grad", g, out), saves="out")


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return _unary("tanh", x, lambda g, out: _grad("tanh_grad", g, out), saves="out")


def gelu(x: Any, approximate: str = "none") -> Any:
    """``x`` times the normal distribution function (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    x : array or Tensor
    approximate : {"none", "tanh"}
        "tanh" uses the paper's approximation by a hyperbolic tangent.
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate is {approximate!r}, expected 'none' or 'tanh'")
    kernel = "gelu" if approximate == "none" else "gelu_tanh"
    return _unary(kernel, x, lambda g, a: _grad(kernel + "_grad", g, a), saves="x")


def silu(x: Any) -> Any:
    """``x * sigmoid(x)``."""
    return _unary("silu", x, lambda g, a: _grad("silu_grad", g, a), saves="x")


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    """``log(1 + exp(beta * x)) / beta``, without overflow, and x itself where ``beta * x > threshold``.

    Parameters
    ----------
    x : array or Tensor
    beta : float, default 1
        Not 0.
    threshold : float, default 20

    Raises
    ------
    ArgumentError
        If beta is 0.
    """
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    if beta == 0:
        raise ArgumentError("softplus: beta is 0, expected another number")
    a = unwrap(x, "softplus", "x")
    if beta == 1 and threshold == 20 and (a.dtype == np.float32 or not isinstance(a, np.ndarray)):
        # Beyond the threshold both are the same float32; on a GPU, where the other has no body, but for 2e-9.
        return _unary("softplus", x, lambda g, a: _grad("softplus_grad", g, a), saves="x")

    def backward(g: Any, a: Any) -> Any:
        return _grad("softplus_scaled_grad", g, a, beta, threshold)

    return _unary("softplus_scaled", x, backward, beta, threshold, saves="x")


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Limit x to ``[min, max]``; where min is above max, the result is max.

    Parameters
    ----------
    x : array or Tensor
    min, max : number, array or Tensor, optional
        Arrays broadcast against x. None leaves that side open. NaN makes the result NaN.

    Notes
    -----
    The gradient goes to x where it lies within the limits, ends included, else to the limit that holds.
    """
    plain = all(bound is None or _is_scalar(bound) for bound in (min, max))
    if not plain or (isinstance(x, Tensor) and x._data.dtype.kind in "iub"):
        x, min, max = _promotion.alike(x, min, max)
        if isinstance(x, Tensor) and x._data.dtype.kind in "iu":
            min, max = (int(bound) if isinstance(bound, bool) else bound for bound in (min, max))
    try:
        a = unwrap(x, "clip", "x")
    except DTypeError:
        whole = _integers.clip(x, min, max)
        if whole is None:
            raise
        return whole
    if not plain:
        return _clip_by_arrays(x, a, min, max)
    lower = -np.inf if min is None else number("clip", "min", min)
    upper = np.inf if max is None else number("clip", "max", max)
    if not lower <= upper:  # one is NaN, or all is max
        lower = upper = lower if lower != lower else upper
        if upper != upper:
            return multiply(x, upper)

    def limited(a: Any) -> Any:
        k = engines.of(a)
        if a.ndim < 2 or a.flags.c_contiguous:
            out = k.empty(a.shape, a.dtype)
            k.clip(out, a, lower, upper)
            return out
        axes = memory_order(a)  # the result lies as the array does
        out = k.empty(tuple([a.shape[d] for d in axes]), a.dtype)
        k.clip(out, a.transpose(axes), lower, upper)
        return out.transpose(np.argsort(axes))

    crossed = min is not None and max is not None and number("clip", "min", min) > upper

    def backward(g: Any, a: Any, _: Any) -> tuple[Any]:
        if crossed:
            return (_scaled(g, 0.0),)
        given = a._data if isinstance(a, Tensor) else a
        inside = _binary_kernel("equal", given, limited(given))  # again: the result may be changed in place
        return (_binary_kernel("multiply", g, inside),)

    return result(limited(a), (x,), backward, (a, None))


def _clip_by_arrays(x: Any, a: Any, low: Any, high: Any) -> Any:
    """Limits of which one is an array."""
    given = {"min": low, "max": high}
    bounds = {
        name: _scalar_like(number("clip", name, bound), a)
        if _is_scalar(bound)
        else unwrap(_integers.as_float(bound, a.dtype), "clip", name)
        for name, bound in given.items()
        if bound is not None
    }
    same_dtype("clip", x=a, **bounds)
    shape = broadcast_shape("clip", x=a, **bounds)
    out = broadcast_to(a, shape)
    if "min" in bounds:
        out = _binary_kernel("maximum", out, bounds["min"])
    if "max" in bounds:
        out = _binary_kernel("minimum", out, bounds["max"])
    inputs = tuple(None if _is_scalar(given) else given for given in (x, low, high))
    needed = tuple(map(needs, inputs))

    def backward(g: Any, *_: Any) -> tuple[Any, Any, Any]:  # the limits' places are constants
        zero = _scalar_like(0.0, a)
        below = _binary_kernel("greater", bounds["min"], a) if "min" in bounds else zero
        above = _binary_kernel("greater", a, bounds["max"]) if "max" in bounds else zero
        held_low = below
        if len(bounds) == 2:  # max has the last word: where min is above it, it holds
            crossed = _binary_kernel("greater", bounds["min"], bounds["max"])
            above = _binary_kernel("maximum", above, crossed)
            held_low = _chosen(above, 0.0, below)
        outside = _binary_kernel("maximum", below, above)
        return (
            sum_to(_chosen(outside, 0.0, g), a.shape) if needed[0] else None,
            sum_to(_chosen(held_low, g, 0.0), bounds["min"].shape) if needed[1] else None,
            sum_to(_chosen(above, g, 0.0), bounds["max"].shape) if needed[2] else None,
        )

    return result(out, inputs, backward, (a, *(bounds.get(name) for name in given)))


def _holds(condition: Any) -> tuple[Any, ...]:
    """The indices where the condition holds, Tensors for a Tensor."""
    whole = _integers.integral(condition)
    found = np.nonzero(unwrap(condition, "where", "condition") if whole is None else whole)
    return tuple([_integers.wrapped(index, condition) for index in found])


def where(condition: Any, a: Any = ABSENT, b: Any = ABSENT) -> Any:
    """``a`` where the condition holds, else ``b``, with broadcasting.

    Parameters
    ----------
    condition : array or Tensor of booleans, integers or floats
        Holds where it is not 0.
    a, b : array, Tensor or number
        Types as in :func:`add`: integers beside floats become floats, two of integers give integers.
        Without both: the indices where the condition holds, a tuple of one array an axis.
    """
    if a is ABSENT and b is ABSENT:
        return _holds(condition)
    if a is ABSENT or b is ABSENT:
        raise ArgumentError(f"where: {'a' if a is ABSENT else 'b'} is not given, expected both or none")
    mask = condition._data if isinstance(condition, Tensor) else _integers.integral(condition)
    if mask is None:
        mask = np.asarray(condition) if isinstance(condition, (bool, list)) else condition
        if type(mask) is not np.ndarray or mask.dtype.kind != "b":
            on_gpu = is_on_gpu(mask) and mask.dtype.kind in "biu"
            mask = mask if on_gpu else unwrap(mask, "where", "condition")
    try:
        left, right = _float_operands("where", a, b)
    except DTypeError:
        both = _promotion.pair(a, b)
        if both is not None:
            return where(condition, *both)
        whole = _integers.where(mask, a, b)
        if whole is not None:
            return whole
        left, right = _operands("where", a, b)
    mask = (mask != 0 if mask.dtype.kind in "iu" else mask).astype(left.dtype, copy=False)
    mask = beside(left, mask) if isinstance(condition, (bool, list)) else mask
    same_place("where", "condition", mask, "a", left)
    shape = broadcast_shape("where", condition=mask, a=left, b=right)
    k = engines.of(left)
    out = k.empty(shape, left.dtype)
    mask = broadcast_to(mask, shape)
    k.where(out, mask, broadcast_to(left, shape), broadcast_to(right, shape))

    need_a, need_b, left_shape, right_shape = needs(a), needs(b), left.shape, right.shape

    def backward(g: Any, *_: Any) -> tuple[Any, Any]:
        return (
            sum_to(_chosen(mask, g, 0.0), left_shape) if need_a else None,
            sum_to(_chosen(mask, 0.0, g), right_shape) if need_b else None,
        )

    return result(
        out, (None if _is_scalar(a) else a, None if _is_scalar(b) else b), backward, (None, None, None, mask)
    )
