"""Rows of the card's table that networks and boosting are made of: convolutions, recurrent layers, trees."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import torch
from gpu_timing import DEVICE, DRY, Row, normal, small

import einkorn
from einkorn import ops
from einkorn.engines import cuda as engine

F = torch.nn.functional

#: ResNet-50's convolutions, each once: channels, side, filters, their side, stride.
RESNET50 = (
    (3, 224, 64, 7, 2),
    *((c, 56, k, r, s) for c, k, r, s in ((64, 64, 1, 1), (64, 64, 3, 1), (64, 256, 1, 1), (256, 64, 1, 1))),
    *((c, 56, k, r, s) for c, k, r, s in ((256, 128, 1, 1), (128, 128, 3, 2), (256, 512, 1, 2))),
    *((c, 28, k, r, s) for c, k, r, s in ((128, 128, 3, 1), (128, 512, 1, 1), (512, 128, 1, 1))),
    *((c, 28, k, r, s) for c, k, r, s in ((512, 256, 1, 1), (256, 256, 3, 2), (512, 1024, 1, 2))),
    *((c, 14, k, r, s) for c, k, r, s in ((256, 256, 3, 1), (256, 1024, 1, 1), (1024, 256, 1, 1))),
    *((c, 14, k, r, s) for c, k, r, s in ((1024, 512, 1, 1), (512, 512, 3, 2), (1024, 2048, 1, 2))),
    *((c, 7, k, r, s) for c, k, r, s in ((512, 512, 3, 1), (512, 2048, 1, 1), (2048, 512, 1, 1))),
)
#: DCGAN's discriminator, and its generator, whose convolutions are transposed.
DISCRIMINATOR = ((3, 64, 64, 4, 2), (64, 32, 128, 4, 2), (128, 16, 256, 4, 2), (256, 8, 512, 4, 2))
GENERATOR = ((512, 4, 256), (256, 8, 128), (128, 16, 64), (64, 32, 3))


def conv_rows() -> Iterator[Row]:
    """Forward, and with both gradients, in float32 as it is; ResNet-50's forward in bfloat16 too."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    yield from _convolutions("LeNet", ((1, 28, 6, 5, 1),), 64)
    yield from _convolutions("ResNet-50", RESNET50, 32)
    yield from _convolutions("DCGAN", DISCRIMINATOR, 64)
    for c, size, k in GENERATOR:
        x, tx = normal(64, c, size, size)
        w, tw = normal(c, k, 4, 4, whole=True) if not DRY else normal(small(c), small(k), 4, 4, whole=True)
        flops = 2.0 * 64 * c * k * size * size * 16
        name = f"64x{c}x{size}x{size}, {k} of 4x4, stride 2"
        yield from _both(
            f"conv_transpose2d {name}",
            "DCGAN",
            lambda a, b: ops.conv_transpose2d(a, b, stride=2, padding=1),
            lambda a, b: F.conv_transpose2d(a, b, stride=2, padding=1),
            (x, tx),
            (w, tw),
            flops,
        )
    for c, size, k, side, stride in RESNET50:
        yield _in_bfloat16(32, c, size, k, side, stride)


def _convolutions(group: str, shapes: Any, n: int) -> Iterator[Row]:
    for c, size, k, side, stride in shapes:
        x, tx = normal(n, c, size, size)
        w, tw = normal(k, c, side, side)
        pad = (side - 1) // 2
        out = (size + 2 * pad - side) // stride + 1
        yield from _both(
            f"conv2d {n}x{c}x{size}x{size}, {k} of {side}x{side}, stride {stride}",
            group,
            lambda a, b, s=stride, p=pad: ops.conv2d(a, b, stride=s, padding=p),
            lambda a, b, s=stride, p=pad: F.conv2d(a, b, stride=s, padding=p),
            (x, tx),
            (w, tw),
            2.0 * n * k * out * out * c * side * side,
        )


def _both(name: str, group: str, mine: Any, theirs: Any, xs: Any, ws: Any, flops: float) -> Iterator[Row]:
    """A convolution alone and with its gradients."""
    yield Row(name, lambda: mine(xs[0], ws[0]), lambda: theirs(xs[1], ws[1]), 0, flops, f"{group}, float32")

    def backward() -> None:
        a, b = einkorn.Tensor(xs[0], requires_grad=True), einkorn.Tensor(ws[0], requires_grad=True)
        y = mine(a, b)
        y.backward(y.data)

    def peer() -> None:
        a, b = xs[1].detach().requires_grad_(), ws[1].detach().requires_grad_()
        y = theirs(a, b)
        y.backward(y.detach())

    yield Row(f"{name}, and backward", backward, peer, 0, 3 * flops, f"{group}, float32, with gradients")


def _in_bfloat16(n: int, c: int, size: int, k: int, side: int, stride: int) -> Row:
    pad = (side - 1) // 2
    shapes = ((small(n), small(c), small(size), small(size)), (small(k), small(c), small(side), small(side)))
    x, w = (torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16) for shape in shapes)
    a, b = (cupy.from_dlpack(t.view(torch.int16)).view("uint16") for t in (x, w))
    out = (size + 2 * pad - side) // stride + 1
    made = (small(size) + 2 * pad - small(side)) // stride + 1
    y = engine.empty((a.shape[0], b.shape[0], made, made), np.uint16)

    def mine() -> None:
        engine.conv2d_forward(y, a, b, None, stride, stride, pad, pad, 1, 1, 1, 0)

    return Row(
        f"conv2d {n}x{c}x{size}x{size}, {k} of {side}x{side}, stride {stride}, bfloat16",
        mine,
        lambda: F.conv2d(x, w, stride=stride, padding=pad),
        0,
        2.0 * n * k * out * out * c * side * side,
        "ResNet-50, bfloat16",
    )


def lstm_rows() -> Iterator[Row]:
    """One layer over 128 steps of 32 sequences; cuDNN's by way of PyTorch."""
    for hidden in (64, 128, 256, 512):
        x, tx = normal(128, 32, hidden)
        size = x.shape[2]
        mine = einkorn.nn.LSTM(size, size).to("cuda")
        theirs = torch.nn.LSTM(size, size).to(DEVICE)
        name, flops = f"LSTM, {hidden} units", 2.0 * 128 * 32 * 8 * hidden * hidden

        def forward(mine: Any = mine, x: Any = x) -> Any:
            with einkorn.no_grad():
                return mine(einkorn.Tensor(x))

        def peer(theirs: Any = theirs, tx: Any = tx) -> Any:
            with torch.no_grad():
                return theirs(tx)

        yield Row(name, forward, peer, 0, flops, "LSTM")

        def backward(mine: Any = mine, x: Any = x) -> None:
            y = mine(einkorn.Tensor(x, requires_grad=True))[0]
            y.backward(y.data)

        def peer_backward(theirs: Any = theirs, tx: Any = tx) -> None:
            y = theirs(tx.detach().requires_grad_())[0]
            y.backward(y.detach())

        yield Row(f"{name}, and backward", backward, peer_backward, 0, 3 * flops, "LSTM, with gradients")


def boosting_rows() -> Iterator[Row]:
    """A whole fit of 100 rounds, binning included, and a prediction, beside XGBoost on the card."""
    rows, rounds = (400, 2) if DRY else (1_000_000, 100)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, 28), dtype=np.float32)
    y = (X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + rng.standard_normal(rows) / 2 > 0).astype(np.int32)
    there, labels = cupy.asarray(X), cupy.asarray(y)
    options = {"n_estimators": rounds, "learning_rate": 0.1, "max_depth": 6}
    model = einkorn.boosting.GradientBoostingClassifier(
        **options, max_leaf_nodes=None, growth="depth", min_samples_leaf=1, min_child_weight=1.0,
        l2_regularization=1.0,
    )  # fmt: skip
    peer = None
    if importlib.util.find_spec("xgboost") is not None:
        from xgboost import XGBClassifier

        device = "cpu" if DRY else "cuda"
        peer = XGBClassifier(**options, tree_method="hist", device=device, max_bin=255)
    name = f"boosting {rows} x 28"
    if peer is None:
        name += " (XGBoost is not installed)"
    theirs = (X, y) if DRY else (there, labels)
    yield Row(
        f"{name}, fit of {rounds} rounds",
        lambda: model.fit(there, labels),
        None if peer is None else lambda: peer.fit(*theirs),
        once=True,
    )
    yield Row(
        f"{name}, predict",
        lambda: model.predict(there),
        None if peer is None else lambda: peer.predict(theirs[0]),
        once=True,
    )
