"""Arguments and options for each loss of ``einkorn.nn.functional``, and for the embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def loss_samples() -> dict[str, list[Sample]]:
    """For each function, arguments (arrays, to be differentiated where they hold floats) and options."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape)

    def chance(*shape: int) -> np.ndarray:
        return rng.uniform(0.05, 0.95, shape)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], shape)

    def options(**choices: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))

    reductions: dict[str, tuple[Any, ...]] = {"reduction": ("mean", "sum", "none")}
    old = [{"size_average": a, "reduce": b} for a in (None, True, False) for b in (None, True, False)]
    labels = np.array([1, 0, 3])
    weighted: list[Sample] = [
        ((normal(3, 4), chance(3, 4)), {"weight": chance(3, 4), **o}) for o in options(**reductions)
    ]
    plain: list[dict[str, Any]] = list(options(**reductions))
    frames = chance(7, 2, 4)
    index, table = np.array([[1, 4, 4], [0, 3, 1]]), normal(5, 3)
    return {
        "cross_entropy": (
            [
                ((normal(3, 4), labels), o)
                for o in options(**reductions, label_smoothing=(0.0, 0.1), ignore_index=(-100, 1))
            ]
            + [((normal(3, 4), labels), {"weight": chance(4), **o}) for o in old]
            + [((normal(4), np.array(2)), {}), ((normal(4), chance(4)), {})]
        ),
        "nll_loss": (
            [((normal(3, 4), labels), o) for o in options(**reductions, ignore_index=(-100, 1))]
            + [((normal(3, 4), labels), {"weight": chance(4), **o}) for o in old]
            + [((normal(4), np.array(2)), o) for o in plain]
            + [
                ((normal(2, 4, 3, 2), rng.integers(0, 4, (2, 3, 2))), {"weight": chance(4), **o})
                for o in plain
            ]
        ),
        "mse_loss": ([((normal(3, 4), normal(3, 4)), o) for o in old] + weighted),
        "l1_loss": ([((normal(3, 4), normal(3, 4)), o) for o in old] + weighted),
        "smooth_l1_loss": (
            [((normal(3, 4), normal(3, 4)), o) for o in [*old, *options(**reductions, beta=(0, 0.5, 3))]]
        ),
        "huber_loss": (
            [((normal(3, 4), normal(3, 4)), o) for o in options(**reductions, delta=(0.5, 1, 3.0))] + weighted
        ),
        "kl_div": (
            [((normal(3, 4), chance(3, 4)), o) for o in old]
            + [
                ((normal(3, 4), np.log(chance(3, 4)) if o["log_target"] else chance(3, 4)), o)
                for o in options(reduction=("batchmean", "mean", "sum", "none"), log_target=(False, True))
            ]
        ),
        "poisson_nll_loss": (
            [
                ((chance(3, 4), rng.integers(1, 5, (3, 4)) * 1.0), o)
                for o in options(**reductions, log_input=(True, False), full=(True, False))
            ]
        ),
        "gaussian_nll_loss": (
            [
                ((normal(3, 4), normal(3, 4), chance(3, 4)), o)
                for o in options(**reductions, full=(True, False))
            ]
            + [
                ((normal(3, 4), normal(3, 4), chance(3, 1)), {}),
                ((normal(3, 4), normal(3, 4), chance(3)), {}),
            ]
            + [((normal(3, 4), normal(3, 4), chance(3, 4)), {"eps": 0.5})]
        ),
        "binary_cross_entropy": (
            [((chance(3, 4), chance(3, 4)), {"weight": chance(4), **o}) for o in options(**reductions)]
            + [((chance(3, 4), chance(3, 4)), o) for o in old]
        ),
        "binary_cross_entropy_with_logits": (
            [
                ((normal(3, 4), chance(3, 4)), {"weight": w, "pos_weight": p, **o})
                for o in options(**reductions)
                for w in (None, chance(3, 1))
                for p in (None, chance(4))
            ]
        ),
        "hinge_embedding_loss": (
            [((normal(3, 4), signs(3, 4)), o) for o in [*old, *options(**reductions, margin=(0.3, 2))]]
        ),
        "soft_margin_loss": ([((normal(3, 4), signs(3, 4)), o) for o in [*old, *plain]]),
        "multi_margin_loss": (
            [((normal(3, 4), labels), o) for o in options(**reductions, p=(1, 2), margin=(0.5, 1))]
            + [((normal(3, 4), labels), {"weight": chance(4), "p": 2})]
            + [((normal(4), np.array(2)), o) for o in plain]
        ),
        "multilabel_margin_loss": (
            [((normal(2, 4), np.array([[3, 0, -1, 1], [-1, 0, 1, 2]])), o) for o in plain]
            + [((normal(4), np.array([1, 2, -1, -1])), {})]
        ),
        "multilabel_soft_margin_loss": (
            [((normal(3, 4), chance(3, 4)), {"weight": w, **o}) for o in plain for w in (None, chance(4))]
        ),
        "margin_ranking_loss": (
            [((normal(5), normal(5), signs(5)), o) for o in [*old, *options(**reductions, margin=(0, 0.5))]]
        ),
        "cosine_embedding_loss": (
            [((normal(5, 4), normal(5, 4), signs(5)), o) for o in options(**reductions, margin=(0, 0.5))]
            + [((normal(4), normal(4), np.array(1)), {})]
        ),
        "triplet_margin_loss": (
            [
                ((normal(5, 4), normal(5, 4), normal(5, 4)), o)
                for o in options(**reductions, p=(1, 2, 3.0), swap=(False, True))
            ]
        ),
        "triplet_margin_with_distance_loss": (
            [
                ((normal(5, 4), normal(5, 4), normal(5, 4)), o)
                for o in options(
                    **reductions,
                    swap=(False, True),
                    distance_function=(None, lambda a, b: ((a - b) ** 2).sum(-1)),
                )
            ]
        ),
        "ctc_loss": (
            [
                (
                    (np.log(frames / frames.sum(-1, keepdims=True)), np.array([[1, 2, 2], [3, 1, 9]])),
                    {"input_lengths": (7, 6), "target_lengths": (3, 2), **o},
                )
                for o in plain
            ]
            + [
                (
                    (np.log(frames / frames.sum(-1, keepdims=True)), np.array([1, 0, 0, 0, 0, 0, 0, 1])),
                    {
                        "input_lengths": np.array([7, 7]),
                        "target_lengths": np.array([7, 1]),
                        "blank": 2,
                        "zero_infinity": True,
                        **o,
                    },
                )
                for o in plain
            ]
            + [
                (
                    (np.log(frames / frames.sum(-1, keepdims=True))[:, 0], np.array([1, 3])),
                    {"input_lengths": np.array(7), "target_lengths": np.array(2), **o},
                )
                for o in plain
            ]
        ),
        "linear_cross_entropy": (
            [
                ((normal(3, 5), normal(4, 5), labels), {"linear_bias": b, "weight": w, **o})
                for o in plain
                for b in (None, normal(4))
                for w in (None, chance(4))
            ]
            + [((normal(3, 5), normal(4, 5), chance(3, 4)), {"label_smoothing": 0.1})]
            + [((normal(5), normal(4, 5), np.array(2)), {"ignore_index": 2, "reduction": "none"})]
        ),
        "embedding": (
            [
                ((index, table), o)
                for o in options(padding_idx=(None, 1, -1), scale_grad_by_freq=(False, True))
            ]
            + [((np.array(2), table), {})]
        ),
        "embedding_bag": (
            [((index, table), o) for o in options(mode=("sum", "mean", "max"), padding_idx=(None, 4, -1))]
            + [
                ((index.reshape(-1), table, starts), {"mode": m})
                for m in ("sum", "mean", "max")
                for starts in (np.array([0, 2, 2]), np.array([0]))
            ]
            + [((index.reshape(-1), table, np.array([0, 2, 6])), {"include_last_offset": True})]
        ),
    }
