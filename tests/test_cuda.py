"""The CUDA engine: the shared cases of the families that have CUDA bodies, where a GPU is."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
from checking import assert_matches, case_id, weights_like

import einkorn
from einkorn.cases import FAMILIES, Case, as_tuple, cases_of

if importlib.util.find_spec("einkorn._cuda") is None:
    pytest.skip("CUDA engine: not built (no nvcc when einkorn was installed)", allow_module_level=True)

from einkorn import _cuda


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
    if not case.for_bench and any(x is not None for x in case.inputs)  # no input, no device to be on
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
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_those_of_the_cpu(family: str) -> None:
    for case in cases_of(family):
        if case.for_bench or not case.wanted or "float64" not in case.dtypes:
            continue
        arrays = case.make("float64")
        gradients = []
        for inputs in (list(arrays), _to_gpu(arrays)):
            for i in case.wanted:
                inputs[i] = einkorn.Tensor(inputs[i], requires_grad=True)
            out = as_tuple(case.run(einkorn, inputs, np.dtype("float64")))[0]
            (weights,) = weights_like([out.shape])
            on_gpu = not isinstance(out.data, np.ndarray)
            out.backward(_to_gpu([weights])[0] if on_gpu else weights)
            gradients.append([_to_host(inputs[i].grad)[0] for i in case.wanted])
        for cpu, gpu in zip(*gradients, strict=True):
            size = np.abs(cpu[np.isfinite(cpu)]).max(initial=1.0)
            np.testing.assert_allclose(gpu, cpu, rtol=1e-11, atol=1e-13 * size, err_msg=case.name)


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_numbers_are_those_of_the_cpu(dtype: str) -> None:
    """Bit for bit; normal numbers up to the logarithm's and the sine's last place."""
    cupy = importlib.import_module("cupy")
    size, kind = 100_003, np.dtype(dtype)
    x = np.linspace(-1, 1, size, dtype=dtype)
    results = []
    for a in (x, cupy.asarray(x)):
        k = einkorn.engines.of(a)
        uniform, normal, dropout = (k.empty((size,), kind) for _ in range(3))
        k.uniform(uniform, 2**63 + 5, 2**32 - 1, 0.0, 1.0)
        k.normal(normal, 7, 3, 0.0, 1.0)
        k.dropout(dropout, a, 11, 2**40, 0.3)
        results.append(_to_host((uniform, normal, dropout)))
    cpu, gpu = results
    np.testing.assert_array_equal(gpu[0], cpu[0])
    np.testing.assert_array_equal(gpu[2], cpu[2])
    np.testing.assert_allclose(gpu[1], cpu[1], rtol=64 * np.finfo(dtype).eps, atol=16 * np.finfo(dtype).eps)


@needs_gpu
@pytest.mark.parametrize("body", ["wgmma", "mma"])
@pytest.mark.parametrize(
    ("width", "queries", "keys", "causal"),
    [(64, 70, 300, False), (64, 130, 130, True), (128, 129, 257, False), (128, 200, 200, True)],
)
def test_attention_by_either_body(
    body: str, width: int, queries: int, keys: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16 beside the same numbers in float32; where a card lacks the one body, the other answers."""
    cupy = importlib.import_module("cupy")
    monkeypatch.setenv("EINKORN_CUDA_ATTENTION", body)
    rng = np.random.default_rng(width)
    # The high halves of floats are bfloat16.
    bits = [
        (rng.standard_normal((1, heads, n, width)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        for heads, n in ((2, queries), (1, keys), (1, keys))
    ]
    wide = [(b.astype(np.uint32) << 16).view(np.float32) for b in bits]
    k = einkorn.engines.of(cupy.asarray(wide[0]))
    results = []
    for arrays in (wide, bits):
        out = k.empty((1, 2, queries, width), arrays[0].dtype)
        lse = k.empty((1, 2, queries), np.dtype(np.float32))
        options = (None, None, None, width**-0.5, -(1 << 40), 0 if causal else 1 << 40, 0.0, 0, 0)
        for _ in range(1 if arrays is wide else 2):  # the same bits each time
            k.attention_forward(out, lse, *(cupy.asarray(a) for a in arrays), *options)
            results.append(_to_host((out, lse)))
    expected, lses = results[0]
    for got, sums in results[1:]:
        assert got.tobytes() == results[1][0].tobytes()
        numbers = (got.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(numbers, expected, rtol=2**-7, atol=2**-7 * np.abs(expected).max())
        np.testing.assert_allclose(sums, lses, rtol=1e-5, atol=1e-5)


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
@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_training_steps_equal_those_of_the_cpu(model: str) -> None:
    """Forward, backward and update, three times, with everything on the card."""
    nn = einkorn.nn
    if model == "mlp":
        layers: list[Any] = [nn.Linear(784, 128, activation="relu"), nn.Linear(128, 10)]
        shape: tuple[int, ...] = (32, 784)
    else:
        layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 10)]
        shape = (16, 1, 28, 28)
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape), rng.integers(0, 10, shape[0])
    network = nn.Sequential(*layers).double()
    start = {key: value.copy() for key, value in network.state_dict().items()}
    losses = []
    for device in ("cpu", "cuda"):
        network.to("cpu").load_state_dict(start)
        network.to(device)
        optimizer = einkorn.optim.Adam(network.parameters(), lr=1e-2)
        data, classes = (x, target) if device == "cpu" else _to_gpu([x, target])
        taken = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = einkorn.ops.cross_entropy(network(einkorn.Tensor(data)), classes)
            loss.backward()
            optimizer.step()
            taken.append(loss.item())
        losses.append(taken)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    assert losses[0][2] < losses[0][0]


@needs_gpu
def test_missing_kernel_is_named() -> None:
    with pytest.raises(einkorn.EngineError, match="memory_stream"):
        importlib.import_module("einkorn.engines.cuda").memory_stream  # noqa: B018


def test_kernels_are_those_of_the_native_module() -> None:
    native = pytest.importorskip("einkorn._native", reason="native engine: not built")
    names = _cuda.kernels()
    assert {"relu", "softmax_forward", "max_pool2d_backward"} <= set(names)
    # A type that only the native body stores is a gap; a type of its own would have no contract.
    unknown = {n: types for n, types in names.items() if not set(types) <= set(native.kernels().get(n, ()))}
    assert not unknown


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
