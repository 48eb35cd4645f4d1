"""A conditional random field as a layer, with the names of the torchcrf package."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops.copy import transpose
from einkorn.ops.crf import crf_decode, crf_loss
from einkorn.ops.elementwise import divide, negative
from einkorn.ops.reduce import mean
from einkorn.ops.reduce import sum as sum_over

__all__ = ["CRF"]


class CRF(Module):
    """Linear-chain conditional random field over the tags of a sequence (Lafferty et al. 2001).

    Parameters
    ----------
    num_tags : int
        At least 1.
    batch_first : bool, default False
        Whether emissions are [batch, steps, tags] and tags [batch, steps]; else steps come first.

    Attributes
    ----------
    start_transitions, end_transitions : Parameter [num_tags]
        Scores of the first and of the last tag.
    transitions : Parameter [num_tags, num_tags]
        ``transitions[i, j]`` is the score of j after i. All start uniform on +-0.1.

    Examples
    --------
    >>> import numpy as np
    >>> from einkorn import nn
    >>> crf = nn.CRF(3, batch_first=True)
    >>> emissions = np.array([[[9, 0, 0], [0, 9, 0]]], np.float32)
    >>> crf.decode(emissions)
    [[0, 1]]
    >>> loss = -crf(emissions, np.array([[0, 1]]))
    """

    start_transitions: Parameter
    end_transitions: Parameter
    transitions: Parameter

    def __init__(self, num_tags: int, batch_first: bool = False) -> None:
        super().__init__()
        self.num_tags = integer(num_tags, "CRF", "num_tags")
        if not isinstance(batch_first, bool):
            raise ArgumentError(f"CRF: batch_first is {batch_first!r}, expected True or False")
        self.batch_first = batch_first
        self.start_transitions = blank(self.num_tags)
        self.end_transitions = blank(self.num_tags)
        self.transitions = blank(self.num_tags, self.num_tags)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for parameter in (self.start_transitions, self.end_transitions, self.transitions):
            init.uniform_(parameter, -0.1, 0.1)

    def forward(self, emissions: Any, tags: Any, mask: Any = None, reduction: str = "sum") -> Any:
        """The log-probability of the tags; its negative is the loss.

        Parameters
        ----------
        emissions : array or Tensor [steps, batch, tags], or [batch, steps, tags] with ``batch_first``
        tags : array of integers [steps, batch] or [batch, steps]
        mask : array [steps, batch] or [batch, steps], optional
            Not 0 where a sequence goes on: from its first step to its last. Default: everywhere.
        reduction : {"none", "sum", "mean", "token_mean"}, default "sum"
            Over the sequences; "token_mean" divides the sum by the number of steps.

        Returns
        -------
        Tensor
            A scalar, or with "none" one number for each sequence.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError, IndexRangeError
            For what does not fit, and a mask that is 0 in a first step or goes on after a gap.
        """
        if reduction not in ("none", "sum", "mean", "token_mean"):
            raise ArgumentError(
                f"CRF: reduction is {reduction!r}, expected 'none', 'sum', 'mean' or 'token_mean'"
            )
        rows, lengths = self._rows(emissions, mask)
        labels = tags if hasattr(tags, "shape") else np.asarray(tags)
        if tuple(labels.shape) != tuple(np.shape(emissions)[:2]):
            raise ShapeError(
                f"CRF: tags has shape {tuple(labels.shape)}, expected {tuple(np.shape(emissions)[:2])}"
            )
        if not self.batch_first:
            labels = transpose(labels, 0, 1)
        losses = crf_loss(
            rows, labels, self.transitions, self.start_transitions, self.end_transitions, lengths,
            reduction="none",
        )  # fmt: skip
        likelihood = negative(losses)
        if reduction == "none":
            return likelihood
        if reduction == "mean":
            return mean(likelihood)
        total = sum_over(likelihood)
        return total if reduction == "sum" else divide(total, float(lengths.sum()))

    def decode(self, emissions: Any, mask: Any = None) -> list[list[int]]:
        """The likeliest tags of each sequence, as many as its mask has steps.

        Parameters
        ----------
        emissions, mask
            As in :meth:`forward`.

        Returns
        -------
        list of list of int
        """
        rows, lengths = self._rows(emissions, mask)
        best, _ = crf_decode(rows, self.transitions, self.start_transitions, self.end_transitions, lengths)
        return [tags[:count].tolist() for tags, count in zip(best, lengths.tolist(), strict=True)]

    def _rows(self, emissions: Any, mask: Any) -> tuple[Any, Any]:
        """Emissions with the batch first, and the steps of each sequence."""
        shape = tuple(np.shape(emissions))
        if len(shape) != 3 or shape[2] != self.num_tags:
            axes = "batch, steps" if self.batch_first else "steps, batch"
            raise ShapeError(f"CRF: emissions has shape {shape}, expected ({axes}, {self.num_tags})")
        rows = emissions if self.batch_first else transpose(emissions, 0, 1)
        batch, steps = rows.shape[:2]
        if not steps:
            raise ShapeError(f"CRF: emissions has shape {shape}, expected at least one step")
        if mask is None:
            return rows, np.full(batch, steps, np.int64)
        on = np.asarray(mask.numpy() if isinstance(mask, Tensor) else mask) != 0
        if on.shape != shape[:2]:
            raise ShapeError(f"CRF: mask has shape {on.shape}, expected {shape[:2]}")
        if not self.batch_first:
            on = on.T
        lengths = on.sum(axis=1, dtype=np.int64)
        if not on[:, 0].all():
            n = int(np.argmin(on[:, 0]))
            raise ArgumentError(f"CRF: mask is 0 in the first step of sequence {n}, expected another number")
        if (on != (np.arange(steps) < lengths[:, None])).any():
            n = int(np.argmax((on != (np.arange(steps) < lengths[:, None])).any(axis=1)))
            raise ArgumentError(f"CRF: mask of sequence {n} goes on after a 0, expected zeros at its end")
        return rows, lengths

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}" + (", batch_first=True" if self.batch_first else "")
