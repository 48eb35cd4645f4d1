"""Eight-bit linear layers: exact integers in the kernel, small errors in a model."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import einkorn
from einkorn import engines, models, nn, ops
from einkorn.errors import (
    ArgumentError,
    DTypeError,
    EinkornError,
    GradientError,
    NonFiniteError,
    ShapeError,
)
from einkorn.quantization import quantize_dynamic

# M, K, N: few rows and many, odd depths, edges of tiles and lanes, several tasks, sums cut in pieces
SIZES = [
    (0, 5, 3), (4, 0, 3), (9, 0, 3), (4, 5, 0), (1, 1, 1), (1, 3, 17), (2, 65, 5), (3, 128, 33), (4, 129, 16),
    (5, 63, 31), (14, 64, 32), (15, 7, 97), (33, 130, 65), (130, 100, 300), (40, 9000, 20), (1, 4096, 700),
]  # fmt: skip


def multiply(
    a: np.ndarray,
    b: np.ndarray,
    zero: np.ndarray | None = None,
    scales: tuple[np.ndarray, np.ndarray] | None = None,
    bias: np.ndarray | None = None,
    activation: int = 0,
) -> np.ndarray:
    m, n = len(a), len(b)
    out = np.full((m, n), np.nan, np.float32)
    zero = np.zeros(m, np.int32) if zero is None else zero
    left, right = (np.ones(m, np.float32), np.ones(n, np.float32)) if scales is None else scales
    sums = b.sum(1, dtype=np.int32)
    engines.cpu().matmul_int8(out, a, left, zero, b, right, sums, bias, activation)
    return out


def test_products_are_exact(any_backend: str) -> None:
    rng = np.random.default_rng(0)
    for m, k, n in SIZES:
        a, b = rng.integers(0, 256, (m, k), np.uint8), rng.integers(-128, 128, (n, k), np.int8)
        zero = rng.integers(0, 256, m).astype(np.int32)
        truth = (a.astype(np.int64) - zero[:, None]) @ b.astype(np.int64).T
        np.testing.assert_array_equal(multiply(a, b, zero), truth.astype(np.float32), f"{m, k, n}")


def test_the_largest_sums_do_not_overflow(any_backend: str) -> None:
    a = np.full((6, 65536), 255, np.uint8)
    b = np.full((3, 65536), -128, np.int8)
    b[1] = 127
    for rows in (1, 6):
        got = multiply(a[:rows], b)
        np.testing.assert_array_equal(got, np.broadcast_to(65536 * 255.0 * b[:, 0], (rows, 3)))


def test_scales_bias_and_activation(any_backend: str) -> None:
    rng = np.random.default_rng(1)
    for m in (3, 20):
        a, b = rng.integers(0, 256, (m, 70), np.uint8), rng.integers(-128, 128, (37, 70), np.int8)
        scales = rng.random(m, np.float32), rng.random(37, np.float32)
        zero, bias = rng.integers(0, 256, m).astype(np.int32), rng.normal(size=37).astype(np.float32) * 1e3
        whole = (a.astype(np.int64) - zero[:, None]) @ b.astype(np.int64).T
        truth = np.maximum(whole * scales[0][:, None].astype(np.float64) * scales[1] + bias, 0)
        np.testing.assert_allclose(multiply(a, b, zero, scales, bias, 1), truth, rtol=1e-5, atol=1e-2)


def quantized(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q, scale, zero = np.empty(x.shape, np.uint8), np.empty(len(x), np.float32), np.empty(len(x), np.int32)
    engines.cpu().quantize_rows_u8(q, scale, zero, x)
    return q, scale, zero


def signed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, scale = np.empty(x.shape, np.int8), np.empty(len(x), np.float32)
    engines.cpu().quantize_rows_s8(q, scale, x)
    return q, scale


def test_rows_become_the_nearest_bytes(any_backend: str) -> None:
    rng = np.random.default_rng(2)
    for columns in (1, 15, 16, 17, 33, 1000):
        x = (rng.normal(size=(9, columns)) * 10.0 ** rng.integers(-20, 20, (9, 1))).astype(np.float32)
        x[3] = np.abs(x[3])  # of one sign: all steps are on its side
        x[4] = -np.abs(x[4])
        q, scale, zero = quantized(x)
        assert ((zero >= 0) & (zero <= 255)).all()
        np.testing.assert_allclose(scale, (x.max(1).clip(0) - x.min(1).clip(None, 0)) / 255, rtol=1e-6)
        back = scale[:, None].astype(np.float64) * (q.astype(np.int64) - zero[:, None])
        assert (np.abs(back - x) <= 1.001 * scale[:, None]).all()
        assert np.abs(back - x)[3:5].max() <= 0.501 * scale[3:5].max()
        q8, scale8 = signed(x)
        np.testing.assert_array_equal(np.abs(q8.astype(np.int64)).max(1), 127)
        assert (np.abs(scale8[:, None].astype(np.float64) * q8 - x) <= 0.501 * scale8[:, None]).all()


def test_every_engine_makes_the_same_bytes() -> None:
    x = np.random.default_rng(3).normal(size=(50, 777)).astype(np.float32)
    x[7], x[8, 5] = 0, np.inf
    made = []
    for engine in engines.available():
        einkorn.set_engine(engine)
        for isa in einkorn.runtime.isas() if engine == "native" else ("",):
            if isa:
                einkorn.set_isa(isa)
            made.append([part.tobytes() for part in (*quantized(x), *signed(x))])
    assert all(each == made[0] for each in made)


def test_rows_without_a_range(any_backend: str) -> None:
    """Zeros, numbers so small that they are zeros, the largest ones, NaN and infinity."""
    x = np.zeros((6, 5), np.float32)
    x[1], x[2, 1] = 1e-40, 3.4e38
    x[2, 2], x[3, 4], x[4, 0] = -3.4e38, np.nan, np.inf
    q, scale, zero = quantized(x)
    np.testing.assert_array_equal(scale[[0, 1, 5]], 1)
    assert np.isnan(scale[[3, 4]]).all()
    assert not q[[0, 1, 3, 4, 5]].any()
    assert not zero[[0, 1, 3, 4, 5]].any()
    assert np.isfinite(scale[2])
    np.testing.assert_array_equal(q[2], [128, 255, 0, 128, 128])
    q8, scale8 = signed(x)
    np.testing.assert_array_equal(q8[2], [0, 127, -127, 0, 0])
    assert np.isnan(scale8[[3, 4]]).all()
    layer = nn.quantized.dynamic.Linear.from_float(nn.Linear(5, 3))
    rows = layer(x)
    assert np.isnan(rows[[3, 4]]).all()
    assert np.isfinite(rows[[0, 1, 2, 5]]).all()
    np.testing.assert_array_equal(rows[0], layer.bias)


@pytest.mark.parametrize("m", [1, 4, 64])
def test_bits_are_those_of_one_thread(m: int, any_backend: str) -> None:
    layer = nn.quantized.dynamic.Linear.from_float(nn.Linear(1500, 900, activation="tanh"))
    x = np.random.default_rng(4).normal(size=(m, 1500)).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        with einkorn.num_threads(threads):
            results.append(layer(x).tobytes())
    assert results[0] == results[1] == results[2]


def test_a_model_keeps_its_answers(engine: str) -> None:
    einkorn.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 200), nn.GELU(), nn.Linear(200, 100, activation="relu"), nn.Linear(100, 7)
    )
    small = quantize_dynamic(model, {nn.Linear}, dtype=np.int8)
    assert [type(layer).__module__ for layer in small].count("einkorn.nn.quantized.dynamic") == 3
    assert type(model[0]) is nn.Linear
    x = np.random.default_rng(5).normal(size=(300, 64)).astype(np.float32)
    whole, rounded = model(x), small(x)
    assert 0 < np.abs(whole - rounded).max() < 0.02 * np.abs(whole).max()
    np.testing.assert_array_equal(small(x.reshape(3, 100, 64)), rounded.reshape(3, 100, 7))
    assert small(x[:0]).shape == (0, 7)
    assert small(x[0]).shape == (7,)
    assert isinstance(small(einkorn.Tensor(x)), einkorn.Tensor)
    assert not list(small.parameters())


@pytest.mark.filterwarnings("ignore")  # torch tells of its function's successors
def test_errors_are_below_those_of_torch(torch: object) -> None:
    """Which rounds the whole input with one scale, where a row has one here."""
    rng = np.random.default_rng(6)
    layer = nn.Linear(256, 64)
    x = (rng.normal(size=(50, 256)) * 10.0 ** rng.uniform(-2, 2, (50, 1))).astype(np.float32)
    peer = torch.nn.Sequential(torch.nn.Linear(256, 64))  # type: ignore[attr-defined]
    peer.load_state_dict({f"0.{k}": torch.from_numpy(v) for k, v in layer.state_dict().items()})  # type: ignore[attr-defined]
    theirs = torch.ao.quantization.quantize_dynamic(peer)  # type: ignore[attr-defined]
    truth = x.astype(np.float64) @ layer.weight.data.T + layer.bias.data
    size = np.abs(truth).max(1, keepdims=True)
    ours = np.abs(quantize_dynamic(layer)(x) - truth) / size
    error = np.abs(theirs(torch.from_numpy(x)).detach().numpy() - truth) / size  # type: ignore[attr-defined]
    assert ours.max() < 0.02
    assert ours.max() < 0.5 * error.max()


def test_digits_are_read_as_well_as_before(engine: str) -> None:
    einkorn.manual_seed(0)
    sklearn = pytest.importorskip("sklearn.datasets")
    x, y = sklearn.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    model = models.MLP([64, 128, 64, 10])
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    model.fit(x[:1200], y[:1200], epochs=15, verbose=0)
    model.eval()
    small = quantize_dynamic(model)
    right = [(np.asarray(m(x[1200:])).argmax(1) == y[1200:]).mean() for m in (model, small)]
    assert right[0] > 0.9
    assert abs(right[0] - right[1]) <= 0.003


def test_state_goes_to_another_model(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 3, bias=False))
    small, other = (
        quantize_dynamic(model),
        quantize_dynamic(nn.Sequential(nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 3, bias=False))),
    )
    state = small.state_dict()
    assert list(state) == ["0.weight", "0.weight_scale", "0.bias", "2.weight", "2.weight_scale"]
    assert state["0.weight"].dtype == np.int8
    x = np.random.default_rng(7).normal(size=(6, 20)).astype(np.float32)
    before = other(x)
    einkorn.save_weights(small, tmp_path / "small.safetensors")
    einkorn.load_weights(other, tmp_path / "small.safetensors")
    np.testing.assert_array_equal(other(x), small(x))
    assert np.abs(before - small(x)).max() > 0.01
    np.testing.assert_array_equal(copy.deepcopy(small)(x), small(x))


def test_which_layers() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, shared, nn.Sequential(nn.Linear(4, 4)), nn.MultiheadAttention(4, 2))
    small = quantize_dynamic(model)
    assert small[0] is small[1]
    assert type(small[2][0]) is nn.quantized.dynamic.Linear
    assert type(small[3].out_proj) is type(model[3].out_proj)
    some = quantize_dynamic(model, {"2"})
    assert type(some[0]) is nn.Linear
    assert type(some[2][0]) is nn.quantized.dynamic.Linear
    assert quantize_dynamic(model, {"0"}, inplace=True) is model
    assert type(model[0]) is nn.quantized.dynamic.Linear
    alone = quantize_dynamic(nn.Linear(4, 2, activation="relu"))
    assert repr(alone) == "Linear(in_features=4, out_features=2, dtype=int8, bias=True, activation='relu')"


def test_what_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    wrong: list[tuple[type[EinkornError], str, dict[str, object]]] = [
        (ArgumentError, "qconfig_spec", {"qconfig_spec": {nn.Conv2d}}),
        (ArgumentError, "qconfig_spec", {"qconfig_spec": {"7"}}),
        (ArgumentError, "qconfig_spec", {"qconfig_spec": {nn.Linear: None}}),
        (ArgumentError, "mapping", {"mapping": {}}),
        (DTypeError, "dtype", {"dtype": np.float16}),
    ]
    for error, word, options in wrong:
        with pytest.raises(error, match=rf"quantize_dynamic: {word}"):
            quantize_dynamic(model, **options)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"quantize_dynamic: model"):
        quantize_dynamic(nn.Linear(2, 2), inplace=True)
    with pytest.raises(ArgumentError, match=r"quantize_dynamic: model"):
        quantize_dynamic(ops.relu)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match=r"weight has dtype float64"):
        quantize_dynamic(nn.Linear(2, 2).double())
    layer = nn.Linear(3, 2)
    layer.weight.data[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"weight"):
        quantize_dynamic(layer)
    with pytest.raises(ArgumentError, match=r"65536"):
        nn.quantized.dynamic.Linear(65537, 1)
    small = nn.quantized.dynamic.Linear(3, 2)
    with pytest.raises(GradientError, match=r"quantized.dynamic.Linear"):
        small(einkorn.Tensor(np.ones((1, 3), np.float32), requires_grad=True))
    with einkorn.no_grad():
        small(einkorn.Tensor(np.ones((1, 3), np.float32), requires_grad=True))
    with pytest.raises(ShapeError, match=r"expected \(\*, 3\)"):
        small(np.ones((1, 4), np.float32))
    with pytest.raises(DTypeError, match=r"x has dtype float64"):
        small(np.ones((1, 3)))


def test_scales_keep_their_type() -> None:
    """A cast of the model leaves what the kernels take."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    quantized = einkorn.quantization.quantize_dynamic(model)
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    wanted = np.asarray(quantized(x))
    for dtype in ("float64", "bfloat16", "float32"):
        np.testing.assert_array_equal(np.asarray(quantized.to(dtype)(x)), wanted)
