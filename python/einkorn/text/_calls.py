"""Tokenizers called as those of transformers are, and what of Hugging Face's class there is not."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn._near import MissingNameError
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.text._arguments import items_of, path_of, whole_number
from einkorn.text._lengths import Lengths

if TYPE_CHECKING:
    from einkorn.text.encoding import Encoding
    from einkorn.text.tokenizer import Tokenizer

__all__ = ["BatchEncoding", "Calls"]

_DESCRIBED = "a tokenizer is its description: Tokenizer(description) makes one of a changed description"
_THREADS = "encode_batch works on several threads; asyncio.to_thread awaits it"
_LEARNED = "train_bpe, train_wordpiece and train_unigram make a tokenizer"

#: Hugging Face's names that have no equal here, and what to do instead.
_INSTEAD = {
    **dict.fromkeys(("model", "normalizer", "pre_tokenizer", "post_processor", "decoder"), _DESCRIBED),
    **dict.fromkeys(("train", "train_from_iterator", "train_new_from_iterator"), _LEARNED),
    **dict.fromkeys(
        ("async_encode", "async_encode_batch", "async_encode_batch_fast", "async_decode_batch"), _THREADS
    ),
    "post_process": "encode puts special tokens around texts, Encoding.truncate and pad do the rest",
    "encode_special_tokens": "special tokens are always found in a text",
    "get_added_tokens_decoder": 'description["added_tokens"] lists them',
    "batch_decode": "use decode_batch",
    "batch_encode_plus": "use the call: tokenizer(texts)",
    "encode_plus": "use the call: tokenizer(text)",
    "convert_tokens_to_ids": "use token_to_id",
    "convert_ids_to_tokens": "use id_to_token",
    "tokenize": "use encode(text).tokens",
    "apply_chat_template": "there are no templates of chats: put the text together and encode it",
}


class BatchEncoding(dict[str, Any]):
    """What calling a tokenizer gives: a dict whose keys are attributes too.

    Attributes
    ----------
    encodings : list of Encoding
        What its rows were made of.
    """

    def __init__(self, columns: dict[str, Any], encodings: list[Encoding]) -> None:
        super().__init__(columns)
        self.encodings = encodings

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise MissingNameError("BatchEncoding", name, lambda: [*self, "tokens", "word_ids"], {})

    def __reduce__(self) -> Any:
        return type(self), (dict(self), self.encodings)

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self.encodings[batch_index].tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row the number of its word."""
        return self.encodings[batch_index].word_ids


class Calls(Lengths):
    """The part of :class:`einkorn.text.Tokenizer` that is called."""

    if TYPE_CHECKING:

        @classmethod
        def from_file(cls, path: str | PathLike[str]) -> Tokenizer: ...

        def token_to_id(self, token: str) -> int | None: ...

        def to_str(self, pretty: bool = False) -> str: ...

        def _encoded(self, kept: list[Any], *options: Any) -> list[Encoding]: ...

    def __getattr__(self, name: str) -> Any:
        raise MissingNameError("Tokenizer", name, lambda: dir(type(self)), _INSTEAD)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _INSTEAD:
            raise ArgumentError(f"Tokenizer: {name} cannot be set: {_INSTEAD[name]}")
        super().__setattr__(name, value)

    @classmethod
    def from_pretrained(
        cls, identifier: str | PathLike[str], revision: str = "main", token: str | None = None
    ) -> Tokenizer:
        """Read the ``tokenizer.json`` of a folder.

        Parameters
        ----------
        identifier
            Path of the folder. Nothing is fetched: the name of a model elsewhere is refused.
        revision, token
            "main" and None; a folder has no others.

        Raises
        ------
        ArgumentError
            There is no such folder, or something is to be fetched.
        MissingFileError
            The folder has no ``tokenizer.json``.
        DataError
            The file is damaged, or has a step that is not supported.
        """
        folder = path_of("from_pretrained", identifier)
        if revision != "main" or token is not None:
            raise ArgumentError("from_pretrained: revision must be 'main' and token None: nothing is fetched")
        if not folder.is_dir():
            raise ArgumentError(
                f"from_pretrained: there is no folder {str(identifier)!r}; nothing is fetched: download the "
                "tokenizer.json and give its folder, or use from_file"
            )
        return cls.from_file(Path(folder) / "tokenizer.json")

    def save_pretrained(self, save_directory: str | PathLike[str]) -> tuple[str, ...]:
        """Write the files that :meth:`from_pretrained` and transformers' ``AutoTokenizer`` read.

        ``tokenizer.json``, and a ``tokenizer_config.json`` that names transformers' class for it unless the
        folder has one; both whole or not at all.

        Parameters
        ----------
        save_directory : str or path
            The folder; it is made.

        Returns
        -------
        tuple of str
            The files that were written.

        Raises
        ------
        CheckpointError
            A file cannot be written; what was there before is there still.
        """
        from einkorn._files import check_folder
        from einkorn.checkpoint import write_together

        folder = path_of("save_pretrained", save_directory)
        check_folder("save_pretrained", save_directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{folder}: is no folder: {error.strerror or error}") from error
        texts = {"tokenizer.json": self.to_str(pretty=True)}
        if not (folder / "tokenizer_config.json").exists():
            own: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
            if self.padding is not None:
                own["pad_token"] = self.padding["pad_token"]
            texts["tokenizer_config.json"] = json.dumps(own, indent=2, ensure_ascii=False) + "\n"
        write_together({folder / name: [text.encode("utf-8")] for name, text in texts.items()})
        return tuple(str(folder / name) for name in texts)

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool = False,
        return_attention_mask: bool = True,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Texts as ids, with the options of the tokenizers of transformers.

        What :meth:`enable_truncation` and :meth:`enable_padding` were told says how, not whether: a call cuts
        off and fills what its own options say.

        Parameters
        ----------
        text, text_pair
            A text or a list of texts; with ``is_split_into_words`` a list of words or a list of such.
        add_special_tokens
            Whether what the description says is put around them.
        padding
            True or "longest": fill up to the longest; "max_length": up to ``max_length``; False or
            "do_not_pad".
        truncation
            True or "longest_first", "only_first", "only_second": cut off behind ``max_length`` tokens; None,
            False or "do_not_truncate".
        max_length
            By default what :meth:`enable_truncation` was told.
        stride
            How many tokens what overflows has of what is before it.
        pad_to_multiple_of, padding_side
            As for :meth:`enable_padding`, the second as its ``direction``.
        return_tensors
            "np": int64 arrays (texts, tokens); None: lists, for a single text one without a batch.
        return_token_type_ids, return_attention_mask, return_special_tokens_mask, return_offsets_mapping, \
return_length
            Whether there are ``token_type_ids``, ``attention_mask``, ``special_tokens_mask``,
            ``offset_mapping`` and ``length``.
        return_overflowing_tokens
            Whether what overflows has rows too, with ``overflow_to_sample_mapping``.

        Returns
        -------
        dict
            ``input_ids`` and the columns asked for, as items and as attributes.

        Raises
        ------
        ArgumentError
            An option does not fit; there is no token to fill with; or rows of different lengths are to be an
            array.
        """
        name = "Tokenizer"
        if return_tensors not in (None, "np"):
            raise ArgumentError(f"{name}: return_tensors must be 'np' or None, got {return_tensors!r}")
        batch, sequences = _batch_of(text, text_pair, is_split_into_words)
        cut = self._cut(truncation, max_length, stride)
        fill = self._fill(padding, max_length, pad_to_multiple_of, padding_side, cut)
        encodings = self._encoded(sequences, is_split_into_words, add_special_tokens, cut, None)
        rows, samples = encodings, list(range(len(encodings)))
        if return_overflowing_tokens:
            rows = [each for encoding in encodings for each in (encoding, *encoding.overflowing)]
            samples = [i for i, encoding in enumerate(encodings) for _ in (encoding, *encoding.overflowing)]
        rows = self._padded(rows, fill)
        columns: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
        for wanted, key, attribute in (
            (return_token_type_ids, "token_type_ids", "type_ids"),
            (return_attention_mask, "attention_mask", "attention_mask"),
            (return_special_tokens_mask, "special_tokens_mask", "special_tokens_mask"),
            (return_offsets_mapping, "offset_mapping", "offsets"),
        ):
            if wanted:
                columns[key] = [getattr(row, attribute) for row in rows]
        if return_length:
            columns["length"] = [len(row) for row in rows]
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        if return_tensors:
            if len({len(row) for row in rows}) > 1:
                raise ArgumentError(f"{name}: rows of different lengths are no array: say padding=True")
            columns = {key: np.array(column, np.int64) for key, column in columns.items()}
        elif not batch and not return_overflowing_tokens:
            columns = {key: column[0] if key != "length" else column for key, column in columns.items()}
        return BatchEncoding(columns, rows)

    if TYPE_CHECKING:

        @staticmethod
        def _padded(encodings: list[Encoding], padding: dict[str, Any] | None) -> list[Encoding]: ...

    def _cut(
        self, truncation: bool | str | None, max_length: int | None, stride: int
    ) -> dict[str, Any] | None:
        if truncation in (None, False, "do_not_truncate"):
            return None
        kept = self.truncation
        strategy = "longest_first" if truncation is True else truncation
        if max_length is None:
            if kept is None:
                raise ArgumentError("Tokenizer: truncation needs max_length, or enable_truncation before")
            max_length = kept["max_length"]
        direction = kept["direction"] if kept else "right"
        return self._truncation_of("Tokenizer", max_length, stride, str(strategy), direction)

    def _fill(
        self,
        padding: bool | str,
        max_length: int | None,
        multiple: int | None,
        side: str | None,
        cut: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        if padding in (False, "do_not_pad"):
            return None
        if padding not in (True, "longest", "max_length"):
            raise ArgumentError(
                "Tokenizer: padding must be True, False, 'longest', 'max_length' or 'do_not_pad', "
                f"got {padding!r}"
            )
        length = None
        if padding == "max_length":
            length = (
                max_length if max_length is not None else (cut or self.truncation or {}).get("max_length")
            )
            if length is None:
                raise ArgumentError("Tokenizer: padding 'max_length' needs max_length")
            length = whole_number("Tokenizer", "max_length", length, 0)
        kept = self.padding
        if kept is None:
            tokens = [(token, self.token_to_id(token)) for token in ("[PAD]", "<pad>", "<|pad|>")]
            found = next(((token, number) for token, number in tokens if number is not None), None)
            if found is None:
                raise ArgumentError(
                    "Tokenizer: padding needs a token to fill with, and there is no [PAD] or <pad>: "
                    "enable_padding says which"
                )
            kept = {"pad_token": found[0], "pad_id": found[1], "pad_type_id": 0, "direction": "right"}
        side = kept["direction"] if side is None else side
        numbers = kept["pad_id"], kept["pad_type_id"], kept["pad_token"]
        return self._padding_of("Tokenizer", side, *numbers, length, multiple)


def _batch_of(text: Any, text_pair: Any, words: bool) -> tuple[bool, list[Any]]:
    """Whether these are several texts, and what is encoded."""
    batch = not isinstance(text, str)
    if words:
        listed = items_of("Tokenizer", "text", text)
        batch = any(not isinstance(each, str) for each in listed)
    texts = items_of("Tokenizer", "text", text) if batch else [text]
    for each in texts:
        if not words and not isinstance(each, str):
            raise ArgumentError(
                f"Tokenizer: text must be a str or a list of str, got a list with {type(each).__name__}; "
                "pairs go to text_pair, words have is_split_into_words=True"
            )
    if text_pair is None:
        return batch, texts
    pairs = items_of("Tokenizer", "text_pair", text_pair) if batch else [text_pair]
    if len(pairs) != len(texts):
        raise ArgumentError(f"Tokenizer: text_pair has {len(pairs)} texts, text {len(texts)}")
    return batch, list(zip(texts, pairs, strict=True))
