"""Losses as ``compile`` takes them, and what a batch's loss counts in the figure of an epoch.

A batch's mean is a sum over a weight: the number of rows, or of elements, or with class weights the sum of
the rows' weights, where ignored rows have none. The figure of an epoch is the sum of the batches' sums over
the sum of their weights, which is the mean over all rows whatever the size of the batches.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["LOSSES", "Loss", "find_loss", "in_our_order"]

_SMALLEST = 1e-30  # a probability whose logarithm and slope are finite in float32
_CLASSES = np.dtype(np.int64)  # of targets; the same object, mostly, which is told sooner than equality
_LISTED = (
    256  # targets that a list counts sooner than NumPy, whose functions have left the caches after a batch
)
_FEW = 16  # numbers that lie between 0 and 1 by chance are not taken for probabilities


class Loss(NamedTuple):
    """A loss, what it expects of outputs and targets, and how it is averaged."""

    function: Callable[..., Any]  # (output, target): one number, or losses that are averaged
    op: Callable[..., Any] | None = None  # the same with options; None for a function of the user's
    source: Any = None  # a module of einkorn.nn, or the options of a functools.partial
    from_logits: bool | None = (
        None  # cross-entropies: scores (True), probabilities (False), or to be found out
    )
    keras: bool = False  # named as in Keras, where outputs are probabilities
    widens: bool = False  # targets [rows] are taken for [rows, 1] where the output is so, as in Keras
    even: bool = False  # all class numbers to come count, and count one

    @property
    def of_classes(self) -> bool:
        """Targets are classes: integers, or rows with a share for each class."""
        return self.op is ops.cross_entropy

    @property
    def real_target(self) -> bool:
        """Targets are numbers, so integers are cast to the model's type."""
        return self.op is not None and not self.of_classes

    @property
    def threshold(self) -> float:
        """Above which score of a single output the second class is meant."""
        return 0.0 if self.op is ops.binary_cross_entropy_with_logits else 0.5

    def option(self, name: str, default: Any) -> Any:
        """A setting of the loss, as it is now."""
        if isinstance(self.source, dict):
            return self.source.get(name, default)
        return getattr(self.source, name, default)

    @property
    def summed(self) -> bool:
        """The loss of an epoch is the sum over its batches, not a mean."""
        return self.option("reduction", "mean") == "sum"

    @property
    def is_mean(self) -> bool:
        """The loss of a batch is the mean of what it counts, and so NaN where that is nothing."""
        return self.op is not None and self.option("reduction", "mean") == "mean"

    def widening(self) -> Loss:
        """The same for a model in Keras' form."""
        return self._replace(widens=True)

    def knowing(self, targets: np.ndarray) -> Loss:
        """The same for batches of these targets: where all of them count, none has to be looked at again."""
        if not self.of_classes or self.option("weight", None) is not None or targets.dtype != np.int64:
            return self
        return self._replace(even=not (targets == self.option("ignore_index", -100)).any())

    # --- one batch ------------------------------------------------------------------------------

    def prepare(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The target in the shape and type that the loss takes."""
        if self.op is not ops.cross_entropy or output.ndim < 2:  # not of_classes
            if self.widens and not self.of_classes and output.shape == (*target.shape, 1):
                return target.reshape(output.shape)
            return target
        if (
            (target.dtype is _CLASSES or target.dtype == _CLASSES)
            and target.ndim == output.ndim - 1 == 1
            and len(target) == len(output)
        ):
            return target
        rows = (output.shape[0], *output.shape[2:])
        if target.shape == rows and target.dtype.kind in "iu":
            return target
        if target.shape == (rows[0], 1, *rows[1:]) and (output.shape[1] > 1 or target.dtype.kind in "iu"):
            target = target.reshape(rows)
        if target.shape == rows and target.dtype.kind == "f":
            whole = target.astype(np.int64)
            if (whole == target).all():
                return whole
            bad = target[whole != target].flat[0]
            raise ArgumentError(
                f"y holds numbers such as {bad:g}, but the loss is a cross-entropy and the model gives "
                f"scores of {output.shape[1]} classes: expected class numbers from 0 to "
                f"{output.shape[1] - 1}, or another loss, such as 'mse'"
            )
        if target.shape == output.shape and target.dtype.kind in "iub":
            return target.astype(output.dtype)
        return target

    def total(self, output: np.ndarray, target: np.ndarray) -> float:
        """The weight of a batch's mean in the mean over all; 0 if the batch has nothing to learn from."""
        if self.even and target.dtype.kind == "i":
            return float(target.size)
        if self.of_classes:
            classes = output.shape[1]
            if target.dtype.kind == "f":
                return output.size / max(1, classes)
            ignored = self.option("ignore_index", -100)
            weight = self.option("weight", None)
            if weight is None and target.ndim == 1 and target.size <= _LISTED:
                return float(target.size - target.tolist().count(ignored))
            if weight is None:
                return float(np.count_nonzero(target != ignored))
            return float(_array(weight)[target[target != ignored]].sum(dtype=np.float64))
        return float(output.size if self.op is not None else len(target))

    def outputs(self, output: Any, op: str) -> np.ndarray:
        """The array of what the model gave."""
        if isinstance(output, Tensor):
            return output._data
        if isinstance(output, (tuple, list, dict)):
            raise ArgumentError(
                f"{op}: the model gives a {type(output).__name__}, expected one Tensor; for several outputs "
                "give compile a list or dict of losses"
            )
        return as_array(output, f"{op}: the model's output")

    def batch(self, output: Any, target: np.ndarray, weight: np.ndarray | None) -> tuple[Any, None]:
        """The loss of a batch whose rows may have weights; it has no parts."""
        return (self.mean(output, target) if weight is None else self.weighted(output, target, weight)), None

    def mean(self, output: Any, target: np.ndarray) -> Any:
        """The loss of a batch."""
        value = self.function(output if self.from_logits else self._scores(output), target)
        if type(value) is Tensor and value._data.ndim == 0:
            return value
        if not isinstance(value, (Tensor, np.ndarray, float, int, np.generic)):
            what = repr(value) if value is None else f"a {type(value).__name__}"
            raise ArgumentError(f"the loss function returned {what}, expected a Tensor")
        if isinstance(value, Tensor):
            return (
                value
                if value._data.ndim == 0
                else ops.divide(ops.sum(value), float(max(1, value._data.size)))
            )
        return np.mean(value)

    def weighted(self, output: Any, target: np.ndarray, weight: np.ndarray) -> Any:
        """The loss of a batch whose rows have weights: their sum over what it is without weights."""
        scores = self._scores(output)
        if self.op is None:
            losses = self.function(scores, target)
        else:
            names = ("weight", "pos_weight", "ignore_index", "label_smoothing")
            options = {name: self.option(name, None) for name in names}
            given = {name: value for name, value in options.items() if value is not None}
            losses = self.op(scores, target, reduction="none", **given)
        shape = _array(losses).shape
        if not shape or shape[0] != len(weight):
            raise ArgumentError(
                "sample_weight and class_weight need one loss per row, but the loss function gives shape "
                f"{shape}: let it give the losses of the {len(weight)} rows"
            )
        total = float(np.prod(shape)) if self.op is None else self.total(_array(output), target)
        factor = 1.0 if self.summed else 1.0 / total if total else 0.0
        weights = (weight * factor).astype(_array(losses).dtype).reshape(-1, *[1] * (len(shape) - 1))
        if isinstance(losses, Tensor):
            return ops.sum(ops.multiply(losses, weights))
        return np.sum(losses * weights)

    def _scores(self, output: Any) -> Any:
        if not self.of_classes or self.from_logits is not False:
            return output
        return ops.log(ops.clip(output, _SMALLEST))  # cross-entropy takes a logarithm for a score

    # --- the first batch ------------------------------------------------------------------------

    def settle(self, output: np.ndarray, last: Callable[[], str] = str) -> Loss:
        """The loss for a model with such outputs: whether they are scores or probabilities.

        Parameters
        ----------
        output : array
            Of the first batch.
        last : callable
            Gives what the model ends in: "sigmoid", "softmax", or something else.
        """
        if self.of_classes:
            return self._settle_classes(output, last)
        if self.op is ops.binary_cross_entropy_with_logits and self.from_logits is None:
            if _within(output) and (output.size >= _FEW or last() == "sigmoid"):
                warnings.warn(
                    "the loss takes raw scores (logits), but the model's outputs are probabilities: it "
                    "trains badly. Leave the sigmoid out, or use 'binary_crossentropy'; from_logits=True in "
                    "compile says that it is meant",
                    UserWarning,
                    stacklevel=2,
                )
            return self._replace(from_logits=True)
        return self

    def _settle_classes(self, output: np.ndarray, last: Callable[[], str]) -> Loss:
        if output.ndim >= 2 and output.shape[1] == 1:
            raise ShapeError(
                f"the model gives shape {output.shape}, scores of one class, whose cross-entropy is always "
                "0: expected a score for each class, or the loss 'binary_crossentropy' or 'bce_with_logits'"
            )
        if self.from_logits is None:
            found = output.ndim >= 2 and _are_shares(output)
            if found and not self.keras:
                warnings.warn(
                    "the loss takes raw scores (logits), but the model's outputs are probabilities"
                    f"{' (it ends in a softmax)' if last() == 'softmax' else ''}: it trains badly. Leave the "
                    "softmax out, or give from_logits=False to compile; from_logits=True says that it is "
                    "meant",
                    UserWarning,
                    stacklevel=2,
                )
            return self._replace(from_logits=not (found and self.keras))
        if (
            self.from_logits is False
            and output.size
            and not (output >= 0).all()
            and not np.isnan(output).any()
        ):
            raise ArgumentError(
                f"from_logits=False says that outputs are probabilities, but there is {output.min():g}: let "
                "the model end in a softmax, or leave from_logits out"
            )
        return self


def _array(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else np.asarray(value)


def _within(output: np.ndarray) -> bool:
    return bool(output.size and ((output >= 0) & (output <= 1)).all())


def _are_shares(output: np.ndarray) -> bool:
    """Whether outputs are non-negative and sum to 1 over the classes."""
    return bool(output.size and (output >= 0).all() and (abs(output.sum(1) - 1) < 1e-4).all())


# --- finding a loss -----------------------------------------------------------------------------

LOSSES: dict[str, Loss] = {
    name: Loss(op, op, keras=keras)
    for name, op, keras in (
        ("cross_entropy", ops.cross_entropy, False),
        ("sparse_categorical_crossentropy", ops.cross_entropy, True),
        ("categorical_crossentropy", ops.cross_entropy, True),
        ("mse", ops.mse_loss, False),
        ("mean_squared_error", ops.mse_loss, False),
        ("mae", ops.l1_loss, False),
        ("mean_absolute_error", ops.l1_loss, False),
        ("binary_crossentropy", ops.binary_cross_entropy, False),
        ("bce_with_logits", ops.binary_cross_entropy_with_logits, False),
    )
}
_OPS = (
    ops.cross_entropy,
    ops.mse_loss,
    ops.l1_loss,
    ops.binary_cross_entropy,
    ops.binary_cross_entropy_with_logits,
)


def find_loss(loss: Any, from_logits: bool | None = None) -> Loss:
    """The loss of that name, or the callable ``loss(output, target)`` itself."""
    expected = f"expected a function or one of {', '.join(LOSSES)}"
    if from_logits is not None and not isinstance(from_logits, (bool, np.bool_)):
        raise ArgumentError(f"compile: from_logits is {from_logits!r}, expected True, False or None")
    if isinstance(loss, str):
        name = loss.lower() if loss.isupper() else loss  # Keras takes "MSE" too
        found = LOSSES.get(name) or _of_keras(loss)
        if found is None:
            raise ArgumentError(
                f"compile: loss is {loss!r}, {expected}, or another loss of einkorn.keras.losses"
            )
        return _with_logits(found, from_logits, repr(loss))
    if isinstance(loss, type):
        raise ArgumentError(
            f"compile: loss is the class {loss.__name__}, expected an instance, {loss.__name__}(), a "
            f"function or one of {', '.join(LOSSES)}"
        )
    if not callable(loss):
        raise ArgumentError(f"compile: loss is {type(loss).__name__}, {expected}")
    if type(loss).__module__.startswith("torch."):
        raise ArgumentError(
            f"compile: loss is torch's {type(loss).__name__}, expected einkorn.nn.{type(loss).__name__}()"
        )
    found = _known(loss) or Loss(in_our_order(loss))
    if found.option("reduction", "mean") not in ("mean", "sum"):
        raise ArgumentError("compile: the loss has the reduction 'none', expected 'mean' or 'sum'")
    return _with_logits(found, from_logits, getattr(loss, "__name__", type(loss).__name__))


def _of_keras(name: str) -> Loss | None:
    """One of Keras' further losses, which give one for each row; None if there is none of this name."""
    from einkorn.keras import losses as theirs

    try:
        return Loss(_Swapped(theirs.get(name)))
    except ArgumentError:
        return None


def _known(loss: Any) -> Loss | None:
    """One of the library's losses, whose parts are known; not a subclass with a forward of its own."""
    from einkorn import nn

    if loss in _OPS:
        return Loss(loss, loss)
    if isinstance(loss, functools.partial) and loss.func in _OPS and not loss.args:
        return Loss(loss, loss.func, loss.keywords)
    modules: dict[Any, Callable[..., Any]] = {
        nn.CrossEntropyLoss: ops.cross_entropy,
        nn.MSELoss: ops.mse_loss,
        nn.L1Loss: ops.l1_loss,
        nn.BCELoss: ops.binary_cross_entropy,
        nn.BCEWithLogitsLoss: ops.binary_cross_entropy_with_logits,
    }
    for kind, op in modules.items():
        if isinstance(loss, kind) and type(loss).forward is kind.forward:
            return Loss(loss, op, loss)
    return None


def _with_logits(loss: Loss, from_logits: bool | None, name: str) -> Loss:
    if from_logits is None or loss.of_classes:
        return loss._replace(from_logits=from_logits)
    if loss.op is ops.binary_cross_entropy and loss.function is loss.op and from_logits:
        return LOSSES["bce_with_logits"]._replace(from_logits=True)
    fixed = None
    if loss.op in (ops.binary_cross_entropy, ops.binary_cross_entropy_with_logits):
        fixed = loss.op is ops.binary_cross_entropy_with_logits
    if fixed is not from_logits:
        known = "" if fixed is None else f", which takes {'raw scores' if fixed else 'probabilities'}"
        raise ArgumentError(
            f"compile: from_logits is {from_logits} and loss is {name}{known}, expected a cross-entropy that "
            "can be told"
        )
    return loss._replace(from_logits=from_logits)


class _Swapped:
    """A function of (target, output) called as one of (output, target)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, output: Any, target: Any) -> Any:
        return self.function(target, output)


def in_our_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes output and target in this order.

    One whose first parameter is ``y_true``, as in Keras and scikit-learn, is given the target first.
    """
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return function
    return _Swapped(function) if names and names[0] in ("y_true", "target", "targets") else function
