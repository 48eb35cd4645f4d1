"""The network that paints in one pass (Johnson et al. 2016, with instance norm of Ulyanov et al. 2016)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.models._blocks import Network
from einkorn.models.preprocessing import Preprocessing, picture_of
from einkorn.models.weights import WeightsReport, _arrays
from einkorn.nn import ConvTranspose2d, InstanceNorm2d, Module, ModuleList
from einkorn.nn._check import integer
from einkorn.nn._folding import PaddedConv2d

__all__ = ["FastStyle"]


class _Layer(Module):
    """A convolution, its inverse or neither, an instance norm, and ReLU where ``act`` says so."""

    def __init__(self, conv: Any, channels: int, act: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.act = conv, InstanceNorm2d(channels, 1e-3, affine=True), act

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        if isinstance(self.conv, ConvTranspose2d):
            x = x[:, :, :-1, :-1]  # "same" of stride 2: the last row and column go
        x = self.norm(x)
        return ops.relu(x) if self.act else x


class _Residual(Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Layer(PaddedConv2d(channels, channels, 3, bias=False), channels)
        self.second = _Layer(PaddedConv2d(channels, channels, 3, bias=False), channels, False)

    def forward(self, x: Any) -> Any:
        return x + self.second(self.first(x))


class FastStyle(Network):
    """Three convolutions down to a quarter of the size, five residual blocks, three up again.

    Parameters
    ----------
    weights : path, optional
        An ``.npz`` file with the arrays "Variable", "Variable_1", ... "Variable_47" of TensorFlow's network:
        for each layer a convolution [height, width, in, out], a shift and a scale.

    Attributes
    ----------
    weights_report : WeightsReport or None

    Notes
    -----
    Images are [n, 3, height, width] with values from 0 to 255, and so are the results, which are not cut:
    ``tanh`` gives -22.5 to 277.5. Sides that 4 does not divide come back as the next multiple.
    """

    def __init__(self, weights: str | PathLike[str] | None = None) -> None:
        super().__init__()
        self.name, self.config = "fast_style", {}
        self.preprocessing = Preprocessing(256, None, 1.0, (0.0,) * 3, (1.0,) * 3)
        self.input_shape = (3, 256, 256)
        self.down = ModuleList(
            [
                _Layer(PaddedConv2d(3, 32, 9, bias=False), 32),
                _Layer(PaddedConv2d(32, 64, 3, 2, bias=False), 64),
                _Layer(PaddedConv2d(64, 128, 3, 2, bias=False), 128),
            ]
        )
        self.blocks = ModuleList([_Residual(128) for _ in range(5)])
        self.up = ModuleList(
            [
                _Layer(ConvTranspose2d(128, 64, 3, 2, bias=False), 64),
                _Layer(ConvTranspose2d(64, 32, 3, 2, bias=False), 32),
            ]
        )
        self.output = _Layer(PaddedConv2d(32, 3, 9, bias=False), 3, False)
        if weights is not None:
            self.weights_report = self._read(weights)

    def forward(self, x: Any) -> Any:
        for layer in (*self.down, *self.blocks, *self.up, self.output):
            x = layer(x)
        return ops.add(ops.multiply(ops.tanh(x), 150.0), 127.5)

    def _layers(self) -> list[Any]:
        blocks: list[Any] = list(self.blocks)
        inner = [layer for block in blocks for layer in (block.first, block.second)]
        return [*self.down, *inner, *self.up, self.output]

    def _read(self, path: str | PathLike[str]) -> WeightsReport:
        if not isinstance(path, (str, PathLike)):
            raise ArgumentError(f"FastStyle: weights is {type(path).__name__}, expected a file")
        if not Path(path).is_file():
            raise CheckpointError(f"{path}: there is no such file")
        found = _arrays(Path(path))
        names = {id(module): name for name, module in self.named_modules()}
        state: dict[str, np.ndarray] = {}
        at = 0
        for layer in self._layers():
            for part in ("conv.weight", "norm.bias", "norm.weight"):
                array = found.get(f"Variable_{at}" if at else "Variable")
                at += 1
                if array is None:
                    raise CheckpointError(f"{path}: has no Variable_{at - 1}, expected 48 arrays")
                if part == "conv.weight":  # of the inverse [height, width, out, in]; ours wants in first
                    array = array.transpose(3, 2, 0, 1)
                name = f"{names[id(layer)]}.{part}"
                if array.shape != self.state_dict()[name].shape:
                    raise CheckpointError(f"{path}: Variable_{at - 1} has shape {array.shape} for {name}")
                state[name] = np.ascontiguousarray(array)
        self.load_state_dict(state, strict=False)
        return WeightsReport(tuple(state), (), (), ())

    def paint(self, image: Any, size: int | None = None) -> np.ndarray:
        """A picture in the network's style.

        Parameters
        ----------
        image : path, uint8 array [H, W, 3] or [H, W], or Pillow image
        size : int, optional
            The longer side, to which the picture is brought; default: as it is.

        Returns
        -------
        uint8 array [height, width, 3]
        """
        pixels = picture_of(image)
        if size is not None:
            pixels = fitted(pixels, integer(size, "FastStyle.paint", "size", 8))
        x = pixels.transpose(2, 0, 1)[None].astype(np.float32)
        found = np.clip(self.predict(x)[0], 0, 255).transpose(1, 2, 0)
        return np.rint(found[: pixels.shape[0], : pixels.shape[1]]).astype(np.uint8)


def fitted(pixels: np.ndarray, size: int) -> np.ndarray:
    """A picture whose longer side has this size, proportions kept."""
    from einkorn._extras import need

    high, wide = pixels.shape[:2]
    scale = size / max(high, wide)
    if scale == 1:
        return pixels
    image = need("PIL.Image", "resizing images")
    sides = (max(1, round(wide * scale)), max(1, round(high * scale)))
    return np.asarray(image.fromarray(pixels).resize(sides, image.Resampling.BICUBIC))
