"""Devices where there is no GPU: what is refused, by which words. A stand-in takes CuPy's place."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import nn


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
    with pytest.raises(einkorn.ArgumentError, match=r"name is 'gpu', expected 'cpu', 'cuda' or 'cuda:N'"):
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
    module.set_stream = lambda pointer: None
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
