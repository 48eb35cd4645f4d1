"""Dicts of arrays as files: what ``einkorn.save`` writes of a ``state_dict``, or of several in a dict.

The arrays stand in a safetensors file under their dotted names; how they belong together, and numbers and
texts between them, stands in its metadata as JSON. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn._device import is_on_gpu
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import CheckpointError

__all__ = ["packed", "unpacked"]


def packed(value: Any) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a structure by name, and the structure as JSON."""
    arrays: dict[str, np.ndarray] = {}
    return arrays, json.dumps(_form(value, "", arrays), separators=(",", ":"))


def _form(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for one value: a list of what kind it is and what it holds."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) or is_on_gpu(value):
        name = path or "value"
        while name in arrays:
            name += "_"
        arrays[name] = np.array(as_numpy(value), order="C", copy=None)
        return ["t" if isinstance(value, Tensor) else "a", name]
    if value is None or isinstance(value, (bool, int, float, str)):
        return ["v", value]
    lead = f"{path}." if path else ""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise CheckpointError(f"save: {lead}{key!r} is a key, expected texts and integers")
        return ["d", [[key, _form(part, f"{lead}{key}", arrays)] for key, part in value.items()]]
    if isinstance(value, (list, tuple)):
        kind = "l" if isinstance(value, list) else "p"
        return [kind, [_form(part, f"{lead}{i}", arrays) for i, part in enumerate(value)]]
    raise CheckpointError(
        f"save: {path or 'the value'} is {type(value).__name__}, expected arrays, Tensors, numbers, texts, "
        "and dicts and lists of them"
    )


def unpacked(arrays: Mapping[str, np.ndarray], text: str) -> Any:
    """The structure that ``packed`` took apart.

    Raises
    ------
    CheckpointError
        The text is none that ``packed`` makes, or names arrays that are not there.
    """
    try:
        return _value(json.loads(text), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"the structure of its arrays cannot be read: {error!r}") from error


def _value(form: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    kind, held = form
    if kind in ("t", "a"):
        return Tensor(arrays[held]) if kind == "t" else arrays[held]
    if kind == "v":
        return held
    if kind == "d":
        return {key: _value(part, arrays) for key, part in held}
    if kind in ("l", "p"):
        parts = [_value(part, arrays) for part in held]
        return parts if kind == "l" else tuple(parts)
    raise ValueError(f"unknown kind {kind!r}")
