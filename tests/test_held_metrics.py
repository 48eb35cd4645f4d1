"""Metrics that models and layers keep as attributes: listed, reset, in histories and logs, as in Keras."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from einkorn import keras, nn
from einkorn.training import BackupAndRestore, Callback, EarlyStopping

ONES = np.ones((8, 1), np.float32)


class Measuring(keras.layers.Layer):
    """A layer with metrics of its own: one, one in a list, one in a dict in it."""

    def __init__(self) -> None:
        super().__init__()
        self.lm = keras.metrics.Mean(name="lm")
        self.more = [keras.metrics.Mean(name="l0"), {"a": keras.metrics.Sum(name="l1")}]

    def call(self, x):
        self.lm.update_state(x * 2)
        self.more[0].update_state(x * 3)
        self.more[1]["a"].update_state(x)
        return x


class Stepping(keras.Sequential):
    """Steps of its own, whose training enters 1, 2, 3, ... and whose tests enter 100."""

    def train_step(self, data):
        self.n = getattr(self, "n", 0) + 1
        self.z.update_state(float(self.n))
        return {"z": self.z.result()}

    def test_step(self, data):
        self.z.update_state(100.0)
        return {"z": self.z.result()}


class Listing(Stepping):
    @property
    def metrics(self):
        return [self.z]


@pytest.mark.parametrize("kind", [Stepping, Listing])
def test_own_steps_begin_each_epoch_and_evaluation_anew(kind):
    model = kind([keras.Input((1,)), keras.layers.Dense(1)])
    model.z = keras.metrics.Mean(name="z")
    model.compile("sgd")
    history = model.fit(ONES, ONES, batch_size=4, epochs=3, verbose=0, validation_data=(ONES, ONES)).history
    assert history == {"z": [1.5, 3.5, 5.5], "val_z": [100.0, 100.0, 100.0]}
    assert model.evaluate(ONES, ONES, verbose=0) == model.evaluate(ONES, ONES, verbose=0) == 100.0
    assert model.train_on_batch(ONES, ONES) == 7.0
    assert model.train_on_batch(ONES, ONES) == 8.0


def test_a_module_with_its_own_step():
    class Net(nn.Sequential):
        n = 0

        def train_step(self, data):
            self.n += 1
            self.z.update_state(float(self.n))
            return {"z": self.z.result()}

    model = Net(nn.Linear(1, 1))
    model.z = keras.metrics.Mean(name="z")
    model.compile("sgd", "mse")
    assert model.fit(ONES, ONES, batch_size=4, epochs=3, verbose=0).history == {"z": [1.5, 3.5, 5.5]}
    assert [metric.name for metric in model.metrics] == ["loss", "z"]


class Whole(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Measuring()
        self.dense = keras.layers.Dense(1, kernel_initializer="ones")
        self.own = keras.metrics.Mean(name="own")

    def call(self, x):
        self.own.update_state(x + 1.0)
        return self.dense(self.layer(x))


def test_the_usual_step_reports_them():
    model = Whole()
    assert [metric.name for metric in model.metrics] == ["own", "lm", "l0", "l1"]
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    assert [metric.name for metric in model.layer.metrics] == ["lm", "l0", "l1"]
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(dict(logs))

        def on_test_batch_end(self, batch, logs=None):
            seen.append(dict(logs))

    watchers = [Watch(), EarlyStopping(monitor="val_lm", mode="min")]
    history = model.fit(
        ONES, ONES, batch_size=4, epochs=2, verbose=0, validation_data=(2 * ONES, ONES), callbacks=watchers
    ).history
    figures = {"loss": 0.0, "mae": 0.0, "own": 2.0, "lm": 2.0, "l0": 3.0, "l1": 8.0}
    doubled = {"loss": 1.0, "mae": 1.0, "own": 3.0, "lm": 4.0, "l0": 6.0, "l1": 16.0}
    assert history == {
        **{name: [value] * 2 for name, value in figures.items()},
        **{f"val_{name}": [value] * 2 for name, value in doubled.items()},
    }
    assert [metric.name for metric in model.metrics] == list(figures)
    assert seen[0] == {**figures, "l1": 4.0}
    assert seen[-1] == doubled
    assert model.evaluate(ONES, ONES, verbose=0) == list(figures.values())
    assert model.train_on_batch(ONES, ONES, return_dict=True) == figures
    assert model.test_on_batch(ONES, ONES, return_dict=True) == figures
    model.reset_metrics()
    assert model.own.result() == 0.0
    assert model.metrics[0].result() != model.metrics[0].result()  # NaN: a mean of nothing


def test_a_model_as_a_layer_keeps_its_metrics_to_itself():
    outer = keras.Sequential([keras.Input((1,)), Whole()])
    outer.compile("sgd", "mse")
    assert list(outer.fit(ONES, ONES, verbose=0).history) == ["loss", "lm", "l0", "l1"]


def test_a_step_above_the_usual_one_and_a_loss_of_its_own():
    class Above(keras.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            self.k.update_state(1.0)
            return {**logs, "k": self.k.result()}

    model = Above([keras.Input((1,)), Measuring(), keras.layers.Dense(1, kernel_initializer="ones")])
    model.k = keras.metrics.Sum(name="k")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(ONES, ONES, verbose=0, epochs=2, batch_size=4).history
    assert history == {"loss": [0, 0], "k": [2, 2], "lm": [2, 2], "l0": [3, 3], "l1": [8, 8]}

    class Losing(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1, kernel_initializer="ones")
            self.cl = keras.metrics.Mean(name="cl")

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = keras.ops.mean((y - y_pred) ** 2)
            self.cl.update_state(loss + 1.0)
            return loss

    model = Losing()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(ONES, 2 * ONES, verbose=0, epochs=2, batch_size=4).history
    assert history == {"loss": [1.0, 1.0], "cl": [2.0, 2.0]}


def test_a_model_from_another_process_and_a_metric_that_comes_late(monkeypatch):
    model = nn.Sequential(nn.Linear(1, 1))
    model.z = keras.metrics.Mean(name="z")
    kept = pickle.dumps(model)
    monkeypatch.setattr("einkorn.metrics.base.Metric._made", 0)
    model = pickle.loads(kept)
    model.compile("sgd", "mse")
    assert list(model.fit(ONES, ONES, verbose=0).history) == ["loss", "z"]

    class Late(nn.Linear):
        def forward(self, x):
            if "late" not in self.__dict__:
                self.late = keras.metrics.Sum(name="late")
            self.late.update_state(1.0)
            return super().forward(x)

    model = nn.Sequential(Late(1, 1))
    model.compile("sgd", "mse")
    assert model.fit(ONES, ONES, batch_size=2, epochs=2, verbose=0).history["late"] == [4.0, 4.0]


def test_metrics_of_compile_are_counted_once():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.error = keras.metrics.MeanAbsoluteError(name="error")
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[model.error])
    assert [metric.name for metric in model.metrics] == ["loss", "error"]
    assert model.fit(ONES, ONES, verbose=0, epochs=2).history == {"loss": [1.0, 1.0], "error": [1.0, 1.0]}


def test_a_training_goes_on_with_what_they_had_counted(tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    rows = np.arange(8, dtype=np.float32).reshape(8, 1)

    def fit(*watchers):
        model = keras.Sequential(
            [keras.Input((1,)), Measuring(), keras.layers.Dense(1, kernel_initializer="zeros")]
        )
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model.fit(rows, rows, batch_size=2, epochs=2, verbose=0, callbacks=list(watchers)).history

    whole = fit()
    assert whole["lm"] == [7.0, 7.0]
    with pytest.raises(KeyboardInterrupt):
        fit(BackupAndRestore(tmp_path, save_freq=1), Stop())
    assert fit(BackupAndRestore(tmp_path, save_freq=1)) == whole
