"""Weights as Keras shows them: by its names, in its layouts, with ``assign``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from einkorn import _bfloat16, _versions
from einkorn._device import beside
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ShapeError
from einkorn.nn.module import Module, children_of
from einkorn.nn.parameter import Parameter

__all__ = ["Place", "Variable", "Weight", "variables_of"]

Turn = Callable[[np.ndarray], np.ndarray]


class Place(NamedTuple):
    """Where a weight of a layer is kept, and how Keras' layout of it comes about."""

    name: str
    module: Any
    attribute: str
    turn: Turn | None = None  # from the layout here to Keras'
    back: Turn | None = None


class Variable:
    """One weight of a layer.

    Attributes
    ----------
    value : Parameter or array
        What is trained, in the layout of ``einkorn.nn``; its ``grad`` is the gradient.
    name, path : str
        "kernel" and "dense/kernel".
    shape, dtype
        As in Keras, where a kernel of ``Dense`` is [inputs, units].
    """

    def __init__(self, place: Place, path: str) -> None:
        self._place = place
        self.name = place.name
        self.path = path

    @property
    def value(self) -> Any:
        return getattr(self._place.module, self._place.attribute)

    def _array(self) -> np.ndarray:
        value = self.value
        return value._data if isinstance(value, Tensor) else value

    def numpy(self) -> np.ndarray:
        """A copy in Keras' layout."""
        array = self._array()
        return np.array(as_numpy(array if self._place.turn is None else self._place.turn(array)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        array = self._array()
        return tuple((array if self._place.turn is None else self._place.turn(array)).shape)

    @property
    def dtype(self) -> str:
        return str(self._array().dtype)

    @property
    def trainable(self) -> bool:
        value = self.value
        return isinstance(value, Tensor) and value.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if isinstance(self.value, Parameter):
            self.value.requires_grad = bool(value)

    def assign(self, value: Any) -> Variable:
        """Write values in Keras' layout."""
        array = self._array()
        given = beside(array, as_numpy(value))
        if given.shape != self.shape:
            raise ShapeError(f"{self.path}: assign got shape {given.shape}, expected {self.shape}")
        array[...] = _bfloat16.astype(
            given if self._place.back is None else self._place.back(given), array.dtype
        )
        _versions.wrote(array)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the values."""
        return self.assign(self.numpy() + as_numpy(value))

    def assign_sub(self, value: Any) -> Variable:
        """Take away from the values."""
        return self.assign(self.numpy() - as_numpy(value))

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


class Weight(Parameter):
    """What ``add_weight`` gives: a parameter that is a variable of Keras' too."""

    __slots__ = ("name",)

    def __init__(self, data: Any, requires_grad: bool = True, name: str = "variable") -> None:
        super().__init__(data, requires_grad)
        self.name = name

    @property
    def value(self) -> Weight:
        """Itself."""
        return self

    @property
    def trainable(self) -> bool:
        """Whether it is trained."""
        return bool(self.requires_grad)

    def assign(self, value: Any) -> Weight:
        """Write values."""
        given = beside(self, as_numpy(value))
        if given.shape not in ((), self._data.shape):
            raise ShapeError(f"{self.name}: assign got shape {given.shape}, expected {self._data.shape}")
        self._data[...] = given
        _versions.wrote(self._data)
        return self

    def assign_add(self, value: Any) -> Weight:
        """Add to the values."""
        return self.assign(as_numpy(self) + as_numpy(value))

    def assign_sub(self, value: Any) -> Weight:
        """Take away from the values."""
        return self.assign(as_numpy(self) - as_numpy(value))


def variables_of(module: Module) -> list[Variable]:
    """All weights of a module and what is below it, each once, in Keras' order."""
    found: list[Variable] = []
    seen: set[int] = set()
    for place, path in _places(module, getattr(module, "name", None) or type(module).__name__.lower()):
        value = getattr(place.module, place.attribute)
        if value is None or id(value) in seen:
            continue
        seen.add(id(value))
        found.append(Variable(place, f"{path}/{place.name}"))
    return found


def _places(module: Module, path: str) -> Iterator[tuple[Place, str]]:
    own = getattr(module, "_keras_places", None)
    places = own() if own is not None else None
    if places is not None:
        for place in places:
            yield place, path
        return
    for name, value in module.__dict__.items():
        if isinstance(value, Parameter):
            yield Place(name, module, name), path
    for name in module._buffers:
        value = getattr(module, name)
        if value is not None and (value._data if isinstance(value, Tensor) else value).dtype.kind == "f":
            yield Place(name, module, name), path
    for name, child in children_of(module):
        yield from _places(child, f"{path}/{getattr(child, 'name', None) or name}")
