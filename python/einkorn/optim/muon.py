"""Muon: momentum whose matrices are made orthogonal before they are applied."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from einkorn import ops
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run, copies
from einkorn.optim.optimizer import Optimizer

__all__ = ["Muon"]


class Muon(Optimizer):
    """Momentum made orthogonal by Newton and Schulz's iteration (Jordan et al. 2024), as torch defines it.

    With the mean m of gradients and u = g + momentum * (m - g), p -= lr * weight_decay * p and
    p -= lr * s * orthogonal(u). The iteration computes in bfloat16, as torch's does, and stops where singular
    values are about 1. For the weights of hidden layers; biases, embeddings and what is no matrix are another
    optimizer's, such as :class:`AdamW`.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
        Of 2 dimensions each.
    lr : float, default 1e-3
    weight_decay : float, default 0.1
        Decoupled from the gradient.
    momentum : float, default 0.95
    nesterov : bool, default True
        False: u is m.
    ns_coefficients : three floats, default (3.4445, -4.775, 2.0315)
        a, b and c of a step of the iteration, ``x <- a x + (b x x' + c (x x')^2) x``.
    eps : float, default 1e-7
        The least that u is divided by before the iteration.
    ns_steps : int, default 5
        Steps of the iteration, less than 100.
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
        The factor s for a matrix [n, m]: ``sqrt(max(1, n / m))``, the default, or ``0.2 sqrt(max(n, m))``.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range, or a parameter that is no matrix.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "weight_decay", "momentum", "eps"):
            self._number(group, key)
        if not isinstance(group["nesterov"], bool):
            raise ArgumentError(f"Muon: nesterov is {group['nesterov']!r}, expected True or False")
        coefficients, steps = group["ns_coefficients"], group["ns_steps"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise ArgumentError(f"Muon: ns_coefficients is {coefficients!r}, expected three numbers")
        if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps < 100:
            raise ArgumentError(f"Muon: ns_steps is {steps!r}, expected an integer from 0 to 99")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"Muon: adjust_lr_fn is {group['adjust_lr_fn']!r}, expected 'original' or 'match_rms_adamw'"
            )
        for number, param in enumerate(group["params"]):
            if param.ndim != 2:
                raise ArgumentError(
                    f"Muon: parameter {number} has shape {param.shape}, expected 2 dimensions: give the"
                    " others to AdamW"
                )

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        momentum, rate = group["momentum"], float(group["lr"])
        for param, grad, kept in zip(params, grads, run.state["momentum_buffer"], strict=True):
            if not param.size:
                continue
            (mean,) = copies(engine, [kept])
            engine.lerp_step([mean], [grad], 1 - momentum)
            seen = mean
            if group["nesterov"]:
                seen = engine.empty(grad.shape, grad.dtype)
                engine.copy(seen, grad)
                engine.lerp_step([seen], [mean], momentum)
            update = ops.contiguous(_orthogonal(seen, group).to(param.dtype))._data
            adjusted = rate * _factor(param.shape, group["adjust_lr_fn"])
            decay = rate * group["weight_decay"] / adjusted if adjusted else 0.0
            engine.sgd_step([param], [update], None, adjusted, 0.0, 0.0, decay, False, False, False)
            engine.copy(kept, mean)


def _orthogonal(matrix: Any, group: dict[str, Any]) -> Tensor:
    """Nearly ``u v'`` of the singular value decomposition ``u s v'``, in bfloat16."""
    with no_grad():
        x = Tensor(matrix).bfloat16()
        return orthogonal(x / x.norm().clamp(min=group["eps"]), group["ns_coefficients"], group["ns_steps"])


def orthogonal(x: Tensor, coefficients: tuple[float, float, float], steps: int) -> Tensor:
    """Newton and Schulz's iteration, for a matrix whose norm is at most 1."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = x.addmm(gram.addmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def _factor(shape: tuple[int, ...], way: str | None) -> float:
    rows, columns = shape
    if way == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))
