"""``einkorn tokenize`` and ``einkorn embed``: vocabularies and vectors of words from files of text."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from einkorn.cli.outputs import new_file
from einkorn.cli.settings import add_settings, apply_settings
from einkorn.errors import ArgumentError, DataError, MissingFileError

__all__ = ["add_embed", "add_tokenize", "embed", "tokenize"]


def add_tokenize(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser("tokenize", help="learn byte pairs, turn texts into ids, count tokens")
    doings = command.add_subparsers(dest="doing", metavar="DOING", required=True)
    train = doings.add_parser("train", help="learn byte pairs from files and write a tokenizer.json")
    train.add_argument(
        "files", nargs="+", metavar="FILE", help="texts, a line each; may be larger than memory"
    )
    train.add_argument("--vocab-size", type=int, required=True, metavar="N", help="tokens in all")
    train.add_argument("--out", required=True, metavar="FILE", help="write the tokenizer there")
    train.add_argument("--special", action="append", default=[], metavar="TOKEN", help="may be given again")
    train.add_argument("--min-frequency", type=int, default=0, metavar="N", help="of a pair (default: 0)")
    train.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    add_settings(train)
    for name, what in (
        ("encode", "print the ids of each line"),
        ("count", "print how many tokens files have"),
    ):
        doing = doings.add_parser(name, help=what)
        doing.add_argument("tokenizer", metavar="TOKENIZER", help="a tokenizer.json")
        doing.add_argument("files", nargs="*", metavar="FILE", help="default: standard input")
        add_settings(doing)


def _distinct(written: dict[str, Any], read: list[str]) -> None:
    """Refuse to write over what is read, or over what was just written."""
    taken = {os.path.realpath(name) for name in read}
    for option, path in written.items():
        if path is not None:
            if os.path.realpath(path) in taken:
                raise ArgumentError(f"{option}: {path} is read or written already: give another name")
            taken.add(os.path.realpath(path))


def _lines(files: list[str]) -> Any:
    """(Name, line) of all files."""
    for name in files or ["-"]:
        try:
            with sys.stdin if name == "-" else Path(name).open(encoding="utf-8") as file:
                for line in file:
                    yield name, line.removesuffix("\n")
        except FileNotFoundError:
            raise MissingFileError(f"{name}: there is no such file") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: no UTF-8: {error.reason}") from None
        except OSError as error:
            raise DataError(f"{name}: {error.strerror}") from None


def tokenize(arguments: argparse.Namespace) -> None:
    """Learn, encode or count as the command line says."""
    import einkorn.text as et

    apply_settings(arguments)
    if arguments.doing == "train":
        out = new_file(arguments.out, "--out", arguments.overwrite)
        _distinct({"--out": out}, arguments.files)
        tokenizer = et.train_bpe(
            [Path(name) for name in arguments.files],
            arguments.vocab_size,
            min_frequency=arguments.min_frequency,
            special_tokens=arguments.special,
        )
        tokenizer.save(out)
        print(f"{tokenizer.get_vocab_size():,} tokens in {out}")
        return
    tokenizer = et.Tokenizer.from_file(arguments.tokenizer)
    if arguments.doing == "encode":
        for _, line in _lines(arguments.files):
            print(*tokenizer.encode(line).ids)
        return
    counts = {name: [0, 0, 0] for name in arguments.files or ["-"]}
    for name, line in _lines(list(counts)):
        count = counts[name]
        count[0] += 1
        count[1] += len(line.split())
        count[2] += len(tokenizer.ids(line))
    for name, (lines, words, tokens) in counts.items():
        print(f"{name}: {lines:,} lines, {words:,} words, {tokens:,} tokens")


# What a model learns by, with what it is where nothing is said; False: a flag.
_LEARNING: dict[str, dict[str, int]] = {
    "word2vec": {
        "size": 100, "window": 5, "min-count": 5, "seed": 1, "cbow": False, "negative": 5,
        "hierarchical": False,
    },
    "glove": {"size": 100, "window": 10, "min-count": 5, "seed": 1},
}  # fmt: skip
_ABOUT = {
    "size": "numbers of a vector",
    "window": "words on either side",
    "min-count": "how often a word must occur",
    "seed": "of random numbers",
    "cbow": "instead of skip-gram",
    "negative": "words drawn",
    "hierarchical": "hierarchical softmax instead",
}


def _options_of(model: Any) -> dict[str, Any]:
    """What a model was learned by, in the command's words."""
    return {
        "size": model.vector_size,
        "window": model.window,
        "min-count": model.min_count,
        "seed": model.seed,
        "cbow": not getattr(model, "sg", 1),
        "negative": getattr(model, "negative", None),
        "hierarchical": bool(getattr(model, "hs", 0)),
    }


def add_embed(commands: Any) -> None:
    """Define the command's arguments, in what ``add_subparsers`` gave."""
    command = commands.add_parser("embed", help="learn vectors of words, and show which are near")
    doings = command.add_subparsers(dest="doing", metavar="DOING", required=True)
    for name, what in (("word2vec", "learn by word2vec"), ("glove", "learn by GloVe")):
        doing = doings.add_parser(name, help=what)
        doing.add_argument("corpus", metavar="CORPUS", help="a file with a sentence on each line")
        doing.add_argument("--out", required=True, metavar="FILE", help="write the model there")
        doing.add_argument("--vectors", metavar="FILE", help="write the vectors as word2vec's text, too")
        for option, usual in _LEARNING[name].items():
            if isinstance(usual, bool):
                doing.add_argument(f"--{option}", action="store_true", default=None, help=_ABOUT[option])
            else:
                about = f"{_ABOUT[option]} (default: {usual})"
                doing.add_argument(f"--{option}", type=int, metavar="N", help=about)
        epochs = 5 if name == "word2vec" else 15
        doing.add_argument("--epochs", type=int, default=epochs, metavar="N", help=f"default: {epochs}")
        doing.add_argument("--overwrite", action="store_true", help="replace files that are there")
        doing.add_argument(
            "--resume",
            action="store_true",
            help="go on with the model in --out, which an interrupted run leaves there, up to --epochs; its "
            "other options stay",
        )
        doing.add_argument("--quiet", action="store_true", help="print no progress")
        add_settings(doing)
    similar = doings.add_parser("similar", help="print the words nearest to a word")
    similar.add_argument(
        "model", metavar="MODEL", help="what the others wrote, or word2vec's text (.txt, .vec)"
    )
    similar.add_argument("asked", nargs="+", metavar="WORD")
    similar.add_argument("-n", type=int, default=10, metavar="N", help="how many (default: 10)")
    add_settings(similar)


def embed(arguments: argparse.Namespace) -> None:
    """Learn vectors, or print neighbours, as the command line says."""
    import einkorn
    import einkorn.text as et

    apply_settings(arguments)
    if arguments.doing == "similar":
        kv = _vectors(arguments.model)
        for word in arguments.asked:
            for other, cosine in kv.most_similar(word, topn=arguments.n):
                print(f"{word}\t{other}\t{cosine:.4f}")
        return
    replace = arguments.overwrite or arguments.resume
    out = new_file(arguments.out, "--out", replace)
    text = None if arguments.vectors is None else new_file(arguments.vectors, "--vectors", replace)
    _distinct({"--out": out, "--vectors": text}, [arguments.corpus])

    def show(seen: dict[str, Any]) -> None:
        speed = " ".join(f"{value:,.0f} {key.split('_')[0]}/s" for key, value in seen.items() if "per" in key)
        print(f"epoch {seen['epoch'] + 1}: loss {seen['loss']:.4f}, {speed}", file=sys.stderr, flush=True)

    asked = {option: getattr(arguments, option.replace("-", "_")) for option in _LEARNING[arguments.doing]}
    model: Any
    if arguments.resume:
        model = (et.Word2Vec if arguments.doing == "word2vec" else et.GloVe).load(out)
        for option, has in _options_of(model).items():
            if asked.get(option) is not None and asked[option] != has:
                raise ArgumentError(
                    f"--{option}: the model in {out} was begun with {has}, and --resume goes on with that; "
                    "leave the option out, or begin anew with --overwrite"
                )
        model.epochs, model.workers = arguments.epochs, einkorn.get_num_threads()
    else:
        chosen = {
            option: has if asked[option] is None else asked[option]
            for option, has in _LEARNING[arguments.doing].items()
        }
        options: dict[str, Any] = {
            "vector_size": chosen["size"],
            "window": chosen["window"],
            "min_count": chosen["min-count"],
            "seed": chosen["seed"],
            "epochs": arguments.epochs,
            "workers": einkorn.get_num_threads(),
        }
        if arguments.doing == "word2vec":
            model = et.Word2Vec(
                sg=int(not chosen["cbow"]),
                hs=int(chosen["hierarchical"]),
                negative=0 if chosen["hierarchical"] else chosen["negative"],
                **options,
            )
        else:
            model = et.GloVe(**options)
    model.progress = None if arguments.quiet else show
    try:
        if arguments.doing == "glove":
            counts, words = et.cooccurrence(
                arguments.corpus, model.window, weighting="harmonic", min_count=model.min_count
            )
            model.train(counts, words)
        else:
            if not arguments.resume:
                model.build_vocab(arguments.corpus)
            model.train(arguments.corpus)
    except KeyboardInterrupt:
        if hasattr(model, "wv"):
            model.save(out)
            print(f"stopped after {model.epochs_done} epochs; --resume goes on from {out}", file=sys.stderr)
        raise
    model.save(out)
    if text:
        model.wv.save_word2vec_format(text)
    print(f"{len(model.wv):,} words in {out}")


def _vectors(path: str) -> Any:
    import einkorn.text as et

    if Path(path).suffix in (".txt", ".vec"):
        return et.KeyedVectors.load_word2vec_format(path)
    refused: DataError | None = None
    for kind in (et.Word2Vec, et.GloVe, et.FastText):
        try:
            return kind.load(path).wv
        except MissingFileError:
            raise
        except DataError as error:
            refused = refused or error
    try:
        return et.KeyedVectors.load(path)
    except DataError:
        raise DataError(f"{path}: no model of einkorn.text: {refused}") from None
