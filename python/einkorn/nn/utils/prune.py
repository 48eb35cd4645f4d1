"""Weights of which some are held at zero: ``torch.nn.utils.prune``.

A pruned parameter ``weight`` becomes the parameter ``weight_orig`` and the buffer ``weight_mask``; ``weight``
is their product, computed whenever it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from einkorn import _bfloat16, ops, random
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter
from einkorn.nn.utils.parametrize import computed_attribute, restore_class

__all__ = [
    "L1Unstructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def _masked(name: str, module: Module) -> Any:
    return ops.multiply(getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask"))


def _refuse(name: str, module: Module, value: Any) -> None:
    raise ArgumentError(f"prune: {name} is computed; remove makes it a parameter again")


def _is_pruned(module: Module, name: str) -> bool:
    return f"{name}_mask" in module._buffers and f"{name}_orig" in module.__dict__


def _weight(op: str, module: Module, name: str) -> tuple[Any, np.ndarray]:
    """The original parameter, and the mask so far."""
    if _is_pruned(module, name):
        return getattr(module, f"{name}_orig"), np.asarray(getattr(module, f"{name}_mask"))
    weight = module.__dict__.get(name)
    if not isinstance(weight, Parameter):
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {name!r}")
    return weight, np.ones(weight.shape, np.float32)


def _numbers(weight: Any) -> np.ndarray:
    return np.asarray(weight.detach().double())


def _count(op: str, amount: Any, size: int) -> int:
    """How many of ``size`` are pruned by a share or a number."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float, np.number)) or amount < 0:
        raise ArgumentError(f"{op}: amount is {amount!r}, expected a share from 0 to 1 or a whole number")
    if isinstance(amount, (float, np.floating)):
        if amount > 1:
            raise ArgumentError(f"{op}: amount is {amount}, expected a share from 0 to 1 or a whole number")
        return round(float(amount) * size)
    if amount > size:
        raise ArgumentError(f"{op}: amount is {amount}, but there are {size} to prune")
    return int(amount)


def _apply(module: Module, name: str, mask: np.ndarray) -> Module:
    original, before = _weight("prune", module, name)
    kept = _bfloat16.astype((mask.astype(np.float32) * before.astype(np.float32)), original.dtype)
    if _is_pruned(module, name):
        setattr(module, f"{name}_mask", Tensor(kept))
        return module
    del module.__dict__[name]
    setattr(module, f"{name}_orig", original)
    module.register_buffer(f"{name}_mask", Tensor(kept))
    computed_attribute(module, name, "", partial(_masked, name), partial(_refuse, name))
    return module


def _smallest(values: np.ndarray, before: np.ndarray, count: int) -> np.ndarray:
    """A mask without the ``count`` smallest of those that are still there."""
    mask = np.ones(values.size, np.float32)
    there = np.flatnonzero(before.reshape(-1))
    order = np.argsort(values.reshape(-1)[there], kind="stable")
    mask[there[order[:count]]] = 0
    return mask.reshape(values.shape)


def identity(module: Module, name: str) -> Module:
    """Prune nothing; the module has the parts that pruned ones have."""
    return _apply(module, name, np.ones(_weight("identity", module, name)[0].shape))


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Any = None) -> Module:
    """Prune the elements of smallest size; returns the module.

    Parameters
    ----------
    module : Module
    name : str
        Its parameter.
    amount : float or int
        A share of the elements that are left, or a number of them.
    importance_scores : Tensor, optional
        Of the parameter's shape: what is compared in place of it.
    """
    op = "l1_unstructured"
    weight, before = _weight(op, module, name)
    values = _scores(op, weight, importance_scores)
    return _apply(module, name, _smallest(np.abs(values), before, _count(op, amount, int(before.sum()))))


def _scores(op: str, weight: Any, scores: Any) -> np.ndarray:
    if scores is None:
        return _numbers(weight)
    if tuple(scores.shape) != tuple(weight.shape):
        raise ShapeError(f"{op}: importance_scores has shape {tuple(scores.shape)}, expected {weight.shape}")
    return _numbers(scores)


def _drawn(size: int) -> np.ndarray:
    return np.random.default_rng(random.take(1)).random(size)


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune elements by chance; arguments as :func:`l1_unstructured`."""
    op = "random_unstructured"
    weight, before = _weight(op, module, name)
    values = _drawn(weight.numel()).reshape(weight.shape)
    return _apply(module, name, _smallest(values, before, _count(op, amount, int(before.sum()))))


def _channels(op: str, module: Module, name: str, amount: Any, dim: int, lengths: Any) -> Module:
    weight, before = _weight(op, module, name)
    if weight.ndim < 2 or not -weight.ndim <= dim < weight.ndim:
        raise ArgumentError(
            f"{op}: dim is {dim} of a parameter of {weight.ndim} dimensions, expected one of two or more"
        )
    axis = dim % weight.ndim
    others = tuple(d for d in range(weight.ndim) if d != axis)
    there = np.asarray(before.any(others))
    mask = _smallest(lengths(weight, others), there, _count(op, amount, int(there.sum())))
    shape = [-1 if d == axis else 1 for d in range(weight.ndim)]
    return _apply(module, name, np.broadcast_to(mask.reshape(shape), weight.shape))


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """Prune the channels along ``dim`` of smallest n-norm; other arguments as :func:`l1_unstructured`."""

    _, before = _weight("ln_structured", module, name)

    def lengths(weight: Any, others: tuple[int, ...]) -> np.ndarray:
        values = np.abs(_scores("ln_structured", weight, importance_scores)) * np.asarray(before)
        if n == np.inf:
            return np.asarray(values.max(others))
        if n == -np.inf:
            return np.asarray(values.min(others))
        return np.asarray((values ** float(2 if n == "fro" else n)).sum(others))

    return _channels("ln_structured", module, name, amount, dim, lengths)


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune channels along ``dim`` by chance; other arguments as :func:`l1_unstructured`."""

    def lengths(weight: Any, others: tuple[int, ...]) -> np.ndarray:
        (axis,) = (d for d in range(weight.ndim) if d not in others)
        return _drawn(weight.shape[axis])

    return _channels("random_structured", module, name, amount, dim, lengths)


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """Prune what a mask of the parameter's shape says, 0 where; returns the module."""
    weight, _ = _weight("custom_from_mask", module, name)
    values = np.asarray(mask)
    if values.shape != tuple(weight.shape):
        raise ShapeError(f"custom_from_mask: mask has shape {values.shape}, expected {weight.shape}")
    return _apply(module, name, values != 0)


class L1Unstructured:
    """The method of :func:`l1_unstructured`, for :func:`global_unstructured`."""


class RandomUnstructured:
    """The method of :func:`random_unstructured`, for :func:`global_unstructured`."""


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: Any = None,
    **options: Any,
) -> None:
    """Prune elements of several parameters, all compared with one another.

    Parameters
    ----------
    parameters : iterable of (Module, str)
    pruning_method : {L1Unstructured, RandomUnstructured}
    importance_scores : mapping of (Module, str) to Tensor, optional
    **options
        ``amount``, as in :func:`l1_unstructured`.
    """
    op = "global_unstructured"
    if pruning_method not in (L1Unstructured, RandomUnstructured):
        raise ArgumentError(
            f"{op}: pruning_method is {pruning_method!r}, expected L1Unstructured or RandomUnstructured"
        )
    places = list(parameters)
    found = [_weight(op, module, name) for module, name in places]
    scores = importance_scores or {}
    values = [
        np.abs(_scores(op, weight, scores.get(place)))
        if pruning_method is L1Unstructured
        else _drawn(weight.numel()).reshape(weight.shape)
        for place, (weight, _) in zip(places, found, strict=True)
    ]
    flat = np.concatenate([v.reshape(-1) for v in values])
    before = np.concatenate([mask.reshape(-1) for _, mask in found])
    mask = _smallest(flat, before, _count(op, options.get("amount"), int(before.sum())))
    begin = 0
    for (module, name), (weight, _) in zip(places, found, strict=True):
        end = begin + weight.numel()
        _apply(module, name, mask[begin:end].reshape(weight.shape))
        begin = end


def remove(module: Module, name: str) -> Module:
    """Make the pruned weight a parameter again, zeros included; returns the module."""
    if not _is_pruned(module, name):
        raise ArgumentError(f"remove: {name} of {type(module).__name__} is not pruned")
    original, mask = getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask")
    values = ops.multiply(original.detach(), mask)
    restore_class(module, name)
    delattr(module, f"{name}_orig")
    delattr(module, f"{name}_mask")
    setattr(module, name, Parameter(values, original.requires_grad))
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(
        _is_pruned(part, name.removesuffix("_mask"))
        for part in module.modules()
        for name in part._buffers
        if name.endswith("_mask")
    )
