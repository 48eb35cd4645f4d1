"""word2vec."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np

from einkorn._near import MissingNameError
from einkorn.errors import ArgumentError, DataError
from einkorn.text._arguments import items_of, known_options, path_of, real_number, whole_number
from einkorn.text._corpus import Block, Corpus, check_words, ordered
from einkorn.text.keyed_vectors import KeyedVectors
from einkorn.text.vector_files import read_tensors, unmapped

__all__ = ["Word2Vec"]

_OPTIONS = (
    "vector_size", "alpha", "window", "min_count", "sample", "seed", "workers", "min_alpha", "sg", "hs",
    "negative", "ns_exponent", "cbow_mean", "epochs", "max_final_vocab", "softmax",
)  # fmt: skip
_GROWS = "build_vocab counts the words and makes their vectors"
_ASK = "the vectors are model.wv, which has it"

#: gensim's names that have no equal here, and what to do instead.
_INSTEAD = {
    **dict.fromkeys(
        ("scan_vocab", "prepare_vocab", "prepare_weights", "init_weights", "update_weights", "reset_from",
         "create_binary_tree", "make_cum_table", "add_null_word", "seeded_vector"),
        _GROWS,
    ),
    **dict.fromkeys(
        ("most_similar", "most_similar_cosmul", "similarity", "doesnt_match", "similar_by_word",
         "n_similarity", "similar_by_vector", "evaluate_word_pairs", "load_word2vec_format",
         "save_word2vec_format", "distance"),
        _ASK,
    ),
    **dict.fromkeys(("syn1", "syn1neg"), "predict_output_word says what the rows of outputs tell"),
    "syn0": "use wv.vectors",
    "vocabulary": "use wv.key_to_index",
    "score": "no likelihood of sentences is computed here; progress gets the loss of training",
    "init_sims": "lengths are computed when they are first asked for",
    "estimate_memory": "a model has two float32 arrays (words, vector_size), and copies of wv's",
    "add_lifecycle_event": "models keep no diary",
    "running_training_loss": "use get_latest_training_loss",
}  # fmt: skip
_LINE = 16  # float32 numbers of a line of memory
_LONG = 48  # numbers of a row that is worth more of them
_WORK = 1 << 32  # multiplications that are done at a time, about a second


class Word2Vec:
    """Vectors of words, learned from the words around them (Mikolov et al. 2013).

    Names are those of gensim's class. With ``workers=1`` the same corpus and seed give the same bits each
    time; several share the arrays without locks, as the published program does, and results vary a little.

    Parameters
    ----------
    sentences
        Lists of words; with it the model is trained at once.
    corpus_file
        Instead of it, the path of a file with a sentence on each line, which may be larger than memory.
    vector_size
        How many numbers a vector has.
    alpha, min_alpha
        Learning rate at the beginning and at the end.
    window
        Words on either side, at most; how many is drawn for each word.
    min_count
        Words that occur less often are left out.
    max_vocab_size
        None. gensim's class forgets rare words while it counts when there are more; here none is forgotten.
    sample
        Frequent words are left out at random: of a word with share ``f`` of the corpus,
        ``sqrt(sample / f) + sample / f`` stays. 0: all stay.
    seed
        Of all random numbers.
    workers
        Threads.
    sg
        1: skip-gram, each word around tells the word; 0: CBOW, their mean does.
    hs
        1: hierarchical softmax.
    negative
        How many words are drawn for negative sampling; 0: none.
    ns_exponent
        They are drawn by this power of their counts.
    cbow_mean
        1: mean of the vectors, 0: sum.
    softmax
        Whether the softmax is over all words; then ``hs`` and ``negative`` say nothing. Takes long for
        many words.
    epochs
        How often the corpus is gone through.
    max_final_vocab
        How many words there may be, the most frequent ones.
    compute_loss
        gensim's class computes the loss only with it; here :meth:`get_latest_training_loss` knows it anyhow.
    progress
        Called after each block with a dict: epoch, words, words_per_second, loss (the mean of an input).

    Attributes
    ----------
    wv : KeyedVectors
    corpus_count, corpus_total_words : int
        Sentences and words that were counted.
    epochs_done : int

    Raises
    ------
    ArgumentError
        An option does not fit, or no word occurs often enough.
    """

    def __init__(
        self,
        sentences: Iterable[Iterable[str]] | None = None,
        corpus_file: str | PathLike[str] | None = None,
        vector_size: int = 100,
        alpha: float = 0.025,
        window: int = 5,
        min_count: int = 5,
        max_vocab_size: int | None = None,
        sample: float = 1e-3,
        seed: int = 1,
        workers: int = 1,
        min_alpha: float = 0.0001,
        sg: int = 0,
        hs: int = 0,
        negative: int = 5,
        ns_exponent: float = 0.75,
        cbow_mean: int = 1,
        *,
        epochs: int = 5,
        max_final_vocab: int | None = None,
        softmax: bool = False,
        compute_loss: bool = False,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        name = type(self).__name__
        vector_size = whole_number(name, "vector_size", vector_size, 1, 2**31 - 1)
        window = whole_number(name, "window", window, 1, 1000)
        min_count = whole_number(name, "min_count", min_count, 1)
        if max_vocab_size is not None:
            raise ArgumentError(
                f"{name}: max_vocab_size must be None, got {max_vocab_size!r}: max_final_vocab keeps the "
                "most frequent words"
            )
        if max_final_vocab is not None:
            max_final_vocab = whole_number(name, "max_final_vocab", max_final_vocab, 1)
        epochs = whole_number(name, "epochs", epochs, 0)
        workers = whole_number(name, "workers", workers, 1, 1024)
        negative = whole_number(name, "negative", negative, 0, 1000)
        seed = whole_number(name, "seed", seed, 0, 2**64 - 1)
        alpha = real_number(name, "alpha", alpha, 0, above=True)
        min_alpha = real_number(name, "min_alpha", min_alpha, 0)
        sample = real_number(name, "sample", sample, 0)
        ns_exponent = real_number(name, "ns_exponent", ns_exponent)
        flags = {"sg": sg, "hs": hs, "cbow_mean": cbow_mean, "softmax": softmax, "compute_loss": compute_loss}
        for option, flag in flags.items():
            if not isinstance(flag, (int, np.integer, np.bool_)) or flag not in (0, 1):
                raise ArgumentError(f"{name}: {option} must be 0 or 1, got {flag!r}")
        if progress is not None and not callable(progress):
            raise ArgumentError(f"{name}: progress must be a function or None, got {progress!r:.60}")
        if not softmax and not hs and not negative:
            raise ArgumentError(f"{name}: hs, negative or softmax must say how words are told")
        self.vector_size, self.alpha, self.window, self.min_count = vector_size, alpha, window, min_count
        self.max_final_vocab, self.sample, self.seed, self.workers = max_final_vocab, sample, seed, workers
        self.min_alpha, self.sg, self.hs, self.negative = min_alpha, int(sg), int(hs), negative
        self.ns_exponent, self.cbow_mean, self.epochs, self.softmax = (
            ns_exponent,
            int(cbow_mean),
            epochs,
            bool(softmax),
        )
        self.compute_loss, self._loss = bool(compute_loss), 0.0
        self.progress = progress
        self.epochs_done = 0
        self.words_done = 0
        self._words_before = 0  # in trainings that are done
        self.corpus_count = self.corpus_total_words = 0
        if sentences is not None or corpus_file is not None:
            if corpus_file is None and isinstance(sentences, (str, bytes)):
                raise ArgumentError(f"{name}: sentences must be lists of words; corpus_file takes a path")
            corpus = self._corpus(sentences, corpus_file)
            self.build_vocab(corpus)
            self.train(corpus)

    def _corpus(self, given: Any, corpus_file: str | PathLike[str] | None) -> Corpus:
        name = type(self).__name__
        if given is not None and corpus_file is not None:
            raise ArgumentError(f"{name}: sentences and corpus_file exclude each other")
        if isinstance(given, Corpus):
            return given
        return Corpus(name, given if corpus_file is None else path_of(name, corpus_file))

    # -------------------- vocabulary

    def build_vocab(
        self,
        corpus_iterable: Any = None,
        corpus_file: str | PathLike[str] | None = None,
        update: bool = False,
    ) -> None:
        """Count the words of a corpus and make vectors for them.

        Parameters
        ----------
        corpus_iterable
            Sentences, or the path of a file.
        corpus_file
            Instead of it, the path of a file.
        update
            False: gensim's class can add words to those that it has, this one cannot.
        """
        name = type(self).__name__
        if update:
            raise ArgumentError(f"{name}.build_vocab: update must be False; words cannot be added later")
        source = self._corpus(corpus_iterable, corpus_file)
        counts = source.count()
        self._adopt(counts, source.seen)

    def build_vocab_from_freq(
        self,
        word_freq: Mapping[str, int],
        keep_raw_vocab: bool = False,
        corpus_count: int | None = None,
        trim_rule: None = None,
        update: bool = False,
    ) -> None:
        """:meth:`build_vocab` where words are counted already.

        Parameters
        ----------
        word_freq
            How often each word occurs.
        keep_raw_vocab, trim_rule, update
            False, None and False: nothing else is kept or left out, and words cannot be added later.
        corpus_count
            How many sentences there are, where that is known.
        """
        name = f"{type(self).__name__}.build_vocab_from_freq"
        if keep_raw_vocab or trim_rule is not None or update:
            raise ArgumentError(f"{name}: keep_raw_vocab and update must be False, trim_rule None")
        if not isinstance(word_freq, Mapping):
            raise ArgumentError(f"{name}: word_freq must be a dict of counts, got {word_freq!r:.60}")
        counts = Counter({word: whole_number(name, "a count", count, 0) for word, count in word_freq.items()})
        self._adopt(counts, whole_number(name, "corpus_count", corpus_count or 0, 0))

    def _adopt(self, counts: Counter[str], seen: int) -> None:
        """Make vectors for the words that are counted."""
        name = type(self).__name__
        self.corpus_count, self.corpus_total_words = seen, sum(counts.values())
        self.epochs_done = self.words_done = self._words_before = 0
        words = ordered(counts, self.min_count, self.max_final_vocab)
        if not words:
            raise ArgumentError(
                f"{name}: no word occurs {self.min_count} times; min_count says how often it must"
            )
        check_words(name, words)
        self._set_words(words, [counts[word] for word in words])
        rng = np.random.default_rng(self.seed)
        bound = 0.5 / self.vector_size
        rows = rng.uniform(-bound, bound, (self._rows(), self.vector_size))
        self._take(rows, np.zeros((self._targets(), 1), np.float32))
        self._refresh()

    def _take(self, vectors: np.ndarray, outputs: np.ndarray) -> None:
        """Train what is in these arrays from now on."""
        self._table = _on_lines(len(vectors), self.vector_size)
        self._table[:, : self.vector_size] = vectors
        self._outputs = _on_lines(len(outputs), self.vector_size)
        self._outputs[:, : self.vector_size] = outputs

    def _set_words(self, words: list[str], counts: list[int]) -> None:
        self._words, self._counts = words, counts
        self._numbers = {word: i for i, word in enumerate(words)}
        self._prepare()

    def _rows(self) -> int:
        return len(self._words)

    def _targets(self) -> int:
        n = len(self._words)
        if self.softmax:
            return n
        return (n if self.negative else 0) + (n - 1 if self.hs else 0)

    def _parts(self) -> tuple[np.ndarray, np.ndarray] | None:
        return None

    def _prepare(self) -> None:
        from einkorn.ops import alias_table, huffman_paths

        counts = np.array(self._counts, np.float64)
        self._total = int(counts.sum())
        self._keep: np.ndarray | None = None
        if self.sample:
            ratio = self.sample * self._total / counts
            self._keep = np.minimum(np.sqrt(ratio) + ratio, 1).astype(np.float32)
        self._sampler = None
        self._paths = None
        if not self.softmax:
            if self.negative:
                self._sampler = alias_table(counts**self.ns_exponent)
            if self.hs:
                starts, nodes, codes = huffman_paths(self._counts)
                first = len(counts) if self.negative else 0
                self._paths = (starts, nodes + np.int32(first), codes)

    def _refresh(self) -> None:
        self.wv = KeyedVectors(self._words, self._shared(), self._counts)
        self.wv.vectors = self._shared()

    def _shared(self) -> np.ndarray:
        """The words' rows of what is trained."""
        return self._table[: len(self._words), : self.vector_size]

    # -------------------- training

    def train(
        self,
        corpus_iterable: Any = None,
        corpus_file: str | PathLike[str] | None = None,
        total_examples: int | None = None,
        total_words: int | None = None,
        epochs: int | None = None,
        start_alpha: float | None = None,
        end_alpha: float | None = None,
        *,
        compute_loss: bool = False,
    ) -> Word2Vec:
        """Go through a corpus until ``epochs`` passes are done; goes on where training stopped.

        A call with ``total_examples`` or ``total_words``, as gensim's class demands one, means what it means
        there: ``epochs`` passes more, the learning rate beginning anew; after an interruption those that were
        left.

        Parameters
        ----------
        corpus_iterable
            Sentences, or the path of a file.
        corpus_file
            Instead of it, the path of a file.
        total_examples, total_words
            See above. How much there is was counted, so the numbers themselves say nothing.
        epochs
            How many passes in all, or more; by default the model's.
        start_alpha, end_alpha
            Learning rate at the beginning and at the end; by default the model's.
        compute_loss
            As for the class: the loss is known anyhow.
        """
        name = type(self).__name__
        self._learned("train")
        self._loss = 0.0
        source = self._corpus(corpus_iterable, corpus_file)
        last = self.epochs if epochs is None else whole_number(name, "epochs", epochs, 0)
        for what, number in (("total_examples", total_examples), ("total_words", total_words)):
            if number is not None:
                whole_number(name, what, number, 0)
        if start_alpha is not None:
            self.alpha = real_number(name, "start_alpha", start_alpha, 0, above=True)
        if end_alpha is not None:
            self.min_alpha = real_number(name, "end_alpha", end_alpha, 0)
        more = total_examples is not None or total_words is not None
        if more and self.epochs_done >= self.epochs:
            self._words_before += self.words_done  # other random numbers
            self.epochs_done = self.words_done = 0
        if more:
            self.epochs = last
        try:
            while self.epochs_done < last:
                before = self.words_done
                try:
                    self._pass(source, max(self._total * last, 1))
                except BaseException:
                    # The pass is begun again, with the same numbers; what it did to the vectors stays.
                    self.words_done = before
                    raise
                self.epochs_done += 1
        finally:
            self._after_training()
            self.wv.fill_norms()
        return self

    def _learned(self, doing: str) -> None:
        if not hasattr(self, "_words"):
            raise ArgumentError(f"{type(self).__name__}.{doing}: there are no words yet; build_vocab first")

    def __getattr__(self, name: str) -> Any:
        raise MissingNameError(type(self).__name__, name, lambda: dir(type(self)), _INSTEAD)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if hasattr(self, "wv"):
            self._share()

    def _share(self) -> None:
        """Vectors are part of the table that is trained: of a copy they must be part of its own."""
        shared = self._shared()
        if np.array_equal(self.wv.vectors, shared, equal_nan=True):
            self.wv.vectors = shared

    def _pass(self, source: Corpus, planned: int) -> None:
        import time

        from einkorn import runtime
        from einkorn.ops import word2vec_train

        def rate(done: int) -> float:
            return max(self.alpha - (self.alpha - self.min_alpha) * min(done / planned, 1), self.min_alpha)

        began, seen, loss, inputs = time.perf_counter(), 0, 0.0, 0
        told = len(self._words) if self.softmax else self.negative + 1 + 16 * self.hs
        most = max(_WORK // (told * self.window * self.vector_size), 1)
        parts = (part for block in source.blocks(self._words) for part in _parts_of(block, most))
        for tokens, starts in parts:
            with runtime.num_threads(self.workers):
                lost, trained = word2vec_train(
                    self._table,
                    self._outputs,
                    tokens,
                    starts,
                    words=len(self._words),
                    window=self.window,
                    negatives=self.negative if self._sampler else 0,
                    keep=self._keep,
                    sampler=self._sampler,
                    paths=self._paths,
                    parts=self._parts(),
                    rate=(rate(self.words_done), rate(self.words_done + len(tokens))),
                    seed=self.seed,
                    first=self._words_before + self.words_done,
                    cbow=not self.sg,
                    mean=bool(self.cbow_mean),
                    stretches=max(1, min(self.workers, len(starts) - 1)),
                )
            self.words_done += len(tokens)
            seen, loss, inputs = seen + len(tokens), loss + lost, inputs + trained
            self._loss += float(lost)
            if self.progress is not None:
                self.progress(
                    {
                        "epoch": self.epochs_done,
                        "words": self.words_done,
                        "words_per_second": seen / max(time.perf_counter() - began, 1e-9),
                        "loss": loss / max(inputs, 1),
                    }
                )

    def get_latest_training_loss(self) -> float:
        """The loss of the last training, a sum over all that was told; 0 before it."""
        return self._loss

    def predict_output_word(
        self, context_words_list: Iterable[str], topn: int | None = 10
    ) -> list[tuple[str, float]] | None:
        """The words that these words are most likely around, with probabilities: the softmax over all words.

        Parameters
        ----------
        context_words_list
            Words; those that are not there are left out.
        topn
            How many; None: all.

        Returns
        -------
        list of (str, float), or None
            None: no word is there.

        Raises
        ------
        ArgumentError
            The model has hierarchical softmax alone, whose outputs are not those of words; or nothing was
            learned.
        """
        name = f"{type(self).__name__}.predict_output_word"
        self._learned("predict_output_word")
        if not self.softmax and not self.negative:
            raise ArgumentError(f"{name}: only outputs of negative sampling or softmax are of words")
        number = len(self._words) if topn is None else whole_number(name, "topn", topn, 0)
        listed = items_of(name, "context_words_list", context_words_list)
        rows = [self._numbers[word] for word in listed if isinstance(word, str) and word in self._numbers]
        if not rows:
            return None
        told = self.wv.vectors[rows].sum(axis=0, dtype=np.float64) / (len(rows) if self.cbow_mean else 1)
        sums = self._outputs[: len(self._words), : self.vector_size] @ told
        odds = np.exp(sums - sums.max())
        best = np.argsort(-odds, kind="stable")[:number].tolist()
        return [(self._words[i], float(odds[i] / odds.sum())) for i in best]

    def _after_training(self) -> None:
        """What is to be done when rows have changed."""

    # -------------------- files

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return _OPTIONS

    def _about(self) -> dict[str, Any]:
        return {option: getattr(self, option) for option in _OPTIONS}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model, whole or not at all: it can be trained on. ``wv.save`` writes vectors alone."""
        from safetensors.numpy import save

        from einkorn.checkpoint import write_whole

        self._learned("save")
        about = {
            "format": f"einkorn.{type(self).__name__}",
            "options": json.dumps(self._about()),
            "words": json.dumps(self._words),
            "counts": json.dumps(self._counts),
            "done": json.dumps([self.epochs_done, self.words_done, self._words_before]),
            "seen": json.dumps([self.corpus_count, self.corpus_total_words]),
        }
        width = self.vector_size
        arrays = {"vectors": self._table[:, :width], "outputs": self._outputs[:, :width]}
        write_whole(path, [save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, about)])

    @classmethod
    def load(cls, path: str | PathLike[str], mmap: None = None) -> Any:
        """Read what :meth:`save` wrote.

        ``mmap`` must be None: arrays that are trained are in memory.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            It is another file, or damaged.
        """
        unmapped(cls.__name__, mmap)
        tensors, about = read_tensors(path, f"einkorn.{cls.__name__}")
        try:
            model = cls(**known_options(about["options"], cls._names()))
            words, counts = json.loads(about["words"]), json.loads(about["counts"])
            if not isinstance(words, list) or not words or len(words) != len(counts):
                raise ValueError("words and counts do not fit")
            check_words(cls.__name__, words)
            model._set_words(words, [whole_number("load", "a count", count, 0) for count in counts])
            vectors, outputs = tensors["vectors"], tensors["outputs"]
            shapes = (model._rows(), model.vector_size), (model._targets(), model.vector_size)
            if (vectors.shape, outputs.shape) != shapes:
                raise ValueError("the arrays have other shapes than the words")
            model._take(vectors, outputs)
            model.epochs_done, model.words_done, model._words_before = (
                whole_number("load", "what is done", number, 0)
                for number in [*json.loads(about["done"]), 0][:3]
            )
            model.corpus_count, model.corpus_total_words = (
                whole_number("load", "what was seen", number, 0)
                for number in json.loads(about.get("seen", "[0, 0]"))
            )
            model._refresh()
            model._after_training()
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(f"{path}: damaged: {error}") from None
        return model


def _on_lines(rows: int, width: int) -> np.ndarray:
    """Zeros (rows, width or more): long rows begin on a line of memory each, which the kernel reads quicker.

    Zeros behind a row stay zeros: they add nothing to a product, and their gradient is a multiple of zeros.
    """
    from einkorn import engines

    padded = width if width < _LONG else -(-width // _LINE) * _LINE
    table: np.ndarray = engines.cpu().empty((rows, padded), np.float32)
    table[:] = 0
    return table


def _parts_of(block: Block, most: int) -> Iterator[Block]:
    """Whole sentences of about so many words, which are trained with no interruption."""
    tokens, starts = block
    first = 0
    while first < len(starts) - 1:
        last = max(int(np.searchsorted(starts, starts[first] + most, "right")) - 1, first + 1)
        yield tokens[starts[first] : starts[last]], starts[first : last + 1] - starts[first]
        first = last
