"""MNIST with augmentation: a small convolutional network past 99.4% of the test digits.

``python examples/mnist_augmented.py`` reads the four files of MNIST from the folder ``--data-dir``, or from
``$EINKORN_DATA/mnist``. ``--quick`` takes the 1,797 digits of scikit-learn instead, which takes seconds.
Each epoch sees every digit turned, shifted, zoomed and sheared anew; the seed decides how.
"""

import argparse
import time

import numpy as np

import einkorn
from einkorn import nn
from einkorn.data import DataLoader, augment, enlarge, load_digits, load_mnist
from einkorn.optim import Adam
from einkorn.optim.lr_scheduler import OneCycleLR


def network(side: int) -> nn.Module:
    def block(channels: int, filters: int, size: int) -> list[nn.Module]:
        return [nn.Conv2d(channels, filters, size, padding=size // 2), nn.BatchNorm2d(filters), nn.ReLU()]

    return nn.Sequential(
        *block(1, 16, 5),
        nn.MaxPool2d(2),
        *block(16, 32, 3),
        nn.MaxPool2d(2),
        *block(32, 64, 3),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * (side // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


def data(folder: str | None, quick: bool) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Training and test digits, from 0 to 1."""
    if not quick:
        return load_mnist(folder)
    (x, y), (x_test, y_test) = load_digits()
    return (enlarge(x, 2), y), (enlarge(x_test, 2), y_test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", help="folder that holds the files of MNIST")
    parser.add_argument("--epochs", type=int, help="default 7, quick 6")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="scikit-learn's digits")
    options = parser.parse_args()
    epochs = options.epochs or (6 if options.quick else 7)
    (x, y), (x_test, y_test) = data(options.data_dir, options.quick)

    einkorn.manual_seed(options.seed)
    model = network(x.shape[-1])
    transform = augment.RandomAffine(
        10, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8, interpolation="bilinear", seed=options.seed
    )
    loader = DataLoader((x, y), batch_size=128, shuffle=True, drop_last=True, transform=transform)
    optimizer = Adam(model.parameters(), lr=1e-3)
    cycle = OneCycleLR(optimizer, max_lr=8e-3, total_steps=epochs * len(loader) + 1)

    begin, used = time.perf_counter(), time.process_time()
    for epoch in range(epochs):
        model.train()
        losses = []
        for images, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(einkorn.Tensor(images)), labels)
            loss.backward()
            optimizer.step()
            cycle.step()
            losses.append(loss.item())
        model.eval()
        with einkorn.no_grad():
            batches = [model(einkorn.Tensor(x_test[i : i + 500])).numpy() for i in range(0, len(x_test), 500)]
        right = (np.concatenate(batches).argmax(1) == y_test).mean()
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
        print(
            f"epoch {epoch + 1:2}: loss {np.mean(losses):.4f}, test accuracy {right:.2%}, {seconds:.0f} s, "
            f"of processors {processor:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
