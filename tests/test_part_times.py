"""The time by part, by a clock that stands still but where a part of known length lets it go."""

import numpy as np
import pytest

import einkorn
from einkorn import nn, optim, training
from einkorn.training import part_times
from einkorn.training.part_times import PARTS, PartTimes, TimedStepper
from einkorn.training.state import state_of

BATCHES, EPOCHS = 3, 2
LASTS = {
    "forward": 1.0,
    "backward": 10.0,
    "optimizer": 100.0,
    "data": 1e3,
    "callbacks": 1e4,
    "validation": 1e5,
    "other": 1e6,
}


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(part_times, "perf_counter", lambda: self.now)

    def pass_(self, part):
        self.now += LASTS[part]


class Slow(einkorn.autograd.Function):
    clock = None

    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, grad):
        Slow.clock.pass_("backward")
        return grad


class Net(nn.Module):
    def __init__(self, clock):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.clock = clock

    def forward(self, x):
        self.clock.pass_("forward" if self.training else "validation")
        return Slow.apply(self.layer(x)) if self.training else self.layer(x)


class SlowSGD(optim.SGD):
    clock = None

    def step(self, closure=None):
        self.clock.pass_("optimizer")
        return super().step(closure)


class Batches:
    def __init__(self, clock):
        self.clock = clock

    def __len__(self):
        return BATCHES

    def __iter__(self):
        for _ in range(BATCHES):
            self.clock.pass_("data")
            yield np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])


class SlowCallback(training.Callback):
    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_end(self, batch, logs=None):
        self.clock.pass_("callbacks")

    def on_epoch_end(self, epoch, logs=None):
        self.clock.pass_("callbacks")


def compiled(clock, **options):
    Slow.clock = SlowSGD.clock = clock
    model = Net(clock)
    model.compile(SlowSGD(model.parameters(), lr=0.1), "cross_entropy", **options)
    return model


def fitted(clock, model, *callbacks, validates=True):
    x, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    model.fit(
        Batches(clock), epochs=EPOCHS, verbose=0, callbacks=list(callbacks),
        validation_data=(x, y) if validates else None,
    )  # fmt: skip
    return model


@pytest.mark.parametrize("first", [True, False])
def test_each_part_has_its_own_time(monkeypatch, first):
    clock = Clock(monkeypatch)
    times, slow = PartTimes(), SlowCallback(clock)
    fitted(clock, compiled(clock), *((times, slow) if first else (slow, times)))
    steps = BATCHES * EPOCHS
    counts = dict.fromkeys(("forward", "backward", "optimizer", "data"), steps)
    counts |= {"callbacks": steps + EPOCHS, "validation": EPOCHS, "other": 0}
    assert times.seconds == {part: counts[part] * LASTS[part] for part in PARTS}
    assert sum(times.seconds.values()) == clock.now


def test_gathered_batches_are_updated_with_once(monkeypatch):
    clock = Clock(monkeypatch)
    times = PartTimes()
    fitted(clock, compiled(clock, gradient_accumulation_steps=2), times, validates=False)
    assert times.seconds["optimizer"] == 2 * EPOCHS * LASTS["optimizer"]  # of 3 batches: 2 and 1
    assert times.seconds["backward"] == BATCHES * EPOCHS * LASTS["backward"]


def test_what_is_nobodys_is_other(monkeypatch):
    clock = Clock(monkeypatch)

    def slow_metric(output, target):
        clock.pass_("other")
        return 0.0

    times = PartTimes()
    fitted(clock, compiled(clock, metrics=[slow_metric]), times, validates=False)
    assert times.seconds["other"] == EPOCHS * LASTS["other"]
    assert sum(times.seconds.values()) == clock.now


def test_times_go_on_with_a_training_that_is_kept(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)

    class Stop(training.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(clock, compiled(clock), PartTimes(), Stop(), training.BackupAndRestore(tmp_path))
    times = PartTimes()
    fitted(clock, compiled(clock), times, training.BackupAndRestore(tmp_path))
    assert times.seconds["forward"] == BATCHES * EPOCHS * LASTS["forward"]
    assert times.seconds["validation"] == EPOCHS * LASTS["validation"]
    assert sum(times.seconds.values()) == clock.now


def test_nothing_is_timed_where_nobody_asks(monkeypatch):
    found = []

    class Look(training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found.append(type(state_of(self.model).stepper))

    def fail():
        raise AssertionError("the clock was read")

    clock = Clock(monkeypatch)
    monkeypatch.setattr(part_times, "perf_counter", fail)
    fitted(clock, compiled(clock), Look())
    assert TimedStepper not in found
    assert len(found) == BATCHES * EPOCHS


def test_times_change_nothing_of_the_training(monkeypatch):
    clock = Clock(monkeypatch)
    weights = []
    for callbacks in ([], [PartTimes()]):
        einkorn.manual_seed(3)
        weights.append(fitted(clock, compiled(clock), *callbacks).get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
