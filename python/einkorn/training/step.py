"""One batch of a training: forward, loss, backward, and the update when enough batches have come together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._range_checks import later
from einkorn._tensor import Tensor
from einkorn.errors import EinkornError
from einkorn.nn.constraints import constrain, constrained
from einkorn.nn.regularizers import penalty_of
from einkorn.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from einkorn.optim import Optimizer
from einkorn.training.compiled import Compiled
from einkorn.training.devices import on_device
from einkorn.training.forward import Forward

__all__ = ["Batched", "Stepper"]


class Batched:
    """What a batch gave.

    Attributes
    ----------
    value : Tensor
        The loss, to go back from.
    number : float
    parts : float or list of float
        What the figures take: the loss, or the losses of several outputs.
    values, wanted : array or tuple of arrays
        The outputs, and the targets as the loss takes them.
    """

    __slots__ = ("_loss", "_total", "number", "parts", "value", "values", "wanted")

    def __init__(self, loss: Any, value: Any, number: float, parts: Any, values: Any, wanted: Any) -> None:
        self._loss = loss
        self._total: float | None = None
        self.value = value
        self.number = number
        self.parts = parts
        self.values = values
        self.wanted = wanted

    @property
    def total(self) -> float:
        """What the batch counts; 0 if there is nothing to learn from."""
        total = self._total
        if total is None:
            total = self._total = self._loss.total(self.values, self.wanted)
        return total


class Stepper(Forward):
    """Forward and update of one model.

    The gradients of ``gradient_accumulation_steps`` batches are those of one large batch: each counts as
    its rows, or elements, do in the mean over all.
    """

    def __init__(self, model: Any, compiled: Compiled, optimizer: Optimizer, op: str) -> None:
        super().__init__(model, compiled, op)
        self.optimizer = optimizer
        self.constrained = constrained(model)
        self.gathered = 0  # batches since the last update
        self.weight = 0.0  # what they count together
        # The mean of nothing is NaN: with such a loss that is a number, nothing has to be counted between
        # the forward and the backward pass, where a thread that waits might fall asleep.
        self.counts_all = False
        # Whether the first batch has shown that the shortest way will do: one loss, a mean, nothing added.
        self.short = False
        self.every = compiled.accumulate
        # What an optimizer of einkorn.keras makes of the loss to go back from, and its step makes up for.
        self.scale_loss = getattr(optimizer, "scale_loss", None)

    def forward(self, inputs: Any, target: Any, weight: np.ndarray | None) -> Batched:
        """The loss of a batch, recorded."""
        if self.gathered == 0:
            self.optimizer.zero_grad()
        first = self.fresh
        with later(self.state.device) as look:
            output, values = self.run(inputs)
            loss = self.loss
            wanted = loss.prepare(values, target)
            value, parts = self.loss_of(output, wanted, weight)
            if self.compiled.loss_weight != 1.0:
                value = ops.multiply(value, self.compiled.loss_weight)
            if self.penalized:
                penalty = penalty_of(self.penalized)
                if penalty is not None:
                    value = ops.add(value, penalty)
                    if parts is not None:
                        parts.append(penalty.item())
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise EinkornError(
                    f"{self.op}: the loss does not depend on any parameter that requires a gradient"
                )
            look()
            number = value.item()
            values = values if self.state.device == "cpu" else on_device(values, "cpu")
        if first:
            self.counts_all = loss.is_mean
            self.short = self._is_short()
        return Batched(loss, value, number, number if parts is None else parts, values, wanted)

    def _is_short(self) -> bool:
        loss = self.loss
        same = self.plain and loss.is_mean and (loss.from_logits is not False or not loss.of_classes)
        nothing_added = self.compiled.loss_weight == 1.0 and not self.penalized and self.scale_loss is None
        return same and nothing_added and self.every == 1 and self.state.device == "cpu"

    def is_whole(self) -> bool:
        """Whether ``whole`` will do from the next batch on."""
        return self.short and not self.fresh

    def whole(self, inputs: Any, target: np.ndarray, always: bool) -> tuple[float, float, np.ndarray, Any]:
        """A batch from ``zero_grad`` to the update: ``forward`` and ``learn`` for one loss that is a mean.

        In as few calls as there are steps: they count where a model is small. The result is the loss, what
        the batch counts, the outputs, and what is wanted. A loss that is not finite teaches nothing, but
        ``always``; the mean of nothing never does.
        """
        self.optimizer.zero_grad()
        output = self.model(*inputs)
        loss = self.loss
        values = output._data if type(output) is Tensor else None
        if type(values) is not np.ndarray:
            values = loss.outputs(output, self.op)
        even = loss.even and target.ndim == 1 and values.ndim == 2 and len(target) == len(values)
        wanted = target if even else loss.prepare(values, target)
        value = loss.function(output, wanted)
        number = value._data.item()
        # What the batch counts is looked at when all is done: between the passes a thread would fall asleep.
        if math.isfinite(number) or (always and loss.total(values, wanted)):
            value.backward()
            self._apply()
        return number, float(len(target)) if even else loss.total(values, wanted), values, wanted

    def teaches(self, batch: Batched) -> bool:
        """Whether there is something to do with a batch: to learn from it, or to count it."""
        return self.every > 1 or bool(batch.total)

    def learn(self, batch: Batched) -> None:
        """Backward, and the update if it is due."""
        every = self.every
        value = batch.value if self.scale_loss is None else self.scale_loss(batch.value)
        if every == 1:
            value.backward()
            self._apply()
            return
        if batch.total:
            if self.loss.summed:
                value.backward()
            else:
                ops.multiply(value, batch.total).backward()
            self.weight += batch.total
        self.gathered += 1
        if self.gathered == every:
            self.update()

    def update(self) -> None:
        """The update with what has been gathered, if anything has."""
        if self.gathered and self.weight:
            if not self.loss.summed:
                for group in self.optimizer.param_groups:
                    for param in group["params"]:
                        if param.grad is not None:
                            param.grad.mul_(1.0 / self.weight)
            self._apply()
        self.gathered, self.weight = 0, 0.0

    def _apply(self) -> None:
        compiled = self.compiled
        clips = compiled.clips
        if clips is not None:
            params = [param for group in self.optimizer.param_groups for param in group["params"]]
            if clips.clipvalue is not None:
                clip_grad_value_(params, clips.clipvalue)
            if clips.clipnorm is not None:
                for param in params:
                    clip_grad_norm_([param], clips.clipnorm)
            if clips.global_clipnorm is not None:
                clip_grad_norm_(params, clips.global_clipnorm)
        self.optimizer.step()
        if self.constrained:
            constrain(self.constrained)
