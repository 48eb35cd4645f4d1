"""bfloat16 on a GPU that is not there: arrays of it that stay what they are, and the CPU's numbers."""

from __future__ import annotations

import sys
from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from checking import a_few_of
from gpu_stand_in import GpuArray, near

import einkorn
from einkorn import nn, optim
from einkorn.cases import FAMILIES, Case, as_tuple

BFLOAT16 = einkorn.bfloat16
X = np.random.default_rng(4).standard_normal((6, 4)).astype(np.float32)
#: As in test_bfloat16.py: lists of arrays; a case that begins with another operation.
ELSEWHERE = {"optimizer", "ctc"}
SMALL, EACH = 20_000, 4  # elements of a case; cases of an operation


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> gpu_stand_in.Engine:
    einkorn.engines.cpu()
    return gpu_stand_in.install(monkeypatch)


def _run(case: Case, far: bool) -> list[Any]:
    arrays: list[Any] = []
    for a in case.make("float32"):
        if a is not None:
            a = a.astype(BFLOAT16) if a.dtype.kind == "f" else a.copy()
            a = GpuArray(a) if far else a
        arrays.append(a)
    for i in case.wanted:
        arrays[i] = einkorn.Tensor(arrays[i], requires_grad=True)
    einkorn.manual_seed(3)
    outs = as_tuple(case.run(einkorn, arrays, np.dtype(BFLOAT16)))
    results = [a._data if isinstance(a, einkorn.Tensor) else a for a in outs]
    first = outs[0]
    if isinstance(first, einkorn.Tensor) and first.requires_grad:
        ones = np.ones(first.shape, first.dtype)
        first.backward(GpuArray(ones) if far else ones)
        results += [arrays[i].grad._data for i in case.wanted if arrays[i].grad is not None]
    if far and any(isinstance(a, (GpuArray, einkorn.Tensor)) for a in arrays):
        for a in results:
            assert not (isinstance(a, np.ndarray) and a.dtype.kind in "fV" and a.size > 1), "on the CPU"
    return results


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ELSEWHERE])
def test_cases_of_bfloat16(family: str) -> None:
    for case in a_few_of(family, SMALL, EACH):
        try:
            expected = _run(case, far=False)
        except einkorn.DTypeError:  # what takes no bfloat16 takes none on a GPU
            with pytest.raises(einkorn.DTypeError):
                _run(case, far=True)
            continue
        got = _run(case, far=True)
        assert len(got) == len(expected), case.name
        for a, b in zip(got, expected, strict=True):
            here, wanted = np.asarray(near(a)), np.asarray(b)
            assert here.dtype == wanted.dtype, case.name
            if wanted.dtype == BFLOAT16:
                here, wanted = here.astype(np.float32), wanted.astype(np.float32)
            np.testing.assert_array_equal(here, wanted, err_msg=case.name)


def _same(there: Any, here: Any) -> None:
    assert there.is_cuda
    assert there.dtype == here.dtype
    np.testing.assert_array_equal(there.cpu().float().numpy(), here.float().numpy())


def test_tensors() -> None:
    here = einkorn.tensor(X).bfloat16()
    there = here.cuda()
    assert there._data.dtype == BFLOAT16
    _same(there, here)
    _same(einkorn.tensor(X, device="cuda").bfloat16(), here)
    _same(einkorn.tensor(X, device="cuda").to(einkorn.bfloat16), here)
    _same(einkorn.tensor(X, dtype=einkorn.bfloat16, device="cuda"), here)
    _same(einkorn.ones(3, dtype=einkorn.bfloat16, device="cuda"), einkorn.ones(3).bfloat16())
    _same(there.float(), here.float())
    _same(there.double(), here.double())
    _same(there.int(), here.int())
    _same(einkorn.arange(5, device="cuda").bfloat16(), einkorn.arange(5).bfloat16())
    for step in (
        lambda t: t[1:, ::2],
        lambda t: t[[0, 2]],
        lambda t: t[t > 0],
        lambda t: t.T.reshape(-1),
        lambda t: t.clone().add_(1.0),
        lambda t: t.clone().mul_(t),
        lambda t: t.clone().fill_(0.3),
        lambda t: t.clone().zero_(),
        lambda t: t.clone().copy_(t.float() * 2),
        lambda t: einkorn.cat([t, t]),
        lambda t: einkorn.where(t > 0, t, 0.0),
        lambda t: t.sum(0),
        lambda t: t @ t.T,
        lambda t: t.softmax(-1),
        lambda t: t.exp() + t * 0.5,
        lambda t: t.max(1)[0],
        lambda t: einkorn.ones_like(t),
    ):
        _same(step(there), step(here))
    for compare in (lambda t: t > 0.1, lambda t: t == t, lambda t: t <= t.flip(0)):
        np.testing.assert_array_equal(compare(there).cpu().numpy(), compare(here).numpy())
    assert there.sum().item() == here.sum().item()
    there[0] = 0.5
    there[1, 1] = einkorn.tensor(0.25, device="cuda")
    here[0], here[1, 1] = 0.5, 0.25
    _same(there, here)


def _model(**options: Any) -> Any:
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
    return model


@pytest.mark.parametrize("order", ["bfloat16 first", "there first", "at once"])
def test_a_model_trains_in_bfloat16(order: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        model = _model()
        if order == "bfloat16 first":
            model.bfloat16().to(device)
        elif order == "there first":
            model.to(device).bfloat16()
        else:
            model.to(device, einkorn.bfloat16)
        assert all(p.dtype == BFLOAT16 and p.device.type == device for p in model.parameters())
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        x = einkorn.tensor(X).bfloat16().to(device)
        einkorn.manual_seed(1)
        for _ in range(3):
            loss = nn.functional.mse_loss(model(x), x[:, :1])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        model.load_state_dict(model.state_dict())
        optimizer.step()
        found.append([np.asarray(near(a)).astype(np.float32) for a in model.state_dict().values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_attention_takes_it_as_it_is(card: gpu_stand_in.Engine) -> None:
    q = einkorn.tensor(np.random.default_rng(0).standard_normal((1, 2, 5, 8)), dtype=einkorn.bfloat16)
    attend = nn.functional.scaled_dot_product_attention
    _same(attend(q.cuda(), q.cuda(), q.cuda(), is_causal=True), attend(q, q, q, is_causal=True))


def test_autocast_of_either_device() -> None:
    model = _model()
    there = _model().to("cuda")
    x = einkorn.tensor(X)
    for place, low_here, low_there in (("cpu", True, False), ("cuda", False, True), (None, True, True)):
        with einkorn.autocast(place):
            here_is, there_is = model[0](x).dtype, there[0](x.cuda()).dtype
            assert einkorn.is_autocast_enabled("cuda") == low_there
            assert einkorn.is_autocast_enabled() == low_here
        assert (here_is == BFLOAT16, there_is == BFLOAT16) == (low_here, low_there)
    with einkorn.autocast("cpu"), einkorn.autocast("cuda", enabled=False):
        assert model[0](x).dtype == BFLOAT16
        assert there[0](x.cuda()).dtype == np.float32
    assert einkorn.amp.is_autocast_available("cuda")
    losses = []
    for device in ("cpu", "cuda"):
        model = _model().to(device)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            with einkorn.autocast(device):
                loss = nn.functional.mse_loss(model(x.to(device)), x[:, :1].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[:2] == losses[2:]


def test_mixed_precision_in_fit() -> None:
    found = []
    for device in ("cpu", "cuda"):
        model = _model()
        model.compile("adam", "mse", autocast=True)
        einkorn.manual_seed(1)
        history = model.fit(X, X[:, :1], 2, 2, 0, device=device)
        found.append([history.history["loss"], model.predict(X).tolist()])
    assert found[0] == found[1]


def test_a_cupy_without_the_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there, low = einkorn.tensor(X, device="cuda"), einkorn.tensor(X).bfloat16()
    monkeypatch.setattr(sys.modules["cupy"], "__version__", "13.6.0", raising=False)
    words = "needs CuPy 14 or later, and 13.6.0 is installed; run: pip install -U"
    for call in (there.bfloat16, low.cuda, lambda: nn.Linear(2, 2).bfloat16().to("cuda")):
        with pytest.raises(einkorn.EngineError, match=words):
            call()
