"""Measure the CUDA engine on the card at hand, against PyTorch and the card's own copy, and write one table.

Every row: the median of several runs timed by events, each run many calls long, einkorn's and PyTorch's by
turns on the same numbers. Arrays are large enough to miss the card's cache. Bytes are those the operation
must move, each operand once.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import re
import subprocess
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import cupy
import numpy as np
import torch
from gpu_networks import boosting_rows, conv_rows, lstm_rows
from gpu_timing import DEVICE, DRY, LARGE, MB, Row, bound, median_seconds, normal, seconds_once, small

import einkorn
from einkorn import _cuda, ops
from einkorn.engines import cuda as engine

F = torch.nn.functional


def elementwise_rows() -> Iterator[Row]:
    x, tx = normal(LARGE)
    y, ty = normal(LARGE)
    yield Row("copy 256 MB", bound(_copied, x), tx.clone, 2 * x.nbytes)
    for name, peer in (("relu", F.relu), ("exp", torch.exp), ("gelu", F.gelu), ("tanh", torch.tanh)):
        yield Row(f"{name} 256 MB", bound(getattr(ops, name), x), bound(peer, tx), 2 * x.nbytes)
    yield Row("add 256 MB", lambda: ops.add(x, y), lambda: tx + ty, 3 * x.nbytes)
    m, tm = normal(8192, 8192)
    row, trow = normal(8192)
    yield Row("add bias 8192x8192 + 8192", lambda: ops.add(m, row), lambda: tm + trow, 2 * m.nbytes)
    yield Row("copy transposed 8192x8192", lambda: _copied(m.T), tm.T.contiguous, 2 * m.nbytes)


def _copied(x: Any) -> Any:
    out = engine.empty(x.shape, x.dtype)
    engine.copy(out, x)
    return out


def reduce_rows() -> Iterator[Row]:
    x, tx = normal(8192, 8192)
    yield Row("sum of 256 MB", lambda: ops.sum(x), tx.sum, x.nbytes)
    yield Row("sum of rows 8192x8192", lambda: ops.sum(x, axis=1), lambda: tx.sum(1), x.nbytes)
    yield Row("sum of columns 8192x8192", lambda: ops.sum(x, axis=0), lambda: tx.sum(0), x.nbytes)
    yield Row("max of rows 8192x8192", lambda: ops.max(x, axis=1), lambda: tx.amax(1), x.nbytes)
    yield Row("argmax of rows 8192x8192", lambda: ops.argmax(x, axis=1), lambda: tx.argmax(1), x.nbytes)
    c, tc = normal(64, 64, 128, 128)
    yield Row(
        "sum over N, H, W of 64x64x128x128",
        lambda: ops.sum(c, axis=(0, 2, 3)),
        lambda: tc.sum((0, 2, 3)),
        c.nbytes,
    )


def softmax_rows() -> Iterator[Row]:
    for rows, n in ((65536, 1024), (8192, 8192), (2048, 32768), (1048576, 64)):
        x, tx = normal(rows, n)
        yield Row(f"softmax {rows}x{n}", bound(ops.softmax, x), lambda tx=tx: F.softmax(tx, -1), 2 * x.nbytes)
    x, tx = normal(65536, 1024)
    y = ops.softmax(x)
    gx = engine.empty((x.shape[0], x.shape[1], 1), x.dtype)
    flat = [a.reshape(*x.shape, 1) for a in (x, y)]
    ty = F.softmax(tx, -1)
    yield Row(
        "softmax backward 65536x1024",
        lambda: engine.softmax_backward(gx, *flat),
        lambda: torch.ops.aten._softmax_backward_data(tx, ty, -1, torch.float32),
        3 * x.nbytes,
    )


def pool_rows() -> Iterator[Row]:
    x, tx = normal(64, 64, 112, 112)
    moved = 1.25 * x.nbytes
    yield Row("max_pool2d 64x64x112x112 2x2", bound(ops.max_pool2d, x, 2), bound(F.max_pool2d, tx, 2), moved)
    overlapping = {"kernel_size": 3, "stride": 2, "padding": 1}
    name = "max_pool2d 3x3 stride 2"
    yield Row(name, lambda: ops.max_pool2d(x, **overlapping), lambda: F.max_pool2d(tx, **overlapping), moved)
    yield Row("avg_pool2d 2x2", bound(ops.avg_pool2d, x, 2), bound(F.avg_pool2d, tx, 2), moved)


def loss_rows() -> Iterator[Row]:
    rows, n = small(8192), small(32768)
    x, tx = normal(rows, n)
    target = torch.randint(0, n, (rows,), device=DEVICE)
    t = cupy.from_dlpack(target)
    name = f"cross_entropy {rows}x{n}"
    yield Row(name, bound(ops.cross_entropy, x, t), bound(F.cross_entropy, tx, target), x.nbytes)

    def backward() -> Any:
        leaf = einkorn.Tensor(x, requires_grad=True)
        ops.cross_entropy(leaf, t).backward()

    def peer() -> None:
        leaf = tx.detach().requires_grad_()
        F.cross_entropy(leaf, target).backward()

    yield Row(f"{name} and backward", backward, peer, 3 * x.nbytes)
    a, ta = normal(LARGE)
    b, tb = normal(LARGE)
    yield Row("mse_loss 256 MB", lambda: ops.mse_loss(a, b), lambda: F.mse_loss(ta, tb), 2 * a.nbytes)


def random_rows() -> Iterator[Row]:
    out = engine.empty((LARGE,), np.float32)
    tensor = torch.empty(LARGE, device=DEVICE)
    yield Row("uniform 256 MB", lambda: engine.uniform(out, 1, 0, 0.0, 1.0), tensor.uniform_, out.nbytes)
    yield Row("normal 256 MB", lambda: engine.normal(out, 1, 0, 0.0, 1.0), tensor.normal_, out.nbytes)
    x, tx = normal(LARGE)
    yield Row("dropout 256 MB", lambda: ops.dropout(x, 0.5), lambda: F.dropout(tx, 0.5), 2 * x.nbytes)


def optimizer_rows() -> Iterator[Row]:
    shapes = [(4096, 4096)] * 4 + [(4096,)] * 4
    for name in ("sgd", "adam"):
        pairs = [normal(*s) for s in shapes]
        grads = [normal(*s) for s in shapes]
        size = sum(p.size for p, _ in pairs)
        params, gs = [p for p, _ in pairs], [g for g, _ in grads]
        first, second = ([cupy.zeros_like(p) for p in params] for _ in range(2))
        leaves = [tp.clone().requires_grad_() for _, tp in pairs]
        for leaf, (_, g) in zip(leaves, grads, strict=True):
            leaf.grad = g
        if name == "sgd":
            peer = torch.optim.SGD(leaves, lr=1e-3, momentum=0.9, fused=True)
            call = bound(engine.sgd_step, params, gs, first, 1e-3, 0.9, 0.0, 0.0, False, False, False)
            moved = 20.0
        else:
            peer = torch.optim.Adam(leaves, lr=1e-3, fused=True)
            call = bound(
                engine.adam_step,
                params,
                gs,
                first,
                second,
                None,
                1e-3,
                0.9,
                0.999,
                1e-8,
                0.0,
                False,
                False,
                5,
            )
            moved = 28.0
        yield Row(f"{name} step, {size / 1e6:.0f} million in 8 tensors", call, peer.step, moved * size)


def matmul_rows() -> Iterator[Row]:
    torch.backends.cuda.matmul.allow_tf32 = False
    for n in (512, 2048, 8192):
        a, ta = normal(n, n)
        b, tb = normal(n, n)
        yield Row(
            f"matmul {n} float32",
            lambda a=a, b=b: ops.matmul(a, b),
            lambda ta=ta, tb=tb: ta @ tb,
            0,
            2.0 * n**3,
        )
    x, tx = normal(512, 784)
    w, tw = normal(512, 784)
    bias, tbias = normal(512)
    yield Row(
        "linear with relu 512x784 -> 512",
        lambda: ops.linear(x, w, bias, activation="relu"),
        lambda: F.relu(F.linear(tx, tw, tbias)),
        0,
        2.0 * 512 * 784 * 512,
    )


def attention_rows() -> Iterator[Row]:
    """Of bfloat16, by each of the bodies that tensor cores have: a card should choose the quicker one."""
    for heads, n, width, causal in ((16, 16384, 64, True), (16, 16384, 128, True), (64, 4096, 128, False)):
        heads, length = (1 if DRY else heads), small(n)
        tensors = [
            torch.randn(1, heads, length, width, device=DEVICE, dtype=torch.bfloat16) for _ in range(3)
        ]
        arrays = [cupy.from_dlpack(t.view(torch.int16)).view("uint16") for t in tensors]
        grads = [torch.empty_like(t) for t in tensors]
        out, *into = (
            cupy.from_dlpack(t.view(torch.int16)).view("uint16") for t in (tensors[0].clone(), *grads)
        )
        lse = engine.empty((1, heads, length), np.float32)
        high = 0 if causal else 1 << 40
        options = (None, None, None, width**-0.5, -(1 << 40), high, 0.0, 0, 0)
        flops = 4.0 * heads * length**2 * width / (2 if causal else 1)
        name = f"attention 1x{heads}x{n}x{width} bfloat16{', causal' if causal else ''}"

        def peer(tensors: Any = tensors, causal: bool = causal) -> Any:
            return F.scaled_dot_product_attention(*tensors, is_causal=causal)

        for body in ("wgmma", "mma"):

            def forward(body: str = body, a: Any = (out, lse, *arrays, *options)) -> None:
                os.environ["EINKORN_CUDA_ATTENTION"] = body
                engine.attention_forward(*a)

            yield Row(f"{name}, by {body}", forward, peer, 0, flops)

        leaves = [t.detach().requires_grad_() for t in tensors]
        y = F.scaled_dot_product_attention(*leaves, is_causal=causal)
        rows = (*into, None, arrays[0], out, lse, *arrays, *options)
        yield Row(
            f"{name}, backward",
            bound(engine.attention_backward, *rows),
            lambda y=y, g=tensors[0], leaves=leaves: torch.autograd.grad(y, leaves, g, retain_graph=True),
            0,
            2.5 * flops,
        )


def training_rows() -> Iterator[Row]:
    """Whole steps, forward, backward and Adam, as a user writes them in either library."""
    torch.manual_seed(0)
    for name, batch in (
        ("MLP 784-128-10", 32),
        ("MLP 784-1024-1024-10", 1024),
        ("LeNet", 64),
        ("LeNet", 1024),
    ):
        mine, theirs = networks(name)
        x, tx = normal(2 if DRY else batch, 1, 28, 28, whole=True)
        target = torch.randint(0, 10, (len(tx),), device=DEVICE)
        t = cupy.from_dlpack(target)
        optimizer = einkorn.optim.Adam(mine.parameters(), lr=1e-3)
        peer_optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)

        def step(x: Any = x, t: Any = t, network: Any = mine, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            ops.cross_entropy(network(einkorn.Tensor(x)), t).backward()
            optimizer.step()

        def peer(
            x: Any = tx, t: Any = target, network: Any = theirs, optimizer: Any = peer_optimizer
        ) -> None:
            optimizer.zero_grad()
            F.cross_entropy(network(x), t).backward()
            optimizer.step()

        yield Row(f"training step, {name}, batch {batch}", step, peer)


def networks(name: str) -> tuple[Any, Any]:
    """A network of einkorn's and one of PyTorch's, on the card."""
    both = []
    for nn in (einkorn.nn, torch.nn):
        if name == "LeNet":
            layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
            layers += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
            sizes = [400, 120, 84, 10]
        else:
            layers = [nn.Flatten()]
            first, *hidden, last = (int(n) for n in name.split()[1].split("-"))
            sizes = [first, *(small(n) for n in hidden), last]
        for before, after in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        layers.append(nn.Linear(*sizes[-2:]))
        both.append(nn.Sequential(*layers).to("cuda" if nn is einkorn.nn else DEVICE))
    return both[0], both[1]


def small_rows() -> Iterator[Row]:
    """Calls too small for the card: what is left is the way to it."""
    x, tx = normal(16, 16)
    yield Row("relu 16x16, per call", bound(ops.relu, x), bound(F.relu, tx))
    yield Row("add 16x16, per call", lambda: ops.add(x, x), lambda: tx + tx)


GROUPS = (
    elementwise_rows,
    reduce_rows,
    softmax_rows,
    pool_rows,
    loss_rows,
    random_rows,
    optimizer_rows,
    matmul_rows,
    attention_rows,
    conv_rows,
    lstm_rows,
    boosting_rows,
    training_rows,
    small_rows,
)


def limits() -> tuple[float, float, float]:
    """The card's copy in bytes a second, and its matrix rates in float32 and bfloat16 in FLOP a second."""
    source = torch.randn(small(512 * MB // 4), device=DEVICE)
    target = torch.empty_like(source)
    copy = 2 * source.nbytes / median_seconds([lambda: target.copy_(source)])[0]
    rates = []
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.float32, torch.bfloat16):
        n = small(8192)
        a, b = (torch.randn(n, n, device=DEVICE, dtype=dtype) for _ in range(2))
        rates.append(2.0 * n**3 / median_seconds([lambda a=a, b=b: a @ b])[0])
    return copy, rates[0], rates[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write table.md there")
    parser.add_argument("--seconds", type=float, default=115, help="start no row after this")
    parser.add_argument(
        "--dry-run", action="store_true", help="small sizes, and no table in benchmarks/results"
    )
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    cupy.cuda.Stream.null.use()
    card = torch.cuda.get_device_name()
    copy, rate32, rate16 = limits()
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    lines = [
        f"# {card}",
        "",
        f"{datetime.date.today()}, driver {driver}, CUDA {torch.version.cuda}, PyTorch {torch.__version__},"
        f" einkorn {einkorn.__version__}. The card's copy of 512 MB: {copy / 1e9:.0f} GB/s, read and written."
        f" PyTorch's product of 8192: {rate32 / 1e12:.1f} TFLOP/s in float32, {rate16 / 1e12:.0f} in"
        " bfloat16."
        " Medians of five runs, float32, TF32 off. Ratio: PyTorch's time by einkorn's.",
        "",
        "| row | ms | GB/s | of the copy | TFLOP/s | PyTorch ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    count, failed = 0, []
    ratios: dict[str, list[float]] = {}
    for group in GROUPS:
        try:
            for row in group():
                if time.monotonic() > deadline:
                    failed.append(f"{row.name}: no time left")
                    continue
                try:
                    lines.append(measured(row, copy, ratios))
                    count += 1
                except Exception as error:
                    failed.append(f"{row.name}: {type(error).__name__}: {str(error).splitlines()[0]}")
        except Exception as error:
            traceback.print_exc()
            failed.append(f"{group.__name__}: {type(error).__name__}: {str(error).splitlines()[0]}")
    lines.append("")
    for name, found in ratios.items():
        known = [ratio for ratio in found if ratio == ratio]
        if name and known:
            lines.append(
                f"{name}: {len(known)} rows, geometric mean of the ratios {geometric_mean(known):.2f}."
            )
    if failed:
        lines += ["", "Not measured:", "", *(f"- {text}" for text in failed)]
    lines += ["", f"Kernels with a CUDA body: {len(_cuda.kernels())}.", ""]
    text = "\n".join(lines)
    name = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    if not options.dry_run:
        (Path(__file__).parent / "results" / f"{name}.md").write_text(text)
    if options.out:
        (options.out / "table.md").write_text(text)
    print("rows:", count, "measured,", len(failed), "not")


def measured(row: Row, copy: float, ratios: dict[str, list[float]]) -> str:
    """The row's line of the table."""
    if row.once:
        mine, theirs = seconds_once(row.call), seconds_once(row.peer)
    else:
        mine, theirs = median_seconds([row.call, row.peer])
    ratios.setdefault(row.group, []).append(theirs / mine)
    moved = row.bytes_moved / mine
    cells = [
        row.name,
        f"{mine * 1e3:.4f}",
        f"{moved / 1e9:.0f}" if moved else "",
        f"{moved / copy:.0%}" if moved else "",
        f"{row.flops / mine / 1e12:.1f}" if row.flops else "",
        f"{theirs * 1e3:.4f}" if row.peer else "",
        f"{theirs / mine:.2f}" if row.peer else "",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
