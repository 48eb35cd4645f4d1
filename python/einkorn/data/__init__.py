"""Datasets, batches, and the readers of the data the course uses."""

from einkorn.data.cifar import CIFAR10_CLASSES, load_cifar10, read_cifar10
from einkorn.data.dataset import ArrayDataset
from einkorn.data.digits import load_digits
from einkorn.data.images import enlarge
from einkorn.data.loader import DataLoader
from einkorn.data.mnist import load_mnist, read_idx
from einkorn.data.tables import Table, read_csv

__all__ = [
    "CIFAR10_CLASSES",
    "ArrayDataset",
    "DataLoader",
    "Table",
    "enlarge",
    "load_cifar10",
    "load_digits",
    "load_mnist",
    "read_cifar10",
    "read_csv",
    "read_idx",
]
