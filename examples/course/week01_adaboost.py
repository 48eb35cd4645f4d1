"""Week 1, ensembles: AdaBoost's ten samples by hand, then forests and boosting on handwritten digits.

Needs ``pip install ".[boosting]"``.
"""

import numpy as np

from einkorn import boosting, data


def ten_samples() -> None:
    """Three rounds on ten samples; each round errs on others."""
    misses = [[3, 4, 5], [6, 7, 8], [1, 2, 9]]
    weights = np.full(10, 0.1)
    for number, missed in enumerate(misses, 1):
        wrong = np.isin(np.arange(1, 11), missed)
        error = weights[wrong].sum()
        alpha = 0.5 * np.log((1 - error) / error)
        weights *= np.exp(alpha * np.where(wrong, 1, -1))
        weights /= weights.sum()
        print(f"round {number}: error {error:.4f}, alpha {alpha:.4f}")


def main() -> None:
    ten_samples()
    (x, y), (x_test, y_test) = data.load_digits()
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    for model in (
        boosting.DecisionTreeClassifier(max_depth=8, random_state=0),
        boosting.AdaBoostClassifier(n_estimators=100, random_state=0),
        boosting.RandomForestClassifier(n_estimators=100, random_state=0),
        boosting.GradientBoostingClassifier(n_estimators=40, random_state=0),
    ):
        model.fit(x, y)
        print(f"{type(model).__name__}: {model.score(x_test, y_test):.1%} of the digits")


if __name__ == "__main__":
    main()
