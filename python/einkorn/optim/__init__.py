"""Optimizers with torch's names, arguments and update rules, schedules of the rate, averages of weights."""

from einkorn.optim import lr_scheduler, swa_utils
from einkorn.optim.adafactor import Adafactor
from einkorn.optim.adagrad import Adadelta, Adagrad, RMSprop
from einkorn.optim.adam import Adam, AdamW
from einkorn.optim.lamb import LAMB
from einkorn.optim.lbfgs import LBFGS
from einkorn.optim.moments import Adamax, NAdam, RAdam
from einkorn.optim.optimizer import Optimizer
from einkorn.optim.sgd import SGD
from einkorn.optim.sign import Lion, Rprop

__all__ = [
    "LAMB",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]
