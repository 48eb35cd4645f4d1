"""The networks that Keras has too: its outputs and gradients, through its own weight files."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import models, nn
from einkorn.models.keras_weights import read_keras

os.environ.setdefault("KERAS_BACKEND", "torch")


def network_of_keras(keras, theirs, size):
    """Keras's network of ten classes with random weights, statistics among them, and the generator."""
    keras.utils.set_random_seed(0)
    options = {"weights": None, "classes": 10, "input_shape": (size, size, 3), "classifier_activation": None}
    network = getattr(keras.applications, theirs)(**options)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return network, rng


@pytest.mark.parametrize(
    ("name", "theirs", "size"),
    [
        ("resnet50", "ResNet50", 48),
        ("resnet50_v2", "ResNet50V2", 48),
        ("densenet121", "DenseNet121", 48),
        ("mobilenet", "MobileNet", 48),
        ("mobilenet_v2", "MobileNetV2", 48),
        ("xception", "Xception", 71),
        ("inception_v3", "InceptionV3", 75),
        ("inception_resnet_v2", "InceptionResNetV2", 75),
    ],
)
def test_outputs_are_those_of_keras(name, theirs, size, tmp_path):
    keras = pytest.importorskip("keras")
    pytest.importorskip("h5py")
    network, rng = network_of_keras(keras, theirs, size)
    network.save_weights(tmp_path / "w.weights.h5")
    own = {"resnet50_v2", "mobilenet", "xception", "inception_resnet_v2"}
    more = {} if name in own else {"keras": True}
    ours = models.get_model(name, num_classes=10, weights=tmp_path / "w.weights.h5", **more).eval()
    assert not ours.weights_report.missing
    assert not ours.weights_report.unexpected
    x = rng.normal(size=(2, 3, size, size)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(network(x.transpose(0, 2, 3, 1), training=False))
    with einkorn.no_grad():
        assert_allclose(ours(x).numpy(), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert sorted(
        (norm.eps, round(1 - norm.momentum, 6)) for norm in ours.modules() if isinstance(norm, nn.BatchNorm2d)
    ) == sorted((norm.epsilon, norm.momentum) for norm in norms)


@pytest.fixture
def keras_in_float64(monkeypatch):
    """Keras whose batch norm and means compute in float64: its promotion halves that but for TensorFlow."""
    keras = pytest.importorskip("keras")
    pytest.importorskip("h5py")
    monkeypatch.setitem(keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield keras
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def test_a_training_step_is_that_of_keras(tmp_path, keras_in_float64):
    keras, torch = keras_in_float64, pytest.importorskip("torch")
    network, rng = network_of_keras(keras, "MobileNet", 48)
    file = tmp_path / "w.weights.h5"
    network.save_weights(file)
    ours = models.mobilenet(num_classes=10).double()
    ours.load_state_dict(read_keras(ours, file), strict=False)  # without a rounding to float32
    network.get_layer("dropout").rate = ours.get_submodule("dropout").p = 0.0
    x, y = rng.normal(size=(4, 3, 48, 48)), rng.integers(0, 10, 4)
    scores = network(torch.tensor(x.transpose(0, 2, 3, 1)), training=True)
    torch.nn.functional.cross_entropy(scores, torch.tensor(y)).backward()
    wanted = scores.detach().numpy()
    out = ours(einkorn.Tensor(x))
    einkorn.ops.cross_entropy(out, y).backward()
    assert_allclose(out.numpy(), wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    for weight in network.trainable_weights:  # the gradients in the weights' places get our names and layouts
        weight.assign(weight.value.grad.clone())
    network.save_weights(file)
    wanted = read_keras(ours, file)
    for path, parameter in ours.named_parameters():
        atol = 1e-9 * np.abs(wanted[path]).max()
        assert_allclose(parameter.grad.numpy(), wanted[path], rtol=0, atol=atol, err_msg=path)
    for path, array in ours.state_dict().items():
        if path.endswith("running_mean"):  # of variance Keras keeps the biased one, torch the unbiased one
            assert_allclose(array, wanted[path], rtol=0, atol=1e-9 * np.abs(wanted[path]).max(), err_msg=path)
