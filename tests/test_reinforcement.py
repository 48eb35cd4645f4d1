"""Language models that learn from rewards: reward models, and PPO against its formulas."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, ops, seq

PROMPTS = [[1], [2, 5], [4, 6, 1]]


def tiny(seed: int, width: int = 16) -> models.GPT:
    ek.manual_seed(seed)
    return models.GPT(8, 12, width, 1, 2, dropout=0.1)


def threes(tokens: Any, *, attention_mask: Any) -> Any:
    """The share of threes among the last six tokens."""
    return (tokens[:, -6:] == 3).mean(1)


def test_ppo_raises_the_reward_over_three_seeds() -> None:
    for seed in range(3):
        policy = tiny(seed)
        trainer = seq.PPOTrainer(policy, threes, max_new_tokens=6, beta=0.02, learning_rate=1e-2)
        history = trainer.fit(PROMPTS, 10, prompts_per_round=32, verbose=0).history
        assert history["reward"][0] < 0.3
        assert min(history["reward"][-2:]) > 0.6
        assert history["kl"][0] == pytest.approx(0, abs=1e-5)
        assert history["kl"][-1] > 1
        assert policy.training


def test_a_price_on_leaving_keeps_near_the_reference() -> None:
    away = []
    for beta in (0.0, 1.0):
        trainer = seq.PPOTrainer(tiny(0), threes, max_new_tokens=6, beta=beta, learning_rate=1e-2)
        away.append(trainer.fit(PROMPTS, 8, prompts_per_round=32, verbose=0).history["kl"][-1])
    assert away[1] < away[0] / 4


def test_a_round_is_what_the_formulas_say() -> None:
    policy, reference = tiny(0).eval(), tiny(1).eval()
    for parameter in (*policy.parameters(), *reference.parameters()):
        parameter.data[...] *= 4  # models that differ
    before = copy.deepcopy(policy)
    seen: list[Any] = []

    def reward(tokens: Any, *, attention_mask: Any) -> Any:
        seen.extend((tokens, attention_mask))
        return np.arange(len(tokens), dtype=np.float32)

    beta, gamma, lam = 0.3, 0.9, 0.8
    trainer = seq.PPOTrainer(
        policy,
        reward,
        reference=reference,
        max_new_tokens=5,
        eos_token_id=0,
        beta=beta,
        gamma=gamma,
        lam=lam,
        passes=1,
        batch_size=100,
    )
    figures = trainer.step(PROMPTS * 4)
    tokens, mask = seen
    prompt = 3
    assert tokens.shape == mask.shape == (12, tokens.shape[1])
    np.testing.assert_array_equal(mask[:3, :prompt], [[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    away, squares, lengths = [], [], []
    for row in range(12):
        text = list(tokens[row][mask[row]])
        start = len(PROMPTS[row % 3])
        answer = text[start:]
        assert answer.count(0) <= 1
        assert 0 not in answer[:-1]
        assert len(answer) == 5 or answer[-1] == 0
        with ek.no_grad():
            logs = [
                ops.log_softmax(model(np.array([text[:-1]])), -1).numpy()[0] for model in (before, reference)
            ]
        gaps = [float(np.subtract(*(log[start - 1 + i, a] for log in logs))) for i, a in enumerate(answer)]
        rewards = [-beta * gap for gap in gaps]
        rewards[-1] += row
        # The value head begins at zero: values are 0, and returns are the discounted rewards.
        returns = [
            sum((gamma * lam) ** (j - i) * rewards[j] for j in range(i, len(answer)))
            for i in range(len(answer))
        ]
        away.append(sum(gaps))
        squares += [r * r for r in returns]
        lengths.append(len(answer))
    assert min(lengths) < 5 == max(lengths)
    assert figures["kl"] == pytest.approx(np.mean(away), rel=1e-3)
    assert figures["value_loss"] == pytest.approx(np.mean(squares), rel=1e-3)
    assert figures["length"] == pytest.approx(np.mean(lengths))
    assert figures["reward"] == pytest.approx(5.5)
    # In the first pass all ratios are 1, and the advantages have mean 0.
    assert figures["policy_loss"] == pytest.approx(0, abs=1e-5)
    assert figures["clipped"] == 0
    assert not policy.training


def test_an_interruption_keeps_whole_rounds_and_a_model_that_works() -> None:
    calls = 0

    def reward(tokens: Any, *, attention_mask: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return threes(tokens, attention_mask=attention_mask)

    policy = tiny(0)
    trainer = seq.PPOTrainer(policy, reward, max_new_tokens=6)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(PROMPTS, 5, prompts_per_round=4, verbose=0)
    assert trainer.history.epoch == [0, 1]
    assert len(trainer.history.history["reward"]) == 2
    assert policy.training
    trainer.fit(PROMPTS, 1, prompts_per_round=4, verbose=0)
    assert trainer.history.epoch == [0, 1, 2]
    assert len(policy.generate(np.array([1]), 3)) == 4


def test_a_reward_model_learns_what_is_chosen_whatever_rows_are_filled_with() -> None:
    model = seq.RewardModel(tiny(0))
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 8, rng.integers(3, 9)) for _ in range(120)]
    chosen = [np.append(text, 3) for text in texts]
    rejected = [np.append(text, 4) for text in texts]
    assert not model(chosen[0][None]).numpy().any()
    history = seq.fit_rewards(model, chosen[:80], rejected[:80], epochs=6, learning_rate=1e-2, verbose=0)
    assert history.history["loss"][-1] < 0.2 < history.history["loss"][0]
    assert history.history["accuracy"][-1] > 0.95
    assert model.training
    model.eval()
    one, other = (
        np.concatenate([model(text[None]).numpy() for text in of[80:]]) for of in (chosen, rejected)
    )
    assert (one > other).mean() > 0.9
    longest = max(map(len, chosen))
    rows, mask = np.full((120, longest), 7), np.zeros((120, longest), bool)
    for i, text in enumerate(chosen):
        rows[i, : len(text)], mask[i, : len(text)] = text, True
    np.testing.assert_allclose(model(rows[80:], attention_mask=mask[80:]).numpy(), one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "beta is -1.0"),
        ({"clip": 0}, "clip is 0"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"passes": 0}, "passes is 0"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ek.ArgumentError, match=f"^PPOTrainer: {message}"):
        seq.PPOTrainer(tiny(0), threes, **options)


def test_rewards_and_texts_that_are_none() -> None:
    policy = tiny(0)
    weights = [p.numpy().copy() for p in policy.parameters()]
    for given, error in (
        (np.ones(2), ek.ShapeError),
        ([np.nan] * 3, ek.NonFiniteError),
        (["good", "bad", "good"], ek.ArgumentError),
        (["1", "2", "3"], ek.ArgumentError),
        ([None] * 3, ek.ArgumentError),
        ([[1.0], [1.0, 2.0], []], ek.ArgumentError),
    ):
        with pytest.raises(error, match="PPOTrainer: reward gave"):
            seq.PPOTrainer(policy, lambda t, attention_mask, g=given: g, max_new_tokens=2).step(PROMPTS)
    assert all((p.numpy() == w).all() for p, w in zip(policy.parameters(), weights, strict=True))
    trainer = seq.PPOTrainer(policy, threes)
    for prompts in ([], [[]], [[0.5]]):
        with pytest.raises(ek.ShapeError, match="PPOTrainer"):
            trainer.step(prompts)
    with pytest.raises(ek.ShapeError, match="no prompts"):
        trainer.fit([], 1)
    with pytest.raises(ek.ShapeError, match="1 chosen and 2 rejected"):
        seq.fit_rewards(seq.RewardModel(policy), [[1]], [[1], [2]])
