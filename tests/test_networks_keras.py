"""The networks that Keras has too: its outputs, through its own weight files."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import models

os.environ.setdefault("KERAS_BACKEND", "torch")


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
    keras.utils.set_random_seed(0)
    options = {"weights": None, "classes": 10, "input_shape": (size, size, 3), "classifier_activation": None}
    network = getattr(keras.applications, theirs)(**options)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
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
