"""Reverse-mode differentiation: a tape of nodes, one beside each recorded operation.

An operation that is given a Tensor with ``requires_grad`` records a :class:`Node`: where its inputs came from
and a function from the gradient of its output to the gradients of its inputs. :func:`backward` walks the
nodes from the newest to the oldest, which is a topological order because a node's inputs exist before it.

What a node saved is what is in its ``saved``, or what its function closes over: the arrays that the gradient
reads and no others. An array that is kept for its shape stays in memory, and may not be written before the
backward pass (``einkorn._versions``).

With ``create_graph`` gradients are Tensors, and the functions are called with what the node saved as Tensors
that lead back to where the arrays came from: a gradient that is written with ``einkorn.ops`` is recorded in
its turn, and one definition serves every order.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from einkorn import _versions, engines
from einkorn._context import Context
from einkorn.errors import ArgumentError, DeviceError, DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from einkorn.tensor import Tensor

__all__ = ["Node", "backward", "enable_grad", "grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

Backward = Callable[..., "Sequence[Any]"]


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
        From the gradient of the output, and then what is in ``saved``, to one gradient, or None, per input.
        None once used: the saved arrays are freed then.
    saved : tuple or None
        What a gradient that can be differentiated again reads: the array of each input, or None, then that of
        the output, then constants. None where the gradient closes over its arrays and is the last one.
    """

    __slots__ = ("__weakref__", "backward", "inputs", "number", "saved")

    def __init__(
        self, inputs: Sequence[Node | Tensor | None], backward: Backward, saved: tuple[Any, ...] | None = None
    ) -> None:
        self.inputs = inputs
        self.backward: Backward | None = backward
        self.saved = saved
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


def _add(a: Any, b: Any) -> Any:
    if is_tensor(a):
        return a + b
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
        if array is None:
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
    from einkorn.tensor import Tensor

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


def _carried(
    pending: dict[Node, Any], wanted: set[Any] | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Any]:
    if not create_graph:
        return _propagate(pending, wanted, retain_graph, False)
    with enable_grad():
        return _propagate(pending, wanted, retain_graph, True)


def _propagate(
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
    hooked = bool(hooks)
    for node in order:
        g = pending.pop(node, None)
        if g is not None:
            if hooked:
                g = _hooked(node, g, create_graph)
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
                pending[origin] = gx if before is None else _add(before, gx)
            else:
                before = found.get(origin)
                if before is not None:
                    found[origin] = _add(before, gx) if create_graph else _added(before, gx)
                else:
                    found[origin] = gx if create_graph else _own(gx, g)
        if not retain_graph:
            node.backward = node.saved = None
            node.inputs = ()
    if hooked:
        for leaf in found:
            if not isinstance(leaf, Node):
                found[leaf] = _hooked(leaf, found[leaf], create_graph)
    return found


def _added(total: Any, gradient: Any) -> Any:
    engines.of(total).add(total, total, gradient)
    return total


def _accumulate(leaves: dict[Tensor, Any]) -> None:
    """Add the gradients of a whole pass to the leaves' own."""
    for leaf, gradient in leaves.items():
        if not leaf.requires_grad:
            continue
        grad = leaf._grad
        if is_tensor(gradient):
            from einkorn.ops import contiguous

            leaf._grad = contiguous(gradient) if grad is None else grad + gradient
        elif grad is None:
            leaf._grad = leaf._wrap(gradient, False, None)
        elif grad._requires_grad:
            leaf._grad = grad + leaf._wrap(gradient, False, None)
        else:
            engines.of(gradient).add(grad._data, grad._data, gradient)
            _versions.wrote(grad._data)
        if after_hooks:
            for hook in list(after_hooks.get(id(leaf), {}).values()):
                hook(leaf)


def _start(op: str, tensor: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient with which a pass sets out from ``tensor``."""
    data = tensor._data
    if not tensor.requires_grad:
        raise GradientError(f"{op}: the tensor does not require a gradient; nothing was recorded")
    if gradient is None:
        if data.size != 1:
            raise GradientError(
                f"{op}: the tensor has shape {data.shape}; without a gradient it must be a scalar"
            )
        k = engines.of(data)
        array = k.empty(data.shape, data.dtype)
        k.fill(array, 1.0)
    else:
        array = fitting(op, "gradient", gradient, data)
    if not create_graph:
        return array
    return gradient if is_tensor(gradient) else tensor._wrap(array, False, None)


def backward(
    tensor: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of ``tensor`` to the ``grad`` of every leaf it was computed from.

    Parameters
    ----------
    tensor : Tensor
        The end of the graph; a scalar unless ``gradient`` is given.
    gradient : array or Tensor, optional
        Gradient of some scalar with respect to ``tensor``, of its shape. Default: ones.
    retain_graph : bool, optional
        Keep what the graph saved, so that a backward pass may use it again. Default: ``create_graph``.
    create_graph : bool, default False
        Record the backward pass, so that the gradients can be differentiated once more.
    inputs : Tensor or sequence of Tensor, optional
        The leaves whose ``grad`` is added to; default all.

    Raises
    ------
    GradientError
        If nothing was recorded, if the tensor is no scalar and no gradient was given, if the graph was
        already used (its saved arrays are freed by the first pass), if saved values were overwritten in
        place since the forward pass, or if ``create_graph`` meets an operation whose gradient has none.
    ShapeError
        If ``gradient`` has another shape.
    DTypeError
        If ``gradient`` is no array or has another element type.
    """
    start = _start("backward", tensor, gradient, create_graph)
    only = None
    if inputs is not None:
        leaves = [inputs] if is_tensor(inputs) else list(inputs)
        if not leaves or any(not is_tensor(x) or x._node is not None or not x._requires_grad for x in leaves):
            raise GradientError(
                "backward: inputs must be leaf tensors that require a gradient, and at least one"
            )
        only = set(leaves)
    root = tensor._node
    if root is None:
        if only is not None and tensor not in only:
            return
        found = {tensor: start if create_graph else _own(start, start)}
        if hooks:
            found[tensor] = _hooked(tensor, found[tensor], create_graph)
    else:
        keep = create_graph if retain_graph is None else retain_graph
        found = _carried({root: start}, only, keep, create_graph)
    _accumulate(found)


def _tensors(name: str, given: Any) -> list[Any]:
    tensors = list(given) if isinstance(given, Iterable) and not is_tensor(given) else [given]
    for x in tensors:
        if not is_tensor(x):
            raise DTypeError(f"grad: {name} holds a {type(x).__name__}, expected Tensors")
    return tensors


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of ``outputs`` with respect to ``inputs``, returned and not added to anything.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        Scalars, unless ``grad_outputs`` says what each element counts.
    inputs : Tensor or sequence of Tensor
        Leaves, or what recorded operations computed on the way.
    grad_outputs : array, Tensor or a sequence of them and None, optional
        One for each output, of its shape. Default: ones.
    retain_graph : bool, optional
        Keep what the graph saved. Default: ``create_graph``.
    create_graph : bool, default False
        Record the computation, so that its results can be differentiated: the gradient penalty of a critic
        (Gulrajani et al. 2017), products of a Hessian and a vector.
    allow_unused : bool, default False, or True with ``materialize_grads``
        Give None for inputs that the outputs do not depend on, instead of an error.
    is_grads_batched : bool, default False
        Not supported.
    materialize_grads : bool, default False
        Zeros in place of None.

    Returns
    -------
    tuple of Tensor or None, one for each input.

    Raises
    ------
    GradientError
        As :func:`backward`, and for inputs that do not require a gradient or are not used.

    Examples
    --------
    >>> x = einkorn.Tensor([3.0], requires_grad=True)
    >>> (slope,) = einkorn.grad((x**3).sum(), x, create_graph=True)
    >>> einkorn.grad(slope.sum(), x)
    (Tensor([18.]),)
    """
    if is_grads_batched:
        raise ArgumentError(
            "grad: is_grads_batched is True, expected False: batches of gradients are not supported"
        )
    ends, aims = _tensors("outputs", outputs), _tensors("inputs", inputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    elif materialize_grads and not allow_unused:
        raise ArgumentError("grad: allow_unused is False and materialize_grads True, expected one of them")
    for i, x in enumerate(aims):
        if not x._requires_grad:
            raise GradientError(f"grad: inputs[{i}] of shape {x.shape} does not require a gradient")
    given = [grad_outputs] if len(ends) == 1 and not isinstance(grad_outputs, (list, tuple)) else grad_outputs
    starts = [None] * len(ends) if given is None else list(given)
    if len(starts) != len(ends):
        raise ShapeError(f"grad: grad_outputs has {len(starts)} entries, expected {len(ends)}, one an output")

    pending: dict[Node, Any] = {}
    found: dict[Any, Any] = {}
    for end, gradient in zip(ends, starts, strict=True):
        g = _start("grad", end, gradient, create_graph)
        where = found if end._node is None else pending
        key: Any = end if end._node is None else end._node
        where[key] = g if key not in where else _add(where[key], g)
    keys = [x if x._node is None else x._node for x in aims]
    keep = create_graph if retain_graph is None else retain_graph
    for key, g in _carried(pending, set(keys), keep, create_graph).items():
        found[key] = g if key not in found else _add(found[key], g)
    results: list[Tensor | None] = []
    for i, (key, x) in enumerate(zip(keys, aims, strict=True)):
        g = found.get(key)
        if g is None and not allow_unused:
            raise GradientError(
                f"grad: the outputs do not depend on inputs[{i}] of shape {x.shape}: allow_unused=True gives"
                " None for it"
            )
        if g is None and materialize_grads:
            k = engines.of(x._data)
            g = k.empty(x.shape, x.dtype)
            k.fill(g, 0.0)
        results.append(g if g is None or is_tensor(g) else x._wrap(_own(g, None), False, None))
    return tuple(results)


# --- hooks -----------------------------------------------------------------------------------------

_Hooks = dict[int, dict[int, Callable[[Any], Any]]]

#: What users want called with the gradient of a tensor: by the ``id`` of a leaf, or of a computed one's node.
hooks: _Hooks = {}

#: What users want called with a leaf once its ``grad`` holds the gradient of the pass.
after_hooks: _Hooks = {}


class Hook:
    """A hook's place: ``remove()`` takes it off again; also at the end of a ``with`` block."""

    def __init__(self, table: _Hooks, owner: Any, function: Callable[[Any], Any]) -> None:
        key = id(owner)
        if key not in table:
            table[key] = {}
            weakref.finalize(owner, table.pop, key, None).atexit = False
        self._calls = table[key]
        self.id = next(_versions.clock)
        self._calls[self.id] = function

    def remove(self) -> None:
        """Take the hook off; twice does no harm."""
        self._calls.pop(self.id, None)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _hooked(key: Any, g: Any, create_graph: bool) -> Any:
    """The gradient of a tensor after its hooks have seen it."""
    for hook in list(hooks.get(id(key), {}).values()):
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
