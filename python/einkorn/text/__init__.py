"""Texts: tokenisers with the files of GPT-2, CLIP, BERT, Whisper and Llama, words and sentences,
stems, counts of terms as scikit-learn's estimators, similarity, vectors of words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.text.NAME, and the module it lives in.
_HOMES = {
    "CountVectorizer": "counts",
    "Encoding": "encoding",
    "FastText": "fasttext",
    "FreqDist": "frequencies",
    "GloVe": "glove",
    "HashingVectorizer": "counts",
    "KeyedVectors": "keyed_vectors",
    "LineSentence": "sentences",
    "NLTKWordTokenizer": "words",
    "PathLineSentences": "sentences",
    "PerceptronTagger": "tagger",
    "PorterStemmer": "stems",
    "STOP_WORDS": "normal",
    "TfidfTransformer": "counts",
    "TfidfVectorizer": "counts",
    "Tokenizer": "tokenizer",
    "Vocabulary": "vocabulary",
    "Word2Vec": "word2vec",
    "bigrams": "normal",
    "cooccurrence": "neighbours",
    "cosine_similarity": "similarity",
    "edit_distance": "normal",
    "lemmatize": "normal",
    "nearest_rows": "similarity",
    "ngrams": "normal",
    "normalize": "normal",
    "one_hot": "neighbours",
    "pearson_weights": "neighbours",
    "porter_stem": "normal",
    "read_bert_vocabulary": "files",
    "read_brown": "tagger",
    "read_clip": "files",
    "read_gpt2": "files",
    "read_llama2c": "files",
    "read_tiktoken": "files",
    "remove_stop_words": "normal",
    "sent_tokenize": "words",
    "svd_vectors": "neighbours",
    "train_bpe": "training",
    "train_unigram": "unigram_training",
    "train_wordpiece": "wordpiece_training",
    "trigrams": "normal",
    "word_tokenize": "words",
    "write_gpt2": "written",
    "write_llama2c": "written",
    "write_tiktoken": "written",
    "write_vocabulary": "written",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.text.counts import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
    from einkorn.text.encoding import Encoding
    from einkorn.text.fasttext import FastText
    from einkorn.text.files import (
        read_bert_vocabulary,
        read_clip,
        read_gpt2,
        read_llama2c,
        read_tiktoken,
    )
    from einkorn.text.frequencies import FreqDist
    from einkorn.text.glove import GloVe
    from einkorn.text.keyed_vectors import KeyedVectors
    from einkorn.text.neighbours import cooccurrence, one_hot, pearson_weights, svd_vectors
    from einkorn.text.normal import (
        STOP_WORDS,
        bigrams,
        edit_distance,
        lemmatize,
        ngrams,
        normalize,
        porter_stem,
        remove_stop_words,
        trigrams,
    )
    from einkorn.text.sentences import LineSentence, PathLineSentences
    from einkorn.text.similarity import cosine_similarity, nearest_rows
    from einkorn.text.stems import PorterStemmer
    from einkorn.text.tagger import PerceptronTagger, read_brown
    from einkorn.text.tokenizer import Tokenizer
    from einkorn.text.training import train_bpe
    from einkorn.text.unigram_training import train_unigram
    from einkorn.text.vocabulary import Vocabulary
    from einkorn.text.word2vec import Word2Vec
    from einkorn.text.wordpiece_training import train_wordpiece
    from einkorn.text.words import NLTKWordTokenizer, sent_tokenize, word_tokenize
    from einkorn.text.written import write_gpt2, write_llama2c, write_tiktoken, write_vocabulary

__getattr__, __dir__ = later(__name__, _HOMES)
