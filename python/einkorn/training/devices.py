"""Where a model is trained: its parameters and its optimizer's state on a device, batches brought there."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from einkorn import cuda
from einkorn._device import device_name, device_of, move
from einkorn._tensor import Tensor
from einkorn.training.state import state_of

__all__ = ["follow", "on_device", "place", "placed", "require"]


def require(device: Any, op: str = "") -> str:
    """The name of a device; one that is not there, or where nothing computes, is refused.

    Raises
    ------
    ArgumentError, DeviceError, EngineError
    """
    name = device_name(op, device)
    move(np.zeros(1, np.float32), name)
    if name != "cpu":
        importlib.import_module("einkorn.engines.cuda")
    return name


def place(model: Any, device: Any, op: str = "") -> None:
    """Move a model and the state of its optimizer to a device; None: the model stays, its optimizer follows.

    Raises
    ------
    ArgumentError, DeviceError, EngineError
        When there is no such device, or nothing that computes there.
    """
    if device is not None:
        model.to(require(device, op))
    follow(model)


def placed(op: str, *, compiled: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate ``op`` of a model: it goes to ``device`` first, whose GPU is the current one meanwhile."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(model: Any, *args: Any, device: Any = None, **options: Any) -> Any:
            from einkorn.training.compiled import compiled_of

            if compiled:
                compiled_of(model, op)
            place(model, device, op)
            where = state_of(model).device
            with nullcontext() if where == "cpu" else cuda.device(where):
                return function(model, *args, **options)

        return run

    return decorate


def follow(model: Any, *, moved: bool = False) -> None:
    """Note where a model is, and bring its optimizer's state there: it may have been read from a file.

    ``moved``: only if the model is elsewhere than it was noted.
    """
    state = state_of(model)
    before = state.device
    state.device = next((device_of(p._data) for p in model.parameters()), "cpu")
    if moved and state.device == before:
        return
    if state.device == "cpu" and "cupy" not in sys.modules:
        return  # nothing can be elsewhere
    for runs in [] if state.optimizer is None else state.optimizer._runs:
        for run in runs:
            run.state = {name: on_device(arrays, state.device) for name, arrays in run.state.items()}
            run.masters = on_device(run.masters, state.device)


def on_device(arrays: Any, device: str) -> Any:
    """An array, a Tensor, or several of them, on a device; None stays None."""
    if arrays is None or isinstance(arrays, (int, float)):
        return arrays
    if isinstance(arrays, dict):
        return {name: on_device(array, device) for name, array in arrays.items()}
    if isinstance(arrays, (tuple, list)):
        moved = type(arrays)(on_device(array, device) for array in arrays)
        if hasattr(arrays, "names"):
            moved.names = arrays.names  # type: ignore[union-attr]
        return moved
    if isinstance(arrays, Tensor):
        return arrays if device_of(arrays._data) == device else arrays.to(device)
    return move(arrays, device)
