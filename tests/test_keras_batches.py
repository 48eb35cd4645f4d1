"""Batches of two and three parts, and lists of one, in every way that Keras' models are given data."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest

from einkorn import keras
from einkorn.data import ArrayDataset, DataLoader

rng = np.random.default_rng(0)
X = rng.random((8, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True) + rng.random((8, 1)).astype(np.float32)
W = np.arange(8, dtype=np.float32)


class Subclass(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)


class OwnStep(keras.Sequential):
    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        assert x.shape == (8, 3)
        assert y.shape == (8, 1)
        return super().train_step((x, y) if weight is None else (x, y, weight))


class Batches(keras.utils.PyDataset):
    def __init__(self, *parts) -> None:
        super().__init__()
        self.parts = parts

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int):
        return self.parts


def functional():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


KINDS = {
    "sequential": lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]),
    "unbuilt": lambda: keras.Sequential([keras.layers.Dense(1)]),
    "functional": functional,
    "subclass": Subclass,
    "own step": lambda: OwnStep([keras.Input((3,)), keras.layers.Dense(1)]),
}


@pytest.fixture(params=KINDS)
def make(request):
    def made(build: bool = True):
        model = KINDS[request.param]()
        model.compile(keras.optimizers.SGD(0.1), "mse")
        if build:
            model(X[:1])
            model.set_weights([np.ones((3, 1)), np.zeros(1)])
        return model

    return made


def expected(make, weight):
    """What two updates and two evaluations by arrays give."""
    model = make()
    losses = [model.train_on_batch(X, Y, sample_weight=weight) for _ in range(2)]
    return np.mean(losses), make().evaluate(X, Y, sample_weight=weight, verbose=0)


FORMS = {
    "plain": (X, Y, W),
    "lists": ([X], [Y], [W]),
    "tuples": ((X,), (Y,), (W,)),
    "no weight": (X, Y, None),
    "two lists": ([X], [Y]),
    "two tuples": ((X,), (Y,)),
}


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_generators_and_datasets(make, form):
    parts = FORMS[form]
    trained, tested = expected(make, W if len(parts) == 3 and parts[2] is not None else None)
    for batches in (lambda: repeat(parts, 2), lambda: Batches(*parts)):
        model = make()
        history = model.fit(batches(), verbose=0).history
        assert history["loss"] == [pytest.approx(trained, rel=1e-5)]
        assert make().evaluate(batches(), verbose=0) == pytest.approx(tested, rel=1e-5)
        outputs = make().predict(batches(), verbose=0)
        np.testing.assert_allclose(outputs, np.tile(X.sum(1, keepdims=True), (2, 1)), rtol=1e-5)
        history = make().fit(X, Y, validation_data=batches(), validation_steps=2, verbose=0).history
        assert np.isfinite(history["val_loss"]).all()
        assert np.isfinite(make(build=False).fit(batches(), verbose=0).history["loss"]).all()
        assert np.isfinite(make(build=False).evaluate(batches(), verbose=0))
        assert make(build=False).predict(batches(), verbose=0).shape == (16, 1)


def test_weights_that_come_in_the_midst_of_an_epoch(make):
    model = make()
    loss = np.mean([model.train_on_batch(X, Y), model.train_on_batch(X, Y, sample_weight=W)])
    history = make().fit(iter([(X, Y), (X, Y, W)]), verbose=0).history
    assert history["loss"] == [pytest.approx(loss, rel=1e-5)]


def test_a_loader_of_rows_with_weights(make):
    loader = DataLoader(ArrayDataset(X, Y, W), batch_size=8)
    assert make().evaluate(loader, verbose=0) == pytest.approx(expected(make, W)[1], rel=1e-5)


@pytest.mark.parametrize("wrap", [lambda part: [part], lambda part: (part,)])
def test_lists_of_one(make, wrap):
    trained, tested = expected(make, W)
    given = {"sample_weight": wrap(W)}
    options = {"verbose": 0, **given}
    assert make().evaluate(wrap(X), wrap(Y), **options) == pytest.approx(tested, rel=1e-5)
    assert make().test_on_batch(wrap(X), wrap(Y), **given) == pytest.approx(tested, rel=1e-5)
    assert make().train_on_batch(wrap(X), wrap(Y), **given) == pytest.approx(tested, rel=1e-5)
    model = make()
    validation = (wrap(X), wrap(Y), wrap(W))
    history = model.fit(wrap(X), wrap(Y), shuffle=False, validation_data=validation, **options).history
    assert history["loss"] == [pytest.approx(tested, rel=1e-5)]
    assert history["val_loss"] == [pytest.approx(2 * trained - tested, rel=1e-5)]
    for predict in (make().predict, make().predict_on_batch):
        np.testing.assert_allclose(predict(wrap(X)), X.sum(1, keepdims=True), rtol=1e-5)


def test_models_of_several_inputs():
    def make():
        inputs = [keras.Input((3,)), keras.Input((3,))]
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.add(inputs)))
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        return model

    for weight in (None, W):
        loss = make().evaluate([X, X], Y, sample_weight=weight, verbose=0)
        for inputs in ([X, X], (X, X)):
            parts = (inputs, [Y], weight)
            assert make().evaluate(Batches(*parts), verbose=0) == pytest.approx(loss, rel=1e-5)
            assert make().evaluate(repeat(parts, 2), verbose=0) == pytest.approx(loss, rel=1e-5)
            assert make().predict(Batches(*parts), verbose=0).shape == (16, 1)
    one_by_one = make().evaluate(repeat((X, X, Y), 2), verbose=0)
    assert one_by_one == make().evaluate([X, X], Y, verbose=0)


@pytest.mark.parametrize("kind", ["sequential", "functional", "own step"])
def test_a_list_of_one_is_called(kind):
    model = KINDS[kind]()
    np.testing.assert_array_equal(model([X]).numpy(), model(X).numpy())
