"""Programs in the style of Keras's guides: with Keras and, the import changed, with einkorn."""

from __future__ import annotations

import os

import numpy as np
import pytest

RNG = np.random.default_rng(0)


@pytest.fixture(params=["einkorn", "keras"])
def libraries(request):
    """``keras`` and ``torch`` as a program imports them."""
    if request.param == "einkorn":
        import einkorn
        from einkorn import keras

        torch = einkorn
    else:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        keras = pytest.importorskip("keras")
        torch = pytest.importorskip("torch")
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    yield keras, torch
    keras.backend.clear_session()


def blobs(count=64, classes=3):
    y = np.arange(count) % classes
    x = RNG.normal(size=(count, 4)).astype("float32") + np.eye(classes, 4, dtype="float32")[y] * 3
    return x, y


def images(count=24, side=12, channels=1):
    y = np.arange(count) % 2
    x = RNG.random((count, side, side, channels)).astype("float32")
    x[y == 1, : side // 2] += 1
    return x, y


def sentences(count=32):
    good, bad = (
        ["a fine film", "lovely and fine", "great great acting"],
        ["a dull film", "boring", "dull, dull acting"],
    )
    texts = [(good if i % 2 else bad)[i % 3] for i in range(count)]
    return np.array(texts), np.arange(count) % 2


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

    model = SiameseModel(network)
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


# --- steps and loops of one's own -----------------------------------------------------------------------


def test_train_step_and_test_step_of_ones_own(libraries):
    keras, torch = libraries

    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data):
            x, y = data
            y_pred = self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    inputs = keras.Input(shape=(8,))
    model = CustomModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse", metrics=["mae"])
    x = RNG.random((64, 8)).astype("float32")
    y = x.sum(1, keepdims=True)
    history = model.fit(x, y, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    loss, mae = model.evaluate(x, y, verbose=0)
    out = model.predict(x, verbose=0)
    assert loss == pytest.approx(((out - y) ** 2).mean(), rel=1e-4)
    assert mae == pytest.approx(abs(out - y).mean(), rel=1e-4)


def test_lower_level_step_with_own_trackers(libraries):
    keras, torch = libraries

    class CustomModel(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = keras.metrics.Mean(name="loss")
            self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = keras.losses.MeanSquaredError()

        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    inputs = keras.Input(shape=(8,))
    model = CustomModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizer="adam")
    x, y = RNG.random((30, 8)).astype("float32"), RNG.random((30, 1)).astype("float32")
    history = model.fit(x, y, epochs=3, verbose=0).history
    assert set(history) == {"loss", "mae"}


def test_loop_of_ones_own(libraries):
    keras, torch = libraries
    x, y = blobs(60)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    )
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(learning_rate=0.05)
    train_acc_metric = keras.metrics.SparseCategoricalAccuracy()
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(dataset, batch_size=20, shuffle=True)
    for _ in range(8):
        for inputs, targets in loader:
            logits = model(inputs)
            loss = loss_fn(targets, logits)
            model.zero_grad()
            trainable_weights = list(model.trainable_weights)
            loss.backward()
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                optimizer.apply(gradients, trainable_weights)
            train_acc_metric.update_state(targets, logits)
        accuracy = float(train_acc_metric.result())
        train_acc_metric.reset_state()
    assert accuracy > 0.8


def test_gan_with_two_optimizers(libraries):
    keras, torch = libraries
    layers = keras.layers

    class GAN(keras.Model):
        def __init__(self, discriminator, generator, latent_dim):
            super().__init__()
            self.discriminator, self.generator, self.latent_dim = discriminator, generator, latent_dim
            self.seed_generator = keras.random.SeedGenerator(1337)
            self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
            self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
            self.built = True

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        def train_step(self, real):
            if isinstance(real, tuple):
                real = real[0]
            rows = real.shape[0]
            noise = keras.random.normal(shape=(rows, self.latent_dim), seed=self.seed_generator)
            fake = self.generator(noise)
            both = keras.ops.concatenate([keras.ops.convert_to_tensor(real), fake], axis=0)
            labels = keras.ops.concatenate([keras.ops.ones((rows, 1)), keras.ops.zeros((rows, 1))], axis=0)
            self.zero_grad()
            d_loss = self.loss_fn(labels, self.discriminator(both))
            d_loss.backward()
            grads = [v.value.grad for v in self.discriminator.trainable_weights]
            with torch.no_grad():
                self.d_optimizer.apply(grads, self.discriminator.trainable_weights)
            noise = keras.random.normal(shape=(rows, self.latent_dim), seed=self.seed_generator)
            self.zero_grad()
            predictions = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(keras.ops.ones((rows, 1)), predictions)
            g_loss.backward()
            grads = [v.value.grad for v in self.generator.trainable_weights]
            with torch.no_grad():
                self.g_optimizer.apply(grads, self.generator.trainable_weights)
            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}

    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ],
        name="discriminator",
    )
    generator = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4 * 4 * 2),
            layers.Reshape((4, 4, 2)),
            layers.Conv2DTranspose(3, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, 5, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )
    gan = GAN(discriminator=discriminator, generator=generator, latent_dim=6)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        g_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    before = [w.copy() for w in generator.get_weights()]
    history = gan.fit(RNG.random((16, 8, 8, 1)).astype("float32"), epochs=2, batch_size=8, verbose=0).history
    assert set(history) == {"d_loss", "g_loss"}
    assert any((a != b).any() for a, b in zip(before, generator.get_weights(), strict=True))


def test_vae_with_a_sampling_layer(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            z_mean, z_log_var = inputs
            epsilon = keras.random.normal(shape=ops.shape(z_mean), seed=self.seed_generator)
            return z_mean + ops.exp(0.5 * z_log_var) * epsilon

    class Encoder(layers.Layer):
        def __init__(self, latent_dim=2, intermediate_dim=8, name="encoder", **kwargs):
            super().__init__(name=name, **kwargs)
            self.dense_proj = layers.Dense(intermediate_dim, activation="relu")
            self.dense_mean = layers.Dense(latent_dim)
            self.dense_log_var = layers.Dense(latent_dim)
            self.sampling = Sampling()

        def call(self, inputs):
            x = self.dense_proj(inputs)
            z_mean, z_log_var = self.dense_mean(x), self.dense_log_var(x)
            return z_mean, z_log_var, self.sampling((z_mean, z_log_var))

    class VAE(keras.Model):
        def __init__(self, original_dim, name="autoencoder", **kwargs):
            super().__init__(name=name, **kwargs)
            self.encoder = Encoder()
            self.decoder = keras.Sequential(
                [layers.Dense(8, activation="relu"), layers.Dense(original_dim, activation="sigmoid")]
            )

        def call(self, inputs):
            z_mean, z_log_var, z = self.encoder(inputs)
            kl_loss = -0.5 * ops.mean(z_log_var - ops.square(z_mean) - ops.exp(z_log_var) + 1)
            self.add_loss(kl_loss)
            return self.decoder(z)

    vae = VAE(6)
    vae.compile(keras.optimizers.Adam(learning_rate=0.01), loss=keras.losses.MeanSquaredError())
    x = RNG.random((64, 6)).astype("float32")
    history = vae.fit(x, x, epochs=5, batch_size=32, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert vae.predict(x, verbose=0).shape == x.shape


# --- callbacks ------------------------------------------------------------------------------------------


def test_callbacks_of_ones_own(libraries):
    keras, _ = libraries
    seen = []

    class CustomCallback(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(("begin", sorted(logs or {})))

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))

        def on_train_batch_end(self, batch, logs=None):
            seen.append((f"batch {batch}", "loss" in logs))

        def on_predict_end(self, logs=None):
            seen.append(("predicted", None))

    class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
        def __init__(self, patience=0):
            super().__init__()
            self.patience = patience
            self.best_weights = None

        def on_train_begin(self, logs=None):
            self.wait, self.stopped_epoch, self.best = 0, 0, np.inf

        def on_epoch_end(self, epoch, logs=None):
            current = logs.get("loss")
            if np.less(current, self.best):
                self.best, self.wait = current, 0
                self.best_weights = self.model.get_weights()
            else:
                self.wait += 1
                if self.wait >= self.patience:
                    self.stopped_epoch = epoch
                    self.model.stop_training = True
                    self.model.set_weights(self.best_weights)

    class CustomLearningRateScheduler(keras.callbacks.Callback):
        def __init__(self, schedule):
            super().__init__()
            self.schedule = schedule

        def on_epoch_begin(self, epoch, logs=None):
            if not hasattr(self.model.optimizer, "learning_rate"):
                raise ValueError('Optimizer must have a "learning_rate" attribute.')
            lr = self.model.optimizer.learning_rate
            self.model.optimizer.learning_rate = self.schedule(epoch, float(keras.ops.convert_to_numpy(lr)))

    x, y = blobs(32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    rates = CustomLearningRateScheduler(lambda epoch, lr: lr * 0.5 if epoch else lr)
    model.fit(x, y, batch_size=16, epochs=2, callbacks=[CustomCallback(), rates], verbose=0)
    model.predict(x, callbacks=[CustomCallback()], verbose=0)
    assert [what for what, _ in seen] == [
        "begin",
        "batch 0",
        "batch 1",
        0,
        "batch 0",
        "batch 1",
        1,
        "predicted",
    ]
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.05)
    stop = EarlyStoppingAtMinLoss()
    model.compile(keras.optimizers.SGD(50.0), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=30, callbacks=[stop], verbose=0)
    assert 0 < stop.stopped_epoch < 29


def test_the_usual_callbacks(libraries, tmp_path):
    keras, _ = libraries
    x, y = blobs(48)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    schedule = keras.optimizers.schedules.ExponentialDecay(
        0.1, decay_steps=10, decay_rate=0.9, staircase=True
    )
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            filepath=str(tmp_path / "best.keras"), save_best_only=True, monitor="val_loss", mode="min"
        ),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(x, y, epochs=4, validation_split=0.25, callbacks=callbacks, verbose=0)
    best = keras.models.load_model(tmp_path / "best.keras")
    assert best.evaluate(x, y, verbose=0)[1] > 0.4
    columns = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert sorted(columns) == ["accuracy", "epoch", "loss", "val_accuracy", "val_loss"]
