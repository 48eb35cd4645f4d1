"""Cases of what moves numbers without changing them: copies, casts, joins, padding, indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Op, indices, integers, normal, sprinkled

Array = np.ndarray


def _swap(x: Array, first: int, second: int) -> Array:
    return np.swapaxes(x, first, second)


def _flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    start, end = start_dim % max(x.ndim, 1), end_dim % max(x.ndim, 1)
    middle = int(np.prod(x.shape[start : end + 1]))
    return x.reshape((*x.shape[:start], middle, *x.shape[end + 1 :]))


def _pad(x: Array, pad: tuple[int, ...], value: float = 0.0) -> Array:
    """torch's order: (left, right) of the last axis first; negative sizes crop."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    crop = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, x.shape, strict=True))
    grown = [(max(a, 0), max(b, 0)) for a, b in widths]
    return np.pad(x[crop], grown, constant_values=value)


def _several(name: str) -> Any:
    """A call whose arrays are one argument, a list."""

    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        return getattr(einkorn.ops, name)(arrays, **options)

    return call


def _torch_several(name: str) -> Any:
    return lambda torch, *tensors, axis=0: getattr(torch, name)(tensors, axis)


def _cast(x: Array, dtype: str) -> Array:
    return x.astype(dtype)


def _rounded(x: Array) -> Array:
    """To the 8 binary digits of bfloat16, in the type of x."""
    digits, exponent = np.frexp(x)
    return np.where(np.isfinite(x), np.ldexp(np.round(digits * 256), exponent - 8), x).astype(x.dtype)


def _round_trip(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    return einkorn.ops.cast(einkorn.ops.cast(*arrays, "bfloat16"), dtype)


contiguous = Op("contiguous", lambda x: np.array(x, order="C"), lambda torch, x: x.contiguous())
cast = Op("cast", _cast, lambda torch, x, dtype: x.to(getattr(torch, dtype)))
bfloat16 = Op("cast", _rounded, lambda torch, x: x.to(torch.bfloat16).to(x.dtype), call=_round_trip)
reshape = Op("reshape", lambda x, shape: x.reshape(shape), "reshape")
transpose = Op(
    "transpose",
    _swap,
    lambda torch, x, first, second: torch.transpose(x, first, second),
    call=lambda einkorn, arrays, dtype, o: einkorn.ops.transpose(*arrays, *o.values()),
)
permute = Op(
    "permute",
    lambda x, order: x.transpose(order),
    lambda torch, x, order: torch.permute(x, order),
    call=lambda einkorn, arrays, dtype, o: einkorn.ops.permute(*arrays, *o.values()),
)
flatten = Op("flatten", _flatten, "flatten")
broadcast_to = Op(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    lambda torch, x, shape: torch.broadcast_to(x, shape),
)
pad = Op("pad", _pad, lambda torch, x, pad, value=0.0: torch.nn.functional.pad(x, pad, value=value))
concatenate = Op(
    "concatenate",
    lambda *arrays, axis=0: np.concatenate(arrays, axis),
    _torch_several("concatenate"),
    call=_several("concatenate"),
)
stack = Op(
    "stack",
    lambda *arrays, axis=0: np.stack(arrays, axis),
    _torch_several("stack"),
    call=_several("stack"),
)
getitem = Op("getitem", lambda x, key: x[key], lambda torch, x, key: x[key])
gather = Op(
    "getitem",
    lambda x, rows: x[rows],
    lambda torch, x, rows: x[rows],
    call=lambda einkorn, arrays, dtype, options: einkorn.ops.getitem(*arrays),
)


rows = Op(
    "getitem",
    lambda x, i, j: x[i, :, j],
    lambda torch, x, i, j: x[i, :, j],
    call=lambda einkorn, arrays, dtype, o: einkorn.ops.getitem(
        arrays[0], (arrays[1], slice(None), arrays[2])
    ),
)


def _cases() -> list[Case]:
    x = normal(3, 4, 5)
    keys: list[Any] = [
        0,
        -1,
        (1, 2, 3),
        slice(1, 3),
        (slice(None), slice(None, None, 2)),
        (Ellipsis, 0),
        (Ellipsis, None),
        (slice(0, 0),),
    ]
    cases = [
        cast(normal(3, 7), dtype="float64"),
        cast(normal(3, 7), dtype="float32"),
        cast(sprinkled(17).laid_out("gaps"), dtype="float32"),
        cast(normal(0, 4), dtype="float32"),
        cast(normal(301, 307).laid_out("F"), dtype="float32"),
        bfloat16(sprinkled(5, 37)).called("bfloat16"),
        bfloat16(sprinkled(19, 37).laid_out("F")).called("bfloat16"),
        bfloat16(normal(0, 3)).called("bfloat16"),
        bfloat16(normal(40_003)).called("bfloat16, two threads"),
        reshape(x, shape=(12, 5)).grad(),
        reshape(x, shape=(-1,)).grad(),
        reshape(x.laid_out("F"), shape=(5, 12)).grad(),
        reshape(normal(0, 3), shape=(3, 0)).grad(),
        reshape(normal(), shape=(1, 1)).grad(),
        transpose(x, first=0, second=2).grad(),
        transpose(x, first=-1, second=1).grad(),
        permute(x, order=(2, 0, 1)).grad(),
        permute(normal(), order=()).grad(),
        flatten(x).grad(),
        flatten(x, start_dim=1).grad(),
        flatten(x.laid_out("F"), start_dim=0, end_dim=1).grad(),
        flatten(normal()).grad(),
        flatten(normal(0, 3, 2), start_dim=1).grad(),
        broadcast_to(normal(4, 1), shape=(3, 4, 5)).grad(),
        broadcast_to(normal(), shape=(2, 3)).grad(),
        broadcast_to(normal(1, 3), shape=(0, 3)).grad(),
        pad(x, pad=(1, 2)).grad(),
        pad(x, pad=(1, 2, 0, 3), value=-1.5).grad(),
        pad(normal(2, 2, 3, 4), pad=(1, 1, 2, 2)).grad(),
        pad(normal(0, 4), pad=(1, 1)).grad(),
        pad(normal(5, 33).laid_out("reversed"), pad=(0, 1, 2, 0)),
        concatenate(normal(2, 3), normal(4, 3)).grad(),
        concatenate(normal(2, 3), normal(2, 1), normal(2, 0), axis=1).grad(),
        concatenate(normal(2, 3), normal(2, 5), axis=-1).grad(),
        concatenate(normal(5)).grad(),
        concatenate(normal(3, 17).laid_out("F"), normal(3, 17).laid_out("reversed"), axis=1).grad(),
        stack(normal(2, 3), normal(2, 3)).grad(),
        stack(normal(2, 3), normal(2, 3), normal(2, 3), axis=-1).grad(),
        stack(normal(), normal()).grad(),
        stack(normal(0, 3), normal(0, 3), axis=1).grad(),
        gather(x, indices(6, below=3)).grad(0),
        gather(x, indices(2, 3, below=3, low=-3)).grad(0),
        gather(normal(5), indices(0, below=5)).grad(0),
        rows(normal(5, 2, 4), indices(3, below=5), indices(2, 3, below=4, low=-4)).grad(0),
        gather(normal(40, 33).laid_out("F"), indices(300, below=40)),
    ]
    cases += [getitem(x, key=key).grad() for key in keys]
    backwards = getitem(x, key=slice(None, None, -2)).grad()
    cases.append(backwards.unlike_torch("has no negative steps"))
    for shape in ((), (0,), (1,), (17,), (3, 5, 7), (2, 0, 3), (2, 1, 3, 1, 2, 2, 1, 3)):
        cases.append(contiguous(normal(*shape)).grad())
    for layout in LAYOUTS:
        cases.append(contiguous(integers(19, 37).laid_out(layout)))
        cases.append(contiguous(sprinkled(3, 5, 17).laid_out(layout)))
    cases = [case.exact() for case in cases]
    large = normal(2048, 1024)
    cases += [
        contiguous(large.laid_out("F")).bench(quick=True),
        concatenate(large, large, axis=1).bench(),
        pad(normal(32, 64, 32, 32), pad=(1, 1, 1, 1)).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
