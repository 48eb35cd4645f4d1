"""Do as an expert does: behaviour cloning and generative adversarial imitation (GAIL).

python examples/imitate.py [--quick] [--seeds 3]

Cart-pole: the expert keeps the pole up and the cart one metre right of the middle; 25 of its steps are seen,
from one episode. A policy that is rewarded merely for going on, beside the others, tells how much of GAIL's
success is no imitation: it keeps the pole up too, but has no reason to go there. Grid world: the way to the
goal on a slippery grid, four episodes. The whole takes about a minute.
"""

import argparse
import time
from typing import Any

import numpy as np

import einkorn as ek
from einkorn import control, nn

PLACE = 1.0  # m
# Left, down, right, up in the cells of the default grid; what has none of them is never acted in.
WAY = np.array(["<v>^".find(cell) for cell in "v<<<<v##^.>>v#.^.vv##>>>G"])


def balance(seen: np.ndarray) -> np.ndarray:
    """Push to where the pole falls, a little sooner where the cart is too far right."""
    place, speed, angle, turn = seen.T
    return (angle + 0.3 * turn + 0.05 * (place - PLACE) + 0.1 * speed > 0).astype(np.int64)


def guide(cells: np.ndarray) -> np.ndarray:
    """The shortest way to the goal."""
    return WAY[cells]


def network(width: int, actions: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 32), nn.Tanh(), nn.Linear(32, actions))


class GoOn(control.PPO):
    """Rewards every step alike, whatever happens."""

    def learn(self, played: Any, rewards: Any) -> dict[str, float]:
        return super().learn(played, np.ones_like(rewards))


def pole(seed: int, quick: bool) -> None:
    rounds, epochs, count = (2, 20, 4) if quick else (120, 1000, 64)
    env = control.CartPole(16, max_episode_steps=50 if quick else 500)

    def tell(name: str, policy: Any, start: float) -> None:
        seconds = time.perf_counter() - start
        found = control.play(env, policy, count, seed=7)
        away = np.mean([np.abs(seen[len(seen) // 2 :, 0] - PLACE).mean() for seen in found.observations])
        print(
            f"  {name:18} return {found.returns.mean():5.1f}, {away:.2f} m from the expert's place"
            f"  ({seconds:.0f} s)",
            flush=True,
        )

    ek.manual_seed(seed)
    seen, done = control.play(env, balance, seed=seed).pairs(20)
    start = time.perf_counter()
    tell("expert", balance, start)
    policy = network(4, 2)
    tell("untrained", policy, start)
    start = time.perf_counter()
    control.clone_behaviour(policy, env.single_observation_space, seen, done, epochs=epochs)
    tell("behaviour cloning", policy, start)
    start, policy = time.perf_counter(), network(4, 2)
    GoOn(control.CartPole(16), policy, seed=seed).fit(rounds, verbose=0)
    tell("going on", policy, start)
    start, policy = time.perf_counter(), network(4, 2)
    control.GAIL(control.CartPole(16), policy, seen, done, seed=seed).fit(rounds, verbose=0)
    tell("GAIL", policy, start)


def grid(seed: int, quick: bool) -> None:
    rounds, epochs, count = (2, 20, 16) if quick else (60, 300, 512)
    env = control.GridWorld(16, slip=0.1)

    def tell(name: str, policy: Any) -> None:
        found = control.play(env, policy, count, seed=7)
        steps = np.mean([len(actions) for actions in found.actions])
        print(f"  {name:18} {found.returns.mean():5.1%} reach the goal, {steps:4.1f} steps", flush=True)

    ek.manual_seed(seed)
    seen, done = control.play(env, guide, 4, seed=seed).pairs()
    tell("expert", guide)
    policy = network(25, 4)
    tell("untrained", policy)
    control.clone_behaviour(policy, env.single_observation_space, seen, done, epochs=epochs)
    tell("behaviour cloning", policy)
    for reward in ("logit", "minimax"):
        policy = network(25, 4)
        learner = control.GAIL(
            control.GridWorld(16, slip=0.1), policy, seen, done, reward=reward, steps=64, seed=seed
        )
        learner.fit(rounds, verbose=0)
        tell(f"GAIL, {reward}", policy)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, and no more than a beginning")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    for seed in range(1 if given.quick else given.seeds):
        print(f"cart-pole, seed {seed}")
        pole(seed, given.quick)
        print(f"grid world, seed {seed}")
        grid(seed, given.quick)


if __name__ == "__main__":
    main()
