"""Small control tasks with Gymnasium's interface, many at once, and what learns in them.

Environments (:class:`CartPole`, :class:`GridWorld`), proximal policy optimisation, behaviour cloning and
generative adversarial imitation. A policy is any module that makes scores of the actions [batch, actions] of
:func:`features` [batch, width].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.control.NAME, and the module it lives in.
_HOMES = {
    "Box": "spaces",
    "CartPole": "cart_pole",
    "Discrete": "spaces",
    "Episodes": "playing",
    "GAIL": "imitation",
    "GridWorld": "grid_world",
    "MultiDiscrete": "spaces",
    "PPO": "ppo",
    "VectorEnv": "vector_env",
    "clone_behaviour": "imitation",
    "features": "spaces",
    "play": "playing",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.control.cart_pole import CartPole
    from einkorn.control.grid_world import GridWorld
    from einkorn.control.imitation import GAIL, clone_behaviour
    from einkorn.control.playing import Episodes, play
    from einkorn.control.ppo import PPO
    from einkorn.control.spaces import Box, Discrete, MultiDiscrete, features
    from einkorn.control.vector_env import VectorEnv

__getattr__, __dir__ = later(__name__, _HOMES)
