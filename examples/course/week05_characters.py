"""Week 5, sequences: an LSTM learns Shakespeare's letters, or those of a verse, and writes."""

import os
from pathlib import Path

import einkorn
from einkorn import nn, optim

VERSE = """
the rain has fallen on the plain and on the hill the rain
the grain will stand upon the land and when it stands we reap the grain
"""


def text() -> str:
    """The first part of ``tinyshakespeare/input.txt`` in ``EINKORN_DATA``, or a verse again and again."""
    path = Path(os.environ.get("EINKORN_DATA", "")) / "tinyshakespeare" / "input.txt"
    return path.read_text()[:60_000] if path.is_file() else VERSE * 60


class Writer(nn.Module):
    def __init__(self, letters: int) -> None:
        super().__init__()
        self.table = nn.Embedding(letters, 32)
        self.lstm = nn.LSTM(32, 96, batch_first=True)
        self.scores = nn.Linear(96, letters)

    def forward(self, x, state=None):
        hidden, state = self.lstm(self.table(x), state)
        return self.scores(hidden), state


def main() -> None:
    einkorn.manual_seed(0)
    whole = text()
    letters = sorted(set(whole))
    numbers = einkorn.tensor([letters.index(letter) for letter in whole])
    net = Writer(len(letters))
    optimizer, loss_fn = optim.Adam(net.parameters(), lr=0.01), nn.CrossEntropyLoss()
    for step in range(151):
        starts = einkorn.randint(0, len(numbers) - 65, (16,)).tolist()
        batch = einkorn.stack([numbers[start : start + 65] for start in starts])
        scores, _ = net(batch[:, :-1])
        loss = loss_fn(scores.reshape(-1, len(letters)), batch[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}")
    said, state = [letters.index("t")], None
    with einkorn.no_grad():
        for _ in range(120):
            scores, state = net(einkorn.tensor([said[-1:]]), state)
            said.append(int(einkorn.multinomial(scores[0, -1].softmax(-1), 1).item()))
    print("".join(letters[number] for number in said))


if __name__ == "__main__":
    main()
