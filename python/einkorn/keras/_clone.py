"""``clone_model``: the same layers with weights of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer, refuse
from einkorn.keras._symbols import KerasTensor, flat, mapped, record
from einkorn.keras.layers.core import InputLayer
from einkorn.nn.module import Module

__all__ = ["clone_model"]


def clone_model(
    model: Any, input_tensors: Any = None, clone_function: Callable[[Any], Any] | None = None,
    call_function: Any = None, recursive: bool = False,
) -> Any:  # fmt: skip
    """A model of the same layers with weights of its own.

    Parameters
    ----------
    model : Sequential or Model of symbolic tensors
    input_tensors : symbolic tensor or list of them, optional
        What the clone begins with, instead of an ``Input`` like the model's.
    clone_function : callable, optional
        Gives the layer that takes the place of one; by default one with the same arguments.
    call_function : not supported
    recursive : bool, default False
        Whether ``clone_function`` is called for the layers of models within.
    """
    from einkorn.keras.models import Model, Sequential

    refuse("clone_model", call_function=call_function)
    copies: dict[int, Any] = {}

    def copied(layer: Any) -> Any:
        if id(layer) not in copies:
            inner = isinstance(layer, Model) and (
                "_outputs" in layer.__dict__ or isinstance(layer, Sequential)
            )
            if inner and (recursive or clone_function is None):
                copies[id(layer)] = clone_model(layer, None, clone_function, None, recursive)
            elif clone_function is not None:
                copies[id(layer)] = clone_function(layer)
            else:
                copies[id(layer)] = _like(layer)
        return copies[id(layer)]

    given = None if input_tensors is None else flat(input_tensors)
    if isinstance(model, Sequential):
        start: list[Any] = [] if given is None else given[:1]
        if given is None and "_inputs" in model.__dict__:
            start = [InputLayer(batch_shape=model.input_shape, dtype=model.input.dtype)]
        return Sequential([*start, *[copied(layer) for layer in model]], name=model.name)
    if not isinstance(model, Model) or model._graph is None:
        raise ArgumentError(
            f"clone_model: {getattr(model, 'name', type(model).__name__)} has a call of its own, expected a "
            "Sequential or functional model"
        )
    if given is not None and len(given) != len(model.inputs):
        raise ArgumentError(f"clone_model: got {len(given)} input_tensors, expected {len(model.inputs)}")
    values: dict[int, Any] = {}
    for i, symbol in enumerate(model.inputs):
        fresh = InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype, name=symbol.name)
        values[id(symbol)] = fresh.output if given is None else given[i]

    def now(leaf: Any) -> Any:
        return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

    for node in model._graph:
        target = copied(node.target) if isinstance(node.target, Module) else node.target
        args, named = mapped(now, node.args), mapped(now, node.named)
        out = target(*args, **named) if isinstance(target, Layer) else record(target, args, named, node.name)
        for symbol, value in zip(flat(node.outputs), flat(out), strict=True):
            values[id(symbol)] = value
    inputs, outputs = mapped(now, model._inputs), mapped(now, model._outputs)
    return Model(inputs, outputs, name=model.name)


def _like(layer: Any) -> Any:
    """A layer like another one, with weights of its own."""
    if isinstance(layer, Layer):
        fresh = layer.like_this(name=layer.name)
        if layer.trainable is not fresh.trainable:
            fresh.trainable = layer.trainable
        return fresh
    from einkorn._objects import described, made

    return made(described(layer))
