"""Programs in the style of Keras's guides to training: own steps and loops, two networks, callbacks."""

from __future__ import annotations

import numpy as np
import pytest
from keras_guides import RNG, blobs, libraries

__all__ = ["libraries"]  # the fixture

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
    # Whatever the weight, a step of rate 0.1 leaves 0.6 of the error, one of rate 1 makes it -3 times that.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    stop, rates = (
        EarlyStoppingAtMinLoss(),
        CustomLearningRateScheduler(lambda epoch, lr: 1.0 if epoch > 3 else lr),
    )
    ones = np.ones((32, 1), dtype="float32")
    losses = model.fit(ones, 10 * ones, epochs=30, callbacks=[rates, stop], verbose=0).history["loss"]
    assert stop.stopped_epoch == 5
    assert np.argmin(losses) == 4
    assert len(losses) == 6
    for now, best in zip(model.get_weights(), stop.best_weights, strict=True):
        np.testing.assert_array_equal(now, best)
    assert model.evaluate(ones, 10 * ones, verbose=0) == pytest.approx(losses[5], rel=1e-4)


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
