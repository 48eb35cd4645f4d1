"""Data frames: what can be told without knowing the library that made them."""

from __future__ import annotations

from typing import Any

from einkorn.errors import DTypeError

__all__ = ["is_frame", "refuse_text"]


def is_frame(X: Any) -> bool:
    """Whether X is a data frame as pandas has them."""
    return hasattr(X, "dtypes") and hasattr(X, "columns") and hasattr(X, "iloc")


def refuse_text(X: Any, where: str, advice: str) -> None:
    """Refuse a data frame's columns of text by name, with a word of advice."""
    if not is_frame(X):
        return
    for i, dtype in enumerate(X.dtypes):
        if getattr(dtype, "kind", "O") not in "OUT" or hasattr(dtype, "categories"):
            continue
        known = X.iloc[:, i].dropna()
        text = next((value for value in known if isinstance(value, str) and not _is_number(value)), None)
        if text is not None:
            raise DTypeError(
                f"{where}: could not convert string to float: column {X.columns[i]!r} holds text such as"
                f" {text!r}; {advice}"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
