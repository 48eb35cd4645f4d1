"""Cases of positions: sinusoids and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Op, indices, normal

Array = np.ndarray


def _sinusoids(
    length: int,
    width: int,
    base: float = 10_000.0,
    start: int = 0,
    dtype: Any = "float32",
    compute: Any = None,
) -> Array:
    out = np.empty((length, width))
    for p in range(length):
        for j in range(width):
            angle = (start + p) / base ** ((j - j % 2) / width)
            out[p, j] = np.cos(angle) if j % 2 else np.sin(angle)
    return out.astype(compute)


def _rotary(
    x: Array, positions: Array | None = None, base: float = 10_000.0, interleaved: bool = True
) -> Array:
    width = x.shape[-1]
    where = np.arange(x.shape[-2]) if positions is None else positions
    out = np.empty_like(x)
    for i in range(width // 2):
        u, v = (2 * i, 2 * i + 1) if interleaved else (i, i + width // 2)
        turn = np.exp(1j * (where / base ** (2 * i / width)))
        turned = (x[..., u] + 1j * x[..., v]) * turn
        out[..., u], out[..., v] = turned.real, turned.imag
    return out


def _call_sinusoids(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    return einkorn.ops.sinusoidal_positions(**options)


sinusoidal = Op("sinusoidal_positions", _sinusoids, call=_call_sinusoids, unit=1, sees_dtype=True)
rotary = Op("rotary_embedding", _rotary, unit=1)


def _cases() -> list[Case]:
    cases = []
    for dtype in ("float32", "float64"):
        for length, width in ((5, 4), (3, 7), (1, 1), (2, 1), (0, 4), (40, 33)):
            cases.append(sinusoidal(length=length, width=width, dtype=dtype))
        cases.append(sinusoidal(length=4, width=6, base=100.0, start=50_000, dtype=dtype))
    for interleaved in (True, False):
        for shape in ((5, 4), (2, 3, 7, 6), (1, 2), (3, 0, 4), (2, 4, 0), (2, 5, 66)):
            cases.append(rotary(normal(*shape), interleaved=interleaved).grad())
        cases += [
            rotary(normal(2, 3, 5, 8), indices(5, below=100), interleaved=interleaved).grad(),
            rotary(
                normal(2, 3, 5, 8), indices(2, 1, 5, below=100), base=50.0, interleaved=interleaved
            ).grad(),
            rotary(normal(4, 9, 50, 64), interleaved=interleaved).grad().called("two threads"),
            rotary(normal(4, 12, 1024, 64), interleaved=interleaved).grad().bench(),
        ]
    for layout in LAYOUTS:
        if layout != "C":
            cases.append(rotary(normal(3, 5, 8).laid_out(layout)).grad())
    return cases


CASES: list[Case] = _cases()
