"""What names a device and what a type of elements, wherever one may be given, and how the rest is refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpu_stand_in
import numpy as np
import pytest

import einkorn
from einkorn import cuda
from einkorn.cli.main import main

KNOWN = "expected 'cpu', 'cuda' or 'cuda:N'"
GPUS = "expected the number of a GPU, 'cuda' or 'cuda:N'"


class TorchDevice(SimpleNamespace):
    """What torch.device is: a type and an index."""


TorchDevice.__module__, TorchDevice.__name__ = "torch", "device"


@pytest.mark.parametrize(
    "given",
    [
        "cpu",
        "cpu:0",
        einkorn.device("cpu"),
        TorchDevice(type="cpu", index=None),
        TorchDevice(type="cpu", index=0),
    ],
    ids=str,
)
def test_the_cpu_goes_by_all_its_names(given: Any) -> None:
    x = einkorn.ones(2)
    assert x.to(given) is x
    assert x.to(device=given) is x
    assert einkorn.device(given) == "cpu"
    assert einkorn.zeros(2, device=given).device == einkorn.tensor([0.0], device=given).device == "cpu"
    assert x.new_zeros(2, device=given).is_cpu


@pytest.mark.parametrize(
    "given", [1, np.int64(1), "cuda:1", einkorn.device(1), TorchDevice(type="cuda", index=1)], ids=str
)
def test_a_gpu_goes_by_all_its_names(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch, cards=2)
    x = einkorn.ones(2)
    for moved in (x.to(given), x.to(device=given), x.cuda(given), einkorn.zeros(2, device=given)):
        assert moved.device == "cuda:1"
    assert einkorn.device(given) == einkorn.device("cuda", 1) == einkorn.device(type="cuda", index=1)
    with cuda.device(given):
        assert einkorn.ones(2).cuda().device == "cuda:1"


def test_a_device_tells_its_type_and_number() -> None:
    cpu, gpu = einkorn.device("cpu", 0), einkorn.device("cuda", 1)
    assert (type(cpu.type), cpu.type, cpu.index) == (str, "cpu", None)
    assert (type(gpu.type), gpu.type, gpu.index) == (str, "cuda", 1)
    assert repr({"d": cpu.type}) == "{'d': 'cpu'}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gpu",), "type is 'gpu', " + KNOWN),
        (("cuda:007",), "type is 'cuda:007', " + KNOWN),
        (("cuda:\u0663",), "type is 'cuda:\u0663', " + KNOWN),
        (("cuda:-1",), "type is 'cuda:-1', " + KNOWN),
        ((True,), "type is True, " + KNOWN),
        ((-1,), "type is -1, " + KNOWN),
        ((TorchDevice(type="mps", index=0),), KNOWN),
        (("cpu", 3), "index is 3, expected 0 beside 'cpu'"),
        (("cuda", -1), "index is -1, expected a number from 0"),
        (("cuda", True), "index is True, expected a number from 0"),
        (("cuda:1", 1), "type is 'cuda:1', expected 'cpu' or 'cuda' beside an index"),
    ],
    ids=str,
)
def test_what_is_no_device_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(einkorn.ArgumentError, match=words):
        einkorn.device(*arguments)


X = einkorn.ones(2)
REFUSED = {
    "a type as device": (lambda: einkorn.zeros(2, device="float64"), f"zeros: device is 'float64', {KNOWN}"),
    "no device": (lambda: einkorn.zeros(2, device="gpu"), f"zeros: device is 'gpu', {KNOWN}"),
    "no device of a draw": (lambda: einkorn.randn(2, device="gpu"), f"randn: device is 'gpu', {KNOWN}"),
    "a truth as device": (
        lambda: einkorn.tensor([1.0], device=True),
        f"as_tensor: device is True, {KNOWN}",
    ),
    "no device of to": (lambda: X.to(device="gpu"), f"to: device is 'gpu', {KNOWN}"),
    "a device as type": (lambda: X.to(dtype="cpu"), "to: dtype is 'cpu', which is a device, expected a type"),
    "neither": (lambda: X.to("gpu"), "to: got 'gpu', expected float32, .* or the name of a device"),
    "a flag alone": (lambda: X.to(True), "to: got True, expected a device or a type before non_blocking"),
    "no flag": (lambda: X.to("cpu", copy="no"), "to: copy is 'no', expected True or False"),
    "two types": (
        lambda: X.to("float64", "float32"),
        "to: got two types, 'float64' and 'float32', expected one",
    ),
    "two by name": (lambda: X.to("float64", dtype="float32"), "to: got two types, 'float32' and 'float64'"),
    "two devices": (lambda: X.to("cpu", device="cpu"), "to: got two devices, 'cpu' and 'cpu', expected one"),
    "a tensor and a type": (lambda: X.to(X, dtype="float64"), "to: got two types, "),
    "the CPU of cuda": (lambda: X.cuda("cpu"), f"cuda: device is 'cpu', {GPUS}"),
    "a type of cuda": (lambda: X.cuda("float64"), f"cuda: device is 'float64', {GPUS}"),
    "a truth of cuda": (lambda: X.cuda(True), f"cuda: device is True, {GPUS}"),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_devices_and_types_are_told_apart(call: Any, words: str) -> None:
    with pytest.raises((einkorn.ArgumentError, einkorn.DTypeError), match=words):
        call()


NAMES = {
    "generator": (lambda: einkorn.Generator("gpu"), f"Generator: device is 'gpu', {KNOWN}"),
    "seed": (lambda: einkorn.Generator(3.5), "manual_seed: seed is 3.5, expected an int"),
    "scaler": (lambda: einkorn.GradScaler("gpu"), f"GradScaler: device is 'gpu', {KNOWN}"),
    "scaler of a number": (lambda: einkorn.GradScaler(3.5), f"GradScaler: device is 3.5, {KNOWN}"),
    "parallel": (
        lambda: einkorn.nn.DataParallel(einkorn.nn.Linear(2, 2), ["gpu"]),
        f"DataParallel: device is 'gpu', {GPUS}",
    ),
    "loader": (
        lambda: einkorn.utils.data.DataLoader([1], pin_memory=True, pin_memory_device="gpu"),
        f"DataLoader: pin_memory_device is 'gpu', {KNOWN}",
    ),
    "synchronize": (lambda: cuda.synchronize("gpu"), f"synchronize: device is 'gpu', {GPUS}"),
    "memory": (lambda: cuda.memory_allocated("cpu"), f"memory_allocated: device is 'cpu', {GPUS}"),
    "default": (lambda: einkorn.set_default_device("gpu"), f"set_default_device: device is 'gpu', {KNOWN}"),
    "default type": (
        lambda: einkorn.set_default_tensor_type("torch.cuda.FloatTensor"),
        "expected FloatTensor",
    ),
    "autocast": (
        lambda: einkorn.autocast("gpu"),
        "autocast: device_type is 'gpu', expected 'cpu' or 'cuda'",
    ),
}


@pytest.mark.parametrize(("call", "words"), NAMES.values(), ids=NAMES.keys())
def test_what_takes_a_device_beside_tensors_looks_at_it(call: Any, words: str) -> None:
    with pytest.raises((einkorn.ArgumentError, einkorn.DTypeError), match=words):
        call()


@pytest.mark.parametrize("given", ["cpu:0", TorchDevice(type="cpu", index=None)], ids=str)
def test_modules_and_trainings_take_every_name(given: Any) -> None:
    model = einkorn.nn.Linear(2, 1, device=given).to(given)
    model.compile("sgd", "mse", device=given)
    x = np.ones((4, 2), np.float32)
    model.fit(x, x[:, :1], verbose=0, device=given)
    assert model.predict(x, device=given).shape == (4, 1)
    assert model.evaluate(x, x[:, :1], verbose=0, device=given) >= 0
    for use, words in (
        (lambda: model.fit(x, x[:, :1], verbose=0, device="gpu"), f"fit: device is 'gpu', {KNOWN}"),
        (lambda: model.predict(x, device=True), f"predict: device is True, {KNOWN}"),
        (lambda: model.compile("sgd", "mse", device="float64"), f"compile: device is 'float64', {KNOWN}"),
        (lambda: einkorn.nn.Linear(2, 1, device="float64"), f"device is 'float64', {KNOWN}"),
        (lambda: einkorn.nn.Linear(2, 1, dtype="cpu"), "dtype is 'cpu', which is a device"),
        (lambda: model.cuda("cpu"), f"cuda: device is 'cpu', {GPUS}"),
        (lambda: model.to(True), "to: got True, expected a device or a type"),
        (lambda: model.to("float32", "float64"), "to: got two types, 'float32' and 'float64'"),
        (lambda: einkorn.optim.swa_utils.AveragedModel(model, "gpu"), f"to: device is 'gpu', {KNOWN}"),
    ):
        with pytest.raises((einkorn.ArgumentError, einkorn.DTypeError), match=words):
            use()


@pytest.mark.parametrize("name", ["hann_window", "hamming_window", "blackman_window", "bartlett_window"])
def test_windows_look_at_what_they_are_given(name: str) -> None:
    make = getattr(einkorn, name)
    window = make(4, device="cpu:0", dtype="float64", requires_grad=True, layout=None)
    assert window.requires_grad
    assert (window.device, window.dtype) == ("cpu", np.float64)
    assert make(4, dtype="bfloat16").shape == (4,)
    with pytest.raises(einkorn.ArgumentError, match=f"{name}: device is 'gpu', {KNOWN}"):
        make(4, device="gpu")
    with pytest.raises(TypeError, match="places"):
        make(4, places=3)


def test_what_has_a_device_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (einkorn.Generator().device, einkorn.Generator(3).device.type) == ("cpu", "cpu")
    assert einkorn.Generator("cuda").device == einkorn.Generator(device="cuda").device == "cuda"
    assert einkorn.Generator(TorchDevice(type="cuda", index=1)).device == "cuda:1"
    einkorn.set_default_tensor_type("torch.FloatTensor")
    einkorn.set_default_device("cpu:0")
    gpu_stand_in.install(monkeypatch)
    assert X.cuda().type() == "torch.cuda.FloatTensor"


def test_a_device_and_a_type_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch)
    for moved in (X.to("cuda", "float64"), X.to("float64", "cuda"), X.to("cuda", np.float64, True, True)):
        assert (moved.device, moved.dtype) == ("cuda:0", np.float64)
        back = moved.to(X, False)
        assert (back.device, back.dtype) == ("cpu", np.float32)
        assert moved.to("cpu", "bfloat16").is_cpu
    copied = X.to("cpu", np.float32, False, True)
    assert copied is not X
    assert np.array_equal(copied.numpy(), X.numpy())


# --- a CuPy that cannot be used ------------------------------------------------------------------

BROKEN = {
    "raises": (
        "raise RuntimeError('CUDA path is odd')",
        "installed and does not load: RuntimeError: CUDA",
    ),
    "of another NumPy": (
        "import numpy\nnumpy.no_such_name",
        "does not load: AttributeError: module",
    ),
    "lacks a module": (
        "import no_such_fastrlock",
        "does not load: No module named 'no_such",
    ),
    "explains at length": (
        "try:\n    import no_such_fastrlock\nexcept ImportError as e:\n    raise ImportError('=====') from e",
        "is installed and does not load: No module named 'no_such_fastrlock'",
    ),
    "too old": ("__version__ = '9.6.0'", "needs CuPy 13 or later, and 9.6.0 is installed; run: pip install"),
    "no CuPy": ("", "needs CuPy, and the module of that name is not it: .*cupy.py"),
}


@pytest.fixture(params=BROKEN.values(), ids=BROKEN.keys())
def broken(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A CuPy that cannot be used, and by which words that is told."""
    body, words = request.param
    (tmp_path / "cupy.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return str(words)


def test_a_cupy_that_cannot_be_used_is_told_with_the_reason(
    broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for use in (lambda: X.to("cuda"), X.cuda, lambda: X.to(0), cuda.current_device, cuda.Stream):
        with pytest.raises(einkorn.EngineError, match=broken):
            use()
        sys.modules.pop("cupy", None)
    assert not cuda.is_available()
    out = tmp_path / "run"
    assert main(["train", "mlp", "--data", "digits", "--device", "cuda", "--out", str(out)]) != 0
    assert "Traceback" not in capsys.readouterr().err
    assert main(["info"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("cupy "))
    assert "einkorn.cuda needs CuPy" in row


def test_no_card_is_told_before_the_current_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch, cards=0)

    def no_device() -> int:
        raise RuntimeError("cudaErrorNoDevice")

    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "getDevice", no_device)
    for use in (X.cuda, lambda: X.to("cuda"), lambda: einkorn.zeros(2, device="cuda")):
        with pytest.raises(einkorn.DeviceError, match="device is 'cuda', but there are 0 GPUs"):
            use()
    with pytest.raises(einkorn.DeviceError, match=r"einkorn.cuda: there are 0 GPUs"):
        cuda.current_device()
    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "getDeviceCount", no_device)
    with pytest.raises(einkorn.DeviceError, match="device is 'cuda', but no GPU can be used here: cuda"):
        X.cuda()
