"""Backends: the engines that run here, the native one once per instruction set; and a summary of what ran."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import engines, runtime
from einkorn.cases import FAMILIES

ENGINES = ("native", "numba")
ABSENT = {
    "native": "native engine: not built (no C++ compiler when einkorn was installed)",
    "numba": "numba engine: numba is not installed",
    "torch": "PyTorch is not installed",
}


def _all_backends() -> list[str]:
    """``numba``, and the native engine's instruction sets as ``native-avx2``."""
    names = []
    if "native" in engines.available():
        native = importlib.import_module("einkorn.engines.native")
        names += [f"native-{isa}" for isa in native.isas()]
    if "numba" in engines.available():
        names.append("numba")
    return names


#: Those of the fixture ``any_backend``, for kernels over narrow numbers.
ALL_BACKENDS = _all_backends()
#: Those of ``backend``. An instruction set made for narrow numbers has its other kernels from the one before
#: it, which need not run twice.
BACKENDS = [name for name in ALL_BACKENDS if f"{name}_bf16" not in ALL_BACKENDS and "amx" not in name]
_ran: Counter[str] = Counter()


def _or_skip(present: list[str]) -> list[object]:
    """Parameters for what is present, and one skipped test for each engine that is not."""
    absent = [name for name in ENGINES if name not in engines.available()]
    return [*present, *(pytest.param(n, marks=pytest.mark.skip(reason=ABSENT[n])) for n in absent)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _or_skip(BACKENDS), indirect=True)
    if "any_backend" in metafunc.fixturenames:
        metafunc.parametrize("any_backend", _or_skip(ALL_BACKENDS), indirect=True)
    if "engine" in metafunc.fixturenames:
        present = [name for name in ENGINES if name in engines.available()]
        metafunc.parametrize("engine", _or_skip(present), indirect=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give each of several processes a file at a time, or all cases of a family.

    So the loops that a family's cases need are compiled by one process, not by each. (Marks of groups would
    say the same, but pytest-xdist 3.8 does not see them under pytest 9.2.)
    """
    scheduling = importlib.import_module("xdist.scheduler").LoadScopeScheduling

    class OneByOne(scheduling):  # type: ignore[misc, valid-type]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            family = test.partition("[")[2].partition(":")[0]
            return family if family in FAMILIES else file

    return OneByOne(config, log)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at tens of thousands of tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Start every test, and the fixtures made for it, from the same draws of every library that draws.

    What passes must not hang on luck: ``EINKORN_TEST_SEED`` runs the tests from other draws.
    """
    seed = int(os.environ.get("EINKORN_TEST_SEED", "0"))
    random.seed(seed)
    np.random.seed(seed)
    einkorn.manual_seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Leave engine, instruction set and threads as they were."""
    engine, threads = engines.get_engine(), runtime.get_num_threads()
    isa = runtime.get_isa() if engine == "native" else None
    yield
    if engines.get_engine() != engine:
        engines.set_engine(engine)
    if isa is not None and runtime.get_isa() != isa:
        runtime.set_isa(isa)
    if runtime.get_num_threads() != threads:
        runtime.set_num_threads(threads)


def _select(name: str) -> str:
    engine, _, isa = name.partition("-")
    einkorn.set_engine(engine)
    if isa:
        einkorn.set_isa(isa)
    _ran[name] += 1
    return name


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test on one engine and instruction set."""
    return _select(request.param)


any_backend = backend


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Run the test on one engine, the native one with the best instruction set."""
    return _select(request.param)


class _OneByOne:
    """Names that are selected as they are walked through, as often as one likes."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __iter__(self) -> Iterator[str]:
        for name in self._names:
            print(name)  # pytest shows it where a test fails: the last one is where
            yield _select(name)


@pytest.fixture
def backends() -> Iterable[str]:
    """What ``backend`` is, one after the other in one test, for thousands of cases: tests are not free."""
    return _OneByOne(BACKENDS)


@pytest.fixture
def all_engines() -> Iterable[str]:
    """What ``engine`` is, one after the other in one test."""
    return _OneByOne([name for name in ENGINES if name in engines.available()])


@pytest.fixture(scope="session")
def torch() -> object:
    """PyTorch on one thread, or a skip."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip(ABSENT["torch"])
    module = importlib.import_module("torch")
    module.set_num_threads(1)
    return module


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes (pytest-xdist) hands in what it ran."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["ran"] = dict(_ran)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The process that reports adds it up."""
    _ran.update(getattr(node, "workeroutput", {}).get("ran", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which engines and peers took part."""
    write = terminalreporter.write_line
    terminalreporter.section("what ran")
    for name in ENGINES:
        counts = {key: n for key, n in sorted(_ran.items()) if key.partition("-")[0] == name}
        if name not in engines.available():
            write(ABSENT[name])
        elif counts:
            write(f"{name} engine: " + ", ".join(f"{key} {n} tests" for key, n in counts.items()))
        else:
            write(f"{name} engine: available, no test asked for it")
    has_torch = importlib.util.find_spec("torch") is not None
    write(f"torch: {importlib.import_module('torch').__version__}" if has_torch else ABSENT["torch"])
    has_cuda = importlib.util.find_spec("einkorn._cuda") is not None
    write(
        "cuda engine: built; test_cuda runs it where CuPy finds a GPU"
        if has_cuda
        else "cuda engine: not built"
    )
    has_host_device = importlib.util.find_spec("einkorn._cuda_host") is not None
    write(
        "cuda engine on the host device: built; test_cuda_host runs it"
        if has_host_device
        else "cuda engine on the host device: not built (EINKORN_CUDA_HOST=ON builds it)"
    )
