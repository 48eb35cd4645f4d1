"""One batch at a time: Keras' ``..._on_batch``, and the steps of ``fit`` that a model may redefine."""

from __future__ import annotations

from typing import Any

from einkorn.errors import EinkornError

__all__ = ["Stepping"]


class _Metrics:
    """The attribute ``metrics``, which steps aside for one of the model's own."""

    def __get__(self, model: Any, owner: type) -> Any:
        if model is None:
            return self
        from einkorn.training.held_metrics import held_by
        from einkorn.training.own_steps import trackers_of
        from einkorn.training.state import state_of

        return [*trackers_of(state_of(model)), *held_by(model)]


class Stepping:
    """``train_on_batch``, ``test_on_batch``, ``predict_on_batch``, and the steps to redefine.

    Attributes
    ----------
    metrics : list
        The mean loss and the metrics of ``compile``, as objects with ``name``, ``update_state``,
        ``result`` and ``reset_state``, for a ``train_step`` or ``test_step`` of your own; then the metrics
        that the model and its layers have as attributes, alone or in lists and dicts. As in Keras the figures
        of these are in the logs too, and a model may have a property ``metrics`` that gives others.
    """

    metrics = _Metrics()

    def reset_metrics(self) -> None:
        """Forget what all ``metrics`` were given, as each epoch and each evaluation does at its beginning."""
        from einkorn.training.held_metrics import listed

        for metric in listed(self):
            metric.reset_state()

    def train_step(self, data: Any) -> dict[str, float]:
        """What ``fit`` does with a batch; redefine it to train in another way.

        A step of your own computes a loss, goes back and updates with ``self.optimizer``. As in Keras the
        figures of an epoch are what its last step returned, so return those of all rows so far:
        ``{m.name: m.result() for m in self.metrics}``.

        Parameters
        ----------
        data : (x, y) or (x, y, sample_weight)

        Returns
        -------
        dict of str to number
            The figures of the epoch so far.
        """
        from einkorn.training.own_steps import batched
        from einkorn.training.state import state_of

        state = state_of(self)
        if state.stepper is None or state.figures is None:
            raise EinkornError("train_step: is called by fit and train_on_batch, expected one of them to run")
        inputs, target, weight = batched(data, "train_step")
        batch = state.stepper.forward(inputs, target, weight)
        if state.stepper.teaches(batch):
            state.stepper.learn(batch)
        state.figures.add(batch.parts, batch.total, batch.values, batch.wanted, weight)
        return state.held.beside(state.figures.running(), within=True)

    def test_step(self, data: Any) -> dict[str, float]:
        """What ``evaluate`` does with a batch; arguments and result as for ``train_step``."""
        from einkorn.training.own_steps import batched
        from einkorn.training.state import state_of

        state = state_of(self)
        if state.tester is None:
            raise EinkornError("test_step: is called by evaluate, fit and test_on_batch, expected one to run")
        inputs, target, weight = batched(data, "test_step")
        state.tester.add(state.figures, inputs, target, weight)
        return state.held.beside(state.figures.running(), within=True)

    def predict_step(self, data: Any) -> Any:
        """What ``predict`` does with the inputs of a batch: call the model."""
        from einkorn.training.batches import call_model
        from einkorn.training.own_steps import batched

        return call_model(self, batched((data, None), "predict_step")[0])

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        """The loss of ``compile`` for a batch, to go back from.

        Parameters
        ----------
        x : ignored
            As Keras calls it.
        y, y_pred : targets and outputs
        sample_weight : array [rows], optional
        """
        from einkorn import ops
        from einkorn.nn.regularizers import penalized, penalty_of
        from einkorn.training.compiled import compiled_of

        _, compiled, _ = compiled_of(self, "compute_loss")
        loss = compiled.loss
        values = loss.outputs(y_pred, "compute_loss")
        loss = loss.settle(values)
        value, _ = loss.batch(y_pred, loss.prepare(values, y), sample_weight)
        if compiled.loss_weight != 1.0:
            value = ops.multiply(value, compiled.loss_weight)
        penalty = penalty_of(penalized(self))
        return value if penalty is None else ops.add(value, penalty)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update with one batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight : as for ``fit``
            Arrays, all rows of which are the batch.
        return_dict : bool, default False

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and them; with ``return_dict`` a dict. They are
            those of this batch, before the update.
        """
        from einkorn.training.on_batch import train_on_batch

        return _shown(train_on_batch(self, x, y, sample_weight, class_weight), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch in evaluation mode; arguments and result as ``train_on_batch``."""
        from einkorn.training.on_batch import test_on_batch

        return _shown(test_on_batch(self, x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch in evaluation mode, as ``predict`` gives them."""
        from einkorn.training.on_batch import predict_on_batch

        return predict_on_batch(self, x)


def _shown(logs: dict[str, float], return_dict: bool) -> Any:
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values
