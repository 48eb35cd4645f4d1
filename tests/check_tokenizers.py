"""What takes too long for the suite: tokenisers beside the reference libraries on 100,000 random texts and
on every published text, 200,000 damaged texts and files, words of ten million characters, and files larger
than the memory that learning from them takes.

    EINKORN_DATA=../shared/data python tests/check_tokenizers.py same
    EINKORN_DATA=../shared/data python tests/check_tokenizers.py damaged
    EINKORN_DATA=../shared/data python tests/check_tokenizers.py large

`same` needs tokenizers and tiktoken, and looks at transformers where it is installed. All end with an
error where something differs, crashes, is not refused by name, or takes more than it should.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import lzma
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from text_samples import published, random_texts

import einkorn.text as et
from einkorn.errors import EinkornError

BERT, CLIP = "bert_base_uncased_vocab.txt", "clip_bpe_simple_vocab_16e6.txt.gz"
GPT2 = "gpt2_encoder.json", "gpt2_vocab.bpe"
LLAMA, WHISPER = "llama2c_tokenizer.bin", "whisper_multilingual.tiktoken"
KNOWN_TEXT = {".txt", ".csv", ".md", ".names", ".data", ".en", ".de", ".tab", ".xml", ".cfg", ".json", ".bpe"}


def of(name: str) -> Path:
    return published("tokenizers", name)


def texts_of(root: Path) -> Iterator[tuple[str, str]]:
    """Every text under a folder, those in archives too, with its name."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        content: list[tuple[str, bytes]] = []
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = [(name, archive.read(name)) for name in archive.namelist()]
        elif path.name.endswith(".tar.xz"):
            with tarfile.open(path) as archive_:
                for member in archive_:
                    if member.isfile() and not member.name.endswith(".wav"):
                        file = archive_.extractfile(member)
                        content.append((member.name, file.read() if file else b""))
        elif path.suffix == ".xz" and path.stem.endswith(".txt"):
            content = [(path.name, lzma.decompress(path.read_bytes()))]
        elif path.suffix == ".gz" and Path(path.stem).suffix in KNOWN_TEXT:
            content = [(path.name, gzip.decompress(path.read_bytes()))]
        elif path.suffix in KNOWN_TEXT:
            content = [(path.name, path.read_bytes())]
        for name, octets in content:
            try:
                text = octets.decode()
            except UnicodeDecodeError:
                text = octets.decode("latin-1")
            if "\0" not in text:
                yield f"{path.name}:{name}", text


def same(count: int) -> int:
    import tiktoken
    from tokenizers import Tokenizer

    root = Path(os.environ.get("EINKORN_DATA") or published("tokenizers", BERT).parents[1])
    texts = random_texts(count, 11)
    rng = random.Random(5)
    texts += ["".join(rng.choice("ab'\u00e9 \u4e2d\n") for _ in range(20_000)), "x" * 100_000, "", " " * 5000]
    stored: list[str] = []
    for _, text in texts_of(root):
        # Long texts in parts: the libraries beside take very long over some.
        stored += [text[i : i + 100_000] for i in range(0, len(text), 100_000)]
    print(f"{len(texts)} random texts, {len(stored)} stored, {sum(map(len, stored)) / 1e6:.1f} M characters")
    with open(of(WHISPER), "rb") as file:
        lines = [line.split() for line in file if line.strip()]
    ranks = {b"" if a == b"=" else base64.b64decode(a): int(rank) for a, rank in lines}
    whisper = et.read_tiktoken(of(WHISPER), pattern="gpt2")
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    encoding = tiktoken.Encoding("whisper", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    gpt2 = et.read_gpt2(*map(of, GPT2))
    made = {
        "GPT-2": gpt2,
        "CLIP": et.read_clip(of(CLIP)),
        "BERT": et.read_bert_vocabulary(of(BERT)),
        "BERT, cased": et.read_bert_vocabulary(of(BERT), lowercase=False),
        "Llama": et.read_llama2c(of(LLAMA)),
    }
    pairs: dict[str, tuple[et.Tokenizer, Callable[[list[str]], list[list[int]]]]] = {
        "Whisper": (whisper, lambda part: encoding.encode_ordinary_batch(part, num_threads=2))
    }
    for name, ours in made.items():
        reference = Tokenizer.from_str(ours.to_str())
        pairs[name] = ours, lambda part, beside=reference: [each.ids for each in beside.encode_batch(part)]
    pairs |= of_transformers(made)
    wrong = 0
    for name, (ours, beside) in pairs.items():
        began = time.perf_counter()
        different = 0
        for group in (texts, stored):
            for i in range(0, len(group), 2000):
                part = group[i : i + 2000]
                for text, mine, theirs in zip(part, ours.encode_batch(part), beside(part), strict=True):
                    if mine.ids != theirs:
                        different += 1
                        if different < 4:
                            pairs_ = zip(mine.ids, theirs, strict=False)
                            at = next((j for j, (a, b) in enumerate(pairs_) if a != b), -1)
                            print(f"  {name}: token {at} of {text[:120]!a}")
                    elif name in ("GPT-2", "Whisper") and ours.decode_bytes(mine.ids) != text.encode():
                        different += 1
                        print(f"  {name}: decoding loses {text[:120]!a}")
        wrong += different
        print(f"{name}: {different} differ ({time.perf_counter() - began:.0f} s)", flush=True)
    return wrong


def of_transformers(made: dict[str, et.Tokenizer]) -> dict[str, Any]:
    """The same files read by transformers' own classes."""
    try:
        from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer
    except ImportError:
        return {}
    folder = Path(tempfile.mkdtemp())
    et.write_gpt2(made["GPT-2"], folder / "vocab.json", folder / "merges.txt")
    gpt2 = GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    et.write_gpt2(made["CLIP"], folder / "clip.json", folder / "clip.txt")
    clip = CLIPTokenizer(str(folder / "clip.json"), str(folder / "clip.txt"))
    bert = BertTokenizer(str(of(BERT)))
    return {
        f"{name} of transformers": (made[name], lambda part, by=by: by(part)["input_ids"])
        for name, by in (("GPT-2", gpt2), ("CLIP", clip), ("BERT", bert))
    }


def damaged(count: int) -> int:
    """Texts and files that nobody would write: whatever happens is a result or a named refusal."""
    rng = random.Random(3)
    tokenizers = [
        et.read_gpt2(*map(of, GPT2)),
        et.read_clip(of(CLIP)),
        et.read_bert_vocabulary(of(BERT)),
        et.read_llama2c(of(LLAMA)),
        et.read_tiktoken(of(WHISPER), pattern="cl100k"),
        et.read_tiktoken(of(WHISPER), pattern="llama3"),
    ]
    began = time.perf_counter()
    texts = random_texts(count // 2, 7)
    for _ in range(count - len(texts)):
        pieces = [
            chr(rng.choice((rng.randrange(0x110000), rng.randrange(256)))) for _ in range(rng.randrange(40))
        ]
        texts.append("".join(pieces) * rng.choice((1, 1, 1, 30)))
    surrogates = 0
    for i, text in enumerate(texts):
        tokenizer = tokenizers[i % len(tokenizers)]
        broken = any("\ud800" <= c <= "\udfff" for c in text)
        try:
            ids = tokenizer.ids(text)
            assert not broken, ascii(text)
            tokenizer.decode(ids)
            et.word_tokenize(text)
        except EinkornError as error:
            if not broken or "surrogate" not in str(error):
                raise
            surrogates += 1
    print(f"{count} texts, {surrogates} refused for surrogates ({time.perf_counter() - began:.0f} s)")
    return damaged_files(max(count // 400, 20))


def damaged_files(count: int) -> int:
    rng = random.Random(4)
    folder = Path(tempfile.mkdtemp())
    small = et.train_bpe(["the low tower, the lower towers"] * 3, 300)
    small.save(folder / "tokenizer.json", pretty=False)
    et.write_gpt2(small, folder / "vocab.json", folder / "merges.txt")
    et.write_tiktoken(small, folder / "ranks")
    llama = of(LLAMA).read_bytes()[:60_000]
    (folder / "bert.txt").write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", "the", "##er", "low"]))
    model = et.Word2Vec([["a", "b", "c"]] * 20, vector_size=4, min_count=1)
    model.save(folder / "word2vec")
    model.wv.save(folder / "vectors")
    model.wv.save_word2vec_format(folder / "text")
    model.wv.save_word2vec_format(folder / "binary", binary=True)
    glove = et.GloVe([["a", "b", "c"]] * 20, vector_size=4, min_count=1)
    glove.save(folder / "glove")
    whole = {path.name: path.read_bytes() for path in folder.iterdir()} | {"llama": llama}
    readers: dict[str, Callable[[Path], Any]] = {
        "tokenizer.json": et.Tokenizer.from_file,
        "vocab.json": lambda path: et.read_gpt2(path, folder / "merges.txt"),
        "merges.txt": lambda path: et.read_gpt2(folder / "vocab.json", path),
        "ranks": lambda path: et.read_tiktoken(path, pattern="gpt2"),
        "llama": et.read_llama2c,
        "bert.txt": et.read_bert_vocabulary,
        "word2vec": et.Word2Vec.load,
        "vectors": et.KeyedVectors.load,
        "glove": et.GloVe.load,
        "text": et.KeyedVectors.load_word2vec_format,
        "binary": lambda path: et.KeyedVectors.load_word2vec_format(path, binary=True),
    }
    refused = read = 0
    for name, reader in readers.items():
        for _ in range(count):
            octets = bytearray(whole[name])
            for _ in range(rng.choice((1, 1, 2, 8))):
                at = rng.randrange(len(octets)) if octets else 0
                what = rng.randrange(5)
                if what == 0:
                    del octets[at:]
                elif what == 1:
                    octets[at : at + 1] = bytes([rng.randrange(256)])
                elif what == 2:
                    octets[at : at + rng.randrange(1, 9)] = b"\xff\xff\xff\x7f"
                elif what == 3:
                    octets[at:at] = rng.choice((b"-1", b"99999999999999999999", b"\n", b"\0", b'"', b"nan"))
                else:
                    part = octets[at : at + rng.randrange(1, 200)]
                    octets[at:at] = part
            path = folder / "damaged"
            path.write_bytes(octets)
            try:
                found = reader(path)
                read += 1
                if isinstance(found, et.Tokenizer):
                    found.decode(found.encode("the lowest tower \U0001f600 12").ids)
            except EinkornError:
                refused += 1
    print(f"{refused + read} damaged files, {refused} refused, the others read")
    return 0


def large(count: int) -> int:
    """Time that grows with a word as the word does, and memory that does not grow with a file."""
    wrong = 0
    rng = random.Random(6)
    sample = "".join(rng.choices("abcdefgh", k=20_000))
    makers: dict[str, et.Tokenizer] = {
        "byte pairs": et.train_bpe([sample], 1000),
        "WordPiece": et.read_bert_vocabulary(of(BERT)),
        "Llama": et.read_llama2c(of(LLAMA)),
        "Unigram": et.train_unigram([sample], 300, split="whole"),
    }
    for name, tokenizer in makers.items():
        for kind, letters in (("random", "abcdefgh"), ("one letter", "a")):
            seconds = []
            for size in (count // 10, count):
                word = "".join(rng.choices(letters, k=size))
                began = time.process_time()
                ids = tokenizer.ids(word)
                seconds.append(time.process_time() - began)
                lost = name == "byte pairs" and tokenizer.decode(ids) != word
                wrong += lost
            # Ten times the word: n log n is 12 times; caches that are left make it a little more.
            grew = seconds[1] / max(seconds[0], 0.01)
            wrong += grew > 25
            print(f"{name}, a word of {count:,} ({kind}): {seconds[1]:.1f} s, {grew:.1f} times a tenth of it")
    return wrong + memory(30 * count)


def memory(size: int) -> int:
    """How much more memory than before is held at most while a file is learned from."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "corpus.txt")
        octets = lzma.decompress(published("wikipedia_extract", "enwiki_extract.txt.xz").read_bytes())
        with open(path, "wb") as file:
            for _ in range(size // len(octets) + 1):
                file.write(octets)
        programs = {
            "byte pairs": "et.train_bpe(path, 2000)",
            "WordPiece": "et.train_wordpiece(path, 2000)",
            "words counted": "et.Word2Vec(vector_size=8).build_vocab(corpus_file=path)",
        }
        for name, program in programs.items():
            code = f"""
import re, sys
from pathlib import Path
import einkorn.text as et
path = Path(sys.argv[1])
et.train_bpe(["a b"], 300)
kilobytes = lambda name: int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = kilobytes("VmRSS")
{program}
print(kilobytes("VmHWM") - before)
"""
            done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
            held = int(done.stdout) / 1024 if done.returncode == 0 else float("inf")
            wrong += held > 250  # a part of 16 MiB, its lines, tables of words and the vocabulary
            print(
                f"{name}: {path.stat().st_size / 2**20:.0f} MiB learned from in {held:.0f} MiB{done.stderr}"
            )
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = {same: 100_000, damaged: 200_000, large: 10_000_000}
    runs = {run.__name__: run for run in usual}
    parser.add_argument("what", choices=list(runs))
    parser.add_argument("--count", type=int, help="texts (100000, 200000) or characters of a word (10000000)")
    options = parser.parse_args()
    run = runs[options.what]
    raise SystemExit(min(run(options.count or usual[run]), 1))


if __name__ == "__main__":
    main()
