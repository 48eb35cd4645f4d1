"""Cases of the elementwise operations: arithmetic, activations, where and clip."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Input, Op, given, integers, normal, positive, sprinkled, uniform

Array = np.ndarray

INF, NAN = math.inf, math.nan

# --- references ---------------------------------------------------------------------------------


def _erf(x: Array) -> Array:
    # NumPy has no erf; the C library's is evaluated in float64 and rounded.
    return np.array([math.erf(v) for v in x.ravel()], dtype=x.dtype).reshape(x.shape)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "none":
        return x * (1 + _erf(x / math.sqrt(2))) / 2
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def _softplus(x: Array, beta: float = 1, threshold: float = 20) -> Array:
    scaled = x * x.dtype.type(beta)
    return np.where(scaled > threshold, x, np.logaddexp(scaled, np.zeros_like(x)) / x.dtype.type(beta))


def _step(x: Array) -> Array:
    return np.where(np.isnan(x), x, (x >= 0).astype(x.dtype))


def _leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    return np.where(x < 0, x * negative_slope, x)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x < 0, alpha * np.expm1(x), x)


def _prelu(x: Array, weight: Array) -> Array:
    slope = weight if weight.size == 1 else weight.reshape((-1,) + (1,) * (x.ndim - 2))
    return np.where(x < 0, x * slope, x)


def _clip(x: Array, min: Any = None, max: Any = None) -> Array:
    if min is not None:
        x = np.maximum(x, np.asarray(min, x.dtype))
    return x if max is None else np.minimum(x, np.asarray(max, x.dtype))


def _add(a: Array, b: Array, alpha: float = 1) -> Array:
    return a + a.dtype.type(alpha) * b


def _subtract(a: Array, b: Array, alpha: float = 1) -> Array:
    return a - a.dtype.type(alpha) * b


def _divide(a: Array, b: Array, rounding_mode: str | None = None) -> Array:
    if rounding_mode is None:
        return np.divide(a, b)
    return np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.divide(a, b))


def _where(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition != 0, a, b)


# --- operations ---------------------------------------------------------------------------------


def _flops(per_element: float) -> Any:
    return lambda shapes, out, options: per_element * math.prod(out)


def _transcendental(name: str, reference: Any, torch: Any, unit: float = 0.0) -> Op:
    return Op(name, reference, torch, flops=_flops(12), unit=unit)


add = Op("add", _add, "add")
subtract = Op("subtract", _subtract, "subtract")
multiply = Op("multiply", np.multiply, "multiply")
divide = Op("divide", _divide, "divide")
maximum = Op("maximum", np.maximum, "maximum")
minimum = Op("minimum", np.minimum, "minimum")
power = _transcendental("power", np.power, "pow")

negative = Op("negative", np.negative, "negative")
absolute = Op("absolute", np.abs, "absolute")
square = Op("square", np.square, "square")
sqrt = Op("sqrt", np.sqrt, "sqrt")
reciprocal = Op("reciprocal", np.reciprocal, "reciprocal")
step = Op("step", _step, lambda torch, x: torch.heaviside(x, torch.ones_like(x)))
relu = Op("relu", lambda x: np.maximum(x, 0), "relu")
leaky_relu = Op("leaky_relu", _leaky_relu, "nn.functional.leaky_relu")
prelu = Op("prelu", _prelu, "nn.functional.prelu")
clip = Op("clip", _clip, "clamp")
where = Op("where", _where, lambda torch, condition, a, b: torch.where(condition != 0, a, b))

exp = _transcendental("exp", np.exp, "exp")
log = _transcendental("log", np.log, "log", unit=1)
sin = _transcendental("sin", np.sin, "sin", unit=1)
cos = _transcendental("cos", np.cos, "cos", unit=1)
erf = _transcendental("erf", _erf, "erf")
sigmoid = _transcendental("sigmoid", _sigmoid, "sigmoid")
tanh = _transcendental("tanh", np.tanh, "tanh")
silu = _transcendental("silu", lambda x: x * _sigmoid(x), "nn.functional.silu")
softplus = _transcendental("softplus", _softplus, "nn.functional.softplus")
elu = _transcendental("elu", _elu, "nn.functional.elu")
gelu = _transcendental("gelu", _gelu, "nn.functional.gelu", unit=1)

#: Unary operations whose results are rounded at most once.
ROUNDED = (negative, absolute, square, sqrt, reciprocal, step, relu, leaky_relu)
SMOOTH = (exp, log, sin, cos, erf, sigmoid, tanh, silu, softplus, elu, gelu)
BINARY = (
    add,
    subtract,
    multiply,
    divide,
    maximum,
    minimum,
    power,
)

# --- cases --------------------------------------------------------------------------------------

_ANY = given(0.0, -0.0, NAN, INF, -INF, 1e-40, -1e-40, 1.5, -2.0, 1e30, -1e30)


def _domain(op: Op, *shape: int) -> Input:
    return positive(*shape) if op in (log, sqrt, reciprocal, power) else normal(*shape)


def _unary_cases() -> list[Case]:
    cases = []
    for op in (*ROUNDED, *SMOOTH):
        differentiable = op not in (step,)
        for shape in ((), (0,), (1,), (17,), (3, 5, 7)):
            case = op(_domain(op, *shape))
            cases.append(case.grad() if differentiable else case)
        cases.append(op(_domain(op, 6, 33).laid_out("F")))
        case = op(_domain(op, 40_003)).called("two threads")
        cases.append(case.grad() if differentiable else case)
    for op in (relu, exp):  # every edge of the vector loops, every layout
        for size in (2, 7, 8, 15, 16, 31, 32, 33, 63, 65):
            cases.append(op(normal(size)))
        cases += [op(normal(5, 33).laid_out(layout)).grad() for layout in LAYOUTS if layout != "C"]
        cases += [op(normal(2, 1, 3, 1, 2, 2, 1, 3)), op(normal(3, 0, 2)), op(normal(4, 1, 5))]
    return cases


def _value_cases() -> list[Case]:
    """Where functions are special: zeros, infinities, NaN, overflow, large arguments."""
    steep = given(-INF, -200.0, -104.5, -88.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 88.0, 89.5, INF, NAN)
    # x times something that vanishes: -inf times 0 is left to the libraries.
    soft = given(-200.0, -30.0, -8.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 8.0, 30.0, 200.0, INF, NAN)
    cases = [op(_ANY) for op in (negative, absolute, sqrt, reciprocal, relu, leaky_relu)]
    cases += [op(steep) for op in (exp, sigmoid, tanh, softplus, elu, erf)]
    cases += [
        silu(soft),
        gelu(soft).unlike_torch("gives NaN at infinity"),
        step(_ANY).unlike_torch("heaviside gives 0 for NaN"),
        square(given(0.0, -0.0, NAN, INF, -INF, 1e25, -3.0)),
        gelu(soft, approximate="tanh"),
        log(given(0.0, -0.0, 1e-45, 1e-40, 1e-30, 0.999, 1.0, 1.001, 1e30, INF, NAN, -1.0, -INF)),
        sin(given(0.0, 1e-5, 3.14159265, 100.0, 12345.678, 1e6, NAN, INF, -INF)),
        cos(given(0.0, 1e-5, 1.57079633, 100.0, 12345.678, 1e6, NAN, INF, -INF)),
        exp(uniform(999, low=-87, high=88)),
        log(uniform(999, low=1e-3, high=1e3)),
        tanh(uniform(999, low=-10, high=10)),
        sigmoid(uniform(999, low=-80, high=80)),
        erf(uniform(999, low=-4, high=4)),
        gelu(uniform(999, low=-6, high=6)),
        softplus(uniform(999, low=-80, high=80)),
        sin(uniform(999, low=-1000, high=1000)),
        maximum(given(NAN, 1.0, NAN, INF, -INF, 0.0), given(1.0, NAN, NAN, -INF, INF, 0.0)),
        minimum(given(NAN, 1.0, NAN, INF, -INF, 0.0), given(1.0, NAN, NAN, -INF, INF, 0.0)),
        divide(given(1.0, -1.0, 0.0, INF, NAN, 1.0), given(0.0, 0.0, 0.0, INF, 1.0, INF)),
        power(
            given(0.0, 0.0, 2.0, -2.0, -2.0, -2.0, INF, NAN, 1.0, 1e20),
            given(0.0, 2.0, 0.5, 2.0, 3.0, 0.5, -1.0, 0.0, NAN, 2.0),
        ),
        where(given(NAN, 0.0, -0.0, 1.0, INF), normal(5), sprinkled(5)),
        clip(_ANY, min=-1.0, max=1.0),
    ]
    return cases


_QUOTIENTS = given(7.0, -7.0, 7.0, -7.0, 6.0, 0.0, -0.0, 1.0, -1.0, INF, 1.0, NAN, 1e20)
_DIVISORS = given(2.0, 2.0, -2.0, -2.0, 3.0, 5.0, 5.0, 0.0, 0.0, 2.0, INF, 1.0, 3.0)


def _option_cases() -> list[Case]:
    x = normal(3, 4, 11)
    return [
        leaky_relu(x, negative_slope=0.2).grad(),
        leaky_relu(x, negative_slope=0.0).grad(),
        leaky_relu(x, negative_slope=1.5).grad(),
        elu(x, alpha=0.3).grad(),
        softplus(x, beta=2.0, threshold=1.0).grad(),
        softplus(x, beta=-0.5).grad(),
        elu(x, alpha=0.0),
        elu(uniform(999, low=-1e-3, high=0)),
        gelu(x, approximate="tanh").grad(),
        gelu(normal(5, 33).laid_out("reversed"), approximate="tanh").grad(),
        prelu(x, given(0.25)).grad(),
        prelu(x, normal(4)).grad(),
        prelu(normal(2, 3), normal(3)).grad(),
        prelu(normal(0, 3, 2), normal(3)),
        clip(x, min=-0.5, max=0.5).grad(),
        clip(x, min=0.1).grad(),
        clip(x, max=0.1).grad(),
        clip(x).unlike_torch("refuses clamp without bounds"),
        clip(normal(5, 33).laid_out("F"), min=0.0, max=0.0),
        clip(normal(0, 3), min=0.0),
        clip(x, min=0.5, max=-0.5).grad().called("limits crossed"),
        clip(_ANY, min=NAN),
        clip(x, normal(4, 1), uniform(11, low=0.5, high=2)).grad(),
        clip(x, normal(4, 1), normal(11)).grad().called("some limits crossed"),
        clip(normal(4, 1), normal(3, 1, 11)).grad(),
        clip(_ANY, given(NAN), given(1.0)),
        leaky_relu(x, negative_slope=-0.2).grad(),
        elu(x, alpha=-0.5).grad(),
        prelu(x, given(-0.25)).grad(),
        prelu(x, given(0.5, shape=())).grad(),
        add(x, normal(11), alpha=2).grad(),
        add(x, normal(11), alpha=-0.5).grad(),
        subtract(x, normal(11), alpha=3).grad(),
        divide(_QUOTIENTS, _DIVISORS, rounding_mode="floor").exact(),
        divide(_QUOTIENTS, _DIVISORS, rounding_mode="trunc").exact(),
        divide(normal(4, 17), normal(17), rounding_mode="floor").exact(),
        divide(normal(4, 17), normal(17), rounding_mode="trunc").exact(),
    ]


def _binary_cases() -> list[Case]:
    pairs = [
        ((), ()),
        ((17,), (17,)),
        ((3, 1, 5), (4, 1)),
        ((4, 5), (5,)),
        ((5,), (4, 5)),
        ((4, 1), (1, 6)),
        ((), (3, 4)),
        ((0, 3), (3,)),
        ((2, 3), ()),
    ]
    cases = []
    for op in BINARY:
        for a, b in pairs:
            cases.append(op(_domain(op, *a), _domain(op, *b)).grad())
        cases.append(op(_domain(op, 6, 33).laid_out("F"), _domain(op, 6, 33)).grad())
        case = op(_domain(op, 61, 701), _domain(op, 701)).called("two threads")
        cases.append(case.grad())
    layouts = [name for name in LAYOUTS if name != "C"]
    for op in (add, multiply):
        for size in (1, 2, 15, 16, 31, 33, 64, 65):
            cases.append(op(integers(size), integers(size)).exact())
        for left, right in zip(layouts, layouts[1:] + layouts[:1], strict=True):
            x, y = integers(5, 33).laid_out(left), integers(5, 33).laid_out(right)
            cases.append(op(x, y).exact())
        cases.append(op(integers(2, 3, 1, 2, 1, 2, 1, 3), integers(3, 2, 1, 2, 4, 1)).exact())
        cases.append(op(sprinkled(7, 33), normal(33)))
        cases.append(op(normal(33, 1), normal(1, 1)).grad())
    cases += [
        subtract(integers(9, 33), integers(9, 1)).exact(),
        maximum(integers(9, 33), integers(33)).exact(),
        minimum(integers(9, 33), integers(33)).exact(),
        power(normal(4, 5), given(2.0, shape=())).grad(0),
        power(normal(4, 5), given(3.0, shape=())).grad(0),
        where(integers(5, 7), normal(5, 7), normal(5, 7)).grad(1, 2),
        where(integers(7), normal(5, 1), normal()).grad(1, 2),
        where(integers(5, 33).laid_out("F"), integers(33), integers(5, 1)).exact(),
        where(integers(0, 4), integers(4), integers(0, 4)),
    ]
    return cases


def _bench_cases() -> list[Case]:
    # 8 MB a buffer: the working set stays in a large last-level cache, not in the private ones.
    large = (2048, 1024)
    return [
        add(normal(*large), normal(*large)).bench(quick=True),
        add(normal(*large), normal(1024)).bench(),
        multiply(normal(256), normal(256)).bench(),
        relu(normal(*large)).bench(),
        relu(normal(*large)).grad().bench(),
        exp(normal(*large)).bench(),
        tanh(normal(*large)).bench(quick=True),
        sigmoid(normal(*large)).bench(),
        gelu(normal(*large)).bench(),
        gelu(normal(*large)).grad().bench(),
        relu(normal(2048, 1024).laid_out("F")).bench(),
        # 64 MB: from memory and back.
        add(normal(16384, 1024), normal(16384, 1024)).bench(),
        tanh(normal(16384, 1024)).bench(),
        gelu(normal(16384, 1024)).bench(),
    ]


CASES: list[Case] = [
    *_unary_cases(),
    *_value_cases(),
    *_option_cases(),
    *_binary_cases(),
    *_bench_cases(),
]
