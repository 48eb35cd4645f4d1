"""Which of the two forms runs: the compiled one where it was built and the native engine is not turned
off.
"""

from __future__ import annotations

import os
from typing import Any

from einkorn.text import _plain, _unicode

__all__ = ["characters", "compiled", "form", "word_characters"]


def _choose() -> Any:
    if os.environ.get("EINKORN_ENGINE", "native") != "native":
        return _plain
    try:
        from einkorn import _text
    except ImportError:
        return _plain
    return _text


form: Any = _choose()
_characters: dict[Any, Any] = {}
_word_characters: dict[Any, Any] = {}


def compiled() -> bool:
    """Whether tokenisers run compiled."""
    return form is not _plain


def characters() -> Any:
    """The classes of characters, for the form that runs."""
    if form not in _characters:
        _characters[form] = form.Characters(_unicode.classes())
    return _characters[form]


def word_characters() -> Any:
    """What words are made of, for the form that runs."""
    if form not in _word_characters:
        _word_characters[form] = form.Characters(_unicode.word_classes())
    return _word_characters[form]
