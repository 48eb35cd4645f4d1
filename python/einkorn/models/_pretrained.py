"""``from_pretrained`` of the classes whose weights Hugging Face's libraries save."""

from __future__ import annotations

from os import PathLike
from typing import Any

__all__ = ["Pretrained"]


class Pretrained:
    """A class with ``from_pretrained``."""

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
