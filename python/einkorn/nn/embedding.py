"""Embedding tables as layers."""

from __future__ import annotations

from typing import Any

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn._keras_options import take_options
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank, is_deferred
from einkorn.ops.embedding import embedding, embedding_bag

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """A table of vectors, and what both layers do with it."""

    weight: Parameter
    padding_idx: int | None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        _weight: Any,
        _freeze: bool,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_embeddings = rows = integer(num_embeddings, name, "num_embeddings", 0)
        self.embedding_dim = integer(embedding_dim, name, "embedding_dim", 0)
        if padding_idx is not None:
            if isinstance(padding_idx, bool) or not -rows <= padding_idx < rows:
                raise ArgumentError(f"{name}: padding_idx is {padding_idx!r}, expected {-rows} to {rows - 1}")
            padding_idx %= rows
        self.padding_idx = padding_idx
        if _weight is None:
            self.weight = blank(self.num_embeddings, self.embedding_dim)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight)
            expected = (self.num_embeddings, self.embedding_dim)
            if self.weight.shape != expected:
                raise ShapeError(f"{name}: _weight has shape {self.weight.shape}, expected {expected}")
        if _freeze:
            self.weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Draw new initial values: standard normal ones, and zeros in the padding row."""
        init.normal_(self.weight)
        if self.padding_idx is not None and not is_deferred():
            row = self.weight._data[self.padding_idx]
            engines.of(row).fill(row, 0.0)

    @classmethod
    def _of(cls, embeddings: Any, freeze: bool, **options: Any) -> Any:
        if len(getattr(embeddings, "shape", ())) != 2:
            raise ShapeError(f"{cls.__name__}: embeddings must have two dimensions, (rows, width)")
        rows, width = embeddings.shape
        return cls(rows, width, _weight=embeddings, _freeze=freeze, **options)


class Embedding(_Table):
    """A table of vectors, looked up by number.

    Parameters
    ----------
    num_embeddings : int
        Rows of the table.
    embedding_dim : int
        Their width.
    padding_idx : int, optional
        A row that starts at 0 and gets no gradient.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As :func:`einkorn.ops.embedding`.
    _weight : array, optional
        The table's values.
    _freeze : bool, default False
        Do not learn the table.
    embeddings_regularizer, embeddings_constraint, embeddings_initializer : optional, keyword-only
        As the kernel's of ``Linear``.

    Attributes
    ----------
    weight : Parameter [num_embeddings, embedding_dim]
        Starts standard normal.

    Notes
    -----
    Input of integers of any shape, output of that shape with embedding_dim behind it.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, _freeze)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if options:
            take_options(self, options, {"embeddings": "weight"})
        self._settle(device, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer with the given table, which is not learned unless ``freeze`` is False."""
        layer: Embedding = cls._of(
            embeddings,
            freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )
        return layer

    def forward(self, input: Any) -> Any:
        return embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        return text


class EmbeddingBag(_Table):
    """Sums, means or maxima of bags of vectors of a table, without the vectors themselves.

    Parameters
    ----------
    num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse, _weight
        As :class:`Embedding`.
    mode : "mean", "sum" or "max", default "mean"
    include_last_offset : bool, default False
        Offsets have one more element, where the last bag ends.
    padding_idx : int, optional
        Entries with this number are in no bag.

    Notes
    -----
    ``forward(input, offsets=None, per_sample_weights=None)`` as :func:`einkorn.ops.embedding_bag`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        _freeze: bool = False,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, _freeze)
        if mode not in ("mean", "sum", "max"):
            raise ArgumentError(f"EmbeddingBag: mode is {mode!r}, expected 'sum', 'mean' or 'max'")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self._settle(device, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer with the given table, which is not learned unless ``freeze`` is False."""
        layer: EmbeddingBag = cls._of(
            embeddings,
            freeze,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        return layer

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
