"""``torch.nn.utils.weight_norm`` and ``spectral_norm``: the older pair, with flat names in ``state_dict``."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.autograd import no_grad
from einkorn.errors import ArgumentError
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter
from einkorn.nn.utils import _spectral
from einkorn.nn.utils.parametrizations import lengths
from einkorn.nn.utils.parametrize import computed_attribute, restore_class
from einkorn.ops._road import unwrap

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


def _take(module: Module, name: str, op: str) -> Parameter:
    weight = module.__dict__.get(name)
    if not isinstance(weight, Parameter):
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {name!r}")
    return weight


def _refuse(op: str, name: str, module: Module, value: Any) -> None:
    raise ArgumentError(f"{op}: {name} is computed; remove_{op} makes it a parameter again")


def _put_back(module: Module, name: str, marker: str, op: str, parts: tuple[str, ...]) -> Module:
    if marker not in module.__dict__:
        raise ArgumentError(f"{op}: {name} of {type(module).__name__} is not computed")
    with no_grad():
        value = getattr(module, name)
    trained = getattr(module, marker).requires_grad
    restore_class(module, name)
    for part in parts:
        delattr(module, part)
    setattr(module, name, Parameter(value._data.copy(), trained))
    return module


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a weight's direction ``<name>_v`` and its length ``<name>_g`` apart; returns the module.

    :func:`einkorn.nn.utils.parametrizations.weight_norm` with torch's older names; arguments and errors are
    the same.
    """
    weight = _take(module, name, "weight_norm")
    axis = None if dim == -1 else dim
    length = np.asarray(lengths(weight, axis), weight.dtype)
    direction = unwrap(weight, "weight_norm", name).copy()
    del module.__dict__[name]
    setattr(module, name + "_g", Parameter(length, weight.requires_grad))
    setattr(module, name + "_v", Parameter(direction, weight.requires_grad))
    read, write = partial(_directed, name, axis), partial(_refuse, "weight_norm", name)
    computed_attribute(module, name, "", read, write)
    return module


def _directed(name: str, axis: int | None, module: Module) -> Any:
    return ops.weight_norm(getattr(module, name + "_v"), getattr(module, name + "_g"), axis)


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value; returns the module."""
    return _put_back(module, name, name + "_g", "remove_weight_norm", (name + "_g", name + "_v"))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value; returns the module.

    :func:`einkorn.nn.utils.parametrizations.spectral_norm` with torch's older names: ``<name>_orig``,
    ``<name>_u`` and ``<name>_v``, which start at random. Arguments and errors are the same.
    """
    op = "spectral_norm"
    weight = _take(module, name, op)
    if n_power_iterations < 1:
        raise ArgumentError(f"{op}: n_power_iterations is {n_power_iterations}, expected at least 1")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    if not -weight.ndim <= dim < weight.ndim:
        raise ArgumentError(f"{op}: dim is {dim}, expected an axis of a weight of {weight.ndim}")
    rows = dim % weight.ndim
    matrix = _spectral.as_matrix(weight, rows)
    del module.__dict__[name]
    setattr(module, name + "_orig", weight)
    module.register_buffer(name + "_u", _spectral.start(matrix.shape[0], eps, weight))
    module.register_buffer(name + "_v", _spectral.start(matrix.shape[1], eps, weight))
    read = partial(_bounded, name, rows, n_power_iterations, eps)
    computed_attribute(module, name, "", read, partial(_refuse, op, name))
    return module


def _bounded(name: str, rows: int, n_power_iterations: int, eps: float, module: Module) -> Any:
    original = getattr(module, name + "_orig")
    u, v = getattr(module, name + "_u")._data, getattr(module, name + "_v")._data
    turned = _spectral.as_matrix(original, rows)
    if module.training:
        _spectral.step(unwrap(turned, "spectral_norm", name), u, v, n_power_iterations, eps, True)
    return _spectral.divided(original, turned, u, v)


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value; returns the module."""
    parts = (name + "_orig", name + "_u", name + "_v")
    was = module.training
    module.__dict__["training"] = False  # the value as it is, without another iteration
    try:
        return _put_back(module, name, name + "_orig", "remove_spectral_norm", parts)
    finally:
        module.__dict__["training"] = was
