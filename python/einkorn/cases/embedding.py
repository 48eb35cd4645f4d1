"""Cases of the embeddings: rows looked up, and bags of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, indices, integers, normal, sprinkled

Array = np.ndarray


def _embedding(input: Array, weight: Array, **options: Any) -> Array:
    return weight[input]


def _embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array | None = None,
    per_sample_weights: Array | None = None,
    mode: str = "mean",
    padding_idx: int | None = None,
    include_last_offset: bool = False,
    sparse: bool = False,
) -> Array:
    if offsets is None:
        starts = np.arange(input.shape[0] + 1) * input.shape[1]
    else:
        starts = offsets if include_last_offset else np.append(offsets, input.size)
    index, factor = input.reshape(-1), np.ones(input.size, weight.dtype)
    if per_sample_weights is not None:
        factor = per_sample_weights.reshape(-1)
    out = np.zeros((len(starts) - 1, weight.shape[1]), weight.dtype)
    padding = len(weight) + padding_idx if padding_idx is not None and padding_idx < 0 else padding_idx
    for b in range(len(starts) - 1):
        members = np.arange(starts[b], starts[b + 1])
        members = members[index[members] != padding] if padding is not None else members
        rows = factor[members, None] * weight[index[members]]
        if len(rows):
            out[b] = {"sum": rows.sum, "mean": rows.mean, "max": rows.max}[mode](axis=0)
    return out


def _call_bag(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    input, weight, offsets, factor = (*arrays, None, None)[:4]
    return einkorn.ops.embedding_bag(input, weight, offsets, per_sample_weights=factor, **options)


def _torch_bag(
    torch: Any, input: Any, weight: Any, offsets: Any = None, factor: Any = None, **options: Any
) -> Any:
    return torch.nn.functional.embedding_bag(input, weight, offsets, per_sample_weights=factor, **options)


def _moved(shapes: Any, out: Any, options: Any) -> float:
    return float(math.prod(shapes[0]) + 2 * math.prod(out))


def _bag_moved(shapes: Any, out: Any, options: Any) -> float:
    return float(math.prod(shapes[0]) * (1 + shapes[1][1]) + math.prod(out))


embedding = Op(
    "embedding",
    _embedding,
    "nn.functional.embedding",
    flops=lambda shapes, out, options: 0.0,
    bytes_moved=_moved,
)
embedding_bag = Op(
    "embedding_bag",
    _embedding_bag,
    _torch_bag,
    call=_call_bag,
    flops=lambda shapes, out, options: float(math.prod(shapes[0]) * shapes[1][1]),
    bytes_moved=_bag_moved,
    unit=1,
)


def _bag_cases() -> list[Case]:
    weight, entries, factor = normal(7, 5), indices(4, 6, below=7), normal(4, 6)
    cases = []
    for mode in ("sum", "mean", "max"):
        cases += [
            embedding_bag(entries, weight, mode=mode).grad(1),
            embedding_bag(entries, normal(7, 33), mode=mode, padding_idx=3).grad(1),
        ]
    return [
        *cases,
        embedding_bag(entries, weight, None, factor, mode="sum").grad(1, 3),
        embedding_bag(entries, weight, None, factor, mode="sum", padding_idx=-1).grad(1, 3),
        embedding_bag(indices(3, 0, below=1), weight).grad(1).unlike_torch("refuses bags of no length"),
        embedding_bag(indices(0, 3, below=7), weight, mode="sum").grad(1),
        # one bag of everything, and an empty one beside it
        embedding_bag(indices(9, below=7), weight, indices(1, below=1)).grad(1),
        embedding_bag(indices(9, below=7), weight, indices(2, below=1), mode="max").grad(1),
        embedding_bag(indices(300, 9, below=40), normal(40, 67), mode="sum").grad(1).called("two threads"),
        embedding_bag(indices(8, 8, below=9), integers(9, 16), mode="sum").exact(),
    ]


CASES: list[Case] = [
    embedding(indices(6, below=5), normal(5, 7)).grad(1),
    embedding(indices(2, 3, 4, below=9), normal(9, 16)).grad(1),
    embedding(indices(below=3), normal(3, 17)).grad(1),
    embedding(indices(0, 3, below=3), normal(3, 2)).grad(1),
    embedding(indices(4, below=3), normal(3, 0)),
    embedding(indices(5, below=2), normal(2, 70)).grad(1),
    embedding(indices(40, below=30).laid_out("reversed"), normal(30, 33)).grad(1),
    embedding(indices(6, below=5), sprinkled(5, 9)),
    embedding(indices(700, below=3000), normal(3000, 90)).grad(1).called("two threads"),
    *_bag_cases(),
    embedding(indices(2048, below=50_257), normal(50_257, 768)).grad(1).bench(),
    embedding(indices(32, 64, below=65), normal(65, 128)).grad(1).bench(quick=True),
    embedding_bag(indices(1024, 32, below=10_000), normal(10_000, 64), mode="sum").grad(1).bench(),
]
