"""Probability distributions, as ``torch.distributions`` has them: those that courses use.

Parameters are Tensors, arrays or numbers, which broadcast together to the *batch shape*. ``rsample`` lets
gradients pass to the parameters, ``log_prob`` to parameters and values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.creation import as_tensor, rand, randn
from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "Normal",
    "Uniform",
    "kl_divergence",
]


def _shape(sample_shape: Any) -> tuple[int, ...]:
    return (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)


def _floats(value: Any) -> Tensor:
    t = as_tensor(value)
    return t if t.is_floating_point() else t.to(np.float32)


class Distribution:
    """Base class.

    Attributes
    ----------
    batch_shape, event_shape : tuple of int
        Of the parameters together, and of one draw.
    """

    has_rsample = False

    def __init__(self, batch_shape: tuple[int, ...] = (), event_shape: tuple[int, ...] = ()) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)

    def _together(self, *parameters: Any) -> list[Tensor]:
        """The parameters, broadcast; their shape is the batch's."""
        found = list(ops.broadcast_tensors(*[_floats(p) for p in parameters]))
        Distribution.__init__(self, found[0].shape)
        return found

    def _full(self, sample_shape: Any) -> tuple[int, ...]:
        return (*_shape(sample_shape), *self.batch_shape, *self.event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients pass."""
        raise ArgumentError(f"{type(self).__name__} has no rsample: gradients do not pass through its draws")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, of the sample's, the batch's and the event's shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the probability, or its density, of values."""
        raise ArgumentError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Tensor:
        """The mean of ``-log_prob`` over draws."""
        raise ArgumentError(f"{type(self).__name__} has no entropy")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise ArgumentError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise ArgumentError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is not above a value."""
        raise ArgumentError(f"{type(self).__name__} has no cdf")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={self.batch_shape}, event_shape={self.event_shape})"


def _positive(name: str, parameter: str, value: Tensor) -> None:
    if not bool((value.detach() > 0).all()):
        raise ArgumentError(f"{name}: {parameter} holds a number that is not above 0")


class Normal(Distribution):
    """The normal distribution of mean ``loc`` and standard deviation ``scale``."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = self._together(loc, scale)
        _positive("Normal", "scale", self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * randn(self._full(sample_shape), dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        apart = (_floats(value) - self.loc) / self.scale
        return apart * apart * -0.5 - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        return self.scale.log() + (0.5 + 0.5 * math.log(2 * math.pi))

    def cdf(self, value: Any) -> Tensor:
        apart = (_floats(value) - self.loc) / self.scale
        return ops.erfc(apart * -math.sqrt(0.5)) * 0.5

    def icdf(self, value: Any) -> Tensor:
        """The number below which a share of the distribution lies."""
        return self.loc + self.scale * ops.erfinv(_floats(value) * 2 - 1) * math.sqrt(2)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale


class Laplace(Distribution):
    """The density that falls exponentially on both sides of ``loc``."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = self._together(loc, scale)
        _positive("Laplace", "scale", self.scale)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = rand(self._full(sample_shape), dtype=self.loc.dtype) - 0.5
        return self.loc - self.scale * u.sign() * ops.log1p(u.abs() * -2 + 2.0**-24)

    def log_prob(self, value: Any) -> Tensor:
        return -(self.scale * 2).log() - (_floats(value) - self.loc).abs() / self.scale

    def entropy(self) -> Tensor:
        return (self.scale * 2).log() + 1

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * 2


class Exponential(Distribution):
    """The density ``rate * exp(-rate * x)`` above 0."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = self._together(rate)
        _positive("Exponential", "rate", self.rate)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return -ops.log1p(-rand(self._full(sample_shape), dtype=self.rate.dtype)) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        return self.rate.log() - self.rate * _floats(value)

    def entropy(self) -> Tensor:
        return 1.0 - self.rate.log()

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.rate.pow(-2)


class Uniform(Distribution):
    """The even distribution from ``low`` to ``high``."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: Any = None) -> None:
        self.low, self.high = self._together(low, high)
        _positive("Uniform", "high - low", self.high - self.low)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.low + (self.high - self.low) * rand(self._full(sample_shape), dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Tensor:
        x = _floats(value)
        inside = (x >= self.low) & (x < self.high)
        return ops.where(inside, -(self.high - self.low).log(), -math.inf)

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()

    def cdf(self, value: Any) -> Tensor:
        return ((_floats(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).pow(2) / 12


def _one_of(name: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ArgumentError(
            f"{name}: expected one of probs and logits, got {'both' if logits is not None else 'none'}"
        )


class Bernoulli(Distribution):
    """1 with probability ``probs``, the sigmoid of ``logits``, else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        _one_of("Bernoulli", probs, logits)
        if probs is not None:
            (self.probs,) = self._together(probs)
            if not bool(((self.probs.detach() >= 0) & (self.probs.detach() <= 1)).all()):
                raise ArgumentError("Bernoulli: probs holds a number outside of 0 to 1")
            inner = self.probs.clamp(2.0**-23, 1 - 2.0**-23)
            self.logits = inner.log() - ops.log1p(-inner)
        else:
            (self.logits,) = self._together(logits)
            self.probs = self.logits.sigmoid()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            drawn = rand(self._full(sample_shape), dtype=self.probs.dtype)
            return (drawn < self.probs).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        x, logits = ops.broadcast_tensors(_floats(value), self.logits)
        return -ops.binary_cross_entropy_with_logits(logits, x, reduction="none")

    def entropy(self) -> Tensor:
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Categorical(Distribution):
    """One of the classes along the last axis, by ``probs``, which need not add up to 1, or ``logits``."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        _one_of("Categorical", probs, logits)
        given = _floats(logits if probs is None else probs)
        if given.dim() < 1:
            raise ShapeError(
                "Categorical: the parameter is a scalar, expected the classes along its last axis"
            )
        if probs is not None:
            if not bool((given.detach() >= 0).all()):
                raise ArgumentError("Categorical: probs holds a negative number")
            self.probs = given / given.sum(-1, keepdim=True)
            self.logits = self.probs.clamp(2.0**-23, 1 - 2.0**-23).log()
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.softmax(-1)
        super().__init__(given.shape[:-1])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, classes = _shape(sample_shape), self.probs.shape[-1]
        count = math.prod(shape)
        rows = self.probs.detach().reshape(-1, classes)
        drawn = ops.multinomial(rows, max(count, 1), True)
        return as_tensor(drawn).t()[:count].reshape(*shape, *self.batch_shape)

    def log_prob(self, value: Any) -> Tensor:
        index = as_tensor(value).long().unsqueeze(-1)
        shape = np.broadcast_shapes(index.shape[:-1], self.batch_shape)
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.probs * self.logits.clamp(min=float(np.finfo(np.float32).min))).sum(-1)


class Independent(Distribution):
    """Another distribution, the last axes of whose batch are one event: probabilities multiply along them.

    Parameters
    ----------
    base_distribution : Distribution
    reinterpreted_batch_ndims : int
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: Any = None
    ) -> None:
        shape = base_distribution.batch_shape
        if not 0 <= reinterpreted_batch_ndims <= len(shape):
            raise ArgumentError(
                f"Independent: reinterpreted_batch_ndims is {reinterpreted_batch_ndims} of {len(shape)}"
            )
        at = len(shape) - reinterpreted_batch_ndims
        super().__init__(shape[:at], shape[at:])
        self.base_dist, self._count = base_distribution, reinterpreted_batch_ndims

    def _sum(self, values: Tensor) -> Tensor:
        return values.sum(tuple(range(-self._count, 0))) if self._count else values

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._sum(self.base_dist.entropy())

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of ``log p(x) - log q(x)`` over draws of p.

    Of two normal, Bernoulli, categorical, exponential or even distributions, and independent ones of these.
    """
    if isinstance(p, Independent) and isinstance(q, Independent) and p._count == q._count:
        return p._sum(kl_divergence(p.base_dist, q.base_dist))
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale).pow(2)
        apart = ((p.loc - q.loc) / q.scale).pow(2)
        return (ratio + apart - 1 - ratio.log()) * 0.5
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        mean = p.probs
        return -p.entropy() + ops.softplus(-q.logits) * mean + ops.softplus(q.logits) * (1 - mean)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        found = (p.probs * (p.logits - q.logits)).sum(-1)
        return found
    if isinstance(p, Exponential) and isinstance(q, Exponential):
        ratio = q.rate / p.rate
        return ratio - 1 - ratio.log()
    if isinstance(p, Uniform) and isinstance(q, Uniform):
        found = ((q.high - q.low) / (p.high - p.low)).log()
        return ops.where(
            (q.low.detach() > p.low.detach()) | (q.high.detach() < p.high.detach()), math.inf, found
        )
    raise ArgumentError(
        f"kl_divergence: got {type(p).__name__} and {type(q).__name__}, which have no formula here"
    )
