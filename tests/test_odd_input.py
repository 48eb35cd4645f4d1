"""Odd but valid input is computed right: byte orders, integer types, strides, subclasses, flags, numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from einkorn import ops
from einkorn.errors import ArgumentError, IndexRangeError


def f(*shape: int) -> np.ndarray:
    """Numbers that are all different."""
    return (np.arange(np.prod(shape, dtype=int), dtype=np.float32) + 1).reshape(shape) / 8


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _big_endian(dtype: str) -> np.ndarray:
    return f(3, 5).astype(np.dtype(dtype).newbyteorder(">"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_big_endian_is_converted(dtype: str, engine: str) -> None:
    x = _big_endian(dtype)
    got = ops.add(x, x)
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got, x + x)


def test_big_endian_indices(engine: str) -> None:
    target = labels(0, 2, 1).astype(">i8")
    got = ops.cross_entropy(f(3, 4), target)
    assert got == ops.cross_entropy(f(3, 4), labels(0, 2, 1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint64"])
def test_any_integer_type_indexes(dtype: str, engine: str) -> None:
    target = np.array([0, 3, 1], dtype)
    assert ops.cross_entropy(f(3, 4), target) == ops.cross_entropy(f(3, 4), labels(0, 3, 1))


def test_indices_beyond_int64_are_refused(engine: str) -> None:
    with pytest.raises(IndexRangeError, match=r"^cross_entropy: .*target"):
        ops.cross_entropy(f(2, 4), np.array([0, 2**64 - 1], np.uint64))


def test_field_of_a_record_array(engine: str) -> None:
    """Strides that are no multiple of the element: misaligned, so copied first."""
    records = np.zeros(7, dtype=[("tag", "u1"), ("value", "f4")])
    records["value"] = f(7)
    np.testing.assert_array_equal(ops.multiply(records["value"], f(7)), f(7) * f(7))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_subclasses_become_arrays(engine: str) -> None:
    got = ops.add(np.matrix([[1.0, 2.0]], np.float32), np.ones((1, 2), np.float32))
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, [[2.0, 3.0]])


def test_masked_elements_are_refused(engine: str) -> None:
    with pytest.raises(ArgumentError, match="relu: x is an array with masked elements"):
        ops.relu(np.ma.masked_array(f(4) - 1, mask=[0, 1, 0, 0]))
    got = ops.relu(np.ma.masked_array(f(4) - 1, mask=[0, 0, 0, 0]))
    assert type(got) is np.ndarray
    assert got.shape == (4,)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.relu(x),
        lambda x: ops.matmul(x, x.T),
        lambda x: ops.sum(x, 0),
        lambda x: ops.softmax(x),
        lambda x: ops.conv2d(x.reshape(1, 1, 6, 7), np.ones((1, 1, 3, 3), np.float32)),
        lambda x: ops.max_pool2d(x.reshape(1, 1, 6, 7), 2),
        lambda x: ops.mse_loss(x, x),
    ],
)
def test_read_only_input(call: Callable[[Any], Any], engine: str) -> None:
    x = f(6, 7)
    expected = np.array(call(x))
    x.flags.writeable = False
    np.testing.assert_array_equal(call(x), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.relu(x),
        lambda x: ops.sum(x),
        lambda x: ops.max(x),
        lambda x: ops.matmul(x, np.ones((7, 2), np.float32)),
        lambda x: ops.conv2d(x.reshape(1, 1, 6, 7), np.ones((1, 1, 3, 3), np.float32)),
        lambda x: ops.max_pool2d(x.reshape(1, 1, 6, 7), 2),
        lambda x: ops.avg_pool2d(x.reshape(1, 1, 6, 7), 2),
        lambda x: ops.mse_loss(x, np.zeros((6, 7), np.float32)),
    ],
)
def test_not_finite_input_shows(call: Callable[[Any], Any], value: float, engine: str) -> None:
    x = f(6, 7)
    x[2, 3] = value
    result = np.asarray(call(x))
    assert np.isnan(result).any() if np.isnan(value) else np.isinf(result).any()
