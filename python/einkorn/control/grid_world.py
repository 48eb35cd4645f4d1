"""A grid with walls, holes and a goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn.control.spaces import Discrete
from einkorn.control.vector_env import VectorEnv
from einkorn.errors import ArgumentError

__all__ = ["GridWorld"]

_ROOMS = ("S....", ".##.H", "...#.", ".H..#", "#...G")
_MOVES = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])  # left, down, right, up


class GridWorld(VectorEnv):
    """Find the way from the start to the goal.

    Actions are left, down, right and up (0 to 3); a step into a wall or off the grid stays where it is.
    Observed is the number of the cell, row by row.

    Parameters
    ----------
    num_envs : int, default 1
    grid : sequence of str, keyword-only, optional
        Rows of "S" (a start; one is drawn where there are several), "G" (a goal: the reward 1, and the
        episode is over), "H" (a hole: over without), "#" (a wall) and "." (free). Default: 5 times 5.
    slip : float, keyword-only, default 0.0
        The probability that a step goes to one of the two sides of its direction instead, each as likely
        (Gymnasium's ``FrozenLake-v1`` has 2/3).
    step_reward : float, keyword-only, default 0.0
        Of every step, those to the goal included.
    max_episode_steps : int, keyword-only, default 100

    Attributes
    ----------
    state : array of int64 [num_envs]
        Cells; may be set.

    Raises
    ------
    ArgumentError
        The grid is none, or has no start or no goal; slip is no probability.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        grid: Sequence[str] | None = None,
        slip: float = 0.0,
        step_reward: float = 0.0,
        max_episode_steps: int = 100,
    ) -> None:
        super().__init__(num_envs, max_episode_steps)
        rows = list(_ROOMS if grid is None else grid)
        if isinstance(grid, str) or not rows or len({len(row) for row in rows}) != 1:
            raise ArgumentError(f"GridWorld: grid is {grid!r}, expected rows of one length")
        cells = np.array([list(row) for row in rows])
        if not np.isin(cells, list("SGH#.")).all() or not (cells == "S").any() or not (cells == "G").any():
            raise ArgumentError(f"GridWorld: grid is {rows!r}, expected S, G, H, # and ., with S and G")
        if not 0 <= slip <= 1:
            raise ArgumentError(f"GridWorld: slip is {slip!r}, expected a probability")
        self.grid, self.slip, self.step_reward = rows, float(slip), float(step_reward)
        self.single_observation_space = Discrete(cells.size)
        self.single_action_space = Discrete(len(_MOVES))
        self._starts = np.flatnonzero(cells == "S")
        self._goal, self._hole = (cells == "G").ravel(), (cells == "H").ravel()
        row, column = np.divmod(np.arange(cells.size), cells.shape[1])
        there = np.stack([row, column], 1)[:, None] + _MOVES  # [cells, actions, 2]
        inside = ((there >= 0) & (there < cells.shape)).all(-1)
        to = np.where(inside, there[..., 0] * cells.shape[1] + there[..., 1], 0)
        free = inside & (cells.ravel()[to] != "#")
        self._next = np.where(free, to, np.arange(cells.size)[:, None])
        self.state = np.full(self.num_envs, self._starts[0])

    def _begin(self, where: Any) -> None:
        self.state[where] = self.np_random.choice(self._starts, int(where.sum()))

    def _advance(self, actions: Any) -> tuple[Any, Any]:
        if self.slip:
            drawn = self.np_random.random(self.num_envs)
            aside = np.where(drawn < self.slip / 2, -1, np.where(drawn < self.slip, 1, 0))
            actions = (actions + aside) % len(_MOVES)
        self.state = self._next[self.state, actions]
        won = self._goal[self.state]
        return self.step_reward + won.astype(np.float64), won | self._hole[self.state]

    def _observe(self) -> Any:
        return self.state.copy()
