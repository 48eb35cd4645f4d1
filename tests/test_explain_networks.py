"""Seeing inside: each method held to a number, on a network that finds a square."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import explain, models, nn, ops, optim
from einkorn.errors import ArgumentError, ShapeError

SIDE = 24


def scenes(count, seed):
    """A bright square in noise: red in class 1, green in class 0; and where it lies."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (count, 3, SIDE, SIDE)).astype(np.float32)
    y, places = rng.integers(0, 2, count), rng.integers(2, SIDE - 10, (count, 2))
    for image, label, (top, left) in zip(x, y, places, strict=True):
        image[1 - label, top : top + 8, left : left + 8] += 1
    return x, y, places


class Small(nn.Module):
    """Two convolutions and the mean of their maps."""

    head = "fc"

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(ops.mean(self.features(x), (2, 3)))


@pytest.fixture(scope="module")
def trained():
    einkorn.manual_seed(0)
    model = Small()
    x, y, _ = scenes(256, 0)
    model.compile(optim.Adam(model.parameters(), lr=0.02), "cross_entropy", metrics=["accuracy"])
    assert model.fit(x, y, epochs=12, batch_size=32, verbose=0).history["accuracy"][-1] > 0.98
    return model


def share_inside(maps, places):
    """Of the positive part of each map, what lies on the square."""
    maps = np.maximum(maps, 0)
    return np.array(
        [m[t : t + 8, a : a + 8].sum() / (m.sum() + 1e-12) for m, (t, a) in zip(maps, places, strict=True)]
    )


def test_activation_maps_lie_on_the_square(trained):
    x, y, places = scenes(12, 1)
    for method in (explain.gradcam, explain.gradcam_plus_plus, explain.cam):
        maps = method(trained, x, y, "features.4")
        assert maps.shape == (12, SIDE, SIDE)
        peaks = [np.unravel_index(m.argmax(), m.shape) for m in maps]
        on = [
            t - 2 <= p[0] < t + 10 and a - 2 <= p[1] < a + 10 for p, (t, a) in zip(peaks, places, strict=True)
        ]
        assert np.mean(on) > 0.9, method.__name__
    raw = explain.cam(trained, x, y, "features.4", resize=False)
    scores = trained.predict(x)[np.arange(12), y]
    assert_allclose(raw.mean((1, 2)) + trained.fc.bias.numpy()[y], scores, rtol=1e-4, atol=1e-4)


def test_gradcam_is_the_formula():
    """Over a linear layer on the means, Grad-CAM is the positive part of CAM over the number of places."""
    einkorn.manual_seed(1)
    model = Small().double()
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8))
    found = explain.gradcam(model, x, 1, "features.4", resize=False)
    wanted = np.maximum(explain.cam(model, x, 1, "features.4", resize=False), 0) / 16
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_the_score(trained):
    model = Small().double()
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8))
    g = explain.gradients(model, x, 1)
    moved = x.copy()
    moved[0, 1, 3, 4] += 1e-6
    step = (model.predict(moved) - model.predict(x))[0, 1] / 1e-6
    assert_allclose(g[0, 1, 3, 4], step, rtol=1e-4, atol=1e-8)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert model.training
    images, y, places = scenes(8, 2)
    for method in (explain.guided_backpropagation, explain.integrated_gradients):
        assert share_inside(np.abs(method(trained, images, y)).sum(1), places).mean() > 0.22, (
            method.__name__
        )  # by chance it were 0.11


def test_noise_is_averaged_out(trained):
    x, y, _ = scenes(2, 2)
    assert_allclose(explain.smoothgrad(trained, x, y, samples=2, noise=0.0), explain.gradients(trained, x, y))

    def apart(samples):
        one, other = (
            explain.smoothgrad(trained, x, y, samples=samples, noise=0.3, seed=seed) for seed in (0, 1)
        )
        return np.abs(one - other).mean()

    assert apart(16) < 0.5 * apart(1)


def test_guided_gradients_pass_where_both_are_positive():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    model[1].weight = nn.Parameter(np.array([[1.0, 0], [0, 1]], np.float32))
    model[3].weight = nn.Parameter(np.array([[1.0, -1], [2, 3]], np.float32))
    x = np.array([1.0, -1], np.float32).reshape(1, 2, 1, 1)
    assert explain.gradients(model, x, 0).ravel().tolist() == [1, 0]
    assert explain.gradients(model, -x, 0).ravel().tolist() == [0, -1]
    assert explain.guided_backpropagation(model, -x, 0).ravel().tolist() == [0, 0]
    assert explain.guided_backpropagation(model, x, 1).ravel().tolist() == [2, 0]
    assert explain.deconvnet(model, x, 1).ravel().tolist() == [2, 3]
    assert not any(module._hooked for module in model.modules())


def test_integrated_gradients_add_up(trained):
    x, y, _ = scenes(3, 3)
    found = explain.integrated_gradients(trained, x, y, steps=100).sum((1, 2, 3))
    rows = np.arange(3)
    wanted = trained.predict(x)[rows, y] - trained.predict(np.zeros_like(x))[rows, y]
    assert_allclose(found, wanted, rtol=0.02)


def test_covering_the_square_costs_most(trained):
    x, y, places = scenes(3, 4)
    maps = explain.occlusion(trained, x, y, window=6, stride=3)
    assert share_inside(maps, places).min() > 0.4  # by chance it were 0.11


def test_a_faithful_map_deletes_early_and_inserts_early(trained):
    x, y, _ = scenes(6, 5)
    maps = np.abs(explain.integrated_gradients(trained, x, y)).sum(1)
    noise = np.random.default_rng(0).normal(size=maps.shape)
    assert explain.deletion_curve(trained, x, maps, y).shape == (6, 21)
    assert (
        explain.insertion_curve(trained, x, maps, y).mean()
        > explain.insertion_curve(trained, x, noise, y).mean()
    )
    assert (
        explain.deletion_curve(trained, x, maps, y).mean()
        < explain.deletion_curve(trained, x, noise, y).mean()
    )


def test_small_changes_fool(trained):
    x, y, _ = scenes(16, 6)
    one = explain.fgsm(trained, x, y, 0.02)
    assert np.abs(one - x).max() <= 0.02 + 1e-6

    def margin(images):
        scores = trained.predict(images)
        return float((scores[np.arange(16), y] - scores[np.arange(16), 1 - y]).mean())

    assert margin(one) < margin(x)
    many = explain.pgd(trained, x, y, 0.6, steps=20, clip=(-1.0, 2.0))
    assert (trained.predict(many).argmax(1) == y).mean() < 0.2
    assert many.min() >= -1
    assert margin(explain.pgd(trained, x, 1 - y, 0.02, targeted=True)) < margin(x)


def test_an_image_is_made_for_a_class(trained):
    images = explain.activation_maximization(trained, [0, 1], (3, SIDE, SIDE), steps=30, blur=0.1, jitter=1)
    scores = ops.softmax(trained.predict(images), -1)
    assert scores[0, 0] > 0.95
    assert scores[1, 1] > 0.95


def test_networks_of_the_registry_are_taken():
    model = models.resnet20(num_classes=4)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    assert explain.gradcam(model, x).shape == (2, 32, 32)
    assert explain.cam(model, x, 1, resize=False).shape == (2, 8, 8)
    plain, guided = explain.gradients(model, x, 1), explain.guided_backpropagation(model, x, 1)
    assert plain.shape == guided.shape == x.shape
    assert not np.allclose(plain, guided)
    assert_allclose(explain.gradients(model, x, 1), plain)


def test_what_does_not_fit_is_refused(trained):
    x, _, _ = scenes(1, 0)
    with pytest.raises(ArgumentError, match="target is 2, expected classes from 0 to 1"):
        explain.gradients(trained, x, 2)
    with pytest.raises(ShapeError, match=r"x has shape \(3, 24, 24\)"):
        explain.gradcam(trained, x[0])
    with pytest.raises(ShapeError, match=r"fgsm: x has shape \(3, 24, 24\)"):
        explain.fgsm(trained, np.zeros((3, 24, 24)), 0, 0.1)
    with pytest.raises(ArgumentError, match="layer is 'middle'"):
        explain.gradcam(trained, x, layer="middle")
    with pytest.raises(ShapeError, match=r"the layer gave \(1, 2\)"):
        explain.gradcam(trained, x, layer="fc")
    with pytest.raises(ArgumentError, match="no ReLU layers"):
        explain.deconvnet(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2)), x)
    with pytest.raises(ArgumentError, match="stride 9"):
        explain.occlusion(trained, x, stride=9)
    with pytest.raises(ShapeError, match="maps has shape"):
        explain.deletion_curve(trained, x, x)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, x: explain.gradients(None, x), "model is NoneType, expected a module of einkorn"),
        (lambda m, x: explain.smoothgrad(m, x, samples=2.5), "samples is 2.5"),
        (lambda m, x: explain.smoothgrad(m, x, noise=np.nan), "noise is nan, expected a number from 0"),
        (lambda m, x: explain.integrated_gradients(m, x, baseline=np.zeros((2, 2))), r"baseline is \(2, 2\)"),
        (lambda m, x: explain.integrated_gradients(m, x, steps="9"), "steps is '9'"),
        (lambda m, x: explain.occlusion(m, x, window=2.5), "window is 2.5"),
        (lambda m, x: explain.deletion_curve(m, x, np.full((1, SIDE, SIDE), np.nan)), "maps has NaN"),
        (lambda m, x: explain.pgd(m, x, 1, "a"), "eps is 'a', expected a number"),
        (lambda m, x: explain.pgd(m, x, 1, 0.1, step=-1.0), "step is -1.0, expected a number above 0"),
        (lambda m, x: explain.fgsm(m, x, 1, 0.1, clip=3), r"clip is 3, expected \(low, high\)"),
        (lambda m, x: explain.fgsm(m, x, 1, 0.1, clip=(1, 0)), "with low at most high"),
        (lambda m, x: explain.fgsm(m, x, 1, 0.1, clip=("a", 0)), "clip is 'a'"),
        (lambda m, x: explain.fooling_image(m, x, 1, rate=np.inf), "rate is inf"),
        (
            lambda m, x: explain.activation_maximization(m, 1, (3, 8, 8), start=np.zeros(5)),
            r"start is \(5,\)",
        ),
        (lambda m, x: explain.activation_maximization(m, 1, (3, 8, 8), rate=np.nan), "rate is nan"),
        (lambda m, x: explain.activation_maximization(m, 1, (3, 8, 8), jitter=1.5), "jitter is 1.5"),
        (
            lambda m, x: explain.activation_maximization(m, 1, (3, 8, 8), blur=2),
            "expected shares from 0 to 1",
        ),
        (lambda m, x: explain.deep_dream(m, x, None), "layers is None, expected a layer, its path"),
        (lambda m, x: explain.deep_dream(m, x, "features", scale=1), "scale is 1, expected a number above 1"),
        (lambda m, x: explain.texture_synthesis(m, x, []), r"layers is \[\]"),
        (lambda m, x: explain.feature_inversion(m, x, "features", clip=(0, np.nan)), "with low at most high"),
        (lambda m, x: explain.total_variation(x[0]), r"x has shape \(3, 24, 24\)"),
    ],
)
def test_arguments_of_other_kinds_are_refused_by_name(trained, call, said):
    with pytest.raises((ArgumentError, ShapeError), match=said):
        call(trained, scenes(1, 5)[0])


def test_limits_of_pixels_may_differ_by_channel(trained):
    x = scenes(2, 5)[0]
    low, high = np.array([0.0, 0.1, 0.2])[:, None, None], 0.5
    for found in (
        explain.fgsm(trained, x, 1, 0.1, clip=(low, high)),
        explain.deep_dream(trained, x, "features", octaves=2, steps=1, clip=(low, high)),
        explain.feature_inversion(trained, x, "features", steps=2, clip=(low, high)).images,
    ):
        assert (found >= low - 1e-6).all()
        assert (found <= high + 1e-6).all()


def test_what_was_found_is_drawn():
    pytest.importorskip("matplotlib")
    picture = np.zeros((8, 9, 3), np.uint8)
    assert len(explain.plot_heatmap(picture, np.ones((8, 9))).images) == 2
    axes = explain.plot_gradient(np.ones((3, 8, 9)))
    assert axes.images[0].get_array().shape == (8, 9)
    with pytest.raises(ShapeError, match="heatmap has shape"):
        explain.plot_heatmap(picture, np.ones((9, 8)))
