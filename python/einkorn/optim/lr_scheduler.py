"""Schedules of the learning rate with torch's names and values: make one around an optimizer, ``step()`` it
after each epoch, or after each batch. ``einkorn.training.LearningRateScheduler`` does that in ``fit``.
"""

from einkorn.optim._composed import ChainedScheduler, FunctionLR, ReduceLROnPlateau, SequentialLR
from einkorn.optim._cycling import CyclicLR, OneCycleLR
from einkorn.optim._falling import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
    TimeBasedLR,
)
from einkorn.optim._scheduler import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "FunctionLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "TimeBasedLR",
]
