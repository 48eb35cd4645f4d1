"""Every case on every engine and instruction set, in float32 and float64, against its reference."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
from checking import all_cases, as_arrays, assert_matches, case_id

import einkorn
from einkorn import ops
from einkorn.cases import FAMILIES, Case, cases_of

CASES = [
    pytest.param(case, dtype, id=f"{case_id(family, case)}-{dtype}")
    for family, case in all_cases()
    for dtype in case.dtypes
]


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_case(case: Case, dtype: str, backend: str) -> None:
    """Close to the reference, the same bits on one and on two threads, inputs left alone."""
    arrays = case.make(dtype)
    before = [None if a is None else a.tobytes() for a in arrays]
    with einkorn.num_threads(2):
        results = as_arrays(case.run(einkorn, arrays, np.dtype(dtype)))
    with einkorn.num_threads(1):
        again = as_arrays(case.run(einkorn, arrays, np.dtype(dtype)))
    assert_matches(case, dtype, results)
    assert [r.tobytes() for r in results] == [r.tobytes() for r in again]
    assert [None if a is None else a.tobytes() for a in arrays] == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["C", "reversed"])
def test_kernels_that_no_operation_calls(layout: str, dtype: str, backend: str) -> None:
    """They are part of the contract all the same."""
    kernels = einkorn.engines.cpu()
    step = slice(None, None, -1) if layout == "reversed" else slice(None)
    x = np.array([-np.inf, -2.5, -0.0, 0.0, 1e-30, 3.0, np.inf, np.nan] * 5, dtype)[step]
    y = np.repeat(x[:8], 5)
    out = np.empty_like(x)
    kernels.sign(out, x)
    np.testing.assert_array_equal(out, np.sign(x))
    kernels.greater_equal(out, x, y)
    np.testing.assert_array_equal(out, (x >= y).astype(dtype))


@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_cases_are_unique(family: str) -> None:
    names = [case.name for case in cases_of(family)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", FAMILIES)
def test_cases_cover_every_operation(family: str) -> None:
    """A public operation without a case would go untested."""
    if family == "optimizer":
        public = {name for name in dir(einkorn.engines.cpu()) if name.endswith("_step")} | {"tensor_norms"}
    else:
        names = [name for _, name, _ in pkgutil.iter_modules(ops.__path__)]  # pool, and pool_average with it
        parts = [name for name in names if name == family or name.startswith(family + "_")]
        public = {op for name in parts for op in importlib.import_module(f"einkorn.ops.{name}").__all__}
    assert public == {case.op.name for case in cases_of(family)}
