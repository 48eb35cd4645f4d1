"""``ImageDataGenerator``, what its ``flow`` gives, and pictures as arrays, under Keras' names."""

from einkorn.data.augment import DataFrameIterator, DirectoryIterator, ImageDataGenerator, NumpyArrayIterator
from einkorn.keras._images import array_to_img, img_to_array, load_img, save_img

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "NumpyArrayIterator",
    "array_to_img",
    "img_to_array",
    "load_img",
    "save_img",
]
