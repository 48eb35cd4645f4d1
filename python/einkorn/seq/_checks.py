"""What :func:`einkorn.seq.generate` is given, and whether it fits."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import plain, rows_of

__all__ = [
    "callables",
    "number",
    "plain",
    "positive",
    "prompt_of",
    "share",
    "tokens_of",
    "told",
    "told_to_stop",
    "whole",
]


def callables(name: str, given: Any) -> list[Callable[[Any, Any], Any]]:
    several = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    if not all(map(callable, several)):
        raise ArgumentError(f"generate: {name} is {given!r}, expected a callable, or a list of them")
    return several


def told_to_stop(given: Any, rows: Any) -> Any:
    """What a criterion gave, if it is one truth or one a row."""
    stop = plain(given)
    if stop.dtype != bool or stop.shape not in ((), rows.shape):
        raise ShapeError(
            f"generate: stopping_criteria gave shape {stop.shape} and dtype {stop.dtype}, expected a bool or"
            f" {rows.shape} of them"
        )
    return stop


def told(streamer: Any, num_beams: int) -> Callable[[Any], object] | None:
    """What is called with each step's tokens; an object with ``put`` gets the prompts first."""
    if streamer is None:
        return None
    tell = getattr(streamer, "put", streamer)
    if not callable(tell) or num_beams > 1:
        raise ArgumentError(
            f"generate: streamer is {streamer!r}, expected a callable or an object with put and end, and no"
            " beams"
        )
    return tell


def prompt_of(model: Any, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
    tokens = np.atleast_2d(rows_of("generate", "input_ids", input_ids))
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.size == 0:
        raise ArgumentError(
            f"generate: input_ids have shape {np.shape(plain(input_ids))} and dtype {tokens.dtype},"
            " expected integers [batch, length], none of them 0"
        )
    tokens = tokens.astype(np.int64)
    if tokens.min() < 0 or tokens.max() >= model.vocab_size:
        wrong = tokens.min() if tokens.min() < 0 else tokens.max()
        raise ArgumentError(f"generate: input_ids have {wrong}, expected 0 to {model.vocab_size - 1}")
    if attention_mask is None:
        return tokens, np.ones(tokens.shape, bool)
    mask = np.atleast_2d(plain(attention_mask)).astype(bool)
    if mask.shape != tokens.shape:
        raise ShapeError(f"generate: attention_mask has shape {mask.shape}, expected {tokens.shape}")
    if not mask[:, -1].all():
        raise ArgumentError(
            "generate: attention_mask is 0 at the end of a prompt: fill prompts up on the left"
        )
    return tokens, mask


def tokens_of(name: str, given: Any, vocabulary: int) -> Any:
    several = list(given) if isinstance(given, (set, frozenset)) else given
    tokens = np.atleast_1d(np.asarray([] if several is None else several))
    if tokens.ndim > 1 or (tokens.size and tokens.dtype.kind not in "iu"):
        raise ArgumentError(f"generate: {name} is {given!r}, expected an int or a list of them")
    tokens = tokens.astype(np.int64)
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < vocabulary):
        raise ArgumentError(f"generate: {name} is {given!r}, expected 0 to {vocabulary - 1}")
    return tokens


def whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        most = "" if high is None else f" to {high}"
        raise ArgumentError(f"generate: {name} is {value!r}, expected an int from {low}{most}")


def number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(float(value)) < np.inf:
        raise ArgumentError(f"generate: {name} is {value!r}, expected a finite number")


def positive(name: str, value: Any) -> None:
    number(name, value)
    if not value > 0:
        raise ArgumentError(f"generate: {name} is {value!r}, expected a positive number")


def share(name: str, value: Any, *, least: bool = True) -> None:
    """A probability, 0 among them unless told otherwise."""
    number(name, value)
    if not (0 <= value <= 1 and (least or value > 0)):
        above = "" if least else " above 0"
        raise ArgumentError(f"generate: {name} is {value!r}, expected a probability{above}")
