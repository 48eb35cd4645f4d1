"""Learning vocabularies from texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn.errors import ArgumentError, DataError, MissingFileError
from einkorn.text import _engine
from einkorn.text._arguments import path_of, surrogate_in, whole_number
from einkorn.text._unicode import CHARACTER_OF
from einkorn.text.files import PATTERN, bpe, byte_level, description_of, special_token
from einkorn.text.tokenizer import Tokenizer, _threads

__all__ = ["train_bpe"]

_CHUNK = 1 << 24  # bytes read at a time; and texts of an iterator that are counted together
_MOST = 2**62


def _chunks(path: Path) -> Iterator[bytes]:
    """A file in parts that end with a line."""
    try:
        with path.open("rb") as file:
            rest: list[bytes] = []
            while chunk := file.read(_CHUNK):
                cut = chunk.rfind(b"\n") + 1
                if cut:
                    yield b"".join([*rest, chunk[:cut]])
                    rest = [chunk[cut:]]
                else:
                    rest.append(chunk)
            if any(rest):
                yield b"".join(rest)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _groups(name: str, texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        if not isinstance(text, str):
            raise ArgumentError(f"{name}: texts must be str, got {type(text).__name__}")
        group.append(text)
        size += len(text) + 64
        if size >= _CHUNK:
            yield group
            group, size = [], 0
    if group:
        yield group


def _count(name: str, source: Any, pipeline: Any, threads: int) -> Any:
    counts = _engine.form.Counts()
    if isinstance(source, Mapping):
        total = 0
        for word, count in source.items():
            count = whole_number(name, f"how often {word!r} occurs", count, 0)
            try:
                octets = word if isinstance(word, bytes) else word.encode()
                octets.decode()
            except (AttributeError, UnicodeError):
                raise ArgumentError(f"{name}: words must be str without surrogates, got {word!r}") from None
            total += count * len(octets)
            counts.add(octets, count)
        if total > _MOST:  # else sums of counts of pairs could be more than an int64 holds
            raise ArgumentError(f"{name}: counts times lengths of words are {total}, more than {_MOST}")
    elif isinstance(source, str | PathLike):
        _count_files(name, [source], pipeline, threads, counts)
    elif isinstance(source, bytes) or not isinstance(source, Iterable):
        raise ArgumentError(
            f"{name}: source must be a path, texts or words with counts, got {type(source).__name__}"
        )
    else:
        source = iter(source)
        first = next(source, "")
        if isinstance(first, PathLike):
            _count_files(name, [first, *source], pipeline, threads, counts)
        else:
            from itertools import chain

            for group in _groups(name, chain([first], source)):
                try:
                    pipeline.count(group, threads, counts)
                except UnicodeEncodeError:
                    raise surrogate_in(group, name) from None
    return counts


def _count_files(name: str, paths: Iterable[Any], pipeline: Any, threads: int, counts: Any) -> None:
    for path in paths:
        before = 0
        for chunk in _chunks(path_of(name, path)):
            try:
                chunk.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{path}: no UTF-8 at byte {before + error.start}") from None
            pipeline.count_lines(chunk, threads, counts)
            before += len(chunk)


def special_list(name: str, tokens: Iterable[str], unknown: str | None = None) -> list[str]:
    """Special tokens, each once; the unknown one first where it is not among them."""
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise ArgumentError(f"{name}: special_tokens is {tokens!r}, expected a list of tokens")
    special = list(tokens)
    if not all(isinstance(token, str) for token in special):
        raise ArgumentError(f"{name}: special_tokens is {special!r}, expected a list of str")
    if unknown is not None and unknown not in special:
        if not isinstance(unknown, str):
            raise ArgumentError(f"{name}: unk_token is {unknown!r}, expected a str or None")
        special.insert(0, unknown)
    for token in special:
        if not token or not _has_utf8(token):
            raise ArgumentError(f"{name}: the special token {token!r} is empty or has an unpaired surrogate")
    return list(dict.fromkeys(special))


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def train_bpe(
    source: str | PathLike[str] | Iterable[Any] | Mapping[str, int],
    vocab_size: int,
    *,
    min_frequency: int = 0,
    special_tokens: Iterable[str] = (),
    split: str = "gpt2",
    byte_level_tokens: bool = True,
    all_bytes: bool = True,
    end_of_word_suffix: str = "",
    unk_token: str | None = None,
) -> Tokenizer:
    """Learn byte pairs: the most frequent pair of neighbouring tokens becomes a token, until there are
    enough (Sennrich et al. 2016).

    Of equally frequent pairs that with the smaller id on the left comes first, then that with the smaller
    one on the right. Ids are given in this order: special tokens, the alphabet by code points, merges.

    Parameters
    ----------
    source
        A path (str or Path), several paths (Path), texts, or words with their counts. Files are read in
        parts, a line being a text: they may be larger than memory.
    vocab_size
        How many tokens there shall be, special ones and the alphabet included.
    min_frequency
        A pair that occurs less often is not merged.
    special_tokens
        Tokens that are never cut.
    split
        How texts are cut into words, within which pairs are merged: "gpt2", "cl100k", "llama3", "words",
        "spaces" or "whole".
    byte_level_tokens
        Whether the alphabet is bytes, as in GPT-2; else characters.
    all_bytes
        With bytes, whether all 256 are in the alphabet; else those that occur.
    end_of_word_suffix
        Is added to the last character of each word, such as "</w>".
    unk_token
        With characters, what stands for those that did not occur; it is added to the special tokens where it
        is not one.

    Returns
    -------
    Tokenizer

    Raises
    ------
    ArgumentError
        The vocabulary is smaller than the alphabet with the special tokens, or an option is not known.
    DataError
        A file is missing or no UTF-8.

    Notes
    -----
    Words are counted on several threads. Merging keeps the counts of all pairs and the words that have them,
    so a merge costs what it changes.
    """
    splits = ("gpt2", "cl100k", "llama3", "words", "spaces", "whole")
    if split not in splits:
        raise ArgumentError(f"train_bpe: split must be one of {', '.join(splits)}, got {split!r}")
    special = special_list("train_bpe", special_tokens, unk_token)
    vocab_size = whole_number("train_bpe", "vocab_size", vocab_size, 0)
    min_frequency = whole_number("train_bpe", "min_frequency", min_frequency, 0)
    if not isinstance(end_of_word_suffix, str) or not _has_utf8(end_of_word_suffix):
        raise ArgumentError(
            f"train_bpe: end_of_word_suffix must be str without surrogates, got {end_of_word_suffix!r}"
        )
    threads = _threads()
    form = _engine.form
    added = [(token.encode(), i, False, False, False, False) for i, token in enumerate(special)]
    pipeline = form.Pipeline(_engine.characters(), None, {}, split, added, b"", "never", False)
    counts = _count("train_bpe", source, pipeline, threads)
    suffix = end_of_word_suffix.encode()
    units = counts.units(byte_level_tokens, suffix)
    if byte_level_tokens:
        if all_bytes:
            units = {bytes([byte]): 0 for byte in range(256)} | units
        alphabet = sorted(units, key=lambda unit: [CHARACTER_OF[byte] for byte in unit])
    else:
        alphabet = sorted(units, key=lambda unit: unit.decode())
    start = [*(token.encode() for token in special), *alphabet]
    if vocab_size < len(start):
        raise ArgumentError(
            f"train_bpe: vocab_size must be at least {len(start)}, the special tokens and the alphabet, "
            f"got {vocab_size}"
        )
    merges, tokens = form.train(counts, vocab_size, min_frequency, byte_level_tokens, suffix, start)

    def written(number: int) -> str:
        token: bytes = tokens[number]
        if number < len(special) or not byte_level_tokens:
            return token.decode()
        return "".join(map(CHARACTER_OF.__getitem__, token))

    names = [written(i) for i in range(len(tokens))]
    model = bpe(
        {name: i for i, name in enumerate(names)},
        [[names[left], names[right]] for left, right, _ in merges],
        unk_token=unk_token,
        end_of_word_suffix=end_of_word_suffix or None,
    )
    return Tokenizer(
        description_of(
            model,
            added_tokens=[special_token(token, i) for i, token in enumerate(special)],
            pre_tokenizer=_pre_tokenizer(split, byte_level_tokens),
            post_processor=byte_level(trims=False) if byte_level_tokens else None,
            decoder=_decoder(byte_level_tokens, end_of_word_suffix),
        )
    )


def _pre_tokenizer(split: str, as_bytes: bool) -> dict[str, Any] | None:
    if split == "gpt2" and as_bytes:
        return byte_level()
    steps: list[dict[str, Any]] = []
    if split in PATTERN:
        steps.append(
            {"type": "Split", "pattern": {"Regex": PATTERN[split]}, "behavior": "Isolated", "invert": False}
        )
    elif split != "whole":
        steps.append({"type": "Whitespace" if split == "words" else "WhitespaceSplit"})
    if as_bytes:
        steps.append(byte_level(use_regex=False))
    return {"type": "Sequence", "pretokenizers": steps} if steps else None


def _decoder(as_bytes: bool, suffix: str) -> dict[str, Any]:
    if as_bytes and not suffix:
        return byte_level()
    if suffix:
        ending = {"type": "BPEDecoder", "suffix": suffix}
        return {"type": "Sequence", "decoders": [byte_level(), ending]} if as_bytes else ending
    return {"type": "Fuse"}
