"""Arrays with masked elements are refused wherever an array is taken; without one they are arrays."""

import numpy as np
import pytest
from small_cascade import small_cascade

import einkorn as ek
from einkorn import boosting, ops
from einkorn.boosting import Binner
from einkorn.data import enlarge
from einkorn.errors import ArgumentError
from einkorn.training.metrics import accuracy
from einkorn.vision import CascadeDetector

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
ONES = np.ones(40)
IMAGE = RNG.integers(0, 256, (30, 30)).astype(np.uint8)
MODEL = boosting.GradientBoostingRegressor(n_estimators=2).fit(X, X[:, 0])
CLASSIFIER = boosting.RandomForestClassifier(2, random_state=0).fit(X, Y)
Q = RNG.normal(size=(1, 4, 8)).astype(np.float32)


def hidden(array, masked=True):
    """The array with its first element masked, or with a mask that hides nothing."""
    mask = np.zeros(np.shape(array), bool)
    mask.flat[0] = masked
    return np.ma.MaskedArray(array, mask)


CALLS = {
    "boosting X": lambda m: boosting.GradientBoostingRegressor(n_estimators=2).fit(m(X), X[:, 0]),
    "boosting y": lambda m: boosting.GradientBoostingClassifier(n_estimators=2).fit(X, m(Y)),
    "boosting weights": lambda m: boosting.AdaBoostClassifier(n_estimators=2).fit(X, Y, m(ONES)),
    "boosting X_val": lambda m: boosting.GradientBoostingClassifier(n_estimators=2).fit(X, Y, None, m(X), Y),
    "boosting y_val": lambda m: boosting.GradientBoostingClassifier(n_estimators=2).fit(X, Y, None, X, m(Y)),
    "forest y": lambda m: boosting.RandomForestRegressor(2).fit(X, m(X[:, 0])),
    "predict": lambda m: MODEL.predict(m(X)),
    "predict_proba": lambda m: CLASSIFIER.predict_proba(m(X)),
    "score X": lambda m: MODEL.score(m(X), X[:, 0]),
    "score y": lambda m: MODEL.score(X, m(X[:, 0])),
    "score y of classes": lambda m: CLASSIFIER.score(X, m(Y)),
    "score weights": lambda m: CLASSIFIER.score(X, Y, m(ONES)),
    "shap": lambda m: boosting.shap_values(MODEL, m(X)),
    "Binner": lambda m: Binner().fit(m(X)),
    "Binner weights": lambda m: Binner().fit(X, m(ONES)),
    "Binner.transform": lambda m: Binner().fit(X).transform(m(X)),
    "cross_entropy": lambda m: ops.cross_entropy(X.astype(np.float32), m(Y)),
    "where": lambda m: ops.where(m(X > 0), X, 0.0),
    "where of integers": lambda m: ops.where(m(Y), Y, 0),
    "masked_fill": lambda m: ek.Tensor(X.astype(np.float32)).masked_fill(m(X > 0), 0.0),
    "index": lambda m: ops.histogram(IMAGE, np.ones(30), rows=m(np.arange(5))),
    "attention mask": lambda m: ops.scaled_dot_product_attention(Q, Q, Q, m(np.ones((4, 4), bool))),
    "attention bias": lambda m: ops.scaled_dot_product_attention(Q, Q, Q, m(np.ones((4, 4), np.float32))),
    "enlarge": lambda m: enlarge(m(IMAGE), 2),
    "accuracy output": lambda m: accuracy(m(X), Y),
    "accuracy target": lambda m: accuracy(X, m(Y)),
    "register_buffer": lambda m: ek.nn.Module().register_buffer("b", m(ONES)),
    "integral_image": lambda m: ops.integral_image(m(IMAGE)),
    "resize_exact": lambda m: ops.resize_exact(m(IMAGE), 20, 20),
    "group_rectangles": lambda m: ops.group_rectangles(m(np.array([[0, 0, 5, 5]] * 5))),
    "histogram": lambda m: ops.histogram(m(IMAGE), np.ones(30)),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_elements_are_refused(name):
    with pytest.raises(ArgumentError, match="masked elements"):
        CALLS[name](hidden)
    CALLS[name](lambda array: hidden(array, False))


def test_a_detector_refuses_a_masked_image():
    detector = CascadeDetector(small_cascade())
    with pytest.raises(ArgumentError, match="masked elements"):
        detector.detect(hidden(IMAGE))
    detector.detect(hidden(IMAGE, False))
