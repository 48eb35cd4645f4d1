"""Tools for modules, with torch's names: computed weights, packed sequences, clipped gradients, vectors."""

from einkorn.nn._folding import folding
from einkorn.nn.utils import parametrizations, parametrize, prune, rnn, stateless
from einkorn.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from einkorn.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from einkorn.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from einkorn.nn.utils.init import skip_init
from einkorn.nn.utils.reparametrize import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "folding",
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "prune",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]
