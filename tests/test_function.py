"""einkorn.grad, hooks, functions of one's own, and recomputation."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.autograd import Node
from einkorn.errors import ArgumentError, DTypeError, GradientError, ShapeError
from einkorn.function import checkpoint


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float64), requires_grad=True)


# --- grad ------------------------------------------------------------------------------------------


def test_grad_returns_and_adds_to_nothing():
    x, y = leaf(1, 2), leaf(3, 4)
    gx, gy = einkorn.grad((x * x * y).sum(), (x, y))
    assert gx.numpy().tolist() == [6, 16]
    assert gy.numpy().tolist() == [1, 4]
    assert x.grad is None
    assert not gx.requires_grad


def test_grad_of_what_was_computed_on_the_way():
    x = leaf(1, 2)
    h = x * 3.0
    (gh,) = einkorn.grad((h * h).sum(), h)
    assert gh.numpy().tolist() == [6, 12]


def test_grad_stops_at_what_is_wanted():
    x = leaf(1, 2)
    h = x * 3.0
    deeper = h * h
    einkorn.grad(deeper.sum(), deeper)
    deeper.sum().backward()  # the part below was not touched
    assert x.grad.numpy().tolist() == [18, 36]


def test_grad_of_several_outputs_and_of_an_output_itself():
    x = leaf(1, 2)
    a, b = x * 2.0, x * x
    (g,) = einkorn.grad([a, b], x, [np.ones(2), Tensor(np.array([1.0, 10.0]))])
    assert g.numpy().tolist() == [4, 42]
    (g,) = einkorn.grad(x, x, np.array([5.0, 6.0]))
    assert g.numpy().tolist() == [5, 6]


def test_unused_inputs():
    x, y = leaf(1, 2), leaf(3)
    with pytest.raises(GradientError, match=r"inputs\[1\]"):
        einkorn.grad((x * x).sum(), (x, y))
    assert einkorn.grad((x * x).sum(), (x, y), allow_unused=True)[1] is None
    assert einkorn.grad((x * x).sum(), (x, y), materialize_grads=True)[1].numpy().tolist() == [0]


def test_what_grad_refuses():
    x = leaf(1, 2)
    with pytest.raises(GradientError, match="scalar"):
        einkorn.grad(x * x, x)
    with pytest.raises(GradientError, match="does not require"):
        einkorn.grad((x * x).sum(), Tensor([1.0]))
    with pytest.raises(ShapeError, match="grad_outputs"):
        einkorn.grad([x * x, x * x], x, [np.ones(2)])
    with pytest.raises(DTypeError, match="outputs"):
        einkorn.grad(1.0, x)
    with pytest.raises(ArgumentError, match="is_grads_batched"):
        einkorn.grad((x * x).sum(), x, is_grads_batched=True)


def test_third_derivative_and_a_used_graph():
    x = leaf(2)
    y = (x**4).sum()
    (first,) = einkorn.grad(y, x, create_graph=True)
    (second,) = einkorn.grad(first.sum(), x, create_graph=True)
    (third,) = einkorn.grad(second.sum(), x)
    assert (first.item(), second.item(), third.item()) == (32, 48, 48)
    with pytest.raises(GradientError, match="already used"):
        einkorn.grad(second.sum(), x)


def test_backward_that_creates_a_graph():
    """The gradient penalty of a critic, against torch."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, w, v = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)), rng.standard_normal((1, 4))

    tx, tw, tv = (torch.tensor(a, requires_grad=True) for a in (x, w, v))
    out = torch.tanh(tx @ tw.T) @ tv.T
    (g,) = torch.autograd.grad(out.sum(), tx, create_graph=True)
    ((g.norm(2, dim=1) - 1) ** 2).mean().backward()

    ex, ew, ev = (Tensor(a, requires_grad=True) for a in (x, w, v))
    out = ops.linear(ops.linear(ex, ew, activation="tanh"), ev)
    (g,) = einkorn.grad(out.sum(), ex, create_graph=True)
    ops.mean(ops.square(ops.sqrt(ops.sum(ops.square(g), 1)) - 1.0)).backward()
    np.testing.assert_allclose(ew.grad.numpy(), tw.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ev.grad.numpy(), tv.grad.numpy(), rtol=1e-12)


def test_backward_with_create_graph_leaves_gradients_that_are_recorded():
    x = leaf(3)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (second,) = einkorn.grad(x.grad.sum(), x)
    assert second.item() == 18
    (x**3).sum().backward()
    assert x.grad.item() == 54


def test_backward_for_some_leaves():
    x, y = leaf(1, 2), leaf(3, 4)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.numpy().tolist() == [3, 4]
    assert y.grad is None
    with pytest.raises(GradientError, match="leaf"):
        (x * y).sum().backward(inputs=[x * 2.0])


def test_saved_values_overwritten_before_the_second_pass():
    x = leaf(1, 2)
    (g,) = einkorn.grad((x * x * x).sum(), x, create_graph=True)
    with einkorn.no_grad():
        x *= 2.0
    with pytest.raises(GradientError, match="overwritten"):
        g.sum().backward()


# --- hooks -----------------------------------------------------------------------------------------


def test_hooks_of_leaves_and_of_computed_tensors():
    x = leaf(1, 2)
    h = x * 3.0
    seen = []
    on_h = h.register_hook(lambda g: seen.append(g.numpy().copy()))
    x.register_hook(lambda g: g * 10.0)
    (h * h).sum().backward(retain_graph=True)
    assert seen[0].tolist() == [6, 12]
    assert x.grad.numpy().tolist() == [180, 360]
    on_h.remove()
    on_h.remove()
    (h * h).sum().backward()
    assert len(seen) == 1


def test_a_hook_sees_the_sum_and_may_replace_it():
    x = leaf(1, 2)
    h = x * 1.0
    h.register_hook(lambda g: Tensor(np.array([7.0, 8.0])))
    (h + h * h).sum().backward()
    assert x.grad.numpy().tolist() == [7, 8]
    y = x * 1.0
    y.register_hook(lambda g: np.ones(3))
    with pytest.raises(ShapeError, match="gradient that was returned"):
        y.sum().backward()


def test_hook_on_what_needs_no_gradient():
    with pytest.raises(GradientError, match="register_hook"):
        Tensor([1.0]).register_hook(print)


def test_after_accumulation_and_retained_gradients():
    x = leaf(1, 2)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.numpy().copy()))
    h = x * 2.0
    h.retain_grad()
    h.sum().backward()
    assert seen[0].tolist() == [2, 2]
    assert h.grad.numpy().tolist() == [1, 1]
    with pytest.raises(GradientError, match="no leaf"):
        h.register_post_accumulate_grad_hook(print)


def test_an_exception_in_a_hook_is_not_swallowed():
    x = leaf(1)

    def fail(g):
        raise RuntimeError("from the hook")

    x.register_hook(fail)
    with pytest.raises(RuntimeError, match="from the hook"):
        (x * x).sum().backward()


# --- functions of one's own ------------------------------------------------------------------------


class Cube(einkorn.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3.0 * x * x


class ExpAndCount(einkorn.Function):
    """Two results, one saved and one a constant, and an argument without gradient."""

    @staticmethod
    def forward(ctx, x, scale, bias):
        out = ops.exp(x) * scale
        count = Tensor(np.array(float(x.numel())))
        ctx.scale = scale
        ctx.save_for_backward(out)
        ctx.mark_non_differentiable(count)
        return out, count, bias * 2.0

    @staticmethod
    def backward(ctx, g_out, g_count, g_bias):
        (out,) = ctx.saved_tensors
        assert ctx.needs_input_grad[:2] == (True, False)
        return g_out * out, None, g_bias * 2.0


def test_function_and_its_second_derivative():
    x = leaf(2, 3)
    (g,) = einkorn.grad(Cube.apply(x).sum(), x, create_graph=True)
    assert g.numpy().tolist() == [12, 27]
    assert einkorn.grad(g.sum(), x)[0].numpy().tolist() == [12, 18]


def test_function_of_several_results():
    x, bias = leaf(0, 1), leaf(5)
    out, count, doubled = ExpAndCount.apply(x, 3.0, bias)
    assert not count.requires_grad
    assert count.item() == 2
    (out.sum() + doubled.sum() * 4.0).backward(retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.exp([0, 1]))
    assert bias.grad.item() == 8
    bias.zero_grad()
    out.sum().backward()  # nothing arrives from the other result: zeros
    assert bias.grad.item() == 0
    (g,) = einkorn.grad(ExpAndCount.apply(x, 3.0, bias)[0].sum(), x, create_graph=True)
    np.testing.assert_allclose(einkorn.grad(g.sum(), x)[0].numpy(), 3 * np.exp([0, 1]))


def test_function_without_gradients_records_nothing():
    assert not Cube.apply(Tensor([2.0])).requires_grad
    with einkorn.no_grad():
        assert not Cube.apply(leaf(2)).requires_grad


def test_what_functions_refuse():
    class Bad(einkorn.Function):
        @staticmethod
        def forward(ctx, x, what):
            ctx.what = what
            return x.numpy() if what == "array" else x * 1.0

        @staticmethod
        def backward(ctx, g):
            return (g, None, None) if ctx.what == "fine" else g if ctx.what == "few" else (g.sum(), None)

    x = leaf(1, 2)
    with pytest.raises(GradientError, match="Bad: forward returned a ndarray"):
        Bad.apply(x, "array")
    with pytest.raises(GradientError, match="expected 2"):
        Bad.apply(x, "few").sum().backward()
    with pytest.raises(ShapeError, match="Bad: the gradient of argument 0"):
        Bad.apply(x, "shape").sum().backward()
    Bad.apply(x, "fine").sum().backward()
    assert x.grad.numpy().tolist() == [1, 1]


def test_what_a_function_saved_and_somebody_overwrote():
    x = leaf(2, 3)
    y = Cube.apply(x)
    with einkorn.no_grad():
        x += 1.0
    with pytest.raises(GradientError, match="overwritten"):
        y.sum().backward()


# --- recomputation ---------------------------------------------------------------------------------


def block() -> nn.Sequential:
    einkorn.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Dropout(0.5), nn.Linear(32, 6))


def gradients_of(run) -> list[np.ndarray]:
    model = block()
    x = Tensor(np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6), requires_grad=True)
    einkorn.manual_seed(5)
    h = run(model, x)
    (run(model, h) * 2.0).sum().backward()
    return [x.grad.numpy(), *(p.grad.numpy() for p in model.parameters())]


def test_recomputed_gradients_are_the_same_bits():
    plain = gradients_of(lambda model, x: model(x))
    again = gradients_of(lambda model, x: checkpoint(model, x))
    for a, b in zip(plain, again, strict=True):
        assert a.tobytes() == b.tobytes()


def test_nothing_of_the_inside_is_kept():
    model = block()
    x = Tensor(np.ones((4, 6), np.float32))
    out = checkpoint(model, x)
    inside = [node for node in (out._node, *out._node.inputs) if isinstance(node, Node)]
    assert len(inside) == 2  # the result's own and the one that leads to the arguments
    kept = inside[1].saved
    assert sum(a.size for a in kept if a is not None) == x.numel() + sum(
        p.numel() for p in model.parameters()
    )


def test_recomputation_of_several_results_twice_differentiated():
    x = leaf(1, 2)
    y = leaf(3, 4)

    def both(a, scale):
        return a * a * scale, a * y

    one, two = checkpoint(both, x, 2.0)
    gx, gy = einkorn.grad((one * two).sum(), (x, y), create_graph=True)
    np.testing.assert_allclose(gx.numpy(), 6 * x.data**2 * y.data)
    np.testing.assert_allclose(gy.numpy(), 2 * x.data**3)
    np.testing.assert_allclose(einkorn.grad(gx.sum(), x)[0].numpy(), 12 * x.data * y.data)


def test_recomputation_where_nothing_is_recorded():
    with einkorn.no_grad():
        assert not checkpoint(block(), Tensor(np.ones((4, 6), np.float32))).requires_grad
    assert checkpoint(lambda a: a * 2.0, Tensor([1.0])).item() == 2
