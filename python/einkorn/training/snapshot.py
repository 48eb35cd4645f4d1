"""The state of a training in one file: arrays and a tree of plain values, in a safetensors checkpoint."""

from __future__ import annotations

import json
import random as _random
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from einkorn import checkpoint, random
from einkorn._device import is_on_gpu, move
from einkorn.errors import CheckpointError

__all__ = [
    "load_training",
    "packed",
    "random_state",
    "read_snapshot",
    "save_training",
    "set_random_state",
    "unpacked",
    "write_snapshot",
]

_FORMAT = "einkorn-training-1"
_ARRAY, _TUPLE, _KEYS = "$array", "$tuple", "$keys"


def random_state(generators: Iterable[Any] = ()) -> dict[str, Any]:
    """Where the random numbers of einkorn, NumPy and Python stand, and those of some generators."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = _random.getstate()
    return {
        "einkorn": list(random.get_state()),
        "numpy": [kind, np.array(keys), int(position), int(has_gauss), float(cached)],
        "python": [version, np.array(words, np.int64), gauss],
        "own": [list(generator.get_state()) for generator in generators],
    }


def set_random_state(state: Mapping[str, Any], generators: Iterable[Any] = ()) -> None:
    """Go on from what :func:`random_state` gave."""
    seed, counter = state["einkorn"]
    random.set_state((seed, counter))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.astype(np.uint32), position, has_gauss, cached))
    version, words, gauss = state["python"]
    _random.setstate((version, tuple(int(word) for word in words), gauss))
    for generator, own in zip(generators, state["own"], strict=False):
        generator.set_state(tuple(own))


def write_snapshot(path: str | PathLike[str], tree: Any) -> None:
    """Write a tree of dicts, lists, tuples, arrays, numbers, texts and None, whole or not at all.

    Raises
    ------
    CheckpointError
        Something in the tree is none of these, or the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(packed(tree, arrays, ""))
    checkpoint.write_whole(path, checkpoint.chunks_of(arrays, {"format": _FORMAT, "tree": text}))


def read_snapshot(path: str | PathLike[str]) -> Any:
    """What :func:`write_snapshot` wrote.

    Raises
    ------
    CheckpointError
        The file is missing, corrupt, or another kind of checkpoint.
    """
    arrays, metadata = checkpoint._read(path)
    if metadata.get("format") != _FORMAT or "tree" not in metadata:
        raise CheckpointError(f"{path}: holds no state of a training")
    try:
        return unpacked(json.loads(metadata["tree"]), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the state of the training is damaged: {error!r}") from error


def packed(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """A tree as plain values, its arrays apart, under names that begin with ``name``."""
    if is_on_gpu(value):
        value = move(value, "cpu")
    if isinstance(value, np.ndarray):
        arrays[name] = np.ascontiguousarray(value)
        return {_ARRAY: [name, list(value.shape)]}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        keys = list(value)
        if all(isinstance(key, str) and not key.startswith("$") for key in keys):
            return {key: packed(one, arrays, f"{name}.{key}" if name else key) for key, one in value.items()}
        pairs = [
            [packed(key, arrays, f"{name}.k{i}"), packed(one, arrays, f"{name}.{i}")]
            for i, (key, one) in enumerate(value.items())
        ]
        return {_KEYS: pairs}
    if isinstance(value, (list, tuple)):
        items = [packed(one, arrays, f"{name}.{i}" if name else str(i)) for i, one in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    raise CheckpointError(
        f"the state of a training holds {type(value).__name__} at {name or 'its root'}, expected arrays, "
        "numbers, texts, and dicts and lists of them"
    )


def unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """And back."""
    if isinstance(value, list):
        return [unpacked(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        name, shape = value[_ARRAY]
        return arrays[name].reshape(shape)
    if _TUPLE in value:
        return tuple(unpacked(one, arrays) for one in value[_TUPLE])
    if _KEYS in value:
        return {unpacked(key, arrays): unpacked(one, arrays) for key, one in value[_KEYS]}
    return {key: unpacked(one, arrays) for key, one in value.items()}


def save_training(path: str | PathLike[str], **parts: Any) -> None:
    """Write a checkpoint of a loop of your own, with the state of all random numbers.

    Parameters
    ----------
    path : str or path
        Written beside its place, synced and renamed: a process that is killed leaves the previous file.
    **parts : object with ``state_dict()``, or array, number, text, dict, list
        For example ``model=model, optimizer=optimizer, scheduler=scheduler, epoch=3``.

    Raises
    ------
    CheckpointError
        A part is none of these, or the file cannot be written.
    """
    tree = {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()}
    write_snapshot(path, {"parts": tree, "random": random_state()})


def load_training(path: str | PathLike[str], **parts: Any) -> dict[str, Any]:
    """Read what :func:`save_training` wrote, and go on with its random numbers.

    Parameters
    ----------
    path : str or path
    **parts : object with ``load_state_dict()``
        Under the names that they were saved with.

    Returns
    -------
    dict
        The parts that are not given here, such as numbers.

    Raises
    ------
    CheckpointError
        The file is missing or corrupt, or lacks a part.
    """
    tree = read_snapshot(path)
    try:
        saved, numbers = tree["parts"], tree["random"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: was not written by save_training") from error
    missing = [name for name in parts if name not in saved]
    if missing:
        raise CheckpointError(f"{path}: has no {', '.join(missing)}; there are {', '.join(saved)}")
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    set_random_state(numbers)
    return {name: value for name, value in saved.items() if name not in parts}
