"""Convolutional memory, grouped attention, spectrograms, wrappers and networks beside Keras's own."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import keras
from einkorn.errors import ArgumentError, CheckpointError, DTypeError, ShapeError

os.environ.setdefault("KERAS_BACKEND", "torch")
RNG = np.random.default_rng(0)

# name -> (what makes the layer of either library's ``layers``, shapes of the inputs, arguments of the call)
LAYERS = {
    "conv lstm": (lambda L: L.ConvLSTM2D(3, 3, padding="same", return_sequences=True), [(2, 3, 5, 4, 2)], {}),
    "conv lstm state": (
        lambda L: L.ConvLSTM2D(3, (3, 2), strides=2, return_state=True),
        [(2, 3, 6, 5, 2)],
        {},
    ),
    "conv lstm backwards": (
        lambda L: L.ConvLSTM1D(3, 3, padding="same", go_backwards=True, activation="relu", use_bias=False),
        [(2, 3, 5, 2)],
        {},
    ),
    "conv lstm first": (
        lambda L: L.ConvLSTM1D(2, 3, dilation_rate=2, padding="same", data_format="channels_first"),
        [(2, 3, 2, 5)],
        {},
    ),
    "conv lstm 3d": (
        lambda L: L.ConvLSTM3D(2, 2, recurrent_activation="hard_sigmoid"),
        [(2, 2, 3, 4, 3, 2)],
        {},
    ),
    "grouped": (lambda L: L.GroupQueryAttention(4, 4, 2), [(2, 5, 6), (2, 7, 6)], {}),
    "grouped gate": (
        lambda L: L.GroupQueryAttention(4, 4, 1, use_gate=True, use_bias=False),
        [(2, 5, 6), (2, 5, 6)],
        {"use_causal_mask": True},
    ),
    "grouped window": (
        lambda L: L.GroupQueryAttention(3, 4, 4, sliding_window=2),
        [(2, 5, 6), (2, 5, 6)],
        {"return_attention_scores": True},
    ),
    "mel": (lambda L: L.MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8), [(2, 200)], {}),
    "mel power": (
        lambda L: L.MelSpectrogram(
            64, 16, 48, sampling_rate=8000, num_mel_bins=5, power_to_db=False, mag_exp=1.0
        ),
        [(200,)],
        {},
    ),
    "resizing crop": (lambda L: L.Resizing(4, 4, crop_to_aspect_ratio=True), [(2, 9, 6, 3)], {}),
    "resizing pad": (
        lambda L: L.Resizing(4, 6, "nearest", pad_to_aspect_ratio=True, fill_value=2.0),
        [(2, 9, 6, 3)],
        {},
    ),
    "resizing smooth": (lambda L: L.Resizing(4, 4, antialias=True), [(2, 9, 6, 3)], {}),
    "untied": (
        lambda L: L.ReversibleEmbedding(9, 4, tie_weights=False, logit_soft_cap=2.0),
        [(2, 3, 4)],
        {"reverse": True},
    ),
}


def array(value):
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_keras_gives(name):
    theirs = pytest.importorskip("keras")
    make, shapes, options = LAYERS[name]
    rows = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    own, other = make(keras.layers), make(theirs.layers)
    first = other(*rows, **options)
    own(*rows, **options)
    assert [w.shape for w in own.get_weights()] == [w.shape for w in other.get_weights()]
    values = [RNG.normal(0, 0.3, w.shape).astype(np.float32) for w in other.get_weights()]
    own.set_weights(values)
    other.set_weights(values)
    wanted, found = other(*rows, **options), own(*rows, **options)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, (tuple, list)) else [(found, wanted)]
    for one, two in pairs:
        assert_allclose(array(one), array(two), rtol=1e-4, atol=2e-5)
    assert (first is None) is False
    again = type(own).from_config(own.get_config())
    assert again.get_config() == own.get_config()


def test_spectral_normalization_is_keras_own():
    theirs = pytest.importorskip("keras")
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    own = keras.layers.SpectralNormalization(keras.layers.Dense(4), power_iterations=3)
    other = theirs.layers.SpectralNormalization(theirs.layers.Dense(4), power_iterations=3)
    own(x)
    other(x)
    order = [tuple(w.shape) for w in other.weights]
    assert [tuple(w.shape) for w in own.weights] == order
    values = [RNG.normal(size=shape).astype(np.float32) for shape in order]
    own.set_weights(values)
    other.set_weights(values)
    assert_allclose(array(own(x, training=True)), array(other(x, training=True)), rtol=1e-5, atol=1e-6)
    for one, two in zip(own.get_weights(), other.get_weights(), strict=True):
        assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    kernel = own.get_weights()[order.index((5, 4))]
    assert np.linalg.svd(kernel, compute_uv=False)[0] == pytest.approx(1, abs=0.1)


def test_a_reversible_table():
    layer = keras.layers.ReversibleEmbedding(9, 4, mask_zero=True)
    vectors = layer(np.array([[1, 2, 0]]))
    scores = array(layer(vectors, reverse=True))
    table = layer.get_weights()[0]
    assert_allclose(scores[0], table[[1, 2, 0]] @ table.T, rtol=1e-5, atol=1e-6)


def test_convolutional_memory_learns_and_keeps_its_state():
    layer = keras.layers.ConvLSTM2D(2, 3, padding="same", stateful=True, dropout=0.2, recurrent_dropout=0.2)
    x = RNG.normal(size=(2, 3, 4, 4, 1)).astype(np.float32)
    first, second = array(layer(x)), array(layer(x))
    assert (first != second).any()
    layer.reset_states()
    assert_allclose(array(layer(x)), first, rtol=1e-6)
    layer(x, training=True).sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() and p.grad.numpy().any() for p in layer.parameters())
    with pytest.raises(ShapeError, match="expected 5 axes"):
        keras.layers.ConvLSTM2D(2, 3)(x[:, 0])
    with pytest.raises(ArgumentError, match="expected one of them to be 1"):
        keras.layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2)


def test_what_a_layer_says_of_its_inputs_is_checked():
    class Strict(keras.layers.Layer):
        def __init__(self, spec):
            super().__init__(name="strict")
            self.input_spec = spec

        def call(self, x):
            return x

    spec = keras.InputSpec
    x = np.zeros((2, 3, 4), np.float32)
    for good in (
        spec(ndim=3),
        spec(shape=(None, 3, None)),
        spec(min_ndim=2, max_ndim=3),
        spec(axes={-1: 4}),
        spec("float32"),
    ):
        assert Strict(good)(x).shape == x.shape
    for bad, words in (
        (spec(ndim=2), "expected 2 axes"),
        (spec(shape=(None, 3, 5)), r"expected \(None, 3, 5\)"),
        (spec(min_ndim=4), "4 axes or more"),
        (spec(max_ndim=2), "2 axes at most"),
        (spec(axes={1: 9}), "expected 9 along axis 1"),
    ):
        with pytest.raises(ShapeError, match=f"strict: x has shape .*{words}"):
            Strict(bad)(x)
    with pytest.raises(DTypeError, match="expected int32"):
        Strict(spec("int32"))(x)
    with pytest.raises(ArgumentError, match="got 1 inputs, expected 2"):
        Strict([spec(ndim=3), spec(ndim=2)])(x)
    assert Strict(spec(shape=(None, 3, 4, 1), allow_last_axis_squeeze=True))(x).shape == x.shape
    assert spec.from_config(spec(ndim=3, axes={1: 2}).get_config()).axes == {1: 2}


NETWORKS = [
    ("MobileNetV2", {"alpha": 0.35}),
    ("MobileNet", {"alpha": 0.25}),
    ("ResNet50", {}),
    ("ResNet50V2", {}),
    ("DenseNet121", {}),
    ("VGG16", {}),
    ("Xception", {}),
    ("InceptionV3", {}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_networks_are_keras_own(name, options, tmp_path):
    theirs = pytest.importorskip("keras")
    side = 80 if name in ("Xception", "InceptionV3") else 36
    top = name in ("MobileNet", "MobileNetV2")
    given = {"weights": None, "include_top": top, "input_shape": (side, side, 3), "classes": 5, **options}
    if not top:
        given["pooling"] = "avg"
    keras.backend.clear_session()
    theirs.backend.clear_session()
    other = getattr(theirs.applications, name)(**given)
    own = getattr(keras.applications, name)(**given)
    assert own.name == other.name
    assert own.count_params() == other.count_params()
    assert [layer.name for layer in own.layers] == [layer.name for layer in other.layers]
    values = []
    for w in other.weights:
        spread = (
            RNG.uniform(0.5, 1.5, w.shape)
            if w.path.endswith(("variance", "gamma"))
            else RNG.normal(0, 0.08, w.shape)
        )
        values.append(spread.astype(np.float32))
    other.set_weights(values)
    own.set_weights(values)
    x = RNG.normal(size=(1, side, side, 3)).astype(np.float32)
    wanted = np.asarray(other(x, training=False).detach())
    assert_allclose(np.asarray(own(x, training=False)), wanted, rtol=0, atol=2e-4 * np.abs(wanted).max())
    if name in ("MobileNetV2", "InceptionV3"):
        pytest.importorskip("h5py")
        file = tmp_path / "network.weights.h5"
        other.save_weights(file)
        again = getattr(keras.applications, name)(**{**given, "weights": file})
        for one, two in zip(again.get_weights(), values, strict=True):
            assert_allclose(one, two)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_pixels_are_prepared_as_keras_does(mode):
    theirs = pytest.importorskip("keras")
    x = (RNG.random((2, 4, 5, 3)) * 255).astype(np.float32)
    for pixels in (x, x.astype(np.uint8)):
        wanted = theirs.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
        assert_allclose(
            keras.applications.imagenet_utils.preprocess_input(pixels, mode=mode),
            wanted,
            rtol=1e-5,
            atol=1e-5,
        )


def test_what_would_be_downloaded_is_refused(tmp_path):
    with pytest.raises(
        ArgumentError, match="'imagenet', which would have to be downloaded, expected None, or the path"
    ):
        keras.applications.ResNet50()
    with pytest.raises(ArgumentError, match="would have to be downloaded"):
        keras.applications.resnet50.decode_predictions(np.zeros((1, 1000)))
    with pytest.raises(AttributeError, match="MobileNetV2 or ResNet50V2"):
        getattr(keras.applications, "EfficientNetB0")  # noqa: B009 - a name that is looked for
    with pytest.raises(CheckpointError):
        keras.applications.MobileNetV2(weights=tmp_path / "missing.h5", alpha=0.35)


def test_structures_are_keras_own():
    theirs = pytest.importorskip("keras")
    structure = {"b": [1, (2, None)], "a": {"x": 3}, "c": ()}
    for tree in (keras.tree, theirs.tree):
        assert tree.flatten(structure) == [3, 1, 2, None]
        assert tree.flatten_with_path(structure)[1] == (("b", 0), 1)
        doubled = tree.map_structure(lambda x: None if x is None else 2 * x, structure)
        assert doubled == {"b": [2, (4, None)], "a": {"x": 6}, "c": ()}
        assert tree.pack_sequence_as(structure, "wxyz") == {"b": ["x", ("y", "z")], "a": {"x": "w"}, "c": ()}
        assert tree.map_structure(lambda x, y: x + y, [1, 2], [3, 4]) == [4, 6]
        assert tree.map_structure_up_to([1, 2], lambda x: len(x), [[1, 2], [3]]) == [2, 1]
        assert tree.lists_to_tuples([1, [2, 3]]) == (1, (2, 3))
        assert tree.map_shape_structure(lambda s: s[0], {"a": (1, 2), "b": [(3, None)]}) == {"a": 1, "b": [3]}
        assert tree.traverse(lambda x: x + 1 if isinstance(x, int) else None, [1, {"a": 2}]) == [2, {"a": 3}]
        none = tree.MAP_TO_NONE
        assert tree.traverse(lambda x, none=none: none if x == 1 else None, [1, 2]) == [None, 2]
        assert tree.is_nested([])
        assert not tree.is_nested(3)
        for other in ([1, 2], {"b": 1}, 3):
            with pytest.raises(ValueError, match=r"structure|differ|mismatch|expected"):
                tree.assert_same_structure(structure, other)
        with pytest.raises(ValueError, match=r"paths|differ"):
            tree.assert_same_paths([1, [2]], [1, 2])


def test_types_and_orders_can_be_chosen():
    config = keras.config
    assert (config.floatx(), config.image_data_format(), config.epsilon(), config.backend()) == (
        "float32",
        "channels_last",
        1e-7,
        "einkorn",
    )
    x = RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)
    config.set_image_data_format("channels_first")
    try:
        layer = keras.layers.Conv2D(4, 3)
        assert layer(x).shape == (2, 4, 6, 6)
        assert layer.get_config()["data_format"] == "channels_first"
        assert keras.applications.MobileNetV2(
            alpha=0.35, include_top=False, weights=None, input_shape=(3, 32, 32)
        ).output_shape == (None, 1280, 1, 1)
    finally:
        config.set_image_data_format("channels_last")
    config.set_floatx("float64")
    try:
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)]
        )
        model.compile("adam", "mse")
        rows = RNG.normal(size=(8, 3))
        model.fit(rows, rows.sum(1, keepdims=True), epochs=1, verbose=0)
        assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float64)}
        assert model.predict(rows, verbose=0).dtype == np.float64
        assert model.layers[0].dtype_policy.name == "float64"
    finally:
        config.set_floatx("float32")
    for call, words in (
        (lambda: config.set_floatx("float16"), "no kernels of float16"),
        (lambda: config.set_dtype_policy("mixed_float16"), "expected 'mixed_bfloat16'"),
        (lambda: keras.layers.Dense(2, dtype="mixed_bfloat16"), "set_dtype_policy chooses"),
        (lambda: config.set_epsilon(1e-3), "expected 1e-7"),
        (lambda: config.set_backend("jax"), "expected 'einkorn'"),
        (lambda: config.set_image_data_format("first"), "expected channels_last or channels_first"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()


def test_small_names_of_the_backend():
    theirs = pytest.importorskip("keras")
    kinds = ("int8", "uint8", "int32", "int64", "bool", "float32", "float64", "bfloat16", "float16")
    for one in kinds:
        assert keras.backend.is_float_dtype(one) == theirs.backend.is_float_dtype(one)
        assert keras.backend.is_int_dtype(one) == theirs.backend.is_int_dtype(one)
    for pair in (
        ("int32", "float32"),
        ("bfloat16", "float16"),
        ("bool", "int8"),
        ("int32", float),
        ("bfloat16", float),
    ):
        assert keras.backend.result_type(*pair) == theirs.backend.result_type(*pair)
    assert keras.backend.standardize_dtype("int") == theirs.backend.standardize_dtype("int")
    assert [keras.backend.get_uid("k9") for _ in range(2)] == [1, 2]
    assert keras.utils.is_keras_tensor(keras.Input((2,)))
    inputs = [keras.Input((2,)), keras.Input((2,))]
    both = keras.layers.Dense(3)(keras.layers.add(inputs))
    assert {id(x) for x in keras.utils.get_source_inputs(both)} == {id(x) for x in inputs}
    assert keras.version() == keras.__version__
    with keras.name_scope("part"), keras.device("cpu:0"):
        pass
    with pytest.raises(einkorn.errors.DeviceError, match="expected 'cpu'"), keras.device("gpu:0"):
        pass
    x = np.ones((2, 3), np.float32)
    dense = keras.layers.Dense(2)
    assert_allclose(array(keras.remat(dense)(x)), array(dense(x)))
    for name, hint in (
        ("distribution", "one process"),
        ("visualization", "einkorn.vision"),
        ("Function", "Model and Layer"),
    ):
        with pytest.raises(AttributeError, match=hint):
            getattr(keras, name)


def test_random_numbers_have_their_means():
    for found, mean in (
        (keras.random.beta((4000,), 2.0, 6.0, seed=1), 0.25),
        (keras.random.gamma((4000,), 3.0, seed=1), 3.0),
        (keras.random.binomial((4000,), 10, 0.3, seed=1), 3.0),
    ):
        assert array(found).mean() == pytest.approx(mean, rel=0.05)
        assert found.dtype == np.float32


def test_a_model_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    inputs = [keras.Input((4,), name="left"), keras.Input((3,), name="right")]
    x = keras.layers.concatenate([keras.layers.Dense(5, activation="relu")(inputs[0]), inputs[1]])
    model = keras.Model(inputs, [keras.layers.Dense(1)(x), x])
    for i, (which, direction) in enumerate(
        ((model, "TB"), (model, "LR"), (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "TB"))
    ):
        axes = keras.utils.plot_model(
            which,
            tmp_path / f"{i}.png",
            True,
            True,
            True,
            direction,
            show_layer_activations=True,
            show_trainable=True,
        )
        assert (tmp_path / f"{i}.png").stat().st_size > 2000
        texts = "\n".join(text.get_text() for text in axes.texts)
        assert "output: (None, 1)" in texts
    assert "left (InputLayer)" in "\n".join(
        t.get_text() for t in keras.utils.plot_model(model, None, show_layer_names=True).texts
    )
    with pytest.raises(ArgumentError, match="expected 'TB' or 'LR'"):
        keras.utils.plot_model(model, None, rankdir="BT")


def test_a_bar_for_loops(capsys):
    bar = keras.utils.Progbar(3, stateful_metrics=["rate"])
    for i in range(3):
        bar.update(i + 1, [("loss", 3.0 - i), ("rate", 0.1 * i)])
    line = capsys.readouterr().out
    assert line.startswith("3/3 [====================]")
    assert line.endswith("loss: 2.0000 - rate: 0.2000\n")
    keras.utils.Progbar(2, verbose=0).add(2, [("loss", 1.0)])
    assert capsys.readouterr().out == ""


def test_lamb_goes_the_way_of_keras():
    theirs = pytest.importorskip("keras")
    x, y = RNG.normal(size=(16, 4)).astype(np.float32), RNG.normal(size=(16, 2)).astype(np.float32)
    weights, found = None, []
    for library in (theirs, keras):
        model = library.Sequential(
            [library.Input((4,)), library.layers.Dense(3, activation="tanh"), library.layers.Dense(2)]
        )
        weights = model.get_weights() if weights is None else weights
        model.set_weights(weights)
        model.compile(library.optimizers.Lamb(0.01, weight_decay=0.02), "mse")
        model.fit(x, y, batch_size=8, epochs=4, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for one, two in zip(*found, strict=True):
        assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_models_as_estimators():
    pytest.importorskip("sklearn")
    from sklearn.base import clone

    x = RNG.normal(size=(60, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    regressor = keras.wrappers.SKLearnRegressor(model, fit_kwargs={"epochs": 40, "verbose": 0})
    y = x @ np.float32([1, -2, 0.5]) + 1
    assert clone(regressor).fit(x, y).score(x, y) > 0.95
    codes = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    codes.compile("adam", "mse")
    transformer = keras.wrappers.SKLearnTransformer(codes, fit_kwargs={"verbose": 0})
    assert transformer.fit(x, x[:, :2]).transform(x).shape == (60, 2)
    with pytest.raises(ArgumentError, match="y has one class"):
        keras.wrappers.SKLearnClassifier(model).fit(x, np.zeros(60, int))
    with pytest.raises(ArgumentError, match="is not compiled"):
        keras.wrappers.SKLearnRegressor(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])).fit(
            x, y
        )


PIXELS = RNG.integers(0, 256, (3, 9, 8, 3)).astype(np.float32)

# Layers whose changes are certain: what is drawn comes from a span of one number.
CERTAIN = {
    "invert": lambda L, **o: L.RandomInvert((1.0, 1.0), **o),
    "grayscale": lambda L, **o: L.RandomGrayscale(1.0, **o),
    "degeneration": lambda L, **o: L.RandomColorDegeneration((0.4, 0.4), **o),
    "saturation": lambda L, **o: L.RandomSaturation((0.3, 0.3), **o),
    "hue": lambda L, **o: L.RandomHue((1.0, 1.0), **o),  # half a turn is one in either direction
    "sharpness": lambda L, **o: L.RandomSharpness((0.9, 0.9), **o),
    "posterization": lambda L, **o: L.RandomPosterization((3, 3), **o),
    "solarization": lambda L, **o: L.Solarization((0.0, 0.0), (0.0, 0.0)),
    "contrast": lambda L, **o: L.AutoContrast(),
    "equalization": lambda L, **o: L.Equalization(**o),
    "blur": lambda L, **o: L.RandomGaussianBlur((1.0, 1.0), 3, (0.8, 0.8), **o),
    "still": lambda L, **o: L.RandomShear(0.0, 0.0, **o),
    "no perspective": lambda L, **o: L.RandomPerspective(1.0, 0.0, **o),
    "no jitter": lambda L, **o: L.RandomColorJitter(saturation_factor=(0.5, 0.5), hue_factor=(1.0, 1.0), **o),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_images_change_as_in_keras(name):
    theirs = pytest.importorskip("keras")
    for options, x in (
        ({}, PIXELS),
        ({}, PIXELS[0]),
        ({"data_format": "channels_first"}, PIXELS.transpose(0, 3, 1, 2).copy()),
    ):
        if options and name in ("solarization", "contrast", "grayscale", "no jitter"):
            continue
        wanted = array(CERTAIN[name](theirs.layers, **options)(x.copy(), training=True))
        own = CERTAIN[name](keras.layers, **options)
        assert_allclose(array(own(x)), wanted, rtol=1e-4, atol=1e-2)
        if name not in ("contrast",):
            assert_allclose(array(own(x, training=False)), x)
        again = type(own).from_config(own.get_config())
        assert_allclose(array(again(x)), wanted, rtol=1e-4, atol=1e-2)


def test_images_change_by_chance():
    layers = keras.layers
    for layer in (
        layers.RandomErasing(scale=(0.2, 0.2), fill_value=0.0, seed=1),
        layers.RandomErasing(seed=1),
        layers.RandomShear(0.5, 0.2, seed=1),
        layers.RandomPerspective(scale=0.6, seed=1),
        layers.RandomElasticTransform(seed=1),
        layers.RandomHue(0.4, seed=1),
        layers.Solarization(0.3, 0.5, seed=1),
        layers.RandomColorJitter((0, 255), 0.2, 0.2, 0.6, 0.3, seed=1),
        layers.RandomPosterization((2, 5), seed=1),
    ):
        out = array(layer(PIXELS))
        assert out.shape == PIXELS.shape
        assert out.dtype == np.float32
        assert (out != PIXELS).any()
        assert (out >= -1e-3).all()
        assert (out <= 255.001).all()
        assert_allclose(array(layer(PIXELS, training=False)), PIXELS)
        same = type(layer).from_config(layer.get_config())
        assert_allclose(array(same(PIXELS)), out)
    erased = array(
        layers.RandomErasing((1.0, 1.0), (0.25, 0.25), fill_value=-1.0, value_range=(-1, 255))(PIXELS)
    )
    assert 0.15 < (erased == -1).mean() < 0.35
    shear = layers.RandomShear((0.5, 0.5), fill_mode="constant")
    seen = {
        tuple(np.round(array(shear(np.eye(6, dtype=np.float32)[..., None]))[..., 0].sum(0), 3))
        for _ in range(30)
    }
    assert len(seen) == 2  # to either side
    pipeline = layers.Pipeline([layers.RandomInvert((1.0, 1.0)), layers.Rescaling(1 / 255)])
    assert_allclose(array(pipeline(PIXELS)), 1 - PIXELS / 255, rtol=1e-5, atol=1e-6)
    for make, words in (
        (lambda: layers.RandomInvert(2.0), "numbers from 0 to 1"),
        (lambda: layers.RandomHue("much"), "a number or two"),
        (lambda: layers.RandomPosterization(0), "numbers from 1 to 8"),
        (lambda: layers.AutoContrast(255), "black and white"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), "odd integers"),
        (lambda: layers.RandomErasing(fill_value=[1, 2]), "a number or three"),
        (lambda: layers.RandomPerspective(scale=2.0), "from 0 to 1"),
    ):
        with pytest.raises(ArgumentError, match=words):
            make()


PICTURES = {
    "Resizing": (4, 4), "CenterCrop": (4, 4), "RandomCrop": (4, 4), "Rescaling": (0.5,),
    "RandomBrightness": (0.2,),
    "RandomContrast": (0.2,), "RandomFlip": (), "RandomRotation": (0.2,), "RandomTranslation": (0.2, 0.2),
    "RandomZoom": (0.2,), "RandomGrayscale": (), "RandomHue": (0.2,), "RandomSaturation": (0.2,),
    "RandomSharpness": (0.2,), "RandomShear": (0.2,), "RandomPosterization": (4,), "RandomInvert": (),
    "RandomGaussianBlur": (), "RandomErasing": (), "RandomColorJitter": (), "RandomColorDegeneration": (0.2,),
    "RandomPerspective": (), "RandomElasticTransform": (), "Solarization": (), "Equalization": (),
    "AutoContrast": (), "MixUp": (), "CutMix": (), "RandAugment": (), "AugMix": (),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_pictures_have_the_type_that_keras_gives(name, kind):
    theirs = pytest.importorskip("keras")
    x = np.random.default_rng(0).integers(0, 255, (2, 8, 6, 3)).astype(kind)
    own, layer = (getattr(library.layers, name)(*PICTURES[name]) for library in (keras, theirs))
    for training in (False, True):
        options = {} if name in ("Resizing", "CenterCrop", "Rescaling") else {"training": training}
        if name == "RandomSaturation" and kind == "uint8" and training:
            wanted = "float32"  # Keras' own fails
        else:
            wanted = str(layer(x, **options).dtype).removeprefix("torch.")
        assert str(own(x, **options).dtype) == wanted, training


@pytest.mark.parametrize("form", ["channels_last", "channels_first"])
@pytest.mark.parametrize("size", [(20, 20), (20, 4), (3, 9), (9, 3), (4, 4)])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_the_middle_of_small_pictures_is_resized_as_in_keras(size, kind, form):
    theirs = pytest.importorskip("keras")
    x = np.random.default_rng(0).integers(0, 255, (2, 8, 6, 3)).astype(kind)
    x = x if form == "channels_last" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for each in (x, x[0]):
        for name in ("CenterCrop", "Resizing"):
            own, wanted = (
                array(getattr(library.layers, name)(*size, data_format=form)(each))
                for library in (keras, theirs)
            )
            assert own.dtype == wanted.dtype
            assert_allclose(
                own, wanted, rtol=1e-5, atol=1e-3 if kind == "float32" or name == "CenterCrop" else 1
            )
