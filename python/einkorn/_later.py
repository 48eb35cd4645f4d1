"""Packages whose names are imported when they are first used (PEP 562): importing them costs little."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["later"]


def later(
    package: str, homes: Mapping[str, str], instead: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package, whose modules are attributes of it too.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        For each public name the module inside the package that defines it; "" for a name that is itself
        such a module.
    instead
        For names that are missed on purpose, what to do instead.

    Raises
    ------
    MissingPackageError
        By the first use of a name whose module needs a package that is not installed: it names the extra.
    """

    def find(name: str) -> Any:
        within = homes.get(name, "")
        try:
            home = importlib.import_module(f"{package}.{within or name}")
        except ModuleNotFoundError as error:
            if error.name == f"{package}.{name}":
                from einkorn._near import MissingNameError

                raise MissingNameError(f"module {package!r}", name, lambda: homes, instead or {}) from None
            if name not in homes or (error.name or "").partition(".")[0] in ("", "einkorn"):
                raise  # the module's own words, or a fault of ours
            from einkorn import _extras

            raise _extras.missing(error, f"{package.partition('.')[2]}.{name}") from error
        value = getattr(home, name) if within else home
        setattr(sys.modules[package], name, value)
        return value

    class Package(ModuleType):
        # An imported module becomes an attribute of its package, but not in place of a public name.
        def __setattr__(self, name: str, value: Any) -> None:
            hides = isinstance(value, ModuleType) and homes.get(name) == name
            super().__setattr__(name, getattr(value, name) if hides else value)

    sys.modules[package].__class__ = Package
    return find, lambda: sorted(homes)
