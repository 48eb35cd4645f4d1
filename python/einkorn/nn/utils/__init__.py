"""Tools for modules, with torch's names: weights that are computed from others, packed sequences."""

from einkorn.nn.utils import parametrizations, parametrize, rnn
from einkorn.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from einkorn.nn.utils.reparametrize import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "weight_norm",
]
