"""Optimizers and schedules, against torch where it has them."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import rows

import einkorn
from einkorn import nn, optim
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.optim import lr_scheduler

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-6}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "maximize": True, "decoupled_weight_decay": True}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adagrad", {"lr": 0.1, "eps": 1e-3, "maximize": True}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "maximize": True}),
    ("RMSprop", {"weight_decay": 0.1}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "centered": True, "momentum": 0.9, "maximize": True}),
    ("Adamax", {"weight_decay": 0.1}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (1e-3, 0.2), "maximize": True}),
    ("ASGD", {"weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 2, "maximize": True}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.5, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "d": 2.0, "maximize": True}),
]


class _CardArray(np.ndarray):
    """An array whose flags, as CuPy's, do not say whether it may be written."""

    @property
    def flags(self):
        return SimpleNamespace(c_contiguous=np.asarray(self).flags.c_contiguous)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_parameters_whose_flags_do_not_say_writeable(name):
    param = nn.Parameter(np.ones(3))
    param._data = param._data.view(_CardArray)
    assert getattr(optim, name)([param], lr=0.1).param_groups[0]["params"] == [param]


def test_fill_of_an_array_whose_flags_do_not_say_writeable():
    param = nn.Parameter(np.ones(3))
    param._data = param._data.view(_CardArray)
    nn.init.zeros_(param)
    assert_array_equal(param.numpy(), np.zeros(3))


@pytest.fixture
def double():
    """torch keeps numbers of state (NAdam's product of momenta) in its default type."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pair(name, options, dtype=np.float64, shapes=((4, 3), (5,), (1,))):
    """The same parameters here and in torch, and an optimizer for each."""
    torch = pytest.importorskip("torch")
    arrays = [rows(*shape, seed=i).astype(dtype) for i, shape in enumerate(shapes)]
    ours = [nn.Parameter(array.copy()) for array in arrays]
    theirs = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    return (
        torch,
        ours,
        theirs,
        getattr(optim, name)(ours, **options),
        getattr(torch.optim, name)(theirs, **options),
    )


def give_gradients(torch, ours, theirs, step, skip=()):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        gradient = rows(*a.shape, seed=100 * step + i).astype(a.dtype)
        a.grad = None if i in skip else einkorn.Tensor(gradient)
        b.grad = None if i in skip else torch.from_numpy(gradient.copy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer_agrees_with_torch(name, options, dtype, double):
    empty = () if name == "Adafactor" else ((0,),)  # torch divides by its size
    torch, ours, theirs, a, b = pair(name, options, dtype, ((4, 3), (33,), (1,), *empty, (2, 3, 5)))
    for step in range(21):
        # a parameter that has no gradient for a while keeps its own count of steps
        give_gradients(torch, ours, theirs, step, skip={0: (1,), 3: (0, 2)}.get(step, ()))
        a.step()
        b.step()
    for x, t in zip(ours, theirs, strict=True):
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        assert_allclose(x.numpy(), t.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer_state_moves_from_torch_and_back(name, options, double):
    torch, ours, theirs, a, b = pair(name, options)
    for step in range(3):
        give_gradients(torch, ours, theirs, step, skip=(2,))
        b.step()
    for x, t in zip(ours, theirs, strict=True):
        x.data[...] = t.detach().numpy()
    a.load_state_dict(b.state_dict())
    saved = a.state_dict()
    again = getattr(optim, name)(ours, **options)
    again.load_state_dict(saved)
    returned = getattr(torch.optim, name)([t.detach().clone().requires_grad_() for t in theirs])
    returned.load_state_dict(in_torch(torch, saved))
    others = returned.param_groups[0]["params"]
    for step in range(3, 5):
        give_gradients(torch, ours, theirs, step)
        for t, other in zip(theirs, others, strict=True):
            other.grad = t.grad.clone()
        again.step()
        b.step()
        returned.step()
    for x, t, other in zip(ours, theirs, others, strict=True):
        assert_allclose(x.numpy(), t.detach().numpy(), rtol=1e-12)
        assert_allclose(other.detach().numpy(), t.detach().numpy(), rtol=1e-12)


def in_torch(torch, state):
    """A state_dict with torch's tensors for its arrays."""
    if isinstance(state, dict):
        return {key: in_torch(torch, value) for key, value in state.items()}
    if isinstance(state, list):
        return [in_torch(torch, value) for value in state]
    return torch.from_numpy(state.copy()) if isinstance(state, np.ndarray) else state


def test_parameter_groups_have_their_own_options():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    a.grad = b.grad = einkorn.Tensor(np.ones(2))
    optimizer.step()
    assert_allclose(a.numpy(), [0.9, 0.9])
    assert_allclose(b.numpy(), [0.5, 0.5])
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert_allclose(b.numpy(), [0.5, 0.5])


def test_learning_rate_is_the_rate_of_all_groups():
    first, second = (nn.Parameter(np.ones(2, np.float32)) for _ in range(2))
    optimizer = optim.SGD([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 2.0}])
    assert optimizer.learning_rate == 1.0
    optimizer.learning_rate = 0.25
    for param in (first, second):
        param.grad = einkorn.Tensor(np.ones(2, np.float32))
    optimizer.step()
    assert_array_equal(first.data, [0.75, 0.75])
    assert_array_equal(second.data, [0.75, 0.75])
    for bad in (-1.0, "fast", None, True, lr_scheduler.StepLR(optimizer, 1)):
        with pytest.raises(ArgumentError, match=r"SGD: lr is .*, expected a number"):
            optimizer.learning_rate = bad
    assert optimizer.learning_rate == 0.25


@pytest.mark.parametrize(("name", "option"), [("SGD", "lr"), ("SGD", "momentum"), ("AdamW", "weight_decay")])
def test_options_of_groups_are_no_attributes(name, option):
    optimizer = getattr(optim, name)([nn.Parameter(np.ones(2, np.float32))])
    with pytest.raises(ArgumentError, match=f"{name}: {option} belongs to a parameter group"):
        setattr(optimizer, option, 0.5)


def test_a_step_is_one_launch_per_group_and_type(monkeypatch):
    engine = einkorn.engines.cpu()
    launches = []
    kernel = engine.adam_step
    monkeypatch.setattr(engine, "adam_step", lambda *args: (launches.append(len(args[0])), kernel(*args)))
    params = [nn.Parameter(rows(3, seed=i)) for i in range(5)]
    params.append(nn.Parameter(np.ones(2)))
    optimizer = optim.Adam([{"params": params[:2]}, {"params": params[2:]}])
    for parameter in params:
        parameter.grad = einkorn.Tensor(np.ones_like(parameter.data))
    optimizer.step()
    assert launches == [2, 3, 1]


def test_zero_grad_of_an_optimizer():
    parameter = nn.Parameter(np.ones(2))
    optimizer = optim.SGD([parameter], lr=0.1)
    parameter.grad = einkorn.Tensor(np.ones(2))
    optimizer.zero_grad(set_to_none=False)
    assert_array_equal(parameter.grad.numpy(), [0, 0])
    optimizer.zero_grad()
    assert parameter.grad is None
    optimizer.step()
    assert_array_equal(parameter.numpy(), [1, 1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -1}, "SGD: lr is -1, expected a number >= 0"),
        ("SGD", {"lr": "fast"}, "lr is 'fast'"),
        ("SGD", {"lr": float("nan")}, "lr is nan"),
        ("SGD", {"momentum": -0.1}, "momentum is -0.1"),
        ("SGD", {"weight_decay": -1}, "weight_decay is -1"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum > 0"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\] is 1.0, expected a number >= 0 and below 1"),
        ("Adam", {"betas": 0.9}, "betas is 0.9, expected a pair"),
        ("AdamW", {"eps": -1e-8}, "AdamW: eps is -1e-08"),
        ("SGD", {"differentiable": True}, "SGD: differentiable is True, expected False"),
        ("Adam", {"maximize": "yes"}, "Adam: maximize is 'yes', expected True or False"),
        ("Adagrad", {"lr_decay": -1}, "Adagrad: lr_decay is -1"),
        ("Adadelta", {"rho": 1.5}, "Adadelta: rho is 1.5, expected a number from 0 to 1"),
        ("RMSprop", {"alpha": -1}, "RMSprop: alpha is -1"),
        ("NAdam", {"momentum_decay": -1}, "NAdam: momentum_decay is -1"),
        ("ASGD", {"lambd": -1}, "ASGD: lambd is -1"),
        ("ASGD", {"maximize": 1}, "ASGD: maximize is 1"),
        ("Rprop", {"etas": (0.5, 0.9)}, r"Rprop: etas is \(0.5, 0.9\), expected 0 < etas"),
        ("Rprop", {"step_sizes": 1.0}, "Rprop: step_sizes is 1.0, expected a pair"),
        ("Lion", {"betas": (0.9, 2)}, r"Lion: betas\[1\] is 2"),
        ("LAMB", {"lr": None}, "LAMB: lr is None"),
        ("Adafactor", {"d": 0.5}, "Adafactor: d is 0.5, expected a number >= 1"),
        ("Adafactor", {"beta2_decay": 1}, "Adafactor: beta2_decay is 1, expected a number <= 0"),
        ("LBFGS", {"max_iter": 0}, "LBFGS: max_iter is 0, expected an integer >= 1"),
        ("LBFGS", {"line_search_fn": "wolfe"}, "LBFGS: line_search_fn is 'wolfe', expected None or"),
    ],
)
def test_bad_options_are_refused_by_name(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        getattr(optim, name)([nn.Parameter(np.ones(1))], **options)


def test_bad_parameters_are_refused():
    parameter = nn.Parameter(np.ones(1))
    for params, message in [
        ([], "params is empty"),
        (parameter, "params is Parameter, expected an iterable"),
        ([np.ones(2)], "parameter 0 is ndarray"),
        ([parameter, parameter], "parameter 1 is given twice"),
        ([{"params": [parameter]}, {"params": [parameter]}], "parameter 0 is given twice"),
        ([{"lr": 0.1}], 'dict with "params"'),
        ([einkorn.Tensor(np.ones((2, 3)).T)], "not C-contiguous"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            optim.SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("AdamW", {"lr_scale": 0.5}),
        ("Rprop", {"weight_decay": 0.1, "momentum": 0.9}),
        ("SGD", {"name": "head"}),
    ],
)
def test_groups_keep_options_of_other_names(name, more):
    torch = pytest.importorskip("torch")

    def made(library, parameters):
        groups = [{"params": parameters[:1], **more}, {"params": parameters[1:]}]
        return getattr(library, name)(groups, lr=0.1)

    theirs = made(torch.optim, [torch.nn.Parameter(torch.ones(2)) for _ in range(2)])
    ours, again = (made(optim, [nn.Parameter(np.ones(2, np.float32)) for _ in range(2)]) for _ in range(2))
    for key, value in more.items():
        assert ours.param_groups[0][key] == theirs.param_groups[0][key] == value
        assert (key in ours.param_groups[1]) == (key in theirs.param_groups[1])
        assert ours.state_dict()["param_groups"][0][key] == value
        assert f"{key}: {value}" in repr(ours)
    for saved in (ours.state_dict(), theirs.state_dict()):
        again.param_groups[0].update(dict.fromkeys(more, 0))
        again.load_state_dict(saved)
        assert {key: again.param_groups[0][key] for key in more} == more


def test_load_state_dict_refuses_what_does_not_fit():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(3))
    one, two = optim.Adam([a]), optim.Adam([b])
    a.grad = einkorn.Tensor(np.ones(2))
    one.step()
    with pytest.raises(ArgumentError, match=r"exp_avg of shape \(2,\) for parameter 0, expected \(3,\)"):
        two.load_state_dict(one.state_dict())
    with pytest.raises(ArgumentError, match=r"groups of \[1\] parameters, expected \[2\]"):
        optim.Adam([nn.Parameter(np.ones(2)), b]).load_state_dict(one.state_dict())
    with pytest.raises(ArgumentError, match="expects state and param_groups"):
        one.load_state_dict({})


def test_a_cast_model_needs_a_new_optimizer():
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters())
    model(rows(3, 2)).sum().backward()
    optimizer.step()
    model.to("float64")
    model(rows(3, 2).astype(float)).sum().backward()
    with pytest.raises(DTypeError, match="make a new optimizer"):
        optimizer.step()


def test_schedules():
    torch = pytest.importorskip("torch")
    for name, options in [
        ("StepLR", {"step_size": 2, "gamma": 0.5}),
        ("ExponentialLR", {"gamma": 0.8}),
        ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ]:
        ours = optim.SGD([nn.Parameter(np.ones(1))], lr=0.4)
        theirs = torch.optim.SGD([torch.ones(1)], lr=0.4)
        a = getattr(lr_scheduler, name)(ours, **options)
        b = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
        for _ in range(5):
            assert a.get_last_lr() == pytest.approx(b.get_last_lr())
            theirs.step()
            a.step()
            b.step()
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=0.4)
    schedule = lr_scheduler.TimeBasedLR(optimizer, decay=0.5)
    schedule.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.4 / 2)
    other = lr_scheduler.TimeBasedLR(optim.SGD([nn.Parameter(np.ones(1))], lr=9.0), decay=0.5)
    other.load_state_dict(schedule.state_dict())
    assert other.get_last_lr() == pytest.approx([0.2])
    with pytest.raises(ArgumentError, match="step_size is 0"):
        lr_scheduler.StepLR(optimizer, 0)
    with pytest.raises(ArgumentError, match="optimizer is float"):
        lr_scheduler.ExponentialLR(0.1, 0.5)


# --- what a user may change between steps ---------------------------------------------------------


def gave(shape, dtype=np.float64):
    return einkorn.Tensor(np.ones(shape, dtype))


def test_gradients_that_stopped_fitting_are_refused_in_the_step():
    for optimizer_of in (lambda p: optim.SGD(p, lr=0.1), optim.Adam):
        for owner, data, error, message in [
            ("grad", np.ones((4, 3)), ShapeError, r"parameter 1 .*\(4, 3\), expected \(3, 4\)"),
            ("grad", np.ones(0), ShapeError, r"parameter 1 has a gradient of shape \(0,\)"),
            ("grad", np.ones((3, 4), np.float32), DTypeError, "parameter 1 .*float32"),
            ("parameter", np.ones((6, 4)), ShapeError, r"parameter 1 .*expected \(6, 4\)"),
        ]:
            w, v = nn.Parameter(np.ones((3, 4))), nn.Parameter(np.ones(2))
            optimizer = optimizer_of([v, w])
            v.grad, w.grad = gave(2), gave((3, 4))
            (w.grad if owner == "grad" else w).data = data
            with pytest.raises(error, match=message):
                optimizer.step()
            assert_array_equal(v, np.ones(2))


@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_data_replaced_between_steps(name, options):
    w = nn.Parameter(np.ones(3))
    optimizer = getattr(optim, name)([w], lr=0.1, **options)
    w.grad = gave(3)
    optimizer.step()
    w.data = np.zeros(3)  # other memory of this shape is fine
    optimizer.step()
    assert (w.numpy() < 0).all()
    w.data = np.zeros(5)
    w.grad = gave(5)
    with pytest.raises(ShapeError, match=rf"{name}: parameter 0 has shape \(5,\) now .*make a new optimizer"):
        optimizer.step()


def test_a_gradient_in_another_order_is_applied_where_it_belongs():
    w = nn.Parameter(np.zeros((2, 3)))
    w.grad = gave((2, 3))
    w.grad.data = np.arange(6.0).reshape(3, 2).T
    optim.SGD([w], lr=1.0).step()
    assert_array_equal(w, -np.arange(6.0).reshape(3, 2).T)


def test_amsgrad_switched_on_late():
    def run(parameter, optimizer, late):
        for i in range(6):
            parameter.grad = einkorn.Tensor(np.full(3, 10.0 - 1.7 * i))
            if i == 2:
                optimizer.param_groups[0]["amsgrad"] = late
            optimizer.step()
        return parameter.numpy().copy()

    outcomes = []
    for late in (True, False):
        parameter = nn.Parameter(np.zeros(3))
        outcomes.append(run(parameter, optim.Adam([parameter], lr=0.1, betas=(0.9, 0.5)), late))
    assert (outcomes[0] != outcomes[1]).all()
    # by the formulas
    p, m, v, top = 0.0, 0.0, 0.0, 0.0
    for i in range(6):
        g = 10.0 - 1.7 * i
        m, v = 0.9 * m + 0.1 * g, 0.5 * v + 0.5 * g * g
        second = v
        if i >= 2:
            top = second = max(top, v)
        p -= 0.1 / (1 - 0.9 ** (i + 1)) * m / (np.sqrt(second / (1 - 0.5 ** (i + 1))) + 1e-8)
    assert_allclose(outcomes[0], np.full(3, p), rtol=1e-12)


def test_a_copied_optimizer_knows_its_parameters():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    twin = copy.deepcopy(optim.SGD([a], lr=0.1))
    own = twin.param_groups[0]["params"][0]
    with pytest.raises(ArgumentError, match="parameter 0 is given twice"):
        twin.add_param_group({"params": [own]})
    with pytest.raises(ArgumentError, match="parameter 1 is given twice"):
        twin.add_param_group({"params": [b, own]})
    twin.add_param_group({"params": [b, a]})  # a itself is none of the copy's
    again = pickle.loads(pickle.dumps(twin))
    with pytest.raises(ArgumentError, match="given twice"):
        again.add_param_group({"params": again.param_groups[1]["params"][0]})
    shallow = copy.copy(twin)
    with pytest.raises(ArgumentError, match="given twice"):
        shallow.add_param_group({"params": [b]})


def test_parameters_appended_to_a_group_are_updated():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.Adam([a], lr=0.1)
    a.grad = gave(2)
    optimizer.step()
    optimizer.param_groups[0]["params"].append(b)
    b.grad = gave(2)
    optimizer.step()
    assert_allclose(b, np.full(2, 0.9), rtol=1e-6)


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR", "TimeBasedLR", "LambdaLR"])
def test_a_group_added_after_a_schedule_was_made(name):
    torch = pytest.importorskip("torch")
    options = {
        "StepLR": {"step_size": 2, "gamma": 0.5},
        "ExponentialLR": {"gamma": 0.5},
        "TimeBasedLR": {"decay": 1.0},
        "LambdaLR": {"lr_lambda": lambda epoch: 0.5**epoch},
    }[name]
    ours = optim.SGD([nn.Parameter(np.ones(1))], lr=0.4)
    schedule = getattr(lr_scheduler, name)(ours, **options)
    schedule.step()
    ours.add_param_group({"params": [nn.Parameter(np.ones(1))], "lr": 0.1})
    assert schedule.get_last_lr()[1] == 0.1
    if name in ("StepLR", "ExponentialLR"):
        theirs = torch.optim.SGD([torch.ones(1)], lr=0.4)
        peer = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
        theirs.step()
        peer.step()
        theirs.add_param_group({"params": [torch.ones(1)], "lr": 0.1})
        for _ in range(4):
            theirs.step()
            peer.step()
            schedule.step()
            assert schedule.get_last_lr() == pytest.approx(peer.get_last_lr())
    else:
        before = schedule.get_last_lr()
        schedule.step()
        after = schedule.get_last_lr()
        assert after[1] / before[1] == pytest.approx(after[0] / before[0])
    again = getattr(lr_scheduler, name)(ours, **options)
    again.load_state_dict(schedule.state_dict())
    assert again.get_last_lr() == pytest.approx(schedule.get_last_lr())


def test_parameters_of_torch_and_results_are_refused_by_name():
    torch = pytest.importorskip("torch")
    for params, message in [
        (torch.nn.Linear(2, 2).parameters(), r"parameter 0 is a torch Parameter, .*torch\.optim"),
        ([torch.ones(2)], r"parameter 0 is a torch Tensor, .*torch\.optim"),
        (nn.Linear(2, 2).named_parameters(), r"parameter 0 is tuple, .*named_parameters"),
        ([nn.Parameter(np.ones(2)) * 2.0], "parameter 0 was computed by a recorded operation"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            optim.SGD(params, lr=0.1)


def test_state_of_two_byte_floats_is_loaded():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Parameter(np.ones(3, np.float32)), torch.ones(3, dtype=torch.bfloat16)
    peer = torch.optim.Adam([theirs])
    theirs.grad = torch.full((3,), 0.5, dtype=torch.bfloat16)
    peer.step()
    optimizer = optim.Adam([ours])
    optimizer.load_state_dict(peer.state_dict())
    loaded = optimizer.state_dict()["state"][0]["exp_avg"]
    assert_array_equal(loaded, peer.state_dict()["state"][0]["exp_avg"].float())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.1, "weight_decay": 0.0, "ns_steps": 3},
    ],
    ids=str,
)
def test_muon_agrees_with_torch_as_far_as_bfloat16_does(options):
    torch, ours, theirs, a, b = pair(
        "Muon", {"lr": 0.02, **options}, np.float32, ((12, 5), (5, 12), (7, 7), (1, 3))
    )
    begun = [x.numpy().copy() for x in ours]
    for step in range(5):
        give_gradients(torch, ours, theirs, step)
        a.step()
        b.step()
    for x, t, first in zip(ours, theirs, begun, strict=True):
        way = np.abs(t.detach().numpy() - first).max()
        assert_allclose(x.numpy(), t.detach().numpy(), atol=0.03 * way)
    for i, entry in b.state_dict()["state"].items():
        assert_allclose(
            a.state_dict()["state"][i]["momentum_buffer"], entry["momentum_buffer"].numpy(), rtol=1e-5
        )


def test_muon_moves_orthogonally_and_its_state_is_taken_over():
    torch, ours, theirs, a, b = pair(
        "Muon", {"lr": 1.0, "weight_decay": 0.0, "momentum": 0.9}, np.float64, ((6, 4),)
    )
    begun = ours[0].numpy().copy()
    give_gradients(torch, ours, theirs, 0)
    a.step()
    singular = np.linalg.svd((begun - ours[0].numpy()) / np.sqrt(1.5), compute_uv=False)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    b.step()
    again = optim.Muon(ours)
    again.load_state_dict(b.state_dict())
    assert_allclose(
        again.state_dict()["state"][0]["momentum_buffer"], b.state_dict()["state"][0]["momentum_buffer"]
    )
    b.load_state_dict(in_torch(torch, a.state_dict()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ns_steps": 100}, "Muon: ns_steps is 100"),
        ({"ns_coefficients": (1, 2)}, r"Muon: ns_coefficients is \(1, 2\)"),
        ({"adjust_lr_fn": "none"}, "Muon: adjust_lr_fn is 'none'"),
        ({"nesterov": 1}, "Muon: nesterov is 1"),
        ({"momentum": -1}, "Muon: momentum is -1"),
    ],
)
def test_muon_refuses(options, said):
    with pytest.raises(ArgumentError, match=said):
        optim.Muon([nn.Parameter(np.ones((2, 2)))], **options)
    with pytest.raises(ArgumentError, match=r"Muon: parameter 1 has shape \(3,\), expected 2 dimensions"):
        optim.Muon([nn.Parameter(np.ones((2, 2))), nn.Parameter(np.ones(3))])
