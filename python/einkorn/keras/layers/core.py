"""Inputs, products, tables, activations and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import nn, ops
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError
from einkorn.keras import activations, config, regularizers
from einkorn.keras._base import Layer, initial, refuse
from einkorn.keras._names import fresh_name
from einkorn.keras._rules import give_rule
from einkorn.keras._symbols import KerasTensor, Node
from einkorn.keras._variables import Place
from einkorn.keras.layers._weighted import Weighted, rules_of, transposed

__all__ = [
    "ELU", "Activation", "Dense", "EinsumDense", "Embedding", "Identity", "Input", "InputLayer", "Lambda",
    "LeakyReLU", "Masking", "PReLU", "ReLU", "Softmax",
]  # fmt: skip


class InputLayer(Layer):
    """Where a model begins.

    Parameters
    ----------
    shape : tuple of int or None
        Of one row.
    batch_size : int, optional
    dtype : str, default "float32"
    batch_shape : tuple, optional
        The shape with the rows' axis, in the place of both.
    name : str, optional
    """

    def __init__(
        self, shape: Any = None, batch_size: int | None = None, dtype: Any = None, sparse: bool | None = None,
        ragged: bool | None = None, batch_shape: Any = None, input_tensor: Any = None, optional: bool = False,
        name: str | None = None,
    ) -> None:  # fmt: skip
        refuse("Input", sparse=sparse, ragged=ragged, optional=optional)
        if input_tensor is not None:
            raise ArgumentError(
                f"Input: tensor is {type(input_tensor).__name__}, which is not supported, expected None"
            )
        if shape is None and batch_shape is None:
            raise ArgumentError("Input: shape is None, expected the shape of one row")
        sizes = (
            tuple(batch_shape)
            if shape is None
            else (batch_size, *(shape if not isinstance(shape, int) else (shape,)))
        )
        if any(size is not None and (not isinstance(size, (int, np.integer)) or size < 0) for size in sizes):
            raise ArgumentError(f"Input: shape is {shape!r}, expected sizes >= 0, or None for any length")
        super().__init__(name=name or fresh_name("input_layer"))
        kind = np.dtype(_input_type(dtype))
        self.batch_shape, self.dtype = sizes, str(kind)
        symbol = KerasTensor(sizes, str(kind), self.name)
        symbol.node = Node(self, (), {}, self.name)
        symbol.node.outputs = symbol
        self.__dict__["_inbound"] = [symbol.node]
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Shape, type and name."""
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": "string" if self.dtype.startswith("<U") else self.dtype,
            "sparse": False,
            "name": self.name,
        }

    @property
    def input(self) -> Any:
        """The symbolic tensor itself."""
        return self.output

    def call(self, x: Any) -> Any:
        return x


def _input_type(dtype: Any) -> str:
    name = config.type_name(dtype)
    return "float32" if name == "bfloat16" else "<U1" if name == "str" else name


def Input(  # noqa: N802 - Keras' name
    shape: Any = None, batch_size: int | None = None, dtype: Any = None, sparse: bool | None = None,
    ragged: bool | None = None, batch_shape: Any = None, name: str | None = None, tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:  # fmt: skip
    """A symbolic tensor, which a model begins with; arguments as :class:`InputLayer`."""
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    symbol: KerasTensor = layer.output
    return symbol


class Dense(Weighted):
    """activation(x W + b), of the last axis.

    Parameters
    ----------
    units : int
    activation : str or callable, optional
    use_bias : bool, default True
    kernel_initializer, bias_initializer : default "glorot_uniform" and "zeros"
    kernel_regularizer, bias_regularizer, activity_regularizer : optional
    kernel_constraint, bias_constraint : optional
    """

    supports_masking = True
    _turn = staticmethod(transposed)
    _back = staticmethod(transposed)

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ArgumentError(f"Dense: units is {units!r}, expected an integer >= 1")
        rules = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        super().__init__(activation, use_bias, rules, activity_regularizer=activity_regularizer, **options)
        self.units = int(units)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.inner = self._fill(nn.Linear(input_shape[-1], self.units, self.use_bias, activation=self.fused))
        self.built = True

    def call(self, x: Any) -> Any:
        return self._end(self.inner(x))


class EinsumDense(Layer):
    """activation(einsum(equation, x, W) + b).

    Parameters
    ----------
    equation : str
        Such as "abc,cd->abd"; the first operand is x, the second the kernel.
    output_shape : int or tuple of int or None
        Of one row; None for axes that x tells.
    activation : str or callable, optional
    bias_axes : str, optional
        The letters of the output's axes along which there is a bias.
    kernel_initializer, bias_initializer : default "glorot_uniform" and "zeros"
    kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint : optional
    """

    _integers = False

    def __init__(
        self, equation: str, output_shape: Any, activation: Any = None, bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
        bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.equation, self.bias_axes = equation, bias_axes
        self.row_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation, owner="EinsumDense")
        self.initializers = kernel_initializer, bias_initializer
        self.rules = (kernel_regularizer, kernel_constraint), (bias_regularizer, bias_constraint)

    def build(self, input_shape: tuple[int, ...]) -> None:
        operands, out = self.equation.replace(" ", "").split("->")
        first, second = operands.split(",")
        first = first.replace("...", "")
        sizes = dict(zip(first[::-1], input_shape[::-1], strict=False))
        known = dict(zip(out.replace("...", "")[::-1], self.row_shape[::-1], strict=False))
        sizes.update({letter: size for letter, size in known.items() if size is not None})
        (penalty, limit), (bias_penalty, bias_limit) = self.rules
        self.kernel = self.add_weight(
            [sizes[letter] for letter in second], self.initializers[0], regularizer=penalty,
            constraint=limit, name="kernel",
        )  # fmt: skip
        self.bias = None
        if self.bias_axes is not None:
            last = out.replace("...", "")
            shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in last]
            while shape and shape[0] == 1 and last[len(last) - len(shape)] not in self.bias_axes:
                shape = shape[1:]
            self.bias = self.add_weight(
                shape, self.initializers[1], regularizer=bias_penalty, constraint=bias_limit, name="bias"
            )

    def call(self, x: Any) -> Any:
        out = ops.einsum(self.equation, x, self.kernel)
        return self.activation(out if self.bias is None else ops.add(out, self.bias))


class Embedding(Layer):
    """A table of vectors.

    Parameters
    ----------
    input_dim, output_dim : int
        How many there are, and how long each is.
    embeddings_initializer : default "uniform"
    embeddings_regularizer, embeddings_constraint : optional
    mask_zero : bool, default False
        Whether steps of the number 0 are padding, which later layers leave out.
    """

    def __init__(
        self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None, embeddings_constraint: Any = None, mask_zero: bool = False,
        weights: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        options.pop("input_length", None)  # of older programs; it says nothing that the data do not
        super().__init__(**options)
        rules = rules_of(
            "Embedding", embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer, embeddings_constraint=embeddings_constraint,
        )  # fmt: skip
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero
        self.supports_masking = mask_zero
        self.inner = nn.Embedding(input_dim, output_dim)
        self.inner.weight._data[...] = initial(rules["embeddings_initializer"], (input_dim, output_dim))
        for kind in ("regularizer", "constraint"):
            give_rule(self.inner, kind, "weight", rules[f"embeddings_{kind}"])
        self._end_of_build()
        if weights is not None:
            self.set_weights(weights if isinstance(weights, (list, tuple)) else [weights])

    def call(self, x: Any) -> Any:
        numbers = x._data if isinstance(x, Tensor) else x
        return self.inner(numbers.astype(np.int64) if numbers.dtype.kind == "f" else numbers)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where the numbers are not 0."""
        if not self.mask_zero:
            return None
        return as_numpy(inputs) != 0

    def _keras_places(self) -> list[Place]:
        return [Place("embeddings", self.inner, "weight")]


class Masking(Layer):
    """Leaves out, in later layers, steps whose features are all one value.

    Parameters
    ----------
    mask_value : float, default 0
    """

    supports_masking = True
    _integers = False

    def __init__(self, mask_value: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where any feature is another."""
        return (as_numpy(inputs) != self.mask_value).any(-1)

    def call(self, x: Any) -> Any:
        keep = self.compute_mask(x)[..., None]
        return ops.multiply(x, keep.astype(np.asarray(getattr(x, "data", x)).dtype))


class Activation(Layer):
    """A function by name.

    Parameters
    ----------
    activation : str or callable
    """

    supports_masking = True
    _integers = False

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation, owner="Activation")

    def call(self, x: Any) -> Any:
        return self.activation(x)


class ReLU(Layer):
    """x above the threshold, ``negative_slope * (x - threshold)`` below it.

    Parameters
    ----------
    max_value : float, optional
    negative_slope : float, default 0
    threshold : float, default 0
    """

    supports_masking = True
    _integers = False

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, value in (
            ("max_value", max_value), ("negative_slope", negative_slope), ("threshold", threshold)
        ):  # fmt: skip
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise ArgumentError(f"ReLU: {name} is {value!r}, expected a number >= 0")
        self.arguments = negative_slope, max_value, threshold

    def call(self, x: Any) -> Any:
        return activations.relu(x, *self.arguments)


class LeakyReLU(Layer):
    """x, or ``negative_slope * x`` below 0.

    Parameters
    ----------
    negative_slope : float, default 0.3
    """

    supports_masking = True
    _integers = False

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        self.negative_slope = negative_slope

    def call(self, x: Any) -> Any:
        return activations.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """x, or alpha (exp(x) - 1) below 0.

    Parameters
    ----------
    alpha : float, default 1
    """

    supports_masking = True
    _integers = False

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def call(self, x: Any) -> Any:
        return activations.elu(x, self.alpha)


class PReLU(Layer):
    """x, or alpha x below 0, where alpha is learned, one for each element of a row.

    Parameters
    ----------
    alpha_initializer : default "zeros"
    alpha_regularizer, alpha_constraint : optional
    shared_axes : list of int, optional
        Axes along which alpha is the same, counted from 1.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
        shared_axes: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.rules = alpha_initializer, alpha_regularizer, alpha_constraint
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())

    def build(self, input_shape: tuple[int, ...]) -> None:
        shape = [1 if i in self.shared_axes else size for i, size in enumerate(input_shape)][1:]
        initializer, regularizer, constraint = self.rules
        self.alpha = self.add_weight(
            shape, initializer, regularizer=regularizer, constraint=constraint, name="alpha"
        )

    def call(self, x: Any) -> Any:
        return ops.subtract(ops.relu(x), ops.multiply(self.alpha, ops.relu(ops.negative(x))))


class Softmax(Layer):
    """Shares that sum to 1.

    Parameters
    ----------
    axis : int, default -1
    """

    supports_masking = True
    _integers = False

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is not None:
            x = ops.where(np.asarray(mask), x, np.float32(-1e9))
        return activations.softmax(x, self.axis)


class Identity(Layer):
    """Its input."""

    supports_masking = True

    def call(self, x: Any) -> Any:
        return x


class ActivityRegularization(Layer):
    """Its input, a penalty of which is added to the loss.

    Parameters
    ----------
    l1, l2 : float, default 0
        What absolute values and squares cost, over the rows.
    """

    supports_masking = True
    _integers = False

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **options)
        self.l1, self.l2 = l1, l2

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        """Name, type and both factors."""
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}


class Lambda(Layer):
    """A function as a layer.

    Parameters
    ----------
    function : callable
    output_shape : ignored
        It is found out.
    mask : array or callable, optional
        The mask of the output, or a function of the input and its mask.
    arguments : dict, optional
        More keyword arguments of the function.
    """

    def __init__(
        self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None,
        arguments: dict[str, Any] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.function, self.arguments, self.mask = function, dict(arguments or {}), mask
        self.supports_masking = mask is not None

    def call(self, x: Any) -> Any:
        return self.function(x, **self.arguments)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """What ``mask`` says."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask
