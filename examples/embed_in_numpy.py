"""Two kernels inside plain NumPy code: blur a batch of images, then classify them with a linear layer.

No tensors, no modules: ``einkorn.ops`` takes NumPy arrays and returns NumPy arrays. The same calls take torch
CPU tensors without a copy and return torch tensors.
"""

import numpy as np

from einkorn import ops


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """A normalised 2-d Gaussian as a convolution weight of shape (1, 1, size, size)."""
    offset = np.arange(size) - size // 2
    bell = np.exp(-(offset**2) / (2 * sigma**2))
    kernel = np.outer(bell, bell)
    return (kernel / kernel.sum()).astype(np.float32).reshape(1, 1, size, size)


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((16, 1, 28, 28), dtype=np.float32)

    blurred = ops.conv2d(images, gaussian_kernel(5, 1.0), padding="same")

    weight = rng.standard_normal((10, 28 * 28)).astype(np.float32) / 28
    bias = np.zeros(10, dtype=np.float32)
    scores = ops.softmax(ops.linear(blurred.reshape(16, -1), weight, bias))

    print(f"blurred {blurred.shape} {blurred.dtype}: noise {images.std():.3f} -> {blurred.std():.3f}")
    print(f"class of the first image: {scores[0].argmax()} with probability {scores[0].max():.3f}")
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)


if __name__ == "__main__":
    main()
