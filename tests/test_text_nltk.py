"""NLTK's names: counts, neighbours, Porter's stems and tags with how sure they are, beside the library."""

from __future__ import annotations

import copy
import math
import pickle
import random
import string
from collections import Counter
from typing import Any

import numpy as np
import pytest
from test_text_tagger import SENTENCES
from text_samples import published

import einkorn.text as et
from einkorn.errors import ArgumentError
from einkorn.text import _engine, _plain
from einkorn.text._plain_tagger import _look, _word_of

nltk = pytest.importorskip("nltk")

WORDS = ["the", "cat", "and", "the", "dog", "and", "the", "bird", "saw", "a", "cat"]


# -------------------- neighbours and counts


@pytest.mark.parametrize("name", ["bigrams", "trigrams"])
def test_neighbours(name: str) -> None:
    for words in (WORDS, WORDS[:1], [], "abcd", iter("abc")):
        given = list(words)
        assert list(getattr(et, name)(iter(given))) == list(getattr(nltk, name)(iter(given)))
    options: dict[str, Any] = {"pad_left": True, "pad_right": True, "left_pad_symbol": "<"}
    assert list(getattr(et, name)(WORDS, **options)) == list(getattr(nltk, name)(WORDS, **options))
    with pytest.raises(ArgumentError, match="sequence must be a list"):
        getattr(et, name)(5)


@pytest.mark.parametrize(
    "given", [None, [], WORDS, "mississippi", {"a": 3, "b": 1}, list(nltk.bigrams(WORDS))]
)
def test_counts(given: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = et.FreqDist(given), nltk.FreqDist(given)
    assert isinstance(ours, Counter)
    assert dict(ours) == dict(theirs)
    assert list(ours) == list(theirs)
    assert (ours.N(), ours.B(), ours.hapaxes()) == (theirs.N(), theirs.B(), theirs.hapaxes())
    assert ours.r_Nr() == theirs.r_Nr()
    assert ours.r_Nr(50) == theirs.r_Nr(50)
    assert [ours.Nr(r, 20) for r in range(5)] == [theirs.Nr(r, 20) for r in range(5)]
    assert [ours.freq(x) for x in (*ours, "nowhere")] == [theirs.freq(x) for x in (*theirs, "nowhere")]
    assert (repr(ours), str(ours), ours.pformat(2)) == (repr(theirs), str(theirs), theirs.pformat(2))
    if ours:
        assert ours.max() == theirs.max()
        for arguments, options in (
            ((), {}),
            ((2,), {}),
            ((), {"samples": list(ours)[:2], "cumulative": True}),
        ):
            ours.tabulate(*arguments, **options)
            mine = capsys.readouterr().out
            theirs.tabulate(*arguments, **options)
            assert mine == capsys.readouterr().out
    ours.pprint()
    mine = capsys.readouterr().out
    theirs.pprint()
    assert mine == capsys.readouterr().out
    for same in (ours.copy(), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert same == ours
        assert isinstance(same, et.FreqDist)


def test_counts_that_change() -> None:
    ours = et.FreqDist(WORDS)
    assert ours.N() == 11
    for change, total in (
        (lambda: ours.update(["cat", "cow"]), 13),
        (lambda: ours.update({"cow": 5}), 18),
        (lambda: ours.__setitem__("cat", 1), 16),
        (lambda: ours.__delitem__("the"), 13),
        (lambda: ours.pop("cow"), 7),
        (lambda: ours.setdefault("ox", 2), 9),
        (lambda: ours.subtract(["ox"]), 8),
        (lambda: ours.popitem(), 7),
        (lambda: ours.clear(), 0),
    ):
        change()
        assert ours.N() == sum(ours.values()) == total
    assert ours.freq("cat") == 0


def test_counts_together() -> None:
    ours = [et.FreqDist(words) for words in (WORDS, [*WORDS[3:], "ox"])]
    theirs = [nltk.FreqDist(words) for words in (WORDS, [*WORDS[3:], "ox"])]
    for method in ("__add__", "__sub__", "__or__", "__and__"):
        mine = getattr(ours[0], method)(ours[1])
        assert isinstance(mine, et.FreqDist)
        assert dict(mine) == dict(getattr(theirs[0], method)(theirs[1]))
    assert (ours[0] <= ours[1], ours[0] >= et.FreqDist("")) == (False, True)


def test_counts_refused() -> None:
    with pytest.raises(ArgumentError, match="samples must be a list or the like, got 5"):
        et.FreqDist(5)
    with pytest.raises(ArgumentError, match=r"FreqDist.max: there are no samples"):
        et.FreqDist().max()
    with pytest.raises(ArgumentError, match="bins must be a whole number"):
        et.FreqDist("ab").r_Nr(2.5)  # type: ignore[arg-type]
    et.FreqDist().tabulate()


def test_picture_of_counts() -> None:
    pytest.importorskip("matplotlib")
    ax = et.FreqDist("mississippi").plot(3, cumulative=True, title="letters")
    assert ax.lines[0].get_ydata().tolist() == [4, 8, 10]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["i", "s", "p"]
    shares = et.FreqDist("aab").plot(percents=True, ax=ax).lines[1].get_ydata()
    np.testing.assert_allclose(shares, [200 / 3, 100 / 3])


# -------------------- stems

MODES = ["NLTK_EXTENSIONS", "MARTIN_EXTENSIONS", "ORIGINAL_ALGORITHM"]


@pytest.mark.parametrize("mode", MODES)
def test_stems_of_letters(mode: str) -> None:
    rng = random.Random(1)
    endings = [
        "ational",
        "abli",
        "bli",
        "logi",
        "alli",
        "fulli",
        "ied",
        "ies",
        "ing",
        "ed",
        "eed",
        "y",
        "ion",
        "ll",
        "e",
    ]
    words = ["", "a", "sky", "dying", "Howe", "flies", "dies", "died", "spied", "geology", "happily", "yyyy"]
    for _ in range(2000):
        start = "".join(rng.choices("aeiouybltsedgnmiz\u00e91A", k=rng.randrange(10)))
        words += [start, start + rng.choice(endings)]
    ours, theirs = et.PorterStemmer(mode), nltk.PorterStemmer(mode)
    for lower in (True, False):
        assert [ours.stem(word, lower) for word in words] == [theirs.stem(word, lower) for word in words]


def test_stems_as_published() -> None:
    written = published("porter", "voc.txt").read_text().split("\n")
    stems = published("porter", "output.txt").read_text().split("\n")
    stemmer = et.PorterStemmer(et.PorterStemmer.ORIGINAL_ALGORITHM)
    assert [stemmer.stem(word) for word in written] == stems
    for mode in MODES[:2]:
        ours, theirs = et.PorterStemmer(mode), nltk.PorterStemmer(mode)
        assert [ours.stem(word) for word in written[::11]] == [theirs.stem(word) for word in written[::11]]


def test_stemmers() -> None:
    assert et.PorterStemmer().mode == nltk.PorterStemmer().mode
    assert all(getattr(et.PorterStemmer, mode) == getattr(nltk.PorterStemmer, mode) for mode in MODES)
    with pytest.raises(ArgumentError, match=r"mode must be PorterStemmer.NLTK_EXTENSIONS, .*got 'original'"):
        et.PorterStemmer("original")
    with pytest.raises(ArgumentError, match="word must be str, got int"):
        et.PorterStemmer().stem(5)  # type: ignore[arg-type]
    assert len(et.PorterStemmer().stem("yalli" * 200_000)) > 900_000  # in no time


# -------------------- tags


@pytest.mark.parametrize("plain", [False, True])
def test_how_sure_tags_are(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if plain:
        monkeypatch.setattr(_engine, "form", _plain)
    elif not _engine.compiled():
        pytest.skip("the compiled form was not built")
    tagger = et.PerceptronTagger().train(SENTENCES * 4, nr_iter=3)
    words = ["The", "dog", "closes", "Katzen", "run", "fast", "", string.ascii_letters]
    found = tagger.tag(words, return_conf=True)
    assert [each[:2] for each in found] == tagger.tag(words) == tagger.tag(words, False)
    model = _plain.Tagger(len(tagger.classes))
    model.put(*tagger._own.weights())
    looks = [_word_of(word, i == 0) for i, word in enumerate(words)]
    before, before2 = -1, -2
    for i, (word, tag, sure) in enumerate(found):
        number = tagger.classes.index(tag)
        sums = np.zeros(len(tagger.classes))
        for key in _look(looks, i, before, before2):
            sums += model.rows.get(key, 0.0)
        expected = math.exp(sums[number]) / np.exp(sums).sum()
        assert sure == (1.0 if word in tagger._fixed else pytest.approx(expected, rel=1e-9))
        before, before2 = number, before
    assert any(word in tagger._fixed for word in words)
    again = pickle.loads(pickle.dumps(tagger))
    assert again.tag(words, return_conf=True) == found
    assert tagger.tag([], return_conf=True) == []
    with pytest.raises(ArgumentError, match="use_tagdict must be True"):
        tagger.tag(words, use_tagdict=False)
