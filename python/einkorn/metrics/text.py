"""Figures of text: perplexity and BLEU."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, IndexRangeError
from einkorn.metrics.base import Metric, pair, rows_of, spread
from einkorn.metrics.classification import _classes

__all__ = ["BLEU", "ChrF", "Perplexity"]


class Perplexity(Metric):
    """exp of the mean cross-entropy: among how many words the model wavers.

    Parameters
    ----------
    from_logits : bool, default False
        Whether y_pred [rows, classes, ...] are scores, or probabilities.
    mask_token_id : int, optional
        Targets that are left out, such as padding.
    name : str, default "perplexity"
    """

    total: float
    count: float

    def __init__(
        self, from_logits: bool = False, mask_token_id: int | None = None, name: str = "perplexity"
    ) -> None:
        self.from_logits = from_logits
        self.mask_token_id = mask_token_id
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0.0}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = pair(self.name, y_true, y_pred)
        classes = _classes(self.name, target, output)
        weight = np.array(spread(rows_of(self.name, sample_weight, len(output)), classes.shape))
        if self.mask_token_id is not None:
            weight[classes == self.mask_token_id] = 0
            classes = np.where(classes == self.mask_token_id, 0, classes)
        if classes.size and not (classes.min() >= 0 and classes.max() < output.shape[1]):
            raise IndexRangeError(
                f"{self.name}: y_true holds {classes.min()} to {classes.max()}, expected 0 to "
                f"{output.shape[1] - 1}"
            )
        values = output.astype(np.float64)
        own = np.take_along_axis(values, np.expand_dims(classes, 1), 1).squeeze(1)
        if self.from_logits:
            top = values.max(1)
            losses = np.log(np.exp(values - np.expand_dims(top, 1)).sum(1)) + top - own
        else:
            losses = np.log(values.sum(1)) - np.log(np.maximum(own, 1e-300))
        self.total += float((losses * weight)[weight > 0].sum())
        self.count += float(weight.sum())

    def result(self) -> float:
        return math.exp(np.minimum(self.total / self.count, 700.0)) if self.count else float("nan")


class BLEU(Metric):
    """How many runs of words of translations are found in references (Papineni et al. 2002), over a corpus.

    The geometric mean of clipped precisions of runs of 1 to ``max_order`` words, times exp(1 - r / c) where
    the translations are shorter (c words) than the references nearest in length (r words). From 0 to 1.

    ``update_state(references, translations)``: for each translation, a text or a list of words, one
    reference or a list of several of the same kind.

    Parameters
    ----------
    max_order : int, default 4
    smooth : bool or "exp", default False
        True adds 1 to the counts of runs of two words and more (Lin and Och 2004), so that one order without
        a hit does not make the whole 0. "exp" counts half a hit for the first order without one, a quarter
        for the next, and so on (Chen and Cherry 2014, method 3), as sacrebleu does.
    name : str, default "bleu"
    tokenize : "13a" or None, keyword-only, default None
        "13a" takes punctuation off words by the rules of NIST's mteval-v13a, as sacrebleu does; None cuts
        texts at spaces. Lists of words stay as they are.
    """

    hits: list[int]
    runs: list[int]
    lengths: list[int]

    def __init__(
        self,
        max_order: int = 4,
        smooth: bool | str = False,
        name: str = "bleu",
        *,
        tokenize: str | None = None,
    ) -> None:
        if isinstance(max_order, bool) or not isinstance(max_order, int) or max_order < 1:
            raise ArgumentError(f"BLEU: max_order is {max_order!r}, expected an integer >= 1")
        if smooth not in (True, False, "exp"):
            raise ArgumentError(f"BLEU: smooth is {smooth!r}, expected True, False or 'exp'")
        if tokenize not in (None, "13a"):
            raise ArgumentError(f"BLEU: tokenize is {tokenize!r}, expected '13a' or None")
        self.max_order = max_order
        self.smooth = smooth
        self.tokenize = tokenize
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"hits": [0] * self.max_order, "runs": [0] * self.max_order, "lengths": [0, 0]}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            raise ArgumentError("BLEU: sample_weight is given, expected None: its counts have no weights")
        _refuse_odd("BLEU", y_true, y_pred)
        if isinstance(y_pred, str):
            y_true, y_pred = [y_true], [y_pred]
        if len(y_true) != len(y_pred):
            raise ArgumentError(
                f"BLEU: there are {len(y_pred)} translations and references for {len(y_true)}, "
                "expected as many"
            )
        for given, translation in zip(y_true, y_pred, strict=True):
            if not isinstance(given, str) and not len(given):
                raise ArgumentError("BLEU: a translation has no references, expected at least one")
            if self.tokenize is not None:
                translation = _taken_apart(translation)
                whole = isinstance(given, str) or not any(" " in one for one in given)
                given = _taken_apart(given) if whole else [_taken_apart(one) for one in given]
            self._enter(_several(given), _words(translation))

    def _enter(self, references: list[list[str]], words: list[str]) -> None:
        nearest = min((abs(len(one) - len(words)), len(one)) for one in references)[1]
        self.lengths = [self.lengths[0] + len(words), self.lengths[1] + nearest]
        for order in range(1, self.max_order + 1):
            counts = _runs(words, order)
            most: Counter[tuple[str, ...]] = Counter()
            for one in references:
                most |= _runs(one, order)
            self.hits[order - 1] += sum((counts & most).values())
            self.runs[order - 1] += max(0, len(words) - order + 1)

    def result(self) -> float:
        length, wanted = self.lengths
        if not length:
            return 0.0 if wanted else float("nan")
        logs, part = 0.0, 1.0
        if self.smooth == "exp" and not any(self.hits):
            return 0.0
        for order, (hits, runs) in enumerate(zip(self.hits, self.runs, strict=True)):
            extra: float = int(self.smooth is True and order > 0)
            if self.smooth == "exp" and runs and not hits:
                part /= 2
                logs += math.log(part / runs) / self.max_order
                continue
            if not hits + extra or not runs + extra:
                return 0.0
            logs += math.log((hits + extra) / (runs + extra)) / self.max_order
        return math.exp(logs + min(0.0, 1.0 - wanted / length))


class ChrF(Metric):
    """F-scores of runs of characters, spaces left out, and of words (Popovic 2015, 2017), over a corpus.

    Precision and recall are each the mean over the orders that both sides have; of several references the one
    counts that a translation is nearest to. From 0 to 1: a hundredth of sacrebleu's.

    ``update_state(references, translations)``: for each translation, a text, one reference or several.

    Parameters
    ----------
    char_order : int, default 6
    word_order : int, default 0
        2 is chrF++; punctuation at the ends of words counts as words.
    beta : int, default 2
        Recall counts so many times as much as precision.
    name : str, default "chrf"
    """

    counts: list[int]

    def __init__(self, char_order: int = 6, word_order: int = 0, beta: int = 2, name: str = "chrf") -> None:
        for option, value, least in (
            ("char_order", char_order, 1),
            ("word_order", word_order, 0),
            ("beta", beta, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"ChrF: {option} is {value!r}, expected an integer >= {least}")
        self.char_order, self.word_order, self.beta = char_order, word_order, beta
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"counts": [0] * (3 * (self.char_order + self.word_order))}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            raise ArgumentError("ChrF: sample_weight is given, expected None: its counts have no weights")
        _refuse_odd("ChrF", y_true, y_pred)
        if isinstance(y_pred, str):
            y_true, y_pred = [y_true], [y_pred]
        if len(y_true) != len(y_pred):
            raise ArgumentError(
                f"ChrF: there are {len(y_pred)} translations and references for {len(y_true)}, "
                "expected as many"
            )
        for given, translation in zip(y_true, y_pred, strict=True):
            references = [given] if isinstance(given, str) else list(given)
            if not references:
                raise ArgumentError("ChrF: a translation has no references, expected at least one")
            own = self._of(translation)
            best = max((self._compare(own, self._of(one)) for one in references), key=self._score)
            self.counts = [a + b for a, b in zip(self.counts, best, strict=True)]

    def result(self) -> float:
        return self._score(self.counts) if any(self.counts) else float("nan")

    def _of(self, text: str) -> list[Counter[Any]]:
        letters, words = "".join(text.split()), []
        for word in text.split():
            if len(word) > 1 and word[-1] in _PUNCTUATION:
                words += [word[:-1], word[-1]]
            elif len(word) > 1 and word[0] in _PUNCTUATION:
                words += [word[0], word[1:]]
            else:
                words.append(word)
        runs = [_runs(letters, order) for order in range(1, self.char_order + 1)]
        return runs + [_runs(words, order) for order in range(1, self.word_order + 1)]

    def _compare(self, own: list[Counter[Any]], reference: list[Counter[Any]]) -> list[int]:
        """Runs of the translation and of the reference, and those of both, for each order."""
        found = []
        for a, b in zip(own, reference, strict=True):
            found += [a.total() if b else 0, b.total(), (a & b).total()]
        return found

    def _score(self, counts: list[int]) -> float:
        precision = recall = 0.0
        orders = 0
        for own, wanted, both in zip(counts[::3], counts[1::3], counts[2::3], strict=True):
            if own and wanted:
                precision, recall, orders = precision + both / own, recall + both / wanted, orders + 1
        if not precision + recall:
            return 0.0
        precision, recall, factor = precision / orders, recall / orders, self.beta**2
        return (1 + factor) * precision * recall / (factor * precision + recall)


_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def _taken_apart(text: Any) -> Any:
    """Words and punctuation by the rules of mteval-v13a: marks stand alone, but points within numbers."""
    if not isinstance(text, str):
        return text
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for name, mark in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(name, mark)
    text = re.sub(r"([!-&(-+/:-@\[-`{-~])", r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def _refuse_odd(op: str, y_true: Any, y_pred: Any) -> None:
    """Neither a lone text beside many, whose letters would be counted, nor what is no text at all."""
    if isinstance(y_true, str) and not isinstance(y_pred, str):
        raise ArgumentError(
            f"{op}: the references are one text, {y_true!r}, expected one for each translation"
        )
    for text in [y_pred] if isinstance(y_pred, str) else y_pred:
        if not isinstance(text, str) and (op == "ChrF" or not isinstance(text, (list, tuple, np.ndarray))):
            kinds = "a text" if op == "ChrF" else "a text or a list of words"
            raise ArgumentError(f"{op}: a translation is {text!r}, expected {kinds}")


def _words(text: Any) -> list[Any]:
    return text.split() if isinstance(text, str) else list(text)


def _several(given: Any) -> list[list[Any]]:
    """The references: a text, a list of words, or a list of either; words in a list hold no spaces."""
    if isinstance(given, str):
        return [_words(given)]
    single = [one for one in given if not isinstance(one, (list, tuple, np.ndarray))]
    if len(single) == len(given) and not any(isinstance(one, str) and " " in one for one in single):
        return [list(given)]
    return [_words(one) for one in given]


def _runs(words: Sequence[Any], order: int) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
