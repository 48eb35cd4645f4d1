"""Containers: modules made of modules."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

import numpy as np

from einkorn.errors import ArgumentError, IndexRangeError
from einkorn.nn.module import Module, children_of
from einkorn.nn.parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Numbered(Module):
    """Children under the names "0", "1", ...; ``_layers`` is the same as a tuple, for speed."""

    _layers: tuple[Module, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__["_layers"] = tuple(module for _, module in children_of(self))

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self.__dict__["_layers"] = tuple(module for _, module in children_of(self))

    def _check(self, module: Any, name: str) -> Module:
        if not isinstance(module, Module):
            what = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
            raise ArgumentError(f"{type(self).__name__}: layer {name} is {what}, expected a Module")
        return module

    def append(self, module: Module) -> Any:
        """Add a layer at the end; returns self."""
        number = len(self._layers)
        while str(number) in self.__dict__:  # a slice keeps the names of its layers
            number += 1
        setattr(self, str(number), self._check(module, str(number)))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add layers at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a layer before the one of that index; returns self for a Sequential."""
        layers = list(self._layers)
        if not -len(layers) <= index <= len(layers):
            raise IndexRangeError(
                f"{type(self).__name__}: index {index} is out of range for {len(layers)} layers"
            )
        layers.insert(index, self._check(module, str(index)))
        self._replace(layers)
        return self

    def pop(self, key: Any = -1) -> Any:
        """Take a layer out and return it."""
        module = self[key]
        del self[key]
        return module

    def _replace(self, layers: list[Module]) -> None:
        for name, _ in list(children_of(self)):
            Module.__delattr__(self, name)
        self.__dict__["_layers"] = ()
        self.extend(layers)

    def __delitem__(self, key: Any) -> None:
        layers = list(self._layers)
        if not isinstance(key, slice):
            self._name(key)
            key = operator.index(key)
        del layers[key]
        self._replace(layers)

    def __add__(self, other: Any) -> Any:
        kind: Any = type(self)
        return kind([*self._layers, *other])

    def __iadd__(self, other: Any) -> Any:
        return self.extend(other)

    def __contains__(self, module: object) -> bool:
        return any(layer is module for layer in self._layers)

    def _name(self, index: int) -> str:
        names = [name for name, _ in children_of(self)]
        position = operator.index(index)
        if not -len(names) <= position < len(names):
            raise IndexRangeError(
                f"{type(self).__name__}: index {position} is out of range for {len(names)} layers"
            )
        return names[position]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Any: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)._from(list(children_of(self))[index])
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        name = self._name(index)
        setattr(self, name, self._check(module, name))

    @classmethod
    def _from(cls, named: list[tuple[str, Module]]) -> Any:
        raise TypeError(f"{cls.__name__} cannot be sliced")


class Sequential(_Numbered):
    """Layers applied one after the other.

    Parameters
    ----------
    *layers : Module, or one list or one mapping of str to Module
        Positional and listed layers are named "0", "1", ...; a mapping (an ``OrderedDict``) names them.
    """

    def __init__(self, *layers: Module | Iterable[Module] | Mapping[str, Module]) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                self.add_module(name, self._check(layer, name))
        elif len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            self.extend(layers[0])
        else:
            self.extend(layers)  # type: ignore[arg-type]

    def add(self, layer: Module) -> None:
        """Add a layer at the end, as Keras names it."""
        self.append(layer)

    def forward(self, input: Any) -> Any:
        for layer in self._layers:
            input = layer(input)
        return input

    @classmethod
    def _from(cls, named: list[tuple[str, Module]]) -> Sequential:
        return Sequential(dict(named))


class ModuleList(_Numbered):
    """A list of modules whose parameters are seen; it computes nothing itself.

    Parameters
    ----------
    modules : iterable of Module, optional
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @classmethod
    def _from(cls, named: list[tuple[str, Module]]) -> ModuleList:
        return ModuleList(module for _, module in named)


class ModuleDict(Module):
    """A dictionary of modules whose parameters are seen; it computes nothing itself.

    Parameters
    ----------
    modules : mapping of str to Module, optional
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return dict(children_of(self))[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise ArgumentError(f"ModuleDict: {name} is {type(module).__name__}, expected a Module")
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self, name)

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in self.keys():
            del self[name]

    def update(self, modules: Any) -> None:
        """Put the modules of a mapping, or of pairs, under their names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __contains__(self, name: object) -> bool:
        return name in dict(children_of(self))

    def __len__(self) -> int:
        return sum(1 for _ in children_of(self))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in children_of(self)]

    def values(self) -> list[Module]:
        """The modules."""
        return [module for _, module in children_of(self)]

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(children_of(self))


class ParameterList(Module):
    """A list of parameters of a module; arrays and Tensors become parameters.

    Parameters
    ----------
    values : iterable of Parameter, Tensor or array, optional
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end; returns the list."""
        self.register_parameter(str(len(self)), _parameter("ParameterList", value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add parameters at the end; returns the list."""
        for value in values:
            self.append(value)
        return self

    def _place(self, index: Any) -> str:
        n = len(self)
        if not isinstance(index, (int, np.integer)) or isinstance(index, bool) or not -n <= index < n:
            raise IndexRangeError(f"ParameterList: index is {index!r}, expected {-n} to {n - 1}")
        return str(int(index) % n)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return getattr(self, self._place(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._place(index), _parameter("ParameterList", value))

    def __len__(self) -> int:
        return sum(1 for _ in self.named_parameters(recurse=False))

    def __iter__(self) -> Iterator[Parameter]:
        return iter([getattr(self, str(i)) for i in range(len(self))])


class ParameterDict(Module):
    """A dictionary of parameters of a module; arrays and Tensors become parameters.

    Parameters
    ----------
    parameters : mapping of str to Parameter, Tensor or array, optional
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        for name, value in (parameters or {}).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            setattr(self, name, _parameter("ParameterDict", value))
        else:
            self.register_parameter(name, _parameter("ParameterDict", value))

    def __getitem__(self, name: str) -> Parameter:
        return dict(self.items())[name]

    def __delitem__(self, name: str) -> None:
        dict(self.items())[name]
        delattr(self, name)

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, else the default."""
        return dict(self.items()).get(key, default)

    def pop(self, key: str) -> Parameter:
        """Take a parameter out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Parameter]:
        """Take the last parameter out and return it with its name."""
        name = self.keys()[-1]
        return name, self.pop(name)

    def setdefault(self, key: str, default: Any = None) -> Parameter:
        """The parameter of that name, which the default becomes where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take all parameters out."""
        for name in self.keys():
            del self[name]

    def copy(self) -> ParameterDict:
        """A dictionary of the same parameters."""
        return ParameterDict(dict(self.items()))

    def update(self, parameters: Any) -> None:
        """Put the parameters of a mapping, or of pairs, under their names."""
        for name, value in dict(parameters).items():
            self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in dict(self.items())

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Parameter]:
        """The parameters."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[str, Parameter]]:
        """Names and parameters."""
        return list(self.named_parameters(recurse=False))


def _parameter(op: str, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise ArgumentError(f"{op}: got a {type(value).__name__}, expected a Parameter, a Tensor or an array")
    return Parameter(value)
