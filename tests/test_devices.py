"""Devices where there is no GPU: what is refused, by which words. A stand-in takes CuPy's place."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from safetensors.numpy import load_file

import einkorn
from einkorn import nn, training
from einkorn.cli.main import main


class CudaRuntimeError(RuntimeError):
    pass


class GpuArray:
    """Looks like a CuPy array of a GPU; nothing computes on it."""

    def __init__(self, a: np.ndarray, number: int = 0) -> None:
        self.dtype, self.shape, self.ndim, self.size = a.dtype, a.shape, a.ndim, a.size
        self.device = types.SimpleNamespace(id=number)


GpuArray.__module__ = "cupy"


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module in CuPy's place, whose driver finds no card."""
    module: Any = types.ModuleType("cupy")
    module.ndarray = GpuArray
    runtime = types.SimpleNamespace(CUDARuntimeError=CudaRuntimeError)
    runtime.getDevice = runtime.getDeviceCount = lambda: 0
    stream = types.SimpleNamespace(ptr=0)
    module.cuda = types.SimpleNamespace(runtime=runtime, get_current_stream=lambda: stream)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


MOVES = {
    "module": lambda: nn.Linear(2, 2).to("cuda"),
    "module's name": lambda: nn.Linear(2, 2).cuda(),
    "tensor": lambda: einkorn.zeros(2).to("cuda"),
    "tensor's name": lambda: einkorn.zeros(2).cuda(),
    "new tensor": lambda: einkorn.zeros(2, device="cuda"),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_without_cupy_the_command_is_named(move: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        einkorn.EngineError, match=r"device 'cuda' needs CuPy; run: pip install 'einkorn\[cuda\]'"
    ):
        move()


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_without_a_card_the_driver_is_quoted(move: Any, cupy: Any) -> None:
    def no_driver() -> int:
        raise CudaRuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    with pytest.raises(einkorn.DeviceError, match=r"device is 'cuda', but there are 0 GPUs"):
        move()
    cupy.cuda.runtime.getDeviceCount = no_driver
    with pytest.raises(einkorn.DeviceError, match=r"no GPU can be used here: cudaErrorNoDevice"):
        move()


def test_a_card_that_is_not_there_is_named(cupy: Any) -> None:
    cupy.cuda.runtime.getDeviceCount = lambda: 2
    with pytest.raises(einkorn.DeviceError, match=r"device is 'cuda:2', but there are 2 GPUs"):
        nn.Linear(2, 2).to("cuda:2")
    with pytest.raises(einkorn.ArgumentError, match=r"type is 'gpu', expected 'cpu', 'cuda' or 'cuda:N'"):
        einkorn.device("gpu")


@pytest.mark.usefixtures("cupy")
def test_mixed_devices_are_named() -> None:
    near = np.ones((3, 3), np.float32)
    far = GpuArray(near)
    for first, second, words in (
        (near, far, "add: b is on cuda:0 and a on cpu"),
        (far, near, "add: b is on cpu and a on cuda:0"),
    ):
        with pytest.raises(einkorn.DeviceError, match=words):
            einkorn.ops.add(first, second)


def test_the_engine_names_arrays_of_other_devices(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("einkorn._cuda")
    module.relu = lambda *args: "ran"
    module.set_stream = lambda pointer, device: None
    module.versions = lambda: (13000, 13000)
    monkeypatch.setitem(sys.modules, "einkorn._cuda", module)
    monkeypatch.setattr(einkorn, "_cuda", module, raising=False)  # a real one, where it was built
    monkeypatch.delitem(sys.modules, "einkorn.engines.cuda", raising=False)
    monkeypatch.delattr(einkorn.engines, "cuda", raising=False)
    engine = importlib.import_module("einkorn.engines.cuda")
    x = np.ones(3, np.float32)
    assert engine.relu(GpuArray(x), GpuArray(x)) == "ran"
    for other, words in ((GpuArray(x, 1), "cuda:1"), (x, "cpu")):
        with pytest.raises(einkorn.DeviceError, match=f"relu: array number 1 is on {words}, expected"):
            engine.relu(GpuArray(x), other)
    with pytest.raises(einkorn.EngineError, match="glove_train: not on the CUDA engine"):
        engine.glove_train  # noqa: B018
    monkeypatch.delitem(sys.modules, "einkorn.engines.cuda")
    monkeypatch.delattr(einkorn.engines, "cuda", raising=False)


def _trained(folder: Path, device: str | None) -> list[Any]:
    """What a training gives: drawn rows, weights, steps of several batches, callbacks that keep weights."""
    einkorn.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(16, 3))
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        clipnorm=1.0,
        gradient_accumulation_steps=2,
    )
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 40)
    kept = [
        training.ModelCheckpoint(folder / f"{device}.safetensors"),
        training.EarlyStopping(restore_best_weights=True),
    ]
    first = model.fit(
        x, y, 8, 2, 0, kept, validation_split=0.2, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, device=device
    )
    second = model.fit(x, y, verbose=0, sample_weight=np.linspace(0.1, 1, 40))  # where it is
    assert einkorn._device.device_of(next(model.parameters())._data) == (device or "cpu")
    figures = model.evaluate(x, y, sample_weight=np.ones(40), device=device)
    return [first.history, second.history, figures, model.predict(x[:3]).tolist(), model.predict(x).tolist()]


def test_a_training_on_a_device_is_that_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every launch is of arrays of the device alone, and figures and predictions come back."""
    expected = _trained(tmp_path, None)
    engine = gpu_stand_in.install(monkeypatch)
    assert _trained(tmp_path, "cuda:0") == expected
    assert engine.launches > 100
    files = [load_file(path) for path in sorted(tmp_path.glob("*.safetensors"))]
    assert all(np.array_equal(files[0][name], files[1][name]) for name in files[0])


class _Own(nn.Module):
    """A model with a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.linear(x)

    def train_step(self, data: Any) -> Any:
        x, target = data
        self.optimizer.zero_grad()
        loss = einkorn.ops.cross_entropy(self(x), target)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss}

    def test_step(self, data: Any) -> Any:
        return {"loss": einkorn.ops.cross_entropy(self(data[0]), data[1])}


def _on_batch(model: Any, x: Any, y: Any, device: str) -> Any:
    model.to(device)
    return [model.train_on_batch(x, y), model.test_on_batch(x, y), model.predict_on_batch(x).tolist()]


WAYS: dict[str, Any] = {
    "a step of the user's": lambda m, x, y, d: m.fit(x, y, verbose=0, validation_split=0.2, device=d).history,
    "batches one by one": _on_batch,
    "pinned batches of a loader": lambda m, x, y, d: (
        m.fit(einkorn.data.DataLoader((x, y), 8, True, seed=1, pin_memory=True), verbose=0, device=d).history
    ),
    "arrays of the device": lambda m, x, y, d: (
        m.fit(einkorn.tensor(x, device=d), einkorn.tensor(y, device=d), verbose=0, device=d).history
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("own", [False, True], ids=["", "own step"])
def test_other_ways_to_train_on_a_device(way: Any, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    gpu_stand_in.install(monkeypatch)
    found = []
    for device in ("cpu", "cuda:0"):
        einkorn.manual_seed(0)
        model = _Own() if own else nn.Linear(6, 3)
        model.compile("adam", "sparse_categorical_crossentropy")
        found.append(way(model, x, y, device))
    assert found[0] == found[1]


def _alignment(given: Any) -> list[Any]:
    scores, targets = given(np.log(np.full((5, 2, 4), 0.25))), given(np.array([[1, 2], [3, 0]]))
    x = einkorn.Tensor(scores, requires_grad=True)
    loss = einkorn.ops.ctc_loss(x, targets, (5, 4), (2, 1))
    loss.backward()
    labels, found = einkorn.ops.ctc_beam_search_decode(scores, (5, 3), beam_width=4, top_paths=2)
    return [loss, x.grad, *(row for of in labels for row in of), found]


def _tags(given: Any) -> list[Any]:
    emissions, table = (given(np.random.default_rng(i).standard_normal((2, 3, 3))) for i in range(2))
    x = einkorn.Tensor(emissions, requires_grad=True)
    loss = einkorn.ops.crf_loss(x, given(np.array([[0, 1, 2], [2, 9, 9]])), table[0], lengths=(3, 1))
    loss.backward()
    return [loss, x.grad, *einkorn.ops.crf_decode(emissions, table[0], lengths=(3, 2))]


def _walk(given: Any) -> list[Any]:
    arrays = (
        given(np.random.default_rng(i).standard_normal(s)) for i, s in enumerate(((5, 2), (12, 2), (12, 3)))
    )
    x, *weights = (einkorn.Tensor(a, requires_grad=True) for a in arrays)
    y, *last = einkorn.ops.lstm(x, *weights, batch_sizes=(3, 2))
    einkorn.ops.sum(y).backward()
    return [y, *last, x.grad, *(w.grad for w in weights)]


def _words(given: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    vectors, outputs, table = (
        given(rng.standard_normal(s).astype(np.float32)) for s in ((6, 4), (6, 4), (2, 6, 4))
    )
    tokens, starts = given(rng.integers(0, 6, 20).astype(np.int32)), given(np.array([0, 9, 20]))
    sampler = tuple(given(a) for a in einkorn.ops.alias_table(np.ones(6)))
    told = einkorn.ops.word2vec_train(vectors, outputs, tokens, starts, words=6, sampler=sampler)
    row, column, order = tokens[:6], tokens[6:12], given(np.arange(6))
    squares, count = given(np.ones((2, 6, 4), np.float32)), given(rng.uniform(1, 9, 6).astype(np.float32))
    loss = einkorn.ops.glove_train(table, squares, row, column, count, order)
    return [vectors, outputs, table, squares, np.array([*told, loss])]


def _masks(given: Any) -> list[Any]:
    x, mask = given(np.arange(6.0).reshape(2, 3)), given(np.array([[True, False, True]]))
    ops = einkorn.ops
    return [
        ops.where(mask, x, ops.negative(x)),
        ops.masked_fill(x, mask, 7.0),
        ops.where(ops.greater(x, x), x, x),
    ]


@pytest.mark.parametrize("run", [_alignment, _tags, _walk, _words, _masks])
def test_numbers_beside_arrays_of_a_gpu_come_to_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths and sizes are given as numbers or on the CPU; the kernels get all on the GPU."""
    expected = run(lambda a: a.copy())
    gpu_stand_in.install(monkeypatch)
    for got, wanted in zip(run(lambda a: gpu_stand_in.GpuArray(a.copy())), expected, strict=True):
        arrays = [a._data if isinstance(a, einkorn.Tensor) else a for a in (got, wanted)]
        np.testing.assert_array_equal(*(gpu_stand_in.near(a) for a in arrays))


def test_compile_takes_the_device_that_fit_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is there at once, and training goes on there; a wrong option moves nothing."""
    weights = []
    gpu_stand_in.install(monkeypatch)
    for at_compile, at_fit in ((None, "cuda"), ("cuda", None), ("cuda:0", "cuda")):
        einkorn.manual_seed(0)
        model = nn.Linear(2, 1)
        with pytest.raises(einkorn.ArgumentError, match="loss"):
            model.compile("adam", "no loss", device=at_compile)
        assert model.weight.device == "cpu"
        model.compile("adam", "mse", device=at_compile)
        assert (str(model.weight.device) == "cuda:0") == (at_compile is not None)
        model.fit(X, X[:, :1], verbose=0, device=at_fit, shuffle=False)
        assert str(model.weight.device) == "cuda:0"
        weights.append(model.weight._data.get())
    np.testing.assert_array_equal(weights[1], weights[0])
    np.testing.assert_array_equal(weights[2], weights[0])


@pytest.mark.parametrize("there", ["y", "sample_weight"])
def test_estimators_refuse_targets_of_a_gpu_for_rows_of_the_cpu(
    there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boosting = pytest.importorskip("einkorn.boosting")
    gpu_stand_in.install(monkeypatch)
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {"X": rng.random((9, 2)), "y": rng.random(9), "sample_weight": np.ones(9)}
    given[there] = gpu_stand_in.GpuArray(given[there])
    for kind in (boosting.AdaBoostRegressor, boosting.GradientBoostingRegressor):
        with pytest.raises(
            einkorn.DeviceError, match=rf"Regressor.fit: {there} is on cuda:0; .* its get\(\)"
        ):
            kind(n_estimators=1).fit(**given)


BOOSTED: dict[str, tuple[str, dict[str, Any]]] = {
    "squared": ("Regressor", {}),
    "refitted leaves of drawn rows": ("Regressor", {"loss": "huber", "subsample": 0.7, "max_features": 1}),
    "signs, groups, depth": (
        "Regressor",
        {"monotonic_cst": [1, 0, 0], "interaction_cst": [[0, 1], [2]], "growth": "depth", "max_depth": 3},
    ),
    "categories": ("Regressor", {"categorical_features": [2], "loss": "poisson"}),
    "two classes": ("Classifier", {"early_stopping": True}),
    "three classes": ("Classifier", {"colsample_bytree": 0.6}),
}


@pytest.mark.parametrize(("kind", "options"), BOOSTED.values(), ids=BOOSTED)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_boosting_on_a_gpu_is_that_on_the_cpu(
    kind: str, options: dict[str, Any], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same trees and scores, with every array of a launch on the device."""
    boosting = pytest.importorskip("einkorn.boosting")
    rng = np.random.default_rng(3)
    X = np.round(rng.standard_normal((600, 3)), 1)
    X[::9, 1], X[:, 2] = np.nan, rng.integers(0, 5, 600)
    y = np.abs(X[:, 0] + (X[:, 2] == 3)) + rng.random(600) / 4
    if kind == "Classifier":
        y = np.digitize(y, [0.8] if "early_stopping" in options else [0.5, 1.2])
    weight = rng.uniform(0.5, 2, 600) if weighted else None
    make = getattr(boosting, f"GradientBoosting{kind}")
    here = make(n_estimators=4, max_leaf_nodes=6, random_state=0, **options).fit(X, y, sample_weight=weight)

    engine = gpu_stand_in.install(monkeypatch)
    far = [None if a is None else gpu_stand_in.GpuArray(a) for a in (X, y, weight)]
    there = make(n_estimators=4, max_leaf_nodes=6, random_state=0, **options).fit(*far)
    assert engine.launches > 12
    for name, value in vars(there.trees_).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(here.trees_, name), err_msg=name)
    np.testing.assert_array_equal(there.train_score_, here.train_score_)
    np.testing.assert_array_equal(there.validation_score_, here.validation_score_)
    np.testing.assert_array_equal(there.predict(far[0]), here.predict(X))
    np.testing.assert_array_equal(there.apply(far[0]), here.apply(X))
    np.testing.assert_array_equal(list(there.staged_predict(far[0])), list(here.staged_predict(X)))
    if kind == "Classifier":
        np.testing.assert_array_equal(there.predict_proba(far[0]), here.predict_proba(X))
    there.set_params(warm_start=True, n_estimators=6).fit(*far)
    here.set_params(warm_start=True, n_estimators=6).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(there.trees_.value, here.trees_.value)


def test_boosting_on_a_gpu_has_no_losses_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    boosting = pytest.importorskip("einkorn.boosting")
    gpu_stand_in.install(monkeypatch)
    model = boosting.GradientBoostingRegressor(loss=lambda y, raw: (raw - y, np.ones_like(y)))
    with pytest.raises(
        einkorn.DeviceError, match=r"Regressor.fit: X is on cuda:0, where loss has no function"
    ):
        model.fit(gpu_stand_in.GpuArray(np.ones((4, 2))), np.ones(4))


def _compiled() -> Any:
    model = nn.Linear(2, 1)
    model.compile("sgd", "mse")
    return model


X = np.ones((4, 2), np.float32)
USES = {
    "compile": lambda: nn.Linear(2, 1).compile("sgd", "mse", device="cuda"),
    "fit": lambda: _compiled().fit(X, X[:, :1], verbose=0, device="cuda"),
    "evaluate": lambda: _compiled().evaluate(X, X[:, :1], device="cuda"),
    "predict": lambda: _compiled().predict(X, device="cuda"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_training_refuses_a_device_that_is_not_there(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cupy", None)
        with pytest.raises(einkorn.EngineError, match="needs CuPy; run: pip install"):
            use()
    gpu_stand_in.install(monkeypatch, engine=False)
    monkeypatch.setitem(sys.modules, "einkorn._cuda", None)
    monkeypatch.delattr(einkorn, "_cuda", raising=False)
    monkeypatch.delitem(sys.modules, "einkorn.engines.cuda", raising=False)
    with pytest.raises(einkorn.EngineError, match=r"einkorn has no CUDA engine here .*EINKORN_CUDA=ON"):
        use()
    sys.modules["cupy"].cuda.runtime.getDeviceCount = lambda: 0
    with pytest.raises(einkorn.DeviceError, match="device is 'cuda', but there are 0 GPUs"):
        use()
    with pytest.raises(einkorn.ArgumentError, match="device is 'gpu', expected 'cpu', 'cuda' or 'cuda:N'"):
        _compiled().fit(X, X[:, :1], verbose=0, device="gpu")


def test_the_command_refuses_it_before_it_makes_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    out = tmp_path / "run"
    assert main(["train", "mlp", "--data", "digits", "--device", "cuda", "--out", str(out)]) != 0
    assert "device 'cuda' needs CuPy" in capsys.readouterr().err
    assert not out.exists()
