"""The course's AdaBoost example: 10 samples, 3 stumps, and every number it prints."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from einkorn.boosting import AdaBoostClassifier

# Points in the plane on which the best stumps miss what the course's miss: samples 3, 4, 5, then 6, 7, 8,
# then three of 1, 2, 9, 10. The first two rounds have ties, which the lowest feature and threshold win.
X = np.array(
    [[1, 9], [2, 6], [7, 2], [8, 4], [5, 3], [6, 10], [3, 7], [4, 5], [9, 8], [10, 1]], dtype=np.float64
)
Y = np.array([1, 1, 1, 1, 1, -1, -1, -1, -1, -1])


@pytest.fixture
def model(engine: str) -> AdaBoostClassifier:
    return AdaBoostClassifier(n_estimators=3, criterion="error").fit(X, Y)


def test_errors_and_alphas(model: AdaBoostClassifier) -> None:
    missed = [(np.flatnonzero(stump.predict(X) != Y) + 1).tolist() for stump in model.estimators_]
    assert missed == [[3, 4, 5], [6, 7, 8], [1, 2, 10]]
    # The third error is printed as 3 * 0.0455 = 0.1365, from weights rounded before.
    np.testing.assert_allclose(model.estimator_errors_, [0.300, 0.2142, 0.1365], atol=2e-4)
    np.testing.assert_allclose(model.alphas_[:2], [0.424, 0.6496], atol=4e-4)
    # The third alpha is printed as 0.7378, which is not 0.5 ln((1 - e) / e) = 0.922 of the error beside it:
    # the formula is what is computed.
    assert model.alphas_[2] == pytest.approx(0.5 * np.log((1 - 0.1365) / 0.1365), abs=1e-3)
    np.testing.assert_allclose(model.normalizers_[:2], [0.9165, 0.8206], atol=1e-4)
    np.testing.assert_array_equal(model.predict(X), Y)


def test_weights(model: AdaBoostClassifier) -> None:
    first, second, third, _ = model.staged_sample_weight(X, Y)
    groups = [[0, 1, 8, 9], [2, 3, 4], [5, 6, 7]]
    np.testing.assert_allclose(first, 0.1)
    for t, weights, undivided, divided in (
        (0, second, [0.0655, 0.153, 0.0655], [0.0714, 0.1667, 0.0714]),
        (1, third, [0.0373, 0.0871, 0.1367], [0.0455, 0.106, 0.1666]),
    ):
        for rows, raw, share in zip(groups, undivided, divided, strict=True):
            np.testing.assert_allclose(weights[rows] * model.normalizers_[t], raw, atol=3e-4)
            np.testing.assert_allclose(weights[rows], share, atol=2e-4)
