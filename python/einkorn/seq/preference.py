"""Losses that learn what people prefer: comparisons (Bradley and Terry), DPO, and PPO with its advantages."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["comparison_loss", "dpo_loss", "generalised_advantages", "ppo_loss", "sequence_log_probs"]


def sequence_log_probs(model: Any, input_ids: Any, labels: Any, *, attention_mask: Any = None) -> Any:
    """Logarithms of the probability of answers, each a sum over its tokens.

    Parameters
    ----------
    model : CausalLM
    input_ids, labels : integer array [batch, length]
        As :func:`einkorn.seq.prefix_batch` makes them: ``labels`` are what follows, -100 what does not count.
    attention_mask : array [batch, length], keyword-only, optional

    Returns
    -------
    array or Tensor [batch]
    """
    wanted = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    scores = model(input_ids, attention_mask=attention_mask)
    if wanted.shape != tuple(scores.shape[:2]):
        raise ShapeError(f"sequence_log_probs: labels have shape {wanted.shape}, expected {scores.shape[:2]}")
    rows = ops.reshape(scores, (-1, scores.shape[-1]))
    losses = ops.cross_entropy(rows, wanted.ravel(), ignore_index=-100, reduction="none")
    return ops.sum(ops.reshape(losses, wanted.shape), axis=1) * -1.0


def comparison_loss(chosen: Any, rejected: Any) -> Any:
    """The loss of a reward model: ``-log sigmoid(chosen - rejected)``, its mean (Bradley and Terry 1952).

    Parameters
    ----------
    chosen, rejected : array or Tensor [batch]
        Rewards of the answer that people took, and of the other one.

    Raises
    ------
    ShapeError
        The shapes differ, or there are no comparisons.
    """
    chosen, rejected = _array(chosen), _array(rejected)
    _alike("comparison_loss", chosen=chosen, rejected=rejected)
    _some("comparison_loss", chosen)
    return ops.mean(ops.softplus(rejected - chosen))


def dpo_loss(
    chosen: Any, rejected: Any, reference_chosen: Any, reference_rejected: Any, beta: float = 0.1
) -> Any:
    """Direct preference optimisation: the language model is its own reward model (Rafailov et al. 2023).

    Parameters
    ----------
    chosen, rejected : Tensor [batch]
        :func:`sequence_log_probs` of the model that learns.
    reference_chosen, reference_rejected : array [batch]
        Those of the model before.
    beta : float, default 0.1
        How dear it is to leave the reference.

    Raises
    ------
    ShapeError
        The shapes differ, or there are no comparisons.
    ArgumentError
        beta is not positive.
    """
    if not beta > 0:
        raise ArgumentError(f"dpo_loss: beta is {beta!r}, expected a positive number")
    chosen, rejected = _array(chosen), _array(rejected)
    reference_chosen, reference_rejected = _array(reference_chosen), _array(reference_rejected)
    _alike(
        "dpo_loss",
        chosen=chosen,
        rejected=rejected,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
    )
    _some("dpo_loss", chosen)
    return comparison_loss((chosen - reference_chosen) * beta, (rejected - reference_rejected) * beta)


def generalised_advantages(
    rewards: Any,
    values: Any,
    gamma: float = 1.0,
    lam: float = 0.95,
    *,
    next_values: Any = None,
    ends: Any = None,
) -> tuple[Any, Any]:
    """How much better each step was than expected (Schulman et al. 2016, equation 16).

    Parameters
    ----------
    rewards, values : float array [batch, steps]
    gamma, lam : float, default 1.0, 0.95
        How much later rewards count, and later surprises.
    next_values : float array [batch, steps], keyword-only, optional
        What is expected after each step: 0 where a task is over, the value of the state that was reached
        where only the time was. Default: the values of the steps that follow, and 0 after the last.
    ends : boolean array [batch, steps], keyword-only, optional
        After which steps an episode ends: what comes later does not count for it. Default: after the last.

    Returns
    -------
    advantages, returns : array [batch, steps]
        ``returns`` are what the values should have been.
    """
    r, v = (_plain(x) for x in (rewards, values))
    if r.ndim != 2 or r.shape != v.shape:
        raise ShapeError(
            f"generalised_advantages: rewards and values have shapes {r.shape} and {v.shape}, expected"
            " [batch, steps] both"
        )
    last = np.zeros(r.shape, bool) if ends is None else _plain(ends).astype(bool)
    if next_values is None:
        after = np.concatenate([v[:, 1:], np.zeros_like(v[:, :1])], 1) if r.size else v
        after = np.where(last, 0, after) if last.shape == r.shape else after
    else:
        after = _plain(next_values)
    for name, given in (("next_values", after), ("ends", last)):
        if given.shape != r.shape:
            raise ShapeError(
                f"generalised_advantages: {name} have shape {given.shape}, expected that of rewards,"
                f" {r.shape}"
            )
    surprises = r + gamma * after - v
    out = np.zeros_like(surprises)
    sums = np.zeros(len(r), surprises.dtype)
    for step in reversed(range(r.shape[1])):
        sums = surprises[:, step] + gamma * lam * np.where(last[:, step], 0, sums)
        out[:, step] = sums
    return out, out + v


def ppo_loss(log_probs: Any, old_log_probs: Any, advantages: Any, clip: float = 0.2) -> Any:
    """The clipped objective of proximal policy optimisation, as a loss (Schulman et al. 2017, equation 7).

    Parameters
    ----------
    log_probs : Tensor, any shape
        Of the actions, by the policy that learns.
    old_log_probs, advantages : array of that shape
        By the policy that acted, and how good the actions were.
    clip : float, default 0.2
        Beyond a change of the probability by this share nothing more is gained.
    """
    if not clip > 0:
        raise ArgumentError(f"ppo_loss: clip is {clip!r}, expected a positive number")
    _alike("ppo_loss", log_probs=log_probs, old_log_probs=old_log_probs, advantages=advantages)
    ratio = ops.exp(log_probs - old_log_probs)
    clipped = ops.clip(ratio, 1 - clip, 1 + clip)
    return ops.mean(ops.minimum(ratio * advantages, clipped * advantages)) * -1.0


def _array(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x, np.float32)


def _alike(op: str, **arrays: Any) -> None:
    shapes = {name: tuple(np.shape(x) if not hasattr(x, "shape") else x.shape) for name, x in arrays.items()}
    if len(set(shapes.values())) != 1:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ShapeError(f"{op}: shapes are {told}, expected equal ones")


def _some(op: str, chosen: Any) -> None:
    if 0 in tuple(chosen.shape):
        raise ShapeError(f"{op}: chosen has shape {tuple(chosen.shape)}, expected at least one comparison")


def _plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)
