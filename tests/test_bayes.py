"""Networks that tell how sure they are."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import bayes, data, nn, ops, optim
from einkorn.bayes import plots
from einkorn.errors import ArgumentError, EinkornError, ShapeError
from einkorn.metrics import ExpectedCalibrationError

RNG = np.random.default_rng(0)


def kl_of_normals(mean, sigma, prior):
    """By numerical integration of q ln(q / p)."""
    x = np.linspace(mean - 12 * sigma, mean + 12 * sigma, 20001)
    q = np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    ln_q = -0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
    return float(np.sum(q * (ln_q - prior(x))) * (x[1] - x[0]))


def of_layer(layer):
    """Means and sigmas of all weights, biases among them."""
    pairs = [(layer.weight_mean, layer.weight_rho), (layer.bias_mean, layer.bias_rho)]
    means, rhos = (np.concatenate([pair[i].numpy().ravel() for pair in pairs]) for i in (0, 1))
    return means.astype(np.float64), np.log1p(np.exp(rhos.astype(np.float64)))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_the_divergence_from_a_normal_prior_is_the_integral(sigma):
    einkorn.manual_seed(0)
    layer = bayes.BayesLinear(3, 2, prior=bayes.Normal(sigma), initial_sigma=0.4)
    layer.weight_rho.data[...] = RNG.normal(-1, 1, (2, 3))

    def prior(x):
        return -0.5 * (x / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))

    expected = sum(kl_of_normals(m, s, prior) for m, s in zip(*of_layer(layer), strict=True))
    assert layer.kl_loss().item() == pytest.approx(expected, rel=1e-5)
    assert bayes.kl_loss(nn.Sequential(layer, nn.ReLU(), layer)).item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_from_a_mixture_is_the_integral_on_average():
    einkorn.manual_seed(0)
    mixture = bayes.ScaleMixture(0.25, 1.0, 0.1)
    layer = bayes.BayesLinear(2, 2, prior=mixture, initial_sigma=0.3)

    def prior(x):
        parts = [
            math.log(share) - 0.5 * (x / s) ** 2 - math.log(s * math.sqrt(2 * math.pi))
            for share, s in ((0.25, 1.0), (0.75, 0.1))
        ]
        return np.logaddexp(*parts)

    expected = sum(kl_of_normals(m, s, prior) for m, s in zip(*of_layer(layer), strict=True))
    drawn = [layer.kl_loss().item() for _ in range(4000)]
    assert abs(np.mean(drawn) - expected) < 4 * np.std(drawn) / math.sqrt(4000)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_draws_have_the_mean_and_variance_of_the_weights(local, kind):
    """For a row, drawing outputs (Kingma et al. 2015) is drawing weights: moments by the plain op."""
    einkorn.manual_seed(1)
    options = {"initial_sigma": 0.3, "local_reparameterization": local}
    if kind == "linear":
        layer, x = bayes.BayesLinear(4, 3, **options), RNG.standard_normal((2, 4)).astype(np.float32)
    else:
        layer = bayes.BayesConv2d(4, 2, 3, stride=2, padding=1, groups=2, **options)
        x = RNG.standard_normal((2, 4, 5, 5)).astype(np.float32)
    layer.weight_rho.data[...] = RNG.normal(-1, 0.5, layer.weight_rho.shape)
    sigma = np.log1p(np.exp(layer.weight_rho.numpy()))
    bias_sigma = np.log1p(np.exp(layer.bias_rho.numpy()))
    mean = layer._apply(x, layer.weight_mean.numpy(), layer.bias_mean.numpy())
    variance = layer._apply(x**2, sigma**2, bias_sigma**2)
    draws = np.stack([layer(x).numpy() for _ in range(4000)])
    spread = np.sqrt(variance / 4000)
    assert (np.abs(draws.mean(0) - mean) < 5 * spread).all()
    assert_allclose(draws.var(0), variance, rtol=0.15)
    layer.eval()
    assert_allclose(layer(x).numpy(), mean, rtol=1e-6)


def test_gradients_of_a_draw_are_those_of_its_formula():
    einkorn.manual_seed(2)
    layer = bayes.BayesLinear(3, 2, initial_sigma=0.2)
    x = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]], np.float32)  # a row of zeros: no infinite slope
    state = einkorn.random.get_state()
    ops.sum(layer(x)).backward()
    gradient = layer.weight_rho.grad.numpy().copy()
    assert np.isfinite(gradient).all()
    step = 1e-2

    def value(change):
        einkorn.random.set_state(state)
        layer.weight_rho.data[0, 1] += change
        found = ops.sum(layer(x)).item()
        layer.weight_rho.data[0, 1] -= change
        return found

    assert gradient[0, 1] == pytest.approx((value(step) - value(-step)) / (2 * step), rel=0.02)


def test_fit_adds_the_share_of_the_divergence():
    einkorn.manual_seed(0)
    model = nn.Sequential(bayes.BayesLinear(4, 8), nn.ReLU(), bayes.BayesLinear(8, 3))
    x, y = RNG.standard_normal((40, 4)).astype(np.float32), RNG.integers(0, 3, 40)
    model.compile(optim.SGD(model.parameters(), lr=0.0), "cross_entropy")
    state = einkorn.random.get_state()
    plain = model.fit(x, y, batch_size=40, shuffle=False, verbose=0).history["loss"][0]
    bayes.set_kl_weight(model, 1 / 40)
    einkorn.random.set_state(state)
    full = model.fit(x, y, batch_size=40, shuffle=False, verbose=0).history["loss"][0]
    assert full - plain == pytest.approx(bayes.kl_loss(model).item() / 40, rel=1e-4)
    bayes.set_kl_weight(model, 0)
    assert nn.regularizers.penalty(model) == 0.0


def test_bayes_by_backprop_knows_where_it_has_seen_nothing():
    """On a line with a gap: the spread of the predictions grows away from the rows."""
    einkorn.manual_seed(0)
    x = np.r_[np.linspace(-1, -0.4, 60), np.linspace(0.4, 1, 60)].astype(np.float32)[:, None]
    y = np.sin(3 * x) + 0.05 * RNG.standard_normal(x.shape).astype(np.float32)
    model = nn.Sequential(bayes.BayesLinear(1, 40), nn.ReLU(), bayes.BayesLinear(40, 1))
    bayes.set_kl_weight(model, 0.005 / len(x))
    model.compile(optim.Adam(model.parameters(), lr=0.02), "mse")
    model.fit(x, y, batch_size=30, epochs=150, verbose=0)
    near = bayes.sample_outputs(model, x, 50)[:, :, 0]
    far = bayes.sample_outputs(model, 4 * x, 50)[:, :, 0]
    assert np.abs(near.mean(0) - y[:, 0]).mean() < 0.15
    assert far.std(0).mean() > 2 * near.std(0).mean()


def test_weights_are_saved_and_read(tmp_path):
    model = nn.Sequential(bayes.BayesConv2d(1, 2, 3), nn.Flatten(), bayes.BayesLinear(8, 3))
    einkorn.save_weights(model, tmp_path / "w.safetensors")
    other = nn.Sequential(bayes.BayesConv2d(1, 2, 3), nn.Flatten(), bayes.BayesLinear(8, 3))
    einkorn.load_weights(other, tmp_path / "w.safetensors")
    x = RNG.standard_normal((2, 1, 4, 4)).astype(np.float32)
    assert_array_equal(model.predict(x), other.predict(x))


# --- sampling -----------------------------------------------------------------------------------


def dropped(norm=False):
    einkorn.manual_seed(0)
    parts = [nn.Linear(6, 32), *([nn.BatchNorm1d(32)] if norm else []), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*parts, nn.Linear(32, 3))


def test_sampling_leaves_dropout_on_and_the_rest_in_evaluation():
    model = dropped(norm=True)
    model[0].training = False
    before = [module.training for module in model.modules()]
    statistics = np.array(model[1].running_mean)
    x = RNG.standard_normal((5, 6)).astype(np.float32)
    with bayes.sampling(model):
        assert [type(m).__name__ for m in model.modules() if m.training] == ["Dropout"]
        assert not model(x).requires_grad
    assert [module.training for module in model.modules()] == before
    assert_array_equal(np.array(model[1].running_mean), statistics)
    for recurrent, random in ((nn.LSTM(2, 3, 2, dropout=0.5), True), (nn.LSTM(2, 3, 2), False)):
        if random:
            with bayes.sampling(recurrent):
                assert recurrent.training
        else:
            with pytest.raises(ArgumentError, match="nothing is random"):
                bayes.sampling(recurrent)


def test_samples_differ_and_are_repeatable():
    model = dropped()
    x = RNG.standard_normal((300, 6)).astype(np.float32)
    einkorn.manual_seed(3)
    samples = bayes.sample_probabilities(model, x, 20)
    assert samples.shape == (20, 300, 3)
    assert_allclose(samples.sum(2), 1, rtol=1e-5)
    assert samples.std(0).min() > 0
    einkorn.manual_seed(3)
    assert_array_equal(bayes.sample_probabilities(model, x, 20), samples)
    # the mean of many comes close to what the layers do together
    mean = bayes.sample_outputs(model, x[:4], 4000).mean(0)
    model.eval()
    assert_allclose(mean, model(x[:4]).numpy(), atol=0.05)


def test_probabilities_of_models_that_give_them():
    x = RNG.standard_normal((4, 6)).astype(np.float32)
    ends = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3), nn.Softmax(-1))
    assert_allclose(bayes.sample_probabilities(ends, x, 3).sum(2), 1, rtol=1e-5)
    two = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 1))
    samples = bayes.sample_probabilities(two, x, 3)
    assert samples.shape == (3, 4, 1)
    assert ((samples > 0) & (samples < 1)).all()


def test_entropies():
    agree = np.tile([[[0.5, 0.5], [1.0, 0.0]]], (4, 1, 1))
    assert_allclose(bayes.predictive_entropy(agree), [math.log(2), 0], atol=1e-12)
    assert_allclose(bayes.mutual_information(agree), [0, 0], atol=1e-12)
    differ = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert_allclose(bayes.predictive_entropy(differ), math.log(2))
    assert_allclose(bayes.expected_entropy(differ), 0, atol=1e-12)
    assert_allclose(bayes.mutual_information(differ), math.log(2))
    assert_allclose(bayes.mean_probability(differ), [[0.5, 0.5]])
    one = np.full((3, 2, 1), 0.25)  # of the second of two classes
    assert_allclose(bayes.predictive_entropy(one), -0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    with pytest.raises(ShapeError, match=r"expected \[samples, rows, classes\]"):
        bayes.mean_probability(np.ones((2, 3)))
    with pytest.raises(ArgumentError, match="expected probabilities"):
        bayes.mean_probability(np.full((1, 2, 3), 2.0))


# --- ensembles and SWAG -------------------------------------------------------------------------


def small(norm=False):
    parts = [nn.Linear(6, 16), *([nn.BatchNorm1d(16)] if norm else []), nn.ReLU(), nn.Linear(16, 3)]
    model = nn.Sequential(*parts)
    model.compile(optim.SGD(model.parameters(), lr=0.1), "cross_entropy")
    return model


X, Y = RNG.standard_normal((90, 6)).astype(np.float32), RNG.integers(0, 3, 90)


def test_members_of_an_ensemble_differ_and_are_repeatable():
    def fitted():
        einkorn.manual_seed(0)
        return bayes.DeepEnsemble(small, 3).fit(X, Y, epochs=2, verbose=0)

    ensemble = fitted()
    samples = ensemble.sample_probabilities(X)
    assert samples.shape == (3, 90, 3)
    assert (samples.std(0) > 0).all()
    assert_allclose(samples[1], ops.softmax(ensemble.members[1].predict(X), -1), rtol=1e-5)
    assert_array_equal(fitted().sample_probabilities(X), samples)
    assert [len(history.epoch) for history in ensemble.histories] == [2, 2, 2]
    with pytest.raises(EinkornError, match=r"call fit\(\) first"):
        bayes.DeepEnsemble(small).sample_outputs(X)
    with pytest.raises(ArgumentError, match="build gave int"):
        bayes.DeepEnsemble(lambda: 3).fit(X, Y)


def flat(model):
    return np.concatenate([p.numpy().ravel() for p in model.parameters()]).astype(np.float64)


def test_swag_draws_from_the_distribution_of_the_weights():
    einkorn.manual_seed(0)
    model = small()
    swag, seen = bayes.SWAG(max_rank=3), []

    class Watch(einkorn.training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(flat(self.model))

    model.fit(X, Y, epochs=6, verbose=0, callbacks=[swag, Watch()])
    assert swag.n_collected == 6
    weights = np.stack(seen)
    swag.draw(model, scale=0)
    assert_allclose(flat(model), weights.mean(0), rtol=1e-5, atol=1e-6)
    deviations = np.stack([weights[i] - weights[: i + 1].mean(0) for i in (3, 4, 5)])
    expected = 0.5 * weights.var(0) + (deviations**2).sum(0) / (2 * 2)
    draws = []
    for _ in range(3000):
        swag.draw(model)
        draws.append(flat(model))
    assert_allclose(np.var(draws, axis=0), expected, rtol=0.2)
    assert_allclose(np.mean(draws, axis=0), weights.mean(0), atol=6 * np.sqrt(expected.max() / 3000))


def test_swag_leaves_the_model_and_goes_on():
    einkorn.manual_seed(0)
    model = small(norm=True)
    swag = bayes.SWAG(start_from_epoch=1)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[swag])
    assert swag.n_collected == 3
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(ArgumentError, match="batches are needed"):
        swag.sample_outputs(X)
    samples = swag.sample_probabilities(X, 4, batches=[X])
    assert samples.shape == (4, 90, 3)
    assert samples.std(0).max() > 0
    for name, array in model.state_dict().items():
        assert_array_equal(array, before[name])
    other = bayes.SWAG()
    other.load_state_dict(swag.state_dict())
    einkorn.manual_seed(1)
    first = swag.sample_outputs(X, 2, batches=[X])
    einkorn.manual_seed(1)
    assert_array_equal(other.sample_outputs(X, 2, batches=[X], model=model), first)
    with pytest.raises(EinkornError, match="has collected 0 weights"):
        bayes.SWAG().draw(model)


# --- calibration --------------------------------------------------------------------------------


def mnist():
    try:
        (x, y), (x_test, y_test) = data.load_mnist()
    except EinkornError as error:
        pytest.skip(f"MNIST is not here: {error}")
    return (x[:1000].reshape(1000, -1), y[:1000]), (x_test[:2000].reshape(2000, -1), y_test[:2000])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dropout_and_ensembles_are_better_calibrated_than_one_network(seed):
    (x, y), (x_test, y_test) = mnist()

    def network(p):
        layers = [nn.Linear(784, 128), nn.ReLU(), *([nn.Dropout(p)] if p else [])]
        model = nn.Sequential(*layers, nn.Linear(128, 128), nn.ReLU(), *layers[2:], nn.Linear(128, 10))
        model.compile("adam", "cross_entropy")
        return model

    def error(samples):
        return ExpectedCalibrationError(15)(y_test, bayes.mean_probability(samples))

    einkorn.manual_seed(seed)
    options = {"epochs": 25, "verbose": 0}
    ensemble = bayes.DeepEnsemble(lambda: network(0), 4).fit(x, y, **options)
    samples = ensemble.sample_probabilities(x_test)
    single = np.mean([error(samples[i : i + 1]) for i in range(4)])
    model = network(0.5)
    model.fit(x, y, **options)
    dropout = bayes.sample_probabilities(model, x_test, 30)
    assert error(dropout) < single
    assert error(samples) < single
    # what it never saw: noise is more uncertain than digits
    noise = RNG.random(x_test.shape).astype(np.float32)
    unsure = bayes.predictive_entropy(ensemble.sample_probabilities(noise))
    assert unsure.mean() > 1.5 * bayes.predictive_entropy(samples).mean()


# --- pictures, errors ---------------------------------------------------------------------------


def test_plot_calibration_draws_the_shares():
    pytest.importorskip("matplotlib")
    y = np.repeat([0, 1], [60, 40])
    p = np.tile([0.75, 0.25], (100, 1))
    axes = plots.plot_calibration(y, p, num_bins=4)
    (bar,) = axes.patches
    assert bar.get_height() == pytest.approx(0.6)
    assert axes.get_title() == "calibration error 0.150"
    assert plots.plot_calibration(y, p[:, 1], ax=axes) is axes


def test_plot_out_of_distribution_tells_the_area():
    pytest.importorskip("matplotlib")
    axes = plots.plot_out_of_distribution([0.1, 0.2, 0.3], [0.25, 0.5])
    assert axes.get_title() == "area under the curve 0.833"
    assert axes.get_xlabel() == "predictive entropy"
    with pytest.raises(ArgumentError, match="outside is empty"):
        plots.plot_out_of_distribution([1.0], [])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes.BayesLinear(0, 2), "in_features"),
        (lambda: bayes.BayesLinear(2, 2, prior=1.0), "prior is 1.0"),
        (lambda: bayes.BayesLinear(2, 2, prior=bayes.Normal(0.0)), "prior is Normal"),
        (lambda: bayes.BayesLinear(2, 2, prior=bayes.ScaleMixture(1.0)), "prior is ScaleMixture"),
        (lambda: bayes.BayesLinear(2, 2, initial_sigma=0), "initial_sigma is 0"),
        (lambda: bayes.BayesConv2d(3, 2, 3, groups=2), "channels are 3 and 2"),
        (lambda: bayes.kl_loss(nn.Linear(2, 2)), "no Bayesian layer"),
        (lambda: bayes.set_kl_weight(bayes.BayesLinear(2, 2), -1), "weight is -1"),
        (lambda: bayes.sample_outputs(nn.Linear(2, 2), X), "nothing is random"),
        (lambda: bayes.sample_outputs(dropped(), X, 0), "samples is 0"),
        (lambda: bayes.sample_outputs(dropped(), X[:0]), "at least one row"),
        (lambda: bayes.sample_outputs(dropped(), X, batch_size=0), "batch_size is 0"),
        (lambda: bayes.SWAG(max_rank=-1), "max_rank is -1"),
        (lambda: bayes.DeepEnsemble(small, 0), "members is 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
