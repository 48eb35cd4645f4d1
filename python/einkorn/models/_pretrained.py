"""``from_pretrained`` and ``save_pretrained`` of the classes that Hugging Face's libraries have too."""

from __future__ import annotations

from os import PathLike
from typing import Any

__all__ = ["Pretrained"]


class Pretrained:
    """A class with ``from_pretrained`` and ``save_pretrained``."""

    #: What ``config.json`` said, of a model that was read.
    published_config: Any = None
    #: Arrays of a model that was read which no output needs, by name.
    published_arrays: Any = None

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], *, strict: bool = True, **options: Any) -> Any:
        """Build the model of this class that a folder describes, and read its weights.

        :func:`einkorn.models.from_pretrained` without looking what the folder holds.

        Parameters
        ----------
        path : str or path
            A folder with ``config.json`` and ``model.safetensors``, or the parts of it.
        strict : bool, keyword-only, default True
            Whether each array of the model must be in the files. False: the others keep their initial values,
            as a new head does.
        **options
            Of the class, in the place of the folder's.

        Raises
        ------
        CheckpointError
            A file is missing, damaged or does not fit.
        ArgumentError
            The folder holds another kind of model, or none of this class is published.
        """
        from einkorn.models.hugging_face import read_one

        return read_one(cls, path, strict, options)

    def save_pretrained(
        self, save_directory: str | PathLike[str], *, max_shard_size: int | str = "50GB"
    ) -> None:
        """Write the folder that Hugging Face's libraries and ``from_pretrained`` read.

        ``config.json``, the arrays by the published names as ``model.safetensors`` or in parts with
        ``model.safetensors.index.json``, and ``generation_config.json`` if the model has options of
        generation or is an encoder-decoder, whose start tokens ``transformers`` looks for there; entries that
        were read and are no options here are in it as they were. A model without any leaves the file alone.

        All files are written beside their places before the first is renamed: after a failure while they are
        written, what was there before is there still. New parts get names that no file has, and the index,
        renamed after them, says which are read: whenever a save stops, the weights that are read here are
        all of the old model or all of the new one. Three steps remain between whole files: ``config.json``
        and ``generation_config.json`` are renamed after the weights, so that a save that stops there has the
        new weights and the old configuration; ``transformers`` reads ``model.safetensors`` before an index,
        so that it sees the old weights until that file is removed, and the new ones until the index is; and
        old parts that no index names may stay until the next save removes them. Saves into one folder wait
        for each other.

        Parameters
        ----------
        save_directory : str or path
            The folder; it is made.
        max_shard_size : int or str, keyword-only, default "50GB"
            Bytes of a file at most, or a text such as "500MB" or "5GiB"; a larger array has its own.

        Raises
        ------
        CheckpointError
            There is no published kind of this class, its files cannot say what the model is (heads of another
            width, adapters, eight bits), or one cannot be written.
        ArgumentError
            save_directory is no path or empty, or max_shard_size is no size.
        """
        from einkorn.models.hugging_face import write_one

        write_one(self, save_directory, max_shard_size)
