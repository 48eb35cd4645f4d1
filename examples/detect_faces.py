"""Find faces in photographs with a cascade of Haar features (Viola and Jones 2001) in OpenCV's file format.

Usage: ``python examples/detect_faces.py CASCADE.xml IMAGE ...``. Without arguments it looks for both in
``$EINKORN_DATA/faces``.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from einkorn.vision import CascadeDetector


def pictures_of(paths: list[str]) -> dict[str, object]:
    """What to look at, by name: the files given, or the grey photographs of the data folder."""
    if paths:
        return {Path(path).name: path for path in paths}
    with np.load(Path(os.environ["EINKORN_DATA"], "faces", "photos", "gray_u8.npz")) as photographs:
        return {name: photographs[name] for name in photographs.files}


def main() -> None:
    cascade, *paths = sys.argv[1:] or [None]
    if cascade is None:
        folder = Path(os.environ.get("EINKORN_DATA", "."), "faces")
        cascade = folder / "haarcascade_frontalface_alt.xml"
        if not cascade.exists():
            print(f"skipped: no {cascade}; give a cascade and images, or set EINKORN_DATA")
            return
    detector = CascadeDetector.load(cascade)
    print(f"{detector.n_stages} stages, faces of {detector.window[1]}x{detector.window[0]} pixels and more")
    for name, picture in pictures_of(paths).items():
        start = time.perf_counter()
        boxes, votes = detector.detect(picture, min_size=30, return_scores=True)
        milliseconds = (time.perf_counter() - start) * 1e3
        found = ", ".join(f"{w}x{h} at ({x}, {y})" for x, y, w, h in boxes[np.argsort(-votes)][:3])
        print(f"{name}: {len(boxes)} in {milliseconds:.0f} ms{': ' + found if found else ''}")


if __name__ == "__main__":
    main()
