"""Tell good reviews from bad ones, by words and pairs of words: TF-IDF and a linear model; a vector for each
term, their mean and a small network; a number for each term, which begins where naive Bayes ends.

python examples/classify_reviews.py

Takes the 2,000 reviews of ``nltk/movie_reviews.zip`` in ``EINKORN_DATA``, or a few lines written here. Of the
reviews, by five-fold cross-validation, the linear model gets 88.1% right, the first network 85.3% and the
second one 87.2%.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import einkorn
from einkorn import nn
from einkorn.optim import Adam
from einkorn.text import CountVectorizer, TfidfVectorizer

EPOCHS = 8
GOOD = [
    "a fine and moving film",
    "what a joy to watch",
    "clever, warm and very funny",
    "the best of the year",
]
BAD = [
    "a dull and empty film",
    "what a pain to watch",
    "clumsy, cold and never funny",
    "the worst of the year",
]


def reviews() -> tuple[list[str], np.ndarray]:
    path = Path(os.environ.get("EINKORN_DATA", "")) / "nltk" / "movie_reviews.zip"
    if not path.is_file():
        return (GOOD + BAD) * 10, np.array(([1] * 4 + [0] * 4) * 10)
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
        texts = [archive.read(name).decode("latin-1") for name in names]
    return texts, np.array([int("/pos/" in name) for name in names])


class MeanOfTerms(nn.Module):
    """Scores of texts, from the mean of their terms' vectors."""

    def __init__(self, terms: int, width: int = 32) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(terms, width)
        self.score = nn.Sequential(nn.Dropout(0.3), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, rows: Any) -> einkorn.Tensor:
        """``rows``: a sparse matrix, a text's terms in each row."""
        return self.score(self.vectors(rows.indices.astype(np.int64), rows.indptr[:-1].astype(np.int64)))


class WeighedRatios(nn.Module):
    """Scores of texts, from the sum of their terms' log-count ratios, each with a weight that is learned.

    Naive Bayes at first, where all weights are 1 (Wang and Manning 2012). A ratio is learned from the
    training texts: how much more often a term is in good ones.
    """

    def __init__(self, known: Any, good: np.ndarray) -> None:
        super().__init__()
        counts = [1 + np.asarray(known[good == side].sum(0), np.float64).ravel() for side in (1, 0)]
        ratios = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
        self.ratios = ratios.astype(np.float32)
        self.weights = nn.EmbeddingBag(len(ratios), 1, mode="sum")
        nn.init.ones_(self.weights.weight)
        self.bias = nn.Parameter(np.zeros(1, np.float32))

    def forward(self, rows: Any) -> einkorn.Tensor:
        """``rows``: a sparse matrix, a text's terms in each row."""
        terms, lengths = rows.indices.astype(np.int64), np.diff(rows.indptr)
        share = self.ratios[terms] / np.sqrt(np.repeat(lengths, lengths)).astype(np.float32)
        score = self.weights(terms, rows.indptr[:-1].astype(np.int64), per_sample_weights=share) + self.bias
        return einkorn.ops.cat([-score, score], 1) * 0.5  # a number for each class


def network_score(
    texts: list[str], labels: np.ndarray, train: np.ndarray, test: np.ndarray, ratios: bool, seed: int = 0
) -> float:
    """The share of test texts that a network gets right: with ratios, or the mean of vectors."""
    options: dict[str, Any] = {"min_df": 3, "token_pattern": r"\S+"} if ratios else {"min_df": 2}
    counter = CountVectorizer(ngram_range=(1, 2), binary=True, **options)
    known = counter.fit_transform([texts[i] for i in train])
    asked = counter.transform([texts[i] for i in test])
    einkorn.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = WeighedRatios(known, labels[train]) if ratios else MeanOfTerms(known.shape[1])
    optimizer = Adam(model.parameters(), lr=1e-2 if ratios else 3e-3)
    for _ in range(2 * EPOCHS if ratios else EPOCHS):
        order = rng.permutation(len(train))
        for begin in range(0, len(train), 32):
            batch = order[begin : begin + 32]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(known[batch]), labels[train[batch]])
            loss.backward()
            optimizer.step()
    model.eval()
    with einkorn.no_grad():
        right: float = (model(asked).numpy().argmax(1) == labels[test]).mean()
    return right


def main() -> None:
    texts, labels = reviews()
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=30)
    )
    scores = cross_val_score(model, texts, labels, cv=5)
    print(f"{len(texts)} reviews, five-fold cross-validation")
    print(f"TF-IDF and a linear model: {scores.mean():.1%} right")
    for ratios, what in ((False, "vectors and a network"), (True, "ratios that are weighed")):
        folds = StratifiedKFold(5).split(texts, labels)
        found = [network_score(texts, labels, train, test, ratios) for train, test in folds]
        print(f"{what}: {np.mean(found):.1%} right")
    model.fit(texts, labels)
    terms = model[0].get_feature_names_out()
    order = np.argsort(model[1].coef_[0])
    print("bad: ", ", ".join(terms[order[:8]]))
    print("good:", ", ".join(terms[order[:-9:-1]]))


if __name__ == "__main__":
    main()
