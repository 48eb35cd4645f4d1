"""Vectors of words: counts of neighbours, models, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import einkorn.text as et
from einkorn.errors import ArgumentError, DataError, MissingFileError, ShapeError
from einkorn.text import _engine, _plain
from einkorn.text._corpus import Corpus, ordered

COURSE = [text.split() for text in ("I like deep learning .", "I like NLP .", "I enjoy flying .")]


def pairs_of(size: int = 400, seed: int = 0) -> list[list[str]]:
    """Sentences in which a1 and a2 stand in like places, b1 and b2 in others."""
    rng = np.random.default_rng(seed)
    near = {"a1": "x y z", "a2": "x y z", "b1": "u v w", "b2": "u v w"}
    sentences = []
    for _ in range(size):
        word = str(rng.choice(list(near)))
        around = rng.permutation(near[word].split()).tolist()
        sentences.append([*around[:2], word, around[2]])
    return sentences


def test_counts_of_the_course() -> None:
    counts, words = et.cooccurrence(COURSE, 1)
    table = {(a, b): counts[i, j] for i, a in enumerate(words) for j, b in enumerate(words)}
    expected = {
        ("I", "like"): 2, ("I", "enjoy"): 1, ("like", "deep"): 1, ("like", "NLP"): 1, ("enjoy", "flying"): 1,
        ("deep", "learning"): 1, ("learning", "."): 1, ("NLP", "."): 1, ("flying", "."): 1,
    }  # fmt: skip
    for (a, b), count in table.items():
        assert count == expected.get((a, b), expected.get((b, a), 0)), (a, b)


def test_weights_and_caps() -> None:
    sentence = [["a", "b", "c", "d", "e", "f"]]
    ramp, words = et.cooccurrence(sentence, 4, weighting="ramp", vocabulary=list("abcdef"))
    assert words == list("abcdef")
    assert ramp.toarray()[0].tolist() == [0, 4, 3, 2, 1, 0]
    harmonic, _ = et.cooccurrence(
        sentence, 3, weighting="harmonic", vocabulary=list("abcdef"), symmetric=False
    )
    np.testing.assert_allclose(harmonic.toarray()[1], [0, 0, 1, 1 / 2, 1 / 3, 0])
    often = [["the", "cat"]] * 150
    assert et.cooccurrence(often, 1, cap=100)[0].max() == 100
    without, words = et.cooccurrence(often, 1, ignore=["the"])
    assert (words, without.nnz) == (["cat"], 0)
    doubled, _ = et.cooccurrence([["a", "a"]], 1)
    assert doubled.toarray().tolist() == [[2]]


def test_pearson_weights_are_correlations() -> None:
    counts, _ = et.cooccurrence(pairs_of(30), 2)
    x = counts.toarray()
    found = et.pearson_weights(counts)
    rows, columns = np.nonzero(x >= 0)
    events = np.repeat(np.arange(x.size), x.reshape(-1).astype(int))
    for i, j in ((0, 1), (2, 3), (1, 1)):
        together = np.corrcoef(rows[events] == i, columns[events] == j)[0, 1]
        assert found[i, j] == pytest.approx(max(together, 0))
    assert found.min() == 0


def test_svd_vectors_are_those_of_the_whole_decomposition() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 12)) @ rng.normal(size=(12, 50)) + rng.normal(size=(60, 50)) * 1e-3
    u, s, _ = np.linalg.svd(a, full_matrices=False)
    vectors, values = et.svd_vectors(a, 8)
    np.testing.assert_allclose(values, s[:8], rtol=1e-9)
    np.testing.assert_allclose(np.abs(vectors), np.abs(u[:, :8] * s[:8]), atol=1e-6)
    counts, words = et.cooccurrence(COURSE, 1)
    thin, _ = et.svd_vectors(counts, 3)
    assert thin.shape == (len(words), 3)
    with pytest.raises(ArgumentError, match="size must be a whole number from 1 to 50, got 51"):
        et.svd_vectors(a, 51)


def test_one_hot() -> None:
    assert et.one_hot(["b", "x"], ["a", "b"]).tolist() == [[0, 1], [0, 0]]


MODELS: list[tuple[str, dict[str, Any]]] = [
    ("Word2Vec", {"sg": 1}),
    ("Word2Vec", {}),
    ("Word2Vec", {"sg": 1, "hs": 1, "negative": 0}),
    ("Word2Vec", {"hs": 1, "cbow_mean": 0}),
    ("Word2Vec", {"sg": 1, "softmax": True}),
    ("FastText", {"sg": 1, "bucket": 50}),
]


def small(name: str, sentences: Any = None, **options: Any) -> Any:
    given = {"vector_size": 16, "window": 2, "min_count": 1, "sample": 0, "alpha": 0.1, "epochs": 8}
    return getattr(et, name)(sentences, **(given | options))


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_models_find_what_is_alike(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    model = small(name, pairs_of(), progress=seen.append, **options)
    assert model.wv.similarity("a1", "a2") > model.wv.similarity("a1", "b1") + 0.2
    assert seen[-1]["loss"] < seen[0]["loss"]
    assert seen[-1]["epoch"] == 7
    again = small(name, iter(pairs_of()), **options)
    np.testing.assert_array_equal(model.wv.vectors, again.wv.vectors)
    file = tmp_path / "corpus.txt"
    file.write_text("".join(" ".join(sentence) + "\n" for sentence in pairs_of()))
    from_file = small(name, corpus_file=file, **options)
    np.testing.assert_array_equal(model.wv.vectors, from_file.wv.vectors)


@pytest.mark.skipif(not _engine.compiled(), reason="the compiled form was not built")
def test_both_forms_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text("\n a \u00e9t\u00e9\u3000a \n\nb a\tb c\x0bb\n\n  \nc\u2028d\n", encoding="utf-8")
    found = []
    for form in (_engine.form, _plain):
        monkeypatch.setattr(_engine, "form", form)
        corpus = Corpus("test", file)
        counts = corpus.count()
        (block,) = corpus.blocks(ordered(counts, 2, None))
        found.append((counts, *(part.tolist() for part in block)))
    assert found[0] == found[1]
    assert found[0][0] == {"a": 3, "\u00e9t\u00e9": 1, "b": 3, "c": 2, "d": 1}
    assert found[0][1:] == ([0, 0, 1, 0, 1, 2, 1, 2], [0, 2, 7, 8])


@pytest.mark.parametrize("name", ["Word2Vec", "FastText"])
def test_training_goes_on_from_a_file(name: str, tmp_path: Path) -> None:
    options = {"bucket": 20} if name == "FastText" else {}
    whole = small(name, pairs_of(), epochs=4, **options)
    part = small(name, **options, epochs=4)
    part.build_vocab(pairs_of())
    part.train(pairs_of(), epochs=4)
    part.save(tmp_path / "model")
    loaded = getattr(et, name).load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.wv.vectors, whole.wv.vectors)
    whole.train(pairs_of(), epochs=6)
    loaded.train(pairs_of(), epochs=6)
    np.testing.assert_array_equal(loaded.wv.vectors, whole.wv.vectors)


def test_words_that_were_not_seen_have_subwords() -> None:
    model = small("FastText", [["walking", "walked", "talking"]] * 50, min_n=3, max_n=4, bucket=1000)
    assert model.subwords("ab") == ["<ab", "<ab>", "ab>"]
    assert model.vector("walkings").shape == (16,)
    np.testing.assert_array_equal(model.vector("walked"), model.wv["walked"])


def test_glove_finds_what_is_alike(tmp_path: Path) -> None:
    model = et.GloVe(pairs_of(), vector_size=16, window=3, min_count=1, epochs=25)
    assert model.wv.similarity("a1", "a2") > model.wv.similarity("a1", "b1") + 0.2
    model.save(tmp_path / "model")
    loaded = et.GloVe.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.wv.vectors, model.wv.vectors)
    counts, words = et.cooccurrence(pairs_of(), 3, weighting="harmonic")
    for each in (model, loaded):
        each.train(counts, words, epochs=30)
    np.testing.assert_array_equal(loaded.wv.vectors, model.wv.vectors)


def royal() -> et.KeyedVectors:
    rows = {
        "king": [1, 1, 0],
        "queen": [1, -1, 0],
        "man": [0.2, 1, 0.3],
        "woman": [0.2, -1, 0.3],
        "tree": [0, 0.1, -1],
    }
    return et.KeyedVectors(rows, np.array(list(rows.values())))


def test_what_is_alike() -> None:
    kv = royal()
    assert kv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0] == "queen"
    assert kv.analogy("man", "king", "woman", topn=1)[0][0] == "queen"
    assert kv.most_similar("king", topn=0) == []
    assert [word for word, _ in kv.most_similar("king", topn=9)] == ["man", "tree", "queen", "woman"]
    assert kv.most_similar("king", topn=None).shape == (5,)
    assert kv.most_similar([("king", 0.5), np.array([0, 0, -1.0])])[0][0] == "tree"
    assert kv.doesnt_match(["king", "man", "tree", "unknown"]) == "tree"
    assert kv.similarity("king", "king") == pytest.approx(1)
    assert kv.distance("king", "queen") == pytest.approx(1)
    assert kv.n_similarity(["king"], ["king", "man"]) > 0.9
    assert kv.similar_by_vector(kv["king"], 1)[0][0] == "king"
    for call, message in (
        (lambda: kv.most_similar("emperor"), "'emperor' is not there"),
        (lambda: kv.most_similar(), "are empty"),
        (lambda: kv.doesnt_match(["x"]), "none of the words"),
        (lambda: et.KeyedVectors(["a", "a"], np.ones((2, 2))), "'a' occurs twice"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()
    with pytest.raises(ShapeError, match=r"expected \(1, n\)"):
        et.KeyedVectors(["a"], np.ones((2, 2)))


def test_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "analogies"
    file.write_text(": family\nman king woman queen\nking man queen woman\nman king queen tree\na b c d\n")
    score, sections = royal().evaluate_word_analogies(file)
    assert score == pytest.approx(2 / 3)
    assert [len(section["correct"]) for section in sections] == [2, 2]
    pairs = tmp_path / "pairs"
    pairs.write_text("a\tb\tscore\nking\tman\t9\nking\ttree\t5\nking\tqueen\t1\nking\tx\t3\n")
    kv = royal()
    known = [kv.similarity("king", other) for other in ("man", "tree", "queen")]
    for dummy, given, unknown in ((False, [9, 5, 1], 25), (True, [9, 5, 1, 3], 25)):
        found = kv.evaluate_word_pairs(pairs, dummy4unknown=dummy)
        expected = [*known, 0.0] if dummy else known
        assert found[0] == pytest.approx(tuple(stats.pearsonr(given, expected)), rel=1e-5)
        assert found[1] == pytest.approx(tuple(stats.spearmanr(given, expected)))
        assert found[2] == unknown
    assert kv.evaluate_word_pairs(pairs, restrict_vocab=3)[2] > 25
    with pytest.raises(ArgumentError, match="there is no encoding 'nope'"):
        kv.evaluate_word_pairs(pairs, encoding="nope")


@pytest.mark.parametrize("binary", [False, True])
def test_files_of_word2vec(binary: bool, tmp_path: Path) -> None:
    kv = royal()
    kv.vectors[0, 0] = 1 / 3
    kv.save_word2vec_format(tmp_path / "v", binary=binary)
    again = et.KeyedVectors.load_word2vec_format(tmp_path / "v", binary=binary)
    assert again.index_to_key == kv.index_to_key
    np.testing.assert_array_equal(again.vectors, kv.vectors)
    assert len(et.KeyedVectors.load_word2vec_format(tmp_path / "v", binary=binary, limit=2)) == 2


def test_other_files(tmp_path: Path) -> None:
    kv = royal()
    kv.save_word2vec_format(tmp_path / "glove", write_header=False)
    again = et.KeyedVectors.load_word2vec_format(tmp_path / "glove", no_header=True)
    np.testing.assert_array_equal(again.vectors, kv.vectors)
    (tmp_path / "spaces").write_text(". . . 0.5 1\nat name@domain.com 2 3\n")
    with pytest.raises(DataError, match="no numbers"):
        et.KeyedVectors.load_word2vec_format(tmp_path / "spaces", no_header=True)
    kv.save(tmp_path / "own")
    own = et.KeyedVectors.load(tmp_path / "own")
    np.testing.assert_array_equal(own.vectors, kv.vectors)
    with pytest.raises(ArgumentError, match="has white space"):
        et.KeyedVectors(["a b"], np.ones((1, 2))).save_word2vec_format(tmp_path / "x")
    with pytest.raises(MissingFileError):
        et.KeyedVectors.load(tmp_path / "none")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    kv = royal()
    path, rng = tmp_path / "v", np.random.default_rng(0)
    for binary in (False, True):
        kv.save_word2vec_format(path, binary=binary)
        content = path.read_bytes()
        for round in range(300):
            cut = bytearray(content)
            if round % 2:
                cut = cut[: rng.integers(0, len(cut))]
            else:
                cut[rng.integers(0, len(cut))] = rng.integers(0, 256)
            path.write_bytes(cut)
            refused = ""
            try:
                found = et.KeyedVectors.load_word2vec_format(path, binary=binary)
            except DataError as error:
                refused = str(error)
            assert str(path) in refused or len(found) <= 5
    path.write_bytes(b"9999999999 9999999999\n")
    with pytest.raises(DataError, match="announces"):
        et.KeyedVectors.load_word2vec_format(path)
    et.Word2Vec(pairs_of(20), vector_size=4, min_count=1).save(path)
    with pytest.raises(DataError, match=r"no file of einkorn\.FastText"):
        et.FastText.load(path)
    content = path.read_bytes()
    for cut in range(0, len(content), 97):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError):
            et.Word2Vec.load(path)


def test_what_is_refused() -> None:
    for call, message in (
        (lambda: et.Word2Vec("a text"), "sentences must be lists of words"),
        (lambda: et.Word2Vec(["a text"]), "a sentence must be a list of words, got str"),
        (lambda: et.Word2Vec([["a"]]), "no word occurs 5 times"),
        (lambda: et.Word2Vec(negative=0), "hs, negative or softmax"),
        (
            lambda: et.Word2Vec(vector_size=0),
            "vector_size must be a whole number from 1 to 2147483647, got 0",
        ),
        (lambda: et.FastText(bucket=0), "bucket must be a whole number from 1 to 1073741824, got 0"),
        (lambda: et.GloVe(window=0), "window must be"),
        (lambda: et.GloVe([["a"]], min_count=1), "no two words occur together"),
        (lambda: et.cooccurrence([["a"]], 0), "window must be a whole number from 1 on, got 0"),
        (lambda: et.cooccurrence([["a"]], weighting="steep"), "weighting must be"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()
    with pytest.raises(MissingFileError, match="no such file"):
        et.Word2Vec(corpus_file="/no/such/file")


def test_places_and_distances_of_words() -> None:
    kv = et.KeyedVectors(["a", "b", "c", "d"], [[1, 0], [2, 1], [0, 3], [-1, 0]])
    near = [word for word, _ in kv.most_similar("a")]
    assert near == ["b", "c", "d"]
    assert [kv.rank("a", word) for word in near] == [1, 2, 3]
    assert kv.closer_than("a", "d") == ["b", "c"]
    np.testing.assert_allclose(kv.distances("a"), [0, 1 - 2 / np.sqrt(5), 1, 2], atol=1e-6)
    assert kv.distances("a", ["d"]).tolist() == [2]
    assert kv.has_index_for("c")
    assert kv.get_index("c") == 2
    assert kv.get_index("x", -1) == -1
    with pytest.raises(ArgumentError, match="'x' is not there"):
        kv.get_index("x")


def test_most_similar_by_products() -> None:
    rng = np.random.default_rng(3)
    words = [f"w{i}" for i in range(60)]
    kv = et.KeyedVectors(words, rng.normal(size=(60, 9)))
    units = kv.vectors.astype(np.float64) / np.linalg.norm(kv.vectors, axis=1, keepdims=True)
    cosines = (1 + units @ units.T) / 2
    expected = cosines[1] * cosines[2] / (cosines[3] + 1e-6)
    found = kv.most_similar_cosmul(positive=["w1", kv["w2"]], negative="w3", topn=None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    order = [i for i in np.argsort(-expected) if i not in (1, 2, 3)]
    named = kv.most_similar_cosmul(["w1", "w2"], ["w3"], 5)
    assert [word for word, _ in named] == [words[i] for i in order[:5]]
    among = kv.most_similar_cosmul("w1", topn=3, restrict_vocab=10)
    assert all(kv.get_index(word) < 10 for word, _ in among)
    assert kv.most_similar_cosmul(negative="w1", topn=0) == []
    for arguments, message in (
        ((), "are empty"),
        ((["nobody"],), "is not there"),
        (([("w1", 2.0)],), "weights have no meaning"),
    ):
        with pytest.raises(ArgumentError, match=message):
            kv.most_similar_cosmul(*arguments)


def test_files_take_the_arguments_of_gensim(tmp_path: Path) -> None:
    kv = et.KeyedVectors(["a", "b"], np.eye(2, 3), [7, 2])
    kv.save_word2vec_format(tmp_path / "v", tmp_path / "counts", True)
    again = et.KeyedVectors.load_word2vec_format(
        tmp_path / "v", tmp_path / "counts", True, "utf8", "strict", 1
    )
    assert (again.index_to_key, again.counts) == (["a"], [7])
    (tmp_path / "latin").write_bytes(b"1 1\n\xe9t 1\n")
    with pytest.raises(DataError, match="is no utf8"):
        et.KeyedVectors.load_word2vec_format(tmp_path / "latin")
    assert list(et.KeyedVectors.load_word2vec_format(tmp_path / "latin", unicode_errors="ignore")) == ["t"]
    (tmp_path / "counts").write_text("a 7\n")
    with pytest.raises(DataError, match="'b' is not there"):
        et.KeyedVectors.load_word2vec_format(tmp_path / "v", tmp_path / "counts", True)
    with pytest.raises(ArgumentError, match="is not known"):
        et.KeyedVectors(["a"], np.eye(1)).save_word2vec_format(tmp_path / "v", tmp_path / "c")


@pytest.mark.parametrize("width", [4, 50, 64, 100])
def test_rows_of_any_width_are_learned_and_kept(width: int, tmp_path: Path) -> None:
    model = et.Word2Vec(pairs_of(50), vector_size=width, min_count=1, epochs=1)
    assert model.wv.vectors.shape == (len(model.wv), width)
    assert model.wv.get_vector("x").shape == (width,)
    model.save(tmp_path / "model")
    model.wv.save(tmp_path / "vectors")
    loaded = et.Word2Vec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.wv.vectors, model.wv.vectors)
    np.testing.assert_array_equal(et.KeyedVectors.load(tmp_path / "vectors").vectors, model.wv.vectors)
    for each in (model, loaded):
        each.wv.vectors[0] = 1  # part of what is trained, as in gensim
        each.train(pairs_of(50), epochs=2)
    np.testing.assert_array_equal(loaded.wv.vectors, model.wv.vectors)


def test_a_program_for_gensim_trains_as_there(tmp_path: Path) -> None:
    sentences = pairs_of(50)
    model = et.Word2Vec(vector_size=8, min_count=1, epochs=2, sample=0)
    model.build_vocab(corpus_iterable=sentences)
    assert (model.corpus_count, model.corpus_total_words) == (50, 200)
    model.train(sentences, total_examples=model.corpus_count, epochs=model.epochs)
    same = et.Word2Vec(sentences, vector_size=8, min_count=1, epochs=2, sample=0)
    np.testing.assert_array_equal(model.wv.vectors, same.wv.vectors)
    # Once more is two passes more, not none, with a rate that begins anew.
    once = model.wv.vectors.copy()
    model.train(sentences, total_examples=50, epochs=2, start_alpha=0.05, end_alpha=0.01)
    assert model.alpha == 0.05
    assert not np.array_equal(model.wv.vectors, once)
    model.save(tmp_path / "model")
    again = et.Word2Vec.load(tmp_path / "model")
    for each in (model, again):
        each.train(corpus_iterable=sentences, total_words=200, epochs=1)
    np.testing.assert_array_equal(model.wv.vectors, again.wv.vectors)
    file = tmp_path / "corpus"
    file.write_text("\n".join(map(" ".join, sentences)))
    other = et.Word2Vec(vector_size=8, min_count=1, epochs=2, sample=0)
    other.build_vocab(corpus_file=str(file))
    assert (other.corpus_count, other.corpus_total_words) == (50, 200)
    other.train(corpus_file=str(file), total_words=other.corpus_total_words, epochs=2)
    np.testing.assert_array_equal(other.wv.vectors, same.wv.vectors)
    with pytest.raises(ArgumentError, match="words cannot be added"):
        other.build_vocab(sentences, update=True)
    with pytest.raises(ArgumentError, match="exclude each other"):
        other.train(sentences, str(file))
    with pytest.raises(ArgumentError, match="max_final_vocab"):
        et.Word2Vec(sentences, None, 8, 0.025, 5, 1, 100)


def test_vectors_are_asked_and_added_as_in_gensim() -> None:
    kv = et.KeyedVectors(3)
    kv.add_vectors(["a", "b", "a"], [[3, 0, 0], [0, 4, 0], [9, 9, 9]])
    assert (list(kv), kv.vectors.tolist()) == (["a", "b"], [[3, 0, 0], [0, 4, 0]])
    assert kv.add_vector("b", [0, 0, 2]) == 1
    kv.add_vectors(["b", "c"], [[1, 1, 1], [0, 0, 5]])
    assert kv["b"].tolist() == [0, 0, 2]
    assert kv.most_similar("b", topn=1) == [("c", 1.0)]
    assert kv.get_normed_vectors()[0].tolist() == [1, 0, 0]
    assert kv.most_similar_to_given("b", ["a", "c"]) == "c"
    assert kv.get_mean_vector(["a", "b", "nobody"]).tolist() == [0.5, 0, 0.5]
    assert kv.get_mean_vector(["a", "b"], [1, 3], pre_normalize=False).tolist() == [0.75, 0, 1.5]
    counted = et.KeyedVectors(["a"], np.eye(1), [7])
    counted.add_vector("b", [2])
    assert [counted.get_vecattr(word, "count") for word in "ab"] == [7, 0]
    for call, message in (
        (lambda: kv.get_vecattr("a", "count"), "is not known"),
        (lambda: kv.get_mean_vector(["nobody"], ignore_missing=False), "is not there"),
        (lambda: kv.add_vectors(["x"], [[1]]), "weights has shape"),
        (lambda: et.KeyedVectors(["x"]), "vector_size must be a whole number"),
    ):
        with pytest.raises((ArgumentError, ShapeError), match=message):
            call()


def test_words_that_were_not_seen_are_found_by_name() -> None:
    model = small("FastText", [["walking", "walked", "talking"]] * 50, min_n=3, max_n=4, bucket=1000)
    np.testing.assert_array_equal(model.wv["walks"], model.vector("walks"))
    assert model.wv[["walks", "walked"]].shape == (2, model.vector_size)
    assert {word for word, _ in model.wv.most_similar("walks", topn=2)} <= set(model.wv)
    assert -1 <= model.wv.similarity("walks", "walked") <= 1
    assert "walks" not in model.wv
