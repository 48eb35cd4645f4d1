"""A loader's workers beside a training step of LeNet-5, batch 32: apart and together, ours and torch's.

``python benchmarks/measure_loader.py`` prints a table of microseconds a batch. The dataset is a class whose
rows are made in Python (bytes to floats, then shifted and scaled); torch's loader has the same one. What the
cores can give: a step on two threads leaves nothing of two cores to the workers, so that together they take
at least the processors' time of both over the number of cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import einkorn
from einkorn import models, ops, optim
from einkorn.data import ArrayDataset, DataLoader

ROWS, BATCH = 4096, 32


class Rows:
    """Pictures of bytes that become floats row by row."""

    def __init__(self, rows: int = ROWS) -> None:
        generator = np.random.default_rng(0)
        self.x = generator.integers(0, 256, (rows, 1, 28, 28), np.uint8)
        self.y = generator.integers(0, 10, rows)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        return (self.x[row].astype(np.float32) / 255 - 0.13) / 0.31, int(self.y[row])


def our_step() -> Callable[[Any], None]:
    model = models.LeNet5()
    optimizer = optim.Adam(model.parameters(), 1e-3)

    def step(batch: Any) -> None:
        x, y = batch
        loss = ops.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def torchs_step() -> Callable[[Any], None]:
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step(batch: Any) -> None:
        x, y = batch
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def used() -> float:
    """Processor's seconds of this process and of children that ended."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def timed(
    batches: Callable[[], Iterator[Any]], step: Callable[[Any], None], passes: int
) -> tuple[float, float]:
    """Microseconds a batch: by the clock from the third on; of processors, workers that ended included."""
    clock, processor = [], []
    for _ in range(passes):
        began = used()
        count, start = 0, 0.0
        for batch in batches():
            step(batch)
            count += 1
            if count == 2:
                start = time.perf_counter()
        clock.append((time.perf_counter() - start) / (count - 2) * 1e6)
        time.sleep(0.05)
        processor.append((used() - began) / count * 1e6)
    return statistics.median(clock), statistics.median(processor)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--passes", type=int, default=5)
    options.add_argument("--threads", type=int, help="of the step")
    options.add_argument("--no-torch", action="store_true")
    arguments = options.parse_args()
    if arguments.threads:
        einkorn.set_num_threads(arguments.threads)
    rows = Rows()
    arrays = ArrayDataset((rows.x.astype(np.float32) / 255 - 0.13) / 0.31, rows.y)
    step, nothing = our_step(), lambda batch: None
    batch = tuple(array[:BATCH] for array in arrays.arrays)
    threads = einkorn.get_num_threads()
    print(f"{os.cpu_count()} cores, steps on {threads} threads; microseconds a batch of {BATCH}")
    print(f"{'':44} {'clock':>7} {'cores':>7}")

    def line(name: str, batches: Callable[[], Any], do: Callable[[Any], None]) -> None:
        clock, processor = timed(batches, do, arguments.passes)
        print(f"{name:44} {clock:7.0f} {processor:7.0f}", flush=True)

    line("our step alone", lambda: iter([batch] * (ROWS // BATCH)), step)
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("no worker", {}),
        ("1 process", {"num_workers": 1}),
        ("2 processes", {"num_workers": 2}),
        ("2 processes that stay", {"num_workers": 2, "persistent_workers": True}),
        ("2 threads", {"num_workers": 2, "threads": True}),
    ]
    for what, dataset in (("rows", rows), ("arrays", arrays)):
        for name, more in kinds:
            loader = DataLoader(dataset, BATCH, True, **more)
            line(f"our loader of {what}, {name}", lambda loader=loader: iter(loader), nothing)
            line("  with the step", lambda loader=loader: iter(loader), step)
    if arguments.no_torch:
        return
    import torch
    from torch.utils import data

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    step = torchs_step()
    line("torch's step alone", lambda: iter([tuple(map(torch.as_tensor, batch))] * (ROWS // BATCH)), step)
    for name, more in (kinds[0], kinds[2], kinds[3]):
        theirs = data.DataLoader(rows, BATCH, True, **more)
        line(f"torch's loader of rows, {name}", lambda theirs=theirs: iter(theirs), nothing)
        line("  with torch's step", lambda theirs=theirs: iter(theirs), step)


if __name__ == "__main__":
    main()
