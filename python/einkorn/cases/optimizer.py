"""Cases of the optimizers' kernels: three updates of two parameters, as einkorn.optim launches them.

The inputs are two parameters and two gradients; each update scales the gradients differently. The results
are the parameters after the last update.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
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
    "maximize": False,
}
_ADAM: dict[str, Any] = {
    "lr": 1e-2,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decoupled": False,
    "amsgrad": False,
    "maximize": False,
}


def _signed(g: Array, factor: float, options: dict[str, Any]) -> Array:
    return g * g.dtype.type(-factor if options["maximize"] else factor)


def _sgd(*arrays: Array, **options: Any) -> list[Array]:
    o = {**_SGD, **options}
    results = []
    for p, g0 in zip(arrays[:2], arrays[2:], strict=True):
        momentum = None
        for factor in FACTORS:
            g = _signed(g0, factor, o) + o["weight_decay"] * p
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
            g = _signed(g0, factor, o)
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
            o["maximize"],
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
            o["maximize"],
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


# --- the other optimizers ------------------------------------------------------------------------

# How the next parameter and states follow from (gradient, parameter, states, coefficients).


def _root(square: Array, o: dict[str, Any]) -> Array:
    return np.sqrt(square + o["eps"]) if o["within"] else np.sqrt(square) + o["eps"]


def _adagrad(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    total = s[0] + g * g
    return p - o["rate"] * g / _root(total, o), [total]


def _adadelta(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    v = o["rho"] * s[0] + (1 - o["rho"]) * g * g
    d = np.sqrt(s[1] + o["eps"]) / np.sqrt(v + o["eps"]) * g
    return p - o["rate"] * d, [v, o["rho"] * s[1] + (1 - o["rho"]) * d * d]


def _rmsprop(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    v = o["alpha"] * s[0] + (1 - o["alpha"]) * g * g
    m = o["alpha"] * s[1] + (1 - o["alpha"]) * g
    d = g / _root(v - m * m if o.get("buffers", True) else v, o)
    b = o["momentum"] * s[2] + d
    return p - o["rate"] * b, [v, m, b]


def _adamax(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    m = o["beta1"] * s[0] + (1 - o["beta1"]) * g
    outer = o["eps"] if o["within"] else 0.0
    u = np.maximum(o["beta2"] * s[1], np.abs(g) + (o["eps"] - outer))
    return p - o["rate"] * m / (u + outer), [m, u]


def _moments(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    m = o["beta1"] * s[0] + (1 - o["beta1"]) * g
    v = o["beta2"] * s[1] + (1 - o["beta2"]) * g * g
    below = o["root"] * np.sqrt(v) + o["eps"] if o["adaptive"] else 1
    return o["shrink"] * p - (o["of_grad"] * g + o["of_mean"] * m) / below, [m, v]


def _lion(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    direction = np.sign(o["beta1"] * s[0] + (1 - o["beta1"]) * g)
    return o["shrink"] * p - o["rate"] * direction, [o["beta2"] * s[0] + (1 - o["beta2"]) * g]


def _rprop(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    agreement = g * s[0]
    factor = np.where(agreement > 0, o["eta_plus"], np.where(agreement < 0, o["eta_minus"], 1.0))
    size = np.clip(s[1] * factor, o["least"], o["most"]).astype(p.dtype)
    g = np.where(agreement < 0, p.dtype.type(0), g)
    return p - np.sign(g) * size, [g, size]


def _ftrl(g: Array, p: Array, s: list[Array], o: dict[str, Any]) -> tuple[Array, list[Array]]:
    n = s[0] + (g - o["weight_decay"] * p) ** 2
    after = n ** o["power"]
    z = s[1] + g - (after - s[0] ** o["power"]) / o["rate"] * p
    moved = (np.clip(z, -o["l1"], o["l1"]) - z) / (after / o["rate"] + o["l2"])
    return np.where(np.abs(z) <= o["l1"], p.dtype.type(0), moved), [n, z]


def _update(
    name: str,
    rule: Any,
    coefficients: dict[str, Any],
    starts: tuple[float, ...],
    torch_step: Any = None,
    more: dict[str, Any] | None = None,
) -> Op:
    """The operation of a kernel step(params, grads, *states, *coefficients, maximize, *more).

    The option "buffers" says whether the kernel is given its second and third state, which are optional then.
    """
    whole = {**coefficients, "maximize": False, **(more or {})}

    def reference(*arrays: Array, **options: Any) -> list[Array]:
        o = {"weight_decay": 0.0, **whole, **options}
        results = []
        for p, g0 in zip(arrays[:2], arrays[2:], strict=True):
            states = [np.full_like(p, start) for start in starts]
            for factor in FACTORS:
                p, states = rule(_signed(g0, factor, o) + o["weight_decay"] * p, p, states, o)
            results.append(p)
        return results

    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
        o = {**whole, **options}
        buffers = o.pop("buffers", True)
        params, gradients, state = _arrays(arrays)
        states: list[Any] = [state() for _ in starts]
        for start, each in zip(starts, states, strict=True):
            for array in each:
                array[...] = start
        if not buffers:
            states[1:] = [None] * len(states[1:])
        for factor in FACTORS:
            step = getattr(einkorn.engines.of(params[0]), name)
            step(params, gradients(factor), *states, *o.values())
        return params

    def peer(torch: Any, *tensors: Any, **options: Any) -> list[Any]:
        params = [t.clone() for t in tensors[:2]]
        return _torch_steps(torch_step(torch.optim, params, {**whole, **options}), params, list(tensors[2:]))

    return Op(name, reference, peer if torch_step else None, call=call, unit=1)


def _lamb(*arrays: Array, **options: Any) -> list[Array]:
    o = {**_LAMB, **options}
    results = []
    for p, g0 in zip(arrays[:2], arrays[2:], strict=True):
        m = v = np.zeros_like(p)
        for factor in FACTORS:
            g = _signed(g0, factor, o)
            m = o["beta1"] * m + (1 - o["beta1"]) * g
            v = o["beta2"] * v + (1 - o["beta2"]) * g * g
            u = o["of_mean"] * m / (o["root"] * np.sqrt(v) + o["eps"]) + o["weight_decay"] * p
            norms = [np.sqrt((x * x).sum()) for x in (p, u)]
            p = p - p.dtype.type(0.1 * (norms[0] / norms[1] if norms[0] > 0 and norms[1] > 0 else 1.0)) * u
        results.append(p)
    return results


def _call_lamb(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    params, gradients, state = _arrays(arrays)
    states = [state() for _ in range(3)]
    k = einkorn.engines.of(params[0])
    for factor in FACTORS:
        k.lamb_step(params, gradients(factor), *states, *{**_LAMB, **options}.values())
        norms = [k.empty((2,), np.dtype(np.float64)) for _ in range(2)]
        k.tensor_norms(norms[0], params, 2.0)
        k.tensor_norms(norms[1], states[2], 2.0)
        k.trust_step(params, states[2], *norms, 0.1)
    return params


#: Norms that a trust_step is given, of parameters and of updates: a ratio, and one that counts as 1.
_NORMS = (2.0, 0.0), (0.5, 3.0)


def _trust(*arrays: Array) -> list[Array]:
    return [
        arrays[0] - arrays[0].dtype.type(0.4) * arrays[2],
        arrays[1] - arrays[1].dtype.type(0.1) * arrays[3],
    ]


def _call_trust(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    params, gradients, _ = _arrays(arrays)
    k = einkorn.engines.of(params[0])
    norms = [k.empty((2,), np.dtype(np.float64)) for _ in _NORMS]
    for array, values in zip(norms, _NORMS, strict=True):
        for i, value in enumerate(values):
            array[i] = value
    k.trust_step(params, gradients(1.0), *norms, 0.1)
    return params


def _lerp(*arrays: Array, weight: float) -> list[Array]:
    return [p + p.dtype.type(weight) * (o - p) for p, o in zip(arrays[:2], arrays[2:], strict=True)]


def _call_lerp(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    params, others, _ = _arrays(arrays)
    einkorn.engines.of(params[0]).lerp_step(params, others(1.0), options["weight"])
    return params


def _norms(*arrays: Array, power: float) -> Array:
    norms = [np.linalg.norm(a.reshape(-1), power) if a.size else 0.0 for a in arrays]
    return np.array(norms, arrays[0].dtype)


def _call_norms(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    k = einkorn.engines.of(arrays[0])
    out = k.empty((len(arrays),), np.dtype(np.float64))
    params, others, _ = _arrays(arrays)
    k.tensor_norms(out, [*params, *others(1.0)], options["power"])
    return out.astype(dtype)


def _clip_norm(*arrays: Array, max_norm: float) -> list[Array]:
    total = np.sqrt(sum((a * a).sum() for a in arrays))
    return [a * a.dtype.type(min(1.0, max_norm / (total + 1e-6))) for a in arrays]


def _torch_clip_norm(torch: Any, *tensors: Any, max_norm: float) -> list[Any]:
    params = [t.clone().requires_grad_() for t in tensors]
    for param, t in zip(params, tensors, strict=True):
        param.grad = t.clone()
    torch.nn.utils.clip_grad_norm_(params, max_norm)
    return [param.grad for param in params]


def _call_clip_norm(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    params, _, _ = _arrays(arrays)
    k = einkorn.engines.of(params[0])
    norms, total = (k.empty((n,), np.dtype(np.float64)) for n in (len(params), 1))
    k.tensor_norms(norms, params, 2.0)
    k.tensor_norms(total, [norms], 2.0)
    k.clip_norm_step(params, total, options["max_norm"])
    return params


def _clip_value(*arrays: Array, limit: float) -> list[Array]:
    return [np.clip(a, -limit, limit) for a in arrays]


def _call_clip_value(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> list[Any]:
    params, _, _ = _arrays(arrays)
    einkorn.engines.of(params[0]).clip_value_step(params, options["limit"])
    return params


_LAMB: dict[str, Any] = {
    "of_mean": 1.25,
    "root": 1.5,
    "beta1": 0.9,
    "beta2": 0.99,
    "eps": 1e-6,
    "weight_decay": 0.1,
    "maximize": False,
}
adagrad_step = _update(
    "adagrad_step",
    _adagrad,
    {"rate": 0.1, "eps": 1e-10, "weight_decay": 0.0},
    (0.25,),
    lambda optim, params, o: optim.Adagrad(
        params, o["rate"], 0, o["weight_decay"], 0.25, o["eps"], maximize=o["maximize"]
    ),
    {"within": False},
)
adadelta_step = _update(
    "adadelta_step",
    _adadelta,
    {"rate": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0},
    (0.0, 0.0),
    lambda optim, params, o: optim.Adadelta(
        params, o["rate"], o["rho"], o["eps"], o["weight_decay"], maximize=o["maximize"]
    ),
)
rmsprop_step = _update(
    "rmsprop_step",
    _rmsprop,
    {"rate": 1e-2, "alpha": 0.9, "eps": 1e-2, "momentum": 0.0, "weight_decay": 0.0},
    (0.0, 0.0, 0.0),
    lambda optim, params, o: optim.RMSprop(
        params,
        o["rate"],
        o["alpha"],
        o["eps"],
        o["weight_decay"],
        o["momentum"],
        o.get("buffers", True),
        maximize=o["maximize"],
    ),
    {"within": False},
)
adamax_step = _update(
    "adamax_step",
    _adamax,
    {"rate": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0},
    (0.0, 0.0),
    more={"within": False},
)
moments_step = _update(
    "moments_step",
    _moments,
    {
        "of_grad": 0.02,
        "of_mean": 0.1,
        "root": 1.5,
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-3,
        "weight_decay": 0.0,
        "shrink": 1.0,
        "adaptive": True,
    },
    (0.0, 0.0),
)
lion_step = _update("lion_step", _lion, {"rate": 0.1, "beta1": 0.5, "beta2": 0.75, "shrink": 1.0}, (0.0,))
rprop_step = _update(
    "rprop_step",
    _rprop,
    {"eta_minus": 0.5, "eta_plus": 1.25, "least": 1e-3, "most": 0.05},
    (0.0, 0.0625),
    lambda optim, params, o: optim.Rprop(
        params,
        0.0625,
        (o["eta_minus"], o["eta_plus"]),
        (o["least"], o["most"]),
        maximize=o["maximize"],
    ),
)
ftrl_step = _update(
    "ftrl_step",
    _ftrl,
    {"rate": 0.1, "power": 0.5, "l1": 0.0, "l2": 0.0, "weight_decay": 0.0},
    (0.25, 0.0),
)
lamb_step = Op("lamb_step", _lamb, call=_call_lamb, unit=1)
trust_step = Op("trust_step", _trust, call=_call_trust, unit=1)
lerp_step = Op("lerp_step", _lerp, call=_call_lerp, unit=1)
tensor_norms = Op("tensor_norms", _norms, call=_call_norms, unit=1)
clip_norm_step = Op("clip_norm_step", _clip_norm, _torch_clip_norm, call=_call_clip_norm, unit=1)
clip_value_step = Op("clip_value_step", _clip_value, call=_call_clip_value, unit=1)


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
        sgd_step(*x, momentum=0.9, nesterov=True, maximize=True),
        sgd_step(*x, momentum=0.9, dampening=0.5, weight_decay=0.01),
        sgd_step(*x, momentum=0.5, nesterov=True, weight_decay=0.1),
        adam_step(*x, weight_decay=0.1, maximize=True),
        adam_step(*x, amsgrad=True),
        adam_step(*x, amsgrad=True, weight_decay=0.1, decoupled=True),
        adam_step(*x, lr=0.5, beta1=0.0, beta2=0.5, eps=1e-3),
        adagrad_step(*x, weight_decay=0.1, maximize=True),
        adadelta_step(*x, weight_decay=0.1, maximize=True),
        rmsprop_step(*x, weight_decay=0.1, momentum=0.9),
        rmsprop_step(*x, buffers=False, maximize=True),
        replace(adagrad_step, torch=None)(*x, eps=0.25, within=True),
        replace(rmsprop_step, torch=None)(*x, eps=0.25, momentum=0.5, within=True),
        adamax_step(*x, weight_decay=0.1, maximize=True),
        adamax_step(*x, eps=0.25, within=True),
        moments_step(*x, weight_decay=0.1, maximize=True),
        moments_step(*x, of_grad=0.0, shrink=0.9, adaptive=False),
        lion_step(*x, shrink=0.9, maximize=True),
        rprop_step(*x, maximize=True),
        ftrl_step(*x, maximize=True),
        ftrl_step(*x, l1=0.5, l2=0.25, weight_decay=0.125),
        ftrl_step(*x, power=0.75, l2=0.5),
        lamb_step(*x),
        trust_step(*x),
        lerp_step(*x, weight=0.125),
        clip_norm_step(normal(5, 17), normal(65), max_norm=0.5),
        clip_value_step(normal(5, 17), normal(65), limit=0.5),
        tensor_norms(*x, power=3.0),
        tensor_norms(*x, power=math.inf),
    ]
    # several blocks, and a tensor without elements
    long = normal(0, 4), normal(40_001), normal(0, 4), normal(40_001)
    cases += [rmsprop_step(*long, momentum=0.5), lamb_step(*long, maximize=True)]
    return [*cases, *(tensor_norms(*long, power=p) for p in (0.0, 1.0, 2.0, -math.inf))]


CASES: list[Case] = _cases()
