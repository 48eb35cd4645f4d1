"""Saving fitted estimators: a JSON file that says what they are, and a safetensors file with the numbers.

Nothing is pickled and nothing in a file is run: classes come from a closed registry, parameters are
plain values, arrays are checked before they are used. docs/model_format.md describes the files.

An estimator takes part by two methods::

    def _to_state(self) -> tuple[dict, dict]:
        return {"n_iter": self.n_iter_}, {"trees": self._trees, "scores": self.train_score_}

    def _from_state(self, metadata: dict, values: dict) -> None:
        self.n_iter_ = metadata["n_iter"]
        self._trees, self.train_score_ = values["trees"], values["scores"]

``metadata`` holds plain values: None, bool, int, float, str, and lists, tuples and dicts of them. ``values``
holds what is large or has a type of its own: arrays of numbers or of strings, ``Trees``, fitted estimators
of the registry, None, and lists of these. ``_from_state`` is called on a new instance with the saved
parameters; ``n_features_in_``, ``feature_names_in_`` and ``classes_`` are saved and restored without it.
It checks that what it is given fits together (the number of trees, of classes) and raises where it does
not: KeyError, TypeError, ValueError and einkorn's errors are handed on as CheckpointError.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.boosting.trees import ARRAYS, Trees
from einkorn.checkpoint import chunks_of, write_whole
from einkorn.errors import CheckpointError, EinkornError, MissingPackageError

__all__ = ["load", "save"]

_FORMAT = "einkorn-boosting"
_VERSION = 1
_MOST_JSON = 256 << 20  # bytes
_MOST_DEPTH = 50

#: What entries of the wrong kind or size lead to.
_UNFIT = (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError, MemoryError)
#: How Python's own refusals begin, which say nothing about a file.
_CONVERSIONS = ("invalid literal", "could not convert", "not enough values", "too many values")

#: The classes that files may name, and their modules within einkorn.boosting.
_REGISTRY = {
    "AdaBoostClassifier": "adaboost",
    "AdaBoostRegressor": "adaboost",
    "DecisionStumpClassifier": "stump",
    "TrAdaBoostClassifier": "transfer",
    "TrAdaBoostRegressor": "transfer",
    "GradientBoostingClassifier": "gradient",
    "GradientBoostingRegressor": "gradient",
    "DecisionTreeClassifier": "forest",
    "DecisionTreeRegressor": "forest",
    "RandomForestClassifier": "forest",
    "RandomForestRegressor": "forest",
    "ExtraTreesClassifier": "forest",
    "ExtraTreesRegressor": "forest",
    "PeerModel": "_peer_model",
}

_FITTED = ("n_features_in_", "feature_names_in_", "classes_")


def save(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted estimator, or Trees, as two files that are replaced together or not at all.

    The arrays go to a new file beside ``path``, named after their digest; then the JSON file, which names
    it, takes the old one's place in one step; then the old arrays are removed. After a failure at any
    point the old model is there still.

    Parameters
    ----------
    model : estimator or Trees
        A fitted estimator of ``einkorn.boosting``.
    path : str or path
        The JSON file; ".json" is added where it is not there.

    Raises
    ------
    CheckpointError
        The model is of another class or not fitted, a parameter is no plain value (a random-number generator,
        a function, a foreign object), or the files cannot be written.
    """
    target = _json_path(path)
    writer = _Writer()
    described = writer.value("model", model) if isinstance(model, Trees) else writer.model("model", model)
    metadata = {"format": _FORMAT}
    digest = _digest(chunks_of(writer.arrays, metadata))
    arrays = f"{target.stem}-{digest[:16]}.safetensors"
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "arrays": {"file": arrays, "sha256": digest},
        "model": described,
    }
    document["sha256"] = _digest_of(document)
    old = _arrays_of_old(target)
    write_whole(target.with_name(arrays), chunks_of(writer.arrays, metadata))
    try:
        write_whole(target, [json.dumps(document, indent=1, allow_nan=False).encode()])
    except CheckpointError:
        if old != arrays:
            target.with_name(arrays).unlink(missing_ok=True)
        raise
    if old is not None and old != arrays:
        target.with_name(old).unlink(missing_ok=True)


def load(path: str | PathLike[str]) -> Any:
    """Rebuild what :func:`save` wrote: the same parameters, and the same predictions bit for bit.

    Parameters
    ----------
    path : str or path
        The JSON file; ".json" is added where it is not there.

    Returns
    -------
    estimator or Trees

    Raises
    ------
    CheckpointError
        A file is missing, truncated, changed or of another format or version, names an unknown class, or its
        contents do not fit together. The message names the file.
    """
    target = _json_path(path)
    document = _read_json(target)
    if document.get("format") != _FORMAT:
        raise CheckpointError(f"{target}: format is {document.get('format')!r}, expected {_FORMAT!r}")
    if type(document.get("version")) is not int or document["version"] != _VERSION:
        raise CheckpointError(
            f"{target}: version is {document.get('version')!r}, this einkorn reads {_VERSION}"
        )
    if document.pop("sha256", None) != _digest_of(document):
        raise CheckpointError(f"{target}: the contents have been changed, their digest is another")
    try:
        name, digest = document["arrays"]["file"], document["arrays"]["sha256"]
        described = document["model"]
        plain = isinstance(name, str) and name == Path(name).name and name.endswith(".safetensors")
        if not plain or "\\" in name or "\0" in name:
            raise CheckpointError(f"{target}: {name!r} is no name of an arrays file")
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{target}: does not name its arrays and its model") from error
    reader = _Reader(_read_arrays(target.with_name(name), digest))
    try:
        found = reader.value(described) if "trees" in described else reader.model(described)
    except MissingPackageError:
        raise
    except EinkornError as error:
        raise CheckpointError(f"{target}: {reader.at}: {error}") from error
    except KeyError as error:
        missing = f"there is no {error.args[0]!r}"
        raise CheckpointError(f"{target}: cannot be rebuilt: {reader.at}: {missing}") from error
    except _UNFIT as error:
        own = type(error) is ValueError and not str(error).startswith(_CONVERSIONS)
        reason = str(error) if own else f"not what {_FORMAT} has there"
        raise CheckpointError(f"{target}: cannot be rebuilt: {reader.at}: {reason}") from error
    return found


def _json_path(path: str | PathLike[str]) -> Path:
    target = Path(path)
    target = target if target.suffix == ".json" else target.with_name(target.name + ".json")
    return Path(os.path.realpath(target))  # the arrays lie beside the file that a link leads to


def _digest(chunks: Any) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _digest_of(document: dict[str, Any]) -> str:
    """Digest of a JSON object, whatever its spacing and the order of its keys."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the description is nested too deeply: {error}") from error
    return _digest([text.encode("utf-8", "surrogatepass")])


def _read_json(target: Path) -> dict[str, Any]:
    try:
        if target.stat().st_size > _MOST_JSON:
            raise CheckpointError(f"{target}: has {target.stat().st_size} bytes, more than any description")
        document = json.loads(target.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{target}: is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{target}: is no JSON object")
    return document


def _arrays_of_old(target: Path) -> str | None:
    """The arrays file of the model that is about to be replaced, when it is one of ours."""
    try:
        name = _read_json(target)["arrays"]["file"]
    except (CheckpointError, KeyError, TypeError):
        return None
    pattern = re.escape(target.stem) + r"-[0-9a-f]{16}\.safetensors"
    return name if isinstance(name, str) and re.fullmatch(pattern, name) else None


def _read_arrays(path: Path, digest: Any) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if _digest([data]) != digest:
        raise CheckpointError(f"{path}: is not the file that belongs to the description, or was changed")
    try:
        return dict(parse(data))
    except (SafetensorError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{path}: is no readable safetensors file: {error}") from error


def _class_of(name: Any) -> Any:
    if not isinstance(name, str) or name not in _REGISTRY:
        raise CheckpointError(f"class {name!r} is unknown, expected one of {', '.join(_REGISTRY)}")
    package = importlib.import_module("einkorn.boosting")  # names the extra that is missing
    home = (
        package
        if name in package.__all__
        else importlib.import_module(f"{package.__name__}.{_REGISTRY[name]}")
    )
    return getattr(home, name)


def _name_of(model: Any) -> str | None:
    name = type(model).__name__
    home = f"einkorn.boosting.{_REGISTRY[name]}" if name in _REGISTRY else None
    return name if type(model).__module__ == home else None


class _Writer:
    """Turns a model into JSON values, and collects its arrays under the names that these use."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def array(self, where: str, array: np.ndarray) -> dict[str, Any]:
        if array.dtype.kind in "UO":
            values = array.tolist()
            if array.ndim != 1 or not all(type(v) is str for v in values):
                raise CheckpointError(f"save: {where} holds objects, expected numbers or strings")
            return {"strings": values, "object": array.dtype.kind == "O"}
        native = array.dtype.newbyteorder("=")
        if (native.kind not in "bif" and native.kind != "u") or native.itemsize > 8:
            raise CheckpointError(f"save: {where} is {array.dtype}, which model files do not hold")
        self.arrays[where] = np.array(array, native, order="C")
        return {"array": where}

    def plain(self, where: str, value: Any, depth: int = 0) -> Any:
        """A parameter or a piece of metadata as JSON; what JSON lacks is an object with one key."""
        if depth > _MOST_DEPTH:
            raise CheckpointError(f"save: {where} is nested too deeply")
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, (bool, str)):
            return str(value) if isinstance(value, str) else value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, (list, tuple)):
            items = [self.plain(f"{where}[{i}]", item, depth + 1) for i, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, dict):
            pairs = [
                [self.plain(where, key, depth + 1), self.plain(f"{where}[{key!r}]", item, depth + 1)]
                for key, item in value.items()
            ]
            return {"dict": pairs}
        if isinstance(value, np.ndarray):
            return self.array(where, value)
        if _name_of(value) is not None:
            return {"estimator": {"class": _name_of(value), "params": self.params(where, value)}}
        kind = type(value).__name__
        if isinstance(value, (np.random.RandomState, np.random.Generator, np.random.BitGenerator)):
            raise CheckpointError(
                f"save: {where} is a {kind}, whose state no file holds: set it to an int or to None"
            )
        if callable(value):
            raise CheckpointError(
                f"save: {where} is a {kind}, and files hold no code: set it to the name of a built-in choice"
                " where there is one, or to None, and pass it anew after loading"
            )
        raise CheckpointError(
            f"save: {where} is a {kind}, expected plain values, arrays or estimators of einkorn.boosting"
        )

    def params(self, where: str, model: Any) -> dict[str, Any]:
        found = model.get_params(deep=False)
        return {name: self.plain(f"{where}.{name}", value) for name, value in found.items()}

    def value(self, where: str, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Trees):
            value.check()
            for name in ARRAYS:
                self.arrays[f"{where}.{name}"] = np.ascontiguousarray(getattr(value, name))
            return {
                "trees": where,
                "n_features": int(value.n_features),
                "n_outputs": int(value.n_outputs),
            }
        if isinstance(value, (list, tuple)):
            return [self.value(f"{where}.{i}", item) for i, item in enumerate(value)]
        if isinstance(value, np.ndarray):
            return self.array(where, value)
        return {"model": self.model(where, value)}

    def model(self, where: str, model: Any) -> dict[str, Any]:
        name = _name_of(model)
        if name is None:
            raise CheckpointError(
                f"save: {where} is a {type(model).__name__}, expected an estimator of einkorn.boosting"
                f" ({', '.join(_REGISTRY)}) or Trees"
            )
        if not hasattr(model, "n_features_in_"):
            raise CheckpointError(f"save: {where} ({name}) is not fitted: call fit first")
        metadata, values = model._to_state()
        fitted: dict[str, Any] = {}
        for key in _FITTED:
            if key in vars(model):
                item = vars(model)[key]
                fitted[key] = (
                    self.array(f"{where}.{key}", item) if isinstance(item, np.ndarray) else int(item)
                )
        return {
            "class": name,
            "params": self.params(f"{where}.params", model),
            "fitted": fitted,
            "metadata": self.plain(f"{where}.metadata", dict(metadata)),
            "values": {key: self.value(f"{where}.{key}", item) for key, item in values.items()},
        }


class _Reader:
    """The way back from JSON values and arrays; everything that is not as written is refused."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.at = "model"  # the entry that is being read

    def array(self, value: dict[str, Any]) -> np.ndarray:
        if "strings" in value:
            strings = value["strings"]
            if not isinstance(strings, list) or not all(isinstance(s, str) for s in strings):
                raise CheckpointError("strings are no list of strings")
            if value.get("object"):
                return np.array(strings, object)
            longest = max((len(s) for s in strings), default=1)
            if longest * len(strings) > 2 * sum(map(len, strings)) + (1 << 24):
                raise CheckpointError("strings of one array differ too much in length")
            return np.array(strings, f"U{max(longest, 1)}")
        return self.arrays[value["array"]]

    def plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "float" in value:
            if value["float"] not in ("nan", "inf", "-inf"):
                raise CheckpointError(f"{value['float']!r} is no number")
            return float(value["float"])
        if "tuple" in value:
            return tuple(self.plain(item) for item in value["tuple"])
        if "dict" in value:
            return {self.plain(key): self.plain(item) for key, item in value["dict"]}
        if "estimator" in value:
            inner = value["estimator"]
            return _class_of(inner["class"])(**self.params(inner["params"]))
        return self.array(value)

    def params(self, params: Any) -> dict[str, Any]:
        return {name: self.plain(value) for name, value in params.items()}

    def value(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if "model" in value:
            return self.model(value["model"])
        if "trees" not in value:
            return self.array(value)
        for name in ("n_features", "n_outputs"):
            if type(value[name]) is not int:
                raise CheckpointError(f"{name} is no int")
        arrays = {name: self.arrays[f"{value['trees']}.{name}"] for name in ARRAYS}
        trees = Trees(**arrays, n_features=value["n_features"], n_outputs=value["n_outputs"])
        trees.check()
        return trees

    def model(self, described: dict[str, Any]) -> Any:
        where = self.at
        self.at = f"{where}.class"
        made = _class_of(described["class"])
        self.at = f"{where}.params"
        params = self.params(described["params"])
        model = made(**params)
        known, given = set(model.get_params(deep=False)), set(params)
        newer = set(getattr(made, "_aliases", {}).values())  # an older file may have the aliases alone
        if not given <= known or not known - given <= newer:
            raise CheckpointError(f"{described['class']} has other parameters than the file")
        self.at = f"{where}.fitted"
        fitted = described["fitted"]
        features = fitted["n_features_in_"]
        if type(features) is not int or features < 1:
            raise CheckpointError(f"n_features_in_ is {features!r}, expected a positive int")
        for key in _FITTED:
            if key in fitted:
                item = fitted[key]
                setattr(model, key, item if isinstance(item, int) else self.array(item))
        names = getattr(model, "feature_names_in_", None)
        if names is not None and np.shape(names) != (features,):
            raise CheckpointError(f"there are {np.shape(names)} feature names, expected {features}")
        if np.ndim(getattr(model, "classes_", [])) != 1:
            raise CheckpointError("classes_ is no list of classes")
        self.at = f"{where}.values"
        values = {}
        for key, item in described["values"].items():
            self.at = f"{where}.values.{key}"
            values[key] = self.value(item)
        self.at = f"{where}.fitted.n_features_in_ and values"
        for key, item in values.items():
            if isinstance(item, Trees) and item.n_features != features:
                raise CheckpointError(f"{key} has {item.n_features} features, expected {features}")
        self.at = f"{where}.metadata"
        metadata = self.plain(described["metadata"])
        self.at = f"{where}: params, fitted, metadata and values"
        model._from_state(metadata, values)
        self.at = where
        return model
