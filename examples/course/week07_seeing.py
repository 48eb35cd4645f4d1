"""Week 7, seeing inside: where a network looks (Grad-CAM), and the picture that excites a class most."""

import numpy as np
from _digits import digits

import einkorn
from einkorn import nn


def shown(picture: np.ndarray) -> str:
    """A picture of letters, every second row."""
    scaled = (picture - picture.min()) / (np.ptp(picture) + 1e-9)
    return "\n".join("".join(" .:-=+*#%@"[int(value * 9)] for value in row) for row in scaled[::2])


def main() -> None:
    einkorn.manual_seed(0)
    (x, y), _ = digits(3000)
    x = x.transpose(0, 3, 1, 2)
    features = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 14 * 14, 10))
    net = nn.Sequential(features, head)
    net.compile("adam", "cross_entropy", metrics=["accuracy"])
    net.fit(x, y, batch_size=64, epochs=2, verbose=2)
    net.eval()

    row = x[:1]
    maps = features(einkorn.tensor(row)).detach().requires_grad_()
    number = int(head(maps).argmax(1).item())
    head(maps)[0, number].backward()
    weights = maps.grad.mean((2, 3), keepdim=True)
    cam = (weights * maps).sum(1).relu()[0].detach().numpy()
    print(f"a picture that is called {number}, and where it is looked at:")
    print(shown(row[0, 0]))
    print(shown(np.kron(cam, np.ones((2, 2)))))

    picture = einkorn.zeros(1, 1, 28, 28).requires_grad_()
    for _ in range(60):
        score = net(picture)[0, number] - 0.1 * picture.square().sum()
        (slope,) = einkorn.autograd.grad(score, picture)
        picture = (picture + 0.5 * slope).detach().requires_grad_()
    print(f"the picture that is most of a {number}:")
    print(shown(picture.detach().numpy()[0, 0]))


if __name__ == "__main__":
    main()
