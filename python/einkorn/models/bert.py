"""BERT: an encoder that sees both sides of a word (Devlin et al. 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import check_sizes
from einkorn.models._pretrained import Pretrained
from einkorn.nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, init
from einkorn.nn.parameter import Parameter, blank

__all__ = [
    "Bert",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
]


class _Embeddings(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = Embedding(config["vocab_size"], width, padding_idx=0)
        self.position_embeddings = Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = Embedding(config["type_vocab_size"], width)
        self.LayerNorm = LayerNorm(width, config["layer_norm_eps"])
        self.dropout = Dropout(config["hidden_dropout_prob"])

    def forward(self, tokens: Any, types: Any, positions: Any) -> Any:
        x = self.word_embeddings(tokens) + self.token_type_embeddings(types)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(positions)))


class _SelfAttention(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.heads, self.p = config["num_attention_heads"], config["attention_probs_dropout_prob"]
        self.query, self.key, self.value = (Linear(width, width) for _ in range(3))

    def forward(self, x: Any, mask: Any) -> Any:
        q, k, v = (apart(project(x), self.heads) for project in (self.query, self.key, self.value))
        p = self.p if self.training else 0.0
        return together(ops.scaled_dot_product_attention(q, k, v, mask, p))


class _Output(Module):
    """A linear layer, the sum with what went around it, and its norm."""

    def __init__(self, inner: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = Linear(inner, config["hidden_size"])
        self.LayerNorm = LayerNorm(config["hidden_size"], config["layer_norm_eps"])
        self.dropout = Dropout(config["hidden_dropout_prob"])

    def forward(self, h: Any, x: Any) -> Any:
        norm = self.LayerNorm
        h = self.dropout(self.dense(h))
        return ops.add_layer_norm(h, x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)[1]


class _Attention(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.self = _SelfAttention(config)
        self.output = _Output(config["hidden_size"], config)

    def forward(self, x: Any, mask: Any) -> Any:
        return self.output(self.self(x, mask), x)


class _Intermediate(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = Linear(config["hidden_size"], config["intermediate_size"])

    def forward(self, x: Any) -> Any:
        return ops.gelu(self.dense(x))


class _Layer(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.attention = _Attention(config)
        self.intermediate = _Intermediate(config)
        self.output = _Output(config["intermediate_size"], config)

    def forward(self, x: Any, mask: Any) -> Any:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class _Encoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.layer = ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x: Any, mask: Any) -> Any:
        for layer in self.layer:
            x = layer(x, mask)
        return x


class _Pooler(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = Linear(config["hidden_size"], config["hidden_size"], activation="tanh")

    def forward(self, x: Any) -> Any:
        return self.dense(ops.getitem(x, (slice(None), 0)))


class Bert(Pretrained, Module):
    """The encoder: sums of three embeddings, then blocks of attention and linear layers, norms behind them.

    Parameters
    ----------
    vocab_size : int, default 30522
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int, default 768, 12, 12, 3072
        Those of BERT-Base; BERT-Large has 1024, 24, 16, 4096.
    max_position_embeddings : int, keyword-only, default 512
    type_vocab_size : int, keyword-only, default 2
    hidden_dropout_prob, attention_probs_dropout_prob : float, keyword-only, default 0.1
    layer_norm_eps : float, keyword-only, default 1e-12
    add_pooling_layer : bool, keyword-only, default True

    Notes
    -----
    Names and layouts of the state are those of Hugging Face's ``BertModel``.

    Raises
    ------
    ArgumentError
        Unless num_attention_heads divides hidden_size.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        *,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        layer_norm_eps: float = 1e-12,
        add_pooling_layer: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(
            "Bert",
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_attention_heads=num_attention_heads,
            intermediate_size=intermediate_size,
            max_position_embeddings=max_position_embeddings,
            type_vocab_size=type_vocab_size,
        )
        check_sizes("Bert", 0, num_hidden_layers=num_hidden_layers)
        if hidden_size % num_attention_heads:
            raise ArgumentError(
                f"Bert: hidden_size is {hidden_size}, expected a multiple of num_attention_heads"
                f" {num_attention_heads}"
            )
        self.config = {
            "vocab_size": int(vocab_size),
            "hidden_size": int(hidden_size),
            "num_hidden_layers": int(num_hidden_layers),
            "num_attention_heads": int(num_attention_heads),
            "intermediate_size": int(intermediate_size),
            "max_position_embeddings": int(max_position_embeddings),
            "type_vocab_size": int(type_vocab_size),
            "hidden_dropout_prob": float(hidden_dropout_prob),
            "attention_probs_dropout_prob": float(attention_probs_dropout_prob),
            "layer_norm_eps": float(layer_norm_eps),
            "add_pooling_layer": bool(add_pooling_layer),
        }
        self.embeddings = _Embeddings(self.config)
        self.encoder = _Encoder(self.config)
        self.pooler: Any = _Pooler(self.config) if add_pooling_layer else None
        _draw(self)

    def forward(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None
    ) -> tuple[Any, Any]:
        """Encode.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        attention_mask : array [batch, length], optional
            0 where a sequence is filled up.
        token_type_ids : integer array [batch, length], optional
            Which of two sentences a token is of; default the first.
        position_ids : integer array [length] or [batch, length], optional

        Returns
        -------
        tokens : array or Tensor [batch, length, hidden_size]
        pooled : array or Tensor [batch, hidden_size], or None
            Of the first token, through a linear layer and tanh.
        """
        tokens = _plain(input_ids)
        most = self.config["max_position_embeddings"]
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu":
            raise ShapeError(
                f"Bert: input_ids have shape {tokens.shape} and dtype {tokens.dtype},"
                " expected integers [batch, length]"
            )
        if tokens.shape[1] > most:
            raise ArgumentError(f"Bert: {tokens.shape[1]} tokens exceed max_position_embeddings {most}")
        types = np.zeros_like(tokens) if token_type_ids is None else _plain(token_type_ids)
        positions = np.arange(tokens.shape[1]) if position_ids is None else _plain(position_ids)
        mask = None
        if attention_mask is not None:
            kept = _plain(attention_mask).astype(bool)
            if kept.shape != tokens.shape:
                raise ShapeError(f"Bert: attention_mask has shape {kept.shape}, expected {tokens.shape}")
            mask = None if kept.all() else kept[:, None, None, :]
        x = self.encoder(self.embeddings(tokens, types, positions), mask)
        return x, None if self.pooler is None else self.pooler(x)


class _Transform(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = Linear(config["hidden_size"], config["hidden_size"])
        self.LayerNorm = LayerNorm(config["hidden_size"], config["layer_norm_eps"])

    def forward(self, x: Any) -> Any:
        return self.LayerNorm(ops.gelu(self.dense(x)))


class _Predictions(Module):
    bias: Parameter

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.transform = _Transform(config)
        self.bias = blank(config["vocab_size"])


class _Heads(Module):
    def __init__(self, config: dict[str, Any], both: bool) -> None:
        super().__init__()
        self.predictions = _Predictions(config)
        self.seq_relationship: Any = Linear(config["hidden_size"], 2) if both else None


class BertForMaskedLM(Pretrained, Module):
    """Scores of the words that were masked.

    Parameters
    ----------
    **config
        Of :class:`Bert`.
    """

    _both = False

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.bert = Bert(**{"add_pooling_layer": self._both, **config})
        self.config = self.bert.config
        self.cls = _Heads(self.config, self._both)
        _draw(self.cls)

    def forward(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None
    ) -> Any:
        """Scores [batch, length, vocabulary]; as :meth:`Bert.forward`."""
        x, _ = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        return self._scores(x)

    def loss(
        self, input_ids: Any, labels: Any, attention_mask: Any = None, token_type_ids: Any = None
    ) -> Any:
        """Mean cross-entropy where ``labels`` [batch, length] are not -100, without storing all scores."""
        x, _ = self.bert(input_ids, attention_mask, token_type_ids)
        return self._loss(x, labels)

    def _scores(self, x: Any) -> Any:
        words = self.bert.embeddings.word_embeddings.weight
        return ops.linear(self.cls.predictions.transform(x), words, self.cls.predictions.bias)

    def _loss(self, x: Any, labels: Any) -> Any:
        wanted = _plain(labels)
        if wanted.shape != x.shape[:2]:
            raise ShapeError(
                f"{type(self).__name__}: labels have shape {wanted.shape}, expected {x.shape[:2]}"
            )
        # The words that count are few: the head is for them alone.
        chosen = np.flatnonzero(wanted.ravel() != -100)
        rows = ops.getitem(ops.reshape(x, (-1, x.shape[-1])), chosen)
        return ops.linear_cross_entropy(
            self.cls.predictions.transform(rows),
            self.bert.embeddings.word_embeddings.weight,
            wanted.ravel()[chosen],
            linear_bias=self.cls.predictions.bias,
        )


class BertForPreTraining(BertForMaskedLM):
    """Masked words, and whether the second sentence follows the first.

    Parameters
    ----------
    **config
        Of :class:`Bert`.
    """

    _both = True

    def forward(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None
    ) -> tuple[Any, Any]:
        """Scores of words [batch, length, vocabulary], and of "follows" and "does not" [batch, 2]."""
        x, pooled = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        return self._scores(x), self.cls.seq_relationship(pooled)

    def loss(
        self,
        input_ids: Any,
        labels: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        next_sentence_label: Any = None,
    ) -> Any:
        """The loss of masked words, and where labels [batch] are given that of the next sentence too."""
        x, pooled = self.bert(input_ids, attention_mask, token_type_ids)
        total = self._loss(x, labels)
        if next_sentence_label is None:
            return total
        return total + ops.cross_entropy(self.cls.seq_relationship(pooled), next_sentence_label)


class _Classifier(Pretrained, Module):
    """An encoder with dropout and one linear layer."""

    _pools = False
    _head = "classifier"

    def __init__(
        self, num_labels: int = 2, *, classifier_dropout: float | None = None, **config: Any
    ) -> None:
        super().__init__()
        self.bert = Bert(**{"add_pooling_layer": self._pools, **config})
        check_sizes(type(self).__name__, num_labels=num_labels)
        self.config: dict[str, Any] = {**self.bert.config, "num_labels": int(num_labels)}
        if classifier_dropout is not None:
            self.config["classifier_dropout"] = float(classifier_dropout)
        p = self.config["hidden_dropout_prob"] if classifier_dropout is None else classifier_dropout
        self.dropout = Dropout(p)
        setattr(self, self._head, Linear(self.config["hidden_size"], num_labels))
        _draw(getattr(self, self._head))

    def forward(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None
    ) -> Any:
        """Scores; as :meth:`Bert.forward`."""
        x, pooled = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        return getattr(self, self._head)(self.dropout(pooled if self._pools else x))


class BertForSequenceClassification(_Classifier):
    """Scores of a whole sequence, [batch, num_labels].

    Parameters
    ----------
    num_labels : int, default 2
    classifier_dropout : float, keyword-only, optional
        Default ``hidden_dropout_prob``.
    **config
        Of :class:`Bert`.
    """

    _pools = True


class BertForTokenClassification(_Classifier):
    """Scores of each token, [batch, length, num_labels].

    Parameters
    ----------
    num_labels : int, default 2
    classifier_dropout : float, keyword-only, optional
        Default ``hidden_dropout_prob``.
    **config
        Of :class:`Bert`.
    """


class BertForQuestionAnswering(_Classifier):
    """Scores of each token as the answer's beginning and as its end: two arrays [batch, length].

    Parameters
    ----------
    **config
        Of :class:`Bert`.
    """

    _head = "qa_outputs"

    def __init__(self, **config: Any) -> None:
        super().__init__(2, classifier_dropout=0.0, **config)
        self.config = self.bert.config  # the number of scores is no option

    def forward(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None, position_ids: Any = None
    ) -> tuple[Any, Any]:
        """As :meth:`Bert.forward`."""
        begin, end = ops.unbind(super().forward(input_ids, attention_mask, token_type_ids, position_ids), -1)
        return begin, end


def _plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def _draw(module: Module) -> None:
    """Initial values as the paper's code draws them: normal of deviation .02, biases 0."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            init.zeros_(parameter)
        elif parameter.ndim > 1:
            init.normal_(parameter, 0.0, 0.02)
