"""einkorn: compiled machine-learning kernels under a thin Python layer.

``einkorn.ops`` has the kernels as functions on arrays and Tensors, ``einkorn.nn``, ``optim`` and
``training`` build and train networks from them, ``einkorn.show_config()`` says what runs where.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    "bfloat16": "dtypes",
    "double": "dtypes",
    "float32": "dtypes",
    "float64": "dtypes",
    "int8": "dtypes",
    "int16": "dtypes",
    "int32": "dtypes",
    "int64": "dtypes",
    "long": "dtypes",
    "uint8": "dtypes",
    "finfo": "dtypes",
    "manual_seed": "random",
    "arange": "creation",
    "as_tensor": "creation",
    "empty": "creation",
    "empty_like": "creation",
    "eye": "creation",
    "from_numpy": "creation",
    "is_tensor": "creation",
    "full": "creation",
    "full_like": "creation",
    "linspace": "creation",
    "ones": "creation",
    "ones_like": "creation",
    "rand": "creation",
    "rand_like": "creation",
    "randint": "creation",
    "randn": "creation",
    "randn_like": "creation",
    "randperm": "creation",
    "tensor": "creation",
    "zeros": "creation",
    "zeros_like": "creation",
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
}
_MODULES = (
    "autograd",
    "bench",
    "boosting",
    "checkpoint",
    "creation",
    "data",
    "dtypes",
    "engines",
    "errors",
    "function",
    "grad_scaler",
    "keras",
    "memory",
    "metrics",
    "models",
    "nn",
    "ops",
    "optim",
    "quantization",
    "random",
    "runtime",
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

__all__ = ["__version__", *_HOMES, *_MODULES, *_ERRORS]

if TYPE_CHECKING:
    from einkorn import (
        autograd,
        bench,
        boosting,
        checkpoint,
        creation,
        data,
        dtypes,
        engines,
        errors,
        function,
        grad_scaler,
        keras,
        memory,
        metrics,
        models,
        nn,
        ops,
        optim,
        quantization,
        random,
        runtime,
        training,
        utils,
        vision,
    )
    from einkorn._autocast import autocast, is_autocast_enabled
    from einkorn._tensor import Tensor
    from einkorn.autograd import enable_grad, grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
    from einkorn.checkpoint import load, load_weights, save, save_weights
    from einkorn.config import show_config
    from einkorn.creation import (
        arange,
        as_tensor,
        empty,
        empty_like,
        eye,
        from_numpy,
        full,
        full_like,
        is_tensor,
        linspace,
        ones,
        ones_like,
        rand,
        rand_like,
        randint,
        randn,
        randn_like,
        randperm,
        tensor,
        zeros,
        zeros_like,
    )
    from einkorn.dtypes import (
        bfloat16,
        double,
        finfo,
        float32,
        float64,
        int8,
        int16,
        int32,
        int64,
        long,
        uint8,
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
    from einkorn.ops import cat, stack
    from einkorn.ops.einsum import einsum
    from einkorn.random import manual_seed
    from einkorn.runtime import get_isa, get_num_threads, num_threads, set_isa, set_num_threads


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"einkorn.{_HOMES[name]}"), name)
    elif name in _MODULES:
        return importlib.import_module(f"einkorn.{name}")
    elif name in _ERRORS:
        value = getattr(importlib.import_module("einkorn.errors"), name)
    else:
        raise AttributeError(f"module 'einkorn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
