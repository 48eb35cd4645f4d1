"""Batches that an ``ImageDataGenerator`` transforms: of arrays, and of files in folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import random
from einkorn.data.arrays import as_array, as_numbers
from einkorn.data.augment.plan import mixed
from einkorn.data.samplers import permutation
from einkorn.errors import ArgumentError, DataError, ShapeError
from einkorn.ops._options import flag, integer
from einkorn.ops.augment import augment_color, augment_warp

if TYPE_CHECKING:
    from einkorn.data.augment.generator import ImageDataGenerator

__all__ = ["DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator"]

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")


class _Batches:
    """Batches by number, in an order that is new for every pass."""

    def __init__(
        self, generator: ImageDataGenerator, batch_size: int, shuffle: bool, seed: int | None
    ) -> None:
        self.image_data_generator = generator
        self.batch_size = integer("flow", "batch_size", batch_size, 1)
        self.shuffle = flag("flow", "shuffle", shuffle)
        self.seed = None if seed is None else integer("flow", "seed", seed, 0)
        self.n, self.passes = 0, 0
        self._order: np.ndarray | None = None
        self._key, self._next = 0, 0

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def _begin(self) -> None:
        """A new order and new transforms."""
        source = None if self.seed is None else random.Generator(mixed(self.seed, self.passes))
        self._key = mixed(*(random.default_generator if source is None else source).take(1))
        self._order = permutation(self.n, source) if self.shuffle else np.arange(self.n)
        self.passes += 1
        self._next = 0

    def __getitem__(self, index: int) -> Any:
        index = integer("flow", "the number of a batch", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} is out of range for {len(self)} batches")
        if self._order is None:
            self._begin()
        assert self._order is not None
        start = index % len(self) * self.batch_size
        return self._batch(self._order[start : start + self.batch_size])

    def _batch(self, rows: np.ndarray) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _batch()")

    def __iter__(self) -> Iterator[Any]:
        """One pass over all rows."""
        self._begin()
        for index in range(len(self)):
            yield self[index]

    def __next__(self) -> Any:
        if not len(self):
            raise StopIteration
        if self._order is None or self._next >= len(self):
            self._begin()
        self._next += 1
        return self[self._next - 1]

    def next(self) -> Any:
        """The next batch; without end."""
        return self.__next__()

    def reset(self) -> None:
        """Begin a new pass with the next batch."""
        self._order = None

    on_epoch_end = reset

    def _subset(self, rows: int, subset: Any) -> tuple[int, int]:
        """The first and the last row of a part."""
        if subset is None:
            return 0, rows
        split = int(rows * self.image_data_generator.validation_split)
        parts = {"training": (split, rows), "validation": (0, split)}
        if subset not in parts:
            raise ArgumentError(f"flow: subset is {subset!r}, expected 'training' or 'validation'")
        return parts[subset]


class NumpyArrayIterator(_Batches):
    """What ``ImageDataGenerator.flow`` returns: batches of transformed pictures, targets and weights.

    Parameters
    ----------
    x : array [images, height, width, channels]
    y : array [images, ...] or None
    image_data_generator : ImageDataGenerator
    batch_size, shuffle, sample_weight, seed, subset : as ``ImageDataGenerator.flow``
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        subset: str | None = None,
    ) -> None:
        super().__init__(image_data_generator, batch_size, shuffle, seed)
        self.x = as_numbers(x, "flow: x")
        if self.x.ndim != 4:
            raise ShapeError(f"flow: x has shape {self.x.shape}, expected [images, height, width, channels]")
        first, last = self._subset(len(self.x), subset)
        more = []
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            array = None if value is None else as_array(value, f"flow: {name}")
            if array is not None and (array.ndim == 0 or len(array) != len(self.x)):
                raise ShapeError(f"flow: {name} has shape {array.shape}, expected {len(self.x)} rows")
            more.append(None if array is None else array[first:last])
        self.x, self.n = self.x[first:last], last - first
        self.y, self.sample_weight = more

    def _batch(self, rows: np.ndarray) -> Any:
        generator = self.image_data_generator
        pictures = generator._random(generator._forth(self.x[rows]), rows, self._key)
        x = generator.standardize(generator._back(pictures))
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[rows]
        return x, self.y[rows], self.sample_weight[rows]


class _Files(_Batches):
    """Batches of pictures from files, which are named from a folder on."""

    directory: str
    filenames: list[str]
    classes: Any
    class_indices: dict[Any, int]

    def _look(
        self, op: str, target_size: Any, color_mode: str, class_mode: str | None, interpolation: str,
        *modes: str,
    ) -> None:  # fmt: skip
        for name, value, known in (
            ("color_mode", color_mode, ("rgb", "grayscale")),
            ("class_mode", class_mode, ("categorical", "binary", "sparse", "input", *modes, None)),
            ("interpolation", interpolation, ("nearest", "bilinear")),
        ):
            if value not in known:
                raise ArgumentError(f"{op}: {name} is {value!r}, expected one of {known}")
        self.target_size, self.color_mode = (int(target_size[0]), int(target_size[1])), color_mode
        self.class_mode, self.interpolation = class_mode, interpolation

    def _picture(self, row: int) -> np.ndarray:
        from einkorn.vision.images import load_image

        pixels = load_image(os.path.join(self.directory, self.filenames[row])).transpose(2, 0, 1)[None]
        pixels = np.ascontiguousarray(pixels)
        if self.color_mode == "grayscale":
            pixels = augment_color(pixels, ["grayscale"], 0)[:, :1]
        height, width = self.target_size
        matrix = np.eye(3)
        for axis, side, out in ((0, pixels.shape[3], width), (1, pixels.shape[2], height)):
            matrix[axis, axis], matrix[axis, 2] = side / out, side / out / 2 - 0.5
        return augment_warp(
            pixels, matrix, size=self.target_size, mode=self.interpolation, border="nearest", dtype=np.float32
        )[0]

    def _batch(self, rows: np.ndarray) -> Any:
        generator = self.image_data_generator
        pictures = np.stack([self._picture(row) for row in rows.tolist()])
        x = generator.standardize(generator._back(generator._random(pictures, rows, self._key)))
        if self.class_mode is None:
            return x
        return x, x.copy() if self.class_mode == "input" else self._targets(rows)

    def _targets(self, rows: np.ndarray) -> Any:
        numbers = self.classes[rows]
        if self.class_mode == "categorical":
            return np.eye(len(self.class_indices), dtype=np.float32)[numbers]
        return numbers.astype(np.float32)


class DirectoryIterator(_Files):
    """What ``ImageDataGenerator.flow_from_directory`` returns; its arguments in that order.

    Attributes
    ----------
    filenames : list of str
    classes : int array
        The class of each file.
    class_indices : dict
        Names of folders and their numbers.
    """

    def __init__(
        self,
        directory: Any,
        image_data_generator: ImageDataGenerator,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        subset: str | None = None,
        interpolation: str = "nearest",
        follow_links: bool = False,
    ) -> None:
        super().__init__(image_data_generator, batch_size, shuffle, seed)
        op = "flow_from_directory"
        self._look(op, target_size, color_mode, class_mode, interpolation)
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise DataError(f"{op}: {self.directory} is no folder")
        names = sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir())
        names = names if not classes else [str(name) for name in classes]
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.filenames, found = [], []
        for number, name in enumerate(names):
            files: list[str] = []
            for place, _, entries in os.walk(os.path.join(self.directory, name), followlinks=follow_links):
                files += [os.path.join(place, f) for f in entries if f.lower().endswith(_ENDINGS)]
            first, last = self._subset(len(files), subset)
            chosen = sorted(files)[first:last]
            self.filenames += [os.path.relpath(file, self.directory) for file in chosen]
            found += [number] * len(chosen)
        self.classes = np.array(found, np.int64)
        self.n = len(self.filenames)


class DataFrameIterator(_Files):
    """What ``ImageDataGenerator.flow_from_dataframe`` returns; its arguments in that order.

    Attributes
    ----------
    filenames : list of str
    classes : list
        The class of each file, or its classes.
    class_indices : dict
        Names of classes and their numbers.
    sample_weight : array, or None
    """

    def __init__(
        self,
        dataframe: Any,
        directory: Any = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
    ) -> None:
        super().__init__(image_data_generator, batch_size, shuffle, seed)
        self._look(_FRAME, target_size, color_mode, class_mode, interpolation, "raw", "multi_output")
        self.directory = "" if directory is None else os.fspath(directory)
        several = isinstance(y_col, (list, tuple))
        if class_mode == "multi_output" and not several:
            raise ArgumentError(f"{_FRAME}: y_col is {y_col!r}, expected a list of columns for multi_output")
        names = _column(dataframe, x_col).tolist()
        if not all(isinstance(name, (str, os.PathLike)) for name in names):
            raise ArgumentError(f"{_FRAME}: column {x_col!r} has values that are no names of files")
        kept = np.arange(len(names))
        if validate_filenames:
            good = [_ends(n) and os.path.isfile(os.path.join(self.directory, n)) for n in names]
            if not all(good):
                warnings.warn(
                    f"{_FRAME}: {len(good) - sum(good)} of {len(good)} names in column {x_col!r} are no "
                    "pictures that exist; they are left out",
                    UserWarning,
                    stacklevel=3,
                )
            kept = np.flatnonzero(good)
        labels: list[Any] = []
        if class_mode in _CLASSED:
            labels = _column(dataframe, y_col).tolist()
            kept, self.class_indices = _classes(labels, kept, classes, class_mode)
        # Of what stays, the part.
        first, last = self._subset(len(kept), subset)
        kept = kept[first:last]
        self.filenames, self.n = [os.fspath(names[row]) for row in kept], len(kept)
        if class_mode in _CLASSED:
            number = self.class_indices
            self.classes = [
                [number[one] for one in labels[row] if one in number]
                if isinstance(labels[row], (list, tuple))
                else number[labels[row]]
                for row in kept
            ]
        self._values: Any = None
        if class_mode == "multi_output":
            self._values = [np.array(_column(dataframe, column).tolist())[kept] for column in y_col]
        elif class_mode == "raw":
            columns = [_column(dataframe, column) for column in (y_col if several else [y_col])]
            self._values = np.stack([c[kept] for c in columns], 1) if several else columns[0][kept]
        self.sample_weight = None if weight_col is None else _column(dataframe, weight_col)[kept]
        if self.sample_weight is not None and self.sample_weight.dtype.kind not in "iuf":
            raise ArgumentError(
                f"{_FRAME}: column {weight_col!r} has no numbers, expected a weight for each row"
            )

    @property
    def labels(self) -> Any:
        """The targets by row."""
        return self.classes if self._values is None else self._values

    @property
    def filepaths(self) -> list[str]:
        """Where the files are."""
        return [os.path.join(self.directory, name) for name in self.filenames]

    def _batch(self, rows: np.ndarray) -> Any:
        found = super()._batch(rows)
        if self.sample_weight is None:
            return found
        return (*(found if isinstance(found, tuple) else (found, None)), self.sample_weight[rows])

    def _targets(self, rows: np.ndarray) -> Any:
        if self.class_mode == "multi_output":
            return [values[rows] for values in self._values]
        if self.class_mode == "raw":
            return self._values[rows]
        numbers = [self.classes[row] for row in rows.tolist()]
        if self.class_mode != "categorical":
            return np.array(numbers, np.float32)
        out = np.zeros((len(rows), len(self.class_indices)), np.float32)
        for row, number in zip(out, numbers, strict=True):
            row[number] = 1
        return out


_FRAME = "flow_from_dataframe"
_CLASSED = ("categorical", "binary", "sparse")


def _ends(name: Any) -> bool:
    """Whether it is a picture's name."""
    return os.fspath(name).lower().endswith(_ENDINGS)


def _column(table: Any, name: Any) -> np.ndarray:
    try:
        return np.asarray(table[name])
    except (KeyError, TypeError, IndexError, ValueError):
        raise ArgumentError(f"{_FRAME}: the table has no column {name!r}") from None


def _classes(
    labels: list[Any], kept: np.ndarray, classes: Any, mode: str | None
) -> tuple[np.ndarray, dict[Any, int]]:
    """The rows that have a class, and the numbers of classes."""
    kinds = (str, list, tuple) if mode == "categorical" else (str,)
    wrong = [labels[row] for row in kept if not isinstance(labels[row], kinds)]
    if wrong:
        raise ArgumentError(
            f"{_FRAME}: a class is {wrong[0]!r}, expected texts{' or lists' * (len(kinds) > 1)} for "
            f"class_mode {mode!r}; numbers are for 'raw'"
        )
    each = {
        int(row): set(labels[row]) if isinstance(labels[row], (list, tuple)) else {labels[row]}
        for row in kept
    }
    names = list(dict.fromkeys(classes)) if classes else sorted(set().union(*each.values()))
    if mode == "binary" and len(names) != 2:
        raise ArgumentError(f"{_FRAME}: class_mode is 'binary' with {len(names)} classes, expected two")
    rows = np.array([row for row in kept if each[int(row)] & set(names)], np.int64)
    return rows, {name: number for number, name in enumerate(names)}
