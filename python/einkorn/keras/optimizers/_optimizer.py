"""``Optimizer``: Keras' arguments and verbs around an optimizer of ``einkorn.optim``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from einkorn import _versions, optim
from einkorn._device import as_array
from einkorn._objects import Configured, described
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._names import snake_case
from einkorn.keras.optimizers._slots import Count, Rate, Slot, slots_of, slots_of_param
from einkorn.ops._road import contiguous
from einkorn.optim.lr_scheduler import FunctionLR
from einkorn.optim.schedules import LearningRateSchedule

__all__ = ["Optimizer"]


class _FixedRateError(ArgumentError, TypeError):
    """A number for the rate of an optimizer that has a schedule: a TypeError, as in Keras."""


class Optimizer(Configured):
    """What an optimizer will be, once ``compile``, ``build`` or ``apply`` brings the parameters.

    With ``use_ema`` it keeps averages of the weights, in which each update's weights have the share
    1 - ``ema_momentum``; with ``gradient_accumulation_steps``, as in Keras, those after each batch.
    Every ``ema_overwrite_frequency`` updates the weights become their averages, unless that is 0; so they do
    at the end of ``fit``.

    With ``loss_scale_factor`` training goes back from so many times the loss, so that small gradients of
    narrow types do not vanish, and ``apply`` divides the gradients by it.

    Attributes
    ----------
    learning_rate : float or schedule
        Setting it, or its ``assign``, takes effect with the next update.
    iterations : int
        How many updates there were.
    variables : list
        The number of updates, the rate unless a schedule gives it, and the state of each weight, in Keras'
        order and layouts, with ``name``, ``numpy()`` and ``assign``.
    """

    #: The arrays of state, by their names in einkorn.optim and in Keras: those of all weights of the first
    #: tuple come first, weight by weight.
    _slots: ClassVar[tuple[tuple[tuple[str, str], ...], ...]] = ()
    #: Which of them Keras keeps as multiples of the rate, and the sign it gives them.
    _by_rate: ClassVar[dict[str, float]] = {}
    #: Whether an update makes arrays of its own.
    _wants_memory: ClassVar[bool] = False

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
        if loss_scale_factor is not None and not (
            isinstance(loss_scale_factor, (int, float)) and 0 < loss_scale_factor < np.inf
        ):
            raise ArgumentError(
                f"{owner}: loss_scale_factor is {loss_scale_factor!r}, expected a number above 0"
            )
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
        every = gradient_accumulation_steps
        if every is not None and (
            isinstance(every, bool) or not isinstance(every, int) or every == 1 or every < 0
        ):
            raise ArgumentError(
                f"{owner}: gradient_accumulation_steps is {every!r}, expected an integer >= 2, or None"
            )
        self.name = name or snake_case(owner)
        self.weight_decay = weight_decay
        self.clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in self.clips.values()) > 1:
            raise ArgumentError(f"{owner}: only one of {', '.join(self.clips)} can be given")
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.use_ema, self.ema_momentum = bool(use_ema), float(ema_momentum)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self._iterations = 0
        self._averages: list[np.ndarray | None] | None = None  # of the weights that train, in their order
        self._sums: list[np.ndarray | None] = []  # of the gradients since the last update
        self._applied = 0  # how many of these
        self._rate = learning_rate
        self._last_rate: float | None = None  # of the last update
        self._make = make
        self._bound: Any = None
        self._params: list[Any] = []  # in the order in which they were given
        self._known: dict[int, Any] = {}  # the variables of these, where they are known
        self._decays = bool(weight_decay)
        self._undecayed: set[int] = set()
        self._undecayed_names: re.Pattern[str] | None = None

    def __getattr__(self, name: str) -> Any:
        bound = self.__dict__.get("_bound")
        if bound is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(bound, name)

    def _refuse_unless(self, good: bool, key: str, value: Any, expected: str) -> None:
        if not good:
            raise ArgumentError(f"{type(self).__name__}: {key} is {value!r}, expected {expected}")

    @property
    def scales(self) -> bool:
        """Whether it goes back from a multiple of the loss."""
        return self.loss_scale_factor is not None

    # --- what users set --------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The rate now; of a schedule, that of the next update."""
        if self._bound is not None:
            return Rate(self._bound.param_groups[0]["lr"], self._set_rate)
        return self._rate(0) if callable(self._rate) else Rate(self._rate, self._set_rate)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_rate(value)

    def _set_rate(self, value: Any) -> None:
        if isinstance(self._rate, LearningRateSchedule) and not callable(value):
            raise _FixedRateError(
                f"{type(self).__name__}: learning_rate is a schedule, which a number cannot replace: expected"
                " another schedule, or an optimizer made with a number"
            )
        self._rate = value if callable(value) else float(np.asarray(value))
        if self._bound is not None:
            for group in self._bound.param_groups:
                group["lr"] = value(self._iterations) if callable(value) else self._rate

    @property
    def iterations(self) -> int:
        """How many updates there were."""
        return Count(self._iterations, self._set_iterations)

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._set_iterations(value)

    def _set_iterations(self, value: Any) -> None:
        self._iterations = int(value)
        if self._bound is not None:
            type(self._bound).iterations.fset(self._bound, self._iterations)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Leave some weights out of ``weight_decay``; before the parameters are there.

        Parameters
        ----------
        var_list : list of variables, optional
        var_names : list of str, optional
            Patterns, such as "bias"; a weight in whose name one is found is left out.
        """
        if self._bound is not None:
            raise ArgumentError(
                "exclude_from_weight_decay: the optimizer has its weights already, expected a call before "
                "compile, build and apply"
            )
        self._undecayed = {id(_parameter(variable)) for variable in var_list or ()}
        self._undecayed_names = re.compile("|".join(sorted(set(var_names)))) if var_names else None

    def know(self, variables: Iterable[Any]) -> None:
        """Remember the names and layouts of weights, for ``variables`` and what goes by them."""
        self._known.update({id(_parameter(variable)): variable for variable in variables})

    def _name_of(self, param: Any) -> str:
        return str(getattr(self._known.get(id(param), param), "name", ""))

    def _decay_of(self, param: Any) -> float | None:
        """The weight decay of a parameter; None of one that is left out."""
        if id(param) in self._undecayed:
            return None
        names = self._undecayed_names
        return None if names is not None and names.search(self._name_of(param)) else self.weight_decay

    # --- the optimizer of parameters -------------------------------------------------------------

    def __call__(self, parameters: Any) -> optim.Optimizer:
        """An optimizer of ``einkorn.optim`` for these parameters: what ``compile`` asks for."""
        params = list(parameters)
        schedule = self._rate if callable(self._rate) else None
        self._params = params
        bound = self._make(params, schedule(0) if schedule else float(self._rate))
        rates = FunctionLR(bound, schedule) if schedule is not None else None
        step = bound.step

        def stepped(closure: Any = None) -> Any:
            loss = None if closure is None else closure()
            if self.loss_scale_factor is not None:
                divide_gradients(params, self.loss_scale_factor)
            updates = self._gather()
            if updates:
                self._clip()
                bound._due()  # makes the state, before anything changes
                undecayed = self._decay(bound) if self._decays else []
                try:
                    self._follow_rate(bound)
                    step()
                except BaseException:
                    self._overwrite([param for param, _ in undecayed], [value for _, value in undecayed])
                    raise
                self._sums, self._applied = [], 0
            if self.use_ema:
                self._average()
            if updates:
                self._iterations += 1
                if rates is not None and callable(self._rate):
                    rates.step()
            return loss

        state_dict, load_state_dict = bound.state_dict, bound.load_state_dict

        def state() -> dict[str, Any]:
            own: dict[str, Any] = {
                "iterations": self._iterations,
                "rates": None if rates is None else rates.last_epoch,
                "last_rate": self._last_rate,
            }
            if self._averages is not None:
                own["averages"] = [None if one is None else one.copy() for one in self._averages]
            if self._applied:
                own["applied"] = self._applied
                own["sums"] = [None if one is None else one.copy() for one in self._sums]
            return {**state_dict(), "keras": own}

        def load_state(state: Mapping[str, Any]) -> None:
            load_state_dict({name: part for name, part in state.items() if name != "keras"})
            own = state.get("keras")
            if own is not None:
                self._iterations = int(own["iterations"])
                self._last_rate = own.get("last_rate")
                if rates is not None and own["rates"] is not None:
                    rates.last_epoch = int(own["rates"])
                if self.use_ema and own.get("averages") is not None:
                    self._averages = [
                        np.array(average) if average is not None and param.requires_grad else None
                        for average, param in zip(own["averages"], params, strict=True)
                    ]
                self._applied = int(own.get("applied", 0))
                self._sums = [None if one is None else np.array(one) for one in own.get("sums", ())]

        for name, function in (
            ("keras", self), ("step", stepped), ("apply", self.apply),
            ("apply_gradients", self.apply_gradients), ("state_dict", state),
            ("load_state_dict", load_state), ("finalize", self._finalize), ("swap_averages", self._swap),
            ("keep_averages", self._keep),
        ):  # fmt: skip
            object.__setattr__(bound, name, function)
        if self.loss_scale_factor is not None:
            object.__setattr__(bound, "scale_loss", self.scale_loss)
        self._bound, self._averages, self._last_rate = bound, None, None
        self._sums, self._applied = [], 0
        return bound

    def build(self, variables: Any) -> None:
        """Make the state for these variables."""
        given = list(variables)
        self.know(given)
        self([_parameter(variable) for variable in given])

    def _decay(self, bound: optim.Optimizer) -> list[tuple[Any, Any]]:
        """Take the share rate * decay off weights, as Keras does before an update.

        Returns the weights and what they were, if the update that follows may want memory that is not there.
        """
        before = []
        for group in bound.param_groups:
            for param in group["params"]:
                decay = self._decay_of(param)
                if decay and param.grad is not None:
                    if self._wants_memory:
                        before.append((param, param._data.copy()))
                    param._data[...] = param._data * (1 - decay * group["lr"])
                    _versions.wrote(param._data)
        return before

    def _follow_rate(self, bound: optim.Optimizer) -> None:
        """Keep what Keras keeps as multiples of the rate, where that has changed.

        In ``einkorn.optim`` momentum is a sum of gradients, which the rate of the update multiplies as a
        whole; in Keras it is a sum of steps, each of which was made with the rate of its time.
        """
        if not self._by_rate:
            return
        runs = [run for runs in bound._runs for run in runs]
        sums = [array for run in runs for name in self._by_rate for array in run.state.get(name, ())]
        rate = float(bound.param_groups[0]["lr"])
        if sums and rate < _LEAST_RATE:  # steps go on by their momentum, and get nothing new
            rate = _LEAST_RATE
            for group in bound.param_groups:
                group["lr"] = rate
        before, self._last_rate = self._last_rate, rate
        if before is not None and before != rate:
            for array in sums:
                array *= before / rate

    @property
    def variables(self) -> list[Slot]:
        """What changes from update to update."""
        return slots_of(self)

    def _slots_of(self, param: Any, arrays: dict[str, Any], names: Any) -> list[Slot]:
        return slots_of_param(self, param, arrays, names)

    def set_weights(self, weights: Any) -> None:
        """Set all ``variables``, of arrays in their order."""
        own, given = self.variables, list(weights)
        if len(given) != len(own):
            raise ArgumentError(f"set_weights: got {len(given)} arrays, expected {len(own)}")
        for slot, value in zip(own, given, strict=True):
            slot.assign(value)

    def assign(self, variable: Any, value: Any) -> None:
        """``variable.assign(value)``."""
        variable.assign(value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """``variable.assign_add(value)``."""
        variable.assign_add(value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """``variable.assign_sub(value)``."""
        variable.assign_sub(value)

    # --- averages of weights -------------------------------------------------------------------

    def _average(self) -> None:
        """After an update: the first one's weights are the first average."""
        averages = self.first_averages() if self._averages is None else self._averages
        momentum = self.ema_momentum if self._iterations else 0.0
        for i, (average, param) in enumerate(zip(averages, self._params, strict=True)):
            if average is not None:
                average *= momentum
                average += (1 - momentum) * param._data
            elif param.requires_grad:  # it trains from now on
                averages[i] = param._data.copy()
        self._averages = averages
        every = self.ema_overwrite_frequency
        if every and (self._iterations + 1) % every == 0:
            self._overwrite(self._params, self._averages)

    def first_averages(self) -> list[np.ndarray | None]:
        """Zeros for the weights that train; none for the others, which layers update by themselves."""
        return [np.zeros_like(param._data) if param.requires_grad else None for param in self._params]

    @staticmethod
    def _overwrite(params: list[Any], values: Sequence[np.ndarray | None]) -> None:
        for param, value in zip(params, values, strict=True):
            if value is not None:
                param._data[...] = value
                _versions.wrote(param._data)

    def _finalize(self) -> None:
        """What ends a training: the weights become their averages."""
        if self.use_ema and self._averages is not None:
            self._overwrite(self._params, self._averages)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Set these weights to their averages, where ``use_ema`` asks for them.

        Parameters
        ----------
        var_list : list of variables
        """
        if not self.use_ema:
            return
        given = [_parameter(variable) for variable in var_list]
        averages = [average for average in self._averages or () if average is not None]
        if self._averages is None or len(given) != len(averages):
            raise ArgumentError(
                f"finalize_variable_values: got {len(given)} variables, expected {len(averages)}"
            )
        self._overwrite(given, averages)

    def _swap(self) -> None:
        """Weights and averages change places."""
        if not self.use_ema:
            raise ArgumentError(f"{type(self).__name__}: has no averages of weights, expected use_ema=True")
        if self._averages is not None:
            pairs = zip(self._params, self._averages, strict=True)
            before = [None if average is None else param._data.copy() for param, average in pairs]
            self._overwrite(self._params, self._averages)
            self._averages = before

    def _keep(self) -> None:
        """The averages are what the weights are now."""
        self._averages = [param._data.copy() if param.requires_grad else None for param in self._params]

    # --- updates by hand -------------------------------------------------------------------------

    def scale_loss(self, loss: Any) -> Any:
        """What to go back from: the loss, or ``loss_scale_factor`` times it."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Make an update with these gradients; with ``gradient_accumulation_steps``, with so many's mean.

        Parameters
        ----------
        grads : list of array or Tensor
            In the layouts of ``variable.shape``, or, as ``variable.value.grad`` is, of ``variable.value``.
            Where the shape fits both, a variable's own ``value.grad`` counts as the latter; for any other
            the remaining gradients tell, and where they do not either, it is in the layout of
            ``variable.shape``.
        trainable_variables : list of variables
            As a model's ``trainable_weights``.

        Raises
        ------
        ArgumentError
            All gradients are None; or one that fits both layouts may have been computed from
            ``variable.value.grad``, as that is there.
        """
        given = list(grads)
        if not given:
            return
        if trainable_variables is None:
            if self._bound is None:
                raise ArgumentError(f"{type(self).__name__}: apply got no variables, and none are known yet")
            params = self._params
        else:
            variables = list(trainable_variables)
            params = [_parameter(variable) for variable in variables]
            if self._bound is None and len(given) == len(params):
                self.build(variables)
            self.know(variable for variable in variables if hasattr(variable, "_place"))
        if len(given) != len(params):
            raise ArgumentError(f"apply: got {len(given)} gradients for {len(params)} variables")
        if all(grad is None for grad in given):
            raise ArgumentError("apply: No gradients provided for any variable, expected at least one")
        known = {id(param) for param in self._params}
        if not {id(param) for param in params} <= known:
            raise ArgumentError("apply: some variables are not those that the optimizer was made for")
        turned = self._in_layouts(given, params)
        before = [(param, param.grad) for param in self._params]
        try:
            for param in self._params:
                param.grad = None
            for param, grad in zip(params, turned, strict=True):
                param.grad = grad
            self._bound.step()
        finally:
            for param, grad in before:
                param.grad = grad

    def _in_layouts(self, grads: list[Any], params: list[Any]) -> list[Tensor | None]:
        """Gradients in the layouts of their parameters, turned where they come in Keras' layout.

        Where the shape is that of both layouts, as of a square kernel, the others of the call tell.
        """
        found: list[Tensor | None] = [None] * len(grads)
        doubtful: list[int] = []
        inner = outer = False
        for i, (grad, param) in enumerate(zip(grads, params, strict=True)):
            if grad is None:
                continue
            array = as_array(grad._data if isinstance(grad, Tensor) else grad, param._data.dtype)
            own, theirs = param._data.shape, self._shape_of(param)
            if array.shape not in (own, theirs):
                name = self._name_of(param) or "a variable"
                raise ShapeError(
                    f"apply: the gradient of {name} has shape {array.shape}, expected {theirs or own}"
                )
            found[i] = Tensor(array)
            if theirs is None or grad is param.grad:
                inner = inner or theirs is not None
            elif own == theirs:
                doubtful.append(i)
            elif array.shape == own:
                inner = True
            else:
                outer = True
                found[i] = self._turned(array, param)
        for i in doubtful:
            if inner and not outer:
                continue
            if inner or (not outer and params[i].grad is not None):
                raise ArgumentError(
                    f"apply: the gradient of {self._name_of(params[i])} has a shape of two layouts, and may"
                    " be computed from value.grad: expected value.grad itself, or a gradient in the layout of"
                    " variable.shape after zero_grad()"
                )
            found[i] = self._turned(found[i]._data, params[i])  # type: ignore[union-attr]
        return found

    def _shape_of(self, param: Any) -> tuple[int, ...] | None:
        """The shape that Keras shows of a parameter whose layout is another; None where it is the same."""
        place: Any = getattr(self._known.get(id(param)), "_place", None)
        if place is None or place.turn is None:
            return None
        return tuple(place.turn(param._data).shape)

    def _turned(self, array: Any, param: Any) -> Tensor:
        place: Any = self._known[id(param)]._place
        return Tensor(contiguous(place.back(array)))

    def _gather(self) -> bool:
        """Whether the gradients make an update; then they are the mean of those since the last one."""
        every = self.gradient_accumulation_steps
        if not every:
            return True
        sums = list(self._sums or [None] * len(self._params))
        for i, param in enumerate(self._params):
            if param.grad is not None:
                before = sums[i]
                sums[i] = param.grad._data.copy() if before is None else before + param.grad._data
        if self._applied + 1 < every:
            self._sums, self._applied = sums, self._applied + 1
            return False
        means = [None if total is None else Tensor(total / every) for total in sums]
        for param, mean in zip(self._params, means, strict=True):
            param.grad = mean
        return True

    def apply_gradients(self, grads_and_vars: Any) -> int:
        """``apply`` of pairs; how many updates there were."""
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def _clip(self) -> None:
        from einkorn.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_

        params = self._params
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
        return {
            **own,
            "weight_decay": self.weight_decay,
            **self.clips,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "name": self.name,
            "learning_rate": rate,
        }


_LEAST_RATE = 1e-20


def divide_gradients(params: list[Any], scale: float) -> None:
    """Divide the gradients that are there."""
    for param in params:
        if param.grad is not None:
            param.grad = Tensor(param.grad._data / param.grad._data.dtype.type(scale))


def _parameter(variable: Any) -> Tensor:
    value = getattr(variable, "value", variable)
    if not isinstance(value, Tensor):
        raise ArgumentError(f"optimizer: got {type(variable).__name__}, expected variables of a model")
    return value
