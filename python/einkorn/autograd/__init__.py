"""Reverse-mode differentiation: what users call.

An operation that is given a Tensor with ``requires_grad`` records a :class:`Node` (``einkorn._tape``): where
its inputs came from and a function from the gradient of its output to the gradients of its inputs.
:func:`backward` and :func:`grad` walk the nodes from the newest to the oldest, which is a topological order
because a node's inputs exist before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from einkorn import _bfloat16, _versions, sparse
from einkorn._grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from einkorn._tape import (
    Node,
    add,
    after_hooks,
    fitting,
    hooked,
    hooks,
    is_tensor,
    own,
    propagate,
)
from einkorn.errors import ArgumentError, DTypeError, GradientError, ShapeError
from einkorn.sparse import SparseRows

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = [
    "Node",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

_LATER = ("Function", "functional", "gradcheck", "gradgradcheck")


def _accumulate(leaves: dict[Tensor, Any]) -> None:
    """Add the gradients of a whole pass to the leaves' own."""
    for leaf, gradient in leaves.items():
        if not leaf.requires_grad:
            continue
        grad = leaf._grad
        if is_tensor(gradient):
            from einkorn.ops import contiguous

            leaf._grad = contiguous(gradient) if grad is None else grad + gradient
        elif type(gradient) is SparseRows or type(grad) is SparseRows:
            both: Any = gradient if grad is None else sparse.total(grad._data, gradient)
            if type(both) is not SparseRows:
                both = leaf._wrap(both, False, None)
            leaf._grad = both
        elif grad is None:
            leaf._grad = leaf._wrap(gradient, False, None)
        elif grad._requires_grad:
            leaf._grad = grad + leaf._wrap(gradient, False, None)
        else:
            _bfloat16.of(gradient).add(grad._data, grad._data, gradient)
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
        k = _bfloat16.of(data)
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
        found = {tensor: start if create_graph else own(start, start)}
        if hooks:
            found[tensor] = hooked(tensor, found[tensor], create_graph)
    else:
        keep = create_graph if retain_graph is None else retain_graph
        found = propagate({root: start}, only, keep, create_graph)
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
        where[key] = g if key not in where else add(where[key], g)
    keys = [x if x._node is None else x._node for x in aims]
    keep = create_graph if retain_graph is None else retain_graph
    for key, g in propagate(pending, set(keys), keep, create_graph).items():
        found[key] = g if key not in found else add(found[key], g)
    results: list[Tensor | None] = []
    for i, (key, x) in enumerate(zip(keys, aims, strict=True)):
        g = found.get(key)
        if g is None and not allow_unused:
            raise GradientError(
                f"grad: the outputs do not depend on inputs[{i}] of shape {x.shape}: allow_unused=True gives"
                " None for it"
            )
        if g is None and materialize_grads:
            k = _bfloat16.of(x._data)
            g = k.empty(x.shape, x.dtype)
            k.fill(g, 0.0)
        if type(g) is SparseRows:
            g = g.to_dense()
        results.append(g if g is None or is_tensor(g) else x._wrap(own(g, None), False, None))
    return tuple(results)


class set_detect_anomaly:  # noqa: N801 - torch's name
    """Without effect, as a call and as a block: errors of the backward pass name their operation anyway."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


detect_anomaly = set_detect_anomaly


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Tensor:  # noqa: N802
    """A Tensor of the same memory, as in torch, where Tensors and Variables are one."""
    from einkorn._tensor import Tensor

    if volatile:
        raise ArgumentError("Variable: volatile is True, expected False: use no_grad()")
    return Tensor(data, requires_grad)


def __getattr__(name: str) -> Any:
    import importlib

    if name == "Function":  # torch's place for it; it is built on this module
        return importlib.import_module("einkorn.function").Function
    if name == "functional":
        return importlib.import_module("einkorn.autograd.functional")
    if name in ("gradcheck", "gradgradcheck", "GradcheckError"):
        return getattr(importlib.import_module("einkorn.autograd._check"), name)
    from einkorn._near import MissingNameError

    raise MissingNameError("module 'einkorn.autograd'", name, lambda: [*__all__, *_LATER])
