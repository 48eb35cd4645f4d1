"""``serialize`` and ``deserialize``, which Keras has in each of its modules."""

from __future__ import annotations

from typing import Any

from einkorn._objects import custom_scope, described, made

__all__ = ["deserialize", "serialize"]


def serialize(obj: Any) -> Any:
    """An object as plain values: of the library's functions the name."""
    return described(obj)


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """The object that ``serialize`` described, here or in Keras."""
    with custom_scope(custom_objects):
        return made(config)
