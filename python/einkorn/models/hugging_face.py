"""Models from the folders that Hugging Face's libraries save: ``config.json`` and safetensors files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn import _bfloat16, checkpoint
from einkorn._files import check_folder, read_object
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.models._published import KINDS, Kind
from einkorn.models._publishing import WRITERS, architecture_of
from einkorn.models.registry import _class_of, build, name_of
from einkorn.models.weights import WeightsReport, compared
from einkorn.nn import Module
from einkorn.nn.parameter import deferred

__all__ = ["from_pretrained", "read_config"]

#: Tokens of generation that older files have in ``config.json``.
_STARTS = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
#: The embeddings of models whose head may be a matrix of its own.
_TABLES = {"t5": "shared.weight", "llama": "model.embed_tokens.weight"}


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
        In evaluation; of float64 where all arrays are, else float32. ``model.weights_report`` says what was
        read, ``model.published_config`` is what ``config.json`` says.

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
    if "classification" in name:
        own["classifier_dropout"] = config.get("classifier_dropout")
        if "num_labels" not in options:
            own["num_labels"] = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    if name == "bert":
        own["add_pooling_layer"] = config.get("add_pooling_layer", True)
    arrays = _arrays(folder)
    head, table = arrays.get("lm_head.weight"), arrays.get(_TABLES.get(config["model_type"], ""))
    if head is not None and table is not None and not np.array_equal(head, table):
        # Files that transformers 5 writes say that one matrix is both, and hold two.
        if name == "t5":
            own.setdefault("scale_decoder_outputs", own.get("tie_word_embeddings", True))
        own["tie_word_embeddings"] = False
    model = build(name, **{**own, **options})
    if {a.dtype for a in arrays.values() if _bfloat16.is_floating(a.dtype)} == {np.dtype(np.float64)}:
        model.to(np.float64)
    model.weights_report = _fill(model, _renamed(kind, model, arrays), strict, str(folder))
    model.published_config = config
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


def write_one(model: Any, path: str | PathLike[str], max_shard_size: int | str) -> None:
    """``save_pretrained`` of a model."""
    op = f"{type(model).__name__}.save_pretrained"
    check_folder(op, path)
    most = _bytes_of(op, max_shard_size)
    name = name_of(model)
    found = None if name is None else architecture_of(name, model)
    if name is None or found is None:
        raise CheckpointError(f"{op}: there is no published kind of this class; einkorn.save keeps the model")
    state = dict(model.state_dict())
    with deferred(len(state), sum(array.size for array in state.values())):
        expected = {own: array.shape for own, array in build(name, **model.config).state_dict().items()}
    odd = sorted(n for n in {*state, *expected} if n not in state or state[n].shape != expected.get(n))
    if odd or getattr(model, "small_head", None) is not None:
        what = odd[0] if odd else "a head of eight bits"
        raise CheckpointError(
            f"{op}: the model is not what its configuration builds: {what}; merge_lora takes adapters away,"
            " and eight bits are not written"
        )
    kind, architecture = found
    arrays = _outward(kind, model, state)
    kinds = {a.dtype for a in arrays.values() if _bfloat16.is_floating(a.dtype)}
    config = {
        **WRITERS[kind].defaults,
        **(getattr(model, "published_config", None) or {}),
        **WRITERS[kind].config(model),
        "model_type": kind,
        "architectures": [architecture],
        "dtype": str(max(kinds, key=lambda dtype: dtype.itemsize)),
    }
    config.pop("torch_dtype", None)  # what "dtype" is called in older files
    _write(Path(path), config, _generation(model, config), _parts(arrays, most))


def _generation(model: Any, config: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model's options of generation, and what else transformers needs to write with it."""
    if not hasattr(model, "decoder_start_token_id"):
        return getattr(model, "generation_config", None), {}
    tokens = {name: config[name] for name in _STARTS if config.get(name) is not None}
    return model.generation_config, tokens


def _outward(kind: str, model: Any, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by the published names and in their layouts."""
    arrays = {}
    body = KINDS[kind].body
    dtype = next(iter(state.values())).dtype
    more = {name: _bfloat16.astype(array, dtype) for name, array in WRITERS[kind].more(model).items()}
    for own, array in {**state, **more}.items():
        name = own
        for pattern, new in WRITERS[kind].renamed:
            name = re.sub(pattern, new, name)
        if kind == "vit" and model.classifier is not None and not name.startswith("classifier."):
            name = f"{body}.{name}"
        arrays[name] = array.T if re.search(KINDS[kind].transposed, name) else array
    return arrays


def _parts(arrays: dict[str, np.ndarray], most: int) -> list[dict[str, np.ndarray]]:
    """The arrays in their order, cut where a file would exceed so many bytes."""
    parts: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for name, array in arrays.items():
        if parts[-1] and size + array.nbytes > most:
            parts.append({})
            size = 0
        parts[-1][name] = array
        size += array.nbytes
    return parts


def _write(
    folder: Path,
    config: dict[str, Any],
    generation: tuple[Any, dict[str, Any]],
    parts: list[dict[str, np.ndarray]],
) -> None:
    """All files, whole or not at all; one save into a folder at a time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise CheckpointError(f"{folder}: is no folder: {error.strerror or error}") from error
    try:
        with contextlib.suppress(OSError):  # no locks there
            fcntl.flock(place, fcntl.LOCK_EX)
        _write_alone(folder, config, generation, parts)
    finally:
        os.close(place)


def _write_alone(
    folder: Path,
    config: dict[str, Any],
    generation: tuple[Any, dict[str, Any]],
    parts: list[dict[str, np.ndarray]],
) -> None:
    """Parts get names that no file has, so that the index alone says which are read.

    What is read changes at one step: when the index takes its place, or ``model.safetensors``, or when an
    index goes that stood before it.
    """
    names = ["model.safetensors"]
    if len(parts) > 1:
        names = [f"{i + 1:05d}-of-{len(parts):05d}.safetensors" for i in range(len(parts))]
        tag = ""
        while any((folder / f"model-{tag}{name}").exists() for name in names):
            tag = f"{os.urandom(4).hex()}-"
        names = [f"model-{tag}{name}" for name in names]
    files: dict[str, Any] = {
        n: checkpoint.chunks_of(a, {"format": "pt"}) for n, a in zip(names, parts, strict=True)
    }
    index_name = "model.safetensors.index.json"
    if len(parts) > 1:
        total = sum(array.nbytes for part in parts for array in part.values())
        places = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        files[index_name] = _json(index)
    files["config.json"] = _json(config)
    options, tokens = generation
    there = (folder / "generation_config.json").exists()
    if options is not None or (tokens and not there):
        from einkorn.seq.generation_config import written

        files["generation_config.json"] = [written(options, **tokens).encode("utf-8")]
    # In this order they take their places: what the index names, the index, what goes with it.
    try:
        checkpoint.write_together({folder / name: chunks for name, chunks in files.items()})
    except BaseException:
        if len(parts) > 1 and not _names_one(folder / index_name, names):
            _remove([folder / name for name in names])
        raise
    known = r"model(-[0-9a-f]{8})?(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
    old = [path for path in folder.iterdir() if re.fullmatch(known, path.name) and path.name not in files]
    # What would be read in the place of the new ones goes first.
    _remove(sorted(old, key=lambda path: (path.name != index_name, path.name != "model.safetensors")))


def _names_one(index: Path, names: list[str]) -> bool:
    with contextlib.suppress(CheckpointError):
        return names[0] in set(dict(read_object(index).get("weight_map", {})).values())
    return False


def _remove(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be removed: {error.strerror or error}") from error


def _json(value: Any) -> list[bytes]:
    return [(json.dumps(value, indent=2, sort_keys=True) + "\n").encode("utf-8")]


def _bytes_of(op: str, size: Any) -> int:
    """A number of bytes, or a text such as "5GB" or "5GiB"."""
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size > 0:
        return int(size)
    found = re.fullmatch(r"(\d+) *([KMGT]?)(i?)B", size.strip(), re.I) if isinstance(size, str) else None
    if found is None or int(found[1]) == 0:
        raise ArgumentError(f"{op}: max_shard_size is {size!r}, expected bytes, or a text such as '5GB'")
    power = "KMGT".index(found[2].upper()) + 1 if found[2] else 0
    return int(found[1]) * (1024 if found[3] else 1000) ** power


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
