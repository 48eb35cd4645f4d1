"""Objects as plain values, and back: what files of whole models, ``to_json`` and ``get_config`` are made of.

The form is that of Keras 3, ``{"module", "class_name", "config", "registered_name"}``. A name is looked up in
the lists below, among the objects that the program registered, and among those it hands over; nothing is
imported because a file says so.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from einkorn._context import Context
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError

__all__ = [
    "Configured",
    "Plain",
    "custom_scope",
    "described",
    "fitting",
    "found",
    "library_class",
    "made",
    "of_library",
    "registered",
    "registered_name",
    "remembered",
    "remembering",
    "signature_of",
]  # fmt: skip

# The modules whose public names a description may hold, by the name they have there.
_LISTS = {
    "keras": "einkorn.keras",
    "keras.activations": "einkorn.keras.activations",
    "keras.constraints": "einkorn.keras.constraints",
    "keras.initializers": "einkorn.keras.initializers",
    "keras.layers": "einkorn.keras.layers",
    "keras.losses": "einkorn.keras.losses",
    "keras.metrics": "einkorn.keras.metrics",
    "keras.models": "einkorn.keras.models",
    "keras.optimizers": "einkorn.keras.optimizers",
    "keras.optimizers.schedules": "einkorn.optim.schedules",
    "keras.regularizers": "einkorn.keras.regularizers",
}
# Where classes of the library live, and the list that they are in.
_HOMES = (
    ("einkorn.keras.layers.", "keras.layers"),
    ("einkorn.keras.models", "keras"),
    ("einkorn.keras._accounts", "keras.metrics"),
    ("einkorn.keras._areas", "keras.metrics"),
    ("einkorn.keras._counts", "keras.metrics"),
    ("einkorn.keras._overlaps", "keras.metrics"),
    ("einkorn.keras._row_losses", "keras.losses"),
    ("einkorn.keras._special_losses", "keras.losses"),
    ("einkorn.keras.constraints", "keras.constraints"),
    ("einkorn.keras.optimizers._", "keras.optimizers"),
    ("einkorn.keras.regularizers", "keras.regularizers"),
    ("einkorn.keras.initializers", "keras.initializers"),
    ("einkorn.nn.initializers", "keras.initializers"),
    ("einkorn.nn.regularizers", "keras.regularizers"),
    ("einkorn.nn.constraints", "keras.constraints"),
    ("einkorn.optim.schedules", "keras.optimizers.schedules"),
)
# Parts of the inner module names that Keras writes, and the list that the object is in.
_INNER = (
    ("schedules", "keras.optimizers.schedules"),
    ("optimizers", "keras.optimizers"),
    ("layers", "keras.layers"),
    ("losses", "keras.losses"),
    ("metrics", "keras.metrics"),
    ("models", "keras.models"),
)

_registered: dict[str, Any] = {}
_scope: ContextVar[Mapping[str, Any]] = ContextVar("einkorn_custom_objects", default={})  # noqa: B039


class custom_scope(Context[None]):  # noqa: N801 - reads as a function
    """Objects that descriptions may name, within a ``with`` block, beside those that are registered."""

    def __init__(self, objects: Mapping[str, Any] | None) -> None:
        self._objects = dict(objects or {})

    def _enter(self) -> tuple[None, Any]:
        return None, _scope.set({**_scope.get(), **self._objects})

    def _leave(self, before: Any) -> None:
        _scope.reset(before)


def registered() -> dict[str, Any]:
    """The objects that the program registered, by name: the dictionary itself."""
    return _registered


@functools.cache
def signature_of(function: Any) -> tuple[Any, ...]:
    """The parameters of a method behind ``self``, as ``inspect`` has them."""
    import inspect

    return tuple(inspect.signature(function).parameters.values())[1:]


def _bound(function: Any, args: tuple[Any, ...], named: Mapping[str, Any], rest_name: str) -> dict[str, Any]:
    """The arguments of a call by name, with defaults, and those of ``**options`` among them."""
    found: dict[str, Any] = {}
    rest = dict(named)
    values = list(args)
    for parameter in signature_of(function):
        name = parameter.name
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(rest)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            if values:
                found[rest_name], values = list(values), []
        elif values and parameter.kind is not parameter.KEYWORD_ONLY:
            found[name] = values.pop(0)
        else:
            found[name] = rest.pop(name, parameter.default)
    return found


def of_library(kind: type) -> bool:
    """Whether a class is one of the library's own."""
    return kind.__module__.partition(".")[0] == "einkorn"


def library_class(value: Any) -> type:
    """The nearest of an object's classes that is the library's own."""
    return next(kind for kind in type(value).__mro__ if of_library(kind))


class Configured:
    """What remembers the arguments that it was made with, and tells them as ``get_config``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("__init__")
        if own is not None:
            setattr(cls, "__init__", remembering(cls, own))  # noqa: B010 - a method is replaced

    def _arguments_of(self, kind: type | None = None) -> dict[str, Any]:
        """The arguments of the constructor, or of that of a class it is made of."""
        return remembered(self, kind or type(self))

    def _own_config(self) -> dict[str, Any]:
        """What the constructor was given; behind a user's ``get_config``, the library's class."""
        kind = type(self)
        own = library_class(self)
        if kind is not own and kind.get_config is not own.get_config:  # type: ignore[attr-defined]
            kind = own
        return {name: described(value) for name, value in self._arguments_of(kind).items()}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an object like this one, as plain values."""
        return self._own_config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object from what ``get_config`` gave, here or in Keras."""
        own = next(kind for kind in cls.__mro__ if of_library(kind))
        if cls is not own and cls.get_config is not own.get_config:  # type: ignore[attr-defined]
            return cls(**config)
        return cls(**fitting(cls, {name: made(value) for name, value in config.items()}))


def remembered(value: Any, kind: type, rest: str = "args") -> dict[str, Any]:
    """The arguments that the constructor of a class was called with, ``*args`` under the name ``rest``."""
    calls: dict[type, Any] = value.__dict__.get("_made_with", {})
    for one in kind.__mro__:
        if one in calls:
            args, named = calls[one]
            return _bound(one.__init__, args, named, rest)  # type: ignore[misc]
    return {}


def remembering(kind: type, function: Callable[..., None]) -> Callable[..., None]:
    """The constructor of a class, which keeps what it was called with, for :func:`remembered`."""

    @functools.wraps(function)
    def construct(self: Any, *args: Any, **named: Any) -> None:
        calls = self.__dict__.setdefault("_made_with", {})
        calls.setdefault(kind, (args, named))
        function(self, *args, **named)

    return construct


def fitting(kind: Any, config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what a class does not know and what says nothing.

    Raises
    ------
    ArgumentError
        An argument that the class does not know says something.
    """
    names: set[str] = set()
    for one in kind.__mro__:
        if "__init__" in one.__dict__ and one is not object:
            parameters = signature_of(one.__init__)
            names |= {parameter.name for parameter in parameters}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                break
    unknown = {name: value for name, value in config.items() if name not in names}
    for name, value in unknown.items():
        if value not in (None, False):
            raise ArgumentError(
                f"{kind.__name__}: the configuration has {name} {value!r}, which is not supported"
            )
    return {name: value for name, value in config.items() if name not in unknown}


class Plain:
    """What has an attribute for each argument of its constructor."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an object like this one."""
        names = [parameter.name for parameter in signature_of(type(self).__init__)]
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object from what ``get_config`` gave, here or in Keras."""
        if not of_library(cls):
            return cls(**config)
        given = {name: made(value) for name, value in config.items()}
        if "name" not in {parameter.name for parameter in signature_of(cls.__init__)}:
            given.pop("name", None)
        return cls(**fitting(cls, given))


# --- to plain values ------------------------------------------------------------------------------


def described(value: Any) -> Any:
    """A value as texts, numbers, lists and dicts.

    Raises
    ------
    ArgumentError
        It is an object without ``get_config``, or a function without a name.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [described(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, Tensor):
        return _array("__tensor__", value.detach().numpy())
    if isinstance(value, np.ndarray):
        return _array("__numpy__", value)
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return str(np.dtype(value))
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": {name: described(part) for name, part in parts.items()}}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, type) or not hasattr(value, "get_config"):
        from einkorn.models import modules

        return modules.described(value) if modules.is_module(value) else _function(value)
    kind = type(value)
    place, name = getattr(value, "_described_as", None) or (_place(kind), kind.__name__)
    return {
        "module": place,
        "class_name": name,
        "config": described(value.get_config()),
        "registered_name": None if place is not None else registered_name(value),
    }


def _array(kind: str, array: np.ndarray) -> dict[str, Any]:
    return {"class_name": kind, "config": {"value": array.tolist(), "dtype": str(array.dtype)}}


def _place(kind: Any) -> str | None:
    """The list that a class or function of the library is in."""
    home = str(getattr(kind, "__module__", ""))
    if not home.startswith("einkorn."):
        return None
    for begin, place in _HOMES:
        if home.startswith(begin):
            return place
    place = home.removeprefix("einkorn.")
    return place if place in _LISTS else None


def registered_name(value: Any) -> str:
    """The name that an object, its class or a function is registered under, or else its own."""
    kind = value if isinstance(value, type) or hasattr(value, "__name__") else type(value)
    for name, one in _registered.items():
        if one is kind:
            return name
    return str(kind.__name__)


def _function(value: Any) -> Any:
    name = getattr(value, "__name__", None)
    if isinstance(value, type) or not callable(value) or name is None:
        kind = value if isinstance(value, type) else type(value)
        raise ArgumentError(f"{kind.__name__} has no get_config(), so it cannot be written down: give it one")
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, type(functools)):
        raise ArgumentError(
            f"{name} is a method of an object of {type(owner).__name__}, which a file cannot name: give a "
            "function that is registered"
        )
    place = _place(value)
    if place is not None and name in _public(place) and not name.startswith("<"):
        return name
    own = registered_name(value)
    if name == "<lambda>" and own == name:
        raise ArgumentError("a lambda has no name that a file could hold: give a function that is registered")
    return {"module": None, "class_name": "function", "config": name, "registered_name": own}


# --- and back -------------------------------------------------------------------------------------


def made(value: Any) -> Any:
    """What :func:`described` described.

    Raises
    ------
    ArgumentError
        A name is in no list, and neither registered nor handed over; a configuration does not fit.
    """
    if isinstance(value, list):
        return [made(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value or "config" not in value:
        return {key: made(part) for key, part in value.items()}
    name, config = value["class_name"], value["config"]
    if not isinstance(name, str):
        raise ArgumentError(f"class_name is {name!r}, expected a text")
    if name in ("__numpy__", "__tensor__"):
        array = np.asarray(config["value"], _dtype(config["dtype"]))
        return array if name == "__numpy__" else Tensor(array)
    if name == "__slice__":
        return slice(*[made(config[part]) for part in ("start", "stop", "step")])
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__lambda__":
        raise ArgumentError("the description holds a lambda's code, which is never run")
    if name == "DTypePolicy":
        return config["name"]
    if value.get("module") in ("einkorn.nn", "einkorn.models"):
        from einkorn.models import modules

        return modules.made(name, config, value["module"])
    target = found(
        name if name != "function" else config, value.get("module", ""), value.get("registered_name")
    )
    if name == "function":
        return target
    if not isinstance(target, type) or not hasattr(target, "from_config"):
        raise ArgumentError(f"{name} is no class with from_config(), expected one")
    if not isinstance(config, Mapping):
        raise ArgumentError(f"{name}: config is {config!r}, expected a dict")
    return target.from_config(config)


def _dtype(name: Any) -> np.dtype[Any]:
    if name not in ("float16", "float32", "float64", "bool") and str(name).strip("u")[:3] != "int":
        raise ArgumentError(f"an array's dtype is {name!r}, expected a type of numbers")
    return np.dtype(str(name))


@functools.cache
def _public(place: str) -> frozenset[str]:
    return frozenset(importlib.import_module(_LISTS[place]).__all__)


def found(name: Any, place: Any, own_name: Any = None) -> Any:
    """The object of a name: one that was handed over or registered, or one of the list ``place``.

    Raises
    ------
    ArgumentError
        There is none.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"a name is {name!r}, expected a text")
    handed = _scope.get()
    for known in (handed, _registered):
        for key in (own_name, name):
            if isinstance(key, str) and key in known:
                return known[key]
    lists = _lists_for(place)
    for each in lists:
        if name in _public(each):
            return getattr(importlib.import_module(_LISTS[each]), name)
    if name == "Functional":
        return found("Model", "keras")
    raise ArgumentError(
        f"{own_name or name!r} is unknown: hand it over in custom_objects={{{name!r}: ...}}, or register it "
        "before with keras.saving.register_keras_serializable"
    )


def _lists_for(place: Any) -> list[str]:
    if place == "":  # a description by hand, or of an older Keras
        return list(_LISTS)
    if place in _LISTS:
        return [str(place)]
    if isinstance(place, str) and place.startswith("keras.src."):
        parts = place.split(".")
        return [each for part, each in _INNER if part in parts][:1]
    return []
