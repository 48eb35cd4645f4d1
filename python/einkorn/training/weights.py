"""Keras' verbs for the weights of a whole model."""

from __future__ import annotations

import os
from os import PathLike
from typing import Any

import numpy as np

from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, CheckpointError, ShapeError

__all__ = ["Weighted", "check_free"]


class Weighted:
    """``save``, ``save_weights``, ``load_weights``, ``get_weights``, ``set_weights`` and ``count_params``."""

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all parameters and buffers, in the order of ``state_dict()``."""
        return [np.array(as_numpy(array)) for array in self.state_dict().values()]  # type: ignore[attr-defined]

    def set_weights(self, weights: Any) -> None:
        """Write what ``get_weights`` gave; all or nothing.

        Raises
        ------
        ArgumentError, ShapeError
            There are more or fewer arrays, or one has another shape.
        """
        own = self.state_dict()  # type: ignore[attr-defined]
        given = list(weights)
        if len(given) != len(own):
            raise ArgumentError(f"set_weights: got {len(given)} arrays, expected {len(own)}")
        for (name, array), value in zip(own.items(), given, strict=True):
            if np.shape(value) != array.shape:
                raise ShapeError(f"set_weights: {name} has shape {array.shape}, got {np.shape(value)}")
        self.load_state_dict(dict(zip(own, given, strict=True)))  # type: ignore[attr-defined]

    def count_params(self) -> int:
        """How many numbers the parameters and buffers have, moving statistics among them, as Keras counts.

        A batch normalization's count of batches, which Keras does not have, is left out.
        """
        state = self.state_dict()  # type: ignore[attr-defined]
        return sum(int(array.size) for array in state.values() if array.dtype.kind == "f")

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model.

        A model that a file can describe is written whole, with the optimizer's state, for
        ``einkorn.load_model``: those of ``einkorn.models``, of registered classes, and ``Sequential`` of
        layers of ``einkorn.nn``. Of others the weights are written, for ``load_weights``.

        Parameters
        ----------
        filepath : str or path
        overwrite : bool, default True
            Whether a file that is there is replaced.

        Raises
        ------
        CheckpointError
            The file cannot be written, or is there and must not be replaced.
        """
        from einkorn import checkpoint

        check_free(filepath, overwrite, "save")
        whole = checkpoint.can_describe(self)
        (checkpoint.save if whole else checkpoint.save_weights)(self, filepath)  # type: ignore[arg-type]

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone; arguments and errors as ``save``."""
        from einkorn import checkpoint

        check_free(filepath, overwrite, "save_weights")
        checkpoint.save_weights(self, filepath)  # type: ignore[arg-type]

    def load_weights(self, filepath: str | PathLike[str], skip_mismatch: bool = False) -> None:
        """Read the weights of a file that ``save`` or ``save_weights`` wrote.

        Parameters
        ----------
        filepath : str or path
        skip_mismatch : bool, default False
            Leave out what is missing, not known here, or of another shape, instead of raising.

        Raises
        ------
        CheckpointError
            The file is missing or corrupt, or does not fit.
        """
        from einkorn import checkpoint

        if not skip_mismatch:
            checkpoint.load_weights(self, filepath)  # type: ignore[arg-type]
            return
        own = self.state_dict()  # type: ignore[attr-defined]
        found, _ = checkpoint._read(filepath)
        fitting = {name: a for name, a in found.items() if name in own and a.shape == own[name].shape}
        self.load_state_dict(fitting, strict=False)  # type: ignore[attr-defined]


def check_free(path: str | PathLike[str], overwrite: bool, op: str) -> None:
    """Refuse to write over a file without permission."""
    if not overwrite and os.path.exists(path):
        raise CheckpointError(f"{op}: {path} is there already; overwrite=True replaces it")
