"""``to_categorical`` and other small things of ``keras.utils``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from einkorn._near import finding
from einkorn.errors import ArgumentError, IndexRangeError
from einkorn.keras._directories import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)
from einkorn.keras._images import array_to_img, img_to_array, load_img, save_img
from einkorn.keras._pictures import plot_model
from einkorn.keras._progress import Progbar
from einkorn.keras.backend import clear_session, is_keras_tensor, standardize_dtype
from einkorn.keras.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from einkorn.keras.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "array_to_img",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]  # fmt: skip


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class numbers as one-hot rows of float32.

    Parameters
    ----------
    x : array of int
    num_classes : int, optional
        By default one more than the largest.
    """
    numbers = np.asarray(x)
    if numbers.dtype.kind not in "iu" and not (numbers == numbers.astype(np.int64)).all():
        raise ArgumentError("to_categorical: x holds fractions, expected class numbers")
    numbers = numbers.astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = int(numbers.max(initial=-1)) + 1 if num_classes is None else num_classes
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
        raise IndexRangeError(
            f"to_categorical: x holds {numbers.min()} to {numbers.max()}, expected 0 to {classes - 1}"
        )
    return np.eye(classes, dtype=np.float32)[numbers]


def set_random_seed(seed: int) -> None:
    """Make what is drawn from now on repeatable: here, by NumPy and by Python.

    Parameters
    ----------
    seed : int
    """
    import random

    from einkorn.random import manual_seed

    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise ArgumentError(f"set_random_seed: seed is {seed!r}, expected an integer")
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    manual_seed(int(seed))


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """Vectors of length 1 along an axis; zeros stay."""
    array = np.asarray(x, np.float64)
    length = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(length == 0, 1, length)


def pad_sequences(
    sequences: Any, maxlen: int | None = None, dtype: str = "int32", padding: str = "pre",
    truncating: str = "pre", value: Any = 0.0,
) -> np.ndarray:  # fmt: skip
    """Sequences as rows of one length.

    Parameters
    ----------
    sequences : list of sequences
    maxlen : int, optional
        By default the longest one's length.
    dtype : str, default "int32"
    padding, truncating : "pre" or "post", default "pre"
        At which end they are filled up, and cut.
    value : number, default 0
        What they are filled with.
    """
    for name, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ArgumentError(f"pad_sequences: {name} is {where!r}, expected 'pre' or 'post'")
    length = max((len(row) for row in sequences), default=0) if maxlen is None else maxlen
    rest = next((np.asarray(row).shape[1:] for row in sequences if len(row)), ())
    out = np.full((len(sequences), length, *rest), value, dtype)
    for i, row in enumerate(sequences):
        kept = row[len(row) - length :] if truncating == "pre" and len(row) > length else row[:length]
        if len(kept):
            if padding == "post":
                out[i, : len(kept)] = kept
            else:
                out[i, length - len(kept) :] = kept
    return out


def split_dataset(
    dataset: Any, left_size: Any = None, right_size: Any = None, shuffle: bool = False, seed: Any = None
) -> Any:
    """Arrays in two parts.

    Parameters
    ----------
    dataset : array, or tuple of arrays
    left_size, right_size : float or int
        The share of the rows, or their number, of one part.
    shuffle : bool, default False
    seed : int, optional
    """
    arrays = dataset if isinstance(dataset, tuple) else (dataset,)
    rows = len(arrays[0])

    def count(size: Any) -> int:
        return math.ceil(size * rows) if isinstance(size, float) else int(size)

    if left_size is None and right_size is None:
        raise ArgumentError("split_dataset: expected left_size or right_size")
    left = count(left_size) if left_size is not None else rows - count(right_size)
    right = count(right_size) if right_size is not None else rows - left
    order = np.random.default_rng(seed).permutation(rows) if shuffle else np.arange(rows)
    parts = [
        tuple(np.asarray(a)[order[:left]] for a in arrays),
        tuple(np.asarray(a)[order[left : left + right]] for a in arrays),
    ]
    return tuple(part if isinstance(dataset, tuple) else part[0] for part in parts)


class PyDataset:
    """Base class of data that give a batch for a number: ``__getitem__`` and ``__len__`` are yours.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size : ignored
        Batches are made when they are wanted; ``einkorn.data.DataLoader`` has workers.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        pass

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} defines no __getitem__()")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} defines no __len__()")

    def on_epoch_end(self) -> None:
        """What is to be done after each pass."""

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()


Sequence = PyDataset


def model_to_dot(*_: Any, **__: Any) -> NoReturn:
    """Refused: ``plot_model`` draws models without Graphviz."""
    raise ArgumentError("model_to_dot: is not supported, expected plot_model, which draws without Graphviz")


def get_source_inputs(tensor: Any) -> list[Any]:
    """The inputs that a symbolic tensor is made of."""
    found: dict[int, Any] = {}
    waiting, done = [tensor], set()
    while waiting:
        symbol = waiting.pop()
        node = symbol.node
        if node is None or not node.inputs:
            found.setdefault(id(symbol), symbol)
        elif id(node) not in done:
            done.add(id(node))
            waiting += node.inputs[::-1]
    return list(found.values())


def get_file(*_: Any, **__: Any) -> NoReturn:
    """Refused: nothing is downloaded."""
    raise ArgumentError(
        "get_file: nothing is downloaded here; bring the file and read it, or see einkorn.keras.datasets"
    )


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a step is given: x, or a tuple of what there is."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """x, y and the weights of rows of what a step is given; None what there is not."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ArgumentError(f"unpack_x_y_sample_weight: data has {len(data)} parts, expected 1 to 3")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


_INSTEAD = {
    "Config": "a dict, or einkorn.config, holds what a run is made with",
    "FeatureSpace": "StringLookup, Discretization, Normalization and CategoryEncoding prepare tables",
    "audio_dataset_from_directory": "einkorn.seq.read_wav reads files, and einkorn.data has loaders",
    "bounding_boxes": "einkorn.vision has boxes: box_convert, box_iou, nms",
    "legacy": "names of Keras 2 are not kept",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
