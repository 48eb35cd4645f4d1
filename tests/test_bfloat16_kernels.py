"""Kernels that read and write bfloat16 as it is: norms, attention, the products of recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checking import rounded

import einkorn
from einkorn import Tensor, ops

BFLOAT16 = einkorn.bfloat16

NORMS: dict[str, Any] = {
    "layer_norm": lambda x, w, b: ops.layer_norm(x, w.shape, w, b),
    "rms_norm": lambda x, w, b: ops.rms_norm(x, w.shape, w, activation="tanh"),
    "group_norm": lambda x, w, b: ops.group_norm(x, 1, w, b, activation="relu"),
    "instance_norm": lambda x, w, b: ops.instance_norm(x),
    "batch_norm": lambda x, w, b: ops.batch_norm(x, None, None, w, b, True, residual=x, activation="relu"),
}


def _with_gradients(function: Any, arrays: list[Any], threads: int) -> list[np.ndarray]:
    inputs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    with einkorn.num_threads(threads):
        out = function(*inputs)
        out.backward(out.numpy())
    return [out.numpy(), *(x.grad.numpy() for x in inputs if x.grad is not None)]


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(5, 7), (130, 33), (3, 20, 41)])
def test_norms_of_any_parameters(name: str, shape: tuple[int, ...], backend: str) -> None:
    """Beside parameters of float32, too, the float32 result rounded; the same for any number of threads."""
    if len(shape) == 2 and name == "instance_norm":
        shape = (*shape, 9)
    rng = np.random.default_rng(0)
    channels = shape[1] if "group" in name or "batch" in name else shape[-1]
    x, w, b = (rng.standard_normal(s).astype(BFLOAT16) for s in (shape, channels, channels))
    wide = [a.astype(np.float32) for a in (x, w, b)]
    results = _with_gradients(NORMS[name], [x, *wide[1:]], 1)
    assert [a.dtype for a in results] == [BFLOAT16, BFLOAT16] + [np.float32] * (len(results) - 2)
    for threads in (2, 4):
        for one, other in zip(results, _with_gradients(NORMS[name], [x, *wide[1:]], threads), strict=True):
            assert one.tobytes() == other.tobytes()
    np.testing.assert_array_equal(
        results[0].astype(np.float32), rounded(_with_gradients(NORMS[name], wide, 1)[0])
    )


def test_norms_of_large_arrays_are_not_widened(engine: str) -> None:
    if engine == "numba":
        pytest.skip("the fallback widens")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1 << 14, 1040), np.float32).astype(BFLOAT16)
    w = rng.standard_normal(1040).astype(np.float32)
    with einkorn.runtime.trace_launches() as launched:
        low = _with_gradients(lambda x, w: ops.layer_norm(x, 1040, w), [x, w], 2)
    assert set(launched) == {"row_norm_forward", "row_norm_backward"}
    wide = Tensor(x.astype(np.float32), requires_grad=True)
    out = ops.layer_norm(wide, 1040, w)
    np.testing.assert_array_equal(low[0].astype(np.float32), rounded(out.numpy()))
    out.backward(rounded(out.numpy()))
    np.testing.assert_array_equal(low[1].astype(np.float32), rounded(wide.grad.numpy()))


@pytest.mark.parametrize(
    ("queries", "keys", "width", "options"),
    [
        (40, 133, 33, {"is_causal": True}),  # odd widths, a panel half full
        (100, 301, 16, {"window": (7, 3)}),  # blocks that begin between pairs of keys
        (70, 600, 8, {"enable_gqa": True, "dropout_p": 0.4}),
        (2, 1100, 20, {"is_causal": True, "alignment": "lower right"}),  # read where they lie
    ],
)
def test_attention_of_bfloat16(
    queries: int, keys: int, width: int, options: dict[str, Any], any_backend: str
) -> None:
    """Near the float32 result, gradients too; the same bits for any number of threads.

    Weights, and the gradients of scores, are rounded before they are multiplied: 2^-9 of each, and a result
    once more as it is stored. Sums of them differ by as little of the largest, four times that at most.
    """
    rng = np.random.default_rng(0)
    heads = 2 if "enable_gqa" in options else 4
    shapes = (2, 4, queries, width), (2, heads, keys, width), (2, heads, keys, width + 3)
    low = [rng.standard_normal(s).astype(BFLOAT16) for s in shapes]

    def attention(*operands: Any) -> Any:
        einkorn.manual_seed(0)
        return ops.scaled_dot_product_attention(*operands, **options)

    results = _with_gradients(attention, low, 1)
    assert {a.dtype for a in results} == {BFLOAT16}
    for threads in (2, 4):
        for one, other in zip(results, _with_gradients(attention, low, threads), strict=True):
            assert one.tobytes() == other.tobytes()
    wanted = _with_gradients(attention, [a.astype(np.float32) for a in low], 1)
    for got, expected in zip(results, wanted, strict=True):
        size = float(np.abs(expected).max())
        np.testing.assert_allclose(got.astype(np.float32), expected, rtol=2.0**-7, atol=2.0**-7 * size)


def test_attention_over_what_is_masked(any_backend: str) -> None:
    """A query that sees nothing gives zeros; a mask of numbers has a gradient of its own type; NaN stays."""
    rng = np.random.default_rng(0)
    q, k, v = (
        Tensor(rng.standard_normal((1, 2, 9, 6)).astype(BFLOAT16), requires_grad=True) for _ in range(3)
    )
    keep = np.ones((9, 9), bool)
    keep[4] = False
    out = ops.scaled_dot_product_attention(q, k, v, keep)
    assert (out.float().numpy()[:, :, 4] == 0).all()
    out.float().sum().backward()
    assert (q.grad.float().numpy()[:, :, 4] == 0).all()
    mask = Tensor(rng.standard_normal((9, 9)).astype(BFLOAT16), requires_grad=True)
    out = ops.scaled_dot_product_attention(q, k, v, mask)
    out.float().square().sum().backward()
    assert (out.dtype, mask.grad.dtype, mask.grad.shape) == (BFLOAT16, BFLOAT16, (9, 9))
    wide = [x.float().detach() for x in (q, k, v, mask)]
    wide[3].requires_grad_()
    ops.scaled_dot_product_attention(*wide).square().sum().backward()
    size = float(np.abs(wide[3].grad.numpy()).max())
    np.testing.assert_allclose(mask.grad.float().numpy(), wide[3].grad.numpy(), atol=2.0**-5 * size)
    bad = v.numpy().copy()
    bad[0, 0, 3] = np.nan
    result = ops.scaled_dot_product_attention(q.numpy(), k.numpy(), bad).astype(np.float32)
    assert np.isnan(result[0, 0]).all()
    assert np.isfinite(result[0, 1]).all()
    assert ops.scaled_dot_product_attention(q.numpy(), k.numpy()[:, :, :0], v.numpy()[:, :, :0]).sum() == 0


@pytest.mark.parametrize(
    ("name", "units", "projected", "options"),
    [
        ("rnn", 37, 0, {"reverse": True}),  # odd widths: a pair half full
        ("rnn", 20, 0, {"batch_sizes": [17, 16, 9, 9, 2], "nonlinearity": "relu"}),
        ("lstm", 37, 0, {"batch_sizes": [17, 16, 9, 9, 2], "reverse": True}),
        ("lstm", 21, 35, {}),
        ("gru", 37, 0, {"batch_sizes": [17, 16, 9, 9, 2], "reverse": True}),
        ("gru", 20, 0, {}),
    ],
)
def test_recurrent_layers_multiply_bfloat16(
    name: str, units: int, projected: int, options: dict[str, Any], any_backend: str
) -> None:
    """Near the float64 result, gradients too; the same bits for any number of threads.

    The state and the gates' gradients are rounded before they are multiplied, 2^-9 of each, and a result once
    more as it is stored. Five steps of them differ by as little of the largest, a few times that at most.
    """
    rng = np.random.default_rng(0)
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[name] * units
    width = projected or units
    x = (53, 18) if "batch_sizes" in options else (5, 17, 18)
    shapes = [x, (gates, 18), (gates, width), (gates,), (gates,), (17, width)]
    if projected:
        shapes += [(17, units), (projected, units)]
    low = [(rng.standard_normal(s) / 4).astype(BFLOAT16) for s in shapes]

    if "nonlinearity" in options:  # far from the kink
        low[2] = (low[2].astype(np.float32) / 8).astype(BFLOAT16)
        low[3] = np.resize([5, -5], gates).astype(BFLOAT16)

    def layer(*operands: Any) -> Any:
        more = {"w_hr": operands[7]} if projected else {}
        return getattr(ops, name)(*operands[:7], **more, **options)[0]

    results = _with_gradients(layer, low, 1)
    assert {a.dtype for a in results} == {BFLOAT16}
    for threads in (2, 4):
        for one, other in zip(results, _with_gradients(layer, low, threads), strict=True):
            assert one.tobytes() == other.tobytes()
    wanted = _with_gradients(layer, [a.astype(np.float64) for a in low], 1)
    for got, expected in zip(results, wanted, strict=True):
        size = float(np.abs(expected).max())
        np.testing.assert_allclose(got.astype(np.float64), expected, rtol=2.0**-6, atol=2.0**-6 * size)
    if any_backend != "numba":
        with einkorn.runtime.trace_launches() as launched:
            layer(*low)
        assert "matmul_bf16" in launched
        assert "matmul" not in launched
        walks_on_pairs = f"{name}_forward" in einkorn.engines.takes_bfloat16()
        widened = len(low) - (2 if not walks_on_pairs else 4 if projected else 3)  # x and w_ih never
        assert launched.count("widen_bf16") == widened
