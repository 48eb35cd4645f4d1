"""One class for all tokenisers; which one it is says its description, the content of a ``tokenizer.json``."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine
from einkorn.text._arguments import items_of, no_text_in, surrogate_in, whole_number
from einkorn.text._compile import compile_pipeline
from einkorn.text._decoders import compile_decoder, token_bytes
from einkorn.text._forms import normalize_between
from einkorn.text._lengths import Lengths
from einkorn.text._limits import check_limits
from einkorn.text._templates import compile_templates
from einkorn.text._truncation import windows
from einkorn.text.encoding import PADDING, PAIR, SPECIAL, TEXT, Encoding
from einkorn.text.vocabulary import listed_ids

__all__ = ["Tokenizer"]


def _threads() -> int:
    from einkorn import runtime

    return runtime.get_num_threads() if _engine.compiled() else 1


class Tokenizer(Lengths):
    """Text to ids and back.

    Made by :meth:`from_file`, the functions ``read_...`` and :func:`train_bpe`. Names and results are those
    of Hugging Face's ``tokenizers.Tokenizer``.

    Parameters
    ----------
    description : dict
        The content of a ``tokenizer.json``: normalizer, pre_tokenizer, model, post_processor, decoder,
        added_tokens,
        truncation and padding. Steps that the tokenisers of GPT-2, CLIP, BERT, Llama and Whisper use are
        supported.

    Raises
    ------
    DataError
        The description is damaged, or has a step that is not supported; the step is named.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        if not isinstance(description, dict):
            raise DataError(f"tokenizer: a description is a dict, got {type(description).__name__}")
        self._description = description
        self._build()

    def _build(self) -> None:
        check_limits(self._description)
        try:
            compiled = compile_pipeline(self._description)
            self._templates = compile_templates(self._description.get("post_processor"))
            self._decode = compile_decoder(self._description.get("decoder"))
            self._special = {
                int(token["id"])
                for token in self._description.get("added_tokens") or ()
                if token.get("special")
            }
        except DataError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"tokenizer: the description is damaged: {error!r}") from error
        self._pipeline = compiled.pipeline
        self._model = compiled.model
        self._ids = compiled.ids
        self._tokens = compiled.tokens
        self._forms = compiled.forms
        self._as_bytes = compiled.as_bytes
        self._octets: dict[int, bytes] | None = None
        self._only_bytes = (self._description.get("decoder") or {}).get("type") == "ByteLevel"

    def __reduce__(self) -> Any:
        return type(self), (self._description,)

    # -------------------- files

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Tokenizer:
        """Read a ``tokenizer.json``.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            The file is damaged, or has a step that is not supported.
        """
        from einkorn.text.files import read_whole

        return cls.from_str(read_whole(path), str(path))

    @classmethod
    def from_str(cls, text: str | bytes, name: str = "tokenizer") -> Tokenizer:
        """The content of a ``tokenizer.json``; ``name`` is what errors call it."""
        try:
            description = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}: no JSON: {error}") from None
        try:
            return cls(description)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    @classmethod
    def from_buffer(cls, buffer: bytes) -> Tokenizer:
        """:meth:`from_str` of bytes."""
        if not isinstance(buffer, (bytes, bytearray, memoryview)):
            raise ArgumentError(f"from_buffer: buffer must be bytes, got {type(buffer).__name__}")
        return cls.from_str(bytes(buffer))

    def to_str(self, pretty: bool = False) -> str:
        """The description as the content of a ``tokenizer.json``."""
        from einkorn.text.written import published

        return json.dumps(published(self._description), ensure_ascii=False, indent=2 if pretty else None)

    def save(self, path: str | PathLike[str], pretty: bool = True) -> None:
        """Write a ``tokenizer.json``, whole or not at all.

        Raises
        ------
        CheckpointError
            The file cannot be written.
        """
        from einkorn._files import write_text

        write_text(path, self.to_str(pretty))

    @property
    def description(self) -> dict[str, Any]:
        """A copy of the description."""
        return copy.deepcopy(self._description)

    # -------------------- encoding

    def _run(
        self, texts: Sequence[str], spans: bool, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        origins: dict[int, list[tuple[int, int]]] = {}
        if self._forms and not all(map(str.isascii, texts)):
            changed = list(texts)
            for i, text in enumerate(texts):
                if not text.isascii():
                    for form in self._forms:
                        if not unicodedata.is_normalized(form, changed[i]):
                            changed[i], origins[i] = normalize_between(
                                form, changed[i], self._contents(), origins.get(i)
                            )
            texts = changed
        try:
            ids, counts, places, words = self._pipeline.encode(texts, threads, spans)
        except UnicodeEncodeError:
            raise surrogate_in(texts) from None
        spanned = np.frombuffer(places, np.int64).reshape(-1, 2)
        sizes = np.frombuffer(counts, np.int64)
        if origins and spans:
            spanned = spanned.copy()
            first = 0
            for i, size in enumerate(sizes.tolist()):
                if i in origins:
                    for row in spanned[first : first + size]:
                        row[:] = _through(origins[i], int(row[0]), int(row[1]))
                first += size
        return np.frombuffer(ids, np.int32), sizes, spanned, np.frombuffer(words, np.int32)

    def _contents(self) -> re.Pattern[str] | None:
        contents = sorted(
            (t["content"] for t in self._description.get("added_tokens") or ()), key=len, reverse=True
        )
        return re.compile("|".join(map(re.escape, contents))) if contents else None

    def _places(self, text: str) -> tuple[list[tuple[int, int]], list[int]]:
        """Of each token of a text where it is, and the number of its word."""
        ids, _, spans, words = self._run([text], True)
        pairs = [(int(a), int(b)) for a, b in spans]
        return (self._trimmed(ids.tolist(), pairs) if self._templates.trims else pairs), words.tolist()

    def _trimmed(self, ids: list[int], spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        out = []
        for i, (number, (start, end)) in enumerate(zip(ids, spans, strict=True)):
            token = token_bytes(self._tokens[number]).decode(errors="replace")
            leading = len(token) - len(token.lstrip())
            trailing = len(token) - len(token.rstrip())
            if (
                i == 0
                and self._templates.prefix_space
                and leading
                and start == 0
                and end - start < len(token)
            ):
                leading -= 1  # the space that was put there has no place
            start = min(start + leading, end)
            out.append((start, max(end - trailing, start)))
        return out

    def ids(self, text: str) -> list[int]:
        """The ids of a text by itself: nothing is put around it, cut off or padded."""
        if not isinstance(text, str):
            raise no_text_in([text])
        if self._forms and not text.isascii():
            return self._run([text], False)[0].tolist()
        try:
            return self._pipeline.ids(text)
        except UnicodeEncodeError:
            raise surrogate_in([text]) from None

    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Encoding:
        """The tokens of a text, or of a pair of texts, with what the description puts around them.

        Raises
        ------
        ArgumentError
            The text has an unpaired surrogate, whose place is named.
        """
        first = self.ids(text)
        second = None if pair is None else self.ids(pair)
        encoding = self._surround(
            (text,) if pair is None else (text, pair), first, second, add_special_tokens
        )
        return self._padded([encoding])[0]

    def encode_batch(self, texts: Iterable[Any], *, add_special_tokens: bool = True) -> list[Encoding]:
        """:meth:`encode` for each text or pair of texts (a tuple), on several threads
        (``einkorn.set_num_threads``).
        """
        kept = items_of("encode_batch", "texts", texts)
        pairs = [i for i, text in enumerate(kept) if isinstance(text, tuple)]
        flat = kept
        if pairs:
            flat = [part for text in kept for part in (text if isinstance(text, tuple) else (text,))]
        if not all(isinstance(text, str) for text in flat):
            raise no_text_in(flat)
        ids, counts, _, _ = self._run(flat, False, _threads())
        numbers = ids.tolist()
        ends = np.cumsum(counts).tolist()
        encodings = []
        plain = len(self._templates.single) == 1 or not add_special_tokens
        if plain and not pairs and not self._description.get("truncation"):
            start = 0
            for text, end in zip(kept, ends, strict=True):
                encodings.append(Encoding(self, (text,), numbers[start:end], ((TEXT, 0, end - start, 0),)))
                start = end
            return self._padded(encodings)
        parts = iter([numbers[start:end] for start, end in zip([0, *ends], ends, strict=False)])
        for text in kept:
            if isinstance(text, tuple):
                if len(text) != 2:
                    raise ArgumentError(f"encode_batch: a pair has two texts, got {len(text)}")
                encodings.append(self._surround(text, next(parts), next(parts), add_special_tokens))
            else:
                encodings.append(self._surround((text,), next(parts), None, add_special_tokens))
        return self._padded(encodings)

    def _surround(
        self, texts: tuple[str, ...], first: list[int], second: list[int] | None, add: bool
    ) -> Encoding:
        templates = self._templates
        is_pair = second is not None
        parts = (
            (templates.pair if is_pair else templates.single)
            if add
            else [(TEXT, 0), (PAIR, 1)][: 1 + is_pair]
        )
        sides = [first, second or []]
        pieces = [[(0, len(first))], [(0, len(sides[1]))]]
        if limits := self._description.get("truncation"):
            around = templates.added(is_pair) if add else 0
            pieces = windows(limits, len(first), len(sides[1]), around)

        def made(bounds: tuple[tuple[int, int], tuple[int, int]]) -> Encoding:
            ids: list[int] = []
            layout = []
            for what, kind in parts:
                if isinstance(what, list):
                    ids += what
                    layout.append((SPECIAL, 0, len(what), kind))
                else:
                    start, stop = bounds[what]
                    ids += sides[what][start:stop]
                    layout.append((what, start, stop, kind))
            return Encoding(self, texts, ids, tuple(layout))

        (one, *more), (other, *others) = pieces
        encoding = made((one, other))
        if more or others:
            encoding.overflowing = [
                made((a, b)) for a in (*more, one) for b in (other, *others) if (a, b) != (one, other)
            ]
        return encoding

    def _padded(self, encodings: list[Encoding]) -> list[Encoding]:
        padding = self._description.get("padding")
        if not padding or not encodings:
            return encodings
        strategy = padding.get("strategy", "BatchLongest")
        length = strategy["Fixed"] if isinstance(strategy, dict) else max(map(len, encodings))
        multiple = padding.get("pad_to_multiple_of") or 1
        length = -(-length // multiple) * multiple
        for encoding in [each for whole in encodings for each in (whole, *whole.overflowing)]:
            missing = length - len(encoding.ids)
            if missing <= 0:
                continue
            filling, layout = (
                [int(padding["pad_id"])] * missing,
                (PADDING, 0, missing, int(padding["pad_type_id"])),
            )
            encoding._filling = padding.get("pad_token", "[PAD]")
            if padding.get("direction", "Right") == "Right":
                encoding.ids = encoding.ids + filling
                encoding._layout = (*encoding._layout, layout)
            else:
                encoding.ids = filling + encoding.ids
                encoding._layout = (layout, *encoding._layout)
        return encodings

    def arrays(
        self,
        texts: Iterable[Any],
        length: int | None = None,
        *,
        pad: int = 0,
        add_special_tokens: bool = True,
    ) -> dict[str, np.ndarray]:
        """A batch as arrays: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each int64 (texts,
        tokens).

        Parameters
        ----------
        texts
            Texts or pairs.
        length
            How many tokens each row has: longer texts are cut off as :meth:`enable_truncation` says, else
            behind that many tokens. By default that of the longest.
        pad
            The id that fills shorter rows.
        """
        if length is not None:
            length = whole_number("arrays", "length", length, 0)
        pad = whole_number("arrays", "pad", pad, -(2**63), 2**63 - 1)
        encodings = self.encode_batch(texts, add_special_tokens=add_special_tokens)
        width = max(map(len, encodings), default=0) if length is None else length
        ids = np.full((len(encodings), width), pad, np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            size = min(width, len(encoding))
            ids[row, :size] = encoding.ids[:size]
            mask[row, :size] = encoding.attention_mask[:size]
            types[row, :size] = encoding.type_ids[:size]
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def sample(self, text: str, alpha: float = 0.1, *, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of a segmentation drawn with probability proportional to ``exp(alpha * score)`` (Kudo 2018),
        for Unigram.

        Raises
        ------
        ArgumentError
            The model is another one.
        """
        if not isinstance(self._model, _engine.form.Unigram):
            raise ArgumentError("sample: only Unigram has scores to sample by")
        rng = np.random.default_rng() if rng is None else rng
        ids: list[int] = []
        for piece in self._pipeline.pieces(text):
            ids += self._model.sample(piece, float(alpha), rng.random(len(piece)).tolist())
        return ids

    # -------------------- decoding

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of tokens. Bytes that are no UTF-8 become U+FFFD; :meth:`decode_bytes` keeps them.

        Raises
        ------
        ArgumentError
            An id is not in the vocabulary.
        """
        numbers = self._checked(ids, skip_special_tokens)
        if self._only_bytes:
            return b"".join(map(self._octets_of().__getitem__, numbers)).decode(errors="replace")
        return self._decode([self._tokens[number] for number in numbers])

    def decode_batch(self, batch: Iterable[Iterable[int]], skip_special_tokens: bool = True) -> list[str]:
        """:meth:`decode` for each."""
        return [self.decode(ids, skip_special_tokens) for ids in items_of("decode_batch", "batch", batch)]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of byte-level tokens, special ones included, exactly as they were.

        Raises
        ------
        ArgumentError
            The tokens are no bytes, or an id is not in the vocabulary.
        """
        if not self._only_bytes:
            raise ArgumentError("decode_bytes: the tokens are no bytes; use decode")
        return b"".join(map(self._octets_of().__getitem__, self._checked(ids, False)))

    def _octets_of(self) -> dict[int, bytes]:
        if self._octets is None:
            self._octets = {number: token_bytes(token) for number, token in self._tokens.items()}
            for token in self._description.get("added_tokens") or ():
                self._octets[token["id"]] = token["content"].encode()
        return self._octets

    def _checked(self, ids: Iterable[int], skip: bool) -> list[int]:
        numbers = listed_ids("decode", ids)
        known, special = self._tokens, self._special if skip else ()
        for number in numbers:
            if number not in known:
                raise ArgumentError(f"decode: the vocabulary has no token with id {number!r}")
        return [number for number in numbers if number not in special] if special else numbers

    # -------------------- vocabulary

    def token_to_id(self, token: str) -> int | None:
        """The id of a token; None: it is not in the vocabulary."""
        return self._ids.get(token) if isinstance(token, str) else None

    def id_to_token(self, id: int) -> str | None:
        """The token of an id; None: there is none."""
        return self._tokens.get(id) if isinstance(id, (int, np.integer)) else None

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """All tokens and their ids."""
        if with_added_tokens:
            return dict(self._ids)
        model = self._description["model"]["vocab"]
        return dict(model) if isinstance(model, dict) else {token: i for i, (token, _) in enumerate(model)}

    def get_vocab_size(self, with_added_tokens: bool = True) -> int:
        """How many tokens there are."""
        return len(self.get_vocab(with_added_tokens))

    def add_special_tokens(self, tokens: Iterable[str]) -> int:
        """Add tokens that are never cut and that decoding leaves out; returns how many are new."""
        return self._add(tokens, True)

    def add_tokens(self, tokens: Iterable[str]) -> int:
        """Add tokens that are never cut; returns how many are new."""
        return self._add(tokens, False)

    def _add(self, tokens: Iterable[str], special: bool) -> int:
        description = dict(self._description)
        added = list(description.get("added_tokens") or ())
        contents = {token["content"] for token in added}
        new = 0
        free = max(self._tokens, default=-1) + 1
        name = "add_special_tokens" if special else "add_tokens"
        for content in items_of(name, "tokens", tokens):
            if not isinstance(content, str) or not content:
                raise ArgumentError(f"{name}: tokens must be strings that are not empty, got {content!r:.60}")
            if content in contents:
                continue
            contents.add(content)
            number = self._ids.get(content)
            if number is None:
                number, free, new = free, free + 1, new + 1
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
            added.append(
                {"id": number, "content": content, **flags, "normalized": not special, "special": special}
            )
        description["added_tokens"] = added
        old, self._description = self._description, description
        try:
            self._build()
        except (DataError, UnicodeEncodeError) as error:
            self._description = old
            self._build()
            raise ArgumentError(f"{name}: {error}") from None
        return new

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """How many tokens are put around a text, or a pair of texts."""
        return self._templates.added(is_pair)


def _through(origins: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    if start < end:
        return origins[start][0], origins[end - 1][1]
    place = origins[start][0] if start < len(origins) else origins[-1][1] if origins else 0
    return place, place
