"""Frozen stages, rates by depth, features of trained networks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import models, nn, optim
from einkorn.errors import ArgumentError


def test_stages_go_from_the_input_on():
    assert [name for name, _ in models.stages(models.resnet20())] == [
        "conv1",
        "bn1",
        "layer1",
        "layer2",
        "layer3",
        "linear",
    ]
    names = [name for name, _ in models.stages(models.squeezenet1_1(num_classes=2))]
    assert names[:2] == ["features.0", "features.3"]
    assert names[-1] == "classifier"


def test_frozen_stages_do_not_change():
    einkorn.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.resnet20(num_classes=3)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    assert models.freeze(model, "layer2") is model
    optimizer = optim.SGD(models.discriminative_rates(model, 0.1, 0.5), lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.1]
    model.compile(optimizer, "cross_entropy")
    x, y = rng.normal(size=(16, 3, 8, 8)).astype(np.float32), rng.integers(0, 3, 16)
    model.fit(x, y, epochs=1, batch_size=8, verbose=0)
    for name, array in model.state_dict().items():
        learned = name.startswith(("layer3", "linear"))
        assert np.array_equal(array, before[name]) != learned, name
    models.unfreeze(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.layer1.training
    models.freeze(model)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "linear.weight",
        "linear.bias",
    ]


def test_features_are_what_the_last_layer_is_given():
    model = models.resnet20()
    x = np.random.default_rng(0).normal(size=(10, 3, 16, 16)).astype(np.float32)
    features = models.extract_features(model, x, batch_size=4)
    assert features.shape == (10, 64)
    scores = features @ model.linear.weight.numpy().T + model.linear.bias.numpy()
    assert_allclose(model.predict(x), scores, rtol=1e-4, atol=1e-5)
    assert models.extract_features(model, x, "layer2").shape == (10, 16, 16, 16)
    assert not model.linear._hooked


def test_what_does_not_fit_is_refused():
    model = models.resnet20()
    with pytest.raises(ArgumentError, match="until is 'layer9', expected one of conv1, bn1"):
        models.freeze(model, "layer9")
    with pytest.raises(ArgumentError, match="factor is 2"):
        models.discriminative_rates(model, 0.1, 2)
    with pytest.raises(ArgumentError, match="no parameter of the model learns"):
        models.discriminative_rates(model.requires_grad_(False), 0.1)
    with pytest.raises(ArgumentError, match="layer is None"):
        models.extract_features(nn.Linear(2, 2), np.zeros((1, 2), np.float32))
    with pytest.raises(ArgumentError, match="layer is 'x'"):
        models.extract_features(model, np.zeros((1, 3, 8, 8), np.float32), "x")
