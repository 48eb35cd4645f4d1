"""The transformer's modules against torch's: outputs, gradients, masks, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

L, S, N, D, H = 5, 6, 3, 12, 4


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pair(torch: Any, make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The module here and there, with the same parameters."""
    torch.manual_seed(0)
    ours, theirs = make(nn), make(torch.nn)
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.add_(torch.from_numpy(0.1 * numbers(*p.shape, seed=i)))
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(torch: Any, ours: Any, theirs: Any, inputs: list[np.ndarray], **masks: Any) -> None:
    """Outputs, and the gradients of inputs and parameters."""
    own = [Tensor(x, requires_grad=True) for x in inputs]
    other = [torch.tensor(x, requires_grad=True) for x in inputs]
    given = {k: torch.from_numpy(m) if isinstance(m, np.ndarray) else m for k, m in masks.items()}
    y, z = ours(*own, **masks), theirs(*other, **given)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-4, atol=2e-5)
    g = numbers(*y.shape, seed=7)
    y.backward(g)
    z.backward(torch.from_numpy(g))
    for a, b in zip(own, other, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-3, atol=5e-5)
    grads = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), grads[name].grad.numpy(), rtol=1e-3, atol=2e-4)


PADDED = np.array([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
CAUSAL = np.triu(np.ones((L, L), bool), 1)
MEMORY_PADDED = np.array([[False] * 6, [False] * 4 + [True] * 2, [False] * 6])
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "first": {"norm_first": True},
    "batch": {"batch_first": True},
    "gelu": {"activation": "gelu", "norm_first": True, "batch_first": True},
    "no bias": {"bias": False, "layer_norm_eps": 1e-3},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_encoder_layer(options: dict[str, Any], training: bool, torch: Any) -> None:
    ours, theirs = pair(torch, lambda n: n.TransformerEncoderLayer(D, H, 20, 0.0, **options))
    ours.train(training)
    theirs.train(training)
    shape = (N, L, D) if options.get("batch_first") else (L, N, D)
    compare(torch, ours, theirs, [numbers(*shape)])
    compare(torch, ours, theirs, [numbers(*shape)], src_mask=CAUSAL, is_causal=True)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_encoder_layer_masks(options: dict[str, Any], torch: Any) -> None:
    for masks in (
        {"src_key_padding_mask": PADDED},
        {"src_mask": np.where(CAUSAL, -np.inf, 0).astype(np.float32)},
        {"src_mask": CAUSAL, "src_key_padding_mask": PADDED},
        {"src_mask": CAUSAL[::-1, ::-1].copy()},
        {"src_mask": numbers(N * H, L, L)},
    ):
        ours, theirs = pair(torch, lambda n: n.TransformerEncoderLayer(D, H, 20, 0.0, **options))
        shape = (N, L, D) if options.get("batch_first") else (L, N, D)
        compare(torch, ours, theirs, [numbers(*shape)], **masks)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_decoder_layer(options: dict[str, Any], torch: Any) -> None:
    first = options.get("batch_first")
    inputs = [numbers(*((N, L, D) if first else (L, N, D))), numbers(*((N, S, D) if first else (S, N, D)))]
    for masks in (
        {},
        {"tgt_mask": CAUSAL, "tgt_is_causal": True, "memory_key_padding_mask": MEMORY_PADDED},
        {"tgt_mask": CAUSAL, "tgt_key_padding_mask": PADDED, "memory_mask": numbers(L, S) > 1.5},
    ):
        ours, theirs = pair(torch, lambda n: n.TransformerDecoderLayer(D, H, 20, 0.0, **options))
        compare(torch, ours, theirs, inputs, **masks)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_transformer(options: dict[str, Any], torch: Any) -> None:
    first = options.get("batch_first")
    inputs = [numbers(*((N, S, D) if first else (S, N, D))), numbers(*((N, L, D) if first else (L, N, D)))]
    mask = nn.Transformer.generate_square_subsequent_mask(L)
    assert isinstance(mask, Tensor)
    np.testing.assert_array_equal(mask, torch.nn.Transformer.generate_square_subsequent_mask(L).numpy())
    ours, theirs = pair(torch, lambda n: n.Transformer(D, H, 2, 2, 20, 0.0, **options))
    compare(
        torch,
        ours,
        theirs,
        inputs,
        tgt_mask=mask.numpy(),
        src_key_padding_mask=MEMORY_PADDED,
        memory_key_padding_mask=MEMORY_PADDED,
    )


@pytest.mark.parametrize("separate", [False, True])
def test_multi_head_attention_forward(separate: bool, torch: Any) -> None:
    """With every option but dropout, once the weights are wanted and once they are not."""
    query, key, value = numbers(L, N, D), numbers(S, N, D, seed=1), numbers(S, N, D, seed=2)
    joint = None if separate else numbers(3 * D, D, seed=3)
    own = {f"{x}_proj_weight": numbers(D, D, seed=4 + i) if separate else None for i, x in enumerate("qkv")}
    rest = (numbers(3 * D, seed=7), numbers(1, 1, D, seed=8), numbers(1, 1, D, seed=9), True, 0.0)
    arrays = (
        query,
        key,
        value,
        D,
        H,
        joint,
        *rest,
        numbers(D, D, seed=10),
        numbers(D, seed=11),
    )
    options = {**own, "use_separate_proj_weight": separate, "attn_mask": numbers(L, S, seed=12)}

    def as_torch(x: Any) -> Any:
        return torch.from_numpy(x) if isinstance(x, np.ndarray) else x

    for need_weights in (True, False):
        got = nn.functional.multi_head_attention_forward(*arrays, need_weights=need_weights, **options)
        wanted = torch.nn.functional.multi_head_attention_forward(
            *map(as_torch, arrays),
            need_weights=need_weights,
            **{name: as_torch(x) for name, x in options.items()},
        )
        np.testing.assert_allclose(got[0], wanted[0].numpy(), rtol=1e-4, atol=2e-4)
        if need_weights:
            np.testing.assert_allclose(got[1], wanted[1].numpy(), rtol=1e-4, atol=1e-5)
        else:
            assert got[1] is None


def test_stacks(torch: Any) -> None:
    def encoder(n: Any) -> Any:
        layer = n.TransformerEncoderLayer(D, H, 20, 0.0, batch_first=True)
        return n.TransformerEncoder(layer, 3, norm=n.LayerNorm(D), enable_nested_tensor=False)

    def decoder(n: Any) -> Any:
        return n.TransformerDecoder(n.TransformerDecoderLayer(D, H, 20, 0.0), 2)

    compare(torch, *pair(torch, encoder), [numbers(N, L, D)], mask=CAUSAL)
    compare(torch, *pair(torch, encoder), [numbers(N, L, D)], src_key_padding_mask=PADDED)
    compare(torch, *pair(torch, encoder), [numbers(L, D)])
    compare(torch, *pair(torch, decoder), [numbers(L, N, D), numbers(S, N, D)], tgt_mask=CAUSAL)


def test_copies_have_values_of_their_own() -> None:
    layer = nn.TransformerEncoderLayer(D, H, 20)
    stack = nn.TransformerEncoder(layer, 2)
    first, second = (x.linear1.weight for x in stack.layers)
    assert first is not second
    np.testing.assert_array_equal(first.numpy(), layer.linear1.weight.numpy())
    both = nn.Transformer(D, H, 2, 1, 20).encoder.layers
    assert (both[0].linear1.weight.numpy() != both[1].linear1.weight.numpy()).all()


def test_a_causal_mask_is_the_causal_hint() -> None:
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 20, 0.0, batch_first=True), 1)
    x = numbers(N, L, D)
    hinted = stack(x, is_causal=True)
    for mask in (CAUSAL, np.where(CAUSAL, -np.inf, 0).astype(np.float32)):
        np.testing.assert_array_equal(stack(x, mask), hinted)
    wrong_hint = stack(x, ~CAUSAL.T, is_causal=True)
    np.testing.assert_allclose(wrong_hint, stack(x, ~CAUSAL.T), rtol=1e-6)


def test_dropout_only_while_training() -> None:
    layer = nn.TransformerEncoderLayer(D, H, 20, 0.5)
    x = numbers(L, N, D)
    assert (layer(x) != layer(x)).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x), layer(x))


def test_parts_may_be_replaced() -> None:
    """Hooks run, and norms and activations of another kind are called as they are."""
    layer = nn.TransformerEncoderLayer(D, H, 20, 0.0, activation=ops.tanh, norm_first=True)
    seen = []
    layer.norm2.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    layer.linear1.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    layer(numbers(L, N, D))
    assert seen == [(L, N, D), (L, N, 20)]
    layer.norm2 = nn.RMSNorm(D)
    plain = layer(numbers(L, N, D))
    layer.norm2 = nn.Sequential(layer.norm2)
    np.testing.assert_allclose(layer(numbers(L, N, D)), plain, rtol=1e-5, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="TransformerEncoderLayer: activation is 'swish'"):
        nn.TransformerEncoderLayer(D, H, activation="swish")
    with pytest.raises(ArgumentError, match="expected a multiple of num_heads 5"):
        nn.TransformerDecoderLayer(D, 5)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotated_products_depend_on_distance(interleaved: bool) -> None:
    q, k = (np.broadcast_to(numbers(8, seed=i), (20, 8)).astype(np.float32) for i in (1, 2))
    turned = [ops.rotary_embedding(x, interleaved=interleaved) for x in (q, k)]
    scores = turned[0] @ turned[1].T
    for distance in range(1, 10):
        along = np.diagonal(scores, distance)
        np.testing.assert_allclose(along, along[0], rtol=1e-4, atol=1e-5)
    later = ops.rotary_embedding(q[:3], np.arange(5, 8), interleaved=interleaved)
    np.testing.assert_array_equal(later, turned[0][5:8])
