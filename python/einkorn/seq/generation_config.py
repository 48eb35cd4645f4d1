"""Options of generation under one name, and from the ``generation_config.json`` of a published model."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn._files import read_object
from einkorn.errors import ArgumentError, CheckpointError

__all__ = ["GenerationConfig", "settled"]

_OF_A_CALL = (
    "model",
    "input_ids",
    "attention_mask",
    "streamer",
    "generator",
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "tokenizer",
)
_TOKENS = (
    "eos_token_id",
    "pad_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
)


@cache
def _known() -> tuple[str, ...]:
    from einkorn.seq.generation import generate

    return tuple(name for name in inspect.signature(generate).parameters if name not in _OF_A_CALL)


class GenerationConfig:
    """Options of :func:`einkorn.seq.generate`, to be given as ``generation_config``.

    Parameters
    ----------
    **options
        Those of :func:`einkorn.seq.generate`; what is given in a call goes before them.

    Attributes
    ----------
    options : dict
        Those that are set.

    Raises
    ------
    ArgumentError
        A name is no option.
    """

    options: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        for name in options:
            if name not in _known():
                raise ArgumentError(
                    f"GenerationConfig: {name!r} is no option of generate, expected one of"
                    f" {', '.join(_known())}"
                )
        self.options = options

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], *, vocab_size: int | None = None) -> GenerationConfig:
        """What a folder's ``generation_config.json`` says; options that ``generate`` lacks are left out.

        Parameters
        ----------
        path : str or path
            The folder.
        vocab_size : int, keyword-only, optional
            Of the model: special tokens that it does not have are left out too.

        Raises
        ------
        CheckpointError
            There is no such file, or it is no JSON object.
        """
        file = Path(path) / "generation_config.json"
        found = read_object(file)
        own = _options(found)
        words = own.get("bad_words_ids")
        if vocab_size is not None and words:
            own["bad_words_ids"] = [word for word in words if all(0 <= t < vocab_size for t in word)]
        for name in _TOKENS:
            tokens = own.get(name)
            if vocab_size is not None and tokens is not None:
                several = tokens if isinstance(tokens, list) else [tokens]
                if not all(isinstance(t, int) and 0 <= t < vocab_size for t in several):
                    del own[name]
        return cls(**own)

    def save_pretrained(self, save_directory: str | PathLike[str]) -> None:
        """Write ``generation_config.json`` into a folder, which is made.

        Raises
        ------
        CheckpointError
            The file cannot be written.
        """
        from einkorn._files import write_text

        folder = Path(save_directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{folder}: is no folder: {error.strerror or error}") from error
        write_text(folder / "generation_config.json", written(self))

    def to_dict(self) -> dict[str, Any]:
        """The options that are set."""
        return dict(self.options)

    def __repr__(self) -> str:
        return f"GenerationConfig({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


def written(config: Any) -> str:
    """The content of a ``generation_config.json``."""
    own = _options(config)
    if isinstance(own.get("sequence_bias"), Mapping):  # JSON's names are texts
        own["sequence_bias"] = [[list(word), bias] for word, bias in own["sequence_bias"].items()]
    return json.dumps(own, indent=2, sort_keys=True, default=_listed) + "\n"


def _listed(value: Any) -> Any:
    """Sets of tokens and numbers of NumPy as JSON has them."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ArgumentError(f"GenerationConfig: {value!r} cannot be written as JSON")


def _options(config: Any) -> dict[str, Any]:
    """Known options of ours, of a dict or of the class of that name in ``transformers``."""
    if config is None:
        return {}
    found = config if isinstance(config, Mapping) else getattr(config, "to_dict", lambda: None)()
    if not isinstance(found, Mapping):
        raise ArgumentError(
            f"generate: generation_config is a {type(config).__name__}, expected a GenerationConfig"
        )
    own = {name: found[name] for name in _known() if found.get(name) is not None}
    return own


def settled(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Options of a call over those of its ``generation_config`` or else the model's."""
    config = given.pop("generation_config", None)
    own = _options(getattr(model, "generation_config", None) if config is None else config)
    if given.get("max_new_tokens") is None:
        given.pop("max_new_tokens", None)
    one, other = "max_new_tokens", "max_length"
    for name, rival in ((one, other), (other, one)):
        if name in given:
            own.pop(rival, None)
    return {**own, **given}
