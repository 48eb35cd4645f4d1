"""``Optimizer``: parameter groups, state, and one kernel launch per group and type.

The state lives in *runs*. A run is a list of parameters of one group that share a type and have
been updated equally often, with one list of state arrays per name beside it. A step hands whole
lists to the engine, so a network of twenty layers costs one launch, and Python does nothing but
collect the gradients. Usually a group is one run; when some of its parameters have no gradient,
the run splits and each part keeps its own count of steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from operator import index, is_not
from typing import Any, ClassVar

import numpy as np

from einkorn import _bfloat16, _versions, engines
from einkorn._device import device_of, is_whole, move, refuse_apart
from einkorn._foreign import numbers
from einkorn._tensor import Tensor
from einkorn.autograd import enable_grad
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import contiguous
from einkorn.optim._runs import Run, masters_of, wide_gradient
from einkorn.sparse import SparseRows

__all__ = ["Optimizer"]


#: Options that optimizers differ in. Others (foreach, fused, capturable ...) come and go with versions.
_TELLING = frozenset(
    {
        *("alpha", "amsgrad", "beta2_decay", "betas", "d", "dampening", "etas", "history_size", "lambd"),
        *("lr_decay", "momentum", "momentum_decay", "nesterov", "ns_steps", "rho", "step_sizes", "t0"),
    }
)


class Optimizer(ABC):
    """Base class. Subclasses name their options and launch their kernel in ``_launch``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        A dict is a group: "params" and the options that differ from the defaults.
    defaults : dict
        The options of groups that do not name them.

    Attributes
    ----------
    param_groups : list of dict
        "params" and the options. Change ``group["lr"]`` at any time.
    learning_rate : float
        The rate of the first group; setting it sets that of all groups.
    """

    _state_names: ClassVar[tuple[str, ...]] = ()
    #: Names of the numbers of state, and what they are before the first step.
    _scalars: ClassVar[dict[str, float]] = {}
    #: Whether parameters have state before their first step, as torch's optimizer of this name gives them.
    _state_at_once: ClassVar[bool] = False

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._runs: list[list[Run]] = []
        name = type(self).__name__
        if isinstance(params, (Tensor, np.ndarray, str, Mapping)) or not isinstance(params, Iterable):
            raise ArgumentError(
                f"{name}: params is {type(params).__name__}, expected an iterable of parameters"
            )
        entries = list(params)
        if not entries:
            raise ArgumentError(f"{name}: params is empty, expected at least one parameter")
        if isinstance(entries[0], Mapping):
            for group in entries:
                self.add_param_group(group)
        else:
            self.add_param_group({"params": entries})

    def __setattr__(self, name: str, value: Any) -> None:
        if name in getattr(self, "defaults", ()):
            hint = " or learning_rate" if name == "lr" else ""
            raise ArgumentError(
                f"{type(self).__name__}: {name} belongs to a parameter group: set it in param_groups{hint}"
            )
        super().__setattr__(name, value)

    # --- groups -----------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The rate of the first group; setting it sets that of all groups, as in Keras."""
        return float(self.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self.param_groups:
            self._check({**group, "lr": value})
        for group in self.param_groups:
            group["lr"] = value

    @property
    def iterations(self) -> int:
        """How many updates there were; setting it sets those of all parameters, as in Keras."""
        return max((run.steps for runs in self._runs for run in runs), default=0)

    @iterations.setter
    def iterations(self, value: int) -> None:
        count = index(value)
        if count < 0:
            raise ArgumentError(f"{type(self).__name__}: iterations is {value!r}, expected an integer >= 0")
        for group, runs in zip(self.param_groups, self._runs, strict=True):
            self._take_new(group, runs)
            for run in runs:
                run.steps = count

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a dict of "params" and the options that differ from the defaults.

        Options of other names are kept in the group and in ``state_dict``, for code that reads them.
        """
        name = type(self).__name__
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentError(f'{name}: a parameter group must be a dict with "params"')
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        seen = {id(param) for other in self.param_groups for param in other["params"]}
        for position, param in enumerate(params):
            self._check_param(param, position, seen)
        full = {**self.defaults, **group, "params": params}
        self._check(full)
        self.param_groups.append(full)
        self._runs.append([])

    def _check_param(self, param: Any, position: int, seen: set[int]) -> None:
        name = type(self).__name__
        if not isinstance(param, Tensor):
            kind = type(param).__name__
            hint = ""
            if type(param).__module__.partition(".")[0] == "torch":
                kind, hint = f"a torch {kind}", "; torch's parameters are updated by torch.optim"
            elif isinstance(param, tuple):
                hint = "; give parameters(), not named_parameters()"
            raise ArgumentError(
                f"{name}: parameter {position} is {kind}, expected a Parameter of einkorn{hint}"
            )
        if id(param) in seen:
            raise ArgumentError(f"{name}: parameter {position} is given twice, expected once")
        seen.add(id(param))
        if not param.is_leaf:
            raise ArgumentError(
                f"{name}: parameter {position} was computed by a recorded operation, expected a leaf"
            )
        if not is_whole(param._data):
            raise ArgumentError(
                f"{name}: parameter {position} is not C-contiguous and writeable, "
                "so it cannot be updated in place"
            )

    @abstractmethod
    def _check(self, group: dict[str, Any]) -> None:
        """Refuse bad options of a group by name."""

    def _check_flags(self, group: dict[str, Any]) -> None:
        """Refuse flags that are no such. Torch's choices among its own bodies are taken and mean nothing."""
        name = type(self).__name__
        if not isinstance(group.get("maximize", False), bool):
            raise ArgumentError(f"{name}: maximize is {group['maximize']!r}, expected True or False")
        if group.get("differentiable"):
            raise ArgumentError(
                f"{name}: differentiable is {group['differentiable']!r}, expected False: "
                "steps are not recorded"
            )

    def _pair(self, group: dict[str, Any], key: str, below: float | None = None) -> None:
        """Refuse ``group[key]`` unless it is two numbers >= 0, and under ``below`` if given."""
        pair = group[key]
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ArgumentError(f"{type(self).__name__}: {key} is {pair!r}, expected a pair of numbers")
        for place, value in enumerate(pair):
            self._number({f"{key}[{place}]": value}, f"{key}[{place}]", below)

    def _number(self, group: dict[str, Any], key: str, below: float | None = None) -> None:
        """Refuse ``group[key]`` unless it is a number >= 0, and under ``below`` if given."""
        value = group[key]
        good = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
        if not good or not value >= 0 or (below is not None and not value < below):
            limit = "" if below is None else f" and below {below:g}"
            raise ArgumentError(f"{type(self).__name__}: {key} is {value!r}, expected a number >= 0{limit}")

    # --- stepping ---------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none or param.grad is None:
                    param.grad = None
                else:
                    param.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Called first, with recording on: computes the loss anew, and its gradients, and returns it.

        Returns
        -------
        What ``closure`` returned; None without one.

        Raises
        ------
        ShapeError, DTypeError
            A gradient does not fit its parameter, or a parameter is not of the shape and type of the first
            step. Parameters of other types or groups may have been updated then.
        """
        loss = self._evaluate(closure)
        for run, group in self._due():
            self._update(run, group)
        return loss

    def _due(self) -> list[tuple[Run, dict[str, Any]]]:
        """The runs that have gradients, and their groups, with all state made before the first update.

        What fails while state is made, as memory does, leaves parameters, state and counts as they were.
        """
        due = []
        for group, runs in zip(self.param_groups, self._runs, strict=True):
            self._take_new(group, runs)
            for run in tuple(runs):
                keep = [param._grad is not None for param in run.params]
                if False not in keep:
                    due.append((run, group))
                elif True in keep:
                    updated, waiting = run.split(keep)
                    place = runs.index(run)
                    runs[place : place + 1] = [updated, waiting]
                    due.append((updated, group))
        for run, group in due:
            if not run.seen:
                self._begin(run, group)
        return due

    def _begin(self, run: Run, group: dict[str, Any]) -> None:
        """Check a run's parameters and gradients, and make its state, before its first update."""
        params, _, _ = self._arrays(run, group)
        self._check_arrays(run, params, group)
        wide = masters_of(run, params) if _bfloat16.is_bfloat16(run.dtype) else params
        if not run.state:
            run.state = self._new_state(run, wide, group)
        run.seen = params  # only now: a run that was seen has its state

    def _evaluate(self, closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            return None
        if not callable(closure):
            raise ArgumentError(f"{type(self).__name__}: closure is {closure!r}, expected a function")
        with enable_grad():
            return closure()

    def _take_new(self, group: dict[str, Any], runs: list[Run]) -> None:
        """Make runs of the group's parameters that are in none."""
        if sum(len(run.params) for run in runs) != len(group["params"]):
            known = {id(param) for run in runs for param in run.params}
            runs.extend(self._new_runs([p for p in group["params"] if id(p) not in known]))

    def _update(self, run: Run, group: dict[str, Any]) -> None:
        params, grads, of_rows = self._arrays(run, group)
        if len(run.seen) != len(params) or any(map(is_not, run.seen, params)):
            self._check_arrays(run, params, group)
            run.seen = params
        kept = params
        if _bfloat16.is_bfloat16(run.dtype):
            params, grads = masters_of(run, params), [wide_gradient(grad) for grad in grads]
        if of_rows:
            self._update_rows(run, params, grads, of_rows, group)
        else:
            self._launch(engines.of(params[0]), params, grads, run, group)
        if kept is not params:
            for param, master in zip(kept, params, strict=True):
                _bfloat16.copy(param, master)
        _versions.wrote(*kept)
        run.steps += 1

    def _arrays(self, run: Run, group: dict[str, Any]) -> tuple[list[Any], list[Any], list[int]]:
        """The arrays of parameters and gradients, and which of them have gradients of few rows."""
        params: list[Any] = []
        grads: list[Any] = []
        of_rows: list[int] = []
        for param in run.params:
            data, grad = param._data, param._grad._data  # type: ignore[union-attr]
            if grad.shape != data.shape or grad.dtype != data.dtype or type(grad) is not type(data):
                if type(grad) is not SparseRows or grad.shape != data.shape or grad.dtype != data.dtype:
                    self._refuse_gradient(param, group)
                self._check_rows(param, group)
                of_rows.append(len(params))
            elif not grad.flags.c_contiguous:
                grad = contiguous(grad)
            params.append(data)
            grads.append(grad)
        return params, grads, of_rows

    def _update_rows(
        self, run: Run, params: list[Any], grads: list[Any], of_rows: list[int], group: dict[str, Any]
    ) -> None:
        """Update rows of tables by themselves: taken out with their state, updated, put back."""
        whole = [i for i in range(len(params)) if i not in of_rows]
        if whole:
            state = {name: [arrays[i] for i in whole] for name, arrays in run.state.items()}
            part = Run([run.params[i] for i in whole], state, run.steps, run.dtype)
            self._launch(
                engines.of(params[0]), [params[i] for i in whole], [grads[i] for i in whole], part, group
            )
        for i in of_rows:
            index, values = grads[i].rows, contiguous(grads[i].values)
            if len(index) == 0:
                continue
            k = engines.of(values)
            tables = {"": params[i], **{name: arrays[i] for name, arrays in run.state.items()}}
            taken = {name: k.empty(values.shape, values.dtype) for name in tables}
            for name, rows in taken.items():
                k.embedding_forward(rows, tables[name], index)
            state = {name: [rows] for name, rows in taken.items() if name}
            self._launch(k, [taken[""]], [values], Run([run.params[i]], state, run.steps, run.dtype), group)
            for name, rows in taken.items():
                k.embedding_put(tables[name], rows, index)

    def _check_rows(self, param: Tensor, group: dict[str, Any]) -> None:
        """Refuse a gradient of few rows where updating these rows alone is not what the optimizer means."""
        raise ArgumentError(
            f"{self._where(param, group)} has a sparse gradient, expected a whole one: SparseAdam, and SGD"
            " and Adagrad without momentum and weight decay, take sparse ones"
        )

    def _where(self, param: Tensor, group: dict[str, Any]) -> str:
        number = next(i for i, other in enumerate(group["params"]) if other is param)
        return f"{type(self).__name__}: parameter {number}"

    def _refuse_gradient(self, param: Tensor, group: dict[str, Any]) -> None:
        data, grad = param._data, param._grad._data  # type: ignore[union-attr]
        where = self._where(param, group)
        if grad.shape != data.shape:
            raise ShapeError(f"{where} has a gradient of shape {grad.shape}, expected {data.shape}")
        raise DTypeError(f"{where} has a gradient of {grad.dtype}, expected {data.dtype} on one device")

    def _check_arrays(self, run: Run, params: list[Any], group: dict[str, Any]) -> None:
        """Check arrays that this run has not seen: a parameter's data may be replaced at any time."""
        for i, data in enumerate(params):
            if data.dtype != run.dtype:
                raise DTypeError(
                    f"{self._where(run.params[i], group)} is {data.dtype} now and was {run.dtype} at the"
                    " first step: make a new optimizer after Module.to"
                )
            for name, arrays in run.state.items():
                if device_of(arrays[i]) != device_of(data):
                    refuse_apart(self._where(run.params[i], group), data, name, arrays[i])
                if arrays[i].shape != self._state_shape(name, run.params[i]):
                    raise ShapeError(
                        f"{self._where(run.params[i], group)} has shape {data.shape} now and its {name}"
                        f" {arrays[i].shape}: make a new optimizer after replacing a parameter's data"
                    )
            if not is_whole(data):
                raise ArgumentError(
                    f"{self._where(run.params[i], group)} is not C-contiguous and writeable, so it cannot be"
                    " updated in place"
                )

    @abstractmethod
    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        """Call the kernel that updates ``params`` and the run's state."""

    def _new_runs(self, params: list[Tensor]) -> list[Run]:
        """One run per type and kind."""
        alike: dict[Any, list[Tensor]] = {}
        for param in params:
            alike.setdefault((param._data.dtype, self._kind(param)), []).append(param)
        return [Run(members, {}, 0, key[0], dict(self._scalars)) for key, members in alike.items()]

    def _new_state(self, run: Run, params: list[Any], group: dict[str, Any]) -> dict[str, list[Any]]:
        """Arrays for each name of state."""
        names = self._names_of(group, run.params[0])
        return {name: self._filled(name, run, params, group) for name in names}

    def _filled(self, name: str, run: Run, params: list[Any], group: dict[str, Any]) -> list[Any]:
        arrays = []
        for tensor, param in zip(run.params, params, strict=True):
            engine = engines.of(param)
            arrays.append(engine.empty(self._state_shape(name, tensor), param.dtype))
            engine.fill(arrays[-1], self._initial(name, group))
        return arrays

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        """What a state array is filled with before the first step."""
        return 0.0

    def _state_shape(self, name: str, param: Tensor) -> tuple[int, ...]:
        """The shape of a state array of a parameter."""
        return param._data.shape

    def _of_late(self, run: Run, name: str, params: list[Any], group: dict[str, Any]) -> list[Any]:
        """The state arrays of that name, made now if an option that needs them was switched on late."""
        if name not in run.state:
            run.state[name] = self._filled(name, run, params, group)
        return run.state[name]

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Which state arrays the group's options need."""
        return self._state_names

    def _names_of(self, group: dict[str, Any], param: Tensor) -> tuple[str, ...]:
        """Which state arrays a parameter needs; the same for all of one kind."""
        return self._names(group)

    def _kind(self, param: Tensor) -> Any:
        """What parameters of one run have in common beside their type."""
        return None

    # --- state ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and options in torch's form: {"state": {index: {...}}, "param_groups": [...]}.

        Parameters are numbered in the order of the groups. Arrays are copies.
        """
        index: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                index[id(param)] = len(index)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [index[id(param)] for param in group["params"]]
            groups.append(packed)
        state: dict[int, dict[str, Any]] = {}
        for group, runs in zip(self.param_groups, self._runs, strict=True):
            if self._state_at_once:
                self._take_new(group, runs)
            for run in runs:
                if self._state_at_once and not run.state:
                    run.state = self._new_state(run, [param._data for param in run.params], group)
                if run.steps or self._state_at_once:
                    for i, param in enumerate(run.params):
                        entry: dict[str, Any] = {"step": run.steps, **run.scalars}
                        for name, arrays in run.state.items():
                            entry[name] = arrays[i].copy()
                        if run.masters:
                            entry["master"] = run.masters[i].copy()
                        state[index[id(param)]] = entry
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, for the same parameters in the same groups.

        Raises
        ------
        ArgumentError
            The groups, their sizes, or the shapes of state arrays differ, or the options are those of another
            optimizer.
        """
        name = type(self).__name__
        try:
            state, groups = state_dict["state"], state_dict["param_groups"]
            sizes = [len(group["params"]) for group in groups]
        except (KeyError, TypeError) as error:
            raise ArgumentError(
                f"{name}: load_state_dict expects state and param_groups, as state_dict gives"
            ) from error
        self._refuse_other_kind(groups)
        own = [len(group["params"]) for group in self.param_groups]
        if sizes != own:
            raise ArgumentError(f"{name}: load_state_dict got groups of {sizes} parameters, expected {own}")
        merged = []
        for group, saved in zip(self.param_groups, groups, strict=True):
            options = {key: value for key, value in saved.items() if key != "params"}
            merged.append({**group, **options})
            self._check(merged[-1])
        new_runs = []
        for group, saved in zip(merged, groups, strict=True):
            runs: dict[tuple[Any, ...], Run] = {}
            for param, number in zip(group["params"], saved["params"], strict=True):
                entry = state.get(number, {})
                # torch's SGD keeps no count; a momentum buffer tells that a step was made
                has_state = any(entry.get(key) is not None for key in self._state_names)
                steps = self._steps(entry.get("step", 1 if has_state else 0), number)
                scalars = {key: float(entry.get(key, value)) for key, value in self._scalars.items()}
                dtype = param._data.dtype
                run = runs.setdefault(
                    (dtype, self._kind(param), steps, *scalars.values()),
                    Run([], {}, steps, dtype, scalars),
                )
                run.params.append(param)
                if steps and _bfloat16.is_bfloat16(dtype):
                    run.masters.append(self._master(entry, param, number))
                if steps:
                    for key in self._names_of(group, param):
                        run.state.setdefault(key, []).append(self._state(entry, key, param, number))
            new_runs.append(list(runs.values()))
        for group, options in zip(self.param_groups, merged, strict=True):
            group.update(options)
        self._runs = new_runs

    def _refuse_other_kind(self, groups: Any) -> None:
        """Options tell whose state it is: none of those that optimizers differ in may be missing or new."""
        for own, group in zip_longest(self.param_groups, groups, fillvalue=self.defaults):
            mine = _TELLING & own.keys()
            theirs = _TELLING & group.keys()
            if theirs != mine and group.keys() > {"params"}:
                what = f"has {', '.join(sorted(theirs - mine))}" if theirs - mine else "lacks options"
                known = ", ".join(sorted(mine)) or "none of these"
                raise ArgumentError(
                    f"{type(self).__name__}: load_state_dict got the state of another optimizer, which"
                    f" {what}; expected {known}"
                )

    def _steps(self, value: Any, number: Any) -> int:
        """The number of steps that a saved state says was made: a number, or an array or tensor of one."""
        try:
            steps = float(value)
        except (TypeError, ValueError):
            steps = -1.0
        if not 0 <= steps < 1 << 53 or steps != int(steps):
            raise ArgumentError(
                f"{type(self).__name__}: load_state_dict got step {value!r} for parameter {number},"
                " expected a whole number of at least 0"
            )
        return int(steps)

    def _state(self, entry: Mapping[str, Any], key: str, param: Tensor, number: Any) -> Any:
        """A copy of one state array, checked against its parameter."""
        name = type(self).__name__
        if entry.get(key) is None:
            raise ArgumentError(f"{name}: load_state_dict has no {key} for parameter {number}")
        what = f"{name}: load_state_dict: {key} of parameter {number}"
        low = _bfloat16.is_bfloat16(param._data.dtype)
        array = numbers(entry[key], what).astype(np.float32 if low else param._data.dtype, order="C")
        expected = self._state_shape(key, param)
        if array.shape != expected:
            raise ArgumentError(
                f"{name}: load_state_dict has {key} of shape {array.shape} for parameter "
                f"{number}, expected {expected}"
            )
        return move(array, device_of(param._data))

    def _master(self, entry: Mapping[str, Any], param: Tensor, number: Any) -> Any:
        """The float32 copy of a bfloat16 parameter, from the parameter where there is none of it."""
        if entry.get("master") is None:
            return _bfloat16.widen(param._data)
        return self._state(entry, "master", param, number)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group, key=str) if key != "params")
        return "\n".join([*lines, ")"])
