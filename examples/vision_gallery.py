"""A gallery of what einkorn sees: explanations, dreams, styles, boxes, classes of pixels, larger pictures.

Usage: ``python examples/vision_gallery.py [--quick] [--out FOLDER]``. Pictures and weights come from
``$EINKORN_DATA`` (images/, models/); without them, and with ``--quick``, the methods run on made-up pictures
and a network without training, and show no more than that they run. Needs matplotlib and Pillow.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import einkorn
from einkorn import explain, models, vision

try:
    from matplotlib.figure import Figure
    from PIL import Image
except ImportError:
    raise SystemExit('the gallery needs matplotlib and Pillow: pip install ".[plot,vision]"') from None

ROOT = Path(os.environ.get("EINKORN_DATA", "."))


class Gallery:
    """Figures of one folder, and how long each took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.since = time.perf_counter()

    def keep(
        self,
        name: str,
        pictures: list[Any],
        titles: list[str] | None = None,
        columns: int = 4,
        wide: float = 2.2,
    ) -> None:
        """Write pictures side by side, each so many inches wide."""
        columns = min(columns, len(pictures))
        high = wide * pictures[0].shape[0] / pictures[0].shape[1] + (0.1 if titles is None else 0.25)
        figure = Figure((wide * columns, high * -(-len(pictures) // columns)), layout="constrained")
        explain.plot_images(pictures, figure, titles=titles, columns=columns)
        figure.savefig(self.folder / f"{name}.png", dpi=90)
        print(f"{name}: {time.perf_counter() - self.since:.1f} s")
        self.since = time.perf_counter()


def glowing(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture that is bright where a map is high."""
    share = np.clip(heat / max(float(np.percentile(heat, 99)), 1e-12), 0, 1)[..., None]
    tint = np.concatenate([share, 1 - np.abs(2 * share - 1), 1 - share], 2) * 255
    return np.rint(picture * 0.5 + tint * 0.5).astype(np.uint8)


def gray(gradient: np.ndarray) -> np.ndarray:
    size = np.abs(gradient).sum(0)
    return np.clip(size / max(float(np.percentile(size, 99)), 1e-12), 0, 1)


def inside(gallery: Gallery, model: Any, names: list[str], paths: list[Any], quick: bool) -> None:
    """Explanations of what a network takes pictures for, and images made for it."""
    x = model.preprocessing(paths)
    shown = model.preprocessing.restore(x)
    labels = model.predict(x).argmax(1)
    titles = [names[label] for label in labels] if names else [str(label) for label in labels]
    gallery.keep("filters", list(explain.filters(model).transpose(0, 2, 3, 1)[:16]), columns=8)
    pictures, said = [], []
    for i in range(len(x)):
        one, target = x[i : i + 1], int(labels[i])
        maps = {
            "Grad-CAM": explain.gradcam(model, one, target, "features.12"),
            "Grad-CAM++": explain.gradcam_plus_plus(model, one, target, "features.12"),
        }
        lines = {
            "gradient": explain.gradients(model, one, target),
            "SmoothGrad": explain.smoothgrad(model, one, target, samples=4 if quick else 20),
            "guided": explain.guided_backpropagation(model, one, target),
            "deconvnet": explain.deconvnet(model, one, target),
        }
        pictures += [shown[i], *(glowing(shown[i], m[0]) for m in maps.values())]
        pictures += [gray(g[0]) for g in lines.values()]
        said += [titles[i], *maps, *lines]
    gallery.keep("evidence", pictures, said, columns=7)
    found = explain.maximal_patches(model, x, "features.6", [3, 40, 77, 100], top=min(2, len(x)))
    patches, said = [], []
    for unit, row, of, places in zip(found.units, found.patches, found.images, found.boxes, strict=True):
        for patch, image, (left, top, right, bottom) in zip(row, of, places, strict=True):
            back = explain.deconvnet(model, x[image][None], layer="features.6", unit=int(unit))[0]
            back = back[:, top:bottom, left:right]
            size = max(float(np.abs(back).max()), 1e-12)
            patches += [
                model.preprocessing.restore(patch[None])[0],
                0.5 + 0.5 * back.transpose(1, 2, 0) / size,
            ]
            said += [f"unit {unit}", "deconvnet"]
    gallery.keep("patches", patches, said, wide=1.5)
    steps = 4 if quick else 200
    classes = [22, 248, 340, 386] if names else [0, 1, 2, 3]
    made = explain.activation_maximization(
        model, classes, steps=steps, rate=4.0, blur=0.2, jitter=8, decay=5e-3
    )
    low, high = np.percentile(made, (1, 99), axis=(1, 2, 3), keepdims=True)
    bright = np.clip((made - low) / np.maximum(high - low, 1e-12), 0, 1).transpose(0, 2, 3, 1)
    gallery.keep("maximised", list(bright), [names[c] for c in classes] if names else None)
    low, high = float(x.min()), float(x.max())
    dream = explain.deep_dream(
        model, x[:1], "features.7", steps=2 if quick else 15, rate=2.0, clip=(low, high)
    )
    one = x[:1]
    back = [
        explain.feature_inversion(
            model, one, layer, steps=4 if quick else 250, rate=3.0, variation=1e-9, size=0.0, clip=(low, high)
        ).images
        for layer in ("features.3", "features.6")
    ]
    restored = [model.preprocessing.restore(a)[0] for a in (one, dream, *back)]
    gallery.keep("dream", restored, ["picture", "dream", "from features.3", "from features.6"])


def styles(
    gallery: Gallery, model: Any, content: np.ndarray, paintings: list[np.ndarray], quick: bool
) -> None:
    """A picture in the style of others, step by step and at once."""
    side, way = 64 if quick else 192, model.preprocessing

    def taken(image: np.ndarray) -> np.ndarray:
        return way.sized(side)(image)

    pictures = [way.restore(taken(content))[0]]
    titles = ["content"]
    for painting in paintings:
        found = explain.style_transfer(
            model, taken(content), taken(painting), steps=3 if quick else 150, content_weight=0.02
        )
        pictures += [way.restore(taken(painting))[0], way.restore(found.images)[0]]
        titles += ["style", f"loss {found.losses[0]:.2g} -> {found.losses[-1]:.2g}"]
    weights = ROOT / "models" / "fast_style_wave.npz"
    if weights.exists() and not quick:
        pictures.append(models.FastStyle(weights).paint(content, 320))
        titles.append("wave, at once")
    gallery.keep("styles", pictures, titles, columns=3)


def learned(gallery: Gallery, quick: bool) -> None:
    """Scenes, and what a U-Net and a YOLO say of them that have seen others for a few seconds each."""
    count, epochs = (32, 1) if quick else (400, 5)
    scenes, new = vision.shape_scenes(count, 64, seed=1), vision.shape_scenes(4, 64, seed=2)
    net, yolo = models.unet(num_classes=4, width=8, depth=3), models.TinyYolo(3, 64, version=3, width=8)
    for model, target, rounds in (
        (net, scenes.masks.astype(np.int64), epochs),
        (yolo, vision.pack_targets(scenes.targets, (64, 64)), 5 * epochs),
    ):
        loss: Any = "cross_entropy" if model is net else model.loss
        model.compile(einkorn.optim.Adam(model.parameters(), lr=4e-3), loss)
        model.fit(yolo.prepare(scenes.images), target, epochs=rounds, batch_size=16, verbose=0)
    masks = net.predict(yolo.prepare(new.images)).argmax(1)
    found = yolo.detect(list(new.images), 0.4)
    said, drawn = (
        vision.SHAPES,
        [vision.draw_segmentation(i, m, ground=0) for i, m in zip(new.images, masks, strict=True)],
    )
    for image, (corners, scores, labels) in zip(new.images, found, strict=True):
        large = image.repeat(4, 0).repeat(4, 1)
        drawn.append(vision.draw_boxes(large, 4 * corners, labels, scores, names=said))
    gallery.keep("scenes", [*new.images, *drawn], ["picture"] * 4 + ["U-Net"] * 4 + ["YOLO"] * 4)


def boxes(gallery: Gallery, paths: list[Path]) -> None:
    """What yolo-fastest finds on photographs."""
    files = [ROOT / "models" / f"yolo-fastest-1.1.{ending}" for ending in ("cfg", "weights")]
    model = models.Darknet(*files)
    names = models.read_class_names(ROOT / "models" / "coco.names")
    drawn = []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((480, 360)))
        ((found, scores, labels),) = model.detect(pixels)
        drawn.append(vision.draw_boxes(pixels, found, labels, scores, names=names, width=3))
    gallery.keep("yolo", drawn, columns=2, wide=4.5)


def larger(gallery: Gallery, path: Path) -> None:
    """A small picture three times as large, by ESPCN and by repetition."""
    small = np.asarray(Image.open(path).convert("RGB").resize((120, 90)))
    model = models.ESPCN(3, ROOT / "models" / "super_resolution.onnx")
    gallery.keep(
        "larger", [small.repeat(3, 0).repeat(3, 1), model.enlarge(small)], ["pixels", "ESPCN"], wide=4
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps of each method")
    parser.add_argument("--out", default="gallery", help="folder (default: gallery)")
    given = parser.parse_args()
    einkorn.manual_seed(0)
    gallery = Gallery(Path(given.out))
    model, names = models.squeezenet1_1(), []
    weights = ROOT / "models" / "squeezenet_v1.1.ncnn.bin"
    paths: list[Any] = [ROOT / "images" / f"{name}.jpg" for name in ("dog", "eagle", "giraffe")]
    real = weights.exists() and paths[0].exists()
    if real:
        models.load_ncnn(model, weights.with_suffix(".param"), weights)
        names = models.read_class_names(ROOT / "models" / "imagenet_synset_words.txt")
    quick = given.quick or not real
    scenes = vision.shape_scenes(4, 128, seed=1)
    pictures = paths if real else list(scenes.images[:1])
    inside(gallery, model, names, pictures[:1] if quick else pictures, quick)
    painted = [ROOT / "images" / f"style_{name}.jpg" for name in ("wave", "la_muse")]
    paintings = [np.asarray(Image.open(p).convert("RGB")) for p in painted] if real else [scenes.images[1]]
    content = (
        np.asarray(Image.open(ROOT / "images" / "style_stata.jpg").convert("RGB"))
        if real
        else scenes.images[2]
    )
    styles(gallery, model, content, paintings[:1] if quick else paintings, quick)
    learned(gallery, quick)
    if real:
        boxes(gallery, [*paths, ROOT / "images" / "person.jpg"])
        larger(gallery, paths[1])


if __name__ == "__main__":
    main()
