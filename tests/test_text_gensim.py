"""gensim's names: words around, loss, sentences of files, further questions, beside the library."""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError, MissingFileError, ShapeError

CORPUS = [["the", "king", "rules"], ["the", "queen", "rules"], ["a", "cat", "sleeps"]] * 30
SMALL: dict[str, Any] = {"vector_size": 8, "window": 2, "min_count": 1, "sample": 0, "alpha": 0.1}


@pytest.fixture(scope="module")
def gensim() -> Any:
    return pytest.importorskip("gensim")


@pytest.fixture
def both(gensim: Any) -> Any:
    words = [f"w{i}" for i in range(20)]
    rows = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    counts = [3, 9, 9, 1, *range(16)]
    theirs = gensim.models.KeyedVectors(6)
    theirs.add_vectors(words, rows)
    for word, count in zip(words, counts, strict=True):
        theirs.set_vecattr(word, "count", count)
    return et.KeyedVectors(words, rows, counts), theirs


# -------------------- models


@pytest.mark.parametrize("mean", [0, 1])
def test_words_around(gensim: Any, mean: int) -> None:
    ours = et.Word2Vec(CORPUS, epochs=3, cbow_mean=mean, **SMALL)
    theirs = gensim.models.Word2Vec(CORPUS, epochs=1, cbow_mean=mean, **SMALL)
    order = [theirs.wv.index_to_key.index(word) for word in ours.wv.index_to_key]
    theirs.wv.vectors[order] = ours.wv.vectors  # the same numbers: the same answers
    theirs.syn1neg[order] = ours._outputs[: len(order), :8]
    for given in (["the", "rules"], ["king", "unknown"], ["cat", "cat"]):
        found, expected = (dict(model.predict_output_word(given, topn=50)) for model in (ours, theirs))
        assert found.keys() == expected.keys()
        assert [found[word] for word in expected] == pytest.approx(list(expected.values()), rel=1e-5)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert sum(found.values()) == pytest.approx(1)
    assert ours.predict_output_word(["unknown"]) is theirs.predict_output_word(["unknown"]) is None
    best = ours.predict_output_word(["the", "rules"], topn=2)
    assert best is not None
    assert {word for word, _ in best} <= set(ours.wv.index_to_key)
    assert len(ours.predict_output_word(["the"], topn=None) or ()) == len(ours.wv)


def test_words_around_of_other_models() -> None:
    assert et.FastText(CORPUS, bucket=50, **SMALL).predict_output_word(["the"], topn=1)
    assert et.Word2Vec(CORPUS, softmax=True, **SMALL).predict_output_word(["the"], topn=1)
    with pytest.raises(ArgumentError, match="only outputs of negative sampling or softmax"):
        et.Word2Vec(CORPUS, hs=1, negative=0, **SMALL).predict_output_word(["the"])
    with pytest.raises(ArgumentError, match="there are no words yet"):
        et.Word2Vec(**SMALL).predict_output_word(["the"])
    with pytest.raises(ArgumentError, match="context_words_list must be a list, got 'the'"):
        et.Word2Vec(CORPUS, **SMALL).predict_output_word("the")


def test_loss() -> None:
    model = et.Word2Vec(compute_loss=True, epochs=4, sg=1, **SMALL)
    assert model.get_latest_training_loss() == 0
    model.build_vocab(CORPUS)
    model.train(CORPUS)
    first = model.get_latest_training_loss()
    model.train(CORPUS, total_examples=len(CORPUS), epochs=4, compute_loss=True)
    assert first > model.get_latest_training_loss() > 0
    with pytest.raises(ArgumentError, match="compute_loss must be 0 or 1"):
        et.Word2Vec(compute_loss=2, **SMALL)  # type: ignore[arg-type]


def test_words_that_are_counted() -> None:
    counted, given = (et.Word2Vec(epochs=2, **SMALL) for _ in range(2))
    counted.build_vocab(CORPUS)
    counts = {"the": 60, "rules": 60, "king": 30, "queen": 30, "a": 30, "cat": 30, "sleeps": 30}
    given.build_vocab_from_freq(counts, corpus_count=len(CORPUS))
    assert given.corpus_total_words == counted.corpus_total_words
    assert given.corpus_count == counted.corpus_count
    for model in (counted, given):
        model.train(CORPUS)
    np.testing.assert_array_equal(given.wv.vectors, counted.wv.vectors)
    for options, message in (
        ({"update": True}, "update must be False"),
        ({"trim_rule": 1}, "trim_rule None"),
    ):
        with pytest.raises(ArgumentError, match=message):
            given.build_vocab_from_freq(counts, **options)
    with pytest.raises(ArgumentError, match="word_freq must be a dict"):
        given.build_vocab_from_freq(["the"])  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="a count must be a whole number"):
        given.build_vocab_from_freq({"the": 1.5})  # type: ignore[dict-item]


def test_nothing_is_mapped(tmp_path: Path) -> None:
    model = et.Word2Vec(CORPUS, **SMALL)
    model.save(tmp_path / "model")
    model.wv.save(tmp_path / "vectors")
    for load, path in ((et.Word2Vec.load, "model"), (et.KeyedVectors.load, "vectors")):
        assert load(tmp_path / path, mmap=None)
        with pytest.raises(ArgumentError, match="mmap must be None, got 'r'"):
            load(tmp_path / path, mmap="r")  # type: ignore[arg-type]


# -------------------- sentences of files


def test_lines(gensim: Any, tmp_path: Path) -> None:
    from gensim.models.word2vec import LineSentence, PathLineSentences

    text = "the  king rules\n\n a cat\u00e9 sleeps \nlast " + "w " * 12
    (tmp_path / "b.txt").write_bytes(text.encode())
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.bz2").write_bytes(bz2.compress(b"one two"))
    for options in ({}, {"max_sentence_length": 5}, {"limit": 2}, {"limit": 0}):
        for source in (tmp_path / "b.txt", tmp_path / "a.txt.gz", str(tmp_path / "c.bz2")):
            ours = et.LineSentence(source, **options)
            assert list(ours) == list(ours) == list(LineSentence(str(source), **options))
        assert list(et.LineSentence(io.StringIO(text), **options)) == list(
            LineSentence(io.StringIO(text), **options)
        )
        folder = et.PathLineSentences(tmp_path, **options)
        assert list(folder) == list(PathLineSentences(str(tmp_path), **options))
    assert [path.name for path in folder.input_files] == ["a.txt.gz", "b.txt", "c.bz2"]
    assert list(et.PathLineSentences(tmp_path / "c.bz2")) == [["one", "two"]]
    model = et.Word2Vec(et.LineSentence(tmp_path / "b.txt"), **SMALL)
    other = et.Word2Vec(corpus_file=tmp_path / "b.txt", **SMALL)
    np.testing.assert_array_equal(model.wv.vectors, other.wv.vectors)


def test_lines_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"fine\n\xff\n")
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="line 2 is no UTF-8"):
        list(et.LineSentence(tmp_path / "bad"))
    with pytest.raises(DataError, match="cannot be read"):
        list(et.LineSentence(tmp_path / "bad.gz"))
    with pytest.raises(MissingFileError):
        list(et.LineSentence(tmp_path / "none"))
    with pytest.raises(MissingFileError, match="no folder or file"):
        et.PathLineSentences(tmp_path / "none")
    with pytest.raises(ArgumentError, match="max_sentence_length must be a whole number from 1"):
        et.LineSentence(tmp_path / "bad", 0)
    with pytest.raises(ArgumentError, match="a path must be str or Path"):
        et.LineSentence(5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="LineSentence takes a file"):
        et.PathLineSentences(io.StringIO("a"))  # type: ignore[arg-type]


# -------------------- vectors


def test_further_questions(both: Any) -> None:
    ours, theirs = both
    words = ["w3", "w1", "w7", "w12"]
    assert ours.relative_cosine_similarity("w1", "w2") == pytest.approx(
        theirs.relative_cosine_similarity("w1", "w2"), rel=1e-5
    )
    for use_norm in (True, False):
        found, expected = (each.rank_by_centrality(words, use_norm) for each in both)
        assert [word for _, word in found] == [word for _, word in expected]
        assert [x for x, _ in found] == pytest.approx([float(x) for x, _ in expected], rel=1e-5)
    for pre in (True, False):
        keys = ["w1", np.arange(6, dtype=np.float32)]
        means = [each.get_mean_vector(keys, pre_normalize=pre) for each in both]
        np.testing.assert_allclose(*means, rtol=1e-5)
    one, rows = np.arange(6.0), np.random.default_rng(0).normal(size=(5, 6))
    np.testing.assert_allclose(
        ours.cosine_similarities(one, rows), theirs.cosine_similarities(one, rows), rtol=1e-5
    )
    for copied in (True, False):
        few, expected = (
            each.vectors_for_all(["w4", "no", "w0", "w4"], copy_vecattrs=copied) for each in both
        )
        assert few.index_to_key == expected.index_to_key
        np.testing.assert_array_equal(few.vectors, expected.vectors)
    assert ours.vectors_for_all(["w1"], copy_vecattrs=True).get_vecattr("w1", "count") == 9
    for each in both:
        each.sort_by_descending_frequency()
    assert ours.index_to_key == theirs.index_to_key
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)
    for each in both:
        each.fill_norms(force=True)  # gensim's class keeps those of the old order
    assert ours.most_similar("w1")[0][0] == theirs.most_similar("w1")[0][0]
    for each in both:
        each.unit_normalize_all()
    np.testing.assert_allclose(ours.vectors, theirs.vectors, rtol=1e-5)
    model = et.FastText(CORPUS, bucket=50, **SMALL)
    assert model.wv.vectors_for_all(["cat"], allow_inference=False).index_to_key == ["cat"]


def test_further_questions_refused() -> None:
    vectors = et.KeyedVectors(["a"], [[1.0, 0.0]])
    with pytest.raises(ArgumentError, match="there is no other word"):
        vectors.relative_cosine_similarity("a", "a")
    with pytest.raises(ArgumentError, match="none of the words"):
        vectors.rank_by_centrality(["b"])
    with pytest.raises(ArgumentError, match="how often words occur is not known"):
        vectors.sort_by_descending_frequency()
    with pytest.raises(ShapeError, match=r"vector_1 has shape \(3,\)"):
        vectors.cosine_similarities([1, 2, 3], [[1, 2]])


# -------------------- names that are not there


def test_names(gensim: Any) -> None:
    """Each public name of the library is here, or refused with what to do instead."""
    model = et.Word2Vec(CORPUS, **SMALL)
    for ours, theirs in ((model, gensim.models.Word2Vec), (model.wv, gensim.models.KeyedVectors)):
        for name in dir(theirs):
            if not name.startswith("_") and not hasattr(ours, name):
                with pytest.raises(AttributeError, match=f"has no attribute '{name}': .+"):
                    getattr(ours, name)
    with pytest.raises(AttributeError, match=r"most_similar': the vectors are model.wv"):
        model.most_similar("the")
    with pytest.raises(AttributeError, match="did you mean 'most_similar'"):
        _ = model.wv.most_similr
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.wv.index_to_key == model.wv.index_to_key
