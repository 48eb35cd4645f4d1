"""Networks as scikit-learn's estimators."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import einkorn
from einkorn import data, nn
from einkorn.errors import ArgumentError
from einkorn.training import Callback
from einkorn.training.sklearn import NetworkClassifier, NetworkRegressor, NetworkTransformer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((240, 6))
Y = np.where(X[:, 0] * X[:, 1] > 0, "alike", "unlike")
QUICK = {"epochs": 40, "hidden_layer_sizes": (32,), "lr": 0.01, "random_state": 0}


@parametrize_with_checks(
    [NetworkClassifier(random_state=0), NetworkRegressor(random_state=0), NetworkTransformer(random_state=0)],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "batches of repeated rows are other batches",
    },
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_classifier_learns_and_is_repeatable():
    train, test, y, y_test = train_test_split(X, Y, random_state=0)
    estimator = NetworkClassifier(**QUICK).fit(train, y)
    assert estimator.score(test, y_test) > 0.85
    assert list(estimator.classes_) == ["alike", "unlike"]
    assert_allclose(estimator.predict_proba(test).sum(1), 1)
    again = clone(estimator).fit(train, y)
    assert_array_equal(again.predict_proba(test), estimator.predict_proba(test))
    loaded = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(loaded.predict_proba(test), estimator.predict_proba(test))


def test_einkorns_generator_is_left_alone():
    einkorn.manual_seed(5)
    before = einkorn.random.get_state()
    NetworkClassifier(epochs=1, random_state=1).fit(X, Y)
    assert einkorn.random.get_state() == before


def test_weights_of_rows_count():
    flipped = np.r_[Y, np.where(Y == "alike", "unlike", "alike")]
    twice = np.r_[X, X]
    weight = np.r_[np.ones(len(X)), np.zeros(len(X))]
    estimator = NetworkClassifier(**QUICK).fit(twice, flipped, sample_weight=weight)
    assert estimator.score(X, Y) > 0.85


def test_early_stopping_holds_rows_out():
    estimator = NetworkClassifier(**{**QUICK, "epochs": 200}, early_stopping=3).fit(X, Y)
    assert estimator.n_iter_ < 200
    assert "val_loss" in estimator.history_.history


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_regressor_gives_the_shape_of_its_targets(shape):
    target = np.tensordot(X, RNG.standard_normal((6, *shape)), 1)
    estimator = NetworkRegressor(**QUICK).fit(X, target)
    assert estimator.predict(X).shape == target.shape
    assert estimator.score(X, target) > 0.9


def test_a_transformer_keeps_what_matters():
    plane = RNG.standard_normal((300, 2)) @ RNG.standard_normal((2, 8))
    estimator = NetworkTransformer(**{**QUICK, "epochs": 100})
    codes = estimator.fit_transform(plane)
    assert codes.shape == (300, 2)
    error = np.mean((estimator.inverse_transform(codes) - plane) ** 2)
    assert error < 0.1 * plane.var()
    names = estimator.get_feature_names_out()
    assert list(names) == ["networktransformer0", "networktransformer1"]
    images = NetworkTransformer(epochs=1, n_components=3).fit(plane.reshape(300, 2, 2, 2))
    assert images.inverse_transform(images.transform(plane.reshape(300, 2, 2, 2))).shape == (300, 2, 2, 2)


class Small(nn.Module):
    def __init__(self, features, outputs, width=8):
        super().__init__()
        self.first = nn.Linear(features, width, activation="tanh")
        self.last = nn.Linear(width, outputs)

    def forward(self, x):
        return self.last(self.first(x))


def test_modules_of_ones_own():
    estimator = NetworkClassifier(Small, module_options={"width": 5}, **QUICK).fit(X, Y)
    assert estimator.module_.first.out_features == 5
    module = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    before = module[0].weight.numpy().copy()
    NetworkClassifier(module, epochs=1).fit(X, Y)
    assert_array_equal(module[0].weight.numpy(), before)  # a copy was trained
    (x, y), (x_test, y_test) = data.load_digits()
    convolution = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    images = NetworkClassifier(convolution, epochs=5, lr=0.003, random_state=0).fit(x, y)
    assert images.score(x_test, y_test) > 0.9


class Count(Callback):
    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        Count.epochs += 1


def test_callbacks_and_arguments_of_fit_reach_it():
    Count.epochs = 0
    options = {"validation_split": 0.2, "steps_per_epoch": 2}
    estimator = NetworkClassifier(epochs=3, callbacks=[Count()], fit_options=options).fit(X, Y)
    assert Count.epochs == 3
    assert "val_loss" in estimator.history_.history


def test_searches_and_pipelines():
    pipe = make_pipeline(StandardScaler(), NetworkClassifier(**{**QUICK, "epochs": 5}))
    grid = {"networkclassifier__lr": [1e-5, 0.01], "networkclassifier__hidden_layer_sizes": [(32,)]}
    found = GridSearchCV(pipe, grid, cv=2).fit(X, Y)
    assert found.best_params_["networkclassifier__lr"] == 0.01
    drawn = RandomizedSearchCV(NetworkClassifier(**QUICK), {"lr": [1e-6, 0.01]}, n_iter=2, cv=2).fit(X, Y)
    assert drawn.best_params_["lr"] == 0.01
    encoded = make_pipeline(NetworkTransformer(epochs=2, n_components=4), LogisticRegression())
    assert len(cross_val_score(encoded, X, Y, cv=3)) == 3


def test_successive_halving_gives_the_better_more_epochs():
    search = HalvingGridSearchCV(
        NetworkClassifier(hidden_layer_sizes=(32,), random_state=0),
        {"lr": [1e-6, 1e-5, 1e-4, 0.01]},
        resource="epochs",
        min_resources=4,
        max_resources=16,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(X, Y)
    assert search.n_resources_ == [4, 8, 16]
    assert search.n_candidates_ == [4, 2, 1]
    assert search.best_params_["lr"] == 0.01
    assert search.best_estimator_.n_iter_ == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adma"}, "optimizer is 'adma'"),
        ({"module": lambda features, outputs: None}, "module gave NoneType"),
        ({"module": nn.Linear(6, 2), "module_options": {"a": 1}}, "module_options need a class"),
        ({"module_options": {"a": 1}}, "without a module"),
        ({"early_stopping": 2, "validation_fraction": 0.0}, "validation_fraction is 0.0"),
        ({"early_stopping": 2, "validation_fraction": 1e-4}, "leaves 240 rows"),
        ({"optimizer": einkorn.optim.SGD, "lr": 0.1}, "need the name of an optimizer"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        NetworkClassifier(**{"epochs": 1, **options}).fit(X, Y)


def test_classes_have_weights_as_in_scikit_learn():
    X = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
    y = (X[:, 0] > 0.7).astype(int)
    options = {"epochs": 2, "random_state": 0}
    share = np.bincount(y) / len(y)
    by_rows = NetworkClassifier(**options).fit(X, y, sample_weight=1 / (2 * share[y]))
    for given in ("balanced", dict(enumerate(1 / (2 * share)))):
        model = NetworkClassifier(class_weight=given, **options).fit(X, y)
        assert_allclose(model.predict_proba(X), by_rows.predict_proba(X), rtol=1e-5)
    with pytest.raises(ArgumentError, match="y has one class, 0"):
        NetworkClassifier().fit(X, np.zeros(80, int))


def test_a_decay_that_the_optimizer_has_not_is_refused():
    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3)
    for name in ("rprop", "ftrl"):
        with pytest.raises(
            ArgumentError, match=f"weight_decay is 0.1, expected 0: optimizer '{name}' has none"
        ):
            NetworkRegressor(optimizer=name, weight_decay=0.1, epochs=1).fit(x, x[:, 0])
        NetworkRegressor(optimizer=name, epochs=1).fit(x, x[:, 0])
    NetworkRegressor(optimizer="muon", weight_decay=0.1, lr=0.01, epochs=1).fit(x, x[:, 0])
