"""Results too large for the caches, which kernels store past them: the same bits as in parts."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn
from einkorn import ops

ROWS, WIDTH = 8209, 1024  # 34 MB


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm", "rms_norm"])
def test_rows_of_large_arrays(name: str) -> None:
    function = getattr(ops, name)

    def op(x: np.ndarray) -> np.ndarray:
        return np.asarray(function(x, WIDTH) if "norm" in name else function(x))

    x = np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32)
    x[7] = -np.inf
    x[8, 3] = np.nan
    x[9] = 3e38
    x[10, :5] = -np.inf
    whole = op(x)
    parts = np.concatenate([op(x[:4000]), op(x[4000:])])
    if name == "softmax":
        np.testing.assert_allclose(whole, parts, 1e-6)
    else:
        np.testing.assert_array_equal(whole, parts)


def test_dropout_of_large_arrays() -> None:
    """What is kept is what the same stream's uniform numbers say, at any place in memory."""
    n = ROWS * WIDTH
    einkorn.manual_seed(3)
    u = ops.uniform((n,))
    x = np.arange(n + 1, dtype=np.float32)[1:]
    einkorn.manual_seed(3)
    np.testing.assert_array_equal(ops.dropout(x, 0.25), np.where(u >= 0.25, x * np.float32(1 / 0.75), 0))
    einkorn.manual_seed(3)
    np.testing.assert_array_equal(ops.uniform((1000,)), u[:1000])
