"""Super-resolution by sub-pixel convolution (Shi et al. 2016)."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._extras import need
from einkorn.models._blocks import Network
from einkorn.models.preprocessing import Preprocessing, picture_of
from einkorn.models.weights import load_pretrained
from einkorn.nn import Conv2d
from einkorn.nn._check import integer
from einkorn.nn._folding import convolve
from einkorn.nn.activation import ReLU

__all__ = ["ESPCN"]


class ESPCN(Network):
    """Three convolutions with ReLU on the small picture, one to the pixels between, which are put in place.

    Parameters
    ----------
    upscale_factor : int, default 3
    weights : path, optional
        Those of PyTorch's example: an ``.onnx`` file, or one that
        :func:`~einkorn.models.load_pretrained` reads.

    Notes
    -----
    Brightness [n, 1, height, width] from 0 to 1 becomes [n, 1, factor * height, factor * width].
    """

    head = "conv4"

    def __init__(self, upscale_factor: int = 3, weights: str | PathLike[str] | None = None) -> None:
        super().__init__()
        upscale_factor = integer(upscale_factor, "ESPCN", "upscale_factor")
        self.name, self.config = "espcn", {"upscale_factor": upscale_factor}
        self.upscale_factor = upscale_factor
        self.input_shape = (1, 224, 224)
        self.preprocessing = Preprocessing(224, None, mean=(0.0,) * 3, std=(1.0,) * 3)
        self.conv1 = Conv2d(1, 64, 5, padding=2)
        self.conv2 = Conv2d(64, 64, 3, padding=1)
        self.conv3 = Conv2d(64, 32, 3, padding=1)
        self.conv4 = Conv2d(32, upscale_factor**2, 3, padding=1)
        self.relu = ReLU()
        if weights is not None:
            self.weights_report = load_pretrained(self, weights)

    def forward(self, x: Any) -> Any:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = convolve(x, conv, act=self.relu)
        return ops.pixel_shuffle(self.conv4(x), self.upscale_factor)

    def enlarge(self, image: Any) -> np.ndarray:
        """A picture as many times as wide and high: brightness by the network, colors by Pillow's bicubic.

        Parameters
        ----------
        image : path, uint8 array [H, W, 3] or [H, W], or Pillow image

        Returns
        -------
        uint8 array [factor * H, factor * W, 3]
        """
        pixels = picture_of(image)
        pil = need("PIL.Image", "ESPCN.enlarge")
        bright, *colours = pil.fromarray(pixels).convert("YCbCr").split()
        y = np.asarray(bright, np.float32)[None, None] / 255
        found = np.clip(np.rint(self.predict(y)[0, 0] * 255), 0, 255).astype(np.uint8)
        size = (found.shape[1], found.shape[0])
        wide = [each.resize(size, pil.Resampling.BICUBIC) for each in colours]
        return np.asarray(pil.merge("YCbCr", [pil.fromarray(found), *wide]).convert("RGB"))
