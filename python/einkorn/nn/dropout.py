"""Regularization by noise."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn.module import Module
from einkorn.ops.random import dropout

__all__ = ["Dropout"]


class Dropout(Module):
    """Zeroes each element with probability ``p`` while training, and scales the rest by 1/(1-p).

    In evaluation mode it returns its input (Srivastava et al. 2014, inverted form).

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p is {p!r}, expected a probability from 0 to 1")
        self.p = p

    def forward(self, x: Any) -> Any:
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
