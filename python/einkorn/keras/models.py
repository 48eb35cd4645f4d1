"""``Model``: of symbolic tensors, or with a ``call`` of its own; ``Sequential``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np

from einkorn import nn
from einkorn._objects import custom_scope
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.keras._base import Layer, described_input, parameters_of
from einkorn.keras._clone import clone_model
from einkorn.keras._model_files import check_name, load_model, model_from_json, save_model
from einkorn.keras._names import fresh_name, snake_case
from einkorn.keras._symbols import KerasTensor, Node, check_rows, flat, graph_of, mapped, record
from einkorn.keras._trainer import Trainer
from einkorn.keras.layers.core import InputLayer
from einkorn.nn.module import Module, children_of

__all__ = ["Model", "Sequential", "check_name", "clone_model", "load_model", "model_from_json", "save_model"]


class Model(Trainer):
    """A model of symbolic tensors, or the base class of one with a ``call``.

    Parameters
    ----------
    inputs, outputs : symbolic tensor, or list or dict of them
        What ``Input`` and layers gave. Without them a subclass assigns layers in ``__init__`` and defines
        ``call(inputs)``; its weights are made by the first rows.
    name : str, optional
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        inputs = options.pop("inputs", args[0] if args else None)
        outputs = options.pop("outputs", args[1] if len(args) > 1 else None)
        if len(args) > 2 or (inputs is None) != (outputs is None):
            raise ArgumentError("Model: expected inputs and outputs, or none of them")
        if options.get("name") is None:
            graph = type(self) is Model and inputs is not None
            options["name"] = fresh_name("functional" if graph else snake_case(type(self).__name__))
        super().__init__(**options)
        if inputs is not None:
            self._make_graph(inputs, outputs)

    # --- the graph ------------------------------------------------------------------------------

    _graph: tuple[Node, ...] | None = None

    def _make_graph(self, inputs: Any, outputs: Any) -> None:
        own = self.__dict__
        first, last = flat(inputs), flat(outputs)
        for symbol in [*first, *last]:
            if not isinstance(symbol, KerasTensor):
                raise ArgumentError(
                    f"Model: got {type(symbol).__name__} among inputs and outputs, expected what Input or a "
                    "layer gave"
                )
        own["_graph"] = graph = tuple(graph_of(first, last))
        own["_inputs"], own["_outputs"] = inputs, outputs
        own["_ordered"] = self._in_depth_order(graph, first)
        for layer in own["_ordered"]:
            if not isinstance(layer, InputLayer):
                name = (
                    layer.name if isinstance(layer, Layer) else fresh_name(snake_case(type(layer).__name__))
                )
                self._hold(name, layer)
        self.built = True

    def _hold(self, name: str, layer: Module) -> None:
        """Make a layer of the graph a part of the model, under its name."""
        name = name.replace(".", "_").replace("/", "_")
        while hasattr(type(self), name) or (name in self.__dict__ and self.__dict__[name] is not layer):
            name += "_"
        setattr(self, name, layer)

    def _in_depth_order(self, graph: tuple[Node, ...], inputs: list[KerasTensor]) -> list[Any]:
        """The layers, the farthest from the outputs first, as Keras lists them."""
        depth: dict[int, int] = {}
        for node in reversed(graph):
            own = depth.setdefault(id(node), 0)
            for symbol in node.inputs:
                if symbol.node is not None:
                    key = id(symbol.node)
                    depth[key] = max(depth.get(key, 0), own + 1)
        rank: dict[int, tuple[int, int]] = {}
        found: dict[int, Any] = {}
        starts = [symbol.node for symbol in inputs if symbol.node is not None and not symbol.node.inputs]
        for place, node in enumerate([*starts, *graph]):
            if not isinstance(node.target, Module):
                continue
            key = id(node.target)
            found[key] = node.target
            deepest = max(depth.get(id(node), 0), -rank[key][0] if key in rank else 0)
            rank[key] = (-deepest, rank[key][1] if key in rank else place)
        return sorted(found.values(), key=lambda layer: rank[id(layer)])

    def call(self, inputs: Any) -> Any:
        """The computation: of the graph, or what a subclass defines."""
        if self._graph is None:
            raise TypeError(f"{type(self).__name__} defines no call()")
        symbols = flat(self._inputs)
        given = self._by_name(inputs) if isinstance(inputs, dict) else flat(inputs)
        if len(given) != len(symbols):
            raise ArgumentError(f"{self.name}: got {len(given)} inputs, expected {len(symbols)}")
        values: dict[int, Any] = {}
        for symbol, value in zip(symbols, given, strict=True):
            value = value if hasattr(value, "shape") else np.asarray(value)
            if len(value.shape) == len(symbol.shape) - 1 and symbol.shape[-1] == 1:
                value = value.reshape(*value.shape, 1)
            check_rows(symbol, value)
            values[id(symbol)] = value
        for node in self._graph:
            node.run(values)
        return mapped(lambda symbol: values[id(symbol)], self._outputs)

    def _by_name(self, inputs: dict[str, Any]) -> list[Any]:
        names = list(self._inputs) if isinstance(self._inputs, dict) else self.input_names
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ArgumentError(
                f"{self.name}: input {', '.join(missing)} is missing, got {', '.join(inputs)}"
            )
        return [inputs[name] for name in names]

    def forward(self, *inputs: Any, training: bool | None = None, mask: Any = None, **named: Any) -> Any:
        """``call``, of all inputs in a list where it takes one argument only."""
        if len(inputs) > 1 and (self._graph is not None or _takes_one(type(self).call)):
            inputs = (list(inputs),)
        return super().forward(*inputs, training=training, mask=mask, **named)

    # --- what it is made of ---------------------------------------------------------------------

    @property
    def inputs(self) -> list[Any]:
        """The symbolic tensors that it begins with."""
        return flat(self._symbols("_inputs"))

    @property
    def outputs(self) -> list[Any]:
        """The symbolic tensors that it ends with."""
        return flat(self._symbols("_outputs"))

    def _symbols(self, which: str) -> Any:
        if which not in self.__dict__:
            raise ArgumentError(f"{self.name} has no symbolic inputs and outputs: it was not made of any")
        return self.__dict__[which]

    @property
    def input(self) -> Any:
        """``inputs``, or the one there is."""
        return self._symbols("_inputs")

    @property
    def output(self) -> Any:
        """``outputs``, or the one there is."""
        return self._symbols("_outputs")

    @property
    def input_shape(self) -> Any:
        """The shape of the input, None for the rows; of several, a list."""
        shapes = [symbol.shape for symbol in self.inputs] if "_inputs" in self.__dict__ else [None]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, None for the rows; of several, a list."""
        shapes = [symbol.shape for symbol in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def input_names(self) -> list[str]:
        """The inputs' names."""
        return [symbol.name for symbol in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that give the outputs."""
        return self._output_names() or []

    @property
    def layers(self) -> list[Any]:
        """The layers."""
        if "_ordered" in self.__dict__:
            return list(self._ordered)
        found: list[Any] = []
        for _, module in children_of(self):
            if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
                found += [part for _, part in children_of(module)]
            elif module not in found:
                found.append(module)
        return found

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name, or by its place in ``layers``."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer: expected a name or an index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ArgumentError(f"get_layer: index is {index}, and there are {len(self.layers)} layers")
            return self.layers[index]
        for layer in self.layers:
            if getattr(layer, "name", None) == name:
                return layer
        known = ", ".join(str(getattr(layer, "name", "?")) for layer in self.layers)
        raise ArgumentError(f"get_layer: there is no layer {name!r}, expected one of {known}")

    def _output_names(self) -> list[str] | None:
        if "_outputs" not in self.__dict__:
            return None
        if isinstance(self._outputs, dict):
            return list(self._outputs)
        symbols = self.outputs
        names: list[str] = []
        for symbol in symbols:
            name = symbol.node.name if symbol.node is not None else symbol.name
            while name in names:
                name += "_1"
            names.append(name)
        return names

    def _takes_several(self) -> bool:
        return len(self.inputs) > 1 if "_inputs" in self.__dict__ else not _takes_one(type(self).call)

    def _input_count(self) -> int | None:
        return len(self.inputs) if "_inputs" in self.__dict__ else None

    def _in_order(self, x: Any) -> Any:
        if "_inputs" not in self.__dict__:
            return x
        parts = self._by_name(dict(x))
        return tuple(parts) if len(parts) > 1 else parts[0]

    # --- words, and files -----------------------------------------------------------------------

    def summary(  # type: ignore[override]
        self, line_length: int | None = None, positions: Any = None,
        print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False,
        show_trainable: bool = False, layer_range: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        """Print layers, output shapes and numbers of weights, in Keras' form.

        Parameters
        ----------
        line_length : int, optional
        print_fn : callable, optional
            Gets the whole text; by default ``print``.
        expand_nested : bool, default False
            Whether the layers of models within are listed too.
        show_trainable : bool, default False
        """
        from einkorn._console import printable
        from einkorn.keras._summary import describe

        text = describe(self, line_length, expand_nested, show_trainable)
        if print_fn is None:
            print(printable(text))
        else:
            print_fn(text)

    @property
    def _described_as(self) -> tuple[str, str] | None:
        """What Keras calls a model of symbolic tensors in its files."""
        graph = type(self) is Model and self._graph is not None
        return ("keras.src.models.functional", "Functional") if graph else None

    def get_config(self) -> dict[str, Any]:
        """What makes a model like this one: of symbolic tensors, the layers and how they are connected."""
        base = {"name": self.name, "trainable": self._trains}
        if type(self) is Model and self._graph is not None:
            from einkorn.keras._graphs import graph_of_model

            return {**base, **graph_of_model(self)}
        base["dtype"] = self._type_name()
        if type(self).get_config is not Model.get_config:
            return base
        from einkorn._objects import described

        own = self._arguments_of(type(self))
        return {**base, **{name: described(value) for name, value in own.items() if name not in base}}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        """A model from what ``get_config`` gave, here or in Keras, with weights of its own.

        Parameters
        ----------
        config : dict
        custom_objects : dict of str to class or function, optional
            What the configuration names beside the library's own and what is registered.
        """
        with custom_scope(custom_objects):
            if "input_layers" not in config or "output_layers" not in config:
                return super().from_config(config)
            from einkorn.keras._graphs import graph_from

            inputs, outputs = graph_from(config)
            model = cls(inputs, outputs, name=config.get("name"))
        if not config.get("trainable", True):
            model.trainable = False
        return model

    def to_json(self, **options: Any) -> str:
        """The architecture as JSON, for ``models.model_from_json``; options as ``json.dumps``."""
        import json

        from einkorn._objects import described

        return json.dumps(described(self), **options)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What ``compile`` was given, as plain values; None before."""
        from einkorn._objects import described

        given = self.__dict__.get("_compiled_with")
        return None if given is None else {name: described(value) for name, value in given.items()}

    def compile_from_config(self, config: Any) -> None:
        """Compile with what ``get_compile_config`` gave."""
        from einkorn._objects import made

        self.compile(**{name: made(value) for name, value in config.items()})

    def save(
        self, filepath: str | PathLike[str], overwrite: bool = True, zipped: Any = None,
        include_optimizer: bool = True,
    ) -> None:  # fmt: skip
        """Write the model whole: architecture, weights, what ``compile`` was given, the optimizer's state.

        The file is safetensors whatever it is called, also where its name ends in .keras; Keras itself does
        not read it.

        Parameters
        ----------
        filepath : str or path
        overwrite : bool, default True
            Whether a file that is there is replaced.
        zipped : ignored
        include_optimizer : bool, default True

        Raises
        ------
        CheckpointError
            A part has no name that a file could hold, such as a lambda; the name ends in .h5; the file cannot
            be written, or is there and must not be replaced.
        """
        from einkorn import checkpoint
        from einkorn.training.weights import check_free

        check_name(filepath, "save")
        check_free(filepath, overwrite, "save")
        checkpoint.save(self, filepath, include_optimizer=include_optimizer)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True, **options: Any) -> None:
        """Write the weights as safetensors.

        Raises
        ------
        CheckpointError
            The name ends in .h5, or the file cannot be written.
        """
        check_name(filepath, "save_weights")
        super().save_weights(filepath, overwrite)

    def load_weights(
        self, filepath: str | PathLike[str], skip_mismatch: bool = False, **options: Any
    ) -> None:
        """Read what ``save`` or ``save_weights`` wrote.

        Raises
        ------
        CheckpointError
            The file is missing or corrupt, of another format, or does not fit.
        """
        check_name(filepath, "load_weights")
        super().load_weights(filepath, skip_mismatch)

    def export(self, filepath: Any, *_: Any, **__: Any) -> None:
        """Refused: there is no other format to export to."""
        raise CheckpointError("export: only save('NAME.safetensors') and save_weights are supported")


def _takes_one(function: Any) -> bool:
    """Whether a ``call`` has one argument for data."""
    code = function.__code__
    if code.co_flags & 4:
        return False
    names = set(code.co_varnames[1 : code.co_argcount]) - {"training", "mask"}
    return len(names) == 1 and bool(parameters_of(function))


class Sequential(Model, nn.Sequential):
    """Layers one after the other, given as a list or with ``add``.

    With an ``Input`` first, or ``input_shape`` of the first layer, the weights are made at once; else by the
    first rows.

    Parameters
    ----------
    layers : list of layers, optional
    name : str, optional
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.built = True
        for layer in layers or ():
            self.add(layer)

    def get_config(self) -> dict[str, Any]:
        """Name and layers."""
        if type(self) is not Sequential:
            return super().get_config()
        from einkorn.keras._graphs import layers_of

        return {
            "name": self.name,
            "trainable": self._trains,
            "dtype": self._type_name(),
            "layers": layers_of(self),
        }

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        """A model from what ``get_config`` gave, here or in Keras, with weights of its own."""
        if "layers" not in config:
            return super().from_config(config, custom_objects)
        from einkorn.keras._graphs import layers_from

        with custom_scope(custom_objects):
            model = cls(layers_from(config["layers"]), name=config.get("name"))
        if "_inputs" not in model.__dict__ and config.get("build_input_shape") is not None:
            model.build(tuple(config["build_input_shape"]))
        if not config.get("trainable", True):
            model.trainable = False
        return model

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer at the end."""
        if isinstance(layer, KerasTensor):
            target = layer.node.target if layer.node is not None else None
            if not isinstance(target, InputLayer):
                raise ArgumentError("Sequential: got a symbolic tensor that is no Input, expected a layer")
            layer = target
        if isinstance(layer, InputLayer):
            if len(self) or "_inputs" in self.__dict__:
                raise ArgumentError("Sequential: Input comes behind other layers, expected it first")
            self.__dict__["_inputs"] = self.__dict__["_outputs"] = layer.output
            return
        if isinstance(layer, type) or not isinstance(layer, Module):
            what = f"the class {layer.__name__}" if isinstance(layer, type) else type(layer).__name__
            raise ArgumentError(f"Sequential: got {what}, expected a layer")
        self.append(layer)
        shape = getattr(layer, "_row_shape", None)
        if "_inputs" not in self.__dict__ and len(self) == 1 and shape is not None:
            integers = type(layer).__name__ == "Embedding"
            start = InputLayer(shape, dtype="int64" if integers else None)
            self.__dict__["_inputs"] = self.__dict__["_outputs"] = start.output
        if (
            "_inputs" not in self.__dict__
            and isinstance(layer, Model)
            and "_inputs" in layer.__dict__
            and len(self) == 1
        ):
            start = InputLayer(batch_shape=layer.input_shape)
            self.__dict__["_inputs"] = self.__dict__["_outputs"] = start.output
        if "_outputs" in self.__dict__:
            self.__dict__["_outputs"] = _symbolic(layer, self.__dict__["_outputs"])

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer away, and give it back."""
        name, layer = list(self.named_children())[-1]
        delattr(self, name)
        if "_inputs" in self.__dict__:
            out = self.__dict__["_inputs"]
            for each in self:
                out = _symbolic(each, out)
            self.__dict__["_outputs"] = out
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, the rows first."""
        if input_shape is None or "_inputs" in self.__dict__:
            return
        table = len(self) and type(self[0]).__name__ == "Embedding"
        start = InputLayer(batch_shape=tuple(input_shape), dtype="int64" if table else None)
        out = self.__dict__["_inputs"] = start.output
        for layer in self:
            out = _symbolic(layer, out)
        self.__dict__["_outputs"] = out

    def call(self, inputs: Any) -> Any:
        """Each layer of what the one before gave."""
        if isinstance(inputs, (list, tuple)) and len(inputs) == 1 and len(getattr(inputs[0], "shape", ())):
            inputs = inputs[0]
        if "_inputs" in self.__dict__ and hasattr(inputs, "shape"):
            symbol = self.__dict__["_inputs"]
            if len(inputs.shape) == len(symbol.shape) - 1 and symbol.shape[-1] == 1:
                inputs = inputs.reshape(*inputs.shape, 1)
            check_rows(symbol, inputs)
        elif "_first_input" not in self.__dict__:
            self.__dict__["_first_input"] = [described_input(inputs)]
        x = inputs
        for layer in self._layers:
            x = layer(x)
        return x

    @property
    def layers(self) -> list[Any]:
        """The layers, without an ``Input``."""
        return list(self)

    def _output_names(self) -> list[str] | None:
        return None

    def _in_order(self, x: Any) -> Any:
        return next(iter(x.values())) if len(x) == 1 else x


def _symbolic(layer: Any, x: Any) -> Any:
    """A layer's result for a symbolic tensor, also of a layer of ``einkorn.nn``."""
    return layer(x) if isinstance(layer, Layer) else record(layer, (x,), {}, snake_case(type(layer).__name__))
