"""Initial values beside Keras's own: mean, deviation, shape of the distribution, and what has no meaning."""

import os

import numpy as np
import pytest

import einkorn
from einkorn.errors import ShapeError
from einkorn.keras import initializers, layers

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras", reason="Keras is not installed")

SCALED = [
    ("VarianceScaling", {"scale": 2.0, "mode": mode, "distribution": distribution})
    for mode in ("fan_in", "fan_out", "fan_avg")
    for distribution in ("truncated_normal", "untruncated_normal", "uniform")
]
DRAWN = [
    *((name, {}) for name in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform")),
    *((name, {}) for name in ("LecunNormal", "LecunUniform", "VarianceScaling")),
    *((name, {}) for name in ("RandomNormal", "RandomUniform", "TruncatedNormal")),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.3}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 0.5}),
    *SCALED,
]
SHAPES = [(300, 200), (3, 3, 32, 64), (20000,), (3, 5, 3, 16, 24)]


def both(name, options, shape):
    """Ours and Keras's values, as float64."""
    return [
        np.asarray(value, np.float64)
        for value in (
            getattr(initializers, name)(**options)(shape).numpy(),
            theirs.ops.convert_to_numpy(getattr(theirs.initializers, name)(**options)(shape)),
        )
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "options"), DRAWN)
def test_drawn_values_are_distributed_as_keras_draws_them(name, options, shape):
    einkorn.manual_seed(7)
    theirs.utils.set_random_seed(7)
    ours, expected = both(name, options, shape)
    assert ours.shape == expected.shape == shape
    count, spread = ours.size, expected.std()
    # five standard errors of a difference, for a normal distribution
    assert abs(ours.mean() - expected.mean()) < 5 * spread * np.sqrt(2 / count)
    assert abs(ours.std() / spread - 1) < 5 * np.sqrt(1 / count)
    quantiles = np.linspace(0.05, 0.95, 19)
    apart = np.quantile(ours, quantiles) - np.quantile(expected, quantiles)
    assert abs(apart).max() < 5 * spread * 2.2 * np.sqrt(2 / count)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("Zeros", {}, (3, 4)),
        ("Ones", {}, (5,)),
        ("Constant", {"value": 3.0}, (2, 1, 3)),
        ("Constant", {"value": -1.0}, ()),
        ("Identity", {"gain": 2.0}, (4, 4)),
        ("Identity", {}, (3, 5)),
        ("Identity", {}, (5, 3)),
    ],
)
def test_values_that_are_not_drawn_are_keras_values(name, options, shape):
    ours, expected = both(name, options, shape)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (3, 3, 4, 20), (3, 2, 4, 50)], ids=str)
def test_orthogonal_values_are_so_along_keras_axes(shape):
    for values in both("Orthogonal", {"gain": 2.0}, shape):
        matrix = values.reshape(-1, shape[-1])
        product = matrix.T @ matrix if len(matrix) >= shape[-1] else matrix @ matrix.T
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_a_long_vector_takes_the_memory_of_a_vector():
    einkorn.manual_seed(0)
    count = 1 << 20  # whose square has 4 TB
    assert initializers.HeNormal()((count,)).numpy().std() == pytest.approx((2 / count) ** 0.5, rel=0.01)
    layer = layers.Dense(count, kernel_initializer="zeros", bias_initializer="random_normal")
    layer.build((None, 1))
    assert layer.bias.numpy().std() == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("name", ["Orthogonal", "Identity"])
def test_a_vector_is_no_matrix(name):
    with pytest.raises(ShapeError, match=rf"{name}: shape is \(5,\), expected two axes"):
        getattr(initializers, name)()((5,))
    with pytest.raises(ValueError, match=r"."):
        getattr(theirs.initializers, name)()((5,))
