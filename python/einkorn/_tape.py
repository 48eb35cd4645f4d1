"""The tape: nodes beside recorded operations, and how gradients go along them.

What a node saved is what is in its ``saved``, or what its function closes over: the arrays that the gradient
reads and no others. An array that is kept for its shape stays in memory, and may not be written before the
backward pass (``einkorn._versions``).

With ``create_graph`` gradients are Tensors, and the functions are called with what the node saved as Tensors
that lead back to where the arrays came from: a gradient that is written with ``einkorn.ops`` is recorded in
its turn, and one definition serves every order.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import _bfloat16, _versions, sparse
from einkorn._grad_mode import enable_grad, set_grad_enabled
from einkorn.errors import DeviceError, DTypeError, GradientError, ShapeError
from einkorn.sparse import SparseRows

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = [
    "LAST",
    "Hook",
    "Node",
    "add",
    "after_hooks",
    "fitting",
    "hooked",
    "hooks",
    "is_tensor",
    "own",
    "propagate",
    "source",
]

Backward = Callable[..., "Sequence[Any]"]


class Node:
    """One recorded operation.

    Attributes
    ----------
    inputs : sequence
        Where each input of the operation came from: the Node that computed it, the leaf Tensor that it is, or
        None where no gradient is wanted.
    backward : callable or None
        From the gradient of the output, and then what is in ``saved``, to one gradient, or None, per input.
        None once used: the saved arrays are freed then.
    saved : tuple or None
        What a gradient that can be differentiated again reads: the array of each input, or None, then that of
        the output, then constants. None where the gradient closes over its arrays and is the last one.
    joint : callable or None
        Where the gradient of two operations together takes less than one after the other: called with the
        gradient of the output, it gives the function to call in place of ``backward``. Not where the
        gradient between the two is asked for.
    """

    __slots__ = ("__weakref__", "backward", "inputs", "joint", "number", "saved")

    def __init__(
        self, inputs: Sequence[Node | Tensor | None], backward: Backward, saved: tuple[Any, ...] | None = None
    ) -> None:
        self.inputs = inputs
        self.backward: Backward | None = backward
        self.saved = saved
        self.joint: Callable[[Any], Backward] | None = None
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


def _newest_first(roots: Iterable[Node], oldest: int = -1) -> list[Node]:
    stack = list(roots)
    seen = set(stack)
    while stack:
        for node in stack.pop().inputs:
            if isinstance(node, Node) and node not in seen and node.number >= oldest:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=lambda node: node.number, reverse=True)


def add(a: Any, b: Any) -> Any:
    if is_tensor(a):
        return a + b
    k = _bfloat16.of(a)
    out = k.empty(a.shape, a.dtype)
    k.add(out, a, b)
    return out


def _holders(view: Any) -> int:
    """How many hold the array that ``view`` looks at: its own reference, this one's and others."""
    return sys.getrefcount(view.base)


_ALONE = _holders(np.empty(1).reshape(1, 1))


def _is_all_of_it(view: Any) -> bool:
    """Whether a view is all of an array that nothing else keeps: an operation made and reshaped it."""
    base = view.base
    whole = base.size == view.size and type(base.base) is not type(view)
    del base
    return whole and _holders(view) <= _ALONE


def own(gradient: Any, passed: Any) -> Any:
    """An array that a leaf may keep: a copy when an operation handed on the array it was given."""
    if type(gradient) is SparseRows:
        return gradient
    shared = gradient is passed or (type(gradient.base) is type(gradient) and not _is_all_of_it(gradient))
    if not shared and gradient.flags.c_contiguous:
        return gradient
    k = _bfloat16.of(gradient)
    out = k.empty(gradient.shape, gradient.dtype)
    k.copy(out, gradient)
    return out


def fitting(op: str, name: str, value: Any, like: Any) -> Any:
    """``value`` as an array of the shape and type of ``like``; refused by name where it is none."""
    from einkorn.ops._moves import movable
    from einkorn.ops._road import unwrap

    narrow = _bfloat16.met or _bfloat16.is_bfloat16(like.dtype)
    array = movable(value, op, name) if narrow else unwrap(value, op, name)
    if array.shape != like.shape:
        raise ShapeError(f"{op}: {name} has shape {array.shape}, expected {like.shape}")
    if array.dtype != like.dtype:
        raise DTypeError(f"{op}: {name} has dtype {array.dtype}, expected {like.dtype}")
    if type(array) is not type(like):
        raise DeviceError(f"{op}: {name} is a {type(array).__name__}, expected a {type(like).__name__}")
    return array


def _name(function: Backward) -> str:
    """The operation whose gradient this is."""
    functions = [function, *(cell.cell_contents for cell in getattr(function, "__closure__", None) or ())]
    names = [getattr(f, "__qualname__", "_").partition(".")[0] for f in functions]
    return next((name for name in names if name[0] != "_"), "an operation")


def _check_saved(function: Backward, saved: tuple[Any, ...] | None, number: int) -> None:
    lost = _versions.overwritten((function, saved), number)
    if lost is not None:
        raise GradientError(
            f"backward: an array of shape {lost.shape} that {_name(function)} saved for the backward pass has"
            " been overwritten since (an optimizer step, load_state_dict, an initialiser or an in-place"
            " operator): call backward before that, or compute the forward pass again"
        )


def _same(g: Any) -> tuple[Any]:
    return (g,)


def _linked(node: Node, function: Backward) -> list[Any]:
    """What a node saved, as Tensors that lead back to where the arrays came from."""
    if node.saved is None:
        raise GradientError(
            f"backward: the gradient of {_name(function)} cannot be differentiated once more (create_graph)"
        )
    wrap = _tensor_class()._wrap
    saved = list(node.saved)
    origins: list[Any] = [*node.inputs, node]
    for i, (origin, array) in enumerate(zip(origins, saved, strict=False)):
        if array is None or isinstance(array, (float, int)):
            continue
        if origin is None:
            saved[i] = wrap(array, False, None)
        elif isinstance(origin, Node):
            saved[i] = wrap(array, True, origin)
        elif origin._data is array:
            saved[i] = origin
        else:  # a copy of the leaf's numbers
            saved[i] = wrap(array, True, Node((origin,), _same, ()))
    return saved


def _tensor_class() -> Any:
    from einkorn._tensor import Tensor

    return Tensor


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is a Tensor, without having to import the class."""
    return hasattr(x, "_requires_grad")


def _on_the_way(order: list[Node], wanted: set[Any]) -> set[Node]:
    """The nodes from which a wanted one is reached, or may have been before they were used."""
    found: set[Node] = set()
    for node in reversed(order):
        if node.backward is None:
            leads = node not in wanted
        else:
            leads = any(x in found or x in wanted for x in node.inputs if x is not None)
        if leads:
            found.add(node)
    return found


def propagate(
    pending: dict[Node, Any], wanted: set[Any] | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Any]:
    if not create_graph:
        return _walk(pending, wanted, retain_graph, False)
    with enable_grad():
        return _walk(pending, wanted, retain_graph, True)


def _walk(
    pending: dict[Node, Any], wanted: set[Any] | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Any]:
    """Carry gradients from nodes back to the leaves, or to what is wanted; the newest node goes first.

    Gradients are arrays, or with ``create_graph`` Tensors. Returns them by leaf, and by node where wanted.
    """
    found: dict[Any, Any] = {}
    way = None
    if wanted is None:
        order = _newest_first(pending)
    else:  # nothing that is older than all that is wanted leads to it
        nodes = [x.number for x in wanted if isinstance(x, Node)]
        order = _newest_first(pending, min(nodes) if len(nodes) == len(wanted) else -1)
        way = _on_the_way(order, wanted)
    has_hooks = bool(hooks)
    joins = not has_hooks and wanted is None and not create_graph
    for node in order:
        g = pending.pop(node, None)
        if g is not None:
            if has_hooks:
                g = hooked(node, g, create_graph)
            if wanted is not None and node in wanted:
                found[node] = g
        function = node.backward
        if way is not None and node not in way:
            continue
        if function is None:
            raise GradientError(
                "backward: this graph was already used; compute the forward pass again, or give the first"
                " pass retain_graph=True"
            )
        if g is None:
            continue
        saved = node.saved
        if node.number < _versions.latest:
            _check_saved(function, saved, node.number)
        if node.joint is not None and joins:
            function = node.joint(g)
        if create_graph:
            gradients = function(g, *_linked(node, function))
        else:
            gradients = function(g) if saved is None else function(g, *saved)
        for origin, gx in zip(node.inputs, gradients, strict=True):
            if gx is None or origin is None:
                continue
            if way is not None and origin not in way and origin not in wanted:  # type: ignore[operator]
                continue
            if isinstance(origin, Node):
                before = pending.get(origin)
                pending[origin] = gx if before is None else add(before, gx)
            else:
                before = found.get(origin)
                if before is not None:
                    found[origin] = add(before, gx) if create_graph else _added(before, gx)
                else:
                    found[origin] = gx if create_graph else own(gx, g)
        if not retain_graph:
            node.backward = node.saved = node.joint = None
            node.inputs = ()
    if has_hooks:
        for leaf in found:
            if not isinstance(leaf, Node):
                found[leaf] = hooked(leaf, found[leaf], create_graph)
    return found


def _added(total: Any, gradient: Any) -> Any:
    if type(total) is SparseRows or type(gradient) is SparseRows:
        return sparse.total(total, gradient)
    _bfloat16.of(total).add(total, total, gradient)
    return total


# --- hooks ---------------------------------------------------------------------------------------

_Hooks = dict[int, dict[int, Callable[[Any], Any]]]

#: What users want called with the gradient of a tensor: by the ``id`` of a leaf, or of a computed one's node.
hooks: _Hooks = {}

#: What users want called with a leaf once its ``grad`` holds the gradient of the pass.
after_hooks: _Hooks = {}


LAST = 1 << 62  # behind every number that the clock gives


class Hook:
    """A hook's place: ``remove()`` takes it off again; also at the end of a ``with`` block.

    Those that are to be called ``last`` see the gradient that the others leave.
    """

    def __init__(self, table: _Hooks, owner: Any, function: Callable[[Any], Any], last: bool = False) -> None:
        key = id(owner)
        if key not in table:
            table[key] = {}
            weakref.finalize(owner, table.pop, key, None).atexit = False
        self._calls = table[key]
        self.id = next(_versions.clock) + (LAST if last else 0)
        self._calls[self.id] = function

    def remove(self) -> None:
        """Take the hook off; twice does no harm."""
        self._calls.pop(self.id, None)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def hooked(key: Any, g: Any, create_graph: bool) -> Any:
    """The gradient of a tensor after its hooks have seen it."""
    for _, hook in sorted(hooks.get(id(key), {}).items()):
        tensor = g if is_tensor(g) else _tensor_class()._wrap(g, False, None)
        with set_grad_enabled(create_graph):
            new = hook(tensor)
        if new is None:
            continue
        array = fitting("hook", "the gradient that was returned", new, tensor._data)
        g = (
            new
            if create_graph and is_tensor(new)
            else tensor._wrap(array, False, None)
            if create_graph
            else array
        )
    return g
