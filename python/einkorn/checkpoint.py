"""Checkpoints: safetensors files that are written whole or not at all.

A file holds arrays and, in its metadata, the name of a registered model and its configuration as
JSON. Nothing is ever unpickled, and a model is rebuilt only from the closed registry of
``einkorn.models``, so a hostile file can do no more than be refused. The names and layouts are those
of torch's ``state_dict``: the arrays of one library load into the other.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from einkorn import _bfloat16
from einkorn.errors import ArgumentError, CheckpointError, EinkornError

if TYPE_CHECKING:
    from einkorn.nn import Module

__all__ = ["can_describe", "load", "load_model", "load_weights", "read_metadata", "save", "save_weights"]

_FORMAT = "einkorn-1"
_TYPES = {
    np.dtype(name): code
    for name, code in {
        "float64": "F64",
        "float32": "F32",
        "float16": "F16",
        "int64": "I64",
        "int32": "I32",
        "int16": "I16",
        "int8": "I8",
        "uint64": "U64",
        "uint32": "U32",
        "uint16": "U16",
        "uint8": "U8",
        "bool": "BOOL",
    }.items()
}


def check_path(op: str, path: Any, name: str = "path") -> None:
    """Refuse what names no file."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"{op}: {name} is {path!r}, expected a text or a path")
    if (b"\0" if isinstance(os.fspath(path), bytes) else "\0") in os.fspath(path):
        raise ArgumentError(f"{op}: {name} is {path!r}, and no path holds a null character")


def _check_file(path: Any) -> None:
    """Refuse what is no file to read, saying what is there instead."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
        raise CheckpointError(f"{path}: is {what}, expected a file")


def save(
    model: Module | Mapping[Any, Any],
    path: str | PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
    include_optimizer: bool = True,
) -> None:
    """Write a model whole: how it is made, its arrays, and how far its training got; or a dict of arrays.

    The file is written beside its place, synced and renamed: after a failure, whatever was there
    before is there still.

    Parameters
    ----------
    model : Module or dict
        One of ``einkorn.models`` or ``einkorn.keras``, of a class that ``models.register`` or
        ``keras.saving.register_keras_serializable`` decorates, or a ``Sequential`` of layers of
        ``einkorn.nn``; for others use ``save_weights``. Or a ``state_dict``, or a dict of several, of arrays,
        Tensors, numbers and texts, which ``load`` gives back.
    path : str or path
    metadata : mapping of str to str, optional, keyword-only
        More to keep in the file, which ``einkorn.checkpoint.read_metadata`` gives back.
    include_optimizer : bool, keyword-only, default True
        Whether the file also has what ``compile`` was given and the optimizer's state, if the model is
        compiled and all of it has names: texts, the library's objects, and functions that are registered.

    Raises
    ------
    CheckpointError
        The model is of no registered class or has a part without a name, such as a lambda; a name of the
        metadata is taken; the file cannot be written.
    """
    check_path("save", path)
    if isinstance(model, Mapping):
        from einkorn._states import packed

        arrays, form = packed(model)
        _write(path, arrays, {**dict(metadata or {}), "format": "pt", "structure": form})
        return
    from einkorn import _whole

    name, config = _whole.description_of(model)
    state = dict(model.state_dict())
    own = {"format": _FORMAT, "model": name, "config": json.dumps(config), **_order_of(model, state)}
    training = _whole.training_of(model, state) if include_optimizer else None
    if training is not None:
        own["training"] = training
    more = dict(metadata or {})
    for key, value in more.items():
        if key in own or not isinstance(key, str) or not isinstance(value, str):
            raise CheckpointError(f"save: metadata has {key!r}: {value!r}, expected other names and texts")
    _write(path, state, {**own, **more})


def can_describe(model: Any) -> bool:
    """Whether ``save`` can write a model whole."""
    from einkorn import _whole

    try:
        _whole.description_of(model)
    except CheckpointError:
        return False
    return True


def read_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """What a safetensors file says beside its arrays, which are not read.

    Raises
    ------
    CheckpointError
        The file is missing or corrupt.
    """
    from safetensors import SafetensorError, safe_open

    check_path("read_metadata", path)
    _check_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{path}: is no readable safetensors file: {error}") from error


def load(path: str | PathLike[str], map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Rebuild a model that ``save`` wrote, in train mode as every new model, or read a dict that it wrote.

    Parameters
    ----------
    path : str or path
    map_location : "cpu" or None, optional
        As torch has it. What is read lies in memory; ``to`` moves it.
    weights_only : bool, keyword-only, default True
        It makes no difference: nothing is ever unpickled.

    Raises
    ------
    CheckpointError
        The file is missing, corrupt, of another format, names an unknown model, or its arrays do
        not fit its configuration. The message names the file.
    """
    check_path("load", path)
    if map_location is not None and str(map_location) != "cpu":
        raise CheckpointError(f"load: map_location is {map_location!r}, expected None or 'cpu'")
    arrays, metadata = _read(path, keep_bfloat16=True)
    if "structure" in metadata:
        from einkorn._states import unpacked

        try:
            return unpacked(arrays, metadata["structure"])
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
    return _rebuilt(path, arrays, metadata, None, True)


def load_model(
    filepath: str | PathLike[str], custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Any:
    """Rebuild a model that ``save`` wrote, compiled as it was, its optimizer where it stood.

    Parameters
    ----------
    filepath : str or path
    custom_objects : mapping of str to class or function, optional
        What the file names beside the library's own and what is registered.
    compile : bool, default True
        Whether it is compiled, if the file says how.

    Raises
    ------
    CheckpointError
        As ``load``; or the file holds no model.
    """
    check_path("load_model", filepath)
    arrays, metadata = _read(filepath, keep_bfloat16=True)
    return _rebuilt(filepath, arrays, metadata, custom_objects, compile)


def _rebuilt(
    path: Any, arrays: dict[str, np.ndarray], metadata: Mapping[str, str], custom_objects: Any, compiles: bool
) -> Any:
    from einkorn import _whole
    from einkorn._objects import custom_scope
    from einkorn.nn.parameter import deferred

    name, text = metadata.get("model"), metadata.get("config")
    if metadata.get("format") != _FORMAT or name is None or text is None:
        raise CheckpointError(
            f"{path}: holds arrays but names no einkorn model: build the model and use load_weights"
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the configuration is no JSON") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: the configuration is no JSON object")
    own = {key: array for key, array in arrays.items() if not key.startswith(_whole.PREFIX)}
    kinds = {a.dtype for a in own.values() if _bfloat16.is_floating(a.dtype)}
    dtype = kinds.pop() if len(kinds) == 1 else np.dtype(np.float32)
    if dtype == np.float16:
        dtype = np.dtype(np.float32)
    with custom_scope(custom_objects):
        try:
            with deferred(len(own), sum(array.size for array in own.values()), dtype):
                model = _whole.model_from(name, config)
            if not hasattr(model, "load_state_dict"):
                raise ArgumentError(f"it describes {type(model).__name__}, expected a model")
        except _whole.REFUSALS as error:
            raise CheckpointError(f"{path}: cannot build {name!r}: {_said(error)}") from error
        _fill(model.to(dtype), own, path, strict=True)
        if compiles and metadata.get("training") is not None:
            try:
                _whole.compile_as(model, metadata["training"], arrays)
            except _whole.REFUSALS as error:
                raise CheckpointError(
                    f"{path}: cannot compile {name!r}: {_said(error)}; compile=False leaves that out"
                ) from error
    return model


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, EinkornError) else f"{type(error).__name__}: {error}"


def save_weights(model: Module, path: str | PathLike[str]) -> None:
    """Write the ``state_dict`` of any Module, as safely as ``save``.

    Raises
    ------
    CheckpointError
        The file cannot be written.
    """
    check_path("save_weights", path)
    state = model.state_dict()
    _write(path, state, {"format": "pt", **_order_of(model, state)})


def load_weights(model: Module, path: str | PathLike[str], strict: bool = True) -> Any:
    """Read arrays into any Module, from ``save``, ``save_weights`` or torch by way of safetensors.

    Parameters
    ----------
    model : Module
    path : str or path
    strict : bool, default True
        Whether the names must be exactly the module's.

    Returns
    -------
    IncompatibleKeys
        As ``Module.load_state_dict``.

    Raises
    ------
    CheckpointError
        The file is missing or corrupt, or its arrays do not fit. The message names the file.
    """
    from einkorn._whole import PREFIX

    check_path("load_weights", path)
    found, metadata = _read(path)
    arrays = {name: array for name, array in found.items() if not name.startswith(PREFIX)}
    return _fill(model, _renamed(arrays, model, metadata.get("order")), path, strict)


def _order_of(model: Any, state: Mapping[str, Any]) -> dict[str, str]:
    """For a model whose layers are numbered as the program goes on: the names in their order."""
    return {"order": json.dumps(list(state))} if hasattr(model, "get_build_config") else {}


def _renamed(arrays: dict[str, np.ndarray], model: Any, order: str | None) -> dict[str, np.ndarray]:
    """Arrays under the model's names, where the file has those of the same layers made at another time."""
    if order is None or not hasattr(model, "get_build_config"):
        return arrays
    own = model.state_dict()
    try:
        names = json.loads(order)
        fits = [arrays[name].shape for name in names] == [array.shape for array in own.values()]
        if set(own) == set(arrays) or not fits:
            return arrays
        return {name: arrays[given] for name, given in zip(own, names, strict=True)}
    except (ValueError, TypeError, LookupError):
        return arrays


def _fill(model: Any, arrays: Mapping[str, np.ndarray], path: Any, strict: bool) -> Any:
    try:
        return model.load_state_dict(arrays, strict)
    except EinkornError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read(
    path: str | PathLike[str], keep_bfloat16: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of a safetensors file; floats of one byte, and bfloat16 unless kept, as float32."""
    from safetensors import SafetensorError, safe_open

    check_path("read_metadata", path)
    _check_file(path)
    arrays: dict[str, np.ndarray] = {}
    small = []
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118
                if file.get_slice(key).get_dtype() in _SMALL:
                    small.append(key)
                else:
                    arrays[key] = file.get_tensor(key)
            metadata = file.metadata() or {}
        if small:
            arrays.update(_read_small(path, small, keep_bfloat16))
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: is no readable safetensors file: {_kind_of(path) or error}"
        ) from error
    return arrays, metadata


#: Types of safetensors files that NumPy lacks, by their names in ml_dtypes.
_SMALL = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def _read_small(
    path: str | PathLike[str], keys: list[str], keep_bfloat16: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """The named arrays of a file that the library has found sound."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
        for key in keys:
            kind = entries[key]["dtype"]
            begin, end = entries[key]["data_offsets"]
            file.seek(8 + length + begin)
            stored = file.read(end - begin)
            if kind == "BF16":
                bits = np.frombuffer(stored, "<u2").astype(np.uint16)
                values = bits.view(_bfloat16.bfloat16()) if keep_bfloat16 else _bfloat16.widen(bits)
            else:
                import ml_dtypes

                values = np.frombuffer(stored, getattr(ml_dtypes, _SMALL[kind])).astype(np.float32)
            yield key, values.reshape(entries[key]["shape"])


def _kind_of(path: str | PathLike[str]) -> str:
    """What a file is that others call a checkpoint, and how its arrays get here; empty where unknown."""
    try:
        with open(path, "rb") as file:
            begin = file.read(8)
        names = zipfile.ZipFile(path).namelist() if begin[:4] == b"PK\x03\x04" else []
    except (OSError, zipfile.BadZipFile):
        return ""
    if begin[:1] == b"\x80" or any(name.endswith("data.pkl") for name in names):
        return (
            "it holds a pickle, as torch.save writes it (.pt, .pth), and einkorn unpickles nothing; in torch,"
            " write the arrays with safetensors.torch.save_file(model.state_dict(), path)"
        )
    if begin == b"\x89HDF\r\n\x1a\n" or any(name.endswith((".h5", ".weights.h5")) for name in names):
        return (
            "it holds HDF5, as Keras writes it; in Keras, hand the layers over by model.to_json(), to "
            "einkorn.keras.models.model_from_json, and the arrays by model.get_weights(), to set_weights; or "
            "write the arrays with safetensors.numpy.save_file"
        )
    if begin[:6] == b"\x93NUMPY" or (names and all(name.endswith(".npy") for name in names)):
        return "it holds NumPy arrays; give them to load_state_dict, or write them with save_weights"
    return ""


def _header(state: Mapping[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The head of a safetensors file: its length in eight bytes, then JSON, padded to eight bytes.

    Written here and not by the library, which would copy every array, and whose order of the
    metadata differs from run to run: equal models shall give equal files.
    """
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for key, array in state.items():
        code = "BF16" if _bfloat16.is_bfloat16(array.dtype) else _TYPES.get(array.dtype)
        if code is None:
            raise CheckpointError(f"save: {key} is {array.dtype}, which checkpoints do not hold")
        span = [offset, offset + array.nbytes]
        entries[key] = {"dtype": code, "shape": array.shape, "data_offsets": span}
        offset += array.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def chunks_of(state: Mapping[str, np.ndarray], metadata: dict[str, str]) -> Iterator[bytes]:
    """The bytes of a safetensors file, piece by piece: the same for equal arrays and metadata."""
    # wide types first, so that every array begins at a multiple of its item size
    ordered = dict(sorted(state.items(), key=lambda item: -item[1].dtype.itemsize))
    yield _header(ordered, metadata)
    for array in ordered.values():
        yield array.tobytes()


def _write(path: str | PathLike[str], state: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    write_whole(path, chunks_of(state, metadata))


def write_whole(path: str | PathLike[str], chunks: Iterable[bytes]) -> None:
    """Write, sync, rename; on any failure remove what was begun.

    The file keeps the mode of the one whose place it takes. What is there and is no file, a device or a pipe,
    is written into. A process that is killed meanwhile can remove nothing: the next one that writes there
    does, to files like this one's that nobody holds.

    Raises
    ------
    CheckpointError
        The file cannot be written.
    """
    write_together({path: chunks})


def write_together(files: Mapping[Any, Iterable[bytes]]) -> None:
    """:func:`write_whole` of several files: the first takes its place when the last is written.

    Raises
    ------
    CheckpointError
        One of them cannot be written; what was there before is there still.
    """
    begun: list[tuple[Any, Path, Path]] = []
    path: Any = ""
    try:
        with contextlib.ExitStack() as held:  # each is renamed while its lock is held
            for path, chunks in files.items():
                target = Path(os.path.realpath(path))  # a link stays one, and its target is replaced
                before = _mode(target)
                if before is not None and not stat.S_ISREG(before):
                    with open(target, "wb") as place:
                        place.writelines(chunks)
                    continue
                name = f".{_short(target.name)}.{os.urandom(4).hex()}.tmp"
                begun.append((path, target, target.with_name(name)))
                file = held.enter_context(_begin(begun[-1][2]))
                if before is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(before))
                _clear_abandoned(target, begun[-1][2])
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            for path, target, temporary in begun:  # noqa: B007 - the error names it
                os.replace(temporary, target)
        for folder in {target.parent for _, target, _ in begun}:
            _sync_folder(folder)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        for _, _, temporary in begun:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _short(name: str) -> str:
    """As much of a file's name as leaves room for what is put around it."""
    return os.fsdecode(os.fsencode(name)[: 255 - len(".") - len(".01234567.tmp")])


def _begin(path: Path) -> BinaryIO:
    """A new file, locked, so that nobody takes it for an abandoned one."""
    while True:
        file = open(path, "xb")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError:  # no locks there: nobody can clear either
            return file
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # cleared before it was locked


def _clear_abandoned(target: Path, begun: Path) -> None:
    """Remove what killed writers left in the folder: their locks went with them."""
    for path in target.parent.glob(".*.tmp"):
        name = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.tmp", path.name)
        if path == begun or name is None:
            continue
        if name[1] != _short(target.name) and not name[1].endswith(".safetensors"):
            continue
        try:
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:  # somebody else's, being written, or gone already
            pass


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
