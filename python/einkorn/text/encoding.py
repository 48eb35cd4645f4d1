"""What a tokenizer makes of a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from einkorn.errors import ArgumentError, IndexRangeError
from einkorn.text._arguments import items_of, whole_number

if TYPE_CHECKING:
    from einkorn.text.tokenizer import Tokenizer

__all__ = ["Encoding"]

# What a stretch of an encoding is: the text, its pair, tokens that belong to neither, padding.
TEXT, PAIR, SPECIAL, PADDING = 0, 1, 2, 3

# What an encoding has for each token beside its id.
_COLUMNS = ("tokens", "type_ids", "attention_mask", "special_tokens_mask", "offsets", "word_ids")


class Encoding:
    """The tokens of one text, or of a pair of texts.

    Attributes
    ----------
    ids : list of int
        The tokens' numbers.
    overflowing : list of Encoding
        What truncation cut off, in encodings of the same length.
    """

    __slots__ = (
        "_columns",
        "_filling",
        "_layout",
        "_offsets",
        "_ranges",
        "_texts",
        "_tokenizer",
        "_words",
        "ids",
        "overflowing",
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: tuple[str | tuple[str, ...], ...],
        ids: list[int],
        layout: tuple[tuple[int, int, int, int], ...],
    ) -> None:
        self.ids = ids
        self._tokenizer = tokenizer
        self._texts = texts
        self._layout = layout  # (what, first token of the text, behind the last, type id)
        self._filling = "[PAD]"  # what padding calls its token
        self._offsets: list[tuple[int, int]] | None = None
        self._words: list[int | None] | None = None
        self.overflowing: list[Encoding] = []
        # Once tokens were cut off or put together: what each has, and where a text's tokens are.
        self._columns: dict[str, list[Any]] | None = None
        self._ranges: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Encoding(num_tokens={len(self.ids)}, ids={self.ids[:12]}{'...' * (len(self.ids) > 12)})"

    def _each(self, value: Any) -> list[Any]:
        """value(what, type id) for each token."""
        return [value(what, kind) for what, start, stop, kind in self._layout for _ in range(start, stop)]

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them; those of padding as ``enable_padding`` was
        told.
        """
        if self._columns is not None:
            return self._columns["tokens"]
        padded = self._each(lambda what, kind: what == PADDING)
        return [
            self._filling if is_padding else self._tokenizer.id_to_token(number) or ""
            for number, is_padding in zip(self.ids, padded, strict=True)
        ]

    @property
    def type_ids(self) -> list[int]:
        """For each token the number of the sentence that it belongs to."""
        if self._columns is not None:
            return self._columns["type_ids"]
        return self._each(lambda what, kind: kind)

    @property
    def attention_mask(self) -> list[int]:
        """1 for tokens, 0 for padding."""
        if self._columns is not None:
            return self._columns["attention_mask"]
        return self._each(lambda what, kind: int(what != PADDING))

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for tokens that were added to the text, padding included."""
        if self._columns is not None:
            return self._columns["special_tokens_mask"]
        return self._each(lambda what, kind: int(what in (SPECIAL, PADDING)))

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 for tokens of the text, 1 for those of its pair, None for others."""
        if self._columns is not None:
            found: list[int | None] = [None] * len(self)
            for sequence in range(self.n_sequences):
                first, last = self._ranges.get(sequence, (0, len(self)))
                found[first:last] = [sequence] * (last - first)
            return found
        return self._each(lambda what, kind: what if what in (TEXT, PAIR) else None)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """For each token where it begins and ends in its text, in characters; (0, 0) for tokens that are not
        of the text.

        They are computed when they are first asked for, by tokenising once more.
        """
        if self._columns is not None:
            return self._columns["offsets"]
        if self._offsets is None:
            self._find_places()
        assert self._offsets is not None
        return self._offsets

    @property
    def word_ids(self) -> list[int | None]:
        """For each token the number of the word of its text that it is of, as the pre-tokeniser cuts words;
        None for tokens that are not of the text. Computed as :attr:`offsets` are.
        """
        if self._columns is not None:
            return self._columns["word_ids"]
        if self._words is None:
            self._find_places()
        assert self._words is not None
        return self._words

    @property
    def words(self) -> list[int | None]:
        """:attr:`word_ids`."""
        return self.word_ids

    def _find_places(self) -> None:
        places = [self._tokenizer._places(text) for text in self._texts]
        self._offsets, self._words = [], []
        for what, start, stop, _ in self._layout:
            if what in (TEXT, PAIR):
                self._offsets += places[what][0][start:stop]
                self._words += places[what][1][start:stop]
            else:
                self._offsets += [(0, 0)] * (stop - start)
                self._words += [None] * (stop - start)

    # -------------------- from one to the other

    @property
    def n_sequences(self) -> int:
        """1, or 2 for a pair."""
        return len(self._texts) if self._columns is None else len(self._ranges) or 1

    def _known(self, token: int) -> int:
        if not 0 <= token < len(self.ids):
            raise IndexRangeError(f"Encoding: there is no token {token!r} of {len(self.ids)}")
        return token

    def token_to_sequence(self, token_index: int) -> int | None:
        """0 for a token of the text, 1 for one of its pair, None for others."""
        return self.sequence_ids[self._known(token_index)]

    def token_to_word(self, token_index: int) -> int | None:
        """The word of a token; None for one that is not of a text."""
        return self.word_ids[self._known(token_index)]

    def token_to_chars(self, token_index: int) -> tuple[int, int] | None:
        """Where a token begins and ends in its text; None for one that is not of a text."""
        return None if self.token_to_sequence(token_index) is None else self.offsets[token_index]

    def char_to_token(self, char_pos: int, sequence_index: int = 0) -> int | None:
        """The first token that has a character of a text; None: none has."""
        for i, (sequence, (start, end)) in enumerate(zip(self.sequence_ids, self.offsets, strict=True)):
            if sequence == sequence_index and start <= char_pos < end:
                return i
        return None

    def char_to_word(self, char_pos: int, sequence_index: int = 0) -> int | None:
        """The word that has a character of a text; None: none has."""
        token = self.char_to_token(char_pos, sequence_index)
        return None if token is None else self.word_ids[token]

    def word_to_tokens(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        """The first token of a word and the one behind its last; None: no token is of it."""
        both = zip(self.sequence_ids, self.word_ids, strict=True)
        found = [i for i, pair in enumerate(both) if pair == (sequence_index, word_index)]
        return (found[0], found[-1] + 1) if found else None

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        """Where a word begins and ends in its text; None: no token is of it."""
        tokens = self.word_to_tokens(word_index, sequence_index)
        return None if tokens is None else (self.offsets[tokens[0]][0], self.offsets[tokens[1] - 1][1])

    # -------------------- shorter, longer, together

    def _written_out(self) -> dict[str, list[Any]]:
        """The columns, no longer made of the texts."""
        if self._columns is None:
            sequences = self.sequence_ids
            columns = {name: list(getattr(self, name)) for name in _COLUMNS}
            for sequence in set(sequences) - {None}:
                last = len(sequences) - sequences[::-1].index(sequence)
                self._ranges[int(sequence or 0)] = sequences.index(sequence), last
            self._columns = columns
        return self._columns

    def _part(self, start: int, stop: int) -> Encoding:
        part = Encoding(self._tokenizer, self._texts, self.ids[start:stop], ())
        part._columns = {name: column[start:stop] for name, column in self._written_out().items()}
        return part

    def _become(self, other: Encoding) -> None:
        self.ids, self._columns, self._ranges = other.ids, other._columns, other._ranges
        self.overflowing = other.overflowing

    def pad(
        self,
        length: int,
        *,
        direction: str = "right",
        pad_id: int = 0,
        pad_type_id: int = 0,
        pad_token: str = "[PAD]",
    ) -> None:
        """Fill this encoding, and those that overflow, up to ``length`` tokens; longer ones stay.

        Parameters
        ----------
        length
            How many tokens.
        direction
            "right": behind the others; "left": before them.
        pad_id, pad_type_id, pad_token
            What is put there.

        Raises
        ------
        ArgumentError
            The direction is another one, or a number does not fit.
        """
        length = whole_number("pad", "length", length, 0)
        pad_id = whole_number("pad", "pad_id", pad_id, 0)
        pad_type_id = whole_number("pad", "pad_type_id", pad_type_id, 0)
        if direction not in ("left", "right"):
            raise ArgumentError(f"pad: direction must be 'left' or 'right', got {direction!r}")
        for encoding in (self, *self.overflowing):
            if (missing := length - len(encoding.ids)) > 0:
                encoding._fill(missing, direction == "left", pad_id, pad_type_id, pad_token)

    def _fill(self, missing: int, left: bool, pad_id: int, pad_type_id: int, pad_token: str) -> None:
        filling = [pad_id] * missing
        if self._columns is None and all(what != PADDING for what, *_ in self._layout):
            self._filling = pad_token
            layout = PADDING, 0, missing, pad_type_id
            self._layout = (layout, *self._layout) if left else (*self._layout, layout)
            self._offsets = self._words = None
        else:
            columns = self._written_out()
            for name, value in zip(_COLUMNS, (pad_token, pad_type_id, 0, 1, (0, 0), None), strict=True):
                more = [value] * missing
                columns[name] = more + columns[name] if left else columns[name] + more
            if left:
                self._ranges = {key: (a + missing, b + missing) for key, (a, b) in self._ranges.items()}
        self.ids = filling + self.ids if left else self.ids + filling

    def truncate(self, max_length: int, stride: int = 0, direction: str = "right") -> None:
        """Keep ``max_length`` tokens; the others are in ``overflowing`` afterwards, what was there before is
        not.

        All tokens belong to the first text then, as in Hugging Face's.

        Parameters
        ----------
        max_length
            How many tokens; special ones count as others do, and are cut off as others are.
        stride
            How many tokens each of the encodings that overflow has of the one before it.
        direction
            "right": the end is cut off; "left": the beginning.

        Raises
        ------
        ArgumentError
            ``stride`` is not less than ``max_length``, or the direction is another one.
        """
        max_length = whole_number("truncate", "max_length", max_length, 0)
        stride = whole_number("truncate", "stride", stride, 0)
        if direction not in ("left", "right"):
            raise ArgumentError(f"truncate: direction must be 'left' or 'right', got {direction!r}")
        size = len(self)
        if max_length >= size:
            return
        if stride >= max_length > 0:
            raise ArgumentError(f"truncate: stride must be less than max_length {max_length}, got {stride}")
        if max_length == 0:
            whole = self._part(0, size)
            whole._ranges, whole.overflowing = self._ranges, self.overflowing
            self._become(self._part(0, 0))
            self.overflowing = [whole]
            return
        step = max_length - stride
        if direction == "right":
            parts = [(at, min(at + max_length, size)) for at in range(0, max(size - stride, 1), step)]
        else:
            parts = [(max(at - max_length, 0), at) for at in range(size, min(stride, size - 1), -step)]
        first, *more = [self._part(*part) for part in parts]
        first.overflowing = more
        self._become(first)

    @staticmethod
    def merge(encodings: Iterable[Encoding], growing_offsets: bool = True) -> Encoding:
        """Several encodings as one, their tokens one behind the other; what overflows joined with the others.

        Parameters
        ----------
        encodings
            At least one.
        growing_offsets
            Whether the offsets of each begin where the last token before it ends.

        Raises
        ------
        ArgumentError
            There is none, or something else among them.
        """
        listed = items_of("merge", "encodings", encodings)
        if not listed or not all(isinstance(each, Encoding) for each in listed):
            raise ArgumentError("Encoding.merge: encodings must be a list of at least one Encoding")
        whole = listed[0]._joined(None, growing_offsets)
        for other in listed[1:]:
            mine = [each._joined(None, growing_offsets) for each in (whole, *whole.overflowing)]
            theirs = [other, *other.overflowing]
            joined = [[one._joined(two, growing_offsets) for two in theirs] for one in mine]
            (whole, *rest), *others = joined
            whole.overflowing = [each for row in others for each in row] + rest
        return whole

    def _joined(self, other: Encoding | None, growing: bool) -> Encoding:
        """A new encoding of the tokens of both."""
        whole = self._part(0, len(self))
        whole._ranges = dict(self._ranges)
        if other is None:
            whole.overflowing = list(self.overflowing)
            return whole
        assert whole._columns is not None
        columns = dict(other._written_out())
        shift = whole.offsets[-1][1] if growing and len(whole) else 0
        columns["offsets"] = [(start + shift, end + shift) for start, end in columns["offsets"]]
        whole._ranges |= {
            key: (start + len(whole), end + len(whole)) for key, (start, end) in other._ranges.items()
        }
        whole._columns = {name: whole._columns[name] + columns[name] for name in _COLUMNS}
        whole.ids = whole.ids + other.ids
        return whole

    def set_sequence_id(self, sequence_id: int) -> None:
        """Let all tokens belong to the text of this number."""
        sequence_id = whole_number("set_sequence_id", "sequence_id", sequence_id, 0, 1)
        self._written_out()
        self._ranges[sequence_id] = 0, len(self)
