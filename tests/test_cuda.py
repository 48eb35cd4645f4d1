"""The CUDA engine: the shared cases of the families that have CUDA bodies, where a GPU is."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
from checking import assert_matches, case_id, weights_like

import einkorn
from einkorn.cases import Case, as_tuple, cases_of

if importlib.util.find_spec("einkorn._cuda") is None:
    pytest.skip("CUDA engine: not built (no nvcc when einkorn was installed)", allow_module_level=True)

from einkorn import _cuda

FAMILIES = ("elementwise", "pool", "softmax")


def _gpu_absent() -> str:
    """Why nothing can run on a GPU here; empty where it can."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    cupy = importlib.import_module("cupy")
    try:
        return "" if cupy.cuda.runtime.getDeviceCount() > 0 else "no GPU"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no usable GPU ({error})"


ABSENT = _gpu_absent()
needs_gpu = pytest.mark.skipif(bool(ABSENT), reason=f"CUDA engine: {ABSENT}")

CASES = [
    pytest.param(case, dtype, id=f"{case_id(family, case)}-{dtype}")
    for family in FAMILIES
    for case in cases_of(family)
    if not case.for_bench
    for dtype in case.dtypes
]
if ABSENT:  # one skipped test, not a thousand
    CASES = [pytest.param(None, "", id="all")]


def _to_gpu(arrays: list[Any]) -> list[Any]:
    cupy = importlib.import_module("cupy")
    return [a if a is None else cupy.asarray(a) for a in arrays]


def _to_host(results: Any) -> list[np.ndarray]:
    cupy = importlib.import_module("cupy")
    unwrapped = (r.data if isinstance(r, einkorn.Tensor) else r for r in as_tuple(results))
    return [cupy.asnumpy(r) for r in unwrapped]


@needs_gpu
@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_case(case: Case, dtype: str) -> None:
    """Close to the reference, and the same bits twice."""
    arrays = _to_gpu(case.make(dtype))
    results = _to_host(case.run(einkorn, arrays, np.dtype(dtype)))
    assert_matches(case, dtype, results)
    again = _to_host(case.run(einkorn, arrays, np.dtype(dtype)))
    assert [r.tobytes() for r in results] == [r.tobytes() for r in again]


@needs_gpu
@pytest.mark.parametrize("family", ["pool", "softmax"])
def test_gradients_equal_those_of_the_cpu(family: str) -> None:
    for case in cases_of(family):
        if case.for_bench or not case.wanted:
            continue
        arrays = case.make("float64")
        gradients = []
        for inputs in (arrays, _to_gpu(arrays)):
            tensors = [einkorn.Tensor(a, requires_grad=True) for a in inputs]
            out = as_tuple(case.run(einkorn, tensors, np.dtype("float64")))[0]
            (weights,) = weights_like([out.shape])
            out.backward(_to_gpu([weights])[0] if inputs is not arrays else weights)
            gradients.append([t.grad.numpy() for t in tensors])
        for cpu, gpu in zip(*gradients, strict=True):
            np.testing.assert_allclose(gpu, cpu, rtol=1e-12, atol=1e-13, err_msg=case.name)


@needs_gpu
def test_kernels_go_to_the_current_stream() -> None:
    """Work on a stream that waits for a long one is seen in its order."""
    cupy = importlib.import_module("cupy")
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.arange(1 << 20, dtype=cupy.float32)
        y = einkorn.ops.negative(einkorn.ops.negative(x))
    stream.synchronize()
    assert (y == x).all()


@needs_gpu
def test_missing_kernel_is_named() -> None:
    cupy = importlib.import_module("cupy")
    x = cupy.ones((2, 3, 8, 8), dtype=cupy.float32)
    with pytest.raises(einkorn.EngineError, match="conv2d_forward"):
        einkorn.ops.conv2d(x, cupy.ones((4, 3, 3, 3), dtype=cupy.float32))


def test_kernels_are_those_of_the_native_module() -> None:
    native = pytest.importorskip("einkorn._native", reason="native engine: not built")
    names = _cuda.kernels()
    assert {"relu", "softmax_forward", "max_pool2d_backward"} <= set(names)
    assert names.items() <= native.kernels().items()


class _HostMemory:
    """Looks like a GPU array; its memory is the CPU's, so nothing may be launched on it."""

    def __init__(self, a: np.ndarray, **entries: Any) -> None:
        self.a = a  # the address stays valid
        interface = a.__array_interface__
        self.__cuda_array_interface__ = {
            "shape": interface["shape"],
            "typestr": interface["typestr"],
            "data": interface["data"],
            "strides": interface["strides"],
            "version": 3,
            **entries,
        }


def test_other_arrays_are_refused() -> None:
    x = np.ones(4, np.float32)
    good = _HostMemory(x)
    for bad in (
        x,
        _HostMemory(x, version=1),
        _HostMemory(x, mask=good),
        _HostMemory(x, typestr=">f4"),
        _HostMemory(x, strides=(6,)),
        _HostMemory(x, data=(x.ctypes.data + 1, False)),
        _HostMemory(x.astype(np.float16)),
    ):
        with pytest.raises(TypeError):
            _cuda.relu(good, bad)
    with pytest.raises(ValueError, match="read-only"):
        _cuda.relu(_HostMemory(x, data=(x.ctypes.data, True)), good)
    with pytest.raises(ValueError, match="shape"):
        _cuda.relu(good, _HostMemory(np.ones(5, np.float32)))
    with pytest.raises(TypeError, match="dtype"):
        _cuda.relu(good, _HostMemory(x.astype(np.float64)))
