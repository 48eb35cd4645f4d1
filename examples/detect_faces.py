"""Cascades of Haar features (Viola and Jones 2001): one trained on drawn faces, and OpenCV's on photographs.

Usage: ``python examples/detect_faces.py [CASCADE.xml IMAGE ...]``. Without arguments the second part looks
for both in ``$EINKORN_DATA/faces`` and is skipped where they are not.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from einkorn.vision import CascadeDetector

SIDE = 20


def drawn_face(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A bright square with two dark eyes and a mouth, of random brightness, under noise."""
    face = np.full((SIDE, SIDE), 1.0)
    face[5:8, 3:8] = face[5:8, 12:17] = 0.3
    face[14:16, 6:14] = 0.5
    face = face * rng.uniform(110, 220) + rng.normal(0, 12, face.shape)
    face = np.kron(face, np.ones((side // SIDE, side // SIDE)))
    return np.clip(face, 0, 255).astype(np.uint8)


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rectangles of random brightness upon each other."""
    picture = np.full((height, width), 120.0)
    for _ in range(height * width // 150):
        y, x = rng.integers(0, height), rng.integers(0, width)
        h, w = rng.integers(2, 24, 2)
        picture[y : y + h, x : x + w] = rng.uniform(0, 255)
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def train_and_detect() -> None:
    rng = np.random.default_rng(0)
    faces = np.stack([drawn_face(rng) for _ in range(300)])
    scenes = [background(rng, 240, 320) for _ in range(10)]
    start = time.perf_counter()
    detector = CascadeDetector().fit(faces, scenes, stages=5, n_features=2_000, progress=False)
    print(f"trained {detector.n_stages} stages in {time.perf_counter() - start:.1f} s")
    picture = background(rng, 240, 320)
    for x, y, side in ((20, 30, 60), (120, 90, 60), (220, 140, 80)):
        picture[y : y + side, x : x + side] = drawn_face(rng, side)
    for x, y, w, h in detector.detect(picture, min_neighbors=1):
        print(f"a drawn face of {w}x{h} at ({x}, {y})")


def detect_in_photographs(cascade: Path, paths: list[str]) -> None:
    detector = CascadeDetector.load(cascade)
    pictures: dict[str, object] = {Path(path).name: path for path in paths}
    if not paths:
        with np.load(cascade.parent / "photos" / "gray_u8.npz") as photographs:
            pictures = {name: photographs[name] for name in photographs.files}
    for name, picture in pictures.items():
        start = time.perf_counter()
        boxes = detector.detect(picture, min_size=30)
        milliseconds = (time.perf_counter() - start) * 1e3
        print(f"{name}: {len(boxes)} faces in {milliseconds:.0f} ms")


def main() -> None:
    train_and_detect()
    default = Path(os.environ.get("EINKORN_DATA", "."), "faces", "haarcascade_frontalface_alt.xml")
    cascade = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if cascade.exists():
        detect_in_photographs(cascade, sys.argv[2:])
    else:
        print(f"photographs skipped: there is no {cascade}; give a cascade and images, or set EINKORN_DATA")


if __name__ == "__main__":
    main()
