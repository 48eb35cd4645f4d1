"""``Layer``: what knows the size of its input from the first one, and can be called with symbolic tensors."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from einkorn import nn
from einkorn._bfloat16 import is_floating
from einkorn._objects import Configured, described, fitting, library_class, made, of_library
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import config, constraints, regularizers
from einkorn.keras._masks import mask_of, with_mask
from einkorn.keras._names import fresh_name, snake_case
from einkorn.keras._specs import check_inputs
from einkorn.keras._symbols import KerasTensor, flat, has_symbols, mapped, record
from einkorn.keras._types import Typed
from einkorn.keras._variables import Place, Weight, variables_of
from einkorn.nn import initializers
from einkorn.nn.module import Module
from einkorn.nn.parameter import is_deferred, reserve
from einkorn.nn.regularizers import penalized, penalty_of

__all__ = ["Layer", "built", "described_input", "initial", "parameters_of", "refuse"]

_UNSAID = (
    "autocast",
    "input_shape",
    "input_dim",
    "weights",
    "use_cudnn",
)  # arguments that a configuration leaves out

# Arguments with a number for each side.
_SIDES = ("kernel_size", "strides", "dilation_rate", "pool_size", "output_size")

_adders: weakref.WeakSet[Any] = weakref.WeakSet()  # layers with losses of their own since their last call
_parameters: dict[Any, frozenset[str]] = {}
_depth = 0


def parameters_of(function: Any) -> frozenset[str]:
    """The names of a method's parameters."""
    function = getattr(function, "__func__", function)
    function = getattr(function, "__wrapped__", function)
    known = _parameters.get(function)
    if known is None:
        code = function.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        known = _parameters[function] = frozenset(code.co_varnames[:count])
    return known


def refuse(owner: str, **options: Any) -> None:
    """Options of Keras that mean something here would not do."""
    for name, value in options.items():
        if value not in (None, False):
            raise ArgumentError(f"{owner}: {name} is {value!r}, which is not supported, expected None")


def initial(identifier: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Values from an initializer of ``einkorn.keras``, its name, or a function of shape and dtype."""
    if is_deferred():
        return np.zeros(shape, np.float32)  # the values of a file follow
    found = initializers.get(identifier)
    if isinstance(found, initializers.Initializer):
        if len(shape) < 2:
            if isinstance(found, (initializers.Orthogonal, initializers.Identity)):
                raise ShapeError(
                    f"{type(found).__name__}: shape is {tuple(shape)}, expected two axes"
                    f"{' or more' if isinstance(found, initializers.Orthogonal) else ''}"
                )
            # As many go into a vector as come out of it: it is the one kernel between one channel and one.
            vector = np.zeros((1, 1, *shape), np.float32)
            found(vector)
            return vector.reshape(shape)
        # The initializers count fans of [outputs, inputs, ...], which are Keras' last two axes.
        array = np.zeros((shape[-1], shape[-2], *shape[:-2]), np.float32)
        found(array)
        return np.array(np.moveaxis(array, (1, 0), (-2, -1)), order="C")
    names = parameters_of(found) if hasattr(found, "__code__") else frozenset(("dtype",))
    value = found(shape, dtype="float32") if "dtype" in names else found(shape)
    array = np.array(as_numpy(value), np.float32)
    if array.shape != tuple(shape):
        raise ShapeError(f"initializer gave shape {array.shape}, expected {tuple(shape)}")
    return array


class Layer(Typed, Configured, Module):
    """Base class: ``build(shape)`` makes the weights, at the first call, and ``call`` computes.

    Parameters
    ----------
    activity_regularizer : regularizer or str, keyword-only, optional
        A penalty of the layer's output, over the rows, added to the loss.
    trainable : bool, keyword-only, default True
    dtype : str, keyword-only, optional
        Of the weights; by default float32.
    name : str, keyword-only, optional
        By default the class' name in small letters, numbered.
    input_shape : tuple of int, keyword-only, optional
        Of one row: what an ``Input`` before the layer would say.

    Notes
    -----
    As in Keras a layer that is called by hand is not training; ``fit`` and ``training=True`` make it so.
    Layers that augment images do so by hand, too.
    """

    training: bool = False
    built: bool = False
    supports_masking: bool = False
    input_spec: Any = None  # what it says of its inputs: an InputSpec, or several of them
    if TYPE_CHECKING:  # what layers keep in their __dict__, and weights that build makes

        def __getattr__(self, name: str) -> Any: ...

    _integers: ClassVar[bool] = True  # whether arrays of integers come as they are

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise ArgumentError(f"{type(self).__name__}: unexpected argument {', '.join(unknown)}")
        self.name = name or fresh_name(snake_case(type(self).__name__))
        shape = (input_dim,) if input_dim is not None else input_shape
        own = self.__dict__
        own["_row_shape"] = None if shape is None else tuple(shape)
        own["_trains"] = bool(trainable)
        own["_type"] = config.weights_type(type(self).__name__, dtype)
        own["_activity"] = regularizers.get(activity_regularizer)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (list, tuple)) and value and all(isinstance(part, Module) for part in value):
            value = nn.ModuleList(value)
        elif isinstance(value, dict) and value and all(isinstance(part, Module) for part in value.values()):
            value = nn.ModuleDict(value)
        elif isinstance(value, Weight):
            self._give_name(name, value)
        super().__setattr__(name, value)

    # --- to be redefined ------------------------------------------------------------------------

    #: Makes the weights for inputs of this shape, the rows first; a list of shapes for several inputs.
    build: Callable[..., Any]
    #: The computation; inputs of images have their channels last.
    call: Callable[..., Any]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output: that of the input, where ``supports_masking``."""
        if not self.supports_masking or previous_mask is None:
            return None
        return previous_mask[0] if isinstance(previous_mask, list) else previous_mask

    def compute_output_shape(self, *input_shape: Any) -> Any:
        """The output's shape for inputs of this shape, the rows first, None for axes of any length."""

        def symbol(shape: Any) -> Any:
            if isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], (list, tuple)):
                return [symbol(part) for part in shape]
            return KerasTensor(tuple(shape), "float32", "input")

        out = self(*[symbol(shape) for shape in input_shape])
        self.__dict__.get("_inbound", [None]).pop()
        return out.shape if isinstance(out, KerasTensor) else [leaf.shape for leaf in flat(out)]

    def get_config(self) -> dict[str, Any]:
        """Name, whether it is trained, type, and the arguments of the library's own class.

        A class of yours whose arguments are plain values needs none of its own; one that has a ``get_config``
        adds its arguments to ``super().get_config()``.
        """
        base = {"name": self.name, "trainable": self._trains, "dtype": self._type_name()}
        own: Any = library_class(self)
        mine = type(self) is not own and type(self).get_config is not own.get_config
        for name, value in self._arguments_of(own if mine else type(self)).items():
            if name == "data_format" and value is None and self.__dict__.get("first"):
                value = "channels_first"
            unsaid = name in _UNSAID and not (name == "input_dim" and hasattr(self, name))
            if not unsaid and name not in base and (name != "activity_regularizer" or value is not None):
                base[name] = described(_whole(name, self._now(name, value)))
        return base

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A layer from what ``get_config`` gave, here or in Keras.

        Raises
        ------
        ArgumentError
            The configuration has something that the class does not know.
        """
        given = dict(config)
        own: Any = next(filter(of_library, cls.__mro__))
        if cls is not own and cls.get_config is not own.get_config:
            return cls(**given)
        given = {name: made(value) for name, value in given.items()}
        if given.get("dtype") == "float32":
            del given["dtype"]
        named = {name: given.pop(name) for name in ("name", "trainable") if name in given}
        if of_library(cls) or _takes_options(cls):
            return cls(**fitting(cls, {**given, **named}))
        layer = cls(**fitting(cls, given))  # a class of a user's that does not ask for a name
        layer.name = named.get("name", layer.name)
        if not named.get("trainable", True):
            layer.trainable = False
        return layer

    def _now(self, name: str, given: Any) -> Any:
        """An argument as the layer has it: one number for each side, or as it was changed since."""
        own = self.__dict__.get(name, given)
        if isinstance(own, tuple) and name not in _SIDES and len(own) < 2:
            return given
        return own if own is None or isinstance(own, (bool, int, float, str, tuple)) else given

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape of the input that the weights were made for."""
        return self.__dict__.get("_first_input")

    def like_this(self, **changes: Any) -> Any:
        """A layer of this kind with the same arguments but these, and weights of its own."""
        args, named = next(iter(self._made_with.values()))
        fresh = [mapped(_copied, part) for part in (args, named)]
        return type(self)(*fresh[0], **{**fresh[1], **changes})

    # --- calls ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **named: Any) -> Any:
        if has_symbols(args, named):
            return record(self, args, named, self.name)
        return super().__call__(*args, **named)

    def forward(self, *args: Any, training: bool | None = None, mask: Any = None, **named: Any) -> Any:
        """``call``, after the weights are made and with what it asks for of ``training`` and ``mask``."""
        global _depth
        if training is not None and any(module.training != bool(training) for module in self._moody()):
            before = [(module, module.training) for module in self.modules()]
            self.train(bool(training))
            try:
                return self.forward(*args, mask=mask, **named)
            finally:
                for module, mode in before:
                    module.__dict__["training"] = mode
        args = tuple([self._taken(value) for value in args])
        if not self.built:
            self._build(args, named)
        if _adders and _depth == 0:
            self._forget_losses()
        if self.input_spec is not None:
            check_inputs(self.input_spec, args[0] if len(args) == 1 else list(args), self.name)
        takes = parameters_of(type(self).call)
        if "training" in takes:
            named["training"] = self.training
        if mask is None and args:
            mask = mask_of(args[0])
        if mask is not None and "mask" in takes:
            named["mask"] = mask
        _depth += 1
        try:
            out = self.call(*args, **named)
        finally:
            _depth -= 1
        if mask is not None or type(self).compute_mask is not Layer.compute_mask:
            out = self._masked(out, args, mask)
        if self._activity is not None:
            for leaf in flat(out):
                self.add_loss(self._activity(leaf) / max(1, leaf.shape[0]))
        return out

    def _moody(self) -> Iterator[Any]:
        """The layer, and what is below it that works by hand as it does while training."""
        yield self
        for module in self.modules():
            if isinstance(module, Layer) and type(module).training:
                yield module

    def _masked(self, out: Any, args: tuple[Any, ...], mask: Any) -> Any:
        found = self.compute_mask(args[0] if args else None, mask)
        if isinstance(found, list) and isinstance(out, (list, tuple)):
            masks = [*found, *[None] * (len(out) - len(found))]
            return type(out)(with_mask(part, one) for part, one in zip(out, masks, strict=True))
        if found is None or isinstance(out, (list, tuple, dict)):
            return out
        return with_mask(out, found)

    def _taken(self, value: Any) -> Any:
        """An argument as the layer computes with it: arrays of doubles as floats, numbers as arrays."""
        if isinstance(value, Tensor):
            if self._integers or is_floating(value._data.dtype):
                return value
            return value._data.astype(np.float32)
        if isinstance(value, np.ndarray):
            kind = value.dtype.kind
            if kind == "f":
                return value if value.dtype == np.float32 else self._narrowed(value)
            return value if self._integers or kind not in "iub" else value.astype(np.float32)
        if isinstance(value, (list, tuple)):
            if any(isinstance(leaf, (Tensor, np.ndarray)) for leaf in value):
                return type(value)(self._taken(part) for part in value)
            if value and all(isinstance(leaf, (int, float, list)) for leaf in value):
                return self._taken(np.asarray(value))
            return value
        if isinstance(value, dict):
            return {key: self._taken(part) for key, part in value.items()}
        return value

    def _narrowed(self, value: np.ndarray) -> np.ndarray:
        for parameter in self.parameters():
            return (
                value.astype(parameter._data.dtype, copy=False)
                if parameter._data.dtype.kind == "f"
                else value
            )
        return value

    def _build(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.__dict__["_first_input"] = [described_input(value) for value in args]
        shapes = [_shape_of(value) for value in args[:1]]
        if shapes and type(self).build is not Layer.build:
            self.build(shapes[0])
        self._end_of_build()

    def _end_of_build(self) -> None:
        self.built = True
        if self._type is not None:
            self.to(self._type)
        if not self._trains:
            self.trainable = False
        if self.training is not True:
            for module in self.modules():
                if not (isinstance(module, Layer) and type(module).training):
                    module.__dict__["training"] = False

    # --- weights --------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
    ) -> Weight:
        """A weight of the layer, to be assigned to an attribute.

        Parameters
        ----------
        shape : tuple of int, default ()
        initializer : str, initializer, or function of shape and dtype, default "glorot_uniform"
        dtype : str, optional
        trainable : bool, default True
        regularizer, constraint : optional
        name : str, optional
        """
        sizes = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        reserve(*sizes)
        values = initial(initializer or ("glorot_uniform" if len(sizes) > 1 else "zeros"), sizes)
        kept = values.astype(dtype) if dtype in ("float64", "float32") else values
        own = self.__dict__
        taken = sum(key.startswith("made_") for key in own)
        weight = Weight(kept, trainable and self._trains, name or "variable")
        place = f"made_{taken}"
        own[place] = weight
        if not trainable:
            own.setdefault("_fixed", []).append(weight)
        for kind, rule in (
            ("_regularizers", regularizers.get(regularizer)),
            ("_constraints", constraints.get(constraint)),
        ):
            if rule is not None:
                own.setdefault(kind, {})[place] = rule
        return weight

    def _give_name(self, name: str, weight: Weight) -> None:
        """A weight of ``add_weight`` is assigned: it moves, with its rules, from where it was kept."""
        own = self.__dict__
        place = next((key for key, value in own.items() if value is weight and key.startswith("made_")), None)
        if place is None:
            return
        del own[place]
        for kind in ("_regularizers", "_constraints"):
            rules = own.get(kind, {})
            if place in rules:
                rules[name] = rules.pop(place)

    def _keras_places(self) -> list[Place] | None:
        """The layer's weights in Keras' order; None where its attributes tell them."""
        return None

    @property
    def weights(self) -> list[Any]:
        """All weights, as variables in Keras' layouts."""
        return [v.value if isinstance(v.value, Weight) else v for v in variables_of(self)]

    @property
    def trainable_weights(self) -> list[Any]:
        """Those that are trained."""
        return [variable for variable in self.weights if variable.trainable]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Those that are not: moving statistics, and weights of frozen layers."""
        return [variable for variable in self.weights if not variable.trainable]

    @property
    def variables(self) -> list[Any]:
        """``weights``."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Any]:
        """``trainable_weights``."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:
        """``non_trainable_weights``."""
        return self.non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights in Keras' order and layouts."""
        return [variable.numpy() for variable in variables_of(self)]

    def set_weights(self, weights: Any) -> None:
        """Write what ``get_weights`` gave, here or in Keras; all or nothing.

        Raises
        ------
        ArgumentError, ShapeError
            There are more or fewer arrays, or one has another shape.
        """
        own, given = variables_of(self), [np.asarray(value) for value in weights]
        if len(own) != len(given):
            raise ArgumentError(f"set_weights: got {len(given)} arrays, expected {len(own)}")
        for variable, value in zip(own, given, strict=True):
            if value.shape != variable.shape:
                raise ShapeError(
                    f"set_weights: {variable.path} has shape {variable.shape}, got {value.shape}"
                )
        for variable, value in zip(own, given, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights have, moving statistics among them."""
        return sum(int(np.prod(variable.shape)) for variable in variables_of(self))

    @property
    def trainable(self) -> bool:
        """Whether the layer is trained; setting it freezes (False) or thaws it and all below it."""
        return bool(self._trains)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise ArgumentError(f"{type(self).__name__}.trainable is {value!r}, expected True or False")
        fixed: set[int] = set()
        for module in self.modules():
            if isinstance(module, Layer):
                module.__dict__["_trains"] = value
                fixed |= {id(weight) for weight in module.__dict__.get("_fixed", ())}
        for parameter in self.parameters():
            parameter.requires_grad = value and id(parameter) not in fixed

    # --- losses ---------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add to what is trained for: a number that was computed in ``call``."""
        self.__dict__.setdefault("_added", []).extend(flat(loss))
        _adders.add(self)

    @property
    def losses(self) -> list[Any]:
        """What ``add_loss`` was given in the last call, and the penalties of weights."""
        found = self._added_losses()
        penalty = penalty_of(penalized(self))
        return found if penalty is None else [*found, penalty]

    def _added_losses(self) -> list[Any]:
        return (
            [loss for module in self.modules() for loss in module.__dict__.get("_added", ())]
            if _adders
            else []
        )

    def _forget_losses(self) -> None:
        for module in self.modules():
            if module.__dict__.pop("_added", None):
                _adders.discard(module)

    # --- the graph ------------------------------------------------------------------------------

    def _node(self) -> Any:
        nodes = self.__dict__.get("_inbound")
        if not nodes:
            raise ArgumentError(
                f"{self.name} was not called with symbolic tensors, so it has no input and output"
            )
        return nodes[0]

    @property
    def input(self) -> Any:
        """The symbolic tensor that the layer was first called with."""
        found = self._node().inputs
        return found[0] if len(found) == 1 else found

    @property
    def output(self) -> Any:
        """What the layer gave for it."""
        return self._node().outputs

    @property
    def output_shape(self) -> Any:
        """The output's shape."""
        out = self.output
        return out.shape if isinstance(out, KerasTensor) else [leaf.shape for leaf in flat(out)]


def _copied(value: Any) -> Any:
    """An argument of a layer for another one: layers among them are made anew."""
    return value.like_this() if isinstance(value, Layer) else value


def _whole(name: str, value: Any) -> Any:
    """An argument that names an initializer, a regularizer, a constraint or an activation, as the object."""
    kind = name.rpartition("_")[2]
    if kind == "activation":
        return "linear" if value is None else value
    if name == "data_format":
        return value or "channels_last"
    kinds = {
        "initializer": initializers.get,
        "regularizer": regularizers.get,
        "constraint": constraints.get,
    }
    return kinds[kind](value) if kind in kinds and isinstance(value, str) else value


def _takes_options(kind: Any) -> bool:
    """Whether the constructor of a class takes a name."""
    code = getattr(kind.__init__, "__wrapped__", kind.__init__).__code__
    return "name" in parameters_of(kind.__init__) or bool(code.co_flags & 8)


def _no_weights(layer: Layer, input_shape: Any) -> None:
    """``build`` of layers without weights, or that make them when they are made."""


def _no_computation(layer: Layer, *inputs: Any) -> Any:
    """``call`` of a class that lacks one."""
    raise TypeError(f"{type(layer).__name__} defines no call()")


Layer.build = _no_weights
Layer.call = _no_computation


def _shape_of(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_shape_of(part) for part in value]
    if isinstance(value, dict):
        return {key: _shape_of(part) for key, part in value.items()}
    return tuple(value.shape) if hasattr(value, "shape") else None


def described_input(value: Any) -> Any:
    """Shape and type of what a layer was first called with."""
    if isinstance(value, (list, tuple)):
        return [described_input(part) for part in value]
    if isinstance(value, dict):
        return {key: described_input(part) for key, part in value.items()}
    return {"shape": list(value.shape), "dtype": str(value.dtype)} if hasattr(value, "shape") else None


def built(model: Module) -> bool:
    """Whether all layers have their weights."""
    return all(module.built for module in model.modules() if isinstance(module, Layer))
