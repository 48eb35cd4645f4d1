"""Optimizers with Keras' names and arguments, made without parameters: ``compile`` or ``apply`` adds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from einkorn import _versions, optim
from einkorn._device import as_array
from einkorn._near import finding
from einkorn._objects import Configured, described, made
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras._names import snake_case
from einkorn.keras._serialize import deserialize, serialize
from einkorn.keras.optimizers import schedules
from einkorn.optim.lr_scheduler import FunctionLR

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lamb",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]  # fmt: skip


class Optimizer(Configured):
    """What an optimizer will be, once ``compile`` or ``apply`` brings the parameters.

    With ``use_ema`` it keeps averages of the weights, in which each update's weights have the share
    1 - ``ema_momentum``; with ``gradient_accumulation_steps``, as in Keras, those after each batch.
    Every ``ema_overwrite_frequency`` updates the weights become their averages, unless that is 0; so they do
    at the end of ``fit``.

    Attributes
    ----------
    learning_rate : float or schedule
        Setting it takes effect with the next update.
    iterations : int
        How many updates there were.
    """

    def __init__(
        self,
        learning_rate: Any,
        make: Callable[[Any, float], optim.Optimizer],
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        owner = type(self).__name__
        rate = learning_rate(0) if callable(learning_rate) else learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate >= 0:
            raise ArgumentError(
                f"{owner}: learning_rate is {learning_rate!r}, expected a number >= 0 or a schedule"
            )
        if loss_scale_factor is not None:
            raise ArgumentError(f"{owner}: loss_scale_factor is not supported, expected None")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"{owner}: ema_momentum is {ema_momentum!r}, expected a number from 0 to 1")
        if ema_overwrite_frequency is not None and not (
            isinstance(ema_overwrite_frequency, int) and ema_overwrite_frequency >= 0
        ):
            raise ArgumentError(
                f"{owner}: ema_overwrite_frequency is {ema_overwrite_frequency!r}, expected an integer >= 0"
            )
        if weight_decay is not None and not (isinstance(weight_decay, (int, float)) and weight_decay >= 0):
            raise ArgumentError(f"{owner}: weight_decay is {weight_decay!r}, expected a number >= 0")
        self.name = name or snake_case(owner)
        self.weight_decay = weight_decay
        self.clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in self.clips.values()) > 1:
            raise ArgumentError(f"{owner}: only one of {', '.join(self.clips)} can be given")
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.use_ema, self.ema_momentum = bool(use_ema), float(ema_momentum)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.iterations = 0
        self._averages: list[np.ndarray] | None = None  # of the weights, in their order
        self._sums: list[np.ndarray | None] = []  # of the gradients that ``apply`` was given for an update
        self._applied = 0  # how many of these
        self._rate = learning_rate
        self._make = make
        self._bound: Any = None

    @property
    def learning_rate(self) -> Any:
        """The rate now; of a schedule, that of the next update."""
        if self._bound is not None:
            return self._bound.param_groups[0]["lr"]
        return self._rate(0) if callable(self._rate) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._rate = value
        if self._bound is not None:
            for group in self._bound.param_groups:
                group["lr"] = value(self.iterations) if callable(value) else float(value)

    def __call__(self, parameters: Any) -> optim.Optimizer:
        """An optimizer of ``einkorn.optim`` for these parameters: what ``compile`` asks for."""
        params = list(parameters)
        schedule = self._rate if callable(self._rate) else None
        bound = self._make(params, schedule(0) if schedule else float(self._rate))
        rates = FunctionLR(bound, schedule) if schedule is not None else None
        step = bound.step

        def stepped(closure: Any = None) -> Any:
            if self.weight_decay:
                _decay(bound, self.weight_decay)
            loss = step(closure)
            if self.use_ema:
                self._average(params)
            self.iterations += 1
            if rates is not None and callable(self._rate):
                rates.step()
            return loss

        state_dict, load_state_dict = bound.state_dict, bound.load_state_dict

        def state() -> dict[str, Any]:
            own: dict[str, Any] = {
                "iterations": self.iterations,
                "rates": None if rates is None else rates.last_epoch,
            }
            if self._averages is not None:
                own["averages"] = [average.copy() for average in self._averages]
            if self._applied:
                own["applied"] = self._applied
                own["sums"] = [None if one is None else one.copy() for one in self._sums]
            return {**state_dict(), "keras": own}

        def load_state(state: Mapping[str, Any]) -> None:
            load_state_dict({name: part for name, part in state.items() if name != "keras"})
            own = state.get("keras")
            if own is not None:
                self.iterations = int(own["iterations"])
                if rates is not None and own["rates"] is not None:
                    rates.last_epoch = int(own["rates"])
                if self.use_ema and own.get("averages") is not None:
                    self._averages = [np.array(average) for average in own["averages"]]
                self._applied = int(own.get("applied", 0))
                self._sums = [None if one is None else np.array(one) for one in own.get("sums", ())]

        for name, function in (
            ("step", stepped), ("apply", self.apply), ("apply_gradients", self.apply_gradients),
            ("state_dict", state), ("load_state_dict", load_state), ("finalize", self._finalize),
            ("swap_averages", self._swap), ("keep_averages", self._keep),
        ):  # fmt: skip
            object.__setattr__(bound, name, function)
        if self.use_ema:
            object.__setattr__(bound, "between_updates", lambda: self._average(params))
        self._bound, self._averages = bound, None
        self._sums, self._applied = [], 0
        return bound

    # --- averages of weights -------------------------------------------------------------------

    def _average(self, params: list[Any]) -> None:
        """After an update: the first one's weights are the first average."""
        if self._averages is None:
            self._averages = [np.zeros_like(param._data) for param in params]
        momentum = self.ema_momentum if self.iterations else 0.0
        for average, param in zip(self._averages, params, strict=True):
            average *= momentum
            average += (1 - momentum) * param._data
        every = self.ema_overwrite_frequency
        if every and (self.iterations + 1) % every == 0:
            self._overwrite(params, self._averages)

    @staticmethod
    def _overwrite(params: list[Any], values: list[np.ndarray]) -> None:
        for param, value in zip(params, values, strict=True):
            param._data[...] = value
            _versions.wrote(param._data)

    def _bound_params(self) -> list[Any]:
        groups = () if self._bound is None else self._bound.param_groups
        return [param for group in groups for param in group["params"]]

    def _finalize(self) -> None:
        """What ends a training: the weights become their averages."""
        if self.use_ema and self._averages is not None:
            self._overwrite(self._bound_params(), self._averages)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Set these weights to their averages, where ``use_ema`` asks for them.

        Parameters
        ----------
        var_list : list of variables
        """
        if not self.use_ema:
            return
        given, known = [_parameter(variable) for variable in var_list], self._bound_params()
        if self._averages is None or len(given) != len(known):
            raise ArgumentError(
                f"finalize_variable_values: got {len(given)} variables, expected {len(known)} with averages"
            )
        self._overwrite(given, self._averages)

    def _swap(self) -> None:
        """Weights and averages change places."""
        if not self.use_ema:
            raise ArgumentError(f"{type(self).__name__}: has no averages of weights, expected use_ema=True")
        if self._averages is not None:
            params = self._bound_params()
            before = [param._data.copy() for param in params]
            self._overwrite(params, self._averages)
            self._averages = before

    def _keep(self) -> None:
        """The averages are what the weights are now."""
        self._averages = [param._data.copy() for param in self._bound_params()]

    def build(self, variables: Any) -> None:
        """Make the state for these variables."""
        self([_parameter(variable) for variable in variables])

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Make an update with these gradients; with ``gradient_accumulation_steps``, with so many's mean.

        Parameters
        ----------
        grads : list of array or Tensor
        trainable_variables : list of variables
            As a model's ``trainable_weights``.
        """
        if trainable_variables is None:
            if self._bound is None:
                raise ArgumentError(f"{type(self).__name__}: apply got no variables, and none are known yet")
            params = self._bound.param_groups[0]["params"]
        else:
            params = [_parameter(variable) for variable in trainable_variables]
        given = list(grads)
        if len(given) != len(params):
            raise ArgumentError(f"apply: got {len(given)} gradients for {len(params)} variables")
        if self._bound is None:
            self(params)
        known = {id(param) for group in self._bound.param_groups for param in group["params"]}
        if not {id(param) for param in params} <= known:
            raise ArgumentError("apply: some variables are not those that the optimizer was made for")
        before = {}
        for group in self._bound.param_groups:
            for param in group["params"]:
                before[id(param)] = (param, param.grad)
                param.grad = None
        for param, grad in zip(params, given, strict=True):
            if grad is not None:
                array = grad._data if isinstance(grad, Tensor) else grad
                param.grad = Tensor(as_array(array, param._data.dtype).reshape(param._data.shape))
        if self._gather():
            self._clip(params)
            self._bound.step()
        elif self.use_ema:
            self._average(self._bound_params())
        for param, grad in before.values():
            param.grad = grad

    def _gather(self) -> bool:
        """Whether the gradients make an update; then they are the mean of what ``apply`` was given for it."""
        every = self.gradient_accumulation_steps
        if not every:
            return True
        params = self._bound_params()
        sums = self._sums or [None] * len(params)
        for i, param in enumerate(params):
            if param.grad is not None:
                before = sums[i]
                sums[i] = param.grad._data.copy() if before is None else before + param.grad._data
        self._sums, self._applied = sums, self._applied + 1
        if self._applied < every:
            return False
        for param, total in zip(params, sums, strict=True):
            param.grad = None if total is None else Tensor(total / every)
        self._sums, self._applied = [], 0
        return True

    def apply_gradients(self, grads_and_vars: Any) -> None:
        """``apply`` of pairs."""
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])

    def _clip(self, params: list[Any]) -> None:
        from einkorn.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_

        if self.clips["clipvalue"] is not None:
            clip_grad_value_(params, self.clips["clipvalue"])
        if self.clips["global_clipnorm"] is not None:
            clip_grad_norm_(params, self.clips["global_clipnorm"])
        if self.clips["clipnorm"] is not None:
            for param in params:
                clip_grad_norm_([param], self.clips["clipnorm"])

    def get_config(self) -> dict[str, Any]:
        """Name, rate and arguments; of a rate that was changed, the one now."""
        own = {name: value for name, value in self._own_config().items() if name != "make"}
        rate = described(self._rate) if callable(self._rate) else float(self.learning_rate)
        limits = {"weight_decay": self.weight_decay, **self.clips}
        averages = {
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
        }
        return {
            **own,
            **limits,
            **(averages if self.use_ema else {}),
            "name": self.name,
            "learning_rate": rate,
        }


def _parameter(variable: Any) -> Tensor:
    value = getattr(variable, "value", variable)
    if not isinstance(value, Tensor):
        raise ArgumentError(f"optimizer: got {type(variable).__name__}, expected variables of a model")
    return value


def _decay(optimizer: optim.Optimizer, decay: float) -> None:
    """Take the share rate * decay off all weights, as Keras does before an update."""
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.grad is not None:
                param._data[...] = param._data * (1 - decay * group["lr"])
                _versions.wrote(param._data)


class SGD(Optimizer):
    """Gradient descent.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
    momentum : float, default 0
    nesterov : bool, default False
    **options
        weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps, name; use_ema,
        ema_momentum and ema_overwrite_frequency, see :class:`Optimizer`.
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.SGD(p, lr, momentum, nesterov=nesterov),
            weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, **options,
        )  # fmt: skip


class Adam(Optimizer):
    """Adam (Kingma and Ba 2014).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    amsgrad : bool, default False
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.Adam(p, lr, (beta_1, beta_2), epsilon, amsgrad=amsgrad),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon, amsgrad, **options : as :class:`Adam`
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)


class RMSprop(Optimizer):
    """RMSprop.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float, default 0.9
    momentum : float, default 0
    epsilon : float, default 1e-7
    centered : bool, default False
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.RMSprop(p, lr, rho, epsilon, momentum=momentum, centered=centered),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Adagrad(Optimizer):
    """Adagrad.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    initial_accumulator_value : float, default 0.1
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Adagrad(
                p, lr, initial_accumulator_value=initial_accumulator_value, eps=epsilon
            ),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Adadelta(Optimizer):
    """Adadelta.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float, default 0.95
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Adadelta(p, lr, rho, epsilon),
            weight_decay=weight_decay,
            **options,
        )


class Adamax(Optimizer):
    """Adamax.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.Adamax(p, lr, (beta_1, beta_2), epsilon),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Nadam(Optimizer):
    """Adam with Nesterov's momentum; arguments as :class:`Adamax`."""

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.NAdam(p, lr, (beta_1, beta_2), epsilon, momentum_decay=1.0),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Lion(Optimizer):
    """Lion (Chen et al. 2023).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.99
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Lion(p, lr, (beta_1, beta_2)),
            weight_decay=weight_decay,
            **options,
        )


class Lamb(Optimizer):
    """LAMB (You et al. 2019): Adam's steps, each weight's as long as the weight itself says.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.LAMB(p, lr, (beta_1, beta_2), epsilon),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


_NAMES = {
    kind.__name__.lower(): kind
    for kind in (SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Lion, Lamb)
}


def get(identifier: Any) -> Any:
    """An optimizer from its name, or itself.

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier.lower() not in _NAMES:
            raise ArgumentError(
                f"compile: optimizer is {identifier!r}, expected an Optimizer or one of {', '.join(_NAMES)}"
            )
        return _NAMES[identifier.lower()]()
    return identifier


_TAKEN = "compile(optimizer=...) takes functions of the parameters: lambda p: einkorn.optim.{}"
_INSTEAD = {
    "Adafactor": _TAKEN.format("Adafactor(p)"),
    "Ftrl": "Adagrad is the nearest, with a penalty from einkorn.keras.regularizers",
    "LossScaleOptimizer": "fit scales losses itself where einkorn.amp needs it",
    "MultiOptimizer": _TAKEN.format("Adam([{'params': ..., 'lr': ...}, ...]) has groups of parameters"),
    "Muon": _TAKEN.format("Muon(p), of matrices alone"),
    "OptimizerMap": _TAKEN.format("Adam([{'params': ..., 'lr': ...}, ...]) has groups of parameters"),
    "ScheduleFreeAdamW": "AdamW with einkorn.optim.swa_utils' average of the weights is the nearest",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
