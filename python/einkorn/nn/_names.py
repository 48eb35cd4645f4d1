"""Which names the attributes and methods of a module may take.

Every module has torch's methods, Keras' verbs and a little state of its own. What a user names the same
would break one of them without a word, so the collision is refused, by name, where it is made: in the
assignment, or in the class that redefines a method which the library calls.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

from einkorn.errors import ArgumentError

__all__ = ["check_attribute", "check_class", "check_name"]

_METHODS = (FunctionType, classmethod, staticmethod)

# Methods that the library itself calls on users' modules, with the arguments it gives them. The verbs
# (fit, predict, ...) are not among them: they may be redefined at will, as an estimator does.
_CALLED: dict[str, tuple[str, ...]] = {
    "apply": ("fn",),
    "children": (),
    "extra_repr": (),
    "load_state_dict": ("state_dict", "strict"),
    "modules": (),
    "named_modules": (),
    "named_parameters": (),
    "parameters": (),
    "requires_grad_": ("requires_grad",),
    "state_dict": (),
    "train": ("mode",),
}


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "einkorn"


def _find(kind: type, name: str) -> tuple[type | None, Any]:
    """The class that defines an attribute, and what it is there, descriptors unopened."""
    for base in kind.__mro__:
        if name in base.__dict__:
            return base, base.__dict__[name]
    return None, None


def check_name(kind: type, name: Any) -> None:
    """Refuse what cannot be part of a dotted name in a ``state_dict``."""
    if not isinstance(name, str) or not name or "." in name:
        raise ArgumentError(f"{kind.__name__}: name is {name!r}, expected a string without dots")


def check_attribute(kind: type, name: str, value: Any, layer: bool) -> None:
    """Refuse to store ``value`` where it would hide a method or overwrite state of the library.

    Parameters
    ----------
    kind : type
        Class of the module.
    name : str
    value : object
    layer : bool
        Whether the value is a module or a parameter: callable, perhaps, but no method.
    """
    owner, found = _find(kind, name)
    if owner is None:
        return
    if isinstance(found, _METHODS) and not name.startswith("__") and (layer or not callable(value)):
        raise ArgumentError(
            f"{kind.__name__}.{name} is a method of {owner.__name__}, so this {type(value).__name__} "
            f"cannot have the name: choose another, such as {name}_"
        )
    if layer and isinstance(found, property) and _is_ours(owner):
        raise ArgumentError(
            f"{kind.__name__}.{name} is kept by {owner.__name__}, so this {type(value).__name__} "
            f"cannot have the name: choose another, such as {name}_"
        )
    if name.startswith("_") and not name.startswith("__") and _is_ours(owner):
        raise ArgumentError(f"{kind.__name__}.{name} is kept by {owner.__name__} itself: choose another name")


def check_class(cls: type) -> None:
    """Refuse a class of a user's whose own names collide with the library's.

    A method that the library calls may be redefined if it still takes what it is called with.
    """
    if _is_ours(cls):
        return
    for name, value in cls.__dict__.items():
        if name.startswith("__"):
            continue
        ours = next((base for base in cls.__mro__[1:] if _is_ours(base) and name in base.__dict__), None)
        if ours is None:
            continue
        if name.startswith("_"):
            raise ArgumentError(
                f"{cls.__name__}.{name} is kept by {ours.__name__} itself: choose another name"
            )
        if not isinstance(ours.__dict__[name], FunctionType):
            continue
        if not callable(value) and not isinstance(value, (classmethod, staticmethod)):
            raise ArgumentError(
                f"{cls.__name__}.{name} is {type(value).__name__}, but every {ours.__name__} has a method of "
                "that name: choose another name"
            )
        if name in _CALLED and isinstance(value, FunctionType) and not _takes(value, _CALLED[name]):
            raise ArgumentError(
                f"{cls.__name__}.{name}{inspect.signature(value)} redefines the {name} of every "
                f"{ours.__name__}, which is called as {name}({', '.join(_CALLED[name])}): take these "
                "arguments, or choose another name"
            )


def _takes(function: FunctionType, arguments: tuple[str, ...]) -> bool:
    """Whether a method can be called with these arguments, and means them by its first parameters."""
    signature = inspect.signature(function)
    try:
        signature.bind(None, *arguments)
    except TypeError:
        return False
    parameters = list(signature.parameters.values())[1 : 1 + len(arguments)]
    return all(
        parameter.kind is inspect.Parameter.VAR_POSITIONAL or parameter.name == wanted
        for parameter, wanted in zip(parameters, arguments, strict=False)
    )
