"""Damaged descriptions and arguments of another kind are refused by name."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError, EinkornError, MissingFileError, ShapeError

TEXTS = ["the low tower", "a lower tower", "the lowest"]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    tokenizer = et.train_bpe(TEXTS, 270, special_tokens=["<pad>"])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer.description


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("truncation", 5, "truncation must be null or an object, got 5"),
        ("truncation", {}, "truncation.max_length must be a whole number from 0 on, got None"),
        ("truncation", {"max_length": "8"}, "truncation.max_length must be a whole number"),
        ("truncation", {"max_length": -1}, "got -1"),
        ("truncation", {"max_length": 8, "strategy": "Longest"}, "truncation.strategy must be LongestFirst"),
        ("truncation", {"max_length": 8, "direction": None}, "truncation.direction must be Left or Right"),
        ("truncation", {"max_length": 8, "stride": 1.5}, "truncation.stride"),
        ("padding", [], "padding must be null or an object"),
        ("padding", {"strategy": "Longest"}, "padding.strategy must be BatchLongest"),
        ("padding", {"strategy": {"Fixed": "8"}}, "padding.strategy"),
        ("padding", {"pad_id": None, "pad_type_id": 0}, "padding.pad_id must be a whole number"),
        ("padding", {"pad_id": 0, "pad_type_id": 0, "pad_to_multiple_of": "2"}, "padding.pad_to_multiple_of"),
        ("padding", {"pad_id": 0, "pad_type_id": 0, "direction": "Up"}, "padding.direction"),
        (
            "padding",
            {"pad_id": 0, "pad_type_id": 0, "pad_token": 7},
            "padding.pad_token must be a string, got 7",
        ),
    ],
)
def test_limits_that_are_damaged(description: dict[str, Any], section: str, value: Any, message: str) -> None:
    damaged = copy.deepcopy(description) | {section: value}
    with pytest.raises(DataError, match=message):
        et.Tokenizer.from_str(json.dumps(damaged))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, each in list(inner)[:12]:
        found += places(each, (*path, key))
    return found


def test_anything_damaged_is_refused_or_works(description: dict[str, Any]) -> None:
    rng = random.Random(0)
    others: list[Any] = [
        None,
        -1,
        2**70,
        1.5,
        "",
        "x",
        [],
        {},
        True,
        [None],
        {"type": "x"},
        [["a"]],
        {"a": "b"},
    ]
    spots = places(description)
    for _ in range(600):
        damaged = copy.deepcopy(description)
        *before, last = rng.choice(spots)
        place = damaged
        for key in before:
            place = place[key]
        if rng.random() < 0.3:
            del place[last]
        else:
            place[last] = rng.choice(others)
        try:
            tokenizer = et.Tokenizer.from_str(json.dumps(damaged))
            for encoding in tokenizer.encode_batch([*TEXTS, ""]):
                tokenizer.decode(encoding.ids)
                assert len(encoding.tokens) == len(encoding.ids)
        except EinkornError:
            continue


def test_texts_that_are_cut_short_are_no_json(description: dict[str, Any]) -> None:
    text = json.dumps(description)
    for cut in range(0, len(text) - 1, max(1, len(text) // 60)):
        with pytest.raises(DataError):
            et.Tokenizer.from_str(text[:cut])


def test_ids_of_another_kind(description: dict[str, Any]) -> None:
    tokenizer = et.Tokenizer(description)
    vocabulary = et.Vocabulary(["hello"])
    for decode in (tokenizer.decode, tokenizer.decode_bytes, vocabulary.decode):
        with pytest.raises(ShapeError, match=r"ids must have 1 dimension, got shape \(2, 3\)"):
            decode(np.zeros((2, 3), np.int64))
        for ids in ([[1, 2]], 5, "ab", [1.5], [None]):
            with pytest.raises(ArgumentError, match="ids must be a list of whole numbers"):
                decode(ids)  # type: ignore[arg-type]
    assert vocabulary.decode(np.array([1, 2])) == vocabulary.decode([1, 2])


def test_vocabularies_of_bytes_and_of_other_things() -> None:
    vocabulary = et.Vocabulary(b"aab")
    assert vocabulary.encode(b"abc") == [1, 2, 0]
    assert et.Vocabulary("aab").encode("ab") == et.Vocabulary(["aab"]).encode("ab")
    for call, message in (
        (lambda: et.Vocabulary(bytes), "texts must be lists of tokens"),
        (lambda: et.Vocabulary([5]), "texts must be lists of tokens"),
        (lambda: et.Vocabulary([[["a"]]]), "texts must be lists of tokens"),
        (lambda: et.Vocabulary([["a", 1]]), "tokens must have an order"),
        (lambda: vocabulary.encode(5), "a text must be a list of tokens"),
        (lambda: vocabulary.encode([["a"]]), "a text must be a list of tokens"),
        (lambda: vocabulary.arrays(["ab"], -1), "length must be a whole number from 0 on, got -1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def test_limits_that_are_asked_for(description: dict[str, Any]) -> None:
    tokenizer = et.Tokenizer(description)
    for call, message in (
        (lambda: tokenizer.enable_truncation("8"), "max_length must be a whole number"),
        (lambda: tokenizer.enable_padding(length=-1), "length must be a whole number"),
        (lambda: tokenizer.enable_padding(pad_id=None), "pad_id must be a whole number"),
        (lambda: tokenizer.arrays(TEXTS, -1), "length must be a whole number"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing, empty = tmp_path / "nowhere", tmp_path / "vocab.json"
    empty.write_text("{}")
    for read in (
        lambda: et.read_gpt2(missing, missing),
        lambda: et.read_gpt2(empty, missing),
        lambda: et.read_clip(missing),
        lambda: et.read_bert_vocabulary(missing),
        lambda: et.read_tiktoken(missing),
        lambda: et.read_llama2c(missing),
        lambda: et.Tokenizer.from_file(missing),
    ):
        with pytest.raises(MissingFileError, match=r"nowhere: there is no such file$"):
            read()
