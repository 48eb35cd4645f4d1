"""Words, characters or other tokens and their numbers."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.text._arguments import items_of, whole_number

__all__ = ["Vocabulary"]


def listed_ids(op: str, ids: Any) -> list[int]:
    """Ids of one text as a list, or a refusal that says what came."""
    if isinstance(ids, np.ndarray):
        if ids.ndim != 1:
            raise ShapeError(f"{op}: ids must have 1 dimension, got shape {ids.shape}; decode each row")
        ids = ids.tolist()
    try:
        return [operator.index(number) for number in ids]
    except TypeError:
        came = f"{ids!r:.60}" if not hasattr(ids, "shape") else f"an array of shape {tuple(ids.shape)}"
        raise ArgumentError(f"{op}: ids must be a list of whole numbers, got {came}") from None


class Vocabulary:
    """Tokens and their ids, with one for all that are not in it.

    Ids go to the special tokens, then to the others by how often they occur, of equally frequent ones in the
    order of their characters.

    Parameters
    ----------
    texts
        Texts that are lists of tokens already. A str is a list of characters, bytes are a list of numbers;
        either by itself is one text.
    min_count
        Tokens that occur less often are left out.
    max_size
        How many tokens there may be, special ones included.
    unk
        What stands for tokens that are not in the vocabulary; None: there is nothing, and they are refused.
    special
        Tokens that are there whether they occur or not, such as ``"<PAD>"``; ids begin with them.

    Raises
    ------
    ArgumentError
        ``min_count`` is less than 1, ``max_size`` less than the number of special tokens, or there are
        no texts.
    """

    def __init__(
        self,
        texts: Iterable[Iterable[Any]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        unk: Any = "<UNK>",
        special: Iterable[Any] = (),
    ) -> None:
        min_count = whole_number("Vocabulary", "min_count", min_count, 1)
        special = items_of("Vocabulary", "special", special)
        self.counts: Counter[Any] = Counter()
        try:
            for text in (texts,) if isinstance(texts, (str, bytes, bytearray)) else texts:
                self.counts.update(iter(text))
        except TypeError as error:
            raise ArgumentError(f"Vocabulary: texts must be lists of tokens: {error}") from None
        try:
            first = list(dict.fromkeys([*special, *([] if unk is None else [unk])]))
        except TypeError as error:
            raise ArgumentError(f"Vocabulary: special and unk must be tokens: {error}") from None
        if max_size is not None and whole_number("Vocabulary", "max_size", max_size, 0) < len(first):
            raise ArgumentError(
                f"Vocabulary: max_size must be at least {len(first)}, the special tokens, got {max_size}"
            )
        known = set(first)
        others = [t for t, count in self.counts.items() if count >= min_count and t not in known]
        try:
            others.sort(key=lambda token: (-self.counts[token], token))
        except TypeError as error:
            raise ArgumentError(f"Vocabulary: tokens must have an order: {error}") from None
        self.tokens: list[Any] = [*first, *others][:max_size]
        self.unk = unk
        self._ids = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: Any) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tokens)

    def __getitem__(self, token: Any) -> int:
        """The id of a token, or of what stands for it."""
        return self.encode((token,))[0]

    def encode(self, text: Iterable[Any]) -> list[int]:
        """The ids of a text's tokens.

        Raises
        ------
        ArgumentError
            A token is not in the vocabulary, and nothing stands for it.
        """
        try:
            if self.unk is not None:
                unknown = self._ids[self.unk]
                return [self._ids.get(token, unknown) for token in text]
            return [self._ids[token] for token in text]
        except TypeError as error:
            raise ArgumentError(f"Vocabulary: a text must be a list of tokens: {error}") from None
        except KeyError as error:
            raise ArgumentError(f"Vocabulary: {error.args[0]!r} is not in it, and there is no unk") from None

    def decode(self, ids: Iterable[int]) -> list[Any]:
        """The tokens of ids.

        Raises
        ------
        ArgumentError
            There is no such id.
        """
        tokens = []
        for number in listed_ids("Vocabulary", ids):
            if not 0 <= number < len(self.tokens):
                raise ArgumentError(f"Vocabulary: ids are 0 to {len(self.tokens) - 1}, got {number}")
            tokens.append(self.tokens[number])
        return tokens

    def arrays(self, texts: Iterable[Iterable[Any]], length: int | None = None, *, pad: int = 0) -> Any:
        """Ids of texts as an int64 array (texts, length), cut off or filled up with ``pad``.

        By default a row is as long as the longest text.
        """
        if length is not None:
            length = whole_number("Vocabulary", "length", length, 0)
        pad = whole_number("Vocabulary", "pad", pad, -(2**63), 2**63 - 1)
        if not isinstance(texts, Iterable):
            raise ArgumentError(f"Vocabulary: texts must be a list, got {texts!r:.60}")
        rows = [self.encode(text) for text in texts]
        width = max(map(len, rows), default=0) if length is None else length
        out = np.full((len(rows), width), pad, np.int64)
        for row, ids in zip(out, rows, strict=True):
            row[: min(width, len(ids))] = ids[:width]
        return out
