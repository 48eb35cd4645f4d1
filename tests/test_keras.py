"""Programs in Keras' form: shapes, counts and values as Keras has them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import blobs, rows
from test_readers_published import write_idx

import einkorn
from einkorn import keras
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import layers


def test_the_network_of_the_course_has_its_shapes_and_counts():
    model = keras.Sequential([keras.Input(shape=(150, 150, 3))])
    for filters in (32, 64, 128, 128):
        model.add(layers.Conv2D(filters, (3, 3), activation="relu"))
        model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    assert model.count_params() == 3_453_121
    assert model.predict(np.zeros((2, 150, 150, 3), np.float32)).shape == (2, 1)
    assert len(model.layers) == 11


def test_the_basic_program_of_digits_runs():
    einkorn.manual_seed(0)
    x = rows(120, 8, 8, 1)
    y = (x[:, :4].sum((1, 2, 3)) > x[:, 4:].sum((1, 2, 3))).astype(int)
    model = keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu", padding="same"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        loss="categorical_crossentropy",
        optimizer=keras.optimizers.Adam(learning_rate=0.01),
        metrics=["accuracy"],
    )
    targets = keras.utils.to_categorical(y, 2)
    callbacks = [keras.callbacks.EarlyStopping(monitor="val_loss", patience=20)]
    history = model.fit(
        x, targets, batch_size=16, epochs=15, validation_split=0.1, callbacks=callbacks, verbose=0
    )
    assert history.history["accuracy"][-1] > 0.9
    score = model.evaluate(x, targets, verbose=0)
    assert len(score) == 2


def test_a_program_of_kerass_own_runs_with_its_import_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("EINKORN_DATA", str(tmp_path))
    pixels = write_idx(tmp_path, ("train", "t10k"), [3, 0, 9, 7, 7, 1, 2, 5])
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    assert_array_equal(x_train, pixels)
    assert x_train.dtype == np.uint8
    x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
    x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
    y_train = keras.utils.to_categorical(y_train, 10)
    y_test = keras.utils.to_categorical(y_test, 10)
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert model.count_params() == 34_826
    lines = []
    model.summary(print_fn=lines.append)
    assert "34,826" in lines[0]
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=4, epochs=2, validation_split=0.25, verbose=0)
    score = model.evaluate(x_test, y_test, verbose=0)
    assert score[0] > 0
    assert 0 <= score[1] <= 1


def test_weights_are_made_by_the_first_rows():
    x, y = blobs(40)
    model = keras.Sequential([layers.Dense(8, activation="tanh"), layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.count_params() == 0
    model.fit(x, y, verbose=0)
    assert model.count_params() == 2 * 8 + 8 + 8 * 3 + 3

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(4)
            self.out = layers.Dense(3)

        def call(self, inputs):
            return self.out(self.hidden(inputs))

    own = Own()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    own.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    first = own.fit(x, y, epochs=6, verbose=0).history["loss"]
    assert first[-1] < first[0]
    fresh = Own()
    fresh.compile("sgd", "mse")
    assert fresh.predict(iter([x, x]), verbose=0).shape == (2 * len(x), 3)
    with pytest.raises(ArgumentError, match="predict: the generator gave no rows"):
        Own().predict(iter([]), verbose=0)


def test_images_have_their_channels_last():
    x = rows(2, 7, 6, 3)
    layer = layers.Conv2D(4, 3, strides=2, padding="same")
    out = layer(x)
    assert out.shape == (2, 4, 3, 4)
    # TensorFlow's rule: of 7 rows with stride 2 there are 4, so 2 are missing: one above and one below; of 6
    # columns 3, so one is missing, on the right
    padded = np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))
    kernel = layer.inner.weight.numpy()
    window = padded[1, 2:5, 4:7]
    wanted = np.einsum("hwc,ochw->o", window, kernel) + layer.inner.bias.numpy()
    assert_allclose(out.data[1, 1, 2], wanted, rtol=1e-4, atol=1e-5)
    pooled = layers.AveragePooling2D(2, padding="same")(x)
    assert_allclose(np.asarray(getattr(pooled, "data", pooled))[:, 3, 0], x[:, 6, :2].mean(1), rtol=1e-5)
    biggest = layers.MaxPooling2D(2, padding="same")(x)
    assert_allclose(np.asarray(getattr(biggest, "data", biggest))[:, 3, 0], x[:, 6, :2].max(1))
    mean = layers.GlobalAveragePooling2D()(x)
    assert_allclose(np.asarray(getattr(mean, "data", mean)), x.mean((1, 2)), rtol=1e-5)
    first = layers.Conv2D(4, 3, data_format="channels_first")(x.transpose(0, 3, 1, 2))
    assert first.shape == (2, 4, 5, 4)
    with pytest.raises(ShapeError, match=r"expected \[rows, height, width, channels\]"):
        layers.Conv2D(4, 3)(x[0])


def test_recurrent_layers():
    x = rows(3, 5, 4)
    assert layers.LSTM(6)(x).shape == (3, 6)
    sequences = layers.GRU(6, return_sequences=True)
    assert sequences(x).shape == (3, 5, 6)
    both = layers.Bidirectional(layers.LSTM(6, return_sequences=True))
    out = both(x)
    assert out.shape == (3, 5, 12)
    alone = layers.LSTM(6, return_sequences=True)
    alone(x)
    alone.set_weights(both.backward_layer.get_weights())
    back = alone(x[:, ::-1].copy())
    assert_allclose(out.data[..., 6:], back.data[:, ::-1], rtol=1e-5, atol=1e-6)
    last = layers.Bidirectional(layers.SimpleRNN(6), merge_mode="sum")
    assert last(x).shape == (3, 6)
    assert layers.LSTM(6, go_backwards=True)(x).shape == (3, 6)
    tokens = np.array([[1, 2, 3], [3, 0, 1]])
    model = keras.Sequential(
        [keras.Input((3,)), layers.Embedding(5, 4), layers.LSTM(8), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    assert len(model.fit(tokens, np.array([0, 1]), epochs=2, verbose=0).epoch) == 2
    with pytest.raises(ArgumentError, match="layer is Dense"):
        layers.Bidirectional(layers.Dense(2))


def test_normalization_and_regularization():
    x = rows(50, 4, 4, 3) * 2 + 1
    layer = layers.BatchNormalization()
    out = layer(x, training=True)
    assert_allclose(out.data.mean((0, 1, 2)), 0, atol=1e-5)
    assert_allclose(layer.moving_mean.data, 0.01 * x.mean((0, 1, 2)), rtol=1e-4)
    # the variance over n, as Keras has it
    assert_allclose(layer.moving_variance.data, 0.99 + 0.01 * x.var((0, 1, 2)), rtol=1e-4)
    still = layer(x)
    assert_allclose(
        still.data, (x - layer.moving_mean.data) / np.sqrt(layer.moving_variance.data + 1e-3), rtol=1e-4
    )
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1), kernel_initializer="ones"),
        ]
    )
    model.compile("sgd", "mse")
    zeros = np.zeros((5, 2), np.float32)
    assert model.evaluate(zeros, np.zeros((5, 3))) == pytest.approx(0.6, rel=1e-5)
    with pytest.raises(ArgumentError, match="Dense: unexpected argument units_"):
        layers.Dense(3, units_=4)
    with pytest.raises(ArgumentError, match="activation is 'rilu'"):
        layers.Dense(3, "rilu")
    assert keras.utils.to_categorical([1, 0, 2]).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_schedules_follow_the_updates():
    x, y = blobs(40)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model.compile(keras.optimizers.SGD(learning_rate=decay), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=10, verbose=0)
    assert model.optimizer.learning_rate == pytest.approx(0.1 * 0.5**4)
