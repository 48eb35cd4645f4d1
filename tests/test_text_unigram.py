"""Learning the pieces of a Unigram tokeniser."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy.special import digamma

import einkorn as ek
import einkorn.text as et
from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine, _plain

COUNTS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5, "caf\u00e9s": 2, "\U0001f600\U0001f600": 3}
TEXTS = [
    "the lowest tower is lower than the towers",
    "a caf\u00e9 in the town; \u6f22\u5b57 \u6f22\u5b57",
    "low lower lowest, tall taller tallest",
] * 4
FORMS = [_plain, *([_engine.form] if _engine.compiled() else [])]


def counted(form: Any, counts: dict[str, int]) -> Any:
    made = form.Counts()
    for word, count in counts.items():
        made.add(word, count)
    return made


def all_ways(word: str, pieces: dict[str, float]) -> Iterator[list[str]]:
    if not word:
        yield []
    for end in range(1, len(word) + 1):
        if word[:end] in pieces:
            yield from ([word[:end], *rest] for rest in all_ways(word[end:], pieces))


@pytest.mark.parametrize("form", FORMS)
def test_expectation_and_likelihood_are_those_of_all_segmentations(form: Any) -> None:
    learner = form.UnigramLearner(counted(form, COUNTS), 4, 1000)
    for _ in range(3):
        pieces = {piece: score for piece, score, _ in learner.pieces()}
        assert {"ug", "un", "hug", "hugs", "p", "caf\u00e9"} - set(pieces) == {
            "caf\u00e9"
        }  # only in the longer
        expected = dict.fromkeys(pieces, 0.0)
        likelihood = 0.0
        for word, count in COUNTS.items():
            ways = [(way, math.exp(sum(pieces[part] for part in way))) for way in all_ways(word, pieces)]
            total = math.fsum(weight for _, weight in ways)
            likelihood += count * math.log(total)
            for way, weight in ways:
                for part in way:
                    expected[part] += count * weight / total
        assert learner.expect(1) == pytest.approx(likelihood, rel=1e-12)
        assert {piece: n for piece, _, n in learner.pieces()} == pytest.approx(expected, rel=1e-9, abs=1e-12)
        learner.maximize(0.0)
        floored = {piece: max(n, 0.5) for piece, n in expected.items()}
        whole = digamma(sum(floored.values()))
        now = {piece: score for piece, score, _ in learner.pieces()}
        assert now == pytest.approx({piece: digamma(n) - whole for piece, n in floored.items()}, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_pruning_takes_what_the_likelihood_misses_least(form: Any) -> None:
    learner = form.UnigramLearner(counted(form, COUNTS), 4, 1000)
    learner.expect(1)
    learner.maximize(0.5)
    pieces = {piece: score for piece, score, _ in learner.pieces()}

    def best(word: str, without: str = "") -> list[str]:
        ways = (way for way in all_ways(word, pieces) if without not in way)
        return max(ways, key=lambda way: sum(pieces[part] for part in way))

    used = dict.fromkeys(pieces, 0)
    for word, count in COUNTS.items():
        for part in best(word):
            used[part] += count
    total = sum(used.values())

    def loss(piece: str) -> float:
        n = used[piece]
        if n == 0:
            return -math.inf
        instead = best(piece, piece)
        after = math.log(total + n * (len(instead) - 1))
        return n * (math.log(n / total) - sum(math.log(used[part] + n) - after for part in instead))

    longer = [piece for piece in pieces if len(piece) > 1]
    kept = sorted(longer, key=loss, reverse=True)[:4]
    learner.prune(learner.characters() + 4, 1)
    assert {piece for piece, _, _ in learner.pieces() if len(piece) > 1} == set(kept)


@pytest.mark.parametrize("split", ["metaspace", "words", "spaces", "whole"])
def test_both_forms_agree(monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    learned = et.train_unigram(TEXTS, 60, split=split, max_piece_length=6)
    monkeypatch.setattr(_engine, "form", _plain)
    plain = et.train_unigram(TEXTS, 60, split=split, max_piece_length=6)
    found, expected = (dict(each.description["model"]["vocab"]) for each in (learned, plain))
    assert found == pytest.approx(expected, rel=1e-9)


def test_files_texts_and_threads_give_the_same(tmp_path: Path) -> None:
    texts = [
        f"{text} {i * 7919 % 100_003}" for i in range(14_000) for text in TEXTS[i % 3 : i % 3 + 1]
    ]  # more than one task
    file = tmp_path / "text.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    learned = et.train_unigram(texts, 200, special_tokens=["<s>"], unk_token="<unk>")
    assert et.train_unigram(file, 200, special_tokens=["<s>"], unk_token="<unk>").description == (
        learned.description
    )
    before = ek.get_num_threads()
    try:
        ek.set_num_threads(1)
        alone = et.train_unigram(texts, 200, special_tokens=["<s>"], unk_token="<unk>")
    finally:
        ek.set_num_threads(before)
    assert alone.description == learned.description
    scores = [score for _, score in learned.description["model"]["vocab"]][2:]
    assert scores == sorted(scores, reverse=True)
    assert learned.get_vocab_size() == 200
    assert [learned.token_to_id(token) for token in ("<unk>", "<s>")] == [0, 1]
    ids = learned.encode("the tallest tower<s>").ids
    assert ids[-1] == 1
    assert learned.decode(ids) == "the tallest tower"
    assert learned.encode("\u00df").tokens[-1] == "<unk>"
    learned.save(tmp_path / "tokenizer.json")
    assert et.Tokenizer.from_file(tmp_path / "tokenizer.json").encode("the tallest tower<s>").ids == ids


def test_what_is_empty_or_very_long() -> None:
    assert et.train_unigram([], 10, special_tokens=["<s>"]).get_vocab() == {"<s>": 0}
    assert et.train_unigram({"ab": 0}, 10).get_vocab_size() == 0
    long = et.train_unigram({"\u00e9a" * 100_000: 1, "xyz": 3}, 10, split="whole", max_piece_length=4)
    assert {"\u00e9a\u00e9a", "xyz"} < set(long.get_vocab())


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="train_unigram: vocab_size must be at least 13"):
        et.train_unigram(COUNTS, 12, unk_token="<unk>")
    for option, message in (
        ({"shrinking_factor": 1.0}, "shrinking_factor must be above 0 and below 1"),
        ({"max_piece_length": 0}, "max_piece_length must be a whole number"),
        ({"n_sub_iterations": True}, "n_sub_iterations must be a whole number"),
        ({"seed_size": -1}, "seed_size must be a whole number"),
        ({"shrinking_factor": "0.5"}, "shrinking_factor must be above 0"),
        ({"unk_token": 3}, "unk_token is 3, expected a str"),
        ({"split": "gpt2"}, "split must be one of"),
        ({"special_tokens": "<s>"}, "expected a list of tokens"),
    ):
        with pytest.raises(ArgumentError, match=message):
            et.train_unigram(COUNTS, 50, **option)
    for train in (et.train_unigram, et.train_bpe, et.train_wordpiece):
        name = train.__name__
        with pytest.raises(ArgumentError, match=f"{name}: words must be str without surrogates"):
            train({"a\ud800": 1}, 300)  # type: ignore[operator]
        with pytest.raises(ArgumentError, match=f"{name}: words must be str without surrogates"):
            train({b"\xff": 1}, 300)  # type: ignore[operator]
        with pytest.raises(ArgumentError, match=f"{name}: texts must be str"):
            train([1], 300)  # type: ignore[operator]
        for source in (None, 3, b"text"):
            with pytest.raises(ArgumentError, match=f"{name}: source must be"):
                train(source, 300)  # type: ignore[operator]
        for size in ("300", 300.0, True, -1):
            with pytest.raises(ArgumentError, match=f"{name}: vocab_size must be a whole number"):
                train(COUNTS, size)  # type: ignore[operator]
        with pytest.raises(ArgumentError, match=f"{name}: special_tokens is 5"):
            train(COUNTS, 300, special_tokens=5)  # type: ignore[operator]
        with pytest.raises(ArgumentError, match=f"{name}: the special token .* unpaired surrogate"):
            train(COUNTS, 300, special_tokens=["\ud800"])  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="end_of_word_suffix must be str"):
        et.train_bpe(COUNTS, 300, end_of_word_suffix=3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no such file"):
        et.train_unigram(Path("absent.txt"), 50)
