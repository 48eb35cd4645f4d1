"""``ImageDataGenerator``: Keras' options of augmentation as one call. Its batches are made in flows.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from einkorn import random
from einkorn._tensor import as_numpy
from einkorn.data.arrays import as_numbers
from einkorn.data.augment.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from einkorn.data.augment.plan import Plan, Targets, mixed
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import flag, integer, number
from einkorn.ops.augment import augment_color, augment_warp

__all__ = ["ImageDataGenerator"]

_BORDERS = {"constant": "constant", "nearest": "nearest", "reflect": "symmetric", "wrap": "wrap"}
_BRIGHTNESS, _OFFSET = 1, 11
_NEUTRAL: dict[str, Any] = {
    "theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0, "flip_horizontal": False,
    "flip_vertical": False, "channel_shift_intensity": None, "brightness": None,
}  # fmt: skip
_DRAWS = 14


class ImageDataGenerator:
    """Random transforms and standardization of pictures, as Keras' class of the same name.

    Parameters
    ----------
    featurewise_center, featurewise_std_normalization : bool, default False
        Less the mean, over the standard deviation of each channel, which ``fit`` finds.
    samplewise_center, samplewise_std_normalization : bool, default False
        The same with each picture's own.
    zca_whitening : bool, default False
        Pixels made independent of each other by a matrix that ``fit`` finds.
    zca_epsilon : float, default 1e-6
    rotation_range : float, default 0
        Degrees in either direction.
    width_shift_range, height_shift_range : float, int or sequence, default 0
        Below 1 shares of the side, else pixels, in either direction; an integer n draws whole numbers below
        n, a sequence one of its numbers.
    brightness_range : (float, float), optional
        Factors; results stay between 0 and 255.
    shear_range : float, default 0
        Degrees in either direction.
    zoom_range : float or (float, float), default 0
        Factors, for both sides apart; z is (1 - z, 1 + z). Above 1 the picture becomes smaller.
    channel_shift_range : float, default 0
        Added to all channels, within the picture's own range.
    fill_mode : "nearest", "constant", "reflect" or "wrap", default "nearest"
        Around a b c d: a a a|d d d, k k k|k k k, c b a|d c b, b c d|a b c.
    cval : float, default 0
    horizontal_flip, vertical_flip : bool, default False
        With probability 1/2.
    rescale : float, optional
        Multiplied by after everything else but standardization.
    preprocessing_function : callable, optional
        Of one picture, before ``rescale``.
    data_format : "channels_last" or "channels_first", default "channels_last"
    validation_split : float, default 0
        The share of rows, the first ones, that ``subset="validation"`` is.
    interpolation_order : 0 or 1, default 1
        Nearest or linear.
    dtype : float32, default

    Notes
    -----
    The parameters and matrices of ``apply_transform`` are Keras'. Pictures that are not square turn about
    their middle, ``width_shift_range`` shifts along the rows and ``height_shift_range`` along the columns,
    which is what Keras documents. Brightness is not rounded to whole numbers in between. With "constant", the
    edge blends into ``cval`` over one pixel.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], np.ndarray] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        name = "ImageDataGenerator"
        if data_format not in (None, "channels_last", "channels_first"):
            raise ArgumentError(
                f"{name}: data_format is {data_format!r}, expected 'channels_last' or 'channels_first'"
            )
        if fill_mode not in _BORDERS:
            raise ArgumentError(f"{name}: fill_mode is {fill_mode!r}, expected one of {', '.join(_BORDERS)}")
        if interpolation_order not in (0, 1):
            raise ArgumentError(f"{name}: interpolation_order is {interpolation_order!r}, expected 0 or 1")
        for key, given in (
            ("featurewise_center", featurewise_center),
            ("samplewise_center", samplewise_center),
            ("featurewise_std_normalization", featurewise_std_normalization),
            ("samplewise_std_normalization", samplewise_std_normalization),
            ("zca_whitening", zca_whitening),
            ("horizontal_flip", horizontal_flip),
            ("vertical_flip", vertical_flip),
        ):
            flag(name, key, given)
        for key, value in (
            ("zca_epsilon", zca_epsilon),
            ("rotation_range", rotation_range),
            ("shear_range", shear_range),
            ("channel_shift_range", channel_shift_range),
            ("rescale", 1.0 if rescale is None else rescale),
            ("validation_split", validation_split),
        ):
            if not math.isfinite(number(name, key, value)):
                raise ArgumentError(f"{name}: {key} is {value!r}, expected a finite number")
        number(name, "cval", cval)
        for key, value in (
            ("width_shift_range", width_shift_range),
            ("height_shift_range", height_shift_range),
        ):
            _check_numbers(name, key, value, (0, 1))
        for key, value in (("brightness_range", brightness_range), ("zoom_range", zoom_range)):
            if value is not None:
                _check_numbers(name, key, value, (0, 1))
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise ArgumentError(
                f"{name}: preprocessing_function is {preprocessing_function!r}, expected a function"
            )
        if zca_epsilon < 0:
            raise ArgumentError(f"{name}: zca_epsilon is {zca_epsilon!r}, expected at least 0")
        if not 0 <= validation_split < 1:
            raise ArgumentError(f"{name}: validation_split is {validation_split!r}, expected a share below 1")
        if dtype is not None and str(getattr(dtype, "__name__", dtype)) != "float32":
            raise ArgumentError(f"{name}: dtype is {dtype!r}, expected float32")
        for key, value in (("brightness_range", brightness_range), ("zoom_range", zoom_range)):
            if value is not None and np.shape(value) not in ((), (2,)):
                raise ArgumentError(f"{name}: {key} is {value!r}, expected two numbers")
        if brightness_range is not None and np.ndim(brightness_range) != 1:
            raise ArgumentError(f"{name}: brightness_range is {brightness_range!r}, expected two numbers")
        if zca_whitening and not featurewise_center:
            featurewise_center = True
        if featurewise_std_normalization and not featurewise_center:
            featurewise_center = True
        if samplewise_std_normalization and not samplewise_center:
            samplewise_center = True
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range, self.channel_shift_range = brightness_range, channel_shift_range
        self.zoom_range = (
            [1 - zoom_range, 1 + zoom_range] if np.ndim(zoom_range) == 0 else [zoom_range[0], zoom_range[1]]
        )
        self.fill_mode, self.cval = fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = data_format or "channels_last"
        self.validation_split, self.interpolation_order = validation_split, interpolation_order
        self.dtype = "float32"
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None

    # --- one picture ---

    def get_random_transform(self, img_shape: Any, seed: int | None = None) -> dict[str, Any]:
        """Parameters for one picture of this shape: what ``apply_transform`` takes.

        Parameters
        ----------
        img_shape : tuple of int
        seed : int, optional
            Without it they come from einkorn's generator.
        """
        height, width = self._sides(tuple(img_shape))
        key = mixed(*random.take(1)) if seed is None else mixed(int(seed), 0)
        drawn = self._draw(key, np.zeros(1, np.int64), height, width)
        return {name: None if value is None else value[0].item() for name, value in drawn.items()}

    def apply_transform(self, x: Any, transform_parameters: dict[str, Any]) -> np.ndarray:
        """One picture [height, width, channels], transformed by parameters; what is missing changes nothing.

        Parameters
        ----------
        x : array
        transform_parameters : dict
            "theta" degrees, "tx" and "ty" pixels along the rows and along the columns, "shear" degrees, "zx"
            and "zy" factors, "flip_horizontal", "flip_vertical", "channel_shift_intensity", "brightness".
        """
        if not isinstance(transform_parameters, Mapping):
            raise ArgumentError(
                f"apply_transform: transform_parameters is {transform_parameters!r}, expected a dict"
            )
        unknown = sorted(map(str, transform_parameters.keys() - _NEUTRAL.keys()))
        if unknown:
            raise ArgumentError(f"apply_transform: unknown parameters {', '.join(unknown)}")
        for key, value in transform_parameters.items():
            if (
                value is not None
                and not key.startswith("flip")
                and not math.isfinite(number("apply_transform", key, value))
            ):
                raise ArgumentError(f"apply_transform: {key} is {value!r}, expected a finite number")
        values = {
            name: None if v is None else np.array([v])
            for name, v in (_NEUTRAL | transform_parameters).items()
        }
        return self._back(self._applied(self._forth(as_numpy(x)[None]), values))[0]

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """One picture, transformed at random."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def standardize(self, x: Any) -> np.ndarray:
        """Pictures after ``preprocessing_function``, ``rescale`` and what is to be subtracted and divided by.

        Parameters
        ----------
        x : array [..., height, width, channels]
        """
        x = np.array(as_numpy(x), np.float32)
        pictures = x if x.ndim == 4 else x[None]
        if self.preprocessing_function is not None:
            pictures = np.stack([self._preprocessed(p) for p in pictures]) if len(pictures) else pictures
        if self.rescale:
            pictures *= np.float32(self.rescale)
        each = (1, 2, 3)
        if self.samplewise_center:
            pictures -= pictures.mean(each, keepdims=True)
        if self.samplewise_std_normalization:
            pictures /= pictures.std(each, keepdims=True) + 1e-6
        if self.featurewise_center and self._fitted("featurewise_center", self.mean):
            pictures -= self.mean
        if self.featurewise_std_normalization and self._fitted("featurewise_std_normalization", self.std):
            assert self.std is not None
            pictures /= self.std + 1e-6
        if self.zca_whitening and self._fitted("zca_whitening", self.zca_whitening_matrix):
            assert self.zca_whitening_matrix is not None
            flat = pictures.reshape(len(pictures), -1)
            pictures = (flat @ self.zca_whitening_matrix).reshape(pictures.shape)
        return pictures if x.ndim == 4 else pictures[0]

    def _preprocessed(self, picture: np.ndarray) -> np.ndarray:
        assert self.preprocessing_function is not None
        found = as_numbers(
            self.preprocessing_function(picture), "ImageDataGenerator: what preprocessing_function gave"
        )
        if found.shape != picture.shape:
            raise ShapeError(
                f"ImageDataGenerator: preprocessing_function gave shape {found.shape}, expected that of the "
                f"picture, {picture.shape}"
            )
        return found.astype(np.float32)

    def _fitted(self, option: str, found: Any) -> bool:
        if found is None:
            warnings.warn(f"ImageDataGenerator: {option} does nothing before fit()", stacklevel=3)
        return found is not None

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find the mean, the standard deviation and the whitening matrix that the options ask for.

        Parameters
        ----------
        x : array [images, height, width, channels]
        augment : bool, default False
            Whether of transformed pictures, each ``rounds`` times.
        rounds : int, default 1
        seed : int, optional
        """
        rounds = integer("fit", "rounds", rounds, 1)
        pictures = np.array(as_numbers(x, "fit: x"), np.float32)
        if pictures.ndim != 4 or not pictures.size:
            raise ShapeError(f"fit: x has shape {pictures.shape}, expected four axes, none of them empty")
        if self.rescale:
            pictures *= np.float32(self.rescale)
        if augment:
            key = mixed(*random.take(1)) if seed is None else mixed(int(seed), 1)
            rows = np.arange(len(pictures) * rounds)
            pictures = self._back(self._random(self._forth(np.tile(pictures, (rounds, 1, 1, 1))), rows, key))
        last = self.data_format == "channels_last"
        axes = (0, 1, 2) if last else (0, 2, 3)
        shape = (1, 1, -1) if last else (-1, 1, 1)
        if self.featurewise_center:
            self.mean = pictures.mean(axes).reshape(shape)
            pictures -= self.mean
        if self.featurewise_std_normalization:
            self.std = pictures.std(axes).reshape(shape)
            pictures /= self.std + 1e-6
        if self.zca_whitening:
            flat = pictures.reshape(len(pictures), -1)
            u, s, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (u * (math.sqrt(len(flat)) / (s + self.zca_epsilon))) @ u.T

    # --- batches ---

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches of transformed pictures: ``fit`` takes them.

        Parameters
        ----------
        x : array [images, height, width, channels]
        y, sample_weight : array [images, ...], optional
        batch_size : int, default 32
        shuffle : bool, default True
        seed : int, optional
            Of the order and the transforms. Without it they come from einkorn's generator.
        save_to_dir, save_prefix, save_format
            Not supported: None.
        ignore_class_split : bool, default False
            Means nothing.
        subset : "training" or "validation", optional

        Returns
        -------
        NumpyArrayIterator
            One pass over the rows when it is iterated over; ``next()`` goes on without end.
        """
        _refuse_saving("flow", save_to_dir)
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            subset=subset,
        )

    def flow_from_directory(
        self,
        directory: Any,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Batches of transformed pictures from files, of which each class has a folder.

        Parameters
        ----------
        directory : path
        target_size : (int, int), default (256, 256)
            Height and width.
        color_mode : "rgb" or "grayscale", default "rgb"
        classes : sequence of str, optional
            Names of folders. Default: all, in alphabetical order.
        class_mode : str or None, default "categorical"
            "categorical" shares, "binary" or "sparse" numbers, "input" the pictures themselves, None nothing.
        interpolation : "nearest" or "bilinear", default "nearest"
        keep_aspect_ratio : False
        batch_size, shuffle, seed, subset, ... : as ``flow``
        """
        _refuse_saving("flow_from_directory", save_to_dir)
        if keep_aspect_ratio:
            raise ArgumentError("flow_from_directory: keep_aspect_ratio is True, which is not supported")
        return DirectoryIterator(
            directory, self, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, subset,
            interpolation, follow_links,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: Any = None,
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
        save_to_dir: None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
    ) -> DataFrameIterator:
        """Batches of transformed pictures from files that a table names.

        Parameters
        ----------
        dataframe : pandas.DataFrame, or a dict of columns
        directory : path, optional
            Where the names begin. Default: here.
        x_col : str, default "filename"
        y_col : str or list of str, default "class"
        weight_col : str, optional
            The column of weights, which are the third of each batch.
        classes : sequence of str, optional
            Default: all, in alphabetical order; rows of others are left out.
        class_mode : str or None, default "categorical"
            As ``flow_from_directory``, and "raw" the numbers of a column or of several, "multi_output" a list
            of columns.
        validate_filenames : bool, default True
            Whether rows whose file does not exist are left out, with a warning.
        target_size, color_mode, interpolation, batch_size, ... : as ``flow_from_directory``
        """
        _refuse_saving("flow_from_dataframe", save_to_dir)
        return DataFrameIterator(
            dataframe, directory, self, x_col, y_col, weight_col, target_size, color_mode, classes,
            class_mode, batch_size, shuffle, seed, subset, interpolation, validate_filenames,
        )  # fmt: skip

    # --- parts ---

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if len(shape) != 3:
            raise ShapeError(f"ImageDataGenerator: a picture has shape {shape}, expected three axes")
        return shape[:2] if self.data_format == "channels_last" else shape[1:]

    def _forth(self, x: np.ndarray) -> np.ndarray:
        """Pictures as floats, their channels first."""
        if x.ndim != 4:
            raise ShapeError(
                f"ImageDataGenerator: x has shape {x.shape}, expected [images, height, width, channels]"
            )
        first = x.transpose(0, 3, 1, 2) if self.data_format == "channels_last" else x
        return np.ascontiguousarray(first, np.float32)

    def _back(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self.data_format == "channels_last" else x

    def _draw(self, key: int, rows: np.ndarray, height: int, width: int) -> dict[str, Any]:
        plan = Plan(np.zeros((len(rows), 1, 1, 1), np.float32), Targets(), rows, key, _DRAWS)
        u = plan.uniform(_DRAWS)

        def even(i: int, most: float) -> np.ndarray:
            return (2 * u[:, i] - 1) * most

        zooms = self.zoom_range[0] + u[:, 6:8] * (self.zoom_range[1] - self.zoom_range[0])
        brightness = None
        if self.brightness_range is not None:
            low, high = self.brightness_range
            brightness = low + u[:, 11] * (high - low)
        return {
            "theta": even(0, self.rotation_range),
            "tx": _shift(self.width_shift_range, u[:, 1:3], width),
            "ty": _shift(self.height_shift_range, u[:, 3:5], height),
            "shear": even(5, self.shear_range),
            "zx": zooms[:, 0],
            "zy": zooms[:, 1],
            "flip_horizontal": (u[:, 8] < 0.5) & self.horizontal_flip,
            "flip_vertical": (u[:, 9] < 0.5) & self.vertical_flip,
            "channel_shift_intensity": even(10, self.channel_shift_range)
            if self.channel_shift_range
            else None,
            "brightness": brightness,
        }

    def _random(self, x: np.ndarray, rows: np.ndarray, key: int) -> np.ndarray:
        return self._applied(x, self._draw(key, rows, *x.shape[2:]))

    def _applied(self, x: np.ndarray, values: dict[str, Any]) -> np.ndarray:
        height, width = x.shape[2:]
        matrix = _matrices(values, height, width)
        if (matrix != np.eye(3)).any():
            x = augment_warp(
                x, matrix, mode="bilinear" if self.interpolation_order else "nearest",
                border=_BORDERS[self.fill_mode], fill=self.cval,
            )  # fmt: skip
        if values["channel_shift_intensity"] is not None:
            x = augment_color(x, [_OFFSET], values["channel_shift_intensity"][:, None], limit=255)
        if values["brightness"] is not None:
            x = augment_color(x, [_BRIGHTNESS], values["brightness"][:, None], limit=255)
        return x


def _check_numbers(owner: str, name: str, value: Any, ranks: tuple[int, ...]) -> None:
    """Refuse what is no finite number and no sequence of them."""
    numbers = as_numbers(value, f"{owner}: {name}")
    if numbers.ndim not in ranks or numbers.dtype.kind == "b" or not np.isfinite(numbers).all():
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected finite numbers")


def _refuse_saving(owner: str, save_to_dir: Any) -> None:
    if save_to_dir is not None:
        raise ArgumentError(f"{owner}: save_to_dir is {save_to_dir!r}, which is not supported, expected None")


def _shift(value: Any, u: np.ndarray, side: int) -> np.ndarray:
    """Pixels, from a share or number, a whole number below which to draw, or a choice."""
    if isinstance(value, (int, np.integer)) or np.ndim(value) == 1:
        choice = np.arange(value) if np.ndim(value) == 0 else np.asarray(value, np.float64)
        if not len(choice):
            return np.zeros(len(u))
        drawn = choice[(u[:, 0] * len(choice)).astype(int)] * np.where(u[:, 1] < 0.5, -1.0, 1.0)
    else:
        drawn = (2 * u[:, 0] - 1) * value
    return drawn * side if np.max(value) < 1 else drawn


def _matrices(values: dict[str, Any], height: int, width: int) -> np.ndarray:
    """From output pixels to source pixels: turn, shift, shear and zoom about the middle, then flips."""
    images = len(values["theta"])
    turn, slant = np.radians(values["theta"]), np.radians(values["shear"])

    def matrix(a: Any, b: Any, x: Any, c: Any, d: Any, y: Any) -> np.ndarray:
        out = np.zeros((images, 3, 3))
        for place, value in zip(
            ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 2)), (a, b, x, c, d, y, 1), strict=True
        ):
            out[:, place[0], place[1]] = value
        return out

    across, down = values["flip_horizontal"].astype(bool), values["flip_vertical"].astype(bool)
    x, y = (width - 1) / 2, (height - 1) / 2
    return (
        matrix(1, 0, x, 0, 1, y)
        @ matrix(np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0)
        @ matrix(1, 0, values["tx"], 0, 1, values["ty"])
        @ matrix(1, -np.sin(slant), 0, 0, np.cos(slant), 0)
        @ matrix(values["zx"], 0, 0, 0, values["zy"], 0)
        @ matrix(np.where(across, -1, 1), 0, 0, 0, np.where(down, -1, 1), 0)
        @ matrix(1, 0, -x, 0, 1, -y)
    )
