"""Class activation maps: where in the image the evidence for a class lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.explain._calls import chosen_sum, frozen, input_of, layer_of, scores_of, targets_of, watched
from einkorn.nn import Linear, Module

__all__ = ["cam", "gradcam", "gradcam_plus_plus"]


def gradcam(
    model: Module, x: Any, target: Any = None, layer: Any = None, *, resize: bool = True
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017): ``relu(sum_k w_k A_k)`` with ``w_k`` the mean gradient of the
    class's score.

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    x : array or Tensor [n, channels, height, width]
        As the model takes it.
    target : int or n ints, optional
        The class; None: that of the highest score.
    layer : str or Module, optional
        Whose output A [n, K, h, w] is read; None: the stage with the last convolution.
    resize : bool, keyword-only, default True
        Whether the maps are brought to the image's size, bilinearly.

    Returns
    -------
    array [n, height, width], or [n, h, w] without ``resize``
        From 0 on; not scaled.

    Raises
    ------
    ShapeError, ArgumentError
        The model, the layer or the class are not as expected.
    """
    a, gradient, image = _activations(model, x, target, layer, "gradcam")
    return _map(a, gradient.mean((2, 3)), image, resize)


def gradcam_plus_plus(
    model: Module, x: Any, target: Any = None, layer: Any = None, *, resize: bool = True
) -> np.ndarray:
    """Grad-CAM++ (Chattopadhay et al. 2018): the gradients' positive parts, weighted so that several objects
    count.

    The weight of a place is ``g^2 / (2 g^2 + sum(A) g^3)``, which the paper derives for the exponential of
    the score. Arguments and result as :func:`gradcam`.
    """
    a, gradient, image = _activations(model, x, target, layer, "gradcam_plus_plus")
    square = gradient**2
    below = 2 * square + a.sum((2, 3), keepdims=True) * square * gradient
    alpha = np.divide(square, below, out=np.zeros_like(square), where=below != 0)
    return _map(a, (alpha * np.maximum(gradient, 0)).sum((2, 3)), image, resize)


def cam(model: Module, x: Any, target: Any = None, layer: Any = None, *, resize: bool = True) -> np.ndarray:
    """CAM (Zhou et al. 2016): a network's own last weights over the maps whose means they are given.

    Parameters
    ----------
    model : Module
        A network of ``einkorn.models`` whose last layer is linear and is given the means of the last maps.
    x, target, layer, resize
        As :func:`gradcam`.

    Returns
    -------
    array [n, height, width], or [n, h, w] without ``resize``
        Of either sign; without ``resize`` their mean plus the bias is the class's score.

    Raises
    ------
    ArgumentError
        The last layer is not linear, or is given something else than the layer's means.
    """
    op = "cam"
    images = input_of(model, x, op)
    head = dict(model.named_modules()).get(getattr(model, "head", ""))
    if not isinstance(head, Linear):
        raise ArgumentError("cam: the model's last layer is not known or not linear: take gradcam")
    with frozen(model), watched(layer_of(model, layer, op)) as seen:
        scores = scores_of(model, Tensor(images), op)
    a, chosen = _only(seen, op).numpy(), targets_of(target, scores, op)
    weight = head.weight.numpy()
    if a.shape[1] != weight.shape[1]:
        raise ArgumentError(
            f"cam: the layer gives {a.shape[1]} maps, and the last layer takes {weight.shape[1]}"
        )
    return _map(a, weight[chosen], images.shape[2:] if resize else None, resize, positive=False)


def _activations(
    model: Module, x: Any, target: Any, layer: Any, op: str
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """A layer's output, the gradient of the class's score with respect to it, and the image's size."""
    images = input_of(model, x, op)
    with frozen(model), watched(layer_of(model, layer, op)) as seen:
        scores = scores_of(model, Tensor(images, requires_grad=True), op)
        a = _only(seen, op)
        if a.ndim != 4:
            raise ShapeError(f"{op}: the layer gave {tuple(a.shape)}, expected maps [n, K, h, w]")
        a.retain_grad()
        chosen_sum(scores, targets_of(target, scores, op)).backward()
    return a.numpy(), a.grad.numpy(), images.shape[2:]


def _only(seen: list[Any], op: str) -> Any:
    if len(seen) != 1 or not isinstance(seen[0], Tensor):
        raise ArgumentError(f"{op}: the layer was called {len(seen)} times, expected once, with one output")
    return seen[0]


def _map(a: np.ndarray, weights: np.ndarray, size: Any, resize: bool, positive: bool = True) -> np.ndarray:
    maps = np.einsum("nkhw,nk->nhw", a, weights).astype(a.dtype)
    maps = np.maximum(maps, 0) if positive else maps
    if not resize:
        return maps
    wide = ops.interpolate(np.ascontiguousarray(maps[:, None]), size, mode="bilinear", align_corners=False)
    return np.asarray(wide)[:, 0]
