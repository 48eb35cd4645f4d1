"""Matrix products and linear layers.

Arrays of bfloat16 have a kernel of their own, which sums in float32 and rounds once: gradients use it too.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from einkorn import _autocast, _bfloat16, engines
from einkorn._device import is_aligned
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.errors import ShapeError
from einkorn.ops._elementwise import _scaled, activation_gradient
from einkorn.ops._options import number
from einkorn.ops._road import (
    bfloat16_array,
    bits,
    broadcast_to,
    check_size,
    contiguous,
    is_kept,
    moved,
    needs,
    record,
    result,
    same_dtype,
    same_kept,
    sum_to,
    unwrap,
)
from einkorn.ops.copy import transpose
from einkorn.ops.elementwise import multiply

__all__ = ["addmm", "bmm", "linear", "matmul"]


def _swapped(a: Any) -> Any:
    """View with the last two dimensions exchanged."""
    if isinstance(a, Tensor):
        return transpose(a, -1, -2)
    return a.T if a.ndim == 2 else a.swapaxes(-1, -2)


def _unit_stride(a: Any) -> Any:
    """``a`` if it runs without gaps along rows or columns of its matrices, else a copy that does."""
    if a.flags.c_contiguous:
        return a
    step = a.itemsize
    *_, rows, columns = a.shape
    *_, row_step, column_step = a.strides
    along_columns = column_step == step or columns <= 1
    along_rows = row_step == step or rows <= 1
    # A broadcast or reversed matrix dimension would alias rows; kernels expect plain steps forward.
    forward = row_step > 0 or rows <= 1, column_step > 0 or columns <= 1
    if (along_columns and forward[0]) or (along_rows and forward[1]):
        return a
    return contiguous(a)


def _rows(a: Any) -> Any:
    """All matrices of a stack under each other, as one matrix; a vector as its only row."""
    return contiguous(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])


_loaded = sys.modules


def _are_low(*arguments: Any) -> bool:
    """Whether all arguments that are given are bfloat16. An array of that comes with one of two packages."""
    if "ml_dtypes" not in _loaded and "torch" not in _loaded:
        return False
    for x in arguments:
        data = x._data if isinstance(x, Tensor) else x
        if type(data) is np.ndarray and data.dtype.kind == "f":  # as nearly always
            return False
        if x is not None and not (is_kept(x) and len(x.shape) <= 8):
            return False
    return True


def _low_array(x: Any, op: str, name: str) -> Any:
    array = bfloat16_array(x, op, name)
    return array if is_aligned(array) else array.copy()


def _multiply(
    k: Any, out: Any, a: Any, b: Any, bias: Any, alpha: float = 1.0, beta: float = 0.0, activation: int = 0
) -> None:
    """The kernel's call, of either type."""
    a, b = _unit_stride(a), _unit_stride(b)
    if a.dtype.kind != "V":
        return k.matmul(out, a, b, bias, alpha, beta, activation)
    out = out if out.dtype.kind == "f" else out.view(np.uint16)
    k.matmul_bf16(out, a.view(np.uint16), b.view(np.uint16), bits(bias), alpha, beta, activation)


def _product(a: Any, b: Any, bias: Any = None, activation: int = 0, dtype: Any = None) -> Any:
    """``act(a @ b + bias)`` of arrays whose batch dimensions broadcast; ``a @ b`` of Tensors.

    ``dtype`` is that of the result, where it is another than the arrays'.
    """
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return matmul(a, b)
    k = engines.of(a)
    dtype = a.dtype if dtype is None else dtype
    if a.ndim == 2 and b.ndim == 2:
        shape = (a.shape[0], b.shape[1])
        if a.shape[1] == 0:
            check_size("matmul", shape)
        out = k.empty(shape, dtype)
    else:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = k.empty((*batch, a.shape[-2], b.shape[-1]), dtype)
        a = broadcast_to(a, (*batch, *a.shape[-2:]))
        b = broadcast_to(b, (*batch, *b.shape[-2:]))
    _multiply(k, out, a, b, bias, activation=activation)
    return out


def _summed_product(a: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """``a @ b`` summed over the batch dimensions that ``shape`` lacks, and rounded after that."""
    if isinstance(a, Tensor) or isinstance(b, Tensor) or a.dtype.kind != "V":
        return sum_to(_product(a, b), shape)
    if (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]) == shape:
        return _product(a, b)
    return _bfloat16.narrow(sum_to(_product(a, b, dtype=np.float32), shape))


def matmul(a: Any, b: Any) -> Any:
    """Matrix product, with the rules of ``numpy.matmul`` for vectors and batches.

    Parameters
    ----------
    a : array or Tensor, shape (..., M, K) or (K,)
    b : array or Tensor, shape (..., K, N) or (K,)
        Batch dimensions broadcast.

    Returns
    -------
    array or Tensor, shape (..., M, N); a vector operand's dimension is left out.

    Raises
    ------
    ShapeError
        If the inner sizes differ, an operand is a scalar, or batch shapes do not broadcast.
    DTypeError
        If the element types differ or are not float32, float64 or bfloat16.
    """
    if _autocast.active:
        a, b = _autocast.lower(a, b)
    x, y = a._data if isinstance(a, Tensor) else a, b._data if isinstance(b, Tensor) else b
    out = engines.cpu().quick("matmul", x, y)
    if out is not None:
        if x is a and y is b:
            return out
        left, right = x is not a and a._requires_grad, y is not b and b._requires_grad
        if not ((left or right) and mode.enabled):
            return Tensor._wrap(out, False, None)
        return record(out, (a, b), _of_matrices, (x if right else None, y if left else None))
    low = _are_low(a, b)
    take = _low_array if low else unwrap
    x, y = take(a, "matmul", "a"), take(b, "matmul", "b")
    if x.dtype is not y.dtype or type(x) is not type(y):
        same_dtype("matmul", a=x, b=y)
    if _bfloat16.met:
        same_kept("matmul", a=a, b=b)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"matmul: a has shape {x.shape} and b {y.shape}, expected at least 1 dimension")
    left = x if x.ndim > 1 else x.reshape(1, -1)
    right = y if y.ndim > 1 else y.reshape(-1, 1)
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            f"matmul: b has shape {y.shape}, expected {left.shape[-1]} rows because a has shape {x.shape}"
        )
    if left.ndim > 2 and right.ndim == 2 and left.flags.c_contiguous:
        out = _product(_rows(left), right)
        out = out.reshape(*left.shape[:-1], right.shape[1])
    else:
        if left.ndim > 2 or right.ndim > 2:
            _check_batches(x, y, left, right)
        out = _product(left, right)
    full = out.shape
    if x.ndim == 1 or y.ndim == 1:
        out = out.reshape((*full[:-2], *full[-2:-1] * (x.ndim > 1), *full[-1:] * (y.ndim > 1)))

    x_shape, y_shape, left_shape, right_shape = x.shape, y.shape, left.shape, right.shape

    def backward(g: Any, x: Any, y: Any) -> tuple[Any, Any]:
        g = g.reshape(full)
        ga = gb = None
        if y is not None:
            ga = _summed_product(g, _swapped(y.reshape(right_shape)), left_shape).reshape(x_shape)
        if x is not None:
            if len(right_shape) == 2 and x.ndim > 2:
                gb = _product(_swapped(_rows(x)), _rows(g)).reshape(y_shape)
            else:
                gb = _summed_product(_swapped(x.reshape(left_shape)), g, right_shape).reshape(y_shape)
        return ga, gb

    return (moved if low else result)(
        out, (a, b), backward, (x if needs(b) else None, y if needs(a) else None)
    )


def _of_matrices(g: Any, x: Any, y: Any) -> tuple[Any, Any]:
    ga = None if y is None else _product(g, _swapped(y))
    return ga, None if x is None else _product(_swapped(x), g)


def _check_batches(x: Any, y: Any, left: Any, right: Any) -> None:
    try:
        np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: batch dimensions of a {x.shape} and b {y.shape} do not broadcast together"
        ) from None


def bmm(a: Any, b: Any) -> Any:
    """Product of two stacks of matrices.

    Parameters
    ----------
    a : array or Tensor, shape (B, M, K)
    b : array or Tensor, shape (B, K, N)

    Returns
    -------
    array or Tensor, shape (B, M, N)
    """
    take = _low_array if _are_low(a, b) else unwrap
    x, y = take(a, "bmm", "a"), take(b, "bmm", "b")
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[0]:
        raise ShapeError(f"bmm: a has shape {x.shape} and b {y.shape}, expected (B, M, K) and (B, K, N)")
    return matmul(a, b)


def addmm(c: Any, a: Any, b: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """``beta * c + alpha * (a @ b)`` in one kernel.

    Parameters
    ----------
    c : array or Tensor that broadcasts to (M, N)
    a : array or Tensor, shape (M, K)
    b : array or Tensor, shape (K, N)
    beta, alpha : float, default 1.0
        With beta 0, c is not read.
    """
    beta, alpha = number("addmm", "beta", beta), number("addmm", "alpha", alpha)
    if _autocast.active:
        c, a, b = _autocast.lower(c, a, b)
    low = _are_low(c, a, b)
    take = _low_array if low else unwrap
    base, x, y = take(c, "addmm", "c"), take(a, "addmm", "a"), take(b, "addmm", "b")
    same_dtype("addmm", a=x, b=y, c=base)
    if _bfloat16.met:
        same_kept("addmm", a=a, b=b, c=c)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
        raise ShapeError(f"addmm: a has shape {x.shape} and b {y.shape}, expected (M, K) and (K, N)")
    shape = (x.shape[0], y.shape[1])
    try:
        base_view = np.broadcast_to(base, shape) if beta != 0 else None
    except ValueError:
        raise ShapeError(
            f"addmm: c has shape {base.shape}, expected one that broadcasts to {shape}"
        ) from None
    k = engines.of(x)
    out = k.empty(shape, x.dtype)
    if base_view is not None:
        _bfloat16.of(out).copy(out, base_view)
    _multiply(k, out, x, y, None, alpha, beta)

    def scaled_product(left: Any, right: Any) -> Any:
        if isinstance(left, Tensor):
            return multiply(matmul(left, right), alpha)
        product = k.empty((left.shape[0], right.shape[1]), left.dtype)
        _multiply(k, product, left, right, None, alpha)
        return product

    def scaled(g: Any) -> Any:
        if isinstance(g, Tensor) or g.dtype.kind != "V":
            return sum_to(_scaled(g, beta), base_shape)
        return _bfloat16.narrow(sum_to(_scaled(_bfloat16.widen(g), beta), base_shape))

    base_shape, need_c = base.shape, needs(c)

    def backward(g: Any, _: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        return (
            scaled(g) if need_c else None,
            None if y is None else scaled_product(g, _swapped(y)),
            None if x is None else scaled_product(_swapped(x), g),
        )

    return (moved if low else result)(
        out, (c, a, b), backward, (None, x if needs(b) else None, y if needs(a) else None)
    )


def linear(x: Any, weight: Any, bias: Any = None, *, activation: str | None = None) -> Any:
    """``act(x @ weight.T + bias)`` in one kernel.

    Parameters
    ----------
    x : array or Tensor, shape (..., in_features)
    weight : array or Tensor, shape (out_features, in_features)
    bias : array or Tensor, shape (out_features,), optional
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied before the result is stored.

    Returns
    -------
    array or Tensor, shape (..., out_features)

    Raises
    ------
    ShapeError
        If the sizes do not fit together.
    DTypeError
        If the element types differ or are not float32, float64 or bfloat16.
    ArgumentError
        For an unknown activation.
    """
    if _autocast.active:
        x, weight, bias = _autocast.lower(x, weight, bias)
    a = x._data if isinstance(x, Tensor) else x
    w = weight._data if isinstance(weight, Tensor) else weight
    b = bias._data if isinstance(bias, Tensor) else bias
    code = 0 if activation is None else engines.activation_code(activation, "linear")
    out = engines.cpu().quick("linear", a, w, b, code)
    if out is not None:
        if a is x and w is weight and b is bias:
            return out
        needs_w, needs_x, needs_b = needs(weight), needs(x), needs(bias)
        if not ((needs_w or needs_x or needs_b) and mode.enabled):
            return Tensor._wrap(out, False, None)
        saved = (a if needs_w else None, w if needs_x else None, None, None if activation is None else out)
        return record(out, (x, weight, bias), _of_linear(activation, a.shape, needs_b), saved)
    low = _are_low(x, weight, bias)
    take = _low_array if low else unwrap
    a, w = take(x, "linear", "x"), take(weight, "linear", "weight")
    b = None if bias is None else take(bias, "linear", "bias")
    if a.dtype is not w.dtype or type(a) is not type(w) or (b is not None and b.dtype is not a.dtype):
        same_dtype("linear", x=a, weight=w, bias=b)
    if _bfloat16.met:
        same_kept("linear", x=x, weight=weight, bias=bias)
    if w.ndim != 2 or a.ndim < 1 or a.shape[-1] != w.shape[1]:
        expected = f"(*, {a.shape[-1]})" if a.ndim else "(out_features, in_features)"
        raise ShapeError(
            f"linear: weight has shape {w.shape}, expected {expected} because x has shape {a.shape}"
        )
    if b is not None:
        if b.shape != w.shape[:1]:
            raise ShapeError(f"linear: bias has shape {b.shape}, expected ({w.shape[0]},)")
        b = contiguous(b)
    lead = a.shape[:-1]
    rows = a if a.ndim == 2 else _rows(a)
    out = _product(rows, w.T, b, code)
    if a.ndim != 2:
        out = out.reshape(*lead, w.shape[0])

    for_weight = (rows if a.ndim == 2 else rows.reshape(a.shape)) if needs(weight) else None
    for_x = w if needs(x) else None
    return (moved if low else result)(
        out,
        (x, weight, bias),
        _of_linear(activation, a.shape, needs(bias)),
        (for_weight, for_x, None, None if activation is None else out),
    )


def _column_sums(g: Any) -> Any:
    if isinstance(g, Tensor) or g.dtype.kind == "V":
        return sum_to(g, (1, g.shape[1])).reshape(-1)
    k = engines.of(g)
    sums = k.empty((g.shape[1],), g.dtype)  # no view: a leaf would have to copy it
    k.reduce_sum(sums.reshape((1, -1)), g, 1.0)
    return sums


def _of_linear(activation: str | None, shape: tuple[int, ...], need_bias: bool) -> Any:
    def backward(g: Any, x: Any, w: Any, _: Any, out: Any) -> tuple[Any, Any, Any]:
        if activation is not None and not isinstance(g, Tensor) and g.dtype.kind == "V":
            g = _bfloat16.narrow(activation_gradient(activation, _bfloat16.widen(g), _bfloat16.widen(out)))
        else:
            g = activation_gradient(activation, g, out)
        g = _rows(g)
        gx = gw = gb = None
        if w is not None:
            gx = _product(g, w).reshape(shape)
        if x is not None:
            gw = _product(_swapped(g), x if x.ndim == 2 else _rows(x))
        if need_bias:
            gb = _column_sums(g)
        return gx, gw, gb

    return backward
