"""Pictures of what the methods found, with matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import axes_for, need
from einkorn.errors import ShapeError

__all__ = ["plot_gradient", "plot_heatmap", "plot_image"]


def plot_image(image: Any, ax: Any = None) -> Any:
    """A picture: uint8 or 0 to 1, [height, width, 3], or [height, width] in gray; returns the axes."""
    axes = axes_for(ax, "plot_image")
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3):
        raise ShapeError(f"plot_image: image has shape {pixels.shape}, expected [height, width(, 3)]")
    axes.imshow(pixels, cmap="gray" if pixels.ndim == 2 else None)
    axes.set_axis_off()
    return axes


def plot_heatmap(image: Any, heatmap: Any, ax: Any = None, *, alpha: float = 0.5, cmap: str = "jet") -> Any:
    """A map such as that of ``gradcam`` over its picture.

    Parameters
    ----------
    image : array [height, width, 3] or [height, width]
    heatmap : array [height, width]
    ax : matplotlib axes, optional
    alpha : float, keyword-only, default 0.5
        How much of the map covers the picture.
    cmap : str, keyword-only, default "jet"

    Returns
    -------
    matplotlib axes
    """
    need("matplotlib", "plot_heatmap")
    values = np.asarray(heatmap)
    if values.shape != np.asarray(image).shape[:2]:
        raise ShapeError(
            f"plot_heatmap: heatmap has shape {values.shape}, expected {np.asarray(image).shape[:2]}"
        )
    axes = plot_image(image, ax)
    axes.imshow(values, cmap=cmap, alpha=alpha)
    return axes


def plot_gradient(gradient: Any, ax: Any = None, *, percentile: float = 99.0) -> Any:
    """The absolute sum over channels of a gradient [channels, height, width], bright where it is large.

    Parameters
    ----------
    gradient : array [channels, height, width]
    ax : matplotlib axes, optional
    percentile : float, keyword-only, default 99
        Of the values, which is drawn as white.

    Returns
    -------
    matplotlib axes
    """
    values = np.asarray(gradient)
    if values.ndim != 3:
        raise ShapeError(
            f"plot_gradient: gradient has shape {values.shape}, expected [channels, height, width]"
        )
    size = np.abs(values).sum(0)
    return plot_image(np.clip(size / max(float(np.percentile(size, percentile)), 1e-12), 0, 1), ax)
