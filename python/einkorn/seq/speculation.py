"""Speculative decoding: a small model guesses some tokens ahead, the large one checks them all at once."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError, NonFiniteError
from einkorn.models.causal import CausalLM
from einkorn.random import drawing_from
from einkorn.seq._checks import plain, positive, prompt_of, tokens_of, whole
from einkorn.seq.cache import Cache
from einkorn.seq.generation import Decoder, GenerationInterrupted

__all__ = ["speculate"]


def speculate(
    model: Decoder,
    draft: Decoder,
    input_ids: Any,
    max_new_tokens: int = 20,
    *,
    ahead: int = 4,
    do_sample: bool = False,
    temperature: float = 1.0,
    eos_token_id: int | list[int] | None = None,
    generator: Any = None,
) -> Any:
    """Continue one prompt as ``model`` would, with fewer of its steps (Leviathan et al. 2023).

    Without drawing the result is that of ``generate(model, ...)``; drawn tokens have the same distribution.

    Parameters
    ----------
    model, draft : Module
        Decoders of ``einkorn.models`` with keys and values, of one vocabulary; the draft is the smaller one.
    input_ids : integer array [length] or [1, length]
    max_new_tokens : int, default 20
    ahead : int, keyword-only, default 4
        Tokens that the draft guesses at a time.
    do_sample : bool, keyword-only, default False
    temperature : float, keyword-only, default 1.0
    eos_token_id : int or list of int, keyword-only, optional
    generator : Generator, keyword-only, optional

    Returns
    -------
    array of int64 [length + new tokens], or [1, length + new tokens]

    Raises
    ------
    ArgumentError
        There are several prompts, the vocabularies differ, or an option is out of its range.
    GenerationInterrupted
        Ctrl-C: it holds what was generated.
    """
    for name, one in (("model", model), ("draft", draft)):
        if not isinstance(one, CausalLM):
            raise ArgumentError(f"speculate: {name} is a {type(one).__name__}, expected a CausalLM")
    tokens, _ = prompt_of(model, input_ids, None)
    alone = np.ndim(plain(input_ids)) == 1
    if len(tokens) != 1:
        raise ArgumentError(f"speculate: there are {len(tokens)} prompts, expected 1")
    if model.vocab_size != draft.vocab_size:
        raise ArgumentError(
            f"speculate: vocabularies have {model.vocab_size} and {draft.vocab_size} tokens, expected one"
        )
    whole("max_new_tokens", max_new_tokens, 1)
    whole("ahead", ahead, 1)
    positive("temperature", temperature)
    for one in (model, draft):
        room = one.context_length
        if room is not None and tokens.shape[1] + max_new_tokens > room:
            raise ArgumentError(
                f"speculate: a prompt of {tokens.shape[1]} and max_new_tokens of {max_new_tokens} exceed a"
                f" model's context of {room}"
            )
    ends = tokens_of("eos_token_id", eos_token_id, model.vocab_size)
    modes = model.training, draft.training
    model.eval(), draft.eval()
    text = tokens[0].tolist()
    try:
        with no_grad(), drawing_from("speculate", generator):
            _walk(_Reader(model), _Reader(draft), text, max_new_tokens, ahead, do_sample, temperature, ends)
    except KeyboardInterrupt:
        raise GenerationInterrupted(np.array([text])) from None
    finally:
        model.train(modes[0]), draft.train(modes[1])
    out = np.array(text, np.int64)
    return out if alone else out[None]


class _Reader:
    """A model and what it has seen of the text."""

    def __init__(self, model: Decoder) -> None:
        self._model, self._cache = model, Cache()
        self._seen: list[int] = []

    def scores(self, text: list[int]) -> Any:
        """After each token that was not seen yet; the cache then holds the text."""
        same = (a == b for a, b in zip(self._seen, text[:-1], strict=False))
        seen = sum(takewhile(bool, same))  # guesses that were refused are forgotten
        self._cache.crop(seen)
        self._seen = list(text)
        out = self._model(np.array([text[seen:]]), cache=self._cache)
        return np.asarray(plain(out), np.float32)[0]


def _walk(
    large: _Reader,
    small: _Reader,
    text: list[int],
    count: int,
    ahead: int,
    drawn: bool,
    temperature: float,
    ends: Any,
) -> None:
    left = count
    while left > 0:
        guesses: list[int] = []
        thoughts = []
        for _ in range(min(ahead, left - 1)):
            thought = _probabilities(small.scores(text + guesses)[-1:], temperature)[0]
            guesses.append(_draw(thought) if drawn else int(thought.argmax()))
            thoughts.append(thought)
        # One step of the large model: its opinion of each guess, and what it would say after the last one.
        judged = _probabilities(large.scores(text + guesses)[-len(guesses) - 1 :], temperature)
        new: list[int] = []
        for guess, thought, own in zip(guesses, thoughts, judged, strict=False):
            if drawn:
                agreed = (
                    float(np.asarray(ops.uniform((1,), dtype=np.float64))[0]) * thought[guess] < own[guess]
                )
            else:
                agreed = guess == int(own.argmax())
            if not agreed:
                # Drawn anew from where the large model thought more of a token than the small one.
                rest = np.maximum(own - thought, 0) if drawn else own
                new.append(_draw(rest) if drawn else int(own.argmax()))
                break
            new.append(guess)
        else:
            new.append(_draw(judged[-1]) if drawn else int(judged[-1].argmax()))
        for token in new:
            text.append(token)
            left -= 1
            if token in ends:
                return


def _probabilities(scores: Any, temperature: float) -> Any:
    if not np.isfinite(scores.max(1)).all():
        raise NonFiniteError("speculate: a model's scores hold NaN or infinity: look at its weights")
    shifted = (scores - scores.max(1, keepdims=True)).astype(np.float64) / temperature
    weights = np.exp(shifted)
    return weights / weights.sum(1, keepdims=True)


def _draw(weights: Any) -> int:
    sums = np.cumsum(weights)
    drawn = float(np.asarray(ops.uniform((1,), dtype=np.float64))[0]) * sums[-1]
    return min(int((sums <= drawn).sum()), int(np.flatnonzero(weights)[-1]))
