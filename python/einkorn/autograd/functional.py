"""Whole derivatives of functions: Jacobians, Hessians and their products with vectors.

A function takes Tensors, one or a tuple of them, and gives one or a tuple. Results are nested as torch nests
them: where several Tensors came, tuples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import _bfloat16
from einkorn._grad_mode import enable_grad
from einkorn._tensor import Tensor
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


def _several(op: str, name: str, given: Any) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether a tuple came, and its Tensors."""
    many = isinstance(given, (tuple, list))
    found = tuple(given) if many else (given,)
    for x in found:
        if not isinstance(x, Tensor):
            raise DTypeError(f"{op}: {name} holds a {type(x).__name__}, expected Tensors")
    return many, found


def _leaves(inputs: tuple[Tensor, ...], keep: bool) -> tuple[Tensor, ...]:
    """The inputs with a place of their own at which gradients end; with ``keep`` they stay in the graph."""
    if keep:
        return tuple([x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs])
    return tuple([x.detach().clone().requires_grad_() for x in inputs])


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return Tensor(_bfloat16.astype(np.zeros(shape, np.float32), like.dtype))


def _called(op: str, func: Function, inputs: Any, keep: bool) -> tuple[bool, Any, bool, Any]:
    many_in, given = _several(op, "inputs", inputs)
    leaves = _leaves(given, keep)
    many_out, outputs = _several(op, "the result", func(*leaves))
    return many_in, leaves, many_out, outputs


def _one(many: bool, values: Any) -> Any:
    return tuple(values) if many else values[0]


def _gradients(outputs: Any, leaves: Any, weights: Any, create_graph: bool, strict: bool, op: str) -> Any:
    recorded = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if recorded:
        found = grad(
            [y for y, _ in recorded],
            list(leaves),
            [w for _, w in recorded],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    else:
        found = (None,) * len(leaves)
    if strict and any(g is None for g in found):
        raise ArgumentError(f"{op}: the result does not depend on all inputs, and strict is True")
    return [_zeros(x.shape, x) if g is None else g for g, x in zip(found, leaves, strict=True)]


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives of a function: for result and input a Tensor ``[*result's shape, *input's shape]``.

    Parameters
    ----------
    func : callable
    inputs : Tensor or tuple of Tensor
    create_graph : bool, default False
        Record the derivatives, so that they can be differentiated again.
    strict : bool, default False
        Refuse an input that the result does not depend on, instead of giving zeros.
    vectorize, strategy
        As in torch, without effect: one backward pass for each element of the result.

    Returns
    -------
    Tensor, or a tuple of them for several inputs, or a tuple of these for several results.
    """
    with enable_grad():
        many_in, leaves, many_out, outputs = _called("jacobian", func, inputs, create_graph)
        rows = []
        for y in outputs:
            columns: list[list[Tensor]] = [[] for _ in leaves]
            for i in range(y.numel()):
                unit = np.zeros(y.numel(), np.float32)
                unit[i] = 1
                weight = Tensor(_bfloat16.astype(unit, y.dtype)).reshape(y.shape)
                found = _gradients([y], leaves, [weight], create_graph, strict, "jacobian")
                for column, g in zip(columns, found, strict=True):
                    column.append(g)
            rows.append(
                _one(
                    many_in,
                    [_stacked(column, y, x) for column, x in zip(columns, leaves, strict=True)],
                )
            )
    return _one(many_out, rows)


def _stacked(column: list[Tensor], y: Tensor, x: Tensor) -> Tensor:
    from einkorn import ops

    if not column:
        return _zeros((*y.shape, *x.shape), x)
    return ops.stack(column, 0).reshape((*y.shape, *x.shape))


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function with one number as its result; arguments as :func:`jacobian`.

    Returns
    -------
    Tensor ``[*shape, *shape]``, or for several inputs a tuple of tuples of them.
    """
    many, given = _several("hessian", "inputs", inputs)

    def slopes(*values: Tensor) -> Any:
        y = _scalar("hessian", func(*values))
        return tuple(_gradients([y], values, [_ones(y)], True, strict, "hessian"))

    found = jacobian(slopes, given, create_graph, False)
    return found if many else found[0][0]


def _scalar(op: str, y: Any) -> Tensor:
    _, (result, *rest) = _several(op, "the result", y)
    if rest or result.numel() != 1:
        raise ShapeError(f"{op}: the function's result has shape {tuple(result.shape)}, expected one number")
    return result


def _ones(y: Tensor) -> Tensor:
    return Tensor(_bfloat16.astype(np.ones(y.shape, np.float32), y.dtype))


def _weights(op: str, v: Any, like: tuple[Tensor, ...], name: str) -> list[Tensor]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise ShapeError(f"{op}: v is None, expected Tensors of the shapes of the {name}")
        return [_ones(like[0])]
    _, given = _several(op, "v", v)
    shapes, wanted = [tuple(x.shape) for x in given], [tuple(x.shape) for x in like]
    if shapes != wanted:
        raise ShapeError(f"{op}: v has shapes {shapes}, expected {wanted} as the {name}")
    return list(given)


def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair of a function's result and the product of a vector ``v``, of its shape, with the Jacobian.

    Arguments as :func:`jacobian`; ``v`` may be left out for a result of one number.
    """
    with enable_grad():
        many_in, leaves, many_out, outputs = _called("vjp", func, inputs, create_graph)
        weights = _weights("vjp", v, outputs, "result")
        found = _gradients(outputs, leaves, weights, create_graph, strict, "vjp")
    if not create_graph:
        outputs = tuple([y.detach() for y in outputs])
    return _one(many_out, outputs), _one(many_in, found)


def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair of a function's result and the Jacobian's product with a vector of the inputs' shape.

    Two backward passes, the second through the first (double backward); arguments as :func:`jacobian`.
    """
    with enable_grad():
        _, leaves, many_out, outputs = _called("jvp", func, inputs, create_graph)
        weights = _weights("jvp", v, leaves, "inputs")
        dummies = [_zeros(y.shape, y).requires_grad_() for y in outputs]
        slopes = _gradients(outputs, leaves, dummies, True, strict, "jvp")
        found = _gradients(slopes, dummies, weights, create_graph, False, "jvp")
    if not create_graph:
        outputs = tuple([y.detach() for y in outputs])
    return _one(many_out, outputs), _one(many_out, found)


def vhp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair of a function's one number and the product of a vector with its Hessian; as :func:`vjp`."""
    with enable_grad():
        many, given = _several("vhp", "inputs", inputs)
        leaves = _leaves(given, create_graph)
        y = _scalar("vhp", func(*leaves))
        slopes = _gradients([y], leaves, [_ones(y)], True, strict, "vhp")
        found = _gradients(slopes, leaves, _weights("vhp", v, leaves, "inputs"), create_graph, strict, "vhp")
    return (y if create_graph else y.detach()), _one(many, found)


def hvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair of a function's one number and the product of its Hessian with a vector: :func:`vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
