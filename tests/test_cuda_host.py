"""The CUDA kernels on the host device: the shared cases, and the faults that it must find."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

import numpy as np
import pytest
from checking import as_arrays, assert_matches, case_id, gradients

import einkorn
from einkorn.cases import Case, cases_of

if importlib.util.find_spec("einkorn._cuda_host") is None:
    pytest.skip("host device: not built (EINKORN_CUDA_HOST=ON)", allow_module_level=True)

import cuda_host

from einkorn import _cuda_host

FAMILIES = (
    "conv",
    "copy",
    "elementwise",
    "loss",
    "matmul",
    "optimizer",
    "pool",
    "random",
    "reduce",
    "softmax",
)
GAPS = ("permutation",)  # of these families, what has no CUDA body

CASES = [
    pytest.param(case, dtype, id=f"{case_id(family, case)}-{dtype}")
    for family in FAMILIES
    for case in cases_of(family)
    if not case.for_bench and case.op.name not in GAPS
    for dtype in case.dtypes
]


@pytest.fixture
def _host_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        cuda_host.install(patch)
        yield


@pytest.mark.usefixtures("_host_device")
@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_case(case: Case, dtype: str) -> None:
    """Close to the reference, every element written, inputs left alone."""
    arrays = case.make(dtype)
    before = [None if a is None else a.tobytes() for a in arrays]
    results = as_arrays(case.run(einkorn, arrays, np.dtype(dtype)))
    assert [cuda_host.first_unwritten(r) for r in results] == [-1] * len(results)
    assert_matches(case, dtype, results)
    assert [None if a is None else a.tobytes() for a in arrays] == before


DIFFERENTIATED = [
    pytest.param(case, id=case_id(family, case))
    for family in FAMILIES
    for case in cases_of(family)
    if case.wanted and not case.for_bench and "float64" in case.dtypes
    if not (family == "conv" and case.note == "two threads")  # large, for another engine's sake
]


@pytest.mark.parametrize("case", DIFFERENTIATED)
def test_gradients_equal_those_of_the_cpu(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradients(case, "float64")
    with monkeypatch.context() as patch:
        cuda_host.install(patch)
        got = gradients(case, "float64")
    for a, b in zip(got, expected, strict=True):
        size = np.abs(b[np.isfinite(b)]).max(initial=1.0)
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13 * size)


def test_kernels_that_no_operation_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are part of the contract all the same."""
    x = np.array([-np.inf, -2.5, -0.0, 0.0, 1e-30, 3.0, np.inf, np.nan])
    y = x[::-1].copy()
    with monkeypatch.context() as patch:
        cuda_host.install(patch)
        out = cuda_host.empty(x.shape, x.dtype)
        einkorn.engines.cpu().sign(out, x)
        np.testing.assert_array_equal(out, np.sign(x))
        einkorn.engines.cpu().greater_equal(out, x, y)
        np.testing.assert_array_equal(out, x >= y)


@pytest.mark.usefixtures("_host_device")
def test_product_of_many_large_tiles() -> None:
    """Large enough for the tiles that large products take, with edges on both sides."""
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((1281, 19), (19, 1283)))
    np.testing.assert_array_equal(einkorn.ops.matmul(a, b), a @ b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 3, 4, 1023])
def test_random_numbers_are_those_of_the_cpu(size: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit; normal numbers up to the logarithm's and the sine's last place."""
    x = np.linspace(-1, 1, size, dtype=dtype)
    results = []
    for on_host_device in (False, True):
        with monkeypatch.context() as patch:
            if on_host_device:
                cuda_host.install(patch)
            k = einkorn.engines.cpu()
            uniform, normal, dropout = (k.empty((size,), np.dtype(dtype)) for _ in range(3))
            k.uniform(uniform, 2**63 + 5, 2**32 - 1, 0.0, 1.0)
            k.normal(normal, 7, 3, 0.0, 1.0)
            k.dropout(dropout, x, 11, 2**40, 0.3)
            results.append((uniform, normal, dropout))
    cpu, gpu = results
    np.testing.assert_array_equal(gpu[0], cpu[0])
    np.testing.assert_array_equal(gpu[2], cpu[2])
    np.testing.assert_allclose(gpu[1], cpu[1], rtol=64 * np.finfo(dtype).eps, atol=16 * np.finfo(dtype).eps)


# --- the device itself ---

SIZE = 150  # two blocks of 64 threads and a part of a third


def _warp_sums(x: np.ndarray) -> np.ndarray:
    padded = np.zeros(-(-x.size // 32) * 32, x.dtype)
    padded[: x.size] = x
    return np.repeat(padded.reshape(-1, 32).sum(axis=1), 32)[: x.size]


def _run_planted(fault: str) -> tuple[np.ndarray, np.ndarray]:
    x = cuda_host.empty(SIZE, np.float32)
    x[:] = np.arange(SIZE)
    out = cuda_host.empty(SIZE, np.float32)
    _cuda_host.planted(fault, out, x)
    return out, x


def test_kernel_without_a_fault_passes() -> None:
    out, x = _run_planted("none")
    assert cuda_host.first_unwritten(out) == -1
    np.testing.assert_array_equal(out, _warp_sums(x))


PLANTED = {
    "missing barrier": r"block \(0,0,0\), thread \(\d+,0,0\) (reads|writes) shared memory that",
    "partial barrier": r"thread \(0,0,0\) waits at __syncthreads, .* thread \(7,0,0\) does not reach",
    "divergent shuffle": r"waits at a shuffle for thread \(3,0,0\) of its mask, which has ended",
    "out of bounds": r"block \(2,0,0\), thread \(21,0,0\) reads 4 bytes .* at byte 600 of an array of 600",
    "before the start": r"block \(0,0,0\), thread \(0,0,0\) reads 4 bytes out of bounds: at byte -4 of",
    "unwritten shared": r"block \(0,0,0\), thread \(5,0,0\) reads shared memory that nothing has written",
    "absent lane": r"thread \(0,0,0\) shuffles from lane 16, which takes no part",
    "racing blocks": r"block \(1,0,0\), thread \(0,0,0\) writes an element that another block wrote",
    "missing warp barrier": r"thread \(1,0,0\) \w+ shared memory that thread number 0 of its block \w+",
}


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_reported(fault: str) -> None:
    """By kernel, block and thread."""
    with pytest.raises(einkorn.DeviceError, match=r"kernel sum_warps, block") as caught:
        _run_planted(fault)
    assert re.search(PLANTED[fault], str(caught.value)), str(caught.value)


def test_unwritten_element_is_found() -> None:
    out, _ = _run_planted("unwritten element")
    assert cuda_host.first_unwritten(out) == 9


def test_element_read_before_it_was_written_is_reported() -> None:
    x, out = (cuda_host.empty(SIZE, np.float32) for _ in range(2))
    x[:40] = 1
    with pytest.raises(einkorn.DeviceError, match=r"\(40,0,0\) reads an element that nothing has written"):
        _cuda_host.planted("none", out, x)


def test_wrong_lane_gives_a_wrong_sum() -> None:
    """A lane that takes part, but not the one meant: the cases' references are what finds it."""
    out, x = _run_planted("wrong lane")
    assert not np.array_equal(out, _warp_sums(x))


def test_launch_after_a_fault_runs() -> None:
    with pytest.raises(einkorn.DeviceError):
        _run_planted("partial barrier")
    out, x = _run_planted("none")
    np.testing.assert_array_equal(out, _warp_sums(x))
