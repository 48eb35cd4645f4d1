"""Whisper's way from sound to text: special tokens, the rules of timestamps, windows over long sound."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError
from einkorn.seq.features import log_mel_spectrogram
from einkorn.seq.generation import GenerationInterrupted

__all__ = ["LANGUAGES", "WhisperTokens", "timestamp_rules", "transcribe"]

_LANGUAGES = """
en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi
ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd
gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
"""
#: Languages in the order of their tokens; the last one came with the third large model.
LANGUAGES = tuple(_LANGUAGES.split())

#: What is tried one after the other until a window's text is believed.
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

_BLANK = 220  # the token of a space alone, in both vocabularies


class WhisperTokens(NamedTuple):
    """The special tokens of a vocabulary; of :meth:`of`.

    Attributes
    ----------
    end, start : int
        Of a text.
    languages : tuple of str
        Their tokens follow ``start``.
    translate, transcribe, previous, no_speech, no_timestamps : int
        The tasks, what comes before text of earlier windows, silence, and "without times".
    first_time : int
        The token of 0.00 s; each one after it is 20 ms later.
    """

    end: int
    start: int
    languages: tuple[str, ...]
    translate: int
    transcribe: int
    previous: int
    no_speech: int
    no_timestamps: int
    first_time: int

    @classmethod
    def of(cls, vocab_size: int) -> WhisperTokens:
        """Those of a vocabulary of 51,864 (English), 51,865 or 51,866 tokens.

        Raises
        ------
        ArgumentError
            For a vocabulary of another size.
        """
        if vocab_size not in (51864, 51865, 51866):
            raise ArgumentError(f"Whisper: vocab_size is {vocab_size}, expected 51864, 51865 or 51866")
        several = vocab_size >= 51865
        count = vocab_size - 51765 - several
        end = 50256 + several
        after = end + 2 + count
        return cls(
            end, end + 1, LANGUAGES[:count], after, after + 1, after + 3, after + 4, after + 5, after + 6
        )

    def language(self, name: str) -> int:
        """The token of a language."""
        if name not in self.languages:
            raise ArgumentError(f"Whisper: language is {name!r}, expected one of {', '.join(self.languages)}")
        return self.start + 1 + self.languages.index(name)


def timestamp_rules(scores: Any, tokens: Any, special: WhisperTokens, begin: int, latest: int | None) -> Any:
    """Leave what may follow: times in pairs, not falling, the first one early.

    Where times together are likelier than any word, a time follows.

    Parameters
    ----------
    scores : array [batch, vocabulary]
        Changed in place; what may not follow becomes -infinity.
    tokens : integer array [batch, length]
    special : WhisperTokens
    begin : int
        Where in ``tokens`` the text begins.
    latest : int or None
        The last time that the first one may be, in steps of 20 ms.
    """
    first = special.first_time
    scores[:, special.no_timestamps] = -math.inf
    for row, own in zip(scores, tokens[:, begin:], strict=True):
        times = own[own >= first]
        after_time = len(own) >= 1 and own[-1] >= first
        alone = len(own) >= 2 and own[-2] < first
        if after_time:
            if alone:  # it ends what was said: a beginning follows, or the end
                row[: special.end] = -math.inf
            else:
                row[first:] = -math.inf
        if len(times):
            row[first : times[-1] + (0 if after_time and alone else 1)] = -math.inf
    if tokens.shape[1] == begin:
        scores[:, :first] = -math.inf
        if latest is not None:
            scores[:, first + latest + 1 :] = -math.inf
    top = scores.max(1, keepdims=True)
    weights = np.exp(scores - top)
    likelier = weights[:, first:].sum(1) > weights[:, :first].max(1)
    scores[likelier, :first] = -math.inf
    return scores


def transcribe(
    model: Any,
    audio: Any,
    tokenizer: Any = None,
    *,
    language: str | None = None,
    task: str = "transcribe",
    timestamps: bool = True,
    num_beams: int = 1,
    temperature: float | Sequence[float] = TEMPERATURES,
    compression_ratio_threshold: float | None = 2.4,
    condition_on_previous_text: bool = True,
    suppress_tokens: Any = None,
    no_speech_threshold: float | None = 0.6,
    logprob_threshold: float | None = -1.0,
    max_initial_timestamp: float = 1.0,
    max_new_tokens: int | None = None,
) -> dict[str, Any]:
    """The text of a sound of any length, window by window (Radford et al. 2022, sections 2.3 and 4.5).

    A window begins where the last whole segment of the one before ended.

    Parameters
    ----------
    model : Whisper
    audio : float array [samples]
        16,000 samples a second, from -1 to 1.
    tokenizer : object with ``decode``, optional
        Such as ``einkorn.text.read_tiktoken`` gives; without it there are tokens and no texts.
    language : str, keyword-only, optional
        Such as "de"; default what the first window sounds like.
    task : "transcribe" or "translate", keyword-only, default "transcribe"
        Write what is said, or write it in English.
    timestamps : bool, keyword-only, default True
        Whether times are written; without them each window is one segment.
    num_beams : int, keyword-only, default 1
        At temperature 0; above it tokens are drawn.
    temperature : float or sequence of float, keyword-only, default (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        0 takes the likeliest tokens. A text that says the same again and again, or that is unlikely, is
        written anew with the next one; the last one's is kept (section 4.5).
    compression_ratio_threshold : float or None, keyword-only, default 2.4
        The text says the same again where its bytes are more times as many as zlib makes of them; None, or
        without a tokenizer: is not looked at.
    condition_on_previous_text : bool, keyword-only, default True
        Let the model see the text of the windows before, but for what was drawn above temperature 0.5.
    suppress_tokens : list of int, keyword-only, optional
        Tokens that are never written, besides the special ones.
    no_speech_threshold, logprob_threshold : float or None, keyword-only, default 0.6, -1.0
        A text is unlikely where its mean logarithm of probability is below the second. Its window is silent
        where silence is likelier than the first besides. None: is not looked at.
    max_initial_timestamp : float, keyword-only, default 1.0
        Seconds before the first segment of a window begins, at most.
    max_new_tokens : int, keyword-only, optional
        Of a window; default half of the model's context.

    Returns
    -------
    dict
        "language"; "segments", a list of dicts of "start" and "end" in seconds, "tokens", "temperature",
        "avg_logprob", "no_speech_prob" and, with a tokenizer, "text" and "compression_ratio"; with a
        tokenizer also the whole "text".

    Raises
    ------
    ArgumentError
        An option is out of its range, or the language unknown.
    GenerationInterrupted
        Ctrl-C: its ``segments`` are those that were done.
    """
    special = WhisperTokens.of(model.vocab_size)
    several = model.vocab_size >= 51865
    if task not in ("transcribe", "translate"):
        raise ArgumentError(f"transcribe: task is {task!r}, expected 'transcribe' or 'translate'")
    if not several and (task != "transcribe" or language not in (None, "en")):
        raise ArgumentError("transcribe: this model knows English alone")
    heats = [float(t) for t in np.atleast_1d(np.asarray(temperature, np.float64))]
    if not heats or not all(0 <= t < math.inf for t in heats):
        raise ArgumentError(f"transcribe: temperature is {temperature!r}, expected numbers from 0")
    limits = (no_speech_threshold, logprob_threshold, compression_ratio_threshold)
    window, hop = model.frames, 160
    room = model.context_length // 2 if max_new_tokens is None else int(max_new_tokens)
    mel = log_mel_spectrogram(audio, model.config["num_mel_bins"], padding=window * hop)
    total = mel.shape[-1] - window
    training = model.training
    model.eval()
    segments: list[dict[str, Any]] = []
    history: list[int] = []
    found = language or ("en" if not several else None)
    never = np.unique(
        [
            *([] if suppress_tokens is None else suppress_tokens),
            *range(special.start, special.no_timestamps + (0 if timestamps else 1)),
        ]
    ).astype(np.int64)
    try:
        seek = 0
        while seek < total:
            size = min(window, total - seek)
            features = np.zeros((1, mel.shape[0], window), np.float32)
            features[0, :, :size] = mel[:, seek : seek + size]
            with no_grad():
                memory = model.encode(features)
            if found is None:
                found = _language(model, memory, special)
            prompt = [special.start]
            if several:
                prompt += [
                    special.language(found),
                    special.transcribe if task == "transcribe" else special.translate,
                ]
            if not timestamps:
                prompt.append(special.no_timestamps)
            before = history[-(model.context_length // 2 - 1) :] if condition_on_previous_text else []
            begin = ([special.previous, *before] if before else []) + prompt
            most = min(room, model.context_length - len(begin))

            def rules(tokens: Any, scores: Any, start: int = len(begin)) -> Any:
                scores[:, never] = -np.inf
                if tokens.shape[1] == start:
                    scores[:, [_BLANK, special.end]] = -np.inf
                if timestamps:
                    timestamp_rules(scores, tokens, special, start, round(max_initial_timestamp / 0.02))
                return scores

            best = _written(model, memory, begin, most, rules, heats, num_beams, limits, special, tokenizer)
            if best.silent:
                seek += size
                continue
            pieces, seek = _segments(best.tokens, seek, size, special)
            for start, end, own in pieces:
                segment = {
                    "start": start,
                    "end": end,
                    "tokens": own.tolist(),
                    "temperature": best.temperature,
                    "avg_logprob": best.mean,
                    "no_speech_prob": best.silence,
                }
                if tokenizer is not None:
                    segment["text"] = _text(tokenizer, own, special)
                    segment["compression_ratio"] = best.ratio
                segments.append(segment)
                history += own.tolist()
            if best.temperature > 0.5:
                history = []
    except GenerationInterrupted as interrupted:
        interrupted.segments = segments
        raise
    finally:
        model.train(training)
    out: dict[str, Any] = {"language": found, "segments": segments}
    if tokenizer is not None:
        out["text"] = "".join(segment["text"] for segment in segments)
    return out


class _Written(NamedTuple):
    """A window's text, and what is thought of it."""

    tokens: Any
    temperature: float
    silence: float
    mean: float
    ratio: float | None
    silent: bool


def _written(
    model: Any,
    memory: Any,
    begin: list[int],
    most: int,
    rules: Any,
    heats: list[float],
    num_beams: int,
    limits: tuple[float | None, float | None, float | None],
    special: WhisperTokens,
    tokenizer: Any,
) -> _Written:
    """The first text that is believed of those that the temperatures give, or the last one."""
    silent_above, likely_above, same_above = limits
    for heat in heats:
        drawn = {"do_sample": True, "temperature": heat, "top_k": 0}
        tokens = model.write(
            memory,
            np.array([begin]),
            most,
            **(drawn if heat else {"num_beams": num_beams}),
            eos_token_id=special.end,
            pad_token_id=special.end,
            logits_processor=rules,
        )[0, len(begin) :]
        tokens = tokens[: np.append(np.flatnonzero(tokens == special.end), len(tokens))[0]]
        silence, mean = _judged(model, memory, begin, tokens, special)
        ratio = None if tokenizer is None else compression_ratio(_text(tokenizer, tokens, special))
        unlikely = likely_above is not None and mean < likely_above
        quiet = silent_above is not None and silence > silent_above
        again = ratio is not None and same_above is not None and ratio > same_above
        silent = quiet and (unlikely or likely_above is None)
        if silent or not (again or unlikely):
            break
    return _Written(tokens, heat, silence, mean, ratio, silent)


def compression_ratio(text: str) -> float:
    """How many times as many bytes a text has as zlib makes of it: much where it says the same again."""
    octets = text.encode()
    return len(octets) / len(zlib.compress(octets))


def _language(model: Any, memory: Any, special: WhisperTokens) -> str:
    with no_grad():
        scores = np.asarray(model.decode(np.array([[special.start]]), memory, last=True))[0]
    first = special.start + 1
    return special.languages[int(scores[first : first + len(special.languages)].argmax())]


def _judged(
    model: Any, memory: Any, begin: list[int], tokens: Any, special: WhisperTokens
) -> tuple[float, float]:
    """How likely silence is, and the mean logarithm of the text's probability."""
    given = np.array([[*begin, *tokens]])
    with no_grad():
        logs = np.asarray(ops.log_softmax(model.decode(given, memory), -1))[0]
    silence = math.exp(float(logs[begin.index(special.start), special.no_speech]))
    wanted = np.array([*tokens, special.end])
    own = logs[len(begin) - 1 :][np.arange(len(wanted)), wanted]
    return silence, float(own.mean())


def _segments(
    tokens: Any, seek: int, size: int, special: WhisperTokens
) -> tuple[list[tuple[float, float, Any]], int]:
    """Pieces of a window with their times, and the frame where the next window begins."""
    first, offset = special.first_time, seek * 0.01
    times = tokens >= first
    closed = len(tokens) >= 2 and bool(times[-1]) and not times[-2]
    cuts = (np.flatnonzero(times[:-1] & times[1:]) + 1).tolist()
    if not cuts:
        if not len(tokens):
            return [], seek + size
        own = tokens[times]
        end = size * 0.01
        if len(own) and own[-1] != first:
            end = (own[-1] - first) * 0.02
        return [(offset, offset + float(end), tokens)], seek + size
    if closed:
        cuts.append(len(tokens))
    pieces, last = [], 0
    for cut in cuts:
        own = tokens[last:cut]
        if len(own):
            start, end = (own[0] - first) * 0.02, (own[-1] - first) * 0.02
            pieces.append((offset + float(start), offset + float(end), own))
        last = cut
    if closed:
        return pieces, seek + size
    done = int(tokens[last - 1] - first) * 2
    # A text that ends where it began would be heard for ever.
    return pieces, seek + (min(done, size) if done > 0 else size)


def _text(tokenizer: Any, tokens: Any, special: WhisperTokens) -> str:
    return str(tokenizer.decode([int(token) for token in tokens if token < special.end]))
