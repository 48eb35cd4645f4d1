"""Control tasks: their dynamics, Gymnasium's interface, and policies that learn in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import einkorn as ek
from einkorn import control, nn

OPEN = ["S..", "...", "..G"]


def network(width: int, actions: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, actions))


def test_the_pole_falls_by_the_equations() -> None:
    """Those of Gymnasium's CartPole-v1: 1 kg and .1 kg, half a metre, 10 N, 20 ms, Euler's integration."""
    env = control.CartPole(3)
    env.reset(seed=0)
    env.state = np.array([[0.1, -0.2, 0.05, 0.3], [0.0, 1.5, -0.1, -2.0], [-1.0, 0.0, 0.15, 0.4]])
    rows = [tuple(row) for row in env.state]
    for step in range(4):
        actions = np.array([1, 0, step % 2])
        observations, rewards, terminations, truncations, _ = env.step(actions)
        for i, (x, x_dot, theta, theta_dot) in enumerate(rows):
            force = 10.0 if actions[i] == 1 else -10.0
            temp = (force + 0.05 * theta_dot**2 * math.sin(theta)) / 1.1
            theta_acc = (9.8 * math.sin(theta) - math.cos(theta) * temp) / (
                0.5 * (4.0 / 3.0 - 0.1 * math.cos(theta) ** 2 / 1.1)
            )
            x_acc = temp - 0.05 * theta_acc * math.cos(theta) / 1.1
            rows[i] = (
                x + 0.02 * x_dot,
                x_dot + 0.02 * x_acc,
                theta + 0.02 * theta_dot,
                theta_dot + 0.02 * theta_acc,
            )
        wanted = np.array(rows)
        over = (np.abs(wanted[:, 0]) > 2.4) | (np.abs(wanted[:, 2]) > 0.2094395102393195)
        np.testing.assert_array_equal(terminations, over)
        np.testing.assert_allclose(observations[~over], wanted[~over], rtol=1e-6)
        rows = [tuple(row) for row in np.where(over[:, None], env.state, wanted)]
        assert rewards.tolist() == [1.0] * 3
        assert not truncations.any()


def test_gymnasiums_interface() -> None:
    env = control.CartPole(4, max_episode_steps=3)
    first, infos = env.reset(seed=5)
    assert (first.shape, first.dtype, infos) == ((4, 4), np.float32, {})
    assert (np.abs(first) <= 0.05).all()
    assert np.array_equal(env.reset(seed=5)[0], first)
    assert not np.array_equal(env.reset()[0], first)
    wide = env.reset(seed=1, options={"low": 1.0, "high": 1.5})[0]
    assert (wide >= 1).all()
    env.reset(seed=5)
    for step in range(3):
        observations, rewards, terminations, truncations, infos = env.step(np.array([0, 1, 0, 1]))
        assert (rewards.dtype, terminations.dtype, truncations.dtype) == (np.float64, bool, bool)
        assert truncations.all() == (step == 2)
        assert not terminations.any()
    assert infos["_final_obs"].all()
    assert (np.abs(infos["final_obs"][:, 1]) > 0.3).all()  # where the pushed carts were
    assert (np.abs(observations) <= 0.05).all()  # and where the new ones are
    assert env.single_action_space.n == 2
    assert all(row in env.single_observation_space for row in observations)
    assert env.single_observation_space.sample() in env.single_observation_space
    assert env.single_action_space.sample() in env.single_action_space
    assert 2 not in env.single_action_space
    assert 0.5 not in env.single_action_space


def test_steps_in_the_grid() -> None:
    env = control.GridWorld(4, grid=["S#H", "..G"], step_reward=-0.25)
    left, down, right, up = range(4)
    assert env.reset(seed=0)[0].tolist() == [0] * 4
    assert env.step(np.array([left, down, right, up]))[0].tolist() == [0, 3, 0, 0]  # the edge, free, a wall
    env.state = np.array([3, 4, 4, 5])
    env.state[3] = 3
    observations, rewards, terminations, _, infos = env.step(np.array([right, right, up, up]))
    assert observations.tolist() == [4, 0, 4, 0]
    assert infos["final_obs"].tolist() == [4, 5, 4, 0]
    assert rewards.tolist() == [-0.25, 0.75, -0.25, -0.25]
    assert terminations.tolist() == [False, True, False, False]
    env.state[:] = 2  # a hole is never left, but nobody begins there
    slippery = control.GridWorld(3000, grid=["...", ".S.", "..G"], slip=0.5)
    slippery.reset(seed=0)
    cells = np.bincount(slippery.step(np.full(3000, right))[0], minlength=9) / 3000
    np.testing.assert_allclose(cells[[5, 1, 7]], [0.5, 0.25, 0.25], atol=0.03)


def test_episodes_are_whole_and_as_many_in_every_copy() -> None:
    env = control.GridWorld(2, grid=OPEN, max_episode_steps=6)
    found = control.play(env, lambda cells: np.array([2, 0])[: len(cells)], 4, seed=0)
    assert [len(actions) for actions in found.actions] == [6] * 4
    assert found.observations[0].tolist() == [0, 1, 2, 2, 2, 2]
    assert found.observations[1].tolist() == [0] * 6
    assert found.returns.tolist() == [0.0] * 4
    way = np.array([2, 2, 1, 2, 2, 1, 2, 2, 0])
    found = control.play(env, lambda cells: way[cells], 3, seed=0)
    assert found.returns.tolist() == [1.0] * 3
    seen, done = found.pairs(2)
    assert seen.tolist() == [0, 2] * 3
    assert done.tolist() == [2, 1] * 3


def test_a_round_of_ppo_knows_what_followed_and_what_ended() -> None:
    ek.manual_seed(0)
    env = control.GridWorld(2, grid=OPEN, max_episode_steps=4)
    learner = control.PPO(env, network(9, 4), steps=40, seed=0)
    played = learner.collect()
    assert played.seen.shape == played.after.shape == (80, 9)
    seen, after = (x.argmax(1).reshape(2, 40) for x in (played.seen, played.after))
    np.testing.assert_array_equal(after[:, :-1][~played.ends[:, :-1]], seen[:, 1:][~played.ends[:, :-1]])
    assert (seen[:, 1:][played.ends[:, :-1]] == 0).all()
    np.testing.assert_array_equal(played.terminated, after == 8)
    assert len(played.returns) == played.ends.sum() > played.terminated.sum()


def test_policies_learn() -> None:
    """By rewards, by what an expert does, and by being taken for it."""
    ek.manual_seed(0)
    pole = control.CartPole(8)
    policy = network(4, 2)
    history = control.PPO(pole, policy, steps=64, seed=0).fit(25, verbose=0)
    assert np.mean(history.history["return"][-3:]) > 3 * history.history["return"][0]

    def balance(seen: Any) -> Any:
        return (seen[:, 2] + 0.3 * seen[:, 3] > 0).astype(np.int64)

    seen, done = control.play(pole, balance, 2, seed=0).pairs()
    policy = network(4, 2)
    control.clone_behaviour(policy, pole.single_observation_space, seen, done, epochs=10)
    assert control.play(pole, policy, 8, seed=1, greedy=True).returns.mean() > 100

    env = control.GridWorld(8, grid=OPEN)
    way = np.array([1, 1, 1, 2, 1, 1, 2, 2, 0])
    seen, done = control.play(env, lambda cells: way[cells], 1, seed=0).pairs()
    policy = network(9, 4)
    before = control.play(env, policy, 32, seed=1)
    learner = control.GAIL(env, policy, seen, done, reward="logit", steps=32, seed=0)
    history = learner.fit(30, verbose=0)
    after = control.play(env, policy, 32, seed=1)
    assert after.returns.mean() > 0.9
    assert np.mean([len(a) for a in after.actions]) < np.mean([len(a) for a in before.actions]) / 2
    assert 0.4 < history.history["discriminator"][-1] <= 1


def test_rewards_of_a_discriminator_are_those_of_the_paper() -> None:
    env = control.GridWorld(1, grid=OPEN)
    pairs = np.eye(13, dtype=np.float32)
    for reward, formula in (
        ("minimax", lambda d: -np.log(1 - d)),
        ("logit", lambda d: np.log(d) - np.log(1 - d)),
    ):
        learner = control.GAIL(env, network(9, 4), np.array([0]), np.array([1]), reward=reward)
        logits = learner.discriminator(pairs).numpy()[:, 0].astype(np.float64)
        np.testing.assert_allclose(learner.rewards(pairs), formula(1 / (1 + np.exp(-logits))), rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: control.CartPole(0), "CartPole: num_envs is 0"),
        (lambda: control.CartPole(2).step(np.zeros(2, int)), "CartPole.step: reset comes first"),
        (lambda: _begun().step(np.zeros(3, int)), r"CartPole.step: actions have shape \(3,\)"),
        (lambda: _begun().step(np.zeros(2)), "CartPole.step: actions .*float64"),
        (lambda: _begun().step(np.array([0, 2])), "CartPole.step: actions have 0 to 2"),
        (lambda: control.CartPole().reset(options={"hight": 1}), "options has 'hight'"),
        (lambda: control.CartPole().reset(options={"low": 1}), "expected low <= high"),
        (lambda: control.GridWorld(grid=["S.", "G"]), "GridWorld: grid"),
        (lambda: control.GridWorld(grid=["S."]), "with S and G"),
        (lambda: control.GridWorld(slip=1.5), "slip is 1.5"),
        (lambda: control.features(control.Discrete(3), [0, 3]), "integers 0 to 2"),
        (lambda: control.features(control.Box(-1, 1, (4,)), np.ones((2, 3))), "features: x has shape"),
        (lambda: control.PPO(control.CartPole(), network(4, 2), gamma=2), "PPO: gamma is 2"),
        (
            lambda: control.GAIL(control.CartPole(), network(4, 2), np.ones((2, 4)), np.ones(3, int)),
            "GAIL: 2 observations",
        ),
        (
            lambda: control.GAIL(control.CartPole(), network(4, 2), np.ones((1, 4)), [1], reward="x"),
            "GAIL: reward is 'x'",
        ),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(ek.EinkornError, match=message):
        call()


def _begun() -> control.CartPole:
    env = control.CartPole(2)
    env.reset(seed=0)
    return env


def test_spaces_of_all_copies() -> None:
    env, grid = control.CartPole(3), control.GridWorld(2, grid=OPEN)
    env.reset(seed=0)
    actions = env.action_space.sample()
    assert actions in env.action_space
    assert actions[:2] not in env.action_space
    observations, *_ = env.step(actions)
    assert observations in env.observation_space
    assert env.observation_space.shape == (3, 4)
    observations, _ = grid.reset(seed=0)
    assert observations in grid.observation_space
    assert observations + 9 not in grid.observation_space
    np.testing.assert_array_equal(
        control.MultiDiscrete([2, 5], seed=1).sample(), control.MultiDiscrete([2, 5], seed=1).sample()
    )


def _ppo(**options: Any) -> Any:
    given = {"env": control.CartPole(2), "policy": network(4, 2), "steps": 4, **options}
    return control.PPO(given.pop("env"), given.pop("policy"), **given).fit(1, verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: control.CartPole(2).reset(seed=-1), "CartPole.reset: seed is -1"),
        (lambda: control.CartPole(2).reset(seed="a"), "seed is 'a'"),
        (lambda: control.Discrete(2, seed=-1), "Discrete: seed is -1"),
        (lambda: control.MultiDiscrete([2, 0]), "MultiDiscrete: nvec"),
        (lambda: control.Box(1, 0, (2,)), "low at most high"),
        (lambda: control.Box(np.nan, 0, (2,)), "low at most high"),
        (lambda: _ppo(seed=-1), "PPO: seed is -1"),
        (lambda: _ppo(env=5), "env is a int, expected a VectorEnv"),
        (lambda: _ppo(policy=5), "policy is a int, expected a Module"),
        (lambda: _ppo(policy=network(4, 3)), r"policy: its scores have shape \(2, 3\), expected \(2, 2\)"),
        (lambda: _ppo(policy=network(4, 1)), r"policy: its scores have shape \(2, 1\), expected \(2, 2\)"),
        (lambda: _ppo(value=network(4, 2)), r"value makes shape \(8, 2\), expected \(8, 1\)"),
        (lambda: _ppo(entropy_weight=np.nan), "entropy_weight is nan"),
        (
            lambda: control.GAIL(control.CartPole(1), network(4, 2), np.full((3, 4), np.nan), [0, 1, 0]),
            "GAIL: observations hold NaN",
        ),
    ],
)
def test_refusals_of_what_does_not_fit(call: Any, message: str) -> None:
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.errors.NonFiniteError), match=message):
        call()
