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
