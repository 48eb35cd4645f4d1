"""Layers with Keras' names, arguments and shapes: images are [rows, height, width, channels]."""

from __future__ import annotations

from typing import Any

from einkorn import nn, ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._lazy import Layer, activation_of

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "LayerNormalization",
    "MaxPooling2D",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SimpleRNN",
    "Softmax",
]


class Input(Layer):
    """What a ``Sequential`` begins with: the shape of one row.

    Parameters
    ----------
    shape : tuple of int
        None for an axis of any length.
    """

    def __init__(self, shape: Any = None, *, name: str | None = None) -> None:
        if shape is None:
            raise ArgumentError("Input: shape is None, expected the shape of one row")
        super().__init__(name=name, input_shape=shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return x


InputLayer = Input


def _pair(value: Any, owner: str, name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in pair):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected an integer >= 1 or two of them")
    return pair


def _channels_first(x: Any, owner: str) -> Any:
    if len(x.shape) != 4:
        raise ShapeError(f"{owner}: x has shape {tuple(x.shape)}, expected [rows, height, width, channels]")
    return ops.permute(x, (0, 3, 1, 2))


def _channels_last(x: Any) -> Any:
    return ops.permute(x, (0, 2, 3, 1))


def _same(x: Any, sizes: Any, strides: Any, dilation: Any, value: float) -> Any:
    """Keras' padding "same": as much as makes the output ceil(input / stride), the odd pixel behind."""
    pads: list[int] = []
    for side, size, stride, reach in zip(
        x.shape[:1:-1], sizes[::-1], strides[::-1], dilation[::-1], strict=True
    ):
        total = max(0, (-(-side // stride) - 1) * stride + (size - 1) * reach + 1 - side)
        pads += [total // 2, total - total // 2]
    return nn.functional.pad(x, pads, value=value) if any(pads) else x


def _check_padding(padding: Any, owner: str) -> str:
    if padding not in ("valid", "same"):
        raise ArgumentError(f"{owner}: padding is {padding!r}, expected 'valid' or 'same'")
    return padding


class _Weighted(Layer):
    """A layer around one of ``einkorn.nn`` with a kernel and a bias."""

    def __init__(
        self,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.activation_function = activation_of(activation, type(self).__name__)
        self.use_bias = use_bias
        self.options = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }


class Dense(_Weighted):
    """activation(x W + b), of the last axis.

    Parameters
    ----------
    units : int
    activation : str or callable, optional
    use_bias : bool, default True
    kernel_initializer, bias_initializer : default "glorot_uniform" and "zeros"
    kernel_regularizer, bias_regularizer : optional
    activity_regularizer : None
    kernel_constraint, bias_constraint : optional
    """

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: None = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        _refuse("Dense", activity_regularizer=activity_regularizer)
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, **options,
        )  # fmt: skip
        self.units = units

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.inner = nn.Linear(input_shape[-1], self.units, self.use_bias, **self.options)

    def call(self, x: Any) -> Any:
        return self.activation_function(self.inner(x))


def _refuse(owner: str, **options: Any) -> None:
    """Options of Keras that mean something here would not do."""
    for name, value in options.items():
        if value not in (None, False):
            raise ArgumentError(f"{owner}: {name} is {value!r}, which is not supported, expected None")


class Conv2D(_Weighted):
    """Convolution of images with channels last.

    Parameters
    ----------
    filters : int
    kernel_size : int or two
    strides : int or two, default 1
    padding : "valid" or "same", default "valid"
    data_format : "channels_last" or "channels_first", optional
    dilation_rate : int or two, default 1
    groups : int, default 1
    activation, use_bias, kernel_initializer, ... : as ``Dense``
    """

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = (1, 1), groups: int = 1, activation: Any = None,
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: None = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        _refuse("Conv2D", activity_regularizer=activity_regularizer)
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, **options,
        )  # fmt: skip
        self.filters, self.groups = filters, groups
        self.kernel_size = _pair(kernel_size, "Conv2D", "kernel_size")
        self.strides = _pair(strides, "Conv2D", "strides")
        self.dilation_rate = _pair(dilation_rate, "Conv2D", "dilation_rate")
        self.padding = _check_padding(padding, "Conv2D")
        self.first = _is_first(data_format, "Conv2D")

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[1 if self.first else -1]
        self.inner = nn.Conv2d(
            channels, self.filters, self.kernel_size, self.strides, 0, self.dilation_rate, self.groups,
            self.use_bias, **self.options,
        )  # fmt: skip

    def call(self, x: Any) -> Any:
        x = x if self.first else _channels_first(x, "Conv2D")
        if self.padding == "same":
            x = _same(x, self.kernel_size, self.strides, self.dilation_rate, 0.0)
        out = self.inner(x)
        return self.activation_function(out if self.first else _channels_last(out))


def _is_first(data_format: Any, owner: str) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ArgumentError(
            f"{owner}: data_format is {data_format!r}, expected 'channels_last' or 'channels_first'"
        )
    return data_format == "channels_first"


class _Pool(Layer):
    def __init__(
        self, pool_size: Any = (2, 2), strides: Any = None, padding: str = "valid",
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        owner = type(self).__name__
        self.pool_size = _pair(pool_size, owner, "pool_size")
        self.strides = self.pool_size if strides is None else _pair(strides, owner, "strides")
        self.padding = _check_padding(padding, owner)
        self.first = _is_first(data_format, owner)

    def call(self, x: Any) -> Any:
        x = x if self.first else _channels_first(x, type(self).__name__)
        out = self._pooled(x)
        return out if self.first else _channels_last(out)

    def _pooled(self, x: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _pooled()")


class MaxPooling2D(_Pool):
    """The largest of each window.

    Parameters
    ----------
    pool_size : int or two, default 2
    strides : int or two, default pool_size
    padding : "valid" or "same", default "valid"
    data_format : as ``Conv2D``
    """

    def _pooled(self, x: Any) -> Any:
        if self.padding == "same":
            x = _same(x, self.pool_size, self.strides, (1, 1), float("-inf"))
        return ops.max_pool2d(x, self.pool_size, self.strides)


class AveragePooling2D(_Pool):
    """The mean of each window, of what lies within the image; arguments as ``MaxPooling2D``."""

    def _pooled(self, x: Any) -> Any:
        if self.padding == "valid":
            return ops.avg_pool2d(x, self.pool_size, self.strides)
        rows = x.shape[0]
        inside = ops.multiply(x.data[:rows, :1] if hasattr(x, "backward") else x[:rows, :1], 0.0)
        inside = _same(ops.add(inside, 1.0), self.pool_size, self.strides, (1, 1), 0.0)
        sums = ops.avg_pool2d(
            _same(x, self.pool_size, self.strides, (1, 1), 0.0), self.pool_size, self.strides
        )
        return ops.divide(sums, ops.avg_pool2d(inside, self.pool_size, self.strides))


class GlobalAveragePooling2D(Layer):
    """The mean of each channel."""

    def call(self, x: Any) -> Any:
        return ops.mean(x, axis=(1, 2))


class GlobalMaxPooling2D(Layer):
    """The largest of each channel."""

    def call(self, x: Any) -> Any:
        return ops.max(x, axis=(1, 2))


class Flatten(Layer):
    """Each row as one axis."""

    def call(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)


class Reshape(Layer):
    """Each row in another shape.

    Parameters
    ----------
    target_shape : tuple of int
        Of one row; -1 for one axis.
    """

    def __init__(self, target_shape: Any, **options: Any) -> None:
        super().__init__(**options)
        self.target_shape = tuple(target_shape)

    def call(self, x: Any) -> Any:
        return x.reshape(x.shape[0], *self.target_shape)


class Rescaling(Layer):
    """x * scale + offset.

    Parameters
    ----------
    scale : float
    offset : float, default 0
    """

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = scale, offset

    def call(self, x: Any) -> Any:
        return ops.add(ops.multiply(x, self.scale), self.offset)


class Activation(Layer):
    """A function by name.

    Parameters
    ----------
    activation : str or callable
    """

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.function = activation_of(activation, "Activation")

    def call(self, x: Any) -> Any:
        return self.function(x)


class ReLU(Activation):
    """max(x, 0)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("relu", **options)


class Softmax(Activation):
    """Shares that sum to 1, along the last axis."""

    def __init__(self, **options: Any) -> None:
        super().__init__("softmax", **options)


class Dropout(Layer):
    """Zeroes elements while training.

    Parameters
    ----------
    rate : float
    """

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.inner = nn.Dropout(rate)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.inner(x)


class BatchNormalization(Layer):
    """Batch normalization along the last axis.

    Parameters
    ----------
    axis : int, default -1
        Only the last.
    momentum : float, default 0.99
        The share of the past in the moving statistics.
    epsilon : float, default 0.001
    center, scale : bool, default True
        Only both or none.
    """

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
        scale: bool = True, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        if axis not in (-1, 3) or center != scale:
            raise ArgumentError("BatchNormalization: expected axis -1, and center and scale alike")
        self.momentum, self.epsilon, self.affine = momentum, epsilon, scale

    def build(self, input_shape: tuple[int, ...]) -> None:
        kind = nn.BatchNorm2d if len(input_shape) == 4 else nn.BatchNorm1d
        self.inner = kind(input_shape[-1], self.epsilon, 1 - self.momentum, self.affine)

    def call(self, x: Any) -> Any:
        if len(x.shape) == 4:
            return _channels_last(self.inner(_channels_first(x, "BatchNormalization")))
        if len(x.shape) == 3:
            return ops.permute(self.inner(ops.permute(x, (0, 2, 1))), (0, 2, 1))
        return self.inner(x)


class LayerNormalization(Layer):
    """Normalization of each row along the last axis.

    Parameters
    ----------
    axis : int, default -1
        Only the last.
    epsilon : float, default 0.001
    """

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        if axis != -1:
            raise ArgumentError(f"LayerNormalization: axis is {axis!r}, expected -1")
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.inner = nn.LayerNorm(input_shape[-1], self.epsilon)

    def call(self, x: Any) -> Any:
        return self.inner(x)


class Embedding(Layer):
    """A table of vectors.

    Parameters
    ----------
    input_dim, output_dim : int
    embeddings_initializer : default "uniform"
    embeddings_regularizer, embeddings_constraint : optional
    """

    def __init__(
        self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None, embeddings_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.inner = nn.Embedding(
            input_dim, output_dim, embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer, embeddings_constraint=embeddings_constraint,
        )  # fmt: skip
        self.built = True

    def call(self, x: Any) -> Any:
        return self.inner(x)


class _Recurrent(Layer):
    """A recurrent layer over [rows, steps, features].

    Parameters
    ----------
    units : int
    return_sequences : bool, default False
        Whether the output of every step is given, or of the last.
    go_backwards : bool, default False
        Whether steps are taken from the last to the first.
    """

    _kind: Any = None

    def __init__(
        self, units: int, *, return_sequences: bool = False, go_backwards: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.units, self.return_sequences, self.go_backwards = units, return_sequences, go_backwards

    def build(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise ShapeError(
                f"{type(self).__name__}: x has shape {input_shape}, expected [rows, steps, features]"
            )
        self.inner = type(self)._kind(input_shape[-1], self.units, batch_first=True)
        for name, parameter in self.inner.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
                if isinstance(self.inner, nn.LSTM) and name.startswith("bias_ih"):
                    parameter.data[self.units : 2 * self.units] = 1  # the forget gate begins open

    def call(self, x: Any) -> Any:
        if self.go_backwards:
            x = ops.flip(x, (1,))
        out = self.inner(x)[0]
        return out if self.return_sequences else out[:, -1]


class LSTM(_Recurrent):
    """Long short-term memory; arguments as ``SimpleRNN``."""

    _kind = nn.LSTM


class GRU(_Recurrent):
    """Gated recurrent units, in Keras' form with ``reset_after=True``; arguments as ``SimpleRNN``."""

    _kind = nn.GRU


class SimpleRNN(_Recurrent):
    """h = tanh(W x + U h + b).

    Parameters
    ----------
    units : int
    return_sequences : bool, keyword-only, default False
    go_backwards : bool, keyword-only, default False
    """

    _kind = nn.RNN


class Bidirectional(Layer):
    """A recurrent layer forwards, another of its kind backwards, and both outputs together.

    Parameters
    ----------
    layer : LSTM, GRU or SimpleRNN
    merge_mode : "concat", "sum", "mul", "ave" or None, default "concat"
    """

    def __init__(self, layer: Any, merge_mode: str | None = "concat", **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(layer, _Recurrent):
            raise ArgumentError(f"Bidirectional: layer is {type(layer).__name__}, expected a recurrent layer")
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                f"Bidirectional: merge_mode is {merge_mode!r}, expected concat, sum, mul, ave or None"
            )
        self.merge_mode = merge_mode
        self.forward_layer = layer
        self.backward_layer = type(layer)(
            layer.units, return_sequences=layer.return_sequences, go_backwards=not layer.go_backwards
        )

    def build(self, input_shape: tuple[int, ...]) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            layer.build(input_shape)
            layer.built = True

    def call(self, x: Any) -> Any:
        there, back = self.forward_layer(x), self.backward_layer(x)
        if self.forward_layer.return_sequences:
            back = ops.flip(back, (1,))
        if self.merge_mode == "concat":
            return ops.concatenate((there, back), -1)
        if self.merge_mode is None:
            return there, back
        if self.merge_mode == "mul":
            return ops.multiply(there, back)
        both = ops.add(there, back)
        return both if self.merge_mode == "sum" else ops.multiply(both, 0.5)
