"""Symbolic tensors: what layers give when they are called before there is data, to make a model of.

A call with a ``KerasTensor`` among its arguments is written down as a ``Node``, and its result's shape is
found by making the call with zeros, of sizes that tell which axes depend on the data.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import _grad_mode
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._masks import mask_of, with_mask
from einkorn.keras._names import fresh_name
from einkorn.nn.module import Module
from einkorn.training.modes import evaluating

__all__ = [
    "OPERATORS",
    "KerasTensor",
    "Node",
    "check_rows",
    "flat",
    "graph_of",
    "has_symbols",
    "mapped",
    "record",
]

# Sizes that stand for axes of unknown length: of rows, and of others, which halve a few times.
_TRIALS = ((1, 64), (2, 96))


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure of lists, tuples and dicts with each leaf replaced."""
    if isinstance(value, (list, tuple)):
        parts = [mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {key: mapped(function, part) for key, part in value.items()}
    return function(value)


def flat(value: Any) -> list[Any]:
    """The leaves of a structure in their order."""
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in flat(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in flat(part)]
    return [value]


def has_symbols(args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether a call is to be written down instead of made."""
    for value in args:
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, (list, tuple, dict)) and any(
            isinstance(leaf, KerasTensor) for leaf in flat(value)
        ):
            return True
    return bool(named) and any(isinstance(leaf, KerasTensor) for leaf in flat(named))


class KerasTensor:
    """What a model's input, or the result of a layer, will be.

    Attributes
    ----------
    shape : tuple of int or None
        None for axes whose length the data decide, the rows among them.
    dtype : str
    name : str
    node : object
        The call that gives it.
    """

    __array_priority__ = 2000  # numpy_array * symbol is ours
    __array_ufunc__ = None

    def __init__(self, shape: tuple[int | None, ...], dtype: str, name: str) -> None:
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.node: Any = None
        self.masked = 0  # how many of its axes the mask will have that comes with it

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __len__(self) -> int:
        raise TypeError(f"{self.name} is a symbolic tensor, which has no length before there is data")

    def __bool__(self) -> bool:
        raise TypeError(f"{self.name} is a symbolic tensor, which is neither true nor false")

    def __iter__(self) -> Any:
        raise TypeError(f"{self.name} is a symbolic tensor, which cannot be walked through")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"{self.name} is a symbolic tensor without values: use layers, operators and keras.ops on it"
        )

    def __getitem__(self, key: Any) -> Any:
        return record(operator.getitem, (self, key), {}, "get_item")

    def reshape(self, *shape: Any) -> Any:
        """Another shape, the rows' axis included."""
        return record(_reshaped, (self, shape), {}, "reshape")


def _reshaped(x: Any, to: Any) -> Any:
    return x.reshape(*to)


# Functions of Python's that calls are written down of, by the names that files have for them.
OPERATORS: dict[str, Callable[..., Any]] = {"getitem": operator.getitem, "reshape": _reshaped}


def _operator(name: str, function: Callable[..., Any], swapped: bool) -> None:
    def method(self: Any, *others: Any) -> Any:
        return record(function, (*others, self) if swapped else (self, *others), {}, function.__name__)

    OPERATORS[name.strip("_").removeprefix("r") if swapped else name.strip("_")] = function
    setattr(KerasTensor, name, method)


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "mod", "floordiv"):
    _operator(f"__{_name}__", getattr(operator, _name), False)
    _operator(f"__r{_name}__", getattr(operator, _name), True)
for _name in ("neg", "abs", "lt", "le", "gt", "ge"):
    _operator(f"__{_name}__", getattr(operator, _name), False)


class Node:
    """A call that a model makes: of what, with what, and what it gives."""

    def __init__(self, target: Any, args: tuple[Any, ...], named: dict[str, Any], name: str) -> None:
        self.target = target
        self.args = args
        self.named = named
        self.name = name
        self.outputs: Any = None

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors among the arguments."""
        return [leaf for leaf in flat((self.args, self.named)) if isinstance(leaf, KerasTensor)]

    def run(self, values: dict[int, Any]) -> None:
        """Make the call with what was computed before, and enter the results."""

        def real(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        out = self.target(*mapped(real, self.args), **mapped(real, self.named))
        for symbol, value in zip(flat(self.outputs), flat(out), strict=True):
            values[id(symbol)] = value


def record(
    target: Any, args: tuple[Any, ...], named: dict[str, Any], stem: str, name: str | None = None
) -> Any:
    """Write a call down; its results as symbolic tensors.

    Parameters
    ----------
    target : Module or function
    args, named : arguments
        Symbolic tensors and others.
    stem : str
        What the call is named after where it is no layer's.
    name : str, optional
        Its name, where that is known.
    """
    layer = isinstance(target, Module)
    name = name or getattr(target, "name", None) or fresh_name(stem)
    node = Node(target, args, named, name)
    open_axes = any(size is None for symbol in node.inputs for size in symbol.shape[1:])
    first = _trial(node, _TRIALS[0])
    shapes: list[list[tuple[int | None, ...]]] = [[tuple(leaf.shape) for leaf in flat(first)]]
    if open_axes or not layer:
        shapes.append([tuple(leaf.shape) for leaf in flat(_trial(node, _TRIALS[1]))])
        merged = [_merged(one, other) for one, other in zip(*shapes, strict=True)]
    else:
        merged = [(None, *shape[1:]) if shape else () for shape in shapes[0]]
    several = len(merged) > 1
    symbols = []
    for i, (shape, leaf) in enumerate(zip(merged, flat(first), strict=True)):
        symbol = KerasTensor(shape, str(leaf.dtype), f"{name}_output_{i}" if several else f"{name}_output")
        symbol.node = node
        mask = mask_of(leaf)
        symbol.masked = 0 if mask is None else mask.ndim
        symbols.append(symbol)
    supply = iter(symbols)
    node.outputs = mapped(lambda _: next(supply), first)
    if layer:
        target.__dict__.setdefault("_inbound", []).append(node)
    return node.outputs


def _merged(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[int | None, ...]:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _trial(node: Node, sizes: tuple[int, int]) -> Any:
    """What the call gives for zeros."""

    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, KerasTensor):
            return leaf
        shape = [size if size is not None else sizes[min(i, 1)] for i, size in enumerate(leaf.shape)]
        value = np.zeros(shape, leaf.dtype)
        return with_mask(value, np.ones(shape[: leaf.masked], bool)) if leaf.masked else value

    args, named = mapped(zeros, node.args), mapped(zeros, node.named)
    if "training" in named:
        named["training"] = False
    with np.errstate(all="ignore"):
        if isinstance(node.target, Module):
            with evaluating(node.target):
                out = node.target(*args, **named)
        else:
            before = _grad_mode.mode.enabled
            _grad_mode.mode.enabled = False
            try:
                out = node.target(*args, **named)
            finally:
                _grad_mode.mode.enabled = before
    for leaf in flat(out):
        if not isinstance(leaf, (Tensor, np.ndarray, np.generic)):
            raise ArgumentError(
                f"{node.name}: gave {type(leaf).__name__} for symbolic tensors, expected tensors, or lists "
                "or dicts of them"
            )
    return out


def graph_of(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Node]:
    """The calls that lead from inputs to outputs, each after those it needs.

    Raises
    ------
    ArgumentError
        An output does not come from the inputs.
    """
    known = {id(symbol) for symbol in inputs}
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Node, bool]] = []

    def want(symbol: KerasTensor) -> None:
        if id(symbol) in known:
            return
        if symbol.node is None or not symbol.node.inputs:
            raise ArgumentError(
                f"Model: {symbol.name} is needed for the outputs, expected it among the inputs, which are "
                f"{', '.join(each.name for each in inputs)}"
            )
        if id(symbol.node) not in done:
            stack.append((symbol.node, False))

    for output in outputs:
        want(output)
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            stack.append((node, True))
            for symbol in reversed(node.inputs):
                want(symbol)
    return order


def check_rows(symbol: KerasTensor, value: Any) -> None:
    """Refuse data that do not have the shape of an input."""
    shape = tuple(value.shape)
    fits = len(shape) == len(symbol.shape) and all(
        wanted is None or wanted == size for wanted, size in zip(symbol.shape, shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"Model: input {symbol.name} has shape {shape}, expected {symbol.shape}")
