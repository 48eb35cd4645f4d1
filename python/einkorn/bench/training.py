"""Whole training steps: forward, loss, backward and update, against PyTorch's eager mode.

Both sides start from the same weights and see the same batch in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import einkorn
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
            (_mlp_flops(), 101_770),
            in_quick=True,
        ),
        _row(
            "LeNet-5 step",
            "1x28x28 batch 64",
            (_lenet, _torch_lenet),
            _batch(64, 1, 28, 28),
            classes,
            (_lenet_flops(), 61_706),
            in_quick=True,
        ),
        _row(
            "Keras CNN step",
            "3x150x150 batch 16",
            (_keras_cnn, _torch_keras_cnn),
            _batch(16, 3, 150, 150),
            halves,
            (_keras_cnn_flops(), 3_453_121),
        ),
    ]


def _batch(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _row(
    name: str,
    shape: str,
    models: tuple[Callable[[], Any], Callable[[Any], Any]],
    x: Any,
    target: Any,
    cost: tuple[float, int],
    in_quick: bool = False,
) -> Row:
    make_ours, make_peer = models
    flops, parameters = cost

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
        # Every parameter, its gradient and two moments are read, all but the gradient written.
        traffic = 7.0 * 4 * parameters
        torch = peers.get("torch")
        return Prepared(ours(), {} if torch is None else {"torch": peer(torch)}, flops, traffic)

    return Row("training", name, shape, prepare, in_quick=in_quick)
