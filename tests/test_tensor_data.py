"""``t.data``: a Tensor of the same memory that is cut from the graph, as torch's programs use it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import einkorn
from einkorn import Tensor, nn
from einkorn.errors import GradientError, ShapeError

torch = pytest.importorskip("torch")

WRITES = {
    "fill_": lambda w, one: w.data.fill_(2.0),
    "zero_": lambda w, one: w.data.zero_(),
    "clamp_": lambda w, one: w.data.clamp_(-0.5, 0.5),
    "add_": lambda w, one: w.data.add_(w.grad.data, alpha=-0.1),
    "copy_": lambda w, one: w.data.copy_(one),
    "item": lambda w, one: w.data.__setitem__(0, 1.0),
    "column": lambda w, one: w.data[:, 1].mul_(3.0),
    "mask": lambda w, one: w.data.__setitem__(w.data > 0, 0.0),
    "view": lambda w, one: w.data.view(-1).sub_(1.0),
    "transposed": lambda w, one: w.t().data.mul_(2.0),
    "gradient": lambda w, one: w.grad.data.zero_(),
    "gradient detached": lambda w, one: w.grad.detach_().zero_(),
}


def minus(w, one):
    w.data -= 0.1 * w.grad.data


def times(w, one):
    w.data *= one + one


def taken(w, one):
    w.data = one


def computed(w, one):
    w.data = w.data - 0.1 * w.grad


WRITES |= {"-=": minus, "*=": times, "=": taken, "= new": computed}


@pytest.mark.parametrize("name", WRITES)
def test_writes_through_data_reach_the_parameter_and_no_graph(name):
    values = np.array([[1.0, -2.0, 3.0], [-0.25, 0.125, 4.0]], np.float32)
    found = []
    for library in (einkorn, torch):
        w = library.nn.Parameter(library.tensor(values))
        (w * w).sum().backward()
        result = (w * 3.0).sum()
        WRITES[name](w, library.ones(2, 3))
        assert w.requires_grad
        assert w.is_leaf
        assert not w.data.requires_grad
        result.backward()
        found.append((w.detach().numpy(), w.grad.numpy()))
    for mine, theirs in zip(*found, strict=True):
        assert_array_equal(mine, theirs)


def test_data_shares_the_memory():
    base = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    w = nn.Parameter(base)
    for shown in (w, w[1], w.t(), w[:, ::2], einkorn.ones(()), einkorn.zeros(0, 3), einkorn.arange(3)):
        data = shown.data
        assert isinstance(data, Tensor)
        assert data.shape == shown.shape
        assert data.stride() == shown.stride()
        assert data.dtype == shown.dtype
        assert data.data_ptr() == shown.data_ptr() or not data.numel()
    with einkorn.no_grad():
        memory = w.data
        w += 1.0
    assert_array_equal(memory, base)
    memory.numpy()[0, 0] = 9.0
    assert w[0, 0].item() == 9.0


def test_data_of_a_read_only_tensor_is_not_written():
    with pytest.raises(GradientError, match="read-only"):
        Tensor(np.broadcast_to(np.float32(1), (2, 3))).data.zero_()


def test_data_of_bfloat16():
    w = nn.Parameter(einkorn.ones(3).bfloat16())
    w.data.mul_(3.0)
    w.data[0] = 7.0
    w.data = w.data + 1.0
    assert w.dtype == einkorn.bfloat16
    assert w.tolist() == [8.0, 4.0, 4.0]


def test_writes_through_data_are_not_counted():
    """As in torch: the backward pass reads what is there; an optimizer's write is noticed all the same."""
    for library in (einkorn, torch):
        w = library.nn.Parameter(library.ones(2))
        loss = (w * w).sum()
        w.data *= 3.0
        loss.backward()
        assert w.grad.tolist() == [6.0, 6.0]
    loss = (w := nn.Parameter(einkorn.ones(2))).square().sum()
    with einkorn.no_grad():
        w *= 3.0
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()


def test_what_is_assigned_is_shared_and_checked():
    w, other = nn.Parameter(einkorn.zeros(2, 2)), einkorn.ones(2, 2)
    memory = w.data_ptr()
    w.data = w.data
    w.data += 1.0
    assert w.data_ptr() == memory
    w.data = other
    other[0, 0] = 5.0
    assert w[0, 0].item() == 5.0
    w.data = np.full((3,), 2.0)
    assert w.dtype == einkorn.float64
    with pytest.raises(ShapeError, match="dimensions"):
        w.data = np.zeros((1,) * 9)


def test_numpy_takes_data_for_an_array():
    t = einkorn.ones(2, 3)
    array = np.full((2, 3), 2.0, np.float32)
    assert np.asarray(t.data).dtype == np.float32
    assert np.asarray(t.data).base is not None or np.shares_memory(np.asarray(t.data), t.numpy())
    for got in (t.data + array, array + t.data, array * t.data, array - t.data, np.add(t.data, array)):
        assert np.asarray(got).shape == (2, 3)
    assert_array_equal(array / t.data, array)
    assert_array_equal(np.sqrt(t.data), t)
    assert np.sum(t.data) == 6
    for function in (np.sum, np.mean, np.max, np.std, np.prod, np.any, np.var):
        assert_array_equal(
            function(t.data, axis=0, keepdims=True), function(t.numpy(), axis=0, keepdims=True)
        )
    assert np.size(t.data) == 6
    assert_array_equal(np.nonzero(t.data), np.nonzero(t.numpy()))
    array[0] = t.data[1]
    assert_array_equal(array[0], [1, 1, 1])


def test_the_clipped_weights_of_a_critic():
    einkorn.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    optimizer = einkorn.optim.RMSprop(critic.parameters(), lr=0.05)
    for _ in range(3):
        for p in critic.parameters():
            p.data.clamp_(-0.01, 0.01)
        optimizer.zero_grad()
        critic(einkorn.randn(5, 4)).mean().backward()
        optimizer.step()
    for p in critic.parameters():
        p.data.clamp_(-0.01, 0.01)
        assert p.abs().max().item() <= np.float32(0.01)


def test_weights_set_by_a_function_that_is_applied():
    def weights_init(m):
        name = m.__class__.__name__
        if name.find("Conv") != -1:
            m.weight.data.normal_(0.0, 0.02)
        elif name.find("BatchNorm") != -1:
            m.weight.data.normal_(1.0, 0.02)
            m.bias.data.fill_(0)

    einkorn.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 5), nn.BatchNorm2d(64))
    net.apply(weights_init)
    assert abs(net[0].weight.std().item() - 0.02) < 0.002
    assert abs(net[1].weight.mean().item() - 1.0) < 0.02
    assert not net[1].bias.data.any()
