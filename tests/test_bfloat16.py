"""bfloat16 arrays in every operation: computed in float32, rounded once, gradients in the inputs' type."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from checking import all_cases, as_arrays, case_id, rounded, weights_like

import einkorn
from einkorn import Tensor, engines, ops
from einkorn.cases import FAMILIES, Case, as_tuple
from einkorn.errors import DTypeError

BFLOAT16 = einkorn.bfloat16

#: Optimizers take lists of arrays of float32 or float64; a case of ``ctc_loss`` begins with ``log_softmax``.
ELSEWHERE = {"optimizer", "ctc"}

#: Operations with a kernel of their own, which sums in float32 in another order than that of float32.
CONVOLUTIONS = {"conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"}
SUMMED = {"matmul", "bmm", "linear", "addmm", "rnn", "lstm", "gru"} | CONVOLUTIONS


#: Operations that round what they multiply, and their kernel, on instruction sets that multiply pairs of
#: bfloat16: weights of a softmax, or states, are half a place off, 2^-9, and sums of as many products as the
#: cases have a few times that.
PAIRED = {
    "scaled_dot_product_attention": "attention_forward",
    "packed_self_attention": "attention_forward",
    "rnn": "rnn_forward",
    "lstm": "lstm_forward",
    "gru": "gru_forward",
}


def paired(case: Case) -> bool:
    return PAIRED.get(case.op.name) in engines.takes_bfloat16()


def low_and_wide(case: Case) -> tuple[list[Any], list[Any]]:
    """The inputs in bfloat16, and the same numbers in float32."""
    low = [a if a is None or a.dtype.kind != "f" else a.astype(BFLOAT16) for a in case.make("float32")]
    return low, [a if a is None or a.dtype != BFLOAT16 else a.astype(np.float32, order="C") for a in low]


def assert_rounded(case: Case, got: np.ndarray, wanted: np.ndarray) -> None:
    """The float32 result rounded; where sums had another order, at times to the other neighbour."""
    got, wanted = got.astype(np.float32), rounded(wanted)
    size = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    if paired(case):
        np.testing.assert_allclose(got, wanted, rtol=2.0**-7, atol=2.0**-7 * size)
    elif case.op.name in SUMMED:
        np.testing.assert_allclose(got, wanted, rtol=2.0**-7, atol=1e-6 * size)
    else:
        np.testing.assert_array_equal(got, wanted)


def gradients(case: Case, arrays: list[Any]) -> tuple[list[np.ndarray], bool]:
    """Of the weighted sum of the first result; and whether they are computed from that result."""
    inputs = [None if a is None else a.copy() for a in arrays]
    for i in case.wanted:
        inputs[i] = einkorn.Tensor(inputs[i], requires_grad=True)
    einkorn.manual_seed(3)
    out = as_tuple(case.run(einkorn, inputs, arrays[case.wanted[0]].dtype))[0]
    saved, inputs_of = (out._node.saved or (), out._node.inputs) if out._node else ((), ())
    reads_result = len(saved) > len(inputs_of) and saved[len(inputs_of)] is not None
    out.backward(weights_like([out.shape])[0].astype(BFLOAT16).astype(out.dtype))
    return [inputs[i].grad.numpy() for i in case.wanted], reads_result


def check_results(case: Case) -> None:
    low, wide = low_and_wide(case)
    einkorn.manual_seed(3)
    expected = as_arrays(case.run(einkorn, wide, np.dtype(np.float32)))
    einkorn.manual_seed(3)
    results = as_arrays(case.run(einkorn, low, BFLOAT16))
    for got, wanted in zip(results, expected, strict=True):
        if wanted.dtype != np.float32:
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
            continue
        assert got.dtype == BFLOAT16
        assert_rounded(case, got, wanted)


def check_gradients(case: Case) -> None:
    low, wide = low_and_wide(case)
    expected, _ = gradients(case, wide)
    results, reads_result = gradients(case, low)
    for got, wanted in zip(results, expected, strict=True):
        assert got.dtype == BFLOAT16
        if not reads_result and case.op.name not in PAIRED:
            assert_rounded(case, got, wanted)
            continue
        # The result was kept rounded, and its derivative follows from it; some gradients are sums of such.
        finite = np.isfinite(wanted)
        size = np.abs(wanted[finite]).max(initial=0)
        np.testing.assert_allclose(
            got.astype(np.float32)[finite], wanted[finite], rtol=2.0**-5, atol=2.0**-5 * float(size)
        )


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ELSEWHERE])
def test_operations_are_rounded_once(family: str, engine: str) -> None:
    """Every case in bfloat16: the bits of the float32 result, rounded."""
    for name, case in all_cases():
        if (
            name != family
            or "dtype" in case.options
            or "bfloat16" in case.note
            or not any(x and x.is_float for x in case.inputs)
        ):
            continue
        try:
            check_results(case)
            # A sum near zero that is rounded differently is on the other side of the kink.
            kinked = paired(case) and case.options.get("nonlinearity") == "relu"
            if case.wanted and not kinked:
                check_gradients(case)
        except Exception as error:
            raise AssertionError(case_id(family, case)) from error


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 301, 9, 8), (45, 301, 3, 3), {"padding": 1}),
        ((3, 32, 33, 71), (47, 32, 3, 3), {"padding": 1, "stride": 2}),
        ((2, 34, 20, 37), (66, 17, 1, 1), {"groups": 2}),
        ((1, 5, 40, 43), (18, 5, 5, 4), {"stride": 3, "padding": (2, 0), "dilation": (1, 2)}),
    ],
)
def test_convolutions_of_many_channels(
    shape: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any], engine: str
) -> None:
    """Results and gradients are those of float32, rounded, and the same bits for any number of threads."""
    random = np.random.default_rng(5)
    low = [random.standard_normal(s).astype(BFLOAT16) for s in (shape, kernel, kernel[:1])]

    def results(arrays: list[np.ndarray]) -> list[np.ndarray]:
        inputs = [einkorn.Tensor(a, requires_grad=True) for a in arrays]
        out = ops.conv2d(*inputs, **options)
        weights = weights_like([out.shape])[0].astype(BFLOAT16).astype(arrays[0].dtype)
        return [t.numpy() for t in (out, *einkorn.grad([out], inputs, [weights]))]

    expected = results([a.astype(np.float32) for a in low])
    before = einkorn.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 4):
            einkorn.set_num_threads(threads)
            found.append(results(low))
    finally:
        einkorn.set_num_threads(before)
    for got, wanted, *others in zip(found[0], expected, *found[1:], strict=True):
        assert got.dtype == BFLOAT16
        size = float(np.abs(wanted).max())
        np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=2.0**-7, atol=1e-5 * size)
        for other in others:
            assert other.tobytes() == got.tobytes()


def test_reads_as_its_numbers() -> None:
    x = einkorn.Tensor([1.0, -2.5, 1e-40]).to("bfloat16")
    assert x.dtype == einkorn.bfloat16
    assert x.is_floating_point()
    assert repr(x[:2]) == "Tensor([ 1. , -2.5], dtype=bfloat16)"
    assert (x[1].item(), float(x[0]), x[:2].tolist()) == (-2.5, 1.0, [1.0, -2.5])
    assert x.element_size() == 2
    assert pickle.loads(pickle.dumps(x)).numpy().tobytes() == x.numpy().tobytes()
    assert x.float().dtype == np.float32
    assert x.double().dtype == np.float64
    assert x.float().bfloat16().numpy().tobytes() == x.numpy().tobytes()
    with pytest.raises(DTypeError, match="float32, float64 or bfloat16"):
        einkorn.Tensor(np.zeros(2, np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding(dtype: Any, engine: str) -> None:
    """To the nearest, ties to even, once, from both sides of every tie; all 2**16 numbers come back."""
    halves = np.arange(1 << 16, dtype=np.uint16)
    k = engines.cpu()
    wide = k.empty(halves.shape, dtype)
    k.widen_bf16(wide, halves)
    nan = np.isnan(wide)
    np.testing.assert_array_equal(wide[~nan].astype(np.float32).view(np.uint32) >> 16, halves[~nan])
    back = k.empty(halves.shape, np.uint16)
    k.narrow_bf16(back, wide)
    np.testing.assert_array_equal(back[~nan], halves[~nan])
    assert np.isnan(back.view(BFLOAT16).astype(np.float32)[nan]).all()
    assert ((back[nan] & 0x40) != 0).all()

    below = halves[(halves & 0x7FFF) < 0x7F80]  # finite: each, and the next one away from zero
    above = below + np.uint16(1)
    lower = (below.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    upper = (above.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    upper = np.where(np.isinf(upper), np.sign(upper) * 2.0**128, upper)
    tie = (lower + upper) / 2
    nudge = np.nextafter(tie.astype(dtype), np.asarray(np.inf, dtype) * np.sign(tie).astype(dtype))
    short = np.nextafter(tie.astype(dtype), np.asarray(0, dtype))
    out = k.empty(below.shape, np.uint16)
    for values, wanted in ((tie, np.where(below % 2 == 0, below, above)), (nudge, above), (short, below)):
        k.narrow_bf16(out, np.ascontiguousarray(values, dtype))
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("shape", [(0,), (1,), (), (17,), (3, 0, 2), (5, 37), (2, 3, 4, 5)])
def test_casts_of_any_layout(shape: tuple[int, ...], engine: str) -> None:
    wide = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    low = wide.astype(BFLOAT16)
    for x, y in (
        (wide, low),
        (wide.T, low.T),
        (wide[..., ::-1] if shape else wide, low[..., ::-1] if shape else low),
    ):
        np.testing.assert_array_equal(ops.cast(x, "bfloat16").view(np.uint16), y.view(np.uint16))
        np.testing.assert_array_equal(ops.cast(y, "float32"), y.astype(np.float32))
        np.testing.assert_array_equal(ops.cast(y, np.float64), y.astype(np.float64))
    many = np.repeat(wide.reshape(-1), 5000)
    with einkorn.num_threads(2):
        two = ops.cast(many, "bfloat16")
    with einkorn.num_threads(1):
        assert ops.cast(many, "bfloat16").tobytes() == two.tobytes()


def test_promotion_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    low, wide = np.ones((2, 3), BFLOAT16), np.ones((2, 3), np.float32)
    t_low, t_wide = torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3)
    pairs = [
        (lambda a, b: a + b, (low, wide), (t_low, t_wide)),
        (lambda a, b: a + b, (low, np.float32(1).reshape(())), (t_low, torch.tensor(1.0))),
        (lambda a, b: a * b, (low, 2.5), (t_low, 2.5)),
        (lambda a, b: a + b, (low, np.arange(3)), (t_low, torch.arange(3))),
        (lambda a, b: a == b, (low, wide), (t_low, t_wide)),
        (lambda a, b: a * b * 0.1, (low, np.arange(256, 259)), (t_low, torch.arange(256, 259))),
        (lambda a, b: a + b, (low[0, 0].reshape(()), wide[0]), (t_low[0, 0], t_wide[0])),
    ]
    for function, ours, theirs in pairs:
        left, right = (einkorn.Tensor(x) if isinstance(x, np.ndarray) else x for x in ours)
        got, expected = function(left, right), function(*theirs)
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(got.numpy().astype(np.float32), expected.float().numpy())
    both = einkorn.Tensor(low, requires_grad=True), einkorn.Tensor(wide, requires_grad=True)
    (both[0] * both[1]).sum().backward()
    assert [x.grad.dtype for x in both] == [BFLOAT16, np.float32]


def test_plain_numbers_compare_as_they_compute() -> None:
    x = einkorn.Tensor([0.1, 1.0]).to("bfloat16")
    assert (x == 0.1).tolist() == [True, False]
    assert (x < 1).tolist() == [True, False]
    assert (x == x.float()).tolist() == [True, True]
    assert (einkorn.Tensor([0.1, 1.0]) == x).tolist() == [False, True]


def test_created_and_written() -> None:
    assert einkorn.ones(2, dtype="bfloat16").dtype == BFLOAT16
    assert einkorn.zeros(2, dtype=einkorn.bfloat16).tolist() == [0.0, 0.0]
    assert einkorn.arange(0.0, 1.0, 0.25, dtype="bfloat16").tolist() == [0.0, 0.25, 0.5, 0.75]
    einkorn.manual_seed(1)
    wide = einkorn.randn(5)
    einkorn.manual_seed(1)
    assert einkorn.randn(5, dtype="bfloat16").tolist() == rounded(wide.numpy()).tolist()
    x = einkorn.full((3, 2), 1.5, dtype="bfloat16")
    view = x[1]
    x[0] = 0.1
    x[1] = np.array([1.00390625, 2.0])  # a tie, to even
    x[2] += einkorn.Tensor([0.5, 1e-3])
    assert x.tolist() == [[0.10009765625] * 2, [1.0, 2.0], [2.0, 1.5]]
    assert view.tolist() == [1.0, 2.0]
    x.mul_(2).clamp_(max=3.0)
    assert view.tolist() == [2.0, 3.0]
    assert einkorn.zeros_like(x).dtype == x.new_ones(1).dtype == BFLOAT16
    wide = einkorn.zeros(3, 2)
    wide[:] = x
    assert wide.tolist() == x.tolist()


def test_writing_is_recorded() -> None:
    x = einkorn.Tensor([1.0, 2.0, 3.0]).to("bfloat16").requires_grad_()
    value = einkorn.Tensor([5.0], requires_grad=True)
    y = x * 2
    y[1:2] = value
    y += x
    (y * y).sum().backward()
    assert y.tolist() == [3.0, 7.0, 9.0]
    assert x.grad.tolist() == [18.0, 14.0, 54.0]
    assert value.grad.dtype == np.float32
    assert value.grad.tolist() == [14.0]


def test_gradients_of_gradients() -> None:
    x = einkorn.Tensor([0.5, 2.0]).to("bfloat16").requires_grad_()
    (slope,) = einkorn.grad((x * x * x).sum(), x, create_graph=True)
    (second,) = einkorn.grad(slope.sum(), x)
    assert slope.dtype == second.dtype == BFLOAT16
    assert second.tolist() == [3.0, 12.0]
    y = einkorn.Tensor([0.5]).to("bfloat16").requires_grad_()
    (slope,) = einkorn.grad(ops.tanh(y).sum(), y, create_graph=True)
    (second,) = einkorn.grad(slope.sum(), y)
    t = np.tanh(0.5)
    assert abs(second.item() + 2 * t * (1 - t * t)) < 0.01


def test_what_is_kept_for_the_backward_pass_is_bfloat16() -> None:
    x = einkorn.Tensor(np.ones((4, 4), BFLOAT16), requires_grad=True)
    for y in (ops.exp(x), x @ x, ops.gelu(x), ops.softmax(x, 1)):
        assert {a.dtype for a in y._node.saved if isinstance(a, np.ndarray)} == {BFLOAT16}


def test_torch_tensors_pass() -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    x = torch.linspace(-2, 2, 9, dtype=torch.bfloat16)
    for out, expected in ((ops.relu(x), torch.relu(x)), (ops.reshape(x, (3, 3)), x.reshape(3, 3))):
        assert out.dtype == torch.bfloat16
        assert torch.equal(out, expected)
    assert einkorn.Tensor(x).dtype == BFLOAT16
    assert einkorn.Tensor(x).tolist() == x.tolist()


def test_dlpack() -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    x = einkorn.Tensor([1.5, -2.0]).bfloat16()
    theirs = torch.from_dlpack(x)
    assert theirs.dtype == torch.bfloat16
    theirs[0] = 4.0
    assert x.tolist() == [4.0, -2.0]  # one memory


def test_tables_of_rows() -> None:
    """Rows are looked up as they are; what is scaled down in place is the table's own."""
    rng = np.random.default_rng(0)
    table = einkorn.Tensor(rng.standard_normal((5, 3)).astype(BFLOAT16), requires_grad=True)
    index = np.array([[0, 4], [4, 1]])
    out = ops.embedding(index, table)
    assert out.numpy().tobytes() == table.numpy()[index].tobytes()
    out.sum().backward()
    assert table.grad.tolist() == [[1.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3, [2.0] * 3]
    long = einkorn.Tensor(np.full((2, 4), 2.0, BFLOAT16))
    assert ops.embedding(np.array([1]), long, max_norm=1.0).tolist() == [[0.5] * 4]
    assert long.tolist() == [[2.0] * 4, [0.5] * 4]
    bag = np.full((2, 4), 2.0, BFLOAT16)
    assert ops.embedding_bag(np.array([[0, 0]]), bag, max_norm=1.0).tolist() == [[0.5] * 4]
    assert bag.tolist() == [[0.5] * 4, [2.0] * 4]
    layer = einkorn.nn.Embedding(6, 2, sparse=True).bfloat16()
    optimizer = einkorn.optim.SGD(layer.parameters(), lr=0.5)
    before = layer.weight.float().numpy().copy()
    layer(np.array([2, 2])).sum().backward()
    optimizer.step()
    after = before.copy()
    after[2] -= 1.0
    np.testing.assert_array_equal(layer.weight.float().numpy(), rounded(after))


def test_fit_of_a_model_in_bfloat16() -> None:
    einkorn.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    nn = einkorn.nn
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)).bfloat16()
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    losses = model.fit(x, y, epochs=30, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert {p.dtype for p in model.parameters()} == {BFLOAT16}


def _modules() -> dict[str, tuple[Any, list[Any]]]:
    nn = einkorn.nn

    def x(*shape: int) -> Any:
        return einkorn.randn(*shape, dtype="bfloat16").requires_grad_()

    labels = np.array([0, 7, 3, 9])
    return {
        "LSTM": (nn.LSTM(6, 4, 2, bidirectional=True), [x(5, 2, 6)]),
        "GRU": (nn.GRU(6, 4), [x(5, 2, 6)]),
        "LSTMCell": (nn.LSTMCell(6, 4), [x(2, 6)]),
        "MultiheadAttention": (nn.MultiheadAttention(8, 2), [x(5, 2, 8)] * 3),
        "Transformer": (nn.Transformer(8, 2, 1, 1, 16), [x(5, 2, 8), x(3, 2, 8)]),
        "EmbeddingBag": (nn.EmbeddingBag(5, 4), [np.array([[0, 4], [1, 2]])]),
        "Conv1d": (nn.Conv1d(3, 4, 3, padding=1, padding_mode="reflect"), [x(2, 3, 8)]),
        "ConvTranspose2d": (nn.ConvTranspose2d(3, 4, 3, 2), [x(2, 3, 4, 4)]),
        "BatchNorm2d": (nn.BatchNorm2d(3), [x(2, 3, 4, 4)]),
        "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True, track_running_stats=True), [x(2, 3, 4, 4)]),
        "LocalResponseNorm": (nn.LocalResponseNorm(2), [x(2, 4, 4, 4)]),
        "Bilinear": (nn.Bilinear(3, 4, 2), [x(2, 3), x(2, 4)]),
        "PReLU": (nn.PReLU(), [x(2, 3)]),
        "spectral_norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), [x(2, 3)]),
        "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), [x(2, 3)]),
        "AdaptiveLogSoftmaxWithLoss": (nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6]), [x(4, 4), labels]),
    }


@pytest.mark.parametrize("name", _modules())
def test_modules_in_bfloat16(name: str) -> None:
    module, inputs = _modules()[name]
    out = module.bfloat16()(*inputs)
    while isinstance(out, tuple):
        out = out[0]
    assert out.dtype == BFLOAT16
    out.float().square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is None or parameter.grad.dtype == BFLOAT16, key
    assert all(v.dtype == BFLOAT16 for k, v in module.state_dict().items() if "num_batches" not in k)


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, (1 << 17) + 33])
def test_large_arrays_are_taken_in_blocks(size: int, engine: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(size).astype(BFLOAT16) for _ in range(2))
    wide = a.astype(np.float32), b.astype(np.float32)
    for op, count in ((ops.multiply, 2), (ops.maximum, 2), (ops.gelu, 1), (ops.exp, 1)):
        low = [einkorn.Tensor(x, requires_grad=True) for x in (a, b)[:count]]
        full = [einkorn.Tensor(x, requires_grad=True) for x in wide[:count]]
        out, expected = op(*low), op(*full)
        np.testing.assert_array_equal(out.numpy().astype(np.float32), rounded(expected.numpy()))
        assert op(*[x.numpy() for x in low]).tobytes() == out.numpy().tobytes()
        out.backward(np.ones(size, BFLOAT16))
        expected.backward(np.ones(size, np.float32))
        for x, y in zip(low, full, strict=True):
            if op is ops.exp:  # from the result, which was rounded
                np.testing.assert_allclose(x.grad.float().numpy(), y.grad.numpy(), rtol=2.0**-7)
            else:
                np.testing.assert_array_equal(x.grad.float().numpy(), rounded(y.grad.numpy()))


def test_the_type_is_imported_when_it_is_met() -> None:
    code = (
        "import sys, einkorn; einkorn.ones(2) + 1; assert 'ml_dtypes' not in sys.modules;"
        "einkorn.bfloat16; assert 'ml_dtypes' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_along_a_dimension(name: str) -> None:
    values = np.array([[1.5, -2.0, 3.0], [0.0, np.nan, -1.0]], np.float32)
    x = Tensor(values).bfloat16()
    found, wanted = getattr(x, name)(1), getattr(Tensor(values), name)(1)
    assert found.values.dtype == einkorn.bfloat16
    np.testing.assert_array_equal(found.values.float().numpy(), wanted.values.numpy())
    np.testing.assert_array_equal(found.indices.numpy(), wanted.indices.numpy())


def test_adafactor_steps() -> None:
    layer = einkorn.nn.Linear(2, 2, dtype="bfloat16")
    before = layer.weight.float().numpy().copy()
    optimizer = einkorn.optim.Adafactor(layer.parameters(), lr=0.5)
    layer(einkorn.ones(1, 2, dtype="bfloat16")).sum().backward()
    optimizer.step()
    assert (layer.weight.float().numpy() != before).all()
