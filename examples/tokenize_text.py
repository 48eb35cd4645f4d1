"""Learn byte pairs from a text, look at the tokens, put batches into arrays, save and load.

python examples/tokenize_text.py [FILE]
"""

import sys
import tempfile
from pathlib import Path

import einkorn.text as et

LINES = [
    "the low tower and the lower tower",
    "the newest and the lowest of the towers",
    "low, lower, lowest!",
]


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else LINES * 20
    tokenizer = et.train_bpe(source, 300, special_tokens=["<|endoftext|>"])
    print(f"{tokenizer.get_vocab_size()} tokens")

    encoding = tokenizer.encode("the lowest tower")
    for token, number, (start, end) in zip(encoding.tokens, encoding.ids, encoding.offsets, strict=True):
        print(f"{number:5d}  {start:3d} to {end:3d}  {token}")

    arrays = tokenizer.arrays(LINES, 12)
    print(arrays["input_ids"])
    print(tokenizer.decode(arrays["input_ids"][0][arrays["attention_mask"][0] == 1]))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        again = et.Tokenizer.from_file(path)
        print("the same again:", again.ids(LINES[0]) == tokenizer.ids(LINES[0]))


if __name__ == "__main__":
    main()
