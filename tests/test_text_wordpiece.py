"""Learning the vocabulary of a WordPiece tokeniser."""

from pathlib import Path

import pytest

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine, _plain

COUNTS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
TEXTS = [
    "The caf\u00e9 is low, the tower lower!",
    "LOWER towers and lowest towers \u6f22\u5b57",
    "a" * 120,
] * 3


def test_pieces_that_go_on_are_marked() -> None:
    tokenizer = et.train_wordpiece(COUNTS, 15, special_tokens=["[UNK]", "[CLS]", "[SEP]"])
    names = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    assert names[:10] == ["[UNK]", "[CLS]", "[SEP]", "b", "h", "p", "##g", "##n", "##s", "##u"]
    assert names[10:] == ["##ug", "##un", "hug", "pun", "pug"]  # 20, 16, 15, 12, 5: ties go to lower ids
    encoding = tokenizer.encode("hugs pun bug xyz")
    assert encoding.tokens == ["[CLS]", "hug", "##s", "pun", "b", "##ug", "[UNK]", "[SEP]"]
    assert tokenizer.decode(encoding.ids) == "hugs pun bug"


def test_files_texts_and_counts_give_the_same(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    learned = et.train_wordpiece(TEXTS, 50)
    assert et.train_wordpiece(file, 50).get_vocab() == learned.get_vocab()
    assert learned.get_vocab_size() == 50
    ids = learned.encode("The lowest caf\u00e9").ids
    assert learned.decode(ids) == "the lowest cafe"
    learned.save(tmp_path / "tokenizer.json")
    assert et.Tokenizer.from_file(tmp_path / "tokenizer.json").encode("The lowest caf\u00e9").ids == ids
    cased = et.train_wordpiece(TEXTS, 50, lowercase=False)
    assert cased.decode(cased.encode("The caf\u00e9").ids) == "The caf\u00e9"


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
def test_both_forms_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = et.train_wordpiece(TEXTS, 90, min_frequency=2).get_vocab()
    monkeypatch.setattr(_engine, "form", _plain)
    assert et.train_wordpiece(TEXTS, 90, min_frequency=2).get_vocab() == expected


def test_rare_characters_are_left_out() -> None:
    tokenizer = et.train_wordpiece({"ab": 5, "ax": 1}, 20, limit_alphabet=2)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "ab"}


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="vocab_size must be at least 12"):
        et.train_wordpiece(COUNTS, 11)
    with pytest.raises(ArgumentError, match="expected a list of tokens"):
        et.train_wordpiece(COUNTS, 50, special_tokens="[UNK]")
    with pytest.raises(ArgumentError, match="limit_alphabet must be"):
        et.train_wordpiece(COUNTS, 50, limit_alphabet=0)
    with pytest.raises(DataError, match=r"there is no \[CLS\]"):
        et.train_wordpiece(COUNTS, 50, special_tokens=["[UNK]"])
