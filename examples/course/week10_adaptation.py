"""Week 10, domain adaptation: a reversed gradient makes features that two domains share (DANN)."""

import numpy as np

import einkorn
from einkorn import nn, optim


class Reversed(einkorn.Function):
    """x on the way there, and minus the gradient on the way back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def domain(shift: float, rows: int, seed: int) -> tuple[einkorn.Tensor, einkorn.Tensor]:
    """Two classes of points, all moved aside."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, rows)
    x = (
        generator.normal(size=(rows, 2)) * 0.35
        + np.where(y[:, None] == 1, [1.0, 0.5], [-1.0, -0.5])
        + [shift, 0]
    )
    return einkorn.tensor(x.astype(np.float32)), einkorn.tensor(y)


def trained(adapts: bool) -> float:
    """The share of target rows that is told rightly, by a network that saw labels of the source alone."""
    einkorn.manual_seed(0)
    x, y = domain(0.0, 400, 1)
    there, wanted = domain(1.6, 400, 2)
    features = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
    label, side = nn.Linear(16, 2), nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    parts = [*features.parameters(), *label.parameters(), *side.parameters()]
    optimizer = optim.Adam(parts, lr=0.005)
    of_class, of_side = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
    which = einkorn.cat([einkorn.zeros(400, 1), einkorn.ones(400, 1)])
    for _ in range(300):
        both = features(einkorn.cat([x, there]))
        loss = of_class(label(both[:400]), y)
        if adapts:
            loss = loss + of_side(side(Reversed.apply(both)), which)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (label(features(there)).argmax(1) == wanted).float().mean().item()


def main() -> None:
    print(f"source only: {trained(False):.1%} of the target; with a reversed gradient: {trained(True):.1%}")


if __name__ == "__main__":
    main()
