"""Special functions, with the names of ``torch.special``.

Those of the gamma and Bessel families are SciPy's (the extra ``boosting`` brings it), with gradients; the
others need nothing beyond einkorn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import as_array, beside, near
from einkorn._tensor import Tensor
from einkorn.creation import as_tensor
from einkorn.errors import ArgumentError

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "mvlgamma",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]


def _floats(input: Any) -> Tensor:
    t = as_tensor(input)
    return t if t.is_floating_point() else t.to(np.float32)


def _scipy() -> Any:
    from einkorn._extras import need

    return need("scipy.special", "special")


def _of_scipy(name: str, input: Any, slope: Callable[[Tensor, Tensor], Any], *first: Any) -> Tensor:
    """A function of SciPy; ``slope(x, value)`` is its derivative, written with operations."""
    from einkorn.ops._road import result, unwrap

    x = _floats(input)
    a = unwrap(x, name, "input")
    with np.errstate(all="ignore"):
        out = beside(a, np.asarray(getattr(_scipy(), name)(*first, near(a)), a.dtype))

    def rule(g: Any, x: Any, out: Any) -> tuple[Any]:
        recorded = isinstance(g, Tensor)
        values = [v if recorded else Tensor._wrap(v, False, None) for v in (g, x, out)]
        gradient = ops.multiply(values[0], slope(values[1], values[2]))
        return (gradient if recorded else gradient._data,)

    kept: Tensor = result(out, (x,), rule, (a, out))
    return kept


def gammaln(input: Any) -> Tensor:
    """The logarithm of the gamma function's absolute value; infinite at both infinities."""
    out = _of_scipy("gammaln", input, lambda x, _: psi(x))
    x = _floats(input)._data
    np.copyto(out._data, np.inf, where=np.isneginf(x))
    with np.errstate(all="ignore"):  # SciPy's is infinite there
        np.copyto(out._data, -np.log(np.abs(x)), where=(np.abs(x) < 1e-300) & (x != 0), casting="same_kind")
    return out


def psi(input: Any) -> Tensor:
    """The slope of the logarithm of the gamma function; NaN at negative whole numbers."""
    return _of_scipy("psi", input, lambda x, _: polygamma(1, x))


lgamma, digamma = gammaln, psi


def polygamma(n: int, input: Any) -> Tensor:
    """The n-th derivative of :func:`psi`."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ArgumentError(f"polygamma: n is {n!r}, expected a whole number of at least 0")
    if n == 0:
        return psi(input)
    return _of_scipy("polygamma", input, lambda x, _: polygamma(n + 1, x), n)


def multigammaln(input: Any, p: int) -> Tensor:
    """The logarithm of the gamma function of ``p`` dimensions."""
    if isinstance(p, bool) or not isinstance(p, int) or p < 1:
        raise ArgumentError(f"multigammaln: p is {p!r}, expected a whole number of at least 1")
    x = _floats(input)
    total: Any = p * (p - 1) / 4 * math.log(math.pi)
    for i in range(p):
        total = gammaln(x - i / 2) + total
    return total


mvlgamma = multigammaln


def i0(input: Any) -> Tensor:
    """The modified Bessel function of order 0."""
    return _of_scipy("i0", input, lambda x, _: i1(x))


def i0e(input: Any) -> Tensor:
    """``i0(x) * exp(-|x|)``."""
    return _of_scipy("i0e", input, lambda x, out: i1e(x) - x.sign() * out)


def i1(input: Any) -> Tensor:
    """The modified Bessel function of order 1."""
    return _of_scipy(
        "i1", input, lambda x, out: ops.where(x == 0, 0.5, i0(x) - out / ops.where(x == 0, 1.0, x))
    )


def i1e(input: Any) -> Tensor:
    """``i1(x) * exp(-|x|)``."""

    def slope(x: Tensor, out: Tensor) -> Any:
        whole = ops.where(x == 0, 1.0, x)
        return ops.where(x == 0, 0.5, i0e(x) - out * (x.sign() + ops.reciprocal(whole)))

    return _of_scipy("i1e", input, slope)


def erfcx(input: Any) -> Tensor:
    """``exp(x**2) * erfc(x)``."""
    return _of_scipy("erfcx", input, lambda x, out: x * out * 2 - 2 / math.sqrt(math.pi))


def ndtr(input: Any) -> Tensor:
    """The share of the normal distribution below."""
    return erfc(_floats(input) * -math.sqrt(0.5)) * 0.5


def log_ndtr(input: Any) -> Tensor:
    """The logarithm of :func:`ndtr`, far below too."""

    def slope(x: Tensor, out: Tensor) -> Any:
        return ops.exp(x * x * -0.5 - out) * (1 / math.sqrt(2 * math.pi))

    return _of_scipy("log_ndtr", input, slope)


def ndtri(input: Any) -> Tensor:
    """The number below which this share of the normal distribution lies."""
    return _of_scipy("ndtri", input, lambda x, out: ops.exp(out * out * 0.5) * math.sqrt(2 * math.pi))


def entr(input: Any) -> Tensor:
    """``-x * log(x)``; 0 at 0, -inf below."""
    from einkorn.ops._road import result, unwrap

    x = _floats(input)
    a = unwrap(x, "entr", "input")
    with np.errstate(all="ignore"):
        out = np.where(a > 0, -a * np.log(a), np.where(a == 0, 0, np.where(a < 0, -np.inf, a)))

    def rule(g: Any, x: Any) -> tuple[Any]:
        return (ops.multiply(g, ops.subtract(-1.0, ops.log(x))),)

    kept: Tensor = result(as_array(out, a.dtype), (x,), rule, (a,))
    return kept


def xlog1py(input: Any, other: Any) -> Any:
    """``input * log(1 + other)``, 0 where input is 0 and other is no NaN."""
    from einkorn.ops._promotion import alike

    x, y = alike(_tensor_or_number(input), _tensor_or_number(other))
    value = ops.log1p(y) if isinstance(y, Tensor) else math.log1p(y)
    product = ops.multiply(x, value)
    still, plain = getattr(x, "_data", x) == 0, getattr(y, "_data", y)
    return ops.where(np.logical_and(still, np.logical_not(np.isnan(plain))), 0.0, product)


def xlogy(input: Any, other: Any) -> Any:
    """``input * log(other)``, 0 where input is 0 and other is no NaN."""
    return ops.xlogy(_tensor_or_number(input), _tensor_or_number(other))


def _tensor_or_number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else _floats(value)


# --- those that einkorn has under another roof ------------------------------------------------


def _method(name: str) -> Callable[..., Tensor]:
    def function(input: Any, *args: Any, **options: Any) -> Tensor:
        out: Tensor = getattr(as_tensor(input), name)(*args, **options)
        return out

    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(Tensor, name).__doc__
    return function


erf, erfc, erfinv = _method("erf"), _method("erfc"), _method("erfinv")
exp2, expm1, log1p = _method("exp2"), _method("expm1"), _method("log1p")
expit, logit, sinc = _method("sigmoid"), _method("logit"), _method("sinc")
logsumexp, softmax, log_softmax = _method("logsumexp"), _method("softmax"), _method("log_softmax")
round = _method("round")
