"""Layers that prepare data: numbers, classes, images and texts."""

from __future__ import annotations

import re
import string
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, IndexRangeError
from einkorn.keras._base import Layer, refuse
from einkorn.keras.layers._sides import as_before, as_floats, channels_first, channels_last, is_first, sides

__all__ = [
    "CategoryEncoding", "CenterCrop", "Discretization", "IntegerLookup", "Normalization", "Rescaling",
    "Resizing", "StringLookup", "TextVectorization",
]  # fmt: skip


class Rescaling(Layer):
    """x * scale + offset.

    Parameters
    ----------
    scale : float or array
    offset : float or array, default 0
    """

    supports_masking = True
    _integers = False

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = _number(scale), _number(offset)

    def call(self, x: Any) -> Any:
        return ops.add(ops.multiply(x, self.scale), self.offset)


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else np.asarray(value, np.float32)


class Normalization(Layer):
    """(x - mean) / sqrt(variance), of each feature, which ``adapt`` finds out.

    Parameters
    ----------
    axis : int, tuple of int or None, default -1
        Axes along which each index has its own figures; None for one of all numbers.
    mean, variance : float or array, optional
        Instead of ``adapt``.
    invert : bool, default False
        Whether it goes the other way.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.invert = invert
        if (mean is None) != (variance is None):
            raise ArgumentError("Normalization: expected mean and variance, or none of them")
        own = self.__dict__
        own["mean"] = None if mean is None else np.asarray(mean, np.float32)
        own["variance"] = None if variance is None else np.asarray(variance, np.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments, and what ``adapt`` has found."""
        known = {
            name: None if self.mean is None else getattr(self, name).tolist() for name in ("mean", "variance")
        }
        return {**super().get_config(), **known}

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data: an array, or an iterable of batches."""
        x = as_numpy(data, np.float64)
        kept = {axis % x.ndim for axis in self.axis}
        others = tuple(i for i in range(x.ndim) if i not in kept)
        self.__dict__["mean"] = x.mean(others, keepdims=True)[0].astype(np.float32)
        self.__dict__["variance"] = x.var(others, keepdims=True)[0].astype(np.float32)

    def call(self, x: Any) -> Any:
        if self.mean is None:
            raise ArgumentError(f"{self.name}: has no mean yet, expected adapt(data) before")
        kind = x.dtype if np.dtype(x.dtype).kind == "f" else np.dtype(np.float32)
        mean, variance = (self._shaped(v, len(x.shape)) for v in (self.mean, self.variance))
        mean, deviation = mean.astype(kind), np.maximum(np.sqrt(variance), np.float32(1e-7)).astype(kind)
        if self.invert:
            return ops.add(ops.multiply(x, deviation), mean)
        return ops.divide(ops.subtract(x, mean), deviation)

    def _shaped(self, value: np.ndarray, axes: int) -> np.ndarray:
        if value.ndim == 1 and self.axis and self.axis[0] % axes not in (axes - 1,):
            return value.reshape([-1 if i == self.axis[0] % axes else 1 for i in range(axes)])
        return value


class Resizing(Layer):
    """Images in another size.

    Parameters
    ----------
    height, width : int
    interpolation : "bilinear", "nearest" or "bicubic", default "bilinear"
    crop_to_aspect_ratio : bool, default False
        Whether the middle of the wanted ratio of sides is taken, instead of stretching.
    pad_to_aspect_ratio : bool, default False
        Whether edges are added until the ratio is the wanted one.
    fill_mode : "constant", default "constant"
    fill_value : float, default 0
        What the edges are of.
    antialias : bool, default False
        Whether smaller images are means of larger parts.
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False, fill_mode: str = "constant", fill_value: float = 0.0,
        antialias: bool = False, data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError(
                "Resizing: got crop_to_aspect_ratio and pad_to_aspect_ratio, expected one of them at most"
            )
        if interpolation not in ("bilinear", "nearest", "bicubic"):
            raise ArgumentError(
                f"Resizing: interpolation is {interpolation!r}, expected bilinear, nearest or bicubic"
            )
        if fill_mode != "constant":
            raise ArgumentError(f"Resizing: fill_mode is {fill_mode!r}, expected constant")
        self.height, self.width = sides((height, width), 2, "Resizing", "height and width")
        self.interpolation, self.antialias = interpolation, antialias
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_value = fill_value
        self.first = is_first(data_format, "Resizing")

    def call(self, x: Any) -> Any:
        single, given = len(x.shape) == 3, x
        x = as_floats(x)
        x = channels_first(ops.expand_dims(x, 0) if single else x, 2, "Resizing", self.first)
        tall, wide = x.shape[2:]
        # The sides of the wanted ratio that have the other side of the image.
        high, broad = int(wide * self.height / self.width), int(tall * self.width / self.height)
        if self.crop_to_aspect_ratio:
            high, broad = max(min(tall, high), 1), max(min(wide, broad), 1)
            top, left = (tall - high) // 2, (wide - broad) // 2
            x = x[:, :, top : top + high, left : left + broad]
        elif self.pad_to_aspect_ratio:
            top, left = (max(tall, high) - tall) // 2, (max(wide, broad) - wide) // 2
            x = ops.pad(x, [left, left, top, top], value=self.fill_value) if top or left else x
        mode = "nearest-exact" if self.interpolation == "nearest" else self.interpolation
        smooth = self.antialias and self.interpolation != "nearest"
        out = ops.interpolate(x, (self.height, self.width), mode=mode, antialias=smooth)
        out = channels_last(out, 2, self.first)
        return as_before(out[0] if single else out, given)


class CenterCrop(Layer):
    """The middle of images, as floats; smaller images are resized, as much of them as has the ratio of sides.

    Parameters
    ----------
    height, width : int
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.height, self.width = sides((height, width), 2, "CenterCrop", "height and width")
        self.first = is_first(data_format, "CenterCrop")

    def call(self, x: Any) -> Any:
        x = as_floats(x)
        start = len(x.shape) - (2 if self.first else 3)
        tall, wide = x.shape[start : start + 2]
        if tall < self.height or wide < self.width:
            form = "channels_first" if self.first else "channels_last"
            resizing = Resizing(self.height, self.width, crop_to_aspect_ratio=True, data_format=form)
            return resizing.call(x)
        top, left = (tall - self.height) // 2, (wide - self.width) // 2
        cut = [slice(None)] * start + [slice(top, top + self.height), slice(left, left + self.width)]
        return x[tuple(cut)]


class Discretization(Layer):
    """Numbers as the numbers of the bins that they lie in.

    Parameters
    ----------
    bin_boundaries : list of float, optional
        In order; a number that equals one is in the bin behind it.
    num_bins : int, optional
        Instead: ``adapt`` finds boundaries between which there are as many numbers each.
    epsilon : ignored
        The boundaries are exact.
    output_mode : "int", "one_hot", "multi_hot" or "count", default "int"
    """

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01,
        output_mode: str = "int", sparse: bool = False, dtype: Any = None, name: str | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, dtype=dtype, **options)
        refuse("Discretization", sparse=sparse)
        if (bin_boundaries is None) == (num_bins is None):
            raise ArgumentError("Discretization: expected one of bin_boundaries and num_bins")
        if num_bins is not None and (
            isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1
        ):
            raise ArgumentError(f"Discretization: num_bins is {num_bins!r}, expected an integer >= 1")
        if output_mode not in ("int", "one_hot", "multi_hot", "count"):
            raise ArgumentError(
                f"Discretization: output_mode is {output_mode!r}, expected int, one_hot, multi_hot or count"
            )
        self.num_bins, self.output_mode = num_bins, output_mode
        self.bin_boundaries = None if bin_boundaries is None else [float(v) for v in bin_boundaries]
        if self.bin_boundaries is not None and self.bin_boundaries != sorted(self.bin_boundaries):
            raise ArgumentError(
                f"Discretization: bin_boundaries is {bin_boundaries!r}, expected them in order"
            )

    def adapt(self, data: Any) -> None:
        """Find the boundaries of ``num_bins`` bins."""
        if self.num_bins is None:
            raise ArgumentError("Discretization: adapt needs num_bins, and bin_boundaries were given")
        values = as_numpy(data, np.float64).reshape(-1)
        shares = np.linspace(0, 1, self.num_bins + 1)[1:-1]
        self.bin_boundaries = [float(v) for v in np.quantile(values, shares)]

    def call(self, x: Any) -> Any:
        if self.bin_boundaries is None:
            raise ArgumentError("Discretization: there are no boundaries yet: adapt() finds them")
        values = as_numpy(x)
        numbers = np.searchsorted(np.array(self.bin_boundaries), values, side="right").astype(np.int64)
        if self.output_mode == "int":
            return numbers
        return encoded(numbers, len(self.bin_boundaries) + 1, self.output_mode)


class CategoryEncoding(Layer):
    """Class numbers as rows of as many numbers as there are classes.

    Parameters
    ----------
    num_tokens : int
    output_mode : "multi_hot", "one_hot" or "count", default "multi_hot"
        Of each row of numbers: which occur, each in a row of its own, or how often they occur.
    """

    def __init__(
        self, num_tokens: int, output_mode: str = "multi_hot", sparse: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if output_mode not in ("multi_hot", "one_hot", "count"):
            raise ArgumentError(
                f"CategoryEncoding: output_mode is {output_mode!r}, expected multi_hot, one_hot or count"
            )
        self.num_tokens, self.output_mode = num_tokens, output_mode

    def call(self, x: Any, count_weights: Any = None) -> Any:
        return encoded(np.asarray(getattr(x, "data", x)), self.num_tokens, self.output_mode, count_weights)


def encoded(numbers: np.ndarray, classes: int, mode: str, weights: Any = None) -> np.ndarray:
    numbers = numbers.astype(np.int64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
        raise IndexRangeError(
            f"CategoryEncoding: numbers reach from {numbers.min()} to {numbers.max()}, expected 0 to "
            f"{classes - 1}"
        )
    if mode == "one_hot":
        if numbers.ndim > 1 and numbers.shape[-1] == 1:
            numbers = numbers[..., 0]
        return np.eye(classes, dtype=np.float32)[numbers]
    rows = numbers.reshape(-1, 1) if numbers.ndim < 2 else numbers
    out = np.zeros((*rows.shape[:-1], classes), np.float32)
    share = np.ones(rows.shape, np.float32) if weights is None else np.asarray(weights, np.float32)
    np.add.at(out, (*np.ogrid[tuple(slice(n) for n in rows.shape)][:-1], rows), share)
    return np.minimum(out, 1) if mode == "multi_hot" else out


class _Lookup(Layer):
    """Numbers of words: 0 for none of them where there are masks, then unknown ones, then the vocabulary."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: Any = None,
        oov_token: Any = None, vocabulary: Any = None, invert: bool = False, output_mode: str = "int",
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        owner = type(self).__name__
        if num_oov_indices not in (0, 1):
            raise ArgumentError(f"{owner}: num_oov_indices is {num_oov_indices!r}, expected 0 or 1")
        if output_mode not in ("int", "one_hot", "multi_hot", "count"):
            raise ArgumentError(
                f"{owner}: output_mode is {output_mode!r}, expected int, one_hot, multi_hot or count"
            )
        self.max_tokens, self.num_oov_indices, self.mask_token = max_tokens, num_oov_indices, mask_token
        self.oov_token, self.invert, self.output_mode = oov_token, invert, output_mode
        self.words: list[Any] = []
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def _special(self) -> list[Any]:
        mask = [] if self.mask_token is None or self.output_mode != "int" else [self.mask_token]
        return mask + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary: Any) -> None:
        """Take these words, in this order; the special ones may stand in front."""
        words = [word.item() if isinstance(word, np.generic) else word for word in vocabulary]
        special = self._special()
        if special and words[: len(special)] == special:
            words = words[len(special) :]
        if len(set(words)) < len(words):
            raise ArgumentError(f"{type(self).__name__}: the vocabulary has a word twice")
        self.words = words
        self.__dict__["_numbers"] = {word: i + len(special) for i, word in enumerate(words)}

    def get_config(self) -> dict[str, Any]:
        """The arguments, and the vocabulary."""
        return {**super().get_config(), "vocabulary": list(self.words) or None}

    def adapt(self, data: Any) -> None:
        """Take the words of data, the most frequent first; among equals the later in the alphabet first."""
        counts: dict[Any, int] = {}
        for word in np.asarray(data).reshape(-1).tolist():
            counts[word] = counts.get(word, 0) + 1
        for word in (self.mask_token, self.oov_token):
            counts.pop(word, None)
        ranked = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
        room = None if self.max_tokens is None else self.max_tokens - len(self._special())
        self.set_vocabulary(ranked[:room])

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The words by their numbers."""
        return [*(self._special() if include_special_tokens else ()), *self.words]

    def vocabulary_size(self) -> int:
        """How many numbers there are."""
        return len(self.get_vocabulary())

    def call(self, x: Any) -> Any:
        if self.invert:
            table = np.array(self.get_vocabulary(), object)
            return table[np.asarray(getattr(x, "data", x), np.int64)]
        known = self.__dict__.get("_numbers", {})
        unknown = len(self._special()) - 1 if self.num_oov_indices else None
        special = {self.mask_token: 0} if self.mask_token is not None and self.output_mode == "int" else {}

        def number(word: Any) -> int:
            found = known.get(word, special.get(word, unknown))
            if found is None:
                raise ArgumentError(f"{type(self).__name__}: {word!r} is not in the vocabulary")
            return int(found)

        words = np.asarray(x)
        numbers = np.array([number(word) for word in words.reshape(-1).tolist()], np.int64).reshape(
            words.shape
        )
        if self.output_mode == "int":
            return numbers
        return encoded(numbers, self.vocabulary_size(), self.output_mode)


class StringLookup(_Lookup):
    """Numbers of texts, in the order of the vocabulary.

    Parameters
    ----------
    max_tokens : int, optional
    num_oov_indices : 0 or 1, default 1
        Whether unknown texts have a number, in front.
    mask_token : str, optional
        What has the number 0.
    oov_token : str, default "[UNK]"
    vocabulary : list of str, optional
        Instead of ``adapt``.
    invert : bool, default False
        Whether numbers become texts.
    output_mode : "int", "one_hot", "multi_hot" or "count", default "int"
    """

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: Any = None,
        oov_token: Any = "[UNK]", vocabulary: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, **options)


class IntegerLookup(_Lookup):
    """Numbers of integers, in the order of the vocabulary; arguments as :class:`StringLookup`."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: Any = None,
        oov_token: Any = -1, vocabulary: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, **options)


class TextVectorization(Layer):
    """Texts as numbers of their words: 0 is padding, 1 an unknown word.

    Parameters
    ----------
    max_tokens : int, optional
        Of the vocabulary, the two included.
    standardize : "lower_and_strip_punctuation", "lower", "strip_punctuation", callable or None
        By default the first.
    split : "whitespace", "character", callable or None, default "whitespace"
    output_mode : "int", "multi_hot" or "count", default "int"
    output_sequence_length : int, optional
        Rows are cut or padded to it; by default they have the longest one's length.
    vocabulary : list of str, optional
        Instead of ``adapt``.
    """

    def __init__(
        self, max_tokens: int | None = None, standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace", ngrams: None = None, output_mode: str = "int",
        output_sequence_length: int | None = None, pad_to_max_tokens: bool = False, vocabulary: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        if ngrams is not None:
            raise ArgumentError(f"TextVectorization: ngrams is {ngrams!r}, expected None")
        if output_mode not in ("int", "multi_hot", "count"):
            raise ArgumentError(
                f"TextVectorization: output_mode is {output_mode!r}, expected int, multi_hot or count"
            )
        self.standardize, self.split = standardize, split
        self.output_mode, self.output_sequence_length = output_mode, output_sequence_length
        mask = "" if output_mode == "int" else None
        self.lookup = StringLookup(
            max_tokens, 1, mask, output_mode="int" if output_mode == "int" else "count"
        )
        if vocabulary is not None:
            self.lookup.set_vocabulary(vocabulary)

    def get_config(self) -> dict[str, Any]:
        """The arguments, and the vocabulary."""
        return {**super().get_config(), "vocabulary": list(self.lookup.words) or None}

    def words_of(self, text: str) -> list[str]:
        """The words of one text."""
        kind = self.standardize
        if callable(kind):
            text = str(kind(text))
        elif kind is not None:
            text = text.lower() if "lower" in kind else text
            text = re.sub(f"[{re.escape(string.punctuation)}]", "", text) if "punctuation" in kind else text
        if callable(self.split):
            return list(self.split(text))
        return list(text) if self.split == "character" else [text] if self.split is None else text.split()

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the vocabulary of texts: an array or list, or an iterable of batches of them."""
        words: list[str] = []
        for batch in [data] if hasattr(data, "dtype") or isinstance(data, list) else data:
            for text in np.asarray(batch, object).reshape(-1):
                words += self.words_of(str(text))
        self.lookup.adapt(np.array(words, object))

    def get_vocabulary(self) -> list[str]:
        """The words by their numbers."""
        return self.lookup.get_vocabulary()

    def vocabulary_size(self) -> int:
        """How many numbers there are."""
        return self.lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any) -> None:
        """Take these words, in this order."""
        self.lookup.set_vocabulary(vocabulary)

    def _taken(self, value: Any) -> Any:
        return np.asarray(value, object)

    def call(self, x: Any) -> Any:
        texts = np.asarray(x, object)
        single = texts.ndim == 0
        rows = [self.words_of(str(text)) for text in texts.reshape(-1)]
        if self.output_mode != "int":
            size = self.vocabulary_size()
            known = self.lookup
            out = np.zeros((len(rows), size), np.float32)
            for i, words in enumerate(rows):
                if words:
                    out[i] = known(np.array([words], object))[0]
            out = np.minimum(out, 1) if self.output_mode == "multi_hot" else out
            return out[0] if single else out
        longest = max((len(words) for words in rows), default=0)
        length = longest if self.output_sequence_length is None else self.output_sequence_length
        numbers = np.zeros((len(rows), length), np.int64)
        for i, words in enumerate(rows):
            if words:
                found = self.lookup(np.array(words, object))[:length]
                numbers[i, : len(found)] = found
        return numbers[0] if single else numbers
