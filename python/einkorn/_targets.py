"""What the arguments of ``to``, and a layer's or a creator's ``device`` and ``dtype``, mean."""

from __future__ import annotations

from typing import Any

from einkorn._device import device_name, device_of, is_device
from einkorn.errors import ArgumentError, DTypeError

__all__ = ["flags_of", "targets_of"]


def flags_of(op: str, given: tuple[Any, ...], **named: Any) -> tuple[tuple[Any, ...], list[bool]]:
    """Part torch's ``non_blocking`` and ``copy`` from the positional arguments that they stand behind.

    Raises
    ------
    ArgumentError
        For what is neither True nor False, and one that has no device or type before it.
    """
    names = list(named)
    end = len(given)
    while end and len(given) - end < len(names) and isinstance(given[end - 1], bool):
        end -= 1
    flags = [*given[end:], *list(named.values())[len(given) - end :]]
    for name, value in named.items():
        if not isinstance(value, bool):
            raise ArgumentError(f"{op}: {name} is {value!r}, expected True or False")
    if given and not end:
        raise ArgumentError(f"{op}: got {given[0]!r}, expected a device or a type before {names[0]}")
    return given[:end], flags


def targets_of(op: str, given: tuple[Any, ...], device: Any, dtype: Any) -> tuple[str | None, Any]:
    """The device and the type that arguments name, each None where none does.

    Parameters
    ----------
    op : str
    given : tuple
        The positional ones: devices, types, or a Tensor, which has both.
    device, dtype
        Those by name.

    Raises
    ------
    ArgumentError
        For a ``device`` that is none, and for two devices or two types.
    DTypeError
        For a ``dtype`` that is a device, and for None among the positional ones.
    """
    if is_device(dtype):
        raise DTypeError(f"{op}: dtype is {dtype!r}, which is a device, expected a type of elements")
    places: list[Any] = [] if device is None else [device_name(op, device)]
    types: list[Any] = [] if dtype is None else [dtype]
    for target in given:
        if target is None:
            raise DTypeError(f"{op}: got None, expected a device or a type of elements")
        if is_device(target):
            places.append(device_name(op, target))
        elif hasattr(target, "_data"):
            places.append(device_of(target._data))
            types.append(target._data.dtype)
        else:
            types.append(target)
    for what, found in (("devices", places), ("types", types)):
        if len(found) > 1:
            raise ArgumentError(f"{op}: got two {what}, {found[0]!r} and {found[1]!r}, expected one")
    return (places or [None])[0], (types or [None])[0]
