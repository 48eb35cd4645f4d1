"""``ImageDataGenerator`` and what its ``flow`` gives, under Keras' name."""

from einkorn.data.augment.generator import DirectoryIterator, ImageDataGenerator, NumpyArrayIterator

__all__ = ["DirectoryIterator", "ImageDataGenerator", "NumpyArrayIterator"]
