"""The support matrix: both CPU engines have every kernel, under the same names with the same arguments."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import all_cases, as_arrays, each_case
from conftest import ABSENT, ENGINES

import einkorn
from einkorn import engines, runtime
from einkorn.cases import Case, as_tuple
from einkorn.config import support_matrix

#: What the native module has beside kernels. None of it is known to operations.
HELPERS = {
    *("get_isa", "isas", "set_isa", "kernels", "start_trace", "stop_trace", "cpu_info"),
    *("default_num_threads", "get_num_threads", "set_num_threads"),
    *("empty", "empty_cache", "memory_set_limit", "memory_stats"),
}
#: Kernels that only the native engine has: the machine's limits, and the conversion that runs as ``copy``.
NATIVE_ONLY = {"cast", "fma_peak", "memory_stream"}


def _interface() -> dict[str, list[str]]:
    """Every function of the native module and its arguments, as its stub records them for review."""
    stub = ast.parse((Path(einkorn.__file__).parent / "_native.pyi").read_text())
    return {
        f.name: [a.arg for a in f.args.args]
        for f in stub.body
        if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")
    }


INTERFACE = _interface()
#: What the operations may call, on every engine.
KERNELS = {name: INTERFACE[name] for name in INTERFACE if name not in HELPERS}


def _module(engine: str) -> Any:
    if engine not in engines.available():
        pytest.skip(ABSENT[engine])
    return importlib.import_module(f"einkorn.engines.{engine}")


def _arguments(function: Any) -> list[str]:
    """Argument names, from the signature or from the first line of a compiled function's docstring."""
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        signature = re.match(r"\w+\((.*)\) -> ", function.__doc__)
        assert signature is not None, f"no signature in {function.__doc__!r}"
        return re.findall(r"(\w+): ", signature[1])


@pytest.mark.parametrize("name", INTERFACE)
def test_the_stub_is_what_the_native_module_has(name: str) -> None:
    assert _arguments(getattr(_module("native"), name)) == INTERFACE[name]


def test_the_native_module_has_nothing_beside_its_stub() -> None:
    assert {name for name in dir(importlib.import_module("einkorn._native")) if name[0] != "_"} == set(
        INTERFACE
    )


@pytest.mark.parametrize("name", sorted(set(KERNELS) - NATIVE_ONLY))
def test_numba_has_the_kernel_with_the_same_arguments(name: str) -> None:
    function = getattr(_module("numba"), name, None)
    assert function is not None, f"the numba engine lacks {name}"
    assert _arguments(function) == KERNELS[name]


def test_support_matrix() -> None:
    """What show_config prints: every kernel on every engine, and no kernel that an engine has in secret."""
    present = set(engines.available())
    matrix = {name: set(found) & set(ENGINES) for name, found in support_matrix().items()}
    everywhere = dict.fromkeys(set(KERNELS) - NATIVE_ONLY, present)
    assert {n: matrix[n] for n in matrix if n not in NATIVE_ONLY} == everywhere
    for name in NATIVE_ONLY:
        assert matrix.get(name, set()) == present & {"native"}


class _Spy:
    """An engine that writes down which kernels are called."""

    def __init__(self, module: Any, calls: list[str]) -> None:
        self._module = module
        self._calls = calls

    def quick(self, kernel: str, *operands: Any) -> None:
        """No short cut: each kernel is called by its name."""

    def __getattr__(self, name: str) -> Any:
        if name in KERNELS:
            self._calls.append(name)
        return getattr(self._module, name)


def _is_a_step(case: Case) -> bool:
    """Whether kernels have anything to do: empty arrays, foreign layouts, NumPy's indexing are apart."""
    arrays = [x for x in case.inputs if x is not None]
    is_odd = any(x.size == 0 or x.layout == "misaligned" for x in arrays)
    is_gather = case.op.name == "getitem" and len(arrays) > 1
    # Of different elements, whose number follows from the values, so that nothing could be replayed.
    counts = case.op.name in ("mode", "unique", "unique_consecutive")
    return "float32" in case.dtypes and not is_odd and not is_gather and not counts


LAUNCHED = [(f, c) for f, c in all_cases() if _is_a_step(c)]


@each_case(LAUNCHED)
def test_nothing_computes_past_the_launch(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded step replays launches alone, so each kernel that an operation calls must be one.

    And an operation that launches nothing may only give a view of its arguments.
    """
    native = _module("native")
    einkorn.set_engine("native")
    calls: list[str] = []
    arrays = case.make(np.float32)
    if case.wanted:
        arrays[case.wanted[0]] = einkorn.Tensor(arrays[case.wanted[0]], requires_grad=True)
    case.run(einkorn, case.make(np.float32))  # what is made once, at the first use, is not a step's
    with monkeypatch.context() as patch, runtime.trace_launches() as launches:
        patch.setattr(engines, "_cpu", _Spy(native, calls))
        results = as_tuple(case.run(einkorn, arrays))
        if case.wanted:
            results[0].backward(np.ones(results[0].shape, np.float32))
    launched = {"copy" if name == "cast" else name for name in launches}
    assert set(calls) <= launched
    if not launches:
        given = [a.data if isinstance(a, einkorn.Tensor) else a for a in arrays]
        assert all(any(np.shares_memory(r, a) for a in given if a is not None) for r in as_arrays(results))


def test_the_course_of_the_switch() -> None:
    """set_engine decides what runs next, and get_engine tells."""
    if set(engines.available()) != set(ENGINES):
        pytest.skip("; ".join(ABSENT[n] for n in ENGINES if n not in engines.available()))
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    results = {}
    for name in ENGINES:
        einkorn.set_engine(name)
        assert einkorn.get_engine() == name
        assert engines.of(x) is importlib.import_module(f"einkorn.engines.{name}")
        results[name] = einkorn.ops.tanh(x)
    np.testing.assert_allclose(results["native"], results["numba"], rtol=1e-6)


def test_random_stream_is_the_engines_common_one(engine: str) -> None:
    """The same seed gives the same numbers everywhere; states can be taken and set."""
    einkorn.manual_seed(11)
    first = einkorn.ops.uniform((5,))
    state = einkorn.random.get_state()
    second = einkorn.ops.uniform((7,))
    einkorn.random.set_state(state)
    np.testing.assert_array_equal(einkorn.ops.uniform((7,)), second)
    einkorn.manual_seed(11)
    np.testing.assert_array_equal(einkorn.ops.uniform((5,)), first)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_random_moments(draw: str, engine: str) -> None:
    """Mean, deviation and range over a million numbers, within five standard errors."""
    einkorn.manual_seed(5)
    x = getattr(einkorn.ops, draw)((1_000_000,)).astype(np.float64)
    mean, deviation = (0.5, 12**-0.5) if draw == "uniform" else (0.0, 1.0)
    assert abs(x.mean() - mean) < 5 * deviation / 1000
    assert abs(x.std() - deviation) < 5 * deviation / 1000
    if draw == "uniform":
        assert x.min() >= 0
        assert x.max() < 1


def test_machine_kernels() -> None:
    """The benchmark's yardsticks compute what their contract says, on every instruction set."""
    native = _module("native")
    einkorn.set_engine("native")
    x = np.arange(100_003, dtype=np.float32)
    for isa in native.isas():
        einkorn.set_isa(isa)
        out = np.zeros_like(x)
        native.memory_stream(out, x)
        np.testing.assert_array_equal(out, x)
        chains = np.zeros(5, np.float64)
        native.fma_peak(chains, 0)
        np.testing.assert_array_equal(chains, sum(range(12)))
        native.fma_peak(chains, 100)
        np.testing.assert_allclose(chains, 24.0, rtol=1e-12)  # each chain tends to 2


def test_import_in_a_sub_interpreter_is_refused() -> None:
    script = Path(__file__).parent / "check_subinterpreter.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
