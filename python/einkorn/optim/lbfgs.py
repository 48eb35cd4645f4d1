"""L-BFGS, with a line search by the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from einkorn import _versions, engines, ops
from einkorn._device import device_of, move
from einkorn._foreign import numbers
from einkorn.errors import ArgumentError, DTypeError
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["LBFGS"]

#: Numbers and lists of a state, as torch names them; "d" and "prev_flat_grad" are flat arrays.
_NUMBERS = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")
_LISTS = ("old_dirs", "old_stps", "ro")


class LBFGS(Optimizer):
    """L-BFGS (Nocedal and Wright 2006, algorithm 7.4), as torch defines it.

    A step makes up to ``max_iter`` iterations and calls the closure for each function value, so it needs one:

    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = loss_of(model(x), y)
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)  # doctest: +SKIP

    Parameters
    ----------
    params : iterable of Parameter
        All of one type; groups are not supported.
    lr : float, default 1
        The first step length tried.
    max_iter : int, default 20
        Iterations of a step.
    max_eval : int, optional
        Function values of a step; default ``max_iter * 5 // 4``.
    tolerance_grad : float, default 1e-7
        Ends a step when no element of the gradient is larger.
    tolerance_change : float, default 1e-9
        Ends a step when neither the loss nor an element of the parameters changes by more.
    history_size : int, default 100
        Pairs of steps and changes of the gradient that stand for the curvature.
    line_search_fn : str, optional
        "strong_wolfe" or None: steps of length ``lr``.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range; a step without a closure.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None and _is_count(max_iter) else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        types = {str(param.dtype) for param in self.param_groups[0]["params"]}
        if "bfloat16" in types:
            raise DTypeError("LBFGS: a parameter is bfloat16, expected float32 or float64")
        if len(types) != 1:
            raise DTypeError(f"LBFGS: params are {', '.join(sorted(types))}, expected one type")
        self._memory: dict[str, Any] = {}

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add the one group; another is refused."""
        if self.param_groups:
            raise ArgumentError("LBFGS: params has more than one parameter group, expected one")
        super().add_param_group(group)

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "tolerance_grad", "tolerance_change"):
            self._number(group, key)
        for key in ("max_iter", "max_eval", "history_size"):
            if not _is_count(group[key]):
                raise ArgumentError(f"LBFGS: {key} is {group[key]!r}, expected an integer >= 1")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"LBFGS: line_search_fn is {group['line_search_fn']!r}, expected None or 'strong_wolfe'"
            )

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        """Not of use: a step is several launches."""

    # --- a step -----------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to ``max_iter`` iterations.

        Parameters
        ----------
        closure : callable
            Computes the loss anew, and its gradients, and returns it.

        Returns
        -------
        The first loss that ``closure`` returned.

        Notes
        -----
        An error in an iteration, as of the closure, leaves the parameters where they are and the history
        empty.
        """
        if closure is None:
            raise ArgumentError("LBFGS: step needs a closure that computes the loss and its gradients")
        group, memory = self.param_groups[0], self._memory
        first = self._evaluate(closure)
        grad = self._flat_gradient()
        memory["func_evals"] = memory.get("func_evals", 0) + 1
        if _largest(grad) > group["tolerance_grad"]:
            try:
                self._iterate(closure, float(first), grad)
            except BaseException:
                # parameters may have moved without their pair in the history: start it anew
                self._memory = {"func_evals": memory["func_evals"]}
                raise
        return first

    def _iterate(self, closure: Callable[[], Any], loss: float, grad: Any) -> None:
        """The iterations of a step, from a loss and its gradient."""
        group, memory, calls = self.param_groups[0], self._memory, 1
        for iteration in range(1, group["max_iter"] + 1):
            memory["n_iter"] = memory.get("n_iter", 0) + 1
            direction = self._direction(grad)
            length = group["lr"]
            if memory["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(ops.sum(ops.absolute(grad))))
            memory.update(d=direction, t=length, prev_flat_grad=grad, prev_loss=loss)
            slope, before = _dot(grad, direction), loss
            if slope > -group["tolerance_change"]:
                break
            more = 0
            if group["line_search_fn"] is None:
                self._move(direction, length)
                if iteration < group["max_iter"]:
                    loss, grad, more = float(self._evaluate(closure)), self._flat_gradient(), 1
            else:
                origin = _Point(0.0, loss, grad, slope)
                found, more = self._search(closure, direction, origin, length)
                memory["t"], loss, grad = found.t, found.value, found.gradient
                length = found.t
            calls += more
            memory["func_evals"] += more
            if (
                calls >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction) * abs(length) <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break

    def _search(
        self, closure: Callable[[], Any], direction: Any, origin: _Point, length: float
    ) -> tuple[_Point, int]:
        """Go to a point that satisfies the strong Wolfe conditions; also how many were tried."""
        start = [param._data.copy() for param in self.param_groups[0]["params"]]

        def at(length: float) -> _Point:
            self._return_to(start)
            self._move(direction, length)
            value, gradient = float(self._evaluate(closure)), self._flat_gradient()
            return _Point(length, value, gradient, _dot(gradient, direction))

        found, tried = _strong_wolfe(at, origin, length, _largest(direction))
        self._return_to(start)
        self._move(direction, found.t)
        return found, tried

    def _direction(self, grad: Any) -> Any:
        """The gradient times minus the inverse of the curvature, by the two loops over the history."""
        memory = self._memory
        if memory["n_iter"] == 1:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return ops.negative(grad)
        changes, steps, inverses = (memory[name] for name in _LISTS)
        change = ops.subtract(grad, memory["prev_flat_grad"])
        step = ops.multiply(memory["d"], memory["t"])
        curvature = _dot(change, step)
        if curvature > 1e-10:
            if len(changes) == self.param_groups[0]["history_size"]:
                for kept in (changes, steps, inverses):
                    del kept[0]
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            memory["H_diag"] = curvature / _dot(change, change)
        direction = ops.negative(grad)
        shares = [0.0] * len(changes)
        for i in reversed(range(len(changes))):
            shares[i] = _dot(steps[i], direction) * inverses[i]
            _add(direction, changes[i], -shares[i])
        direction = ops.multiply(direction, memory["H_diag"])
        for i in range(len(changes)):
            _add(direction, steps[i], shares[i] - _dot(changes[i], direction) * inverses[i])
        return direction

    def _flat_gradient(self) -> Any:
        """All gradients end to end; zeros for those that are missing."""
        flat = []
        for param in self.param_groups[0]["params"]:
            data, grad = param._data, param._grad
            if grad is None:
                zeros = engines.of(data).empty((data.size,), data.dtype)
                engines.of(data).fill(zeros, 0.0)
                flat.append(zeros)
                continue
            if grad.shape != data.shape or grad.dtype != data.dtype:
                self._refuse_gradient(param, self.param_groups[0])
            flat.append(ops.reshape(grad._data, (-1,)))
        return ops.concatenate(flat)

    def _move(self, direction: Any, length: float) -> None:
        """Add that many times the direction to the parameters."""
        arrays = [param._data for param in self.param_groups[0]["params"]]
        parts, begin = [], 0
        for array in arrays:
            parts.append(direction[begin : begin + array.size])
            begin += array.size
        engines.of(arrays[0]).sgd_step(arrays, parts, None, -length, 0.0, 0.0, 0.0, False, False, True)
        _versions.wrote(*arrays)

    def _return_to(self, start: list[Any]) -> None:
        for param, array in zip(self.param_groups[0]["params"], start, strict=True):
            param._data[...] = array
            _versions.wrote(param._data)

    # --- state ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and options in torch's form, all state as that of parameter 0. Arrays are copies."""
        group = {key: value for key, value in self.param_groups[0].items() if key != "params"}
        group["params"] = list(range(len(self.param_groups[0]["params"])))
        entry: dict[str, Any] = {}
        for key, value in self._memory.items():
            if isinstance(value, list):
                entry[key] = [each if isinstance(each, float) else each.copy() for each in value]
            else:
                entry[key] = value if isinstance(value, (int, float)) else value.copy()
        return {"state": {0: entry} if entry else {}, "param_groups": [group]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, here or in torch, for the same parameters."""
        memory: dict[str, Any] = {}
        try:
            entry = dict(state_dict["state"].get(0, {}))
        except (KeyError, TypeError, AttributeError) as error:
            raise ArgumentError(
                "LBFGS: load_state_dict expects state and param_groups, as state_dict gives"
            ) from error
        for key in _NUMBERS:
            if entry.get(key) is not None:
                memory[key] = int(entry[key]) if key in ("func_evals", "n_iter") else float(entry[key])
        for key in ("d", "prev_flat_grad"):
            if entry.get(key) is not None:
                memory[key] = self._flat(entry[key], key)
        if entry.get("old_dirs") is not None:
            memory["ro"] = [float(value) for value in entry["ro"]]
            for key in ("old_dirs", "old_stps"):
                memory[key] = [self._flat(value, key) for value in entry[key]]
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        self._memory = memory

    def _flat(self, value: Any, key: str) -> Any:
        params = self.param_groups[0]["params"]
        size = sum(param._data.size for param in params)
        array = numbers(value, f"LBFGS: load_state_dict: {key}").astype(params[0]._data.dtype, order="C")
        if array.shape != (size,):
            raise ArgumentError(
                f"LBFGS: load_state_dict has {key} of shape {array.shape}, expected ({size},)"
            )
        return move(array, device_of(params[0]._data))


class _Point(NamedTuple):
    """A place along the direction: its distance, the loss, the gradient, and the slope in the direction."""

    t: float
    value: float
    gradient: Any
    slope: float


def _strong_wolfe(
    at: Callable[[float], _Point],
    origin: _Point,
    length: float,
    largest: float,
    decrease: float = 1e-4,
    flatter: float = 0.9,
    least_change: float = 1e-9,
    most: int = 25,
) -> tuple[_Point, int]:
    """A point that satisfies the strong Wolfe conditions, and how many points were tried.

    Nocedal and Wright 2006, algorithms 3.5 (a bracket) and 3.6 (zoom), with cubic interpolation (equation
    3.59) that keeps off the ends of the bracket when it got stuck there twice.
    """

    def too_high(point: _Point) -> bool:
        return point.value > origin.value + decrease * point.t * origin.slope

    def flat_enough(point: _Point) -> bool:
        return abs(point.slope) <= -flatter * origin.slope

    before, point, tried = origin, at(length), 0
    bracket = [origin, point]
    while tried < most:
        if too_high(point) or (tried > 1 and point.value >= before.value):
            bracket = [before, point]
            break
        if flat_enough(point):
            return point, tried + 1
        if point.slope >= 0:
            bracket = [before, point]
            break
        bounds = point.t + 0.01 * (point.t - before.t), 10 * point.t
        before, point = point, at(_cubic_minimum(before, point, bounds))
        tried += 1
        bracket = [origin, point]
    evaluations, stuck = tried + 1, False
    bracket.sort(key=lambda p: p.value)  # the lower one first; stable
    while tried < most:
        low, high = bracket
        near, far = sorted((low.t, high.t))
        if (far - near) * largest < least_change:
            break
        t = _cubic_minimum(low, high, (near, far))
        margin = 0.1 * (far - near)
        if min(far - t, t - near) < margin:
            if stuck or t >= far or t <= near:
                t = far - margin if abs(t - far) < abs(t - near) else near + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(t)
        evaluations += 1
        tried += 1
        if too_high(point) or point.value >= low.value:
            bracket = [low, point] if low.value <= point.value else [point, low]
        elif flat_enough(point):
            return point, evaluations
        else:
            bracket = [point, low if point.slope * (high.t - low.t) >= 0 else high]
    return bracket[0], evaluations


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic by two points and slopes is lowest within the bounds; their middle where nowhere."""
    if b.t < a.t:
        a, b = b, a
    bend = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = bend * bend - a.slope * b.slope
    if not square >= 0:
        return (bounds[0] + bounds[1]) / 2
    root = math.sqrt(square)
    below = b.slope - a.slope + 2 * root
    if below == 0:
        return (bounds[0] + bounds[1]) / 2
    t = b.t - (b.t - a.t) * ((b.slope + root - bend) / below)
    return min(max(t, bounds[0]), bounds[1])


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def _dot(a: Any, b: Any) -> float:
    return float(ops.sum(ops.multiply(a, b)))


def _add(total: Any, x: Any, factor: float) -> None:
    """total += factor * x."""
    engines.of(total).sgd_step([total], [x], None, -factor, 0.0, 0.0, 0.0, False, False, True)


def _largest(x: Any) -> float:
    return float(ops.max(ops.absolute(x))) if x.size else 0.0
