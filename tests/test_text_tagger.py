"""Parts of speech: learned from little, from the Brown corpus, saved; both forms give the same tags."""

from collections.abc import Callable
from pathlib import Path

import pytest
from text_samples import published

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine, _plain
from einkorn.text._brown import penn_tag

COURSE = "The/DT striped/JJ bats/NNS are/VBP hanging/VBG on/IN their/PRP$ feet/NNS for/IN best/JJS"
TAGGED = [
    "The/DT dog/NN runs/VBZ fast/RB ./.",
    "Dogs/NNS run/VBP in/IN the/DT park/NN ./.",
    "She/PRP saw/VBD 2/CD old/JJ dogs/NNS in/IN 1961/CD ./.",
    "A/DT caf\u00e9/NN in/IN M\u00fcnchen/NNP closes/VBZ ./.",
    "The/DT run/NN was/VBD long/JJ ./.",
] * 6


def pairs(text: str) -> list[tuple[str, str]]:
    return [tuple(part.rsplit("/", 1)) for part in text.split()]  # type: ignore[misc]


SENTENCES = [pairs(text) for text in TAGGED]


def test_what_was_seen_is_known() -> None:
    tagger = et.PerceptronTagger().train(SENTENCES)
    assert tagger.accuracy(SENTENCES) == 1
    assert tagger.tag(["Dogs", "run", "."]) == [("Dogs", "NNS"), ("run", "VBP"), (".", ".")]
    assert tagger.tag_sents([[], ["the", "run"]]) == [[], [("the", "DT"), ("run", "NN")]]
    assert tagger.classes == sorted(tagger.classes)


def test_the_same_again_and_from_a_file(tmp_path: Path) -> None:
    first, second = (et.PerceptronTagger().train(SENTENCES, nr_iter=3, seed=2) for _ in range(2))
    words = [[word for word, _ in sentence] + ["running", "Katzen", ""] for sentence in SENTENCES]
    expected = first.tag_sents(words)
    assert second.tag_sents(words) == expected
    first.save(tmp_path / "model")
    loaded = et.PerceptronTagger.load(tmp_path / "model")
    assert loaded.tag_sents(words) == expected
    content = (tmp_path / "model").read_bytes()
    for cut in range(0, len(content), 499):
        (tmp_path / "cut").write_bytes(content[:cut])
        with pytest.raises(DataError):
            et.PerceptronTagger.load(tmp_path / "cut")


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
def test_both_forms_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = [[word for word, _ in sentence] + ["running", "Katzen", ""] for sentence in SENTENCES]
    compiled = et.PerceptronTagger().train(SENTENCES, nr_iter=2)
    compiled.save(tmp_path / "model")
    expected = compiled.tag_sents(words)
    monkeypatch.setattr(_engine, "form", _plain)
    assert et.PerceptronTagger().train(SENTENCES, nr_iter=2).tag_sents(words) == expected
    assert et.PerceptronTagger.load(tmp_path / "model").tag_sents(words) == expected


def test_brown() -> None:
    sentences = et.read_brown(published("nltk", "brown.zip"))
    assert len(sentences) == 57_340
    assert sum(map(len, sentences)) == 1_161_192
    held = sentences[::10]
    tagger = et.PerceptronTagger().train([s for i, s in enumerate(sentences) if i % 10], nr_iter=5)
    assert tagger.accuracy(held) >= 0.96
    assert tagger.tag([word for word, _ in pairs(COURSE)]) == pairs(COURSE)


@pytest.mark.parametrize(
    ("brown", "penn"),
    [
        ("at", "DT"),
        ("nn-tl", "NN"),
        ("np$", "NNP"),
        ("ppss+ber", "PRP"),
        ("md*", "MD"),
        ("fw-nns", "NNS"),
        ("*", "RB"),
    ],
)
def test_tags_of_brown(brown: str, penn: str) -> None:
    assert penn_tag(brown) == penn


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: et.PerceptronTagger().tag(["a"]), "nothing was learned"),
        (lambda: et.PerceptronTagger().train([]), "there are no sentences"),
        (lambda: et.PerceptronTagger().train([["a"]]), r"lists of \(word, tag\)"),
        (lambda: et.PerceptronTagger().train([[("a", 1)]]), r"lists of \(word, tag\)"),
        (
            lambda: et.PerceptronTagger().train(SENTENCES, nr_iter=0),
            "nr_iter must be a whole number from 1 on, got 0",
        ),
        (lambda: et.PerceptronTagger().train([[("\ud800", "NN")]]), "unpaired surrogate"),
        (
            lambda: et.PerceptronTagger().train(SENTENCES).tag("a dog"),
            "a sentence must be a list, got 'a dog'",
        ),
        (lambda: et.PerceptronTagger().train(SENTENCES).tag([1]), "words must be str"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_the_arguments_are_those_of_nltk(tmp_path: Path) -> None:
    tagger = et.PerceptronTagger(load=False)
    tagger.train(SENTENCES, str(tmp_path / "model"), 3)
    words = [word for word, _ in SENTENCES[0]]
    assert et.PerceptronTagger.load(tmp_path / "model").tag(words) == tagger.tag(words)
    with pytest.raises(ArgumentError, match="no model comes with einkorn"):
        et.PerceptronTagger(load=True)
