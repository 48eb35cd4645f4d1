"""The names of Hugging Face's tokenizers and of transformers' calls, beside the libraries."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_samples import published, random_texts

import einkorn.text as et
from einkorn.errors import ArgumentError, CheckpointError, MissingFileError

tokenizers = pytest.importorskip("tokenizers")

WORDS = ["Hello-there", "w\u00f6rld", "", " a b ", "[SEP]", "unbelievably"]
COLUMNS = (
    "ids", "tokens", "type_ids", "attention_mask", "special_tokens_mask", "sequence_ids", "word_ids",
    "offsets", "n_sequences",
)  # fmt: skip


@pytest.fixture(params=["bert", "gpt2", "llama"])
def both(request: pytest.FixtureRequest) -> Any:
    if request.param == "bert":
        ours = et.read_bert_vocabulary(published("tokenizers", "bert_base_uncased_vocab.txt"))
    elif request.param == "gpt2":
        ours = et.read_gpt2(
            published("tokenizers", "gpt2_encoder.json"), published("tokenizers", "gpt2_vocab.bpe")
        )
    else:
        ours = et.read_llama2c(published("tokenizers", "llama2c_tokenizer.bin"))
    return ours, tokenizers.Tokenizer.from_str(ours.to_str())


@pytest.fixture
def bert() -> Any:
    ours = et.read_bert_vocabulary(published("tokenizers", "bert_base_uncased_vocab.txt"))
    return ours, tokenizers.Tokenizer.from_str(ours.to_str())


def same(mine: Any, theirs: Any, what: tuple[str, ...] = COLUMNS, further: bool = True) -> None:
    for name in what:
        found = getattr(mine, name)
        assert (list(found) if isinstance(found, list) else found) == getattr(theirs, name), name
    if further:
        assert len(mine.overflowing) == len(theirs.overflowing)
        for one, other in zip(mine.overflowing, theirs.overflowing, strict=True):
            same(one, other, what, further=False)


# -------------------- words that are there already


def test_words(both: Any) -> None:
    ours, theirs = both
    for words in (WORDS, tuple(WORDS), WORDS[:1], []):
        for add in (True, False):
            same(
                ours.encode(words, is_pretokenized=True, add_special_tokens=add),
                theirs.encode(words, is_pretokenized=True, add_special_tokens=add),
                COLUMNS if words else ("ids",),
            )
    same(ours.encode(WORDS, WORDS[:2], True), theirs.encode(WORDS, WORDS[:2], True))
    texts = [text.split(" ") for text in random_texts(60, 5)]
    batch = [*texts, (WORDS, WORDS[1:2]), [WORDS[:1], ["x", "y"]], ("a", "b"), []]
    for add in (True, False):
        found = ours.encode_batch(batch, is_pretokenized=True, add_special_tokens=add)
        expected = theirs.encode_batch(batch, is_pretokenized=True, add_special_tokens=add)
        for mine, other in zip(found, expected, strict=True):
            same(mine, other, COLUMNS if other.ids else ("ids",))
    assert [each.ids for each in ours.encode_batch_fast(batch, True)] == [
        each.ids for each in theirs.encode_batch_fast(batch, True)
    ]
    assert ours.encode_batch([], is_pretokenized=True) == []


def test_words_cut_off_and_filled(bert: Any) -> None:
    for each in bert:
        each.enable_truncation(8, stride=1)
        each.enable_padding(length=10)
    same(bert[0].encode(WORDS, WORDS[:3], is_pretokenized=True), bert[1].encode(WORDS, WORDS[:3], True))
    found, expected = (each.encode_batch([WORDS, WORDS[:1]], is_pretokenized=True) for each in bert)
    for mine, other in zip(found, expected, strict=True):
        same(mine, other)


def test_words_refused(bert: Any) -> None:
    ours, _ = bert
    for call in (
        lambda: ours.encode("a b", is_pretokenized=True),
        lambda: ours.encode([5], is_pretokenized=True),
        lambda: ours.encode_batch(["a b"], is_pretokenized=True),
    ):
        with pytest.raises(ArgumentError, match="with is_pretokenized a text must be a list of str"):
            call()
    with pytest.raises(ArgumentError, match="texts must be str, got list"):
        ours.encode(["a", "b"])
    for size in (0, 3):
        with pytest.raises(ArgumentError, match=f"a pair has two texts, got {size}"):
            ours.encode_batch(["a", ("a",) * size])
    with pytest.raises(ArgumentError, match="unpaired surrogate"):
        ours.encode(["a", "\ud800"], is_pretokenized=True)


# -------------------- what an encoding can do


@pytest.mark.parametrize("direction", ["left", "right"])
def test_encodings_filled_and_cut_off(both: Any, direction: str) -> None:
    for text, pair in (("hello there big world", "again"), ("hello there big world", None), ("", None)):
        for length in (0, 1, 2, 3, 5, 8, 12):
            for stride in (0, 1, 2):
                one, other = (each.encode(text, pair) for each in both)
                if stride >= length > 0 and length < len(one):
                    with pytest.raises(ArgumentError, match="stride must be less than max_length"):
                        one.truncate(length, stride)
                    continue
                for each in (one, other):
                    each.truncate(length, stride, direction)
                what = COLUMNS if text else ("ids",)
                same(one, other, what)
                for each in (one, other):
                    each.pad(6, direction=direction, pad_id=7, pad_type_id=3, pad_token="<P>")
                same(one, other, what)
                for each in (one, other):
                    each.pad(10, direction="right" if direction == "left" else "left")
                same(one, other, what)
    one, other = (each.encode("hello there", "you") for each in both)
    assert one.offsets  # computed before
    for each in (one, other):
        each.pad(9, direction=direction)
        each.pad(12, direction=direction, pad_id=5, pad_type_id=1, pad_token="<Q>")
    same(one, other)
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again.tokens == other.tokens
    assert [one.char_to_token(i) for i in range(12)] == [other.char_to_token(i) for i in range(12)]
    assert one.word_to_tokens(1) == other.word_to_tokens(1)


def test_encodings_together(both: Any) -> None:
    kind = tokenizers.Encoding
    for growing in (True, False):
        one, other = (
            [each.encode("hello there"), each.encode("big world", "you"), each.encode("so")] for each in both
        )
        one[1].truncate(4, 1)
        other[1].truncate(4, 1)
        assert one[0].ids  # stays as it was
        mine = et.Encoding.merge(one[:2], growing)
        same(mine, kind.merge(other[:2], growing))
        same(one[0], other[0])
        same(et.Encoding.merge([one[0], one[2]], growing), kind.merge([other[0], other[2]], growing))
        same(et.Encoding.merge(one[2:]), kind.merge(other[2:]))
    one[0].set_sequence_id(1)
    other[0].set_sequence_id(1)
    same(one[0], other[0])
    for bad in ([], [5], 5):
        with pytest.raises(ArgumentError, match="encodings must be a list"):
            et.Encoding.merge(bad)  # type: ignore[arg-type]


# -------------------- folders


def test_folders(bert: Any, tmp_path: Path) -> None:
    ours, _ = bert
    with pytest.raises(MissingFileError):
        et.Tokenizer.from_pretrained(tmp_path)
    ours.save(tmp_path / "tokenizer.json")
    assert et.Tokenizer.from_pretrained(str(tmp_path)).ids("hello") == ours.ids("hello")
    with pytest.raises(ArgumentError, match=r"no folder 'bert-base-uncased'; nothing is fetched"):
        et.Tokenizer.from_pretrained("bert-base-uncased")
    with pytest.raises(ArgumentError, match="revision must be 'main' and token None"):
        et.Tokenizer.from_pretrained(tmp_path, revision="v2")
    with pytest.raises(ArgumentError, match="a path must be str or Path"):
        et.Tokenizer.from_pretrained(5)  # type: ignore[arg-type]


# -------------------- calls


def test_calls(both: Any) -> None:
    transformers = pytest.importorskip("transformers")
    ours, theirs = both
    special = [token["content"] for token in ours.description.get("added_tokens") or ()]
    token = special[0] if special else "!"
    ours.enable_padding(pad_token=token, pad_id=ours.token_to_id(token))
    ours.no_padding()
    reference = transformers.PreTrainedTokenizerFast(tokenizer_object=theirs, pad_token=token)
    ours.enable_padding(pad_token=token, pad_id=ours.token_to_id(token))
    texts = ["hello there", "a much longer text, which has more words", ""]
    extras = "token_type_ids", "special_tokens_mask", "offsets_mapping", "length"
    everything = {f"return_{name}": True for name in extras}
    for arguments, options in (
        ((texts[0],), {}),
        ((texts[0], texts[1]), everything),
        ((texts,), everything),
        ((texts[:2],), {"return_attention_mask": False}),
        ((texts,), {"padding": True, "return_tensors": "np"}),
        ((texts[0],), {"return_tensors": "np", "return_special_tokens_mask": True}),
        ((texts,), {"padding": "longest", "padding_side": "left", "pad_to_multiple_of": 8}),
        ((texts,), {"padding": "max_length", "max_length": 7, "truncation": True, "return_tensors": "np"}),
        ((texts[1:2], texts[:1]), {"max_length": 8, "truncation": "only_first", "stride": 1} | everything),
        ((texts[1],), {"max_length": 6, "truncation": True, "return_overflowing_tokens": True}),
        (
            (texts,),
            {
                "max_length": 6,
                "truncation": True,
                "stride": 2,
                "padding": True,
                "return_overflowing_tokens": True,
            }
            | everything,
        ),
        ((WORDS,), {"is_split_into_words": True}),
        (([WORDS, WORDS[:2]],), {"is_split_into_words": True, "add_special_tokens": False}),
        ((texts,), {"padding": "do_not_pad", "truncation": "do_not_truncate"}),
    ):
        found, expected = ours(*arguments, **options), dict(reference(*arguments, **options))
        assert set(found) == set(expected), options
        for key, value in expected.items():
            assert (
                np.array_equal(found[key], value) if options.get("return_tensors") else found[key] == value
            ), (
                options,
                key,
            )
    assert found.input_ids is found["input_ids"]
    assert found.tokens(1) == found.encodings[1].tokens
    assert found.word_ids(0) == found.encodings[0].word_ids
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(AttributeError, match="did you mean 'input_ids'"):
        _ = found.input_id
    assert ours.encode("hello").attention_mask == ours(["hello"])["attention_mask"][0]
    assert ours.truncation is None  # calls leave it as it was


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t("a", return_tensors="pt"), "return_tensors must be 'np' or None, got 'pt'"),
        (lambda t: t(["a", "a b"], return_tensors="np"), "rows of different lengths are no array"),
        (lambda t: t(["a"], padding="longer"), "padding must be True"),
        (lambda t: t(["a"], padding="max_length"), "padding 'max_length' needs max_length"),
        (lambda t: t("a", truncation=True), "truncation needs max_length"),
        (lambda t: t("a", truncation="first", max_length=5), "no strategy 'first'"),
        (lambda t: t("a", truncation=True, max_length=1), "max_length must be a whole number from 2"),
        (lambda t: t(5), "text must be a list, got 5"),
        (lambda t: t([("a", "b")]), "pairs go to text_pair"),
        (lambda t: t(["a"], ["b", "c"]), "text_pair has 2 texts, text 1"),
        (lambda t: t("a", is_split_into_words=True), "text must be a list, got 'a'"),
        (lambda t: t.batch_decode([[1]]), "has no attribute 'batch_decode': use decode_batch"),
        (lambda t: t.train([]), "train_bpe, train_wordpiece and train_unigram make a tokenizer"),
        (lambda t: t.encode_bach([]), "did you mean 'encode_batch'"),
        (lambda t: setattr(t, "normalizer", None), "normalizer cannot be set"),
        (lambda t: setattr(t, "encode_special_tokens", True), "encode_special_tokens cannot be set"),
    ],
)
def test_calls_refused(bert: Any, call: Any, message: str) -> None:
    with pytest.raises((ArgumentError, AttributeError), match=message):
        call(bert[0])


def test_nothing_to_fill_with() -> None:
    tokenizer = et.train_bpe(["a b c"], 260)
    with pytest.raises(ArgumentError, match=r"there is no \[PAD\] or <pad>"):
        tokenizer(["a", "a b"], padding=True)
    padded = et.train_bpe(["a b c"], 260, special_tokens=["<pad>"])
    assert padded(["a", "a b"], padding=True)["attention_mask"][0][-1] == 0
    assert padded([], padding=True)["input_ids"] == []


def test_names_that_are_not_there() -> None:
    """Each public name of the library is here, or refused with what to do instead."""
    from einkorn.text._calls import _INSTEAD

    for name in dir(tokenizers.Tokenizer):
        assert name.startswith("_") or hasattr(et.Tokenizer, name) or name in _INSTEAD, name
    made = et.train_bpe(["a b c"], 260).encode("a")
    assert all(name.startswith("_") or hasattr(made, name) for name in dir(tokenizers.Encoding))
    assert not any(hasattr(et.Tokenizer, name) for name in _INSTEAD)


def test_tokenizers_for_transformers(both: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours, _ = both
    texts = ["hello there", "Gr\u00fc\u00dfe, world!", " a b "]
    files = ours.save_pretrained(tmp_path / "new")
    assert [Path(file).name for file in files] == ["tokenizer.json", "tokenizer_config.json"]
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert theirs(texts)["input_ids"] == ours(texts)["input_ids"]
    assert et.Tokenizer.from_pretrained(tmp_path / "new")(texts)["input_ids"] == ours(texts)["input_ids"]
    # A configuration that is there stays, with its templates.
    (tmp_path / "new" / "tokenizer_config.json").write_text('{"chat_template": "hi"}')
    assert len(ours.save_pretrained(tmp_path / "new")) == 1
    assert "chat_template" in (tmp_path / "new" / "tokenizer_config.json").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file: is no folder"):
        ours.save_pretrained(tmp_path / "file")
