"""Cases of scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Input, Op, given, normal

Array = np.ndarray


def _visible(queries: int, keys: int, options: dict[str, Any]) -> Array:
    """Which query may see which key, by position."""
    shift = keys - queries if options.get("alignment") == "lower right" else 0
    distance = np.arange(keys) - np.arange(queries)[:, None] - shift
    seen = np.ones((queries, keys), bool)
    if options.get("is_causal"):
        seen &= distance <= 0
    window = options.get("window")
    if window is not None:
        left, right = (window, window) if isinstance(window, int) else window
        seen &= (distance >= -left if left >= 0 else True) & (distance <= right if right >= 0 else True)
    return seen


def _grouped(x: Array, heads: int) -> Array:
    return np.repeat(x, heads // x.shape[-3], axis=-3) if x.ndim > 2 and x.shape[-3] != heads else x


def _attention(
    q: Array, k: Array, v: Array, mask: Array | None = None, slopes: Array | None = None, **options: Any
) -> Array:
    if options.get("enable_gqa"):
        k, v = _grouped(k, q.shape[-3]), _grouped(v, q.shape[-3])
    queries, keys = q.shape[-2], k.shape[-2]
    scale = options.get("scale", 1 / math.sqrt(max(q.shape[-1], 1)))
    s = (q * q.dtype.type(scale)) @ np.swapaxes(k, -1, -2)
    seen = _visible(queries, keys, options)
    if mask is not None:
        if options.get("booleans"):
            seen = seen & (mask > 0)
        else:
            s = s + mask
    if slopes is not None:
        distance = np.arange(keys) - np.arange(queries)[:, None] - (keys - queries)
        s = s - slopes[:, None, None] * np.abs(distance).astype(q.dtype)
    s = np.where(seen, s, -np.inf)
    if keys == 0:
        return np.zeros((*s.shape[:-1], v.shape[-1]), q.dtype)
    top = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(top == -np.inf, 0, top))
    total = e.sum(-1, keepdims=True)
    p = e / np.where(total == 0, 1, total)
    return p.astype(q.dtype) @ v


def _call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    q, k, v, *rest = arrays
    mask, slopes = [*rest, None, None][:2]
    named = {key: value for key, value in options.items() if key != "booleans"}
    if options.get("booleans"):
        data = mask._data if isinstance(mask, einkorn.Tensor) else mask
        mask = data > 0
    return einkorn.ops.scaled_dot_product_attention(q, k, v, mask, alibi_slopes=slopes, **named)


def _torch(torch: Any, q: Any, k: Any, v: Any, mask: Any = None, slopes: Any = None, **options: Any) -> Any:
    if options.pop("booleans", False):
        mask = mask > 0
    plain = {key: options.pop(key) for key in ("scale", "enable_gqa") if key in options}
    if mask is None and options == {"is_causal": True}:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, **plain)
    if options or slopes is not None:
        queries, keys = q.shape[-2], k.shape[-2]
        seen = torch.from_numpy(_visible(queries, keys, options))
        added = torch.zeros(queries, keys, dtype=q.dtype).masked_fill(~seen, -math.inf)
        if mask is not None:
            added = added + (mask if mask.dtype == q.dtype else torch.where(mask, 0.0, -math.inf).to(q.dtype))
        if slopes is not None:
            distance = torch.arange(keys) - torch.arange(queries)[:, None] - (keys - queries)
            added = added - slopes[:, None, None] * distance.abs().to(q.dtype)
        mask = added
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **plain)


def _flops(shapes: Any, out: tuple[int, ...], options: Any) -> float:
    q, k, v = shapes[:3]
    pairs = math.prod(out[:-1]) * k[-2]
    return 2 * pairs * (q[-1] + v[-1]) / (2 if options.get("is_causal") else 1)


attention = Op(
    "scaled_dot_product_attention",
    _attention,
    _torch,
    call=_call,
    flops=_flops,
    backward=2.5,  # five products, the scores once more among them
    unit=1.0,
)


def _parts(qkv: Any) -> tuple[Any, Any, Any]:
    q, k, v = (qkv[:, :, part].swapaxes(1, 2) for part in range(3))
    return q, k, v


def _packed(qkv: Array, mask: Array | None = None, **options: Any) -> Array:
    return np.swapaxes(_attention(*_parts(qkv), mask, **options), 1, 2)


def _packed_torch(torch: Any, qkv: Any, mask: Any = None, **options: Any) -> Any:
    return _torch(torch, *_parts(qkv), mask, **options).swapaxes(1, 2)


packed = Op("packed_self_attention", _packed, _packed_torch, unit=1.0)


def _qkv(
    queries: int,
    keys: int,
    width: int = 8,
    v_width: int | None = None,
    batch: int = 2,
    heads: int = 2,
    kv_heads: int | None = None,
) -> tuple[Input, Input, Input]:
    kv = heads if kv_heads is None else kv_heads
    return (
        normal(batch, heads, queries, width),
        normal(batch, kv, keys, width),
        normal(batch, kv, keys, width if v_width is None else v_width),
    )


def _cases() -> list[Case]:
    cases = []
    # Lengths around panels, tiles and blocks; the paths of few queries and of many.
    for queries, keys in (
        (1, 1),
        (1, 7),
        (2, 130),
        (4, 129),
        (5, 5),
        (7, 13),
        (15, 16),
        (16, 15),
        (17, 33),
        (31, 14),
        (32, 112),
        (33, 113),
        (48, 57),
        (63, 64),
        (64, 63),
        (65, 65),
        (96, 225),
    ):
        cases.append(attention(*_qkv(queries, keys)).grad())
        cases.append(attention(*_qkv(queries, keys, 5, 3), is_causal=True).grad())
    cases += [
        attention(*_qkv(n, n, 16, batch=1, heads=1), is_causal=causal).grad().called("long")
        for n in (128, 257, 513)
        for causal in (False, True)
    ]
    cases += [
        attention(*_qkv(1, 2100, 16, batch=1)).grad().called("chunks of keys"),
        attention(*_qkv(40, 2500, 4, batch=1, heads=1)).grad().called("chunks of keys"),
        attention(*_qkv(3, 1025, 70, 65, batch=1)).called("few queries"),
    ]
    for width, v_width in ((1, 1), (3, 16), (16, 17), (31, 64), (64, 33), (80, 80), (128, 1)):
        cases.append(attention(*_qkv(18, 19, width, v_width)).grad())
        cases.append(attention(*_qkv(2, 19, width, v_width)).grad())
    for queries, keys in ((9, 14), (14, 9), (3, 40), (40, 3), (70, 200)):
        cases += [
            attention(*_qkv(queries, keys), is_causal=True, alignment="lower right").grad(),
            attention(*_qkv(queries, keys), window=5).grad(),
            attention(*_qkv(queries, keys), window=(4, 0), is_causal=True, alignment="lower right").grad(),
            attention(*_qkv(queries, keys), window=(-1, 2)).grad(),
            attention(*_qkv(queries, keys), normal(2, 2, queries, keys)).grad(),
            attention(*_qkv(queries, keys), normal(queries, keys), is_causal=True).grad(),
            attention(*_qkv(queries, keys), normal(2, 1, 1, keys), booleans=True).grad(0, 1, 2),
            attention(*_qkv(queries, keys), normal(2, 1, queries, keys), booleans=True).grad(0, 1, 2),
            attention(*_qkv(queries, keys), None, given(0.5, 0.0625)).grad(0, 1, 2),
            attention(*_qkv(queries, keys, heads=6, kv_heads=2), enable_gqa=True).grad(),
            attention(*_qkv(queries, keys), scale=0.3).grad(),
        ]
    for layout in ("F", "reversed", "gaps", "offset", "misaligned", "read-only", "broadcast"):
        q, k, v = (x.laid_out(layout) for x in _qkv(20, 21))
        cases.append(attention(q, k, v, normal(20, 21).laid_out(layout)).grad())
        q, k, v = (x.laid_out(layout) for x in _qkv(2, 21))
        cases.append(attention(q, k, v, normal(2, 21).laid_out(layout), booleans=True).grad(0, 1, 2))
    cases += [
        attention(normal(6, 4), normal(7, 4), normal(7, 5)).grad().called("one head"),
        attention(normal(3, 6, 4), normal(3, 7, 4), normal(3, 7, 5)).grad(),
        attention(normal(2, 3, 2, 6, 4), normal(2, 3, 2, 7, 4), normal(2, 3, 2, 7, 4)).grad(),
        attention(normal(2, 3, 6, 4), normal(1, 3, 7, 4), normal(2, 1, 7, 4)).grad().called("broadcast"),
        attention(*_qkv(0, 5)).grad(),
        attention(*_qkv(5, 0)).unlike_torch("torch divides zero by zero where there are no keys"),
        attention(*_qkv(5, 6, batch=0)).grad(),
        attention(*_qkv(5, 6, 4, 0)).grad(),
        attention(*_qkv(12, 13), normal(2, 1, 12, 13), booleans=True, scale=30.0).called("sharp"),
        attention(*_qkv(8, 12, 64, batch=64)).grad().called("two threads"),
        attention(*_qkv(200, 300, 64, batch=4), is_causal=True).grad().called("two threads"),
    ]
    cases += [
        packed(normal(2, 9, 3, 2, 4)).grad(),
        packed(normal(1, 1, 3, 1, 1)).grad(),
        packed(normal(0, 3, 3, 2, 4)).grad(),
        packed(normal(2, 40, 3, 3, 17), is_causal=True).grad(),
        packed(normal(2, 40, 3, 3, 17), normal(2, 1, 1, 40)).grad(),
        packed(normal(2, 9, 3, 2, 4).laid_out("reversed"), window=2).grad(),
        packed(normal(2, 9, 3, 2, 4).laid_out("gaps")).grad(),
    ]
    for batch, heads, length in ((8, 8, 128), (4, 12, 1024), (1, 8, 4096)):
        qkv = _qkv(length, length, 64, batch=batch, heads=heads)
        for causal in (False, True):
            options = {"is_causal": True} if causal else {}
            case = attention(*qkv, **options)
            cases += [case.bench(), case.grad().bench(quick=causal and length == 128)]
    cases.append(attention(*_qkv(1, 4096, 64, batch=1, heads=32, kv_heads=8), enable_gqa=True).bench())
    return cases


CASES: list[Case] = _cases()
