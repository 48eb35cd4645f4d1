"""What all of linear algebra does with arguments and results."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import beside
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, GradientError, ShapeError
from einkorn.ops._road import needs, unwrap


def matrices(op: str, A: Any, square: bool = True, name: str = "A") -> Any:
    a = unwrap(A, op, name)
    if a.ndim < 2 or (square and a.shape[-1] != a.shape[-2]):
        what = "square matrices" if square else "matrices"
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {what}")
    return a


def computed(op: str, function: Any, *args: Any, **options: Any) -> Any:
    try:
        return function(*args, **options)
    except np.linalg.LinAlgError as error:
        raise ArgumentError(f"{op}: {str(error).lower()}") from None


def no_gradient(op: str, *given: Any) -> None:
    if any(needs(x) for x in given):
        raise GradientError(f"{op}: its gradient is not computed here; detach() what requires one")


def plain(out: Any, *given: Any) -> Any:
    """An array, or a Tensor where one came, without a gradient."""
    out = np.asarray(out) if np.isscalar(out) else out
    return Tensor._wrap(out, False, None) if any(isinstance(x, Tensor) for x in given) else out


def turned(x: Any) -> Any:
    return ops.transpose(x, -2, -1)


def symmetric(A: Any) -> Any:
    return ops.add(ops.tril(A), turned(ops.tril(A, -1)))


def least(op: str, a: Any, s: Any, atol: Any, rtol: Any) -> Any:
    """The singular value up to which others count as 0, for each matrix."""
    known = [unwrap(x, op, "tol") if isinstance(x, Tensor) else x for x in (atol, rtol)]
    relative = known[1]
    if relative is None:
        alone = known[0] is None
        relative = max(a.shape[-2:]) * np.finfo(a.dtype).eps
        if not alone:
            relative = np.where(as_numpy(known[0]) > 0, 0.0, relative)
    largest = s.max(-1) if s.shape[-1] else s.sum(-1)
    if known[0] is not None:
        return np.maximum(beside(s, as_numpy(known[0])), beside(s, as_numpy(relative)) * largest)[..., None]
    return np.maximum(beside(s, as_numpy(relative)) * largest, 0.0)[..., None]
