"""What tokenisers ask of characters, from Python's ``unicodedata``, as tables for both engines.

The version of Unicode is Python's (``unicodedata.unidata_version``): a character that a newer version added
has no class here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

__all__ = [
    "BYTE_OF",
    "CHARACTER_OF",
    "LETTER",
    "NUMBER",
    "PUNCTUATION",
    "SPACE",
    "WORD",
    "bert_map",
    "classes",
    "lower_map",
    "word_classes",
]

LETTER, NUMBER, SPACE, PUNCTUATION, WORD = 1, 2, 4, 8, 16

# The property White_Space, which str.isspace is not: that takes in the information separators.
_SPACES = (
    *range(0x09, 0x0E),
    0x20,
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
)

# Alphabetic without being letters, marks or numbers of letters: circled, squared and negative letters.
_ALPHABETIC_SYMBOLS = (
    *range(0x24B6, 0x24EA),
    *range(0x1F130, 0x1F14A),
    *range(0x1F150, 0x1F16A),
    *range(0x1F170, 0x1F18A),
)

_JOINERS = (0x200C, 0x200D)

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def _characters() -> Iterator[tuple[int, str]]:
    """All characters that can have a class: beyond the third plane lie tags, selectors and private use."""
    for first, last in ((0, 0xD7FF), (0xE000, 0x3FFFF), (0xE0000, 0xE01FF)):
        for point in range(first, last + 1):
            yield point, chr(point)


@cache
def classes() -> bytes:
    """The classes of every code point, a byte each."""
    table = bytearray(0x110000)
    of_category = {
        **dict.fromkeys(("Lu", "Ll", "Lt", "Lm", "Lo"), LETTER | WORD),
        **dict.fromkeys(("Mn", "Mc", "Me", "Pc"), WORD),
        "Nd": NUMBER | WORD,
        "Nl": NUMBER | WORD,
        "No": NUMBER,
    }
    category = unicodedata.category
    for point, character in _characters():
        name = category(character)
        table[point] = of_category.get(name, 0) | (PUNCTUATION if name[0] == "P" else 0)
    for point in _SPACES:
        table[point] |= SPACE
    for point in (*_ALPHABETIC_SYMBOLS, *_JOINERS):
        table[point] |= WORD
    for point in range(0x21, 0x7F):
        if not chr(point).isalnum():
            table[point] |= PUNCTUATION
    return bytes(table)


@cache
def word_classes() -> bytes:
    """What ``\\s``, ``\\w`` and ``\\d`` match by Unicode (bits 1, 2 and 4), ``\\s`` and ``\\w`` by Python's
    ``re`` (8 and 16): a byte for every code point.
    """
    table = bytearray(0x110000)
    known = classes()
    for point, character in _characters():
        kinds = known[point]
        table[point] = (
            (1 if kinds & SPACE else 0)
            | (2 if kinds & WORD else 0)
            | (4 if character.isdecimal() else 0)
            | (8 if character.isspace() else 0)
            | (16 if character.isalnum() or character == "_" else 0)
        )
    return bytes(table)


def _bytes_as_characters() -> dict[int, str]:
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in shown}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(0x100 + len(table) - len(shown))
    return table


# GPT-2 writes bytes as characters that can be seen: those that stand for themselves, the others from U+0100
# on.
CHARACTER_OF = _bytes_as_characters()
BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}


@cache
def lower_map() -> dict[int, str]:
    """Characters whose lower case is another. Character by character: a final sigma is a sigma."""
    return {point: c.lower() for point, c in _characters() if c.lower() != c}


@cache
def bert_map(clean: bool, ideographs: bool, strip_accents: bool, lower: bool) -> dict[int, str]:
    """What BERT's normaliser makes of a character, where that is something else.

    Decomposed marks of accents go; other marks keep their place.
    """
    table = dict.fromkeys((*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)), "") if clean else {}
    category, decomposed = unicodedata.category, unicodedata.normalize
    alone = (
        {point for first, last in _IDEOGRAPHS for point in range(first, last + 1)} if ideographs else set()
    )
    spaces = set(_SPACES)
    for point, character in _characters():
        becomes = character
        if clean:
            # Tabs and ends of lines are spaces; other controls, though they may be white space, are nothing.
            control = category(character) in ("Cc", "Cf", "Co") and point not in (0x09, 0x0A, 0x0D)
            if control or point == 0xFFFD:
                becomes = ""
            elif point in spaces:
                becomes = " "
        if becomes == character:
            if point > 0x7F and strip_accents:
                becomes = decomposed("NFD", becomes)
                becomes = "".join(c for c in becomes if category(c) != "Mn")
            if lower:
                becomes = "".join(c.lower() for c in becomes)
            if point in alone:
                becomes = f" {becomes} "
        if becomes != character:
            table[point] = becomes
    return table
