"""Language models with recurrent layers (Mikolov et al. 2010; Zaremba et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import check_sizes, plain, tokens_of
from einkorn.models._ragged import run
from einkorn.models.causal import CausalLM
from einkorn.nn import GRU, LSTM, RNN, Dropout, Embedding, Linear
from einkorn.seq.cache import Cache

__all__ = ["RecurrentLM"]

_CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


class RecurrentLM(CausalLM):
    """An embedding, recurrent layers and a linear layer: the next character or word from all before.

    Parameters
    ----------
    vocab_size : int
    embedding_size, hidden_size, num_layers : int, default 128, 256, 2
    cell : "lstm", "gru" or "rnn", keyword-only, default "lstm"
    dropout : float, keyword-only, default 0.0
        Of the embeddings, between layers and before the linear layer.
    tie_weights : bool, keyword-only, default False
        Whether the embedding is the head's matrix as well (Press and Wolf 2017); then both widths are equal.

    Notes
    -----
    A long text is learned in pieces, each going on from the state where the last one ended
    (:meth:`step`, truncated back-propagation through time):

    >>> state = None
    >>> for inputs, labels in einkorn.seq.stream_batches(tokens, 32, 64):
    ...     loss, state = model.step(inputs, labels, state)
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 2,
        *,
        cell: str = "lstm",
        dropout: float = 0.0,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        if cell not in _CELLS:
            raise ArgumentError(f"RecurrentLM: cell is {cell!r}, expected one of {', '.join(_CELLS)}")
        if tie_weights and embedding_size != hidden_size:
            raise ArgumentError(
                f"RecurrentLM: embedding_size is {embedding_size} and hidden_size {hidden_size},"
                " expected equal ones for tie_weights"
            )
        check_sizes(
            "RecurrentLM", vocab_size=vocab_size, embedding_size=embedding_size, hidden_size=hidden_size
        )
        self.embedding = Embedding(vocab_size, embedding_size)
        between = dropout if num_layers > 1 else 0.0
        self.rnn = _CELLS[cell](embedding_size, hidden_size, num_layers, batch_first=True, dropout=between)
        self.drop = Dropout(dropout)
        self.decoder = Linear(hidden_size, vocab_size)
        if tie_weights:
            self.decoder.weight = self.embedding.weight
        self.vocab_size, self.context_length = self.embedding.num_embeddings, None
        self.config = {
            "vocab_size": self.vocab_size,
            "embedding_size": int(embedding_size),
            "hidden_size": int(hidden_size),
            "num_layers": int(num_layers),
            "cell": cell,
            "dropout": float(dropout),
            "tie_weights": bool(tie_weights),
        }

    def hidden(self, tokens: Any, cache: Cache | None, mask: Any, positions: Any) -> Any:
        state = None if cache is None else cache.state
        before = 0 if cache is None else cache.length
        x = self.drop(self.embedding(tokens))
        fresh = None if mask is None else mask[:, 0, 0, before:]
        if fresh is None or fresh.all():
            out, state = self.rnn(x, state)
        elif state is not None:
            raise ArgumentError("RecurrentLM: attention_mask is 0 after the prompt, expected 1")
        else:
            out, state = run("RecurrentLM", self.rnn, x, fresh)
        if cache is not None:
            cache.carry(
                [plain(s) for s in (state if isinstance(state, tuple) else (state,))], tokens.shape[1]
            )
        return self.drop(out)

    def head(self) -> Any:
        return self.decoder.weight

    def head_bias(self) -> Any:
        return self.decoder.bias

    def step(self, input_ids: Any, labels: Any, state: Any = None) -> tuple[Any, Any]:
        """The loss of a piece of text that goes on where the last one ended.

        Parameters
        ----------
        input_ids, labels : integer array [batch, length]
            ``labels`` are the tokens that follow; -100 does not count.
        state : optional
            What the piece before gave; None at the beginning of a text.

        Returns
        -------
        loss : Tensor
            Mean cross-entropy.
        state
            For the next piece; no gradient goes through it.
        """
        tokens = tokens_of("RecurrentLM", "input_ids", input_ids)
        wanted = plain(labels)
        if wanted.shape != tokens.shape:
            raise ShapeError(f"RecurrentLM.step: labels have shape {wanted.shape}, expected {tokens.shape}")
        out, after = self.rnn(self.drop(self.embedding(tokens)), state)
        out = ops.reshape(self.drop(out), (-1, out.shape[-1]))
        loss = ops.linear_cross_entropy(out, self.head(), wanted.ravel(), linear_bias=self.head_bias())
        return loss, tuple(_cut(s) for s in after) if isinstance(after, tuple) else _cut(after)

    def bits_per_token(self, tokens: Any, *, batch_size: int = 16, length: int = 256) -> float:
        """Mean of ``-log2`` of the probability of each token from all before: bits per character, of those.

        Parameters
        ----------
        tokens : integer array [tokens]
            A text; it is read as ``batch_size`` pieces, each in one go.
        batch_size, length : int, keyword-only, default 16, 256
            Pieces, and tokens of each that are read at once.

        Returns
        -------
        float
            ``2 **`` of it is the perplexity.
        """
        from einkorn.seq.streams import stream_batches

        training, total, count, state = self.training, 0.0, 0, None
        self.eval()
        try:
            with no_grad():
                for inputs, labels in stream_batches(tokens, batch_size, length):
                    loss, state = self.step(inputs, labels, state)
                    total, count = total + float(loss) * labels.size, count + labels.size
        finally:
            self.train(training)
        return total / count / float(np.log(2))


def _cut(state: Any) -> Any:
    return state.detach() if isinstance(state, Tensor) else state
