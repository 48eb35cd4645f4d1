"""Losses with Keras' names, arguments and values, for ``compile`` and to be called with (y_true, y_pred).

Functions give a loss for each row, ``mean_squared_error`` say; classes the mean over the rows,
``MeanSquaredError``. Classes are along the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn._near import finding
from einkorn._objects import Configured, made
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError
from einkorn.keras._names import snake_case
from einkorn.keras._row_losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from einkorn.keras._serialize import deserialize, serialize
from einkorn.keras._special_losses import (
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    circle,
    ctc,
    dice,
    tversky,
)

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]  # fmt: skip


class Loss(Configured):
    """Base class: ``call(y_true, y_pred)`` gives a loss for each row.

    Parameters
    ----------
    name : str, optional
    reduction : "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight" or None
        What calling it makes of the losses: by default their mean.
    """

    _function: ClassVar[Any] = None
    ignore_class: int | None = None

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        known = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)
        if reduction not in known:
            raise ArgumentError(
                f"{type(self).__name__}: reduction is {reduction!r}, expected {', '.join(map(repr, known))}"
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.options = options

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A loss for each row."""
        if type(self)._function is None:
            raise TypeError(f"{type(self).__name__} defines no call()")
        return type(self)._function(y_true, y_pred, **self.options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The losses of the rows, weighted and reduced."""
        each = self.call(y_true, y_pred)
        weight = None
        if sample_weight is not None:
            weight = np.asarray(sample_weight, np.float32)
            weight = weight.reshape(*weight.shape, *[1] * (len(each.shape) - weight.ndim))
            shape = np.broadcast_shapes(tuple(each.shape), weight.shape)
            each = ops.multiply(each, np.broadcast_to(weight, shape).copy())
        if self.reduction in (None, "none") or not len(each.shape):
            return each
        total = ops.sum(each)
        if self.reduction == "sum":
            return total
        return over(total, self.divisor(y_true, tuple(each.shape), weight))

    def divisor(self, y_true: Any, shape: tuple[int, ...], weight: np.ndarray | None) -> float:
        """What the sum of a batch's losses is divided by: how many count, or what they weigh.

        As in Keras the weights are added up as they were given: of rows of several losses, once a row.
        """
        if self.reduction != "mean_with_sample_weight" or weight is None:
            return self.rows(y_true, shape)
        valid = self.valid(y_true, shape)
        return float((weight if valid is None else weight * valid).sum(dtype=np.float64))

    def valid(self, y_true: Any, shape: tuple[int, ...]) -> np.ndarray | None:
        """Which losses of a batch are not of an ignored class; None where all are."""
        return None if self.ignore_class is None else as_numpy(y_true).reshape(shape) != self.ignore_class

    def rows(self, y_true: Any, shape: tuple[int, ...]) -> float:
        """How many losses of a batch count in the mean."""
        if self.ignore_class is None:
            return float(max(1, math.prod(shape)))
        numbers = as_numpy(y_true)
        return float(max(1, int(np.count_nonzero(numbers != self.ignore_class))))

    def get_config(self) -> dict[str, Any]:
        """Name, reduction and options."""
        own = {name: value for name, value in self._own_config().items() if name != "dtype"}
        return {**own, "name": self.name, "reduction": self.reduction}


def over(total: Any, divisor: float) -> Any:
    """A sum over what it is divided by; 0 over nothing."""
    return ops.divide(total, divisor) if divisor else ops.multiply(total, 0.0)


class _OfFunction(Loss):
    """A loss without options of its own, named as its function."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name or type(self)._function.__name__, reduction)


class MeanSquaredError(_OfFunction):
    """The mean of squared differences; arguments as :class:`Loss`."""

    _function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_OfFunction):
    """The mean of absolute differences; arguments as :class:`Loss`."""

    _function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_OfFunction):
    """Absolute differences in hundredths of the target; arguments as :class:`Loss`."""

    _function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_OfFunction):
    """Squared differences of log(1 + y); arguments as :class:`Loss`."""

    _function = staticmethod(mean_squared_logarithmic_error)


class Huber(Loss):
    """Squared for small differences and linear for large ones.

    Parameters
    ----------
    delta : float, default 1
        Where one becomes the other.
    """

    _function = staticmethod(huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, delta=delta)


class LogCosh(_OfFunction):
    """log(cosh(difference)); arguments as :class:`Loss`."""

    _function = staticmethod(log_cosh)


class Hinge(_OfFunction):
    """max(1 - y_true y_pred, 0); arguments as :class:`Loss`."""

    _function = staticmethod(hinge)


class SquaredHinge(_OfFunction):
    """The squares of it; arguments as :class:`Loss`."""

    _function = staticmethod(squared_hinge)


class CategoricalHinge(_OfFunction):
    """The same of several classes; arguments as :class:`Loss`."""

    _function = staticmethod(categorical_hinge)


class KLDivergence(_OfFunction):
    """The sum of y_true log(y_true / y_pred); arguments as :class:`Loss`."""

    _function = staticmethod(kl_divergence)


class Poisson(_OfFunction):
    """y_pred - y_true log(y_pred); arguments as :class:`Loss`."""

    _function = staticmethod(poisson)


class CosineSimilarity(Loss):
    """Less the cosine between target and output.

    Parameters
    ----------
    axis : int, default -1
    """

    _function = staticmethod(cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, axis=axis)


class BinaryCrossentropy(Loss):
    """Cross-entropy of two classes.

    Parameters
    ----------
    from_logits : bool, default False
        Whether outputs are raw scores, or probabilities.
    label_smoothing : float, default 0
    axis : int, default -1
    """

    _function = staticmethod(binary_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class BinaryFocalCrossentropy(Loss):
    """Cross-entropy of two classes that weighs what is right already less.

    Parameters
    ----------
    apply_class_balancing : bool, default False
    alpha, gamma : float, default 0.25 and 2
    from_logits : bool, default False
    label_smoothing : float, default 0
    """

    _function = staticmethod(binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            name,
            reduction,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(Loss):
    """Cross-entropy of one-hot rows.

    Parameters
    ----------
    from_logits : bool, default False
    label_smoothing : float, default 0
    """

    _function = staticmethod(categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of class numbers.

    Parameters
    ----------
    from_logits : bool, default False
    ignore_class : int, optional
        Rows of this class count nothing.
    """

    _function = staticmethod(sparse_categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, from_logits=from_logits, ignore_class=ignore_class, axis=axis)
        self.ignore_class = ignore_class


class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy of one-hot rows that weighs what is right already less.

    Parameters
    ----------
    alpha, gamma : float, default 0.25 and 2
    from_logits : bool, default False
    label_smoothing : float, default 0
    axis : int, default -1
    """

    _function = staticmethod(categorical_focal_crossentropy)

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            name,
            reduction,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalGeneralizedCrossEntropy(Loss):
    """Between cross-entropy and the mean absolute error, of class numbers some of which are wrong.

    Parameters
    ----------
    q : float, default 0.5
        Between 0, which is cross-entropy, and 1.
    """

    _function = staticmethod(categorical_generalized_cross_entropy)

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if isinstance(q, bool) or not isinstance(q, (int, float)) or not 0 < q < 1:
            raise ArgumentError(
                f"CategoricalGeneralizedCrossEntropy: q is {q!r}, expected a number between 0 and 1"
            )
        super().__init__(name, reduction, q=q)


class Circle(Loss):
    """Embeddings of one class are to be near and those of others far.

    Parameters
    ----------
    gamma : float, default 80
    margin : float, default 0.4
    remove_diagonal : bool, default True
        Whether a row is not compared with itself.
    """

    _function = staticmethod(circle)

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)


class Dice(Loss):
    """1 less twice what both share over their sums, of segmentations.

    Parameters
    ----------
    axis : int or tuple of int, optional
        Over these axes; by default all, so that a batch has one loss.
    """

    _function = staticmethod(dice)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, axis=axis)


class Tversky(Loss):
    """:class:`Dice` with weights of what is missed and of what is said in vain.

    Parameters
    ----------
    alpha, beta : float, default 0.5
    axis : int or tuple of int, optional
    """

    _function = staticmethod(tversky)

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, alpha=alpha, beta=beta, axis=axis)


class CTC(_OfFunction):
    """Connectionist temporal classification of logits, class 0 the blank; arguments as :class:`Loss`."""

    _function = staticmethod(ctc)


_CLASSES: dict[str, type[Loss]] = {
    name: globals()[name] for name in __all__ if name[0].isupper() and name != "Loss"
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    kind._function.__name__: kind._function for kind in _CLASSES.values()
}
_SHORT = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "bce": "binary_crossentropy", "kld": "kl_divergence",
}  # fmt: skip


def get(identifier: Any) -> Any:
    """A loss from its name, or itself: something to call with (y_true, y_pred).

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    if isinstance(identifier, Mapping) and "class_name" in identifier:  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        name = _SHORT.get(identifier.lower(), identifier)
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        if name in _CLASSES:
            return _CLASSES[name]()
        raise ArgumentError(
            f"compile: loss is {identifier!r}, expected a function or one of {', '.join(sorted(_FUNCTIONS))}"
        )
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if not callable(identifier):
        raise ArgumentError(f"compile: loss is {type(identifier).__name__}, expected a function or a name")
    return identifier


__getattr__ = finding(__name__, lambda: __all__, {})
