"""Losses of preferences: their formulas, and a small model that learns one."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, nn, optim, seq


def _gpt(vocabulary=8):
    return models.GPT(vocabulary, 12, 16, 1, 2, dropout=0.0)


def test_a_model_learns_what_is_preferred():
    ek.manual_seed(0)
    model, before = models.GPT(8, 12, 16, 1, 2, dropout=0.0), models.GPT(8, 12, 16, 1, 2, dropout=0.0).eval()
    before.load_state_dict(model.state_dict())
    rng = np.random.default_rng(0)
    prompts = [rng.integers(1, 8, 3) for _ in range(8)]
    sets = [seq.prefix_batch(prompts, [[token, 0]] * 8, 0) for token in (5, 2)]

    def of(one, which):
        inputs, labels, mask = sets[which]
        return seq.sequence_log_probs(one, inputs, labels, attention_mask=mask)

    with ek.no_grad():
        references = [of(before, which).numpy() for which in (0, 1)]
        logs = ek.ops.log_softmax(before(sets[0][0]), -1).numpy()
    by_hand = logs[np.arange(8), 2, 5] + logs[np.arange(8), 3, 0]
    np.testing.assert_allclose(references[0], by_hand, rtol=1e-5)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for step in range(30):
        loss = seq.dpo_loss(of(model, 0), of(model, 1), *references, 0.5)
        if step == 0:
            assert float(loss) == pytest.approx(np.log(2), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.2
    with ek.no_grad():
        assert (of(model, 0).numpy() > of(model, 1).numpy()).all()


def test_advantages_are_sums_of_surprises():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 3, 5))
    gamma, lam = 0.9, 0.8
    after = np.concatenate([values[:, 1:], np.zeros((3, 1))], 1)
    surprises = rewards + gamma * after - values
    expected = [
        [sum((gamma * lam) ** (j - i) * row[j] for j in range(i, 5)) for i in range(5)] for row in surprises
    ]
    advantages, returns = seq.generalised_advantages(rewards, values, gamma, lam)
    np.testing.assert_allclose(advantages, expected)
    np.testing.assert_allclose(returns, advantages + values)

    # Episodes that end within a row: after the second and the last step, or where only the time is over.
    ends = np.tile([False, True, False, False, True], (3, 1))
    next_values = rng.normal(size=(3, 5))
    for given, then in ((next_values, next_values), (None, np.where(ends, 0, after))):
        surprises = rewards + gamma * then - values
        for row in range(3):
            for first, last in ((0, 1), (1, 1), (2, 4), (4, 4)):
                wanted = sum((gamma * lam) ** (j - first) * surprises[row, j] for j in range(first, last + 1))
                found, _ = seq.generalised_advantages(
                    rewards, values, gamma, lam, next_values=given, ends=ends
                )
                assert found[row, first] == pytest.approx(wanted)


def test_nothing_is_gained_beyond_the_clip():
    old = np.zeros(4, np.float32)
    new = ek.Tensor(np.log(np.float32([1.5, 1.05, 0.5, 1.5])), requires_grad=True)
    advantages = np.float32([1, 1, -1, -1])
    loss = seq.ppo_loss(new, old, advantages)
    assert float(loss) == pytest.approx(-np.mean([1.2, 1.05, -0.8, -1.5]), rel=1e-4)
    loss.backward()
    np.testing.assert_allclose(np.asarray(new.grad), [0, -1.05 / 4, 0, 1.5 / 4], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seq.comparison_loss(np.ones(3), np.ones((3, 1))), "shapes are chosen"),
        (lambda: seq.dpo_loss(*[np.ones(2)] * 4, beta=0.0), "beta is 0.0"),
        (lambda: seq.dpo_loss(*[[]] * 4), r"dpo_loss: chosen has shape \(0,\), expected at least one"),
        (lambda: seq.comparison_loss([], []), r"comparison_loss: chosen has shape \(0,\), expected at least"),
        (lambda: seq.PPOTrainer(_gpt(), 5), "reward is 5"),
        (lambda: seq.PPOTrainer(nn.Linear(2, 2), len), "policy is a Linear, expected a CausalLM"),
        (lambda: seq.PPOTrainer(_gpt(), len, reference=_gpt(9)), "reference has 9 tokens"),
        (lambda: seq.PPOTrainer(_gpt(), len, eos_token_id=8), "eos_token_id is 8"),
        (lambda: seq.PPOTrainer(_gpt(), len, pad_token_id=-1), "pad_token_id is -1"),
        (lambda: seq.RewardModel(nn.Linear(2, 2)), "body is a Linear, expected a CausalLM"),
        (lambda: seq.fit_rewards(_gpt(), [[1]], [[2]]), "model is a GPT, expected a RewardModel"),
        (
            lambda: seq.fit_rewards(seq.RewardModel(_gpt()), [[1]], [[2]], epochs=0, verbose=0),
            "epochs is 0",
        ),
        (lambda: seq.ppo_loss(*[np.ones(2)] * 3, clip=-1.0), "clip is -1.0"),
        (lambda: seq.generalised_advantages(np.ones((2, 3)), np.ones((2, 2))), "expected \\[batch"),
        (
            lambda: seq.generalised_advantages(np.ones((2, 3)), np.ones((2, 3)), ends=np.ones(3)),
            "ends have shape",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError), match=message):
        call()


def test_losses_take_lists():
    assert float(seq.comparison_loss([1, 2], [1, 2])) == pytest.approx(np.log(2))
    assert float(seq.dpo_loss([0.0], [0.0], [1.0], [1.0])) == pytest.approx(np.log(2))
