"""Tell good reviews from bad ones: TF-IDF and a linear model, by words and pairs of words.

python examples/classify_reviews.py

Takes the 2,000 reviews of ``nltk/movie_reviews.zip`` in ``EINKORN_DATA``, or a few lines written here.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from einkorn.text import TfidfVectorizer

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


def main() -> None:
    texts, labels = reviews()
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=30)
    )
    scores = cross_val_score(model, texts, labels, cv=5)
    print(f"{len(texts)} reviews: {scores.mean():.1%} right, by five-fold cross-validation")
    model.fit(texts, labels)
    terms = model[0].get_feature_names_out()
    order = np.argsort(model[1].coef_[0])
    print("bad: ", ", ".join(terms[order[:8]]))
    print("good:", ", ".join(terms[order[:-9:-1]]))


if __name__ == "__main__":
    main()
