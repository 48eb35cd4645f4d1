"""Maps of a class's gradient with respect to the pixels, and methods that repeat or change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.explain._arguments import filled, integer, positive
from einkorn.explain._calls import (
    chosen_sum,
    frozen,
    input_of,
    layers_of,
    looked,
    scores_of,
    targets_of,
)
from einkorn.function import Function
from einkorn.nn import Module, ReLU, ReLU6

__all__ = [
    "deconvnet",
    "gradients",
    "guided_backpropagation",
    "integrated_gradients",
    "occlusion",
    "smoothgrad",
]


def gradients(model: Module, x: Any, target: Any = None) -> np.ndarray:
    """The gradient of the class's score with respect to the pixels (Simonyan et al. 2013).

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    x : array or Tensor [n, channels, height, width]
        As the model takes it.
    target : int or n ints, optional
        The class; None: that of the highest score.

    Returns
    -------
    array of x's shape
    """
    return _gradient(model, input_of(model, x, "gradients"), target, "gradients")


def _gradient(model: Module, images: np.ndarray, target: Any, op: str) -> np.ndarray:
    with frozen(model):
        pixels = Tensor(images, requires_grad=True)
        scores = scores_of(model, pixels, op)
        chosen_sum(scores, targets_of(target, scores, op)).backward()
    assert pixels.grad is not None
    return pixels.grad.numpy()


def _class_of(model: Module, images: np.ndarray, target: Any, op: str) -> np.ndarray:
    """The class that all repetitions ask for: that of the image itself."""
    with frozen(model):
        return targets_of(target, scores_of(model, Tensor(images), op), op)


def smoothgrad(
    model: Module, x: Any, target: Any = None, *, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> np.ndarray:
    """The mean of :func:`gradients` over noisy copies of the image (Smilkov et al. 2017).

    Parameters
    ----------
    model, x, target
        As :func:`gradients`; the class is chosen once, for the image without noise.
    samples : int, keyword-only, default 25
    noise : float, keyword-only, default 0.15
        Standard deviation, as a share of the image's range.
    seed : int, keyword-only, default 0

    Returns
    -------
    array of x's shape
    """
    op = "smoothgrad"
    samples, noise = integer(op, "samples", samples, 1), positive(op, "noise", noise, zero=True)
    images = input_of(model, x, op)
    chosen = _class_of(model, images, target, op)
    rng = np.random.default_rng(seed)
    spread = (images.max((1, 2, 3), keepdims=True) - images.min((1, 2, 3), keepdims=True)) * noise
    total = np.zeros_like(images)
    for _ in range(samples):
        total += _gradient(
            model, (images + rng.normal(size=images.shape) * spread).astype(images.dtype), chosen, op
        )
    return total / samples


def integrated_gradients(
    model: Module, x: Any, target: Any = None, *, baseline: Any = 0.0, steps: int = 50
) -> np.ndarray:
    """The gradient's integral on the way from a baseline to the image (Sundararajan et al. 2017).

    Parameters
    ----------
    model, x, target
        As :func:`gradients`.
    baseline : float or array of x's shape, keyword-only, default 0
        What stands for nothing.
    steps : int, keyword-only, default 50
        Midpoints of the sum that stands for the integral.

    Returns
    -------
    array of x's shape
        They add up to the score of the image less that of the baseline, but for the sum's error.
    """
    op = "integrated_gradients"
    steps = integer(op, "steps", steps, 1)
    images = input_of(model, x, op)
    start = filled(op, "baseline", baseline, images, images.shape)
    chosen = _class_of(model, images, target, op)
    total = np.zeros_like(images)
    for step in range(steps):
        share = images.dtype.type((step + 0.5) / steps)
        total += _gradient(model, start + (images - start) * share, chosen, op)
    return total / steps * (images - start)


def occlusion(
    model: Module, x: Any, target: Any = None, *, window: int = 8, stride: int = 4, value: float = 0.0
) -> np.ndarray:
    """How much the class's score falls when a square is covered (Zeiler and Fergus 2014).

    Parameters
    ----------
    model, x, target
        As :func:`gradients`.
    window, stride : int, keyword-only, default 8, 4
        The square's side and its step, in pixels.
    value : float, keyword-only, default 0
        What the square is filled with.

    Returns
    -------
    array [n, height, width]
        For each pixel the mean fall over the squares that cover it.
    """
    op = "occlusion"
    window, stride = integer(op, "window", window, 1), integer(op, "stride", stride, 1)
    if stride > window:
        raise ArgumentError(
            f"{op}: window is {window!r} and stride {stride!r}, expected 1 <= stride <= window"
        )
    images = input_of(model, x, op)
    chosen, (n, _, height, width) = _class_of(model, images, target, op), images.shape
    rows = np.arange(n)

    def score(batch: np.ndarray) -> np.ndarray:
        with frozen(model):
            return scores_of(model, Tensor(batch), op).numpy()[rows, chosen]

    whole = score(images)
    fall, times = np.zeros((n, height, width), images.dtype), np.zeros((height, width), images.dtype)
    for top in _places(height, window, stride):
        for left in _places(width, window, stride):
            covered = images.copy()
            square = np.s_[..., top : top + window, left : left + window]
            covered[square] = value
            fall[square] += (whole - score(covered))[:, None, None]
            times[square] += 1
    return fall / times


def _places(size: int, window: int, stride: int) -> list[int]:
    """Where squares begin: the last one reaches the edge."""
    last = max(size - window, 0)
    return sorted({*range(0, last + 1, stride), last})


class _Rule(Function):
    """ReLU whose gradient passes where it is positive itself, and, if guided, where the input was too."""

    @staticmethod
    def forward(ctx: Any, x: Any, guided: bool) -> Any:
        ctx.save_for_backward(x)
        ctx.guided = guided
        return ops.relu(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        passed = ops.relu(g)
        return (ops.where(ops.greater(x, 0.0), passed, 0.0) if ctx.guided else passed), None


@contextmanager
def _ruled(model: Module, guided: bool, op: str) -> Iterator[None]:
    """Every ReLU layer of the model with another gradient. A layer with a hook runs by itself, not fused."""
    layers = [module for module in model.modules() if type(module) in (ReLU, ReLU6)]
    if not layers:
        raise ArgumentError(f"{op}: the model has no ReLU layers, expected some")
    with ExitStack() as held:
        for layer in layers:
            rule = layer.register_forward_hook(lambda module, args, out: _Rule.apply(args[0], guided))
            held.callback(rule.remove)
        yield


def guided_backpropagation(
    model: Module, x: Any, target: Any = None, *, layer: Any = None, unit: int | None = None
) -> np.ndarray:
    """:func:`gradients` that pass a ReLU only where both they and its input are positive
    (Springenberg et al. 2014).

    Parameters
    ----------
    model, x, target
        As :func:`gradients` has them.
    layer : str or Module, keyword-only, optional
        In the place of a class's score: the strongest answer of one of its channels.
    unit : int, keyword-only, optional
        The channel; None: the one that answers most strongly to each image.

    Returns
    -------
    array of x's shape

    Raises
    ------
    ArgumentError
        The model has no ReLU layers (an activation that is an option of another layer is none), or both a
        class and a layer are given.
    """
    return _sent_back(model, x, target, layer, unit, True, "guided_backpropagation")


def deconvnet(
    model: Module, x: Any, target: Any = None, *, layer: Any = None, unit: int | None = None
) -> np.ndarray:
    """:func:`gradients` that pass a ReLU where they are positive, whatever its input was (Zeiler and Fergus
    2014).

    Max-pooling sends them to where the maximum came from, which is the paper's unpooling with switches; the
    paper's pictures are of the strongest answer of a channel, which ``layer`` and ``unit`` choose.
    Arguments, result and errors as :func:`guided_backpropagation`.
    """
    return _sent_back(model, x, target, layer, unit, False, "deconvnet")


def _sent_back(
    model: Module, x: Any, target: Any, layer: Any, unit: int | None, guided: bool, op: str
) -> np.ndarray:
    images = input_of(model, x, op)
    if layer is None:
        if unit is not None:
            raise ArgumentError(f"{op}: unit is {unit!r} and layer None, expected a layer with it")
        chosen = _class_of(model, images, target, op)
        with _ruled(model, guided, op):
            return _gradient(model, images, chosen, op)
    if target is not None:
        raise ArgumentError(f"{op}: target is {target!r} with a layer, expected one of them")
    with _ruled(model, guided, op), frozen(model):
        pixels = Tensor(images, requires_grad=True)
        (maps,) = looked(model, pixels, layers_of(model, layer, op))
        answers = ops.flatten(maps, 2) if maps.ndim == 4 else ops.reshape(maps, (*maps.shape, 1))
        plain = answers.numpy()
        if unit is not None and not 0 <= unit < plain.shape[1]:
            raise ArgumentError(f"{op}: unit is {unit!r}, expected 0 to {plain.shape[1] - 1}")
        channel = plain.max(2).argmax(1) if unit is None else np.full(len(plain), unit)
        rows = np.arange(len(plain))
        pick = np.zeros_like(plain)
        pick[rows, channel, plain[rows, channel].argmax(1)] = 1
        ops.sum(ops.multiply(answers, pick)).backward()
    assert pixels.grad is not None
    return pixels.grad.numpy()
