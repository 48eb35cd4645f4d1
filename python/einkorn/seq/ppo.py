"""Language models that learn from rewards by proximal policy optimisation: the third of the three steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import nn, no_grad, ops, optim
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, NonFiniteError, ShapeError
from einkorn.models._inputs import check_token
from einkorn.models.causal import CausalLM
from einkorn.seq.generation import generate
from einkorn.seq.preference import generalised_advantages, ppo_loss
from einkorn.training.history import History
from einkorn.training.rounds import go, parts, whole

__all__ = ["PPOTrainer"]


class _Answers(NamedTuple):
    """What the policy wrote, and what it thought of it then."""

    tokens: Any  # [batch, length]: prompts and answers
    mask: Any  # [batch, length]
    kept: Any  # [batch, new]: tokens of answers that count
    log_probs: Any  # [batch, new]
    values: Any  # [batch, new]
    reference: Any  # [batch, new]: logarithms of probability by the model before
    scores: Any  # [batch]: the rewards


class PPOTrainer:
    """A language model that learns to write what is rewarded, and stays near the model it was.

    Each round draws answers, rewards them, and takes several passes over them with :func:`ppo_loss`. Every
    token costs ``beta`` times the logarithm of how much likelier it is than by the reference, the last one
    earns the reward (Ziegler et al. 2019; Ouyang et al. 2022, equation 2). A value head on the policy's last
    layer tells what is expected, and :func:`generalised_advantages` how much better it went.

    Parameters
    ----------
    policy : CausalLM
        The model that learns. It is in evaluation meanwhile: dropout would make other probabilities of it
        than those it drew by.
    reward : callable
        A :class:`RewardModel`, or a function: called as ``reward(tokens, attention_mask=mask)`` with prompts
        and answers [batch, length]; gives a number for each, [batch].
    reference : CausalLM, keyword-only, optional
        Default: a copy of ``policy`` as it is now.
    max_new_tokens : int, keyword-only, default 20
    eos_token_id, pad_token_id : int, keyword-only, optional
        The token that ends an answer, and what follows it (default the former, or 0).
    beta : float, keyword-only, default 0.05
        How dear it is to leave the reference; 0: for free.
    gamma, lam : float, keyword-only, default 1.0, 0.95
        As of :func:`generalised_advantages`.
    clip : float, keyword-only, default 0.2
        As of :func:`ppo_loss`.
    value_weight : float, keyword-only, default 0.1
        Of the squared error of the values in the loss.
    passes : int, keyword-only, default 4
        Over the answers of a round.
    batch_size : int, keyword-only, default 32
        Answers in one step of the optimiser.
    learning_rate : float, keyword-only, default 1e-3
        Of Adam.
    max_norm : float, keyword-only, default 1.0
        Of the gradients.

    Attributes
    ----------
    value_head : Linear
    history : History
        By round the mean "reward", "kl" (nats by which answers left the reference, by those drawn), "length"
        of answers, "policy_loss", "value_loss", and "clipped": the share of tokens beyond the clip.

    Raises
    ------
    ArgumentError
        An option is out of its range.
    """

    def __init__(
        self,
        policy: CausalLM,
        reward: Callable[..., Any],
        *,
        reference: CausalLM | None = None,
        max_new_tokens: int = 20,
        eos_token_id: int | None = None,
        pad_token_id: int | None = None,
        beta: float = 0.05,
        gamma: float = 1.0,
        lam: float = 0.95,
        clip: float = 0.2,
        value_weight: float = 0.1,
        passes: int = 4,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        max_norm: float = 1.0,
    ) -> None:
        op = "PPOTrainer"
        if not callable(reward):
            raise ArgumentError(f"{op}: reward is {reward!r}, expected a function or a RewardModel")
        for name, model in (("policy", policy), ("reference", policy if reference is None else reference)):
            if not isinstance(model, CausalLM):
                raise ArgumentError(f"{op}: {name} is a {type(model).__name__}, expected a CausalLM")
            if model.vocab_size != policy.vocab_size:
                raise ArgumentError(
                    f"{op}: {name} has {model.vocab_size} tokens, expected the policy's {policy.vocab_size}"
                )
        check_token(op, "eos_token_id", eos_token_id, policy.vocab_size)
        check_token(op, "pad_token_id", pad_token_id, policy.vocab_size)
        for name, number in (("beta", beta), ("value_weight", value_weight)):
            if not number >= 0:
                raise ArgumentError(f"{op}: {name} is {number!r}, expected a number from 0")
        for name, number in (("clip", clip), ("learning_rate", learning_rate), ("max_norm", max_norm)):
            if not number > 0:
                raise ArgumentError(f"{op}: {name} is {number!r}, expected a positive number")
        for name, number in (("gamma", gamma), ("lam", lam)):
            if not 0 <= number <= 1:
                raise ArgumentError(f"{op}: {name} is {number!r}, expected a number from 0 to 1")
        self.policy, self.reward = policy, reward
        self.reference = copy.deepcopy(policy) if reference is None else reference
        self.max_new_tokens = whole(op, "max_new_tokens", max_new_tokens)
        self.eos_token_id = eos_token_id
        self.pad_token_id = (eos_token_id or 0) if pad_token_id is None else int(pad_token_id)
        self.beta, self.gamma, self.lam, self.clip = beta, gamma, lam, clip
        self.value_weight, self.max_norm = value_weight, max_norm
        self.passes, self.batch_size = whole(op, "passes", passes), whole(op, "batch_size", batch_size)
        self.value_head = nn.Linear(int(policy.head().shape[1]), 1)
        for parameter in self.value_head.parameters():
            nn.init.zeros_(parameter)
        self._learned = [p for p in (*policy.parameters(), *self.value_head.parameters()) if p.requires_grad]
        self.optimizer = optim.Adam(self._learned, lr=learning_rate)
        self.history = History()

    def fit(
        self, prompts: Sequence[Any], rounds: int, *, prompts_per_round: int = 64, verbose: int = 1
    ) -> History:
        """Learn for so many rounds from drawn prompts.

        Parameters
        ----------
        prompts : sequence of integer arrays [tokens]
            Of any lengths; an array [count, length] will do.
        rounds : int
        prompts_per_round : int, keyword-only, default 64
            Drawn anew each round; a prompt may come several times.
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
        count = whole("PPOTrainer.fit", "prompts_per_round", prompts_per_round)
        if not len(prompts):
            raise ShapeError("PPOTrainer.fit: there are no prompts")

        def one() -> dict[str, float]:
            drawn: list[int] = []
            while len(drawn) < count:
                drawn.extend(parts(len(prompts), len(prompts))[0])
            return self.step([prompts[i] for i in drawn[:count]])

        return go("PPOTrainer", self.history, rounds, one, verbose)

    def step(self, prompts: Sequence[Any]) -> dict[str, float]:
        """One round: answer these prompts and learn from it.

        Returns
        -------
        dict of str to float
            The figures of ``history``, which gets none of them here.

        Raises
        ------
        ArgumentError, ShapeError
            The rewards are no numbers, or not one for each text.
        NonFiniteError
            A reward is not finite; nothing was learned from this round.
        """
        modes = [(model, model.training) for model in (self.policy, self.reference)]
        for model, _ in modes:
            model.eval()
        try:
            answers = self._answer(prompts)
            figures = self._learn(answers)
        finally:
            for model, mode in modes:
                model.train(mode)
        away = ((answers.log_probs - answers.reference) * answers.kept).sum(1)
        return {
            "reward": float(answers.scores.mean()),
            "kl": float(away.mean()),
            "length": float(answers.kept.sum(1).mean()),
            **figures,
        }

    def _answer(self, prompts: Sequence[Any]) -> _Answers:
        start = _filled(prompts, self.pad_token_id)
        with no_grad():
            tokens = generate(
                self.policy,
                start[0],
                self.max_new_tokens,
                do_sample=True,
                top_k=None,
                eos_token_id=self.eos_token_id,
                pad_token_id=self.pad_token_id,
                attention_mask=start[1],
            )
            new = tokens[:, start[0].shape[1] :]
            kept = np.ones(new.shape, bool)
            if self.eos_token_id is not None:  # what follows the first end does not count, the end does
                ended = np.cumsum(new == self.eos_token_id, 1)
                kept[:, 1:] = ended[:, :-1] == 0
            mask = np.concatenate([start[1], kept], 1)
            log_probs, values = self._read(self.policy, tokens, mask, new.shape[1])
            reference, _ = self._read(self.reference, tokens, mask, new.shape[1])
            scores = self.reward(tokens, attention_mask=mask)
        try:
            scores = np.asarray(scores.numpy() if isinstance(scores, Tensor) else scores)
            numbers = scores.dtype.kind in "biuf"
        except ValueError:  # rows of several lengths
            numbers = False
        if not numbers:
            raise ArgumentError(
                f"PPOTrainer: reward gave {scores!r:.80}, expected one number for each text, ({len(tokens)},)"
            )
        scores = scores.astype(np.float32)
        if scores.shape != (len(tokens),):
            raise ShapeError(
                f"PPOTrainer: reward gave shape {scores.shape}, expected one number for each text,"
                f" ({len(tokens)},)"
            )
        if not np.isfinite(scores).all():
            raise NonFiniteError("PPOTrainer: reward gave numbers that are not finite")
        return _Answers(tokens, mask, kept, log_probs.numpy(), values.numpy(), reference.numpy(), scores)

    def _read(self, model: CausalLM, tokens: Any, mask: Any, new: int) -> tuple[Any, Any]:
        """Logarithms of probability of the last ``new`` tokens, and the values before each, [batch, new]."""
        hidden = model.last_hidden(tokens[:, :-1], attention_mask=mask[:, :-1])
        shape = (len(tokens), new)
        hidden = ops.reshape(hidden[:, hidden.shape[1] - new :], (shape[0] * new, -1))
        scores = ops.linear(hidden, model.head(), model.head_bias())
        losses = ops.cross_entropy(scores, tokens[:, -new:].ravel(), reduction="none")
        values = self.value_head(hidden)
        return ops.reshape(losses, shape) * -1.0, ops.reshape(values, shape)

    def _learn(self, answers: _Answers) -> dict[str, float]:
        kept = answers.kept
        rewards = -self.beta * (answers.log_probs - answers.reference) * kept
        last = kept.sum(1) - 1
        ends = np.arange(kept.shape[1]) >= last[:, None]
        rewards[np.arange(len(kept)), last] += answers.scores
        advantages, returns = generalised_advantages(rewards, answers.values, self.gamma, self.lam, ends=ends)
        chosen = advantages[kept]
        advantages = (advantages - chosen.mean()) / (chosen.std() + 1e-6)
        sums = np.zeros(4)
        for _ in range(self.passes):
            for rows in parts(len(kept), self.batch_size):
                places = np.flatnonzero(kept[rows])
                log_probs, values = self._read(
                    self.policy, answers.tokens[rows], answers.mask[rows], kept.shape[1]
                )
                now, value = ops.reshape(log_probs, (-1,))[places], ops.reshape(values, (-1,))[places]
                old = answers.log_probs[rows].ravel()[places]
                loss = ppo_loss(now, old, advantages[rows].ravel()[places], self.clip)
                error = ops.mse_loss(value, returns[rows].ravel()[places])
                self.optimizer.zero_grad()
                (loss + error * self.value_weight).backward()
                nn.utils.clip_grad_norm_(self._learned, self.max_norm)
                self.optimizer.step()
                beyond = np.abs(np.exp(now.numpy() - old) - 1) > self.clip
                sums += (float(loss), float(error), float(beyond.mean()), 1)
        return dict(zip(("policy_loss", "value_loss", "clipped"), sums[:3] / sums[3], strict=True))


def _filled(prompts: Sequence[Any], pad: int) -> tuple[Any, Any]:
    """Prompts as rows filled up on the left, and which tokens are theirs."""
    rows = [np.asarray(p.numpy() if isinstance(p, Tensor) else p) for p in prompts]
    for row in rows:
        if row.ndim != 1 or not len(row) or row.dtype.kind not in "iu":
            raise ShapeError(
                f"PPOTrainer: a prompt has shape {row.shape} and dtype {row.dtype}, expected integers"
                " [tokens], at least one"
            )
    if not rows:
        raise ShapeError("PPOTrainer: there are no prompts")
    longest = max(map(len, rows))
    tokens, mask = np.full((len(rows), longest), pad, np.int64), np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        tokens[i, longest - len(row) :], mask[i, longest - len(row) :] = row, True
    return tokens, mask
