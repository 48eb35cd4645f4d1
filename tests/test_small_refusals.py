"""Weights of any scale, few target rows, interruptions between launches, and messages that name what came."""

import sys

import numpy as np
import pytest
from small_cascade import small_cascade

import einkorn as ek
from einkorn import boosting, ops
from einkorn.boosting import Trees
from einkorn.data import enlarge
from einkorn.errors import ArgumentError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=60) > 0).astype(int)


@pytest.mark.parametrize("scale", [1e-310, 1e-100, 1e200])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_scale_of_weights_does_not_matter(scale, class_weight):
    def fitted(weight):
        model = boosting.GradientBoostingClassifier(
            n_estimators=5, min_samples_leaf=5, class_weight=class_weight
        )
        return model.fit(X, Y, weight).predict_proba(X)

    weight = RNG.integers(1, 4, 60).astype(np.float64)
    np.testing.assert_allclose(fitted(weight * scale), fitted(weight), rtol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_light_and_heavy_weights_give_a_regressor(loss):
    expected = boosting.GradientBoostingRegressor(loss, n_estimators=5).fit(X, X[:, 1]).predict(X)
    for scale in (1e-300, 1e300):
        model = boosting.GradientBoostingRegressor(loss, n_estimators=5).fit(X, X[:, 1], np.full(60, scale))
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_weights_whose_sum_overflows_are_refused_by_name():
    with pytest.raises(ArgumentError, match="sample_weight"):
        boosting.GradientBoostingClassifier().fit(X, Y, np.full(60, 1e308))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_transfer_to_few_rows(rows):
    source = RNG.normal(size=(40, 4))
    model = boosting.TrAdaBoostRegressor(n_estimators=5, n_steps=2, n_folds=2, random_state=0)
    model.fit(X[:rows], X[:rows, 0], X_source=source, y_source=source[:, 0])
    assert np.isfinite(model.predict(X)).all()
    boosted = boosting.AdaBoostRegressor(n_estimators=3, random_state=0).fit(X[:rows], X[:rows, 0])
    assert np.isfinite(boosted.predict(X)).all()


def test_detection_hears_an_interruption_between_launches(monkeypatch):
    from einkorn.ops import haar

    image = RNG.integers(0, 256, (120, 160)).astype(np.uint8)
    levels = [[120 - 4 * i, 160 - 5 * i, 1, 90 - 4 * i] for i in range(12)]
    cascade = small_cascade()
    whole = ops.cascade_scan(image, cascade, levels, np.ones(12))
    assert len(whole) > 4096
    launches = []
    monkeypatch.setattr(haar, "_SCANNED", 1 << 14)
    real = haar.engines.of

    class Counted:
        def __init__(self, engine):
            self._engine = engine

        def __getattr__(self, name):
            launches.append(name)
            return getattr(self._engine, name)

    monkeypatch.setattr(haar.engines, "of", lambda a: Counted(real(a)))
    np.testing.assert_array_equal(ops.cascade_scan(image, cascade, levels, np.ones(12)), whole)
    assert launches.count("cascade_scan") >= 4
    assert ops.cascade_scan(image, cascade, np.zeros((0, 4), int), np.zeros(0)).shape == (0, 4)


def test_shapley_values_do_not_depend_on_launches(monkeypatch):
    from einkorn.ops import tree_shap as module

    trees = boosting.RandomForestRegressor(3, random_state=0).fit(X, X[:, 0]).trees_
    rows = RNG.normal(size=(1500, 4))
    whole = ops.tree_shap(trees, rows)
    monkeypatch.setattr(sys.modules[module.__module__], "_VISITS", 1)
    np.testing.assert_array_equal(ops.tree_shap(trees, rows), whole)
    assert ops.tree_shap(Trees.empty(4), rows[:0]).shape == (0, 5, 1)


def test_predictions_and_orders_do_not_depend_on_launches(monkeypatch):
    trees = boosting.RandomForestRegressor(7, random_state=0).fit(X, X[:, 0]).trees_
    rows = RNG.normal(size=(1500, 4))
    rows[::7, 1] = np.nan
    launches = []
    real = ek.engines.of

    class Counted:
        def __init__(self, engine):
            self._engine = engine

        def __getattr__(self, name):
            launches.append(name)
            return getattr(self._engine, name)

    whole = ops.predict_trees(trees, rows), ops.apply_trees(trees, rows, first=2)
    order = ops.presort(rows)
    for name in ("tree_predict", "stump"):
        module = sys.modules[f"einkorn.ops.{name}"]
        monkeypatch.setattr(module.engines, "of", lambda a: Counted(real(a)))
        for limit in ("_VISITS", "_FEWEST", "_SORTED"):
            monkeypatch.setattr(module, limit, 64, raising=False)
    np.testing.assert_array_equal(ops.predict_trees(trees, rows), whole[0])
    np.testing.assert_array_equal(ops.apply_trees(trees, rows, first=2), whole[1])
    assert launches.count("tree_predict") == 48
    with ek.num_threads(1):
        again = ops.presort(rows)
    np.testing.assert_array_equal(again.order, order.order)
    np.testing.assert_array_equal(again.columns, order.columns)
    np.testing.assert_array_equal(again.missing, order.missing)
    assert launches.count("presort") == 4
    nothing = Trees.empty(4, base=[2.5])
    np.testing.assert_array_equal(ops.predict_trees(nothing, rows), np.full((1500, 1), 2.5))
    assert ops.predict_trees(trees, rows[:0]).shape == (0, 1)
    assert ops.presort(rows[:, :0]).order.shape == (0, 1500)


@pytest.mark.parametrize("value", [-np.inf, np.nan, "x"])
def test_a_base_score_is_a_finite_number(value):
    with pytest.raises(ArgumentError, match=r"base_score is .*, expected a finite number$"):
        boosting.GradientBoostingRegressor(base_score=value).fit(X, X[:, 0])


@pytest.mark.parametrize("window", [2**63, (2**70, None), 10**30])
def test_a_window_may_be_wider_than_any_sequence(window):
    q = RNG.normal(size=(1, 4, 8)).astype(np.float32)
    expected = ops.scaled_dot_product_attention(q, q, q)
    found = ops.scaled_dot_product_attention(q, q, q, window=window)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_enlarging_beyond_memory_is_refused():
    with pytest.raises(ArgumentError, match="factor is 4611686018427387904"):
        enlarge(np.zeros((2, 2)), 2**62)


@pytest.mark.parametrize("step", ["a", np.nan, -3, 1.5, np.inf, None])
def test_a_saved_step_is_a_whole_number(step):
    weight = ek.Tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = ek.optim.Adam([weight])
    weight.grad = ek.Tensor(np.ones(3, np.float32))
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["step"] = step
    with pytest.raises(ArgumentError, match=r"Adam: load_state_dict got step .*, expected a whole number"):
        optimizer.load_state_dict(state)
    state["state"][0]["step"] = np.float32(7)
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["state"][0]["step"] == 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ek.combinations(ek.ones(200), 20), "combinations: .*because of r, larger than any memory"),
        (lambda: ek.vander(ek.ones(3), 2**61), "vander: .*because of N, larger than any memory"),
        (lambda: ek.zeros(2, dtype=ek.int64).fill_(float("inf")), "value is inf, which no int64 is"),
        (lambda: ek.tensor([1.0, float("nan")], dtype=ek.int64), "NaN or infinity, which no int64 is"),
        (lambda: ek.full((2,), float("nan"), dtype=ek.int8), "fill_value is nan, which no int8 is"),
    ],
)
def test_what_no_memory_or_type_holds(call, message):
    with pytest.raises(ek.EinkornError, match=message):
        call()


def test_slopes_of_angles_at_and_near_the_origin():
    y = ek.tensor([0.0, 1e-30, 3e25], requires_grad=True)
    ek.atan2(y, ek.tensor([0.0, 1e-30, 4e25])).sum().backward()
    np.testing.assert_allclose(y.grad.numpy(), [0.0, 5e29, 1.6e-26], rtol=1e-6)


def test_shifts_of_plain_numbers():
    assert (1 << ek.tensor([3])).tolist() == [8]
    assert (64 >> ek.tensor([3])).tolist() == [8]
    assert tuple(ek.randint(10, size=(2,)).shape) == tuple(ek.randint(high=10, size=(2,)).shape) == (2,)
