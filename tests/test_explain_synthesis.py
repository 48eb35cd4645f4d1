"""Layers and what they see, and images made for them: each method held to a number."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import explain, models, nn, ops
from einkorn.errors import ArgumentError, ShapeError


class Small(nn.Module):
    """Three resolutions, then the mean of the maps."""

    input_shape = (3, 24, 24)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(),
        )
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        return self.fc(ops.mean(self.features(x), (2, 3)))


@pytest.fixture(scope="module")
def small():
    einkorn.manual_seed(0)
    model = Small()
    model.fc.weight.numpy()[...] *= 30  # so that answers differ
    return model


def pictures(count, seed=0, side=24):
    """Smooth random pictures."""
    rough = np.random.default_rng(seed).normal(size=(count, 3, side // 4, side // 4)).astype(np.float32)
    return np.asarray(ops.interpolate(rough, (side, side), mode="bilinear"))


# --- layers ---------------------------------------------------------------------------------------------


def test_filters_and_maps_are_the_layers(small):
    weight = small.features[0].weight.numpy()
    found = explain.filters(small)
    assert found.shape == weight.shape
    assert (found.min((1, 2, 3)), found.max((1, 2, 3))) == (pytest.approx(0), pytest.approx(1))
    assert_allclose(np.corrcoef(found[3].ravel(), weight[3].ravel())[0, 1], 1, rtol=1e-5)
    x = pictures(2)
    maps = explain.layer_activations(small, x, "features.4")
    assert_allclose(maps, small.eval().features[:5](einkorn.tensor(x)).numpy(), rtol=1e-5)
    with pytest.raises(ArgumentError, match="expected a convolution"):
        explain.filters(small, "fc")


@pytest.mark.parametrize(
    ("build", "layer", "side"),
    [
        (lambda: Small(), "features.6", 24),
        (lambda: models.resnet20(num_classes=3), "layer2", 32),
        (lambda: models.squeezenet1_1(num_classes=3), "features.4", 40),
    ],
)
def test_receptive_fields_are_exact(build, layer, side):
    """What lies outside changes nothing; the outermost rows and columns inside do, for some image."""
    einkorn.manual_seed(1)
    model = build().double().eval()
    shape = explain.layer_activations(model, np.zeros((1, 3, side, side)), layer).shape[2:]
    places = np.array([[0, 0], [shape[0] // 2, shape[1] // 3], [shape[0] - 1, shape[1] - 1]])
    boxes = explain.receptive_field(model, layer, places, (3, side, side))
    rng = np.random.default_rng(0)
    for (row, column), (left, top, right, bottom) in zip(places, boxes, strict=True):
        base = rng.normal(size=(6, 3, side, side))

        def answers(images, row=row, column=column):
            return explain.layer_activations(model, images, layer)[:, :, row, column]

        before = answers(base)
        outside = rng.normal(size=base.shape)
        outside[:, :, top:bottom, left:right] = base[:, :, top:bottom, left:right]
        assert_allclose(answers(outside), before, rtol=1e-9, atol=1e-12)
        for edge in (np.s_[..., top, :], np.s_[..., bottom - 1, :], np.s_[..., left], np.s_[..., right - 1]):
            moved = base.copy()
            moved[edge] += rng.normal(0, 5, moved[edge].shape)
            assert np.abs(answers(moved) - before).max() > 1e-9
    if layer == "features.6":
        assert (boxes[1, 2:] - boxes[1, :2]).tolist() == [18, 18]  # 3, pooled 4, 8, pooled 10, 18
    with pytest.raises(ArgumentError, match="do not lie on the layer's output"):
        explain.receptive_field(model, layer, [[0, 99]], (3, side, side))


def test_patches_are_those_that_move_a_unit_most(small):
    x = pictures(20, 1)
    found = explain.maximal_patches(small, x, "features.4", [2, 5], top=3, batch_size=7)
    maps = explain.layer_activations(small, x, "features.4")
    for row, unit in enumerate((2, 5)):
        strongest = maps[:, unit].max((1, 2))
        assert found.images[row].tolist() == np.argsort(-strongest, kind="stable")[:3].tolist()
        assert_allclose(found.values[row], np.sort(strongest)[::-1][:3])
        for image, value, box, patch in zip(
            found.images[row], found.values[row], found.boxes[row], found.patches[row], strict=True
        ):
            left, top, right, bottom = box
            alone = np.zeros((1, 3, 24, 24), np.float32)
            alone[0, :, top:bottom, left:right] = patch
            assert np.array_equal(patch, x[image, :, top:bottom, left:right])
            near = explain.layer_activations(small, alone, "features.4")[0, unit]
            assert np.isclose(near, value, rtol=1e-4, atol=1e-6).any()  # the patch alone moves it as much
    with pytest.raises(ArgumentError, match="top is 21"):
        explain.maximal_patches(small, x, "features.4", top=21)


def test_a_unit_is_sent_back_through_switches():
    """Of one convolution and a pooling, the deconvnet of a unit is its filter at the place of the maximum."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3) - 3
    model[0].weight = nn.Parameter(np.stack([kernel, -kernel])[:, None].copy())
    x = np.zeros((1, 1, 10, 10), np.float32)
    x[0, 0, 4:7, 3:6] = kernel
    for method in (explain.deconvnet, explain.guided_backpropagation):
        found = method(model, x, layer="2", unit=0)[0, 0]
        wanted = np.zeros_like(found)
        wanted[4:7, 3:6] = kernel
        assert_allclose(found, wanted)
    with pytest.raises(ArgumentError, match="expected a layer with it"):
        explain.deconvnet(model, x, unit=0)
    with pytest.raises(ArgumentError, match="expected one of them"):
        explain.deconvnet(model, x, 1, layer="2")


# --- images that are made -------------------------------------------------------------------------------


def test_an_image_moves_a_unit_and_stays_sparse(small):
    found = explain.activation_maximization(
        small, [1, 3], layer="features.3", steps=30, clip_norm=0.3, clip_contribution=0.2, clip=(-2.0, 2.0)
    )
    assert found.shape == (2, 3, 24, 24)
    maps = explain.layer_activations(small, found, "features.3").mean((2, 3))
    begun = explain.activation_maximization(small, [1, 3], layer="features.3", steps=1)
    start = explain.layer_activations(small, begun, "features.3").mean((2, 3))
    assert maps[0, 1] > start[0, 1] + 0.5
    assert maps[1, 3] > start[1, 3] + 0.5
    assert (found == 0).all(1).mean() > 0.25
    assert np.abs(found).max() <= 2


def test_features_are_inverted(small):
    x = pictures(1, 2)
    for optimizer, steps in (("adam", 80), ("lbfgs", 40)):
        found = explain.feature_inversion(small, x, "features.1", steps=steps, optimizer=optimizer)
        assert found.losses[-1] < 0.1 * found.losses[0], optimizer
        ours, theirs = (explain.layer_activations(small, a, "features.1") for a in (found.images, x))
        assert ((ours - theirs) ** 2).sum() < 0.1 * (theirs**2).sum()
    rough, smooth = (
        explain.feature_inversion(small, x, "features.4", variation=v, steps=40).images for v in (0.0, 1e-2)
    )
    assert explain.total_variation(smooth) < 0.7 * explain.total_variation(rough)


def test_textures_have_the_wanted_gram_matrices(small):
    texture = pictures(1, 3)
    found = explain.texture_synthesis(small, texture, shape=(20, 28), steps=60)
    assert found.images.shape == (1, 3, 20, 28)
    assert found.losses[-1] < 0.1 * found.losses[0]
    maps = np.random.default_rng(0).normal(size=(1, 3, 2, 4))
    rows = maps.reshape(3, 8)
    assert_allclose(explain.gram_matrix(maps)[0], rows @ rows.T / 8)
    assert_allclose(
        explain.total_variation(maps),
        (np.diff(maps, axis=2)[..., :-1] ** 2 + np.diff(maps, axis=3)[:, :, :-1] ** 2).sum(),
    )


@pytest.mark.parametrize(("optimizer", "steps"), [("lbfgs", 60), ("adam", 120)])
def test_style_is_transferred(small, optimizer, steps):
    content, style = pictures(1, 4), 2 * pictures(1, 5, 28) + 0.5
    found = explain.style_transfer(
        small, content, style, steps=steps, optimizer=optimizer, content_weight=1e-3
    )

    def distance(image):
        total = 0.0
        for layer in ("features.0", "features.3", "features.6"):
            ours, aim = (
                explain.gram_matrix(explain.layer_activations(small, a, layer)) for a in (image, style)
            )
            total += ((ours - aim) ** 2).sum() / (aim**2).sum()
        return total

    assert distance(found.images) < 0.1 * distance(content)
    ours, theirs = (explain.layer_activations(small, a, "features.3") for a in (found.images, content))
    other = explain.layer_activations(small, pictures(1, 6), "features.3")
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > np.corrcoef(other.ravel(), theirs.ravel())[0, 1]
    with pytest.raises(ShapeError, match="1 and 2 images, expected one of each"):
        explain.style_transfer(small, content, pictures(2), steps=1)
    with pytest.raises(ArgumentError, match="optimizer is 'sgd'"):
        explain.style_transfer(small, content, style, optimizer="sgd")


def test_dreams_show_more_of_what_is_seen(small):
    x = pictures(1, 7)
    before = (explain.layer_activations(small, x, "features.6") ** 2).mean()
    dream = explain.deep_dream(small, x, "features.6", octaves=2, steps=6, jitter=2, clip=(-3.0, 3.0))
    assert dream.shape == x.shape
    assert (explain.layer_activations(small, dream, "features.6") ** 2).mean() > 2 * before
    one = explain.deep_dream(small, x, "features.6", unit=4, octaves=1, steps=6, jitter=0)
    assert (
        explain.layer_activations(small, one, "features.6")[0, 4].mean()
        > explain.layer_activations(small, x, "features.6")[0, 4].mean() + 0.05
    )


def test_predictions_are_inverted_and_networks_fooled(small):
    x = 3 * pictures(3, 8)
    wanted = np.asarray(ops.softmax(small.predict(x), 1))
    found = explain.model_inversion(small, wanted, steps=80)
    answers = np.asarray(ops.softmax(small.predict(found.images), 1))
    begun = np.asarray(ops.softmax(small.predict(np.zeros_like(x)), 1))
    assert np.abs(answers - wanted).max() < 0.25 * np.abs(begun - wanted).max()
    target = wanted.argsort(1)[:, -2]
    fooled = explain.fooling_image(small, x, target, confidence=0.8, rate=0.05)
    chances = np.asarray(ops.softmax(small.predict(fooled), 1))[np.arange(3), target]
    assert (chances >= 0.8).all()
    assert np.abs(fooled - x).mean() < np.abs(x).mean()
    with pytest.raises(ArgumentError, match="rows of probabilities"):
        explain.model_inversion(small, np.ones((1, 4)))


def test_what_was_made_is_drawn(small):
    pytest.importorskip("matplotlib")
    assert len(explain.plot_filters(explain.filters(small)).axes) == 8
    maps = explain.layer_activations(small, pictures(1), "features.0")[0]
    assert len(explain.plot_activations(maps, columns=4).axes) == 8
    found = explain.maximal_patches(small, pictures(4), "features.3", [0, 1], top=2)

    def restore(patch):
        return np.clip(patch.transpose(1, 2, 0) / 4 + 0.5, 0, 1)

    assert len(explain.plot_patches(found, restore).axes) == 4
    made = explain.Synthesis(pictures(1), [3.0, 1.0])
    assert len(explain.plot_synthesis(made, restore).axes) == 2
