"""Programs in the style of Keras's guides: with Keras and, the import changed, with einkorn."""

from __future__ import annotations

import numpy as np
import pytest
from keras_guides import RNG, blobs, libraries

__all__ = ["libraries"]  # the fixture

# --- the functional API ---------------------------------------------------------------------------------


def test_toy_resnet(libraries):
    keras, _ = libraries
    layers = keras.layers
    inputs = keras.Input(shape=(16, 16, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    block_1 = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(block_1)
    block_2 = layers.add([x, block_1])
    x = layers.Conv2D(16, 3, activation="relu")(block_2)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(x))
    model = keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    x_train = RNG.random((20, 16, 16, 3)).astype("float32")
    history = model.fit(x_train, np.arange(20) % 10, batch_size=8, epochs=1, validation_split=0.2, verbose=0)
    assert set(history.history) == {"loss", "acc", "val_loss", "val_acc"}
    assert [layer.name for layer in model.layers][:3] == ["img", "conv2d", "conv2d_1"]
    features = keras.Model(model.inputs, [layer.output for layer in model.layers[1:4]])
    assert [tuple(part.shape) for part in features(x_train[:2])] == [
        (2, 14, 14, 8),
        (2, 12, 12, 16),
        (2, 4, 4, 16),
    ]


def test_nested_models_and_an_ensemble(libraries):
    keras, _ = libraries

    def get_model():
        inputs = keras.Input(shape=(8,))
        return keras.Model(inputs, keras.layers.Dense(1)(inputs))

    models = [get_model() for _ in range(3)]
    inputs = keras.Input(shape=(8,))
    outputs = keras.layers.average([model(inputs) for model in models])
    ensemble = keras.Model(inputs=inputs, outputs=outputs)
    x = RNG.random((5, 8)).astype("float32")
    wanted = np.mean([model.predict(x, verbose=0) for model in models], axis=0)
    np.testing.assert_allclose(ensemble.predict(x, verbose=0), wanted, rtol=1e-5)
    assert len(ensemble.trainable_weights) == 6


def test_siamese_twins_share_their_weights(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    class DistanceLayer(layers.Layer):
        def call(self, anchor, positive, negative):
            ap = ops.sum(ops.square(anchor - positive), -1)
            an = ops.sum(ops.square(anchor - negative), -1)
            return (ap, an)

    tower = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(4)], name="tower"
    )
    anchor, positive, negative = (keras.Input((6,), name=name) for name in ("anchor", "positive", "negative"))
    distances = DistanceLayer()(tower(anchor), tower(positive), tower(negative))
    network = keras.Model([anchor, positive, negative], distances)

    class SiameseModel(keras.Model):
        def __init__(self, siamese, margin=0.5):
            super().__init__()
            self.siamese = siamese
            self.margin = margin
            self.loss_tracker = keras.metrics.Mean(name="loss")

        def call(self, inputs):
            return self.siamese(inputs)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
            ap, an = self.siamese(x)
            return ops.mean(ops.maximum(ap - an + self.margin, 0.0))

        @property
        def metrics(self):
            return [self.loss_tracker]

    model = SiameseModel(network, margin=50.0)  # which no first weights reach: there is something to learn
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    a = RNG.normal(size=(40, 6)).astype("float32")
    rows = [a, a + 0.1, a[::-1].copy()]
    before = float(ops.convert_to_numpy(model.compute_loss(x=rows)))
    model.fit(rows, epochs=5, verbose=0)
    assert float(ops.convert_to_numpy(model.compute_loss(x=rows))) < before
    assert len(network.trainable_weights) == 4


def test_several_inputs_and_outputs_by_name(libraries):
    keras, _ = libraries
    layers = keras.layers
    image = keras.Input(shape=(8, 8, 3), name="img_input")
    series = keras.Input(shape=(None, 5), name="ts_input")
    x = layers.concatenate(
        [
            layers.GlobalMaxPooling2D()(layers.Conv2D(3, 3)(image)),
            layers.GlobalMaxPooling1D()(layers.Conv1D(3, 3)(series)),
        ]
    )
    score = layers.Dense(1, name="score_output")(x)
    classes = layers.Dense(4, name="class_output")(x)
    model = keras.Model(inputs=[image, series], outputs=[score, classes])
    model.compile(
        optimizer="rmsprop",
        loss={
            "score_output": keras.losses.MeanSquaredError(),
            "class_output": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        metrics={
            "score_output": [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
            "class_output": [keras.metrics.CategoricalAccuracy()],
        },
        loss_weights={"score_output": 2.0, "class_output": 1.0},
    )
    rows = {"img_input": RNG.random((10, 8, 8, 3)), "ts_input": RNG.random((10, 7, 5))}
    targets = {"score_output": RNG.random((10, 1)), "class_output": np.eye(4)[np.arange(10) % 4]}
    history = model.fit(rows, targets, batch_size=5, epochs=1, verbose=0).history
    assert {"loss", "score_output_loss", "class_output_categorical_accuracy"} <= set(history)
    found = model.evaluate(rows, targets, verbose=0, return_dict=True)
    assert found["loss"] > 0


# --- layers, losses and metrics of one's own ------------------------------------------------------------


def test_layers_of_ones_own_travel_in_a_file(libraries, tmp_path):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    @keras.saving.register_keras_serializable(package="guides")
    class Linear(layers.Layer):
        def __init__(self, units=32, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

        def call(self, inputs):
            return ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            config = super().get_config()
            config.update({"units": self.units})
            return config

    @keras.saving.register_keras_serializable(package="guides")
    class Block(layers.Layer):
        def __init__(self, units, rate=0.1, **kwargs):
            super().__init__(**kwargs)
            self.units, self.rate = units, rate
            self.linear_1 = Linear(units)
            self.linear_2 = Linear(1)
            self.dropout = layers.Dropout(rate)

        def call(self, inputs, training=None):
            x = ops.relu(self.linear_1(inputs))
            return self.linear_2(self.dropout(x, training=training))

        def get_config(self):
            return {**super().get_config(), "units": self.units, "rate": self.rate}

    @keras.saving.register_keras_serializable(package="guides")
    def scaled(x):
        return ops.tanh(x) * 2

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation=scaled), Block(5)])
    model.compile("adam", "mse")
    x = RNG.random((8, 4)).astype("float32")
    model.fit(x, x.sum(1, keepdims=True), epochs=1, verbose=0)
    file = tmp_path / "model.keras"
    model.save(file)
    again = keras.models.load_model(file)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    assert again.layers[-1].units == 5
    again.fit(x, x.sum(1, keepdims=True), epochs=1, verbose=0)
    copy = Linear.from_config(Linear(7, name="own").get_config())
    assert copy.units == 7
    assert copy.name == "own"


def test_losses_added_in_call_and_metrics_tracked(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    class ActivityRegularizationLayer(layers.Layer):
        def __init__(self, rate=1e-2):
            super().__init__()
            self.rate = rate

        def call(self, inputs):
            self.add_loss(self.rate * ops.mean(inputs**2))
            return inputs

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.activity_reg = ActivityRegularizationLayer(1e-2)

        def call(self, inputs):
            return self.activity_reg(inputs)

    layer = Outer()
    assert len(layer.losses) == 0
    _ = layer(np.zeros((1, 1), "float32"))
    assert len(layer.losses) == 1
    _ = layer(np.zeros((1, 1), "float32"))
    assert len(layer.losses) == 1
    inputs = keras.Input(shape=(3,))
    model = keras.Model(
        inputs, ActivityRegularizationLayer()(layers.Dense(1, kernel_regularizer="l2")(inputs))
    )
    model.compile(optimizer="adam")
    history = model.fit(np.ones((4, 3), "float32"), np.ones((4, 1), "float32"), epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]


def test_losses_and_metrics_of_ones_own(libraries):
    keras, _ = libraries
    ops = keras.ops

    class CustomMSE(keras.losses.Loss):
        def __init__(self, regularization_factor=0.1, name="custom_mse"):
            super().__init__(name=name)
            self.regularization_factor = regularization_factor

        def call(self, y_true, y_pred):
            mse = ops.mean(ops.square(y_true - y_pred), axis=-1)
            reg = ops.mean(ops.square(0.5 - y_pred), axis=-1)
            return mse + reg * self.regularization_factor

    class CategoricalTruePositives(keras.metrics.Metric):
        def __init__(self, name="categorical_true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_variable(shape=(), name="ctp", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
            values = ops.equal(ops.cast(ops.reshape(y_true, (-1, 1)), "int32"), ops.cast(y_pred, "int32"))
            self.true_positives.assign(self.true_positives + ops.sum(ops.cast(values, "float32")))

        def result(self):
            return self.true_positives

        def reset_state(self):
            self.true_positives.assign(0.0)

    def custom_mean_squared_error(y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    x, y = blobs()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(0.05),
        "sparse_categorical_crossentropy",
        metrics=[CategoricalTruePositives(), "accuracy"],
    )
    history = model.fit(x, y, epochs=12, batch_size=16, verbose=0).history
    last = history["categorical_true_positives"][-1]
    assert last == pytest.approx(history["accuracy"][-1] * len(x))
    assert last > history["categorical_true_positives"][0]
    for loss in (CustomMSE(), custom_mean_squared_error):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile("sgd", loss)
        first, *_, last = model.fit(x, np.eye(3)[y], epochs=3, verbose=0).history["loss"]
        assert last < first
