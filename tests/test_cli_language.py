"""einkorn train charlm and einkorn generate."""

from __future__ import annotations

import pytest

from einkorn.cli.main import main
from einkorn.models import RecurrentLM

TEXT = "the grain is one and the engines are three.\n" * 60


def test_a_text_is_learned_and_gone_on_with(tmp_path, capsys):
    data, out = tmp_path / "text.txt", tmp_path / "model.safetensors"
    data.write_text(TEXT, encoding="utf-8")
    words = [
        "train",
        "charlm",
        "--data",
        str(data),
        "--out",
        str(out),
        "--cell",
        "gru",
        "--hidden-size",
        "48",
    ]
    words += ["--layers", "1", "--epochs", "12", "--batch-size", "4", "--length", "32", "--lr", "0.01"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "2,640 characters" in printed
    assert "epoch 12: " in printed
    assert main(words) == 2
    assert "there already" in capsys.readouterr().err
    assert main(["generate", str(out), "the grain", "-n", "20", "--greedy"]) == 0
    assert capsys.readouterr().out == "the grain is one and the engi\n"
    drawn = []
    for seed in ("1", "1", "2"):
        assert main(["generate", str(out), "the ", "--temperature", "2", "--seed", seed, "-n", "40"]) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]
    for prompt, message in (("", "TEXT has nothing"), ("the Q", "TEXT has 'Q', which the model never saw")):
        assert main(["generate", str(out), prompt]) == 2
        assert message in capsys.readouterr().err


def test_what_was_learned_outlives_ctrl_c(tmp_path, capsys, monkeypatch):
    data, out = tmp_path / "text.txt", tmp_path / "model.safetensors"
    data.write_text(TEXT, encoding="utf-8")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(RecurrentLM, "bits_per_token", stop)
    assert main(["train", "charlm", "--data", str(data), "--out", str(out), "--hidden-size", "8"]) == 130
    assert "has what was learned" in capsys.readouterr().err
    assert main(["generate", str(out), "the", "-n", "3"]) == 0


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, [], "there is no such file"),
        ("abc", [], "3 characters are too few"),
        (TEXT, ["--epochs", "0"], "--epochs is 0, expected at least 1"),
        (TEXT, ["--lr", "0"], "--lr is 0, expected a positive number"),
        (TEXT, ["--rate", "1"], "unrecognized arguments: --rate"),
    ],
)
def test_refusals(text, options, message, tmp_path, capsys):
    if text is not None:
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    words = ["train", "charlm", "--data", str(tmp_path / "text.txt"), "--out", str(tmp_path / "model")]
    try:
        status = main([*words, *options])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert message in capsys.readouterr().err
