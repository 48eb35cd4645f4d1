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
    "decoder_start_token_id",
)


@cache
def _kinds() -> dict[str, str]:
    """The options and what they may be."""
    from einkorn.seq.generation import generate

    known = {n: str(p.annotation) for n, p in inspect.signature(generate).parameters.items()}
    own = {name: kind for name, kind in known.items() if name not in _OF_A_CALL}
    return {**own, "decoder_start_token_id": "int | list[int] | None"}


def _known() -> tuple[str, ...]:
    return tuple(_kinds())


def _fits(value: Any, kind: str) -> bool:
    """Whether a value of a JSON file is one of the kinds that an annotation names."""
    if isinstance(value, bool):
        return kind == "Any" or "bool" in kind
    if isinstance(value, (int, float)):
        return (
            kind == "Any"
            or "float" in kind.split(" | ")
            or (isinstance(value, int) and "int |" in f"{kind} |")
        )
    if isinstance(value, str):
        return kind == "Any" or "str" in kind.split(" | ")
    return kind == "Any" or any(name in kind for name in ("list", "tuple", "Sequence", "Mapping"))


class GenerationConfig:
    """Options of :func:`einkorn.seq.generate`, to be given as ``generation_config``.

    Parameters
    ----------
    **options
        Those of :func:`einkorn.seq.generate`, and ``decoder_start_token_id`` of encoder-decoders; what is
        given in a call goes before them.

    Attributes
    ----------
    options : dict
        Those that are set.
    others : dict
        Entries of the file that was read which are no options here, such as ``bos_token_id`` and Whisper's
        ``lang_to_id``: they are written again as they were.

    Raises
    ------
    ArgumentError
        A name is no option.
    """

    options: dict[str, Any]
    others: dict[str, Any]

    def __init__(self, **options: Any) -> None:
        _check_names("GenerationConfig", options)
        self.options, self.others = options, {}

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], *, vocab_size: int | None = None) -> GenerationConfig:
        """What a folder's ``generation_config.json`` says; what ``generate`` lacks becomes ``others``.

        Parameters
        ----------
        path : str or path
            The folder.
        vocab_size : int, keyword-only, optional
            Of the model: special tokens that it does not have are no options either: it cannot write them.

        Raises
        ------
        CheckpointError
            There is no such file, it is no JSON object, or an option in it is of another kind.
        """
        file = Path(path) / "generation_config.json"
        found = read_object(file)
        own = _options(found)
        for name, value in own.items():
            if not _fits(value, _kinds()[name]):
                raise CheckpointError(f"{file}: {name} is {value!r}, expected {_kinds()[name]}")
        words = own.get("bad_words_ids")
        if not all(isinstance(word, list) for word in words or ()):
            raise CheckpointError(f"{file}: bad_words_ids is {words!r}, expected lists of tokens")
        if vocab_size is not None and words:
            own["bad_words_ids"] = [word for word in words if all(0 <= t < vocab_size for t in word)]
        for name in _TOKENS:
            tokens = own.get(name)
            if vocab_size is not None and tokens is not None:
                several = tokens if isinstance(tokens, list) else [tokens]
                if not all(isinstance(t, int) for t in several):
                    raise CheckpointError(f"{file}: {name} is {tokens!r}, expected tokens")
                if not all(0 <= t < vocab_size for t in several):
                    del own[name]
        config = cls(**own)
        config.others = {name: value for name, value in found.items() if name not in own}
        return config

    def save_pretrained(self, save_directory: str | PathLike[str]) -> None:
        """Write ``generation_config.json`` into a folder, which is made.

        Raises
        ------
        CheckpointError
            The file cannot be written.
        """
        from einkorn._files import check_folder, write_text

        check_folder("GenerationConfig.save_pretrained", save_directory)
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


def _check_names(op: str, options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in _known():
            raise ArgumentError(
                f"{op}: {name!r} is no option of generate, expected one of {', '.join(_known())}"
            )


def written(config: Any, **more: Any) -> str:
    """The content of a ``generation_config.json``: options over what was read over ``more``."""
    own = {**more, **getattr(config, "others", {}), **_options(config)}
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
    if isinstance(config, Mapping):
        _check_names("generate: generation_config", config)
    own = _options(getattr(model, "generation_config", None) if config is None else config)
    own.pop("decoder_start_token_id", None)  # see start_of
    if given.get("max_new_tokens") is None:
        given.pop("max_new_tokens", None)
    both = {**own, **given}
    told_both = "max_new_tokens" in given and given.get("max_length") is not None  # which is refused
    if "max_new_tokens" in both and not told_both:  # it goes before, wherever the two come from
        both.pop("max_length", None)
    return both


def start_of(model: Any, given: Any, config: Any) -> Any:
    """What a decoder sees first: the call's, else its options', else those of the model, else the model's."""
    for options in (config, getattr(model, "generation_config", None)):
        if given is None:
            given = _options(options).get("decoder_start_token_id")
    return model.decoder_start_token_id if given is None else given
