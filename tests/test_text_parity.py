"""Published tokenisers beside the reference libraries: the same ids, offsets, texts and merges."""

import json
import lzma
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from text_samples import SENTENCES, published, random_texts

import einkorn.text as et

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Passages of a play and of an encyclopedia, one text of each whole, and random ones."""
    play = published("tinyshakespeare", "input.txt").read_text()[:150_000]
    with lzma.open(published("wikipedia_extract", "enwiki_extract.txt.xz"), "rt", encoding="utf-8") as file:
        articles = file.read(150_000)
    return [play, articles, *play.split("\n\n")[:100], SENTENCES, *random_texts(1500, 3)]


def compare(ours: et.Tokenizer, reference: Any, texts: list[str], offsets: bool = True) -> None:
    found = ours.encode_batch(texts)
    expected = reference.encode_batch(texts)
    for text, mine, theirs in zip(texts, found, expected, strict=True):
        assert list(mine.ids) == theirs.ids, text[:200]
        assert not offsets or [tuple(pair) for pair in mine.offsets] == theirs.offsets, text[:200]
        assert mine.word_ids == theirs.word_ids, text[:200]
        assert ours.decode(theirs.ids) == reference.decode(theirs.ids), text[:200]


def test_gpt2(texts: list[str]) -> None:
    files = published("tokenizers", "gpt2_encoder.json"), published("tokenizers", "gpt2_vocab.bpe")
    reference = tokenizers.ByteLevelBPETokenizer(*(str(file) for file in files), add_prefix_space=False)
    reference.add_special_tokens(["<|endoftext|>"])
    ours = et.read_gpt2(*files)
    compare(ours, reference, texts)
    compare(ours, reference, ["a <|endoftext|> b", "<|endoftext|>"])
    assert all(ours.decode_bytes(ours.ids(text)) == text.encode() for text in texts)


def test_whisper(texts: list[str]) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken.load import load_tiktoken_bpe

    file = published("tokenizers", "whisper_multilingual.tiktoken")
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    reference = tiktoken.Encoding(
        "whisper", pat_str=pattern, mergeable_ranks=load_tiktoken_bpe(str(file)), special_tokens={}
    )
    ours = et.read_tiktoken(file, pattern="gpt2")
    for text in texts:
        assert list(ours.ids(text)) == reference.encode_ordinary(text), text[:200]


@pytest.mark.parametrize("lowercase", [True, False])
def test_bert(texts: list[str], lowercase: bool) -> None:
    file = published("tokenizers", "bert_base_uncased_vocab.txt")
    reference = tokenizers.BertWordPieceTokenizer(str(file), lowercase=lowercase)
    compare(et.read_bert_vocabulary(file, lowercase=lowercase), reference, texts)


def test_llama(texts: list[str]) -> None:
    ours = et.read_llama2c(published("tokenizers", "llama2c_tokenizer.bin"))
    compare(ours, tokenizers.Tokenizer.from_str(ours.to_str()), texts)


def test_clip(texts: list[str]) -> None:
    ours = et.read_clip(published("tokenizers", "clip_bpe_simple_vocab_16e6.txt.gz"))
    compare(ours, tokenizers.Tokenizer.from_str(ours.to_str()), texts, offsets=False)


@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
def test_what_truncation_cuts_off(texts: list[str], strategy: str, direction: str) -> None:
    ours = et.read_bert_vocabulary(published("tokenizers", "bert_base_uncased_vocab.txt"))
    reference = tokenizers.Tokenizer.from_str(ours.to_str())

    def shown(encoding: Any) -> list[Any]:
        return [
            (e.ids, e.type_ids, [tuple(pair) for pair in e.offsets], e.word_ids, e.sequence_ids)
            for e in (encoding, *encoding.overflowing)
        ]

    some = [text for text in texts[2:] if 20 < len(text) < 400][:12]
    compared = 0
    for length, stride in ((20, 0), (20, 5), (31, 1), (12, 3)):
        for each in (ours, reference):
            each.enable_truncation(length, stride=stride, strategy=strategy, direction=direction)
        for first, second in pairwise(some):
            if strategy != "only_second":
                assert shown(ours.encode(first)) == shown(reference.encode(first))
            try:
                theirs = reference.encode(first, second)
            except BaseException:
                continue
            assert shown(ours.encode(first, second)) == shown(theirs)
            compared += 1
    assert compared > 5
    for each in (ours, reference):  # no more than what is put around: nothing of the text is kept
        each.enable_truncation(2, strategy=strategy, direction=direction)
    assert shown(ours.encode(some[0])) == shown(reference.encode(some[0]))
    assert shown(ours.encode("")) == shown(reference.encode(""))
    plain = {**json.loads(ours.to_str()), "post_processor": None}
    bare, other = (kind.from_str(json.dumps(plain)) for kind in (et.Tokenizer, tokenizers.Tokenizer))
    for each in (bare, other):
        each.enable_truncation(0, strategy=strategy, direction=direction)
    for given in ((some[0],), (some[0], some[1]), ("", some[1]), ("",)):
        mine, beside = (shown(each.encode(*given)) for each in (bare, other))
        assert [row[:3] for row in mine] == [row[:3] for row in beside]  # theirs forgets which text was cut
    ours.no_truncation()
    reference.no_truncation()
    for i, token in enumerate(ours.encode(some[0]).tokens[:8]):
        mine, beside = ours.encode(some[0]), reference.encode(some[0])
        assert mine.token_to_chars(i) == beside.token_to_chars(i), token
        assert mine.token_to_word(i) == beside.token_to_word(i)
        assert mine.char_to_token(i) == beside.char_to_token(i)
        assert mine.char_to_word(i) == beside.char_to_word(i)
        assert mine.word_to_tokens(i) == beside.word_to_tokens(i)
        assert mine.word_to_chars(i) == beside.word_to_chars(i)


def test_training(texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("".join(texts[:2]))
    reference = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    reference.train([str(file)], vocab_size=1500, min_frequency=0, show_progress=False)
    ours = et.train_bpe(file, 1500)
    assert ours.get_vocab() == reference.get_vocab()


def test_unigram_training(texts: list[str]) -> None:
    lines = texts[0].split("\n")
    ours = et.train_unigram(lines, 1000, unk_token="<unk>")
    reference = tokenizers.Tokenizer(tokenizers.models.Unigram())
    reference.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=1000, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    reference.train_from_iterator(lines, trainer)
    theirs = et.Tokenizer.from_str(reference.to_str())

    def losses(tokenizer: et.Tokenizer) -> tuple[float, float]:
        """Per token, and in all."""
        scores = dict(tokenizer.description["model"]["vocab"])
        found = [scores[token] for each in tokenizer.encode_batch(lines) for token in each.tokens]
        return -sum(found) / len(found), -sum(found)

    mine, beside = losses(ours), losses(theirs)
    assert mine[0] == pytest.approx(beside[0], rel=0.05)
    assert mine[1] < beside[1]
    assert len(set(ours.get_vocab()) & set(theirs.get_vocab())) > 700
    expected = reference.encode_batch(lines[:500])
    assert [list(each.ids) for each in theirs.encode_batch(lines[:500])] == [each.ids for each in expected]
