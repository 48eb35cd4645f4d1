"""The range test, the flow of gradients, and pictures."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_problems import blobs, classifier

import einkorn
from einkorn import nn, optim, training
from einkorn.errors import ArgumentError


def test_the_range_test_finds_where_the_loss_falls_and_leaves_no_trace():
    x, y = blobs(200)
    model = classifier()
    model.fit(x, y, epochs=1, verbose=0)
    before = [model.get_weights(), model.optimizer.state_dict(), einkorn.random.get_state()]
    found = training.lr_range_test(model, x, y, 16, 1e-5, 10.0, 80)
    assert len(found.rates) == len(found.losses) <= 80
    assert found.rates[0] == pytest.approx(1e-5)
    assert np.diff(np.log(found.rates)) == pytest.approx(np.full(len(found.rates) - 1, np.log(1e6) / 79))
    for array, kept in zip(model.get_weights(), before[0], strict=True):
        assert_array_equal(array, kept)
    assert model.optimizer.state_dict()["param_groups"] == before[1]["param_groups"]
    assert_array_equal(model.optimizer.state_dict()["state"][0]["exp_avg"], before[1]["state"][0]["exp_avg"])
    assert einkorn.random.get_state() == before[2]
    plain = nn.Linear(2, 3)
    plain.compile(optim.SGD(plain.parameters(), lr=0.1))
    found = training.lr_range_test(plain, x * 10, y, 32, 1e-6, 1e3, 100)
    assert len(found.rates) < 100  # it diverges, and the test ends
    assert 1e-6 < found.suggestion < found.rates[found.smoothed.argmin()]
    trained, untouched = (nn.Linear(2, 3) for _ in range(2))
    trained.load_state_dict(plain.state_dict())
    untouched.load_state_dict(plain.state_dict())
    trained.compile(optim.SGD(trained.parameters(), lr=found.suggestion))
    untouched.compile(optim.SGD(untouched.parameters(), lr=found.suggestion))
    trained.fit(x * 10, y, epochs=3, verbose=0)
    assert trained.evaluate(x * 10, y) < untouched.evaluate(x * 10, y)
    with pytest.raises(ArgumentError, match="min_lr is 1 and max_lr"):
        training.lr_range_test(plain, x, y, min_lr=1, max_lr=0.1)


def deep(layer, count=8):
    einkorn.manual_seed(0)
    parts = [nn.Linear(2, 16)]
    for _ in range(count):
        parts += [layer(), nn.Linear(16, 16)]
    model = nn.Sequential(*parts, nn.Linear(16, 3))
    model.compile("sgd")
    return model


def test_the_flow_shows_vanishing_gradients_and_dead_units():
    x, y = blobs(64)
    model = deep(nn.Sigmoid)
    kept = model.get_weights()
    flow = training.gradient_flow(model, x, y)
    assert flow["0"].gradient_mean < 1e-4 * flow["17"].gradient_mean
    for array, before in zip(model.get_weights(), kept, strict=True):
        assert_array_equal(array, before)
    assert all(p.grad is None for p in model.parameters())
    plain = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    plain.compile("sgd")
    plain[0].weight.data[...] = 0
    plain[0].bias.data[...] = [1, -1, -1, 2]
    flow = training.gradient_flow(plain, x, y)
    assert flow.dead_relus == flow["1"].dead_units == 2
    assert flow["1"].units == 4
    assert flow["1"].zero_share == 0.5
    assert flow.loss == pytest.approx(plain.evaluate(x, y), rel=1e-5)
    plain.zero_grad()
    loss = einkorn.ops.cross_entropy(plain(x), y)
    loss.backward()
    grads = [plain[0].weight.grad.numpy(), plain[0].bias.grad.numpy()]
    whole = np.concatenate([g.ravel() for g in grads])
    assert flow["0"].gradient_norm == pytest.approx(np.linalg.norm(whole), rel=1e-5)
    assert flow["0"].gradient_mean == pytest.approx(abs(whole).mean(), rel=1e-5)
    assert "1 (ReLU)" in str(flow)
    fused = nn.Sequential(nn.Linear(2, 4, activation="relu"), nn.Linear(4, 3))
    fused.load_state_dict({f"{int(k[0]) // 2}{k[1:]}": v for k, v in plain.state_dict().items()})
    fused.compile("sgd")
    assert training.gradient_flow(fused, x, y).dead_relus == 2


def test_pictures_show_the_numbers():
    pytest.importorskip("matplotlib")
    from einkorn.training import plots

    x, y = blobs(60)
    model = classifier()
    history = model.fit(x, y, epochs=3, validation_data=(x, y), validation_freq=2, verbose=0)
    axes = plots.plot_history(history, "accuracy")
    assert [line.get_label() for line in axes.lines] == ["training", "validation"]
    assert_array_equal(axes.lines[0].get_ydata(), history.history["accuracy"])
    assert_array_equal(axes.lines[1].get_xdata(), [2])
    with pytest.raises(ArgumentError, match="figure is 'f1', expected one of loss"):
        plots.plot_history(history, "f1")
    scores = model.predict(x)
    axes = plots.plot_confusion_matrix(y, scores, ["a", "b", "c"])
    shown = np.array(axes.images[0].get_array())
    assert_array_equal(shown, einkorn.metrics.ConfusionMatrix(3)(y, scores))
    assert [text.get_text() for text in axes.texts][:3] == [f"{value:g}" for value in shown[0]]
    axes = plots.plot_confusion_matrix(y, scores.argmax(1), normalize=True)
    assert np.array(axes.images[0].get_array()).sum(1) == pytest.approx(np.ones(3))
    axes = plots.plot_roc(y, scores)
    assert len(axes.lines) == 4
    axes = plots.plot_roc(y == 1, scores[:, 1])
    assert f"area {einkorn.metrics.AUC()(y == 1, scores[:, 1]):.3f}" in axes.lines[0].get_label()
    found = training.lr_range_test(model, x, y, steps=20)
    assert_array_equal(plots.plot_lr_range_test(found).lines[0].get_ydata(), found.losses)
    flow = training.gradient_flow(model, x, y)
    axes = plots.plot_gradient_flow(flow)
    assert axes.lines[1].get_ydata() == pytest.approx([layer.gradient_mean for layer in flow])
    assert plots.plot_weights(model, 20, axes) is axes
    axes = plots.plot_activations(model, x)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0 (Linear)", "1 (Linear)"]
