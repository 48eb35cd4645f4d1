"""``ImageClassifier``: a network together with what else it takes to use it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn import checkpoint, ops
from einkorn._extras import need
from einkorn.data.images import enlarge, scaled
from einkorn.errors import ArgumentError, CheckpointError, EinkornError, ShapeError

__all__ = ["ImageClassifier"]

_KEY = "images"  # in a checkpoint's metadata
_BATCH = 256


class ImageClassifier:
    """A network for images, how images become its input, and the names of its classes.

    ``einkorn train`` writes one, as a checkpoint that ``einkorn.load`` reads too, for the network alone.

    Parameters
    ----------
    model : Module
        Gives raw scores [n, classes].
    classes : sequence of str
        The classes' names.
    input_shape : (channels, height, width)
        Of an image before it is enlarged, with values from 0 to 1. One channel is gray, three are red, green
        and blue. Files of another size are resized (bilinearly, without regard to their proportions).
    enlarge : int, default 1
        How often each pixel is repeated in both directions before the network sees it.
    light_on_dark : bool, default False
        Whether the network learned light strokes on a dark ground. Nothing is inverted by itself; see
        ``invert`` of the methods.

    Attributes
    ----------
    model, classes, input_shape, enlarge, light_on_dark
    """

    def __init__(
        self,
        model: Any,
        classes: Sequence[str],
        input_shape: Sequence[int],
        *,
        enlarge: int = 1,
        light_on_dark: bool = False,
    ) -> None:
        self.model = model
        self.classes = [str(name) for name in classes]
        self.input_shape = tuple(int(size) for size in input_shape)
        self.enlarge = int(enlarge)
        self.light_on_dark = bool(light_on_dark)
        if not self.classes:
            raise ArgumentError("ImageClassifier: classes is empty, expected at least one name")
        if len(self.input_shape) != 3 or self.input_shape[0] not in (1, 3) or min(self.input_shape) < 1:
            raise ArgumentError(
                f"ImageClassifier: input_shape is {self.input_shape}, expected (1 or 3, height, width)"
            )
        if self.enlarge < 1:
            raise ArgumentError(f"ImageClassifier: enlarge is {enlarge!r}, expected at least 1")

    # --- use ----------------------------------------------------------------------------------------

    def predict(self, images: Any, *, invert: bool = False) -> np.ndarray:
        """The most probable class of each image, as str [n].

        Parameters
        ----------
        images : path, array or Pillow image, or a list of them
            Of a file, or of a uint8 array [height, width] or [height, width, 3], any size is brought to the
            network's. A floating array is images as the data sets give them: [n, channels, height, width] or
            one without n, from 0 to 1, of exactly ``input_shape``.
        invert : bool, default False
            Whether files and uint8 arrays have light and dark the other way round than the network learned:
            ink on paper, say, for digits that were light on dark.

        Raises
        ------
        ShapeError, DTypeError
            For arrays of another shape or type.
        DataError
            For a file that cannot be read.
        MissingPackageError
            Pillow is not installed, and an image is a file or has to be resized.
        """
        return np.array(self.classes)[self.predict_proba(images, invert=invert).argmax(axis=1)]

    def predict_proba(self, images: Any, *, invert: bool = False) -> np.ndarray:
        """The probability of each class for each image, float [n, classes]; arguments as :meth:`predict`."""
        x = self.prepare(images, invert=invert)
        scores = self.model.predict(x, batch_size=_BATCH)
        if scores.shape != (len(x), len(self.classes)):
            raise ShapeError(
                f"ImageClassifier: the model gave {scores.shape} for {len(x)} images, expected "
                f"{(len(x), len(self.classes))} for {len(self.classes)} classes"
            )
        return np.asarray(ops.softmax(scores, -1))

    def prepare(self, images: Any, *, invert: bool = False) -> np.ndarray:
        """What the network is given: float32 [n, channels, height, width], enlarged."""
        found = images if isinstance(images, (list, tuple)) else [images]
        parts = [self._one(image, invert) for image in found]
        if not parts:
            parts = [np.empty((0, *self.input_shape), np.float32)]
        return enlarge(np.concatenate(parts), self.enlarge)

    def _one(self, image: Any, invert: bool) -> np.ndarray:
        """One image, or the many of a floating array: float32 [n, channels, height, width]."""
        if isinstance(image, np.ndarray) and image.dtype.kind == "f":
            array = image[None] if image.ndim == 3 else image
            if array.ndim != 4 or array.shape[1:] != self.input_shape:
                raise ShapeError(
                    f"ImageClassifier: images have shape {image.shape}, expected (n, "
                    f"{', '.join(map(str, self.input_shape))}) for floating arrays"
                )
            return array.astype(np.float32)
        from einkorn.vision.images import load_image, rgb_of, to_gray

        if isinstance(image, (str, os.PathLike)):
            image = load_image(image)
        channels, height, width = self.input_shape
        if channels == 1:
            pixels = to_gray(image, "ImageClassifier")
        else:
            pixels = rgb_of(image, "ImageClassifier") if hasattr(image, "convert") else np.asarray(image)
            if pixels.ndim == 2:
                pixels = np.stack([pixels] * 3, axis=-1)
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise ShapeError(
                    f"ImageClassifier: an image is {pixels.dtype} {pixels.shape}, expected uint8 (height, "
                    "width[, 3])"
                )
        if pixels.shape[:2] != (height, width):
            picture = need("PIL.Image", "resizing images")
            resized = picture.fromarray(pixels).resize((width, height), picture.Resampling.BILINEAR)
            pixels = np.asarray(resized)
        values = scaled(255 - pixels if invert else pixels)
        return values[None, None] if channels == 1 else values.transpose(2, 0, 1)[None]

    # --- files --------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
        """Write all into one checkpoint; ``metadata`` as :func:`einkorn.checkpoint.save` has it."""
        described = {
            "classes": self.classes,
            "input_shape": list(self.input_shape),
            "range": [0, 1],
            "enlarge": self.enlarge,
            "light_on_dark": self.light_on_dark,
        }
        checkpoint.save(self.model, path, metadata={_KEY: json.dumps(described), **(metadata or {})})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ImageClassifier:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or path
            The checkpoint, or a folder with one called model.safetensors.

        Raises
        ------
        CheckpointError
            There is no such file, it is corrupt, or it does not say what its input is.
        """
        file = Path(path)
        file = file / "model.safetensors" if file.is_dir() else file
        text = checkpoint.read_metadata(file).get(_KEY)
        if text is None:
            raise CheckpointError(
                f"{file}: does not say what images it takes and what its classes are called; einkorn.load "
                "may read it as a network"
            )
        try:
            described = json.loads(text)
            options = {name: described[name] for name in ("enlarge", "light_on_dark")}
            names, shape = described["classes"], described["input_shape"]
            if described["range"] != [0, 1] or not all(isinstance(name, str) for name in names):
                raise ValueError("a range or a name is not as expected")
            found = cls(None, names, shape, **options)
        except (ValueError, TypeError, KeyError, RecursionError, EinkornError) as error:
            raise CheckpointError(f"{file}: does not describe its images: {error!r}") from error
        found.model = checkpoint.load(file)
        size = math.prod(found.input_shape) * found.enlarge**2
        wanted = getattr(found.model, "input_shape", None)
        if wanted is not None and math.prod(wanted) != size:
            raise CheckpointError(f"{file}: its images have {size} values, its network takes {wanted}")
        return found

    def __repr__(self) -> str:
        return (
            f"ImageClassifier({type(self.model).__name__}, {len(self.classes)} classes, {self.input_shape})"
        )
