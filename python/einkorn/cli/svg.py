"""Pictures for web pages, drawn as SVG: curves over numbers, and bars. No more than reports need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["COLOURS", "bars", "curves"]

COLOURS = ("#3867b0", "#d9782d", "#3f9a5f", "#b5383f", "#7a5ab0", "#8a6d3b", "#c262a8", "#5d6b7a")
_WIDTH, _HEIGHT = 440, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 26, 40

Points = Sequence[tuple[float, float]]


def curves(title: str, lines: Mapping[str, Points], across: str = "epoch", log: bool = False) -> str:
    """A panel with a line for each name.

    Parameters
    ----------
    title : str
    lines : dict of str to points
        By the names of the key, "" for none; x and y; what is not finite is left out.
    across : str
        What x is.
    log : bool
        Whether y has a logarithmic scale; what is not above 0 is left out.
    """
    kept = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log)]
        for name, points in lines.items()
    }
    xs = [x for points in kept.values() for x, _ in points] or [0.0, 1.0]
    ys = [math.log10(y) if log else y for points in kept.values() for _, y in points] or [0.0, 1.0]
    left, right = _padded(min(xs), max(xs), 0.0)
    low, high = _padded(min(ys), max(ys), 0.05)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for value in _ticks(low, high):
        _, y = place(left, value)
        label = f"{10**value:.0e}" if log else f"{value:.4g}"
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value in _ticks(left, right, whole=all(x == int(x) for x in xs)):
        x, _ = place(value, low)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for number, points in enumerate(kept.values()):
        colour = COLOURS[number % len(COLOURS)]
        drawn = [place(x, math.log10(y) if log else y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        if len(drawn) <= 40:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in drawn]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    key = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(kept)
        if name
    )
    return _panel(title, parts, key)


def bars(title: str, values: Mapping[str, float], unit: str = "") -> str:
    """A panel with a horizontal bar for each name."""
    most = max(values.values(), default=0.0) or 1.0
    step = 30
    height = _TOP + step * max(1, len(values)) + 8
    parts = []
    for number, (name, value) in enumerate(values.items()):
        y = _TOP + step * number
        width = value / most * (_WIDTH - 190)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<text x="90" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="98" y="{y}" width="{max(1.0, width):.1f}" height="20" fill="{colour}"/>')
        parts.append(f'<text x="{104 + width:.1f}" y="{y + 15}">{value:.3g}{escape(unit)}</text>')
    return _panel(title, parts, "", height)


def _panel(title: str, parts: list[str], key: str, height: float = _HEIGHT) -> str:
    head = f'<text x="{_LEFT}" y="16" class="title">{escape(title)}</text>'
    picture = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{head}{"".join(parts)}</svg>'
    return f'<figure class="panel">{picture}<figcaption class="key">{key}</figcaption></figure>'


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    """A range that is not empty."""
    if high <= low:
        spread = abs(low) * 0.1 or 0.5
        return low - spread, high + spread
    return low - share * (high - low), high + share * (high - low)


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Three to eight round numbers between two; fewer where they have to be integers."""
    raw = max((high - low) / 7, 1.0 if whole else 0.0)
    step = 10.0 ** math.floor(math.log10(raw))
    round_ones = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step *= next(factor for factor in round_ones if raw <= factor * step)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
