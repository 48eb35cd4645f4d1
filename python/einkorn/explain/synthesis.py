"""Images made so that a network's inside is as wanted: inverted features, textures, styles, dreams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.explain._arguments import integer, limits, number, positive
from einkorn.explain._calls import frozen, input_of, layers_of, looked, scales_of, scores_of
from einkorn.nn import Module
from einkorn.nn.parameter import Parameter
from einkorn.optim import LBFGS, Adam

__all__ = [
    "Synthesis",
    "deep_dream",
    "feature_inversion",
    "gram_matrix",
    "model_inversion",
    "style_transfer",
    "texture_synthesis",
    "total_variation",
]


class Synthesis(NamedTuple):
    """Images that were made, and how far from the aim they were on the way.

    Attributes
    ----------
    images : array [n, channels, height, width]
        In the model's own units; ``model.preprocessing.restore`` makes pictures of them.
    losses : list of float
        Of each evaluation.
    """

    images: np.ndarray
    losses: list[float]


def gram_matrix(maps: Any) -> Any:
    """The products of all pairs of channels, averaged over places (Gatys et al. 2015).

    Parameters
    ----------
    maps : array or Tensor [n, K, h, w]

    Returns
    -------
    array or Tensor [n, K, K]
    """
    n, k, h, w = maps.shape
    rows = ops.reshape(maps, (n, k, h * w))
    return ops.multiply(ops.matmul(rows, ops.transpose(rows, 1, 2)), 1 / (h * w))


def total_variation(x: Any, *, beta: float = 2.0) -> Any:
    """The sum of ``(dx^2 + dy^2)^(beta / 2)`` over neighbouring pixels, over the number of images (Mahendran
    and Vedaldi 2015).

    Parameters
    ----------
    x : array or Tensor [n, channels, height, width]
    beta : float, keyword-only, default 2
        1 is the total variation proper; 2 has a gradient everywhere.

    Raises
    ------
    ShapeError
        x has other than four axes.
    """
    if np.ndim(x) != 4:
        raise ShapeError(f"total_variation: x has shape {np.shape(x)}, expected [n, channels, height, width]")
    down = ops.subtract(x[:, :, 1:, :-1], x[:, :, :-1, :-1])
    across = ops.subtract(x[:, :, :-1, 1:], x[:, :, :-1, :-1])
    square = ops.add(ops.square(down), ops.square(across))
    if beta != 2:
        square = ops.power(ops.add(square, 1e-8), beta / 2)
    return ops.multiply(ops.sum(square), 1 / max(x.shape[0], 1))


def _fallen(
    op: str,
    model: Module,
    start: np.ndarray,
    loss_of: Callable[[Any], Any],
    steps: int,
    optimizer: str,
    rate: float,
    clip: Any,
) -> Synthesis:
    """The images at the end of a descent."""
    if optimizer not in ("adam", "lbfgs"):
        raise ArgumentError(f"{op}: optimizer is {optimizer!r}, expected 'adam' or 'lbfgs'")
    steps, rate = integer(op, "steps", steps, 1), positive(op, "rate", rate)
    low, high = limits(op, clip, start) or (None, None)
    pixels = Parameter(start.copy())
    losses: list[float] = []
    descent: Any
    if optimizer == "lbfgs":
        descent = LBFGS([pixels], max_iter=steps, line_search_fn="strong_wolfe")
    else:
        descent = Adam([pixels], lr=rate)

    def closure() -> Any:
        descent.zero_grad()
        loss = loss_of(pixels)
        loss.backward()
        losses.append(float(loss.item()))
        return loss

    with frozen(model):
        if optimizer == "lbfgs":
            descent.step(closure)
        else:
            for _ in range(steps):
                closure()
                descent.step()
                if low is not None:
                    values = pixels.numpy()
                    np.clip(values, low, high, out=values)
        found = pixels.numpy().copy()
        if low is not None:
            found = np.clip(found, low, high)
    return Synthesis(found.astype(start.dtype), losses)


def _apart(one: Any, other: np.ndarray) -> Any:
    """Squared distance over the squared size of the second."""
    size = float((other.astype(np.float64) ** 2).sum())
    return ops.multiply(ops.sum(ops.square(ops.subtract(one, other))), 1 / max(size, 1e-12))


def _noise(shape: tuple[int, ...], like: np.ndarray, seed: int, spread: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, shape).astype(like.dtype)


def _begun(op: str, start: Any, model: Module, shape: tuple[int, ...], seed: int, like: np.ndarray) -> Any:
    if start is None:
        return _noise(shape, like, seed)
    begin = input_of(model, start, op)
    if begin.shape != shape:
        raise ShapeError(f"{op}: start has shape {begin.shape}, expected {shape}")
    return begin


def feature_inversion(
    model: Module,
    x: Any,
    layer: Any,
    *,
    variation: float = 1e-4,
    size: float = 1e-6,
    beta: float = 2.0,
    steps: int = 200,
    rate: float = 0.05,
    optimizer: str = "adam",
    clip: Any = None,
    start: Any = None,
    seed: int = 0,
) -> Synthesis:
    """Images that a layer sees as it sees x (Mahendran and Vedaldi 2015).

    The loss is the squared distance of the layer's outputs over their squared size, plus ``variation`` times
    the total variation, plus ``size`` times the sum of sixth powers of the pixels.

    Parameters
    ----------
    model : Module
    x : array or Tensor [n, channels, height, width]
    layer : str or Module
    variation, size : float, keyword-only, default 1e-4 and 1e-6
    beta : float, keyword-only, default 2
        Of :func:`total_variation`.
    steps : int, keyword-only, default 200
    rate : float, keyword-only, default 0.05
        Of Adam.
    optimizer : "adam" or "lbfgs", keyword-only
    clip : (low, high), keyword-only, optional
        Limits of pixels.
    start : array of x's shape, keyword-only, optional
        Default: noise of deviation 0.1.
    seed : int, keyword-only, default 0

    Returns
    -------
    Synthesis
    """
    op = "feature_inversion"
    images = input_of(model, x, op)
    chosen = layers_of(model, layer, op)
    with frozen(model), no_grad():
        wanted = [each.numpy().copy() for each in looked(model, Tensor(images), chosen)]

    def loss_of(pixels: Any) -> Any:
        total = ops.multiply(total_variation(pixels, beta=beta), variation)
        total = ops.add(total, ops.multiply(ops.sum(ops.power(pixels, 6.0)), size / max(len(images), 1)))
        for found, aim in zip(looked(model, pixels, chosen), wanted, strict=True):
            total = ops.add(total, _apart(found, aim))
        return total

    begin = _begun(op, start, model, images.shape, seed, images)
    return _fallen(op, model, begin, loss_of, steps, optimizer, rate, clip)


def texture_synthesis(
    model: Module,
    texture: Any,
    layers: Any = None,
    *,
    shape: tuple[int, int] | None = None,
    steps: int = 200,
    rate: float = 0.05,
    optimizer: str = "lbfgs",
    clip: Any = None,
    start: Any = None,
    seed: int = 0,
) -> Synthesis:
    """An image with the texture of another: equal Gram matrices (Gatys et al. 2015).

    The loss is, averaged over layers, the squared distance of the Gram matrices over their squared size.

    Parameters
    ----------
    model : Module
        Its average pooling, where it has some, makes smoother pictures than maxima do.
    texture : array or Tensor [1, channels, height, width]
    layers : str, Module or several, optional
        Default: the first convolution at each resolution.
    shape : (height, width), keyword-only, optional
        Of the result; default: that of the texture.
    steps, rate, optimizer, clip, start, seed
        As :func:`feature_inversion` has them; "lbfgs" is the default.

    Returns
    -------
    Synthesis
    """
    op = "texture_synthesis"
    image = input_of(model, texture, op)
    size = image.shape[2:] if shape is None else tuple(shape)
    begin = _begun(op, start, model, (1, image.shape[1], *size), seed, image)
    how = (steps, optimizer, rate, clip)
    return _styled(op, model, begin, image, layers, None, None, (0.0, 1.0, 0.0), how)


def style_transfer(
    model: Module,
    content: Any,
    style: Any,
    *,
    style_layers: Any = None,
    content_layers: Any = None,
    content_weight: float = 0.05,
    style_weight: float = 1.0,
    variation: float = 0.0,
    steps: int = 200,
    rate: float = 0.05,
    optimizer: str = "lbfgs",
    clip: Any = None,
    start: Any = None,
) -> Synthesis:
    """The content of one picture in the style of another (Gatys et al. 2016).

    ``content_weight`` times the squared distance of the content layers' outputs, plus ``style_weight`` times
    that of the style layers' Gram matrices, each over the squared size of what is wanted.

    Parameters
    ----------
    model : Module
        The paper's is VGG-19.
    content : array or Tensor [1, channels, height, width]
    style : array or Tensor [1, channels, height, width]
        Of any size.
    style_layers : str, Module or several, keyword-only, optional
        Default: the first convolution at each resolution.
    content_layers : str, Module or several, keyword-only, optional
        Default: the style layer before the last.
    content_weight, style_weight : float, keyword-only, default 0.05 and 1
    variation : float, keyword-only, default 0
        Weight of the total variation.
    steps : int, keyword-only, default 200
    rate : float, keyword-only, default 0.05
        Of Adam.
    optimizer : "lbfgs" or "adam", keyword-only
    clip : (low, high), keyword-only, optional
    start : array of the content's shape, keyword-only, optional
        Default: the content.

    Returns
    -------
    Synthesis
    """
    op = "style_transfer"
    image, painted = input_of(model, content, op), input_of(model, style, op)
    begin = image.copy() if start is None else _begun(op, start, model, image.shape, 0, image)
    weights = (content_weight, style_weight, variation)
    how = (steps, optimizer, rate, clip)
    return _styled(op, model, begin, painted, style_layers, content_layers, image, weights, how)


def _styled(
    op: str,
    model: Module,
    begin: np.ndarray,
    style: np.ndarray,
    style_layers: Any,
    content_layers: Any,
    content: np.ndarray | None,
    weights: tuple[float, float, float],
    how: tuple[int, str, float, Any],
) -> Synthesis:
    content_weight, style_weight, variation = weights
    if len(style) != 1 or len(begin) != 1:
        raise ShapeError(f"{op}: there are {len(begin)} and {len(style)} images, expected one of each")
    with frozen(model), no_grad():
        named = style_layers is not None
        painted = layers_of(model, style_layers, op) if named else scales_of(model, style, op)
        kept: list[Module] = []
        if content is not None:
            kept = painted[-2:][:1] if content_layers is None else layers_of(model, content_layers, op)
        grams = [gram_matrix(a).numpy().copy() for a in looked(model, Tensor(style), painted)]
        aims = [a.numpy().copy() for a in looked(model, Tensor(content), kept)] if kept else []

    def loss_of(pixels: Any) -> Any:
        seen = looked(model, pixels, [*painted, *kept])
        total: Any = ops.multiply(total_variation(pixels), variation)
        for found, aim in zip(seen, grams, strict=False):
            part = ops.multiply(_apart(gram_matrix(found), aim), style_weight / len(grams))
            total = ops.add(total, part)
        for found, aim in zip(seen[len(painted) :], aims, strict=True):
            total = ops.add(total, ops.multiply(_apart(found, aim), content_weight / len(aims)))
        return total

    return _fallen(op, model, begin, loss_of, *how)


def deep_dream(
    model: Module,
    x: Any,
    layer: Any,
    *,
    unit: int | None = None,
    octaves: int = 3,
    scale: float = 1.4,
    steps: int = 10,
    rate: float = 0.05,
    jitter: int = 8,
    clip: Any = None,
    seed: int = 0,
) -> np.ndarray:
    """An image in which the network sees more of what it sees already (Mordvintsev et al. 2015).

    Gradient ascent on the mean square of a layer, from a small copy of the image to its full size; the detail
    of each size is put back and what was dreamt before is kept.

    Parameters
    ----------
    model : Module
    x : array or Tensor [n, channels, height, width]
    layer : str or Module
    unit : int, keyword-only, optional
        One channel of the layer; its mean is climbed then.
    octaves : int, keyword-only, default 3
        Sizes.
    scale : float, keyword-only, default 1.4
        Of one size to the one before.
    steps : int, keyword-only, default 10
        At each size.
    rate : float, keyword-only, default 0.05
        Length of a step, where the gradient is divided by its mean absolute value.
    jitter : int, keyword-only, default 8
        Pixels by which the image is rolled, at random, before each step and back after it.
    clip : (low, high), keyword-only, optional
    seed : int, keyword-only, default 0

    Returns
    -------
    array of x's shape
    """
    op = "deep_dream"
    images = input_of(model, x, op)
    octaves, steps = integer(op, "octaves", octaves, 1), integer(op, "steps", steps, 1)
    jitter, rate = integer(op, "jitter", jitter, 0), positive(op, "rate", rate)
    if not 1 < number(op, "scale", scale) < np.inf:
        raise ArgumentError(f"{op}: scale is {scale!r}, expected a number above 1")
    clip = limits(op, clip, images[:, :, :1, :1]) if images.size else None
    chosen, rng = layers_of(model, layer, op), np.random.default_rng(seed)
    full = images.shape[2:]
    sizes = [tuple(max(1, round(s / scale**o)) for s in full) for o in reversed(range(octaves))]
    dreamt: Any = None
    for size in sizes:
        small = _resized(images, size)
        now = small if dreamt is None else small + _resized(dreamt, size)
        with frozen(model):
            for _ in range(steps):
                roll = tuple(int(r) for r in rng.integers(-jitter, jitter + 1, 2)) if jitter else (0, 0)
                now = _climbed(op, model, np.roll(now, roll, (2, 3)), chosen, unit, rate)
                now = np.roll(now, tuple(-r for r in roll), (2, 3))
                now = now if clip is None else np.clip(now, *clip)
        dreamt = now - small
    return np.ascontiguousarray(now, images.dtype)


def _climbed(op: str, model: Module, now: np.ndarray, layers: list[Module], unit: Any, rate: float) -> Any:
    pixels = Tensor(np.ascontiguousarray(now), requires_grad=True)
    (maps,) = looked(model, pixels, layers)
    if unit is None:
        ops.mean(ops.square(maps)).backward()
    elif not 0 <= unit < maps.shape[1]:
        raise ArgumentError(f"{op}: unit is {unit!r}, expected 0 to {maps.shape[1] - 1}")
    else:
        ops.mean(maps[:, unit]).backward()
    assert pixels.grad is not None
    g = pixels.grad.numpy()
    return (now + rate * g / (np.abs(g).mean((1, 2, 3), keepdims=True) + 1e-12)).astype(now.dtype)


def _resized(images: np.ndarray, size: Sequence[int]) -> np.ndarray:
    if images.shape[2:] == tuple(size):
        return images
    wide = ops.interpolate(np.ascontiguousarray(images), tuple(size), mode="bilinear", align_corners=False)
    return np.asarray(wide)


def model_inversion(
    model: Module,
    predictions: Any,
    shape: tuple[int, int, int] | None = None,
    *,
    variation: float = 1e-4,
    size: float = 1e-4,
    steps: int = 200,
    rate: float = 0.05,
    optimizer: str = "adam",
    clip: Any = None,
    start: Any = None,
    seed: int = 0,
) -> Synthesis:
    """Images for which a classifier answers as it did (Fredrikson et al. 2015).

    The loss is the cross-entropy between the answers, plus ``variation`` times the total variation, plus
    ``size`` times the mean square of the pixels.

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    predictions : array [n, classes]
        Probabilities: prediction vectors of images that are not known.
    shape : (channels, height, width), optional
        Default: the model's ``input_shape``.
    variation, size : float, keyword-only, default 1e-4
    steps, rate, optimizer, clip, start, seed
        As :func:`feature_inversion` has them.

    Returns
    -------
    Synthesis
    """
    op = "model_inversion"
    wanted = np.asarray(predictions)
    sides = shape if shape is not None else getattr(model, "input_shape", None)
    if sides is None or wanted.ndim != 2 or not np.allclose(wanted.sum(1), 1, atol=1e-3) or wanted.min() < 0:
        raise ArgumentError(
            f"{op}: shape is {sides!r} and predictions {wanted.shape}, expected (channels, height, width) "
            "and rows of probabilities"
        )
    like = input_of(model, np.zeros((1, *sides)), op)
    wanted = wanted.astype(like.dtype)

    def loss_of(pixels: Any) -> Any:
        scores = scores_of(model, pixels, op)
        if tuple(scores.shape) != wanted.shape:
            raise ShapeError(f"{op}: predictions has shape {wanted.shape}, expected {tuple(scores.shape)}")
        total = ops.add(ops.cross_entropy(scores, wanted), ops.multiply(total_variation(pixels), variation))
        return ops.add(total, ops.multiply(ops.mean(ops.square(pixels)), size))

    begin = _begun(op, start, model, (len(wanted), *sides), seed, like)
    return _fallen(op, model, begin, loss_of, steps, optimizer, rate, clip)
