"""Programs like those of Keras' and PyTorch's introductions, with their imports changed, on little data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_problems import rows
from test_readers_published import write_idx

import einkorn
from einkorn import keras
from einkorn.keras import layers, ops


def digits(count=120):
    """Pictures of [28, 28] whose upper or lower half is bright, and which."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pictures = generator.integers(0, 100, (count, 28, 28), dtype=np.uint8)
    pictures[labels == 0, :14] += 150
    pictures[labels == 1, 14:] += 150
    return pictures, labels


def test_pytorch_quickstart(tmp_path, monkeypatch):
    from einkorn import nn
    from einkorn.utils.data import DataLoader, TensorDataset

    einkorn.manual_seed(0)
    pictures, labels = digits()
    data = TensorDataset(
        einkorn.tensor(pictures[:, None].astype(np.float32) / 255), einkorn.tensor(labels.astype(np.int64))
    )
    train_dataloader = DataLoader(data, batch_size=16, shuffle=True)
    test_dataloader = DataLoader(data, batch_size=16)
    for X, y in test_dataloader:
        assert tuple(X.shape) == (16, 1, 28, 28)
        assert y.dtype == einkorn.int64
        break

    class NeuralNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten = nn.Flatten()
            self.linear_relu_stack = nn.Sequential(
                nn.Linear(28 * 28, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
            )

        def forward(self, x):
            return self.linear_relu_stack(self.flatten(x))

    device = "cpu"
    model = NeuralNetwork().to(device)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = einkorn.optim.SGD(model.parameters(), lr=0.05)

    def train(dataloader, model, loss_fn, optimizer):
        model.train()
        for X, y in dataloader:
            X, y = X.to(device), y.to(device)
            loss = loss_fn(model(X), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    def test(dataloader, model, loss_fn):
        size, batches = len(dataloader.dataset), len(dataloader)
        model.eval()
        test_loss, correct = 0, 0
        with einkorn.no_grad():
            for X, y in dataloader:
                pred = model(X.to(device))
                test_loss += loss_fn(pred, y.to(device)).item()
                correct += (pred.argmax(1) == y).type(einkorn.float).sum().item()
        return correct / size, test_loss / batches

    before = test(test_dataloader, model, loss_fn)
    for _ in range(5):
        train(train_dataloader, model, loss_fn, optimizer)
    after = test(test_dataloader, model, loss_fn)
    assert after[0] > 0.95
    assert after[1] < before[1]
    monkeypatch.chdir(tmp_path)
    einkorn.save(model.state_dict(), "model.pth")
    model = NeuralNetwork().to(device)
    model.load_state_dict(einkorn.load("model.pth", weights_only=True))
    assert test(test_dataloader, model, loss_fn) == after


def test_keras_convnet_and_callbacks(tmp_path, monkeypatch):
    monkeypatch.setenv("EINKORN_DATA", str(tmp_path))
    write_idx(tmp_path, ("train", "t10k"), [3, 0, 9, 7, 7, 1, 2, 5])
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
    x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(28, 28, 1)),
            keras.layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            keras.layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            keras.layers.MaxPooling2D(pool_size=(2, 2)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(),
        optimizer=keras.optimizers.Adam(learning_rate=1e-3),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            filepath=tmp_path / "epoch_{epoch}.safetensors", save_weights_only=True
        ),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=2),
    ]
    history = model.fit(
        x_train, y_train, batch_size=4, epochs=2, validation_split=0.25, callbacks=callbacks, verbose=0
    )
    assert sorted(history.history) == ["acc", "loss", "val_acc", "val_loss"]
    score = model.evaluate(x_test, y_test, verbose=0)
    predictions = model.predict(x_test)
    assert predictions.shape == (8, 10)
    model.save_weights(tmp_path / "final.safetensors")
    copy = keras.models.clone_model(model)
    copy.load_weights(tmp_path / "final.safetensors")
    assert_allclose(copy.predict(x_test), predictions)
    assert len(score) == 2


def test_keras_functional_guide():
    inputs = keras.Input(shape=(784,))
    dense = layers.Dense(64, activation="relu")
    x = dense(inputs)
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10)(x)
    model = keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")
    lines = []
    model.summary(print_fn=lines.append)
    assert 'Model: "mnist_model"' in lines[0]
    assert "(None, 64)" in lines[0]
    assert "55,050" in lines[0]

    encoder_input = keras.Input(shape=(28, 28, 1), name="img")
    x = layers.Conv2D(16, 3, activation="relu")(encoder_input)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    encoder_output = layers.GlobalMaxPooling2D()(x)
    encoder = keras.Model(encoder_input, encoder_output, name="encoder")
    decoder_input = keras.Input(shape=(16,), name="encoded_img")
    x = layers.Reshape((4, 4, 1))(decoder_input)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    decoder_output = layers.Conv2DTranspose(1, 3, activation="relu")(x)
    decoder = keras.Model(decoder_input, decoder_output, name="decoder")
    whole = keras.Input(shape=(28, 28, 1), name="whole")
    autoencoder = keras.Model(whole, decoder(encoder(whole)), name="autoencoder")
    assert autoencoder.output_shape == (None, 28, 28, 1)
    assert autoencoder.count_params() == encoder.count_params() + decoder.count_params() == 28_241
    assert [layer.name for layer in autoencoder.layers] == ["whole", "encoder", "decoder"]

    def get_model():
        inputs = keras.Input(shape=(128,))
        return keras.Model(inputs, layers.Dense(1)(inputs))

    models = [get_model() for _ in range(3)]
    inputs = keras.Input(shape=(128,))
    ensemble = keras.Model(inputs, layers.average([model(inputs) for model in models]))
    x = rows(4, 128)
    assert_allclose(ensemble.predict(x), sum(model.predict(x) for model in models) / 3, rtol=1e-5, atol=1e-6)


def test_keras_tickets_of_several_inputs_and_outputs():
    title_input = keras.Input(shape=(None,), name="title")
    body_input = keras.Input(shape=(None,), name="body")
    tags_input = keras.Input(shape=(12,), name="tags")
    title_features = layers.LSTM(16)(layers.Embedding(50, 8)(title_input))
    body_features = layers.LSTM(8)(layers.Embedding(50, 8)(body_input))
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, name="priority")(x)
    department_pred = layers.Dense(4, name="department")(x)
    model = keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    generator = np.random.default_rng(0)
    data = {
        "title": generator.integers(0, 50, (32, 5)),
        "body": generator.integers(0, 50, (32, 9)),
        "tags": generator.integers(0, 2, (32, 12)).astype("float32"),
    }
    targets = {
        "priority": generator.random((32, 1)).astype("float32"),
        "department": np.eye(4, dtype="float32")[generator.integers(0, 4, 32)],
    }
    history = model.fit(data, targets, epochs=2, batch_size=16, verbose=0).history
    assert sorted(history) == ["department_loss", "loss", "priority_loss"]
    assert_allclose(
        history["loss"],
        np.array(history["priority_loss"]) + 0.2 * np.array(history["department_loss"]),
        rtol=1e-4,
    )
    out = model.predict(data)
    assert {name: part.shape for name, part in out.items()} == {"priority": (32, 1), "department": (32, 4)}


def test_keras_residuals_shared_layers_and_features():
    inputs = keras.Input(shape=(16, 16, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    block_1 = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same", name="inside")(block_1)
    block_2 = layers.add([x, block_1])
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_2)
    x = layers.GlobalAveragePooling2D()(layers.add([x, block_2]))
    outputs = layers.Dense(10)(layers.Dropout(0.5)(x))
    model = keras.Model(inputs, outputs, name="toy_resnet")
    lines = []
    model.summary(print_fn=lines.append)
    assert "Connected to" in lines[0]
    pictures = rows(4, 16, 16, 3)
    features = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    all_of_them = features(pictures)
    assert len(all_of_them) == len(model.layers)
    assert_allclose(all_of_them[-1].data, model(pictures).data, rtol=1e-5, atol=1e-6)
    part = keras.Model(model.input, model.get_layer("inside").output)
    assert part.predict(pictures).shape == (4, 7, 7, 8)

    shared_embedding = layers.Embedding(1000, 12)
    text_a, text_b = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    a, b = shared_embedding(text_a), shared_embedding(text_b)
    both = keras.Model([text_a, text_b], layers.Dot(axes=-1)([ops.mean(a, axis=1), ops.mean(b, axis=1)]))
    assert both.count_params() == 12_000
    tokens = np.arange(6).reshape(2, 3)
    same = both.predict([tokens, tokens])
    assert_allclose(same[:, 0], (shared_embedding(tokens).data.mean(1) ** 2).sum(1), rtol=1e-4)


def test_keras_layers_of_your_own():
    class CustomDense(layers.Layer):
        def __init__(self, units=32):
            super().__init__()
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

        def call(self, inputs):
            return ops.matmul(inputs, self.w) + self.b

    class ComputeSum(layers.Layer):
        def __init__(self, input_dim):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

        def call(self, inputs):
            self.total.assign_add(ops.sum(inputs, axis=0))
            return self.total

    inputs = keras.Input((4,))
    model = keras.Model(inputs, CustomDense(10)(inputs))
    assert [weight.shape for weight in model.trainable_weights] == [(4, 10), (10,)]
    assert_allclose(model.get_weights()[1], 0)
    my_sum = ComputeSum(2)
    assert my_sum(np.ones((2, 2))).numpy().tolist() == [2.0, 2.0]
    assert my_sum(np.ones((2, 2))).numpy().tolist() == [4.0, 4.0]
    assert len(my_sum.weights) == len(my_sum.non_trainable_weights) == 1

    class MLPBlock(layers.Layer):
        def __init__(self):
            super().__init__()
            self.blocks = [CustomDense(8), CustomDense(8)]
            self.last = CustomDense(1)

        def call(self, inputs):
            x = inputs
            for block in self.blocks:
                x = keras.activations.relu(block(x))
            return self.last(x)

    mlp = MLPBlock()
    assert mlp(np.ones((3, 64), np.float32)).shape == (3, 1)
    assert len(mlp.weights) == len(mlp.trainable_weights) == 6

    class ActivityRegularization(layers.Layer):
        def call(self, inputs):
            self.add_loss(1e-2 * ops.mean(inputs))
            return inputs

    inputs = keras.Input(shape=(3,))
    outputs = ActivityRegularization()(inputs)
    model = keras.Model(inputs, outputs)
    x = np.full((5, 3), 2.0, np.float32)
    model.compile(optimizer="adam", loss="mse")
    assert model.evaluate(x, x) == pytest.approx(0.02, rel=1e-5)
    model(x)
    assert len(model.losses) == 1


def test_keras_text_classification_with_a_transformer():
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
            attn_output = self.dropout1(self.att(inputs, inputs))
            out1 = self.layernorm1(inputs + attn_output)
            return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))

    class TokenAndPositionEmbedding(layers.Layer):
        def __init__(self, maxlen, vocab_size, embed_dim):
            super().__init__()
            self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

        def call(self, x):
            positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
            return self.token_emb(x) + self.pos_emb(positions)

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 96)
    texts = [list(generator.integers(2, 12, generator.integers(4, 12)) + 8 * label) for label in labels]
    x = keras.utils.pad_sequences(texts, maxlen=12)
    inputs = layers.Input(shape=(12,))
    h = TokenAndPositionEmbedding(12, 20, 16)(inputs)
    h = TransformerBlock(16, 2, 32)(h)
    h = layers.GlobalAveragePooling1D()(h)
    h = layers.Dropout(0.1)(h)
    outputs = layers.Dense(2, activation="softmax")(h)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, labels, batch_size=16, epochs=12, validation_data=(x, labels), verbose=0).history
    assert history["val_accuracy"][-1] > 0.9


def test_keras_autoencoder():
    keras.utils.set_random_seed(0)
    pictures = digits()[0][:, ::2, ::2, None].astype("float32") / 255
    noisy = np.clip(pictures + 0.2 * np.random.default_rng(0).normal(size=pictures.shape), 0, 1)
    inputs = layers.Input(shape=(14, 14, 1))
    x = layers.Conv2D(8, (3, 3), activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2DTranspose(8, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
    autoencoder = keras.Model(inputs, x)
    autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    first = autoencoder.fit(x=noisy, y=pictures, epochs=8, batch_size=16, shuffle=True, verbose=0).history[
        "loss"
    ]
    assert first[-1] < first[0]
    assert autoencoder.predict(noisy).shape == pictures.shape


def test_keras_vae_with_losses_of_its_own():
    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            z_mean, z_log_var = inputs
            batch, dim = ops.shape(z_mean)[0], ops.shape(z_mean)[1]
            epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
            return z_mean + ops.exp(0.5 * z_log_var) * epsilon

    class Encoder(layers.Layer):
        def __init__(self, latent_dim=4, **kwargs):
            super().__init__(**kwargs)
            self.dense_proj = layers.Dense(16, activation="relu")
            self.dense_mean = layers.Dense(latent_dim)
            self.dense_log_var = layers.Dense(latent_dim)
            self.sampling = Sampling()

        def call(self, inputs):
            x = self.dense_proj(inputs)
            z_mean, z_log_var = self.dense_mean(x), self.dense_log_var(x)
            return z_mean, z_log_var, self.sampling((z_mean, z_log_var))

    class VariationalAutoEncoder(keras.Model):
        def __init__(self, original_dim, name="autoencoder", **kwargs):
            super().__init__(name=name, **kwargs)
            self.encoder = Encoder()
            self.decoder = keras.Sequential(
                [layers.Dense(16, activation="relu"), layers.Dense(original_dim, activation="sigmoid")]
            )

        def call(self, inputs):
            z_mean, z_log_var, z = self.encoder(inputs)
            kl_loss = -0.5 * ops.mean(z_log_var - ops.square(z_mean) - ops.exp(z_log_var) + 1)
            self.add_loss(kl_loss)
            return self.decoder(z)

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((64, 12), dtype=np.float32)
    vae = VariationalAutoEncoder(12)
    vae.compile(keras.optimizers.Adam(learning_rate=1e-2), loss=keras.losses.MeanSquaredError())
    history = vae.fit(x, x, epochs=6, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_keras_gan_with_steps_of_its_own():
    class GAN(keras.Model):
        def __init__(self, discriminator, generator, latent_dim):
            super().__init__()
            self.discriminator = discriminator
            self.generator = generator
            self.latent_dim = latent_dim
            self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
            self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
            self.seed_generator = keras.random.SeedGenerator(1337)
            self.built = True

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer = d_optimizer
            self.g_optimizer = g_optimizer
            self.loss_fn = loss_fn

        def train_step(self, real_images):
            if isinstance(real_images, tuple):
                real_images = real_images[0]
            batch_size = real_images.shape[0]
            noise = keras.random.normal(shape=(batch_size, self.latent_dim), seed=self.seed_generator)
            generated_images = self.generator(noise)
            combined_images = ops.concatenate([generated_images, einkorn.tensor(real_images)], axis=0)
            labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
            self.zero_grad()
            d_loss = self.loss_fn(labels, self.discriminator(combined_images))
            d_loss.backward()
            grads = [v.value.grad for v in self.discriminator.trainable_weights]
            with einkorn.no_grad():
                self.d_optimizer.apply(grads, self.discriminator.trainable_weights)
            noise = keras.random.normal(shape=(batch_size, self.latent_dim), seed=self.seed_generator)
            misleading_labels = ops.zeros((batch_size, 1))
            self.zero_grad()
            g_loss = self.loss_fn(misleading_labels, self.discriminator(self.generator(noise)))
            g_loss.backward()
            grads = [v.value.grad for v in self.generator.trainable_weights]
            with einkorn.no_grad():
                self.g_optimizer.apply(grads, self.generator.trainable_weights)
            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}

    keras.utils.set_random_seed(0)
    discriminator = keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Conv2D(8, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dense(1),
        ],
        name="discriminator",
    )
    generator = keras.Sequential(
        [
            keras.Input(shape=(6,)),
            layers.Dense(4 * 4 * 8),
            layers.Reshape((4, 4, 8)),
            layers.Conv2DTranspose(8, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, kernel_size=5, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )
    before = [generator.get_weights(), discriminator.get_weights()]
    gan = GAN(discriminator=discriminator, generator=generator, latent_dim=6)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=0.003),
        g_optimizer=keras.optimizers.Adam(learning_rate=0.003),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    images = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
    history = gan.fit(images, epochs=2, batch_size=32, verbose=0).history
    assert sorted(history) == ["d_loss", "g_loss"]
    for model, old in zip((generator, discriminator), before, strict=True):
        assert all((new != was).any() for new, was in zip(model.get_weights(), old, strict=True))
    assert gan.d_optimizer.iterations == 4


def test_keras_train_step_of_its_own():
    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with einkorn.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    def program(kind):
        keras.utils.set_random_seed(1)
        inputs = keras.Input(shape=(8,))
        model = kind(inputs, layers.Dense(1)(inputs))
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        x, y = rows(64, 8), rows(64, 1)
        return model.fit(x, y, epochs=3, shuffle=False, verbose=0).history

    own, plain = program(CustomModel), program(keras.Model)
    assert_allclose(own["loss"], plain["loss"], rtol=1e-5)
    assert_allclose(own["mae"], plain["mae"], rtol=1e-5)
