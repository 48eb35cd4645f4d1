"""Recurrent layers over sequences that are filled up on either side."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ShapeError
from einkorn.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__all__ = ["run"]


def run(op: str, rnn: Any, x: Any, kept: Any) -> tuple[Any, Any]:
    """Outputs [batch, length, width] and last states of ``rnn``, which sees what is kept alone; 0 elsewhere.

    ``kept`` are booleans [batch, length], each row's in one piece; None: all.
    """
    if kept is None:
        out, state = rnn(x)
        return out, state
    length, counts = kept.shape[1], kept.sum(1)
    if not counts.all():
        raise ShapeError(f"{op}: attention_mask leaves nothing of a sequence")
    rows = np.arange(len(kept))[:, None]
    first = kept.argmax(1)[:, None]
    there = (np.arange(length) + first) % length  # the sequence first, then what fills it up
    packed = pack_padded_sequence(
        ops.getitem(x, (rows, there)), counts, batch_first=True, enforce_sorted=False
    )
    out, state = rnn(packed)
    out = pad_packed_sequence(out, batch_first=True, total_length=length)[0]
    return ops.getitem(out, (rows, (np.arange(length) - first) % length)), state
