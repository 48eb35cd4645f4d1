"""Layers whose weights are whole numbers of eight bits, under torch's names."""

from einkorn.nn.quantized import dynamic

__all__ = ["dynamic"]
