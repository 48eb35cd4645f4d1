"""Regularizers and constraints of weights that are kept in another layout than Keras'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor

__all__ = ["Turned", "give_rule", "turned"]

Turn = Callable[[np.ndarray], np.ndarray]


class Turned:
    """A rule that is shown a weight as Keras has it.

    Parameters
    ----------
    rule : callable
        A regularizer or a constraint.
    turn, back : callable
        From the layout here to Keras', and back: orders of the same elements.
    """

    def __init__(self, rule: Any, turn: Turn, back: Turn) -> None:
        self.rule, self.turn, self.back = rule, turn, back

    def __call__(self, weight: Any) -> Any:
        if isinstance(weight, Tensor):  # a regularizer, which is differentiated
            size = weight._data.size
            places = self.turn(np.arange(size).reshape(weight.shape))
            return self.rule(ops.take(ops.reshape(weight, (size,)), places))
        limited = self.rule(np.ascontiguousarray(self.turn(weight)))
        return self.back(limited._data if isinstance(limited, Tensor) else np.asarray(limited))


def turned(rule: Any, turn: Turn | None, back: Turn | None) -> Any:
    """A rule of a Keras layer for the weight that the layer keeps.

    Those of ``einkorn.nn`` are meant for the layouts there, or ask for none.
    """
    if rule is None or turn is None or back is None or type(rule).__module__.startswith("einkorn.nn."):
        return rule
    return Turned(rule, turn, back)


def give_rule(module: Any, kind: str, name: str, rule: Any) -> None:
    """Let a rule hold for a parameter of a module; ``kind`` is "regularizer" or "constraint"."""
    if rule is not None:
        module.__dict__.setdefault(f"_{kind}s", {})[name] = rule
