"""Parameters as one vector, and back, with torch's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters end to end, as one vector, with a gradient.

    Parameters
    ----------
    parameters : iterable of Tensor

    Returns
    -------
    Tensor, shape (total size,)
    """
    parts = [ops.reshape(param, (-1,)) for param in parameters]
    if not parts:
        raise ArgumentError("parameters_to_vector: parameters is empty, expected at least one")
    return ops.concatenate(parts)


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Make parts of a vector the parameters' values; parameters and vector share memory then.

    Parameters
    ----------
    vec : Tensor, shape (total size,)
    parameters : iterable of Tensor

    Raises
    ------
    ArgumentError
        ``vec`` is no Tensor.
    ShapeError
        ``vec`` is not as long as all parameters together.
    """
    if not isinstance(vec, Tensor):
        raise ArgumentError(f"vector_to_parameters: vec is {type(vec).__name__}, expected a Tensor")
    params = list(parameters)
    size = sum(param._data.size for param in params)
    if vec.shape != (size,):
        raise ShapeError(f"vector_to_parameters: vec has shape {tuple(vec.shape)}, expected ({size},)")
    begin = 0
    for param in params:
        end = begin + param._data.size
        param.data = vec._data[begin:end].reshape(param._data.shape)
        begin = end
