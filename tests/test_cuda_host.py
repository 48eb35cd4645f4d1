"""The CUDA kernels on the host device: the shared cases, and the faults that it must find."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checking import as_arrays, assert_matches, case_id, gradients

import einkorn
from einkorn.cases import FAMILIES, Case, cases_of
from einkorn.config import cuda_runs

if importlib.util.find_spec("einkorn._cuda_host") is None:
    pytest.skip("host device: not built (EINKORN_CUDA_HOST=ON)", allow_module_level=True)

import cuda_host

from einkorn import _cuda_host

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
#: The kernels that have no CUDA body.
NATIVE_ALONE = {
    # what measures the processor
    "fma_peak",
    "memory_stream",
}
CASES = [
    pytest.param(case, id=case_id(family, case))
    for family in FAMILIES
    for case in cases_of(family)
    if not case.for_bench
]
#: More elements than this are looked at in one type.
_LARGE = 10_000


def test_every_kernel_has_a_body_or_is_listed() -> None:
    native = pytest.importorskip("einkorn._native", reason="native engine: not built")
    assert set(native.kernels()) - set(_cuda_host.kernels()) == NATIVE_ALONE


def test_what_runs_where_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """By `einkorn info` and in docs/performance.md (`python benchmarks/gpu_runs.py` writes both)."""
    runs = cuda_runs()
    on_cards = {name for card in runs["cards"] for name in card["kernels"]}
    alone = set(_cuda_host.kernels()) - on_cards
    assert set(runs["host_device"]) == alone
    einkorn.show_config()
    assert set(re.findall(r"\w+", capsys.readouterr().out.rpartition("alone: ")[2])[1:]) == alone
    page = (Path(__file__).parents[1] / "docs" / "performance.md").read_text()
    block = page.partition("<!-- on the host device alone -->")[2].partition("<!-- end -->")[0]
    assert set(re.findall(r"`(\w+)`", block)) == alone


@pytest.fixture
def _host_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        cuda_host.install(patch)
        yield


@pytest.mark.usefixtures("_host_device")
@pytest.mark.parametrize("case", CASES)
def test_case(case: Case) -> None:
    """Close to the reference, every element written, inputs left alone."""
    is_large = sum(x.size for x in case.inputs if x is not None) > _LARGE
    for dtype in case.dtypes[:1] if is_large else case.dtypes:
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


DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.mark.usefixtures("_host_device")
@DTYPES
@pytest.mark.parametrize("skipped", [0, 1, 2, 4])
@pytest.mark.parametrize("size", [1, 3, 4, 1023, 4101])
def test_elements_in_packs_tails_and_off_their_alignment(size: int, skipped: int, dtype: str) -> None:
    a, b = (np.random.default_rng(i).standard_normal(size + skipped).astype(dtype)[skipped:] for i in (0, 1))
    ops = einkorn.ops
    np.testing.assert_array_equal(ops.add(a, b), a + b)
    np.testing.assert_array_equal(ops.relu(a), np.maximum(a, 0))
    np.testing.assert_array_equal(ops.multiply(a, b[:1]), a * b[0])
    np.testing.assert_array_equal(ops.where(a > 0, a, b), np.where(a > 0, a, b))
    other = "float64" if dtype == "float32" else "float32"
    np.testing.assert_array_equal(einkorn.Tensor(a).to(other).numpy(), a.astype(other))


@pytest.mark.usefixtures("_host_device")
@DTYPES
@pytest.mark.parametrize("columns", [4, 7, 64])
def test_broadcast_rows_and_columns(columns: int, dtype: str) -> None:
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((3, 5, columns)).astype(dtype)
    for shape in ((columns,), (5, 1), (3, 1, columns), (1, 1, 1)):
        b = rng.standard_normal(shape).astype(dtype)
        np.testing.assert_array_equal(einkorn.ops.subtract(x, b), x - b)
        np.testing.assert_array_equal(einkorn.ops.subtract(b, x), b - x)


@pytest.mark.usefixtures("_host_device")
@DTYPES
@pytest.mark.parametrize("axes", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (2, 0, 1)])
def test_copy_that_turns_axes(axes: tuple[int, int, int], dtype: str) -> None:
    x = np.arange(3 * 37 * 66, dtype=dtype).reshape(3, 37, 66)
    for turned in (x.transpose(axes), x[:, ::-1].transpose(axes), x[:, :, 1:].transpose(axes)):
        k = einkorn.engines.cpu()
        out = k.empty(turned.shape, turned.dtype)
        k.copy(out, turned)
        np.testing.assert_array_equal(out, turned)


@pytest.mark.usefixtures("_host_device")
@DTYPES
@pytest.mark.parametrize("n", [4, 36, 64, 100, 256, 510, 512, 1024, 1028, 4096, 8200])
def test_softmax_of_rows_that_registers_hold(n: int, dtype: str) -> None:
    """The last rows: an infinity, a NaN, nothing but -infinity, and -infinity among numbers."""
    x = np.random.default_rng(n).standard_normal((6, n)).astype(dtype)
    x[2, n // 2], x[3, -1], x[4], x[5, 0] = np.inf, np.nan, -np.inf, -np.inf
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(1, keepdims=True))
        expected = e / e.sum(1, keepdims=True)
        logarithm = x - x.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True))
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(einkorn.ops.softmax(x, -1), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(einkorn.ops.log_softmax(x, -1), logarithm, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("_host_device")
@DTYPES
@pytest.mark.parametrize("columns", [16, 33, 132, 256])
def test_sums_of_columns_in_packs(columns: int, dtype: str) -> None:
    x = np.random.default_rng(columns).integers(-9, 10, (2, 70, columns)).astype(dtype)
    np.testing.assert_array_equal(einkorn.ops.sum(x, axis=1), x.sum(1))
    np.testing.assert_array_equal(einkorn.ops.sum(x, axis=(0, 1)), x.sum((0, 1)))
    np.testing.assert_array_equal(einkorn.ops.max(x, axis=1), x.max(1))
    np.testing.assert_array_equal(einkorn.ops.sum(x[:, :, 1:], axis=1), x[:, :, 1:].sum(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "filters", "groups", "kernel", "stride", "padding", "dilation"),
    [
        (3, 5, 1, 7, 2, 3, 1),
        (1, 6, 1, 5, 1, 0, 1),
        (6, 6, 6, 3, 2, 1, 1),
        (4, 4, 2, 3, 3, 0, 2),
        (5, 70, 1, 3, 1, 1, 1),
        (16, 8, 1, 3, 2, 1, 1),
    ],
)
def test_gradients_of_convolutions(
    channels: int,
    filters: int,
    groups: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of few channels and many; whole numbers, so that only the CPU's Winograd transforms round."""
    rng = np.random.default_rng(channels)
    x = rng.integers(-3, 4, (2, channels, 15, 14)).astype(dtype)
    w = rng.integers(-3, 4, (filters, channels // groups, kernel, kernel)).astype(dtype)
    bias = rng.integers(-3, 4, filters).astype(dtype)
    results = []
    for on_host_device in (False, True):
        with monkeypatch.context() as patch:
            if on_host_device:
                cuda_host.install(patch)
            leaves = [einkorn.Tensor(a.copy(), requires_grad=True) for a in (x, w, bias)]
            y = einkorn.ops.conv2d(*leaves, stride, padding, dilation, groups)
            y.backward(np.round(np.arange(np.prod(y.shape)).reshape(y.shape) % 7 - 3).astype(dtype))
            results.append([y.numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    for got, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3 if dtype == "float32" else 1e-9)


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


def _on_both(monkeypatch: pytest.MonkeyPatch, run: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What ``run()`` returns on the CPU and on the host device."""
    cpu = [np.asarray(a, np.float64) for a in run()]
    with monkeypatch.context() as patch:
        cuda_host.install(patch)
        gpu = [np.asarray(a, np.float64) for a in run()]
    return cpu, gpu


def _bfloat16(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(BFLOAT16)


BFLOAT16_RUNS = {
    "layer norm": lambda ops, x: ops.layer_norm(x, (40,), x[0, 0], x[0, 1]),
    "rms norm": lambda ops, x: ops.rms_norm(x[:, :, 1:], (39,)),
    "group norm": lambda ops, x: ops.group_norm(x, 3, x[0, :6, 0], x[0, :6, 1], activation="tanh"),
    "batch norm": lambda ops, x: ops.batch_norm(x, None, None, training=True),
    "batch norm of columns": lambda ops, x: ops.batch_norm(x[:, :, :7], None, None, training=True),
    "attention": lambda ops, x: ops.scaled_dot_product_attention(x, x, x[:, :, :9], is_causal=True),
    "attention of one query": lambda ops, x: ops.scaled_dot_product_attention(x[:, :1], x, x),
    "convolution": lambda ops, x: ops.conv2d(
        x.reshape(3, 6, 5, 8), x[:1].reshape(4, 6, 2, 5), x[0, 0, :4], 2, 2
    ),
    "convolution of groups": lambda ops, x: ops.conv2d(
        x.reshape(3, 12, 4, 5), x[:1].reshape(20, 6, 1, 2), None, padding=1, groups=2, activation="relu"
    ),
    "convolution of few channels": lambda ops, x: ops.conv2d(
        x.reshape(3, 2, 10, 12), x[:1].reshape(12, 2, 2, 5), None, stride=2, padding=1
    ),
    "transposed convolution": lambda ops, x: ops.conv_transpose2d(
        x.reshape(3, 6, 5, 8), x[:1].reshape(6, 20, 1, 2), x[0, 0, :20], stride=2
    ),
    "product": lambda ops, x: ops.matmul(x, x.swapaxes(1, 2)),
    "product of the other way round": lambda ops, x: ops.matmul(x.swapaxes(1, 2), x),
}


@pytest.mark.parametrize("run", BFLOAT16_RUNS.values(), ids=BFLOAT16_RUNS.keys())
def test_bfloat16_as_the_cpu_has_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and gradients within a step of bfloat16 of each other."""

    def both_ways() -> list[Any]:
        x = einkorn.Tensor(_bfloat16(3, 6, 40), requires_grad=True)
        y = run(einkorn.ops, x)
        y.backward(_bfloat16(*y.shape)[..., ::-1].copy())  # not x itself, whose gradient would cancel
        assert y.dtype == x.grad.dtype == BFLOAT16
        return [y.numpy(), x.grad.numpy()]

    for got, expected in zip(*_on_both(monkeypatch, both_ways), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2**-7, atol=2**-7 * np.abs(expected).max())


def test_rounding_to_bfloat16_is_one_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of doubles that lie between floats, beyond the largest number, and of no number."""
    near = 1 + 2.0**-8  # between two numbers of bfloat16
    x = np.array([near, near + 1e-12, near - 1e-12, 3.3e38, 1e39, -1e300, 1e-42, np.inf, -np.nan, 0.1, -0.0])

    def run() -> list[Any]:
        return [einkorn.Tensor(a).to("bfloat16").numpy() for a in (x, x.astype(np.float32))]

    with np.errstate(over="ignore"):
        cpu, gpu = _on_both(monkeypatch, run)
    np.testing.assert_array_equal(gpu, cpu)


@DTYPES
@pytest.mark.parametrize("queries", [3, 70])
def test_attention_drops_what_the_cpu_drops(
    queries: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(queries)
    arrays = [rng.standard_normal((2, 2, n, 6)).astype(dtype) for n in (queries, 67, 67)]

    def run() -> list[Any]:
        einkorn.manual_seed(5)
        leaves = [einkorn.Tensor(a, requires_grad=True) for a in arrays]
        y = einkorn.ops.scaled_dot_product_attention(*leaves, dropout_p=0.4)
        y.backward(np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype(dtype))
        return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]

    tolerance = 256 * np.finfo(dtype).eps
    for got, expected in zip(*_on_both(monkeypatch, run), strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("width", "queries", "keys", "masked", "causal"),
    [(64, 70, 133, True, False), (64, 130, 130, False, True), (128, 67, 64, False, True)],
)
def test_attention_on_tensor_cores(
    width: int, queries: int, keys: int, masked: bool, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads of 64 and 128 in bfloat16, with what backward reads of the sums of rows; one key head for two."""
    q, k, v = (_bfloat16(1, heads, n, width) for heads, n in ((2, queries), (1, keys), (1, keys)))
    mask = np.random.default_rng(1).random((queries, keys)) > 0.3 if masked else None
    if mask is not None:
        mask[5] = False  # a query that sees nothing

    def run() -> list[Any]:
        leaves = [einkorn.Tensor(a, requires_grad=True) for a in (q, k, v)]
        y = einkorn.ops.scaled_dot_product_attention(*leaves, mask, is_causal=causal, enable_gqa=True)
        y.backward(_bfloat16(*y.shape)[..., ::-1].copy())
        return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]

    for got, expected in zip(*_on_both(monkeypatch, run), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2**-7, atol=2**-7 * np.abs(expected).max())


RECURRENT = {
    "weights in shared memory": ("lstm", 7, 37, "float64", None),
    "weights in registers too": ("lstm", 5, 120, "float32", None),
    "two columns a thread": ("gru", 6, 140, "float32", None),
    "one that joins later": ("gru", 6, 9, "float64", (6, 5, 5, 1)),
    "one gate, in registers too": ("rnn", 3, 260, "float32", None),
    "too many units": ("rnn", 2, 300, "float32", None),
    "too many units for any thread": ("lstm", 2, 140, "float32", None),
    "too many sequences": ("gru", 1060, 2, "float64", None),
}


@pytest.mark.parametrize(
    ("kind", "batch", "units", "dtype", "sizes"), RECURRENT.values(), ids=RECURRENT.keys()
)
@pytest.mark.parametrize("states", [False, True], ids=["from zeros", "from states"])
def test_recurrent_layers_in_one_launch_and_in_many(
    kind: str,
    batch: int,
    units: int,
    dtype: str,
    sizes: tuple[int, ...] | None,
    states: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forward and backward as the CPU has them; sequences of different lengths from both ends."""
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    rng = np.random.default_rng(units)
    shape = (2, batch, 3) if sizes is None else (sum(sizes), 3)
    shapes: list[Any] = [
        shape,
        (gates * units, 3),
        (gates * units, units),
        (gates * units,),
        (gates * units,),
    ]
    arrays = [(rng.standard_normal(of) / np.sqrt(of[-1])).astype(dtype) for of in shapes]
    starts = [rng.standard_normal((batch, units)).astype(dtype) for _ in range(1 + (kind == "lstm"))]

    def run() -> list[Any]:
        x, *weights = (einkorn.Tensor(a, requires_grad=True) for a in arrays)
        first = [einkorn.Tensor(a, requires_grad=True) for a in starts] if states else [None] * len(starts)
        call = getattr(einkorn.ops, kind)
        y, *last = call(x, *weights, *first, reverse=sizes is not None, batch_sizes=sizes)
        total = einkorn.ops.sum(y * y)
        for end in last:
            total = total + einkorn.ops.sum(end)
        total.backward()
        leaves = [x, *weights, *(a for a in first if a is not None)]
        return [y.numpy(), *(a.numpy() for a in last), *(leaf.grad.numpy() for leaf in leaves)]

    tolerance = 64 * np.finfo(dtype).eps
    for got, expected in zip(*_on_both(monkeypatch, run), strict=True):
        size = np.abs(expected).max(initial=1)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * size)


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
    "missing wait": r"block \(0,0,0\), thread \(\d+,0,0\) reads shared memory that nothing has written",
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


@pytest.mark.parametrize("fault", ["wrong lane", "wrong operand"])
def test_wrong_lane_gives_a_wrong_sum(fault: str) -> None:
    """A lane that takes part, but not the one meant: the cases' references are what finds it."""
    out, x = _run_planted(fault)
    assert not np.array_equal(out, _warp_sums(x))


def test_launch_after_a_fault_runs() -> None:
    with pytest.raises(einkorn.DeviceError):
        _run_planted("partial barrier")
    out, x = _run_planted("none")
    np.testing.assert_array_equal(out, _warp_sums(x))
