"""Names of layers as Keras makes them: "dense", "dense_1", counted since the last ``clear_session``."""

from __future__ import annotations

import re

__all__ = ["fresh_name", "reset_names", "snake_case"]

_counts: dict[str, int] = {}


def snake_case(name: str) -> str:
    """CamelCase as words with underscores: "Conv2D" is "conv2d", "MaxPooling2D" "max_pooling2d"."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name))
    return re.sub(r"\W+", "", spaced).lower()


def fresh_name(stem: str) -> str:
    """The stem, with a number behind it where it was taken before."""
    count = _counts.get(stem, 0)
    _counts[stem] = count + 1
    return f"{stem}_{count}" if count else stem


def reset_names() -> None:
    """Begin to count anew."""
    _counts.clear()
