"""The Brown corpus: its sentences, its tags as those of the Penn Treebank."""

from __future__ import annotations

import zipfile
import zlib
from os import PathLike
from pathlib import Path

from einkorn.errors import ArgumentError, DataError, MissingFileError
from einkorn.text._arguments import path_of

__all__ = ["read_brown"]

# Brown's tags without endings for titles, headlines and cited words; "isn't" and the like have their first.
_PENN = {
    "ABL": "PDT", "ABN": "PDT", "ABX": "DT", "AP": "JJ", "AT": "DT", "BE": "VB", "BED": "VBD",
    "BEDZ": "VBD", "BEG": "VBG", "BEM": "VBP", "BEN": "VBN", "BER": "VBP", "BEZ": "VBZ", "CC": "CC",
    "CD": "CD", "CS": "IN", "DO": "VB", "DOD": "VBD", "DOZ": "VBZ", "DT": "DT", "DTI": "DT",
    "DTS": "DT", "DTX": "DT", "EX": "EX", "HV": "VB", "HVD": "VBD", "HVG": "VBG", "HVN": "VBN",
    "HVZ": "VBZ", "IN": "IN", "JJ": "JJ", "JJR": "JJR", "JJS": "JJS", "JJT": "JJS", "MD": "MD",
    "NN": "NN", "NNS": "NNS", "NP": "NNP", "NPS": "NNPS", "NR": "NN", "NRS": "NNS", "OD": "JJ",
    "PN": "NN", "PPL": "PRP", "PPLS": "PRP", "PPO": "PRP", "PPS": "PRP", "PPSS": "PRP", "PP$": "PRP$",
    "PP$$": "PRP", "QL": "RB", "QLP": "RB", "RB": "RB", "RBR": "RBR", "RBT": "RBS", "RN": "RB",
    "RP": "RP", "TO": "TO", "UH": "UH", "VB": "VB", "VBD": "VBD", "VBG": "VBG", "VBN": "VBN",
    "VBZ": "VBZ", "WDT": "WDT", "WP$": "WP$", "WPO": "WP", "WPS": "WP", "WQL": "WRB", "WRB": "WRB",
    "*": "RB", ".": ".", ",": ",", ":": ":", "--": ":", "(": "(", ")": ")", "``": "``", "''": "''",
    "'": "''", "NIL": "NN",
}  # fmt: skip

_BEFORE_ADJECTIVES = frozenset(("DT", "PRP$", "JJ", "CD", "IN", "CC"))


def penn_tag(brown: str) -> str:
    """The Penn Treebank's tag for one of Brown's."""
    tag = brown.upper()
    if tag in _PENN:
        return _PENN[tag]
    for ending in ("-TL", "-HL", "-NC"):
        tag = tag.replace(ending, "")
    tag = tag.removeprefix("FW-").partition("+")[0]
    if len(tag) > 1:
        tag = tag.removesuffix("*")
    return _PENN.get(tag) or _PENN.get(tag.removesuffix("$"), "NN")


def penn_tags(brown: list[str]) -> list[str]:
    """Those of a sentence: a participle between an article or the like and a noun is an adjective."""
    tags = [penn_tag(tag) for tag in brown]
    for i in range(1, len(tags) - 1):
        if tags[i] == "VBN" and tags[i - 1] in _BEFORE_ADJECTIVES and tags[i + 1] in ("NN", "NNS"):
            tags[i] = "JJ"
    return tags


def read_brown(path: str | PathLike[str], penn: bool = True) -> list[list[tuple[str, str]]]:
    """Sentences of the Brown corpus, from its zip file, in the order of its texts.

    Parameters
    ----------
    path
        ``brown.zip`` as NLTK has it.
    penn
        Whether tags are those of the Penn Treebank that come nearest, else as they are. Brown has one tag
        for an infinitive and a present form: VB. Its participles between an article or the like and a noun
        are adjectives: JJ.

    Returns
    -------
    list of lists of (word, tag)

    Raises
    ------
    MissingFileError
        There is no such file.
    DataError
        It is no such zip file.
    """
    sentences = []
    try:
        with zipfile.ZipFile(path_of("read_brown", path)) as archive:
            for name in sorted(archive.namelist()):
                stem = Path(name).name
                if len(stem) != 4 or stem[0] != "c" or not stem[2:].isdigit():
                    continue
                for line in archive.read(name).decode("latin-1").splitlines():
                    pairs = [part.rpartition("/") for part in line.split()]
                    if pairs:
                        words, tags = [word for word, _, _ in pairs], [tag for _, _, tag in pairs]
                        sentences.append(list(zip(words, penn_tags(tags) if penn else tags, strict=True)))
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise DataError(f"{path}: {error}") from None
    return sentences
