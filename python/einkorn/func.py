"""Functions of functions, with torch's names: derivatives of pure functions, and modules as such.

``grad(f)`` is a function that gives the gradient of ``f``; they may be nested. Differentiation runs backward,
``jvp`` and ``jacfwd`` included, and :func:`vmap` calls its function once for every element of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from einkorn import ops
from einkorn._grad_mode import enable_grad
from einkorn._tensor import Tensor
from einkorn.autograd import functional
from einkorn.autograd import grad as _grad
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.utils.stateless import functional_call

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]


def _taken(args: tuple[Any, ...], argnums: Any) -> tuple[bool, tuple[int, ...], list[Any]]:
    many = isinstance(argnums, (tuple, list))
    places = tuple(argnums) if many else (argnums,)
    values = list(args)
    for i in places:
        if not -len(args) <= i < len(args):
            raise ArgumentError(f"func: argnums is {argnums}, but there are {len(args)} arguments")
        values[i] = _tree(lambda x: x.view_as(x) if x.requires_grad else x.detach().requires_grad_(), args[i])
    return many, places, values


def _tree(change: Function, value: Any) -> Any:
    """The same nest of dicts, lists and tuples with other Tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _tree(change, part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_tree(change, part) for part in value])
    return value


def _selected(dim: int, i: int, x: Tensor) -> Tensor:
    return x.select(dim, i)


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _tree(found.append, value)
    return found


def grad_and_value(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """The function that gives the pair of ``func``'s gradient and its value.

    Parameters
    ----------
    func : callable
        Its result is a Tensor of one number; with ``has_aux`` a pair of that and anything else.
    argnums : int or tuple of int, default 0
        Which arguments the gradient is taken with respect to: Tensors, or dicts and lists of them.
    has_aux : bool, default False
        Then the value is the pair that ``func`` gives.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        many, places, values = _taken(args, argnums)
        with enable_grad():
            result = func(*values, **kwargs)
            y = result[0] if has_aux else result
            if not isinstance(y, Tensor) or y.numel() != 1:
                raise ShapeError(f"grad: the function gave {getattr(y, 'shape', y)!r}, expected one number")
            wanted = [values[i] for i in places]
            leaves = _tensors(wanted)
            found = _grad(y, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
        kept = any(x.requires_grad for x in _tensors(list(args)))  # of a derivative outside of this one
        each = iter(found if kept else [g.detach() for g in found if g is not None])
        gradients = [_tree(lambda _: next(each), part) for part in wanted]
        if not kept:
            result = _tree(lambda x: x.detach(), result)
        return (tuple(gradients) if many else gradients[0]), result

    return run


def grad(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """The function that gives ``func``'s gradient; arguments as :func:`grad_and_value`.

    Examples
    --------
    >>> grad(grad(lambda x: x**3))(einkorn.tensor(2.0))
    Tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    def run(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return run


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The pair of ``func(*primals)`` and the function from vectors to their Jacobian products."""
    values = _taken(primals, tuple(range(len(primals))))[2]
    with enable_grad():
        result = func(*values)
    y, rest = (result[0], result[1:]) if has_aux else (result, ())

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        found = _grad(
            _tensors(y), values, _tensors(cotangents), retain_graph=True, create_graph=bool(create_graph),
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        return found

    return (_tree(lambda x: x.detach(), y), pull, *rest)


def jvp(func: Function, primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """The pair of ``func(*primals)`` and the product of the Jacobian with the tangents."""
    if has_aux:
        kept: list[Any] = []

        def first(*values: Any) -> Any:
            y, aux = func(*values)
            kept.append(aux)
            return y

        return (*functional.jvp(first, tuple(primals), tuple(tangents)), kept[0])
    return functional.jvp(func, tuple(primals), tuple(tangents))


def jacrev(func: Function, argnums: Any = 0, has_aux: bool = False, **options: Any) -> Function:
    """The function that gives ``func``'s Jacobian, Tensors ``[*result's shape, *argument's shape]``.

    Parameters
    ----------
    func : callable
    argnums : int or tuple of int, default 0
    has_aux : bool, default False
        ``func`` gives a pair, and so does what is returned: the Jacobian of the first, and the second.
    **options
        ``chunk_size`` and such, without effect.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        many, places, _ = _taken(args, argnums)
        aux: list[Any] = []

        def of_places(*parts: Any) -> Any:
            values = list(args)
            for i, part in zip(places, parts, strict=True):
                values[i] = part
            y = func(*values, **kwargs)
            if has_aux:
                aux[:] = [y[1]]
                return y[0]
            return y

        wanted = tuple(args[i] for i in places)
        record = any(x.requires_grad for x in wanted)
        found = functional.jacobian(of_places, wanted if many else wanted[0], create_graph=record)
        return (found, aux[0]) if has_aux else found

    return run


def jacfwd(func: Function, argnums: Any = 0, has_aux: bool = False, **options: Any) -> Function:
    """:func:`jacrev`: the same derivatives."""
    return jacrev(func, argnums, has_aux)


def hessian(func: Function, argnums: Any = 0) -> Function:
    """The function that gives ``func``'s Hessian: :func:`jacrev` of :func:`jacrev`."""

    def run(*args: Any, **kwargs: Any) -> Any:
        def inner(*values: Any) -> Any:
            record = list(values)
            places = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
            for i in places:
                if not record[i].requires_grad:
                    record[i] = record[i].detach().requires_grad_()
            return jacrev(func, argnums)(*record, **kwargs)

        return jacrev(inner, argnums)(*args)

    return run


def vmap(
    func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", **options: Any
) -> Function:
    """The function that applies ``func`` to every element of a batch and stacks the results.

    It is called once for each element, one after the other: nothing is forbidden to it, and it is as slow
    as a loop.

    Parameters
    ----------
    func : callable
        From Tensors to a Tensor, or to a nest of tuples, lists and dicts of them.
    in_dims : int, None or a tuple of them, default 0
        The batch's axis of each argument; None hands an argument on whole.
    out_dims : int, default 0
        The batch's axis of the results.
    randomness, **options
        As in torch, without effect.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        dims = tuple(in_dims) if isinstance(in_dims, (tuple, list)) else (in_dims,) * len(args)
        if len(dims) != len(args):
            raise ArgumentError(
                f"vmap: in_dims has {len(dims)} entries, expected {len(args)}, one an argument"
            )
        sizes = {
            x.shape[d] for value, d in zip(args, dims, strict=True) if d is not None for x in _tensors(value)
        }
        if len(sizes) != 1:
            raise ShapeError(f"vmap: the batch's axes have sizes {sorted(sizes)}, expected one size")
        (size,) = sizes
        if not size:
            raise ShapeError("vmap: the batch is empty, expected at least one element")
        results = []
        for i in range(size):
            parts = [
                value if d is None else _tree(partial(_selected, d, i), value)
                for value, d in zip(args, dims, strict=True)
            ]
            results.append(func(*parts, **kwargs))
        leaves = [_tensors(result) for result in results]
        stacked = iter([ops.stack(list(column), out_dims) for column in zip(*leaves, strict=True)])
        return _tree(lambda _: next(stacked), results[0])

    return run
