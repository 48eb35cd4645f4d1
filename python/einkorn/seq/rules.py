"""What changes the scores of the next token before one is chosen, in the order that transformers has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, NonFiniteError, ShapeError
from einkorn.seq import sampling
from einkorn.seq._checks import callables, number, plain, positive, share, tokens_of, whole

__all__ = ["NothingLeftError", "Rules"]

#: Of scores [batch, vocabulary], which it may change, and tokens [batch, length].
Rule = Callable[[Any, Any], Any]

#: Options that may take tokens away.
_FORBIDDING = (
    "sequence_bias",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "min_new_tokens",
    "min_length",
    "prefix_allowed_tokens_fn",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "logits_processor",
)
_LEAST = np.finfo(np.float32).min
_COUNTS = ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "min_length")


class NothingLeftError(ArgumentError):
    """A row of scores has no token; :meth:`Rules.blamed` says why."""


class Rules:
    """The options of :func:`einkorn.seq.generate` that are about scores.

    Parameters
    ----------
    prompts : array of int64 [batch, length]
    mask : boolean array [batch, length]
        False where a prompt is filled up.
    read : array of int64 [batch, words], or None
        What an encoder has read; a decoder's own prompts.
    room : int
        Tokens to generate at most.
    ends : array of int64
        Tokens that end a sequence.
    copies : int
        Sequences of each prompt.
    vocabulary : int
    given : mapping
        The options by their names.
    """

    def __init__(
        self,
        prompts: Any,
        mask: Any,
        read: Any,
        room: int,
        ends: Any,
        copies: int,
        vocabulary: int,
        given: Mapping[str, Any],
    ) -> None:
        self._length, self._room = prompts.shape[1], room
        self._filled = np.repeat(~mask, copies, 0)
        self._read, self._ends, self._copies, self._vocabulary = read, ends, copies, vocabulary
        self._given = {**given, **{name: 0 for name in _COUNTS if given[name] is None}}
        self._rules = [*self._first(), *self._middle(), *self._last()]
        drawing = self._drawing()  # what does not fit is refused either way
        self._warps = drawing if given["do_sample"] else []
        self._normal = bool(given["renormalize_logits"])

    def __call__(self, scores: Any, tokens: Any) -> Any:
        """Scores to choose by.

        Parameters
        ----------
        scores : array of float32 [batch, vocabulary]
            Changed where it is.
        tokens : array of int64 [batch, length]
        """
        for rule in self._rules:
            scores = rule(scores, tokens)
        if np.isnan(scores.max(1)).any():
            raise NonFiniteError("generate: scores of the next token hold NaN: look at the model's weights")
        for warp in self._warps:
            scores = warp(scores, tokens)
        return _normalised(scores) if self._normal else scores

    def blamed(self) -> ArgumentError:
        """The error of a step that has no token to go on with, naming the options that are given."""
        given = [name for name in _FORBIDDING if _is_given(name, self._given[name])]
        names = " and ".join(part for part in (", ".join(given[:-1]), *given[-1:]) if part)
        what = f"the rules of {names}" if given else "the model's scores"
        return ArgumentError(f"generate: {what} leave no token to go on with")

    def _first(self) -> list[Rule]:
        """Rules about what was said before."""
        given, rules = self._given, []
        biases = _biases("sequence_bias", given["sequence_bias"], self._vocabulary)
        if biases:
            rules.append(_adding(biases))
        penalty = given["encoder_repetition_penalty"]
        if penalty not in (None, 1):
            positive("encoder_repetition_penalty", penalty)
            words = np.repeat(self._words("encoder_repetition_penalty"), self._copies, 0)
            rules.append(lambda scores, _: sampling.penalise_repetition(scores, words, 1 / penalty))
        repetition = 1.0 if given["repetition_penalty"] is None else given["repetition_penalty"]
        positive("repetition_penalty", repetition)
        if repetition != 1:
            rules.append(lambda s, tokens: sampling.penalise_repetition(s, self._own(tokens), repetition))
        size = given["no_repeat_ngram_size"]
        whole("no_repeat_ngram_size", size, 0)
        if size:
            rules.append(lambda s, tokens: sampling.forbid_repeated_ngrams(s, tokens, size))
        other = given["encoder_no_repeat_ngram_size"]
        whole("encoder_no_repeat_ngram_size", other, 0)
        if other:
            said = self._words("encoder_no_repeat_ngram_size")
            rules.append(lambda s, tokens: sampling.forbid_repeated_ngrams(s, tokens, other, said))
        return rules

    def _middle(self) -> list[Rule]:
        """Rules about single tokens, and about where a sequence begins and ends."""
        given, rules, ends = self._given, [], self._ends
        words = given["bad_words_ids"]
        if words is not None:
            bad = {tuple(word): -np.inf for word in _lists("bad_words_ids", words)}
            alone = {(int(end),) for end in ends}
            bad = _biases("bad_words_ids", {w: b for w, b in bad.items() if w not in alone}, self._vocabulary)
            if bad:
                rules.append(_adding(bad))
        least = given["min_new_tokens"]
        whole("min_length", given["min_length"], 0)
        if least is None:
            least = given["min_length"] - self._length
        else:
            whole("min_new_tokens", least, 0)
        if least > 0:
            rules.append(self._until(least, lambda s: _suppressed(s, ends)))
        allowed = given["prefix_allowed_tokens_fn"]
        if allowed is not None:
            if not callable(allowed):
                raise ArgumentError(f"generate: prefix_allowed_tokens_fn is {allowed!r}, expected a callable")
            rules.append(lambda s, tokens: self._constrained(s, tokens, allowed))
        first = tokens_of("forced_bos_token_id", given["forced_bos_token_id"], self._vocabulary)
        if len(first) > 1:
            raise ArgumentError(
                f"generate: forced_bos_token_id is {given['forced_bos_token_id']!r}, expected one token"
            )
        if len(first) and self._length == 1:
            rules.append(self._until(1, lambda s: _forced(s, first)))
        last = tokens_of("forced_eos_token_id", given["forced_eos_token_id"], self._vocabulary)
        if len(last):
            at = self._length + self._room - 1
            rules.append(lambda s, tokens: _forced(s, last) if tokens.shape[1] == at else s)
        return rules

    def _last(self) -> list[Rule]:
        given, rules = self._given, []
        if given["remove_invalid_values"]:
            most = float(np.finfo(np.float32).max)
            rules.append(lambda s, _: np.nan_to_num(s, copy=False, nan=0.0, posinf=most, neginf=-most))
        decay = given["exponential_decay_length_penalty"]
        if decay is not None:
            rules.append(self._decaying(decay))
        never = tokens_of("suppress_tokens", given["suppress_tokens"], self._vocabulary)
        if len(never):
            rules.append(lambda s, _: _suppressed(s, never))
        begin = tokens_of("begin_suppress_tokens", given["begin_suppress_tokens"], self._vocabulary)
        if len(begin):
            at = self._length + (self._length == 1 and given["forced_bos_token_id"] is not None)
            rules.append(lambda s, tokens: _suppressed(s, begin) if tokens.shape[1] == at else s)
        for processor in callables("logits_processor", given["logits_processor"]):
            rules.append(_processing(processor))
        return rules

    def _drawing(self) -> list[Rule]:
        """What is left to draw from."""
        given, rules = self._given, []
        beams = given["num_beams"] > 1
        # A beam must be able to go on when its likeliest tokens end it.
        least = max(2, 1 + len(self._ends)) if beams else 1
        warmth = 1.0 if given["temperature"] is None else given["temperature"]
        positive("temperature", warmth)
        temperature = np.float32(max(warmth, 1e-30))
        if beams and given["do_sample"] and temperature < 1e-5:
            raise ArgumentError(
                f"generate: temperature is {given['temperature']!r}, expected at least 1e-5 with beams, whose"
                " scores it divides; do_sample=False takes the best"
            )
        if beams:
            rules.append(lambda s, _: np.divide(s, temperature, out=s))
        else:
            rules.append(lambda s, _: _cooled(s, temperature))
        for name, keep in _KEPT.items():
            value = given[name]
            if value is None or value in _KEEPS_ALL[name]:
                continue
            if name == "top_k":
                whole(name, value, 0)
            else:
                share(name, value, least=name == "min_p")
            options = {} if name == "top_h" else {"least": least}
            rules.append(_keeping(keep, value, options))
        return rules

    def _own(self, tokens: Any) -> Any:
        """The tokens without what prompts were filled up with: its places hold the last token again."""
        if not self._filled.any():
            return tokens
        own = tokens.copy()
        prompts = own[:, : self._length]
        prompts[self._filled] = np.broadcast_to(tokens[:, -1:], prompts.shape)[self._filled]
        return own

    def _words(self, name: str) -> Any:
        if self._read is None:
            raise ArgumentError(f"generate: {name} is given, and what was read are no tokens")
        if self._read.size and self._read.max() >= self._vocabulary:
            raise ArgumentError(
                f"generate: {name} is given, and what was read has token {self._read.max()}, expected the"
                f" vocabulary of what is written, 0 to {self._vocabulary - 1}"
            )
        return self._read

    def _until(self, count: int, rule: Callable[[Any], Any]) -> Rule:
        """A rule for the first tokens alone."""
        return lambda scores, tokens: rule(scores) if tokens.shape[1] < self._length + count else scores

    def _constrained(self, scores: Any, tokens: Any, allowed: Callable[[int, Any], Any]) -> Any:
        mask = np.full(scores.shape, -np.inf, np.float32)
        for row, own in enumerate(tokens):
            prompt = row // self._copies
            several = tokens_of("prefix_allowed_tokens_fn's", allowed(prompt, own.copy()), self._vocabulary)
            if not len(several):
                raise ArgumentError(f"generate: prefix_allowed_tokens_fn allows nothing to prompt {prompt}")
            mask[row, several] = 0
        scores = scores + mask
        # Where the other rules left none of the tokens that are allowed, they go: the constraint holds.
        stuck = np.isneginf(scores.max(1)).reshape(-1, self._copies).all(1)
        return np.where(np.repeat(stuck, self._copies)[:, None], mask, scores)

    def _decaying(self, given: Any) -> Rule:
        name = "exponential_decay_length_penalty"
        if not isinstance(given, (list, tuple)) or len(given) != 2 or not len(self._ends):
            raise ArgumentError(
                f"generate: {name} is {given!r}, expected where it begins and a factor, and eos_token_id"
            )
        start, factor = given
        whole(name, start, 0)
        number(name, factor)

        def decaying(scores: Any, tokens: Any) -> Any:
            late = tokens.shape[1] - self._length - start
            if late > 0:
                own = scores[:, self._ends]
                more = np.where(np.isfinite(own), np.abs(own) * np.float32(factor**late - 1), 0)
                scores[:, self._ends] = own + more
            return scores

        return decaying


_KEPT: dict[str, Callable[..., Any]] = {
    "top_h": sampling.keep_top_h,
    "top_k": sampling.keep_top_k,
    "top_p": sampling.keep_top_p,
    "min_p": sampling.keep_min_p,
    "typical_p": sampling.keep_typical,
    "epsilon_cutoff": sampling.keep_epsilon,
    "eta_cutoff": sampling.keep_eta,
}
_KEEPS_ALL = {
    "top_h": (),
    "top_k": (0,),
    "top_p": (1.0,),
    "min_p": (),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0, 1.0),
    "eta_cutoff": (0.0, 1.0),
}


def _is_given(name: str, value: Any) -> bool:
    if value is None:
        return False
    if name in (*_COUNTS, "min_new_tokens"):
        return bool(value)
    return len(value) > 0 if hasattr(value, "__len__") else True


def _cooled(scores: Any, temperature: Any) -> Any:
    # The greatest goes first, so that no temperature makes two infinities of two scores.
    scores -= scores.max(1, keepdims=True, initial=_LEAST)
    with np.errstate(over="ignore"):
        scores /= temperature
    return scores


def _suppressed(scores: Any, tokens: Any) -> Any:
    scores[:, tokens] = -np.inf
    return scores


def _forced(scores: Any, tokens: Any) -> Any:
    scores[:] = -np.inf
    scores[:, tokens] = 0
    return scores


def _normalised(scores: Any) -> Any:
    top = scores.max(1, keepdims=True, initial=_LEAST)
    sums = np.exp(scores - top).sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.where(sums > 0, scores - top - np.log(sums), scores)


def _lists(name: str, given: Any) -> list[list[int]]:
    """Sequences of tokens."""
    given = given.tolist() if isinstance(given, np.ndarray) else given
    fits = isinstance(given, (list, tuple)) and all(
        isinstance(word, (list, tuple, np.ndarray)) and len(word) for word in given
    )
    if not fits:
        raise ArgumentError(f"generate: {name} is {given!r}, expected a list of lists of tokens, none empty")
    return [list(word) for word in given]


def _biases(name: str, given: Any, vocabulary: int) -> dict[tuple[int, ...], float]:
    """What is added to the score of a token that would end a sequence of tokens."""
    if given is None:
        return {}
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    ):
        raise ArgumentError(f"generate: {name} is {given!r}, expected tuples of tokens with a number each")
    found = {}
    for word, bias in pairs:
        tokens = tokens_of(name, _lists(name, [word])[0], vocabulary)
        if isinstance(bias, bool) or not isinstance(bias, (int, float, np.number)) or np.isnan(bias):
            raise ArgumentError(f"generate: {name} has {bias!r}, expected a number")
        found[tuple(int(token) for token in tokens)] = float(bias)
    return found


def _adding(biases: Mapping[tuple[int, ...], float]) -> Rule:
    def adding(scores: Any, tokens: Any) -> Any:
        bias = np.zeros_like(scores)
        for word, own in biases.items():
            begin = len(word) - 1
            if begin <= tokens.shape[1]:
                rows = (tokens[:, tokens.shape[1] - begin :] == word[:-1]).all(1) if begin else slice(None)
                bias[rows, word[-1]] += np.float32(own)
        return scores + bias

    return adding


def _processing(processor: Callable[[Any, Any], Any]) -> Rule:
    return lambda scores, tokens: _changed(processor(tokens.copy(), scores), scores)


def _keeping(keep: Callable[..., Any], value: Any, options: Mapping[str, Any]) -> Rule:
    return lambda scores, _: keep(scores, value, **options)


def _changed(new: Any, scores: Any) -> Any:
    """What a processor gave, if it is scores."""
    out = plain(new)
    if out.shape != scores.shape or out.dtype.kind not in "fiu":
        raise ShapeError(
            f"generate: logits_processor gave shape {out.shape} and dtype {out.dtype}, expected scores"
            f" {scores.shape}"
        )
    return np.array(out, np.float32)
