"""CIFAR-10 with the recipe of He et al. 2015: ResNet-20 from scratch, and why depth needs shortcuts.

Usage: ``python examples/cifar_resnets.py [--quick] [--networks resnet20 plain56] [--epochs N] [--seeds 0 1 2]
[--out FOLDER]``. Needs the files of CIFAR-10 in ``$EINKORN_DATA/cifar10`` (data_batch_N.bin, also packed with
xz, also the beginning of one); without them, and with ``--quick``, a few steps on made-up pictures show that
it runs. The paper's 182 epochs take days on two cores; after a few, plain-56 is behind plain-20 and ResNet-56
is not.

The folder gets the history of each network and seed. A training that was ended early goes on when the same
command is given again, and what has its history is not trained again. All histories of the folder are drawn
as ``curves.png``; those of the same network and several seeds as a line and its range.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import einkorn
from einkorn import models, optim
from einkorn.data import augment, load_cifar10
from einkorn.errors import DataError
from einkorn.training import BackupAndRestore, History, LambdaCallback, LearningRateScheduler

BATCH, RATE, MOMENTUM, DECAY = 128, 0.1, 0.9, 1e-4
MEAN, STD = models.resnet20().preprocessing.mean, models.resnet20().preprocessing.std


def transform(seed: int) -> augment.Compose:
    """The paper's augmentation: four pixels of zeros around, a random cut, half of them mirrored."""
    return augment.Compose(
        [
            augment.RandomCrop(32, padding=4),
            augment.RandomHorizontalFlip(),
            augment.Normalize(mean=MEAN, std=STD),
        ],
        seed=seed,
    )


def rate_of(epoch: int, epochs: int) -> float:
    """A tenth from the half on, and a hundredth from three quarters on, as in the paper."""
    return RATE * 0.1 ** ((epoch >= epochs // 2) + (epoch >= epochs * 3 // 4))


def pictures(quick: bool) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Training and test pictures from 0 to 1, and their classes."""
    if not quick:
        try:
            return load_cifar10()
        except DataError as error:
            print(f"{error}\na few steps on made-up pictures instead")
    rng = np.random.default_rng(0)
    split = rng.random((32, 3, 32, 32), np.float32), rng.integers(0, 10, 32)
    return split, split


def train(name: str, seed: int, epochs: int, folder: Path, data: tuple) -> History:
    """The history of one network, from its file if it is there."""
    done = folder / f"{name}-{seed}.csv"
    if done.exists():
        return History.from_csv(done)
    (x, y), (xt, yt) = data
    einkorn.manual_seed(seed)
    model = models.get_model(name)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    model.compile(optim.SGD(groups, lr=RATE, momentum=MOMENTUM), "cross_entropy", metrics=["accuracy"])
    since = time.process_time()

    def tell(epoch: int, logs: dict[str, float]) -> None:
        print(
            f"{name}, seed {seed}, epoch {epoch + 1}: training error {1 - logs['accuracy']:.1%}, "
            f"test error {1 - logs['val_accuracy']:.1%}, test loss {logs['val_loss']:.3f}, "
            f"{time.process_time() - since:.0f} s of processor time",
            flush=True,
        )

    callbacks = [
        LearningRateScheduler(lambda epoch: rate_of(epoch, epochs)),
        BackupAndRestore(folder / f"{name}-{seed}"),
        LambdaCallback(on_epoch_end=tell),
    ]
    mean, std = (np.array(a, np.float32).reshape(-1, 1, 1) for a in (MEAN, STD))
    history = model.fit(
        x,
        y,
        BATCH,
        epochs,
        verbose=0,
        callbacks=callbacks,
        validation_data=((xt - mean) / std, yt),
        transform=transform(seed),
    )
    history.to_csv(done)
    return history


def draw(folder: Path) -> None:
    """All histories of the folder in one picture: the error on training and on test pictures."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture of the curves: pip install ".[plot]"')
        return
    found: dict[str, list[History]] = {}
    for path in sorted(folder.glob("*-*.csv")):
        found.setdefault(path.stem.rpartition("-")[0], []).append(History.from_csv(path))
    figure = Figure((10, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, key, title in zip(panels, ("accuracy", "val_accuracy"), ("training", "test"), strict=True):
        for label, histories in found.items():
            length = min(len(h.epoch) for h in histories)
            errors = 100 - 100 * np.array([h.history[key][:length] for h in histories])
            line = panel.plot(range(1, length + 1), errors.mean(0), marker=".", label=label)[0]
            if len(histories) > 1:
                low, high = errors.min(0), errors.max(0)
                panel.fill_between(range(1, length + 1), low, high, color=line.get_color(), alpha=0.2)
        panel.set(title=f"error on {title} pictures", xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("per cent")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(folder / "curves.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of each network")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "plain20", "plain56", "resnet56"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="default: runs/cifar, quick a folder that does not stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = given.out or Path(passing if given.quick else "runs/cifar")
        folder.mkdir(parents=True, exist_ok=True)
        data = pictures(given.quick)
        for name in given.networks:
            for seed in given.seeds:
                history = train(name, seed, 1 if given.quick else given.epochs, folder, data).history
                print(f"{name}, seed {seed}: test error {1 - history['val_accuracy'][-1]:.1%}", flush=True)
        draw(folder)


if __name__ == "__main__":
    main()
