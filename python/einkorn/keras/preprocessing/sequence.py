"""``pad_sequences``, and windows of series, under Keras' older name."""

from einkorn.keras._directories import timeseries_dataset_from_array
from einkorn.keras.utils import pad_sequences

__all__ = ["pad_sequences", "timeseries_dataset_from_array"]
