"""The files of published tokenisers, read; `written.py` writes them."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from einkorn.errors import ArgumentError, DataError, MissingFileError
from einkorn.text._arguments import items_of, path_of
from einkorn.text._compile import PATTERN
from einkorn.text._unicode import CHARACTER_OF
from einkorn.text.tokenizer import Tokenizer

__all__ = [
    "read_bert_vocabulary",
    "read_clip",
    "read_gpt2",
    "read_llama2c",
    "read_tiktoken",
]

FilePath = str | PathLike[str]


def read_whole(path: FilePath) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz."""
    try:
        octets = path_of("read", path).read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if str(path).endswith(".gz"):
        import gzip
        import zlib

        try:
            return gzip.decompress(octets)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: damaged: {error}") from None
    return octets


def _lines(path: FilePath) -> list[str]:
    try:
        text = read_whole(path).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8 at byte {error.start}") from None
    return text.split("\n")


def special_token(content: str, number: int, *, normalized: bool = False) -> dict[str, Any]:
    """How a description writes a special token."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    return {"id": number, "content": content, **flags, "normalized": normalized, "special": True}


def description_of(model: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A description, parts that are not named being absent."""
    names = (
        "truncation",
        "padding",
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
    )
    filled = {"version": "1.0", **dict.fromkeys(names), **parts}
    filled["added_tokens"] = filled["added_tokens"] or []
    return {**filled, "model": model}


def byte_level(prefix_space: bool = False, trims: bool = True, use_regex: bool = True) -> dict[str, Any]:
    """The step ByteLevel."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix_space,
        "trim_offsets": trims,
        "use_regex": use_regex,
    }


def bpe(vocab: dict[str, int], merges: list[Any], **options: Any) -> dict[str, Any]:
    """The model BPE."""
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": merges,
        **options,
    }


def _made(path: FilePath, description: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer(description)
    except (DataError, ArgumentError) as error:
        raise DataError(f"{path}: {error}") from None


def _merges(path: FilePath, lines: Iterable[str]) -> list[list[str]]:
    merges = []
    for number, line in enumerate(lines, 1):
        if not line or (number == 1 and "#version" in line):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2 or not all(parts):
            raise DataError(
                f"{path}: line {number} must be two tokens with a space between them, got {line[:80]!r}"
            )
        merges.append(parts)
    return merges


def read_gpt2(
    vocab: FilePath, merges: FilePath, *, special_tokens: Iterable[str] = ("<|endoftext|>",)
) -> Tokenizer:
    """GPT-2's files: byte-level byte pairs.

    Parameters
    ----------
    vocab
        ``vocab.json`` (``encoder.json``): an object of tokens and their ids.
    merges
        ``merges.txt`` (``vocab.bpe``): a pair of tokens a line.
    special_tokens
        Tokens of the vocabulary that are never cut; those it does not have are left out.

    Raises
    ------
    MissingFileError
        A file is not there.
    DataError
        A file is damaged, or a merge's tokens are not in the vocabulary.
    """
    octets = read_whole(vocab)
    try:
        ids = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{vocab}: no JSON: {error}") from None
    special_tokens = items_of("read_gpt2", "special_tokens", special_tokens)
    if not all(isinstance(token, str) for token in special_tokens):
        raise ArgumentError(f"read_gpt2: special_tokens must be a list of str, got {special_tokens!r:.60}")
    if not isinstance(ids, dict):
        raise DataError(f"{vocab}: must be an object of tokens and ids, got {type(ids).__name__}")
    model = bpe(ids, _merges(merges, _lines(merges)))
    return _made(
        vocab,
        description_of(
            model,
            added_tokens=[special_token(token, ids[token]) for token in special_tokens if token in ids],
            pre_tokenizer=byte_level(),
            post_processor=byte_level(trims=False),
            decoder=byte_level(),
        ),
    )


def read_clip(path: FilePath) -> Tokenizer:
    """CLIP's merges (``bpe_simple_vocab_16e6.txt.gz``): lower case, words that end in ``</w>``, start and
    end around the text.
    """
    lines = _lines(path)
    merges = _merges(path, lines[: 49152 - 256 - 2 + 1])
    letters = list(CHARACTER_OF.values())
    shown = [chr(b) for b in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))]
    order = shown + [c for c in letters if c not in set(shown)]
    tokens = [*order, *(c + "</w>" for c in order), *("".join(merge) for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    ids: dict[str, int] = {}
    for token in tokens:
        ids.setdefault(token, len(ids))
    start, end = ids["<|startoftext|>"], ids["<|endoftext|>"]
    return _made(
        path,
        description_of(
            bpe(
                ids,
                merges,
                unk_token="<|endoftext|>",
                continuing_subword_prefix="",
                end_of_word_suffix="</w>",
            ),
            added_tokens=[special_token("<|startoftext|>", start), special_token("<|endoftext|>", end)],
            normalizer={
                "type": "Sequence",
                "normalizers": [
                    {"type": "NFC"},
                    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                    {"type": "Lowercase"},
                ],
            },
            pre_tokenizer={
                "type": "Sequence",
                "pretokenizers": [
                    {
                        "type": "Split",
                        "pattern": {"Regex": PATTERN["clip"]},
                        "behavior": "Removed",
                        "invert": True,
                    },
                    byte_level(use_regex=False),
                ],
            },
            post_processor={
                "type": "RobertaProcessing",
                "sep": ["<|endoftext|>", end],
                "cls": ["<|startoftext|>", start],
                "trim_offsets": False,
                "add_prefix_space": False,
            },
            decoder={
                "type": "Sequence",
                "decoders": [byte_level(), {"type": "BPEDecoder", "suffix": "</w>"}],
            },
        ),
    )


def read_bert_vocabulary(
    path: FilePath, *, lowercase: bool = True, strip_accents: bool | None = None
) -> Tokenizer:
    """BERT's ``vocab.txt``: a token a line, its id the line's number from 0 on.

    Parameters
    ----------
    lowercase
        False for cased models.
    strip_accents
        By default as ``lowercase``.

    Raises
    ------
    DataError
        A token comes twice, or ``[UNK]``, ``[CLS]`` or ``[SEP]`` is missing.
    """
    lines = _lines(path)
    if lines and not lines[-1]:
        lines.pop()
    ids: dict[str, int] = {}
    for number, line in enumerate(lines):
        token = line.rstrip("\r")
        if token in ids:
            raise DataError(f"{path}: line {number + 1}, {token!r}, is line {ids[token] + 1} already")
        ids[token] = number
    return bert(path, ids, lowercase, strip_accents)


def bert(path: FilePath, ids: dict[str, int], lowercase: bool, strip_accents: bool | None) -> Tokenizer:
    """The tokeniser of BERT with this vocabulary; ``path`` is what errors call it."""
    for token in ("[UNK]", "[CLS]", "[SEP]"):
        if token not in ids:
            raise DataError(f"{path}: there is no {token}")
    special = [token for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if token in ids]
    cls, sep = "[CLS]", "[SEP]"

    def part(name: str, kind: int) -> dict[str, Any]:
        key = "SpecialToken" if name in ids else "Sequence"
        return {key: {"id": name, "type_id": kind}}

    return _made(
        path,
        description_of(
            {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": ids,
            },
            added_tokens=[special_token(token, ids[token]) for token in special],
            normalizer={
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": strip_accents,
                "lowercase": lowercase,
            },
            pre_tokenizer={"type": "BertPreTokenizer"},
            post_processor={
                "type": "TemplateProcessing",
                "single": [part(cls, 0), {"Sequence": {"id": "A", "type_id": 0}}, part(sep, 0)],
                "pair": [
                    part(cls, 0),
                    {"Sequence": {"id": "A", "type_id": 0}},
                    part(sep, 0),
                    {"Sequence": {"id": "B", "type_id": 1}},
                    part(sep, 1),
                ],
                "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (cls, sep)},
            },
            decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        ),
    )


def read_tiktoken(
    path: FilePath, *, pattern: str = "cl100k", special_tokens: Mapping[str, int] | Iterable[str] = ()
) -> Tokenizer:
    """tiktoken's ranks: a token in base 64 and its rank a line.

    Parameters
    ----------
    pattern
        How words are cut: "gpt2" (GPT-2, Whisper), "cl100k" (GPT-4) or "llama3".
    special_tokens
        Tokens and their ids, or tokens alone, which get the ids behind the last rank.

    Raises
    ------
    DataError
        A line is damaged, a rank is negative or comes twice.
    ArgumentError
        There is no such pattern.
    """
    if pattern not in ("gpt2", "cl100k", "llama3"):
        raise ArgumentError(f"read_tiktoken: pattern must be 'gpt2', 'cl100k' or 'llama3', got {pattern!r}")
    ids: dict[str, int] = {}
    seen = set()
    for number, line in enumerate(read_whole(path).splitlines(), 1):
        if not line:
            continue
        parts = line.split()
        try:
            # Whisper's file gives its last rank to no bytes at all, which it writes "=".
            octets = b"" if parts[0] == b"=" else base64.b64decode(parts[0], validate=True)
            rank = int(parts[1])
            damaged = len(parts) != 2
        except (IndexError, ValueError, binascii.Error):
            damaged = True
        if damaged:
            raise DataError(
                f"{path}: line {number} must be a token in base 64 and its rank, got {line[:80]!r}"
            )
        if not 0 <= rank < 2**31 - 1:
            raise DataError(f"{path}: line {number}: the rank must be 0 to 2147483646, got {rank}")
        token = "".join(map(CHARACTER_OF.__getitem__, octets))
        if token in ids or rank in seen:
            raise DataError(f"{path}: line {number}: its token or its rank, {rank}, came before")
        seen.add(rank)
        ids[token] = rank
    if missing := [byte for byte, c in CHARACTER_OF.items() if c not in ids]:
        raise DataError(f"{path}: there is no token for the byte {missing[0]}")
    if not isinstance(special_tokens, Mapping):
        names = dict.fromkeys(items_of("read_tiktoken", "special_tokens", special_tokens))
        special_tokens = {token: max(seen) + 1 + i for i, token in enumerate(names)}
    for token, number in special_tokens.items():
        if number in seen and ids.get(token) != number:
            raise ArgumentError(
                f"read_tiktoken: special_tokens gives {token!r} the id {number}, which is a rank"
            )
    split = {"type": "Split", "pattern": {"Regex": PATTERN[pattern]}, "behavior": "Isolated", "invert": False}
    return _made(
        path,
        description_of(
            bpe(ids, [], ignore_merges=True, ranks=list(ids.values())),
            added_tokens=[special_token(token, number) for token, number in special_tokens.items()],
            pre_tokenizer={"type": "Sequence", "pretokenizers": [split, byte_level(use_regex=False)]},
            post_processor=byte_level(trims=False),
            decoder=byte_level(),
        ),
    )


LLAMA_SPECIAL = ("<unk>", "<s>", "</s>")


def read_llama2c(path: FilePath) -> Tokenizer:
    """llama2.c's ``tokenizer.bin``: tokens with scores, merged by the highest score (SentencePiece's byte
    pairs).

    Raises
    ------
    DataError
        The file is truncated, a token's length is negative or beyond the file's end, a score is not finite.
    """
    octets = read_whole(path)
    if len(octets) < 4:
        raise DataError(f"{path}: truncated: the file has {len(octets)} bytes")
    at = 4
    ids: dict[str, int] = {}
    scores: list[float] = []
    while at < len(octets):
        if len(octets) - at < 8:
            raise DataError(f"{path}: truncated in token {len(scores)}")
        score, size = struct.unpack_from("<fi", octets, at)
        at += 8
        if size < 0 or size > len(octets) - at:
            raise DataError(
                f"{path}: token {len(scores)} has a length of {size}, and {len(octets) - at} bytes follow"
            )
        if not math.isfinite(score):
            raise DataError(f"{path}: token {len(scores)} has the score {score}")
        try:
            token = octets[at : at + size].decode().replace(" ", "\u2581")
        except UnicodeDecodeError:
            raise DataError(f"{path}: token {len(scores)} is no UTF-8") from None
        at += size
        number = len(scores)
        if number < 3:
            token = LLAMA_SPECIAL[number]
        if token in ids:
            raise DataError(f"{path}: token {number}, {token!r}, is token {ids[token]} already")
        ids[token] = number
        scores.append(score)
    if len(scores) < 259:
        raise DataError(f"{path}: {len(scores)} tokens; special tokens and bytes are 259")
    order = {score: rank for rank, score in enumerate(sorted(set(scores[259:]), reverse=True))}
    ranks = [-1] * 259 + [order[score] for score in scores[259:]]
    return _made(
        path,
        description_of(
            bpe(ids, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True, ranks=ranks, scores=scores),
            added_tokens=[special_token(token, number) for number, token in enumerate(LLAMA_SPECIAL)],
            normalizer={
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "\u2581"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
                ],
            },
            post_processor={
                "type": "TemplateProcessing",
                "single": [
                    {"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                ],
                "pair": [
                    {"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "<s>", "type_id": 1}},
                    {"Sequence": {"id": "B", "type_id": 1}},
                ],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
            },
            decoder={
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
        ),
    )
