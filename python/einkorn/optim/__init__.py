"""Optimizers with torch's names, arguments and update rules, schedules of the rate, averages of weights."""

from __future__ import annotations

import importlib
from typing import Any

from einkorn.optim import lr_scheduler, schedules
from einkorn.optim.adafactor import Adafactor
from einkorn.optim.adagrad import Adadelta, Adagrad, RMSprop
from einkorn.optim.adam import Adam, AdamW
from einkorn.optim.asgd import ASGD
from einkorn.optim.ftrl import Ftrl
from einkorn.optim.lamb import LAMB
from einkorn.optim.lbfgs import LBFGS
from einkorn.optim.moments import Adamax, NAdam, RAdam
from einkorn.optim.muon import Muon
from einkorn.optim.optimizer import Optimizer
from einkorn.optim.sgd import SGD
from einkorn.optim.sign import Lion, Rprop
from einkorn.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "LAMB",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "schedules",
    "swa_utils",
]


def __getattr__(name: str) -> Any:
    if name == "swa_utils":  # not before it is asked for: it builds on modules, which know of optimizers
        return importlib.import_module("einkorn.optim.swa_utils")
    from einkorn._near import MissingNameError

    raise MissingNameError("module 'einkorn.optim'", name, lambda: __all__)
