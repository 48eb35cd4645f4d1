"""Datasets, batches, and the readers of the data the course uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.data.NAME, and the module it lives in.
_HOMES = {
    "CIFAR10_CLASSES": "cifar",
    "load_cifar10": "cifar",
    "load_cifar100": "cifar",
    "read_cifar10": "cifar",
    "read_cifar100": "cifar",
    "default_collate": "collate",
    "ArrayDataset": "dataset",
    "ChainDataset": "datasets",
    "ConcatDataset": "datasets",
    "Dataset": "datasets",
    "IterableDataset": "datasets",
    "StackDataset": "datasets",
    "Subset": "datasets",
    "TensorDataset": "datasets",
    "random_split": "datasets",
    "stratified_split": "datasets",
    "load_digits": "digits",
    "enlarge": "images",
    "DataLoader": "loader",
    "CutMix": "mixing",
    "MixUp": "mixing",
    "FASHION_MNIST_CLASSES": "mnist",
    "load_emnist": "mnist",
    "load_fashion_mnist": "mnist",
    "load_mnist": "mnist",
    "read_idx": "mnist",
    "read_parquet": "parquet",
    "BatchSampler": "samplers",
    "BucketSampler": "samplers",
    "DistributedSampler": "samplers",
    "RandomSampler": "samplers",
    "Sampler": "samplers",
    "SequentialSampler": "samplers",
    "SubsetRandomSampler": "samplers",
    "WeightedRandomSampler": "samplers",
    "load_svhn": "svhn",
    "read_svhn": "svhn",
    "Table": "tables",
    "read_csv": "tables",
    "read_lines": "texts",
    "read_pairs": "texts",
    "load_usps": "usps",
    "read_usps": "usps",
    "get_worker_info": "workers",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
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

__getattr__, __dir__ = later(__name__, _HOMES)
