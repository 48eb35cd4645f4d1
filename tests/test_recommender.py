"""A recurrent recommender and its adversary."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, optim


def _users(count, rng, items=12, length=9):
    """Each user goes round among the items of one of three tastes, by steps of one."""
    taste, at = rng.integers(0, 3, (count, 1)), rng.integers(0, items // 3, (count, 1))
    return taste * (items // 3) + (at + np.arange(length)) % (items // 3)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_the_cell_is_its_formula(activation):
    rng = np.random.default_rng(0)
    cell = models.RecGANCell(5, 4, activation)
    x, h = rng.standard_normal((3, 5)).astype("f4"), rng.standard_normal((3, 4)).astype("f4")
    w, u, b = (np.asarray(p.numpy(), np.float64) for p in (cell.weight_ih, cell.weight_hh, cell.bias))
    given, own = x @ w.T + b, h @ u.T
    r, z = (1 / (1 + np.exp(-(given + own)[:, i : i + 4])) for i in (0, 4))
    n = given[:, 8:] + r * own[:, 8:]
    n = np.maximum(n, 0) if activation == "relu" else 1 / (1 + np.exp(-n))
    np.testing.assert_allclose(cell(x, h).numpy(), (1 - z) * n + z * h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cell(x).numpy(), cell(x, np.zeros((3, 4), np.float32)).numpy())


def test_it_learns_what_comes_next_beside_its_adversary():
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.RecGAN(12, 8, 16)
    own = optim.Adam(model.generator.parameters(), lr=1e-2)
    other = optim.Adam(model.discriminator.parameters(), lr=3e-3)
    for _ in range(60):
        rows = _users(32, rng)
        rows[::2, 6:] = -1
        for optimizer, loss_of in ((other, model.discriminator_loss), (own, model.generator_loss)):
            optimizer.zero_grad()
            loss_of(rows).backward()
            optimizer.step()
    rows = _users(60, rng)
    assert (model.recommend(rows[:, :-1], 1)[:, 0] == rows[:, -1]).mean() > 0.95
    short = np.where(np.arange(8) < 5, rows[:, :-1], -1)
    np.testing.assert_array_equal(model.recommend(short, 3), model.recommend(rows[:, :5], 3))
    fresh = model.recommend(rows[:, :2], 12, seen=False)
    assert (fresh[:, -2:] == rows[:, :2].min(1, keepdims=True)).any(1).all()


def test_doubts_reach_the_generator_alone_through_draws():
    model = models.RecGAN(12, 8, 16)
    rows = _users(4, np.random.default_rng(0))
    model.discriminator_loss(rows).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    plain = model.generator_loss(rows, adversarial=0.0)
    assert model.generator_loss(rows, adversarial=1.0).item() > plain.item()


def test_it_is_saved(tmp_path):
    model = models.RecGAN(12, 8, 16, temperature=0.5)
    ek.save(model, tmp_path / "m.safetensors")
    again = ek.load(tmp_path / "m.safetensors")
    rows = _users(3, np.random.default_rng(0))
    np.testing.assert_array_equal(again(rows).numpy(), model(rows).numpy())
    assert again.temperature == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.RecGANCell(3, 3, "tanh"), "activation is 'tanh'"),
        (lambda: models.RecGAN(1), "num_items is 1"),
        (lambda: models.RecGAN(5, temperature=0.0), "temperature is 0.0"),
        (lambda: models.RecGAN(5)(np.array([[5]])), "items have 5, expected 0 to 4"),
        (lambda: models.RecGAN(5)(np.array([[1, -1, 2]])), "-1 before an item"),
        (lambda: models.RecGAN(5)(np.array([[-1, -1]])), "-1 before an item"),
        (lambda: models.RecGAN(5)(np.zeros((0, 3), int)), "expected integers"),
        (lambda: models.RecGAN(5).generator_loss(np.array([[1]])), "length of at least 2"),
        (lambda: models.RecGAN(5).recommend(np.array([[1]]), 6), "k is 6"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.IndexRangeError), match=message):
        call()
