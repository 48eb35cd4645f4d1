"""``ImageDataGenerator`` and what its ``flow`` gives, under Keras' name."""

from einkorn.data.augment import DirectoryIterator, ImageDataGenerator, NumpyArrayIterator

__all__ = ["DirectoryIterator", "ImageDataGenerator", "NumpyArrayIterator"]
