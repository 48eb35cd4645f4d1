"""The arrays of a ``state_dict``: NumPy's, which take a Tensor's methods too.

NumPy's programs copy and compare them as arrays. torch's ask ``state["weight"].size()`` and keep
``state["weight"].clone()``: what an array does not have comes from the Tensor over the same memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor

__all__ = ["StateArray"]

#: What an array is asked for to learn whether it is a Tensor.
_NOT_OURS = ("backward", "grad", "grad_fn", "requires_grad")


class _Size(int):
    """The number of elements; called, the shape, as a Tensor's ``size``."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]


class StateArray(np.ndarray):
    """An array of a ``state_dict``: NumPy's attributes first, then those of a Tensor of the same memory.

    ``size`` is the number of elements, and called the shape.
    """

    @property
    def size(self) -> _Size:
        """The number of elements; ``size()`` is the shape."""
        count = _Size(int(np.prod(self.shape, dtype=np.int64)))
        count.shape = self.shape
        return count

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _NOT_OURS or not hasattr(Tensor, name):
            raise AttributeError(f"'StateArray' object has no attribute {name!r}")
        return getattr(Tensor._wrap(self.view(np.ndarray), False, None), name)
