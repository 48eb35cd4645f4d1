"""Weights that others trained: read from their files, and what of them was used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from einkorn import checkpoint
from einkorn.errors import ArgumentError, CheckpointError, DataError
from einkorn.models._blocks import Network
from einkorn.models.onnx_arrays import read_onnx_arrays
from einkorn.nn import Module

__all__ = ["WeightsReport", "load_pretrained", "read_class_names"]


class WeightsReport(NamedTuple):
    """What of a file was used.

    Attributes
    ----------
    matched : tuple of str
        The model's arrays that were read.
    missing : tuple of str
        Those that the file does not have; they keep their values.
    unexpected : tuple of str
        Arrays of the file that the model has no place for.
    mismatched : tuple of str
        Arrays on both sides whose shapes differ; the model's keep their values.
    kept : tuple of str
        Arrays that no output needs and that the published model has: ``save_pretrained`` writes them again.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        lines = [f"{len(self.matched)} of {total} arrays were read"]
        for what in ("missing", "mismatched", "unexpected", "kept"):
            names = getattr(self, what)
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                lines.append(f"{what}: {', '.join(names[:5])}{more}")
        return "; ".join(lines)


def load_pretrained(
    model: Module, path: str | PathLike[str], *, strict: bool = True, new_head: bool = False
) -> WeightsReport:
    """Read weights that torch, torchvision or Keras trained into a network.

    Parameters
    ----------
    model : Module
        A network of ``einkorn.models``, or for files with torch's names any other module.
    path : str or path
        A safetensors file with torch's names, an ``.npz`` or ``.onnx`` file with the same names, or a Keras
        file (``.h5``, ``.weights.h5``), which h5py reads. Pickles (``.pt``, ``.pth``, ``.th``) are refused,
        with the way to convert them. A leading "module." is taken off, and DenseNets may have the names of
        older torchvision.
    strict : bool, keyword-only, default True
        Whether every array of the model must be in the file, and with its shape. Arrays the model has no
        place for never matter, and neither does the count of batches.
    new_head : bool, keyword-only, default False
        Whether the last layer may differ in its shape, or be absent: it keeps its values then.

    Returns
    -------
    WeightsReport

    Raises
    ------
    CheckpointError
        The file is missing, corrupt, a pickle, or, when strict, does not fit. Nothing was written then.
    MissingPackageError
        The file is Keras' and h5py is not installed.
    """
    if not isinstance(path, (str, PathLike)):
        raise ArgumentError(
            f"load_pretrained: path is {type(path).__name__}, expected a file; load_state_dict takes arrays"
        )
    file = Path(path)
    if not file.is_file():
        known = str(path) in ("imagenet", "DEFAULT") or re.fullmatch(r"\w+_V\d", str(path))
        how = ": nothing is downloaded, weights is a file" if known else ""
        raise CheckpointError(f"{file}: there is no such file{how}")
    if _begins(file, b"\x89HDF\r\n\x1a\n"):
        from einkorn.models.keras_weights import read_keras

        if not isinstance(model, Network):
            raise CheckpointError(
                f"{file}: holds HDF5, as Keras writes it, which networks of einkorn.models alone can read"
            )
        found = read_keras(model, file)
    elif file.suffix == ".npz":
        found = _named(_arrays(file))
    elif file.suffix == ".onnx":
        found = _named(read_onnx_arrays(file))
    else:
        found = _named(checkpoint._read(file)[0])
    report = compared(model, found)
    head = f"{getattr(model, 'head', '')}."
    wrong = [
        name for name in (*report.missing, *report.mismatched) if not (new_head and name.startswith(head))
    ]
    if (strict and wrong) or not report.matched:
        name = getattr(model, "name", "") or type(model).__name__
        raise CheckpointError(f"{file}: does not fit {name}: {report}")
    model.load_state_dict({name: found[name] for name in report.matched}, strict=False)
    return report


def compared(model: Module, found: Mapping[str, np.ndarray]) -> WeightsReport:
    """What of the arrays that were found a model has places for. Counts of batches need not be there."""
    own = model.state_dict()
    fits = {name: found[name].shape == array.shape for name, array in own.items() if name in found}
    return WeightsReport(
        matched=tuple(name for name, right in fits.items() if right),
        missing=tuple(n for n in own if n not in found and not n.endswith("num_batches_tracked")),
        unexpected=tuple(name for name in found if name not in own),
        mismatched=tuple(name for name, right in fits.items() if not right),
    )


def _begins(file: Path, magic: bytes) -> bool:
    try:
        with open(file, "rb") as opened:
            return opened.read(len(magic)) == magic
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror or error}") from error


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(f"{file}: is no readable npz file: {error}") from error
    except Exception as error:
        if type(error).__name__ != "BadZipFile":
            raise
        raise CheckpointError(f"{file}: is no readable npz file: {error}") from error


def _named(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by the names that today's torchvision gives them."""

    def pairs() -> Iterator[tuple[str, np.ndarray]]:
        for name, array in arrays.items():
            name = name.removeprefix("module.")
            yield re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)", r"\1\2", name), array

    return dict(pairs())


def read_class_names(path: str | PathLike[str]) -> list[str]:
    """Names of classes from a text file, one a line in the classes' order.

    Parameters
    ----------
    path : str or path
        As ``imagenet_synset_words.txt`` and ``coco.names`` are: a WordNet number at the beginning of a line
        (``n01440764 tench, Tinca tinca``) is left out, and of several names the first is taken.

    Raises
    ------
    DataError
        The file cannot be read as text, or has no lines.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"read_class_names: path is {path!r}, expected a text or a path")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error
    names = [re.sub(r"^n\d{8}\s+", "", line.strip()).split(",")[0] for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path}: has no names")
    return names
