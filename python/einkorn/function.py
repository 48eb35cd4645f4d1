"""Differentiable functions of one's own, and functions that are computed again instead of remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import engines, random
from einkorn._autocast import autocast, is_autocast_enabled
from einkorn._grad_mode import enable_grad, mode, no_grad
from einkorn._tape import Node, fitting, source
from einkorn._tensor import Tensor
from einkorn._versions import Arriving
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, GradientError
from einkorn.ops._road import broadcast_to

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Function", "checkpoint"]


class Context:
    """What a :class:`Function` carries from ``forward`` to ``backward``; any attribute may be set on it.

    Attributes
    ----------
    saved_tensors : tuple of Tensor or None
        What :meth:`save_for_backward` was given.
    needs_input_grad : tuple of bool
        For each argument of ``apply``, whether its gradient is wanted.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._constants: tuple[Any, ...] = ()
        self._materialize = True
        self._results: dict[int, Tensor] = {}

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep arguments or results of ``forward`` for ``backward``."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise ArgumentError(f"save_for_backward: got a {type(x).__name__}, expected Tensors or None")
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors kept, results as the tensors that ``apply`` gave."""
        return tuple([x if x is None else self._results.get(id(x), x) for x in self._saved])

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results of ``forward`` have no gradient."""
        self._constants = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros, and not None, for results that nothing came from."""
        self._materialize = value


class Function:
    """An operation with a gradient of one's own: subclasses define static ``forward`` and ``backward``.

    ``forward(ctx, *args)`` computes, unrecorded, from what ``apply`` was called with; it returns a Tensor or
    a tuple of them. ``backward(ctx, *gradients)`` gets a gradient for each result and returns one, or None,
    for each argument of ``forward``. Where it is written with operations on Tensors, it can be differentiated
    again.

    Examples
    --------
    >>> class Cube(einkorn.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         (x,) = ctx.saved_tensors
    ...         return gradient * 3.0 * x * x
    >>> y = Cube.apply(x)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The results; to be defined."""
        raise NotImplementedError("a Function needs a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradients; to be defined."""
        raise NotImplementedError("a Function needs a static method backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call ``forward``, and have ``backward`` called in backward passes.

        Raises
        ------
        GradientError
            If ``forward`` returns something else than Tensors, or ``backward``, later, gradients that do not
            fit the arguments.
        """
        wanted = tuple([isinstance(x, Tensor) and x._requires_grad for x in args])
        ctx = Context(wanted)
        with no_grad():
            returned = cls.forward(ctx, *args)
        results = returned if isinstance(returned, tuple) else (returned,)
        for x in results:
            if not isinstance(x, Tensor):
                raise GradientError(
                    f"{cls.__name__}: forward returned a {type(x).__name__}, expected Tensors"
                )
        if not (any(wanted) and mode.enabled):
            return returned
        return _joined(cls.__name__, args, returned, ctx, lambda *gradients: cls.backward(ctx, *gradients))


def _joined(op: str, args: Any, returned: Any, ctx: Context, backward: Callable[..., Any]) -> Any:
    """The results with nodes that lead to the arguments by one call of ``backward``."""
    results = returned if isinstance(returned, tuple) else (returned,)
    origins = [source(x) if need else None for x, need in zip(args, ctx.needs_input_grad, strict=True)]
    forms = [_Form(x) if need else None for x, need in zip(args, ctx.needs_input_grad, strict=True)]
    zeros = [_Form(x) for x in results]
    given = Arriving()  # gradients of the results, which arrive one by one

    def joint(_: Any, *saved: Any) -> Sequence[Any]:
        recorded = any(isinstance(g, Tensor) for g in given.values())
        gradients: list[Any] = []
        for i, zero in enumerate(zeros):
            g = given.pop(i, None)
            if g is None:
                g = Tensor._wrap(zero.zeros(), False, None) if ctx._materialize else None
            gradients.append(g if g is None or isinstance(g, Tensor) else Tensor._wrap(g, False, None))
        with enable_grad() if recorded else no_grad():
            got = backward(*gradients)
        return _fitting(op, forms, list(got) if isinstance(got, tuple) else [got], recorded)

    kept = [
        x._data for x in ctx._saved if x is not None
    ]  # noticed when they are overwritten before their time
    shared = Node(origins, joint, (*[None] * len(args), None, *kept))
    shown = []
    constants = {id(x) for x in ctx._constants}
    for i, x in enumerate(results):
        if id(x) in constants:
            shown.append(Tensor._wrap(x._data, False, None))
            continue
        data = x._data[...] if any(x is a for a in args) else x._data
        out = Tensor._wrap(data, True, Node((shared,), _put_down(given, i), ()))
        ctx._results[id(x)] = out
        shown.append(out)
    return tuple(shown) if isinstance(returned, tuple) else shown[0]


#: Says that the gradient of a result has arrived.
_ARRIVED = np.zeros(())


def _put_down(given: dict[int, Any], index: int) -> Callable[[Any], tuple[Any]]:
    def keep(g: Any) -> tuple[Any]:
        given[index] = g
        return (Tensor._wrap(_ARRIVED, False, None) if isinstance(g, Tensor) else _ARRIVED,)

    return keep


class _Form:
    """Shape, type and kind of an array, without its memory."""

    __slots__ = ("array",)

    def __init__(self, x: Tensor) -> None:
        k = engines.of(x._data)
        self.array = broadcast_to(k.empty((1,) * x.ndim, x.dtype), x.shape)

    def zeros(self) -> Any:
        k = engines.of(self.array)
        out = k.empty(self.array.shape, self.array.dtype)
        k.fill(out, 0.0)
        return out


def _fitting(op: str, forms: list[_Form | None], values: list[Any], recorded: bool) -> list[Any]:
    """What ``backward`` returned, checked: Tensors where the pass is recorded, else arrays."""
    n = len(forms)
    if len(values) < n or any(value is not None for value in values[n:]):
        raise GradientError(
            f"{op}: backward returned {len(values)} gradients, expected {n}, one for each argument of forward"
        )
    out: list[Any] = []
    for i, form in enumerate(forms):
        value = values[i]
        if value is None or form is None:
            out.append(None)
            continue
        array = fitting(op, f"the gradient of argument {i}", value, form.array)
        if recorded:
            array = value if isinstance(value, Tensor) else Tensor._wrap(array, False, None)
        out.append(array)
    return out


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, of which nothing is kept: the backward pass computes it again.

    Memory for time: of a long chain of layers only the inputs of the checkpointed parts stay in memory
    (Chen et al. 2016). Gradients are those of the function called plainly, bit for bit.

    Parameters
    ----------
    function : callable
        From Tensors to a Tensor or a tuple of them. It is called twice with equal arguments.
    *args, **kwargs
        Tensors among ``args`` get gradients, and so do the parameters that the function uses.
    use_reentrant : bool, default False
        torch's choice between two ways to do this; here both mean the same.
    preserve_rng_state : bool, default True
        Let the second call draw the random numbers of the first.

    Returns
    -------
    What the function returns.

    Examples
    --------
    >>> h = checkpoint(block, x)
    """
    if not mode.enabled:
        return function(*args, **kwargs)
    state = random.get_state()
    cpu, cuda = (autocast(place, enabled=is_autocast_enabled(place)) for place in ("cpu", "cuda"))

    def called(inputs: Sequence[Any]) -> Any:
        with cpu, cuda:
            return function(*inputs, **kwargs)

    def apart() -> list[Any]:
        """The arguments as leaves of a graph of their own."""
        return [
            Tensor._wrap(x._data, x._requires_grad, None) if isinstance(x, Tensor) and x._requires_grad else x
            for x in args
        ]

    inputs = apart()
    with enable_grad():
        returned = called(inputs)
    results = returned if isinstance(returned, tuple) else (returned,)
    ends = [x for x in results if isinstance(x, Tensor) and x._requires_grad]
    if not ends:
        return returned
    if len(ends) != len(results):
        raise GradientError("checkpoint: every result must be a Tensor that depends on what needs a gradient")
    # What else it is computed from: parameters, and tensors that the function knows.
    own = {id(x) for x in inputs}
    outside = [x for x in _leaves(ends) if id(x) not in own]
    everything = [*args, *outside]
    ctx = Context(tuple([isinstance(x, Tensor) and x._requires_grad for x in everything]))
    ctx._saved = tuple([x for x in everything if isinstance(x, Tensor)])
    ctx._materialize = False

    def backward(*gradients: Any) -> tuple[Any, ...]:
        create = mode.enabled
        again = list(args) if create else apart()
        now = random.get_state()
        if preserve_rng_state:
            random.set_state(state)
        try:
            with enable_grad():
                computed = called(again)
        finally:
            if preserve_rng_state:
                random.set_state(now)
        outs = computed if isinstance(computed, tuple) else (computed,)
        pairs = [(out, g) for out, g in zip(outs, gradients, strict=True) if g is not None]
        aims = [x for x, need in zip([*again, *outside], ctx.needs_input_grad, strict=True) if need]
        found = iter(
            grad([o for o, _ in pairs], aims, [g for _, g in pairs], create_graph=create, allow_unused=True)
        )
        return tuple([next(found) if need else None for need in ctx.needs_input_grad])

    bare = tuple([Tensor._wrap(x._data, False, None) for x in results])
    del inputs, ends, results
    return _joined("checkpoint", everything, bare if isinstance(returned, tuple) else bare[0], ctx, backward)


def _leaves(ends: Sequence[Tensor]) -> list[Tensor]:
    """The leaves that tensors were computed from, in the order in which they are met."""
    found: dict[int, Tensor] = {}
    stack: list[Any] = [x if x._node is None else x._node for x in ends]
    seen: set[Node] = set()
    while stack:
        origin = stack.pop()
        if isinstance(origin, Node):
            if origin not in seen:
                seen.add(origin)
                stack.extend(x for x in origin.inputs if x is not None)
        else:
            found[id(origin)] = origin
    return list(found.values())
