"""Augmentation of pictures, batches at a time, the same for every seed, epoch and row.

Names, arguments and their order are torchvision's (``torchvision.transforms.v2``), but each image of a batch
has parameters of its own::

    from einkorn.data import augment

    transform = augment.Compose([
        augment.RandomCrop(32, padding=4),
        augment.RandomHorizontalFlip(),
        augment.ColorJitter(0.2, 0.2, 0.2),
        augment.ToDtype(scale=True),
        augment.Normalize(mean, std),
    ], seed=0)
    loader = DataLoader((x, y), batch_size=128, shuffle=True, transform=transform)

:class:`ImageDataGenerator` has Keras' options.
"""

from einkorn.data.augment.color import (
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
    Rescale,
    SaltAndPepperNoise,
    ToDtype,
)
from einkorn.data.augment.flows import DataFrameIterator, DirectoryIterator, NumpyArrayIterator
from einkorn.data.augment.generator import ImageDataGenerator
from einkorn.data.augment.geometry import (
    CenterCrop,
    ElasticTransform,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
)
from einkorn.data.augment.plots import plot_augmented
from einkorn.data.augment.policy import RandAugment, TrivialAugmentWide
from einkorn.data.augment.transform import Compose, RandomApply, RandomChoice, Transform

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "DataFrameIterator",
    "DirectoryIterator",
    "ElasticTransform",
    "GaussianBlur",
    "GaussianNoise",
    "ImageDataGenerator",
    "Normalize",
    "NumpyArrayIterator",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Rescale",
    "Resize",
    "SaltAndPepperNoise",
    "ToDtype",
    "Transform",
    "TrivialAugmentWide",
    "plot_augmented",
]
