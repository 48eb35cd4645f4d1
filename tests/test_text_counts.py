"""Counts of terms beside scikit-learn's; cosines and nearest rows."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction import text as reference
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity as reference_cosine
from sklearn.pipeline import make_pipeline
from text_samples import SENTENCES, random_texts

import einkorn.text as et
from einkorn import get_num_threads, set_num_threads
from einkorn.errors import ArgumentError, ShapeError
from einkorn.text import _engine, _plain
from einkorn.text.similarity import top

TEXTS = [
    "the pizza pizza beer copyright",
    "the pizza burger beer copyright",
    "The the PIZZA beer beer copyright",
    "the burger beer beer copyright 7 x",
    "",
    "the coke  burger\n\tcoke copyright",
    "\u00c9t\u00e9 \u0130stanbul na\u00efve \u2122 \u03a3\u0391\u03a3 don't_stop a_b",
    b"bytes are taken too",
    SENTENCES,
    *random_texts(60, 11),
]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"ngram_range": (1, 3)},
    {"ngram_range": (3, 4)},
    {"ngram_range": (4, 5)},
    {"ngram_range": (2, 2), "stop_words": "english"},
    {"stop_words": ["the", "beer"], "ngram_range": (1, 2)},
    {"analyzer": "char", "ngram_range": (1, 4)},
    {"analyzer": "char_wb", "ngram_range": (2, 5)},
    {"analyzer": "char_wb", "ngram_range": (9, 12), "lowercase": False},
    {"lowercase": False},
    {"strip_accents": "unicode"},
    {"strip_accents": "ascii", "analyzer": "char", "ngram_range": (2, 2)},
    {"strip_accents": str.swapcase},
    {"preprocessor": lambda text: text[:20]},
    {"tokenizer": str.split, "token_pattern": None},
    {"token_pattern": r"(?u)\b\w+\b"},
    {"token_pattern": r"[a-z]+"},
    {"analyzer": lambda text: list(str(text)[:5])},
    {"binary": True, "dtype": np.float32},
]
VOCABULARIES: list[dict[str, Any]] = [
    {"min_df": 2},
    {"max_df": 0.5, "min_df": 0.02},
    {"max_features": 7},
    {"max_features": 7, "ngram_range": (1, 2), "min_df": 2},
    {"vocabulary": ["pizza", "beer", "the"]},
    {"vocabulary": {"beer": 1, "pizza": 0}},
]


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.indices.dtype == theirs.indices.dtype
    assert ours.shape == theirs.shape
    assert ours.nnz == theirs.nnz
    if ours.dtype.kind == "f":  # norms are sums in another order
        ours, theirs = ours.sorted_indices(), theirs.sorted_indices()
        np.testing.assert_array_equal(ours.indptr, theirs.indptr)
        np.testing.assert_array_equal(ours.indices, theirs.indices)
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-6 if ours.dtype == np.float32 else 1e-12)
    else:
        assert abs(ours - theirs).nnz == 0


@pytest.mark.parametrize("options", OPTIONS + VOCABULARIES)
@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
def test_results_are_those_of_scikit_learn(name: str, options: dict[str, Any]) -> None:
    if name == "TfidfVectorizer" and "dtype" in options:
        options = options | {"sublinear_tf": True, "norm": "l1", "smooth_idf": False}
    ours, theirs = getattr(et, name)(**options), getattr(reference, name)(**options)
    same(ours.fit_transform(TEXTS), theirs.fit_transform(TEXTS))
    assert ours.vocabulary_ == theirs.vocabulary_
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    same(ours.transform(TEXTS[::-1]), theirs.transform(TEXTS[::-1]))
    found = [sorted(row) for row in ours.inverse_transform(ours.transform(TEXTS[:3]))]
    assert found == [sorted(row) for row in theirs.inverse_transform(theirs.transform(TEXTS[:3]))]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    "more", [{}, {"n_features": 97, "alternate_sign": False, "norm": None}, {"n_features": 5, "norm": "l1"}]
)
def test_hashing_is_that_of_scikit_learn(options: dict[str, Any], more: dict[str, Any]) -> None:
    options = more | options
    same(
        et.HashingVectorizer(**options).transform(iter(TEXTS)),
        reference.HashingVectorizer(**options).transform(TEXTS),
    )


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of threads back."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
@pytest.mark.parametrize("options", [OPTIONS[i] for i in (0, 3, 4, 5, 7, 8)])
def test_both_forms_and_any_threads_agree(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, threads: None
) -> None:
    texts = [*TEXTS, *(SENTENCES * 30 for _ in range(6))]  # enough for several threads
    results = []
    for count in (1, 2, 3):
        set_num_threads(count)
        results.append(et.CountVectorizer(**options).fit_transform(texts))
    hashed = et.HashingVectorizer(**options).transform(texts)
    monkeypatch.setattr(_engine, "form", _plain)
    for found in results:
        same(found, et.CountVectorizer(**options).fit_transform(texts))
    same(hashed, et.HashingVectorizer(**options).transform(texts))


def test_surrogates_are_characters_as_in_scikit_learn() -> None:
    texts = ["a\ud800b cd", "cd"]
    same(et.CountVectorizer().fit_transform(texts), reference.CountVectorizer().fit_transform(texts))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t: t.CountVectorizer().fit(["", " "]), "empty vocabulary"),
        (lambda t: t.CountVectorizer().fit("a text"), "string object received"),
        (lambda t: t.CountVectorizer(ngram_range=(2, 1)).fit(["a b"]), "ngram_range"),
        (lambda t: t.CountVectorizer(analyzer="words").fit(["a b"]), "analyzer"),
        (lambda t: t.CountVectorizer(min_df=3, max_df=1).fit(["aa bb", "bb cc"]), "max_df"),
        (lambda t: t.CountVectorizer(vocabulary=["a", "a"]).fit(["a b"]), "Duplicate"),
        (lambda t: t.CountVectorizer().fit([np.nan]), "np.nan"),
        (lambda t: t.CountVectorizer().fit([b"\xff"]), "utf-8"),
        (lambda t: t.HashingVectorizer().transform("a"), "string object received"),
        (lambda t: t.TfidfVectorizer(norm="l3").fit(["ab"]), "norm"),
    ],
)
def test_errors_are_those_of_scikit_learn(call: Any, error: str) -> None:
    messages = []
    for module in (et, reference):
        with pytest.raises(ValueError, match=error) as caught:
            call(module)
        messages.append(str(caught.value).replace("einkorn.text.counts", ""))
    assert messages[0] == messages[1]


def test_they_are_estimators() -> None:
    vectorizer = et.CountVectorizer(ngram_range=(1, 2), min_df=2)
    copied = clone(vectorizer)
    assert copied.get_params() == vectorizer.get_params()
    assert (
        et.CountVectorizer(ngram_range=(1, 2)).get_params()
        == reference.CountVectorizer(ngram_range=(1, 2)).get_params()
    )
    texts = ["good film", "fine good story", "bad film", "dull bad story"] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make_pipeline(et.TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 1, 0, 0] * 3)
    assert model.predict(["good", "bad bad"]).tolist() == [1, 0]


def test_the_course_weights() -> None:
    # 2,000 words of which 30 are "get", in 6,000 of 10,000 documents
    def weight(count: int, others: int, documents: int, having: int, base: float | None) -> float:
        rows = sparse.lil_matrix((documents, 2))
        rows[0, 0], rows[0, 1] = count, others
        rows[1:having, 0] = 1
        transformer = et.TfidfTransformer(weighting="relative", base=base)
        return float(transformer.fit_transform(rows.tocsr())[0, 0])

    assert round(weight(30, 1970, 10_000, 6_000, None), 4) == 0.0077
    assert round(weight(30, 1970, 10_000, 6_000, 10), 4) == 0.0033
    assert weight(10, 1990, 10_000, 160, None) == pytest.approx(10 / 2000 * math.log(10_000 / 160))


def test_the_usual_weights_are_those_of_scikit_learn() -> None:
    counts = et.CountVectorizer().fit_transform(TEXTS)
    for options in ({}, {"smooth_idf": False, "norm": None}, {"use_idf": False, "sublinear_tf": True}):
        same(
            et.TfidfTransformer(**options).fit_transform(counts),
            reference.TfidfTransformer(**options).fit_transform(counts),
        )
    with pytest.raises(ArgumentError, match="weighting must be"):
        et.TfidfTransformer(weighting="course").fit(counts)
    with pytest.raises(ArgumentError, match="base must be"):
        et.TfidfTransformer(weighting="relative", base=1).fit(counts)


def test_cosines_and_nearest_rows() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(30, 9))
    dense[3] = 0
    thin = sparse.random(20, 9, 0.4, "csr", rng=rng)
    for x, y in ((dense, None), (dense, thin), (thin, None), (thin, dense)):
        np.testing.assert_allclose(et.cosine_similarity(x, y), reference_cosine(x, y), atol=1e-12)
    assert sparse.issparse(et.cosine_similarity(thin, dense_output=False))
    scores, places = et.nearest_rows(dense[:4], dense, 6)
    expected = reference_cosine(dense[:4], dense)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :6], atol=1e-12)
    assert places[:3, 0].tolist() == [0, 1, 2]
    assert places[3].tolist() == [0, 1, 2, 3, 4, 5]  # a row of zeros is equally far from all
    with pytest.raises(ArgumentError, match="n_neighbors must be a whole number from 1 to 30, got 31"):
        et.nearest_rows(dense, dense, 31)
    with pytest.raises(ShapeError, match="rows of 9"):
        et.cosine_similarity(dense, dense[:, :4])


@pytest.mark.parametrize("kinds", [7, 5000])
def test_the_largest_of_many(kinds: int) -> None:
    scores = np.random.default_rng(0).integers(0, kinds, (3, 5000)).astype(np.float32)
    scores[1, :200] = -np.inf
    for count in (1, 10, 100, 5000):
        values, places = top(scores, count)
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(places, expected)
        np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))
    scores[0, ::64] = np.nan
    assert not np.isnan(top(scores, 10)[0]).any()
    scores[:, 5:] = np.nan
    assert top(scores, 8)[1][:, 5:].tolist() == [[5, 6, 7]] * 3
