"""Texts as batches: pieces that go on, packed documents, masked and corrupted ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "bucketed_batches",
    "corrupt_spans",
    "mask_tokens",
    "pack_documents",
    "prefix_batch",
    "stream_batches",
]


def _ids(op: str, tokens: Any, ndim: int = 1) -> Any:
    ids = tokens.numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
    if ids.ndim != ndim or (ids.size and ids.dtype.kind not in "iu"):
        raise ShapeError(
            f"{op}: tokens have shape {ids.shape} and dtype {ids.dtype},"
            f" expected integers of {ndim} dimensions"
        )
    return ids.astype(np.int64)


def _uniform(shape: tuple[int, ...]) -> Any:
    return np.asarray(ops.uniform(shape, dtype=np.float64))


def stream_batches(tokens: Any, batch_size: int, length: int) -> Iterator[tuple[Any, Any]]:
    """A long text side by side: row i of each batch goes on where row i of the one before ended.

    Parameters
    ----------
    tokens : integer array [tokens]
    batch_size, length : int
        Rows, and tokens of each; the last batch may be shorter. What does not fill all rows is left out.

    Yields
    ------
    inputs, labels : array of int64 [batch_size, length]
        ``labels`` are what follows.

    Raises
    ------
    ArgumentError
        The text has too few tokens for the rows.
    """
    ids = _ids("stream_batches", tokens)
    for name, value in (("batch_size", batch_size), ("length", length)):
        if value < 1:
            raise ArgumentError(f"stream_batches: {name} is {value!r}, expected at least 1")
    each = (len(ids) - 1) // batch_size
    if each < 1:
        raise ArgumentError(f"stream_batches: {len(ids)} tokens, expected more than batch_size {batch_size}")
    rows = np.arange(batch_size)[:, None] * each
    for begin in range(0, each, length):
        places = rows + np.arange(begin, min(begin + length, each))
        yield ids[places], ids[places + 1]


def bucketed_batches(
    sources: Sequence[Any], targets: Sequence[Any], batch_size: int, pad_token: int = 0, *, bucket: int = 100
) -> Iterator[tuple[Any, Any, Any]]:
    """Pairs of sequences in an order drawn anew, those of like length together.

    Parameters
    ----------
    sources, targets : sequence of integer arrays [tokens]
        As many of each, none empty.
    batch_size : int
    pad_token : int, default 0
        What sources are filled up with, on the right.
    bucket : int, keyword-only, default 100
        Batches that are sorted by length together: more of them fill up less, and mix less.

    Yields
    ------
    sources : array of int64 [batch, longest]
    targets : array of int64 [batch, longest]
        Filled up with -100, which is no label.
    mask : boolean array
        False where a source is filled up.
    """
    op = "bucketed_batches"
    if len(sources) != len(targets) or not len(sources):
        raise ShapeError(
            f"{op}: {len(sources)} sources and {len(targets)} targets, expected as many, at least one"
        )
    if batch_size < 1 or bucket < 1:
        raise ArgumentError(f"{op}: batch_size is {batch_size} and bucket {bucket}, expected at least 1")
    pairs = [(_ids(op, s), _ids(op, t)) for s, t in zip(sources, targets, strict=True)]
    lengths = np.array([(len(s), len(t)) for s, t in pairs])
    if not lengths.all():
        raise ShapeError(f"{op}: pair {int(np.flatnonzero(~lengths.all(1))[0])} has an empty sequence")
    order = np.argsort(_uniform((len(pairs),)))
    batches = []
    for begin in range(0, len(order), batch_size * bucket):
        near = order[begin : begin + batch_size * bucket]
        near = near[np.lexsort((lengths[near, 1], lengths[near, 0]))]
        batches += [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
    for i in np.argsort(_uniform((len(batches),))):
        rows = batches[i]
        read = np.full((len(rows), lengths[rows, 0].max()), pad_token, np.int64)
        written = np.full((len(rows), lengths[rows, 1].max()), -100, np.int64)
        for row, pair in enumerate(rows):
            read[row, : lengths[pair, 0]], written[row, : lengths[pair, 1]] = pairs[pair]
        yield read, written, np.arange(read.shape[1]) < lengths[rows, 0][:, None]


def pack_documents(documents: Iterable[Any], length: int, end_token: int, *, drop_last: bool = True) -> Any:
    """Documents one after the other, each followed by ``end_token``, cut into rows: no padding.

    Parameters
    ----------
    documents : iterable of integer arrays [tokens]
    length : int
        Of a row.
    end_token : int
    drop_last : bool, keyword-only, default True
        Whether tokens that do not fill a row are left out; else the last row is filled up with ``end_token``.

    Returns
    -------
    array of int64 [rows, length]
    """
    if length < 1:
        raise ArgumentError(f"pack_documents: length is {length!r}, expected at least 1")
    parts = [np.append(_ids("pack_documents", document), end_token) for document in documents]
    whole = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    rest = len(whole) % length
    if rest and not drop_last:
        whole = np.append(whole, np.full(length - rest, end_token))
    return whole[: len(whole) // length * length].reshape(-1, length)


def mask_tokens(
    tokens: Any,
    mask_token: int,
    vocab_size: int,
    *,
    probability: float = 0.15,
    special_tokens: Sequence[int] = (),
) -> tuple[Any, Any]:
    """BERT's task (Devlin et al. 2019, section 3.1): some tokens are hidden, and to be guessed.

    Of the chosen ones eight in ten become ``mask_token``, one in ten another token, one in ten stays.

    Parameters
    ----------
    tokens : integer array [batch, length]
    mask_token, vocab_size : int
    probability : float, keyword-only, default 0.15
        That a token is chosen.
    special_tokens : sequence of int, keyword-only, optional
        Tokens that are never chosen.

    Returns
    -------
    inputs, labels : array of int64 [batch, length]
        ``labels`` are -100 but where a token was chosen.
    """
    ids = _ids("mask_tokens", tokens, 2)
    if not 0 <= probability <= 1:
        raise ArgumentError(f"mask_tokens: probability is {probability!r}, expected 0 to 1")
    if ids.size and not (ids.min() >= 0 and ids.max() < vocab_size):
        raise ArgumentError(
            f"mask_tokens: tokens have {ids.min()} to {ids.max()}, expected 0 to {vocab_size - 1}"
        )
    if not 0 <= mask_token < vocab_size:
        raise ArgumentError(f"mask_tokens: mask_token is {mask_token}, expected 0 to {vocab_size - 1}")
    chosen = (_uniform(ids.shape) < probability) & ~np.isin(ids, special_tokens)
    kind = _uniform(ids.shape)
    other = (_uniform(ids.shape) * vocab_size).astype(np.int64)
    inputs = np.where(chosen & (kind < 0.8), mask_token, ids)
    inputs = np.where(chosen & (kind >= 0.8) & (kind < 0.9), other, inputs)
    return inputs, np.where(chosen, ids, -100)


def prefix_batch(
    prompts: Sequence[Any], answers: Sequence[Any], pad_token: int, *, max_length: int | None = None
) -> tuple[Any, Any, Any]:
    """Prompts and answers as rows of which the answers alone are to be learned (supervised fine-tuning).

    Parameters
    ----------
    prompts, answers : sequence of integer arrays [tokens]
        As many of each; an answer ends with the token that ends texts.
    pad_token : int
        What rows are filled up with, on the right.
    max_length : int, keyword-only, optional
        Longer rows are refused.

    Returns
    -------
    inputs, labels : array of int64 [batch, length]
        ``labels`` are what follows each token; -100 where that is of the prompt, or nothing.
    mask : boolean array [batch, length]
        False where a row is filled up.
    """
    if len(prompts) != len(answers) or not len(prompts):
        raise ShapeError(
            f"prefix_batch: {len(prompts)} prompts and {len(answers)} answers, expected as many, at least one"
        )
    op = "prefix_batch"
    pairs = [(_ids(op, p), _ids(op, a)) for p, a in zip(prompts, answers, strict=True)]
    for prompt, answer in pairs:
        if not len(prompt) or not len(answer):
            raise ShapeError(f"{op}: a prompt or an answer is empty")
    longest = max(len(p) + len(a) for p, a in pairs) - 1
    if max_length is not None and longest > max_length:
        raise ArgumentError(f"{op}: a row of {longest} tokens exceeds max_length {max_length}")
    inputs = np.full((len(pairs), longest), pad_token, np.int64)
    labels = np.full((len(pairs), longest), -100, np.int64)
    mask = np.zeros((len(pairs), longest), bool)
    for row, (prompt, answer) in enumerate(pairs):
        whole = np.concatenate([prompt, answer])
        inputs[row, : len(whole) - 1] = whole[:-1]
        mask[row, : len(whole) - 1] = True
        labels[row, len(prompt) - 1 : len(whole) - 1] = answer
    return inputs, labels, mask


def corrupt_spans(
    tokens: Any,
    first_sentinel: int,
    end_token: int,
    *,
    density: float = 0.15,
    mean_span: float = 3.0,
) -> tuple[Any, Any]:
    """T5's task (Raffel et al. 2020, section 3.1.4): spans are replaced by sentinels, and to be told.

    Parameters
    ----------
    tokens : integer array [tokens]
    first_sentinel : int
        Stands for the first span; the next ones count down from it, as T5's vocabulary has them.
    end_token : int
    density : float, keyword-only, default 0.15
        Share of the tokens that are hidden.
    mean_span : float, keyword-only, default 3.0
        Their mean length.

    Returns
    -------
    inputs : array of int64
        The tokens with a sentinel in the place of each span, and ``end_token``.
    labels : array of int64
        Each sentinel and what it hides, and ``end_token``.
    """
    ids = _ids("corrupt_spans", tokens)
    if not 0 < density < 1 or not mean_span >= 1:
        raise ArgumentError(
            f"corrupt_spans: density is {density!r} and mean_span {mean_span!r}, expected a share below 1 and"
            " at least 1"
        )
    if len(ids) < 2:
        raise ShapeError(f"corrupt_spans: {len(ids)} tokens, expected at least 2")
    hidden = min(max(round(len(ids) * density), 1), len(ids) - 1)
    spans = min(max(round(hidden / mean_span), 1), hidden, len(ids) - hidden)

    def parts(total: int) -> Any:
        """``total`` cut at random into as many parts as there are spans, none of them 0."""
        cuts = np.sort(np.argsort(_uniform((total - 1,)))[: spans - 1]) + 1 if total > 1 else np.zeros(0, int)
        return np.diff(np.concatenate([[0], cuts, [total]]))

    inputs: list[int] = []
    labels: list[int] = []
    at = 0
    for i, (kept, away) in enumerate(zip(parts(len(ids) - hidden), parts(hidden), strict=True)):
        sentinel = first_sentinel - i
        if sentinel < 0:
            raise ArgumentError(f"corrupt_spans: first_sentinel is {first_sentinel}, but there are {spans}")
        inputs += [*ids[at : at + kept], sentinel]
        labels += [sentinel, *ids[at + kept : at + kept + away]]
        at += kept + away
    return np.array([*inputs, end_token], np.int64), np.array([*labels, end_token], np.int64)
