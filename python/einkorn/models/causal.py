"""What decoders share: scores of the next token, the loss of a text, and generation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import check_cache, kept_of, plain, positions_of, tokens_of
from einkorn.models._pretrained import Pretrained
from einkorn.nn import Module
from einkorn.seq.cache import Cache

__all__ = ["CausalLM"]


class CausalLM(Pretrained, Module, ABC):
    """A model that tells from tokens what comes next.

    Attributes
    ----------
    vocab_size : int
    context_length : int or None
        Tokens it can look back on; None: as many as there are.
    generation_config : GenerationConfig or None
        Options that ``generate`` begins with: those that a published model came with.
    """

    vocab_size: int
    context_length: int | None
    generation_config: Any = None
    #: What makes scores in the place of the head's matrix: a layer of :func:`einkorn.models.quantize`.
    small_head: Any = None

    @abstractmethod
    def hidden(self, tokens: Any, cache: Cache | None, mask: Any, positions: Any) -> Any:
        """The last layer's output, [batch, length, width]."""

    @abstractmethod
    def head(self) -> Any:
        """The matrix [vocabulary, width] that makes scores of it."""

    def head_bias(self) -> Any:
        """What is added to the scores; None: nothing."""
        return None

    def forward(
        self,
        input_ids: Any,
        *,
        cache: Cache | None = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        last: bool = False,
    ) -> Any:
        """Scores of the next token.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        cache : Cache, keyword-only, optional
            Holds the tokens before these; these are added to it.
        attention_mask : array [batch, all tokens], keyword-only, optional
            0 where a sequence is filled up; those of the cache come first.
        position_ids : integer array [batch, length] or [length], keyword-only, optional
            Default: counted from the first token that ``attention_mask`` leaves.
        last : bool, keyword-only, default False
            Scores after the last token alone, [batch, vocabulary].

        Returns
        -------
        array or Tensor [batch, length, vocabulary]

        Raises
        ------
        ShapeError, ArgumentError, IndexRangeError
            The tokens are not such an array, too many, or not in the vocabulary.
        """
        h = self.last_hidden(input_ids, cache, attention_mask, position_ids)
        if last:
            h = ops.getitem(h, (slice(None), -1))
        return self.scores_of(h)

    def scores_of(self, hidden: Any) -> Any:
        """Scores [..., vocabulary] of the last layer's output [..., width]."""
        if self.small_head is not None:
            return self.small_head(hidden)
        return ops.linear(hidden, self.head(), self.head_bias())

    def loss(
        self, input_ids: Any, labels: Any, *, attention_mask: Any = None, ignore_index: int = -100
    ) -> Any:
        """Mean cross-entropy of ``labels``, without storing the scores of all tokens; of none it is NaN.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        labels : integer array [batch, length]
            What follows each token: ``text[:, 1:]`` where input_ids are ``text[:, :-1]``.
        attention_mask : array [batch, length], keyword-only, optional
        ignore_index : int, keyword-only, default -100
            Labels that do not count.
        """
        h = self.last_hidden(input_ids, None, attention_mask, None)
        wanted = plain(labels)
        if wanted.shape != h.shape[:2]:
            raise ShapeError(f"{self._op()}.loss: labels have shape {wanted.shape}, expected {h.shape[:2]}")
        rows = ops.reshape(h, (-1, h.shape[-1]))
        return ops.linear_cross_entropy(
            rows, self.head(), wanted.ravel(), linear_bias=self.head_bias(), ignore_index=ignore_index
        )

    def generate(
        self,
        input_ids: Any,
        max_new_tokens: int | None = None,
        *,
        generation_config: Any = None,
        **options: Any,
    ) -> Any:
        """Continue prompts: :func:`einkorn.seq.generate` with this model.

        Parameters
        ----------
        input_ids : integer array [batch, length], or [length] for a single prompt
        max_new_tokens : int, default 20
        generation_config : GenerationConfig or dict, keyword-only, optional
            Options; default ``self.generation_config``. Those of the call go before them.
        **options
            Of :func:`einkorn.seq.generate`.
        """
        from einkorn.seq.generation import generate
        from einkorn.seq.generation_config import settled

        given = {"max_new_tokens": max_new_tokens, "generation_config": generation_config, **options}
        return generate(self, input_ids, **settled(self, given))

    def _op(self) -> str:
        return type(self).__name__

    def last_hidden(
        self,
        input_ids: Any,
        cache: Cache | None = None,
        attention_mask: Any = None,
        position_ids: Any = None,
    ) -> Any:
        """What the scores are made of, [batch, length, width]; arguments as in a call."""
        tokens = tokens_of(self._op(), "input_ids", input_ids)
        check_cache(self._op(), cache)
        before = 0 if cache is None else cache.length
        total = before + tokens.shape[1]
        if self.context_length is not None and total > self.context_length:
            raise ArgumentError(f"{self._op()}: {total} tokens exceed the context of {self.context_length}")
        kept = kept_of(self._op(), "attention_mask", attention_mask, (len(tokens), total))
        mask = None if kept is None else kept[:, None, None, :]
        positions = positions_of(kept, before, total) if position_ids is None else np.asarray(position_ids)
        with nullcontext() if cache is None else cache.adding():
            return self.hidden(tokens, cache, mask, positions)
