"""Tools for modules, with torch's names: computed weights, packed sequences, clipped gradients, vectors."""

from einkorn._near import finding
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


__getattr__ = finding(
    __name__,
    lambda: __all__,
    {
        **dict.fromkeys(
            ("convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"),
            "there is one layout of memory here",
        ),
        "fuse_conv_bn_weights": "fuse_conv_bn_eval takes the two modules",
        "fuse_linear_bn_weights": "fuse_linear_bn_eval takes the two modules",
    },
)
