"""What leaves a model on a GPU that is not there: files, reports, figures, averages, Keras' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpu_stand_in
import numpy as np
import pytest

import einkorn
from einkorn import keras, nn

X = np.random.default_rng(1).standard_normal((24, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _card(monkeypatch: pytest.MonkeyPatch) -> None:
    einkorn.engines.cpu()
    gpu_stand_in.install(monkeypatch)


def _model(device: str = "cuda", **options: Any) -> Any:
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)).to(device)
    model.compile("adam", "mse", metrics=["mae"], **options)
    return model


def test_states_of_a_gpu_are_saved(tmp_path: Path) -> None:
    """torch's idiom: the dict of a model or an optimizer, and one of Tensors."""
    model = _model()
    optimizer = einkorn.optim.Adam(model.parameters())
    model(einkorn.tensor(X, device="cuda")).sum().backward()
    optimizer.step()
    t = einkorn.tensor(X, device="cuda")
    path = tmp_path / "a.safetensors"
    einkorn.save({"model": model.state_dict(), "adam": optimizer.state_dict(), "t": t, "raw": t._data}, path)
    found = einkorn.load(path)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(found["model"][name], array.get())
    np.testing.assert_array_equal(found["t"].numpy(), X)
    np.testing.assert_array_equal(found["raw"], X)
    optimizer.load_state_dict(found["adam"])
    model.zero_grad()
    model(t).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_of_weights_stay_on_the_gpu(kind: str, tmp_path: Path) -> None:
    got = []
    for device in ("cpu", "cuda"):
        model, averaging = _model(), einkorn.training.WeightAveraging(kind)
        model.fit(X, X[:, :1], 8, 2, 0, validation_split=0.25, callbacks=[averaging], device=device)
        got.append([gpu_stand_in.near(a) for a in model.state_dict().values()])
        state = {k: gpu_stand_in.near(v) for k, v in averaging.state_dict().items()}
        averaging.load_state_dict(state)  # as after a resume: on the CPU
        averaging._take(0.5)
        assert all(
            type(a) is type(w) or device == "cpu"
            for a, w in zip(averaging._averages.values(), model.state_dict().values(), strict=True)
        )
    for a, b in zip(*got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_training_on_a_gpu_is_reported(tmp_path: Path) -> None:
    """Histograms, a copy in the midst of gathered gradients, the table of layers, the flow of gradients."""
    pytest.importorskip("tensorboardX")
    model, lines = _model(gradient_accumulation_steps=3), []
    model.fit(
        X, X[:, :1], 4, 2, 0, device="cuda",
        callbacks=[
            einkorn.training.TensorBoard(tmp_path / "t", histogram_freq=1, write_images=True),
            einkorn.training.BackupAndRestore(tmp_path / "b", save_freq=1),
        ],
    )  # fmt: skip
    model.summary(print_fn=lines.append)
    assert "(None, 4)" in lines[0]
    model.summary(example=einkorn.tensor(X), print_fn=lines.append)
    flow = einkorn.training.gradient_flow(model, X, X[:, :1])
    assert all(np.isfinite(layer.gradient_mean) for layer in flow.layers if layer.kind == "Linear")
    for own, copied in zip(model.state_dict().values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(own.get(), copied)


def test_numbers_of_a_gpu_in_keras() -> None:
    c = einkorn.tensor(X, device="cuda")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(c), X)
    assert float(keras.metrics.Accuracy()(c, c)) == 1.0
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], 8, 1, verbose=0, device="cuda")
    weights = model.get_weights()
    assert all(type(w) is np.ndarray for w in weights)
    variable = model.trainable_variables[0]
    variable.assign(weights[0] * 2)
    variable.assign_add(einkorn.tensor(weights[0], device="cuda"))
    np.testing.assert_array_equal(model.get_weights()[0], weights[0] * 3)
    assert str(variable.value.device) == "cuda:0"


def test_quantiles_named_on_a_gpu() -> None:
    c = einkorn.tensor(X, device="cuda")
    got = c.quantile(einkorn.tensor([0.5, 0.25], device="cuda"))
    assert str(got.device) == "cuda:0"
    np.testing.assert_array_equal(got.cpu().numpy(), einkorn.tensor(X).quantile([0.5, 0.25]).numpy())
