"""Training that goes by rounds: each gives figures, and Ctrl-C keeps what was done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import no_grad
from einkorn._console import open_bar, say
from einkorn.creation import rand
from einkorn.errors import ArgumentError
from einkorn.training.history import History

__all__ = ["go", "parts", "whole"]


def whole(op: str, name: str, value: Any) -> int:
    """A positive int, or a refusal."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a positive int")
    return int(value)


def go(
    op: str,
    history: History,
    count: int,
    one: Callable[[], dict[str, float]],
    verbose: int = 1,
    *,
    name: str = "rounds",
) -> History:
    """Call ``one`` so many times and add its figures to ``history``; with a bar where somebody watches.

    An interruption passes on, and leaves the history with all whole rounds.
    """
    count = whole(op, name, count)
    bar = open_bar(count, op, "round") if verbose else None
    try:
        for _ in range(count):
            logs = one()
            history.append(len(history.epoch), logs)
            if bar is not None:
                bar.set_postfix_str(_shown(logs), refresh=False)
                bar.update()
    finally:
        history.align()
        if bar is not None:
            bar.close()
    if verbose:
        say(f"{op}: {count} {name} - {_shown(logs)}")
    return history


def _shown(logs: dict[str, float]) -> str:
    return " ".join(f"{key}={value:.4g}" for key, value in logs.items())


def parts(count: int, size: int) -> list[Any]:
    """The numbers below ``count`` in a drawn order, in pieces of ``size``; the last may be smaller."""
    with no_grad():
        order = np.argsort(rand(count).numpy(), kind="stable")
    return [order[start : start + size] for start in range(0, count, size)]
