"""Keras' older names for policies: ``mixed_precision.set_global_policy("mixed_bfloat16")``."""

from __future__ import annotations

from einkorn._near import finding
from einkorn.keras.config import dtype_policy, set_dtype_policy
from einkorn.keras.dtype_policies import DTypePolicy

__all__ = ["DTypePolicy", "Policy", "dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy

_INSTEAD = {"LossScaleOptimizer": "gradients in bfloat16 have float32's range, and need no factor"}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
