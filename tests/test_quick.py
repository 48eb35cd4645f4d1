"""The short cut of elementwise operations: the same bits as the long way, and nothing for what is unusual."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, engines, ops, runtime

pytestmark = pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")

UNARY = ["negative", "exp", "relu", "tanh", "gelu", "floor", "erfc", "step"]
BINARY = ["add", "subtract", "divide", "maximum", "power", "greater", "hypot", "divide_floor"]


def _native() -> Any:
    return importlib.import_module("einkorn.engines.native")


def _values(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    x.flat[0] = np.nan
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (17,), (16, 16), (3, 1, 700)])
def test_same_bits_as_the_kernel(shape: tuple[int, ...], dtype: str) -> None:
    k = _native()
    a, b = _values(shape, dtype, 1), _values(shape, dtype, 2)
    for name in UNARY:
        out = np.empty_like(a)
        getattr(k, name)(out, a)
        quick = k.quick(name, a)
        assert (quick.dtype, quick.shape) == (a.dtype, shape)
        assert quick.tobytes() == out.tobytes(), name
    for name, numbers in {"leaky_relu": (0.5,), "elu": (2,), "hardtanh": (-1.0, 1.0)}.items():
        out = np.empty_like(a)
        getattr(k, name)(out, a, *numbers)
        assert k.quick(name, a, *numbers).tobytes() == out.tobytes(), name
    for name in BINARY:
        out = np.empty_like(a)
        getattr(k, name)(out, a, b)
        assert k.quick(name, a, b).tobytes() == out.tobytes(), name
    for name in ["relu_grad", "gelu_grad"]:
        out = np.empty_like(a)
        getattr(k, name)(out, a, b)
        assert k.quick(name, a, b).tobytes() == out.tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shapes", [((4, 5), (5,)), ((5,), (4, 5)), ((4, 1, 3), (7, 1)), ((), (2, 3)), ((1, 4), (4,))]
)
def test_broadcasts_as_numpy_does(shapes: tuple[tuple[int, ...], tuple[int, ...]], dtype: str) -> None:
    k = _native()
    a, b = _values(shapes[0], dtype, 1), _values(shapes[1], dtype, 2)
    np.testing.assert_array_equal(k.quick("subtract", a, b), a - b, strict=True)


def test_numbers_take_the_type_of_the_array() -> None:
    k = _native()
    for dtype in ("float32", "float64"):
        a = np.array([0.1, 3.0], dtype)
        for number in (2, -0.1, float("inf"), 2**60 + 1):
            np.testing.assert_array_equal(k.quick("add", a, number), a + a.dtype.type(number), strict=True)
            np.testing.assert_array_equal(k.quick("divide", number, a), a.dtype.type(number) / a, strict=True)


def test_the_unusual_goes_the_long_way() -> None:
    k = _native()
    a = np.ones((4, 4), np.float32)
    raw = np.zeros(4 * 4 + 1, np.uint8)
    unusual: list[Any] = [
        a.T[:2].T,
        a[::2],
        a.astype(">f4"),
        a.astype(np.float16),
        a.astype(np.int32),
        a[:0],
        a.reshape((1,) * 7 + (4, 4)),
        raw[1:].view(np.float32),
        a.view(np.matrix),
        np.ma.masked_array(a, a > 0),
        a.tolist(),
        1.0,
        None,
        Tensor(a),
    ]
    for x in unusual:
        assert k.quick("relu", x) is None, type(x)
        assert k.quick("add", x, x) is None, type(x)
    for number in (True, np.float32(2), np.float64(2), 1e39, 10**400, "2", 1j, a.astype(np.float64)):
        assert k.quick("add", a, number) is None, number
    assert k.quick("add", a, np.ones(3, np.float32)) is None
    assert k.quick("relu_grad", a, a[0]) is None
    assert k.quick("no such kernel", a) is None
    assert k.quick("add", a) is None
    assert k.quick("leaky_relu", a, "x") is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_joins_as_numpy_does(axis: int, dtype: str) -> None:
    k = _native()
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    arrays = [_values(tuple(shape), dtype, i) for i, shape in enumerate(shapes)]
    np.testing.assert_array_equal(k.quick("stack", arrays, axis), np.stack(arrays, axis), strict=True)
    for i, shape in enumerate(shapes):
        shape[axis] += 5 * i
    arrays = [_values(tuple(shape), dtype, i) for i, shape in enumerate(shapes)]
    np.testing.assert_array_equal(
        k.quick("concatenate", arrays, axis), np.concatenate(arrays, axis), strict=True
    )


def test_unusual_joins_go_the_long_way() -> None:
    k = _native()
    a = np.ones((2, 2), np.float32)
    for arrays in (
        [],
        [a, a.T[:1].T],
        [a, a.astype(np.float64)],
        [a, None],
        [a, a[0]],
        [a, np.ones((2, 3), np.float32)],
        [a[:0]],
    ):
        assert k.quick("concatenate", arrays, 0) is None
    for axis in (2, -3, 0.0, True, None, 10**30):
        assert k.quick("concatenate", [a, a], axis) is None
    assert k.quick("stack", [a, a], 3) is None
    assert k.quick("stack", [a, a]) is None


def test_a_recorder_sees_every_launch() -> None:
    a = np.ones((2, 2), np.float32)
    einkorn.set_engine("native")
    with runtime.trace_launches() as launches:
        ops.add(a, a)
        ops.relu(a)
        ops.multiply(a, 2.0)
    assert launches == ["add", "relu", "multiply"]


def test_memory_that_is_limited_is_refused() -> None:
    einkorn.set_engine("native")
    a = np.ones(1 << 20, np.float32)
    limit = einkorn.memory.stats()["limit"]
    einkorn.memory.empty_cache()
    einkorn.memory.set_limit(einkorn.memory.stats()["allocated"] + (1 << 20))
    try:
        with pytest.raises(MemoryError):
            ops.add(a, 1.0)
    finally:
        einkorn.memory.set_limit(limit)


def test_numbers_in_gradients_of_gradients() -> None:
    einkorn.set_engine("native")
    x = Tensor(np.array([1.0, 2.0], np.float64), requires_grad=True)
    y = (3 * x * x / 2.0 + 1) ** 2
    (g,) = einkorn.grad(y.sum(), [x], create_graph=True)
    (h,) = einkorn.grad(g.sum(), [x])
    v = x.numpy()
    np.testing.assert_allclose(g.detach().numpy(), 2 * (1.5 * v * v + 1) * 3 * v)
    np.testing.assert_allclose(h.numpy(), 18 * v * v + 6 * (1.5 * v * v + 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_and_products_have_the_bits_of_the_long_way(dtype: str) -> None:
    k = _native()
    x, b = _values((5, 17), dtype, 1), _values((17, 3), dtype, 2)
    weight, bias = _values((17,), dtype, 3), _values((17,), dtype, 4)
    for op in (ops.softmax, ops.log_softmax):
        long = op(x[None].repeat(300, 0), axis=-1)[0]  # too large for the short cut
        assert k.quick(f"{op.__name__}_forward", x).tobytes() == long.tobytes()
        assert op(x, axis=-1).tobytes() == op(x).tobytes() == op(x, 1).tobytes()
    product = np.empty((5, 3), dtype)
    k.matmul(product, x, b, None, 1.0, 0.0, 0)
    assert k.quick("matmul", x, b).tobytes() == ops.matmul(x, b).tobytes() == product.tobytes()
    many = ops.linear(x[None].repeat(2, 0), b.T, bias[:3], activation="tanh")[
        1
    ]  # of another rank: the long way
    assert k.quick("linear", x, b.T.copy(), bias[:3], 4).tobytes() == many.tobytes()
    assert ops.linear(x, b.T.copy(), bias[:3], activation="tanh").tobytes() == many.tobytes()
    long = ops.layer_norm(x, 17, weight, bias, 1e-3, activation="relu")
    short = k.quick("row_norm", x, weight, bias, 17, 1e-3, True, False)
    np.testing.assert_array_equal(np.where(short < 0, 0, short), long)
    assert ops.layer_norm(x, (17,), weight, bias, 1e-3).tobytes() == short.tobytes()


def test_rows_and_products_decline_what_does_not_fit() -> None:
    k = _native()
    x, weight = np.ones((4, 8), np.float32), np.ones(8, np.float32)
    assert k.quick("softmax_forward", np.float32(1) * np.ones(())) is None
    assert k.quick("softmax_forward", x.T) is None
    assert k.quick("softmax_forward", x, 1) is None
    for a, b in ((x, x), (x, weight), (x, x.T), (x, np.ones((8, 2))), (x[None], x.T.copy())):
        assert k.quick("matmul", a, b) is None
    assert k.quick("matmul", np.ones((300, 1)), np.ones((1, 300))) is None  # large
    for given in (
        (x, x, weight, 0),
        (x, x, weight[:4], 0.0),
        (x, x[:, :7].copy(), weight[:4], 0),
        (x, x, 1.0, 0),
        (x[0], x[:, :7].copy(), None, 0),
        (np.ones(()), x, None, 0),
    ):
        assert k.quick("linear", *given) is None
    for given in ((x.T, 1.0), (x, 1), (x[:0], 1.0), (np.ones(2000), 1.0), (x > 0, 1.0)):
        assert k.quick("reduce_sum", *given) is None
    for given in ((x, weight, weight, 4, 1e-5), (x, weight, weight, 8, 1), (x, weight, weight, 8, None)):
        assert k.quick("row_norm", *given, True, False) is None
    assert k.quick("row_norm", x, weight[:4], weight, 8, 1e-5, True, False) is None
    assert k.quick("row_norm", x, weight, weight.astype(np.float64), 8, 1e-5, True, True) is None
    assert k.quick("row_norm", x) is None
    for axis in (-1.0, True, 5):
        with pytest.raises((TypeError, ValueError)):
            ops.softmax(x, axis)


def test_recorded_layers_and_sums_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result and the gradients of both ways are the same bits, those of gradients too."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((2, 3, 8), (5, 8), (5,))]
    calls = [
        lambda x, w, b: ops.linear(x, w),
        lambda x, w, b: ops.linear(x, w, b, activation="tanh"),
        lambda x, w, b: ops.linear(x[0, 0], w, b),
        lambda x, w, b: ops.sum(x * x),
        lambda x, w, b: ops.mean(x * x),
        lambda x, w, b: ops.sum(ops.sum(x) * x),
    ]

    def everything(call: Any) -> list[tuple[Any, bytes]]:
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        y = call(*leaves)
        once = einkorn.grad(y, leaves[0], Tensor(np.ones(y.shape)), create_graph=True)[0]
        twice = einkorn.grad(ops.sum(once * once), leaves, allow_unused=True) if once.requires_grad else []
        found = [t for t in (y, once, *twice) if t is not None]
        return [(t.shape, t.detach().numpy().tobytes()) for t in found]

    short = [everything(call) for call in calls]
    monkeypatch.setattr(_native(), "quick", lambda *operands: None)
    for call, result in zip(calls, short, strict=True):
        assert everything(call) == result


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm])
def test_recorded_norms_go_the_short_way(norm: Any, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result and the gradients of both ways are the same bits, those of gradients too."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((2, 3, 8), (8,), (8,))][: 3 if weighted else 1]
    if norm is ops.rms_norm:
        arrays = arrays[:2]
    g = rng.standard_normal((2, 3, 8))

    def everything() -> list[bytes]:
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        y = norm(leaves[0], (8,), *leaves[1:])
        once = einkorn.grad(y, leaves, Tensor(g), create_graph=True)
        twice = einkorn.grad(once[0], leaves[0], g)
        return [np.asarray(t.detach() if isinstance(t, Tensor) else t).tobytes() for t in (y, *once, *twice)]

    short = everything()
    monkeypatch.setattr(_native(), "quick", lambda *operands: None)
    assert everything() == short


def test_gradients_after_the_short_cut() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    g = rng.standard_normal((3, 5))
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    ga, gb = einkorn.grad(ops.matmul(x, y), [x, y], g)
    np.testing.assert_allclose(np.asarray(ga), g @ b.T)
    np.testing.assert_allclose(np.asarray(gb), a.T @ g)
    weight, bias = Tensor(b.T.copy(), requires_grad=True), Tensor(np.zeros(5), requires_grad=True)
    gx, gw, gb = einkorn.grad(ops.linear(x, weight, bias), [x, weight, bias], g)
    np.testing.assert_allclose(np.asarray(gx), g @ b.T)
    np.testing.assert_allclose(np.asarray(gw), g.T @ a)
    np.testing.assert_allclose(np.asarray(gb), g.sum(0))
    p = ops.softmax(x)
    (gx,) = einkorn.grad(p, [x], g[:, :4])
    q = np.asarray(p)
    np.testing.assert_allclose(np.asarray(gx), q * (g[:, :4] - (q * g[:, :4]).sum(1, keepdims=True)))
