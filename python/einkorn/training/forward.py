"""The way of a batch through a model to what its loss takes, while training and while evaluating."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor
from einkorn.nn.regularizers import penalized
from einkorn.training import hints
from einkorn.training.batches import call_model
from einkorn.training.compiled import Compiled
from einkorn.training.devices import on_device
from einkorn.training.losses import Loss
from einkorn.training.state import state_of

__all__ = ["Forward"]


class Forward:
    """A model with its loss, which the first batch settles: only then is it known what the outputs are.

    On a GPU a batch is waited for once, where its loss is read: checks of indices and the outputs that the
    figures take, which are the CPU's, are read along with it.
    """

    def __init__(self, model: Any, compiled: Compiled, op: str) -> None:
        self.model = model
        self.compiled = compiled
        self.state = state_of(model)
        self.loss = compiled.loss
        self.op = op
        self.penalized = penalized(model)
        self.fresh = True
        # One loss of one output, in the model's own types: the way of every batch is then found out here,
        # once, for after the data of a batch have gone through the caches each call of Python is a slow one.
        self.plain = type(compiled.loss) is Loss and not compiled.autocast

    def run(self, inputs: Any) -> tuple[Any, Any]:
        """What the model gives for a batch, and the arrays of it, where they are."""
        if self.fresh:
            output = hints.call(self.model, inputs, self.op)
            values = self.loss.outputs(output, self.op)
            here = on_device(values, "cpu")
            self.loss = self.loss.settle(here, lambda: hints.ends_in(self.model))
            self.fresh = False
            return output, values
        if self.plain and type(inputs) is tuple and self.state.device == "cpu":
            output = self.model(*inputs)
            if type(output) is Tensor and type(output._data) is np.ndarray:
                return output, output._data
        else:
            output = call_model(self.model, inputs)
        return output, self.loss.outputs(output, self.op)

    def loss_of(self, output: Any, wanted: Any, weight: Any) -> tuple[Any, Any]:
        """The loss of a batch, and its parts, where the model is."""
        device = self.state.device
        if self.plain and weight is None and device == "cpu":
            return self.loss.mean(output, wanted), None
        if device == "cpu":
            return self.loss.batch(output, wanted, weight)
        return self.loss.batch(output, on_device(wanted, device), on_device(weight, device))
