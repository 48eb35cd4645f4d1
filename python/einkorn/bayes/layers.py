"""Layers whose weights are distributions, learned by backpropagation (Blundell et al. 2015).

Each weight has a normal distribution of its own, N(mu, sigma^2) with sigma = softplus(rho). The loss is the
data's plus the Kullback-Leibler divergence of all weights from their prior, shared out over the rows.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn import init
from einkorn.nn._check import integer, sizes
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops._options import flag, number

__all__ = ["BayesConv2d", "BayesLinear", "Normal", "ScaleMixture", "kl_loss", "set_kl_weight"]

_SMALLEST = 1e-12  # a variance whose square root has a finite slope


class Normal(NamedTuple):
    """The prior N(0, sigma^2), from which the divergence is known in closed form.

    Parameters
    ----------
    sigma : float, default 1
    """

    sigma: float = 1.0

    def divergence(self, mean: Any, sigma: Any) -> Any:
        """KL(N(mean, sigma^2) || prior), summed over all weights:
        ln(s / sigma) + (sigma^2 + mean^2) / (2 s^2) - 1/2 each."""
        squares = ops.add(ops.multiply(sigma, sigma), ops.multiply(mean, mean))
        each = ops.subtract(ops.multiply(squares, 0.5 / self.sigma**2), ops.log(sigma))
        return ops.add(ops.sum(each), float(mean._data.size) * (math.log(self.sigma) - 0.5))


class ScaleMixture(NamedTuple):
    """The prior pi N(0, sigma1^2) + (1 - pi) N(0, sigma2^2) (Blundell et al. 2015, equation 7).

    The divergence is estimated with one draw of the weights.
    """

    pi: float = 0.5
    sigma1: float = 1.0
    sigma2: float = 0.0025

    def divergence(self, mean: Any, sigma: Any) -> Any:
        """An estimate of KL(N(mean, sigma^2) || prior) without bias: ln q(w) - ln p(w) of weights w of q."""
        noise = ops.normal(mean.shape, dtype=mean._data.dtype)
        w = ops.add(mean, ops.multiply(sigma, noise))
        squares = ops.multiply(w, w)
        parts = [
            ops.add(ops.multiply(squares, -0.5 / s**2), math.log(share) - math.log(s))
            for share, s in ((self.pi, self.sigma1), (1 - self.pi, self.sigma2))
        ]
        own = ops.add(ops.log(sigma), 0.5 * ops.multiply(noise, noise))  # -ln q(w), as ln p without 2 pi
        return ops.subtract(0.0, ops.sum(ops.add(ops.logaddexp(*parts), own)))


_PRIOR = Normal(1.0)


class _Divergence:
    """What ``fit`` adds to the loss for a layer: its divergence times its share."""

    of_layer = True

    def __init__(self, layer: _Bayes) -> None:
        self.layer = layer

    def __call__(self, _: Any) -> Any:
        return ops.multiply(self.layer.kl_loss(), self.layer.kl_weight)


class _Bayes(Module):
    """Weights and biases with distributions."""

    weight_mean: Parameter
    weight_rho: Parameter
    bias_mean: Parameter | None
    bias_rho: Parameter | None

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool,
        prior: Any,
        initial_sigma: float,
        local_reparameterization: bool,
        kl_weight: float,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        numbers = prior if isinstance(prior, (Normal, ScaleMixture)) else (-1.0,)
        if not all(_is_number(value) and 0 < value < math.inf for value in numbers) or (
            isinstance(prior, ScaleMixture) and prior.pi >= 1
        ):
            raise ArgumentError(
                f"{name}: prior is {prior!r}, expected Normal or ScaleMixture, with numbers above 0 and pi "
                "below 1"
            )
        if not 0 < number(name, "initial_sigma", initial_sigma) < math.inf:
            raise ArgumentError(f"{name}: initial_sigma is {initial_sigma!r}, expected a number above 0")
        if not 0 <= number(name, "kl_weight", kl_weight) < math.inf:
            raise ArgumentError(f"{name}: kl_weight is {kl_weight!r}, expected a number >= 0")
        bias = flag(name, "bias", bias)
        self.prior = prior
        self.initial_sigma = float(initial_sigma)
        self.local_reparameterization = flag(name, "local_reparameterization", local_reparameterization)
        self.weight_mean = blank(*shape)
        self.weight_rho = blank(*shape)
        self.bias_mean = blank(shape[0]) if bias else None
        self.bias_rho = blank(shape[0]) if bias else None
        self.kl_weight = float(kl_weight)
        self.reset_parameters()

    @property
    def kl_weight(self) -> float:
        """The share of the divergence that ``fit`` adds to the loss; 0 adds nothing."""
        return self._kl_weight

    @kl_weight.setter
    def kl_weight(self, value: float) -> None:
        self._kl_weight = float(value)
        self.__dict__["_regularizers"] = {"weight_mean": _Divergence(self)} if value else {}

    def reset_parameters(self) -> None:
        """Means as the weights of a plain layer begin, and sigma ``initial_sigma``."""
        init.kaiming_uniform_(self.weight_mean, a=math.sqrt(5))
        rho = math.log(math.expm1(self.initial_sigma))
        init.constant_(self.weight_rho, rho)
        if self.bias_mean is not None and self.bias_rho is not None:
            bound = 1 / math.sqrt(max(1, int(np.prod(self.weight_mean.shape[1:]))))
            init.uniform_(self.bias_mean, -bound, bound)
            init.constant_(self.bias_rho, rho)

    def kl_loss(self) -> Any:
        """The divergence of all weights and biases from the prior, a Tensor of no dimension, in nats."""
        value = self.prior.divergence(self.weight_mean, ops.softplus(self.weight_rho))
        if self.bias_mean is not None:
            value = ops.add(value, self.prior.divergence(self.bias_mean, ops.softplus(self.bias_rho)))
        return value

    def _apply(self, input: Any, weight: Any, bias: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _apply()")

    def forward(self, input: Any) -> Any:
        """With the means in evaluation mode; while training, or within ``bayes.sampling``, with a draw."""
        if not self.training:
            return self._apply(input, self.weight_mean, self.bias_mean)
        sigma = ops.softplus(self.weight_rho)
        bias_sigma = None if self.bias_mean is None else ops.softplus(self.bias_rho)
        if self.local_reparameterization:
            mean = self._apply(input, self.weight_mean, self.bias_mean)
            variance = self._apply(
                ops.multiply(input, input),
                ops.multiply(sigma, sigma),
                None if bias_sigma is None else ops.multiply(bias_sigma, bias_sigma),
            )
            noise = ops.normal(mean.shape, dtype=mean.dtype)
            return ops.add(mean, ops.multiply(ops.sqrt(ops.add(variance, _SMALLEST)), noise))
        weight = _drawn(self.weight_mean, sigma)
        return self._apply(input, weight, None if bias_sigma is None else _drawn(self.bias_mean, bias_sigma))


def _drawn(mean: Any, sigma: Any) -> Any:
    return ops.add(mean, ops.multiply(sigma, ops.normal(mean.shape, dtype=mean._data.dtype)))


_COMMON = """    prior : Normal or ScaleMixture, keyword-only, default Normal(1.0)
    initial_sigma : float, keyword-only, default 0.05
        The standard deviation that every weight begins with.
    local_reparameterization : bool, keyword-only, default True
        Draw the layer's outputs, for each row anew, instead of one set of weights for the whole batch (Kingma
        et al. 2015): the same distribution for a row, and gradients of a far smaller variance.
    kl_weight : float, keyword-only, default 0
        The share of the divergence that ``fit`` adds to the loss: one over the number of training rows, as
        ``set_kl_weight`` sets it in all layers of a model. 0 adds nothing.

    Attributes
    ----------
    weight_mean, weight_rho : Parameter
        Of the shape of a plain layer's weight; sigma is softplus(rho).
    bias_mean, bias_rho : Parameter or None
    kl_weight : float
"""


class BayesLinear(_Bayes):
    __doc__ = (
        """A fully connected layer whose weights are normal distributions (Blundell et al. 2015).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
"""
        + _COMMON
    )

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        prior: Any = _PRIOR,
        initial_sigma: float = 0.05,
        local_reparameterization: bool = True,
        kl_weight: float = 0.0,
    ) -> None:
        self_in = integer(in_features, "BayesLinear", "in_features")
        self_out = integer(out_features, "BayesLinear", "out_features")
        super().__init__((self_out, self_in), bias, prior, initial_sigma, local_reparameterization, kl_weight)
        self.in_features, self.out_features = self_in, self_out

    def _apply(self, input: Any, weight: Any, bias: Any) -> Any:
        return ops.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, prior={self.prior}"


class BayesConv2d(_Bayes):
    __doc__ = (
        """A two-dimensional convolution whose weights are normal distributions (Blundell et al. 2015).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or pair of int
    stride, padding, dilation : int or pair of int, default 1, 0, 1
        ``padding`` may be "same" or "valid".
    groups : int, default 1
    bias : bool, default True
"""
        + _COMMON
    )

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        prior: Any = _PRIOR,
        initial_sigma: float = 0.05,
        local_reparameterization: bool = True,
        kl_weight: float = 0.0,
    ) -> None:
        name = "BayesConv2d"
        first, second = (
            integer(value, name, key)
            for key, value in (("out_channels", out_channels), ("in_channels", in_channels))
        )
        parts = integer(groups, name, "groups")
        if first % parts or second % parts:
            raise ArgumentError(
                f"{name}: channels are {second} and {first}, expected multiples of {parts} groups"
            )
        kernel = sizes(kernel_size, name, "kernel_size", 2)
        shape = (first, second // parts, *kernel)
        super().__init__(shape, bias, prior, initial_sigma, local_reparameterization, kl_weight)
        self.in_channels, self.out_channels, self.kernel_size, self.groups = second, first, kernel, parts
        self.stride = sizes(stride, name, "stride", 2)
        self.padding = padding if isinstance(padding, str) else sizes(padding, name, "padding", 2, 0)
        self.dilation = sizes(dilation, name, "dilation", 2)

    def _apply(self, input: Any, weight: Any, bias: Any) -> Any:
        return ops.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{text}, stride={self.stride}, padding={self.padding}, prior={self.prior}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _layers(model: Any, op: str) -> list[_Bayes]:
    if not isinstance(model, Module):
        raise ArgumentError(f"{op}: model is {type(model).__name__}, expected a Module")
    found = [module for module in model.modules() if isinstance(module, _Bayes)]
    if not found:
        raise ArgumentError(f"{op}: the model has no Bayesian layer, expected BayesLinear or BayesConv2d")
    return found


def kl_loss(model: Any) -> Any:
    """The divergence of all Bayesian layers from their priors, a Tensor of no dimension, in nats.

    In a loop of your own the loss of a batch is its mean loss plus this over the number of training rows.
    With ``fit``, :func:`set_kl_weight` does it.

    Raises
    ------
    ArgumentError
        The model has no such layer.
    """
    value: Any = None
    for layer in _layers(model, "kl_loss"):
        term = layer.kl_loss()
        value = term if value is None else ops.add(value, term)
    return value


def set_kl_weight(model: Any, weight: float) -> None:
    """Let ``fit`` add this share of the divergence of all Bayesian layers to the loss.

    Parameters
    ----------
    model : Module
    weight : float
        One over the number of training rows is Bayes' rule; less makes the prior weaker.

    Raises
    ------
    ArgumentError
        The weight is negative, or the model has no such layer.
    """
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
        raise ArgumentError(f"set_kl_weight: weight is {weight!r}, expected a number >= 0")
    for layer in _layers(model, "set_kl_weight"):
        layer.kl_weight = weight
