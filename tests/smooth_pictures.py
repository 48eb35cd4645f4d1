"""Pictures for tests of augmentation."""

import numpy as np

RNG = np.random.default_rng(1)


def pictures(images: int, channels: int = 3, height: int = 32, width: int = 24) -> np.ndarray:
    """Smooth ones: what differs by a hair's breadth in place differs little in value."""
    coarse = RNG.random((images, channels, 6, 5))
    rows, columns = np.linspace(0, 4.99, height), np.linspace(0, 3.99, width)
    i, j = rows.astype(int), columns.astype(int)
    s, t = (rows - i)[:, None], columns - j
    upper = coarse[:, :, i][..., j] * (1 - t) + coarse[:, :, i][..., j + 1] * t
    lower = coarse[:, :, i + 1][..., j] * (1 - t) + coarse[:, :, i + 1][..., j + 1] * t
    return (upper * (1 - s) + lower * s).astype(np.float32)
