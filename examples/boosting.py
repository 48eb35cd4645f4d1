"""Boosting on scikit-learn's breast cancer data: stumps, early stopping, explanations, files and a stack.

Needs ``pip install ".[boosting]"``, nothing else.
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from einkorn import boosting


def main() -> None:
    data = load_breast_cancer()
    X, X_test, y, y_test = train_test_split(data.data, data.target, test_size=0.3, random_state=0)

    ada = boosting.AdaBoostClassifier(n_estimators=50, random_state=0).fit(X, y)
    print(f"AdaBoost of 50 stumps: {ada.score(X_test, y_test):.1%}")

    gradient = boosting.GradientBoostingClassifier(
        n_estimators=500, learning_rate=0.05, early_stopping=True, random_state=0
    ).fit(X, y)
    print(f"gradient boosting, stopped after {gradient.n_iter_} rounds: {gradient.score(X_test, y_test):.1%}")

    # Why was the first row of the test set called benign or malignant? Contributions to its log-odds.
    *contributions, average = boosting.shap_values(gradient, X_test[:1])[0, :, 0]
    strongest = np.argsort(-np.abs(contributions))[:3]
    words = ", ".join(f"{data.feature_names[i]} {contributions[i]:+.2f}" for i in strongest)
    print(f"log-odds of the first row: {average:+.2f} on average, {words}, ...")

    with tempfile.TemporaryDirectory() as folder:
        boosting.save(gradient, Path(folder) / "model")
        again = boosting.load(Path(folder) / "model")
    assert np.array_equal(again.predict_proba(X_test), gradient.predict_proba(X_test))

    members = [
        ("ada", boosting.AdaBoostClassifier(n_estimators=50, random_state=0)),
        ("gradient", boosting.GradientBoostingClassifier(n_estimators=50, random_state=0)),
        ("forest", boosting.RandomForestClassifier(n_estimators=50, random_state=0)),
    ]
    stack = StackingClassifier(members, LogisticRegression()).fit(X, y)
    print(f"a stack of the three: {stack.score(X_test, y_test):.1%}")


if __name__ == "__main__":
    main()
