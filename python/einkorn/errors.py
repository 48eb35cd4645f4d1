"""The exceptions einkorn raises, the same on every engine.

Each is also the built-in exception a caller would expect, so ``except ValueError`` works. Messages name
the operation, the argument, what came and what was expected.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "EinkornError",
    "EngineError",
    "GradientError",
    "IndexRangeError",
    "MissingFileError",
    "MissingPackageError",
    "NonFiniteError",
    "ShapeError",
]


class EinkornError(Exception):
    """Base class of all errors that einkorn raises on purpose."""


class ShapeError(EinkornError, ValueError):
    """An array has the wrong number of dimensions or sizes that do not fit together."""


class ArgumentError(EinkornError, ValueError):
    """An option has a value that the operation does not accept."""


class IndexRangeError(EinkornError, IndexError, ValueError):
    """A class or embedding index lies outside its range."""


class DTypeError(EinkornError, TypeError):
    """An array has an element type that the operation does not compute in."""


class DeviceError(EinkornError, RuntimeError):
    """Arrays live on different devices, or on one that the operation cannot reach."""


class EngineError(EinkornError, RuntimeError):
    """The chosen engine is absent or lacks a kernel."""


class GradientError(EinkornError, RuntimeError):
    """A backward pass was asked for that the recorded graph cannot give."""


class DataError(EinkornError, ValueError):
    """A data file is missing, truncated or of another format."""


class MissingFileError(DataError, FileNotFoundError):
    """There is no such data file."""


class CheckpointError(EinkornError, ValueError):
    """A checkpoint is corrupt, incomplete or does not fit the model; a file cannot be written."""


class MissingPackageError(EinkornError, ModuleNotFoundError):
    """An optional package is not installed; the message names the extra that brings it."""


class NonFiniteError(EinkornError, FloatingPointError):
    """A training went wrong: a loss or a weight became NaN or infinite."""
