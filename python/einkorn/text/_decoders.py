"""From tokens back to text: the decoders of ``tokenizer.json``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from einkorn.errors import DataError
from einkorn.text._unicode import BYTE_OF

__all__ = ["compile_decoder", "token_bytes"]

Step = Callable[[list[str]], list[str]]

# English contractions and punctuation that BERT's decoder puts together again, in this order.
_TOGETHER = (
    *((f" {mark}", mark) for mark in ".?!,"),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def token_bytes(token: str) -> bytes:
    """The bytes of a byte-level token; of another one, its UTF-8."""
    try:
        return bytes([BYTE_OF[c] for c in token])
    except KeyError:
        return token.encode()


def _byte_level(tokens: list[str]) -> list[str]:
    return [b"".join(map(token_bytes, tokens)).decode(errors="replace")]


def _word_piece(prefix: str, cleanup: bool) -> Step:
    def step(tokens: list[str]) -> list[str]:
        out = []
        for i, token in enumerate(tokens):
            if i:
                token = token.replace(prefix, "", 1) if token.startswith(prefix) else f" {token}"
            if cleanup:
                for apart, together in _TOGETHER:
                    token = token.replace(apart, together)
            out.append(token)
        return out

    return step


def _metaspace(mark: str, drops_first: bool) -> Step:
    def step(tokens: list[str]) -> list[str]:
        return [token.replace(mark, "" if drops_first and i == 0 else " ") for i, token in enumerate(tokens)]

    return step


def _bpe(suffix: str) -> Step:
    def step(tokens: list[str]) -> list[str]:
        last = len(tokens) - 1
        return [token.replace(suffix, "" if i == last else " ") for i, token in enumerate(tokens)]

    return step


def _byte_fallback(tokens: list[str]) -> list[str]:
    out: list[str] = []
    octets = bytearray()

    def flush() -> None:
        if octets:
            try:
                out.append(octets.decode())
            except UnicodeDecodeError:
                out.extend("\ufffd" * len(octets))
            octets.clear()

    for token in tokens:
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            try:
                octets.append(int(token[3:5], 16))
                continue
            except ValueError:
                pass
        flush()
        out.append(token)
    flush()
    return out


def _strip(content: str, start: int, stop: int) -> Step:
    def one(token: str) -> str:
        left = 0
        while left < min(start, len(token)) and token[left] == content:
            left += 1
        right = len(token)
        while right > left and len(token) - right < stop and token[right - 1] == content:
            right -= 1
        return token[left:right]

    return lambda tokens: [one(token) for token in tokens]


def _step(decoder: dict[str, Any]) -> Step:
    kind = decoder.get("type")
    if kind == "ByteLevel":
        return _byte_level
    if kind == "WordPiece":
        return _word_piece(str(decoder.get("prefix", "##")), bool(decoder.get("cleanup", True)))
    if kind == "Metaspace":
        scheme = decoder.get("prepend_scheme", "always" if decoder.get("add_prefix_space", True) else "never")
        return _metaspace(str(decoder.get("replacement", "\u2581")), scheme != "never")
    if kind == "BPEDecoder":
        return _bpe(str(decoder.get("suffix", "</w>")))
    if kind == "ByteFallback":
        return _byte_fallback
    if kind == "Fuse":
        return lambda tokens: ["".join(tokens)]
    if kind == "Strip":
        content = str(decoder.get("content", " "))
        return _strip(content, int(decoder.get("start", 0)), int(decoder.get("stop", 0)))
    if kind == "Replace" and isinstance((decoder.get("pattern") or {}).get("String"), str):
        old, new = decoder["pattern"]["String"], str(decoder.get("content", ""))
        return lambda tokens: [token.replace(old, new) for token in tokens]
    raise DataError(f"tokenizer: the decoder {kind} is not supported")


def _flat(decoder: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if decoder.get("type") == "Sequence":
        for part in decoder.get("decoders", ()):
            yield from _flat(part)
    else:
        yield decoder


def compile_decoder(decoder: dict[str, Any] | None) -> Callable[[list[str]], str]:
    """The function from tokens to their text."""
    if decoder is None:
        return " ".join
    steps = [_step(part) for part in _flat(decoder)]

    def decode(tokens: list[str]) -> str:
        for step in steps:
            tokens = step(tokens)
        return "".join(tokens)

    return decode
