"""Keras' verbs over the library's: data and losses as Keras takes them, weights made by the first rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from einkorn import optim
from einkorn._objects import of_library
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, EinkornError
from einkorn.keras import config, optimizers
from einkorn.keras._base import Layer, built
from einkorn.keras._own_steps import as_keras_gives, test_by_loss, train_by_loss
from einkorn.keras._variables import variables_of
from einkorn.training.modes import evaluating
from einkorn.training.own_steps import trackers_of
from einkorn.training.state import Kept, state_of

__all__ = ["Trainer"]


class _OfKeras(Kept[Any]):
    """``model.optimizer``: the object that ``compile`` was given, where it was one of Keras' kind."""

    def __get__(self, model: Any, owner: type) -> Any:
        found = super().__get__(model, owner)
        if model is None:
            return found
        waiting = model.__dict__.get("_waiting")
        if waiting is not None:
            return waiting[0]
        keras = getattr(found, "keras", None)
        return keras if keras is not None and keras._bound is found else found


# Arguments of Keras' compile that say how it computes, which it does here in any case.
_IDLE = ("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss")


class Trainer(Layer):
    """``compile``, ``fit``, ``evaluate`` and ``predict`` in Keras' form."""

    optimizer = _OfKeras(lambda value: isinstance(value, (optim.Optimizer, optimizers.Optimizer)))
    _waiting: Any = None
    _keeps_its_metrics = True  # they are for the model itself, also where it is a layer of another

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if of_library(cls):
            return
        by_loss = "compute_loss" in cls.__dict__ or "compute_metrics" in cls.__dict__
        for name, usual in (("train_step", train_by_loss), ("test_step", test_by_loss)):
            own = cls.__dict__.get(name)
            if own is None and by_loss and getattr(cls, name) is getattr(Trainer, name):
                own = usual
            if own is not None:
                setattr(cls, name, as_keras_gives(own))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Any:  # fmt: skip
        """The loss of ``compile`` for a batch; a model may have one of its own.

        Parameters
        ----------
        x : ignored
        y, y_pred : targets and outputs
        sample_weight : array [rows], optional
        training : ignored
        """
        return super().compute_loss(x, y, y_pred, sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Enter a batch in the metrics of ``compile``, and give all figures so far; may be redefined."""
        for tracker in trackers_of(state_of(self))[1:]:
            tracker.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The figures so far, by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            found.update(result if isinstance(result, Mapping) else {metric.name: result})
        return found

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        **options: Any,
    ) -> None:
        """Choose how ``fit`` trains.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str, Loss, function of (y_true, y_pred), or a list or dict of them by output, optional
            None where the layers' own losses, or a ``train_step``, say what is trained for.
        loss_weights : list or dict of float by output, optional
        metrics, weighted_metrics : list, or list or dict of lists by output, optional
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Taken, and of no effect.
        **options
            Those of ``Trainable.compile``: clipnorm, autocast, ...
        """
        optimizer = optimizers.get(optimizer)
        if config.dtype_policy().name.startswith("mixed_"):
            options.setdefault("autocast", True)
        self.__dict__["_compiled_with"] = {
            "optimizer": optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, **options,
        }  # fmt: skip
        given = (optimizer, loss, loss_weights, metrics, weighted_metrics, options)
        self.__dict__["_waiting"] = None
        if built(self) and not self._unknown_outputs(loss, metrics):
            self._compile_now(*given)
        else:
            self.__dict__["_waiting"] = given

    def _unknown_outputs(self, loss: Any, metrics: Any) -> bool:
        """Whether the names of the outputs are needed, and come with the first rows only."""
        several = any(isinstance(value, (list, tuple, Mapping)) for value in (loss,))
        return several and self._output_names() is None and not self.__dict__.get("_seen_outputs")

    def _output_names(self) -> list[str] | None:
        """The names of several outputs, as far as the model knows them."""
        return None

    def _compile_now(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted: Any,
        options: dict[str, Any],
    ) -> None:
        from einkorn.keras._compile import RowLosses, by_output, loss_of, metrics_of

        names = self._output_names() or self.__dict__.get("_seen_outputs")
        # A model without weights can be evaluated: the name alone asks for no optimizer's state.
        recipe = optimizer if next(iter(self.parameters()), None) is not None else "sgd"
        if isinstance(recipe, optimizers.Optimizer):
            recipe.know(variables_of(self))
            limits = [name for name, value in options.items() if "clip" in name and value is not None]
            if limits and recipe.scales:
                raise ArgumentError(
                    f"compile: {limits[0]} is given and the optimizer scales the loss, expected it in the "
                    "optimizer, which clips the gradients of the loss itself"
                )
        if names is None or len(names) == 1:
            if isinstance(loss, Mapping):
                loss = next(iter(loss.values()))
            elif isinstance(loss, (list, tuple)):
                loss = loss[0]
            if isinstance(metrics, Mapping):
                metrics = next(iter(metrics.values()))
            factor = loss_weights
            if isinstance(factor, Mapping):
                factor = next(iter(factor.values()))
            found: Any = loss_of(loss, self)
            both: Any = metrics_of(_flat_list(metrics), weighted)
            super().compile(recipe, "mse", factor, **options)
        else:
            parts = [loss_of(one, self) for one in by_output(loss, names, "loss")]
            factors = [
                1.0 if one is None else float(one) for one in by_output(loss_weights, names, "loss_weights")
            ]
            both = tuple(
                metrics_of(some, weighted_some)
                for some, weighted_some in zip(
                    _metrics_by_output(metrics, names, "metrics"),
                    _metrics_by_output(weighted, names, "weighted_metrics"),
                    strict=True,
                )
            )
            found = RowLosses(tuple(parts), tuple(factors), tuple(names), True)
            super().compile(recipe, "mse", None, **options)
        state = state_of(self)
        assert state.compiled is not None
        state.compiled = state.compiled._replace(loss=found, metrics=both)

    # --- the first rows -------------------------------------------------------------------------

    def _make(self, x: Any) -> None:
        """Build the layers with one row, and do what ``compile`` has put off."""
        if not built(self) or (self._waiting is not None and self._unknown_outputs(*self._waiting[1:4:2])):
            rows = self._one_row(x)
            with evaluating(self):
                out = self(*rows)
            if isinstance(out, Mapping):
                self.__dict__["_seen_outputs"] = list(out)
            elif isinstance(out, (list, tuple)):
                self.__dict__["_seen_outputs"] = [f"output_{i + 1}" for i in range(len(out))]
            missing = [m.name for m in self.modules() if isinstance(m, Layer) and not m.built]
            if missing:
                raise EinkornError(
                    f"{type(self).__name__}: {', '.join(missing)} were not called, so they have no weights"
                )
        if self._waiting is not None:
            given = self._waiting
            self.__dict__["_waiting"] = None
            self._compile_now(*given)

    def _one_row(self, x: Any) -> tuple[Any, ...]:
        """The first row of what ``fit`` takes."""
        if isinstance(x, dict):
            return ({key: np.asarray(part[:1]) for key, part in x.items()},)
        if isinstance(x, (tuple, list)) and x and getattr(x[0], "ndim", None):
            return tuple(np.asarray(part[:1]) for part in x)
        if hasattr(x, "shape") or isinstance(x, list):
            return (np.asarray(x[:1]),)
        if hasattr(x, "__len__") and hasattr(x, "__getitem__") and not hasattr(x, "__iter__"):
            return (np.asarray(x[0][0])[None],)
        if isinstance(x, _Peeked) or hasattr(x, "__len__"):
            batch = x.first if isinstance(x, _Peeked) else next(iter(x))
            first = batch[0] if isinstance(batch, (tuple, list)) else batch
            if isinstance(first, dict):
                return ({key: np.asarray(part)[:1] for key, part in first.items()},)
            if isinstance(first, (tuple, list)):
                return tuple(np.asarray(part)[:1] for part in first)
            return (np.asarray(first)[:1],)
        raise EinkornError(
            f"{type(self).__name__}: has no weights yet, and {type(x).__name__} cannot be looked into "
            "without using it up: begin the model with Input(shape), or call it with one row first"
        )

    def _given(self, x: Any) -> Any:
        """Inputs as the loop takes them: several as a tuple."""
        if isinstance(x, list) and x and all(hasattr(part, "shape") and len(part.shape) for part in x):
            same = len({len(part) for part in x}) == 1
            if same and len(x) == (self._input_count() or len(x)):
                return tuple(x) if len(x) > 1 else x[0]
        if isinstance(x, Mapping):
            return self._in_order(x)
        return x

    def _unpacked(self, batch: Any) -> tuple[Any, ...] | None:
        """A loader's batch as Keras takes it apart: inputs, targets and weights; None where it is not so.

        Beside Keras' form a model of several inputs may be given them one by one, (x1, x2, y).
        """
        if not isinstance(batch, (tuple, list)) or not 1 <= len(batch) <= 3:
            return None
        x: Any = batch[0]
        if len(batch) == 3 and self._takes_several() and not isinstance(x, (tuple, list, Mapping)):
            return None
        if isinstance(x, list):
            x = self._given(x)
        inputs = x if isinstance(x, (tuple, Mapping)) else (x,)
        return (inputs, *[self._targets(part) for part in batch[1:2]], *batch[2:])

    def _takes_several(self) -> bool:
        """Whether ``call`` is given several inputs, one by one or as the parts of a graph."""
        return False

    def _input_count(self) -> int | None:
        return None

    def _in_order(self, x: Any) -> Any:
        return x

    def _targets(self, y: Any) -> Any:
        names = self._output_names()
        if isinstance(y, Mapping) and names is not None and len(names) == 1:
            return next(iter(y.values()))
        if isinstance(y, (list, tuple)) and len(y) == 1 and len(getattr(y[0], "shape", ())):
            return y[0]  # of each output, of which there is one
        if isinstance(y, list) and names is not None and len(names) > 1:
            return [np.asarray(part) for part in y]
        return y

    # --- verbs ----------------------------------------------------------------------------------

    def fit(self, x: Any = None, y: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.fit``, with a list of arrays for several inputs."""
        if len(more) < 3 and not config.is_interactive_logging_enabled():
            options["verbose"] = 2 if options.get("verbose", "auto") == "auto" else options["verbose"]
        x, y = self._given(x), self._targets(y)
        if hasattr(x, "__next__") and not built(self):
            x = _Peeked(x, "fit")
        self._make(x)
        data = options.get("validation_data")
        if isinstance(data, (tuple, list)) and len(data) in (2, 3):
            options["validation_data"] = (self._given(data[0]), self._targets(data[1]), *data[2:])
        self.__dict__["_without_targets"] = y is None and _rows(x) is not None
        if self.__dict__["_without_targets"]:
            y = self._no_targets(x)  # nobody asks for them: the model has losses of its own
            if state_of(self).compiled is not None and not self._needs_no_target():
                raise ArgumentError("fit: y is None, expected targets for the loss")
        return super().fit(x, y, *more, **options)

    def _no_targets(self, x: Any) -> Any:
        """Zeros in the place of targets, for each output."""
        compiled = state_of(self).compiled
        names = getattr(compiled.loss, "names", ()) if compiled is not None else ()
        zeros = np.zeros((_rows(x) or 0, 1), np.float32)
        return (zeros,) * len(names) if len(names) > 1 else zeros

    def _needs_no_target(self) -> bool:
        from einkorn.training.own_steps import overrides

        compiled = state_of(self).compiled
        source = getattr(compiled.loss, "source", None) if compiled is not None else None
        return overrides(self, "train_step") or (isinstance(source, dict) and source["none"])

    def evaluate(self, x: Any = None, y: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.evaluate``."""
        x, y = self._given(x), self._targets(y)
        if hasattr(x, "__next__") and not built(self):
            x = _Peeked(x, "evaluate")
        self._make(x)
        self.__dict__["_without_targets"] = y is None and _rows(x) is not None and self._needs_no_target()
        if self.__dict__["_without_targets"]:
            y = self._no_targets(x)
        return super().evaluate(x, y, *more, **options)

    def predict(self, x: Any, *more: Any, **options: Any) -> Any:
        """As ``Trainable.predict``."""
        x = self._given(x)
        if not built(self):
            if hasattr(x, "__next__"):
                x = _Peeked(x, "predict")
            with evaluating(self):
                self(*self._one_row(x))
        return super().predict(x, *more, **options)

    def train_on_batch(self, x: Any, y: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.train_on_batch``."""
        x = self._given(x)
        self._make(x)
        return super().train_on_batch(x, self._targets(y), *more, **options)

    def test_on_batch(self, x: Any, y: Any = None, *more: Any, **options: Any) -> Any:
        """As ``Trainable.test_on_batch``."""
        x = self._given(x)
        self._make(x)
        return super().test_on_batch(x, self._targets(y), *more, **options)


class _Peeked:
    """An iterator whose first batch has been looked at, and is given all the same."""

    def __init__(self, batches: Iterator[Any], op: str) -> None:
        self._rest = batches
        self._given = False
        try:
            self.first = next(batches)
        except StopIteration:
            raise ArgumentError(f"{op}: the generator gave no rows, expected at least one batch") from None

    def __iter__(self) -> _Peeked:
        return self

    def __next__(self) -> Any:
        if not self._given:
            self._given = True
            return self.first
        return next(self._rest)


def _rows(x: Any) -> int | None:
    """How many rows arrays have, one or several; None of what is none."""
    first = x
    if isinstance(x, Mapping):
        first = next(iter(x.values()), None)
    elif isinstance(x, tuple):
        first = x[0] if x else None
    return len(first) if isinstance(first, (np.ndarray, Tensor)) and len(first.shape) else None


def _flat_list(metrics: Any) -> Any:
    if isinstance(metrics, (list, tuple)) and len(metrics) == 1 and isinstance(metrics[0], (list, tuple)):
        return metrics[0]
    return metrics


def _metrics_by_output(metrics: Any, names: list[str], what: str) -> list[Any]:
    """A list of metrics for each output; a plain list of names is for all of them."""
    if isinstance(metrics, Mapping):
        return [metrics.get(name) for name in names]
    if metrics is None:
        return [None] * len(names)
    if isinstance(metrics, (list, tuple)):
        if len(metrics) == len(names):
            return list(metrics)
        if not any(isinstance(one, (list, tuple)) for one in metrics):
            return [metrics] * len(names)
        raise ArgumentError(f"compile: {what} has {len(metrics)} entries, expected {len(names)}")
    return [[metrics]] * len(names)
