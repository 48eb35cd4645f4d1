"""Properties over drawn shapes, strides and options: right, or refused by name, never anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import ABSENT, ENGINES
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import einkorn
from einkorn import engines, ops
from einkorn.cases.conv import conv2d
from einkorn.cases.pool import avg_pool2d, max_pool2d
from einkorn.errors import EinkornError

RUNS = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
sizes = st.integers(0, 9)
positive_sizes = st.integers(1, 9)


@pytest.fixture(autouse=True, params=ENGINES)
def _engine(request: pytest.FixtureRequest) -> None:
    if request.param not in engines.available():
        pytest.skip(ABSENT[request.param])
    einkorn.set_engine(request.param)


@contextlib.contextmanager
def named_refusal(op: str) -> Iterator[None]:
    """Let einkorn's errors pass when their message begins with the operation; anything else fails."""
    try:
        yield
    except EinkornError as error:
        if not str(error).startswith(f"{op}: "):
            pytest.fail(f"the message does not name {op}: {error}")
        raise


@st.composite
def strided(draw: Any, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Small whole numbers in an array of some layout: permuted, stepped, reversed, repeated, offset."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, 3, -1, -2, 0])) for _ in shape]
    wide = [1 + max(n - 1, 0) * abs(s) if s else 1 for n, s in zip(shape, steps, strict=True)]
    base = rng.integers(-4, 5, [wide[a] for a in order]).astype(dtype)
    base = base.transpose(np.argsort(order)) if shape else base
    keys = tuple(slice(None, None, s or 1) for s in steps)
    view = base[keys]
    view = view[tuple(slice(0, n) for n in shape)]
    return np.broadcast_to(view, shape)


@st.composite
def broadcast_pair(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    full = draw(st.lists(sizes, max_size=4))
    shapes = []
    for _ in range(2):
        kept = full[draw(st.integers(0, len(full))) :]
        shapes.append(tuple(draw(st.sampled_from([n, 1])) for n in kept))
    return draw(strided(shapes[0])), draw(strided(shapes[1]))


@RUNS
@given(broadcast_pair(), st.sampled_from(["add", "subtract", "multiply", "maximum", "minimum"]))
def test_broadcasting(pair: tuple[np.ndarray, np.ndarray], name: str) -> None:
    a, b = pair
    got = getattr(ops, name)(a, b)
    expected = getattr(np, name)(a, b)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)
    assert got.shape == expected.shape


@RUNS
@given(st.lists(sizes, max_size=4), st.lists(sizes, max_size=4))
def test_broadcasting_or_refusal(first: list[int], second: list[int]) -> None:
    """Any two shapes: NumPy's rules decide, and what NumPy refuses is refused by name."""
    a, b = np.ones(first, np.float32), np.ones(second, np.float32)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        with pytest.raises(EinkornError, match=r"^add: "):
            ops.add(a, b)
    else:
        assert ops.add(a, b).shape == shape


@RUNS
@given(broadcast_pair())
def test_gradients_have_the_inputs_shapes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (einkorn.Tensor(x, requires_grad=True) for x in pair)
    y = ops.multiply(a, b)
    y.backward(np.ones(y.shape, np.float32))
    expected = np.broadcast_to(pair[1], y.shape)
    extra = tuple(range(y.ndim - a.ndim))
    stretched = tuple(
        i + len(extra) for i, n in enumerate(a.shape) if n == 1 and y.shape[i + len(extra)] != 1
    )
    expected = expected.sum(axis=extra + stretched, keepdims=True).reshape(a.shape)
    np.testing.assert_array_equal(a.grad.numpy(), expected)
    assert b.grad.shape == b.shape


@RUNS
@given(st.data(), st.sampled_from(["sum", "max", "min", "mean"]))
def test_reductions(data: Any, name: str) -> None:
    shape = tuple(data.draw(st.lists(sizes, max_size=4), "shape"))
    x = data.draw(strided(shape), "x")
    every = st.integers(-len(shape), len(shape) - 1) if shape else st.nothing()
    axes = data.draw(st.none() | st.sets(every, min_size=1), "axes")
    axis = None if axes is None else tuple(sorted({a % len(shape) for a in axes}))
    keepdims = data.draw(st.booleans(), "keepdims")
    reduced = x.size if axis is None else int(np.prod([shape[a] for a in axis]))
    assume(reduced or name == "sum")
    assume(x.size or name == "sum" or reduced)
    got = getattr(ops, name)(x, axis=axis, keepdims=keepdims)
    expected = getattr(x.astype(np.float64), name)(axis=axis, keepdims=keepdims)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@RUNS
@given(st.data())
def test_matmul(data: Any) -> None:
    m, k, n = (data.draw(st.integers(0, 40)) for _ in range(3))
    batch = data.draw(st.sampled_from([(), (3,), (2, 1), (0,)]), "batch")
    a = data.draw(strided((*batch, m, k)), "a")
    b = data.draw(strided((*data.draw(st.sampled_from([(), batch]), "batch of b"), k, n)), "b")
    np.testing.assert_array_equal(ops.matmul(a, b), np.matmul(a, b))


@RUNS
@given(st.lists(sizes, max_size=4), st.lists(sizes, max_size=4))
def test_matmul_or_refusal(first: list[int], second: list[int]) -> None:
    a, b = np.ones(first, np.float32), np.ones(second, np.float32)
    try:
        expected = np.matmul(a, b)
    except ValueError:
        with pytest.raises(EinkornError, match=r"^matmul: "):
            ops.matmul(a, b)
    else:
        np.testing.assert_array_equal(ops.matmul(a, b), expected)


@RUNS
@given(st.data())
def test_conv2d(data: Any) -> None:
    """The reference's result, or a refusal when the kernel does not fit."""
    n, groups = data.draw(st.integers(0, 2), "n"), data.draw(st.integers(1, 3), "groups")
    c, k = groups * data.draw(st.integers(1, 3), "c"), groups * data.draw(st.integers(1, 3), "k")
    h, w = data.draw(sizes, "h"), data.draw(sizes, "w")
    r, s = data.draw(st.integers(1, 4), "r"), data.draw(st.integers(1, 4), "s")
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    options = {
        "stride": data.draw(pairs, "stride"),
        "padding": data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)), "padding"),
        "dilation": data.draw(pairs, "dilation"),
        "groups": groups,
    }
    x, weight = data.draw(strided((n, c, h, w)), "x"), data.draw(strided((k, c // groups, r, s)), "weight")
    bias = data.draw(st.none() | strided((k,)), "bias")
    (pad_h, pad_w), (dil_h, dil_w) = options["padding"], options["dilation"]
    fits = h + 2 * pad_h > dil_h * (r - 1) and w + 2 * pad_w > dil_w * (s - 1)
    if not fits:
        with pytest.raises(EinkornError, match=r"^conv2d: "):
            ops.conv2d(x, weight, bias, **options)
        return
    expected = conv2d.reference(x.astype(np.float64), weight, bias, **options)
    np.testing.assert_array_equal(ops.conv2d(x, weight, bias, **options), expected)


@RUNS
@given(
    st.integers(-2, 5),
    st.one_of(st.integers(-2, 4), st.floats(), st.text(max_size=3), st.none(), st.tuples()),
    st.one_of(st.integers(-2, 4), st.floats(), st.none(), st.tuples(st.integers(0, 2), st.integers(0, 2))),
)
def test_conv2d_options_are_right_or_refused(stride: int, padding: Any, dilation: Any) -> None:
    """Whatever the options are, the answer is an array or an error that names the operation."""
    x, weight = np.ones((1, 1, 5, 5), np.float32), np.ones((1, 1, 3, 3), np.float32)
    with contextlib.suppress(EinkornError):
        out = None
        with named_refusal("conv2d"):
            out = ops.conv2d(x, weight, None, stride, padding, dilation)
        assert out.ndim == 4


@RUNS
@given(st.data())
def test_pools(data: Any) -> None:
    shape = tuple(data.draw(st.integers(0, 3)) for _ in range(2)) + tuple(
        data.draw(st.integers(1, 12)) for _ in range(2)
    )
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)), "kernel")
    options: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": data.draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)), "stride"),
        "padding": tuple(data.draw(st.integers(0, size // 2), "padding") for size in kernel),
        "ceil_mode": data.draw(st.booleans(), "ceil_mode"),
    }
    x = data.draw(strided(shape), "x")
    assume(all(n + 2 * p >= s for n, p, s in zip(shape[2:], options["padding"], kernel, strict=True)))
    expected, where = max_pool2d.reference(x, return_indices=True, **options)
    got, indices = ops.max_pool2d(x, return_indices=True, **options)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(indices, where)
    include = data.draw(st.booleans(), "count_include_pad")
    averages = avg_pool2d.reference(x.astype(np.float64), count_include_pad=include, **options)
    got = ops.avg_pool2d(x, count_include_pad=include, **options)
    np.testing.assert_allclose(got, averages, rtol=1e-6, atol=1e-6)


@RUNS
@given(st.data())
def test_softmax(data: Any) -> None:
    shape = tuple(data.draw(st.lists(positive_sizes, min_size=1, max_size=4), "shape"))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    x = data.draw(strided(shape), "x")
    p = ops.softmax(x, axis)
    assert p.shape == shape
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-5)
    np.testing.assert_allclose(np.log(p), ops.log_softmax(x, axis), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ops.softmax(ops.add(x, 8.0), axis), p, rtol=1e-6)  # a shift is nothing


@RUNS
@given(st.data())
def test_cross_entropy_is_log_softmax_picked(data: Any) -> None:
    n, classes = data.draw(st.integers(1, 9), "n"), data.draw(st.integers(1, 40), "classes")
    x = data.draw(strided((n, classes)), "x")
    target = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    losses = ops.cross_entropy(x, target, reduction="none")
    np.testing.assert_allclose(losses, -ops.log_softmax(x, 1)[np.arange(n), target], rtol=1e-5, atol=1e-5)
    wrong = data.draw(st.integers(classes, classes + 5) | st.integers(-5, -1), "wrong")
    target[data.draw(st.integers(0, n - 1), "row")] = wrong
    with pytest.raises(EinkornError, match=rf"^cross_entropy: .*target.*{wrong}"):
        ops.cross_entropy(x, target)
