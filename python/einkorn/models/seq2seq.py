"""Recurrent translators: an encoder, attention over what it read, and a decoder that writes word by word."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError
from einkorn.models._inputs import kept_of, plain, tokens_of
from einkorn.models._ragged import run
from einkorn.models.encoder_decoder import EncoderDecoder
from einkorn.nn import (
    GRU,
    LSTM,
    AdditiveAttention,
    ConcatAttention,
    DotAttention,
    Dropout,
    Embedding,
    GeneralAttention,
    Linear,
    ModuleList,
)
from einkorn.nn.attention_scores import _Scores
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["GNMT", "Bahdanau", "Luong"]


class _Translator(EncoderDecoder):
    """Embeddings of two languages, a head, and the decoder's state from step to step."""

    attention: Any

    def __init__(
        self, source_size: int, vocab_size: int, width: int, dropout: float, pad: int, start: int
    ) -> None:
        super().__init__()
        op = type(self).__name__
        for name, token in (("pad_token_id", pad), ("decoder_start_token_id", start)):
            if not 0 <= token < vocab_size:
                raise ArgumentError(f"{op}: {name} is {token}, expected 0 to {vocab_size - 1}")
        self.source = Embedding(source_size, width)
        self.target = Embedding(vocab_size, width)
        self.drop = Dropout(dropout)
        self.vocab_size, self.context_length = int(vocab_size), None
        self.pad_token_id, self.decoder_start_token_id = int(pad), int(start)

    def encode(self, input_ids: Any, attention_mask: Any = None) -> Memory:
        tokens = tokens_of(self._op(), "input_ids", input_ids)
        kept = kept_of(self._op(), "attention_mask", attention_mask, tokens.shape)
        states, first = self._listen(self.drop(self.source(tokens)), kept)
        memory = Memory(states, kept, tokens)
        memory.first = first
        return memory

    @abstractmethod
    def _listen(self, x: Any, kept: Any) -> tuple[Any, tuple[Any, ...]]:
        """Outputs [batch, length, width], and the decoder's first states [layers, batch, width]."""

    @abstractmethod
    def _speak(
        self, x: Any, keys: Any, kept: Any, state: tuple[Any, ...], **known: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """What the head sees [batch, length, width], weights [batch, length, keys], and the states after."""

    def align(self, input_ids: Any, decoder_input_ids: Any, *, attention_mask: Any = None) -> Any:
        """Which words were looked at for each: the attention's weights [batch, written, read]."""
        training = self.training
        self.eval()
        try:
            with no_grad():
                memory = self.encode(input_ids, attention_mask)
                tokens = tokens_of(self._op(), "decoder_input_ids", decoder_input_ids)
                return plain(self._walk(tokens, memory, None)[1])
        finally:
            self.train(training)

    def _encode(self, given: Any, kept: Any) -> Any:
        return self._listen(self.drop(self.source(given)), kept)[0]

    def _hidden(self, tokens: Any, memory: Memory, cache: Cache | None, mask: Any, positions: Any) -> Any:
        if mask is not None:
            raise ArgumentError(f"{self._op()}: the decoder's attention_mask has 0, expected 1 alone")
        return self._walk(tokens, memory, cache)[0]

    def _walk(self, tokens: Any, memory: Memory, cache: Cache | None) -> tuple[Any, Any]:
        keys, kept, state = memory.states, memory.mask, memory.first
        kept = None if kept is None else kept[:, 0, 0]
        known = {}  # what attention makes of the keys, once for all steps
        if isinstance(self.attention, (AdditiveAttention, GeneralAttention)):
            known["projected"] = memory.projected(self.attention.of_keys)
        beams = len(tokens) // len(memory)
        if beams > 1:
            rows = np.repeat(np.arange(len(memory)), beams)
            known = {name: ops.getitem(a, rows) for name, a in known.items()}
            keys, kept = ops.getitem(keys, rows), None if kept is None else kept[rows]
            state = tuple(ops.getitem(s, (slice(None), rows)) for s in state)
        if cache is not None and cache.length:
            state = cache.state if isinstance(cache.state, tuple) else (cache.state,)
        out, weights, state = self._speak(self.drop(self.target(tokens)), keys, kept, state, **known)
        if cache is not None:
            cache.carry([plain(s) for s in state], tokens.shape[1])
            if weights is not None:  # a captioner may have no attention
                cache.look(plain(weights))
        return out, weights


class Bahdanau(_Translator):
    """Attention's first model: a bidirectional GRU reads, a GRU that looks before each word writes.

    Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and translate".

    Parameters
    ----------
    source_size, vocab_size : int
        Tokens of what is read, and of what is written.
    embedding_size, hidden_size, readout_size : int, default 620, 1000, 500
        The paper's; the readout takes the larger one of two numbers (maxout).
    dropout : float, keyword-only, default 0.0
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 1

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        source_size: int,
        vocab_size: int,
        embedding_size: int = 620,
        hidden_size: int = 1000,
        readout_size: int = 500,
        *,
        dropout: float = 0.0,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 1,
    ) -> None:
        super().__init__(
            source_size, vocab_size, embedding_size, dropout, pad_token_id, decoder_start_token_id
        )
        self.encoder = GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.begin = Linear(hidden_size, hidden_size, activation="tanh")
        self.attention = AdditiveAttention(hidden_size, 2 * hidden_size, hidden_size)
        self.decoder = GRU(embedding_size + 2 * hidden_size, hidden_size, batch_first=True)
        self.readout = Linear(3 * hidden_size + embedding_size, 2 * readout_size)
        self.scores = Linear(readout_size, vocab_size)
        self.config = {
            "source_size": int(source_size),
            "vocab_size": self.vocab_size,
            "embedding_size": int(embedding_size),
            "hidden_size": int(hidden_size),
            "readout_size": int(readout_size),
            "dropout": float(dropout),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }

    def head(self) -> Any:
        return self.scores.weight

    def head_bias(self) -> Any:
        return self.scores.bias

    def _listen(self, x: Any, kept: Any) -> tuple[Any, tuple[Any, ...]]:
        out, last = run("Bahdanau", self.encoder, x, kept)
        return out, (
            ops.unsqueeze(self.begin(ops.getitem(last, 1)), 0),
        )  # what was read backwards ends first

    def _speak(
        self, x: Any, keys: Any, kept: Any, state: tuple[Any, ...], **known: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        s, seen, looked = state[0], [], []
        for t in range(x.shape[1]):
            word, before = ops.getitem(x, (slice(None), t)), ops.getitem(s, 0)
            context, weights = self.attention(before, keys, None, kept, **known)
            given = ops.unsqueeze(ops.cat([word, context], 1), 1)
            out, s = self.decoder(given, s)
            seen.append(ops.cat([ops.getitem(out, (slice(None), 0)), word, context], 1))
            looked.append(weights)
        pairs = self.readout(ops.stack(seen, 1))
        batch, length, width = pairs.shape
        most = ops.max(ops.reshape(pairs, (batch, length, width // 2, 2)), axis=-1)
        return self.drop(most), ops.stack(looked, 1), (s,)


class _Location(_Scores):
    """Scores of places from the query alone, ``W q`` (Luong et al. 2015, equation 8)."""

    def __init__(self, query_size: int, longest: int) -> None:
        super().__init__()
        self.places = Linear(query_size, longest, bias=False)

    def _scores(self, query: Any, keys: Any, **state: Any) -> Any:
        length, longest = keys.shape[1], self.places.out_features
        if length > longest:
            raise ArgumentError(f"Luong: {length} words exceed max_source_length {longest}")
        return ops.getitem(self.places(query), (..., slice(0, length)))


_SCORES = ("dot", "general", "concat", "location")


class Luong(_Translator):
    """LSTMs read and write; attention after each step, and its result is fed to the next (Luong et al. 2015).

    Parameters
    ----------
    source_size, vocab_size : int
        Tokens of what is read, and of what is written.
    hidden_size, num_layers : int, default 1000, 2
        Embeddings are as wide.
    score : "dot", "general", "concat" or "location", keyword-only, default "general"
        How a state is compared with what was read.
    input_feeding : bool, keyword-only, default True
        Whether a step sees what attention made of the one before; without, all steps are one call.
    max_source_length : int, keyword-only, default 100
        Words that the "location" score can look at.
    dropout : float, keyword-only, default 0.0
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 1

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        source_size: int,
        vocab_size: int,
        hidden_size: int = 1000,
        num_layers: int = 2,
        *,
        score: str = "general",
        input_feeding: bool = True,
        max_source_length: int = 100,
        dropout: float = 0.0,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 1,
    ) -> None:
        super().__init__(source_size, vocab_size, hidden_size, dropout, pad_token_id, decoder_start_token_id)
        if score not in _SCORES:
            raise ArgumentError(f"Luong: score is {score!r}, expected one of {', '.join(_SCORES)}")
        between = dropout if num_layers > 1 else 0.0
        self.encoder = LSTM(hidden_size, hidden_size, num_layers, batch_first=True, dropout=between)
        width = 2 * hidden_size if input_feeding else hidden_size
        self.decoder = LSTM(width, hidden_size, num_layers, batch_first=True, dropout=between)
        attention: Any
        if score == "dot":
            attention = DotAttention()
        elif score == "general":
            attention = GeneralAttention(hidden_size, hidden_size)
        elif score == "concat":
            attention = ConcatAttention(hidden_size, hidden_size, hidden_size)
        else:
            attention = _Location(hidden_size, max_source_length)
        self.attention = attention
        self.combine = Linear(2 * hidden_size, hidden_size, bias=False, activation="tanh")
        self.scores = Linear(hidden_size, vocab_size, bias=False)
        self.config = {
            "source_size": int(source_size),
            "vocab_size": self.vocab_size,
            "hidden_size": int(hidden_size),
            "num_layers": int(num_layers),
            "score": score,
            "input_feeding": bool(input_feeding),
            "max_source_length": int(max_source_length),
            "dropout": float(dropout),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }

    def head(self) -> Any:
        return self.scores.weight

    def _listen(self, x: Any, kept: Any) -> tuple[Any, tuple[Any, ...]]:
        if self.config["score"] == "location" and kept is not None and not plain(kept)[:, 0].all():
            raise ArgumentError(
                "Luong: attention_mask is 0 at the beginning of a sequence, and the score 'location' counts"
                " places: fill up on the right"
            )
        out, (h, c) = run("Luong", self.encoder, x, kept)
        if not self.config["input_feeding"]:
            return out, (h, c)
        return out, (h, c, np.zeros((1, *h.shape[1:]), np.float32))

    def _speak(
        self, x: Any, keys: Any, kept: Any, state: tuple[Any, ...], **known: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        h, c, *fed = state
        if not fed:
            out, (h, c) = self.decoder(x, (h, c))
            context, weights = self.attention(out, keys, None, kept, **known)
            return self.drop(self.combine(ops.cat([context, out], -1))), weights, (h, c)
        feed, said, looked = fed[0], [], []
        for t in range(x.shape[1]):
            word = ops.getitem(x, (slice(None), t))
            out, (h, c) = self.decoder(ops.unsqueeze(ops.cat([word, ops.getitem(feed, 0)], 1), 1), (h, c))
            top = ops.getitem(out, (slice(None), 0))
            context, weights = self.attention(top, keys, None, kept, **known)
            attended = self.combine(ops.cat([context, top], 1))
            feed = ops.unsqueeze(attended, 0)
            said.append(attended)
            looked.append(weights)
        return self.drop(ops.stack(said, 1)), ops.stack(looked, 1), (h, c, feed)


class GNMT(_Translator):
    """Deep LSTMs with sums around them; the first reads both ways (Wu et al. 2016).

    The decoder's lowest layer asks, and all layers above it see the answer: each layer is one call for all
    steps.

    Parameters
    ----------
    source_size, vocab_size : int
        Tokens of what is read, and of what is written.
    hidden_size, num_layers : int, default 1024, 8
    dropout : float, keyword-only, default 0.2
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 1

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        source_size: int,
        vocab_size: int,
        hidden_size: int = 1024,
        num_layers: int = 8,
        *,
        dropout: float = 0.2,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 1,
    ) -> None:
        super().__init__(source_size, vocab_size, hidden_size, dropout, pad_token_id, decoder_start_token_id)
        if num_layers < 2:
            raise ArgumentError(f"GNMT: num_layers is {num_layers}, expected at least 2")
        both = LSTM(hidden_size, hidden_size, batch_first=True, bidirectional=True)
        widths = [2 * hidden_size] + [hidden_size] * (num_layers - 2)
        self.encoder = ModuleList([both, *(LSTM(w, hidden_size, batch_first=True) for w in widths)])
        above = (LSTM(2 * hidden_size, hidden_size, batch_first=True) for _ in range(num_layers - 1))
        self.decoder = ModuleList([LSTM(hidden_size, hidden_size, batch_first=True), *above])
        self.attention = AdditiveAttention(hidden_size, hidden_size, hidden_size)
        self.scores = Linear(hidden_size, vocab_size)
        self.config = {
            "source_size": int(source_size),
            "vocab_size": self.vocab_size,
            "hidden_size": int(hidden_size),
            "num_layers": int(num_layers),
            "dropout": float(dropout),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }

    def head(self) -> Any:
        return self.scores.weight

    def head_bias(self) -> Any:
        return self.scores.bias

    def _listen(self, x: Any, kept: Any) -> tuple[Any, tuple[Any, ...]]:
        for i, layer in enumerate(self.encoder):
            out, _ = run("GNMT", layer, self.drop(x), kept)
            x = out + x if i >= 2 else out
        zeros = np.zeros((len(self.decoder), x.shape[0], x.shape[2]), np.float32)
        return x, (zeros, zeros)

    def _speak(
        self, x: Any, keys: Any, kept: Any, state: tuple[Any, ...], **known: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        h, c = state
        after: list[Any] = []
        context = weights = None
        for i, layer in enumerate(self.decoder):
            given = self.drop(x if context is None else ops.cat([x, context], -1))
            own = slice(i, i + 1)
            out, last = layer(given, (ops.getitem(h, own), ops.getitem(c, own)))
            after.append(last)
            if context is None:
                context, weights = self.attention(out, keys, None, kept, **known)
            x = out + x if i >= 2 else out
        return self.drop(x), weights, (ops.cat([s[0] for s in after], 0), ops.cat([s[1] for s in after], 0))
