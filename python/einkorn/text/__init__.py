"""Tokenisers: byte pairs, WordPiece and Unigram with the files of GPT-2, CLIP, BERT, Whisper and Llama,
words, and vocabularies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.text.NAME, and the module it lives in.
_HOMES = {
    "Encoding": "encoding",
    "Tokenizer": "tokenizer",
    "Vocabulary": "vocabulary",
    "read_bert_vocabulary": "files",
    "read_clip": "files",
    "read_gpt2": "files",
    "read_llama2c": "files",
    "read_tiktoken": "files",
    "train_bpe": "training",
    "write_gpt2": "files",
    "write_llama2c": "files",
    "write_tiktoken": "files",
    "write_vocabulary": "files",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.text.encoding import Encoding
    from einkorn.text.files import (
        read_bert_vocabulary,
        read_clip,
        read_gpt2,
        read_llama2c,
        read_tiktoken,
        write_gpt2,
        write_llama2c,
        write_tiktoken,
        write_vocabulary,
    )
    from einkorn.text.tokenizer import Tokenizer
    from einkorn.text.training import train_bpe
    from einkorn.text.vocabulary import Vocabulary

__getattr__, __dir__ = later(__name__, _HOMES)
