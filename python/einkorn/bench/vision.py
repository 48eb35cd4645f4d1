"""Detection with cascades on photographs, and its kernels, against OpenCV.

The cascade and the photographs come from ``EINKORN_DATA`` (folder ``faces``). Without them OpenCV's own
cascade scans a picture made of noise; without OpenCV, too, only the kernels are measured.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call

__all__ = ["vision_rows"]

_CASCADE = "haarcascade_frontalface_default.xml"
_FACTOR, _NEIGHBORS = 1.1, 3


def vision_rows() -> list[Row]:
    """Give the rows of the family ``vision``."""
    rows = []
    if _cascade_file() is not None:
        words = "9 photographs" if _photographs() else "noise 480x640"
        rows.append(Row("vision", "cascade detection", words, _detect, ("cv2",)))
    noise = "480x640"
    patches = "features x patches: 1,000 x 5,000 of 19x19"
    return [
        *rows,
        Row("vision", "integral image", noise, _integral, ("cv2",), in_quick=True),
        Row("vision", "Haar features", patches, _features, (), in_quick=True),
        Row("vision", "non-maximum suppression", "10,000 boxes", _suppression, ("torchvision",)),
        Row("vision", "soft suppression", "10,000 boxes", _softening, (), in_quick=True),
    ]


def _faces(name: str) -> Path | None:
    root = os.environ.get("EINKORN_DATA")
    path = Path(root, "faces", name) if root else None
    return path if path is not None and path.exists() else None


def _cascade_file() -> Path | None:
    """The cascade under EINKORN_DATA, else the one that OpenCV brings along."""
    found = _faces(_CASCADE)
    spec = None if found is not None else importlib.util.find_spec("cv2")
    if spec is None or spec.origin is None:
        return found
    path = Path(spec.origin).parent / "data" / _CASCADE
    return path if path.exists() else None


def _photographs() -> list[np.ndarray]:
    """Grey photographs of people, uint8."""
    path = _faces("photos/gray_u8.npz")
    if path is None:
        return []
    with np.load(path) as images:
        return [images[name] for name in sorted(images.files)[:9]]


def _noise(height: int = 480, width: int = 640) -> np.ndarray:
    """Blurred noise, in which a cascade's first stages have some work."""
    rough = np.random.default_rng(0).random((height // 4 + 1, width // 4 + 1))
    smooth = np.kron(rough, np.ones((4, 4)))[:height, :width]
    return (255 * smooth).astype(np.uint8)


def _detect(peers: Peers) -> Prepared:
    from einkorn.vision import CascadeDetector

    images = _photographs() or [_noise()]
    file = _cascade_file()
    assert file is not None  # the row is not there without it
    detector = CascadeDetector.load(file)
    calls: dict[str, Call] = {}
    cv2 = peers.get("cv2")
    if cv2 is not None:
        theirs = cv2.CascadeClassifier(str(file))
        calls["cv2"] = lambda: [theirs.detectMultiScale(x, _FACTOR, _NEIGHBORS) for x in images]
    # Every size of every image is made once and summed twice: ten operations a pixel at the least.
    pixels = sum(image.size for image in images) / (1 - _FACTOR**-2)
    return Prepared(
        lambda: [detector.detect(x, scale_factor=_FACTOR, min_neighbors=_NEIGHBORS) for x in images],
        calls,
        10 * pixels,
        float(sum(image.size for image in images)),
    )


def _boxes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes strewn over a large picture, of which half cover another, and their scores."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1000, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    return boxes, rng.uniform(size=count).astype(np.float32)


def _suppression(peers: Peers) -> Prepared:
    from einkorn.ops import nms

    boxes, scores = _boxes(10_000)
    torch, theirs = peers.get("torch"), peers.get("torchvision")
    calls: dict[str, Call] = {}
    if torch is not None and theirs is not None and theirs.extension._has_ops():  # not in every build
        tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
        calls["torchvision"] = functools.partial(theirs.ops.nms, *tensors, 0.5)
    kept = len(nms(boxes, scores, 0.5))
    # Every box meets the kept ones before it: half of them, more or less.
    return Prepared(
        functools.partial(nms, boxes, scores, 0.5), calls, 8.0 * len(boxes) * kept, 20.0 * len(boxes)
    )


def _softening(peers: Peers) -> Prepared:
    from einkorn.ops import soft_nms

    boxes, scores = _boxes(10_000)
    kept = len(soft_nms(boxes, scores)[0])
    # Every box that is taken meets those that are left.
    return Prepared(
        functools.partial(soft_nms, boxes, scores), {}, 8.0 * len(boxes) * kept, 20.0 * len(boxes)
    )


def _integral(peers: Peers) -> Prepared:
    from einkorn.ops.haar import integral_image

    image = _noise()
    cv2 = peers.get("cv2")
    calls: dict[str, Call] = {} if cv2 is None else {"cv2": functools.partial(cv2.integral2, image)}
    # A byte read, four written for the sums and eight for those of squares.
    return Prepared(
        functools.partial(integral_image, image, squared=True), calls, 4.0 * image.size, 13.0 * image.size
    )


def _features(peers: Peers) -> Prepared:
    from einkorn.ops.haar import haar_features, haar_patch_sums

    rng = np.random.default_rng(0)
    features, patches, side = 1_000, 5_000, 19
    sums, scale = haar_patch_sums(rng.integers(0, 256, (patches, side, side), np.uint8))
    rects = np.zeros((features, 3, 4), np.int64)
    rects[:, :, 2:] = 1
    rects[:, 0] = (2, 3, 8, 6)
    rects[:, 1] = (2, 3, 4, 6)
    rects[:, 0, 0] = rng.integers(0, 8, features)
    weights = np.tile(np.array([-1.0, 2.0, 0.0], np.float32), (features, 1))
    call: Any = functools.partial(haar_features, sums, scale, rects, weights, side, side)
    values = float(features * patches)
    # Eight sums added and a product for each value; the sums are read and the values written.
    return Prepared(call, {}, 9 * values, sums.nbytes + 4 * values)
