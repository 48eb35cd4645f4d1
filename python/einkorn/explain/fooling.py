"""Images that fool a network, and images that it takes for a class."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.explain._arguments import filled, integer, limits, number, positive
from einkorn.explain._calls import (
    chosen_sum,
    frozen,
    input_of,
    layers_of,
    looked,
    scores_of,
    targets_of,
)
from einkorn.nn import Module

__all__ = ["activation_maximization", "fgsm", "fooling_image", "pgd"]


def _loss_gradient(model: Module, images: np.ndarray, labels: np.ndarray, op: str) -> np.ndarray:
    with frozen(model):
        pixels = Tensor(images, requires_grad=True)
        ops.cross_entropy(scores_of(model, pixels, op), labels, reduction="sum").backward()
    assert pixels.grad is not None
    return pixels.grad.numpy()


def fgsm(
    model: Module, x: Any, labels: Any, eps: float, *, targeted: bool = False, clip: Any = None
) -> np.ndarray:
    """One step of ``eps`` along the sign of the loss's gradient (Goodfellow et al. 2014).

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    x : array or Tensor [n, channels, height, width]
    labels : int or n ints
        The true classes, or, ``targeted``, those that the images shall be taken for.
    eps : float
        The greatest change of a pixel, in the model's own units.
    targeted : bool, keyword-only, default False
    clip : (low, high), keyword-only, optional
        Of pixels; each an array that broadcasts, or a number.

    Returns
    -------
    array of x's shape
    """
    return _climbed("fgsm", model, x, labels, eps, eps, 1, targeted, clip)


def pgd(
    model: Module,
    x: Any,
    labels: Any,
    eps: float,
    *,
    step: float | None = None,
    steps: int = 10,
    targeted: bool = False,
    clip: Any = None,
) -> np.ndarray:
    """Projected gradient descent (Madry et al. 2017): steps along the sign, at most ``eps`` from x.

    Parameters
    ----------
    model, x, labels, eps, targeted, clip
        As :func:`fgsm`.
    step : float, keyword-only, optional
        Default: 2.5 eps / steps.
    steps : int, keyword-only, default 10

    Returns
    -------
    array of x's shape
    """
    return _climbed("pgd", model, x, labels, eps, step, steps, targeted, clip)


def _climbed(
    op: str,
    model: Module,
    x: Any,
    labels: Any,
    eps: float,
    step: float | None,
    steps: int,
    targeted: bool,
    clip: Any,
) -> np.ndarray:
    eps, steps = positive(op, "eps", eps, zero=True), integer(op, "steps", steps, 1)
    step = 2.5 * eps / steps if step is None else positive(op, "step", step)
    images = input_of(model, x, op)
    clip = limits(op, clip, images)
    with frozen(model):
        chosen = targets_of(labels, scores_of(model, Tensor(images), op), op)
    length = images.dtype.type(-step if targeted else step)
    found = images
    for _ in range(steps):
        found = found + length * np.sign(_loss_gradient(model, found, chosen, op))
        found = np.clip(found, images - eps, images + eps).astype(images.dtype)
        found = found if clip is None else np.clip(found, *clip).astype(images.dtype)
    return found


def activation_maximization(
    model: Module,
    target: Any,
    shape: tuple[int, int, int] | None = None,
    *,
    steps: int = 100,
    rate: float = 0.1,
    decay: float = 1e-3,
    blur: float = 0.0,
    clip_norm: float = 0.0,
    clip_contribution: float = 0.0,
    jitter: int = 0,
    layer: Any = None,
    clip: Any = None,
    start: Any = None,
    seed: int = 0,
) -> np.ndarray:
    """An image whose score for a class is high, by gradient ascent (Simonyan et al. 2013; Yosinski et al.
    2015).

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    target : int or several
        One image is made for each class; with ``layer`` for each channel of it.
    shape : (channels, height, width), optional
        Default: the model's ``input_shape``.
    steps : int, keyword-only, default 100
    rate : float, keyword-only, default 0.1
        Length of a step, where the gradient of each image is divided by its root mean square.
    decay : float, keyword-only, default 1e-3
        Share of the image that is taken away after each step: the L2 regularizer.
    blur : float, keyword-only, default 0
        How far pixels go to the mean of their 3x3 neighbourhood after each step, from 0 to 1.
    clip_norm, clip_contribution : float, keyword-only, default 0
        Share of the pixels that becomes zero after each step: those of the smallest norm over channels, and
        those that add least to the score, pixel times gradient.
    jitter : int, keyword-only, default 0
        Pixels by which the image is rolled, at random, before each step and back after it.
    layer : str or Module, keyword-only, optional
        Whose mean over places is climbed in the place of the score.
    clip : (low, high), keyword-only, optional
        Limits of pixels.
    start : array, keyword-only, optional
        Where to begin; default: noise of deviation 0.1.
    seed : int, keyword-only, default 0

    Returns
    -------
    array [targets, channels, height, width]
        In the model's own units; ``model.preprocessing.restore`` makes pictures of them.
    """
    op = "activation_maximization"
    classes = np.atleast_1d(np.asarray(target))
    size = shape if shape is not None else getattr(model, "input_shape", None)
    if size is None:
        raise ArgumentError(f"{op}: shape is None, and the model has no input_shape")
    shares = (blur, decay, clip_norm, clip_contribution)
    steps, rate = integer(op, "steps", steps, 1), positive(op, "rate", rate)
    jitter = integer(op, "jitter", jitter, 0)
    if not all(0 <= number(op, "a share", share) <= 1 for share in shares) or decay == 1:
        raise ArgumentError(
            f"{op}: blur, decay, clip_norm, clip_contribution are {shares}, expected shares from 0 to 1"
        )
    rng = np.random.default_rng(seed)
    images = input_of(model, rng.normal(0, 0.1, (len(classes), *size)), op)
    if start is not None:
        images = filled(op, "start", start, images, images.shape).copy()
    clip = limits(op, clip, images)
    for _ in range(steps):
        roll = tuple(rng.integers(-jitter, jitter + 1, 2)) if jitter else (0, 0)
        images = np.roll(images, roll, (2, 3))
        g = _ascent(model, images, classes, layer, op)
        images = images + rate * g / (np.sqrt((g**2).mean((1, 2, 3), keepdims=True)) + 1e-12)
        if blur:
            near = np.asarray(ops.avg_pool2d(images.astype(g.dtype), 3, 1, 1, count_include_pad=False))
            images = images + blur * (near - images)
        images = images * (1 - decay)
        if clip_norm:
            images = _without_least(images, np.sqrt((images**2).sum(1)), clip_norm)
        if clip_contribution:
            images = _without_least(images, np.abs((images * g).sum(1)), clip_contribution)
        images = images if clip is None else np.clip(images, *clip)
        images = np.roll(images, tuple(-r for r in roll), (2, 3)).astype(g.dtype)
    return images


def _ascent(model: Module, images: np.ndarray, classes: np.ndarray, layer: Any, op: str) -> np.ndarray:
    """The gradient of each image's own score, or of the mean of its own channel."""
    with frozen(model):
        pixels = Tensor(images, requires_grad=True)
        if layer is None:
            scores = scores_of(model, pixels, op)
        else:
            (maps,) = looked(model, pixels, layers_of(model, layer, op))
            scores = ops.mean(ops.flatten(maps, 2), 2) if maps.ndim == 4 else maps
        chosen_sum(scores, targets_of(classes, scores, op)).backward()
    assert pixels.grad is not None
    return pixels.grad.numpy()


def _without_least(images: np.ndarray, worth: np.ndarray, share: float) -> np.ndarray:
    """The images without the pixels of the least worth [n, height, width]."""
    limit = np.quantile(worth.reshape(len(worth), -1), share, axis=1)[:, None, None]
    return images * (worth >= limit)[:, None]


def fooling_image(
    model: Module,
    x: Any,
    target: Any,
    *,
    confidence: float = 0.99,
    steps: int = 200,
    rate: float = 0.01,
    clip: Any = None,
) -> np.ndarray:
    """Images that a network takes for something else with certainty, close to where they began (Szegedy et
    al. 2013; Nguyen et al. 2015, who begin with noise).

    Each image goes along the gradient of the target's score until its probability is high enough.

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    x : array or Tensor [n, channels, height, width]
    target : int or n ints
        What they shall be taken for.
    confidence : float, keyword-only, default 0.99
        The probability at which an image is left alone.
    steps : int, keyword-only, default 200
        At most.
    rate : float, keyword-only, default 0.01
        Root mean square of a step over the pixels.
    clip : (low, high), keyword-only, optional

    Returns
    -------
    array of x's shape
    """
    op = "fooling_image"
    steps, rate = integer(op, "steps", steps, 1), positive(op, "rate", rate)
    if not 0 < number(op, "confidence", confidence) < 1:
        raise ArgumentError(f"{op}: confidence is {confidence!r}, expected a number between 0 and 1")
    images = input_of(model, x, op).copy()
    clip = limits(op, clip, images)
    with frozen(model):
        chosen = targets_of(target, scores_of(model, Tensor(images), op), op)
    for _ in range(steps):
        with frozen(model):
            pixels = Tensor(images, requires_grad=True)
            chances = ops.log_softmax(scores_of(model, pixels, op), 1)
            chosen_sum(chances, chosen).backward()
        unsure = np.exp(chances.numpy()[np.arange(len(images)), chosen]) < confidence
        if not unsure.any():
            break
        assert pixels.grad is not None
        g = pixels.grad.numpy()
        step = rate * g / (np.sqrt((g**2).mean((1, 2, 3), keepdims=True)) + 1e-12)
        images = (images + step * unsure[:, None, None, None]).astype(images.dtype)
        images = images if clip is None else np.clip(images, *clip).astype(images.dtype)
    return images
