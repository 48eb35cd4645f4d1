"""Arrays that come from elsewhere, to be copied into ours: tensors of torch, and two-byte floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn._tensor import Tensor
from einkorn.errors import DTypeError

__all__ = ["numbers"]


def numbers(value: Any, what: str) -> np.ndarray[Any, Any]:
    """``value`` as a NumPy array of integers, booleans or floats.

    torch's tensors are detached and brought to the CPU; bfloat16 and the 8-bit floats, which NumPy lacks,
    become float32.

    Raises
    ------
    DTypeError
        For what holds no numbers; ``what`` begins the message.
    """
    if isinstance(value, Tensor):
        value = value._data
    if type(value).__module__.partition(".")[0] == "cupy":
        value = value.get()
    if hasattr(value, "detach") and not isinstance(
        value, np.ndarray
    ):  # torch: parameters refuse __array__ while they need gradients
        value = value.detach().cpu()
        if value.dtype.is_floating_point and str(value.dtype) not in ("torch.float32", "torch.float64"):
            value = value.float()
    refuse_masked(value, what)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DTypeError(f"{what} is {type(value).__name__}, expected an array of numbers: {error}") from None
    if array.dtype.kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        array = array.astype(np.float32)  # ml_dtypes' bfloat16
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{what} is {array.dtype}, expected numbers")
    return array
