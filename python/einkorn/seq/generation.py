"""Continuing sequences: the most likely token, a drawn one, or the best of several beams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np

from einkorn import no_grad, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, NonFiniteError, ShapeError
from einkorn.models._inputs import rows_of
from einkorn.random import drawing_from
from einkorn.seq import sampling
from einkorn.seq.beams import Beams
from einkorn.seq.cache import Cache

__all__ = ["Generated", "GenerationInterrupted", "generate"]


class GenerationInterrupted(KeyboardInterrupt):
    """Ctrl-C while tokens were generated.

    Attributes
    ----------
    tokens : array of int64 [batch, length]
        The prompts and what had been generated.
    segments : list of dict
        Of :func:`einkorn.seq.transcribe`: those that were done.
    """

    segments: list[dict[str, Any]]

    def __init__(self, tokens: Any) -> None:
        super().__init__("interrupted; what was generated is in the exception's `tokens`")
        self.tokens, self.segments = tokens, []


@dataclass
class Generated:
    """What :func:`generate` gives with ``return_dict_in_generate``; also by name, as ``out["sequences"]``.

    Attributes
    ----------
    sequences : array of int64 [batch * num_return_sequences, length + new tokens]
    scores : tuple of array [batch * copies, vocabulary], or None
        What each token was chosen by, as the rules left it; with beams logarithms of probabilities. Copies
        are the beams, or the sequences that are drawn.
    sequences_scores : array [batch * num_return_sequences], or None
        Of the beams: sums of logarithms of probabilities, and what penalties make of them.
    """

    sequences: Any
    scores: tuple[Any, ...] | None = None
    sequences_scores: Any = None

    def __getitem__(self, name: str) -> Any:
        if name not in vars(self):
            raise KeyError(name)
        return getattr(self, name)


class Decoder(Protocol):
    """What :func:`generate` needs of a model: scores of the next token."""

    context_length: int | None
    vocab_size: int

    @property
    def training(self) -> bool: ...
    def eval(self) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...
    def __call__(
        self, tokens: Any, *, cache: Cache | None = None, attention_mask: Any = None, last: bool = False
    ) -> Any: ...


def generate(
    model: Decoder,
    input_ids: Any,
    max_new_tokens: int | None = None,
    *,
    max_length: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = 50,
    top_p: float = 1.0,
    penalty_alpha: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    coverage_penalty: float = 0.0,
    early_stopping: bool | str = False,
    num_return_sequences: int = 1,
    min_new_tokens: int = 0,
    min_length: int = 0,
    suppress_tokens: Any = None,
    forced_bos_token_id: int | None = None,
    logits_processor: Callable[[Any, Any], Any] | Sequence[Callable[[Any, Any], Any]] | None = None,
    eos_token_id: int | list[int] | None = None,
    stop_strings: str | list[str] | None = None,
    tokenizer: Any = None,
    stopping_criteria: Callable[[Any, Any], Any] | Sequence[Callable[[Any, Any], Any]] | None = None,
    pad_token_id: int | None = None,
    attention_mask: Any = None,
    use_cache: bool = True,
    slide: bool = False,
    streamer: Any = None,
    generator: Any = None,
    return_dict_in_generate: bool = False,
    output_scores: bool = False,
) -> Any:
    """Continue each prompt token by token.

    Parameters
    ----------
    model : Module
        A decoder of ``einkorn.models``. It is in evaluation meanwhile.
    input_ids : integer array [batch, length], or [length] for a single prompt
        Prompts of unequal length are filled up on the left.
    max_new_tokens : int, default 20, or what max_length leaves
    max_length : int, keyword-only, optional
        Tokens of the prompts and what follows together, in the place of max_new_tokens.
    do_sample : bool, keyword-only, default False
        Draw tokens; else the most likely one is taken.
    temperature : float, keyword-only, default 1.0
        Scores are divided by it before a token is drawn.
    top_k : int or None, keyword-only, default 50
        Draw among so many tokens; None or 0: among all.
    top_p : float, keyword-only, default 1.0
        Draw among the most likely tokens that have this probability together.
    penalty_alpha : float, keyword-only, optional
        Above 0: contrastive search (Su et al. 2022). Of the ``top_k`` likeliest tokens that is taken whose
        probability, times 1 - penalty_alpha, exceeds most its likeness to what was said, times penalty_alpha.
    repetition_penalty : float, keyword-only, default 1.0
        Above 1: tokens that were there become less likely (:func:`penalise_repetition`).
    no_repeat_ngram_size : int, keyword-only, default 0
        No n-gram of that size occurs twice; 0: any may.
    num_beams : int, keyword-only, default 1
        Above 1: keep that many beginnings of each prompt, and return the best whole ones.
    length_penalty : float, keyword-only, default 1.0
        A beam's logarithm of probability is divided by its generated length to this power.
    coverage_penalty : float, keyword-only, default 0.0
        What a whole beam of a recurrent translator pays for words that it read and hardly looked at: so many
        times the sum of log(min(1, the sum of a word's weights)) is added (Wu et al. 2016, equation 14).
    early_stopping : bool or "never", keyword-only, default False
        True: stop as soon as there are num_beams whole sequences; False: when a running one can hardly become
        better than these at its present length; "never": when it cannot at any length.
    num_return_sequences : int, keyword-only, default 1
        Continuations of each prompt: drawn ones, or the best beams.
    min_new_tokens : int, keyword-only, default 0
        Before so many, no sequence ends.
    min_length : int, keyword-only, default 0
        The same with the prompt's tokens counted, those that it was filled up with too.
    suppress_tokens : list of int, keyword-only, optional
        Tokens that are never taken.
    forced_bos_token_id : int, keyword-only, optional
        The first token that is generated, such as a language's for M2M100.
    logits_processor : callable or list of callables, keyword-only, optional
        Called one after the other with the tokens [batch, length] and the scores [batch, vocabulary] of each
        step, after the other rules; each gives the scores to go on with.
    eos_token_id : int or list of int, keyword-only, optional
        Tokens that end a sequence.
    stop_strings : str or list of str, keyword-only, optional
        Texts that end a sequence as soon as what was generated holds one; not with beams.
    tokenizer : object with ``decode``, keyword-only, optional
        What makes texts of tokens, for ``stop_strings``.
    stopping_criteria : callable or list of callables, keyword-only, optional
        Called after each step with the tokens [batch, length] and the scores that the last ones were chosen
        by; True, or an array [batch] of them, ends all sequences, or those; not with beams.
    pad_token_id : int, keyword-only, optional
        What follows the end of shorter sequences; default the first token that ends one.
    attention_mask : array [batch, length], keyword-only, optional
        0 where a prompt is filled up.
    use_cache : bool, keyword-only, default True
        Keep keys and values; without, all tokens are computed anew each time.
    slide : bool, keyword-only, default False
        Where the model's context is full, go on with the latest tokens alone, all of them computed anew for
        each that comes; else prompts that leave no room for max_new_tokens are refused.
    streamer : callable, or object with ``put`` and ``end``, keyword-only, optional
        Called with the tokens [batch] of every step as they come; not with beams. An object such as
        ``TextStreamer`` of transformers gets the prompts first, then each step's, and ``end`` at the end.
    generator : Generator, keyword-only, optional
        What draws; default the one that ``einkorn.manual_seed`` seeds.
    return_dict_in_generate : bool, keyword-only, default False
        Return a :class:`Generated`.
    output_scores : bool, keyword-only, default False
        Keep every step's scores in it.

    Returns
    -------
    array of int64 [batch * num_return_sequences, length + new tokens], or Generated
        The prompts and their continuations; of one dimension if the prompt was and a single one is wanted.

    Raises
    ------
    ArgumentError
        A prompt is empty or too long, a token is not in the vocabulary, an option is out of its range, or the
        rules together leave no token.
    NonFiniteError
        The model's scores, or a processor's, hold NaN.
    GenerationInterrupted
        Ctrl-C: it holds what was generated.
    """
    temperature, top_p, repetition_penalty, length_penalty = (
        1.0 if option is None else option
        for option in (temperature, top_p, repetition_penalty, length_penalty)
    )
    tokens, mask = _prompt(model, input_ids, attention_mask)
    alone = np.ndim(_plain(input_ids)) == 1
    ends = _tokens("eos_token_id", eos_token_id, model.vocab_size)
    pad = (ends[0] if len(ends) else 0) if pad_token_id is None else pad_token_id
    if isinstance(pad, bool) or not isinstance(pad, (int, np.integer)):
        raise ArgumentError(f"generate: pad_token_id is {pad_token_id!r}, expected an int or None")
    pad = int(pad)
    if max_length is not None:
        if max_new_tokens is not None:
            raise ArgumentError("generate: max_length and max_new_tokens are given, expected one of them")
        _whole("max_length", max_length, tokens.shape[1] + 1)
        max_new_tokens = max_length - tokens.shape[1]
    max_new_tokens = 20 if max_new_tokens is None else max_new_tokens
    _whole("max_new_tokens", max_new_tokens, 1)
    stops = list(stop_strings or ()) if isinstance(stop_strings, (list, tuple, set)) else [stop_strings]
    stops = [stop for stop in stops if stop is not None]
    texts = all(isinstance(stop, str) and stop for stop in stops)
    if stops and (not hasattr(tokenizer, "decode") or num_beams != 1 or not texts):
        raise ArgumentError(
            f"generate: stop_strings are {stops!r}, expected texts that are not empty, a tokenizer and no"
            " beams"
        )
    _whole("num_beams", num_beams, 1)
    _whole("num_return_sequences", num_return_sequences, 1, None if do_sample else num_beams)
    _whole("no_repeat_ngram_size", no_repeat_ngram_size, 0)
    _whole("min_new_tokens", min_new_tokens, 0)
    _whole("min_length", min_length, 0)
    least_new = max(min_new_tokens, min_length - tokens.shape[1])
    never = _tokens("suppress_tokens", suppress_tokens, model.vocab_size)
    first = _tokens("forced_bos_token_id", forced_bos_token_id, model.vocab_size)
    if len(first) > 1:
        raise ArgumentError(f"generate: forced_bos_token_id is {forced_bos_token_id!r}, expected one token")
    _whole("top_k", 0 if top_k is None else top_k, 0)
    _positive("temperature", temperature)
    _positive("repetition_penalty", repetition_penalty)
    _number("length_penalty", length_penalty)
    _number("coverage_penalty", coverage_penalty)
    if not coverage_penalty >= 0 or (coverage_penalty and (num_beams == 1 or not use_cache)):
        raise ArgumentError(
            f"generate: coverage_penalty is {coverage_penalty!r}, expected at least 0, and 0 without beams or"
            " without a cache"
        )
    if do_sample and num_beams > 1:
        raise ArgumentError("generate: beams are not drawn: do_sample=True goes with num_beams=1")
    if penalty_alpha is not None and not (isinstance(penalty_alpha, Real) and 0 <= penalty_alpha <= 1):
        raise ArgumentError(f"generate: penalty_alpha is {penalty_alpha!r}, expected 0 to 1 or None")
    contrast = bool(penalty_alpha) and (top_k or 0) > 1
    if contrast and (do_sample or num_beams > 1 or slide or not use_cache):
        raise ArgumentError(
            "generate: penalty_alpha is given: contrastive search neither draws nor has beams, and needs the"
            " cache without slide"
        )
    _number("top_p", top_p)
    if not 0 < top_p <= 1:
        raise ArgumentError(f"generate: top_p is {top_p!r}, expected a probability above 0")
    processors = _callables("logits_processor", logits_processor)
    criteria = _callables("stopping_criteria", stopping_criteria)
    if criteria and (num_beams > 1 or contrast):
        raise ArgumentError("generate: stopping_criteria are given, expected neither beams nor penalty_alpha")
    kept: list[Any] | None = [] if return_dict_in_generate and output_scores else None
    tell = _told(streamer, num_beams)
    if early_stopping not in (True, False, "never"):
        raise ArgumentError(f"generate: early_stopping is {early_stopping!r}, expected a bool or 'never'")
    room = model.context_length
    if room is not None and not slide and tokens.shape[1] + max_new_tokens > room:
        raise ArgumentError(
            f"generate: a prompt of {tokens.shape[1]} and max_new_tokens of {max_new_tokens} exceed the"
            f" model's context of {room}; slide=True goes on with the latest tokens alone"
        )

    def adjust(scores: Any, step: _Steps) -> Any:
        if repetition_penalty != 1:
            sampling.penalise_repetition(scores, step.own_tokens(), repetition_penalty)
        if no_repeat_ngram_size:
            sampling.forbid_repeated_ngrams(scores, step.tokens, no_repeat_ngram_size)
        new = step.tokens.shape[1] - tokens.shape[1]
        if new < least_new:
            scores[:, ends] = -np.inf
        if len(first) and new == 0:
            scores[:] = -np.inf
            scores[:, first] = 0
        scores[:, never] = -np.inf
        for processor in processors:
            scores = _changed(processor(step.tokens, scores), scores)
        if np.isnan(scores.max(1)).any():
            raise NonFiniteError("generate: scores of the next token hold NaN: look at the model's weights")
        if do_sample:
            # The greatest goes first, so that no temperature makes two infinities of two scores.
            scores -= scores.max(1, keepdims=True, initial=_LEAST)
            with np.errstate(over="ignore"):
                scores /= np.float32(max(temperature, 1e-30))
            if top_k:
                sampling.keep_top_k(scores, top_k)
            if top_p < 1:
                sampling.keep_top_p(scores, top_p)
        if kept is not None:
            kept.append(scores.copy())
        return scores

    def ended(now: Any, scores: Any = None) -> Any:
        """Which rows end with their last token."""
        whole = np.isin(now[:, -1], ends)
        for criterion in criteria:
            whole |= _told_to_stop(criterion(now, scores), whole)
        for row, own in enumerate(now[:, tokens.shape[1] :] if stops else ()):
            written = tokenizer.decode(own.tolist())
            whole[row] |= any(stop in written for stop in stops)
        return whole

    copies = num_return_sequences if do_sample and num_beams == 1 else num_beams
    step = _Steps(model, tokens, mask, copies, max_new_tokens, use_cache, slide)
    training, totals = model.training, None
    model.eval()
    try:
        if tell is not None and tell is not streamer:
            tell(tokens)
        with no_grad(), drawing_from("generate", generator):
            if contrast:
                from einkorn.seq.contrastive import search

                out = search(
                    model,
                    tokens,
                    mask,
                    max_new_tokens,
                    lambda scores, own: adjust(scores, _Steps(model, own, mask, 1, 1, False, False)),
                    ended,
                    pad,
                    tell,
                    alpha=float(penalty_alpha or 0),
                    k=int(top_k or 1),
                )
            elif num_beams > 1:
                beams = Beams(tokens, num_beams, max_new_tokens, ends, pad, length_penalty, early_stopping)
                out, totals = _search(step, beams, adjust, num_return_sequences, coverage_penalty)
            else:
                choose = _drawn if do_sample else _most_likely
                out = _walk(step, adjust, choose, max_new_tokens, ended, pad, tell)
    finally:
        model.train(training)
        if hasattr(streamer, "end"):
            streamer.end()
    out = out[0] if alone and len(out) == 1 else out
    return Generated(out, None if kept is None else tuple(kept), totals) if return_dict_in_generate else out


def _walk(
    step: _Steps,
    adjust: Callable[[Any, _Steps], Any],
    choose: Callable[[Any], Any],
    count: int,
    ended: Callable[[Any, Any], Any],
    pad: int,
    streamer: Callable[[Any], object] | None,
) -> Any:
    done = np.zeros(len(step.tokens), bool)
    try:
        for _ in range(count):
            scores = adjust(step.scores(), step)
            scores[done] = 0  # whatever the rules say of a sequence that is over
            new = np.where(done, pad, choose(scores))
            step.add(new)
            if streamer is not None:
                streamer(new)
            done |= ended(step.tokens, scores)
            if done.all():
                break
    except KeyboardInterrupt:
        raise GenerationInterrupted(step.tokens) from None
    return step.tokens


def _search(
    step: _Steps, beams: Beams, adjust: Callable[[Any, _Steps], Any], wanted: int, coverage_penalty: float
) -> Any:
    try:
        while not beams.done:
            scores = np.asarray(ops.log_softmax(step.scores(), -1))
            prices = coverage_penalty * step.uncovered() if coverage_penalty else None
            rows, new = beams.advance(adjust(scores, step), prices)
            step.choose(rows)
            step.add(new)
    except KeyboardInterrupt:
        raise GenerationInterrupted(step.tokens) from None
    if beams.lost:
        raise ArgumentError(_NOTHING_LEFT)
    return beams.best(wanted), beams.best_scores(wanted)


class _Steps:
    """Sequences that grow, and the model's scores of what comes next."""

    def __init__(
        self, model: Decoder, tokens: Any, mask: Any, copies: int, room: int, use_cache: bool, slide: bool
    ) -> None:
        self._model = model
        self.tokens = np.repeat(tokens, copies, 0)
        self._mask = np.repeat(mask, copies, 0)
        self._copies = copies  # of each prompt, which is read once
        self._ragged = not mask.all()
        context = model.context_length
        self._longest = context if slide and context is not None else None
        fits = self._longest is None or tokens.shape[1] + room <= self._longest
        self._cache = Cache(tokens.shape[1] + room) if use_cache and fits else None

    def scores(self) -> Any:
        """Of the next token, [batch, vocabulary], to be changed."""
        seen = 0 if self._cache is None else self._cache.length
        tokens, mask = self.tokens, self._mask
        if self._longest is not None:
            tokens, mask = tokens[:, -self._longest :], mask[:, -self._longest :]
        every, self._copies = self._copies, 1
        out = self._model(
            tokens[::every, seen:],
            cache=self._cache,
            attention_mask=mask[::every] if self._ragged else None,
            last=True,
        )
        if every > 1 and self._cache is not None:
            self._cache.reorder(np.arange(len(tokens)) // every)
        scores = np.array(_plain(out), np.float32)
        return scores if every == 1 else np.repeat(scores, every, 0)

    def uncovered(self) -> Any:
        """Sums [batch] of the logarithms of how much each word was looked at, at most once."""
        coverage = None if self._cache is None else self._cache.coverage
        if coverage is None:
            raise ArgumentError(
                "generate: coverage_penalty is given, and this model does not tell where it looks: expected a"
                " recurrent translator, and slide=False"
            )
        least = np.finfo(np.float32).tiny
        logs = np.log(np.clip(coverage, least, 1.0))
        kept = getattr(self._model, "read", None)
        if kept is not None:
            logs = np.where(np.repeat(kept, len(logs) // len(kept), 0), logs, 0)
        return logs.sum(1, dtype=np.float32)

    def own_tokens(self) -> Any:
        """The tokens without what prompts were filled up with: its places hold the last token again."""
        return np.where(self._mask, self.tokens, self.tokens[:, -1:])

    def add(self, new: Any) -> None:
        self.tokens = np.concatenate([self.tokens, new[:, None]], 1)
        self._mask = np.concatenate([self._mask, np.ones((len(new), 1), bool)], 1)

    def choose(self, rows: Any) -> None:
        """Go on from rows of the batch."""
        before, self.tokens, self._mask = self.tokens, self.tokens[rows], self._mask[rows]
        if self._cache is not None:
            # Beams that begin alike came from one beam: that part of the cache is the same in both.
            differ = (before != self.tokens).any(0)
            self._cache.reorder(rows, int(differ.argmax()) if differ.any() else before.shape[1])


_LEAST = np.finfo(np.float32).min
_NOTHING_LEFT = (
    "generate: suppress_tokens, no_repeat_ngram_size, min_new_tokens and logits_processor leave no token to"
    " go on with"
)


def _most_likely(scores: Any) -> Any:
    best = scores.argmax(1)
    if np.isneginf(scores[np.arange(len(best)), best]).any():
        raise ArgumentError(_NOTHING_LEFT)
    return best


def _drawn(scores: Any) -> Any:
    if np.isneginf(scores.max(1)).any():
        raise ArgumentError(_NOTHING_LEFT)
    return sampling.sample(scores)


def _callables(name: str, given: Any) -> list[Callable[[Any, Any], Any]]:
    several = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    if not all(map(callable, several)):
        raise ArgumentError(f"generate: {name} is {given!r}, expected a callable, or a list of them")
    return several


def _told_to_stop(given: Any, rows: Any) -> Any:
    """What a criterion gave, if it is one truth or one a row."""
    stop = _plain(given)
    if stop.dtype != bool or stop.shape not in ((), rows.shape):
        raise ShapeError(
            f"generate: stopping_criteria gave shape {stop.shape} and dtype {stop.dtype}, expected a bool or"
            f" {rows.shape} of them"
        )
    return stop


def _changed(new: Any, scores: Any) -> Any:
    """What a processor gave, if it is scores."""
    out = _plain(new)
    if out.shape != scores.shape or out.dtype.kind not in "fiu":
        raise ShapeError(
            f"generate: logits_processor gave shape {out.shape} and dtype {out.dtype}, expected scores"
            f" {scores.shape}"
        )
    return np.array(out, np.float32)


def _told(streamer: Any, num_beams: int) -> Callable[[Any], object] | None:
    """What is called with each step's tokens; an object with ``put`` gets the prompts first."""
    if streamer is None:
        return None
    tell = getattr(streamer, "put", streamer)
    if not callable(tell) or num_beams > 1:
        raise ArgumentError(
            f"generate: streamer is {streamer!r}, expected a callable or an object with put and end, and no"
            " beams"
        )
    return tell


def _plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def _prompt(model: Decoder, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
    tokens = np.atleast_2d(rows_of("generate", "input_ids", input_ids))
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.size == 0:
        raise ArgumentError(
            f"generate: input_ids have shape {np.shape(_plain(input_ids))} and dtype {tokens.dtype},"
            " expected integers [batch, length], none of them 0"
        )
    tokens = tokens.astype(np.int64)
    if tokens.min() < 0 or tokens.max() >= model.vocab_size:
        wrong = tokens.min() if tokens.min() < 0 else tokens.max()
        raise ArgumentError(f"generate: input_ids have {wrong}, expected 0 to {model.vocab_size - 1}")
    if attention_mask is None:
        return tokens, np.ones(tokens.shape, bool)
    mask = np.atleast_2d(_plain(attention_mask)).astype(bool)
    if mask.shape != tokens.shape:
        raise ShapeError(f"generate: attention_mask has shape {mask.shape}, expected {tokens.shape}")
    if not mask[:, -1].all():
        raise ArgumentError(
            "generate: attention_mask is 0 at the end of a prompt: fill prompts up on the left"
        )
    return tokens, mask


def _tokens(name: str, given: Any, vocabulary: int) -> Any:
    several = list(given) if isinstance(given, (set, frozenset)) else given
    tokens = np.atleast_1d(np.asarray([] if several is None else several))
    if tokens.ndim > 1 or (tokens.size and tokens.dtype.kind not in "iu"):
        raise ArgumentError(f"generate: {name} is {given!r}, expected an int or a list of them")
    tokens = tokens.astype(np.int64)
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < vocabulary):
        raise ArgumentError(f"generate: {name} is {given!r}, expected 0 to {vocabulary - 1}")
    return tokens


def _whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        most = "" if high is None else f" to {high}"
        raise ArgumentError(f"generate: {name} is {value!r}, expected an int from {low}{most}")


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(float(value)) < np.inf:
        raise ArgumentError(f"generate: {name} is {value!r}, expected a finite number")


def _positive(name: str, value: Any) -> None:
    _number(name, value)
    if not value > 0:
        raise ArgumentError(f"generate: {name} is {value!r}, expected a positive number")
