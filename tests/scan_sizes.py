"""Detect objects in images of thousands of sizes with 1, 2 and 5 threads; boxes must not depend on that.

python tests/scan_sizes.py [how many sizes]

It is a program of its own because what it looks for, writes past the end of a block, ends the process.
Cascades are the published ones that EINKORN_DATA holds, and generated ones, with tilted features and
without.
"""

from __future__ import annotations

import sys

import numpy as np
from test_haar import FACES, image_of, random_cascade

from einkorn import memory, runtime
from einkorn.vision import CascadeDetector

THREADS = (1, 2, 5)


def detectors() -> dict[str, CascadeDetector]:
    """The cascades by name."""
    found = {
        "upright stumps": CascadeDetector(random_cascade(3)),
        "upright trees": CascadeDetector(random_cascade(4, trees=True)),
        "tilted stumps": CascadeDetector(random_cascade(5, tilted=True)),
    }
    for path in sorted(FACES.glob("haarcascade_*.xml")):
        found[path.stem] = CascadeDetector.load(path)
    return found


def sizes(count: int, window: tuple[int, int]) -> list[tuple[int, int]]:
    """The size 133 x 400, sizes around the window's and ``count`` others, of which each seventh is larger."""
    rng = np.random.default_rng(count)
    height, width = window
    found = [(133, 400)] + [(height + i, width + j) for i in range(-1, 3) for j in range(-1, 3)]
    for i in range(count):
        most = 420 if i % 7 == 0 else 90
        found.append((int(rng.integers(1, most)), int(rng.integers(1, most))))
    return found


def main(count: int) -> int:
    """Scan images of so many sizes with each cascade; return how often."""
    picture = image_of(600, 600)
    scanned = 0
    for name, detector in detectors().items():
        for height, width in sizes(count, detector.window):
            image = np.ascontiguousarray(picture[:height, :width])
            results = []
            for threads in THREADS:
                runtime.set_num_threads(threads)
                results.append(np.asarray(detector.detect(image, min_neighbors=0)))
                scanned += 1
            memory.empty_cache()
            for threads, result in zip(THREADS[1:], results[1:], strict=True):
                if not np.array_equal(results[0], result):
                    raise SystemExit(f"{name}, {height} x {width}: {threads} threads find others than one")
    return scanned


if __name__ == "__main__":
    print(f"scanned {main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)} images")
