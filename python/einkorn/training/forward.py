"""The way of a batch through a model to what its loss takes, while training and while evaluating."""

from __future__ import annotations

from typing import Any

from einkorn.nn.regularizers import penalized
from einkorn.training import hints
from einkorn.training.batches import call_model
from einkorn.training.compiled import Compiled

__all__ = ["Forward"]


class Forward:
    """A model with its loss, which the first batch settles: only then is it known what the outputs are."""

    def __init__(self, model: Any, compiled: Compiled, op: str) -> None:
        self.model = model
        self.compiled = compiled
        self.loss = compiled.loss
        self.op = op
        self.penalized = penalized(model)
        self.fresh = True

    def run(self, inputs: Any) -> tuple[Any, Any]:
        """What the model gives for a batch, and that as the loss takes it."""
        if self.fresh:
            output = hints.call(self.model, inputs, self.op)
            values = self.loss.outputs(output, self.op)
            self.loss = self.loss.settle(values, lambda: hints.ends_in(self.model))
            self.fresh = False
            return output, values
        output = call_model(self.model, inputs)
        return output, self.loss.outputs(output, self.op)
