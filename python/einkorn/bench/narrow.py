"""Products of narrow numbers: bfloat16, and linear layers of eight bits, beside torch's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import nn, ops
from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call
from einkorn.quantization import quantize_dynamic

__all__ = ["narrow_rows"]

#: From the sizes m, k and n, and torch or None, our call and torch's.
_Make = Callable[[int, int, int, Any], tuple[Call, Call]]


def narrow_rows() -> list[Row]:
    """Square products, a transformer's layer, and a layer of one row, which only reads its weights."""
    return [
        *(_row("bfloat16 matmul", (n, n, n), _square, 2, in_quick=n == 256) for n in (256, 1024, 2048)),
        _row("bfloat16 linear", (1, 4096, 4096), _linear, 2),
        _row("bfloat16 linear + gelu", (128, 768, 3072), _gelu, 2),
        _row("int8 linear", (128, 768, 3072), _int8, 1, in_quick=True),
        _row("int8 linear", (1, 4096, 4096), _int8, 1),
    ]


def _row(name: str, sizes: tuple[int, int, int], make: _Make, bytes_each: int, in_quick: bool = False) -> Row:
    """A row that multiplies [m, k] and [k, n], of elements that take some bytes each."""
    m, k, n = sizes

    def prepare(peers: Peers) -> Prepared:
        torch = peers.get("torch")
        ours, theirs = make(m, k, n, torch)
        traffic = float(bytes_each * (m * k + k * n + m * n))
        return Prepared(ours, {} if torch is None else {"torch": theirs}, 2.0 * m * k * n, traffic)

    return Row("narrow", name, f"{m}x{k}x{n}", prepare, in_quick=in_quick)


def _halves(torch: Any, *shapes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Numbers of bfloat16, and torch's tensors of them."""
    import ml_dtypes

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(ml_dtypes.bfloat16) for shape in shapes]
    if torch is None:
        return arrays, arrays
    return arrays, [torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) for x in arrays]


def _square(m: int, k: int, n: int, torch: Any) -> tuple[Call, Call]:
    ours, theirs = _halves(torch, (m, k), (k, n))
    return lambda: ops.matmul(*ours), lambda: torch.matmul(*theirs)


def _linear(m: int, k: int, n: int, torch: Any) -> tuple[Call, Call]:
    ours, theirs = _halves(torch, (m, k), (n, k), (n,))
    return lambda: ops.linear(*ours), lambda: torch.nn.functional.linear(*theirs)


def _gelu(m: int, k: int, n: int, torch: Any) -> tuple[Call, Call]:
    ours, theirs = _linear(m, k, n, torch)
    return lambda: ops.gelu(ours()), lambda: torch.nn.functional.gelu(theirs())


def _int8(m: int, k: int, n: int, torch: Any) -> tuple[Call, Call]:
    x = np.random.default_rng(0).standard_normal((m, k)).astype(np.float32)
    layer = quantize_dynamic(nn.Linear(k, n))
    peer: Any = None
    tensor: Any = None
    if torch is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of its successor
            peer = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(k, n)))
        tensor = torch.from_numpy(x)

    def theirs() -> Any:
        with torch.no_grad():
            return peer(tensor)

    return lambda: layer(x), theirs
