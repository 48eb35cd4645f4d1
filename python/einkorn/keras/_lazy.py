"""Layers that learn the size of their input from the first one, as Keras' do."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import nn
from einkorn.errors import ArgumentError, EinkornError
from einkorn.keras.losses import Loss
from einkorn.nn.module import Module
from einkorn.training.batches import in_order
from einkorn.training.modes import evaluating
from einkorn.training.state import state_of

__all__ = ["Layer", "LazyCompile", "built"]


class Layer(Module):
    """Base class: ``build(shape)`` makes the parts, at the first call, and ``call`` computes.

    Parameters
    ----------
    name : str, optional
        Kept, as ``layer.name``.
    input_shape : tuple of int, optional
        Of one row: what an ``Input`` before the layer would say.
    """

    built: bool = False

    def __init__(self, *, name: str | None = None, input_shape: Any = None, **unknown: Any) -> None:
        super().__init__()
        if unknown:
            raise ArgumentError(f"{type(self).__name__}: unexpected argument {', '.join(unknown)}")
        self.name = name or type(self).__name__.lower()
        self.input_spec = None if input_shape is None else tuple(input_shape)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the parts for inputs of this shape, the rows first."""

    def call(self, x: Any) -> Any:
        """The computation; inputs of images have their channels last."""
        raise TypeError(f"{type(self).__name__} defines no call()")

    def forward(self, x: Any, *more: Any, training: bool | None = None, **named: Any) -> Any:
        if not self.built:
            self.build(tuple(x.shape))
            self.built = True
        return self.call(x, *more, **named)


def built(model: Module) -> bool:
    """Whether all layers know the size of their input."""
    return all(module.built for module in model.modules() if isinstance(module, Layer))


class LazyCompile(Module):
    """Puts ``compile`` off until layers have their weights, which the first rows bring about."""

    _waiting: tuple[Any, Any] | None = None

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, *more: Any, **options: Any) -> None:
        """As ``Trainable.compile``; Keras' default optimizer is RMSprop."""
        if loss is None:
            raise ArgumentError("compile: loss is None, expected a loss")
        if built(self):
            self.__dict__["_waiting"] = None
            if isinstance(loss, Loss):
                loss, options = loss.loss, {"from_logits": loss.from_logits, **options}
            super().compile(optimizer, loss, *more, **options)
            state = state_of(self)
            assert state.compiled is not None
            state.compiled = state.compiled._replace(loss=state.compiled.loss.widening())
        else:
            self.__dict__["_waiting"] = (optimizer, loss, *more), options

    def _make(self, x: Any) -> None:
        """Build the layers with one row, and do what ``compile`` has put off."""
        if not built(self):
            with evaluating(self):
                self(*_one_row(self, x))
            if not built(self):
                raise EinkornError(
                    f"{type(self).__name__}: some layers were not called, so they have no weights"
                )
        if self._waiting is not None:
            arguments, options = self._waiting
            self.compile(*arguments, **options)

    def fit(self, x: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.fit``."""
        self._make(x)
        return super().fit(x, *more, **options)

    def evaluate(self, x: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.evaluate``."""
        self._make(x)
        return super().evaluate(x, *more, **options)

    def train_on_batch(self, x: Any, *more: Any, **options: Any) -> Any:
        """As ``Trainable.train_on_batch``."""
        self._make(x)
        return super().train_on_batch(x, *more, **options)

    def test_on_batch(self, x: Any, *more: Any, **options: Any) -> Any:
        """As ``Trainable.test_on_batch``."""
        self._make(x)
        return super().test_on_batch(x, *more, **options)


def _one_row(model: Module, x: Any) -> tuple[Any, ...]:
    """The first row of what ``fit`` takes."""
    if isinstance(x, dict):
        parts, names = in_order(x, model)
        rows = tuple(np.asarray(part[:1]) for part in parts)
        return rows if names is None else (dict(zip(names, rows, strict=True)),)
    if isinstance(x, (tuple, list)) and x and getattr(x[0], "ndim", None):
        return tuple(_float(np.asarray(part[:1])) for part in x)
    if hasattr(x, "shape") or isinstance(x, list):
        return (_float(np.asarray(x[:1])),)
    if hasattr(x, "__len__") and hasattr(x, "__getitem__"):
        return (_float(np.asarray(x[0][0])[None]),)
    if hasattr(x, "__len__"):
        batch = next(iter(x))
        return (_float(np.asarray(batch[0])[:1]),)
    raise EinkornError(
        f"{type(model).__name__}: has no weights yet, and {type(x).__name__} cannot be looked into without "
        "using it up: begin the model with Input(shape), or call it with one row first"
    )


def _float(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float32) if rows.dtype == np.float64 else rows


ACTIVATIONS: dict[str, Any] = {
    "relu": nn.functional.relu,
    "sigmoid": nn.functional.sigmoid,
    "tanh": nn.functional.tanh,
    "softmax": lambda x: nn.functional.softmax(x, -1),
    "elu": nn.functional.elu,
    "selu": nn.functional.selu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
    "swish": nn.functional.silu,
    "leaky_relu": lambda x: nn.functional.leaky_relu(x, 0.2),
    "softplus": nn.functional.softplus,
    "linear": lambda x: x,
}


def activation_of(value: Any, owner: str) -> Any:
    """A function from Keras' name of it, or itself; None is the identity."""
    if value is None:
        return ACTIVATIONS["linear"]
    if isinstance(value, str):
        if value not in ACTIVATIONS:
            raise ArgumentError(f"{owner}: activation is {value!r}, expected one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[value]
    if not callable(value):
        raise ArgumentError(f"{owner}: activation is {value!r}, expected a function or a name")
    return value
