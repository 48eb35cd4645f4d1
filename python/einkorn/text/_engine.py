"""Which of the two forms runs: the compiled one where it was built and the native engine is not turned
off.
"""

from __future__ import annotations

import os
from typing import Any

from einkorn.text import _plain, _unicode

__all__ = ["characters", "compiled", "form"]


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


def compiled() -> bool:
    """Whether tokenisers run compiled."""
    return form is not _plain


def characters() -> Any:
    """The classes of characters, for the form that runs."""
    if form not in _characters:
        _characters[form] = form.Characters(_unicode.classes())
    return _characters[form]
