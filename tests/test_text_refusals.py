"""What a stranger passes by mistake: it is refused by name, never taken for something else."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import einkorn.text as et
from einkorn.cli.main import main
from einkorn.errors import ArgumentError, DataError, ShapeError

CORPUS = [["the", "king", "rules"], ["the", "queen", "rules"], ["a", "cat", "sleeps"]] * 3
SMALL: dict[str, Any] = {"vector_size": 4, "window": 2, "min_count": 1, "sample": 0, "epochs": 1}


@pytest.fixture(scope="module")
def tokenizer() -> et.Tokenizer:
    return et.train_bpe(["the lower tower, the lowest tower"], 270, special_tokens=["<s>"])


@pytest.fixture(scope="module")
def vectors() -> et.KeyedVectors:
    return et.KeyedVectors(list("abcdefgh"), np.random.default_rng(0).normal(size=(8, 4)))


@pytest.fixture(scope="module")
def counter() -> Any:
    return et.cooccurrence(CORPUS, 2, weighting="harmonic")


# -------------------- tokenisers


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.encode(b"ab"), "texts must be str, got bytes"),
        (lambda t: t.ids(b"\xff"), "texts must be str, got bytes"),
        (lambda t: t.encode_batch([b"ab"]), "texts must be str, got bytes"),
        (lambda t: t.encode_batch("ab"), "input must be a list, got 'ab'"),
        (lambda t: t.encode_batch(None), "input must be a list, got None"),
        (lambda t: t.arrays("ab"), "texts must be a list"),
        (lambda t: t.arrays(["ab"], 2.5), "length must be a whole number"),
        (lambda t: t.arrays(["ab", "c"], pad=1.5), "pad must be a whole number"),
        (lambda t: t.arrays(["ab", "c"], pad=2**70), "pad must be a whole number"),
        (lambda t: t.decode_batch(5), "batch must be a list"),
        (lambda t: t.add_tokens("<x>"), "add_tokens: tokens must be a list, got '<x>'"),
        (lambda t: t.add_special_tokens(None), "add_special_tokens: tokens must be a list"),
        (lambda t: t.add_tokens([5]), "strings that are not empty, got 5"),
        (lambda t: t.add_tokens([["a"]]), "strings that are not empty"),
        (lambda t: t.add_tokens(["\ud800"]), "add_tokens: .*surrogate"),
        (lambda t: t.enable_truncation(True), "max_length must be a whole number"),
        (lambda t: t.enable_truncation(2**31), "max_length must be a whole number"),
        (lambda t: t.enable_truncation(3, strategy=["x"]), "no strategy"),
        (lambda t: t.save_pretrained(""), "save_pretrained: save_directory is ''"),
        (lambda t: et.train_bpe([None, "a"], 300), "texts must be str, got NoneType"),
        (lambda t: et.train_bpe({"ab" * 3000: 2**52}, 258), "counts times lengths"),
        (lambda t: et.train_bpe(["a"], 300, special_tokens=[""]), "train_bpe: the special token ''"),
        (lambda t: et.train_bpe(["\ud800"], 300), "train_bpe: text 0 has an unpaired surrogate"),
        (lambda t: et.train_bpe("a\0b", 300), "train_bpe: a path"),
        (lambda t: et.Tokenizer.from_file(5), "a path must be str or Path"),
        (lambda t: et.read_llama2c("a\0b"), "a path must be str or Path"),
        (lambda t: et.write_gpt2(None, "a", "b"), "write_gpt2: tokenizer must be a Tokenizer"),
        (lambda t: et.write_vocabulary("x", "a"), "write_vocabulary: tokenizer must be a Tokenizer"),
        (lambda t: et.write_gpt2(t, "/tmp/a", "/tmp/./a"), "vocab and merges are one file"),
        (lambda t: et.Vocabulary(["ab"], special="<P>"), "special must be a list, got '<P>'"),
        (lambda t: et.Vocabulary(["ab"], unk=[1]), "special and unk must be tokens"),
        (lambda t: et.Vocabulary(["ab"], max_size=2.5), "max_size must be a whole number"),
        (lambda t: et.Vocabulary(["ab"]).arrays(["a", "ab"], pad=1.5), "pad must be a whole number"),
    ],
)
def test_tokenisers_refuse(call: Callable[[Any], object], message: str, tokenizer: et.Tokenizer) -> None:
    before = tokenizer.to_str()
    with pytest.raises(ArgumentError, match=message):
        call(tokenizer)
    assert tokenizer.to_str() == before


def test_whole_numbers_of_numpy_are_taken(tokenizer: et.Tokenizer) -> None:
    made = et.Tokenizer(tokenizer.description)
    made.enable_truncation(np.int64(3), stride=np.int8(1))
    made.enable_padding(length=np.int64(4), pad_id=np.int32(2), pad_to_multiple_of=np.int64(4))
    again = et.Tokenizer.from_str(made.to_str())
    assert again.encode("tower the").ids == made.encode("tower the").ids
    assert et.train_bpe({"ab": np.int64(3)}, 257).token_to_id("ab") == 256


def test_padding_has_the_name_it_was_given(tokenizer: et.Tokenizer) -> None:
    made = et.Tokenizer(tokenizer.description)
    made.enable_padding(length=4, pad_token="<pad>")
    assert made.encode("ab").tokens == ["a", "b", "<pad>", "<pad>"]
    made.enable_padding(length=3, direction="left")
    assert made.encode("ab").tokens == ["[PAD]", "a", "b"]


def test_ids_may_be_far_apart(tokenizer: et.Tokenizer) -> None:
    description = tokenizer.description
    description["model"]["vocab"]["a"] = 1_900_000_000
    far = et.Tokenizer(description)
    assert far.decode(far.encode("ab").ids) == "ab"
    assert far.id_to_token([0]) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [["a"], "x", -1, 2**40, 1.5, True])
def test_ids_of_templates(number: Any) -> None:
    description = et.train_wordpiece(["a cat"], 20).description
    description["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [number]
    with pytest.raises(DataError, match=r"the template's token '\[SEP\]' has the ids"):
        et.Tokenizer(description)


def test_special_tokens_of_files(tokenizer: et.Tokenizer, tmp_path: Path) -> None:
    et.write_gpt2(tokenizer, tmp_path / "v", tmp_path / "m")
    et.write_tiktoken(et.train_bpe(["ab ab"], 257), tmp_path / "t")
    for tokens in ("<s>", None, [5]):
        with pytest.raises(ArgumentError, match="special_tokens must be a list"):
            et.read_gpt2(tmp_path / "v", tmp_path / "m", special_tokens=tokens)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="special_tokens must be a list, got 'abc'"):
        et.read_tiktoken(tmp_path / "t", special_tokens="abc")
    with pytest.raises(ArgumentError, match="the id 5, which is a rank"):
        et.read_tiktoken(tmp_path / "t", special_tokens={"<x>": 5})
    assert et.read_tiktoken(tmp_path / "t", special_tokens=["<a>", "<a>"]).token_to_id("<a>") == 257


def test_llama2c_keeps_every_token(tmp_path: Path) -> None:
    pieces = et.train_unigram({"hug": 10, "pug": 5, "pun": 12}, 9, split="whole")
    with pytest.raises(ArgumentError, match="the first tokens must be <unk>, <s>, </s>"):
        et.write_llama2c(pieces, tmp_path / "t.bin")
    assert not (tmp_path / "t.bin").exists()


# -------------------- words


def test_long_runs_of_marks() -> None:
    for mark in ".?!\u2026":  # by the square of the run this would be an hour
        assert et.sent_tokenize(f"One{mark} Two{mark * 100_000}x.") == [
            f"One{mark}",
            f"Two{mark * 100_000}x.",
        ]
    assert et.sent_tokenize('a\u3002\u201dx b?!" C.') == ["a\u3002", '\u201dx b?!"', "C."]


def test_stems_from_several_threads() -> None:
    words = [f"{stem}{end}" for stem in ("relat", "hop", "condit", "fly") for end in ("ing", "ed", "ional")]
    words = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}{word}" for i in range(100) for word in words]
    want = [et.porter_stem(word) for word in words]
    from einkorn.text import normal

    normal._stemmer.cache_clear()
    found: list[list[str]] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: found.append([et.porter_stem(word) for word in words]))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert found == [want] * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: et.remove_stop_words("the cat"), "words must be a list, got 'the cat'"),
        (lambda: et.remove_stop_words(["the"], "the"), "stop_words must be a list, got 'the'"),
        (lambda: et.remove_stop_words([1]), "words must be str, got 1"),
        (lambda: et.ngrams("abc", 2.5), "n must be a whole number"),
        (lambda: et.ngrams(None, 2), "sequence must be a list"),
        (lambda: et.edit_distance(None, "a"), "edit_distance: s1 and s2"),
        (lambda: et.edit_distance([["a"]], [["b"]]), "edit_distance: s1 and s2"),
        (lambda: et.edit_distance("a", "b", float("nan")), "substitution_cost must be a finite number"),
        (lambda: et.edit_distance("a", "b", "x"), "substitution_cost must be a finite number"),
        (lambda: et.NLTKWordTokenizer().tokenize_sents("ab"), "strings must be a list"),
        (lambda: et.PerceptronTagger().train(None), "sentences must be a list"),
        (lambda: et.PerceptronTagger().train([None]), "a sentence must be a list"),
        (lambda: et.PerceptronTagger().train([[("a", "X")]], nr_iter=1.5), "nr_iter must be a whole number"),
        (lambda: et.PerceptronTagger().train([[("a", "X")]], seed=-1), "seed must be a whole number"),
        (lambda: et.PerceptronTagger().train([[("a", "X\ud800")]]), "a tag has an unpaired surrogate"),
        (lambda: et.PerceptronTagger().train([[("a", "X")]]).tag([b"a"]), "words must be str"),
        (lambda: et.PerceptronTagger().train([[("a", "X")]]).tag(None), "a sentence must be a list"),
        (lambda: et.PerceptronTagger().train([[("a", "X")]]).accuracy([[("a", "b", "c")]]), "lists of"),
        (lambda: et.one_hot(["a"], "abc"), "vocabulary must be a list"),
        (lambda: et.one_hot(["a"], ["a", "a"]), "occurs twice"),
    ],
)
def test_words_refuse(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_words_of_other_kinds() -> None:
    assert et.NLTKWordTokenizer().tokenize(np.str_("Don't.")) == ["Do", "n't", "."]
    assert et.edit_distance("abc", "axc", 0.5) == 0.5
    assert et.edit_distance("abc", "axc", 0.5, True) == 0.5
    assert list(et.ngrams("abc", 10**12)) == []
    assert et.one_hot([["a"], "a"], ["a"]).tolist() == [[0], [1]]  # type: ignore[list-item]


def test_a_tagger_is_copied_with_what_it_learned() -> None:
    tagger = et.PerceptronTagger().train([[("the", "DT"), ("dog", "NN")]] * 5)
    want = tagger.tag(["the", "dogs"])
    for copied in (copy.deepcopy(tagger), pickle.loads(pickle.dumps(tagger)), copy.copy(tagger)):
        assert copied.tag(["the", "dogs"]) == want
    assert pickle.loads(pickle.dumps(et.PerceptronTagger())).classes == []


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "brown.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("brown/ca01", "The/at dog/nn runs/vbz ./.\n" * 30)
    octets = bytearray(path.read_bytes())
    start = octets.index(b"ca01") + 4
    for place in range(start, start + 12):
        damaged = bytearray(octets)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            et.read_brown(path)


# -------------------- counts


@pytest.mark.parametrize("number", [0, -1, 2.5, True, 2**31])
def test_places_of_hashes(number: Any) -> None:
    with pytest.raises(ArgumentError, match="n_features must be a whole number"):
        et.HashingVectorizer(n_features=number).transform(["some words"])


def test_relative_weights_of_lists() -> None:
    made = et.TfidfTransformer(weighting="relative").fit([[1, 2], [0, 3]])
    assert np.array_equal(
        made.transform([[1, 2]]).toarray(), made.transform(np.array([[1, 2]])).toarray(), equal_nan=True
    )
    with pytest.raises(ValueError, match="NaN"):
        made.transform([[np.nan, 1]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: et.nearest_rows(np.eye(2), np.eye(2), 1.0), "n_neighbors must be a whole number"),
        (lambda: et.nearest_rows(np.eye(2) * 1j, np.eye(2), 1), "X must be an array of real numbers"),
        (lambda: et.cosine_similarity([["a"]]), "X must be an array of real numbers"),
        (lambda: et.cosine_similarity([[1.0], [np.nan]]), "X has NaN in row 1"),
        (lambda: et.cosine_similarity(np.eye(2), [[1, 2], [1, np.inf]]), "Y has an infinite number in row 1"),
        (lambda: et.nearest_rows(sparse.csr_matrix([[0.0], [np.nan]]), np.eye(1), 1), "X has NaN in row 1"),
        (lambda: et.pearson_weights([[np.nan, 1], [1, 2]]), "must be finite and not negative"),
        (lambda: et.pearson_weights([[-1, 2], [3, 4]]), "must be finite and not negative"),
        (lambda: et.pearson_weights([["a"]]), "counts must be an array of numbers"),
        (lambda: et.svd_vectors([[np.nan, 1], [1, 2]], 1), "counts must be finite"),
        (lambda: et.svd_vectors(np.eye(3), 2.0), "size must be a whole number"),
        (lambda: et.svd_vectors(np.eye(3), 2, oversamples=-1), "oversamples must be a whole number"),
        (lambda: et.svd_vectors(np.eye(3), 2, power=float("nan")), "power must be a finite number"),
        (lambda: et.cooccurrence(CORPUS, 2.5), "window must be a whole number"),
        (lambda: et.cooccurrence(CORPUS, max_size=-1), "max_size must be a whole number"),
        (lambda: et.cooccurrence(CORPUS, cap=-1), "cap must be a finite number"),
        (lambda: et.cooccurrence(CORPUS, cap=float("nan")), "cap must be a finite number"),
        (lambda: et.cooccurrence(CORPUS, ignore="the"), "ignore must be a list, got 'the'"),
        (lambda: et.cooccurrence(CORPUS, vocabulary=["the", "the"]), "occurs twice"),
        (lambda: et.cooccurrence([None]), "a sentence must be a list of words"),
        (lambda: et.cooccurrence([[["a"]]]), "sentences must be lists of words"),
        (lambda: et.cooccurrence([[1, "a"]]), "words must be str"),
    ],
)
def test_counts_refuse(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


# -------------------- vectors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vector_size": True}, "vector_size must be a whole number"),
        ({"window": 2**40}, "window must be a whole number from 1 to 1000"),
        ({"seed": 2**70}, "seed must be a whole number"),
        ({"max_final_vocab": -1}, "max_final_vocab must be a whole number from 1"),
        ({"negative": 10**6}, "negative must be a whole number from 0 to 1000"),
        ({"alpha": float("inf")}, "alpha must be a finite number above 0"),
        ({"alpha": "x"}, "alpha must be a finite number"),
        ({"min_alpha": float("nan")}, "min_alpha must be a finite number from 0 on"),
        ({"sample": None}, "sample must be a finite number"),
        ({"ns_exponent": None}, "ns_exponent must be a finite number"),
        ({"sg": "yes"}, "sg must be 0 or 1"),
        ({"sg": 2}, "sg must be 0 or 1"),
        ({"hs": None}, "hs must be 0 or 1"),
        ({"progress": 5}, "progress must be a function"),
        ({"sentences": [[1, 2]]}, "words must be str, got 1"),
        ({"sentences": [["a\ud800"]]}, "has an unpaired surrogate"),
        ({"sentences": [None]}, "a sentence must be a list of words"),
    ],
)
def test_word2vec_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        et.Word2Vec(**{"sentences": CORPUS, **SMALL, **options})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: et.Word2Vec().train(CORPUS), "Word2Vec.train: there are no words yet"),
        (lambda c: et.FastText().save("x"), "FastText.save: there are no words yet"),
        (lambda c: et.FastText().vector("x"), "FastText.vector: there are no words yet"),
        (lambda c: et.GloVe().save("x"), "GloVe.save: nothing was learned"),
        (lambda c: et.Word2Vec(CORPUS, **SMALL).train(CORPUS, epochs=2.5), "epochs must be a whole number"),
        (lambda c: et.FastText(CORPUS, **SMALL, min_n=1.5), "min_n must be a whole number"),
        (lambda c: et.FastText(CORPUS, **SMALL, bucket=2**40), "bucket must be a whole number"),
        (lambda c: et.GloVe(x_max="a"), "x_max must be a finite number above 0"),
        (lambda c: et.GloVe(alpha=float("nan")), "alpha must be a finite number"),
        (lambda c: et.GloVe(max_size=-1), "max_size must be a whole number"),
        (lambda c: et.GloVe().train(np.eye(2), ["a", "b"]), "counts must be a sparse matrix"),
        (lambda c: et.GloVe().train(c[0] * np.inf, c[1]), "counts must be finite"),
        (lambda c: et.GloVe().train(c[0], list(range(7))), "words must be str"),
    ],
)
def test_models_refuse(call: Callable[[Any], object], message: str, counter: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        call(counter)


def test_sentences_that_are_iterators_are_learned_from() -> None:
    lists = et.Word2Vec(CORPUS, **SMALL)
    iterators = et.Word2Vec([iter(sentence) for sentence in CORPUS], **SMALL)
    assert np.array_equal(lists.wv.vectors, iterators.wv.vectors)
    table, _ = et.cooccurrence([map(str.lower, sentence) for sentence in CORPUS], 10**9)
    assert (table != et.cooccurrence(CORPUS, 3)[0]).nnz == 0


def test_a_copy_is_trained_by_itself() -> None:
    model = et.Word2Vec(CORPUS, **SMALL)
    before = model.wv.vectors.copy()
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for copied in copies:
        copied.train(CORPUS, epochs=3)
    assert np.array_equal(model.wv.vectors, before)
    model.train(CORPUS, epochs=3)
    for copied in copies:
        assert np.array_equal(copied.wv.vectors, model.wv.vectors)


def test_blocks_in_parts_are_whole_sentences() -> None:
    from einkorn.text.word2vec import _parts_of

    tokens, starts = np.arange(12, dtype=np.int32), np.array([0, 2, 3, 9, 12])
    for most in range(1, 14):
        parts = list(_parts_of((tokens, starts), most))
        assert np.array_equal(np.concatenate([part for part, _ in parts]), tokens)
        assert [int(n) for _, ends in parts for n in np.diff(ends)] == [2, 1, 6, 3]
        assert all(len(part) <= most or len(ends) == 2 for part, ends in parts)


@pytest.mark.parametrize("kind", ["Word2Vec", "GloVe"])
def test_files_of_models_have_their_options_alone(kind: str, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = tmp_path / "m"
    made = et.Word2Vec(CORPUS, **SMALL) if kind == "Word2Vec" else et.GloVe(CORPUS, 4, 2, 1, epochs=1)
    made.save(path)
    with safe_open(str(path), "np") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    options = json.loads(about["options"])
    corpus = "corpus_file" if kind == "Word2Vec" else "sentences"
    for key, value in (
        ("options", {**options, corpus: str(tmp_path / "nosuch")}),
        ("options", {**options, "progress": 3}),
        ("options", {**options, "alpha": None}),
        ("words", ["a"] * 7),
        ("words", "abcdefg"),
        ("done", -3 if kind == "GloVe" else [-5, 0]),
        ("done", float("inf") if kind == "GloVe" else [float("inf"), 0]),
    ):
        save_file(tensors, path, {**about, key: json.dumps(value)})
        with pytest.raises(DataError, match="damaged"):
            type(made).load(path)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda v: et.KeyedVectors([1, 2], np.eye(2)), ArgumentError, "words must be str, got 1"),
        (lambda v: et.KeyedVectors(["a\ud800"], np.eye(1)), ArgumentError, "unpaired surrogate"),
        (lambda v: et.KeyedVectors(["a"], [[1j]]), ArgumentError, "vectors must be real numbers"),
        (lambda v: et.KeyedVectors(["a"], [["x"]]), ArgumentError, "vectors must be real numbers"),
        (lambda v: et.KeyedVectors(["a"], [[1]], [1, 2]), ShapeError, "2 counts, and 1 words"),
        (lambda v: et.KeyedVectors(["a"], [[1]], [1.5]), ArgumentError, "a count must be a whole number"),
        (lambda v: v.most_similar(0), ArgumentError, "positive and negative must be a list, got 0"),
        (lambda v: v.most_similar([["a"]]), ArgumentError, "a vector must be real numbers"),
        (lambda v: v.most_similar([("a", "b")]), ArgumentError, "a weight must be a finite number"),
        (lambda v: v.most_similar("a", topn=1.5), ArgumentError, "topn must be a whole number"),
        (lambda v: v.most_similar("a", restrict_vocab=2.5), ArgumentError, "restrict_vocab must be"),
        (lambda v: v.similarity(["a"], "b"), ArgumentError, r"the word \['a'\] is not there"),
        (lambda v: v[0], ArgumentError, "words must be a list, got 0"),
        (lambda v: v.doesnt_match("a b c"), ArgumentError, "words must be a list, got 'a b c'"),
        (lambda v: v.n_similarity("ab", ["c"]), ArgumentError, "words must be a list, got 'ab'"),
        (lambda v: v.distances("a", "bc"), ArgumentError, "words must be a list, got 'bc'"),
        (lambda v: v.plot([]), ArgumentError, "there are no words"),
        (lambda v: v.evaluate_word_analogies("/"), DataError, "directory"),
        (lambda v: v.evaluate_word_pairs("/"), DataError, "directory"),
        (lambda v: v.evaluate_word_pairs("/", delimiter=""), ArgumentError, "delimiter must be"),
    ],
)
def test_vectors_refuse(
    call: Callable[[Any], object], error: type[Exception], message: str, vectors: et.KeyedVectors
) -> None:
    with pytest.raises(error, match=message):
        call(vectors)


def test_what_gensim_takes_is_taken(vectors: et.KeyedVectors) -> None:
    assert np.allclose(vectors.distances(vectors["a"]), vectors.distances("a"), atol=1e-6)
    assert np.array_equal(vectors.distances("a", np.array(["b", "c"])), vectors.distances("a")[1:3])
    assert vectors.most_similar(("a", "b")) == vectors.most_similar(["a", "b"])
    assert vectors.most_similar(np.array(["a", "b"])) == vectors.most_similar(["a", "b"])
    assert vectors[[]].shape == (0, 4)
    assert vectors.n_similarity(np.array(["a"]), ["a"]) == pytest.approx(1)


def test_words_from_the_end(vectors: et.KeyedVectors) -> None:
    found = vectors.most_similar("h", clip_start=-3)
    assert found == vectors.most_similar("h", clip_start=5)
    assert sorted(word for word, _ in found) == ["f", "g"]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_cosines_of_very_large_and_very_small_vectors(scale: float) -> None:
    rows = np.array([[1, 2], [2, 1], [-1, 1]])
    scaled = et.KeyedVectors(list("abc"), rows * scale)
    assert scaled.similarity("a", "b") == pytest.approx(0.8)
    assert dict(scaled.similar_by_vector(rows[0] * scale))["b"] == pytest.approx(0.8)


def test_vectors_are_written_as_they_are_read(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    kv = et.KeyedVectors(list("abcd"), table)
    for view in (np.asfortranarray(table), table[:, ::-1], np.repeat(table, 2, axis=0)[::2]):
        kv.vectors = view
        kv.save(tmp_path / "kv")
        assert np.array_equal(et.KeyedVectors.load(tmp_path / "kv").vectors, view)


@pytest.mark.parametrize("binary", [False, True])
def test_files_of_vectors_refuse(binary: bool, vectors: et.KeyedVectors, tmp_path: Path) -> None:
    path = tmp_path / "v"
    vectors.save_word2vec_format(path, binary=binary)
    load = et.KeyedVectors.load_word2vec_format
    for options, message in (
        ({"limit": -1}, "limit must be a whole number"),
        ({"limit": 1.5}, "limit must be a whole number"),
        ({"encoding": "nonsense"}, "there is no encoding 'nonsense'"),
        ({"encoding": None}, "there is no encoding None"),
    ):
        with pytest.raises(ArgumentError, match=message):
            load(path, binary=binary, **options)
    assert len(load(path, binary=binary, limit=np.int64(0))) == 0


# -------------------- the command line


def test_commands_write_over_nothing_they_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "c.txt"
    corpus.write_text("the king rules\n")
    out, same = str(tmp_path / "m"), str(tmp_path / "." / "m")
    for arguments in (
        ["tokenize", "train", str(corpus), "--vocab-size", "270", "--out", str(corpus), "--overwrite"],
        ["embed", "word2vec", str(corpus), "--min-count", "1", "--out", str(corpus), "--overwrite"],
        ["embed", "glove", str(corpus), "--min-count", "1", "--out", out, "--vectors", same],
    ):
        assert _exit(arguments) == 2
        assert "is read or written already" in capsys.readouterr().err
        assert corpus.read_text() == "the king rules\n"
        assert not Path(out).exists()
    assert _exit(["embed", "word2vec", str(corpus), "--out", out, "--seed", "9" * 30]) == 2
    assert "seed must be a whole number" in capsys.readouterr().err


def _exit(arguments: list[str]) -> Any:
    try:
        return main(arguments)
    except SystemExit as error:
        return error.code
