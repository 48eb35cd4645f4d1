"""Layers, losses and metrics beside Keras itself, of the same weights, where it is installed."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose

from einkorn import keras

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras", reason="Keras is not installed")

TOKENS = np.array([[3, 1, 2, 0, 0], [4, 4, 0, 0, 0], [1, 2, 3, 4, 1]])

# name -> (what makes the layer of either library's ``layers``, shapes of the inputs, arguments of the call)
LAYERS = {
    "dense": (lambda L: L.Dense(4, activation="gelu"), [(3, 5)], {}),
    "dense of steps": (lambda L: L.Dense(4, use_bias=False), [(3, 2, 5)], {}),
    "einsum dense": (lambda L: L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), [(3, 2, 5)], {}),
    "conv1d causal": (lambda L: L.Conv1D(4, 3, padding="causal", dilation_rate=2), [(2, 9, 3)], {}),
    "conv1d same": (lambda L: L.Conv1D(4, 4, strides=2, padding="same"), [(2, 9, 3)], {}),
    "conv2d": (lambda L: L.Conv2D(4, (3, 2), activation="relu"), [(2, 7, 6, 3)], {}),
    "conv2d same": (lambda L: L.Conv2D(4, 3, strides=2, padding="same"), [(2, 7, 6, 3)], {}),
    "conv2d groups": (lambda L: L.Conv2D(4, 3, groups=2), [(2, 7, 6, 4)], {}),
    "conv2d dilated": (lambda L: L.Conv2D(4, 3, dilation_rate=2, padding="same"), [(2, 7, 6, 3)], {}),
    "conv3d": (lambda L: L.Conv3D(2, 2, padding="same"), [(2, 4, 5, 3, 2)], {}),
    "transposed 1d": (lambda L: L.Conv1DTranspose(4, 3, strides=2, padding="same"), [(2, 5, 3)], {}),
    "transposed same": (lambda L: L.Conv2DTranspose(4, 3, strides=2, padding="same"), [(2, 5, 4, 3)], {}),
    "transposed even": (lambda L: L.Conv2DTranspose(4, 4, strides=2, padding="same"), [(2, 5, 4, 3)], {}),
    "transposed valid": (lambda L: L.Conv2DTranspose(4, 3, strides=2), [(2, 5, 4, 3)], {}),
    "transposed 1": (lambda L: L.Conv2DTranspose(4, 3, padding="same"), [(2, 5, 4, 3)], {}),
    "depthwise": (lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), [(2, 6, 5, 3)], {}),
    "separable": (lambda L: L.SeparableConv2D(5, 3, depth_multiplier=2), [(2, 6, 5, 3)], {}),
    "separable 1d": (lambda L: L.SeparableConv1D(5, 3, padding="same"), [(2, 6, 3)], {}),
    "max pool": (lambda L: L.MaxPooling2D(3, strides=2, padding="same"), [(2, 7, 6, 3)], {}),
    "max pool 1d": (lambda L: L.MaxPooling1D(2), [(2, 7, 3)], {}),
    "average pool": (lambda L: L.AveragePooling2D(2, padding="same"), [(2, 7, 6, 3)], {}),
    "average pool 3d": (lambda L: L.AveragePooling3D(2), [(2, 4, 4, 5, 2)], {}),
    "global average": (lambda L: L.GlobalAveragePooling2D(keepdims=True), [(2, 7, 6, 3)], {}),
    "global max": (lambda L: L.GlobalMaxPooling1D(), [(2, 7, 3)], {}),
    "batch norm": (lambda L: L.BatchNormalization(), [(4, 5, 3)], {}),
    "batch norm training": (lambda L: L.BatchNormalization(momentum=0.7), [(4, 5, 5, 3)], {"training": True}),
    "batch norm axis 1": (lambda L: L.BatchNormalization(1, scale=False), [(4, 3, 5, 2)], {"training": True}),
    "layer norm": (lambda L: L.LayerNormalization(), [(4, 5, 3)], {}),
    "layer norm axes": (lambda L: L.LayerNormalization(axis=[1, 2], center=False), [(4, 5, 3)], {}),
    "group norm": (lambda L: L.GroupNormalization(groups=2), [(3, 5, 5, 4)], {}),
    "rms norm": (lambda L: L.RMSNormalization(), [(3, 5)], {}),
    "unit norm": (lambda L: L.UnitNormalization(), [(3, 5)], {}),
    "lstm": (lambda L: L.LSTM(4), [(3, 5, 2)], {}),
    "lstm sequences": (lambda L: L.LSTM(4, return_sequences=True, return_state=True), [(3, 5, 2)], {}),
    "lstm backwards": (lambda L: L.LSTM(4, go_backwards=True, return_sequences=True), [(3, 5, 2)], {}),
    "lstm other": (lambda L: L.LSTM(4, activation="relu", recurrent_activation="tanh"), [(3, 5, 2)], {}),
    "gru": (lambda L: L.GRU(4, return_sequences=True), [(3, 5, 2)], {}),
    "gru reset before": (lambda L: L.GRU(4, reset_after=False), [(3, 5, 2)], {}),
    "simple rnn": (lambda L: L.SimpleRNN(4, return_state=True), [(3, 5, 2)], {}),
    "rnn of cells": (lambda L: L.RNN([L.LSTMCell(3), L.GRUCell(4)]), [(3, 5, 2)], {}),
    "bidirectional": (lambda L: L.Bidirectional(L.LSTM(4, return_sequences=True)), [(3, 5, 2)], {}),
    "bidirectional sum": (lambda L: L.Bidirectional(L.GRU(4), merge_mode="sum"), [(3, 5, 2)], {}),
    "bidirectional states": (lambda L: L.Bidirectional(L.LSTM(4, return_state=True)), [(3, 5, 2)], {}),
    "time distributed": (lambda L: L.TimeDistributed(L.Conv2D(2, 3)), [(2, 3, 5, 5, 2)], {}),
    "attention": (lambda L: L.Attention(use_scale=True), [[(2, 3, 4), (2, 5, 4)]], {}),
    "attention causal": (lambda L: L.Attention(), [[(2, 5, 4), (2, 5, 4)]], {"use_causal_mask": True}),
    "attention concat": (lambda L: L.Attention(score_mode="concat"), [[(2, 3, 4), (2, 5, 4)]], {}),
    "additive attention": (lambda L: L.AdditiveAttention(), [[(2, 3, 4), (2, 5, 4)]], {}),
    "heads": (lambda L: L.MultiHeadAttention(2, 3), [(2, 5, 4), (2, 6, 4)], {}),
    "heads causal": (
        lambda L: L.MultiHeadAttention(2, 3, value_dim=5, output_shape=7),
        [(2, 5, 4), (2, 5, 4)],
        {"use_causal_mask": True, "return_attention_scores": True},
    ),
    "add": (lambda L: L.Add(), [[(2, 3), (2, 3), (2, 3)]], {}),
    "subtract": (lambda L: L.Subtract(), [[(2, 3), (2, 3)]], {}),
    "multiply": (lambda L: L.Multiply(), [[(2, 5, 3), (2, 1, 3)]], {}),
    "average": (lambda L: L.Average(), [[(2, 3), (2, 3)]], {}),
    "maximum": (lambda L: L.Maximum(), [[(2, 3), (2, 3)]], {}),
    "minimum": (lambda L: L.Minimum(), [[(2, 3), (2, 3)]], {}),
    "concatenate": (lambda L: L.Concatenate(axis=1), [[(2, 3, 2), (2, 4, 2)]], {}),
    "dot": (lambda L: L.Dot(axes=1), [[(2, 3), (2, 3)]], {}),
    "dot matrices": (lambda L: L.Dot(axes=(2, 1), normalize=True), [[(2, 3, 4), (2, 4, 5)]], {}),
    "flatten first": (lambda L: L.Flatten(data_format="channels_first"), [(2, 3, 4, 5)], {}),
    "reshape": (lambda L: L.Reshape((-1, 2)), [(2, 3, 4)], {}),
    "permute": (lambda L: L.Permute((2, 1, 3)), [(2, 3, 4, 5)], {}),
    "repeat": (lambda L: L.RepeatVector(3), [(2, 4)], {}),
    "crop": (lambda L: L.Cropping2D(((1, 0), (2, 1))), [(2, 4, 6, 3)], {}),
    "crop 1d": (lambda L: L.Cropping1D((1, 2)), [(2, 6, 3)], {}),
    "pad": (lambda L: L.ZeroPadding2D((1, 2)), [(2, 4, 6, 3)], {}),
    "pad 1d": (lambda L: L.ZeroPadding1D((0, 2)), [(2, 4, 3)], {}),
    "up": (lambda L: L.UpSampling2D((2, 3)), [(2, 4, 3, 2)], {}),
    "up bilinear": (lambda L: L.UpSampling2D(2, interpolation="bilinear"), [(2, 4, 3, 2)], {}),
    "up 1d": (lambda L: L.UpSampling1D(3), [(2, 4, 3)], {}),
    "relu": (lambda L: L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.1), [(3, 5)], {}),
    "leaky relu": (lambda L: L.LeakyReLU(), [(3, 5)], {}),
    "elu": (lambda L: L.ELU(0.5), [(3, 5)], {}),
    "prelu": (lambda L: L.PReLU(alpha_initializer="random_normal", shared_axes=[1]), [(3, 4, 5)], {}),
    "softmax": (lambda L: L.Softmax(axis=1), [(3, 4, 5)], {}),
    "rescaling": (lambda L: L.Rescaling(1 / 255, offset=-0.5), [(3, 4)], {}),
    "normalization": (lambda L: L.Normalization(mean=[1.0, 2.0], variance=[4.0, 0.5]), [(3, 2)], {}),
    "resizing": (lambda L: L.Resizing(3, 7), [(2, 5, 4, 3)], {}),
    "center crop": (lambda L: L.CenterCrop(2, 3), [(2, 5, 4, 3)], {}),
    "adaptive average": (lambda L: L.AdaptiveAveragePooling2D((3, 2)), [(2, 7, 6, 3)], {}),
    "adaptive max": (lambda L: L.AdaptiveMaxPooling1D(3), [(2, 7, 3)], {}),
    "aliases": (lambda L: L.MaxPool2D((2, 2), None, "same", None, "pool"), [(2, 5, 4, 3)], {}),
    "transposed 3d": (
        lambda L: L.Convolution3DTranspose(2, 2, 2, "valid", "channels_last", 1),
        [(2, 3, 2, 2, 2)],
        {},
    ),
    "crop nothing": (lambda L: L.Cropping2D(), [(2, 4, 6, 3)], {}),
    "discretization": (lambda L: L.Discretization([-0.5, 0.0, 0.5]), [(3, 4)], {}),
    "group norm rules": (
        lambda L: L.GroupNormalization(2, -1, 1e-3, True, True, "ones", "ones", "l2", "l2"),
        [(3, 4)],
        {},
    ),
}


def given(shapes):
    """Rows of these shapes, lists within lists."""
    seed = iter(range(100, 200))

    def one(shape):
        if isinstance(shape, list):
            return [one(part) for part in shape]
        return np.random.default_rng(next(seed)).normal(size=shape).astype(np.float32)

    return [one(shape) for shape in shapes]


def array(value):
    """An array of whatever either library gives."""
    if hasattr(value, "detach") and not hasattr(value, "_data"):
        value = value.detach()
    return np.asarray(getattr(value, "data", value) if hasattr(value, "_data") else value)


def parts(value):
    return (
        [part for one in value for part in parts(one)] if isinstance(value, (list, tuple)) else [array(value)]
    )


def spread(weights):
    """Other weights than those that layers begin with, which have zeros."""
    generator = np.random.default_rng(5)
    return [
        np.abs(w + 0.3 * generator.normal(size=w.shape)).astype(w.dtype) * np.sign(w + 0.1) for w in weights
    ]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_keras_gives(name):
    make, shapes, options = LAYERS[name]
    inputs = given(shapes)
    layer, own = make(theirs.layers), make(keras.layers)
    layer(*inputs)
    own(*inputs)
    weights = spread(layer.get_weights())
    assert [w.shape for w in own.get_weights()] == [w.shape for w in weights]
    assert own.count_params() == layer.count_params()
    layer.set_weights(weights)
    own.set_weights(weights)
    wanted, found = parts(layer(*inputs, **options)), parts(own(*inputs, **options))
    assert [part.shape for part in found] == [part.shape for part in wanted]
    for part, other in zip(found, wanted, strict=True):
        assert_allclose(part, other, rtol=1e-4, atol=2e-5)
    for weight, other in zip(own.get_weights(), layer.get_weights(), strict=True):
        assert_allclose(weight, other, rtol=1e-5, atol=1e-6)  # moving statistics move alike


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("backwards", [False, True])
def test_masked_steps_are_left_out_as_in_keras(kind, backwards):
    found = []
    for library in (theirs, keras):
        L = library.layers
        table = L.Embedding(6, 3, mask_zero=True)
        layer = getattr(L, kind)(4, return_sequences=True, return_state=True, go_backwards=backwards)
        layer(table(TOKENS))
        table.set_weights([np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)])
        generator = np.random.default_rng(1)
        layer.set_weights([generator.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
        found.append(parts(layer(table(TOKENS))))
    for part, other in zip(*found, strict=True):
        assert_allclose(part, other, rtol=1e-4, atol=1e-5)


def test_a_mask_reaches_means_attention_and_losses():
    found = []
    for library in (theirs, keras):
        L = library.layers
        table = L.Embedding(6, 4, mask_zero=True)
        table(TOKENS)
        table.set_weights([np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)])
        heads = L.MultiHeadAttention(2, 3)
        x = table(TOKENS)
        heads(x, x)
        generator = np.random.default_rng(1)
        heads.set_weights([generator.normal(size=w.shape).astype(np.float32) for w in heads.get_weights()])
        mean = L.GlobalAveragePooling1D()(table(TOKENS))
        x = table(TOKENS)
        y = table(TOKENS)
        found.append(parts([mean, heads(x, x), L.Attention()([y, y])]))
    for part, other in zip(*found, strict=True):
        real = TOKENS[..., None] != 0 if part.ndim == 3 else True
        assert_allclose(part * real, other * real, rtol=1e-4, atol=1e-5)


TARGETS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], np.float32)
SHARES = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]], np.float32)
LOSSES = [
    ("MeanSquaredError", {}), ("MeanAbsoluteError", {}), ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}), ("Huber", {"delta": 0.3}), ("LogCosh", {}), ("Hinge", {}),
    ("SquaredHinge", {}), ("CategoricalHinge", {}), ("KLDivergence", {}), ("Poisson", {}),
    ("CosineSimilarity", {}), ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}), ("BinaryFocalCrossentropy", {}),
    ("CategoricalCrossentropy", {}), ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    ("CategoricalCrossentropy", {"from_logits": True}),
    ("MeanSquaredError", {"reduction": "sum"}), ("MeanSquaredError", {"reduction": None}),
    ("CategoricalFocalCrossentropy", {}), ("CategoricalFocalCrossentropy", {"from_logits": True}),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}), ("Dice", {}), ("Dice", {"axis": -1}),
    ("Tversky", {"alpha": 0.2, "beta": 0.7}), ("Tversky", {"axis": (0, 1)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_a_loss_is_keras_loss(name, options):
    weights = np.array([1.0, 0.5, 0.0, 2.0], np.float32)
    loss, own = getattr(theirs.losses, name)(**options), getattr(keras.losses, name)(**options)
    assert own.name == loss.name
    assert_allclose(array(own(TARGETS, SHARES)), array(loss(TARGETS, SHARES)), rtol=2e-5, atol=1e-6)
    assert_allclose(
        array(own(TARGETS, SHARES, weights)), array(loss(TARGETS, SHARES, weights)), rtol=2e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "targets", "shape", "options"),
    [
        ("CategoricalGeneralizedCrossEntropy", [1, 0, 2, 1], (4, 3), {}),
        ("CategoricalGeneralizedCrossEntropy", [1, 0, 2, 1], (4, 3), {"q": 0.9}),
        ("Circle", [1, 0, 1, 0, 2, 2], (6, 4), {}),
        ("Circle", [1, 0, 1, 0, 2, 2], (6, 4), {"gamma": 2.0, "margin": 0.1, "remove_diagonal": False}),
        ("CTC", [[1, 2, 2], [3, 0, 0]], (2, 7, 4), {}),
    ],
)
def test_a_loss_of_numbers_is_keras_loss(name, targets, shape, options):
    """Of classes, of embeddings, of sequences: values and gradients."""
    import torch

    import einkorn

    output = np.random.default_rng(3).uniform(0.1, 1, shape).astype(np.float32)
    length = np.sqrt((output**2).sum(-1, keepdims=True))
    output /= length if name == "Circle" else output.sum(-1, keepdims=True)
    loss, own = getattr(theirs.losses, name)(**options), getattr(keras.losses, name)(**options)
    assert own.name == loss.name
    target = np.array(targets)
    here, there = einkorn.tensor(output, requires_grad=True), torch.tensor(output, requires_grad=True)
    value, wanted = own(target, here), loss(target, there)
    assert_allclose(array(value), array(wanted), rtol=2e-5)
    value.backward()
    wanted.backward()
    assert_allclose(array(here.grad), array(there.grad), rtol=2e-4, atol=1e-5)


ACTIVATIONS = [
    "glu", "hard_shrink", "hard_swish", "soft_shrink", "sparse_plus", "sparse_sigmoid", "squareplus",
    "tanh_shrink",
]  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_keras_activation(name):
    import torch

    import einkorn

    x = np.random.default_rng(1).normal(0, 1.5, (3, 4, 6)).astype(np.float32)
    here, there = einkorn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, wanted = getattr(keras.activations, name)(here), getattr(theirs.activations, name)(there)
    assert_allclose(array(out), array(wanted), rtol=1e-5, atol=1e-6)
    (out * out).sum().backward()
    (wanted * wanted).sum().backward()
    assert_allclose(array(here.grad), array(there.grad), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"from_logits": True}, {"ignore_class": 1}])
def test_the_loss_of_class_numbers_is_keras_loss(options):
    numbers = TARGETS.argmax(-1)
    loss = theirs.losses.SparseCategoricalCrossentropy(**options)
    own = keras.losses.SparseCategoricalCrossentropy(**options)
    assert_allclose(array(own(numbers, SHARES)), array(loss(numbers, SHARES)), rtol=2e-5)
    steps = np.stack([SHARES, SHARES[::-1]])  # classes are along the last axis
    targets = np.stack([numbers, numbers])
    assert_allclose(array(own(targets, steps)), array(loss(targets, steps)), rtol=2e-5)


METRICS = [
    ("BinaryAccuracy", {}),
    ("CategoricalAccuracy", {}),
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("MeanSquaredError", {}),
    ("RootMeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("CosineSimilarity", {}),
    ("KLDivergence", {}),
    ("BinaryCrossentropy", {}),
    ("CategoricalCrossentropy", {}),
    ("Precision", {}),
    ("Precision", {"top_k": 1}),
    ("Recall", {"class_id": 1}),
    ("Precision", {"thresholds": [0.2, 0.6]}),
    ("TruePositives", {}),
    ("FalseNegatives", {}),
    ("F1Score", {}),
    ("F1Score", {"average": "macro"}),
    ("F1Score", {"average": "weighted", "threshold": 0.4}),
    ("LogCoshError", {}),
    ("FBetaScore", {"beta": 2.0}),
    ("FBetaScore", {"average": "micro", "beta": 0.5, "threshold": 0.3}),
    ("SensitivityAtSpecificity", {"specificity": 0.6}),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 7}),
    ("PrecisionAtRecall", {"recall": 0.5, "class_id": 0}),
    ("RecallAtPrecision", {"precision": 0.7}),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 2]}),
    ("OneHotMeanIoU", {"num_classes": 3}),
    ("PearsonCorrelation", {}),
    ("ConcordanceCorrelation", {}),
    ("ConcordanceCorrelation", {"axis": 0}),
    ("R2Score", {}),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ("R2Score", {"class_aggregation": None}),
]


@pytest.mark.parametrize(("name", "options"), METRICS)
def test_a_metric_is_keras_metric(name, options):
    metric, own = getattr(theirs.metrics, name)(**options), getattr(keras.metrics, name)(**options)
    assert own.name == metric.name
    for each in (metric, own):
        each.update_state(TARGETS[:3], SHARES[:3])
        each.update_state(TARGETS[3:], SHARES[3:])
    assert_allclose(array(own.result()), array(metric.result()), rtol=1e-5)
    if name != "F1Score":
        return
    own.reset_state()
    own.update_state(TARGETS, SHARES, [1.0, 2.0, 0.0, 1.0])
    metric.reset_state()
    metric.update_state(TARGETS, SHARES, np.array([1.0, 2.0, 0.0, 1.0], np.float32))
    assert_allclose(array(own.result()), array(metric.result()), rtol=1e-5)


def test_sparsemax_and_images_augmented_by_hand():
    """Shares sum to 1; layers that augment do so when called by hand, and not in predict or if told so."""
    import einkorn

    x = np.random.default_rng(1).normal(0, 1.5, (3, 4, 6)).astype(np.float32)
    shares = array(keras.activations.sparsemax(x, axis=1))
    assert_allclose(shares.sum(1), 1, rtol=1e-6)
    assert (shares == 0).any()
    assert (shares.argmax(1) == x.argmax(1)).all()

    images = np.arange(2 * 8 * 9 * 3, dtype=np.float32).reshape(2, 8, 9, 3)
    for first in (False, True):
        given = images.transpose(0, 3, 1, 2) if first else images
        order = "channels_first" if first else "channels_last"
        layers = [keras.layers.RandomFlip("vertical", data_format=order)]
        model = keras.Sequential([keras.layers.Rescaling(1.0), *layers])
        einkorn.manual_seed(0)
        seen = {float(array(model(given))[0, 0, 0, 0]) for _ in range(20)}
        assert len(seen) == 2
        for still in (
            model(given, training=False),
            model.predict(given, verbose=0),
            layers[0](given, training=False),
        ):
            assert_allclose(array(still), given)
        crop = keras.layers.RandomCrop(3, 6, data_format=order)
        window = array(crop(given))
        sizes = (2, 3, 3, 6) if first else (2, 3, 6, 3)
        assert window.shape == array(crop(given, training=False)).shape == sizes
        corner = window[0].min()
        down, across = divmod(int(corner) // 3, 9)
        places = (slice(None), slice(None), slice(down, down + 3), slice(across, across + 6))
        wanted = images.transpose(0, 3, 1, 2)[places]
        assert_allclose(window, wanted if first else wanted.transpose(0, 2, 3, 1))


# What is missed on purpose: each name says what to use instead.
REFUSED = ("layers", "optimizers", "callbacks", "initializers")
TYPED = (
    "layers", "losses", "metrics", "optimizers", "callbacks", "initializers", "regularizers", "constraints",
    "activations",
)  # fmt: skip


@pytest.mark.parametrize("module", TYPED)
def test_what_keras_users_type_is_there_or_says_what_to_use(module):
    """Every name; and an argument without its name is the one that Keras has in that place."""
    import inspect

    def places(function):
        call = function.__init__ if inspect.isclass(function) else function
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        listed = [p for p in inspect.signature(call).parameters.values() if p.kind in kinds]
        return [p.name for p in listed][inspect.isclass(function) :]

    wanted, own = getattr(theirs, module), getattr(keras, module)
    for name in dir(wanted):
        theirs_here = getattr(wanted, name)
        if (
            name.startswith("_")
            or not callable(theirs_here)
            or name in ("serialize", "deserialize", "Optimizer")
        ):
            continue
        if not hasattr(own, name):
            assert module in REFUSED, name
            with pytest.raises(AttributeError, match=f"has no attribute '{name}': "):
                getattr(own, name)
            continue
        here, there = places(getattr(own, name)), places(theirs_here)
        assert here == there[: len(here)], name
