"""Every case on every engine and instruction set, in float32 and float64, against its reference."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from checking import all_cases, as_arrays, assert_matches, each_case

import einkorn
from einkorn import ops
from einkorn.cases import FAMILIES, Case, cases_of


@each_case(all_cases())
def test_case(case: Case, backends: Iterable[str]) -> None:
    """Close to the reference, the same bits on one and on two threads, inputs left alone."""
    made = {dtype: case.make(dtype) for dtype in case.dtypes}
    before = {dtype: _bytes(arrays) for dtype, arrays in made.items()}
    for _ in backends:
        for dtype, arrays in made.items():
            with einkorn.num_threads(2):
                results = as_arrays(case.run(einkorn, arrays, np.dtype(dtype)))
            with einkorn.num_threads(1):
                again = as_arrays(case.run(einkorn, arrays, np.dtype(dtype)))
            assert_matches(case, dtype, results)
            assert [r.tobytes() for r in results] == [r.tobytes() for r in again]
            assert _bytes(arrays) == before[dtype]


def _bytes(arrays: list[np.ndarray | None]) -> list[bytes | None]:
    return [None if a is None else a.tobytes() for a in arrays]


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


#: Operations without cases, and the tests that have their place: what takes other things than float arrays,
#: and what is put together from operations that have cases.
WITHOUT_CASES = {
    "assemble": "test_array_names.py",
    "augment": "test_augment.py",
    "boost_loss": "test_boost_loss.py",
    "ctc_beam_search_decode": "test_ctc.py",
    "ctc_greedy_decode": "test_ctc.py",
    "glove": "test_embeddings_kernels.py",
    "haar": "test_haar.py",
    "histogram": "test_histogram.py",
    "index_put": "test_torch_indexing.py",
    "sample": "test_array_names.py",
    "special": "test_array_names.py",
    "stump": "test_stump.py",
    "summary": "test_array_names.py",
    "tree_forest": "test_tree_forest.py",
    "tree_grow": "test_tree_grow.py",
    "tree_predict": "test_tree_predict.py",
    "tree_shap": "test_tree_shap.py",
    "word2vec": "test_embeddings_kernels.py",
}
#: Operations with cases that no gradient passes: whose results are truths, places, counts or steps, and what
#: has no floats to differentiate.
NO_GRADIENT = {
    *("all", "allclose", "any", "array_equal", "eq", "greater", "greater_equal", "isclose", "isfinite"),
    *("isinf", "isnan", "isneginf", "isposinf", "less", "less_equal", "logical_and", "logical_not"),
    *("logical_or", "logical_xor", "not_equal", "signbit"),
    *("batched_nms", "nms", "soft_nms"),
    "complete_box_iou",  # part of which is a constant to gradients: test_boxes.py
    *("argmax", "argmin", "argsort", "searchsorted", "unique", "unique_consecutive"),
    "crf_decode",
    *("bincount", "count_nonzero", "histc"),
    *("floor_divide", "step"),
    "cast",  # whose gradient has another type than its result: test_array_names.py
    *("normal", "one_hot", "permutation", "sinusoidal_positions", "uniform"),
}


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
    assert public - WITHOUT_CASES.keys() == {case.op.name for case in cases_of(family)}


def test_every_module_of_operations_has_a_family_or_a_test() -> None:
    modules = {name for _, name, _ in pkgutil.iter_modules(ops.__path__) if name[0] != "_"}
    elsewhere = {m for m in modules if not any(m == f or m.startswith(f + "_") for f in FAMILIES)}
    operations = {op for m in modules for op in importlib.import_module(f"einkorn.ops.{m}").__all__}
    assert elsewhere == WITHOUT_CASES.keys() & modules
    assert WITHOUT_CASES.keys() <= modules | operations
    for name, file in WITHOUT_CASES.items():
        text = (Path(__file__).parent / file).read_text()
        wanted = importlib.import_module(f"einkorn.ops.{name}").__all__ if name in elsewhere else [name]
        assert not [op for op in wanted if op[0].islower() and op not in text], f"{file} does not name them"


def test_every_operation_with_a_gradient_has_a_case_that_checks_it() -> None:
    names = {case.op.name for family, case in all_cases() if family != "optimizer"}
    checked = {case.op.name for _, case in all_cases() if case.wanted}
    assert names - checked == NO_GRADIENT
