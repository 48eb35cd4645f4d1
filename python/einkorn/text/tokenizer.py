"""One class for all tokenisers; which one it is says its description, the content of a ``tokenizer.json``."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine
from einkorn.text._arguments import items_of, no_text_in, surrogate_in, whole_number
from einkorn.text._calls import Calls
from einkorn.text._compile import compile_pipeline
from einkorn.text._decoders import compile_decoder, token_bytes
from einkorn.text._forms import normalize_between
from einkorn.text._limits import check_limits
from einkorn.text._templates import compile_templates
from einkorn.text._truncation import windows
from einkorn.text.encoding import PAIR, SPECIAL, TEXT, Encoding
from einkorn.text.vocabulary import listed_ids

__all__ = ["Tokenizer"]


def _threads() -> int:
    from einkorn import runtime

    return runtime.get_num_threads() if _engine.compiled() else 1


class Tokenizer(Calls):
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

    def _places(self, text: str | tuple[str, ...]) -> tuple[list[tuple[int, int]], list[int]]:
        """Of each token of a text where it is, and the number of its word; of words each is a text."""
        if isinstance(text, tuple):
            places = [self._places(word)[0] for word in text]
            return list(chain(*places)), [i for i, word in enumerate(places) for _ in word]
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

    def encode(
        self,
        sequence: str | Sequence[str],
        pair: str | Sequence[str] | None = None,
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> Encoding:
        """The tokens of a text, or of a pair of texts, with what the description puts around them.

        Parameters
        ----------
        sequence, pair
            Texts; with ``is_pretokenized`` lists of words.
        is_pretokenized
            Whether the words are there already. Each is then tokenised as a text by itself: ``word_ids``
            number the list, ``offsets`` are places within its words.
        add_special_tokens
            Whether what the description says is put around them.

        Raises
        ------
        ArgumentError
            A text is no str, or no list of str where words are there already; or it has an unpaired
            surrogate, whose place is named.
        """
        text, first = self._side(sequence, is_pretokenized)
        other, second = (None, None) if pair is None else self._side(pair, is_pretokenized)
        texts = (text,) if other is None else (text, other)
        truncation = self._description.get("truncation")
        encoding = self._surround(texts, first, second, add_special_tokens, truncation)
        return self._padded([encoding], self._description.get("padding"))[0]

    def _side(self, given: Any, is_pretokenized: bool) -> tuple[str | tuple[str, ...], list[int]]:
        """A text, or the words that it is, and the ids."""
        if not is_pretokenized:
            return given, self.ids(given)
        words = _words_of("encode", given)
        return words, self._run(list(words), False)[0].tolist()

    def encode_batch(
        self, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """:meth:`encode` for each text or pair of texts (a tuple), on several threads
        (``einkorn.set_num_threads``).

        Parameters
        ----------
        input
            Texts and pairs; with ``is_pretokenized`` lists of words and pairs of such.
        is_pretokenized, add_special_tokens
            As for :meth:`encode`.
        """
        return self._encoded(
            items_of("encode_batch", "input", input),
            is_pretokenized,
            add_special_tokens,
            self._description.get("truncation"),
            self._description.get("padding"),
        )

    def encode_batch_fast(
        self, input: Iterable[Any], is_pretokenized: bool = False, add_special_tokens: bool = True
    ) -> list[Encoding]:
        """:meth:`encode_batch`, which computes offsets when they are first asked for and no sooner."""
        return self.encode_batch(input, is_pretokenized, add_special_tokens)

    def _encoded(
        self,
        kept: list[Any],
        is_pretokenized: bool,
        add_special_tokens: bool,
        truncation: dict[str, Any] | None,
        padding: dict[str, Any] | None,
    ) -> list[Encoding]:
        """A batch, cut off and filled as is said here."""
        if is_pretokenized:
            sides = [_sides_of_words(each) for each in kept]
            flat = [word for texts in sides for text in texts for word in text]
        else:
            paired = any(isinstance(text, tuple) for text in kept)
            sides = [text if isinstance(text, tuple) else (text,) for text in kept]
            flat = [part for texts in sides for part in texts] if paired else kept
            if not all(isinstance(text, str) for text in flat):
                raise no_text_in(flat)
            size = next((len(texts) for texts in sides if len(texts) not in (1, 2)), 1) if paired else 1
            if size != 1:
                raise ArgumentError(f"encode_batch: a pair has two texts, got {size}")
        ids, counts, _, _ = self._run(flat, False, _threads())
        numbers = ids.tolist()
        ends = np.cumsum(counts).tolist()
        if is_pretokenized:  # a text is several of those that were run
            words = np.cumsum([0, *(len(text) for texts in sides for text in texts)])
            ends = np.concatenate([[0], ends])[words[1:]].astype(int).tolist()
        encodings = []
        plain = len(self._templates.single) == 1 or not add_special_tokens
        if plain and not truncation and len(ends) == len(sides):
            start = 0
            for texts, end in zip(sides, ends, strict=True):
                encodings.append(Encoding(self, texts, numbers[start:end], ((TEXT, 0, end - start, 0),)))
                start = end
            return self._padded(encodings, padding)
        parts = iter([numbers[start:end] for start, end in zip([0, *ends], ends, strict=False)])
        for texts in sides:
            first, other = next(parts), next(parts) if len(texts) == 2 else None
            encodings.append(self._surround(texts, first, other, add_special_tokens, truncation))
        return self._padded(encodings, padding)

    def _surround(
        self,
        texts: tuple[str | tuple[str, ...], ...],
        first: list[int],
        second: list[int] | None,
        add: bool,
        limits: dict[str, Any] | None,
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
        if limits:
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

    @staticmethod
    def _padded(encodings: list[Encoding], padding: dict[str, Any] | None) -> list[Encoding]:
        if not padding or not encodings:
            return encodings
        strategy = padding.get("strategy", "BatchLongest")
        length = strategy["Fixed"] if isinstance(strategy, dict) else max(map(len, encodings))
        multiple = padding.get("pad_to_multiple_of") or 1
        length = -(-length // multiple) * multiple
        for encoding in encodings:
            encoding.pad(
                length,
                direction=padding.get("direction", "Right").lower(),
                pad_id=int(padding["pad_id"]),
                pad_type_id=int(padding["pad_type_id"]),
                pad_token=padding.get("pad_token", "[PAD]"),
            )
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
            How many tokens each row has: longer texts are cut off as ``enable_truncation`` says, else
            behind that many tokens. By default that of the longest.
        pad
            The id that fills shorter rows.
        """
        if length is not None:
            length = whole_number("arrays", "length", length, 0)
        pad = whole_number("arrays", "pad", pad, -(2**63), 2**63 - 1)
        listed = items_of("arrays", "texts", texts)
        encodings = self.encode_batch(listed, add_special_tokens=add_special_tokens)
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


def _words_of(op: str, given: Any) -> tuple[str, ...]:
    """The words that a text is."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(word, str) for word in given):
        raise ArgumentError(f"{op}: with is_pretokenized a text must be a list of str, got {given!r:.60}")
    return tuple(given)


def _sides_of_words(given: Any) -> tuple[Any, ...]:
    """One list of words, or both of a pair."""
    is_pair = isinstance(given, (list, tuple)) and len(given) == 2
    if is_pair and all(isinstance(side, (list, tuple)) for side in given):
        return tuple(_words_of("encode_batch", side) for side in given)
    return (_words_of("encode_batch", given),)


def _through(origins: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    if start < end:
        return origins[start][0], origins[end - 1][1]
    place = origins[start][0] if start < len(origins) else origins[-1][1] if origins else 0
    return place, place
