"""The two recipes of transfer learning: features of a trained network, and fine-tuning it.

Usage: ``python examples/transfer_learning.py [--quick] [--seed N]``. ResNet-20 learns five classes first and
is carried over to five others, 50 images of each: of CIFAR-10 where ``$EINKORN_DATA/cifar10`` is there (some
minutes), else, and with ``--quick``, of scikit-learn's digits.

1. Features: the network stays as it is; what its third stage is given goes to a linear classifier, beside
   the same classifier on pixels. With CIFAR-10's published weights in
   ``$EINKORN_DATA/models/resnet20_cifar10.npz`` so do all ten digits, which that network has never seen; what
   its last layer is given serves them less, as late layers are made for their own classes.
2. Fine-tuning: a new head alone for one epoch, then all layers, those near the input more slowly, beside the
   same network trained from scratch on the same images for as many epochs.
"""

import argparse
import os
from pathlib import Path

import numpy as np

import einkorn
from einkorn import models, nn, ops, optim
from einkorn.data import enlarge, load_cifar10, load_digits
from einkorn.errors import DataError

Split = tuple[np.ndarray, np.ndarray]
EACH = 50
STATISTICS = models.resnet20().preprocessing


def normalized(pictures: np.ndarray) -> np.ndarray:
    mean, std = (np.array(a, np.float32).reshape(-1, 1, 1) for a in (STATISTICS.mean, STATISTICS.std))
    return (pictures - mean) / std


def digits() -> tuple[Split, Split]:
    """scikit-learn's digits as colour pictures of 32x32."""
    (x, y), (x_test, y_test) = load_digits()
    x, x_test = (normalized(enlarge(part, 4).repeat(3, 1)) for part in (x, x_test))
    return (x, y), (x_test, y_test)


def data(quick: bool) -> tuple[Split, Split]:
    if not quick:
        try:
            (x, y), (x_test, y_test) = load_cifar10()
            return (normalized(x), y), (normalized(x_test), y_test)
        except DataError as error:
            print(f"{error}\ndigits instead")
    return digits()


def some(x: np.ndarray, y: np.ndarray, seed: int) -> Split:
    """A few of each class."""
    order = np.random.default_rng(seed).permutation(len(y))
    few = np.concatenate([order[y[order] == label][:EACH] for label in np.unique(y)])
    return x[few], y[few]


def linear(train: Split, test: Split) -> float:
    """The accuracy of a linear classifier of rows of numbers, which are brought to one scale."""
    x = train[0].reshape(len(train[0]), -1)
    mean, std = x.mean(0), x.std(0) + 1e-3
    model = nn.Linear(x.shape[1], int(train[1].max()) + 1)
    model.compile(optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3), "cross_entropy")
    model.fit((x - mean) / std, train[1], 32, 60, verbose=0)
    scores = model.predict((test[0].reshape(len(test[0]), -1) - mean) / std)
    return float((scores.argmax(1) == test[1]).mean())


def compare_features(network: nn.Module, train: Split, test: Split, layers: list[str]) -> None:
    found = {"pixels": linear(train, test)}
    for layer in layers:
        rows = [models.extract_features(network, part[0], layer) for part in (train, test)]
        rows = [ops.adaptive_avg_pool2d(a, 4) if a.ndim == 4 else a for a in rows]
        found[f"what {layer} is given"] = linear((rows[0], train[1]), (rows[1], test[1]))
    print("a linear classifier of", ", of ".join(f"{what}: {share:.1%}" for what, share in found.items()))


def teach(model: nn.Module, groups: list[dict], train: Split, epochs: int, rate: float = 0.05) -> None:
    optimizer = optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=5e-4)
    model.compile(optimizer, "cross_entropy")
    model.fit(*train, 32, epochs, verbose=0)


def accuracy(model: nn.Module, test: Split) -> float:
    return float((model.predict(test[0], batch_size=250).argmax(1) == test[1]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits 0 to 4 first, then 5 to 9")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    einkorn.manual_seed(given.seed)
    (x, y), (x_test, y_test) = data(given.quick)
    first, later, wanted = y < 5, y >= 5, y_test >= 5
    trained = models.resnet20(num_classes=5)
    teach(trained, [{"params": trained.parameters()}], (x[first], y[first]), 4)
    train, test = some(x[later], y[later] - 5, given.seed), (x_test[wanted], y_test[wanted] - 5)

    compare_features(trained, train, test, ["layer3"])
    file = Path(os.environ.get("EINKORN_DATA", "")) / "models" / "resnet20_cifar10.npz"
    if not given.quick and file.exists():
        published, (own, others) = models.resnet20(weights=file), digits()
        print("ten digits: ", end="")
        compare_features(published, some(*own, given.seed), others, ["layer3", "linear"])

    epochs = 4 if given.quick else 20
    tuned = models.resnet20(num_classes=5)
    body = {name: a for name, a in trained.state_dict().items() if not name.startswith("linear")}
    tuned.load_state_dict(body, strict=False)  # the head is new
    teach(models.freeze(tuned, "layer3"), [{"params": tuned.linear.parameters()}], train, 1)
    models.unfreeze(tuned)
    teach(tuned, models.discriminative_rates(tuned, 0.02, factor=0.8), train, epochs - 1, 0.02)
    fresh = models.resnet20(num_classes=5)
    teach(fresh, [{"params": fresh.parameters()}], train, epochs)
    print(f"fine-tuned: {accuracy(tuned, test):.1%}, from scratch: {accuracy(fresh, test):.1%}")


if __name__ == "__main__":
    main()
