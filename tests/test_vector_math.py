"""Functions of one number over the range of float32: within a few units of the last place, never beyond 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from einkorn import ops

EXACT: dict[str, tuple[Callable[[float], float], float]] = {
    "tanh": (math.tanh, 2),
    "erf": (math.erf, 3),
    "exp": (math.exp, 2),
}


def _floats() -> np.ndarray:
    """Numbers spread over all exponents, and more of them where the functions bend."""
    bits = np.linspace(0, 0x7F7FFFFF, 6001).astype(np.uint32)
    positive = np.concatenate([bits.view(np.float32), np.linspace(0.01, 12, 4001).astype(np.float32)])
    return np.sort(np.concatenate([-positive, positive]))


@pytest.mark.parametrize("name", EXACT)
def test_last_places(name: str, backend: str) -> None:
    function, most = EXACT[name]
    x = _floats()
    if name == "exp":
        x = x[(x > -80) & (x < 88)]
    exact = np.array([function(float(v)) for v in x])
    got = getattr(ops, name)(x)
    normal = np.abs(exact) > 1.2e-38
    places = np.abs(got - exact)[normal] / np.spacing(np.abs(exact[normal]).astype(np.float32))
    assert places.max() <= most


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_grows_from_minus_one_to_one(name: str, backend: str) -> None:
    x = _floats()
    y = getattr(ops, name)(x)
    assert (y[0], y[-1]) == (-1, 1)
    assert np.abs(y).max() == 1
    assert (np.diff(y.astype(np.float64)) >= -np.spacing(np.abs(y[1:]))).all()
    np.testing.assert_array_equal(y, -getattr(ops, name)(-x))


def test_gelu_is_small_and_never_positive_far_below_zero(backend: str) -> None:
    x = np.linspace(-100, -3, 5001).astype(np.float32)
    y = ops.gelu(x)
    exact = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.astype(np.float64)])
    assert (y <= 0).all()
    assert np.abs(y - exact).max() < 1e-7
    large = np.linspace(8, 1e6, 101).astype(np.float32)
    np.testing.assert_array_equal(ops.gelu(large), large)
