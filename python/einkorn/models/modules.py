"""Layers of ``einkorn.nn`` and models of layers as plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn import _objects
from einkorn.errors import ArgumentError

__all__ = ["described", "is_module", "made"]

_CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
_PARTS = {"weight": "kernel", "bias": "bias"}  # what Keras' options call a parameter
# Arguments that say how parameters are made, not what a layer is, and those that mean nothing any more.
_LEFT_OUT = ("device", "dtype", "size_average", "reduce")


def is_module(value: Any) -> bool:
    """Whether a value is a module, or would be one if ``einkorn.nn`` were imported."""
    import sys

    module = sys.modules.get("einkorn.nn.module")
    return module is not None and isinstance(value, module.Module)


def described(module: Any) -> dict[str, Any]:
    """A layer of ``einkorn.nn``, or a registered model.

    Raises
    ------
    ArgumentError
        It is neither, or has an argument that cannot be found out.
    """
    from einkorn import nn
    from einkorn.models import registry

    kind = type(module)
    name = registry.name_of(module)
    if name is not None:
        return {"module": "einkorn.models", "class_name": name, "config": registry.config_of(module)}
    if kind.__name__ not in nn.__all__ or getattr(nn, kind.__name__) is not kind:
        raise ArgumentError(
            f"{kind.__name__} is no layer of einkorn.nn and not registered: decorate the class with "
            "einkorn.models.register, or keep the weights alone with save_weights"
        )
    config = _children(module) if kind.__name__ in _CONTAINERS else _arguments(module)
    return {"module": "einkorn.nn", "class_name": kind.__name__, "config": config}


def _children(module: Any) -> dict[str, Any]:
    from einkorn.nn.module import children_of

    return {"layers": [[name, _objects.described(child)] for name, child in children_of(module)]}


def _arguments(module: Any) -> dict[str, Any]:
    """The arguments of a layer, from the attributes that have their names."""
    kind = type(module)
    found: dict[str, Any] = {}
    for parameter in _objects.signature_of(kind.__init__):
        name = parameter.name
        if name in _LEFT_OUT or name[0] == "_" or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(_options(module))
        elif name == "bias" or not hasattr(module, name):
            found[name] = _hidden(module, name, parameter)
        else:
            found[name] = _objects.described(getattr(module, name))
    return found


def _hidden(module: Any, name: str, parameter: Any) -> Any:
    """An argument that is no attribute of its name."""
    kept = module.__dict__.get(f"_{name}", parameter.empty)
    if name == "bias" and hasattr(module, "bias"):
        return module.bias if isinstance(module.bias, bool) else module.bias is not None
    if kept is not parameter.empty:
        return _objects.described(kept)
    raise ArgumentError(
        f"{type(module).__name__}: {name} cannot be found out, so the layer cannot be written down"
    )


def _options(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("regularizer", "constraint"):
        for place, rule in module.__dict__.get(f"_{kind}s", {}).items():
            if place not in _PARTS:
                raise ArgumentError(
                    f"{type(module).__name__}: {place} has a {kind}, which cannot be written down"
                )
            found[f"{_PARTS[place]}_{kind}"] = _objects.described(rule)
    return found


def made(name: Any, config: Any, place: str = "einkorn.nn") -> Any:
    """And back.

    Raises
    ------
    ArgumentError
        There is no such layer, or the arguments do not fit.
    """
    from einkorn import nn
    from einkorn.models import registry

    if place == "einkorn.models":
        return registry.build(name, **config)
    kind = getattr(nn, name) if name in nn.__all__ else None
    if not isinstance(kind, type) or not issubclass(kind, nn.Module) or not isinstance(config, Mapping):
        raise ArgumentError(f"{name!r} is no layer of einkorn.nn")
    if name not in _CONTAINERS:
        try:
            return kind(**{key: _argument(value) for key, value in config.items()})
        except TypeError as error:
            raise ArgumentError(f"{name}: {error}") from error
    module: Any = kind()
    for place, child in config["layers"]:
        module.add_module(str(place), _objects.made(child))
    return module


def _argument(value: Any) -> Any:
    """An argument of a layer: sizes are tuples again."""
    if isinstance(value, list) and all(isinstance(part, (int, float)) for part in value):
        return tuple(value)
    return _objects.made(value)
