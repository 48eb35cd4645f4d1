"""How often a step waits for a GPU that is not there, and what its checks of indices find."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from gpu_stand_in import GpuArray

import einkorn
from einkorn import cuda, nn

TOKENS = np.random.default_rng(3).integers(0, 9, (24, 5))
CLASSES = TOKENS[:, 0] % 4


class Waits:
    """Counts who reads from the card after something was launched there: the others need not wait."""

    def __init__(self, engine: gpu_stand_in.Engine, patch: pytest.MonkeyPatch) -> None:
        self.engine, self.count, self._before = engine, 0, 0
        self.checks = 0
        attribute, launch = GpuArray.__getattr__, gpu_stand_in.Engine.__getattr__

        def reads(name: str) -> None:
            method = getattr(GpuArray, name)

            def read(array: GpuArray, *args: Any, **options: Any) -> Any:
                self._wait()
                return method(array, *args, **options)

            patch.setattr(GpuArray, name, read)

        for name in ("get", "__float__", "__int__", "__bool__"):
            reads(name)

        def spied(array: GpuArray, name: str) -> Any:
            if name in ("item", "tolist"):
                self._wait()
            return attribute(array, name)

        def launched(engine: Any, name: str) -> Any:
            kernel = launch(engine, name)
            if name != "first_out_of_range":
                return kernel

            def check(*args: Any) -> Any:
                self.checks += 1
                found = kernel(*args)
                self._wait()
                return found

            return check

        patch.setattr(GpuArray, "__getattr__", spied)
        patch.setattr(gpu_stand_in.Engine, "__getattr__", launched)

    def _wait(self) -> None:
        if self.engine.launches != self._before:
            self.count += 1
        self._before = self.engine.launches


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    einkorn.engines.cpu()
    return Waits(gpu_stand_in.install(monkeypatch), monkeypatch)


def test_steps_of_ones_own_wait_for_nothing_but_their_numbers(waits: Waits) -> None:
    """The optimizers' steps, those of bfloat16 included, and clipping by a norm."""
    for kind, dtype in itertools.product((einkorn.optim.AdamW, einkorn.optim.SGD), ("float32", "bfloat16")):
        model = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1)).to("cuda", dtype)
        optimizer = kind(model.parameters(), lr=0.01)
        x = einkorn.randn(6, 5, device="cuda", dtype=dtype)
        before = waits.count
        for _ in range(3):
            loss = nn.functional.mse_loss(model(x), x[:, :1])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        assert waits.count == before
        assert np.isfinite(loss.item())
        assert waits.count == before + 1


def _model(**options: Any) -> Any:
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    model.to("cuda")
    model.compile("adam", "cross_entropy", metrics=["accuracy"], **options)
    return model


def _there(a: np.ndarray) -> Any:
    return GpuArray(a.copy())


@pytest.mark.parametrize("put", [lambda a: a, _there], ids=["from the CPU", "on the card"])
def test_a_step_waits_once(put: Any, waits: Waits) -> None:
    model = _model()
    before = waits.count
    model.fit(put(TOKENS), CLASSES, 4, 2, 0, on_nan="ignore")
    # Of each epoch the first batch settles what its outputs mean, which is one more look.
    assert waits.count - before <= 2 * (24 // 4) + 2 + (put is _there)
    assert waits.checks == 0
    before = waits.count
    model.evaluate(put(TOKENS), CLASSES, batch_size=4)
    model.predict(put(TOKENS), batch_size=4)
    assert waits.count - before <= 2 * (24 // 4) + 1
    assert waits.checks == 0


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 1.0},
        {"global_clipnorm": 1.0},
        {"clipvalue": 0.5},
        {"gradient_accumulation_steps": 2},
        {"autocast": True},
    ],
)
def test_a_step_waits_once_whatever_is_done_with_gradients(options: Any, waits: Waits) -> None:
    model = _model(**options)
    before = waits.count
    model.fit(_there(TOKENS), CLASSES, 4, 1, 0, sample_weight=np.linspace(0.5, 1, 24))
    # The first batch settles what outputs mean, and at the end of the epoch weights are looked at for NaN.
    assert waits.count - before <= 24 // 4 + 2
    assert waits.checks == 0


class _Chooser(nn.Module):
    """Reads its table in every way that takes indices."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(einkorn.randn(9, 4))

    def forward(self, tokens: Any) -> Any:
        first = tokens[:, 0]
        chosen = self.table[first] + self.table.index_select(0, first)
        chosen = (
            chosen
            + self.table.gather(0, tokens[:, :4])
            + einkorn.take_along_dim(self.table, tokens[:, :4], 0)
        )
        return chosen + einkorn.ops.take(self.table, first, 0)


@pytest.mark.parametrize("bad", [None, (3, 1), (6, 0)])
def test_indices_of_all_kinds_are_looked_at_together(bad: Any, waits: Waits) -> None:
    einkorn.manual_seed(0)
    model = _Chooser().to("cuda")
    model.compile("sgd", "cross_entropy")
    tokens = TOKENS.copy()
    if bad is None:
        before = waits.count
        model.fit(_there(tokens), CLASSES, 8, 1, 0)
        assert waits.count - before <= 3 + 2
        assert waits.checks == 0
        return
    tokens[bad] = 9
    errors = []
    for device in ("cpu", "cuda"):
        model.to(device)
        with pytest.raises(einkorn.IndexRangeError, match="9, out of range for axis 0 of size 9") as error:
            model.fit(tokens, CLASSES, 24, 1, 0, shuffle=False)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_a_step_of_ones_own_checks_at_once(waits: Waits) -> None:
    table = nn.Embedding(9, 4).to("cuda")
    table(einkorn.tensor(TOKENS, device="cuda"))
    assert waits.checks == 1


def _fitted(tokens: np.ndarray, classes: np.ndarray, device: str) -> tuple[Any, str]:
    model = _model().to(device)
    model.fit(TOKENS, CLASSES, 8, 1, 0, shuffle=False, device=device)
    before = [np.array(gpu_stand_in.near(a)) for a in model.state_dict().values()]
    with pytest.raises(einkorn.IndexRangeError) as error:
        model.fit(tokens, classes, 24, 1, 0, shuffle=False, device=device)
    for a, b in zip(model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(gpu_stand_in.near(a), b)
    model.fit(TOKENS, CLASSES, 8, 1, 0, device=device)  # which finds nothing of before
    with pytest.raises(einkorn.IndexRangeError, match="expected 0 to"):
        model.evaluate(tokens, classes)
    return model, str(error.value)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("what", ["tokens", "classes", "both"])
def test_a_bad_index_is_told_of_as_on_the_cpu_and_nothing_is_learned(what: str) -> None:
    tokens, classes = TOKENS.copy(), CLASSES.copy()
    if what != "classes":
        tokens[7, 2], tokens[9, 1] = 9, -1
    if what != "tokens":
        classes[5] = 4
    here, there = (_fitted(tokens, classes, device)[1] for device in ("cpu", "cuda"))
    assert there == here
    if what != "classes":
        assert "input has row 9 at (7, 2)" in there
    with pytest.raises(einkorn.IndexRangeError, match="expected 0 to 8"):
        _model().predict(np.where(TOKENS == 1, 11, TOKENS))


@pytest.mark.parametrize("name", ["native", "numba"])
def test_the_kernel_of_both_engines(name: str) -> None:
    k = importlib.import_module(f"einkorn.engines.{name}")
    index, out, position = np.array([3, -100, 9, 0, -2]), np.empty(5, np.int64), np.full(1, -1)
    k.clamp_indices(out, position, index, 0, 4, -100)
    assert (out.tolist(), position.tolist()) == ([3, -100, 3, 0, 0], [2])
    k.clamp_indices(out[:2], position, index[3:], -2, 4, -100)
    assert (out[:2].tolist(), position.tolist()) == ([0, -2], [2])
    for first in (
        (out[:4], position, index, 0, 4),
        (out, position[:0], index, 0, 4),
        (out, position, index, 4, 4),
    ):
        with pytest.raises(ValueError, match="clamp_indices: out must be as long as index"):
            k.clamp_indices(*first, 0)


@pytest.mark.usefixtures("waits")
def test_kernels_get_indices_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is out of range is brought into it meanwhile, in a copy."""
    from einkorn._range_checks import checked, later

    index = _there(np.array([3, -100, 9, 0, -2]))
    errors = []

    def told(position: int, value: int) -> Exception:
        errors.append((position, value))
        return einkorn.IndexRangeError("here")

    with later("cuda:0") as look:
        out = checked(index, 0, 4, -100, told)
        np.testing.assert_array_equal(out.near, [3, -100, 3, 0, 0])
        np.testing.assert_array_equal(index.near, [3, -100, 9, 0, -2])
        assert errors == []
        with pytest.raises(einkorn.IndexRangeError, match="here"):
            look()
        assert errors == [(2, 9)]
        for _ in range(100):  # more than there are places
            checked(_there(np.arange(4)), 0, 4, 0, told)
        look()
    assert checked(_there(np.arange(4)), 0, 4, 0, told) is not None
    with later("cuda:0"):
        checked(index, 0, 4, -100, told)  # and broken off
    with later("cuda:0") as look:
        checked(_there(np.arange(4)), 0, 4, 0, told)
        look()
    cuda.set_checked(False)
    try:
        with later("cuda:0") as look:
            assert checked(index, 0, 4, 0, told) is index
            look()
    finally:
        cuda.set_checked(True)
