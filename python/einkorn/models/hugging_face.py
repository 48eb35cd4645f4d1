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
from einkorn.errors import ArgumentError, CheckpointError, EinkornError
from einkorn.models._published import KINDS, Kind
from einkorn.models._published_checks import budget_of, check_left_over, check_numbers, tell
from einkorn.models._publishing import WRITERS, architecture_of
from einkorn.models.registry import _class_of, build, name_of
from einkorn.models.weights import compared
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
_TABLES = {"t5": "shared.weight", "llama": "embed_tokens.weight", "gpt2": "wte.weight"}


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
        Whether each array of the model must be in the files, and each layer and each head that is no copy of
        the embedding must have its place. False: the others keep their initial values, as a new head does,
        or are left out. A pooler that the folder of another architecture lacks is always new.
    **options
        Of the model's class, in the place of the folder's.

    Returns
    -------
    Module
        In evaluation; of float64 where all arrays are, else float32. ``model.weights_report`` says what was
        read, ``model.published_config`` is what ``config.json`` says. Arrays that the model does not use, and
        new ones, are told in a warning too.

    Raises
    ------
    CheckpointError
        A file is missing, damaged or does not fit.
    ArgumentError
        The kind of model, its architecture or a switch of its configuration is not among ours, or an option
        is unknown.

    Notes
    -----
    Scores are the published model's. In training, layers left out at random and masks over the sound
    (``layerdrop``, ``mask_time_prob``) are not ours.
    """
    folder = Path(path)
    config = read_config(folder)
    kind = KINDS.get(config.get("model_type", ""))
    if kind is None:
        raise ArgumentError(
            f"from_pretrained: {folder}: model_type is {config.get('model_type')!r},"
            f" expected one of {', '.join(KINDS)}"
        )
    named = _architecture(folder, config)
    wanted = architecture or named
    name = kind.names.get(wanted)
    if name is None:
        known = ", ".join(n for n in kind.names if n)
        if architecture:
            raise ArgumentError(f"from_pretrained: architecture is {architecture!r}, expected one of {known}")
        raise ArgumentError(
            f"from_pretrained: {folder}: the architecture is {wanted!r}, expected one of {known};"
            " architecture= reads the folder as one of these"
        )
    check_numbers(folder, config)
    renamed = {own: config[other] for other, own in kind.aliases if other in config and own not in config}
    own = kind.options({**config, **renamed})
    if name == "vit":
        classes = len(config.get("id2label") or (0, 1))
        own["num_labels"] = classes if wanted == "ViTForImageClassification" else None
    if "classification" in name:
        own["classifier_dropout"] = config.get("classifier_dropout")
        if "num_labels" not in options:
            own["num_labels"] = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    if name == "bert":
        own["add_pooling_layer"] = config.get("add_pooling_layer", True)
    arrays = _arrays(folder)
    table_name = _TABLES.get(config["model_type"], "")
    head = arrays.get("lm_head.weight")
    table = arrays.get(table_name, arrays.get(f"{kind.body}.{table_name}"))
    if wanted == "GPT2Model" and head is None:
        own["tie_word_embeddings"] = True
    if name in ("bert_masked_lm", "bert_pre_training") and not config.get("tie_word_embeddings", True):
        raise ArgumentError("from_pretrained: tie_word_embeddings is False, which Bert's heads do not have")
    if head is not None and table is not None and not np.array_equal(head, table):
        # Files that transformers 5 writes say that one matrix is both, and hold two.
        if name == "t5":
            own.setdefault("scale_decoder_outputs", own.get("tie_word_embeddings", True))
        own["tie_word_embeddings"] = False
    for option in {"bias", "output_bias"} & own.keys():  # ours alone: no file says there that it has none
        own[option] = own[option] or any(
            name.endswith("bias") and array.any() and not re.search(kind.left_out, name)
            for name, array in arrays.items()
            if option == "bias" or name.endswith("final_logits_bias")
        )
    with deferred(*budget_of(arrays)):
        _built(folder, name, own, options)
    model = _built(folder, name, own, options)
    if {a.dtype for a in arrays.values() if _bfloat16.is_floating(a.dtype)} == {np.dtype(np.float64)}:
        model.to(np.float64)
    fresh = "pooler." if name == "bert" and named not in ("", wanted) else None
    _fill(model, kind, arrays, strict, fresh, str(folder))
    model.published_config = config
    if hasattr(model, "generation_config") and (folder / "generation_config.json").is_file():
        from einkorn.seq.generation_config import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(folder, vocab_size=model.vocab_size)
    return model.eval()


def _architecture(folder: Path, config: Mapping[str, Any]) -> str:
    """What the folder says it is, or nothing."""
    names = config.get("architectures") or [""]
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise CheckpointError(f"{folder / 'config.json'}: architectures is {names!r}, expected names")
    return names[0]


def _built(folder: Path, name: str, own: dict[str, Any], options: dict[str, Any]) -> Any:
    try:
        return build(name, **{**own, **options})
    except CheckpointError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, EinkornError):
            raise
        raise CheckpointError(f"{folder / 'config.json'}: describes no model: {error}") from error


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
    named = _architecture(Path(path), config)
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
    left = {n: _bfloat16.astype(a, dtype) for n, a in (model.published_arrays or {}).items()}
    for own, array in {**state, **more, **left}.items():
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
            parts = sorted(set(json.load(opened)["weight_map"].values()), key=str)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is no readable index: {error}") from error
    for part in parts:
        if not isinstance(part, str):
            raise CheckpointError(f"{index}: weight_map holds {part!r}, expected names of files")
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


def _fill(
    model: Any, kind: Kind, arrays: Mapping[str, np.ndarray], strict: bool, fresh: str | None, what: str
) -> None:
    """Read the arrays, keep those that the model has no use for, and report."""
    found, own = _renamed(kind, model, arrays), model.state_dict()
    beside = {name: array for name, array in found.items() if name not in own}
    heads = []
    for name, array in beside.items():
        for pattern, table in kind.twice:
            if re.search(pattern, name):
                if not _equal(found.get(table, found.get(table.removeprefix(f"{kind.body}."))), array):
                    heads.append(name)
                else:
                    del found[name]
                break
        if name.endswith("bias") and not array.any() and _is_no_bias_of(name, own):
            found.pop(name, None)
    kept = {name: found.pop(name) for name in beside if re.search(kind.kept, name)}
    prefix = f"{kind.body}."
    within = any(name.startswith(prefix) for name in own)
    model.published_arrays = {
        (prefix if within else "") + name.removeprefix(prefix): array for name, array in kept.items()
    }
    report = compared(model, found)._replace(kept=tuple(kept))
    wrong = [name for name in report.missing if fresh is None or not name.startswith(fresh)]
    if report.mismatched or not report.matched or (strict and wrong):
        raise CheckpointError(f"{what}: does not fit {type(model).__name__}: {report}")
    if strict:
        check_left_over(report, list(own), heads if fresh is None else [], what)
    tell(report, what)
    model.load_state_dict({name: found[name] for name in report.matched}, strict=False)
    model.weights_report = report


def _is_no_bias_of(name: str, own: Mapping[str, Any]) -> bool:
    """Whether a layer of the model has none in the place of zeros."""
    return name == "final_logits_bias" or name.removesuffix("bias") + "weight" in own


def _equal(one: np.ndarray | None, other: np.ndarray) -> bool:
    return one is not None and np.array_equal(one, other, equal_nan=_bfloat16.is_floating(other.dtype))
