"""Models of symbolic tensors and rows of layers as plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._objects import described, found, made
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer
from einkorn.keras._names import snake_case
from einkorn.keras._symbols import OPERATORS, KerasTensor, Node, flat, mapped, record
from einkorn.nn.module import Module

__all__ = ["graph_from", "graph_of_model", "layers_from", "layers_of"]


def layers_of(model: Any) -> list[Any]:
    """The layers of a ``Sequential``, the input first where it has one."""
    start = model.__dict__.get("_inputs")
    first = [] if start is None else [described(start.node.target)]
    return [*first, *[described(layer) for layer in model]]


def layers_from(layers: Any) -> list[Any]:
    """And back."""
    if not isinstance(layers, list):
        raise ArgumentError(f"Sequential: layers is {type(layers).__name__}, expected a list")
    return [made(layer) for layer in layers]


# --- graphs ---------------------------------------------------------------------------------------


def graph_of_model(model: Any) -> dict[str, Any]:
    """Layers with the calls that are made of them, and where the model begins and ends."""
    starts = [symbol.node for symbol in model.inputs]
    if any(start is None or start.inputs for start in starts):
        raise ArgumentError(f"{model.name} begins with what layers gave, expected Input, to be written down")
    nodes = [*starts, *model._graph]
    names: dict[int, str] = {}  # of nodes
    calls: dict[str, list[Node]] = {}
    for node in nodes:
        name = names[id(node)] = node.name
        calls.setdefault(name, []).append(node)
    for name, same in calls.items():
        if len({id(node.target) if isinstance(node.target, Module) else id(node) for node in same}) > 1:
            raise ArgumentError(
                f"{model.name} has two layers of the name {name!r}, expected names that differ"
            )

    def place(symbol: KerasTensor) -> list[Any]:
        name = names[id(symbol.node)]
        outputs = flat(symbol.node.outputs)
        return [
            name,
            calls[name].index(symbol.node),
            next(i for i, one in enumerate(outputs) if one is symbol),
        ]

    def argument(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            config = {"shape": list(value.shape), "dtype": value.dtype, "keras_history": place(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, tuple):
            return {"class_name": "__tuple__", "config": {"value": [argument(part) for part in value]}}
        if isinstance(value, list):
            return [argument(part) for part in value]
        if isinstance(value, Mapping):
            return {str(key): argument(part) for key, part in value.items()}
        return described(value)

    layers = []
    for name, same in calls.items():
        inbound = [
            {"args": [argument(value) for value in node.args], "kwargs": argument(node.named)}
            for node in same
            if node.inputs
        ]
        layers.append({**_target(same[0].target), "name": name, "inbound_nodes": inbound})
    return {
        "layers": layers,
        "input_layers": mapped(place, model._inputs),
        "output_layers": mapped(place, model._outputs),
    }


def _target(target: Any) -> dict[str, Any]:
    if isinstance(target, Module):
        whole: dict[str, Any] = described(target)
        return whole
    from einkorn.keras import ops

    for module, table in (("operator", OPERATORS), ("keras.ops", ops._FUNCTIONS)):
        for name, function in table.items():
            if function is target:
                return {"module": module, "class_name": "function", "config": name, "registered_name": None}
    plain = described(target)
    if not isinstance(plain, dict):
        return {"module": "keras.ops", "class_name": "function", "config": plain, "registered_name": None}
    return plain


def graph_from(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Inputs and outputs of the model that was described, here or by Keras."""
    targets: dict[str, Any] = {}
    results: dict[tuple[str, int], list[Any]] = {}
    waiting: list[tuple[str, int, Any]] = []
    for layer in config["layers"]:
        name = layer.get("name") or layer["config"]["name"]
        targets[name] = target = _callable_of(layer)
        inbound = layer.get("inbound_nodes") or []
        if not inbound:
            results[name, 0] = [target.output]
        waiting += [(name, i, call) for i, call in enumerate(inbound)]

    def symbol(place: Any) -> Any:
        name, node, tensor = place
        return results[name, node][tensor]

    def needed(value: Any) -> list[tuple[str, int]]:
        if isinstance(value, list):
            return [one for part in value for one in needed(part)]
        if not isinstance(value, Mapping):
            return []
        if value.get("class_name") == "__keras_tensor__":
            name, node, _ = value["config"]["keras_history"]
            return [(name, node)]
        return [one for part in value.values() for one in needed(part)]

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return [argument(part) for part in value]
        if not isinstance(value, Mapping):
            return value
        kind = value.get("class_name")
        if kind == "__keras_tensor__":
            return symbol(value["config"]["keras_history"])
        if kind == "__tuple__":
            return tuple(argument(part) for part in value["config"]["value"])
        if kind is not None and "config" in value:
            return made(value)
        return {key: argument(part) for key, part in value.items()}

    while waiting:
        later = []
        for name, number, call in waiting:
            if not all(one in results for one in needed([call["args"], call["kwargs"]])):
                later.append((name, number, call))
                continue
            args, named = tuple(argument(call["args"])), argument(call["kwargs"])
            target = targets[name]
            named = {
                key: value for key, value in named.items() if value is not None
            }  # Keras writes the defaults
            out = (
                target(*args, **named) if isinstance(target, Layer) else _recorded(target, args, named, name)
            )
            results[name, number] = flat(out)
        if len(later) == len(waiting):
            raise ArgumentError(f"the layers {', '.join(name for name, _, _ in later)} wait for each other")
        waiting = later
    return _ends(config["input_layers"], symbol), _ends(config["output_layers"], symbol)


def _ends(value: Any, symbol: Any) -> Any:
    """Places of symbolic tensors as the tensors, in the structure they are in."""
    if isinstance(value, Mapping):
        return {key: _ends(part, symbol) for key, part in value.items()}
    if len(value) == 3 and isinstance(value[0], str):
        return symbol(value)
    return [_ends(part, symbol) for part in value]


def _recorded(target: Any, args: tuple[Any, ...], named: dict[str, Any], name: str) -> Any:
    function, more = target if isinstance(target, tuple) else (target, {})
    return record(function, args, {**more, **named}, name, name)


def _callable_of(layer: Mapping[str, Any]) -> Any:
    """A layer, or a function and arguments that are always given to it."""
    module, kind, config = layer.get("module"), layer["class_name"], layer["config"]
    if kind == "function":
        if module == "operator" and config in OPERATORS:
            return OPERATORS[config]
        if module == "keras.ops":
            from einkorn.keras import ops

            if config in ops._FUNCTIONS:
                return ops._FUNCTIONS[config]
            raise ArgumentError(f"keras.ops has no {config!r} that a model could be made of")
        return found(config, module, layer.get("registered_name"))
    if isinstance(module, str) and module.startswith("keras.src.ops."):  # an operation as Keras writes it
        from einkorn.keras import ops

        name = snake_case(kind)
        if name == "get_item":
            return OPERATORS["getitem"]
        if name not in ops._FUNCTIONS:
            raise ArgumentError(f"keras.ops has no {name!r} that a model could be made of")
        return ops._FUNCTIONS[name], {key: made(v) for key, v in config.items() if key != "name"}
    target = made(layer)
    if not isinstance(target, Module):
        raise ArgumentError(f"{kind} is no layer")
    return target
