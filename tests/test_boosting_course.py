"""The course's worked example of gradient boosting (COURSE, section 1), by the estimator itself.

Six students: lectures, labs, prior CS, first mark -> second mark. Each round fits a tree to the residuals and
adds a tenth of it. The course does not say how its trees were cut short. These settings give them: the mark
does not fall with lectures or with the first mark, prior CS meets no other feature on a path, and a split
must lower the sum of squares by more than 4.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from einkorn.boosting import GradientBoostingRegressor

X = np.array(
    [[16, 10, 1, 85], [4, 4, 1, 60], [15, 6, 1, 85], [7, 8, 0, 45], [17, 10, 0, 90], [8, 7, 1, 68]], float
)
Y = np.array([90, 55, 84, 64, 78, 67], float)
NEW = np.array([[14, 5, 1, 80]], float)

FIRST = [74.1, 71.2, 74.1, 72.1, 74.1, 72.4]
# The course prints 73.11 for the third student, 74.1 - 0.99: a slip of the sign. Its residual is 9.9, it
# shares the leaf of the first, the fifth and the new student, and those are printed as 74.1 + 0.99 = 75.09.
SECOND = [75.09, 69.58, 75.09, 71.425, 75.09, 71.725]


def course_model(rounds: int, method: str = "exact") -> GradientBoostingRegressor:
    return GradientBoostingRegressor(
        loss="squared_error",
        learning_rate=0.1,
        n_estimators=rounds,
        method=method,
        max_leaf_nodes=4,
        min_samples_leaf=1,
        min_split_gain=4,
        monotonic_cst=[1, 0, 0, 1],
        interaction_cst=[[0, 1, 3], [2]],
    )


@pytest.mark.parametrize("method", ["exact", "histogram"])
def test_gradient_boosting_table(method: str) -> None:
    model = course_model(2, method).fit(X, Y)
    assert model.trees_.base.tolist() == [73.0]
    np.testing.assert_allclose(Y - 73, [17, -18, 11, -9, 5, -6])
    first, second = model.staged_predict(X)
    np.testing.assert_allclose(first, FIRST, atol=1e-5)
    np.testing.assert_allclose(Y - first, [15.9, -16.2, 9.9, -8.1, 3.9, -5.4], atol=1e-5)
    np.testing.assert_allclose(second, SECOND, atol=1e-5)
    np.testing.assert_allclose(model.predict(X), SECOND, atol=1e-5)
    assert model.predict(NEW)[0] == pytest.approx(75.09, abs=1e-5)
    leaves = np.diff(model.trees_.offsets) // 2 + 1
    assert leaves.tolist() == [4, 3]  # {1, 3, 5} {2} {4} {6}, then {1, 3, 5} {2} {4, 6}


def test_boosting_goes_on_to_the_targets() -> None:
    """Without the constraints two hundred rounds learn the six marks by heart."""
    model = GradientBoostingRegressor(method="exact", min_samples_leaf=1, n_estimators=200).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), Y, atol=1e-3)


def test_three_losses_of_the_course() -> None:
    """Squared, absolute and cross-entropy: where they start, and that they fall."""
    absolute = GradientBoostingRegressor("absolute_error", method="exact", min_samples_leaf=1).fit(X, Y)
    assert absolute.trees_.base.tolist() == [np.median(Y)]
    assert (np.diff(absolute.train_score_) <= 1e-12).all()
    from einkorn.boosting import GradientBoostingClassifier

    passed = Y > 65
    classes = GradientBoostingClassifier(method="exact", min_samples_leaf=1, n_estimators=50).fit(X, passed)
    assert classes.trees_.base[0] == pytest.approx(np.log(4 / 2))
    assert (np.diff(classes.train_score_) < 0).all()
    np.testing.assert_array_equal(classes.predict(X), passed)
