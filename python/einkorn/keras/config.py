"""What all layers are made with where nothing else is said: type, order of axes, mixed precision.

``config.set_dtype_policy("mixed_bfloat16")`` makes models that are compiled afterwards compute products in
bfloat16, with weights in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._near import finding
from einkorn.errors import ArgumentError

__all__ = [
    "backend", "disable_flash_attention", "disable_interactive_logging", "disable_traceback_filtering",
    "dtype_policy", "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
    "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled", "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled", "set_backend", "set_dtype_policy", "set_epsilon", "set_floatx",
    "set_image_data_format",
]  # fmt: skip

_TYPES = ("float32", "float64", "bfloat16")
_ORDERS = ("channels_last", "channels_first")


class _Now:
    floatx = "float32"
    order = "channels_last"
    policy: Any = None
    interactive = True


_now = _Now()


def backend() -> str:
    """The name of this library."""
    return "einkorn"


def set_backend(backend: str) -> None:
    """Refused but for "einkorn": there is one."""
    if backend != "einkorn":
        raise ArgumentError(f"set_backend: backend is {backend!r}, expected 'einkorn', which computes here")


def epsilon() -> float:
    """The small number of losses: 1e-7."""
    return 1e-7


def set_epsilon(value: float) -> None:
    """Refused but for 1e-7, which losses and metrics are made with."""
    if value != 1e-7:
        raise ArgumentError(f"set_epsilon: value is {value!r}, expected 1e-7, which losses are made with")


def floatx() -> str:
    """The type of weights where nothing else is said."""
    return _now.floatx


def set_floatx(value: str) -> None:
    """Choose the type of weights, and of inputs.

    Parameters
    ----------
    value : "float32", "float64" or "bfloat16"
    """
    name = str(getattr(value, "name", value)).rpartition(".")[2]
    if name == "float16":
        raise ArgumentError("set_floatx: there are no kernels of float16, expected bfloat16 or float32")
    if name not in _TYPES:
        raise ArgumentError(f"set_floatx: value is {value!r}, expected one of {', '.join(_TYPES)}")
    _now.floatx = name


def image_data_format() -> str:
    """Where images have their channels where nothing else is said."""
    return _now.order


def set_image_data_format(data_format: str) -> None:
    """Choose where images have their channels: "channels_last" or "channels_first"."""
    if data_format not in _ORDERS:
        raise ArgumentError(
            f"set_image_data_format: data_format is {data_format!r}, expected channels_last or channels_first"
        )
    _now.order = data_format


def dtype_policy() -> Any:
    """How layers compute: the policy that ``set_dtype_policy`` chose."""
    from einkorn.keras.dtype_policies import DTypePolicy

    return _now.policy or DTypePolicy(_now.floatx)


def set_dtype_policy(policy: Any) -> None:
    """Choose how models that are made from now on compute.

    Parameters
    ----------
    policy : str or DTypePolicy
        "float32", "float64", "bfloat16", or "mixed_bfloat16": products in bfloat16, weights in float32.
    """
    from einkorn.keras.dtype_policies import get

    found = get(policy)
    _now.policy = found
    _now.floatx = found.variable_dtype


def enable_interactive_logging() -> None:
    """Show progress where ``verbose`` is "auto", as a bar."""
    _now.interactive = True


def disable_interactive_logging() -> None:
    """Show progress where ``verbose`` is "auto", as one line an epoch."""
    _now.interactive = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress is shown as a bar."""
    return _now.interactive


def enable_traceback_filtering() -> None:
    """Taken, and of no effect: errors are those of the layer that found them."""


def disable_traceback_filtering() -> None:
    """Taken, and of no effect."""


def is_traceback_filtering_enabled() -> bool:
    """False: nothing is left out."""
    return False


def enable_flash_attention() -> None:
    """Taken, and of no effect: attention never stores its scores where it can do without."""


def disable_flash_attention() -> None:
    """Taken, and of no effect."""


def is_flash_attention_enabled() -> bool:
    """True: attention does not store its scores."""
    return True


def type_name(dtype: Any) -> str:
    """The name of a type, a policy or an array's type; the default one of None."""
    if dtype is None:
        return floatx()
    name = str(getattr(dtype, "variable_dtype", None) or getattr(dtype, "name", dtype)).rpartition(".")[2]
    if name.startswith("mixed_"):
        return "float32"
    return (
        {"int": "int32", "float": "float32", "string": "str"}.get(name, name)
        if name
        else str(np.dtype(dtype))
    )


def weights_type(owner: str, dtype: Any) -> str | None:
    """The type that weights are brought to; None for float32, which they are made in."""
    name = str(getattr(dtype, "name", dtype))
    if name.startswith("mixed_"):
        if name != dtype_policy().name:
            raise ArgumentError(
                f"{owner}: dtype is {name!r}, expected a type: keras.config.set_dtype_policy chooses mixed "
                "precision for all layers"
            )
        return None
    if name == "float16":
        raise ArgumentError(
            f"{owner}: dtype is 'float16', of which there are no kernels, expected 'bfloat16'"
        )
    found = type_name(dtype)
    return None if dtype is None and found == "float32" else found


_INSTEAD = {
    "enable_unsafe_deserialization": "files name what they are made of, and never hold functions",
    **dict.fromkeys(
        ("max_epochs", "set_max_epochs", "max_steps_per_epoch", "set_max_steps_per_epoch"),
        "fit takes epochs and steps_per_epoch",
    ),
    "is_nnx_enabled": "modules of other libraries do not run here",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
