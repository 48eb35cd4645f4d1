"""Penalties, limits, noise, mixed batches and initial values, by what they do to numbers."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import blobs, rows

import einkorn
from einkorn import data, nn, ops, optim
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import constraints, init, initializers, regularizers


def test_penalties_are_part_of_the_loss_and_of_the_gradient():
    x, y = blobs(30)
    einkorn.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 4, kernel_regularizer=regularizers.L2(0.1), bias_regularizer="l1"),
        nn.Linear(4, 3, kernel_regularizer=regularizers.L1L2(0.01, 0.02)),
    )
    plain = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))
    plain.load_state_dict(model.state_dict())
    model.compile(optim.SGD(model.parameters(), lr=0.5), metrics=["accuracy"])
    first, bias, second = model[0].weight.numpy(), model[0].bias.numpy(), model[1].weight.numpy()
    wanted = 0.1 * (first**2).sum() + 0.01 * abs(bias).sum() + 0.01 * abs(second).sum()
    wanted += 0.02 * (second**2).sum()
    assert regularizers.penalty(model).item() == pytest.approx(wanted, rel=1e-5)
    base = float(ops.cross_entropy(plain.predict(x), y))
    assert model.evaluate(x, y)[0] == pytest.approx(base + wanted, rel=1e-5)
    loss = ops.cross_entropy(plain(x), y) + 0.1 * (plain[0].weight ** 2).sum()
    loss = loss + 0.01 * plain[0].bias.abs().sum() + 0.01 * plain[1].weight.abs().sum()
    (loss + 0.02 * (plain[1].weight ** 2).sum()).backward()
    assert model.fit(x, y, 30, verbose=0).history["loss"] == pytest.approx([base + wanted], rel=1e-5)
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert_allclose(mine.numpy(), other.numpy() - 0.5 * other.grad.numpy(), rtol=1e-4, atol=1e-6)
    assert copy.deepcopy(model)[0].__dict__["_regularizers"].keys() == {"weight", "bias"}


def test_layers_refuse_options_that_are_none():
    with pytest.raises(
        TypeError, match="unexpected argument 'kernel_size'; options of weights are kernel_reg"
    ):
        nn.Linear(2, 3, kernel_size=3)
    with pytest.raises(ArgumentError, match="Conv2d: kernel_regularizer is 'l3'"):
        nn.Conv2d(1, 2, 3, kernel_regularizer="l3")
    with pytest.raises(ArgumentError, match="L2: l2 is -1"):
        regularizers.L2(-1)
    table = nn.Embedding(4, 2, embeddings_regularizer="l2", embeddings_initializer="ones")
    assert regularizers.penalty(table).item() == pytest.approx(0.08)
    conv = nn.Conv2d(1, 2, 3, kernel_regularizer=lambda w: (w * w).mean(), kernel_initializer="ones")
    assert regularizers.penalty(conv).item() == pytest.approx(1.0)
    assert regularizers.penalty(nn.Linear(2, 2)) == 0.0


def test_orthogonal_rows_cost_nothing():
    weight = nn.Parameter(np.eye(3, 5))
    assert regularizers.OrthogonalRegularizer(1.0)(weight).item() == pytest.approx(0, abs=1e-12)
    alike = nn.Parameter(np.ones((3, 5)))
    assert regularizers.OrthogonalRegularizer(0.5)(alike).item() == pytest.approx(0.5)


def test_limits_hold_after_every_update():
    x, y = blobs(40)
    model = nn.Sequential(
        nn.Linear(2, 8, kernel_constraint=constraints.MaxNorm(0.5)),
        nn.Linear(8, 8, kernel_constraint="non_neg", bias_constraint=lambda b: np.clip(b, -0.01, 0.01)),
        nn.Linear(8, 3, kernel_constraint=constraints.UnitNorm()),
    )
    model.compile(optim.SGD(model.parameters(), lr=1.0))
    model.fit(x, y, 8, 2, verbose=0)

    def lengths(i):
        return np.linalg.norm(model[i].weight.numpy(), axis=1)

    assert lengths(0).max() <= 0.5 * (1 + 1e-5)
    assert lengths(2) == pytest.approx(np.ones(3), rel=1e-5)
    assert model[1].weight.numpy().min() >= 0
    assert abs(model[1].bias.numpy()).max() <= 0.01 * (1 + 1e-5)
    # From beyond them, a small update ends at the limits themselves.
    for parameter, value in ((model[0].weight, 3.0), (model[1].weight, -1.0), (model[1].bias, 5.0)):
        parameter.data[...] = value
    model.compile(optim.SGD(model.parameters(), lr=1e-3))
    model.fit(x, y, len(x), 1, verbose=0)
    assert lengths(0) == pytest.approx(np.full(8, 0.5), rel=1e-5)
    assert (model[1].weight.numpy() == 0).all()
    assert model[1].bias.numpy() == pytest.approx(np.full(8, 0.01))
    w = rows(4, 3, 2, 2)
    inside = constraints.MinMaxNorm(0.5, 1.0, rate=0.5)(w)
    norms = np.sqrt((w**2).sum((1, 2, 3)))
    wanted = 0.5 * np.clip(norms, 0.5, 1.0) + 0.5 * norms
    assert np.sqrt((inside**2).sum((1, 2, 3))) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ArgumentError, match="constraint is 'small'"):
        nn.Linear(2, 2, kernel_constraint="small")


def test_frozen_weights_have_neither_penalty_nor_limit():
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)
    own = nn.Linear(2, 2, kernel_constraint="max_norm", kernel_regularizer=regularizers.L2(1.0))
    model = nn.Sequential(own, nn.Linear(2, 2, kernel_regularizer="l2"))
    own.weight.data[...] = 5.0
    own.requires_grad_(False)
    model.compile(optim.SGD(model[1].parameters(), lr=0.01), "mse")
    model.fit(x, y, 2, 2, verbose=0)
    assert (own.weight.numpy() == 5.0).all()
    assert regularizers.penalty(own) == 0.0
    second = 0.01 * (model[1].weight.numpy() ** 2).sum()
    assert regularizers.penalty(model).item() == pytest.approx(second, rel=1e-5)
    wanted = float(ops.mse_loss(model.predict(x), y)) + second
    assert model.evaluate(x, y) == pytest.approx(wanted, rel=1e-5)
    constraints.apply_constraints(model)
    assert (own.weight.numpy() == 5.0).all()
    own.requires_grad_(True)  # what counts is the time of the step
    constraints.apply_constraints(model)
    assert np.linalg.norm(own.weight.numpy(), axis=1) == pytest.approx([2.0, 2.0], rel=1e-5)
    assert regularizers.penalty(own).item() == pytest.approx(8.0, rel=1e-5)


def test_a_layer_unfrozen_during_fit_gets_its_penalty_and_limit():
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)
    own = nn.Linear(2, 2, bias=False, kernel_constraint="max_norm", kernel_regularizer=regularizers.L2(1.0))
    model = nn.Sequential(own, nn.Linear(2, 2, bias=False))
    own.weight.data[...] = 5.0
    model[1].weight.data[...] = 0.0
    own.requires_grad_(False)
    model.compile(optim.SGD(model.parameters(), lr=1e-6), "mse")

    class Thaw(einkorn.training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            own.requires_grad_(True)

    losses = model.fit(x, y, 4, 2, verbose=0, callbacks=[Thaw()]).history["loss"]
    assert losses == pytest.approx([0.0, 100.0], rel=1e-4)
    assert np.linalg.norm(own.weight.numpy(), axis=1) == pytest.approx([2.0, 2.0], rel=1e-5)


# --- noise -------------------------------------------------------------------------------------------


def test_paths_are_dropped_as_a_whole():
    einkorn.manual_seed(0)
    x = np.ones((4000, 3, 2), np.float32)
    out = nn.DropPath(0.25)(x)
    each = np.unique(out.reshape(4000, -1), axis=0)
    assert_allclose(each, np.array([[0.0] * 6, [4 / 3] * 6]), rtol=1e-6)
    assert (out[:, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.03)
    whole = nn.StochasticDepth(0.5, "batch")
    assert {float(v) for _ in range(20) for v in np.unique(whole(x))} == {0.0, 2.0}
    assert whole.eval()(x) is x
    tensor = einkorn.Tensor(x, requires_grad=True)
    layer = nn.DropPath(0.5)
    result = layer(tensor)
    result.sum().backward()
    assert_array_equal(tensor.grad.numpy(), result.numpy())
    with pytest.raises(ArgumentError, match="mode is 'column'"):
        nn.StochasticDepth(0.5, "column")


def test_zoneout_keeps_parts_of_the_old_state():
    einkorn.manual_seed(0)
    new, old = np.full((100, 100), 2.0, np.float32), np.full((100, 100), -1.0, np.float32)
    layer = nn.Zoneout(0.3)
    out = layer(new, old)
    assert {float(v) for v in np.unique(np.round(out, 5))} == {-1.0, 2.0}
    assert (out < 0).mean() == pytest.approx(0.3, abs=0.02)
    assert_allclose(layer.eval()(new, old), 0.3 * -1 + 0.7 * 2, rtol=1e-6)
    with pytest.raises(ShapeError, match="old has shape"):
        layer(new, old[:3])


def test_gaussian_noise_has_the_variance_that_was_asked_for():
    einkorn.manual_seed(0)
    x = np.full((300, 300), 3.0, np.float32)
    added = nn.GaussianNoise(0.5)(x) - x
    assert (added.mean(), added.std()) == pytest.approx((0, 0.5), abs=0.01)
    factor = nn.GaussianDropout(0.2)(x) / x
    assert (factor.mean(), factor.std()) == pytest.approx((1, 0.5), abs=0.01)
    for layer in (nn.GaussianNoise(0.5), nn.GaussianDropout(0.2)):
        assert layer.eval()(x) is x
    with pytest.raises(ArgumentError, match="p is 1"):
        nn.GaussianDropout(1)


def test_mixed_batches_have_mixed_targets():
    x = np.arange(8, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 6, 6), np.float32)
    y = np.arange(8)
    mixed, shares = data.MixUp(0.4, num_classes=8, seed=0)(x, y)
    assert shares.sum(1) == pytest.approx(np.ones(8))
    assert_allclose(mixed[:, 0, 0, 0], shares @ y, rtol=1e-5, atol=1e-5)
    assert mixed.dtype == np.float32
    mix = data.CutMix(1.0, num_classes=8, seed=3)
    for _ in range(5):
        cut, shares = mix(x, y)
        for row in range(8):
            values = cut[row, 0]
            own = (values == row).mean()
            assert shares[row, row] >= own - 1e-6
            assert values.mean() == pytest.approx(shares[row] @ y, rel=1e-5)
    again = data.CutMix(1.0, num_classes=8, seed=3)
    assert_array_equal(again(x, y)[0], data.CutMix(1.0, num_classes=8, seed=3)(x, y)[0])
    with pytest.raises(ArgumentError, match="num_classes is needed"):
        data.MixUp()(x, y)


# --- initial values --------------------------------------------------------------------------------------


def test_truncated_normal_values():
    einkorn.manual_seed(0)
    stats = pytest.importorskip("scipy.stats")
    for mean, std, low, high in [(0, 1, -2, 2), (1, 2, 0, 2), (0, 1, 2.5, 3), (0, 1, -9, 9)]:
        values = init.trunc_normal_(np.empty(40000), mean, std, low, high)
        assert values.min() >= low
        assert values.max() <= high
        wanted = stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)
        assert stats.kstest(values, wanted.cdf).pvalue > 1e-3
    assert init.trunc_normal_(np.empty((3, 4), np.float32)).dtype == np.float32


def test_orthogonal_sparse_and_identity_values():
    for shape in [(6, 4), (4, 6), (5, 2, 3)]:
        flat = init.orthogonal_(np.empty(shape), 2.0).reshape(shape[0], -1)
        gram = flat @ flat.T if flat.shape[0] < flat.shape[1] else flat.T @ flat
        assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)
    sparse = init.sparse_(np.empty((10, 7)), 0.25, 0.5)
    assert_array_equal((sparse == 0).sum(0), np.full(7, 3))
    torch = pytest.importorskip("torch")
    for name, shape, options in [
        ("eye_", (3, 5), {}),
        ("dirac_", (4, 3, 3), {}),
        ("dirac_", (4, 2, 3, 5), {"groups": 2}),
        ("dirac_", (2, 3, 3, 3, 3), {}),
    ]:
        ours = getattr(init, name)(np.full(shape, 9.0), **options)
        assert_array_equal(ours, getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy())
    with pytest.raises(ShapeError, match="eye_: tensor has shape"):
        init.eye_(np.empty(3))


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("glorot_uniform", (2 / 500) ** 0.5),
        ("glorot_normal", (2 / 500) ** 0.5),
        ("he_uniform", (2 / 300) ** 0.5),
        ("he_normal", (2 / 300) ** 0.5),
        ("lecun_uniform", (1 / 300) ** 0.5),
        ("lecun_normal", (1 / 300) ** 0.5),
        ("random_normal", 0.05),
        ("random_uniform", 0.05 / 3**0.5),
    ],
)
def test_kerass_initial_values_have_their_deviation(name, deviation):
    einkorn.manual_seed(1)
    layer = nn.Linear(300, 200, kernel_initializer=name, bias_initializer="zeros")
    assert layer.weight.numpy().std() == pytest.approx(deviation, rel=0.02)
    assert not layer.bias.numpy().any()


def test_initializers_with_a_seed_are_repeatable():
    kinds = (
        initializers.HeNormal,
        initializers.GlorotUniform,
        initializers.Orthogonal,
        initializers.TruncatedNormal,
    )
    for kind in kinds:
        first, second = (kind(seed=5)(np.empty((4, 3))) for _ in range(2))
        assert_array_equal(first, second)
    assert_array_equal(initializers.Identity(2.0)(np.empty((2, 3))), 2 * np.eye(2, 3))
    assert_array_equal(initializers.Constant(7)(np.empty(2)), [7, 7])
    generator = einkorn.random.Generator(3)
    a = init.kaiming_normal_(np.empty((3, 3)), generator=generator)
    assert_array_equal(a, init.kaiming_normal_(np.empty((3, 3)), generator=einkorn.random.Generator(3)))
    with pytest.raises(ArgumentError, match="initializer is 'nice'"):
        nn.Linear(2, 2, kernel_initializer="nice")
