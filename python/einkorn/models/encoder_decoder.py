"""What encoder-decoders share: reading, scores of the next token, the loss of an answer, and generation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import check_cache, kept_of, plain, positions_of, rows_of, tokens_of
from einkorn.models._pretrained import Pretrained
from einkorn.nn import Module
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["EncoderDecoder"]


class EncoderDecoder(Pretrained, Module, ABC):
    """A model that reads one sequence and writes another.

    Attributes
    ----------
    vocab_size : int
        Of what is written.
    context_length : int or None
        Tokens that it can write; None: as many as there are.
    decoder_start_token_id : int
        What the decoder sees first.
    pad_token_id : int
        What sequences are filled up with.
    generation_config : GenerationConfig or None
        Options that ``generate`` begins with: those that a published model came with.
    """

    vocab_size: int
    context_length: int | None
    decoder_start_token_id: int
    pad_token_id: int
    generation_config: Any = None
    #: What makes scores in the place of the head's matrix: a layer of :func:`einkorn.models.quantize`.
    small_head: Any = None
    #: The name of the first argument.
    _reads = "input_ids"

    @abstractmethod
    def _encode(self, given: Any, kept: Any) -> Any:
        """The encoder's output [batch, length, width]."""

    @abstractmethod
    def _hidden(self, tokens: Any, memory: Memory, cache: Cache | None, mask: Any, positions: Any) -> Any:
        """The decoder's output [batch, length, width]."""

    @abstractmethod
    def head(self) -> Any:
        """The matrix [vocabulary, width] that makes scores of it."""

    def head_bias(self) -> Any:
        """What is added to the scores; None: nothing."""
        return None

    def encode(self, input_ids: Any, attention_mask: Any = None) -> Memory:
        """Read.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        attention_mask : array [batch, length], optional
            0 where a sequence is filled up.

        Returns
        -------
        einkorn.seq.Memory
            For :meth:`decode`; ``memory.states`` is [batch, length, width].
        """
        tokens = tokens_of(self._op(), self._reads, input_ids)
        kept = kept_of(self._op(), "attention_mask", attention_mask, tokens.shape)
        return Memory(self._encode(tokens, kept), kept, tokens)

    def decode(
        self,
        decoder_input_ids: Any,
        memory: Memory,
        *,
        cache: Cache | None = None,
        attention_mask: Any = None,
        last: bool = False,
    ) -> Any:
        """Scores of the next token.

        Parameters
        ----------
        decoder_input_ids : integer array [batch, length]
            Beginning with the start token. As many rows as the memory has, or a multiple: so many beams each.
        memory : Memory
            Of :meth:`encode`.
        cache : Cache, keyword-only, optional
            Holds the tokens before these.
        attention_mask : array [batch, all tokens], keyword-only, optional
            0 where the decoder's tokens are filled up.
        last : bool, keyword-only, default False
            Scores after the last token alone.

        Returns
        -------
        array or Tensor [batch, length, vocabulary], or [batch, vocabulary]
        """
        h = self._run(decoder_input_ids, memory, cache, attention_mask)
        if last:
            h = ops.getitem(h, (slice(None), -1))
        return self.scores_of(h)

    def scores_of(self, hidden: Any) -> Any:
        """Scores [..., vocabulary] of the decoder's output [..., width]."""
        if self.small_head is not None:
            return self.small_head(hidden)
        return ops.linear(hidden, self.head(), self._flat_bias())

    def forward(
        self,
        input_ids: Any,
        decoder_input_ids: Any,
        *,
        attention_mask: Any = None,
        decoder_attention_mask: Any = None,
    ) -> Any:
        """Scores [batch, length, vocabulary] of the token after each of ``decoder_input_ids``."""
        memory = self.encode(input_ids, attention_mask)
        self._check_pairs("", decoder_input_ids, memory)
        return self.decode(decoder_input_ids, memory, attention_mask=decoder_attention_mask)

    def loss(
        self,
        input_ids: Any,
        labels: Any,
        *,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
    ) -> Any:
        """Mean cross-entropy of ``labels``, without storing the scores of all tokens; of none it is NaN.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        labels : integer array [batch, labels]
            What is to be written.
        attention_mask : array [batch, length], keyword-only, optional
        decoder_input_ids : integer array [batch, labels], keyword-only, optional
            Default: the labels after a start token (:meth:`shifted`).
        ignore_index : int, keyword-only, default -100
            Labels that do not count.
        label_smoothing : float, keyword-only, default 0.0
            The share of each label that goes to all tokens (Szegedy et al. 2016).
        scheduled_sampling : float, keyword-only, default 0.0
            With this probability the decoder sees, in the place of a label, what it would have written there
            (Bengio et al. 2015; all steps at once as Mihaylova and Martins 2019); 0 is teacher forcing.
        """
        wanted = plain(labels)
        given = self.shifted(wanted) if decoder_input_ids is None else plain(decoder_input_ids)
        if wanted.shape != given.shape:
            raise ShapeError(f"{self._op()}.loss: labels have shape {wanted.shape}, expected {given.shape}")
        if not 0 <= scheduled_sampling <= 1:
            raise ArgumentError(
                f"{self._op()}.loss: scheduled_sampling is {scheduled_sampling!r}, expected 0 to 1"
            )
        memory = self.encode(input_ids, attention_mask)
        self._check_pairs(".loss", given, memory)
        if scheduled_sampling > 0:
            with no_grad():
                own = plain(self.decode(given, self.encode(input_ids, attention_mask))).argmax(-1)
            taken = np.asarray(ops.uniform(given[:, 1:].shape)) < scheduled_sampling
            given = np.concatenate([given[:, :1], np.where(taken, own[:, :-1], given[:, 1:])], 1)
        h = self._run(given, memory, None, None)
        return ops.linear_cross_entropy(
            ops.reshape(h, (-1, h.shape[-1])),
            self.head(),
            wanted.ravel(),
            linear_bias=self._flat_bias(),
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )

    def shifted(self, labels: Any) -> Any:
        """Labels as the decoder sees them: a start token, then all but the last; -100 becomes the pad."""
        labels = tokens_of(self._op(), "labels", labels)
        given = np.empty(labels.shape, np.int64)
        given[:, 0] = self.decoder_start_token_id
        given[:, 1:] = np.where(labels[:, :-1] == -100, self.pad_token_id, labels[:, :-1])
        return given

    def generate(
        self,
        input_ids: Any,
        max_new_tokens: int | None = None,
        *,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_start_token_id: int | list[int] | None = None,
        generation_config: Any = None,
        **options: Any,
    ) -> Any:
        """Read once, then write: :func:`einkorn.seq.generate` with its options.

        Parameters
        ----------
        input_ids : integer array [batch, length], or [length]
        max_new_tokens : int, default 20
        attention_mask : array [batch, length], keyword-only, optional
            0 where a sequence is filled up, on either side.
        decoder_input_ids : integer array [batch, tokens], keyword-only, optional
            The answers' beginnings; default the start token.
        decoder_start_token_id : int or list of int, keyword-only, optional
            What the decoder sees first where there are no beginnings, or that of each sequence; default what
            the options say, then what ``self.generation_config`` does, then
            ``self.decoder_start_token_id``, which ``config.json`` says.
        generation_config : GenerationConfig or dict, keyword-only, optional
            Options; default ``self.generation_config``. Those of the call go before them.
        **options
            ``num_beams``, ``eos_token_id``, ``forced_bos_token_id`` and others.

        Returns
        -------
        array of int64 [batch * num_return_sequences, tokens]
            The beginnings and what follows.
        """
        from einkorn.seq.generation_config import start_of

        given = rows_of(self._op(), self._reads, input_ids)
        alone = given.ndim == (3 if self._reads != "input_ids" else 2) - 1
        if alone:
            given = given[None]
            attention_mask = None if attention_mask is None else plain(attention_mask)[None]
        training = self.training
        self.eval()
        try:
            with no_grad():
                memory = self.encode(given, attention_mask)
            start = np.asarray(start_of(self, decoder_start_token_id, generation_config))
            if start.dtype.kind not in "iu" or start.shape not in ((), (1,), (len(memory),)):
                raise ArgumentError(
                    f"{self._op()}.generate: decoder_start_token_id is {start.tolist()!r}, expected a token,"
                    f" or {len(memory)} of them"
                )
            begin: Any = np.array(np.broadcast_to(start, (len(memory),)))[:, None]
            if decoder_input_ids is not None:
                begin = np.atleast_2d(plain(decoder_input_ids))
                if len(begin) != len(memory):
                    raise ShapeError(
                        f"{self._op()}.generate: decoder_input_ids have {len(begin)} rows,"
                        f" expected {len(memory)}"
                    )
            options.update(max_new_tokens=max_new_tokens, generation_config=generation_config)
            out = self.write(memory, begin, **options)
        finally:
            self.train(training)
        return out[0] if alone and len(out) == 1 else out

    def write(
        self, memory: Memory, decoder_input_ids: Any, max_new_tokens: int | None = None, **options: Any
    ) -> Any:
        """:meth:`generate` of what was read: of the memory that :meth:`encode` gave."""
        from einkorn.seq.generation import generate
        from einkorn.seq.generation_config import settled

        options = settled(self, {"max_new_tokens": max_new_tokens, **options})
        options.setdefault("pad_token_id", self.pad_token_id)
        return generate(_Reading(self, memory), decoder_input_ids, **options)

    def _check_pairs(self, of: str, given: Any, memory: Memory) -> None:
        """A row to write for each that was read; only :meth:`decode` has beams."""
        rows = np.shape(plain(given))[:1]
        if rows != (len(memory),):
            raise ShapeError(
                f"{self._op()}{of}: there are {len(memory)} rows to read and {rows[0] if rows else 0} to"
                " write, expected as many"
            )

    def _op(self) -> str:
        return type(self).__name__

    def _flat_bias(self) -> Any:
        bias = self.head_bias()
        return bias if bias is None or bias.ndim == 1 else ops.reshape(bias, (-1,))

    def _run(self, given: Any, memory: Memory, cache: Cache | None, attention_mask: Any) -> Any:
        tokens = tokens_of(self._op(), "decoder_input_ids", given)
        if len(tokens) % max(len(memory), 1) or not len(memory):
            raise ShapeError(
                f"{self._op()}: decoder_input_ids have {len(tokens)} rows, expected a multiple of the"
                f" {len(memory)} that were read"
            )
        check_cache(self._op(), cache)
        before = 0 if cache is None else cache.length
        total = before + tokens.shape[1]
        if self.context_length is not None and total > self.context_length:
            raise ArgumentError(f"{self._op()}: {total} tokens exceed the context of {self.context_length}")
        kept = kept_of(self._op(), "attention_mask", attention_mask, (len(tokens), total))
        mask = None if kept is None else kept[:, None, None, :]
        with nullcontext() if cache is None else cache.adding():
            return self._hidden(tokens, memory, cache, mask, positions_of(kept, before, total))


class _Reading:
    """A model with what it has read: what :func:`einkorn.seq.generate` takes for a decoder."""

    def __init__(self, model: EncoderDecoder, memory: Memory) -> None:
        self._model, self._memory = model, memory
        self.context_length, self.vocab_size = model.context_length, model.vocab_size
        #: Which words were read, [batch, length]; None: all.
        self.read = None if memory.mask is None else memory.mask[:, 0, 0]
        #: The words themselves; None: they are sounds or pictures.
        self.words = memory.tokens

    @property
    def training(self) -> bool:
        return self._model.training

    def eval(self) -> Any:
        return self._model.eval()

    def train(self, mode: bool = True) -> Any:
        return self._model.train(mode)

    def __call__(
        self, tokens: Any, *, cache: Cache | None = None, attention_mask: Any = None, last: bool = False
    ) -> Any:
        return self._model.decode(tokens, self._memory, cache=cache, attention_mask=attention_mask, last=last)
