"""Keras's optimizers beside Keras itself: numbers, state, configurations, updates by hand, scaled losses."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import keras
from einkorn.errors import ArgumentError, ShapeError

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras")

OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {}), ("Adam", {"amsgrad": True}), ("AdamW", {}),
    ("RMSprop", {}), ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {}), ("Adagrad", {"initial_accumulator_value": 0.0}),
    ("Adadelta", {"learning_rate": 1.0}), ("Adamax", {}), ("Nadam", {}), ("Lion", {}), ("Lamb", {}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.1, "clip_threshold": 0.5, "beta_2_decay": -0.5, "epsilon_2": 0.1}),
    ("Ftrl", {}), ("Ftrl", {"learning_rate": 0.05, "learning_rate_power": -0.7}),
    ("Ftrl", {
        "learning_rate": 0.1, "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1,
        "l2_shrinkage_regularization_strength": 0.05, "beta": 0.5,
    }),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.01, "nesterov": False, "rms_rate": None, "exclude_layers": ["out"]}),
]  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    {}, {"weight_decay": 0.1}, {"clipnorm": 0.05}, {"global_clipnorm": 0.05}, {"clipvalue": 0.01},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 7}, {"loss_scale_factor": 128.0},
    {"gradient_accumulation_steps": 3},
]  # fmt: skip


def network(library):
    L = library.layers
    model = library.Sequential(
        [library.Input((5, 5, 2)), L.Conv2D(3, 2, name="conv"), L.Flatten(), L.Dense(4, name="out")],
        name="net",
    )
    generator = np.random.default_rng(3)
    model.set_weights([0.3 * generator.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def gradients(model, count=20):
    """Gradients in Keras's layouts, small and large ones."""
    generator = np.random.default_rng(5)
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    for step in range(count):
        scale = (1.0, 1e-2, 1e-4)[step % 3]
        yield [(scale * generator.normal(size=shape)).astype(np.float32) for shape in shapes]


def numbers(variable):
    return np.array(theirs.ops.convert_to_numpy(variable) if hasattr(variable.value, "cpu") else variable)


def run(library, optimizer, count=20, rates=None):
    """Updates by hand; the weights and what the optimizer keeps."""
    model = network(library)
    for step, grads in enumerate(gradients(model, count)):
        if rates is not None:
            optimizer.learning_rate = rates[step % len(rates)]
        if library is theirs:
            grads = [theirs.ops.convert_to_tensor(grad) for grad in grads]
        optimizer.apply(grads, model.trainable_variables)
    return model, [numbers(variable) for variable in optimizer.variables]


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_twenty_updates_are_those_of_keras(name, arguments):
    for options in OPTIONS:
        own, other = (
            getattr(library.optimizers, name)(**{**arguments, **options}) for library in (keras, theirs)
        )
        (model, kept), (wanted, theirs_kept) = run(keras, own), run(theirs, other)
        for weight, expected in zip(model.get_weights(), wanted.get_weights(), strict=True):
            assert_allclose(weight, expected, rtol=1e-5, atol=1e-5, err_msg=str(options))
        names = [re.sub(r"^variable_\d+$", "variable", v.name) for v in other.variables]
        assert [v.name for v in own.variables] == names
        for here, there, variable in zip(kept, theirs_kept, own.variables, strict=True):
            assert here.shape == there.shape, variable
            largest = max(1e-3, float(np.abs(there).max(initial=0)))
            # sums of terms that cancel are told to fewer digits
            loose = 1e-2 if "linear" in variable.name else 1e-4
            assert_allclose(here, there, rtol=1e-3, atol=loose * largest, err_msg=f"{options} {variable}")


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_rates_that_change(name, arguments):
    """Momentum that was gathered at one rate stays what it is when the rate changes, down to 0."""
    rates = [0.02, 0.02, 0.005, 0.05, 0.01] if name == "Ftrl" else [0.02, 0.0, 0.0, 0.005, 0.05, 0.01]
    arguments = {**arguments, "learning_rate": 0.02}
    weights = [
        run(library, getattr(library.optimizers, name)(**arguments), 20, rates)[0].get_weights()
        for library in (keras, theirs)
    ]
    for weight, expected in zip(*weights, strict=True):
        assert_allclose(weight, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor", "Ftrl", "Muon", "Lamb", "Lion"])
def test_fit_counts_batches_of_an_update_over_epochs(name):
    """Five batches of an epoch and four of an update: the update takes batches of both epochs."""
    found = []
    x = np.random.default_rng(1).normal(size=(40, 5, 5, 2)).astype(np.float32)
    y = np.arange(40) % 4
    for library in (keras, theirs):
        model = network(library)
        optimizer = getattr(library.optimizers, name)(gradient_accumulation_steps=4, clipnorm=0.1)
        model.compile(optimizer, library.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        assert model.optimizer is optimizer
        found.append((model.get_weights(), int(optimizer.iterations), int(numbers(optimizer.variables[0]))))
    assert found[0][1:] == found[1][1:] == (3, 15)
    for weight, expected in zip(found[0][0], found[1][0], strict=True):
        assert_allclose(weight, expected, rtol=1e-5, atol=2e-5)


def test_weights_left_out_of_the_decay():
    for how in ({"var_names": ["bias", "out"]}, {"var_names": ["bias"]}, {"var_list": True}, {}):
        found = []
        for library in (keras, theirs):
            model = network(library)
            optimizer = library.optimizers.Adam(weight_decay=5.0)
            chosen = {"var_list": model.trainable_variables[:1]} if "var_list" in how else how
            optimizer.exclude_from_weight_decay(**chosen)
            for grads in gradients(model, 3):
                if library is theirs:
                    grads = [theirs.ops.convert_to_tensor(grad) for grad in grads]
                optimizer.apply(grads, model.trainable_variables)
            found.append(model.get_weights())
        for weight, expected in zip(*found, strict=True):
            assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
    optimizer = keras.optimizers.Adam(weight_decay=0.1)
    run(keras, optimizer, 1)
    with pytest.raises(ArgumentError, match="has its weights already"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_configurations_make_the_same_optimizer(name, arguments):
    arguments = {**arguments, "clipvalue": 0.5, "loss_scale_factor": 2.0, "name": "mine"}
    own, other = (getattr(library.optimizers, name)(**arguments) for library in (keras, theirs))
    config, wanted = own.get_config(), other.get_config()
    assert set(config) == set(wanted)
    for key, value in wanted.items():
        assert config[key] == (pytest.approx(value) if key == "learning_rate" else value or config[key]), key
    again = type(own).from_config(config)
    assert again.get_config() == config
    there = type(own).from_config(wanted)  # of a configuration that Keras wrote
    weights = [run(keras, optimizer, 3)[0].get_weights() for optimizer in (again, there)]
    for one, two in zip(*weights, strict=True):
        assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    assert isinstance(keras.optimizers.get(name.lower()), type(own))
    assert keras.optimizers.deserialize(keras.optimizers.serialize(own)).get_config() == config


def test_state_moves_by_variables():
    """What ``variables`` show can be written back, into an optimizer that was just built too."""
    for name, arguments in OPTIMIZERS:
        first = getattr(keras.optimizers, name)(**arguments)
        model, kept = run(keras, first, 5)
        second = getattr(keras.optimizers, name)(**arguments)
        other = network(keras)
        second.build(other.trainable_variables)
        second.set_weights(kept)
        other.set_weights(model.get_weights())
        for grads in gradients(model, 4):
            first.apply(grads, model.trainable_variables)
            second.apply(grads)
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
            assert_allclose(one, two, rtol=1e-6, atol=1e-7, err_msg=name)


def test_numbers_that_are_set_where_they_are_read():
    optimizer = keras.optimizers.Adam(0.5)
    optimizer.learning_rate.assign(0.25)
    model = network(keras)
    model.compile(optimizer, "mse")
    assert model.optimizer is optimizer
    assert float(model.optimizer.learning_rate) == 0.25
    model.optimizer.learning_rate.assign(0.125)
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert optimizer.learning_rate.numpy() == 0.125
    optimizer.iterations.assign(7)
    assert int(optimizer.variables[0].numpy()) == int(optimizer.iterations) == 7
    optimizer.variables[1].assign(0.5)
    assert optimizer.learning_rate == 0.5
    kernel = optimizer.variables[2]
    assert kernel.shape == (2, 2, 2, 3)
    kernel.assign_add(np.ones((2, 2, 2, 3)))
    optimizer.assign_sub(kernel, 0.5 * np.ones((2, 2, 2, 3)))
    assert (kernel.numpy() == 0.5).all()
    with pytest.raises(ShapeError, match="assign got shape"):
        kernel.assign(np.ones(3))
    before = model.get_weights()
    assert optimizer.apply_gradients(zip(next(gradients(model)), model.trainable_variables, strict=True)) == 8
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    optimizer.apply([])
    with pytest.raises(ShapeError, match="the gradient of kernel has shape"):
        optimizer.apply([np.ones((3, 3)), *[None] * 3], model.trainable_variables)


def test_a_scaled_loss_trains_as_the_loss():
    x = np.random.default_rng(1).normal(size=(40, 5, 5, 2)).astype(np.float32)
    y = np.arange(40) % 4
    found = []
    for make in (
        lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.2),
        lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.2, loss_scale_factor=1024.0),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01, global_clipnorm=0.2)),
    ):
        model = network(keras)
        model.compile(make(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
        found.append((losses, model.get_weights()))
    for losses, weights in found[1:]:  # the scale is a power of 2: not a bit is another
        assert losses == found[0][0]
        for weight, expected in zip(weights, found[0][1], strict=True):
            assert_array_equal(weight, expected)


def test_the_scale_follows_the_gradients():
    found = []
    for library in (keras, theirs):
        model = network(library)
        optimizer = library.optimizers.LossScaleOptimizer(
            library.optimizers.SGD(0.1), initial_scale=64.0, dynamic_growth_steps=3
        )
        scales = []
        for step, grads in enumerate(gradients(model, 12)):
            if step in (4, 5):
                grads[1][0] = np.inf if step == 4 else np.nan
            if library is theirs:
                grads = [theirs.ops.convert_to_tensor(grad) for grad in grads]
            optimizer.apply(grads, model.trainable_variables)
            scales.append(float(np.asarray(theirs.ops.convert_to_numpy(optimizer.dynamic_scale))))
        state = [numbers(v) for v in optimizer.variables]
        found.append((scales, int(optimizer.iterations), model.get_weights(), state))
        config = optimizer.get_config()
        assert type(optimizer).from_config(config).initial_scale == 64.0
    assert found[0][:2] == found[1][:2]
    for which in (2, 3):
        for here, there in zip(found[0][which], found[1][which], strict=True):
            assert_allclose(here, there, rtol=1e-6, atol=1e-6)
    assert float(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()).scale_loss(2.0)) == 2.0**16


def test_a_scale_is_kept_and_steps_of_ones_own_scale(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.out = keras.layers.Dense(4)

        def call(self, x):
            return self.out(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean((y_pred - y) ** 2)

    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = np.zeros((12, 4), np.float32)
    weights = []
    for scaled in (False, True):
        model = Own()
        model(x)
        model.set_weights([np.full(w.shape, 0.5, np.float32) for w in model.get_weights()])
        inner = keras.optimizers.SGD(0.1)
        model.compile(keras.optimizers.LossScaleOptimizer(inner) if scaled else inner)
        model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for here, there in zip(*weights, strict=True):
        assert_array_equal(here, there)

    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), dynamic_growth_steps=2)
    model = network(keras)
    model.compile(optimizer, "mse")
    for grads in gradients(model, 3):
        optimizer.apply(grads, model.trainable_variables)
    model.save(tmp_path / "scaled.keras")
    again = keras.models.load_model(tmp_path / "scaled.keras").optimizer
    assert isinstance(again, keras.optimizers.LossScaleOptimizer)
    assert (again.dynamic_scale, again.step_counter) == (optimizer.dynamic_scale, 1) == (2.0**16, 1)


def test_optimizers_refuse():
    with pytest.raises(ArgumentError, match="loss_scale_factor is -1"):
        keras.optimizers.SGD(loss_scale_factor=-1)
    with pytest.raises(ArgumentError, match="inner_optimizer is str"):
        keras.optimizers.LossScaleOptimizer("adam")
    with pytest.raises(ArgumentError, match="initial_scale is 0"):
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=0)
    optimizer = keras.optimizers.Adam()
    run(keras, optimizer, 1)
    with pytest.raises(ArgumentError, match="got 0 arrays, expected 10"):
        optimizer.set_weights([])
    for scaling in (
        keras.optimizers.SGD(loss_scale_factor=2.0),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
    ):
        with pytest.raises(ArgumentError, match="clipnorm is given and the optimizer scales the loss"):
            network(keras).compile(scaling, "mse", clipnorm=1.0)
    parameter = einkorn.nn.Parameter(np.ones(3, np.float32))
    for options, said in (
        ({"lr": 0}, "lr is 0"),
        ({"lr_power": 0.5}, "lr_power is 0.5"),
        ({"l1": -1}, "l1 is -1"),
    ):
        with pytest.raises(ArgumentError, match=said):
            einkorn.optim.Ftrl([parameter], **options)


def test_ftrl_leaves_out_what_does_not_matter():
    """With an L1 penalty the weights of inputs that are noise are 0, exactly."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 6)).astype(np.float32)
    y = x[:, :2] @ np.array([[2.0], [-3.0]], np.float32)
    model = einkorn.nn.Linear(6, 1)
    optimizer = einkorn.optim.Ftrl(model.parameters(), lr=0.5, l1=30.0)
    for _ in range(200):
        optimizer.zero_grad()
        einkorn.ops.mse_loss(model(x), y).backward()
        optimizer.step()
    weight = model.weight.numpy()[0]
    assert (weight[2:] == 0).all()
    assert (np.abs(weight[:2]) > 0.5).all()


# --- what trains, layouts, and what is refused --------------------------------------------------------------


def averaged(library, **options):
    """A network with moving statistics, and a layer's own weight that does not train, after a training."""

    class Counted(library.layers.Layer):
        def build(self, shape):
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, x):
            self.calls.assign(self.calls + 1.0)
            return x * (self.scale if library is keras else theirs.ops.convert_to_tensor(self.scale))

    model = library.Sequential(
        [library.Input((3,)), library.layers.BatchNormalization(momentum=0.5), Counted()]
    )
    model.compile(library.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, **options), "mse")
    before = float(np.array(numbers(model.layers[-1].calls)))
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    model.fit(x, np.ones((4, 3), np.float32), batch_size=2, epochs=2, shuffle=False, verbose=0)
    weights = [np.array(weight) for weight in model.get_weights()]
    return model, weights, float(np.array(numbers(model.layers[-1].calls))) - before


@pytest.mark.parametrize("options", [{}, {"ema_overwrite_frequency": 2}, {"gradient_accumulation_steps": 2}])
def test_only_weights_that_train_are_averaged(options):
    ours, weights, calls = averaged(keras, **options)
    model, expected, _ = averaged(theirs, **options)
    for weight, wanted in zip(weights[:4], expected[:4], strict=True):
        assert_allclose(weight, wanted, rtol=1e-5, atol=1e-6)
    assert calls == 4  # as many as batches
    own, wanted = ours.optimizer.variables, model.optimizer.variables
    assert [tuple(variable.shape) for variable in own] == [tuple(variable.shape) for variable in wanted]
    ours.optimizer.finalize_variable_values(ours.trainable_variables)


def square(library, kernel):
    model = library.Sequential([library.Input((2,)), library.layers.Dense(2)])
    model.set_weights([np.array(kernel, np.float32), np.zeros(2, np.float32)])
    return model


def test_gradients_of_square_kernels_are_in_the_layout_of_keras():
    kernel, gradient = [[4.0, 5], [6, 7]], np.array([[0.0, 1], [2, 3]], np.float32)
    results = []
    for library, array in (
        (theirs, theirs.ops.convert_to_tensor),
        (keras, np.array),
        (keras, einkorn.tensor),
    ):
        model = square(library, kernel)
        given = [array(gradient), array(np.ones(2, np.float32))]
        library.optimizers.SGD(1.0).apply(given, model.trainable_variables)
        results.append(model.get_weights())
        model = square(library, kernel)
        optimizer = library.optimizers.SGD(1.0)
        optimizer.apply_gradients(zip(given, model.trainable_variables, strict=True))
        results.append(model.get_weights())
    for result in results:
        assert_array_equal(result[0], np.array(kernel) - gradient)
        assert_array_equal(result[1], -np.ones(2))


@pytest.mark.parametrize("name", ["SGD", "Adam", "LossScaleOptimizer"])
def test_own_gradients_of_square_kernels_are_applied_as_they_are(name):
    torch = pytest.importorskip("torch")
    x = np.array([[1.0, 2], [3, 5], [0, 7]], np.float32)
    results = []
    for library, tensor in ((theirs, torch.tensor), (keras, einkorn.tensor)):
        model = square(library, [[4.0, 5], [6, 7]])
        optimizer = getattr(library.optimizers, "SGD" if name == "LossScaleOptimizer" else name)(0.01)
        if name == "LossScaleOptimizer":
            optimizer = library.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(model.trainable_variables)
        for _ in range(3):
            model.zero_grad()
            loss = ((model(tensor(x)) - tensor(x)) ** 3).sum()
            (optimizer.scale_loss(loss) if name == "LossScaleOptimizer" else loss).backward()
            grads = [weight.value.grad for weight in model.trainable_weights]
            with torch.no_grad():
                optimizer.apply(grads, model.trainable_weights)
            assert all(w.value.grad is g for w, g in zip(model.trainable_weights, grads, strict=True))
        results.append(model.get_weights())
    for ours, wanted in zip(results[1], results[0], strict=True):
        assert_allclose(ours, wanted, rtol=1e-4)


def test_gradients_whose_layout_cannot_be_told_are_refused():
    model = square(keras, np.eye(2))
    model(einkorn.tensor(np.array([[1.0, 2]], np.float32))).sum().backward()
    grads = [weight.value.grad * 0.5 for weight in model.trainable_weights]
    optimizer = keras.optimizers.SGD(1.0)
    with pytest.raises(ArgumentError, match="gradient of kernel has a shape of two layouts"):
        optimizer.apply(grads, model.trainable_weights)
    assert_array_equal(model.get_weights()[0], np.eye(2))
    model.zero_grad()
    optimizer.apply(grads, model.trainable_weights)
    assert_array_equal(model.get_weights()[0], np.eye(2) - grads[0].numpy())


def test_other_gradients_of_a_call_tell_the_layout():
    L = keras.layers
    model = keras.Sequential([keras.Input((2,)), L.Dense(2, use_bias=False), L.Dense(3, use_bias=False)])
    model(einkorn.tensor(np.array([[1.0, 2]], np.float32))).sum().backward()
    first, second = model.trainable_weights
    expected = first.value.numpy() - 0.5 * first.value.grad.numpy()
    keras.optimizers.SGD(1.0).apply([w.value.grad * 0.5 for w in (first, second)], [first, second])
    assert_allclose(first.value.numpy(), expected, rtol=1e-6)
    before, gradient = first.numpy(), np.array([[0.0, 1], [2, 3]], np.float32)
    keras.optimizers.SGD(1.0).apply([gradient, np.zeros((2, 3), np.float32)], [first, second])
    assert_allclose(first.numpy(), before - gradient, rtol=1e-6)


def test_an_error_in_apply_gives_own_gradients_back():
    model = square(keras, np.eye(2))
    model(einkorn.tensor(np.array([[1.0, 2]], np.float32))).sum().backward()
    own = [weight.value.grad for weight in model.trainable_weights]
    optimizer = keras.optimizers.Adam(1.0)
    optimizer.build(model.trainable_weights)
    optimizer._bound._launch = None
    with pytest.raises(TypeError):
        optimizer.apply([grad.numpy() for grad in own][1:], model.trainable_weights[1:])
    assert all(w.value.grad is g for w, g in zip(model.trainable_weights, own, strict=True))
    assert optimizer.iterations == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"gradient_accumulation_steps": 1}), ("Adam", {"gradient_accumulation_steps": -2}),
        ("SGD", {"momentum": 2.0}), ("SGD", {"momentum": -1.0}),
        ("Lion", {"beta_1": 0.0}), ("Lion", {"beta_1": 1.5}), ("AdamW", {"weight_decay": None}),
        ("Ftrl", {"initial_accumulator_value": -1.0}), ("Ftrl", {"learning_rate_power": 1.0}),
        ("Ftrl", {"l1_regularization_strength": -1.0}), ("Ftrl", {"l2_regularization_strength": -1.0}),
        ("Ftrl", {"l2_shrinkage_regularization_strength": -1.0}),
        ("Muon", {"use_ema": True, "ema_momentum": 1.5}), ("Adam", {"clipnorm": 1.0, "clipvalue": 1.0}),
    ],
)  # fmt: skip
def test_options_that_keras_refuses_are_refused(name, options):
    with pytest.raises(ValueError):  # noqa: PT011
        getattr(theirs.optimizers, name)(**options)
    key = "only one of" if "clipnorm" in options else list(options)[-1]
    with pytest.raises(ArgumentError, match=f"{name}: {key}"):
        getattr(keras.optimizers, name)(**options)


def test_an_update_without_gradients_and_a_rate_beside_a_schedule_are_refused():
    for library in (theirs, keras):
        model = square(library, np.eye(2))
        with pytest.raises(ValueError, match="No gradients provided"):
            library.optimizers.Adam().apply([None, None], model.trainable_variables)
        schedule = library.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
        optimizer = library.optimizers.Adam(schedule)
        with pytest.raises(TypeError, match=r"(?i)schedule"):
            optimizer.learning_rate = 0.5
        optimizer.learning_rate = library.optimizers.schedules.ExponentialDecay(0.2, 10, 0.9)
        assert float(optimizer.learning_rate) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9}), ("Adam", {"weight_decay": 0.1, "amsgrad": True}),
        ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adafactor", {"weight_decay": 0.1}), ("Ftrl", {}),
        ("Muon", {}), ("Nadam", {"use_ema": True}), ("Lamb", {"gradient_accumulation_steps": 2}),
        ("LossScaleOptimizer", {}),
    ],
)  # fmt: skip
def test_an_update_without_memory_can_be_made_again(name, options):
    pytest.importorskip("einkorn._native")
    generator = np.random.default_rng(0)
    kernel, *grads = (generator.normal(size=(512, 640)).astype(np.float32) for _ in range(4))
    results = []
    for tight in (False, True):
        model = keras.Sequential([keras.Input((512,)), keras.layers.Dense(640, use_bias=False)])
        model.set_weights([kernel])
        if name == "LossScaleOptimizer":
            optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 4.0)
        else:
            optimizer = getattr(keras.optimizers, name)(**options)
        failures = 0
        for step, grad in enumerate(grads):
            for quarters in range(100):
                einkorn.memory.empty_cache()
                room = einkorn.memory.stats()["allocated"] + quarters * 2**18 + 1
                einkorn.memory.set_limit(room if tight else None)
                try:
                    optimizer.apply([grad], model.trainable_variables)
                    break
                except MemoryError:
                    failures += 1
                    einkorn.memory.set_limit(None)
                    assert optimizer.iterations == step // options.get("gradient_accumulation_steps", 1)
                finally:
                    einkorn.memory.set_limit(None)
        assert failures if tight else not failures
        state = [numbers(variable) for variable in optimizer.variables]
        results.append([*model.get_weights(), *state])
    for clean, again in zip(*results, strict=True):
        assert_array_equal(again, clean)
