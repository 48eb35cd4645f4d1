"""What the elementwise operations are made of: one operand, two operands, and gradients from kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import _bfloat16, engines
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.errors import DTypeError
from einkorn.ops import _integers, _promotion
from einkorn.ops._blocks import in_blocks
from einkorn.ops._road import (
    broadcast_shape,
    broadcast_to,
    contiguous,
    is_kept,
    record,
    result,
    same_dtype,
    sum_to,
    unwrap,
)

__all__ = ["activation_gradient"]


def _unary(
    kernel: str,
    x: Any,
    backward: Callable[[Any, Any], Any],
    *alpha: float,
    saves: str | None = None,
    op: str = "",
    rule: Callable[..., tuple[Any]] | None = None,
) -> Any:
    """Run a one-operand kernel.

    ``backward(g, saved)`` gives the gradient with respect to x, from what ``saves`` names: the kernel's
    input "x", its output "out" or None. Both are Tensors where the gradient is differentiated again.
    ``op`` is the operation's name where it is not the kernel's. ``rule`` is the gradient as nodes call it,
    where ``backward`` is not to be wrapped for them.
    """
    is_tensor = isinstance(x, Tensor)
    a = x._data if is_tensor else x
    out = engines.cpu().quick(kernel, a, *alpha)
    if out is None:
        out = in_blocks(kernel, alpha, x) if _bfloat16.met else None
        if out is None:
            try:
                a = unwrap(x, op or kernel, "x")
            except DTypeError:
                whole = _integers.unary(kernel, x)
                if whole is None:
                    raise
                return whole
            out = _unary_kernel(kernel, a, alpha)
        if not (is_tensor and x._requires_grad and mode.enabled):
            return result(out, (x,), _nothing)
    elif not is_tensor:
        return out
    elif not (x._requires_grad and mode.enabled):
        return Tensor._wrap(out, False, None)
    saved = (None,) if saves is None else (a,) if saves == "x" else (None, out)
    return record(out, (x,), rule or (lambda g, *saved: (backward(g, saved[-1]),)), saved)


def _unary_kernel(kernel: str, a: Any, alpha: tuple[float, ...]) -> Any:
    k = engines.of(a)
    if a.ndim < 2 or a.flags.c_contiguous:
        out = k.empty(a.shape, a.dtype)
        getattr(k, kernel)(out, a, *alpha)
    else:  # an array that lies transposed is read, and its result written, in the order of memory
        axes = memory_order(a)
        lying = a.transpose(axes)
        out = k.empty(lying.shape, a.dtype)
        getattr(k, kernel)(out, lying, *alpha)
        out = out.transpose(np.argsort(axes))
    return out


def memory_order(a: Any) -> list[int]:
    """The axes of ``a``, those with the largest steps first."""
    return sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))


#: Derivatives of the kernels that have one of their own, from what they read: with operations, for gradients
#: that are differentiated again.
_DERIVATIVES: dict[str, Callable[..., Any]] = {
    "absolute_grad": lambda x: _plain("sign", x._data),
    "relu_grad": lambda out: _mask("greater", out, 0.0),
    "leaky_relu_grad": lambda x, slope: ops.where(_mask("greater", x, 0.0), 1.0, ops.add(x * 0.0, slope)),
    "elu_grad": lambda x, scale: ops.where(_mask("greater", x, 0.0), 1.0, ops.exp(x) * scale),
    "sigmoid_grad": lambda out: out * (1.0 - out),
    "tanh_grad": lambda out: 1.0 - out * out,
    "gelu_grad": lambda x: (ops.erf(x * _HALF_ROOT) + 1.0) * 0.5 + x * ops.exp(x * x * -0.5) * _BELL,
    "gelu_tanh_grad": lambda x: _gelu_tanh_slope(x),
    "silu_grad": lambda x: _silu_slope(x, ops.sigmoid(x)),
    "softplus_grad": lambda x: ops.sigmoid(x),
    "softplus_scaled_grad": lambda x, beta, threshold: ops.where(
        x._data * beta > threshold, 1.0, ops.sigmoid(x * beta)
    ),
}
_HALF_ROOT = 0.5**0.5
_BELL = 0.3989422804014327  # 1 / sqrt(2 pi)


def _gelu_tanh_slope(x: Any) -> Any:
    scale = 2 * _BELL
    t = ops.tanh((x + x * x * x * 0.044715) * scale)
    return (t + 1.0) * 0.5 + x * (1.0 - t * t) * (x * x * (3 * 0.044715) + 1.0) * (0.5 * scale)


def _silu_slope(x: Any, s: Any) -> Any:
    return s * (x * (1.0 - s) + 1.0)


def _mask(comparison: str, a: Any, b: Any) -> Any:
    """1 where the comparison of values holds, else 0: a constant, for Tensors and arrays."""
    left = a._data if isinstance(a, Tensor) else a
    right = b._data if isinstance(b, Tensor) else _scalar_like(b, left) if isinstance(b, float) else b
    return _binary_kernel(comparison, left, right)


def _grad(kernel: str, g: Any, saved: Any, *alpha: float) -> Any:
    """Run a gradient kernel: g times the derivative that follows from the saved array."""
    if isinstance(g, Tensor):
        return ops.multiply(g, _DERIVATIVES[kernel](saved, *alpha))
    gx = engines.cpu().quick(kernel, g, saved, *alpha)
    if gx is not None:
        return gx
    k = engines.of(g)
    if not saved.flags.c_contiguous:
        axes = memory_order(saved)
        lying = saved.transpose(axes)
        if lying.flags.c_contiguous:  # transposed: the gradient lies as the array does
            gx = k.empty(lying.shape, g.dtype)
            getattr(k, kernel)(gx, contiguous(g.transpose(axes)), lying, *alpha)
            return gx.transpose(np.argsort(axes))
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
    """Both broadcast: what gradients are computed with. Tensors go through the operation of that name."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return _mask(kernel, a, b) if kernel in _COMPARISONS else getattr(ops, kernel)(a, b)
    out = engines.cpu().quick(kernel, a, b)
    if out is not None:
        return out
    if _is_scalar(b):
        b = _scalar_like(b, a)
    shape = a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape)
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    getattr(k, kernel)(out, broadcast_to(a, shape), broadcast_to(b, shape))
    return out


_COMPARISONS = ("equal", "greater", "greater_equal")


def _scaled(a: Any, factor: float) -> Any:
    if isinstance(a, Tensor):
        return ops.multiply(a, factor)
    return _binary_kernel("multiply", a, factor)


def _scalar_like(value: Any, a: Any) -> Any:
    """A number as an array that broadcasts to the shape of ``a`` without a copy."""
    if isinstance(a, Tensor):
        a = a._data
    k = engines.of(a)
    scalar = k.empty((), a.dtype)
    scalar[()] = value
    if isinstance(a, np.ndarray):
        return np.ndarray(a.shape, a.dtype, scalar, 0, (0,) * a.ndim)
    return broadcast_to(scalar, a.shape)


_PLAIN = (float, int)


def _is_scalar(x: Any) -> bool:
    return not isinstance(x, (Tensor, np.ndarray)) and isinstance(x, (int, float, np.integer, np.floating))


def _operands(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Both operands as arrays of one type of floats, a number as one that broadcasts."""
    try:
        return _float_operands(op, a, b)
    except DTypeError:
        both = _promotion.pair(a, b)
        if both is not None and any(_bfloat16.is_floating(x.dtype) for x in both if hasattr(x, "dtype")):
            return _float_operands(op, *both)
        left, right = _integers.integral(a), _integers.integral(b)
        if (left is None) == (right is None) or _is_scalar(a) or _is_scalar(b):
            raise
        # Integers beside floats take their type.
        if left is not None:
            return _float_operands(op, _as_beside(left, b, unwrap(b, op, "b")), b)
        return _float_operands(op, a, _as_beside(right, a, unwrap(a, op, "a")))


def _as_beside(whole: Any, given: Any, floats: Any) -> Any:
    """Integers in the type of the floats beside them, which stand before and behind ``unwrap``."""
    low = _bfloat16.met and is_kept(given)
    return _bfloat16.narrow(whole.astype(np.float64)) if low else whole.astype(floats.dtype)


def _float_operands(op: str, a: Any, b: Any) -> tuple[Any, Any]:
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


#: From g and the arrays of both operands and of the result, None where they were not saved, to both
#: gradients, of the shape of the result.
Rule = Callable[..., tuple[Any, Any]]

#: A rule, and what it reads: at most the arrays of both operands and of the result.
Gradients = tuple[Rule, tuple[Any, ...]]


def _binary(
    op: str,
    a: Any,
    b: Any,
    gradients_of: Callable[[Any, Any, Any, bool, bool], Gradients],
    reads_numbers: bool = False,
) -> Any:
    """Run a two-operand kernel.

    ``gradients_of(left, right, out, need_a, need_b)`` gives the rule of its gradients and what that reads.
    Where an operand is a number, ``reads_numbers`` says that the rule takes it as one.
    """
    need_a = need_b = False
    left, right = a, b
    if isinstance(a, Tensor):
        left, need_a = a._data, a._requires_grad
    if isinstance(b, Tensor):
        right, need_b = b._data, b._requires_grad
    recorded = (need_a or need_b) and mode.enabled
    out = engines.cpu().quick(op, left, right)
    if out is None:
        out = in_blocks(op, (), a, b) if _bfloat16.met else None
        if out is None:
            try:
                left, right = _float_operands(op, a, b)
            except DTypeError:
                both = _promotion.pair(a, b)
                if both is not None:
                    return _binary(op, *both, gradients_of, reads_numbers)
                whole = _integers.binary(op, a, b)
                if whole is not None:
                    return whole
                left, right = _operands(op, a, b)
            out = _binary_shapes(op, left, right)
        if not recorded:
            # A plain number beside the array does not decide what kind of thing is returned.
            return result(out, (None if _is_scalar(a) else a, None if _is_scalar(b) else b), _nothing)
    elif not recorded:
        return out if left is a and right is b else Tensor._wrap(out, False, None)
    rule, saved = gradients_of(left, right, out, need_a, need_b)
    if type(a) in _PLAIN or type(b) in _PLAIN:  # others have become arrays
        if saved and not reads_numbers:
            saved = tuple([_scalar_like(s, out) if _is_scalar(s) else s for s in saved])
        return record(out, (a, b), rule, saved)
    left_shape = left.shape
    right_shape = right.shape
    if left_shape == right_shape:
        return record(out, (a, b), rule, saved)

    def backward(g: Any, *saved: Any) -> tuple[Any, Any]:
        ga, gb = rule(g, *saved)
        return (
            sum_to(ga, left_shape) if need_a else None,
            sum_to(gb, right_shape) if need_b else None,
        )

    return record(out, (a, b), backward, saved)


def _binary_shapes(op: str, left: Any, right: Any) -> Any:
    """A two-operand kernel on arrays of any layout whose shapes broadcast."""
    k = engines.of(left)
    if left.shape == right.shape:
        if left.ndim < 2 or left.flags.c_contiguous or right.flags.c_contiguous:
            out = k.empty(left.shape, left.dtype)
            getattr(k, op)(out, left, right)
        else:  # as one operand that lies transposed
            axes = memory_order(left)
            lying = left.transpose(axes)
            out = k.empty(lying.shape, left.dtype)
            getattr(k, op)(out, lying, right.transpose(axes))
            out = out.transpose(np.argsort(axes))
    else:
        shape = broadcast_shape(op, a=left, b=right)
        out = k.empty(shape, left.dtype)
        getattr(k, op)(out, broadcast_to(left, shape), broadcast_to(right, shape))
    return out


def _nothing(g: Any) -> tuple[Any, ...]:
    raise AssertionError("nothing was recorded")


def _negated(g: Any) -> Any:
    return _plain("negative", g)


def _plain(kernel: str, a: Any) -> Any:
    if isinstance(a, Tensor):
        return getattr(ops, kernel)(a)
    out = engines.cpu().quick(kernel, a)
    return _unary_kernel(kernel, a, ()) if out is None else out


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``; any of them may be smaller or a number."""
    if isinstance(condition, Tensor):
        condition = condition._data
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return ops.where(condition, a, b)
    shape = np.broadcast_shapes(condition.shape, *(x.shape for x in (a, b) if not isinstance(x, float)))
    k = engines.of(condition)
    out = k.empty(shape, condition.dtype)
    a, b = (_scalar_like(x, out) if isinstance(x, float) else broadcast_to(x, shape) for x in (a, b))
    k.where(out, broadcast_to(condition, shape), a, b)
    return out


# At the end: operations are built on this module; it needs them for gradients that are Tensors.
from einkorn import ops  # noqa: E402
