"""A model of what people prefer, learned from comparisons: the second of the three steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import nn, ops, optim
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models.causal import CausalLM
from einkorn.seq.preference import comparison_loss
from einkorn.training.history import History
from einkorn.training.rounds import go, parts, whole

__all__ = ["RewardModel", "fit_rewards"]


class RewardModel(nn.Module):
    """A decoder with a number for a head: the reward of a text (Ouyang et al. 2022, section 3.5).

    Parameters
    ----------
    body : CausalLM
        A language model, as a rule a copy of the one that supervised fine-tuning gave. It is trained too.

    Notes
    -----
    The head begins at zero, so every text has the reward 0 before training.
    """

    def __init__(self, body: CausalLM) -> None:
        super().__init__()
        if not isinstance(body, CausalLM):
            raise ArgumentError(f"RewardModel: body is a {type(body).__name__}, expected a CausalLM")
        self.body = body
        self.score = nn.Linear(int(body.head().shape[1]), 1)
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)

    def forward(self, input_ids: Any, *, attention_mask: Any = None) -> Any:
        """Rewards of texts, read after the last token of each.

        Parameters
        ----------
        input_ids : integer array [batch, length]
        attention_mask : array [batch, length], keyword-only, optional
            0 where a text is filled up.

        Returns
        -------
        Tensor [batch]
        """
        hidden = self.body.last_hidden(input_ids, attention_mask=attention_mask)
        count, length = hidden.shape[:2]
        last = np.full(count, length - 1)
        if attention_mask is not None:
            last -= np.argmax(np.asarray(attention_mask).astype(bool)[:, ::-1], axis=1)
        picked = ops.getitem(hidden, (np.arange(count), last))
        return ops.reshape(self.score(picked), (count,))


def fit_rewards(
    model: RewardModel,
    chosen: Sequence[Any],
    rejected: Sequence[Any],
    *,
    epochs: int = 1,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    verbose: int = 1,
) -> History:
    """Teach a reward model that each chosen text is better than the rejected one (:func:`comparison_loss`).

    Parameters
    ----------
    model : RewardModel
    chosen, rejected : sequence of integer arrays [tokens]
        Whole texts, prompt and answer; as many of each.
    epochs : int, keyword-only, default 1
        Passes over the comparisons. More than a few learn them by heart.
    batch_size : int, keyword-only, default 32
    learning_rate : float, keyword-only, default 1e-3
        Of Adam.
    verbose : int, keyword-only, default 1
        0: nothing is shown.

    Returns
    -------
    History
        By epoch "loss", and "accuracy": the share of comparisons in which the chosen text had the greater
        reward, each before it was learned from.

    Raises
    ------
    ShapeError
        There are not as many of both, or none.
    ArgumentError
        The model is no reward model, or an option is out of its range.
    """
    op = "fit_rewards"
    if not isinstance(model, RewardModel):
        raise ArgumentError(f"{op}: model is a {type(model).__name__}, expected a RewardModel")
    if len(chosen) != len(rejected) or not len(chosen):
        raise ShapeError(
            f"{op}: {len(chosen)} chosen and {len(rejected)} rejected, expected as many, at least one"
        )
    size = whole(op, "batch_size", batch_size)
    texts = [np.asarray(text, np.int64) for text in (*chosen, *rejected)]
    count, longest = len(chosen), max(len(text) for text in texts)
    tokens, mask = np.zeros((2 * count, longest), np.int64), np.zeros((2 * count, longest), bool)
    for row, text in enumerate(texts):
        if text.ndim != 1 or not len(text):
            raise ShapeError(f"{op}: a text has shape {text.shape}, expected [tokens], at least one")
        tokens[row, : len(text)], mask[row, : len(text)] = text, True
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=learning_rate)

    def epoch() -> dict[str, float]:
        total = right = 0.0
        for rows in parts(count, size):
            both = np.concatenate([rows, rows + count])
            rewards = model(tokens[both], attention_mask=mask[both])
            first, second = rewards[: len(rows)], rewards[len(rows) :]
            loss = comparison_loss(first, second)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += float(loss) * len(rows)
            right += float((first.numpy() > second.numpy()).sum())
        return {"loss": total / count, "accuracy": right / count}

    training = model.training
    model.train()
    try:
        return go(op, History(), epochs, epoch, verbose, name="epochs")
    finally:
        model.train(training)
