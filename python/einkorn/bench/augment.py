"""Augmentation of whole batches, against torchvision's transforms of the second version.

Both transform one batch in one call. Ours draw parameters for each image, torchvision's once for the batch.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call

__all__ = ["augment_rows"]

_SHAPES = ((64, 3, 224, 224), (128, 3, 32, 32))
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_NAMES = ("crop, flip, jitter, normalize", "rotation", "RandAugment")


def augment_rows() -> list[Row]:
    """Give the rows of the family ``augment``."""
    return [
        Row(
            "augment", name, f"{'x'.join(map(str, shape))} uint8", functools.partial(_prepare, name, shape),
            ("torchvision",), in_quick=shape[2] == 32 and name == _NAMES[0],
        )
        for shape in _SHAPES
        for name in _NAMES
    ]  # fmt: skip


def _made(library: Any, name: str, side: int, float32: Any) -> Any:
    """A transform from einkorn's or torchvision's names, which are the same."""
    if name == "rotation":
        return library.RandomRotation(30, getattr(library, "InterpolationMode", _Modes).BILINEAR)
    if name == "RandAugment":
        return library.RandAugment()
    crop = library.RandomCrop(side, padding=4) if side == 32 else library.RandomResizedCrop(side)
    return library.Compose(
        [
            crop,
            library.RandomHorizontalFlip(),
            library.ColorJitter(0.4, 0.4, 0.4, 0.1),
            library.ToDtype(float32, scale=True),
            library.Normalize(_MEAN, _STD),
        ]
    )


class _Modes:
    BILINEAR = "bilinear"


def _prepare(name: str, shape: tuple[int, ...], peers: Peers) -> Prepared:
    from einkorn.data import augment

    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ours = _made(augment, name, shape[2], np.float32)
    calls: dict[str, Call] = {}
    if peers.get("torchvision") is not None:
        torch = importlib.import_module("torch")
        torch.set_num_threads(peers.threads)
        theirs = _made(importlib.import_module("torchvision.transforms.v2"), name, shape[2], torch.float32)
        calls["torchvision"] = functools.partial(theirs, torch.from_numpy(x))
    written = 4 if name == _NAMES[0] else 1
    return Prepared(functools.partial(ours, x), calls, 20.0 * x.size, float(x.size * (1 + written)))
