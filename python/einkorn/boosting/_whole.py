"""Fitting that changes an estimator wholly or not at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["RoundsKept", "all_or_nothing"]

_Fit = TypeVar("_Fit", bound=Callable[..., Any])


class RoundsKept(KeyboardInterrupt):
    """Ctrl-C, after which ``estimator`` is fitted with what was done until then."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        self.estimator = estimator


def all_or_nothing(fit: _Fit) -> _Fit:
    """A ``fit`` after whose failure the estimator is what it was before: fitted as it was, or not at all.

    Classes, columns and trees of two fits never meet in one estimator, whatever ends the second: options or
    data that are refused, an error of a base learner, too little memory, Ctrl-C. Only :class:`RoundsKept`,
    raised when all that belongs together has been set, keeps the new.
    """

    @functools.wraps(fit)
    def whole(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException as error:
            if not (isinstance(error, RoundsKept) and error.estimator is self):
                self.__dict__ = before
            raise

    return whole  # type: ignore[return-value]
