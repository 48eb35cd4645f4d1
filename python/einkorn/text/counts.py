"""Counts of words as scikit-learn's estimators, with its options and results: what is slow in them, cutting
texts into terms and counting those, runs compiled and on several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn.errors import ArgumentError
from einkorn.text import _engine
from einkorn.text._arguments import real_number, whole_number
from einkorn.text.tokenizer import _threads

try:
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.feature_extraction import text as _sk
    from sklearn.preprocessing import normalize
    from sklearn.utils.validation import check_array, check_is_fitted
except ImportError as error:
    raise _extras.missing(error, "einkorn.text.counts", "text") from error

__all__ = ["CountVectorizer", "HashingVectorizer", "TfidfTransformer", "TfidfVectorizer"]

# Patterns of words that are stretches of word characters, and how long those are at least.
_SHORTEST = {
    r"(?u)\b\w\w+\b": 2,
    r"\b\w\w+\b": 2,
    r"\w\w+": 2,
    r"(?u)\b\w+\b": 1,
    r"\b\w+\b": 1,
    r"\w+": 1,
    r"(?u)\w+": 1,
    r"(?u)\b\w\w\w+\b": 3,
    r"\b\w\w\w+\b": 3,
}


@cache
def _csr() -> Any:
    """The class of sparse matrices that this scikit-learn returns."""
    return type(FeatureHasher(n_features=1, input_type="string").transform([["a"]]))


class _Counting:
    """What the vectorizers share: whether the compiled form does what they ask, and asking it."""

    def _counted(self: Any, raw_documents: Iterable[Any], **options: Any) -> Any:
        """Terms, and rows of (term, count); None where scikit-learn's own way is to be gone."""
        if callable(self.analyzer) or self.tokenizer is not None:
            return None
        least, most = self.ngram_range
        shortest = _SHORTEST.get(self.token_pattern) if self.analyzer == "word" else 1
        if shortest is None or least < 1:
            return None
        self.build_analyzer()  # warns of stop words that do not fit
        stop = self.get_stop_words() if self.analyzer == "word" else None
        if stop is not None and not all(isinstance(word, str) for word in stop):
            return None
        prepare, lower = self._prepared()
        documents = [prepare(text) for text in raw_documents]
        counter = _engine.form.Documents(
            _engine.word_characters(),
            self.analyzer,
            least,
            most,
            shortest,
            lower,
            stop,
            options.get("terms"),
            options.get("places", 0),
            options.get("alternate_sign", False),
        )
        try:
            names, ends, terms, counts = counter.count(documents, _threads())
        except UnicodeEncodeError:  # an unpaired surrogate, which scikit-learn takes for a character
            return None
        indptr = np.zeros(len(documents) + 1, np.int64)
        indptr[1:] = np.frombuffer(ends, np.int64)
        indices = np.frombuffer(terms, np.int32)
        if indptr[-1] <= np.iinfo(np.int32).max:
            indptr = indptr.astype(np.int32)
        else:
            indices = indices.astype(np.int64)
        return names, indptr, indices, np.frombuffer(counts, np.int64)

    def _prepared(self: Any) -> tuple[Callable[[Any], str], bool]:
        """What makes a document a text, and whether its ASCII letters are still to be lowered."""
        decode = self.decode
        if self.preprocessor is not None or self.strip_accents is not None:
            preprocess = self.build_preprocessor()
            return lambda document: preprocess(decode(document)), False
        if not self.lowercase:
            return decode, False

        def lowered(document: Any) -> str:
            text: str = document if type(document) is str and self.input == "content" else decode(document)
            return text if text.isascii() else text.lower()

        return lowered, True

    def _count_vocab(self: Any, raw_documents: Iterable[Any], fixed_vocab: bool) -> Any:
        # scikit-learn's fit_transform and transform call this.
        documents = list(raw_documents)
        terms: Any = self.vocabulary_ if fixed_vocab else None
        if terms is not None and not _fits(terms):
            return super()._count_vocab(documents, fixed_vocab)  # type: ignore[misc]
        counted = self._counted(documents, terms=terms)
        if counted is None:
            return super()._count_vocab(documents, fixed_vocab)  # type: ignore[misc]
        names, indptr, indices, counts = counted
        if not fixed_vocab:
            if not names:
                raise ValueError("empty vocabulary; perhaps the documents only contain stop words")
            terms = dict(zip(names, range(len(names)), strict=True))
            self._ordered = terms
        shape = (len(documents), len(terms))
        rows = _csr()((counts.astype(self.dtype, copy=False), indices, indptr), shape=shape, copy=False)
        rows.has_sorted_indices = True
        return terms, rows

    def _sort_features(self: Any, X: Any, vocabulary: dict[Any, int]) -> Any:
        if vars(self).get("_ordered") is vocabulary:
            return X  # the compiled form numbers terms in their order
        return super()._sort_features(X, vocabulary)  # type: ignore[misc]

    def _limit_features(
        self: Any,
        X: Any,
        vocabulary: dict[Any, int],
        high: Any = None,
        low: Any = None,
        limit: int | None = None,
    ) -> Any:
        if vars(self).get("_ordered") is not vocabulary or limit is not None:
            return super()._limit_features(X, vocabulary, high, low, limit)  # type: ignore[misc]
        found = np.bincount(X.indices, minlength=X.shape[1])
        kept = (found <= (X.shape[0] if high is None else high)) & (found >= (0 if low is None else low))
        if kept.all():
            return X
        if not kept.any():
            raise ValueError("After pruning, no terms remain. Try a lower min_df or a higher max_df.")
        names = [term for term, keep in zip(vocabulary, kept.tolist(), strict=True) if keep]
        vocabulary.clear()
        vocabulary.update(zip(names, range(len(names)), strict=True))
        numbers = np.cumsum(kept) - 1
        entries = kept[X.indices]
        ends = np.concatenate([[0], np.cumsum(entries)])[X.indptr].astype(X.indptr.dtype)
        indices = numbers[X.indices[entries]].astype(X.indices.dtype)
        rows = _csr()((X.data[entries], indices, ends), shape=(X.shape[0], len(names)), copy=False)
        rows.has_sorted_indices = True
        return rows

    def fit_transform(self: Any, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the terms of texts and count them.

        Parameters
        ----------
        raw_documents : iterable of str, bytes or what ``input`` says
        y
            Not looked at.

        Returns
        -------
        sparse matrix (documents, terms)
        """
        try:
            return super().fit_transform(raw_documents, y)  # type: ignore[misc]
        finally:
            vars(self).pop("_ordered", None)


def _fits(terms: Mapping[Any, Any]) -> bool:
    return all(type(term) is str and 0 <= number < 2**31 - 1 for term, number in terms.items())


class CountVectorizer(_Counting, _sk.CountVectorizer):
    """How often each term occurs in each text: scikit-learn's estimator, with its options, attributes and
    results.

    Texts are cut and counted in C++ without the GIL on several threads (``einkorn.set_num_threads``), where
    words are stretches of word characters (``token_pattern`` as it is by default, or for words from one or
    three characters on) or n-grams of characters. A callable ``analyzer`` or ``tokenizer`` and other
    patterns run as in scikit-learn.

    Examples
    --------
    >>> from einkorn.text import CountVectorizer
    >>> counter = CountVectorizer()
    >>> counter.fit_transform(["the cat and the dog", "a dog"]).toarray().tolist()
    [[1, 1, 1, 2], [0, 0, 1, 0]]
    >>> counter.get_feature_names_out().tolist()
    ['and', 'cat', 'dog', 'the']
    """


class TfidfTransformer(_sk.TfidfTransformer):
    """Weights of counts: scikit-learn's estimator, and the weighting by shares beside it.

    Parameters
    ----------
    norm, use_idf, smooth_idf, sublinear_tf
        As in scikit-learn.
    weighting : {"sklearn", "relative"}
        "sklearn": counts times ``log((1 + N) / (1 + N_t)) + 1``, or what the options say.
        "relative": ``n_td / n_d * log(N / N_t)``, the share that a term has of a document's terms times the
        logarithm of documents over documents with the term (Salton and Buckley 1988). Rows are scaled by
        ``norm`` only where it is another than "l2", and ``smooth_idf`` says nothing.
    base : float, optional
        Of the logarithm of "relative"; by default it is the natural one.
    """

    idf_: Any

    def __init__(
        self,
        *,
        norm: str | None = "l2",
        use_idf: bool = True,
        smooth_idf: bool = True,
        sublinear_tf: bool = False,
        weighting: str = "sklearn",
        base: float | None = None,
    ) -> None:
        super().__init__(norm=norm, use_idf=use_idf, smooth_idf=smooth_idf, sublinear_tf=sublinear_tf)
        self.weighting = weighting
        self.base = base

    def fit(self, X: Any, y: Any = None) -> TfidfTransformer:
        """Learn how many documents have each term."""
        _check_weighting(self.weighting, self.base)
        super().fit(X, y)
        if self.weighting == "relative" and self.use_idf:
            rows = _as_csr(X)
            found = np.bincount(rows.indices, minlength=rows.shape[1])
            with np.errstate(divide="ignore"):
                idf = np.log(rows.shape[0] / found)
            idf[found == 0] = 0  # no document has the term, so nothing is weighted
            self.idf_ = (idf / (np.log(self.base) if self.base else 1.0)).astype(self.idf_.dtype)
        return self

    def transform(self, X: Any, copy: bool = True) -> Any:
        """The weights of counts [documents, terms], sparse."""
        if self.weighting == "sklearn":
            return super().transform(X, copy=copy)
        check_is_fitted(self, "n_features_in_")
        X = check_array(X, accept_sparse="csr", input_name="X")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        rows = _csr()(_as_csr(X).astype(np.float64, copy=True))
        sums = np.asarray(rows.sum(axis=1)).reshape(-1)
        data = 1 + np.log(rows.data) if self.sublinear_tf else rows.data
        data = data / np.repeat(np.where(sums == 0, 1, sums), np.diff(rows.indptr))
        rows.data = data * self.idf_[rows.indices] if self.use_idf else data
        if self.norm not in (None, "l2"):
            normalize(rows, norm=self.norm, copy=False)
        return rows


def _as_csr(X: Any) -> Any:
    from scipy import sparse

    rows = sparse.csr_matrix(X)
    rows.eliminate_zeros()
    return rows


def _check_weighting(weighting: Any, base: Any) -> None:
    if weighting not in ("sklearn", "relative"):
        raise ArgumentError(f"TfidfTransformer: weighting must be 'sklearn' or 'relative', got {weighting!r}")
    if base is not None and real_number("TfidfTransformer", "base", base, 0, above=True) == 1:
        raise ArgumentError("TfidfTransformer: base must be another than 1")


class TfidfVectorizer(_Counting, _sk.TfidfVectorizer):
    """:class:`CountVectorizer`, then :class:`TfidfTransformer` as scikit-learn has it: its estimator, with
    its options, attributes and results. For another weighting put the two into a pipeline.

    Examples
    --------
    >>> from einkorn.text import TfidfVectorizer
    >>> TfidfVectorizer().fit_transform(["a cat", "cat and dog"]).toarray().round(2).tolist()
    [[0.0, 1.0, 0.0], [0.63, 0.45, 0.63]]
    """


class HashingVectorizer(_Counting, _sk.HashingVectorizer):
    """Counts of terms at hashed places, without a vocabulary: scikit-learn's estimator, with its options and
    results.

    Places are those of MurmurHash3, as there. What runs compiled is what :class:`CountVectorizer` says.
    """

    def transform(self, X: Any) -> Any:
        """Counts [documents, n_features], sparse.

        Parameters
        ----------
        X : iterable of str, bytes or what ``input`` says
        """
        documents = X if isinstance(X, str) else list(X)
        if not isinstance(X, str) and documents:
            self._validate_ngram_range()
            places = whole_number("HashingVectorizer", "n_features", self.n_features, 1, 2**31 - 1)
            counted = self._counted(documents, places=places, alternate_sign=self.alternate_sign)
            if counted is not None:
                _, indptr, indices, counts = counted
                shape = (len(documents), places)
                rows = _csr()((counts.astype(self.dtype), indices, indptr), shape=shape, copy=False)
                if self.binary:
                    rows.data.fill(1)
                return rows if self.norm is None else normalize(rows, norm=self.norm, copy=False)
        return super().transform(documents)
