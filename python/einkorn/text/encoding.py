"""What a tokenizer makes of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """

    __slots__ = ("_layout", "_offsets", "_texts", "_tokenizer", "ids")

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
        self._offsets: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Encoding(num_tokens={len(self.ids)}, ids={self.ids[:12]}{'...' * (len(self.ids) > 12)})"

    def _each(self, value: Any) -> list[Any]:
        """value(what, type id) for each token."""
        return [value(what, kind) for what, start, stop, kind in self._layout for _ in range(start, stop)]

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them."""
        return [self._tokenizer.id_to_token(number) or "" for number in self.ids]

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
            spans = [self._tokenizer._spans(text) for text in self._texts]
            self._offsets = [
                span
                for what, start, stop, _ in self._layout
                for span in (spans[what][start:stop] if what in (TEXT, PAIR) else [(0, 0)] * (stop - start))
            ]
        return self._offsets
