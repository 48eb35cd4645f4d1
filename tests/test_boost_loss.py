"""Gradients of boosting's losses against float64 formulas and numerical derivatives; quantiles of leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops import BOOST_LOSSES, boost_loss, leaf_quantile

PARAMETER = {"huber": 0.7, "quantile": 0.2}
SIZES = (0, 1, 15, 16, 17, 511, 513, 16385)


def mean_loss(loss: str, raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The loss of each row in float64, as the contract writes it."""
    a = PARAMETER.get(loss, 0.0)
    if loss == "multinomial":
        largest = raw.max(axis=0)
        return largest + np.log(np.exp(raw - largest).sum(axis=0)) - raw[y, np.arange(y.size)]
    f = raw[0]
    d = f - y
    return {
        "squared": lambda: d**2 / 2,
        "absolute": lambda: abs(d),
        "huber": lambda: np.where(abs(d) <= a, d**2 / 2, a * (abs(d) - a / 2)),
        "quantile": lambda: np.where(d < 0, -a * d, (1 - a) * d),
        "logistic": lambda: np.logaddexp(0, f) - y * f,
        "poisson": lambda: np.exp(f) - y * f,
    }[loss]()


def data(loss: str, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outputs = 4 if loss == "multinomial" else 1
    raw = rng.normal(size=(outputs, rows)) * 3
    y: np.ndarray
    if loss == "multinomial":
        y = rng.integers(0, outputs, rows).astype(np.int32)
    elif loss == "logistic":
        y = rng.integers(0, 2, rows).astype(np.float64)
    else:
        y = rng.poisson(2, rows).astype(np.float64)
    return raw, y, rng.integers(0, 4, rows).astype(np.float32)


@pytest.mark.parametrize("loss", BOOST_LOSSES)
def test_against_formula_and_derivative(loss: str, backend: str) -> None:
    for rows in SIZES if "numba" not in backend else (0, 1, 17, 16385):
        raw, y, w = data(loss, rows, rows)
        g, h = np.empty(raw.shape, np.float32), np.empty(raw.shape, np.float32)
        value = boost_loss(
            raw, y, loss, weight=w, parameter=PARAMETER.get(loss, 0.0), gradient=g, hessian=h, total=3.0
        )
        expected = (mean_loss(loss, raw, y) * w).sum() / 3.0
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-12)
        step = 1e-5
        for k in range(raw.shape[0]):
            up, down = raw.copy(), raw.copy()
            up[k] += step
            down[k] -= step
            first = (mean_loss(loss, up, y) - mean_loss(loss, down, y)) / (2 * step)
            np.testing.assert_allclose(g[k], first * w, rtol=2e-4, atol=2e-4)
            if loss in ("logistic", "poisson", "multinomial"):
                step2 = 1e-3
                up[k], down[k] = raw[k] + step2, raw[k] - step2
                losses = [mean_loss(loss, r, y) for r in (up, raw, down)]
                second = (losses[0] - 2 * losses[1] + losses[2]) / step2**2
                second *= 4 / 3 if loss == "multinomial" else 1
                np.testing.assert_allclose(h[k], second * w, rtol=1e-3, atol=1e-3)
            else:
                np.testing.assert_array_equal(h[k], w)


@pytest.mark.parametrize("loss", BOOST_LOSSES)
def test_threads_and_parts_agree(loss: str, backend: str) -> None:
    """One and two threads give the same bits; so does asking for a part of the results."""
    raw, y, w = data(loss, 70_001)
    found = []
    for threads in (1, 2):
        einkorn.set_num_threads(threads)
        g, h = np.empty(raw.shape, np.float32), np.empty(raw.shape, np.float32)
        value = boost_loss(
            raw, y, loss, weight=w, parameter=PARAMETER.get(loss, 0.5), gradient=g, hessian=h, total=9.0
        )
        alone = np.empty_like(g)
        boost_loss(raw, y, loss, weight=w, parameter=PARAMETER.get(loss, 0.5), gradient=alone)
        np.testing.assert_array_equal(alone, g)
        assert boost_loss(raw, y, loss, weight=w, parameter=PARAMETER.get(loss, 0.5), total=9.0) == value
        found.append((g.tobytes(), h.tobytes(), value))
    assert found[0] == found[1]


def test_extreme_scores(backend: str) -> None:
    """Neither overflow nor lost digits: the gradient of a sure, right row is tiny, not zero."""
    raw = np.array([[-700.0, -40.0, 40.0, 700.0, np.nan]])
    y = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    g, h = np.empty((1, 5), np.float32), np.empty((1, 5), np.float32)
    value = boost_loss(raw[:, :4].copy(), y[:4].copy(), "logistic", total=1.0)
    assert value == pytest.approx(700.0)
    boost_loss(raw, y, "logistic", gradient=g, hessian=h)
    np.testing.assert_allclose(g[0, :4], [0, np.exp(-40), -np.exp(-40), 1], rtol=1e-5)
    assert np.isnan(g[0, 4])
    many = np.array([[800.0, 0.0], [0.0, -800.0], [0.0, np.nan]])
    g = np.empty((3, 2), np.float32)
    label = np.zeros(2, np.int32)
    assert boost_loss(many[:, :1].copy(), label[:1].copy(), "multinomial", total=1.0) == 0
    boost_loss(many, label, "multinomial", gradient=g)
    np.testing.assert_array_equal(g[:, 0], 0)
    assert np.isnan(g[:, 1]).all()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_quantile_of_leaves(alpha: float, backend: str) -> None:
    rng = np.random.default_rng(3)
    n, leaves = 40_000, 7
    y, raw = np.round(rng.normal(size=n) * 10), rng.integers(0, 3, n).astype(np.float64)
    leaf = rng.integers(-1, leaves + 1, n).astype(np.int32)  # some rows are in no leaf
    leaf[leaf == 3] = 2
    w = rng.integers(0, 3, n).astype(np.float32)
    found, bits = {}, []
    for threads in (1, 2):
        einkorn.set_num_threads(threads)
        for name, weight in (("plain", None), ("weighted", w)):
            found[name] = leaf_quantile(y, alpha, raw=raw, leaf=leaf, leaves=leaves, weight=weight)
            bits.append(found[name].tobytes())
    assert bits[:2] == bits[2:]
    for k in range(leaves):
        r = (y - raw)[leaf == k]
        repeated = np.repeat(r, w[leaf == k].astype(int))
        for name, values in (("plain", r), ("weighted", repeated)):
            expected = np.quantile(values, alpha, method="averaged_inverted_cdf") if values.size else 0.0
            assert found[name][k] == expected


def test_huber_step_and_absolute(backend: str) -> None:
    y = np.array([1.0, 2.0, 4.0, 100.0, -7.0])
    assert leaf_quantile(y, 0.5)[0] == 2.0
    assert leaf_quantile(y, 0.9, absolute=True)[0] == 100.0
    step = np.clip(y - 2.0, -3.0, 3.0).mean()
    np.testing.assert_allclose(leaf_quantile(y, 0.5, delta=3.0), [2.0 + step])
    w = np.array([1, 1, 2, 0, 1], np.float32)
    middle = np.median(np.repeat(y, w.astype(int)))
    step = (np.clip(y - middle, -3.0, 3.0) * w).sum() / w.sum()
    np.testing.assert_allclose(leaf_quantile(y, 0.5, delta=3.0, weight=w), [middle + step])
    assert np.isnan(leaf_quantile(np.array([1.0, np.nan]), 1.0)[0])
    assert leaf_quantile(np.empty(0), leaves=2).tolist() == [0.0, 0.0]


def test_refusals() -> None:
    raw, y, _ = data("squared", 5)
    bad: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ArgumentError, "loss is 'hinge'", {"loss": "hinge"}),
        (ShapeError, "target has shape", {"target": y[:4]}),
        (DTypeError, "target is float32", {"target": y.astype(np.float32)}),
        (ShapeError, "2 outputs", {"raw": np.zeros((2, 5))}),
        (DTypeError, "weight is float64", {"weight": np.ones(5)}),
        (ArgumentError, "parameter", {"loss": "huber"}),
        (ArgumentError, "without gradient", {"hessian": np.empty((1, 5), np.float32)}),
        (ShapeError, "gradient has shape", {"gradient": np.empty(5, np.float32)}),
        (
            IndexRangeError,
            "4 in row 2",
            {"loss": "multinomial", "target": np.array([0, 0, 4, 0, 0], np.int32)},
        ),
    ]
    for error, text, options in bad:
        with pytest.raises(error, match=text):
            boost_loss(**({"raw": raw, "target": y, "loss": "squared"} | options))
    with pytest.raises(ArgumentError, match="alpha"):
        leaf_quantile(y, 1.5)
    with pytest.raises(DTypeError, match="leaf"):
        leaf_quantile(y, leaf=np.zeros(5))
