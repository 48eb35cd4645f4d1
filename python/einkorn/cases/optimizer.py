"""Cases of the optimizers' kernels: three updates of two parameters, as einkorn.optim launches them.

The inputs are two parameters and two gradients; each update scales the gradients differently. The results
are the parameters after the last update.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ._case import Case, Op, normal

Array = np.ndarray

#: What the gradients are multiplied by at each update: powers of two, so that nothing is rounded.
FACTORS = (1.0, -0.5, 2.0)

_SGD: dict[str, Any] = {
    "lr": 0.1,
    "momentum": 0.0,
    "dampening": 0.0,
    "weight_decay": 0.0,
    "nesterov": False,
}
_ADAM: dict[str, Any] = {
    "lr": 1e-2,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decoupled": False,
    "amsgrad": False,
}


def _sgd(*arrays: Array, **options: Any) -> list[Array]:
    o = {**_SGD, **options}
    results = []
    for p, g0 in zip(arrays[:2], arrays[2:], strict=True):
        momentum = None
        for factor in FACTORS:
            g = g0 * p.dtype.type(factor) + o["weight_decay"] * p
            if o["momentum"]:
                kept = 0 if momentum is None else o["momentum"] * momentum
                momentum = kept + (g if momentum is None else (1 - o["dampening"]) * g)
                g = g + o["momentum"] * momentum if o["nesterov"] else momentum
            p = p - o["lr"] * g
        results.append(p)
    return results


def _adam(*arrays: Array, **options: Any) -> list[Array]:
    o = {**_ADAM, **options}
    b1, b2 = o["beta1"], o["beta2"]
    results = []
    for p, g0 in zip(arrays[:2], arrays[2:], strict=True):
        m = v = v_max = np.zeros_like(p)
        for step, factor in enumerate(FACTORS, start=1):
            g = g0 * p.dtype.type(factor)
            if o["decoupled"]:
                p = p * (1 - o["lr"] * o["weight_decay"])
            else:
                g = g + o["weight_decay"] * p
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            v_max = np.maximum(v_max, v) if o["amsgrad"] else v
            root = np.sqrt(v_max) / math.sqrt(1 - b2**step) + o["eps"]
            p = p - o["lr"] / (1 - b1**step) * m / root
        results.append(p)
    return results


def _arrays(arrays: list[Any]) -> tuple[list[Any], Any, Any]:
    """Parameters that may be overwritten, a maker of scaled gradients, and a maker of state."""
    xp = sys.modules[type(arrays[0]).__module__.partition(".")[0]]  # NumPy or CuPy
    params = [xp.array(a, order="C") for a in arrays[:2]]

    def gradients(factor: float) -> list[Any]:
        return [xp.asarray(g * g.dtype.type(factor), order="C") for g in arrays[2:]]

    return params, gradients, lambda: [xp.zeros_like(p) for p in params]


def _call_sgd(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    o = {**_SGD, **options}
    params, gradients, state = _arrays(arrays)
    momenta = state() if o["momentum"] else None
    for step, factor in enumerate(FACTORS):
        einkorn.engines.of(params[0]).sgd_step(
            params,
            gradients(factor),
            momenta,
            o["lr"],
            o["momentum"],
            o["dampening"],
            o["weight_decay"],
            o["nesterov"],
            step == 0,
        )
    return params


def _call_adam(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    o = {**_ADAM, **options}
    params, gradients, state = _arrays(arrays)
    exp_avgs, exp_avg_sqs = state(), state()
    max_exp_avg_sqs = state() if o["amsgrad"] else None
    for step, factor in enumerate(FACTORS, start=1):
        einkorn.engines.of(params[0]).adam_step(
            params,
            gradients(factor),
            exp_avgs,
            exp_avg_sqs,
            max_exp_avg_sqs,
            o["lr"],
            o["beta1"],
            o["beta2"],
            o["eps"],
            o["weight_decay"],
            o["decoupled"],
            step,
        )
    return params


def _torch_steps(optimizer: Any, params: list[Any], grads: list[Any]) -> list[Any]:
    for factor in FACTORS:
        for p, g in zip(params, grads, strict=True):
            p.grad = g * factor
        optimizer.step()
    return params


def _torch_sgd(torch: Any, *tensors: Any, **options: Any) -> list[Any]:
    params = [t.clone() for t in tensors[:2]]
    return _torch_steps(torch.optim.SGD(params, **{**_SGD, **options}), params, list(tensors[2:]))


def _torch_adam(torch: Any, *tensors: Any, **options: Any) -> list[Any]:
    o = {**_ADAM, **options}
    o["betas"] = o.pop("beta1"), o.pop("beta2")
    kind = torch.optim.AdamW if o.pop("decoupled") else torch.optim.Adam
    params = [t.clone() for t in tensors[:2]]
    return _torch_steps(kind(params, **o), params, list(tensors[2:]))


sgd_step = Op("sgd_step", _sgd, _torch_sgd, call=_call_sgd, unit=1)
adam_step = Op("adam_step", _adam, _torch_adam, call=_call_adam, unit=1)


def _cases() -> list[Case]:
    cases = []
    for first, second in (((3, 5), (7,)), ((), (33,)), ((0, 4), (16,)), ((70_001,), (301, 307))):
        x = normal(*first), normal(*second), normal(*first), normal(*second)
        cases += [
            sgd_step(*x),
            sgd_step(*x, momentum=0.9),
            adam_step(*x),
            adam_step(*x, weight_decay=0.1, decoupled=True),
        ]
    x = normal(5, 17), normal(65), normal(5, 17), normal(65)
    cases += [
        sgd_step(*x, weight_decay=0.1),
        sgd_step(*x, momentum=0.9, nesterov=True),
        sgd_step(*x, momentum=0.9, dampening=0.5, weight_decay=0.01),
        sgd_step(*x, momentum=0.5, nesterov=True, weight_decay=0.1),
        adam_step(*x, weight_decay=0.1),
        adam_step(*x, amsgrad=True),
        adam_step(*x, amsgrad=True, weight_decay=0.1, decoupled=True),
        adam_step(*x, lr=0.5, beta1=0.0, beta2=0.5, eps=1e-3),
    ]
    return cases


CASES: list[Case] = _cases()
