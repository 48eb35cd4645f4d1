"""Scaled dot-product attention: one kernel forward, one backward, the scores never stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import _autocast, _bfloat16, engines
from einkorn import random as generator
from einkorn._masked import refuse_masked
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import (
    as_kept,
    bits,
    broadcast_to,
    contiguous,
    is_kept,
    kept_as,
    moved,
    needs,
    number_type,
    of_numbers,
    result,
    same_dtype,
    same_kept,
    sum_to,
    unwrap,
)

__all__ = ["packed_self_attention", "scaled_dot_product_attention"]

_OP = "scaled_dot_product_attention"
_ANY = 1 << 60  # further than any two positions are apart


def _unit_stride(a: Any) -> Any:
    """``a`` if its last axis runs without gaps, else a copy."""
    if a.ndim and a.shape[-1] > 1 and a.strides[-1] != a.itemsize:
        return contiguous(a)
    return a


def _four(a: Any) -> Any:
    """Leading axes as two: batch and heads. A view where that is possible."""
    if a.ndim == 4:
        return a
    if a.ndim < 4:
        return a.reshape((1,) * (4 - a.ndim) + a.shape)
    truths = a.dtype == np.uint8 and isinstance(a, np.ndarray)  # which no kernel copies
    return (a if truths else contiguous(a)).reshape((math.prod(a.shape[:-3]), *a.shape[-3:]))


def _empty_like(k: Any, a: Any, width: int | None = None) -> Any:
    """A new array of ``a``'s shape; heads side by side in memory where they are so in ``a``."""
    b, h, n, d = a.shape
    d = d if width is None else width
    if h > 1 and abs(a.strides[1]) < abs(a.strides[2]):
        return k.empty((b, n, h, d), a.dtype).swapaxes(1, 2)
    return k.empty((b, h, n, d), a.dtype)


def _mask_array(mask: Any, like: Any) -> tuple[Any, Any]:
    """A mask as (numbers to add, booleans as bytes), one of them None."""
    a = mask._data if isinstance(mask, Tensor) else mask
    refuse_masked(a, f"{_OP}: attn_mask")
    if not isinstance(a, Tensor) and not hasattr(a, "dtype"):
        raise DTypeError(f"{_OP}: attn_mask is a {type(mask).__name__}, expected an array or a Tensor")
    if type(a).__module__.partition(".")[0] == "torch":
        a = a.detach().numpy()
    if a.dtype == np.bool_:
        return None, (np.asarray(a) if isinstance(a, np.ndarray) else a).view(np.uint8)
    numbers = unwrap(mask, _OP, "attn_mask")
    same_dtype(_OP, query=of_numbers(like), attn_mask=numbers)
    return numbers, None


def _window(window: Any) -> tuple[int, int]:
    try:
        left, right = (window, window) if np.ndim(window) == 0 else window
        left = -1 if left is None else left.__index__()
        right = -1 if right is None else right.__index__()
    except (TypeError, ValueError, AttributeError):
        raise ArgumentError(f"{_OP}: window is {window!r}, expected an int or a pair (left, right)") from None
    return (_ANY if left < 0 else min(left, _ANY)), (_ANY if right < 0 else min(right, _ANY))


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    alignment: str = "upper left",
    window: Any = None,
    alibi_slopes: Any = None,
) -> Any:
    """``softmax(scale * query @ key.T + mask) @ value`` (Vaswani et al. 2017, equation 1).

    Scores are computed in blocks and never stored (Dao et al., "FlashAttention", 2022), in the backward pass
    once more.

    Parameters
    ----------
    query : array or Tensor, shape (..., heads, L, width)
        At least two dimensions. Any strides; rows without gaps are read where they lie.
    key : array or Tensor, shape (..., heads, S, width)
    value : array or Tensor, shape (..., heads, S, v_width)
        Leading dimensions broadcast.
    attn_mask : array or Tensor, optional
        Broadcasts to (..., heads, L, S). Booleans: True where a query may see a key. Numbers of query's
        type: added to the scores; differentiable.
    dropout_p : float, default 0.0
        Weights are zeroed with this probability and the others divided by 1 - dropout_p: always, as in torch.
        Pass 0.0 in evaluation.
    is_causal : bool, default False
        Query i sees keys 0 to i only; with ``alignment="lower right"`` keys 0 to i + S - L, so that the last
        query sees the last key. May be combined with ``attn_mask``.
    scale : float, optional
        Default ``1 / sqrt(width)``.
    enable_gqa : bool, default False
        key and value have fewer heads, a divisor of query's; each serves as many query heads in a row.
    alignment : {"upper left", "lower right"}, keyword-only
        What position 0 of ``is_causal`` and ``window`` is where L and S differ.
    window : int or pair of int, keyword-only, optional
        Sliding window: query i sees keys from i - left to i + right; None or a negative number is no bound.
    alibi_slopes : array, shape (heads,), keyword-only, optional
        ALiBi (Press et al. 2022): ``slope * |distance|`` is taken off a score; distances are counted from the
        aligned ends. Not differentiated.

    Returns
    -------
    array or Tensor, shape (..., heads, L, v_width)
        A query that may see no key gives zeros.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.
    DTypeError
        Unless query, key and value are of one type, float32 or float64.
    ArgumentError
        For a probability or an option out of its range.
    """
    if _autocast.active:
        query, key, value = _autocast.lower(query, key, value)
    plain = attn_mask is None and window is None and alibi_slopes is None and enable_gqa is False
    if plain and dropout_p == 0.0 and _are_four(query, key, value):
        _check_options(dropout_p, is_causal, alignment)
        return _of_four(query, key, value, is_causal, scale, alignment)
    given = (query, "query"), (key, "key"), (value, "value")
    q, k, v = (_operand(x, _OP, n) for x, n in given)
    # A mask of float32 that learns makes the result float32.
    if q.dtype.kind == "V" and needs(attn_mask) and not is_kept(attn_mask):
        q = unwrap(query, _OP, "query")
    if not q.dtype == k.dtype == v.dtype:
        q, k, v = (unwrap(x, _OP, n) for x, n in given)
    same_dtype(_OP, query=q, key=k, value=v)
    if _bfloat16.met:
        same_kept(_OP, query=query, key=key, value=value)
    for a, name in ((q, "query"), (k, "key"), (v, "value")):
        if a.ndim < 2:
            raise ShapeError(f"{_OP}: {name} has shape {a.shape}, expected at least 2 dimensions")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            f"{_OP}: key has shape {k.shape}, expected width {q.shape[-1]} as query {q.shape} has"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{_OP}: value has shape {v.shape}, expected length {k.shape[-2]} as key {k.shape} has"
        )
    _check_options(dropout_p, is_causal, alignment)
    if not isinstance(enable_gqa, (bool, np.bool_)):
        raise ArgumentError(f"{_OP}: enable_gqa is {enable_gqa!r}, expected a bool")

    # Leading dimensions: broadcast, then two of them.
    lead = _leading(q, k, v, bool(enable_gqa))
    kv_lead = (*lead[:-1], k.shape[-3]) if enable_gqa else lead
    full = ((*lead, *q.shape[-2:]), (*kv_lead, *k.shape[-2:]), (*kv_lead, *v.shape[-2:]))
    q4, k4, v4 = (_four(_unit_stride(broadcast_to(a, s))) for a, s in zip((q, k, v), full, strict=True))
    scores = (*lead, q.shape[-2], k.shape[-2])
    mask = _Mask(q, attn_mask, scores, is_causal, alignment, window, alibi_slopes)
    wants_bias = mask.bias is not None and needs(attn_mask)
    record = needs(query) or needs(key) or needs(value) or wants_bias
    core = _Attention(q4, k4, v4, mask, scale, dropout_p, record)
    out4 = _empty_like(core.engine, q4, v4.shape[3])
    core.forward(out4)

    def backward(g: Any) -> tuple[Any, Any, Any, Any]:
        gq, gk, gv = (_empty_like(core.engine, a) for a in (q4, k4, v4))
        gbias = core.engine.empty((*q4.shape[:3], k.shape[-2]), number_type(q)) if wants_bias else None
        core.backward(gq, gk, gv, gbias, _four(_unit_stride(_bfloat16.astype(g, q.dtype))), out4)
        gradients = [
            sum_to(a.reshape(s), x.shape) for a, s, x in zip((gq, gk, gv), full, (q, k, v), strict=True)
        ]
        g_mask = None if gbias is None else kept_as(attn_mask, sum_to(gbias.reshape(scores), mask.bias_shape))
        return (*gradients, g_mask)

    out = out4.reshape((*lead, q.shape[-2], v.shape[-1]))
    wrap = result if q.dtype.kind == "f" else _moved
    return wrap(out, (query, key, value, attn_mask if wants_bias else None), backward)


_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _are_four(q: Any, k: Any, v: Any) -> bool:
    """Whether these are arrays as kernels take them: what a decoder with a cache has, token by token."""
    if not type(q) is type(k) is type(v) is np.ndarray:
        return False
    if not (q.dtype is k.dtype is v.dtype) or q.dtype not in _TYPES or not q.ndim == k.ndim == v.ndim == 4:
        return False
    step = q.itemsize
    return (
        q.shape[:2] == k.shape[:2] == v.shape[:2]
        and q.shape[3] == k.shape[3] > 0
        and k.shape[2] == v.shape[2]
        and q.strides[3] == k.strides[3] == v.strides[3] == step
        and q.flags.aligned
        and k.flags.aligned
        and v.flags.aligned
    )


def _of_four(q: Any, k: Any, v: Any, is_causal: bool, scale: Any, alignment: str) -> Any:
    """Attention of such arrays, without a mask: 5 us before the kernel where the general way takes 18."""
    engine = engines.cpu()
    out = _empty_like(engine, q, v.shape[3])
    shift = k.shape[2] - q.shape[2] if alignment == "lower right" else 0
    factor = 1 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    low, high = shift - _ANY, shift + (0 if is_causal else _ANY)
    engine.attention_forward(out, None, q, k, v, None, None, None, factor, low, high, 0.0, 0, 0)
    return out


def _operand(x: Any, op: str, name: str) -> Any:
    return as_kept(x, op, name, "attention_forward")


def _moved(out: Any, inputs: tuple[Any, ...], backward: Any) -> Any:
    """Wrap bfloat16 that kernels wrote as it is, with a gradient of the first order."""
    return moved(out, inputs, backward, None)


def packed_self_attention(
    qkv: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    window: Any = None,
    alibi_slopes: Any = None,
) -> Any:
    """:func:`scaled_dot_product_attention` of queries, keys and values that one projection made side by side.

    Nothing is copied: the kernels read and write the three where they lie; the gradient is one array.

    Parameters
    ----------
    qkv : array or Tensor, shape (batch, length, 3, heads, width)
        What ``linear(x, in_proj_weight)`` gives, reshaped.
    attn_mask, dropout_p, is_causal, scale, window, alibi_slopes
        As in :func:`scaled_dot_product_attention`; masks broadcast to (batch, heads, length, length).

    Returns
    -------
    array or Tensor, shape (batch, length, heads, width)

    Raises
    ------
    ShapeError
        Unless qkv has such a shape.
    """
    op = "packed_self_attention"
    if _autocast.active:
        (qkv,) = _autocast.lower(qkv)
    wide = needs(attn_mask) and not is_kept(attn_mask)
    a = _unit_stride(unwrap(qkv, op, "qkv") if wide else _operand(qkv, op, "qkv"))
    if a.ndim != 5 or a.shape[2] != 3:
        raise ShapeError(f"{op}: qkv has shape {a.shape}, expected (batch, length, 3, heads, width)")
    _check_options(dropout_p, is_causal, "upper left")
    batch, length, _, heads, width = a.shape

    def operands(packed: Any) -> tuple[Any, Any, Any]:
        q, k, v = (packed[:, :, part].swapaxes(1, 2) for part in range(3))
        return q, k, v

    q4, k4, v4 = operands(a)
    mask = _Mask(q4, attn_mask, (batch, heads, length, length), is_causal, "upper left", window, alibi_slopes)
    wants_bias = mask.bias is not None and needs(attn_mask)
    core = _Attention(q4, k4, v4, mask, scale, dropout_p, needs(qkv) or wants_bias)
    out = core.engine.empty((batch, length, heads, width), a.dtype)
    core.forward(out.swapaxes(1, 2))

    def backward(g: Any) -> tuple[Any, Any]:
        packed = core.engine.empty(a.shape, a.dtype)
        gbias = core.engine.empty((batch, heads, length, length), number_type(a)) if wants_bias else None
        g = _unit_stride(_bfloat16.astype(g, a.dtype)).swapaxes(1, 2)
        core.backward(*operands(packed), gbias, g, out.swapaxes(1, 2))
        return packed, None if gbias is None else kept_as(attn_mask, sum_to(gbias, mask.bias_shape))

    wrap = result if a.dtype.kind == "f" else _moved
    return wrap(out, (qkv, attn_mask if wants_bias else None), backward)


def _check_options(dropout_p: Any, is_causal: Any, alignment: Any) -> None:
    if isinstance(dropout_p, bool) or not 0 <= dropout_p <= 1:
        raise ArgumentError(f"{_OP}: dropout_p is {dropout_p!r}, expected a probability from 0 to 1")
    if alignment not in ("upper left", "lower right"):
        raise ArgumentError(f"{_OP}: alignment is {alignment!r}, expected 'upper left' or 'lower right'")
    if not isinstance(is_causal, (bool, np.bool_)):
        raise ArgumentError(f"{_OP}: is_causal is {is_causal!r}, expected a bool")


class _Mask:
    """Which query sees which key, in the kernels' terms."""

    def __init__(
        self,
        q: Any,
        attn_mask: Any,
        scores: tuple[int, ...],
        is_causal: bool,
        alignment: str,
        window: Any,
        alibi_slopes: Any,
    ) -> None:
        bias, keep = (None, None) if attn_mask is None else _mask_array(attn_mask, q)
        self.bias_shape = () if bias is None else bias.shape
        self.bias = None if bias is None else _four(_broadcast_mask(bias, scores))
        self.keep = None if keep is None else _four(_broadcast_mask(keep, scores))
        shift = scores[-1] - scores[-2] if alignment == "lower right" else 0
        left, right = (_ANY, _ANY) if window is None else _window(window)
        self.low, self.high = shift - left, shift + (min(right, 0) if is_causal else right)
        self.slopes = None
        if alibi_slopes is not None:
            self.slopes = contiguous(unwrap(alibi_slopes, _OP, "alibi_slopes"))
            same_dtype(_OP, query=of_numbers(q), alibi_slopes=self.slopes)
            heads = scores[-3] if len(scores) > 2 else 1
            if self.slopes.shape != (heads,):
                raise ShapeError(f"{_OP}: alibi_slopes has shape {self.slopes.shape}, expected ({heads},)")


class _Attention:
    """One launch forward and, with the same operands, one backward."""

    def __init__(
        self, q: Any, k: Any, v: Any, mask: _Mask, scale: float | None, dropout_p: float, record: bool
    ) -> None:
        batch, heads, length, width = q.shape
        self.engine = engines.of(q)
        self.lse = self.engine.empty((batch, heads, length), number_type(q)) if record else None
        self.operands = (bits(q), bits(k), bits(v), mask.bias, mask.keep, mask.slopes)
        seed, offset = 0, 0
        if dropout_p > 0:
            seed, offset = generator.take(batch * heads * k.shape[2] * -(-length // 4))
        factor = (1 / math.sqrt(width) if width else 1.0) if scale is None else float(scale)
        self.options = (factor, mask.low, mask.high, float(dropout_p), seed, offset)

    def forward(self, out: Any) -> None:
        self.engine.attention_forward(bits(out), self.lse, *self.operands, *self.options)

    def backward(self, gq: Any, gk: Any, gv: Any, gbias: Any, g: Any, out: Any) -> None:
        rows = bits(gq), bits(gk), bits(gv), gbias, bits(g), bits(out)
        self.engine.attention_backward(*rows, self.lse, *self.operands, *self.options)


def _leading(q: Any, k: Any, v: Any, grouped: bool) -> tuple[int, ...]:
    """The leading dimensions of the result."""
    shapes = [a.shape[:-2] for a in (q, k, v)]
    if grouped:
        if min(len(s) for s in shapes) < 1 or k.shape[-3] != v.shape[-3]:
            raise ShapeError(
                f"{_OP}: with enable_gqa, key {k.shape} and value {v.shape} must have as many heads"
            )
        if k.shape[-3] == 0 or q.shape[-3] % k.shape[-3]:
            raise ShapeError(
                f"{_OP}: query has shape {q.shape}; enable_gqa asks for a multiple of the"
                f" {k.shape[-3]} heads of key"
            )
        shapes = [shapes[0], *((*s[:-1], 1) for s in shapes[1:])]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{_OP}: leading dimensions do not broadcast: query {q.shape}, key {k.shape}, value {v.shape}"
        ) from None


def _broadcast_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    try:
        return broadcast_to(mask, shape)
    except ValueError:
        raise ShapeError(
            f"{_OP}: attn_mask has shape {mask.shape}, which does not broadcast to {shape}"
        ) from None
