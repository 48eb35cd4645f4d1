"""Optimizers that torch does not have, L-BFGS, gradients that are clipped, averages of weights."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import rows
from test_optim import in_torch

import einkorn
from einkorn import nn, optim
from einkorn.errors import ArgumentError, NonFiniteError, ShapeError
from einkorn.nn import utils
from einkorn.optim import swa_utils
from einkorn.training.optimizers import OPTIMIZERS

# The base, one with a closure, one for matrices alone, one for sparse gradients.
OTHERS = ("Optimizer", "LBFGS", "Muon", "SparseAdam")
ALL = [name for name in optim.__all__ if name[0].isupper() and name not in OTHERS]


def doubles(*shape, seed=0):
    return rows(*shape, seed=seed).astype(np.float64)


def steps_of(name, arrays, options=None, count=5):
    params = [nn.Parameter(array.copy()) for array in arrays]
    optimizer = getattr(optim, name)(params, **(options or {"lr": 0.05}))
    for step in range(count):
        for i, param in enumerate(params):
            param.grad = einkorn.Tensor(rows(*param.shape, seed=10 * step + i).astype(param.dtype))
        optimizer.step()
    return [param.numpy().copy() for param in params]


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ALL, "Muon"])
def test_the_number_of_threads_changes_no_bit(name):
    vector = (1, 70_001) if name == "Muon" else (70_001,)
    arrays = [rows(*vector).astype(np.float32), rows(301, 307).astype(np.float32)]
    outcomes = []
    for threads in (1, 2, 4):
        with einkorn.num_threads(threads):
            outcomes.append([result.tobytes() for result in steps_of(name, arrays, count=2)])
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("name", ALL)
def test_nan_stays_where_it_is(name):
    param = nn.Parameter(np.ones(40, np.float32))
    optimizer = getattr(optim, name)([param], lr=0.1)
    gradient = np.full(40, 0.5, np.float32)
    gradient[[3, 37]] = np.nan
    for _ in range(2):
        param.grad = einkorn.Tensor(gradient)
        optimizer.step()
    assert np.isnan(param.numpy()).nonzero()[0].tolist() == [3, 37]


@pytest.mark.parametrize("name", sorted({*ALL, "LBFGS"} - {"Ftrl", "LAMB", "Lion"}))
def test_arguments_are_those_of_torch(name):
    torch = pytest.importorskip("torch")

    def arguments(cls):
        parameters = list(inspect.signature(cls.__init__).parameters.values())[2:]
        return [(p.name, p.default, p.kind) for p in parameters]

    assert arguments(getattr(optim, name)) == arguments(getattr(torch.optim, name))


def test_more_tensors_than_a_launch_takes():
    arrays = [rows(3, seed=i) for i in range(70)]
    together = steps_of("LAMB", arrays)
    for i in (0, 63, 64, 69):
        params = [nn.Parameter(arrays[i].copy())]
        optimizer = optim.LAMB(params, lr=0.05)
        for step in range(5):
            params[0].grad = einkorn.Tensor(rows(3, seed=10 * step + i))
            optimizer.step()
        assert_array_equal(params[0].numpy(), together[i])


def test_lion_by_its_formula():
    p, m = doubles(17), np.zeros(17)
    results = steps_of("Lion", [p], {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.5})
    for step in range(5):
        g = doubles(17, seed=10 * step)
        p = p - 0.1 * (np.sign(0.8 * m + 0.2 * g) + 0.5 * p)
        m = 0.95 * m + 0.05 * g
    assert_allclose(results[0], p, rtol=1e-12)


def test_lamb_by_its_formula():
    arrays = [doubles(4, 5), np.zeros(3)]
    results = steps_of("LAMB", arrays, {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.5, "eps": 1e-3})
    for i, (p, result) in enumerate(zip(arrays, results, strict=True)):
        m = v = np.zeros_like(p)
        for step in range(1, 6):
            g = doubles(*p.shape, seed=10 * (step - 1) + i)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            u = m / (1 - 0.8**step) / (np.sqrt(v / (1 - 0.95**step)) + 1e-3) + 0.5 * p
            ratio = np.linalg.norm(p) / np.linalg.norm(u) if np.any(p) else 1.0
            p = p - 0.1 * ratio * u
        assert_allclose(result, p, rtol=1e-12)


def test_a_step_calls_its_closure_with_recording_on():
    w = nn.Parameter(np.array([3.0]))
    optimizer = optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with einkorn.autograd.no_grad():
        assert float(optimizer.step(closure)) == 9.0
    assert_array_equal(w.numpy(), [0.0])
    assert optimizer.step() is None
    with pytest.raises(ArgumentError, match="SGD: closure is 3, expected a function"):
        optimizer.step(3)


def test_gradients_of_parts_add_up_to_that_of_the_batch():
    x, y = doubles(24, 5), doubles(24, 2, seed=1)
    outcomes = []
    for parts in (1, 4):
        einkorn.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).to("float64")
        optimizer = optim.NAdam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            for a, b in zip(np.split(x, parts), np.split(y, parts), strict=True):
                (einkorn.ops.mse_loss(model(a), b) / parts).backward()
            optimizer.step()
        outcomes.append([p.numpy().copy() for p in model.parameters()])
    for whole, summed in zip(*outcomes, strict=True):
        assert_allclose(summed, whole, rtol=1e-9, atol=1e-12)


# --- L-BFGS -------------------------------------------------------------------------------------


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def lbfgs_pair(torch, options):
    start = np.array([-1.2, 1.0, 0.7, -0.4])
    ours = nn.Parameter(start.copy())
    theirs = torch.from_numpy(start.copy()).requires_grad_()
    return (
        (ours, optim.LBFGS([ours], **options)),
        (theirs, torch.optim.LBFGS([theirs], **options)),
    )


def closure_of(param, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(param)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 7, "lr": 0.5},
        {"lr": 1e-3, "max_iter": 5},
    ],
)
def test_lbfgs_agrees_with_torch(options):
    torch = pytest.importorskip("torch")
    (ours, a), (theirs, b) = lbfgs_pair(torch, options)
    for _ in range(3):
        first = a.step(closure_of(ours, a))
        assert float(first) == pytest.approx(b.step(closure_of(theirs, b)).item(), rel=1e-6)
        assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6)
    state, peer = a.state_dict()["state"][0], b.state_dict()["state"][0]
    assert (state["n_iter"], state["func_evals"]) == (peer["n_iter"], peer["func_evals"])
    # on from torch's state, and torch from ours
    (again, c), (other, d) = lbfgs_pair(torch, options)
    again.data[...] = theirs.detach().numpy()
    other.data[...] = theirs.detach()
    c.load_state_dict(b.state_dict())
    d.load_state_dict(in_torch(torch, c.state_dict()))
    for param, optimizer in ((again, c), (other, d), (theirs, b)):
        optimizer.step(closure_of(param, optimizer))
    assert_allclose(again.numpy(), theirs.detach().numpy(), rtol=1e-6)
    assert_allclose(other.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)


def test_lbfgs_finds_the_minimum_of_several_parameters():
    a, b = nn.Parameter(np.array([[4.0, -3.0]])), nn.Parameter(np.array([2.0]))
    unused = nn.Parameter(np.ones(3))
    optimizer = optim.LBFGS([a, b, unused], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((a - 1.0) ** 4).sum() + ((a * b) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    assert_allclose(a.numpy(), [[1.0, 1.0]], atol=1e-2)
    assert_allclose(b.numpy(), [0.0], atol=1e-3)
    assert_array_equal(unused.numpy(), np.ones(3))
    with pytest.raises(ArgumentError, match="LBFGS: step needs a closure"):
        optimizer.step()
    with pytest.raises(ArgumentError, match="LBFGS: params has more than one parameter group"):
        optimizer.add_param_group({"params": [nn.Parameter(np.ones(2))]})
    state = {**optimizer.state_dict(), "state": {0: {"d": np.ones(2)}}}
    with pytest.raises(ArgumentError, match=r"LBFGS: load_state_dict has d of shape \(2,\), expected \(6,\)"):
        optimizer.load_state_dict(state)


# --- clipping -----------------------------------------------------------------------------------


def with_gradients(torch, shapes, dtype=np.float32):
    ours, theirs = [], []
    for i, shape in enumerate(shapes):
        gradient = rows(*shape, seed=i).astype(dtype)
        ours.append(nn.Parameter(np.zeros(shape, dtype)))
        ours[-1].grad = einkorn.Tensor(gradient)
        theirs.append(torch.zeros(shape, requires_grad=True, dtype=torch.from_numpy(gradient).dtype))
        theirs[-1].grad = torch.from_numpy(gradient.copy())
    return ours, theirs


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, "inf", 0])
@pytest.mark.parametrize("max_norm", [0.1, 1e6])
def test_clipping_by_norm_agrees_with_torch(norm_type, max_norm):
    torch = pytest.importorskip("torch")
    empty = [] if norm_type == "inf" else [(0,)]  # torch has no largest element of none
    ours, theirs = with_gradients(torch, [(70_001,), (3, 5), *empty, (1,)])
    ours.append(nn.Parameter(np.ones(2, np.float32)))  # without a gradient
    total = utils.get_total_norm([p.grad for p in ours if p.grad is not None], norm_type)
    clipped = utils.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert clipped.dtype == np.float32
    assert clipped.shape == ()
    assert_allclose(float(clipped), float(expected), rtol=1e-5)
    assert float(total) == float(clipped)
    for a, b in zip(ours[:-1], theirs, strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)


def test_clipping_many_gradients_of_two_types():
    torch = pytest.importorskip("torch")
    ours, theirs = with_gradients(torch, [(2, 3)] * 70)
    more, others = with_gradients(torch, [(7,)] * 3, np.float64)
    norm = utils.clip_grad_norm_((p for p in [*ours, *more]), 1.0)
    expected = torch.nn.utils.clip_grad_norm_([*theirs, *others], 1.0)
    assert_allclose(float(norm), float(expected), rtol=1e-6)
    for a, b in zip([*ours, *more], [*theirs, *others], strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)
    utils.clip_grad_value_([*ours, *more], 0.05)
    torch.nn.utils.clip_grad_value_([*theirs, *others], 0.05)
    for a, b in zip([*ours, *more], [*theirs, *others], strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5)


def test_clipping_what_is_not_finite():
    param = nn.Parameter(np.ones(3))
    param.grad = einkorn.Tensor(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(NonFiniteError, match="clip_grad_norm_: the norm of order 2 is nan"):
        utils.clip_grad_norm_(param, 1.0, error_if_nonfinite=True)
    assert_array_equal(param.grad.numpy(), [1.0, np.nan, 2.0])
    utils.clip_grad_value_(param, 1.5)
    assert_array_equal(param.grad.numpy(), [1.0, np.nan, 1.5])
    assert np.isnan(float(utils.clip_grad_norm_(param, 1.0)))
    assert np.isnan(param.grad.numpy()).all()
    param.grad = einkorn.Tensor(np.array([1.0, np.inf, 2.0]))
    assert float(utils.clip_grad_norm_([param], 1.0, float("inf"))) == np.inf
    assert_array_equal(param.grad.numpy(), [0.0, np.nan, 0.0])


def test_clipping_nothing_and_wrong_arguments():
    assert float(utils.clip_grad_norm_([], 1.0)) == 0.0
    assert float(utils.get_total_norm([])) == 0.0
    utils.clip_grad_value_([nn.Parameter(np.ones(2))], 1.0)
    with pytest.raises(ArgumentError, match="clip_grad_norm_: max_norm is None, expected a number"):
        utils.clip_grad_norm_([], None)
    with pytest.raises(ArgumentError, match="clip_grad_value_: got int, expected a Tensor or an iterable"):
        utils.clip_grad_value_(3, 1.0)


def test_clipping_a_gradient_that_is_a_view():
    param = nn.Parameter(np.zeros((2, 3)))
    param.grad = einkorn.Tensor(np.ones((2, 3)))
    param.grad.data = np.arange(6.0).reshape(3, 2).T
    expected = np.arange(6.0).reshape(3, 2).T / (np.sqrt(55) + 1e-6)
    utils.clip_grad_norm_(param, 1.0)
    assert_allclose(param.grad.numpy(), expected)


def test_parameters_as_a_vector():
    params = [nn.Parameter(doubles(2, 3)), nn.Parameter(doubles(4, seed=1))]
    vector = utils.parameters_to_vector(params)
    assert_array_equal(vector.numpy(), np.concatenate([p.numpy().reshape(-1) for p in params]))
    (vector * np.arange(10.0)).sum().backward()
    assert_array_equal(params[1].grad.numpy(), [6.0, 7.0, 8.0, 9.0])
    utils.vector_to_parameters(einkorn.Tensor(np.arange(10.0)), params)
    assert_array_equal(params[0].numpy(), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    assert_array_equal(params[1].numpy(), [6.0, 7.0, 8.0, 9.0])
    with pytest.raises(ShapeError, match=r"vec has shape \(9,\), expected \(10,\)"):
        utils.vector_to_parameters(einkorn.Tensor(np.ones(9)), params)
    with pytest.raises(ArgumentError, match="vec is ndarray, expected a Tensor"):
        utils.vector_to_parameters(np.ones(10), params)


# --- averages of weights ------------------------------------------------------------------------


def networks(torch):
    ours = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def change(ours, theirs, step):
    for i, (p, t) in enumerate(zip(ours.parameters(), theirs.parameters(), strict=True)):
        values = rows(*p.shape, seed=10 * step + i).astype(np.float32)
        p.data[...] = values
        t.detach().numpy()[...] = values


@pytest.mark.parametrize("kind", ["swa", "ema", "ema of each", "swa of each", "buffers"])
def test_averaged_model_agrees_with_torch(kind):
    torch = pytest.importorskip("torch")
    peer = torch.optim.swa_utils

    def options(library):
        return {
            "swa": {},
            "ema": {"multi_avg_fn": library.get_ema_multi_avg_fn(0.9)},
            "ema of each": {"avg_fn": library.get_ema_avg_fn(0.8)},
            "swa of each": {"avg_fn": library.get_swa_avg_fn()},
            "buffers": {"multi_avg_fn": library.get_ema_multi_avg_fn(0.5), "use_buffers": True},
        }[kind]

    ours, theirs = networks(torch)
    a, b = swa_utils.AveragedModel(ours, **options(swa_utils)), peer.AveragedModel(theirs, **options(peer))
    for step in range(4):
        change(ours, theirs, step)
        x = rows(8, 3, seed=step).astype(np.float32)
        ours(x)
        theirs(torch.from_numpy(x))
        a.update_parameters(ours)
        b.update_parameters(theirs)
    mine, others = a.state_dict(), b.state_dict()
    assert mine.keys() == others.keys()
    for key, value in mine.items():
        assert_allclose(value, others[key].numpy(), rtol=2e-5, atol=1e-6, err_msg=key)
    assert int(a.n_averaged) == 4
    # the model's own weights are left alone
    assert_array_equal(ours[0].weight.numpy(), theirs[0].weight.detach().numpy())


def test_update_bn_agrees_with_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = networks(torch)
    ours.eval()
    theirs.eval()
    batches = [rows(8, 3, seed=i).astype(np.float32) for i in range(3)]
    swa_utils.update_bn([(x, None) for x in batches], ours)
    torch.optim.swa_utils.update_bn([torch.from_numpy(x) for x in batches], theirs)
    assert not ours.training
    assert ours[1].momentum == 0.1
    for name in ("running_mean", "running_var"):
        assert_allclose(getattr(ours[1], name), getattr(theirs[1], name).numpy(), rtol=1e-5, atol=1e-7)
    assert int(ours[1].num_batches_tracked) == 3


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 4])
def test_swalr_agrees_with_torch(strategy, epochs):
    torch = pytest.importorskip("torch")
    groups = [0.4, 0.2]
    ours = optim.SGD([{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in groups])
    theirs = torch.optim.SGD([{"params": [torch.ones(1)], "lr": lr} for lr in groups])
    a = swa_utils.SWALR(ours, 0.05, epochs, strategy)
    b = torch.optim.swa_utils.SWALR(theirs, 0.05, epochs, strategy)
    for _ in range(7):
        theirs.step()
        a.step()
        b.step()
        assert a.get_last_lr() == pytest.approx(b.get_last_lr())


def test_averages_refuse_what_they_cannot_do():
    model = nn.Linear(2, 3)
    average = swa_utils.AveragedModel(model)
    with pytest.raises(ShapeError, match="update_parameters got tensors of shapes"):
        average.update_parameters(nn.Linear(2, 4))
    with pytest.raises(ArgumentError, match="avg_fn and multi_avg_fn are both given"):
        swa_utils.AveragedModel(
            model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn()
        )
    with pytest.raises(ArgumentError, match=r"decay is 1\.5, expected a number from 0 to 1"):
        swa_utils.get_ema_multi_avg_fn(1.5)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match="anneal_strategy is 'fast'"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="fast")
    with pytest.raises(ArgumentError, match="swa_lr has 2 rates, expected 1"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])


def test_an_average_is_one_launch(monkeypatch):
    engine = einkorn.engines.cpu()
    launches = []
    kernel = engine.lerp_step
    monkeypatch.setattr(engine, "lerp_step", lambda *args: (launches.append(len(args[0])), kernel(*args)))
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    average = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn())
    average.update_parameters(model)
    average.update_parameters(model)
    assert launches == [4]


def test_every_optimizer_has_a_name_in_compile():
    assert {name.lower() for name in optim.__all__ if name[0].isupper()} - {"optimizer", "lbfgs"} == set(
        OPTIMIZERS
    )


def test_sparse_adam_by_name():
    model = nn.Embedding(5, 2, sparse=True)
    model.compile("sparseadam", "mse")
    before = model.weight.numpy().copy()
    model.fit(np.array([1, 3]), np.full((2, 2), 9.0, np.float32), epochs=1, verbose=0)
    changed = (model.weight.numpy() != before).any(axis=1)
    assert changed.tolist() == [False, True, False, True, False]


@pytest.mark.parametrize("name", ["Muon", "Ftrl"])
def test_by_name_they_are_those_of_keras(name):
    from einkorn import keras

    results = []
    for optimizer in (name.lower(), getattr(keras.optimizers, name)()):
        einkorn.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        model.compile(optimizer, "mse")
        x = rows(16, 2).astype(np.float32)
        model.fit(x, x[:, :1], epochs=2, batch_size=8, shuffle=False, verbose=0)
        results.append([param.numpy().tobytes() for param in model.parameters()])
    assert results[0] == results[1]


# SparseAdam needs other gradients, and Ftrl begins at weights of zero: both are tested above.
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ("sparseadam", "ftrl")])
def test_optimizers_by_name(name):
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    model.compile(name, "mse")
    x = rows(64, 2).astype(np.float32)
    losses = model.fit(x, x[:, :1] * x[:, 1:], epochs=3, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_iterations_can_be_read_and_set():
    for step in (0, 3):
        weight = einkorn.nn.Parameter(np.ones(3, np.float32))
        adam = optim.Adam([weight], lr=0.1)
        for _ in range(step):
            weight.grad = einkorn.Tensor(np.ones(3, np.float32))
            adam.step()
        assert adam.iterations == step
        adam.iterations = 1000  # the averages begin at 0, and nothing makes up for it any more
        before = weight.numpy().copy()
        weight.grad = einkorn.Tensor(np.full(3, 2.0, np.float32))
        adam.step()
        assert adam.iterations == 1001
        first, second = (step and 1 - 0.9**3) * 0.9 + 0.2, (step and 1 - 0.999**3) * 0.999 + 0.004
        first, second = first / (1 - 0.9**1001), second / (1 - 0.999**1001)
        assert_allclose(before - weight.numpy(), 0.1 * first / np.sqrt(second), rtol=1e-4)
    with pytest.raises(ArgumentError, match="iterations is -1"):
        adam.iterations = -1


# --- errors in a step -----------------------------------------------------------------------------


def room_for_all():
    einkorn.memory.set_limit(None)
    einkorn.memory.empty_cache()


@pytest.fixture
def limits():
    """Memory without a limit before and after; the limit is the native engine's."""
    pytest.importorskip("einkorn._native")
    room_for_all()
    yield
    room_for_all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [*ALL, "Muon"])
def test_a_step_without_memory_can_be_made_again(name, dtype, limits):
    """Whichever request for memory fails, the step made again is the one that never failed."""
    shape, options = (256, 1024), {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}

    def made():
        param = nn.Parameter(einkorn.tensor(rows(*shape, seed=1)).to(dtype))
        return param, getattr(optim, name)([param], lr=0.01, **options.get(name, {}))

    def give_gradient(param, step):
        param.grad = einkorn.tensor(rows(*shape, seed=2 + step)).to(dtype)

    expected, whole = made()
    param, optimizer = made()
    failures = 0
    for step in range(2):
        give_gradient(expected, step)
        whole.step()
        give_gradient(param, step)
        before = param.float().numpy().copy()
        for quarters in range(100):
            room_for_all()
            einkorn.memory.set_limit(einkorn.memory.stats()["allocated"] + quarters * 2**18 + 1)
            try:
                optimizer.step()
                break
            except MemoryError:
                failures += 1
                einkorn.memory.set_limit(None)
                assert optimizer.iterations == step
                assert_array_equal(param.float().numpy(), before)
        room_for_all()
    assert failures
    assert optimizer.iterations == 2
    assert_array_equal(param.float().numpy(), expected.float().numpy())


def test_no_group_is_updated_where_another_gets_no_state(limits):
    small, large = nn.Parameter(np.ones(4, np.float32)), nn.Parameter(np.ones(2**18, np.float32))
    optimizer = optim.Adam([{"params": [small]}, {"params": [large], "lr": 0.1}])
    for param in (small, large):
        param.grad = einkorn.ones_like(param)
    einkorn.memory.empty_cache()
    einkorn.memory.set_limit(einkorn.memory.stats()["allocated"] + 2**20)
    with pytest.raises(MemoryError):
        optimizer.step()
    einkorn.memory.set_limit(None)
    assert (small.numpy() == 1).all()
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    assert optimizer.iterations == 1


def test_lbfgs_goes_on_after_an_error(limits):
    param = nn.Parameter(np.full(2**18, 3, np.float32))
    optimizer = optim.LBFGS([param], lr=0.5, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((param - 1) ** 2).sum()
        loss.backward()
        return loss

    for quarters in range(80):
        einkorn.memory.empty_cache()
        einkorn.memory.set_limit(einkorn.memory.stats()["allocated"] + quarters * 2**18 + 1)
        try:
            optimizer.step(closure)
            break
        except MemoryError:
            einkorn.memory.set_limit(None)
    assert quarters
    einkorn.memory.set_limit(None)
    optimizer.step(closure)
    assert_allclose(param.numpy(), 1, atol=1e-3)
