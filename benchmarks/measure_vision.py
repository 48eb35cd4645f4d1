"""Networks for images beside torchvision's on torch: inference, training steps, suppression, Grad-CAM.

``python benchmarks/measure_vision.py [--networks resnet18 ...] [--rows b1 b32 step] [--laps N]`` prints a
table; both sides run by turns in one process on two threads, with the same weights and pictures, and medians
count. torch infers in ``inference_mode``; einkorn as ``predict`` does, batch norm folded. A training step is
forward, cross-entropy, backward and SGD with momentum. ``--layers`` tells a network's time layer by layer
instead, kinds and shapes of convolutions beside torch's. With ``EINKORN_NUM_THREADS=1`` the least processor
time of one thread counts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import einkorn
from einkorn import explain, models, nn, ops, optim

DISTURBED: list[bool] = []
NETWORKS = ("resnet18", "resnet50", "vgg16", "densenet121", "mobilenet_v2", "unet")
#: Batch and side of each kind of row; U-Net's work is that of six VGG.
SIZES = {"b1": (1, 224), "b32": (32, 128), "step": (16, 128)}
LARGE = {"unet": {"step": (4, 128), "b32": (32, 128)}, "vgg16": {"step": (8, 128)}}


class DoubleConv(torch.nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        layers: list[torch.nn.Module] = []
        for width in (before, after):
            conv = torch.nn.Conv2d(width, after, 3, padding=1, bias=False)
            layers += [conv, torch.nn.BatchNorm2d(after), torch.nn.ReLU(True)]
        super().__init__(*layers)


class UNet(torch.nn.Module):
    """U-Net of 64 to 1,024 channels, which torchvision lacks."""

    def __init__(self) -> None:
        super().__init__()
        widths = [64, 128, 256, 512, 1024]
        self.pool = torch.nn.MaxPool2d(2)
        self.down = torch.nn.ModuleList(map(DoubleConv, [3, *widths[:-1]], widths))
        self.up = torch.nn.ModuleList(torch.nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1])
        self.join = torch.nn.ModuleList(DoubleConv(2 * w, w) for w in widths[-2::-1])
        self.output = torch.nn.Conv2d(64, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = []
        for at, down in enumerate(self.down):
            x = down(self.pool(x) if at else x)
            levels.append(x)
        for up, join, level in zip(self.up, self.join, reversed(levels[:-1]), strict=True):
            x = join(torch.cat((level, up(x)), 1))
        return self.output(x)


def pair(name: str) -> tuple[nn.Module, torch.nn.Module]:
    """Both libraries' network, with the same weights."""
    import torchvision

    ours = models.get_model(name)
    theirs = UNet() if name == "unet" else torchvision.models.get_model(name, weights=None)
    theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in ours.state_dict().items()})
    return ours, theirs


def others() -> float:
    """Seconds of processor time that all but this process have taken so far."""
    with open("/proc/stat") as file:
        words = [int(word) for word in file.readline().split()[1:9]]
    ticks = sum(words) - words[3] - words[4]  # but idle and waiting
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def by_turns(sides: dict[str, Callable[[], Any]], laps: int) -> dict[str, float]:
    """The median time of each side in seconds, of laps in which nothing else took a tenth of a core.

    A turn is as many calls as take an eighth of a second. Where too few laps are free of others after four
    times as many, the least time of each side stands for it, and ``DISTURBED`` tells so.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    every: dict[str, list[float]] = {name: [] for name in sides}
    if einkorn.get_num_threads() == 1:
        return least_by_turns(sides, laps)
    counts: dict[str, int] = {}
    for name, call in sides.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, round(0.125 / (time.perf_counter() - start)))
    for _ in range(4 * laps):
        for name, call in sides.items():
            call()  # in a turn of its own caches and threads are as in a run alone
            before, start = others(), time.perf_counter()
            for _ in range(counts[name]):
                call()
            took = time.perf_counter() - start
            every[name].append(took / counts[name])
            if others() - before < 0.1 * took + 0.01:
                times[name].append(took / counts[name])
        if all(len(values) >= laps for values in times.values()):
            return {name: float(np.median(values)) for name, values in times.items()}
    DISTURBED.append(True)
    return {name: min(values) for name, values in every.items()}


def least_by_turns(sides: dict[str, Callable[[], Any]], laps: int) -> dict[str, float]:
    """The least processor time of each side, on one thread: what a busy machine lets one measure."""
    found = dict.fromkeys(sides, float("inf"))
    for lap in range(laps + 1):
        for name, call in sides.items():
            start = time.process_time()
            call()
            if lap:
                found[name] = min(found[name], time.process_time() - start)
    return found


def inference(name: str, batch: int, side: int) -> dict[str, Callable[[], Any]]:
    ours, theirs = pair(name)
    ours.eval()
    theirs.eval()
    x = np.random.default_rng(0).normal(size=(batch, 3, side, side)).astype(np.float32)
    fold = nn.utils.folding()
    fold.__enter__()  # for the whole row, as predict holds it for all its batches

    def run() -> Any:
        with einkorn.no_grad():
            return ours(einkorn.Tensor(x))

    def torch_run() -> Any:
        with torch.inference_mode():
            return theirs(torch.from_numpy(x))

    told, expected = run().numpy(), torch_run().numpy()
    error = np.abs(told - expected).max() / np.abs(expected).max()
    assert error < 1e-4, f"{name}: the outputs differ by {error}"
    return {"einkorn": run, "torch": torch_run}


def step(name: str, batch: int, side: int) -> dict[str, Callable[[], Any]]:
    ours, theirs = pair(name)
    ours.train()
    theirs.train()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, 3, side, side)).astype(np.float32)
    y = rng.integers(0, 2, (batch, side, side) if name == "unet" else batch)
    optimizer = optim.SGD(ours.parameters(), lr=1e-3, momentum=0.9)
    torch_optimizer = torch.optim.SGD(theirs.parameters(), lr=1e-3, momentum=0.9)
    xt, yt = torch.from_numpy(x), torch.from_numpy(y)

    def run() -> None:
        loss = ops.cross_entropy(ours(einkorn.Tensor(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def torch_run() -> None:
        loss = torch.nn.functional.cross_entropy(theirs(xt), yt)
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()

    return {"einkorn": run, "torch": torch_run}


def suppression() -> dict[str, Callable[[], Any]]:
    import torchvision

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1000, (10_000, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (10_000, 2))], 1).astype(np.float32)
    scores = rng.uniform(size=10_000).astype(np.float32)
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    assert ops.nms(boxes, scores, 0.5).tolist() == torchvision.ops.nms(*tensors, 0.5).tolist()
    return {
        "einkorn": lambda: ops.nms(boxes, scores, 0.5),
        "torchvision": lambda: torchvision.ops.nms(*tensors, 0.5),
    }


def class_activation(name: str) -> dict[str, Callable[[], Any]]:
    """Grad-CAM beside a forward and a backward pass of the same network."""
    model = models.get_model(name).eval()
    x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)

    def passes() -> None:
        image = einkorn.Tensor(x, requires_grad=True)
        model(image)[0, 3].backward()

    return {"Grad-CAM": lambda: explain.gradcam(model, x, 3), "both passes": passes}


def layers(name: str, row: str) -> None:
    """Every kind of convolution of a network by itself, beside torch's, slowest loss first."""
    batch, side = LARGE.get(name, {}).get(row, SIZES[row])
    model = models.get_model(name).eval()
    seen: dict[Any, int] = {}
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):

            def note(layer: Any, args: Any) -> None:
                key = (layer, tuple(args[0].shape))
                seen[key] = seen.get(key, 0) + 1

            module.register_forward_pre_hook(note)
    with einkorn.no_grad():
        model(np.zeros((batch, 3, side, side), np.float32))
    kinds: dict[str, list[Any]] = {}
    for (layer, shape), count in seen.items():
        kind = f"{list(shape)} {layer!r}"
        kinds.setdefault(kind, [layer, shape, 0])[2] += count
    lines = []
    rng = np.random.default_rng(0)
    for kind, (layer, shape, count) in kinds.items():
        sides = convolution(layer, rng.normal(size=shape).astype(np.float32), row == "step")
        found = by_turns(sides, 5)
        lost = (found["einkorn"] - found["torch"]) * count
        lines.append((lost, kind, count, found["einkorn"] * 1e3, found["torch"] * 1e3))
    for lost, kind, count, ours, theirs in sorted(lines, reverse=True):
        print(f"{1e3 * lost:8.2f} ms  {count} x {ours:8.3f} / {theirs:8.3f} ({theirs / ours:.2f})  {kind}")


def convolution(layer: Any, x: np.ndarray, backward: bool) -> dict[str, Callable[[], Any]]:
    transposed = isinstance(layer, nn.ConvTranspose2d)
    weight = layer.weight.numpy().copy()
    stride, padding, groups = layer.stride, layer.padding, layer.groups
    call = ops.conv_transpose2d if transposed else ops.conv2d
    theirs = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    options = {"stride": stride, "padding": padding, "groups": groups}
    if not backward:
        xt, wt = torch.from_numpy(x), torch.from_numpy(weight)

        def torch_run() -> Any:
            with torch.inference_mode():
                return theirs(xt, wt, **options)

        return {"einkorn": lambda: call(x, weight, **options), "torch": torch_run}
    first = x.shape[1] == 3
    a, w = einkorn.Tensor(x, requires_grad=not first), einkorn.Tensor(weight, requires_grad=True)
    xt, wt = torch.from_numpy(x).requires_grad_(not first), torch.from_numpy(weight).requires_grad_()
    grad = np.ones(call(x, weight, **options).shape, np.float32)
    gt = torch.from_numpy(grad)

    def both() -> None:
        a.grad = w.grad = None
        call(a, w, **options).backward(grad)

    def torch_both() -> None:
        xt.grad = wt.grad = None
        theirs(xt, wt, **options).backward(gt)

    return {"einkorn": both, "torch": torch_both}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rows", nargs="+", default=["b1", "b32", "step"])
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--more", action="store_true", help="suppression and Grad-CAM")
    given = parser.parse_args()
    torch.set_num_threads(einkorn.get_num_threads())
    ratios = []
    for row in given.rows:
        for name in given.networks:
            if given.layers:
                layers(name, row)
                continue
            batch, side = LARGE.get(name, {}).get(row, SIZES[row])
            found = by_turns((step if row == "step" else inference)(name, batch, side), given.laps)
            ratio = found["torch"] / found["einkorn"]
            ratios.append(ratio)
            ours, theirs = found["einkorn"] * 1e3, found["torch"] * 1e3
            print(
                f"{name:13} {row:5} {batch:2} x {side}: {ours:9.2f} ms, torch {theirs:9.2f} ms: {ratio:.2f}"
                f"{' (disturbed)' if DISTURBED else ''}",
                flush=True,
            )
            DISTURBED.clear()
    if ratios:
        print(f"geometric mean {np.exp(np.mean(np.log(ratios))):.2f}")
    if given.more:
        found = by_turns(suppression(), 20)
        print("10,000 boxes:", ", ".join(f"{k} {1e3 * v:.2f} ms" for k, v in found.items()))
        for name in ("resnet18", "resnet50"):
            found = by_turns(class_activation(name), 9)
            print(
                f"{name}:",
                ", ".join(f"{k} {1e3 * v:.1f} ms" for k, v in found.items()),
                f"({found['Grad-CAM'] / found['both passes']:.2f})",
            )


if __name__ == "__main__":
    main()
