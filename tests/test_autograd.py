"""The tape: modes, saved values that are gone, in-place operators, the reuse of graphs."""

import asyncio
import contextlib
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import Tensor, nn, ops, optim
from einkorn.errors import ArgumentError, GradientError, ShapeError


def leaf(*shape, seed=0):
    values = np.random.default_rng(seed).uniform(0.5, 2.0, size=shape)
    return Tensor(values, requires_grad=True)


# --- grad modes as call, block and decorator ------------------------------------------------------

MODES = [
    (einkorn.no_grad, (), False),
    (einkorn.enable_grad, (), True),
    (einkorn.set_grad_enabled, (False,), False),
    (einkorn.set_grad_enabled, (True,), True),
]


@pytest.fixture(params=[True, False])
def outside(request):
    with einkorn.set_grad_enabled(request.param):
        yield request.param


def enabled():
    return einkorn.is_grad_enabled()


@pytest.mark.parametrize(("mode", "args", "inside"), MODES)
def test_a_mode_is_a_block_that_can_be_entered_again(mode, args, inside, outside):
    block = mode(*args)
    for _ in range(3):
        with block:
            assert enabled() is inside
            with block, einkorn.set_grad_enabled(not inside):
                assert enabled() is not inside
                with block:
                    assert enabled() is inside
                assert enabled() is not inside
            assert enabled() is inside
        assert enabled() is outside
    with pytest.raises(ZeroDivisionError), block:
        _ = 1 / 0
    assert enabled() is outside


@pytest.mark.parametrize(("mode", "args", "inside"), MODES)
def test_a_mode_decorates_functions_generators_and_coroutines(mode, args, inside, outside):
    decorate = mode(*args)

    @decorate
    def function(a, *, b):
        """Its own words."""
        return a + b, enabled()

    @decorate
    def generator():
        sent = yield enabled()
        with contextlib.suppress(KeyError):
            sent = yield sent, enabled()
        yield enabled()
        return "end"

    @decorate
    async def coroutine():
        before = enabled()
        await asyncio.sleep(0)
        return before, enabled()

    @decorate
    async def stream():
        for _ in range(2):
            yield enabled()
            await asyncio.sleep(0)

    assert enabled() is outside  # decorating is no call
    assert function(1, b=2) == (3, inside)
    assert function.__doc__ == "Its own words."
    running = generator()
    assert next(running) is inside
    assert enabled() is outside  # not while it waits
    assert running.send("x") == ("x", inside)
    assert running.throw(KeyError()) is inside
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"
    running = generator()
    next(running)
    running.close()
    assert enabled() is outside

    async def main():
        async def watch():
            seen = set()
            for _ in range(4):
                seen.add(enabled())
                await asyncio.sleep(0)
            return seen

        both = await asyncio.gather(coroutine(), watch(), coroutine())
        return both, [value async for value in stream()], enabled()

    both, streamed, after = asyncio.run(main())
    assert both == [(inside, inside), {outside}, (inside, inside)]
    assert streamed == [inside, inside]
    assert after is outside


def test_the_modes_without_arguments_decorate_without_parentheses():
    @einkorn.no_grad
    def f(x):
        return x * 2.0

    assert not f(leaf(2)).requires_grad
    with einkorn.no_grad():
        assert einkorn.enable_grad(lambda: leaf(2) * 2.0)().requires_grad
    for bad in (3, nn.Linear):
        with pytest.raises(ArgumentError, match="no_grad: decorates functions"):
            einkorn.no_grad()(bad)


def test_set_grad_enabled_is_a_call():
    w = leaf(2)
    try:
        einkorn.set_grad_enabled(False)
        assert not (w * 2.0).requires_grad
        switch = einkorn.set_grad_enabled(True)
        assert (w * 2.0).requires_grad
        with switch:
            assert enabled()
        assert not enabled()  # the block gives back what held before the call
    finally:
        einkorn.set_grad_enabled(True)
    assert enabled()
    with pytest.raises(ArgumentError, match="mode is 1, expected True or False"):
        einkorn.set_grad_enabled(1)


def test_one_block_in_many_threads():
    block, wrong, start = einkorn.no_grad(), [], threading.Barrier(4)

    @block
    def work(depth):
        return enabled() or (depth and work(depth - 1))

    def run():
        start.wait()
        for _ in range(200):
            with block:
                if enabled() or work(3):
                    wrong.append("inside")
            if not enabled():
                wrong.append("outside")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_block_in_a_suspended_generator_is_left_by_its_own_end():
    def inner():
        with einkorn.no_grad():
            yield
        yield

    running = inner()
    with einkorn.enable_grad():
        next(running)
        assert not enabled()
    next(running)
    assert enabled()


def test_the_other_blocks_are_reusable_and_decorate():
    before = einkorn.get_num_threads()
    threads = einkorn.num_threads(before + 1)

    @threads
    def count():
        return einkorn.get_num_threads()

    @threads
    def counts():
        while True:
            yield einkorn.get_num_threads()

    for _ in range(2):
        with threads, threads:
            assert einkorn.get_num_threads() == before + 1
        assert count() == before + 1
        assert next(counts()) == before + 1
        assert einkorn.get_num_threads() == before
    with pytest.raises(ArgumentError, match="num_threads: n is 0"):
        einkorn.num_threads(0)


def test_traces_within_traces():
    if einkorn.get_engine() != "native":
        pytest.skip("only the native engine traces")
    x, trace = np.ones((2, 2), np.float32), einkorn.runtime.trace_launches()
    with trace as outer:
        ops.relu(x)
        with trace as inner:
            ops.exp(x)
        ops.sin(x)
    assert inner == ["exp"]
    assert outer == ["relu", "exp", "sin"]
    with trace as again:
        ops.cos(x)
    assert again == ["cos"]


# --- saved values that were overwritten ----------------------------------------------------------

W = np.array([[1.0, 2.0], [3.0, 4.0]])


def step(w):
    w.grad = Tensor(np.ones(w.shape))
    optim.SGD([w], lr=1.0).step()


def loaded(w):
    holder = nn.Module()
    holder.w = w
    holder.load_state_dict({"w": np.zeros(w.shape)})


def in_place(change):
    def run(w):
        with einkorn.no_grad():
            change(w)

    return run


def item(w):
    w[0] = 7.0


def operator_on_a_view(w):
    view = w[0]
    view += 1.0


def operator_on_detached(w):
    w.detach().view(-1).mul_(2.0)


OVERWRITES = {
    "SGD": step,
    "load_state_dict": loaded,
    "uniform_": nn.init.uniform_,
    "normal_": nn.init.normal_,
    "zeros_": nn.init.zeros_,
    "kaiming": nn.init.kaiming_uniform_,
    "+=": in_place(lambda w: w.__iadd__(1.0)),
    "*=": in_place(lambda w: w.__imul__(2.0)),
    "copy_": in_place(lambda w: w.copy_(np.zeros((2, 2)))),
    "item": in_place(item),
    "view": in_place(operator_on_a_view),
    "detached view": in_place(operator_on_detached),
}


@pytest.mark.parametrize("name", OVERWRITES)
def test_overwritten_values_are_noticed(name):
    overwrite = OVERWRITES[name]
    x = Tensor(np.ones((2, 2)), requires_grad=True)
    for graph in (
        lambda w: (w * w).sum(),
        lambda w: (x @ w).sum(),
        lambda w: (x / w).sum(),
        lambda w: w.exp().sum() + (w.T * x).sum(),
        lambda w: ops.linear(x, w).sum(),
        lambda w: (w[1] * w[0]).sum(),
        lambda w: ops.conv2d(x.reshape(1, 1, 2, 2), w.reshape(1, 1, 2, 2)).sum(),
        lambda w: ops.mse_loss(w, x),
        lambda w: w.max(),
        lambda w: ops.where(W > 1, w * w, w).sum(),
    ):
        w = nn.Parameter(W.copy())
        loss = graph(w)
        overwrite(w)
        with pytest.raises(
            GradientError, match=r"that \w+( operation)? saved for the backward pass has been overwritten"
        ):
            loss.backward()
        again = graph(w)
        again.backward()  # recorded after the write: nothing was lost


@pytest.mark.parametrize("name", OVERWRITES)
def test_a_write_over_what_no_gradient_reads_is_no_fault(name):
    for graph in (
        lambda w: (w + 1.0).sum(),
        lambda w: (w - w.T).mean() + w.reshape(4)[1:].sum(),
        lambda w: -(w * 3.0).sum() / 2.0,
        lambda w: w.relu().sum(),
        lambda w: w.sigmoid().sum() + w.softmax(0).sum(),
        lambda w: ops.pad(w, (1, -1)).sum() + ops.stack([w, w]).mean(),
        lambda w: ops.avg_pool2d(w.reshape(1, 2, 2), 2).sum(),
        lambda w: w.expand(3, 2, 2).sum() + w.float().sum().double(),
    ):
        w, twin = nn.Parameter(W.copy()), nn.Parameter(W.copy())
        graph(twin).backward()
        loss = graph(w)
        OVERWRITES[name](w)
        w.grad = None
        loss.backward()
        assert_array_equal(w.grad, twin.grad)


def test_the_perceptron_rule_writes_in_place():
    model = einkorn.models.Perceptron(2)
    x = Tensor(np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32), requires_grad=True)
    loss = model.linear(x).sum()
    model.fit(x.numpy(), np.array([1, -1]))
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()


def test_two_optimizers_that_take_turns_are_no_fault():
    maker, judge = nn.Linear(3, 3), nn.Linear(3, 1)
    ours, theirs = optim.Adam(maker.parameters()), optim.Adam(judge.parameters())
    for _ in range(2):
        made = maker(np.ones((4, 3), np.float32))
        judge(made.detach()).sum().backward()
        theirs.step()
        judge(made).sum().backward()
        ours.step()


def test_new_memory_for_a_parameter_leaves_the_old_graph_right():
    w = nn.Parameter(W.copy())
    loss = (w * w).sum()
    w.data = np.zeros((2, 2))
    loss.backward()
    assert_array_equal(w.grad, 2 * W)


def test_a_gradient_that_a_graph_saved_is_not_added_to_unnoticed():
    w = leaf(3)
    (w * w).sum().backward()
    penalty = (w.grad * w).sum()
    (w * 2.0).sum().backward()
    with pytest.raises(GradientError, match="overwritten"):
        penalty.backward()


# --- in-place operators ----------------------------------------------------------------------------


def test_updating_a_leaf_by_hand():
    w = nn.Parameter(np.array([1.0, 2.0, 3.0], np.float32))
    memory, same = w.detach().numpy(), w
    for _ in range(3):
        (w * w).sum().backward()
        with einkorn.no_grad():
            w -= 0.25 * w.grad
        w.grad = None
    assert w is same
    assert w.detach().numpy() is memory
    assert w.is_leaf
    assert w.requires_grad
    assert_array_equal(memory, [0.125, 0.25, 0.375])
    model = nn.Linear(3, 2)
    bias = model.bias
    with einkorn.no_grad():
        model.bias += 1.0
        model.weight[0] = 0.0
    assert model.bias is bias
    assert not model.weight.numpy()[0].any()


def test_leaves_and_their_views_are_refused_while_recording():
    w = nn.Parameter(W.copy())
    with pytest.raises(GradientError, match=r"add: a leaf .*no_grad"):
        w += 1.0
    with pytest.raises(GradientError, match="setitem: a leaf"):
        w[0] = 1.0
    with pytest.raises(GradientError, match="multiply: a view of a leaf"):
        w[0] *= 2.0
    with pytest.raises(GradientError, match="fill_: a view of a leaf"):
        w.T[1:].reshape(2).fill_(3.0)
    assert_array_equal(w, W)


GRAPHS = {
    "add": lambda h, w: h.add_(w),
    "subtract": lambda h, w: h.sub_(w),
    "multiply": lambda h, w: h.mul_(w),
    "divide": lambda h, w: h.div_(w),
    "power": lambda h, w: h.pow_(w),
    "number": lambda h, w: h.mul_(3.0),
    "twice": lambda h, w: h.mul_(w).add_(h),
    "row": lambda h, w: h.add_(w[1]),
    "copy": lambda h, w: h.copy_(w * w),
    "zero": lambda h, w: h.zero_(),
}


def item_assignment(h, w):
    h[0] = w[1] * w[0]


def item_operator(h, w):
    h[:, 1] *= w[0]
    h[1] += h[0]


def item_number(h, w):
    h[1, 0] = 5.0


def item_mask(h, w):
    h[np.array([[True, False], [False, True]])] = w[0]


def operator_statement(h, w):
    h += w
    h *= w
    h /= 2.0
    h -= h * 0.5
    h **= 2.0


GRAPHS |= {
    f.__name__: f for f in (item_assignment, item_operator, item_number, item_mask, operator_statement)
}


@pytest.mark.parametrize("name", GRAPHS)
def test_recorded_in_place_operations_agree_with_torch(name):
    torch = pytest.importorskip("torch")

    def run(w):
        h = w * 2.0
        before = h + 0.5  # recorded with the old values
        GRAPHS[name](h, w)
        return (h * w).sum() + (before * before).sum(), h

    ours, theirs = Tensor(W.copy(), requires_grad=True), torch.tensor(W, requires_grad=True)
    (a, h), (b, g) = run(ours), run(theirs)
    assert_allclose(h, g.detach())
    a.backward()
    b.backward()
    assert_allclose(ours.grad, theirs.grad, rtol=1e-12)


def test_a_tensor_times_itself_in_place():
    x = leaf(3)
    h = x * 1.0
    h *= h
    h.sum().backward()  # torch refuses this one
    assert_allclose(x.grad, 2 * x.numpy())


def test_in_place_results_are_seen_through_every_name():
    w = leaf(3)
    h = w * 1.0
    alias, memory = h, h.numpy()
    h += 1.0
    assert alias is h
    assert_array_equal(memory, w.numpy() + 1.0)


def test_a_buffer_begins_to_record_when_it_receives_recorded_values():
    torch = pytest.importorskip("torch")

    def run(w, total):
        for i in range(3):
            total += w[i] * float(i)
        total[1:] += w[0, :1]
        return (total * total).sum()

    ours = leaf(3, 2)
    theirs = torch.tensor(ours.numpy().copy(), requires_grad=True)
    run(ours, Tensor(np.zeros(2))).backward()
    run(theirs, torch.zeros(2, dtype=torch.float64)).backward()
    assert_allclose(ours.grad, theirs.grad)


def test_views_that_a_recorded_write_passed_by_are_refused():
    x = leaf(2, 2)
    h = x * 2.0
    view = h[0]
    h *= 3.0
    with pytest.raises(GradientError, match="changed its memory through another tensor"):
        view.sum()
    h = x * 2.0
    view = h[0]
    view *= 3.0
    assert view.sum().requires_grad
    with pytest.raises(GradientError, match="changed its memory through another tensor"):
        h.sum()
    buffer = Tensor(np.zeros((2, 2)))
    view = buffer[0]
    view += x[0]
    with pytest.raises(GradientError, match="records nothing"):
        (buffer * x).sum()
    buffer = Tensor(np.zeros((2, 2)))
    buffer[0] += x[0]  # this way the buffer knows
    (buffer * x).sum().backward()
    assert (buffer.detach() * x).requires_grad


def test_saved_results_are_protected_from_in_place_operators():
    x = leaf(3)
    for function in (ops.exp, ops.sigmoid, ops.relu, ops.sqrt, lambda t: ops.softmax(t, 0)):
        y = function(x)
        loss = y.sum()
        y += 1.0
        with pytest.raises(GradientError, match="overwritten"):
            (loss + y.sum()).backward()
    y = x * 3.0 + 1.0  # neither needs its result
    y += 1.0
    y.sum().backward()


def test_in_place_operands_that_do_not_fit_are_refused():
    t, w = Tensor(np.zeros((2, 1))), leaf(2, 3)
    for other in (np.zeros((2, 3)), w, np.zeros(4)):
        with pytest.raises(ShapeError, match=r"add: .*\(2, 1\)|broadcast"):
            t += other
    assert_array_equal(t, np.zeros((2, 1)))
    assert not t.requires_grad


def test_overlapping_operands():
    t = Tensor(np.arange(6.0))
    t[1:].add_(t[:-1])
    assert_array_equal(t, [0, 1, 3, 5, 7, 9])
    t = Tensor(np.arange(4.0).reshape(2, 2))
    t += t.T
    assert_array_equal(t, [[0, 3], [3, 6]])


# --- graphs ------------------------------------------------------------------------------------------


def test_a_graph_is_used_once_unless_it_is_retained():
    w = leaf(3)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert_allclose(w.grad, 4 * w.numpy())
    with pytest.raises(GradientError, match="already used"):
        loss.backward()


def test_a_failed_pass_gives_no_gradient():
    v, w = leaf(3), leaf(3, seed=1)
    part = (v * v).sum()
    loss = part + (w * 1.0).sum()
    part.backward()
    v.grad = None
    with pytest.raises(GradientError, match="already used"):
        loss.backward()
    assert w.grad is None


def test_results_that_no_gradient_reads_are_not_kept_alive():
    import gc
    import weakref

    w = leaf(4)
    h = w * 2.0
    seen = weakref.ref(h.detach().numpy())
    y = (h + 1.0).sum()
    del h
    gc.collect()
    assert seen() is None
    y.backward()
    assert_array_equal(w.grad, np.full(4, 2.0))
