"""Augmentation of batches beside torchvision's v2 transforms: milliseconds of one processor, and their ratio.

``python benchmarks/measure_augmentation.py [NAME ...]`` prints a row for each transform, size and type. Both
take one thread; the time is the processor's, which other programs stretch least. torchvision draws once for a
whole batch, einkorn for each picture. Policies draw what they do: of these the mean of many calls counts, of
the others the quickest of five laps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

import einkorn
from einkorn.data import augment

SHAPES = (64, 3, 224, 224), (128, 3, 32, 32)
POLICIES = "RandAugment", "TrivialAugmentWide"


def pairs(side: int) -> dict[str, tuple[Any, Any]]:
    """Our transform and theirs."""
    pad = side // 8
    affine = 10, (0.1, 0.1), (0.9, 1.1), 8
    scaled = [0.5] * 3, [0.2] * 3
    bilinear = v2.InterpolationMode.BILINEAR
    ours, theirs = augment, v2
    found = {
        "crop": (ours.RandomCrop(side, pad), theirs.RandomCrop(side, pad)),
        "rotation": (ours.RandomRotation(15), theirs.RandomRotation(15)),
        "rotation, bilinear": (ours.RandomRotation(15, "bilinear"), theirs.RandomRotation(15, bilinear)),
        "affine, bilinear": (ours.RandomAffine(*affine, "bilinear"), theirs.RandomAffine(*affine, bilinear)),
        "jitter": (ours.ColorJitter(0.4, 0.4, 0.4, 0.1), theirs.ColorJitter(0.4, 0.4, 0.4, 0.1)),
        "blur": (ours.GaussianBlur(5), theirs.GaussianBlur(5)),
        "erasing": (ours.RandomErasing(1.0), theirs.RandomErasing(1.0)),
    }
    for name in POLICIES:
        found[name] = getattr(ours, name)(), getattr(theirs, name)()
    steps = [
        (ours.RandomCrop(side, pad), theirs.RandomCrop(side, pad)),
        (ours.RandomHorizontalFlip(), theirs.RandomHorizontalFlip()),
        (ours.ToDtype(np.float32, scale=True), theirs.ToDtype(torch.float32, scale=True)),
        (ours.Normalize(*scaled), theirs.Normalize(*scaled)),
    ]
    found["crop, flip, normalize"] = (
        ours.Compose([mine for mine, _ in steps]),
        theirs.Compose([its for _, its in steps]),
    )
    return found


def milliseconds(call: Callable[[], Any], *, mean: bool) -> float:
    """Of the processor."""

    def calls(count: int) -> float:
        begin = time.process_time()
        for _ in range(count):
            call()
        return (time.process_time() - begin) / count

    call()
    count = max(1, int(0.1 / max(calls(2), 1e-6)))
    laps = [calls(count) for _ in range(25 if mean else 5)]
    return 1e3 * (sum(laps) / len(laps) if mean else min(laps))


def main() -> None:
    torch.set_num_threads(1)
    einkorn.set_num_threads(1)
    generator = np.random.default_rng(0)
    print(f"{'':28} {'einkorn':>9} {'torchvision':>11} {'ratio':>6}")
    for shape in SHAPES:
        pixels = generator.integers(0, 256, shape, np.uint8)
        for x in (pixels, (pixels / 255).astype(np.float32)):
            print("x".join(map(str, shape)), x.dtype)
            tensor = torch.from_numpy(x)
            for name, (ours, theirs) in pairs(shape[-1]).items():
                if sys.argv[1:] and name not in sys.argv[1:]:
                    continue
                mean = name in POLICIES
                mine = milliseconds(lambda ours=ours, x=x: ours(x), mean=mean)
                its = milliseconds(lambda theirs=theirs, tensor=tensor: theirs(tensor), mean=mean)
                print(f"  {name:26} {mine:9.3f} {its:11.3f} {its / mine:6.2f}", flush=True)


if __name__ == "__main__":
    main()
