"""Pictures of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["plot_augmented"]


def plot_augmented(
    transform: Any, x: Any, rounds: int = 8, axes: Any = None, *, channels_last: bool = False
) -> np.ndarray:
    """Pictures as they are, and beside each what a transform makes of it.

    Parameters
    ----------
    transform : Transform or ImageDataGenerator
    x : uint8 or float32 array [images, channels, height, width]
        A few of them, a row of the figure each.
    rounds : int, default 8
        How often each is transformed: as row ``n`` of epochs 0, 1, 2 ...
    axes : array of matplotlib axes [images, rounds + 1], optional
        Default: those of a new figure.
    channels_last : bool, keyword-only, default False
        Whether x is [images, height, width, channels]; an ImageDataGenerator says so itself.

    Returns
    -------
    array of matplotlib axes [images, rounds + 1]
    """
    pictures = np.asarray(x)
    if pictures.ndim != 4 or not len(pictures):
        raise ShapeError(
            f"plot_augmented: x has shape {pictures.shape}, expected at least one image of four axes"
        )
    if isinstance(rounds, bool) or rounds != int(rounds) or rounds < 1:
        raise ArgumentError(f"plot_augmented: rounds is {rounds!r}, expected an integer >= 1")
    generator = hasattr(transform, "random_transform")
    last = transform.data_format == "channels_last" if generator else channels_last or transform.channels_last
    columns = [pictures]
    for epoch in range(rounds):
        if generator:
            columns.append(np.stack([transform.random_transform(picture) for picture in pictures]))
        else:
            columns.append(transform(pictures, epoch=epoch))
    shape = (len(pictures), rounds + 1)
    if axes is None:
        figure = need("matplotlib.figure", "plot_augmented").Figure(
            figsize=(1.2 * shape[1], 1.2 * shape[0]), layout="constrained"
        )
        axes = figure.subplots(*shape, squeeze=False)
    axes = np.asarray(axes).reshape(shape)
    for column, images in enumerate(columns):
        for row, image in enumerate(images):
            image = image if last else np.moveaxis(image, 0, -1)
            white = 255 if image.dtype == np.uint8 or image.max(initial=0) > 1.5 else 1
            shown = np.clip(image.astype(np.float64) / white, 0, 1)
            axes[row, column].imshow(
                shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1
            )
            axes[row, column].set_axis_off()
    axes[0, 0].set_title("as it is", fontsize="small")
    return axes
