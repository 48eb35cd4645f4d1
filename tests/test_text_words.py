"""Words and sentences; what makes words alike."""

import random
import re
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from text_samples import published, random_texts

import einkorn.text as et
from einkorn.errors import ArgumentError
from einkorn.text import _engine, _plain

COURSE = "Let's first tokenize the sentence into words using nltk.word_tokenize()."
PIECES = [
    *("'", "''", '"', "``", "`", ".", "..", "...", ":", ",", "1", "2", "a", "s", "t", "n", "can", "not"),
    *("cannot", "gonna", "wanna", "'tis", "'Twas", "d'ye", "gimme", "more'n", "-", "--", "(", ")", "[", "}"),
    *("<", "?", "!", "*", ";", "@", "$", "%", "&", "#", "_", "ll", "re", "VE", "n't", "N'T", "'s", "'S"),
    *"\u0663\u00e9\u017f\u0130\u0131\u212a\u00ab\u00bb\u201c\u201d\u2018\u2019\u201e\u2014\u0301",
]
SPACES = [" ", " ", " ", "\n", "\t", "\u00a0", "\u3000", "\x1c", "\x85", "\x00", "\u6f22", "\U0001f600"]


def mixed(count: int, seed: int) -> list[str]:
    """Texts put together from what the rules look for."""
    rng = random.Random(seed)
    pieces = PIECES + SPACES
    return ["".join(rng.choice(pieces) for _ in range(rng.randrange(14))) for _ in range(count)]


def plain_words(text: str, convert_parentheses: bool = False) -> list[str]:
    return _plain.Words(None).split(text, convert_parentheses)


def words(text: str) -> list[str]:
    return et.word_tokenize(text, preserve_line=True)


def test_the_course_sentence() -> None:
    middle = ["first", "tokenize", "the", "sentence", "into", "words", "using"]
    assert et.word_tokenize(COURSE) == ["Let", "'s", *middle, "nltk.word_tokenize", "(", ")", "."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('He said, "don\'t."', ["He", "said", ",", "``", "do", "n't", ".", "''"]),
        ("I cannot; gimme $3.88", ["I", "can", "not", ";", "gim", "me", "$", "3.88"]),
        ("in New York. It's 5:30, they'll", ["in", "New", "York.", "It", "'s", "5:30", ",", "they", "'ll"]),
        ("'Tis -- well...", ["'", "Tis", "--", "well", "..."]),
        ("", []),
        (" \n", []),
    ],
)
def test_the_rules(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert plain_words(text) == expected


def test_brackets_can_have_names() -> None:
    tokenizer = et.NLTKWordTokenizer()
    assert tokenizer.tokenize("(a) [b]", convert_parentheses=True) == [
        "-LRB-",
        "a",
        "-RRB-",
        "-LSB-",
        "b",
        "-RSB-",
    ]
    assert tokenizer.tokenize_sents(["a b", "c."]) == [["a", "b"], ["c", "."]]


def test_spans_are_those_of_the_text() -> None:
    text = 'Say "yes" -- don\'t (ever).'
    spans = list(et.NLTKWordTokenizer().span_tokenize(text))
    assert [text[a:b] for a, b in spans] == ["Say", '"', "yes", '"', "--", "do", "n't", "(", "ever", ")", "."]


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
def test_both_forms_agree() -> None:
    for text in [*mixed(1500, 1), *random_texts(300, 5)]:
        assert words(text) == plain_words(text), text
        assert et.NLTKWordTokenizer().tokenize(text, True) == plain_words(text, True), text


def test_words_are_those_of_nltk() -> None:
    reference = pytest.importorskip("nltk.tokenize").NLTKWordTokenizer()
    ours = et.NLTKWordTokenizer()
    texts = mixed(1500, 2)
    with zipfile.ZipFile(published("nltk", "movie_reviews.zip")) as archive:
        texts += [
            archive.read(n).decode("latin-1") for n in sorted(archive.namelist()) if n.endswith("7.txt")
        ][:60]
    with zipfile.ZipFile(published("nltk", "brown.zip")) as archive:
        for name in ("brown/ca01", "brown/cn13", "brown/cr05"):
            lines = archive.read(name).decode().splitlines()
            texts += [" ".join(word.rsplit("/", 1)[0] for word in line.split()) for line in lines]
    for text in texts:
        assert ours.tokenize(text) == reference.tokenize(text), text


def test_sentences() -> None:
    text = (
        'Dr. Smith went to Washington, D.C. on Jan. 5. He said: "It works!" Did it? Yes... The U.S. '
        "economy grew 3.5 percent. J. F. Kennedy\nwas there, i.e. at home. \u597d\u3002\u4e0d\u597d\uff01"
    )
    assert et.sent_tokenize(text) == [
        "Dr. Smith went to Washington, D.C. on Jan. 5.",
        'He said: "It works!"',
        "Did it?",
        "Yes...",
        "The U.S. economy grew 3.5 percent.",
        "J. F. Kennedy\nwas there, i.e. at home.",
        "\u597d\u3002",
        "\u4e0d\u597d\uff01",
    ]
    assert et.sent_tokenize(" \n ") == []
    assert et.word_tokenize("It rained. We left.") == ["It", "rained", ".", "We", "left", "."]


def test_sentences_of_brown() -> None:
    """Those that the corpus has, written as a text again. Of those Punkt finds 98.9 % are right."""
    lines = []
    for sentence in et.read_brown(published("nltk", "brown.zip"), penn=False)[:8000]:
        words = [word for word, _ in sentence]
        # Brown doubles these marks.
        words = [w for i, w in enumerate(words) if w not in (";", "?", "!") or words[i - 1 : i] != [w]]
        line = " ".join(words).replace("`` ", '"').replace(" ''", '"').replace("( ", "(")
        # A period of an abbreviation is that of the sentence too.
        lines.append(re.sub(r"\.\.$", ".", re.sub(r" (?=[.,;:?!)])", "", line)))
    whole = " ".join(lines)
    ends = set(np.cumsum([len(line) + 1 for line in lines]) - 1)
    found, at = set(), 0
    for sentence in et.sent_tokenize(whole):
        at = whole.index(sentence, at) + len(sentence)
        found.add(at)
    assert len(found & ends) / len(found) > 0.998
    assert len(found & ends) / len(ends) > 0.88


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: et.word_tokenize(b"a"), "text must be str, got bytes"),  # type: ignore[arg-type]
        (lambda: words("a\ud800"), r"unpaired surrogate, U\+D800, at character 1"),
        (lambda: et.sent_tokenize("a", "german"), "language must be 'english', got 'german'"),
        (lambda: et.NLTKWordTokenizer().tokenize("a", return_str=True), "return_str must be False"),
        (lambda: et.normalize("a", "NFX"), "form must be NFC"),
        (lambda: et.normalize("a", case="upper"), "case must be"),
        (lambda: et.porter_stem("a", mode="new"), "mode must be 'original' or 'extended', got 'new'"),
        (lambda: et.ngrams("ab", 0), "n must be a whole number from 1 on, got 0"),
        (lambda: et.lemmatize("a", "no such"), "language 'no such'"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_stems_of_the_course() -> None:
    written = (
        "caresses flies dies mules denied died agreed owned humbled sized meeting stating siezing "
        "itemization sensational traditional reference plotted"
    )
    stems = "caress fli die mule deni die agre own humbl size meet state siez item sensat tradit refer plot"
    assert [et.porter_stem(word, mode="extended") for word in written.split()] == stems.split()
    assert et.porter_stem("Dies") == "di"


def test_published_stems() -> None:
    written = published("porter", "voc.txt").read_text().split("\n")
    stems = published("porter", "output.txt").read_text().split("\n")
    assert len(written) == len(stems) > 42_000
    assert all(et.porter_stem(word) == stem for word, stem in zip(written[::7], stems[::7], strict=True))


def test_lemmas_and_spellings() -> None:
    assert [et.lemmatize(word) for word in ("feet", "bats")] == ["foot", "bat"]
    assert et.normalize("Cafe\u0301 \ufb01n") == "Caf\u00e9 \ufb01n"
    assert et.normalize("Caf\u00e9 \ufb01n", "NFKC", case="lower", accents=False) == "cafe fin"
    assert et.normalize("Stra\u00dfe", None, case="fold") == "strasse"
    assert et.remove_stop_words(["The", "cat", "is", "on", "the", "mat"]) == ["cat", "mat"]


def test_ngrams_and_distances() -> None:
    assert list(et.ngrams("abcd", 3)) == [("a", "b", "c"), ("b", "c", "d")]
    padded = et.ngrams(["a"], 2, pad_left=True, pad_right=True, left_pad_symbol="<", right_pad_symbol=">")
    assert list(padded) == [("<", "a"), ("a", ">")]
    assert list(et.ngrams("ab", 3)) == []
    assert et.edit_distance("rain", "shine") == 3
    assert et.edit_distance("", "abc") == 3
    assert et.edit_distance("abcdef", "acbdef") == 2
    assert et.edit_distance("abcdef", "acbdef", transpositions=True) == 1
    assert et.edit_distance("ca", "abc", transpositions=True) == 2
    assert et.edit_distance("mart", "karma", substitution_cost=2) == 5
    assert et.edit_distance(["the", "cat"], ["a", "cat"]) == 1
