"""Arithmetic and activations, element by element, with NumPy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import engines
from einkorn.autograd import mode
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import (
    broadcast_shape,
    broadcast_to,
    contiguous,
    needs,
    record,
    result,
    same_dtype,
    sum_to,
    unwrap,
)
from einkorn.tensor import Tensor

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


def _unary(
    kernel: str, x: Any, backward: Callable[[Any, Any], Any], *alpha: float, saves: str | None = None
) -> Any:
    """Run a one-operand kernel.

    ``backward(g, saved)`` gives the gradient with respect to x, from what ``saves`` names: the kernel's
    input "x", its output "out" or None.
    """
    a = unwrap(x, kernel, "x")
    k = engines.of(a)
    if a.ndim < 2 or a.flags.c_contiguous:
        out = k.empty(a.shape, a.dtype)
        getattr(k, kernel)(out, a, *alpha)
    else:  # an array that lies transposed is read, and its result written, in the order of memory
        axes = sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))
        lying = a.transpose(axes)
        out = k.empty(lying.shape, a.dtype)
        getattr(k, kernel)(out, lying, *alpha)
        out = out.transpose(np.argsort(axes))
    if not (isinstance(x, Tensor) and x._requires_grad and mode.enabled):
        return result(out, (x,), _nothing)
    saved = None if saves is None else a if saves == "x" else out
    return record(out, (x,), lambda g: (backward(g, saved),))


def _grad(kernel: str, g: Any, saved: Any, *alpha: float) -> Any:
    """Run a gradient kernel: g times the derivative that follows from the saved array."""
    k = engines.of(g)
    gx = k.empty(g.shape, g.dtype)
    getattr(k, kernel)(gx, contiguous(g), contiguous(saved), *alpha)
    return gx


def activation_gradient(activation: str | None, g: Any, out: Any) -> Any:
    """Gradient before a fused activation, from the gradient after it and the layer's output."""
    if activation is None:
        return g
    if activation == "leaky_relu":
        return _grad("leaky_relu_grad", g, out, 0.01)
    return _grad(activation + "_grad", g, out)


def _binary_kernel(kernel: str, a: Any, b: Any) -> Any:
    """Arrays in, array out, broadcasting: what gradients are computed with."""
    shape = a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape)
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    getattr(k, kernel)(out, broadcast_to(a, shape), broadcast_to(b, shape))
    return out


def _scaled(a: Any, factor: float) -> Any:
    return _binary_kernel("multiply", a, _scalar_like(factor, a))


def _scalar_like(value: Any, a: Any) -> Any:
    """A number as an array that broadcasts to the shape of ``a`` without a copy."""
    k = engines.of(a)
    scalar = k.empty((), a.dtype)
    scalar[()] = value
    if isinstance(a, np.ndarray):
        return np.ndarray(a.shape, a.dtype, scalar, 0, (0,) * a.ndim)
    return broadcast_to(scalar, a.shape)


def _is_scalar(x: Any) -> bool:
    return not isinstance(x, (Tensor, np.ndarray)) and isinstance(x, (int, float, np.integer, np.floating))


def _operands(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    if _is_scalar(b):
        array = unwrap(a, op, "a")
        return array, _scalar_like(b, array)
    if _is_scalar(a):
        array = unwrap(b, op, "b")
        return _scalar_like(a, array), array
    left, right = unwrap(a, op, "a"), unwrap(b, op, "b")
    if left.dtype is not right.dtype or type(left) is not type(right):
        same_dtype(op, a=left, b=right)
    return left, right


Gradients = Callable[[Any], tuple[Any, Any]]


def _binary(op: str, a: Any, b: Any, gradients_of: Callable[[Any, Any, Any, bool, bool], Gradients]) -> Any:
    """Run a two-operand kernel.

    ``gradients_of(left, right, out, need_a, need_b)`` gives the function from g to both full-shape gradients;
    what that function does not name is not saved.
    """
    left, right = _operands(op, a, b)
    left_shape, right_shape = left.shape, right.shape
    k = engines.of(left)
    if left_shape == right_shape:
        out = k.empty(left_shape, left.dtype)
        getattr(k, op)(out, left, right)
    else:
        shape = broadcast_shape(op, a=left, b=right)
        out = k.empty(shape, left.dtype)
        getattr(k, op)(out, broadcast_to(left, shape), broadcast_to(right, shape))
    need_a = isinstance(a, Tensor) and a._requires_grad
    need_b = isinstance(b, Tensor) and b._requires_grad
    if not ((need_a or need_b) and mode.enabled):
        # A plain number beside the array does not decide what kind of thing is returned.
        return result(out, (None if _is_scalar(a) else a, None if _is_scalar(b) else b), _nothing)
    gradients = gradients_of(left, right, out, need_a, need_b)
    if left_shape == right_shape:
        return record(out, (a, b), gradients)

    def backward(g: Any) -> tuple[Any, Any]:
        ga, gb = gradients(g)
        return (
            sum_to(ga, left_shape) if need_a else None,
            sum_to(gb, right_shape) if need_b else None,
        )

    return record(out, (a, b), backward)


def _nothing(g: Any) -> tuple[Any, ...]:
    raise AssertionError("nothing was recorded")


def add(a: Any, b: Any) -> Any:
    """``a + b``, with broadcasting.

    Parameters
    ----------
    a, b : array, Tensor or number
        float32 or float64, of one type; at least one is no plain number.

    Returns
    -------
    array or Tensor of the broadcast shape.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.
    DTypeError
        If the element types differ or are not float32 or float64.
    """
    return _binary("add", a, b, lambda left, right, out, need_a, need_b: _both)


def _both(g: Any) -> tuple[Any, Any]:
    return g, g


def subtract(a: Any, b: Any) -> Any:
    """``a - b``, with broadcasting; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        return lambda g: (g, _negated(g) if need_b else None)

    return _binary("subtract", a, b, gradients_of)


def multiply(a: Any, b: Any) -> Any:
    """``a * b``, with broadcasting; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        for_a, for_b = right if need_a else None, left if need_b else None
        return lambda g: (
            None if for_a is None else _binary_kernel("multiply", g, for_a),
            None if for_b is None else _binary_kernel("multiply", g, for_b),
        )

    return _binary("multiply", a, b, gradients_of)


def divide(a: Any, b: Any) -> Any:
    """``a / b``, with broadcasting; arguments and errors as :func:`add`. Division by zero as IEEE 754."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        quotient = out if need_b else None

        def gradients(g: Any) -> tuple[Any, Any]:
            ga = _binary_kernel("divide", g, right)
            return ga, None if quotient is None else _negated(_binary_kernel("multiply", ga, quotient))

        return gradients

    return _binary("divide", a, b, gradients_of)


def _negated(g: Any) -> Any:
    k = engines.of(g)
    out = k.empty(g.shape, g.dtype)
    k.negative(out, g)
    return out


def _extreme(op: str, a: Any, b: Any, first_wins: str) -> Any:
    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def gradients(g: Any) -> tuple[Any, Any]:
            # 1 where a wins, 1/2 where both are equal (as torch), 0 elsewhere.
            x, y = (left, right) if first_wins == "greater" else (right, left)
            share = _binary_kernel("greater", x, y)
            tie = _scaled(_binary_kernel("equal", left, right), 0.5)
            share = _binary_kernel("add", share, tie)
            ga = _binary_kernel("multiply", g, share)
            return ga, _binary_kernel("subtract", g, ga)

        return gradients

    return _binary(op, a, b, gradients_of)


def maximum(a: Any, b: Any) -> Any:
    """The larger of ``a`` and ``b``; NaN wins. Ties share the gradient. Arguments as :func:`add`."""
    return _extreme("maximum", a, b, "greater")


def minimum(a: Any, b: Any) -> Any:
    """The smaller of ``a`` and ``b``; NaN wins. Ties share the gradient. Arguments as :func:`add`."""
    return _extreme("minimum", a, b, "less")


def power(a: Any, b: Any) -> Any:
    """``a ** b``, with broadcasting; arguments and errors as :func:`add`.

    The gradient with respect to ``b`` is ``a ** b * log(a)``, taken as 0 where a is 0.
    """

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        power = out if need_b else None

        def gradients(g: Any) -> tuple[Any, Any]:
            ga = gb = None
            if need_a:
                less = _binary_kernel("subtract", right, _scalar_like(1.0, right))
                slope = _binary_kernel("multiply", right, _binary_kernel("power", left, less))
                ga = _binary_kernel("multiply", g, slope)
            if power is not None:
                k = engines.of(left)
                log_a = k.empty(left.shape, left.dtype)
                k.log(log_a, left)
                zero = _binary_kernel("equal", left, _scalar_like(0.0, left))
                safe = k.empty(left.shape, left.dtype)
                k.where(safe, zero, _scalar_like(0.0, left), log_a)
                gb = _binary_kernel("multiply", g, _binary_kernel("multiply", power, safe))
            return ga, gb

        return gradients

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


def _plain(kernel: str, a: Any) -> Any:
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    getattr(k, kernel)(out, a)
    return out


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
    return _unary("relu", x, lambda g, out: _grad("relu_grad", g, out), saves="out")


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """``x`` where x > 0, else ``negative_slope * x``.

    Parameters
    ----------
    x : array or Tensor
    negative_slope : float, default 0.01
        At least 0: the gradient is found from the output's sign.
    """
    if not negative_slope >= 0:
        raise ArgumentError(f"leaky_relu: negative_slope is {negative_slope}, expected at least 0")
    # A slope of 0 would lose the sign of x in the output, but then both forms of the gradient agree.
    return _unary(
        "leaky_relu",
        x,
        lambda g, out: _grad("leaky_relu_grad", g, out, negative_slope),
        negative_slope,
        saves="out",
    )


def prelu(x: Any, weight: Any) -> Any:
    """``max(0, x) + weight * min(0, x)`` with a learned slope (He et al. 2015).

    Parameters
    ----------
    x : array or Tensor, shape (N, C, ...) or any when weight has one element
    weight : array or Tensor, shape (1,) or (C,)
    """
    a, w = unwrap(x, "prelu", "x"), unwrap(weight, "prelu", "weight")
    if w.ndim != 1 or (w.size != 1 and (a.ndim < 2 or w.size != a.shape[1])):
        channels = a.shape[1] if a.ndim > 1 else 1
        raise ShapeError(f"prelu: weight has shape {w.shape}, expected (1,) or ({channels},)")
    if w.size != 1:
        from einkorn.ops.copy import reshape

        weight = reshape(weight, (w.size,) + (1,) * (a.ndim - 2))
    zero = _scalar_like(0.0, a)
    return add(maximum(x, zero), multiply(minimum(x, zero), weight))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015).

    Parameters
    ----------
    x : array or Tensor
    alpha : float, default 1.0
        At least 0: the gradient is found from the output's sign.
    """
    if not alpha >= 0:
        raise ArgumentError(f"elu: alpha is {alpha}, expected at least 0")
    return _unary("elu", x, lambda g, out: _grad("elu_grad", g, out, alpha), alpha, saves="out")


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


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``, without overflow."""
    return _unary("softplus", x, lambda g, a: _grad("softplus_grad", g, a), saves="x")


def clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    """Limit x to ``[low, high]``; the gradient is 0 outside.

    Parameters
    ----------
    x : array or Tensor
    low, high : float or None
        None leaves that side open.
    """
    a = unwrap(x, "clip", "x")
    lower = -np.inf if low is None else float(low)
    upper = np.inf if high is None else float(high)
    if not lower <= upper:
        raise ArgumentError(f"clip: low is {low} and high is {high}, expected low <= high")
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    k.clip(out, a, lower, upper)

    def backward(g: Any) -> tuple[Any]:
        inside = _binary_kernel("equal", a, out)
        return (_binary_kernel("multiply", g, inside),)

    return result(out, (x,), backward)


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``, with broadcasting.

    Parameters
    ----------
    condition : boolean or float array, or Tensor
        Holds where it is not 0. Booleans are converted to the type of a and b.
    a, b : array, Tensor or number
    """
    left, right = _operands("where", a, b)
    mask = condition._data if isinstance(condition, Tensor) else condition
    if not hasattr(mask, "dtype") or not hasattr(mask, "astype"):
        mask = np.asarray(mask)
    if mask.dtype.kind not in "bf":
        raise DTypeError(f"where: condition has dtype {mask.dtype}, expected bool, float32 or float64")
    mask = mask.astype(left.dtype, copy=False)
    shape = broadcast_shape("where", condition=mask, a=left, b=right)
    k = engines.of(left)
    out = k.empty(shape, left.dtype)
    mask = broadcast_to(mask, shape)
    k.where(out, mask, broadcast_to(left, shape), broadcast_to(right, shape))

    need_a, need_b, left_shape, right_shape = needs(a), needs(b), left.shape, right.shape

    def backward(g: Any) -> tuple[Any, Any]:
        zero = _scalar_like(0.0, g)
        ga = gb = None
        if need_a:
            ga = k.empty(shape, g.dtype)
            k.where(ga, mask, g, zero)
            ga = sum_to(ga, left_shape)
        if need_b:
            gb = k.empty(shape, g.dtype)
            k.where(gb, mask, zero, g)
            gb = sum_to(gb, right_shape)
        return ga, gb

    return result(out, (None if _is_scalar(a) else a, None if _is_scalar(b) else b), backward)
