"""A pole on a cart (Barto, Sutton and Anderson 1983)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn.control.spaces import Box, Discrete
from einkorn.control.vector_env import VectorEnv
from einkorn.errors import ArgumentError

__all__ = ["CartPole"]

_GRAVITY, _CART, _POLE = 9.8, 1.0, 0.1  # m/s^2, kg, kg
_HALF = 0.5  # m, half the pole's length
_FORCE, _STEP = 10.0, 0.02  # N, s
_FAR, _TILTED = 2.4, 12 * math.pi / 180  # m, rad: beyond, the episode is over


class CartPole(VectorEnv):
    """Push a cart left (0) or right (1) so that the pole on it stays up.

    The task, its numbers and its integration (Euler) are those of Gymnasium's ``CartPole-v1``. Observed are
    the cart's place (m) and speed, the pole's angle (rad, 0 is upright) and its speed. Every step gives the
    reward 1, that of the fall included; an episode is over where the cart is beyond 2.4 m or the pole beyond
    12 degrees.

    Parameters
    ----------
    num_envs : int, default 1
    max_episode_steps : int, keyword-only, default 500

    Attributes
    ----------
    state : array of float64 [num_envs, 4]
        May be set.

    Notes
    -----
    ``reset`` draws states evenly from ``options["low"]`` to ``options["high"]``, default -0.05 to 0.05.
    """

    def __init__(self, num_envs: int = 1, *, max_episode_steps: int = 500) -> None:
        super().__init__(num_envs, max_episode_steps)
        bounds = np.array([2 * _FAR, np.inf, 2 * _TILTED, np.inf], np.float32)
        self.single_observation_space = Box(-bounds, bounds)
        self.single_action_space = Discrete(2)
        self.state = np.zeros((self.num_envs, 4))
        self._low, self._high = -0.05, 0.05

    def _set_options(self, options: dict[str, Any]) -> None:
        others = options.keys() - {"low", "high"}
        if others:
            raise ArgumentError(f"CartPole.reset: options has {min(others)!r}, expected low or high")
        low, high = float(options.get("low", -0.05)), float(options.get("high", 0.05))
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ArgumentError(f"CartPole.reset: options are from {low} to {high}, expected low <= high")
        self._low, self._high = low, high

    def _begin(self, where: Any) -> None:
        self.state[where] = self.np_random.uniform(self._low, self._high, (int(where.sum()), 4))

    def _advance(self, actions: Any) -> tuple[Any, Any]:
        _, speed, angle, turn = self.state.T
        force = np.where(actions == 1, _FORCE, -_FORCE)
        cos, sin = np.cos(angle), np.sin(angle)
        push = (force + _POLE * _HALF * turn**2 * sin) / (_CART + _POLE)
        turning = (_GRAVITY * sin - cos * push) / (_HALF * (4 / 3 - _POLE * cos**2 / (_CART + _POLE)))
        moving = push - _POLE * _HALF * turning * cos / (_CART + _POLE)
        rates = np.stack([speed, moving, turn, turning], 1)
        self.state = self.state + _STEP * rates
        over = (np.abs(self.state[:, 0]) > _FAR) | (np.abs(self.state[:, 2]) > _TILTED)
        return np.ones(self.num_envs), over

    def _observe(self) -> Any:
        return self.state.astype(np.float32)
