"""Week 8, transformers: attention by hand, then a small one that learns to say sequences backwards."""

import einkorn
from einkorn import nn, ops, optim


class Reverser(nn.Module):
    """Tokens and places, two encoder layers, a score for each token at each place."""

    def __init__(self, tokens: int, steps: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, 32), nn.Embedding(steps, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.scores = nn.Linear(32, tokens)

    def forward(self, x):
        return self.scores(self.encoder(self.tokens(x) + self.places(einkorn.arange(x.shape[1]))))


def main() -> None:
    einkorn.manual_seed(0)
    scores = einkorn.tensor([112.0, 96.0]) / 64**0.5
    print("scores 112 and 96 of 64 numbers:", [round(share, 2) for share in ops.softmax(scores, -1).tolist()])

    net, loss_fn = Reverser(10, 8), nn.CrossEntropyLoss()
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    for step in range(301):
        x = einkorn.randint(0, 10, (64, 8))
        loss = loss_fn(net(x).reshape(-1, 10), x.flip(1).reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}")
    net.eval()
    x = einkorn.randint(0, 10, (1, 8))
    print("given", x[0].tolist(), "said", net(x)[0].argmax(1).tolist())


if __name__ == "__main__":
    main()
