"""Unicode's normal forms with the places that characters come from."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["normalize_between"]

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

# What a form may change together: a character, and the marks, jamo and the like that follow it.
_CLUSTER = re.compile(
    r".[^\x00-\u02ff\u0370-\u0482\u2000-\u20cf\u3100-\ua66e\ue000-\ufaff\ufe30-\U000101fc]*", re.DOTALL
)


def normalize_between(
    form: Form, text: str, keep: re.Pattern[str] | None, origins: list[tuple[int, int]] | None
) -> tuple[str, list[tuple[int, int]]]:
    """The text in a normal form, except for what matches ``keep``; and for each character the places
    (begin, end) that it comes from.
    """
    parts: list[str] = []
    places: list[tuple[int, int]] = []

    def stretch(start: int, end: int) -> None:
        whole = unicodedata.normalize(form, text[start:end])
        spans = [match.span() for match in _CLUSTER.finditer(text, start, end)]
        clusters = [unicodedata.normalize(form, text[first:last]) for first, last in spans]
        if "".join(clusters) != whole:  # something changed across clusters: they have one place
            spans, clusters = [(start, end)], [whole]
        parts.append(whole)
        for (first, last), becomes in zip(spans, clusters, strict=True):
            if len(becomes) == last - first:
                places.extend((i, i + 1) for i in range(first, last))
            else:
                places.extend([(first, last)] * len(becomes))

    at = 0
    for match in keep.finditer(text) if keep else ():
        stretch(at, match.start())
        parts.append(match.group())
        places.extend((i, i + 1) for i in range(*match.span()))
        at = match.end()
    stretch(at, len(text))
    if origins is not None:
        places = [(origins[start][0], origins[end - 1][1]) for start, end in places]
    return "".join(parts), places
