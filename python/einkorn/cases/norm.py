"""Cases of the normalisations: of rows, with a residual, of channels, among channels, of weights."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Input, Op, normal, positive, sprinkled, uniform

Array = np.ndarray

# --- references ---------------------------------------------------------------------------------


def _activate(y: Array, activation: str | None) -> Array:
    if activation == "relu":
        return np.where(y < 0, 0, y).astype(y.dtype)
    if activation == "leaky_relu":
        return np.where(y < 0, y * y.dtype.type(0.01), y)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-y))
    return np.tanh(y) if activation == "tanh" else y


def _standard(x: Array, axes: Any, eps: float, centred: bool = True) -> Array:
    if x.size == 0:
        return x
    off = x - x.mean(axis=axes, keepdims=True) if centred else x
    return off / np.sqrt((off * off).mean(axis=axes, keepdims=True) + x.dtype.type(eps))


def _affine(y: Array, weight: Array | None, bias: Array | None, activation: str | None = None) -> Array:
    y = y if weight is None else y * weight
    return _activate(y if bias is None else y + bias, activation)


def _across(w: Array | None, ndim: int) -> Array | None:
    """One number a channel, to broadcast with [N, C, ...]."""
    return None if w is None else w.reshape(w.shape[0], *(1,) * (ndim - 2))


def _layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    normalized_shape: tuple[int, ...] = (),
    eps: float = 1e-5,
    activation: str | None = None,
) -> Array:
    return _affine(_standard(x, _last(x, normalized_shape), eps), weight, bias, activation)


def _last(x: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(range(x.ndim - len(shape), x.ndim))


def _rms_norm(
    x: Array,
    weight: Array | None = None,
    normalized_shape: tuple[int, ...] = (),
    eps: float = 1e-6,
    activation: str | None = None,
) -> Array:
    return _affine(_standard(x, _last(x, normalized_shape), eps, False), weight, None, activation)


def _add_layer_norm(
    x: Array, residual: Array, weight: Array | None = None, bias: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return _layer_norm(x + residual, weight, bias, **options), x + residual


def _add_rms_norm(
    x: Array, residual: Array, weight: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    return _rms_norm(x + residual, weight, **options), x + residual


def _group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    num_groups: int = 1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> Array:
    groups = x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    y = _standard(groups, 2, eps).reshape(x.shape)
    return _affine(y, _across(weight, x.ndim), _across(bias, x.ndim), activation)


def _batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    residual: Array | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> tuple[Array, ...]:
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1] if x.size else 0
    kept: tuple[Array, ...] = ()
    if training:
        y = _standard(x, axes, eps) if count else x
        if running_mean is not None and running_var is not None:
            kept = running_mean, running_var
            if count:
                new = x.mean(axis=axes), x.var(axis=axes, ddof=1)
                m = x.dtype.type(momentum)
                kept = tuple((1 - m) * old + m * now for old, now in zip(kept, new, strict=True))
    else:
        assert running_mean is not None
        assert running_var is not None
        kept = running_mean, running_var
        mean, var = _across(running_mean, x.ndim), _across(running_var, x.ndim)
        assert mean is not None
        y = (x - mean) / np.sqrt(var + x.dtype.type(eps))
    y = _affine(y, _across(weight, x.ndim), _across(bias, x.ndim))
    return (_activate(y if residual is None else y + residual, activation), *kept)


def _instance_norm(
    x: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> tuple[Array, ...]:
    if not use_input_stats:
        return _batch_norm(
            x, running_mean, running_var, weight, bias, training=False, eps=eps, activation=activation
        )
    axes = tuple(range(2, x.ndim))
    y = _affine(_standard(x, axes, eps), _across(weight, x.ndim), _across(bias, x.ndim), activation)
    if running_mean is None or running_var is None:
        return (y,)
    new = x.mean(axis=axes).mean(axis=0), x.var(axis=axes, ddof=1).mean(axis=0)
    m = x.dtype.type(momentum)
    olds = running_mean, running_var
    return (y, *((1 - m) * old + m * now for old, now in zip(olds, new, strict=True)))


def _adaptive(
    x: Array, scale: Array, shift: Array, eps: float = 1e-5, activation: str | None = None
) -> Array:
    ones = (1,) * (x.ndim - 2)
    y = _standard(x, tuple(range(2, x.ndim)), eps)
    return _affine(y, scale.reshape(*scale.shape, *ones), shift.reshape(*shift.shape, *ones), activation)


def _response(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        window = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        total[:, c] = (window * window).sum(axis=1)
    t = x.dtype.type
    return x / (t(k) + t(alpha / size) * total) ** t(beta)


def _weight_norm(v: Array, g: Array, dim: int | None = 0) -> Array:
    axes = tuple(d for d in range(v.ndim) if dim is None or d != dim % v.ndim)
    return g * (v / np.sqrt((v * v).sum(axis=axes, keepdims=True)))


# --- operations ---------------------------------------------------------------------------------


def _call(name: str, *, swapped: bool = False, copies: bool = False) -> Any:
    """The operation with its options by name; running statistics, which it would overwrite, as copies."""

    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        names = _NAMES[name]
        given = {n: a for n, a in zip(names, arrays, strict=False) if a is not None}
        kept = []
        if copies:
            for n in ("running_mean", "running_var"):
                given.setdefault(n, None)
                if given[n] is not None:
                    xp = sys.modules[type(given[n]).__module__.partition(".")[0]]  # NumPy or CuPy
                    given[n] = xp.array(given[n])
                    kept.append(given[n])
        results = getattr(einkorn.ops, name)(**given, **options)
        if swapped:
            return results[1], results[0]
        return (results, *kept) if kept else results

    return call


_NAMES = {
    "layer_norm": ("input", "weight", "bias"),
    "rms_norm": ("input", "weight"),
    "add_layer_norm": ("input", "residual", "weight", "bias"),
    "add_rms_norm": ("input", "residual", "weight"),
    "group_norm": ("input", "weight", "bias"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "residual"),
    "instance_norm": ("input", "running_mean", "running_var", "weight", "bias"),
}


def _torch_activate(torch: Any, y: Any, activation: str | None) -> Any:
    return y if activation is None else getattr(torch.nn.functional, activation)(y)


def _torch(name: str, adds: bool = False) -> Any:
    def call(torch: Any, *tensors: Any, activation: str | None = None, **options: Any) -> Any:
        first = tensors[0]
        if adds:
            first = first + tensors[1]
            tensors = (first, *tensors[2:])
        names = _NAMES[name]
        given = {n: t for n, t in zip(names, tensors, strict=False) if t is not None}
        y = _torch_activate(torch, getattr(torch.nn.functional, name)(**given, **options), activation)
        return (y, first) if adds else y

    return call


def _torch_running(name: str) -> Any:
    def call(torch: Any, *tensors: Any, activation: str | None = None, **options: Any) -> Any:
        given = dict(zip(_NAMES[name], tensors, strict=False))
        residual = given.pop("residual", None)
        kept = []
        for n in ("running_mean", "running_var"):
            if given.get(n) is not None:
                given[n] = given[n].clone()
                kept.append(given[n])
        y = getattr(torch.nn.functional, name)(**given, **options)
        y = _torch_activate(torch, y if residual is None else y + residual, activation)
        return (y, *kept) if kept else y

    return call


def _torch_adaptive(torch: Any, x: Any, scale: Any, shift: Any, eps: float = 1e-5, **options: Any) -> Any:
    n, c = scale.shape
    flat = x.reshape(1, n * c, *x.shape[2:])
    y = torch.nn.functional.instance_norm(flat, None, None, scale.reshape(-1), shift.reshape(-1), eps=eps)
    return _torch_activate(torch, y.reshape(x.shape), options.get("activation"))


def _torch_weight(torch: Any, v: Any, g: Any, dim: int | None = 0) -> Any:
    return torch._weight_norm(v, g, -1 if dim is None else dim % v.ndim)


def _flops(shapes: Any, out: tuple[int, ...], options: Any) -> float:
    return 8 * math.prod(out)


def _adding(shapes: Any, out: tuple[int, ...], options: Any) -> float:
    return 4 * math.prod(out)


def _op(name: str, reference: Any, torch: Any, **options: Any) -> Op:
    return Op(name, reference, torch, flops=_flops, unit=1, **options)


_F = "nn.functional."
layer_norm = _op("layer_norm", _layer_norm, _torch("layer_norm"), call=_call("layer_norm"))
rms_norm = _op("rms_norm", _rms_norm, _torch("rms_norm"), call=_call("rms_norm"))
add_layer_norm = _op(
    "add_layer_norm",
    _add_layer_norm,
    _torch("layer_norm", adds=True),
    call=_call("add_layer_norm", swapped=True),
    bytes_moved=_adding,
)
add_rms_norm = _op(
    "add_rms_norm",
    _add_rms_norm,
    _torch("rms_norm", adds=True),
    call=_call("add_rms_norm", swapped=True),
    bytes_moved=_adding,
)
group_norm = _op("group_norm", _group_norm, _torch("group_norm"), call=_call("group_norm"))
batch_norm = _op(
    "batch_norm", _batch_norm, _torch_running("batch_norm"), call=_call("batch_norm", copies=True)
)
instance_norm = _op(
    "instance_norm", _instance_norm, _torch_running("instance_norm"), call=_call("instance_norm", copies=True)
)
adaptive = _op("adaptive_instance_norm", _adaptive, _torch_adaptive)
response = _op("local_response_norm", _response, _F + "local_response_norm")
weight_norm = Op("weight_norm", _weight_norm, _torch_weight, flops=_flops)

# --- cases --------------------------------------------------------------------------------------


_FAR = {"low": 1e3, "high": 1e3 + 1}


def _row_cases() -> list[Case]:
    cases = []
    for rows, shape in (
        ((), (7,)),
        ((3,), (5,)),
        ((5,), (33,)),
        ((2, 3), (4, 5)),
        ((9,), (1,)),
        ((1,), (70,)),
    ):
        options: dict[str, Any] = {"normalized_shape": shape}
        x, w, b = normal(*rows, *shape), normal(*shape), normal(*shape)
        cases += [
            layer_norm(x, **options).grad(),
            layer_norm(x, w, b, **options).grad(),
            layer_norm(x, w, **options).grad(1),
            layer_norm(x, None, b, **options).grad(2),
            layer_norm(x, w, b, eps=0.1, **options).grad(),
            rms_norm(x, eps=1e-6, **options).grad(),
            rms_norm(x, w, eps=0.1, **options).grad(),
            add_layer_norm(x, normal(*rows, *shape), w, b, **options).grad(),
            add_rms_norm(x, normal(*rows, *shape), w, eps=1e-6, **options).grad(),
        ]
    for activation in ("relu", "leaky_relu", "sigmoid", "tanh"):
        options = {"normalized_shape": (19,), "activation": activation}
        cases += [
            layer_norm(normal(6, 19), normal(19), normal(19), **options).grad(),
            add_layer_norm(normal(6, 19), normal(6, 19), normal(19), normal(19), **options).grad(),
        ]
    for size in (2, 15, 16, 17, 31, 32, 64, 65, 127, 1025, 4096, 4097, 9001):
        cases.append(layer_norm(normal(3, size), normal(size), normal(size), normalized_shape=(size,)))
        cases.append(rms_norm(normal(3, size), normal(size), normalized_shape=(size,), eps=1e-6))
    for layout in LAYOUTS:
        if layout != "C":  # all numbers alike: rounding errors divided by the root of eps
            eps = 1.0 if layout in ("constant", "broadcast last") else 1e-5
            x = normal(5, 33).laid_out(layout)
            cases.append(layer_norm(x, normal(33), normal(33), normalized_shape=(33,), eps=eps).grad())
    cases += [
        layer_norm(normal(0, 5), normal(5), normal(5), normalized_shape=(5,)).grad(),
        layer_norm(normal(0, 3, 5), normal(5), normalized_shape=(5,)).grad(),
        layer_norm(normal(3, 0), normal(0), normal(0), normalized_shape=(0,)),
        layer_norm(uniform(4, 65, **_FAR), normalized_shape=(65,)).unlike_torch("loses digits"),
        layer_norm(sprinkled(9, 17), normalized_shape=(17,)),
        rms_norm(sprinkled(9, 17), normalized_shape=(17,), eps=1e-6),
        layer_norm(normal(400, 300), normal(300), normal(300), normalized_shape=(300,))
        .grad()
        .called("two threads"),
        layer_norm(normal(7, 9001), normal(9001), normal(9001), normalized_shape=(9001,))
        .grad()
        .called("two threads"),
        add_layer_norm(normal(301, 307), normal(301, 307), normal(307), normalized_shape=(307,))
        .grad()
        .called("two threads"),
    ]
    return cases


def _channel_cases() -> list[Case]:
    cases = []
    shapes: tuple[tuple[int, ...], ...] = (
        (4, 6), (1, 6, 2), (3, 6, 5), (2, 6, 31), (2, 6, 33), (2, 6, 4, 4), (2, 6, 7, 7), (2, 6, 2, 3, 3),
    )  # fmt: skip
    for shape in shapes:
        x, w, b = normal(*shape), normal(6), normal(6)
        for groups in (1, 3, 6):
            if math.prod(shape[2:]) > 1 or groups < 6:
                eps = 0.1 if shape == (4, 6) else 1e-5  # groups of two that hardly differ
                cases.append(group_norm(x, w, b, num_groups=groups, eps=eps).grad())
        if math.prod(shape) // 6 > 1:
            cases += [
                batch_norm(x, None, None, w, b, training=True).grad(),
                batch_norm(x, normal(6), positive(6), w, b, training=True, momentum=0.3).grad(0, 3, 4),
                batch_norm(x, normal(6), positive(6), training=True).grad(0),
                batch_norm(x, normal(6), positive(6), w, b, training=False).grad(0, 3, 4),
                batch_norm(x, normal(6), positive(6), None, b, training=False).grad(4),
                batch_norm(x, None, None, w, b, normal(*shape), training=True, activation="relu").grad(),
                batch_norm(x, None, None, w, b, normal(*shape), training=True).grad(0, 5),
                batch_norm(
                    x, normal(6), positive(6), w, b, normal(*shape), training=False, activation="tanh"
                ).grad(0, 3, 4, 5),
            ]
        if len(shape) > 2:
            cases += [
                instance_norm(x, None, None, w, b).grad(),
                instance_norm(x, normal(6), positive(6), w, b).grad(0, 3, 4),
                instance_norm(x, normal(6), positive(6), use_input_stats=False).grad(0),
                adaptive(x, normal(*shape[:2]), normal(*shape[:2])).grad(),
            ]
    for activation in ("relu", "leaky_relu", "sigmoid", "tanh"):
        for x in (normal(3, 4, 3), normal(3, 4, 40)):
            cases += [
                group_norm(x, normal(4), normal(4), num_groups=2, activation=activation).grad(),
                batch_norm(x, None, None, normal(4), normal(4), training=True, activation=activation).grad(),
                instance_norm(x, None, None, normal(4), normal(4), activation=activation).grad(),
            ]
    cases += [
        adaptive(normal(2, 3, 5), normal(2, 3), normal(2, 3), activation="relu").grad(),
        group_norm(normal(3, 4, 40), normal(4), num_groups=2).grad(),
        group_norm(normal(3, 4, 40), None, normal(4), num_groups=2).grad(2).unlike_torch("fails"),
        group_norm(normal(0, 4, 3), normal(4), normal(4), num_groups=2).grad(),
        group_norm(normal(2, 4, 0), normal(4), normal(4), num_groups=2).grad().unlike_torch("has NaN"),
        instance_norm(normal(0, 4, 3), None, None, normal(4), normal(4)).grad().unlike_torch("fails"),
        batch_norm(normal(0, 4, 3), normal(4), positive(4), normal(4), normal(4), training=True).grad(
            0, 3, 4
        ),
        batch_norm(normal(2, 4, 0), normal(4), positive(4), normal(4), normal(4), training=True),
        batch_norm(sprinkled(9, 17), None, None, training=True),
        batch_norm(sprinkled(3, 9, 40), None, None, training=True),
        group_norm(sprinkled(3, 9, 40), num_groups=3),
        batch_norm(uniform(40, 5, **_FAR), None, None, training=True).unlike_torch("loses digits"),
        batch_norm(uniform(4, 5, 50, **_FAR), None, None, training=True).unlike_torch("loses digits"),
    ]
    for layout in LAYOUTS:
        if layout != "C":
            eps = 1.0 if layout in ("constant", "broadcast last") else 1e-5
            x, w, b = normal(3, 4, 33).laid_out(layout), normal(4), normal(4)
            cases.append(batch_norm(x, None, None, w, b, training=True, eps=eps).grad())
            cases.append(group_norm(x, w, b, num_groups=2, eps=eps).grad())
    large: tuple[Input, ...] = (
        normal(900, 130),
        normal(70, 40, 6),
        normal(9, 16, 30, 31),
        normal(3, 2, 30_011),
    )
    for x in large:
        w, b = normal(x.shape[1]), normal(x.shape[1])
        cases.append(batch_norm(x, None, None, w, b, training=True).grad().called("two threads"))
        if x.shape[1] % 2 == 0:
            cases.append(group_norm(x, w, b, num_groups=2).grad().called("two threads"))
    return cases


def _other_cases() -> list[Case]:
    cases = []
    for shape in ((2, 5, 3), (1, 1, 4), (3, 7, 4, 5), (2, 9, 17), (2, 4, 2, 2, 3)):
        for size in (1, 2, 5, 12):
            cases.append(response(normal(*shape), size=size).grad())
        cases.append(response(normal(*shape), size=3, alpha=0.5, beta=0.6, k=2.0).grad())
    cases += [
        response(normal(2, 0, 3), size=2),
        response(normal(0, 4, 3), size=2).grad(),
        response(normal(6, 40, 301), size=5).grad().called("two threads"),
    ]
    matrices: tuple[tuple[int, ...], ...] = ((5, 3), (4, 3, 2, 2))
    for matrix in matrices:
        for dim in (0, 1, -1):
            lengths = tuple(n if d == dim % len(matrix) else 1 for d, n in enumerate(matrix))
            cases.append(weight_norm(normal(*matrix), positive(*lengths), dim=dim).grad())
        cases.append(weight_norm(normal(*matrix), positive(), dim=None).grad())
    cases.append(weight_norm(normal(7), positive(7), dim=0).grad().unlike_torch("differs for vectors"))
    return cases


def _bench_cases() -> list[Case]:
    cases = []
    for rows in (2048, 16384):  # 8 and 64 MB
        x, w, b = normal(rows, 1024), normal(1024), normal(1024)
        shape: dict[str, Any] = {"normalized_shape": (1024,)}
        cases += [
            layer_norm(x, w, b, **shape).bench(quick=rows == 2048),
            layer_norm(x, w, b, **shape).grad().bench(),
            rms_norm(x, w, eps=1e-6, **shape).bench(),
            rms_norm(x, w, eps=1e-6, **shape).grad().bench(),
            add_layer_norm(x, x, w, b, **shape).bench(),
            add_layer_norm(x, x, w, b, **shape).grad().bench(),
        ]
    for x in (normal(32, 64, 32, 32), normal(64, 64, 64, 64), normal(8192, 256)):
        c = x.shape[1]
        kept, w, b = (normal(c), positive(c)), normal(c), normal(c)
        cases += [
            batch_norm(x, *kept, w, b, training=True).bench(quick=c == 64 and x.shape[0] == 32),
            batch_norm(x, *kept, w, b, training=True).grad(0, 3, 4).bench(),
            batch_norm(x, *kept, w, b, training=False).bench(),
        ]
    cases += [
        group_norm(normal(32, 64, 32, 32), normal(64), normal(64), num_groups=8).grad().bench(),
        instance_norm(normal(32, 64, 32, 32), None, None, normal(64), normal(64)).grad().bench(),
        response(normal(32, 64, 32, 32), size=5).grad().bench(),
    ]
    return cases


CASES: list[Case] = [*_row_cases(), *_channel_cases(), *_other_cases(), *_bench_cases()]
