"""Vectors of words by name: what is near, what is to a word as another is to a third, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn._near import MissingNameError
from einkorn.errors import ArgumentError, ShapeError
from einkorn.text._arguments import items_of, real_number, whole_number
from einkorn.text._corpus import check_words
from einkorn.text.evaluation import Evaluations
from einkorn.text.similarity import products, top
from einkorn.text.stored_vectors import StoredVectors

__all__ = ["KeyedVectors"]

_COUNTS = "counts lists how often words occur"

#: gensim's names that have no equal here, and what to do instead.
_INSTEAD = {
    **dict.fromkeys(("index2word", "index2entity"), "use index_to_key"),
    **dict.fromkeys(("expandos", "set_vecattr", "allocate_vecattrs"), _COUNTS),
    **dict.fromkeys(("vectors_norm", "syn0norm"), "use get_normed_vectors()"),
    **dict.fromkeys(("log_accuracy", "log_evaluate_word_pairs"), "what evaluations return is all they say"),
    "vocab": "use key_to_index, and get_vecattr(word, 'count')",
    "syn0": "use vectors",
    "word_vec": "use get_vector",
    "words_closer_than": "use closer_than",
    "accuracy": "use evaluate_word_analogies",
    "init_sims": "lengths are computed when they are first asked for; fill_norms forgets them",
    "norms": "use numpy.linalg.norm(vectors, axis=1)",
    "wmdistance": "distances of texts by transport are not computed here; n_similarity compares their means",
    "similarity_unseen_docs": "n_similarity compares the means of two lists of words",
    "intersect_word2vec_format": "load_word2vec_format reads a file, add_vectors takes its rows",
    "resize_vectors": "add_vectors makes room",
    "add_lifecycle_event": "vectors keep no diary",
}


class KeyedVectors(StoredVectors, Evaluations):
    """Words and their vectors; names are those of gensim's class.

    Parameters
    ----------
    words
        Different strings; or without ``vectors`` how many numbers a vector has, for words that
        :meth:`add_vectors` will bring.
    vectors
        Array (words, width), kept as float32.
    counts
        How often each word occurs, where that is known.

    Attributes
    ----------
    index_to_key : list of str
        The words.
    key_to_index : dict
        Their numbers.
    vectors : float32 array (words, width)

    Raises
    ------
    ShapeError
        There is another number of vectors than of words.
    ArgumentError
        A word occurs twice.
    """

    def __init__(
        self, words: Iterable[str] | int, vectors: Any = None, counts: Sequence[int] | None = None
    ) -> None:
        if vectors is None:  # gensim's KeyedVectors(vector_size)
            width = whole_number("KeyedVectors", "vector_size", words, 1, 2**31 - 1)
            words, vectors = [], np.zeros((0, width), np.float32)
        self.index_to_key = items_of("KeyedVectors", "words", words)
        check_words("KeyedVectors", self.index_to_key)
        self.vectors = _numbers("KeyedVectors", "vectors", vectors)
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.index_to_key):
            raise ShapeError(
                f"KeyedVectors: vectors has shape {self.vectors.shape}, "
                f"expected ({len(self.index_to_key)}, n)"
            )
        self.key_to_index = {word: i for i, word in enumerate(self.index_to_key)}
        if len(self.key_to_index) != len(self.index_to_key):
            twice = next(w for i, w in enumerate(self.index_to_key) if self.key_to_index[w] != i)
            raise ArgumentError(f"KeyedVectors: the word {twice!r} occurs twice")
        self.counts: list[int] | None = None
        if counts is not None:
            listed = items_of("KeyedVectors", "counts", counts)
            self.counts = [whole_number("KeyedVectors", "a count", count, 0, 2**63 - 1) for count in listed]
            if len(self.counts) != len(self.index_to_key):
                raise ShapeError(
                    f"KeyedVectors: there are {len(self.counts)} counts, and {len(self.index_to_key)} words"
                )
        self._unit: np.ndarray | None = None

    def __getattr__(self, name: str) -> Any:
        raise MissingNameError("KeyedVectors", name, lambda: dir(type(self)), _INSTEAD)

    @property
    def vector_size(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: Any) -> bool:
        return word in self.key_to_index

    def __iter__(self) -> Iterator[str]:
        return iter(self.index_to_key)

    def __getitem__(self, word: str | Sequence[str]) -> np.ndarray:
        """The vector of a word, or of several (n, width)."""
        if isinstance(word, str):
            return self.get_vector(word)
        listed = items_of("KeyedVectors", "words", word)
        return self.vectors[[self._index(each) for each in listed]]

    def get_vector(self, word: str, norm: bool = False) -> np.ndarray:
        """The vector of a word; with ``norm`` scaled to length 1.

        Raises
        ------
        ArgumentError
            The word is not there.
        """
        return self._units()[self._index(word)] if norm else self.vectors[self._index(word)]

    def get_normed_vectors(self) -> np.ndarray:
        """All vectors, scaled to length 1."""
        return self._units().copy()

    def get_vecattr(self, key: str, attr: str) -> int:
        """What is known of a word beside its vector: "count", how often it occurs."""
        number = self._index(key)
        if attr != "count" or self.counts is None:
            raise ArgumentError(f"get_vecattr: {attr!r} is not known of the words")
        return self.counts[number]

    def get_mean_vector(
        self,
        keys: Iterable[Any],
        weights: Sequence[float] | None = None,
        pre_normalize: bool = True,
        post_normalize: bool = False,
        ignore_missing: bool = True,
    ) -> np.ndarray:
        """The mean of several words' vectors, with weights, of length 1 before and after where that is asked
        for; words that are not there are left out unless ``ignore_missing`` is false. Vectors in the place of
        words stay as long as they are, as with gensim's class.
        """
        op = "get_mean_vector"
        listed = items_of(op, "keys", keys)
        shares = np.ones(len(listed)) if weights is None else np.asarray(weights, np.float64)
        if not listed or shares.shape != (len(listed),) or not np.isfinite(shares).all():
            raise ArgumentError(f"{op}: there must be keys, and as many finite weights")
        total, mean = 0.0, np.zeros(self.vector_size)
        for key, share in zip(listed, shares, strict=True):
            if isinstance(key, str) and key not in self and ignore_missing:
                continue
            if isinstance(key, str):
                vector = self.get_vector(key, pre_normalize)
            else:
                vector = _numbers(op, "a vector", key)
            mean, total = mean + share * vector, total + abs(share)
        mean = mean / total if total else mean
        size = float(np.linalg.norm(mean)) if post_normalize else 1.0
        return (mean / (size or 1)).astype(np.float32)

    def add_vectors(
        self, keys: Sequence[str], weights: Any, extras: None = None, replace: bool = False
    ) -> None:
        """Add words with their vectors; of those that are there the vectors stay, or with ``replace`` change.

        ``extras`` must be None. The words have count 0 where counts are known.
        """
        op = "add_vectors"
        if extras is not None:
            raise ArgumentError(f"{op}: extras must be None")
        listed, rows = items_of(op, "keys", keys), _numbers(op, "weights", weights)
        check_words(op, listed)
        if rows.shape != (len(listed), self.vector_size):
            raise ShapeError(
                f"{op}: weights has shape {rows.shape}, expected ({len(listed)}, {self.vector_size})"
            )
        new = {word: i for i, word in reversed(list(enumerate(listed))) if word not in self}
        fresh = sorted(new, key=new.__getitem__)
        if replace:
            self.vectors = self.vectors.copy()
            for word, row in zip(listed, rows, strict=True):
                if word not in new:
                    self.vectors[self.key_to_index[word]] = row
        self.vectors = np.concatenate([self.vectors, rows[[new[word] for word in fresh]]])
        self.key_to_index |= {word: len(self) + i for i, word in enumerate(fresh)}
        self.index_to_key = [*self.index_to_key, *fresh]
        if self.counts is not None:
            self.counts = [*self.counts, *[0] * len(fresh)]
        self.fill_norms()

    def add_vector(self, key: str, vector: Any) -> int:
        """Add a word, or give it another vector; its number."""
        self.add_vectors([key], [vector], replace=True)
        return self.key_to_index[key]

    def has_index_for(self, key: Any) -> bool:
        """Whether a word is there."""
        return key in self.key_to_index

    def get_index(self, key: str, default: int | None = None) -> int:
        """The number of a word; of one that is not there ``default``, or an error without it."""
        return self._index(key) if default is None or key in self.key_to_index else default

    def _index(self, word: Any) -> int:
        number = self.key_to_index.get(word) if isinstance(word, str) else None
        if number is None:
            raise ArgumentError(f"KeyedVectors: the word {word!r} is not there")
        return number

    def _units(self) -> np.ndarray:
        if self._unit is None:
            # Squares in float64: those of very large and very small numbers are not float32.
            squares = np.einsum("ij,ij->i", self.vectors, self.vectors, dtype=np.float64)
            sizes = np.sqrt(squares).astype(np.float32)[:, None]
            self._unit = self.vectors / np.where(sizes == 0, np.float32(1), sizes)
        return self._unit

    def fill_norms(self, force: bool = False) -> None:
        """Forget lengths that were kept, in any case: to be called after ``vectors`` was changed."""
        self._unit = None

    def vectors_for_all(
        self, keys: Iterable[str], allow_inference: bool = True, copy_vecattrs: bool = False
    ) -> KeyedVectors:
        """The vectors of these words alone, each once; words that are not there are left out.

        Parameters
        ----------
        keys
            Words.
        allow_inference
            Whether words that were not seen have the vectors of their subwords, where the model has such.
        copy_vecattrs
            Whether counts are taken over, 0 for words that were not seen.
        """
        op = "vectors_for_all"
        listed = list(dict.fromkeys(items_of(op, "keys", keys)))
        kept = [key for key in listed if key in (self if allow_inference else self.key_to_index)]
        rows = np.array([self.get_vector(key) for key in kept], np.float32).reshape(-1, self.vector_size)
        counts = None
        if copy_vecattrs and self.counts is not None:
            numbers = [self.key_to_index.get(key) for key in kept]
            counts = [0 if number is None else self.counts[number] for number in numbers]
        return KeyedVectors(kept, rows, counts)

    def unit_normalize_all(self) -> None:
        """Scale all vectors to length 1, for good; those of zeros stay."""
        self.vectors = self.get_normed_vectors()
        self.fill_norms()

    def sort_by_descending_frequency(self) -> None:
        """Put the most frequent words first; of equally frequent ones the last, as gensim's class does.

        Raises
        ------
        ArgumentError
            How often words occur is not known.
        """
        if self.counts is None:
            raise ArgumentError("sort_by_descending_frequency: how often words occur is not known")
        order = np.argsort(np.array(self.counts, np.int64), kind="stable")[::-1].tolist()
        self.index_to_key = [self.index_to_key[i] for i in order]
        self.counts = [self.counts[i] for i in order]
        self.vectors = self.vectors[order]
        self.key_to_index = {word: i for i, word in enumerate(self.index_to_key)}
        self.fill_norms()

    # -------------------- what is alike

    def _vector_of(self, op: str, item: Any, weight: float) -> tuple[np.ndarray, int | None]:
        if isinstance(item, tuple):
            if len(item) != 2:
                raise ArgumentError(f"{op}: a pair is (word, weight), got {item!r}")
            item, weight = item[0], weight * real_number(op, "a weight", item[1])
        if isinstance(item, str):
            number = self._index(item)
            return self._units()[number] * np.float32(weight), number
        vector = _numbers(op, "a vector", item)
        if vector.shape != (self.vector_size,):
            raise ShapeError(f"{op}: a vector has shape {vector.shape}, expected ({self.vector_size},)")
        size = float(np.linalg.norm(vector.astype(np.float64)))
        return vector * np.float32(weight / size if size else 0), None

    def most_similar(
        self,
        positive: Any = None,
        negative: Any = None,
        topn: int | None = 10,
        clip_start: int = 0,
        clip_end: int | None = None,
        restrict_vocab: int | None = None,
    ) -> Any:
        """The words whose vectors have the largest cosine with the sum of those of ``positive`` less those of
        ``negative``, each of length 1: ``most_similar(["king", "woman"], ["man"])``.

        Parameters
        ----------
        positive, negative
            A word, a vector, a pair (word, weight), or a list of such.
        topn
            How many; None: the cosines of all words.
        clip_start, clip_end, restrict_vocab
            Words by number that are looked at; ``restrict_vocab`` is ``clip_end``.

        Returns
        -------
        list of (str, float)
            Words that were asked for left out.

        Raises
        ------
        ArgumentError
            A word is not there, or there is none.
        """
        positive, negative = _listed(positive), _listed(negative)
        if not positive and not negative:
            raise ArgumentError("most_similar: positive and negative are empty")
        if topn is not None:
            topn = whole_number("most_similar", "topn", topn, 0)
        signed = [(x, 1.0) for x in positive] + [(x, -1.0) for x in negative]
        pairs = [self._vector_of("most_similar", x, sign) for x, sign in signed]
        asked = {number for _, number in pairs if number is not None}
        mean: np.ndarray = np.stack([vector for vector, _ in pairs]).sum(axis=0, dtype=np.float32)
        size = np.linalg.norm(mean)
        end = clip_end if restrict_vocab is None else restrict_vocab
        try:
            clip_start, end, _ = slice(clip_start, end).indices(len(self))
        except TypeError:
            raise ArgumentError(
                f"most_similar: clip_start, clip_end and restrict_vocab must be whole numbers, got "
                f"{clip_start!r}, {clip_end!r} and {restrict_vocab!r}"
            ) from None
        rows = self._units()[clip_start:end]
        scores = products(rows, (mean / size if size else mean)[None, :])[0]
        if topn is None:
            return scores
        return self._best(scores, topn, asked, clip_start)

    def most_similar_cosmul(
        self,
        positive: Any = None,
        negative: Any = None,
        topn: int | None = 10,
        restrict_vocab: int | None = None,
    ) -> Any:
        """:meth:`most_similar` by products in the place of sums (Levy and Goldberg 2014, 3CosMul): of each
        word the product of ``(1 + cosine) / 2`` with those of ``positive``, over that with those of
        ``negative`` and one millionth. One large similarity decides less.

        Parameters
        ----------
        positive, negative
            A word, a vector, or a list of such.
        topn
            How many; None: the numbers of all words.
        restrict_vocab
            How many words are looked at, from the first on.

        Raises
        ------
        ArgumentError
            A word is not there, or there is none.
        """
        op = "most_similar_cosmul"
        sides = _listed(positive), _listed(negative)
        if not any(sides):
            raise ArgumentError(f"{op}: positive and negative are empty")
        if any(isinstance(item, tuple) for side in sides for item in side):
            raise ArgumentError(f"{op}: weights have no meaning in a product; give words or vectors")
        if topn is not None:
            topn = whole_number(op, "topn", topn, 0)
        if restrict_vocab is not None:
            restrict_vocab = whole_number(op, "restrict_vocab", restrict_vocab, 0)
        rows = self._units()[:restrict_vocab]
        asked: set[int] = set()
        factors = []
        for side in sides:
            found = [self._vector_of(op, item, 1.0) for item in side]
            asked |= {number for _, number in found if number is not None}
            vectors = np.stack([vector for vector, _ in found]) if found else rows[:0]
            factors.append(np.prod((1 + products(rows, vectors)) / 2, axis=0, dtype=np.float32))
        scores = factors[0] / (factors[1] + np.float32(1e-6))
        return scores if topn is None else self._best(scores, topn, asked)

    def _best(
        self, scores: np.ndarray, topn: int, asked: set[int], first: int = 0
    ) -> list[tuple[str, float]]:
        """The words with the largest of these numbers, those asked for left out."""
        count = min(topn + len(asked), len(scores))
        if count == 0:
            return []
        values, places = top(scores[None, :], count)
        found = [
            (self.index_to_key[place], float(value))
            for place, value in zip((places[0] + first).tolist(), values[0], strict=True)
            if place not in asked
        ]
        return found[:topn]

    def similar_by_word(self, word: str, topn: int | None = 10, restrict_vocab: int | None = None) -> Any:
        """:meth:`most_similar` of one word."""
        return self.most_similar(positive=[word], topn=topn, restrict_vocab=restrict_vocab)

    similar_by_key = similar_by_word

    def similar_by_vector(self, vector: Any, topn: int | None = 10, restrict_vocab: int | None = None) -> Any:
        """:meth:`most_similar` of one vector."""
        return self.most_similar(positive=[np.asarray(vector)], topn=topn, restrict_vocab=restrict_vocab)

    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> list[tuple[str, float]]:
        """What is to ``c`` as ``b`` is to ``a``: ``analogy("man", "king", "woman")``."""
        found: list[tuple[str, float]] = self.most_similar([b, c], [a], topn)
        return found

    def similarity(self, w1: str, w2: str) -> float:
        """The cosine of two words."""
        return float(np.dot(self.get_vector(w1, norm=True), self.get_vector(w2, norm=True)))

    def most_similar_to_given(self, key1: str, keys_list: Sequence[str]) -> str:
        """The word of a list that is most similar to a word."""
        listed = items_of("most_similar_to_given", "keys_list", keys_list)
        if not listed:
            raise ArgumentError("most_similar_to_given: keys_list is empty")
        return str(listed[int(np.argmax([self.similarity(key1, key) for key in listed]))])

    def relative_cosine_similarity(self, wa: str, wb: str, topn: int = 10) -> float:
        """The cosine of two words over the sum of those of the ``topn`` words nearest to the first
        (Leeuwenberg et al. 2016).
        """
        nearest = self.similar_by_word(wa, whole_number("relative_cosine_similarity", "topn", topn, 1))
        if not nearest:
            raise ArgumentError("relative_cosine_similarity: there is no other word")
        return self.similarity(wa, wb) / sum(cosine for _, cosine in nearest)

    def rank_by_centrality(self, words: Sequence[str], use_norm: bool = True) -> list[tuple[float, str]]:
        """Words with their products with the mean of all, largest first; those not there are left out."""
        op = "rank_by_centrality"
        known = [word for word in items_of(op, "words", words) if word in self]
        if not known:
            raise ArgumentError(f"{op}: none of the words {list(words)!r:.60} is there")
        rows = np.stack([self.get_vector(word, norm=use_norm) for word in known])
        near = rows @ self.get_mean_vector(list(rows), post_normalize=True)
        return sorted(zip(near.tolist(), known, strict=True), reverse=True)

    @staticmethod
    def cosine_similarities(vector_1: Any, vectors_all: Any) -> np.ndarray:
        """The cosines of a vector with the rows of an array."""
        op = "cosine_similarities"
        one, rows = _numbers(op, "vector_1", vector_1), _numbers(op, "vectors_all", vectors_all)
        if one.ndim != 1 or rows.ndim != 2 or rows.shape[1] != len(one):
            raise ShapeError(f"{op}: vector_1 has shape {one.shape} and vectors_all {rows.shape}")
        sizes = np.linalg.norm(one.astype(np.float64)) * np.linalg.norm(rows.astype(np.float64), axis=1)
        found: np.ndarray = (rows.astype(np.float64) @ one) / np.where(sizes == 0, 1, sizes)
        return found.astype(np.float32)

    def distance(self, w1: str, w2: str) -> float:
        """1 less the cosine."""
        return 1 - self.similarity(w1, w2)

    def distances(self, word_or_vector: Any, other_words: Sequence[str] = ()) -> np.ndarray:
        """1 less the cosines of a word or a vector with others, by default with all."""
        rows = self._units()
        if len(others := items_of("distances", "words", other_words)):
            rows = rows[[self._index(other) for other in others]]
        vector, _ = self._vector_of("distances", word_or_vector, 1.0)
        asked: np.ndarray = 1 - products(rows, vector[None, :])[0]
        return asked

    def closer_than(self, key1: str, key2: str) -> list[str]:
        """The words that are nearer to ``key1`` than ``key2`` is."""
        away = self.distances(key1)
        near = np.flatnonzero(away < away[self._index(key2)]).tolist()
        return [self.index_to_key[i] for i in near if i != self._index(key1)]

    def rank(self, key1: str, key2: str) -> int:
        """The place of ``key2`` among the words nearest to ``key1``, from 1 on."""
        return len(self.closer_than(key1, key2)) + 1

    def n_similarity(self, ws1: Sequence[str], ws2: Sequence[str]) -> float:
        """The cosine of the means of two lists of words."""
        ws1, ws2 = items_of("n_similarity", "words", ws1), items_of("n_similarity", "words", ws2)
        if not ws1 or not ws2:
            raise ArgumentError("n_similarity: both lists must have a word")
        means = [np.mean([self.get_vector(w, norm=True) for w in words], axis=0) for words in (ws1, ws2)]
        sizes = [np.linalg.norm(mean) for mean in means]
        return float(np.dot(*means) / (sizes[0] * sizes[1])) if all(sizes) else 0.0

    def doesnt_match(self, words: Sequence[str]) -> str:
        """The word that is furthest from the mean of all; words that are not there are left out."""
        words = items_of("doesnt_match", "words", words)
        known = [word for word in words if isinstance(word, str) and word in self.key_to_index]
        if not known:
            raise ArgumentError(f"doesnt_match: none of the words {list(words)!r} is there")
        units = np.stack([self.get_vector(word, norm=True) for word in known])
        return known[int(np.argmin(units @ units.mean(axis=0)))]

    def plot(self, words: Sequence[str] | None = None, ax: Any = None) -> Any:
        """A picture in two dimensions: the first two principal components of the words' vectors.

        Parameters
        ----------
        words
            Which; by default the first 50.
        ax
            matplotlib axes; by default those of a new figure.

        Returns
        -------
        the axes
        """
        ax = _extras.axes_for(ax, "KeyedVectors.plot")
        shown = list(self.index_to_key[:50] if words is None else words)
        if not shown:
            raise ArgumentError("KeyedVectors.plot: there are no words")
        rows = self[shown].astype(np.float64)
        rows -= rows.mean(axis=0)
        _, _, directions = np.linalg.svd(rows, full_matrices=False)
        places = np.zeros((len(shown), 2))
        flat = rows @ directions[:2].T
        places[:, : flat.shape[1]] = flat
        ax.scatter(places[:, 0], places[:, 1], s=8)
        for word, (x, y) in zip(shown, places, strict=True):
            ax.annotate(word, (x, y))
        return ax


def _listed(items: Any) -> list[Any]:
    if items is None:
        return []
    if isinstance(items, str) or (
        isinstance(items, tuple) and len(items) == 2 and isinstance(items[1], Real)
    ):
        return [items]
    if isinstance(items, np.ndarray) and items.ndim == 1 and items.dtype.kind not in "US":
        return [items]
    return items_of("most_similar", "positive and negative", items)


def _numbers(op: str, what: str, numbers: Any) -> np.ndarray:
    try:
        array = np.asarray(numbers)
        if array.dtype.kind == "c":
            raise TypeError("they are complex")
        return np.ascontiguousarray(array, np.float32)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{op}: {what} must be real numbers: {error}") from None
