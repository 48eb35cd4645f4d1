"""Tokenisers: the course's example, published files, both forms, damaged input."""

import base64
import copy
import json
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_samples import SENTENCES, random_texts

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError, IndexRangeError, MissingFileError
from einkorn.text import _compile, _engine, _plain, _unicode

HUG = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
FORMS = [pytest.param(_plain, id="plain")]
if _engine.compiled():
    FORMS.append(pytest.param(_engine.form, id="compiled"))


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_engine, "form", request.param)
    return request.param


def small_bpe() -> et.Tokenizer:
    return et.train_bpe([SENTENCES * 3, *random_texts(40, 7)], 420, special_tokens=["<|endoftext|>"])


def small_bert(tmp_path: Path) -> et.Tokenizer:
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "low",
        "##er",
        "##est",
        "new",
        "tower",
        "deja",
        "vu",
    ]
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{word}\n" for word in [*words, ",", "'", "!", "##s", "\u4e00"]))
    return et.read_bert_vocabulary(path)


def test_the_courses_example(form: Any) -> None:
    tokenizer = et.train_bpe(HUG, 10, split="whole", byte_level_tokens=False)
    assert tokenizer.description["model"]["merges"] == [["u", "g"], ["u", "n"], ["h", "ug"]]
    assert list(tokenizer.get_vocab()) == ["b", "g", "h", "n", "p", "s", "u", "ug", "un", "hug"]
    assert tokenizer.encode("hugs").tokens == ["hug", "s"]


def test_of_equally_frequent_pairs_the_smaller_ids_come_first(form: Any) -> None:
    tokenizer = et.train_bpe({"cd": 2, "ab": 2, "ad": 2}, 6, split="whole", byte_level_tokens=False)
    assert tokenizer.description["model"]["merges"] == [["a", "b"], ["a", "d"]]


def test_forms_give_the_same_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for each in FORMS:
        monkeypatch.setattr(_engine, "form", each.values[0])
        results.append(small_bpe().description)
    assert all(result == results[0] for result in results)
    assert len(results[0]["model"]["merges"]) == 163


@pytest.mark.parametrize("split", [*_compile.PATTERN, "bert", "words", "spaces", "metaspace", "whole"])
def test_forms_cut_the_same_pieces(split: str) -> None:
    def pieces_of(form: Any) -> list[list[bytes]]:
        characters = form.Characters(_unicode.classes())
        added = [(b"<|x|>", 1, False, True, False, False), (b"em", 2, False, False, True, False)]
        pipeline = form.Pipeline(
            characters, None, {0x20: "\u2581"}, split, added, "\u2581".encode(), "first", True
        )
        return [pipeline.pieces(text) for text in [SENTENCES, "a<|x|> \n em them", *random_texts(150)]]

    results = [pieces_of(each.values[0]) for each in FORMS]
    assert all(result == results[0] for result in results)


def test_gpt2_pattern_keeps_the_last_space_for_the_word(form: Any) -> None:
    pipeline = form.Pipeline(form.Characters(_unicode.classes()), None, {}, "gpt2", [], b"", "never", False)
    expected = ["We", "'ll", "  ", " see", "\n", "\n", "x", " ", "\t", "12", "!?", "  "]
    assert [piece.decode() for piece in pipeline.pieces("We'll   see\n\nx \t12!?  ")] == expected


def test_bytes_come_back(form: Any) -> None:
    tokenizer = small_bpe()
    for text in [SENTENCES, "<|endoftext|>", *random_texts(60)]:
        ids = tokenizer.ids(text)
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_a_long_word_takes_few_steps(form: Any) -> None:
    tokenizer = et.train_bpe({"ab" * 64: 1}, 262, split="whole")
    word = "ab" * 3000
    ids = tokenizer.ids(word)
    assert tokenizer.decode(ids) == word
    assert len(ids) == 95  # 93 of 64 characters, and 48 in two


def test_batches_are_the_texts_one_by_one() -> None:
    tokenizer = small_bpe()
    texts = random_texts(300)
    batch = tokenizer.encode_batch(texts)
    assert [encoding.ids for encoding in batch] == [tokenizer.encode(text).ids for text in texts]


def test_offsets_are_places_of_the_text(form: Any) -> None:
    tokenizer = small_bpe()
    encoding = tokenizer.encode("the tower é")
    assert encoding.offsets[0][0] == 0
    assert encoding.offsets[-1] == (10, 11)  # a part of a character has the place of the whole
    assert all(stop >= start for start, stop in encoding.offsets)


def test_word_piece(form: Any, tmp_path: Path) -> None:
    tokenizer = small_bert(tmp_path)
    encoding = tokenizer.encode("The LOWEST tower, d\u00e9j\u00e0\tvu\u0000! xyz\u4e00")
    assert encoding.tokens == [
        *("[CLS]", "the", "low", "##est", "tower", ",", "deja", "vu", "!", "[UNK]", "\u4e00", "[SEP]")
    ]
    assert encoding.offsets[2:4] == [(4, 7), (7, 10)]
    assert tokenizer.decode(encoding.ids) == "the lowest tower, deja vu! \u4e00"
    pair = tokenizer.encode("the", "new tower")
    assert pair.type_ids == [0, 0, 0, 1, 1, 1]
    assert pair.sequence_ids == [None, 0, None, 1, 1, None]


def test_what_is_cut_off_is_kept(form: Any) -> None:
    tokenizer = et.train_bpe(["a b c d e f"], 256)
    assert tokenizer.encode("a b,c").word_ids == [0, 1, 1, 2, 3]
    tokenizer.enable_truncation(4, stride=1)
    tokenizer.enable_padding(length=4, pad_id=7)
    assert tokenizer.truncation == {
        "max_length": 4, "stride": 1, "strategy": "longest_first", "direction": "right"
    }  # fmt: skip
    encoding = tokenizer.encode("abcdefgh")
    parts = [encoding, *encoding.overflowing]
    assert [tokenizer.decode(part.ids[: sum(part.attention_mask)]) for part in parts] == [
        "abcd",
        "defg",
        "gh",
    ]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert parts[2].offsets == [(6, 7), (7, 8), (0, 0), (0, 0)]
    assert parts[2].word_ids == [0, 0, None, None]
    assert encoding.char_to_token(2) == 2
    assert encoding.word_to_tokens(0) == (0, 4)
    assert encoding.token_to_chars(3) == (3, 4)
    with pytest.raises(ArgumentError, match="stride must be a whole number from 0 to 3, got 4"):
        tokenizer.enable_truncation(4, stride=4)
    with pytest.raises(IndexRangeError, match="no token 4 of 4"):
        encoding.token_to_word(4)


def test_truncation_and_padding(tmp_path: Path) -> None:
    tokenizer = small_bert(tmp_path)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(pad_to_multiple_of=3)
    first, second = tokenizer.encode_batch(["the", "the low new tower"])
    assert second.ids == [2, 5, 6, 3, 0, 0]
    assert first.attention_mask == [1, 1, 1, 0, 0, 0]
    assert first.special_tokens_mask == [1, 0, 1, 1, 1, 1]
    tokenizer.no_truncation()
    tokenizer.no_padding()
    arrays = tokenizer.arrays(["the", ("low", "new")], 5)
    assert arrays["input_ids"].tolist() == [[2, 5, 3, 0, 0], [2, 6, 3, 9, 3]]
    assert arrays["token_type_ids"].tolist() == [[0] * 5, [0, 0, 0, 1, 1]]
    with pytest.raises(ArgumentError, match="a whole number from 2 to 2147483647, got 1"):
        tokenizer.enable_truncation(1)


UNIGRAM = {
    "model": {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -1.5], ["ab", -2.0], ["ba", -3.0]],
    },
    "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
}


def test_unigram_takes_the_best_sum(form: Any) -> None:
    tokenizer = et.Tokenizer(UNIGRAM)
    assert tokenizer.encode("abab").tokens == ["ab", "ab"]
    assert tokenizer.encode("bab?!a").tokens == ["b", "ab", "<unk>", "a"]


def test_unigram_sampling_follows_the_scores(form: Any) -> None:
    tokenizer = et.Tokenizer(UNIGRAM)
    rng = np.random.default_rng(0)
    draws = [tuple(tokenizer.sample("ab", 1.0, rng=rng)) for _ in range(2000)]
    whole = draws.count((3,)) / len(draws)
    assert whole == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.04)
    assert set(draws) == {(3,), (1, 2)}


def test_files_come_back(form: Any, tmp_path: Path) -> None:
    tokenizer = small_bpe()
    tokenizer.save(tmp_path / "tokenizer.json")
    et.write_gpt2(tokenizer, tmp_path / "vocab.json", tmp_path / "merges.txt")
    read = [et.Tokenizer.from_file(tmp_path / "tokenizer.json")]
    read.append(et.read_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt"))
    plain = et.train_bpe([SENTENCES * 3], 300)
    et.write_tiktoken(plain, tmp_path / "ranks.tiktoken")
    ranks = et.read_tiktoken(tmp_path / "ranks.tiktoken", pattern="gpt2", special_tokens=["<s>"])
    for text in [SENTENCES, *random_texts(20)]:
        assert [each.ids(text) for each in read] == [tokenizer.ids(text)] * 2
        assert ranks.ids(text) == plain.ids(text)
        assert et.Tokenizer.from_str(ranks.to_str()).ids(text) == plain.ids(text)
    assert ranks.token_to_id("<s>") == 300
    bert = small_bert(tmp_path)
    et.write_vocabulary(bert, tmp_path / "again.txt")
    assert et.read_bert_vocabulary(tmp_path / "again.txt").get_vocab() == bert.get_vocab()


def llama_file(path: Path, change: Any = None) -> Path:
    entries = [(0.0, b"<unk>"), (0.0, b"\n<s>\n"), (0.0, b"\n</s>\n")]
    entries += [(0.0, f"<0x{byte:02X}>".encode()) for byte in range(256)]
    entries += [(-float(i), token) for i, token in enumerate([b" t", b"he", b" the", b" ", b"t", b"h", b"e"])]
    octets = struct.pack("<i", 6) + b"".join(struct.pack("<fi", s, len(t)) + t for s, t in entries)
    path.write_bytes(change(octets) if change else octets)
    return path


def test_llama2c(form: Any, tmp_path: Path) -> None:
    path = llama_file(tmp_path / "tokenizer.bin")
    tokenizer = et.read_llama2c(path)
    encoding = tokenizer.encode("the t\u00e9")
    assert encoding.tokens == ["<s>", "\u2581the", "\u2581t", "<0xC3>", "<0xA9>"]
    assert tokenizer.decode(encoding.ids) == "the t\u00e9"
    et.write_llama2c(tokenizer, tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda octets: octets[:-3], "length of 1, and|truncated"),
        (lambda octets: octets[:3], "truncated"),
        (lambda octets: octets[:8] + struct.pack("<i", -5) + octets[12:], "length of -5"),
        (lambda octets: octets[:8] + struct.pack("<i", 2**31 - 1) + octets[12:], "length of 2147483647"),
        (lambda octets: octets[:4] + struct.pack("<f", float("nan")) + octets[8:], "score nan"),
        (lambda octets: octets[:200], "truncated|special tokens and bytes"),
    ],
)
def test_damaged_llama2c(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        et.read_llama2c(llama_file(tmp_path / "tokenizer.bin", change))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"YQ== -1\n", "rank must be 0 to"),
        (b"YQ==\n", "line 1 must be"),
        (b"Y!== 1\n", "line 1 must be"),
        (b"YQ== 1\nYQ== 2\n", "line 2: its token"),
        (b"YQ== 99999999999999999999\n", "rank must be 0 to"),
        (b"YQ== 0\n", "no token for the byte"),
    ],
)
def test_damaged_ranks(tmp_path: Path, lines: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(lines)
    with pytest.raises(DataError, match=message):
        et.read_tiktoken(tmp_path / "x")


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        ('{"a": 0', "", "no JSON"),
        ("[]", "", "must be an object"),
        ('{"a": -1}', "", "integer from 0 on"),
        ('{"a": 1e3}', "", "integer from 0 on"),
        ('{"a": 4294967296}', "", "integer from 0 on"),
        ('{"a": 0, "b": 0}', "", "the same id 0"),
        ('{"a": 0, "b": 1}', "a b\n", "'ab' is not in the vocabulary"),
        ('{"a": 0, "ab": 1}', "#version: 0.2\na b\n", "'b' is not in the vocabulary"),
        ('{"a": 0}', "a\n", "line 1 must be two tokens"),
    ],
)
def test_damaged_gpt2(tmp_path: Path, vocab: str, merges: str, message: str) -> None:
    (tmp_path / "v").write_text(vocab)
    (tmp_path / "m").write_text(merges)
    with pytest.raises(DataError, match=message):
        et.read_gpt2(tmp_path / "v", tmp_path / "m")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"normalizer": {"type": "Nmt"}}, r"normalizer Nmt\(\) is not supported"),
        ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "pre-tokenizer UnicodeScripts"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "x"}}}, "pre-tokenizer Split"),
        ({"decoder": {"type": "CTC"}}, "decoder CTC is not supported"),
        ({"post_processor": {"type": "Other"}}, "post-processor Other is not supported"),
        ({"model": {"type": "WordLevel", "vocab": {}}}, "model WordLevel is not supported"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}, "merge 0 must be two tokens"),
        ({"model": {"type": "Unigram", "vocab": [["a", "b"]]}}, "entry 0 of the vocabulary"),
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 5}}, "unk_id"),
        ({"model": None}, "no model"),
        ({"added_tokens": [{"content": "", "id": 3}]}, "an added token must have"),
        ({"added_tokens": 5}, "damaged"),
    ],
)
def test_damaged_descriptions(part: dict[str, Any], message: str) -> None:
    whole = {**UNIGRAM, **part}
    with pytest.raises(DataError, match=message):
        et.Tokenizer.from_str(json.dumps(whole))


def test_deeply_nested_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        et.Tokenizer.from_str("[" * 100_000)
    with pytest.raises(MissingFileError):
        et.Tokenizer.from_file(tmp_path / "none.json")


def test_texts_that_are_none(form: Any) -> None:
    tokenizer = small_bpe()
    with pytest.raises(ArgumentError, match=r"text 1 has an unpaired surrogate, U\+D800, at character 2"):
        tokenizer.encode_batch(["fine", "ab\ud800"])
    with pytest.raises(ArgumentError, match="unpaired surrogate"):
        tokenizer.encode("\udfff")
    with pytest.raises(ArgumentError, match="no token with id 9999"):
        tokenizer.decode([9999])
    with pytest.raises(ArgumentError, match="at least 257"):
        et.train_bpe(["x"], 256, special_tokens=["<s>"])


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
def test_bytes_that_are_no_text_are_read_safely() -> None:
    tokenizer = small_bpe()
    rng = random.Random(1)
    for split in (*_compile.PATTERN, "bert", "words", "spaces", "metaspace"):
        form = _engine.form
        map_ = {0xFFFD: "x", 0x41: ""}
        pipeline = form.Pipeline(_engine.characters(), tokenizer._model, map_, split, [], b"", "never", False)
        texts = [
            bytes(rng.choice((0x20, 0x41, 0x80, 0xC3, 0xE2, 0xF0, 0xF4, 0xFF)) for _ in range(n % 40))
            for n in range(200)
        ]
        _, counts, _, _ = pipeline.encode(texts, 2, True)
        assert len(counts) == 8 * len(texts)


def test_files_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from einkorn.text import training

    path = tmp_path / "text.txt"
    path.write_text(SENTENCES * 20)
    whole = et.train_bpe(path, 300).description
    monkeypatch.setattr(training, "_CHUNK", 50)
    assert et.train_bpe(path, 300).description == whole
    path.write_bytes(b"fine\nbad \xff\n")
    with pytest.raises(DataError, match="no UTF-8 at byte 9"):
        et.train_bpe(path, 300)


def test_the_package_is_imported_when_it_is_used() -> None:
    code = "import sys, einkorn; print({'einkorn.text', 'einkorn._text'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "set()"


def test_a_text_that_is_too_short_to_be_cut(tmp_path: Path) -> None:
    tokenizer = small_bert(tmp_path)
    tokenizer.enable_truncation(max_length=5, strategy="only_first")
    with pytest.raises(ArgumentError, match=r"truncation: .* the first text, the one to be cut, has 1"):
        tokenizer.encode("the", "low new tower the low")


def test_copies_and_pickles(form: Any, tmp_path: Path) -> None:
    for tokenizer in (small_bpe(), small_bert(tmp_path)):
        for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
            ids = tokenizer.encode(SENTENCES).ids
            assert other.encode(SENTENCES).ids == ids
            assert other.decode(ids) == tokenizer.decode(ids)


@pytest.mark.parametrize("special", ["<a>", [None], b"<a>"])
def test_special_tokens_that_are_no_list_of_tokens(special: Any) -> None:
    with pytest.raises(ArgumentError, match="special_tokens is"):
        et.train_bpe(["the aa"], 270, special_tokens=special)


def test_an_empty_token_of_ranks_comes_back(tmp_path: Path) -> None:
    ranks = [base64.b64encode(bytes([b])).decode() for b in range(256)]
    (tmp_path / "ranks").write_text("".join(f"{r} {i}\n" for i, r in enumerate([*ranks, "="])))
    tokenizer = et.read_tiktoken(tmp_path / "ranks")
    et.write_tiktoken(tokenizer, tmp_path / "written")
    assert (tmp_path / "written").read_text() == (tmp_path / "ranks").read_text()


def test_what_padding_was_told_is_shown() -> None:
    tokenizer = et.train_bpe(["the low tower"], 270)
    assert tokenizer.padding is None
    tokenizer.enable_padding(direction="left", pad_id=3, pad_token="x", length=9)
    assert tokenizer.padding == {
        "length": 9, "pad_to_multiple_of": None, "pad_id": 3, "pad_token": "x", "pad_type_id": 0,
        "direction": "left",
    }  # fmt: skip
    again = et.Tokenizer.from_buffer(tokenizer.to_str().encode())
    assert again.padding == tokenizer.padding
    tokenizer.enable_padding(**tokenizer.padding)
    assert tokenizer.padding == again.padding
    with pytest.raises(ArgumentError, match="buffer must be bytes"):
        et.Tokenizer.from_buffer("text")  # type: ignore[arg-type]
