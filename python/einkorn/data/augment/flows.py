"""Batches that an ``ImageDataGenerator`` transforms: of arrays, and of files in folders."""

from __future__ import annotations

import os
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

__all__ = ["DirectoryIterator", "NumpyArrayIterator"]

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


class DirectoryIterator(_Batches):
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
        for name, value, known in (
            ("color_mode", color_mode, ("rgb", "grayscale")),
            ("class_mode", class_mode, ("categorical", "binary", "sparse", "input", None)),
            ("interpolation", interpolation, ("nearest", "bilinear")),
        ):
            if value not in known:
                raise ArgumentError(f"{op}: {name} is {value!r}, expected one of {known}")
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise DataError(f"{op}: {self.directory} is no folder")
        names = sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir())
        names = names if not classes else [str(name) for name in classes]
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.filenames: list[str] = []
        found: list[int] = []
        for number, name in enumerate(names):
            files: list[str] = []
            for place, _, entries in os.walk(os.path.join(self.directory, name), followlinks=follow_links):
                files += [os.path.join(place, f) for f in entries if f.lower().endswith(_ENDINGS)]
            first, last = self._subset(len(files), subset)
            chosen = sorted(files)[first:last]
            self.filenames += [os.path.relpath(file, self.directory) for file in chosen]
            found += [number] * len(chosen)
        self.classes = np.array(found, np.int64)
        self.target_size, self.color_mode = (int(target_size[0]), int(target_size[1])), color_mode
        self.class_mode, self.interpolation = class_mode, interpolation
        self.n = len(self.filenames)

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
        numbers = self.classes[rows]
        if self.class_mode is None:
            return x
        if self.class_mode == "input":
            return x, x.copy()
        if self.class_mode == "categorical":
            return x, np.eye(len(self.class_indices), dtype=np.float32)[numbers]
        return x, numbers.astype(np.float32)
