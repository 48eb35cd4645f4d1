"""Small data sets and models that several tests train on."""

import numpy as np

import einkorn
from einkorn import nn, optim


def rows(*shape, seed=0):
    """Normally distributed float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def blobs(n=200, classes=3, seed=0):
    """Points around as many centers as there are classes, which a small network tells apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    angles = 2 * np.pi * y / classes
    x = np.stack([np.cos(angles), np.sin(angles)], 1) * 3 + rng.normal(size=(n, 2))
    return x.astype(np.float32), y


def classifier(seed=0, **options):
    """A compiled network for ``blobs``."""
    einkorn.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 16, activation="tanh"), nn.Linear(16, 3))
    model.compile(optim.Adam(model.parameters(), lr=0.02), **{"metrics": ["accuracy"], **options})
    return model
