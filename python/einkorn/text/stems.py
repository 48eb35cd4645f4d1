"""Porter's stems with the extensions of NLTK's class."""

from __future__ import annotations

from functools import lru_cache

from einkorn.errors import ArgumentError

__all__ = ["PorterStemmer"]

_ORIGINAL, _MARTIN, _NLTK = "ORIGINAL_ALGORITHM", "MARTIN_EXTENSIONS", "NLTK_EXTENSIONS"

#: Words that NLTK's extensions have by heart.
_IRREGULAR = {
    "skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
    "cannings": "canning", "canning": "canning", "howe": "howe", "proceed": "proceed",
    "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip

# Steps 2, 3 and 4: endings and what becomes of them; of several that fit the longest is meant.
_SECOND = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate",
    "alism": "al", "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive",
    "biliti": "ble",
}  # fmt: skip
_SECOND_OF = {
    _ORIGINAL: _SECOND | {"abli": "able"},
    _MARTIN: _SECOND | {"bli": "ble", "logi": "log"},
    _NLTK: _SECOND | {"bli": "ble", "logi": "log", "fulli": "ful"},
}
_THIRD = {
    "icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}  # fmt: skip
_FOURTH = {
    "al": "", "ance": "", "ence": "", "er": "", "ic": "", "able": "", "ible": "", "ant": "", "ement": "",
    "ment": "", "ent": "", "ion": "", "ou": "", "ism": "", "ate": "", "iti": "", "ous": "", "ive": "",
    "ize": "",
}  # fmt: skip


class PorterStemmer:
    """Stems of English words (Porter 1980), in the three forms that NLTK's class has, with its results.

    Parameters
    ----------
    mode
        ``PorterStemmer.NLTK_EXTENSIONS``, as there the default: words of four letters keep the e of -ies and
        -ied, y after a consonant becomes i, some words are known by heart.
        ``PorterStemmer.ORIGINAL_ALGORITHM``: as published, which is what :func:`porter_stem` does and what
        the 42,603 published pairs of words and stems are.
        ``PorterStemmer.MARTIN_EXTENSIONS``: with the two endings that the author changed later, -bli and
        -logi; words of one and two letters stay.

    Raises
    ------
    ArgumentError
        The mode is another one.
    """

    NLTK_EXTENSIONS = _NLTK
    MARTIN_EXTENSIONS = _MARTIN
    ORIGINAL_ALGORITHM = _ORIGINAL

    def __init__(self, mode: str = NLTK_EXTENSIONS) -> None:
        if mode not in (_ORIGINAL, _MARTIN, _NLTK):
            raise ArgumentError(
                f"PorterStemmer: mode must be PorterStemmer.{_NLTK}, {_MARTIN} or {_ORIGINAL}, got {mode!r}"
            )
        self.mode = mode

    def __repr__(self) -> str:
        return "<PorterStemmer>"

    def stem(self, word: str, to_lowercase: bool = True) -> str:
        """The stem of a word, which need not be a word: ``flies`` gives ``fli``.

        Parameters
        ----------
        word
            A word.
        to_lowercase
            Whether the word is taken in lower case; capitals are consonants otherwise.

        Raises
        ------
        ArgumentError
            The word is no str.
        """
        if not isinstance(word, str):
            raise ArgumentError(f"PorterStemmer: word must be str, got {type(word).__name__}")
        return _stemmed(word.lower() if to_lowercase else str(word), self.mode)


@lru_cache(1 << 17)
def _stemmed(word: str, mode: str) -> str:
    if mode == _NLTK and word in _IRREGULAR:
        return _IRREGULAR[word]
    if mode != _ORIGINAL and len(word) <= 2:
        return word
    word = _past(_plural(word, mode), mode)
    if word.endswith("y"):
        shape = _shape(word[:-1])
        if (len(shape) > 1 and shape.endswith("c")) if mode == _NLTK else "v" in shape:
            word = word[:-1] + "i"
    word = _second(word, mode)
    word = _replaced(word, _THIRD, 1)
    word = _replaced(word, _FOURTH, 2)
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _short(word[:-1], mode)):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _plural(word: str, mode: str) -> str:
    """Step 1a."""
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-1] if mode == _NLTK and len(word) == 4 else word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past(word: str, mode: str) -> str:
    """Step 1b."""
    if mode == _NLTK and word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) else word
    stem = word[:-2] if word.endswith("ed") else word[:-3] if word.endswith("ing") else ""
    shape = _shape(stem)
    if "v" not in shape:
        return word
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if shape.endswith("c") and stem[-2:] == stem[-1] * 2:
        return stem if stem[-1] in "lsz" else stem[:-1]
    return stem + "e" if shape.count("vc") == 1 and _short(stem, mode) else stem


def _second(word: str, mode: str) -> str:
    """Step 2; NLTK's extensions take -alli off first, and look for what ends the word then."""
    while mode == _NLTK and word.endswith("alli") and _measure(word[:-4]):
        word = word[:-2]
    if mode == _NLTK and word.endswith("logi"):  # its l counts for the stem: geology has one as archaeology
        return word[:-1] if _measure(word[:-3]) else word
    return _replaced(word, _SECOND_OF[mode], 1)


def _replaced(word: str, endings: dict[str, str], least: int) -> str:
    """The word with its longest ending replaced, where enough comes before it."""
    for size in range(min(7, len(word)), 1, -1):
        ending = word[-size:]
        if (new := endings.get(ending)) is not None:
            stem = word[:-size]
            fits = _measure(stem) >= least and (ending != "ion" or stem[-1] in "st")
            return stem + new if fits else word
    return word


def _shape(word: str) -> str:
    """Consonants and vowels as c and v; y is a vowel behind a consonant."""
    shape = ""
    before = "v"
    for letter in word:
        before = "v" if letter in "aeiou" or (letter == "y" and before == "c" and shape) else "c"
        shape += before
    return shape


def _measure(word: str) -> int:
    """How many times consonants follow vowels."""
    return _shape(word).count("vc")


def _short(word: str, mode: str) -> bool:
    """Whether a word ends in consonant, vowel, consonant, the last no w, x or y."""
    shape = _shape(word)
    return (shape.endswith("cvc") and word[-1] not in "wxy") or (mode == _NLTK and shape == "vc")
