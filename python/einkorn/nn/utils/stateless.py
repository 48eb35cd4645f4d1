"""A module as a function of its parameters: ``torch.func.functional_call``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: Any,
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The forward pass with other values in the place of parameters and buffers; the module stays as it is.

    Parameters
    ----------
    module : Module
    parameters_and_buffers : mapping of str to Tensor, or tuple of mappings
        By dotted names. Gradients go to these Tensors. What is not named stays.
    args : any or tuple, optional
        What the module is called with.
    kwargs : mapping, optional
    tie_weights : bool, default True
        As in torch: a parameter that has several names is replaced under all of them.
    strict : bool, default False
        Whether all parameters and buffers must be named.

    Raises
    ------
    ArgumentError
        A name is none of the module's, or is missing where ``strict`` is true.
    ShapeError
        A value has another shape.
    """
    given: dict[str, Any] = {}
    many = isinstance(parameters_and_buffers, (tuple, list))
    for part in parameters_and_buffers if many else (parameters_and_buffers,):
        given.update(part)
    places = _places(module)
    unknown = [name for name in given if name not in places]
    missing = [name for name in places if name not in given] if strict else []
    if unknown or missing:
        words = "has no " + ", ".join(unknown) if unknown else "needs " + ", ".join(missing)
        raise ArgumentError(f"functional_call: {type(module).__name__} {words}")
    before: list[tuple[Module, str, Any]] = []
    try:
        for name, value in given.items():
            owner, attribute = places[name]
            old = owner.__dict__[attribute]
            new = value if isinstance(value, Tensor) else Tensor(value)
            if tuple(new.shape) != tuple(old.shape):
                raise ShapeError(f"functional_call: {name} has shape {new.shape}, expected {old.shape}")
            tied = (
                [place for place in places.values() if place[0].__dict__[place[1]] is old]
                if tie_weights
                else []
            )
            for owner, attribute in tied or [places[name]]:
                before.append((owner, attribute, old))
                owner.__dict__[attribute] = new
        positional = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*positional, **(kwargs or {}))
    finally:
        for owner, attribute, old in reversed(before):
            owner.__dict__[attribute] = old


def _places(module: Module) -> dict[str, tuple[Module, str]]:
    places: dict[str, tuple[Module, str]] = {}
    for path, part in module.named_modules(None, "", False):
        lead = f"{path}." if path else ""
        for name, value in part.__dict__.items():
            if value is not None and (name in part._buffers or isinstance(value, Parameter)):
                places[lead + name] = (part, name)
    return places
