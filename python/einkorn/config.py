"""What runs where: engines, instruction set, threads, versions, and which engine has which kernel."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import platform
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from einkorn._console import printable
from einkorn._device import cupy_module
from einkorn.errors import EngineError

__all__ = ["config", "cuda_runs", "show_config", "support_matrix"]


def config() -> dict[str, Any]:
    """Return the configuration as a dictionary.

    Returns
    -------
    dict
        ``einkorn``, ``python``, ``numpy`` (versions), ``platform``, ``engine`` (the active CPU engine),
        ``engines`` (those available), ``threads``, ``isa`` and ``isas`` (native engine only, else None),
        ``cpu`` (brand, or None), ``cuda`` (a sentence), and ``optional`` (versions of optional
        packages, None where absent).
    """
    import einkorn
    from einkorn import engines, runtime

    native = engines.get_engine() == "native"
    return {
        "einkorn": einkorn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "engine": engines.get_engine(),
        "engines": engines.available(),
        "threads": runtime.get_num_threads(),
        "isa": runtime.get_isa() if native else None,
        "isas": runtime.isas() if native else None,
        "cpu": runtime.cpu_info()["brand"] if native else None,
        "cuda": _cuda()[0],
        "optional": {
            name: _version(name)
            for name in ("numba", "cupy", "torch", "sklearn", "matplotlib", "safetensors")
        },
    }


def _version(package: str) -> str | None:
    if importlib.util.find_spec(package) is None:
        return None
    from importlib import metadata

    distribution = "scikit-learn" if package == "sklearn" else package
    if package == "cupy":
        names = [
            d.metadata["Name"] for d in metadata.distributions() if d.metadata["Name"].startswith("cupy")
        ]
        distribution = names[0] if names else package
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "?"


def _unusable_cupy() -> str:
    """Why the CuPy that is installed cannot be used; empty where it can. Importing it takes a second."""
    try:
        cupy_module("einkorn.cuda")
    except EngineError as error:
        return f" ({error})"
    return ""


def _cards() -> list[str]:
    """Names of the NVIDIA cards that the driver knows; none without a driver.

    Asked through NVML, which leaves CUDA itself alone: a process that has started CUDA must not be forked.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return []
        try:
            count = ctypes.c_uint()
            nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
            names = []
            for i in range(count.value):
                card, name = ctypes.c_void_p(), ctypes.create_string_buffer(96)
                found = nvml.nvmlDeviceGetHandleByIndex_v2(i, ctypes.byref(card)) == 0
                found = found and nvml.nvmlDeviceGetName(card, name, len(name)) == 0
                names.append(name.value.decode(errors="replace") if found else "unnamed")
            return names
        finally:
            nvml.nvmlShutdown()
    except (OSError, AttributeError):  # no such library, or one without these functions
        return []


def _cuda() -> tuple[str, bool]:
    """How it stands with CUDA in words, and whether it can be used."""
    cards = _cards()
    there = ", ".join(sorted(set(cards))) + (f" ({len(cards)} cards)" if len(cards) > 1 else "")
    if importlib.util.find_spec("einkorn._cuda") is None:
        words = "not built (einkorn was installed without nvcc or without a card)"
        return f"{words}; there is a card: {there}" if cards else f"{words}; no card", False
    try:
        from einkorn import _cuda
    except ImportError as error:
        return f"built, and does not load ({error})", False
    from einkorn.cuda import misfit, version

    built, driver = _cuda.versions()
    words = f"built with CUDA {version(built)} for {_cuda.architectures}"
    if not cards:
        return f"{words}; no card", False
    words = f"{words}; {there}, whose driver takes CUDA {version(driver)}"
    if unfit := misfit(_cuda):
        return f"{words}; {unfit}", False
    if importlib.util.find_spec("cupy") is None:
        return f"{words}; CuPy is not installed: pip install 'einkorn[cuda]'", False
    try:
        cupy = cupy_module("einkorn")
        usable = cupy.cuda.runtime.getDeviceCount() > 0
        cupy.empty(1)
        words = f"{words}; CuPy's is {version(cupy.cuda.runtime.runtimeGetVersion())}"
    except Exception as error:  # CuPy has its own error types, known only once it is imported
        return f"{words}; CuPy cannot use it ({type(error).__name__}: {error})", False
    return words if usable else f"{words}; none of them visible", usable


def support_matrix() -> dict[str, tuple[str, ...]]:
    """Return kernel name -> engines that have it, for the engines that are installed."""
    from einkorn import engines

    names = {"native": "einkorn._native", "numba": "einkorn.engines.numba", "cuda": "einkorn._cuda"}
    present = [*engines.available()]
    if importlib.util.find_spec("einkorn._cuda") is not None:
        present.append("cuda")
    matrix: dict[str, list[str]] = {}
    for engine in present:
        for kernel in importlib.import_module(names[engine]).kernels():
            matrix.setdefault(kernel, []).append(engine)
    return {kernel: tuple(matrix[kernel]) for kernel in sorted(matrix)}


def cuda_runs() -> dict[str, Any]:
    """Return what the CUDA bodies have run on.

    Returns
    -------
    dict
        ``cards``, a list of dictionaries with ``card``, ``driver``, ``date`` and ``kernels`` (names), and
        ``host_device``, the names of the kernels that have only run on the host device of the tests.
    """
    file = Path(__file__).with_name("engines") / "cuda_runs.json"
    runs: dict[str, Any] = json.loads(file.read_text())
    return runs


def show_config(file: Any = None) -> None:
    """Print the configuration, the support matrix (kernels by engine), and what the CUDA bodies have run on.

    A kernel of an engine that is built but cannot be used here, CUDA's without a card, is "built", not "yes".
    """
    out = sys.stdout if file is None else file
    values = config()
    optional = values.pop("optional")
    values["engines"] = ", ".join(values["engines"])
    values["isas"] = ", ".join(values["isas"]) if values["isas"] else None
    for key, value in values.items():
        print(printable(f"{key:12}{'-' if value is None else value}", out), file=out)
    for name, version in optional.items():
        why = _unusable_cupy() if name == "cupy" and version else ""
        print(printable(f"{name:12}{version or 'not installed'}{why}", out), file=out)

    matrix = support_matrix()
    says = {"native": "yes", "numba": "yes", "cuda": "yes" if _cuda()[1] else "built"}
    columns = ("native", "numba", "cuda")
    print(f"\n{'kernel':28}" + "".join(f"{c:>8}" for c in columns), file=out)
    for kernel, present in matrix.items():
        print(f"{kernel:28}" + "".join(f"{says[c] if c in present else '-':>8}" for c in columns), file=out)

    runs = cuda_runs()
    print(file=out)
    for c in runs["cards"]:
        where = f"{c['card']} (driver {c['driver']}, {c['date']})"
        print(f"CUDA kernels that have run on {where}: {len(c['kernels'])}", file=out)
    alone = runs["host_device"]
    print(f"CUDA kernels that have run on the host device of the tests alone: {len(alone)}", file=out)
    print(textwrap.indent(textwrap.fill(", ".join(alone), 100), "  "), file=out)
