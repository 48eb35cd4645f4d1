"""Layers that number texts by what is computed from them, without a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.keras._base import Layer, refuse
from einkorn.keras.layers._hashes import crossed, fingerprint, siphash
from einkorn.keras.layers.preprocessing import encoded

__all__ = ["HashedCrossing", "Hashing"]


def _values(owner: str, x: Any) -> np.ndarray:
    """Texts as objects, numbers as 64-bit integers."""
    array = as_numpy(x)
    if array.dtype.kind in "SUO":
        return array.astype(object)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{owner}: x has dtype {array.dtype}, expected texts or numbers")
    with np.errstate(invalid="ignore"):
        return array.astype(np.int64)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _bins(owner: str, num_bins: Any) -> int:
    if isinstance(num_bins, bool) or not isinstance(num_bins, (int, np.integer)) or num_bins < 1:
        raise ArgumentError(f"{owner}: num_bins is {num_bins!r}, expected an integer >= 1")
    return int(num_bins)


class Hashing(Layer):
    """Numbers of texts or integers below ``num_bins``, by a hash of them; those of Keras.

    Parameters
    ----------
    num_bins : int
    mask_value : optional
        What has the number 0, which nothing else has then.
    salt : int or (int, int), optional
        The key of a SipHash; without it, FarmHash's fingerprint.
    output_mode : "int", "one_hot", "multi_hot" or "count", default "int"
    sparse : False
        Arrays are dense.
    """

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = "int",
        sparse: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        refuse("Hashing", sparse=sparse)
        super().__init__(**{**options, "dtype": None} if options.get("dtype") == "int64" else options)
        if output_mode not in ("int", "one_hot", "multi_hot", "count"):
            raise ArgumentError(
                f"Hashing: output_mode is {output_mode!r}, expected int, one_hot, multi_hot or count"
            )
        key = (salt, salt) if isinstance(salt, int) and not isinstance(salt, bool) else salt
        if key is not None and not (
            isinstance(key, (tuple, list)) and len(key) == 2 and all(isinstance(k, int) for k in key)
        ):
            raise ArgumentError(f"Hashing: salt is {salt!r}, expected an integer or two")
        self.num_bins, self.mask_value = _bins("Hashing", num_bins), mask_value
        self.salt, self.output_mode, self.sparse = None if key is None else tuple(key), output_mode, sparse

    def call(self, x: Any) -> Any:
        values = _values("Hashing", x)
        masks = self.mask_value is not None and self.num_bins > 1
        bins = self.num_bins - 1 if masks else self.num_bins
        hidden = _bytes(self.mask_value)
        known: dict[bytes, int] = {}

        def number(value: Any) -> int:
            text = _bytes(value)
            if text not in known:
                if masks and text == hidden:
                    known[text] = 0
                else:
                    word = fingerprint(text) if self.salt is None else siphash(text, self.salt)
                    known[text] = word % bins + masks
            return known[text]

        flat = np.array([number(value) for value in values.reshape(-1).tolist()], np.int64)
        numbers = flat.reshape(values.shape)
        return numbers if self.output_mode == "int" else encoded(numbers, self.num_bins, self.output_mode)


class HashedCrossing(Layer):
    """Numbers below ``num_bins`` of what occurs together in several columns, by a hash; those of Keras.

    Parameters
    ----------
    num_bins : int
    output_mode : "int" or "one_hot", default "int"
    sparse : False
        Arrays are dense.
    """

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, name: str | None = None,
        dtype: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        refuse("HashedCrossing", sparse=sparse)
        super().__init__(name=name, dtype=None if dtype == "int64" else dtype, **options)
        if output_mode not in ("int", "one_hot"):
            raise ArgumentError(f"HashedCrossing: output_mode is {output_mode!r}, expected int or one_hot")
        self.num_bins, self.output_mode, self.sparse = _bins("HashedCrossing", num_bins), output_mode, sparse

    def call(self, x: Any) -> Any:
        if not isinstance(x, (list, tuple)) or len(x) < 2:
            raise ArgumentError("HashedCrossing: x is one column, expected a list of two or more")
        columns = [_values("HashedCrossing", column) for column in x]
        shape = columns[0].shape
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1) or any(c.shape != shape for c in columns):
            raise ShapeError(
                f"HashedCrossing: x has shapes {[c.shape for c in columns]}, expected one of (), (rows,) and "
                "(rows, 1) for all"
            )
        rows = zip(*(column.reshape(-1).tolist() for column in columns), strict=True)
        flat = [
            crossed([v % 2**64 if isinstance(v, int) else fingerprint(_bytes(v)) for v in row])
            % self.num_bins
            for row in rows
        ]
        numbers = np.array(flat, np.int64).reshape(shape)
        return numbers if self.output_mode == "int" else encoded(numbers, self.num_bins, "one_hot")
