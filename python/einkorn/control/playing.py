"""Whole episodes: what was seen, done and earned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from einkorn import no_grad
from einkorn._tensor import Tensor
from einkorn.control.spaces import features
from einkorn.control.vector_env import VectorEnv
from einkorn.creation import rand
from einkorn.errors import NonFiniteError, ShapeError
from einkorn.nn import Module
from einkorn.training.rounds import whole

__all__ = ["Episodes", "act", "play"]


@dataclass(frozen=True)
class Episodes:
    """What :func:`play` saw.

    Attributes
    ----------
    observations, actions : list of array
        Of each episode [steps, ...]: what was seen, and what was done then.
    returns : array of float64 [episodes]
        Sums of the rewards.
    """

    observations: list[Any]
    actions: list[Any]
    returns: Any

    def pairs(self, every: int = 1) -> tuple[Any, Any]:
        """Observations and actions of all episodes, one after another: every so many steps one."""
        step = whole("Episodes.pairs", "every", every)
        return (
            np.concatenate([seen[::step] for seen in self.observations]),
            np.concatenate([done[::step] for done in self.actions]),
        )


def act(env: VectorEnv, policy: Any, observations: Any, greedy: bool = False) -> Any:
    """Actions of a policy [num_envs]: drawn by the softmax of its scores, or the likeliest."""
    if not isinstance(policy, Module):
        return np.asarray(policy(observations))
    with no_grad():
        scores = policy(features(env.single_observation_space, observations))
        found = scores.numpy() if isinstance(scores, Tensor) else np.asarray(scores)
        wanted = (env.num_envs, env.single_action_space.n)
        if found.shape != wanted:
            raise ShapeError(f"policy: its scores have shape {found.shape}, expected {wanted}")
        if np.isnan(found).any():
            raise NonFiniteError("policy: its scores hold NaN: look at its weights")
        if not greedy:  # the greatest of scores with Gumbel's noise is a draw (Gumbel 1954)
            drawn = np.maximum(rand(*found.shape).numpy(), np.float32(1e-12))
            found = found - np.log(-np.log(drawn))
    return found.argmax(1)


def play(
    env: VectorEnv,
    policy: Module | Callable[[Any], Any],
    episodes: int = 1,
    *,
    seed: int | None = None,
    greedy: bool = False,
) -> Episodes:
    """Play whole episodes, as many in every copy, so that short ones do not count more often than long ones.

    Parameters
    ----------
    env : VectorEnv
        It is reset.
    policy : Module or callable
        A module makes scores of :func:`features`; another callable makes actions [num_envs] of observations.
    episodes : int, default 1
        The next multiple of ``env.num_envs`` is played, the surplus left out.
    seed : int, keyword-only, optional
        Of the environment; draws of the policy are seeded by ``einkorn.manual_seed``.
    greedy : bool, keyword-only, default False
        Take a module's likeliest action instead of drawing one.

    Returns
    -------
    Episodes
    """
    whole("play", "episodes", episodes)
    rounds = -(-episodes // env.num_envs)
    observations, _ = env.reset(seed=seed)
    seen, done, earned, over = [], [], [], []
    count = np.zeros(env.num_envs, np.int64)
    while count.min() < rounds:
        actions = act(env, policy, observations, greedy)
        seen.append(observations)
        done.append(actions)
        observations, rewards, terminations, truncations, _ = env.step(actions)
        earned.append(rewards)
        over.append(terminations | truncations)
        count += over[-1]
    columns = [np.stack(each) for each in (seen, done, earned, over)]
    found: list[tuple[Any, Any, float]] = []
    starts = np.zeros(env.num_envs, np.int64)
    for _ in range(rounds):
        for copy in range(env.num_envs):
            start = starts[copy]
            end = starts[copy] = start + int(np.argmax(columns[3][start:, copy])) + 1
            piece = [column[start:end, copy] for column in columns[:3]]
            found.append((piece[0], piece[1], float(piece[2].sum())))
    found = found[:episodes]
    return Episodes([e[0] for e in found], [e[1] for e in found], np.array([e[2] for e in found]))
