"""GPT: a decoder with learned positions (Radford et al. 2018, 2019; Brown et al. 2020)."""

from __future__ import annotations

import math
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import check_sizes
from einkorn.models.causal import CausalLM
from einkorn.nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, init
from einkorn.seq.cache import Cache

__all__ = ["GPT", "GPT_SIZES"]

#: Layers, width, heads and the width of a head, as the paper's table 2.1 has them.
GPT_SIZES = {
    "125M": (12, 768, 12, 64),
    "350M": (24, 1024, 16, 64),
    "760M": (24, 1536, 16, 96),
    "1.3B": (24, 2048, 24, 128),
    "2.7B": (32, 2560, 32, 80),
    "6.7B": (32, 4096, 32, 128),
    "13B": (40, 5140, 40, 128),
    "175B": (96, 12288, 96, 128),
}

_ACTIVATIONS = {
    "gelu": lambda x: ops.gelu(x),
    "gelu_new": lambda x: ops.gelu(x, approximate="tanh"),
    "relu": lambda x: ops.relu(x),
}


class _Attention(Module):
    def __init__(self, width: int, heads: int, head_width: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads, self.head_width, self.dropout = heads, head_width, dropout
        self.c_attn = Linear(width, 3 * heads * head_width, bias)
        self.c_proj = Linear(heads * head_width, width, bias)

    def forward(self, x: Any, layer: int, cache: Cache | None, mask: Any) -> Any:
        batch, length, _ = x.shape
        p = self.dropout if self.training else 0.0
        qkv = self.c_attn(x)
        shape = batch, length, 3, self.heads, self.head_width
        if cache is None:
            out = ops.packed_self_attention(ops.reshape(qkv, shape), mask, p, True)
            return self.c_proj(ops.reshape(out, (batch, length, -1)))
        rows, n = apart(qkv, 3 * self.heads), self.heads
        q, k, v = rows[:, :n], rows[:, n : 2 * n], rows[:, 2 * n :]
        k, v = cache.append(layer, k, v)
        out = ops.scaled_dot_product_attention(q, k, v, mask, p, length > 1, alignment="lower right")
        return self.c_proj(together(out))


class _FeedForward(Module):
    def __init__(self, width: int, inner: int, activation: str, bias: bool) -> None:
        super().__init__()
        self._activate = _ACTIVATIONS[activation]
        self.c_fc = Linear(width, inner, bias)
        self.c_proj = Linear(inner, width, bias)

    def forward(self, x: Any) -> Any:
        return self.c_proj(self._activate(self.c_fc(x)))


class _Block(Module):
    def __init__(
        self, attention: _Attention, width: int, inner: int, activation: str, bias: bool, eps: float
    ) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width, eps, bias=bias)
        self.attn = attention
        self.ln_2 = LayerNorm(width, eps, bias=bias)
        self.mlp = _FeedForward(width, inner, activation, bias)
        self.drop = Dropout(attention.dropout)

    def forward(self, x: Any, layer: int, cache: Cache | None, mask: Any) -> Any:
        h = self.drop(self.attn(self.ln_1(x), layer, cache, mask))
        norm = self.ln_2
        if cache is not None and x.shape[1] == 1:  # one row: two small calls are quicker than the larger one
            x = x + h
            return x + self.drop(self.mlp(norm(x)))
        x, h = ops.add_layer_norm(x, h, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return x + self.drop(self.mlp(h))


class _Body(Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte: Any
        self.wpe: Any
        self.h: Any
        self.ln_f: Any


class GPT(CausalLM):
    """A GPT-2 or GPT-3: blocks of causal attention and two linear layers, norms before them.

    Parameters
    ----------
    vocab_size : int, default 50257
    n_positions : int, default 1024
        Tokens it can look back on.
    n_embd, n_layer, n_head : int, default 768, 12, 12
        Width, blocks, and heads of each.
    n_inner : int, keyword-only, optional
        Width between the linear layers; default ``4 * n_embd``.
    head_size : int, keyword-only, optional
        Width of a head; default ``n_embd / n_head``.
    dropout : float, keyword-only, default 0.1
    bias : bool, keyword-only, default True
        Whether linear layers and norms have one.
    activation : "gelu_new", "gelu" or "relu", keyword-only, default "gelu_new"
        "gelu_new" is the tanh form, as GPT-2 has it.
    layer_norm_epsilon : float, keyword-only, default 1e-5
    tie_word_embeddings : bool, keyword-only, default True
        Whether the embedding of tokens is the head's matrix as well.

    Notes
    -----
    Names of the state are those of Hugging Face's
    ``GPT2LMHeadModel``, matrices lie as in :class:`einkorn.nn.Linear`;
    :func:`einkorn.models.from_pretrained` reads its files.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 50257,
        n_positions: int = 1024,
        n_embd: int = 768,
        n_layer: int = 12,
        n_head: int = 12,
        *,
        n_inner: int | None = None,
        head_size: int | None = None,
        dropout: float = 0.1,
        bias: bool = True,
        activation: str = "gelu_new",
        layer_norm_epsilon: float = 1e-5,
        tie_word_embeddings: bool = True,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ArgumentError(
                f"GPT: activation is {activation!r}, expected one of {', '.join(_ACTIVATIONS)}"
            )
        check_sizes("GPT", vocab_size=vocab_size, n_positions=n_positions, n_embd=n_embd, n_head=n_head)
        check_sizes("GPT", 0, n_layer=n_layer)
        given = {"n_inner": n_inner, "head_size": head_size}
        check_sizes("GPT", **{name: size for name, size in given.items() if size is not None})
        if head_size is None and n_embd % n_head:
            raise ArgumentError(f"GPT: n_embd is {n_embd}, expected a multiple of n_head {n_head}")
        inner = 4 * n_embd if n_inner is None else n_inner
        head_width = n_embd // n_head if head_size is None else head_size
        body = self.transformer = _Body()
        body.wte = Embedding(vocab_size, n_embd)
        body.wpe = Embedding(n_positions, n_embd)
        body.h = ModuleList(
            _Block(
                _Attention(n_embd, n_head, head_width, dropout, bias),
                n_embd,
                inner,
                activation,
                bias,
                layer_norm_epsilon,
            )
            for _ in range(n_layer)
        )
        body.ln_f = LayerNorm(n_embd, layer_norm_epsilon, bias=bias)
        if not tie_word_embeddings:
            self.lm_head = Linear(n_embd, vocab_size, bias=False)
        self.drop = Dropout(dropout)
        self.vocab_size, self.context_length = body.wte.num_embeddings, body.wpe.num_embeddings
        self.config = {
            "vocab_size": self.vocab_size,
            "n_positions": self.context_length,
            "n_embd": int(n_embd),
            "n_layer": int(n_layer),
            "n_head": int(n_head),
            "n_inner": None if n_inner is None else int(n_inner),
            "head_size": None if head_size is None else int(head_size),
            "dropout": float(dropout),
            "bias": bool(bias),
            "activation": activation,
            "layer_norm_epsilon": float(layer_norm_epsilon),
            "tie_word_embeddings": bool(tie_word_embeddings),
        }
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> GPT:
        """A model of the sizes that GPT-3's paper lists, by the number of its parameters.

        Parameters
        ----------
        size : str
            One of ``GPT_SIZES``: "125M" to "175B".
        **options
            As of the class; ``n_positions`` is 2048 if not given.
        """
        if size not in GPT_SIZES:
            raise ArgumentError(f"GPT.of_size: size is {size!r}, expected one of {', '.join(GPT_SIZES)}")
        layers, width, heads, head_size = GPT_SIZES[size]
        sizes = {"n_positions": 2048, "n_embd": width, "n_layer": layers, "n_head": heads}
        return cls(**{**sizes, "head_size": head_size, **options})

    def reset_parameters(self) -> None:
        """Draw initial values as GPT-2 does: deviation .02, less where a block ends (Radford 2019, 2.3)."""
        body = self.transformer
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif name.endswith("c_proj.weight"):
                init.normal_(parameter, 0.0, 0.02 / math.sqrt(2 * len(body.h)))
            elif parameter.ndim > 1:
                init.normal_(parameter, 0.0, 0.02)

    def hidden(self, tokens: Any, cache: Cache | None, mask: Any, positions: Any) -> Any:
        body = self.transformer
        x = self.drop(body.wte(tokens) + body.wpe(positions))
        for layer, block in enumerate(body.h):
            x = block(x, layer, cache, mask)
        return body.ln_f(x)

    def head(self) -> Any:
        return self.transformer.wte.weight if self.config["tie_word_embeddings"] else self.lm_head.weight
