"""Parts of speech by an averaged perceptron."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine
from einkorn.text._arguments import items_of, path_of, whole_number
from einkorn.text._brown import read_brown
from einkorn.text.tokenizer import _threads

__all__ = ["PerceptronTagger", "read_brown"]

Pair = tuple[str, str]


class PerceptronTagger:
    """Tags of words: which part of speech each is.

    The tag of a word is the one with the largest sum of weights of what is seen there: its letters, the words
    around it, the two tags before it (Collins 2002; weights are averaged over all of training).
    Words that nearly always have one tag have that.

    A model is learned from tagged sentences, such as those of :func:`read_brown`, and saved.

    Parameters
    ----------
    load
        False. NLTK's tagger takes True, for a model that it fetches; none comes with einkorn, so that is
        refused.

    Attributes
    ----------
    classes : list of str
        The tags.
    """

    def __init__(self, load: bool = False) -> None:
        if load:
            raise ArgumentError(
                "PerceptronTagger: load is True, and no model comes with einkorn: train one, or read a file "
                "with PerceptronTagger.load(path)"
            )
        self.classes: list[str] = []
        self._fixed: dict[str, str] = {}
        self._own: Any = None
        self._table: tuple[np.ndarray, np.ndarray] | None = None

    def train(
        self,
        sentences: Iterable[Sequence[Pair]],
        save_loc: str | PathLike[str] | None = None,
        nr_iter: int = 5,
        *,
        seed: int = 1,
    ) -> PerceptronTagger:
        """Learn from tagged sentences.

        Parameters
        ----------
        sentences
            Lists of (word, tag).
        save_loc
            A path where the model is saved.
        nr_iter
            How often they are gone through.
        seed
            Of the order, another each time.

        Raises
        ------
        ArgumentError
            There is no sentence, or one is no list of pairs of str.
        """
        name = "PerceptronTagger.train"
        if save_loc is not None:
            path_of(name, save_loc)
        nr_iter = whole_number(name, "nr_iter", nr_iter, 1)
        seed = whole_number(name, "seed", seed, 0, 2**64 - 1)
        kept = [items_of(name, "a sentence", sentence) for sentence in items_of(name, "sentences", sentences)]
        kept = [sentence for sentence in kept if sentence]
        if not kept:
            raise ArgumentError("PerceptronTagger.train: there are no sentences")
        try:
            counts: dict[str, Counter[str]] = defaultdict(Counter)
            for sentence in kept:
                for word, tag in sentence:
                    if not isinstance(word, str) or not isinstance(tag, str):
                        raise TypeError
                    counts[word][tag] += 1
                    tag.encode()
        except UnicodeEncodeError:
            raise ArgumentError("PerceptronTagger.train: a tag has an unpaired surrogate") from None
        except (TypeError, ValueError):
            raise ArgumentError("PerceptronTagger.train: sentences must be lists of (word, tag)") from None
        self.classes = sorted({tag for found in counts.values() for tag in found})
        self._fixed = {}
        for word, found in counts.items():
            (tag, most), total = found.most_common(1)[0], found.total()
            if total >= 20 and most >= 0.99 * total:
                self._fixed[word] = tag
        self._make()
        words = [[word for word, _ in sentence] for sentence in kept]
        numbers = {tag: i for i, tag in enumerate(self.classes)}
        tags = [numbers[tag] for sentence in kept for _, tag in sentence]
        rng = np.random.default_rng(seed)
        try:
            for _ in range(nr_iter):
                self._own.learn(words, tags, rng.permutation(len(words)).tolist())
        except UnicodeEncodeError:
            raise ArgumentError("PerceptronTagger.train: a word has an unpaired surrogate") from None
        self._own.average()
        if save_loc is not None:
            self.save(save_loc)
        return self

    def _make(self) -> None:
        self._table = None
        self._own = _engine.form.Tagger(len(self.classes))
        numbers = {tag: i for i, tag in enumerate(self.classes)}
        for word, tag in self._fixed.items():
            self._own.fix(word, numbers[tag])

    def __getstate__(self) -> dict[str, Any]:
        weights = None if self._own is None else self._own.weights()
        return {"classes": self.classes, "_fixed": self._fixed, "weights": weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.classes, self._fixed = list(state["classes"]), dict(state["_fixed"])
        self._own = self._table = None
        if state["weights"] is not None:
            self._make()
            self._own.put(*state["weights"])

    def tag(self, tokens: Sequence[str], return_conf: bool = False, use_tagdict: bool = True) -> list[Any]:
        """The words of a sentence with their tags.

        Parameters
        ----------
        tokens
            Words.
        return_conf
            Whether each word has a third thing, how sure its tag is: of the softmax of the tags' sums of
            weights the part of this one; 1 for words that nearly always have one tag.
        use_tagdict
            True: such words have that tag. NLTK's class can do without, this one cannot.

        Returns
        -------
        list of (str, str), or of (str, str, float)

        Raises
        ------
        ArgumentError
            Nothing was learned, the sentence is no list of str, or ``use_tagdict`` is false.
        """
        if not use_tagdict:
            raise ArgumentError("PerceptronTagger.tag: use_tagdict must be True; it was so when it learned")
        pairs = self.tag_sents([tokens])[0]
        return (
            [(*pair, sure) for pair, sure in zip(pairs, self._sure(pairs), strict=True)]
            if return_conf
            else pairs
        )

    def _sure(self, pairs: list[Pair]) -> list[float]:
        """How sure these tags of a sentence are."""
        from einkorn.text._plain_tagger import _look, _word_of

        if self._table is None:
            features, weights = self._own.weights()
            keys = np.frombuffer(features, np.uint64)
            order = np.argsort(keys)
            rows = np.frombuffer(weights, np.float32).reshape(len(keys), len(self.classes))
            self._table = keys[order], rows[order]
        keys, rows = self._table
        words = [_word_of(word, i == 0) for i, (word, _) in enumerate(pairs)]
        known = {tag: i for i, tag in enumerate(self.classes)}
        numbers = [known[tag] for _, tag in pairs]
        history = [-2, -1, *numbers]
        sure = []
        for i, ((word, _), number) in enumerate(zip(pairs, numbers, strict=True)):
            if word in self._fixed or not len(keys):
                sure.append(1.0 if word in self._fixed else 1 / len(self.classes))
                continue
            seen = np.array(_look(words, i, history[i + 1], history[i]), np.uint64)
            places = np.minimum(np.searchsorted(keys, seen), len(keys) - 1)
            scores = rows[places[keys[places] == seen]].sum(axis=0, dtype=np.float64)
            sure.append(float(1 / np.exp(scores - scores[number]).sum()))
        return sure

    def tag_sents(self, sentences: Iterable[Sequence[str]]) -> list[list[Pair]]:
        """:meth:`tag` for each, on several threads.

        Raises
        ------
        ArgumentError
            Nothing was learned, or a sentence is no list of str.
        """
        if self._own is None:
            raise ArgumentError("PerceptronTagger: nothing was learned; train or load first")
        kept = []
        for sentence in items_of("PerceptronTagger", "sentences", sentences):
            kept.append(items_of("PerceptronTagger", "a sentence", sentence))
            if not all(isinstance(word, str) for word in kept[-1]):
                raise ArgumentError("PerceptronTagger: words must be str")
        try:
            found = self._own.tag(kept, _threads())
        except UnicodeEncodeError:
            raise ArgumentError("PerceptronTagger: a word has an unpaired surrogate") from None
        numbers = iter(found)
        return [[(word, self.classes[next(numbers)]) for word in sentence] for sentence in kept]

    def accuracy(self, gold: Iterable[Sequence[Pair]]) -> float:
        """The share of words of tagged sentences that are given their tags."""
        name = "PerceptronTagger.accuracy"
        kept = [items_of(name, "a sentence", sentence) for sentence in items_of(name, "gold", gold)]
        try:
            words = [[word for word, _ in sentence] for sentence in kept]
        except (TypeError, ValueError):
            raise ArgumentError(f"{name}: sentences must be lists of (word, tag)") from None
        found = self.tag_sents(words)
        pairs = [
            (mine[1], theirs[1])
            for a, b in zip(found, kept, strict=True)
            for mine, theirs in zip(a, b, strict=True)
        ]
        return sum(mine == theirs for mine, theirs in pairs) / len(pairs) if pairs else 0.0

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model into a safetensors file, whole or not at all."""
        from safetensors.numpy import save

        from einkorn.checkpoint import write_whole

        if self._own is None:
            raise ArgumentError("PerceptronTagger: nothing was learned; train or load first")
        features, weights = self._own.weights()
        arrays: dict[str, np.ndarray] = {
            "features": np.frombuffer(features, np.uint64),
            "weights": np.frombuffer(weights, np.float32).reshape(-1, len(self.classes)),
        }
        about = {
            "format": "einkorn.PerceptronTagger",
            "classes": json.dumps(self.classes),
            "fixed": json.dumps(self._fixed),
        }
        write_whole(path, [save(arrays, about)])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> PerceptronTagger:
        """Read what :meth:`save` wrote.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            It is another file, or damaged.
        """
        from einkorn.text.vector_files import read_tensors

        tensors, about = read_tensors(path, "einkorn.PerceptronTagger")
        model = cls()
        try:
            model.classes = [str(tag) for tag in json.loads(about["classes"])]
            model._fixed = {str(word): str(tag) for word, tag in json.loads(about["fixed"]).items()}
            features, weights = tensors["features"], tensors["weights"]
            if features.dtype != np.uint64 or weights.dtype != np.float32 or not model.classes:
                raise ValueError("the arrays have other types")
            if weights.shape != (len(features), len(model.classes)) or features.ndim != 1:
                raise ValueError("the arrays have other shapes")
            model._make()
            model._own.put(features.tobytes(), weights.tobytes())
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path}: damaged: {error}") from None
        return model
