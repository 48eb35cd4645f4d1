"""The shared cases on arrays of a GPU that is not there: the Python part of every operation takes them."""

from __future__ import annotations

from typing import Any

import gpu_stand_in
import numpy as np
import pytest
from checking import a_few_of

import einkorn
from einkorn.cases import FAMILIES, Case, as_tuple

SMALL, EACH = 20_000, 8  # elements of a case; cases of an operation


def _run(case: Case, far: bool) -> list[np.ndarray]:
    """Results, and gradients where the case asks for them."""

    def put(a: np.ndarray) -> Any:
        if not far:
            return a
        return gpu_stand_in.GpuArray(a if a.flags.aligned else a.copy())  # CuPy's arrays always are

    arrays: list[Any] = [None if a is None else put(a) for a in case.make(case.dtypes[0])]
    for i in case.wanted:
        arrays[i] = einkorn.Tensor(arrays[i], requires_grad=True)
    outs = as_tuple(case.run(einkorn, arrays, np.dtype(case.dtypes[0])))
    first = outs[0]
    results = [a._data if isinstance(a, einkorn.Tensor) else a for a in outs]
    if isinstance(first, einkorn.Tensor) and first.requires_grad:
        first.backward(put(np.ones(first.shape, case.dtypes[0])))
        results += [arrays[i].grad._data for i in case.wanted if arrays[i].grad is not None]
    if far and any(isinstance(a, gpu_stand_in.GpuArray) for a in arrays):
        for a in results:
            assert not (isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size > 1), "on the CPU"
    return [gpu_stand_in.near(a) for a in results]


@pytest.mark.parametrize("family", FAMILIES)
def test_cases_on_arrays_of_a_gpu(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as on the CPU, whose kernels run here, by arrays that NumPy cannot read."""
    einkorn.engines.cpu()
    for case in a_few_of(family, SMALL, EACH):
        expected = _run(case, far=False)
        with monkeypatch.context() as patch:
            gpu_stand_in.install(patch)
            got = _run(case, far=True)
        assert len(got) == len(expected), case.name
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=case.name)
