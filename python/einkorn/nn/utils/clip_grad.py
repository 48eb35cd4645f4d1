"""Gradients brought down to a length or into an interval, with torch's names, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, engines
from einkorn._device import device_of, is_on_gpu, is_whole
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, NonFiniteError
from einkorn.ops._road import contiguous, unwrap

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors, as if they were one vector.

    Parameters
    ----------
    tensors : Tensor, array, or iterable of them
    norm_type : float, default 2.0
        The power of the norm; infinity for the largest absolute value.
    error_if_nonfinite : bool, default False
        Refuse a norm that is NaN or infinite.
    foreach : bool, optional
        Taken as torch takes it; means nothing.

    Returns
    -------
    Tensor
        Of no dimension, in the widest type of the tensors; 0 without any.

    Raises
    ------
    NonFiniteError
        The norm is not finite, and ``error_if_nonfinite``.
    """
    return _total("get_total_norm", _listed("get_total_norm", tensors), norm_type, error_if_nonfinite)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of parameters, as one vector, down to a norm, in place (Pascanu et al. 2013).

    Each is multiplied by min(1, max_norm / (norm + 1e-6)).

    Parameters
    ----------
    parameters : Parameter or iterable of them
        Those without a gradient are left out.
    max_norm : float
        The largest norm.
    norm_type, error_if_nonfinite, foreach
        As in :func:`get_total_norm`. Nothing is scaled when the norm is refused.

    Returns
    -------
    Tensor
        The norm before, of no dimension.

    Raises
    ------
    NonFiniteError
        The norm is not finite, and ``error_if_nonfinite``.
    """
    op = "clip_grad_norm_"
    limit = _number(op, "max_norm", max_norm)
    params = _listed(op, parameters)
    total = _total(op, [p.grad for p in params if p.grad is not None], norm_type, error_if_nonfinite)
    _scale(params, limit, total)
    return total


def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """The scaling of :func:`clip_grad_norm_`, for a norm that is known.

    Parameters
    ----------
    parameters : Parameter or iterable of them
    max_norm : float
    total_norm : Tensor or float
        What :func:`get_total_norm` gave.
    foreach : bool, optional
        Means nothing.
    """
    op = "clip_grads_with_norm_"
    _scale(_listed(op, parameters), _number(op, "max_norm", max_norm), total_norm)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of the gradients into [-clip_value, clip_value], in place.

    Parameters
    ----------
    parameters : Parameter or iterable of them
    clip_value : float
    foreach : bool, optional
        Taken as torch takes it; means nothing.
    """
    op = "clip_grad_value_"
    limit = _number(op, "clip_value", clip_value)
    for arrays in _by_type(_gradients(_listed(op, parameters))):
        _changed(arrays, "clip_value_step", limit)


def _number(op: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number") from None


def _listed(op: str, tensors: Any) -> list[Any]:
    if isinstance(tensors, Tensor) or hasattr(tensors, "dtype"):
        return [tensors]
    if not isinstance(tensors, Iterable):
        raise ArgumentError(f"{op}: got {type(tensors).__name__}, expected a Tensor or an iterable of them")
    return list(tensors)


def _by_type(arrays: list[Any]) -> list[list[Any]]:
    parts: dict[Any, list[Any]] = {}
    for array in arrays:
        parts.setdefault((type(array), array.dtype), []).append(array)
    return list(parts.values())


def _gradients(params: list[Any]) -> list[Any]:
    """The arrays of the gradients, each once, to be written in place."""
    arrays = {}
    for param in params:
        grad = param.grad
        if grad is None:
            continue
        if not is_whole(grad._data):
            grad._data = contiguous(grad._data)
        arrays[id(grad._data)] = grad._data
    _versions.wrote(*arrays.values())
    return list(arrays.values())


def _total(op: str, tensors: list[Any], norm_type: float, error_if_nonfinite: bool) -> Tensor:
    power = _number(op, "norm_type", norm_type)
    arrays = [contiguous(unwrap(tensor, op, "tensors")) for tensor in tensors]
    double = np.dtype(np.float64)
    if not arrays:
        return Tensor(np.zeros((), np.float32))
    engine = engines.of(arrays[0])
    norms, total = engine.empty((len(arrays),), double), engine.empty((1,), double)
    begin = 0
    for part in _by_type(arrays):
        engine.tensor_norms(norms[begin : begin + len(part)], part, power)
        begin += len(part)
    engine.tensor_norms(total, [norms], power)
    if error_if_nonfinite and not np.isfinite(float(total[0])):
        raise NonFiniteError(
            f"{op}: the norm of order {power:g} is {float(total[0])}, expected a finite one; give "
            "error_if_nonfinite=False to scale by it all the same"
        )
    widest = max((array.dtype for array in arrays), key=lambda dtype: dtype.itemsize)
    return Tensor(total.astype(widest).reshape(()))


def _scale(params: list[Any], max_norm: float, total_norm: Any) -> None:
    known = getattr(total_norm, "_data", total_norm)
    for arrays in _by_type(_gradients(params)):
        total = engines.of(arrays[0]).empty((1,), np.dtype(np.float64))
        if is_on_gpu(known) and device_of(known) == device_of(total):
            total[...] = known.reshape(1)  # there: nobody waits for the number
        else:
            total[0] = float(total_norm)
        _changed(arrays, "clip_norm_step", total, max_norm)


def _changed(arrays: list[Any], kernel: str, *options: Any) -> None:
    """Run a kernel that changes the arrays in place; bfloat16 ones as float32, rounded again."""
    if not _bfloat16.is_bfloat16(arrays[0].dtype):
        getattr(engines.of(arrays[0]), kernel)(arrays, *options)
        return
    wide = [_bfloat16.widen(array) for array in arrays]
    getattr(engines.of(wide[0]), kernel)(wide, *options)
    for array, new in zip(arrays, wide, strict=True):
        _bfloat16.copy(array, new)
