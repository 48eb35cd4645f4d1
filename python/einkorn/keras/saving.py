"""Keras' names for writing models and their parts down, and for telling what a file may name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from einkorn._objects import custom_scope, described, made, registered, registered_name
from einkorn.errors import ArgumentError
from einkorn.keras.models import load_model, save_model

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip

Kind = TypeVar("Kind", bound=Callable[..., Any])


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Kind], Kind]:
    """Decorate a class with ``get_config``, or a function, that files may name.

    Parameters
    ----------
    package : str, default "Custom"
    name : str, optional
        By default that of the class. The file has "package>name".

    Raises
    ------
    ArgumentError
        A name is empty, or the class has no ``get_config``.
    """

    def take(kind: Kind) -> Kind:
        if isinstance(kind, type) and not hasattr(kind, "get_config"):
            raise ArgumentError(f"register_keras_serializable: {kind.__name__} has no get_config()")
        registered()[f"{package}>{name or kind.__name__}"] = kind
        return kind

    if not isinstance(package, str) or not package or name == "":
        raise ArgumentError(f"register_keras_serializable: package is {package!r}, expected a text")
    return take


def get_custom_objects() -> dict[str, Any]:
    """What is registered, by name; adding to the dictionary registers."""
    return registered()


def get_registered_name(obj: Any) -> str:
    """The name that a class or function is registered under, or else its own."""
    return registered_name(obj)


def get_registered_object(name: str, custom_objects: Any = None, module_objects: Any = None) -> Any:
    """What is registered, or given, under a name; None where there is nothing."""
    for known in (custom_objects, registered(), module_objects):
        if known and name in known:
            return known[name]
    return None


class CustomObjectScope(custom_scope):
    """Within a ``with`` block, descriptions may name these objects too.

    Parameters
    ----------
    custom_objects : dict of str to class or function
    """

    def __init__(self, custom_objects: Any) -> None:
        super().__init__(custom_objects)


custom_object_scope = CustomObjectScope


def serialize_keras_object(obj: Any) -> Any:
    """A layer, or another object with ``get_config``, as plain values."""
    return described(obj)


def deserialize_keras_object(config: Any, custom_objects: Any = None, safe_mode: bool = True) -> Any:
    """The object that ``serialize_keras_object`` described, here or in Keras.

    Raises
    ------
    ArgumentError
        It names what is not known, or does not fit.
    """
    with custom_scope(custom_objects):
        return made(config)


def save_weights(model: Any, filepath: Any, overwrite: bool = True, **options: Any) -> None:
    """``model.save_weights(filepath)``."""
    model.save_weights(filepath, overwrite, **options)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **options: Any) -> None:
    """``model.load_weights(filepath)``."""
    model.load_weights(filepath, skip_mismatch, **options)
