"""The tape: whose memory a gradient is, what changes in between, and hooks in their order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import Tensor


def leaf(*shape, seed=0):
    values = np.random.default_rng(seed).uniform(0.5, 2.0, size=shape)
    return Tensor(values, requires_grad=True)


def test_a_gradient_that_an_operation_made_is_not_copied_because_it_was_reshaped():
    from einkorn import _tape

    fresh = np.full(6, 3.0).reshape(2, 3)
    assert _tape.own(fresh, None) is fresh
    twice = np.full(6, 3.0)  # somebody else holds it
    seen = twice.reshape(2, 3)
    assert not np.shares_memory(_tape.own(seen, None), twice)
    part = np.full(12, 3.0)[:6].reshape(2, 3)  # memory that would stay for nothing
    assert _tape.own(part, None) is not part
    pair = np.full(6, 3.0)
    left, right = pair.reshape(2, 3), pair.reshape(3, 2)
    del pair
    assert not np.shares_memory(_tape.own(left, None), right)


def test_gradients_share_no_memory_with_what_went_in():
    x, y = leaf(2, 3), leaf(2, 3, seed=1)
    start = np.ones((3, 2))
    gx, gy = einkorn.grad((x + y).reshape(3, 2), (x, y), start)
    assert not any(np.shares_memory(a, b) for a, b in ((gx, gy), (gx, start), (gy, start)))


@pytest.mark.parametrize(
    "through",
    [lambda x: x.clone(), einkorn.clone, lambda x: x.clone().relu_(), lambda x: x.clone().mul_(1.0)],
)
def test_a_clone_can_be_differentiated_twice(through):
    x = leaf(4)
    (gx,) = einkorn.grad((through(x) ** 3).sum(), x, create_graph=True)
    (gx**2).sum().backward()
    assert_allclose(x.grad, 36 * x.detach().numpy() ** 3, rtol=1e-12)


@pytest.mark.parametrize("retains_first", [True, False])
def test_a_retained_gradient_is_what_hooks_leave(retains_first):
    x = Tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)
    y = x.relu()
    if retains_first:
        y.retain_grad()
    hook = y.register_hook(lambda g: g * 3)
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    assert_array_equal(y.grad, np.full(3, 3.0))
    assert_array_equal(x.grad, [3.0, 0.0, 3.0])
    hook.remove()


@pytest.mark.parametrize("limits", [{"min": 0}, {"max": 2}, {"min": 0, "max": 2}])
def test_what_clip_gave_may_be_changed_in_place(limits):
    x = Tensor(np.array([[1.0, -2.0, 3.0], [0.0, 2.0, np.nan]]), requires_grad=True)
    y = x.clip(**limits)
    y.mul_(2)
    y.sum().backward()
    low, high = limits.get("min", -np.inf), limits.get("max", np.inf)
    held = (x.detach().numpy() >= low) & (x.detach().numpy() <= high)
    assert_array_equal(x.grad, 2.0 * held)
