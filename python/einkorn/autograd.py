"""Reverse-mode differentiation: a tape of nodes, one beside each recorded operation.

An operation that is given a Tensor with ``requires_grad`` records a :class:`Node`: which tensors went in
and a function from the gradient of its output to the gradients of its inputs. :func:`backward` walks the
nodes from the newest to the oldest, which is a topological order because a node's inputs exist before it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from einkorn import engines
from einkorn.errors import DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from einkorn.tensor import Tensor

__all__ = ["Node", "backward", "enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

Backward = Callable[[Any], "Sequence[Any]"]


class _Mode(threading.local):
    enabled = True


mode = _Mode()
_numbers = itertools.count()


def is_grad_enabled() -> bool:
    """Whether operations on tensors are being recorded in this thread."""
    return mode.enabled


@contextmanager
def set_grad_enabled(enabled: bool) -> Iterator[None]:
    """Record operations, or not, inside a ``with`` block or a decorated function."""
    before = mode.enabled
    mode.enabled = enabled
    try:
        yield
    finally:
        mode.enabled = before


def no_grad() -> Any:
    """Do not record operations inside a ``with`` block; usable as a decorator too."""
    return set_grad_enabled(False)


def enable_grad() -> Any:
    """Record operations inside a ``with`` block, also within :func:`no_grad`."""
    return set_grad_enabled(True)


class Node:
    """One recorded operation.

    Attributes
    ----------
    inputs : tuple
        The operation's inputs; entries that need no gradient may be anything.
    backward : callable or None
        From the gradient array of the output to one gradient array, or None, per input.
        None once used: the saved arrays are freed then.
    """

    __slots__ = ("backward", "inputs", "number")

    def __init__(self, inputs: tuple[Any, ...], backward: Backward) -> None:
        self.inputs = inputs
        self.backward: Backward | None = backward
        self.number = next(_numbers)


def _newest_first(root: Node) -> list[Node]:
    seen = {root}
    stack = [root]
    while stack:
        for x in stack.pop().inputs:
            node = getattr(x, "_node", None)
            if node is not None and node not in seen:
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


def backward(tensor: Tensor, gradient: Any = None) -> None:
    """Add the gradient of ``tensor`` to the ``grad`` of every leaf it was computed from.

    Parameters
    ----------
    tensor : Tensor
        The end of the graph; a scalar unless ``gradient`` is given.
    gradient : array, optional
        Gradient of some scalar with respect to ``tensor``, of its shape. Default: ones.

    Raises
    ------
    GradientError
        If nothing was recorded, if the tensor is no scalar and no gradient was given, or if the graph
        was already used: its saved arrays are freed by the first pass.
    ShapeError
        If ``gradient`` has another shape.
    DTypeError
        If ``gradient`` has another element type.
    """
    data = tensor.data
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
    elif gradient.shape != data.shape:
        raise ShapeError(f"backward: gradient has shape {gradient.shape}, expected {data.shape}")
    elif gradient.dtype != data.dtype:
        raise DTypeError(f"backward: gradient has dtype {gradient.dtype}, expected {data.dtype}")

    root = tensor._node
    if root is None:
        tensor._accumulate(_own(gradient, gradient))
        return
    pending: dict[Node, Any] = {root: gradient}
    for node in _newest_first(root):
        g = pending.pop(node, None)
        if node.backward is None:
            raise GradientError("backward: this graph was already used; compute the forward pass again")
        if g is None:
            continue
        gradients = node.backward(g)
        for x, gx in zip(node.inputs, gradients, strict=True):
            if gx is None or not getattr(x, "requires_grad", False):
                continue
            source = x._node
            if source is None:
                x._accumulate(_own(gx, g))
            else:
                before = pending.get(source)
                pending[source] = gx if before is None else _add(before, gx)
        node.backward = None
        node.inputs = ()
