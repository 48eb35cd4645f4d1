"""U-Net learns which pixel belongs to what: shapes, or the parts of facades.

Usage: ``python examples/segment_shapes.py [--quick] [--facades] [--model unet|fcn] [--out PICTURE.png]``.
The whole takes one to two minutes and reaches a mean intersection over union of 0.99 on new scenes;
``--facades`` learns from 20 labelled facades (facades/ under ``$EINKORN_DATA``, needs Pillow) and is asked
about five others. ``--model fcn`` trains FCN on ResNet-50, on fewer scenes: it takes longer and learns less.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import einkorn
from einkorn import metrics, models, ops, optim, vision

# The colors of the labels in the sheet, and the publishers' names of the classes.
FACADES = {
    "ground": (0, 0, 222), "wall": (0, 48, 254), "window": (5, 126, 254), "door": (61, 207, 255),
    "cornice": (38, 251, 227), "sill": (132, 240, 155), "balcony": (192, 254, 65), "blind": (249, 239, 22),
    "decoration": (254, 159, 9), "molding": (247, 82, 8), "pillar": (225, 15, 0), "shop": (174, 2, 5),
}  # fmt: skip


def facades(size: int) -> tuple[np.ndarray, np.ndarray]:
    """25 pictures [25, size, size, 3] and the classes of their pixels."""
    from PIL import Image

    path = Path(os.environ.get("EINKORN_DATA", "."), "facades", "facades_sheet_25pairs.jpg")
    sheet = Image.open(path).convert("RGB")
    small = np.asarray(sheet.resize((2 * size, 25 * size), Image.Resampling.BOX))
    labels = np.asarray(sheet).reshape(25, 256, 2, 256, 3)[:, :, 0].astype(np.int64)
    apart = ((labels[..., None, :] - np.array(list(FACADES.values()))) ** 2).sum(-1)
    # Between two classes their colors mix to that of a third: only those that are sure may vote.
    step, margin = 256 // size, 2
    sure = np.where(apart.min(-1) < 30**2, apart.argmin(-1), -1)
    sure = np.pad(sure, ((0, 0), (margin, margin), (margin, margin)), constant_values=-1)
    near = np.lib.stride_tricks.sliding_window_view(sure, (step + 2 * margin,) * 2, (1, 2))[:, ::step, ::step]
    votes = np.stack([(near == each).sum((-1, -2)) for each in range(len(FACADES))], -1)
    return small.reshape(25, size, 2, size, 3)[:, :, 1], votes.argmax(-1)


def loss(output: Any, target: Any) -> Any:
    """Cross-entropy, which learns at once, and Dice, which heeds small classes."""
    return ops.add(ops.cross_entropy(output, target), vision.dice_loss(output, target))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, and no more than a beginning")
    parser.add_argument("--facades", action="store_true")
    parser.add_argument("--model", choices=("unet", "fcn"), default="unet")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", help="a picture of what was found (needs Pillow)")
    given = parser.parse_args()
    einkorn.manual_seed(0)
    rng = np.random.default_rng(0)
    if given.facades:
        pictures, masks = facades(64 if given.quick else 128)
        train, test = (pictures[:20], masks[:20]), (pictures[20:], masks[20:])
        # halves of the facades and their mirror images
        side = pictures.shape[1] * 3 // 4
        cuts = [rng.integers(0, pictures.shape[1] - side + 1, 2) for _ in range(8)]
        parts = [[a[:, t : t + side, w : w + side] for a in train] for t, w in cuts]
        parts += [[np.flip(a, 2) for a in part] for part in parts]
        train = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
        names, epochs, width = list(FACADES), 12, 16
    else:
        scenes = [vision.shape_scenes(count, 64, seed=seed) for count, seed in ((800, 1), (80, 2))]
        train, test = ((each.images, each.masks.astype(np.int64)) for each in scenes)
        names, epochs, width = ["ground", *vision.SHAPES], 12, 8
    if given.model == "fcn":  # fifty times the work of the U-Net
        train, epochs = tuple(a[:240] for a in train), 3
    if given.quick:
        train, epochs = tuple(a[:64] for a in train), 1
    epochs = given.epochs or epochs
    if given.model == "fcn":
        model = models.fcn_resnet50(num_classes=len(names))
    else:
        model = models.unet(num_classes=len(names), width=width, depth=3)

    def prepared(images: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1

    optimizer = optim.Adam(model.parameters(), lr=4e-3 if given.model == "unet" else 1e-3)
    named = given.model == "fcn"  # whose maps, as torchvision's, come in a dict
    model.compile(optimizer, {"out": loss} if named else loss)
    start = time.perf_counter()
    target = {"out": train[1]} if named else train[1]
    model.fit(prepared(train[0]), target, epochs=epochs, batch_size=8, verbose=0)
    print(f"{epochs} epochs of {len(train[0])} pictures in {time.perf_counter() - start:.0f} s")
    scores = model.predict(prepared(test[0]))
    found = (scores["out"] if named else scores).argmax(1)
    measure = metrics.MeanIoU(len(names))
    measure.update_state(test[1], found)
    print(
        f"mean intersection over union: {measure.result():.3f}; right pixels: {(found == test[1]).mean():.1%}"
    )
    if given.out:
        from PIL import Image

        rows = [
            np.concatenate([image, *(vision.draw_segmentation(image, m, ground=0) for m in both)], 1)
            for image, *both in zip(test[0][:5], test[1], found, strict=False)
        ]
        Image.fromarray(np.concatenate(rows).repeat(2, 0).repeat(2, 1)).save(given.out)
        print(given.out, "- picture, truth, answer")


if __name__ == "__main__":
    main()
