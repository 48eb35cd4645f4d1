"""Gradients of gradients: every operation's, against differences of its own first gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checking import all_cases, each_case, weights_like

import einkorn
from einkorn.autograd import grad
from einkorn.cases import Case, as_tuple
from einkorn.errors import GradientError

#: Whose gradients are kernels and nothing else: recorded once, refused by name after that.
FIRST_ORDER_ONLY = {"attention", "rnn", "grid_sample", "embedding_bag", "crf", "ctc"}

CASES = [
    (f, c) for f, c in all_cases() if c.wanted and sum(x.size for x in c.inputs if x is not None) <= 3000
]


def of(families: Any) -> list[tuple[str, Case]]:
    named = [(c.op.name if c.op.name in FIRST_ORDER_ONLY else f, f, c) for f, c in CASES]
    return [(f, c) for name, f, c in named if families(name)]


def slopes(
    case: Case, arrays: list[Any], weights: list[np.ndarray], create_graph: bool
) -> tuple[Any, list[Any]]:
    """The inputs as Tensors, and the gradients of the weighted sum of the first result."""
    inputs = [None if a is None else a.copy() for a in arrays]
    leaves = []
    for i in case.wanted:
        inputs[i] = einkorn.Tensor(inputs[i], requires_grad=True)
        leaves.append(inputs[i])
    out = as_tuple(case.run(einkorn, inputs, np.dtype(np.float64)))[0]
    return leaves, list(grad(out, leaves, weights[0], create_graph=create_graph))


@each_case(of(lambda family: family not in FIRST_ORDER_ONLY))
def test_second_derivatives(case: Case) -> None:
    """The derivative of <gradient, v> along a direction, for each input."""
    arrays = list(case.make("float64"))
    out = as_tuple(case.run(einkorn, list(arrays), np.dtype(np.float64)))[0]
    weights = weights_like([np.shape(out)])
    leaves, first = slopes(case, arrays, weights, True)
    rng = np.random.default_rng(11)
    vectors = [rng.standard_normal(g.shape) for g in first]
    total = sum((g * v).sum() for g, v in zip(first, vectors, strict=True))
    if total.requires_grad:
        second = grad(total, leaves, allow_unused=True, materialize_grads=True)
    else:  # the gradient is a constant
        second = [einkorn.Tensor(np.zeros(x.shape)) for x in leaves]

    def scalar(changed: list[Any]) -> float:
        _, gradients = slopes(case, changed, weights, False)
        return float(sum((g.numpy() * v).sum() for g, v in zip(gradients, vectors, strict=True)))

    for position, gradient in zip(case.wanted, second, strict=True):
        direction = rng.standard_normal(arrays[position].shape)
        if not direction.size:
            continue
        step = 1e-6
        above, below = list(arrays), list(arrays)
        above[position] = arrays[position] + step * direction
        below[position] = arrays[position] - step * direction
        wanted = (scalar(above) - scalar(below)) / (2 * step)
        got = float((gradient.numpy() * direction).sum())
        size = 1 + np.abs(gradient.numpy() * direction).sum() + abs(scalar(arrays))
        assert abs(got - wanted) <= 1e-6 * size, f"input {position}: {got}, expected {wanted}"


@each_case(of(lambda family: family in FIRST_ORDER_ONLY))
def test_first_order_alone_is_refused_by_name(case: Case) -> None:
    arrays = list(case.make("float64"))
    out = as_tuple(case.run(einkorn, list(arrays), np.dtype(np.float64)))[0]
    with pytest.raises(GradientError, match="cannot be differentiated once more"):
        slopes(case, arrays, weights_like([np.shape(out)]), True)
