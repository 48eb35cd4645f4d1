"""Whole epochs by ``fit``: one program of Keras' names, run by both libraries.

Both sides start from the same weights and draw orders of the rows of their own. Keras computes with
PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import einkorn
from einkorn import keras
from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row
from einkorn.bench.timing import Call

__all__ = ["fit_row"]


def _mlp(library: Any) -> Any:
    layers = library.layers
    return library.Sequential([library.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(10)])


def _lenet(library: Any) -> Any:
    layers = library.layers
    return library.Sequential(
        [
            library.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )


_NETWORKS = {"MLP": (_mlp, (784,), 32), "LeNet-5": (_lenet, (28, 28, 1), 64)}


def epoch_of(library: Any, make: Any, weights: Any, x: np.ndarray, y: np.ndarray, batch: int) -> Call:
    """What trains a network of one of the libraries for an epoch, and gives its loss."""
    model = make(library)
    if weights is not None:
        model.set_weights(weights)
    model.compile(
        library.optimizers.Adam(1e-3),
        library.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][0]


def fit_row(name: str, rows: int, flops: float) -> Row:
    """An epoch of so many rows, of which one batch costs so many operations."""
    make, shape, batch = _NETWORKS[name]

    def prepare(peers: Peers) -> Prepared:
        x = np.random.default_rng(0).random((rows, *shape), np.float32)
        y = np.arange(rows) % 10
        einkorn.manual_seed(0)
        start = make(keras)
        weights = start.get_weights()
        calls = {}
        theirs = peers.get("keras")
        if theirs is not None:
            calls["keras"] = epoch_of(theirs, make, weights, x, y, batch)
        traffic = rows / batch * 7 * 4.0 * start.count_params()  # of the update: four are read, three written
        return Prepared(epoch_of(keras, make, weights, x, y, batch), calls, rows / batch * flops, traffic)

    return Row(
        "training", f"{name} epoch by Keras' names", f"batch {batch}, {rows} rows", prepare, ("keras",)
    )
