"""Datasets, batches, and the readers of the data the course uses."""

from einkorn.data.cifar import CIFAR10_CLASSES, load_cifar10, load_cifar100, read_cifar10, read_cifar100
from einkorn.data.collate import default_collate
from einkorn.data.dataset import ArrayDataset
from einkorn.data.datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
    stratified_split,
)
from einkorn.data.digits import load_digits
from einkorn.data.images import enlarge
from einkorn.data.loader import DataLoader
from einkorn.data.mixing import CutMix, MixUp
from einkorn.data.mnist import (
    FASHION_MNIST_CLASSES,
    load_emnist,
    load_fashion_mnist,
    load_mnist,
    read_idx,
)
from einkorn.data.parquet import read_parquet
from einkorn.data.samplers import (
    BatchSampler,
    BucketSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from einkorn.data.svhn import load_svhn, read_svhn
from einkorn.data.tables import Table, read_csv
from einkorn.data.texts import read_lines, read_pairs
from einkorn.data.usps import load_usps, read_usps
from einkorn.data.workers import get_worker_info

__all__ = [
    "CIFAR10_CLASSES",
    "FASHION_MNIST_CLASSES",
    "ArrayDataset",
    "BatchSampler",
    "BucketSampler",
    "ChainDataset",
    "ConcatDataset",
    "CutMix",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "MixUp",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "Table",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "enlarge",
    "get_worker_info",
    "load_cifar10",
    "load_cifar100",
    "load_digits",
    "load_emnist",
    "load_fashion_mnist",
    "load_mnist",
    "load_svhn",
    "load_usps",
    "random_split",
    "read_cifar10",
    "read_cifar100",
    "read_csv",
    "read_idx",
    "read_lines",
    "read_pairs",
    "read_parquet",
    "read_svhn",
    "read_usps",
    "stratified_split",
]
