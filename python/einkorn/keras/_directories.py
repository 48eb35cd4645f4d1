"""Data sets of ``keras.utils``: windows of series, and files in folders that name their class.

What Keras gives as a ``tf.data.Dataset`` is a :class:`einkorn.data.DataLoader` here: batches as often as it
is walked through, and ``fit`` takes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.data import DataLoader, Dataset
from einkorn.data.collate import collate_rows
from einkorn.errors import ArgumentError, DataError, ShapeError

__all__ = ["image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array"]

_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_COLORS = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}


class FileLoader(DataLoader):
    """A loader of files.

    Attributes
    ----------
    class_names : list of str
    file_paths : list of str
        In the order of the rows.
    """

    class_names: list[str]
    file_paths: list[str]


class _Rows(Dataset):
    """Rows that a function makes of their numbers."""

    def __init__(self, rows: int, make: Callable[[int], Any]) -> None:
        self._rows, self._make = rows, make

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> Any:
        return self._make(index)


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> DataLoader:
    """Windows of a series, and the target of each.

    Parameters
    ----------
    data : array [steps, ...]
    targets : array [steps, ...] or None
        That of the window that begins at a step stands there.
    sequence_length : int
        Steps of a window.
    sequence_stride : int, default 1
        From one window's beginning to the next one's.
    sampling_rate : int, default 1
        From one step of a window to its next.
    batch_size : int, default 128
        None: windows one by one.
    shuffle : bool, default False
        Whether windows come in a random order, the same in every pass.
    seed : int, optional
    start_index, end_index : int, optional
        The stretch of the series that is used.

    Returns
    -------
    DataLoader
        Of windows [batch, sequence_length, ...], or of pairs with their targets.

    Raises
    ------
    ArgumentError
        An argument is out of range.
    """
    name = "timeseries_dataset_from_array"
    series = np.asarray(data)
    first = 0 if start_index is None else start_index
    end = len(series) if end_index is None else end_index
    if not 0 <= first < end <= len(series):
        raise ArgumentError(
            f"{name}: start_index and end_index are {first} and {end}, of {len(series)} steps"
        )
    steps = (("sequence_length", sequence_length), ("sequence_stride", sequence_stride))
    for what, value in (*steps, ("sampling_rate", sampling_rate)):
        if isinstance(value, bool) or int(value) != value or not value >= 1:
            raise ArgumentError(f"{name}: {what} is {value!r}, expected an integer >= 1")
    windows = end - first - (sequence_length - 1) * sampling_rate
    wanted = None if targets is None else np.asarray(targets)
    if wanted is not None:
        windows = min(windows, len(wanted) - first)
    if windows < 1:
        raise ArgumentError(f"{name}: no window of {sequence_length} steps fits into {end - first}")
    begins = np.arange(0, windows, sequence_stride) + first
    if shuffle:
        np.random.RandomState(seed).shuffle(begins)
    reach = np.arange(sequence_length) * sampling_rate

    def make(row: int) -> Any:
        window = series[begins[row] + reach]
        return window if wanted is None else (window, wanted[begins[row]])

    return DataLoader(_Rows(len(begins), make), batch_size)


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Iterable[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Pictures of folders, one for each class, as floats from 0 to 255.

    Parameters
    ----------
    directory : path
        With a folder for each class, or, where ``labels`` are none, with pictures.
    labels : "inferred", list of int, or None
        The folder's number; or a number for each file, in the order of their paths; or no labels.
    label_mode : "int", "categorical", "binary" or None, default "int"
    class_names : list of str, optional
        Names of the folders in the order of their numbers. Default: by the alphabet.
    color_mode : "rgb", "grayscale" or "rgba", default "rgb"
    batch_size : int, default 32
        None: pictures one by one.
    image_size : (int, int), default (256, 256)
        Height and width that pictures are brought to.
    shuffle : bool, default True
    seed : int, optional
        Of the order; both subsets need the same.
    validation_split : float, optional
        The share of the files, at the end, that is for validation.
    subset : "training", "validation" or "both"
        Which of them; both give two loaders.
    interpolation : "bilinear" or "nearest", default "bilinear"
    follow_links : bool, default False
    crop_to_aspect_ratio : bool, default False
        Whether the middle part of the wanted ratio is taken, instead of stretching.
    data_format : "channels_last" or "channels_first", default "channels_last"
    verbose : bool, default True
        Whether to print how many files there are.

    Returns
    -------
    DataLoader, or two
        With ``class_names`` and ``file_paths``.

    Raises
    ------
    ArgumentError, DataError
        For bad options, a folder without pictures, a file that is none.
    """
    name = "image_dataset_from_directory"
    if color_mode not in _COLORS:
        raise ArgumentError(f"{name}: color_mode is {color_mode!r}, expected one of {', '.join(_COLORS)}")
    if interpolation not in ("bilinear", "nearest"):
        raise ArgumentError(f"{name}: interpolation is {interpolation!r}, expected 'bilinear' or 'nearest'")
    if data_format not in (None, "channels_last", "channels_first"):
        raise ArgumentError(f"{name}: data_format is {data_format!r}, expected 'channels_last'")

    def read(path: Path) -> np.ndarray:
        picture = _fitted(_picture(name, path, color_mode), image_size, interpolation, crop_to_aspect_ratio)
        return (
            picture if data_format == "channels_first" else np.ascontiguousarray(picture.transpose(1, 2, 0))
        )

    files = _Files(name, directory, labels, label_mode, class_names, _PICTURES, follow_links, verbose)
    return files.loaders(read, batch_size, shuffle, seed, validation_split, subset)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Iterable[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Texts of folders, one for each class: batches are lists of str, with their labels.

    Parameters
    ----------
    directory : path
        With a folder of ``.txt`` files for each class.
    max_length : int, optional
        Characters that are kept of a text.
    labels, label_mode, class_names, batch_size, shuffle, seed : as ``image_dataset_from_directory``
    validation_split, subset, follow_links, verbose : as ``image_dataset_from_directory``

    Returns
    -------
    DataLoader, or two
        With ``class_names`` and ``file_paths``.
    """
    name = "text_dataset_from_directory"

    def read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")[:max_length]
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: {path} is not a text in UTF-8: {error}") from error

    files = _Files(name, directory, labels, label_mode, class_names, (".txt",), follow_links, verbose)
    return files.loaders(read, batch_size, shuffle, seed, validation_split, subset)


def _picture(name: str, path: Path, color_mode: str) -> np.ndarray:
    """A picture's bytes, [channels, height, width]."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert(_COLORS[color_mode][0]))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{name}: {path} is no picture that can be read: {error}") from error
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))


def _fitted(pixels: np.ndarray, size: tuple[int, int], interpolation: str, crops: bool) -> np.ndarray:
    from einkorn.data import augment

    height, width = size
    if crops:
        have = pixels.shape[1:]
        tall = min(have[0], int(have[1] * height / width)) or 1
        wide = min(have[1], int(have[0] * width / height)) or 1
        top, left = (have[0] - tall) // 2, (have[1] - wide) // 2
        pixels = np.ascontiguousarray(pixels[:, top : top + tall, left : left + wide])
    if pixels.shape[1:] == (height, width):
        return pixels.astype(np.float32)
    return augment.Resize((height, width), interpolation, antialias=False)(pixels.astype(np.float32))


class _Files:
    """Files of a folder, their classes, and loaders of what they hold."""

    def __init__(
        self, name: str, directory: Any, labels: Any, label_mode: str | None, class_names: Any,
        endings: tuple[str, ...], follow_links: bool, verbose: bool,
    ) -> None:  # fmt: skip
        self.name, self.mode = name, None if labels is None else label_mode
        folder = Path(directory)
        if not folder.is_dir():
            raise DataError(f"{name}: {folder} is no folder")
        if label_mode not in ("int", "categorical", "binary", None):
            raise ArgumentError(
                f"{name}: label_mode is {label_mode!r}, expected 'int', 'categorical', 'binary' or None"
            )
        self.class_names: list[str] = []
        numbers: list[int] = []
        if labels == "inferred" and isinstance(labels, str):
            found = sorted(path.name for path in folder.iterdir() if path.is_dir())
            self.class_names = found if class_names is None else list(class_names)
            if sorted(self.class_names) != found:
                raise ArgumentError(f"{name}: class_names is {self.class_names}, expected those of {found}")
            self.paths: list[Path] = []
            for number, one in enumerate(self.class_names):
                inside = _walk(folder / one, endings, follow_links)
                self.paths += inside
                numbers += [number] * len(inside)
        else:
            self.paths = _walk(folder, endings, follow_links)
            if labels is not None:
                numbers = [int(label) for label in labels]
                self.class_names = [str(label) for label in sorted(set(numbers))]
                if len(numbers) != len(self.paths):
                    raise ShapeError(f"{name}: labels has {len(numbers)} numbers, of {len(self.paths)} files")
        if not self.paths:
            raise DataError(f"{name}: {folder} has no files that end in {', '.join(endings)}")
        if self.mode == "binary" and len(self.class_names) != 2:
            raise ArgumentError(
                f"{name}: label_mode is 'binary', and there are {len(self.class_names)} classes"
            )
        self.labels = np.array(numbers, np.int64)
        if verbose:
            classes = f" belonging to {len(self.class_names)} classes" if self.class_names else ""
            print(f"Found {len(self.paths)} files{classes}.")

    def loaders(
        self,
        read: Any,
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
        split: Any,
        subset: str | None,
    ) -> Any:
        """One loader, or two of the subset "both"."""
        name, rows = self.name, len(self.paths)
        if (split is None) != (subset is None):
            raise ArgumentError(f"{name}: validation_split is {split!r} and subset {subset!r}, expected both")
        if split is not None and not 0 < split < 1:
            raise ArgumentError(f"{name}: validation_split is {split!r}, expected between 0 and 1")
        if subset not in (None, "training", "validation", "both"):
            raise ArgumentError(f"{name}: subset is {subset!r}, expected 'training', 'validation' or 'both'")
        if subset in ("training", "validation") and shuffle and seed is None:
            raise ArgumentError(f"{name}: seed is None, expected one that both subsets are drawn with")
        order = np.arange(rows)
        if shuffle:
            np.random.RandomState(seed).shuffle(order)
        kept = rows - int((split or 0) * rows)
        parts = {"training": order[:kept], "validation": order[kept:]}
        if subset == "both":
            return tuple(self._loader(part, read, batch_size, shuffle, seed) for part in parts.values())
        return self._loader(parts.get(subset or "", order), read, batch_size, shuffle, seed)

    def _loader(self, rows: np.ndarray, read: Any, batch_size: Any, shuffle: bool, seed: int | None) -> Any:
        labels: Any = self.labels
        if self.mode == "categorical":
            labels = np.eye(len(self.class_names), dtype=np.float32)[labels]
        elif self.mode == "binary":
            labels = labels.astype(np.float32)[:, None]

        def make(row: int) -> Any:
            found = read(self.paths[rows[row]])
            return found if self.mode is None else (found, labels[rows[row]])

        collate = None if batch_size is None else _collated
        loader = FileLoader(
            _Rows(len(rows), make), batch_size, shuffle, collate_fn=collate, seed=seed if shuffle else None
        )
        loader.class_names = self.class_names
        loader.file_paths = [str(self.paths[row]) for row in rows]
        return loader


def _collated(rows: list[Any]) -> Any:
    return collate_rows(rows, range(len(rows)))


def _walk(folder: Path, endings: tuple[str, ...], follow_links: bool) -> list[Path]:
    found = []
    for place, _, names in os.walk(folder, followlinks=follow_links):
        found += [Path(place, one) for one in names if one.lower().endswith(endings)]
    return sorted(found)
