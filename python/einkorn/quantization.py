"""Models whose linear layers compute in whole numbers of eight bits, for inference."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from einkorn import nn
from einkorn.errors import ArgumentError, DTypeError

__all__ = ["quantize_dynamic"]


def quantize_dynamic(
    model: nn.Module,
    qconfig_spec: Iterable[type | str] | None = None,
    dtype: Any = np.int8,
    mapping: None = None,
    inplace: bool = False,
) -> nn.Module:
    """Replace linear layers by :class:`einkorn.nn.quantized.dynamic.Linear`; as torch's.

    Weights take a quarter of their memory, and products up to a quarter of the time. Projections inside
    :class:`einkorn.nn.MultiheadAttention` stay as they are, and so does everything that is no linear layer.

    Parameters
    ----------
    model : Module
    qconfig_spec : iterable of types or names, default ``{nn.Linear}``
        Which layers: all of a type, of which Linear (and no subclass) is the one there is, or those below a
        name as ``named_modules`` gives it.
    dtype : dtype, default numpy.int8
        No other one is known.
    mapping : None
        torch's table of replacements; there is no other one than Linear's.
    inplace : bool, default False
        Change ``model`` itself rather than a copy.

    Returns
    -------
    Module
        The changed model. A model that is itself a linear layer is replaced as a whole.

    Raises
    ------
    ArgumentError
        For other types, names of nothing, a mapping, and a linear layer that is to be changed in place.
    DTypeError
        For another dtype, and for layers that are not float32.
    NonFiniteError
        For weights that are not all finite.
    """
    op = "quantize_dynamic"
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{op}: model is {type(model).__name__}, expected a Module")
    try:
        known = np.dtype(dtype) == np.int8
    except TypeError:
        known = False
    if not known:
        raise DTypeError(f"{op}: dtype is {dtype!r}, expected numpy.int8")
    if mapping is not None:
        raise ArgumentError(f"{op}: mapping is given, expected None: nn.Linear is what can be replaced")
    wanted = _wanted(op, model, qconfig_spec)
    if type(model) is nn.Linear and inplace:
        raise ArgumentError(f"{op}: model is a Linear, which cannot be replaced in place")
    if not inplace:
        model = copy.deepcopy(model)
    made: dict[int, nn.Module] = {}

    def replaced(module: nn.Module, path: str) -> nn.Module:
        if type(module) is nn.Linear and _is_wanted(path, wanted):
            if id(module) not in made:  # one that has two names stays one
                made[id(module)] = nn.quantized.dynamic.Linear.from_float(module)
            return made[id(module)]
        if not isinstance(module, nn.MultiheadAttention):  # that reads its projections' weights itself
            for name, child in list(module.__dict__.items()):
                if isinstance(child, nn.Module):
                    fresh = replaced(child, f"{path}.{name}" if path else name)
                    if fresh is not child:
                        setattr(module, name, fresh)
        return module

    return replaced(model, "")


def _wanted(op: str, model: nn.Module, spec: Any) -> list[str] | None:
    """Names below which linear layers are replaced; None for everywhere."""
    if spec is None:
        return None
    if isinstance(spec, (str, type, Mapping)) or not isinstance(spec, Iterable):
        raise ArgumentError(
            f"{op}: qconfig_spec is {spec!r}, expected a set of types or names, such as {{nn.Linear}}"
        )
    entries = list(spec)
    names = {path for path, _ in model.named_modules()}
    for entry in entries:
        if entry is not nn.Linear and entry not in names:
            what = "a name in the model" if isinstance(entry, str) else "nn.Linear or a name in the model"
            raise ArgumentError(f"{op}: qconfig_spec has {entry!r}, expected {what}")
    return None if nn.Linear in entries else entries


def _is_wanted(path: str, wanted: list[str] | None) -> bool:
    return wanted is None or any(path == name or not name or path.startswith(f"{name}.") for name in wanted)
