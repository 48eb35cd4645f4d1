"""What runs where: engines, instruction set, threads, versions, and which engine has which kernel."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from typing import Any

import numpy as np

__all__ = ["config", "show_config", "support_matrix"]


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
        "cuda": _cuda(),
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


def _cuda() -> str:
    if importlib.util.find_spec("einkorn._cuda") is None:
        return "not built (no nvcc was found when einkorn was installed)"
    if importlib.util.find_spec("cupy") is None:
        return "built; CuPy is not installed"
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
        names = {cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(count)}
        return f"built; {count} device(s): {', '.join(sorted(names))}"
    except Exception as error:  # CuPy has its own error types, known only once it is imported
        return f"built; no usable device ({type(error).__name__})"


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


def show_config(file: Any = None) -> None:
    """Print the configuration and the support matrix (kernels by engine)."""
    out = sys.stdout if file is None else file
    values = config()
    optional = values.pop("optional")
    values["engines"] = ", ".join(values["engines"])
    values["isas"] = ", ".join(values["isas"]) if values["isas"] else None
    for key, value in values.items():
        print(f"{key:12}{'-' if value is None else value}", file=out)
    for name, version in optional.items():
        print(f"{name:12}{version or 'not installed'}", file=out)

    matrix = support_matrix()
    columns = ("native", "numba", "cuda")
    print(f"\n{'kernel':28}" + "".join(f"{c:>8}" for c in columns), file=out)
    for kernel, present in matrix.items():
        print(f"{kernel:28}" + "".join(f"{'yes' if c in present else '-':>8}" for c in columns), file=out)
