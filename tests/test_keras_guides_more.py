"""Programs in the style of Keras's guides: images, texts, series, files; with Keras and with einkorn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from keras_guides import RNG, blobs, images, libraries, sentences

__all__ = ["libraries"]  # the fixture


# --- transfer learning ----------------------------------------------------------------------------------


def test_transfer_learning_and_fine_tuning(libraries):
    keras, _ = libraries
    layers = keras.layers
    base_model = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    base_model.trainable = False
    inputs = keras.Input(shape=(32, 32, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy()],
    )
    assert len(model.trainable_weights) == 2
    frozen = [w.copy() for w in base_model.get_weights()]
    x_train, y_train = RNG.random((8, 32, 32, 3)).astype("float32") * 255, np.arange(8) % 2
    model.fit(x_train, y_train, epochs=1, batch_size=4, verbose=0)
    for before, after in zip(frozen, base_model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    base_model.trainable = True
    for layer in base_model.layers[:-20]:
        layer.trainable = False
    model.compile(
        keras.optimizers.Adam(1e-5), keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    assert 2 < len(model.trainable_weights) < 40
    model.fit(x_train, y_train, epochs=1, batch_size=4, verbose=0)
    assert model.predict(x_train, verbose=0).shape == (8, 1)


def test_features_of_a_vgg_and_a_new_head(libraries):
    keras, _ = libraries
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    x = keras.layers.Flatten()(base.output)
    predictions = keras.layers.Dense(2, activation="softmax")(x)
    model = keras.Model(inputs=base.input, outputs=predictions)
    for layer in base.layers:
        layer.trainable = False
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    pictures = keras.applications.vgg16.preprocess_input(RNG.random((2, 32, 32, 3)) * 255)
    model.fit(pictures, np.eye(2), epochs=1, verbose=0)
    middle = keras.Model(base.input, base.get_layer("block2_pool").output)
    assert middle.predict(pictures, verbose=0).shape == (2, 8, 8, 128)
    with pytest.raises(ValueError, match=r"weights|imagenette"):
        keras.applications.VGG16(weights="imagenette", input_shape=(32, 32, 3))


def test_class_activation_of_a_small_network(libraries):
    keras, _ = libraries
    layers = keras.layers
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(4, 3, activation="relu", name="last_conv")(inputs)
    outputs = layers.Dense(2, name="predictions")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    maps = keras.Model(model.inputs, [model.get_layer("last_conv").output, model.output])
    x, _ = images()
    found, scores = maps.predict(x, verbose=0)
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_allclose(found.mean((1, 2)) @ kernel + bias, scores, rtol=1e-4, atol=1e-5)


# --- series ---------------------------------------------------------------------------------------------


def test_forecasting_from_windows():
    from einkorn import keras  # Keras itself makes these windows with TensorFlow alone

    layers = keras.layers
    series = np.sin(np.arange(120) / 5).astype("float32")[:, None]
    dataset = keras.utils.timeseries_dataset_from_array(
        series[:-10], series[10:], sequence_length=10, sequence_stride=1, batch_size=16
    )
    inputs, _ = next(iter(dataset))
    assert tuple(inputs.shape) == (16, 10, 1)
    model = keras.Sequential([keras.Input((10, 1)), layers.LSTM(8), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.01), loss="mse")
    history = model.fit(dataset, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_anomalies_by_a_convolutional_autoencoder(libraries):
    keras, _ = libraries
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=(16, 1)),
            layers.Conv1D(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1D(filters=4, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=4, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1DTranspose(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.01), loss="mse")
    x = np.sin(np.linspace(0, 6, 16) + np.arange(20)[:, None]).astype("float32")[..., None]
    callbacks = [keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, mode="min")]
    history = model.fit(x, x, epochs=4, batch_size=8, validation_split=0.1, callbacks=callbacks, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert np.mean(np.abs(model.predict(x, verbose=0) - x), axis=1).shape == (20, 1)


def test_frames_by_convolutional_memory(libraries):
    keras, _ = libraries
    layers = keras.layers
    inp = layers.Input(shape=(None, 8, 8, 1))
    x = layers.ConvLSTM2D(
        filters=4, kernel_size=(5, 5), padding="same", return_sequences=True, activation="relu"
    )(inp)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(filters=4, kernel_size=(3, 3), padding="same", return_sequences=True)(x)
    x = layers.Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same")(x)
    model = keras.models.Model(inp, x)
    model.compile(loss=keras.losses.binary_crossentropy, optimizer=keras.optimizers.Adam())
    frames = (RNG.random((4, 3, 8, 8, 1)) > 0.5).astype("float32")
    history = model.fit(frames[:, :2], frames[:, 1:], batch_size=2, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.predict(frames, verbose=0).shape == frames.shape


def test_recurrent_layers_hand_on_states(libraries):
    keras, _ = libraries
    layers = keras.layers
    encoder_input = layers.Input(shape=(None,))
    embedded = layers.Embedding(input_dim=20, output_dim=8)(encoder_input)
    output, state_h, state_c = layers.LSTM(8, return_state=True, name="encoder")(embedded)
    decoder_input = layers.Input(shape=(None,))
    embedded = layers.Embedding(input_dim=20, output_dim=8)(decoder_input)
    output = layers.LSTM(8, name="decoder")(embedded, initial_state=[state_h, state_c])
    model = keras.Model([encoder_input, decoder_input], layers.Dense(10)(output))
    assert model.predict([np.ones((2, 5)), np.ones((2, 3))], verbose=0).shape == (2, 10)

    class MinimalRNNCell(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="uniform", name="kernel"
            )
            self.recurrent_kernel = self.add_weight(
                shape=(self.units, self.units), initializer="uniform", name="recurrent_kernel"
            )

        def call(self, inputs, states):
            h = keras.ops.matmul(inputs, self.kernel)
            out = h + keras.ops.matmul(states[0], self.recurrent_kernel)
            return out, [out]

    x = RNG.random((3, 4, 5)).astype("float32")
    layer = layers.RNN([MinimalRNNCell(6), MinimalRNNCell(4)])
    assert tuple(layer(x).shape) == (3, 4)
    lstm = layers.LSTM(4, stateful=True)
    first, second = (keras.ops.convert_to_numpy(lstm(x)) for _ in range(2))
    assert (first != second).any()
    lstm.reset_states()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(lstm(x)), first, rtol=1e-6)


# --- texts ----------------------------------------------------------------------------------------------


def test_sentiment_by_a_bidirectional_lstm(libraries):
    keras, _ = libraries
    layers = keras.layers
    texts, y = sentences()
    words = {word: i + 1 for i, word in enumerate(sorted({w.strip(",") for t in texts for w in t.split()}))}
    rows = keras.utils.pad_sequences([[words[w.strip(",")] for w in t.split()] for t in texts], maxlen=6)
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(20, 16, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(rows, y, batch_size=8, epochs=6, validation_data=(rows, y), verbose=0).history
    assert history["val_accuracy"][-1] == 1.0


def test_transformer_block(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    class TransformerBlock(layers.Layer):
        def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
            super().__init__()
            self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
            self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
            self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
            self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
            self.dropout1 = layers.Dropout(rate)
            self.dropout2 = layers.Dropout(rate)

        def call(self, inputs):
            out1 = self.layernorm1(inputs + self.dropout1(self.att(inputs, inputs)))
            return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))

    class TokenAndPositionEmbedding(layers.Layer):
        def __init__(self, maxlen, vocab_size, embed_dim):
            super().__init__()
            self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

        def call(self, x):
            maxlen = ops.shape(x)[-1]
            positions = self.pos_emb(ops.arange(start=0, stop=maxlen, step=1))
            return self.token_emb(x) + positions

    inputs = layers.Input(shape=(8,))
    x = TransformerBlock(8, 2, 16)(TokenAndPositionEmbedding(8, 30, 8)(inputs))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs=inputs, outputs=layers.Dense(2, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rows = RNG.integers(0, 30, (64, 8))
    y = (rows > 20).any(1).astype("int64")
    history = model.fit(rows, y, epochs=12, batch_size=16, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_a_small_language_model_with_a_causal_mask(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    def causal_attention_mask(batch_size, n_dest, n_src, dtype):
        i = ops.arange(n_dest)[:, None]
        j = ops.arange(n_src)
        mask = ops.cast(i >= j - n_src + n_dest, dtype)
        mask = ops.reshape(mask, [1, n_dest, n_src])
        mult = ops.concatenate(
            [ops.expand_dims(ops.convert_to_tensor(batch_size), -1), ops.convert_to_tensor([1, 1])], 0
        )
        return ops.tile(mask, [int(n) for n in ops.convert_to_numpy(mult)])

    class Block(layers.Layer):
        def __init__(self, embed_dim, num_heads):
            super().__init__()
            self.att = layers.MultiHeadAttention(num_heads, embed_dim)
            self.norm = layers.LayerNormalization()

        def call(self, inputs):
            batch_size, seq_len, _ = ops.shape(inputs)
            mask = causal_attention_mask(batch_size, seq_len, seq_len, "bool")
            return self.norm(inputs + self.att(inputs, inputs, attention_mask=mask))

    x = RNG.random((2, 5, 8)).astype("float32")
    block = Block(8, 2)
    whole = ops.convert_to_numpy(block(x))
    part = ops.convert_to_numpy(block(x[:, :3]))
    np.testing.assert_allclose(whole[:, :3], part, rtol=1e-4, atol=1e-5)


def test_image_captions_mask_through_custom_layers(libraries):
    keras, _ = libraries
    layers, ops = keras.layers, keras.ops

    class TemporalSoftmax(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs, mask=None):
            assert mask is not None
            broadcast = ops.expand_dims(ops.cast(mask, "float32"), -1)
            exponents = ops.exp(inputs) * broadcast
            return exponents / ops.sum(exponents, axis=1, keepdims=True)

    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(input_dim=10, output_dim=4, mask_zero=True)(inputs)
    outputs = TemporalSoftmax()(layers.Dense(1)(x))
    model = keras.Model(inputs, outputs)
    y = model(np.array([[3, 4, 0, 0], [1, 2, 3, 0]]))
    shares = ops.convert_to_numpy(y)[..., 0]
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert (shares[0, 2:] == 0).all()
    mask = layers.Masking().compute_mask(np.array([[[1.0], [0.0]]], "float32"))
    assert ops.convert_to_numpy(mask).tolist() == [[True, False]]


# --- data that are prepared -----------------------------------------------------------------------------


def test_numbers_are_prepared_in_the_model(libraries):
    keras, _ = libraries
    layers = keras.layers
    data = np.array([[0.1, 0.2, 0.3], [0.8, 0.9, 1.0], [1.5, 1.6, 1.7]], "float32")
    layer = layers.Normalization()
    layer.adapt(data)
    normalized = keras.ops.convert_to_numpy(layer(data))
    assert normalized.mean() == pytest.approx(0, abs=1e-6)
    assert normalized.std() == pytest.approx(1, abs=1e-5)
    x_train = RNG.random((40, 10)).astype("float32") * 5
    normalizer = layers.Normalization()
    normalizer.adapt(x_train)
    inputs = keras.Input(shape=(10,))
    outputs = layers.Dense(2, activation="softmax")(normalizer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(x_train, np.arange(40) % 2, epochs=1, verbose=0)
    bins = layers.Discretization(bin_boundaries=[0.0, 0.5, 1.0])
    assert keras.ops.convert_to_numpy(bins(np.array([-1.0, 0.2, 3.0]))).tolist() == [0, 1, 3]
    encoder = layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot")
    assert keras.ops.convert_to_numpy(encoder(np.array([[0, 1], [2, 2]]))).tolist() == [
        [1, 1, 0, 0],
        [0, 0, 1, 0],
    ]


def test_images_are_augmented_in_the_model(libraries):
    keras, _ = libraries
    layers = keras.layers
    data_augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
        ]
    )
    x, y = images(16, 16, 3)
    inputs = keras.Input((16, 16, 3))
    z = layers.Rescaling(1 / 2)(data_augmentation(inputs))
    z = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(4, 3, activation="relu")(z))
    model = keras.Model(inputs, layers.Dense(2)(z))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=1, verbose=0)
    once, twice = (model.predict(x, verbose=0) for _ in range(2))
    np.testing.assert_allclose(once, twice)


# --- files ----------------------------------------------------------------------------------------------


def test_models_are_written_and_read(libraries, tmp_path):
    keras, _ = libraries
    layers = keras.layers

    def get_model():
        inputs = keras.Input(shape=(32,))
        model = keras.Model(inputs, layers.Dense(1, name="predictions")(inputs))
        model.compile(optimizer=keras.optimizers.Adam(), loss="mean_squared_error")
        return model

    model = get_model()
    x, y = RNG.random((16, 32)), RNG.random((16, 1))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "my_model.keras")
    again = keras.models.load_model(tmp_path / "my_model.keras")
    np.testing.assert_allclose(model.predict(x, verbose=0), again.predict(x, verbose=0), rtol=1e-6)
    again.fit(x, y, verbose=0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(x, verbose=0), clone.predict(x, verbose=0), rtol=1e-6)
    rebuilt = keras.models.model_from_json(model.to_json())
    assert rebuilt.count_params() == model.count_params() == 33
    assert json.loads(model.to_json())["class_name"] == "Functional"
    config = model.get_config()
    fresh = keras.Model.from_config(config)
    assert [layer.name for layer in fresh.layers][-1] == "predictions"
    layer = layers.Dense(3, activation="relu", kernel_regularizer=keras.regularizers.L2(0.1))
    same = layers.deserialize(layers.serialize(layer))
    assert same.get_config()["units"] == 3


def test_custom_objects_by_scope(libraries, tmp_path):
    keras, _ = libraries

    class CustomLayer(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    def custom_activation(x):
        return keras.ops.tanh(x) ** 2

    inputs = keras.Input((4,))
    x = keras.layers.Dense(3)(CustomLayer(5)(inputs))
    model = keras.Model(inputs, keras.layers.Activation(custom_activation)(x))
    objects = {"CustomLayer": CustomLayer, "custom_activation": custom_activation}
    config = model.get_config()
    with keras.saving.custom_object_scope(objects):
        again = keras.Model.from_config(config)
    again.set_weights(model.get_weights())
    rows = RNG.random((3, 4)).astype("float32")
    np.testing.assert_allclose(again.predict(rows, verbose=0), model.predict(rows, verbose=0), rtol=1e-6)
    model.save(tmp_path / "custom.keras")
    read = keras.models.load_model(tmp_path / "custom.keras", custom_objects=objects)
    np.testing.assert_allclose(read.predict(rows, verbose=0), model.predict(rows, verbose=0), rtol=1e-6)


# --- precision, weights, tables -------------------------------------------------------------------------


def test_mixed_precision_by_policy(libraries):
    keras, _ = libraries
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        policy = keras.mixed_precision.dtype_policy()
        assert (policy.compute_dtype, policy.variable_dtype) == ("bfloat16", "float32")
        inputs = keras.Input(shape=(12,), name="digits")
        dense1 = keras.layers.Dense(16, activation="relu", name="dense_1")
        x = dense1(inputs)
        assert dense1.dtype_policy.name == "mixed_bfloat16"
        assert str(dense1.kernel.dtype).rpartition(".")[2] == "float32"
        x = keras.layers.Dense(3, name="dense_logits")(x)
        outputs = keras.layers.Activation("softmax", dtype="float32", name="predictions")(x)
        model = keras.Model(inputs=inputs, outputs=outputs)
        model.compile(
            loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.RMSprop(), metrics=["accuracy"]
        )
        x_train, y_train = RNG.random((40, 12)).astype("float32"), np.arange(40) % 3
        history = model.fit(x_train, y_train, batch_size=20, epochs=3, validation_split=0.2, verbose=0)
        assert history.history["loss"][-1] < history.history["loss"][0] + 0.1
        assert model.predict(x_train, verbose=0).dtype == np.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_imbalanced_classes_and_a_table(libraries, capsys):
    keras, _ = libraries
    x, y = blobs(90)
    model = keras.Sequential(name="table")
    model.add(keras.Input(shape=(4,)))
    model.add(keras.layers.Dense(16, activation="relu"))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.summary()
    text = capsys.readouterr().out
    assert 'Model: "table"' in text
    assert "Total params: 161" in text
    metrics = [
        keras.metrics.FalseNegatives(name="fn"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.AUC(name="auc"),
    ]
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=metrics)
    history = model.fit(
        x,
        (y == 0).astype("float32")[:, None],
        batch_size=32,
        epochs=3,
        verbose=0,
        class_weight={0: 1.0, 1: 2.0},
        validation_split=0.3,
    ).history
    assert {"fn", "precision", "recall", "auc", "val_auc"} <= set(history)


def test_a_model_as_an_estimator(libraries):
    keras, _ = libraries
    pytest.importorskip("sklearn")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def dynamic_model(X, y, loss, layers):
        inp = keras.Input(shape=(X.shape[1],))
        hidden = inp
        for size in layers:
            hidden = keras.layers.Dense(size, activation="relu")(hidden)
        out = keras.layers.Dense(y.shape[1] if len(y.shape) > 1 else 1, activation="softmax")(hidden)
        model = keras.Model(inp, out)
        model.compile(loss=loss, optimizer=keras.optimizers.Adam(0.05))
        return model

    x, y = blobs(90)
    names = np.array(["one", "two", "three"])[y]
    estimator = keras.wrappers.SKLearnClassifier(
        model=dynamic_model,
        model_kwargs={"loss": "categorical_crossentropy", "layers": [8]},
        fit_kwargs={"epochs": 20, "verbose": 0},
    )
    pipeline = make_pipeline(StandardScaler(), estimator).fit(x, names)
    assert pipeline.score(x, names) > 0.9
