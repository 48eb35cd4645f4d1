"""Reverse-mode differentiation: a tape of nodes, one beside each recorded operation.

An operation that is given a Tensor with ``requires_grad`` records a :class:`Node`: where its inputs came from
and a function from the gradient of its output to the gradients of its inputs. :func:`backward` walks the
nodes from the newest to the oldest, which is a topological order because a node's inputs exist before it.

What a node saved is what its function closes over. So a gradient function closes over the arrays it reads and
no others: an array that it keeps for its shape stays in memory, and may not be written before the backward
pass (``einkorn._versions``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from einkorn import _versions, engines
from einkorn._context import Context
from einkorn.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from einkorn.tensor import Tensor

__all__ = ["Node", "backward", "enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

Backward = Callable[[Any], "Sequence[Any]"]


class _Mode(threading.local):
    enabled = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on tensors are being recorded in this thread."""
    return mode.enabled


class _Switch(Context[None]):
    """Recording on or off, for this thread."""

    _enabled: bool

    def _enter(self) -> tuple[None, bool]:
        before = mode.enabled
        mode.enabled = self._enabled
        return None, before

    def _leave(self, before: bool) -> None:
        mode.enabled = before


class set_grad_enabled(_Switch):  # noqa: N801 - torch's name
    """Record operations, or not: from here on, in a ``with`` block, or in a decorated function.

    Parameters
    ----------
    mode : bool

    Examples
    --------
    >>> einkorn.set_grad_enabled(False)              # until it is switched on again
    >>> with einkorn.set_grad_enabled(training):     # within the block
    ...     loss = model(x).sum()
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise ArgumentError(f"set_grad_enabled: mode is {mode!r}, expected True or False")
        self._enabled = mode
        self._before: bool | None = None
        self._before = self._enter()[1]

    def _enter(self) -> tuple[None, bool]:
        # The call itself switched: the first block gives back what held before the call.
        _, before = super()._enter()
        called, self._before = self._before, None
        return None, before if called is None else called

    def __call__(self, function: Any) -> Any:
        if self._before is not None:  # used as a decorator: the call was not meant for what follows
            self._leave(self._before)
            self._before = None
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"set_grad_enabled({self._enabled})"


class _Fixed(_Switch):
    """A switch without arguments, which decorates with and without parentheses."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)


class no_grad(_Fixed):  # noqa: N801 - torch's name
    """Do not record operations inside a ``with`` block or a decorated function."""

    _enabled = False


class enable_grad(_Fixed):  # noqa: N801 - torch's name
    """Record operations inside a ``with`` block or a decorated function, also within :class:`no_grad`."""

    _enabled = True


class Node:
    """One recorded operation.

    Attributes
    ----------
    inputs : sequence
        Where each input of the operation came from: the Node that computed it, the leaf Tensor that it is, or
        None where no gradient is wanted.
    backward : callable or None
        From the gradient array of the output to one gradient array, or None, per input.
        None once used: the saved arrays are freed then.
    """

    __slots__ = ("backward", "inputs", "number")

    def __init__(self, inputs: Sequence[Node | Tensor | None], backward: Backward) -> None:
        self.inputs = inputs
        self.backward: Backward | None = backward
        self.number = next(_versions.clock)


def source(x: Any) -> Node | Tensor | None:
    """Where the values of an operation's input come from, for the node of that operation."""
    if not x._requires_grad:
        if _versions.is_unlinked(x._data):
            raise GradientError(
                f"a tensor of shape {x.shape} that records nothing is used after values that need a gradient"
                " were written into a view of it: write through the tensor itself, as in t[key] += value"
            )
        return None
    node = x._node
    if node is None:
        return x
    if node.number < _versions.latest_recorded and _versions.passed_by(x._data, node.number):
        raise GradientError(
            f"a tensor of shape {x.shape} is used after a recorded in-place operation changed its memory"
            " through another tensor, so its gradient would be that of its old values: write through the"
            " tensor itself, as in t[key] += value, or clone() one of the two"
        )
    return node


def _newest_first(root: Node) -> list[Node]:
    seen = {root}
    stack = [root]
    while stack:
        for node in stack.pop().inputs:
            if isinstance(node, Node) and node not in seen:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=lambda node: node.number, reverse=True)


def _add(a: Any, b: Any) -> Any:
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    k.add(out, a, b)
    return out


def _own(gradient: Any, passed: Any) -> Any:
    """An array that a leaf may keep: a copy when an operation handed on the array it was given."""
    k = engines.of(gradient)
    shared = gradient is passed or type(gradient.base) is type(gradient)
    if not shared and gradient.flags.c_contiguous:
        return gradient
    out = k.empty(gradient.shape, gradient.dtype)
    k.copy(out, gradient)
    return out


def fitting(op: str, name: str, value: Any, like: Any) -> Any:
    """``value`` as an array of the shape and type of ``like``; refused by name where it is none."""
    from einkorn.ops._road import unwrap

    array = unwrap(value, op, name)
    if array.shape != like.shape:
        raise ShapeError(f"{op}: {name} has shape {array.shape}, expected {like.shape}")
    if array.dtype != like.dtype:
        raise DTypeError(f"{op}: {name} has dtype {array.dtype}, expected {like.dtype}")
    if type(array) is not type(like):
        raise DeviceError(f"{op}: {name} is a {type(array).__name__}, expected a {type(like).__name__}")
    return array


def _check_saved(function: Backward, number: int) -> None:
    lost = _versions.overwritten(function, number)
    if lost is not None:
        functions = [function, *(cell.cell_contents for cell in function.__closure__ or ())]
        names = [getattr(f, "__qualname__", "_").partition(".")[0] for f in functions]
        name = next((name for name in names if name[0] != "_"), "an operation")
        raise GradientError(
            f"backward: an array of shape {lost.shape} that {name} saved for the backward pass has been"
            " overwritten since (an optimizer step, load_state_dict, an initialiser or an in-place operator):"
            " call backward before that, or compute the forward pass again"
        )


def _accumulate(leaves: dict[Tensor, Any]) -> None:
    """Add the gradients of a whole pass to the leaves' own."""
    for leaf, gradient in leaves.items():
        if not leaf.requires_grad:
            continue
        grad = leaf._grad
        if grad is None:
            leaf._grad = leaf._wrap(gradient, False, None)
        else:
            engines.of(gradient).add(grad._data, grad._data, gradient)
            _versions.wrote(grad._data)


def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add the gradient of ``tensor`` to the ``grad`` of every leaf it was computed from.

    Parameters
    ----------
    tensor : Tensor
        The end of the graph; a scalar unless ``gradient`` is given.
    gradient : array or Tensor, optional
        Gradient of some scalar with respect to ``tensor``, of its shape. Default: ones.
    retain_graph : bool, default False
        Keep what the graph saved, so that a backward pass may use it again.

    Raises
    ------
    GradientError
        If nothing was recorded, if the tensor is no scalar and no gradient was given, if the graph was
        already used (its saved arrays are freed by the first pass), or if saved values were overwritten in
        place since the forward pass.
    ShapeError
        If ``gradient`` has another shape.
    DTypeError
        If ``gradient`` is no array or has another element type.
    """
    data = tensor._data
    if not tensor.requires_grad:
        raise GradientError("backward: the tensor does not require a gradient; nothing was recorded")
    k = engines.of(data)
    if gradient is None:
        if data.size != 1:
            raise GradientError(
                f"backward: the tensor has shape {data.shape}; without a gradient it must be a scalar"
            )
        gradient = k.empty(data.shape, data.dtype)
        k.fill(gradient, 1.0)
    else:
        gradient = fitting("backward", "gradient", gradient, data)

    root = tensor._node
    if root is None:
        _accumulate({tensor: _own(gradient, gradient)})
        return
    pending: dict[Node, Any] = {root: gradient}
    leaves: dict[Tensor, Any] = {}
    for node in _newest_first(root):
        g = pending.pop(node, None)
        function = node.backward
        if function is None:
            raise GradientError(
                "backward: this graph was already used; compute the forward pass again, or give the first"
                " pass retain_graph=True"
            )
        if g is None:
            continue
        if node.number < _versions.latest:
            _check_saved(function, node.number)
        for origin, gx in zip(node.inputs, function(g), strict=True):
            if gx is None or origin is None:
                continue
            if isinstance(origin, Node):
                before = pending.get(origin)
                pending[origin] = gx if before is None else _add(before, gx)
            else:
                before = leaves.get(origin)
                if before is None:
                    leaves[origin] = _own(gx, g)
                else:
                    k.add(before, before, gx)
        if not retain_graph:
            node.backward = None
            node.inputs = ()
    _accumulate(leaves)
