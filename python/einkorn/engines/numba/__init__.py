"""The Numba engine: every kernel as compiled Python loops, for where nothing else was compiled.

The names and argument names are those of `einkorn._native`; csrc/kernels holds the contracts. One
file for each family says its idea; _compile.py says how loops are compiled, _threads.py how they
share the cores, _views.py how strides are dealt with.

The first call of a kernel compiles it for the dtype at hand, which takes some tenths of a second.
Compiled loops are kept in __pycache__, or where that is not writable in the user's cache directory
or the one that NUMBA_CACHE_DIR names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    from ...errors import EngineError

    raise EngineError(
        f"the numba engine needs the package numba, which cannot be imported ({error}); "
        "install it with: pip install 'einkorn[numba]'"
    ) from error

from ._compile import Array
from ._threads import get_num_threads, set_num_threads
from .boost_loss import boost_loss, leaf_quantile
from .conv import conv2d_forward, conv2d_input_grad, conv2d_weight_grad
from .copy import copy, fill
from .elementwise import (
    absolute,
    absolute_grad,
    add,
    clip,
    cos,
    divide,
    elu,
    elu_grad,
    equal,
    erf,
    exp,
    gelu,
    gelu_grad,
    gelu_tanh,
    gelu_tanh_grad,
    greater,
    greater_equal,
    leaky_relu,
    leaky_relu_grad,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    reciprocal,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    sign,
    silu,
    silu_grad,
    sin,
    softplus,
    softplus_grad,
    sqrt,
    square,
    step,
    subtract,
    tanh,
    tanh_grad,
    where,
)
from .haar import (
    cascade_scan,
    group_rectangles,
    haar_features,
    haar_patch_sums,
    integral_image,
    resize_exact,
    rgb_to_gray,
)
from .histogram import bin_columns, bin_edges, histogram, histogram_subtract
from .loss import (
    bce_backward,
    bce_forward,
    bce_with_logits_backward,
    bce_with_logits_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    l1_backward,
    l1_forward,
    mse_backward,
    mse_forward,
)
from .matmul import matmul
from .optimizer import adam_step, sgd_step
from .pool import (
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool2d_forward,
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from .random import dropout, normal, permutation, uniform
from .reduce import argmax, first_out_of_range, reduce_max, reduce_min, reduce_sum
from .softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)
from .stump import adaboost_update, presort, stump_search, stump_search_binned
from .tree_forest import bootstrap_counts, grow_forest
from .tree_grow import code_rows, tree_apply_codes, tree_grow, tree_update
from .tree_predict import tree_predict
from .tree_shap import tree_shap

__all__ = [
    "absolute",
    "absolute_grad",
    "adaboost_update",
    "adam_step",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "add",
    "argmax",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "bce_backward",
    "bce_forward",
    "bce_with_logits_backward",
    "bce_with_logits_forward",
    "bin_columns",
    "bin_edges",
    "boost_loss",
    "bootstrap_counts",
    "cascade_scan",
    "clip",
    "code_rows",
    "conv2d_forward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "copy",
    "cos",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "divide",
    "dropout",
    "elu",
    "elu_grad",
    "empty",
    "equal",
    "erf",
    "exp",
    "fill",
    "first_out_of_range",
    "gelu",
    "gelu_grad",
    "gelu_tanh",
    "gelu_tanh_grad",
    "get_num_threads",
    "greater",
    "greater_equal",
    "group_rectangles",
    "grow_forest",
    "haar_features",
    "haar_patch_sums",
    "histogram",
    "histogram_subtract",
    "integral_image",
    "l1_backward",
    "l1_forward",
    "leaf_quantile",
    "leaky_relu",
    "leaky_relu_grad",
    "log",
    "log_softmax_backward",
    "log_softmax_forward",
    "matmul",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "maximum",
    "minimum",
    "mse_backward",
    "mse_forward",
    "multiply",
    "negative",
    "normal",
    "permutation",
    "power",
    "presort",
    "reciprocal",
    "reduce_max",
    "reduce_min",
    "reduce_sum",
    "relu",
    "relu_grad",
    "resize_exact",
    "rgb_to_gray",
    "set_num_threads",
    "sgd_step",
    "sigmoid",
    "sigmoid_grad",
    "sign",
    "silu",
    "silu_grad",
    "sin",
    "softmax_backward",
    "softmax_forward",
    "softplus",
    "softplus_grad",
    "sqrt",
    "square",
    "step",
    "stump_search",
    "stump_search_binned",
    "subtract",
    "tanh",
    "tanh_grad",
    "tree_apply_codes",
    "tree_grow",
    "tree_predict",
    "tree_shap",
    "tree_update",
    "uniform",
    "where",
]


def empty(shape: int | tuple[int, ...], dtype: Any) -> Array:
    """A new array with undefined contents."""
    return np.empty(shape, dtype)
