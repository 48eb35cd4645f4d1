"""U-Net (Ronneberger et al. 2015), padded so that the result has the image's size."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.models._blocks import Chain, Network, Weights, he_fan_out, initialize, network
from einkorn.nn import BatchNorm2d, Conv2d, ConvTranspose2d, MaxPool2d, ModuleList, ReLU
from einkorn.nn._check import integer

__all__ = ["UNet", "unet"]


class DoubleConv(Chain):
    """Twice a 3x3 convolution with norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            BatchNorm2d(out_channels),
            ReLU(),
            Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            BatchNorm2d(out_channels),
            ReLU(),
        )


class UNet(Network):
    """Down by pooling, up by transposed convolutions, each level joined with what it was on the way down.

    Parameters
    ----------
    num_classes : int, default 2
        Channels of the result: scores of each pixel.
    in_channels : int, default 3
    width : int, default 64
        Channels of the first level; each further one has twice as many.
    depth : int, default 4
        How often the image is halved.

    Notes
    -----
    Images of any size [N, in_channels, H, W] give [N, num_classes, H, W]: where a level is odd, the level
    below is brought to its size by a row or a column of zeros. The paper's has no padding and no batch norm.
    """

    head = "output"

    def __init__(self, num_classes: int = 2, in_channels: int = 3, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        width, depth = integer(width, "UNet", "width"), integer(depth, "UNet", "depth")
        widths = [width << level for level in range(depth + 1)]
        self.pool = MaxPool2d(2)
        self.down = ModuleList(
            [DoubleConv(before, after) for before, after in zip([in_channels, *widths], widths, strict=False)]
        )
        self.up = ModuleList([ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1])])
        self.join = ModuleList([DoubleConv(2 * w, w) for w in reversed(widths[:-1])])
        self.output = Conv2d(width, num_classes, 1)
        initialize(self, he_fan_out)

    def forward(self, x: Any) -> Any:
        levels = []
        for at, down in enumerate(self.down):
            x = down(x if at == 0 else self.pool(x))
            levels.append(x)
        for up, join, level in zip(self.up, self.join, reversed(levels[:-1]), strict=True):
            x = up(x)
            high, wide = (a - b for a, b in zip(level.shape[-2:], x.shape[-2:], strict=True))
            x = join(ops.cat((level, ops.pad(x, (0, wide, 0, high)) if high or wide else x), 1))
        return self.output(x)


@network()
def unet(weights: Weights = None, num_classes: int = 2, **options: Any) -> UNet:
    """U-Net; arguments as UNet and :func:`~einkorn.models.get_model` have them."""
    return UNet(num_classes, **options)
