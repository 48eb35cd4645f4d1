"""Pictures of what the methods found, with matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import axes_for, need
from einkorn.errors import ShapeError

__all__ = [
    "plot_activations",
    "plot_filters",
    "plot_gradient",
    "plot_heatmap",
    "plot_image",
    "plot_images",
    "plot_patches",
    "plot_synthesis",
]


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


def plot_images(images: Any, figure: Any = None, *, titles: Any = None, columns: int | None = None) -> Any:
    """Many pictures in rows and columns.

    Parameters
    ----------
    images : sequence of arrays [height, width, 3] or [height, width]
        uint8, or from 0 to 1.
    figure : matplotlib figure, optional
    titles : sequence of str, keyword-only, optional
    columns : int, keyword-only, optional
        Default: as many as rows, or one more.

    Returns
    -------
    matplotlib figure
    """
    several = [np.asarray(image) for image in images]
    if not several or (titles is not None and len(titles) != len(several)):
        raise ShapeError(f"plot_images: {len(several)} images, expected some, and a title for each or none")
    wide = columns or int(np.ceil(np.sqrt(len(several))))
    high = -(-len(several) // wide)
    if figure is None:
        figure = need("matplotlib.figure", "plot_images").Figure((2 * wide, 2 * high), layout="constrained")
    for at, image in enumerate(several):
        axes = figure.add_subplot(high, wide, at + 1)
        plot_image(image, axes)
        if titles is not None:
            axes.set_title(titles[at], fontsize=8, parse_math=False)
    return figure


def plot_filters(weights: Any, figure: Any = None, *, columns: int | None = None) -> Any:
    """The filters that :func:`~einkorn.explain.filters` gave: in color where they have three channels, else
    the mean over channels in gray; returns the figure."""
    a = np.asarray(weights)
    if a.ndim != 4:
        raise ShapeError(f"plot_filters: weights has shape {a.shape}, expected [out, in, height, width]")
    return plot_images(a.transpose(0, 2, 3, 1) if a.shape[1] == 3 else a.mean(1), figure, columns=columns)


def plot_activations(maps: Any, figure: Any = None, *, columns: int | None = None) -> Any:
    """The maps [K, h, w] of one image, each stretched to its own range; returns the figure."""
    a = np.asarray(maps)
    if a.ndim != 3:
        raise ShapeError(f"plot_activations: maps has shape {a.shape}, expected [K, height, width]")
    return plot_images(a, figure, columns=columns)


def plot_patches(found: Any, restore: Any, figure: Any = None) -> Any:
    """A row for each unit of what :func:`~einkorn.explain.maximal_patches` found.

    Parameters
    ----------
    found : MaximalPatches
    restore : callable
        Makes a picture [h, w, 3] of a patch [channels, h, w]; of a network's preprocessing:
        ``lambda p: model.preprocessing.restore(p[None])[0]``.
    figure : matplotlib figure, optional

    Returns
    -------
    matplotlib figure
    """
    pictures = [restore(patch) for row in found.patches for patch in row]
    return plot_images(pictures, figure, columns=found.images.shape[1])


def plot_synthesis(found: Any, restore: Any, figure: Any = None) -> Any:
    """The images of a :class:`~einkorn.explain.Synthesis`, and its loss on a logarithmic scale.

    Arguments as :func:`plot_patches` has them; returns the figure.
    """
    if figure is None:
        wide = 3 * (len(found.images) + 1)
        figure = need("matplotlib.figure", "plot_synthesis").Figure((wide, 3), layout="constrained")
    for at, image in enumerate(found.images):
        plot_image(restore(image), figure.add_subplot(1, len(found.images) + 1, at + 1))
    axes = figure.add_subplot(1, len(found.images) + 1, len(found.images) + 1)
    axes.semilogy(found.losses)
    axes.set(xlabel="evaluation", ylabel="loss")
    return figure
