"""A table of vectors that is read both ways."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.keras._variables import Place
from einkorn.keras.layers.core import Embedding

__all__ = ["ReversibleEmbedding"]


class ReversibleEmbedding(Embedding):
    """A table of vectors, and with ``reverse=True`` the scores of its rows for vectors.

    Parameters
    ----------
    input_dim, output_dim : int
        How many vectors there are, and how long each is.
    tie_weights : bool, default True
        Whether both ways read one table, or the way back a kernel of its own.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero : as :class:`Embedding`
    reverse_dtype : str, optional
        The type of scores.
    logit_soft_cap : float, optional
        Scores x become ``cap * tanh(x / cap)``.
    """

    def __init__(
        self, input_dim: int, output_dim: int, tie_weights: bool = True,
        embeddings_initializer: Any = "uniform", embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None, mask_zero: bool = False, reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint,
            mask_zero, **options,
        )  # fmt: skip
        self.tie_weights, self.reverse_dtype, self.logit_soft_cap = tie_weights, reverse_dtype, logit_soft_cap
        self.reverse_embeddings = None
        if not tie_weights:
            self.reverse_embeddings = self.add_weight(
                (output_dim, input_dim), embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, x: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(x)
        if self.reverse_dtype is not None:
            x = ops.cast(x, self.reverse_dtype)
        if self.reverse_embeddings is None:
            scores = ops.linear(x, self.inner.weight)
        else:
            scores = ops.matmul(x, self.reverse_embeddings)
        if self.logit_soft_cap is not None:
            scores = ops.multiply(ops.tanh(ops.divide(scores, self.logit_soft_cap)), self.logit_soft_cap)
        return scores

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where numbers are not 0; vectors keep the mask they have."""
        if len(getattr(inputs, "shape", ())) and getattr(inputs, "dtype", None) is not None:
            kind = inputs._data.dtype.kind if hasattr(inputs, "backward") else inputs.dtype.kind
            if kind == "f" and inputs.shape[-1] == self.output_dim:
                return previous_mask
        return super().compute_mask(inputs, previous_mask)

    def _keras_places(self) -> list[Place]:
        places = super()._keras_places()
        if self.reverse_embeddings is not None:
            places.append(Place("reverse_embeddings", self, "reverse_embeddings"))
        return places
