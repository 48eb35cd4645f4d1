"""Augmentation of batches beside torchvision's v2 and Keras' layers: milliseconds of one processor.

``python benchmarks/measure_augmentation.py [torchvision] [keras] [-k NAME ...] [--laps N]`` prints a row for
each transform, size and type. All take one thread, by turns, and the time is the processor's, which other
programs stretch least; the quickest lap counts, of policies, which draw what they do, the mean of many.

einkorn draws for each picture. torchvision draws once for a whole batch, which is the column *batch*: its
crop of one is a view. What training needs is *one by one*, its transform of each picture, as a ``Dataset``
calls it, and a stack of the results. Keras' layers draw for each picture but for ``RandomCrop``; they are
given torch tensors, channels last as is their default or first, whichever is quicker; a layer of
``einkorn.keras`` is measured where there is one, else the transform of the same meaning.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import einkorn
from einkorn import keras as ours_keras
from einkorn.data import augment

SHAPES = (64, 3, 224, 224), (128, 3, 32, 32)
POLICIES = "RandAugment", "TrivialAugmentWide"


def of_torchvision(side: int) -> Iterator[tuple[str, Any, Any]]:
    """Our transform and theirs."""
    from torchvision.transforms import v2

    pad = side // 8
    affine = 10, (0.1, 0.1), (0.9, 1.1), 8
    bilinear = v2.InterpolationMode.BILINEAR
    both = augment, v2
    yield "RandomCrop, padded", *(it.RandomCrop(side, pad) for it in both)
    yield "RandomCrop, inside", *(it.RandomCrop(side - pad) for it in both)
    yield "RandomResizedCrop", *(it.RandomResizedCrop(side) for it in both)
    yield "RandomHorizontalFlip", *(it.RandomHorizontalFlip(1.0) for it in both)
    yield "RandomRotation", *(it.RandomRotation(15) for it in both)
    yield "RandomRotation, bilinear", augment.RandomRotation(15, "bilinear"), v2.RandomRotation(15, bilinear)
    yield (
        "RandomAffine, bilinear",
        augment.RandomAffine(*affine, "bilinear"),
        v2.RandomAffine(*affine, bilinear),
    )
    yield "RandomPerspective", *(it.RandomPerspective(0.3, 1.0) for it in both)
    yield "ColorJitter", *(it.ColorJitter(0.4, 0.4, 0.4, 0.1) for it in both)
    yield "GaussianBlur", *(it.GaussianBlur(5) for it in both)
    yield "RandomEqualize", *(it.RandomEqualize(1.0) for it in both)
    yield "RandomAdjustSharpness", *(it.RandomAdjustSharpness(2, 1.0) for it in both)
    yield "RandomErasing", *(it.RandomErasing(1.0) for it in both)
    for name in POLICIES:
        yield name, *(getattr(it, name)() for it in both)
    composed = []
    for it, float32 in ((augment, np.float32), (v2, torch.float32)):
        members = [it.RandomCrop(side, pad), it.RandomHorizontalFlip(), it.ToDtype(float32, scale=True)]
        composed.append(it.Compose([*members, it.Normalize([0.5] * 3, [0.2] * 3)]))
    yield "crop, flip, normalize", *composed


KERAS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "RandomFlip": (("horizontal",), None),
    "RandomRotation": ((15 / 360,), None),
    "RandomTranslation": ((0.1, 0.1), None),
    "RandomZoom": ((0.2,), None),
    "RandomContrast": ((0.4,), None),
    "RandomBrightness": ((0.4,), None),
    "RandomShear": ((0.2, 0.2), lambda: augment.RandomAffine(0, shear=11.0, interpolation="bilinear")),
    "RandomPerspective": ((1.0, 0.3), lambda: augment.RandomPerspective(0.3, 1.0)),
    "RandomSaturation": ((0.3,), lambda: augment.ColorJitter(saturation=0.4)),
    "RandomHue": ((0.1,), lambda: augment.ColorJitter(hue=0.1)),
    "RandomGrayscale": ((1.0,), lambda: augment.RandomGrayscale(1.0)),
    "RandomInvert": ((1.0,), lambda: augment.RandomInvert(1.0)),
    "RandomPosterization": ((4,), lambda: augment.RandomPosterize(4, 1.0)),
    "RandomSharpness": ((0.5,), lambda: augment.RandomAdjustSharpness(2.0, 1.0)),
    "RandomGaussianBlur": ((1.0, 5, 1.0), lambda: augment.GaussianBlur(5)),
    "RandomErasing": ((1.0,), lambda: augment.RandomErasing(1.0)),
    "AutoContrast": ((), lambda: augment.RandomAutocontrast(1.0)),
    "Equalization": ((), lambda: augment.RandomEqualize(1.0)),
    "Solarization": ((0.0, 128.0), lambda: augment.RandomSolarize(0.5, 1.0)),
    "RandomColorJitter": (
        ((0, 255), 0.4, 0.4, 0.3, 0.1),
        lambda: augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    ),
    "RandAugment": (((0, 255),), lambda: augment.RandAugment()),
}


def milliseconds(calls: list[Callable[[], Any]], laps: int, *, mean: bool) -> list[float]:
    """Of the processor, by turns."""
    counts = []
    for call in calls:
        call()
        begin = time.process_time()
        call()
        counts.append(max(1, int(0.05 / max(time.process_time() - begin, 1e-6))))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(5 * laps if mean else laps):
        for call, count, times in zip(calls, counts, found, strict=True):
            begin = time.process_time()
            for _ in range(count):
                call()
            times.append((time.process_time() - begin) / count)
    return [1e3 * (sum(times) / len(times) if mean else min(times)) for times in found]


def torchvision_rows(x: np.ndarray, wanted: list[str], laps: int) -> None:
    tensor = torch.from_numpy(x)
    print(f"  {'':26} {'einkorn':>8} {'batch':>9} {'ratio':>6} {'one by one':>10} {'ratio':>6}")
    for name, mine, its in of_torchvision(x.shape[-1]):
        if not wanted or any(part in name for part in wanted):
            calls = [
                lambda mine=mine: mine(x),
                lambda its=its: its(tensor),
                lambda its=its: torch.stack([its(picture) for picture in tensor]),
            ]
            times = milliseconds(calls, laps, mean=name in POLICIES)
            ratios = [one / times[0] for one in times]
            print(
                f"  {name:26} {times[0]:8.3f} {times[1]:9.3f} {ratios[1]:6.2f} "
                f"{times[2]:10.3f} {ratios[2]:6.2f}",
                flush=True,
            )


def keras_rows(x: np.ndarray, wanted: list[str], laps: int) -> None:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    pixels = x if x.dtype == np.uint8 else x * np.float32(255)
    last = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    tensors = {"channels_last": torch.from_numpy(last), "channels_first": torch.from_numpy(pixels)}
    print(f"  {'':26} {'einkorn':>8} {'Keras':>9} {'ratio':>6}")
    for name, (arguments, transform) in KERAS.items():
        if wanted and not any(part in name for part in wanted):
            continue
        if transform is None:
            layer = getattr(ours_keras.layers, name)(*arguments)
            calls: list[Callable[[], Any]] = [lambda layer=layer: layer(last, training=True)]
        else:
            made = transform()
            calls = [lambda made=made: made(x)]
        for order, tensor in tensors.items():
            try:
                its = getattr(keras.layers, name)(*arguments, data_format=order)
                its(tensor[:2], training=True)
            except Exception as error:
                print(f"  {name}, {order}: {type(error).__name__}")
                continue
            calls.append(lambda its=its, tensor=tensor: its(tensor, training=True))
        mine, *theirs = milliseconds(calls, laps, mean=name in POLICIES)
        if theirs:
            print(f"  {name:26} {mine:8.3f} {min(theirs):9.3f} {min(theirs) / mine:6.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("peers", nargs="*", choices=("torchvision", "keras", []), default=[])
    parser.add_argument("-k", nargs="*", default=[], metavar="NAME", help="rows with this in their name")
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--side", type=int, choices=(224, 32))
    parser.add_argument("--type", choices=("uint8", "float32"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    einkorn.set_num_threads(1)
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        pixels = generator.integers(0, 256, shape, np.uint8)
        for x in (pixels, (pixels / 255).astype(np.float32)):
            if options.side in (None, shape[-1]) and options.type in (None, str(x.dtype)):
                print("x".join(map(str, shape)), x.dtype)
                for peer in options.peers or ("torchvision", "keras"):
                    (torchvision_rows if peer == "torchvision" else keras_rows)(x, options.k, options.laps)


if __name__ == "__main__":
    main()
