"""Gradients: against central differences of the reference, then between engines, types and threads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from checking import EPS, all_cases, each_case, gradients, weights_like

import einkorn
from einkorn import engines
from einkorn.cases import Case

WANTED = [(f, case) for f, case in all_cases() if case.wanted]
SMALL = [(f, c) for f, c in WANTED if sum(x.size for x in c.inputs if x is not None) <= 3000]
_PROBED = 256  # elements of an input whose derivative is taken numerically


def central_differences(case: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each wanted input: flat positions, and derivatives of the reference's weighted sum there."""
    arrays = [None if a is None else np.array(a, order="C") for a in case.make(np.float64)]
    (weights,) = weights_like([case.reference(arrays, np.float64)[0].shape])

    def scalar() -> float:
        return float((case.reference(arrays, np.float64)[0] * weights).sum())

    results = []
    for i in case.wanted:
        flat = arrays[i].reshape(-1)
        positions = np.arange(flat.size)
        if flat.size > _PROBED:
            positions = np.random.default_rng(3).choice(flat.size, _PROBED, replace=False)
        slopes = np.empty(len(positions))
        for n, position in enumerate(positions):
            value = flat[position]
            step = 1e-6 * max(1.0, abs(value))
            flat[position] = value + step
            above = scalar()
            flat[position] = value - step
            slopes[n] = (above - scalar()) / (2 * step)
            flat[position] = value
        results.append((positions, slopes))
    return results


@each_case(SMALL)
def test_central_differences(case: Case, backends: Iterable[str]) -> None:
    expected = central_differences(case)
    for _ in backends:
        for gradient, (positions, slopes) in zip(gradients(case, "float64"), expected, strict=True):
            size = 1 + np.abs(slopes).max(initial=0)
            np.testing.assert_allclose(gradient.reshape(-1)[positions], slopes, rtol=0, atol=1e-7 * size)


def gradients_of_another_engine(case: Case) -> list[np.ndarray]:
    """float64 gradients by Numba where it is installed: an implementation of its own, for any size."""
    active = einkorn.get_engine()
    einkorn.set_engine("numba" if "numba" in engines.available() else active)
    try:
        return gradients(case, "float64")
    finally:
        einkorn.set_engine(active)


@each_case(WANTED)
def test_engines_and_threads(case: Case, backends: Iterable[str]) -> None:
    """Near another engine's float64 gradient, and the same bits on one and on two threads."""
    others = gradients_of_another_engine(case)
    sizes = [1 + np.abs(other).max(initial=0) for other in others]
    for _ in backends:
        with einkorn.num_threads(2):
            single, double = gradients(case, "float32"), gradients(case, "float64")
        with einkorn.num_threads(1):
            again = gradients(case, "float32")
        for s, d, a, other, size in zip(single, double, again, others, sizes, strict=True):
            np.testing.assert_allclose(s, other, rtol=0, atol=100 * EPS["float32"] * size)
            np.testing.assert_allclose(d, other, rtol=0, atol=1000 * EPS["float64"] * size)
            assert s.tobytes() == a.tobytes()
