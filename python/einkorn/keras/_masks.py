"""Masks that travel with tensors: which steps of each sequence count, from the layer that knows it on."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from einkorn._tensor import Tensor

__all__ = ["mask_of", "with_mask"]

# By the number of the tensor: tensors compare by their elements, so a dictionary cannot have them as keys.
_masks: dict[int, tuple[Any, np.ndarray]] = {}


def with_mask(x: Any, mask: Any) -> Any:
    """x as a Tensor whose mask ``mask_of`` will find.

    Parameters
    ----------
    x : array or Tensor
    mask : array of bool
        True for the steps that count.
    """
    if mask is None:
        return x
    tensor = x if isinstance(x, Tensor) else Tensor(x)
    number = id(tensor)
    _masks[number] = (weakref.ref(tensor, lambda _: _masks.pop(number, None)), np.asarray(mask, bool))
    return tensor


def mask_of(x: Any) -> Any:
    """The mask of a tensor, those of the parts of a list, or None."""
    if not _masks:
        return None
    if isinstance(x, (list, tuple)):
        found = [mask_of(part) for part in x]
        return found if any(mask is not None for mask in found) else None
    entry = _masks.get(id(x))
    return entry[1] if entry is not None and entry[0]() is x else None
