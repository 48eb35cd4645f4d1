"""The files of published tokenisers, written; `files.py` reads them."""

from __future__ import annotations

import base64
import json
import os
import struct
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.text._unicode import BYTE_OF
from einkorn.text.files import LLAMA_SPECIAL, FilePath
from einkorn.text.tokenizer import Tokenizer

__all__ = ["write_gpt2", "write_llama2c", "write_tiktoken", "write_vocabulary"]


def published(description: dict[str, Any]) -> dict[str, Any]:
    """A description as others read it: ranks of tokens become merges."""
    model = dict(description["model"])
    ranks = model.pop("ranks", None)
    model.pop("scores", None)
    if ranks is not None:
        model["merges"] = _all_ways(model["vocab"], ranks)
    return {**description, "model": model}


def _all_ways(ids: dict[str, int], ranks: list[int]) -> list[list[str]]:
    merges = []
    for (token, _), rank in zip(ids.items(), ranks, strict=True):
        if rank < 0:
            continue
        for cut in range(1, len(token)):
            left, right = ids.get(token[:cut]), ids.get(token[cut:])
            if left is not None and right is not None:
                merges.append((rank, left, right, token[:cut], token[cut:]))
    return [[left, right] for *_, left, right in sorted(merges)]


def _known(format: str, tokenizer: Any) -> None:
    if not isinstance(tokenizer, Tokenizer):
        raise ArgumentError(f"{format}: tokenizer must be a Tokenizer, got {type(tokenizer).__name__}")


def _model(tokenizer: Tokenizer, kind: str, format: str) -> dict[str, Any]:
    _known(format, tokenizer)
    model = tokenizer._description["model"]
    if model.get("type") != kind:
        raise ArgumentError(f"{format}: the model must be {kind}, got {model.get('type')}")
    return published(tokenizer._description)["model"] if kind == "BPE" else model


def write_gpt2(tokenizer: Tokenizer, vocab: FilePath, merges: FilePath) -> None:
    """Write ``vocab.json`` and ``merges.txt``.

    Raises
    ------
    ArgumentError
        The model is not BPE.
    CheckpointError
        A file cannot be written.
    """
    from einkorn._files import write_text

    model = _model(tokenizer, "BPE", "write_gpt2")
    if os.path.realpath(vocab) == os.path.realpath(merges):
        raise ArgumentError(f"write_gpt2: vocab and merges are one file, {vocab}")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    if any(" " in part for pair in pairs for part in pair):
        raise ArgumentError("write_gpt2: a token has a space, which divides the tokens of a line")
    ids = {**model["vocab"], **{t["content"]: t["id"] for t in tokenizer._description["added_tokens"]}}
    write_text(vocab, json.dumps(ids, ensure_ascii=False))
    write_text(merges, "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in pairs))


def write_vocabulary(tokenizer: Tokenizer, path: FilePath) -> None:
    """Write a ``vocab.txt``: tokens in the order of their ids, a line each.

    Raises
    ------
    ArgumentError
        Ids have gaps, or a token has the end of a line in it.
    CheckpointError
        The file cannot be written.
    """
    from einkorn._files import write_text

    _known("write_vocabulary", tokenizer)
    tokens = tokenizer._tokens
    missing = next((i for i in range(len(tokens)) if i not in tokens), None)
    if missing is not None:
        raise ArgumentError(f"write_vocabulary: no token has the id {missing}")
    if bad := next((t for t in tokens.values() if "\n" in t or "\r" in t), None):
        raise ArgumentError(f"write_vocabulary: the token {bad!r} has the end of a line in it")
    write_text(path, "".join(f"{tokens[i]}\n" for i in range(len(tokens))))


def write_tiktoken(tokenizer: Tokenizer, path: FilePath) -> None:
    """Write tiktoken's ranks. Special tokens are not part of the file.

    Raises
    ------
    ArgumentError
        The model is not a byte-level BPE whose merges come in the order of their tokens' ids.
    CheckpointError
        The file cannot be written.
    """
    from einkorn._files import write_text

    model = _model(tokenizer, "BPE", "write_tiktoken")
    special = {token["content"] for token in tokenizer._description["added_tokens"]}
    made = [model["vocab"]["".join(m.split(" ") if isinstance(m, str) else m)] for m in model["merges"]]
    if not tokenizer._as_bytes or model.get("end_of_word_suffix") or made != sorted(made):
        raise ArgumentError(
            "write_tiktoken: tokens must be bytes, and merges in the order of their tokens' ids"
        )
    lines = []
    for token, rank in sorted(model["vocab"].items(), key=lambda item: item[1]):
        if token not in special:
            octets = bytes([BYTE_OF[c] for c in token])
            lines.append(f"{base64.b64encode(octets).decode() or '='} {rank}\n")
    write_text(path, "".join(lines))


def write_llama2c(tokenizer: Tokenizer, path: FilePath) -> None:
    """Write llama2.c's ``tokenizer.bin``.

    Raises
    ------
    ArgumentError
        The tokens have no scores: neither Unigram nor read from such a file; or they do not begin with
        ``<unk>``, ``<s>``, ``</s>``.
    CheckpointError
        The file cannot be written.
    """
    from einkorn.checkpoint import write_whole

    _known("write_llama2c", tokenizer)
    model = tokenizer._description["model"]
    if model.get("type") == "Unigram":
        tokens = [token for token, _ in model["vocab"]]
        if tokens[:3] != list(LLAMA_SPECIAL):  # its readers know the first three by their places
            raise ArgumentError(f"write_llama2c: the first tokens must be <unk>, <s>, </s>, got {tokens[:3]}")
        scores = [score for _, score in model["vocab"]]
    elif "scores" in model:
        tokens = list(model["vocab"])
        scores = model["scores"]
    else:
        raise ArgumentError("write_llama2c: the tokens have no scores")
    octets = [token.replace("\u2581", " ").encode() for token in tokens]
    octets[1:3] = [b"\n<s>\n", b"\n</s>\n"]
    parts = [struct.pack("<i", max(map(len, octets)))]
    parts += [
        struct.pack("<fi", score, len(token)) + token for token, score in zip(octets, scores, strict=True)
    ]
    write_whole(path, [b"".join(parts)])
