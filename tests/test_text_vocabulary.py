"""Vocabularies of words and characters; Unicode forms with places."""

import unicodedata

import pytest

from einkorn.errors import ArgumentError
from einkorn.text import Vocabulary
from einkorn.text._forms import normalize_between

TEXTS = [["the", "cat", "saw", "the", "dog"], ["the", "dog", "ran"]]


def test_the_most_frequent_come_first_and_rare_ones_are_unknown() -> None:
    vocabulary = Vocabulary(TEXTS, min_count=2, special=["<PAD>"])
    assert list(vocabulary) == ["<PAD>", "<UNK>", "the", "dog"]
    assert vocabulary.encode(["the", "bird", "saw", "the", "dog"]) == [2, 1, 1, 2, 3]
    assert vocabulary.decode([2, 1, 3]) == ["the", "<UNK>", "dog"]
    assert vocabulary["cat"] == 1
    assert "cat" not in vocabulary
    assert vocabulary.arrays(TEXTS, 4).tolist() == [[2, 1, 1, 2], [2, 3, 1, 0]]


def test_characters_and_bytes() -> None:
    characters = Vocabulary(["hello"], unk=None)
    assert list(characters) == ["l", "e", "h", "o"]
    assert characters.encode("hole") == [2, 3, 0, 1]
    assert Vocabulary([b"aab"], unk=None).tokens == [97, 98]
    assert len(Vocabulary(TEXTS, max_size=3)) == 3


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'x' is not in it"):
        Vocabulary(["hello"], unk=None).encode("x")
    with pytest.raises(ArgumentError, match="ids are 0 to 4, got -1"):
        Vocabulary(["hello"]).decode([-1])
    with pytest.raises(ArgumentError, match="min_count must be a whole number from 1 on, got 0"):
        Vocabulary(["hello"], min_count=0)
    with pytest.raises(ArgumentError, match="max_size must be at least 1"):
        Vocabulary(["hello"], max_size=0)


@pytest.mark.parametrize(
    "text",
    ["e\u0301x", "\uac00\u11a8", "a\U0001d165\u0300", "\u2173\u033c\U00010a0f\u0301", "\u1100\u1161\u11a8!"],
)
def test_forms_are_those_of_the_whole_text(text: str) -> None:
    for form in ("NFC", "NFD"):
        changed, places = normalize_between(form, text, None, None)
        assert changed == unicodedata.normalize(form, text)
        assert len(places) == len(changed)
        assert places[0][0] == 0
        assert places[-1][1] == len(text)
