"""torch's functions under ``einkorn`` itself that are no method of Tensor by the same arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import _bfloat16, ops
from einkorn._tensor import Tensor, shown
from einkorn.creation import as_tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import _promotion
from einkorn.ops._options import axis_of, integer

__all__ = [
    "Size",
    "are_deterministic_algorithms_enabled",
    "broadcast_shapes",
    "bucketize",
    "can_cast",
    "chain_matmul",
    "compile",
    "cumulative_trapezoid",
    "e",
    "embedding",
    "fill",
    "gradient",
    "inf",
    "is_inference_mode_enabled",
    "nan",
    "newaxis",
    "nonzero",
    "pi",
    "promote_types",
    "repeat_interleave",
    "result_type",
    "rsub",
    "set_printoptions",
    "std_mean",
    "typename",
    "unravel_index",
    "use_deterministic_algorithms",
    "var_mean",
    "where",
]

#: A shape is a plain tuple here.
Size = tuple
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; of a condition alone, the places where it does.

    Parameters
    ----------
    condition : Tensor or array
    input, other : Tensor, array or number
        They broadcast with the condition. Two numbers give float32, whole ones int64.
    """
    if input is None and other is None:
        return (condition if isinstance(condition, Tensor) else Tensor(condition)).nonzero(as_tuple=True)
    if isinstance(condition, Tensor) and all(isinstance(x, (bool, int, float)) for x in (input, other)):
        input = as_tensor(input)
        other = as_tensor(other)
    result = ops.where(condition, input, other)
    return result if out is None else _written("where", out, result)


def nonzero(input: Any, *, out: Any = None, as_tuple: bool = False) -> Any:
    """Where elements are not 0: a row of indices each, or with ``as_tuple`` an array for each axis."""
    result = (input if isinstance(input, Tensor) else Tensor(input)).nonzero(as_tuple=as_tuple)
    return result if out is None else _written("nonzero", out, result)


def _written(name: str, out: Any, result: Any) -> Any:
    from einkorn._torch_names import written

    return written(name, out, result)


def bucketize(
    input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None
) -> Any:
    """The place of each element among sorted boundaries; see :func:`einkorn.ops.searchsorted`.

    Parameters
    ----------
    input : Tensor, array or number
    boundaries : Tensor or array
        One row, in rising order.
    right : bool, default False
        Whether an element that equals a boundary lies behind it.
    """
    result = ops.searchsorted(boundaries, input, out_int32=out_int32, right=right)
    return result if out is None else _written("bucketize", out, result)


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Every slice of a dimension several times; of counts alone, each index as often as its count says."""
    if repeats is None:
        counts = as_tensor(input)
        return Tensor(np.repeat(np.arange(counts.numel()), counts.numpy()))
    return as_tensor(input).repeat_interleave(repeats, dim, output_size=output_size)


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``other - alpha * input``."""
    return ops.subtract(other, input if alpha == 1 else ops.multiply(input, alpha))


def fill(input: Any, value: Any) -> Tensor:
    """A tensor of the shape and type of ``input`` in which every element is ``value``."""
    return as_tensor(input).clone().fill_(value)


def embedding(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table, the table first, as torch has it here; see ``einkorn.nn.functional.embedding``."""
    from einkorn.nn import functional

    padding = None if padding_idx == -1 else padding_idx
    return functional.embedding(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def chain_matmul(*matrices: Any) -> Any:
    """The product of several matrices, in the order that costs least."""
    from einkorn import linalg

    return linalg.multi_dot(matrices)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1.0, dim: int = -1) -> Any:
    """Running integrals along ``dim`` by the trapezoidal rule."""
    t = as_tensor(y)
    if not t.dim():
        raise ShapeError("cumulative_trapezoid: y has shape (), expected at least one dimension")
    dim = axis_of("cumulative_trapezoid", dim, t.dim())
    n = t.shape[dim]
    steps: Any = dx
    if x is not None:
        points = as_tensor(x)
        if points.dim() == 1 and t.dim() > 1:
            points = points.reshape([-1 if d == dim % t.dim() else 1 for d in range(t.dim())])
        steps = points.diff(dim=dim if points.dim() > 1 else -1)
    if n == 0:
        raise ShapeError("cumulative_trapezoid: y has no elements along dim, expected at least 1")
    pairs = ops.add(t.narrow(dim, 0, n - 1), t.narrow(dim, 1, n - 1))
    return ops.divide(ops.multiply(pairs, steps), 2.0).cumsum(dim)


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Slopes along dimensions, from the parabola through an element and its neighbours (Fornberg 1988).

    Parameters
    ----------
    input : Tensor
    spacing : number, list of numbers or of Tensors, default 1
        Distance of neighbours, in all dimensions or in each; or the places of elements along each.
    dim : int or tuple of int, optional
        All by default.
    edge_order : {1, 2}
        At the ends: the line to the neighbour, or the parabola through two.
    """
    t = as_tensor(input)
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is {edge_order!r}, expected 1 or 2")
    dims = range(t.dim()) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = [axis_of("gradient", d, t.dim()) for d in dims]
    given = [1 if spacing is None else spacing] * len(dims)
    if isinstance(spacing, (tuple, list)):
        given = list(spacing)
    if len(given) != len(dims):
        raise ArgumentError(f"gradient: spacing has {len(given)} entries, expected {len(dims)}")
    return tuple([_slopes(t, d, apart, edge_order) for d, apart in zip(dims, given, strict=True)])


def _slopes(t: Tensor, d: int, apart: Any, order: int) -> Tensor:
    n = t.shape[d]
    if n <= order:
        raise ShapeError(f"gradient: input has shape {t.shape}, expected at least {order + 1} along dim {d}")
    kind = t.dtype.type if t.is_floating_point() else np.float64
    if isinstance(apart, (int, float)):
        steps = np.full(n - 1, apart, kind)
    else:
        steps = np.diff(np.asarray(as_tensor(apart).detach()).astype(kind))
    if len(steps) != n - 1:
        raise ShapeError(f"gradient: spacing has {len(steps) + 1} places, expected {n} along dim {d}")
    # Row i says what the slope at i takes from elements i - 1, i and i + 1; the ends from the first or last.
    weights = np.zeros((n, n), kind)
    at, left, right = np.arange(1, n - 1), steps[:-1], steps[1:]
    weights[at, at - 1] = -right / (left * (left + right))
    weights[at, at] = (right - left) / (left * right)
    weights[at, at + 1] = left / (right * (left + right))
    for end, sign in ((0, 1), (n - 1, -1)):
        h = steps[0 if end == 0 else -1]
        if order == 1:
            weights[end, [end, end + sign]] = -sign / h, sign / h
            continue
        k = steps[1 if end == 0 else -2]
        parts = -(2 * h + k) / (h * (h + k)), (h + k) / (h * k), -h / (k * (h + k))
        weights[end, [end, end + sign, end + 2 * sign]] = [sign * part for part in parts]
    values = t if t.is_floating_point() else t.to(kind)
    out = ops.movedim(ops.matmul(ops.movedim(values, d, -1), weights.T), -1, d)
    return out if t.is_floating_point() else out.to(np.float32)


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Flat indices as one tensor of indices for each dimension of a shape."""
    flat = as_tensor(indices)
    if flat.dtype.kind not in "iu":
        raise DTypeError(f"unravel_index: indices hold {flat.dtype}, expected integers")
    given = (shape,) if isinstance(shape, int) else shape
    sizes = tuple([integer("unravel_index", "shape", n) for n in given])
    try:
        found = np.unravel_index(flat.numpy() % max(int(np.prod(sizes)), 1), sizes)
    except ValueError as error:
        raise ArgumentError(f"unravel_index: {error}") from None
    return tuple([Tensor(np.asarray(part, np.int64)) for part in found])


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Any = None,
) -> Any:
    """Variance and mean, with the arguments of :meth:`einkorn.Tensor.var`."""
    return _spread("var_mean", Tensor.var, input, dim, unbiased, keepdim, correction, out)


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Any = None,
    out: Any = None,
) -> Any:
    """Standard deviation and mean, with the arguments of :meth:`einkorn.Tensor.var`."""
    return _spread("std_mean", Tensor.std, input, dim, unbiased, keepdim, correction, out)


def _spread(
    op: str, spread: Any, input: Any, dim: Any, unbiased: Any, keepdim: Any, correction: Any, out: Any
) -> Any:
    t = as_tensor(input)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    pair = spread(t, dim, unbiased, keepdim, correction=correction), t.mean(dim, keepdim)
    return pair if out is None else _written(op, out, pair)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    try:
        return np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes])
    except ValueError:
        raise ShapeError(
            f"broadcast_shapes: {', '.join(map(str, shapes))} do not broadcast together"
        ) from None


# --- types --------------------------------------------------------------------------------------


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """The smallest type that both convert to, by torch's rules: a float beside integers stays what it is."""
    return _promotion.promote_types(_bfloat16.dtype_of(type1), _bfloat16.dtype_of(type2))


def result_type(tensor1: Any, tensor2: Any) -> np.dtype[Any]:
    """The type of what comes out of arithmetic with two tensors or numbers.

    Tensors without dimensions, and plain numbers still more so, count only where the others are of a lower
    category: booleans, integers, floats.
    """
    return _promotion.common_type(tensor1, tensor2)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether torch converts one type to the other in an operation: no float to integers."""
    a, b = _bfloat16.dtype_of(from_), _bfloat16.dtype_of(to)
    return _promotion.category(a) <= _promotion.category(b)


def typename(obj: Any) -> str:
    """The name of a tensor's or an object's type."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) or callable(obj) else type(obj)
    home = getattr(kind, "__module__", "")
    return f"{home}.{kind.__qualname__}" if home not in ("", "builtins") else kind.__qualname__


# --- settings -----------------------------------------------------------------------------------


def compile(model: Any = None, **options: Any) -> Any:
    """The model, or the function, itself: einkorn's operations are compiled already.

    A program that calls ``torch.compile`` runs unchanged; its options have no effect. Without a model, a
    decorator.
    """
    if model is None:
        identity: Callable[[Any], Any] = lambda model: model  # noqa: E731
        return identity
    return model


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are written by ``repr`` and ``print``.

    Parameters
    ----------
    precision : int, optional
        Digits after the point.
    threshold : int, optional
        Elements up to which all of them are written; 20 at first.
    edgeitems : int, optional
        Elements at each end of a dimension where not all are written.
    linewidth : int, optional
        Characters of a line.
    profile : {"default", "short", "full"}, optional
        What holds at first; with 2 digits; all elements.
    sci_mode : bool, optional
        Whether numbers are written with an exponent.
    """
    profiles: dict[str, dict[str, Any]] = {
        "default": {"threshold": 20},
        "short": {"precision": 2, "threshold": 20, "edgeitems": 2},
        "full": {"threshold": 1 << 62},
    }
    if profile is not None:
        if profile not in profiles:
            raise ArgumentError(
                f"set_printoptions: profile is {profile!r}, expected 'default', 'short' or 'full'"
            )
        shown.clear()
        shown.update(profiles[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems}
    given["max_line_width"] = linewidth
    for name, value in given.items():
        if value is not None:
            shown[name] = integer("set_printoptions", name, value, 0)
    if sci_mode is not None:
        digits = shown.get("precision", 4)
        shown["formatter"] = {"float_kind": ("{:.%de}" if sci_mode else "{:.%df}").__mod__(digits).format}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Without effect: the same numbers come out of every run, for any number of threads."""
    if not isinstance(mode, bool):
        raise ArgumentError(f"use_deterministic_algorithms: mode is {mode!r}, expected True or False")


def are_deterministic_algorithms_enabled() -> bool:
    """True: there are no others."""
    return True


def is_inference_mode_enabled() -> bool:
    """Whether nothing is recorded because of ``einkorn.inference_mode`` or ``einkorn.no_grad``."""
    from einkorn._grad_mode import mode

    return not mode.enabled
