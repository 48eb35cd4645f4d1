"""What programs in the style of Keras's guides share: both libraries, and small data."""

from __future__ import annotations

import os

import numpy as np
import pytest

SEED = int(os.environ.get("EINKORN_TEST_SEED", "0"))
RNG = np.random.default_rng(SEED)


@pytest.fixture(params=["einkorn", "keras"])
def libraries(request):
    """``keras`` and ``torch`` as a program imports them; what a test draws hangs on no test before it."""
    RNG.bit_generator.state = np.random.default_rng(SEED).bit_generator.state
    if request.param == "einkorn":
        import einkorn
        from einkorn import keras

        torch = einkorn
    else:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        keras = pytest.importorskip("keras")
        torch = pytest.importorskip("torch")
    keras.backend.clear_session()
    keras.utils.set_random_seed(1 + SEED)
    yield keras, torch
    keras.backend.clear_session()


def blobs(count=64, classes=3):
    y = np.arange(count) % classes
    x = RNG.normal(size=(count, 4)).astype("float32") + np.eye(classes, 4, dtype="float32")[y] * 3
    return x, y


def images(count=24, side=12, channels=1):
    y = np.arange(count) % 2
    x = RNG.random((count, side, side, channels)).astype("float32")
    x[y == 1, : side // 2] += 1
    return x, y


def sentences(count=32):
    good, bad = (
        ["a fine film", "lovely and fine", "great great acting"],
        ["a dull film", "boring", "dull, dull acting"],
    )
    texts = [(good if i % 2 else bad)[i % 3] for i in range(count)]
    return np.array(texts), np.arange(count) % 2
