"""Whole training steps: forward, loss, backward and update, against PyTorch's eager mode.

Both sides start from the same weights and see the same batch in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import einkorn
from einkorn.bench import networks
from einkorn.bench.fits import fit_row
from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call

__all__ = ["training_rows"]


def _mlp() -> Any:
    return einkorn.models.MLP([784, 128, 10])


def _torch_mlp(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def _lenet() -> Any:
    return einkorn.models.LeNet5()


def _torch_lenet(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _keras_cnn() -> Any:
    return einkorn.models.KerasCNN(logits=True)


def _torch_keras_cnn(torch: Any) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    channels = 3
    for width in (32, 64, 128, 128):
        layers += [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    layers += [nn.Flatten(), nn.Linear(128 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 1)]
    return nn.Sequential(*layers)


def _product(m: int, k: int, n: int) -> float:
    return 2.0 * m * k * n


def _mlp_flops() -> float:
    # Forward, weight gradients, and input gradients but for the first layer's.
    first, second = _product(32, 784, 128), _product(32, 128, 10)
    return 2 * first + 3 * second


def _lenet_flops(n: int = 64) -> float:
    first = _product(n * 28 * 28, 25, 6)
    rest = _product(n * 10 * 10, 150, 16)
    rest += _product(n, 400, 120) + _product(n, 120, 84) + _product(n, 84, 10)
    return 2 * first + 3 * rest


def _keras_cnn_flops(n: int = 16) -> float:
    first = _product(n * 148 * 148, 27, 32)
    rest = _product(n * 72 * 72, 32 * 9, 64) + _product(n * 34 * 34, 64 * 9, 128)
    rest += _product(n * 15 * 15, 128 * 9, 128) + _product(n, 6272, 512) + _product(n, 512, 1)
    return 2 * first + 3 * rest


def _resnet_flops(n: int = 32) -> float:
    stem = _product(n * 32 * 32, 27, 64)
    rest, channels, size = _product(n, 512, 10), 64, 32
    for width in (64, 128, 256, 512):
        size = size if width == 64 else size // 2
        pixels = n * size * size
        rest += _product(pixels, 9 * channels, width) + 3 * _product(pixels, 9 * width, width)
        rest += 0 if channels == width else _product(pixels, channels, width)
        channels = width
    return 2 * stem + 3 * rest


def _recurrent_flops(gates: int, rows: int = 64 * 32, width: int = 256) -> float:
    return 3 * (2 * _product(rows, 2 * width, gates * width) + _product(rows, width, 65))


def _gpt_flops(layers: int, width: int, length: int, batch: int) -> float:
    rows = batch * length
    dense = 3 * (layers * _product(rows, 12 * width, width) + _product(rows, width, 65))
    # Two products of attention forward and five backward, half of each hidden.
    return dense + 7 * layers * _product(rows, length, width) / 2


def _dcgan_flops(n: int = 16) -> float:
    inner = sum(_product(n * size * size, 16 * 2048 // size, 1024 // size) for size in (4, 8, 16))
    image, noise = _product(n * 32 * 32, 48, 64), _product(n, 100, 16 * 512)
    generator, discriminator = inner + image + noise, inner + image + _product(n, 16 * 512, 1)
    # The discriminator learns from images and from made ones (no gradient of either), then passes the
    # gradient of the made ones on, which costs those of its weights too; the generator once.
    return 3 * generator - noise + 9 * discriminator - 2 * image


def training_rows() -> list[Row]:
    """Give the rows of the family ``training``. Traffic is counted for the parameters alone."""
    classes = np.arange(64) % 10
    halves = (np.arange(16) % 2).astype(np.float32).reshape(16, 1)
    return [
        _row(
            "MLP step",
            "784-128-10 batch 32",
            (_mlp, _torch_mlp),
            _batch(32, 784),
            classes[:32],
            _mlp_flops(),
            in_quick=True,
        ),
        _epoch_row("MLP epoch by a loop", False),
        _epoch_row("MLP epoch by fit", True),
        fit_row("MLP", 3200, _mlp_flops()),
        fit_row("LeNet-5", 1280, _lenet_flops()),
        _row(
            "LeNet-5 step",
            "1x28x28 batch 64",
            (_lenet, _torch_lenet),
            _batch(64, 1, 28, 28),
            classes,
            _lenet_flops(),
            in_quick=True,
        ),
        _row(
            "Keras CNN step",
            "3x150x150 batch 16",
            (_keras_cnn, _torch_keras_cnn),
            _batch(16, 3, 150, 150),
            halves,
            _keras_cnn_flops(),
        ),
        _row(
            "ResNet-18 step",
            "3x32x32 batch 32",
            (networks.ResNet18, lambda torch: networks.torch_networks(torch).ResNet18()),
            _batch(32, 3, 32, 32),
            classes[:32],
            _resnet_flops(),
        ),
        _recurrent_row("LSTM", 4),
        _recurrent_row("GRU", 3),
        _gpt_row(4, 128, 4, 64, 12, in_quick=True),
        _gpt_row(6, 384, 6, 256, 4),
        Row("training", "DCGAN step", "3x64x64 batch 16, both networks", _prepare_dcgan),
    ]


def _characters(batch: int, length: int) -> Any:
    return np.random.default_rng(0).integers(0, 65, (batch, length))


def _recurrent_row(kind: str, gates: int) -> Row:
    tokens = _characters(32, 64)
    return _row(
        f"char-{kind} step",
        "2x256 steps 64 batch 32",
        (
            lambda: networks.CharRecurrent(kind),
            lambda torch: networks.torch_networks(torch).CharRecurrent(kind),
        ),
        tokens,
        np.roll(tokens, -1, 1).reshape(-1),
        _recurrent_flops(gates),
    )


def _gpt_row(layers: int, width: int, heads: int, length: int, batch: int, in_quick: bool = False) -> Row:
    tokens = _characters(batch, length)
    size = (layers, width, heads, length)
    return _row(
        "GPT step",
        f"{layers}x{width} length {length} batch {batch}",
        (lambda: networks.Gpt(*size), lambda torch: networks.torch_networks(torch).Gpt(*size)),
        tokens,
        np.roll(tokens, -1, 1).reshape(-1),
        _gpt_flops(layers, width, length, batch),
        in_quick,
    )


def _prepare_dcgan(peers: Peers) -> Prepared:
    images, noise = _batch(16, 3, 64, 64), _batch(16, 100, 1, 1)
    ones, zeros = np.ones(16, np.float32), np.zeros(16, np.float32)
    options: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}

    def step_of(networks_: Any, optimizers: Any, loss_of: Any, arrays: Any) -> Call:
        generator, discriminator = networks_
        of_generator, of_discriminator = optimizers
        real, z, is_real, is_made = arrays

        def step() -> None:
            of_discriminator.zero_grad()
            loss_of(discriminator(real), is_real).backward()
            made = generator(z)
            loss_of(discriminator(made.detach()), is_made).backward()
            of_discriminator.step()
            of_generator.zero_grad()
            loss_of(discriminator(made), is_real).backward()
            of_generator.step()

        return step

    einkorn.manual_seed(0)
    pair = networks.dcgan()
    ours = step_of(
        pair,
        [einkorn.optim.Adam(network.parameters(), **options) for network in pair],
        einkorn.ops.binary_cross_entropy_with_logits,
        (images, noise, ones, zeros),
    )
    calls = {}
    torch = peers.get("torch")
    if torch is not None:
        torch.manual_seed(0)
        other = networks.torch_dcgan(torch)
        calls["torch"] = step_of(
            other,
            [torch.optim.Adam(network.parameters(), **options) for network in other],
            torch.nn.functional.binary_cross_entropy_with_logits,
            [torch.from_numpy(a) for a in (images, noise, ones, zeros)],
        )
    return Prepared(ours, calls, _dcgan_flops(), sum(map(_update_traffic, pair)))


def _epoch_row(name: str, by_fit: bool, rows: int = 3200) -> Row:
    """A hundred batches of the small network, in a new order: by ``fit``, and by what one writes by hand."""

    def prepare(peers: Peers) -> Prepared:
        x, y = _batch(rows, 784), np.arange(rows) % 10
        einkorn.manual_seed(0)
        model = _mlp()
        optimizer = einkorn.optim.Adam(model.parameters(), lr=1e-3)
        loader = einkorn.data.DataLoader((x, y), 32, shuffle=True)

        def loop() -> None:
            model.train()
            total = 0.0
            for batch, target in loader:
                optimizer.zero_grad()
                loss = einkorn.ops.cross_entropy(model(batch), target)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(target)

        def fit() -> None:
            model.fit(x, y, 32, verbose=0)

        model.compile(optimizer, "cross_entropy")
        calls = {}
        torch = peers.get("torch")
        if torch is not None:
            calls["torch"] = _torch_epoch(torch, torch.from_numpy(x), torch.from_numpy(y))
        traffic = rows / 32 * _update_traffic(model)
        return Prepared(fit if by_fit else loop, calls, rows / 32 * _mlp_flops(), traffic)

    return Row("training", name, f"784-128-10 batch 32, {rows} rows", prepare)


def _torch_epoch(torch: Any, x: Any, y: Any) -> Call:
    model = _torch_mlp(torch)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loop() -> None:
        total = 0.0
        order = torch.randperm(len(x))
        for start in range(0, len(x), 32):
            chosen = order[start : start + 32]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)

    return loop


def _update_traffic(model: Any) -> float:
    """Bytes: every parameter, its gradient and two moments are read, all but the gradient written."""
    return 7.0 * 4 * sum(math.prod(p.shape) for p in model.parameters())


def _batch(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _row(
    name: str,
    shape: str,
    models: tuple[Callable[[], Any], Callable[[Any], Any]],
    x: Any,
    target: Any,
    flops: float,
    in_quick: bool = False,
) -> Row:
    make_ours, make_peer = models

    def ours() -> Call:
        einkorn.manual_seed(0)
        model = make_ours()
        optimizer = einkorn.optim.Adam(model.parameters(), lr=1e-3)
        ops = einkorn.ops
        binary = target.ndim == 2
        loss_of = ops.binary_cross_entropy_with_logits if binary else ops.cross_entropy

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(x), target).backward()
            optimizer.step()

        return step

    def peer(torch: Any) -> Call:
        torch.manual_seed(0)
        model = make_peer(torch)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        batch, wanted = torch.from_numpy(x), torch.from_numpy(target)
        functional = torch.nn.functional
        binary = target.ndim == 2
        loss_of = functional.binary_cross_entropy_with_logits if binary else functional.cross_entropy

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(batch), wanted).backward()
            optimizer.step()

        return step

    def prepare(peers: Peers) -> Prepared:
        torch = peers.get("torch")
        calls = {} if torch is None else {"torch": peer(torch)}
        return Prepared(ours(), calls, flops, _update_traffic(make_ours()))

    return Row("training", name, shape, prepare, in_quick=in_quick)
