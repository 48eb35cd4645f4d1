"""The largest singular value of a weight, by power iteration (Miyato et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, ops
from einkorn._autocast import autocast
from einkorn._tensor import Tensor
from einkorn.nn import init
from einkorn.ops._road import widened

__all__ = ["as_matrix", "divided", "start", "step"]


def as_matrix(weight: Any, dim: int) -> Any:
    """The weight as [size of ``dim``, all else]."""
    axes = (dim, *(d for d in range(len(weight.shape)) if d != dim))
    turned = ops.permute(weight, axes) if dim else weight
    return ops.reshape(turned, (weight.shape[dim], -1))


def _unit(x: Any, eps: float) -> Any:
    """x divided by its length, or by eps where that is larger."""
    return x / max(float(np.sqrt((x * x).sum())), eps)


def start(size: int, eps: float, like: Any) -> Tensor:
    """A random unit vector, of the type of ``like``."""
    x = Tensor(np.empty(size, like.dtype))
    init.normal_(x)
    x._data[...] = _bfloat16.astype(_unit(widened(x._data), eps), x.dtype)
    return x


def step(matrix: Any, u: Any, v: Any, times: int, eps: float, v_first: bool) -> None:
    """Improve the singular vectors u and v of an array in place."""
    matrix, left, right = (widened(x) for x in (matrix, u, v))
    with autocast(enabled=False):
        for _ in range(times):
            for of_left in (not v_first, v_first):
                if of_left:
                    left = _unit(ops.matmul(matrix, right), eps)
                else:
                    right = _unit(ops.matmul(left, matrix), eps)
    u[...], v[...] = _bfloat16.astype(left, u.dtype), _bfloat16.astype(right, v.dtype)
    _versions.wrote(u, v)


def divided(weight: Any, matrix: Any, u: Any, v: Any) -> Any:
    """``weight / (u' matrix v)``; u and v are constants."""
    k_u, k_v = u.copy(), v.copy()  # later iterations overwrite them before the backward pass reads them
    sigma = ops.sum(ops.multiply(ops.matmul(matrix, k_v), k_u))
    return ops.divide(weight, sigma)
