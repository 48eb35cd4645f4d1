"""Normalisation by the neighbours among channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einkorn import engines, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.ops._road import by_formula, contiguous, needs, result, unwrap
from einkorn.ops._row_norm import channels, number

__all__ = ["local_response_norm"]


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """``x / d**beta`` with ``d = k + alpha / size * sum of squares of size neighbouring channels``.

    Krizhevsky et al. 2012, section 3.3.

    Parameters
    ----------
    input : array or Tensor [N, C, L, ...]
    size : int
        Channels in a window, which reaches from ``c - size // 2`` to ``c + (size - 1) // 2``.
    alpha, beta, k : float, default 1e-4, 0.75, 1.0

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If the input has fewer than 3 dimensions.
    ArgumentError
        If size is no positive int.
    """
    op = "local_response_norm"
    a = contiguous(unwrap(input, op, "input"))
    blocks = channels(op, a, 3)
    if not isinstance(size, int) or not 1 <= size < 1 << 31:
        raise ArgumentError(f"{op}: size is {size!r}, expected an int of at least 1")
    al, be, base = number(op, "alpha", alpha), number(op, "beta", beta), number(op, "k", k)
    engine = engines.of(a)
    x, shape = a.reshape(blocks), a.shape
    out = engine.empty(blocks, a.dtype)
    scale = engine.empty(blocks, a.dtype) if needs(input) else None
    engine.local_response_norm_forward(out, scale, x, size, al, be, base)

    def formula(x: Any) -> Any:
        flat = ops.reshape(x, blocks)
        wide = ops.pad(ops.square(flat), (0, 0, size // 2, (size - 1) // 2))
        total = wide[:, : blocks[1]]
        for shift in range(1, size):
            total = total + wide[:, shift : shift + blocks[1]]
        return ops.reshape(flat / ops.power(total * (al / size) + base, be), shape)

    def backward(g: Any, a: Any, _: Any, scale: Any) -> Sequence[Any]:
        if isinstance(g, Tensor):
            return by_formula(formula, g, a)
        gx = engine.empty(blocks, a.dtype)
        g, x = contiguous(g).reshape(blocks), a.reshape(blocks)
        engine.local_response_norm_backward(gx, g, x, scale, size, al, be)
        return (gx.reshape(shape),)

    return result(out.reshape(shape), (input,), backward, (a, None, scale))
