"""Gradients of boosting's losses, and leaf values for the losses that have no curvature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import is_on_gpu, is_writeable
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

__all__ = ["BOOST_LOSSES", "boost_loss", "leaf_quantile"]

#: The losses of :func:`boost_loss`, in the order of the kernel's numbers.
BOOST_LOSSES = ("squared", "absolute", "huber", "quantile", "logistic", "multinomial", "poisson")


def _array(op: str, a: Any, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    is_array = isinstance(a, np.ndarray) or is_on_gpu(a)
    if not is_array or a.dtype != dtype:
        kind = a.dtype if is_array else type(a).__name__
        raise DTypeError(f"{op}: {name} is {kind}, expected an array of {np.dtype(dtype)}")
    if a.shape != shape:
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {shape}")
    if not (a.flags.c_contiguous and getattr(a.flags, "aligned", True)):  # CuPy's always are
        raise ArgumentError(f"{op}: {name} must be C-contiguous and aligned")
    return a


def _written(op: str, a: Any, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    if not is_writeable(_array(op, a, name, dtype, shape)):
        raise ArgumentError(f"{op}: {name} is read-only")
    return a


def boost_loss(
    raw: np.ndarray,
    target: np.ndarray,
    loss: str,
    *,
    weight: np.ndarray | None = None,
    parameter: float = 0.0,
    gradient: np.ndarray | None = None,
    hessian: np.ndarray | None = None,
    total: float | None = None,
) -> float | None:
    """Gradients and hessians of a loss at every row, and its mean, in one pass.

    Parameters
    ----------
    raw : float64 array [outputs, rows]
        Scores; one output for all losses but ``"multinomial"``.
    target : array [rows]
        float64; for ``"multinomial"`` int32 class numbers from 0 to outputs - 1. Those of ``"logistic"`` are
        in [0, 1], of ``"poisson"`` at 0 or above.
    loss : str
        One of ``BOOST_LOSSES``; the formulas are in csrc/kernels/boost_loss.h.
    weight : float32 array [rows], optional
        Multiplies each row's gradient, hessian and loss.
    parameter : float, default 0
        delta of ``"huber"``, positive; alpha of ``"quantile"``, between 0 and 1.
    gradient, hessian : float32 arrays [outputs, rows], optional
        Where to put them; None: not wanted. The hessian of the first four losses is 1 (or the weight).
    total : float, optional
        What the sum of the losses is divided by; None: the loss is not wanted, which saves a logarithm a row.

    Returns
    -------
    float or None
        The sum of weight times loss, over ``total``. The same bits for any number of threads.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For arguments that do not fit.
    IndexRangeError
        For a class number out of range.

    References
    ----------
    .. [1] Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics, 2001.
    """
    op = "boost_loss"
    if loss not in BOOST_LOSSES:
        raise ArgumentError(f"{op}: loss is {loss!r}, expected one of {', '.join(BOOST_LOSSES)}")
    if not (isinstance(raw, np.ndarray) or is_on_gpu(raw)) or raw.ndim != 2:
        raise ShapeError(f"{op}: raw must be an array [outputs, rows]")
    outputs, rows = raw.shape
    is_multinomial = loss == "multinomial"
    _array(op, raw, "raw", np.float64, raw.shape)
    if outputs != 1 and not is_multinomial:
        raise ShapeError(f"{op}: raw has {outputs} outputs, expected 1 for {loss}")
    _array(op, target, "target", np.int32 if is_multinomial else np.float64, (rows,))
    if is_multinomial and rows:
        bad = engines.of(raw).first_out_of_range(target.astype(np.int64), 0, outputs, 0)
        if bad >= 0:
            raise IndexRangeError(
                f"{op}: target has {int(target[bad])} in row {bad}, expected 0 to {outputs - 1}"
            )
    if weight is not None:
        _array(op, weight, "weight", np.float32, (rows,))
    low, high = {"huber": (0.0, math.inf), "quantile": (0.0, 1.0)}.get(loss, (-math.inf, math.inf))
    if not low < float(parameter) < high:
        raise ArgumentError(f"{op}: parameter is {parameter!r}, expected a number between {low} and {high}")
    if hessian is not None and gradient is None:
        raise ArgumentError(f"{op}: hessian is given without gradient")
    for name, a in (("gradient", gradient), ("hessian", hessian)):
        if a is not None:
            _written(op, a, name, np.float32, raw.shape)
    return launch(raw, target, loss, weight, parameter, gradient, hessian, total)


def launch(
    raw: np.ndarray,
    target: np.ndarray,
    loss: str,
    weight: np.ndarray | None,
    parameter: float,
    gradient: np.ndarray | None,
    hessian: np.ndarray | None,
    total: float | None,
) -> float | None:
    """:func:`boost_loss` with arguments that were checked before: what a round of boosting calls."""
    k = engines.of(raw)
    mean = None if total is None else k.empty((1,), np.float64)
    scale = 1.0 if total is None else 1.0 / total
    kind = BOOST_LOSSES.index(loss)
    k.boost_loss(gradient, hessian, mean, raw, target, weight, kind, float(parameter), scale)
    return None if mean is None else float(mean[0])


def leaf_quantile(
    target: np.ndarray,
    alpha: float = 0.5,
    *,
    raw: np.ndarray | None = None,
    leaf: np.ndarray | None = None,
    leaves: int = 1,
    weight: np.ndarray | None = None,
    delta: float = 0.0,
    absolute: bool = False,
) -> np.ndarray:
    """A quantile of the residuals ``target - raw`` in each leaf.

    The least residual that a share ``alpha`` of the leaf's weight does not exceed; where the share is met
    exactly, the mean of it and the next: for ``alpha`` 0.5 without weights, the median. A whole weight
    counts as that many equal rows.

    Parameters
    ----------
    target : float64 array [rows]
    alpha : float, default 0.5
        From 0 to 1.
    raw : float64 array [rows], optional
        None: zeros.
    leaf : int32 array [rows], optional
        The leaf of each row; rows with other numbers than 0 to ``leaves - 1`` take no part. None: all in one.
    leaves : int, default 1
    weight : float32 array [rows], optional
    delta : float, default 0
        If positive, add one Huber step from there: the mean of the distances, cut at ``delta`` [1]_.
    absolute : bool, default False
        Quantiles of the size of the residuals.

    Returns
    -------
    float64 array [leaves]
        0 for leaves without weight, NaN for those with a NaN.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For arguments that do not fit.

    References
    ----------
    .. [1] Friedman, "Greedy function approximation: a gradient boosting machine", 2001, algorithm 4.
    """
    op = "leaf_quantile"
    if not (isinstance(target, np.ndarray) or is_on_gpu(target)) or target.ndim != 1:
        raise ShapeError(f"{op}: target must be an array [rows]")
    shape = target.shape
    _array(op, target, "target", np.float64, shape)
    for name, a, dtype in (
        ("raw", raw, np.float64),
        ("leaf", leaf, np.int32),
        ("weight", weight, np.float32),
    ):
        if a is not None:
            _array(op, a, name, dtype, shape)
    if not 0 <= float(alpha) <= 1:
        raise ArgumentError(f"{op}: alpha is {alpha!r}, expected a number from 0 to 1")
    if not 0 <= float(delta) < math.inf:
        raise ArgumentError(f"{op}: delta is {delta!r}, expected a finite number of at least 0")
    if not isinstance(leaves, (int, np.integer)) or not 0 <= leaves < 1 << 31:
        raise ArgumentError(f"{op}: leaves is {leaves!r}, expected a whole number from 0 to 2^31 - 1")
    k = engines.of(target)
    out: np.ndarray = k.empty((int(leaves),), np.float64)
    k.leaf_quantile(out, target, raw, leaf, weight, float(alpha), float(delta), bool(absolute))
    return out
