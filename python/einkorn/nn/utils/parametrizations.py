"""``torch.nn.utils.parametrizations``: weight norm and spectral norm, and the same ``state_dict``."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._near import finding
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.nn.module import Module
from einkorn.nn.utils import _spectral
from einkorn.nn.utils.parametrize import register_parametrization
from einkorn.ops._road import unwrap

__all__ = ["spectral_norm", "weight_norm"]


def lengths(weight: Any, dim: int | None) -> Any:
    """The lengths of a weight's slices along ``dim``, as :func:`einkorn.ops.weight_norm` takes them."""
    a = unwrap(weight, "weight_norm", "weight")
    if dim is None:
        return np.sqrt((a * a).sum())
    if not -a.ndim <= dim < a.ndim:
        raise ArgumentError(f"weight_norm: dim is {dim}, expected an axis of the weight, of shape {a.shape}")
    axes = tuple(d for d in range(a.ndim) if d != dim % a.ndim)
    return np.sqrt((a * a).sum(axis=axes, keepdims=True))


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, length: Any, direction: Any) -> Any:
        return ops.weight_norm(direction, length, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        values = unwrap(weight, "weight_norm", "weight")
        return np.asarray(lengths(values, self.dim), values.dtype), values.copy()


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a weight's direction and its length apart (Salimans and Kingma 2016).

    Parameters
    ----------
    module : Module
    name : str, default "weight"
    dim : int or None, default 0
        The axis along which each slice has a length of its own; None or -1: the weight has one as a whole.

    Returns
    -------
    Module
        The same, with ``parametrizations.<name>.original0`` (length) and ``original1`` (direction) in the
        place of the weight.

    Raises
    ------
    ArgumentError
        If there is no such parameter or axis.
    """
    return register_parametrization(module, name, _WeightNorm(None if dim == -1 else dim))


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Any, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        ndim = len(weight.shape)
        if n_power_iterations < 1:
            raise ArgumentError(
                f"spectral_norm: n_power_iterations is {n_power_iterations}, expected at least 1"
            )
        if not -ndim <= dim < ndim:
            raise ArgumentError(f"spectral_norm: dim is {dim}, expected an axis of a weight of {ndim}")
        self.dim = dim % ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if ndim > 1:
            matrix = _spectral.as_matrix(weight, self.dim)
            self.register_buffer("_u", _spectral.start(matrix.shape[0], eps, weight))
            self.register_buffer("_v", _spectral.start(matrix.shape[1], eps, weight))
            self._improve(matrix, 15)

    def _improve(self, matrix: Any, times: int) -> None:
        array = unwrap(matrix, "spectral_norm", "weight")
        _spectral.step(array, self._u._data, self._v._data, times, self.eps, False)

    def forward(self, weight: Any) -> Any:
        if len(weight.shape) == 1:
            norm = ops.sqrt(ops.sum(ops.square(weight)))
            return ops.divide(weight, ops.maximum(norm, self.eps))
        matrix = _spectral.as_matrix(weight, self.dim)
        if self.training:
            self._improve(matrix, self.n_power_iterations)
        return _spectral.divided(weight, matrix, self._u._data, self._v._data)


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, which a power iteration follows (Miyato et al. 2018).

    Parameters
    ----------
    module : Module
    name : str, default "weight"
    n_power_iterations : int, default 1
        Iterations each time the weight is read while training.
    eps : float, default 1e-12
        The least length that vectors are divided by.
    dim : int, optional
        The axis that makes the rows of the matrix; default 0, for transposed convolutions 1.

    Returns
    -------
    Module
        The same, with ``parametrizations.<name>.original`` and the vectors ``parametrizations.<name>.0._u``
        and ``._v`` in the place of the weight.

    Raises
    ------
    ArgumentError
        If there is no such parameter or axis, or for fewer than 1 iteration.
    """
    weight = module.__dict__.get(name)
    if weight is None:
        raise ArgumentError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


__getattr__ = finding(
    __name__,
    lambda: __all__,
    {
        "orthogonal": "einkorn.nn.init.orthogonal_ begins so, and "
        "einkorn.nn.regularizers.OrthogonalRegularizer keeps near it"
    },
)
