"""Draws whose chances are given: from the stream of :func:`einkorn.random.manual_seed`."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._device import as_array, beside, near
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._lines import wrapped
from einkorn.ops._options import axis_of, flag, integer, number
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.elementwise import add, divide, subtract
from einkorn.ops.random import uniform
from einkorn.ops.softmax import softmax

__all__ = ["bernoulli", "gumbel_softmax", "multinomial"]


@either_spelling
@rounded_once
def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A class for each row, drawn by its logits, through which gradients pass (Jang et al. 2017).

    ``softmax((logits + noise) / tau)``, the noise of Gumbel's distribution: the largest entry is class i with
    the probability ``softmax(logits)[i]``.

    Parameters
    ----------
    logits : array or Tensor
    tau : number, default 1
        Temperature: the smaller, the nearer to one class.
    hard : bool, default False
        One-hot rows, with the gradient of the soft ones (straight-through).
    eps : float
        As in torch, without effect.
    dim : int, default -1
        The axis of the classes.
    """
    op = "gumbel_softmax"
    temperature = number(op, "tau", tau)
    if not temperature > 0:
        raise ArgumentError(f"{op}: tau is {tau!r}, expected a positive number")
    a = unwrap(logits, op, "logits")
    d = axis_of(op, dim, a.ndim, "dim")
    drawn = np.maximum(uniform(a.shape, dtype=a.dtype), np.finfo(a.dtype).tiny)
    with np.errstate(divide="ignore"):
        noise = beside(a, np.asarray(-np.log(-np.log(drawn)), a.dtype))
    soft = softmax(divide(add(logits, noise), temperature), d)
    if not flag(op, "hard", hard):
        return soft
    plain = soft._data if isinstance(soft, Tensor) else as_array(soft)
    one = np.zeros_like(plain)
    if a.ndim and a.size:
        np.put_along_axis(one, np.expand_dims(plain.argmax(d), d), 1, d)
    else:
        one[...] = 1
    if isinstance(soft, Tensor) and soft.requires_grad:
        return add(subtract(soft, plain), one)
    return wrapped(one, logits)


@rounded_once
def bernoulli(input: Any, p: float | None = None) -> Any:
    """1 with the probability ``input`` (or ``p`` everywhere), else 0, in the shape of input. No gradient.

    Raises
    ------
    ArgumentError
        For probabilities outside [0, 1], NaN among them.
    """
    given = unwrap(input, "bernoulli", "input")
    a = near(given)  # the numbers are drawn on the CPU
    chance = a if p is None else np.full(a.shape, number("bernoulli", "p", p), a.dtype)
    wrong = chance[~((chance >= 0) & (chance <= 1))]
    if wrong.size:
        name = "input" if p is None else "p"
        raise ArgumentError(f"bernoulli: {name} has {wrong.flat[0]}, expected probabilities from 0 to 1")
    return wrapped(beside(given, (uniform(a.shape, dtype=a.dtype) < chance).astype(a.dtype)), input)


@rounded_once
def multinomial(input: Any, num_samples: int, replacement: bool = False) -> Any:
    """Indices drawn with chances in proportion to ``input``.

    Parameters
    ----------
    input : array or Tensor [classes] or [rows, classes]
        Weights, which need not add up to 1.
    num_samples : int
    replacement : bool, default False
        Whether an index may come twice in a row.

    Returns
    -------
    int64 array or Tensor [num_samples] or [rows, num_samples]

    Raises
    ------
    ArgumentError
        For negative weights, NaN or infinity, a row of zeros, or more draws without replacement than a row
        has positive weights.
    """
    op = "multinomial"
    given = unwrap(input, op, "input")
    a = near(given)  # the numbers are drawn on the CPU
    if a.ndim not in (1, 2) or a.shape[-1] == 0:
        raise ShapeError(f"{op}: input has shape {a.shape}, expected (classes,) or (rows, classes)")
    count = integer(op, "num_samples", num_samples, 1)
    again = flag(op, "replacement", replacement)
    rows = np.atleast_2d(a).astype(np.float64)
    if not (np.isfinite(rows) & (rows >= 0)).all():
        bad = rows[~(np.isfinite(rows) & (rows >= 0))][0]
        raise ArgumentError(f"{op}: input has {bad}, expected weights from 0, finite")
    positive = np.count_nonzero(rows, 1)
    least = 1 if again else count
    if rows.shape[0] and positive.min() < least:
        row = int(positive.argmin())
        raise ArgumentError(
            f"{op}: input has {positive[row]} positive weights in row {row}, expected at least {least}"
        )
    if again:
        edges = np.cumsum(rows, 1)
        drawn = uniform((rows.shape[0], count), dtype=np.float64) * edges[:, -1:]
        found = [np.searchsorted(e, u, "right") for e, u in zip(edges, drawn, strict=True)]
        out = np.array(found, np.int64).reshape(rows.shape[0], count)
        # A draw that rounds up to the whole sum belongs to the last class that has weight.
        last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, 1) if rows.size else np.zeros(0, np.int64)
        out = np.minimum(out, last[:, None])
    else:  # the first of exponential clocks that run at the speed of their weights
        clock = -np.log1p(-uniform(rows.shape, dtype=np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(rows > 0, clock / rows, np.inf)
        out = np.argsort(times, 1, kind="stable")[:, :count].astype(np.int64)
    return wrapped(beside(given, out if a.ndim == 2 else out[0]), input)
