"""Many copies of a task that go on together, with the interface of ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from einkorn.control.spaces import Box, Discrete, MultiDiscrete, generator_of
from einkorn.errors import ArgumentError, IndexRangeError

__all__ = ["VectorEnv"]


class VectorEnv(ABC):
    """What environments share: seeds, time limits, and copies that begin anew as soon as they end.

    Where an episode ends, :meth:`step` returns the first observation of the next one; the last of the old
    one is ``infos["final_obs"]`` in the rows that ``infos["_final_obs"]`` marks (Gymnasium's
    ``AutoresetMode.SAME_STEP``).

    Parameters
    ----------
    num_envs : int
        Copies.
    max_episode_steps : int
        Steps after which an episode is truncated.

    Attributes
    ----------
    single_observation_space, single_action_space : Box or Discrete
        Of one copy.
    observation_space, action_space : Box or MultiDiscrete
        Of all copies, as :meth:`step` gives and takes them.
    """

    metadata = {"render_modes": [], "autoreset_mode": "SameStep"}  # noqa: RUF012 - Gymnasium's form
    single_observation_space: Box | Discrete
    single_action_space: Discrete

    def __init__(self, num_envs: int, max_episode_steps: int) -> None:
        for name, value in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"{type(self).__name__}: {name} is {value!r}, expected a positive int")
        self.num_envs, self.max_episode_steps = int(num_envs), int(max_episode_steps)
        self.np_random = np.random.default_rng()
        self._elapsed: Any = None

    @cached_property
    def action_space(self) -> MultiDiscrete:
        return MultiDiscrete(np.full(self.num_envs, self.single_action_space.n))

    @cached_property
    def observation_space(self) -> Box | MultiDiscrete:
        one = self.single_observation_space
        if isinstance(one, Discrete):
            return MultiDiscrete(np.full(self.num_envs, one.n))
        shape = (self.num_envs, *one.shape)
        return Box(np.broadcast_to(one.low, shape), np.broadcast_to(one.high, shape))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every copy.

        Parameters
        ----------
        seed : int, keyword-only, optional
            Of everything that is drawn from now on; default: draw on from where the generator is.
        options : dict, keyword-only, optional
            What the environment knows.

        Returns
        -------
        observations : array [num_envs, ...]
        infos : dict
        """
        if seed is not None:
            self.np_random = generator_of(f"{type(self).__name__}.reset", seed)
        self._set_options(options or {})
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._begin(np.ones(self.num_envs, bool))
        return self._observe(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step in every copy.

        Parameters
        ----------
        actions : integer array [num_envs]

        Returns
        -------
        observations : array [num_envs, ...]
        rewards : array of float64 [num_envs]
        terminations, truncations : boolean array [num_envs]
            Where the task is over, and where the time is.
        infos : dict

        Raises
        ------
        ArgumentError
            There was no :meth:`reset`, or the actions are not one integer for each copy.
        IndexRangeError
            There is no such action.
        """
        op = f"{type(self).__name__}.step"
        if self._elapsed is None:
            raise ArgumentError(f"{op}: reset comes first")
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or chosen.dtype.kind not in "iu":
            raise ArgumentError(
                f"{op}: actions have shape {chosen.shape} and dtype {chosen.dtype}, expected integers"
                f" ({self.num_envs},)"
            )
        if chosen.min() < 0 or chosen.max() >= self.single_action_space.n:
            raise IndexRangeError(
                f"{op}: actions have {chosen.min()} to {chosen.max()}, expected 0 to"
                f" {self.single_action_space.n - 1}"
            )
        rewards, terminations = self._advance(chosen.astype(np.int64))
        self._elapsed += 1
        truncations = ~terminations & (self._elapsed >= self.max_episode_steps)
        observations, infos = self._observe(), {}
        over = terminations | truncations
        if over.any():
            infos = {"final_obs": observations, "_final_obs": over}
            self._elapsed[over] = 0
            self._begin(over)
            observations = self._observe()
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:
        """End all episodes; :meth:`reset` begins new ones."""
        self._elapsed = None

    @abstractmethod
    def _begin(self, where: Any) -> None:
        """Draw first states in the copies that are marked."""

    @abstractmethod
    def _advance(self, actions: Any) -> tuple[Any, Any]:
        """Rewards and terminations of a step."""

    @abstractmethod
    def _observe(self) -> Any:
        """A new array of what is seen of the states."""

    def _set_options(self, options: dict[str, Any]) -> None:
        if options:
            raise ArgumentError(
                f"{type(self).__name__}.reset: options has {', '.join(map(repr, options))}, expected none"
            )
