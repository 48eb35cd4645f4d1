"""``einkorn tokenize`` and ``einkorn embed``."""

from pathlib import Path

import numpy as np
import pytest

import einkorn.text as et
from einkorn.cli import main

LINES = ["the cow eats grass", "the goat eats grass", "a city in the north"] * 40


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def test_tokenize(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tokenizer.json"
    arguments = [
        "tokenize",
        "train",
        str(corpus),
        "--vocab-size",
        "280",
        "--special",
        "<end>",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    assert "280 tokens" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "there already" in capsys.readouterr().err
    tokenizer = et.Tokenizer.from_file(out)
    assert main(["tokenize", "encode", str(out), str(corpus)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [[int(number) for number in line.split()] for line in printed] == [
        tokenizer.ids(line) for line in LINES
    ]
    assert main(["tokenize", "count", str(out), str(corpus)]) == 0
    tokens = sum(len(tokenizer.ids(line)) for line in LINES)
    assert f"120 lines, 520 words, {tokens:,} tokens" in capsys.readouterr().out
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert main(["tokenize", "count", str(out), str(empty)]) == 0
    assert "empty.txt: 0 lines, 0 words, 0 tokens" in capsys.readouterr().out
    for doing, message in (("word2vec", "no word occurs 5 times"), ("glove", "no two words occur together")):
        assert main(["embed", doing, str(empty), "--out", str(tmp_path / "model")]) == 2
        assert message in capsys.readouterr().err
    assert main(["tokenize", "count", str(out), str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("doing", "options"), [("word2vec", []), ("word2vec", ["--cbow", "--hierarchical"]), ("glove", [])]
)
def test_embed(
    doing: str, options: list[str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, text = tmp_path / "model", tmp_path / "vectors.txt"
    arguments = [
        "embed",
        doing,
        str(corpus),
        "--out",
        str(out),
        "--vectors",
        str(text),
        "--size",
        "8",
        *options,
    ]
    assert main([*arguments, "--size", "8", "--epochs", "2"]) == 0
    captured = capsys.readouterr()
    assert "9 words" in captured.out
    assert "epoch 2: loss" in captured.err
    printed = []
    for path in (out, text):
        assert main(["embed", "similar", str(path), "cow", "-n", "3"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == 3
    assert main(["embed", "similar", str(out), "nothing"]) == 2
    assert "'nothing' is not there" in capsys.readouterr().err
    assert main(["embed", "similar", str(corpus.with_suffix(".none")), "cow"]) == 2
    corpus.with_suffix(".bin").write_bytes(b"no model")
    assert main(["embed", "similar", str(corpus.with_suffix(".bin")), "cow"]) == 2
    assert "no model of einkorn.text" in capsys.readouterr().err


@pytest.mark.parametrize("doing", ["word2vec", "glove"])
def test_an_interrupted_run_goes_on(
    doing: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = et.Word2Vec if doing == "word2vec" else et.GloVe
    out, whole = tmp_path / "model", tmp_path / "whole"
    arguments = ["embed", doing, str(corpus), "--size", "8", "--epochs", "3", "--threads", "1", "--out"]
    assert main([*arguments, str(whole)]) == 0
    seen = []

    def stop(model: object, name: str, value: object) -> None:
        object.__setattr__(model, name, value)
        seen.append(name)
        if name == "epochs_done" and value == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(kind, "__setattr__", stop)
    assert main([*arguments, str(out)]) == 130
    monkeypatch.undo()
    assert "stopped after 2 epochs" in capsys.readouterr().err
    assert kind.load(out).epochs_done == 2
    assert main([*arguments, str(out), "--resume"]) == 0
    again, expected = kind.load(out), kind.load(whole)
    assert again.epochs_done == 3
    assert np.array_equal(again.wv.vectors, expected.wv.vectors)


def test_a_pass_that_was_interrupted_is_begun_again() -> None:
    sentences = [line.split() for line in LINES]
    model = et.Word2Vec(vector_size=4, min_count=1, epochs=3)
    model.build_vocab(sentences)

    def stop(about: dict[str, object]) -> None:
        if about["epoch"] == 1:
            raise KeyboardInterrupt

    model.progress = stop
    with pytest.raises(KeyboardInterrupt):
        model.train(sentences)
    assert model.epochs_done == 1
    assert model.words_done == sum(map(len, sentences))
    model.progress = None
    assert model.train(sentences).epochs_done == 3
    assert model.words_done == 3 * sum(map(len, sentences))


def test_options_that_a_resumed_model_has_not_are_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "model")
    begun = ["embed", "word2vec", str(corpus), "--out", out, "--quiet", "--size", "8", "--min-count", "1"]
    assert main([*begun, "--cbow", "--epochs", "1"]) == 0
    resumed = ["embed", "word2vec", str(corpus), "--out", out, "--quiet", "--resume", "--epochs", "2"]
    for option in (
        ["--size", "9"],
        ["--window", "2"],
        ["--seed", "5"],
        ["--negative", "2"],
        ["--hierarchical"],
    ):
        capsys.readouterr()
        assert main([*resumed, *option]) != 0
        assert f"{option[0]}: the model in {out} was begun with" in capsys.readouterr().err
    assert et.Word2Vec.load(out).epochs_done == 1
    assert main([*resumed, "--size", "8", "--cbow"]) == 0
    assert et.Word2Vec.load(out).epochs_done == 2
