"""Run the native engine over everything that may go wrong in memory: what tests/sanitize.sh runs.

python tests/sanitize.py [whole|sample] [address|thread]

The case list and its gradients, kernels with arguments that do not fit, cascades on images of many sizes,
trees and forests on ragged tables, with 1, 2 and 5 threads, on every instruction set; tokenisers on random
texts. Results must not depend on the threads. Prints how much ran.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scan_sizes
from checking import all_cases, as_arrays
from test_refusals import Recorder, changed, differentiate, examples, outcome
from text_samples import SENTENCES, random_texts

import einkorn
from einkorn import boosting, engines, runtime, text
from einkorn.boosting import explain
from einkorn.text import _compile, _engine

THREADS = (1, 2, 5)


def same_for_all_threads(what: str, run: Callable[[], list[np.ndarray]]) -> None:
    """Run with every number of threads; the bits must be the same."""
    results = []
    for threads in THREADS:
        runtime.set_num_threads(threads)
        results.append([a.tobytes() for a in run()])
    if any(result != results[0] for result in results[1:]):
        raise SystemExit(f"{what}: results depend on the number of threads")


def run_cases(step: int) -> int:
    """Every `step`-th case in both types, and its gradient once."""
    count = 0
    for family, case in list(all_cases())[::step]:
        for dtype in case.dtypes:
            arrays = case.make(dtype)
            what = f"{family} {case.name} {dtype}"
            same_for_all_threads(what, lambda: as_arrays(case.run(einkorn, arrays, np.dtype(dtype))))  # noqa: B023
            count += 1
        differentiate(case)
    return count


def run_refusals(step: int) -> int:
    """Every `step`-th change of a kernel's arguments: it is taken or refused, and nothing is overrun."""
    recorder = Recorder(engines.cpu())
    engines._cpu = recorder  # type: ignore[assignment]
    examples()
    engines._cpu = recorder.engine
    calls = [
        (name, new)
        for name, calls in recorder.calls.items()
        for call in calls
        for _, new in changed(name, call)
    ]
    for name, arguments in calls[::step]:
        outcome("native", name, arguments)
    return len(calls[::step])


def table(rng: np.random.Generator) -> np.ndarray:
    """A table of any shape, with values missing, columns that are constant and columns of few values."""
    x = rng.normal(size=(rng.integers(2, 400), rng.integers(1, 20)))
    for f in range(x.shape[1]):
        kind = rng.integers(5)
        if kind == 0:
            x[rng.random(len(x)) < rng.random(), f] = np.nan
        elif kind == 1:
            x[:, f] = rng.integers(0, rng.integers(1, 300), len(x))
        elif kind == 2:
            x[:, f] = 1.0
    return x.astype(rng.choice([np.float32, np.float64]))


def models(rng: np.random.Generator, rows: int) -> list[tuple[Any, bool]]:
    """Estimators with options of any kind, and whether they take classes."""
    seed = int(rng.integers(1000))
    bins, depth = int(rng.choice([2, 15, 255])), rng.choice([None, 1, 3, 8])
    depth = None if depth is None else int(depth)
    leaves = int(rng.choice([2, 7, 31]))
    share = float(rng.choice([0.3, 1.0]))
    shared: dict[str, Any] = {"random_state": seed, "n_estimators": 2}
    return [
        (
            boosting.GradientBoostingRegressor(max_bins=bins, max_depth=depth, subsample=share, **shared),
            False,
        ),
        (boosting.GradientBoostingClassifier(max_bins=bins, colsample_bynode=share, **shared), True),
        (boosting.RandomForestClassifier(max_depth=depth, max_bins=bins, **shared), True),
        (boosting.RandomForestRegressor(max_leaf_nodes=leaves, max_bins=bins, **shared), False),
        (boosting.ExtraTreesRegressor(max_depth=depth, **shared), False),
        (boosting.DecisionTreeClassifier(max_leaf_nodes=leaves), True),
        (boosting.AdaBoostClassifier(n_estimators=3), True),
        (boosting.DecisionStumpClassifier(), True),
    ]


def run_trees(count: int) -> int:
    """Grow, predict and explain on so many tables."""
    fits = 0
    for i in range(count):
        rng = np.random.default_rng(i)
        x = table(rng)
        classes = int(rng.choice([2, 2, 3, 7]))
        labels = np.arange(len(x)) % classes
        rng.shuffle(labels)
        weight = rng.uniform(0.1, 2, len(x)) if i % 3 == 0 else None
        target = x[:, 0].astype(float)
        target[np.isnan(target)] = 0
        for model, is_classifier in models(rng, len(x)):
            y = labels if is_classifier else target
            if is_classifier and len(np.unique(y)) < 2:
                continue

            def run(model: Any = model, y: Any = y, x: Any = x, weight: Any = weight) -> list[np.ndarray]:
                model.fit(x, y, sample_weight=weight)
                results = [np.asarray(model.predict(x))]
                if isinstance(model, boosting.GradientBoostingRegressor):
                    results.append(explain.shap_values(model, x[:70]))
                return results

            same_for_all_threads(f"table {i}, {model}", run)
            fits += 1
    return fits


def run_texts(count: int) -> int:
    """So many random texts as tokens, words, counts and tags; bytes that are no text by every pattern."""
    if not _engine.compiled():
        raise SystemExit("einkorn._text was not built: it needs Cython")
    texts = [SENTENCES, *random_texts(count)]
    rng = np.random.default_rng(count)
    octets = [rng.choice([0x20, 0x41, 0x80, 0xC3, 0xE2, 0xF0, 0xF4, 0xFF], n % 40) for n in range(count)]
    for split in ("gpt2", "cl100k", "llama3", "words", "spaces"):
        tokenizer = text.train_bpe(texts, 600, split=split, special_tokens=["<|x|>"])

        def run(tokenizer: Any = tokenizer) -> list[np.ndarray]:
            found = tokenizer.encode_batch(texts)
            return [np.concatenate([np.ravel(part) for e in found for part in (e.ids, e.offsets)])]

        same_for_all_threads(f"texts cut by {split}", run)
    for split in (*_compile.PATTERN, "bert", "words", "spaces", "metaspace"):
        pipeline = _engine.form.Pipeline(
            _engine.characters(), tokenizer._model, {0xFFFD: "x", 0x41: ""}, split, [], b"", "never", False
        )
        pipeline.encode([bytes(o.tolist()) for o in octets], 2, True)
    for analyzer, lengths in (("word", (1, 1)), ("word", (1, 3)), ("char", (1, 3)), ("char_wb", (2, 5))):

        def counted(options: Any = {"analyzer": analyzer, "ngram_range": lengths}) -> list[np.ndarray]:  # noqa: B006
            rows = text.CountVectorizer(**options).fit_transform([*texts, *[SENTENCES * 20] * 40])
            hashed = text.HashingVectorizer(**options).transform(texts)
            return [rows.indptr, rows.indices, rows.data, hashed.indices, hashed.data]

        same_for_all_threads(f"{analyzer} counted {lengths}", counted)
    words = [text.word_tokenize(each, preserve_line=True) for each in texts]
    tagged = [[(word, str(len(word) % 5)) for word in each] for each in words]

    def tags() -> list[np.ndarray]:
        found = text.PerceptronTagger().train(tagged, nr_iter=2).tag_sents(words * 3)
        return [np.array([int(tag) for sentence in found for _, tag in sentence])]

    same_for_all_threads("tags", tags)
    return 4 * count


#: Every how many-th case, how many sizes of images, how many tables, how many texts. ThreadSanitizer is slow
#: where memory is read in no order.
_AMOUNTS = {
    ("whole", "address"): (1, 1000, 150, 3000),
    ("whole", "thread"): (1, 60, 20, 300),
    ("sample", "address"): (12, 60, 5, 200),
    ("sample", "thread"): (12, 20, 5, 100),
}


def main(part: str, kind: str) -> None:
    """Run all, on every instruction set."""
    warnings.simplefilter("ignore")
    step, sizes, tables, texts = _AMOUNTS[part, kind]
    jobs: list[tuple[str, Callable[[], int]]] = [
        ("cases", lambda: run_cases(step)),
        ("changed calls", lambda: run_refusals(step)),
        ("images", lambda: scan_sizes.main(sizes)),
        ("fits of trees", lambda: run_trees(tables)),
    ]
    print(f"{run_texts(texts)} texts", flush=True)
    isas = [isa for isa in runtime.isas() if f"{isa}_bf16" not in runtime.isas()]  # that has its kernels too
    for isa in isas:
        runtime.set_isa(isa)
        for name, job in jobs:
            start = time.perf_counter()
            print(f"{isa}: {job()} {name} ({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"clean with {', '.join(map(str, THREADS))} threads")


if __name__ == "__main__":
    main(*(sys.argv[1:3] + ["whole", "address"][len(sys.argv) - 1 :]))
