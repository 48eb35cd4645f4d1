"""Train and evaluation mode of whole models, put back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from einkorn import autograd

__all__ = ["evaluating", "training"]


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Every submodule leaves in the mode it came in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def training(model: Any) -> Iterator[None]:
    """Train mode. In a model that is in it already, submodules put into evaluation mode by hand
    (a frozen base) stay there."""
    with _restored(model):
        if not model.training:
            model.train()
        yield


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode and no gradients."""
    with _restored(model):
        model.eval()
        with autograd.no_grad():
            yield
