"""einkorn: compiled machine-learning kernels under a thin Python layer.

``einkorn.ops`` has the kernels as functions on arrays and Tensors, ``einkorn.nn``, ``optim`` and
``training`` build and train networks from them, ``einkorn.show_config()`` says what runs where.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from einkorn import _torch_names
from einkorn._interpreter import require_main

__version__ = "0.1.0"

require_main()

# What is reached as einkorn.NAME, and the module it lives in. Imported on first use, so that importing
# einkorn costs little more than NumPy and never loads a plotting, GPU or data library.
_HOMES = {
    "Tensor": "_tensor",
    "no_grad": "autograd",
    "enable_grad": "autograd",
    "inference_mode": "autograd",
    "set_grad_enabled": "autograd",
    "is_grad_enabled": "autograd",
    "grad": "autograd",
    "Function": "function",
    "autocast": "_autocast",
    "is_autocast_enabled": "_autocast",
    "GradScaler": "grad_scaler",
    **dict.fromkeys(
        (
            "bfloat16",
            "bool",
            "double",
            "dtype",
            "finfo",
            "float",
            "float32",
            "float64",
            "get_default_dtype",
            "iinfo",
            "int",
            "int16",
            "int32",
            "int64",
            "int8",
            "long",
            "set_default_dtype",
            "short",
            "uint16",
            "uint32",
            "uint64",
            "uint8",
        ),
        "dtypes",
    ),
    "manual_seed": "random",
    "Generator": "random",
    "seed": "random",
    "initial_seed": "random",
    "get_rng_state": "random",
    "set_rng_state": "random",
    **dict.fromkeys(
        (
            "arange",
            "as_tensor",
            "asarray",
            "empty",
            "empty_like",
            "eye",
            "from_dlpack",
            "from_numpy",
            "frombuffer",
            "full",
            "full_like",
            "is_tensor",
            "linspace",
            "logspace",
            "normal",
            "ones",
            "ones_like",
            "rand",
            "rand_like",
            "randint",
            "randint_like",
            "randn",
            "randn_like",
            "randperm",
            "scalar_tensor",
            "tensor",
            "tril_indices",
            "triu_indices",
            "zeros",
            "zeros_like",
        ),
        "creation",
    ),
    "cat": "ops",
    "stack": "ops",
    "einsum": "ops",
    "set_engine": "engines",
    "get_engine": "engines",
    "set_isa": "runtime",
    "get_isa": "runtime",
    "set_num_threads": "runtime",
    "get_num_threads": "runtime",
    "num_threads": "runtime",
    "show_config": "config",
    "save": "checkpoint",
    "load": "checkpoint",
    "save_weights": "checkpoint",
    "load_weights": "checkpoint",
    **dict.fromkeys(
        (
            "Size",
            "are_deterministic_algorithms_enabled",
            "broadcast_shapes",
            "bucketize",
            "can_cast",
            "chain_matmul",
            "compile",
            "cumulative_trapezoid",
            "e",
            "embedding",
            "fill",
            "gradient",
            "inf",
            "is_inference_mode_enabled",
            "nan",
            "newaxis",
            "nonzero",
            "pi",
            "promote_types",
            "repeat_interleave",
            "result_type",
            "rsub",
            "set_printoptions",
            "typename",
            "std_mean",
            "unravel_index",
            "use_deterministic_algorithms",
            "var_mean",
            "where",
        ),
        "_torch_functions",
    ),
    "device": "_device",
    "is_autocast_available": "amp",
}
_MODULES = (
    "amp",
    "autograd",
    "backends",
    "bench",
    "boosting",
    "checkpoint",
    "creation",
    "cuda",
    "data",
    "dtypes",
    "engines",
    "errors",
    "function",
    "grad_scaler",
    "keras",
    "linalg",
    "memory",
    "metrics",
    "models",
    "nn",
    "ops",
    "optim",
    "quantization",
    "random",
    "runtime",
    "text",
    "training",
    "utils",
    "vision",
)
_ERRORS = (
    "ArgumentError",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "EinkornError",
    "EngineError",
    "GradientError",
    "IndexRangeError",
    "MissingFileError",
    "MissingPackageError",
    "NonFiniteError",
    "ShapeError",
)

__all__ = ["__version__", *_HOMES, *_torch_names.NAMES, *_MODULES, *_ERRORS]

if TYPE_CHECKING:
    from einkorn import (
        amp,
        autograd,
        backends,
        bench,
        boosting,
        checkpoint,
        creation,
        cuda,
        data,
        dtypes,
        engines,
        errors,
        function,
        grad_scaler,
        keras,
        linalg,
        memory,
        metrics,
        models,
        nn,
        ops,
        optim,
        quantization,
        random,
        runtime,
        text,
        training,
        utils,
        vision,
    )
    from einkorn._autocast import autocast, is_autocast_enabled
    from einkorn._device import device
    from einkorn._tensor import Tensor
    from einkorn._torch_functions import (
        Size,
        are_deterministic_algorithms_enabled,
        broadcast_shapes,
        bucketize,
        can_cast,
        chain_matmul,
        compile,
        cumulative_trapezoid,
        e,
        embedding,
        fill,
        gradient,
        inf,
        is_inference_mode_enabled,
        nan,
        newaxis,
        nonzero,
        pi,
        promote_types,
        repeat_interleave,
        result_type,
        rsub,
        set_printoptions,
        std_mean,
        typename,
        unravel_index,
        use_deterministic_algorithms,
        var_mean,
        where,
    )
    from einkorn._torch_names import *
    from einkorn.amp import is_autocast_available
    from einkorn.autograd import enable_grad, grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
    from einkorn.checkpoint import load, load_weights, save, save_weights
    from einkorn.config import show_config
    from einkorn.creation import (
        arange,
        as_tensor,
        asarray,
        empty,
        empty_like,
        eye,
        from_dlpack,
        from_numpy,
        frombuffer,
        full,
        full_like,
        is_tensor,
        linspace,
        logspace,
        normal,
        ones,
        ones_like,
        rand,
        rand_like,
        randint,
        randint_like,
        randn,
        randn_like,
        randperm,
        scalar_tensor,
        tensor,
        tril_indices,
        triu_indices,
        zeros,
        zeros_like,
    )
    from einkorn.dtypes import (
        bfloat16,
        bool,
        double,
        dtype,
        finfo,
        float,
        float32,
        float64,
        get_default_dtype,
        iinfo,
        int,
        int8,
        int16,
        int32,
        int64,
        long,
        set_default_dtype,
        short,
        uint8,
        uint16,
        uint32,
        uint64,
    )
    from einkorn.engines import get_engine, set_engine
    from einkorn.errors import (
        ArgumentError,
        CheckpointError,
        DataError,
        DeviceError,
        DTypeError,
        EinkornError,
        EngineError,
        GradientError,
        IndexRangeError,
        MissingFileError,
        MissingPackageError,
        NonFiniteError,
        ShapeError,
    )
    from einkorn.function import Function
    from einkorn.grad_scaler import GradScaler
    from einkorn.ops import cat, einsum, stack
    from einkorn.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
    from einkorn.runtime import get_isa, get_num_threads, num_threads, set_isa, set_num_threads


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"einkorn.{_HOMES[name]}"), name)
    elif name in _MODULES:
        return importlib.import_module(f"einkorn.{name}")
    elif name in _torch_names.NAMES:
        value = _torch_names.make(name)
    elif name in _ERRORS:
        value = getattr(importlib.import_module("einkorn.errors"), name)
    else:
        raise AttributeError(f"module 'einkorn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
