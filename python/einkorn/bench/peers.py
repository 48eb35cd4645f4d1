"""The libraries to compare with: imported when a row first asks for one, given as many threads as einkorn."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from einkorn.errors import ArgumentError

__all__ = ["PEERS", "Peers"]

#: Module names of the libraries that rows compare with.
PEERS = ("torch", "lightgbm", "xgboost", "sklearn", "cv2", "torchvision", "keras")


class Peers:
    """Some of :data:`PEERS`, as far as they are installed.

    Parameters
    ----------
    names : sequence of str, optional
        Which to use; all when not given, none when empty.
    threads : int
        For each of them. Rows hand it to the libraries that take it call by call.

    Raises
    ------
    ArgumentError
        For a library that no row knows.
    """

    def __init__(self, names: Sequence[str] | None = None, threads: int = 2) -> None:
        self.names = tuple(PEERS if names is None else names)
        self.threads = threads
        self._loaded: dict[str, Any] = {}
        for name in self.names:
            if name not in PEERS:
                raise ArgumentError(f"bench: peer is {name!r}, expected one of {', '.join(PEERS)}")

    def get(self, name: str) -> Any:
        """The module, or None where it is not installed or not wanted."""
        if name not in self.names:
            return None
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Any:
        if importlib.util.find_spec(name) is None:
            return None
        if name == "keras":  # computes with PyTorch, unless it was told otherwise
            os.environ.setdefault("KERAS_BACKEND", "torch")
            self.get("torch")
        module = importlib.import_module(name)
        if name == "torch":
            module.set_num_threads(self.threads)
        elif name == "cv2":
            module.setNumThreads(self.threads)
        return module

    def versions(self) -> dict[str, str]:
        """Of those that were used so far."""
        return {name: module.__version__ for name, module in self._loaded.items() if module is not None}
