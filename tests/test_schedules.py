"""Schedules of the learning rate: torch's and Keras', by their values."""

import math

import numpy as np
import pytest

from einkorn import nn, optim
from einkorn.errors import ArgumentError
from einkorn.optim import lr_scheduler, schedules

STEPS = 200


def pair(kind="SGD", groups=1):
    """The same optimizer of both libraries."""
    torch = pytest.importorskip("torch")
    rates = [0.4, 0.05][:groups]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    ours = [{"params": [nn.Parameter(np.ones(1))], "lr": rate} for rate in rates]
    theirs = [{"params": [torch.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    return getattr(optim, kind)(ours, **options), getattr(torch.optim, kind)(theirs, **options), torch


def falling(epoch):
    return 1 / (1 + 0.1 * epoch)


CYCLE = {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 13}
THREE = {"epochs": 3, "steps_per_epoch": 67, "anneal_strategy": "linear", "three_phase": True}
SCHEDULES = [
    ("LambdaLR", {"lr_lambda": falling}),
    ("LambdaLR", {"lr_lambda": [falling, lambda epoch: 0.9**epoch]}),
    ("MultiplicativeLR", {"lr_lambda": falling}),
    ("StepLR", {"step_size": 7, "gamma": 0.8}),
    ("MultiStepLR", {"milestones": [5, 30, 30, 90], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 40}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("PolynomialLR", {"total_iters": 120, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 11, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}),
    ("CyclicLR", CYCLE),
    ("CyclicLR", {**CYCLE, "max_lr": [0.5, 0.7], "step_size_down": 4, "mode": "triangular2"}),
    ("CyclicLR", {**CYCLE, "mode": "exp_range", "gamma": 0.99}),
    ("CyclicLR", {**CYCLE, "scale_fn": lambda x: 1 / (5 ** (x * 0.0001))}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 201}),
    ("OneCycleLR", {"max_lr": [0.3, 0.2], **THREE}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_schedules_are_torchs(name, options, kind):
    ours, theirs, torch = pair(kind, 2)
    a = getattr(lr_scheduler, name)(ours, **options)
    b = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    key = "momentum" if kind == "SGD" else "betas"
    for step in range(STEPS):
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-9, abs=1e-12), step
        for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert mine["lr"] == pytest.approx(other["lr"], rel=1e-9, abs=1e-12), step
            assert mine[key] == pytest.approx(other[key], rel=1e-9), step
        if step == 90:  # in another process
            kept = a.state_dict()
            again, _, _ = pair(kind, 2)
            again.load_state_dict(ours.state_dict())
            ours, a = again, getattr(lr_scheduler, name)(again, **options)
            again.load_state_dict(ours.state_dict())
            a.load_state_dict(kept)
        theirs.step()
        a.step()
        b.step()


def chain(library, optimizer):
    return library.ChainedScheduler(
        [library.ConstantLR(optimizer, 0.1, 20), library.ExponentialLR(optimizer, 0.98)]
    )


def sequence(library, optimizer):
    parts = [
        library.LinearLR(optimizer, 0.1, total_iters=10),
        library.CosineAnnealingLR(optimizer, 50),
        library.ExponentialLR(optimizer, 0.9),
    ]
    return library.SequentialLR(optimizer, parts, [10, 60])


def restarted(library, optimizer):
    parts = [library.StepLR(optimizer, 3), library.CosineAnnealingWarmRestarts(optimizer, 7)]
    return library.SequentialLR(optimizer, parts, [12])


@pytest.mark.parametrize("make", [chain, sequence, restarted])
def test_composed_schedules_are_torchs(make):
    ours, theirs, torch = pair(groups=2)
    a, b = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for step in range(STEPS):
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-9, abs=1e-12), step
        if step == 33:
            kept = a.state_dict()
            ours, _, _ = pair(groups=2)
            a = make(lr_scheduler, ours)
            a.load_state_dict(kept)
        theirs.step()
        a.step()
        b.step()


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 3},
        {"mode": "max", "patience": 2, "threshold": 0.05, "threshold_mode": "abs"},
        {"factor": 0.5, "patience": 1, "cooldown": 4, "min_lr": 0.01, "threshold": 0.01},
        {"mode": "max", "patience": 1, "threshold": 0.02},
    ],
)
def test_reduction_on_a_plateau_is_torchs(options):
    ours, theirs, torch = pair(groups=2)
    a = lr_scheduler.ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    figures = np.random.default_rng(0).random(STEPS) * np.linspace(2, 0.5, STEPS)
    for figure in figures:
        a.step(figure)
        b.step(figure)
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)
    assert a.get_last_lr()[0] < 0.4


def test_schedules_refuse_what_they_cannot_do():
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=0.1)
    adagrad = optim.Adagrad([nn.Parameter(np.ones(1))], lr=0.1)
    for make, message in [
        (lambda: lr_scheduler.LinearLR(optimizer, 0), "start_factor is 0"),
        (lambda: lr_scheduler.ConstantLR(optimizer, 1.5), "factor is 1.5"),
        (lambda: lr_scheduler.CosineAnnealingLR(optimizer, 0), "T_max is 0"),
        (lambda: lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, mode="square"), "mode is 'square'"),
        (lambda: lr_scheduler.CyclicLR(adagrad, 0.1, 0.2), "neither momentum nor betas"),
        (lambda: lr_scheduler.OneCycleLR(optimizer, 0.1), "expected total_steps, or epochs"),
        (lambda: lr_scheduler.LambdaLR(optimizer, [falling] * 2), "has 2 entries, expected 1"),
        (
            lambda: lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(optimizer, 2)], [3]),
            "milestones has 1 entries, expected 0",
        ),
        (lambda: lr_scheduler.ReduceLROnPlateau(optimizer, factor=1.0), "factor is 1.0"),
        (lambda: lr_scheduler.ReduceLROnPlateau(optimizer).step(), "step got no figure"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            make()
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, 3)
    for _ in range(3):
        cycle.step()
    with pytest.raises(ArgumentError, match="step 4 was asked for, and the cycle has 3"):
        cycle.step()


def test_kerass_schedules_follow_their_formulas():
    half = schedules.ExponentialDecay(0.1, 10, 0.5)
    assert [half(0), half(5), half(20)] == pytest.approx([0.1, 0.1 * 0.5**0.5, 0.025])
    assert schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)(19) == pytest.approx(0.05)
    assert schedules.InverseTimeDecay(0.1, 10, 0.5)(20) == pytest.approx(0.05)
    steps = schedules.PiecewiseConstantDecay([5, 9], [1.0, 0.5, 0.1])
    assert [steps(k) for k in (0, 5, 6, 9, 10)] == [1.0, 1.0, 0.5, 0.5, 0.1]
    line = schedules.PolynomialDecay(0.1, 10, 0.02, power=2)
    assert [line(5), line(10), line(50)] == pytest.approx([0.08 * 0.25 + 0.02, 0.02, 0.02])
    assert schedules.PolynomialDecay(0.1, 10, 0.02, cycle=True)(15) == pytest.approx(0.08 * 0.25 + 0.02)
    wave = schedules.CosineDecay(0.1, 10, alpha=0.1)
    assert [wave(0), wave(5), wave(99)] == pytest.approx([0.1, 0.1 * 0.55, 0.01])
    warm = schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5)
    assert [warm(0), warm(2), warm(5), warm(10), warm(15)] == pytest.approx(
        [0, 0.04, 0.1, 0.05, 0], abs=1e-12
    )
    again = schedules.CosineDecayRestarts(0.1, 10, t_mul=2.0, m_mul=0.5)
    assert [again(0), again(5), again(10), again(20), again(30)] == pytest.approx(
        [0.1, 0.05, 0.05, 0.025, 0.025]
    )
    assert schedules.CosineDecayRestarts(0.1, 10, t_mul=1.0)(25) == pytest.approx(0.05)
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=9.0)
    schedule = lr_scheduler.FunctionLR(optimizer, half)
    rates = []
    for _ in range(3):
        rates += schedule.get_last_lr()
        schedule.step()
    assert rates == pytest.approx([0.1 * math.pow(0.5, k / 10) for k in range(3)])
    with pytest.raises(ArgumentError, match="2 boundaries and 2 values"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ArgumentError, match="decay_steps is 0"):
        schedules.ExponentialDecay(0.1, 0, 0.5)
