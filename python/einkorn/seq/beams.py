"""Beam search over a batch: the beginnings that run, and the sequences that are whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops

__all__ = ["Beams"]

_ROOM = 64  # tokens that there is room for at first; it doubles
_NEVER = np.float32(-1e9)  # the score of what is no candidate


class Beams:
    """For each prompt the best beginnings, and the best whole sequences so far.

    Parameters
    ----------
    prompts : integer array [batch, length]
    width : int
        Beginnings kept for each prompt.
    room : int
        Tokens to generate at most; a sequence of that many is whole.
    ended : callable
        Which of sequences [rows, length] are whole, given the scores they were chosen by too.
    spare : int
        Candidates for each beginning: one more than there are tokens that make a sequence whole.
    pad : int
        What follows the end of shorter sequences.
    length_penalty : float
        Scores of whole sequences are divided by their generated length to this power.
    early_stopping : bool or "never"
        As in :func:`einkorn.seq.generate`.
    draw : bool
        Draw the candidates without replacement; else the best ones are taken.
    """

    def __init__(
        self,
        prompts: Any,
        width: int,
        room: int,
        ended: Callable[[Any, Any], Any],
        spare: int,
        pad: int,
        length_penalty: float,
        early_stopping: bool | str,
        draw: bool = False,
    ) -> None:
        batch, self._prompt = prompts.shape
        self._width, self._room, self._ended, self._pad = width, room, ended, pad
        self._penalty, self._early = length_penalty, early_stopping
        self._candidates = spare * width  # so that enough of them run on
        self._choose = _drawn if draw else _largest
        shape = (batch, width, self._prompt + min(room, _ROOM))
        self._running = np.full(shape, pad, np.int64)
        self._running[..., : self._prompt] = prompts[:, None]
        self._scores = np.full((batch, width), _NEVER, np.float32)
        self._scores[:, 0] = 0  # all beams are the same prompt: one of them goes on
        self._whole = np.full(shape, pad, np.int64)
        self._whole[..., : self._prompt] = prompts[:, None]
        self._whole_scores = np.full((batch, width), _NEVER, np.float32)
        self._whole_lengths = np.zeros((batch, width), np.int64)
        self._hopeful = np.ones(batch, bool)
        self._length = 0
        self.done = False

    def advance(self, log_probabilities: Any, prices: Any = None) -> tuple[Any, Any]:
        """One token more.

        Parameters
        ----------
        log_probabilities : array [batch * width, vocabulary]
        prices : array [batch * width], optional
            What is added to the score of a beam that becomes whole now: at most 0.

        Returns
        -------
        rows, tokens : array of int64 [batch * width]
            The rows that the beams which run now go on from, and their new tokens.
        """
        batch, width = self._scores.shape
        at = self._prompt + self._length
        self._grow(at)
        totals = (log_probabilities.reshape(batch, width, -1) + self._scores[..., None]).reshape(batch, -1)
        vocabulary = totals.shape[1] // width
        best = self._choose(totals, min(self._candidates, totals.shape[1]))
        scores = np.take_along_axis(totals, best, 1)
        beams, tokens = best // vocabulary, best % vocabulary
        sequences = np.take_along_axis(self._running, beams[..., None], 1)
        sequences[..., at] = tokens
        self._length += 1
        flat = sequences[..., : at + 1].reshape(-1, at + 1)
        stops = self._ended(flat, log_probabilities).reshape(tokens.shape) | (self._length == self._room)

        whole = scores / self._price(self._length)
        if prices is not None:
            whole = whole + np.take_along_axis(prices.reshape(batch, width), beams, 1)
        self._finish(sequences, whole, stops)
        runs = _largest(scores + stops * _NEVER, width)
        self._running = np.take_along_axis(sequences, runs[..., None], 1)
        self._scores = np.take_along_axis(scores + stops * _NEVER, runs, 1)
        self._judge(stops)
        first = np.arange(batch)[:, None] * width
        rows = first + np.take_along_axis(beams, runs, 1)
        return rows.ravel(), np.take_along_axis(tokens, runs, 1).ravel()

    def _grow(self, at: int) -> None:
        """Room for a token at this place: what is copied each step depends on what was written alone."""
        size = self._running.shape[2]
        if at == size:
            more = min(self._length, self._room - self._length)
            wide = [(0, 0), (0, 0), (0, more)]
            self._running, self._whole = (
                np.pad(a, wide, constant_values=self._pad) for a in (self._running, self._whole)
            )

    def best(self, count: int) -> Any:
        """The best whole sequences, [batch * count, length]."""
        length = self._prompt + self._whole_lengths[:, :count].max()
        return self._whole[:, :count, :length].reshape(-1, length)

    def best_scores(self, count: int) -> Any:
        """Their scores, [batch * count]."""
        return self._whole_scores[:, :count].reshape(-1)

    @property
    def lost(self) -> bool:
        """Whether a prompt has no whole sequence: the rules left nothing."""
        return bool((self._whole_scores[:, 0] <= _NEVER).any())

    @property
    def _full(self) -> Any:
        return (self._whole_scores > _NEVER).all(1)

    def _finish(self, sequences: Any, scores: Any, stops: Any) -> None:
        """Take in those of the best candidates that are whole."""
        width = self._width
        counts = stops.copy()
        counts[:, width:] = False
        counts &= self._hopeful[:, None]
        if self._early is True:
            counts &= ~self._full[:, None]
        new = np.where(counts, scores, _NEVER)
        all_scores = np.concatenate([self._whole_scores, new], 1)
        keep = _largest(all_scores, width)
        self._whole_scores = np.take_along_axis(all_scores, keep, 1)
        self._whole = np.take_along_axis(np.concatenate([self._whole, sequences], 1), keep[..., None], 1)
        lengths = np.concatenate([self._whole_lengths, np.where(counts, self._length, 0)], 1)
        self._whole_lengths = np.take_along_axis(lengths, keep, 1)

    def _price(self, length: int) -> Any:
        with np.errstate(over="ignore"):
            power = np.float64(length) ** self._penalty
        return np.float32(np.clip(power, np.finfo(np.float32).tiny, np.finfo(np.float32).max))

    def _judge(self, stops: Any) -> None:
        """Whether any beam that runs could still become better than what is whole."""
        longest = self._early == "never" and self._penalty > 0
        length = self._room if longest else self._length
        possible = self._scores[:, 0] / self._price(length)
        worst = np.where(self._full, self._whole_scores.min(1), _NEVER)
        self._hopeful &= possible > worst
        enough = self._early is True and bool(self._full.all())
        self.done = not self._hopeful.any() or enough or bool(stops.all())


def _largest(x: Any, count: int) -> Any:
    """Places of the largest of each row, in order; of equal ones the first."""
    if count < x.shape[1] // 8:
        return ops.topk(x, count).indices
    return np.argsort(-x, axis=1, kind="stable")[:, :count]


def _drawn(x: Any, count: int) -> Any:
    """Places of each row, drawn one after the other without replacement by its softmax; in order of x.

    The largest sums with Gumbel's noise are such a draw (Kool et al. 2019, "Stochastic beams and where to
    find them"). What has no probability comes last.
    """
    live = x > _NEVER / 2
    noise = np.asarray(ops.uniform((int(live.sum()),), dtype=np.float64))
    keys = x.astype(np.float64)
    keys[live] -= np.log(-np.log(np.maximum(noise, np.finfo(np.float64).tiny)))
    keys[~live] -= 1e12
    drawn = np.argpartition(-keys, count - 1, axis=1)[:, :count]
    drawn.sort(1)  # of equal ones the first goes first
    return np.take_along_axis(drawn, _largest(np.take_along_axis(x, drawn, 1), count), 1)
