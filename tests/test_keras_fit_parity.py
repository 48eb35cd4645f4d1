"""``compile``, ``fit`` and ``evaluate`` beside Keras itself, of the same weights, where it is installed."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_problems import blobs, rows

from einkorn import keras
from einkorn.errors import ArgumentError

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras", reason="Keras is not installed")

LOSS = "sparse_categorical_crossentropy"
OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True, "clipnorm": 0.1}),
    ("Adam", {}), ("Adam", {"amsgrad": True, "clipvalue": 0.01}), ("AdamW", {"learning_rate": 0.1}),
    ("RMSprop", {}), ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adagrad", {}),
    ("Adadelta", {"learning_rate": 1.0}), ("Adamax", {}), ("Nadam", {}), ("Lion", {}),
    ("Adam", {"global_clipnorm": 0.05, "weight_decay": 0.1}),
]  # fmt: skip


def program(library, optimizer, options):
    L = library.layers
    model = library.Sequential(
        [library.Input((2,)), L.Dense(5, activation="tanh"), L.Dense(3, activation="softmax")]
    )
    generator = np.random.default_rng(3)
    model.set_weights([generator.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    model.compile(
        optimizer=getattr(library.optimizers, optimizer)(**options),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_fit_goes_the_way_of_keras(name, options):
    """Two epochs from the same weights: losses, accuracy and the weights at the end."""
    x, y = blobs(50)
    x = x.astype(np.float32)
    found = []
    for library in (theirs, keras):
        model = program(library, name, options)
        history = model.fit(
            x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, validation_split=0.2
        ).history
        found.append(
            (history, model.get_weights(), model.evaluate(x, y, verbose=0), model.predict(x, verbose=0))
        )
    (wanted, weights, score, out), (history, own, own_score, own_out) = found
    assert sorted(history) == sorted(wanted)
    for key in history:
        assert_allclose(history[key], wanted[key], rtol=1e-3, atol=1e-5, err_msg=key)
    for weight, other in zip(own, weights, strict=True):
        assert_allclose(weight, other, rtol=1e-3, atol=3e-5)
    assert_allclose(own_score, score, rtol=1e-3)
    assert_allclose(own_out, out, rtol=1e-3, atol=1e-5)


def test_weights_of_the_sample_count_as_in_keras():
    x, y = blobs(30)
    x = x.astype(np.float32)
    weights = np.linspace(0, 2, 30).astype(np.float32)
    found = []
    for library in (theirs, keras):
        model = program(library, "SGD", {"learning_rate": 0.1})
        one = model.fit(x, y, 10, 2, shuffle=False, sample_weight=weights, verbose=0).history["loss"]
        two = model.fit(x, y, 10, 2, shuffle=False, class_weight={0: 2.0, 1: 0.5}, verbose=0).history["loss"]
        found.append([*one, *two])
    assert_allclose(found[1], found[0], rtol=1e-3)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight"])
@pytest.mark.parametrize(
    "name", ["MeanSquaredError", "Huber", "SparseCategoricalCrossentropy", "Dice", "Tversky"]
)
def test_reductions_of_losses_are_keras_reductions(name, reduction):
    generator = np.random.default_rng(0)
    x, start = generator.random((7, 3)).astype(np.float32), generator.random((3, 2)).astype(np.float32)
    sparse = name.startswith("Sparse")
    y = generator.integers(0, 2, 7) if sparse else generator.random((7, 2)).astype(np.float32)
    weight = np.array([0, 1, 0.5, 0.25, 2, 0.75, 0], np.float32)
    ways = [{}, {"sample_weight": weight}, *([{"class_weight": {0: 0.3, 1: 2.0}}] if sparse else [])]
    for given in ways:
        for size, steps in ((3, None), (7, None), (3, 2)):
            found = []
            for library in (theirs, keras):
                layer = library.layers.Dense(2, use_bias=False, activation="softmax")
                model = library.Sequential([library.Input((3,)), layer])
                model.set_weights([start])
                loss = getattr(library.losses, name)(reduction=reduction)
                model.compile(library.optimizers.SGD(0.1, gradient_accumulation_steps=steps), loss)
                told = model.fit(x, y, size, 2, shuffle=False, verbose=0, **given).history["loss"]
                score = model.evaluate(x, y, size, verbose=0, sample_weight=given.get("sample_weight"))
                one = model.train_on_batch(x, y, **given)
                found.append([*told, score, np.ravel(one)[0], *np.ravel(model.get_weights()[0])])
            assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6, err_msg=f"{given}, {size}, {steps}")


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("options", [{}, {"ignore_class": 3}])
def test_reductions_of_masked_steps_are_keras_reductions(options, reduction):
    generator = np.random.default_rng(0)
    x, start = generator.random((7, 4, 3)).astype(np.float32), generator.random((3, 2)).astype(np.float32)
    x[2, 2:], x[5, 1:] = 0, 0
    y = generator.integers(0, 2, (7, 4))
    if options:
        y[1, 2] = y[2, 1] = y[5, 3] = 3
    found = []
    for library in (theirs, keras):
        layer = library.layers.Dense(2, use_bias=False, activation="softmax")
        model = library.Sequential([library.Input((4, 3)), library.layers.Masking(), layer])
        model.set_weights([start])
        loss = library.losses.SparseCategoricalCrossentropy(reduction=reduction, **options)
        model.compile(library.optimizers.SGD(0.1), loss)
        told = model.fit(x, y, 7, 2, shuffle=False, verbose=0).history["loss"]
        found.append([*told, model.evaluate(x, y, 7, verbose=0), *np.ravel(model.get_weights()[0])])
    assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_a_mean_with_sample_weights_is_divided_by_them():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.SGD(0.1), loss)
    x, y, weight = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32), np.array([1, 0, 0.5, 0.5])
    model.fit(x, y, sample_weight=weight, verbose=0)
    assert_allclose(np.ravel(model.get_weights()[0]), [0.6, 0.6], rtol=1e-6)
    assert model.evaluate(x, y, sample_weight=weight, verbose=0) == pytest.approx(0.64, rel=1e-5)
    assert model.evaluate(x, y, sample_weight=0 * weight, verbose=0) == 0.0


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_layers_are_left_alone_as_in_keras(frozen):
    x, y = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    found = []
    for library in (theirs, keras):
        L, limit, L2 = library.layers, library.constraints.MaxNorm(0.5), library.regularizers.L2
        first = L.Dense(
            2, kernel_initializer="ones", kernel_constraint=limit, kernel_regularizer=L2(1.0),
            activity_regularizer=L2(0.1),
        )  # fmt: skip
        model = library.Sequential([library.Input((2,)), first, L.Dense(1, kernel_initializer="ones")])
        first.trainable = not frozen
        model.compile(library.optimizers.SGD(0.1), "mse")
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0).history["loss"]
        first.trainable = True  # told to fit by compile, as in Keras
        model.compile(library.optimizers.SGD(0.1), "mse")
        history += model.fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"]
        found.append([*history, *(w for weight in model.get_weights() for w in weight.ravel())])
    assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_metrics_of_one_name_are_told_apart_as_in_keras():
    x, y = blobs(30)
    x = x.astype(np.float32)
    weight = np.linspace(0, 2, 30).astype(np.float32)
    found = []
    for library in (theirs, keras):
        model = program(library, "SGD", {"learning_rate": 0.1})
        model.compile("sgd", LOSS, metrics=["accuracy"], weighted_metrics=["accuracy", "accuracy"])
        history = model.fit(x, y, 10, 2, shuffle=False, sample_weight=weight, verbose=0).history
        found.append({**history, **model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)})
    assert found[1].keys() == found[0].keys()
    for name, value in found[0].items():
        assert_allclose(found[1][name], value, rtol=1e-3, err_msg=name)


def test_figures_of_each_class_are_arrays_as_in_keras(tmp_path, capsys):
    x, y = blobs(30)
    x, y = x.astype(np.float32), np.eye(3, dtype=np.float32)[y]
    found = []
    for library in (theirs, keras):
        model = program(library, "SGD", {"learning_rate": 0.1})
        model.compile("sgd", "categorical_crossentropy", metrics=[library.metrics.F1Score()])
        lines = library.callbacks.CSVLogger(tmp_path / f"{library.__name__}.csv")
        history = model.fit(
            x, y, 10, 2, shuffle=False, verbose=0, validation_data=(x, y), callbacks=[lines]
        ).history
        found.append({**history, **model.evaluate(x, y, verbose=0, return_dict=True)})
        found[-1]["on a batch"] = model.train_on_batch(x, y, return_dict=True)["f1_score"]
    assert found[1].keys() == found[0].keys()
    for name, value in found[0].items():
        assert_allclose(found[1][name], value, rtol=1e-3, atol=1e-6, err_msg=name)
    header, *lines = [line.split(",") for line in (tmp_path / "einkorn.keras.csv").read_text().splitlines()]
    assert header == ["epoch", "loss", "f1_score", "val_loss", "val_f1_score"]
    numbers = [float(one.strip('"[] ')) for one in lines[1][2:5]]
    assert_allclose(numbers, history["f1_score"][1])
    own = model.fit(x, y, 10, 2, verbose=2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "kept")])
    assert "f1_score=[" in capsys.readouterr().err
    assert "f1_score=[" in repr(own)
    own.to_csv(tmp_path / "own.csv")
    again = type(own).from_csv(tmp_path / "own.csv")
    assert_allclose(again.history["f1_score"], own.history["f1_score"])
    with pytest.raises(ArgumentError, match="monitor is 'f1_score', which is an array of 3 numbers"):
        model.fit(x, y, verbose=0, callbacks=[keras.callbacks.EarlyStopping("f1_score", mode="max")])


def two_heads(library):
    L = library.layers
    first = library.Input((4,), name="numbers")
    second = library.Input((6, 3), name="steps")
    shared = L.Dense(3, activation="relu", name="shared")
    hidden = L.Concatenate(name="both")([shared(first), L.GRU(3, name="walk")(second)])
    again = L.Add(name="sum")([hidden, L.Dense(6, name="inner")(hidden)])
    model = library.Model(
        [first, second],
        [L.Dense(1, name="size")(again), L.Dense(3, activation="softmax", name="kind")(again)],
        name="two",
    )
    generator = np.random.default_rng(4)
    model.set_weights([generator.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    model.compile(
        library.optimizers.Adam(0.01),
        loss={"size": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"size": 0.5, "kind": 1.0},
        metrics={"kind": ["accuracy"]},
    )
    return model


def test_a_model_of_several_inputs_and_outputs_is_keras_model():
    numbers, steps = rows(20, 4), rows(20, 6, 3)
    targets = {"size": rows(20, 1), "kind": np.arange(20) % 3}
    found = []
    for library in (theirs, keras):
        model = two_heads(library)
        history = model.fit(
            {"numbers": numbers, "steps": steps}, targets, batch_size=8, epochs=2, shuffle=False, verbose=0
        ).history
        out = model.predict([numbers, steps], verbose=0)
        names = [layer.name for layer in model.layers]
        found.append(
            (history, out, names, [layer.count_params() for layer in model.layers], model.output_names)
        )
    (wanted, out, names, counts, outputs), (history, own, own_names, own_counts, own_outputs) = found
    assert sorted(history) == sorted(wanted)
    for key in history:
        assert_allclose(history[key], wanted[key], rtol=1e-3, atol=1e-5, err_msg=key)
    for part, other in zip(own, out, strict=True):
        assert_allclose(part, other, rtol=1e-3, atol=1e-4)
    assert own_names == names
    assert own_counts == counts
    assert own_outputs == outputs


def test_steps_have_their_classes_last():
    tokens = np.arange(60).reshape(10, 6) % 7
    found = []
    for library in (theirs, keras):
        L = library.layers
        model = library.Sequential(
            [
                library.Input((None,), dtype="int32"),
                L.Embedding(7, 4),
                L.GRU(5, return_sequences=True),
                L.Dense(7),
            ]
        )
        generator = np.random.default_rng(4)
        model.set_weights([generator.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(library.optimizers.SGD(0.1), loss, metrics=["accuracy"])
        history = model.fit(
            tokens, (tokens + 1) % 7, batch_size=4, epochs=2, shuffle=False, verbose=0
        ).history
        found.append((history, model.output_shape))
    assert found[0][1] == found[1][1] == (None, None, 7)
    for key in found[0][0]:
        assert_allclose(found[1][0][key], found[0][0][key], rtol=1e-3)
