"""Proximal policy optimisation in an environment (Schulman et al. 2017)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn import nn, no_grad, ops, optim
from einkorn.control.playing import act
from einkorn.control.spaces import features, generator_of
from einkorn.control.vector_env import VectorEnv
from einkorn.errors import ArgumentError, ShapeError
from einkorn.seq.preference import generalised_advantages, ppo_loss
from einkorn.training.history import History
from einkorn.training.rounds import go, parts, whole

__all__ = ["PPO", "Steps"]


class Steps(NamedTuple):
    """Steps of all copies, [num_envs, steps, ...]."""

    seen: Any  # features of observations
    after: Any  # those of the observations that followed, also where an episode ended
    actions: Any
    rewards: Any
    terminated: Any
    ends: Any
    returns: list[float]  # of the episodes that ended meanwhile, in the environment's rewards


class PPO:
    """A policy that learns from what its actions earn.

    Each round plays some steps in every copy, and takes several passes over them with the clipped objective;
    a second network learns what is expected of a state. Where the time of an episode is over, but not its
    task, what would still be earned is the value of the last state.

    Parameters
    ----------
    env : VectorEnv
        It is reset once, by the first round.
    policy : Module
        Makes scores of the actions of :func:`features`.
    value : Module, optional
        Makes one number [batch, 1] of them; default: two linear layers, 64 wide, with a tanh between.
    steps : int, keyword-only, default 128
        Of every copy in a round.
    gamma, lam : float, keyword-only, default 0.99, 0.95
        As of :func:`einkorn.seq.generalised_advantages`.
    clip : float, keyword-only, default 0.2
        As of :func:`einkorn.seq.ppo_loss`.
    entropy_weight : float, keyword-only, default 0.01
        What doubt is worth in the loss.
    passes : int, keyword-only, default 4
    batch_size : int, keyword-only, default 256
        Steps in one step of the optimiser.
    learning_rate : float, keyword-only, default 3e-3
        Of Adam.
    seed : int, keyword-only, optional
        Of the environment.

    Attributes
    ----------
    history : History
        By round: "return", the mean of the episodes that ended in it (missing where none did), "policy_loss",
        "value_loss" and "entropy" (nats).
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: nn.Module,
        value: nn.Module | None = None,
        *,
        steps: int = 128,
        gamma: float = 0.99,
        lam: float = 0.95,
        clip: float = 0.2,
        entropy_weight: float = 0.01,
        passes: int = 4,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        seed: int | None = None,
    ) -> None:
        if not isinstance(env, VectorEnv):
            raise ArgumentError(f"PPO: env is a {type(env).__name__}, expected a VectorEnv")
        for name, module in (("policy", policy), ("value", policy if value is None else value)):
            if not isinstance(module, nn.Module):
                raise ArgumentError(f"PPO: {name} is a {type(module).__name__}, expected a Module")
        if not 0 <= entropy_weight < np.inf:
            raise ArgumentError(f"PPO: entropy_weight is {entropy_weight!r}, expected a number from 0")
        generator_of("PPO", seed)
        for name, number in (("gamma", gamma), ("lam", lam)):
            if not 0 <= number <= 1:
                raise ArgumentError(f"PPO: {name} is {number!r}, expected a number from 0 to 1")
        for name, number in (("clip", clip), ("learning_rate", learning_rate)):
            if not number > 0:
                raise ArgumentError(f"PPO: {name} is {number!r}, expected a positive number")
        self.env, self.policy = env, policy
        space = env.single_observation_space
        width = features(space, np.zeros(space.shape, space.dtype)).shape[1]
        self.value = (
            nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 1)) if value is None else value
        )
        self.steps, self.passes = whole("PPO", "steps", steps), whole("PPO", "passes", passes)
        self.batch_size = whole("PPO", "batch_size", batch_size)
        self.gamma, self.lam, self.clip, self.entropy_weight = gamma, lam, clip, entropy_weight
        self.optimizer = optim.Adam([*policy.parameters(), *self.value.parameters()], lr=learning_rate)
        self.history = History()
        self._seed = seed
        self._observations: Any = None
        self._earned = np.zeros(env.num_envs)

    def fit(self, rounds: int, *, verbose: int = 1) -> History:
        """Learn for so many rounds.

        Parameters
        ----------
        rounds : int
        verbose : int, keyword-only, default 1
            0: nothing is shown.

        Returns
        -------
        History
            ``history``, which goes on with every call.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C. The policy has what it learned until then, the history all whole rounds.
        """

        def one() -> dict[str, float]:
            played = self.collect()
            return self.learn(played, played.rewards)

        return go("PPO", self.history, rounds, one, verbose)

    def collect(self) -> Steps:
        """Play the steps of a round."""
        env = self.env
        if self._observations is None:
            self._observations, _ = env.reset(seed=self._seed)
        lists: tuple[list[Any], ...] = ([], [], [], [], [], [])
        returns: list[float] = []
        for _ in range(self.steps):
            seen = self._observations
            actions = act(env, self.policy, seen)
            self._observations, rewards, terminated, truncated, infos = env.step(actions)
            over = terminated | truncated
            after = self._observations
            if over.any():
                after = infos["final_obs"]
            self._earned += rewards
            returns.extend(self._earned[over].tolist())
            self._earned[over] = 0
            for column, part in zip(lists, (seen, after, actions, rewards, terminated, over), strict=True):
                column.append(part)
        seen, after, actions, rewards, terminated, over = (np.stack(column, 1) for column in lists)
        space = env.single_observation_space
        return Steps(
            features(space, seen), features(space, after), actions, rewards, terminated, over, returns
        )

    def _worth(self, seen: Any) -> Any:
        values = self.value(seen).numpy()
        if values.size != len(seen):
            raise ShapeError(f"PPO: value makes shape {values.shape}, expected ({len(seen)}, 1)")
        return values

    def learn(self, played: Steps, rewards: Any) -> dict[str, float]:
        """Learn from steps, given what they earned, [num_envs, steps]."""
        shape = played.actions.shape
        actions = played.actions.ravel()
        with no_grad():
            values, after = (self._worth(x).reshape(shape) for x in (played.seen, played.after))
            old = -ops.cross_entropy(self.policy(played.seen), actions, reduction="none").numpy()
        advantages, wanted = generalised_advantages(
            np.asarray(rewards, np.float32),
            values,
            self.gamma,
            self.lam,
            next_values=np.where(played.terminated, 0, after).astype(np.float32),
            ends=played.ends,
        )
        gains = ((advantages - advantages.mean()) / (advantages.std() + 1e-6)).ravel()
        wanted = wanted.ravel()
        sums = np.zeros(4)
        for _ in range(self.passes):
            for rows in parts(len(actions), self.batch_size):
                scores = self.policy(played.seen[rows])
                logs = ops.log_softmax(scores, -1)
                entropy = ops.sum(ops.exp(logs) * logs) * (-1 / len(rows))
                now = logs[np.arange(len(rows)), actions[rows]]
                loss = ppo_loss(now, old[rows], gains[rows], self.clip)
                error = ops.mse_loss(ops.reshape(self.value(played.seen[rows]), (-1,)), wanted[rows])
                self.optimizer.zero_grad()
                (loss + error * 0.5 - entropy * self.entropy_weight).backward()
                nn.utils.clip_grad_norm_(self.policy.parameters(), 0.5)
                nn.utils.clip_grad_norm_(self.value.parameters(), 0.5)
                self.optimizer.step()
                sums += (float(loss), float(error), float(entropy), 1)
        figures = dict(zip(("policy_loss", "value_loss", "entropy"), sums[:3] / sums[3], strict=True))
        earned = {"return": float(np.mean(played.returns))} if played.returns else {}
        return {**earned, **figures}
