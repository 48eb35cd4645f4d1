"""Models of the course, and the closed registry that checkpoints are rebuilt from."""

from einkorn.models.classifier import ImageClassifier
from einkorn.models.keras_cnn import KerasCNN
from einkorn.models.lenet import LeNet5
from einkorn.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from einkorn.models.mlp import MLP
from einkorn.models.perceptron import Perceptron
from einkorn.models.registry import build, config_of, name_of, names

__all__ = [
    "MLP",
    "ImageClassifier",
    "KerasCNN",
    "LeNet5",
    "LinearRegression",
    "LogisticRegression",
    "Perceptron",
    "SoftmaxRegression",
    "build",
    "config_of",
    "name_of",
    "names",
]
