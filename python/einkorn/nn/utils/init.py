"""Modules without initial values: ``torch.nn.utils.skip_init``."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """``module_cls(*args, **kwargs)``, whose values mean nothing and are to be written.

    The default initial values are drawn all the same here: they cost less than a second pass over the class.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise ArgumentError(f"skip_init: module_cls is {module_cls!r}, expected a class of modules")
    return module_cls(*args, **kwargs)
