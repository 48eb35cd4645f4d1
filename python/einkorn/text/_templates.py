"""What is put around a text: the post-processors of ``tokenizer.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from einkorn.errors import DataError
from einkorn.text.encoding import PAIR, TEXT

__all__ = ["Templates", "compile_templates"]

# TEXT, PAIR or ids of special tokens, and a type id.
Part = tuple[int | list[int], int]


@dataclass
class Templates:
    single: list[Part]
    pair: list[Part]
    trims: bool = False  # offsets leave out spaces at both ends of a token
    prefix_space: bool = False

    def added(self, pair: bool) -> int:
        """How many tokens are put around a text, or a pair."""
        return sum(len(what) for what, _ in (self.pair if pair else self.single) if isinstance(what, list))


def _id(entry: Any) -> list[int]:
    if not (isinstance(entry, list | tuple) and len(entry) == 2 and _is_id(entry[1])):
        raise DataError(f"tokenizer: a post-processor's token must be a token and its id, got {entry!r}")
    return [entry[1]]


def _is_id(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**31


def _template(parts: Any, tokens: dict[str, Any]) -> list[Part]:
    out: list[Part] = []
    for part in parts or ():
        if "Sequence" in part:
            which = part["Sequence"]
            out.append((TEXT if which["id"] == "A" else PAIR, int(which.get("type_id", 0))))
        elif "SpecialToken" in part:
            token = part["SpecialToken"]
            if token["id"] not in tokens:
                raise DataError(f"tokenizer: the template's token {token['id']!r} has no ids")
            ids = list(tokens[token["id"]]["ids"])
            if not all(map(_is_id, ids)):
                raise DataError(f"tokenizer: the template's token {token['id']!r} has the ids {ids!r:.60}")
            out.append((ids, int(token.get("type_id", 0))))
        else:
            raise DataError(
                f"tokenizer: a template's part must be a Sequence or a SpecialToken, got {part!r}"
            )
    return out


def compile_templates(processor: dict[str, Any] | None) -> Templates:
    """What a post-processor puts around texts."""
    plain: tuple[list[Part], list[Part]] = [(TEXT, 0)], [(TEXT, 0), (PAIR, 1)]
    made = Templates(*plain)
    parts = [processor] if processor else []
    if processor and processor.get("type") == "Sequence":
        parts = list(processor.get("processors", ()))
    for part in parts:
        kind = part.get("type")
        if kind in ("ByteLevel", "RobertaProcessing"):
            made.trims = bool(part.get("trim_offsets", True))
            made.prefix_space = bool(part.get("add_prefix_space", True))
        if kind == "ByteLevel":
            continue
        if kind in ("BertProcessing", "RobertaProcessing"):
            cls, sep = _id(part.get("cls")), _id(part.get("sep"))
            made.single = [(cls, 0), (TEXT, 0), (sep, 0)]
            if kind == "BertProcessing":
                made.pair = [*made.single, (PAIR, 1), (sep, 1)]
            else:
                made.pair = [*made.single, (sep, 0), (PAIR, 0), (sep, 0)]
        elif kind == "TemplateProcessing":
            tokens = part.get("special_tokens") or {}
            made.single = _template(part.get("single"), tokens)
            made.pair = _template(part.get("pair"), tokens)
        else:
            raise DataError(f"tokenizer: the post-processor {kind} is not supported")
    return made
