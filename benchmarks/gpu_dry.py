"""Run a script of the card's where there is none: CuPy's arrays stand in, the host device runs the kernels.

``python benchmarks/gpu_dry.py SCRIPT [ARGUMENT ...]``, ``-m MODULE ...`` or ``-c CODE``: what gpu.sh calls
instead of Python for a dry run. It finds names, options and calls that do not fit; times mean nothing.
Needs ``einkorn._cuda_host`` (EINKORN_CUDA_HOST=ON).
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import runpy
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
CARD = "dry run"


def install() -> None:
    """CuPy, ``einkorn._cuda`` and PyTorch's view of a card, all of them stand-ins."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
    if importlib.util.find_spec("einkorn._cuda_host") is None:
        raise SystemExit("a dry run needs einkorn._cuda_host: build with EINKORN_CUDA_HOST=ON")
    import cuda_host
    import gpu_stand_in

    import einkorn
    from einkorn import _cuda_host

    patch = pytest.MonkeyPatch()
    native = einkorn.engines.cpu()
    cuda_host.install(patch)
    einkorn.engines.cpu().get_isa = getattr(native, "get_isa", None)
    engine: Any = gpu_stand_in.install(patch)
    engine.empty = lambda shape, dtype: gpu_stand_in.GpuArray(cuda_host.empty(shape, dtype))
    for name, module in (("einkorn._cuda", _cuda_host), ("cupy", sys.modules["cupy"])):
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
    einkorn._cuda = _cuda_host  # type: ignore[attr-defined]
    _fill_cupy(sys.modules["cupy"], gpu_stand_in)
    if importlib.util.find_spec("torch") is not None:
        _fill_torch()


def _fill_cupy(cupy: Any, stand_in: Any) -> None:
    cupy.__version__ = CARD
    for name in ("float32", "float64", "int64"):
        setattr(cupy, name, getattr(np, name))
    for name in ("ones", "zeros", "arange", "zeros_like"):
        make = getattr(np, name)
        setattr(cupy, name, lambda *a, make=make, **k: stand_in.GpuArray(make(*stand_in.near(a), **k)))
    cupy.asnumpy = stand_in.near
    cupy.from_dlpack = lambda tensor: stand_in.GpuArray(tensor.numpy())
    null = types.SimpleNamespace(use=lambda: None, ptr=0)
    cupy.cuda.Stream = types.SimpleNamespace(null=null)
    cupy.cuda.set_allocator = lambda _: None
    cupy.cuda.get_current_stream = lambda: null
    cupy.cuda.runtime.deviceSynchronize = lambda: None


class _Event:
    def __init__(self, **_: Any) -> None: ...

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: _Event) -> float:
        return (end.at - self.at) * 1e3


def _fill_torch() -> None:
    import torch

    cuda: Any = torch.cuda
    cuda.Event, cuda.synchronize = _Event, lambda: None
    cuda.get_device_name = lambda: CARD


def run(first: str, rest: list[str]) -> None:
    if first == "-c":
        exec(compile(rest[0], "-c", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    first, *rest = sys.argv[1:]
    install()
    status: Any = 0
    try:
        run(first, rest)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # No end of Python's: the host device would go before the arrays of its memory.
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    main()
