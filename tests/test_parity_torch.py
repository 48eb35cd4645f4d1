"""Parity with PyTorch, forward and backward, where it is installed and defines the same.

PyTorch in float64 is the truth here, and PyTorch's own float32 error the yardstick.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from checking import (
    EPS,
    FLOOR,
    all_cases,
    as_arrays,
    each_case,
    gradients,
    relative_error,
    tolerance,
    truths_of,
    weights_like,
)

import einkorn
from einkorn.cases import Case, as_tuple

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning"),
    pytest.mark.filterwarnings("ignore:var.*degrees of freedom:UserWarning"),
]

COMPARED = [(f, c) for f, c in all_cases() if c.op.torch is not None and not c.torch_differs]


def _tensors(torch: Any, arrays: list[Any], dtype: str) -> list[Any]:
    """The numbers of ``arrays`` as contiguous torch tensors, floats in ``dtype``."""
    return [
        None
        if a is None
        else torch.from_numpy(np.array(a, dtype if a.dtype.kind == "f" else a.dtype, order="C"))
        for a in arrays
    ]


def forward_of(torch: Any, case: Case, dtype: str, compute: str) -> list[np.ndarray]:
    tensors = _tensors(torch, case.make(dtype), compute)
    with torch.no_grad():
        return [r.detach().numpy() for r in as_tuple(case.run_torch(torch, tensors))]


def gradients_of(torch: Any, case: Case, dtype: str, compute: str) -> list[np.ndarray]:
    tensors = _tensors(torch, case.make(dtype), compute)
    leaves = [tensors[i].requires_grad_() for i in case.wanted]
    out = as_tuple(case.run_torch(torch, tensors))[0]
    (weights,) = weights_like([tuple(out.shape)])
    upstream = torch.from_numpy(np.asarray(np.asarray(weights, dtype), compute))
    found = torch.autograd.grad(out, leaves, upstream, allow_unused=True)
    return [np.zeros(leaf.shape) if g is None else g.numpy() for leaf, g in zip(leaves, found, strict=True)]


@each_case(COMPARED)
def test_forward(case: Case, all_engines: Iterable[str], torch: Any) -> None:
    expected = {
        dtype: (forward_of(torch, case, dtype, "float64"), forward_of(torch, case, dtype, dtype))
        for dtype in case.dtypes
    }
    for _ in all_engines:
        for dtype, (truths, same_type) in expected.items():
            got = as_arrays(case.run(einkorn, case.make(dtype), np.dtype(dtype)))
            for index, (ours, truth, theirs) in enumerate(zip(got, truths, same_type, strict=True)):
                assert_as_near(case, dtype, index, ours, truth, theirs)


def assert_as_near(case: Case, dtype: str, index: int, ours: Any, truth: Any, theirs: Any) -> None:
    """As near to the truth as torch is in the same type."""
    assert ours.shape == theirs.shape
    if theirs.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs)
        return
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(np.where(finite, 0, ours), np.where(finite, 0, theirs))
    scale = truths_of(case, dtype)[index][1]
    error = relative_error(ours, truth, scale, dtype)
    yardstick = relative_error(theirs, truth, scale, dtype)
    assert error <= 2 * yardstick + tolerance(case, dtype, index)


@each_case([(f, c) for f, c in COMPARED if c.wanted])
def test_gradient(case: Case, all_engines: Iterable[str], torch: Any) -> None:
    expected = {
        dtype: (gradients_of(torch, case, dtype, "float64"), gradients_of(torch, case, dtype, dtype))
        for dtype in case.dtypes
    }
    for _ in all_engines:
        for dtype, (truths, same_type) in expected.items():
            got = gradients(case, dtype)
            for ours, truth, theirs in zip(got, truths, same_type, strict=True):
                assert ours.shape == theirs.shape
                size = 1 + np.abs(truth).max(initial=0)
                error = np.abs(ours - truth).max(initial=0) / size
                yardstick = np.abs(theirs - truth).max(initial=0) / size
                assert error <= 2 * yardstick + 4 * FLOOR[dtype] * EPS[dtype]


TIES = {
    "max": lambda lib, x: lib.max(x, axis=1) if lib is einkorn.ops else lib.amax(x, 1),
    "min": lambda lib, x: lib.min(x, axis=1) if lib is einkorn.ops else lib.amin(x, 1),
    "maximum": lambda lib, x: lib.maximum(x, x * 0),
    "minimum": lambda lib, x: lib.minimum(x, x * 0),
    "relu": lambda lib, x: lib.relu(x),
    "absolute": lambda lib, x: lib.absolute(x),
}


@pytest.mark.parametrize("name", TIES)
def test_gradient_at_ties(name: str, engine: str, torch: Any) -> None:
    """Where the derivative jumps, the convention is PyTorch's: ties share, kinks give 0."""
    values = np.array([[2.0, 2.0, 0.0, -1.0], [0.0, -3.0, -3.0, -3.0]], np.float32)
    ours = einkorn.Tensor(values, requires_grad=True)
    TIES[name](einkorn.ops, ours).sum().backward()
    theirs = torch.tensor(values, requires_grad=True)
    TIES[name](torch, theirs).sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())
