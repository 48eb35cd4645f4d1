"""Models from the folders that Hugging Face's libraries save: ``config.json`` and safetensors files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn import checkpoint
from einkorn._files import read_object
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.models._published import KINDS, Kind
from einkorn.models.registry import _class_of, build
from einkorn.models.weights import WeightsReport, compared
from einkorn.nn import Module

__all__ = ["from_pretrained", "read_config"]


def from_pretrained(
    path: str | PathLike[str], *, architecture: str | None = None, strict: bool = True, **options: Any
) -> Any:
    """Build the model that a folder describes, and read its weights.

    Parameters
    ----------
    path : str or path
        A folder with ``config.json`` and ``model.safetensors``, or the parts of it that
        ``model.safetensors.index.json`` lists. GPT-2, Llama, BERT, Marian, M2M100,
        T5, ViT, CLIP, Whisper and Wav2Vec2-Conformer.
    architecture : str, keyword-only, optional
        Such as "BertForSequenceClassification", in the place of the one that the folder names.
    strict : bool, keyword-only, default True
        Whether each array of the model must be in the files. False: the others keep their initial values, as
        a new head does.
    **options
        Of the model's class, in the place of the folder's.

    Returns
    -------
    Module
        In evaluation. ``model.weights_report`` says what was read.

    Raises
    ------
    CheckpointError
        A file is missing, damaged or does not fit.
    ArgumentError
        The kind of model is not among ours, or an option is unknown.
    """
    folder = Path(path)
    config = read_config(folder)
    kind = KINDS.get(config.get("model_type", ""))
    if kind is None:
        raise ArgumentError(
            f"from_pretrained: {folder}: model_type is {config.get('model_type')!r},"
            f" expected one of {', '.join(KINDS)}"
        )
    wanted = architecture or (config.get("architectures") or [""])[0]
    name = kind.names.get(wanted, None if architecture else kind.names[""])
    if name is None:
        known = ", ".join(n for n in kind.names if n)
        raise ArgumentError(f"from_pretrained: architecture is {architecture!r}, expected one of {known}")
    own = kind.options(config)
    if name == "vit":
        head = wanted == "ViTForImageClassification"
        own["num_labels"] = len(config.get("id2label") or (0, 1)) if head else None
    if "classification" in name and "num_labels" not in options:
        own["num_labels"] = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    model = build(name, **{**own, **options})
    report = _fill(model, _renamed(kind, model, _arrays(folder)), strict, str(folder))
    model.weights_report = report
    if hasattr(model, "generation_config") and (folder / "generation_config.json").is_file():
        from einkorn.seq.generation_config import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(folder, vocab_size=model.vocab_size)
    return model.eval()


def read_one(cls: Any, path: str | PathLike[str], strict: bool, options: dict[str, Any]) -> Any:
    """:func:`from_pretrained` for one class."""
    op = f"{cls.__name__}.from_pretrained"
    kinds = {
        kind: [a for a, name in described.names.items() if a and _class_of(name) is cls]
        for kind, described in KINDS.items()
    }
    own = {kind: wanted for kind, wanted in kinds.items() if wanted}
    if not own:
        raise ArgumentError(
            f"{op}: there are no published files of this class; einkorn.load reads what einkorn.save wrote"
        )
    config = read_config(path)
    kind = config.get("model_type")
    if kind not in own:
        raise ArgumentError(f"{op}: {path}: model_type is {kind!r}, expected {' or '.join(map(repr, own))}")
    named = (config.get("architectures") or [""])[0]
    architecture = named if named in own[kind] else own[kind][0]
    return from_pretrained(path, architecture=architecture, strict=strict, **options)


def read_config(path: str | PathLike[str]) -> dict[str, Any]:
    """What a folder's ``config.json`` says.

    Raises
    ------
    CheckpointError
        There is none, or it is no JSON object.
    """
    return read_object(Path(path) / "config.json")


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if not index.is_file():
        return dict(checkpoint._read(whole)[0])
    try:
        with open(index, encoding="utf-8") as opened:
            parts = sorted(set(json.load(opened)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is no readable index: {error}") from error
    arrays: dict[str, np.ndarray] = {}
    for part in parts:
        if Path(part).name != part:
            raise CheckpointError(f"{index}: names {part!r}, expected files of the same folder")
        arrays.update(checkpoint._read(folder / part)[0])
    return arrays


def _renamed(kind: Kind, model: Module, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by our names and in our layouts."""
    own = model.state_dict()
    found = {}
    for given, array in arrays.items():
        name = given
        for pattern, new in kind.renamed:
            name = re.sub(pattern, new, name)
        if re.search(kind.left_out, name):
            continue
        for candidate in (name, f"{kind.body}.{name}", name.removeprefix(f"{kind.body}.")):
            if candidate in own:
                name = candidate
                break
        found[name] = array.T if re.search(kind.transposed, name) else array
    return found


def _fill(model: Module, found: Mapping[str, np.ndarray], strict: bool, what: str) -> WeightsReport:
    report = compared(model, found)
    if report.mismatched or not report.matched or (strict and report.missing):
        raise CheckpointError(f"{what}: does not fit {type(model).__name__}: {report}")
    model.load_state_dict({name: found[name] for name in report.matched}, strict=False)
    return report
