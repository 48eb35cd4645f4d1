"""Distributions: probabilities, divergences and gradients are torch's; draws have the right moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn.errors import ArgumentError

torch = pytest.importorskip("torch")

A, B = [0.5, -1.0, 2.0], [1.5, 0.25, 3.0]
P, Q = [0.2, 0.7, 0.5], [[0.2, 0.5, 0.3], [1.0, 2.0, 1.0]]
CASES = {
    "Normal": (lambda d, a, b: d.Normal(a, b), A, B, [0.1, 2.0, -3.0]),
    "Laplace": (lambda d, a, b: d.Laplace(a, b), A, B, [0.1, 2.0, -3.0]),
    "Uniform": (lambda d, a, b: d.Uniform(a, a + b), A, B, [0.6, -0.9, 4.0]),
    "Exponential": (lambda d, a, b: d.Exponential(b), A, B, [0.6, 0.0, 9.0]),
    "Bernoulli": (lambda d, a, b: d.Bernoulli(a), P, B, [1.0, 0.0, 1.0]),
    "Bernoulli logits": (lambda d, a, b: d.Bernoulli(logits=a), A, B, [1.0, 0.0, 1.0]),
    "Categorical": (lambda d, a, b: d.Categorical(a), Q, B, [2, 0]),
    "Categorical logits": (lambda d, a, b: d.Categorical(logits=a), Q, B, [[2, 0], [1, 1]]),
    "Independent": (lambda d, a, b: d.Independent(d.Normal(a, b), 1), A, B, [0.1, 2.0, -3.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_probabilities_are_torchs(name):
    make, first, second, values = CASES[name]
    found = []
    for library in (einkorn, torch):
        a = library.tensor(first, dtype=library.float64, requires_grad=True)
        b = library.tensor(second, dtype=library.float64, requires_grad=True)
        d = make(library.distributions, a, b)
        probability = d.log_prob(library.tensor(values))
        total = probability[probability > -1e9].sum() + d.entropy().sum()
        total.backward()
        moments = [] if name.startswith("Categorical") else [d.mean, d.variance, d.stddev]
        grads = [x.grad for x in (a, b) if x.grad is not None]
        shapes = tuple(d.batch_shape), tuple(d.event_shape), tuple(d.sample((4, 2)).shape)
        found.append((shapes, [np.asarray(x.detach()) for x in (probability, d.entropy(), *moments, *grads)]))
    assert found[0][0] == found[1][0]
    for mine, theirs in zip(found[0][1], found[1][1], strict=True):
        assert_allclose(mine, theirs, 1e-5, 1e-6)


@pytest.mark.parametrize(
    "name", ["Normal", "Uniform", "Exponential", "Bernoulli", "Categorical", "Independent"]
)
def test_divergences_are_torchs(name):
    make, first, second, _ = CASES[name]
    found = []
    for library in (einkorn, torch):
        a, b = (library.tensor(x, dtype=library.float64, requires_grad=True) for x in (first, second))
        p = make(library.distributions, a, b)
        other = (a * 0.5 + 0.1) if name != "Uniform" else a - 0.25
        q = make(library.distributions, other.detach(), (b * 2).detach())
        divergence = library.distributions.kl_divergence(p, q)
        divergence.sum().backward()
        found.append(
            [np.asarray(x.detach()) for x in (divergence, *[x.grad for x in (a, b) if x.grad is not None])]
        )
    for mine, theirs in zip(*found, strict=True):
        assert_allclose(mine, theirs, 1e-5, 1e-6)


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_moments_that_they_should(name):
    make, first, second, _ = CASES[name]
    einkorn.manual_seed(1)
    d = make(einkorn.distributions, einkorn.tensor(first), einkorn.tensor(second))
    drawn = np.asarray(d.sample((20000,)), np.float64)
    if name.startswith("Categorical"):
        shares = np.stack([(drawn == c).mean(0) for c in range(3)], -1)
        assert_allclose(shares, d.probs, atol=0.02)
        return
    assert_allclose(drawn.mean(0), d.mean, atol=0.15)
    assert_allclose(drawn.var(0), d.variance, 0.1, 0.02)


def test_gradients_pass_through_draws_where_they_can():
    loc, scale = einkorn.zeros(3, requires_grad=True), einkorn.ones(3, requires_grad=True)
    einkorn.distributions.Normal(loc, scale).rsample((5,)).sum().backward()
    assert loc.grad.tolist() == [5, 5, 5]
    assert scale.grad.abs().sum() > 0
    assert not einkorn.distributions.Normal(loc, scale).sample().requires_grad
    with pytest.raises(ArgumentError, match="no rsample"):
        einkorn.distributions.Categorical(einkorn.ones(3)).rsample()


def test_parameters_that_are_none_are_refused():
    d = einkorn.distributions
    for make in (
        lambda: d.Normal(0.0, 0.0),
        lambda: d.Uniform(1.0, 1.0),
        lambda: d.Bernoulli(1.5),
        lambda: d.Bernoulli(),
        lambda: d.Categorical([-1.0, 2.0]),
        lambda: d.Categorical([0.5, 0.5], [0.0, 0.0]),
        lambda: d.kl_divergence(d.Normal(0.0, 1.0), d.Exponential(1.0)),
    ):
        with pytest.raises(ArgumentError):
            make()
