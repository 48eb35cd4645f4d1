"""Hooks of modules, beside torch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn
from einkorn.errors import GradientError

KINDS = (
    "register_forward_pre_hook",
    "register_forward_hook",
    "register_full_backward_pre_hook",
    "register_full_backward_hook",
)


def values(x):
    """Tensors of either library as lists, the rest as it is."""
    if isinstance(x, tuple):
        return tuple(map(values, x))
    return x if x is None else np.round(x.detach().numpy(), 5).tolist()


def run(library, tensor, replace, needs_grad):
    """A linear layer with every kind of hook: what each saw, the result, and the gradients."""
    layer = library.Linear(2, 2)
    layer.load_state_dict({"weight": tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": tensor([0.5, -0.5])})
    model = library.Sequential(layer, library.Tanh())
    x = tensor([[0.1, -0.2]])
    x.requires_grad_(needs_grad)
    seen = []

    def hook(kind):
        def called(module, *given):
            seen.append((kind, tuple(values(g) for g in given)))
            if not replace:
                return None
            last = given[0] if "pre" in kind or "backward" in kind else given[1]
            return (
                tuple(None if g is None else g * 2.0 for g in last) if isinstance(last, tuple) else last * 2.0
            )

        return called

    for kind in KINDS:
        getattr(layer, kind)(hook(kind))
    out = model(x)
    out.sum().backward()
    return seen, values(out), values(x.grad), values(layer.weight.grad)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("needs_grad", [True, False])
def test_hooks_as_torch_calls_them(replace, needs_grad):
    torch = pytest.importorskip("torch")
    wanted = run(torch.nn, torch.tensor, replace, needs_grad)
    assert run(nn, lambda x: Tensor(np.array(x, np.float32)), replace, needs_grad) == wanted


def test_order_removal_and_keyword_arguments():
    class Scale(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    module, seen = Scale(), []
    module.register_forward_pre_hook(lambda m, args: seen.append("second"))
    module.register_forward_pre_hook(lambda m, args: seen.append("first"), prepend=True)
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 3.0}), with_kwargs=True)
    handle = module.register_forward_hook(
        lambda m, args, kwargs, out: seen.append(kwargs["factor"]), with_kwargs=True
    )
    assert module(Tensor([2.0])).item() == 6
    assert seen == ["first", "second", 3.0]
    handle.remove()
    handle.remove()
    module(Tensor([2.0]))
    assert seen == ["first", "second", 3.0, "first", "second"]
    with module.register_forward_hook(lambda m, args, out: out * 0.0):
        assert module(Tensor([2.0])).item() == 0
    assert module(Tensor([2.0])).item() == 6
    assert copy.deepcopy(module)(Tensor([2.0])).item() == 6


def test_a_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise RuntimeError("from forward")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append("not this one"))
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError, match="from forward"):
        module(Tensor([1.0]))
    assert seen == [None]


def test_several_outputs_of_which_one_is_used():
    class Two(nn.Module):
        def forward(self, x):
            return {"double": x * 2.0, "square": x * x, "name": "two"}

    module, seen = Two(), []
    module.register_full_backward_hook(lambda m, gx, gy: seen.append((values(gx), values(gy))))
    x = Tensor([3.0], requires_grad=True)
    out = module(x)
    assert out["name"] == "two"
    out["square"].sum().backward()
    assert x.grad.item() == 6
    assert seen == [(([6.0],), (None, [1.0]))]


def test_gradients_through_hooked_modules_are_differentiable():
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda m, gx, gy: None)
    x = Tensor(np.array([[0.3, -0.4]], np.float32), requires_grad=True)
    (g,) = einkorn.grad((layer(x) ** 2).sum(), x, create_graph=True)
    (g * g).sum().backward()
    w, y = layer.weight.numpy()[0], float(layer(x).item())
    expected = 8 * y * y * w + 8 * y * float(w @ w) * x.numpy()[0]
    np.testing.assert_allclose(layer.weight.grad.numpy()[0], expected, rtol=1e-4)


def test_a_backward_hook_that_returns_too_few():
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda m, gx, gy: ())
    x = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    out = layer(x).sum()
    with pytest.raises(GradientError, match="0 gradients, expected 1"):
        out.backward()
