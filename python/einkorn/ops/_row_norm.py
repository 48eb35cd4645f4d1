"""Norms of the rows of an array: what layer, RMS, group and instance norm have in common."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from einkorn import engines, ops
from einkorn._tensor import Tensor
from einkorn.engines import activation_code
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import (
    bits,
    by_formula,
    contiguous,
    kept_as,
    kept_result,
    needs,
    number_type,
    of_numbers,
    result,
    same_dtype,
    unwrap,
)

__all__ = ["RowNorm", "channels", "norm_of_nothing", "number", "operands"]


def operands(op: str, a: Any, shape: tuple[int, ...], **given: Any) -> list[Any]:
    """Weights and the like as contiguous arrays of one shape and of the type that ``a`` is computed with.

    None stays None.
    """
    like = of_numbers(a)
    arrays: list[Any] = []
    for name, x in given.items():
        if x is None:
            arrays.append(None)
            continue
        w = unwrap(x, op, name)
        same_dtype(op, input=like, **{name: w})
        if w.shape != shape:
            raise ShapeError(f"{op}: {name} has shape {w.shape}, expected {shape}")
        arrays.append(contiguous(w))
    return arrays


def number(op: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number") from None


def channels(op: str, a: Any, least: int = 2) -> tuple[int, int, int]:
    """Sizes of [N, C, L], all axes after the channels taken as one."""
    shape = a.shape
    if len(shape) < least:
        raise ShapeError(f"{op}: input has shape {shape}, expected at least {least} dimensions")
    return shape[0], shape[1], prod(shape[2:])


class RowNorm:
    """Rows of an array normalised; ``groups`` and ``run`` say which weight an element has."""

    __slots__ = ("activation", "centred", "code", "eps", "groups", "op", "run", "weight_shape")

    def __init__(
        self,
        op: str,
        groups: int,
        run: int,
        weight_shape: tuple[int, ...],
        eps: Any,
        activation: str | None,
        centred: bool = True,
    ) -> None:
        self.op, self.groups, self.run, self.weight_shape = op, groups, max(run, 1), weight_shape
        self.eps, self.centred = number(op, "eps", eps), centred
        self.activation, self.code = activation, activation_code(activation, op)

    def forward(
        self, rows: Any, w: Any, b: Any, total: Any = None, residual: Any = None
    ) -> tuple[Any, Any, Any]:
        """The result, mean (None where nothing is centred) and rstd; total = rows + residual, if given."""
        k = engines.of(rows)
        out = k.empty(rows.shape, rows.dtype)
        mean = k.empty(rows.shape[:1], "float64") if self.centred else None
        rstd = k.empty(rows.shape[:1], "float64")
        w, b = (x if x is None else x.reshape(-1) for x in (w, b))
        k.row_norm_forward(
            bits(out),
            total,
            mean,
            rstd,
            bits(rows),
            residual,
            w,
            b,
            self.groups,
            self.run,
            self.eps,
            self.code,
        )
        return out, mean, rstd

    def gradient(
        self, need: tuple[bool, bool, bool], flat: tuple[int, int], shape: tuple[int, ...]
    ) -> Callable[..., tuple[Any, Any, Any]]:
        """The gradients of input, weight and bias, from g, what :meth:`saved` names and what to add to gx."""
        need_x, need_w, need_b = need
        size = prod(self.weight_shape)
        groups, run, code, weight_shape = self.groups, self.run, self.code, self.weight_shape

        def backward(
            g: Any, x: Any, w: Any, b: Any, y: Any, mean: Any, rstd: Any, addend: Any = None
        ) -> tuple[Any, Any, Any]:
            if isinstance(g, Tensor):
                gx, gw, gb = by_formula(lambda x, w, b: self.formula(x, w, b, flat), g, x, w, b)
                return gx if addend is None or gx is None else gx + addend, gw, gb
            k = engines.of(x)
            rows = x.reshape(flat)
            gx = k.empty(flat, x.dtype) if need_x else None
            gw = k.empty((size,), number_type(x)) if need_w else None
            gb = k.empty((size,), number_type(x)) if need_b else None
            if addend is not None:
                addend = contiguous(addend).reshape(flat)
            if y is not None:
                y = y.reshape(flat)
            w = None if w is None else w.reshape(-1)
            g = contiguous(g).reshape(flat)
            k.row_norm_backward(
                bits(gx), gw, gb, bits(g), bits(y), bits(rows), mean, rstd, w, addend, groups, run, code
            )
            return (
                None if gx is None else gx.reshape(shape),
                None if gw is None else gw.reshape(weight_shape),
                None if gb is None else gb.reshape(weight_shape),
            )

        return backward

    def saved(self, x: Any, w: Any, b: Any, y: Any, mean: Any, rstd: Any) -> tuple[Any, ...]:
        """What the gradient reads: the operands, the result where an activation was fused, statistics."""
        return x, w, b, y if self.activation is not None else None, mean, rstd

    def formula(self, x: Any, w: Any, b: Any, flat: tuple[int, int]) -> Any:
        """What the kernel computes, with operations."""
        rows = ops.reshape(x, flat)
        if self.centred:
            rows = rows - ops.mean(rows, 1, True)
        rows = rows / ops.sqrt(ops.mean(ops.square(rows), 1, True) + self.eps)
        # Row r belongs to group r % groups, and an element of it to weight (its place // run) of that group.
        grouped = ops.reshape(rows, (-1, prod(self.weight_shape), self.run))
        if w is not None:
            grouped = grouped * ops.reshape(w, (-1, 1))
        if b is not None:
            grouped = grouped + ops.reshape(b, (-1, 1))
        out = ops.reshape(grouped, x.shape)
        return out if self.activation is None else getattr(ops, self.activation)(out)

    def __call__(self, input: Any, a: Any, rows: int, weight: Any, bias: Any) -> Any:
        """All of it for an input with the contiguous array ``a``, taken as that many rows."""
        w, b = operands(self.op, a, self.weight_shape, weight=weight, bias=bias)
        flat = (rows, a.size // rows if a.size else prod(self.weight_shape))
        out, mean, rstd = self.forward(a.reshape(flat), w, b)
        out = kept_as(input, out.reshape(a.shape))
        gradient = self.gradient((needs(input), needs(weight), needs(bias)), flat, a.shape)
        return kept_result(out, (input, weight, bias), gradient, self.saved(a, w, b, out, mean, rstd))


def norm_of_nothing(norm: RowNorm, input: Any, a: Any, weight: Any, bias: Any) -> Any:
    """The norm of an array without elements."""
    operands(norm.op, a, norm.weight_shape, weight=weight, bias=bias)
    shape, dtype, weight_shape, k = a.shape, a.dtype, norm.weight_shape, engines.of(a)

    def backward(g: Any) -> tuple[Any, Any, Any]:
        zeros = k.empty(weight_shape, dtype)
        k.fill(zeros, 0.0)
        return g, zeros, zeros[...]

    return result(k.empty(shape, dtype), (input, weight, bias), backward, ())
