"""How results are judged: by the reference in float64, with a naive float32 version's error as yardstick."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.cases import FAMILIES, Case, as_tuple, cases_of

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
# What a result may be off, in units of EPS, even where the naive version is right by luck. In float64 the
# reference itself rounds, and nothing depends on the last digits.
FLOOR = {"float32": 4, "float64": 64}


def all_cases() -> list[tuple[str, Case]]:
    """Every case that is no bench row, with its family."""
    return [(f, case) for f in FAMILIES for case in cases_of(f) if not case.for_bench]


def a_few_of(family: str, largest: int, each: int) -> Iterator[Case]:
    """About so many cases of each operation of a family, spread over them, of at most so many elements."""
    by_operation: dict[str, list[Case]] = {}
    for case in cases_of(family):
        if not case.for_bench and sum(0 if x is None else x.size for x in case.inputs) <= largest:
            by_operation.setdefault(case.op.name, []).append(case)
    for cases in by_operation.values():
        yield from cases[:: max(1, len(cases) // each)]


def case_id(family: str, case: Case) -> str:
    return f"{family}:{case.name}"


def each_case(cases: Iterable[tuple[str, Case]]) -> Callable[[Callable[..., None]], Any]:
    """Parametrize a test that takes a ``case``, all cases of an operation in one test: tests are not free.

    Every case is run, and the names of all that failed are told.
    """
    groups: dict[str, list[Case]] = {}
    for family, case in cases:
        groups.setdefault(f"{family}:{case.op.name}", []).append(case)

    def decorate(test: Callable[..., None]) -> Any:
        def run(cases: list[Case], **fixtures: Any) -> None:
            failed: dict[str, Exception] = {}
            for case in cases:
                print(case.name)  # of a case that fails, what follows tells which engine it was on
                einkorn.manual_seed(int(os.environ.get("EINKORN_TEST_SEED", "0")))
                try:
                    test(case, **fixtures)
                except Exception as error:
                    failed[case.name] = error
            if failed:
                listed = "".join(f"\n{name}: {error}" for name, error in failed.items())
                first = next(iter(failed.values()))
                raise AssertionError(f"{len(failed)} of {len(cases)} cases failed:{listed}") from first

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        others = [p for name, p in inspect.signature(test).parameters.items() if name != "case"]
        taken = inspect.Parameter("cases", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([taken, *others])  # type: ignore[attr-defined]
        return pytest.mark.parametrize("cases", groups.values(), ids=groups)(run)

    return decorate


def as_arrays(results: Any) -> list[np.ndarray]:
    """Results as NumPy arrays, Tensors unwrapped."""
    return [np.asarray(r.data if isinstance(r, einkorn.Tensor) else r) for r in as_tuple(results)]


def relative_error(got: np.ndarray, truth: np.ndarray, scale: np.ndarray, dtype: Any) -> float:
    """Largest error over the elements that are finite in ``dtype``, relative to ``scale``."""
    with np.errstate(all="ignore"):
        rounded = truth.astype(dtype)
        finite = np.isfinite(rounded) & np.isfinite(got)
        size = np.maximum(np.broadcast_to(scale, truth.shape), np.finfo(dtype).tiny)
        errors = np.abs(got.astype(np.float64) - truth)[finite] / size[finite]
    return float(errors.max(initial=0.0))


@functools.cache
def naive_errors(case: Case) -> tuple[float, ...]:
    """Errors of the reference's float32 version, one for each result."""
    arrays = case.make(np.float32)
    truths, naive = case.reference(arrays, np.float64), case.reference(arrays, np.float32)
    scales = case.scale(arrays, truths)
    return tuple(
        relative_error(n, t, s, np.float32) if t.dtype.kind == "f" else 0.0
        for n, t, s in zip(naive, truths, scales, strict=True)
    )


@functools.cache
def truths_of(case: Case, dtype: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The reference's results and what errors are relative to."""
    arrays = case.make(dtype)
    truths = case.reference(arrays, np.float64)
    return tuple(zip(truths, case.scale(arrays, truths), strict=True))


def tolerance(case: Case, dtype: str, index: int) -> float:
    """Twice the naive error, which float64 shrinks, plus a floor."""
    naive = naive_errors(case)[index] * (EPS[dtype] / EPS["float32"])
    return (2 if dtype == "float32" else 4) * naive + FLOOR[dtype] * EPS[dtype]


def assert_matches(case: Case, dtype: str, results: list[np.ndarray]) -> None:
    """Compare results with the reference: shape, type, NaN and infinities, bits or errors."""
    expected = truths_of(case, dtype)
    assert len(results) == len(expected)
    for index, (got, (truth, scale)) in enumerate(zip(results, expected, strict=True)):
        assert got.shape == truth.shape
        if truth.dtype.kind != "f":
            assert got.dtype == (np.bool_ if truth.dtype.kind == "b" else np.int64)
            np.testing.assert_array_equal(got, truth)
            continue
        wanted = np.dtype(case.options.get("dtype", dtype))
        assert got.dtype == wanted
        with np.errstate(all="ignore"):
            rounded = truth.astype(wanted)
        if case.is_exact:
            np.testing.assert_array_equal(got, rounded)
            continue
        finite = np.isfinite(rounded)
        np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, rounded))
        assert np.isfinite(got[finite]).all()
        error, limit = relative_error(got, truth, scale, wanted), tolerance(case, dtype, index)
        assert error <= limit, f"error {error:.3g}, limit {limit:.3g}"


def weights_like(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Upstream gradients: what each element of a result counts in the scalar that is differentiated."""
    rng = np.random.default_rng(7)
    return [np.asarray(rng.uniform(0.5, 1.5, s) * rng.choice([-1.0, 1.0], s)) for s in shapes]


def gradients(case: Case, dtype: str) -> list[np.ndarray]:
    """einkorn's gradients of the weighted sum of the first result, one for each wanted input."""
    inputs: list[Any] = list(case.make(dtype))
    for i in case.wanted:
        inputs[i] = einkorn.Tensor(inputs[i], requires_grad=True)
    out = as_tuple(case.run(einkorn, inputs, np.dtype(dtype)))[0]
    assert isinstance(out, einkorn.Tensor)
    assert out.requires_grad
    (weights,) = weights_like([out.shape])
    out.backward(np.asarray(weights, dtype))
    results = []
    for i in case.wanted:
        gradient = inputs[i].grad.numpy()
        assert gradient.shape == inputs[i].shape
        assert gradient.dtype == dtype
        results.append(gradient)
    return results


def rounded(x: np.ndarray) -> np.ndarray:
    """What bfloat16 keeps of float32 numbers, as float32."""
    return x.astype(einkorn.bfloat16).astype(np.float32)
