"""What a tokenizer makes of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from einkorn.errors import IndexRangeError

if TYPE_CHECKING:
    from einkorn.text.tokenizer import Tokenizer

__all__ = ["Encoding"]

# What a stretch of an encoding is: the text, its pair, tokens that belong to neither, padding.
TEXT, PAIR, SPECIAL, PADDING = 0, 1, 2, 3


class Encoding:
    """The tokens of one text, or of a pair of texts.

    Attributes
    ----------
    ids : list of int
        The tokens' numbers.
    overflowing : list of Encoding
        What truncation cut off, in encodings of the same length.
    """

    __slots__ = ("_filling", "_layout", "_offsets", "_texts", "_tokenizer", "_words", "ids", "overflowing")

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: tuple[str, ...],
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

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Encoding(num_tokens={len(self.ids)}, ids={self.ids[:12]}{'...' * (len(self.ids) > 12)})"

    def _each(self, value: Any) -> list[Any]:
        """value(what, type id) for each token."""
        return [value(what, kind) for what, start, stop, kind in self._layout for _ in range(start, stop)]

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them; those of padding as :meth:`Tokenizer.enable_padding` was
        told.
        """
        padded = self._each(lambda what, kind: what == PADDING)
        return [
            self._filling if is_padding else self._tokenizer.id_to_token(number) or ""
            for number, is_padding in zip(self.ids, padded, strict=True)
        ]

    @property
    def type_ids(self) -> list[int]:
        """For each token the number of the sentence that it belongs to."""
        return self._each(lambda what, kind: kind)

    @property
    def attention_mask(self) -> list[int]:
        """1 for tokens, 0 for padding."""
        return self._each(lambda what, kind: int(what != PADDING))

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for tokens that were added to the text, padding included."""
        return self._each(lambda what, kind: int(what in (SPECIAL, PADDING)))

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 for tokens of the text, 1 for those of its pair, None for others."""
        return self._each(lambda what, kind: what if what in (TEXT, PAIR) else None)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """For each token where it begins and ends in its text, in characters; (0, 0) for tokens that are not
        of the text.

        They are computed when they are first asked for, by tokenising once more.
        """
        if self._offsets is None:
            self._find_places()
        assert self._offsets is not None
        return self._offsets

    @property
    def word_ids(self) -> list[int | None]:
        """For each token the number of the word of its text that it is of, as the pre-tokeniser cuts words;
        None for tokens that are not of the text. Computed as :attr:`offsets` are.
        """
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
        return len(self._texts)

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
