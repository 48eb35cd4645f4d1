"""Every case with its arrays lying in memory in every way, and every kernel it calls, argument by argument.

An operation may copy an array before a kernel sees it, and its outputs are always fresh. So the kernels are
called once more on their own: what a case calls is recorded, and repeated with each of its arrays, outputs
included, as a column, every second element, reversed, transposed or broadcast. A binding may refuse a
layout; no engine may give another result.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from checking import EPS, all_cases, as_arrays, each_case, gradients

import einkorn
from einkorn import engines
from einkorn.cases import LAYOUTS, STRIDED, Case

CASES = [
    (family, case)
    for family, case in all_cases()
    if sum(x.size for x in case.inputs if x is not None) <= 6000
]
# The last: an output that happened to hold the result already.
REFUSED = ("must be C-contiguous", "must have stride 1 along", "is read-only")


@each_case(CASES)
def test_inputs_of_operations(case: Case, backends: Iterable[str]) -> None:
    dtype = case.dtypes[0]
    laid = {layout: case.laid_out(layout).make(dtype) for layout in STRIDED}
    plain = {layout: [a if a is None else np.array(a, order="C") for a in laid[layout]] for layout in laid}
    for _ in backends:
        for layout in STRIDED:
            results = as_arrays(case.run(einkorn, laid[layout], np.dtype(dtype)))
            expected = as_arrays(case.run(einkorn, plain[layout], np.dtype(dtype)))
            for got, wanted in zip(results, expected, strict=True):
                assert_same(got, wanted, layout)


def assert_same(got: np.ndarray, wanted: np.ndarray, where: str) -> None:
    """Equal up to rounding: another layout may be summed in another order."""
    if got.dtype == wanted.dtype and got.shape == wanted.shape and got.tobytes() == wanted.tobytes():
        return  # as usual, and found much faster
    tolerance = 0.0
    if wanted.dtype.kind == "f":
        finite = np.abs(wanted[np.isfinite(wanted)])
        tolerance = 64 * EPS[wanted.dtype.name] * (1 + float(finite.max(initial=0)))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance, err_msg=where)


@each_case(CASES)
def test_arguments_of_kernels(case: Case, backends: Iterable[str]) -> None:
    if "native" not in engines.available():
        pytest.skip("the bindings say which arguments may have strides, and they were not built")
    dtype = case.dtypes[0]
    for _ in backends:
        with recorded_calls() as calls:
            case.run(einkorn, case.make(dtype), np.dtype(dtype))
            if case.wanted:
                gradients(case, dtype)
        for call in calls:
            call.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arguments_of_boosting_kernels(dtype: str, engine: str) -> None:
    """Binning, stumps and trees have no cases; their kernels take the columns of a caller's table."""
    boosting = pytest.importorskip("einkorn.boosting", exc_type=ImportError)
    if "native" not in engines.available():
        pytest.skip("the bindings say which arguments may have strides, and they were not built")
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40, 3)).astype(dtype)
    y = X[:, 0] + rng.normal(size=40) > 0
    with recorded_calls() as calls:
        boosting.AdaBoostClassifier(n_estimators=3).fit(X, y)
        boosting.GradientBoostingClassifier(n_estimators=2, max_bins=5).fit(X, y).predict(X)
    assert {"stump_search", "adaboost_update", "bin_edges", "bin_columns", "tree_update"} <= {
        call.name for call in calls
    }
    for call in calls:
        call.check()


class Call:
    """One call of a kernel: its arguments as they were before it."""

    def __init__(self, name: str, args: list[Any]) -> None:
        self.name, self.args = name, args
        self.arrays = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.size]
        self.outputs: list[int] = []
        self._taken: dict[tuple[int, str], bool] = {}

    def repeat(self, args: list[Any], engine: Any = None) -> None:
        getattr(engine or engines.cpu(), self.name)(*args)

    def fresh(self) -> list[Any]:
        return [a.copy() if i in self.arrays else a for i, a in enumerate(self.args)]

    def check(self) -> None:
        """Every array in every layout: one at a time, all inputs, all."""
        for layout, repeats_elements in STRIDED.items():
            inputs = [i for i in self.arrays if i not in self.outputs]
            if repeats_elements:  # other numbers for indices would be another problem
                inputs = [i for i in inputs if self.args[i].dtype.kind == "f"]
                choices = [[i] for i in inputs] + [inputs]
            else:
                choices = [[i] for i in self.arrays] + [inputs, self.arrays]
            for choice in choices:
                if choice and all(self.takes(i, layout) for i in choice):
                    self.compare(choice, layout)

    def takes(self, position: int, layout: str) -> bool:
        """Whether the binding takes that argument so."""
        if (position, layout) not in self._taken:
            self._taken[position, layout] = self._tries(position, layout)
        return self._taken[position, layout]

    def _tries(self, position: int, layout: str) -> bool:
        args = self.fresh()
        args[position] = LAYOUTS[layout](args[position])
        try:
            self.repeat(args, importlib.import_module("einkorn.engines.native"))
        except ValueError as error:
            if not any(text in str(error) for text in REFUSED):
                raise
            return False
        return True

    def compare(self, choice: list[int], layout: str) -> None:
        """Call with the chosen arguments laid out, and with the same numbers without gaps."""
        laid, plain = self.fresh(), self.fresh()
        for i in choice:
            laid[i] = LAYOUTS[layout](laid[i])
            plain[i] = laid[i].copy(order="C")
        self.repeat(laid)
        self.repeat(plain)
        where = f"{self.name}, arguments {choice} as {layout}"
        for i in self.arrays:
            assert_same(laid[i], plain[i], where)
        for i in choice:
            if i in self.outputs and laid[i].base is not None and laid[i].base.size > laid[i].size:
                laid[i][...] = 0
                gaps = laid[i].base.size - laid[i].size
                untouched = np.isnan(laid[i].base) if laid[i].dtype.kind == "f" else laid[i].base == 0
                assert untouched.sum() >= gaps, f"{where}: wrote between the elements"


class Recorder:
    """Stands in for the engine: notes every kernel call and what it wrote."""

    def __init__(self, engine: Any, calls: list[Call]) -> None:
        self._engine, self._calls = engine, calls

    def empty(self, shape: Any, dtype: Any) -> Any:
        """Filled with a number that no kernel computes, so that what is written shows."""
        out = self._engine.empty(shape, dtype)
        out[...] = -77 if np.dtype(dtype).kind != "u" else 77
        return out

    def quick(self, kernel: str, *operands: Any) -> None:
        """No short cut: each kernel is called by its name."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._engine, name)
        if not callable(function) or name.startswith(("set_", "get_")):
            return function

        def noted(*args: Any) -> Any:
            before = [np.array(a, order="C") if isinstance(a, np.ndarray) else a for a in args]
            call = Call(name, before)
            result = function(*args)
            call.outputs = [
                i for i in call.arrays if np.array(args[i], order="C").tobytes() != before[i].tobytes()
            ]
            self._calls.append(call)
            return result

        return noted


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    calls: list[Call] = []
    engine = engines.cpu()
    engines._cpu = Recorder(engine, calls)
    try:
        yield calls
    finally:
        engines._cpu = engine
