"""CIFAR-10 with the recipe of He et al. 2015: ResNet-20 from scratch, and why depth needs shortcuts.

Usage: ``python examples/cifar_resnets.py [--quick] [--networks resnet20 plain56] [--epochs N]``. Needs the
files of CIFAR-10 in ``$EINKORN_DATA/cifar10`` (data_batch_N.bin, also packed with xz, also the beginning
of one); without them, and with ``--quick``, a few steps on made-up pictures show that it runs. The paper's
182 epochs take days on two cores; after a few, plain-56 is behind plain-20 and ResNet-56 is not.
"""

import argparse
import lzma
import os
import time
from pathlib import Path

import numpy as np

import einkorn
from einkorn import models, optim
from einkorn.data import DataLoader, TensorDataset

BATCH = 128


def pictures(folder: Path, names: str) -> tuple[np.ndarray, np.ndarray]:
    """All records of the files that fit: uint8 [n, 3, 32, 32] and labels [n]."""
    parts = []
    for path in sorted(folder.glob(names)):
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        parts.append(np.frombuffer(data, np.uint8).reshape(-1, 3073))
    if not parts:
        return np.empty((0, 3, 32, 32), np.uint8), np.empty(0, np.int64)
    rows = np.concatenate(parts)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The paper's augmentation: four pixels of zeros around, a random cut, half of them mirrored."""
    wide = np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4)))
    out = np.empty_like(x)
    corners, flips = rng.integers(0, 9, (len(x), 2)), rng.integers(0, 2, len(x))
    for i, ((top, left), flip) in enumerate(zip(corners, flips, strict=True)):
        cut = wide[i, :, top : top + 32, left : left + 32]
        out[i] = cut[:, :, ::-1] if flip else cut
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of each network")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "plain20", "plain56", "resnet56"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = Path(os.environ.get("EINKORN_DATA", "."), "cifar10")
    (x, y), (xt, yt) = pictures(folder, "data_batch*.bin*"), pictures(folder, "test_batch*.bin*")
    rng = np.random.default_rng(given.seed)
    if given.quick or not len(x) or not len(xt):
        x, y = rng.integers(0, 256, (32, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 32)
        xt, yt, given.epochs = x, y, 1
    for name in given.networks:
        einkorn.manual_seed(given.seed)
        model = models.get_model(name)
        decay = [p for p in model.parameters() if p.ndim > 1]
        rest = [p for p in model.parameters() if p.ndim == 1]
        groups = [{"params": decay, "weight_decay": 1e-4}, {"params": rest, "weight_decay": 0.0}]
        optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
        marks = [given.epochs // 2, given.epochs * 3 // 4]
        schedule = optim.lr_scheduler.MultiStepLR(optimizer, marks, 0.1)
        model.compile(optimizer, "cross_entropy", metrics=["accuracy"])
        for epoch in range(given.epochs):
            start = time.perf_counter()
            batch = model.preprocessing.normalize(changed(x, rng))
            loader = DataLoader(TensorDataset(batch, y), BATCH, shuffle=True)
            history = model.fit(loader, epochs=1, verbose=0).history
            schedule.step()
            loss, accuracy = model.evaluate(model.preprocessing.normalize(xt), yt, verbose=0)
            print(
                f"{name} epoch {epoch + 1}: training error {1 - history['accuracy'][-1]:.1%}, "
                f"test error {1 - accuracy:.1%}, test loss {loss:.3f}, {time.perf_counter() - start:.0f} s"
            )


if __name__ == "__main__":
    main()
