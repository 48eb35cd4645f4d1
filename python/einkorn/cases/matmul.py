"""Cases of the matrix products: matmul, bmm, linear, addmm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Input, Op, integers, normal, sprinkled

Array = np.ndarray


def _activate(y: Array, activation: str | None) -> Array:
    """The activations that are fused into products and convolutions."""
    if activation == "relu":
        return np.maximum(y, 0)
    if activation == "leaky_relu":
        return np.where(y < 0, y * 0.01, y)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-y))
    if activation == "tanh":
        return np.tanh(y)
    return y


def torch_activation(torch: Any, y: Any, activation: str | None) -> Any:
    """The same in PyTorch."""
    if activation == "leaky_relu":
        return torch.nn.functional.leaky_relu(y)
    return y if activation is None else getattr(torch, activation)(y)


def _linear(x: Array, weight: Array, bias: Array | None = None, *, activation: str | None = None) -> Array:
    y = np.matmul(x, weight.T)
    return _activate(y if bias is None else y + bias, activation)


def _torch_linear(torch: Any, x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    return torch_activation(torch, torch.nn.functional.linear(x, weight, bias), activation)


def _addmm(c: Array, a: Array, b: Array, *, beta: float = 1, alpha: float = 1) -> Array:
    product = alpha * np.matmul(a, b)
    return product if beta == 0 else beta * c + product  # beta = 0: c is not read


def _addmm_scale(c: Array, a: Array, b: Array, beta: float = 1, alpha: float = 1) -> Array:
    return _addmm(np.abs(c), np.abs(a), np.abs(b), beta=abs(beta), alpha=abs(alpha))


def _linear_scale(x: Array, weight: Array, bias: Array | None = None, activation: str | None = None) -> Array:
    # The error of the sum, before the activation; that of sigmoid and tanh at most adds a unit.
    unit = 0 if activation in (None, "relu", "leaky_relu") else 1
    return _linear(np.abs(x), np.abs(weight), None if bias is None else np.abs(bias)) + unit


def _flops(shapes: list[tuple[int, ...]], out: tuple[int, ...], options: dict[str, Any]) -> float:
    return 2.0 * math.prod(out) * shapes[0][-1]


def _abs_matmul(a: Array, b: Array) -> Array:
    return np.matmul(np.abs(a), np.abs(b))


matmul = Op("matmul", np.matmul, "matmul", flops=_flops, scale=_abs_matmul)
bmm = Op("bmm", np.matmul, "bmm", flops=_flops, scale=_abs_matmul)
linear = Op("linear", _linear, _torch_linear, flops=_flops, scale=_linear_scale)
addmm = Op(
    "addmm",
    _addmm,
    "addmm",
    flops=lambda shapes, out, options: 2.0 * math.prod(out) * shapes[1][-1],
    scale=_addmm_scale,
)

_SIZES = [  # M, K, N: every edge of a register tile, empty ones, vectors as matrices
    (1, 1, 1),
    (1, 17, 1),
    (1, 40, 33),
    (33, 40, 1),
    (17, 1, 19),
    (2, 3, 4),
    (5, 16, 15),
    (8, 8, 8),
    (13, 9, 31),
    (14, 32, 32),
    (15, 15, 17),
    (16, 33, 16),
    (29, 5, 63),
    (31, 31, 65),
    (43, 7, 97),
    (0, 4, 3),
    (4, 0, 3),
    (4, 3, 0),
    (0, 0, 0),
]


_ONES = [
    (m, k, n) for m in (1, 2, 35) for k in (1, 2, 67) for n in (1, 2, 35) if 1 in (m, k, n) and m * k * n > 1
]


def _product(op: Op, m: int, k: int, n: int, make: Any = normal) -> Case:
    return op(make(m, k), make(k, n))


def _cases() -> list[Case]:
    cases = []
    for m, k, n in _SIZES:
        cases.append(_product(matmul, m, k, n).grad())
        cases.append(_product(matmul, m, k, n, integers).exact())
    for a in LAYOUTS:
        for b in ("C", "F", "reversed", "gaps"):
            if (a, b) != ("C", "C"):
                left, right = integers(19, 37).laid_out(a), integers(37, 35).laid_out(b)
                cases.append(matmul(left, right).exact())
    cases += [
        matmul(normal(9, 6).laid_out("F"), normal(6, 11).laid_out("F")).grad(),
        matmul(normal(7, 5000), normal(5000, 9)).called("big K"),
        matmul(normal(1, 3000), normal(3000, 70)).called("big K"),
        matmul(normal(130, 300), normal(300, 140)).grad().called("two threads"),
        matmul(normal(300, 70).laid_out("F"), normal(70, 500).laid_out("F")).grad().called("two threads"),
        matmul(normal(3, 900), normal(900, 1100)).grad().called("two threads"),
        matmul(normal(1500, 260), normal(260, 2)).grad().called("two threads"),
        matmul(sprinkled(5, 18), normal(18, 33)),
        matmul(normal(5, 18), sprinkled(18, 33)),
        # stacks of matrices, broadcast against each other
        matmul(normal(3, 4, 5), normal(3, 5, 6)).grad(),
        matmul(normal(2, 3, 4, 5), normal(5, 6)).grad(),
        matmul(normal(4, 5), normal(2, 5, 6)).grad(),
        matmul(normal(2, 1, 4, 5), normal(3, 5, 6)).grad(),
        matmul(integers(2, 3, 17, 9).laid_out("F"), integers(3, 9, 33).laid_out("reversed")).exact(),
        matmul(integers(4, 17, 9).laid_out("broadcast"), integers(4, 9, 33)).exact(),
        matmul(normal(0, 4, 5), normal(0, 5, 6)).grad(),
        matmul(normal(0, 4, 5), normal(5, 6)).grad(),
        matmul(normal(3, 4, 0), normal(3, 0, 6)).grad(),
        matmul(normal(3, 0, 5), normal(5, 6)).grad(),
        matmul(normal(3, 4, 0), normal(0, 6)).grad(),
        matmul(normal(3, 4, 5), normal(5, 0)).grad(),
        matmul(normal(40, 33, 31), normal(40, 31, 35)).grad().called("two threads"),
        # a column of a matrix, sizes of 1 in every role
        *(matmul(integers(m, k), integers(k, n)).exact() for m, k, n in _ONES),
        *(
            matmul(integers(m, k).laid_out(a), integers(k, n).laid_out(b)).exact()
            for m, k, n in _ONES
            for a, b in (("C", "columns"), ("columns", "C"), ("columns", "reversed"), ("every second", "F"))
        ),
        matmul(integers(9, 70000), integers(70000).laid_out("columns")).exact(),
        matmul(integers(70000).laid_out("columns"), integers(70000, 3).laid_out("F")).exact(),
        matmul(integers(70000), integers(70000, 3)).exact(),
        matmul(integers(70000).laid_out("reversed"), integers(70000).laid_out("columns")).exact(),
        # vectors, as torch takes them
        matmul(normal(7), normal(7)).grad(),
        matmul(normal(5, 7), normal(7)).grad(),
        matmul(normal(7), normal(7, 4)).grad(),
        matmul(normal(2, 3, 5), normal(5)).grad(),
        bmm(normal(3, 4, 5), normal(3, 5, 6)).grad(),
        bmm(normal(0, 4, 5), normal(0, 5, 6)).grad(),
        bmm(normal(5, 1, 64), normal(5, 64, 1)),
        bmm(integers(3, 17, 33).laid_out("F"), integers(3, 33, 15)).exact(),
    ]
    cases += _linear_cases()
    cases += _addmm_cases()
    cases += _bench_cases()
    return cases


def _linear_cases() -> list[Case]:
    x, w, b = normal(5, 7), normal(4, 7), normal(4)
    cases = [linear(x, w, b, activation=name).grad() for name in _ACTIVATIONS]
    cases += [linear(x, w, None, activation=name).grad() for name in (None, "relu", "tanh")]
    for m, k, n in ((1, 17, 33), (3, 784, 10), (17, 33, 16), (64, 20, 47)):
        cases.append(linear(integers(m, k), integers(n, k), integers(n)).exact())
        cases.append(linear(normal(m, k), normal(n, k), normal(n), activation="relu"))
    cases += [
        linear(normal(7), w, b).grad(),
        linear(normal(2, 3, 7), w, b).grad(),
        linear(normal(2, 3, 7), w, b, activation="sigmoid").grad(),
        linear(normal(5, 7).laid_out("F"), normal(4, 7).laid_out("reversed"), b).grad(),
        linear(normal(5, 7), normal(4, 7), normal(4).laid_out("gaps")).grad(),
        linear(normal(0, 7), w, b).grad(),
        linear(normal(5, 0), normal(4, 0), b).grad(),
        linear(normal(5, 0), normal(4, 0), b, activation="tanh"),
        linear(normal(5, 7), normal(0, 7), normal(0)).grad(),
        linear(normal(2, 3, 0), normal(4, 0), b).grad(),
        linear(normal(2, 0, 7), w, b).grad(),
        linear(sprinkled(5, 7), w, b, activation="relu"),
        linear(normal(260, 300), normal(130, 300), normal(130)).grad().called("two threads"),
    ]
    return cases


_ACTIVATIONS: tuple[str | None, ...] = (None, "relu", "leaky_relu", "sigmoid", "tanh")


def _addmm_cases() -> list[Case]:
    c, a, b = normal(5, 6), normal(5, 7), normal(7, 6)
    infinite = Input((5, 6), "given", values=(math.nan,) * 30)
    return [
        addmm(c, a, b).grad(),
        addmm(c, a, b, beta=0.5, alpha=-2.0).grad(),
        addmm(c, a, b, alpha=0.0),
        addmm(infinite, a, b, beta=0).called("c is not read"),
        addmm(normal(6), a, b, beta=2.0).grad(),
        addmm(normal(5, 1), a, b).grad(),
        addmm(integers(17, 33), integers(17, 9), integers(9, 33), beta=-3, alpha=2).exact(),
        addmm(integers(33), integers(17, 9).laid_out("F"), integers(9, 33)).exact(),
        addmm(c, normal(5, 0), normal(0, 6), beta=0.5),
        addmm(normal(0, 6), normal(0, 7), b),
    ]


def _bench_cases() -> list[Case]:
    cases = [_product(matmul, n, n, n).bench(quick=n in (256, 1024)) for n in (64, 256, 512)]
    cases += [_product(matmul, n, n, n).bench(quick=n == 1024) for n in (1024, 2048)]
    cases += [
        matmul(normal(512, 512), normal(512, 512).laid_out("F")).bench(),
        matmul(normal(512, 512), normal(512, 512)).grad().bench(),
        matmul(normal(48, 128, 64), normal(48, 64, 128)).bench(),
        # layers: MNIST's classifier, a transformer's feed-forward, one row of a language model
        linear(normal(32, 784), normal(10, 784), normal(10)).bench(quick=True),
        linear(normal(128, 768), normal(3072, 768), normal(3072)).bench(),
        linear(normal(128, 768), normal(3072, 768), normal(3072)).grad().bench(),
        linear(normal(1, 4096), normal(4096, 4096), normal(4096)).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
