"""Gradients compared with differences of values: ``gradcheck`` and ``gradgradcheck``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn._grad_mode import enable_grad, no_grad
from einkorn._tensor import Tensor
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, GradientError

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(GradientError):
    """A gradient that is not the slope of its function."""


def _results(value: Any) -> list[Tensor]:
    found = list(value) if isinstance(value, (tuple, list)) else [value]
    return [y for y in found if isinstance(y, Tensor) and y.is_floating_point()]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    **options: Any,
) -> bool:
    """Whether a function's gradients are the slopes that differences of its values show.

    Parameters
    ----------
    func : callable
        From Tensors to one or a tuple of them.
    inputs : Tensor or tuple
        Those that require a gradient are checked, and must be float64: differences of float32 say little.
    eps : float, keyword-only, default 1e-6
        The step of central differences.
    atol, rtol : float, keyword-only, default 1e-5 and 1e-3
    raise_exception : bool, keyword-only, default True
        Raise, instead of returning False.
    nondet_tol : float, keyword-only, default 0.0
        By how much two backward passes may differ.
    check_undefined_grad, check_grad_dtypes, fast_mode
        As in torch, without effect.

    Raises
    ------
    GradcheckError
        A gradient differs; the message has both.
    ArgumentError
        No input requires a gradient, or one that does is not float64.
    """
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ArgumentError("gradcheck: no input requires a gradient")
    for i in checked:
        if given[i].dtype != np.float64:
            raise ArgumentError(f"gradcheck: inputs[{i}] holds {given[i].dtype}, expected float64")
    try:
        _compare(func, given, checked, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _compare(
    func: Callable[..., Any], given: tuple[Any, ...], checked: list[int], eps: float, atol: float,
    rtol: float, nondet_tol: float,
) -> None:  # fmt: skip
    leaves = list(given)
    for i in checked:
        leaves[i] = given[i].detach().clone().requires_grad_()
    with enable_grad():
        outputs = _results(func(*leaves))
    slopes = {i: _slopes(func, given, i, eps, len(outputs)) for i in checked}
    for j, y in enumerate(outputs):
        for element in range(y.numel()):
            unit = np.zeros(y.numel(), y.dtype)
            unit[element] = 1
            found = _gradients(y, leaves, checked, Tensor(unit.reshape(y.shape)))
            if element == 0:
                again = _gradients(y, leaves, checked, Tensor(unit.reshape(y.shape)))
                for a, b in zip(found, again, strict=True):
                    if np.abs(a - b).max(initial=0) > nondet_tol:
                        raise GradcheckError("gradcheck: two backward passes gave different gradients")
            for i, analytical in zip(checked, found, strict=True):
                numerical = slopes[i][j][element].reshape(analytical.shape)
                if not np.allclose(analytical, numerical, rtol, atol):
                    raise GradcheckError(
                        f"gradcheck: the gradient of element {element} of output {j} by inputs[{i}]"
                        f" is {analytical.tolist()}, and differences of values give {numerical.tolist()}"
                    )


def _gradients(y: Tensor, leaves: list[Any], checked: list[int], weight: Tensor) -> list[np.ndarray]:
    if not y.requires_grad:
        return [np.zeros(leaves[i].shape) for i in checked]
    found = grad([y], [leaves[i] for i in checked], [weight], retain_graph=True, allow_unused=True)
    return [
        np.zeros(leaves[i].shape) if g is None else np.asarray(g) for g, i in zip(found, checked, strict=True)
    ]


def _slopes(func: Callable[..., Any], given: tuple[Any, ...], i: int, eps: float, outputs: int) -> list[Any]:
    """For each output the differences [its elements, elements of the input]."""
    base = np.array(given[i].detach())
    columns: list[list[np.ndarray]] = [[] for _ in range(outputs)]
    with no_grad():
        for place in np.ndindex(base.shape):
            pair = []
            for step in (eps, -eps):
                moved = base.copy()
                moved[place] += step
                values = [*given[:i], Tensor(moved), *given[i + 1 :]]
                pair.append([np.array(y).reshape(-1) for y in _results(func(*values))])
            for column, above, below in zip(columns, *pair, strict=True):
                column.append((above - below) / (2 * eps))
    return [np.stack(column, 1) if column else np.zeros((0, 0)) for column in columns]


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    **options: Any,
) -> bool:
    """:func:`gradcheck` of a function's gradients: whether they can be differentiated again, and rightly.

    Parameters
    ----------
    func, inputs
        As in :func:`gradcheck`.
    grad_outputs : Tensor or tuple of Tensor, optional
        What the function's results are weighted with; random numbers by default.
    gen_non_contig_grad_outputs : bool, keyword-only
        As in torch, without effect.
    """
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        with no_grad():
            shapes = [y.shape for y in _results(func(*given))]
        weights = [Tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    else:
        weights = list(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]

    def slopes(*values: Any) -> tuple[Tensor, ...]:
        inner = values[: len(given)]
        starts = [
            x if isinstance(x, Tensor) and x.requires_grad else x.detach().requires_grad_()
            for x in (inner[i] for i in checked)
        ]
        parts = list(inner)
        for i, x in zip(checked, starts, strict=True):
            parts[i] = x
        with enable_grad():
            outputs = _results(func(*parts))
            found = grad(
                outputs, starts, list(values[len(given) :]), create_graph=True, allow_unused=True,
                materialize_grads=True,
            )  # fmt: skip
        return tuple([g for g in found if g is not None])

    return gradcheck(
        slopes, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )  # fmt: skip
