"""A tokeniser's description (the content of ``tokenizer.json``) into what runs.

Descriptions are lists of steps that rewrite and cut the text. Those that the published tokenisers use
come down to five things that a pipeline does: Unicode forms first (``unicodedata``), a map of characters,
a prefix, a way to split, a model. Any other step is refused by name.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any

from einkorn.errors import DataError
from einkorn.text import _engine, _unicode
from einkorn.text._forms import Form

__all__ = ["PATTERN", "Compiled", "compile_pipeline"]

_SPACE_MARK = "\u2581"

# Published patterns, and what they are called here.
PATTERN = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "clip": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
}
_SPLIT_OF = {
    **{pattern: name for name, pattern in PATTERN.items()},
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": "gpt2",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s": "gpt2",
}


@dataclass
class Compiled:
    """What a description became."""

    pipeline: Any
    model: Any
    ids: dict[str, int]
    tokens: dict[int, str]
    as_bytes: bool
    forms: list[Form] = field(default_factory=list)  # Unicode forms that come before the pipeline


@dataclass
class _Steps:
    forms: list[Form] = field(default_factory=list)
    map: dict[int, str] = field(default_factory=dict)
    split: str = "whole"
    prefix: str = ""
    prepend: str = "never"
    unless_there: bool = False
    as_bytes: bool = False

    def then(self, changed: dict[int, str]) -> None:
        """One more map of characters behind those that are there."""
        for point, text in self.map.items():
            self.map[point] = text.translate(changed)
        for point, text in changed.items():
            self.map.setdefault(point, text)


def _flat(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    if step.get("type") == "Sequence":
        return [each for part in step.get(inner, ()) for each in _flat(part, inner)]
    return [step]


def _refuse(kind: str, step: dict[str, Any], why: str = "") -> DataError:
    options = ", ".join(f"{key}={value!r}" for key, value in step.items() if key != "type")
    return DataError(
        f"tokenizer: the {kind} {step.get('type')}({options}) is not supported{': ' * bool(why)}{why}"
    )


def _normalizers(steps: _Steps, description: dict[str, Any] | None) -> None:
    for step in _flat(description, "normalizers"):
        kind = step.get("type")
        if kind in ("NFC", "NFD", "NFKC", "NFKD"):
            if steps.map or steps.prefix:
                raise _refuse("normalizer", step, "Unicode forms must come first")
            steps.forms.append(kind)
        elif kind == "Lowercase":
            lower = _unicode.lower_map()
            steps.then(lower)
        elif kind == "StripAccents":
            marks = {p: "" for p in range(0x300, 0x1E950) if unicodedata.category(chr(p)) == "Mn"}
            marks |= dict.fromkeys(range(917760, 918000), "")
            steps.then(marks)
        elif kind == "BertNormalizer":
            lower_case = bool(step.get("lowercase", True))
            accents = step.get("strip_accents")
            table = _unicode.bert_map(
                bool(step.get("clean_text", True)),
                bool(step.get("handle_chinese_chars", True)),
                lower_case if accents is None else bool(accents),
                lower_case,
            )
            steps.then(table)
        elif kind == "Prepend":
            if steps.prefix:
                raise _refuse("normalizer", step, "there is a prefix already")
            steps.prefix, steps.prepend = str(step.get("prepend", "")), "each"
        elif kind == "Replace":
            _replace(steps, step)
        else:
            raise _refuse("normalizer", step)


def _replace(steps: _Steps, step: dict[str, Any]) -> None:
    pattern, content = step.get("pattern") or {}, str(step.get("content", ""))
    what = pattern.get("String")
    if isinstance(what, str) and len(what) == 1:
        if steps.prefix:
            steps.prefix = steps.prefix.replace(what, content)
        steps.then({ord(what): content})
    elif pattern == {"Regex": r"\s+"} and content == " ":
        spaces = {p: " " for p in range(0x3001) if _unicode.classes()[p] & _unicode.SPACE}
        steps.map |= {p: c for p, c in spaces.items() if p not in steps.map}
        steps.split = "spaces collapse"  # holds only where spaces separate and are dropped
    else:
        raise _refuse("normalizer", step)


def _pre_tokenizers(steps: _Steps, description: dict[str, Any] | None) -> None:
    collapse, steps.split = steps.split == "spaces collapse", "whole"
    for step in _flat(description, "pretokenizers"):
        kind = step.get("type")
        if steps.split != "whole" and not (kind == "ByteLevel" and not step.get("use_regex", True)):
            raise _refuse("pre-tokenizer", step, "it comes after another one")
        if kind == "ByteLevel":
            steps.as_bytes = True
            if step.get("use_regex", True):
                steps.split = "gpt2"
            if step.get("add_prefix_space", True):
                if steps.split not in ("gpt2", "whole"):
                    raise _refuse("pre-tokenizer", step, "a prefix space after a split")
                steps.prefix, steps.prepend, steps.unless_there = " ", "each", True
        elif kind == "Split":
            steps.split = _split(step)
        elif kind == "BertPreTokenizer":
            steps.split = "bert"
        elif kind == "Whitespace":
            steps.split = "words"
        elif kind == "WhitespaceSplit":
            steps.split = "spaces"
        elif kind == "Metaspace":
            _metaspace(steps, step)
        else:
            raise _refuse("pre-tokenizer", step)
    if collapse and steps.split not in ("clip", "bert", "words", "spaces"):
        raise DataError("tokenizer: the normalizer Replace(\\s+) needs a pre-tokenizer that drops spaces")


def _split(step: dict[str, Any]) -> str:
    pattern = (step.get("pattern") or {}).get("Regex")
    name = _SPLIT_OF.get(str(pattern))
    behavior, invert = step.get("behavior"), bool(step.get("invert", False))
    wanted = (
        [("Removed", True)]
        if name == "clip"
        else [("Isolated", False), ("Removed", True), ("Isolated", True)]
    )
    if name is None or (behavior, invert) not in wanted:
        raise _refuse("pre-tokenizer", step)
    return name


def _metaspace(steps: _Steps, step: dict[str, Any]) -> None:
    mark = str(step.get("replacement", _SPACE_MARK))
    if mark != _SPACE_MARK:
        raise _refuse("pre-tokenizer", step)
    scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
    if scheme not in ("always", "first", "never"):
        raise _refuse("pre-tokenizer", step)
    steps.then({0x20: mark})
    if scheme != "never":
        steps.prefix, steps.prepend, steps.unless_there = mark, "first" if scheme == "first" else "each", True
    steps.split = "metaspace" if step.get("split", True) else "whole"


def _to_bytes(token: str, as_bytes: bool) -> bytes | None:
    """A token of the vocabulary as the bytes that it stands for; None: it is no sequence of byte
    characters.
    """
    if not as_bytes:
        return token.encode()
    try:
        return bytes([_unicode.BYTE_OF[c] for c in token])
    except KeyError:
        return None


def _table(ids: dict[str, int], as_bytes: bool) -> Any:
    pairs = [
        (octets, number)
        for token, number in ids.items()
        if (octets := _to_bytes(token, as_bytes)) is not None
    ]
    return _engine.form.Vocabulary([octets for octets, _ in pairs], [number for _, number in pairs])


def _vocabulary(model: dict[str, Any]) -> dict[str, int]:
    vocab = model.get("vocab")
    if not isinstance(vocab, dict):
        raise DataError(f"tokenizer: a model needs a vocabulary, got {type(vocab).__name__}")
    seen: dict[int, str] = {}
    for token, number in vocab.items():
        if not isinstance(token, str) or type(number) is not int or not 0 <= number < 2**31 - 1:
            raise DataError(
                f"tokenizer: the id of token {token!r} must be an integer from 0 on, got {number!r}"
            )
        if number in seen:
            raise DataError(f"tokenizer: tokens {seen[number]!r} and {token!r} have the same id {number}")
        seen[number] = token
    return vocab


def _merge_ids(
    model: dict[str, Any], ids: dict[str, int], suffixless: str
) -> list[tuple[int, int, int, int]]:
    merges = []
    for rank, merge in enumerate(model.get("merges", ())):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not (
            isinstance(parts, list | tuple) and len(parts) == 2 and all(isinstance(p, str) for p in parts)
        ):
            raise DataError(f"tokenizer: merge {rank} must be two tokens, got {merge!r}")
        left, right = parts
        for token in (left, right, left + right):
            if token not in ids:
                raise DataError(
                    f"tokenizer: merge {rank}, {left!r} and {right!r}: {token!r} is not in the vocabulary"
                )
        merges.append((ids[left], ids[right], rank, ids[left + right]))
    return merges


def _fallback(ids: dict[str, int]) -> list[int]:
    return [ids.get(f"<0x{byte:02X}>", -1) for byte in range(256)]


def _unknown(model: dict[str, Any], ids: dict[str, int]) -> int:
    token = model.get("unk_token")
    if token is None:
        return -1
    if token not in ids:
        raise DataError(f"tokenizer: the unknown token {token!r} is not in the vocabulary")
    return ids[token]


def _bpe(model: dict[str, Any], ids: dict[str, int], as_bytes: bool) -> Any:
    if model.get("dropout"):
        raise DataError("tokenizer: BPE with dropout is not supported")
    if model.get("continuing_subword_prefix"):
        raise DataError("tokenizer: BPE with a continuing_subword_prefix is not supported")
    made = _engine.form.Merges(
        _table(ids, as_bytes),
        as_bytes,
        bool(model.get("ignore_merges", False)),
        bool(model.get("fuse_unk", False)),
        _unknown(model, ids),
        (model.get("end_of_word_suffix") or "").encode(),
    )
    ranks = model.get("ranks")
    if ranks is None:
        made.add(_merge_ids(model, ids, ""))
    else:
        octets = [_to_bytes(token, as_bytes) for token in ids]
        kept = [
            entry
            for entry in zip(octets, ids.values(), ranks, strict=True)
            if entry[0] is not None and entry[2] >= 0
        ]
        made.add_all_ways(*(list(column) for column in zip(*kept, strict=True)))
    if model.get("byte_fallback"):
        made.set_fallback(_fallback(ids))
    return made


def _unigram(model: dict[str, Any]) -> tuple[Any, dict[str, int]]:
    vocab = model.get("vocab")
    if not isinstance(vocab, list):
        raise DataError("tokenizer: the vocabulary of Unigram must be a list of tokens and scores")
    ids: dict[str, int] = {}
    scores = []
    for number, entry in enumerate(vocab):
        if not (
            isinstance(entry, list | tuple)
            and len(entry) == 2
            and isinstance(entry[0], str)
            and isinstance(entry[1], int | float)
        ):
            raise DataError(
                f"tokenizer: entry {number} of the vocabulary must be a token and a score, got {entry!r}"
            )
        ids.setdefault(entry[0], number)
        scores.append(float(entry[1]))
    unknown = model.get("unk_id")
    if unknown is not None and not (type(unknown) is int and 0 <= unknown < len(vocab)):
        raise DataError(f"tokenizer: unk_id must be an id of the vocabulary, got {unknown!r}")
    made = _engine.form.Unigram(
        [entry[0].encode() for entry in vocab],
        scores,
        -1 if unknown is None else unknown,
        model.get("fuse_unk", True),
    )
    if model.get("byte_fallback"):
        made.set_fallback(_fallback(ids))
    return made, ids


def compile_pipeline(description: dict[str, Any]) -> Compiled:
    """Builds what runs from a description.

    Raises
    ------
    DataError
        The description is damaged, or has a step that is not supported.
    """
    steps = _Steps()
    _normalizers(steps, description.get("normalizer"))
    _pre_tokenizers(steps, description.get("pre_tokenizer"))
    model = description.get("model")
    if not isinstance(model, dict):
        raise DataError("tokenizer: there is no model")
    kind = model.get("type") or (
        "BPE" if "merges" in model else "WordPiece" if isinstance(model.get("vocab"), dict) else "Unigram"
    )
    if kind == "BPE":
        ids = _vocabulary(model)
        made = _bpe(model, ids, steps.as_bytes)
    elif kind == "WordPiece":
        ids = _vocabulary(model)
        unknown = _unknown({"unk_token": model.get("unk_token", "[UNK]")}, ids)
        prefix = str(model.get("continuing_subword_prefix", "##")).encode()
        made = _engine.form.WordPiece(
            _table(ids, steps.as_bytes), unknown, prefix, int(model.get("max_input_chars_per_word", 100))
        )
    elif kind == "Unigram":
        made, ids = _unigram(model)
    else:
        raise DataError(f"tokenizer: the model {kind} is not supported")
    ids = dict(ids)
    added = []
    for token in description.get("added_tokens") or ():
        content, number = token.get("content"), token.get("id")
        if (
            not isinstance(content, str)
            or not content
            or type(number) is not int
            or not 0 <= number < 2**31 - 1
        ):
            raise DataError(f"tokenizer: an added token must have a content and an id, got {token!r}")
        ids[content] = number
        in_mapped = bool(token.get("normalized", False)) and bool(steps.map or steps.forms or steps.prefix)
        if in_mapped:
            content = "".join(steps.map.get(ord(c), c) for c in content)
        flags = (bool(token.get(name, False)) for name in ("lstrip", "rstrip", "single_word"))
        added.append((content.encode(), number, *flags, in_mapped))
    pipeline = _engine.form.Pipeline(
        _engine.characters(),
        made,
        steps.map,
        steps.split,
        added,
        steps.prefix.encode(),
        steps.prepend if steps.prefix else "never",
        steps.unless_there,
    )
    return Compiled(
        pipeline, made, ids, {number: token for token, number in ids.items()}, steps.as_bytes, steps.forms
    )
