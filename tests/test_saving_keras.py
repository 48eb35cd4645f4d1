"""Descriptions of models beside Keras' own: configurations, and JSON from one library to the other."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_keras_parity import LAYERS

from einkorn import keras

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras", reason="Keras is not installed")


def _rows(shape):
    return np.random.default_rng(3).random((3, *shape), np.float32)


def _plain(value):
    """A configuration without what says nothing, and with types as their names."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    if isinstance(value, dict):
        return {
            key: _plain(part)
            for key, part in value.items()
            if key not in ("build_config", "name", "registered_name", "zero_output_for_mask")
            and part not in (None, False)
        }
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


# Arguments that both libraries take in more than one form.
OTHER = {
    "pad": {"padding"},
    "heads causal": {"output_shape"},
    "dot": {"axes"},
    "normalization": {"axis"},
    "rnn of cells": {"cell"},
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_configuration_is_that_of_keras(name):
    make = LAYERS[name][0]
    own, other = _plain(make(keras.layers).get_config()), _plain(make(theirs.layers).get_config())
    shared = {key for key in own if key in other} - OTHER.get(name, set())
    assert {key: own[key] for key in shared} == {key: other[key] for key in shared}
    assert set(other) - set(own) <= {"quantization_config"} | OTHER.get(name, set())


def _image_model(k):
    layers = k.layers
    return k.Sequential(
        [
            k.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer=k.regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_constraint=k.constraints.MaxNorm(3)),
        ]
    )


def _graph_model(k):
    layers = k.layers
    words = k.Input((6,), dtype="int32", name="words")
    table = layers.Embedding(9, 4)(words)
    shared = layers.Dense(4)
    steps = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(table)
    both = layers.Add()([shared(steps), shared(table)])
    heads = layers.MultiHeadAttention(2, 2)(both, both)
    last = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(heads))
    return k.Model(words, [layers.Dense(2, name="first")(last), layers.Dense(1, name="second")(last)])


def _inputs(name):
    return _rows((12, 12, 1)) if name == "images" else np.random.default_rng(0).integers(0, 9, (3, 6))


MODELS = {"images": _image_model, "graph": _graph_model}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("from_keras", [True, False], ids=["from Keras", "to Keras"])
def test_json_goes_from_one_library_to_the_other(name, from_keras):
    first, second = (theirs, keras) if from_keras else (keras, theirs)
    model = MODELS[name](first)
    copy = second.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    x = _inputs(name)
    before, after = (m.predict(x, verbose=0) for m in (model, copy))
    for one, other in zip(*(v if isinstance(v, list) else [v] for v in (before, after)), strict=True):
        assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_operations_on_symbols_come_from_keras():
    a = theirs.Input((4,))
    b = theirs.layers.Dense(4)(a)
    model = theirs.Model(a, theirs.ops.relu(b) * 2.0 + theirs.ops.mean(a, axis=1, keepdims=True))
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    assert_allclose(copy.predict(_rows((4,))), model.predict(_rows((4,)), verbose=0), rtol=1e-5, atol=1e-6)


def test_a_file_of_keras_is_refused_by_name(tmp_path):
    model = _image_model(theirs)
    model.save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match=r"theirs\.keras.*Keras") as refusal:
        keras.models.load_model(tmp_path / "theirs.keras")
    assert "model_from_json" in str(refusal.value)
