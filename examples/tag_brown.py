"""Parts of speech by a bidirectional LSTM and a conditional random field (Huang, Xu and Yu 2015).

python examples/tag_brown.py

Takes ``nltk/brown.zip`` in ``EINKORN_DATA``, or a few sentences written here. A word is its lower-case form,
its last three letters and how it is written; what is seen once is learned as unknown half of the time.
Of the Brown corpus every tenth sentence is held out.
"""

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np

import einkorn as ek
import einkorn.text as et
from einkorn import nn, optim

EPOCHS = 3
FEW = [
    "The/DT old/JJ cats/NNS are/VBP sleeping/VBG on/IN their/PRP$ beds/NNS ./.",
    "The/DT cat/NN is/VBZ hungry/JJ ./.",
    "Dogs/NNS run/VBP in/IN the/DT park/NN ./.",
]


def shape_of(word: str) -> int:
    """Capital first letter, other capitals, a digit, a hyphen: a number below 16."""
    return (
        word[:1].isupper()
        + 2 * any(c.isupper() for c in word[1:])
        + 4 * any(c.isdigit() for c in word)
        + 8 * ("-" in word)
    )


class Tagger(nn.Module):
    """Embeddings of words, endings and shapes, an LSTM both ways, scores of tags, and a field over them."""

    def __init__(self, words: int, endings: int, tags: int, hidden: int = 128) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 100)
        self.endings = nn.Embedding(endings, 48)
        self.shapes = nn.Embedding(16, 8)
        self.dropout = nn.Dropout(0.25)
        self.lstm = nn.LSTM(156, hidden, batch_first=True, bidirectional=True)
        self.scores = nn.Linear(2 * hidden, tags)
        self.crf = nn.CRF(tags, batch_first=True)

    def forward(self, words: np.ndarray, endings: np.ndarray, shapes: np.ndarray) -> ek.Tensor:
        x = ek.ops.cat([self.words(words), self.endings(endings), self.shapes(shapes)], -1)
        y, _ = self.lstm(self.dropout(x))
        return self.scores(self.dropout(y))


class Numbers:
    """Words, endings and tags as numbers; 0 is unknown."""

    def __init__(self, sentences: list) -> None:
        counts = Counter(word.lower() for s in sentences for word, _ in s)
        endings = Counter(word.lower()[-3:] for s in sentences for word, _ in s)
        self.words = {word: i for i, word in enumerate(counts, 1)}
        self.endings = {end: i for i, end in enumerate((e for e, n in endings.items() if n > 1), 1)}
        self.tags = {tag: i for i, tag in enumerate(sorted({tag for s in sentences for _, tag in s}))}
        self.once = np.array([False] + [n == 1 for n in counts.values()])

    def batch(self, sentences: list) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Words, endings and shapes, tags (0 where a tag is new), and where a sentence is."""
        shape = (len(sentences), max(len(s) for s in sentences))
        words, endings, shapes, tags = (np.zeros(shape, np.int64) for _ in range(4))
        for n, sentence in enumerate(sentences):
            for t, (word, tag) in enumerate(sentence):
                words[n, t] = self.words.get(word.lower(), 0)
                endings[n, t] = self.endings.get(word.lower()[-3:], 0)
                shapes[n, t] = shape_of(word)
                tags[n, t] = self.tags.get(tag, 0)
        mask = np.arange(shape[1]) < np.array([[len(s)] for s in sentences])
        return [words, endings, shapes], tags, mask


def batches(sentences: list, size: int) -> list[list]:
    """Sentences of like lengths together."""
    order = sorted(sentences, key=len)
    return [order[i : i + size] for i in range(0, len(order), size)]


def accuracy(model: Tagger, numbers: Numbers, sentences: list) -> float:
    model.eval()
    right = total = 0
    names = list(numbers.tags)
    with ek.no_grad():
        for some in batches(sentences, 128):
            x, _, mask = numbers.batch(some)
            for sentence, found in zip(some, model.crf.decode(model(*x), mask), strict=True):
                right += sum(names[i] == tag for i, (_, tag) in zip(found, sentence, strict=True))
                total += len(sentence)
    model.train()
    return right / total


def main() -> None:
    path = Path(os.environ.get("EINKORN_DATA", "")) / "nltk" / "brown.zip"
    if path.is_file():
        every = [s for s in et.read_brown(path) if s]
        seen, held_out = [s for i, s in enumerate(every) if i % 10], every[::10]
    else:
        seen = held_out = [[tuple(p.rsplit("/", 1)) for p in line.split()] for line in FEW] * 20
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    numbers = Numbers(seen)
    model = Tagger(len(numbers.words) + 1, len(numbers.endings) + 1, len(numbers.tags))
    made = [numbers.batch(some) for some in batches(seen, 48)]
    steps = EPOCHS * len(made)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    started, step = time.perf_counter(), 0
    for epoch in range(EPOCHS):
        for i in rng.permutation(len(made)):
            optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
            (words, *others), tags, mask = made[i]
            unknown = numbers.once[words] & (rng.random(words.shape) < 0.5)
            loss = -model.crf(model(np.where(unknown, 0, words), *others), tags, mask, "token_mean")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            step += 1
        found = accuracy(model, numbers, held_out)
        print(f"epoch {epoch + 1}: {found:.2%} of held-out words, {time.perf_counter() - started:.0f} s")
    words = "The striped bats are hanging on their feet for best ."
    sentence = [(word, "") for word in words.split()]
    model.eval()
    x, _, _ = numbers.batch([sentence])
    tags = model.crf.decode(model(*x))[0]
    print(" ".join(f"{w}/{list(numbers.tags)[i]}" for (w, _), i in zip(sentence, tags, strict=True)))


if __name__ == "__main__":
    main()
