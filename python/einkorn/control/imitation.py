"""Learning from an expert who is watched: behaviour cloning, and generative adversarial imitation."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import nn, no_grad, ops, optim
from einkorn.control.ppo import PPO
from einkorn.control.spaces import Box, Discrete, features
from einkorn.control.vector_env import VectorEnv
from einkorn.errors import ArgumentError, NonFiniteError, ShapeError
from einkorn.training.history import History
from einkorn.training.rounds import go, parts

__all__ = ["GAIL", "clone_behaviour"]


def clone_behaviour(
    policy: nn.Module,
    space: Box | Discrete,
    observations: Any,
    actions: Any,
    *,
    epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    verbose: int = 0,
) -> History:
    """Teach a policy to do what an expert did: classification of observations by actions (Pomerleau 1989).

    Where the policy errs it comes to states that the expert never saw, and errs more; :class:`GAIL` learns
    what to do there.

    Parameters
    ----------
    policy : Module
        Makes scores of the actions of :func:`features`.
    space : Box or Discrete
        Of one observation.
    observations, actions : array [pairs, ...], integer array [pairs]
        As :meth:`Episodes.pairs` gives them.
    epochs, batch_size : int, keyword-only, default 100, 32
    learning_rate : float, keyword-only, default 3e-3
        Of Adam.
    verbose : int, keyword-only, default 0
        As of ``fit``.

    Returns
    -------
    History
        Loss and accuracy by epoch.
    """
    seen, done = _pairs("clone_behaviour", space, observations, actions)
    policy.compile(optim.Adam(policy.parameters(), lr=learning_rate), "cross_entropy", metrics=["accuracy"])
    return policy.fit(seen, done, epochs=epochs, batch_size=batch_size, verbose=verbose)


class GAIL:
    """Generative adversarial imitation learning (Ho and Ermon 2016).

    A discriminator learns to tell the expert's pairs of observation and action from the policy's; the policy
    learns by :class:`PPO` (the paper has TRPO) to be taken for the expert. The rewards of the environment are
    not used, only reported.

    Parameters
    ----------
    env : VectorEnv
    policy : Module
        Makes scores of the actions of :func:`features`.
    observations, actions : array [pairs, ...], integer array [pairs]
        The expert's, as :meth:`Episodes.pairs` gives them.
    discriminator : Module, keyword-only, optional
        Makes one number [batch, 1] of the features of observations and actions side by side: the logit of "it
        is the expert". Default: three linear layers, 64 wide, with tanh between.
    reward : "minimax" or "logit", keyword-only, default "minimax"
        What the policy earns where the discriminator says D, the probability of the expert: "minimax" is
        ``-log(1 - D)`` of the paper's algorithm 1, never negative, so that long episodes are worth much,
        which suits tasks of staying alive; "logit" is ``log D - log(1 - D)`` (Fu et al. 2018), which does
        not prefer them, and suits tasks that are over once they are done.
    discriminator_rate : float, keyword-only, default 1e-3
        The learning rate of its Adam.
    **options
        As of :class:`PPO`.

    Attributes
    ----------
    ppo : PPO
    history : History
        By round the figures of PPO and "discriminator": the share of pairs that it told rightly, 0.5 where it
        knows no more.

    Raises
    ------
    ArgumentError
        ``reward`` is another word.
    ShapeError
        There are not as many observations as actions.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: nn.Module,
        observations: Any,
        actions: Any,
        *,
        discriminator: nn.Module | None = None,
        reward: str = "minimax",
        discriminator_rate: float = 1e-3,
        **options: Any,
    ) -> None:
        if reward not in ("minimax", "logit"):
            raise ArgumentError(f"GAIL: reward is {reward!r}, expected 'minimax' or 'logit'")
        self.reward = reward
        self.ppo = PPO(env, policy, **options)
        seen, done = _pairs("GAIL", env.single_observation_space, observations, actions)
        self._expert = self._together(seen, done)
        width = self._expert.shape[1]
        if discriminator is None:
            discriminator = nn.Sequential(
                nn.Linear(width, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
            )
        self.discriminator = discriminator
        self._optimizer = optim.Adam(discriminator.parameters(), lr=discriminator_rate)
        self.history = self.ppo.history

    def fit(self, rounds: int, *, verbose: int = 1) -> History:
        """Learn for so many rounds; as :meth:`PPO.fit`."""
        return go("GAIL", self.history, rounds, self._round, verbose)

    def rewards(self, pairs: Any) -> Any:
        """What pairs earn now, [batch]: features of observations and one-hot actions, side by side."""
        with no_grad():
            logits = ops.reshape(self.discriminator(pairs), (-1,))
            return (ops.softplus(logits) if self.reward == "minimax" else logits).numpy()

    def _together(self, seen: Any, actions: Any) -> Any:
        return np.concatenate([seen, features(self.ppo.env.single_action_space, actions)], 1)

    def _round(self) -> dict[str, float]:
        played = self.ppo.collect()
        pairs = self._together(played.seen, played.actions)
        told = self._tell(pairs)
        figures = self.ppo.learn(played, self.rewards(pairs).reshape(played.actions.shape))
        return {**figures, "discriminator": told}

    def _tell(self, pairs: Any) -> float:
        """A pass of the discriminator over the policy's pairs, with as many of the expert's beside them."""
        right = 0.0
        for rows in parts(len(pairs), self.ppo.batch_size):
            drawn: list[Any] = []
            while sum(map(len, drawn)) < len(rows):
                drawn += parts(len(self._expert), len(rows))
            expert = self._expert[np.concatenate(drawn)[: len(rows)]]
            logits = ops.reshape(self.discriminator(np.concatenate([expert, pairs[rows]])), (-1,))
            truth = np.repeat(np.array([1, 0], np.float32), len(rows))
            loss = ops.binary_cross_entropy_with_logits(logits, truth)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            right += float(((logits.numpy() > 0) == truth).sum())
        return right / (2 * len(pairs))


def _pairs(op: str, space: Box | Discrete, observations: Any, actions: Any) -> tuple[Any, Any]:
    seen, done = features(space, observations), np.asarray(actions)
    if done.ndim != 1 or done.dtype.kind not in "iu" or len(done) != len(seen) or not len(done):
        raise ShapeError(
            f"{op}: {len(seen)} observations and actions of shape {done.shape} and dtype {done.dtype},"
            " expected an integer for each, at least one"
        )
    if not np.isfinite(seen).all():
        raise NonFiniteError(f"{op}: observations hold NaN or infinity")
    return seen, done
