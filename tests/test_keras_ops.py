"""Functions of ``keras.ops`` beside Keras's own, where it is installed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from einkorn import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype(np.float32)
Y = RNG.normal(size=(4, 3)).astype(np.float32)
U = RNG.random((4, 3)).astype(np.float32)
CUBE = RNG.normal(size=(2, 3, 4)).astype(np.float32)
HOLES = np.where(U < 0.3, np.nan, X).astype(np.float32)
V = RNG.normal(size=5).astype(np.float32)

CALLS = [
    ("allclose", (X, X + 1e-9), {}), ("amax", (CUBE,), {"axis": (0, 2)}), ("amin", (CUBE, 1, True), {}),
    ("arccosh", (1 + U,), {}), ("arcsinh", (X,), {}), ("arctanh", (U,), {}),
    ("average", (X,), {}), ("average", (X, 1), {"weights": np.float32([1, 2, 5])}),
    ("corrcoef", (X,), {}), ("count_nonzero", (X > 0, 1), {}),
    ("cross", (X, Y), {}), ("cross", (X.T.copy(), Y.T.copy()), {"axis": 0}), ("cumprod", (X, 1), {}),
    ("deg2rad", (X,), {}), ("rad2deg", (X,), {}), ("diagonal", (CUBE, 1, 1, 2), {}), ("diff", (X, 2, 0), {}),
    ("divide_no_nan", (X, np.where(U < 0.5, 0, Y).astype(np.float32)), {}), ("dstack", ([X, Y],), {}),
    ("hstack", ([X, Y],), {}), ("vstack", ([X, Y],), {}), ("erfc", (X,), {}), ("erfinv", (U,), {}),
    ("exp2", (X,), {}), ("fabs", (X,), {}), ("fliplr", (X,), {}), ("flipud", (X,), {}),
    ("floor_divide", (X, Y), {}), ("fmax", (X, HOLES), {}), ("fmin", (X, HOLES), {}), ("fmod", (X, Y), {}),
    ("full_like", (X, 2.5), {}), ("heaviside", (X, Y), {}), ("hypot", (X, Y), {}), ("identity", (3,), {}),
    ("in_top_k", (np.array([0, 2, 1, 1]), U, 2), {}), ("inner", (X, Y), {}),
    ("isclose", (X, Y, 0.5, 0.5), {}),
    ("isin", (np.array([1, 5, 2]), np.array([2, 1])), {"invert": True}),
    ("isneginf", (np.log(np.float32([0, 1])),), {}), ("isposinf", (-np.log(np.float32([0, 1])),), {}),
    ("kron", (X, U[:2]), {}), ("logaddexp", (X, Y), {}), ("logical_xor", (X > 0, Y > 0), {}),
    ("median", (X,), {}), ("median", (X, 0, True), {}), ("moments", (CUBE, (0, 2)), {}),
    ("moments", (CUBE, [1], True), {}), ("nan_to_num", (HOLES, 7.0), {}), ("nanmax", (HOLES, 0), {}),
    ("nanmin", (HOLES,), {}), ("nanmean", (HOLES, 1, True), {}), ("nansum", (HOLES, 0), {}),
    ("normalize", (X,), {}), ("normalize", (X, 0, 1), {}), ("ptp", (CUBE, 1), {}),
    ("quantile", (X, np.float32([0.2, 0.7]), 0), {}), ("quantile", (X, 0.3), {"method": "lower"}),
    ("rot90", (CUBE, 3, (1, 2)), {}), ("scatter", (np.array([[0], [2], [0]]), X[:3], (4, 3)), {}),
    ("scatter_update", (X, np.array([[0, 1], [3, 2]]), np.float32([8, 9])), {}),
    ("segment_sum", (X, np.array([0, 2, 0, 1]), 4), {}), ("segment_max", (X, np.array([0, 1, 0, 1])), {}),
    ("select", ([X > 1, X > 0], [X, Y], -1.0), {}), ("signbit", (X,), {}), ("sinc", (X,), {}),
    ("slice", (CUBE, np.array([0, 1, 2]), (2, 1, 2)), {}), ("slice_update", (X, [1, 1], U[:2, :2]), {}),
    ("trapezoid", (X,), {"dx": 0.5, "axis": 0}), ("trunc", (3 * X,), {}), ("unstack", (CUBE, 3, 1), {}),
    ("vander", (V, 3, True), {}), ("vdot", (V, V), {}),
]  # fmt: skip


@pytest.mark.parametrize("as_tensor", [False, True], ids=["arrays", "Tensors"])
@pytest.mark.parametrize(
    ("name", "args", "named"), CALLS, ids=[f"{i}-{call[0]}" for i, call in enumerate(CALLS)]
)
def test_functions_are_keras_own(name, args, named, as_tensor):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    theirs = [keras.ops.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    wanted = getattr(keras.ops, name)(*theirs, **named)
    ours = [
        Tensor(a) if as_tensor and isinstance(a, np.ndarray) and a.dtype == np.float32 else a for a in args
    ]
    found = getattr(ops, name)(*ours, **named)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, (tuple, list)) else [(found, wanted)]
    for one, other in pairs:
        got, expected = ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


def test_walks():
    assert ops.cond(np.array(True), lambda: 1, lambda: 2) == 1
    assert ops.switch(5, [lambda x: x, lambda x: -x], 3) == -3
    assert ops.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + i), (0, 0)) == (4, 6)
    assert ops.while_loop(lambda i: i < 9, lambda i: i + 1, 0, maximum_iterations=3) == 3
    assert ops.fori_loop(1, 4, lambda i, value: value * i, 1) == 6
    for function in (ops.map, ops.vectorized_map):
        np.testing.assert_array_equal(ops.convert_to_numpy(function(lambda row: row * 2, X)), 2 * X)
    for x, axis, weights in ((X, 0, U), (X, 0, U[:, 0]), (CUBE, 1, CUBE[0, :, 0] ** 2), (X, None, U)):
        np.testing.assert_allclose(ops.average(x, axis, weights), np.average(x, axis, weights), rtol=1e-5)
    assert ops.dtype(X) == ops.dtype(Tensor(X)) == "float32"
    assert not ops.convert_to_numpy(ops.empty((2, 3))).any()


def test_gradients_go_through():
    x = Tensor(X, requires_grad=True)
    total = ops.sum(ops.moments(x, 0)[1]) + ops.sum(ops.normalize(x)) + ops.sum(ops.average(x, 1))
    total = (
        total
        + ops.sum(ops.divide_no_nan(x, Y))
        + ops.sum(ops.median(x, 0))
        + ops.sum(ops.slice(x, (1, 0), (2, 2)))
    )
    total.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ArgumentError, match="3 elements from 2 on are not within 4"):
        ops.slice(X, (2, 0), (3, 1))
    with pytest.raises(ArgumentError, match="num is 2, expected 4"):
        ops.unstack(X, 2)
    with pytest.raises(ArgumentError, match=r"segment_ids has shape \(3,\), expected \(4,\)"):
        ops.segment_sum(X, np.arange(3))
