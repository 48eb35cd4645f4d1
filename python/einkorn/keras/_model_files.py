"""Models from files and descriptions."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

from einkorn._objects import custom_scope
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.keras._base import Layer

__all__ = ["check_name", "load_model", "model_from_json", "save_model"]


def check_name(path: Any, op: str) -> None:
    """Refuse names that say that a file is HDF5."""
    name = fspath(path)
    if str(name).endswith((".h5", ".hdf5")):
        raise CheckpointError(
            f"{op}: {name} names a file of HDF5, which is not supported, expected a name such as "
            "'model.safetensors' or 'model.keras'. Weights of a Keras model itself come over by "
            "set_weights(keras_model.get_weights()), its layers by model_from_json(keras_model.to_json())"
        )


def save_model(model: Any, filepath: str | PathLike[str], overwrite: bool = True, **options: Any) -> None:
    """``model.save(filepath)``."""
    model.save(filepath, overwrite, **options)


def load_model(
    filepath: str | PathLike[str], custom_objects: Any = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model that ``save`` wrote, with its weights, compiled as it was, its optimizer where it stood.

    Parameters
    ----------
    filepath : str or path
    custom_objects : dict of str to class or function, optional
        What the file names beside the library's own and what is registered.
    compile : bool, default True
        Whether it is compiled, if it was when it was saved.
    safe_mode : bool
        It makes no difference: nothing in a file is ever executed.

    Raises
    ------
    CheckpointError
        The file is missing, corrupt, one of Keras' own, holds weights alone, or names what is not known. The
        message names the file.
    """
    from einkorn import checkpoint

    check_name(filepath, "load_model")
    return checkpoint.load_model(filepath, custom_objects, compile)


def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """The model that ``to_json`` described, here or in Keras, with weights of its own.

    Parameters
    ----------
    json_string : str
    custom_objects : dict of str to class or function, optional

    Raises
    ------
    ArgumentError
        It is no such JSON, names what is not known, or has what is not supported.
    """
    import json

    from einkorn._objects import made

    try:
        plain = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"model_from_json: is no JSON: {error}") from error
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key not in ("compile_config", "build_config")}
    with custom_scope(custom_objects):
        try:
            model = made(plain)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ArgumentError(f"model_from_json: the description does not fit: {error!r}") from error
    if not isinstance(model, Layer):
        raise ArgumentError(
            f"model_from_json: the description is of {type(model).__name__}, expected a model"
        )
    return model
