"""torch beside examples/cifar_resnets.py: the same network, first weights, pictures and recipe.

``python benchmarks/train_cifar_torch.py --out FOLDER [--epochs N] [--seeds 0 1 2]`` writes
``torch-resnet20-SEED.csv`` into the folder, where the example finds it and draws it beside its own. The
pictures come from einkorn's loader and augmentation with the example's seed, so that only the training
differs. One line an epoch tells the processor time. A training of which there is a file of weights goes on.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import nn

import einkorn
from einkorn import models
from einkorn.data import DataLoader
from einkorn.training import History

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from cifar_resnets import BATCH, DECAY, MEAN, MOMENTUM, RATE, STD, pictures, rate_of, transform


class Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.more = stride, (width - before) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        return torch.relu(inner + x)


class ResNet(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(blocks)))
        self.layer2 = nn.Sequential(*(Block(32 if i else 16, 32, 1 if i else 2) for i in range(blocks)))
        self.layer3 = nn.Sequential(*(Block(64 if i else 32, 64, 1 if i else 2) for i in range(blocks)))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def train(seed: int, epochs: int, folder: Path, data: tuple) -> None:
    done, kept = folder / f"torch-resnet20-{seed}.csv", folder / f"torch-resnet20-{seed}.pt"
    if done.exists():
        return
    (x, y), (xt, yt) = data
    einkorn.manual_seed(seed)
    model, history = ResNet(3), History()
    first = models.resnet20().state_dict()
    model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in first.items()})
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM)
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for epoch, logs in enumerate(state["rows"]):
            history.append(epoch, logs)
    mean, std = (torch.tensor(a).reshape(-1, 1, 1) for a in (MEAN, STD))
    test = (torch.from_numpy(xt) - mean) / std
    since = time.process_time()
    for epoch in range(len(history.epoch), epochs):
        einkorn.manual_seed(1000 * seed + epoch)
        loader = DataLoader((x, y), BATCH, shuffle=True, transform=transform(seed))
        loader.epoch = epoch
        for group in optimizer.param_groups:
            group["lr"] = rate_of(epoch, epochs)
        model.train()
        total = right = 0.0
        for images, labels in loader:
            images, labels = torch.from_numpy(images), torch.from_numpy(labels)
            scores = model(images)
            loss = nn.functional.cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            right += (scores.argmax(1) == labels).sum().item()
        model.eval()
        with torch.no_grad():
            scores = torch.cat([model(part) for part in test.split(250)])
        logs = {
            "loss": total / len(y),
            "accuracy": right / len(y),
            "val_loss": nn.functional.cross_entropy(scores, torch.from_numpy(yt)).item(),
            "val_accuracy": (scores.argmax(1) == torch.from_numpy(yt)).float().mean().item(),
        }
        history.append(epoch, logs)
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rows": history.rows()}, kept
        )
        print(
            f"torch, seed {seed}, epoch {epoch + 1}: training error {1 - logs['accuracy']:.1%}, test error "
            f"{1 - logs['val_accuracy']:.1%}, {time.process_time() - since:.0f} s of processor time",
            flush=True,
        )
    history.to_csv(done)
    kept.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/cifar"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = pictures(False)
    for seed in given.seeds:
        train(seed, given.epochs, given.out, data)


if __name__ == "__main__":
    main()
