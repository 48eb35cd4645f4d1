"""Train and evaluation mode of whole models, put back as they were."""

from __future__ import annotations

from typing import Any

from einkorn import _grad_mode
from einkorn._context import Context

__all__ = ["evaluating", "training"]


class _Restored(Context[None]):
    """Every submodule leaves in the mode it came in."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def _enter(self) -> tuple[None, Any]:
        return None, [(module, module.training) for module in self._model.modules()]

    def _leave(self, before: Any) -> None:
        for module, mode in before:
            module.__dict__["training"] = mode


class training(_Restored):  # noqa: N801 - reads as a function
    """Train mode. In a model that is in it already, submodules put into evaluation mode by hand
    (a frozen base) stay there."""

    def _enter(self) -> tuple[None, Any]:
        entered = super()._enter()
        if not self._model.training:
            self._model.train()
        return entered


class evaluating(_Restored):  # noqa: N801 - reads as a function
    """Evaluation mode and no gradients."""

    def _enter(self) -> tuple[None, Any]:
        _, modes = super()._enter()
        self._model.train(False)
        enabled = _grad_mode.mode.enabled
        _grad_mode.mode.enabled = False
        return None, (enabled, modes)

    def _leave(self, before: Any) -> None:
        _grad_mode.mode.enabled, modes = before
        super()._leave(modes)
