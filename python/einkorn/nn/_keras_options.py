"""Keras' options of layers with weights: initial values, penalties and limits of kernel and bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn import constraints, initializers, regularizers

__all__ = ["take_options"]

_KINDS = {"regularizer": regularizers.get, "constraint": constraints.get, "initializer": initializers.get}


def take_options(layer: Any, options: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Give a layer what was asked for its parameters.

    Parameters
    ----------
    layer : Module
    options : mapping
        For example {"kernel_regularizer": L2(0.01)}.
    places : mapping
        What Keras' names of the weights are here: {"kernel": "weight", "bias": "bias"}.
    """
    owner = type(layer).__name__
    for name, value in options.items():
        part, _, kind = name.rpartition("_")
        if kind not in _KINDS or part not in places:
            known = [f"{place}_{each}" for place in places for each in _KINDS]
            raise TypeError(
                f"{owner}: unexpected argument {name!r}; options of weights are {', '.join(known)}"
            )
        try:
            found = _KINDS[kind](value)
        except ArgumentError as error:
            raise ArgumentError(f"{owner}: {part}_{error}") from error
        if found is None:
            continue
        parameter = getattr(layer, places[part])
        if kind == "initializer":
            if parameter is not None:
                found(parameter)
            continue
        rules = layer.__dict__.setdefault(f"_{kind}s", {})
        rules[places[part]] = found
