"""Continuing sequences: the most likely token, a drawn one, or the best of several beams."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError
from einkorn.random import drawing_from
from einkorn.seq import sampling
from einkorn.seq._checks import (
    callables,
    number,
    plain,
    positive,
    prompt_of,
    tokens_of,
    told,
    told_to_stop,
    whole,
)
from einkorn.seq._steps import Steps
from einkorn.seq.beams import Beams
from einkorn.seq.cache import Cache
from einkorn.seq.rules import NothingLeftError, Rules

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
    logits : tuple of array [batch * copies, vocabulary], or None
        The model's own scores of each step.
    sequences_scores : array [batch * num_return_sequences], or None
        Of the beams: sums of logarithms of probabilities, and what penalties make of them.
    """

    sequences: Any
    scores: tuple[Any, ...] | None = None
    sequences_scores: Any = None
    logits: tuple[Any, ...] | None = None

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
    min_p: float | None = None,
    typical_p: float = 1.0,
    top_h: float | None = None,
    epsilon_cutoff: float = 0.0,
    eta_cutoff: float = 0.0,
    renormalize_logits: bool = False,
    penalty_alpha: float | None = None,
    repetition_penalty: float = 1.0,
    encoder_repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    encoder_no_repeat_ngram_size: int = 0,
    bad_words_ids: list[list[int]] | None = None,
    sequence_bias: Mapping[tuple[int, ...], float] | Sequence[Any] | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    coverage_penalty: float = 0.0,
    early_stopping: bool | str = False,
    num_return_sequences: int = 1,
    min_new_tokens: int | None = None,
    min_length: int = 0,
    exponential_decay_length_penalty: tuple[int, float] | None = None,
    suppress_tokens: Any = None,
    begin_suppress_tokens: Any = None,
    forced_bos_token_id: int | None = None,
    forced_eos_token_id: int | list[int] | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Any], Any] | None = None,
    remove_invalid_values: bool = False,
    logits_processor: Callable[[Any, Any], Any] | Sequence[Callable[[Any, Any], Any]] | None = None,
    eos_token_id: int | list[int] | None = None,
    stop_strings: str | list[str] | None = None,
    tokenizer: Any = None,
    stopping_criteria: Callable[[Any, Any], Any] | Sequence[Callable[[Any, Any], Any]] | None = None,
    max_time: float | None = None,
    pad_token_id: int | None = None,
    attention_mask: Any = None,
    use_cache: bool = True,
    slide: bool = False,
    streamer: Any = None,
    generator: Any = None,
    return_dict_in_generate: bool = False,
    output_scores: bool = False,
    output_logits: bool = False,
) -> Any:
    """Continue each prompt token by token.

    Parameters
    ----------
    model : Module
        A decoder of ``einkorn.models``. It is in evaluation meanwhile.
    input_ids : integer array [batch, length], or [length] for a single prompt
        Prompts of unequal length are filled up on the left.
    max_new_tokens : int, default 20, or what max_length leaves
        By default no more than the model's context has room for.
    max_length : int, keyword-only, optional
        Tokens of the prompts and what follows together, in the place of max_new_tokens. Of a model's
        ``generate`` and its ``generation_config`` max_new_tokens is taken where either has it.
    do_sample : bool, keyword-only, default False
        Draw tokens; else the most likely one is taken. With beams, what they go on with is drawn without
        replacement, from all of them together.
    temperature : float, keyword-only, default 1.0
        Scores are divided by it before a token is drawn.
    top_k : int or None, keyword-only, default 50
        Draw among so many tokens; None or 0: among all.
    top_p : float, keyword-only, default 1.0
        Draw among the most likely tokens that have this probability together.
    min_p : float, keyword-only, optional
        Draw among tokens that are at least so many times as likely as the likeliest.
    typical_p : float, keyword-only, default 1.0
        Draw among the tokens whose surprise is nearest the expected one and that have this probability
        together.
    top_h : float, keyword-only, optional
        Draw among the likeliest tokens that make up at most this share of the entropy.
    epsilon_cutoff, eta_cutoff : float, keyword-only, default 0.0
        Draw among tokens of at least this probability, or of one that is less where many tokens are likely
        (:func:`keep_eta`).
    renormalize_logits : bool, keyword-only, default False
        Whether scores are logarithms of probabilities again after all rules.
    penalty_alpha : float, keyword-only, optional
        Above 0: contrastive search (Su et al. 2022). Of the ``top_k`` likeliest tokens that is taken whose
        probability, times 1 - penalty_alpha, exceeds most its likeness to what was said, times penalty_alpha.
    repetition_penalty : float, keyword-only, default 1.0
        Above 1: tokens that were there become less likely (:func:`penalise_repetition`).
    encoder_repetition_penalty : float, keyword-only, default 1.0
        Above 1: tokens that were read become more likely.
    no_repeat_ngram_size : int, keyword-only, default 0
        No n-gram of that size occurs twice; 0: any may.
    encoder_no_repeat_ngram_size : int, keyword-only, default 0
        No n-gram of that size occurs that was read, by an encoder or as a decoder's prompt; 0: any may.
    bad_words_ids : list of lists of int, keyword-only, optional
        Sequences of tokens that never come; those that end a sequence alone are left out.
    sequence_bias : mapping or list of pairs, keyword-only, optional
        Numbers by sequences of tokens, ``{(5, 7): -2.0}``: what is added to the score of the last token where
        the others stand before it.
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
    min_new_tokens : int, keyword-only, optional
        Before so many, no sequence ends.
    min_length : int, keyword-only, default 0
        The same with the prompt's tokens counted, those that it was filled up with too; not looked at where
        min_new_tokens is given.
    exponential_decay_length_penalty : (int, float), keyword-only, optional
        After so many new tokens, what ends a sequence gains: the magnitude of its score times the number to
        the power of the tokens beyond, less one.
    suppress_tokens : list of int, keyword-only, optional
        Tokens that are never taken.
    begin_suppress_tokens : list of int, keyword-only, optional
        Tokens that are not taken at first, or first behind ``forced_bos_token_id``.
    forced_bos_token_id : int, keyword-only, optional
        The token behind a prompt of one token, such as a language's for M2M100; behind longer prompts it is
        not looked at.
    forced_eos_token_id : int or list of int, keyword-only, optional
        The token of the last place that there is.
    prefix_allowed_tokens_fn : callable, keyword-only, optional
        Called with the number of a prompt and the tokens [length] so far; gives those that may follow.
    remove_invalid_values : bool, keyword-only, default False
        Scores of NaN become 0, infinite ones the largest.
    logits_processor : callable or list of callables, keyword-only, optional
        Called one after the other with the tokens [batch, length] and the scores [batch, vocabulary] of each
        step, after the other rules; each gives the scores to go on with.
    eos_token_id : int or list of int, keyword-only, optional
        Tokens that end a sequence.
    stop_strings : str or list of str, keyword-only, optional
        Texts that end a sequence as soon as what was generated holds one.
    tokenizer : object with ``decode``, keyword-only, optional
        What makes texts of tokens, for ``stop_strings``.
    stopping_criteria : callable or list of callables, keyword-only, optional
        Called after each step with the tokens [batch, length] and the scores that the last ones were chosen
        by; True, or an array [batch] of them, ends all sequences, or those. With beams the tokens are those
        of all candidates, more rows than were scored.
    max_time : float, keyword-only, optional
        Seconds: the first token that comes later is the last.
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
    output_logits : bool, keyword-only, default False
        Keep what the model gave for every step in it.

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
    given = dict(locals())  # by their names, for the rules
    length_penalty = 1.0 if length_penalty is None else length_penalty
    tokens, mask = prompt_of(model, input_ids, attention_mask)
    alone = np.ndim(plain(input_ids)) == 1
    ends = tokens_of("eos_token_id", eos_token_id, model.vocab_size)
    pad = (ends[0] if len(ends) else 0) if pad_token_id is None else pad_token_id
    if isinstance(pad, bool) or not isinstance(pad, (int, np.integer)):
        raise ArgumentError(f"generate: pad_token_id is {pad_token_id!r}, expected an int or None")
    pad = int(pad)
    if max_length is not None:
        if max_new_tokens is not None:
            raise ArgumentError("generate: max_length and max_new_tokens are given, expected one of them")
        whole("max_length", max_length, tokens.shape[1] + 1)
        max_new_tokens = max_length - tokens.shape[1]
    if max_new_tokens is None:
        left = 20 if slide or model.context_length is None else model.context_length - tokens.shape[1]
        max_new_tokens = max(1, min(20, left))
    whole("max_new_tokens", max_new_tokens, 1)
    whole("num_beams", num_beams, 1)
    drawn = do_sample and num_beams == 1
    whole("num_return_sequences", num_return_sequences, 1, None if drawn else num_beams)
    number("length_penalty", length_penalty)
    number("coverage_penalty", coverage_penalty)
    if not coverage_penalty >= 0 or (coverage_penalty and (num_beams == 1 or not use_cache)):
        raise ArgumentError(
            f"generate: coverage_penalty is {coverage_penalty!r}, expected at least 0, and 0 without beams or"
            " without a cache"
        )
    if penalty_alpha is not None and not (isinstance(penalty_alpha, Real) and 0 <= penalty_alpha <= 1):
        raise ArgumentError(f"generate: penalty_alpha is {penalty_alpha!r}, expected 0 to 1 or None")
    contrast = bool(penalty_alpha) and (top_k or 0) > 1
    if contrast and (do_sample or num_beams > 1 or slide or not use_cache):
        raise ArgumentError(
            "generate: penalty_alpha is given: contrastive search neither draws nor has beams, and needs the"
            " cache without slide"
        )
    if contrast and stopping_criteria is not None:
        raise ArgumentError("generate: stopping_criteria are given, expected no penalty_alpha")
    tell = told(streamer, num_beams)
    if early_stopping not in (True, False, "never"):
        raise ArgumentError(f"generate: early_stopping is {early_stopping!r}, expected a bool or 'never'")
    copies = num_return_sequences if drawn else num_beams
    read = getattr(model, "words", tokens)
    rules = Rules(tokens, mask, read, max_new_tokens, ends, copies, model.vocab_size, given)
    room = model.context_length
    if room is not None and not slide and tokens.shape[1] + max_new_tokens > room:
        raise ArgumentError(
            f"generate: a prompt of {tokens.shape[1]} and max_new_tokens of {max_new_tokens} exceed the"
            f" model's context of {room}; slide=True goes on with the latest tokens alone"
        )
    kept: list[Any] | None = [] if return_dict_in_generate and output_scores else None
    logits: list[Any] | None = [] if return_dict_in_generate and output_logits else None

    def adjust(scores: Any, own: Any) -> Any:
        scores = rules(scores, own)
        if kept is not None:
            kept.append(scores.copy())
        return scores

    ended = _ending(tokens.shape[1], ends, stop_strings, tokenizer, stopping_criteria, max_time)
    step = Steps(model, tokens, mask, copies, max_new_tokens, use_cache, slide, logits)
    training, totals = model.training, None
    model.eval()
    try:
        if tell is not None and tell is not streamer:
            tell(tokens.copy())
        with no_grad(), drawing_from("generate", generator):
            if contrast:
                from einkorn.seq.contrastive import search

                out = search(
                    model,
                    tokens,
                    mask,
                    max_new_tokens,
                    adjust,
                    ended,
                    pad,
                    tell,
                    alpha=float(penalty_alpha or 0),
                    k=int(top_k or 1),
                )
            elif num_beams > 1:
                beams = Beams(
                    tokens,
                    num_beams,
                    max_new_tokens,
                    ended,
                    max(2, 1 + len(ends)),
                    pad,
                    length_penalty,
                    early_stopping,
                    do_sample,
                )
                out, totals = _search(step, beams, adjust, num_return_sequences, coverage_penalty)
            else:
                choose = _drawn if do_sample else _most_likely
                out = _walk(step, adjust, choose, max_new_tokens, ended, pad, tell)
    except NothingLeftError:
        raise rules.blamed() from None
    finally:
        model.train(training)
        if hasattr(streamer, "end"):
            streamer.end()
    out = out[0] if alone and len(out) == 1 else out
    if not return_dict_in_generate:
        return out
    return Generated(
        out, None if kept is None else tuple(kept), totals, None if logits is None else tuple(logits)
    )


def _ending(
    begin: int, ends: Any, stop_strings: Any, tokenizer: Any, stopping_criteria: Any, max_time: Any
) -> Callable[..., Any]:
    """Which rows of tokens end with their last one."""
    stops = list(stop_strings or ()) if isinstance(stop_strings, (list, tuple, set)) else [stop_strings]
    stops = [stop for stop in stops if stop is not None]
    texts = all(isinstance(stop, str) and stop for stop in stops)
    if stops and (not hasattr(tokenizer, "decode") or not texts):
        raise ArgumentError(
            f"generate: stop_strings are {stops!r}, expected texts that are not empty, a tokenizer to decode"
        )
    criteria = callables("stopping_criteria", stopping_criteria)
    if max_time is not None:
        positive("max_time", max_time)
    started = time.monotonic()

    def ended(now: Any, scores: Any = None) -> Any:
        whole = (now[:, -1:] == ends).any(1)
        for criterion in criteria:
            whole |= told_to_stop(criterion(now.copy(), scores), whole)
        for row, own in enumerate(now[:, begin:] if stops else ()):
            written = tokenizer.decode(own.tolist())
            whole[row] |= any(stop in written for stop in stops)
        if max_time is not None and time.monotonic() - started > max_time:
            whole[:] = True
        return whole

    return ended


def _walk(
    step: Steps,
    adjust: Callable[[Any, Any], Any],
    choose: Callable[[Any], Any],
    count: int,
    ended: Callable[[Any, Any], Any],
    pad: int,
    streamer: Callable[[Any], object] | None,
) -> Any:
    done = np.zeros(len(step.tokens), bool)
    try:
        for _ in range(count):
            scores = adjust(step.scores(), step.tokens)
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
    step: Steps, beams: Beams, adjust: Callable[[Any, Any], Any], wanted: int, coverage_penalty: float
) -> Any:
    try:
        while not beams.done:
            scores = np.asarray(ops.log_softmax(step.scores(), -1))
            prices = coverage_penalty * step.uncovered() if coverage_penalty else None
            rows, new = beams.advance(adjust(scores, step.tokens), prices)
            step.choose(rows)
            step.add(new)
    except KeyboardInterrupt:
        raise GenerationInterrupted(step.tokens) from None
    if beams.lost:
        raise NothingLeftError
    return beams.best(wanted), beams.best_scores(wanted)


def _most_likely(scores: Any) -> Any:
    best = scores.argmax(1)
    if np.isneginf(scores[np.arange(len(best)), best]).any():
        raise NothingLeftError
    return best


def _drawn(scores: Any) -> Any:
    if np.isneginf(scores.max(1)).any():
        raise NothingLeftError
    return sampling.sample(scores)
