"""``einkorn train charlm`` and ``einkorn generate``: a model of a text's characters, and more text."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from einkorn.cli.outputs import new_file
from einkorn.cli.settings import add_settings, apply_settings
from einkorn.errors import ArgumentError, CheckpointError, DataError, MissingFileError

__all__ = ["CHARLM", "add_charlm", "add_generate", "generate", "train_charlm"]

#: Two words that are one command.
CHARLM = "train charlm"
_CELLS = ("lstm", "gru", "rnn")


def add_charlm(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser(
        CHARLM,
        description="Learn what character follows in a text, with recurrent layers whose state goes on from "
        "one piece of the text to the next. The last tenth of the text is kept to be predicted.",
    )
    command.add_argument("--data", required=True, metavar="FILE", help="a text in UTF-8")
    command.add_argument("--out", required=True, metavar="FILE", help="write the model there (.safetensors)")
    command.add_argument("--cell", choices=_CELLS, default="lstm", help="default: lstm")
    for name, default, what in (
        ("hidden-size", 256, "numbers of a layer"),
        ("layers", 2, "recurrent layers"),
        ("epochs", 5, "passes over the text"),
        ("batch-size", 32, "pieces side by side"),
        ("length", 64, "characters through which gradients go"),
        ("seed", 0, "of all that is drawn"),
    ):
        command.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})"
        )
    command.add_argument("--lr", type=float, default=3e-3, metavar="RATE", help="default: 0.003")
    command.add_argument("--dropout", type=float, default=0.0, metavar="P", help="default: 0")
    command.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_settings(command)


def add_generate(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser("generate", help="go on with a text as a model learned it")
    command.add_argument("model", metavar="MODEL", help="what `einkorn train charlm` wrote")
    command.add_argument("prompt", metavar="TEXT", help="what the text begins with")
    command.add_argument("-n", type=int, default=200, metavar="N", help="characters (default: 200)")
    command.add_argument("--greedy", action="store_true", help="take the likeliest one each time")
    command.add_argument("--temperature", type=float, default=1.0, metavar="T", help="default: 1")
    command.add_argument("--top-k", type=int, default=0, metavar="K", help="draw among K (default: all)")
    command.add_argument("--top-p", type=float, default=1.0, metavar="P", help="draw among these likeliest")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    add_settings(command)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8: {error.reason}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _letters(out: Path) -> Path:
    return out.with_name(out.name + ".vocabulary.json")


def train_charlm(arguments: argparse.Namespace) -> None:
    """Train as the command line says; Ctrl-C leaves the model as far as it was."""
    import numpy as np

    import einkorn
    from einkorn import models, optim, seq
    from einkorn.nn.utils import clip_grad_norm_

    apply_settings(arguments)
    for name in ("epochs", "batch_size", "length", "hidden_size", "layers"):
        if getattr(arguments, name) < 1:
            option = name.replace("_", "-")
            raise ArgumentError(f"--{option} is {getattr(arguments, name)}, expected at least 1")
    if not arguments.lr > 0:
        raise ArgumentError(f"--lr is {arguments.lr:g}, expected a positive number")
    out = new_file(arguments.out, "--out", arguments.overwrite)
    text = _text(arguments.data)
    letters = sorted(set(text))
    places = {letter: i for i, letter in enumerate(letters)}
    tokens = np.array([places[letter] for letter in text], np.int64)
    cut = len(tokens) * 9 // 10
    if cut <= arguments.batch_size or len(tokens) - cut < 2:
        raise DataError(f"{arguments.data}: {len(tokens)} characters are too few to learn from")
    einkorn.manual_seed(arguments.seed)
    model = models.RecurrentLM(
        len(letters),
        min(arguments.hidden_size, 64),
        arguments.hidden_size,
        arguments.layers,
        cell=arguments.cell,
        dropout=arguments.dropout,
    )
    optimizer = optim.Adam(model.parameters(), lr=arguments.lr)
    print(f"{len(tokens):,} characters, {len(letters)} different ones", flush=True)
    try:
        for epoch in range(arguments.epochs):
            begin, state, total, count = time.perf_counter(), None, 0.0, 0
            for inputs, labels in seq.stream_batches(tokens[:cut], arguments.batch_size, arguments.length):
                loss, state = model.step(inputs, labels, state)
                optimizer.zero_grad()
                loss.backward()
                clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                total, count = total + float(loss), count + 1
            bits = model.bits_per_token(tokens[cut:], batch_size=1)
            seconds = time.perf_counter() - begin
            mean = total / count / float(np.log(2))
            print(
                f"epoch {epoch + 1}: {mean:.3f} bits a character, {bits:.3f} on what was kept,"
                f" {seconds:.1f} s",
                flush=True,
            )
    except KeyboardInterrupt:
        _save(model, letters, out)
        print(f"interrupted: {out} has what was learned", file=sys.stderr, flush=True)
        raise
    _save(model, letters, out)
    print(f"wrote {out}: einkorn generate {out} TEXT")


def _save(model: Any, letters: list[str], out: Path) -> None:
    import einkorn

    einkorn.save(model, out)
    _letters(out).write_text(json.dumps(letters), encoding="utf-8")


def generate(arguments: argparse.Namespace) -> None:
    """Print the prompt and what follows, as it comes; Ctrl-C leaves what was printed."""
    import numpy as np

    import einkorn
    from einkorn.models import CausalLM

    apply_settings(arguments)
    path = Path(arguments.model)
    try:
        letters = json.loads(_text(str(_letters(path))))
    except ValueError as error:
        raise CheckpointError(f"{_letters(path)}: is no readable JSON: {error}") from error
    model = einkorn.load(path)
    if not isinstance(model, CausalLM) or model.vocab_size != len(letters):
        raise CheckpointError(f"{path}: is no model of the {len(letters)} characters in {_letters(path)}")
    places = {letter: i for i, letter in enumerate(letters)}
    unknown = [letter for letter in arguments.prompt if letter not in places]
    if unknown or not arguments.prompt:
        what = f"{unknown[0]!r}, which the model never saw" if unknown else "nothing"
        raise ArgumentError(f"TEXT has {what}")
    einkorn.manual_seed(arguments.seed)

    def show(new: Any) -> None:
        print(letters[int(new[0])], end="", flush=True)

    print(arguments.prompt, end="", flush=True)
    model.generate(
        np.array([places[letter] for letter in arguments.prompt]),
        arguments.n,
        do_sample=not arguments.greedy,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        streamer=show,
    )
    print()
