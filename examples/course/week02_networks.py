"""Week 2, from the perceptron to a network of layers: two moons, which a line cannot part."""

import math

import einkorn
from einkorn import nn, optim
from einkorn.models import Perceptron


def moons(rows: int) -> tuple[einkorn.Tensor, einkorn.Tensor]:
    """Two half circles in each other, and which of them a point is of."""
    angle = math.pi * einkorn.rand(rows)
    lower = (einkorn.rand(rows) > 0.5).float()
    x = einkorn.stack([angle.cos() + lower, angle.sin() * (1 - 2 * lower) + 0.5 * lower], 1)
    return x + 0.1 * einkorn.randn(rows, 2), lower.long()


def main() -> None:
    einkorn.manual_seed(0)
    x, y = moons(500)
    line = Perceptron(2).fit(x.numpy(), 2 * y.numpy() - 1, max_iter=2000)
    right = (line.predict(x.numpy()) == 2 * y.numpy() - 1).mean()
    print(f"perceptron: {right:.1%}, converged: {line.converged}")

    for name, activation in (("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh), ("ReLU", nn.ReLU)):
        net = nn.Sequential(nn.Linear(2, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 2))
        loss_fn, optimizer = nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            loss = loss_fn(net(x), y)
            loss.backward()
            optimizer.step()
        right = (net(x).argmax(1) == y).float().mean().item()
        print(f"16 and 16 units of {name}: {right:.1%}, loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
