"""Layers in Keras' form by themselves: values worked out in float64, masks, modes, weights and refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import rows

import einkorn
from einkorn import keras
from einkorn.errors import ArgumentError, CheckpointError, IndexRangeError, ShapeError
from einkorn.keras import layers, ops


def values(x):
    return np.asarray(getattr(x, "data", x), np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def filled(layer, *inputs, seed=0):
    """The layer with weights that are all different, and those in float64 by their names."""
    layer(*inputs)
    generator = np.random.default_rng(seed)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return {variable.name: variable.numpy().astype(np.float64) for variable in layer.weights}


def lstm_reference(x, weights, units, keep=None):
    h = c = np.zeros((len(x), units))
    out = []
    for t in range(x.shape[1]):
        z = x[:, t] @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"]
        i, f, g, o = np.split(z, 4, -1)
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        live = np.ones((len(x), 1), bool) if keep is None else keep[:, t, None]
        h, c = np.where(live, new_h, h), np.where(live, new_c, c)
        out.append(h)
    return np.stack(out, 1), h, c


def gru_reference(x, weights, units, reset_after):
    h = np.zeros((len(x), units))
    bias = weights["bias"] if reset_after else np.stack([weights["bias"], 0 * weights["bias"]])
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ weights["kernel"] + bias[0], 3, -1)
        uz, ur, uh = np.split(weights["recurrent_kernel"], 3, -1)
        bz, br, bh = np.split(bias[1], 3, -1)
        z, r = sigmoid(xz + h @ uz + bz), sigmoid(xr + h @ ur + br)
        new = np.tanh(xh + r * (h @ uh + bh)) if reset_after else np.tanh(xh + (r * h) @ uh)
        h = z * h + (1 - z) * new
    return h


@pytest.mark.parametrize("masked", [False, True])
def test_lstm_is_its_formula(masked):
    x = rows(3, 5, 2)
    keep = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool) if masked else None
    layer = layers.LSTM(4, return_sequences=True, return_state=True)
    weights = filled(layer, x)
    found = layer(x, mask=keep)
    for part, wanted in zip(found, lstm_reference(x.astype(np.float64), weights, 4, keep), strict=True):
        assert_allclose(values(part), wanted, rtol=1e-4, atol=1e-5)
    back = layers.LSTM(4, go_backwards=True)
    back(x)
    back.set_weights(layer.get_weights())
    turned = None if keep is None else keep[:, ::-1]
    _, last, _ = lstm_reference(x[:, ::-1].astype(np.float64), weights, 4, turned)
    assert_allclose(values(back(x, mask=keep)), last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_is_its_formula(reset_after):
    x = rows(3, 5, 2)
    layer = layers.GRU(4, reset_after=reset_after)
    weights = filled(layer, x)
    assert weights["bias"].shape == ((2, 12) if reset_after else (12,))
    assert_allclose(
        values(layer(x)), gru_reference(x.astype(np.float64), weights, 4, reset_after), rtol=1e-4, atol=1e-5
    )


def test_gradients_of_both_ways_of_walking_agree():
    """The kernel for whole sequences, and the steps that a mask asks for."""
    x = rows(2, 4, 3)
    for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        layer = kind(5)
        filled(layer, x)
        found = []
        for walk in (layer._walk, layer._steps):
            given = einkorn.Tensor(x, requires_grad=True)
            _, last, _ = walk(given, layer._begin(given, None), None, False)
            layer.zero_grad()
            (last * last).sum().backward()
            found.append([given.grad.data, *[parameter.grad.data for parameter in layer.parameters()]])
        for one, other in zip(*found, strict=True):
            assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_stateful_layer_goes_on_where_it_was():
    x = rows(2, 6, 3)
    layer, whole = layers.GRU(4, stateful=True), layers.GRU(4)
    filled(layer, x)
    whole(x)
    whole.set_weights(layer.get_weights())
    layer.reset_state()
    layer(x[:, :2])
    assert_allclose(values(layer(x[:, 2:])), values(whole(x)), rtol=1e-5, atol=1e-6)
    layer.reset_state()
    assert_allclose(values(layer(x)), values(whole(x)), rtol=1e-6)


def test_dropout_of_sequences_leaves_the_same_out_in_all_steps():
    einkorn.manual_seed(0)
    x = np.ones((64, 5, 8), np.float32)
    dropped = values(layers.SpatialDropout1D(0.5)(x, training=True))
    assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert 0.4 < (dropped == 0).mean() < 0.6
    same = layers.LSTM(4, dropout=0.5, recurrent_dropout=0.5)
    assert_array_equal(values(same(x)), values(same(x)))
    assert (values(same(x, training=True)) != values(same(x, training=True))).any()
    noise = layers.GaussianNoise(0.1)
    assert_array_equal(values(noise(x)), x)
    assert values(noise(x, training=True)).std() == pytest.approx(0.1, rel=0.1)
    shaped = values(layers.Dropout(0.5, noise_shape=(None, 1, None))(x, training=True))
    assert_array_equal(shaped, np.broadcast_to(shaped[:, :1], shaped.shape))


def test_attention_of_heads_is_its_formula():
    query, value = rows(2, 3, 4), rows(2, 5, 4)
    layer = layers.MultiHeadAttention(2, 3)
    filled(layer, query, value)
    named = dict(zip(["q", "qb", "k", "kb", "v", "vb", "o", "ob"], layer.get_weights(), strict=True))
    q = np.einsum("btd,dhk->bhtk", query, named["q"]) + named["qb"][:, None]
    k = np.einsum("btd,dhk->bhtk", value, named["k"]) + named["kb"][:, None]
    v = np.einsum("btd,dhk->bhtk", value, named["v"]) + named["vb"][:, None]
    allowed = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
    scores = np.einsum("bhtk,bhsk->bhts", q, k) / np.sqrt(3)
    scores = np.where(allowed[:, None, None], scores, -1e9)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    wanted = np.einsum("bhtk,hkd->btd", shares @ v, named["o"]) + named["ob"]
    out, found = layer(query, value, value_mask=allowed, return_attention_scores=True)
    assert_allclose(values(found), shares, rtol=1e-4, atol=1e-6)
    assert_allclose(values(out), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (4, 2), (2, 3), (3, 1)])
def test_a_transposed_convolution_is_the_gradient_of_its_convolution(size, stride):
    x = rows(1, 4, 3, 2)
    layer = layers.Conv2DTranspose(5, size, strides=stride, padding="same", use_bias=False)
    filled(layer, x)
    out = layer(x)
    assert out.shape == (1, 4 * stride, 3 * stride, 5)
    forward = layers.Conv2D(2, size, strides=stride, padding="same", use_bias=False)
    images = einkorn.Tensor(np.zeros(out.shape, np.float32), requires_grad=True)
    forward(images)
    forward.set_weights(layer.get_weights())  # [sides, 5, 2], which is in and out of the convolution
    forward(images).backward(einkorn.Tensor(x))
    assert_allclose(values(out), images.grad.data, rtol=1e-4, atol=1e-5)


def test_a_layer_by_hand_is_not_training_and_a_frozen_one_stays():
    x = rows(8, 3) + 2
    layer = layers.BatchNormalization()
    assert_allclose(values(layer(x)), x / np.sqrt(1.001), rtol=1e-5)
    layer.trainable = False
    assert_allclose(values(layer(x, training=True)), x / np.sqrt(1.001), rtol=1e-5)
    assert layer.trainable_weights == []
    assert len(layer.weights) == 4
    layer.trainable = True
    assert [weight.name for weight in layer.trainable_weights] == ["gamma", "beta"]
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dropout(0.5), layers.Dense(1)])
    assert_array_equal(values(model(x)), values(model(x)))
    assert (values(model(x, training=True)) != values(model(x, training=True))).any()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, rows(8, 1), epochs=2, verbose=0)
    assert [bool((a == b).all()) for a, b in zip(before, model.get_weights(), strict=True)] == [
        True, True, False, False,
    ]  # fmt: skip


def test_weights_have_keras_order_and_layouts():
    model = keras.Sequential(
        [keras.Input((5, 4, 3)), layers.Conv2D(2, (3, 2)), layers.BatchNormalization(), layers.Flatten()]
    )
    model.add(layers.Dense(6))
    assert [w.shape for w in model.get_weights()] == [
        (3, 2, 3, 2), (2,), (2,), (2,), (2,), (2,), (18, 6), (6,),
    ]  # fmt: skip
    kernel = rows(3, 2, 3, 2)
    model.layers[0].set_weights([kernel, np.zeros(2)])
    assert_array_equal(model.layers[0].kernel.numpy(), kernel)
    assert_array_equal(model.layers[0].inner.weight.data, kernel.transpose(3, 2, 0, 1))
    model.layers[0].bias.assign([1.0, 2.0])
    assert_array_equal(model.get_weights()[1], [1, 2])
    with pytest.raises(ShapeError, match=r"has shape \(3, 2, 3, 2\), got \(2,\)"):
        model.layers[0].set_weights([np.zeros(2), np.zeros(2)])
    with pytest.raises(ArgumentError, match="got 1 arrays, expected 2"):
        model.layers[0].set_weights([kernel])


def test_initializers_count_fans_as_keras_does():
    einkorn.manual_seed(0)
    kernel = values(keras.initializers.GlorotUniform()((3, 3, 16, 32)))
    bound = np.sqrt(6 / (9 * 16 + 9 * 32))
    assert kernel.shape == (3, 3, 16, 32)
    assert 0.98 * bound < abs(kernel).max() <= bound
    assert values(keras.initializers.Constant(2.0)((2,))).tolist() == [2, 2]

    def own(shape, dtype=None):
        return np.arange(np.prod(shape)).reshape(shape)

    layer = layers.Dense(3, kernel_initializer=own)
    layer(rows(1, 2))
    assert_array_equal(layer.get_weights()[0], [[0, 1, 2], [3, 4, 5]])


def test_layers_of_data():
    x = rows(50, 3) * 3 + 1
    layer = layers.Normalization()
    layer.adapt(x)
    assert_allclose(values(layer(x)), (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match="expected adapt"):
        layers.Normalization()(x)
    multi = layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot")
    assert_array_equal(multi(np.array([[0, 1], [0, 0], [1, 3]])), [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]])
    assert_array_equal(layers.CategoryEncoding(3, "one_hot")(np.array([2, 0])), [[0, 0, 1], [1, 0, 0]])
    assert_array_equal(layers.CategoryEncoding(3, "count")(np.array([[0, 0, 2]])), [[2, 0, 1]])
    with pytest.raises(IndexRangeError, match="expected 0 to 2"):
        layers.CategoryEncoding(3)(np.array([[3]]))
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
    assert_array_equal(lookup(np.array([["a", "c"], ["d", "b"]])), [[1, 3], [0, 2]])
    assert lookup.get_vocabulary() == ["[UNK]", "a", "b", "c"]
    back = layers.StringLookup(vocabulary=["a", "b", "c"], invert=True)
    assert back(np.array([1, 0])).tolist() == ["a", "[UNK]"]
    texts = layers.TextVectorization(max_tokens=5, output_sequence_length=4)
    texts.adapt(["The cat sat.", "the cat ran!", "A dog"])
    assert texts.get_vocabulary() == ["", "[UNK]", "the", "cat", "sat"]
    assert_array_equal(texts(["the dog sat", "cat"]), [[2, 1, 4, 0], [3, 0, 0, 0]])
    assert_array_equal(values(layers.Rescaling(1 / 255)(np.full((1, 2), 255, np.uint8))), [[1, 1]])


def test_operators_make_models():
    a, b = keras.Input((3,)), keras.Input((3,))
    out = ops.concatenate([2 * a - b / 4, (a @ np.eye(3, dtype=np.float32))[:, :1], -abs(b)], axis=-1)
    model = keras.Model([a, b], ops.relu(out) ** 2)
    x, y = rows(4, 3), rows(4, 3)[::-1].copy()
    wanted = np.concatenate([2 * x - y / 4, x[:, :1], -abs(y)], -1)
    assert_allclose(model.predict([x, y]), np.maximum(wanted, 0) ** 2, rtol=1e-4, atol=1e-6)
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(a)
    with pytest.raises(TypeError, match="symbolic tensor without values"):
        np.asarray(a)


def test_what_does_not_fit_is_refused_by_name(tmp_path):
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    with pytest.raises(ArgumentError, match="b is needed for the outputs, expected it among the inputs"):
        keras.Model(a, layers.Concatenate()([a, b]))
    model = keras.Model([a, b], layers.Dense(2, name="last")(layers.Concatenate()([a, b])), name="m")
    with pytest.raises(ShapeError, match=r"input a has shape \(4, 5\), expected \(None, 3\)"):
        model.predict([rows(4, 5), rows(4, 2)])
    with pytest.raises(ArgumentError, match="input b is missing"):
        model.predict({"a": rows(4, 3)})
    with pytest.raises(ArgumentError, match="there is no layer 'first', expected one of a, b, "):
        model.get_layer("first")
    assert model.get_layer("last") is model.get_layer(index=-1)
    for name in ("m.hdf5", "m.weights.h5"):
        for write in (model.save, model.save_weights, model.load_weights):
            with pytest.raises(CheckpointError, match="a file of HDF5"):
                write(tmp_path / name)
        for read in (keras.models.load_model, keras.callbacks.ModelCheckpoint):
            with pytest.raises(CheckpointError, match="a file of HDF5"):
                read(tmp_path / name)
    model.save_weights(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="names no einkorn model"):
        keras.models.load_model(tmp_path / "m.safetensors")
    with pytest.raises(ArgumentError, match="expand_nested is not supported"):
        keras.utils.plot_model(model, None, expand_nested=True)
    with pytest.raises(ArgumentError, match="use_bias is 'relu'"):
        layers.Dense(3, "tanh", "relu")
    with pytest.raises(ArgumentError, match="padding is 'full'"):
        layers.Conv2D(3, 3, padding="full")
    with pytest.raises(ArgumentError, match="loss is 'msee'"):
        model.compile("sgd", "msee")
    with pytest.raises(ArgumentError, match="optimizer is 'sdg'"):
        model.compile("sdg", "mse")
    with pytest.raises(ArgumentError, match="metric is 'acuracy'"):
        model.compile("sgd", "mse", metrics=["acuracy"])
    with pytest.raises(AttributeError, match="has no attribute 'JaxLayer'"):
        _ = layers.JaxLayer


def test_names_count_up_and_begin_anew():
    keras.backend.clear_session()
    names = [
        layers.Dense(1).name,
        layers.Dense(1).name,
        layers.MaxPooling2D().name,
        layers.Conv2DTranspose(1, 1).name,
    ]
    assert names == ["dense", "dense_1", "max_pooling2d", "conv2d_transpose"]
    keras.backend.clear_session()
    assert layers.Dense(1).name == "dense"


def test_the_table_of_a_model():
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()], name="small")
    model.layers[0].trainable = False
    texts = []
    model.summary(print_fn=texts.append, show_trainable=True)
    lines = texts[0].splitlines()
    assert lines[0] == 'Model: "small"'
    assert [line.split("│")[1:5] for line in lines if "Dense" in line] == [
        [" dense (Dense)                            ", " (None, 3)    ", "      15 ", " N         "]
    ]
    assert lines[-3:] == [
        " Total params: 27 (108.00 B)",
        " Trainable params: 6 (24.00 B)",
        " Non-trainable params: 21 (84.00 B)",
    ]


def test_an_input_of_a_whole_batch() -> None:
    x = np.ones((6, 5, 3), np.float32)
    model = keras.Sequential([layers.Input(batch_shape=(6, 5, 3)), layers.LSTM(4, stateful=True)])
    first, second = (model.predict(x, batch_size=6, verbose=0) for _ in range(2))
    assert first.shape == (6, 4)
    assert not np.array_equal(first, second)  # the state went on


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: layers.GaussianNoise(-1), "stddev is -1"),
        (lambda: layers.GaussianDropout(1), "rate is 1"),
        (lambda: layers.ReLU(max_value=-1), "max_value is -1"),
        (lambda: layers.ReLU(negative_slope=-0.1), "negative_slope is -0.1"),
        (lambda: layers.Reshape((-1, -1)), "at most one"),
        (lambda: layers.Reshape((3,))(rows(2, 4)), "rows of 4 elements"),
        (lambda: layers.Reshape((-1, 3))(rows(2, 4)), "rows of 4 elements"),
        (lambda: layers.BatchNormalization(axis=5)(rows(2, 4)), "axis is 5"),
        (lambda: layers.BatchNormalization(axis=0)(rows(2, 4)), "axis is 0"),
        (lambda: layers.GroupNormalization(0)(rows(2, 4)), "groups is 0"),
    ],
)
def test_values_without_a_meaning_are_refused_by_name(make, why):
    with pytest.raises((ArgumentError, ShapeError), match=why):
        make()


def test_rules_of_weights_are_shown_keras_layouts():
    constraints, regularizers = keras.constraints, keras.regularizers

    def halved(weight):
        weight = np.array(weight)
        weight[0] /= 2
        return weight

    def first(weight):
        return ops.sum(ops.multiply(weight[0], weight[0]))

    unit = constraints.UnitNorm
    cases = (
        (layers.Dense(4, kernel_constraint=unit(axis=1)), (5,), 0, 1),
        (layers.Dense(4, kernel_constraint="unit_norm"), (5,), 0, 0),
        (layers.Conv2D(3, 2, kernel_constraint=unit(axis=(0, 1, 2))), (4, 4, 2), 0, (0, 1, 2)),
        (layers.Conv2DTranspose(3, 2, kernel_constraint=unit(axis=2)), (4, 4, 2), 0, 2),
        (layers.DepthwiseConv2D(2, depth_multiplier=2, depthwise_constraint=unit(3)), (4, 4, 3), 0, 3),
        (layers.SeparableConv1D(3, 2, pointwise_constraint=unit(2)), (4, 2), 1, 2),
        (layers.LSTM(3, recurrent_constraint=unit(axis=1)), (3, 4), 1, 1),
    )
    for layer, shape, which, axis in cases:
        model = keras.Sequential([layer, layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.random.default_rng(0).random((4, *shape), np.float32), np.ones(4), verbose=0)
        lengths = np.sqrt((layer.get_weights()[which] ** 2).sum(axis))
        assert_allclose(lengths, 1, atol=1e-5, err_msg=type(layer).__name__)

    # GRU: the gates are kept in another order than Keras'; a rate of 0 leaves the rules alone to act
    layer = layers.GRU(3, kernel_constraint=halved, kernel_regularizer=first)
    model = keras.Sequential([layer])
    x = np.ones((2, 3, 4), np.float32)
    model(x)
    before = layer.get_weights()
    assert_allclose(float(layer.losses[0]), (before[0][0] ** 2).sum(), rtol=1e-5)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, np.ones((2, 3), np.float32), verbose=0)
    assert_allclose(layer.get_weights()[0], halved(before[0]), rtol=1e-6)

    for mode in ("rows", "columns"):
        penalty = regularizers.OrthogonalRegularizer(1.0, mode)
        layer = layers.Dense(4, kernel_regularizer=penalty)
        layer(np.ones((1, 5), np.float32))
        kernel = layer.get_weights()[0]
        expected = penalty(einkorn.Tensor(kernel)).item()
        assert_allclose(float(layer.losses[0]), expected, rtol=1e-5)
        assert regularizers.get(regularizers.serialize(penalty)).mode == mode
    assert constraints.deserialize(constraints.serialize(unit(axis=1))).axis == 1


def test_normalization_of_float64_stays_in_float64():
    x = np.random.default_rng(0).normal(3, 2, (50, 4))
    layer = layers.Normalization()
    layer.adapt(x)
    out = np.asarray(layer(x))
    assert out.dtype == np.float64
    assert_allclose(out, (x - x.mean(0)) / x.std(0), atol=1e-5)
    assert np.asarray(layer(x.astype(np.float32))).dtype == np.float32


def test_a_generator_tells_the_shape_and_loses_no_batch():
    x, y = rows(12, 4), rows(12, 2, seed=1)
    found = []
    for data in ((x, y), ((x[i : i + 4], y[i : i + 4]) for i in range(0, 12, 4))):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([layers.Dense(2)])
        model.compile("sgd", "mse")
        given = data if isinstance(data, tuple) else (data,)
        model.fit(*given, batch_size=4 if len(given) == 2 else None, shuffle=len(given) == 1, verbose=0)
        found.append(model.get_weights())
    for ours, expected in zip(*found, strict=True):
        assert_array_equal(ours, expected)
    model = keras.Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="the generator gave no rows"):
        model.fit(iter([]), verbose=0)
