"""YOLO learns to find discs, squares and triangles, or MNIST's digits on photographs.

Usage: ``python examples/detect_shapes.py [--quick] [--digits] [--version 1|2|3|4] [--out PICTURE.png]``. The
whole takes a minute on two cores and reaches a mean average precision (VOC, 0.5) above 0.9 on new scenes;
``--digits`` takes two, reaches 0.96, and needs mnist/ and bsds500/ under ``$EINKORN_DATA``.
"""

import argparse
import lzma
import os
import time
from pathlib import Path

import numpy as np

import einkorn
from einkorn import data, models, optim, vision


def scenes_of_digits(count: int, seed: int, test: bool = False) -> vision.Scenes:
    """MNIST's digits on the photographs of BSDS500."""
    file = Path(os.environ.get("EINKORN_DATA", "."), "bsds500", "bsds500_train_crops160_u8.bin.xz")
    with lzma.open(file) as opened:
        photographs = np.frombuffer(opened.read(), np.uint8).reshape(200, 160, 160, 3)
    digits, labels = data.load_mnist()[test]
    photographs = photographs[160:] if test else photographs[:160]
    return vision.placed_digits(digits, labels, list(photographs), count, 96, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, and no more than a beginning")
    parser.add_argument("--digits", action="store_true")
    parser.add_argument("--version", type=int, default=3, choices=(1, 2, 3, 4))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", help="a picture of what was found on new scenes (needs Pillow)")
    given = parser.parse_args()
    einkorn.manual_seed(0)
    count, epochs = (96, 2) if given.quick else (3000, 12) if given.digits else (1000, 14)
    epochs = given.epochs or epochs
    if given.digits:
        train, test = scenes_of_digits(count, 1), scenes_of_digits(200, 2, test=True)
        names = [str(digit) for digit in range(10)]
    else:
        train, test = vision.shape_scenes(count, seed=1), vision.shape_scenes(200, seed=2)
        names = list(vision.SHAPES)
    sizes = np.concatenate([t["boxes"][:, 2:] - t["boxes"][:, :2] for t in train.targets])
    anchors = vision.anchor_clusters(sizes, 3)
    print("anchors:", ", ".join(f"{w:.0f}x{h:.0f}" for w, h in anchors))
    model = models.TinyYolo(
        len(names), 96, version=given.version, anchors=anchors.tolist(), width=16 if given.digits else 8
    )
    steps = epochs * -(-count // 32)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.compile(optimizer, model.loss)
    x = model.prepare(train.images)
    y = vision.pack_targets(train.targets, (96, 96))
    start = time.perf_counter()
    callback = einkorn.training.LambdaCallback(on_train_batch_end=lambda batch, logs: schedule.step())
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0, callbacks=[callback])
    print(f"{epochs} epochs of {count} scenes in {time.perf_counter() - start:.0f} s")
    found = model.detect(list(test.images), 0.05)
    told = [{"boxes": boxes, "scores": scores, "labels": labels} for boxes, scores, labels in found]
    print(f"mean average precision: {vision.voc_map(test.targets, told):.3f} (VOC, 0.5)")
    figures = vision.coco_evaluation(test.targets, told)
    print("COCO:", ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if value == value))
    if given.out:
        from PIL import Image

        rows = []
        for image, (boxes, scores, labels) in zip(test.images[:8], found[:8], strict=True):
            sure = scores > 0.4
            large = image.repeat(3, 0).repeat(3, 1)
            rows.append(vision.draw_boxes(large, 3 * boxes[sure], labels[sure], scores[sure], names=names))
        Image.fromarray(np.concatenate([np.concatenate(rows[i : i + 4], 1) for i in (0, 4)])).save(given.out)
        print(given.out)


if __name__ == "__main__":
    main()
