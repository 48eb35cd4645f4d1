"""Regularization by noise."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn import _activations as functional
from einkorn.nn.module import Module
from einkorn.ops._options import number

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= number(type(self).__name__, "p", p) <= 1:
            raise ArgumentError(f"{type(self).__name__}: p is {p!r}, expected a probability from 0 to 1")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes each element with probability ``p`` while training, and scales the rest by 1/(1-p).

    In evaluation mode it returns its input (Srivastava et al. 2014, inverted form).

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Zeroes whole channels while training; see ``einkorn.nn.functional.dropout1d``.

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zeroes whole channels while training; see ``einkorn.nn.functional.dropout2d``.

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Zeroes whole channels while training; see ``einkorn.nn.functional.dropout3d``.

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1; see ``einkorn.nn.functional.alpha_dropout``.

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """:class:`AlphaDropout` of whole channels.

    Parameters
    ----------
    p : float, default 0.5
        Between 0 and 1.
    inplace : bool, default False
        Write the result into the input's memory.
    """

    def forward(self, input: Any) -> Any:
        return functional.feature_alpha_dropout(input, self.p, self.training, self.inplace)
